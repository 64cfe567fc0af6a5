//! Servers that misbehave on purpose, and a name server that changes its mind. Raw sockets: nothing here is polite by accident.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its part"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{HttpCall, Method};
use courier::{Allow, Caller, Courier, CourierConfig, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: String,
    pub body: String,
}

impl Seen {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or("")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

type Answer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A server that reads requests and does with the connection what the test says.
pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub connections: Arc<AtomicUsize>,
}

impl Server {
    /// `answer` gets the number of the request (from 0), the request and the socket; it must finish before the next request of
    /// that connection is read.
    pub async fn start<F>(answer: F) -> Self
    where
        F: Fn(usize, Seen, Arc<tokio::sync::Mutex<TcpStream>>) -> Answer + Send + Sync + 'static,
    {
        Self::on(Ipv4Addr::LOCALHOST, 0, answer).await
    }

    pub async fn on<F>(ip: Ipv4Addr, port: u16, answer: F) -> Self
    where
        F: Fn(usize, Seen, Arc<tokio::sync::Mutex<TcpStream>>) -> Answer + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let connections = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(answer);
        let (all, count) = (Arc::clone(&seen), Arc::clone(&connections));
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                count.fetch_add(1, Ordering::SeqCst);
                let (all, answer) = (Arc::clone(&all), Arc::clone(&answer));
                tokio::spawn(async move {
                    let stream = Arc::new(tokio::sync::Mutex::new(stream));
                    while let Some(request) = read_request(&stream).await {
                        let number = {
                            let mut all = all.lock().unwrap();
                            all.push(request.clone());
                            all.len() - 1
                        };
                        answer(number, request, Arc::clone(&stream)).await;
                    }
                });
            }
        });
        Self {
            address,
            seen,
            connections,
        }
    }

    /// Answers every request with these bytes and leaves the connection open.
    pub async fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = Arc::new(bytes.into());
        Self::start(move |_, _, stream| {
            let bytes = Arc::clone(&bytes);
            Box::pin(async move {
                let _ = stream.lock().await.write_all(&bytes).await;
            })
        })
        .await
    }

    /// Answers and closes.
    pub async fn saying_goodbye(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = Arc::new(bytes.into());
        Self::start(move |_, _, stream| {
            let bytes = Arc::clone(&bytes);
            Box::pin(async move {
                let mut stream = stream.lock().await;
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            })
        })
        .await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn read_request(stream: &tokio::sync::Mutex<TcpStream>) -> Option<Seen> {
    let mut stream = stream.lock().await;
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let mut part = [0; 8192];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut body = bytes[end..].to_vec();
    let length: usize = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")
                .map(|v| v.trim().parse().unwrap())
        })
        .unwrap_or(0);
    while body.len() < length {
        let mut part = [0; 8192];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => body.extend_from_slice(&part[..count]),
        }
    }
    Some(Seen {
        head,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// A whole reply with a length.
pub fn reply(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

pub fn json(body: &str) -> String {
    reply("200 OK", "content-type: application/json\r\n", body)
}

/// A name server on UDP. `answer` gets the number of the A question and the name, and gives addresses; AAAA is empty. Answers live 0 s.
pub struct Names {
    pub address: SocketAddr,
    pub asked: Arc<AtomicUsize>,
}

impl Names {
    pub async fn start(answer: impl Fn(usize, &str) -> Vec<Ipv4Addr> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((size, from)) = socket.recv_from(&mut packet).await {
                let (name, end) = question(&packet[..size]);
                let is_a = packet[end] == 0 && packet[end + 1] == 1;
                let addresses = if is_a {
                    answer(count.fetch_add(1, Ordering::SeqCst), &name)
                } else {
                    Vec::new()
                };
                let mut out = packet[..2].to_vec();
                out.extend([
                    0x81,
                    0x80,
                    0,
                    1,
                    0,
                    u8::try_from(addresses.len()).unwrap(),
                    0,
                    0,
                    0,
                    0,
                ]);
                out.extend(&packet[12..end + 4]);
                for address in addresses {
                    out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                    out.extend(address.octets());
                }
                let _ = socket.send_to(&out, from).await;
            }
        });
        Self { address, asked }
    }
}

fn question(packet: &[u8]) -> (String, usize) {
    let mut at = 12;
    let mut name = String::new();
    while packet[at] != 0 {
        let length = usize::from(packet[at]);
        name.push_str(&String::from_utf8_lossy(&packet[at + 1..at + 1 + length]));
        name.push('.');
        at += length + 1;
    }
    (name, at + 1)
}

/// A courier that may reach what is listed.
pub fn courier(allow: &[&str]) -> Courier {
    courier_asking(allow, &[])
}

pub fn courier_asking(allow: &[&str], name_servers: &[SocketAddr]) -> Courier {
    Courier::new(CourierConfig {
        allow: Allow::parse(allow).unwrap(),
        name_servers: name_servers.to_vec(),
        ..CourierConfig::default()
    })
    .unwrap()
}

pub fn get(url: &str) -> HttpCall {
    HttpCall {
        method: Method::Get,
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        timeout_ms: 5_000,
        idempotency_key: None,
        safe_to_retry: false,
    }
}

pub fn post(url: &str, body: &str) -> HttpCall {
    HttpCall {
        method: Method::Post,
        body: Some(body.to_owned()),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        ..get(url)
    }
}

pub fn caller() -> Caller {
    Caller {
        tenant: "tenant-1".to_owned(),
        agent: Some("agent-1".to_owned()),
        call: Some("call-1".to_owned()),
        signing_secret: Some(Secret::new("the account's secret")),
        hosts: Vec::new(),
        traceparent: None,
    }
}

/// Waits for something that another task brings about, with a bound.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        ticks.tick().await;
    }
}
