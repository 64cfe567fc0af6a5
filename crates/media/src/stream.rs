//! One RTP stream of one leg: everything between the datagrams and the frames.

mod inbound;
mod liveness;
mod outbound;
mod report;
mod together;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use self::inbound::Inbound;
pub use self::inbound::{AHEAD_SAMPLES_MAX, REFUSED_SOURCES_MAX};
use self::liveness::Liveness;
use self::outbound::Outbound;
pub use self::outbound::{CATCH_UP_TICKS_MAX, PACKET_FRAMES_MAX};
pub use self::report::{PathReport, REPORT_INTERVAL_MS};
use self::report::{Reports, Sending};
use crate::amr::AmrTerms;
use crate::dtmf;
use crate::echo::{Echo, Heard};
use crate::frame::{
    CallerFrame, Codec, Direction, FRAME_MS, FRAME_SAMPLES_MAX, Form, RecordingFrame,
};
use crate::keypad_tones::KeyDetector;
use crate::keys::{KeyWay, Keypad, Keys};
use crate::latch::is_usable;
use crate::opus::OpusTerms;
use crate::playout::{Playout, PlayoutEvent};
use crate::quality;
use crate::recording::Recording;
use crate::resample::Rate;
use crate::rtp;
use crate::srtp::{SrtpConfig, SrtpContext};
use crate::statistics::Statistics;
use crate::treatment::{Treated, Treatment};
use crate::voice::Voices;

/// Length that a buffer for [`Stream::poll_transmit`] must have, bytes.
pub const TRANSMIT_BYTES_MAX: usize = 1_500;
/// Events that may wait to be taken.
pub const EVENTS_MAX: usize = 64;
/// Silence of the peer after which [`StreamEvent::MediaLost`] is reported unless set otherwise, ms.
pub const MEDIA_TIMEOUT_MS: u32 = 5_000;

/// Whom to believe about where the peer's media comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatchPolicy {
    /// True: send to where the peer's media really comes from (symmetric RTP, RFC 4961). False: only the signalled address.
    pub symmetric: bool,
    /// Address that the peer's signalling comes from: its media is believed sooner than a stranger's.
    pub signalling: Option<IpAddr>,
}

impl Default for LatchPolicy {
    fn default() -> Self {
        Self {
            symmetric: true,
            signalling: None,
        }
    }
}

/// What was negotiated for a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// Audio codec.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// What the peer asked of our Opus; of no meaning for other codecs.
    pub opus: OpusTerms,
    /// What was agreed about AMR-WB; of no meaning for other codecs.
    pub amr: AmrTerms,
    /// Payload type of telephone-event (RFC 4733).
    pub telephone_event: Option<u8>,
    /// How keys are sent, and which ways are listened to.
    pub keypad: Keypad,
    /// What is done to the caller's audio.
    pub treatment: Treatment,
    /// The clock in which events count their length, Hz: 8,000, or the codec's (48,000 beside Opus, 16,000 beside AMR-WB).
    pub event_clock_hz: u32,
    /// Payload type of comfort noise (RFC 3389).
    pub comfort_noise: Option<u8>,
    /// Audio per packet that we send, ms: 20, 40 or 60; anything else is taken as the next lower of these, at least 20.
    pub ptime_ms: u32,
    /// Signalled address of the peer's RTP; `None` or unspecified while held.
    pub remote: Option<SocketAddr>,
    /// Signalled address of the peer's RTCP; `None`: the RTP port plus one.
    pub remote_rtcp: Option<SocketAddr>,
    /// RTCP on the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Direction as we act.
    pub direction: Direction,
    /// SRTP, when it was negotiated.
    pub srtp: Option<SrtpConfig>,
    /// Source policy.
    pub latch: LatchPolicy,
    /// RTCP canonical name (RFC 7022), the same for the whole call.
    pub cname: String,
}

