//! Calls that the switchboard places.

use super::{Engine, PlaceCallError};
use crate::calls::placing::{address, is_sip};
use crate::switchboard::{PatchedCall, PlacePatched};

impl Engine {
    /// Places a call that is connected with a far end of the caller's choice: tell it with `answer`, at any time before the other
    /// side picks up.
    ///
    /// # Errors
    /// [`PlaceCallError`]; what happens after the INVITE left is told by the call.
    pub async fn place_patched(
        &self,
        request: PlacePatched,
    ) -> Result<PatchedCall, PlaceCallError> {
        let admitted = self.inner.dispatcher().admit_outgoing(&request.line);
        let (line, admitted) = admitted.map_err(PlaceCallError::from)?;
        let account = line.config.account.as_ref();
        let domain = account.and_then(|account| account.aor.rsplit_once('@'));
        let domain = domain.map(|(_, domain)| domain);
        let usable = |party: &str| {
            is_sip(party) || (!party.is_empty() && !party.contains(['@', ' ', '<', '>', '"']))
        };
        if !usable(&request.to) {
            return Err(PlaceCallError::BadAddress);
        }
        let to = address(&line, &request.to, None)?;
        let shown = |party: &str| {
            let domain = domain.filter(|_| usable(party));
            match is_sip(party) {
                true => Ok(party.to_owned()),
                false => domain
                    .map(|domain| format!("sip:{party}@{domain}"))
                    .ok_or(PlaceCallError::BadAddress),
            }
        };
        let from = request.from.as_deref().map(shown).transpose()?;
        let calls = &self.inner.calls;
        calls
            .place_patched(line, admitted, to, from, request.ring_max)
            .await
    }
}
