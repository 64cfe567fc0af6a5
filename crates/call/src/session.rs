//! The coordinator of one call. It holds no rule of its own: an input goes to the state machine that it concerns, then the
//! session *settles*: each machine is asked what has become due, until nothing has.

mod answering;
mod attended;
mod closing;
mod conference;
mod dictation;
mod echo;
mod engine;
mod handover;
mod leg;
mod parking;
mod person;
mod speech;
mod tools;
mod typing;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::answer::AnswerClock;
use crate::answering::Answering;
use crate::dictation::Dictating;
use crate::disclosure::Disclosure;
use crate::echo::Echoes;
use crate::effect::{Effect, Purpose, Role, SessionEvent};
use crate::end::EndReason;
use crate::engine_link::EngineLink;
use crate::goodbye::Goodbye;
use crate::input::Input;
use crate::keypad::Keypad;
use crate::limits::{NOTES_MAX, SETTLE_ROUNDS_MAX, TEXT_BYTES_MAX, cut_text};
use crate::liveness::{Floor, Liveness, LivenessStep};
use crate::opening::{OpeningWords, Prepared};
use crate::parking::Parked;
use crate::phase::Phase;
use crate::planted::{self, Planted};
use crate::profile::{Greeting, Profile};
use crate::tool::ledger::Ledger;
use crate::transcript::{Transcript, TranscriptEntry};
use crate::transfer::Transfer;
use crate::turn::Turn;
pub use person::NoPlace;

/// How a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionStart {
    /// The call came to us; otherwise we placed it.
    pub inbound: bool,
    /// How long a call that we placed may ring from here on, milliseconds; `None`: as long as the other side lets it.
    pub ring_ms: Option<u32>,
}

/// The end that was decided, while the leg takes its time.
#[derive(Clone, Copy, Debug)]
struct Closing {
    reason: EndReason,
    give_up_at: u64,
}

/// How the call begins for its caller.
#[derive(Debug)]
struct Opening {
    answer: AnswerClock,
    answering: Answering,
    disclosure: Disclosure,
    /// Words that were prepared.
    prepared: Prepared,
    /// A call that we placed is given up then.
    ring_until: Option<u64>,
}

/// The ways out of the conversation.
#[derive(Debug, Default)]
struct Leaving {
    goodbye: Option<Goodbye>,
    transfer: Option<Transfer>,
    /// The caller waits for somebody to take them.
    parked: Option<Parked>,
    closing: Option<Closing>,
    /// The caller hears that a second leg rings.
    ringback: bool,
}

/// What is to be told to the engine once it is there.
#[derive(Debug, Default)]
struct Outbox {
    notes: VecDeque<(Role, String)>,
    /// The engine does not hear the caller.
    muted: bool,
    /// The engine hears the caller later.
    held: bool,
    /// The agent's side owed something when the engine was lost.
    owed_at_loss: bool,
}

/// The state machine of one call.
#[derive(Debug)]
pub struct Session {
    started: Instant,
    /// Milliseconds since `started`, of the last input.
    now: u64,
    profile: Profile,
    phase: Phase,
    opening: Opening,
    link: EngineLink,
    turn: Turn,
    echoes: Echoes,
    dictating: Dictating,
    ledger: Ledger,
    leaving: Leaving,
    liveness: Liveness,
    keypad: Keypad,
    outbox: Outbox,
    transcript: Transcript,
    effects: VecDeque<Effect>,
}

