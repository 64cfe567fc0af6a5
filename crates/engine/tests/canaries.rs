//! Secrets that must be found nowhere: each is a canary, and after calls of every kind all that was written is searched.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the event it waits for"
)]

mod common;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use catalog::{Language, Numbers};
use common::phone::Phone;
use common::{House, loopback, profile};
use engine::PlaceCall;
use engine::config::{LineCredentials, Secret};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use sip::AccountConfig;
use store::{CallFilter, TenantScope};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_websockets::{CloseCode, Message, ServerBuilder};
use tracing::field::{Field, Visit};
use tracing::span;

const ENGINE_KEY: &str = "sk-canary-engine-5b1f7a";
const LINE_PASSWORD: &str = "canary-line-password-9c2e";
const CANARIES: [&str; 2] = [ENGINE_KEY, LINE_PASSWORD];

/// Everything that any library logs, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut log = self.0.lock().expect("sound");
        let _ = write!(log, " {}={value:?}", field.name());
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut self.clone());
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
        self.0.lock().expect("sound").push('\n');
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Bytes of every file under a directory.
fn files(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            found.push((path.display().to_string(), bytes));
        }
    }
}

type Seen = Arc<Mutex<Vec<String>>>;

/// An engine that repeats the key it was given: in an error, in the refusal of the settings, in the reason of its closure.
/// From the third connection on it refuses the handshake.
async fn gossip() -> (SocketAddr, Seen) {
    let listener = tokio::net::TcpListener::bind(loopback())
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.expect("a client");
            if number >= 2 {
                let _ = stream.read(&mut [0; 4_096]).await;
                let text = format!("{{\"error\": \"Incorrect API key provided: {ENGINE_KEY}\"}}");
                let head = format!(
                    "HTTP/1.1 401 {ENGINE_KEY}\r\nX-Key: {ENGINE_KEY}\r\nContent-Length: {}\r\n\r\n",
                    text.len()
                );
                let _ = stream.write_all((head + &text).as_bytes()).await;
                continue;
            }
            let Ok((request, mut socket)) = ServerBuilder::new().accept(stream).await else {
                continue;
            };
            let key = request.headers()["authorization"]
                .to_str()
                .expect("text")
                .to_owned();
            kept.lock().expect("sound").push(key.clone());
            let fault = json!({"type": "error", "error": {"type": "invalid_request_error", "code": "x", "message": format!("no {key}")}});
            let failed = json!({"type": "response.done", "response": {"id": "r1", "status": "failed",
                "status_details": {"type": "failed", "error": {"code": "y", "message": format!("never {key}")}}}});
            let session = json!({"id": "s", "object": "realtime.session", "type": "realtime"});
            let words = [
                json!({"type": "session.created", "session": session}),
                json!({"type": "session.updated", "session": session}),
                fault,
                json!({"type": "response.created", "response": {"id": "r1", "status": "in_progress"}}),
                failed,
            ];
            for word in words {
                let _ = socket.send(Message::text(word.to_string())).await;
            }
            // A session is kept until something was said to it, then it ends with a reason.
            for _ in 0..10 {
                let _ = socket.next().await;
            }
            let close = Message::close(
                Some(CloseCode::INTERNAL_SERVER_ERROR),
                &format!("bad {ENGINE_KEY}"),
            );
            let _ = socket.send(close).await;
        }
    });
    (address, seen)
}

/// A registrar that answers 401 to everything, and keeps what it was asked.
async fn registrar() -> (SocketAddr, Seen) {
    let socket = tokio::net::UdpSocket::bind(loopback())
        .await
        .expect("a port");
    let address = socket.local_addr().expect("bound");
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_535];
        while let Ok((count, peer)) = socket.recv_from(&mut buffer).await {
            let request = String::from_utf8_lossy(&buffer[..count]).into_owned();
            let copied: String = request
                .lines()
                .filter(|line| {
                    ["Via:", "From:", "To:", "Call-ID:", "CSeq:"]
                        .iter()
                        .any(|name| line.starts_with(name))
                })
                .map(|line| format!("{line}\r\n"))
                .collect();
            kept.lock().expect("sound").push(request);
            let answer = format!(
                "SIP/2.0 401 Unauthorized\r\n{copied}WWW-Authenticate: Digest realm=\"canary\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\r\nContent-Length: 0\r\n\r\n"
            );
            let _ = socket.send_to(answer.as_bytes(), peer).await;
        }
    });
    (address, seen)
}

