//! Several nodes on one PostgreSQL, and a server that goes away: what SQLite's file lock gives by itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use call::CallId;
use jiff::Timestamp;
use sqlx::{Executor, Row};
use store::{CallState, Direction, NewCall, Store, TenantScope, WriteError};

#[path = "common/place.rs"]
#[macro_use]
mod place;
use place::Place;

/// Tells a second run of this test program which database to work on.
const CHILD: &str = "STORE_TEST_NODE";
const LONG: Duration = Duration::from_secs(60);

fn new_call(id: &str) -> NewCall {
    NewCall {
        id: CallId::from(id),
        direction: Direction::Inbound,
        from: String::new(),
        to: String::new(),
        line: String::new(),
        agent: String::new(),
        sip_call_id: None,
        started_at: Timestamp::now(),
    }
}

/// Not a test by itself: a node. It opens the database, writes a call, says so, and waits to be killed.
#[test]
#[ignore = "run by the tests of this file as a child process"]
fn child_node() {
    let Ok(location) = std::env::var(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(&location).await.unwrap();
        say("@open");
        let id = format!("c{}", std::process::id());
        store
            .create_call(&TenantScope::default(), &new_call(&id))
            .await
            .unwrap();
        say(&format!("@called {id}"));
        std::future::pending::<()>().await;
    });
}

fn say(line: &str) {
    let mut output = std::io::stdout();
    writeln!(output, "{line}").expect("the parent reads");
    output.flush().expect("the parent reads");
}

fn node(location: &str) -> Child {
    Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "child_node", "--ignored", "--nocapture"])
        .env(CHILD, location)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child starts")
}

/// Waits until the node said that word; what followed it.
fn heard(child: &mut Child, word: &str) -> Option<String> {
    let output = child.stdout.as_mut()?;
    for line in BufReader::new(output).lines() {
        let line = line.ok()?;
        if let Some((_, said)) = line.split_once('@')
            && let Some(rest) = said.strip_prefix(word)
        {
            return Some(rest.trim().to_owned());
        }
    }
    None
}

fn kill(mut child: Child) {
    child.kill().expect("SIGKILL");
    child.wait().expect("gone");
}

on_both! {
async fn nodes_that_are_killed_while_the_tables_are_made_leave_a_database_that_works(place) {
    // Killed at moments that move through the making of the tables; two nodes at a time, one of them survives each round.
    for round in 0..12_u64 {
        let nodes = [node(place.location()), node(place.location())];
        let [victim, mut survivor] = nodes;
        if place.is_postgres() {
            // At the moment when one of the two has the migrator's lock, so in the middle of its work.
            let mut server = place.server_connection().await;
            let deadline = Instant::now() + LONG;
            loop {
                let holders: i64 = sqlx::query_scalar(
                    "SELECT COUNT(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
                     WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()",
                )
                .fetch_one(&mut server)
                .await
                .unwrap();
                if holders > 0 || Instant::now() > deadline {
                    break;
                }
            }
        } else {
            let moment = Instant::now() + Duration::from_millis(round * 8);
            tokio::time::sleep_until(moment.into()).await;
        }
        kill(victim);
        let location = place.location().to_owned();
        let (opened, survivor) = tokio::task::spawn_blocking(move || (heard(&mut survivor, "open"), survivor)).await.unwrap();
        assert!(opened.is_some(), "round {round}: the other node opens");
        kill(survivor);
        if place.is_postgres() && round < 11 {
            // As new for the next rounds.
            place.execute("DROP SCHEMA public CASCADE").await.unwrap();
            place.execute("CREATE SCHEMA public").await.unwrap();
        } else if !place.is_postgres() && round < 11 {
            let directory = std::path::Path::new(&location).parent().unwrap();
            std::fs::remove_dir_all(directory).unwrap();
        }
    }
    let store = place.open().await;
    store.create_call(&TenantScope::default(), &new_call("last")).await.unwrap();
    place.assert_sound().await;
}

async fn a_killed_node_is_known_to_be_dead_at_once_on_its_own_machine(place) {
    let store = place.open().await;
    let mut child = node(place.location());
    let (id, child) = tokio::task::spawn_blocking(move || (heard(&mut child, "called"), child)).await.unwrap();
    let id = CallId::from(id.expect("a call"));
    assert!(store.recover_unfinished().await.unwrap().is_empty(), "it lives");
    kill(child);
    // The server notices the end of the connection a moment after the kernel closed it.
    let deadline = Instant::now() + Duration::from_secs(10);
    let recovered = loop {
        let recovered = store.recover_unfinished().await.unwrap();
        if !recovered.is_empty() || Instant::now() > deadline {
            break recovered;
        }
    };
    assert_eq!(recovered, [id]);
}
}

