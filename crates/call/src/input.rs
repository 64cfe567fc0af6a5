//! Everything that can happen to a session.

use crate::answering::Answerer;
use crate::echo::Heard;
use crate::id::{ItemId, ResponseId, ToolCallId};
use crate::parking::Parking;
use crate::transfer::{Seat, TransferEnd, TransferTarget};

/// How the leg ended, as its own side tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegEnd {
    /// The caller hung up (BYE), or our own hang-up is complete.
    RemoteHangUp,
    /// The caller gave up before the answer (CANCEL).
    Cancelled,
    /// The other side vanished: no media.
    Lost,
    /// The session timer ran out (RFC 4028).
    SessionExpired,
    /// The answer was never acknowledged.
    AckMissing,
    /// The connection that carries the signalling is gone.
    TransportLost,
    /// Anything else.
    Failed,
}

/// Why the engine is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineFailure {
    /// The credentials are refused (401, 403): trying again cannot help.
    Refused,
    /// Too many requests or no quota (429).
    RateLimited,
    /// The service answers with a 5xx.
    Unavailable,
    /// No connection: DNS, TCP or TLS.
    Unreachable,
    /// Nothing came within the time allowed.
    Timeout,
    /// The connection was closed, with the WebSocket code when there was one.
    Closed {
        /// WebSocket close code (RFC 6455 section 7.4).
        code: Option<u16>,
    },
    /// The service rejected the session's settings: trying again cannot help.
    Rejected,
    /// The session reached its age limit.
    Expired,
}

impl EngineFailure {
    /// Whether a new attempt can succeed.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Refused | Self::Rejected => false,
            Self::RateLimited
            | Self::Unavailable
            | Self::Unreachable
            | Self::Timeout
            | Self::Closed { .. }
            | Self::Expired => true,
        }
    }
}

/// How a response of the engine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseStatus {
    /// It said what it had to say.
    Completed,
    /// Cancelled, by us or by the engine's own voice detection.
    Cancelled,
    /// Cut by a limit or a filter.
    Incomplete,
    /// The engine failed to produce it.
    Failed {
        /// The engine's own error code.
        code: String,
    },
}

/// How a tool run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolOutcome {
    /// The tool answered.
    Ok {
        /// Text for the model.
        output: String,
    },
    /// The tool answered, and the call ends after a protected goodbye.
    HangUp {
        /// Text for the model.
        output: String,
    },
    /// The tool answered, and the caller is handed over once the last words are played.
    Transfer {
        /// Text for the model.
        output: String,
        /// Where to.
        target: TransferTarget,
    },
    /// The tool ran and failed; what the model is told says so in its own words.
    Told {
        /// Text for the model.
        output: String,
    },
    /// The tool said no (a 4xx): the model is told why.
    Refused {
        /// Reason for the model.
        reason: String,
    },
    /// The tool failed.
    Failed {
        /// Reason for the model.
        reason: String,
    },
    /// The tool did not answer in time.
    TimedOut,
}

/// Who asked for the end of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    /// A person or a program, through the API.
    Operator,
    /// The process is going down.
    Shutdown,
}

