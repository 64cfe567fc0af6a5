//! A tiny Realtime engine that does what its script says, one behaviour per connection.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use media::{Law, tone};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_websockets::{Message, ServerBuilder, WebSocketStream};

/// Frequency of the fake agent's voice.
pub const VOICE_HZ: f32 = 1_000.0;

#[derive(Clone, Copy, Debug)]
pub enum Behaviour {
    /// Answers every `response.create` with this much audio.
    Speak { ms: usize },
    /// As `Speak`, then drops the connection after this many audio messages of the caller.
    SpeakThenDrop { ms: usize, after: usize },
    /// As `Speak`; reports the caller's speech after this many audio messages of the caller.
    Interrupt { ms: usize, after: usize },
    /// As `Speak`, with a session that expires after this many seconds.
    Expire { ms: usize, in_s: u64 },
    /// Refuses the handshake.
    Refuse(u16),
    /// Accepts, and never becomes ready.
    Mute,
}

#[derive(Default)]
pub struct Seen {
    pub connections: usize,
    /// Types of the client events, appended audio left out.
    pub events: Vec<String>,
    pub bodies: Vec<Value>,
    pub audio_messages: usize,
    pub authorization: Vec<String>,
}

#[derive(Clone)]
pub struct FakeEngine {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Seen>>,
    pub news: Arc<Notify>,
}

impl FakeEngine {
    pub async fn start(behaviours: &[Behaviour]) -> Self {
        let listener = TcpListener::bind(super::loopback()).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let engine = Self {
            address,
            seen: Arc::default(),
            news: Arc::default(),
        };
        let mut script: VecDeque<Behaviour> = behaviours.iter().copied().collect();
        let shared = engine.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let behaviour = if script.len() > 1 {
                    script.pop_front()
                } else {
                    script.front().copied()
                };
                let behaviour = behaviour.expect("a behaviour");
                shared.seen.lock().expect("sound").connections += 1;
                tokio::spawn(shared.clone().serve(stream, behaviour));
            }
        });
        engine
    }

    pub fn url(&self) -> String {
        format!("ws://{}/v1/realtime", self.address)
    }

    /// Waits until what was seen satisfies a condition.
    pub async fn until(&self, what: &str, condition: impl Fn(&Seen) -> bool) {
        super::within(what, async {
            loop {
                let news = self.news.notified();
                if condition(&self.seen.lock().expect("sound")) {
                    return;
                }
                news.await;
            }
        })
        .await;
    }

    #[expect(clippy::too_many_lines, reason = "one script, read from top to bottom")]
    async fn serve(self, mut stream: TcpStream, behaviour: Behaviour) {
        if let Behaviour::Refuse(status) = behaviour {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").as_bytes())
                .await;
            self.news.notify_waiters();
            return;
        }
        let Ok((request, mut socket)) = ServerBuilder::new().accept(stream).await else {
            return;
        };
        if let Some(value) = request.headers().get("authorization") {
            let value = value.to_str().expect("text").to_owned();
            self.seen.lock().expect("sound").authorization.push(value);
        }
        let mut session = json!({"id": "sess_1", "object": "realtime.session", "type": "realtime"});
        if let Behaviour::Expire { in_s, .. } = behaviour {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .expect("a clock");
            session["expires_at"] = json!(now.as_secs() + in_s);
        }
        send(
            &mut socket,
            json!({"type": "session.created", "event_id": "e1", "session": session}),
        )
        .await;
        let mut responses = 0;
        let mut audio = 0;
        while let Some(Ok(message)) = socket.next().await {
            let Some(text) = message.as_text() else {
                continue;
            };
            let event: Value = serde_json::from_str(text).expect("the client sends JSON");
            let name = event["type"].as_str().unwrap_or_default().to_owned();
            {
                let mut seen = self.seen.lock().expect("sound");
                if name == "input_audio_buffer.append" {
                    seen.audio_messages += 1;
                    audio += 1;
                } else {
                    seen.events.push(name.clone());
                    seen.bodies.push(event);
                }
            }
            self.news.notify_waiters();
            let (ms, drop_after) = match behaviour {
                Behaviour::Speak { ms }
                | Behaviour::Interrupt { ms, .. }
                | Behaviour::Expire { ms, .. } => (ms, usize::MAX),
                Behaviour::SpeakThenDrop { ms, after } => (ms, after),
                Behaviour::Refuse(_) | Behaviour::Mute => continue,
            };
            match name.as_str() {
                "session.update" => {
                    send(
                        &mut socket,
                        json!({"type": "session.updated", "event_id": "e2", "session": session}),
                    )
                    .await;
                }
                "response.create" => {
                    responses += 1;
                    speak(&mut socket, responses, ms).await;
                }
                _ => {}
            }
            if let Behaviour::Interrupt { after, .. } = behaviour
                && audio == after
                && name == "input_audio_buffer.append"
            {
                let event = json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 100, "item_id": "user_1"});
                send(&mut socket, event).await;
            }
            if audio >= drop_after {
                return;
            }
        }
    }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, event: Value) {
    let _ = socket.send(Message::text(event.to_string())).await;
}

async fn speak(socket: &mut WebSocketStream<TcpStream>, number: usize, ms: usize) {
    let response = format!("resp_{number}");
    let item = format!("item_{number}");
    send(
        socket,
        json!({"type": "response.created", "response": {"id": response, "status": "in_progress"}}),
    )
    .await;
    send(socket, json!({"type": "response.output_item.added", "response_id": response, "output_index": 0, "item": {"id": item, "type": "message", "role": "assistant"}})).await;
    let mut audio = vec![0; ms * 8];
    tone::Sine::new(VOICE_HZ, 8_000.0).fill_coded(Law::Pcmu, &mut audio);
    let ids = |kind: &str| json!({"type": kind, "response_id": response, "item_id": item, "output_index": 0, "content_index": 0});
    for piece in audio.chunks(1_600) {
        let mut event = ids("response.output_audio.delta");
        event["delta"] = json!(base64(piece));
        send(socket, event).await;
    }
    send(socket, ids("response.output_audio.done")).await;
    let mut transcript = ids("response.output_audio_transcript.done");
    transcript["transcript"] = json!("Hello.");
    send(socket, transcript).await;
    send(socket, json!({"type": "response.done", "response": {"id": response, "status": "completed", "output": []}})).await;
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, index| {
            word << 8 | u32::from(chunk.get(index).copied().unwrap_or(0))
        });
        for index in 0..4 {
            let six = (word >> (18 - 6 * index)) & 63;
            let character = if index <= chunk.len() {
                ALPHABET[six as usize]
            } else {
                b'='
            };
            out.push(char::from(character));
        }
    }
    out
}
