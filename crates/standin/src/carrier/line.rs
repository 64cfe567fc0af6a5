//! One call of the carrier.

use std::collections::BTreeSet;
use std::f32::consts::TAU;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};

use super::queue::{PlayQueue, TICK_BYTES, as_ms};
use super::sign::{Document, encode};
use super::{ORDERS_MAX, Outcome, Script, Shared, http};
use crate::law::ulaw_encode;

const TICK: Duration = Duration::from_millis(20);
/// Pitch of what the caller says, Hz.
const VOICE_HZ: f32 = 1_200.0;
/// How long an agent speaks before it is interrupted, and how much longer each time.
const INTERRUPTED_AFTER_MS: u64 = 1_000;
/// See [`INTERRUPTED_AFTER_MS`].
const INTERRUPTED_LATER_MS: u64 = 137;

/// What the interface asks of a call.
#[derive(Debug)]
pub(super) enum Order {
    HangUp,
    Redirect(String),
}

/// A call comes in.
pub(super) async fn incoming(
    shared: &Arc<Shared>,
    webhook: &str,
    from: &str,
    to: &str,
    script: &Script,
) -> io::Result<Outcome> {
    let config = &shared.config;
    let sid = shared.id("CA");
    let fields: Vec<(String, String)> = [
        ("AccountSid", config.account_sid.as_str()),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", &sid),
        ("CallStatus", "ringing"),
        ("Called", to),
        ("Caller", from),
        ("Direction", "inbound"),
        ("From", from),
        ("To", to),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let body: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let (_, path) = http::split(webhook).ok_or(io::ErrorKind::InvalidInput)?;
    let signed_url = match &config.public_url {
        Some(origin) => format!("{}{path}", origin.trim_end_matches('/')),
        None => webhook.to_owned(),
    };
    let headers = config.signing.headers(&signed_url, &fields);
    let (orders, queue) = mpsc::channel(ORDERS_MAX);
    shared.calls().insert(sid.clone(), orders);
    let mut outcome = Outcome::default();
    let (status, text) = http::post(webhook, None, &headers, &body.join("&")).await?;
    outcome.webhook_status = status;
    let document = Document::read(&text);
    outcome.document = text;
    if status == 200 && document.stream.is_some() {
        let near = near_address(
            webhook,
            document.stream.as_deref(),
            config.public_url.as_deref(),
        );
        let document = Document {
            stream: document.stream,
            ..document
        };
        stream_to(shared, &sid, near, &document, script, queue, &mut outcome).await?;
    }
    shared.calls().remove(&sid);
    Ok(outcome)
}

/// Where the stream is really reached: a public origin that only exists on paper is the webhook's host.
fn near_address(webhook: &str, stream: Option<&str>, public: Option<&str>) -> Option<String> {
    let (host, _) = http::split(webhook)?;
    let (named, _) = http::split(stream?)?;
    Some(if public.is_some() { host } else { named })
}

/// Opens the stream of a document and plays the script.
pub(super) async fn stream(
    shared: &Arc<Shared>,
    sid: &str,
    document: &Document,
    script: &Script,
    orders: mpsc::Receiver<Order>,
    outcome: &mut Outcome,
) -> io::Result<()> {
    let near = document
        .stream
        .as_deref()
        .and_then(http::split)
        .map(|(host, _)| host);
    stream_to(shared, sid, near, document, script, orders, outcome).await
}

async fn stream_to(
    shared: &Arc<Shared>,
    sid: &str,
    near: Option<String>,
    document: &Document,
    script: &Script,
    orders: mpsc::Receiver<Order>,
    outcome: &mut Outcome,
) -> io::Result<()> {
    let url = document.stream.clone().unwrap_or_default();
    let (near, (_, path)) = near
        .zip(http::split(&url))
        .ok_or(io::ErrorKind::InvalidInput)?;
    let mut builder = ClientBuilder::new()
        .uri(&format!("ws://{near}{path}"))
        .map_err(io::Error::other)?;
    for (name, value) in shared.config.stream_signing.headers(&url, &[]) {
        let value = value.parse().map_err(io::Error::other)?;
        let name = name.parse().map_err(io::Error::other)?;
        builder = builder.add_header(name, value).map_err(io::Error::other)?;
    }
    let tcp = TcpStream::connect(&near).await?;
    tcp.set_nodelay(true)?;
    let socket = match builder.connect_on(tcp).await {
        Ok((socket, _)) => socket,
        Err(tokio_websockets::Error::Upgrade(
            tokio_websockets::upgrade::Error::DidNotSwitchProtocols(status),
        )) => {
            outcome.stream_status = status;
            return Ok(());
        }
        Err(error) => return Err(io::Error::other(error)),
    };
    outcome.stream_status = 101;
    let now = Instant::now();
    let mut call = Call {
        socket,
        id: shared.id("MZ"),
        sequence: 0,
        ticks: 0,
        queue: PlayQueue::new(now),
        began: now,
        saying: 0,
        said: 0,
        interrupted: 0,
        quiet_since: now,
        digits: script.digits.chars().rev().collect(),
        names: BTreeSet::new(),
        outcome,
    };
    let start = json!({
        "accountSid": shared.config.account_sid, "streamSid": call.id, "callSid": sid, "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": document.parameters.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    });
    let connected = json!({"event": "connected", "protocol": "Call", "version": "1.0.0"});
    call.send(&connected).await?;
    call.event("start", &[("start", start)]).await?;
    call.run(sid, &shared.config.account_sid, script, orders)
        .await;
    call.finish();
    Ok(())
}

struct Call<'a> {
    socket: WebSocketStream<TcpStream>,
    id: String,
    sequence: u64,
    ticks: u64,
    queue: PlayQueue,
    began: Instant,
    /// Samples of the caller's word that are still to be sent.
    saying: u32,
    said: u32,
    interrupted: u32,
    quiet_since: Instant,
    digits: Vec<char>,
    names: BTreeSet<String>,
    outcome: &'a mut Outcome,
}