/// What a person of the house does who comes into a running call by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersonInput {
    /// They come, with a leg of their own that is there already: a second leg, which the session seats or ends at once. Never while
    /// another second leg lives.
    Comes {
        /// Their name, for the model and the record.
        name: String,
        /// Where they want to be.
        seat: Seat,
    },
    /// Whoever is on the line changes their place.
    Moves {
        /// Where they want to be.
        seat: Seat,
    },
    /// Whoever is being called is not wanted any more: nobody is called, and the agent goes on.
    CalledOff,
    /// Whoever is on the line leaves, and the caller waits in a parking place.
    Parks(Parking),
    /// The agent has the caller again; whoever is on the line leaves. Also out of a parking place.
    HandsBack {
        /// What the agent is to know; may be empty.
        note: String,
        /// They do not leave: they are beside the agent from then on.
        stay: bool,
    },
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The answer is acknowledged: media may flow.
    LegAnswered,
    /// The leg is over.
    LegEnded {
        /// How.
        cause: LegEnd,
    },
    /// A call of ours: the sound tells who answered. A machine may be followed by its beep.
    AnsweredBy {
        /// Who.
        who: Answerer,
    },
    /// A call of ours: the greeting of the machine is over, without a beep.
    MachineWaits,
    /// The caller pressed a key.
    Dtmf {
        /// 0-9, *, #, A-D.
        digit: char,
    },
    /// No packet has come from the caller for a while.
    MediaLost {
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// Packets come again.
    MediaResumed,
    /// The caller's side put us on hold, or took us back.
    HoldChanged {
        /// On hold.
        held: bool,
    },

    /// The engine's session is configured.
    EngineReady {
        /// How long the session may live, when the engine says it.
        expires_in_ms: Option<u64>,
    },
    /// The engine is gone, or never came.
    EngineLost {
        /// Why.
        failure: EngineFailure,
    },
    /// The engine announces that it closes this session soon.
    EngineExpires {
        /// In how many milliseconds.
        in_ms: u64,
    },
    /// The engine hears the caller.
    UserSpeechStarted {
        /// The item that the speech will become.
        item: ItemId,
    },
    /// The engine hears a voice, and by the sound it may be what we say, come back from the line: in the place of
    /// [`Input::UserSpeechStarted`].
    UserSpeechDoubted {
        /// The item that the speech will become.
        item: ItemId,
    },
    /// The sound tells whose voice is heard; handed in for each frame while [`crate::Session::doubts_speech`], where it is clear.
    HeardJudged {
        /// Whose.
        heard: Heard,
    },
    /// The engine hears the caller's silence.
    UserSpeechStopped {
        /// The item of the speech.
        item: ItemId,
    },
    /// What the caller said will not be known: the engine could not write it.
    UserTranscriptMissing {
        /// The item of the speech.
        item: ItemId,
    },
    /// What the caller said.
    UserTranscript {
        /// The item of the speech.
        item: ItemId,
        /// The words; empty when there were none.
        text: String,
    },
    /// The second leg rings there.
    TargetRings,
    /// The second leg answered, and its audio is agreed.
    TargetAnswered,
    /// The answer to [`crate::Effect::Announce`].
    AnnouncementEnded {
        /// It was heard to its end; false where it could not be said.
        heard: bool,
    },
    /// The person of the second leg pressed a key.
    TargetPressed {
        /// 0-9, *, #, A-D.
        digit: char,
    },
    /// The second leg is over, or could not be called.
    TargetEnded {
        /// Why, in a few words for the model: `busy`, `no answer`, `refused`, `unreachable`; `hung up` after its answer.
        reason: String,
    },
    /// Of a person of the house on the line.
    Person(PersonInput),
    /// The other side wrote (a text chat): it is answered, as words that were spoken are.
    UserText {
        /// The words.
        text: String,
    },
    /// A response begins.
    ResponseStarted {
        /// Its id.
        response: ResponseId,
    },
    /// The first audio of an item reached the playout queue.
    AgentAudioStarted {
        /// The item.
        item: ItemId,
        /// The response that it belongs to.
        response: ResponseId,
    },
    /// All audio of an item reached the playout queue.
    AgentAudioDone {
        /// The item.
        item: ItemId,
    },
    /// What the agent said, in full.
    AgentTranscript {
        /// The item.
        item: ItemId,
        /// The words.
        text: String,
    },
    /// The model calls a tool.
    ToolCalled {
        /// The engine's id of the call.
        id: ToolCallId,
        /// Name of the tool.
        name: String,
        /// JSON text of the arguments, as the model wrote it.
        arguments: String,
    },
    /// A response is over.
    ResponseDone {
        /// Its id.
        response: ResponseId,
        /// How.
        status: ResponseStatus,
    },

    /// An item's first sound went to the caller, or it goes on after it was starved.
    PlayoutStarted {
        /// The item.
        item: ItemId,
    },
    /// The queue ran dry in the middle of an item.
    PlayoutStarved {
        /// The item.
        item: ItemId,
    },
    /// An item was played to its end.
    PlayoutFinished {
        /// The item.
        item: ItemId,
        /// Its length, in milliseconds.
        played_ms: u32,
    },
    /// The answer to [`crate::Effect::ClearPlayout`]: one per item that was queued, or one without an item when none was.
    PlayoutCleared {
        /// The item, when there was one.
        item: Option<ItemId>,
        /// What the caller heard of it, in milliseconds.
        played_ms: u32,
        /// It had been played to its end.
        finished: bool,
    },
    /// The playout queue is empty.
    PlayoutDrained,

    /// A tool run is over.
    ToolFinished {
        /// The tool call.
        id: ToolCallId,
        /// How.
        outcome: ToolOutcome,
    },
    /// Someone ends the call.
    HangUpRequested {
        /// Who.
        by: Requester,
    },
    /// Someone hands the caller over.
    TransferRequested {
        /// Where to.
        target: TransferTarget,
    },
    /// The other side agreed to try the transfer (202, or the carrier took the request).
    TransferAccepted,
    /// The transfer is over.
    TransferFinished {
        /// How.
        end: TransferEnd,
    },
    /// Someone sends keypad tones to the caller's side.
    SendDtmf {
        /// 1 to 32 of 0-9, *, #, A-D.
        digits: String,
    },
    /// A person switches secure input on or off.
    SecureInput {
        /// On.
        on: bool,
    },
    /// The balance or the budget of the call's owner is spent: the call ends with a goodbye.
    BudgetSpent,
    /// A person tells the model something.
    Instruct {
        /// The text, for the model.
        text: String,
    },
    /// The instant of `poll_timeout` has passed.
    Timeout,
}
