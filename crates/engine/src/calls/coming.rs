//! A telephone of the house that dials itself into a running call: to a caller who is parked, onto the line, or to listen. It is answered,
//! and is a leg of that call; it is no call of its own. What is said on its leg is in the journal of the call that it comes into.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use call::{CallId, EndReason, Seat, TenantId};
use serde_json::json;
use sip::IncomingInvite;
use store::{Actor, AuditNote, ChangeError, Realm, TenantScope};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::overhearing::Overhearing;
use super::{CallCommand, Calls};
use crate::dispatch::{Admitted, Line};
use crate::house_codes::{Way, ends_with};
use crate::leg::audio::LegAudio;
use crate::leg::media::{LegIdentity, MediaLeg};
use crate::leg::negotiation::{self, Towards};
use crate::leg::{Leg, SipLeg};
use crate::limits::{COMING_MESSAGES_MAX, CONNECTED_WITHIN, LISTEN_WITHIN, PERSON_ANSWER_WITHIN};
use crate::listening::{ListenError, Listener};
use crate::live::LiveState;
use crate::parking::NotFound;
use crate::person::{Arrival, Person, PersonCommand, PersonError, Reply};
use crate::random;
use crate::sip_driver::LegEvent;

/// What a telephone wants of the call that it dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Its caller, who is parked.
    Retrieves,
    /// To be there.
    Comes(Way),
}

/// Who dials.
#[derive(Clone, Debug)]
pub(super) struct Telephone {
    tenant: TenantId,
    /// Id of the device.
    device: String,
    username: String,
    /// For the model and the record.
    shown: String,
    source: IpAddr,
}

/// A telephone on its way into a call.
struct Coming {
    calls: Arc<Calls>,
    line: Arc<Line>,
    admitted: Admitted,
    call: CallId,
    wish: Wish,
    telephone: Telephone,
    offer: Option<Vec<u8>>,
    /// Where it came from, and by what.
    source: (SocketAddr, sip::Protocol),
    told: Vec<LegEvent>,
}

/// Why a person does not come, for their telephone.
fn refusal(error: PersonError, wish: Wish) -> EndReason {
    match error {
        PersonError::Somebody => EndReason::Busy,
        PersonError::TooMany => EndReason::Concurrency,
        PersonError::Unknown if wish != Wish::Retrieves => EndReason::NoSuchCall,
        PersonError::NotNow if wish != Wish::Retrieves => EndReason::Busy,
        PersonError::Unknown
        | PersonError::NotNow
        | PersonError::Nobody
        | PersonError::NotParked
        | PersonError::ParkingFull
        | PersonError::Premium
        | PersonError::BadAddress => EndReason::NotParked,
    }
}

