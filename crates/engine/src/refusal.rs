//! Calls that are refused before they begin: each is a record that can be explained, as far as the limits go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::{CallBrain, CallFacts};
use call::{CallId, EndReason};
use catalog::Message;
use jiff::Timestamp;
use sip::{IncomingInvite, InviteId, Trace};
use store::{CallAssignment, CallEnd, Direction, Event, NewCall, TenantScope};

use crate::call_task::closing::assignment;
use crate::call_task::desk::phone;
use crate::call_task::placed::unserved;
use crate::calls::Calls;
use crate::dispatch::{Limit, LimitKind, Line};
use crate::journal::{CallJournal, Service};
use crate::limits::{
    REFUSALS_OF_LINES_STORED_PER_MINUTE_MAX, REFUSALS_OPEN_MAX, REFUSALS_STORED_PER_MINUTE_MAX,
};
use crate::log::say;
use crate::metrics::{CallLabels, Metrics};

/// How long the ACK of a refusal is awaited for its record.
const ACK_WITHIN: Duration = Duration::from_secs(1);

/// Why a call is refused that shows a certificate which anybody could show.
pub(crate) const STRANGER_AT_A_LINE: &str = "certificate_of_stranger";

struct Refused {
    journal: CallJournal,
    reason: EndReason,
    service: Option<Service>,
}

/// What the agent of the line is told of a caller for whom it had no place left.
fn of_agent(line: &Line, call: &NewCall, reason: EndReason) -> Option<(CallAssignment, Service)> {
    let office = line.agent.config.office.as_ref()?;
    let facts = CallFacts {
        call_id: call.id.as_str().to_owned(),
        caller_phone: phone(&call.from),
        called_number: phone(&call.to),
        direction: agent::Direction::Inbound,
        started_at: call.started_at,
        caller_verified: false,
        carrier: "sip".to_owned(),
        carrier_call_id: None,
        caller_name: None,
        caller_attestation: None,
    };
    let brain = CallBrain::new(Arc::clone(&office.agent), facts);
    let service = unserved(&brain, call.id.as_str(), reason);
    Some((assignment(office, ("sip", None)), service))
}

/// The refused calls whose last messages are still awaited.
pub(crate) struct Refusals {
    calls: Arc<Calls>,
    open: BTreeMap<InviteId, Refused>,
    /// INVITEs that are over, with the time until which their ACK is awaited; the oldest first.
    closing: VecDeque<(Instant, InviteId)>,
    minute: Instant,
    stored: u32,
}

impl Refusals {
    pub(crate) fn new(calls: Arc<Calls>) -> Self {
        Self {
            calls,
            open: BTreeMap::new(),
            closing: VecDeque::new(),
            minute: Instant::now(),
            stored: 0,
        }
    }

    /// Refused calls whose end is awaited.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Begins the record of a refusal; beyond the limits it is counted only.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        invite: &IncomingInvite,
        line: Option<&Line>,
        reason: EndReason,
        (code, limit, more): (&'static str, Option<&Limit>, Option<Message>),
    ) {
        self.count(line, reason, limit);
        // Whoever claims to be of a line takes no more room than any other stranger.
        let is_known = line.is_some() && code != STRANGER_AT_A_LINE;
        if !self.is_stored(now, is_known) {
            return;
        }
        let from = if invite.from.user.is_empty() {
            &invite.from.uri
        } else {
            &invite.from.user
        };
        let to = if invite.to.user.is_empty() {
            &invite.to.uri
        } else {
            &invite.to.user
        };
        let id = CallId::from(uuid::Uuid::now_v7().to_string());
        let message = Message::new("log_call_refused")
            .with("call", id.as_str())
            .with("from", from.as_str())
            .with("source", invite.source.to_string())
            .with("cause", code)
            .with("reason", reason.code());
        say(&message);
        let scope = line.map_or_else(TenantScope::default, |line| {
            TenantScope::new(line.config.tenant.clone())
        });
        let new = NewCall {
            id,
            direction: Direction::Inbound,
            from: from.clone(),
            to: to.clone(),
            line: line
                .map(|line| line.config.name.clone())
                .unwrap_or_default(),
            agent: line
                .map(|line| line.config.agent.clone())
                .unwrap_or_default(),
            sip_call_id: Some(invite.call_id.clone()),
            started_at: Timestamp::now(),
        };
        let service = line
            .filter(|_| limit.is_some_and(|limit| limit.kind == LimitKind::LineCalls))
            .and_then(|line| of_agent(line, &new, reason));
        let journal = self.calls.journal.begin(now, scope, new);
        let service = service.map(|(assigned, service)| {
            journal.assign(assigned);
            service
        });
        let note = match limit {
            Some(limit) => limit.note(),
            None => Message::new("call_refused_because").with("cause", code),
        };
        for note in [Some(note), more].into_iter().flatten() {
            journal.note(now, note.with("source", invite.source.to_string()));
        }
        let refused = Refused {
            journal,
            reason,
            service,
        };
        self.open.insert(invite.invite, refused);
    }

