//! A restaurant that was removed: its agent and its lines at the voice server go after it, by the same API that made them.
//!
//! What is owed is a row of its own, written with the removal. An agent may still be on its way then, so the last look is made when no
//! request of that restaurant can be under way any more.

use call::TenantId;
use catalog::Message;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use store::{ChangeError, Row, Statement, TenantScope, Tx};

use super::desk::{ACCOUNT, Voice, ask, purpose};
use super::plan::{Method, PAGES_MAX, Request, Step, list, plain};
use super::reply::{identity, items};
use crate::api::App;
use crate::store::{HouseScope, settle};

/// Removals of one look.
const LOOK_MAX: i64 = 50;
/// How long a removal is held for its requests, and the first pause after a failure.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// The longest pause.
const PAUSE_MAX_S: i64 = 900;
/// Requests for a restaurant that are under way when it is removed are over after this long.
const SETTLED: SignedDuration = SignedDuration::from_secs(60);

/// Writes down that a restaurant's agent is to go, in the write that removes the restaurant or learns of the agent afterwards.
///
/// # Errors
/// See [`ChangeError`].
pub(crate) async fn owe(
    tx: &mut Tx,
    scope: &HouseScope,
    account: Option<&str>,
    agent: Option<&str>,
) -> Result<(), ChangeError> {
    let now = Timestamp::now();
    let mut statement = Statement::new(
        "INSERT INTO restaurant_removals (id, tenant_id, account_id, agent_id, attempts, next_at, created_at, updated_at) VALUES (",
    );
    statement
        .bind(scope.restaurant())
        .with(", ", scope.tenant())
        .with(", ", account.map(str::to_owned))
        .with(", ", agent.map(str::to_owned))
        .with(", ", 0_i64);
    statement.with(", ", now).with(", ", now).with(", ", now);
    statement.push(
        ") ON CONFLICT (id) DO UPDATE SET next_at = excluded.next_at, created_at = excluded.created_at, \
         account_id = COALESCE(excluded.account_id, restaurant_removals.account_id), \
         agent_id = COALESCE(excluded.agent_id, restaurant_removals.agent_id)",
    );
    tx.run(statement, "removal").await?;
    Ok(())
}

/// One that is owed.
struct Owed {
    restaurant: String,
    tenant: String,
    account: Option<String>,
    agent: Option<String>,
    attempts: i64,
    since: Timestamp,
}

impl Owed {
    fn of(row: &Row) -> Result<Self, ChangeError> {
        let since = row.int("created_at")?.unwrap_or_default();
        Ok(Self {
            restaurant: row.text("id")?.unwrap_or_default(),
            tenant: row.text("tenant_id")?.unwrap_or_default(),
            account: row.text("account_id")?,
            agent: row.text("agent_id")?,
            attempts: row.int("attempts")?.unwrap_or_default(),
            since: Timestamp::from_microsecond(since).unwrap_or_default(),
        })
    }
}

