//! RTCP packets (RFC 3550 section 6): SR, RR, SDES and BYE written as a compound, read leniently. Of extended reports (RFC 3611) the VoIP
//! metrics are read.
//!
//! On receive a packet of reduced size (RFC 5506) is taken as well as a compound; unknown types are skipped.

#![warn(clippy::indexing_slicing)]

/// Packet types.
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const EXTENDED_REPORT: u8 = 207;
/// Type of the block of VoIP metrics (RFC 3611 section 4.7), and its length with its header, bytes.
const VOIP_METRICS: u8 = 7;
const VOIP_METRICS_BYTES: usize = 36;
/// Qualities that such a block can say, in tenths; 127 says that it knows none.
const MOS_10: std::ops::RangeInclusive<u8> = 10..=50;
/// Length of a report block, bytes.
const BLOCK_BYTES: usize = 24;
/// Longest canonical name that is written, bytes.
pub const CNAME_BYTES_MAX: usize = 255;

/// Why bytes are not RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// Fewer bytes than the header or the length field says.
    TooShort,
    /// Version is not 2.
    Version,
}

/// One report block (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// Source that is reported on.
    pub ssrc: u32,
    /// Loss since the last report, 1/256.
    pub fraction_lost: u8,
    /// Loss since the beginning, packets; negative with duplicates.
    pub lost: i32,
    /// Extended highest sequence number.
    pub highest_sequence: u32,
    /// Interarrival jitter, samples.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last SR, 0 when none.
    pub last_sr: u32,
    /// Delay since that SR, 1/65536 s.
    pub delay_since_sr: u32,
}

/// The sender part of an SR.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// NTP time, 32.32 fixed point.
    pub ntp: u64,
    /// The same time in media time, samples.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub bytes: u32,
}

/// What an extended report says of a voice (RFC 3611 section 4.7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VoipMetrics {
    /// Source that is reported on.
    pub ssrc: u32,
    /// Share of its packets that was lost since the beginning, 1/256.
    pub loss_rate: u8,
    /// Share that came too late to be played, 1/256.
    pub discard_rate: u8,
    /// Round trip, ms; `None` where it is not known.
    pub round_trip_ms: Option<u16>,
    /// Delay within the end system, ms: playout, coding, devices.
    pub end_system_delay_ms: u16,
    /// Listening quality, 10 to 50 for 1.0 to 5.0; `None` where it is not known.
    pub mos_lq_10: Option<u8>,
}

/// One packet of a compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// SR or RR.
    Report {
        /// Who reports.
        ssrc: u32,
        /// Present in an SR.
        sender: Option<SenderInfo>,
        /// The blocks.
        blocks: Blocks<'a>,
    },
    /// BYE, first source named.
    Goodbye {
        /// Who leaves.
        ssrc: Option<u32>,
    },
    /// Extended report.
    Extended {
        /// Its first block of VoIP metrics.
        voip: Option<VoipMetrics>,
    },
    /// Anything else, by its packet type.
    Other(u8),
}

/// Report blocks read in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [u8]);

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_first_chunk::<BLOCK_BYTES>()?;
        self.0 = rest;
        let word = |index: usize| read_u32(block, index * 4).unwrap_or_default();
        let loss = word(1);
        let [fraction_lost, ..] = loss.to_be_bytes();
        Some(ReportBlock {
            ssrc: word(0),
            fraction_lost,
            // Sign-extends the low 24 bits.
            lost: (loss << 8).cast_signed() >> 8,
            highest_sequence: word(2),
            jitter: word(3),
            last_sr: word(4),
            delay_since_sr: word(5),
        })
    }
}

/// The packets of a datagram.
#[derive(Debug, Clone, Copy)]
pub struct Packets<'a>(&'a [u8]);

/// Reads the packets of a datagram, compound or single.
#[must_use]
pub fn packets(data: &[u8]) -> Packets<'_> {
    Packets(data)
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        match parse_one(self.0) {
            Ok((packet, rest)) => {
                self.0 = rest;
                Some(Ok(packet))
            }
            Err(error) => {
                self.0 = &[];
                Some(Err(error))
            }
        }
    }
}

fn read_u32(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)
        .and_then(|rest| rest.first_chunk::<4>())
        .map(|bytes| u32::from_be_bytes(*bytes))
}

fn parse_one(data: &[u8]) -> Result<(Packet<'_>, &[u8]), ParseError> {
    let &[first, kind, l0, l1] = data.first_chunk::<4>().ok_or(ParseError::TooShort)?;
    if first >> 6 != 2 {
        return Err(ParseError::Version);
    }
    let len = usize::from(u16::from_be_bytes([l0, l1])) * 4 + 4;
    let (packet, rest) = data.split_at_checked(len).ok_or(ParseError::TooShort)?;
    let count = usize::from(first & 0x1F);
    let packet = match kind {
        SENDER_REPORT => Packet::Report {
            ssrc: read_u32(packet, 4).ok_or(ParseError::TooShort)?,
            sender: Some(sender_info(packet).ok_or(ParseError::TooShort)?),
            blocks: blocks(packet, 28, count),
        },
        RECEIVER_REPORT => Packet::Report {
            ssrc: read_u32(packet, 4).ok_or(ParseError::TooShort)?,
            sender: None,
            blocks: blocks(packet, 8, count),
        },
        GOODBYE => Packet::Goodbye {
            ssrc: read_u32(packet, 4).filter(|_| count > 0),
        },
        EXTENDED_REPORT => Packet::Extended {
            voip: voip_metrics(packet.get(8..).unwrap_or_default()),
        },
        other => Packet::Other(other),
    };
    Ok((packet, rest))
}

