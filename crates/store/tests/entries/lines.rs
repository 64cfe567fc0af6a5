//! SIP accounts and workflows: the statements that operators know run as they are written, one default at a time, two views of
//! one row, versions.

use sqlx::{Connection, Row};
use store::{
    SipAccount, SipAccountFilter, Workflow, WorkflowDefinition, WorkflowFilter, WorkflowVersion,
};

use super::{
    A, AuditFilter, B, ChangeError, PageRequest, PhoneLineFilter, Place, Realm, Sealed, Store,
    TenantScope, line, two, why,
};

const INSERT: &str = "INSERT INTO sip_accounts (
    label,
    trunk_uri,
    username,
    password,
    contact_host,
    contact_port,
    contact_transport,
    is_default,
    is_active
)
VALUES (
    'Trunk Principal',
    'sip:username@provider.com',
    'username',
    'password',
    'votre-ip-publique.com',
    5060,
    'udp',
    true,
    true
);";

const ASSOCIATE: &str = "UPDATE workflow_definitions
SET sip_account_id = 2
WHERE workflow_id = (SELECT id FROM workflows WHERE slug = 'support');";

const MIGRATE: &str = "INSERT INTO sip_accounts (
    label,
    trunk_uri,
    username,
    password,
    contact_host,
    contact_port,
    contact_transport,
    is_default
)
SELECT
    'Compte Principal (migré)',
    sip_trunk_uri,
    sip_trunk_username,
    sip_trunk_password,
    sip_contact_host,
    sip_contact_port,
    sip_contact_transport,
    true
FROM app_settings
WHERE sip_trunk_uri IS NOT NULL
LIMIT 1;";

const ALL: &str = "SELECT * FROM sip_accounts;";

const ACCOUNTS: &str = "SELECT id, label, trunk_uri, is_default, is_active
FROM sip_accounts
ORDER BY is_default DESC, label;";

const ASSOCIATIONS: &str = "SELECT
    w.slug AS workflow_slug,
    wd.version,
    sa.label AS sip_account,
    sa.trunk_uri
FROM workflow_definitions wd
JOIN workflows w ON w.id = wd.workflow_id
LEFT JOIN sip_accounts sa ON sa.id = wd.sip_account_id
WHERE wd.is_active = true;";

/// The first two text columns of what a statement shows; `from` says which.
async fn shown(place: &Place, sql: &'static str, columns: &[&str]) -> Vec<Vec<Option<String>>> {
    if place.is_postgres() {
        let mut connection = place.server_connection().await;
        let rows = sqlx::query(sql)
            .fetch_all(&mut connection)
            .await
            .expect("the rows are read");
        let cell = |row: &sqlx::postgres::PgRow, column: &&str| row.get(*column);
        rows.iter()
            .map(|row| columns.iter().map(|column| cell(row, column)).collect())
            .collect()
    } else {
        let url = format!("sqlite:{}", place.location());
        let mut connection = sqlx::SqliteConnection::connect(&url)
            .await
            .expect("the file is opened");
        let rows = sqlx::query(sql)
            .fetch_all(&mut connection)
            .await
            .expect("the rows are read");
        let cell = |row: &sqlx::sqlite::SqliteRow, column: &&str| row.get(*column);
        rows.iter()
            .map(|row| columns.iter().map(|column| cell(row, column)).collect())
            .collect()
    }
}

fn account(label: &str) -> SipAccount {
    SipAccount {
        label: label.to_owned(),
        trunk_uri: "sip:0491234567@sip.example.org:5066".to_owned(),
        username: Some("0491234567".to_owned()),
        password: Some(Sealed::new("d:e:f")),
        contact_transport: Some("tcp".to_owned()),
        is_active: true,
        weight: 1,
        settings: "{}".to_owned(),
        ..SipAccount::default()
    }
}

fn workflow(slug: &str) -> Workflow {
    Workflow {
        slug: slug.to_owned(),
        name: slug.to_uppercase(),
        description: None,
        is_active: true,
    }
}

