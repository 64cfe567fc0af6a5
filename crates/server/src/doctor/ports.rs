//! Listening ports and audio ports: free, ours, or somebody else's.

use super::beside::Beside;
use super::{Area, Findings};
use crate::config::ProcessConfig;
use catalog::Message;
use std::net::{SocketAddr, TcpListener, UdpSocket};

pub(super) fn listeners(config: &ProcessConfig, beside: &Beside, findings: &mut Findings) {
    let sip = &config.engine.sip;
    let wanted = [
        ("sip/udp", sip.udp),
        ("sip/tcp", sip.tcp),
        ("sip/tls", sip.tls_bind),
        ("sip/ws", sip.ws),
        ("sip/wss", sip.wss),
        ("admin", Some(config.admin.listen)),
        ("platform", config.platform.as_ref().map(|part| part.listen)),
        (
            "back_office",
            config.back_office.as_ref().map(|part| part.listen),
        ),
        ("voice", config.voice.as_ref().map(|part| part.listen)),
    ];
    for (name, address) in wanted {
        let Some(address) = address else {
            continue;
        };
        let of = |code: &'static str, address: &str| {
            Message::new(code)
                .with("name", name)
                .with("address", address)
        };
        let message = match beside.addresses.get(name).filter(|_| beside.runs()) {
            Some(bound) => of("doctor_port_ours", bound),
            None => match bind(name == "sip/udp", address) {
                Ok(()) => of("doctor_port_free", &address.to_string()),
                Err(error) => {
                    of("doctor_port_taken", &address.to_string()).with("cause", error.to_string())
                }
            },
        };
        findings.named(Area::Port, Some(name), message);
    }
}

fn bind(datagrams: bool, address: SocketAddr) -> std::io::Result<()> {
    if datagrams {
        UdpSocket::bind(address).map(drop)
    } else {
        TcpListener::bind(address).map(drop)
    }
}

/// Tries each pair of the range, as calls would take them.
pub(super) fn rtp(config: &ProcessConfig, beside: &Beside, findings: &mut Findings) {
    let rtp = &config.engine.rtp;
    let calls = config.engine.limits.calls_max;
    let first = rtp.port_min + rtp.port_min % 2;
    let is_free = |port: &u16| UdpSocket::bind(SocketAddr::new(rtp.bind, *port)).is_ok();
    let free = (first..rtp.port_max)
        .step_by(2)
        .filter(|port| is_free(port) && port.checked_add(1).is_some_and(|next| is_free(&next)))
        .count();
    // The running server's own calls hold some of them.
    let enough = usize::try_from(calls).unwrap_or(usize::MAX);
    let code = match free {
        0 => "doctor_rtp_none",
        free if free < enough && !beside.runs() => "doctor_rtp_few",
        _ => "doctor_rtp_ok",
    };
    let message = Message::new(code)
        .with("range", format!("{}-{}", rtp.port_min, rtp.port_max))
        .with("free", free)
        .with("calls", calls);
    findings.add(Area::Rtp, message);
}
