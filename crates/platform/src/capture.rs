//! A call as a file that Wireshark opens: pcapng (draft-ietf-opsawg-pcapng), made from the journal and from the packets that were kept.
//!
//! A message that went by UDP is a packet again (IP and UDP headers of our own making around the text that was kept). One that went by TCP or
//! TLS has no packet of its own, and a made-up segment on port 5061 would be taken for ciphertext: it is an *exported PDU*, Wireshark's own
//! form for what was found inside a stream, with both addresses and the protocol by name. Packets of the audio ([`audio`]) are among them
//! where they were kept. A comment of the whole file says what it holds and what it does not.

mod audio;

use std::iter::from_fn;
use std::net::SocketAddr;

use etherparse::PacketBuilder;
use jiff::{SignedDuration, Timestamp};
use store::journal::{JournalEntry, SipMessage};

/// Link type of packets that begin with their IP header.
const RAW_IP: u16 = 101;
/// Link type of exported PDUs.
const EXPORTED_PDU: u16 = 252;
/// Hop limit of the packets; nothing reads it.
const HOPS: u8 = 64;

/// Tags of an exported PDU (Wireshark, `epan/exported_pdu.h`).
mod tag {
    pub(super) const DISSECTOR: u16 = 12;
    pub(super) const IPV4_SOURCE: u16 = 20;
    pub(super) const IPV4_DESTINATION: u16 = 21;
    pub(super) const IPV6_SOURCE: u16 = 22;
    pub(super) const IPV6_DESTINATION: u16 = 23;
    pub(super) const PORT_TYPE: u16 = 24;
    pub(super) const SOURCE_PORT: u16 = 25;
    pub(super) const DESTINATION_PORT: u16 = 26;
    /// Value of `PORT_TYPE`.
    pub(super) const TCP: u32 = 2;
}

/// The signalling alone; without a message it has none and is still a valid file.
pub(crate) fn signalling(began: Timestamp, events: &[JournalEntry]) -> Vec<u8> {
    file(
        "SIP messages; secrets are redacted",
        messages(began, events),
    )
}

/// The signalling, and what was kept of the audio.
pub(crate) fn whole(
    began: Timestamp,
    events: &[JournalEntry],
    blocks: &[(u64, Vec<u8>)],
) -> Vec<u8> {
    let mut messages = messages(began, events);
    messages.sort_by_key(|packet| packet.at);
    let mut messages = messages.into_iter().peekable();
    let (told, blocks) = audio::read(blocks);
    let mut audio = audio::packets(blocks).peekable();
    let in_order = from_fn(|| {
        // The messages of an instant come first: what they agree on is needed to read the audio.
        let heard = audio.peek().map(|packet| packet.at);
        let message = messages.next_if(|message| heard.is_none_or(|at| message.at <= at));
        message.or_else(|| audio.next())
    });
    file(&told.comment(), in_order)
}

/// One packet of the file.
struct Recorded {
    interface: u32,
    at: Timestamp,
    bytes: Vec<u8>,
    /// Its length on the wire, with the headers of the network.
    length: usize,
    note: Option<String>,
}

fn file(comment: &str, packets: impl IntoIterator<Item = Recorded>) -> Vec<u8> {
    let mut file = Vec::with_capacity(4_096);
    section(&mut file, comment);
    interface(&mut file, RAW_IP);
    interface(&mut file, EXPORTED_PDU);
    for packet in packets {
        enhanced(&mut file, &packet);
    }
    file
}

fn messages(began: Timestamp, events: &[JournalEntry]) -> Vec<Recorded> {
    let mut packets = Vec::new();
    for entry in events {
        let Some(message) = entry.event.as_sip_message() else {
            continue;
        };
        let at = i64::try_from(entry.at_ms).map_or(began, |after| {
            began
                .checked_add(SignedDuration::from_millis(after))
                .unwrap_or(began)
        });
        if let Some((interface, bytes)) = packet(message) {
            let by = message.protocol.to_uppercase();
            let note = if message.retransmission {
                format!("{by}, sent again; secrets are redacted")
            } else {
                format!("{by}; secrets are redacted")
            };
            packets.push(Recorded {
                interface,
                at,
                length: bytes.len(),
                bytes,
                note: Some(note),
            });
        }
    }
    packets
}

/// Number of its interface, and its bytes; nothing when its addresses are none.
fn packet(message: &SipMessage) -> Option<(u32, Vec<u8>)> {
    let (local, remote) = (address(&message.local)?, address(&message.remote)?);
    let (from, to) = if message.sent {
        (local, remote)
    } else {
        (remote, local)
    };
    if message.protocol == "udp" {
        Some((0, datagram(from, to, message.text.as_bytes())?))
    } else {
        Some((1, exported(from, to, message.text.as_bytes())))
    }
}

fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    let ip = match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), HOPS)
        }
        (from, to) => PacketBuilder::ipv6(v6(from), v6(to), HOPS),
    };
    let builder = ip.udp(from.port(), to.port());
    let mut packet = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut packet, payload).ok()?;
    Some(packet)
}

/// The address; one of IPv4 mapped, where its other end is one of IPv6.
fn v6(address: SocketAddr) -> [u8; 16] {
    match address {
        SocketAddr::V4(address) => address.ip().to_ipv6_mapped().octets(),
        SocketAddr::V6(address) => address.ip().octets(),
    }
}

