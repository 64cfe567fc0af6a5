//! A packet of AMR-WB (RFC 4867 section 4): a request, the table of contents, the frames; by octets or by bits. No copies, no interleaving,
//! no checksums: offers with these are refused.

use super::terms::AmrTerms;

/// A frame that describes noise.
pub(crate) const SID: u8 = 9;
/// Speech that was lost on its way to the sender.
pub(crate) const LOST: u8 = 14;
/// Nothing was sent.
const NO_DATA: u8 = 15;
/// Asks for no rate.
const NO_REQUEST: u8 = 15;
/// Most frames of a packet (240 ms).
pub(crate) const FRAMES_MAX: usize = 12;
/// Bytes of the longest frame.
pub(crate) const FRAME_BYTES_MAX: usize = 60;
/// Bits of a frame at each rate, and of one that describes noise.
const BITS: [usize; 10] = [132, 177, 253, 285, 317, 365, 397, 461, 477, 40];

/// One frame of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// 0 to 8: speech of a rate; [`SID`], [`LOST`], or nothing.
    pub(crate) kind: u8,
    /// Not damaged on its way to the sender.
    pub(crate) is_good: bool,
    /// Place of its first bit.
    at: usize,
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            kind: NO_DATA,
            is_good: true,
            at: 0,
        }
    }
}

/// What a packet holds.
#[derive(Debug)]
pub(crate) struct Packet {
    frames: [Frame; FRAMES_MAX],
    count: usize,
}

impl Packet {
    pub(crate) fn frames(&self) -> &[Frame] {
        &self.frames[..self.count]
    }
}

fn bits(kind: u8) -> usize {
    BITS.get(usize::from(kind)).copied().unwrap_or(0)
}

/// Looks through a packet; `None` for what is none.
pub(crate) fn read(terms: AmrTerms, packet: &[u8]) -> Option<Packet> {
    let octets = terms.octet_aligned;
    let mut read = Packet {
        frames: [Frame::default(); FRAMES_MAX],
        count: 0,
    };
    // The request is four bits, an entry six; padded to octets where so agreed.
    let (mut at, entry) = if octets { (8, 8) } else { (4, 6) };
    loop {
        let contents = take(packet, at, 6)?;
        at += entry;
        let kind = contents >> 1 & 0b1111;
        // Those between are of no use yet; a packet with one is dropped (RFC 4867 section 4.3.2).
        if kind > SID && kind < LOST {
            return None;
        }
        let frame = read.frames.get_mut(read.count)?;
        frame.kind = kind;
        frame.is_good = contents & 1 != 0;
        read.count += 1;
        if contents & 0b10_0000 == 0 {
            break;
        }
    }
    for frame in &mut read.frames[..read.count] {
        frame.at = at;
        let len = bits(frame.kind);
        at += if octets { len.next_multiple_of(8) } else { len };
    }
    (at <= packet.len() * 8).then_some(read)
}

/// The bits of a frame, from the first of a byte on.
pub(crate) fn bits_of<'a>(
    frame: &Frame,
    packet: &[u8],
    into: &'a mut [u8; FRAME_BYTES_MAX],
) -> &'a [u8] {
    let len = bits(frame.kind);
    let bytes = len.div_ceil(8);
    for (index, byte) in into[..bytes].iter_mut().enumerate() {
        let count = (len - index * 8).min(8);
        let value = take(packet, frame.at + index * 8, count).unwrap_or_default();
        *byte = value << (8 - count);
    }
    &into[..bytes]
}

/// Writes a packet of our frames; its length.
pub(crate) fn write(
    terms: AmrTerms,
    frames: &[Frame],
    coded: &[Vec<u8>],
    out: &mut [u8],
) -> Option<usize> {
    let octets = terms.octet_aligned;
    let (request, entry) = if octets { (8, 8) } else { (4, 6) };
    let len: usize = frames
        .iter()
        .map(|frame| {
            let len = bits(frame.kind);
            entry + if octets { len.next_multiple_of(8) } else { len }
        })
        .sum();
    let len = (request + len).div_ceil(8);
    let out = out.get_mut(..len)?;
    out.fill(0);
    put(out, 0, 4, NO_REQUEST);
    let mut at = request;
    for (index, frame) in frames.iter().enumerate() {
        let follows = u8::from(index + 1 < frames.len());
        let contents = follows << 5 | frame.kind << 1 | u8::from(frame.is_good);
        put(out, at, 6, contents);
        at += entry;
    }
    for (frame, coded) in frames.iter().zip(coded) {
        let len = bits(frame.kind);
        for (index, byte) in coded.iter().enumerate().take(len.div_ceil(8)) {
            let count = (len - index * 8).min(8);
            put(out, at + index * 8, count, byte >> (8 - count));
        }
        at += if octets { len.next_multiple_of(8) } else { len };
    }
    Some(len)
}

