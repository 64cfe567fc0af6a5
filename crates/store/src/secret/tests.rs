//! The vault on a real database: keys found, refused and exchanged.

use super::rotation::{Step, rotate};
use super::*;
use crate::db::Store;
use crate::scope::TenantScope;

const LINE: &str = "0193b3f2-5d3e-7000-8000-000000000001";
const PASSWORD: &str = "pass:word:é";
const WEBHOOK_SECRET: &str = "whsec_of_the_tenant";
const ENGINE_KEY: &str = "sk-engine";

/// The databases that each test runs on: a file, and a database of the PostgreSQL that `ALLO_TEST_POSTGRES` names.
fn kinds() -> Vec<Option<String>> {
    let server = std::env::var("ALLO_TEST_POSTGRES").ok();
    std::iter::once(None).chain(server.map(Some)).collect()
}

struct World {
    directory: tempfile::TempDir,
    location: String,
    store: Store,
}

impl World {
    async fn new(server: Option<&str>) -> Self {
        let directory = tempfile::TempDir::new().unwrap();
        let location = match server {
            Some(server) => fresh(server).await,
            None => directory
                .path()
                .join("allo.db")
                .to_str()
                .unwrap()
                .to_owned(),
        };
        let store = Store::open(&location).await.unwrap();
        Self {
            directory,
            location,
            store,
        }
    }

    fn source(&self, setting: Option<&MasterKey>) -> KeySource {
        KeySource {
            setting: setting.map(MasterKey::to_hex),
            data_dir: self.directory.path().to_owned(),
        }
    }

    async fn unlock(&self, setting: Option<&MasterKey>) -> Result<Unlocked, VaultError> {
        Vault::unlock(&self.store, &self.source(setting)).await
    }

    async fn run(&self, statement: &'static str) {
        let mut write = self.store.write().await.unwrap();
        sqlx::query(statement).execute(&mut *write).await.unwrap();
        write.commit().await.unwrap();
    }

    /// One clear value in each column but the account's, which has no clear past.
    async fn add_clear(&self) {
        self.run(
            "INSERT INTO agents (id, tenant_id, name, is_active, settings, version, created_at, updated_at) \
             VALUES ('agent', 'default', 'a', 1, '{\"engine\":{\"apiKey\":\"sk-of-the-agent\"}}', 1, 0, 0)",
        )
        .await;
        self.run(
            "INSERT INTO tools (id, tenant_id, agent_id, name, sort_order, is_enabled, config, version, created_at, updated_at) \
             VALUES ('tool', 'default', 'agent', 't', 0, 1, \
             '{\"http\":{\"headers\":{\"X-Token\":\"key-of-the-tool\",\"Accept\":\"*/*\",\"X-Key\":\"={{config.key}}\"}}}', 1, 0, 0)",
        )
        .await;
        self.run(
            "INSERT INTO agent_versions (agent_id, version, tenant_id, at, author, note, name, settings, tools) \
             VALUES ('agent', 1, 'default', 0, '', '', 'a', '{\"engine\":{\"apiKey\":\"sk-of-before\"}}', \
             '[{\"name\":\"t\",\"sort_order\":0,\"is_enabled\":true,\"config\":\"{\\\"http\\\":{\\\"headers\\\":{\\\"X-Token\\\":\\\"key-of-the-tool\\\"}}}\"}]')",
        )
        .await;
        self.run(
            "INSERT INTO sip_accounts (id, label, trunk_uri, password) VALUES ('0193b3f2-5d3e-7000-8000-000000000001', \
             '+33100000000', 'sip:a@b', 'pass:word:é')",
        )
        .await;
        self.run(
            "UPDATE tenants SET webhook_secret_enc = 'whsec_of_the_tenant' WHERE id = 'default'",
        )
        .await;
    }

