//! One party's connection to a call: signalling ([`Leg`]) and audio ([`audio::LegAudio`]).

pub(crate) mod audio;
pub(crate) mod carrier;
pub(crate) mod dtls;
pub(crate) mod ice;
pub(crate) mod key_info;
pub(crate) mod media;
pub(crate) mod negotiation;
pub(crate) mod page;
pub(crate) mod relay;
pub(crate) mod tap;
pub(crate) mod way;

use call::{EndReason, LegEnd, TransferMode, TransferTarget};
use sip::{EndCause, InviteError, InviteId, Rejection};
use tokio::sync::{mpsc, oneshot};

use self::carrier::CarrierLeg;
use self::page::PageLeg;
use crate::admission::Place;
use crate::calls::Placing;
use crate::sip_driver::{Command, LegEvent};

/// How records and logs name what brings a page's call by WebRTC.
pub(crate) const WEBRTC: &str = "webrtc";

/// The signalling of one leg, as its call sees it.
pub(crate) enum Leg {
    /// An INVITE of the SIP user agent.
    Sip(SipLeg),
    /// A call that a carrier has, and whose audio it brings by WebSocket.
    Carrier(CarrierLeg),
    /// A page that is connected by WebRTC.
    Page(PageLeg),
}

impl Leg {
    /// The next event; `None` once the leg gave this call up. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<LegEvent> {
        match self {
            Self::Sip(sip) => sip.next().await,
            Self::Carrier(carrier) => carrier.next().await,
            Self::Page(page) => page.next().await,
        }
    }

    /// What already came, without waiting.
    pub(crate) fn try_next(&mut self) -> Option<LegEvent> {
        match self {
            Self::Sip(sip) => sip.try_next(),
            Self::Carrier(carrier) => carrier.try_next(),
            Self::Page(page) => page.try_next(),
        }
    }

    pub(crate) fn is_sip(&self) -> bool {
        matches!(self, Self::Sip(_))
    }

    /// Whether a message is of the INVITE that this leg is now.
    pub(crate) fn is_of(&self, invite: Option<InviteId>) -> bool {
        match self {
            Self::Sip(sip) => sip.invite == invite,
            Self::Carrier(_) | Self::Page(_) => false,
        }
    }

    /// Another dialog, which is answered with `sdp`, takes the place of this leg's, which is hung up. False where it cannot be.
    pub(crate) fn replace_by(&mut self, other: SipLeg, sdp: Vec<u8>) -> bool {
        match self {
            Self::Sip(sip) => sip.replace_by(other, sdp),
            Self::Carrier(_) | Self::Page(_) => false,
        }
    }

    /// The leg is over: nothing more is asked of it.
    pub(crate) fn set_ended(&mut self) {
        match self {
            Self::Sip(sip) => sip.set_ended(),
            Self::Carrier(carrier) => carrier.set_ended(),
            Self::Page(page) => page.set_ended(),
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        match self {
            Self::Sip(sip) => sip.is_ended(),
            Self::Carrier(carrier) => carrier.is_ended(),
            Self::Page(page) => page.is_ended(),
        }
    }

    /// Who brings the call, and its name of it where that is not SIP's.
    pub(crate) fn carrier(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Sip(_) => ("sip", None),
            Self::Carrier(carrier) => (carrier.carrier, carrier.call()),
            Self::Page(_) => (WEBRTC, None),
        }
    }

    /// Whether messages that belong to the record follow the end.
    pub(crate) fn has_last_messages(&self) -> bool {
        match self {
            Self::Sip(_) => true,
            Self::Carrier(_) | Self::Page(_) => false,
        }
    }

    /// Another INVITE takes the place of one that reached nobody; false where the leg is none of SIP.
    pub(crate) fn replace(&mut self, placing: Placing) -> bool {
        match self {
            Self::Sip(sip) => {
                sip.replace(placing);
                true
            }
            Self::Carrier(_) | Self::Page(_) => false,
        }
    }

    /// Each of the following is false when the leg cannot take it.
    pub(crate) fn ring(&mut self) -> bool {
        match self {
            Self::Sip(sip) => sip.ring(),
            // The carrier has answered, the page is connected; until we speak it is silent there.
            Self::Carrier(_) | Self::Page(_) => true,
        }
    }

    pub(crate) fn answer(&mut self, sdp: Vec<u8>) -> bool {
        match self {
            Self::Sip(sip) => sip.answer(sdp),
            Self::Carrier(carrier) => carrier.answer(),
            Self::Page(page) => page.answer(),
        }
    }

    pub(crate) fn answer_offer(&mut self, sdp: Vec<u8>) -> bool {
        match self {
            Self::Sip(sip) => sip.answer_offer(sdp),
            Self::Carrier(_) | Self::Page(_) => true,
        }
    }

    pub(crate) fn reject_offer(&mut self, status: u16) -> bool {
        match self {
            Self::Sip(sip) => sip.reject_offer(status),
            Self::Carrier(_) | Self::Page(_) => true,
        }
    }

    /// Refuses the call.
    pub(crate) fn reject(&mut self, reason: EndReason, retry_after_s: Option<u32>) -> bool {
        match self {
            Self::Sip(sip) => sip.reject(reason, retry_after_s),
            Self::Carrier(carrier) => carrier.hang_up(reason),
            Self::Page(page) => page.hang_up(reason),
        }
    }

    /// Refuses the call with a status that somebody chose.
    pub(crate) fn reject_with(&mut self, status: u16, reason: EndReason) -> bool {
        match self {
            Self::Sip(sip) => sip.reject_with(status, reason, None),
            Self::Carrier(carrier) => carrier.hang_up(reason),
            Self::Page(page) => page.hang_up(reason),
        }
    }

    /// Refuses the call with this status and this value of the Reason header.
    pub(crate) fn reject_saying(&mut self, status: u16, reason: String) -> bool {
        match self {
            Self::Sip(sip) => sip.reject_saying(status, reason, None),
            Self::Carrier(carrier) => carrier.hang_up(EndReason::CallerUnproven),
            Self::Page(page) => page.hang_up(EndReason::CallerUnproven),
        }
    }

    /// Hands the other side over; `TransferAccepted` and `TransferFinished` follow. `to`: the target's
    /// address as a SIP side is told it.
    pub(crate) fn transfer(&mut self, target: &TransferTarget, to: &str) -> bool {
        match self {
            Self::Sip(sip) => sip.transfer(target, to),
            Self::Carrier(carrier) => carrier.transfer(target),
            // Nobody has the caller but its page.
            Self::Page(_) => false,
        }
    }

    /// Asks the other side to take our place in another leg; told as a transfer is. False where it cannot be asked.
    pub(crate) fn hand_over(&self, to: &Self) -> bool {
        match (self, to) {
            (Self::Sip(sip), Self::Sip(other)) => other
                .invite
                .is_some_and(|other| sip.command(|invite| Command::ReferToCall { invite, other })),
            (Self::Sip(_) | Self::Carrier(_) | Self::Page(_), _) => false,
        }
    }

    /// Sends a key by SIP INFO.
    pub(crate) fn send_key(&self, digit: char, duration_ms: u32) -> bool {
        match self {
            Self::Sip(sip) => sip.command(|invite| Command::Key {
                invite,
                body: key_info::info_of_key(digit, duration_ms),
            }),
            Self::Carrier(_) | Self::Page(_) => false,
        }
    }

    /// Ends the call in whatever state it is.
    pub(crate) fn hang_up(&mut self, reason: EndReason) -> bool {
        match self {
            Self::Sip(sip) => sip.hang_up(reason),
            Self::Carrier(carrier) => carrier.hang_up(reason),
            Self::Page(page) => page.hang_up(reason),
        }
    }
}

