//! What has to be done again and again, whoever calls: calls that another node left when it died become finished records, and
//! what expired is removed.

use std::time::Duration;

use catalog::Message;
use jiff::Timestamp;
use store::Store;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::privacy::{self, Retention};
use crate::terminal;

/// How often. The first time is one interval after the start, which does the same by itself.
const EVERY: Duration = Duration::from_secs(30);

/// How often what is too old is looked for.
const SWEPT_EVERY: Duration = Duration::from_secs(3_600);

/// The task; it ends with this.
pub(crate) struct Housekeeping(AbortHandle);

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn start(store: Store, retention: Retention) -> Housekeeping {
    let task = tokio::spawn(async move {
        let keepers = privacy::keepers();
        let mut swept: Option<std::time::Instant> = None;
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            match store.recover_unfinished().await {
                Ok(calls) if calls.is_empty() => {}
                Ok(calls) => {
                    terminal::log(&Message::new("log_calls_recovered").with("count", calls.len()));
                }
                // The journal says that the database is away; this is tried again.
                Err(error) => tracing::debug!(%error, "dead nodes' calls not looked for"),
            }
            if let Err(error) = store.node_purge_idempotency_keys(Timestamp::now()).await {
                tracing::debug!(%error, "expired keys not removed");
            }
            if swept.is_none_or(|at| at.elapsed() >= SWEPT_EVERY) {
                swept = Some(std::time::Instant::now());
                retention.sweep(&store, &keepers, Timestamp::now()).await;
            }
        }
    });
    Housekeeping(task.abort_handle())
}
