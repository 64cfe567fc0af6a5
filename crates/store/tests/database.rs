//! The database itself: what is written is read, bounds hold, tenants are apart, several handles and writers agree.

use std::sync::Arc;

use call::{CallId, EndReason, ItemId, Speaker, TenantId, TranscriptEntry};
use catalog::Message;
use jiff::Timestamp;
use store::journal::{Event, Milestone, SipMessage};
use store::{
    CallEnd, CallFilter, CallState, ChangeError, Cursor, Direction, JournalEntry, NewCall,
    OpenError, Statement, Step, Store, TenantScope, WriteError,
};
use tempfile::TempDir;

#[path = "common/place.rs"]
#[macro_use]
mod place;
use place::Place;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).expect("within range")
}

fn new_call(id: &str, second: i64) -> NewCall {
    NewCall {
        id: CallId::from(id),
        direction: Direction::Inbound,
        from: "+33123456789".to_owned(),
        to: "+33491234567".to_owned(),
        line: "salle".to_owned(),
        agent: "accueil".to_owned(),
        sip_call_id: Some("abc@198.51.100.7".to_owned()),
        started_at: at(second),
    }
}

fn event(seq: u64) -> JournalEntry {
    let event = Event::SpeechStarted {
        item: format!("item_{seq}"),
    };
    JournalEntry {
        seq,
        at_ms: seq * 10,
        wall: at(0),
        event,
    }
}

fn said(role: Speaker, text: &str, at_ms: u64, item: Option<&str>) -> TranscriptEntry {
    TranscriptEntry {
        role,
        text: text.to_owned(),
        at_ms,
        item: item.map(ItemId::from),
        interrupted_at_ms: None,
    }
}

fn end(reason: EndReason) -> CallEnd {
    CallEnd {
        ended_at: at(60),
        answered_at: Some(at(2)),
        reason,
        ended_by: reason.ended_by(),
        verdict: Message::new(catalog::end_code(reason.code())),
        statistics: Some(serde_json::json!({ "packets": 12 })),
        recording_path: Some("recordings/a.wav".to_owned()),
    }
}

on_both! {
async fn a_call_is_read_as_it_was_written(place) {
    let store = place.open().await;
    let scope = TenantScope::default();
    let id = CallId::from("c1");
    store.create_call(&scope, &new_call("c1", 0)).await.unwrap();
    let running = store.call(&scope, &id).await.unwrap().unwrap();
    assert_eq!(
        (running.state(), running.duration_ms()),
        (CallState::Running, None)
    );
    store
        .append_events(&scope, &id, &[event(0), event(1)])
        .await
        .unwrap();
    store
        .append_events(&scope, &id, &[event(1), event(2)])
        .await
        .unwrap();
    store
        .append_transcript(
            &scope,
            &id,
            &[said(Speaker::Agent, "Bonjour", 100, Some("i1"))],
        )
        .await
        .unwrap();
    let mut cut = said(Speaker::Agent, "Bonjour, ici", 100, Some("i1"));
    cut.interrupted_at_ms = Some(480);
    store
        .append_transcript(
            &scope,
            &id,
            &[
                said(Speaker::Caller, "Oui", 50, None),
                cut,
                said(Speaker::Caller, "Oui", 60, None),
            ],
        )
        .await
        .unwrap();
    store
        .finish_call(&scope, &id, &end(EndReason::AgentHungUp))
        .await
        .unwrap();
    store
        .finish_call(&scope, &id, &end(EndReason::Internal))
        .await
        .unwrap();
    check_finished(&store, &id).await;
}
}

