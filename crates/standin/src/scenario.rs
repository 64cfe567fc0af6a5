//! The scenario: what the caller can say, what the agent answers, and what goes wrong, in TOML (`docs/standin.md`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::recognise::Recogniser;
use crate::speech::{Rendered, Speech, SpeechError};

mod check;
mod parts;

pub use parts::{
    Agent, Fault, FaultAction, FaultPoint, Line, Moment, Rule, Step, Timing, ToolUse, Utterance,
};

/// Largest scenario file that is read, in bytes.
pub const SCENARIO_BYTES_MAX: u64 = 256 * 1024;
/// Most utterances, rules, steps or faults of a scenario, each.
pub const SCENARIO_ENTRIES_MAX: usize = 200;

/// The language of a scenario: French or English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// French.
    Fr,
    /// English.
    En,
}

/// An espeak-ng voice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voice {
    /// The name that `espeak-ng -v` takes, for example `fr-fr` or `en-gb+f3`.
    pub name: String,
    /// Speed, words per minute.
    #[serde(default = "default_words_per_minute")]
    pub words_per_minute: u32,
    /// Pitch, 0 to 99.
    #[serde(default = "default_pitch")]
    pub pitch: u32,
}

fn default_words_per_minute() -> u32 {
    155
}

fn default_pitch() -> u32 {
    50
}

/// A whole scenario.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// A short name, for logs.
    pub name: String,
    /// The language of both sides.
    pub language: Language,
    /// The voice of the agent.
    pub agent_voice: Voice,
    /// The voice of the scripted caller; what is heard is compared with this voice.
    pub caller_voice: Voice,
    /// What the agent says on its own.
    pub agent: Agent,
    /// Everything the caller can say.
    #[serde(default, rename = "utterance")]
    pub utterances: Vec<Utterance>,
    /// What the agent answers; the first rule that fits is used.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
    /// What the scripted caller does.
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
    /// What goes wrong.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
    /// How fast the service is.
    #[serde(default)]
    pub timing: Timing,
}

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read the scenario {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than [`SCENARIO_BYTES_MAX`].
    #[error("the scenario {path} is larger than {SCENARIO_BYTES_MAX} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The text is not a scenario.
    #[error("the scenario is not valid TOML of the known form")]
    Syntax(#[from] toml::de::Error),
    /// The scenario contradicts itself.
    #[error("the scenario {name}: {problem}")]
    Inconsistent {
        /// The name of the scenario.
        name: String,
        /// What is wrong, in words.
        problem: String,
    },
}

impl Scenario {
    /// The embedded French demonstration: a short call to a restaurant.
    pub fn demo_fr() -> Self {
        Self::from_toml(include_str!("../../../assets/scenarios/demo-fr.toml"))
            .expect("the embedded scenario is read by a test")
    }

    /// The embedded English demonstration.
    pub fn demo_en() -> Self {
        Self::from_toml(include_str!("../../../assets/scenarios/demo-en.toml"))
            .expect("the embedded scenario is read by a test")
    }

    /// The embedded demonstration of a restaurant that takes an order and books a table, in French.
    pub fn bella_fr() -> Self {
        Self::from_toml(include_str!("../../../assets/scenarios/bella-fr.toml"))
            .expect("the embedded scenario is read by a test")
    }

    /// The same in English.
    pub fn bella_en() -> Self {
        Self::from_toml(include_str!("../../../assets/scenarios/bella-en.toml"))
            .expect("the embedded scenario is read by a test")
    }

    /// An embedded scenario by name (`demo-fr`, `demo-en`, `bella-fr`, `bella-en`).
    pub fn embedded(name: &str) -> Option<Self> {
        match name {
            "demo-fr" => Some(Self::demo_fr()),
            "demo-en" => Some(Self::demo_en()),
            "bella-fr" => Some(Self::bella_fr()),
            "bella-en" => Some(Self::bella_en()),
            _ => None,
        }
    }

    /// Reads and checks a scenario.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)?;
        check::check(&scenario).map_err(|problem| ScenarioError::Inconsistent {
            name: scenario.name.clone(),
            problem,
        })?;
        Ok(scenario)
    }

    /// Reads a scenario file.
    pub fn from_file(path: &Path) -> Result<Self, ScenarioError> {
        let read = |source| ScenarioError::Read {
            path: path.to_owned(),
            source,
        };
        if std::fs::metadata(path).map_err(read)?.len() > SCENARIO_BYTES_MAX {
            return Err(ScenarioError::TooLarge {
                path: path.to_owned(),
            });
        }
        Self::from_toml(&std::fs::read_to_string(path).map_err(read)?)
    }

    /// Speaks every line once, so that no call waits for the synthesiser.
    pub async fn prepare(self, speech: &Speech) -> Result<Arc<Prepared>, SpeechError> {
        let mut utterances = BTreeMap::new();
        for utterance in &self.utterances {
            let voice = utterance.voice.as_ref().unwrap_or(&self.caller_voice);
            let rendered = match &utterance.tone {
                Some(tone) => Arc::new(Rendered::tone(tone.hz, tone.ms)),
                None => speech.render(voice, &utterance.text).await?,
            };
            utterances.insert(utterance.id.clone(), rendered);
        }
        let mut lines = BTreeMap::new();
        for line in self.lines() {
            let rendered = match line {
                Line::Text(text) => speech.render(&self.agent_voice, text).await?,
                Line::Tone { hz, ms, .. } => Arc::new(Rendered::tone(*hz, *ms)),
            };
            lines.insert(line.text().to_owned(), rendered);
        }
        let recogniser = Recogniser::new(self.utterances.iter().filter_map(|utterance| {
            let rendered = utterances.get(&utterance.id)?;
            Some((
                utterance.id.as_str(),
                utterance.text.as_str(),
                rendered.at_8k(),
            ))
        }));
        Ok(Arc::new(Prepared {
            scenario: self,
            utterances,
            lines,
            recogniser,
        }))
    }

    /// Every line that the agent can say without being told a text.
    fn lines(&self) -> impl Iterator<Item = &Line> {
        let agent = &self.agent;
        [
            &agent.greeting,
            &agent.reprompt,
            &agent.warning,
            &agent.goodbye,
            &agent.resume,
            &agent.tool_done,
        ]
        .into_iter()
        .chain(&agent.not_understood)
        .chain(
            self.rules
                .iter()
                .flat_map(|rule| rule.say.iter().chain(&rule.then)),
        )
    }
}

