//! Order, bounded waiting and concealment of one received source: RTP packets in, 20 ms frames out, with no playout delay.
//!
//! A packet in order is audio at once. Where one is missing the later ones wait for it, as long as the measured jitter suggests
//! ([`WAIT_MS_MIN`] to [`WAIT_MS_MAX`]), then the hole is concealed. A pause of the peer (silence suppression, hold, a stall) is
//! filled in real time, so that the engine hears time pass. Nothing here delays a frame in order to pace it.
//!
//! Media time is counted in ticks of 8 kHz for every codec; one tick is one sample of G.711 and two of the wideband codecs.

mod making;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::coder::{self, Decoder, Terms};
use crate::comfort_noise::ComfortNoise;
use crate::conceal::Concealer;
use crate::frame::{Codec, FRAME_MS, FRAME_SAMPLES, Form, SAMPLES_PER_MS};
use crate::reform;

/// Packets that may wait for a missing one.
pub(crate) const REORDER_PACKETS_MAX: usize = 32;
/// Frames that may wait to be taken; the oldest is dropped beyond.
pub(crate) const FRAMES_MAX: usize = 64;
/// Shortest wait for a missing packet, ms.
pub(crate) const WAIT_MS_MIN: u32 = 20;
/// Longest wait for a missing packet, ms.
pub(crate) const WAIT_MS_MAX: u32 = 120;
/// Longest audio made up at once for lost packets, ms.
pub(crate) const GAP_FILL_MS_MAX: u32 = 500;
/// Longest silence made up at once for a pause, ms; the rest of a pause was filled while it lasted.
pub(crate) const PAUSE_FILL_MS_MAX: u32 = 200;
/// How much longer than the lost packets a hole in media time may be (the peer paused as well), ticks.
const GAP_SAMPLES_PLAUSIBLE: usize = 8_000;
/// Longest payload that is taken, bytes (180 ms of G.711).
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1_460;
/// A sequence step forward beyond this is a restart of the peer (RFC 3550 A.1 `MAX_DROPOUT`).
const DROPOUT_MAX: i64 = 3_000;
/// A sequence step backward beyond this is a restart (RFC 3550 A.1 `MAX_MISORDER`).
const MISORDER_MAX: i64 = 100;
/// Silence of the peer after which time is filled, beyond a packet's length and the wait for a missing one, ms. Shorter stalls are
/// the network's or a busy machine's: silence put into the middle of a word would make another word of it. What a real pause
/// lacks is made up at once when it is recognised.
const STALL_MS: u32 = 180;
/// Level of the noise in a pause when the peer named none, -dBov.
const PAUSE_LEVEL: u8 = 127;

/// A packet of the latched source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'a> {
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) content: Content,
    pub(crate) payload: &'a [u8],
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It belongs to the sequence (even late or twice).
    Taken,
    /// Its sequence number is far off: the next one decides (RFC 3550 A.1).
    Doubted,
    /// The peer restarted its sequence here.
    Restarted,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A packet of a codec, and the ticks that it lasts.
    Audio(Codec, usize),
    /// Comfort noise of a level, -dBov.
    Noise(u8),
    /// Something that takes a sequence number only (an event, an unknown type).
    Nothing,
}

/// 20 ms, ready to be taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) timestamp_ms: u64,
    pub(crate) concealed: bool,
    pub(crate) level: u8,
}

/// Counters of the receiver; audio in ticks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) lost: u64,
    pub(crate) late: u64,
    pub(crate) duplicate: u64,
    pub(crate) reordered: u64,
    pub(crate) concealed_samples: u64,
    pub(crate) silence_samples: u64,
    pub(crate) frames_dropped: u64,
}

#[derive(Debug, Clone)]
struct Slot {
    number: u64,
    timestamp: u32,
    content: Content,
    payload: Vec<u8>,
    used: bool,
}

/// The frame that is being put together.
#[derive(Debug, Clone)]
struct Assembly {
    audio: Vec<u8>,
    energy: u64,
    made_up: bool,
}

