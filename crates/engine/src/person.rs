//! A person of the house who comes into a running call by themselves, from a page: what they ask, and what they are told.

use std::fmt;

use call::{NoPlace, Seat};
use tokio::sync::oneshot;

use crate::leg::Leg;
use crate::leg::audio::LegAudio;

/// Who comes into a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their name, for the model and the record.
    pub name: String,
    /// Where they want to be.
    pub seat: Seat,
}

/// Who is on the line of a call besides its caller and its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePerson {
    /// Their name, or that of the target that was called.
    pub name: String,
    /// Beside the agent, or in its place.
    pub seat: Seat,
}

/// Why a person cannot come, move, or hand the caller back.
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
    /// The caller's carrier plays ahead of time: nobody can be heard beside the agent.
    #[error("this line cannot hold a conference")]
    NoConference,
    /// People have come too often: [`crate::limits::PEOPLE_MAX`].
    #[error("too many people came into this call")]
    TooMany,
}

impl From<NoPlace> for PersonError {
    fn from(why: NoPlace) -> Self {
        match why {
            NoPlace::Somebody => Self::Somebody,
            NoPlace::NotNow => Self::NotNow,
        }
    }
}

/// Whether what was asked could be done.
pub(crate) type Reply = oneshot::Sender<Result<(), PersonError>>;

/// A person whose leg is there.
pub(crate) struct Arrival {
    pub(crate) person: Person,
    pub(crate) leg: Leg,
    pub(crate) media: LegAudio,
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
    /// They are there. Where they have no place after all, their connection is closed.
    Comes(Box<Arrival>),
    /// They change their place.
    Moves(Seat, Reply),
    /// They leave, with a word for the agent.
    HandsBack(String, Reply),
}
