//! A build without verticals.

use std::net::SocketAddr;

use catalog::{Language, Message};
use courier::Courier;
use store::Store;
use store::secret::Vault;

use crate::config::BackOfficeConfig;

/// There is none.
pub(crate) enum Bound {}

/// There is none.
pub(crate) enum Running {}

/// What it would be given.
#[expect(dead_code, reason = "nobody takes them")]
pub(crate) struct Parts<'a> {
    pub(crate) store: &'a Store,
    pub(crate) vault: &'a Vault,
    pub(crate) courier: &'a Courier,
    pub(crate) token: &'a str,
    pub(crate) language: Language,
    pub(crate) platform: crate::pages::Late,
}

pub(crate) async fn bind(
    _: Option<BackOfficeConfig>,
    _: Language,
) -> Result<Option<Bound>, Message> {
    Ok(None)
}

/// Opens its tables and serves, where there is one.
///
/// # Errors
/// The message says what the database said.
pub(crate) async fn start(
    bound: Option<Bound>,
    parts: Parts<'_>,
) -> Result<Option<Running>, Message> {
    match bound {
        Some(bound) => bound.start(parts).await.map(Some),
        None => Ok(None),
    }
}

impl Bound {
    pub(crate) fn url(&self) -> String {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "as with a vertical")]
    async fn start(self, _: Parts<'_>) -> Result<Running, Message> {
        match self {}
    }
}

/// There is none.
pub(crate) enum Demo {}

impl Demo {
    pub(crate) fn number(&self) -> &str {
        match *self {}
    }

    pub(crate) fn scope(&self) -> &store::TenantScope {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "as with a vertical")]
    pub(crate) async fn left_by(&self, _: &call::CallId) -> Result<Left, Message> {
        match *self {}
    }
}

/// What nobody left.
pub(crate) struct Left {
    pub(crate) lines: Vec<Message>,
    pub(crate) mistakes: Vec<String>,
}

#[expect(clippy::unused_async, reason = "as with a vertical")]
impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        match *self {}
    }

    pub(crate) fn router(&self) -> axum::Router {
        match *self {}
    }

    pub(crate) async fn stop_provisioning(&mut self) {
        match *self {}
    }

    pub(crate) async fn stop(self) {
        match self {}
    }

    pub(crate) async fn demo(&self, _: Language) -> Result<Demo, Message> {
        match *self {}
    }

    pub(crate) async fn provision(&mut self, _: Option<SocketAddr>) -> Result<(), Message> {
        match *self {}
    }
}
