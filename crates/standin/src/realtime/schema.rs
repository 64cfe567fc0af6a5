//! The shapes of client events, and what the service says about one that does not fit.

use serde_json::Value;

/// The shape of a JSON value.
pub(super) enum Shape {
    /// Any value.
    Any,
    /// A string of any length.
    Text,
    /// A boolean.
    Flag,
    /// A number in a range.
    Number(f64, f64),
    /// An integer in a range.
    Integer(i64, i64),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// An object with these fields and no other.
    Object(&'static [Field]),
    /// An object whose fields depend on the string in one of them.
    Tagged(&'static str, &'static [(&'static str, &'static [Field])]),
    /// Any object.
    Table,
    /// A list.
    List(&'static Self),
    /// The shape or null.
    Nullable(&'static Self),
    /// The first shape for a string, the second for any other value.
    TextOr(&'static Self, &'static Self),
}

/// A field of an object.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
}

/// An optional field.
pub(super) const fn field(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        required: false,
    }
}

/// A required field.
pub(super) const fn required(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        required: true,
    }
}

/// What the service says in an `error` event of type `invalid_request_error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) code: Option<&'static str>,
    pub(super) message: String,
    pub(super) param: Option<String>,
}

impl Violation {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            message: message.into(),
            param: None,
        }
    }

    pub(super) fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// An unknown parameter.
    pub(super) fn unknown(path: &str) -> Self {
        Self::new("unknown_parameter", format!("Unknown parameter: '{path}'.")).at(path)
    }

    fn missing(path: &str) -> Self {
        Self::new(
            "missing_required_parameter",
            format!("Missing required parameter: '{path}'."),
        )
        .at(path)
    }

    fn kind(path: &str, expected: &str, value: &Value) -> Self {
        let got = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        Self::new(
            "invalid_type",
            format!("Invalid type for '{path}': expected {expected}, but got {got} instead."),
        )
        .at(path)
    }

    fn choice<'a>(path: &str, value: &str, known: impl Iterator<Item = &'a str>) -> Self {
        let known: Vec<String> = known.map(|one| format!("'{one}'")).collect();
        Self::new(
            "invalid_value",
            format!(
                "Invalid value: '{value}'. Supported values are: {}.",
                known.join(", ")
            ),
        )
        .at(path)
    }
}

/// Checks a value; the first thing that does not fit is told.
pub(super) fn check(value: &Value, shape: &Shape, path: &str) -> Result<(), Violation> {
    match shape {
        Shape::Any => Ok(()),
        Shape::Text => expect(value.is_string(), path, "a string", value),
        Shape::Flag => expect(value.is_boolean(), path, "a boolean", value),
        Shape::Table => expect(value.is_object(), path, "an object", value),
        Shape::Number(low, high) => check_number(value, *low, *high, path),
        Shape::Integer(low, high) => check_integer(value, *low, *high, path),
        Shape::Choice(known) => match value.as_str() {
            None => Err(Violation::kind(path, "a string", value)),
            Some(text) if known.contains(&text) => Ok(()),
            Some(text) => Err(Violation::choice(path, text, known.iter().copied())),
        },
        Shape::Object(fields) => check_object(value, fields, path),
        Shape::Tagged(tag, kinds) => check_tagged(value, tag, kinds, path),
        Shape::List(inner) => {
            let list = value
                .as_array()
                .ok_or_else(|| Violation::kind(path, "an array", value))?;
            list.iter()
                .enumerate()
                .try_for_each(|(n, one)| check(one, inner, &format!("{path}[{n}]")))
        }
        Shape::Nullable(inner) => match value {
            Value::Null => Ok(()),
            Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => check(value, inner, path),
        },
        Shape::TextOr(text, other) => {
            check(value, if value.is_string() { text } else { other }, path)
        }
    }
}

fn expect(fits: bool, path: &str, expected: &str, value: &Value) -> Result<(), Violation> {
    if fits {
        Ok(())
    } else {
        Err(Violation::kind(path, expected, value))
    }
}

fn check_number(value: &Value, low: f64, high: f64, path: &str) -> Result<(), Violation> {
    let number = value
        .as_f64()
        .ok_or_else(|| Violation::kind(path, "a decimal", value))?;
    let (code, bound, word) = if number < low {
        ("decimal_below_min_value", low, ">=")
    } else if number > high {
        ("decimal_above_max_value", high, "<=")
    } else {
        return Ok(());
    };
    Err(Violation::new(
        code,
        format!("Invalid '{path}': expected a value {word} {bound}, but got {number} instead."),
    )
    .at(path))
}

