//! The telephone itself: signalling, audio and script in one task.

use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{PlayoutEvent, StreamEvent};
use sip::sdp::offer_answer::{accept_answer, answer, offer};
use sip::{EndCause, Event, InviteId, OutgoingInvite};

use crate::scenario::Prepared;

use super::line::Line;
use super::listener::Listener;
use super::media::Audio;
use super::script::{Action, Script};
use super::{CallError, Config, EndedBy, Outcome, Report, Said};

/// How long the other side may take to acknowledge a hang-up.
const HANG_UP_BOUND: Duration = Duration::from_secs(4);
/// How often the script looks at the time while nothing else happens.
const TICK: Duration = Duration::from_millis(20);
/// Duration of a key press.
const DTMF_MS: u32 = 160;
/// A sample of an utterance above this is voice.
const VOICE_SAMPLE_MIN: u16 = 400;

/// An utterance that is being said.
#[derive(Debug)]
struct Saying {
    id: String,
    /// From the beginning of the sound to its first voice.
    lead_ms: u32,
    /// From the beginning of the sound to its last voice.
    voice_ms: u32,
    /// When the sound began, since the answer.
    started_ms: Option<u32>,
    /// The agent was speaking when it began.
    over_agent: bool,
}

/// When things happened.
#[derive(Debug)]
struct Times {
    invited: Instant,
    ringing: Option<Instant>,
    answered: Option<Instant>,
    ended: Option<Instant>,
    /// We have hung up and wait for the other side until then.
    hang_up_bound: Option<Instant>,
}

pub(super) struct Phone {
    config: Config,
    prepared: Arc<Prepared>,
    line: Line,
    audio: Audio,
    invite: Option<InviteId>,
    script: Script,
    listener: Listener,
    times: Times,
    saying: Option<Saying>,
    said: Vec<(Said, bool)>,
    outcome: Option<Outcome>,
    ended_by: Option<EndedBy>,
    end_reason: Option<String>,
}

impl Phone {
    pub(super) async fn start(config: Config, prepared: Arc<Prepared>) -> Result<Self, CallError> {
        let line = Line::bind(config.bind, config.tcp, config.seed).await?;
        let record = config.keep_audio || config.recording.is_some();
        let mut audio = Audio::bind(config.bind.ip(), config.seed, record).await?;
        let now = Instant::now();
        let to = if config.tcp && !config.target.contains("transport=") {
            format!("{};transport=tcp", config.target)
        } else {
            config.target.clone()
        };
        let wish = OutgoingInvite {
            number: None,
            account: None,
            device: None,
            to,
            from: Some(config.from.clone()),
            offer: Some(offer(&audio.local(), sip::sdp::Direction::SendRecv)),
            destination: None,
            headers: Vec::new(),
        };
        let mut phone = Self {
            script: Script::new(prepared.scenario.steps.clone()),
            listener: Listener::new(now),
            config,
            prepared,
            line,
            audio,
            invite: None,
            times: Times {
                invited: now,
                ringing: None,
                answered: None,
                ended: None,
                hang_up_bound: None,
            },
            saying: None,
            said: Vec::new(),
            outcome: None,
            ended_by: None,
            end_reason: None,
        };
        let target = phone.config.target.clone();
        let invite = phone.line.agent.invite(now, wish);
        phone.invite = Some(invite.map_err(|_| CallError::Target { target })?);
        Ok(phone)
    }

    /// Runs to the end of the call.
    pub(super) async fn run(&mut self) {
        let bound = Duration::from_millis(u64::from(self.config.call_ms_max));
        while self.times.ended.is_none() {
            self.advance().await;
            let now = Instant::now();
            if now > self.times.invited + bound {
                self.hang_up(Outcome::TimedOut);
            }
            if self.times.hang_up_bound.is_some_and(|bound| now > bound) {
                self.end(now);
            }
            if self.times.ended.is_some() {
                break;
            }
            let due = [self.line.agent.poll_timeout(), self.audio.poll_timeout()];
            let due = due.into_iter().flatten().fold(now + TICK, Instant::min);
            tokio::select! {
                () = self.line.receive() => {}
                () = self.audio.receive() => {}
                () = tokio::time::sleep_until(due.into()) => {}
            }
        }
        // What the user agent still has to send, such as the answer to a BYE.
        let mut events = Vec::new();
        self.line.advance(&mut events).await;
    }

    async fn advance(&mut self) {
        let mut events = Vec::new();
        self.line.advance(&mut events).await;
        for event in events {
            self.handle_sip(event);
        }
        // What the handling wants to send goes out before the next wait.
        let mut events = Vec::new();
        self.line.advance(&mut events).await;
        for event in events {
            self.handle_sip(event);
        }
        let now = Instant::now();
        let (mut levels, mut happened) = (Vec::new(), Vec::new());
        self.audio.advance(now, &mut levels, &mut happened);
        for level in levels {
            self.listener.frame(now, level);
        }
        self.listener.close(self.listener.ms(now));
        for event in happened {
            self.handle_media(now, &event);
        }
        if self.times.answered.is_some() && self.times.hang_up_bound.is_none() {
            self.follow_script(now);
        }
    }

