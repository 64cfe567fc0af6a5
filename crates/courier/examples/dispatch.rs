//! What a tool's request costs beside the network: `cargo run --release -p courier --example dispatch -- [requests]`.
//!
//! A server on loopback answers 200 bytes of JSON at once. Three clients in the same run, one request after the other on a kept
//! connection: a bare socket (the floor), reqwest as it comes, and the courier with guard, headers, signature and bounds.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement for people"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agent::{HttpCall, Method, ToolReply};
use courier::{Allow, Caller, Courier, CourierConfig, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = r#"{"restaurantId":"0198","mode":"delivery","customerAddress":"12 rue de la République","customerCity":"Marseille"}"#;

async fn serve(listener: TcpListener) {
    let body = format!(
        r#"{{"available":true,"estimatedTime":"20:15","note":"{}"}}"#,
        "a".repeat(150)
    );
    let reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    while let Ok((mut stream, _)) = listener.accept().await {
        let reply = reply.clone();
        tokio::spawn(async move {
            stream.set_nodelay(true).unwrap();
            let mut bytes = Vec::new();
            let mut part = [0; 4096];
            loop {
                // Each request here is one body of known length: it is complete when the body's end has come.
                while !bytes.ends_with(b"Marseille\"}") {
                    match stream.read(&mut part).await {
                        Ok(0) | Err(_) => return,
                        Ok(count) => bytes.extend_from_slice(&part[..count]),
                    }
                }
                bytes.clear();
                if stream.write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = (times.len() as f64 * share) as usize;
        times[index.min(times.len() - 1)].as_secs_f64() * 1e6
    };
    println!(
        "{name:<28} p50 {:>7.1} µs   p99 {:>7.1} µs",
        at(0.5),
        at(0.99)
    );
}

async fn floor(address: SocketAddr, requests: usize) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!(
        "POST /x HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut part = [0; 4096];
    let mut times = Vec::new();
    for _ in 0..requests {
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        let count = stream.read(&mut part).await.unwrap();
        times.push(began.elapsed());
        assert!(part[..count].ends_with(b"\"}"));
    }
    times
}

async fn plain(address: SocketAddr, requests: usize) -> Vec<Duration> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut times = Vec::new();
    for _ in 0..requests {
        let began = Instant::now();
        let reply = client
            .post(format!("http://{address}/x"))
            .body(BODY)
            .send()
            .await
            .unwrap();
        let text = reply.text().await.unwrap();
        times.push(began.elapsed());
        assert!(text.ends_with("\"}"));
    }
    times
}

async fn guarded(address: SocketAddr, requests: usize) -> Vec<Duration> {
    let config = CourierConfig {
        allow: Allow::parse(&[format!("http://{address}")]).unwrap(),
        ..CourierConfig::default()
    };
    let courier = Courier::new(config).unwrap();
    let caller = Caller {
        tenant: "tenant".to_owned(),
        agent: Some("agent".to_owned()),
        call: Some("call".to_owned()),
        signing_secret: Some(Secret::new("a secret")),
        hosts: Vec::new(),
        traceparent: None,
    };
    let mut times = Vec::new();
    for number in 0..requests {
        let call = HttpCall {
            method: Method::Post,
            url: format!("http://{address}/x"),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Some(BODY.to_owned()),
            timeout_ms: 10_000,
            idempotency_key: Some(format!("key-{number}")),
            safe_to_retry: false,
        };
        let began = Instant::now();
        let reply = courier.run(&call, &caller).await;
        times.push(began.elapsed());
        assert!(matches!(reply, ToolReply::Http { status: 200, .. }));
    }
    times
}

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let requests = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(5_000);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener));
    for round in 1..=3 {
        println!("round {round}, {requests} requests each");
        report("bare socket (floor)", floor(address, requests).await);
        report("reqwest as it comes", plain(address, requests).await);
        report("courier", guarded(address, requests).await);
    }
}