/// The SIP signalling of one leg.
pub(crate) struct SipLeg {
    /// `None` as long as the driver has not taken the INVITE.
    invite: Option<InviteId>,
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<LegEvent>,
    /// What tells the id of an INVITE that was asked for.
    placing: Option<oneshot::Receiver<Result<InviteId, InviteError>>>,
    /// Its channel of the trunk, until it is over.
    place: Option<Place>,
    /// What the dialog still says whose place this one took.
    former: Option<mpsc::Receiver<LegEvent>>,
    ended: bool,
}

impl SipLeg {
    pub(crate) fn new(
        invite: InviteId,
        commands: mpsc::Sender<Command>,
        events: mpsc::Receiver<LegEvent>,
    ) -> Self {
        Self {
            invite: Some(invite),
            commands,
            events,
            placing: None,
            place: None,
            former: None,
            ended: false,
        }
    }

    /// The leg of an INVITE that was asked for.
    pub(crate) fn placed(commands: mpsc::Sender<Command>, placing: Placing) -> Self {
        Self {
            invite: None,
            commands,
            events: placing.events,
            placing: Some(placing.placed),
            place: placing.place,
            former: None,
            ended: false,
        }
    }

    /// Another INVITE takes the place of the one that ended.
    pub(crate) fn replace(&mut self, placing: Placing) {
        self.invite = None;
        self.events = placing.events;
        self.placing = Some(placing.placed);
        self.place = placing.place;
    }