impl Call<'_> {
    async fn send(&mut self, message: &Value) -> io::Result<()> {
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .map_err(io::Error::other)
    }

    async fn event(&mut self, name: &str, fields: &[(&str, Value)]) -> io::Result<()> {
        self.sequence += 1;
        let mut message = json!({
            "event": name,
            "sequenceNumber": self.sequence.to_string(),
            "streamSid": self.id,
        });
        for (name, value) in fields {
            message[*name] = value.clone();
        }
        self.send(&message).await
    }

    /// Runs to the end of the call.
    async fn run(
        &mut self,
        sid: &str,
        account: &str,
        script: &Script,
        mut orders: mpsc::Receiver<Order>,
    ) {
        let ended_by = loop {
            let next = self.began + TICK * u32::try_from(self.ticks).unwrap_or(u32::MAX);
            tokio::select! {
                biased;
                Some(order) = orders.recv() => {
                    self.outcome.asked = match order {
                        Order::HangUp => "completed".to_owned(),
                        Order::Redirect(document) => document,
                    };
                    break "interface";
                }
                () = tokio::time::sleep_until(next.into()) => {
                    // Where this task comes late, what arrived in the meantime was there before.
                    if self.take_waiting().await.is_err() {
                        break "agent";
                    }
                    if self.tick(next, script).await.is_err() {
                        break "agent";
                    }
                    let over = self.began.elapsed() >= script.lasts;
                    if over || (script.interruptions > 0 && self.interrupted > script.interruptions) {
                        break "caller";
                    }
                }
                message = self.socket.next() => {
                    if self.received(message).await.is_err() {
                        break "agent";
                    }
                }
            }
        };
        ended_by.clone_into(&mut self.outcome.ended_by);
        if ended_by != "agent" {
            let stop = json!({"accountSid": account, "callSid": sid});
            let _ = self.event("stop", &[("stop", stop)]).await;
            let _ = self.socket.close().await;
        }
    }

    /// One message of the socket; an error is its end.
    async fn received(
        &mut self,
        message: Option<Result<Message, tokio_websockets::Error>>,
    ) -> io::Result<()> {
        let closed = || Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        match message {
            Some(Ok(message)) if message.is_close() => closed(),
            Some(Ok(message)) => match message.as_text() {
                Some(text) => {
                    let value: Value = serde_json::from_str(text).unwrap_or_default();
                    self.take(&value).await
                }
                None => Ok(()),
            },
            Some(Err(_)) | None => closed(),
        }
    }

    async fn take_waiting(&mut self) -> io::Result<()> {
        while let Some(message) = self.socket.next().now_or_never() {
            self.received(message).await?;
        }
        Ok(())
    }

    /// 20 ms: plays, speaks.
    async fn tick(&mut self, due: Instant, script: &Script) -> io::Result<()> {
        let now = Instant::now();
        let late = as_ms(now.saturating_duration_since(due));
        self.outcome.late_ms_max = self.outcome.late_ms_max.max(late);
        // The queue plays by the clock, also where this tick comes late.
        for name in self.queue.tick(due) {
            self.event("mark", &[("mark", json!({ "name": name }))])
                .await?;
        }
        self.decide(due, script);
        let payload = base64_simd::STANDARD.encode_to_string(self.voice());
        let media = json!({
            "track": "inbound",
            "chunk": (self.ticks + 1).to_string(),
            "timestamp": (self.ticks * 20).to_string(),
            "payload": payload,
        });
        self.ticks += 1;
        self.event("media", &[("media", media)]).await?;
        if self.outcome.first_audio_ms.is_some()
            && self.ticks.is_multiple_of(25)
            && let Some(digit) = self.digits.pop()
        {
            let dtmf = json!({"track": "inbound_track", "digit": digit.to_string()});
            self.event("dtmf", &[("dtmf", dtmf)]).await?;
        }
        Ok(())
    }

    /// Whether the caller begins to speak now.
    fn decide(&mut self, now: Instant, script: &Script) {
        let Some(after) = script.speaks_after else {
            return;
        };
        let at_ms = as_ms(now.saturating_duration_since(self.began));
        let speaks = match self.queue.sounding() {
            Some(stretch) => {
                self.quiet_since = now;
                let long =
                    INTERRUPTED_AFTER_MS + INTERRUPTED_LATER_MS * u64::from(self.interrupted);
                let interrupts = script.interruptions > 0
                    && stretch.to_ms.saturating_sub(stretch.from_ms) >= long
                    && self
                        .outcome
                        .said_ms
                        .last()
                        .is_none_or(|said| *said < stretch.from_ms);
                self.interrupted += u32::from(interrupts);
                interrupts && self.interrupted <= script.interruptions
            }
            None => {
                let quiet = now.saturating_duration_since(self.quiet_since) >= after;
                if quiet {
                    self.quiet_since = now + after;
                }
                quiet
            }
        };
        if speaks && self.saying == 0 {
            self.saying = script.says_ms * 8;
            self.said = 0;
            self.outcome.said_ms.push(at_ms);
        }
    }

    fn voice(&mut self) -> [u8; TICK_BYTES] {
        let mut frame = [0xFF; TICK_BYTES];
        for byte in &mut frame {
            if self.saying == 0 {
                break;
            }
            self.saying -= 1;
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "a tone"
            )]
            let sample = ((TAU * VOICE_HZ * self.said as f32 / 8_000.0).sin() * 12_000.0) as i16;
            *byte = ulaw_encode(sample);
            self.said += 1;
        }
        frame
    }

    /// A message from the agent's side.
    async fn take(&mut self, message: &Value) -> io::Result<()> {
        let now = Instant::now();
        if message["streamSid"] != self.id.as_str() {
            self.outcome.wrong_messages += 1;
            return Ok(());
        }
        match message["event"].as_str().unwrap_or_default() {
            "media" => {
                let payload = message["media"]["payload"].as_str().unwrap_or_default();
                let Ok(audio) = base64_simd::STANDARD.decode_to_vec(payload) else {
                    self.outcome.wrong_messages += 1;
                    return Ok(());
                };
                let since = as_ms(now.saturating_duration_since(self.began));
                self.outcome.first_audio_ms.get_or_insert(since);
                self.outcome.media += 1;
                self.outcome.media_ms_max = self.outcome.media_ms_max.max(audio.len() as u64 / 8);
                self.queue.push(now, audio);
            }
            "mark" => {
                let name = message["mark"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                self.outcome.marks += 1;
                if name.is_empty() || !self.names.insert(name.clone()) {
                    self.outcome.wrong_marks += 1;
                }
                if let Some(name) = self.queue.mark(name) {
                    self.event("mark", &[("mark", json!({ "name": name }))])
                        .await?;
                }
            }
            "clear" => {
                self.outcome.clears += 1;
                let since = as_ms(now.saturating_duration_since(self.began));
                self.outcome.clears_ms.push(since);
                for name in self.queue.clear() {
                    self.event("mark", &[("mark", json!({ "name": name }))])
                        .await?;
                }
            }
            _ => self.outcome.wrong_messages += 1,
        }
        Ok(())
    }

    fn finish(mut self) {
        self.queue.finish();
        self.outcome.played_ms = self.queue.played / 8;
        self.outcome.deepest_ms = self.queue.deepest_ms;
        self.outcome.underruns = self.queue.underruns;
        self.outcome.holes_ms = std::mem::take(&mut self.queue.holes_ms);
        self.outcome.stretches = std::mem::take(&mut self.queue.stretches);
    }
}
