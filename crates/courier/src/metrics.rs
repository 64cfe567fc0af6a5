//! What the room counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::http::{Reply, SendError};
use crate::mcp::McpError;

/// One figure: how often something with a label happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// `reply`, the class of the status, or the label of the failure.
    pub label: &'static str,
    /// How often.
    pub count: u64,
}

/// The figures of the room at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Exchanges by their end.
    pub exchanges: Vec<Counted>,
    /// Attempts that were made again.
    pub repeated: u64,
    /// Deliveries of the outbox by their end.
    pub deliveries: Vec<Counted>,
    /// Requests to MCP servers by their end.
    pub mcp: Vec<Counted>,
}

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    exchanges: Mutex<BTreeMap<&'static str, u64>>,
    deliveries: Mutex<BTreeMap<&'static str, u64>>,
    mcp: Mutex<BTreeMap<&'static str, u64>>,
    repeated: AtomicU64,
}

impl Metrics {
    pub(crate) fn exchange(&self, result: &Result<Reply, SendError>) {
        let label = match result {
            Ok(reply) => status_class(reply.status),
            Err(error) => error.label(),
        };
        count(&self.exchanges, label);
    }

    pub(crate) fn mcp<T>(&self, result: &Result<T, McpError>) {
        count(
            &self.mcp,
            result.as_ref().map_or_else(McpError::label, |_| "answered"),
        );
    }

    pub(crate) fn delivery(&self, label: &'static str) {
        count(&self.deliveries, label);
    }

    pub(crate) fn repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            exchanges: listed(&self.exchanges),
            repeated: self.repeated.load(Ordering::Relaxed),
            deliveries: listed(&self.deliveries),
            mcp: listed(&self.mcp),
        }
    }
}

fn count(counters: &Mutex<BTreeMap<&'static str, u64>>, label: &'static str) {
    let mut counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
    *counters.entry(label).or_default() += 1;
}

fn listed(counters: &Mutex<BTreeMap<&'static str, u64>>) -> Vec<Counted> {
    let counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
    counters
        .iter()
        .map(|(label, count)| Counted {
            label,
            count: *count,
        })
        .collect()
}

fn status_class(status: u16) -> &'static str {
    match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other_status",
    }
}
