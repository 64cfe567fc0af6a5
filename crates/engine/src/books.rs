//! What a call writes down of its dealings: tool runs, money, and the questions that the store answers before the call.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use agent::{CallBrain, Round, WebhookBody};
use call::{CallId, EndReason, ToolCallId};
use catalog::Message;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use store::{
    AuditNote, Begun, NewDelivery, NewToolRun, ReadError, Realm, Store, Tenant, TenantScope,
    ToolRunEnd, ToolRunState,
};
use tokio::task::JoinSet;

use crate::calls::{Calls, Identity};
use crate::config::OfficeConfig;
use crate::log::say;

/// Micro-units in one unit of money.
const MICRO: f64 = 1_000_000.0;
/// Headers whose values are kept with a request that may have to be sent again: they hold no secret.
const HEADERS_KEPT: &[&str] = &["content-type", "accept"];

/// A row on its way; true once it is committed.
pub(crate) type Row = Pin<Box<dyn Future<Output = bool> + Send>>;

/// How a run ended.
pub(crate) struct RunEnd<'a> {
    pub(crate) id: &'a ToolCallId,
    pub(crate) ok: bool,
    pub(crate) status: Option<u16>,
    pub(crate) output: &'a str,
    pub(crate) cost_micro: i64,
}

/// The books of one call.
pub(crate) struct Books {
    store: Store,
    scope: TenantScope,
    call: CallId,
    agent_id: String,
    /// What may still be spent, in micro-units; `None` is no bound.
    left_micro: Option<i64>,
    keys: BTreeMap<ToolCallId, String>,
    writes: JoinSet<()>,
}

impl Books {
    pub(crate) fn new(
        calls: &Arc<Calls>,
        identity: &Identity,
        config: &OfficeConfig,
        left_micro: Option<i64>,
    ) -> Self {
        let definition = config.agent.definition();
        let limits = definition.settings.rules.limits.as_ref();
        let of_call = limits
            .and_then(|limits| limits.cost_max)
            .map(micro_of_units);
        Self {
            store: calls.store.clone(),
            scope: TenantScope::new(identity.tenant.clone()),
            call: identity.id.clone(),
            agent_id: definition.agent_id.clone(),
            left_micro: match (left_micro, of_call) {
                (Some(left), Some(of_call)) => Some(left.min(of_call)),
                (left, of_call) => left.or(of_call),
            },
            keys: BTreeMap::new(),
            writes: JoinSet::new(),
        }
    }

    fn new_run(
        &mut self,
        id: &ToolCallId,
        name: &str,
        arguments: &str,
        request: Option<String>,
        key: Option<&String>,
    ) -> NewToolRun {
        let own = || format!("{}:{}", self.call, id);
        let key = key.cloned().unwrap_or_else(own);
        self.keys.insert(id.clone(), key.clone());
        NewToolRun {
            call: self.call.clone(),
            agent_id: Some(self.agent_id.clone()),
            tool_call_id: id.as_str().to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            request,
            idempotency_key: key,
            started_at: Timestamp::now(),
        }
    }

    /// Writes that a run begins. Its request may leave once the row says so: not where the same run was begun before.
    pub(crate) fn begin_run(
        &mut self,
        id: &ToolCallId,
        name: &str,
        arguments: &str,
        round: &Round,
    ) -> Row {
        let key = match round {
            Round::Http(call) => call.idempotency_key.clone(),
            Round::Mcp(call) => call.idempotency_key.clone(),
        };
        let request = Some(request_text(round));
        let run = self.new_run(id, name, arguments, request, key.as_ref());
        let (store, scope) = (self.store.clone(), self.scope.clone());
        Box::pin(async move {
            match store.begin_tool_run(&scope, &run).await {
                Ok(Begun::New) => true,
                Ok(Begun::Exists(_)) => false,
                Err(error) => {
                    say(&error.message());
                    false
                }
            }
        })
    }

