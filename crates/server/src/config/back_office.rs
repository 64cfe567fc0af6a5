//! The back office that runs in this process.

use std::net::SocketAddr;

use engine::config::TlsIdentity;
use url::Url;

use super::identity;
use super::maps::MapsConfig;
use crate::settings::{Origin, Problem, Settings};

/// What the senders of messages are made of.
const SENDER_SETTINGS: &[&str] = &[
    "mail_url",
    "mail_from",
    "sms_url",
    "sms_headers",
    "sms_body",
];

/// The back office.
#[derive(Clone)]
#[allow(dead_code, reason = "a build without verticals only checks them")]
pub(crate) struct BackOfficeConfig {
    pub(crate) listen: SocketAddr,
    /// Nobody asked for that address: another program that has it is no reason not to answer calls.
    pub(crate) by_default: bool,
    pub(crate) tls: Option<TlsIdentity>,
    pub(crate) unsigned: bool,
    pub(crate) clear_passwords: bool,
    pub(crate) rate_per_s: u32,
    /// `None`: nobody named a voice server. The one of this process is meant, where there is one.
    pub(crate) voice_url: Option<String>,
    pub(crate) own_url: Option<String>,
    pub(crate) voice_key: Option<String>,
    pub(crate) voice_secret: Option<String>,
    pub(crate) mail: (Option<String>, Option<String>),
    pub(crate) sms: (Option<String>, Option<String>, Option<String>),
    pub(crate) printers: Vec<String>,
    /// Where each setting of the senders was made, by its name.
    pub(crate) origins: Vec<(&'static str, String)>,
    pub(crate) maps: MapsConfig,
}

impl BackOfficeConfig {
    /// `None`: it is switched off, the build has none, or the back office is elsewhere.
    pub(super) fn read(settings: &Settings, problems: &mut Vec<Problem>) -> Option<Self> {
        if !crate::wiring::HAS_BACK_OFFICE {
            return None;
        }
        let listen: SocketAddr = settings.set("back_office.listen")?.parse().ok()?;
        let by_default = matches!(settings.origin("back_office.listen"), Origin::Default);
        let elsewhere = settings
            .set("tools.back_office")
            .is_some_and(|url| is_elsewhere(url, listen));
        if by_default && elsewhere {
            return None;
        }
        let tls = identity(
            settings,
            "back_office.tls_certificate",
            "back_office.tls_key",
            problems,
        );
        let mut refuse = |code: &'static str, switch: Option<&str>| {
            let problem = Problem::new(code)
                .with("key", "back_office.listen")
                .with("address", listen)
                .with("origin", settings.origin("back_office.listen"));
            problems.push(match switch {
                Some(switch) => problem.with("switch", switch),
                None => problem,
            });
        };
        let unsigned = settings.switch("back_office.unsigned");
        let clear_passwords = settings.switch("back_office.clear_passwords");
        let code = "config_open_without_loopback";
        if !listen.ip().is_loopback() {
            if unsigned {
                refuse(code, Some("back_office.unsigned"));
            } else if clear_passwords {
                refuse(code, Some("back_office.clear_passwords"));
            } else if tls.is_none() {
                refuse("config_public_without_tls", None);
            }
        }
        let text = |key: &str| settings.set(key).map(str::to_owned);
        Some(Self {
            listen,
            by_default,
            tls,
            unsigned,
            clear_passwords,
            rate_per_s: u32::try_from(settings.integer("back_office.rate_per_s"))
                .unwrap_or(u32::MAX),
            voice_url: text("back_office.voice_url")
                .filter(|_| !matches!(settings.origin("back_office.voice_url"), Origin::Default)),
            own_url: text("back_office.own_url"),
            voice_key: text("back_office.voice_key"),
            voice_secret: text("back_office.voice_secret"),
            mail: (text("back_office.mail_url"), text("back_office.mail_from")),
            sms: (
                text("back_office.sms_url"),
                text("back_office.sms_headers"),
                text("back_office.sms_body"),
            ),
            printers: settings.list("back_office.printers"),
            origins: SENDER_SETTINGS
                .iter()
                .map(|name| {
                    let origin = settings.origin(&format!("back_office.{name}"));
                    (*name, origin.to_string())
                })
                .collect(),
            maps: MapsConfig::read(settings, problems),
        })
    }
}

/// Whether a back office at this address is another one than ours.
fn is_elsewhere(url: &str, listen: SocketAddr) -> bool {
    let Ok(url) = Url::parse(url.trim()) else {
        return true;
    };
    let here = match url.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    !(here && url.port_or_known_default() == Some(listen.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_address_is_another_back_office() {
        let listen = "127.0.0.1:3000".parse().unwrap();
        for (url, expected) in [
            ("http://localhost:3000", false),
            ("http://127.0.0.1:3000/", false),
            ("http://[::1]:3000/api", false),
            ("http://localhost:3001", true),
            ("https://office.example", true),
            ("http://alloresto:3000", true),
            ("nonsense", true),
        ] {
            assert_eq!(is_elsewhere(url, listen), expected, "{url}");
        }
    }
}
