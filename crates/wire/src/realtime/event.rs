//! What the engine tells, in the words of this house.

use std::sync::Arc;

/// One event of the engine, for the shell.
#[derive(Clone, Debug, PartialEq)]
pub enum EngineEvent {
    /// The session exists and has our settings (`session.created` and `session.updated` came).
    Ready,
    /// Our settings were rejected, or the engine reported an error that ends the session.
    /// Sent at most once; nothing useful follows.
    Refused {
        /// The engine's code, for example `unknown_parameter`; its error type where it gave no code.
        code: String,
        /// The engine's sentence.
        message: String,
        /// Dotted path of the setting at fault.
        param: Option<String>,
    },
    /// The caller began to speak.
    SpeechStarted {
        /// Item that the utterance will become.
        item: String,
        /// Position in the session's input audio, in milliseconds.
        audio_start_ms: u64,
    },
    /// The caller stopped.
    SpeechStopped {
        /// Item of the utterance.
        item: String,
        /// Position in the session's input audio, in milliseconds.
        audio_end_ms: u64,
    },
    /// The caller's utterance is part of the conversation.
    UserCommitted {
        /// Item of the utterance.
        item: String,
    },
    /// What the caller said; may come before or after the answer to it.
    UserTranscript {
        /// Item of the utterance.
        item: String,
        /// The whole transcript.
        text: String,
    },
    /// The caller's utterance could not be transcribed; the conversation goes on.
    UserTranscriptFailed {
        /// Item of the utterance.
        item: String,
        /// The engine's sentence.
        message: String,
    },
    /// The caller stayed silent for the time set as `idle_timeout_ms`; the engine answers by itself.
    IdleTimeout,
    /// The engine began a response.
    ResponseStarted {
        /// Its id.
        response: String,
    },
    /// Audio of the active response in the output format; never of a cancelled response.
    Audio {
        /// Response it belongs to.
        response: String,
        /// Item it belongs to.
        item: Arc<str>,
        /// Bytes in the session's output format.
        audio: Vec<u8>,
    },
    /// All audio of the item has come.
    AudioDone {
        /// The item.
        item: Arc<str>,
    },
    /// More of what the agent says, ahead of what was heard.
    AgentTranscriptDelta {
        /// The item.
        item: Arc<str>,
        /// The text to add.
        delta: String,
    },
    /// The whole text of what the agent says in this item.
    AgentTranscript {
        /// The item.
        item: Arc<str>,
        /// The text.
        text: String,
    },
    /// The model calls a tool. Each `call_id` is reported once.
    ToolCalled {
        /// Id to answer with.
        call_id: String,
        /// Name of the tool.
        name: String,
        /// Arguments, JSON text as the model wrote it (not checked here).
        arguments: String,
        /// Item of the call.
        item: String,
    },
    /// A response ended.
    ResponseDone {
        /// Its id.
        response: String,
        /// How.
        status: ResponseStatus,
        /// What it cost; absent for failed responses.
        usage: Option<Usage>,
    },
    /// The engine takes a tool call back (the caller interrupted): its result is of no use to the model.
    ToolCancelled {
        /// The call.
        call_id: String,
    },
    /// What was used, by engines that tell it apart from the end of a response.
    UsageReported {
        /// Since the last report.
        usage: Usage,
    },
    /// The engine will close this connection soon.
    GoingAway {
        /// In how many milliseconds, when it says so.
        left_ms: Option<u64>,
    },
    /// The engine's limits after this response.
    RateLimits {
        /// One entry a limit.
        limits: Vec<RateLimit>,
    },
    /// The session reached its longest duration; the engine closes it.
    Expired,
    /// The engine cut an item to what was heard.
    ItemTruncated {
        /// The item.
        item: String,
        /// Milliseconds kept.
        audio_end_ms: u64,
    },
    /// An event type that this product does not know; counted, to be logged at debug level.
    Ignored {
        /// Its `type`.
        event_type: String,
    },
    /// An error of the engine after which the session goes on.
    Fault {
        /// The engine's code.
        code: Option<String>,
        /// The engine's sentence.
        message: String,
        /// Part of normal operation (a race that the protocol cannot avoid): not worth a warning.
        benign: bool,
    },
}

/// How a response ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseStatus {
    /// All of it was generated.
    Completed,
    /// Stopped before its end: `turn_detected`, `client_cancelled`.
    Cancelled {
        /// The engine's word.
        reason: String,
    },
    /// Cut: `max_output_tokens`, `content_filter`.
    Incomplete {
        /// The engine's word.
        reason: String,
    },
    /// Not generated.
    Failed {
        /// The engine's code or error type.
        code: String,
        /// The engine's sentence.
        message: String,
    },
}

/// Tokens of one response. Cached tokens are part of the input tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All tokens.
    pub total_tokens: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Text tokens read.
    pub input_text_tokens: u64,
    /// Audio tokens read.
    pub input_audio_tokens: u64,
    /// Tokens read from the cache, of every kind.
    pub cached_tokens: u64,
    /// Text tokens read from the cache.
    pub cached_text_tokens: u64,
    /// Audio tokens read from the cache.
    pub cached_audio_tokens: u64,
    /// Text tokens written.
    pub output_text_tokens: u64,
    /// Audio tokens written.
    pub output_audio_tokens: u64,
}

/// One limit of the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// `requests` or `tokens`.
    pub name: String,
    /// The most that is allowed.
    pub limit: u64,
    /// What is left.
    pub remaining: u64,
    /// Seconds until it is full again.
    pub reset_s: f64,
}
