//! What an `error` event of the engine means for the session.

use super::server_event::ErrorBody;

/// What a command was, to know what an error answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    SessionSetup,
    Item,
    Truncation,
    Cancellation,
    Response,
    Other,
}

/// The meaning of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The session reached its longest duration.
    Expired,
    /// The session cannot go on.
    Fatal,
    /// A response was asked for while another one is active.
    AlreadyActive,
    /// Nothing was there to cancel.
    NothingActive,
    /// Part of normal operation.
    Benign,
    /// Worth a warning; the session goes on.
    Recoverable,
}

/// Error types after which the service closes the connection.
const FATAL_TYPES: &[&str] = &[
    "authentication_error",
    "permission_error",
    "insufficient_quota",
];
/// Error codes after which nothing useful follows.
const FATAL_CODES: &[&str] = &[
    "account_deactivated",
    "beta_api_shape_disabled",
    "billing_hard_limit_reached",
    "insufficient_quota",
    "invalid_api_key",
    "invalid_model",
    "model_not_found",
    "session_not_found",
];
/// Races that the protocol cannot avoid.
const BENIGN_CODES: &[&str] = &[
    "input_audio_buffer_commit_empty",
    "item_truncate_invalid_item_id",
];

pub(super) fn meaning(error: &ErrorBody<'_>, answers: Option<Sent>) -> Meaning {
    let code = error.code.as_str().unwrap_or("");
    let kind = error.kind.as_str().unwrap_or("");
    if code == "session_expired" {
        return Meaning::Expired;
    }
    if FATAL_CODES.contains(&code) || FATAL_TYPES.contains(&kind) {
        return Meaning::Fatal;
    }
    if code == "conversation_already_has_active_response" {
        return Meaning::AlreadyActive;
    }
    if code == "response_cancel_not_active" {
        return Meaning::NothingActive;
    }
    if BENIGN_CODES.contains(&code) || is_late_truncation(error, answers) {
        return Meaning::Benign;
    }
    Meaning::Recoverable
}

/// The item was shorter than asked, or has no audio (the service gives no code for that).
fn is_late_truncation(error: &ErrorBody<'_>, answers: Option<Sent>) -> bool {
    let message = error.message.as_str().unwrap_or("");
    let about_truncation = answers == Some(Sent::Truncation)
        || error.param.as_str() == Some("audio_end_ms")
        || message.contains("already shorter than");
    match error.code.as_str() {
        Some("invalid_value") => about_truncation,
        None => message.starts_with("Only model output audio messages can be truncated"),
        Some(_) => false,
    }
}
