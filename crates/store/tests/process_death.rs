//! A process that dies at any moment leaves finished, honest records: all that was committed, and no invention.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use call::{CallId, EndReason, ItemId, Speaker, TranscriptEntry};
use catalog::Message;
use jiff::Timestamp;
use store::journal::{Event, Milestone, RtpStatistics};
use store::{
    CallEnd, CallFilter, CallState, Direction, JournalEntry, NewCall, Store, TenantScope,
    WriteError,
};

#[path = "common/place.rs"]
#[macro_use]
mod place;
use place::Place;

/// Tells a second run of this test program that it is the process to be killed.
const CHILD: &str = "STORE_TEST_DATABASE";

fn new_call(id: &str) -> NewCall {
    NewCall {
        id: CallId::from(id),
        direction: Direction::Inbound,
        from: "+33123456789".to_owned(),
        to: "100".to_owned(),
        line: "l".to_owned(),
        agent: "a".to_owned(),
        sip_call_id: None,
        started_at: Timestamp::now(),
    }
}

fn entry(seq: u64, event: Event) -> JournalEntry {
    JournalEntry {
        seq,
        at_ms: seq * 20,
        wall: Timestamp::now(),
        event,
    }
}

fn end(reason: EndReason) -> CallEnd {
    CallEnd {
        ended_at: Timestamp::now(),
        answered_at: None,
        reason,
        ended_by: reason.ended_by(),
        verdict: Message::new(catalog::end_code(reason.code())),
        statistics: None,
        recording_path: None,
    }
}

/// Not a test by itself: the process that is killed. It writes calls and says on its output what is committed.
#[test]
#[ignore = "run by the tests of this file as a child process"]
fn child_writer() {
    let Ok(path) = std::env::var(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Store::open(&path).await.unwrap();
        let recovered = store.recover_unfinished().await.unwrap();
        say(&format!("recovered {}", recovered.len()));
        let calls: Vec<_> = (0..3)
            .map(|lane| tokio::spawn(write_calls(store.clone(), lane)))
            .collect();
        for call in calls {
            call.await.unwrap().expect("every write succeeds");
        }
    });
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn say(line: &str) {
    println!("@{line}");
    std::io::stdout().flush().expect("the parent reads");
}

async fn write_calls(store: Store, lane: u32) -> Result<(), WriteError> {
    let scope = TenantScope::default();
    for number in 0_u32.. {
        let id = format!("{}-{lane}-{number}", std::process::id());
        store.create_call(&scope, &new_call(&id)).await?;
        say(&format!("created {id}"));
        let call = CallId::from(id.as_str());
        for seq in 0..12_u64 {
            let event = match seq {
                0 => Event::Milestone {
                    milestone: Milestone::Answered,
                },
                5 => Event::RtpStatistics(RtpStatistics {
                    packets_sent: 250,
                    ..RtpStatistics::default()
                }),
                _ => Event::SpeechStarted {
                    item: format!("i{seq}"),
                },
            };
            store
                .append_events(&scope, &call, &[entry(seq, event)])
                .await?;
            say(&format!("event {id} {seq}"));
            let spoken = TranscriptEntry {
                role: Speaker::Caller,
                text: format!("mot {seq}"),
                at_ms: seq * 20,
                item: Some(ItemId::from(format!("i{seq}"))),
                interrupted_at_ms: None,
            };
            store.append_transcript(&scope, &call, &[spoken]).await?;
            say(&format!("word {id} {seq}"));
        }
        if number % 2 == 0 {
            store
                .finish_call(&scope, &call, &end(EndReason::AgentHungUp))
                .await?;
            say(&format!("finished {id}"));
        }
    }
    Ok(())
}

#[derive(Default, Debug)]
struct Acknowledged {
    events: usize,
    words: usize,
    finished: bool,
}

/// Runs the child, kills it after so many lines of output, and returns what it had acknowledged.
fn run_and_kill(path: &str, lines: usize) -> BTreeMap<String, Acknowledged> {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "child_writer", "--ignored", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the child starts");
    let mut output = BufReader::new(child.stdout.take().expect("the output is piped"));
    let mut calls: BTreeMap<String, Acknowledged> = BTreeMap::new();
    let mut read = 0;
    let mut line = String::new();
    while output.read_line(&mut line).expect("the output is text") > 0 {
        if line.ends_with('\n') {
            read += 1;
            note(
                &mut calls,
                line.split_once('@').map_or("", |(_, said)| said.trim()),
            );
        }
        line.clear();
        if read == lines {
            child.kill().expect("SIGKILL");
        }
    }
    child.wait().expect("the child is gone");
    assert!(
        read >= lines,
        "the child ended by itself after {read} lines"
    );
    calls
}

