//! What was said, with what was heard of it.

use std::collections::VecDeque;

use crate::id::ItemId;
use crate::limits::{ITEMS_MAX, TEXT_BYTES_MAX, cut_text};

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The caller.
    Caller,
    /// The agent.
    Agent,
    /// The house: what a person told the model.
    System,
}

/// One line of the transcript. An entry with the same `item` and `role` replaces the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptEntry {
    /// Who said it.
    pub role: Speaker,
    /// All the words, also those that an interruption kept from being heard.
    pub text: String,
    /// When it began, in milliseconds since the session began.
    pub at_ms: u64,
    /// The engine's item, when there is one.
    pub item: Option<ItemId>,
    /// What the caller heard of it, in milliseconds, when it was cut.
    pub interrupted_at_ms: Option<u32>,
}

#[derive(Debug)]
struct Line {
    item: ItemId,
    role: Speaker,
    text: Option<String>,
    at: u64,
    interrupted_at_ms: Option<u32>,
}

/// The recent lines, which may still change: text and interruption arrive in any order.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    lines: VecDeque<Line>,
    agent_spoke: bool,
}

impl Transcript {
    /// Somebody begins to speak.
    pub(crate) fn begin(&mut self, now: u64, item: &ItemId, role: Speaker) {
        self.agent_spoke |= role == Speaker::Agent;
        self.line(now, item, role);
    }

    /// Whether the model was ever heard.
    pub(crate) fn agent_spoke(&self) -> bool {
        self.agent_spoke
    }

    /// The words became known.
    pub(crate) fn text(
        &mut self,
        now: u64,
        item: &ItemId,
        role: Speaker,
        text: String,
    ) -> Option<TranscriptEntry> {
        let text = cut_text(text, TEXT_BYTES_MAX);
        if text.trim().is_empty() {
            return None;
        }
        let line = self.line(now, item, role);
        line.text = Some(text);
        entry(line)
    }

    /// The item was cut after this much of it.
    pub(crate) fn interrupted(&mut self, item: &ItemId, played_ms: u32) -> Option<TranscriptEntry> {
        let line = self
            .lines
            .iter_mut()
            .find(|line| line.item == *item && line.role == Speaker::Agent)?;
        if line.interrupted_at_ms == Some(played_ms) {
            return None;
        }
        line.interrupted_at_ms = Some(played_ms);
        entry(line)
    }

    fn line(&mut self, now: u64, item: &ItemId, role: Speaker) -> &mut Line {
        let position = self
            .lines
            .iter()
            .position(|line| line.item == *item && line.role == role);
        let position = position.unwrap_or_else(|| {
            if self.lines.len() == ITEMS_MAX {
                self.lines.pop_front();
            }
            self.lines.push_back(Line {
                item: item.clone(),
                role,
                text: None,
                at: now,
                interrupted_at_ms: None,
            });
            self.lines.len() - 1
        });
        &mut self.lines[position]
    }
}

fn entry(line: &Line) -> Option<TranscriptEntry> {
    Some(TranscriptEntry {
        role: line.role,
        text: line.text.clone()?,
        at_ms: line.at,
        item: Some(line.item.clone()),
        interrupted_at_ms: line.interrupted_at_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_interruption_meet_in_either_order() {
        let item = ItemId::from("a");
        let mut transcript = Transcript::default();
        transcript.begin(5, &item, Speaker::Agent);
        assert_eq!(transcript.interrupted(&item, 700), None);
        let entry = transcript
            .text(9, &item, Speaker::Agent, "bonjour à vous".to_owned())
            .unwrap();
        assert_eq!((entry.at_ms, entry.interrupted_at_ms), (5, Some(700)));
    }

    #[test]
    fn old_lines_make_room() {
        let mut transcript = Transcript::default();
        for number in 0..1_000 {
            transcript.begin(
                number,
                &ItemId::from(format!("item {number}")),
                Speaker::Caller,
            );
        }
        assert_eq!(transcript.lines.len(), ITEMS_MAX);
    }
}
