//! The sending half of a stream: one packet per tick by absolute deadlines.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::StreamConfig;
use crate::coder::Encoder;
use crate::company::Company;
use crate::dtmf::{self, DtmfSender, DtmfTick, EventPacket};
use crate::echo::{Frames, SAID_FRAMES};
use crate::frame::{Codec, FRAME_BYTES_MAX, FRAME_MS, FRAME_SAMPLES, FRAME_SAMPLES_MAX, Form};
use crate::keypad_tones::KeyTones;
use crate::keys::Keypad;
use crate::playout::Playout;
use crate::recording::Recording;
use crate::rtp::{HEADER_BYTES, Header};
use crate::srtp::{OVERHEAD_BYTES_MAX, SrtpContext};

/// Ticks that a late shell catches up at once; earlier ones are skipped and media time goes on.
pub const CATCH_UP_TICKS_MAX: u32 = 5;
/// Length that an INFO tells of a key, ms.
const INFO_KEY_MS: u32 = 160;
/// What is played is divided by this while it is not known whether the caller speaks (15 dB).
const DUCKED: i16 = 6;
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
    /// Media time of the next tick, in the codec's clock.
    timestamp: u32,
    clock_per_tick: u32,
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
    /// Others beside the agent.
    pub(super) company: Option<Box<Company>>,
    /// What is played is quieter.
    pub(super) ducked: bool,
    /// What was said, for its echo.
    pub(super) said: Frames,
    pub(super) encoder: Encoder,
    pub(super) dtmf: DtmfSender,
    /// The tones of the key that is being pressed in the audio, and whether this is its last packet.
    tones: Option<(KeyTones, bool)>,
    /// Keys that the shell is to send by INFO.
    pub(super) keys_due: VecDeque<(char, u32)>,
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
            clock_per_tick: super::clock_per_tick(config),
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
            playout: Playout::new(config.codec.form()),
            company: None,
            ducked: false,
            said: Frames::new(config.codec.form(), SAID_FRAMES),
            encoder: Encoder::new(config.codec, config.into()),
            dtmf: DtmfSender::new(),
            tones: None,
            keys_due: VecDeque::new(),
            counters: OutboundCounters::default(),
        }
    }

    /// Applies a re-negotiation. Media time goes on in the new clock.
    pub(super) fn agree(&mut self, config: &StreamConfig, before: Codec) {
        if config.codec == before {
            self.encoder.agree(config.into());
        } else {
            self.encoder = Encoder::new(config.codec, config.into());
            self.clock_per_tick = super::clock_per_tick(config);
            self.marker = true;
        }
    }

    /// What is carried has another form from now on.
    pub(super) fn set_form(&mut self, form: Form) {
        self.playout.set_form(form);
        self.said = Frames::new(form, SAID_FRAMES);
        if let Some(company) = &mut self.company {
            **company = Company::new(form);
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
    pub(super) fn advance(&mut self, now: Instant, mut recording: Option<&mut Recording>) {
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
            let step = skipped.wrapping_mul(160).wrapping_mul(self.clock_per_tick);
            self.timestamp = self.timestamp.wrapping_add(step);
            self.counters.ticks_skipped += u64::from(skipped);
            self.marker = true;
            self.pause(skipped, recording.as_deref_mut());
            if let Some(recording) = recording {
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
            self.timestamp = self
                .timestamp
                .wrapping_add(ticks_of(frames) * self.clock_per_tick);
            match len {
                // Silence that the peer makes itself.
                Some(0) => continue,
                Some(len) => return Some(len),
                None => {}
            }
            // What was not sent is a pause for the peer.
            self.marker = true;
            self.pause(count(frames), recording.as_deref_mut());
        }
        None
    }

    /// Writes the packet of this tick; its length, 0 when silence needs none.
    fn packet(
        &mut self,
        config: &StreamConfig,
        frames: usize,
        buffer: &mut [u8],
        recording: Option<&mut Recording>,
    ) -> Option<usize> {
        let room = frames * FRAME_SAMPLES_MAX;
        if buffer.len() < HEADER_BYTES + room + OVERHEAD_BYTES_MAX {
            return None;
        }
        let mut header = Header {
            marker: self.marker,
            payload_type: config.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        let payload = &mut buffer[HEADER_BYTES..HEADER_BYTES + room];
        let events = config
            .telephone_event
            .filter(|_| config.keypad.has_events());
        let payload_len = match (self.dtmf.tick(ticks_of(frames)), events) {
            (DtmfTick::Event(event), Some(payload_type)) => {
                let mut event_payload = event.payload;
                event_payload.duration = event.duration_at(config.event_clock_hz);
                payload[..4].copy_from_slice(&event_payload.to_bytes());
                header.payload_type = payload_type;
                header.marker = event.marker;
                header.timestamp = self
                    .timestamp
                    .wrapping_sub(event.began * self.clock_per_tick);
                self.marker = true;
                self.was_audio = false;
                self.pause(count(frames), recording);
                4
            }
            (tick @ (DtmfTick::Event(_) | DtmfTick::Gap | DtmfTick::Idle), _) => {
                let speaks = matches!(tick, DtmfTick::Idle);
                if let DtmfTick::Event(event) = tick {
                    self.press(config, event);
                }
                let shape = (config.codec.form(), frames);
                let Some((len, audio)) = self.audio(shape, speaks, payload, recording) else {
                    self.marker = true;
                    return Some(0);
                };
                header.marker = self.marker || (audio && !self.was_audio);
                self.marker = false;
                self.was_audio = audio;
                len
            }
        };
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

    /// Frames in which nothing is said to the peer: what others say meanwhile does not wait.
    fn pause(&mut self, frames: u32, recording: Option<&mut Recording>) {
        self.said.push_silence(frames);
        if let Some(company) = &mut self.company {
            company.pause(frames);
        }
        if let Some(recording) = recording {
            recording.push_silence(frames);
        }
    }

    /// A key without events: its tones begin, go on or end with this packet, or the shell is to send it.
    fn press(&mut self, config: &StreamConfig, event: EventPacket) {
        let Some(digit) = dtmf::digit_of(event.payload.event) else {
            return;
        };
        if config.keypad == Keypad::Info {
            if event.marker {
                self.keys_due.push_back((digit, INFO_KEY_MS));
            }
            return;
        }
        if event.marker {
            let rate = config.codec.form().rate();
            self.tones = KeyTones::new(rate, digit).map(|tones| (tones, false));
        }
        // The end of an event is sent more than once; the tones end with the first.
        if let Some((_, ends)) = &mut self.tones {
            *ends = event.payload.end;
        }
    }

    /// Writes the payload of an audio packet; its length and whether it holds an item's audio. `None`: silence that is not sent.
    fn audio(
        &mut self,
        (form, frames): (Form, usize),
        speaks: bool,
        payload: &mut [u8],
        recording: Option<&mut Recording>,
    ) -> Option<(usize, bool)> {
        let len = frames * form.frame_bytes();
        if form != Form::Wide && matches!(self.encoder, Encoder::Plain) {
            let audio = self.carry(form, speaks, &mut payload[..len], recording);
            return Some((len, audio));
        }
        let mut carried = [0; PACKET_FRAMES_MAX * FRAME_BYTES_MAX];
        let carried = &mut carried[..len];
        let audio = self.carry(form, speaks, carried, recording);
        let mut samples = [0; PACKET_FRAMES_MAX * FRAME_SAMPLES_MAX];
        let samples = &mut samples[..frames * form.frame_samples()];
        form.decode_into(carried, samples);
        let len = self.encoder.encode(samples, payload)?;
        Some((len, audio))
    }

    /// Writes what is said in this packet, in the form of the leg; whether it holds an item's audio.
    fn carry(
        &mut self,
        form: Form,
        speaks: bool,
        carried: &mut [u8],
        recording: Option<&mut Recording>,
    ) -> bool {
        let mut audio = false;
        if speaks {
            audio = self.playout.fill(carried);
            if audio && self.ducked {
                quieter(form, carried);
            }
            if let Some(company) = &mut self.company {
                company.join(carried);
            }
        } else if let Some((mut tones, ends)) = self.tones.take() {
            let mut samples = [0; PACKET_FRAMES_MAX * FRAME_SAMPLES_MAX];
            let samples = &mut samples[..carried.len() / form.sample_bytes()];
            tones.fill(samples);
            form.encode_into(samples, carried);
            self.tones = (!ends).then_some((tones, false));
        } else {
            carried.fill(form.silence());
        }
        if let Some(company) = self.company.as_mut().filter(|_| !speaks) {
            company.pause(count(carried.len() / form.frame_bytes()));
        }
        self.said.push(carried);
        if let Some(recording) = recording {
            recording.push_agent(carried);
        }
        audio
    }

    /// Media time at `now`, for a sender report.
    pub(super) fn timestamp_at(&self, now: Instant) -> u32 {
        let Some(next) = self.next_tick else {
            return self.timestamp;
        };
        let ahead = crate::reception::samples(next.saturating_duration_since(now));
        let ahead = ahead.wrapping_mul(self.clock_per_tick);
        self.timestamp.wrapping_sub(ahead)
    }
}

/// Lowers what is played.
fn quieter(form: Form, carried: &mut [u8]) {
    let mut samples = [0; PACKET_FRAMES_MAX * FRAME_SAMPLES_MAX];
    let samples = &mut samples[..carried.len() / form.sample_bytes()];
    form.decode_into(carried, samples);
    for sample in samples.iter_mut() {
        *sample /= DUCKED;
    }
    form.encode_into(samples, carried);
}

fn frames_per_packet(ptime_ms: u32) -> usize {
    usize::try_from(ptime_ms / FRAME_MS)
        .unwrap_or(1)
        .clamp(1, PACKET_FRAMES_MAX)
}

fn count(frames: usize) -> u32 {
    u32::try_from(frames).unwrap_or(1)
}

fn ticks_of(frames: usize) -> u32 {
    u32::try_from(frames * FRAME_SAMPLES).unwrap_or_default()
}
