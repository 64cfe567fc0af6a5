//! Audio of a leg whose carrier plays for us (Media Streams and their like): no RTP and no pacing by packets. What is handed over
//! is played later, so what was *heard* is told from outside, as a position in everything that was ever handed over.
//!
//! [`Feed`] keeps the caller's audio in order, takes the agent's from a [`Playout`] a little ahead of real time, and knows which
//! item lies where: an item has begun when its position is heard, and is finished when its end is proven to have been played. While
//! others are on the line beside the agent ([`Feed::set_company`]) it is handed out in the moment in which it is said.

mod caller;
mod pace;
#[cfg(test)]
mod tests;
mod timeline;
mod together;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::caller::Caller;
pub use self::pace::COMPANY_LEAD_MS;
use self::timeline::Timeline;
use self::together::Together;
use crate::echo::Heard;
use crate::frame::{CallerFrame, FRAME_MS, FRAME_SAMPLES, Law, RecordingFrame};
use crate::playout::{Background, ItemKey, Played, Playout, PlayoutEvent, PlayoutFull};
use crate::recording::Recording;
use crate::statistics::Statistics;
use crate::stream::{MEDIA_TIMEOUT_MS, StreamEvent};

/// Events that may wait to be taken.
const EVENTS_MAX: usize = 64;
/// Ticks of the recording that are caught up at once.
const TICKS_AT_ONCE_MAX: u64 = 500;

/// Where the carrier stands, in samples of everything that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// What the caller has heard, as far as it can be known.
    pub heard: u64,
    /// What is proven to have been played.
    pub proven: u64,
}

/// Audio of a leg whose carrier plays for us. See the module.
#[derive(Debug)]
pub struct Feed {
    law: Law,
    caller: Caller,
    playout: Playout,
    timeline: Timeline,
    recording: Option<Box<Recording>>,
    started: Option<Instant>,
    /// Ticks of 20 ms since the start that are accounted for.
    ticks: u64,
    /// When an item that ran dry is looked at again.
    dry_at: Option<Instant>,
    /// The others beside the agent.
    together: Option<Box<Together>>,
    /// An item has ended since a proof was asked for.
    unproven: bool,
    timeout: Duration,
    lost: bool,
    messages_sent: u64,
    events: VecDeque<StreamEvent>,
}

impl Feed {
    /// A feed that plays and hears from [`Feed::start`] on.
    #[must_use]
    pub fn new(now: Instant, law: Law) -> Self {
        let mut playout = Playout::new(law.into());
        playout.hold_back(true);
        Self {
            law,
            caller: Caller::new(now, law),
            playout,
            timeline: Timeline::default(),
            recording: None,
            started: None,
            ticks: 0,
            dry_at: None,
            together: None,
            unproven: false,
            timeout: Duration::from_millis(u64::from(MEDIA_TIMEOUT_MS)),
            lost: false,
            messages_sent: 0,
            events: VecDeque::with_capacity(8),
        }
    }

    /// Law of both directions.
    #[must_use]
    pub fn law(&self) -> Law {
        self.law
    }

    /// The call is answered: what the caller says counts from now on.
    pub fn start(&mut self, now: Instant) {
        if self.started.is_none() {
            self.started = Some(now);
            self.caller.begin(now);
        }
    }

    /// Silence of the peer after which [`StreamEvent::MediaLost`] is reported.
    pub fn set_media_timeout_ms(&mut self, timeout_ms: u32) {
        self.timeout = Duration::from_millis(u64::from(timeout_ms));
    }

    /// Whether a recording is made of what is heard on both sides.
    pub fn set_recording(&mut self, on: bool) {
        if !on {
            self.recording = None;
        } else if self.recording.is_none() {
            self.recording = Some(Box::new(Recording::new(self.law.into())));
        }
    }