/// What made-up audio stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filler {
    Loss,
    Pause,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    codec: Codec,
    form: Form,
    decoder: Decoder,
    /// Decoded samples of one packet; none of G.711.
    decoded: Vec<i16>,
    slots: Vec<Slot>,
    waiting: usize,
    /// Extended sequence number that comes next.
    expected: Option<u64>,
    /// The last 128 sequence numbers below `expected` that really came; bit 0 is `expected - 1`.
    seen: u128,
    /// Sequence number that would confirm a restart of the peer.
    restart_at: Option<u16>,
    deadline: Option<Instant>,
    assembly: Assembly,
    out: Output,
    timeline: Timeline,
    concealer: Concealer,
    noise: ComfortNoise,
    wait: Wait,
    pub(crate) counters: Counters,
}

#[derive(Debug)]
struct Output {
    /// The audio of the frames, one after the other.
    audio: VecDeque<u8>,
    frames: VecDeque<Frame>,
    timestamp_ms: u64,
}

/// Media time against real time.
#[derive(Debug)]
struct Timeline {
    /// Media time that the next audio should have.
    next: Option<u32>,
    /// Ticks of the last packet, used when media time makes no sense.
    last_packet: usize,
    /// Packets lost before the next audio.
    lost: u64,
    /// Ticks filled in since the last real audio.
    filled: usize,
    /// Up to when the engine was given audio.
    until: Option<Instant>,
    /// True while the peer said that it sends nothing (comfort noise packet last).
    pausing: bool,
}

/// How long a missing packet is waited for.
#[derive(Debug)]
struct Wait {
    jitter_ms: f64,
    /// What late packets taught, ms; fades.
    learned_ms: f64,
    gave_up: Option<Instant>,
}

impl Wait {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 20..=120"
    )]
    fn bound_ms(&self) -> u32 {
        let wanted = (f64::from(WAIT_MS_MIN) + 3.0 * self.jitter_ms).max(self.learned_ms);
        wanted.clamp(f64::from(WAIT_MS_MIN), f64::from(WAIT_MS_MAX)) as u32
    }
}

impl Receiver {
    pub(crate) fn new(codec: Codec, terms: Terms, seed: u32) -> Self {
        let slot = || Slot {
            number: 0,
            timestamp: 0,
            content: Content::Nothing,
            payload: Vec::with_capacity(FRAME_SAMPLES),
            used: false,
        };
        let form = codec.form();
        Self {
            codec,
            form,
            decoder: Decoder::new(codec, terms),
            decoded: decoded_buffer(codec),
            slots: (0..REORDER_PACKETS_MAX).map(|_| slot()).collect(),
            waiting: 0,
            expected: None,
            seen: 0,
            restart_at: None,
            deadline: None,
            assembly: Assembly {
                audio: Vec::with_capacity(form.frame_bytes()),
                energy: 0,
                made_up: false,
            },
            out: Output {
                audio: VecDeque::with_capacity(FRAMES_MAX / 4 * form.frame_bytes()),
                frames: VecDeque::with_capacity(FRAMES_MAX / 4),
                timestamp_ms: 0,
            },
            timeline: Timeline {
                next: None,
                last_packet: FRAME_SAMPLES,
                lost: 0,
                filled: 0,
                until: None,
                pausing: false,
            },
            concealer: Concealer::of(form),
            noise: ComfortNoise::new(seed, PAUSE_LEVEL),
            wait: Wait {
                jitter_ms: 0.0,
                learned_ms: 0.0,
                gave_up: None,
            },
            counters: Counters::default(),
        }
    }

    /// A new codec from the next packet on; what waits is in the old one and is converted when it is its turn.
    pub(crate) fn set_codec(&mut self, codec: Codec, terms: Terms) {
        let form = codec.form();
        if codec == self.codec {
            self.decoder.agree(terms);
        } else {
            self.decoder = Decoder::new(codec, terms);
            self.decoded = decoded_buffer(codec);
        }
        if form != self.form {
            let making = std::mem::take(&mut self.assembly.audio);
            self.assembly.audio = reform::whole(self.form, form, making);
            let waiting = Vec::from(std::mem::take(&mut self.out.audio));
            self.out.audio = reform::whole(self.form, form, waiting).into();
            if form.rate() != self.form.rate() {
                self.concealer = Concealer::of(form);
            }
        }
        self.codec = codec;
        self.form = form;
    }

