//! What the session asks for, carried out.

use std::time::Instant;

use call::{
    Effect, EndReason, EngineFailure, Input, ItemId, LocalSound, Phase, Purpose,
    Role as SessionRole, SessionEvent, Speaker, TranscriptEntry,
};
use catalog::Message;
use media::Background;
use store::Event;
use store::journal::{EngineState, PlayoutPhase};
use wire::Dialogue;
use wire::realtime::{ResponseRequest, Role};

use super::{CLEARED_ITEMS_MAX, CallTask};
use crate::engine_link::Which;
use crate::live::{LiveEventKind, LiveState};
use crate::sounds;

/// How long each key of a sent sequence is pressed, ms.
const SENT_DTMF_MS: u32 = 120;

impl CallTask {
    pub(super) fn effect(&mut self, now: Instant, effect: Effect) {
        match effect {
            Effect::Ring => self.ring(now),
            Effect::Answer => self.answer(now),
            Effect::RejectCall { reason } => self.reject(now, reason),
            Effect::HangUp { reason } => self.hang_up(now, reason),
            Effect::ConnectEngine { attempt, replay } => self.connect_engine(now, attempt, replay),
            Effect::CloseEngine => {
                self.keep_unfinished_words(now);
                self.close_engine(now);
            }
            Effect::RotateEngine => self.rotate_engine(now),
            Effect::CreateResponse {
                purpose,
                instructions,
                tools_allowed,
            } => {
                if purpose == Purpose::Greeting
                    && let Some(words) = self.opening_words.take()
                {
                    self.tell_engine(|engine| engine.add_message(Role::User, &words));
                }
                self.opening_asked(purpose);
                self.create_response(purpose, instructions, tools_allowed);
            }
            Effect::CancelResponse => self.tell_engine(Dialogue::cancel_response),
            Effect::TruncateItem { item, played_ms } => {
                self.tell_engine(|engine| engine.truncate(item.as_str(), played_ms));
            }
            Effect::SubmitToolOutput { id, output } => {
                self.tell_engine(|engine| engine.submit_tool_output(id.as_str(), &output));
            }
            Effect::AddMessage { role, text } => self.add_message(role, &text),
            Effect::MuteCaller { muted } => self.link.set_muted(muted),
            Effect::HoldCaller { held, said } => {
                self.hold_caller(now, held);
                if said && self.desk.calls.announces {
                    self.begin_recording();
                }
            }
            Effect::SecureInput { on } => self.secure_input(now, on),
            Effect::Transfer { target } => self.transfer(now, &target),
            Effect::CallTarget { target } => self.call_target(now, &target),
            Effect::DropTarget { why } => self.drop_target(now, why),
            Effect::Announce { asks } => self.announce(now, asks),
            Effect::HandOver => self.hand_over(now),
            Effect::Join => self.join(now),
            Effect::Confer => self.confer(now),
            Effect::Park { .. } => self.parked(now),
            Effect::Unpark => self.unparked(now),
            Effect::ClearPlayout => self.clear_playout(now),
            Effect::Patience { patience_ms } => self.link.set_patience(patience_ms),
            Effect::Duck { on } => self.media.duck(on),
            Effect::FinishItem { item } => self.media.finish(item.as_arc()),
            Effect::ReleasePlayout => self.media.hold_back(false),
            Effect::PlayLocal { sound } => self.play_local(sound),
            Effect::PlayRecorded { words } => self.play_recorded(words),
            Effect::Background { on } => self.background(on, Background::Thinking),
            Effect::Ringback { on } => self.background(on, Background::Ringback),
            Effect::SendDtmf { digits } => self.send_dtmf(now, &digits),
            Effect::RunTool {
                id,
                name,
                arguments,
                typed,
                ..
            } => self.run_tool(now, id, &name, arguments, typed),
            Effect::Record(entry) => self.record(entry),
            Effect::Journal(event) => self.journal_session(now, &event),
            Effect::Ended { reason } => self.ended = Some(reason),
        }
    }

    fn background(&mut self, on: bool, sound: Background) {
        self.media.set_background(on.then_some(sound));
    }

    fn add_message(&mut self, role: SessionRole, text: &str) {
        // Keys that the caller pressed are the caller's turn.
        if role == SessionRole::User
            && let Some(office) = &mut self.office
        {
            office.brain.heard_caller(text);
        }
        self.tell_engine(|engine| engine.add_message(engine_role(role), text));
    }

    fn ring(&mut self, now: Instant) {
        // It rings since the questions before the conversation.
        if self.desk.timings.ring_ms.is_none() {
            self.ask(now, |task| task.desk.leg.ring());
            self.desk.rings(now);
        }
    }

    fn answer(&mut self, now: Instant) {
        let Some(answer) = self.answer.take() else {
            return;
        };
        if answer.is_offer {
            self.desk.journal.note(now, Message::new("delayed_offer"));
        }
        self.ask(now, |task| task.desk.leg.answer(answer.sdp));
        self.desk.answered(now);
        self.record_from_the_answer();
        self.media.start(now);
    }

    fn reject(&mut self, now: Instant, reason: EndReason) {
        let retry = reason
            .row()
            .retryable
            .then_some(self.desk.calls.retry_after_s);
        self.ask(now, |task| task.desk.leg.reject(reason, retry));
    }