    fn handle_sip(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Progress { status, .. } if status >= 180 => {
                self.times.ringing.get_or_insert(now);
            }
            Event::Accepted { sdp, .. } => self.answered(now, sdp.as_deref()),
            Event::Offer { invite, sdp } => match answer(&sdp, &self.audio.local()) {
                Ok((agreed, sdp)) => {
                    self.audio.agree(now, &agreed);
                    let _ = self.line.agent.answer_offer(now, invite, sdp);
                }
                Err(rejected) => {
                    let status = rejected.status();
                    let _ = self.line.agent.reject_offer(now, invite, status);
                }
            },
            Event::OfferRequested { invite } => {
                let sdp = offer(&self.audio.local(), sip::sdp::Direction::SendRecv);
                let _ = self.line.agent.answer_offer(now, invite, sdp);
            }
            Event::Answer { sdp, .. } => {
                if let Ok(agreed) = accept_answer(&self.audio.local(), &sdp) {
                    self.audio.agree(now, &agreed);
                }
            }
            Event::Ended { cause, .. } => self.ended(now, cause),
            Event::Progress { .. }
            | Event::IncomingInvite(_)
            | Event::Established { .. }
            | Event::OfferFailed { .. }
            | Event::Refreshed { .. }
            | Event::Info { .. }
            | Event::Refer { .. }
            | Event::ReferAnswered { .. }
            | Event::ReferNotified { .. }
            | Event::Registration { .. }
            | Event::Bindings { .. }
            | Event::RegisterRefused { .. }
            | Event::Trace(_)
            | Event::Dropped { .. } => {}
        }
    }

    fn answered(&mut self, now: Instant, sdp: Option<&[u8]>) {
        if self.times.answered.is_some() {
            return;
        }
        self.times.answered = Some(now);
        self.listener = Listener::new(now);
        let local = self.audio.local();
        let agreed = sdp.map(|sdp| accept_answer(&local, sdp));
        let begun = match agreed {
            Some(Ok(agreed)) => self.audio.agree(now, &agreed),
            Some(Err(_)) | None => false,
        };
        if !begun {
            self.hang_up(Outcome::NoMedia);
        }
    }

    fn ended(&mut self, now: Instant, cause: EndCause) {
        match cause {
            EndCause::RemoteBye { reason } => {
                self.ended_by = Some(EndedBy::Agent);
                self.end_reason = reason;
            }
            EndCause::LocalHangUp => {}
            EndCause::Refused { status, reason } => {
                self.outcome
                    .get_or_insert(Outcome::NotAnswered { status, reason });
            }
            EndCause::RemoteCancel
            | EndCause::Rejected { .. }
            | EndCause::AckMissing
            | EndCause::MissingAnswer
            | EndCause::SessionExpired
            | EndCause::Timeout
            | EndCause::TransportLost
            | EndCause::Unreachable
            | EndCause::DialogLost
            | EndCause::Overload => {
                let reason = format!("{cause:?}");
                if self.times.answered.is_none() {
                    let outcome = Outcome::NotAnswered { status: 0, reason };
                    self.outcome.get_or_insert(outcome);
                } else {
                    self.end_reason = Some(reason);
                }
            }
        }
        self.end(now);
    }

    fn end(&mut self, now: Instant) {
        self.times.ended = Some(now);
        if self.outcome.is_none() {
            self.outcome = Some(if self.script.may_end() {
                Outcome::Completed
            } else {
                Outcome::EndedEarly {
                    step: self.script.step(),
                }
            });
        }
    }

    fn hang_up(&mut self, outcome: Outcome) {
        if self.times.hang_up_bound.is_some() {
            return;
        }
        self.outcome.get_or_insert(outcome);
        let now = Instant::now();
        self.times.hang_up_bound = Some(now + HANG_UP_BOUND);
        if self.times.answered.is_some() {
            self.ended_by = Some(EndedBy::Caller);
        }
        if let Some(invite) = self.invite {
            // It may have ended at this very moment; then its end is already on its way.
            let _ = self.line.agent.hang_up(now, invite, None);
        }
    }

    fn handle_media(&mut self, now: Instant, event: &StreamEvent) {
        let now_ms = self.listener.ms(now);
        match event {
            StreamEvent::Playout(PlayoutEvent::Started { .. }) => {
                let over_agent = self.listener.speaking().is_some();
                if let Some(saying) = &mut self.saying {
                    saying.started_ms.get_or_insert(now_ms);
                    saying.over_agent = over_agent;
                }
            }
            StreamEvent::Playout(PlayoutEvent::Finished { .. }) => {
                if let Some(saying) = self.saying.take() {
                    let began = saying.started_ms.unwrap_or(now_ms);
                    let said = Said {
                        utterance: saying.id,
                        started_ms: began + saying.lead_ms,
                        ended_ms: began + saying.voice_ms,
                        answered_after_ms: None,
                        agent_silent_after_ms: None,
                    };
                    self.script.said(said.ended_ms);
                    self.said.push((said, saying.over_agent));
                }
            }
            StreamEvent::Playout(_)
            | StreamEvent::Latched { .. }
            | StreamEvent::SourceRefused { .. }
            | StreamEvent::Dtmf { .. }
            | StreamEvent::KeyDue { .. }
            | StreamEvent::MediaLost { .. }
            | StreamEvent::MediaResumed
            | StreamEvent::SrtpFailure { .. }
            | StreamEvent::Bye => {}
        }
    }

    fn follow_script(&mut self, now: Instant) {
        match self.script.poll(now, &self.listener) {
            None => {}
            Some(Action::Say(id)) => self.say(&id),
            Some(Action::Dtmf(digits)) => {
                if let Some(stream) = &mut self.audio.stream {
                    // Keys that were not agreed on cannot be pressed; the agent's answer then does not come.
                    let _ = stream.send_dtmf(&digits, DTMF_MS);
                }
            }
            Some(Action::HangUp | Action::Finished) => self.hang_up(Outcome::Completed),
            Some(Action::TimedOut) => {
                let step = self.script.step();
                self.hang_up(Outcome::StepTimedOut { step });
            }
        }
    }

    fn say(&mut self, id: &str) {
        let Some(sound) = self.prepared.utterance(id) else {
            return;
        };
        let samples = sound.at_8k();
        let voice = |sample: &i16| sample.unsigned_abs() > VOICE_SAMPLE_MIN;
        let ms = |at: Option<usize>| u32::try_from(at.unwrap_or(0) / 8).unwrap_or(u32::MAX);
        self.saying = Some(Saying {
            id: id.to_owned(),
            lead_ms: ms(samples.iter().position(voice)),
            voice_ms: ms(samples.iter().rposition(voice)),
            started_ms: None,
            over_agent: false,
        });
        // Each time under its own key, so that the same words can be said twice.
        let key: media::ItemKey = Arc::from(format!("{}-{id}", self.said.len()));
        let audio = sound.encoded(self.audio.encoding());
        if let Some(stream) = &mut self.audio.stream {
            let playout = stream.playout();
            if playout.push(&key, audio).is_err() {
                tracing::warn!("an utterance is longer than the playout holds");
            }
            playout.finish(&key);
        }
    }

    /// What was seen and measured; writes the recording.
    pub(super) async fn report(mut self) -> Result<Report, CallError> {
        let ms = |from: Instant, to: Instant| {
            let ms = to.saturating_duration_since(from).as_millis();
            u32::try_from(ms).unwrap_or(u32::MAX)
        };
        let heard = self.listener.all();
        for (said, over_agent) in &mut self.said {
            let after = heard.iter().find(|one| one.started_ms > said.ended_ms);
            said.answered_after_ms = after.map(|one| one.started_ms - said.ended_ms);
            // The agent's last word under the caller's: a pause between two of its words is not yet its silence.
            let cut = heard.iter().rfind(|one| one.started_ms < said.ended_ms);
            said.agent_silent_after_ms = cut
                .filter(|_| *over_agent)
                .map(|one| one.ended_ms.saturating_sub(said.started_ms));
        }
        let times = &self.times;
        let counts = self.audio.statistics(Instant::now()).unwrap_or_default();
        let recording = self.audio.recording.take();
        if let (Some(recording), Some(path)) = (&recording, self.config.recording.clone()) {
            let (recording, path) = (recording.clone(), path);
            let written = tokio::task::spawn_blocking(move || recording.write(&path)).await;
            if let Ok(Err(error)) = written {
                return Err(CallError::Recording(error));
            }
        }
        Ok(Report {
            outcome: self.outcome.unwrap_or(Outcome::TimedOut),
            ended_by: self.ended_by,
            end_reason: self.end_reason,
            invite_to_ringing_ms: times.ringing.map(|at| ms(times.invited, at)),
            invite_to_answer_ms: times.answered.map(|at| ms(times.invited, at)),
            answer_to_first_audio_ms: self.listener.first().map(|first| first.started_ms),
            call_ms: match (times.answered, times.ended) {
                (Some(answered), Some(ended)) => ms(answered, ended),
                (_, _) => 0,
            },
            said: self.said.into_iter().map(|(said, _)| said).collect(),
            heard,
            packets_sent: counts.packets_sent,
            packets_received: counts.packets_received,
            packets_lost: counts.packets_lost,
            recording: recording.filter(|_| self.config.keep_audio),
        })
    }
}
