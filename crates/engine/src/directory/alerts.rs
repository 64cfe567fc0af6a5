//! Alerts: an account that cannot be used is told to its tenant once, and once more when it can be used again. By a line of the
//! log, and by a webhook through the outbox where the tenant's settings name an address (`alertWebhook`).

use std::collections::HashMap;
use std::sync::Arc;

use catalog::{Language, Message};
use jiff::Timestamp;
use serde_json::{Value, json};
use sip::RegistrationState;
use store::{NewDelivery, TenantScope, new_id};
use tokio::sync::broadcast::error::RecvError;

use super::Parts;
use crate::engine::RegistrationChange;
use crate::log::say;

/// Kind of the webhook of an account that fails.
const FAILING: &str = "sip_account.failing";
/// Kind of the webhook of one that is back.
const RECOVERED: &str = "sip_account.recovered";

/// Follows the accounts until the engine is over.
pub(super) async fn follow(parts: Arc<Parts>) {
    let mut changes = parts.engine.watch_registrations();
    let mut failing: HashMap<String, Timestamp> = HashMap::new();
    loop {
        let change = match changes.recv().await {
            Ok(change) => change,
            // The next change of each account tells where it stands.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        match change.state {
            RegistrationState::Failed { .. } => {
                if !failing.contains_key(&change.line) {
                    let since = Timestamp::now();
                    failing.insert(change.line.clone(), since);
                    let message = Message::new("log_account_failing");
                    say(&message.with("account", change.line.as_str()));
                    parts.alert(FAILING, &change, since).await;
                }
            }
            RegistrationState::Registered { .. } | RegistrationState::Unregistered => {
                if let Some(since) = failing.remove(&change.line) {
                    let message = Message::new("log_account_recovered");
                    say(&message.with("account", change.line.as_str()));
                    parts.alert(RECOVERED, &change, since).await;
                }
            }
            RegistrationState::Registering => {}
        }
    }
}

impl Parts {
    async fn alert(&self, kind: &'static str, change: &RegistrationChange, since: Timestamp) {
        let scope = TenantScope::new(change.tenant.clone());
        let Ok(Some(tenant)) = self.store.tenant(&scope).await else {
            return;
        };
        let settings: Value = serde_json::from_str(&tenant.settings).unwrap_or_default();
        let Some(url) = settings.get("alertWebhook").and_then(Value::as_str) else {
            return;
        };
        let account = self.store.sip_account(&scope, &change.line).await;
        let label = account
            .ok()
            .flatten()
            .map_or_else(String::new, |account| account.label.clone());
        let now = Timestamp::now();
        let words = |language| catalog::render(&change.message, language).text;
        let body = json!({
            "type": kind,
            "at": now.to_string(),
            "since": since.to_string(),
            "accountId": scope.tenant().as_str(),
            "sipAccountId": change.line,
            "label": label,
            "state": crate::registrations::label(&change.state),
            "code": change.message.code,
            "message": { "fr": words(Language::Fr), "en": words(Language::En) },
        });
        let delivery = NewDelivery {
            id: new_id(),
            agent_id: None,
            call_id: None,
            kind: kind.to_owned(),
            url: url.to_owned(),
            body: body.to_string(),
        };
        match self.store.enqueue_delivery(&scope, &delivery, now).await {
            Ok(()) => self.engine.deliveries().notify_one(),
            Err(error) => {
                let message = Message::new("log_alert_not_written");
                say(&message.with("cause", error.to_string()));
            }
        }
    }
}