fn route(agent: &str, number: &str) -> WorkflowDefinition {
    WorkflowDefinition {
        agent_id: Some(agent.to_owned()),
        phone_numbers: vec![number.to_owned()],
        ring_timeout_s: Some(3),
        ..WorkflowDefinition::default()
    }
}

async fn defaults(store: &Store, scope: &TenantScope) -> Vec<String> {
    let all = store
        .sip_accounts(scope, &SipAccountFilter::default(), &PageRequest::default())
        .await
        .expect("the accounts are read");
    let defaults = all.items.iter().filter(|account| account.is_default);
    defaults.map(|account| account.id.clone()).collect()
}

fn published(versions: &[WorkflowVersion]) -> Vec<i64> {
    let active = versions.iter().filter(|version| version.is_active);
    active.map(|version| version.version).collect()
}

on_both! {
async fn the_statements_of_the_requirements_run_as_written(place) {
    let store = place.open().await;
    let scope = TenantScope::default();
    place.execute(INSERT).await.unwrap();
    place.execute(INSERT).await.unwrap();
    assert_eq!(defaults(&store, &scope).await, ["2"], "the later one is the default, and there is one");
    let stamp = store.node_directory_stamp().await.unwrap();
    store.create_workflow(&scope, "w", &workflow("support"), &WorkflowDefinition::default(), &why("made")).await.unwrap();
    let made = store.node_directory_stamp().await.unwrap();
    place.execute(ASSOCIATE).await.unwrap();
    let associated = store.node_directory_stamp().await.unwrap();
    assert!(stamp != made && made != associated, "a statement by hand is noticed too");
    let versions = store.workflow_versions(&scope, "w").await.unwrap();
    assert_eq!(versions[0].definition.sip_account_id.as_deref(), Some("2"));
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        shown(place, ASSOCIATIONS, &["workflow_slug", "sip_account", "trunk_uri"]).await,
        [[text("support"), text("Trunk Principal"), text("sip:username@provider.com")]]
    );
    place.execute(MIGRATE).await.unwrap();
    assert_eq!(shown(place, ALL, &["label"]).await.len(), 2, "nothing to migrate");
    place
        .execute(
            "INSERT INTO app_settings (sip_trunk_uri, sip_trunk_username, sip_trunk_password, sip_contact_port) \
             VALUES ('sip:old@provider.com', 'old', 'secret', 5060)",
        )
        .await
        .unwrap();
    place.execute(MIGRATE).await.unwrap();
    let listed = shown(place, ACCOUNTS, &["id", "label"]).await;
    assert_eq!(listed[0], [text("3"), text("Compte Principal (migré)")], "the default comes first: {listed:?}");
    // A clear password is sealed at the next load.
    let directory = tempfile::TempDir::new().unwrap();
    let source = store::secret::KeySource { setting: None, data_dir: directory.path().to_owned() };
    let vault = store::secret::Vault::unlock(&store, &source).await.unwrap().vault;
    place.execute(INSERT).await.unwrap();
    assert_eq!(vault.seal_clear(&store).await.unwrap(), 1);
    let fourth = store.sip_account(&scope, "4").await.unwrap().unwrap();
    let sealed = fourth.password.as_ref().unwrap().encrypted().to_owned();
    assert!(store::secret::is_sealed(&sealed));
    assert_eq!(vault.open("4", &sealed).await.unwrap().expose(), "password");
    assert_eq!(store.node_new_sip_account_id().await.unwrap(), "5");
    for refused in [
        "INSERT INTO sip_accounts (label, trunk_uri, contact_port) VALUES ('x', 'sip:x@y', 0)",
        "INSERT INTO sip_accounts (label, trunk_uri, contact_port) VALUES ('x', 'sip:x@y', 65536)",
        "INSERT INTO sip_accounts (label, trunk_uri, contact_transport) VALUES ('x', 'sip:x@y', 'sctp')",
    ] {
        place.execute(refused).await.expect_err(refused);
    }
}

