//! The receiving half of a stream: who sends, is it proved, which content, then to the receiver.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{StreamConfig, StreamEvent};
use crate::dtmf::DtmfReceiver;
use crate::frame::{Codec, Form};
use crate::latch::{Claim, Latch, Verdict};
use crate::receiver::{Content, Incoming, Pushed, Receiver};
use crate::reception::Reception;
use crate::rtp;
use crate::srtp::{SrtpContext, SrtpError};
use crate::{amr, coder};

/// Strangers that are named in an event, per stream.
pub const REFUSED_SOURCES_MAX: usize = 8;
/// Audio that a peer may be ahead of real time (after a stall of the network), ticks of 8 kHz (2 s).
pub const AHEAD_SAMPLES_MAX: u64 = 16_000;
/// Static payload type of comfort noise (RFC 3551).
const COMFORT_NOISE: u8 = 13;

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct InboundCounters {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) refused: u64,
    pub(super) srtp_failures: u64,
    pub(super) srtp_replays: u64,
    pub(super) ssrc_changes: u32,
    pub(super) jitter_ms_max: f64,
}

/// What a peer may send: real time, five per cent, and what a stall held back. More would flood the engine.
#[derive(Debug)]
struct Allowance {
    samples: u64,
    at: Instant,
}

impl Allowance {
    fn take(&mut self, now: Instant, samples: usize) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_micros() * 84 / 10_000;
        if elapsed > 0 {
            let earned = u64::try_from(elapsed).unwrap_or(AHEAD_SAMPLES_MAX);
            self.samples = self.samples.saturating_add(earned).min(AHEAD_SAMPLES_MAX);
            self.at = now;
        }
        let left = self.samples.checked_sub(samples as u64);
        self.samples = left.unwrap_or(self.samples);
        left.is_some()
    }
}

/// The peer's media time, told in ticks of 8 kHz.
#[derive(Debug)]
struct MediaClock {
    /// Steps of the peer's clock in a tick.
    per_tick: u32,
    /// A time of the peer and the tick that it is.
    known: Option<(u32, u32)>,
}

impl MediaClock {
    fn new(config: &StreamConfig) -> Self {
        Self {
            per_tick: super::clock_per_tick(config),
            known: None,
        }
    }

    fn ticks(&mut self, timestamp: u32) -> u32 {
        if self.per_tick == 1 {
            return timestamp;
        }
        let (time, tick) = self.known.unwrap_or((timestamp, timestamp / self.per_tick));
        let per_tick = i64::from(self.per_tick);
        let step = i64::from(timestamp.wrapping_sub(time).cast_signed()).div_euclid(per_tick);
        let wrapped = |value: i64| u32::try_from(value & 0xFFFF_FFFF).unwrap_or_default();
        let tick = tick.wrapping_add(wrapped(step));
        // The rest of the division stays in the difference to the next time.
        self.known = Some((time.wrapping_add(wrapped(step * per_tick)), tick));
        tick
    }
}

#[derive(Debug)]
pub(super) struct Inbound {
    epoch: Instant,
    clock: MediaClock,
    pub(super) latch: Latch,
    /// Inner `None`: the key is unusable and nothing can be proved.
    pub(super) srtp: Option<Option<SrtpContext>>,
    pub(super) receiver: Receiver,
    pub(super) reception: Option<Reception>,
    pub(super) dtmf: DtmfReceiver,
    /// Source, and the sequence number that would confirm it as the new one.
    doubt: Option<(u32, u16)>,
    refused: Vec<SocketAddr>,
    allowance: Allowance,
    pub(super) heard_at: Option<Instant>,
    /// The rate that the peer asks of what we send.
    pub(super) request: Option<u8>,
    pub(super) counters: InboundCounters,
}

