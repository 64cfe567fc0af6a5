//! Who answered a call of ours, and what follows from it. Until that is known nothing is said, and what the callee says is kept for the
//! engine; the agent's first words are made meanwhile.

use crate::limits::{ANSWERER_MS_MAX, MACHINE_MS_MAX};
use crate::profile::Profile;

/// Who answered, as the shell found it out from the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answerer {
    /// A person.
    Human,
    /// An answering machine.
    Machine,
    /// An answering machine that records from now on.
    MachineBeep,
    /// It could not be told: taken for a person.
    Unknown,
}

impl Answerer {
    /// The label that is stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Machine => "machine",
            Self::MachineBeep => "machine_beep",
            Self::Unknown => "unknown",
        }
    }
}

/// What is done with an answering machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineAction {
    /// The agent speaks at once, whoever answered; the verdict is written down.
    CarryOn,
    /// The call is ended without a word.
    HangUp,
    /// A message is left after the beep, or after the greeting where none comes.
    LeaveMessage {
        /// Instructions of the response that is the message.
        instructions: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not answered yet.
    Dialling,
    /// The verdict is awaited, at most until then.
    Listening { until: u64 },
    /// A machine speaks: the message waits for its end, at most until then.
    MachineSpeaks { until: u64 },
    /// A machine has the call: the message is being left, or there is none.
    WithMachine,
    /// The conversation has begun, or never will.
    Done,
}

/// What a piece of news leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnsweringStep {
    /// The conversation begins.
    Converse,
    HangUp,
    LeaveMessage,
}

#[derive(Debug)]
pub(crate) struct Answering {
    action: Option<MachineAction>,
    stage: Stage,
    who: Option<Answerer>,
    /// The engine was given what the callee said before the first words, which are the answer to that.
    told: bool,
}

impl Answering {
    pub(crate) fn new(profile: &Profile) -> Self {
        Self {
            action: profile.answering.clone(),
            stage: Stage::Dialling,
            who: None,
            told: false,
        }
    }

    /// Somebody waits for a verdict before a word is said.
    fn decides(&self) -> bool {
        matches!(
            self.action,
            Some(MachineAction::HangUp | MachineAction::LeaveMessage { .. })
        )
    }

    /// The call is answered. True where nothing is said until it is known by whom.
    pub(crate) fn answered(&mut self, now: u64) -> bool {
        self.stage = if self.decides() {
            Stage::Listening {
                until: now + ANSWERER_MS_MAX,
            }
        } else {
            Stage::Done
        };
        self.decides()
    }

    /// Nothing may be said now.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(
            self.stage,
            Stage::Listening { .. } | Stage::MachineSpeaks { .. }
        )
    }

    /// A machine records what is said.
    pub(crate) fn is_with_machine(&self) -> bool {
        self.stage == Stage::WithMachine
    }

    /// The engine does not hear the callee now: later, or never where a machine spoke.
    pub(crate) fn holds(&self) -> bool {
        self.decides() && self.stage != Stage::Done
    }

    /// Who it is. `None` where that is no news; else what follows at once.
    pub(crate) fn known(&mut self, now: u64, who: Answerer) -> Option<Option<AnsweringStep>> {
        let is_news = match self.who {
            None => true,
            Some(before) => before == Answerer::Machine && who == Answerer::MachineBeep,
        };
        if self.action.is_none() || self.stage == Stage::Dialling || !is_news {
            return None;
        }
        self.who = Some(who);
        if !self.is_silent() {
            return Some(None);
        }
        let leaves = matches!(self.action, Some(MachineAction::LeaveMessage { .. }));
        Some(match who {
            Answerer::Human | Answerer::Unknown => Some(self.end(AnsweringStep::Converse)),
            Answerer::Machine | Answerer::MachineBeep if !leaves => {
                Some(self.end(AnsweringStep::HangUp))
            }
            Answerer::MachineBeep => Some(self.end(AnsweringStep::LeaveMessage)),
            Answerer::Machine => {
                self.stage = Stage::MachineSpeaks {
                    until: now + MACHINE_MS_MAX,
                };
                None
            }
        })
    }

    /// The machine's greeting is over, without a beep.
    pub(crate) fn greeting_over(&mut self) -> Option<AnsweringStep> {
        let waits = matches!(self.stage, Stage::MachineSpeaks { .. });
        waits.then(|| self.end(AnsweringStep::LeaveMessage))
    }

    /// What is due without any news. The bounds are for a shell that stays silent: its own are shorter.
    pub(crate) fn advance(&mut self, now: u64) -> Option<AnsweringStep> {
        match self.stage {
            Stage::Listening { until } if now >= until => Some(self.end(AnsweringStep::Converse)),
            Stage::MachineSpeaks { until } if now >= until => {
                Some(self.end(AnsweringStep::LeaveMessage))
            }
            Stage::Dialling
            | Stage::Listening { .. }
            | Stage::MachineSpeaks { .. }
            | Stage::WithMachine
            | Stage::Done => None,
        }
    }

    /// The callee's words were given to the engine before the first words.
    pub(crate) fn told(&mut self) {
        self.told = true;
    }

    /// Whether they were.
    pub(crate) fn is_told(&self) -> bool {
        self.told
    }

    /// The call goes another way: nobody waits for the verdict.
    pub(crate) fn give_up(&mut self) {
        self.stage = Stage::Done;
    }

    pub(crate) fn timeout(&self) -> Option<u64> {
        match self.stage {
            Stage::Listening { until } | Stage::MachineSpeaks { until } => Some(until),
            Stage::Dialling | Stage::WithMachine | Stage::Done => None,
        }
    }

    fn end(&mut self, step: AnsweringStep) -> AnsweringStep {
        self.stage = match step {
            AnsweringStep::Converse => Stage::Done,
            AnsweringStep::HangUp | AnsweringStep::LeaveMessage => Stage::WithMachine,
        };
        step
    }
}
