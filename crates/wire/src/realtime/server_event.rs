//! What the engine sends, read without copying.
//!
//! The frequent events (audio and transcript deltas) take one pass into a borrowed structure. The rare
//! ones with nested objects take a second pass. Every field is read leniently: one of an unexpected
//! kind counts as absent, so that a server's novelty never costs an event. Types of the beta protocol
//! are read as their GA successors.

pub(crate) mod field;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use field::Count;
pub(super) use field::Text;

use super::{EngineEvent, LIST_MAX, RateLimit, ResponseStatus, Usage};

/// Types that need no reaction. Everything else that [`parse`] does not know is reported as ignored.
pub(super) const NO_REACTION: &[&str] = &[
    "conversation.item.added",
    "conversation.item.created",
    "conversation.item.deleted",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.segment",
    "conversation.item.retrieved",
    "input_audio_buffer.cleared",
    "input_audio_buffer.dtmf_event_received",
    "mcp_list_tools.completed",
    "mcp_list_tools.failed",
    "mcp_list_tools.in_progress",
    "output_audio_buffer.cleared",
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "response.content_part.added",
    "response.content_part.done",
    "response.function_call_arguments.delta",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
    "response.mcp_call.in_progress",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.output_item.added",
];

/// One event of the engine.
#[derive(Debug)]
pub(super) enum ServerEvent<'a> {
    SessionCreated {
        expires_at: Option<u64>,
    },
    SessionUpdated {
        expires_at: Option<u64>,
    },
    ConversationCreated,
    Error(ErrorBody<'a>),
    SpeechStarted {
        item: Cow<'a, str>,
        audio_start_ms: u64,
    },
    Committed {
        item: Cow<'a, str>,
    },
    /// Passed on as it is.
    Report(EngineEvent),
    ResponseCreated {
        response: Cow<'a, str>,
    },
    AudioDelta(Delta<'a>),
    AudioDone(Delta<'a>),
    TextDelta(Delta<'a>),
    TextDone(Delta<'a>),
    /// A complete tool call, from whichever event names it whole.
    ToolCall {
        response: Cow<'a, str>,
        call: ToolCall<'a>,
    },
    ResponseDone(ResponseDone<'a>),
    NoReaction,
    Unknown {
        event_type: Cow<'a, str>,
    },
}

/// Text or base64 audio of one item; the whole text where the event ends it.
#[derive(Debug)]
pub(super) struct Delta<'a> {
    pub(super) response: Cow<'a, str>,
    pub(super) item: Cow<'a, str>,
    pub(super) data: Cow<'a, str>,
}

/// A tool call of the model.
#[derive(Debug)]
pub(super) struct ToolCall<'a> {
    pub(super) call_id: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) arguments: Cow<'a, str>,
    pub(super) item: Cow<'a, str>,
}

/// The end of a response.
#[derive(Debug)]
pub(super) struct ResponseDone<'a> {
    pub(super) response: Cow<'a, str>,
    pub(super) status: ResponseStatus,
    pub(super) usage: Option<Usage>,
    pub(super) tool_calls: Vec<ToolCall<'a>>,
}

/// The body of an `error` event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorBody<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) code: Text<'a>,
    #[serde(borrow)]
    pub(super) message: Text<'a>,
    #[serde(borrow)]
    pub(super) param: Text<'a>,
    #[serde(borrow)]
    pub(super) event_id: Text<'a>,
}

/// The fields that the frequent events share.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    event_type: Text<'a>,
    #[serde(borrow)]
    response_id: Text<'a>,
    #[serde(borrow)]
    item_id: Text<'a>,
    #[serde(borrow)]
    delta: Text<'a>,
    #[serde(borrow)]
    transcript: Text<'a>,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    call_id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Text<'a>,
    audio_start_ms: Count,
    audio_end_ms: Count,
}

