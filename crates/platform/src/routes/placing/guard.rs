//! The account's ceilings and night, before anything is dialled: what they refuse reaches no line, and so no other one either.

use crate::api::Api;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::support::{Faults, object};
use agent::{TollFigures, TollRefusal, TollRules};
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use store::{AuditNote, Realm, TenantScope};
use tokio::sync::{Mutex, MutexGuard};

/// Accounts that share a lock wait for each other for the milliseconds that a call takes to leave.
const LOCKS: usize = 64;
/// Seconds after which a refusal for want of room may be otherwise.
const RETRY_ROOM_S: u64 = 15;
/// The same for one by the hour.
const RETRY_RATE_S: u64 = 300;

static PLACING: [Mutex<()>; LOCKS] = [const { Mutex::const_new(()) }; LOCKS];

/// Leave to dial one call. While it is held no other call of the account is judged: each counts those before it.
pub(super) struct Leave {
    _turn: MutexGuard<'static, ()>,
}

/// Checks the member of an account's settings.
pub(in crate::routes) fn check_ceilings(settings: &Map<String, Value>, faults: &mut Faults) {
    if let Err(path) = TollRules::read(settings) {
        let fine = r#"{"callsMax": 5, "callsPerHour": 60, "spendPerDay": 20, "night": {"from": "20:00", "to": "08:00", "timeZone": "Europe/Paris", "prefixes": []}}"#;
        faults.unless(false, &format!("settings.{path}"), "choice", fine);
    }
}

/// Leave to call this number, or why not.
pub(super) async fn leave(
    api: &Api,
    caller: &Caller,
    scope: &TenantScope,
    to: &str,
) -> Result<Leave, Problem> {
    let mut hasher = DefaultHasher::new();
    scope.tenant().as_str().hash(&mut hasher);
    let place = usize::try_from(hasher.finish() % 64).unwrap_or_default();
    let turn = PLACING[place % LOCKS].lock().await;
    let tenant = api.store.tenant(scope).await?;
    let Some(tenant) = tenant else {
        // Lines of the settings: their owner's own.
        return Ok(Leave { _turn: turn });
    };
    // What an account has written before it was checked refuses everything: it was meant to.
    let rules = TollRules::read(&object(&tenant.settings))
        .map_err(|path| Problem::field(&format!("settings.{path}"), "choice", "outbound"))?;
    let now = Timestamp::now();
    let ago = |hours: i64| now.saturating_sub(SignedDuration::from_hours(hours));
    let since = |hours| ago(hours).unwrap_or(Timestamp::UNIX_EPOCH);
    let calls = api.engine.calls().into_iter();
    let running = calls.filter(|call| !call.inbound && call.tenant == *scope.tenant());
    let mut left_micro = tenant.balance_micro;
    if let Some(budget) = tenant.budget_daily_micro {
        let spent = api.store.spend_since(scope, engine::day_begin(now)).await?;
        let left = budget.saturating_sub(spent);
        left_micro = Some(left_micro.map_or(left, |balance| balance.min(left)));
    }
    let calls_now = u64::try_from(running.count()).unwrap_or(u64::MAX);
    let figures = TollFigures {
        calls_now,
        calls_in_hour: api.store.calls_placed_since(scope, since(1)).await?.calls,
        spent_in_day_micro: api
            .store
            .calls_placed_since(scope, since(24))
            .await?
            .cost_micro,
        left_micro,
    };
    match rules.judge(to, now, &figures) {
        Ok(()) => Ok(Leave { _turn: turn }),
        Err(refusal) => {
            let problem = problem(&refusal);
            refused(api, caller, Some(scope), to, &problem).await;
            Err(problem)
        }
    }
}

/// The refusal as an error of the API.
fn problem(refusal: &TollRefusal) -> Problem {
    let forbidden = |code| Problem::new(StatusCode::FORBIDDEN, code);
    let later = |code| Problem::new(StatusCode::TOO_MANY_REQUESTS, code);
    let count = |max: u64| i64::try_from(max).unwrap_or(i64::MAX);
    match refusal {
        TollRefusal::Night { until } => {
            forbidden("api_call_at_night").with("until", until.as_str())
        }
        TollRefusal::Concurrency { max } => later("api_calls_at_once")
            .with("max", count(*max))
            .retry_after(RETRY_ROOM_S),
        TollRefusal::Rate { max } => later("api_calls_per_hour")
            .with("max", count(*max))
            .retry_after(RETRY_RATE_S),
        TollRefusal::Spend => forbidden("api_calls_spent"),
        TollRefusal::Balance => forbidden("api_calls_no_balance"),
    }
}

/// The short name of a refusal by a rule about whom and how much may be called; none of another error.
fn label(code: &str, to: &str) -> Option<&'static str> {
    let international = to.strip_prefix('+').or_else(|| to.strip_prefix("00"));
    Some(match code {
        "api_call_not_allowed" if international.is_some_and(agent::is_premium) => "premium",
        "api_call_not_allowed" => "not_allowed",
        "api_call_premium" => "premium",
        "api_call_at_night" => "night",
        "api_calls_at_once" => "concurrency",
        "api_calls_per_hour" => "rate",
        "api_calls_spent" => "spend",
        "api_calls_no_balance" => "balance",
        _ => return None,
    })
}

/// Writes a refusal down, and counts it. The number stays out of the audit log but for its beginning.
pub(super) async fn refused(
    api: &Api,
    caller: &Caller,
    scope: Option<&TenantScope>,
    to: &str,
    problem: &Problem,
) {
    let Some(why) = label(problem.code(), to) else {
        return;
    };
    api.engine.count_refused_call(why);
    let beginning: String = to.chars().take(6).collect();
    let line = AuditNote {
        action: "call_refused".to_owned(),
        entity: "call".to_owned(),
        entity_id: String::new(),
        detail: Some(json!({ "why": why, "to": format!("{beginning}…") }).to_string()),
    };
    let realm = scope.map_or(Realm::Node, Realm::Tenant);
    let store = caller.store(api, None, None);
    if let Err(error) = store.audit(realm, &line).await {
        tracing::error!(%error, action = line.action, "not written to the audit log");
    }
}