fn check_integer(value: &Value, low: i64, high: i64, path: &str) -> Result<(), Violation> {
    let number = value
        .as_i64()
        .ok_or_else(|| Violation::kind(path, "an integer", value))?;
    let (code, bound, word) = if number < low {
        ("integer_below_min_value", low, ">=")
    } else if number > high {
        ("integer_above_max_value", high, "<=")
    } else {
        return Ok(());
    };
    Err(Violation::new(
        code,
        format!("Invalid '{path}': expected a value {word} {bound}, but got {number} instead."),
    )
    .at(path))
}

fn check_object(value: &Value, fields: &[Field], path: &str) -> Result<(), Violation> {
    let object = value
        .as_object()
        .ok_or_else(|| Violation::kind(path, "an object", value))?;
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    if let Some(name) = object
        .keys()
        .find(|name| !fields.iter().any(|field| field.name == name.as_str()))
    {
        return Err(Violation::unknown(&below(name)));
    }
    for field in fields {
        match object.get(field.name) {
            Some(value) => check(value, &field.shape, &below(field.name))?,
            None if field.required => return Err(Violation::missing(&below(field.name))),
            None => {}
        }
    }
    Ok(())
}

fn check_tagged(
    value: &Value,
    tag: &str,
    kinds: &[(&'static str, &'static [Field])],
    path: &str,
) -> Result<(), Violation> {
    let object = value
        .as_object()
        .ok_or_else(|| Violation::kind(path, "an object", value))?;
    let tag_path = format!("{path}.{tag}");
    let name = match object.get(tag) {
        None => return Err(Violation::missing(&tag_path)),
        Some(Value::String(name)) => name,
        Some(other) => return Err(Violation::kind(&tag_path, "a string", other)),
    };
    let (_, fields) = kinds
        .iter()
        .find(|(kind, _)| kind == name)
        .ok_or_else(|| Violation::choice(&tag_path, name, kinds.iter().map(|(kind, _)| *kind)))?;
    check_object(value, fields, path)
}

/// The shapes of the service's client events.
pub(super) mod shapes {
    use super::{Field, Shape, field, required};

