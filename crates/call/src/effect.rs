//! Everything that a session can ask of the shell.

use crate::answering::Answerer;
use crate::end::EndReason;
use crate::id::{ItemId, ToolCallId};
use crate::input::EngineFailure;
use crate::opening::OpeningWords;
use crate::secure::TypedDigits;
use crate::transcript::TranscriptEntry;
use crate::transfer::{ScreenOutcome, TargetDrop, TransferTarget};

/// Why the model is asked to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A machine speaks: said before anything else, and never interrupted.
    Disclosure,
    /// The first words of the call.
    Greeting,
    /// The caller is silent.
    Reprompt,
    /// The maximum duration is near.
    Warning,
    /// The last words of the call.
    Goodbye,
    /// Tool outputs are there.
    ToolResult,
    /// A tool is slow.
    ToolFiller,
    /// Go on after a false interruption.
    Resume,
    /// Go on after a reconnection.
    Reconnected,
    /// The caller's words got no reply from the engine by itself.
    Reply,
    /// Answer to keypad tones.
    Dtmf,
    /// A person told the model something.
    Instruct,
    /// A transfer did not happen: the caller is still there.
    TransferFailed,
    /// The person whom the caller was handed to has left: the caller is back.
    Returned,
    /// A person hears caller and agent from here on, and is heard by both.
    Conferred,
}

/// Sounds that the product holds itself, so that they need no engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalSound {
    /// "We are sorry, …": before the end of a call without an engine.
    Apology,
    /// "One moment, please."
    OneMoment,
}

impl LocalSound {
    /// The playout item under which the shell plays this sound.
    pub fn item(self) -> ItemId {
        match self {
            Self::Apology => ItemId::from("local:apology"),
            Self::OneMoment => ItemId::from("local:one_moment"),
        }
    }
}

/// Author of a message added to the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// In the caller's name (keypad tones).
    User,
    /// From the house.
    System,
    /// What the agent said without the model.
    Agent,
}

