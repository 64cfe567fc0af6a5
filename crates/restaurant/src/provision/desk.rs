//! The shell of the provisioning: reads what a restaurant wants, asks the voice server, writes each fact as it is learned.
//!
//! One task for all restaurants. It is woken by a change and by the clock, and reads the whole state each time: a restaurant that
//! could not be provisioned is tried again, at first after seconds, later each quarter of an hour; its row in
//! `restaurant_provisioning` is the lease, so that two nodes do not work at the same one.

use std::sync::Arc;
use std::time::Duration;

use call::TenantId;
use catalog::Message;
use courier::{Caller, Courier, HttpCall, Secret};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use store::{ChangeError, ReadError, Statement, TenantScope};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::known::Known;
use super::plan::{Method, Next, Request, Run, Stop};
use super::reply::Answer;
use super::wanted::{Line, Site, Wanted};
use crate::api::App;
use crate::store::rows::{Filter, list};
use crate::store::{Access, HouseScope, houses, settle, tables};

/// Name of the one account of this application.
pub const ACCOUNT: &str = "AlloResto";
/// Address of that account where none is set.
const ACCOUNT_EMAIL: &str = "contact@alloresto.invalid";
/// The whole of one request.
const REQUEST_WITHIN_MS: u32 = 10_000;
/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How often all restaurants are looked at without a reason.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a restaurant is held for one request: longer than a request may take. It is held anew before each.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// The first pause after a failure; it doubles.
const PAUSE_FIRST_S: i64 = 5;
/// The longest pause.
const PAUSE_MAX_S: i64 = 900;
/// Runs in a row for one wake-up: an agent that vanished is made anew by the second.
const RUNS_MAX: usize = 2;

/// Requests that are repeated when the server asks for patience.
const PATIENCE_MAX: u32 = 4;
/// The longest patience.
const PATIENCE: Duration = Duration::from_secs(5);

/// The voice server.
#[derive(Clone, Debug)]
pub struct Voice {
    /// Its origin.
    pub url: String,
    /// Key of the account there.
    pub key: Option<Secret>,
    /// The way to it: its guard lets that origin through.
    pub courier: Courier,
}

/// The running task.
#[derive(Debug)]
pub struct Handle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Handle {
    /// Ends the task; a run in progress goes on where it stopped, next time.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Starts the task.
pub fn start(app: Arc<App>, voice: Voice) -> Handle {
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(work(app, voice, stopped));
    Handle { stop, task }
}

async fn work(app: Arc<App>, voice: Voice, mut stopped: watch::Receiver<bool>) {
    let mut happened = app.happened.subscribe();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let woken = tokio::select! {
            _ = ticks.tick() => None,
            event = happened.recv() => match event {
                Ok(event) if event.kind.starts_with("restaurant.") || event.kind.starts_with("phone_line.") => {
                    Some(event.restaurant)
                }
                Ok(_) => continue,
                Err(broadcast::error::RecvError::Lagged(_)) => None,
                Err(broadcast::error::RecvError::Closed) => return,
            },
            _ = stopped.changed() => return,
        };
        if let Err(error) = look(&app, &voice, woken.as_deref()).await {
            tracing::warn!(error, "[sip-provisioning] restaurants were not looked at");
        }
    }
}

/// Looks at all restaurants, or at the one that changed: that one is not made to wait for its pause.
async fn look(app: &App, voice: &Voice, changed: Option<&str>) -> Result<(), String> {
    let text = |error: ReadError| error.to_string();
    if let Some(id) = changed {
        let scope = Access::Node.house(&app.db, id).await.map_err(text)?;
        if let Some(scope) = scope
            && let Some(row) = houses::one(&app.db, &scope).await.map_err(text)?
        {
            look_at(app, voice, &scope, row, true).await;
        }
        return super::removal::look(app, voice).await;
    }
    super::removal::look(app, voice).await?;
    let mut after = String::new();
    loop {
        let page = houses::page(&app.db, &after).await.map_err(text)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        last.restaurant().clone_into(&mut after);
        for (scope, row) in page {
            look_at(app, voice, &scope, row, false).await;
        }
    }
}

