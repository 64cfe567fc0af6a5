//! A client of the server that runs on the same data directory: its addresses from there, its token from the settings or from
//! there.

use crate::config::ProcessConfig;
use agent::{HttpCall, Method};
use courier::{Allow, Caller, Courier, CourierConfig};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest wait for an answer of the server.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Most of an answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Which of the server's interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    Admin,
    Platform,
}

/// A server that answers.
pub(crate) struct ServerClient {
    courier: Courier,
    token: Option<String>,
    admin: String,
    platform: Option<String>,
    /// Its bound addresses by name.
    pub(crate) addresses: BTreeMap<String, String>,
    /// What it said of its health when it was found.
    pub(crate) health: Value,
}

impl ServerClient {
    /// The server whose addresses stand in the data directory; `None` where none answers.
    pub(crate) async fn find(config: &ProcessConfig) -> Option<Self> {
        let file = config.data_dir.join("addresses.json");
        let text = std::fs::read_to_string(file).ok()?;
        let addresses: BTreeMap<String, String> = serde_json::from_str(&text).ok()?;
        let base = |name: &str, secure: bool| {
            let scheme = if secure { "https" } else { "http" };
            Some(format!("{scheme}://{}", addresses.get(name)?))
        };
        let admin_tls = config.admin.tls.as_ref();
        let platform_tls = config.platform.as_ref().and_then(|part| part.tls.as_ref());
        let admin = base("admin", admin_tls.is_some())?;
        let platform = base("platform", platform_tls.is_some());
        let mut allow = Allow::default();
        for origin in [Some(&admin), platform.as_ref()].into_iter().flatten() {
            allow.add_origin_of(origin).ok()?;
        }
        let certificates = [admin_tls, platform_tls];
        let certificates = certificates.into_iter().flatten();
        let extra_ca_pem = certificates
            .flat_map(|identity| [identity.chain_pem.as_slice(), b"\n"].concat())
            .collect();
        let courier = Courier::new(CourierConfig {
            collector: None,
            allow,
            extra_ca_pem,
            name_servers: Vec::new(),
            deadline: ANSWER_WITHIN,
        });
        let token = config.admin.token.clone().or_else(|| {
            let made = std::fs::read_to_string(config.data_dir.join("admin-token"));
            made.ok().map(|text| text.trim().to_owned())
        });
        let mut client = Self {
            courier: courier.ok()?,
            token,
            admin,
            platform,
            addresses,
            health: Value::Null,
        };
        // A killed server leaves its file behind: only an answer proves that it lives.
        client.health = client.get("/health").await?;
        Some(client)
    }

    /// A document of the administration interface; `None` where there is no good answer.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let (status, value) = self.ask(Interface::Admin, Method::Get, path, None).await?;
        (status < 300).then_some(value)
    }

    /// Status and document of any request; `None` where there is no answer.
    pub(crate) async fn ask(
        &self,
        interface: Interface,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let base = match interface {
            Interface::Admin => &self.admin,
            Interface::Platform => self.platform.as_ref()?,
        };
        let bearer = self.token.as_ref();
        let mut headers: Vec<(String, String)> = bearer
            .map(|token| ("Authorization".to_owned(), format!("Bearer {token}")))
            .into_iter()
            .collect();
        if body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        let call = HttpCall {
            method,
            url: format!("{base}{path}"),
            headers,
            body: body.map(Value::to_string),
            timeout_ms: u32::try_from(ANSWER_WITHIN.as_millis()).unwrap_or(u32::MAX),
            idempotency_key: None,
            safe_to_retry: false,
        };
        let nobody = Caller::default();
        let sent = self.courier.send(&call, &nobody, ANSWER_BYTES_MAX);
        let reply = sent.await.ok()?;
        let value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        Some((reply.status, value))
    }
}
