//! The packets of a leg's audio, copied for Wireshark where the settings say so (`rtp.capture`).
//!
//! On the way of a packet there is a comparison and a copy into memory that is there: no lock, no allocation, no database. The call hands
//! full blocks to its journal, and what finds no room is counted.
//!
//! Voices are kept where the settings want them and the call may be recorded. While the caller types in secrecy voices are cut off their headers, and packets of any other payload type (keys, RFC 4733) are left out
//! whole. Of encrypted audio the headers alone are kept, which are in the clear; its reports are not readable and are left out.

use std::net::SocketAddr;
use std::time::Instant;

use jiff::Timestamp;
use media::{StreamConfig, rtp};
use store::packet::{BlockHead, Packet, PacketBlock, PacketContents};

use crate::veil::Veil;

/// See the module.
pub(crate) struct Tap {
    pub(crate) block: PacketBlock,
    /// What the times of its packets are counted from.
    pub(crate) began: Instant,
    /// The settings keep voices, and nobody has said yet whether this call's may be.
    wants_voices: bool,
    /// Payload type of the voice, once it is agreed.
    voice: Option<u8>,
    veil: Veil,
}

impl Tap {
    /// The tap of a leg, where packets are to be kept: headers, until [`Tap::allow_voices`].
    pub(super) fn wanted(
        contents: PacketContents,
        now: Instant,
        local: SocketAddr,
        rtcp_port: u16,
    ) -> Option<Box<Self>> {
        let head = BlockHead {
            contents: PacketContents::Headers,
            encrypted: false,
            local,
            rtcp_port,
            // The journal of the call says it: all that is told of a call has one clock.
            began: Timestamp::UNIX_EPOCH,
        };
        (contents != PacketContents::None).then(|| {
            Box::new(Self {
                block: PacketBlock::new(head),
                began: now,
                wants_voices: contents == PacketContents::Whole,
                voice: None,
                veil: Veil::default(),
            })
        })
    }

    /// The call may be recorded: what the settings want of its voices is kept from now on.
    pub(crate) fn allow_voices(&mut self) {
        if std::mem::take(&mut self.wants_voices) {
            self.block.keep_whole();
        }
    }

    /// What was agreed.
    pub(super) fn agreed(&mut self, config: &StreamConfig) {
        self.voice = Some(config.payload_type);
        self.block.set_encrypted(config.srtp.is_some());
    }

    /// The caller types in secrecy, or has done so.
    pub(crate) fn secure(&mut self, now: Instant, on: bool) {
        self.veil.set(now, on);
    }