async fn check_finished(store: &Store, id: &CallId) {
    let scope = TenantScope::default();
    let record = store
        .call(&scope, id)
        .await
        .expect("readable")
        .expect("there");
    let stored = record.end.clone().expect("finished");
    assert_eq!(
        (stored.reason.as_str(), stored.ended_by.as_str()),
        ("agent_hung_up", "agent"),
        "the first end stays"
    );
    assert_eq!(
        (record.duration_ms(), record.talk_ms()),
        (Some(60_000), Some(58_000))
    );
    assert_eq!(
        stored.statistics,
        Some(serde_json::json!({ "packets": 12 }))
    );
    assert_eq!(record.recording_path.as_deref(), Some("recordings/a.wav"));
    let events = store.events(&scope, id).await.expect("readable");
    assert_eq!(events, [event(0), event(1), event(2)]);
    let lines: Vec<_> = store.transcript(&scope, id).await.expect("readable");
    let words: Vec<_> = lines
        .iter()
        .map(|line| (line.text.as_str(), line.interrupted_at_ms))
        .collect();
    assert_eq!(
        words,
        [("Oui", None), ("Oui", None), ("Bonjour, ici", Some(480))],
        "an item replaces itself, words without one do not"
    );
}

on_both! {
async fn a_tenant_never_sees_or_changes_the_calls_of_another(place) {
    let store = place.open().await;
    let (own, other) = (
        TenantScope::default(),
        TenantScope::new(TenantId::from("other")),
    );
    let id = CallId::from("c1");
    assert!(matches!(
        store.create_call(&other, &new_call("c0", 0)).await,
        Err(WriteError::UnknownTenant)
    ));
    store.add_tenant(&other, "Other").await.unwrap();
    store.create_call(&own, &new_call("c1", 0)).await.unwrap();
    store.append_events(&own, &id, &[event(0)]).await.unwrap();
    store
        .append_transcript(&own, &id, &[said(Speaker::Caller, "secret", 0, None)])
        .await
        .unwrap();

    assert_eq!(store.call(&other, &id).await.unwrap(), None);
    assert!(store.events(&other, &id).await.unwrap().is_empty());
    assert!(store.transcript(&other, &id).await.unwrap().is_empty());
    assert!(
        store
            .list_calls(&other, &CallFilter::default(), None)
            .await
            .unwrap()
            .calls
            .is_empty()
    );
    assert!(matches!(
        store.append_events(&other, &id, &[event(1)]).await,
        Err(WriteError::UnknownCall)
    ));
    several_in_one_write(&store, &own, &other, &id).await;
    let words = [said(Speaker::Caller, "x", 0, None)];
    assert!(matches!(
        store.append_transcript(&other, &id, &words).await,
        Err(WriteError::UnknownCall)
    ));
    assert!(matches!(
        store
            .finish_call(&other, &id, &end(EndReason::Internal))
            .await,
        Err(WriteError::UnknownCall)
    ));
    assert!(matches!(
        store.call_answered(&other, &id, at(1)).await,
        Err(WriteError::UnknownCall)
    ));
    assert!(matches!(
        store.recording_started(&other, &id, "x").await,
        Err(WriteError::UnknownCall)
    ));
    assert!(matches!(
        store.call_routed(&other, &id, "x", "y").await,
        Err(WriteError::UnknownCall)
    ));
    assert_eq!(
        store.call(&own, &id).await.unwrap().unwrap().state(),
        CallState::Running
    );
    assert_eq!(store.events(&own, &id).await.unwrap().len(), 3);
}
}

/// Events of several calls in one transaction: all of them, or none.
async fn several_in_one_write(store: &Store, own: &TenantScope, other: &TenantScope, id: &CallId) {
    let (first, second) = ([event(1)], [event(2)]);
    let mixed = store
        .append_events_of(&[(own, id, &first), (other, id, &second)])
        .await;
    assert!(matches!(mixed, Err(WriteError::UnknownCall)));
    assert_eq!(
        store
            .events(own, id)
            .await
            .expect("the events are read")
            .len(),
        1
    );
    store
        .append_events_of(&[(own, id, &first), (own, id, &second)])
        .await
        .expect("the events are written");
    assert_eq!(
        store
            .events(own, id)
            .await
            .expect("the events are read")
            .len(),
        3
    );
}

async fn twenty_five_calls(place: &Place) -> Store {
    let store = place.open().await;
    let scope = TenantScope::default();
    for number in 0..25 {
        // Several calls of one instant: the id decides between them.
        store
            .create_call(&scope, &new_call(&format!("c{number:02}"), number / 5))
            .await
            .expect("it is written");
    }
    store
        .finish_call(&scope, &CallId::from("c07"), &end(EndReason::CallerHungUp))
        .await
        .expect("it is written");
    store
}

