//! The messages, typed. Reading takes every spelling that a carrier uses (numbers as texts, snake and camel case), writing uses the
//! one that the dialect asks for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Dialect, Encoding, PARAMETER_BYTES_MAX, PARAMETERS_MAX};

/// What a stream says about its call when it begins. Texts come from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The stream (`streamSid`).
    pub stream_id: String,
    /// The carrier's name of the call (`callSid`).
    pub call_id: String,
    /// The carrier's name of the account (`accountSid`).
    pub account_id: String,
    /// Caller's number, where the dialect has it.
    pub from: String,
    /// Called number, where the dialect has it.
    pub to: String,
    /// `customParameters`: what our document asked to be passed on, or what a bridge was told to say.
    pub parameters: BTreeMap<String, String>,
    /// How audio is written; `None` where it is not one that we speak.
    pub encoding: Option<Encoding>,
}

/// A message from a carrier.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming<'a> {
    Connected,
    Started(Box<Start>),
    Media {
        number: Option<u64>,
        payload: Cow<'a, str>,
        outbound: bool,
    },
    Dtmf(char),
    Mark(Cow<'a, str>),
    Cleared,
    Stopped,
    Fault(String),
    Unknown,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    event: Cow<'a, str>,
    #[serde(
        borrow,
        alias = "streamId",
        alias = "stream_id",
        alias = "stream_sid",
        rename = "streamSid"
    )]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    start: Option<&'a RawValue>,
    #[serde(borrow)]
    media: Option<RawMedia<'a>>,
    #[serde(borrow)]
    dtmf: Option<RawDtmf<'a>>,
    #[serde(borrow)]
    mark: Option<RawMark<'a>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, alias = "extraHeaders")]
    extra_headers: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawMedia<'a> {
    #[serde(borrow, default)]
    payload: Cow<'a, str>,
    #[serde(borrow)]
    chunk: Option<&'a RawValue>,
    #[serde(borrow, default)]
    track: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawDtmf<'a> {
    #[serde(borrow)]
    digit: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawMark<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct RawStart {
    #[serde(
        default,
        alias = "streamId",
        alias = "stream_id",
        alias = "stream_sid",
        rename = "streamSid"
    )]
    stream: String,
    #[serde(
        default,
        alias = "callId",
        alias = "call_id",
        alias = "call_sid",
        alias = "call_control_id",
        rename = "callSid"
    )]
    call: String,
    #[serde(
        default,
        alias = "accountId",
        alias = "account_sid",
        alias = "user_id",
        rename = "accountSid"
    )]
    account: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default, alias = "custom_parameters", rename = "customParameters")]
    parameters: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default, alias = "media_format", rename = "mediaFormat")]
    format: Option<RawFormat>,
}

#[derive(Deserialize)]
struct RawFormat {
    #[serde(default)]
    encoding: String,
    #[serde(default, alias = "sample_rate", rename = "sampleRate")]
    rate: serde_json::Value,
}

/// A number written as a number or as a text.
fn number(raw: &RawValue) -> Option<u64> {
    raw.get().trim().trim_matches('"').parse().ok()
}

fn digit(raw: &RawValue) -> Option<char> {
    let mut characters = raw.get().trim().trim_matches('"').chars();
    let digit = characters.next()?.to_ascii_uppercase();
    let known = digit.is_ascii_digit() || matches!(digit, '*' | '#' | 'A'..='D');
    (characters.next().is_none() && known).then_some(digit)
}

impl<'a> Incoming<'a> {
    /// `None` for what is no message.
    pub(super) fn read(dialect: Dialect, text: &'a str) -> Option<Self> {
        let raw: Raw<'a> = serde_json::from_str(text).ok()?;
        Some(match raw.event.as_ref() {
            "media" => {
                let media = raw.media?;
                Self::Media {
                    number: media.chunk.and_then(number),
                    payload: media.payload,
                    outbound: media.track.starts_with("outbound"),
                }
            }
            "mark" => Self::Mark(raw.mark?.name?),
            // Plivo's word for a mark.
            "playedStream" => Self::Mark(raw.name?),
            "clearedAudio" => Self::Cleared,
            "dtmf" => raw
                .dtmf
                .and_then(|dtmf| dtmf.digit)
                .and_then(digit)
                .map_or(Self::Unknown, Self::Dtmf),
            "start" => Self::Started(Box::new(start(dialect, &raw)?)),
            "stop" => Self::Stopped,
            "connected" => Self::Connected,
            // Vonage names its first message so.
            "websocket:connected" => Self::Started(Box::new(vonage(text)?)),
            "websocket:dtmf" => Self::Unknown,
            "error" => Self::Fault(
                raw.payload
                    .map(|payload| payload.get().chars().take(200).collect())
                    .unwrap_or_default(),
            ),
            _ => Self::Unknown,
        })
    }
}

fn start(dialect: Dialect, raw: &Raw<'_>) -> Option<Start> {
    let inner: RawStart = match raw.start {
        Some(start) => serde_json::from_str(start.get()).ok()?,
        None => RawStart::default(),
    };
    let stream = raw
        .stream
        .and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let stream_id = match stream {
        Some(stream) if !stream.is_empty() => stream,
        Some(_) | None => inner.stream,
    };
    let encoding = match &inner.format {
        Some(format) if !format.encoding.is_empty() => {
            let text = format.rate.to_string();
            let narrow = matches!(text.trim_matches('"'), "8000" | "null");
            let named = Encoding::from_name(&format.encoding);
            // Exotel says `base64` and means its samples; everywhere else the name counts.
            named.filter(|_| narrow)
        }
        Some(_) | None => Some(dialect.encoding()),
    };
    let mut parameters = texts(inner.parameters.unwrap_or_default());
    if let Some(extra) = raw.extra_headers {
        parameters.extend(extra_headers(extra));
    }
    Some(Start {
        stream_id: bounded(stream_id),
        call_id: bounded(inner.call),
        account_id: bounded(inner.account),
        from: bounded(inner.from),
        to: bounded(inner.to),
        parameters,
        encoding,
    })
}