    fn count(&self, line: Option<&Line>, reason: EndReason, limit: Option<&Limit>) {
        let metrics = &self.calls.metrics;
        if let Some(line) = line {
            metrics
                .lines
                .ended(&line.config.name, "inbound", reason.code());
        }
        if let Some(limit) = limit {
            Metrics::count(&metrics.calls_limited, limit.kind.label(), 1);
        }
        metrics
            .calls_ended
            .get_or_create(&CallLabels {
                direction: "inbound",
                reason: reason.code(),
            })
            .inc();
    }

    /// Whether one more refusal has a record.
    fn is_stored(&mut self, now: Instant, of_a_line: bool) -> bool {
        if now.duration_since(self.minute) >= Duration::from_secs(60) {
            self.minute = now;
            self.stored = 0;
        }
        let stored_max = if of_a_line {
            REFUSALS_OF_LINES_STORED_PER_MINUTE_MAX
        } else {
            REFUSALS_STORED_PER_MINUTE_MAX
        };
        let stored = self.open.len() < REFUSALS_OPEN_MAX && self.stored < stored_max;
        if stored {
            self.stored += 1;
        }
        stored
    }

    /// Adds a message to the record of a refusal; false when there is none. The ACK is the last one.
    pub(crate) fn trace(&mut self, now: Instant, invite: InviteId, trace: &Trace) -> bool {
        let Some(refused) = self.open.get(&invite) else {
            return false;
        };
        refused.journal.event(now, crate::trace::event(trace));
        if trace.message.starts_with(b"ACK ")
            && let Some(refused) = self.open.remove(&invite)
        {
            refused.finish();
        }
        true
    }

    /// The refused INVITE is over; its ACK is awaited for a moment.
    pub(crate) fn ended(&mut self, now: Instant, invite: InviteId) {
        if self.open.contains_key(&invite) {
            self.closing.push_back((now + ACK_WITHIN, invite));
        }
    }

    /// When [`Refusals::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.closing.front().map(|(due, _)| *due)
    }

    /// Finishes the records whose ACK did not come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, invite)) = self.closing.pop_front_if(|(due, _)| *due <= now) {
            if let Some(refused) = self.open.remove(&invite) {
                refused.finish();
            }
        }
    }

    /// Finishes all records.
    pub(crate) fn close(&mut self) {
        for refused in std::mem::take(&mut self.open).into_values() {
            refused.finish();
        }
    }
}

impl Refused {
    fn finish(self) {
        let row = self.reason.row();
        let ended = Event::Ended {
            reason: row.code.to_owned(),
            ended_by: row.ended_by.label().to_owned(),
        };
        self.journal.event(Instant::now(), ended);
        let end = CallEnd {
            ended_at: Timestamp::now(),
            answered_at: None,
            reason: self.reason,
            ended_by: row.ended_by,
            verdict: Message::new(catalog::end_code(row.code)),
            statistics: None,
            recording_path: None,
        };
        self.journal.finish_later(end, self.service);
    }
}
