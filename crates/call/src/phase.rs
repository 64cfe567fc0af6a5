//! The phases of a call and the only ways from one to another.

/// Where the call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// An inbound call rings; the engine connects meanwhile.
    Ringing,
    /// An outbound call is not answered yet.
    Dialing,
    /// The answer is sent; its acknowledgement is awaited.
    Answering,
    /// The conversation.
    Talking,
    /// The caller is being handed over.
    Transferring,
    /// The caller and the person they were handed to talk through us; the agent has left.
    Joined,
    /// The caller waits in a parking place, with nobody, until a person takes them or their time there is over.
    Parked,
    /// The last words, protected from interruption.
    Goodbye,
    /// A sound of ours tells the caller that it does not work.
    Apologising,
    /// The end of the leg is awaited.
    HangingUp,
    /// Over.
    Ended,
}

/// Every legal transition. A transition that is not here is a fault of this crate.
const LEGAL: &[(Phase, Phase)] = &[
    (Phase::Ringing, Phase::Answering),
    (Phase::Ringing, Phase::HangingUp),
    (Phase::Ringing, Phase::Ended),
    (Phase::Dialing, Phase::Talking),
    (Phase::Dialing, Phase::HangingUp),
    (Phase::Dialing, Phase::Ended),
    (Phase::Answering, Phase::Talking),
    (Phase::Answering, Phase::HangingUp),
    (Phase::Answering, Phase::Ended),
    (Phase::Talking, Phase::Transferring),
    (Phase::Transferring, Phase::Talking),
    (Phase::Transferring, Phase::HangingUp),
    (Phase::Transferring, Phase::Joined),
    (Phase::Transferring, Phase::Ended),
    (Phase::Joined, Phase::Talking),
    (Phase::Joined, Phase::Parked),
    (Phase::Parked, Phase::Joined),
    (Phase::Parked, Phase::Talking),
    (Phase::Parked, Phase::HangingUp),
    (Phase::Parked, Phase::Ended),
    (Phase::Joined, Phase::HangingUp),
    (Phase::Joined, Phase::Ended),
    (Phase::Talking, Phase::Joined),
    (Phase::Talking, Phase::Goodbye),
    (Phase::Talking, Phase::Apologising),
    (Phase::Talking, Phase::HangingUp),
    (Phase::Talking, Phase::Ended),
    (Phase::Goodbye, Phase::Joined),
    (Phase::Goodbye, Phase::HangingUp),
    (Phase::Goodbye, Phase::Ended),
    (Phase::Apologising, Phase::HangingUp),
    (Phase::Apologising, Phase::Ended),
    (Phase::HangingUp, Phase::Ended),
];

impl Phase {
    /// Whether the table allows the transition.
    pub fn may_become(self, next: Self) -> bool {
        LEGAL.contains(&(self, next))
    }

    /// The label for the journal.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ringing => "ringing",
            Self::Dialing => "dialing",
            Self::Answering => "answering",
            Self::Talking => "talking",
            Self::Transferring => "transferring",
            Self::Joined => "joined",
            Self::Parked => "parked",
            Self::Goodbye => "goodbye",
            Self::Apologising => "apologising",
            Self::HangingUp => "hanging_up",
            Self::Ended => "ended",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Phase; 11] = [
        Phase::Ringing,
        Phase::Dialing,
        Phase::Answering,
        Phase::Talking,
        Phase::Transferring,
        Phase::Joined,
        Phase::Parked,
        Phase::Goodbye,
        Phase::Apologising,
        Phase::HangingUp,
        Phase::Ended,
    ];

    #[test]
    fn nothing_follows_the_end() {
        for next in ALL {
            assert!(!Phase::Ended.may_become(next));
        }
    }

    #[test]
    fn every_phase_can_end_and_none_becomes_itself() {
        for phase in ALL {
            assert!(
                phase == Phase::Ended || phase.may_become(Phase::Ended),
                "{phase:?}"
            );
            assert!(!phase.may_become(phase));
        }
    }
}
