//! The parts of a scenario file, as they are written in TOML.

use serde::Deserialize;

use super::Voice;

/// A tone in place of speech, for tests that assert a frequency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tone {
    /// Frequency.
    pub hz: u32,
    /// Duration.
    pub ms: u32,
}

/// Something the agent says: a text, or a tone with the transcript that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// Spoken by espeak-ng.
    Text(String),
    /// A sine tone.
    Tone {
        /// The transcript.
        text: String,
        /// Frequency.
        hz: u32,
        /// Duration.
        ms: u32,
    },
}

impl Line {
    /// The transcript.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Tone { text, .. } => text,
        }
    }
}

/// What the agent says on its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The first thing, when nobody has spoken.
    pub greeting: Line,
    /// When asked to speak although nothing was heard.
    pub reprompt: Line,
    /// When instructed to say that the time is nearly over.
    pub warning: Line,
    /// When instructed to say goodbye, and after too many turns that were not understood.
    pub goodbye: Line,
    /// When instructed to take up the conversation again.
    pub resume: Line,
    /// After a tool whose rule has no `then`.
    pub tool_done: Line,
    /// Said in turn when something was heard that is no known utterance.
    pub not_understood: Vec<Line>,
    /// After so many turns in a row that were not understood, the goodbye (with `end_call`) follows.
    #[serde(default = "default_not_understood_max")]
    pub not_understood_max: u32,
}

fn default_not_understood_max() -> u32 {
    3
}

/// Something the caller can say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Utterance {
    /// How rules and steps name it.
    pub id: String,
    /// The words; also the transcript when it is recognised.
    pub text: String,
    /// Another voice than the caller's.
    pub voice: Option<Voice>,
    /// A tone in place of speech (a bench without espeak-ng).
    pub tone: Option<Tone>,
}

/// A tool that the agent calls.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolUse {
    /// The function. It is only called when the session offers it.
    pub name: String,
    /// The arguments, any table.
    #[serde(default)]
    pub arguments: toml::Table,
}

/// What the agent does when something was heard, read or instructed: exactly one of `hears`, `reads`, `instructed` is given.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The utterance that was recognised in the audio.
    pub hears: Option<String>,
    /// Words in a text message of the conversation (a key press, for example), without regard to case.
    pub reads: Option<String>,
    /// Words in the instructions of the response, without regard to case.
    pub instructed: Option<String>,
    /// Said.
    pub say: Option<Line>,
    /// Called, after what is said.
    #[serde(default)]
    pub call: Vec<ToolUse>,
    /// Said when the output of the tool arrived and a response is asked for.
    pub then: Option<Line>,
}

/// When a step of the scripted caller begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// `ms` after the call was answered.
    Answered,
    /// The agent has spoken since the step before, and has then been silent for `ms`.
    AgentSilence,
    /// The agent has been speaking for `ms`, having begun since the caller's last utterance ended.
    AgentSpeech,
    /// `ms` after the step before ended.
    Pause,
    /// The other side hangs up.
    HangUp,
}

/// One step of the scripted caller: at most one of `say`, `dtmf`, `hang_up` is given; none only waits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What to wait for.
    pub after: Moment,
    /// See [`Moment`].
    #[serde(default)]
    pub ms: u32,
    /// The call is abandoned when the moment has not come by then.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u32,
    /// The utterance to say.
    pub say: Option<String>,
    /// Keys to press (RFC 4733).
    pub dtmf: Option<String>,
    /// Hang up.
    #[serde(default)]
    pub hang_up: bool,
}

fn default_timeout_ms() -> u32 {
    20_000
}

/// Where a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultPoint {
    /// The WebSocket handshake.
    Connect,
    /// A session.update.
    SessionUpdate,
    /// A response that is being generated.
    Response,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultAction {
    /// Answers the handshake with `status` (401, 429, 503…).
    Status,
    /// Waits `ms` first.
    Delay,
    /// Closes the WebSocket with `code` and `reason`, for a response after `ms`.
    Close,
    /// Drops the TCP connection without a close, for a response after `ms`.
    Abort,
    /// Sends nothing more, for a response after `ms`; the connection stays open.
    Stall,
    /// Sends messages that are no events, then goes on.
    Garbage,
    /// The response ends with status `failed`, after `ms`.
    Fail,
    /// The session.update is refused with an `error`.
    Refuse,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Where.
    pub on: FaultPoint,
    /// What.
    pub action: FaultAction,
    /// Only on this connection of the server, counted from 1; every connection when not given.
    pub connection: Option<u64>,
    /// Only the n-th occurrence within the connection, counted from 1; every one when not given.
    pub at: Option<u64>,
    /// Delay.
    #[serde(default)]
    pub ms: u64,
    /// HTTP status.
    pub status: Option<u16>,
    /// WebSocket close code, 1011 when not given.
    pub code: Option<u16>,
    /// WebSocket close reason.
    #[serde(default)]
    pub reason: String,
}

/// How fast the service is, and how it cuts its audio.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// From response.created to the first audio.
    pub first_byte_ms: u64,
    /// Audio is generated so many times faster than it plays; 0 sends it all at once.
    pub speed: f64,
    /// Audio in one delta.
    pub delta_ms: u32,
    /// From the first loud frame to speech_started (a late engine); at least the two frames that detection needs.
    pub speech_started_ms: u64,
    /// From the end of the utterance to its transcript.
    pub transcript_ms: u64,
    /// Longest session; the service's own limit is 60 minutes.
    pub session_ms_max: u64,
    /// Sends fields and events that no client knows, as the service may at any time.
    pub sprinkle: bool,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first_byte_ms: 150,
            speed: 8.0,
            delta_ms: 200,
            speech_started_ms: 40,
            transcript_ms: 150,
            session_ms_max: 3_600_000,
            sprinkle: true,
        }
    }
}
