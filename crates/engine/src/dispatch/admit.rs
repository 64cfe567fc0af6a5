//! Whether there is room for one more call: new ones a second and calls at the same time, of its line, its tenant and the process.
//!
//! The smaller owner is asked before the larger one: the flood of one line, or calls to one that is full, take nothing from the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use call::{EndReason, TenantId};
use catalog::Message;

use super::{Admitted, Decision, Dispatcher, Gate, Line};
use crate::admission::Bucket;
use crate::limits::RATE_RETRY_AFTER_S;
use crate::load::Strain;

/// The limits that refuse a call, each with the name that its counter, the log and the record have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitKind {
    LineRate,
    TenantRate,
    ProcessRate,
    LineCalls,
    TenantCalls,
    AgentCalls,
    ProcessCalls,
    /// Calls are late, of those that there are.
    ProcessLate,
    /// The processor is used up.
    ProcessCpu,
}

impl LimitKind {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::LineRate => "line_rate",
            Self::TenantRate => "tenant_rate",
            Self::ProcessRate => "process_rate",
            Self::LineCalls => "line_calls",
            Self::TenantCalls => "tenant_calls",
            Self::AgentCalls => "agent_calls",
            Self::ProcessCalls => "process_calls",
            Self::ProcessLate => "process_late",
            Self::ProcessCpu => "process_cpu",
        }
    }
}

/// The limit that a call ran into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) kind: LimitKind,
    /// Calls, new calls a second, milliseconds or percent.
    pub(crate) max: u32,
    /// Whose it is, as people call it; `None` where the kind says it.
    pub(crate) of: Option<String>,
}

impl Limit {
    /// What the record of the call says of it.
    pub(crate) fn note(&self) -> Message {
        let message = Message::new("call_limited")
            .with("limit", self.kind.label())
            .with("max", self.max);
        match &self.of {
            Some(name) => message.with("name", name.as_str()),
            None => message,
        }
    }
}

/// What lines and tenants with a rate have spent of it. A line or tenant that is gone, or has another rate, is forgotten at the next reload:
/// there are never more than the directory has of them.
#[derive(Default)]
pub(super) struct Rates {
    lines: BTreeMap<String, Rated>,
    tenants: BTreeMap<TenantId, Rated>,
}

struct Rated {
    bucket: Bucket,
    max: u32,
}

impl Rates {
    /// A token of each rate that a line has; or none at all, and the rate that has none left.
    fn take(&mut self, now: Instant, line: &Line) -> Result<(), Limit> {
        let rates = line.config.rates;
        let (line_max, tenant_max) = (rates.line_per_s_max, rates.tenant_per_s_max);
        let own = rated(&mut self.lines, &line.config.name, line_max, now);
        let common = rated(&mut self.tenants, &line.config.tenant, tenant_max, now);
        if own.as_ref().is_some_and(|rated| !rated.bucket.has(now)) {
            return Err(Limit {
                kind: LimitKind::LineRate,
                max: line_max,
                of: Some(shown(line)),
            });
        }
        if common.as_ref().is_some_and(|rated| !rated.bucket.has(now)) {
            return Err(Limit {
                kind: LimitKind::TenantRate,
                max: tenant_max,
                of: None,
            });
        }
        for rated in own.into_iter().chain(common) {
            rated.bucket.take(now);
        }
        Ok(())
    }

    /// Forgets the rates that no line and no tenant has.
    pub(super) fn keep(&mut self, lines: &[Arc<Line>]) {
        let (mut names, mut tenants) = (BTreeMap::new(), BTreeMap::new());
        for line in lines {
            let rates = line.config.rates;
            names.insert(line.config.name.as_str(), rates.line_per_s_max);
            // A line of the settings may belong to a tenant, and knows nothing of its rate.
            let max: &mut u32 = tenants.entry(&line.config.tenant).or_default();
            *max = rates.tenant_per_s_max.max(*max);
        }
        self.lines
            .retain(|name, rated| names.get(name.as_str()) == Some(&rated.max));
        self.tenants
            .retain(|tenant, rated| tenants.get(tenant) == Some(&rated.max));
    }
}

