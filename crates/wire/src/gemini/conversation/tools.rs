//! The tool calls of the model's turn, and what was answered.

use std::collections::VecDeque;

use crate::gemini::client_message::ToolOutput;
use crate::realtime::TOOL_CALLS_MAX;

/// What an answer led to.
pub(super) enum Outcome {
    /// Others of the same turn are awaited.
    Waiting,
    /// All are there.
    Complete(Vec<ToolOutput>),
    /// No such call is open.
    Unknown,
}

struct Call {
    id: String,
    /// The service gave no id; ours is not for it to see.
    nameless: bool,
    name: String,
    output: Option<String>,
}

/// The calls that are open.
#[derive(Default)]
pub(super) struct Tools {
    calls: VecDeque<Call>,
    known: VecDeque<String>,
    made_up: u64,
    /// The results were sent: the model goes on by itself.
    continued: bool,
    /// What it says then is not wanted.
    silent: bool,
}

impl Tools {
    /// Opens a call; its id, or `None` when it is known already.
    pub(super) fn open(&mut self, id: Option<&str>, name: &str) -> Option<String> {
        let nameless = id.is_none();
        let id = id.map_or_else(
            || {
                self.made_up += 1;
                format!("gem_call{}", self.made_up)
            },
            str::to_owned,
        );
        if self.known.contains(&id) {
            return None;
        }
        if self.known.len() >= TOOL_CALLS_MAX {
            self.known.pop_front();
        }
        if self.calls.len() >= TOOL_CALLS_MAX {
            self.calls.pop_front();
        }
        self.known.push_back(id.clone());
        self.calls.push_back(Call {
            id: id.clone(),
            nameless,
            name: name.to_owned(),
            output: None,
        });
        self.continued = false;
        Some(id)
    }

    pub(super) fn answer(&mut self, id: &str, output: &str) -> Outcome {
        let Some(call) = self.calls.iter_mut().find(|call| call.id == id) else {
            return Outcome::Unknown;
        };
        call.output = Some(output.to_owned());
        if self.calls.iter().any(|call| call.output.is_none()) {
            return Outcome::Waiting;
        }
        self.continued = true;
        let outputs = self.calls.drain(..).map(|call| ToolOutput {
            id: if call.nameless {
                String::new()
            } else {
                call.id
            },
            name: call.name,
            output: call.output.unwrap_or_default(),
        });
        Outcome::Complete(outputs.collect())
    }

    /// The service takes a call back. The outputs of the others of its turn, when they were waiting for it alone.
    pub(super) fn cancel(&mut self, id: &str) -> Option<Vec<ToolOutput>> {
        let position = self.calls.iter().position(|call| call.id == id)?;
        self.calls.remove(position);
        let last = self.calls.back()?;
        let (id, output) = (last.id.clone(), last.output.clone()?);
        match self.answer(&id, &output) {
            Outcome::Complete(outputs) => Some(outputs),
            Outcome::Waiting | Outcome::Unknown => None,
        }
    }

    /// What the model says after this call is not wanted.
    pub(super) fn silence_after(&mut self, id: &str) {
        self.silent |= self.calls.iter().any(|call| call.id == id);
    }

    /// Whether what follows is not wanted; asked once.
    pub(super) fn take_silence(&mut self) -> bool {
        std::mem::take(&mut self.silent)
    }

    /// The model waits for results.
    pub(super) fn is_waiting(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The model has its results, and has not said anything since.
    pub(super) fn is_continued(&self) -> bool {
        self.continued
    }

    /// The model speaks.
    pub(super) fn spoke(&mut self) {
        self.continued = false;
    }

    /// A text, or the caller, interrupts the model: calls that wait are void for the service.
    pub(super) fn interrupted(&mut self) {
        self.continued = false;
    }
}
