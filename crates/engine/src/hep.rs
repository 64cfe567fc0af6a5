//! SIP messages for a Homer server, or anything else that takes HEP version 3: each one as it came or went, secrets redacted.
//!
//! Source: "The Hepic EEP/HEP Protocol Specification", revision 36 (sipcapture): chunks of vendor 0.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sip::{Protocol, Trace};

use crate::config::{HepConfig, Secret};
use crate::engine::StartError;

/// Most bytes of one packet: what UDP carries over any path in fragments is not worth more.
const PACKET_BYTES_MAX: usize = 16 * 1_024;
/// Bytes before the payload at most: everything else that is in a packet.
const HEAD_BYTES_MAX: usize = 512;

const FAMILY: u16 = 0x01;
const TRANSPORT: u16 = 0x02;
const SOURCE_V4: u16 = 0x03;
const DESTINATION_V4: u16 = 0x04;
const SOURCE_V6: u16 = 0x05;
const DESTINATION_V6: u16 = 0x06;
const SOURCE_PORT: u16 = 0x07;
const DESTINATION_PORT: u16 = 0x08;
const SECONDS: u16 = 0x09;
const MICROSECONDS: u16 = 0x0a;
const KIND: u16 = 0x0b;
const AGENT: u16 = 0x0c;
const KEY: u16 = 0x0e;
const PAYLOAD: u16 = 0x0f;
const CORRELATION: u16 = 0x11;

/// The payload is SIP.
const SIP: u8 = 1;

/// The way to the server. It never waits: what cannot be sent at once is lost, and counted.
#[derive(Debug)]
pub(crate) struct Hep {
    socket: UdpSocket,
    agent: u32,
    key: Option<Secret>,
}

impl Hep {
    /// The way to the server that is wanted, if one is.
    ///
    /// # Errors
    /// [`StartError::Hep`] when no socket can be had or the server's network is unreachable.
    pub(crate) fn wanted(config: Option<&HepConfig>) -> Result<Option<Self>, StartError> {
        let open = |config: &HepConfig| {
            Self::open(config).map_err(|source| StartError::Hep {
                server: config.server,
                source,
            })
        };
        config.map(open).transpose()
    }

    fn open(config: &HepConfig) -> io::Result<Self> {
        let any: IpAddr = match config.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(config.server)?;
        Ok(Self {
            socket,
            agent: config.agent,
            key: config.key.clone(),
        })
    }

    /// Sends a message on. False when it is lost.
    pub(crate) fn tell(&self, trace: &Trace) -> bool {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let key = self.key.as_ref().map(Secret::expose);
        let packet = packet(trace, since.unwrap_or_default(), self.agent, key);
        self.socket.send(&packet).is_ok()
    }
}

/// A packet of HEP version 3.
fn packet(trace: &Trace, since_epoch: Duration, agent: u32, key: Option<&str>) -> Vec<u8> {
    let (source, destination) = if trace.sent {
        (trace.local, trace.remote)
    } else {
        (trace.remote, trace.local)
    };
    let whole = without_keys(&trace.message);
    let payload = &whole[..whole.len().min(PACKET_BYTES_MAX - HEAD_BYTES_MAX)];
    let mut out = Vec::with_capacity(payload.len() + HEAD_BYTES_MAX);
    out.extend_from_slice(b"HEP3\0\0");
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            chunk(&mut out, FAMILY, &[2]);
            chunk(&mut out, SOURCE_V4, &from.octets());
            chunk(&mut out, DESTINATION_V4, &to.octets());
        }
        (from, to) => {
            chunk(&mut out, FAMILY, &[10]);
            chunk(&mut out, SOURCE_V6, &wide(from).octets());
            chunk(&mut out, DESTINATION_V6, &wide(to).octets());
        }
    }
    let transport = match trace.protocol {
        Protocol::Udp => 17,
        // As it is after TLS, and in a WebSocket.
        Protocol::Tcp | Protocol::Tls | Protocol::Ws | Protocol::Wss => 6,
    };
    chunk(&mut out, TRANSPORT, &[transport]);
    chunk(&mut out, SOURCE_PORT, &source.port().to_be_bytes());
    chunk(
        &mut out,
        DESTINATION_PORT,
        &destination.port().to_be_bytes(),
    );
    // The protocol's clock has 32 bits.
    let seconds = u32::try_from(since_epoch.as_secs()).unwrap_or(u32::MAX);
    chunk(&mut out, SECONDS, &seconds.to_be_bytes());
    chunk(
        &mut out,
        MICROSECONDS,
        &since_epoch.subsec_micros().to_be_bytes(),
    );
    chunk(&mut out, KIND, &[SIP]);
    chunk(&mut out, AGENT, &agent.to_be_bytes());
    if let Some(key) = key {
        chunk(&mut out, KEY, key.as_bytes());
    }
    if let Some(id) = call_id(payload) {
        chunk(&mut out, CORRELATION, id);
    }
    chunk(&mut out, PAYLOAD, payload);
    let length = u16::try_from(out.len()).unwrap_or(u16::MAX);
    out[4..6].copy_from_slice(&length.to_be_bytes());
    out
}