    /// A message of the caller's audio. `number` counts the messages of the stream; `None` where the carrier does not count.
    pub fn handle_audio(&mut self, now: Instant, number: Option<u64>, audio: &[u8]) {
        self.caller.push(now, number, audio);
        if std::mem::take(&mut self.lost) {
            self.event(StreamEvent::MediaResumed);
        }
    }

    /// The caller pressed a key.
    pub fn handle_dtmf(&mut self, digit: char, duration_ms: u32) {
        self.event(StreamEvent::Dtmf { digit, duration_ms });
    }

    /// Time passed, or the carrier told something about its playing.
    pub fn handle(&mut self, now: Instant, position: Position) {
        self.timeline.advance(position, &mut self.events);
        self.caller.handle_timeout(now);
        let Some(started) = self.started else {
            return;
        };
        let since = now.saturating_duration_since(started).as_millis() / u128::from(FRAME_MS);
        let due = u64::try_from(since)
            .unwrap_or(u64::MAX)
            .saturating_sub(self.ticks);
        self.ticks += due;
        if let Some(recording) = &mut self.recording {
            for _ in 0..due.min(TICKS_AT_ONCE_MAX) {
                recording.tick_with_silence();
            }
        }
        if due > 0 {
            self.caller.fill_pause(now);
            self.check_liveness(now);
        }
    }

