//! The settings of a session: the defaults, and what a session.update changes.

use serde_json::{Value, json};

use crate::speech::Encoding;

use super::schema::{Shape, Violation, check, field, required, shapes};

/// Audio as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// G.711 µ-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz.
    Pcma,
    /// 16 bits, little endian, 16 kHz.
    Pcm16k,
    /// 16 bits, little endian, 24 kHz.
    Pcm24k,
}

impl Format {
    /// Bytes in a millisecond.
    pub(super) fn bytes_per_ms(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma => 8,
            Self::Pcm16k => 32,
            Self::Pcm24k => 48,
        }
    }

    /// Samples in a millisecond.
    pub(super) fn samples_per_ms(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma => 8,
            Self::Pcm16k => 16,
            Self::Pcm24k => 24,
        }
    }
}

impl From<Format> for Encoding {
    fn from(format: Format) -> Self {
        match format {
            Format::Pcmu => Self::Ulaw,
            Format::Pcma => Self::Alaw,
            Format::Pcm16k | Format::Pcm24k => Self::Pcm24k,
        }
    }
}

/// How turns are found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TurnDetection {
    /// 0 to 1.
    pub(super) threshold: f64,
    pub(super) prefix_padding_ms: u64,
    pub(super) silence_duration_ms: u64,
    pub(super) idle_timeout_ms: Option<u64>,
    pub(super) create_response: bool,
    pub(super) interrupt_response: bool,
}

const FLAT_FORMAT: Shape = Shape::Object(&[field(
    "format",
    Shape::Tagged(
        "type",
        &[
            (
                "audio/pcmu",
                &[
                    required("type", Shape::Text),
                    required("rate", Shape::Integer(8_000, 8_000)),
                ],
            ),
            (
                "audio/pcma",
                &[
                    required("type", Shape::Text),
                    required("rate", Shape::Integer(8_000, 8_000)),
                ],
            ),
            (
                "audio/pcm",
                &[
                    required("type", Shape::Text),
                    required("rate", Shape::Integer(24_000, 24_000)),
                ],
            ),
        ],
    ),
)]);
const FLAT_SESSION: Shape = Shape::Object(&[
    field("instructions", Shape::Text),
    field("voice", Shape::Text),
    field(
        "turn_detection",
        Shape::Nullable(&Shape::Tagged(
            "type",
            &[(
                "server_vad",
                &[
                    required("type", Shape::Text),
                    field("threshold", Shape::Number(0.0, 1.0)),
                    field("prefix_padding_ms", Shape::Integer(0, 10_000)),
                    field("silence_duration_ms", Shape::Integer(0, 10_000)),
                ],
            )],
        )),
    ),
    field(
        "audio",
        Shape::Object(&[field("input", FLAT_FORMAT), field("output", FLAT_FORMAT)]),
    ),
    field("tools", Shape::List(&Shape::Table)),
]);

/// The settings of a session, as the service shows them.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    session: Value,
}

impl Settings {
    /// The service's defaults.
    pub(super) fn new(id: &str, model: &str, expires_at: u64) -> Self {
        let pcm = json!({"type": "audio/pcm", "rate": 24_000});
        let session = json!({
            "type": "realtime", "object": "realtime.session", "id": id, "model": model,
            "expires_at": expires_at,
            "output_modalities": ["audio"],
            "instructions": "You are a helpful, witty, and friendly AI.",
            "tools": [], "tool_choice": "auto", "max_output_tokens": "inf",
            "tracing": null, "truncation": "auto", "prompt": null, "include": null,
            "audio": {
                "input": {
                    "format": pcm, "transcription": null, "noise_reduction": null,
                    "turn_detection": {
                        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                        // Documented as 500; a capture of the service showed 200.
                        "silence_duration_ms": 200, "idle_timeout_ms": null,
                        "create_response": true, "interrupt_response": true,
                    },
                },
                "output": {"format": pcm, "voice": "alloy", "speed": 1.0},
            },
        });
        Self { session }
    }

