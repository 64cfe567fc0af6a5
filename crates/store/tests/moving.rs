//! `scripts/to-postgres`: everything arrives, or nothing.

use std::process::{Command, Output};

use call::{CallId, ItemId, Speaker, TenantId, TranscriptEntry};
use jiff::{SignedDuration, Timestamp};
use store::{
    Agent, Booking, CallAssignment, Direction, Faq, FaqFilter, NewCall, NewDelivery, PageRequest,
    Sealed, Store, Tenant, TenantScope, Tool, VersionNote,
};

#[path = "common/place.rs"]
#[macro_use]
mod place;
use place::Place;

fn scope() -> TenantScope {
    TenantScope::new(TenantId::from("chez \"élodie\""))
}

fn script(from: &Place, to: &Place) -> Output {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/to-postgres");
    Command::new(program)
        .args([from.location(), to.location()])
        .output()
        .expect("it runs")
}

async fn fill(store: &Store) -> Result<(), Box<dyn std::error::Error>> {
    let scope = scope();
    let tenant = Tenant {
        name: "Élodie, \"la\" bonne;\nadresse \\ 'x'".to_owned(),
        email: String::new(),
        is_active: true,
        currency: "EUR".to_owned(),
        settings: r#"{"a":"\u0000 \\n"}"#.to_owned(),
        balance_micro: None,
        budget_daily_micro: None,
        calls_max: Some(3),
        webhook_secret: Some(Sealed::new("a:b:c")),
    };
    store.node_create_tenant(&scope, &tenant).await?;
    let agent = Agent {
        final_customer_id: None,
        name: String::new(),
        is_active: false,
        pause_reason: Some(String::new()),
        settings: "{}".to_owned(),
        api_token_hash: None,
        api_token_prefix: None,
        public_token: None,
        deleted_at: None,
    };
    let tool = Tool {
        name: "t".to_owned(),
        sort_order: 1,
        is_enabled: true,
        config: "{}".to_owned(),
    };
    store
        .create_agent(&scope, "a", &agent, &[tool], &VersionNote::default())
        .await?;
    let faq = Faq {
        agent_id: "a".to_owned(),
        question: "NULL".to_owned(),
        answer: None,
        category: "\\N".to_owned(),
        status: "pending".to_owned(),
        caller_phone: None,
        ask_count: 1,
    };
    store.create_faq(&scope, "f", &faq).await?;
    fill_work(store, &scope).await
}

async fn fill_work(store: &Store, scope: &TenantScope) -> Result<(), Box<dyn std::error::Error>> {
    let booking = Booking {
        final_customer_id: None,
        kind: "top_up".to_owned(),
        reference: None,
        amount_micro: 9_007_199_254_740_993,
        currency: "EUR".to_owned(),
        note: "\"".to_owned(),
        at: Timestamp::now(),
    };
    store.book(scope, &booking).await?;
    let call = NewCall {
        id: CallId::from("c"),
        direction: Direction::Inbound,
        from: "+33".to_owned(),
        to: String::new(),
        line: String::new(),
        agent: String::new(),
        sip_call_id: None,
        started_at: Timestamp::now(),
    };
    store.create_call(scope, &call).await?;
    let assignment = CallAssignment {
        agent_id: Some("a".to_owned()),
        agent_version: Some(1),
        ..CallAssignment::default()
    };
    store
        .assign_call(scope, &CallId::from("c"), &assignment)
        .await?;
    let words = TranscriptEntry {
        role: Speaker::Caller,
        text: "Bonjour,\r\n\"allô\" ?".to_owned(),
        at_ms: 1,
        item: Some(ItemId::from("i")),
        interrupted_at_ms: None,
    };
    store
        .append_transcript(scope, &CallId::from("c"), &[words])
        .await?;
    let delivery = NewDelivery {
        id: "d".to_owned(),
        agent_id: None,
        call_id: Some("c".to_owned()),
        kind: "call.ended".to_owned(),
        url: "https://x.example.org".to_owned(),
        body: "{\n}".to_owned(),
    };
    store
        .enqueue_delivery(scope, &delivery, Timestamp::now())
        .await?;
    fill_lines(store, scope).await
}