fn bounded(mut text: String) -> String {
    let mut end = text.len().min(PARAMETER_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn texts(values: BTreeMap<String, serde_json::Value>) -> BTreeMap<String, String> {
    values
        .into_iter()
        .filter(|(name, _)| name.len() <= PARAMETER_BYTES_MAX)
        .take(PARAMETERS_MAX)
        .map(|(name, value)| {
            let text = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Null => String::new(),
                other @ (serde_json::Value::Bool(_)
                | serde_json::Value::Number(_)
                | serde_json::Value::Array(_)
                | serde_json::Value::Object(_)) => other.to_string(),
            };
            (name, bounded(text))
        })
        .collect()
}

/// Plivo repeats the document's extra headers: as an object, or as a text such as `{X-PH-token: abc, …}` or `token=abc`.
fn extra_headers(raw: &RawValue) -> BTreeMap<String, String> {
    if let Ok(values) = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(raw.get()) {
        return texts(values);
    }
    let Ok(text) = serde_json::from_str::<String>(raw.get()) else {
        return BTreeMap::new();
    };
    if let Ok(values) = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&text) {
        return texts(values);
    }
    let pairs = text.trim().trim_matches(['{', '}']).split(',');
    pairs
        .take(PARAMETERS_MAX)
        .filter_map(|pair| {
            let (name, value) = pair.split_once(['=', ':'])?;
            let name = name.trim().trim_matches(['"', '\'']);
            let name = name.strip_prefix("X-PH-").unwrap_or(name);
            let value = value.trim().trim_matches(['"', '\'']);
            Some((bounded(name.to_owned()), bounded(value.to_owned())))
        })
        .collect()
}

/// Vonage's first message carries what its document named as headers, flat.
fn vonage(text: &str) -> Option<Start> {
    let mut values: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    values.remove("event");
    let content_type = values.remove("content-type").unwrap_or_default();
    let narrow = content_type
        .as_str()
        .is_none_or(|text| text.contains("rate=8000"));
    let parameters = texts(values);
    let named = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    Some(Start {
        stream_id: named("uuid"),
        call_id: named("uuid"),
        account_id: String::new(),
        from: named("from"),
        to: named("to"),
        encoding: narrow.then_some(Encoding::L16),
        parameters,
    })
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What a message with audio begins with, up to its payload. It is the same for every message of a stream.
pub(super) fn media_head(dialect: Dialect, stream: &str, encoding: Encoding) -> String {
    match dialect {
        Dialect::Twilio => format!(
            r#"{{"event":"media","streamSid":{},"media":{{"payload":""#,
            quoted(stream)
        ),
        Dialect::Exotel => format!(
            r#"{{"event":"media","stream_sid":{},"media":{{"payload":""#,
            quoted(stream)
        ),
        Dialect::Telnyx | Dialect::Vonage | Dialect::Browser => {
            r#"{"event":"media","media":{"payload":""#.to_owned()
        }
        Dialect::Plivo => {
            let content_type = match encoding {
                Encoding::Pcmu | Encoding::Pcma => "audio/x-mulaw",
                Encoding::L16 => "audio/x-l16",
            };
            format!(
                r#"{{"event":"playAudio","media":{{"contentType":"{content_type}","sampleRate":8000,"payload":""#
            )
        }
    }
}

/// A message with audio, in one allocation of the exact size.
pub(super) fn media(head: &str, audio: &[u8]) -> String {
    const TAIL: &str = r#""}}"#;
    let base64 = base64_simd::STANDARD;
    let payload = base64.encoded_length(audio.len());
    let mut text = String::with_capacity(head.len() + payload + TAIL.len());
    text.push_str(head);
    base64.encode_append(audio, &mut text);
    text.push_str(TAIL);
    text
}

/// A mark behind everything that was sent.
pub(super) fn mark(dialect: Dialect, stream: &str, name: &str) -> Option<String> {
    match dialect {
        Dialect::Twilio => Some(format!(
            r#"{{"event":"mark","streamSid":{},"mark":{{"name":"{name}"}}}}"#,
            quoted(stream)
        )),
        Dialect::Exotel => Some(format!(
            r#"{{"event":"mark","stream_sid":{},"mark":{{"name":"{name}"}}}}"#,
            quoted(stream)
        )),
        Dialect::Telnyx | Dialect::Browser => {
            Some(format!(r#"{{"event":"mark","mark":{{"name":"{name}"}}}}"#))
        }
        Dialect::Plivo => Some(format!(
            r#"{{"event":"checkpoint","streamId":{},"name":"{name}"}}"#,
            quoted(stream)
        )),
        Dialect::Vonage => None,
    }
}

/// Forget what was not played.
pub(super) fn clear(dialect: Dialect, stream: &str) -> String {
    match dialect {
        Dialect::Twilio => format!(r#"{{"event":"clear","streamSid":{}}}"#, quoted(stream)),
        Dialect::Exotel => format!(r#"{{"event":"clear","stream_sid":{}}}"#, quoted(stream)),
        Dialect::Telnyx | Dialect::Browser => r#"{"event":"clear"}"#.to_owned(),
        Dialect::Plivo => format!(r#"{{"event":"clearAudio","streamId":{}}}"#, quoted(stream)),
        Dialect::Vonage => r#"{"action":"clear"}"#.to_owned(),
    }
}