    /// Takes a copy of a datagram as it is on the wire.
    pub(super) fn packet(
        &mut self,
        now: Instant,
        (sent, rtcp_port): (bool, bool),
        remote: SocketAddr,
        data: &[u8],
    ) {
        let encrypted = self.block.head().encrypted;
        let kept = if rtp::is_rtcp(data) {
            if encrypted {
                return;
            }
            data
        } else {
            let Ok((header, length)) = rtp::parse_header(data) else {
                return;
            };
            let secure = self.veil.covers(now);
            if secure && self.voice != Some(header.payload_type) {
                self.block.withhold();
                return;
            }
            let whole = self.block.head().contents == PacketContents::Whole;
            if whole && !secure && !encrypted {
                data
            } else {
                data.get(..length).unwrap_or_default()
            }
        };
        let since = now.saturating_duration_since(self.began).as_micros();
        self.block.push(&Packet {
            at_us: u64::try_from(since).unwrap_or(u64::MAX),
            sent,
            rtcp_port,
            remote,
            length: u16::try_from(data.len()).unwrap_or(u16::MAX),
            data: kept,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use media::{Codec, Keypad, LatchPolicy, OpusTerms, SrtpConfig, Treatment};
    use store::packet::ReadBlock;

    use super::*;

    const EVENTS: u8 = 101;

    fn config(srtp: Option<SrtpConfig>) -> StreamConfig {
        StreamConfig {
            codec: Codec::Pcmu,
            payload_type: 0,
            opus: OpusTerms::default(),
            amr: media::AmrTerms::default(),
            telephone_event: Some(EVENTS),
            keypad: Keypad::default(),
            treatment: Treatment::default(),
            event_clock_hz: 8_000,
            comfort_noise: None,
            ptime_ms: 20,
            remote: None,
            remote_rtcp: None,
            rtcp_mux: false,
            direction: media::Direction::SendRecv,
            srtp,
            latch: LatchPolicy::default(),
            cname: String::new(),
        }
    }

    /// Lengths of what is kept of a voice, a key, a report and what is none of them; with what was withheld.
    fn kept(tap: &mut Tap, now: Instant) -> (Vec<(u16, usize)>, u32) {
        let mut voice = vec![9; 172];
        let mut key = vec![9; 16];
        for (packet, kind) in [(&mut voice, 0), (&mut key, EVENTS)] {
            packet[..12].copy_from_slice(&[0x80, kind, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
        }
        let mut report = vec![0; 28];
        report[..2].copy_from_slice(&[0x80, 200]);
        let remote = SocketAddr::from(([198, 51, 100, 7], 9_000));
        for data in [&voice, &key, &report, &vec![0; 40]] {
            tap.packet(now, (false, false), remote, data);
        }
        let block = tap.block.take();
        let read = ReadBlock::read(&block).expect("a block");
        let lengths = read.packets().map(|one| (one.length, one.data.len()));
        (lengths.collect(), read.withheld)
    }

    fn tap(contents: PacketContents, now: Instant) -> Box<Tap> {
        let local = SocketAddr::from(([192, 0, 2, 1], 4_000));
        let mut tap = Tap::wanted(contents, now, local, 4_001).expect("a tap");
        tap.agreed(&config(None));
        tap.allow_voices();
        tap
    }

    #[test]
    fn headers_are_headers_and_everything_is_everything() {
        let now = Instant::now();
        let mut headers = tap(PacketContents::Headers, now);
        assert_eq!(
            kept(&mut headers, now),
            (vec![(172, 12), (16, 12), (28, 28)], 0)
        );
        let mut whole = tap(PacketContents::Whole, now);
        assert_eq!(
            kept(&mut whole, now),
            (vec![(172, 172), (16, 16), (28, 28)], 0)
        );
        let local = SocketAddr::from(([192, 0, 2, 1], 4_000));
        assert!(Tap::wanted(PacketContents::None, now, local, 0).is_none());
    }

    #[test]
    fn no_voice_is_kept_of_a_call_that_may_not_be_recorded() {
        let now = Instant::now();
        let local = SocketAddr::from(([192, 0, 2, 1], 4_000));
        let mut tap = Tap::wanted(PacketContents::Whole, now, local, 4_001).expect("a tap");
        tap.agreed(&config(None));
        let headers = vec![(172, 12), (16, 12), (28, 28)];
        assert_eq!(kept(&mut tap, now), (headers, 0));
        assert_eq!(tap.block.head().contents, PacketContents::Headers);
    }

    #[test]
    fn in_secrecy_no_voice_and_no_key_is_kept() {
        let now = Instant::now();
        for contents in [PacketContents::Headers, PacketContents::Whole] {
            let mut tap = tap(contents, now);
            tap.secure(now, true);
            assert_eq!(kept(&mut tap, now), (vec![(172, 12), (28, 28)], 1));
            tap.secure(now, false);
            let late = now + Duration::from_millis(599);
            assert_eq!(kept(&mut tap, late), (vec![(172, 12), (28, 28)], 1));
            let over = now + Duration::from_millis(600);
            assert_eq!(kept(&mut tap, over).0.len(), 3);
        }
    }

    #[test]
    fn of_encrypted_audio_the_headers_alone_are_kept() {
        let now = Instant::now();
        let mut tap = tap(PacketContents::Whole, now);
        tap.agreed(&config(Some(SrtpConfig::awaited())));
        assert_eq!(kept(&mut tap, now), (vec![(172, 12), (16, 12)], 0));
    }
}
