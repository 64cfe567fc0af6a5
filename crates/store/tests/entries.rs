//! The entries of the platform: written, changed under a version, listed, kept apart between tenants.

use call::TenantId;
use jiff::{SignedDuration, Timestamp};
use store::{
    Actor, Agent, AgentFilter, ApiKey, AuditFilter, AuditNote, BlockedNumber, BlockedNumberFilter,
    Brain, ChangeError, Cursor, Faq, FaqFilter, FinalCustomer, FinalCustomerFilter, PageRequest,
    PhoneLine, PhoneLineFilter, Plan, Realm, Sealed, Store, Subscription, Tenant, TenantFilter,
    TenantScope, Tool, User, UserFilter, VersionNote, new_id,
};

#[path = "common/place.rs"]
#[macro_use]
mod place;
use place::Place;

#[path = "entries/devices.rs"]
mod devices;
#[path = "entries/lines.rs"]
mod lines;

fn scope(name: &str) -> TenantScope {
    TenantScope::new(TenantId::from(name))
}

fn tenant(name: &str) -> Tenant {
    Tenant {
        name: name.to_owned(),
        email: format!("{name}@example.org"),
        is_active: true,
        currency: "EUR".to_owned(),
        settings: "{}".to_owned(),
        balance_micro: None,
        budget_daily_micro: Some(5_000_000),
        calls_max: Some(10),
        webhook_secret: Some(Sealed::new("iv:tag:text")),
    }
}

fn agent(name: &str) -> Agent {
    Agent {
        final_customer_id: None,
        name: name.to_owned(),
        is_active: true,
        pause_reason: None,
        settings: r#"{"b":1,"a":2}"#.to_owned(),
        api_token_hash: None,
        api_token_prefix: None,
        public_token: None,
        deleted_at: None,
    }
}