    /// What the columns hold now.
    async fn stored(&self) -> [String; 2] {
        let one = async |statement: &'static str| {
            let row = sqlx::query(statement)
                .fetch_one(self.store.readers())
                .await
                .unwrap();
            sqlx::Row::try_get::<String, _>(&row, 0).unwrap()
        };
        [
            one("SELECT password FROM sip_accounts").await,
            one("SELECT webhook_secret_enc FROM tenants WHERE id = 'default'").await,
        ]
    }

    /// The agent's settings, its tool, and what both were at version 1: as stored, then opened.
    async fn members(&self, vault: &Vault) -> (String, Vec<serde_json::Value>) {
        let scope = TenantScope::default();
        let agent = self.store.agent(&scope, "agent").await.unwrap().unwrap();
        let tools = self.store.tools(&scope, "agent").await.unwrap();
        let version = self.store.agent_version(&scope, "agent", 1).await;
        let version = version.unwrap().unwrap();
        let stored = [
            &agent.settings,
            &tools[0].config,
            &version.settings,
            &version.tools[0].config,
        ];
        let clear = stored.iter().map(|text| text.as_str()).collect();
        let mut values: Vec<serde_json::Value> = stored
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect();
        let all: Vec<_> = values.iter_mut().collect();
        let opened = vault.open_members(&self.store, &scope, all).await;
        opened.unwrap();
        (clear, values)
    }

    async fn assert_members_open(&self, vault: &Vault, when: &str) {
        let (stored, opened) = self.members(vault).await;
        for secret in ["sk-of-the-agent", "key-of-the-tool", "sk-of-before"] {
            assert!(!stored.contains(secret), "{when}: {stored}");
        }
        assert_eq!(opened[0]["engine"]["apiKey"], "sk-of-the-agent", "{when}");
        let headers = &opened[1]["http"]["headers"];
        assert_eq!(headers["X-Token"], "key-of-the-tool", "{when}");
        assert_eq!(headers["Accept"], "*/*", "{when}");
        assert_eq!(headers["X-Key"], "={{config.key}}", "{when}");
        assert_eq!(opened[2]["engine"]["apiKey"], "sk-of-before", "{when}");
        assert_eq!(
            opened[3]["http"]["headers"],
            serde_json::json!({"X-Token": "key-of-the-tool"}),
            "{when}"
        );
    }

    async fn assert_all_open(&self, vault: &Vault, when: &str) {
        self.assert_members_open(vault, when).await;
        let [password, webhook] = self.stored().await;
        assert!(is_sealed(&password) && is_sealed(&webhook), "{when}");
        let opened = vault.open(LINE, &password).await;
        assert_eq!(
            opened.map(|text| text.expose().to_owned()).as_deref(),
            Ok(PASSWORD),
            "{when}"
        );
        let opened = vault
            .open(&account_salt("default", WEBHOOK), &webhook)
            .await;
        assert_eq!(
            opened.map(|text| text.expose().to_owned()).as_deref(),
            Ok(WEBHOOK_SECRET),
            "{when}"
        );
        let scope = TenantScope::default();
        let key = vault
            .get(&self.store, &scope, "engine:openai")
            .await
            .unwrap();
        assert_eq!(
            key.as_ref().map(SecretText::expose),
            Some(ENGINE_KEY),
            "{when}"
        );
    }

    /// Values in every column, and the vault that they were written with.
    async fn filled(server: Option<&str>, setting: Option<&MasterKey>) -> (Self, Vault) {
        let world = Self::new(server).await;
        world.add_clear().await;
        let vault = world.unlock(setting).await.unwrap().vault;
        let scope = TenantScope::default();
        vault
            .put(&world.store, &scope, "engine:openai", ENGINE_KEY)
            .await
            .unwrap();
        (world, vault)
    }
}

