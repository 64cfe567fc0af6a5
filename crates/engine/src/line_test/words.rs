//! From what happened to the catalogue's sentences.

use std::io;

use catalog::Message;
use jiff::Timestamp;
use rustls::CertificateError;
use sip::Target;
use sip::probe::Answer;

use super::path::{Exchanged, OpenError};
use super::trial_call::Outcome;
use crate::certificate::CertificateFacts;
use crate::resolver::{LookUp, NoTarget};

/// A certificate that ends within so many days is worth a warning.
const SOON_DAYS: i64 = 14;

pub(super) fn no_target(failure: NoTarget, host: &str) -> Message {
    let code = match failure {
        NoTarget::Unknown => "line_test_dns_unknown",
        NoTarget::Empty => "line_test_dns_empty",
        NoTarget::Silent => "line_test_dns_silent",
    };
    Message::new(code).with("host", host)
}

pub(super) fn found(host: &str, found: &LookUp) -> Message {
    let addresses = found
        .targets
        .iter()
        .map(|target| target.address.to_string());
    let texts: Vec<String> = found.records.iter().cloned().chain(addresses).collect();
    Message::new("line_test_dns_ok")
        .with("host", host)
        .with("found", texts.join(", "))
}

fn of_target(code: &'static str, target: &Target) -> Message {
    Message::new(code)
        .with("address", target.address.to_string())
        .with("protocol", target.protocol.via_token())
}

pub(super) fn reached(target: &Target) -> Message {
    of_target("line_test_port_ok", target)
}

pub(super) fn unreachable(target: &Target, error: &OpenError) -> Message {
    match error {
        OpenError::Refused => of_target("line_test_port_closed", target),
        OpenError::Silent => of_target("line_test_port_silent", target),
        OpenError::Tls(error) | OpenError::Other(error) => {
            of_target("line_test_port_failed", target).with("cause", error.to_string())
        }
    }
}

fn name_of(target: &Target) -> String {
    target
        .server_name
        .clone()
        .unwrap_or_else(|| target.address.ip().to_string())
}

pub(super) fn certificate(target: &Target, facts: &CertificateFacts, now: Timestamp) -> Message {
    let days = facts.days_left(now);
    let code = if days < SOON_DAYS {
        "line_test_tls_soon"
    } else {
        "line_test_tls_ok"
    };
    Message::new(code)
        .with("name", name_of(target))
        .with("days", days)
}

pub(super) fn tls_refused(target: &Target, error: &io::Error) -> Message {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let name = name_of(target);
    let of = |code: &'static str| Message::new(code).with("name", name.as_str());
    let Some(rustls::Error::InvalidCertificate(wrong)) = inner else {
        return of("line_test_tls_failed").with("cause", error.to_string());
    };
    if let CertificateError::Expired | CertificateError::ExpiredContext { .. } = wrong {
        of("line_test_tls_expired")
    } else if let CertificateError::NotValidForName = wrong {
        of("line_test_tls_name")
    } else if let CertificateError::NotValidForNameContext { presented, .. } = wrong {
        of("line_test_tls_name").with("names", names(presented))
    } else if let CertificateError::UnknownIssuer = wrong {
        of("line_test_tls_untrusted")
    } else {
        of("line_test_tls_failed").with("cause", error.to_string())
    }
}

/// rustls says `DnsName("a.test")`.
fn names(presented: &[String]) -> String {
    let names = presented.iter().map(|name| {
        name.split_once('"')
            .map_or(name.as_str(), |(_, rest)| rest.trim_end_matches(['"', ')']))
    });
    names.collect::<Vec<_>>().join(", ")
}

pub(super) fn options(exchanged: &Exchanged) -> Message {
    match exchanged {
        Exchanged::Answer(Answer::Speaks { status, server }) => {
            let message = Message::new("line_test_options_ok").with("status", *status);
            match server {
                Some(server) => message.with("server", server.as_str()),
                None => message,
            }
        }
        Exchanged::Answer(_) | Exchanged::Silence | Exchanged::Refused | Exchanged::Closed => {
            Message::new("line_test_options_silent")
        }
    }
}

pub(super) fn registered(exchanged: &Exchanged, host: &str, username: &str) -> Message {
    let of = |code: &'static str| Message::new(code).with("registrar", host);
    let answer = match exchanged {
        Exchanged::Answer(answer) => answer,
        Exchanged::Silence | Exchanged::Refused | Exchanged::Closed => {
            return of("line_test_register_silent");
        }
    };
    match answer {
        Answer::Accepted {
            expires_s: Some(expires_s),
            proved,
            ..
        } => {
            let code = if *proved {
                "line_test_register_ok"
            } else {
                "line_test_register_open"
            };
            of(code).with("expires", *expires_s)
        }
        Answer::Accepted { others, proved, .. } if *proved => {
            of("line_test_register_proved").with("count", *others)
        }
        Answer::Accepted { .. } => of("line_test_register_open"),
        Answer::WrongCredentials => of("line_test_register_wrong").with("username", username),
        Answer::UnknownChallenge => of("line_test_register_unsupported"),
        Answer::TooBrief { min_s } => {
            let message = of("line_test_register_brief");
            match min_s {
                Some(min) => message.with("minimum", *min),
                None => message,
            }
        }
        Answer::Refused {
            status: 403,
            after_password: true,
            ..
        } => of("line_test_register_forbidden").with("username", username),
        Answer::Refused { status: 404, .. } => {
            of("line_test_register_unknown").with("username", username)
        }
        Answer::Refused { status, reason, .. } => of("line_test_register_refused")
            .with("status", *status)
            .with("reason", reason.as_str()),
        Answer::Speaks { .. } => of("line_test_register_silent"),
    }
}

pub(super) fn called(outcome: &Outcome, number: &str) -> Message {
    let of = |code: &'static str| Message::new(code).with("number", number);
    match outcome {
        Outcome::Answered { packets: 0, .. } => of("line_test_call_silent"),
        Outcome::Answered { after_ms, packets } => of("line_test_call_answered")
            .with("after", *after_ms)
            .with("packets", *packets),
        Outcome::Rang => of("line_test_call_rang"),
        Outcome::Refused { status, reason } => of("line_test_call_refused")
            .with("status", *status)
            .with("reason", reason.as_str()),
        Outcome::Nothing => of("line_test_call_nothing"),
        Outcome::Unusable => of("line_test_call_unusable"),
    }
}