/// Looks at one. What is wrong with it (a password that does not open) is not the others' loss.
async fn look_at(
    app: &App,
    voice: &Voice,
    scope: &HouseScope,
    row: Map<String, Value>,
    at_once: bool,
) {
    let row = Value::Object(row);
    let active = row.get("isActive").and_then(Value::as_bool).unwrap_or(true);
    let is_known = row.get("agentId").is_some_and(|agent| !agent.is_null());
    if !(active || is_known) {
        return;
    }
    if let Err(error) = restaurant(app, voice, scope, &row, at_once).await {
        tracing::warn!(
            error,
            restaurant = scope.restaurant(),
            "[sip-provisioning] a restaurant was left out"
        );
    }
}

/// What is kept of the last runs for a restaurant.
#[derive(Debug, Default)]
struct Kept {
    known: Known,
    attempts: i64,
}

async fn restaurant(
    app: &App,
    voice: &Voice,
    scope: &HouseScope,
    row: &Value,
    at_once: bool,
) -> Result<(), String> {
    let wanted = wanted(app, scope, row).await?;
    if !at_once && looked_at(app, scope).await?.known.is_complete(&wanted) {
        return Ok(());
    }
    let Some(mut kept) = take(app, scope, at_once)
        .await
        .map_err(|error| error.to_string())?
    else {
        return Ok(());
    };
    kept.known.agent_token = token(app, scope).await;
    for _ in 0..RUNS_MAX {
        let end = run((app, voice), scope, &wanted, &mut kept.known).await?;
        let done = match end {
            Next::Done => kept.known.is_complete(&wanted),
            Next::Ask(_) | Next::Stopped(_) => false,
        };
        if done {
            give_back(app, scope, &kept, None).await?;
            return Ok(());
        }
        if let Next::Stopped(stop) = end {
            say(app, scope, &stop);
            kept.attempts += 1;
            give_back(app, scope, &kept, Some(&stop)).await?;
            return Ok(());
        }
    }
    give_back(app, scope, &kept, None).await
}

/// One run; each fact is written before the next request leaves.
async fn run(
    (app, voice): (&App, &Voice),
    scope: &HouseScope,
    wanted: &Wanted,
    known: &mut Known,
) -> Result<Next, String> {
    let mut run = Run::new(wanted.clone(), known.clone());
    let was_there = known.agent.is_some();
    loop {
        let request = match run.due() {
            Next::Ask(request) => request,
            end @ (Next::Done | Next::Stopped(_)) => {
                if end == Next::Done && !was_there {
                    let agent = run.known().agent.clone().unwrap_or_default();
                    crate::log::say(
                        app,
                        &Message::new("log_provisioned")
                            .with("house", scope.restaurant())
                            .with("agent", agent),
                    );
                }
                return Ok(end);
            }
        };
        hold(app, scope).await.map_err(|error| error.to_string())?;
        match ask(voice, &request).await {
            Ok(answer) => run.answered(&request, &answer),
            Err(label) => run.failed(&request, &label),
        }
        if *run.known() != *known {
            *known = run.known().clone();
            write(app, scope, known)
                .await
                .map_err(|error| error.to_string())?;
        }
    }
}

fn say(app: &App, scope: &HouseScope, stop: &Stop) {
    crate::log::say(
        app,
        &Message::new("log_provisioning_failed")
            .with("house", scope.restaurant())
            .with("step", format!("{:?}", stop.step))
            .with("cause", stop.cause.as_str()),
    );
}

pub(super) async fn ask(voice: &Voice, request: &Request) -> Result<Answer, String> {
    let mut headers = Vec::new();
    if let Some(key) = &voice.key {
        headers.push(("x-api-key".to_owned(), key.expose().to_owned()));
    }
    let call = HttpCall {
        method: match request.method {
            Method::Get => courier::Method::Get,
            Method::Post => courier::Method::Post,
            Method::Put => courier::Method::Put,
            Method::Delete => courier::Method::Delete,
        },
        url: format!("{}{}", voice.url.trim_end_matches('/'), request.path),
        headers,
        body: request.body.as_ref().map(Value::to_string),
        timeout_ms: REQUEST_WITHIN_MS,
        idempotency_key: request.key.clone(),
        safe_to_retry: false,
    };
    let mut patience = 0;
    let reply = loop {
        let reply = voice
            .courier
            .send(&call, &Caller::default(), ANSWER_BYTES_MAX)
            .await
            .map_err(|error| error.label().to_owned())?;
        patience += 1;
        // Too many at once, or the same request is being done: neither has done anything.
        if !matches!(reply.status, 409 | 429) || patience == PATIENCE_MAX {
            break reply;
        }
        let Some(pause) = reply.retry_after.filter(|pause| *pause <= PATIENCE) else {
            break reply;
        };
        tokio::time::sleep(pause.max(Duration::from_millis(100))).await;
    };
    Ok(Answer {
        status: reply.status,
        body: serde_json::from_slice(&reply.body).unwrap_or(Value::Null),
        next_cursor: reply.next_cursor,
    })
}

