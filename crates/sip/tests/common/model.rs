//! What may happen in a world, told from outside: the life of every invite on both of its sides, by the events that the
//! shells see and the commands that they give. What goes over the wire is judged by `wire_rules`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sip::{EndCause, Event, InviteId, Trace};

use super::net::wait::subject;
use super::wire_rules::WireRules;
use super::{Net, Side};

/// In a calm world the other side of a call follows within this: 64*T1, the longest wait of a transaction, and some.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(40);

/// A promise that every world is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Invariant {
    /// No transaction and no question to the resolver is left.
    Transactions,
    /// No dialog and no invite is left.
    Dialogs,
    /// No call goes on on one side only.
    Calls,
    /// Every media port that a call took is given back, once.
    Ports,
    /// Nothing is told of an invite after its end.
    AfterEnd,
    /// Every invite ends exactly once.
    OneEnd,
    /// No table, index, deadline or connection grows or stays.
    Memory,
    /// CSeq numbers of a dialog rise, and one that is late is not obeyed.
    Sequence,
    /// A request has one final answer and nothing after it.
    OneAnswer,
    /// Repetitions are bounded.
    Storm,
    /// Events come in an order that the reference model knows.
    Life,
    /// The end reason is one that can be, where nothing is lost.
    Cause,
    /// A registered account is known to the registrar, without a gap.
    Binding,
}

#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    pub(crate) what: String,
}

/// What a shell did to an invite, with success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Did {
    HangUp,
    Reject(u16),
    Answer,
    AnswerOffer,
    RejectOffer,
    Reinvite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Calling,
    Ringing,
    /// 200 sent, no ACK yet.
    Answered,
    /// 200 with an offer came; the ACK waits for our answer.
    AckDue,
    Confirmed,
    Ended,
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts that a watcher remembers"
)]
struct Life {
    is_outgoing: bool,
    stage: Stage,
    /// The INVITE carried an offer.
    has_offer: bool,
    was_confirmed: bool,
    hung_up: bool,
    rejected: Option<u16>,
    /// They offered and were not answered.
    their_offer: bool,
    /// They asked for our offer and were not answered.
    wants_offer: bool,
    our_offer: bool,
    got_bye: bool,
    got_cancel: bool,
    got_ack: bool,
    /// A 2xx to the peer's INVITE went out. An answer that waits for a PRACK has not.
    sent_success: bool,
    port: u16,
    call_id: String,
    changed: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Nothing is lost, late or repeated, and nobody sleeps.
    pub(crate) is_calm: bool,
    lives: BTreeMap<(Side, InviteId), Life>,
    ports: BTreeSet<(Side, u16)>,
    last_port: u16,
    events_read: usize,
    wire: WireRules,
    pub(crate) violations: Vec<Violation>,
}

impl Model {
    pub(crate) fn new(is_calm: bool) -> Self {
        Self {
            is_calm,
            ..Self::default()
        }
    }

    fn violated(&mut self, invariant: Invariant, what: String) {
        self.violations.push(Violation { invariant, what });
    }

    /// An INVITE of a shell went out.
    pub(crate) fn calls(&mut self, net: &Net, key: (Side, InviteId), has_offer: bool) {
        self.begin(net.now, key, true, has_offer, String::new());
    }

    fn begin(
        &mut self,
        now: Instant,
        key: (Side, InviteId),
        is_outgoing: bool,
        has_offer: bool,
        call_id: String,
    ) {
        self.last_port += 1;
        let port = self.last_port;
        self.ports.insert((key.0, port));
        let life = Life {
            is_outgoing,
            stage: if is_outgoing {
                Stage::Calling
            } else {
                Stage::Ringing
            },
            has_offer,
            was_confirmed: false,
            hung_up: false,
            rejected: None,
            their_offer: false,
            wants_offer: false,
            our_offer: false,
            got_bye: false,
            got_cancel: false,
            got_ack: false,
            sent_success: false,
            port,
            call_id,
            changed: now,
        };
        if self.lives.insert(key, life).is_some() {
            self.violated(Invariant::Life, format!("{key:?} begins twice"));
        }
    }

    /// Notes a command that succeeded; its events are read by the next `catch_up`.
    pub(crate) fn did(&mut self, key: (Side, InviteId), did: Did) {
        let Some(life) = self.lives.get_mut(&key) else {
            return;
        };
        match did {
            Did::HangUp => life.hung_up = true,
            Did::Reject(status) => life.rejected = Some(status),
            Did::Answer => life.stage = Stage::Answered,
            Did::AnswerOffer if life.stage == Stage::AckDue => life.confirm(),
            Did::AnswerOffer => {
                life.our_offer |= std::mem::take(&mut life.wants_offer);
                life.their_offer = false;
            }
            Did::RejectOffer if life.stage == Stage::AckDue => life.hung_up = true,
            Did::RejectOffer => life.their_offer = false,
            Did::Reinvite => life.our_offer = true,
        }
    }