/// A message without the keys in it: a caller may press them in secrecy.
fn without_keys(message: &[u8]) -> &[u8] {
    if !message.starts_with(b"INFO ") {
        return message;
    }
    let end = message.windows(4).position(|four| four == b"\r\n\r\n");
    end.map_or(message, |end| &message[..end + 4])
}

fn wide(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Vendor, kind, length with this head, value. What is longer than a head may be is left out.
fn chunk(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let Ok(length) = u16::try_from(value.len() + 6) else {
        return;
    };
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

/// The Call-ID, by which the server joins what belongs together; at most as long as the head has room for.
fn call_id(message: &[u8]) -> Option<&[u8]> {
    let lines = message.split(|byte| *byte == b'\n').skip(1);
    lines
        .take_while(|line| !line.trim_ascii().is_empty())
        .find_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            let name = name.trim_ascii();
            let is_it = name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i");
            is_it.then(|| value[1..].trim_ascii())
        })
        .filter(|id| id.len() <= HEAD_BYTES_MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(message: &[u8]) -> Trace {
        Trace {
            invite: None,
            account: None,
            sent: false,
            protocol: Protocol::Tls,
            local: SocketAddr::from(([192, 0, 2, 1], 5061)),
            remote: SocketAddr::from(([198, 51, 100, 7], 40_000)),
            retransmission: false,
            message: message.to_vec(),
        }
    }

    #[test]
    fn a_packet_is_as_long_as_it_says_and_goes_the_way_of_the_message() {
        let message = b"OPTIONS sip:a SIP/2.0\r\ni: abc@host\r\n\r\nbody";
        let time = Duration::new(1_700_000_000, 42_000);
        let packet = packet(&trace(message), time, 7, Some("pass"));
        assert_eq!(packet[..4], *b"HEP3");
        assert_eq!(
            usize::from(u16::from_be_bytes([packet[4], packet[5]])),
            packet.len()
        );
        let mut chunks = Vec::new();
        let mut rest = &packet[6..];
        while let [0, 0, kind_high, kind_low, high, low, ..] = *rest {
            let length = usize::from(u16::from_be_bytes([high, low]));
            chunks.push((
                u16::from_be_bytes([kind_high, kind_low]),
                rest[6..length].to_vec(),
            ));
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
        let value = |kind: u16| {
            let found = chunks.iter().find(|(one, _)| *one == kind);
            found.map(|(_, value)| value.as_slice())
        };
        assert_eq!(value(SOURCE_V4), Some(&[198, 51, 100, 7][..]));
        assert_eq!(value(DESTINATION_PORT), Some(&5_061_u16.to_be_bytes()[..]));
        assert_eq!(value(TRANSPORT), Some(&[6][..]));
        assert_eq!(value(MICROSECONDS), Some(&42_u32.to_be_bytes()[..]));
        assert_eq!(value(CORRELATION), Some(&b"abc@host"[..]));
        assert_eq!(value(KEY), Some(&b"pass"[..]));
        assert_eq!(value(PAYLOAD), Some(&message[..]));
    }

    #[test]
    fn keys_are_told_to_nobody() {
        let head = b"INFO sip:a SIP/2.0\r\nCall-ID: b\r\n\r\n";
        let pressed = [&head[..], b"Signal=7\r\nDuration=160"].concat();
        assert_eq!(without_keys(&pressed), head);
        let told = packet(&trace(&pressed), Duration::ZERO, 0, None);
        assert!(told.ends_with(head));
        let answer = b"SIP/2.0 200 OK\r\n\r\nbody";
        assert_eq!(without_keys(answer), answer);
    }

    #[test]
    fn what_is_no_message_has_no_correlation_and_what_is_long_is_cut() {
        assert_eq!(call_id(b""), None);
        assert_eq!(call_id(b"\r\n\r\n\x00\xff"), None);
        assert_eq!(call_id(b"INVITE\r\n\r\nCall-ID: in the body"), None);
        let long = packet(&trace(&[b'x'; 70_000]), Duration::ZERO, 0, None);
        assert!(long.len() <= PACKET_BYTES_MAX);
    }
}
