//! RTP packets: bounds-checked reading and writing of RFC 3550 section 5.1, with CSRC lists, extensions and padding.

#![warn(clippy::indexing_slicing)]

/// Length of the fixed header, bytes.
pub const HEADER_BYTES: usize = 12;

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// Fewer than 12 bytes.
    TooShort,
    /// Version is not 2.
    Version,
    /// The CSRC list passes the end.
    Csrc,
    /// The header extension passes the end.
    Extension,
    /// The padding count is zero or passes the payload.
    Padding,
}

/// The fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Marker: start of a talk spurt or of an event.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Media time, samples.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl Header {
    /// The twelve bytes of a header without CSRC, extension or padding.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.to_be_bytes();
        let second = (u8::from(self.marker) << 7) | (self.payload_type & 0x7F);
        [0x80, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]
    }
}

/// A packet read in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Fixed header.
    pub header: Header,
    /// Number of contributing sources.
    pub csrc_count: u8,
    /// Profile and data of the header extension.
    pub extension: Option<(u16, &'a [u8])>,
    /// Payload without padding.
    pub payload: &'a [u8],
}

/// Whether a datagram of a multiplexed port is RTCP (RFC 5761 section 4).
#[must_use]
pub fn is_rtcp(data: &[u8]) -> bool {
    data.get(1)
        .is_some_and(|second| (192..=223).contains(second))
}

/// Reads the fixed header and the length of header, CSRC list and extension: what SRTP leaves in the clear.
///
/// # Errors
/// See [`ParseError`].
pub fn parse_header(data: &[u8]) -> Result<(Header, usize), ParseError> {
    let Some(&[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]) =
        data.first_chunk::<HEADER_BYTES>()
    else {
        return Err(ParseError::TooShort);
    };
    if first >> 6 != 2 {
        return Err(ParseError::Version);
    }
    let mut len = HEADER_BYTES + usize::from(first & 0x0F) * 4;
    if data.len() < len {
        return Err(ParseError::Csrc);
    }
    if first & 0x10 != 0 {
        let words = data
            .get(len + 2..len + 4)
            .and_then(|bytes| bytes.first_chunk::<2>())
            .ok_or(ParseError::Extension)?;
        len += 4 + usize::from(u16::from_be_bytes(*words)) * 4;
        if data.len() < len {
            return Err(ParseError::Extension);
        }
    }
    let header = Header {
        marker: second & 0x80 != 0,
        payload_type: second & 0x7F,
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
    };
    Ok((header, len))
}

/// Reads a packet.
///
/// # Errors
/// See [`ParseError`].
pub fn parse(data: &[u8]) -> Result<Packet<'_>, ParseError> {
    let (header, header_len) = parse_header(data)?;
    let first = data.first().copied().unwrap_or_default();
    let csrc_count = first & 0x0F;
    let extension = if first & 0x10 == 0 {
        None
    } else {
        let start = HEADER_BYTES + usize::from(csrc_count) * 4;
        let profile = data
            .get(start..start + 2)
            .and_then(|bytes| bytes.first_chunk::<2>())
            .ok_or(ParseError::Extension)?;
        Some((
            u16::from_be_bytes(*profile),
            data.get(start + 4..header_len)
                .ok_or(ParseError::Extension)?,
        ))
    };
    let mut payload = data.get(header_len..).ok_or(ParseError::TooShort)?;
    if first & 0x20 != 0 {
        let padding = usize::from(payload.last().copied().ok_or(ParseError::Padding)?);
        let kept = payload
            .len()
            .checked_sub(padding)
            .filter(|_| padding > 0)
            .ok_or(ParseError::Padding)?;
        payload = payload.get(..kept).ok_or(ParseError::Padding)?;
    }
    Ok(Packet {
        header,
        csrc_count,
        extension,
        payload,
    })
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        marker: true,
        payload_type: 101,
        sequence: 65_535,
        timestamp: 0xDEAD_BEEF,
        ssrc: 7,
    };

    #[test]
    fn a_header_reads_back_as_written() {
        let mut data = HEADER.to_bytes().to_vec();
        data.extend([1, 2, 3]);
        let packet = parse(&data).unwrap();
        assert_eq!(
            packet,
            Packet {
                header: HEADER,
                csrc_count: 0,
                extension: None,
                payload: &[1, 2, 3]
            }
        );
    }

    #[test]
    fn csrc_extension_and_padding_are_taken_off() {
        let mut data = HEADER.to_bytes().to_vec();
        data[0] = 0x80 | 0x20 | 0x10 | 2;
        data.extend([9; 8]);
        data.extend([0xBE, 0xDE, 0, 1, 5, 6, 7, 8]);
        data.extend([1, 2, 3, 0, 0, 3]);
        let packet = parse(&data).unwrap();
        assert_eq!(packet.csrc_count, 2);
        assert_eq!(packet.extension, Some((0xBEDE, &[5, 6, 7, 8][..])));
        assert_eq!(packet.payload, &[1, 2, 3]);
    }

    #[test]
    fn every_truncation_and_every_first_byte_is_survived() {
        let mut data = HEADER.to_bytes().to_vec();
        data.extend([0xFF; 40]);
        for first in 0..=255 {
            data[0] = first;
            for len in 0..=data.len() {
                let _ = parse(&data[..len]);
            }
        }
        data[0] = 0x40;
        assert_eq!(parse(&data), Err(ParseError::Version));
        data[0] = 0x8F;
        assert_eq!(parse(&data[..40]), Err(ParseError::Csrc));
        data[0] = 0x90;
        assert_eq!(parse(&data), Err(ParseError::Extension));
        data[0] = 0xA0;
        assert_eq!(parse(&data), Err(ParseError::Padding));
        assert_eq!(parse(&data[..12]), Err(ParseError::Padding));
    }
}
