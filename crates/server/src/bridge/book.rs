//! The calls of the bridge as its interface shows them: those that run, and those that ended a short while ago.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::switchboard::{CallEnding, CallOrders};
use jiff::Timestamp;
use serde::Serialize;

/// How long an ended call is shown.
pub(crate) const ENDED_KEPT: Duration = Duration::from_secs(30);

/// Where a call is, in the words of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    Initiated,
    Ringing,
    Answered,
    Active,
    Completed,
    Failed,
    Busy,
    NoAnswer,
    Cancelled,
}

impl Status {
    /// How a call ended.
    pub(crate) fn of(ending: &CallEnding) -> Self {
        use call::EndReason;
        if ending.answered {
            let never_connected = ending.reason == EndReason::EngineUnavailable;
            return if never_connected {
                Self::Failed
            } else {
                Self::Completed
            };
        }
        match ending.status {
            Some(408) => Self::NoAnswer,
            _ if ending.given_up => Self::Cancelled,
            Some(480) => Self::NoAnswer,
            Some(486 | 600) => Self::Busy,
            Some(487) => Self::Cancelled,
            _ if ending.reason == EndReason::CallerCancelled => Self::Cancelled,
            Some(_) | None => Self::Failed,
        }
    }
}

/// A call as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallView {
    pub(crate) sid: String,
    pub(crate) direction: &'static str,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) status: Status,
    pub(crate) custom_params: BTreeMap<String, String>,
    pub(crate) created_at: Timestamp,
    pub(crate) answered_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    /// From the answer to the end, or to now.
    pub(crate) duration_sec: Option<i64>,
}

impl CallView {
    fn at(&self, now: Timestamp) -> Self {
        let mut view = self.clone();
        let until = view.ended_at.unwrap_or(now);
        let lasted = view
            .answered_at
            .map(|at| until.duration_since(at).as_secs());
        view.duration_sec = lasted.or_else(|| view.ended_at.map(|_| 0));
        view
    }
}

struct Entry {
    view: CallView,
    orders: CallOrders,
    ended: Option<Instant>,
    /// The last news of a transfer, for whoever waits for it.
    transfer: Option<tokio::sync::oneshot::Sender<Result<(), String>>>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Book {
    calls: Mutex<BTreeMap<String, Entry>>,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.retain(|_, entry| entry.ended.is_none_or(|at| at.elapsed() < ENDED_KEPT));
        calls
    }

    pub(crate) fn add(&self, view: CallView, orders: CallOrders) {
        let entry = Entry {
            view,
            orders,
            ended: None,
            transfer: None,
        };
        self.lock().insert(entry.view.sid.clone(), entry);
    }

    /// All calls, oldest first.
    pub(crate) fn list(&self) -> Vec<CallView> {
        let now = Timestamp::now();
        let calls = self.lock();
        let mut views: Vec<_> = calls.values().map(|entry| entry.view.at(now)).collect();
        views.sort_by_key(|view| view.created_at);
        views
    }

    /// Calls that are not over.
    pub(crate) fn active(&self) -> usize {
        let calls = self.lock();
        calls.values().filter(|entry| entry.ended.is_none()).count()
    }

    pub(crate) fn view(&self, sid: &str) -> Option<CallView> {
        let now = Timestamp::now();
        self.lock().get(sid).map(|entry| entry.view.at(now))
    }

    /// A handle of a call that is not over; the inner `None` is one that is.
    pub(crate) fn orders(&self, sid: &str) -> Option<Option<CallOrders>> {
        let calls = self.lock();
        let entry = calls.get(sid)?;
        Some(entry.ended.is_none().then(|| entry.orders.clone()))
    }

    /// Handles of all calls that are not over.
    pub(crate) fn all_orders(&self) -> Vec<CallOrders> {
        let calls = self.lock();
        let open = calls.values().filter(|entry| entry.ended.is_none());
        open.map(|entry| entry.orders.clone()).collect()
    }

    /// Changes a call; its new face.
    pub(crate) fn change(&self, sid: &str, change: impl FnOnce(&mut CallView)) -> Option<CallView> {
        let mut calls = self.lock();
        let entry = calls.get_mut(sid)?;
        change(&mut entry.view);
        if entry.view.ended_at.is_some() {
            entry.ended.get_or_insert_with(Instant::now);
        }
        Some(entry.view.at(Timestamp::now()))
    }

    /// Awaits what becomes of a transfer; `None` when the call is over or another transfer is awaited.
    pub(crate) fn await_transfer(
        &self,
        sid: &str,
    ) -> Option<tokio::sync::oneshot::Receiver<Result<(), String>>> {
        let mut calls = self.lock();
        let entry = calls.get_mut(sid).filter(|entry| entry.ended.is_none())?;
        if entry
            .transfer
            .as_ref()
            .is_some_and(|waiting| !waiting.is_closed())
        {
            return None;
        }
        let (sender, receiver) = tokio::sync::oneshot::channel();
        entry.transfer = Some(sender);
        Some(receiver)
    }

    /// Tells whoever waits what became of a transfer.
    pub(crate) fn transferred(&self, sid: &str, result: Result<(), String>) {
        if let Some(waiting) = self
            .lock()
            .get_mut(sid)
            .and_then(|entry| entry.transfer.take())
        {
            let _ = waiting.send(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use call::EndReason;

    #[test]
    fn an_end_has_the_word_that_the_contract_gives_it() {
        let ending = |answered, status, given_up, reason| CallEnding {
            reason,
            answered,
            status,
            given_up,
            detail: None,
        };
        let failed = EndReason::LegFailed;
        for (ending, expected) in [
            (
                ending(true, None, false, EndReason::CallerHungUp),
                Status::Completed,
            ),
            (
                ending(true, None, true, EndReason::OperatorHungUp),
                Status::Completed,
            ),
            (
                ending(true, None, false, EndReason::EngineUnavailable),
                Status::Failed,
            ),
            (ending(false, Some(486), false, failed), Status::Busy),
            (ending(false, Some(600), false, failed), Status::Busy),
            (ending(false, Some(408), false, failed), Status::NoAnswer),
            (ending(false, Some(480), false, failed), Status::NoAnswer),
            (
                ending(false, Some(408), true, EndReason::CallerCancelled),
                Status::NoAnswer,
            ),
            (
                ending(false, None, true, EndReason::OperatorHungUp),
                Status::Cancelled,
            ),
            (
                ending(false, Some(480), true, EndReason::OperatorHungUp),
                Status::Cancelled,
            ),
            (
                ending(false, None, false, EndReason::CallerCancelled),
                Status::Cancelled,
            ),
            (
                ending(false, Some(503), false, EndReason::EngineUnavailable),
                Status::Failed,
            ),
            (ending(false, Some(404), false, failed), Status::Failed),
        ] {
            assert_eq!(Status::of(&ending), expected, "{ending:?}");
        }
        let word = serde_json::to_value(Status::NoAnswer).expect("JSON");
        assert_eq!(word, "no-answer");
    }
}
