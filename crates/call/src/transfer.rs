//! Handing the caller over: what was being said is heard first, then the leg is asked (REFER, a carrier's redirect), or a second leg
//! is called and the two are joined here. Each step is awaited within a bound.

use crate::limits::{
    ANNOUNCEMENT_MS_MAX, HANDED_MS_MAX, HANDING_MS_MAX, SCREEN_MS_MAX, TRANSFER_DRAIN_MS_MAX,
    TRANSFER_MS_MAX, TRANSFER_RING_MS_DEFAULT, TRANSFER_RING_MS_MAX,
};
use crate::redacted::Redacted;

/// How a caller is handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferMode {
    /// The leg's own way alone: REFER (RFC 3515), or what the carrier has for it. The call leaves us.
    Refer,
    /// A second leg is called and joined with the caller's. The call stays with us.
    Bridge,
    /// A second leg is called; once its person has the word, the caller's side is asked to take our place there (REFER with Replaces,
    /// RFC 5589 section 7), and both legs leave us. Where it does not, the two are joined as by [`Bridge`](Self::Bridge).
    Attended,
    /// A second leg is called; once its person has the word, caller, agent and person all hear each other. The call stays with us.
    Conference,
    /// The leg's own way, and a second leg where the other side hands nobody over.
    #[default]
    Auto,
}

/// The place of a person of the house on the line of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Beside the agent: caller, agent and person hear each other.
    Beside,
    /// In the place of the agent, which has left.
    Instead,
}

/// Where a caller is handed to. Only names that the agent's settings know lead here: the model never writes an address.
#[derive(Clone, PartialEq, Eq)]
pub struct TransferTarget {
    /// Name of the target, as the settings have it; shown in the record.
    pub name: String,
    /// Telephone number or SIP address.
    pub address: Redacted<String>,
    /// How.
    pub mode: TransferMode,
    /// How long a second leg may ring, milliseconds; at most [`TRANSFER_RING_MS_MAX`].
    pub ring_ms: u32,
    /// A second leg shows the caller's number, where its line has a place for one.
    pub shows_caller: bool,
    /// A second leg is told something before it is joined.
    pub announces: bool,
    /// What it is told; `None` where the shell makes it up.
    pub announcement: Option<Redacted<String>>,
    /// A second leg is joined only once its person has pressed [`ACCEPT_KEY`], within this time after the announcement, milliseconds; at
    /// most [`SCREEN_MS_MAX`]. `None`: it is joined without a question.
    pub screen_ms: Option<u32>,
    /// The caller is back with the agent when the second leg hangs up.
    pub returns: bool,
}

/// Why nobody else can be called while a person talks with caller and agent: one at a time.
pub(crate) const SOMEBODY_IS_THERE: &str = "a person is on the line already";
/// The reason of a second leg that hung up by itself ([`crate::Input::TargetEnded`]).
pub const HUNG_UP: &str = "hung up";
/// The key by which the person takes the caller.
pub const ACCEPT_KEY: char = '1';
/// The key by which the person refuses the caller.
pub const REFUSE_KEY: char = '2';

impl TransferTarget {
    /// A target that is reached in the usual way.
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: Redacted::new(address.into()),
            mode: TransferMode::default(),
            ring_ms: TRANSFER_RING_MS_DEFAULT,
            shows_caller: false,
            announces: false,
            announcement: None,
            screen_ms: None,
            returns: false,
        }
    }
}

impl std::fmt::Debug for TransferTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.address)
    }
}

/// What became of a transfer, as the leg tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferEnd {
    /// The other side took the caller.
    Done,
    /// The other side hands nobody over: it refused the request itself, or says beforehand that it would.
    Declined {
        /// Why, in a few words for the model.
        reason: String,
    },
    /// It did not happen; the caller is still with us.
    Failed {
        /// Why, in a few words for the model: `busy`, `no answer`, `refused`.
        reason: String,
    },
}

/// Why a second leg is ended from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetDrop {
    /// Nobody answered in time.
    NoAnswer,
    /// The person does not want the caller.
    Refused,
    /// The person did not say whether they want the caller.
    TimedOut,
    /// The call ends.
    CallEnds,
    /// They are not wanted any more.
    CalledOff,
    /// A person came by themselves, and there is no place for them.
    NoPlace,
    /// The person gave the caller back to the agent.
    HandedBack,
    /// The person put the caller into a parking place.
    Parked,
    /// The caller's side has taken our place, or agreed to and left: the person's telephone ends this leg by itself. It is ended from
    /// here where that does not happen.
    HandedOver,
}

/// What the person of a second leg said to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScreenOutcome {
    /// They take the caller.
    Accepted,
    /// They do not: by a key, or by hanging up.
    Refused,
    /// They did not say it in time.
    TimedOut,
}

