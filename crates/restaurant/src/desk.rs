//! What the restaurant's desk does with a request: facts are read, the domain decides, rows are written in one transaction.
//!
//! Time is an argument. An answer is a status and a body as the contract has them; an error is the database's.

pub mod availability;
pub mod facts;
pub mod orders;
pub mod placing;
pub mod reservations;
pub mod seating;
pub mod session;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::{ChangeError, Db, ReadError, WriteError};

use crate::domain::order::Refusal;
use crate::domain::phone;
use crate::maps::Maps;
use crate::store::rows::Expected;

/// Who asks, as far as the request proves it.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    /// It is a call's tool: it may see and change what is the caller's, and nothing else.
    pub voice: bool,
    /// Number of the caller.
    pub caller: Option<String>,
    /// The call.
    pub call: Option<String>,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    /// `If-Match`.
    pub expected: Expected,
}

impl Asker {
    /// Whether a row with that number may be seen. Staff see all; a caller without a number sees nothing.
    pub fn may_see(&self, number: Option<&str>) -> bool {
        !self.voice
            || matches!((&self.caller, number), (Some(caller), Some(number)) if phone::same(caller, number))
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Value,
}

impl Reply {
    /// 200.
    pub fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    /// `{"error": …}` with a status.
    pub fn error(status: u16, error: impl Into<String>) -> Self {
        Self {
            status,
            body: json!({"error": error.into()}),
        }
    }

    /// A refusal as the tools have it: 200 with `success: false`.
    pub fn refusal(refusal: &Refusal) -> Self {
        Self::ok(refused(refusal, json!({"success": false})))
    }

    /// A refusal as the other routes have it.
    pub fn refused(status: u16, refusal: &Refusal) -> Self {
        Self {
            status,
            body: refused(refusal, json!({})),
        }
    }
}

fn refused(refusal: &Refusal, mut body: Value) -> Value {
    body["error"] = refusal.text.clone().into();
    body["code"] = refusal.code.into();
    if let Some(details) = refusal.details.as_object() {
        for (name, value) in details {
            body[name.as_str()] = value.clone();
        }
    }
    body
}

/// What went wrong below the desk.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// Reading.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Writing.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A row does not have the form of its table.
    #[error("a row cannot be read: {0}")]
    Row(#[from] serde_json::Error),
}

impl From<WriteError> for DeskError {
    fn from(error: WriteError) -> Self {
        Self::Change(ChangeError::Write(error))
    }
}

/// The desk of every restaurant.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// The rows.
    pub db: &'a Db,
    /// Where addresses are.
    pub maps: &'a Maps,
    /// Menus as they were read last.
    pub menus: &'a facts::Menus,
    /// Confirmations that wait for their restaurant.
    pub counters: &'a placing::Counters,
}

/// A short, stable name of a content, for repetitions.
pub(crate) fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()
        .iter()
        .take(20)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_sees_what_is_his() {
        let caller = Asker {
            voice: true,
            caller: Some("+33612345678".to_owned()),
            ..Asker::default()
        };
        assert!(caller.may_see(Some("0612345678")));
        assert!(!caller.may_see(Some("+33612345679")) && !caller.may_see(None));
        let hidden = Asker {
            voice: true,
            ..Asker::default()
        };
        assert!(!hidden.may_see(Some("+33612345678")) && !hidden.may_see(None));
        assert!(Asker::default().may_see(None));
    }

    #[test]
    fn fingerprints_tell_where_parts_end() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }
}
