//! The account's ceilings and night, before anything is dialled: what they refuse reaches no line, and so no other one either.

use crate::api::Api;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::support::{Faults, object};
use agent::{TollFigures, TollRefusal, TollRules};
use axum::http::StatusCode;
use engine::{CalledState, LiveCall};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use store::{AuditNote, Realm, Tenant, TenantScope};
use tokio::sync::{Mutex, MutexGuard};

/// Accounts with ceilings that share a lock wait for each other while a call of theirs leaves.
const LOCKS: usize = 64;
/// Seconds after which a refusal for want of room may be otherwise.
const RETRY_ROOM_S: u64 = 15;
/// The same for one by the hour.
const RETRY_RATE_S: u64 = 300;

static PLACING: [Mutex<()>; LOCKS] = [const { Mutex::const_new(()) }; LOCKS];

/// Leave to dial one call. While it is held no other call of an account with ceilings is judged: each counts those before it.
pub(super) struct Leave {
    _turn: Option<MutexGuard<'static, ()>>,
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
    let Some(tenant) = api.store.tenant(scope).await? else {
        // Lines of the settings: their owner's own.
        return Ok(Leave { _turn: None });
    };
    // What an account has written before it was checked refuses everything: it was meant to.
    let rules = TollRules::read(&object(&tenant.settings))
        .map_err(|path| Problem::field(&format!("settings.{path}"), "choice", "outbound"))?;
    let turn = match counts(&rules) {
        true => Some(turn_of(scope).lock().await),
        false => None,
    };
    let now = Timestamp::now();
    let figures = figures(api, scope, &tenant, &rules, now).await?;
    match rules.judge(to, now, &figures) {
        Ok(()) => Ok(Leave { _turn: turn }),
        Err(refusal) => {
            refused(api, caller, Some(scope), to, refusal.label()).await;
            Err(problem(&refusal))
        }
    }
}

/// Whether a ceiling counts the calls before this one: those must be on the books before it is judged.
fn counts(rules: &TollRules) -> bool {
    rules.calls_max.is_some()
        || rules.calls_per_hour.is_some()
        || rules.spend_per_day_micro.is_some()
}

fn turn_of(scope: &TenantScope) -> &'static Mutex<()> {
    let mut hasher = DefaultHasher::new();
    scope.tenant().as_str().hash(&mut hasher);
    let locks = u64::try_from(LOCKS).unwrap_or(1);
    let place = usize::try_from(hasher.finish() % locks).unwrap_or_default();
    &PLACING[place]
}

/// What the rules ask about, and no more.
async fn figures(
    api: &Api,
    scope: &TenantScope,
    tenant: &Tenant,
    rules: &TollRules,
    now: Timestamp,
) -> Result<TollFigures, Problem> {
    let placed = async |hours: i64| {
        let since = now.saturating_sub(SignedDuration::from_hours(hours));
        let since = since.unwrap_or(Timestamp::UNIX_EPOCH);
        api.store.calls_placed_since(scope, since).await
    };
    let mut figures = TollFigures {
        left_micro: engine::left_of(&api.store, scope, tenant, now).await?,
        ..TollFigures::default()
    };
    if rules.calls_max.is_some() {
        let calls = api.engine.calls().into_iter();
        let own = calls.filter(|call| call.tenant == *scope.tenant());
        // Who was called into a call, or for a transfer, is on a line as well.
        let legs = own.map(|call| u64::from(!call.inbound) + u64::from(is_called(&call)));
        figures.calls_now = legs.sum();
    }
    if rules.calls_per_hour.is_some() {
        figures.calls_in_hour = placed(1).await?.calls;
    }
    if rules.spend_per_day_micro.is_some() {
        figures.spent_in_day_micro = placed(24).await?.cost_micro;
    }
    Ok(figures)
}

/// Somebody is being called for this call's caller, or is with them.
fn is_called(call: &LiveCall) -> bool {
    let called = call.called.as_ref();
    called.is_some_and(|called| !matches!(called.state, CalledState::Over { .. }))
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

/// The short name of a refusal by a rule about whom may be called; none of another error.
pub(super) fn label(code: &str, to: &str) -> Option<&'static str> {
    let international = to.strip_prefix('+').or_else(|| to.strip_prefix("00"));
    match code {
        "api_call_not_allowed" | "api_invite_not_allowed" => {
            let banned = international.is_some_and(agent::is_premium);
            Some(if banned { "premium" } else { "not_allowed" })
        }
        "api_call_premium" => Some("premium"),
        _ => None,
    }
}

/// What the audit log may know of a number.
pub(super) fn beginning(to: &str) -> String {
    to.chars().take(6).chain(['…']).collect()
}

/// Writes a refusal down, and counts it. The number stays out of the audit log but for its beginning.
pub(super) async fn refused(
    api: &Api,
    caller: &Caller,
    scope: Option<&TenantScope>,
    to: &str,
    why: &'static str,
) {
    api.engine.count_refused_call(why);
    let line = AuditNote {
        action: "call_refused".to_owned(),
        entity: "call".to_owned(),
        entity_id: String::new(),
        detail: Some(json!({ "why": why, "to": beginning(to) }).to_string()),
    };
    let realm = scope.map_or(Realm::Node, Realm::Tenant);
    let store = caller.store(api, None, None);
    if let Err(error) = store.audit(realm, &line).await {
        tracing::error!(%error, action = line.action, "not written to the audit log");
    }
}
