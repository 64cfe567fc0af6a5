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

    /// The engine hears a voice while we speak, and it may be ours.
    pub(super) fn user_speech_doubted(&mut self, item: ItemId) {
        self.liveness.engine_heard(self.now);
        if self.phase != Phase::Talking || self.outbox.muted || self.outbox.held {
            return;
        }
        if self.profile.echo_decision_ms == 0 || !self.turn.queue().is_playing() {
            self.user_speech_started(item);
            return;
        }
        let until = self.now + u64::from(self.profile.echo_decision_ms);
        self.echoes.begin(until, item);
    }

    pub(super) fn heard_judged(&mut self, heard: Heard) {
        let known = self.echoes.judged(heard);
        self.voice_known(known);
    }

    /// Carries out what became known of a voice.
    pub(super) fn voice_known(&mut self, known: Option<Known>) {
        match known {
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
        let known = self.echoes.expire(self.now);
        self.voice_known(known);
        if let Some(on) = self.echoes.ducks() {
            self.effect(Effect::Duck { on });
        }
    }
}