impl Session {
    /// A session that begins now: an inbound call rings at once while the engine connects. Drain its effects at once.
    pub fn new(now: Instant, profile: Profile, start: SessionStart) -> Self {
        let answer = AnswerClock::new(&profile);
        let with_engine = profile.transfer_at_once.is_none();
        let connect_by = answer.at_the_latest() + u64::from(profile.engine.reconnect_ms_max);
        let prepared = Prepared::new(&profile);
        let mut session = Self {
            started: now,
            now: 0,
            phase: if start.inbound {
                Phase::Ringing
            } else {
                Phase::Dialing
            },
            opening: Opening {
                answer,
                answering: Answering::new(&profile),
                disclosure: if prepared.has(OpeningWords::Disclosure) {
                    Disclosure::prepared()
                } else {
                    Disclosure::new(
                        profile.disclosure.is_some() && profile.refusal.is_none() && with_engine,
                    )
                },
                prepared,
                ring_until: start.ring_ms.filter(|_| !start.inbound).map(u64::from),
            },
            link: EngineLink::new(profile.engine.clone(), connect_by),
            turn: Turn::new(),
            echoes: Echoes::default(),
            dictating: Dictating::default(),
            ledger: Ledger::default(),
            leaving: Leaving::default(),
            liveness: Liveness::new(),
            keypad: Keypad::default(),
            outbox: Outbox::default(),
            transcript: Transcript::default(),
            effects: VecDeque::new(),
            profile,
        };
        if !with_engine {
            session.link.stop();
        }
        if start.inbound {
            session.effects.push_back(Effect::Ring);
        }
        session.settle();
        session
    }

    /// How long a side whose sound has stopped is waited for, ms; 0: as long as it lasts.
    pub fn no_media_ms(&self) -> u32 {
        self.profile.no_media_ms
    }

    /// How long a parked caller waits where nobody says it, ms.
    pub fn parking_ms(&self) -> u32 {
        self.profile.parking_ms
    }

    /// Where the call stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The conversation goes on and our side owes nothing: no word, no answer of a tool, no engine.
    pub fn is_quiet(&self) -> bool {
        self.phase == Phase::Talking && self.floor() == Floor::Free
    }