fn note(calls: &mut BTreeMap<String, Acknowledged>, said: &str) {
    let words: Vec<&str> = said.split(' ').collect();
    match words.as_slice() {
        ["created", id] => drop(calls.insert((*id).to_owned(), Acknowledged::default())),
        ["event", id, _] => calls.entry((*id).to_owned()).or_default().events += 1,
        ["word", id, _] => calls.entry((*id).to_owned()).or_default().words += 1,
        ["finished", id] => calls.entry((*id).to_owned()).or_default().finished = true,
        _ => {}
    }
}

on_both! {
async fn a_killed_process_leaves_finished_honest_records(place) {
    let path = place.location();
    let scope = TenantScope::default();
    // Lines of output before the kill, spread over the life of calls; a fixed pseudo-random row, so that a failure repeats.
    let mut state = 0x2545_f491_u64;
    for round in 0..10 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let acknowledged = run_and_kill(path, 4 + usize::try_from((state >> 33) % 160).unwrap());
        let store = Store::open(path).await.unwrap();
        let recovered = store.recover_unfinished().await.unwrap();
        assert!(
            !recovered.is_empty(),
            "round {round}: three calls were open"
        );
        assert!(
            store.recover_unfinished().await.unwrap().is_empty(),
            "a second recovery finds nothing"
        );
        for (id, known) in &acknowledged {
            let call = CallId::from(id.as_str());
            let lost = recovered.contains(&call);
            assert!(
                !(lost && known.finished),
                "round {round}, {id}: a finished call stays as it was"
            );
            check_record(&store, &call, known, lost).await;
        }
        let running = CallFilter {
            state: Some(CallState::Running),
            ..CallFilter::default()
        };
        assert!(
            store
                .list_calls(&scope, &running, None)
                .await
                .unwrap()
                .calls
                .is_empty()
        );
        place.assert_sound().await;
        store.close().await;
    }
    if !place.is_postgres() {
        assert_eq!(
            std::fs::read_dir(format!("{path}-processes"))
                .unwrap()
                .count(),
            1,
            "only the lock of opening stays"
        );
    }
}
}

async fn check_record(store: &Store, call: &CallId, known: &Acknowledged, lost: bool) {
    let scope = TenantScope::default();
    let record = store
        .call(&scope, call)
        .await
        .expect("readable")
        .expect("an acknowledged call is there");
    let stored = record
        .end
        .clone()
        .expect("every call of the dead process is finished");
    assert!(stored.ended_at >= record.started_at);
    let mut events = store.events(&scope, call).await.expect("readable");
    if lost {
        assert_eq!(
            (stored.reason.as_str(), stored.ended_by.as_str()),
            ("process_lost", "system")
        );
        assert_eq!(stored.verdict.code, "end_process_lost");
        let last = events.pop().expect("the end is in the journal");
        assert!(matches!(&last.event, Event::Ended { reason, .. } if reason == "process_lost"));
        assert_eq!(last.wall, stored.ended_at);
        if let Some(before) = events.last() {
            assert!(before.wall <= stored.ended_at && before.at_ms <= last.at_ms);
            assert_eq!(record.answered_at, Some(events[0].wall), "from the journal");
        }
        assert_eq!(stored.statistics.is_some(), events.len() > 5);
    } else {
        assert_eq!(stored.reason, "agent_hung_up");
    }
    assert!(
        events.len() >= known.events,
        "{call}: {} of {} events",
        events.len(),
        known.events
    );
    assert!(
        events.iter().zip(0..).all(|(entry, seq)| entry.seq == seq),
        "no hole"
    );
    let words = store.transcript(&scope, call).await.expect("readable");
    assert!(
        words.len() >= known.words,
        "{call}: {} of {} words",
        words.len(),
        known.words
    );
}

on_both! {
async fn calls_of_a_living_process_are_left_alone(place) {
    let path = place.location();
    let scope = TenantScope::default();
    let (first, second) = (
        Store::open(path).await.unwrap(),
        Store::open(path).await.unwrap(),
    );
    first.create_call(&scope, &new_call("c1")).await.unwrap();
    assert!(second.recover_unfinished().await.unwrap().is_empty());
    assert!(first.recover_unfinished().await.unwrap().is_empty());
    assert_eq!(
        first
            .call(&scope, &CallId::from("c1"))
            .await
            .unwrap()
            .unwrap()
            .state(),
        CallState::Running
    );
    // A process that ends in order but forgets a call has lost it all the same.
    first.close().await;
    assert_eq!(
        second.recover_unfinished().await.unwrap(),
        [CallId::from("c1")]
    );
    assert_eq!(
        second
            .call(&scope, &CallId::from("c1"))
            .await
            .unwrap()
            .unwrap()
            .state(),
        CallState::Finished
    );
}
}
