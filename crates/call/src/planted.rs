//! Faults that the watcher of random calls must see (`tests/call_faults.rs`): each breaks one promise of this crate. Without the
//! feature `planted-faults`, which only that test asks for and which no release build takes, nothing of them is compiled in.

/// One way to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A refused tool call is not answered.
    AnswerForgotten,
    /// A tool call that was admitted before runs again.
    RunsTwice,
    /// A tool run that is over may be over again.
    AnsweredTwice,
    /// The session never comes to rest after an input.
    NeverSettles,
    /// Something is journalled after the end.
    TellsAfterEnd,
    /// A timer is left after the end.
    TimerAfterEnd,
    /// The end is told twice.
    EndsTwice,
    /// A leg that does not confirm its end is waited for for ever.
    NeverEnds,
    /// What is due already is a timer.
    TimerInPast,
    /// Secure input is not switched off with the call.
    SecureStays,
    /// Secure input is told to be on each time that somebody wants it.
    SecureTwice,
    /// The caller's sound is told to be held each time that it is.
    HoldTwice,
    /// A caller who speaks cuts the disclosure.
    DisclosureCut,
    /// A second leg is not ended with the call.
    TargetStays,
    /// A second leg that has gone is ended again.
    TargetEndedTwice,
    /// Caller, agent and person are brought together twice.
    ConfersTwice,
    /// A person who came and has no place stays.
    PersonStays,
    /// The agent is with the caller again, and nothing says so.
    ReturnsUntold,
    /// A parking place is not given back with the call.
    ParkStays,
    /// The ringing is not switched off with the call.
    RingbackStays,
    /// The call is answered twice.
    AnswersTwice,
    /// The leg is told twice to hang up.
    HangsUpTwice,
    /// The background sound is not switched off with the call.
    BackgroundStays,
    /// A response is asked of an engine that is not there.
    AsksNobody,
    /// A response is asked for after the hang-up.
    SpeaksAfterHangUp,
}

impl Planted {
    pub const ALL: &[Self] = &[
        Self::AnswerForgotten,
        Self::RunsTwice,
        Self::AnsweredTwice,
        Self::NeverSettles,
        Self::TellsAfterEnd,
        Self::TimerAfterEnd,
        Self::EndsTwice,
        Self::NeverEnds,
        Self::TimerInPast,
        Self::SecureStays,
        Self::SecureTwice,
        Self::HoldTwice,
        Self::DisclosureCut,
        Self::TargetStays,
        Self::TargetEndedTwice,
        Self::ConfersTwice,
        Self::PersonStays,
        Self::ReturnsUntold,
        Self::ParkStays,
        Self::RingbackStays,
        Self::AnswersTwice,
        Self::HangsUpTwice,
        Self::BackgroundStays,
        Self::AsksNobody,
        Self::SpeaksAfterHangUp,
    ];
}

#[cfg(feature = "planted-faults")]
mod active {
    use super::Planted;

    #[cfg(not(debug_assertions))]
    compile_error!("faults are planted for tests only");

    std::thread_local! {
        static FAULT: std::cell::Cell<Option<Planted>> = const { std::cell::Cell::new(None) };
    }

    /// Plants a fault in every session of this thread; `None` removes it.
    pub fn plant(fault: Option<Planted>) {
        FAULT.with(|known| known.set(fault));
    }

    pub(crate) fn has(fault: Planted) -> bool {
        FAULT.with(|known| known.get() == Some(fault))
    }
}

#[cfg(feature = "planted-faults")]
pub(crate) use active::has;
#[cfg(feature = "planted-faults")]
pub use active::plant;

#[cfg(not(feature = "planted-faults"))]
pub(crate) const fn has(_: Planted) -> bool {
    false
}