    /// Forgets sequence and media time (a new source, a restarted peer); what was heard stays.
    pub(crate) fn restart(&mut self) {
        self.give_up_all();
        self.expected = None;
        self.seen = 0;
        self.restart_at = None;
        self.timeline.lost = 0;
        self.timeline.next = None;
        self.timeline.pausing = false;
    }

    /// When [`Receiver::handle_timeout`] wants to be called for a missing packet.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    /// The next frame; its audio takes the place of what `audio` held.
    pub(crate) fn poll_frame(&mut self, audio: &mut Vec<u8>) -> Option<Frame> {
        let frame = self.out.frames.pop_front()?;
        let len = self.form.frame_bytes().min(self.out.audio.len());
        audio.clear();
        audio.extend(self.out.audio.drain(..len));
        Some(frame)
    }

    pub(crate) fn wait_ms(&self) -> u32 {
        self.wait.bound_ms()
    }

    /// Gives up on what is missing once its time has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while self.deadline.is_some_and(|deadline| deadline <= now) {
            self.wait.gave_up = Some(now);
            self.give_up_one();
            self.drain();
            self.arm(now);
        }
    }

    /// A packet of the source. `jitter_ms` is the measured one.
    pub(crate) fn push(&mut self, now: Instant, incoming: &Incoming<'_>, jitter_ms: f64) -> Pushed {
        self.wait.jitter_ms = jitter_ms;
        self.wait.learned_ms *= 0.999;
        let Some(expected) = self.expected else {
            self.begin(now, incoming);
            return Pushed::Taken;
        };
        let [.., high, low] = expected.to_be_bytes();
        let step = i64::from(
            incoming
                .sequence
                .wrapping_sub(u16::from_be_bytes([high, low]))
                .cast_signed(),
        );
        if !(-MISORDER_MAX..=DROPOUT_MAX).contains(&step) {
            if self.restart_at.replace(incoming.sequence.wrapping_add(1)) != Some(incoming.sequence)
            {
                return Pushed::Doubted;
            }
            self.restart_at_once(now);
            self.begin(now, incoming);
            return Pushed::Restarted;
        }
        self.restart_at = None;
        if step < 0 {
            self.count_old(now, step.unsigned_abs());
            return Pushed::Taken;
        }
        if step == 0 {
            self.counters.reordered += u64::from(self.waiting > 0);
            self.take(now, expected, incoming);
        } else {
            self.store(now, expected + step.unsigned_abs(), incoming);
        }
        self.drain();
        self.arm(now);
        Pushed::Taken
    }

    /// Fills a pause of the peer in real time; call it on every pacing tick.
    pub(crate) fn fill_pause(&mut self, now: Instant) {
        let Some(mut until) = self.timeline.until else {
            return;
        };
        let packet_ms =
            u32::try_from(self.timeline.last_packet / SAMPLES_PER_MS).unwrap_or_default();
        // Once a stall has become a pause, time is made up and then kept.
        let patience = if self.timeline.pausing || self.timeline.filled > 0 {
            self.wait.bound_ms() + packet_ms
        } else {
            self.wait.bound_ms() + STALL_MS + packet_ms
        };
        let patience = Duration::from_millis(u64::from(patience));
        let step = Duration::from_millis(u64::from(FRAME_MS));
        let mut steps = 0;
        while until + patience + step <= now && steps < FRAMES_MAX / 2 {
            self.make_up(FRAME_SAMPLES, Filler::Pause, None);
            self.timeline.filled += FRAME_SAMPLES;
            until += step;
            steps += 1;
        }
        // A shell that slept for long does not get hours of silence.
        if until + patience + step <= now {
            until = now;
        }
        self.timeline.until = Some(until);
    }

    /// The same peer begins anew. Its new media time says nothing about the old one, so what lies between is made up as real
    /// time tells, in whole frames: a part of one would delay all that follows.
    pub(crate) fn restart_at_once(&mut self, now: Instant) {
        self.give_up_all();
        let elapsed = self.timeline.until.map_or(0, |until| {
            now.saturating_duration_since(until).as_micros() * 8 / 1_000
        });
        let limit = usize::try_from(PAUSE_FILL_MS_MAX).unwrap_or_default() * SAMPLES_PER_MS;
        let hole = usize::try_from(elapsed)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.timeline.last_packet)
            .min(limit);
        let begun = self.assembled_ticks();
        let end = (begun + hole + FRAME_SAMPLES / 2) / FRAME_SAMPLES * FRAME_SAMPLES;
        let paused = self.timeline.pausing || self.timeline.filled > 0;
        let filler = if paused { Filler::Pause } else { Filler::Loss };
        self.make_up(end.saturating_sub(begun), filler, None);
        self.restart();
    }

    fn begin(&mut self, now: Instant, incoming: &Incoming<'_>) {
        self.take(now, (1 << 16) + u64::from(incoming.sequence), incoming);
    }

    /// A packet from before the expected one: seen already, or too late.
    fn count_old(&mut self, now: Instant, back: u64) {
        let bit = u32::try_from(back - 1).unwrap_or(u32::MAX);
        let mask = 1_u128.checked_shl(bit).unwrap_or_default();
        if mask == 0 || self.seen & mask != 0 {
            self.counters.duplicate += 1;
            return;
        }
        self.seen |= mask;
        self.counters.late += 1;
        let Some(gave_up) = self.wait.gave_up else {
            return;
        };
        let late_ms = now.saturating_duration_since(gave_up).as_secs_f64() * 1_000.0;
        if late_ms < f64::from(WAIT_MS_MAX) {
            let needed = f64::from(self.wait.bound_ms()) + late_ms + 5.0;
            self.wait.learned_ms = self.wait.learned_ms.max(needed.min(f64::from(WAIT_MS_MAX)));
        }
    }

    fn store(&mut self, now: Instant, number: u64, incoming: &Incoming<'_>) {
        let ahead = self.expected.map_or(0, |expected| number - expected);
        if ahead >= REORDER_PACKETS_MAX as u64 {
            // Too far ahead: what is missing in between is not waited for.
            self.give_up_all();
            self.lose_until(number);
            self.take(now, number, incoming);
            return;
        }
        if self
            .slots
            .iter()
            .any(|slot| slot.used && slot.number > number)
        {
            self.counters.reordered += 1;
        }
        let slot = &mut self.slots[slot_of(number)];
        if slot.used {
            self.counters.duplicate += 1;
            return;
        }
        slot.used = true;
        slot.number = number;
        slot.timestamp = incoming.timestamp;
        slot.content = incoming.content;
        slot.payload.clear();
        slot.payload.extend_from_slice(bounded(incoming.payload));
        self.waiting += 1;
        self.timeline.until = self.timeline.until.map(|until| until.max(now));
    }

    fn arm(&mut self, now: Instant) {
        if self.waiting == 0 {
            self.deadline = None;
        } else if self.deadline.is_none() {
            self.deadline = Some(now + Duration::from_millis(u64::from(self.wait.bound_ms())));
        }
    }

    /// Takes the waiting packets that are next in order.
    fn drain(&mut self) {
        while self.waiting > 0 {
            let Some(expected) = self.expected else {
                return;
            };
            let index = slot_of(expected);
            if !self.slots[index].used || self.slots[index].number != expected {
                return;
            }
            self.slots[index].used = false;
            self.waiting -= 1;
            self.deadline = None;
            let payload = std::mem::take(&mut self.slots[index].payload);
            let (timestamp, content) = (self.slots[index].timestamp, self.slots[index].content);
            self.deliver(expected, timestamp, content, &payload);
            self.slots[index].payload = payload;
        }
    }

    /// Declares the packets before the next waiting one lost.
    fn give_up_one(&mut self) {
        self.deadline = None;
        if let Some(next) = self
            .slots
            .iter()
            .filter(|slot| slot.used)
            .map(|slot| slot.number)
            .min()
        {
            self.lose_until(next);
        }
    }

    fn give_up_all(&mut self) {
        while self.waiting > 0 {
            self.give_up_one();
            self.drain();
        }
        self.deadline = None;
    }

    fn lose_until(&mut self, number: u64) {
        let missing = number.saturating_sub(self.expected.unwrap_or(number));
        self.counters.lost += missing;
        self.timeline.lost += missing;
        let shift = u32::try_from(missing).unwrap_or(u32::MAX);
        self.seen = self.seen.checked_shl(shift).unwrap_or_default();
        self.expected = Some(number);
    }

    fn take(&mut self, now: Instant, number: u64, incoming: &Incoming<'_>) {
        self.deliver(
            number,
            incoming.timestamp,
            incoming.content,
            bounded(incoming.payload),
        );
        // An event or an unknown packet is no audio: time goes on being filled.
        if incoming.content != Content::Nothing {
            self.timeline.until = Some(now);
        }
    }

    /// The packet is next in order: its audio goes out.
    fn deliver(&mut self, number: u64, timestamp: u32, content: Content, payload: &[u8]) {
        self.expected = Some(number + 1);
        self.seen = (self.seen << 1) | 1;
        match content {
            Content::Nothing => {}
            Content::Noise(level) => {
                let gap = self.bridge(timestamp, None);
                self.noise.set_level(level);
                self.timeline.next = Some(timestamp);
                self.timeline.filled = self.timeline.filled.saturating_sub(gap);
                self.timeline.pausing = true;
            }
            Content::Audio(codec, ticks) => {
                self.bridge(timestamp, Some(payload).filter(|_| codec == self.codec));
                self.append_real(codec, payload, ticks);
                let step = u32::try_from(ticks).unwrap_or_default();
                self.timeline.next = Some(timestamp.wrapping_add(step));
                self.timeline.last_packet = ticks.max(1);
                self.timeline.filled = 0;
                self.timeline.pausing = self.decoder.is_resting();
            }
        }
    }

    /// Makes up what lies between the audio so far and `timestamp`; the media time between them, ticks. `ahead` is the packet
    /// that ends the hole.
    fn bridge(&mut self, timestamp: u32, ahead: Option<&[u8]>) -> usize {
        let lost = std::mem::take(&mut self.timeline.lost);
        let Some(next) = self.timeline.next else {
            return 0;
        };
        let step = timestamp.wrapping_sub(next).cast_signed();
        let counted = usize::try_from(lost)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.timeline.last_packet);
        // What was filled while it lasted proves that time has passed.
        let plausible = counted
            .saturating_add(GAP_SAMPLES_PLAUSIBLE)
            .saturating_add(self.timeline.filled);
        let (gap, limit_ms, filler) = match usize::try_from(step) {
            Ok(gap) if lost == 0 => (gap, PAUSE_FILL_MS_MAX, Filler::Pause),
            Ok(gap) if gap > 0 && gap <= plausible => (gap, GAP_FILL_MS_MAX, Filler::Loss),
            // Media time jumped while packets were lost: the packets are the better measure.
            Ok(_) | Err(_) if lost > 0 => (counted, GAP_FILL_MS_MAX, Filler::Loss),
            Ok(_) | Err(_) => return 0,
        };
        let limit = usize::try_from(limit_ms).unwrap_or_default() * SAMPLES_PER_MS;
        let missing = gap.saturating_sub(self.timeline.filled).min(limit);
        self.make_up(missing, filler, ahead);
        gap
    }
}

/// Room for what one packet decodes to.
fn decoded_buffer(codec: Codec) -> Vec<i16> {
    vec![0; coder::packet_samples_max(codec, PAYLOAD_BYTES_MAX)]
}

fn slot_of(number: u64) -> usize {
    usize::try_from(number % REORDER_PACKETS_MAX as u64).unwrap_or_default()
}

fn bounded(payload: &[u8]) -> &[u8] {
    payload.get(..PAYLOAD_BYTES_MAX).unwrap_or(payload)
}
