//! The packets of a call's audio in the file: their IP and UDP headers are of our own making around what was kept.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::{Peekable, from_fn};
use std::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};
use store::packet::{Packet, PacketContents, Packets, ReadBlock};

use super::{Recorded, datagram};

/// From the checksum of a UDP header to its end, bytes.
const CHECKSUM_BYTES: usize = 2;

/// What the file holds of the audio, and what it does not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    contents: PacketContents,
    encrypted: bool,
    packets: usize,
    skipped: u64,
    withheld: u64,
    /// Blocks that were not written, of an unknown number of packets.
    missing: u64,
}

impl Told {
    /// In the words of the comment.
    pub(super) fn comment(&self) -> String {
        let mut words = "SIP messages; secrets are redacted".to_owned();
        words += match self.contents {
            PacketContents::None => ". No packets of the audio were kept (rtp.capture)",
            PacketContents::Headers => {
                ". RTP headers without payload, and RTCP: nobody's voice is in this file"
            }
            PacketContents::Whole => {
                ". RTP and RTCP whole: people's voices are in this file, which is personal data"
            }
        };
        if self.contents != PacketContents::None {
            words += &format!(". Packets of the audio: {}", self.packets);
            words += &format!("; without a place: {}", self.skipped);
            if self.missing > 0 {
                words += &format!(", and those of {} lost blocks", self.missing);
            }
            words += &format!(
                "; left out while the caller typed in secrecy: {}",
                self.withheld
            );
        }
        if self.encrypted {
            words += ". Of encrypted audio the headers alone are kept, and no RTCP";
        }
        words
    }
}

/// Reads the blocks, and says what is in them.
pub(super) fn read(blocks: &[(u64, Vec<u8>)]) -> (Told, Vec<ReadBlock<'_>>) {
    let mut told = Told::default();
    let mut found = Vec::with_capacity(blocks.len());
    let mut expected = 0;
    for (seq, block) in blocks {
        told.missing += seq.saturating_sub(expected);
        expected = seq + 1;
        let Some(read) = ReadBlock::read(block) else {
            told.missing += 1;
            continue;
        };
        told.contents = told.contents.max(read.head.contents);
        told.encrypted |= read.head.encrypted;
        told.skipped += u64::from(read.skipped);
        told.withheld += u64::from(read.withheld);
        told.packets += read.packets().count();
        found.push(read);
    }
    (told, found)
}

/// The packets of the blocks, which are made one by one. Blocks of two legs overlap; the packets of each are in their order.
pub(super) fn packets(blocks: Vec<ReadBlock<'_>>) -> impl Iterator<Item = Recorded> {
    let mut next = BinaryHeap::with_capacity(blocks.len());
    let mut sources: Vec<(ReadBlock<'_>, Peekable<Packets<'_>>)> = blocks
        .into_iter()
        .map(|block| (block, block.packets().peekable()))
        .collect();
    for (index, (block, packets)) in sources.iter_mut().enumerate() {
        next.extend(
            packets
                .peek()
                .map(|first| Reverse((time(block, first), index))),
        );
    }
    from_fn(move || {
        let Reverse((at, index)) = next.pop()?;
        let (block, packets) = sources.get_mut(index)?;
        let packet = packets.next()?;
        next.extend(
            packets
                .peek()
                .map(|first| Reverse((time(block, first), index))),
        );
        Some(recorded(block, at, &packet))
    })
    .flatten()
}

fn time(block: &ReadBlock<'_>, packet: &Packet<'_>) -> Timestamp {
    let began = block.head.began;
    let after = SignedDuration::from_micros(i64::try_from(packet.at_us).unwrap_or(i64::MAX));
    began.checked_add(after).unwrap_or(began)
}

fn recorded(block: &ReadBlock<'_>, at: Timestamp, packet: &Packet<'_>) -> Option<Recorded> {
    let mut local = block.head.local;
    if packet.rtcp_port {
        local.set_port(block.head.rtcp_port);
    }
    let (from, to) = if packet.sent {
        (local, packet.remote)
    } else {
        (packet.remote, local)
    };
    let (bytes, length) = if packet.data.len() == usize::from(packet.length) {
        let bytes = datagram(from, to, packet.data)?;
        let length = bytes.len();
        (bytes, length)
    } else {
        cut(from, to, packet)?
    };
    Some(Recorded {
        interface: 0,
        at,
        bytes,
        length,
        note: None,
    })
}

