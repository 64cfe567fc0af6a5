//! What calls leave behind: their end with its cost and its webhook, tools that ran, deliveries, bookings, chats.

use std::collections::BTreeSet;

use call::{CallId, EndReason, Speaker, TenantId, TranscriptEntry};
use catalog::Message;
use jiff::{SignedDuration, Timestamp};
use store::packet::PacketContents;
use store::{
    Agent, Artefact, Attempt, Begun, Booking, CallAssignment, CallClose, CallCost, CallEnd,
    ChangeError, ChatClose, ChatMessage, ChatSession, Closed, DeliveryFilter, DeliveryState,
    Direction, FinalCustomer, NewCall, NewDelivery, NewToolRun, PageRequest, PlacedCalls,
    PriceTable, Realm, Repetition, Store, StoredAnswer, TenantScope, ToolRunEnd, ToolRunState,
    VersionNote, new_id,
};

#[path = "common/place.rs"]
#[macro_use]
mod place;
use place::Place;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).expect("within range")
}

fn scope() -> TenantScope {
    TenantScope::default()
}

fn other() -> TenantScope {
    TenantScope::new(TenantId::from("other"))
}

fn call(id: &str) -> CallId {
    CallId::from(id)
}

async fn begin_call(store: &Store, id: &str) {
    begin(store, id, Direction::Inbound, at(0)).await;
}

async fn begin(store: &Store, id: &str, direction: Direction, started_at: Timestamp) {
    let new = NewCall {
        id: call(id),
        direction,
        from: "+33123456789".to_owned(),
        to: "+33491234567".to_owned(),
        line: String::new(),
        agent: String::new(),
        sip_call_id: None,
        started_at,
    };
    store.create_call(&scope(), &new).await.expect("written");
}

fn delivery(id: &str, call: Option<&str>) -> NewDelivery {
    NewDelivery {
        id: id.to_owned(),
        agent_id: Some("agent".to_owned()),
        call_id: call.map(str::to_owned),
        kind: "call.ended".to_owned(),
        url: "https://backoffice.example.org/api/calls".to_owned(),
        body: r#"{"z":1,"a":2}"#.to_owned(),
    }
}