    const ANY_TEXT: Shape = Shape::Text;
    const FORMAT: Shape = Shape::Tagged(
        "type",
        &[
            (
                "audio/pcm",
                &[
                    required("type", Shape::Text),
                    required("rate", Shape::Integer(24_000, 24_000)),
                ],
            ),
            ("audio/pcmu", &[required("type", Shape::Text)]),
            ("audio/pcma", &[required("type", Shape::Text)]),
        ],
    );
    const NOISE_REDUCTION: Shape = Shape::Object(&[
        field("type", Shape::Choice(&["near_field", "far_field"])),
        field("strength", Shape::Number(0.0, 1.0)),
    ]);
    const TRANSCRIPTION: Shape = Shape::Object(&[
        field("model", Shape::Text),
        field("language", Shape::Text),
        field("languages", Shape::List(&ANY_TEXT)),
        field("keywords", Shape::List(&ANY_TEXT)),
        field("prompt", Shape::Text),
        field(
            "delay",
            Shape::Choice(&["minimal", "low", "medium", "high", "xhigh"]),
        ),
    ]);
    const IDLE_TIMEOUT: Shape = Shape::Integer(5_000, 30_000);
    const TURN_DETECTION: Shape = Shape::Tagged(
        "type",
        &[
            (
                "server_vad",
                &[
                    required("type", Shape::Text),
                    field("threshold", Shape::Number(0.0, 1.0)),
                    field("prefix_padding_ms", Shape::Integer(0, 60_000)),
                    field("silence_duration_ms", Shape::Integer(0, 60_000)),
                    field("idle_timeout_ms", Shape::Nullable(&IDLE_TIMEOUT)),
                    field("create_response", Shape::Flag),
                    field("interrupt_response", Shape::Flag),
                ],
            ),
            (
                "semantic_vad",
                &[
                    required("type", Shape::Text),
                    field(
                        "eagerness",
                        Shape::Choice(&["low", "medium", "high", "auto"]),
                    ),
                    field("create_response", Shape::Flag),
                    field("interrupt_response", Shape::Flag),
                ],
            ),
        ],
    );
    const VOICE_NAME: Shape = Shape::Choice(&[
        "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
    ]);
    const VOICE_ID: Shape = Shape::Object(&[required("id", Shape::Text)]);
    const VOICE: Shape = Shape::TextOr(&VOICE_NAME, &VOICE_ID);
    const AUDIO: Shape = Shape::Object(&[
        field(
            "input",
            Shape::Object(&[
                field("format", FORMAT),
                field("noise_reduction", Shape::Nullable(&NOISE_REDUCTION)),
                field("transcription", Shape::Nullable(&TRANSCRIPTION)),
                field("turn_detection", Shape::Nullable(&TURN_DETECTION)),
            ]),
        ),
        field(
            "output",
            Shape::Object(&[
                field("format", FORMAT),
                field("voice", VOICE),
                field("speed", Shape::Number(0.25, 1.5)),
            ]),
        ),
    ]);
    const RESPONSE_AUDIO: Shape = Shape::Object(&[field(
        "output",
        Shape::Object(&[field("format", FORMAT), field("voice", VOICE)]),
    )]);
    const TOOL: Shape = Shape::Tagged(
        "type",
        &[
            (
                "function",
                &[
                    required("type", Shape::Text),
                    required("name", Shape::Text),
                    field("description", Shape::Text),
                    field("parameters", Shape::Table),
                ],
            ),
            (
                "mcp",
                &[
                    required("type", Shape::Text),
                    required("server_label", Shape::Text),
                    field("server_url", Shape::Text),
                    field("connector_id", Shape::Text),
                    field("authorization", Shape::Text),
                    field("headers", Shape::Any),
                    field("allowed_tools", Shape::Any),
                    field("require_approval", Shape::Any),
                    field("server_description", Shape::Text),
                    field("defer_loading", Shape::Flag),
                ],
            ),
        ],
    );
    const TOOL_CHOICE_NAME: Shape = Shape::Choice(&["auto", "none", "required"]);
    const TOOL_CHOICE_ONE: Shape = Shape::Tagged(
        "type",
        &[
            (
                "function",
                &[required("type", Shape::Text), required("name", Shape::Text)],
            ),
            (
                "mcp",
                &[
                    required("type", Shape::Text),
                    required("server_label", Shape::Text),
                    field("name", Shape::Nullable(&ANY_TEXT)),
                ],
            ),
        ],
    );
    const TOOL_CHOICE: Shape = Shape::TextOr(&TOOL_CHOICE_NAME, &TOOL_CHOICE_ONE);
    const MODALITY: Shape = Shape::Choice(&["audio", "text"]);
    const INF: Shape = Shape::Choice(&["inf"]);
    const TOKENS: Shape = Shape::Integer(1, 32_000);
    const OUTPUT_TOKENS: Shape = Shape::TextOr(&INF, &TOKENS);
    const REASONING: Shape = Shape::Object(&[field(
        "effort",
        Shape::Choice(&["minimal", "low", "medium", "high", "xhigh"]),
    )]);
    const PROMPT: Shape = Shape::Object(&[
        required("id", Shape::Text),
        field("version", Shape::Nullable(&ANY_TEXT)),
        field("variables", Shape::Nullable(&Shape::Table)),
    ]);
    const TRUNCATION_NAME: Shape = Shape::Choice(&["auto", "disabled"]);
    const TRUNCATION_RATIO: Shape = Shape::Object(&[
        required("type", Shape::Choice(&["retention_ratio"])),
        required("retention_ratio", Shape::Number(0.0, 1.0)),
        field(
            "token_limits",
            Shape::Object(&[field("post_instructions", Shape::Integer(0, 128_000))]),
        ),
    ]);
    const TRACING_NAME: Shape = Shape::Choice(&["auto"]);
    const TRACING: Shape = Shape::TextOr(&TRACING_NAME, &Shape::Table);
    const INCLUDE: Shape = Shape::Choice(&["item.input_audio_transcription.logprobs"]);

    /// `session` of session.update.
    pub(in super::super) const SESSION: Shape = Shape::Object(&[
        required("type", Shape::Choice(&["realtime"])),
        field("model", Shape::Text),
        field("instructions", Shape::Text),
        field("output_modalities", Shape::List(&MODALITY)),
        field("audio", AUDIO),
        field("tools", Shape::List(&TOOL)),
        field("tool_choice", TOOL_CHOICE),
        field("parallel_tool_calls", Shape::Flag),
        field("reasoning", REASONING),
        field("max_output_tokens", OUTPUT_TOKENS),
        field("tracing", Shape::Nullable(&TRACING)),
        field(
            "truncation",
            Shape::TextOr(&TRUNCATION_NAME, &TRUNCATION_RATIO),
        ),
        field("prompt", Shape::Nullable(&PROMPT)),
        field("include", Shape::Nullable(&Shape::List(&INCLUDE))),
    ]);