on_both! {
async fn pages_follow_each_other_without_gap_or_repetition(place) {
    let store = twenty_five_calls(place).await;
    let scope = TenantScope::default();
    let filter = CallFilter {
        limit: 4,
        ..CallFilter::default()
    };
    let mut seen = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = store
            .list_calls(&scope, &filter, cursor.as_ref())
            .await
            .unwrap();
        seen.extend(page.calls.into_iter().map(|call| call.id));
        let Some(next) = page.next else { break };
        cursor = Some(next.to_string().parse().unwrap());
    }
    let expected: Vec<String> = (0..25)
        .rev()
        .map(|number| format!("c{number:02}"))
        .collect();
    assert_eq!(seen, expected);
}
}

on_both! {
async fn a_filter_lists_what_it_names(place) {
    let store = twenty_five_calls(place).await;
    let scope = TenantScope::default();
    for (filter, expected) in [
        (
            CallFilter {
                reason: Some("caller_hung_up".to_owned()),
                ..CallFilter::default()
            },
            1,
        ),
        (
            CallFilter {
                state: Some(CallState::Running),
                ..CallFilter::default()
            },
            24,
        ),
        (
            CallFilter {
                party: Some("9123".to_owned()),
                ..CallFilter::default()
            },
            25,
        ),
        (
            CallFilter {
                party: Some("9%3".to_owned()),
                ..CallFilter::default()
            },
            0,
        ),
        (
            CallFilter {
                since: Some(at(1)),
                until: Some(at(2)),
                ..CallFilter::default()
            },
            5,
        ),
        (
            CallFilter {
                line: Some("bar".to_owned()),
                ..CallFilter::default()
            },
            0,
        ),
        (
            CallFilter {
                agent: Some("accueil".to_owned()),
                ..CallFilter::default()
            },
            25,
        ),
    ] {
        assert_eq!(
            store
                .list_calls(&scope, &filter, None)
                .await
                .unwrap()
                .calls
                .len(),
            expected,
            "{filter:?}"
        );
    }
}
}

#[test]
fn a_text_that_is_no_cursor_is_refused() {
    for text in ["", "x", "1", "é_1", "9999999999999999999999_x"] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
}

on_both! {
async fn a_hundred_writers_lose_nothing_and_meet_no_lock(place) {
    const WRITERS: u64 = 100;
    const BATCHES: u64 = 10;
    const BATCH: u64 = 5;
    // Two handles with a writer each, as two processes have: they must wait for each other.
    let stores = [place.open().await, place.open().await];
    let scope = Arc::new(TenantScope::default());
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let store = stores[usize::from(writer % 10 == 0)].clone();
        let scope = Arc::clone(&scope);
        tasks.push(tokio::spawn(async move {
            let id = format!("c{writer}");
            store.create_call(&scope, &new_call(&id, 0)).await?;
            let id = CallId::from(id);
            for batch in 0..BATCHES {
                let entries: Vec<_> = (batch * BATCH..(batch + 1) * BATCH).map(event).collect();
                store.append_events(&scope, &id, &entries).await?;
                store
                    .append_transcript(&scope, &id, &[said(Speaker::Caller, "mot", batch, None)])
                    .await?;
            }
            store
                .finish_call(&scope, &id, &end(EndReason::CallerHungUp))
                .await
        }));
    }
    for task in tasks {
        task.await.unwrap().expect("no writer fails");
    }
    for writer in 0..WRITERS {
        let id = CallId::from(format!("c{writer}"));
        assert_eq!(
            stores[0].events(&scope, &id).await.unwrap().len() as u64,
            BATCHES * BATCH
        );
        assert_eq!(
            stores[0].transcript(&scope, &id).await.unwrap().len() as u64,
            BATCHES
        );
        assert_eq!(
            stores[1].call(&scope, &id).await.unwrap().unwrap().state(),
            CallState::Finished
        );
    }
}
}