fn exported(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + payload.len());
    let mut put = |tag: u16, value: &[u8]| {
        let padded = value.len().next_multiple_of(4);
        out.extend(tag.to_be_bytes());
        out.extend(u16::try_from(padded).unwrap_or_default().to_be_bytes());
        out.extend(value);
        out.resize(out.len() + padded - value.len(), 0);
    };
    put(tag::DISSECTOR, b"sip");
    match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            put(tag::IPV4_SOURCE, &from.ip().octets());
            put(tag::IPV4_DESTINATION, &to.ip().octets());
        }
        (from, to) => {
            put(tag::IPV6_SOURCE, &v6(from));
            put(tag::IPV6_DESTINATION, &v6(to));
        }
    }
    put(tag::PORT_TYPE, &tag::TCP.to_be_bytes());
    put(tag::SOURCE_PORT, &u32::from(from.port()).to_be_bytes());
    put(tag::DESTINATION_PORT, &u32::from(to.port()).to_be_bytes());
    put(0, &[]);
    out.extend(payload);
    out
}

/// A block: type, length, body, length.
fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX);
    file.extend(kind.to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(body);
    file.extend(length.to_le_bytes());
}

/// An option: code, length, value padded to four bytes.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
    body.extend(value);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

fn section(file: &mut Vec<u8>, comment: &str) {
    let mut body = Vec::new();
    body.extend(0x1A2B_3C4D_u32.to_le_bytes());
    body.extend(1_u16.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    body.extend((-1_i64).to_le_bytes());
    option(&mut body, 1, comment.as_bytes()); // opt_comment
    option(&mut body, 4, b"allo"); // shb_userappl
    option(&mut body, 0, b"");
    block(file, 0x0A0D_0D0A, &body);
}

fn interface(file: &mut Vec<u8>, link: u16) {
    let mut body = Vec::new();
    body.extend(link.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    body.extend(0_u32.to_le_bytes()); // no bound on the length of a packet
    block(file, 1, &body);
}

/// An enhanced packet block; the resolution of time is the default one, a microsecond.
fn enhanced(file: &mut Vec<u8>, packet: &Recorded) {
    let [low @ .., h0, h1, h2, h3] = packet.at.as_microsecond().max(0).to_le_bytes();
    let word = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut body = Vec::with_capacity(packet.bytes.len() + 96);
    body.extend(packet.interface.to_le_bytes());
    body.extend([h0, h1, h2, h3]);
    body.extend(low);
    body.extend(word(packet.bytes.len()));
    body.extend(word(packet.length));
    body.extend(&packet.bytes);
    pad(&mut body);
    if let Some(note) = &packet.note {
        option(&mut body, 1, note.as_bytes()); // opt_comment
        option(&mut body, 0, b"");
    }
    block(file, 6, &body);
}

#[cfg(test)]
mod tests {
    use store::Event;

    use super::*;

    fn message(protocol: &str, local: &str, remote: &str) -> JournalEntry {
        JournalEntry {
            seq: 0,
            at_ms: 1_250,
            wall: Timestamp::UNIX_EPOCH,
            event: Event::SipMessage(SipMessage {
                protocol: protocol.to_owned(),
                local: local.to_owned(),
                remote: remote.to_owned(),
                text: "BYE sip:a SIP/2.0\r\n\r\n".to_owned(),
                ..SipMessage::default()
            }),
        }
    }

    /// Kind and body of each block.
    fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
        let word = |at: usize, file: &[u8]| {
            u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"))
        };
        let mut found = Vec::new();
        while !file.is_empty() {
            let length = word(4, file) as usize;
            assert_eq!(length % 4, 0, "blocks are whole words");
            assert_eq!(word(length - 4, file) as usize, length, "both lengths");
            found.push((word(0, file), &file[8..length - 4]));
            file = &file[length..];
        }
        found
    }

    #[test]
    fn packets_have_the_call_s_own_time_and_direction() {
        let began = Timestamp::from_second(1_764_450_000).expect("a time");
        let events = [
            message("udp", "192.0.2.1:5060", "198.51.100.7:5062"),
            message("tls", "[2001:db8::1]:5061", "[2001:db8::2]:40000"),
            message("udp", "192.0.2.1:5060", "[2001:db8::2]:5060"),
            message("udp", "nowhere", "198.51.100.7:5062"),
        ];
        let file = signalling(began, &events);
        let blocks = blocks(&file);
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [0x0A0D_0D0A, 1, 1, 6, 6, 6]);
        let micros = (began.as_microsecond() + 1_250_000).to_le_bytes();
        let (_, first) = blocks[3];
        assert_eq!(&first[..4], 0_u32.to_le_bytes());
        assert_eq!((&first[4..8], &first[8..12]), (&micros[4..], &micros[..4]));
        // Received: from the peer to us.
        assert_eq!(&first[20 + 12..20 + 20], [198, 51, 100, 7, 192, 0, 2, 1]);
        let (_, second) = blocks[4];
        assert_eq!(&second[..4], 1_u32.to_le_bytes());
        assert_eq!(&second[20..28], [0, 12, 0, 4, b's', b'i', b'p', 0]);
        let (_, third) = blocks[5];
        assert_eq!(third[20] >> 4, 6, "one address of IPv6: both are");
    }

    #[test]
    fn a_call_without_messages_is_a_file_all_the_same() {
        let file = whole(Timestamp::UNIX_EPOCH, &[], &[]);
        assert_eq!(blocks(&file).len(), 3);
    }
}
