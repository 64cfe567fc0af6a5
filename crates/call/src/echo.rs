//! Speech that may be our own echo, or no voice at all. The agent is not cut at once: it is made quieter until it is known whose
//! voice that is, and goes on at its level when it was its own, or nobody's.

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
    /// Nobody's so far: a cough, a door, a keyboard.
    Noise,
    /// It may be somebody's.
    Unclear,
}

/// Verdicts for a voice, one after the other, that end the belief in an echo: the caller began to speak over it.
const VOICES: u8 = 2;

#[derive(Debug)]
struct Doubt {
    speech: ItemId,
    /// It must be known until then; `None` once it was found to be an echo, or a noise.
    until: Option<u64>,
    /// No voice was found in it so far.
    noise: bool,
    voices: u8,
}

/// What a verdict asks of the session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is speech: it interrupts.
    Speech(ItemId),
    /// It is an echo, or a noise: the agent goes on.
    Nobodys(ItemId),
}

/// Whose an item was that nobody said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Ours. Whatever words the engine finds in it are ours too.
    Echo,
    /// A noise, unless the engine finds words in it.
    Noise,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Echoes {
    doubt: Option<Doubt>,
    /// The agent is quieter now.
    ducked: bool,
    /// Speech that was nobody's: it becomes no words of the caller.
    items: VecDeque<(ItemId, Origin)>,
    /// The engine may answer to an echo.
    reply_due: bool,
}

impl Echoes {
    /// Somebody is to be asked whose voice this is.
    pub(crate) fn is_open(&self) -> bool {
        self.doubt.is_some()
    }

    /// It is not known yet whose voice this is, and the time to know runs.
    pub(crate) fn is_undecided(&self) -> bool {
        self.timeout().is_some()
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
            noise: false,
            voices: 0,
        });
    }

    /// The sound was looked at.
    pub(crate) fn judged(&mut self, heard: Heard) -> Option<Known> {
        let doubt = self.doubt.as_mut()?;
        match (heard, doubt.until) {
            (Heard::Echo, Some(_)) => {
                doubt.until = None;
                doubt.noise = false;
                Some(Known::Nobodys(doubt.speech.clone()))
            }
            // A word may begin like a noise: the time is given.
            (Heard::Noise, Some(_)) => {
                doubt.noise = true;
                None
            }
            (Heard::Unclear, Some(_)) => {
                doubt.noise = false;
                None
            }
            (Heard::Unclear, None) => None,
            (Heard::Echo | Heard::Noise, None) => {
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

    /// The time to know is over: what may be the caller is the caller, and what was no voice is none.
    pub(crate) fn expire(&mut self, now: u64) -> Option<Known> {
        if self.timeout().is_none_or(|at| at > now) {
            return None;
        }
        match &mut self.doubt {
            Some(doubt) if doubt.noise => {
                doubt.until = None;
                Some(Known::Nobodys(doubt.speech.clone()))
            }
            doubt => doubt.take().map(|doubt| Known::Speech(doubt.speech)),
        }
    }

    /// The engine says that a speech is over. What is not known yet is speech, unless no voice was in it.
    pub(crate) fn stopped(&mut self, speech: &ItemId) -> Option<Known> {
        let of_it = |doubt: &mut Doubt| doubt.speech == *speech;
        let mut known = None;
        if let Some(doubt) = self.doubt.take_if(of_it) {
            if doubt.until.is_some() {
                if !doubt.noise {
                    return Some(Known::Speech(doubt.speech));
                }
                known = Some(Known::Nobodys(doubt.speech.clone()));
            }
            self.remember(doubt);
        }
        // Also of one that was closed before its end was told.
        self.reply_due |= self.items.iter().any(|(item, _)| item == speech);
        known
    }

    /// Whether a speech was an echo.
    pub(crate) fn is_echo(&self, speech: &ItemId) -> bool {
        self.origin(speech) == Some(Origin::Echo)
    }

    /// Whether a speech was nobody's: an echo, or a noise.
    pub(crate) fn is_nobodys(&self, speech: &ItemId) -> bool {
        self.origin(speech).is_some()
    }

    fn origin(&self, speech: &ItemId) -> Option<Origin> {
        let open = self.doubt.as_ref();
        open.filter(|doubt| doubt.speech == *speech && doubt.until.is_none())
            .map(Doubt::origin)
            .or_else(|| {
                let one = self.items.iter().find(|(item, _)| item == speech)?;
                Some(one.1)
            })
    }

    /// The engine found words in a speech. True where it had been taken for a noise; it is the caller's now.
    pub(crate) fn has_words(&mut self, speech: &ItemId) -> bool {
        if self.origin(speech) != Some(Origin::Noise) {
            return false;
        }
        self.doubt.take_if(|doubt| doubt.speech == *speech);
        self.items.retain(|(item, _)| item != speech);
        true
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
            self.remember(doubt);
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

    fn remember(&mut self, doubt: Doubt) {
        if self.items.len() == ECHO_ITEMS_MAX {
            self.items.pop_front();
        }
        let origin = doubt.origin();
        self.items.push_back((doubt.speech, origin));
    }
}

impl Doubt {
    fn origin(&self) -> Origin {
        if self.noise {
            Origin::Noise
        } else {
            Origin::Echo
        }
    }
}

/// Whether a transcript of what was taken for a noise has words: what stands in brackets only describes a sound ("(inaudible)").
pub(crate) fn has_words(text: &str) -> bool {
    let mut depth = 0_u32;
    for letter in text.chars() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 && letter.is_alphanumeric() => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::has_words;

    #[test]
    fn the_name_of_a_sound_is_no_word() {
        for text in ["", " … ", "(inaudible)", "[Bruit] (rires)", "…!"] {
            assert!(!has_words(text), "{text}");
        }
        for text in ["Oui.", "[bruit] attendez", "7", "(une parenthèse) non"] {
            assert!(has_words(text), "{text}");
        }
    }
}
