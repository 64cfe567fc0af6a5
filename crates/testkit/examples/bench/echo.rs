//! An engine that echoes each audio message at once, as the audio of responses that follow each other: none is longer than one that is plausible.

use crate::{say, tls};
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::net::TcpListener;
use tokio_websockets::{Message, ServerBuilder};

/// Serves until it is killed; prints its address first.
pub(crate) async fn serve(options: &BTreeMap<String, String>) -> std::io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await?;
    // With `--tls DIRECTORY` its certificate is written there.
    let acceptor = options
        .get("tls")
        .map(|directory| tls::acceptor(Path::new(directory)))
        .transpose()?;
    let scheme = if acceptor.is_some() { "wss" } else { "ws" };
    say(&format!(
        "{scheme}://{}/v1/realtime",
        listener.local_addr()?
    ));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match acceptor {
                None => session(stream).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        session(stream).await;
                    }
                }
            }
        });
    }
}

const CREATED: &str = r#"{"type":"session.created","event_id":"event_1","session":{"type":"realtime","object":"realtime.session","id":"sess_1","model":"echo"}}"#;
const UPDATED: &str = r#"{"type":"session.updated","event_id":"event_2","session":{"type":"realtime","object":"realtime.session","id":"sess_1","model":"echo"}}"#;
/// Audio messages of one response: a minute of 20 ms.
const RESPONSE_MESSAGES: u32 = 3_000;
/// Audio messages of 20 ms in a greeting.
const GREETING_MESSAGES: usize = 25;

/// What goes before the audio of a response.
fn begun(number: u32) -> [String; 2] {
    [
        format!(
            r#"{{"type":"response.created","event_id":"event_3","response":{{"object":"realtime.response","id":"resp_{number}","status":"in_progress","output":[]}}}}"#
        ),
        format!(
            r#"{{"type":"response.output_item.added","event_id":"event_4","response_id":"resp_{number}","output_index":0,"item":{{"id":"item_{number}","object":"realtime.item","type":"message","status":"in_progress","role":"assistant","content":[]}}}}"#
        ),
    ]
}

/// What follows it.
fn done(number: u32) -> [String; 2] {
    [
        format!(
            r#"{{"type":"response.output_audio.done","event_id":"event_6","response_id":"resp_{number}","item_id":"item_{number}","output_index":0,"content_index":0}}"#
        ),
        format!(
            r#"{{"type":"response.done","event_id":"event_7","response":{{"object":"realtime.response","id":"resp_{number}","status":"completed","output":[]}}}}"#
        ),
    ]
}

/// A greeting of half a second, as one response.
async fn greet<T: tls::Io>(
    socket: &mut tokio_websockets::WebSocketStream<T>,
    number: u32,
) -> Result<(), tokio_websockets::Error> {
    let audio = base64_simd::STANDARD.encode_to_string([0x2A; 160]);
    let deltas = std::iter::repeat_n(delta(number, &audio), GREETING_MESSAGES);
    for text in begun(number).into_iter().chain(deltas).chain(done(number)) {
        socket.send(Message::text(text)).await?;
    }
    Ok(())
}

fn delta(number: u32, audio: &str) -> String {
    format!(
        r#"{{"type":"response.output_audio.delta","event_id":"event_5","response_id":"resp_{number}","item_id":"item_{number}","output_index":0,"content_index":0,"delta":"{audio}"}}"#
    )
}

async fn session(stream: impl tls::Io) {
    let Ok((_, mut socket)) = ServerBuilder::new().accept(stream).await else {
        return;
    };
    if socket.send(Message::text(CREATED)).await.is_err() {
        return;
    }
    let (mut number, mut messages) = (1, 0);
    while let Some(Ok(message)) = socket.next().await {
        let Some(text) = message.as_text() else {
            continue;
        };
        let sent = if text.contains("\"session.update\"") {
            socket.send(Message::text(UPDATED)).await
        } else if text.contains("\"response.create\"") {
            let sent = greet(&mut socket, number).await;
            number += 1;
            sent
        } else if let Some(audio) = field(text, "\"audio\":\"") {
            if messages == RESPONSE_MESSAGES {
                for text in done(number) {
                    let _ = socket.send(Message::text(text)).await;
                }
                (number, messages) = (number + 1, 0);
            }
            if messages == 0 {
                for text in begun(number) {
                    let _ = socket.send(Message::text(text)).await;
                }
            }
            messages += 1;
            socket.send(Message::text(delta(number, audio))).await
        } else {
            Ok(())
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The text of a JSON string that follows `before`; base64 holds no escapes.
pub(crate) fn field<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let length = text.get(start..)?.find('"')?;
    text.get(start..start + length)
}