    /// Writes how it ended.
    pub(crate) fn end_run(&mut self, end: &RunEnd<'_>) {
        let Some(key) = self.keys.get(end.id).cloned() else {
            return;
        };
        let end = ToolRunEnd {
            state: if end.ok {
                ToolRunState::Done
            } else {
                ToolRunState::Failed
            },
            status: end.status.map(i64::from),
            output: end.output.to_owned(),
            cost_micro: end.cost_micro,
            ended_at: Timestamp::now(),
        };
        let (store, scope) = (self.store.clone(), self.scope.clone());
        self.writes.spawn(async move {
            if let Err(error) = store.finish_tool_run(&scope, &key, &end).await {
                say(&error.message());
            }
        });
    }

    /// Writes a tool without a request.
    pub(crate) fn note_builtin(&mut self, id: &ToolCallId, name: &str, arguments: &str) {
        let run = self.new_run(id, name, arguments, None, None);
        let (store, scope) = (self.store.clone(), self.scope.clone());
        self.writes.spawn(async move {
            let key = run.idempotency_key.clone();
            let end = ToolRunEnd {
                state: ToolRunState::Done,
                status: None,
                output: String::new(),
                cost_micro: 0,
                ended_at: Timestamp::now(),
            };
            let written = match store.begin_tool_run(&scope, &run).await {
                Ok(_) => store.finish_tool_run(&scope, &key, &end).await.map(|_| ()),
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                say(&error.message());
            }
        });
    }

    /// Writes to the audit log that a tool was asked for what no honest conversation asks; its arguments stay out of it.
    pub(crate) fn note_attempt(&mut self, tool: &str, why: &str) {
        let line = AuditNote {
            action: "tool_refused".to_owned(),
            entity: "call".to_owned(),
            entity_id: self.call.as_str().to_owned(),
            detail: Some(json!({ "agent": self.agent_id, "tool": tool, "why": why }).to_string()),
        };
        let (store, scope) = (self.store.clone(), self.scope.clone());
        self.writes.spawn(async move {
            if let Err(error) = store.audit(Realm::Tenant(&scope), &line).await {
                say(&error.message());
            }
        });
    }

    /// Writes a body for the outbox.
    pub(crate) fn deliver(&mut self, body: WebhookBody) {
        let delivery = NewDelivery {
            id: store::new_id(),
            agent_id: Some(self.agent_id.clone()),
            call_id: Some(self.call.as_str().to_owned()),
            kind: body.kind.to_owned(),
            url: body.url,
            body: body.body,
        };
        let (store, scope) = (self.store.clone(), self.scope.clone());
        self.writes.spawn(async move {
            let written = store.enqueue_delivery(&scope, &delivery, Timestamp::now());
            if let Err(error) = written.await {
                say(&error.message());
            }
        });
    }

    /// Ready once everything handed over is written.
    pub(crate) async fn flush(&mut self) {
        while self.writes.join_next().await.is_some() {}
    }

    /// Whether the money of the call's owner is spent.
    pub(crate) fn is_spent(&self, brain: &CallBrain) -> bool {
        self.left_micro
            .is_some_and(|left| brain.costs().total_micro >= left)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "money of one call, in micro-units"
)]
fn micro_of_units(units: f64) -> i64 {
    (units * MICRO).round() as i64
}

/// A request as it can be sent again: without the values of headers, which may be secrets.
fn request_text(round: &Round) -> String {
    let kept = |headers: &[(String, String)]| -> Value {
        let pairs = headers.iter().map(|(name, value)| {
            let keeps = HEADERS_KEPT.contains(&name.as_str());
            (name.clone(), if keeps { json!(value) } else { Value::Null })
        });
        Value::Object(pairs.collect())
    };
    let value = match round {
        Round::Http(call) => json!({
            "kind": "http",
            "method": call.method.as_str(),
            "url": call.url,
            "headers": kept(&call.headers),
            "body": call.body,
            "timeoutMs": call.timeout_ms,
            "safeToRetry": call.safe_to_retry,
        }),
        Round::Mcp(call) => json!({
            "kind": "mcp",
            "url": call.url,
            "headers": kept(&call.headers),
            "tool": call.tool,
            "arguments": call.arguments,
            "timeoutMs": call.timeout_ms,
        }),
    };
    value.to_string()
}

