//! The faults of a scenario as they concern one connection.

use crate::scenario::{Fault, FaultAction, FaultPoint};

/// A fault that is about to strike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Armed {
    pub(super) action: FaultAction,
    pub(super) ms: u64,
    pub(super) status: u16,
    pub(super) code: u16,
    pub(super) reason: String,
}

/// The faults of one connection, with what has happened so far.
#[derive(Debug)]
pub(super) struct Faults {
    faults: Vec<Fault>,
    updates: u64,
    responses: u64,
}

impl Faults {
    /// Those of the scenario that concern the connection of this number.
    pub(super) fn new(faults: &[Fault], connection: u64) -> Self {
        let concerns = |fault: &&Fault| fault.connection.is_none_or(|one| one == connection);
        Self {
            faults: faults.iter().filter(concerns).cloned().collect(),
            updates: 0,
            responses: 0,
        }
    }

    /// Counts an occurrence and gives the faults that strike at it.
    pub(super) fn at(&mut self, point: FaultPoint) -> Vec<Armed> {
        let occurrence = match point {
            FaultPoint::Connect => 1,
            FaultPoint::SessionUpdate => {
                self.updates += 1;
                self.updates
            }
            FaultPoint::Response => {
                self.responses += 1;
                self.responses
            }
        };
        self.faults
            .iter()
            .filter(|fault| fault.on == point && fault.at.is_none_or(|at| at == occurrence))
            .map(|fault| Armed {
                action: fault.action,
                ms: fault.ms,
                status: fault.status.unwrap_or(503),
                code: fault.code.unwrap_or(1_011),
                reason: fault.reason.clone(),
            })
            .collect()
    }
}
