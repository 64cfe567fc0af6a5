//! What the service sends, read leniently: unknown members are skipped, those of an unexpected kind count as absent.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::realtime::server_event::field::{Count, Text};
use crate::realtime::{LIST_MAX, Usage};

/// One message. Several members may be there at once.
#[derive(Debug, Default)]
pub(super) struct ServerMessage<'a> {
    pub(super) setup_complete: bool,
    pub(super) content: Option<Content<'a>>,
    pub(super) tool_calls: Option<Vec<ToolCall<'a>>>,
    pub(super) cancelled_calls: Vec<String>,
    pub(super) usage: Option<Usage>,
    /// The connection ends after so many milliseconds, when it was said.
    pub(super) go_away: Option<Option<u64>>,
    pub(super) resumption: Option<Resumption>,
    /// The caller began (true) or stopped (false) to speak.
    pub(super) activity: Option<bool>,
    /// The first member that is not known, where nothing else was.
    pub(super) unknown: bool,
}

#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    pub(super) parts: Vec<Part<'a>>,
    pub(super) interrupted: bool,
    pub(super) generation_complete: bool,
    pub(super) turn_complete: bool,
    pub(super) heard: Option<Text<'a>>,
    pub(super) said: Option<Text<'a>>,
}

#[derive(Debug)]
pub(super) enum Part<'a> {
    /// Base64 audio with its rate in Hz.
    Audio { data: Text<'a>, rate_hz: u32 },
    /// Written words.
    Text(Text<'a>),
}

#[derive(Debug)]
pub(super) struct ToolCall<'a> {
    pub(super) id: Text<'a>,
    pub(super) name: Text<'a>,
    /// JSON text.
    pub(super) arguments: Option<&'a RawValue>,
}

#[derive(Debug)]
pub(super) struct Resumption {
    pub(super) handle: String,
    pub(super) resumable: bool,
}

type Raw<'a> = Option<&'a RawValue>;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    setup_complete: Raw<'a>,
    #[serde(borrow)]
    server_content: Raw<'a>,
    #[serde(borrow)]
    tool_call: Raw<'a>,
    #[serde(borrow)]
    tool_call_cancellation: Raw<'a>,
    #[serde(borrow)]
    usage_metadata: Raw<'a>,
    #[serde(borrow)]
    go_away: Raw<'a>,
    #[serde(borrow)]
    session_resumption_update: Raw<'a>,
    #[serde(borrow)]
    voice_activity: Raw<'a>,
    #[serde(borrow)]
    voice_activity_detection_signal: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContentBody<'a> {
    #[serde(borrow)]
    model_turn: Raw<'a>,
    #[serde(borrow)]
    interrupted: Text<'a>,
    #[serde(borrow)]
    generation_complete: Text<'a>,
    #[serde(borrow)]
    turn_complete: Text<'a>,
    #[serde(borrow)]
    input_transcription: Raw<'a>,
    #[serde(borrow)]
    output_transcription: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TurnBody<'a> {
    #[serde(borrow)]
    parts: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PartBody<'a> {
    #[serde(borrow)]
    inline_data: Raw<'a>,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    thought: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BlobBody<'a> {
    #[serde(borrow)]
    data: Text<'a>,
    #[serde(borrow)]
    mime_type: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TranscriptionBody<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CallsBody<'a> {
    #[serde(borrow)]
    function_calls: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CallBody<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    args: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IdsBody<'a> {
    #[serde(borrow)]
    ids: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GoAwayBody<'a> {
    #[serde(borrow)]
    time_left: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ResumptionBody<'a> {
    #[serde(borrow)]
    new_handle: Text<'a>,
    #[serde(borrow)]
    resumable: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ActivityBody<'a> {
    #[serde(borrow, alias = "vadSignalType")]
    voice_activity_type: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UsageBody<'a> {
    prompt_token_count: Count,
    cached_content_token_count: Count,
    response_token_count: Count,
    tool_use_prompt_token_count: Count,
    thoughts_token_count: Count,
    total_token_count: Count,
    #[serde(borrow)]
    prompt_tokens_details: Raw<'a>,
    #[serde(borrow)]
    cache_tokens_details: Raw<'a>,
    #[serde(borrow)]
    response_tokens_details: Raw<'a>,
    #[serde(borrow)]
    tool_use_prompt_tokens_details: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ModalityBody<'a> {
    #[serde(borrow)]
    modality: Text<'a>,
    token_count: Count,
}

fn read<'a, T: Default + Deserialize<'a>>(raw: Raw<'a>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

fn list<'a>(raw: Raw<'a>) -> impl Iterator<Item = &'a RawValue> {
    let items: Vec<&'a RawValue> = read(raw);
    items.into_iter().take(LIST_MAX)
}

fn is_true(text: &Text<'_>) -> bool {
    text.as_str() == Some("true")
}