    /// Reads what was sent and told since the last time.
    pub(crate) fn catch_up(&mut self, net: &Net) {
        let found = self.wire.read(&net.wire, &net.wire_at);
        self.violations.extend(found);
        for (side, event) in &net.events[self.events_read..] {
            self.event(net.now, *side, event);
        }
        self.events_read = net.events.len();
    }

    /// The network forgets what was read.
    pub(crate) fn forget(&mut self) {
        self.events_read = 0;
        self.wire.forget();
    }

    fn event(&mut self, now: Instant, side: Side, event: &Event) {
        if let Event::IncomingInvite(incoming) = event {
            let key = (side, incoming.invite);
            let call_id = incoming.call_id.clone();
            return self.begin(now, key, false, incoming.offer.is_some(), call_id);
        }
        if let Event::Trace(trace) = event {
            if let Some(life) = trace.invite.and_then(|id| self.lives.get_mut(&(side, id))) {
                life.trace(trace);
            }
            return;
        }
        let Some(invite) = subject(event) else { return };
        let key = (side, invite);
        let Some(life) = self.lives.get_mut(&key) else {
            return self.violated(Invariant::Life, format!("{key:?} never began: {event:?}"));
        };
        if life.stage == Stage::Ended {
            let invariant = if matches!(event, Event::Ended { .. }) {
                Invariant::OneEnd
            } else {
                Invariant::AfterEnd
            };
            return self.violated(invariant, format!("{key:?} has ended: {event:?}"));
        }
        life.changed = now;
        if let Event::Ended { cause, .. } = event {
            return self.ended(key, cause);
        }
        if !life.takes(event) {
            let what = format!("{key:?} cannot be told {event:?}: {life:?}");
            self.violated(Invariant::Life, what);
        }
    }

    fn ended(&mut self, key: (Side, InviteId), cause: &EndCause) {
        let life = self.lives.get_mut(&key).unwrap();
        let can_be = life.can_end_by(cause);
        let is_of_storms = matches!(
            cause,
            EndCause::AckMissing
                | EndCause::SessionExpired
                | EndCause::TransportLost
                | EndCause::Unreachable
        );
        let text = format!("{key:?} ended by {cause:?}: {life:?}");
        life.stage = Stage::Ended;
        let port = (key.0, life.port);
        if !self.ports.remove(&port) {
            self.violated(Invariant::Ports, format!("{port:?} is given back twice"));
        }
        if !can_be || (self.is_calm && is_of_storms) {
            self.violated(Invariant::Cause, text);
        }
    }

    /// No call goes on on one side only. While it may still be on its way to the other side, nothing is said, unless the
    /// world has `settled`.
    pub(crate) fn check_pairs(&mut self, now: Instant, settled: bool) {
        let mut groups: BTreeMap<&str, Vec<&Life>> = BTreeMap::new();
        for life in self.lives.values().filter(|life| !life.call_id.is_empty()) {
            groups.entry(&life.call_id).or_default().push(life);
        }
        let mut found = Vec::new();
        for (call_id, lives) in groups {
            let last = lives.iter().map(|life| life.changed).max();
            if !settled && last.is_some_and(|last| now - last < FOLLOWS_WITHIN) {
                continue;
            }
            let caller = lives.iter().find(|life| life.is_outgoing);
            let talking = |life: &&&Life| matches!(life.stage, Stage::Answered | Stage::Confirmed);
            let callees = || lives.iter().filter(|life| !life.is_outgoing);
            let is_fine = match caller.map(|caller| caller.stage) {
                None => true,
                Some(Stage::Calling) => !settled,
                Some(Stage::Ended) => callees().all(|life| life.stage == Stage::Ended),
                Some(Stage::Confirmed) => callees().filter(talking).count() == 1,
                Some(_) => true,
            };
            if !is_fine {
                found.push(format!("{call_id}: {lives:#?}"));
            }
        }
        for what in found {
            self.violated(Invariant::Calls, what);
        }
    }

    /// Invites that have not ended.
    pub(crate) fn live(&self) -> Vec<(Side, InviteId)> {
        let live = self
            .lives
            .iter()
            .filter(|(_, life)| life.stage != Stage::Ended);
        live.map(|(key, _)| *key).collect()
    }

    /// Those of them that no other live one shares a call with, and one of each pair.
    pub(crate) fn one_of_each_call(&self) -> Vec<(Side, InviteId)> {
        let mut calls = BTreeSet::new();
        let live = self.live();
        live.into_iter()
            .filter(|key| calls.insert(&self.lives[key].call_id))
            .collect()
    }

