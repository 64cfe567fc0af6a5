//! The durable outbox's delivery task: what the house owes to others is delivered at least once, always under one id.
//!
//! Rows are written by others, in the transaction of their cause. This task claims due rows with a lease, one at a time, and
//! never more than a few for one destination: a slow receiver delays itself. A process that dies keeps its rows until the lease
//! ends, then anybody delivers them, under the same `webhook-id`.

mod attempt;
mod schedule;
mod voice;

pub use attempt::{SecretSource, WEBHOOK_PURPOSE, WebhookSecrets};
pub use schedule::pause_after;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use store::{Delivery, Store};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::courier::Courier;
use crate::limits::{
    DELIVERIES_MAX, DELIVERIES_PER_DESTINATION_MAX, DELIVERY_WITHIN, LEASE, OUTBOX_LOOKS_EVERY,
};
use voice::Voice;

/// How long the task waits after the store failed it.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// The shortest pause between two looks at the table.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Starts the delivery.
#[derive(Debug)]
pub struct Outbox;

/// The running delivery.
#[derive(Debug)]
pub struct OutboxHandle {
    nudge: Arc<Notify>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Wakes the delivery; clones wake the same one.
#[derive(Clone, Debug)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Says that a row was written. Never blocks; a nudge while the task looks is not lost.
    pub fn nudge(&self) {
        self.0.notify_one();
    }
}

impl OutboxHandle {
    /// Says that a row was written.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// A way to wake the delivery from elsewhere.
    pub fn nudger(&self) -> Nudge {
        Nudge(Arc::clone(&self.nudge))
    }

    /// Claims nothing further, lets the deliveries in progress end (each is bounded), and returns.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

impl Outbox {
    /// Starts delivering the rows of a store. `secrets` gives each tenant's webhook secret.
    pub fn start(store: Store, courier: Courier, secrets: WebhookSecrets) -> OutboxHandle {
        let nudge = Arc::new(Notify::new());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(
            Arc::new(Work {
                store,
                courier,
                secrets,
                voice: Voice::default(),
            }),
            Arc::clone(&nudge),
            stopped,
        ));
        OutboxHandle { nudge, stop, task }
    }
}

/// What a delivery needs.
struct Work {
    store: Store,
    courier: Courier,
    secrets: WebhookSecrets,
    voice: Voice,
}

/// Deliveries in progress.
#[derive(Default)]
struct InFlight {
    tasks: JoinSet<String>,
    by_destination: HashMap<String, usize>,
}

impl InFlight {
    fn is_full(&self) -> bool {
        self.tasks.len() >= DELIVERIES_MAX
    }

    fn busy(&self) -> Vec<String> {
        self.by_destination
            .iter()
            .filter(|(_, count)| **count >= DELIVERIES_PER_DESTINATION_MAX)
            .map(|(destination, _)| destination.clone())
            .collect()
    }

    fn begin(&mut self, work: &Arc<Work>, delivery: Delivery) {
        let destination = delivery.destination.clone();
        *self.by_destination.entry(destination.clone()).or_default() += 1;
        let work = Arc::clone(work);
        self.tasks.spawn(async move {
            attempt::deliver(&work, &delivery).await;
            destination
        });
    }

    /// Waits for one to end; for ever when there is none.
    async fn ended(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(destination)) => {
                if let Some(count) = self.by_destination.get_mut(&destination) {
                    *count -= 1;
                    if *count == 0 {
                        self.by_destination.remove(&destination);
                    }
                }
            }
            // A delivery that panicked: its destination is not known, so the counts are made anew from nothing once idle.
            Some(Err(_)) => {
                if self.tasks.is_empty() {
                    self.by_destination.clear();
                }
            }
            None => std::future::pending().await,
        }
    }
}

async fn run(work: Arc<Work>, nudge: Arc<Notify>, mut stopped: watch::Receiver<bool>) {
    let mut in_flight = InFlight::default();
    while !*stopped.borrow() {
        let pause = fill(&work, &mut in_flight).await;
        tokio::select! {
            () = nudge.notified(), if !in_flight.is_full() => {}
            () = in_flight.ended() => {}
            () = tokio::time::sleep(pause), if !in_flight.is_full() => {}
            changed = stopped.changed() => {
                if changed.is_err() {
                    break;
                }
            }
        }
    }
    let last = async {
        while !in_flight.tasks.is_empty() {
            in_flight.ended().await;
        }
    };
    // Each delivery has its own bound; the lease covers what is left.
    let _ = tokio::time::timeout(DELIVERY_WITHIN * 2, last).await;
}

/// Claims as much as there is room for; how long there is nothing to do.
async fn fill(work: &Arc<Work>, in_flight: &mut InFlight) -> Duration {
    while !in_flight.is_full() {
        let now = Timestamp::now();
        let busy = in_flight.busy();
        // One at a time: a batch could go to one destination, beyond its share.
        let claimed = work.store.node_claim_deliveries(now, 1, LEASE, &busy).await;
        match claimed.map(|mut claimed| claimed.pop()) {
            Ok(Some(delivery)) => in_flight.begin(work, delivery),
            Ok(None) => {
                work.voice.store_answers();
                return match work.store.node_next_delivery(&busy).await {
                    Ok(next) => until(next, now),
                    Err(_) => OUTBOX_LOOKS_EVERY,
                };
            }
            Err(_) => {
                work.voice.store_fails();
                return STORE_PAUSE;
            }
        }
    }
    OUTBOX_LOOKS_EVERY
}

fn until(next: Option<Timestamp>, now: Timestamp) -> Duration {
    next.and_then(|at| {
        Duration::try_from(at.duration_since(now))
            .ok()
            .or(Some(LOOK_PAUSE))
    })
    .unwrap_or(OUTBOX_LOOKS_EVERY)
    .clamp(LOOK_PAUSE, OUTBOX_LOOKS_EVERY)
}