impl ScreenOutcome {
    /// The label for the journal and the record.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
        }
    }

    /// The same for the model and the transcript.
    pub fn told(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused by the person",
            Self::TimedOut => "the person did not accept in time",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The last words are being played.
    Draining { until: u64 },
    /// The leg was asked.
    Asked { until: u64, accepted: bool },
    /// The second leg is called.
    Calling { until: u64, rings: bool },
    /// The second leg answered, and hears what it is told.
    Announcing { until: u64 },
    /// It is asked whether it takes the caller.
    Screening { until: u64 },
    /// The caller's side is asked to take our place towards it.
    Handing {
        until: u64,
        accepted: bool,
        /// The second leg has ended: taken over, or hung up.
        left: bool,
    },
    /// The caller, the agent and the second leg talk.
    Conferring,
    /// The caller and the second leg talk.
    Joined,
}

/// What an answer, or the end of the announcement, leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advance {
    /// It is told something.
    Announce,
    /// Its key is awaited.
    Screen,
    /// The person has the word: they are joined with the caller, or handed over to.
    Take,
}

/// What the transfer needs next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TransferStep {
    /// The leg is asked.
    Ask(TransferTarget),
    /// A second leg is called.
    Call(TransferTarget),
    /// Nobody answered, or the leg said nothing.
    TimedOut,
    /// The announcement did not come to its end in time.
    AnnouncementLost,
    /// The person said neither yes nor no.
    NotAccepted,
    /// The caller's side said nothing of the call that it was to take.
    NotTaken,
}

#[derive(Debug)]
pub(crate) struct Transfer {
    target: TransferTarget,
    stage: Stage,
    /// Nobody called them: a person of the house came by themselves.
    came: bool,
}

impl Transfer {
    pub(crate) fn new(now: u64, target: TransferTarget) -> Self {
        let until = now + TRANSFER_DRAIN_MS_MAX;
        Self {
            target,
            stage: Stage::Draining { until },
            came: false,
        }
    }

    /// A person who came by themselves, and whose leg is there. When they leave, the caller is with the agent.
    pub(crate) fn of_person(name: String) -> Self {
        Self {
            target: TransferTarget {
                mode: TransferMode::Conference,
                returns: true,
                ..TransferTarget::new(name, "")
            },
            stage: Stage::Conferring,
            came: true,
        }
    }

    /// Somebody is called for a caller who waits in a parking place; the agent does not come with them.
    pub(crate) fn retrieving(now: u64, target: TransferTarget) -> (Self, TransferStep) {
        let target = TransferTarget {
            mode: TransferMode::Bridge,
            returns: true,
            ..target
        };
        let mut transfer = Self::new(now, target);
        let step = transfer.call(now);
        (transfer, step)
    }

    /// Nobody called them.
    pub(crate) fn came(&self) -> bool {
        self.came
    }

    pub(crate) fn target(&self) -> &TransferTarget {
        &self.target
    }

    /// The other side said that it will try.
    pub(crate) fn accepted(&mut self) {
        if let Stage::Asked { accepted, .. } | Stage::Handing { accepted, .. } = &mut self.stage {
            *accepted = true;
        }
    }

