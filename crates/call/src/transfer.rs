//! Handing the caller over: what was being said is heard first, then the leg is asked, and its answer is awaited within a bound.

use crate::limits::{TRANSFER_DRAIN_MS_MAX, TRANSFER_MS_MAX};
use crate::redacted::Redacted;

/// Where a caller is handed to. Only names that the agent's settings know lead here: the model never writes an address.
#[derive(Clone, PartialEq, Eq)]
pub struct TransferTarget {
    /// Name of the target, as the settings have it; shown in the record.
    pub name: String,
    /// Telephone number or SIP address.
    pub address: Redacted<String>,
}

impl std::fmt::Debug for TransferTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.address)
    }
}

/// What became of a transfer, as the leg tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferEnd {
    /// The other side took the caller.
    Done,
    /// It did not happen; the caller is still with us.
    Failed {
        /// Why, in a few words for the model: `busy`, `no answer`, `refused`.
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The last words are being played.
    Draining { until: u64 },
    /// The leg was asked.
    Asked { until: u64, accepted: bool },
}

/// What the transfer needs next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TransferStep {
    Go(TransferTarget),
    TimedOut,
}

#[derive(Debug)]
pub(crate) struct Transfer {
    target: TransferTarget,
    stage: Stage,
}

impl Transfer {
    pub(crate) fn new(now: u64, target: TransferTarget) -> Self {
        let until = now + TRANSFER_DRAIN_MS_MAX;
        Self {
            target,
            stage: Stage::Draining { until },
        }
    }

    pub(crate) fn target(&self) -> &TransferTarget {
        &self.target
    }

    /// The other side said that it will try.
    pub(crate) fn accepted(&mut self) {
        if let Stage::Asked { accepted, .. } = &mut self.stage {
            *accepted = true;
        }
    }

    /// The leg was asked, and its side agreed to try: a hang-up from there now is how many systems say that it worked.
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(self.stage, Stage::Asked { accepted: true, .. })
    }

    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.stage, Stage::Asked { .. })
    }

    /// The next step; `quiet`: nothing is being said or played.
    pub(crate) fn advance(&mut self, now: u64, quiet: bool) -> Option<TransferStep> {
        match self.stage {
            Stage::Draining { until } if quiet || now >= until => {
                self.stage = Stage::Asked {
                    until: now + TRANSFER_MS_MAX,
                    accepted: false,
                };
                Some(TransferStep::Go(self.target.clone()))
            }
            Stage::Asked { until, .. } if now >= until => Some(TransferStep::TimedOut),
            Stage::Draining { .. } | Stage::Asked { .. } => None,
        }
    }

    pub(crate) fn timeout(&self) -> u64 {
        match self.stage {
            Stage::Draining { until } | Stage::Asked { until, .. } => until,
        }
    }
}
