//! What the delivery says in the log: each change of state once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use catalog::Message;
use store::{Attempt, Delivery};

use crate::limits::DESTINATIONS_MAX;
use crate::log::say;

/// Remembers what was said.
#[derive(Default)]
pub(super) struct Voice {
    failing: Mutex<HashSet<String>>,
    store_fails: Mutex<bool>,
}

impl Voice {
    /// A delivery ended.
    pub(super) fn heard(&self, delivery: &Delivery, outcome: &Attempt) {
        let destination = delivery.destination.as_str();
        match outcome {
            Attempt::Delivered { .. } => {
                if self.failing().remove(destination) {
                    say(&Message::new("log_webhook_recovered").with("destination", destination));
                }
            }
            Attempt::Failed { error, status, .. } => {
                let mut failing = self.failing();
                let known = failing.len() < DESTINATIONS_MAX;
                if known && failing.insert(destination.to_owned()) {
                    drop(failing);
                    say(&Message::new("log_webhook_failing")
                        .with("destination", destination)
                        .with("cause", cause(*status, error)));
                }
            }
            Attempt::Dead { error, status } => say(&Message::new("log_webhook_dead")
                .with("destination", destination)
                .with("delivery", delivery.delivery.id.as_str())
                .with("cause", cause(*status, error))),
        }
    }

    /// The store does not answer.
    pub(super) fn store_fails(&self) {
        if !self.store_state(true) {
            say(&Message::new("log_outbox_store_failing"));
        }
    }

    /// The store answers.
    pub(super) fn store_answers(&self) {
        if self.store_state(false) {
            say(&Message::new("log_outbox_store_recovered"));
        }
    }

    fn store_state(&self, fails: bool) -> bool {
        let mut state = self
            .store_fails
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *state, fails)
    }

    fn failing(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cause(status: Option<i64>, error: &str) -> String {
    status.map_or_else(|| error.to_owned(), |status| status.to_string())
}
