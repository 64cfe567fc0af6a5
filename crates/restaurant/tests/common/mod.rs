//! A back office in this process, and its clients.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use call::TenantId;
use courier::sign::tool_signature;
use courier::{Courier, CourierConfig, Secret, WebhookSecret};
use http::{Method, Request, StatusCode};
use platform::{AdminToken, Door};
use restaurant::{App, Config, Credential, Doors, Refused, Role};
use serde_json::Value;
use store::credential::NewKey;
use store::secret::{KeySource, Vault};
use store::{ApiKey, Realm, Store, TenantScope};
use tower::ServiceExt as _;
use url::Url;

use crate::place::Place;

pub(crate) struct Office {
    store: Store,
    vault: Vault,
    router: Router,
    _keys: tempfile::TempDir,
}

/// Who signs a tool's request, and when.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) account: &'static str,
    pub(crate) secret: String,
    pub(crate) at: i64,
    pub(crate) agent: Option<String>,
}

pub(crate) fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

fn scope(account: &str) -> TenantScope {
    TenantScope::new(TenantId::from(account))
}

const PURPOSE: &str = courier::WEBHOOK_PURPOSE;

fn doors(store: &Store, vault: &Vault) -> Doors {
    let door = Arc::new(Door::new(
        store.clone(),
        AdminToken::new("the-admin-token"),
        100_000,
    ));
    let (store, vault) = (store.clone(), vault.clone());
    Doors {
        recognise: Arc::new(move |method, headers| {
            let door = Arc::clone(&door);
            Box::pin(async move {
                let caller = door
                    .recognise(&method, &headers)
                    .await
                    .map_err(|_| Refused::Unknown)?;
                Ok(caller.map(|caller| Credential {
                    bucket: caller.bucket(),
                    account: caller.tenant.map(|tenant| tenant.as_str().to_owned()),
                    role: match caller.role {
                        platform::need::Role::Viewer => Role::Viewer,
                        platform::need::Role::Operator => Role::Operator,
                        platform::need::Role::Admin => Role::Admin,
                        platform::need::Role::Owner => Role::Owner,
                    },
                    agent: caller.agent,
                }))
            })
        }),
        take: Arc::new(|_| Ok(())),
        secret: Arc::new(move |account| {
            let (store, vault) = (store.clone(), vault.clone());
            Box::pin(async move {
                let found = vault.get(&store, &scope(&account), PURPOSE).await;
                let found = found.map_err(|_| Refused::Unavailable)?;
                Ok(found.map(|text| text.expose().to_owned()))
            })
        }),
    }
}

impl Office {
    pub(crate) async fn open(place: &Place) -> Self {
        let store = place.open().await;
        store.add_tenant(&scope("other"), "other").await.unwrap();
        let keys = tempfile::TempDir::new().unwrap();
        let source = KeySource {
            setting: None,
            data_dir: keys.path().to_owned(),
        };
        let vault = Vault::unlock(&store, &source).await.unwrap().vault;
        let config = Config {
            language: catalog::Language::En,
            unsigned: false,
            clear_passwords: false,
            voice_secret: None,
            voice_url: "http://127.0.0.1:1".to_owned(),
            own_url: "http://127.0.0.1:2".to_owned(),
            voice_key: None,
            senders: restaurant::after::SenderConfig::default(),
            maps: restaurant::maps::MapConfig::default(),
        };
        let courier = Courier::new(CourierConfig::default()).unwrap();
        let doors = doors(&store, &vault);
        let app = App::open(store.clone(), vault.clone(), courier, doors, config);
        let router = restaurant::router(&app.await.unwrap());
        Self {
            store,
            vault,
            router,
            _keys: keys,
        }
    }

    /// A key of an account.
    pub(crate) async fn key(&self, account: &str, role: Role) -> String {
        let key = NewKey::generate("acc_");
        let content = ApiKey {
            agent_id: None,
            name: account.to_owned(),
            prefix: key.prefix().to_owned(),
            hash: key.hash(),
            role: format!("{role:?}").to_lowercase(),
            scopes: "[\"*\"]".to_owned(),
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        };
        let scope = scope(account);
        let realm = Realm::Tenant(&scope);
        let id = store::new_id();
        self.store
            .create_api_key(realm, &id, &content)
            .await
            .unwrap();
        key.text().to_owned()
    }

    /// A new secret of an account, by which its voice side signs.
    pub(crate) async fn secret(&self, account: &str) -> String {
        let random = store::new_id().replace('-', "").into_bytes();
        let secret = WebhookSecret::text_from(random.as_slice().try_into().unwrap());
        let scope = scope(account);
        let put = self
            .vault
            .put(&self.store, &scope, PURPOSE, secret.expose());
        put.await.unwrap();
        secret.expose().to_owned()
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        if response
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream")
        {
            return (status, String::new());
        }
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub(crate) async fn ask(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header("host", "office.example");
        if !key.is_empty() {
            request = request.header("x-api-key", key);
        }
        let is_read = method == Method::GET || method == Method::DELETE;
        let request = if is_read {
            request.body(Body::empty())
        } else {
            request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string()))
        };
        let (status, text) = self.send(request.unwrap()).await;
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    pub(crate) async fn made(&self, key: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(key, Method::POST, path, &body).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {answer}");
        answer
    }

    pub(crate) async fn csv(
        &self,
        key: &str,
        method: Method,
        path: &str,
        text: &str,
    ) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-api-key", key);
        let request = request
            .header("content-type", "text/csv")
            .body(Body::from(text.to_owned()));
        self.send(request.unwrap()).await
    }

    /// A tool's request, signed by the courier's own function; `sent` may be another body than the signed one.
    pub(crate) async fn signed(
        &self,
        by: &Signed,
        method: Method,
        path: &str,
        sent: &[u8],
        signed: &[u8],
    ) -> (StatusCode, Value) {
        let url = Url::parse(&format!("http://office.example{path}")).unwrap();
        let signature = tool_signature(
            &Secret::new(by.secret.as_str()),
            by.at,
            method.as_str(),
            &url,
            signed,
        );
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "office.example");
        request = request
            .header("content-type", "application/json")
            .header("x-allo-tenant", by.account)
            .header("x-allo-timestamp", signature.timestamp)
            .header("x-allo-signature", signature.signature);
        if let Some(agent) = &by.agent {
            request = request.header("x-allo-agent", agent);
        }
        let (status, text) = self
            .send(request.body(Body::from(sent.to_vec())).unwrap())
            .await;
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// A webhook, signed as Standard Webhooks says.
    pub(crate) async fn webhook(
        &self,
        secret: &str,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let (text, now) = (body.to_string(), jiff::Timestamp::now().as_second());
        let secret = WebhookSecret::parse(&Secret::new(secret)).unwrap();
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("content-type", "application/json")
            .header("webhook-id", "msg_1")
            .header("webhook-timestamp", now.to_string())
            .header(
                "webhook-signature",
                secret.sign("msg_1", now, text.as_bytes()),
            );
        let (status, answer) = self.send(request.body(Body::from(text)).unwrap()).await;
        (
            status,
            serde_json::from_str(&answer).unwrap_or(Value::String(answer)),
        )
    }
}
