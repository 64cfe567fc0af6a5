//! The generator's callers who come by Media Streams: the webhook is asked, the stream opened, each 20 ms stamped with its time.

use std::time::Duration;

use base64_simd::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};

use crate::echo::field;
use crate::phone::{Figures, MAGIC, micros};

/// What the document of a webhook asks for.
struct Document {
    url: String,
    parameters: serde_json::Map<String, serde_json::Value>,
}

/// One call; `None` when it was not taken.
pub(crate) async fn one(
    webhook: &str,
    index: u64,
    epoch: Instant,
    begin: Instant,
    end: Instant,
) -> Option<Figures> {
    let mut figures = Figures::default();
    let call = format!("CA{index:032x}");
    let asked = Instant::now();
    let document = timeout(Duration::from_secs(8), ask(webhook, index, &call))
        .await
        .ok()??;
    figures.ring_us = Some(micros(asked.elapsed()));
    let mut builder = ClientBuilder::new().uri(&document.url).ok()?;
    builder = builder
        .add_header("user-agent".parse().ok()?, "bench".parse().ok()?)
        .ok()?;
    let host = document.url.strip_prefix("ws://")?.split('/').next()?;
    let tcp = TcpStream::connect(host).await.ok()?;
    tcp.set_nodelay(true).ok()?;
    let (mut socket, _) = builder.connect_on(tcp).await.ok()?;
    let start = serde_json::json!({
        "event": "start", "sequenceNumber": "1", "streamSid": format!("MZ{index}"),
        "start": {
            "accountSid": "AC1", "streamSid": format!("MZ{index}"), "callSid": call, "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": document.parameters,
        },
    });
    socket.send(Message::text(start.to_string())).await.ok()?;
    figures.answer_us = Some(micros(asked.elapsed()));
    talk(&mut socket, index, epoch, begin, end, &mut figures).await?;
    let stop =
        format!(r#"{{"event":"stop","streamSid":"MZ{index}","stop":{{"callSid":"{call}"}}}}"#);
    socket.send(Message::text(stop)).await.ok()?;
    let _ = socket.close().await;
    Some(figures)
}

async fn ask(webhook: &str, index: u64, call: &str) -> Option<Document> {
    let rest = webhook.strip_prefix("http://")?;
    let (host, path) = rest.split_once('/')?;
    let body = format!(
        "CallSid={call}&AccountSid=AC1&From=%2B33{index:08}&To=%2B33900000001&Direction=inbound"
    );
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(host).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let url = field(&answer, " url=\"")?.to_owned();
    let parameters = answer
        .split("<Parameter ")
        .skip(1)
        .filter_map(|tag| {
            let name = field(tag, "name=\"")?;
            Some((name.to_owned(), field(tag, "value=\"")?.into()))
        })
        .collect();
    Some(Document { url, parameters })
}

async fn talk(
    socket: &mut WebSocketStream<TcpStream>,
    index: u64,
    epoch: Instant,
    begin: Instant,
    end: Instant,
    figures: &mut Figures,
) -> Option<()> {
    let mut tick = interval_at(Instant::now(), Duration::from_millis(20));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut frame = [0x55_u8; 160];
    let mut chunk = 0_u64;
    let mut last_arrival: Option<Instant> = None;
    loop {
        tokio::select! {
            due = tick.tick() => {
                let now = Instant::now();
                if now >= end { return Some(()) }
                if now >= begin {
                    figures.late_us_max = figures.late_us_max.max(micros(now.saturating_duration_since(due)));
                }
                frame[..4].copy_from_slice(&MAGIC);
                frame[4..12].copy_from_slice(&u64::try_from((now - epoch).as_micros()).unwrap_or(0).to_be_bytes());
                chunk += 1;
                let payload = STANDARD.encode_to_string(frame);
                let text = format!(
                    r#"{{"event":"media","sequenceNumber":"{}","media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{}","payload":"{payload}"}},"streamSid":"MZ{index}"}}"#,
                    chunk + 1, chunk * 20
                );
                socket.send(Message::text(text)).await.ok()?;
            }
            message = socket.next() => {
                let message = message?.ok()?;
                let Some(text) = message.as_text() else { continue };
                if let Some(name) = field(text, "\"mark\":{\"name\":\"") {
                    let echo = format!(r#"{{"event":"mark","streamSid":"MZ{index}","mark":{{"name":"{name}"}}}}"#);
                    socket.send(Message::text(echo)).await.ok()?;
                    continue;
                }
                let Some(audio) = field(text, "\"payload\":\"").and_then(|text| STANDARD.decode_to_vec(text).ok()) else { continue };
                let now = Instant::now();
                if now < begin || now >= end { last_arrival = Some(now); continue }
                if let Some(last) = last_arrival.replace(now) {
                    figures.gap_us.push(micros(now - last));
                }
                for piece in audio.chunks_exact(160) {
                    figures.received += 1;
                    if piece[..4] == MAGIC {
                        let sent = piece[4..12].try_into().map(u64::from_be_bytes).unwrap_or(0);
                        let elapsed = u64::try_from((now - epoch).as_micros()).unwrap_or(0).saturating_sub(sent);
                        figures.rtt_us.push(u32::try_from(elapsed).unwrap_or(u32::MAX));
                    }
                }
            }
        }
    }
}
