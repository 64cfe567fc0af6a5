//! Requests that are made to look inward: redirects, names that resolve to inner addresses, names that change their mind.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use agent::{FailureKind, ToolReply};
use common::{Names, Server, caller, courier, courier_asking, get, json, post, reply};
use courier::sign::{HEADER_SIGNATURE, HEADER_TIMESTAMP, tool_signature};
use courier::{Refusal, Secret, SendError};

fn forbidden() -> ToolReply {
    ToolReply::Failed {
        kind: FailureKind::Forbidden,
    }
}

fn to(location: &str) -> String {
    reply("302 Found", &format!("location: {location}\r\n"), "")
}

#[tokio::test]
async fn without_the_operators_leave_nothing_inside_is_reached() {
    let server = Server::saying(json("{}")).await;
    let port = server.address.port();
    let courier = courier(&[]);
    for host in [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "127.1",
    ] {
        let reply = courier
            .run(&get(&format!("http://{host}:{port}/")), &caller())
            .await;
        assert_eq!(reply, forbidden(), "{host}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn pattern_48_a_redirect_leads_nowhere_inside() {
    let inner = Server::saying(json(r#"{"secret":"of the inner service"}"#)).await;
    for location in [
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        format!("http://127.0.0.2:{}/", inner.address.port()),
        format!("//localhost:{}/", inner.address.port()),
        "http://[::ffff:169.254.169.254]/".to_owned(),
        "http://2852039166/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://example.com/".to_owned(),
        "http://user:password@example.com/".to_owned(),
        "http://example.com:25/".to_owned(),
    ] {
        let server = Server::saying(to(&location)).await;
        let courier = courier(&[&server.origin()]);
        let reply = courier.run(&get(&server.url("/x")), &caller()).await;
        assert_eq!(reply, forbidden(), "{location}");
    }
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn credentials_and_signature_stay_at_their_origin() {
    let other = Server::saying(json(r#"{"from":"other"}"#)).await;
    let server = Server::saying(to(&other.url("/there?a=1"))).await;
    let mut call = get(&server.url("/here"));
    call.headers = vec![
        ("authorization".to_owned(), "Bearer canary".to_owned()),
        ("x-api-key".to_owned(), "canary".to_owned()),
        ("cookie".to_owned(), "canary".to_owned()),
    ];
    call.idempotency_key = Some("key-1".to_owned());
    let reply = courier(&["127.0.0.1"]).run(&call, &caller()).await;
    assert_eq!(
        reply,
        ToolReply::Http {
            status: 200,
            body: r#"{"from":"other"}"#.to_owned()
        }
    );
    let first = &server.requests()[0];
    for name in [
        "authorization",
        "x-api-key",
        "cookie",
        "idempotency-key",
        "x-allo-signature",
        "x-allo-tenant",
        "x-allo-call",
    ] {
        assert!(first.header(name).is_some(), "{name}");
    }
    let second = &other.requests()[0];
    assert_eq!(second.line(), "GET /there?a=1 HTTP/1.1");
    assert!(!second.head.contains("canary"), "{}", second.head);
    for name in [
        "authorization",
        "x-api-key",
        "cookie",
        "idempotency-key",
        "referer",
    ] {
        assert_eq!(second.header(name), None, "{name}");
    }
    assert!(
        !second.head.to_ascii_lowercase().contains("x-allo-"),
        "{}",
        second.head
    );
}

#[tokio::test]
async fn a_redirect_at_home_is_signed_anew() {
    let server = Server::start(|number, _, stream| {
        Box::pin(async move {
            use tokio::io::AsyncWriteExt as _;
            let bytes = if number == 0 {
                to("/other/../there?b=2")
            } else {
                json("{}")
            };
            let _ = stream.lock().await.write_all(bytes.as_bytes()).await;
        })
    })
    .await;
    courier(&["127.0.0.1"])
        .run(&get(&server.url("/here")), &caller())
        .await;
    let requests = server.requests();
    assert_eq!(requests[1].line(), "GET /there?b=2 HTTP/1.1");
    for (seen, path) in requests.iter().zip(["/here", "/there?b=2"]) {
        let at: i64 = seen.header(HEADER_TIMESTAMP).unwrap().parse().unwrap();
        let url = server.url(path).parse().unwrap();
        let expected = tool_signature(&Secret::new("the account's secret"), at, "GET", &url, b"");
        assert_eq!(
            seen.header(HEADER_SIGNATURE),
            Some(expected.signature.as_str()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_post_is_not_redirected_and_a_loop_ends() {
    let target = Server::saying(json("{}")).await;
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let server = Server::saying(reply(
            status,
            &format!("location: {}\r\n", target.url("/")),
            "",
        ))
        .await;
        let reply = courier(&["127.0.0.1"])
            .run(&post(&server.url("/x"), "{}"), &caller())
            .await;
        assert_eq!(
            reply,
            ToolReply::Failed {
                kind: FailureKind::Protocol
            },
            "{status}"
        );
    }
    assert_eq!(target.connections(), 0);

    let turning = Server::saying(to("/x")).await;
    let call = get(&turning.url("/x"));
    let ended = courier(&["127.0.0.1"]).send(&call, &caller(), 1024).await;
    assert_eq!(ended, Err(SendError::Redirected));
    assert_eq!(turning.requests().len(), 4, "the first and three redirects");

    let nowhere = Server::saying(reply("302 Found", "", "")).await;
    let ended = courier(&["127.0.0.1"])
        .send(&get(&nowhere.url("/x")), &caller(), 1024)
        .await;
    assert_eq!(ended, Err(SendError::Redirected));
}

#[tokio::test]
async fn a_name_with_an_inner_address_among_others_is_refused() {
    let server = Server::saying(json("{}")).await;
    let names =
        Names::start(|_, _| vec![Ipv4Addr::new(93, 184, 216, 34), Ipv4Addr::LOCALHOST]).await;
    let courier = courier_asking(&[], &[names.address]);
    let url = format!("http://mixed.example:{}/", server.address.port());
    let ended = courier.send(&post(&url, "{}"), &caller(), 1024).await;
    assert!(
        matches!(ended, Err(SendError::Refused(Refusal::Address(_)))),
        "{ended:?}"
    );
    assert_eq!(server.connections(), 0);
    assert_eq!(courier.run(&post(&url, "{}"), &caller()).await, forbidden());
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_failure_of_the_name() {
    let names = Names::start(|_, _| Vec::new()).await;
    let courier = courier_asking(&[], &[names.address]);
    let reply = courier
        .run(&post("http://nobody.example/", "{}"), &caller())
        .await;
    assert_eq!(
        reply,
        ToolReply::Failed {
            kind: FailureKind::Name
        }
    );
}

/// The name answers with an address that is permitted, then with an inner one. 127.0.0.2 stands for the permitted one here:
/// the operator opened it, and it alone.
#[tokio::test]
async fn a_name_that_changes_its_mind_gains_nothing() {
    let outer = Server::on(Ipv4Addr::new(127, 0, 0, 2), 0, |_, _, stream| {
        Box::pin(async move {
            use tokio::io::AsyncWriteExt as _;
            // Closed after each answer, so that the next request must look the name up again.
            let mut stream = stream.lock().await;
            let _ = stream
                .write_all(reply("200 OK", "connection: close\r\n", "outer").as_bytes())
                .await;
            let _ = stream.shutdown().await;
        })
    })
    .await;
    let port = outer.address.port();
    let inner = Server::on(Ipv4Addr::LOCALHOST, port, |_, _, stream| {
        Box::pin(async move {
            use tokio::io::AsyncWriteExt as _;
            let _ = stream
                .lock()
                .await
                .write_all(json("inner").as_bytes())
                .await;
        })
    })
    .await;
    let names = Names::start(|number, _| {
        vec![if number == 0 {
            Ipv4Addr::new(127, 0, 0, 2)
        } else {
            Ipv4Addr::LOCALHOST
        }]
    })
    .await;
    let courier = courier_asking(&["127.0.0.2"], &[names.address]);
    let call = get(&format!("http://rebind.example:{port}/"));
    let first = courier.run(&call, &caller()).await;
    assert_eq!(
        first,
        ToolReply::Http {
            status: 200,
            body: "outer".to_owned()
        }
    );
    assert_eq!(
        names.asked.load(Ordering::SeqCst),
        1,
        "what was checked is what was connected to"
    );
    assert_eq!(courier.run(&call, &caller()).await, forbidden());
    assert!(names.asked.load(Ordering::SeqCst) >= 2);
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn an_origin_of_the_operator_is_reached_by_its_name_and_on_its_port() {
    let server = Server::saying(json("{}")).await;
    let other = Server::saying(json("{}")).await;
    let names = Names::start(|_, _| vec![Ipv4Addr::LOCALHOST]).await;
    let origin = format!("http://backoffice.example:{}", server.address.port());
    let courier = courier_asking(&[&origin], &[names.address]);
    let done = ToolReply::Http {
        status: 200,
        body: "{}".to_owned(),
    };
    assert_eq!(
        courier.run(&get(&format!("{origin}/api")), &caller()).await,
        done
    );
    let beside = format!("http://backoffice.example:{}/", other.address.port());
    assert_eq!(courier.run(&get(&beside), &caller()).await, forbidden());
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn an_agent_that_names_its_hosts_reaches_those_only() {
    let server = Server::saying(json("{}")).await;
    let names = Names::start(|_, _| vec![Ipv4Addr::LOCALHOST]).await;
    let courier = courier_asking(&["127.0.0.1"], &[names.address]);
    let mut narrow = caller();
    narrow.hosts = vec!["api.shop.example".to_owned()];
    let port = server.address.port();
    let reached = courier
        .run(&get(&format!("http://api.shop.example:{port}/")), &narrow)
        .await;
    assert_eq!(
        reached,
        ToolReply::Http {
            status: 200,
            body: "{}".to_owned()
        }
    );
    let other = courier
        .run(&get(&format!("http://evil.example:{port}/")), &narrow)
        .await;
    assert_eq!(other, forbidden());
    assert_eq!(server.requests().len(), 1);
}
