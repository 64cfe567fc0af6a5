//! A call that we placed, until it is answered: the wait for a carrier's stream, and what whoever follows the call is told.

use std::time::Instant;

use agent::{CallBrain, EndFacts, EndKind, PlacedEvent, WebhookBody};
use call::{EndReason, Severity};
use catalog::Message;
use jiff::Timestamp;
use store::NewDelivery;

use super::CallTask;
use super::closing::{kind, service};
use super::preparation::{Preparation, ends, over};
use crate::calls::placing::Awaited;
use crate::journal::{CallJournal, Service};
use crate::leg::audio::LegAudio;
use crate::leg::carrier::CarrierMedia;
use crate::sip_driver::LegEvent;

/// Why there is no stream.
pub(super) enum NoStream {
    /// We end the call.
    Refused(EndReason),
    /// The leg is over.
    Left(EndReason),
}

impl Preparation {
    /// Waits until the other side answered and the carrier brings its audio.
    pub(super) async fn await_stream(
        &mut self,
        awaited: Awaited,
        mut brain: Option<&mut CallBrain>,
    ) -> Result<LegAudio, NoStream> {
        let Awaited { mut arrival, until } = awaited;
        let give_up = tokio::time::sleep_until(until.into());
        tokio::pin!(give_up);
        for event in std::mem::take(&mut self.backlog) {
            self.rings_there(&event, brain.as_deref_mut());
        }
        loop {
            let desk = &mut self.desk;
            tokio::select! {
                biased;
                event = desk.leg.next() => {
                    let Some(event) = event else {
                        return Err(NoStream::Left(EndReason::LegFailed));
                    };
                    if let Some(reason) = over(&event) {
                        desk.leg.set_ended();
                        return Err(NoStream::Left(reason));
                    }
                    self.rings_there(&event, brain.as_deref_mut());
                }
                Some(command) = desk.commands.recv() => {
                    if let Some(reason) = ends(&command) {
                        return Err(NoStream::Refused(reason));
                    }
                }
                socket = &mut arrival => {
                    let Ok(socket) = socket else {
                        return Err(NoStream::Left(EndReason::LegFailed));
                    };
                    let (carrier, call) = desk.leg.carrier();
                    let note = Message::new("carrier_stream").with("carrier", carrier);
                    let note = note.with("call", call.unwrap_or_default());
                    desk.journal.note(Instant::now(), note);
                    let media = CarrierMedia::new(Instant::now(), *socket, false);
                    return Ok(LegAudio::Carrier(Box::new(media)));
                }
                () = &mut give_up => return Err(NoStream::Refused(EndReason::NoAnswer)),
            }
        }
    }

    fn rings_there(&mut self, event: &LegEvent, brain: Option<&mut CallBrain>) {
        if matches!(event, LegEvent::Progress { status } if *status > 100)
            && self.desk.timings.ring_ms.is_none()
        {
            self.desk.rings(Instant::now());
            if let Some(brain) = brain {
                tell(&self.desk.journal, brain, PlacedEvent::Ringing, "ringing");
            }
        }
    }
}

impl CallTask {
    /// Tells whoever follows the call.
    pub(super) fn tell_placed(&mut self, event: PlacedEvent, status: &str) {
        if let Some(office) = &mut self.office {
            tell(&self.desk.journal, &mut office.brain, event, status);
        }
    }
}

/// Writes down what whoever follows the call has to be told.
pub(super) fn tell(journal: &CallJournal, brain: &mut CallBrain, event: PlacedEvent, status: &str) {
    if let Some(body) = brain.placed_status(event, status, Timestamp::now()) {
        let delivery = delivery(brain, journal.id().as_str(), body);
        journal.deliver(delivery);
        // After the death of the process the address is known from here.
        journal.brain(brain.snapshot().to_string());
    }
}

pub(super) fn delivery(brain: &CallBrain, call: &str, body: WebhookBody) -> NewDelivery {
    NewDelivery {
        id: store::new_id(),
        agent_id: Some(brain.agent().definition().agent_id.clone()),
        call_id: Some(call.to_owned()),
        kind: body.kind.to_owned(),
        url: body.url,
        body: body.body,
    }
}

/// What is written of a call that ended before its conversation. A caller who leaves has nobody to tell; who placed a call has.
pub(super) fn unanswered(brain: &CallBrain, call: &str, reason: EndReason) -> Option<Service> {
    brain
        .is_placed()
        .then(|| service(brain, call, &before(reason, EndKind::Abandoned), reason))
}

/// What is written of a call that we refused: the agent's owner is told of it as of every other end.
pub(crate) fn unserved(brain: &CallBrain, call: &str, reason: EndReason) -> Service {
    let kind = if brain.is_placed() {
        EndKind::Abandoned
    } else {
        kind(reason, false, false)
    };
    service(brain, call, &before(reason, kind), reason)
}

/// The end of a call that nobody answered.
fn before(reason: EndReason, kind: EndKind) -> EndFacts {
    EndFacts {
        ended_at: Timestamp::now(),
        duration_ms: 0,
        kind,
        transcript: Vec::new(),
        model: None,
        error: (reason.row().severity >= Severity::Warning).then(|| reason.code().to_owned()),
        second_legs: Vec::new(),
    }
}

/// The last status of a call that we placed, in the words of contracts.md 4.
pub(crate) fn last_status(reason: EndReason, answered: bool) -> &'static str {
    let taken_back = [
        EndReason::OperatorHungUp,
        EndReason::Draining,
        EndReason::CallerCancelled,
    ];
    if reason == EndReason::Busy {
        "busy"
    } else if reason == EndReason::NoAnswer {
        "no-answer"
    } else if answered && reason.row().severity < Severity::Error {
        "completed"
    } else if !answered && taken_back.contains(&reason) {
        "cancelled"
    } else {
        "failed"
    }
}