on_both! {
async fn migrations_run_once_when_many_handles_open_a_new_database_at_once(place) {
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let location = place.location().to_owned();
            tokio::spawn(async move { Store::open(&location).await })
        })
        .collect();
    for task in tasks {
        let store = task.await.unwrap().expect("every handle opens");
        store.check().await.unwrap();
        assert_eq!(store.path().is_none(), place.is_postgres());
    }
    let again = if place.is_postgres() {
        place.location().replace("postgres://", "postgresql://")
    } else {
        format!("sqlite://{}", place.location())
    };
    let again = Store::open(&again).await.unwrap();
    again
        .create_call(&TenantScope::default(), &new_call("c", 0))
        .await
        .unwrap();
    place.assert_sound().await;
}
}

on_both! {
async fn what_is_too_long_is_cut_and_marked(place) {
    let store = place.open().await;
    let scope = TenantScope::default();
    let id = CallId::from("c1");
    let mut call = new_call("c1", 0);
    call.from = "é".repeat(5_000);
    store.create_call(&scope, &call).await.unwrap();
    let huge = SipMessage {
        start_line: "INVITE sip:x SIP/2.0".to_owned(),
        text: "\u{1}".repeat(200_000),
        ..SipMessage::default()
    };
    let entries = [
        JournalEntry {
            event: Event::SipMessage(huge),
            ..event(0)
        },
        JournalEntry {
            event: Event::SpeechStarted {
                item: "x".repeat(200_000),
            },
            ..event(1)
        },
        JournalEntry {
            event: Event::Milestone {
                milestone: Milestone::Answered,
            },
            ..event(2)
        },
    ];
    store.append_events(&scope, &id, &entries).await.unwrap();
    store
        .append_transcript(
            &scope,
            &id,
            &[said(Speaker::Caller, &"à\0".repeat(50_000), 0, None)],
        )
        .await
        .unwrap();

    let from = store.call(&scope, &id).await.unwrap().unwrap().from;
    assert!(from.len() <= store::limits::FIELD_BYTES_MAX && from.ends_with('…'));
    let events = store.events(&scope, &id).await.unwrap();
    assert!(
        matches!(&events[0].event, Event::SipMessage(cut) if cut.text.ends_with('…') && cut.text.len() > 1_000)
    );
    assert!(
        matches!(&events[1].event, Event::Note { message } if message.code == "journal_too_long")
    );
    assert_eq!(events[2].event, entries[2].event);
    let text = &store.transcript(&scope, &id).await.unwrap()[0].text;
    assert!(
        text.len() <= store::limits::TRANSCRIPT_TEXT_BYTES_MAX
            && text.ends_with('…')
            && !text.contains('\0')
    );
    let many: Vec<_> = (0..=store::limits::BATCH_MAX as u64).map(event).collect();
    assert!(matches!(
        store.append_events(&scope, &id, &many).await,
        Err(WriteError::BatchTooLarge)
    ));
    let again = store.create_call(&scope, &new_call("c1", 0)).await;
    assert!(matches!(again, Err(WriteError::DuplicateCall)));
}
}

on_both! {
async fn an_event_of_a_later_version_reads_as_unknown(place) {
    let store = place.open().await;
    let scope = TenantScope::default();
    let id = CallId::from("c1");
    store.create_call(&scope, &new_call("c1", 0)).await.unwrap();
    store.append_events(&scope, &id, &[event(0)]).await.unwrap();
    place
        .execute(r#"UPDATE call_events SET event = '{"type":"of_the_future","x":1}'"#)
        .await
        .unwrap();
    assert_eq!(
        store.events(&scope, &id).await.unwrap()[0].event,
        Event::Unknown
    );
}
}

#[tokio::test]
async fn a_database_that_cannot_be_used_says_why() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let code = |error: OpenError| error.message().code.into_owned();

    std::fs::write(
        path("text.db"),
        "this is no database, it is a letter to the reader ".repeat(40),
    )
    .unwrap();
    assert_eq!(
        code(Store::open(&path("text.db")).await.unwrap_err()),
        "store_corrupt"
    );

    std::fs::write(path("file"), "x").unwrap();
    assert_eq!(
        code(Store::open(&path("file/allo.db")).await.unwrap_err()),
        "store_directory"
    );

    std::fs::create_dir(path("folder")).unwrap();
    assert_eq!(
        code(Store::open(&path("folder")).await.unwrap_err()),
        "store_unreadable"
    );

    let error = Store::open("postgres://user:secret@127.0.0.1:1/db").await;
    let error = error.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("secret"));
    assert_eq!(code(error), "store_unreadable");
    for location in [
        "mysql://user:secret@host/db",
        "",
        ":memory:",
        "sqlite::memory:",
    ] {
        let error = Store::open(location).await.unwrap_err();
        assert!(!error.to_string().contains("secret"));
        assert_eq!(code(error), "store_unsupported", "{location}");
    }

    Store::open(&path("later.db")).await.unwrap().close().await;
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path("later.db")))
        .await
        .unwrap();
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99991231000000, 'later', 1, X'00', 0)")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(
        code(Store::open(&path("later.db")).await.unwrap_err()),
        "store_too_new"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::sqlite();
    let store = place.open().await;
    store
        .create_call(&TenantScope::default(), &new_call("c", 0))
        .await
        .unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", store.location());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
}

