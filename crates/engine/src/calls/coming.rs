//! A telephone of the house that dials a parking place: it is answered, and comes into the call of whoever waits there. It is no call
//! of its own; what is said on its leg is in the journal of the call that it comes into.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use call::{CallId, EndReason, Seat};
use sip::IncomingInvite;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{CallCommand, Calls};
use crate::dispatch::{Admitted, Line};
use crate::leg::audio::LegAudio;
use crate::leg::media::{LegIdentity, MediaLeg};
use crate::leg::negotiation::{self, Towards};
use crate::leg::{Leg, SipLeg};
use crate::limits::{PERSON_ANSWER_WITHIN, RETRIEVAL_MESSAGES_MAX, RETRIEVED_WITHIN};
use crate::person::{Arrival, Person, PersonCommand, PersonError, Reply};
use crate::random;
use crate::sip_driver::LegEvent;

/// A telephone on its way to a parked caller.
struct Retrieval {
    calls: Arc<Calls>,
    line: Arc<Line>,
    admitted: Admitted,
    call: CallId,
    person: Person,
    offer: Option<Vec<u8>>,
    /// Where it came from, and by what.
    source: (SocketAddr, sip::Protocol),
    told: Vec<LegEvent>,
}

/// Why a person does not come, for their telephone.
fn refusal(error: PersonError) -> EndReason {
    match error {
        PersonError::Somebody => EndReason::Busy,
        PersonError::TooMany => EndReason::Concurrency,
        PersonError::Unknown
        | PersonError::NotNow
        | PersonError::Nobody
        | PersonError::NotParked
        | PersonError::ParkingFull
        | PersonError::Premium
        | PersonError::BadAddress => EndReason::NotParked,
    }
}

impl Calls {
    /// Asks a call something about a person.
    pub(crate) async fn of_person(
        &self,
        call: &CallId,
        command: impl FnOnce(Reply) -> PersonCommand,
    ) -> Result<(), PersonError> {
        let (reply, answered) = oneshot::channel();
        self.answer_of_person(call, command(reply), answered).await
    }

    /// The same, for an answer of another kind.
    pub(crate) async fn answer_of_person<T>(
        &self,
        call: &CallId,
        command: PersonCommand,
        answered: oneshot::Receiver<Result<T, PersonError>>,
    ) -> Result<T, PersonError> {
        if !self.tell(call, CallCommand::Person(command)) {
            return Err(PersonError::Unknown);
        }
        let answered = timeout(PERSON_ANSWER_WITHIN, answered).await;
        answered
            .unwrap_or(Ok(Err(PersonError::NotNow)))
            .unwrap_or(Err(PersonError::NotNow))
    }

    /// Lets a telephone take the caller of this call out of their place.
    pub(crate) fn begin_retrieval(
        self: &Arc<Self>,
        invite: &IncomingInvite,
        (line, admitted): (Arc<Line>, Admitted),
        call: CallId,
        events: mpsc::Receiver<LegEvent>,
    ) {
        let leg = SipLeg::new(invite.invite, self.driver.clone(), events);
        let device = line.config.device.as_ref();
        let name = device.map_or(&line.config.name, |device| &device.sip.username);
        let shown = invite.from.display.as_deref();
        let shown = shown.map(str::trim).filter(|shown| !shown.is_empty());
        let retrieval = Retrieval {
            calls: Arc::clone(self),
            person: Person {
                name: shown.unwrap_or(name).to_owned(),
                seat: Seat::Instead,
                from_parking: true,
            },
            line,
            admitted,
            call,
            offer: invite.offer.clone(),
            source: (invite.source, invite.protocol),
            told: Vec::new(),
        };
        tokio::spawn(retrieval.run(leg));
    }
}

impl Retrieval {
    async fn run(self, leg: SipLeg) {
        let asked = self.calls.of_person(&self.call, PersonCommand::MayRetrieve);
        if let Err(error) = asked.await {
            let reason = refusal(error);
            return leg.refuse(reason.row().sip_status, reason);
        }
        let mut media = match self.answer(&leg).await {
            Ok(media) => media,
            Err(reason) => return leg.refuse(reason.row().sip_status, reason),
        };
        let mut leg = Leg::Sip(leg);
        let mut told = self.told;
        let bound = timeout(RETRIEVED_WITHIN, connected(&mut leg, &mut media, &mut told));
        if !bound.await.unwrap_or(false) {
            leg.hang_up(EndReason::AckMissing);
            media.close().await;
            return;
        }
        let arrival = Arrival {
            person: self.person,
            leg,
            media,
            admitted: Some(self.admitted),
            told,
        };
        // A call that is over takes nobody: the leg ends when it is dropped.
        let comes = PersonCommand::Comes(Box::new(arrival));
        self.calls.tell(&self.call, CallCommand::Person(comes));
    }

    /// Agrees on the audio and answers.
    async fn answer(&self, leg: &SipLeg) -> Result<LegAudio, EndReason> {
        let (calls, line) = (&self.calls, &self.line.config);
        let pair = calls.ports.allocate(Instant::now());
        let mut pair = pair.map_err(|_| EndReason::Overload)?;
        let (source, protocol) = self.source;
        let towards = Towards::peer(line, protocol.is_websocket(), self.offer.is_none());
        let asking = calls
            .servers
            .announce(towards.line(), &calls.rtp, &mut pair, source);
        let (announced, _) = asking.await;
        let local = towards.local_media(announced);
        let identity = LegIdentity {
            keypad: line.keypad,
            treatment: line.treatment,
            signalling: Some(source.ip()),
            cname: self.call.as_str(),
            seed: random::seed(),
            capture: calls.rtp.capture,
        };
        let now = Instant::now();
        let (media, sdp) = match &self.offer {
            Some(offer) => {
                let answered = MediaLeg::answer(now, pair, local, offer, &identity);
                let (media, sdp, _) = answered.map_err(|why| negotiation::end_reason(&why))?;
                (media, sdp)
            }
            None => MediaLeg::offer(now, pair, local, &identity),
        };
        if leg.answer(sdp) {
            Ok(LegAudio::Rtp(Box::new(media)))
        } else {
            Err(EndReason::Overload)
        }
    }
}

/// Waits for the acknowledgement; false where the telephone is gone.
async fn connected(leg: &mut Leg, media: &mut LegAudio, told: &mut Vec<LegEvent>) -> bool {
    while let Some(event) = leg.next().await {
        match event {
            LegEvent::Established { answer: None } => return true,
            LegEvent::Established { answer: Some(sdp) } => {
                let agreed = media
                    .sdp()
                    .is_some_and(|media| media.accept(Instant::now(), &sdp).is_ok());
                return agreed;
            }
            LegEvent::Ended { .. } => {
                leg.set_ended();
                return false;
            }
            event @ LegEvent::Trace(_) if told.len() < RETRIEVAL_MESSAGES_MAX => told.push(event),
            LegEvent::Trace(_)
            | LegEvent::Progress { .. }
            | LegEvent::Accepted { .. }
            | LegEvent::Offer { .. }
            | LegEvent::OfferRequested
            | LegEvent::Answer { .. }
            | LegEvent::OfferFailed { .. }
            | LegEvent::Info { .. }
            | LegEvent::TransferAccepted
            | LegEvent::TransferFinished { .. }
            | LegEvent::CommandRefused { .. }
            | LegEvent::Replaced(_) => {}
        }
    }
    false
}
