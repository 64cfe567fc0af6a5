//! The interface: calls are ended, handed over and placed.

use std::io;
use std::sync::{Arc, PoisonError};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::line::{self, Order};
use super::sign::{Document, decode};
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
        let document = field("Twiml").unwrap_or_default();
        let sid = place(shared, to, from, &document);
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

/// The called party answers at once.
fn place(shared: &Arc<Shared>, to: String, from: String, document: &str) -> String {
    let sid = shared.id("CA");
    let (orders, queue) = mpsc::channel(ORDERS_MAX);
    shared.calls().insert(sid.clone(), orders);
    let document = Document::read(document);
    let (shared, call) = (Arc::clone(shared), sid.clone());
    tokio::spawn(async move {
        let mut outcome = Outcome::default();
        let parties = (from, to);
        let script = Script::default();
        let played = line::stream(&shared, &call, &document, &script, queue, &mut outcome).await;
        if let Err(error) = played {
            tracing::info!(%error, from = parties.0, "a placed call broke");
        }
        shared.calls().remove(&call);
        shared
            .placed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(outcome);
    });
    sid
}