    /// The next event; `None` once the driver gave this call up. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<LegEvent> {
        if let Some(placing) = &mut self.placing {
            let placed = placing.await;
            self.placing = None;
            match placed {
                Ok(Ok(invite)) => self.invite = Some(invite),
                Ok(Err(_)) | Err(_) => {
                    return Some(LegEvent::Ended {
                        cause: EndCause::Unreachable,
                    });
                }
            }
        }
        while let Some(former) = &mut self.former {
            tokio::select! {
                biased;
                event = self.events.recv() => return event,
                event = former.recv() => match event {
                    // Of the dialog that was, only its messages are still of interest.
                    Some(event @ LegEvent::Trace(_)) => return Some(event),
                    Some(_) => {}
                    None => self.former = None,
                },
            }
        }
        self.events.recv().await
    }

    /// What already came, without waiting.
    pub(crate) fn try_next(&mut self) -> Option<LegEvent> {
        self.events.try_recv().ok()
    }

    /// See [`Leg::replace_by`].
    fn replace_by(&mut self, mut other: Self, sdp: Vec<u8>) -> bool {
        if !other.answer(sdp) {
            return false;
        }
        self.hang_up(EndReason::Transferred);
        // From here on it is this leg that ends the dialog.
        other.ended = true;
        self.invite = other.invite;
        let (_, nothing) = mpsc::channel(1);
        let events = std::mem::replace(&mut other.events, nothing);
        self.former = Some(std::mem::replace(&mut self.events, events));
        true
    }

    /// Asks for a password; the INVITE comes again with it, or does not.
    pub(crate) fn challenge(mut self, realm: String) {
        self.ended = self.command(|invite| Command::Challenge { invite, realm });
    }

    /// Refuses what nobody has answered.
    pub(crate) fn refuse(mut self, status: u16, reason: EndReason) {
        self.ended = self.reject_with(status, reason, None);
    }

    /// The leg is over: nothing more is asked of it.
    pub(crate) fn set_ended(&mut self) {
        self.ended = true;
        self.place = None;
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// False when the driver cannot take the command, or knows no INVITE of this leg.
    fn command(&self, command: impl FnOnce(InviteId) -> Command) -> bool {
        let command = self.invite.map(command);
        command.is_some_and(|command| self.commands.try_send(command).is_ok())
    }

    pub(crate) fn ring(&self) -> bool {
        self.command(|invite| Command::Ring {
            invite,
            status: 180,
            sdp: None,
        })
    }

    pub(crate) fn answer(&self, sdp: Vec<u8>) -> bool {
        self.command(|invite| Command::Answer { invite, sdp })
    }

    pub(crate) fn answer_offer(&self, sdp: Vec<u8>) -> bool {
        self.command(|invite| Command::AnswerOffer { invite, sdp })
    }

    pub(crate) fn reject_offer(&self, status: u16) -> bool {
        self.command(|invite| Command::RejectOffer { invite, status })
    }

    /// Refuses the call.
    pub(crate) fn reject(&self, reason: EndReason, retry_after_s: Option<u32>) -> bool {
        self.reject_with(reason.row().sip_status, reason, retry_after_s)
    }

    fn reject_with(&self, status: u16, reason: EndReason, retry_after_s: Option<u32>) -> bool {
        self.reject_saying(status, reason_header(reason), retry_after_s)
    }

    fn reject_saying(&self, status: u16, reason: String, retry_after_s: Option<u32>) -> bool {
        let rejection = Rejection {
            status,
            reason: Some(reason),
            retry_after_s,
        };
        self.ended || self.command(|invite| Command::Reject { invite, rejection })
    }

    fn transfer(&self, target: &TransferTarget, to: &str) -> bool {
        let to = to.to_owned();
        self.command(|invite| Command::Refer {
            invite,
            to,
            even_if_unlisted: target.mode == TransferMode::Refer,
        })
    }

    /// Ends the call in whatever state it is.
    pub(crate) fn hang_up(&mut self, reason: EndReason) -> bool {
        self.settle();
        self.ended
            || self.command(|invite| Command::HangUp {
                invite,
                reason: Some(reason_header(reason)),
            })
    }
}

