//! First words whose sound was made before the call: they are heard as soon as it is answered, and the model is told what the
//! caller heard of them.

use crate::id::ItemId;
use crate::limits::WELCOME_GRACE_MS;
use crate::profile::{Greeting, Profile, Recorded};

/// Which of the first words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpeningWords {
    /// A machine speaks.
    Disclosure,
    /// The welcome.
    Greeting,
}

impl OpeningWords {
    /// The playout item under which the shell plays them.
    pub fn item(self) -> ItemId {
        match self {
            Self::Disclosure => ItemId::from("local:disclosure"),
            Self::Greeting => ItemId::from("local:greeting"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The call is not answered yet.
    Waiting,
    Playing,
    /// The caller heard this.
    Heard(String),
    /// The model knows it, or there is nothing to know.
    Told,
}

#[derive(Debug)]
struct Line {
    words: OpeningWords,
    recorded: Recorded,
    stage: Stage,
}

/// The prepared words of one call, in the order in which they are heard.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    lines: Vec<Line>,
    /// By then all of it was played, whatever is reported.
    over_at: u64,
}

impl Prepared {
    /// The words that this call begins with. A prepared welcome does not overtake a disclosure that the model has to say.
    pub(crate) fn new(profile: &Profile) -> Self {
        let mut lines = Vec::new();
        if profile.refusal.is_some() || profile.transfer_at_once.is_some() {
            return Self::default();
        }
        let mut add = |words, recorded: &Option<Recorded>| {
            if let Some(recorded) = recorded {
                let stage = Stage::Waiting;
                let recorded = recorded.clone();
                lines.push(Line {
                    words,
                    recorded,
                    stage,
                });
            }
        };
        if profile.disclosure.is_some() {
            add(OpeningWords::Disclosure, &profile.recorded.disclosure);
        }
        let greets = matches!(profile.greeting, Greeting::Model { .. });
        if greets && (profile.disclosure.is_none() || profile.recorded.disclosure.is_some()) {
            add(OpeningWords::Greeting, &profile.recorded.greeting);
        }
        Self { lines, over_at: 0 }
    }

    /// Whether the model need not say them.
    pub(crate) fn has(&self, words: OpeningWords) -> bool {
        self.lines.iter().any(|line| line.words == words)
    }

    /// Something is there to be heard at the answer.
    pub(crate) fn waits(&self) -> bool {
        self.lines.iter().any(|line| line.stage == Stage::Waiting)
    }

    /// The call is answered: all of them are played, in this order.
    pub(crate) fn begin(&mut self, now: u64) -> Vec<(OpeningWords, String)> {
        let length: u64 = self
            .lines
            .iter()
            .map(|line| u64::from(line.recorded.audio_ms))
            .sum();
        self.over_at = now + length + WELCOME_GRACE_MS;
        let waiting = self
            .lines
            .iter_mut()
            .filter(|line| line.stage == Stage::Waiting);
        waiting
            .map(|line| {
                line.stage = Stage::Playing;
                (line.words, line.recorded.text.clone())
            })
            .collect()
    }

    /// The welcome is being heard: the model does not know yet what of it the caller will have heard.
    pub(crate) fn is_welcoming(&self, now: u64) -> bool {
        let playing = self
            .lines
            .iter()
            .any(|line| line.words == OpeningWords::Greeting && line.stage == Stage::Playing);
        playing && now < self.over_at
    }

    /// An item was played to its end.
    pub(crate) fn played(&mut self, item: &ItemId) {
        if let Some(line) = self.playing(item) {
            line.stage = Stage::Heard(line.recorded.text.clone());
        }
    }

    /// Everything that was queued was played.
    pub(crate) fn drained(&mut self) {
        for words in [OpeningWords::Disclosure, OpeningWords::Greeting] {
            self.played(&words.item());
        }
    }

    /// An item was cut after this much of it.
    pub(crate) fn cut(&mut self, item: &ItemId, played_ms: u32) {
        if let Some(line) = self.playing(item) {
            let heard = heard(&line.recorded, played_ms);
            line.stage = heard.map_or(Stage::Told, Stage::Heard);
        }
    }

    /// A new session was given the transcript: nothing more is to be told.
    pub(crate) fn replayed(&mut self) {
        for line in &mut self.lines {
            if line.stage != Stage::Waiting {
                line.stage = Stage::Told;
            }
        }
    }

    /// The next words that the model is to be told, in the order in which they were heard. The disclosure cannot be cut: it is told
    /// while it is played.
    pub(crate) fn take_untold(&mut self) -> Option<String> {
        let line = self
            .lines
            .iter_mut()
            .find(|line| line.stage != Stage::Told)?;
        let text = match (&line.stage, line.words) {
            (Stage::Heard(text), _) => text.clone(),
            (Stage::Playing, OpeningWords::Disclosure) => line.recorded.text.clone(),
            (Stage::Playing, OpeningWords::Greeting) | (Stage::Waiting | Stage::Told, _) => {
                return None;
            }
        };
        line.stage = Stage::Told;
        Some(text)
    }

    fn playing(&mut self, item: &ItemId) -> Option<&mut Line> {
        self.lines
            .iter_mut()
            .find(|line| line.stage == Stage::Playing && line.words.item() == *item)
    }
}

/// The words that fit into what was heard, taken to be spoken evenly.
fn heard(recorded: &Recorded, played_ms: u32) -> Option<String> {
    let words: Vec<&str> = recorded.text.split_whitespace().collect();
    let length = u64::from(recorded.audio_ms.max(1));
    let part = u64::from(played_ms).min(length);
    let count = u64::try_from(words.len()).unwrap_or(u64::MAX);
    let heard = usize::try_from(count.saturating_mul(part) / length).unwrap_or(words.len());
    let words = words.get(..heard).filter(|words| !words.is_empty())?;
    let mut text = words.join(" ");
    if part < length {
        text.push('…');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_is_whole_words_in_proportion() {
        let recorded = Recorded {
            text: "un deux trois quatre".to_owned(),
            audio_ms: 2_000,
        };
        assert_eq!(heard(&recorded, 0), None);
        assert_eq!(heard(&recorded, 499), None);
        assert_eq!(heard(&recorded, 1_200).as_deref(), Some("un deux…"));
        assert_eq!(
            heard(&recorded, 9_000).as_deref(),
            Some("un deux trois quatre")
        );
    }
}