    const STATUS: Field = field(
        "status",
        Shape::Choice(&["completed", "incomplete", "in_progress"]),
    );
    const OBJECT: Field = field("object", Shape::Choice(&["realtime.item"]));
    const CONTENT: Shape = Shape::Tagged(
        "type",
        &[
            (
                "input_text",
                &[required("type", Shape::Text), required("text", Shape::Text)],
            ),
            (
                "input_audio",
                &[
                    required("type", Shape::Text),
                    required("audio", Shape::Text),
                    field("transcript", Shape::Nullable(&ANY_TEXT)),
                ],
            ),
            (
                "input_image",
                &[
                    required("type", Shape::Text),
                    required("image_url", Shape::Text),
                    field("detail", Shape::Text),
                ],
            ),
            (
                "output_text",
                &[required("type", Shape::Text), required("text", Shape::Text)],
            ),
            (
                "output_audio",
                &[
                    required("type", Shape::Text),
                    field("audio", Shape::Text),
                    field("transcript", Shape::Text),
                ],
            ),
        ],
    );
    /// A conversation item that a client may create.
    pub(in super::super) const ITEM: Shape = Shape::Tagged(
        "type",
        &[
            (
                "message",
                &[
                    required("type", Shape::Text),
                    required("role", Shape::Choice(&["user", "assistant", "system"])),
                    required("content", Shape::List(&CONTENT)),
                    field("id", Shape::Text),
                    STATUS,
                    OBJECT,
                ],
            ),
            (
                "function_call",
                &[
                    required("type", Shape::Text),
                    required("name", Shape::Text),
                    required("arguments", Shape::Text),
                    field("call_id", Shape::Text),
                    field("id", Shape::Text),
                    STATUS,
                    OBJECT,
                ],
            ),
            (
                "function_call_output",
                &[
                    required("type", Shape::Text),
                    required("call_id", Shape::Text),
                    required("output", Shape::Text),
                    field("id", Shape::Text),
                    STATUS,
                    OBJECT,
                ],
            ),
            (
                "item_reference",
                &[required("type", Shape::Text), required("id", Shape::Text)],
            ),
        ],
    );

    const RESPONSE: Shape = Shape::Object(&[
        field("instructions", Shape::Text),
        field("tools", Shape::List(&TOOL)),
        field("tool_choice", TOOL_CHOICE),
        field("output_modalities", Shape::List(&MODALITY)),
        field("audio", RESPONSE_AUDIO),
        field("conversation", Shape::Choice(&["auto", "none"])),
        field("input", Shape::List(&ITEM)),
        field("metadata", Shape::Nullable(&Shape::Table)),
        field("max_output_tokens", OUTPUT_TOKENS),
        field("prompt", Shape::Nullable(&PROMPT)),
        field("reasoning", REASONING),
        field("parallel_tool_calls", Shape::Flag),
    ]);

    const EVENT_ID: Field = field("event_id", Shape::Text);
    const TYPE: Field = required("type", Shape::Text);

    /// Every client event of the WebSocket transport with its fields.
    pub(in super::super) const EVENTS: &[(&str, &[Field])] = &[
        (
            "session.update",
            &[TYPE, EVENT_ID, required("session", Shape::Any)],
        ),
        (
            "input_audio_buffer.append",
            &[TYPE, EVENT_ID, required("audio", Shape::Text)],
        ),
        ("input_audio_buffer.commit", &[TYPE, EVENT_ID]),
        ("input_audio_buffer.clear", &[TYPE, EVENT_ID]),
        (
            "conversation.item.create",
            &[
                TYPE,
                EVENT_ID,
                required("item", ITEM),
                field("previous_item_id", Shape::Nullable(&ANY_TEXT)),
            ],
        ),
        (
            "conversation.item.retrieve",
            &[TYPE, EVENT_ID, required("item_id", Shape::Text)],
        ),
        (
            "conversation.item.delete",
            &[TYPE, EVENT_ID, required("item_id", Shape::Text)],
        ),
        (
            "conversation.item.truncate",
            &[
                TYPE,
                EVENT_ID,
                required("item_id", Shape::Text),
                required("content_index", Shape::Integer(0, 0)),
                required("audio_end_ms", Shape::Integer(0, i64::MAX)),
            ],
        ),
        (
            "response.create",
            &[
                TYPE,
                EVENT_ID,
                field("response", Shape::Nullable(&RESPONSE)),
            ],
        ),
        (
            "response.cancel",
            &[TYPE, EVENT_ID, field("response_id", Shape::Text)],
        ),
    ];
}
