//! Delivery against receivers that fail, hang, close and say no, on a real database.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test")]

mod common;

use std::collections::HashMap;
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Seen, Server, courier, eventually, json, reply};
use courier::sign::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, WebhookSecret,
};
use courier::{Outbox, OutboxHandle, Secret, WebhookSecrets};
use jiff::{SignedDuration, Timestamp};
use store::{
    Attempt, Delivery, DeliveryFilter, DeliveryState, NewDelivery, PageRequest, Store, TenantScope,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A database of PostgreSQL where `ALLO_TEST_POSTGRES` names a server, made by its own `psql`.
fn postgres() -> Option<String> {
    let Ok(server) = std::env::var("ALLO_TEST_POSTGRES") else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: ALLO_TEST_POSTGRES names no PostgreSQL (scripts/postgres start)"
        );
        return None;
    };
    let name = format!("courier_{}", store::new_id().replace('-', ""));
    let made = Command::new("psql")
        .args([&server, "-qc", &format!("CREATE DATABASE {name}")])
        .status()
        .expect("psql runs");
    assert!(made.success());
    let (base, _) = server.rsplit_once('/')?;
    Some(format!("{base}/{name}"))
}

fn file(directory: &TempDir) -> String {
    let path = directory.path().join("allo.db");
    path.to_str().unwrap().to_owned()
}

async fn opened(directory: &TempDir) -> Store {
    Store::open(&file(directory)).await.unwrap()
}

fn secrets() -> WebhookSecrets {
    WebhookSecrets::from_fn(|_| Box::pin(async { Ok(Some(Secret::new(SECRET))) }))
}

fn start(store: &Store) -> OutboxHandle {
    Outbox::start(store.clone(), courier(&["127.0.0.1"]), secrets())
}

fn new(id: &str, call: Option<&str>, url: &str, body: &str) -> NewDelivery {
    NewDelivery {
        id: id.to_owned(),
        call_id: call.map(ToOwned::to_owned),
        agent_id: None,
        kind: "call_end".to_owned(),
        url: url.to_owned(),
        body: body.to_owned(),
    }
}

async fn write(store: &Store, url: &str, body: &str) -> String {
    let id = store::new_id();
    let new = new(&id, None, url, body);
    store
        .enqueue_delivery(&TenantScope::default(), &new, Timestamp::now())
        .await
        .unwrap();
    id
}

async fn records(store: &Store) -> HashMap<String, Delivery> {
    let page = PageRequest {
        limit: 500,
        after: None,
    };
    let list = store
        .deliveries(&TenantScope::default(), &DeliveryFilter::default(), &page)
        .await
        .unwrap();
    list.items
        .into_iter()
        .map(|record| (record.delivery.id.clone(), record))
        .collect()
}