on_both! {
async fn two_writers_of_one_transcript_lose_no_word(place) {
    let stores = [place.open().await, place.open().await];
    let scope = TenantScope::default();
    stores[0].create_call(&scope, &new_call("c", 0)).await.unwrap();
    let mut tasks = Vec::new();
    for number in 0..40_usize {
        let store = stores[number % 2].clone();
        tasks.push(tokio::spawn(async move {
            let words = [said(Speaker::Caller, &format!("mot {number}"), 0, None)];
            store.append_transcript(&TenantScope::default(), &CallId::from("c"), &words).await
        }));
    }
    for task in tasks {
        task.await.unwrap().expect("no write fails");
    }
    assert_eq!(stores[0].transcript(&scope, &CallId::from("c")).await.unwrap().len(), 40);
}
}

const FIRST: Step = Step {
    version: 1,
    name: "first",
    sqlite: "CREATE TABLE annex_things (id TEXT NOT NULL PRIMARY KEY, count INTEGER) STRICT",
    postgres: "CREATE TABLE annex_things (id TEXT NOT NULL PRIMARY KEY, count BIGINT)",
};
const SECOND: Step = Step {
    version: 2,
    name: "second",
    sqlite: "ALTER TABLE annex_things ADD COLUMN share REAL; CREATE INDEX annex_count ON annex_things (count)",
    postgres: "ALTER TABLE annex_things ADD COLUMN share DOUBLE PRECISION; CREATE INDEX annex_count ON annex_things (count)",
};

fn thing(id: &str, count: i64) -> Statement {
    let mut statement = Statement::new("INSERT INTO annex_things (id, count, share) VALUES (");
    statement
        .bind(id)
        .with(", ", count)
        .with(", ", 0.5)
        .push(")");
    statement
}

on_both! {
async fn a_crate_outside_of_the_core_keeps_tables_of_its_own(place) {
    let (one, other) = (place.open().await, place.open().await);
    one.annex().migrate("things", &[FIRST]).await.unwrap();
    let steps = [FIRST, SECOND];
    let (here, there) = (one.annex(), other.annex());
    let (first, second) = tokio::join!(here.migrate("things", &steps), there.migrate("things", &steps));
    first.unwrap();
    second.unwrap();
    let too_new = here.migrate("things", &[FIRST]).await;
    assert!(matches!(too_new, Err(OpenError::TooNew { found: 2, .. })), "{too_new:?}");
    let mut tx = here.begin().await.unwrap();
    assert_eq!(tx.run(thing("a", 3), "thing").await.unwrap(), 1);
    tx.commit().await.unwrap();
    let mut tx = here.begin().await.unwrap();
    let twice = tx.run(thing("a", 4), "thing").await;
    assert!(matches!(twice, Err(ChangeError::Duplicate { what: "thing" })), "{twice:?}");
    tx.rollback().await;
    // Given up without a word: it never happened.
    let mut tx = here.begin().await.unwrap();
    tx.run(thing("b", 4), "thing").await.unwrap();
    drop(tx);
    let rows = there.rows(Statement::new("SELECT id, count, share FROM annex_things")).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].text("id").unwrap().as_deref(), Some("a"));
    assert_eq!((rows[0].int("count").unwrap(), rows[0].real("share").unwrap()), (Some(3), Some(0.5)));
}
}
