//! What the packets say: counts, and audio that went one way only.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::journal::{Event, JournalEntry, RtpStatistics};

/// Packets that must have left before their one-sidedness means anything: one second of audio.
const ONE_WAY_PACKETS_MIN: u64 = 50;

/// What the packets of the call say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sound {
    /// The last figures of the call.
    pub statistics: RtpStatistics,
    /// Nothing came from the caller.
    pub one_way: Option<OneWay>,
}

/// Audio left and none came: what the addresses say about the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OneWay {
    /// The peer gave a private address for its audio, though its signalling came from a public one.
    pub private_remote: Option<String>,
    /// We announced a private address to a peer on a public one.
    pub private_local: Option<String>,
    /// Where our packets went.
    pub sent_to: Option<String>,
    /// The address that we announced is the one that a STUN server saw.
    pub seen_by_stun: bool,
}

pub(super) fn sound(events: &[JournalEntry]) -> Option<Sound> {
    let statistics = events
        .iter()
        .rev()
        .find_map(|entry| entry.event.as_rtp_statistics().cloned())?;
    let silent = statistics.packets_received == 0 && statistics.packets_sent >= ONE_WAY_PACKETS_MIN;
    // Where checks have found the way, no address of a description is the cause.
    let found = ["media_path_direct", "media_path_relayed"];
    let is_found = found.iter().any(|code| has_note(events, code));
    let one_way = silent.then(|| OneWay {
        sent_to: statistics.remote.clone(),
        seen_by_stun: !is_found && has_note(events, "media_address_seen"),
        ..(if is_found {
            OneWay::default()
        } else {
            one_way(events)
        })
    });
    Some(Sound {
        statistics,
        one_way,
    })
}

fn one_way(events: &[JournalEntry]) -> OneWay {
    let signalling = events
        .iter()
        .find_map(|entry| address(&entry.event.as_sip_message()?.remote));
    // A private address is where audio goes on a local network; it is a fault only towards a peer beyond it.
    if signalling.is_some_and(is_private) {
        return OneWay::default();
    }
    let decision = events.iter().rev().find_map(|entry| {
        entry
            .event
            .as_sdp_decision()
            .filter(|decision| decision.accepted)
    });
    let private = |text: Option<&String>| {
        text.and_then(|text| address(text))
            .filter(|ip| is_private(*ip))
            .map(|ip| ip.to_string())
    };
    OneWay {
        private_remote: private(decision.and_then(|decision| decision.remote.as_ref())),
        private_local: private(decision.and_then(|decision| decision.local.as_ref())),
        ..OneWay::default()
    }
}

fn has_note(events: &[JournalEntry], code: &str) -> bool {
    events
        .iter()
        .any(|entry| matches!(&entry.event, Event::Note { message } if message.code == code))
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| text.parse())
        .ok()
}

/// Addresses that the internet does not route: RFC 1918, RFC 6598, link-local, loopback, RFC 4193.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_link_local()
                || v4.is_loopback()
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6
                    .to_ipv4_mapped()
                    .is_some_and(|v4| is_private(IpAddr::V4(v4)))
        }
    }
}