impl Inbound {
    pub(super) fn new(epoch: Instant, config: &StreamConfig, noise_seed: u32) -> Self {
        Self {
            epoch,
            clock: MediaClock::new(config),
            latch: Latch::new(config.latch, config.remote, config.direction.receives()),
            srtp: config
                .srtp
                .as_ref()
                .map(|srtp| SrtpContext::new(srtp.suite, &srtp.remote_key)),
            receiver: Receiver::new(config.codec, config.into(), noise_seed),
            reception: None,
            dtmf: DtmfReceiver::new(config.event_clock_hz),
            doubt: None,
            refused: Vec::new(),
            allowance: Allowance {
                samples: AHEAD_SAMPLES_MAX,
                at: epoch,
            },
            heard_at: None,
            request: None,
            counters: InboundCounters::default(),
        }
    }

    /// Applies a re-negotiation.
    pub(super) fn agree(&mut self, config: &StreamConfig) {
        self.receiver.set_codec(config.codec, config.into());
        self.dtmf.set_clock(config.event_clock_hz);
        let clock = MediaClock::new(config);
        if clock.per_tick != self.clock.per_tick {
            self.clock = clock;
            // Media time begins anew in another clock.
            self.receiver.restart();
        }
    }

    pub(super) fn jitter_ms(&self) -> f64 {
        self.reception.as_ref().map_or(0.0, Reception::jitter_ms)
    }

    /// A datagram that is not RTCP.
    pub(super) fn handle_rtp(
        &mut self,
        now: Instant,
        config: &StreamConfig,
        source: SocketAddr,
        data: &mut [u8],
        events: &mut VecDeque<StreamEvent>,
    ) {
        if !self.latch.may_accept(now, source) {
            self.refuse(source, events);
            return;
        }
        let Some(len) = self.unprotect(data, events) else {
            return;
        };
        let Ok(packet) = rtp::parse(&data[..len]) else {
            self.counters.refused += 1;
            return;
        };
        let header = packet.header;
        let content = content_of(config, header.payload_type, packet.payload);
        if content.is_none() && self.latch.latched() != Some(source) {
            self.counters.refused += 1;
            return;
        }
        let claim = Claim {
            ssrc: header.ssrc,
            sequence: header.sequence,
            authenticated: self.srtp.is_some(),
        };
        let moved = match self.latch.judge(now, source, claim) {
            Verdict::Accept => false,
            Verdict::Latched => {
                super::push_event(events, StreamEvent::Latched { from: source });
                true
            }
            Verdict::Probation => return,
            Verdict::Refuse => {
                self.refuse(source, events);
                return;
            }
        };
        if !self.admit(now, header, moved) {
            return;
        }
        let ticks = match content {
            Some(Content::Audio(_, ticks)) => Some(ticks),
            Some(Content::Noise(_) | Content::Nothing) | None => None,
        };
        if ticks.is_some_and(|ticks| !self.allowance.take(now, ticks)) {
            self.counters.refused += 1;
            return;
        }
        self.heard_at = Some(now);
        if content.is_some_and(|content| matches!(content, Content::Audio(Codec::AmrWb, _))) {
            self.request = amr::request_of(packet.payload);
        }
        self.counters.packets += 1;
        self.counters.bytes += packet.payload.len() as u64;
        let timestamp = self.clock.ticks(header.timestamp);
        let is_event = config.telephone_event == Some(header.payload_type);
        if is_event {
            self.dtmf
                .handle(now, header.marker, timestamp, packet.payload);
        }
        let content = content
            .filter(|_| config.direction.receives())
            .unwrap_or(Content::Nothing);
        let incoming = Incoming {
            sequence: header.sequence,
            timestamp,
            content,
            payload: packet.payload,
        };
        self.deliver(now, &incoming);
    }

    fn deliver(&mut self, now: Instant, incoming: &Incoming<'_>) {
        let jitter_ms = self.jitter_ms();
        let pushed = self.receiver.push(now, incoming, jitter_ms);
        let Some(reception) = &mut self.reception else {
            return;
        };
        match pushed {
            Pushed::Taken => {}
            Pushed::Doubted => return,
            Pushed::Restarted => reception.restart(incoming.sequence),
        }
        let timed = matches!(incoming.content, Content::Audio(..));
        let since_epoch = now.saturating_duration_since(self.epoch);
        reception.count(
            since_epoch,
            incoming.sequence,
            timed.then_some(incoming.timestamp),
        );
        self.counters.jitter_ms_max = self.counters.jitter_ms_max.max(reception.jitter_ms());
    }

