//! What a call that is placed does when an answering machine takes it, as it is asked for.

use crate::limits::MACHINE_MESSAGE_CHARACTERS_MAX;
use crate::support::Faults;
use agent::{AnsweringAction, AnsweringWish};
use engine::AnsweringTerms;
use serde::Deserialize;
use std::ops::RangeInclusive;
use utoipa::ToSchema;

/// What is done when a machine answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum MachineAction {
    /// Nobody looks.
    #[default]
    Off,
    /// The call is ended without a word.
    HangUp,
    /// The message is left after the beep, or after the greeting where none comes, and the call is ended.
    LeaveMessage,
    /// The agent speaks at once, whoever answered; the verdict is written down.
    CarryOn,
}

/// How an answering machine is known, and what is done with it. Until the verdict nothing is said (but by `carryOn`), and what the
/// callee says is kept for the agent. Who cannot be told is taken for a person.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AnsweringMachine {
    /// What is done with it.
    #[serde(default)]
    action: MachineAction,
    /// What `leaveMessage` says, after the words that say that a machine speaks; 1,000 characters at most.
    message: Option<String>,
    /// A greeting with more voice than this is a machine's: 500 to 10,000 ms; 2,400 where absent.
    greeting_ms_max: Option<u32>,
    /// Silence after a short greeting by which a person is known: 300 to 4,000 ms; 1,000 where absent.
    pause_ms: Option<u32>,
    /// Silence from the answer on after which nobody can be told: 1,000 to 15,000 ms; 4,000 where absent.
    silence_ms: Option<u32>,
    /// Longest time to a verdict: 2,000 to 30,000 ms; 10,000 where absent.
    verdict_ms: Option<u32>,
    /// How long the beep of a machine is waited for: 1,000 to 120,000 ms; 30,000 where absent.
    beep_ms: Option<u32>,
}

impl AnsweringMachine {
    pub(super) fn check(&self, faults: &mut Faults) {
        let message = "answeringMachine.message";
        if self.action == MachineAction::LeaveMessage {
            let text = self.message.as_deref().unwrap_or_default();
            faults.text(message, text, MACHINE_MESSAGE_CHARACTERS_MAX);
        } else {
            faults.unless(self.message.is_none(), message, "choice", "leaveMessage");
        }
        for (name, value, range) in self.bounds() {
            let (least, most) = (range.start(), range.end());
            faults.unless(
                value.is_none_or(|value| range.contains(&value)),
                &format!("answeringMachine.{name}"),
                "range",
                &format!("{least}..{most}"),
            );
        }
    }

    fn bounds(&self) -> [(&'static str, Option<u32>, RangeInclusive<u32>); 5] {
        type Terms = AnsweringTerms;
        [
            (
                "greetingMsMax",
                self.greeting_ms_max,
                Terms::GREETING_MS_RANGE,
            ),
            ("pauseMs", self.pause_ms, Terms::PAUSE_MS_RANGE),
            ("silenceMs", self.silence_ms, Terms::SILENCE_MS_RANGE),
            ("verdictMs", self.verdict_ms, Terms::VERDICT_MS_RANGE),
            ("beepMs", self.beep_ms, Terms::BEEP_MS_RANGE),
        ]
    }

    /// In the words of the agent's room; `None` where nobody looks.
    pub(super) fn wish(&self) -> Option<AnsweringWish> {
        let action = match self.action {
            MachineAction::Off => return None,
            MachineAction::HangUp => AnsweringAction::HangUp,
            MachineAction::LeaveMessage => AnsweringAction::LeaveMessage,
            MachineAction::CarryOn => AnsweringAction::CarryOn,
        };
        Some(AnsweringWish {
            action,
            message: self.message.clone(),
            greeting_ms_max: self.greeting_ms_max,
            pause_ms: self.pause_ms,
            silence_ms: self.silence_ms,
            verdict_ms: self.verdict_ms,
            beep_ms: self.beep_ms,
        })
    }
}
