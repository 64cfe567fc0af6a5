//! What the user agent tells the driver: new INVITEs to the dispatcher, everything else to the call it belongs to.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use call::TransferEnd;
use catalog::Message;
use sip::{
    AccountId, EndCause, Event, IncomingInvite, InviteId, RegistrationState, Rejection, Trace,
};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::{LegEvent, SipDriver, lock};
use crate::dispatch::Decision;
use crate::engine::RegistrationChange;
use crate::leg::unreached;
use crate::limits::{EARLY_TRACES_MAX, LEG_EVENTS_MAX};
use crate::log::say;
use crate::metrics::Metrics;
use crate::refusal::Refusals;
use crate::registrations;

/// Whom the events of an INVITE go to.
pub(super) struct Routes {
    pub(super) legs: BTreeMap<InviteId, mpsc::Sender<LegEvent>>,
    pub(super) refusals: Refusals,
    pub(super) early: VecDeque<(InviteId, Box<Trace>)>,
}

impl SipDriver {
    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::IncomingInvite(invite) => self.incoming(&invite),
            Event::Progress { invite, status, .. } => {
                self.tell(invite, LegEvent::Progress { status })
            }
            Event::Accepted { invite, sdp } => self.tell(invite, LegEvent::Accepted { sdp }),
            Event::Established { invite, answer } => {
                self.tell(invite, LegEvent::Established { answer })
            }
            Event::Offer { invite, sdp } => self.tell(invite, LegEvent::Offer { sdp }),
            Event::OfferRequested { invite } => self.tell(invite, LegEvent::OfferRequested),
            Event::Answer { invite, sdp } => self.tell(invite, LegEvent::Answer { sdp }),
            Event::OfferFailed { invite, status } => {
                self.tell(invite, LegEvent::OfferFailed { status })
            }
            Event::Info {
                invite,
                content_type,
                body,
            } => self.tell(invite, LegEvent::Info { content_type, body }),
            Event::ReferAnswered { invite, status } => {
                let event = if (200..300).contains(&status) {
                    LegEvent::TransferAccepted
                } else {
                    let reason = unreached(status).to_owned();
                    let end = TransferEnd::Declined { reason };
                    LegEvent::TransferFinished { end }
                };
                self.tell(invite, event);
            }
            Event::ReferNotified {
                invite,
                status,
                last,
            } => {
                if last {
                    self.tell(invite, transfer_finished(status));
                }
            }
            Event::Refreshed { .. } | Event::Refer { .. } => {}
            Event::Ended { invite, cause } => self.ended(invite, cause),
            Event::Registration { account, state } => self.registration(account, &state),
            Event::Bindings { device, bindings } => self.bindings(device, bindings),
            Event::RegisterRefused {
                source,
                user,
                refusal,
            } => self.register_refused(source, &user, refusal),
            Event::Trace(trace) => self.trace(trace),
            Event::Dropped { reason, .. } => {
                Metrics::count(&self.calls.metrics.sip_dropped, drop_label(reason), 1)
            }
        }
    }

    /// A call that does not take its events in time is ended, the others do not wait for it. One whose task is gone has
    /// left its dialog behind: it is ended too.
    pub(super) fn tell(&mut self, invite: InviteId, event: LegEvent) {
        let Some(leg) = self.routes.legs.get(&invite) else {
            return;
        };
        let last = matches!(event, LegEvent::Ended { .. } | LegEvent::Trace(_));
        match leg.try_send(event) {
            Ok(()) => return,
            Err(TrySendError::Closed(_)) if last => return,
            Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                say(&Message::new("log_call_overloaded").with("invite", invite.0));
            }
        }
        self.routes.legs.remove(&invite);
        // An INVITE that is over already needs no end.
        let _ = self.user_agent.hang_up(Instant::now(), invite, None);
    }

    fn ended(&mut self, invite: InviteId, cause: EndCause) {
        self.routes.refusals.ended(Instant::now(), invite);
        self.tell(invite, LegEvent::Ended { cause });
        // The way to this call stays until its task has gone: the last messages of the dialog belong to its record.
        self.routes.legs.retain(|_, leg| !leg.is_closed());
        self.routes.early.retain(|(early, _)| *early != invite);
    }

    fn trace(&mut self, trace: Box<Trace>) {
        if let Some(hep) = &self.hep
            && !hep.tell(&trace)
        {
            self.calls.metrics.hep_lost.inc();
        }
        let Some(invite) = trace.invite else { return };
        if self.routes.legs.contains_key(&invite) {
            self.tell(invite, LegEvent::Trace(trace));
        } else if !self.routes.refusals.trace(Instant::now(), invite, &trace) {
            if self.routes.early.len() >= EARLY_TRACES_MAX {
                self.routes.early.pop_front();
            }
            self.routes.early.push_back((invite, trace));
        }
    }

    fn registration(&mut self, account: AccountId, state: &RegistrationState) {
        let line = self.lines.iter().find(|line| line.account == Some(account));
        let name = line.map_or("", |line| line.config.name.as_str());
        Metrics::count(
            &self.calls.metrics.registrations,
            registrations::label(state),
            1,
        );
        self.calls
            .metrics
            .lines
            .registration(name, registrations::label(state));
        self.calls.registered.notify_waiters();
        let known = line.and_then(|line| line.config.account.as_ref());
        let message = registrations::log_message(state, name, known);
        say(&message);
        if let Some(line) = line {
            let is_healthy = !matches!(state, RegistrationState::Failed { .. });
            lock(&self.dispatcher).note_health(name, is_healthy);
            // Nobody watching is no failure.
            let _ = self.calls.registrations.send(RegistrationChange {
                line: name.to_owned(),
                tenant: line.config.tenant.clone(),
                state: state.clone(),
                message,
            });
        }
    }

    fn incoming(&mut self, invite: &IncomingInvite) {
        let now = Instant::now();
        if let Some(named) = invite.replaces {
            return self.replacing(now, invite, named);
        }
        let shown = self.shown(invite);
        let decision = lock(&self.dispatcher).decide(now, invite, shown.as_deref());
        self.decided(now, invite, decision);
    }

    pub(super) fn decided(&mut self, now: Instant, invite: &IncomingInvite, decision: Decision) {
        let id = invite.invite;
        match decision {
            Decision::Accept { line, admitted } => {
                let (events, queue) = mpsc::channel(LEG_EVENTS_MAX);
                self.routes.legs.insert(id, events);
                self.calls
                    .begin_incoming(now, invite, &line, admitted, queue);
                self.replay_early(id);
            }
            Decision::Come {
                line,
                admitted,
                dialled,
            } => self.coming(now, invite, (line, admitted), &dialled),
            Decision::Refuse {
                line,
                reason,
                status,
                retry_after_s,
                code,
                limit,
                note,
            } => {
                let cause = (code, limit.as_ref(), note);
                self.routes
                    .refusals
                    .begin(now, invite, line.as_deref(), reason, cause);
                self.replay_early(id);
                let rejection = Rejection {
                    status,
                    reason: Some(crate::leg::reason_header(reason)),
                    retry_after_s,
                };
                if self.user_agent.reject(now, id, rejection).is_err() {
                    self.user_agent.drop_invite(now, id);
                }
            }
            Decision::Challenge { realm } => {
                self.routes.early.retain(|(early, _)| *early != id);
                self.challenge(now, id, &realm);
            }
            Decision::Drop => {
                self.routes.early.retain(|(early, _)| *early != id);
                self.user_agent.drop_invite(now, id);
            }
        }
    }

    pub(super) fn replay_early(&mut self, invite: InviteId) {
        let (mine, others) = std::mem::take(&mut self.routes.early)
            .into_iter()
            .partition(|(early, _)| *early == invite);
        self.routes.early = others;
        let mine: VecDeque<(InviteId, Box<Trace>)> = mine;
        for (_, trace) in mine {
            self.trace(trace);
        }
    }
}

/// A subscription that ends with a provisional status says no more than that the peer took the transfer on (RFC 4488).
fn transfer_finished(status: u16) -> LegEvent {
    let end = if status < 300 {
        TransferEnd::Done
    } else {
        TransferEnd::Failed {
            reason: unreached(status).to_owned(),
        }
    };
    LegEvent::TransferFinished { end }
}

fn drop_label(reason: sip::DropReason) -> &'static str {
    match reason {
        sip::DropReason::Malformed => "malformed",
        sip::DropReason::BadRequest => "bad_request",
        sip::DropReason::StrayResponse => "stray_response",
        sip::DropReason::StrayRequest => "stray_request",
        sip::DropReason::Overload => "overload",
        sip::DropReason::Framing => "framing",
        sip::DropReason::Silenced => "silenced",
        sip::DropReason::Unsendable => "unsendable",
    }
}