/// The first block of VoIP metrics among the blocks of an extended report.
fn voip_metrics(mut blocks: &[u8]) -> Option<VoipMetrics> {
    loop {
        let &[kind, _, l0, l1] = blocks.first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([l0, l1])) * 4 + 4;
        let (block, rest) = blocks.split_at_checked(len)?;
        if kind == VOIP_METRICS
            && let Some(block) = block.first_chunk::<VOIP_METRICS_BYTES>()
        {
            return Some(VoipMetrics {
                ssrc: u32::from_be_bytes([block[4], block[5], block[6], block[7]]),
                loss_rate: block[8],
                discard_rate: block[9],
                round_trip_ms: Some(u16::from_be_bytes([block[16], block[17]]))
                    .filter(|ms| *ms > 0),
                end_system_delay_ms: u16::from_be_bytes([block[18], block[19]]),
                mos_lq_10: Some(block[26]).filter(|mos| MOS_10.contains(mos)),
            });
        }
        blocks = rest;
    }
}

fn sender_info(packet: &[u8]) -> Option<SenderInfo> {
    let high = u64::from(read_u32(packet, 8)?);
    let low = u64::from(read_u32(packet, 12)?);
    Some(SenderInfo {
        ntp: (high << 32) | low,
        rtp_timestamp: read_u32(packet, 16)?,
        packets: read_u32(packet, 20)?,
        bytes: read_u32(packet, 24)?,
    })
}

fn blocks(packet: &[u8], start: usize, count: usize) -> Blocks<'_> {
    let all = packet.get(start..).unwrap_or_default();
    Blocks(all.get(..count * BLOCK_BYTES).unwrap_or(all))
}

/// What a compound says.
#[derive(Debug, Clone, Copy)]
pub struct Compound<'a> {
    /// Our source.
    pub ssrc: u32,
    /// Present: SR; absent: RR.
    pub sender: Option<SenderInfo>,
    /// What is received from the peer.
    pub block: Option<ReportBlock>,
    /// Canonical name, cut at [`CNAME_BYTES_MAX`].
    pub cname: &'a str,
    /// Whether a BYE closes the compound.
    pub bye: bool,
}

/// Writes a compound; `None` when the buffer is too small (at most 28 + 24 + 268 + 8 bytes are needed).
#[must_use]
pub fn write(compound: &Compound<'_>, buffer: &mut [u8]) -> Option<usize> {
    let mut writer = Writer { buffer, len: 0 };
    let count = u8::from(compound.block.is_some());
    let block_words: u16 = if compound.block.is_some() { 6 } else { 0 };
    match compound.sender {
        Some(sender) => {
            writer.header(count, SENDER_REPORT, 6 + block_words)?;
            writer.u32(compound.ssrc)?;
            writer.put(&sender.ntp.to_be_bytes())?;
            writer.u32(sender.rtp_timestamp)?;
            writer.u32(sender.packets)?;
            writer.u32(sender.bytes)?;
        }
        None => {
            writer.header(count, RECEIVER_REPORT, 1 + block_words)?;
            writer.u32(compound.ssrc)?;
        }
    }
    if let Some(block) = compound.block {
        let lost = block.lost.clamp(-0x0080_0000, 0x007F_FFFF).cast_unsigned() & 0x00FF_FFFF;
        writer.u32(block.ssrc)?;
        writer.u32((u32::from(block.fraction_lost) << 24) | lost)?;
        writer.u32(block.highest_sequence)?;
        writer.u32(block.jitter)?;
        writer.u32(block.last_sr)?;
        writer.u32(block.delay_since_sr)?;
    }
    let cname = compound.cname.as_bytes();
    let cname = cname.get(..CNAME_BYTES_MAX).unwrap_or(cname);
    // Chunk: source, item type, length, text, at least one zero, to a multiple of four.
    let chunk = (4 + 2 + cname.len() + 1).next_multiple_of(4);
    writer.header(1, SOURCE_DESCRIPTION, u16::try_from(chunk / 4).ok()?)?;
    writer.u32(compound.ssrc)?;
    writer.put(&[1, u8::try_from(cname.len()).ok()?])?;
    writer.put(cname)?;
    writer.put([0; 4].get(..chunk - 6 - cname.len())?)?;
    if compound.bye {
        writer.header(1, GOODBYE, 1)?;
        writer.u32(compound.ssrc)?;
    }
    Some(writer.len)
}