/// Reads one message. `None` when it is not a JSON object.
pub(super) fn parse(text: &str) -> Option<ServerMessage<'_>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).ok()?;
    let mut message = ServerMessage {
        setup_complete: envelope.setup_complete.is_some(),
        content: envelope.server_content.map(|raw| content(&read(Some(raw)))),
        tool_calls: envelope.tool_call.map(|raw| tool_calls(&read(Some(raw)))),
        usage: envelope.usage_metadata.map(|raw| usage(&read(Some(raw)))),
        go_away: envelope.go_away.map(|raw| {
            let body: GoAwayBody<'_> = read(Some(raw));
            body.time_left.as_str().and_then(duration_ms)
        }),
        ..ServerMessage::default()
    };
    if let Some(raw) = envelope.tool_call_cancellation {
        let body: IdsBody<'_> = read(Some(raw));
        message.cancelled_calls = list(body.ids)
            .filter_map(|raw| read::<Text<'_>>(Some(raw)).as_str().map(str::to_owned))
            .collect();
    }
    if let Some(raw) = envelope.session_resumption_update {
        let body: ResumptionBody<'_> = read(Some(raw));
        message.resumption = Some(Resumption {
            resumable: is_true(&body.resumable),
            handle: body.new_handle.into_string(),
        });
    }
    let activity = envelope
        .voice_activity
        .or(envelope.voice_activity_detection_signal);
    if let Some(raw) = activity {
        let body: ActivityBody<'_> = read(Some(raw));
        message.activity = match body.voice_activity_type.as_str() {
            Some("ACTIVITY_START" | "VAD_SIGNAL_TYPE_SOS") => Some(true),
            Some("ACTIVITY_END" | "VAD_SIGNAL_TYPE_EOS") => Some(false),
            _ => None,
        };
    }
    message.unknown = !message.setup_complete
        && message.content.is_none()
        && message.tool_calls.is_none()
        && message.usage.is_none()
        && message.go_away.is_none()
        && message.resumption.is_none()
        && envelope.tool_call_cancellation.is_none()
        && activity.is_none();
    Some(message)
}

fn content<'a>(body: &ContentBody<'a>) -> Content<'a> {
    let turn: TurnBody<'_> = read(body.model_turn);
    Content {
        parts: list(turn.parts)
            .filter_map(|raw| part(read(Some(raw))))
            .collect(),
        interrupted: is_true(&body.interrupted),
        generation_complete: is_true(&body.generation_complete),
        turn_complete: is_true(&body.turn_complete),
        heard: words(body.input_transcription),
        said: words(body.output_transcription),
    }
}

fn words(raw: Raw<'_>) -> Option<Text<'_>> {
    raw.map(|raw| read::<TranscriptionBody<'_>>(Some(raw)).text)
}

fn part(body: PartBody<'_>) -> Option<Part<'_>> {
    if let Some(raw) = body.inline_data {
        let blob: BlobBody<'_> = read(Some(raw));
        let mime = blob.mime_type.as_str().unwrap_or("audio/pcm");
        let rate_hz = mime
            .split(';')
            .find_map(|field| field.trim().strip_prefix("rate=")?.parse().ok())
            .unwrap_or(super::OUTPUT_RATE_HZ);
        return mime.starts_with("audio/pcm").then_some(Part::Audio {
            data: blob.data,
            rate_hz,
        });
    }
    // What the model thinks is not said.
    let spoken = body.text.as_str().is_some() && !is_true(&body.thought);
    spoken.then_some(Part::Text(body.text))
}

fn tool_calls<'a>(body: &CallsBody<'a>) -> Vec<ToolCall<'a>> {
    list(body.function_calls)
        .map(|raw| {
            let call: CallBody<'_> = read(Some(raw));
            ToolCall {
                id: call.id,
                name: call.name,
                arguments: call.args,
            }
        })
        .filter(|call| call.name.as_str().is_some())
        .collect()
}

/// A duration in the spelling of protocol buffers: `9.5s`.
fn duration_ms(text: &str) -> Option<u64> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a duration within a day, at or above zero"
    )]
    (0.0..86_400.0)
        .contains(&seconds)
        .then_some((seconds * 1_000.0) as u64)
}

/// Tokens of one kind, in all its entries.
fn of_kind(raw: Raw<'_>, kind: &str) -> u64 {
    list(raw)
        .map(|raw| read::<ModalityBody<'_>>(Some(raw)))
        .filter(|entry| entry.modality.as_str() == Some(kind))
        .fold(0, |sum, entry| {
            sum.saturating_add(entry.token_count.0.unwrap_or(0))
        })
}

/// What the model thinks is written and billed as text.
fn usage(body: &UsageBody<'_>) -> Usage {
    let count = |count: Count| count.0.unwrap_or(0);
    let thoughts = count(body.thoughts_token_count);
    let both = |kind: &str| {
        of_kind(body.prompt_tokens_details, kind)
            .saturating_add(of_kind(body.tool_use_prompt_tokens_details, kind))
    };
    Usage {
        total_tokens: count(body.total_token_count),
        input_tokens: count(body.prompt_token_count)
            .saturating_add(count(body.tool_use_prompt_token_count)),
        output_tokens: count(body.response_token_count).saturating_add(thoughts),
        input_text_tokens: both("TEXT"),
        input_audio_tokens: both("AUDIO"),
        cached_tokens: count(body.cached_content_token_count),
        cached_text_tokens: of_kind(body.cache_tokens_details, "TEXT"),
        cached_audio_tokens: of_kind(body.cache_tokens_details, "AUDIO"),
        output_text_tokens: of_kind(body.response_tokens_details, "TEXT").saturating_add(thoughts),
        output_audio_tokens: of_kind(body.response_tokens_details, "AUDIO"),
    }
}
