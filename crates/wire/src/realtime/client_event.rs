//! What we send to the engine: exactly the fields that the service knows.
//!
//! One field that the service does not know rejects a whole `session.update`, so
//! absent settings are left out instead of being sent as null, G.711 formats carry no rate, and the
//! two kinds of turn detection carry their own fields only.

mod session;

use serde::Serialize;

use super::{Dialect, ResponseRequest, Role, SessionShape, Spelling, TurnDetection};

pub(super) use session::session_update;

/// Where the event ids of a conversation are made: `allo_1`, `allo_2`…
pub(super) const EVENT_ID_PREFIX: &str = "allo_";

#[derive(Serialize)]
struct Command<'a, Body> {
    #[serde(rename = "type")]
    event_type: &'a str,
    event_id: String,
    #[serde(flatten)]
    body: Body,
}

#[derive(Serialize)]
struct NoBody {}

fn command<Body: Serialize>(event: u64, event_type: &str, body: Body) -> String {
    let event_id = format!("{EVENT_ID_PREFIX}{event}");
    // Strings, numbers and checked JSON only: nothing in it can fail to be written.
    serde_json::to_string(&Command {
        event_type,
        event_id,
        body,
    })
    .expect("plain data is always written")
}

/// `input_audio_buffer.append`, in one allocation of the exact size. It carries no event id: it is sent
/// fifty times a second and never answered.
pub(super) fn append(audio: &[u8]) -> String {
    const HEAD: &str = r#"{"type":"input_audio_buffer.append","audio":""#;
    const TAIL: &str = r#""}"#;
    let base64 = base64_simd::STANDARD;
    let mut text =
        String::with_capacity(HEAD.len() + base64.encoded_length(audio.len()) + TAIL.len());
    text.push_str(HEAD);
    base64.encode_append(audio, &mut text);
    text.push_str(TAIL);
    text
}

pub(super) fn commit(event: u64) -> String {
    command(event, "input_audio_buffer.commit", NoBody {})
}

pub(super) fn clear(event: u64) -> String {
    command(event, "input_audio_buffer.clear", NoBody {})
}

pub(super) fn truncate(event: u64, item_id: &str, audio_end_ms: u32) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        item_id: &'a str,
        content_index: u32,
        audio_end_ms: u32,
    }
    command(
        event,
        "conversation.item.truncate",
        Body {
            item_id,
            content_index: 0,
            audio_end_ms,
        },
    )
}

/// `response_id` came late to the beta protocol; its servers cancel what is active.
pub(super) fn cancel(event: u64, dialect: Dialect, response: &str) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        response_id: Option<&'a str>,
    }
    let response_id = (dialect == Dialect::Ga && !response.is_empty()).then_some(response);
    command(event, "response.cancel", Body { response_id })
}

#[derive(Serialize)]
struct ItemCreate<Item> {
    item: Item,
}

pub(super) fn tool_output(event: u64, call_id: &str, output: &str) -> String {
    #[derive(Serialize)]
    struct Item<'a> {
        r#type: &'a str,
        call_id: &'a str,
        output: &'a str,
    }
    let item = Item {
        r#type: "function_call_output",
        call_id,
        output,
    };
    command(event, "conversation.item.create", ItemCreate { item })
}

/// The call that an output belongs to, for a session that did not make it: without it the engine would
/// refuse the output. The name and the arguments stayed in the session of before.
pub(super) fn earlier_tool_call(event: u64, call_id: &str) -> String {
    #[derive(Serialize)]
    struct Item<'a> {
        r#type: &'a str,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    }
    let item = Item {
        r#type: "function_call",
        call_id,
        name: "earlier_call",
        arguments: "{}",
    };
    command(event, "conversation.item.create", ItemCreate { item })
}

pub(super) fn message(event: u64, dialect: Dialect, role: Role, text: &str) -> String {
    #[derive(Serialize)]
    struct Content<'a> {
        r#type: &'a str,
        text: &'a str,
    }
    #[derive(Serialize)]
    struct Item<'a> {
        r#type: &'a str,
        role: &'a str,
        content: [Content<'a>; 1],
    }
    let (role, kind) = match (role, dialect) {
        (Role::User, _) => ("user", "input_text"),
        (Role::System, _) => ("system", "input_text"),
        (Role::Assistant, Dialect::Ga) => ("assistant", "output_text"),
        (Role::Assistant, Dialect::Beta) => ("assistant", "text"),
    };
    let item = Item {
        r#type: "message",
        role,
        content: [Content { r#type: kind, text }],
    };
    command(event, "conversation.item.create", ItemCreate { item })
}

pub(super) fn create_response(event: u64, dialect: Dialect, request: &ResponseRequest) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        response: Option<Response<'a>>,
    }
    #[derive(Serialize)]
    struct Response<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        instructions: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_choice: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        output_modalities: Option<[&'a str; 1]>,
        #[serde(skip_serializing_if = "Option::is_none")]
        modalities: Option<[&'a str; 1]>,
    }
    let text_only = (!request.audio).then_some(["text"]);
    let (output_modalities, modalities) = match dialect {
        Dialect::Ga => (text_only, None),
        Dialect::Beta => (None, text_only),
    };
    let response = Response {
        instructions: request.instructions.as_deref(),
        tool_choice: request.tool_choice_none.then_some("none"),
        output_modalities,
        modalities,
    };
    let plain =
        response.instructions.is_none() && response.tool_choice.is_none() && text_only.is_none();
    command(
        event,
        "response.create",
        Body {
            response: (!plain).then_some(response),
        },
    )
}

#[derive(Serialize)]
struct Update<Session> {
    session: Session,
}

/// The instructions alone; what is left out stays as it is.
pub(super) fn instructions_update(event: u64, spelling: Spelling, instructions: &str) -> String {
    #[derive(Serialize)]
    struct Session<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        r#type: Option<&'a str>,
        instructions: &'a str,
    }
    let r#type = (spelling.shape == SessionShape::Nested).then_some("realtime");
    command(
        event,
        "session.update",
        Update {
            session: Session {
                r#type,
                instructions,
            },
        },
    )
}

/// The turn detection alone; what is left out stays as it is.
pub(super) fn detection_update(
    event: u64,
    spelling: Spelling,
    detection: &TurnDetection,
) -> String {
    session::detection_update(event, spelling, detection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_is_exact_for_every_length() {
        for length in 0..200 {
            let audio = vec![0xab; length];
            let text = append(&audio);
            assert_eq!(text.capacity(), text.len());
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["type"], "input_audio_buffer.append");
            let decoded = base64_simd::STANDARD.decode_to_vec(value["audio"].as_str().unwrap());
            assert_eq!(decoded.unwrap(), audio);
        }
    }
}
