//! The interface: calls are ended, handed over and placed.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::http;
use super::line::{self, Order};
use super::sign::{Document, decode, encode};
use super::{ORDERS_MAX, Outcome, Script, Shared};

/// Longest request that is read, bytes.
const REQUEST_BYTES_MAX: usize = 128 * 1_024;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let _ = connection(stream, shared).await;
        });
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let mut buffer = Vec::new();
    let (head, length) = loop {
        if stream.read_buf(&mut buffer).await? == 0 || buffer.len() > REQUEST_BYTES_MAX {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&buffer);
        if let Some(end) = text.find("\r\n\r\n") {
            let head = text[..end].to_owned();
            let length = header(&head, "content-length").and_then(|text| text.parse().ok());
            break (head, end + 4 + length.unwrap_or(0));
        }
    };
    while buffer.len() < length.min(REQUEST_BYTES_MAX) {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
    let start = head.len() + 4;
    let body = String::from_utf8_lossy(buffer.get(start..length).unwrap_or_default()).into_owned();
    let (status, answer) = answer(&head, &body, &shared).await;
    let text = answer.to_string();
    let reply = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(reply.as_bytes()).await?;
    stream.shutdown().await
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

async fn answer(head: &str, body: &str, shared: &Arc<Shared>) -> (u16, serde_json::Value) {
    let config = &shared.config;
    let pair = format!("{}:{}", config.account_sid, config.auth_token);
    let expected = format!("Basic {}", base64_simd::STANDARD.encode_to_string(pair));
    if header(head, "authorization").as_deref() != Some(expected.as_str()) {
        return (401, json!({"code": 20003, "message": "Authenticate"}));
    }
    let fields: Vec<(String, String)> = body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    let field = |name: &str| {
        fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let path = head.split(' ').nth(1).unwrap_or_default();
    let prefix = format!("/2010-04-01/Accounts/{}/Calls", config.account_sid);
    let Some(rest) = path.strip_prefix(&prefix) else {
        return (404, json!({"code": 20404, "message": "not found"}));
    };
    if rest == ".json" {
        let (Some(to), Some(from)) = (field("To"), field("From")) else {
            return (400, json!({"code": 21201, "message": "No 'To' number"}));
        };
        let wish = Wish {
            document: field("Twiml").unwrap_or_default(),
            callback: field("StatusCallback"),
            ring_s: field("Timeout").and_then(|text| text.parse().ok()),
            to,
            from,
        };
        let sid = place(shared, wish);
        return (201, json!({"sid": sid, "status": "queued"}));
    }
    let sid = rest.trim_start_matches('/').trim_end_matches(".json");
    let order = match (field("Status").as_deref(), field("Twiml")) {
        (Some("completed" | "canceled"), _) => Order::HangUp,
        (_, Some(document)) => Order::Redirect(document),
        _ => return (400, json!({"code": 20001, "message": "nothing to do"})),
    };
    let orders = shared.calls().get(sid).cloned();
    let ended = json!({"code": 21220, "message": "Call is not in-progress. Cannot redirect."});
    match orders {
        Some(orders) if orders.send(order).await.is_ok() => (200, json!({"sid": sid})),
        Some(_) | None => (400, ended),
    }
}

/// A call that is to be placed.
struct Wish {
    to: String,
    from: String,
    document: String,
    callback: Option<String>,
    ring_s: Option<u64>,
}

/// What the called party does: a number that ends with 486 is busy, one that ends with 480 rings and is not answered, any other is
/// answered at once.
fn place(shared: &Arc<Shared>, wish: Wish) -> String {
    let sid = shared.id("CA");
    let (orders, mut queue) = mpsc::channel(ORDERS_MAX);
    shared.calls().insert(sid.clone(), orders);
    let document = Document::read(&wish.document);
    let (shared, call) = (Arc::clone(shared), sid.clone());
    tokio::spawn(async move {
        let mut outcome = Outcome::default();
        let script = Script::default();
        tell(&shared, &wish, &call, "initiated").await;
        let last = if wish.to.ends_with("486") {
            "busy"
        } else if wish.to.ends_with("480") {
            tell(&shared, &wish, &call, "ringing").await;
            let ring = Duration::from_secs(wish.ring_s.unwrap_or(60));
            let ordered = tokio::time::timeout(ring, queue.recv()).await;
            if ordered.is_ok() {
                "interface".clone_into(&mut outcome.ended_by);
                "canceled"
            } else {
                "no-answer"
            }
        } else {
            tell(&shared, &wish, &call, "ringing").await;
            let played = line::stream(&shared, &call, &document, &script, queue, &mut outcome);
            if let Err(error) = played.await {
                tracing::info!(%error, from = wish.from, "a placed call broke");
            }
            "completed"
        };
        tell(&shared, &wish, &call, last).await;
        shared.calls().remove(&call);
        shared
            .placed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(outcome);
    });
    sid
}

/// Tells the address that follows the call, signed as a webhook.
async fn tell(shared: &Shared, wish: &Wish, sid: &str, status: &str) {
    let Some(url) = &wish.callback else { return };
    let fields: Vec<(String, String)> = [
        ("AccountSid", shared.config.account_sid.as_str()),
        ("CallSid", sid),
        ("CallStatus", status),
        ("Direction", "outbound-api"),
        ("From", &wish.from),
        ("To", &wish.to),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let body: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let headers = shared.config.signing.headers(url, &fields);
    let told = http::post(url, None, &headers, &body.join("&")).await;
    if !matches!(told, Ok((200..300, _))) {
        tracing::info!(?told, status, "a status was not taken");
    }
}