fn tool(name: &str, sort_order: i64) -> Tool {
    Tool {
        name: name.to_owned(),
        sort_order,
        is_enabled: true,
        config: format!(r#"{{"name":"{name}"}}"#),
    }
}

fn customer(name: &str) -> FinalCustomer {
    FinalCustomer {
        name: name.to_owned(),
        email: None,
        phone: Some("+33123456789".to_owned()),
        currency: "EUR".to_owned(),
        cost_margin_pct: 32.5,
        is_active: true,
        settings: "{}".to_owned(),
        balance_micro: None,
    }
}

fn line(agent: &str, number: &str) -> PhoneLine {
    PhoneLine {
        agent_id: agent.to_owned(),
        phone_number: number.to_owned(),
        provider: "sip".to_owned(),
        is_active: true,
        settings: r#"{"sipDomain":"sip.example.org"}"#.to_owned(),
        sip_password: Some(Sealed::new("a:b:c")),
    }
}

fn faq(agent: &str, question: &str) -> Faq {
    Faq {
        agent_id: agent.to_owned(),
        question: question.to_owned(),
        answer: None,
        category: "other".to_owned(),
        status: "pending".to_owned(),
        caller_phone: Some("+33600000000".to_owned()),
        ask_count: 1,
    }
}

fn why(note: &str) -> VersionNote {
    VersionNote {
        author: "marie@example.org".to_owned(),
        note: note.to_owned(),
    }
}

/// Two tenants with an agent each.
async fn two(place: &Place) -> (Store, TenantScope, TenantScope) {
    let store = place.open().await;
    let (a, b) = (scope("tenant-a"), scope("tenant-b"));
    for scope in [&a, &b] {
        let name = scope.tenant().as_str().to_owned();
        store
            .node_create_tenant(scope, &tenant(&name))
            .await
            .expect("made");
        let id = format!("agent-of-{name}");
        store
            .create_agent(
                scope,
                &id,
                &agent("accueil"),
                &[tool("end_call", 2), tool("order", 1)],
                &why("made"),
            )
            .await
            .expect("made");
    }
    (store, a, b)
}

const A: &str = "agent-of-tenant-a";
const B: &str = "agent-of-tenant-b";

on_both! {
async fn an_entry_is_read_as_it_was_written_and_its_version_guards_it(place) {
    let (store, a, _) = two(place).await;
    let read = store.tenant(&a).await.unwrap().unwrap();
    assert_eq!((read.content.clone(), read.version), (tenant("tenant-a"), 1));
    let mut changed = read.content.clone();
    changed.calls_max = None;
    changed.balance_micro = Some(99);
    let second = store.update_tenant(&a, &changed, Some(1)).await.unwrap();
    assert_eq!((second.version, second.calls_max, second.balance_micro), (2, None, None), "the balance is not written so");
    let stale = store.update_tenant(&a, &changed, Some(1)).await.unwrap_err();
    assert!(matches!(stale, ChangeError::VersionConflict { current: 2 }), "{stale:?}");
    assert!(matches!(store.node_create_tenant(&a, &changed).await, Err(ChangeError::Duplicate { .. })));

    let made = store.create_final_customer(&a, "fc", &customer("Chez Élodie")).await.unwrap();
    assert_eq!(made.content, customer("Chez Élodie"));
    assert_eq!(store.final_customer(&a, "fc").await.unwrap(), Some(made.clone()));
    assert!(made.updated_at == made.created_at && made.tenant.as_deref() == Some("tenant-a"));
    store.delete_final_customer(&a, "fc", Some(7)).await.unwrap_err();
    store.delete_final_customer(&a, "fc", Some(1)).await.unwrap();
    assert_eq!(store.final_customer(&a, "fc").await.unwrap(), None);
    let gone = store.update_final_customer(&a, "fc", &customer("x"), None).await;
    assert!(matches!(gone, Err(ChangeError::NotFound { what: "final_customer" })));
    assert!(!format!("{read:?}").contains("iv:tag"), "a sealed text is not printed");
}

async fn what_is_sealed_too_long_or_holds_nul_is_dealt_with(place) {
    let (store, a, _) = two(place).await;
    let mut nul = customer("a\0b");
    nul.settings = "{}\0".to_owned();
    let made = store.create_final_customer(&a, "fc", &nul).await.unwrap();
    assert_eq!((made.name.as_str(), made.settings.as_str()), ("ab", "{}"));
    let mut long = customer("x");
    long.settings = "x".repeat(store::limits::ENTRY_TEXT_BYTES_MAX + 1);
    let refused = store.create_final_customer(&a, "fc2", &long).await;
    assert!(matches!(refused, Err(ChangeError::Refused { cause: "too_long" })));
    let other = store.create_faq(&a, "f", &faq(A, &"é".repeat(1_000))).await;
    assert!(matches!(other, Err(ChangeError::Refused { .. })));
}

async fn a_tenant_never_sees_or_changes_entries_of_another(place) {
    let (store, a, b) = two(place).await;
    store.create_final_customer(&a, "fc", &customer("x")).await.unwrap();
    store.create_phone_line(&a, "line", &line(A, "+33491234567")).await.unwrap();
    store.create_faq(&a, "faq", &faq(A, "Ouvert ?")).await.unwrap();
    store.create_blocked_number(&a, "blocked", &BlockedNumber { agent_id: None, phone_number: "+331".to_owned(), reason: None }).await.unwrap();

    assert_eq!(store.final_customer(&b, "fc").await.unwrap(), None);
    assert_eq!(store.phone_line(&b, "line").await.unwrap(), None);
    assert_eq!(store.phone_line_of_number(&b, "+33491234567").await.unwrap(), None);
    assert_eq!(store.faq(&b, "faq").await.unwrap(), None);
    assert_eq!(store.agent(&b, A).await.unwrap(), None);
    assert!(store.tools(&b, A).await.unwrap().is_empty());
    assert!(store.agent_versions(&b, A, None, 0).await.unwrap().is_empty());
    assert_eq!(store.agent_version(&b, A, 1).await.unwrap(), None);
    assert_eq!(store.blocks(&b, Some(B), "+331").await.unwrap(), None);
    let page = PageRequest::default();
    assert!(store.final_customers(&b, &FinalCustomerFilter::default(), &page).await.unwrap().items.is_empty());
    assert!(store.phone_lines(&b, &PhoneLineFilter::default(), &page).await.unwrap().items.is_empty());
    assert!(store.faqs(&b, &FaqFilter::default(), &page).await.unwrap().items.is_empty());
    assert!(store.blocked_numbers(&b, &BlockedNumberFilter::default(), &page).await.unwrap().items.is_empty());
    assert_eq!(store.agents(&b, &AgentFilter::default(), &page).await.unwrap().items.len(), 1);

    let not_found = |result: Result<(), ChangeError>| assert!(matches!(result, Err(ChangeError::NotFound { .. })), "{result:?}");
    not_found(store.update_final_customer(&b, "fc", &customer("y"), None).await.map(drop));
    not_found(store.delete_final_customer(&b, "fc", None).await);
    not_found(store.update_phone_line(&b, "line", &line(B, "+33491234567"), None).await.map(drop));
    not_found(store.delete_phone_line(&b, "line", None).await);
    not_found(store.update_agent(&b, A, &agent("x"), None, &why("")).await.map(drop));
    not_found(store.replace_brain(&b, A, &Brain { settings: "{}".to_owned(), tools: vec![] }, None, &why("")).await.map(drop));
    not_found(store.add_tool(&b, A, "t", &tool("t", 1), &why("")).await.map(drop));
    not_found(store.roll_back_agent(&b, A, 1, None, &why("")).await.map(drop));
    not_found(store.duplicate_agent(&b, A, "copy", "x", &why("")).await.map(drop));
    not_found(store.delete_agent(&b, A, None).await);
    not_found(store.set_agent_tokens(&b, A, Some(("h", "p")), None).await);
    // The database itself refuses what points into another tenant.
    let foreign = store.create_phone_line(&b, "l2", &line(A, "+33400000000")).await;
    assert!(matches!(foreign, Err(ChangeError::UnknownReference)), "{foreign:?}");
    let foreign = store.create_faq(&b, "f2", &faq(A, "x")).await;
    assert!(matches!(foreign, Err(ChangeError::UnknownReference)), "{foreign:?}");
    let mut stolen = agent("x");
    stolen.final_customer_id = Some("fc".to_owned());
    let foreign = store.create_agent(&b, "a2", &stolen, &[], &why("")).await;
    assert!(matches!(foreign, Err(ChangeError::UnknownReference)), "{foreign:?}");
    // A number is one of the node, and nothing more is said of whose it is.
    let taken = store.create_phone_line(&b, "l3", &line(B, "+33491234567")).await.unwrap_err();
    assert!(matches!(taken, ChangeError::Duplicate { what: "the number" }));
    assert!(!taken.to_string().contains("tenant-a"));
    assert_eq!(store.tools(&a, A).await.unwrap().len(), 2);
}

async fn each_write_of_an_agent_makes_a_version_that_stays(place) {
    let (store, a, _) = two(place).await;
    let brain = Brain { settings: r#"{"v":2}"#.to_owned(), tools: vec![tool("order", 1), tool("transfer", 3)] };
    let before = store.tools(&a, A).await.unwrap();
    let second = store.replace_brain(&a, A, &brain, Some(1), &why("brain")).await.unwrap();
    assert_eq!(second.version, 2);
    let after = store.tools(&a, A).await.unwrap();
    assert_eq!(after.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["order", "transfer"]);
    assert_eq!(before[0].id, after[0].id, "a tool that keeps its name keeps its id");
    assert_eq!(before[0].version, after[0].version, "and, unchanged, its version");
    let stale = store.replace_brain(&a, A, &brain, Some(1), &why("late")).await;
    assert!(matches!(stale, Err(ChangeError::VersionConflict { current: 2 })));
    let doubled = Brain { settings: "{}".to_owned(), tools: vec![tool("x", 1), tool("x", 2)] };
    assert!(matches!(store.replace_brain(&a, A, &doubled, None, &why("")).await, Err(ChangeError::Duplicate { .. })));
    assert_eq!(store.agent(&a, A).await.unwrap().unwrap().version, 2, "all or nothing");

    let mut paused = second.content.clone();
    (paused.is_active, paused.pause_reason) = (false, Some("vacances".to_owned()));
    store.update_agent(&a, A, &paused, Some(2), &why("pause")).await.unwrap();
    let added = store.add_tool(&a, A, "t9", &tool("end_call", 9), &why("tool")).await.unwrap();
    let mut changed = added.content.clone();
    changed.is_enabled = false;
    let changed = store.update_tool(&a, A, "t9", &changed, Some(1), &why("off")).await.unwrap();
    assert_eq!((changed.version, changed.is_enabled), (2, false));
    store.delete_tool(&a, A, "t9", Some(2), &why("gone")).await.unwrap();
    let back = store.roll_back_agent(&a, A, 1, Some(6), &why("as it was")).await.unwrap();
    assert_eq!((back.version, back.settings.as_str()), (7, r#"{"b":1,"a":2}"#), "in the order it was written");
    let tools = store.tools(&a, A).await.unwrap();
    assert_eq!(tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["order", "end_call"]);

    let versions = store.agent_versions(&a, A, None, 0).await.unwrap();
    let notes: Vec<_> = versions.iter().map(|version| (version.version, version.note.as_str())).collect();
    assert_eq!(notes, [(7, "as it was"), (6, "gone"), (5, "off"), (4, "tool"), (3, "pause"), (2, "brain"), (1, "made")]);
    let third = store.agent_version(&a, A, 4).await.unwrap().unwrap();
    assert_eq!((third.settings.as_str(), third.tools.len()), (r#"{"v":2}"#, 3));
    assert_eq!(store.agent_versions(&a, A, Some(3), 1).await.unwrap()[0].version, 2);
    for statement in ["UPDATE agent_versions SET note = ''", "DELETE FROM agent_versions"] {
        place.execute(statement).await.expect_err("the database protects them");
    }
    place.assert_sound().await;
}

async fn a_copy_is_another_agent_and_a_deleted_one_is_gone(place) {
    let (store, a, _) = two(place).await;
    store.create_phone_line(&a, "line", &line(A, "+33491234567")).await.unwrap();
    store.set_agent_tokens(&a, A, Some(("hash", "agt_12")), Some("pub")).await.unwrap();
    assert_eq!(store.agent(&a, A).await.unwrap().unwrap().version, 1, "a token makes no version");
    let copy = store.duplicate_agent(&a, A, "copy", "accueil 2", &why("copy")).await.unwrap();
    assert_eq!((copy.name.as_str(), copy.version, copy.api_token_hash.as_deref()), ("accueil 2", 1, None));
    assert_eq!(store.tools(&a, "copy").await.unwrap().len(), 2);

    let who = store.resolve_agent_token("hash").await.unwrap().unwrap();
    assert_eq!((who.scope, who.agent.id.as_str()), (a.clone(), A));
    assert!(store.resolve_public_token("pub").await.unwrap().is_some());
    assert!(store.resolve_agent_token("pub").await.unwrap().is_none());
    store.delete_agent(&a, A, Some(3)).await.unwrap_err();
    store.delete_agent(&a, A, Some(1)).await.unwrap();
    assert!(store.resolve_agent_token("hash").await.unwrap().is_none());
    assert!(store.agent(&a, A).await.unwrap().is_none());
    assert!(store.agent_version(&a, A, 1).await.unwrap().is_some(), "its versions stay");
    assert!(matches!(store.update_agent(&a, A, &agent("x"), None, &why("")).await, Err(ChangeError::NotFound { .. })));
    store.create_phone_line(&a, "line2", &line("copy", "+33491234567")).await.expect("its number is free");
    let directory = store.node_directory().await.unwrap();
    let ids: Vec<_> = directory.agents.iter().map(|agent| agent.agent.id.as_str()).collect();
    assert!(!ids.contains(&A) && ids.contains(&"copy"));
}

async fn many_writers_of_one_agent_follow_each_other(place) {
    let (store, a, _) = two(place).await;
    let other = place.open().await;
    let mut tasks = Vec::new();
    for number in 0..24 {
        let store = if number % 2 == 0 { store.clone() } else { other.clone() };
        let scope = a.clone();
        tasks.push(tokio::spawn(async move {
            let brain = Brain {
                settings: format!(r#"{{"n":{number}}}"#),
                tools: (0..3).map(|place| tool(&format!("t{number}_{place}"), place)).collect(),
            };
            store.replace_brain(&scope, A, &brain, None, &VersionNote::default()).await
        }));
    }
    for task in tasks {
        task.await.unwrap().expect("no write fails");
    }
    let agent = store.agent(&a, A).await.unwrap().unwrap();
    assert_eq!(agent.version, 25);
    for version in store.agent_versions(&a, A, None, 100).await.unwrap() {
        let was = store.agent_version(&a, A, version.version).await.unwrap().unwrap();
        if version.version > 1 {
            let number: serde_json::Value = serde_json::from_str(&was.settings).unwrap();
            let expected: Vec<_> = (0..3).map(|place| format!("t{}_{place}", number["n"])).collect();
            let names: Vec<_> = was.tools.iter().map(|tool| tool.name.clone()).collect();
            assert_eq!(names, expected, "settings and tools of one write");
        }
    }
    place.assert_sound().await;
}

async fn lists_have_pages_and_filters(place) {
    let (store, a, _) = two(place).await;
    for number in 0..23 {
        let mut customer = customer(&format!("Client {number:02} 100%"));
        customer.is_active = number % 2 == 0;
        store.create_final_customer(&a, &new_id(), &customer).await.unwrap();
    }
    let mut names = Vec::new();
    let mut page = PageRequest { limit: 5, after: None };
    loop {
        let list = store.final_customers(&a, &FinalCustomerFilter::default(), &page).await.unwrap();
        names.extend(list.items.into_iter().map(|entry| entry.content.name));
        let Some(next) = list.next else { break };
        let next: Cursor = next.to_string().parse().unwrap();
        page.after = Some(next);
    }
    let expected: Vec<_> = (0..23).rev().map(|number| format!("Client {number:02} 100%")).collect();
    assert_eq!(names, expected);
    for (filter, expected) in [
        (FinalCustomerFilter { search: Some("CLIENT 1".to_owned()), is_active: None }, 10),
        (FinalCustomerFilter { search: Some("100%".to_owned()), is_active: Some(true) }, 12),
        (FinalCustomerFilter { search: Some("1__%".to_owned()), is_active: None }, 0),
    ] {
        let list = store.final_customers(&a, &filter, &PageRequest::default()).await.unwrap();
        assert_eq!(list.items.len(), expected, "{filter:?}");
    }
    let found = TenantFilter { name: Some("tenant-b".to_owned()), ..TenantFilter::default() };
    assert_eq!(store.node_tenants(&found, &PageRequest::default()).await.unwrap().items.len(), 1);
    assert_eq!(store.node_tenants(&TenantFilter::default(), &PageRequest::default()).await.unwrap().items.len(), 3);
}

async fn questions_are_counted_answered_and_imported(place) {
    let (store, a, _) = two(place).await;
    store.ask_faq(&a, &faq(A, "Ouvert le lundi ?")).await.unwrap();
    let again = store.ask_faq(&a, &faq(A, "Ouvert le lundi ?")).await.unwrap();
    assert_eq!((again.ask_count, again.status.as_str()), (2, "pending"));
    let mut answered = again.content.clone();
    (answered.answer, answered.status) = (Some("Non".to_owned()), "answered".to_owned());
    store.update_faq(&a, &again.id, &answered, Some(again.version)).await.unwrap();
    assert_eq!(store.ask_faq(&a, &faq(A, "Ouvert le lundi ?")).await.unwrap().answer.as_deref(), Some("Non"));
    let items = [faq(A, "Parking ?"), faq(A, "Terrasse ?"), faq(A, "Parking ?")];
    assert_eq!(store.import_faqs(&a, &items).await.unwrap(), 3);
    store.import_faqs(&a, &[faq(A, "Chien ?"), faq("nobody", "x")]).await.unwrap_err();
    let filter = FaqFilter { agent_id: Some(A.to_owned()), ..FaqFilter::default() };
    assert_eq!(store.faqs(&a, &filter, &PageRequest::default()).await.unwrap().items.len(), 3, "all or none");
    let directory = store.node_directory().await.unwrap();
    let own = directory.agents.iter().find(|agent| agent.agent.id == A).unwrap();
    assert_eq!(own.faqs.len(), 1, "only what is answered");
}

async fn a_number_is_blocked_for_an_agent_or_for_all(place) {
    let (store, a, _) = two(place).await;
    let all = BlockedNumber { agent_id: None, phone_number: "+331".to_owned(), reason: Some("spam".to_owned()) };
    store.create_blocked_number(&a, "b1", &all).await.unwrap();
    assert!(matches!(store.create_blocked_number(&a, "b2", &all).await, Err(ChangeError::Duplicate { .. })));
    let one = BlockedNumber { agent_id: Some(A.to_owned()), phone_number: "+332".to_owned(), reason: None };
    store.create_blocked_number(&a, "b3", &one).await.unwrap();
    assert_eq!(store.blocks(&a, Some(A), "+331").await.unwrap().unwrap().reason.as_deref(), Some("spam"));
    assert!(store.blocks(&a, Some(A), "+332").await.unwrap().is_some());
    assert!(store.blocks(&a, None, "+332").await.unwrap().is_none());
    assert!(store.blocks(&a, Some(A), "+33").await.unwrap().is_none());
}

async fn keys_and_users_are_found_by_what_they_show(place) {
    let (store, a, b) = two(place).await;
    assert!(!store.node_has_users().await.unwrap());
    let user = User { email: "marie@example.org".to_owned(), name: "Marie".to_owned(), password_hash: Sealed::new("$argon2id$x"), role: "owner".to_owned(), is_active: true, last_login_at: None };
    store.create_user(Realm::Node, "u1", &user).await.unwrap();
    assert!(matches!(store.create_user(Realm::Tenant(&a), "u2", &user).await, Err(ChangeError::Duplicate { what: "the address" })));
    let found = store.resolve_user("Marie@Example.org").await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.tenant.as_deref(), found.password_hash.encrypted()), ("u1", None, "$argon2id$x"));
    assert!(store.users(Realm::Tenant(&a), &UserFilter::default(), &PageRequest::default()).await.unwrap().items.is_empty());
    assert!(store.user(Realm::Tenant(&a), "u1").await.unwrap().is_none(), "the node's users are none of a tenant");
    assert!(store.node_has_users().await.unwrap());

    let now = Timestamp::now();
    let key = ApiKey { agent_id: None, name: "site".to_owned(), prefix: "acc_12".to_owned(), hash: "h1".to_owned(), role: "admin".to_owned(), scopes: "[]".to_owned(), expires_at: Some(now + SignedDuration::from_secs(60)), revoked_at: None, last_used_at: None };
    store.create_api_key(Realm::Tenant(&a), "k1", &key).await.unwrap();
    let found = store.resolve_api_key("h1", now).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.tenant.as_deref()), ("k1", Some("tenant-a")));
    let used = store.api_key(Realm::Tenant(&a), "k1").await.unwrap().unwrap();
    assert_eq!((used.last_used_at.map(Timestamp::as_microsecond), used.version), (Some(now.as_microsecond()), 1));
    assert!(store.resolve_api_key("h1", now + SignedDuration::from_secs(61)).await.unwrap().is_none(), "expired");
    assert!(store.api_key(Realm::Tenant(&b), "k1").await.unwrap().is_none());
    let mut off = tenant("tenant-a");
    off.is_active = false;
    store.update_tenant(&a, &off, None).await.unwrap();
    assert!(store.resolve_api_key("h1", now).await.unwrap().is_none(), "its tenant is switched off");
    store.update_tenant(&a, &tenant("tenant-a"), None).await.unwrap();
    store.revoke_api_key(Realm::Tenant(&a), "k1").await.unwrap();
    assert!(store.resolve_api_key("h1", now).await.unwrap().is_none(), "revoked");
}

async fn a_link_makes_one_owner_once(place) {
    let (store, ..) = two(place).await;
    let now = Timestamp::now();
    let later = now + SignedDuration::from_secs(60);
    let person = |email: &str| User { email: email.to_owned(), name: "Marie".to_owned(), password_hash: Sealed::new("$argon2id$x"), role: "owner".to_owned(), is_active: true, last_login_at: None };
    let old = store.node_new_link(later, false).await.unwrap();
    let link = store.node_new_link(later, false).await.unwrap();
    let (first, second) = (person("a@example.org"), person("b@example.org"));
    assert!(store.node_set_up(&old.hash(), now, ("u1", &first)).await.unwrap().is_none(), "a new link takes the place of those before");
    assert!(store.node_set_up(&link.hash(), later, ("u1", &first)).await.unwrap().is_none(), "too old");
    assert!(!store.node_has_administrator().await.unwrap());
    assert!(store.node_set_up("", now, ("u1", &first)).await.unwrap().is_none());
    let hash = link.hash();
    let (one, other) = tokio::join!(
        store.node_set_up(&hash, now, ("u1", &first)),
        store.node_set_up(&hash, now, ("u2", &second)),
    );
    assert_eq!(usize::from(one.unwrap().is_some()) + usize::from(other.unwrap().is_some()), 1, "one of two at the same time");
    assert!(store.node_has_administrator().await.unwrap());

    let useless = store.node_new_link(later, false).await.unwrap();
    let third = person("c@example.org");
    assert!(store.node_set_up(&useless.hash(), now, ("u3", &third)).await.unwrap().is_none(), "there is an administrator");
    let further = store.node_new_link(later, true).await.unwrap();
    let taken = person("a@example.org");
    let taken = if store.user(Realm::Node, "u1").await.unwrap().is_some() { taken } else { person("b@example.org") };
    assert!(store.node_set_up(&further.hash(), now, ("u3", &taken)).await.is_err(), "the address is taken");
    assert!(store.node_set_up(&further.hash(), now, ("u3", &third)).await.unwrap().is_some(), "the link was not used up by the failure");
}

async fn the_audit_log_goes_with_the_change_and_stays(place) {
    let (store, a, b) = two(place).await;
    let actor = Actor { kind: "user", id: "u1".to_owned(), name: "marie@example.org".to_owned(), address: Some("127.0.0.1".to_owned()), request_id: Some("r1".to_owned()), detail: None };
    let acting = store.acting_as(actor);
    acting.create_phone_line(&a, "line", &line(A, "+33491234567")).await.unwrap();
    acting.create_phone_line(&a, "line", &line(A, "+33491234568")).await.unwrap_err();
    acting.delete_phone_line(&a, "line", None).await.unwrap();
    acting.delete_agent(&a, A, None).await.unwrap();
    let login = AuditNote { action: "logged_in".to_owned(), entity: "user".to_owned(), entity_id: "u1".to_owned(), detail: None };
    acting.audit(Realm::Node, &login).await.unwrap();
    let log = store.audit_log(Realm::Tenant(&a), &AuditFilter::default(), &PageRequest::default()).await.unwrap();
    let lines: Vec<_> = log.items.iter().map(|line| (line.action.as_str(), line.entity.as_str(), line.entity_id.as_str())).collect();
    assert_eq!(lines, [("removed", "agent", A), ("removed", "phone_line", "line"), ("created", "phone_line", "line")], "what failed is not in it");
    assert!(log.items.iter().all(|line| line.actor_id == "u1" && line.request_id.as_deref() == Some("r1")));
    assert!(store.audit_log(Realm::Tenant(&b), &AuditFilter::default(), &PageRequest::default()).await.unwrap().items.is_empty());
    assert_eq!(store.audit_log(Realm::Node, &AuditFilter::default(), &PageRequest::default()).await.unwrap().items.len(), 1);
    for statement in ["UPDATE audit_log SET actor_name = 'x'", "DELETE FROM audit_log"] {
        place.execute(statement).await.expect_err("the database protects it");
    }
}

async fn plans_are_subscribed_to(place) {
    let (store, a, b) = two(place).await;
    store.create_final_customer(&a, "fc", &customer("x")).await.unwrap();
    let plan = Plan { name: "Pro".to_owned(), price_micro: 49_000_000, currency: "EUR".to_owned(), period: "month".to_owned(), settings: "{}".to_owned(), is_active: true };
    store.create_plan(&a, "p", &plan).await.unwrap();
    let subscription = Subscription { final_customer_id: "fc".to_owned(), plan_id: "p".to_owned(), state: "active".to_owned(), starts_at: Timestamp::UNIX_EPOCH, ends_at: None };
    store.create_subscription(&a, "s", &subscription).await.unwrap();
    assert!(matches!(store.create_subscription(&b, "s2", &subscription).await, Err(ChangeError::UnknownReference)));
    assert!(matches!(store.delete_plan(&a, "p", None).await, Err(ChangeError::InUse { what: "plan" })));
    assert!(matches!(store.delete_final_customer(&a, "fc", None).await, Err(ChangeError::InUse { .. })));
    let bad = Plan { period: "week".to_owned(), ..plan };
    assert!(matches!(store.create_plan(&a, "p2", &bad).await, Err(ChangeError::Write(_))), "the database knows the periods");
}

async fn no_line_is_in_the_directory_before_the_tools_of_its_agent(place) {
    let (store, a, _) = two(place).await;
    // So many tools of others that they take a while to read: the new ones are written meanwhile.
    let tools: Vec<_> = (0..60).map(|place| tool(&format!("t{place}"), place)).collect();
    for number in 0..60 {
        let id = format!("old-{number}");
        store.create_agent(&a, &id, &agent(&id), &tools, &why("made")).await.unwrap();
    }
    let writer = place.open().await;
    let writing = tokio::spawn(async move {
        for number in 0..80 {
            let id = format!("new-{number}");
            writer.create_agent(&a, &id, &agent(&id), &[], &why("made")).await.unwrap();
            let brain = Brain { settings: "{}".to_owned(), tools: vec![tool("order", 1)] };
            writer.replace_brain(&a, &id, &brain, None, &why("tool")).await.unwrap();
            writer.create_phone_line(&a, &format!("line-{number}"), &line(&id, &format!("+3349900{number:04}"))).await.unwrap();
        }
    });
    let mut seen = 0;
    while !writing.is_finished() {
        for agent in store.node_directory().await.unwrap().agents {
            assert!(agent.lines.is_empty() || !agent.tools.is_empty(), "{}", agent.agent.id);
            seen += 1;
        }
    }
    writing.await.unwrap();
    assert!(seen > 0);
}

async fn the_directory_has_what_takes_calls_and_its_stamp_changes_with_it(place) {
    let (store, a, b) = two(place).await;
    let stamp = store.node_directory_stamp().await.unwrap();
    assert_eq!(store.node_directory_stamp().await.unwrap(), stamp);
    store.create_phone_line(&a, "line", &line(A, "+33491234567")).await.unwrap();
    let mut inactive = line(A, "+33491234568");
    inactive.is_active = false;
    store.create_phone_line(&a, "off", &inactive).await.unwrap();
    assert_ne!(store.node_directory_stamp().await.unwrap(), stamp);
    let directory = store.node_directory().await.unwrap();
    assert_eq!((directory.agents.len(), directory.tenants.len()), (2, 2));
    let own = directory.agents.iter().find(|agent| agent.agent.id == A).unwrap();
    assert_eq!(own.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["order", "end_call"]);
    assert_eq!((own.lines.len(), own.lines[0].id.as_str()), (1, "line"));
    assert_eq!(own.lines[0].sip_password.as_ref().map(Sealed::encrypted), Some("a:b:c"));
    let mut off = tenant("tenant-b");
    off.is_active = false;
    store.update_tenant(&b, &off, None).await.unwrap();
    assert_eq!(store.node_directory().await.unwrap().agents.len(), 1);
}
}
