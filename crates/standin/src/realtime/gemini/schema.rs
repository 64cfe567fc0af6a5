//! What a message of the client may hold. One name too many closes the session, as at the service.

use serde_json::{Map, Value};

use crate::realtime::schema::{Field, Shape, check as check_shape, field, required};
use crate::realtime::settings::TurnDetection;

use super::Settings;

const TEXT_CONTENT: Shape = Shape::Object(&[
    field("role", Shape::Choice(&["user", "model"])),
    required("parts", Shape::List(&PART)),
]);
const PART: Shape = Shape::Object(&[required("text", Shape::Text)]);
const EMPTY: Shape = Shape::Object(&[]);
const TRANSCRIPTION: Shape = Shape::Object(&[field("languageCodes", Shape::List(&Shape::Text))]);
const TOKENS: Shape = Shape::TextOr(&Shape::Text, &Shape::Integer(1, 1_000_000));

const SETUP: &[Field] = &[
    required("model", Shape::Text),
    field("generationConfig", Shape::Object(GENERATION)),
    field("systemInstruction", TEXT_CONTENT),
    field("tools", Shape::List(&TOOL)),
    field("realtimeInputConfig", Shape::Object(INPUT)),
    field("inputAudioTranscription", TRANSCRIPTION),
    field("outputAudioTranscription", TRANSCRIPTION),
    field(
        "sessionResumption",
        Shape::Object(&[
            field("handle", Shape::Text),
            field("transparent", Shape::Flag),
        ]),
    ),
    field(
        "contextWindowCompression",
        Shape::Object(&[
            field("triggerTokens", TOKENS),
            field(
                "slidingWindow",
                Shape::Object(&[field("targetTokens", TOKENS)]),
            ),
        ]),
    ),
    field(
        "historyConfig",
        Shape::Object(&[field("initialHistoryInClientContent", Shape::Flag)]),
    ),
    field("proactivity", Shape::Table),
];

const GENERATION: &[Field] = &[
    field(
        "responseModalities",
        Shape::List(&Shape::Choice(&["AUDIO", "TEXT"])),
    ),
    field("speechConfig", Shape::Object(SPEECH)),
    field("temperature", Shape::Number(0.0, 2.0)),
    field("topP", Shape::Number(0.0, 1.0)),
    field("topK", Shape::Number(0.0, 1_000.0)),
    field("maxOutputTokens", Shape::Integer(1, 1_000_000)),
    field("mediaResolution", Shape::Text),
    field("seed", Shape::Integer(i64::MIN, i64::MAX)),
    field(
        "thinkingConfig",
        Shape::Object(&[
            field(
                "thinkingLevel",
                Shape::Choice(&["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"]),
            ),
            field("thinkingBudget", Shape::Integer(-1, 100_000)),
            field("includeThoughts", Shape::Flag),
        ]),
    ),
];

const SPEECH: &[Field] = &[
    field(
        "voiceConfig",
        Shape::Object(&[field(
            "prebuiltVoiceConfig",
            Shape::Object(&[required("voiceName", Shape::Text)]),
        )]),
    ),
    field("languageCode", Shape::Text),
];

const TOOL: Shape = Shape::Object(&[
    field("functionDeclarations", Shape::List(&DECLARATION)),
    field("googleSearch", EMPTY),
]);
const DECLARATION: Shape = Shape::Object(&[
    required("name", Shape::Text),
    field("description", Shape::Text),
    field("parameters", Shape::Table),
    field("parametersJsonSchema", Shape::Table),
    field("behavior", Shape::Choice(&["BLOCKING", "NON_BLOCKING"])),
]);

const INPUT: &[Field] = &[
    field(
        "automaticActivityDetection",
        Shape::Object(&[
            field("disabled", Shape::Flag),
            field(
                "startOfSpeechSensitivity",
                Shape::Choice(&["START_SENSITIVITY_HIGH", "START_SENSITIVITY_LOW"]),
            ),
            field(
                "endOfSpeechSensitivity",
                Shape::Choice(&["END_SENSITIVITY_HIGH", "END_SENSITIVITY_LOW"]),
            ),
            field("prefixPaddingMs", Shape::Integer(0, 10_000)),
            field("silenceDurationMs", Shape::Integer(0, 60_000)),
        ]),
    ),
    field(
        "activityHandling",
        Shape::Choice(&["START_OF_ACTIVITY_INTERRUPTS", "NO_INTERRUPTION"]),
    ),
    field(
        "turnCoverage",
        Shape::Choice(&["TURN_INCLUDES_ONLY_ACTIVITY", "TURN_INCLUDES_ALL_INPUT"]),
    ),
];

const CLIENT_CONTENT: &[Field] = &[
    field("turns", Shape::List(&TEXT_CONTENT)),
    field("turnComplete", Shape::Flag),
];

const REALTIME_INPUT: &[Field] = &[
    field(
        "audio",
        Shape::Object(&[
            required("data", Shape::Text),
            required(
                "mimeType",
                Shape::Choice(&["audio/pcm;rate=16000", "audio/pcm"]),
            ),
        ]),
    ),
    field("audioStreamEnd", Shape::Flag),
    field("activityStart", EMPTY),
    field("activityEnd", EMPTY),
    field("text", Shape::Text),
];

