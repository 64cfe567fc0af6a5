//! Confirmations of one restaurant wait for each other, since each weighs what the others cook and take. Those that came while one
//! write went on are the next write together: they share its lock, its look at the kitchen and its commit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{ChangeError, Db, WriteError};
use tokio::sync::oneshot;

use super::together::place;
use super::{Failed, Job, Placed};
use crate::desk::DeskError;
use crate::store::HouseScope;

/// Confirmations of one write at most: each number of them is a statement of its own that the databases keep prepared.
const TOGETHER_MAX: usize = 8;
/// Confirmations of one restaurant that wait at most; further ones are told to come again.
const WAITING_MAX: usize = 500;

/// A confirmation, and who waits for its outcome.
struct Waiting {
    job: Job,
    told: oneshot::Sender<Result<Placed, Failed>>,
}

/// The confirmations that wait, by restaurant. Where there is an entry, a task serves it.
#[derive(Clone, Default)]
pub struct Counters(Arc<Mutex<HashMap<String, VecDeque<Waiting>>>>);

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counters")
    }
}

/// A task that served a restaurant is gone before its time: who waits is not left waiting.
struct Serving<'a> {
    counters: &'a Counters,
    restaurant: &'a str,
    done: bool,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.counters.lock().remove(self.restaurant);
        }
    }
}

fn unavailable() -> Failed {
    Failed::Desk(WriteError::Unavailable.into())
}

impl Counters {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Places an order. Who stops waiting for it before its turn gets none; afterwards it is placed whoever waits.
    pub(super) async fn place(
        &self,
        db: &Db,
        scope: &HouseScope,
        job: Job,
    ) -> Result<Placed, Failed> {
        let (told, outcome) = oneshot::channel();
        let waiting = Waiting { job, told };
        let first = {
            let mut counters = self.lock();
            match counters.get_mut(scope.restaurant()) {
                Some(queue) if queue.len() >= WAITING_MAX => return Err(unavailable()),
                Some(queue) => {
                    queue.push_back(waiting);
                    false
                }
                None => {
                    counters.insert(scope.restaurant().to_owned(), VecDeque::from([waiting]));
                    true
                }
            }
        };
        if first {
            // A task of its own: a client that hangs up takes nobody else's order with it.
            tokio::spawn(serve(self.clone(), db.clone(), scope.clone()));
        }
        outcome.await.unwrap_or_else(|_| Err(unavailable()))
    }

    /// The next write: in their order, a repetition after what it repeats. Nobody there: the entry is gone.
    fn next(&self, restaurant: &str) -> Vec<Waiting> {
        let mut counters = self.lock();
        let Some(queue) = counters.get_mut(restaurant) else {
            return Vec::new();
        };
        let mut keys = HashSet::new();
        let mut taken = Vec::new();
        for waiting in std::mem::take(queue) {
            let again = match &waiting.job.draft.key {
                Some(key) => !keys.insert(key.clone()),
                None => false,
            };
            if waiting.told.is_closed() {
                continue;
            }
            if again || taken.len() >= TOGETHER_MAX {
                queue.push_back(waiting);
            } else {
                taken.push(waiting);
            }
        }
        if taken.is_empty() {
            counters.remove(restaurant);
        }
        taken
    }
}

async fn serve(counters: Counters, db: Db, scope: HouseScope) {
    let mut serving = Serving {
        counters: &counters,
        restaurant: scope.restaurant(),
        done: false,
    };
    loop {
        let waiting = counters.next(scope.restaurant());
        if waiting.is_empty() {
            serving.done = true;
            return;
        }
        write(&db, &scope, waiting).await;
    }
}

/// Writes them together; where the database refuses that, each alone: one that cannot be stored refuses no other.
async fn write(db: &Db, scope: &HouseScope, waiting: Vec<Waiting>) {
    let jobs: Vec<&Job> = waiting.iter().map(|waiting| &waiting.job).collect();
    let failed = match place(db, scope, &jobs).await {
        Ok(outcomes) => {
            for (waiting, outcome) in waiting.into_iter().zip(outcomes) {
                tell(waiting, outcome);
            }
            return;
        }
        Err(failed) => failed,
    };
    let alone = jobs.len() > 1 && !is_retryable(&failed);
    let mut failed = Some(failed);
    for waiting in waiting {
        let outcome = if alone {
            place(db, scope, &[&waiting.job])
                .await
                .and_then(|mut outcomes| {
                    outcomes.pop().ok_or_else(|| WriteError::Unavailable.into())
                })
                .unwrap_or_else(|error| Err(Failed::Desk(error)))
        } else {
            Err(failed.take().map_or_else(unavailable, Failed::Desk))
        };
        tell(waiting, outcome);
    }
}

fn tell(waiting: Waiting, outcome: Result<Placed, Failed>) {
    // Who hung up meanwhile has the order all the same.
    let _ = waiting.told.send(outcome);
}

fn is_retryable(error: &DeskError) -> bool {
    matches!(error, DeskError::Change(error) if ChangeError::is_retryable(error))
}
