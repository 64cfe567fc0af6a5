//! What an operator defines: agents, tools and templates, compiled, checked and evaluated. Pure: no socket, no clock, no SQL.
//!
//! The way through this room: JSON of the API → [`AgentSettings`] and [`ToolConfig`] → [`compile`] (every fault with its place) →
//! [`CompiledAgent`], shared by all calls of one version → one [`CallBrain`] for each call, which says what to request and judges
//! what came back. Sockets, clocks and SQL belong to the rooms that use it.
#![forbid(unsafe_code)]

pub mod limits;

mod brain;
mod compile;
mod destination;
mod exchange;
mod fault;
mod hours;
mod json;
pub mod mask;
mod policy;
mod price;
mod schema;
mod settings;
pub mod template;
mod toll;
mod tool;

pub use brain::{
    AnsweringAction, AnsweringWish, Builtin, CALL_END_COMPLETED, CallBrain, CallFacts, Destination,
    Direction, EndFacts, EndKind, Finished, Greeting, OfferedTool, OpeningVerdict, PlacedEvent,
    Placement, PreCall, PreCallVerdict, Prepared, Refusal, Round, SessionFault, Speaker, ToolDone,
    TranscriptLine, TransferTarget, V2Outcome, WebhookBody, record_patch, recording_notice,
};
pub use compile::{CompiledAgent, Definition, FaqEntry, check_tool, compile};
pub use destination::outbound;
pub use exchange::{FailureKind, HttpCall, McpCall, Method, ToolReply};
pub use fault::{Fault, FaultCode};
pub use price::{Costs, Usage};
pub use settings::{
    AgentSettings, CallRules, ChatSettings, CostSettings, EngineChoice, GreetingSettings, Limits,
    OpeningHours, OutcomeRule, PolicySettings, PreCallCheck, PromptSettings, SecureInput,
    SessionSettings, SpeechSettings, Transcription, TransferManner, TransferMode, TransferSetting,
    TransferSettings, TurnDetection, VoiceSettings,
};
pub use toll::{Night, TollFigures, TollRefusal, TollRules, is_premium};
pub use tool::{
    Condition, Effect, HttpTemplate, McpTemplate, PreStep, Retry, ToolConfig, ToolFlags, ToolPolicy,
};
