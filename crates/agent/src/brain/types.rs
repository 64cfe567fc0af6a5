//! The vocabulary of [`super::CallBrain`].

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exchange::{HttpCall, McpCall};
use crate::settings::TransferManner;
use crate::tool::ToolFlags;

/// Which way the call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Somebody calls the agent.
    #[default]
    Inbound,
    /// The agent calls somebody.
    Outbound,
}

impl Direction {
    /// As templates see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// What is known of a call when it begins. Bound by the server: no model and no reply can change it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallFacts {
    /// The call's id.
    pub call_id: String,
    /// The other side's number, as the carrier gave it; `None` when it is withheld.
    pub caller_phone: Option<String>,
    /// The number or line that was called.
    pub called_number: Option<String>,
    /// Which way.
    pub direction: Direction,
    /// When it began.
    pub started_at: Timestamp,
    /// The carrier attested the number (STIR level A), or the caller was proven in another way.
    pub caller_verified: bool,
    /// The carrier: `sip`, `twilio`…
    pub carrier: String,
    /// The carrier's own id of the call.
    pub carrier_call_id: Option<String>,
    /// The display name that the caller's side sent. Untrusted: reaches the model only where a template asks for `callerName`.
    pub caller_name: Option<String>,
    /// What the caller's operator attests of the number, where that was proven (STIR/SHAKEN): `A`, `B` or `C`.
    #[serde(default)]
    pub caller_attestation: Option<String>,
}

impl fmt::Debug for CallFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFacts")
            .field("call_id", &self.call_id)
            .field("direction", &self.direction)
            .field("carrier", &self.carrier)
            .field("caller_verified", &self.caller_verified)
            .finish_non_exhaustive()
    }
}

/// A tool as the model is offered it.
#[derive(Clone, Debug, PartialEq)]
pub struct OfferedTool {
    /// Name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema without the arguments that the server fills in.
    pub parameters: Value,
    /// What it does to the call.
    pub flags: ToolFlags,
    /// How long one run may take, pre-steps included, in milliseconds.
    pub timeout_ms: u32,
}

/// A request of one round of a tool run.
#[derive(Clone, Debug, PartialEq)]
pub enum Round {
    /// HTTP.
    Http(HttpCall),
    /// MCP.
    Mcp(McpCall),
}

/// What is to be done for a tool call.
#[derive(Clone, Debug, PartialEq)]
pub enum Prepared {
    /// Send it and give the reply to `finish`.
    Http(HttpCall),
    /// Send it and give the reply to `finish`.
    Mcp(McpCall),
    /// Nothing is sent; the run is over and `finish` is not called.
    Builtin(Builtin),
    /// Nothing is sent; the run is over and `finish` is not called.
    Refused {
        /// Why, for the journal.
        code: Refusal,
        /// What the model is told: JSON.
        output: String,
    },
}

/// What a tool without a request does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Say goodbye to the end, then hang up.
    HangUp {
        /// What the model is told: JSON.
        output: String,
    },
    /// Play what was said, then transfer.
    Transfer {
        /// Where to.
        target: TransferTarget,
        /// What the model is told: JSON.
        output: String,
    },
    /// Nothing: the model gets this output.
    Done {
        /// What the model is told: JSON.
        output: String,
    },
}

/// Where a call is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct TransferTarget {
    /// The name that the operator gave it; `ctx.transfer_phone` for the number of the session.
    pub name: String,
    /// The address.
    pub destination: Destination,
    /// How it is reached.
    pub manner: TransferManner,
    /// What its person is told before the caller is joined, filled in; `None` where nothing was asked for, or not by a tool:
    /// [`crate::CallBrain::announcement`] has it.
    pub announcement: Option<String>,
}

impl fmt::Debug for TransferTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransferTarget({})", self.name)
    }
}

