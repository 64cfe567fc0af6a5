//! Spans as the protocol has them (OTLP 1.x, `opentelemetry/proto/trace/v1/trace.proto` and those that it names): the messages and fields
//! that are used here.

use jiff::Timestamp;
use prost::{Message, Oneof};

use super::span::{Attribute, Outcome, PARTS_MAX, Role, Span, TEXT_MAX};

/// Flags of a span that say that it is known whether its parent is remote, and that it is (`SpanFlags`).
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
const SAMPLED: u32 = 1;

#[derive(Clone, PartialEq, Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<SpanMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct SpanMessage {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "10")]
    dropped_attributes_count: u32,
    #[prost(message, repeated, tag = "11")]
    events: Vec<EventMessage>,
    #[prost(uint32, tag = "12")]
    dropped_events_count: u32,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct EventMessage {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Of", tags = "1, 2, 3, 4")]
    of: Option<Of>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Of {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(int64, tag = "3")]
    Whole(i64),
    #[prost(double, tag = "4")]
    Number(f64),
}

#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// The body of a request to a collector. `resource`: what the process is.
pub(super) fn request(resource: &[(&'static str, String)], spans: &[Span]) -> Vec<u8> {
    let attributes = resource
        .iter()
        .map(|(key, value)| pair(key, &Attribute::Text(value.clone())));
    let request = ExportRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: attributes.collect(),
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(Scope {
                    name: "allo".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                }),
                spans: spans.iter().map(message).collect(),
            }],
        }],
    };
    request.encode_to_vec()
}

/// How many spans a collector that answered 200 did not take.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportResponse::decode(answer).unwrap_or_default();
    let rejected = answer.partial_success.map_or(0, |part| part.rejected_spans);
    u64::try_from(rejected).unwrap_or(0)
}

fn message(span: &Span) -> SpanMessage {
    let beyond = |count: usize| u32::try_from(count.saturating_sub(PARTS_MAX)).unwrap_or(u32::MAX);
    let remote = if span.has_remote_parent { IS_REMOTE } else { 0 };
    SpanMessage {
        trace_id: span.trace.to_vec(),
        span_id: span.id.to_vec(),
        parent_span_id: span.parent.map(Vec::from).unwrap_or_default(),
        name: span.name.clone(),
        kind: match span.role {
            Role::Internal => 1,
            Role::Server => 2,
            Role::Client => 3,
            Role::Producer => 4,
        },
        start_time_unix_nano: nanos(span.began),
        end_time_unix_nano: nanos(span.ended.max(span.began)),
        attributes: span
            .attributes
            .iter()
            .take(PARTS_MAX)
            .map(|(key, value)| pair(key, value))
            .collect(),
        dropped_attributes_count: beyond(span.attributes.len()),
        events: span
            .events
            .iter()
            .take(PARTS_MAX)
            .map(|event| EventMessage {
                time_unix_nano: nanos(event.at),
                name: event.name.to_owned(),
            })
            .collect(),
        dropped_events_count: beyond(span.events.len()),
        status: match &span.outcome {
            Outcome::Unset => None,
            Outcome::Ok => Some(Status {
                message: String::new(),
                code: 1,
            }),
            Outcome::Failed(why) => Some(Status {
                message: shortened(why),
                code: 2,
            }),
        },
        flags: SAMPLED | HAS_IS_REMOTE | remote,
    }
}

fn pair(key: &str, value: &Attribute) -> KeyValue {
    let of = match value {
        Attribute::Text(text) => Of::Text(shortened(text)),
        Attribute::Whole(whole) => Of::Whole(*whole),
        Attribute::Number(number) => Of::Number(*number),
        Attribute::Flag(flag) => Of::Flag(*flag),
    };
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { of: Some(of) }),
    }
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_MAX)].to_owned()
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::span::SpanEvent;
    use super::*;

    #[test]
    fn a_span_is_bounded_and_says_what_was_left_out() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let span = Span {
            trace: [1; 16],
            id: [2; 8],
            parent: Some([3; 8]),
            has_remote_parent: true,
            name: "call".to_owned(),
            role: Role::Server,
            began: at(20),
            // A clock that was stepped back makes no span that ends before it begins.
            ended: at(10),
            attributes: vec![("a", Attribute::Text("é".repeat(200))); PARTS_MAX + 2],
            events: vec![
                SpanEvent {
                    at: at(20),
                    name: "ringing"
                };
                PARTS_MAX + 3
            ],
            outcome: Outcome::Failed("timeout".to_owned()),
        };
        let body = request(&[("service.name", "allo".to_owned())], &[span]);
        let read = ExportRequest::decode(&*body).expect("a request");
        let [resource] = &read.resource_spans[..] else {
            panic!("one")
        };
        let span = &resource.scope_spans[0].spans[0];
        assert_eq!(
            (span.dropped_attributes_count, span.dropped_events_count),
            (2, 3)
        );
        assert_eq!(span.start_time_unix_nano, 20_000_000_000);
        assert_eq!(span.end_time_unix_nano, 20_000_000_000);
        assert_eq!((span.kind, span.flags), (2, 0x301));
        let Some(Of::Text(text)) = span.attributes[0]
            .value
            .as_ref()
            .and_then(|value| value.of.as_ref())
        else {
            panic!("a text")
        };
        assert_eq!(text.len(), TEXT_MAX);
    }

    #[test]
    fn what_a_collector_did_not_take_is_read() {
        let answer = ExportResponse {
            partial_success: Some(PartialSuccess {
                rejected_spans: 4,
                error_message: "too old".to_owned(),
            }),
        };
        assert_eq!(rejected(&answer.encode_to_vec()), 4);
        assert_eq!((rejected(b""), rejected(b"no protobuf")), (0, 0));
    }
}