/// Looks at what is owed and due.
///
/// # Errors
/// What the database said.
pub(super) async fn look(app: &App, voice: &Voice) -> Result<(), String> {
    let due = take(app).await.map_err(|error| error.to_string())?;
    for owed in due {
        let gone = remove(voice, &owed).await;
        let now = Timestamp::now();
        let done = matches!(gone, Ok(false)) && now > owed.since + SETTLED;
        if done {
            forget_token(app, &owed).await;
        }
        if let Err((step, cause)) = &gone {
            let message = Message::new("log_provisioning_failed")
                .with("house", owed.restaurant.as_str())
                .with("step", format!("{step:?}"))
                .with("cause", cause.as_str());
            crate::log::say(app, &message);
        }
        settle_one(app, &owed, done, gone.is_err())
            .await
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Takes those that are due: no other node looks at them before their pause is over.
async fn take(app: &App) -> Result<Vec<Owed>, ChangeError> {
    let now = Timestamp::now();
    let mut asked = Statement::new("SELECT id FROM restaurant_removals WHERE next_at <= ");
    asked.bind(now).push(" LIMIT 1");
    // Nearly always there is none: the look that says so takes no write.
    if app.db.row(asked).await?.is_none() {
        return Ok(Vec::new());
    }
    let mut tx = app.db.begin().await?;
    let taken = async {
        let mut claim = Statement::new("UPDATE restaurant_removals SET next_at = ");
        claim.bind(now + PAUSE).with(" WHERE next_at <= ", now);
        claim.with(
            " AND id IN (SELECT id FROM restaurant_removals WHERE next_at <= ",
            now,
        );
        claim.with(" ORDER BY next_at LIMIT ", LOOK_MAX);
        claim.push(") RETURNING *");
        let rows = tx.rows(claim, "removal").await?;
        rows.iter().map(Owed::of).collect::<Result<Vec<_>, _>>()
    };
    let taken = taken.await;
    settle(tx, taken).await
}

/// Removes what is there; whether anything was.
async fn remove(voice: &Voice, owed: &Owed) -> Result<bool, (Step, String)> {
    let Some(account) = account_of(voice, owed).await? else {
        return Ok(false);
    };
    let agents = every(
        voice,
        Step::FindAgent,
        "/api/agents",
        &[("accountId", account.as_str())],
    )
    .await?;
    let is_ours = |agent: &&Value| {
        let of = agent
            .pointer("/config/restaurantId")
            .and_then(Value::as_str);
        of == Some(owed.restaurant.as_str())
    };
    let mut ids: Vec<String> = agents
        .iter()
        .filter(is_ours)
        .filter_map(identity)
        .map(str::to_owned)
        .collect();
    let listed = |id: &str| agents.iter().any(|agent| identity(agent) == Some(id));
    if let Some(agent) = owed.agent.as_deref().filter(|id| listed(id))
        && !ids.iter().any(|id| id == agent)
    {
        ids.push(agent.to_owned());
    }
    for agent in &ids {
        let path = format!("/api/agents/{agent}");
        let lines = every(voice, Step::FindLines, &format!("{path}/phone-lines"), &[]).await?;
        for line in lines.iter().filter_map(identity) {
            delete(
                voice,
                Step::RemoveLine,
                format!("{path}/phone-lines/{line}"),
            )
            .await?;
        }
        delete(voice, Step::RemoveAgent, path).await?;
    }
    Ok(!ids.is_empty())
}

async fn account_of(voice: &Voice, owed: &Owed) -> Result<Option<String>, (Step, String)> {
    if let Some(account) = &owed.account {
        return Ok(Some(account.clone()));
    }
    let accounts = every(voice, Step::FindAccount, "/api/accounts", &[]).await?;
    let ours = accounts.iter().find(|account| account["name"] == ACCOUNT);
    Ok(ours.and_then(identity).map(str::to_owned))
}

/// All entries of a list; none where the server has no such list.
async fn every(
    voice: &Voice,
    step: Step,
    path: &str,
    of: &[(&str, &str)],
) -> Result<Vec<Value>, (Step, String)> {
    let (mut all, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let request = list(step, path, of, cursor.as_deref());
        let answer = asked(voice, &request).await?;
        let Some(answer) = answer else { break };
        all.extend(items(&answer.body));
        cursor = answer.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(all)
}

async fn delete(voice: &Voice, step: Step, path: String) -> Result<(), (Step, String)> {
    let request = plain(step, Method::Delete, path, None);
    asked(voice, &request).await.map(|_| ())
}

/// The answer; `None`: there is no such thing.
async fn asked(voice: &Voice, request: &Request) -> Result<Option<super::Answer>, (Step, String)> {
    let answer = ask(voice, request).await;
    let answer = answer.map_err(|label| (request.step, label))?;
    if answer.is_success() {
        Ok(Some(answer))
    } else if answer.is_absent() {
        Ok(None)
    } else {
        Err((request.step, answer.cause()))
    }
}

/// Ends a removal, or says when it is looked at again.
async fn settle_one(app: &App, owed: &Owed, done: bool, failed: bool) -> Result<(), ChangeError> {
    let mut statement = Statement::new("");
    if done {
        statement.push("DELETE FROM restaurant_removals");
    } else {
        let attempts = if failed { owed.attempts + 1 } else { 0 };
        let pause = PAUSE.as_secs() << attempts.clamp(1, 6) >> 1;
        let next = Timestamp::now() + SignedDuration::from_secs(pause.min(PAUSE_MAX_S));
        statement.with("UPDATE restaurant_removals SET attempts = ", attempts);
        statement.with(", next_at = ", next);
    }
    statement.with(" WHERE id = ", owed.restaurant.as_str());
    // It may be owed anew meanwhile: an agent was heard of late.
    statement.with(" AND created_at = ", owed.since);
    let mut tx = app.db.begin().await?;
    let done = tx.run(statement, "removal").await;
    settle(tx, done).await?;
    Ok(())
}

/// Forgets the token of an agent that is gone.
async fn forget_token(app: &App, owed: &Owed) {
    let tenant = TenantScope::new(TenantId::from(owed.tenant.as_str()));
    let scope = HouseScope::of_new(&owed.tenant, &owed.restaurant);
    let removed = app
        .vault
        .remove(&app.store, &tenant, &purpose(&scope))
        .await;
    if let Err(error) = removed {
        tracing::warn!(%error, restaurant = %owed.restaurant, "the token of a removed agent was not forgotten");
    }
}