impl<'a> Envelope<'a> {
    fn piece(self, data: impl FnOnce(&mut Self) -> Text<'a>) -> Delta<'a> {
        let mut envelope = self;
        let data = data(&mut envelope).or_empty();
        Delta {
            response: envelope.response_id.or_empty(),
            item: envelope.item_id.or_empty(),
            data,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nested<'a> {
    #[serde(borrow)]
    session: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    rate_limits: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SessionBody {
    expires_at: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseBody<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    status_details: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatusDetails<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ItemBody<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    call_id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UsageBody {
    total_tokens: Count,
    input_tokens: Count,
    output_tokens: Count,
    input_token_details: TokenDetails,
    output_token_details: TokenDetails,
}

#[derive(Default, Deserialize)]
#[serde(from = "Option<TokenDetailsBody>")]
struct TokenDetails {
    text_tokens: u64,
    audio_tokens: u64,
    cached_tokens: u64,
    cached_text_tokens: u64,
    cached_audio_tokens: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenDetailsBody {
    text_tokens: Count,
    audio_tokens: Count,
    cached_tokens: Count,
    cached_tokens_details: Option<CachedTokensBody>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CachedTokensBody {
    text_tokens: Count,
    audio_tokens: Count,
}

impl From<Option<TokenDetailsBody>> for TokenDetails {
    fn from(body: Option<TokenDetailsBody>) -> Self {
        let body = body.unwrap_or_default();
        let cached = body.cached_tokens_details.unwrap_or_default();
        Self {
            text_tokens: body.text_tokens.0.unwrap_or(0),
            audio_tokens: body.audio_tokens.0.unwrap_or(0),
            cached_tokens: body.cached_tokens.0.unwrap_or(0),
            cached_text_tokens: cached.text_tokens.0.unwrap_or(0),
            cached_audio_tokens: cached.audio_tokens.0.unwrap_or(0),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RateLimitBody<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    limit: Count,
    remaining: Count,
    #[serde(borrow)]
    reset_seconds: Text<'a>,
}

/// Reads one message. `None` when it is not a JSON object with a `type`.
pub(super) fn parse(text: &str) -> Option<ServerEvent<'_>> {
    let envelope: Envelope<'_> = serde_json::from_str(text).ok()?;
    let event_type = envelope.event_type.as_str()?;
    Some(match event_type {
        "response.output_audio.delta" | "response.audio.delta" => {
            ServerEvent::AudioDelta(envelope.piece(|fields| std::mem::take(&mut fields.delta)))
        }
        "response.output_audio_transcript.delta"
        | "response.audio_transcript.delta"
        | "response.output_text.delta"
        | "response.text.delta" => {
            ServerEvent::TextDelta(envelope.piece(|fields| std::mem::take(&mut fields.delta)))
        }
        "response.output_audio.done" | "response.audio.done" => {
            ServerEvent::AudioDone(envelope.piece(|_| Text(None)))
        }
        "response.output_audio_transcript.done" | "response.audio_transcript.done" => {
            ServerEvent::TextDone(envelope.piece(|fields| std::mem::take(&mut fields.transcript)))
        }
        "response.output_text.done" | "response.text.done" => {
            ServerEvent::TextDone(envelope.piece(|fields| std::mem::take(&mut fields.text)))
        }
        "response.function_call_arguments.done" => tool_arguments_done(envelope),
        "input_audio_buffer.speech_started" => ServerEvent::SpeechStarted {
            item: envelope.item_id.or_empty(),
            audio_start_ms: envelope.audio_start_ms.0.unwrap_or(0),
        },
        "input_audio_buffer.speech_stopped" => ServerEvent::Report(EngineEvent::SpeechStopped {
            item: envelope.item_id.into_string(),
            audio_end_ms: envelope.audio_end_ms.0.unwrap_or(0),
        }),
        "input_audio_buffer.committed" => ServerEvent::Committed {
            item: envelope.item_id.or_empty(),
        },
        "input_audio_buffer.timeout_triggered" => ServerEvent::Report(EngineEvent::IdleTimeout),
        "conversation.item.input_audio_transcription.completed" => {
            ServerEvent::Report(EngineEvent::UserTranscript {
                item: envelope.item_id.into_string(),
                text: envelope.transcript.into_string(),
            })
        }
        "conversation.item.truncated" => ServerEvent::Report(EngineEvent::ItemTruncated {
            item: envelope.item_id.into_string(),
            audio_end_ms: envelope.audio_end_ms.0.unwrap_or(0),
        }),
        "conversation.created" => ServerEvent::ConversationCreated,
        _ => return Some(nested(text, envelope)),
    })
}

/// The event types whose facts are inside an object.
fn nested<'a>(text: &'a str, envelope: Envelope<'a>) -> ServerEvent<'a> {
    let body = || serde_json::from_str::<Nested<'a>>(text).unwrap_or_default();
    let event_type = envelope.event_type.or_empty();
    match &*event_type {
        "session.created" => ServerEvent::SessionCreated {
            expires_at: expiry(body().session),
        },
        "session.updated" => ServerEvent::SessionUpdated {
            expires_at: expiry(body().session),
        },
        "error" => ServerEvent::Error(error(body().error)),
        "conversation.item.input_audio_transcription.failed" => {
            ServerEvent::Report(EngineEvent::UserTranscriptFailed {
                item: envelope.item_id.into_string(),
                message: error(body().error).message.into_string(),
            })
        }
        "response.created" => ServerEvent::ResponseCreated {
            response: read::<ResponseBody<'a>>(body().response).id.or_empty(),
        },
        "response.done" => ServerEvent::ResponseDone(response_done(read(body().response))),
        "response.output_item.done" => match tool_call(read(body().item)) {
            Some(call) => ServerEvent::ToolCall {
                response: envelope.response_id.or_empty(),
                call,
            },
            None => ServerEvent::NoReaction,
        },
        "rate_limits.updated" => ServerEvent::Report(EngineEvent::RateLimits {
            limits: rate_limits(body().rate_limits),
        }),
        known if NO_REACTION.contains(&known) => ServerEvent::NoReaction,
        _ => ServerEvent::Unknown { event_type },
    }
}

fn read<'a, T: Default + Deserialize<'a>>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

/// Old servers say 0 for "never".
fn expiry(raw: Option<&RawValue>) -> Option<u64> {
    read::<SessionBody>(raw)
        .expires_at
        .0
        .filter(|unix_s| *unix_s > 0)
}

/// Some servers send a plain string in place of the error object.
fn error(raw: Option<&RawValue>) -> ErrorBody<'_> {
    let Some(raw) = raw else {
        return ErrorBody::default();
    };
    serde_json::from_str(raw.get()).unwrap_or_else(|_| ErrorBody {
        message: serde_json::from_str(raw.get()).unwrap_or_default(),
        ..ErrorBody::default()
    })
}

/// The beta protocol leaves out the name here; `response.output_item.done` then tells it.
fn tool_arguments_done(envelope: Envelope<'_>) -> ServerEvent<'_> {
    if envelope.name.as_str().is_none() || envelope.call_id.as_str().is_none() {
        return ServerEvent::NoReaction;
    }
    ServerEvent::ToolCall {
        response: envelope.response_id.or_empty(),
        call: ToolCall {
            call_id: envelope.call_id.or_empty(),
            name: envelope.name.or_empty(),
            arguments: envelope.arguments.or_empty(),
            item: envelope.item_id.or_empty(),
        },
    }
}

fn tool_call(item: ItemBody<'_>) -> Option<ToolCall<'_>> {
    let complete = item.kind.as_str() == Some("function_call")
        && matches!(item.status.as_str(), None | Some("completed"))
        && item.name.as_str().is_some()
        && item.call_id.as_str().is_some();
    complete.then(|| ToolCall {
        call_id: item.call_id.or_empty(),
        name: item.name.or_empty(),
        arguments: item.arguments.or_empty(),
        item: item.id.or_empty(),
    })
}

fn response_done(body: ResponseBody<'_>) -> ResponseDone<'_> {
    let details: StatusDetails<'_> = read(body.status_details);
    let reason = || details.reason.as_str().unwrap_or("unknown").to_owned();
    let status = match body.status.as_str() {
        Some("cancelled") => ResponseStatus::Cancelled { reason: reason() },
        Some("incomplete") => ResponseStatus::Incomplete { reason: reason() },
        Some("failed") => failed(&error(details.error)),
        _ => ResponseStatus::Completed,
    };
    let tool_calls = if status == ResponseStatus::Completed {
        let items: Vec<&RawValue> = read(body.output);
        items
            .into_iter()
            .take(LIST_MAX)
            .filter_map(|raw| tool_call(read(Some(raw))))
            .collect()
    } else {
        Vec::new()
    };
    let usage = body
        .usage
        .and_then(|raw| serde_json::from_str::<Option<UsageBody>>(raw.get()).ok());
    ResponseDone {
        response: body.id.or_empty(),
        status,
        usage: usage.flatten().map(usage_of),
        tool_calls,
    }
}

fn failed(error: &ErrorBody<'_>) -> ResponseStatus {
    let code = error
        .code
        .as_str()
        .or(error.kind.as_str())
        .unwrap_or("unknown")
        .to_owned();
    ResponseStatus::Failed {
        code,
        message: error.message.as_str().unwrap_or("").to_owned(),
    }
}

fn usage_of(body: UsageBody) -> Usage {
    let (input, output) = (body.input_token_details, body.output_token_details);
    Usage {
        total_tokens: body.total_tokens.0.unwrap_or(0),
        input_tokens: body.input_tokens.0.unwrap_or(0),
        output_tokens: body.output_tokens.0.unwrap_or(0),
        input_text_tokens: input.text_tokens,
        input_audio_tokens: input.audio_tokens,
        cached_tokens: input.cached_tokens,
        cached_text_tokens: input.cached_text_tokens,
        cached_audio_tokens: input.cached_audio_tokens,
        output_text_tokens: output.text_tokens,
        output_audio_tokens: output.audio_tokens,
    }
}

fn rate_limits(raw: Option<&RawValue>) -> Vec<RateLimit> {
    let limits: Vec<&RawValue> = read(raw);
    limits
        .into_iter()
        .take(LIST_MAX)
        .map(|raw| {
            let body: RateLimitBody<'_> = read(Some(raw));
            RateLimit {
                name: body.name.as_str().unwrap_or("").to_owned(),
                limit: body.limit.0.unwrap_or(0),
                remaining: body.remaining.0.unwrap_or(0),
                reset_s: body
                    .reset_seconds
                    .as_str()
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(0.0),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audio_delta_is_read_without_copying() {
        let text = r#"{"type":"response.output_audio.delta","event_id":"e","response_id":"r","item_id":"i","output_index":0,"content_index":0,"delta":"AAAA"}"#;
        let Some(ServerEvent::AudioDelta(delta)) = parse(text) else {
            panic!("not an audio delta")
        };
        assert!(matches!(delta.response, Cow::Borrowed("r")));
        assert!(matches!(delta.item, Cow::Borrowed("i")));
        assert!(matches!(delta.data, Cow::Borrowed("AAAA")));
    }

    #[test]
    fn the_beta_names_are_read_as_their_successors() {
        for (beta, ga) in [
            ("response.audio.delta", "response.output_audio.delta"),
            ("response.audio.done", "response.output_audio.done"),
            (
                "response.audio_transcript.delta",
                "response.output_audio_transcript.delta",
            ),
            (
                "response.audio_transcript.done",
                "response.output_audio_transcript.done",
            ),
            ("response.text.delta", "response.output_text.delta"),
            ("response.text.done", "response.output_text.done"),
        ] {
            let message = |name: &str| {
                format!(
                    r#"{{"type":"{name}","response_id":"r","item_id":"i","delta":"d","transcript":"t","text":"t"}}"#
                )
            };
            assert_eq!(
                format!("{:?}", parse(&message(beta))),
                format!("{:?}", parse(&message(ga)))
            );
        }
    }

    #[test]
    fn fields_of_an_unexpected_kind_count_as_absent() {
        let text = r#"{"type":"input_audio_buffer.speech_started","item_id":{"a":[1]},"audio_start_ms":-3}"#;
        let Some(ServerEvent::SpeechStarted {
            item,
            audio_start_ms,
        }) = parse(text)
        else {
            panic!("not understood")
        };
        assert_eq!((&*item, audio_start_ms), ("", 0));
    }

    #[test]
    fn the_types_without_reaction_are_sorted_and_unique() {
        assert!(NO_REACTION.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn cached_tokens_are_told_by_kind() {
        let text = r#"{"type":"response.done","response":{"id":"r","status":"completed","usage":{"total_tokens":9,"input_token_details":{"cached_tokens":5,"cached_tokens_details":{"text_tokens":4,"audio_tokens":1}},"output_token_details":null}}}"#;
        let Some(ServerEvent::ResponseDone(done)) = parse(text) else {
            panic!("not understood")
        };
        let usage = done.usage.expect("there is a usage");
        assert_eq!(
            (
                usage.total_tokens,
                usage.cached_tokens,
                usage.cached_text_tokens
            ),
            (9, 5, 4)
        );
    }

    #[test]
    fn a_failed_response_has_no_usage() {
        let text = r#"{"type":"response.done","response":{"id":"r","status":"failed","status_details":{"error":{"code":"rate_limit_exceeded","message":"m"}},"usage":null}}"#;
        let Some(ServerEvent::ResponseDone(done)) = parse(text) else {
            panic!("not understood")
        };
        assert_eq!(done.usage, None);
        let code = "rate_limit_exceeded".to_owned();
        assert_eq!(
            done.status,
            ResponseStatus::Failed {
                code,
                message: "m".to_owned()
            }
        );
    }
}