/// A datagram to send: the first `len` bytes of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// From the RTCP socket (never with rtcp-mux).
    pub rtcp: bool,
    /// Where to.
    pub destination: SocketAddr,
    /// Bytes written.
    pub len: usize,
}

/// What happened on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// Media is now exchanged with this address.
    Latched {
        /// The peer.
        from: SocketAddr,
    },
    /// A stranger's packets are being dropped (reported once per source, a bounded number of times).
    SourceRefused {
        /// The stranger.
        from: SocketAddr,
    },
    /// A key was pressed and released, by whichever way it was told; each press is told once.
    Dtmf {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How long it was pressed.
        duration_ms: u32,
    },
    /// This key is to be sent by SIP INFO now ([`Keypad::Info`]).
    KeyDue {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How long it is pressed.
        duration_ms: u32,
    },
    /// Playout.
    Playout(PlayoutEvent),
    /// Nothing came from the peer for the media timeout.
    MediaLost {
        /// Time since the last packet (or the start), ms.
        since_ms: u32,
    },
    /// The peer is heard again.
    MediaResumed,
    /// Packets failed authentication (reported at 1, 10, 100… of them).
    SrtpFailure {
        /// Failures so far.
        count: u64,
    },
    /// The peer said goodbye by RTCP (RFC 3550 6.6); the dialog decides, not this.
    Bye,
}

/// Why digits cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtmfError {
    /// Only events may be sent, and the peer did not offer them.
    NotNegotiated,
    /// A character that is no digit.
    UnknownDigit(char),
    /// Too many digits are waiting.
    QueueFull,
}

/// One RTP stream of one leg.
#[derive(Debug)]
pub struct Stream {
    config: StreamConfig,
    /// Time of the latest input.
    now: Instant,
    inbound: Inbound,
    outbound: Outbound,
    reports: Reports,
    recording: Option<Box<Recording>>,
    liveness: Liveness,
    keys: Keys,
    /// Looks for keys in the audio, where they may come that way.
    detector: Option<Box<KeyDetector>>,
    treated: Option<Box<Treated>>,
    echo: Box<Echo>,
    voices: Voices,
    events: VecDeque<StreamEvent>,
    /// The audio of the frame that was handed out last.
    current: Vec<u8>,
}

impl Stream {
    /// A stream that receives at once and sends from [`Stream::start`] on. The seed makes its synchronisation source and offsets.
    #[must_use]
    pub fn new(now: Instant, config: StreamConfig, seed: u64) -> Self {
        let first = splitmix(seed);
        let second = splitmix(first);
        let third = splitmix(second);
        Self {
            now,
            inbound: Inbound::new(now, &config, halves(third).1),
            outbound: Outbound::new(&config, (halves(first).0, halves(first).1)),
            reports: Reports::new(now, second),
            recording: None,
            liveness: Liveness {
                timeout: Duration::from_millis(u64::from(MEDIA_TIMEOUT_MS)),
                since: now,
                lost: false,
            },
            keys: Keys::default(),
            detector: detector(&config),
            treated: Treated::new(config.treatment, config.codec.form()),
            echo: Box::new(Echo::new(config.codec.form(), config.treatment.echo())),
            voices: Voices::default(),
            events: VecDeque::with_capacity(EVENTS_MAX / 4),
            current: Vec::with_capacity(config.codec.form().frame_bytes()),
            config,
        }
    }

