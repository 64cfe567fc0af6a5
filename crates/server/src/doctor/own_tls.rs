//! The certificates that we show to others.

use super::{Area, Findings};
use crate::config::ProcessConfig;
use crate::settings::Settings;
use catalog::Message;
use engine::CertificateFacts;
use engine::config::TlsIdentity;
use jiff::Timestamp;

/// A certificate that ends within so many days is worth a warning.
const SOON_DAYS: i64 = 14;

pub(super) fn certificates(config: &ProcessConfig, settings: &Settings, findings: &mut Findings) {
    let host = settings.set("sip.public_host");
    let url = settings
        .set("voice.public_url")
        .and_then(|url| url::Url::parse(url).ok());
    let voice_host = url.as_ref().and_then(url::Url::host_str);
    let voice = config.voice.as_ref().and_then(|part| part.tls.as_ref());
    let platform = config.platform.as_ref().and_then(|part| part.tls.as_ref());
    let made = config.data_dir.join("sip-certificate.pem");
    let sip = config.engine.sip.tls.as_ref();
    if config.engine.sip.needs_identity() {
        let message = Message::new("doctor_tls_self").with("name", "sip");
        findings.named(Area::Tls, Some("sip"), message);
        if let Some(facts) = std::fs::read(made)
            .ok()
            .and_then(|pem| CertificateFacts::of_pem(&pem))
        {
            findings.named(Area::Tls, Some("sip"), judged("sip", &facts, host));
        }
    }
    let given: [(&str, Option<&TlsIdentity>, Option<&str>); 4] = [
        ("sip", sip, host),
        ("admin", config.admin.tls.as_ref(), None),
        ("platform", platform, None),
        ("voice", voice, voice_host),
    ];
    for (name, identity, host) in given {
        let Some(identity) = identity else {
            continue;
        };
        let message = match CertificateFacts::of_pem(&identity.chain_pem) {
            Some(facts) => judged(name, &facts, host),
            None => Message::new("doctor_tls_unreadable").with("name", name),
        };
        findings.named(Area::Tls, Some(name), message);
    }
}

fn judged(name: &str, facts: &CertificateFacts, host: Option<&str>) -> Message {
    let now = Timestamp::now();
    let days = facts.days_left(now);
    let of = |code: &'static str| Message::new(code).with("name", name);
    if facts.not_after < now {
        of("doctor_tls_expired")
    } else if facts.not_before > now {
        of("doctor_tls_early")
    } else if let Some(host) = host.filter(|host| !facts.covers(host)) {
        of("doctor_tls_name")
            .with("host", host)
            .with("names", facts.names.join(", "))
    } else if days < SOON_DAYS {
        of("doctor_tls_soon").with("days", days)
    } else {
        of("doctor_tls_ok").with("days", days)
    }
}
