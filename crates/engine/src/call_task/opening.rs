//! The first words of a call: played from what earlier calls made, or kept for later calls while the engine says them.

use call::profile::{Recorded, RecordedOpening};
use call::{OpeningWords, Purpose};
use media::{Form, ItemKey, reform};

use super::CallTask;
use super::consult::Plan;
use crate::calls::{Calls, Identity};
use crate::config::AgentConfig;
use crate::greetings::{Greetings, Key, Voice};
use crate::limits::{GREETING_BYTES_MAX, GREETING_BYTES_MIN};

/// Of ten words, so many may have been written otherwise than they were asked for (numbers, spellings).
const WORDS_OTHERWISE_OF_TEN: usize = 2;

/// One of the first words, with the name of its sound.
struct Line {
    words: OpeningWords,
    text: String,
    key: Key,
    audio: Option<Vec<u8>>,
}

/// What the engine is saying and is to be kept.
#[derive(Default)]
struct Capture {
    line: usize,
    response: Option<String>,
    item: Option<ItemKey>,
    audio: Vec<u8>,
    said: Option<String>,
    /// It is too long, or in several parts: not to be kept.
    spoilt: bool,
}

/// The prepared words of one call.
pub(super) struct Opening {
    greetings: Greetings,
    form: Form,
    lines: Vec<Line>,
    capture: Option<Capture>,
}

impl Opening {
    /// Looks for the sounds of a call that begins with fixed words; says in `config` which were found.
    pub(super) async fn find(
        (calls, identity): (&Calls, &Identity),
        plan: &Plan,
        config: &mut AgentConfig,
        form: Form,
    ) -> Option<Self> {
        let greetings = calls.greetings.clone()?;
        let fixed = plan.fixed_words()?;
        let agent = config.office.as_ref()?.agent.definition();
        let engine = &config.engine;
        let voice = Voice {
            tenant: identity.tenant.as_str(),
            agent: &agent.agent_id,
            engine: &engine.realtime.url,
            model: &engine.realtime.model,
            voice: engine.voice.as_deref().unwrap_or_default(),
            speed: engine.speed,
            form,
        };
        let mut lines = Vec::with_capacity(fixed.len());
        for (words, text) in fixed {
            let key = Key::new(&voice, text);
            let audio = greetings.find(key).await;
            lines.push(Line {
                words,
                text: text.to_owned(),
                key,
                audio,
            });
        }
        let recorded = |words| {
            let line = lines.iter().find(|line| line.words == words)?;
            let bytes = line.audio.as_ref()?.len();
            Some(Recorded {
                text: line.text.clone(),
                audio_ms: u32::try_from(bytes / form.bytes_per_ms()).unwrap_or(u32::MAX),
            })
        };
        config.profile.recorded = RecordedOpening {
            disclosure: recorded(OpeningWords::Disclosure),
            greeting: recorded(OpeningWords::Greeting),
        };
        Some(Self {
            greetings,
            form,
            lines,
            capture: None,
        })
    }

    fn take_audio(&mut self, words: OpeningWords) -> Option<Vec<u8>> {
        let line = self.lines.iter_mut().find(|line| line.words == words)?;
        line.audio.take()
    }

    /// The engine is asked for something: what comes next is kept when it is one of the words.
    fn asked(&mut self, purpose: Purpose) {
        let words = if purpose == Purpose::Disclosure {
            Some(OpeningWords::Disclosure)
        } else if purpose == Purpose::Greeting {
            Some(OpeningWords::Greeting)
        } else {
            None
        };
        let line = self.lines.iter().position(|line| Some(line.words) == words);
        self.capture = line.map(|line| Capture {
            line,
            ..Capture::default()
        });
    }

    fn response_started(&mut self, response: &str) {
        if let Some(capture) = &mut self.capture {
            if capture.response.is_none() {
                capture.response = Some(response.to_owned());
            } else {
                // Another one came between.
                self.capture = None;
            }
        }
    }