/// Decisions of the session, for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The phase changed.
    PhaseChanged {
        /// Label of the phase left.
        from: &'static str,
        /// Label of the phase entered.
        to: &'static str,
    },
    /// The caller spoke over the agent.
    BargeIn {
        /// The item that was cut.
        item: ItemId,
        /// What the caller had heard of it.
        played_ms: u32,
    },
    /// The interruption was a noise.
    FalseInterruption,
    /// What the engine took for the caller was our own echo, or no voice: nothing was cut.
    FalseBargeIn {
        /// The item that it became.
        item: ItemId,
    },
    /// The agent asked for something that is dictated: the engine waits longer for the end of it, or as always again.
    Dictation {
        /// It waits longer.
        on: bool,
    },
    /// The goodbye is protected from now on.
    GoodbyeStarted {
        /// Why the call ends.
        reason: EndReason,
    },
    /// The goodbye was played to its end, or its bound passed.
    GoodbyeFinished {
        /// Played to its end.
        complete: bool,
    },
    /// The caller was asked whether they are there.
    Reprompted {
        /// How many times so far.
        count: u8,
    },
    /// The caller was warned of the end.
    MaxDurationWarned,
    /// The engine was lost or did not come.
    EngineLost {
        /// Why.
        failure: EngineFailure,
        /// Attempts made in this outage.
        attempt: u8,
    },
    /// The engine is there (again).
    EngineReady {
        /// It came back after a loss.
        again: bool,
    },
    /// The engine owed speech and stayed silent for too long: it is taken as lost.
    EngineStalled,
    /// The engine session is being replaced before it expires.
    Rotating,
    /// A tool call was refused by the ledger.
    ToolRefused {
        /// The tool call.
        id: ToolCallId,
        /// Name that the model gave.
        name: String,
        /// Label of the refusal.
        why: &'static str,
    },
    /// A tool began.
    ToolStarted {
        /// The tool call.
        id: ToolCallId,
        /// Its name.
        name: String,
    },
    /// A tool ended.
    ToolFinished {
        /// The tool call.
        id: ToolCallId,
        /// Label of the outcome: ok, refused, failed, timed_out.
        outcome: &'static str,
        /// How long it ran.
        took_ms: u64,
    },
    /// The caller would have heard nothing: a deliberate sound covers it.
    DeadAirCovered {
        /// How long the silence had lasted.
        silent_ms: u64,
    },
    /// The caller's side put us on hold, or took us back.
    Hold {
        /// On hold.
        held: bool,
    },
    /// It is known who answered our call; a machine may be told of again, at its beep.
    AnsweredBy {
        /// Who.
        who: Answerer,
    },
    /// The disclosure was played to its end, or its bound passed.
    Disclosed,
    /// The leg was asked to hand the caller over.
    TransferStarted {
        /// Name of the target.
        target: String,
    },
    /// The other side hands nobody over; a second leg is called instead, or the one that is there is joined.
    TransferDeclined {
        /// Why, in its words.
        reason: String,
    },
    /// A second leg is called, to be joined with the caller's.
    TargetCalled {
        /// Name of the target.
        target: String,
    },
    /// The second leg rings, and the caller hears it.
    TargetRings,
    /// What the second leg was to be told is over.
    TargetAnnounced {
        /// It was heard to its end.
        heard: bool,
    },
    /// The person of the second leg said whether they take the caller, or did not.
    TargetScreened {
        /// Which.
        outcome: ScreenOutcome,
    },
    /// The person has left, and the caller is back with the agent.
    Returned,
    /// A person of the house has come by themselves.
    PersonCame {
        /// Their name.
        name: String,
    },
    /// Caller, agent and person hear each other.
    Conferred,
    /// The agent has left, and the caller and the person go on without it.
    AgentLeft,
    /// The caller waits in a parking place.
    Parked {
        /// Which.
        place: u16,
        /// Who put them there.
        by: String,
    },
    /// A person has taken the caller out of the place.
    Retrieved {
        /// Which.
        place: u16,
        /// Who.
        by: String,
        /// How long the caller waited.
        waited_ms: u64,
    },
    /// Nobody has: the agent has the caller again.
    ParkingEnded {
        /// Which.
        place: u16,
        /// How long the caller waited.
        waited_ms: u64,
        /// The time was over; otherwise a person gave the caller to the agent.
        timed_out: bool,
    },
    /// The second leg hung up on the caller that it was joined with.
    TargetEnded {
        /// How.
        reason: String,
    },
    /// The transfer is over.
    TransferFinished {
        /// The caller was taken.
        done: bool,
        /// Why not.
        reason: String,
    },
    /// Secure input began or ended.
    SecureInput {
        /// It began.
        on: bool,
    },
    /// The balance or the budget is spent.
    BudgetSpent,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell the caller's side that it rings (180).
    Ring,
    /// Answer the call (200).
    Answer,
    /// Refuse the call with the reason's SIP status.
    RejectCall {
        /// Why.
        reason: EndReason,
    },
    /// Open and configure an engine session.
    ConnectEngine {
        /// Attempt in this outage, from 1.
        attempt: u8,
        /// Replay the transcript so far into it.
        replay: bool,
    },
    /// Close the engine session.
    CloseEngine,
    /// Open a new engine session with the conversation replayed and close the old one; answered by `EngineReady` or `EngineLost`.
    RotateEngine,
    /// Ask the model to speak.
    CreateResponse {
        /// Why.
        purpose: Purpose,
        /// Instructions of this response alone.
        instructions: Option<String>,
        /// The model may call tools in it.
        tools_allowed: bool,
    },
    /// Stop the active response.
    CancelResponse,
    /// Tell the engine what the caller heard of an item.
    TruncateItem {
        /// The item.
        item: ItemId,
        /// Milliseconds played.
        played_ms: u32,
    },
    /// How long the caller may pause before the engine takes the turn for over.
    Patience {
        /// At least so many milliseconds; `None`: as the engine was set up.
        patience_ms: Option<u32>,
    },
    /// Make what is played quieter, or as loud as before: it is not known yet whether the caller speaks.
    Duck {
        /// Quieter.
        on: bool,
    },
    /// Empty the playout queue at once; answered by `PlayoutCleared`.
    ClearPlayout,
    /// No more audio comes for this item: what is queued of it is all there will be.
    FinishItem {
        /// The item.
        item: ItemId,
    },
    /// Begin to play what is queued.
    ReleasePlayout,
    /// Whether the engine hears the caller.
    MuteCaller {
        /// It does not.
        muted: bool,
    },
    /// Whether the caller's sound is kept for the engine instead of being given to it; given, all of it, once it is not.
    HoldCaller {
        /// It is kept.
        held: bool,
        /// The disclosure was played to its end.
        said: bool,
    },
    /// Whether everything of the caller is hidden: sound and keys reach neither engine, recording, journal nor watchers.
    SecureInput {
        /// Hidden.
        on: bool,
    },
    /// Hand the caller over; answered by `TransferFinished`.
    Transfer {
        /// Where to.
        target: TransferTarget,
    },
    /// Call a second leg; answered by `TargetRings`, `TargetAnswered`, `TargetEnded`. Never while another lives.
    CallTarget {
        /// Whom.
        target: TransferTarget,
    },
    /// Tell the second leg, which has answered, what it is to be told; answered by `AnnouncementEnded`. Nobody else hears it.
    Announce {
        /// The person is asked for a key at its end.
        asks: bool,
    },
    /// Ask the caller's side to take our place towards the second leg; answered by `TransferAccepted`, `TransferFinished`. What is
    /// being announced stops. Only while a second leg that answered lives.
    HandOver,
    /// The caller and the second leg hear each other from here on, and the agent neither; also where the three did before. What is
    /// being announced stops.
    Join,
    /// The caller, the agent and the second leg hear each other from here on. What is being announced stops.
    Confer,
    /// The caller waits in this place, and hears that somebody will take them. The second leg that was there has been ended.
    Park {
        /// Which.
        place: u16,
    },
    /// The caller is in no place any more. Comes once for each `Park`, whatever becomes of the caller.
    Unpark,
    /// End the second leg in whatever state it is. Nothing of it is to be told any more.
    DropTarget {
        /// Why.
        why: TargetDrop,
    },
    /// The caller hears that it rings.
    Ringback {
        /// It does.
        on: bool,
    },
    /// Run an external tool; answered by `ToolFinished`.
    RunTool {
        /// The tool call; also its idempotency key.
        id: ToolCallId,
        /// Name of the tool.
        name: String,
        /// JSON text of the arguments (an object).
        arguments: String,
        /// Time allowed, in milliseconds.
        deadline_ms: u32,
        /// What the caller typed for it in secrecy.
        typed: Option<TypedDigits>,
    },
    /// Give a tool's output to the engine.
    SubmitToolOutput {
        /// The tool call.
        id: ToolCallId,
        /// Text for the model.
        output: String,
    },
    /// Send keypad tones to the caller's side.
    SendDtmf {
        /// 1 to 32 of 0-9, *, #, A-D.
        digits: String,
    },
    /// Play a sound of ours, under `LocalSound::item`.
    PlayLocal {
        /// Which.
        sound: LocalSound,
    },
    /// Play prepared words, under `OpeningWords::item`.
    PlayRecorded {
        /// Which.
        words: OpeningWords,
    },
    /// A quiet deliberate sound while the queue is empty.
    Background {
        /// On.
        on: bool,
    },
    /// End the leg; answered by `LegEnded`.
    HangUp {
        /// Why.
        reason: EndReason,
    },
    /// Add a message to the conversation.
    AddMessage {
        /// Author.
        role: Role,
        /// Text.
        text: String,
    },
    /// A line of the transcript became known, or is replaced (same item and role).
    Record(TranscriptEntry),
    /// A decision, for the journal.
    Journal(SessionEvent),
    /// The session is over. Last, exactly once.
    Ended {
        /// Why.
        reason: EndReason,
    },
}