    /// As the events show it.
    pub(super) fn shown(&self) -> &Value {
        &self.session
    }

    /// Applies a session.update as a whole, or refuses it as a whole.
    pub(super) fn update(&mut self, change: &Value, spoken: bool) -> Result<(), Violation> {
        check(change, &shapes::SESSION, "session")?;
        let model = self.text("/model");
        if change
            .get("model")
            .is_some_and(|new| new.as_str() != Some(&model))
        {
            return Err(Violation::new(
                "cannot_update_model",
                "The model of a session cannot be changed.",
            )
            .at("session.model"));
        }
        if change.get("reasoning").is_some() && !model.starts_with("gpt-realtime-2") {
            return Err(Violation::new(
                "invalid_value",
                format!("Reasoning is not supported by the model '{model}'."),
            )
            .at("session.reasoning"));
        }
        if let Some(list) = change.get("output_modalities").and_then(Value::as_array)
            && list.len() != 1
        {
            return Err(Violation::new(
                "invalid_value",
                "Invalid modalities: supported combinations are: ['text'] and ['audio'].",
            )
            .at("session.output_modalities"));
        }
        let voice = change.pointer("/audio/output/voice");
        if spoken && voice.is_some_and(|new| Some(new) != self.voice()) {
            return Err(Violation::new(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
            ));
        }
        if change.get("tracing").is_some()
            && self
                .session
                .get("tracing")
                .is_some_and(|now| !now.is_null())
        {
            return Err(Violation::new(
                "cannot_update_tracing",
                "Tracing cannot be changed once it is enabled.",
            ));
        }
        check_tools(change)?;
        merge(&mut self.session, change);
        Ok(())
    }

    /// The session.update of xAI: voice and turn detection beside the formats, G.711 with its rate, nothing of OpenAI's own.
    pub(super) fn update_flat(&mut self, change: &Value, spoken: bool) -> Result<(), Violation> {
        check(change, &FLAT_SESSION, "session")?;
        let mut nested = json!({"type": "realtime"});
        for name in ["instructions", "tools"] {
            if let Some(value) = change.get(name) {
                nested[name] = value.clone();
            }
        }
        for side in ["input", "output"] {
            let Some(format) = change.pointer(&format!("/audio/{side}/format")) else {
                continue;
            };
            let mut format = format.clone();
            if let Some(fields) = format.as_object_mut()
                && fields.get("type") != Some(&json!("audio/pcm"))
            {
                fields.remove("rate");
            }
            nested["audio"][side]["format"] = format;
        }
        if let Some(vad) = change.get("turn_detection") {
            nested["audio"]["input"]["turn_detection"] = vad.clone();
        }
        self.update(&nested, spoken)?;
        // Its voices are its own, and it tells what it heard without being asked.
        if let Some(voice) = change.get("voice") {
            self.session["audio"]["output"]["voice"] = voice.clone();
        }
        self.session["audio"]["input"]["transcription"] = json!({"model": "grok-transcribe"});
        Ok(())
    }

    fn text(&self, pointer: &str) -> String {
        let value = self.session.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    }

    pub(super) fn voice(&self) -> Option<&Value> {
        self.session.pointer("/audio/output/voice")
    }

    pub(super) fn input_format(&self) -> Format {
        format(self.session.pointer("/audio/input/format"))
    }

    pub(super) fn output_format(&self) -> Format {
        format(self.session.pointer("/audio/output/format"))
    }

    pub(super) fn output_format_shown(&self) -> Value {
        let shown = self.session.pointer("/audio/output/format");
        shown.cloned().unwrap_or_default()
    }

    pub(super) fn instructions(&self) -> &str {
        let text = self.session.get("instructions").and_then(Value::as_str);
        text.unwrap_or_default()
    }

    pub(super) fn tools(&self) -> &Value {
        &self.session["tools"]
    }

    pub(super) fn tool_choice(&self) -> &Value {
        &self.session["tool_choice"]
    }

