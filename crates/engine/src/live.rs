//! What can be watched from outside while calls run: the list of calls, and a lossy stream of events.

use call::end::EndReason;
use call::id::{CallId, TenantId};
use call::{Answerer, TranscriptEntry};

use crate::person::{LiveCalled, LiveParked, LivePerson};
use crate::quality::LegQuality;

/// Events kept for a slow watcher before it loses the oldest.
pub const LIVE_EVENTS_MAX: usize = 1_024;

/// A call that runs now.
#[derive(Clone, Debug)]
pub struct LiveCall {
    /// Id of the call, the same as in the store.
    pub id: CallId,
    /// Owner.
    pub tenant: TenantId,
    /// Line by which it came.
    pub line: String,
    /// Agent that speaks.
    pub agent: String,
    /// True when it came in, false when we placed it.
    pub inbound: bool,
    /// Caller's number or address, in clear: redact it before it goes into a log.
    pub from: String,
    /// Called number or address.
    pub to: String,
    /// When the INVITE came or went.
    pub started_at: jiff::Timestamp,
    /// State now.
    pub state: LiveState,
    /// Figures so far.
    pub timings: Timings,
    /// Who is on the line besides the caller and the agent.
    pub person: Option<LivePerson>,
    /// Who was called for the caller last.
    pub called: Option<LiveCalled>,
    /// The parking place in which its caller waits.
    pub parked: Option<LiveParked>,
    /// How the network treats its legs, as of the latest reading; none before the first.
    pub quality: Vec<LegQuality>,
}

/// State of a live call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveState {
    /// INVITE received or sent, no answer yet.
    Ringing,
    /// 200 sent or received, media may flow.
    Answered,
    /// Ending: the last words are being played, or the BYE is under way.
    Ending,
    /// Over.
    Ended,
}

/// Figures of a call, in milliseconds since its INVITE unless the name says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// First 18x.
    pub ring_ms: Option<u32>,
    /// Engine configured and ready.
    pub engine_ready_ms: Option<u32>,
    /// 200.
    pub answer_ms: Option<u32>,
    /// From the ACK to the first packet of the agent's voice.
    pub answer_to_first_audio_ms: Option<u32>,
    /// From the end of the caller's latest turn to the agent's first packet.
    pub last_turn_ms: Option<u32>,
    /// Number of interruptions so far.
    pub interruptions: u32,
    /// Times that the engine took our own echo for the caller, and nothing was cut.
    pub false_barge_ins: u32,
    /// Who answered a call of ours, where that was asked.
    pub answered_by: Option<Answerer>,
}

/// Something that happened in a live call.
#[derive(Clone, Debug)]
pub struct LiveEvent {
    /// The call.
    pub call: CallId,
    /// Its owner.
    pub tenant: TenantId,
    /// Milliseconds since its INVITE.
    pub at_ms: u64,
    /// What happened.
    pub kind: LiveEventKind,
}

/// Kinds of [`LiveEvent`].
#[derive(Clone, Debug)]
pub enum LiveEventKind {
    /// The call began.
    Started(Box<LiveCall>),
    /// Its state or timings changed.
    Changed {
        /// New state.
        state: LiveState,
        /// Timings now.
        timings: Timings,
    },
    /// Who is on the line besides the caller and the agent changed; `None`: nobody is any more.
    Person(Option<LivePerson>),
    /// How far it is with who was called for the caller last.
    Called(Option<LiveCalled>),
    /// The caller waits in a parking place; `None`: not any more.
    Parked(Option<LiveParked>),
    /// A line of the transcript is complete.
    Transcript(TranscriptEntry),
    /// A piece of what the agent is about to say, as the engine produces it.
    AgentDelta {
        /// Engine's item.
        item: String,
        /// Text to append.
        delta: String,
    },
    /// It is known who answered a call of ours.
    AnsweredBy {
        /// Who.
        who: Answerer,
    },
    /// How the network treats its legs; every [`crate::limits::STATISTICS_EVERY`].
    Quality(Vec<LegQuality>),
    /// The caller began to speak.
    CallerSpeaking,
    /// The caller interrupted the agent; `played_ms` of the item were heard.
    Interrupted {
        /// Engine's item.
        item: String,
        /// Milliseconds that were sent to the caller.
        played_ms: u32,
    },
    /// The call is over.
    Ended {
        /// Why.
        reason: EndReason,
        /// Final figures.
        timings: Timings,
    },
}
