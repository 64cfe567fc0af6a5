//! The settings of the voice address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use courier::Secret;
use courier::carrier::CarrierAccount;
use engine::config::TlsIdentity;
use wire::twilio::Dialect;

use crate::settings::{Problem, Settings};

/// Twilio's account.
#[derive(Clone, Debug)]
pub(crate) struct Twilio {
    pub(crate) account_sid: String,
    pub(crate) auth_token: Secret,
    /// Shared keys that webhooks may be signed with: id and secret.
    pub(crate) shared_keys: Vec<(String, Secret)>,
    pub(crate) api_url: String,
}

/// The voice address and what it needs to know.
#[derive(Clone, Debug)]
pub(crate) struct VoiceConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<TlsIdentity>,
    /// Origin that carriers call, `https://…`.
    pub(crate) public_url: Option<String>,
    pub(crate) twilio: Twilio,
    pub(crate) telnyx_public_key: String,
    pub(crate) telnyx_api_key: Secret,
    pub(crate) plivo_auth_id: String,
    pub(crate) plivo_auth_token: Secret,
    /// What a bridge that signs nothing says instead.
    pub(crate) bridge_token: Secret,
    /// Whether programs on this machine are let in without.
    pub(crate) unsigned_loopback: bool,
    pub(crate) extra_ca_pem: Vec<u8>,
}

impl VoiceConfig {
    /// Reads the settings; `None` where the address is switched off.
    pub(crate) fn read(
        settings: &Settings,
        tls: Option<TlsIdentity>,
        extra_ca_pem: Vec<u8>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let port = u16::try_from(settings.integer("voice.port")).unwrap_or_default();
        let listen = match settings.text("voice.listen") {
            "" => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            text => text.parse().ok()?,
        };
        let public_url = settings.set("voice.public_url").map(str::to_owned);
        let mut bad = |key: &'static str, expected: &str| {
            problems.push(
                Problem::new("config_bad_value")
                    .with("key", key)
                    .with("origin", settings.origin(key))
                    .with("value", settings.text(key))
                    .with("expected", expected),
            );
        };
        if public_url
            .as_ref()
            .is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://"))
        {
            bad("voice.public_url", "https://…");
        }
        let unsigned_loopback = settings.switch("voice.unsigned_loopback");
        // Behind a proxy on this machine everybody comes from loopback.
        if unsigned_loopback && public_url.is_some() {
            bad("voice.unsigned_loopback", "false (voice.public_url is set)");
        }
        let mut shared_keys = Vec::new();
        for pair in settings.text("voice.twilio_shared_keys").split(',') {
            match pair.trim().split_once(':') {
                Some((id, secret)) if !id.is_empty() && !secret.is_empty() => {
                    shared_keys.push((id.to_owned(), Secret::new(secret)));
                }
                _ if pair.trim().is_empty() => {}
                _ => problems.push(
                    Problem::new("config_bad_value")
                        .with("key", "voice.twilio_shared_keys")
                        .with("origin", settings.origin("voice.twilio_shared_keys"))
                        .with("value", "***")
                        .with("expected", "id:secret,id:secret"),
                ),
            }
        }
        let secret = |key: &str| Secret::new(settings.text(key));
        Some(Self {
            listen,
            tls,
            public_url,
            twilio: Twilio {
                account_sid: settings.text("voice.twilio_account_sid").to_owned(),
                auth_token: secret("voice.twilio_auth_token"),
                shared_keys,
                api_url: settings.text("voice.twilio_api_url").to_owned(),
            },
            telnyx_public_key: settings.text("voice.telnyx_public_key").to_owned(),
            telnyx_api_key: secret("voice.telnyx_api_key"),
            plivo_auth_id: settings.text("voice.plivo_auth_id").to_owned(),
            plivo_auth_token: secret("voice.plivo_auth_token"),
            bridge_token: secret("voice.bridge_token"),
            unsigned_loopback,
            extra_ca_pem,
        })
    }

    /// How a carrier is asked for things, where its account is configured.
    pub(super) fn account(&self, dialect: Dialect) -> Option<CarrierAccount> {
        match dialect {
            Dialect::Twilio => {
                let known = &self.twilio;
                (!known.account_sid.is_empty() && !known.auth_token.is_empty()).then(|| {
                    CarrierAccount::Twilio {
                        base_url: known.api_url.clone(),
                        account_sid: known.account_sid.clone(),
                        auth_token: known.auth_token.clone(),
                    }
                })
            }
            Dialect::Telnyx => (!self.telnyx_api_key.is_empty()).then(|| CarrierAccount::Telnyx {
                base_url: "https://api.telnyx.com".to_owned(),
                api_key: self.telnyx_api_key.clone(),
            }),
            Dialect::Plivo => {
                let known = !self.plivo_auth_id.is_empty() && !self.plivo_auth_token.is_empty();
                known.then(|| CarrierAccount::Plivo {
                    base_url: "https://api.plivo.com".to_owned(),
                    auth_id: self.plivo_auth_id.clone(),
                    auth_token: self.plivo_auth_token.clone(),
                })
            }
            Dialect::Exotel | Dialect::Vonage | Dialect::Browser => None,
        }
    }
}
