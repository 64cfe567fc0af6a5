//! Calls that the switchboard places.

use super::{Engine, PlaceCallError};
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
        let address = |party: &str| {
            if party.starts_with("sip:") || party.starts_with("sips:") {
                return Ok::<_, PlaceCallError>(party.to_owned());
            }
            let usable = !party.is_empty() && !party.contains(['@', ' ', '<', '>', '"']);
            let domain = domain
                .filter(|_| usable)
                .ok_or(PlaceCallError::BadAddress)?;
            Ok(format!("sip:{party}@{domain}"))
        };
        let to = address(&request.to)?;
        let from = request.from.as_deref().map(address).transpose()?;
        let calls = &self.inner.calls;
        calls
            .place_patched(line, admitted, to, from, request.ring_max)
            .await
    }
}
