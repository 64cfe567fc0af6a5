//! Keys in both directions beside the conversation: tones that a person sends, and digits that a caller types in secrecy.

use super::Session;
use crate::effect::{Effect, SessionEvent};
use crate::input::ToolOutcome;
use crate::keypad::is_keypad;
use crate::limits::{SECURE_MS_MAX, SEND_DTMF_DIGITS_MAX};
use crate::phase::Phase;
use crate::planted::{self, Planted};
use crate::secure::{SecureDigits, Typed, Waiting};

impl Session {
    /// Tones that a person sends to the caller's side.
    pub(super) fn send_dtmf(&mut self, digits: &str) {
        let digits: String = digits.chars().map(|c| c.to_ascii_uppercase()).collect();
        let usable = !digits.is_empty()
            && digits.len() <= SEND_DTMF_DIGITS_MAX
            && digits.chars().all(is_keypad);
        if usable && matches!(self.phase, Phase::Talking | Phase::Goodbye) {
            self.effect(Effect::SendDtmf { digits });
        }
    }

    /// A person switches it on or off.
    pub(super) fn secure_input(&mut self, on: bool) {
        if on && self.phase == Phase::Talking {
            let was_on = self.keypad.secure.is_on();
            self.keypad.secure.switch_on(self.now + SECURE_MS_MAX);
            self.secure_changed(!was_on, true);
        } else if !on {
            self.keypad.secure.switch_off();
        }
    }

    /// A tool that needs typed digits waits for them.
    pub(super) fn type_for(&mut self, tool: Waiting, wanted: SecureDigits) {
        let was_on = self.keypad.secure.is_on();
        let id = tool.id.clone();
        if self.keypad.secure.begin(self.now, tool, wanted) {
            self.secure_changed(!was_on, true);
        } else {
            let reason = "another tool is waiting for the caller to type".to_owned();
            self.tool_finished(&id, ToolOutcome::Refused { reason });
        }
    }

    fn secure_changed(&mut self, changed: bool, on: bool) {
        let is_told = changed || (on && planted::has(Planted::SecureTwice));
        if is_told {
            self.effect(Effect::SecureInput { on });
            self.journal(SessionEvent::SecureInput { on });
        }
    }

    pub(super) fn forget_typing(&mut self) {
        let was_on = self.keypad.secure.forget();
        self.secure_changed(was_on && !planted::has(Planted::SecureStays), false);
    }

    pub(super) fn settle_typing(&mut self) {
        if !matches!(self.phase, Phase::Talking | Phase::Transferring) {
            self.forget_typing();
            return;
        }
        let Some(over) = self.keypad.secure.take(self.now) else {
            return;
        };
        self.secure_changed(true, false);
        match over {
            // A call that was answered meanwhile is not run any more.
            Some((tool, Typed::Digits(typed)))
                if self.ledger.restart(self.now, &tool.id, tool.deadline_ms) =>
            {
                self.effect(Effect::RunTool {
                    id: tool.id,
                    name: tool.name,
                    arguments: tool.arguments,
                    deadline_ms: tool.deadline_ms,
                    typed: Some(typed),
                });
            }
            Some((tool, Typed::Nothing)) => {
                let reason = "the caller typed nothing".to_owned();
                self.tool_finished(&tool.id, ToolOutcome::Refused { reason });
            }
            Some((_, Typed::Digits(_))) | None => {}
        }
    }
}
