//! Speech that may be our own echo. The agent is not cut at once: it is made quieter until it is known whose voice that is, and
//! goes on at its level when it was its own.

use std::collections::VecDeque;

use crate::id::ItemId;
use crate::limits::ECHO_ITEMS_MAX;

/// Whose voice is heard, as the sound tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody else's.
    Speech,
    /// Ours, come back from the line.
    Echo,
}

/// Verdicts for a voice, one after the other, that end the belief in an echo: the caller began to speak over it.
const VOICES: u8 = 2;

#[derive(Debug)]
struct Doubt {
    speech: ItemId,
    /// It must be known until then; `None` once it was found to be an echo.
    until: Option<u64>,
    voices: u8,
}

/// What a verdict asks of the session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is speech: it interrupts.
    Speech(ItemId),
    /// It is an echo: the agent goes on.
    Echo(ItemId),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Echoes {
    doubt: Option<Doubt>,
    /// The agent is quieter now.
    ducked: bool,
    /// Speech that was our echo: it becomes no words of the caller.
    items: VecDeque<ItemId>,
    /// The engine may answer to an echo.
    reply_due: bool,
}

impl Echoes {
    /// Somebody is to be asked whose voice this is.
    pub(crate) fn is_open(&self) -> bool {
        self.doubt.is_some()
    }

    /// Speech that may be an echo began.
    pub(crate) fn begin(&mut self, until: u64, speech: ItemId) {
        if self
            .doubt
            .as_ref()
            .is_some_and(|doubt| doubt.speech == speech)
        {
            return;
        }
        self.close();
        self.doubt = Some(Doubt {
            speech,
            until: Some(until),
            voices: 0,
        });
    }

    /// The sound was looked at.
    pub(crate) fn judged(&mut self, heard: Heard) -> Option<Known> {
        let doubt = self.doubt.as_mut()?;
        match (heard, doubt.until) {
            (Heard::Echo, Some(_)) => {
                doubt.until = None;
                Some(Known::Echo(doubt.speech.clone()))
            }
            (Heard::Echo, None) => {
                doubt.voices = 0;
                None
            }
            (Heard::Speech, None) if doubt.voices + 1 < VOICES => {
                doubt.voices += 1;
                None
            }
            (Heard::Speech, _) => self.doubt.take().map(|doubt| Known::Speech(doubt.speech)),
        }
    }

    /// The time to know is over: what may be the caller is the caller.
    pub(crate) fn expire(&mut self, now: u64) -> Option<ItemId> {
        let over = self.timeout().is_some_and(|at| at <= now);
        over.then(|| self.doubt.take())
            .flatten()
            .map(|doubt| doubt.speech)
    }

    /// The engine says that a speech is over. What is not known yet is speech, and is given back.
    pub(crate) fn stopped(&mut self, speech: &ItemId) -> Option<ItemId> {
        let of_it = |doubt: &mut Doubt| doubt.speech == *speech;
        if let Some(doubt) = self.doubt.take_if(of_it) {
            if doubt.until.is_some() {
                return Some(doubt.speech);
            }
            self.remember(doubt.speech);
        }
        // Also of an echo that was closed before its end was told.
        self.reply_due |= self.items.contains(speech);
        None
    }

    /// Whether a speech was an echo.
    pub(crate) fn is_echo(&self, speech: &ItemId) -> bool {
        self.items.contains(speech)
            || self
                .doubt
                .as_ref()
                .is_some_and(|doubt| doubt.speech == *speech && doubt.until.is_none())
    }

    /// The caller speaks: the next response is to them.
    pub(crate) fn caller_spoke(&mut self) {
        self.reply_due = false;
        self.close();
    }

    /// No verdict on it comes any more. What was found to be an echo stays one; what is not known yet is nobody's.
    pub(crate) fn close(&mut self) {
        if let Some(doubt) = self.doubt.take()
            && doubt.until.is_none()
        {
            self.remember(doubt.speech);
        }
    }

    /// The engine may still answer to an echo.
    pub(crate) fn awaits_reply(&self) -> bool {
        self.reply_due
    }

    /// Whether the response that begins, for which nobody asked, answers to an echo. Each echo has one.
    pub(crate) fn takes_reply(&mut self) -> bool {
        std::mem::take(&mut self.reply_due)
    }

    /// Nothing is doubted any more: the engine that heard it is gone.
    pub(crate) fn forget(&mut self) {
        self.close();
        self.reply_due = false;
    }

    /// Whether the agent should be quieter, where that changes.
    pub(crate) fn ducks(&mut self) -> Option<bool> {
        let wanted = self
            .doubt
            .as_ref()
            .is_some_and(|doubt| doubt.until.is_some());
        (wanted != self.ducked).then(|| {
            self.ducked = wanted;
            wanted
        })
    }

    pub(crate) fn timeout(&self) -> Option<u64> {
        self.doubt.as_ref()?.until
    }

    fn remember(&mut self, speech: ItemId) {
        if self.items.len() == ECHO_ITEMS_MAX {
            self.items.pop_front();
        }
        self.items.push_back(speech);
    }
}