    /// Whether a packet's source is the one that is heard. A new one must send twice in a row (RFC 3550 A.1).
    fn admit(&mut self, now: Instant, header: rtp::Header, moved: bool) -> bool {
        let Some(known) = self.reception.as_ref().map(Reception::ssrc) else {
            self.reception = Some(Reception::new(header.ssrc, header.sequence));
            return true;
        };
        if known == header.ssrc {
            self.doubt = None;
            return true;
        }
        if !moved && self.doubt != Some((header.ssrc, header.sequence)) {
            self.doubt = Some((header.ssrc, header.sequence.wrapping_add(1)));
            return false;
        }
        self.doubt = None;
        self.clock.known = None;
        self.counters.ssrc_changes += 1;
        // Another place is another scene; the same one goes on.
        if moved {
            self.receiver.restart();
        } else {
            self.receiver.restart_at_once(now);
        }
        self.dtmf.restart();
        self.reception = Some(Reception::new(header.ssrc, header.sequence));
        true
    }

    fn unprotect(&mut self, data: &mut [u8], events: &mut VecDeque<StreamEvent>) -> Option<usize> {
        let Some(srtp) = &mut self.srtp else {
            return Some(data.len());
        };
        match srtp
            .as_mut()
            .map_or(Err(SrtpError::Authentication), |srtp| {
                srtp.unprotect_rtp(data)
            }) {
            Ok(len) => Some(len),
            Err(error) => {
                self.count_srtp_error(error, events);
                None
            }
        }
    }

    pub(super) fn count_srtp_error(
        &mut self,
        error: SrtpError,
        events: &mut VecDeque<StreamEvent>,
    ) {
        match error {
            SrtpError::Malformed => self.counters.refused += 1,
            SrtpError::Replay => self.counters.srtp_replays += 1,
            SrtpError::Authentication => {
                self.counters.srtp_failures += 1;
                let count = self.counters.srtp_failures;
                // 1, 10, 100…: a flood makes a handful of events.
                if 10_u64.checked_pow(count.ilog10()) == Some(count) {
                    super::push_event(events, StreamEvent::SrtpFailure { count });
                }
            }
        }
    }

    pub(super) fn refuse(&mut self, source: SocketAddr, events: &mut VecDeque<StreamEvent>) {
        self.counters.refused += 1;
        if self.refused.len() < REFUSED_SOURCES_MAX && !self.refused.contains(&source) {
            self.refused.push(source);
            super::push_event(events, StreamEvent::SourceRefused { from: source });
        }
    }

    /// How long the peer has been silent since it was last heard, or since `start`.
    pub(super) fn silent_for(&self, now: Instant, start: Instant) -> Duration {
        let since = self.heard_at.map_or(start, |heard_at| heard_at.max(start));
        now.saturating_duration_since(since)
    }
}

/// The content of a payload type; `None` for one that was not negotiated. Beside one G.711 law the other is taken as well: a peer
/// may switch between the codecs of its own offer.
fn content_of(config: &StreamConfig, payload_type: u8, payload: &[u8]) -> Option<Content> {
    if payload_type == config.payload_type {
        let ticks = coder::ticks_of(config.codec, config.into(), payload);
        return ticks.map(|ticks| Content::Audio(config.codec, ticks));
    }
    if config.telephone_event == Some(payload_type) {
        return Some(Content::Nothing);
    }
    if payload_type == config.comfort_noise.unwrap_or(COMFORT_NOISE) {
        let level = payload.first().map_or(127, |first| first & 0x7F);
        return Some(Content::Noise(level));
    }
    if config.codec.form() == Form::Wide {
        return None;
    }
    [Codec::Pcmu, Codec::Pcma]
        .into_iter()
        .find(|codec| codec.static_payload_type() == Some(payload_type))
        .map(|codec| Content::Audio(codec, payload.len()))
}