    /// Applies a re-negotiation; playout, figures and our synchronisation source stay.
    pub fn reconfigure(&mut self, now: Instant, config: StreamConfig) {
        self.now = now;
        let receives = config.direction.receives();
        self.inbound
            .latch
            .renegotiate(now, config.latch, config.remote, receives);
        self.inbound.agree(&config);
        self.outbound.agree(&config, self.config.codec);
        let (treatment, form) = (config.treatment, config.codec.form());
        let is_same = |treated: &Treated| treated.is(treatment, form);
        if !self.treated.as_deref().is_some_and(is_same) {
            self.treated = Treated::new(treatment, form);
        }
        if !self.echo.is(form, treatment.echo()) {
            *self.echo = Echo::new(form, treatment.echo());
            self.voices = Voices::default();
        }
        let listens = detector(&config);
        if listens.as_ref().map(|one| one.rate()) != self.detector.as_ref().map(|one| one.rate()) {
            self.detector = listens;
        }
        if config.codec.form() != self.config.codec.form() {
            self.outbound.set_form(config.codec.form());
            if let Some(recording) = &mut self.recording {
                recording.set_form(config.codec.form());
            }
        }
        // A key that stays keeps its context: the same key stream must never be used twice.
        let keys = |srtp: &Option<SrtpConfig>| {
            srtp.as_ref()
                .map(|srtp| (srtp.suite, srtp.local_key.clone(), srtp.remote_key.clone()))
        };
        let (old, new) = (keys(&self.config.srtp), keys(&config.srtp));
        let local = |keys: &Option<(_, Vec<u8>, Vec<u8>)>| {
            keys.as_ref()
                .map(|(suite, local, _)| (*suite, local.clone()))
        };
        let remote = |keys: &Option<(_, Vec<u8>, Vec<u8>)>| {
            keys.as_ref()
                .map(|(suite, _, remote)| (*suite, remote.clone()))
        };
        if local(&old) != local(&new) {
            self.outbound.srtp = local(&new).map(|(suite, key)| SrtpContext::new(suite, &key));
        }
        if remote(&old) != remote(&new) {
            self.inbound.srtp = remote(&new).map(|(suite, key)| SrtpContext::new(suite, &key));
        }
        if receives && !self.config.direction.receives() {
            self.liveness.since = now;
        }
        if config.remote_rtcp != self.config.remote_rtcp {
            self.reports.source = None;
        }
        self.config = config;
    }

    /// A datagram of the RTP socket. SRTP is decrypted in place.
    pub fn handle_rtp(&mut self, now: Instant, source: SocketAddr, data: &mut [u8]) {
        if rtp::is_rtcp(data) {
            self.handle_rtcp(now, source, data);
            return;
        }
        self.now = now;
        self.inbound
            .handle_rtp(now, &self.config, source, data, &mut self.events);
        if self.inbound.heard_at == Some(now) {
            self.heard();
        }
        if let Some(mode) = self.inbound.request.take() {
            self.outbound.encoder.request(mode);
        }
    }

    /// A datagram of the RTCP socket.
    pub fn handle_rtcp(&mut self, now: Instant, source: SocketAddr, data: &mut [u8]) {
        self.now = now;
        let signalled = self
            .config
            .remote_rtcp
            .is_some_and(|rtcp| rtcp.ip().to_canonical() == source.ip().to_canonical());
        let known = self.inbound.latch.knows_host(source.ip())
            || (signalled && self.inbound.latch.latched().is_none());
        if !known {
            self.inbound.refuse(source, &mut self.events);
            return;
        }
        let keys = match &mut self.reports.keys {
            Some(own) => Some(&mut own.theirs),
            None => self.inbound.srtp.as_mut(),
        };
        let len = match keys {
            None => data.len(),
            Some(srtp) => {
                let result = srtp
                    .as_mut()
                    .map_or(Err(crate::srtp::SrtpError::Authentication), |srtp| {
                        srtp.unprotect_rtcp(data)
                    });
                match result {
                    Ok(len) => len,
                    Err(error) => {
                        self.inbound.count_srtp_error(error, &mut self.events);
                        return;
                    }
                }
            }
        };
        let reception = self.inbound.reception.as_mut();
        let ours = (self.outbound.ssrc, self.config.codec.clock_hz());
        let Some(bye) = self.reports.handle(now, ours, &data[..len], reception) else {
            self.inbound.counters.refused += 1;
            return;
        };
        self.reports.source = Some(source);
        if let Some(loss) = self.reports.remote.loss.last() {
            self.outbound.encoder.expect_loss(loss);
        }
        if bye {
            push_event(&mut self.events, StreamEvent::Bye);
        } else {
            self.note_alive(now);
        }
    }

