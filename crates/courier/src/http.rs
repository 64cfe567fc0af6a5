//! One exchange: guarded, signed, bounded in time and size, repeated only where that is safe.

mod attempt;
mod tool;

pub(crate) use attempt::{Order, exchange, failure as connection_failure, jittered};

use std::time::Duration;

use agent::FailureKind;
use bytes::Bytes;

use crate::guard::Refusal;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type` without its parameters, in lower case.
    pub content_type: Option<String>,
    /// `Retry-After` in seconds, where the receiver named one.
    pub retry_after: Option<Duration>,
    /// `Date` of the receiver, as written.
    pub date: Option<String>,
    /// `X-Next-Cursor`: where the next page of a list begins.
    pub next_cursor: Option<String>,
    /// The body, at most [`crate::limits::REPLY_BODY_MAX`].
    pub body: Bytes,
}

impl Reply {
    /// Whether the status is a 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The guard does not let it out.
    #[error("the request is not permitted: {0}")]
    Refused(#[from] Refusal),
    /// The method, a header or the body cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Invalid(&'static str),
    /// No connection: nothing was sent.
    #[error("no connection")]
    Unreachable,
    /// The certificate or the handshake: nothing was sent.
    #[error("no secure connection")]
    Tls,
    /// The connection broke, or what came was not HTTP.
    #[error("the exchange broke off")]
    Broken,
    /// The reply is larger than is read.
    #[error("the reply is too large")]
    TooLarge,
    /// The reply is compressed, which was not asked for.
    #[error("the reply is encoded in a way that was not asked for")]
    Encoded,
    /// A redirect where none is followed, too many, or one that leads nowhere.
    #[error("the redirect is not followed")]
    Redirected,
    /// The deadline passed. What was asked for may have happened.
    #[error("the deadline passed")]
    TimedOut,
}

impl SendError {
    /// A stable label for logs, figures and records.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.label(),
            Self::Invalid(_) => "invalid_request",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Broken => "broken",
            Self::TooLarge => "too_large",
            Self::Encoded => "encoded",
            Self::Redirected => "redirected",
            Self::TimedOut => "timed_out",
        }
    }

    /// How an agent's tool sees it. A deadline is not among them: see [`agent::ToolReply::TimedOut`].
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Refused(Refusal::NoAddress) => FailureKind::Name,
            Self::Refused(_) => FailureKind::Forbidden,
            Self::Unreachable => FailureKind::Connect,
            Self::Tls => FailureKind::Tls,
            Self::TooLarge => FailureKind::TooLarge,
            Self::Invalid(_) | Self::Broken | Self::Encoded | Self::Redirected | Self::TimedOut => {
                FailureKind::Protocol
            }
        }
    }
}

/// Why there is no JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No reply.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A reply with another status than a 2xx.
    #[error("the answer is {0}")]
    Status(u16),
    /// A body that is no JSON.
    #[error("the answer is not JSON")]
    NotJson,
}

impl FetchError {
    /// A stable label for logs, figures and records.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Send(error) => error.label(),
            Self::Status(_) => "status",
            Self::NotJson => "not_json",
        }
    }
}