/// The bucket of an owner, made when it is first asked for; `None` where there is no limit.
fn rated<'a, K: Ord + Clone>(
    known: &'a mut BTreeMap<K, Rated>,
    owner: &K,
    max: u32,
    now: Instant,
) -> Option<&'a mut Rated> {
    if max == 0 {
        return None;
    }
    let fresh = || Rated {
        bucket: Bucket::new(now, max),
        max,
    };
    let rated = known.entry(owner.clone()).or_insert_with(fresh);
    if rated.max != max {
        *rated = fresh();
    }
    Some(rated)
}

/// The name of a line for people.
fn shown(line: &Line) -> String {
    let config = &line.config;
    let label = config.sip_account.as_ref().map(|own| own.label.as_str());
    let device = || Some(config.device.as_ref()?.sip.username.as_str());
    let name = label.filter(|label| !label.is_empty()).or_else(device);
    name.unwrap_or(&config.name).to_owned()
}

impl Dispatcher {
    /// A place for a call that came in, or why there is none.
    pub(super) fn admit(&mut self, now: Instant, line: &Arc<Line>) -> Decision {
        if self.gate(&line.agent.config.name) == Gate::Closed && !self.draining.is_set() {
            let reason = EndReason::AgentStopped;
            return self.refuse(Some(line), reason, reason.code());
        }
        self.admit_person(now, line)
    }

    /// The same for a call that no agent takes.
    pub(super) fn admit_person(&mut self, now: Instant, line: &Arc<Line>) -> Decision {
        if self.draining.is_set() {
            return Decision::Refuse {
                line: Some(Arc::clone(line)),
                reason: EndReason::Draining,
                status: EndReason::Draining.row().sip_status,
                retry_after_s: Some(self.retry_after_s),
                code: "draining",
                limit: None,
                note: None,
            };
        }
        match self.room(now, line) {
            Ok(admitted) => Decision::Accept {
                line: Arc::clone(line),
                admitted,
            },
            Err(limit) => self.limited(line, limit),
        }
    }

    fn room(&mut self, now: Instant, line: &Line) -> Result<Admitted, Limit> {
        // Belongs to nobody, and takes nothing from anybody's rate.
        self.has_time()?;
        self.rates.take(now, line)?;
        let limit = |kind, max, of| Limit { kind, max, of };
        let place = line
            .places
            .take()
            .ok_or_else(|| limit(LimitKind::LineCalls, line.places.max(), Some(shown(line))))?;
        if !self.invites.take(now) {
            return Err(limit(LimitKind::ProcessRate, self.invites.max(), None));
        }
        let process = self
            .process
            .take()
            .ok_or_else(|| limit(LimitKind::ProcessCalls, self.process.max(), None))?;
        Ok(Admitted {
            note: None,
            _process: process,
            _line: place,
        })
    }

    /// Whether the process has time for one more call. A few calls are always taken: to refuse them would help nobody.
    pub(super) fn has_time(&self) -> Result<(), Limit> {
        let many = self.process.taken() >= self.shedding.from_calls;
        let Some(strain) = self.load.strain().filter(|_| many) else {
            return Ok(());
        };
        self.load.refused();
        Err(Limit {
            kind: match strain {
                Strain::Late => LimitKind::ProcessLate,
                Strain::Cpu => LimitKind::ProcessCpu,
            },
            max: strain.max(self.shedding),
            of: None,
        })
    }

    fn limited(&self, line: &Arc<Line>, limit: Limit) -> Decision {
        let (reason, retry_after_s) = match limit.kind {
            LimitKind::LineRate | LimitKind::TenantRate => {
                (EndReason::RateLimited, RATE_RETRY_AFTER_S)
            }
            LimitKind::ProcessRate
            | LimitKind::ProcessCalls
            | LimitKind::ProcessLate
            | LimitKind::ProcessCpu => (EndReason::Overload, self.retry_after_s),
            LimitKind::LineCalls | LimitKind::TenantCalls | LimitKind::AgentCalls => {
                (EndReason::Concurrency, self.retry_after_s)
            }
        };
        Decision::Refuse {
            line: Some(Arc::clone(line)),
            reason,
            status: reason.row().sip_status,
            retry_after_s: Some(retry_after_s),
            code: limit.kind.label(),
            limit: Some(limit),
            note: None,
        }
    }
}