async fn fill_lines(store: &Store, scope: &TenantScope) -> Result<(), Box<dyn std::error::Error>> {
    let account = store::SipAccount {
        label: "Trunk".to_owned(),
        trunk_uri: "sip:a@b".to_owned(),
        is_default: true,
        settings: "{}".to_owned(),
        ..store::SipAccount::default()
    };
    let account_id = store.node_new_sip_account_id().await?;
    store
        .create_sip_account(scope, &account_id, &account)
        .await?;
    let workflow = store::Workflow {
        slug: "support".to_owned(),
        ..store::Workflow::default()
    };
    let definition = store::WorkflowDefinition {
        sip_account_id: Some(account_id),
        ..store::WorkflowDefinition::default()
    };
    let why = VersionNote::default();
    store
        .create_workflow(scope, "w", &workflow, &definition, &why)
        .await?;
    fill_devices(store, scope).await
}

async fn fill_devices(
    store: &Store,
    scope: &TenantScope,
) -> Result<(), Box<dyn std::error::Error>> {
    let device = store::Device {
        label: "Comptoir".to_owned(),
        username: "101".to_owned(),
        agent_id: Some("a".to_owned()),
        workflow_id: Some("w".to_owned()),
        bindings_max: 5,
        is_active: true,
        settings: "{}".to_owned(),
        ..store::Device::default()
    };
    store.create_device(scope, "d1", &device).await?;
    let binding = store::StoredBinding {
        contact: "<sip:101@192.0.2.7>".to_owned(),
        path: "[]".to_owned(),
        instance: None,
        protocol: "udp".to_owned(),
        source: "192.0.2.7:5060".to_owned(),
        call_id: "one".to_owned(),
        sequence: 7,
        user_agent: Some("a telephone".to_owned()),
        expires_at: Timestamp::now() + SignedDuration::from_hours(1),
    };
    store.set_device_bindings(scope, "d1", &[binding]).await?;
    Ok(())
}

async fn lines_are_alike(
    there: &Store,
    here: &Store,
    scope: &TenantScope,
) -> Result<(), Box<dyn std::error::Error>> {
    assert_eq!(
        there.sip_account(scope, "1").await?,
        here.sip_account(scope, "1").await?
    );
    assert_eq!(
        there.workflow_versions(scope, "w").await?,
        here.workflow_versions(scope, "w").await?
    );
    assert_eq!(
        there.device(scope, "d1").await?,
        here.device(scope, "d1").await?
    );
    let now = Timestamp::now();
    let bound = here.node_device_bindings(now).await?;
    assert_eq!(bound.len(), 1);
    assert_eq!(there.node_device_bindings(now).await?, bound);
    assert_eq!(there.node_new_sip_account_id().await?, "2");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_as_it_was_or_nothing_does() {
    let Some(to) = Place::postgres().await else {
        return;
    };
    let from = Place::sqlite();
    let here = from.open().await;
    fill(&here).await.unwrap();
    let there = to.open().await;

    let done = script(&from, &to);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let (scope, page) = (scope(), PageRequest::default());
    assert_eq!(
        there.tenant(&scope).await.unwrap(),
        here.tenant(&scope).await.unwrap()
    );
    assert_eq!(
        there.agent(&scope, "a").await.unwrap(),
        here.agent(&scope, "a").await.unwrap()
    );
    assert_eq!(
        there.tools(&scope, "a").await.unwrap(),
        here.tools(&scope, "a").await.unwrap()
    );
    assert_eq!(
        there.agent_version(&scope, "a", 1).await.unwrap(),
        here.agent_version(&scope, "a", 1).await.unwrap()
    );
    let faqs = FaqFilter::default();
    assert_eq!(
        there.faqs(&scope, &faqs, &page).await.unwrap(),
        here.faqs(&scope, &faqs, &page).await.unwrap()
    );
    assert_eq!(
        there.transactions(&scope, None, &page).await.unwrap(),
        here.transactions(&scope, None, &page).await.unwrap()
    );
    assert_eq!(
        there.delivery(&scope, "d").await.unwrap(),
        here.delivery(&scope, "d").await.unwrap()
    );
    let call = CallId::from("c");
    assert_eq!(
        there.call(&scope, &call).await.unwrap(),
        here.call(&scope, &call).await.unwrap()
    );
    assert_eq!(
        there.transcript(&scope, &call).await.unwrap(),
        here.transcript(&scope, &call).await.unwrap()
    );
    lines_are_alike(&there, &here, &scope).await.unwrap();
    to.assert_sound().await;

    // A second time, onto what is there: refused, and nothing is changed.
    let again = script(&from, &to);
    assert!(!again.status.success());
    assert_eq!(
        there.tenant(&scope).await.unwrap(),
        here.tenant(&scope).await.unwrap()
    );
    assert_eq!(there.transcript(&scope, &call).await.unwrap().len(), 1);
}
