//! Accounts of Twilio that tenants brought themselves: each a secret of theirs, `twilio:AC…` with the account's token.
//!
//! A request that such a token signed proves its tenant: it reaches that tenant's lines only, and what the carrier is asked for
//! about the call is asked in that account. The operator's account stays what `voice.twilio_*` says.

use call::TenantId;
use courier::Secret;
use courier::carrier::CarrierAccount;
use store::secret::{SecretText, Vault, VaultError};
use store::{Store, TenantScope};

use super::{PlaceError, Voice};

/// What the purposes of such secrets begin with.
const PURPOSE: &str = "twilio:";
/// Twilio's own form: `AC` and 32 hexadecimal digits.
const SID_DIGITS: usize = 32;

/// Where tenants' secrets are.
#[derive(Clone)]
pub(crate) struct Tenants {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
}

/// A tenant with its account of Twilio.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) tenant: TenantId,
    pub(super) sid: String,
    pub(super) token: Secret,
}

/// The same account, whatever its token is by now.
impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        (&self.tenant, &self.sid) == (&other.tenant, &other.sid)
    }
}

impl Eq for Owner {}

fn is_sid(text: &str) -> bool {
    text.strip_prefix("AC").is_some_and(|digits| {
        digits.len() == SID_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

impl Owner {
    /// Where the streams of its calls are served: a handshake does not name an account, and its address may not have a query.
    pub(super) fn stream_path(&self) -> String {
        format!("/media-stream/twilio/{}", self.sid)
    }

    pub(super) fn account(&self, base_url: &str) -> CarrierAccount {
        CarrierAccount::Twilio {
            base_url: base_url.to_owned(),
            account_sid: self.sid.clone(),
            auth_token: self.token.clone(),
        }
    }
}

impl Voice {
    /// The tenants that say that this account is theirs: each with the token that it gave.
    pub(super) async fn owners(&self, sid: &str) -> Vec<Owner> {
        if !is_sid(sid) {
            return Vec::new();
        }
        let tenants = &self.tenants;
        let purpose = format!("{PURPOSE}{sid}");
        let found = tenants.vault.holders(&tenants.store, &purpose).await;
        let found = found.unwrap_or_else(|error| {
            tracing::error!(%error, "accounts of a carrier cannot be read");
            Vec::new()
        });
        let owner = |(scope, token): (TenantScope, SecretText)| Owner {
            tenant: scope.tenant().clone(),
            sid: sid.to_owned(),
            token: Secret::new(token.expose()),
        };
        found.into_iter().map(owner).collect()
    }

    /// The account that a tenant's own calls are placed with: its first, where it has one.
    ///
    /// # Errors
    /// When it has one that cannot be read: another's is not taken in its place.
    pub(super) async fn own_account(&self, tenant: &TenantId) -> Result<Option<Owner>, PlaceError> {
        let tenants = &self.tenants;
        let scope = TenantScope::new(tenant.clone());
        let unreadable = |error: VaultError| {
            tracing::error!(%error, "an account of a carrier cannot be read");
            PlaceError::Unreadable
        };
        let purposes = tenants.vault.purposes(&tenants.store, &scope).await;
        let purposes = purposes.map_err(unreadable)?;
        let sid = purposes
            .iter()
            .filter_map(|purpose| purpose.strip_prefix(PURPOSE))
            .find(|sid| is_sid(sid));
        let Some(sid) = sid else { return Ok(None) };
        let purpose = format!("{PURPOSE}{sid}");
        let token = tenants.vault.get(&tenants.store, &scope, &purpose).await;
        let token = token.map_err(unreadable)?;
        Ok(token.map(|token| Owner {
            tenant: tenant.clone(),
            sid: sid.to_owned(),
            token: Secret::new(token.expose()),
        }))
    }
}