    /// When [`Feed::handle`] wants to be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let started = self.started?;
        let next = started + Duration::from_millis((self.ticks + 3) * u64::from(FRAME_MS));
        let missing = self.caller.poll_timeout();
        let dry = self.dry_at.filter(|_| self.playout.is_dry());
        let paced = self
            .together
            .as_ref()
            .and_then(|together| together.pace.poll_timeout());
        [Some(next), missing, dry, paced]
            .into_iter()
            .flatten()
            .min()
    }

    fn check_liveness(&mut self, now: Instant) {
        let silent = now.saturating_duration_since(self.caller.heard_at);
        if !self.lost && silent >= self.timeout {
            self.lost = true;
            let since_ms = u32::try_from(silent.as_millis()).unwrap_or(u32::MAX);
            self.event(StreamEvent::MediaLost { since_ms });
        }
    }

    /// The next 20 ms of the caller, once started.
    pub fn poll_frame(&mut self) -> Option<CallerFrame<'_>> {
        if self.started.is_none() {
            self.caller.discard();
            return None;
        }
        self.caller.poll_frame(self.recording.as_deref_mut())
    }

    /// The next 20 ms of the recording.
    pub fn poll_recording(&mut self) -> Option<RecordingFrame> {
        self.recording.as_deref_mut()?.poll()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    /// Writes the next 20 ms to hand to the carrier; false when there is nothing now. `heard` is what the caller has heard: an
    /// item has run dry only when the carrier has nothing left of it.
    pub fn fill(&mut self, now: Instant, heard: u64, out: &mut [u8; FRAME_SAMPLES]) -> bool {
        if self.has_company() {
            return self.fill_together(now, heard, out);
        }
        if !self.playout.has_frame() {
            let due = self.dry_at.is_none_or(|at| at <= now);
            if !self.playout.is_dry() || heard < self.timeline.handed || !due {
                return false;
            }
            self.dry_at = Some(now + Duration::from_millis(u64::from(FRAME_MS)));
        }
        let sounded = self.write(out) || self.playout.has_background();
        if sounded {
            self.handed_over(out);
        } else {
            self.collect();
        }
        sounded
    }

    /// Writes the next 20 ms of the agent; whether they hold audio of an item.
    fn write(&mut self, out: &mut [u8; FRAME_SAMPLES]) -> bool {
        let mut at = self.timeline.handed;
        let timeline = &mut self.timeline;
        self.playout.fill_noting(out, &mut |key, len| {
            timeline.note(key, at, len);
            at += len as u64;
        })
    }

    /// The carrier is given these 20 ms.
    fn handed_over(&mut self, out: &[u8; FRAME_SAMPLES]) {
        self.timeline.handed += FRAME_SAMPLES as u64;
        if let Some(recording) = &mut self.recording {
            recording.push_agent(out);
        }
        self.collect();
    }

    /// The carrier was given silence besides, whole frames of it.
    pub fn hand_silence(&mut self, frames: u32) {
        self.timeline.handed += u64::from(frames) * FRAME_SAMPLES as u64;
        if let Some(recording) = &mut self.recording {
            recording.push_silence(frames);
        }
    }

    /// Takes what the playout reports, for the positions that it belongs to.
    fn collect(&mut self) {
        while let Some(event) = self.playout.poll_event() {
            self.unproven |= matches!(event, PlayoutEvent::Finished { .. });
            self.timeline.push(event);
        }
    }

    /// Whether an item has ended since the last time that this was asked: the carrier is to prove that it was played.
    pub fn wants_proof(&mut self) -> bool {
        std::mem::take(&mut self.unproven)
    }

    /// Whether anything waits to be handed over.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.playout.has_frame() || self.playout.is_dry()
    }

    /// Whether no item is queued; what was handed over may still be played.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.playout.is_idle()
    }

    /// Whether something is reported once what was handed over is heard.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.timeline.is_waiting() || self.playout.is_dry()
    }

    /// Whether less than `samples` are queued and more of the same item is to come.
    #[must_use]
    pub fn is_too_short(&self, samples: u64) -> bool {
        samples > FRAME_SAMPLES as u64 && self.playout.is_shorter(samples)
    }

    /// Whether what would be handed over next is the background only.
    #[must_use]
    pub fn is_background(&self) -> bool {
        self.playout.is_idle() && self.playout.has_background()
    }

    /// Queues audio at the end of `item`.
    ///
    /// # Errors
    /// [`PlayoutFull`] when a limit would be passed; nothing is queued.
    pub fn push(&mut self, item: &ItemKey, audio: &[u8]) -> Result<(), PlayoutFull> {
        self.playout.push(item, audio)
    }

    /// What is heard now: a voice, or none.
    pub fn judge_voice(&mut self) -> Heard {
        self.caller.judge_voice()
    }

    /// Sound that waits to be handed to the carrier, ms.
    pub fn queued_ms(&self) -> u32 {
        self.playout.queued_ms()
    }

    /// Says that no more audio of `item` will come.
    pub fn finish(&mut self, item: &ItemKey) {
        self.playout.finish(item);
        self.collect();
    }

    /// Forgets everything that was not heard: what was heard of each item that was not reported finished, in order. The carrier
    /// must be told to do the same, unless others are heard in what it has ([`Feed::is_mixed`]): then that is played to its end,
    /// and counts as heard.
    pub fn clear(&mut self, position: Position) -> Vec<Played> {
        self.timeline.advance(position, &mut self.events);
        let heard = if self.is_mixed() {
            self.timeline.handed
        } else {
            position.heard
        };
        if let Some(recording) = &mut self.recording {
            let ahead = self.timeline.handed.saturating_sub(heard);
            recording.forget_agent(usize::try_from(ahead).unwrap_or(usize::MAX));
        }
        let waiting = self.playout.clear();
        while self.playout.poll_event().is_some() {}
        self.dry_at = None;
        self.timeline.clear(heard, waiting)
    }

    /// True: queue but do not play (before the answer).
    pub fn hold_back(&mut self, held: bool) {
        self.playout.hold_back(held);
    }

    /// The sound while nothing is queued; `None` is silence.
    pub fn set_background(&mut self, background: Option<Background>) {
        self.playout.set_background(background);
    }

    /// Counts a message with audio that left.
    pub fn count_sent(&mut self) {
        self.messages_sent += 1;
    }

    /// Messages with audio that left.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.messages_sent
    }

    /// The figures so far. A packet is a message here.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            packets_sent: self.messages_sent,
            bytes_sent: self.timeline.handed_ever,
            underruns: self.timeline.underruns,
            ..self.caller.statistics()
        }
    }

    fn event(&mut self, event: StreamEvent) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        }
    }
}