async fn fresh(server: &str) -> String {
    use sqlx::{Connection as _, Executor as _};
    let name = format!("allo_vault_{}", uuid::Uuid::now_v7().simple());
    let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
    let statement = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    connection.execute(statement).await.unwrap();
    connection.close().await.unwrap();
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

#[tokio::test]
async fn a_first_start_makes_a_key_file_and_encrypts_what_was_clear() {
    for server in kinds() {
        let world = World::new(server.as_deref()).await;
        world.add_clear().await;
        let first = world.unlock(None).await.unwrap();
        let file = world.source(None).file();
        assert_eq!(first.made.as_deref(), Some(file.as_path()));
        assert_eq!(first.migrated, 6);
        let again = world.unlock(None).await.unwrap();
        assert_eq!((again.made, again.migrated), (None, 0));
        let [password, _] = world.stored().await;
        assert!(is_sealed(&password) && !password.contains("word"));
        assert_eq!(
            again.vault.open(LINE, &password).await.unwrap().expose(),
            PASSWORD
        );
        assert!(again.vault.open("another line", &password).await.is_err());
    }
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_refused_and_changes_nothing() {
    for server in kinds() {
        let key = MasterKey::generate();
        let (world, vault) = World::filled(server.as_deref(), Some(&key)).await;
        let before = world.stored().await;
        let wrong = world
            .unlock(Some(&MasterKey::generate()))
            .await
            .unwrap_err();
        assert!(
            matches!(wrong, VaultError::WrongKey { ref origin } if origin == "ENCRYPTION_KEY"),
            "{wrong:?}"
        );
        let missing = world.unlock(None).await.unwrap_err();
        assert!(
            matches!(missing, VaultError::MissingKey { .. }),
            "{missing:?}"
        );
        assert!(
            !world.source(None).file().exists(),
            "no key may be made in the place of a lost one"
        );
        let source = KeySource {
            setting: Some(SecretText::new("1234")),
            ..world.source(None)
        };
        let bad = Vault::unlock(&world.store, &source).await.unwrap_err();
        assert!(matches!(bad, VaultError::BadSetting));
        assert_eq!(world.stored().await, before);
        for error in [wrong, missing, bad] {
            assert!(catalog::entry(error.message().code.as_ref()).is_some());
        }
        world.assert_all_open(&vault, "after the refusals").await;
    }
}

#[tokio::test]
async fn values_of_another_program_are_verified_before_the_first_use() {
    for server in kinds() {
        let key = MasterKey::generate();
        let (world, vault) = World::filled(server.as_deref(), Some(&key)).await;
        // As if the rows had been copied here, without our check value.
        world.run("DELETE FROM vault").await;
        assert!(matches!(
            world.unlock(None).await,
            Err(VaultError::MissingKey { .. })
        ));
        let wrong = world.unlock(Some(&MasterKey::generate())).await;
        assert!(matches!(wrong, Err(VaultError::WrongKey { .. })));
        world.unlock(Some(&key)).await.unwrap();
        world.assert_all_open(&vault, "after").await;
    }
}

#[tokio::test]
async fn an_exchange_that_dies_at_any_step_is_finished_by_the_next_start() {
    for server in kinds() {
        for by_setting in [false, true] {
            for dies_at in 0.. {
                let old = by_setting.then(MasterKey::generate);
                let (world, _) = World::filled(server.as_deref(), old.as_ref()).await;
                let next = MasterKey::generate();
                let mut step = 0;
                let mut seen = None;
                let mut die = |now: Step| {
                    step += 1;
                    seen = Some(now);
                    if step == dies_at + 1 {
                        Err(VaultError::Value(OpenValueError::Failed))
                    } else {
                        Ok(())
                    }
                };
                let ended = rotate(
                    &world.store,
                    &world.source(old.as_ref()),
                    next.clone(),
                    &mut die,
                )
                .await;
                let when = format!("setting: {by_setting}, died at {seen:?} (step {dies_at})");
                let begun = seen != Some(Step::KeyWritten);
                // The operator may restart with the old setting or have put the new one there already.
                for setting in [
                    old.clone(),
                    old.as_ref().filter(|_| begun).map(|_| next.clone()),
                ] {
                    let unlocked = world
                        .unlock(setting.as_ref())
                        .await
                        .unwrap_or_else(|error| panic!("{when}: {error:?}"));
                    world.assert_all_open(&unlocked.vault, &when).await;
                    assert_eq!(*unlocked.vault.master() == next, begun, "{when}");
                    let outdated = by_setting && begun && setting == old;
                    assert_eq!(unlocked.outdated_setting.is_some(), outdated, "{when}");
                    if !by_setting {
                        break;
                    }
                    if !begun {
                        break;
                    }
                }
                // With a key file nothing is left to do, and the old key opens nothing.
                if !by_setting && begun {
                    assert_eq!(
                        key_file::read(&world.source(None).file()).unwrap(),
                        Some(next),
                        "{when}"
                    );
                    assert!(!world.source(None).next_file().exists(), "{when}");
                }
                if ended.is_ok() {
                    assert!(dies_at >= 5, "{when}: too few steps were tried");
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn keys_are_not_exchanged_under_a_living_server_nor_over_an_unreadable_value() {
    for server in kinds() {
        let (world, vault) = World::filled(server.as_deref(), None).await;
        let server = Store::open(&world.location).await.unwrap();
        server.announce().await.unwrap();
        let refused = Vault::rotate(&world.store, &world.source(None), MasterKey::generate()).await;
        assert!(
            matches!(refused, Err(VaultError::InUse { count: 1 })),
            "{refused:?}"
        );
        world.assert_all_open(&vault, "refused").await;
        server.close().await;
        world
        .run("UPDATE sip_accounts SET password = 'UbPfQNqskDEk9Wb9:DmZx1zGUL288y8yDOQtEYQ==:gzBxTNVQ'")
        .await;
        let refused = Vault::rotate(&world.store, &world.source(None), MasterKey::generate()).await;
        assert!(
            matches!(refused, Err(VaultError::Unreadable { table: "sip_accounts", ref id }) if id == LINE),
            "{refused:?}"
        );
        let [password, _] = world.stored().await;
        assert!(
            matches!(
                vault.open(LINE, &password).await,
                Err(OpenValueError::NotOpened)
            ),
            "never taken for clear text"
        );
    }
}

#[tokio::test]
async fn values_of_accounts_are_apart() {
    for server in kinds() {
        let (world, vault) = World::filled(server.as_deref(), None).await;
        let other = TenantScope::new(call::TenantId::from("other"));
        world.store.add_tenant(&other, "Other").await.unwrap();
        assert_eq!(
            vault
                .get(&world.store, &other, "engine:openai")
                .await
                .unwrap(),
            None
        );
        assert!(
            !vault
                .remove(&world.store, &other, "engine:openai")
                .await
                .unwrap()
        );
        vault
            .put(&world.store, &other, "engine:openai", "sk-other")
            .await
            .unwrap();
        assert_eq!(
            vault.purposes(&world.store, &other).await.unwrap(),
            ["engine:openai"]
        );
        world.assert_all_open(&vault, "beside another").await;
        // A row moved to another account does not open there.
        world
            .run("DELETE FROM account_secrets WHERE tenant_id = 'other'")
            .await;
        world
            .run("UPDATE account_secrets SET id = 'other:engine:openai', tenant_id = 'other'")
            .await;
        let moved = vault.get(&world.store, &other, "engine:openai").await;
        assert!(matches!(moved, Err(VaultError::Unreadable { .. })));
    }
}

#[tokio::test]
async fn secrets_inside_of_agents_are_sealed_once_and_stay_with_their_tenant() {
    for server in kinds() {
        let (world, vault) = World::filled(server.as_deref(), None).await;
        let scope = TenantScope::default();
        let written = || {
            serde_json::json!({"http": {"headers": {"Authorization": "Bearer abc", "Accept": "*/*"}}, "list": [{"password": "p"}],
            "shown": {"apiKey": members::HIDDEN}, "template": {"apiKey": "={{config.key}}"}, "constant": {"apiKey": "=abc"}})
        };
        let seal = async |scope: &TenantScope, value: &mut serde_json::Value| {
            let sealed = vault.seal_members(&world.store, scope, "agent", vec![value]);
            sealed.await.unwrap();
        };
        let mut first = written();
        seal(&scope, &mut first).await;
        let text = first.to_string();
        assert!(!text.contains("Bearer") && !text.contains("=abc"), "{text}");
        assert!(!text.contains(r#""p""#), "{text}");
        assert_eq!(first["shown"], written()["shown"]);
        assert_eq!(first["template"], written()["template"]);
        // The same again is the same; what is sealed stays.
        let mut again = written();
        seal(&scope, &mut again).await;
        assert_eq!(again, first);
        seal(&scope, &mut again).await;
        assert_eq!(again, first);
        let mut opened = first.clone();
        let open = vault.open_members(&world.store, &scope, vec![&mut opened]);
        open.await.unwrap();
        assert_eq!(opened, written());
        // A reference of another tenant is a text like any other there, and opens nothing.
        let other = TenantScope::new(call::TenantId::from("other"));
        world.store.add_tenant(&other, "Other").await.unwrap();
        let mut stolen = first.clone();
        let open = vault.open_members(&world.store, &other, vec![&mut stolen]);
        assert!(matches!(open.await, Err(VaultError::Unreadable { .. })));
        let mut sent = first.clone();
        let sealed = vault.seal_members(&world.store, &other, "agent-2", vec![&mut sent]);
        sealed.await.unwrap();
        assert_ne!(sent, first);
        let open = vault.open_members(&world.store, &other, vec![&mut sent]);
        open.await.unwrap();
        assert_eq!(sent, first, "the text, not what it names elsewhere");
        // Too long, and too many.
        let mut long = serde_json::json!({ "password": "x".repeat(VALUE_BYTES_MAX + 1) });
        let many = (0..=MEMBERS_MAX).map(|n| serde_json::json!({ "password": n.to_string() }));
        let mut many = serde_json::Value::Array(many.collect());
        for value in [&mut long, &mut many] {
            let sealed = vault.seal_members(&world.store, &scope, "agent", vec![value]);
            let refused = sealed.await;
            assert!(matches!(
                refused,
                Err(VaultError::Value(OpenValueError::TooLong))
            ));
        }
        // Nothing else of a version can be changed, and nothing twice.
        let mut write = world.store.write().await.unwrap();
        let changed = sqlx::query("UPDATE agent_versions SET is_sealed = 1, name = 'b'");
        assert!(changed.execute(&mut *write).await.is_err());
    }
}

#[tokio::test]
async fn many_rows_are_derived_off_the_runtime_and_within_bounds() {
    let vault = Vault::of(MasterKey::generate());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let vault = vault.clone();
        tasks.spawn(async move {
            let id = format!("line-{}", number % 4);
            let sealed = vault.seal(&id, "text").await.unwrap();
            vault.open(&id, &sealed).await.unwrap().expose().to_owned()
        });
    }
    while let Some(text) = tasks.join_next().await {
        assert_eq!(text.unwrap(), "text");
    }
    assert!(matches!(
        vault.seal(&"s".repeat(SALT_BYTES_MAX + 1), "x").await,
        Err(OpenValueError::TooLong)
    ));
    let long = "x".repeat(VALUE_BYTES_MAX + 1);
    assert!(matches!(
        vault.seal("id", &long).await,
        Err(OpenValueError::TooLong)
    ));
}