    pub(super) fn max_output_tokens(&self) -> Value {
        self.session["max_output_tokens"].clone()
    }

    /// Whether responses are spoken.
    pub(super) fn audio_output(&self) -> bool {
        self.session.pointer("/output_modalities/0") != Some(&json!("text"))
    }

    /// The transcription model, when turns of the caller are transcribed.
    pub(super) fn transcriber(&self) -> Option<String> {
        let transcription = self.session.pointer("/audio/input/transcription")?;
        if transcription.is_null() {
            return None;
        }
        let model = transcription.get("model").and_then(Value::as_str);
        Some(model.unwrap_or("gpt-transcribe").to_owned())
    }

    pub(super) fn turn_detection(&self) -> Option<TurnDetection> {
        let vad = self.session.pointer("/audio/input/turn_detection")?;
        let semantic = vad.get("type")?.as_str()? == "semantic_vad";
        let number = |name: &str| vad.get(name).and_then(Value::as_u64);
        let flag = |name: &str| vad.get(name).and_then(Value::as_bool).unwrap_or(true);
        let silence_duration_ms = if semantic {
            match vad.get("eagerness").and_then(Value::as_str) {
                Some("high") => 500,
                Some("low") => 1_500,
                Some(_) | None => 800,
            }
        } else {
            number("silence_duration_ms").unwrap_or(500)
        };
        Some(TurnDetection {
            threshold: vad.get("threshold").and_then(Value::as_f64).unwrap_or(0.5),
            prefix_padding_ms: number("prefix_padding_ms").unwrap_or(300),
            silence_duration_ms,
            idle_timeout_ms: number("idle_timeout_ms"),
            create_response: flag("create_response"),
            interrupt_response: flag("interrupt_response"),
        })
    }
}

/// The format that a checked value names.
fn format(value: Option<&Value>) -> Format {
    match value
        .and_then(|value| value.get("type"))
        .and_then(Value::as_str)
    {
        Some("audio/pcmu") => Format::Pcmu,
        Some("audio/pcma") => Format::Pcma,
        Some(_) | None => Format::Pcm24k,
    }
}

fn check_tools(change: &Value) -> Result<(), Violation> {
    let tools = change.get("tools").and_then(Value::as_array);
    for (n, tool) in tools.into_iter().flatten().enumerate() {
        let name = tool.get("name").and_then(Value::as_str).unwrap_or("x");
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            return Err(Violation::new(
                "invalid_value",
                format!("Invalid 'session.tools[{n}].name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."),
            )
            .at(format!("session.tools[{n}].name")));
        }
    }
    Ok(())
}

/// Objects are merged; a value with a `type` (a format, turn detection) and any other value is replaced.
fn merge(into: &mut Value, change: &Value) {
    match (into.as_object_mut(), change.as_object()) {
        (Some(fields), Some(changes)) => {
            for (name, value) in changes {
                let whole = value.get("type").is_some();
                match fields.get_mut(name) {
                    Some(old) if !whole => merge(old, value),
                    Some(_) | None => {
                        fields.insert(name.clone(), with_defaults(name, value));
                    }
                }
            }
        }
        (_, _) => *into = change.clone(),
    }
}

