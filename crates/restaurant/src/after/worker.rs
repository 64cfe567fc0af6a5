//! The shell: reads what happened, writes what is to be sent, sends it. One task for all restaurants of the node.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::Message;
use courier::{Secret, WebhookSecret, pause_after};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use store::ChangeError;
use tokio::sync::{broadcast, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::plan::{Happening, plan};
use super::senders::{BadSender, Senders, Sent};
use super::wishes::Wishes;
use crate::api::App;
use crate::domain::facts::{House, read};
use crate::domain::lang::Lang;
use crate::log::say;
use crate::store::notices::{Notice, Outcome, Unread, claim, note, publish, unread};
use crate::store::rows::{Filter, list, one};
use crate::store::{HouseScope, houses, tables};

/// How often everything is looked at without a reason.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Events read at once.
const EVENTS_AT_ONCE: i64 = 50;
/// Attempts at the same time.
const SENDING_MAX: usize = 8;
/// Longer than an attempt may take.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// Looks that fail in a row until somebody is told: a database that is busy for a moment is others' to complain of.
const FAILURES_QUIET: u32 = 5;
/// Restaurants whose missing sender was said.
const SAID_MAX: usize = 1_000;

/// The running task.
#[derive(Debug)]
pub struct Handle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Handle {
    /// Ends the task once the attempts in progress are noted.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// Starts the task.
///
/// # Errors
/// Which setting of a sender cannot be used.
pub fn start(app: Arc<App>) -> Result<Handle, BadSender> {
    let senders = Senders::new(&app.config.senders, app.courier.clone())?;
    let (stop, stopped) = watch::channel(false);
    let worker = Worker {
        app,
        senders: Arc::new(senders),
        sending: JoinSet::new(),
        said: HashSet::new(),
        failures: 0,
    };
    let task = tokio::spawn(worker.run(stopped));
    Ok(Handle { stop, task })
}

struct Worker {
    app: Arc<App>,
    senders: Arc<Senders>,
    sending: JoinSet<()>,
    said: HashSet<(String, String)>,
    failures: u32,
}

impl Worker {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut happened = self.app.happened.subscribe();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let looked = self.look().await;
            let failed = looked.is_err();
            self.failures = if failed {
                self.failures.saturating_add(1)
            } else {
                0
            };
            if let Err(cause) = looked
                && self.failures == FAILURES_QUIET
            {
                say(
                    &self.app,
                    &Message::new("log_notices_unread").with("cause", cause),
                );
            }
            tokio::select! {
                _ = ticks.tick() => {}
                event = happened.recv(), if !failed => {
                    if matches!(event, Err(broadcast::error::RecvError::Closed)) {
                        return;
                    }
                }
                Some(_) = self.sending.join_next() => {}
                _ = stopped.changed() => break,
            }
        }
        while self.sending.join_next().await.is_some() {}
    }

    async fn look(&mut self) -> Result<(), String> {
        loop {
            let events = unread(&self.app.db, EVENTS_AT_ONCE)
                .await
                .map_err(|error| error.to_string())?;
            let count = events.len();
            for event in events {
                self.read(&event).await.map_err(|error| error.to_string())?;
            }
            if i64::try_from(count).unwrap_or_default() < EVENTS_AT_ONCE {
                break;
            }
        }
        let free = SENDING_MAX.saturating_sub(self.sending.len());
        if free == 0 {
            return Ok(());
        }
        let limit = i64::try_from(free).unwrap_or(1);
        let due = claim(&self.app.db, limit, LEASE, Timestamp::now())
            .await
            .map_err(|error| error.to_string())?;
        for notice in due {
            self.say_what_lacks(&notice);
            let (app, senders) = (Arc::clone(&self.app), Arc::clone(&self.senders));
            self.sending.spawn(async move {
                attempt(&app, &senders, &notice).await;
            });
        }
        Ok(())
    }

    /// Plans what one event leads to. An event that cannot be understood is read all the same: it would stand in the way for ever.
    async fn read(&self, event: &Unread) -> Result<(), ChangeError> {
        let now = Timestamp::now();
        let notices = match facts(&self.app, event).await? {
            Some(facts) => facts.plan(event, now),
            None => Vec::new(),
        };
        publish(&self.app.db, event, &notices, now).await
    }

    fn say_what_lacks(&mut self, notice: &Notice) {
        let Some(setting) = self.senders.lacks(&notice.channel) else {
            return;
        };
        let about = (notice.restaurant.clone(), notice.channel.clone());
        if self.said.len() < SAID_MAX && self.said.insert(about) {
            say(
                &self.app,
                &Message::new("log_notice_no_sender")
                    .with("house", notice.restaurant.as_str())
                    .with("channel", notice.channel.as_str())
                    .with("setting", setting),
            );
        }
    }
}

