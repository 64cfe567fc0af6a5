//! Speech that may be our own echo: quieter, then cut or as before.

use super::Session;
use crate::echo::{Heard, Known};
use crate::effect::{Effect, Purpose, SessionEvent};
use crate::id::ItemId;
use crate::phase::Phase;

impl Session {
    /// Whether somebody is to be told, frame by frame, whose voice is heard ([`crate::Input::HeardJudged`]).
    pub fn doubts_speech(&self) -> bool {
        self.echoes.is_open()
    }

    /// Whether what the engine heard as this item was our own echo: nobody said it.
    pub fn is_echo(&self, item: &ItemId) -> bool {
        self.echoes.is_echo(item)
    }

    /// The engine hears a voice while we speak, and it may be ours.
    pub(super) fn user_speech_doubted(&mut self, item: ItemId) {
        self.liveness.engine_heard(self.now);
        if !self.hears_caller() {
            return;
        }
        // Also when nothing plays any more: the last words of an answer come back, and the engine hears them late.
        if self.profile.echo_decision_ms == 0 {
            self.user_speech_started(item);
            return;
        }
        let until = self.now + u64::from(self.profile.echo_decision_ms);
        self.echoes.begin(until, item);
    }

    pub(super) fn heard_judged(&mut self, heard: Heard) {
        match self.echoes.judged(heard) {
            // What it interrupts is cleared before the level comes back.
            Some(Known::Speech(item)) => self.user_speech_started(item),
            Some(Known::Echo(item)) => self.journal(SessionEvent::FalseBargeIn { item }),
            None => {}
        }
    }

    /// The engine cut its own response for what it took for the caller: it goes on.
    pub(super) fn cut_by_an_echo(&mut self) {
        if self.echoes.is_open() && self.phase == Phase::Talking {
            self.turn.want(Purpose::Resume);
        }
    }

    pub(super) fn settle_echo(&mut self) {
        if let Some(item) = self.echoes.expire(self.now) {
            self.user_speech_started(item);
        }
        if let Some(on) = self.echoes.ducks() {
            self.effect(Effect::Duck { on });
        }
    }
}
