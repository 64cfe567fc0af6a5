//! The settings of an agent, as the API and the store know them: JSON in camelCase, every field optional, unknown fields kept.
//!
//! The groups are flattened: on the wire there is one flat object, as existing clients send it (contracts.md 2). Types are checked
//! by [`AgentSettings::parse`], values by [`crate::compile()`].

mod call_rules;
mod engine;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::{Fault, FaultCode};
use crate::json::null_default;

pub use call_rules::{
    CallRules, CostSettings, Limits, OpeningHours, OutcomeRule, PolicySettings, PreCallCheck,
    TransferManner, TransferMode, TransferSetting, TransferSettings,
};
pub use engine::{EngineChoice, Transcription, TurnDetection};

/// All settings of one agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSettings {
    /// What the model is told, and the data that templates read.
    #[serde(flatten)]
    pub prompt: PromptSettings,
    /// The engine and how it hears and speaks.
    #[serde(flatten)]
    pub voice: VoiceSettings,
    /// Where the call's data come from.
    #[serde(flatten)]
    pub session: SessionSettings,
    /// The first words.
    #[serde(flatten)]
    pub speech: SpeechSettings,
    /// Bounds, checks, transfers, outcomes, costs.
    #[serde(flatten)]
    pub rules: CallRules,
    /// The text chat with the same agent.
    #[serde(flatten)]
    pub chat: ChatSettings,
    /// Fields that this product does not know: kept and given back.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What the model is told, and the data that templates read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromptSettings {
    /// Template of the instructions, e.g. `={{data.systemPrompt}}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_prompt: Option<String>,
    /// IANA name, default `Europe/Paris`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// `fr` (default), `en`, or another BCP 47 tag: the language of our own sentences is French or English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// `BASE_URL` of templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_base_url: Option<String>,
    /// `config.*` of templates and of conditions.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub config: Map<String, Value>,
    /// Whether the date, time and zone are added to the instructions (default yes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_time: Option<bool>,
    /// Whether answered FAQ entries are added to the instructions (default yes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_faq: Option<bool>,
}

/// The engine and how it hears and speaks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VoiceSettings {
    /// The model; `engine.model` comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_model: Option<String>,
    /// The voice; the session's data and `engine.voice` come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_voice: Option<String>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vad_threshold: Option<f64>,
    /// Milliseconds of silence that end a turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vad_silence_ms: Option<u32>,
    /// Milliseconds kept from before the speech.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vad_prefix_padding_ms: Option<u32>,
    /// Kept for clients; GA engines refuse it, so it is sent to none of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// `sip_bridge`, `twilio`…: kept for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_type: Option<String>,
    /// Our own choice of engine, with every field of turn detection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineChoice>,
}

/// Where the call's data come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionSettings {
    /// Template of the address that is asked while the phone rings; its JSON answer is `data.*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_session_url: Option<String>,
    /// Templates of headers for it.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub external_session_headers: Map<String, Value>,
    /// `config_url` (default where an address is given) or `inline`: the address is not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_mode: Option<String>,
    /// When the address fails: `apologize` (default where the instructions need `data`) or `continue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_failure: Option<String>,
    /// Whether descriptions of tools in the session's answer replace ours: `describe` (default), `ignore`, or `offer`: they do,
    /// and a tool that the answer does not list is not offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_tools: Option<String>,
    /// `data.*` of an agent without a session address, or until it has answered.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub session_data: Map<String, Value>,
    /// Templates of the context store at the start of the call.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub initial_context: Map<String, Value>,
}

/// The first words, and words that must not be kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SpeechSettings {
    /// How the call begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greeting: Option<GreetingSettings>,
    /// Template of the sentence that says that a machine speaks. It is always said, first, and to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disclosure: Option<String>,
    /// Template of the sentence that says that the call is recorded. It is said with the disclosure, where calls are recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording_notice: Option<String>,
    /// `false`: calls of this agent are not recorded where others are. Nothing turns recording on where the server does not record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording_enabled: Option<bool>,
    /// Card digits by keypad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_input: Option<SecureInput>,
}

/// How the call begins after the disclosure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GreetingSettings {
    /// `model` (default): the model speaks first. `none`: the caller speaks after the disclosure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Template of the instruction for a caller whose name is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// Template of the instruction for any other caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// Template of the caller's name; default `={{ctx.customer_name}}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Template of words that are said as they are, from audio that is made once for each voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_text: Option<String>,
    /// The same for a caller whose name is known; without it `cachedText` is for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_text_known: Option<String>,
}

/// Card digits by keypad: what is masked while it lasts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecureInput {
    /// Whether runs of 13 to 19 digits are masked in every text that is kept (default yes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_cards: Option<bool>,
    /// Seconds after which the mode ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sec: Option<u32>,
}

/// The text chat with the same agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChatSettings {
    /// Whether it is offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_enabled: Option<bool>,
    /// Kept for the widget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_mode: Option<String>,
    /// Title of the widget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_title: Option<String>,
    /// Origins of the pages that may show the widget (`https://www.example.fr`); any page where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_origins: Option<Vec<String>>,
    /// Whether the widget opens by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_open_on_load: Option<bool>,
}

impl AgentSettings {
    /// Reads the JSON of the API; each field of a wrong type is a fault of its own.
    pub fn parse(value: &Value) -> Result<Self, Vec<Fault>> {
        if value.is_null() {
            return Ok(Self::default());
        }
        let Value::Object(members) = value else {
            return Err(vec![Fault::new(
                "",
                FaultCode::WrongType,
                "The settings must be a JSON object.",
            )]);
        };
        match serde_json::from_value(value.clone()) {
            Ok(settings) => Ok(settings),
            Err(error) => Err(wrong_fields(members, &error)),
        }
    }

    /// The IANA name of the agent's zone.
    pub fn timezone(&self) -> &str {
        self.prompt.timezone.as_deref().unwrap_or("Europe/Paris")
    }

    /// Whether our own sentences are English rather than French.
    pub fn speaks_english(&self) -> bool {
        self.prompt
            .language
            .as_deref()
            .is_some_and(|tag| !tag.is_empty() && !tag.to_ascii_lowercase().starts_with("fr"))
    }
}

/// serde names no field of a flattened object: each is read alone to find which ones are wrong.
fn wrong_fields(members: &Map<String, Value>, whole: &serde_json::Error) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, member) in members {
        let alone = Value::Object(Map::from_iter([(name.clone(), member.clone())]));
        if let Err(error) = serde_json::from_value::<AgentSettings>(alone) {
            faults.push(Fault::new(
                name.as_str(),
                FaultCode::WrongType,
                format!("This field cannot be read: {error}."),
            ));
        }
    }
    if faults.is_empty() {
        faults.push(Fault::new(
            "",
            FaultCode::WrongType,
            format!("The settings cannot be read: {whole}."),
        ));
    }
    faults
}