/// What the plan is made of.
struct Facts {
    house: House,
    wishes: Wishes,
    row: Value,
    guest_lang: Option<Lang>,
    guest_email: Option<String>,
}

impl Facts {
    fn plan(&self, event: &Unread, now: Timestamp) -> Vec<crate::store::notices::NewNotice> {
        let happening = Happening {
            kind: &event.kind,
            id: &event.id,
            at: event.at,
            house: &self.house,
            row: &self.row,
            was: event.payload["was"].as_str(),
            dishes: event.payload["dishes"] == true,
            guest_lang: self.guest_lang,
            guest_email: self.guest_email.as_deref(),
        };
        plan(&happening, &self.wishes, now)
    }
}

async fn facts(app: &App, event: &Unread) -> Result<Option<Facts>, ChangeError> {
    let table = match event.kind.split('.').next().unwrap_or_default() {
        "order" => &tables::ORDERS,
        "reservation" => &tables::RESERVATIONS,
        "message" => &tables::MESSAGES,
        _ => return Ok(None),
    };
    let Some(row) = houses::one(&app.db, &event.scope).await? else {
        return Ok(None);
    };
    let member = |name: &str| row.get(name).unwrap_or(&Value::Null);
    let wishes = Wishes::of(member("notifications"), member("webhooks"));
    let (wishes, house) = match (wishes, read::<House>(Value::Object(row))) {
        (Ok(wishes), Ok(house)) => (wishes, house),
        (Err(bad), _) => return Ok(unreadable(app, event, &bad.cause)),
        (_, Err(error)) => return Ok(unreadable(app, event, &error.to_string())),
    };
    let id = event.subject.as_deref().unwrap_or_default();
    let Some(mut row) = one(&app.db, &event.scope, table, id).await? else {
        return Ok(None);
    };
    if table.name == tables::ORDERS.name {
        let lines = Filter::default().with("order_id = ", id);
        row["items"] = list(&app.db, &event.scope, &tables::ORDER_LINES, lines)
            .await?
            .into();
    }
    let guest = guest(app, &event.scope, &row).await?;
    if table.name == tables::ORDERS.name {
        row["customerAllergies"] = guest.get("allergies").cloned().unwrap_or_default();
    }
    let text = |name: &str| {
        let text = guest.get(name).and_then(Value::as_str);
        text.filter(|text| !text.trim().is_empty())
            .map(str::to_owned)
    };
    Ok(Some(Facts {
        guest_lang: text("language").map(|language| Lang::of(&language)),
        guest_email: text("email"),
        house,
        wishes,
        row,
    }))
}

/// Nobody is told of an event whose restaurant cannot be read; the operator is.
fn unreadable(app: &App, event: &Unread, cause: &str) -> Option<Facts> {
    let cause = format!("{} {}: {cause}", event.scope.restaurant(), event.kind);
    say(
        app,
        &Message::new("log_notices_unread").with("cause", cause),
    );
    None
}

/// The guest, where the row names one.
async fn guest(app: &App, scope: &HouseScope, row: &Value) -> Result<Value, ChangeError> {
    let Some(id) = row["customerId"].as_str() else {
        return Ok(Value::Null);
    };
    let found = one(&app.db, scope, &tables::CUSTOMERS, id).await?;
    Ok(found.unwrap_or_default())
}