    /// The time of [`Stream::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.inbound.receiver.handle_timeout(now);
        let ticked = self.outbound.next_tick.is_some_and(|at| at <= now);
        if !ticked {
            return;
        }
        self.outbound.advance(now, self.recording.as_deref_mut());
        self.inbound.receiver.fill_pause(now);
        self.inbound.dtmf.handle_timeout(now);
        self.reports.handle_timeout(now);
        self.check_liveness(now);
    }

    /// When to call [`Stream::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (
            self.outbound.next_tick,
            self.inbound.receiver.poll_timeout(),
        ) {
            (Some(tick), Some(missing)) => Some(tick.min(missing)),
            (tick, missing) => tick.or(missing),
        }
    }

    /// The next 20 ms of the caller.
    pub fn poll_frame(&mut self) -> Option<CallerFrame<'_>> {
        let mut frame = self.inbound.receiver.poll_frame(&mut self.current)?;
        let said = &self.outbound.said;
        if let Some(level) = self.echo.hear(said, &mut self.current, frame.concealed) {
            frame.level = level;
        }
        self.voices.rest(self.echo.heard());
        self.look_for_keys();
        if let Some(treated) = &mut self.treated {
            frame.level = treated.apply(&mut self.current);
        }
        if let Some(recording) = &mut self.recording {
            recording.push_caller(&self.current);
        }
        Some(CallerFrame {
            audio: &self.current,
            timestamp_ms: frame.timestamp_ms,
            concealed: frame.concealed,
            level: frame.level,
        })
    }

    /// Whether what is heard now is what we say, come back from the line.
    pub fn judge_echo(&mut self) -> Heard {
        self.echo.judge(&self.outbound.said)
    }

    /// Whether what is heard now is a voice at all, whosever.
    pub fn judge_voice(&mut self) -> Heard {
        self.voices.judge(self.echo.heard())
    }

    /// What is played is quieter (by 15 dB), or as loud as it is.
    pub fn duck(&mut self, on: bool) {
        self.outbound.ducked = on;
    }

    /// Keys in the audio of the frame, as it came but for our echo.
    fn look_for_keys(&mut self) {
        let Some(detector) = &mut self.detector else {
            return;
        };
        let form = self.config.codec.form();
        let mut samples = [0; FRAME_SAMPLES_MAX];
        let samples = &mut samples[..form.frame_samples()];
        form.decode_into(&self.current, samples);
        detector.push(samples);
        while let Some((digit, duration_ms)) = detector.poll() {
            let news = self
                .keys
                .is_news(self.now, KeyWay::Tones, digit, duration_ms);
            if news {
                push_event(&mut self.events, StreamEvent::Dtmf { digit, duration_ms });
            }
        }
    }

    /// The next datagram to send, written into `buffer` (at least [`TRANSMIT_BYTES_MAX`] long).
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let destination = self.inbound.latch.destination();
        let len = self.outbound.poll(
            &self.config,
            destination,
            buffer,
            self.recording.as_deref_mut(),
        );
        if let (Some(len), Some(destination)) = (len, destination) {
            return Some(Transmit {
                rtcp: false,
                destination,
                len,
            });
        }
        if !self.reports.due && !self.reports.bye_due {
            return None;
        }
        let destination = self.rtcp_destination();
        let sending = Sending {
            ssrc: self.outbound.ssrc,
            timestamp: self.outbound.timestamp_at(self.now),
            clock_per_tick: clock_per_tick(&self.config),
            packets: self.outbound.counters.packets,
            bytes: self.outbound.counters.bytes,
        };
        let reception = self.inbound.reception.as_mut();
        let len = self
            .reports
            .write(self.now, &sending, reception, &self.config.cname, buffer)?;
        let destination = destination?;
        let keys = match &mut self.reports.keys {
            Some(own) => Some(&mut own.ours),
            None => self.outbound.srtp.as_mut(),
        };
        let len = match keys {
            None => len,
            // Keys that cannot be used, or are still to come.
            Some(None) => return None,
            Some(Some(srtp)) => srtp.protect_rtcp(buffer, len)?,
        };
        Some(Transmit {
            rtcp: !self.config.rtcp_mux,
            destination,
            len,
        })
    }

    /// The next 20 ms of the recording.
    pub fn poll_recording(&mut self) -> Option<RecordingFrame> {
        self.recording.as_deref_mut()?.poll()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        if let Some(event) = self.outbound.playout.poll_event() {
            return Some(StreamEvent::Playout(event));
        }
        while let Some((digit, duration_ms)) = self.inbound.dtmf.poll() {
            let news = self
                .keys
                .is_news(self.now, KeyWay::Event, digit, duration_ms);
            if news {
                return Some(StreamEvent::Dtmf { digit, duration_ms });
            }
        }
        if let Some((digit, duration_ms)) = self.outbound.keys_due.pop_front() {
            return Some(StreamEvent::KeyDue { digit, duration_ms });
        }
        self.events.pop_front()
    }

    /// Begins pacing: from now on one packet leaves every `ptime_ms`.
    pub fn start(&mut self, now: Instant) {
        self.now = now;
        if self.outbound.started_at.is_none() {
            self.liveness.since = now;
        }
        self.outbound.start(now);
        self.reports.start(now);
    }

    /// Sends an RTCP BYE on the next poll and stops pacing.
    pub fn stop(&mut self, now: Instant) {
        self.now = now;
        self.reports.bye_due =
            self.outbound.started_at.is_some() && self.outbound.next_tick.is_some();
        self.outbound.stop();
        self.reports.next_at = None;
    }

    /// Whether recording frames are made; they begin at the next tick.
    pub fn set_recording(&mut self, recording: bool) {
        if recording != self.recording.is_some() {
            let form = self.config.codec.form();
            self.recording = recording.then(|| Box::new(Recording::new(form)));
        }
    }

    /// Sample rate of the recording's frames; of the leg where there is none.
    #[must_use]
    pub fn recording_rate(&self) -> Rate {
        self.recording
            .as_ref()
            .map_or(self.form().rate(), |recording| recording.rate())
    }

    /// How the audio of this stream is carried.
    #[must_use]
    pub fn form(&self) -> Form {
        self.config.codec.form()
    }

    /// The queue of what the caller hears.
    pub fn playout(&mut self) -> &mut Playout {
        &mut self.outbound.playout
    }

    /// Our synchronisation source.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.outbound.ssrc
    }

    /// A key that came by SIP INFO.
    pub fn handle_key(&mut self, now: Instant, digit: char, duration_ms: u32) {
        self.now = now;
        if self.keys.is_news(now, KeyWay::Info, digit, duration_ms) {
            push_event(&mut self.events, StreamEvent::Dtmf { digit, duration_ms });
        }
    }

    /// Queues digits, each pressed for `duration_ms`, by the way of [`Keypad`]; audio pauses while they are sent.
    ///
    /// # Errors
    /// See [`DtmfError`]; nothing is queued then.
    pub fn send_dtmf(&mut self, digits: &str, duration_ms: u32) -> Result<(), DtmfError> {
        if self.config.keypad == Keypad::Events && self.config.telephone_event.is_none() {
            return Err(DtmfError::NotNegotiated);
        }
        if let Some(unknown) = digits
            .chars()
            .find(|digit| dtmf::event_of(*digit).is_none())
        {
            return Err(DtmfError::UnknownDigit(unknown));
        }
        if digits.chars().count() > self.outbound.dtmf.room() {
            return Err(DtmfError::QueueFull);
        }
        for event in digits.chars().filter_map(dtmf::event_of) {
            self.outbound.dtmf.push(event, duration_ms);
        }
        Ok(())
    }

    /// The figures so far.
    #[must_use]
    pub fn statistics(&self, now: Instant) -> Statistics {
        let _ = now;
        let (inbound, outbound) = (&self.inbound.counters, &self.outbound.counters);
        let receiver = &self.inbound.receiver.counters;
        let remote = &self.reports.remote;
        Statistics {
            erle_db: self.echo.erle_db(),
            packets_sent: outbound.packets,
            bytes_sent: outbound.bytes,
            packets_received: inbound.packets,
            bytes_received: inbound.bytes,
            packets_lost: receiver.lost.saturating_sub(receiver.late),
            packets_late: receiver.late,
            packets_duplicate: receiver.duplicate,
            packets_reordered: receiver.reordered,
            concealed_ms: receiver.concealed_samples / 8,
            silence_ms: receiver.silence_samples / 8,
            jitter_ms: self.inbound.jitter_ms(),
            jitter_ms_max: inbound.jitter_ms_max,
            round_trip_ms: remote.round_trip_ms.last(),
            remote_loss: remote.loss.last(),
            remote_jitter_ms: remote.jitter_ms.last(),
            remote: *remote,
            mos: self.mos(),
            refused_packets: inbound.refused,
            srtp_failures: inbound.srtp_failures,
            srtp_replays: inbound.srtp_replays,
            ssrc_changes: inbound.ssrc_changes,
            underruns: self.outbound.playout.underruns(),
            ticks_skipped: outbound.ticks_skipped,
            frames_dropped: receiver.frames_dropped,
        }
    }

    /// What the engine hears: half the round trip, the packet, the wait for missing ones; loss after that wait.
    fn mos(&self) -> Option<f64> {
        let counters = &self.inbound.counters;
        if counters.packets == 0 {
            return None;
        }
        let missed = self.inbound.receiver.counters.lost;
        let wait_ms = f64::from(self.inbound.receiver.wait_ms());
        let round_trip_ms = self.reports.remote.round_trip_ms.last();
        let delay_ms = round_trip_ms.unwrap_or_default() / 2.0 + f64::from(FRAME_MS) + wait_ms;
        #[expect(clippy::cast_precision_loss, reason = "a share needs three digits")]
        let loss = missed as f64 / (missed + counters.packets) as f64;
        Some(quality::mos(self.config.codec, delay_ms, loss))
    }

    fn rtcp_destination(&self) -> Option<SocketAddr> {
        let peer = self.inbound.latch.destination()?;
        if self.config.rtcp_mux {
            return Some(peer);
        }
        let on_host =
            |address: &SocketAddr| address.ip().to_canonical() == peer.ip().to_canonical();
        let heard = self.reports.source.filter(on_host);
        let signalled = self
            .config
            .remote_rtcp
            .filter(|address| on_host(address) && is_usable(*address));
        let next = peer
            .port()
            .checked_add(1)
            .map(|port| SocketAddr::new(peer.ip(), port));
        heard.or(signalled).or(next)
    }
}

/// Events beyond the limit are lost: none of them is one that a session waits for (those of the playout have their own queue).
fn push_event(events: &mut VecDeque<StreamEvent>, event: StreamEvent) {
    if events.len() < EVENTS_MAX {
        events.push_back(event);
    }
}

/// Listens to tones, where keys may come so.
fn detector(config: &StreamConfig) -> Option<Box<KeyDetector>> {
    let rate = config.codec.form().rate();
    config
        .keypad
        .hears_tones(config.telephone_event.is_some())
        .then(|| Box::new(KeyDetector::new(rate)))
}

/// Steps of the RTP clock in one tick of 8 kHz.
fn clock_per_tick(config: &StreamConfig) -> u32 {
    config.codec.clock_hz() / 8_000
}

/// The next number of a sequence that is good enough for offsets and intervals (splitmix64).
fn splitmix(state: u64) -> u64 {
    let mixed = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    (
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    )
}