    fn audio(&mut self, item: &ItemKey, audio: &[u8]) {
        let Some(capture) = &mut self.capture else {
            return;
        };
        if capture.response.is_none() {
            return;
        }
        let item = capture.item.get_or_insert_with(|| ItemKey::clone(item)) == item;
        if !item || capture.audio.len() + audio.len() > GREETING_BYTES_MAX {
            capture.spoilt = true;
        } else {
            capture.audio.extend_from_slice(audio);
        }
    }

    fn said(&mut self, item: &ItemKey, text: &str) {
        if let Some(capture) = &mut self.capture
            && capture.item.as_ref() == Some(item)
        {
            capture.said = Some(text.to_owned());
        }
    }

    /// A response is over: its sound is kept when it was said whole, and was what it should be.
    fn response_done(&mut self, response: &str, completed: bool) {
        let of_it = |capture: &mut Capture| capture.response.as_deref() == Some(response);
        let Some(capture) = self.capture.take_if(of_it) else {
            return;
        };
        let Some(line) = self.lines.get(capture.line) else {
            return;
        };
        let as_asked = capture.said.is_some_and(|said| is_said(&line.text, &said));
        if completed && !capture.spoilt && as_asked && capture.audio.len() >= GREETING_BYTES_MIN {
            self.greetings.keep(line.key, capture.audio);
        }
    }
}

/// Whether words were said as they were asked for: a transcript writes some of them otherwise.
fn is_said(asked: &str, said: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    };
    let (asked, said) = (words(asked), words(said));
    let mut row: Vec<usize> = (0..=said.len()).collect();
    for (index, word) in asked.iter().enumerate() {
        let mut before = std::mem::replace(&mut row[0], index + 1);
        for (place, other) in said.iter().enumerate() {
            let changed = before + usize::from(word != other);
            before = row[place + 1];
            row[place + 1] = changed.min(before + 1).min(row[place] + 1);
        }
    }
    let distance = row.last().copied().unwrap_or_default();
    !asked.is_empty() && distance * 10 <= asked.len() * WORDS_OTHERWISE_OF_TEN
}

impl CallTask {
    /// Plays words that were prepared.
    pub(super) fn play_recorded(&mut self, words: OpeningWords) {
        let Some(opening) = &mut self.opening else {
            return;
        };
        let from = opening.form;
        let Some(audio) = opening.take_audio(words) else {
            return;
        };
        let audio = reform::whole(from, self.media.form(), audio);
        let item = words.item();
        if self.media.push(item.as_arc(), &audio).is_ok() {
            self.media.finish(item.as_arc());
        }
    }

    /// The engine is asked to speak.
    pub(super) fn opening_asked(&mut self, purpose: Purpose) {
        if let Some(opening) = &mut self.opening {
            // The voice of another engine is not the agent's.
            if self.link.on_fallback() {
                opening.capture = None;
            } else {
                opening.asked(purpose);
            }
        }
    }

    pub(super) fn opening_started(&mut self, response: &str) {
        if let Some(opening) = &mut self.opening {
            opening.response_started(response);
        }
    }

    pub(super) fn opening_audio(&mut self, item: &ItemKey, audio: &[u8]) {
        if let Some(opening) = &mut self.opening {
            opening.audio(item, audio);
        }
    }

    pub(super) fn opening_said(&mut self, item: &ItemKey, text: &str) {
        if let Some(opening) = &mut self.opening {
            opening.said(item, text);
        }
    }

    pub(super) fn opening_done(&mut self, response: &str, completed: bool) {
        if let Some(opening) = &mut self.opening {
            opening.response_done(response, completed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_what_a_transcript_writes_otherwise() {
        let asked = "Bonjour, vous êtes bien chez Les Tilleuls, ouvert 7 jours sur 7.";
        assert!(is_said(
            asked,
            "bonjour vous êtes bien chez les tilleuls ouvert sept jours sur sept"
        ));
        assert!(is_said("Bonjour !", "Bonjour."));
        assert!(!is_said(
            asked,
            "Bonjour, que puis-je faire pour vous aujourd'hui ?"
        ));
        assert!(!is_said(asked, ""));
        assert!(!is_said("", ""));
        assert!(!is_said("Bonjour", "Bonsoir"));
    }
}