async fn wanted(app: &App, scope: &HouseScope, row: &Value) -> Result<Wanted, String> {
    let site = Site {
        callback_url: app.config.own_url.clone(),
        account_name: ACCOUNT.to_owned(),
        account_email: ACCOUNT_EMAIL.to_owned(),
    };
    let rows = list(&app.db, scope, &tables::PHONE_LINES, Filter::default())
        .await
        .map_err(|error| error.to_string())?;
    // A restaurant that is switched off is called by nobody.
    let is_off = row.get("isActive") == Some(&Value::Bool(false));
    let mut lines = Vec::new();
    for entry in rows {
        let Value::Object(entry) = entry else {
            continue;
        };
        let mut line = of_line(app, scope, &entry).await?;
        if is_off {
            line.fields.insert("isActive".to_owned(), false.into());
        }
        lines.push(line);
    }
    Ok(Wanted::of(row, lines, &site))
}

/// The body of a line, with its password opened.
async fn of_line(app: &App, scope: &HouseScope, row: &Map<String, Value>) -> Result<Line, String> {
    const SENT: &[&str] = &[
        "phoneNumber",
        "provider",
        "sipTransport",
        "stunServer",
        "sipDomain",
        "sipUsername",
        "twilioTrunkSid",
        "isActive",
    ];
    let fields = SENT
        .iter()
        .filter_map(|name| {
            let value = row.get(*name).filter(|value| !value.is_null())?;
            Some(((*name).to_owned(), value.clone()))
        })
        .collect();
    let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
    let password = crate::api::lines::password(app, scope, id).await;
    let password = password.map_err(|_| "the password of a line does not open".to_owned())?;
    Ok(Line { fields, password })
}

/// What is kept, without taking the restaurant.
async fn looked_at(app: &App, scope: &HouseScope) -> Result<Kept, String> {
    let mut asked = Statement::new("SELECT seen, attempts FROM restaurant_provisioning WHERE ");
    scope.limit(&mut asked);
    let row = app.db.row(asked).await.map_err(|error| error.to_string())?;
    let Some(row) = row else {
        return Ok(Kept::default());
    };
    let seen = row.text("seen").map_err(|error| error.to_string())?;
    Ok(Kept {
        known: seen
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        attempts: row
            .int("attempts")
            .map_err(|error| error.to_string())?
            .unwrap_or(0),
    })
}

/// Whether everything that is wanted now was found or made. What cannot be read is not done; the task says why in the log.
///
/// # Errors
/// See [`ReadError`].
pub async fn is_done(app: &App, scope: &HouseScope) -> Result<bool, ReadError> {
    let Some(row) = houses::one(&app.db, scope).await? else {
        return Ok(false);
    };
    let wanted = wanted(app, scope, &Value::Object(row)).await;
    let kept = looked_at(app, scope).await;
    Ok(wanted.is_ok_and(|wanted| kept.is_ok_and(|kept| kept.known.is_complete(&wanted))))
}

/// Takes the restaurant for a run; `None` while another node has it or its pause lasts.
async fn take(app: &App, scope: &HouseScope, at_once: bool) -> Result<Option<Kept>, ChangeError> {
    let now = Timestamp::now();
    let mut tx = app.db.begin().await?;
    let taken = async {
        let mut made = Statement::new(
            "INSERT INTO restaurant_provisioning (id, tenant_id, restaurant_id, state, attempts, created_at, updated_at) VALUES (",
        );
        made.bind(store::new_id())
            .with(", ", scope.tenant())
            .with(", ", scope.restaurant())
            .with(", ", "pending")
            .with(", ", 0_i64)
            .with(", ", now)
            .with(", ", now)
            .push(") ON CONFLICT (restaurant_id) DO NOTHING");
        tx.run(made, "provisioning").await?;
        let mut claim = Statement::new("UPDATE restaurant_provisioning SET state = 'running'");
        claim.with(", lease_until = ", now.saturating_add(LEASE).unwrap_or(now));
        claim.push(" WHERE ");
        scope.limit(&mut claim);
        claim
            .with(" AND (lease_until IS NULL OR lease_until < ", now)
            .push(")");
        if !at_once {
            claim
                .with(" AND (next_at IS NULL OR next_at <= ", now)
                .push(")");
        }
        claim.push(" RETURNING seen, attempts");
        tx.row(claim, "provisioning").await
    };
    let taken = taken.await;
    let row = settle(tx, taken).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Kept {
        known: row
            .text("seen")?
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        attempts: row.int("attempts")?.unwrap_or(0),
    }))
}

