//! Speech of both sides: barge-in by what was played, late audio, false interruptions, responses.

use super::Session;
use crate::echo;
use crate::effect::{Effect, Purpose, Role, SessionEvent};
use crate::id::{ItemId, ResponseId};
use crate::input::{EngineFailure, ResponseStatus};
use crate::limits::RESPONSE_FAILURES_MAX;
use crate::phase::Phase;
use crate::planted::{self, Planted};
use crate::profile::Greeting;
use crate::transcript::{Speaker, TranscriptEntry};
use crate::turn::{FirstAudio, Interruption};

impl Session {
    pub(super) fn user_speech_started(&mut self, item: ItemId) {
        self.liveness.engine_heard(self.now);
        if !self.hears_caller() {
            return;
        }
        self.transcript.begin(self.now, &item, Speaker::Caller);
        self.echoes.caller_spoke();
        let interruption = self.turn.speech_started(self.now, item);
        if interruption.clear {
            self.turn.unwant(Purpose::ToolResult);
            self.ledger.interrupted(true);
        }
        self.stop_speech(interruption);
    }

    /// Whether what the caller says counts.
    pub(super) fn hears_caller(&self) -> bool {
        let is_protected = self.outbox.held && !planted::has(Planted::DisclosureCut);
        self.phase == Phase::Talking && !self.outbox.muted && !is_protected
    }

    /// Carries an interruption out. The queue first: it is what the caller hears.
    pub(super) fn stop_speech(&mut self, interruption: Interruption) {
        if interruption.clear {
            self.effect(Effect::ClearPlayout);
        }
        if interruption.cancel {
            self.effect(Effect::CancelResponse);
        }
    }

    pub(super) fn user_speech_stopped(&mut self, item: &ItemId) {
        self.liveness.engine_heard(self.now);
        let known = self.echoes.stopped(item);
        self.whose(known);
        // The turn knows nothing of an echo or a noise, and takes no notice of its end.
        self.turn.speech_stopped(self.now, item);
    }

    pub(super) fn user_transcript(&mut self, item: &ItemId, text: String) {
        self.liveness.engine_heard(self.now);
        if self.echoes.is_echo(item) {
            return;
        }
        let words = !text.trim().is_empty();
        if echo::has_words(&text) && self.echoes.has_words(item) {
            self.noise_had_words(item);
        }
        if words {
            self.liveness.caller_answered();
        }
        let entry = self.transcript.text(self.now, item, Speaker::Caller, text);
        self.record(entry);
        if self.turn.transcribed(item, words) {
            self.false_interruption();
        }
    }

    /// It will not be known what was said. What was taken for a noise may have been the caller: they are not left unheard for it.
    pub(super) fn user_transcript_missing(&mut self, item: &ItemId) {
        self.liveness.engine_heard(self.now);
        if self.echoes.has_words(item) {
            self.noise_had_words(item);
        }
    }

    /// Words that were written are known at once; they wait for an engine that is not there yet.
    pub(super) fn user_wrote(&mut self, text: String) {
        let listens = match self.phase {
            Phase::Ringing | Phase::Dialing | Phase::Answering | Phase::Talking => true,
            Phase::Transferring
            | Phase::Joined
            | Phase::Parked
            | Phase::Goodbye
            | Phase::Apologising
            | Phase::HangingUp
            | Phase::Ended => false,
        };
        if !listens || text.trim().is_empty() {
            return;
        }
        self.liveness.caller_answered();
        let entry = TranscriptEntry {
            role: Speaker::Caller,
            text: text.clone(),
            at_ms: self.now,
            item: None,
            interrupted_at_ms: None,
        };
        self.record(Some(entry));
        self.note(Role::User, text);
        self.turn.want(Purpose::Reply);
    }

    /// A noise cut the agent short: it goes on.
    pub(super) fn false_interruption(&mut self) {
        if self.phase != Phase::Talking {
            return;
        }
        self.journal(SessionEvent::FalseInterruption);
        self.ledger.interrupted(false);
        if !self.turn.response_under_way() {
            self.turn.want(Purpose::Resume);
        }
    }

    pub(super) fn response_started(&mut self, response: ResponseId) {
        self.liveness.engine_heard(self.now);
        if !self.link.is_ready() {
            return;
        }
        let asked = self.turn.response_under_way();
        if !asked && !self.echoes.awaits_reply() {
            // Not asked for by us: the caller's turn made it.
            self.liveness.caller_answered();
        }
        // What a callee said before the first words is answered by them.
        let premature = self.outbox.held && self.opening.answering.is_told();
        // And what answers to our own echo would be said to nobody.
        let unwanted = !asked && (self.echoes.takes_reply() || premature);
        if self.turn.response_started(response, unwanted) {
            self.effect(Effect::CancelResponse);
        }
        self.ledger.response_started();
    }