    /// Takes one thing that happened. Inputs that make no sense at this point are ignored; after the end all are.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if self.phase == Phase::Ended {
            return;
        }
        let elapsed_ms = now.saturating_duration_since(self.started).as_millis();
        self.now = self.now.max(u64::try_from(elapsed_ms).unwrap_or(u64::MAX));
        self.apply(input);
        self.settle();
    }

    /// The next thing to do; drain to `None` after `new` and each `handle`.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When `Input::Timeout` is due; always later than the last input.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Ended && !planted::has(Planted::TimerAfterEnd) {
            return None;
        }
        let ringing = (self.phase == Phase::Ringing).then(|| self.opening.answer.at_the_latest());
        let dialing = self
            .opening
            .ring_until
            .filter(|_| self.phase == Phase::Dialing);
        let closing = self.leaving.closing.map(|closing| closing.give_up_at);
        let goodbye = self
            .leaving
            .goodbye
            .as_ref()
            .map(Goodbye::timeouts)
            .unwrap_or_default();
        let single = [
            ringing,
            dialing,
            closing,
            self.keypad.timeout(),
            self.keypad.secure.timeout(),
            self.opening.disclosure.timeout(),
            self.leaving.transfer.as_ref().and_then(Transfer::timeout),
            self.leaving.parked.as_ref().map(Parked::until),
            self.opening.answering.timeout(),
            self.echoes.timeout(),
            self.ledger.timeout(),
            self.ledger.filler_at(self.profile.tool_filler_ms),
        ];
        single
            .into_iter()
            .chain(goodbye)
            .chain(self.link.timeouts())
            .chain(self.turn.timeouts())
            .chain(self.liveness.timeouts(&self.profile))
            .flatten()
            // What is due was considered when the session settled: only another input can let it happen.
            .filter(|at| *at > self.now || planted::has(Planted::TimerInPast))
            .min()
            .map(|at| self.started + Duration::from_millis(at))
    }

    fn apply(&mut self, input: Input) {
        if self.phase == Phase::Joined {
            self.apply_joined(input);
        } else if self.phase == Phase::Parked {
            self.apply_parked(input);
        } else {
            self.apply_to_agent(input);
        }
    }

    fn apply_to_agent(&mut self, input: Input) {
        match input {
            Input::LegAnswered => self.leg_answered(),
            Input::LegEnded { cause } => self.leg_ended(cause),
            Input::AnsweredBy { who } => self.answerer_known(who),
            Input::MachineWaits => self.machine_waits(),
            Input::Dtmf { digit } => self.keypad_pressed(digit),
            Input::MediaLost { ms } => self.liveness.media_lost(self.now, ms),
            Input::MediaResumed => self.liveness.media_resumed(),
            Input::HoldChanged { held } => self.hold_changed(held),
            Input::EngineReady { expires_in_ms } => self.engine_ready(expires_in_ms),
            Input::EngineLost { failure } => self.engine_lost(failure),
            Input::EngineExpires { in_ms } => {
                self.liveness.engine_heard(self.now);
                self.link.expires(self.now, in_ms);
            }
            Input::UserSpeechStarted { item } => self.user_speech_started(item),
            Input::UserSpeechDoubted { item } => self.user_speech_doubted(item),
            Input::HeardJudged { heard } => self.heard_judged(heard),
            Input::UserSpeechStopped { item } => self.user_speech_stopped(&item),
            Input::UserTranscriptMissing { item } => self.user_transcript_missing(&item),
            Input::UserTranscript { item, text } => self.user_transcript(&item, text),
            Input::UserText { text } => self.user_wrote(text),
            Input::ResponseStarted { response } => self.response_started(response),
            Input::AgentAudioStarted { item, response } => {
                self.agent_audio_started(&item, response)
            }
            Input::AgentAudioDone { item } => self.turn.queue_mut().audio_done(self.now, &item),
            Input::AgentTranscript { item, text } => self.agent_transcript(&item, text),
            Input::ToolCalled {
                id,
                name,
                arguments,
            } => self.tool_called(id, &name, &arguments),
            Input::ResponseDone { response, status } => self.response_done(&response, &status),
            Input::PlayoutStarted { item } => self.turn.queue_mut().started(self.now, &item),
            Input::PlayoutStarved { item } => self.turn.queue_mut().starved(self.now, &item),
            Input::PlayoutFinished { item, .. } => {
                self.turn.queue_mut().finished(&item);
                self.opening.prepared.played(&item);
                self.opening.disclosure.played(&item);
            }
            Input::PlayoutCleared {
                item,
                played_ms,
                finished,
            } => self.playout_cleared(item, played_ms, finished),
            Input::PlayoutDrained => {
                self.turn.queue_mut().drained();
                self.opening.prepared.drained();
            }
            Input::ToolFinished { id, outcome } => self.tool_finished(&id, outcome),
            Input::HangUpRequested { by } => self.hang_up_requested(by),
            Input::TransferRequested { target } => self.transfer_requested(target),
            Input::TransferAccepted => self.transfer_accepted(),
            Input::TransferFinished { end } => self.transfer_finished(end),
            Input::TargetRings => self.target_rings(),
            Input::TargetAnswered => self.target_answered(),
            Input::AnnouncementEnded { heard } => self.announcement_ended(heard),
            Input::TargetPressed { digit } => self.target_pressed(digit),
            Input::TargetEnded { reason } => self.target_ended(&reason),
            Input::Person(input) => self.person(input),
            Input::SendDtmf { digits } => self.send_dtmf(&digits),
            Input::SecureInput { on } => self.secure_input(on),
            Input::BudgetSpent => self.budget_spent(),
            Input::Instruct { text } => self.instructed(text),
            Input::Timeout => {}
        }
    }

    /// Lets everything happen that has become due. One step may set off another, within bounds.
    fn settle(&mut self) {
        let rounds = if planted::has(Planted::NeverSettles) {
            100
        } else {
            SETTLE_ROUNDS_MAX
        };
        for _ in 0..rounds {
            let before = (self.effects.len(), self.phase);
            self.settle_hang_up();
            if self.phase == Phase::Ended {
                return;
            }
            self.settle_dialing();
            self.settle_answering();
            self.settle_link();
            self.settle_answer();
            self.settle_prepared();
            self.settle_echo();
            self.settle_turn();
            self.settle_disclosure();
            self.settle_typing();
            self.settle_tools();
            self.settle_keypad();
            self.settle_liveness();
            self.settle_goodbye();
            self.settle_transfer();
            self.settle_parking();
            self.settle_mute();
            self.settle_requests();
            if before == (self.effects.len(), self.phase) {
                return;
            }
        }
    }

    fn settle_turn(&mut self) {
        if self.turn.expire(self.now) {
            self.false_interruption();
        }
    }

    fn settle_liveness(&mut self) {
        // Each step changes the machine, so that this ends; the bound is for a fault of ours.
        for _ in 0..SETTLE_ROUNDS_MAX {
            let floor = self.floor();
            let stallable = self.turn.response_under_way() && self.link.is_ready();
            let Some(step) = self
                .liveness
                .advance(self.now, floor, stallable, &self.profile)
            else {
                return;
            };
            self.take_liveness_step(step);
        }
    }

    fn take_liveness_step(&mut self, step: LivenessStep) {
        let conversing = self.phase == Phase::Talking;
        match step {
            LivenessStep::BackgroundOn { silent_ms } => {
                self.effect(Effect::Background { on: true });
                self.journal(SessionEvent::DeadAirCovered { silent_ms });
            }
            LivenessStep::BackgroundOff => self.effect(Effect::Background { on: false }),
            LivenessStep::Reprompt { count } if conversing => {
                self.journal(SessionEvent::Reprompted { count });
                self.turn.want(Purpose::Reprompt);
            }
            LivenessStep::SilentForTooLong if conversing => {
                self.say_goodbye(EndReason::IdleTimeout)
            }
            LivenessStep::Warn if conversing => {
                self.journal(SessionEvent::MaxDurationWarned);
                self.turn.want(Purpose::Warning);
            }
            LivenessStep::DurationReached if conversing => self.say_goodbye(EndReason::MaxDuration),
            // Nobody of ours is there to say goodbye.
            LivenessStep::DurationReached
                if matches!(self.phase, Phase::Joined | Phase::Parked) || self.is_met() =>
            {
                self.hang_up(EndReason::MaxDuration);
            }
            LivenessStep::Reprompt { .. }
            | LivenessStep::SilentForTooLong
            | LivenessStep::Warn
            | LivenessStep::DurationReached => {}
            LivenessStep::CallerGone => self.caller_gone(),
            LivenessStep::EngineStalled => self.engine_stalled(),
        }
    }

    /// Requests the next response, when one is wanted and nothing stands against it.
    fn settle_requests(&mut self) {
        let may_speak = match self.phase {
            Phase::Ringing
            | Phase::Dialing
            | Phase::Answering
            | Phase::Talking
            | Phase::Goodbye => true,
            Phase::HangingUp => planted::has(Planted::SpeaksAfterHangUp),
            Phase::Transferring
            | Phase::Joined
            | Phase::Parked
            | Phase::Apologising
            | Phase::Ended => false,
        };
        let is_heard = self.link.is_ready() || planted::has(Planted::AsksNobody);
        if !may_speak || !is_heard || self.welcomes() {
            return;
        }
        if let Some(purpose) = self.turn.take_request() {
            let instructions = self.instructions(purpose);
            let tools_allowed = match purpose {
                Purpose::ToolResult
                | Purpose::Resume
                | Purpose::Reconnected
                | Purpose::Reply
                | Purpose::Dtmf
                | Purpose::TransferFailed
                | Purpose::Returned
                | Purpose::Conferred
                | Purpose::Instruct => self.ledger.may_call_more(),
                Purpose::Disclosure
                | Purpose::Greeting
                | Purpose::Reprompt
                | Purpose::Warning
                | Purpose::Goodbye
                | Purpose::ToolFiller => false,
            };
            if purpose == Purpose::Disclosure {
                self.opening.disclosure.asked();
            }
            self.liveness.engine_heard(self.now);
            self.effect(Effect::CreateResponse {
                purpose,
                instructions,
                tools_allowed,
            });
        }
    }

    /// The agent is heard before the caller.
    fn speaks_first(&self) -> bool {
        self.profile.refusal.is_none()
            && (self.opening.disclosure.protects()
                || matches!(self.profile.greeting, Greeting::Model { .. }))
    }

    fn instructions(&self, purpose: Purpose) -> Option<String> {
        let phrases = &self.profile.phrases;
        match purpose {
            Purpose::Greeting => match &self.profile.greeting {
                Greeting::Model { instructions } => Some(instructions.clone()),
                Greeting::None => None,
            },
            Purpose::Disclosure => self.profile.disclosure.clone(),
            Purpose::TransferFailed => Some(phrases.transfer_failed.clone()),
            Purpose::Returned => Some(phrases.returned.clone()),
            Purpose::Conferred => Some(phrases.conferred.clone()),
            Purpose::Reprompt => Some(phrases.reprompt.clone()),
            Purpose::Warning => Some(phrases.warning.clone()),
            Purpose::Resume => Some(phrases.resume.clone()),
            Purpose::Reconnected => Some(phrases.reconnected.clone()),
            Purpose::ToolFiller => Some(phrases.tool_filler.clone()),
            Purpose::Goodbye => self
                .leaving
                .goodbye
                .as_ref()
                .map(|goodbye| self.goodbye_instructions(goodbye.reason())),
            Purpose::ToolResult | Purpose::Reply | Purpose::Dtmf | Purpose::Instruct => None,
        }
    }

    /// Who is expected to be heard at this instant.
    fn floor(&self) -> Floor {
        let heard = match self.phase {
            // While it rings there, that is what the caller hears.
            Phase::Talking | Phase::Transferring | Phase::Goodbye | Phase::Apologising => {
                !self.liveness.is_held()
                    && !self.opening.answering.is_silent()
                    && !self.leaving.ringback
                    && !self.target_is_ringing()
            }
            Phase::Ringing
            | Phase::Dialing
            | Phase::Answering
            | Phase::Joined
            | Phase::Parked
            | Phase::HangingUp
            | Phase::Ended => false,
        };
        if !heard {
            Floor::Suspended
        } else if self.turn.caller_speaks() {
            Floor::Caller
        } else if self.turn.queue().is_playing() {
            Floor::Agent
        } else if self.keypad.secure.is_on() || self.opening.answering.is_with_machine() {
            // The caller types, or a machine records: nobody is expected to be heard.
            Floor::Suspended
        } else if self.phase == Phase::Transferring
            || self.turn.response_busy()
            || self.turn.reply_owed()
            || !self.turn.queue().is_empty()
            || self.ledger.is_running()
            || !self.link.is_up()
        {
            Floor::Owed
        } else if self.phase == Phase::Talking {
            Floor::Free
        } else {
            // The short silence before the hang-up is meant.
            Floor::Suspended
        }
    }

    fn enter(&mut self, phase: Phase) {
        debug_assert!(
            self.phase.may_become(phase),
            "{:?} to {phase:?}",
            self.phase
        );
        self.journal(SessionEvent::PhaseChanged {
            from: self.phase.label(),
            to: phase.label(),
        });
        self.phase = phase;
    }

    fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    fn journal(&mut self, event: SessionEvent) {
        self.effects.push_back(Effect::Journal(event));
    }

    fn record(&mut self, entry: Option<TranscriptEntry>) {
        self.effects.extend(entry.map(Effect::Record));
    }

    /// Adds a message to the conversation, at once or when the engine is there.
    fn note(&mut self, role: Role, text: String) {
        let text = cut_text(text, TEXT_BYTES_MAX);
        if self.link.is_ready() {
            self.effect(Effect::AddMessage { role, text });
        } else {
            if self.outbox.notes.len() == NOTES_MAX {
                self.outbox.notes.pop_front();
            }
            self.outbox.notes.push_back((role, text));
        }
    }
}
