//! Whether a caller's number is vouched for: STIR (RFC 8224, 8225) and SHAKEN (RFC 8588, ATIS-1000074).
//!
//! What a call says is held against its token (`token`, pure), the token's signature and its certificate against the authorities of the settings
//! (`certificate`, pure at a given time), and the certificate is fetched through the guard and kept for a while (`fetched`). What the verdict means
//! for the call is its line's policy.

mod certificate;
mod fetched;
mod token;

use std::fmt;
use std::time::Duration;

use catalog::Message;
use courier::Courier;
use jiff::Timestamp;
use serde_json::{Value, json};
use sip::{IncomingInvite, Party};

use crate::call_task::desk::phone;
use crate::config::{Config, LineConfig};
use crate::dispatch::called_number;
use crate::provider::HOME_COUNTRY;

pub use certificate::{Authorities, NoAuthorities};
pub(crate) use fetched::Certificates;
pub(crate) use token::Asked;
pub use token::Attestation;

/// How long a verdict may take, the certificate included: the caller of a line that asks for one hears nothing meanwhile.
const VERDICT_WITHIN: Duration = Duration::from_secs(2);

/// Why a caller's number is not vouched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No Identity header, or none that says something of the caller.
    Missing,
    /// It cannot be read, or says less than it has to.
    Malformed,
    /// Signed by another algorithm than ES256.
    Algorithm,
    /// Signed more than a minute ago or ahead.
    Stale,
    /// Of another caller.
    Caller,
    /// For another number than the one that was called.
    Called,
    /// Its certificate could not be fetched.
    Unfetched,
    /// What was fetched is no certificate that can have signed it.
    Certificate,
    /// Its certificate has expired, or is not valid yet.
    Expired,
    /// No authority of the settings vouches for its certificate.
    Untrusted,
    /// Its signature is not that of its certificate.
    Signature,
}

impl Fault {
    /// Its stable name in records and figures.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Stale => "stale",
            Self::Caller => "caller",
            Self::Called => "called",
            Self::Unfetched => "unfetched",
            Self::Certificate => "certificate",
            Self::Expired => "expired",
            Self::Untrusted => "untrusted",
            Self::Signature => "signature",
        }
    }

    /// Status and words of a refusal (RFC 8224 section 6.2.2).
    pub(crate) const fn status(self) -> (u16, &'static str) {
        match self {
            Self::Missing => (428, "Use Identity Header"),
            Self::Stale => (403, "Stale Date"),
            Self::Unfetched => (436, "Bad Identity Info"),
            Self::Certificate | Self::Expired | Self::Untrusted => (437, "Unsupported Credential"),
            Self::Malformed | Self::Algorithm | Self::Caller | Self::Called | Self::Signature => {
                (438, "Invalid Identity Header")
            }
        }
    }
}

/// What a line asks of its callers' numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentityPolicy {
    /// Nothing is looked at.
    #[default]
    Off,
    /// The verdict is in the record and told to the agent.
    Inform,
    /// A call without a valid token is refused.
    Require,
    /// So is one that is attested less than this.
    Attested(Attestation),
}

impl IdentityPolicy {
    /// Every value of the setting.
    pub const NAMES: [&str; 5] = ["off", "inform", "require", "require_b", "require_a"];

    /// The policy of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "off" => Self::Off,
            "inform" => Self::Inform,
            "require" => Self::Require,
            "require_b" => Self::Attested(Attestation::B),
            "require_a" => Self::Attested(Attestation::A),
            _ => return None,
        })
    }

    /// Whether a call waits for its verdict before it rings.
    pub(crate) const fn refuses(self) -> bool {
        match self {
            Self::Off | Self::Inform => false,
            Self::Require | Self::Attested(_) => true,
        }
    }

    /// How a call of this verdict is refused; `None` lets it pass.
    pub(crate) fn refusal(self, verdict: Verdict) -> Option<Refusal> {
        match (self, verdict) {
            (Self::Off | Self::Inform, _) | (Self::Require, Verdict(Ok(_))) => None,
            (Self::Require | Self::Attested(_), Verdict(Err(fault))) => {
                let (status, words) = fault.status();
                Some(Refusal {
                    status,
                    // RFC 9410 section 4.
                    reason: format!("STIR;cause={status};text=\"{words}\""),
                })
            }
            (Self::Attested(least), Verdict(Ok(attested))) => {
                (attested < Some(least)).then(|| Refusal {
                    status: 603,
                    reason: "Q.850;cause=21;text=\"Attestation Too Low\"".to_owned(),
                })
            }
        }
    }
}