/// What the store says of a call before it is answered: why it is not served, or how much it may cost.
pub(crate) async fn allowance(
    calls: &Arc<Calls>,
    identity: &Identity,
    office: &OfficeConfig,
    brain: &CallBrain,
) -> Result<Option<i64>, EndReason> {
    match read_allowance(calls, identity, office, brain).await {
        Ok(verdict) => verdict,
        Err(error) => {
            say(&Message::new("call_checks_failed").with("cause", error.to_string()));
            if office.fail_closed {
                Err(EndReason::Rejected)
            } else {
                Ok(None)
            }
        }
    }
}

/// What an account's calls out may cost in a day, in micro-units, where its settings say so. Ceilings that cannot be read allow
/// nothing: they were meant to bound something.
fn spend_ceiling(settings: &str) -> Option<i64> {
    let settings = serde_json::from_str(settings).unwrap_or_default();
    match agent::TollRules::read(&settings) {
        Ok(rules) => rules.spend_per_day_micro,
        Err(_) => Some(0),
    }
}

/// What is left of an account's balance and of today's budget, in micro-units, where it has any.
///
/// # Errors
/// See [`ReadError`].
pub async fn left_of(
    store: &Store,
    scope: &TenantScope,
    tenant: &Tenant,
    now: Timestamp,
) -> Result<Option<i64>, ReadError> {
    let Some(budget) = tenant.budget_daily_micro else {
        return Ok(tenant.balance_micro);
    };
    let spent = store.spend_since(scope, day_begin(now)).await?;
    let rest = budget.saturating_sub(spent);
    let left = tenant.balance_micro.map_or(rest, |left| left.min(rest));
    Ok(Some(left))
}

/// The beginning of the day by which budgets are counted (UTC).
fn day_begin(now: Timestamp) -> Timestamp {
    let today = now.as_second().div_euclid(86_400) * 86_400;
    Timestamp::from_second(today).unwrap_or(Timestamp::UNIX_EPOCH)
}

async fn read_allowance(
    calls: &Arc<Calls>,
    identity: &Identity,
    office: &OfficeConfig,
    brain: &CallBrain,
) -> Result<Result<Option<i64>, EndReason>, ReadError> {
    let store = &calls.store;
    let scope = TenantScope::new(identity.tenant.clone());
    let definition = office.agent.definition();
    if let Some(phone) = &brain.facts().caller_phone
        && store
            .blocks(&scope, Some(&definition.agent_id), phone)
            .await?
            .is_some()
    {
        return Ok(Err(EndReason::RejectedBlocked));
    }
    let mut left: Option<i64> = None;
    let mut bound = |amount: i64| left = Some(left.map_or(amount, |left: i64| left.min(amount)));
    if let Some(tenant) = store.tenant(&scope).await? {
        let now = Timestamp::now();
        if let Some(amount) = left_of(store, &scope, &tenant, now).await? {
            bound(amount);
        }
        if !identity.inbound
            && let Some(ceiling) = spend_ceiling(&tenant.settings)
        {
            let day = SignedDuration::from_hours(24);
            let since = now.saturating_sub(day).unwrap_or(Timestamp::UNIX_EPOCH);
            bound(ceiling - store.calls_placed_since(&scope, since).await?.cost_micro);
        }
    }
    if let Some(customer) = &definition.final_customer_id
        && let Some(customer) = store.final_customer(&scope, customer).await?
        && let Some(balance) = customer.balance_micro
    {
        bound(balance);
    }
    if left.is_some_and(|left| left <= 0) {
        return Ok(Err(EndReason::NoBalance));
    }
    Ok(Ok(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_that_cannot_be_read_allow_nothing() {
        for (settings, ceiling) in [
            ("{}", None),
            (r#"{"outbound": {"callsMax": 3}}"#, None),
            (r#"{"outbound": {"spendPerDay": 2}}"#, Some(2_000_000)),
            (r#"{"outbound": {"spendPerDya": 2}}"#, Some(0)),
            (r#"{"outbound": []}"#, Some(0)),
        ] {
            assert_eq!(spend_ceiling(settings), ceiling, "{settings}");
        }
    }
}