async fn one_default_at_a_time_also_under_concurrent_writes(place) {
    let (store, a, b) = two(place).await;
    for (scope, id) in [(&a, "1"), (&a, "2"), (&a, "3"), (&b, "4")] {
        store.create_sip_account(scope, id, &account(id)).await.unwrap();
    }
    assert!(defaults(&store, &a).await.is_empty());
    let mut ours = account("x");
    ours.is_default = true;
    store.update_sip_account(&b, "4", &ours, None).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for round in 0..24 {
        let (store, a, ours) = (store.clone(), a.clone(), ours.clone());
        tasks.spawn(async move {
            let id = ["1", "2", "3"][round % 3];
            store.update_sip_account(&a, id, &ours, None).await.map(drop)
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
        assert_eq!(defaults(&store, &a).await.len(), 1);
    }
    assert_eq!(defaults(&store, &b).await, ["4"], "another tenant's is its own");
    assert!(matches!(store.sip_account(&b, "1").await, Ok(None)));
    assert!(matches!(store.update_sip_account(&b, "1", &ours, None).await, Err(ChangeError::NotFound { .. })));
    let mut stranger = account("y");
    stranger.backup_account_id = Some("4".to_owned());
    assert!(matches!(store.create_sip_account(&a, "9", &stranger).await, Err(ChangeError::UnknownReference)), "another's is no backup");
}

async fn a_line_and_its_account_are_two_views_of_one_row(place) {
    let (store, a, b) = two(place).await;
    let mut ours = line(A, "+33491234567");
    ours.settings = r#"{"sipDomain":"sip.example.org","sipUsername":"alice","note":"x"}"#.to_owned();
    store.create_phone_line(&a, "line", &ours).await.unwrap();
    let seen = store.sip_account(&a, "line").await.unwrap().unwrap();
    assert_eq!((seen.label.as_str(), seen.trunk_uri.as_str(), seen.username.as_deref()), ("+33491234567", "sip:alice@sip.example.org", Some("alice")));
    assert_eq!(seen.password.as_ref().map(Sealed::encrypted), Some("a:b:c"));
    // Written through the account, seen through the line.
    let mut other = seen.content.clone();
    other.trunk_uri = "sip:bob@sip.example.net:5070".to_owned();
    other.contact_transport = Some("tls".to_owned());
    other.password = Some(Sealed::new("x:y:z"));
    other.is_active = false;
    store.update_sip_account(&a, "line", &other, Some(seen.version)).await.unwrap();
    let line_now = store.phone_line(&a, "line").await.unwrap().unwrap();
    assert_eq!(line_now.sip_password.as_ref().map(Sealed::encrypted), Some("x:y:z"));
    assert!(!line_now.is_active && line_now.version == 2);
    let settings: serde_json::Value = serde_json::from_str(&line_now.settings).unwrap();
    assert_eq!(settings, serde_json::json!({"sipDomain": "sip.example.net:5070", "sipUsername": "bob", "sipAuthUsername": "alice", "sipTransport": "tls", "note": "x"}));
    // Written through the line, seen through the account; what only the account has stays.
    let mut again = line_now.content.clone();
    again.is_active = true;
    store.update_phone_line(&a, "line", &again, Some(2)).await.unwrap();
    let account_now = store.sip_account(&a, "line").await.unwrap().unwrap();
    assert!(account_now.is_active && account_now.version == 3);
    // Without its account the line stays; without the line the account goes.
    store.delete_sip_account(&a, "line", None).await.unwrap();
    let bare = store.phone_line(&a, "line").await.unwrap().unwrap();
    assert!(bare.sip_password.is_none() && !bare.settings.contains("sipUsername"));
    store.create_phone_line(&b, "theirs", &line(B, "+33491234568")).await.unwrap();
    assert!(store.sip_account(&b, "theirs").await.unwrap().is_some());
    store.delete_phone_line(&b, "theirs", None).await.unwrap();
    assert!(store.sip_account(&b, "theirs").await.unwrap().is_none());
    let lines = store.phone_lines(&a, &PhoneLineFilter::default(), &PageRequest::default()).await.unwrap();
    assert_eq!(lines.items.len(), 1);
    place.assert_sound().await;
}

async fn workflows_have_versions_one_of_which_is_published(place) {
    let (store, a, b) = two(place).await;
    store.create_sip_account(&a, "1", &account("one")).await.unwrap();
    let mut first = route(A, "+33491000001");
    first.sip_account_id = Some("1".to_owned());
    let (made, version) = store.create_workflow(&a, "w1", &workflow("accueil"), &first, &why("made")).await.unwrap();
    assert!(version.is_active && version.version == 1 && made.version == 1);
    let draft = route(A, "+33491000002");
    let changed = store.update_workflow(&a, "w1", &workflow("accueil"), Some((&draft, false)), Some(1), &why("draft")).await.unwrap();
    let versions = store.workflow_versions(&a, "w1").await.unwrap();
    assert_eq!((versions.len(), published(&versions)), (2, vec![1]));
    assert!(matches!(store.publish_workflow(&a, "w1", 2, Some(1)).await, Err(ChangeError::VersionConflict { current: 2 })));
    store.publish_workflow(&a, "w1", 2, Some(changed.version)).await.unwrap();
    assert_eq!(published(&store.workflow_versions(&a, "w1").await.unwrap()), [2]);
    assert!(matches!(store.publish_workflow(&a, "w1", 7, None).await, Err(ChangeError::NotFound { what: "version" })));
    let back = store.roll_back_workflow(&a, "w1", 1, None, &why("back")).await.unwrap();
    assert_eq!((back.version, back.definition), (3, first.clone()));
    assert_eq!(published(&store.workflow_versions(&a, "w1").await.unwrap()), [3]);
    // No number is published twice in a tenant; another tenant's workflows are another matter.
    assert!(matches!(store.create_workflow(&a, "w2", &workflow("support"), &route(A, "33491000001"), &why("made")).await, Err(ChangeError::Duplicate { what: "the number" })));
    assert!(matches!(store.create_workflow(&a, "w2", &workflow("accueil"), &route(A, "+33491000009"), &why("made")).await, Err(ChangeError::Duplicate { what: "the slug" })));
    store.create_workflow(&b, "w3", &workflow("accueil"), &route(B, "+33491000001"), &why("made")).await.unwrap();
    let mut strange = route(B, "+33491000003");
    assert!(matches!(store.create_workflow(&a, "w4", &workflow("x"), &strange, &why("made")).await, Err(ChangeError::UnknownReference)), "another's agent");
    strange.agent_id = None;
    strange.sip_account_id = Some("1".to_owned());
    assert!(matches!(store.create_workflow(&b, "w4", &workflow("x"), &strange, &why("made")).await, Err(ChangeError::UnknownReference)), "another's account");
    let directory = store.node_directory().await.unwrap();
    assert_eq!(directory.workflows.iter().map(|found| (found.workflow.id.as_str(), found.version.version)).collect::<Vec<_>>(), [("w1", 3), ("w3", 1)]);
    assert_eq!(directory.sip_accounts.len(), 1);
    // The account goes, the workflow stays without one.
    store.delete_sip_account(&a, "1", None).await.unwrap();
    let versions = store.workflow_versions(&a, "w1").await.unwrap();
    assert!(versions.iter().all(|version| version.definition.sip_account_id.is_none()));
    assert_eq!(store.workflows(&a, &WorkflowFilter::default(), &PageRequest::default()).await.unwrap().items.len(), 1);
    assert!(matches!(store.delete_workflow(&b, "w1", None).await, Err(ChangeError::NotFound { .. })));
    store.delete_workflow(&a, "w1", None).await.unwrap();
    assert!(store.workflow_versions(&a, "w1").await.unwrap().is_empty());
    place.assert_sound().await;
}

async fn every_write_of_accounts_and_workflows_is_audited(place) {
    let (store, a, _) = two(place).await;
    let actor = store::Actor { kind: "user", id: "u1".to_owned(), name: String::new(), address: None, request_id: None, detail: None };
    let acting = store.acting_as(actor);
    acting.create_sip_account(&a, "1", &account("one")).await.unwrap();
    acting.update_sip_account(&a, "1", &account("two"), None).await.unwrap();
    acting.create_workflow(&a, "w", &workflow("accueil"), &route(A, "1"), &why("made")).await.unwrap();
    acting.roll_back_workflow(&a, "w", 1, None, &why("back")).await.unwrap();
    acting.delete_workflow(&a, "w", None).await.unwrap();
    acting.delete_sip_account(&a, "1", None).await.unwrap();
    let log = store.audit_log(Realm::Tenant(&a), &AuditFilter::default(), &PageRequest::default()).await.unwrap();
    let mut lines: Vec<_> = log.items.iter().map(|line| (line.action.as_str(), line.entity.as_str())).collect();
    lines.reverse();
    assert_eq!(
        lines,
        [
            ("created", "sip_account"), ("changed", "sip_account"), ("created", "workflow"), ("changed", "workflow_published"),
            ("changed", "workflow"), ("changed", "workflow_published"), ("removed", "workflow"), ("removed", "sip_account")
        ]
    );
}
}

/// Lines of an earlier version bring their passwords and addresses into the one table, under their own ids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_before_become_accounts() {
    let mut places = vec![Place::sqlite()];
    places.extend(Place::postgres().await);
    for place in places {
        let before = place.open().await;
        before.close().await;
        // The schema of before: the column that this migration takes away, without what it makes.
        for statement in [
            "ALTER TABLE phone_lines ADD COLUMN sip_password_enc TEXT",
            "DROP TABLE device_bindings",
            "DROP TABLE devices",
            "DROP TABLE workflow_definitions",
            "DROP TABLE workflows",
            "DROP TABLE sip_accounts",
            "DROP TABLE counters",
            "DROP INDEX calls_by_line",
            "DELETE FROM _sqlx_migrations WHERE version IN (20261128000100, 20261129004000, 20261130002000)",
            "INSERT INTO agents (id, tenant_id, name, is_active, settings, version, created_at, updated_at) \
             VALUES ('agent', 'default', 'a', 1, '{}', 1, 0, 0)",
            r#"INSERT INTO phone_lines (id, tenant_id, agent_id, phone_number, provider, is_active, settings, sip_password_enc, version, created_at, updated_at)
               VALUES ('l1', 'default', 'agent', '+331', 'sip', 1, '{"sipUsername":"alice","sipDomain":"sip.test:5066","sipTransport":"TLS"}', 'a:b:c', 1, 7, 8),
                      ('l2', 'default', 'agent', '+332', 'sip', 0, '{"sipUsername":"bob"}', NULL, 1, 7, 8),
                      ('l3', 'default', 'agent', '+333', 'twilio', 1, '{}', NULL, 1, 7, 8)"#,
        ] {
            place.execute(statement).await.unwrap();
        }
        if place.is_postgres() {
            for function in ["DROP FUNCTION take_number", "DROP FUNCTION take_default"] {
                place.execute(function).await.unwrap();
            }
        }
        let store = place.open().await;
        let scope = TenantScope::default();
        let one = store.sip_account(&scope, "l1").await.unwrap().unwrap();
        assert_eq!(
            (one.trunk_uri.as_str(), one.contact_transport.as_deref()),
            ("sip:alice@sip.test:5066", Some("tls"))
        );
        assert_eq!(one.password.as_ref().map(Sealed::encrypted), Some("a:b:c"));
        let line = store.phone_line(&scope, "l1").await.unwrap().unwrap();
        assert_eq!(
            line.sip_password.as_ref().map(Sealed::encrypted),
            Some("a:b:c")
        );
        let two = store.sip_account(&scope, "l2").await.unwrap().unwrap();
        assert!(!two.is_active && two.password.is_none() && two.trunk_uri == "sip:bob");
        assert!(store.sip_account(&scope, "l3").await.unwrap().is_none());
    }
}