fn close(call: &str, cost: i64) -> CallClose {
    CallClose {
        end: CallEnd {
            ended_at: at(60),
            answered_at: Some(at(2)),
            reason: EndReason::CallerHungUp,
            ended_by: EndReason::CallerHungUp.ended_by(),
            verdict: Message::new(catalog::end_code("caller_hung_up")),
            statistics: None,
            recording_path: None,
        },
        outcome: Some("order_placed".to_owned()),
        context: Some(r#"{"customer_id":"c"}"#.to_owned()),
        model: Some("gpt-realtime".to_owned()),
        cost: Some(CallCost {
            costs: r#"{"text":1}"#.to_owned(),
            cost_micro: cost,
            final_customer_micro: Some(cost * 13 / 10),
            currency: "EUR".to_owned(),
        }),
        deliveries: vec![delivery(&format!("d-{call}"), Some(call))],
    }
}

fn top_up(reference: &str, amount: i64) -> Booking {
    Booking {
        final_customer_id: None,
        kind: "top_up".to_owned(),
        reference: Some(reference.to_owned()),
        amount_micro: amount,
        currency: "EUR".to_owned(),
        note: "virement".to_owned(),
        at: at(0),
    }
}

async fn balance(store: &Store) -> Option<i64> {
    let tenant = store.tenant(&scope()).await.expect("readable");
    tenant.expect("there").balance_micro
}

async fn with_customer(store: &Store) {
    let customer = FinalCustomer {
        name: "x".to_owned(),
        email: None,
        phone: None,
        currency: "EUR".to_owned(),
        cost_margin_pct: 30.0,
        is_active: true,
        settings: "{}".to_owned(),
        balance_micro: None,
    };
    store
        .create_final_customer(&scope(), "fc", &customer)
        .await
        .expect("written");
    let mut credit = top_up("credit", 1_000_000);
    credit.final_customer_id = Some("fc".to_owned());
    store.book(&scope(), &credit).await.expect("booked");
}

on_both! {
async fn a_call_ends_once_with_its_cost_and_its_webhook(place) {
    let store = place.open().await;
    with_customer(&store).await;
    store.book(&scope(), &top_up("p1", 5_000_000)).await.unwrap().unwrap();
    begin_call(&store, "c1").await;
    let assignment = CallAssignment {
        agent_id: Some("agent".to_owned()),
        agent_version: Some(7),
        final_customer_id: Some("fc".to_owned()),
        carrier: Some("twilio".to_owned()),
        carrier_call_id: Some("CA1".to_owned()),
        model: None,
    };
    store.assign_call(&scope(), &call("c1"), &assignment).await.unwrap();
    store.assign_call(&scope(), &call("c1"), &CallAssignment::default()).await.unwrap();
    assert!(matches!(store.assign_call(&other(), &call("c1"), &assignment).await, Err(ChangeError::NotFound { .. })));
    assert_eq!(store.running_calls(&scope(), Some("agent")).await.unwrap(), 1);

    // Ten at once, from two processes: one closes the call.
    let second = place.open().await;
    let mut tasks = Vec::new();
    for number in 0..10 {
        let store = if number % 2 == 0 { store.clone() } else { second.clone() };
        tasks.push(tokio::spawn(async move {
            store.finish_call_with(&scope(), &call("c1"), &close("c1", 300_000)).await
        }));
    }
    let mut now = 0;
    for task in tasks {
        match task.await.unwrap().expect("no end fails") {
            Closed::Now { balance_micro } => {
                assert_eq!(balance_micro, Some(4_700_000));
                now += 1;
            }
            Closed::Before => {}
        }
    }
    assert_eq!(now, 1);
    let record = store.call(&scope(), &call("c1")).await.unwrap().unwrap();
    let service = record.service;
    assert_eq!((service.agent_version, service.carrier.as_deref(), service.carrier_call_id.as_deref()), (Some(7), Some("twilio"), Some("CA1")));
    assert_eq!((service.outcome.as_deref(), service.cost_micro, service.model.as_deref()), (Some("order_placed"), Some(300_000), Some("gpt-realtime")));
    assert_eq!(service.context, Some(serde_json::json!({ "customer_id": "c" })));
    assert_eq!(balance(&store).await, Some(4_700_000), "debited once");
    assert_eq!(store.final_customer(&scope(), "fc").await.unwrap().unwrap().balance_micro, Some(610_000));
    let queued = store.deliveries(&scope(), &DeliveryFilter { call_id: Some("c1"), ..DeliveryFilter::default() }, &PageRequest::default()).await.unwrap();
    assert_eq!((queued.items.len(), queued.items[0].delivery.body.as_str()), (1, r#"{"z":1,"a":2}"#));
    assert_eq!(store.spend_since(&scope(), at(60)).await.unwrap(), 300_000);
    assert_eq!(store.spend_since(&scope(), at(61)).await.unwrap(), 0);
    assert_eq!(store.spend_since(&other(), at(0)).await.unwrap(), 0);
    assert_eq!(store.running_calls(&scope(), None).await.unwrap(), 0);
    place.assert_sound().await;
}

async fn a_call_that_cannot_be_closed_whole_is_not_closed_at_all(place) {
    let store = place.open().await;
    store.book(&scope(), &top_up("p1", 5_000_000)).await.unwrap();
    begin_call(&store, "c1").await;
    let mut huge = close("c1", 300_000);
    huge.deliveries[0].body = "x".repeat(store::limits::ENTRY_TEXT_BYTES_MAX + 1);
    assert!(matches!(store.finish_call_with(&scope(), &call("c1"), &huge).await, Err(ChangeError::Refused { .. })));
    assert!(store.call(&scope(), &call("c1")).await.unwrap().unwrap().end.is_none());
    assert_eq!(balance(&store).await, Some(5_000_000));
    assert!(matches!(store.finish_call_with(&other(), &call("c1"), &close("c1", 1)).await, Err(ChangeError::NotFound { .. })));
    assert!(matches!(store.finish_call_with(&scope(), &call("c1"), &close("c1", 1)).await, Ok(Closed::Now { .. })));
}

async fn a_call_that_a_dead_process_left_is_closed_once_afterwards(place) {
    let store = place.open().await;
    let first = place.open().await;
    begin_call(&first, "c1").await;
    let assignment = CallAssignment { agent_id: Some("agent".to_owned()), ..CallAssignment::default() };
    first.assign_call(&scope(), &call("c1"), &assignment).await.unwrap();
    first.close().await;
    assert!(store.node_calls_to_close(10).await.unwrap().is_empty());
    assert_eq!(store.recover_unfinished().await.unwrap(), [call("c1")]);
    assert_eq!(store.node_calls_to_close(10).await.unwrap(), [(scope(), call("c1"))]);
    store.book(&scope(), &top_up("p1", 1_000_000)).await.unwrap();
    assert!(matches!(store.finish_call_with(&scope(), &call("c1"), &close("c1", 300_000)).await.unwrap(), Closed::Now { balance_micro: Some(700_000) }));
    assert_eq!(store.finish_call_with(&scope(), &call("c1"), &close("c1", 300_000)).await.unwrap(), Closed::Before);
    let record = store.call(&scope(), &call("c1")).await.unwrap().unwrap();
    assert_eq!(record.end.unwrap().reason, "process_lost", "how it ended stays");
    assert!(store.node_calls_to_close(10).await.unwrap().is_empty());
    assert_eq!(balance(&store).await, Some(700_000));
}

async fn a_reference_is_booked_once_and_balances_agree_with_their_transactions(place) {
    let store = place.open().await;
    assert_eq!(balance(&store).await, None, "none is kept at first");
    let mut free = top_up("x", -5);
    free.kind = "call".to_owned();
    assert_eq!(store.book(&scope(), &free).await.unwrap().unwrap().balance_micro, None);
    let mut tasks = Vec::new();
    for number in 0..40_i64 {
        let store = store.clone();
        // Each payment is told twice.
        tasks.push(tokio::spawn(async move { store.book(&scope(), &top_up(&format!("p{}", number / 2), 10)).await }));
    }
    let mut booked = 0;
    for task in tasks {
        booked += i64::from(task.await.unwrap().expect("no booking fails").is_some());
    }
    assert_eq!((booked, balance(&store).await), (20, Some(200)));
    let list = store.transactions(&scope(), None, &PageRequest { limit: 500, after: None }).await.unwrap();
    let sum: i64 = list.items.iter().filter(|one| one.balance_micro.is_some()).map(|one| one.booking.amount_micro).sum();
    assert_eq!(sum, 200);
    let mut unknown = top_up("y", 1);
    unknown.final_customer_id = Some("nobody".to_owned());
    assert!(matches!(store.book(&scope(), &unknown).await, Err(ChangeError::NotFound { .. })));
    for statement in ["UPDATE transactions SET amount_micro = 0", "DELETE FROM transactions"] {
        place.execute(statement).await.expect_err("the database protects them");
    }
}

async fn prices_are_replaced_by_day(place) {
    let store = place.open().await;
    let table = |prices: &str, day: i64| PriceTable { model_prefix: "gpt-realtime".to_owned(), valid_from: at(day * 86_400), currency: "USD".to_owned(), prices: prices.to_owned() };
    for prices in [table("{\"textIn\":1}", 0), table("{\"textIn\":2}", 1), table("{\"textIn\":3}", 1)] {
        store.node_set_prices(&prices).await.unwrap();
    }
    assert_eq!(store.node_prices().await.unwrap(), [table("{\"textIn\":1}", 0), table("{\"textIn\":3}", 1)]);
}

async fn a_tool_runs_once_for_its_key(place) {
    let store = place.open().await;
    store.add_tenant(&other(), "Other").await.unwrap();
    let run = NewToolRun {
        call: call("c1"),
        agent_id: Some("agent".to_owned()),
        tool_call_id: "call_1".to_owned(),
        name: "confirm_order".to_owned(),
        arguments: r#"{"total":12}"#.to_owned(),
        request: Some(r#"{"method":"POST"}"#.to_owned()),
        idempotency_key: "k1".to_owned(),
        started_at: at(5),
    };
    let second = place.open().await;
    let mut tasks = Vec::new();
    for number in 0..10 {
        let (store, run) = (if number % 2 == 0 { store.clone() } else { second.clone() }, run.clone());
        tasks.push(tokio::spawn(async move { store.begin_tool_run(&scope(), &run).await }));
    }
    let mut new = 0;
    for task in tasks {
        new += usize::from(task.await.unwrap().expect("no begin fails") == Begun::New);
    }
    assert_eq!(new, 1, "one request leaves");
    assert!(matches!(store.begin_tool_run(&other(), &run).await, Err(ChangeError::Duplicate { .. })));
    let end = |output: &str| ToolRunEnd { state: ToolRunState::Done, status: Some(200), output: output.to_owned(), cost_micro: 5_000, ended_at: at(6) };
    assert!(matches!(store.finish_tool_run(&other(), "k1", &end("x")).await, Err(ChangeError::NotFound { .. })));
    assert!(store.finish_tool_run(&scope(), "k1", &end("{\"order_number\":7}")).await.unwrap());
    assert!(!store.finish_tool_run(&scope(), "k1", &end("late")).await.unwrap(), "the first answer stays");
    let Begun::Exists(done) = store.begin_tool_run(&scope(), &run).await.unwrap() else { panic!("it ran") };
    assert_eq!((done.state, done.output.as_deref(), done.cost_micro), (ToolRunState::Done, Some("{\"order_number\":7}"), 5_000));
    assert_eq!(done.run, run);
    assert_eq!(store.tool_runs(&scope(), &call("c1")).await.unwrap().len(), 1);
    assert!(store.tool_runs(&other(), &call("c1")).await.unwrap().is_empty());
    assert_eq!(store.list_tool_runs(&scope(), Some("agent"), &PageRequest::default()).await.unwrap().items.len(), 1);
}

async fn runs_of_a_dead_process_are_taken_over_once(place) {
    let first = place.open().await;
    for number in 0..30 {
        let run = NewToolRun { call: call("c"), agent_id: None, tool_call_id: format!("t{number}"), name: "x".to_owned(), arguments: "{}".to_owned(), request: None, idempotency_key: format!("k{number}"), started_at: at(number) };
        assert_eq!(first.begin_tool_run(&scope(), &run).await.unwrap(), Begun::New);
    }
    let (second, third) = (place.open().await, place.open().await);
    assert!(second.node_adopt_tool_runs(100).await.unwrap().is_empty(), "their process lives");
    second.recover_unfinished().await.unwrap();
    assert!(second.node_adopt_tool_runs(100).await.unwrap().is_empty(), "still");
    first.close().await;
    let mut tasks = Vec::new();
    for number in 0..8 {
        let store = if number % 2 == 0 { second.clone() } else { third.clone() };
        tasks.push(tokio::spawn(async move { store.node_adopt_tool_runs(5).await }));
    }
    let mut taken = Vec::new();
    for task in tasks {
        let runs = task.await.unwrap().expect("no taking over fails");
        assert!(runs.len() <= 5 && runs.iter().all(|run| run.attempts == 2));
        taken.extend(runs.into_iter().map(|run| run.run.idempotency_key));
    }
    let different: BTreeSet<_> = taken.iter().collect();
    assert_eq!((taken.len(), different.len()), (30, 30), "each by one process, none forgotten");
}

async fn deliveries_are_claimed_by_one_node_at_a_time(place) {
    let store = place.open().await;
    let second = place.open().await;
    for number in 0..60 {
        store.enqueue_delivery(&scope(), &delivery(&format!("d{number:02}"), None), at(number)).await.unwrap();
    }
    store.enqueue_delivery(&scope(), &delivery("d00", None), at(0)).await.unwrap();
    assert_eq!(store.node_next_delivery(&[]).await.unwrap(), Some(at(0)));
    assert_eq!(store.node_claim_deliveries(at(9), 100, SignedDuration::from_secs(30), &[]).await.unwrap().len(), 10, "only what is due");
    let mut tasks = Vec::new();
    for number in 0..10 {
        let store = if number % 2 == 0 { store.clone() } else { second.clone() };
        tasks.push(tokio::spawn(async move {
            store.node_claim_deliveries(at(100), 8, SignedDuration::from_secs(30), &[]).await
        }));
    }
    let mut claimed = Vec::new();
    for task in tasks {
        let some = task.await.unwrap().expect("no claim fails");
        assert!(some.len() <= 8);
        claimed.extend(some.into_iter().map(|delivery| delivery.delivery.id));
    }
    // The ten of before are due again: their lease is over.
    let rest = store.node_claim_deliveries(at(100), 100, SignedDuration::from_secs(30), &[]).await.unwrap();
    claimed.extend(rest.into_iter().map(|delivery| delivery.delivery.id));
    let different: BTreeSet<_> = claimed.iter().collect();
    assert_eq!((claimed.len(), different.len()), (60, 60));
    assert!(store.node_claim_deliveries(at(129), 100, SignedDuration::from_secs(30), &[]).await.unwrap().is_empty());
    assert_eq!(store.node_next_delivery(&[]).await.unwrap(), Some(at(130)));
}

async fn a_delivery_is_tried_until_it_is_delivered_or_dead_and_may_be_replayed(place) {
    let store = place.open().await;
    let lease = SignedDuration::from_secs(30);
    store.enqueue_delivery(&scope(), &delivery("d", Some("c")), at(0)).await.unwrap();
    store.enqueue_delivery(&scope(), &delivery("again", Some("c")), at(0)).await.unwrap();
    let first = store.node_claim_deliveries(at(0), 10, lease, &[]).await.unwrap();
    assert_eq!((first.len(), first[0].attempts), (1, 1), "a call has one of each kind");
    let failed = Attempt::Failed { status: Some(503), error: "busy".to_owned(), next_attempt_at: at(50) };
    assert!(store.note_attempt(&first[0], &failed, at(1)).await.unwrap());
    assert!(!store.note_attempt(&first[0], &failed, at(1)).await.unwrap(), "the claim is given back");
    assert!(store.node_claim_deliveries(at(49), 10, lease, &[]).await.unwrap().is_empty());
    let second = store.node_claim_deliveries(at(50), 10, lease, &[]).await.unwrap();
    assert_eq!((second[0].attempts, second[0].last_status, second[0].last_error.as_deref()), (2, Some(503), Some("busy")));
    // A slow node whose lease is over: its failure does not count, its success would.
    let third = store.node_claim_deliveries(at(90), 10, lease, &[]).await.unwrap();
    assert!(!store.note_attempt(&second[0], &failed, at(91)).await.unwrap());
    let dead = Attempt::Dead { status: Some(410), error: "gone".to_owned() };
    assert!(store.note_attempt(&third[0], &dead, at(92)).await.unwrap());
    let filter = DeliveryFilter { state: Some(DeliveryState::Dead), ..DeliveryFilter::default() };
    let list = store.deliveries(&scope(), &filter, &PageRequest::default()).await.unwrap();
    assert_eq!((list.items.len(), list.items[0].ended_at), (1, Some(at(92))));
    assert_eq!(store.node_next_delivery(&[]).await.unwrap(), None);
    assert!(matches!(store.replay_delivery(&other(), "d", at(100)).await, Err(ChangeError::NotFound { .. })));
    store.replay_delivery(&scope(), "d", at(100)).await.unwrap();
    let fourth = store.node_claim_deliveries(at(100), 10, lease, &[]).await.unwrap();
    assert!(store.note_attempt(&fourth[0], &Attempt::Delivered { status: 200 }, at(101)).await.unwrap());
    let done = store.delivery(&scope(), "d").await.unwrap().unwrap();
    assert_eq!((done.state, done.last_status, done.last_error), (DeliveryState::Delivered, Some(200), None));
    assert_eq!(store.delivery(&other(), "d").await.unwrap(), None);
}

async fn a_repeated_request_gets_the_answer_of_the_first(place) {
    let store = place.open().await;
    let own = scope();
    let realm = Realm::Tenant(&own);
    let until = at(86_400);
    let mut tasks = Vec::new();
    for _ in 0..10 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let own = scope();
            store.take_idempotency_key(Realm::Tenant(&own), "k", "hash", at(0), at(86_400)).await
        }));
    }
    let mut first = 0;
    for task in tasks {
        let answer = task.await.unwrap().expect("no asking fails");
        first += i32::from(answer == Repetition::First);
        assert!(matches!(answer, Repetition::First | Repetition::InProgress), "{answer:?}");
    }
    assert_eq!(first, 1);
    assert_eq!(store.take_idempotency_key(realm, "k", "different", at(1), until).await.unwrap(), Repetition::OtherRequest);
    assert_eq!(store.take_idempotency_key(Realm::Node, "k", "different", at(1), until).await.unwrap(), Repetition::First, "each owner has its own keys");
    let answer = StoredAnswer { status: 201, headers: Some("{}".to_owned()), body: r#"{"id":"x"}"#.to_owned() };
    store.answer_idempotency_key(realm, "k", &answer).await.unwrap();
    store.give_back_idempotency_key(realm, "k").await.unwrap();
    assert_eq!(store.take_idempotency_key(realm, "k", "hash", at(1), until).await.unwrap(), Repetition::Done(answer));
    assert_eq!(store.take_idempotency_key(realm, "k", "hash", until, at(200_000)).await.unwrap(), Repetition::First, "it had expired");
    assert_eq!(store.take_idempotency_key(realm, "lost", "h", at(0), until).await.unwrap(), Repetition::First);
    assert_eq!(store.take_idempotency_key(realm, "lost", "h", at(119), until).await.unwrap(), Repetition::InProgress);
    assert_eq!(store.take_idempotency_key(realm, "lost", "h", at(120), until).await.unwrap(), Repetition::First, "whoever took it died");
    store.give_back_idempotency_key(realm, "lost").await.unwrap();
    assert_eq!(store.take_idempotency_key(realm, "lost", "h2", at(121), until).await.unwrap(), Repetition::First);
    assert_eq!(store.node_purge_idempotency_keys(until).await.unwrap(), 2);
}

async fn a_chat_keeps_its_messages_and_is_booked_once(place) {
    let store = place.open().await;
    store.add_tenant(&other(), "Other").await.unwrap();
    let agent = Agent { final_customer_id: None, name: "a".to_owned(), is_active: true, pause_reason: None, settings: "{}".to_owned(), api_token_hash: None, api_token_prefix: None, public_token: None, deleted_at: None };
    store.create_agent(&scope(), "agent", &agent, &[], &VersionNote::default()).await.unwrap();
    let chat = ChatSession { agent_id: "agent".to_owned(), agent_version: 1, ..ChatSession::default() };
    let id = new_id();
    store.create_chat(&scope(), &id, &chat).await.unwrap();
    let message = |content: &str| ChatMessage { seq: 0, role: "user".to_owned(), content: content.to_owned(), detail: None, at: at(1) };
    let mut tasks = Vec::new();
    for number in 0..10 {
        let (store, id) = (store.clone(), id.clone());
        let pair = [message(&format!("q{number}")), message(&format!("r{number}"))];
        tasks.push(tokio::spawn(async move { store.append_chat_messages(&scope(), &id, &pair, Some("{}")).await }));
    }
    for task in tasks {
        task.await.unwrap().expect("no message is lost");
    }
    let messages = store.chat_messages(&scope(), &id, 0).await.unwrap();
    assert!(messages.iter().zip(0..).all(|(message, seq)| message.seq == seq));
    assert!(messages.len() == 20 && messages.chunks(2).all(|pair| pair[0].content[1..] == pair[1].content[1..]));
    assert_eq!(store.chat_messages(&scope(), &id, 18).await.unwrap().len(), 2);
    assert!(store.chat_messages(&other(), &id, 0).await.unwrap().is_empty());
    assert!(matches!(store.append_chat_messages(&other(), &id, &[message("x")], None).await, Err(ChangeError::NotFound { .. })));
    assert!(store.keep_chat_context(&scope(), &id, "{\"a\":1}").await.unwrap());
    assert!(!store.keep_chat_context(&other(), &id, "{}").await.unwrap());
    assert_eq!(store.open_chats(&scope(), "agent").await.unwrap(), 1);
    let stale = store.node_stale_chats(at(0), at(0), 10).await.unwrap();
    assert!(stale.is_empty(), "it was changed just now");
    let now = Timestamp::now();
    let [(of, found)] = &store.node_stale_chats(now, at(0), 10).await.unwrap()[..] else { panic!("one is idle") };
    assert!(*of == scope() && found.id == id && found.context.as_deref() == Some("{\"a\":1}"));
    assert_eq!(store.node_stale_chats(at(0), now, 10).await.unwrap().len(), 1, "or it began too long ago");
    let close = ChatClose {
        ended_at: at(9),
        outcome: "info_only".to_owned(),
        context: None,
        cost: Some(CallCost { costs: "{}".to_owned(), cost_micro: 70, final_customer_micro: None, currency: "EUR".to_owned() }),
        final_customer_id: None,
        deliveries: vec![delivery("chat-end", Some(&id))],
    };
    assert!(matches!(store.finish_chat(&other(), &id, &close).await, Err(ChangeError::NotFound { .. })));
    assert!(matches!(store.finish_chat(&scope(), &id, &close).await.unwrap(), Closed::Now { .. }));
    assert_eq!(store.finish_chat(&scope(), &id, &close).await.unwrap(), Closed::Before);
    assert!(!store.keep_chat_context(&scope(), &id, "{}").await.unwrap(), "what has ended stays as it is");
    let filter = DeliveryFilter { call_id: Some(&id), ..DeliveryFilter::default() };
    assert_eq!(store.deliveries(&scope(), &filter, &PageRequest::default()).await.unwrap().items.len(), 1);
    assert!(store.node_stale_chats(now, now, 10).await.unwrap().is_empty());
    assert_eq!(store.spend_since(&scope(), at(0)).await.unwrap(), 70);
}
}

on_both! {
async fn what_is_old_goes_and_what_goes_on_stays(place) {
    let store = place.open().await;
    store.add_tenant(&other(), "Other").await.unwrap();
    begin_call(&store, "old").await;
    begin_call(&store, "running").await;
    let word = TranscriptEntry { role: Speaker::Caller, text: "mot".to_owned(), at_ms: 0, item: None, interrupted_at_ms: None };
    for id in ["old", "running"] {
        store.append_transcript(&scope(), &call(id), std::slice::from_ref(&word)).await.unwrap();
        for _ in 0..2 {
            store.append_packet_block(&scope(), &call(id), 0, &[1, 2, 0, 255]).await.unwrap();
            store.append_packet_block(&scope(), &call(id), 2, &[7]).await.unwrap();
        }
    }
    assert_eq!(store.packets(&scope(), &call("old")).await.unwrap(), [(0, vec![1, 2, 0, 255]), (2, vec![7])]);
    assert_eq!(store.packet_contents(&scope(), &call("old")).await.unwrap(), PacketContents::Whole);
    assert!(store.append_packet_block(&other(), &call("old"), 3, &[7]).await.is_err());
    assert!(store.packets(&other(), &call("old")).await.unwrap().is_empty());
    assert_eq!(store.packet_contents(&other(), &call("old")).await.unwrap(), PacketContents::None);
    store.finish_call_with(&scope(), &call("old"), &close("old", 10)).await.unwrap();
    for artefact in [Artefact::Transcripts, Artefact::Contexts, Artefact::Journals, Artefact::ToolRuns, Artefact::Chats, Artefact::Deliveries] {
        assert_eq!(store.node_expire(None, artefact, at(60)).await.unwrap(), 0, "{artefact:?} is not old enough");
        assert_eq!(store.node_expire(Some(&other()), artefact, at(61)).await.unwrap(), 0, "{artefact:?} of another");
    }
    assert_eq!(store.node_expire(Some(&scope()), Artefact::Transcripts, at(61)).await.unwrap(), 1);
    assert_eq!(store.node_expire(None, Artefact::Contexts, at(61)).await.unwrap(), 1);
    assert_eq!(store.packets(&scope(), &call("old")).await.unwrap().len(), 2);
    store.node_expire(None, Artefact::Journals, at(61)).await.unwrap();
    assert!(store.packets(&scope(), &call("old")).await.unwrap().is_empty());
    assert_eq!(store.packets(&scope(), &call("running")).await.unwrap().len(), 2);
    assert_eq!(store.node_expire(None, Artefact::Deliveries, at(900)).await.unwrap(), 0, "what waits stays");
    assert_eq!(store.transcript(&scope(), &call("running")).await.unwrap().len(), 1);
    let record = store.call(&scope(), &call("old")).await.unwrap().unwrap();
    assert!(record.end.is_some() && record.service.context.is_none() && record.service.cost_micro == Some(10));
}

async fn a_number_is_erased_and_the_books_stay(place) {
    let store = place.open().await;
    store.add_tenant(&other(), "Other").await.unwrap();
    let number = "+33123456789";
    begin_call(&store, "c1").await;
    assert!(matches!(store.erase_phone_number(&scope(), number).await, Err(ChangeError::InUse { what: "call" })));
    let word = TranscriptEntry { role: Speaker::Caller, text: "Je m'appelle Élodie".to_owned(), at_ms: 0, item: None, interrupted_at_ms: None };
    store.append_transcript(&scope(), &call("c1"), &[word]).await.unwrap();
    store.recording_started(&scope(), &call("c1"), "recordings/c1.wav").await.unwrap();
    store.append_packet_block(&scope(), &call("c1"), 0, &[1, 1, 0]).await.unwrap();
    store.finish_call_with(&scope(), &call("c1"), &close("c1", 10)).await.unwrap();
    assert_eq!(store.erase_phone_number(&other(), number).await.unwrap().calls.len(), 0);
    assert!(store.erase_phone_number(&scope(), "").await.is_err());
    let agent = Agent { final_customer_id: None, name: "a".to_owned(), is_active: true, pause_reason: None, settings: "{}".to_owned(), api_token_hash: None, api_token_prefix: None, public_token: None, deleted_at: None };
    let chat = ChatSession { agent_id: "a".to_owned(), visitor: Some(r#"{"phone":"01 23 45 67 89"}"#.to_owned()), ..ChatSession::default() };
    store.create_agent(&scope(), "a", &agent, &[], &VersionNote::default()).await.unwrap();
    let chat = store.create_chat(&scope(), "chat-p", &chat).await.unwrap();
    let told = store.export_phone_number(&scope(), "0123456789").await.unwrap();
    assert_eq!((told["calls"][0]["call"]["id"].as_str(), told["calls"][0]["transcript"][0]["text"].as_str()), (Some("c1"), Some("Je m'appelle Élodie")));
    assert_eq!(told["calls"][0]["packets"].as_str(), Some("/api/calls/c1/capture.pcapng"));
    assert_eq!(told["chats"][0]["id"].as_str(), Some(chat.id.as_str()));
    assert_eq!(store.export_phone_number(&other(), number).await.unwrap()["calls"], serde_json::json!([]));
    assert!(matches!(store.erase_phone_number(&scope(), number).await, Err(ChangeError::InUse { what: "chat_session" })));
    let closed = ChatClose { ended_at: at(12), outcome: "info_only".to_owned(), context: None, cost: None, final_customer_id: None, deliveries: Vec::new() };
    store.finish_chat(&scope(), &chat.id, &closed).await.unwrap();
    let erased = store.erase_phone_number(&scope(), "01.23.45.67.89").await.unwrap();
    assert_eq!((erased.chats, erased.questions), (1, 0));
    assert_eq!((erased.calls, erased.recordings), (vec![call("c1")], vec!["recordings/c1.wav".to_owned()]));
    let record = store.call(&scope(), &call("c1")).await.unwrap().unwrap();
    assert_eq!((record.from.as_str(), record.service.context, record.recording_path), ("erased", None, None));
    assert!(store.transcript(&scope(), &call("c1")).await.unwrap().is_empty());
    assert!(store.packets(&scope(), &call("c1")).await.unwrap().is_empty());
    assert!(store.deliveries(&scope(), &DeliveryFilter::default(), &PageRequest::default()).await.unwrap().items.is_empty());
    assert_eq!(store.spend_since(&scope(), at(0)).await.unwrap(), 10);
    assert!(store.erase_phone_number(&scope(), number).await.unwrap().calls.is_empty());
    let told = store.export_phone_number(&scope(), number).await.unwrap();
    assert_eq!((&told["calls"], &told["chats"]), (&serde_json::json!([]), &serde_json::json!([])));
}

async fn recordings_are_forgotten_when_they_are_old(place) {
    let store = place.open().await;
    begin_call(&store, "c1").await;
    store.recording_started(&scope(), &call("c1"), "recordings/c1.wav").await.unwrap();
    assert!(store.node_expire_recordings(at(1_000)).await.unwrap().is_empty(), "the call goes on");
    store.finish_call_with(&scope(), &call("c1"), &close("c1", 10)).await.unwrap();
    assert!(store.node_expire_recordings(at(60)).await.unwrap().is_empty());
    assert_eq!(store.node_expire_recordings(at(61)).await.unwrap(), ["recordings/c1.wav"]);
    assert!(store.node_expire_recordings(at(61)).await.unwrap().is_empty());
    assert_eq!(store.call(&scope(), &call("c1")).await.unwrap().unwrap().recording_path, None);
}
}

on_both! {
async fn calls_that_a_tenant_placed_are_counted_with_their_cost(place) {
    let store = place.open().await;
    begin_call(&store, "came").await;
    for (id, second) in [("early", 10), ("late", 20), ("runs", 30)] {
        begin(&store, id, Direction::Outbound, at(second)).await;
    }
    for (id, cost) in [("came", 1_000), ("early", 300), ("late", 70)] {
        let mut end = close(id, cost);
        end.deliveries.clear();
        store.finish_call_with(&scope(), &call(id), &end).await.unwrap();
    }
    for (since, calls, cost_micro) in [(0, 3, 370), (10, 3, 370), (11, 2, 70), (21, 1, 0), (31, 0, 0)] {
        let placed = store.calls_placed_since(&scope(), at(since)).await.unwrap();
        assert_eq!(placed, PlacedCalls { calls, cost_micro }, "{since}");
    }
    assert_eq!(store.calls_placed_since(&other(), at(0)).await.unwrap(), PlacedCalls::default());
    place.assert_sound().await;
}
}
