//! The API in this process, over a real store and a real engine, asked without a socket.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses a part; a test stops where it fails"
)]

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use engine::Engine;
use engine::config::{RecordingConfig, SipConfig};
use platform::{AdminToken, Api, Config};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::Store;
use store::secret::{KeySource, Vault};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// Token of the owner.
pub const OWNER: &str = "owner-token-of-the-tests";

/// What a request was answered.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub fn id(&self) -> String {
        self.json()["id"].as_str().expect("an id").to_owned()
    }

    /// The same, of a request that had to succeed.
    pub fn good(self) -> Self {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self
    }

    pub fn tag(&self) -> String {
        self.headers[header::ETAG].to_str().unwrap().to_owned()
    }
}

/// A running API.
pub struct House {
    pub router: Router,
    pub store: Store,
    pub engine: Engine,
    pub nudges: Arc<AtomicUsize>,
    vault: Vault,
    directory: TempDir,
}

fn engine_config(directory: &TempDir) -> engine::Config {
    engine::Config {
        sip: SipConfig {
            udp: Some("127.0.0.1:0".parse().unwrap()),
            tcp: None,
            tls_bind: None,
            ..SipConfig::default()
        },
        recording: RecordingConfig {
            enabled: false,
            announce: false,
            directory: directory.path().to_owned(),
        },
        ..engine::Config::default()
    }
}