async fn attempt(app: &App, senders: &Senders, notice: &Notice) {
    let sent = match signer(app, notice).await {
        Ok(secret) => senders.send(notice, secret.as_ref()).await,
        Err(cause) => Sent::Later(cause.to_owned(), None),
    };
    let now = Timestamp::now();
    let outcome = outcome(notice, sent, now, share(&notice.id, notice.attempts));
    if let Outcome::Dead { error } = &outcome {
        // What lacks a sender was said once for the restaurant.
        if senders.lacks(&notice.channel).is_none() {
            say(
                app,
                &Message::new("log_notice_dead")
                    .with("house", notice.restaurant.as_str())
                    .with("channel", notice.channel.as_str())
                    .with("cause", error.as_str()),
            );
        }
    }
    // Not noted: its lease ends, and it is sent again under the same id.
    if let Err(error) = note(&app.db, notice, &outcome, now).await {
        tracing::warn!(%error, "a notice was not noted");
    }
}

/// The secret of the account, for a webhook.
async fn signer(app: &App, notice: &Notice) -> Result<Option<WebhookSecret>, &'static str> {
    if notice.channel != "webhook" {
        return Ok(None);
    }
    let secret = (app.doors.secret)(notice.tenant.clone()).await;
    let secret = secret.map_err(|_| "the secret of the account cannot be read")?;
    secret
        .map(|text| WebhookSecret::parse(&Secret::new(text)))
        .transpose()
        .map_err(|_| "the secret of the account is none")
}

/// What becomes of a notice after an attempt. Pure.
fn outcome(notice: &Notice, sent: Sent, now: Timestamp, share: f64) -> Outcome {
    match sent {
        Sent::Done => Outcome::Sent,
        Sent::Never(error) => Outcome::Dead { error },
        Sent::Later(error, named) => {
            let attempts = u32::try_from(notice.attempts).unwrap_or(u32::MAX);
            let pause = pause_after(attempts, share, named)
                .and_then(|pause| SignedDuration::try_from(pause).ok());
            match pause.and_then(|pause| now.checked_add(pause).ok()) {
                Some(at) if at <= notice.gives_up_at => Outcome::Again { error, at },
                Some(_) | None => Outcome::Dead { error },
            }
        }
    }
}

/// Spreads what failed together; the id is random enough for that.
fn share(id: &str, attempts: i64) -> f64 {
    let sum = id.bytes().fold(attempts.unsigned_abs(), |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    f64::from(u32::try_from(sum % 1_000).unwrap_or_default()) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(attempts: i64, gives_up_in_s: i64, now: Timestamp) -> Notice {
        let gives_up_at = now + SignedDuration::from_secs(gives_up_in_s);
        Notice::for_test("1", "sms", "+33612345678", attempts, gives_up_at)
    }

    #[test]
    fn a_failure_is_tried_again_until_nobody_wants_it_any_more() {
        let now = Timestamp::UNIX_EPOCH;
        let later = || Sent::Later("status 500".to_owned(), None);
        let again = outcome(&notice(1, 60, now), later(), now, 0.5);
        let at = now + SignedDuration::from_secs(5);
        let error = "status 500".to_owned();
        assert_eq!(
            again,
            Outcome::Again {
                error: error.clone(),
                at
            }
        );
        let late = outcome(&notice(5, 60, now), later(), now, 0.5);
        assert_eq!(late, Outcome::Dead { error });
        let named = Sent::Later("status 429".to_owned(), Some(Duration::from_secs(30)));
        let patient = outcome(&notice(1, 60, now), named, now, 0.5);
        assert!(
            matches!(patient, Outcome::Again { at, .. } if at == now + SignedDuration::from_secs(30))
        );
    }

    #[test]
    fn what_is_never_taken_is_given_up_at_once() {
        let now = Timestamp::UNIX_EPOCH;
        let never = outcome(&notice(1, 60, now), Sent::Never("550".to_owned()), now, 0.5);
        assert!(matches!(never, Outcome::Dead { .. }));
        assert_eq!(
            outcome(&notice(1, 60, now), Sent::Done, now, 0.5),
            Outcome::Sent
        );
    }
}
