//! Speech that may be our own echo, or no voice: quieter, then cut or as before.

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

    /// Whether what the engine heard as this item was no speech: our own echo, or a noise.
    pub fn is_nobodys(&self, item: &ItemId) -> bool {
        self.echoes.is_nobodys(item)
    }

    /// The engine hears a voice while we speak, and it may be ours, or none.
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
        // A noise that interrupts nobody is the engine's to judge.
        let interrupts = self.turn.queue().is_playing() || !self.echoes.is_undecided();
        let known = self.echoes.judged(if heard == Heard::Noise && !interrupts {
            Heard::Speech
        } else {
            heard
        });
        self.whose(known);
    }

    /// It is known whose a speech was.
    pub(super) fn whose(&mut self, known: Option<Known>) {
        match known {
            // What it interrupts is cleared before the level comes back.
            Some(Known::Speech(item)) => self.user_speech_started(item),
            Some(Known::Nobodys(item)) => self.journal(SessionEvent::FalseBargeIn { item }),
            None => {}
        }
    }

    /// Words came of what was taken for a noise: they interrupt now, and are answered.
    pub(super) fn noise_had_words(&mut self, item: &ItemId) {
        if !self.hears_caller() {
            return;
        }
        self.user_speech_started(item.clone());
        self.turn.caller_silenced();
        self.turn.want(Purpose::Reply);
    }

    /// The engine cut its own response for what it took for the caller: it goes on.
    pub(super) fn cut_by_an_echo(&mut self) {
        if self.echoes.is_open() && self.phase == Phase::Talking {
            self.turn.want(Purpose::Resume);
        }
    }

    pub(super) fn settle_echo(&mut self) {
        let known = self.echoes.expire(self.now);
        self.whose(known);
        if let Some(on) = self.echoes.ducks() {
            self.effect(Effect::Duck { on });
        }
    }
}
