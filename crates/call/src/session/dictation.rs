//! What is dictated: the engine waits longer for the end of it, and the keypad is offered.

use super::Session;
use crate::effect::{Effect, Role, SessionEvent};
use crate::phase::Phase;

impl Session {
    /// The agent's words are known: whether they ask for something that people dictate with pauses.
    pub(super) fn listen_for_dictation(&mut self, words: &str) {
        match self.phase {
            // The greeting may be written before it is heard.
            Phase::Ringing | Phase::Dialing | Phase::Answering | Phase::Talking => {}
            Phase::Transferring
            | Phase::Joined
            | Phase::Parked
            | Phase::Goodbye
            | Phase::Apologising
            | Phase::HangingUp
            | Phase::Ended => return,
        }
        if !self.link.is_ready() {
            return;
        }
        let asked = self.dictating.agent_said(&self.profile.dictation, words);
        if let Some(patient) = asked.patient {
            let patience_ms = patient.then_some(self.profile.dictation.patience_ms);
            self.effect(Effect::Patience { patience_ms });
            self.journal(SessionEvent::Dictation { on: patient });
        }
        if asked.hint {
            self.note(Role::System, self.profile.dictation.keypad_hint.clone());
        }
    }
}