/// The tables of both dialects have the same columns, of the same kind, with the same duty to be filled.
#[tokio::test]
async fn both_dialects_have_the_same_tables() {
    let Some(postgres) = Place::postgres().await else {
        return;
    };
    let sqlite = Place::sqlite();
    drop((postgres.open().await, sqlite.open().await));
    let mut server = postgres.server_connection().await;
    let rows = sqlx::query(
        "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text, collation_name::text AS collated \
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut server)
    .await
    .unwrap();
    let mut there = Vec::new();
    for row in &rows {
        let kind: String = row.get("data_type");
        let collated: Option<String> = row.get("collated");
        assert!(
            kind != "text" || collated.as_deref() == Some("C"),
            "{}.{} is not compared by its bytes",
            row.get::<String, _>("table_name"),
            row.get::<String, _>("column_name")
        );
        let table: String = row.get("table_name");
        let column: String = row.get("column_name");
        let empty = row.get::<String, _>("is_nullable") == "YES";
        // SQLite has no truth values; they are numbers there.
        let kind = kind.to_uppercase().replace("BOOLEAN", "BIGINT");
        there.push((table, column, kind, empty));
    }
    let url = format!("sqlite:{}", sqlite.location());
    let file = sqlx::SqlitePool::connect(&url).await.unwrap();
    let rows = sqlx::query(
        "SELECT m.name AS table_name, c.name, c.type, c.\"notnull\" AS filled FROM sqlite_master m, pragma_table_info(m.name) c \
         WHERE m.type = 'table' AND m.name NOT IN ('_sqlx_migrations', 'sqlite_sequence')",
    )
    .fetch_all(&file)
    .await
    .unwrap();
    let mut here: Vec<(String, String, String, bool)> = rows
        .iter()
        .map(|row| {
            let filled: i64 = row.get("filled");
            (
                row.get("table_name"),
                row.get("name"),
                row.get("type"),
                filled == 0,
            )
        })
        .collect();
    there.sort();
    here.sort();
    assert!(here.len() > 150, "{} columns", here.len());
    assert_eq!(here, there);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_survives_that_all_its_connections_are_cut() {
    let Some(place) = Place::postgres().await else {
        return;
    };
    let (store, other) = (place.open().await, place.open().await);
    let scope = TenantScope::default();
    store.create_call(&scope, &new_call("c1")).await.unwrap();
    other.recover_unfinished().await.unwrap();
    for round in 0..5 {
        // As a restart of the server does, or a proxy in between.
        let mut server = place.server_connection().await;
        server
            .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
            .await
            .unwrap();
        let id = format!("r{round}");
        let deadline = Instant::now() + LONG;
        loop {
            match store.create_call(&scope, &new_call(&id)).await {
                Ok(()) | Err(WriteError::DuplicateCall) => break,
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
            assert!(Instant::now() < deadline);
        }
        assert!(store.call(&scope, &CallId::from(id)).await.is_ok());
        let recovered = other.recover_unfinished().await;
        assert!(
            recovered.as_ref().is_ok_and(Vec::is_empty)
                || recovered.is_err_and(|error| error.is_retryable()),
            "a node whose session was cut is alive"
        );
    }
    let call = store
        .call(&scope, &CallId::from("c1"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(call.state(), CallState::Running);
    // Its session comes back by itself, and its heart beats again.
    let deadline = Instant::now() + LONG;
    loop {
        let mut server = place.server_connection().await;
        let held: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .fetch_one(&mut server)
        .await
        .unwrap();
        if held == 2 {
            break;
        }
        assert!(Instant::now() < deadline, "{held} sessions are back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_machine_is_dead_only_when_it_was_silent_and_its_session_is_gone() {
    let Some(place) = Place::postgres().await else {
        return;
    };
    let (store, other) = (place.open().await, place.open().await);
    let scope = TenantScope::default();
    store.create_call(&scope, &new_call("c1")).await.unwrap();
    // Seen from elsewhere, and for long without a word: its session says that it lives.
    place
        .execute("UPDATE processes SET host = 'elsewhere', heartbeat_at = 0")
        .await
        .unwrap();
    assert!(other.recover_unfinished().await.unwrap().is_empty());
    // A process whose session is gone, with a sign of life just now: it may come back.
    place
        .execute(
            "INSERT INTO processes (id, pid, host, started_at, heartbeat_at) VALUES ('0199aaaa-0000-7000-8000-000000000001', 1, 'elsewhere', 1, \
             CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT))",
        )
        .await
        .unwrap();
    place
        .execute(
            "INSERT INTO calls (id, tenant_id, process_id, direction, from_party, to_party, line, agent, started_at) \
             VALUES ('c2', 'default', '0199aaaa-0000-7000-8000-000000000001', 'inbound', '', '', '', '', 1)",
        )
        .await
        .unwrap();
    assert!(other.recover_unfinished().await.unwrap().is_empty());
    // And the same after a long silence.
    place
        .execute("UPDATE processes SET heartbeat_at = heartbeat_at - 21000000 WHERE id = '0199aaaa-0000-7000-8000-000000000001'")
        .await
        .unwrap();
    assert_eq!(
        other.recover_unfinished().await.unwrap(),
        [CallId::from("c2")]
    );
}

/// Whoever tests a server that says no: the error of each kind of refusal has its own name.
#[tokio::test]
async fn a_server_that_refuses_is_named_without_the_password() {
    let Some(place) = Place::postgres().await else {
        return;
    };
    let nowhere = place.location().replace("/allo_", "/no_such_allo_");
    let error = Store::open(&nowhere.replace("allo@", "allo:secret@"))
        .await
        .unwrap_err();
    let text = format!("{error:?} {error} {}", error.message().code);
    assert!(
        text.contains("store_unreadable") && text.contains("does not exist"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    let store = Store::open(place.location()).await.unwrap();
    place
        .execute("ALTER TABLE tenants RENAME TO elsewhere")
        .await
        .unwrap();
    let error = store
        .add_tenant(&TenantScope::default(), "x")
        .await
        .unwrap_err();
    assert!(
        matches!(error, WriteError::Other(_)) && !error.is_retryable(),
        "{error:?}"
    );
}

/// A server of its own, which may be stopped.
struct OwnServer {
    url: String,
    directory: String,
}

fn script(arguments: &[&str]) -> String {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/postgres");
    let done = Command::new(program)
        .args(arguments)
        .output()
        .expect("it runs");
    let said = String::from_utf8(done.stdout).expect("text");
    assert!(
        done.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    said
}

impl OwnServer {
    fn start() -> Self {
        let said = script(&["start"]);
        let mut lines = said.lines();
        Self {
            url: lines.next().expect("a URL").to_owned(),
            directory: lines.next().expect("a directory").to_owned(),
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        script(&["stop", &self.directory]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_survives_that_the_server_is_stopped_at_once_and_starts_again() {
    // The same condition as for all tests of this kind.
    if Place::postgres().await.is_none() {
        return;
    }
    let server = OwnServer::start();
    let store = Store::open(&server.url).await.unwrap();
    let scope = TenantScope::default();
    let mut written = Vec::new();
    for number in 0..200_u32 {
        if number == 50 {
            // No farewell to anybody; what was committed must be there afterwards.
            script(&["restart", &server.directory]);
        }
        let id = format!("c{number}");
        let deadline = Instant::now() + LONG;
        loop {
            match store.create_call(&scope, &new_call(&id)).await {
                Ok(()) => break,
                // The answer to the first attempt was lost, not the row.
                Err(WriteError::DuplicateCall) if number == 50 => break,
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
            assert!(Instant::now() < deadline);
        }
        written.push(id);
    }
    for id in written {
        let call = store.call(&scope, &CallId::from(id)).await.unwrap();
        assert!(call.is_some());
    }
    store.close().await;
}

#[tokio::test]
async fn what_the_server_refuses_has_the_name_of_its_cause() {
    let Some(place) = Place::postgres().await else {
        return;
    };
    let store = place.open().await;
    place
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'refused' USING ERRCODE = NEW.name; END $$",
        )
        .await
        .unwrap();
    place
        .execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    for (state, code, retryable) in [
        ("53100", "store_write_disk_full", true),
        ("40001", "store_write_locked", true),
        ("40P01", "store_write_locked", true),
        ("55P03", "store_write_locked", true),
        ("57P01", "store_unavailable", true),
        ("08006", "store_unavailable", true),
        ("53300", "store_unavailable", true),
        ("25006", "store_write_failed", true),
        ("XX001", "store_write_corrupt", false),
        ("42601", "store_write_failed", false),
    ] {
        let error = store
            .add_tenant(&TenantScope::new(state.into()), state)
            .await
            .unwrap_err();
        assert_eq!(
            (error.message().code.as_ref(), error.is_retryable()),
            (code, retryable),
            "{state}"
        );
    }
}

#[tokio::test]
async fn a_row_that_somebody_else_holds_is_a_typed_error_and_reading_goes_on() {
    let Some(place) = Place::postgres().await else {
        return;
    };
    let store = place.open().await;
    let (scope, id) = (TenantScope::default(), CallId::from("c1"));
    store.create_call(&scope, &new_call("c1")).await.unwrap();
    let mut held = place.server_connection().await;
    held.execute("BEGIN").await.unwrap();
    held.execute("SELECT 1 FROM calls FOR UPDATE")
        .await
        .unwrap();
    let error = store.call_answered(&scope, &id, Timestamp::now()).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, WriteError::Locked) && error.is_retryable(),
        "{error:?}"
    );
    assert!(store.call(&scope, &id).await.unwrap().is_some());
    held.execute("ROLLBACK").await.unwrap();
    store
        .call_answered(&scope, &id, Timestamp::now())
        .await
        .unwrap();
}