/// A scenario with its sound.
pub struct Prepared {
    /// The scenario.
    pub scenario: Scenario,
    utterances: BTreeMap<String, Arc<Rendered>>,
    lines: BTreeMap<String, Arc<Rendered>>,
    recogniser: Recogniser,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("name", &self.scenario.name)
            .field("utterances", &self.utterances.len())
            .field("lines", &self.lines.len())
            .finish_non_exhaustive()
    }
}

impl Prepared {
    /// The sound of an utterance of the caller.
    pub fn utterance(&self, id: &str) -> Option<&Arc<Rendered>> {
        self.utterances.get(id)
    }

    /// The sound of a line of the agent, when it was spoken beforehand.
    pub fn line(&self, text: &str) -> Option<&Arc<Rendered>> {
        self.lines.get(text)
    }

    /// What finds the caller's utterances in audio.
    pub fn recogniser(&self) -> &Recogniser {
        &self.recogniser
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_scenarios_are_read() {
        assert_eq!(Scenario::demo_fr().language, Language::Fr);
        assert_eq!(Scenario::demo_en().language, Language::En);
        assert_eq!(Scenario::bella_fr().language, Language::Fr);
        assert_eq!(Scenario::bella_en().language, Language::En);
        assert!(Scenario::embedded("demo-de").is_none());
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = include_str!("../../../assets/scenarios/demo-fr.toml");
        let wrong = format!("colour = \"red\"\n{text}");
        assert!(matches!(
            Scenario::from_toml(&wrong),
            Err(ScenarioError::Syntax(_))
        ));
    }

    #[test]
    fn a_rule_that_hears_an_unknown_utterance_is_refused() {
        let text = include_str!("../../../assets/scenarios/demo-fr.toml");
        let wrong = format!("{text}\n[[rule]]\nhears = \"nobody\"\nsay = \"x\"\n");
        let error = Scenario::from_toml(&wrong).unwrap_err();
        assert!(error.to_string().contains("nobody"), "{error}");
    }
}