impl House {
    /// Each file of the database: its log of writes too.
    pub fn database_bytes(&self) -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file() && path.to_string_lossy().contains("allo.db"))
            .map(|path| std::fs::read(path).unwrap())
            .collect()
    }

    /// What the engine's side finds in the settings (`config.crm.apiKey`) and in the header of a tool (`X-Api-Key`).
    pub async fn opened(
        &self,
        scope: &store::TenantScope,
        agent: &str,
        tool: &str,
    ) -> (String, String) {
        let found = self.store.agent(scope, agent).await.unwrap().unwrap();
        let tools = self.store.tools(scope, agent).await.unwrap();
        let tool = tools.iter().find(|one| one.name == tool).unwrap();
        let mut settings: Value = serde_json::from_str(&found.settings).unwrap();
        let mut config: Value = serde_json::from_str(&tool.config).unwrap();
        let values = vec![&mut settings, &mut config];
        self.vault
            .open_members(&self.store, scope, values)
            .await
            .unwrap();
        let text =
            |value: &Value, at: &str| value.pointer(at).unwrap().as_str().unwrap().to_owned();
        (
            text(&settings, "/config/crm/apiKey"),
            text(&config, "/http/headers/X-Api-Key"),
        )
    }

    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = TempDir::new().unwrap();
        let database = std::env::var("ALLO_TEST_PLATFORM_DATABASE").unwrap_or_else(|_| {
            directory
                .path()
                .join("allo.db")
                .to_string_lossy()
                .into_owned()
        });
        let store = Store::open(&database).await.unwrap();
        let keys = KeySource {
            setting: None,
            data_dir: directory.path().to_owned(),
        };
        let vault = Vault::unlock(&store, &keys).await.unwrap().vault;
        let engine = Engine::start(
            engine_config(&directory),
            store.clone(),
            courier::Courier::new(courier::CourierConfig::default()).unwrap(),
        )
        .await
        .unwrap();
        let mut config = Config {
            admin_token: AdminToken::new(OWNER),
            unauthenticated: false,
            clear_passwords: false,
            keepers: Vec::new(),
            language: catalog::Language::En,
            rate_per_s: 100_000,
            proxies: Vec::new(),
            carriers: None,
            voice_url: None,
            servers: None,
            trials: None,
            version: "test",
        };
        change(&mut config);
        let kept = vault.clone();
        let nudges = Arc::new(AtomicUsize::new(0));
        let counted = nudges.clone();
        let api = Api::new(
            store.clone(),
            vault,
            engine.clone(),
            config,
            Arc::new(move || {
                counted.fetch_add(1, Ordering::SeqCst);
            }),
            Arc::new(|| ()),
        );
        Self {
            router: platform::router(&api),
            store,
            engine,
            nudges,
            vault: kept,
            directory,
        }
    }

    /// Sends a request; `credential` is a whole header line (`X-API-Key: …`).
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answered {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            None => Body::empty(),
            Some(value) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(value.to_string())
            }
        };
        self.raw(request.body(body).unwrap()).await
    }

    pub async fn raw(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let stream = parts
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let bytes = if stream {
            Vec::new()
        } else {
            axum::body::to_bytes(body, 16 * 1024 * 1024)
                .await
                .unwrap()
                .to_vec()
        };
        Answered {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub async fn owner(&self, method: &str, path: &str, body: Value) -> Answered {
        let bearer = format!("Bearer {OWNER}");
        let body = (!body.is_null()).then_some(body);
        self.send(method, path, &[("authorization", &bearer)], body.as_ref())
            .await
    }

    pub async fn key(&self, key: &str, method: &str, path: &str, body: Value) -> Answered {
        let body = (!body.is_null()).then_some(body);
        self.send(method, path, &[("x-api-key", key)], body.as_ref())
            .await
    }

    /// The keys of an account: each of a role, with its id.
    async fn keys(&self, account: &str, name: &str) -> Vec<(String, String)> {
        let mut keys = Vec::new();
        for role in ["viewer", "operator", "admin", "owner"] {
            let body =
                json!({ "accountId": account, "name": format!("{name} {role}"), "role": role });
            let made = self.owner("POST", "/api/keys", body).await.good();
            keys.push((made.json()["key"].as_str().unwrap().to_owned(), made.id()));
        }
        keys
    }

    /// A chat of an agent, begun by a public token that nobody has.
    async fn chat(&self, account: &str, agent: &str) -> String {
        let scope = store::TenantScope::new(account.into());
        let id = store::new_id();
        let chat = store::ChatSession {
            agent_id: agent.to_owned(),
            agent_version: 1,
            token_hash: Some(store::credential::hash_key("chat_unknown")),
            ..store::ChatSession::default()
        };
        self.store.create_chat(&scope, &id, &chat).await.unwrap();
        id
    }

    /// Makes things of an account; their ids in order.
    async fn make(&self, key: &str, things: Vec<(String, Value)>) -> Vec<String> {
        let mut ids = Vec::new();
        for (path, body) in things {
            ids.push(self.key(key, "POST", &path, body).await.good().id());
        }
        ids
    }

    /// An account with one of everything, and keys of each role.
    pub async fn account(&self, name: &str) -> Account {
        let body = json!({ "name": name, "email": "a@b.c", "balance": 100 });
        let account = self.owner("POST", "/api/accounts", body).await.good().id();
        let keys = self.keys(&account, name).await;
        let key = keys[3].0.clone();
        let customer = json!({ "accountId": account, "name": format!("{name} customer"), "currency": "EUR", "costMarginPct": 30 });
        let customer = self
            .make(&key, vec![("/api/final-customers".to_owned(), customer)])
            .await
            .remove(0);
        let agent = json!({ "accountId": account, "finalCustomerId": customer, "name": format!("{name} agent"),
            "basePrompt": "Be kind.", "aiVoice": "sage", "config": { "restaurantId": format!("{name}-restaurant") } });
        let agent = self.key(&key, "POST", "/api/agents", agent).await.good();
        let id = agent.id();
        let token = |member: &str| agent.json()[member].as_str().unwrap().to_owned();
        let things = things(name, &account, &id);
        let made = self.make(&key, things).await;
        let secret = format!("/api/accounts/{account}/secrets/engine:openai");
        let value = json!({ "value": format!("sk-secret-of-{name}") });
        self.key(&key, "PUT", &secret, value).await.good();
        let chat = self.chat(&account, &id).await;
        Account {
            id: account,
            customer,
            agent: id,
            agent_token: token("apiToken"),
            public_token: token("publicToken"),
            tool: made[0].clone(),
            line: made[1].clone(),
            faq: made[2].clone(),
            blocked: made[3].clone(),
            plan: made[4].clone(),
            user: made[5].clone(),
            device: made[6].clone(),
            key_id: keys[2].1.clone(),
            chat,
            viewer: keys[0].0.clone(),
            operator: keys[1].0.clone(),
            admin: keys[2].0.clone(),
            owner: keys[3].0.clone(),
            name: name.to_owned(),
        }
    }
}

/// What an account has one of.
fn things(name: &str, account: &str, agent: &str) -> Vec<(String, Value)> {
    let tool = json!({ "name": "end_call", "description": "End the call.", "parameters": { "type": "object", "properties": {} },
        "http": null, "triggersHangup": true });
    let line = json!({ "phoneNumber": format!("+33{name}"), "provider": "sip", "sipUsername": "u",
        "sipPassword": format!("secret-of-{name}"), "isActive": false });
    let user = json!({ "accountId": account, "email": format!("{name}@example.org"), "name": name,
        "password": "correct horse battery", "role": "admin" });
    vec![
        (format!("/api/agents/{agent}/tools"), tool),
        (format!("/api/agents/{agent}/phone-lines"), line),
        (
            "/api/faqs".to_owned(),
            json!({ "agentId": agent, "question": format!("{name}?") }),
        ),
        (
            "/api/blocked-numbers".to_owned(),
            json!({ "agentId": agent, "phoneNumber": format!("+44{name}") }),
        ),
        (
            "/api/plans".to_owned(),
            json!({ "accountId": account, "name": format!("{name} plan"), "price": 10 }),
        ),
        ("/api/users".to_owned(), user),
        (
            "/api/admin/devices".to_owned(),
            json!({ "account_id": account, "label": format!("{name} phone"), "username": name, "agent_id": agent,
                "password": format!("password-of-{name}") }),
        ),
    ]
}

/// An account with one of everything.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: String,
    pub name: String,
    pub customer: String,
    pub agent: String,
    pub agent_token: String,
    pub public_token: String,
    pub tool: String,
    pub line: String,
    pub faq: String,
    pub blocked: String,
    pub plan: String,
    pub user: String,
    pub device: String,
    pub key_id: String,
    pub chat: String,
    pub viewer: String,
    pub operator: String,
    pub admin: String,
    pub owner: String,
}

