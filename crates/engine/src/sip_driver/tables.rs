//! How full the tables of the SIP side are, as figures: an operator sees a flood, and a test that every table keeps its bound.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::gauge::Gauge;
use sip::TableSizes;

use crate::metrics::{Kind, Metrics};

type Figure = Gauge<i64, AtomicI64>;

/// One figure for each table.
pub(super) struct Tables {
    invites: Figure,
    dialogs: Figure,
    client_transactions: Figure,
    server_transactions: Figure,
    connections: Figure,
    queries: Figure,
    deadlines: Figure,
    bindings: Figure,
    rated_sources: Figure,
    wrong_passwords: Figure,
    refusals: Figure,
}

/// Tables that are not the user agent's.
pub(super) struct OwnSizes {
    pub(super) rated_sources: usize,
    pub(super) wrong_passwords: usize,
    pub(super) refusals: usize,
}

impl Tables {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let figure = |kind| metrics.sip_table.get_or_create(&Kind { kind }).clone();
        Self {
            invites: figure("invites"),
            dialogs: figure("dialogs"),
            client_transactions: figure("client_transactions"),
            server_transactions: figure("server_transactions"),
            connections: figure("connections"),
            queries: figure("queries"),
            deadlines: figure("deadlines"),
            bindings: figure("bindings"),
            rated_sources: figure("rated_sources"),
            wrong_passwords: figure("wrong_passwords"),
            refusals: figure("refusals"),
        }
    }

    pub(super) fn set(&self, sizes: TableSizes, own: &OwnSizes) {
        for (figure, entries) in [
            (&self.invites, sizes.invites),
            (&self.dialogs, sizes.dialogs),
            (&self.client_transactions, sizes.client_transactions),
            (&self.server_transactions, sizes.server_transactions),
            (&self.connections, sizes.connections),
            (&self.queries, sizes.queries),
            (&self.deadlines, sizes.deadlines),
            (&self.bindings, sizes.bindings),
            (&self.rated_sources, own.rated_sources),
            (&self.wrong_passwords, own.wrong_passwords),
            (&self.refusals, own.refusals),
        ] {
            figure.set(i64::try_from(entries).unwrap_or(i64::MAX));
        }
    }
}
