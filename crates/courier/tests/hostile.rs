//! Back offices that misbehave: nothing they do may cost more than the deadline, the bound on the reply, or one failure.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agent::{FailureKind, ToolReply};
use common::{Server, caller, courier, get, json, post, reply};
use tokio::io::AsyncWriteExt as _;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

async fn outcome(server: &Server) -> ToolReply {
    let mut call = get(&server.url("/x"));
    call.timeout_ms = 3_000;
    courier(&["127.0.0.1"]).run(&call, &caller()).await
}

fn failed(kind: FailureKind) -> ToolReply {
    ToolReply::Failed { kind }
}

/// Writes a part again and again until the other side has had enough; counts what went out.
async fn pouring(head: &'static str, part: Vec<u8>) -> (Server, Arc<AtomicU64>) {
    let poured = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&poured);
    let server = Server::start(move |_, _, stream| {
        let (count, part) = (Arc::clone(&count), part.clone());
        Box::pin(async move {
            let mut stream = stream.lock().await;
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&part).await.is_ok() {
                count.fetch_add(u64::try_from(part.len()).unwrap(), Ordering::SeqCst);
            }
        })
    })
    .await;
    (server, poured)
}

#[tokio::test]
async fn json_text_and_empty_replies() {
    let json_server = Server::saying(json(r#"{"a":1}"#)).await;
    assert_eq!(
        outcome(&json_server).await,
        ToolReply::Http {
            status: 200,
            body: r#"{"a":1}"#.to_owned()
        }
    );
    let text = Server::saying(reply(
        "404 Not Found",
        "content-type: text/plain; charset=utf-8\r\n",
        "non trouvé",
    ))
    .await;
    assert_eq!(
        outcome(&text).await,
        ToolReply::Http {
            status: 404,
            body: "non trouvé".to_owned()
        }
    );
    let empty = Server::saying("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(
        outcome(&empty).await,
        ToolReply::Http {
            status: 204,
            body: String::new()
        }
    );
    let latin =
        Server::saying(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xe9t\xe9".to_vec()).await;
    assert_eq!(
        outcome(&latin).await,
        ToolReply::Http {
            status: 200,
            body: "\u{fffd}t\u{fffd}".to_owned()
        }
    );
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let server = Server::saying(json("{}")).await;
    let courier = courier(&["127.0.0.1"]);
    for _ in 0..5 {
        courier.run(&get(&server.url("/x")), &caller()).await;
    }
    assert_eq!(server.requests().len(), 5);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn pattern_42_a_giant_header_ends_the_exchange() {
    let (server, poured) = pouring("HTTP/1.1 200 OK\r\nx: ", vec![b'a'; 4096]).await;
    let began = Instant::now();
    assert_eq!(outcome(&server).await, failed(FailureKind::Protocol));
    assert!(began.elapsed() < Duration::from_secs(3));
    // What the kernel buffers comes on top of what is read.
    assert!(poured.load(Ordering::SeqCst) < 16 * 1024 * 1024);
}

#[tokio::test]
async fn pattern_42_a_thousand_headers_end_the_exchange() {
    let headers: String = (0..1000).map(|n| format!("x-{n}: y\r\n")).collect();
    let server = Server::saying(reply("200 OK", &headers, "{}")).await;
    assert_eq!(outcome(&server).await, failed(FailureKind::Protocol));
}

#[tokio::test]
async fn pattern_43_an_endless_body_is_left_at_the_bound() {
    let mut part = b"1000\r\n".to_vec();
    part.extend(vec![b'a'; 4096]);
    part.extend(b"\r\n");
    let (server, poured) = pouring(CHUNKED, part).await;
    assert_eq!(outcome(&server).await, failed(FailureKind::TooLarge));
    assert!(poured.load(Ordering::SeqCst) < 16 * 1024 * 1024);
}

#[tokio::test]
async fn pattern_43_empty_parts_do_not_spin() {
    // Informational answers for ever: each is complete and says nothing.
    let (server, _) = pouring("", b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()).await;
    let began = Instant::now();
    assert_eq!(outcome(&server).await, ToolReply::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_not_read() {
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\nabc").await;
    let began = Instant::now();
    assert_eq!(outcome(&server).await, failed(FailureKind::TooLarge));
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn the_largest_reply_is_whole_and_one_byte_more_is_none() {
    let max = courier::limits::REPLY_BODY_MAX;
    let fits = Server::saying(reply("200 OK", "", &"a".repeat(max))).await;
    assert_eq!(
        outcome(&fits).await,
        ToolReply::Http {
            status: 200,
            body: "a".repeat(max)
        }
    );
    let over = Server::saying(reply("200 OK", "", &"a".repeat(max + 1))).await;
    assert_eq!(outcome(&over).await, failed(FailureKind::TooLarge));
    // A session address may say more.
    let session = courier(&["127.0.0.1"])
        .fetch(&get(&over.url("/x")), &caller())
        .await;
    assert_eq!(
        session,
        ToolReply::Http {
            status: 200,
            body: "a".repeat(max + 1)
        }
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_shorter_reply() {
    let lengthy =
        Server::saying_goodbye("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"success\":true}")
            .await;
    assert_eq!(outcome(&lengthy).await, failed(FailureKind::Protocol));
    let chunked = Server::saying_goodbye(format!("{CHUNKED}10\r\n{{\"success\":true}}\r\n")).await;
    assert_eq!(outcome(&chunked).await, failed(FailureKind::Protocol));
}

#[tokio::test]
async fn bad_chunks_are_no_reply() {
    for chunks in [
        "ZZ\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\na",
        "-1\r\n\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "3 3\r\nabc\r\n",
    ] {
        let server = Server::saying_goodbye(format!("{CHUNKED}{chunks}")).await;
        assert_eq!(
            outcome(&server).await,
            failed(FailureKind::Protocol),
            "{chunks:?}"
        );
    }
    let (extensions, poured) = pouring(
        CHUNKED,
        b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".repeat(64),
    )
    .await;
    assert_eq!(outcome(&extensions).await, failed(FailureKind::Protocol));
    assert!(poured.load(Ordering::SeqCst) < 16 * 1024 * 1024);
}

#[tokio::test]
async fn what_is_not_http_is_no_reply() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "220 mail ESMTP\r\n",
        "\0\0\0\0",
        "HTTP/9.9 200 OK\r\n\r\n",
        "hello\r\n\r\n",
        "HTTP/1.1 999999 X\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    ] {
        let server = Server::saying_goodbye(bytes).await;
        assert_eq!(
            outcome(&server).await,
            failed(FailureKind::Protocol),
            "{bytes:?}"
        );
    }
    let silent = Server::saying_goodbye("").await;
    assert_eq!(outcome(&silent).await, failed(FailureKind::Protocol));
}

#[tokio::test]
async fn slow_headers_and_slow_bodies_meet_the_deadline() {
    for head in [
        "HTTP/1.1 200 OK\r\nx: ",
        "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n",
    ] {
        let server = Server::start(move |_, _, stream| {
            Box::pin(async move {
                let mut stream = stream.lock().await;
                let _ = stream.write_all(head.as_bytes()).await;
                let mut ticks = tokio::time::interval(Duration::from_millis(20));
                while stream.write_all(b"a").await.is_ok() {
                    ticks.tick().await;
                }
            })
        })
        .await;
        let mut call = post(&server.url("/x"), "{}");
        call.timeout_ms = 400;
        let began = Instant::now();
        assert_eq!(
            courier(&["127.0.0.1"]).run(&call, &caller()).await,
            ToolReply::TimedOut
        );
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(400) && took < Duration::from_millis(1500),
            "{took:?}"
        );
        assert_eq!(server.requests().len(), 1, "not repeated");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_meets_the_deadline() {
    let server = Server::saying("").await;
    let mut call = post(&server.url("/x"), "{}");
    call.timeout_ms = 300;
    assert_eq!(
        courier(&["127.0.0.1"]).run(&call, &caller()).await,
        ToolReply::TimedOut
    );
}

#[tokio::test]
async fn compressed_replies_are_refused_unread() {
    let server = Server::saying(reply("200 OK", "content-encoding: gzip\r\n", "\u{1f}bomb")).await;
    assert_eq!(outcome(&server).await, failed(FailureKind::Protocol));
    let asked = server.requests()[0]
        .header("accept-encoding")
        .map(ToOwned::to_owned);
    assert_eq!(asked, None, "nothing was asked for");
}

#[tokio::test]
async fn pattern_47_a_value_cannot_become_a_header() {
    let server = Server::saying(json("{}")).await;
    for (name, value) in [
        ("x-note", "a\r\nx-evil: 1"),
        ("x-note", "a\nb"),
        ("x note", "a"),
        ("x\r\ny", "a"),
        ("", "a"),
        ("host", "169.254.169.254"),
        ("transfer-encoding", "chunked"),
        ("content-length", "0"),
        ("connection", "close"),
        ("x-allo-signature", "v1=forged"),
        ("x-allo-tenant", "somebody else"),
    ] {
        let mut call = get(&server.url("/x"));
        call.headers = vec![(name.to_owned(), value.to_owned())];
        assert_eq!(
            courier(&["127.0.0.1"]).run(&call, &caller()).await,
            failed(FailureKind::Protocol),
            "{name}: {value:?}"
        );
    }
    assert_eq!(server.connections(), 0, "nothing left the house");
}

#[tokio::test]
async fn bodies_beyond_the_bound_are_not_sent() {
    let server = Server::saying(json("{}")).await;
    let call = post(
        &server.url("/x"),
        &"a".repeat(courier::limits::REQUEST_BODY_MAX + 1),
    );
    assert_eq!(
        courier(&["127.0.0.1"]).run(&call, &caller()).await,
        failed(FailureKind::Protocol)
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_get_is_repeated_and_a_post_is_not() {
    let flaky = |first: &'static str| {
        Server::start(move |number, _, stream| {
            Box::pin(async move {
                let mut stream = stream.lock().await;
                let bytes = if number == 0 {
                    first.to_owned()
                } else {
                    json("{}")
                };
                let _ = stream.write_all(bytes.as_bytes()).await;
                if number == 0 {
                    let _ = stream.shutdown().await;
                }
            })
        })
    };
    let done = ToolReply::Http {
        status: 200,
        body: "{}".to_owned(),
    };
    let unavailable =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 0\r\n\r\n";
    for first in [unavailable, ""] {
        let server = flaky(first).await;
        assert_eq!(outcome(&server).await, done);
        assert_eq!(server.requests().len(), 2);

        let server = flaky(first).await;
        let reply = courier(&["127.0.0.1"])
            .run(&post(&server.url("/x"), "{}"), &caller())
            .await;
        assert_ne!(reply, done);
        assert_eq!(server.requests().len(), 1, "a POST may have done its work");

        // The key alone says nothing of the receiver.
        let server = flaky(first).await;
        let mut call = post(&server.url("/x"), "{}");
        call.idempotency_key = Some("key-1".to_owned());
        assert_ne!(courier(&["127.0.0.1"]).run(&call, &caller()).await, done);
        assert_eq!(server.requests().len(), 1);

        let server = flaky(first).await;
        call.url = server.url("/x");
        call.safe_to_retry = true;
        assert_eq!(courier(&["127.0.0.1"]).run(&call, &caller()).await, done);
        let keys: Vec<Option<String>> = server
            .requests()
            .iter()
            .map(|seen| seen.header("idempotency-key").map(ToOwned::to_owned))
            .collect();
        assert_eq!(keys, vec![Some("key-1".to_owned()); 2], "one key for both");
    }
}

#[tokio::test]
async fn repetitions_end_and_never_pass_the_deadline() {
    let down = Server::saying(reply("503 Down", "", "")).await;
    assert_eq!(
        outcome(&down).await,
        ToolReply::Http {
            status: 503,
            body: String::new()
        }
    );
    assert_eq!(down.requests().len(), 3);

    let patient = Server::saying(reply("503 Down", "retry-after: 3600\r\n", "")).await;
    let began = Instant::now();
    assert_eq!(
        outcome(&patient).await,
        ToolReply::Http {
            status: 503,
            body: String::new()
        }
    );
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(patient.requests().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_a_failure_of_the_connection() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let reply = courier(&["127.0.0.1"])
        .run(&post(&format!("http://{address}/"), "{}"), &caller())
        .await;
    assert_eq!(reply, failed(FailureKind::Connect));
}