    pub(super) fn agent_audio_started(&mut self, item: &ItemId, response: ResponseId) {
        self.liveness.engine_heard(self.now);
        match self.turn.audio_started(self.now, item.clone(), response) {
            FirstAudio::Live => {
                self.link.heard(self.now);
                self.opening.disclosure.audio_started(item);
                self.transcript.begin(self.now, item, Speaker::Agent);
                if let Some(goodbye) = &mut self.leaving.goodbye {
                    goodbye.audio_started();
                }
            }
            FirstAudio::Late { clear } => {
                self.transcript.begin(self.now, item, Speaker::Agent);
                let entry = self.transcript.interrupted(item, 0);
                self.record(entry);
                // Behind a disclosure that is still to come there is nothing to be cleared, and it is not to be cut.
                if clear && !self.outbox.held {
                    self.effect(Effect::ClearPlayout);
                }
            }
        }
    }

    pub(super) fn agent_transcript(&mut self, item: &ItemId, text: String) {
        self.liveness.engine_heard(self.now);
        self.listen_for_dictation(&text);
        let entry = self.transcript.text(self.now, item, Speaker::Agent, text);
        self.record(entry);
    }

    pub(super) fn playout_cleared(&mut self, item: Option<ItemId>, played_ms: u32, finished: bool) {
        let Some(item) = item else { return };
        self.opening.disclosure.played(&item);
        if finished {
            self.opening.prepared.played(&item);
            self.turn.queue_mut().finished(&item);
            return;
        }
        self.opening.prepared.cut(&item, played_ms);
        self.turn.queue_mut().cleared(&item);
        let entry = self.transcript.interrupted(&item, played_ms);
        self.record(entry);
        // A sound of ours is not the engine's to forget, and with nothing heard there is nothing to keep.
        if played_ms > 0 && self.link.is_up() && !item.as_str().starts_with("local:") {
            self.effect(Effect::TruncateItem {
                item: item.clone(),
                played_ms,
            });
        }
        // The house may cut itself for a goodbye; and what was queued behind was not interrupted, it never began.
        if played_ms > 0 && self.phase == Phase::Talking {
            self.journal(SessionEvent::BargeIn { item, played_ms });
        }
    }

    pub(super) fn response_done(&mut self, response: &ResponseId, status: &ResponseStatus) {
        self.liveness.engine_heard(self.now);
        self.finish_items(Some(response));
        let cancelled_here = self.turn.response_is_cancelled();
        if !self.turn.response_done(response) {
            return;
        }
        self.ledger.response_done();
        let spoke = self.turn.response_spoke();
        let failed = !spoke && matches!(status, ResponseStatus::Failed { .. });
        self.opening.disclosure.response_over(failed);
        match status {
            ResponseStatus::Completed | ResponseStatus::Incomplete => {}
            ResponseStatus::Cancelled => {
                if !cancelled_here {
                    self.cut_by_an_echo();
                }
                if let Some(goodbye) = &mut self.leaving.goodbye {
                    goodbye.response_cancelled();
                }
            }
            ResponseStatus::Failed { .. } if spoke => {}
            ResponseStatus::Failed { .. } => self.response_failed(),
        }
    }

    /// Tells the playout which items are as long as they will ever be.
    pub(super) fn finish_items(&mut self, response: Option<&ResponseId>) {
        for item in self.turn.queue_mut().audio_over(response) {
            self.effect(Effect::FinishItem { item });
        }
    }

    /// The engine produced nothing: it is asked again, then taken as lost, then given up.
    fn response_failed(&mut self) {
        let failures = self.turn.response_failed();
        if matches!(self.phase, Phase::Goodbye | Phase::Transferring) {
            return;
        }
        if failures >= 2 * RESPONSE_FAILURES_MAX {
            self.abandon_engine(EngineFailure::Unavailable);
        } else if failures == RESPONSE_FAILURES_MAX {
            if self.link.is_open() {
                self.effect(Effect::CloseEngine);
            }
            self.outbox.owed_at_loss = true;
            self.engine_lost(EngineFailure::Unavailable);
        } else if self.opening.disclosure.is_owed() {
            self.turn.want(Purpose::Disclosure);
        } else if self.transcript.agent_spoke() {
            self.turn.want(Purpose::Reconnected);
        } else if matches!(self.profile.greeting, Greeting::Model { .. }) {
            self.turn.want(Purpose::Greeting);
        } else {
            self.turn.want(Purpose::Reply);
        }
    }
}