/// The same for one who listens.
fn unheard(error: ListenError) -> EndReason {
    match error {
        ListenError::Unknown => EndReason::NoSuchCall,
        ListenError::NotNow => EndReason::Busy,
        ListenError::TooMany => EndReason::Concurrency,
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

    /// Begins to listen to a call.
    pub(crate) async fn listen(&self, call: &CallId) -> Result<Listener, ListenError> {
        let (reply, answered) = oneshot::channel();
        if !self.tell(call, CallCommand::Listen(reply)) {
            return Err(ListenError::Unknown);
        }
        let answered = timeout(LISTEN_WITHIN, answered).await;
        answered
            .unwrap_or(Ok(Err(ListenError::NotNow)))
            .unwrap_or(Err(ListenError::NotNow))
    }

    /// The call of an account whose other side's number ends with these digits, of those that are answered.
    pub(crate) fn find(&self, tenant: &TenantId, digits: &str) -> Result<CallId, NotFound> {
        let live = self.live();
        let mut meant = live.values().map(|entry| &entry.call).filter(|call| {
            let party = if call.inbound { &call.from } else { &call.to };
            call.tenant == *tenant && call.state == LiveState::Answered && ends_with(party, digits)
        });
        match (meant.next(), meant.next()) {
            (Some(call), None) => Ok(call.id.clone()),
            (None, _) => Err(NotFound::Nobody),
            (Some(_), Some(_)) => Err(NotFound::Several),
        }
    }

    /// Lets a telephone come into this call.
    pub(crate) fn begin_coming(
        self: &Arc<Self>,
        invite: &IncomingInvite,
        (line, admitted): (Arc<Line>, Admitted),
        (call, wish): (CallId, Wish),
        events: mpsc::Receiver<LegEvent>,
    ) {
        let leg = SipLeg::new(invite.invite, self.driver.clone(), events);
        let device = line.config.device.as_ref();
        let username = device.map_or(&line.config.name, |device| &device.sip.username);
        let shown = invite.from.display.as_deref();
        let shown = shown.map(str::trim).filter(|shown| !shown.is_empty());
        let coming = Coming {
            calls: Arc::clone(self),
            telephone: Telephone {
                tenant: line.config.tenant.clone(),
                device: line.config.name.clone(),
                username: username.clone(),
                shown: shown.unwrap_or(username).to_owned(),
                source: invite.source.ip(),
            },
            line,
            admitted,
            call,
            wish,
            offer: invite.offer.clone(),
            source: (invite.source, invite.protocol),
            told: Vec::new(),
        };
        tokio::spawn(coming.run(leg));
    }
}

impl Telephone {
    /// Who sits at it.
    pub(super) fn person(&self, seat: Seat, from_parking: bool) -> Person {
        Person {
            name: self.shown.clone(),
            seat,
            from_parking,
        }
    }

    /// Writes down that it comes into a call, before anything is heard.
    pub(super) async fn audited(
        &self,
        calls: &Calls,
        call: &CallId,
        way: Way,
    ) -> Result<(), ChangeError> {
        let actor = Actor {
            kind: "device",
            id: self.device.clone(),
            name: self.username.clone(),
            address: Some(self.source.to_canonical().to_string()),
            request_id: None,
            detail: None,
        };
        let detail = match way {
            Way::Listens => None,
            Way::Talks(Seat::Beside) => Some(json!({ "name": self.shown, "seat": "beside" })),
            Way::Talks(Seat::Instead) => Some(json!({ "name": self.shown, "seat": "instead" })),
        };
        let note = AuditNote {
            action: way.action().to_owned(),
            entity: "call".to_owned(),
            entity_id: call.to_string(),
            detail: detail.map(|detail| detail.to_string()),
        };
        let scope = TenantScope::new(self.tenant.clone());
        let store = calls.store.acting_as(actor);
        store.audit(Realm::Tenant(&scope), &note).await
    }
}

impl Coming {
    async fn run(self, leg: SipLeg) {
        let asked = self.asks().await;
        let listener = match asked {
            Ok(listener) => listener,
            Err(reason) => return leg.refuse(reason.row().sip_status, reason),
        };
        let mut media = match self.answer(&leg).await {
            Ok(media) => media,
            Err(reason) => return leg.refuse(reason.row().sip_status, reason),
        };
        let mut leg = Leg::Sip(leg);
        let mut told = self.told;
        let bound = timeout(CONNECTED_WITHIN, connected(&mut leg, &mut media, &mut told));
        if !bound.await.unwrap_or(false) {
            leg.hang_up(EndReason::AckMissing);
            media.close().await;
            return;
        }
        let seat = match self.wish {
            Wish::Retrieves => Seat::Instead,
            Wish::Comes(Way::Talks(seat)) => seat,
            Wish::Comes(Way::Listens) => Seat::Beside,
        };
        let arrival = Arrival {
            person: self.telephone.person(seat, self.wish == Wish::Retrieves),
            leg,
            media,
            admitted: Some(self.admitted),
            told,
        };
        if let Some(listener) = listener {
            let ear = (self.telephone, listener);
            return Overhearing::new(self.calls, self.call, ear, arrival)
                .run()
                .await;
        }
        // A call that is over takes nobody: the leg ends when it is dropped.
        let comes = PersonCommand::Comes(Box::new(arrival));
        self.calls.tell(&self.call, CallCommand::Person(comes));
    }

    /// Whether it may come now; the ear of one that listens.
    async fn asks(&self) -> Result<Option<Listener>, EndReason> {
        let (calls, call) = (&self.calls, &self.call);
        let (listener, asked) = match self.wish {
            Wish::Retrieves => (
                None,
                calls.of_person(call, PersonCommand::MayRetrieve).await,
            ),
            Wish::Comes(Way::Talks(seat)) => {
                let may = |reply| PersonCommand::MayCome(seat, reply);
                (None, calls.of_person(call, may).await)
            }
            Wish::Comes(Way::Listens) => (Some(calls.listen(call).await.map_err(unheard)?), Ok(())),
        };
        asked.map_err(|error| refusal(error, self.wish))?;
        if let Wish::Comes(way) = self.wish {
            let written = self.telephone.audited(calls, call, way).await;
            written.map_err(|_| EndReason::Internal)?;
        }
        Ok(listener)
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
            event @ LegEvent::Trace(_) if told.len() < COMING_MESSAGES_MAX => told.push(event),
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
