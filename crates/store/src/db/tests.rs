//! Faults of the file, as typed errors.

use jiff::Timestamp;

use super::*;
use crate::call_record::{Direction, NewCall};
use crate::journal::{Event, JournalEntry, SipMessage};
use call::CallId;

async fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("allo.db");
    let store = Store::open(path.to_str().unwrap()).await.unwrap();
    let call = NewCall {
        id: CallId::from("c1"),
        direction: Direction::Inbound,
        from: String::new(),
        to: String::new(),
        line: String::new(),
        agent: String::new(),
        sip_call_id: None,
        started_at: Timestamp::now(),
    };
    store
        .create_call(&TenantScope::default(), &call)
        .await
        .unwrap();
    (directory, store)
}

fn long_entry(seq: u64) -> JournalEntry {
    let message = SipMessage {
        text: "x".repeat(8_000),
        ..SipMessage::default()
    };
    JournalEntry {
        seq,
        at_ms: 0,
        wall: Timestamp::now(),
        event: Event::SipMessage(message),
    }
}

#[tokio::test]
async fn a_full_disk_is_a_typed_error_and_loses_nothing() {
    let (_directory, store) = store().await;
    let (scope, id) = (TenantScope::default(), CallId::from("c1"));
    store
        .append_events(&scope, &id, &[long_entry(0)])
        .await
        .unwrap();
    // SQLite gives the same code for its own bound as for a full disk.
    sqlx::query("PRAGMA max_page_count = 40")
        .execute(store.writer())
        .await
        .unwrap();
    let mut seq = 1;
    let error = loop {
        match store.append_events(&scope, &id, &[long_entry(seq)]).await {
            Ok(()) => seq += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, WriteError::DiskFull) && error.is_retryable(),
        "{error:?}"
    );
    assert_eq!(error.message().code, "store_write_disk_full");
    assert_eq!(store.events(&scope, &id).await.unwrap().len() as u64, seq);
    // Room again (the bound was one of the connection): the same write succeeds, without a restart.
    store
        .append_events(&scope, &id, &[long_entry(seq)])
        .await
        .unwrap();
    assert_eq!(
        store.events(&scope, &id).await.unwrap().len() as u64,
        seq + 1
    );
}

#[tokio::test]
async fn a_locked_database_is_a_typed_error_and_reading_goes_on() {
    let (_directory, store) = store().await;
    let (scope, id) = (TenantScope::default(), CallId::from("c1"));
    let other = Store::open(store.path().unwrap().to_str().unwrap())
        .await
        .unwrap();
    sqlx::query("PRAGMA busy_timeout = 30")
        .execute(store.writer())
        .await
        .unwrap();
    let held = other.write().await.unwrap();
    let error = store
        .append_events(&scope, &id, &[long_entry(0)])
        .await
        .unwrap_err();
    assert!(
        matches!(error, WriteError::Locked) && error.is_retryable(),
        "{error:?}"
    );
    assert!(store.call(&scope, &id).await.unwrap().is_some());
    drop(held);
    store
        .append_events(&scope, &id, &[long_entry(0)])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_write_that_is_given_up_half_way_leaves_the_writer_usable() {
    let (_directory, store) = store().await;
    let (scope, id) = (TenantScope::default(), CallId::from("c1"));
    for seq in 0..50 {
        let entries = [long_entry(seq)];
        let write = store.append_events(&scope, &id, &entries);
        // Dropped at some await point of its own.
        let _ = tokio::time::timeout(std::time::Duration::from_micros(seq * 20), write).await;
    }
    store
        .append_events(&scope, &id, &[long_entry(1_000)])
        .await
        .unwrap();
    let events = store.events(&scope, &id).await.unwrap();
    assert_eq!(events.last().map(|entry| entry.seq), Some(1_000));
}