#[expect(
    clippy::too_many_lines,
    reason = "one story: what is done, what was written, what is searched"
)]
#[tokio::test]
async fn secrets_are_found_in_no_log_journal_explanation_figure_or_file() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).expect("the only one");
    let (engine, authorizations) = gossip().await;
    let (registrar, registered) = registrar().await;
    let mut house = House::open(&format!("ws://{engine}/v1/realtime"), profile(), |config| {
        config.agents[0].engine.realtime.key = Secret::new(ENGINE_KEY);
        let mut registered = config.lines[0].clone();
        registered.name = "registered".to_owned();
        registered.allow.clear();
        let mut account = AccountConfig::new("sip:bob@127.0.0.1", "bob", LINE_PASSWORD);
        account.registrar = Some(format!("sip:{registrar}"));
        registered.account = Some(account);
        registered.credentials = Some(LineCredentials {
            realm: "allo.test".to_owned(),
            username: "bob".to_owned(),
            password: Secret::new(LINE_PASSWORD),
        });
        config.lines.push(registered);
    })
    .await;
    // A call whose engine quotes the key in every way that it has, and then refuses it.
    let mut phone = Phone::new(house.udp()).await;
    if phone.call("0").await.status() == 200 {
        tokio::select! {
            _ = house.ended() => {}
            () = async { loop { phone.listen(100).await; } } => {}
        }
    }
    // One out, which the other side challenges.
    let to = format!("sip:x@{registrar}");
    let line = "registered".to_owned();
    let placed = house
        .engine
        .place_call(PlaceCall {
            line,
            to,
            ..PlaceCall::default()
        })
        .await;
    if placed.is_ok() {
        house.ended().await;
    }
    let mut written = vec![
        (
            "figures".to_owned(),
            house.engine.metrics_text().into_bytes(),
        ),
        (
            "registrations".to_owned(),
            format!("{:?}", house.engine.registrations().await).into_bytes(),
        ),
    ];
    house.engine.drain(std::time::Duration::from_secs(1)).await;
    let scope = TenantScope::default();
    let page = house
        .store
        .list_calls(&scope, &CallFilter::default(), None)
        .await
        .expect("a list");
    assert!(!page.calls.is_empty());
    for record in &page.calls {
        let id = call::CallId::from(record.id.clone());
        let events = house.store.events(&scope, &id).await.expect("a journal");
        let transcript = house
            .store
            .transcript(&scope, &id)
            .await
            .expect("a transcript");
        written.push((
            format!("record {}", record.id),
            format!("{record:?}").into_bytes(),
        ));
        written.push((
            format!("journal {}", record.id),
            format!("{events:?}").into_bytes(),
        ));
        let explanation = store::explain::explain(record, &events, &transcript);
        for language in [Language::Fr, Language::En] {
            let text = explanation.text(language, Numbers::Shown);
            let json = explanation.json(language, Numbers::Shown).to_string();
            written.push((
                format!("explanation {}", record.id),
                (text + &json).into_bytes(),
            ));
        }
    }
    house.store.close().await;
    files(house.directory.path(), &mut written);
    let log = log.0.lock().expect("sound").clone();
    assert!(log.contains("log_call_ended"), "the log is really captured");
    written.push(("log".to_owned(), log.into_bytes()));
    // The secrets were really used, or this test shows nothing.
    let seen = authorizations.lock().expect("sound").clone();
    assert!(seen.contains(&format!("Bearer {ENGINE_KEY}")), "{seen:?}");
    let registered = registered.lock().expect("sound").join("\n");
    let response = registered
        .split("response=\"")
        .nth(1)
        .expect("a digest was sent");
    let digest = response.split('"').next().expect("a value");
    assert_eq!(digest.len(), 32);
    for (what, bytes) in &written {
        for canary in CANARIES.iter().chain([&digest]) {
            let found = bytes
                .windows(canary.len())
                .position(|window| window == canary.as_bytes());
            assert!(
                found.is_none(),
                "{canary} is in {what}: {}",
                excerpt(bytes, found)
            );
        }
    }
}

fn excerpt(bytes: &[u8], at: Option<usize>) -> String {
    let at = at.unwrap_or(0);
    let range = at.saturating_sub(200)..(at + 100).min(bytes.len());
    String::from_utf8_lossy(&bytes[range]).into_owned()
}
