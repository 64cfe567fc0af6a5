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
    _directory: TempDir,
}

impl House {
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
        let loopback = Some("127.0.0.1:0".parse().unwrap());
        let engine = Engine::start(
            engine::Config {
                sip: SipConfig {
                    udp: loopback,
                    tcp: None,
                    tls_bind: None,
                    ..SipConfig::default()
                },
                recording: RecordingConfig {
                    enabled: false,
                    directory: directory.path().to_owned(),
                },
                ..engine::Config::default()
            },
            store.clone(),
            courier::Courier::new(courier::CourierConfig::default()).unwrap(),
        )
        .await
        .unwrap();
        let mut config = Config {
            admin_token: AdminToken::new(OWNER),
            unauthenticated: false,
            language: catalog::Language::En,
            rate_per_s: 100_000,
            version: "test",
        };
        change(&mut config);
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
            _directory: directory,
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

    /// An account with one of everything, and keys of each role.
    pub async fn account(&self, name: &str) -> Account {
        let account = self
            .owner(
                "POST",
                "/api/accounts",
                json!({ "name": name, "email": "a@b.c", "balance": 100 }),
            )
            .await
            .good()
            .id();
        let mut keys = Vec::new();
        for role in ["viewer", "operator", "admin", "owner"] {
            let made = self
                .owner(
                    "POST",
                    "/api/keys",
                    json!({ "accountId": account, "name": format!("{name} {role}"), "role": role }),
                )
                .await
                .good()
                .json();
            keys.push((
                made["key"].as_str().unwrap().to_owned(),
                made["id"].as_str().unwrap().to_owned(),
            ));
        }
        let key = keys[3].0.clone();
        let post = async |path: String, body: Value| {
            self.key(&key, "POST", &path, body).await.good().json()
        };
        let customer = post(
            "/api/final-customers".to_owned(),
            json!({ "accountId": account, "name": format!("{name} customer"), "currency": "EUR", "costMarginPct": 30 }),
        )
        .await;
        let agent = post(
            "/api/agents".to_owned(),
            json!({ "accountId": account, "finalCustomerId": customer["id"], "name": format!("{name} agent"),
                "basePrompt": "Be kind.", "aiVoice": "sage", "config": { "restaurantId": format!("{name}-restaurant") } }),
        )
        .await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let id = text(&agent["id"]);
        let tool = post(
            format!("/api/agents/{id}/tools"),
            json!({ "name": "end_call", "description": "End the call.", "parameters": { "type": "object", "properties": {} },
                "http": null, "triggersHangup": true }),
        )
        .await;
        let line = post(
            format!("/api/agents/{id}/phone-lines"),
            json!({ "phoneNumber": format!("+33{name}"), "provider": "sip", "sipUsername": "u", "sipPassword": format!("secret-of-{name}"), "isActive": false }),
        )
        .await;
        let faq = post(
            "/api/faqs".to_owned(),
            json!({ "agentId": id, "question": format!("{name}?") }),
        )
        .await;
        let blocked = post(
            "/api/blocked-numbers".to_owned(),
            json!({ "agentId": id, "phoneNumber": format!("+44{name}") }),
        )
        .await;
        let plan = post(
            "/api/plans".to_owned(),
            json!({ "accountId": account, "name": format!("{name} plan"), "price": 10 }),
        )
        .await;
        let user = post(
            "/api/users".to_owned(),
            json!({ "accountId": account, "email": format!("{name}@example.org"), "name": name, "password": "correct horse battery", "role": "admin" }),
        )
        .await;
        self.key(
            &key,
            "PUT",
            &format!("/api/accounts/{account}/secrets/engine:openai"),
            json!({ "value": format!("sk-secret-of-{name}") }),
        )
        .await
        .good();
        Account {
            id: account,
            customer: text(&customer["id"]),
            agent: id,
            agent_token: text(&agent["apiToken"]),
            public_token: text(&agent["publicToken"]),
            tool: text(&tool["id"]),
            line: text(&line["id"]),
            faq: text(&faq["id"]),
            blocked: text(&blocked["id"]),
            plan: text(&plan["id"]),
            user: text(&user["id"]),
            key_id: keys[2].1.clone(),
            viewer: keys[0].0.clone(),
            operator: keys[1].0.clone(),
            admin: keys[2].0.clone(),
            owner: keys[3].0.clone(),
            name: name.to_owned(),
        }
    }
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
    pub key_id: String,
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
            ("/api/faqs/", &self.faq),
            ("/api/blocked-numbers/", &self.blocked),
            ("/api/plans/", &self.plan),
            ("/api/keys/", &self.key_id),
            ("/api/users/", &self.user),
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
            &self.key_id,
        ]
    }
}