/// How a call is refused for want of a proof of its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// Value of the Reason header.
    pub(crate) reason: String,
}

/// What was found: the attestation of a valid token (a token that is no `shaken` one has none), or why there is no valid token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict(pub(crate) Result<Option<Attestation>, Fault>);

impl Verdict {
    /// What the record says of it.
    pub(crate) fn note(self) -> Message {
        match self.0 {
            Ok(None) => Message::new("caller_vouched"),
            Ok(Some(attested)) => {
                Message::new("caller_vouched").with("attestation", attested.letter())
            }
            Err(Fault::Missing) => Message::new("caller_unsigned"),
            Err(fault) => Message::new("caller_not_vouched").with("cause", fault.label()),
        }
    }

    /// The attestation that was proven.
    pub(crate) fn letter(self) -> Option<&'static str> {
        self.0.ok().flatten().map(Attestation::letter)
    }

    /// The counters of a call with the verdict beside them.
    pub(crate) fn joined(self, counters: Option<Value>) -> Value {
        let mut all = counters.unwrap_or_else(|| json!({}));
        let verdict = self.0.map_or_else(Fault::label, |_| "valid");
        all["caller_identity"] = json!({ "verdict": verdict, "attestation": self.letter() });
        all
    }

    /// Its name in figures.
    pub(crate) const fn label(self) -> &'static str {
        match self.0 {
            Ok(None) => "valid",
            Ok(Some(Attestation::A)) => "a",
            Ok(Some(Attestation::B)) => "b",
            Ok(Some(Attestation::C)) => "c",
            Err(fault) => fault.label(),
        }
    }
}

impl Asked {
    /// What a call says of its caller; `None` where its line does not ask.
    pub(crate) fn of(invite: &IncomingInvite, line: &LineConfig) -> Option<Box<Self>> {
        if line.identity == IdentityPolicy::Off {
            return None;
        }
        let country = line.sip_account.as_ref().map(|own| own.country.as_str());
        let country = country.unwrap_or(HOME_COUNTRY);
        let date = invite.date.as_deref().map(jiff::fmt::rfc2822::parse);
        let date = date.and_then(|date| u64::try_from(date.ok()?.timestamp().as_second()).ok());
        Some(Box::new(Self {
            identities: invite.identities.clone(),
            from: proven(&invite.from, invite.p_asserted_identity.as_deref()),
            to: number(&invite.to).to_owned(),
            date_s: date,
            country: country.to_owned(),
        }))
    }
}

/// The number that a caller has to prove: what people and the agent are shown of him, however it is spelled. Only one who shows no number at all is
/// known by the other header.
fn proven(from: &Party, identity: Option<&str>) -> String {
    let shown = phone(number(from));
    let shown = shown.filter(|shown| shown.contains(char::is_numeric));
    shown.unwrap_or_else(|| identity.map(asserted).unwrap_or_default().to_owned())
}

/// The number of a party, without its parameters.
fn number(party: &Party) -> &str {
    match party.user.as_str() {
        "" => called_number(&party.uri),
        user => user.split(';').next().unwrap_or_default(),
    }
}

/// The number of the first address of a P-Asserted-Identity.
fn asserted(value: &str) -> &str {
    let address = value.split_once('<').map_or(value, |(_, rest)| rest);
    called_number(address.split(['>', ',']).next().unwrap_or_default())
}

/// Everything that judges callers' numbers, shared by all calls.
pub(crate) struct Judge {
    certificates: Certificates,
    authorities: Authorities,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}

impl Judge {
    /// # Errors
    /// The way to certificates cannot be made.
    pub(crate) fn new(config: &Config) -> Result<Self, courier::StartError> {
        Ok(Self {
            certificates: Certificates::new(Courier::new(config.certificates.clone())?),
            authorities: config.authorities.clone(),
        })
    }

    /// The verdict on a call, within two seconds.
    pub(crate) async fn verdict(&self, asked: &Asked) -> Verdict {
        let judged = tokio::time::timeout(VERDICT_WITHIN, self.judge(asked)).await;
        Verdict(judged.unwrap_or(Err(Fault::Unfetched)))
    }

    async fn judge(&self, asked: &Asked) -> Result<Option<Attestation>, Fault> {
        let now_s = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
        let token = token::read(asked, now_s)?;
        let found = self.certificates.get(&token.certificate_url).await?;
        let checked = certificate::check(&token, &found, &self.authorities, now_s);
        // What stands there may have been an error's page, or a certificate that has been renewed since.
        checked.inspect_err(|fault| self.certificates.doubt(&token.certificate_url, *fault))?;
        Ok(token.attestation)
    }
}

#[cfg(test)]
mod tests;