/// A packet of which not everything was kept, and its length on the wire. Its checksum is not known: IPv4 can say so by a zero, IPv6 has none,
/// and of a packet that was cut it is not verified.
fn cut(from: SocketAddr, to: SocketAddr, packet: &Packet<'_>) -> Option<(Vec<u8>, usize)> {
    let mut payload = packet.data.to_vec();
    payload.resize(packet.length.into(), 0);
    let mut bytes = datagram(from, to, &payload)?;
    let length = bytes.len();
    let start = length - payload.len();
    let checksum = if from.is_ipv4() && to.is_ipv4() {
        [0, 0]
    } else {
        [0xFF, 0xFF]
    };
    bytes
        .get_mut(start - CHECKSUM_BYTES..start)?
        .copy_from_slice(&checksum);
    bytes.truncate(start + packet.data.len());
    Some((bytes, length))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use store::packet::{BlockHead, PacketBlock};

    use super::*;

    fn block(contents: PacketContents) -> PacketBlock {
        PacketBlock::new(BlockHead {
            contents,
            encrypted: false,
            local: SocketAddr::from(([192, 0, 2, 1], 4_000)),
            rtcp_port: 4_001,
            began: Timestamp::from_second(1_764_450_000).expect("a time"),
        })
    }

    fn packet(remote: &str, rtcp_port: bool) -> Packet<'static> {
        Packet {
            at_us: 20_000,
            sent: false,
            rtcp_port,
            remote: remote.parse().expect("an address"),
            length: 172,
            data: &[9; 12],
        }
    }

    #[test]
    fn a_cut_packet_is_as_long_as_it_was_and_goes_its_way() {
        let mut block = block(PacketContents::Headers);
        block.push(&packet("198.51.100.7:9000", false));
        block.push(&packet("[2001:db8::7]:9000", true));
        let blocks = [(0, block.take())];
        let (told, blocks) = read(&blocks);
        let found: Vec<_> = packets(blocks).collect();
        assert_eq!((told.packets, told.contents), (2, PacketContents::Headers));
        let [four, six] = &found[..] else {
            panic!("two packets");
        };
        assert_eq!((four.bytes.len(), four.length), (20 + 8 + 12, 20 + 8 + 172));
        assert_eq!(four.bytes[2..4], 200_u16.to_be_bytes(), "length of IP");
        assert_eq!(four.bytes[12..20], [198, 51, 100, 7, 192, 0, 2, 1]);
        assert_eq!(four.bytes[20..24], [35, 40, 15, 160], "9000 to 4000");
        assert_eq!(four.bytes[24..28], [0, 180, 0, 0], "of UDP, no checksum");
        assert_eq!(six.bytes[42..44], 4_001_u16.to_be_bytes());
        assert_eq!(six.bytes[46..48], [0xFF, 0xFF]);
        assert_eq!(four.at.as_millisecond(), 1_764_450_000_020);
    }

    #[test]
    fn blocks_of_two_legs_are_in_the_order_of_their_packets() {
        let (mut one, mut other) = (
            block(PacketContents::Headers),
            block(PacketContents::Headers),
        );
        for at_us in 0..6 {
            let into = if at_us % 2 == 0 { &mut one } else { &mut other };
            into.push(&Packet {
                at_us,
                ..packet("198.51.100.7:9000", false)
            });
        }
        let blocks = [(0, one.take()), (1, other.take())];
        let (_, blocks) = read(&blocks);
        let order = packets(blocks).map(|packet| packet.at.as_microsecond() % 10);
        assert_eq!(order.collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_file_says_what_is_missing() {
        let mut block = block(PacketContents::Whole);
        block.push(&packet("198.51.100.7:9000", false));
        block.withhold();
        let first = block.take();
        let blocks = [(0, first.clone()), (3, first), (4, vec![9])];
        let (told, _) = read(&blocks);
        assert_eq!((told.packets, told.withheld, told.missing), (2, 2, 3));
        let words = told.comment();
        assert!(words.contains("personal data") && words.contains("3 lost blocks"));
        assert!(words.contains("secrecy: 2"), "{words}");
    }
}