/// The address of a transfer. `Debug` shows no digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// Digits, with a leading `+` when international. Checked: never a premium or satellite number.
    Number(String),
    /// `sip:` or `sips:`, only where an operator wrote it.
    Sip(String),
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number(_) => "Number(…)",
            Self::Sip(_) => "Sip(…)",
        })
    }
}

impl Destination {
    /// The digits or the URI.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Number(text) | Self::Sip(text) => text,
        }
    }
}

/// Why a tool call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// No tool of this name is offered in this call.
    UnknownTool,
    /// The arguments are not JSON, too long, or not as the schema says.
    BadArguments,
    /// The model set an argument that the server fills in.
    BoundArgument,
    /// An identifier that no reply of this call has named.
    UnknownId,
    /// The caller's number is needed and is withheld.
    CallerUnknown,
    /// The tool needs proof of the caller.
    ProofNeeded,
    /// The confirmation code is wrong.
    WrongCode,
    /// The caller must confirm first.
    ConfirmationNeeded,
    /// No such target.
    UnknownTarget,
    /// The number is not allowed.
    DestinationNotAllowed,
    /// Over a limit of the call.
    TooMany,
    /// A template could not be filled, so the request cannot be made.
    NotReady,
    /// A pre-step said no.
    PreStep,
    /// The same commitment is already running or was already made.
    AlreadyDone,
}

impl Refusal {
    /// Stable name for journals, `snake_case`.
    pub fn label(self) -> &'static str {
        match self {
            Self::UnknownTool => "unknown_tool",
            Self::BadArguments => "bad_arguments",
            Self::BoundArgument => "bound_argument",
            Self::UnknownId => "unknown_id",
            Self::CallerUnknown => "caller_unknown",
            Self::ProofNeeded => "proof_needed",
            Self::WrongCode => "wrong_code",
            Self::ConfirmationNeeded => "confirmation_needed",
            Self::UnknownTarget => "unknown_target",
            Self::DestinationNotAllowed => "destination_not_allowed",
            Self::TooMany => "too_many",
            Self::NotReady => "not_ready",
            Self::PreStep => "pre_step",
            Self::AlreadyDone => "already_done",
        }
    }

    /// Somebody tried what no honest conversation does: worth a line in the audit log.
    pub fn is_suspicious(self) -> bool {
        match self {
            Self::BoundArgument
            | Self::UnknownId
            | Self::WrongCode
            | Self::DestinationNotAllowed
            | Self::UnknownTarget => true,
            Self::UnknownTool
            | Self::BadArguments
            | Self::CallerUnknown
            | Self::ProofNeeded
            | Self::ConfirmationNeeded
            | Self::TooMany
            | Self::NotReady
            | Self::PreStep
            | Self::AlreadyDone => false,
        }
    }
}

/// What comes after a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Finished {
    /// The run is over.
    Done(ToolDone),
    /// The run goes on with another request (pre-steps come first); its reply goes to `finish` again.
    Next(Round),
}

/// A tool run that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolDone {
    /// What the model is told: JSON, at most [`crate::limits::MODEL_OUTPUT_BYTES_MAX`].
    pub output: String,
    /// The request succeeded (a soft tool's output may say success all the same).
    pub ok: bool,
    /// Set when a pre-step stopped the run.
    pub refusal: Option<Refusal>,
    /// The call ends after what was said has been heard.
    pub hang_up: bool,
    /// The call is transferred after what was said has been heard.
    pub transfer: Option<TransferTarget>,
    /// Third-party cost that the reply named, in micro-units.
    pub cost_micro: i64,
}

/// How a call begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Said word for word, as an utterance of its own, first, and not cut by the caller. Never empty.
    pub disclosure: String,
    /// Said with it where the call is recorded. Never empty.
    pub recording: String,
    /// What the response after the disclosure is told.
    pub instructions: String,
    /// A user message put before the first response (the session's `greeting`), when there is one.
    pub user_message: Option<String>,
    /// Words to say after the disclosure, from audio that was made before; `None`: the model speaks.
    pub cached_text: Option<String>,
    /// The caller speaks after the disclosure: nothing more is said.
    pub disclosure_only: bool,
}