/// The service shows every field of the turn detection that it was given a part of.
fn with_defaults(name: &str, value: &Value) -> Value {
    let mut shown = value.clone();
    let defaults = match (name, value.get("type").and_then(Value::as_str)) {
        ("turn_detection", Some("server_vad")) => json!({
            "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
            "idle_timeout_ms": null, "create_response": true, "interrupt_response": true,
        }),
        ("turn_detection", Some("semantic_vad")) => {
            json!({"eagerness": "auto", "create_response": true, "interrupt_response": true})
        }
        (_, _) => return shown,
    };
    if let (Some(fields), Value::Object(defaults)) = (shown.as_object_mut(), defaults) {
        for (name, value) in defaults {
            fields.entry(name).or_insert(value);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new("sess_1", "gpt-realtime-2.1", 1)
    }

    fn refused(change: &Value) -> (Option<&'static str>, Option<String>) {
        let mut settings = settings();
        let before = settings.shown().clone();
        let violation = settings.update(change, true).unwrap_err();
        assert_eq!(settings.shown(), &before);
        (violation.code, violation.param)
    }

    #[test]
    fn a_telephone_session_is_accepted() {
        let mut settings = settings();
        settings
            .update(
                &json!({"type": "realtime", "instructions": "Bonjour", "output_modalities": ["audio"],
                    "audio": {"input": {"format": {"type": "audio/pcmu"}, "noise_reduction": null,
                        "transcription": {"model": "gpt-transcribe", "language": "fr"},
                        "turn_detection": {"type": "server_vad", "silence_duration_ms": 400}},
                      "output": {"format": {"type": "audio/pcma"}, "voice": "marin"}},
                    "tools": [{"type": "function", "name": "end_call", "parameters": {"type": "object"}}]}),
                false,
            )
            .unwrap();
        assert_eq!(settings.input_format(), Format::Pcmu);
        assert_eq!(settings.output_format(), Format::Pcma);
        let vad = settings.turn_detection().unwrap();
        assert_eq!((vad.silence_duration_ms, vad.prefix_padding_ms), (400, 300));
        assert_eq!(settings.shown()["audio"]["output"]["speed"], json!(1.0));
    }

    #[test]
    fn the_flat_session_of_xai_wants_rates_and_nothing_of_openais() {
        let mut settings = settings();
        let format = json!({"format": {"type": "audio/pcmu", "rate": 8_000}});
        settings
            .update_flat(
                &json!({"instructions": "x", "voice": "eve", "turn_detection": {"type": "server_vad"},
                    "audio": {"input": format, "output": format}, "tools": []}),
                false,
            )
            .unwrap();
        assert_eq!(settings.output_format(), Format::Pcmu);
        for wrong in [
            json!({"type": "realtime"}),
            json!({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}),
            json!({"audio": {"output": {"voice": "eve"}}}),
            json!({"turn_detection": {"type": "semantic_vad"}}),
        ] {
            assert!(settings.update_flat(&wrong, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_the_service_refuses_is_refused_whole() {
        let input = |input: Value| json!({"type": "realtime", "audio": {"input": input}});
        let unknown = Some("unknown_parameter");
        let at = |path: &str| Some(path.to_owned());
        assert_eq!(
            refused(&json!({"type": "realtime", "temperature": 0.8})),
            (unknown, at("session.temperature"))
        );
        assert_eq!(
            refused(&json!({"instructions": "x"})),
            (Some("missing_required_parameter"), at("session.type"))
        );
        assert_eq!(
            refused(&input(
                json!({"format": {"type": "audio/pcmu", "rate": 8000}})
            )),
            (unknown, at("session.audio.input.format.rate"))
        );
        assert_eq!(
            refused(&input(json!({"format": {"type": "audio/pcm"}}))),
            (
                Some("missing_required_parameter"),
                at("session.audio.input.format.rate")
            )
        );
        assert_eq!(
            refused(&input(
                json!({"turn_detection": {"type": "semantic_vad", "threshold": 0.5}})
            )),
            (unknown, at("session.audio.input.turn_detection.threshold"))
        );
        assert_eq!(
            refused(&input(
                json!({"turn_detection": {"type": "server_vad", "eagerness": "low"}})
            )),
            (unknown, at("session.audio.input.turn_detection.eagerness"))
        );
        assert_eq!(
            refused(&json!({"type": "realtime", "audio": {"output": {"voice": "marin"}}})).0,
            Some("cannot_update_voice")
        );
        assert_eq!(
            refused(&json!({"type": "realtime", "output_modalities": ["audio", "text"]})).0,
            Some("invalid_value")
        );
        assert_eq!(
            refused(&json!({"type": "realtime", "audio": {"output": {"speed": 3.0}}})).0,
            Some("decimal_above_max_value")
        );
    }
}
