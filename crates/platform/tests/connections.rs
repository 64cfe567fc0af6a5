//! Slow and greedy clients on a real socket.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod common;

use common::House;
use platform::limits::HEADERS_WITHIN;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

async fn served() -> (House, SocketAddr, watch::Sender<bool>, JoinHandle<()>) {
    let house = House::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(platform::serve(listener, house.router.clone(), stopped));
    (house, address, stop, task)
}

/// What the server sends until it closes, within a deadline.
async fn rest(stream: &mut TcpStream, within: Duration) -> String {
    let mut bytes = Vec::new();
    tokio::time::timeout(within, stream.read_to_end(&mut bytes))
        .await
        .expect("the server closes")
        .unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_ends_its_headers_is_closed_while_others_are_served() {
    let (_house, address, stop, task) = served().await;
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            .await
            .unwrap();
        slow.push(stream);
    }
    let mut quick = TcpStream::connect(address).await.unwrap();
    quick
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let answer = rest(&mut quick, Duration::from_secs(5)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for mut stream in slow {
        rest(&mut stream, HEADERS_WITHIN + Duration::from_secs(5)).await;
    }
    assert!(begun.elapsed() < HEADERS_WITHIN + Duration::from_secs(10));
    stop.send(true).unwrap();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_before_the_body_came_is_told_that_the_connection_ends() {
    let (_house, address, stop, task) = served().await;
    let post = |more: &str| {
        format!(
            "POST /api/accounts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 17\r\n{more}\r\n"
        )
    };
    // Nobody is known by this, and the body is still to come.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(post("").as_bytes()).await.unwrap();
    let answer = rest(&mut stream, Duration::from_secs(5)).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    // A body that is read leaves the connection to the next request, whatever the answer.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let known = format!("Authorization: Bearer {}\r\n", common::OWNER);
    let wrong = format!("{}{{\"nonsense\": [] }}", post(&known));
    let last = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream
        .write_all(format!("{wrong}{last}").as_bytes())
        .await
        .unwrap();
    let answer = rest(&mut stream, Duration::from_secs(5)).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(answer.matches("connection: close").count(), 1, "{answer}");
    stop.send(true).unwrap();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_head_is_refused() {
    let (_house, address, stop, task) = served().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    let line = format!("X-Long: {}\r\n", "x".repeat(1_000));
    for _ in 0..200 {
        if stream.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
    let answer = rest(&mut stream, Duration::from_secs(10)).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    stop.send(true).unwrap();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_open_streams_within_its_bound() {
    let (_house, address, stop, task) = served().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /api/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        common::OWNER
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut beginning = [0_u8; 15];
    stream.read_exact(&mut beginning).await.unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 200 OK");
    let begun = Instant::now();
    stop.send(true).unwrap();
    task.await.unwrap();
    assert!(begun.elapsed() < platform::limits::STOP_WITHIN + Duration::from_secs(2));
}
