//! Why a change of an entry is refused.

use catalog::Message;

use crate::error::{Cause, ReadError, WriteError, cause};

/// Why an entry was not written, changed or removed. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// This tenant has no such entry.
    #[error("no such {what}")]
    NotFound {
        /// What was looked for, for example `agent`.
        what: &'static str,
    },
    /// The entry was changed since it was read.
    #[error("the entry was changed meanwhile, its version is {current}")]
    VersionConflict {
        /// Its version now.
        current: i64,
    },
    /// Another entry has that number, name or address already; perhaps another tenant's, which is not said.
    #[error("{what} is taken")]
    Duplicate {
        /// What was to be new.
        what: &'static str,
    },
    /// The entry refers to one that this tenant does not have.
    #[error("the entry refers to one that does not exist")]
    UnknownReference,
    /// Other entries refer to it.
    #[error("{what} is still in use")]
    InUse {
        /// What was to be removed.
        what: &'static str,
    },
    /// More than the named limit, or a value that the database does not take.
    #[error("the entry cannot be stored: {cause}")]
    Refused {
        /// Which limit or value.
        cause: &'static str,
    },
    /// The database.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ChangeError {
    /// The sentence for people.
    pub fn message(&self) -> Message {
        match self {
            Self::NotFound { what } => Message::new("store_not_found").with("what", *what),
            Self::VersionConflict { current } => {
                Message::new("store_version_conflict").with("current", *current)
            }
            Self::Duplicate { what } => Message::new("store_duplicate").with("what", *what),
            Self::UnknownReference => Message::new("store_unknown_reference"),
            Self::InUse { what } => Message::new("store_in_use").with("what", *what),
            Self::Refused { cause } => Message::new("store_refused").with("cause", *cause),
            Self::Write(error) => error.message(),
        }
    }

    /// Whether the same change may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Write(error) if error.is_retryable())
    }

    /// What an insert or update of `what` was refused for.
    pub(crate) fn of_write(error: sqlx::Error, what: &'static str) -> Self {
        if let sqlx::Error::Database(database) = &error
            && matches!(database.code().as_deref(), Some("23502" | "1299"))
        {
            return Self::Refused {
                cause: "a member that is needed is null",
            };
        }
        match cause(&error) {
            Cause::Unique => Self::Duplicate { what },
            Cause::ForeignKey => Self::UnknownReference,
            Cause::DiskFull
            | Cause::Locked
            | Cause::Unavailable
            | Cause::Corrupt
            | Cause::Unwritable
            | Cause::Other => Self::Write(error.into()),
        }
    }
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Write(error.into())
    }
}

impl From<ReadError> for ChangeError {
    fn from(error: ReadError) -> Self {
        Self::Write(match error {
            ReadError::Locked => WriteError::Locked,
            ReadError::Unavailable => WriteError::Unavailable,
            ReadError::Corrupt => WriteError::Corrupt,
            ReadError::Other(source) => WriteError::Other(source),
        })
    }
}
