//! Calls whose far end is not a voice model: the switchboard connects them with an application's WebSocket or with local audio.
//!
//! An engine that is given a [`Switchboard`] offers each admitted call of its lines to whoever holds the other end of it
//! ([`IncomingCall`]), instead of to an agent, and [`crate::Engine::place_patched`] places calls of the same kind. SIP, ports,
//! admission, journal and records are those of every call. Who decides what a call is connected with gives a [`FarEnd`], a closed
//! list; each call then tells what becomes of it ([`CallNews`]) and takes [`CallOrders`].

use std::collections::BTreeMap;
use std::time::Duration;

use call::EndReason;
use call::id::CallId;
use tokio::sync::mpsc;

/// Incoming calls that may wait to be looked at; further ones are refused as overload.
pub const INCOMING_MAX: usize = 64;
/// Orders that may wait for one call.
pub const ORDERS_MAX: usize = 16;
/// News of one call that may wait to be taken; its end is never lost.
pub const NEWS_MAX: usize = 32;
/// Frames of local audio that may wait, either way.
pub const LOCAL_FRAMES_MAX: usize = 50;
/// Samples of [`LocalFrame`].
pub const LOCAL_FRAME_SAMPLES: usize = media::frame::FRAME_SAMPLES;

/// 20 ms of linear audio at 8 kHz.
pub type LocalFrame = [i16; LOCAL_FRAME_SAMPLES];

/// What all patched calls of an engine have in common, and where incoming ones are offered.
#[derive(Clone, Debug)]
pub struct Switchboard {
    /// Loudness of what comes from the telephone, dB.
    pub rx_gain_db: f32,
    /// Loudness of what goes to the telephone, dB.
    pub tx_gain_db: f32,
    /// A call ends after this long; `None`: never.
    pub call_max: Option<Duration>,
    pub(crate) incoming: mpsc::Sender<IncomingCall>,
}

impl Switchboard {
    /// A switchboard, and where its incoming calls come out.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<IncomingCall>) {
        let (incoming, calls) = mpsc::channel(INCOMING_MAX);
        let switchboard = Self {
            rx_gain_db: 0.0,
            tx_gain_db: 0.0,
            call_max: None,
            incoming,
        };
        (switchboard, calls)
    }
}

/// A call that came in and waits for a decision. It does not ring there until it is told to; dropping it refuses the call.
#[derive(Debug)]
pub struct IncomingCall {
    /// Caller's number, or address where there is no number. In clear.
    pub from: String,
    /// Called number or address.
    pub to: String,
    /// The call.
    pub call: PatchedCall,
}

/// A call to place.
#[derive(Clone, Debug)]
pub struct PlacePatched {
    /// Line by which it goes out.
    pub line: String,
    /// `sip:` address, or a number that the line's domain is added to.
    pub to: String,
    /// `sip:` address or number shown as the caller; `None`: the line's.
    pub from: Option<String>,
    /// It is given up when it is not answered after this long.
    pub ring_max: Duration,
}

/// One call as its owner sees it. Dropping it ends the call.
#[derive(Debug)]
pub struct PatchedCall {
    pub(crate) id: CallId,
    pub(crate) orders: CallOrders,
    pub(crate) news: mpsc::Receiver<CallNews>,
}

impl PatchedCall {
    /// Id of the call, the same as in records.
    pub fn id(&self) -> &CallId {
        &self.id
    }

    /// A handle to tell it things.
    pub fn orders(&self) -> CallOrders {
        self.orders.clone()
    }

    /// What happened next; `None` after [`CallNews::Ended`]. Cancel safe.
    pub async fn next(&mut self) -> Option<CallNews> {
        self.news.recv().await
    }
}

/// Tells one call things. Each method is false when the call is over, or cannot take more now.
#[derive(Clone, Debug)]
pub struct CallOrders(pub(crate) mpsc::Sender<CallOrder>);

#[derive(Debug)]
pub(crate) enum CallOrder {
    Ring,
    Answer(FarEnd),
    Reject(u16),
    HangUp,
    Transfer(String),
}

impl CallOrders {
    fn give(&self, order: CallOrder) -> bool {
        self.0.try_send(order).is_ok()
    }

    /// An incoming call rings at the caller's (180).
    pub fn ring(&self) -> bool {
        self.give(CallOrder::Ring)
    }

    /// Connects the call. An incoming one is answered once the far end is there, and refused (503) where it cannot be had; of an
    /// outgoing one this is what it will be connected with when the other side answers.
    pub fn answer(&self, far_end: FarEnd) -> bool {
        self.give(CallOrder::Answer(far_end))
    }

    /// Refuses an incoming call with this status (400 to 699).
    pub fn reject(&self, status: u16) -> bool {
        self.give(CallOrder::Reject(status))
    }

    /// Ends the call in whatever state it is.
    pub fn hang_up(&self) -> bool {
        self.give(CallOrder::HangUp)
    }

    /// Hands the telephone's side over to another address or number (REFER); the news tell what became of it.
    pub fn transfer(&self, to: String) -> bool {
        self.give(CallOrder::Transfer(to))
    }
}

/// What a call is connected with.
#[derive(Debug)]
pub enum FarEnd {
    /// A WebSocket that is called as Twilio calls an application (Media Streams).
    Application(ApplicationEnd),
    /// Audio of this process.
    Local(LocalEnd),
}

/// An application that speaks Media Streams.
#[derive(Clone, Debug)]
pub struct ApplicationEnd {
    /// `ws://` or `wss://` address.
    pub url: String,
    /// `callSid` and `accountSid` of the stream.
    pub call_sid: String,
    /// See `call_sid`.
    pub account_sid: String,
    /// `customParameters`.
    pub parameters: BTreeMap<String, String>,
}

/// Audio of this process: what the telephone is told, and who hears it.
#[derive(Debug)]
pub struct LocalEnd {
    /// What is played to the telephone.
    pub says: LocalSource,
    /// Where the telephone's audio goes, frame by frame, silence included while its stream flows. Frames that are not taken in
    /// time are lost.
    pub hears: Option<mpsc::Sender<Box<LocalFrame>>>,
}

/// What is played to the telephone.
#[derive(Debug)]
pub enum LocalSource {
    /// Nothing.
    Silence,
    /// A tone of this many hertz.
    Tone(f32),
    /// What the telephone says itself.
    Echo,
    /// Linear samples at 8 kHz, once; or again and again.
    Samples {
        /// The samples.
        audio: Vec<i16>,
        /// Again and again.
        repeats: bool,
    },
    /// Frames that come in real time, such as a microphone's. The channel's end is silence.
    Frames(mpsc::Receiver<Box<LocalFrame>>),
}

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallNews {
    /// It rings at the other side.
    Ringing,
    /// It was answered.
    Answered,
    /// Audio flows between the telephone and the far end.
    Active,
    /// The other side agreed to try the transfer.
    TransferAccepted,
    /// The transfer failed, for this reason; the call goes on.
    TransferFailed(String),
    /// It is over. Last.
    Ended(CallEnding),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnding {
    /// Why.
    pub reason: EndReason,
    /// It had been answered.
    pub answered: bool,
    /// SIP status of the refusal, ours or the other side's.
    pub status: Option<u16>,
    /// It was given up by us before it was answered (told to hang up, or not answered in time).
    pub given_up: bool,
    /// What the far end's failure was, for people.
    pub detail: Option<String>,
}