    /// The leg was asked, and its side agreed to try: a hang-up from there now is how many systems say that it worked.
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(
            self.stage,
            Stage::Asked { accepted: true, .. } | Stage::Handing { accepted: true, .. }
        )
    }

    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.stage, Stage::Asked { .. })
    }

    /// Nobody has taken the caller, and nobody but us has been asked to.
    pub(crate) fn may_be_called_off(&self) -> bool {
        self.is_calling() || self.is_met() || matches!(self.stage, Stage::Draining { .. })
    }

    pub(crate) fn is_calling(&self) -> bool {
        matches!(self.stage, Stage::Calling { .. })
    }

    /// The second leg answered and is not joined yet.
    pub(crate) fn is_met(&self) -> bool {
        matches!(
            self.stage,
            Stage::Announcing { .. } | Stage::Screening { .. }
        )
    }

    pub(crate) fn is_announcing(&self) -> bool {
        matches!(self.stage, Stage::Announcing { .. })
    }

    /// Its person is asked whether they take the caller.
    pub(crate) fn screens(&self) -> bool {
        self.is_met() && self.target.screen_ms.is_some()
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.stage == Stage::Joined
    }

    /// Caller, agent and person hear each other.
    pub(crate) fn is_conferring(&self) -> bool {
        self.stage == Stage::Conferring
    }

    /// The caller's side is asked to take our place towards the person.
    pub(crate) fn is_handing(&self) -> bool {
        matches!(self.stage, Stage::Handing { .. })
    }

    /// The second leg has ended meanwhile.
    pub(crate) fn has_left(&self) -> bool {
        matches!(self.stage, Stage::Handing { left: true, .. })
    }

    /// A second leg lives: whatever ends the transfer ends it as well.
    pub(crate) fn has_leg(&self) -> bool {
        let hands = self.is_handing() && !self.has_left();
        let talks = self.is_joined() || self.is_conferring();
        self.is_calling() || self.is_met() || talks || hands
    }

    /// The second leg rings there; false when that is no news.
    pub(crate) fn rings(&mut self) -> bool {
        match &mut self.stage {
            Stage::Calling { rings, .. } => !std::mem::replace(rings, true),
            Stage::Draining { .. }
            | Stage::Asked { .. }
            | Stage::Announcing { .. }
            | Stage::Screening { .. }
            | Stage::Handing { .. }
            | Stage::Conferring
            | Stage::Joined => false,
        }
    }

    /// The caller hears that it rings: also while the person there is told and asked.
    pub(crate) fn is_ringing(&self) -> bool {
        self.is_met()
            || self.is_handing()
            || matches!(self.stage, Stage::Calling { rings: true, .. })
    }

    /// The second leg answered.
    pub(crate) fn answered(&mut self, now: u64) -> Advance {
        if self.target.announces {
            let until = now + ANNOUNCEMENT_MS_MAX;
            self.stage = Stage::Announcing { until };
            return Advance::Announce;
        }
        self.announced(now)
    }

    /// The announcement is over.
    pub(crate) fn announced(&mut self, now: u64) -> Advance {
        let Some(screen_ms) = self.target.screen_ms else {
            return Advance::Take;
        };
        let until = now + u64::from(screen_ms.min(SCREEN_MS_MAX));
        self.stage = Stage::Screening { until };
        Advance::Screen
    }

    /// The caller's side is asked.
    pub(crate) fn handing(&mut self, now: u64) {
        self.stage = Stage::Handing {
            until: now + HANDING_MS_MAX,
            accepted: false,
            left: false,
        };
    }

    /// The second leg ended while the caller's side was asked: its telephone was taken over, or the person hung up, and only the
    /// caller's side knows which.
    pub(crate) fn left(&mut self, now: u64) {
        if let Stage::Handing { until, left, .. } = &mut self.stage {
            *left = true;
            *until = (*until).min(now + HANDED_MS_MAX);
        }
    }

    pub(crate) fn conferring(&mut self) {
        self.stage = Stage::Conferring;
    }

    pub(crate) fn joined(&mut self) {
        self.stage = Stage::Joined;
    }

    /// The other side hands nobody over: the second leg, where this target may be reached by one.
    pub(crate) fn declined(&mut self, now: u64) -> Option<TransferStep> {
        (self.is_asked() && self.target.mode == TransferMode::Auto).then(|| self.call(now))
    }

    fn call(&mut self, now: u64) -> TransferStep {
        let ring_ms = self.target.ring_ms.min(TRANSFER_RING_MS_MAX);
        self.stage = Stage::Calling {
            until: now + u64::from(ring_ms),
            rings: false,
        };
        TransferStep::Call(self.target.clone())
    }

    /// The next step; `quiet`: nothing is being said or played.
    pub(crate) fn advance(&mut self, now: u64, quiet: bool) -> Option<TransferStep> {
        match self.stage {
            Stage::Draining { until } if quiet || now >= until => {
                if matches!(
                    self.target.mode,
                    TransferMode::Bridge | TransferMode::Attended | TransferMode::Conference
                ) {
                    return Some(self.call(now));
                }
                self.stage = Stage::Asked {
                    until: now + TRANSFER_MS_MAX,
                    accepted: false,
                };
                Some(TransferStep::Ask(self.target.clone()))
            }
            Stage::Asked { until, .. } | Stage::Calling { until, .. } if now >= until => {
                Some(TransferStep::TimedOut)
            }
            Stage::Announcing { until } if now >= until => Some(TransferStep::AnnouncementLost),
            Stage::Screening { until } if now >= until => Some(TransferStep::NotAccepted),
            Stage::Handing { until, .. } if now >= until => Some(TransferStep::NotTaken),
            Stage::Draining { .. }
            | Stage::Asked { .. }
            | Stage::Calling { .. }
            | Stage::Announcing { .. }
            | Stage::Screening { .. }
            | Stage::Handing { .. }
            | Stage::Conferring
            | Stage::Joined => None,
        }
    }

    pub(crate) fn timeout(&self) -> Option<u64> {
        match self.stage {
            Stage::Draining { until }
            | Stage::Asked { until, .. }
            | Stage::Calling { until, .. }
            | Stage::Announcing { until }
            | Stage::Screening { until }
            | Stage::Handing { until, .. } => Some(until),
            Stage::Conferring | Stage::Joined => None,
        }
    }
}