struct Writer<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.buffer
            .get_mut(self.len..self.len + bytes.len())?
            .copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }

    fn u32(&mut self, value: u32) -> Option<()> {
        self.put(&value.to_be_bytes())
    }

    fn header(&mut self, count: u8, kind: u8, words: u16) -> Option<()> {
        let [w0, w1] = words.to_be_bytes();
        self.put(&[0x80 | count, kind, w0, w1])
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: 0x0102_0304,
        fraction_lost: 25,
        lost: -3,
        highest_sequence: 0x0001_FFFF,
        jitter: 80,
        last_sr: 0xAABB_CCDD,
        delay_since_sr: 65_536,
    };
    const SENDER: SenderInfo = SenderInfo {
        ntp: 0x0123_4567_89AB_CDEF,
        rtp_timestamp: 160,
        packets: 5,
        bytes: 800,
    };

    fn write_to_vec(compound: &Compound<'_>) -> Vec<u8> {
        let mut buffer = [0; 512];
        let len = write(compound, &mut buffer).unwrap();
        buffer[..len].to_vec()
    }

    #[test]
    fn a_compound_reads_back() {
        for cname in ["", "a", "ab", "abc", "abcd", &"x".repeat(300)] {
            let data = write_to_vec(&Compound {
                ssrc: 9,
                sender: Some(SENDER),
                block: Some(BLOCK),
                cname,
                bye: true,
            });
            assert_eq!(data.len() % 4, 0);
            let read: Vec<_> = packets(&data).map(Result::unwrap).collect();
            let [
                Packet::Report {
                    ssrc: 9,
                    sender: Some(sender),
                    blocks,
                },
                Packet::Other(202),
                Packet::Goodbye { ssrc: Some(9) },
            ] = read[..]
            else {
                panic!("{read:?}");
            };
            assert_eq!(sender, SENDER);
            assert_eq!(blocks.collect::<Vec<_>>(), [BLOCK]);
        }
    }

    #[test]
    fn a_reduced_size_report_is_read() {
        let data = write_to_vec(&Compound {
            ssrc: 9,
            sender: None,
            block: Some(BLOCK),
            cname: "c",
            bye: false,
        });
        let mut read = packets(&data[..32]);
        assert!(matches!(
            read.next(),
            Some(Ok(Packet::Report { sender: None, .. }))
        ));
        assert!(read.next().is_none());
    }

    #[test]
    fn of_an_extended_report_the_voip_metrics_are_read() {
        // A block of receiver reference time (RFC 3611 section 4.4) stands before them.
        let mut data = vec![
            0x80, 207, 0, 13, 0, 0, 0, 9, 4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8,
        ];
        data.extend([7, 0, 0, 8, 0, 0, 0, 1, 26, 3, 0, 0, 0, 0, 0, 0]);
        data.extend([
            0, 120, 0, 45, 127, 127, 127, 16, 80, 127, 41, 127, 0, 0, 0, 60, 0, 80, 1, 0,
        ]);
        let metrics = |data: &[u8]| match packets(data).next() {
            Some(Ok(Packet::Extended { voip })) => voip,
            other => panic!("{other:?}"),
        };
        let known = VoipMetrics {
            ssrc: 1,
            loss_rate: 26,
            discard_rate: 3,
            round_trip_ms: Some(120),
            end_system_delay_ms: 45,
            mos_lq_10: Some(41),
        };
        assert_eq!(metrics(&data), Some(known));
        data[36..38].fill(0);
        data[46] = 127;
        let unknown = VoipMetrics {
            round_trip_ms: None,
            mos_lq_10: None,
            ..known
        };
        assert_eq!(metrics(&data), Some(unknown));
        // A scale from 1 to 5 has neither 0 nor 25.
        for mos in [0, 9, 51, 255] {
            data[46] = mos;
            assert_eq!(metrics(&data), Some(unknown), "{mos}");
        }
        // A block that says less than the metrics take is none of them.
        data[23] = 7;
        assert_eq!(metrics(&data), None);
        assert_eq!(metrics(&[0x80, 207, 0, 1, 0, 0, 0, 9]), None);
    }

    #[test]
    fn truncations_and_wild_counts_end_the_reading() {
        let mut data = write_to_vec(&Compound {
            ssrc: 9,
            sender: Some(SENDER),
            block: Some(BLOCK),
            cname: "c",
            bye: true,
        });
        for len in 0..data.len() {
            let _ = packets(&data[..len]).flatten().count();
        }
        data[0] = 0x9F;
        let Some(Ok(Packet::Report { blocks, .. })) = packets(&data).next() else {
            panic!()
        };
        assert_eq!(blocks.count(), 1);
        data[3] = 0xFF;
        assert_eq!(packets(&data).next(), Some(Err(ParseError::TooShort)));
        assert!(
            write(
                &Compound {
                    ssrc: 9,
                    sender: None,
                    block: None,
                    cname: "c",
                    bye: false
                },
                &mut [0; 10]
            )
            .is_none()
        );
    }
}