    /// After everybody hung up.
    pub(crate) fn check_end(&mut self) {
        for key in self.live() {
            let life = format!("{key:?} {:?}", self.lives[&key]);
            self.violated(Invariant::OneEnd, format!("never ended: {life}"));
            self.violated(Invariant::Calls, format!("still there: {life}"));
        }
        if !self.ports.is_empty() {
            self.violated(
                Invariant::Ports,
                format!("not given back: {:?}", self.ports),
            );
        }
    }
}

impl Life {
    const fn confirm(&mut self) {
        self.stage = Stage::Confirmed;
        self.was_confirmed = true;
    }

    /// A message of this invite.
    fn trace(&mut self, trace: &Trace) {
        if !trace.sent {
            self.got_bye |= trace.message.starts_with(b"BYE ");
            self.got_ack |= trace.message.starts_with(b"ACK ");
            self.got_cancel |= trace.message.starts_with(b"CANCEL ");
        }
        if trace.sent && !trace.retransmission && trace.message.starts_with(b"SIP/2.0 ") {
            let text = String::from_utf8_lossy(&trace.message);
            let mut rows = text.lines().filter(|row| row.starts_with("CSeq: "));
            let method = rows.next().and_then(|row| row.rsplit(' ').next());
            let is_final = !text.starts_with("SIP/2.0 1");
            self.sent_success |= text.starts_with("SIP/2.0 2") && method == Some("INVITE");
            if is_final && matches!(method, Some("INVITE" | "UPDATE" | "PRACK")) {
                // Answered, refused, or not answered in time by the shell.
                self.their_offer = false;
                self.wants_offer = false;
            }
        }
        if self.call_id.is_empty() {
            let text = String::from_utf8_lossy(&trace.message);
            let row = text.lines().find_map(|row| row.strip_prefix("Call-ID: "));
            row.unwrap_or_default().clone_into(&mut self.call_id);
        }
    }

    /// Whether the event can come now; moves on by it.
    fn takes(&mut self, event: &Event) -> bool {
        let is_up = matches!(
            self.stage,
            Stage::Answered | Stage::Confirmed | Stage::AckDue
        );
        match event {
            Event::Progress { status, .. } => {
                self.is_outgoing && self.stage == Stage::Calling && (101..200).contains(status)
            }
            Event::Accepted { sdp, .. } => {
                let fits = self.is_outgoing && self.stage == Stage::Calling;
                if self.has_offer {
                    self.confirm();
                } else {
                    self.stage = Stage::AckDue;
                }
                fits && (sdp.is_some() || self.has_offer)
            }
            Event::Established { answer, .. } => {
                let fits = !self.is_outgoing && self.stage == Stage::Answered && self.got_ack;
                self.confirm();
                fits && answer.is_some() != self.has_offer
            }
            Event::Offer { .. } => {
                let was_open = std::mem::replace(&mut self.their_offer, true);
                !was_open && (self.stage == Stage::Confirmed || self.stage == Stage::Ringing)
            }
            Event::OfferRequested { .. } => {
                self.wants_offer = true;
                self.stage == Stage::Confirmed
            }
            Event::Answer { .. } | Event::OfferFailed { .. } => {
                std::mem::replace(&mut self.our_offer, false) && self.stage == Stage::Confirmed
            }
            Event::Refreshed { .. } => is_up,
            Event::Info { .. } => is_up || self.stage == Stage::Ringing,
            Event::ReferAnswered { .. }
            | Event::ReferNotified { .. }
            | Event::Refer { .. }
            | Event::IncomingInvite(_)
            | Event::Ended { .. }
            | Event::Registration { .. }
            | Event::Bindings { .. }
            | Event::RegisterRefused { .. }
            | Event::Trace(_)
            | Event::Dropped { .. } => false,
        }
    }

    fn can_end_by(&self, cause: &EndCause) -> bool {
        let is_calling = self.stage == Stage::Calling;
        // Our answer may have been given and wait for a PRACK.
        let is_ringing =
            self.stage == Stage::Ringing || (self.stage == Stage::Answered && !self.sent_success);
        let is_talking = matches!(self.stage, Stage::Answered | Stage::Confirmed);
        match cause {
            EndCause::RemoteBye { .. } => !is_calling && self.got_bye,
            EndCause::RemoteCancel => is_ringing && self.got_cancel,
            EndCause::LocalHangUp => self.hung_up || self.stage == Stage::AckDue,
            EndCause::Rejected { status } => is_ringing && self.rejected == Some(*status),
            EndCause::Refused { status, .. } => is_calling && *status >= 300,
            // The PRACK of a reliable provisional answer counts as well.
            EndCause::AckMissing => is_ringing || is_talking,
            EndCause::SessionExpired | EndCause::DialogLost => is_talking,
            EndCause::MissingAnswer => is_calling || is_talking,
            EndCause::Timeout | EndCause::TransportLost => is_calling || is_ringing || is_talking,
            EndCause::Unreachable => is_calling,
            EndCause::Overload => false,
        }
    }
}