/// Whether the agent answers now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpeningVerdict {
    /// Open, or no hours are set.
    Open,
    /// Closed, but the model answers and knows it.
    ClosedAnswer,
    /// Closed: hang up.
    ClosedHangUp,
    /// Closed: answer, say this, hang up.
    ClosedMessage(String),
}

/// A question to ask before the call is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct PreCall {
    /// Its number, for the verdict.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The request.
    pub call: HttpCall,
}

/// The verdict of a pre-call check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreCallVerdict {
    /// The call goes on.
    Pass,
    /// The check got no answer and lets the call go on.
    PassUnanswered,
    /// Hang up before any session.
    HangUp {
        /// The check.
        name: String,
    },
    /// Answer, say this, hang up.
    Message {
        /// The check.
        name: String,
        /// What to say.
        text: String,
    },
}

/// Why the session's data cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionFault {
    /// No answer in time.
    #[error("the session address did not answer in time")]
    TimedOut,
    /// No answer.
    #[error("the session address could not be reached")]
    Unreachable,
    /// An error status.
    #[error("the session address answered {0}")]
    Status(u16),
    /// Not a JSON object.
    #[error("the session address did not answer with a JSON object")]
    NotAnObject,
    /// Over a limit.
    #[error("the answer of the session address is too large or too deep")]
    TooLarge,
}

/// Who said a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The caller.
    Caller,
    /// The agent.
    Agent,
}

impl Speaker {
    /// The role in the call-end body.
    pub fn role(self) -> &'static str {
        match self {
            Self::Caller => "user",
            Self::Agent => "assistant",
        }
    }
}

/// One line of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptLine {
    /// Who.
    pub speaker: Speaker,
    /// The words.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// How a call ended, as far as the outcome asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndKind {
    /// As a conversation ends: either side hung up after a talk, or a bound was reached.
    Completed,
    /// The caller left before there was a conversation, or was never connected.
    Abandoned,
    /// Something failed.
    Error,
    /// It went to somebody else.
    Transferred,
    /// The balance or budget was spent.
    NoBalance,
}

/// Facts of the end.
#[derive(Clone, Debug, PartialEq)]
pub struct EndFacts {
    /// When.
    pub ended_at: Timestamp,
    /// Time between answer and end, in milliseconds; 0 for a call that was never answered.
    pub duration_ms: u64,
    /// How.
    pub kind: EndKind,
    /// What was said, in order.
    pub transcript: Vec<TranscriptLine>,
    /// The model that spoke last; default: the agent's.
    pub model: Option<String>,
    /// What failed, for the templates' `error`.
    pub error: Option<String>,
    /// What became of the people who were called for the caller and told or asked first; in the order of their calls.
    pub second_legs: Vec<Value>,
}

/// The five outcomes of the call-end body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum V2Outcome {
    /// A conversation took place.
    Completed,
    /// None did.
    Abandoned,
    /// It was cut by a failure.
    Error,
    /// It went to somebody else.
    Transferred,
    /// It was cut or refused for lack of money.
    NoBalance,
}

impl V2Outcome {
    /// As in the body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Abandoned => "abandoned",
            Self::Error => "error",
            Self::Transferred => "transferred",
            Self::NoBalance => "no_balance",
        }
    }
}

/// A body for the outbox.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookBody {
    /// `call_end` (or [`super::CALL_END_COMPLETED`]), `call_start`, `no_action` or `call_status.…`.
    pub kind: &'static str,
    /// Where to.
    pub url: String,
    /// JSON text, always sent by POST.
    pub body: String,
}

impl fmt::Debug for WebhookBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookBody({}, {} bytes)", self.kind, self.body.len())
    }
}
