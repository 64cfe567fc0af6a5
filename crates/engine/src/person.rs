//! A person of the house who comes into a running call by themselves, from a page: what they ask, and what they are told.

use std::fmt;
use std::time::Duration;

use call::{NoPlace, Redacted, Seat, TransferMode, TransferTarget};
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::dispatch::Admitted;
use crate::leg::Leg;
use crate::leg::audio::LegAudio;
use crate::sip_driver::LegEvent;

/// Who comes into a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their name, for the model and the record.
    pub name: String,
    /// Where they want to be.
    pub seat: Seat,
    /// They take the caller out of a parking place, and come to no other.
    pub from_parking: bool,
}

/// A caller who waits in a parking place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveParked {
    /// The place, a number of the account.
    pub place: u16,
    /// Who put them there.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// The agent has them again then, where nobody has taken them.
    pub until: Timestamp,
}

/// A wish to park the caller of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkWish {
    /// Who parks, for the model and the record.
    pub by: String,
    /// What the agent is to know when it has the caller again; may be empty.
    pub note: String,
    /// How long they wait; `None`: as the agent's settings say.
    pub within: Option<Duration>,
}

/// Who is on the line of a call besides its caller and its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePerson {
    /// Their name, or that of the target that was called.
    pub name: String,
    /// Beside the agent, or in its place.
    pub seat: Seat,
}

/// How far it is with somebody who was called for a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalledState {
    /// They are being called.
    Calling,
    /// It rings there.
    Ringing,
    /// They answered, and are told or asked.
    Answered,
    /// They have the caller.
    Joined,
    /// They are not there, or not any more.
    Over {
        /// Why, in a few words for the model and the record: `busy`, `no answer`, `called off`.
        reason: String,
    },
}

/// Who was called for the caller last: by a transfer, or into the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveCalled {
    /// Their name, or that of the target.
    pub name: String,
    /// Where they shall be.
    pub seat: Seat,
    /// How far it is.
    pub state: CalledState,
}

/// Why a person cannot come, be called, move, or hand the caller back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PersonError {
    /// No such call runs here.
    #[error("no such call runs here")]
    Unknown,
    /// There is no conversation, or what is said at this moment must not be cut.
    #[error("not at this moment of the call")]
    NotNow,
    /// A person is on the line already, or is being called.
    #[error("a person is on the line already")]
    Somebody,
    /// Nobody but the agent is with the caller.
    #[error("nobody is on the line")]
    Nobody,
    /// People have come too often, or were called: [`crate::limits::PEOPLE_MAX`], [`crate::limits::SECOND_LEGS_MAX`].
    #[error("too many people came into this call")]
    TooMany,
    /// The caller is in no parking place.
    #[error("nobody is parked in this call")]
    NotParked,
    /// The account has no free parking place: [`crate::limits::PARKING_PLACES_MAX`].
    #[error("every parking place is taken")]
    ParkingFull,
    /// A premium number.
    #[error("premium numbers are not called")]
    Premium,
    /// The call's line cannot call that address.
    #[error("this line cannot call that number")]
    BadAddress,
}

impl From<NoPlace> for PersonError {
    fn from(why: NoPlace) -> Self {
        match why {
            NoPlace::Somebody => Self::Somebody,
            NoPlace::NotNow => Self::NotNow,
        }
    }
}

/// How the agent gets the caller back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandBack {
    /// What it is to know.
    pub note: String,
    /// The person is beside it from then on.
    pub stay: bool,
}

/// Who is called into a running call.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Their name, for the model and the record.
    pub name: String,
    /// A number, or a `sip:` address.
    pub address: Redacted<String>,
    /// Where they shall be.
    pub seat: Seat,
    /// How long it may ring, milliseconds.
    pub ring_ms: u32,
    /// What they are told before they have the caller.
    pub announcement: Option<String>,
}

impl From<Invitation> for TransferTarget {
    fn from(invitation: Invitation) -> Self {
        let Invitation {
            name,
            address,
            seat,
            ring_ms,
            announcement,
        } = invitation;
        Self {
            mode: match seat {
                Seat::Beside => TransferMode::Conference,
                Seat::Instead => TransferMode::Bridge,
            },
            ring_ms,
            announces: announcement.is_some(),
            announcement: announcement.map(Redacted::new),
            returns: true,
            ..Self::new(name, address.reveal().clone())
        }
    }
}

/// Where somebody is who comes by this mode.
pub(crate) fn seat_of(mode: TransferMode) -> Seat {
    if mode == TransferMode::Conference {
        Seat::Beside
    } else {
        Seat::Instead
    }
}

/// Whether what was asked could be done.
pub(crate) type Reply = oneshot::Sender<Result<(), PersonError>>;

/// A person whose leg is there.
pub(crate) struct Arrival {
    pub(crate) person: Person,
    pub(crate) leg: Leg,
    pub(crate) media: LegAudio,
    /// The room that a telephone takes.
    pub(crate) admitted: Option<Admitted>,
    /// Messages of its leg so far, for the journal.
    pub(crate) told: Vec<LegEvent>,
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.person.fmt(f)
    }
}

/// What a call is asked about a person.
#[derive(Debug)]
pub(crate) enum PersonCommand {
    /// Whether they could come.
    MayCome(Seat, Reply),
    /// Whether somebody could take the caller out of their parking place.
    MayRetrieve(Reply),
    /// They are there. Where they have no place after all, their connection is closed.
    Comes(Box<Arrival>),
    /// They change their place.
    Moves(Seat, Reply),
    /// The agent has the caller again, with a word for it.
    HandsBack(HandBack, Reply),
    /// Somebody is called into the call.
    Invites(Box<TransferTarget>, Reply),
    /// Whoever has the caller puts them into a parking place; the answer is its number.
    Parks(Box<ParkWish>, oneshot::Sender<Result<u16, PersonError>>),
    /// Somebody is called who shall take the caller out of their parking place.
    Retrieves(Box<TransferTarget>, Reply),
    /// Whoever is being called is not wanted any more.
    CallsOff(Reply),
}