const TOOL_RESPONSE: &[Field] = &[required("functionResponses", Shape::List(&RESPONSE))];
const RESPONSE: Shape = Shape::Object(&[
    required("id", Shape::Text),
    field("name", Shape::Text),
    required("response", Shape::Table),
    field(
        "scheduling",
        Shape::Choice(&["SILENT", "WHEN_IDLE", "INTERRUPT"]),
    ),
    field("willContinue", Shape::Flag),
]);

const MESSAGES: &[(&str, &[Field])] = &[
    ("setup", SETUP),
    ("clientContent", CLIENT_CONTENT),
    ("realtimeInput", REALTIME_INPUT),
    ("toolResponse", TOOL_RESPONSE),
];

/// Fields whose content is the user's own: its names stay.
const FREE: &[&str] = &["response", "parameters", "parametersJsonSchema"];

/// The service takes both spellings of a name; here there is one.
pub(super) fn camel_case(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut renamed = Map::new();
            for (name, value) in fields {
                let name = camel(&name);
                let value = if FREE.contains(&name.as_str()) {
                    value
                } else {
                    camel_case(value)
                };
                renamed.insert(name, value);
            }
            Value::Object(renamed)
        }
        Value::Array(list) => Value::Array(list.into_iter().map(camel_case).collect()),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

fn camel(name: &str) -> String {
    let mut camel = String::new();
    let mut upper = false;
    for c in name.chars() {
        if c == '_' {
            upper = true;
        } else if upper {
            camel.extend(c.to_uppercase());
            upper = false;
        } else {
            camel.push(c);
        }
    }
    camel
}

/// The kind and the body of a message, or what the service says when it closes.
pub(super) fn check(message: &Value) -> Result<(&'static str, &Value), String> {
    let fields = message
        .as_object()
        .ok_or("Invalid JSON payload received. Root element must be a message.")?;
    let mut known = MESSAGES
        .iter()
        .filter_map(|(name, shape)| Some((*name, *shape, fields.get(*name)?)));
    let (Some((name, shape, body)), None, 1) = (known.next(), known.next(), fields.len()) else {
        let name = fields.keys().next().map_or("", String::as_str);
        return Err(format!(
            "Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."
        ));
    };
    match check_shape(body, &Shape::Object(shape), name) {
        Ok(()) => Ok((name, body)),
        Err(violation) => {
            let path = violation.param.unwrap_or_default();
            Err(if violation.code == Some("unknown_parameter") {
                let (parent, field) = path.rsplit_once('.').unwrap_or(("", &path));
                format!(
                    "Invalid JSON payload received. Unknown name \"{field}\" at '{parent}': Cannot find field."
                )
            } else {
                format!("Invalid value at '{path}': {}", violation.message)
            })
        }
    }
}

/// What a checked setup says.
pub(super) fn settings(body: &Value) -> Settings {
    let names = body["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|tool| {
            tool["functionDeclarations"]
                .as_array()
                .into_iter()
                .flatten()
        })
        .filter_map(|declaration| declaration["name"].as_str().map(str::to_owned))
        .collect();
    let detection = &body["realtimeInputConfig"]["automaticActivityDetection"];
    let low = detection["startOfSpeechSensitivity"] == "START_SENSITIVITY_LOW";
    let patience_ms = match detection["endOfSpeechSensitivity"].as_str() {
        Some("END_SENSITIVITY_HIGH") => 400,
        Some("END_SENSITIVITY_LOW") => 1_200,
        _ => 700,
    };
    let vad = TurnDetection {
        threshold: if low { 0.7 } else { 0.5 },
        prefix_padding_ms: 300,
        silence_duration_ms: detection["silenceDurationMs"]
            .as_u64()
            .unwrap_or(patience_ms),
        idle_timeout_ms: None,
        create_response: true,
        interrupt_response: body["realtimeInputConfig"]["activityHandling"] != "NO_INTERRUPTION",
    };
    Settings {
        tools: names,
        text_only: body.pointer("/generationConfig/responseModalities/0") == Some(&"TEXT".into()),
        vad: (detection["disabled"] != Value::Bool(true)).then_some(vad),
        transcribes_caller: body.get("inputAudioTranscription").is_some(),
        transcribes_model: body.get("outputAudioTranscription").is_some(),
        resumable: body.get("sessionResumption").is_some(),
        seeding: body.pointer("/historyConfig/initialHistoryInClientContent")
            == Some(&Value::Bool(true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_spellings_are_taken_and_the_users_own_names_stay() {
        let message = camel_case(json!({"tool_response": {"function_responses": [
            {"id": "1", "name": "look_up", "response": {"order_id": 7}}]}}));
        let (kind, body) = check(&message).unwrap();
        assert_eq!(kind, "toolResponse");
        assert_eq!(
            body["functionResponses"][0]["response"],
            json!({"order_id": 7})
        );
    }

    #[test]
    fn an_unknown_name_is_said_with_its_place() {
        let message = json!({"setup": {"model": "models/m", "generationConfig": {"speed": 1}}});
        assert_eq!(
            check(&message).unwrap_err(),
            "Invalid JSON payload received. Unknown name \"speed\" at 'setup.generationConfig': Cannot find field."
        );
        assert!(check(&json!({"session": {}})).is_err());
        assert!(check(&json!({"realtimeInput": {"mediaChunks": []}})).is_err());
    }
}