/// Up to eight bits from a place on.
fn take(from: &[u8], at: usize, count: usize) -> Option<u8> {
    let first = u16::from(*from.get(at / 8)?);
    let second = from.get(at / 8 + 1).copied();
    let is_over = at % 8 + count > 8;
    if is_over && second.is_none() {
        return None;
    }
    let both = first << 8 | u16::from(second.unwrap_or_default());
    let [high, _] = (both << (at % 8)).to_be_bytes();
    Some(
        high.checked_shr(u32::try_from(8 - count).ok()?)
            .unwrap_or_default(),
    )
}

/// Writes up to eight bits at a place that holds zeroes.
fn put(to: &mut [u8], at: usize, count: usize, value: u8) {
    let [first, second] = (u16::from(value) << (16 - count) >> (at % 8)).to_be_bytes();
    if let Some(byte) = to.get_mut(at / 8) {
        *byte |= first;
    }
    if let Some(byte) = to.get_mut(at / 8 + 1) {
        *byte |= second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(octet_aligned: bool) -> AmrTerms {
        AmrTerms {
            octet_aligned,
            ..AmrTerms::default()
        }
    }

    fn frame(kind: u8) -> Frame {
        Frame {
            kind,
            ..Frame::default()
        }
    }

    #[test]
    fn what_is_written_is_read_by_octets_and_by_bits() {
        for octet_aligned in [true, false] {
            let frames = [frame(2), frame(0), frame(8)];
            let coded: Vec<Vec<u8>> = frames
                .iter()
                .map(|frame| {
                    let len = bits(frame.kind);
                    let mut coded: Vec<u8> = (1..).take(len.div_ceil(8)).collect();
                    *coded.last_mut().unwrap() = 0xFF << (len.next_multiple_of(8) - len);
                    coded
                })
                .collect();
            let mut out = [0xAA; 200];
            let len = write(terms(octet_aligned), &frames, &coded, &mut out).unwrap();
            // RFC 4867 sections 4.3 and 4.4: 4 + 3 × 6 + 862 bits, or 1 + 3 + 32 + 17 + 60 octets.
            assert_eq!(len, if octet_aligned { 113 } else { 111 });
            let packet = &out[..len];
            let read = read(terms(octet_aligned), packet).unwrap();
            assert_eq!(read.frames().len(), 3);
            let mut into = [0; FRAME_BYTES_MAX];
            for ((found, sent), coded) in read.frames().iter().zip(&frames).zip(&coded) {
                assert_eq!((found.kind, found.is_good), (sent.kind, true));
                assert_eq!(bits_of(found, packet, &mut into), coded);
            }
        }
    }

    #[test]
    fn headers_are_those_of_the_rfc() {
        let mut out = [0; 64];
        let coded = [vec![0xFF; 32]];
        // Octets: request 15, entry F=0 FT=2 Q=1. Bits: 1111 0 0010 1 1…
        assert_eq!(
            write(terms(true), &[frame(2)], &coded, &mut out),
            Some(33 + 1)
        );
        assert_eq!(out[..3], [0xF0, 0b0001_0100, 0xFF]);
        assert_eq!(write(terms(false), &[frame(2)], &coded, &mut out), Some(33));
        assert_eq!(out[..2], [0b1111_0001, 0b0111_1111]);
    }

    #[test]
    fn what_is_no_packet_is_none() {
        for octet_aligned in [true, false] {
            let terms = terms(octet_aligned);
            for packet in [&[][..], &[0xF0], &[0xF0, 0x14], &[0xF0, 0x50, 0, 0]] {
                assert!(read(terms, packet).is_none(), "{packet:?}");
            }
            assert!(
                read(terms, &[0xFF; 400]).is_none(),
                "a table without an end"
            );
        }
        // Nothing to say is a packet too: FT=15.
        let read = read(terms(true), &[0xF0, 0b0111_1100]).unwrap();
        assert_eq!(
            read.frames(),
            [Frame {
                at: 16,
                ..frame(NO_DATA)
            }]
        );
    }
}
