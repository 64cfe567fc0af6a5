//! An application as the far end: its WebSocket around the carrier's side of Media Streams.

use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use call::EndReason;
use http::Uri;
use media::frame::FRAME_SAMPLES;
use media::{Gain, ItemKey, Reform};
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_websockets::{ClientBuilder, CloseCode, Limits, Message};
use wire::twilio::carrier::{APPLICATION_MESSAGE_BYTES_MAX, CarrierSide, Order, StreamIds};

use super::{FAR_FORM, item};
use crate::leg::audio::LegAudio;
use crate::switchboard::ApplicationEnd;
use crate::web_pipe::{StreamIo, WebPipe};

/// Name, TCP, TLS and handshake together.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct ApplicationIo {
    pipe: WebPipe,
    side: CarrierSide,
    segment: u64,
    item: ItemKey,
    /// On the way to the form of the leg.
    said: Option<Reform>,
    /// Frames of the telephone that the application did not take in time.
    dropped: u64,
    cleared: u64,
}

/// Calls the application as Twilio does: `connected` and `start` are the first things that it hears.
pub(super) async fn connect(
    end: ApplicationEnd,
    connector: TlsConnector,
) -> Result<ApplicationIo, String> {
    match tokio::time::timeout(CONNECT_WITHIN, open(&end.url, &connector)).await {
        Ok(Ok(pipe)) => {
            let stream = format!("MZ{}", uuid::Uuid::new_v4().simple());
            let ids = StreamIds {
                stream,
                call: end.call_sid,
                account: end.account_sid,
            };
            let mut application = ApplicationIo {
                pipe,
                side: CarrierSide::new(ids, &end.parameters),
                segment: 0,
                item: item(0),
                said: None,
                dropped: 0,
                cleared: 0,
            };
            application.send();
            Ok(application)
        }
        Ok(Err(detail)) => Err(detail),
        Err(_) => Err(format!("no answer within {} s", CONNECT_WITHIN.as_secs())),
    }
}

async fn open(url: &str, connector: &TlsConnector) -> Result<WebPipe, String> {
    let uri: Uri = url.parse().map_err(|_| "not an address".to_owned())?;
    let tls = match uri.scheme_str() {
        Some("ws" | "http") => false,
        Some("wss" | "https") => true,
        _ => return Err("not a ws:// or wss:// address".to_owned()),
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let words = |error: io::Error| error.to_string();
    let stream = TcpStream::connect((host, port)).await.map_err(words)?;
    stream.set_nodelay(true).map_err(words)?;
    let io: Box<dyn StreamIo> = if tls {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        Box::new(connector.connect(name, stream).await.map_err(words)?)
    } else {
        Box::new(stream)
    };
    let limits = Limits::default().max_payload_len(Some(APPLICATION_MESSAGE_BYTES_MAX));
    let (socket, _) = ClientBuilder::from_uri(uri.clone())
        .limits(limits)
        .connect_on(io)
        .await
        .map_err(|error| error.to_string())?;
    Ok(WebPipe::new(socket))
}

impl ApplicationIo {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pipe.poll_receive(cx)
    }

    pub(super) fn receive(&mut self) {
        while let Some(message) = self.pipe.take() {
            if let Some(text) = message.as_text() {
                self.side.handle_text(text);
            }
        }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.side.begin(now);
    }

    pub(super) fn hear(&mut self, now: Instant, audio: &[u8; FRAME_SAMPLES]) {
        // What a slow application does not take is lost, and the call goes on in real time.
        if self.pipe.is_blocked() {
            self.dropped += 1;
        } else {
            self.side.hear(now, audio);
        }
    }

    pub(super) fn press(&mut self, digit: char) {
        self.side.press(digit);
    }

    pub(super) fn speak(
        &mut self,
        now: Instant,
        media: &mut LegAudio,
        gain: Option<&Gain>,
    ) -> Option<EndReason> {
        while let Some(order) = self.side.poll_order() {
            match order {
                Order::Play { segment, mut audio } => {
                    if segment != self.segment {
                        self.segment = segment;
                        self.item = item(segment);
                    }
                    if let Some(gain) = gain {
                        gain.apply(&mut audio);
                    }
                    let reform = Reform::between(&mut self.said, FAR_FORM, media.form());
                    // Never full: the state machine's own bound is lower.
                    let _ = media.push(&self.item, reform.convert(&audio));
                }
                Order::Clear => {
                    self.cleared += 1;
                    media.clear(now);
                }
                Order::HangUp => return Some(EndReason::AgentHungUp),
            }
        }
        None
    }

    pub(super) fn played(&mut self, media: &mut LegAudio) {
        if let Some(segment) = self.side.playing()
            && segment == self.segment
            && let Some(leg) = media.sdp()
            && let Some(played_ms) = leg.stream.playout().played_ms(&self.item)
        {
            self.side.played(segment, played_ms.into());
        }
    }

    pub(super) fn send(&mut self) {
        while let Some(text) = self.side.poll_output() {
            self.pipe.queue(Message::text(text));
        }
    }

    /// An application that closes its stream hangs up, as with Twilio; one that is lost, or takes nothing any more, is a failure.
    pub(super) fn over(&self, now: Instant) -> Option<EndReason> {
        if !self.pipe.is_over(now) {
            return None;
        }
        Some(if self.pipe.said_goodbye() {
            EndReason::AgentHungUp
        } else {
            EndReason::EngineLost
        })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.pipe.gives_up_at().or_else(|| self.side.poll_timeout())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if !self.pipe.is_blocked() {
            self.side.handle_timeout(now);
        }
    }

    pub(super) fn figures(&self) -> serde_json::Value {
        let counters = self.side.counters();
        json!({
            "kind": "application",
            "stream": self.side.ids().stream,
            "clears": self.cleared,
            "malformed": counters.malformed,
            "ignored": counters.ignored,
            "bad_audio": counters.bad_audio,
            "overflow": counters.overflow,
            "filled": counters.filled,
            "late": counters.late,
            "dropped": self.dropped,
        })
    }

    pub(super) async fn close(mut self) {
        self.side.stop();
        self.send();
        self.pipe.close(CloseCode::NORMAL_CLOSURE).await;
    }
}