/// Holds the restaurant for another request.
async fn hold(app: &App, scope: &HouseScope) -> Result<(), ChangeError> {
    let now = Timestamp::now();
    let mut held = Statement::new("UPDATE restaurant_provisioning SET lease_until = ");
    held.bind(now.saturating_add(LEASE).unwrap_or(now))
        .push(" WHERE ");
    scope.limit(&mut held);
    let mut tx = app.db.begin().await?;
    let done = tx.run(held, "provisioning").await;
    settle(tx, done).await?;
    Ok(())
}

/// Writes what is known now, beside the restaurant's own columns; the agent's token goes into the vault first.
async fn write(app: &App, scope: &HouseScope, known: &Known) -> Result<(), ChangeError> {
    if let Some(token) = &known.agent_token {
        let tenant = TenantScope::new(TenantId::from(scope.tenant()));
        let kept = app
            .vault
            .put(&app.store, &tenant, &purpose(scope), token)
            .await;
        if let Err(error) = kept {
            tracing::warn!(%error, "the token of an agent was not kept: a new one is asked for next time");
        }
    }
    let mut tx = app.db.begin().await?;
    let written = async {
        let mut seen = Statement::new("UPDATE restaurant_provisioning SET seen = ");
        seen.bind(json!(known).to_string());
        seen.with(", updated_at = ", Timestamp::now())
            .push(" WHERE ");
        scope.limit(&mut seen);
        tx.run(seen, "provisioning").await?;
        let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let mut row = Statement::new("UPDATE restaurants SET agent_id = ");
        row.bind(text(&known.agent));
        row.with(", agent_public_token = ", text(&known.public_token));
        row.with(", final_customer_id = ", text(&known.final_customer));
        row.with(", voice_account_id = ", text(&known.account));
        row.with(" WHERE tenant_id = ", scope.tenant());
        row.with(" AND id = ", scope.restaurant());
        let there = tx.run(row, "restaurant").await? > 0;
        if !there && known.agent.is_some() {
            // It was removed while its agent was being made.
            let (account, agent) = (known.account.as_deref(), known.agent.as_deref());
            super::removal::owe(&mut tx, scope, account, agent).await?;
        }
        Ok::<_, ChangeError>(())
    };
    let written = written.await;
    settle(tx, written).await?;
    Ok(())
}

/// Ends the lease.
async fn give_back(
    app: &App,
    scope: &HouseScope,
    kept: &Kept,
    stop: Option<&Stop>,
) -> Result<(), String> {
    let now = Timestamp::now();
    let pause = PAUSE_FIRST_S
        .saturating_mul(1_i64 << kept.attempts.clamp(1, 16) >> 1)
        .min(PAUSE_MAX_S);
    let mut end = Statement::new("UPDATE restaurant_provisioning SET lease_until = NULL, state = ");
    end.bind(if stop.is_some() { "failed" } else { "done" });
    end.with(
        ", attempts = ",
        if stop.is_some() { kept.attempts } else { 0 },
    );
    let next = stop.and_then(|_| now.checked_add(SignedDuration::from_secs(pause)).ok());
    end.with(", next_at = ", next.map(Timestamp::as_microsecond));
    end.with(
        ", last_error = ",
        stop.map(|stop| format!("{:?}: {}", stop.step, stop.cause)),
    );
    end.with(", updated_at = ", now).push(" WHERE ");
    scope.limit(&mut end);
    let mut tx = app.db.begin().await.map_err(|error| error.to_string())?;
    let done = tx.run(end, "provisioning").await;
    settle(tx, done).await.map_err(|error| error.to_string())?;
    Ok(())
}

pub(super) fn purpose(scope: &HouseScope) -> String {
    format!("agent-of:{}", scope.restaurant())
}

/// The agent's token, where one is kept.
async fn token(app: &App, scope: &HouseScope) -> Option<String> {
    let tenant = TenantScope::new(TenantId::from(scope.tenant()));
    let kept = app.vault.get(&app.store, &tenant, &purpose(scope)).await;
    kept.ok().flatten().map(|text| text.expose().to_owned())
}
