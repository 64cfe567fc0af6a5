//! The sending half of a stream: one packet per tick by absolute deadlines.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::StreamConfig;
use crate::dtmf::{DtmfSender, DtmfTick};
use crate::frame::{FRAME_MS, FRAME_SAMPLES};
use crate::playout::Playout;
use crate::recording::Recording;
use crate::rtp::{HEADER_BYTES, Header};
use crate::srtp::{OVERHEAD_BYTES_MAX, SrtpContext};

/// Ticks that a late shell catches up at once; earlier ones are skipped and media time goes on.
pub const CATCH_UP_TICKS_MAX: u32 = 5;
/// Most frames in a packet (60 ms).
pub const PACKET_FRAMES_MAX: usize = 3;

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct OutboundCounters {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) ticks_skipped: u64,
}

#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) ssrc: u32,
    sequence: u16,
    /// Media time of the next tick.
    timestamp: u32,
    pub(super) started_at: Option<Instant>,
    pub(super) next_tick: Option<Instant>,
    due: u32,
    /// Ticks until the next packet, with more than one frame a packet.
    until_packet: usize,
    /// The next audio packet starts a talk spurt.
    marker: bool,
    was_audio: bool,
    /// Inner `None`: the key is unusable and nothing is sent.
    pub(super) srtp: Option<Option<SrtpContext>>,
    pub(super) playout: Playout,
    pub(super) dtmf: DtmfSender,
    pub(super) counters: OutboundCounters,
}

impl Outbound {
    pub(super) fn new(config: &StreamConfig, random: (u32, u32)) -> Self {
        let [s0, s1, ..] = random.0.rotate_left(7).to_be_bytes();
        Self {
            ssrc: random.0,
            // Below half the range: the first rollover is far, which SRTP peers that join late need (RFC 3711 3.3.1).
            sequence: u16::from_be_bytes([s0, s1]) & 0x7FFF,
            timestamp: random.1,
            started_at: None,
            next_tick: None,
            due: 0,
            until_packet: 0,
            marker: true,
            was_audio: false,
            srtp: config
                .srtp
                .as_ref()
                .map(|srtp| SrtpContext::new(srtp.suite, &srtp.local_key)),
            playout: Playout::new(config.codec),
            dtmf: DtmfSender::new(),
            counters: OutboundCounters::default(),
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        if self.started_at.is_none() {
            self.started_at = Some(now);
            self.next_tick = Some(now);
        }
    }

    pub(super) fn stop(&mut self) {
        self.next_tick = None;
        self.due = 0;
    }

    /// Makes the ticks due that have come; how many of them are skipped.
    pub(super) fn advance(&mut self, now: Instant, recording: Option<&mut Recording>) {
        let Some(next) = self.next_tick else { return };
        let Some(behind) = now.checked_duration_since(next) else {
            return;
        };
        let ticks =
            u32::try_from(behind.as_millis() / u128::from(FRAME_MS)).unwrap_or(u32::MAX - 1) + 1;
        self.next_tick = Some(next + Duration::from_millis(u64::from(FRAME_MS)) * ticks);
        self.due += ticks;
        let skipped = self.due.saturating_sub(CATCH_UP_TICKS_MAX);
        if skipped > 0 {
            self.due -= skipped;
            self.timestamp = self.timestamp.wrapping_add(skipped.wrapping_mul(160));
            self.counters.ticks_skipped += u64::from(skipped);
            self.marker = true;
            if let Some(recording) = recording {
                recording.push_silence(skipped);
                recording.tick(skipped);
            }
        }
    }

    /// Carries out the due ticks up to the next that makes a packet; its length.
    pub(super) fn poll(
        &mut self,
        config: &StreamConfig,
        destination: Option<SocketAddr>,
        buffer: &mut [u8],
        mut recording: Option<&mut Recording>,
    ) -> Option<usize> {
        while self.due > 0 {
            self.due -= 1;
            if let Some(recording) = &mut recording {
                recording.tick(1);
            }
            if self.until_packet > 0 {
                self.until_packet -= 1;
                continue;
            }
            let frames = frames_per_packet(config.ptime_ms);
            self.until_packet = frames - 1;
            let usable = destination.is_some()
                && config.direction.sends()
                && !matches!(self.srtp, Some(None));
            let len = if usable {
                self.packet(config, frames, buffer, recording.as_deref_mut())
            } else {
                None
            };
            self.timestamp = self.timestamp.wrapping_add(samples_of(frames));
            if len.is_some() {
                return len;
            }
            // What was not sent is a pause for the peer.
            self.marker = true;
            if let Some(recording) = &mut recording {
                recording.push_silence(u32::try_from(frames).unwrap_or(1));
            }
        }
        None
    }

    fn packet(
        &mut self,
        config: &StreamConfig,
        frames: usize,
        buffer: &mut [u8],
        recording: Option<&mut Recording>,
    ) -> Option<usize> {
        let audio_len = frames * FRAME_SAMPLES;
        if buffer.len() < HEADER_BYTES + audio_len + OVERHEAD_BYTES_MAX {
            return None;
        }
        let mut header = Header {
            marker: self.marker,
            payload_type: config.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        let payload = &mut buffer[HEADER_BYTES..HEADER_BYTES + audio_len];
        let mut payload_len = audio_len;
        let mut audio = false;
        match (self.dtmf.tick(samples_of(frames)), config.telephone_event) {
            (DtmfTick::Event(event), Some(payload_type)) => {
                payload[..4].copy_from_slice(&event.payload.to_bytes());
                payload_len = 4;
                header.payload_type = payload_type;
                header.marker = event.marker;
                header.timestamp = self.timestamp.wrapping_sub(event.began);
                self.marker = true;
                if let Some(recording) = recording {
                    recording.push_silence(u32::try_from(frames).unwrap_or(1));
                }
            }
            (DtmfTick::Event(_) | DtmfTick::Gap, _) => {
                payload.fill(config.codec.silence());
                self.marker = false;
                if let Some(recording) = recording {
                    recording.push_agent(payload);
                }
            }
            (DtmfTick::Idle, _) => {
                audio = self.playout.fill(payload);
                header.marker = self.marker || (audio && !self.was_audio);
                self.marker = false;
                if let Some(recording) = recording {
                    recording.push_agent(payload);
                }
            }
        }
        self.was_audio = audio;
        buffer[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.counters.packets += 1;
        self.counters.bytes += payload_len as u64;
        let len = HEADER_BYTES + payload_len;
        match &mut self.srtp {
            Some(Some(srtp)) => srtp.protect_rtp(buffer, len),
            Some(None) => None,
            None => Some(len),
        }
    }

    /// Media time at `now`, for a sender report.
    pub(super) fn timestamp_at(&self, now: Instant) -> u32 {
        let Some(next) = self.next_tick else {
            return self.timestamp;
        };
        let ahead = crate::reception::samples(next.saturating_duration_since(now));
        self.timestamp.wrapping_sub(ahead)
    }
}

fn frames_per_packet(ptime_ms: u32) -> usize {
    usize::try_from(ptime_ms / FRAME_MS)
        .unwrap_or(1)
        .clamp(1, PACKET_FRAMES_MAX)
}

fn samples_of(frames: usize) -> u32 {
    u32::try_from(frames * FRAME_SAMPLES).unwrap_or_default()
}