impl Account {
    /// A path of the document with the ids of this account.
    pub fn fill(&self, path: &str) -> String {
        let id = [
            ("/api/accounts/", &self.id),
            ("/api/final-customers/", &self.customer),
            ("/api/agents/", &self.agent),
            ("/api/servers/", &self.agent),
            ("/api/faqs/", &self.faq),
            ("/api/blocked-numbers/", &self.blocked),
            ("/api/plans/", &self.plan),
            ("/api/keys/", &self.key_id),
            ("/api/users/", &self.user),
            ("/api/chat/sessions/", &self.chat),
            // The account of the line has the id of the line.
            ("/api/admin/sip-accounts/", &self.line),
            ("/api/admin/devices/", &self.device),
        ]
        .into_iter()
        .find(|(prefix, _)| path.starts_with(prefix))
        .map_or("0193f1d0-0000-7000-8000-000000000000", |(_, id)| {
            id.as_str()
        });
        path.replace("{id}", id)
            .replace("{toolId}", &self.tool)
            .replace("{lineId}", &self.line)
            .replace("{version}", "1")
            .replace("{purpose}", "engine:openai")
    }

    /// What must never appear in an answer to another account.
    pub fn marks(&self) -> Vec<&str> {
        vec![
            &self.id,
            &self.name,
            &self.customer,
            &self.agent,
            &self.agent_token,
            &self.public_token,
            &self.tool,
            &self.line,
            &self.faq,
            &self.blocked,
            &self.plan,
            &self.user,
            &self.device,
            &self.key_id,
            &self.chat,
        ]
    }
}