impl SipLeg {
    /// Before the end: the driver has either told the id of the INVITE that was asked for, or finds that nobody waits for it, and
    /// ends it by itself.
    fn settle(&mut self) {
        let Some(mut placing) = self.placing.take() else {
            return;
        };
        placing.close();
        match placing.try_recv() {
            Ok(Ok(invite)) => self.invite = Some(invite),
            Ok(Err(_)) | Err(_) => self.ended = true,
        }
    }
}

impl Drop for SipLeg {
    /// A call task that falls (a panic) must not leave its dialog behind.
    fn drop(&mut self) {
        self.settle();
        if !self.ended {
            let reason = Some(reason_header(EndReason::Internal));
            self.command(|invite| Command::HangUp { invite, reason });
        }
    }
}

/// Value of a Reason header (RFC 3326).
pub(crate) fn reason_header(reason: EndReason) -> String {
    let row = reason.row();
    format!("Q.850;cause={};text=\"{}\"", row.q850_cause, row.code)
}

/// What was said to an INVITE of ours: its status, and 408 for silence; `None` where nobody said one.
pub(crate) const fn said(cause: &EndCause) -> Option<u16> {
    match cause {
        EndCause::Refused { status, .. } => Some(*status),
        EndCause::Timeout => Some(408),
        EndCause::Unreachable
        | EndCause::TransportLost
        | EndCause::RemoteBye { .. }
        | EndCause::RemoteCancel
        | EndCause::LocalHangUp
        | EndCause::Rejected { .. }
        | EndCause::AckMissing
        | EndCause::MissingAnswer
        | EndCause::SessionExpired
        | EndCause::DialogLost
        | EndCause::Overload => None,
    }
}

/// Why nobody came to a telephone that was called, in a few words for the model.
pub(crate) const fn unreached(status: u16) -> &'static str {
    match status {
        404 | 410 | 484 | 604 => "no such number",
        408 | 480 | 487 => "no answer",
        486 | 600 => "busy",
        _ => "refused",
    }
}

/// How the leg ended, in the words of the session.
pub(crate) fn leg_end(cause: &EndCause) -> LegEnd {
    match cause {
        EndCause::RemoteBye { .. } | EndCause::LocalHangUp => LegEnd::RemoteHangUp,
        EndCause::RemoteCancel => LegEnd::Cancelled,
        EndCause::SessionExpired => LegEnd::SessionExpired,
        EndCause::AckMissing => LegEnd::AckMissing,
        EndCause::TransportLost => LegEnd::TransportLost,
        EndCause::Rejected { .. }
        | EndCause::Refused { .. }
        | EndCause::MissingAnswer
        | EndCause::Timeout
        | EndCause::Unreachable
        | EndCause::DialogLost
        | EndCause::Overload => LegEnd::Failed,
    }
}

/// A reason that the session cannot know from [`LegEnd`] alone.
pub(crate) fn exact_reason(cause: &EndCause) -> Option<EndReason> {
    match cause {
        EndCause::MissingAnswer => Some(EndReason::MissingAnswer),
        EndCause::Refused {
            status: 486 | 600, ..
        } => Some(EndReason::Busy),
        EndCause::Refused {
            status: 408 | 480, ..
        } => Some(EndReason::NoAnswer),
        EndCause::Overload => Some(EndReason::Overload),
        EndCause::RemoteBye { .. }
        | EndCause::LocalHangUp
        | EndCause::RemoteCancel
        | EndCause::SessionExpired
        | EndCause::AckMissing
        | EndCause::TransportLost
        | EndCause::Rejected { .. }
        | EndCause::Refused { .. }
        | EndCause::Timeout
        | EndCause::Unreachable
        | EndCause::DialogLost => None,
    }
}
