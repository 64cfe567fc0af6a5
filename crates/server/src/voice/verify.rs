//! Who a request comes from.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, Method};
use courier::Secret;
use subtle::ConstantTimeEq as _;
use wire::twilio::Dialect;
use wire::twilio::signature::{
    self, Algorithm, PLIVO_HEADER, PLIVO_NONCE_HEADER, SignatureSettings, Signed, TELNYX_HEADER,
    TELNYX_TIME_HEADER, TWILIO_HEADER, TWILIO_SETTINGS_HEADER,
};

use super::Voice;
use super::accounts::Owner;

/// Why a request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disbelief {
    NotSigned,
    WrongSignature,
    NoKey,
}

impl Disbelief {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::NotSigned => "not signed",
            Self::WrongSignature => "wrong signature",
            Self::NoKey => "no key of this carrier is configured",
        }
    }
}

/// A request, as far as it is signed.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// The public address, as the carrier wrote it.
    pub(super) url: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) form: Option<&'a [(String, String)]>,
    pub(super) body: &'a [u8],
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub(super) fn equal(known: &Secret, said: &str) -> bool {
    let known = known.expose().as_bytes();
    !known.is_empty() && known.len() == said.len() && bool::from(known.ct_eq(said.as_bytes()))
}

/// Whether one of these keys signed a request: the account's token, or a shared key that it names.
fn twilio_signed(
    asked: &Asked<'_>,
    auth_token: &Secret,
    shared_keys: &[(String, Secret)],
) -> Result<(), Disbelief> {
    let Some(signature) = header(asked.headers, TWILIO_HEADER) else {
        return Err(Disbelief::NotSigned);
    };
    let settings = header(asked.headers, TWILIO_SETTINGS_HEADER).unwrap_or_default();
    let settings = SignatureSettings::read(settings).ok_or(Disbelief::WrongSignature)?;
    let key = match (&settings.key, settings.algorithm) {
        (Some(id), _) => shared_keys
            .iter()
            .find_map(|(known, secret)| (known == id).then_some(secret)),
        (None, Algorithm::HmacSha1) => Some(auth_token),
        (None, Algorithm::HmacSha256) => None,
    };
    let key = key.filter(|key| !key.is_empty()).ok_or(Disbelief::NoKey)?;
    let signed = match (asked.form, asked.body) {
        (Some(form), _) => Signed::Form(form),
        (None, []) => Signed::Address,
        (None, body) => Signed::Body(body),
    };
    let valid = signature::twilio_is_valid(
        key.expose(),
        settings.algorithm,
        asked.url,
        signed,
        signature,
    );
    if valid {
        Ok(())
    } else {
        Err(Disbelief::WrongSignature)
    }
}

impl Voice {
    /// Whether a webhook is the carrier's own; whose it is, where a tenant's account signed it. `account` is the one it names.
    pub(super) async fn believe(
        &self,
        dialect: Dialect,
        peer: SocketAddr,
        asked: &Asked<'_>,
        account: &str,
    ) -> Result<Option<Owner>, Disbelief> {
        let verdict = match dialect {
            Dialect::Twilio => self.twilio(asked, account).await,
            Dialect::Telnyx => self.telnyx(asked).map(|()| None),
            Dialect::Plivo => self.plivo(asked).map(|()| None),
            // They sign nothing that we could check: their addresses carry a key of ours.
            Dialect::Exotel | Dialect::Vonage | Dialect::Browser => {
                self.keyed(asked).map(|()| None)
            }
        };
        match verdict {
            Err(Disbelief::NotSigned | Disbelief::NoKey) if self.is_trusted_neighbour(peer) => {
                Ok(None)
            }
            verdict => verdict,
        }
    }

    /// A program on this machine, where those are let in.
    pub(super) fn is_trusted_neighbour(&self, peer: SocketAddr) -> bool {
        self.config.unsigned_loopback && peer.ip().to_canonical().is_loopback()
    }

    /// Twilio signs the handshake of its stream as well. The operator's keys come first; a tenant's token counts for the account
    /// that the request names.
    pub(super) async fn twilio(
        &self,
        asked: &Asked<'_>,
        account: &str,
    ) -> Result<Option<Owner>, Disbelief> {
        let twilio = &self.config.twilio;
        let own = twilio_signed(asked, &twilio.auth_token, &twilio.shared_keys);
        let is_settled = matches!(own, Ok(()) | Err(Disbelief::NotSigned));
        if is_settled || account == twilio.account_sid {
            return own.map(|()| None);
        }
        let owners = self.owners(account).await;
        if owners.is_empty() {
            return own.map(|()| None);
        }
        let mut owners = owners.into_iter();
        owners
            .find(|owner| twilio_signed(asked, &owner.token, &[]).is_ok())
            .map(Some)
            .ok_or(Disbelief::WrongSignature)
    }

    fn telnyx(&self, asked: &Asked<'_>) -> Result<(), Disbelief> {
        if self.config.telnyx_public_key.is_empty() {
            return Err(Disbelief::NoKey);
        }
        let signature = header(asked.headers, TELNYX_HEADER).ok_or(Disbelief::NotSigned)?;
        let time = header(asked.headers, TELNYX_TIME_HEADER).ok_or(Disbelief::NotSigned)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|passed| passed.as_secs())
            .unwrap_or_default();
        let key = &self.config.telnyx_public_key;
        if signature::telnyx_is_valid(key, time, now, asked.body, signature) {
            Ok(())
        } else {
            Err(Disbelief::WrongSignature)
        }
    }

    fn plivo(&self, asked: &Asked<'_>) -> Result<(), Disbelief> {
        let token = &self.config.plivo_auth_token;
        if token.is_empty() {
            return Err(Disbelief::NoKey);
        }
        let signature = header(asked.headers, PLIVO_HEADER).ok_or(Disbelief::NotSigned)?;
        let nonce = header(asked.headers, PLIVO_NONCE_HEADER).ok_or(Disbelief::NotSigned)?;
        let valid = signature::plivo_v3_is_valid(
            token.expose(),
            asked.method.as_str(),
            asked.url,
            nonce,
            asked.form.unwrap_or_default(),
            signature,
        );
        if valid {
            Ok(())
        } else {
            Err(Disbelief::WrongSignature)
        }
    }

    fn keyed(&self, asked: &Asked<'_>) -> Result<(), Disbelief> {
        if self.config.bridge_token.is_empty() {
            return Err(Disbelief::NoKey);
        }
        let (_, query) = asked.url.split_once('?').unwrap_or_default();
        let said = url::form_urlencoded::parse(query.as_bytes())
            .find_map(|(name, value)| (name == "key").then(|| value.into_owned()))
            .ok_or(Disbelief::NotSigned)?;
        if equal(&self.config.bridge_token, &said) {
            Ok(())
        } else {
            Err(Disbelief::WrongSignature)
        }
    }
}