/// Waits until the database says so.
async fn recorded(store: &Store, id: &str, holds: impl Fn(&Delivery) -> bool) -> Delivery {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    loop {
        let record = records(store).await.remove(id).unwrap();
        if holds(&record) {
            return record;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {record:?}");
        ticks.tick().await;
    }
}

fn verify(seen: &Seen) {
    let id = seen.header(HEADER_WEBHOOK_ID).unwrap();
    let at: i64 = seen
        .header(HEADER_WEBHOOK_TIMESTAMP)
        .unwrap()
        .parse()
        .unwrap();
    let secret = WebhookSecret::parse(&Secret::new(SECRET)).unwrap();
    let expected = secret.sign(id, at, seen.body.as_bytes());
    assert_eq!(
        seen.header(HEADER_WEBHOOK_SIGNATURE),
        Some(expected.as_str())
    );
    assert!((Timestamp::now().as_second() - at).abs() < 60);
}

#[tokio::test]
async fn a_delivery_is_signed_and_done() {
    let directory = TempDir::new().unwrap();
    let store = opened(&directory).await;
    let server = Server::saying(json("{}")).await;
    let outbox = start(&store);
    let id = write(
        &store,
        &server.url("/api/calls?x=1"),
        r#"{"outcome":"completed"}"#,
    )
    .await;
    outbox.nudge();
    let record = recorded(&store, &id, |record| {
        record.state == DeliveryState::Delivered
    })
    .await;
    assert_eq!(
        (record.attempts, record.last_status, record.last_error),
        (1, Some(200), None)
    );
    assert!(record.ended_at.is_some());
    let seen = &server.requests()[0];
    assert_eq!(seen.line(), "POST /api/calls?x=1 HTTP/1.1");
    assert_eq!(seen.header(HEADER_WEBHOOK_ID), Some(id.as_str()));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.body, r#"{"outcome":"completed"}"#);
    verify(seen);
    outbox.stop().await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn rows_that_were_there_before_the_start_are_delivered_without_a_nudge() {
    let directory = TempDir::new().unwrap();
    let store = opened(&directory).await;
    let server = Server::saying("HTTP/1.1 204 No Content\r\n\r\n").await;
    let id = write(&store, &server.url("/"), "{}").await;
    let outbox = start(&store);
    recorded(&store, &id, |record| {
        record.state == DeliveryState::Delivered
    })
    .await;
    outbox.stop().await;
}

async fn a_failure_is_tried_again_later_under_the_same_id(location: &str) {
    let store = Store::open(location).await.unwrap();
    // Fails, closes, then takes it.
    let server = Server::start(|number, _, stream| {
        Box::pin(async move {
            let mut stream = stream.lock().await;
            match number {
                0 => drop(
                    stream
                        .write_all(reply("500 Oops", "", "broken").as_bytes())
                        .await,
                ),
                1 => drop(stream.shutdown().await),
                _ => drop(stream.write_all(json("{}").as_bytes()).await),
            }
        })
    })
    .await;
    let outbox = start(&store);
    let before = Timestamp::now();
    let id = write(&store, &server.url("/"), "{}").await;
    outbox.nudge();
    let record = recorded(&store, &id, |record| {
        record.attempts == 1 && record.last_error.is_some()
    })
    .await;
    assert_eq!(
        (
            record.state,
            record.last_status,
            record.last_error.as_deref()
        ),
        (DeliveryState::Pending, Some(500), Some("status"))
    );
    let pause = record.next_attempt_at.duration_since(before).as_secs_f64();
    assert!((3.9..8.0).contains(&pause), "{pause}");
    let record = recorded(&store, &id, |record| {
        record.attempts == 2 && record.last_error.as_deref() == Some("broken")
    })
    .await;
    assert_eq!(record.last_status, None);
    store
        .replay_delivery(&TenantScope::default(), &id, Timestamp::now())
        .await
        .unwrap();
    outbox.nudge();
    recorded(&store, &id, |record| {
        record.state == DeliveryState::Delivered
    })
    .await;
    let ids: Vec<Option<String>> = server
        .requests()
        .iter()
        .map(|seen| seen.header(HEADER_WEBHOOK_ID).map(ToOwned::to_owned))
        .collect();
    assert_eq!(ids, vec![Some(id); 3]);
    server.requests().iter().for_each(verify);
    outbox.stop().await;
}

#[tokio::test]
async fn a_failure_is_tried_again_later_under_the_same_id_in_a_file() {
    let directory = TempDir::new().unwrap();
    a_failure_is_tried_again_later_under_the_same_id(&file(&directory)).await;
}

#[tokio::test]
async fn a_failure_is_tried_again_later_under_the_same_id_in_postgres() {
    if let Some(location) = postgres() {
        a_failure_is_tried_again_later_under_the_same_id(&location).await;
    }
}

#[tokio::test]
async fn gone_is_dead_at_once_and_can_be_replayed() {
    let directory = TempDir::new().unwrap();
    let store = opened(&directory).await;
    let server = Server::start(|number, _, stream| {
        Box::pin(async move {
            let bytes = if number == 0 {
                reply("410 Gone", "", "")
            } else {
                json("{}")
            };
            let _ = stream.lock().await.write_all(bytes.as_bytes()).await;
        })
    })
    .await;
    let outbox = start(&store);
    let id = write(&store, &server.url("/"), "{}").await;
    outbox.nudge();
    let record = recorded(&store, &id, |record| record.state == DeliveryState::Dead).await;
    assert_eq!(
        (
            record.last_status,
            record.last_error.as_deref(),
            record.attempts
        ),
        (Some(410), Some("gone"), 1)
    );
    let stranger = TenantScope::new(call::TenantId::from("somebody-else"));
    assert!(
        store
            .replay_delivery(&stranger, &id, Timestamp::now())
            .await
            .is_err()
    );
    store
        .replay_delivery(&TenantScope::default(), &id, Timestamp::now())
        .await
        .unwrap();
    outbox.nudge();
    recorded(&store, &id, |record| {
        record.state == DeliveryState::Delivered
    })
    .await;
    outbox.stop().await;
}

#[tokio::test]
async fn what_the_guard_refuses_is_recorded_and_never_leaves() {
    let directory = TempDir::new().unwrap();
    let store = opened(&directory).await;
    let inner = Server::saying(json("{}")).await;
    let redirecting = Server::saying(reply(
        "307 Temporary",
        &format!("location: {}\r\n", inner.url("/")),
        "",
    ))
    .await;
    let outbox = Outbox::start(store.clone(), courier(&[&redirecting.origin()]), secrets());
    let inside = write(&store, &inner.url("/"), "{}").await;
    let metadata = write(&store, "http://169.254.169.254/", "{}").await;
    let nonsense = write(&store, "file:///etc/passwd", "{}").await;
    let redirected = write(&store, &redirecting.url("/"), "{}").await;
    outbox.nudge();
    let expected = [
        (&inside, DeliveryState::Pending, "address_loopback"),
        (&metadata, DeliveryState::Pending, "address_metadata"),
        (&nonsense, DeliveryState::Dead, "scheme"),
        (&redirected, DeliveryState::Pending, "redirected"),
    ];
    for (id, state, error) in expected {
        let record = recorded(&store, id, |record| record.last_error.is_some()).await;
        assert_eq!(
            (record.state, record.last_error.as_deref()),
            (state, Some(error))
        );
    }
    assert_eq!(inner.connections(), 0);
    outbox.stop().await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_sends_nothing_unsigned() {
    let directory = TempDir::new().unwrap();
    let store = opened(&directory).await;
    let server = Server::saying(json("{}")).await;
    let unreadable = WebhookSecrets::from_fn(|_| Box::pin(async { Err(()) }));
    let outbox = Outbox::start(store.clone(), courier(&["127.0.0.1"]), unreadable);
    let id = write(&store, &server.url("/"), "{}").await;
    outbox.nudge();
    let record = recorded(&store, &id, |record| record.last_error.is_some()).await;
    assert_eq!(
        (record.state, record.last_error.as_deref()),
        (DeliveryState::Pending, Some("secret_unreadable"))
    );
    assert_eq!(server.connections(), 0);
    outbox.stop().await;
}

/// Sixty deliveries for a receiver that hangs, one for another: the other's is taken at once, and never more than four hang.
async fn a_slow_receiver_stops_nobody_else(location: &str) {
    let store = Store::open(location).await.unwrap();
    let slow = Server::saying("").await;
    let quick = Server::saying(json("{}")).await;
    for _ in 0..60 {
        write(&store, &slow.url("/"), "{}").await;
    }
    let outbox = start(&store);
    eventually("four hang", || slow.requests().len() == 4).await;
    for _ in 0..20 {
        let id = write(&store, &quick.url("/"), "{}").await;
        outbox.nudge();
        recorded(&store, &id, |record| {
            record.state == DeliveryState::Delivered
        })
        .await;
    }
    assert_eq!(slow.requests().len(), 4);
    drop(outbox);
}

#[tokio::test]
async fn a_slow_receiver_stops_nobody_else_in_a_file() {
    let directory = TempDir::new().unwrap();
    a_slow_receiver_stops_nobody_else(&file(&directory)).await;
}

#[tokio::test]
async fn a_slow_receiver_stops_nobody_else_in_postgres() {
    if let Some(location) = postgres() {
        a_slow_receiver_stops_nobody_else(&location).await;
    }
}

/// Two processes on one database: each row is taken by one of them, and each is taken.
async fn two_outboxes_on_one_database_deliver_each_row_once(location: &str) {
    let first = Store::open(location).await.unwrap();
    let second = Store::open(location).await.unwrap();
    let server = Server::saying(json("{}")).await;
    let mut ids = Vec::new();
    for number in 0..50 {
        ids.push(write(&first, &server.url("/"), &number.to_string()).await);
    }
    let (one, two) = (start(&first), start(&second));
    for id in &ids {
        recorded(&first, id, |record| {
            record.state == DeliveryState::Delivered
        })
        .await;
    }
    let mut seen: Vec<String> = server
        .requests()
        .iter()
        .map(|seen| seen.header(HEADER_WEBHOOK_ID).unwrap().to_owned())
        .collect();
    seen.sort();
    ids.sort();
    assert_eq!(seen, ids);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn two_outboxes_on_one_database_deliver_each_row_once_in_a_file() {
    let directory = TempDir::new().unwrap();
    two_outboxes_on_one_database_deliver_each_row_once(&file(&directory)).await;
}

#[tokio::test]
async fn two_outboxes_on_one_database_deliver_each_row_once_in_postgres() {
    if let Some(location) = postgres() {
        two_outboxes_on_one_database_deliver_each_row_once(&location).await;
    }
}

/// A process dies in the middle of an attempt: its lease ends, and another delivers the row under the same id. What the dead one
/// would still have written is not taken.
async fn a_lease_that_ended_belongs_to_the_next(location: &str) {
    let store = Store::open(location).await.unwrap();
    let server = Server::saying(json("{}")).await;
    let id = write(&store, &server.url("/"), "{}").await;
    let now = Timestamp::now();
    let lease = SignedDuration::from_millis(300);
    let claim = || store.node_claim_deliveries(now, 8, lease, &[]);
    let dead = claim().await.unwrap().pop().unwrap();
    assert_eq!((dead.delivery.id.as_str(), dead.attempts), (id.as_str(), 1));
    assert_eq!(claim().await.unwrap(), [], "claimed is claimed");
    let outbox = start(&store);
    let record = recorded(&store, &id, |record| {
        record.state == DeliveryState::Delivered
    })
    .await;
    assert_eq!(record.attempts, 2);
    assert_eq!(
        server.requests()[0].header(HEADER_WEBHOOK_ID),
        Some(id.as_str())
    );
    let late = Attempt::Dead {
        status: None,
        error: "late".to_owned(),
    };
    let noted = store.note_attempt(&dead, &late, Timestamp::now()).await;
    assert!(!noted.unwrap());
    assert_eq!(records(&store).await[&id].state, DeliveryState::Delivered);
    outbox.stop().await;
}

#[tokio::test]
async fn a_lease_that_ended_belongs_to_the_next_in_a_file() {
    let directory = TempDir::new().unwrap();
    a_lease_that_ended_belongs_to_the_next(&file(&directory)).await;
}

#[tokio::test]
async fn a_lease_that_ended_belongs_to_the_next_in_postgres() {
    if let Some(location) = postgres() {
        a_lease_that_ended_belongs_to_the_next(&location).await;
    }
}

#[tokio::test]
async fn a_call_has_one_delivery_of_a_kind() {
    let directory = TempDir::new().unwrap();
    let store = opened(&directory).await;
    let scope = TenantScope::default();
    for id in ["one", "two"] {
        let new = new(id, Some("call-1"), "https://back.example/", "{}");
        let written = store.enqueue_delivery(&scope, &new, Timestamp::now());
        written.await.unwrap();
    }
    assert_eq!(records(&store).await.len(), 1);
}

#[tokio::test]
async fn stopping_lets_the_attempt_in_progress_end() {
    let directory = TempDir::new().unwrap();
    let store = opened(&directory).await;
    let release = Arc::new(tokio::sync::Notify::new());
    let waiting = Arc::clone(&release);
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let server = Server::start(move |_, _, stream| {
        let (waiting, count) = (Arc::clone(&waiting), Arc::clone(&count));
        Box::pin(async move {
            count.fetch_add(1, Ordering::SeqCst);
            waiting.notified().await;
            let _ = stream.lock().await.write_all(json("{}").as_bytes()).await;
        })
    })
    .await;
    let outbox = start(&store);
    let id = write(&store, &server.url("/"), "{}").await;
    outbox.nudge();
    eventually("begun", || begun.load(Ordering::SeqCst) == 1).await;
    let stopping = tokio::spawn(outbox.stop());
    release.notify_one();
    stopping.await.unwrap();
    assert_eq!(records(&store).await[&id].state, DeliveryState::Delivered);
}