    /// The session is done with it: the call is over, or the engine is there and says nothing. Then another is tried.
    fn close_engine(&mut self, now: Instant) {
        self.link.close(Which::Current);
        self.link.close(Which::Next);
        // Who left because people talk is asked first when the caller is back.
        if !matches!(self.session.phase(), Phase::Joined | Phase::Parked) {
            self.link.after_loss(EngineFailure::Timeout);
        }
        self.engine_state(now, EngineState::Closed, 0);
    }

    fn rotate_engine(&mut self, now: Instant) {
        self.engine_state(now, EngineState::Rotating, 0);
        let history = self.history.items();
        self.link.connect(now, Which::Next, &history);
    }

    fn engine_state(&self, now: Instant, state: EngineState, attempt: u8) {
        let event = Event::EngineState {
            state,
            attempt,
            failure: None,
        };
        self.desk.journal.event(now, event);
    }

    fn hang_up(&mut self, now: Instant, reason: EndReason) {
        self.desk.set_state(LiveState::Ending);
        self.ask(now, |task| task.desk.leg.hang_up(reason));
    }

    fn connect_engine(&mut self, now: Instant, attempt: u8, replay: bool) {
        self.engine_state(now, EngineState::Connecting, attempt);
        let history = if replay {
            self.history.items()
        } else {
            Vec::new()
        };
        self.link.connect(now, Which::Current, &history);
    }

    /// Without a session there is nobody to tell.
    fn tell_engine(&mut self, tell: impl FnOnce(&mut Dialogue)) {
        if let Some(conversation) = self.link.conversation(Which::Current) {
            tell(conversation);
        }
    }

    fn create_response(
        &mut self,
        purpose: Purpose,
        instructions: Option<String>,
        tools_allowed: bool,
    ) {
        let tool_choice_none = !tools_allowed;
        let request = ResponseRequest {
            instructions,
            tool_choice_none,
            audio: true,
            optional: purpose == Purpose::ToolFiller,
        };
        self.tell_engine(|engine| engine.create_response(request));
    }

    /// Empties the queue and says what of it was heard. Audio of the cut items that is still on its way is dropped.
    fn clear_playout(&mut self, now: Instant) {
        self.link.clear_agent_audio();
        let played = self.media.clear(now);
        if played.is_empty() {
            self.session.handle(
                now,
                Input::PlayoutCleared {
                    item: None,
                    played_ms: 0,
                    finished: false,
                },
            );
        }
        for part in played {
            self.journal_playout(now, &part.item, PlayoutPhase::Cleared, part.played_ms);
            if !part.finished {
                if self.cleared.len() >= CLEARED_ITEMS_MAX {
                    self.cleared.remove(0);
                }
                self.cleared.push(part.item.clone());
            }
            let item = Some(ItemId::from(part.item));
            self.session.handle(
                now,
                Input::PlayoutCleared {
                    item,
                    played_ms: part.played_ms,
                    finished: part.finished,
                },
            );
        }
    }

    fn play_local(&mut self, sound: LocalSound) {
        let audio = sounds::load(
            sound,
            self.desk.line.agent.config.profile.language,
            self.media.form(),
        );
        let item = sound.item();
        if self.media.push(item.as_arc(), &audio).is_ok() {
            self.media.finish(item.as_arc());
        }
    }

    fn send_dtmf(&mut self, now: Instant, digits: &str) {
        match self.media.send_dtmf(digits, SENT_DTMF_MS) {
            Ok(()) => {
                for digit in digits.chars() {
                    self.desk
                        .journal
                        .event(now, Event::Dtmf { digit, sent: true });
                }
            }
            Err(error) => {
                self.desk.journal.note(
                    now,
                    Message::new("dtmf_not_sent").with("cause", format!("{error:?}")),
                );
            }
        }
    }

    fn record(&mut self, entry: TranscriptEntry) {
        self.history.record(&entry);
        if let Some(office) = &mut self.office {
            self.spoken.record(self.desk.identity.started_at, &entry);
            if entry.role == Speaker::Agent {
                office.brain.agent_said(&entry.text);
            }
        }
        self.desk.publish(LiveEventKind::Transcript(entry.clone()));
        self.desk.journal.transcript(entry);
    }

    fn journal_session(&mut self, now: Instant, event: &SessionEvent) {
        if let SessionEvent::BargeIn { item, played_ms } = event {
            self.desk.timings.interruptions += 1;
            self.desk.calls.metrics.interruptions.inc();
            self.desk.publish(LiveEventKind::Interrupted {
                item: item.to_string(),
                played_ms: *played_ms,
            });
            self.desk.changed();
        }
        if let SessionEvent::FalseBargeIn { .. } = event {
            self.desk.timings.false_barge_ins += 1;
            self.desk.calls.metrics.false_barge_ins.inc();
        }
        if let SessionEvent::AnsweredBy { who } = event {
            self.answered_by(*who);
        }
        if let SessionEvent::TargetAnnounced { heard } = event {
            self.second.note_announced(*heard);
        }
        if let SessionEvent::TargetScreened { outcome } = event {
            self.second.note_screened(*outcome);
        }
        self.called_news(event);
        self.parking_news(event);
        if let SessionEvent::Returned = event {
            self.caller_returns(now);
        }
        if let SessionEvent::GoodbyeStarted { .. } = event {
            self.desk.set_state(LiveState::Ending);
        }
        self.desk.journal.event(now, Event::from(event));
    }
}

const fn engine_role(role: SessionRole) -> Role {
    match role {
        SessionRole::User => Role::User,
        SessionRole::System => Role::System,
        SessionRole::Agent => Role::Assistant,
    }
}
