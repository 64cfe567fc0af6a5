//! Faults that the simulator must see (`tests/pair_faults.rs`): each breaks one promise of this crate. Without the feature
//! `planted-faults`, which only that test asks for and which no release build takes, nothing of them is compiled in.

/// One way to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A client transaction is not forgotten when its time is over.
    ClientStays,
    /// A server transaction is not forgotten when its time is over.
    ServerStays,
    /// The key of a dialog that has ended stays in the table.
    DialogStays,
    /// The key of a client transaction that has ended stays in the index.
    KeyStays,
    /// A stream that nobody uses is never closed.
    StreamStays,
    /// Hanging up sends no BYE.
    ByeForgotten,
    /// A call that is given up before its answer sends no CANCEL.
    CancelForgotten,
    /// A 2xx is not acknowledged.
    AckForgotten,
    /// The second answer of a fork is acknowledged and kept.
    ForkKept,
    /// Something is told of an invite after its end.
    TellsAfterEnd,
    /// The end is told each time that there is a cause.
    EndsTwice,
    /// A cancelled call does not tell its end.
    EndForgotten,
    /// The shell hears of the ACK before it came.
    EstablishedEarly,
    /// The peer's CANCEL after our answer is told as one before it.
    CancelAfterAnswer,
    /// BYE takes the CSeq number of the request before.
    SequenceShared,
    /// A late request is obeyed.
    OrderIgnored,
    /// A repeated request is taken for a new one.
    RepetitionIgnored,
    /// The repetitions of a request come at the first interval for ever.
    NoBackoff,
    /// Nobody refreshes a session.
    SessionNotRefreshed,
    /// A registration is not refreshed.
    BindingNotRefreshed,
    /// A registration is refreshed at its last moment.
    BindingRefreshedLate,
    /// A removed account stays bound.
    BindingNotRemoved,
}

impl Planted {
    pub const ALL: &[Self] = &[
        Self::ClientStays,
        Self::ServerStays,
        Self::DialogStays,
        Self::KeyStays,
        Self::StreamStays,
        Self::ByeForgotten,
        Self::CancelForgotten,
        Self::AckForgotten,
        Self::ForkKept,
        Self::TellsAfterEnd,
        Self::EndsTwice,
        Self::EndForgotten,
        Self::EstablishedEarly,
        Self::CancelAfterAnswer,
        Self::SequenceShared,
        Self::OrderIgnored,
        Self::RepetitionIgnored,
        Self::NoBackoff,
        Self::SessionNotRefreshed,
        Self::BindingNotRefreshed,
        Self::BindingRefreshedLate,
        Self::BindingNotRemoved,
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

    /// Plants a fault in every user agent of this thread; `None` removes it.
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
