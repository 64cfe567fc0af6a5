//! What can go wrong with the store, one enum for each operation that a caller reacts to. Each error has its sentence in the
//! catalogue ([`OpenError::message`], [`WriteError::message`]).

use std::path::PathBuf;

use catalog::Message;

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address names a database that this build does not speak.
    #[error("unsupported database address: {scheme}")]
    UnsupportedUrl {
        /// The scheme, without anything secret.
        scheme: String,
    },
    /// The directory of the database cannot be made or written.
    #[error("the directory {path} cannot be used")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be opened or written.
    #[error("the database {path} cannot be opened")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// The file is not a database, or it is damaged.
    #[error("{path} is not a sound database")]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
    /// Another process keeps the database locked.
    #[error("the database {path} is locked by another process")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("no space left for the database {path}")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The database was written by a later version.
    #[error("the database {path} was written by a later version of this program (schema {found})")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// A migration failed.
    #[error("the schema of {path} could not be brought up to date")]
    Migration {
        /// The file.
        path: PathBuf,
        /// What the migrator said.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
}

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk is full. What was committed before stays.
    #[error("no space left on the disk of the database")]
    DiskFull,
    /// Another process kept the database locked for too long, or too many writes wait.
    #[error("the database stayed locked")]
    Locked,
    /// The file is damaged.
    #[error("the database is damaged")]
    Corrupt,
    /// The file or its disk cannot be written (read-only, I/O error).
    #[error("the database cannot be written")]
    Unwritable(#[source] sqlx::Error),
    /// This tenant has no such call.
    #[error("no such call")]
    UnknownCall,
    /// A call of that id exists.
    #[error("the call exists already")]
    DuplicateCall,
    /// The tenant does not exist.
    #[error("no such tenant")]
    UnknownTenant,
    /// More than [`crate::limits::BATCH_MAX`] entries in one write.
    #[error("too many entries in one write")]
    BatchTooLarge,
    /// Anything else that SQLite refuses.
    #[error("the database refused the write")]
    Other(#[source] sqlx::Error),
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another process kept the database locked for too long, or too many reads wait.
    #[error("the database stayed locked")]
    Locked,
    /// The file is damaged.
    #[error("the database is damaged")]
    Corrupt,
    /// Anything else.
    #[error("the database could not be read")]
    Other(#[source] sqlx::Error),
}

/// SQLite's primary result codes that mean something to people (<https://www.sqlite.org/rescode.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    DiskFull,
    Locked,
    Corrupt,
    Unwritable,
    Unique,
    ForeignKey,
    Other,
}

pub(crate) fn cause(error: &sqlx::Error) -> Cause {
    if let sqlx::Error::Io(source) = error
        && source.kind() == std::io::ErrorKind::StorageFull
    {
        return Cause::DiskFull;
    }
    if let sqlx::Error::Database(database) = error {
        let code = database.code().and_then(|code| code.parse::<u32>().ok());
        return code.map_or(Cause::Other, cause_of_code);
    }
    if matches!(error, sqlx::Error::PoolTimedOut) {
        Cause::Locked
    } else {
        Cause::Other
    }
}

fn cause_of_code(code: u32) -> Cause {
    // Extended codes hold the primary code in their low byte; the constraint codes are told apart by their high byte.
    match code {
        1555 | 2067 => return Cause::Unique,
        787 => return Cause::ForeignKey,
        _ => {}
    }
    match code & 0xff {
        5 | 6 => Cause::Locked,
        8 | 10 | 14 => Cause::Unwritable,
        11 | 26 => Cause::Corrupt,
        13 => Cause::DiskFull,
        _ => Cause::Other,
    }
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        match cause(&error) {
            Cause::DiskFull => Self::DiskFull,
            Cause::Locked => Self::Locked,
            Cause::Corrupt => Self::Corrupt,
            Cause::Unwritable => Self::Unwritable(error),
            Cause::Unique | Cause::ForeignKey | Cause::Other => Self::Other(error),
        }
    }
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        match cause(&error) {
            Cause::Locked => Self::Locked,
            Cause::Corrupt => Self::Corrupt,
            Cause::DiskFull
            | Cause::Unwritable
            | Cause::Unique
            | Cause::ForeignKey
            | Cause::Other => Self::Other(error),
        }
    }
}

impl OpenError {
    /// The sentence for people.
    pub fn message(&self) -> Message {
        let path = |path: &PathBuf| path.display().to_string();
        match self {
            Self::UnsupportedUrl { scheme } => {
                Message::new("store_unsupported").with("scheme", scheme)
            }
            Self::Directory {
                path: directory,
                source,
            } => Message::new("store_directory")
                .with("path", path(directory))
                .with("cause", source.to_string()),
            Self::Unreadable { path: file, source } => Message::new("store_unreadable")
                .with("path", path(file))
                .with("cause", source.to_string()),
            Self::Corrupt { path: file } => Message::new("store_corrupt").with("path", path(file)),
            Self::Locked { path: file } => Message::new("store_locked").with("path", path(file)),
            Self::DiskFull { path: file } => {
                Message::new("store_disk_full").with("path", path(file))
            }
            Self::TooNew { path: file, found } => Message::new("store_too_new")
                .with("path", path(file))
                .with("found", *found),
            Self::Migration { path: file, source } => Message::new("store_migration")
                .with("path", path(file))
                .with("cause", source.to_string()),
        }
    }
}

impl WriteError {
    /// The sentence for people.
    pub fn message(&self) -> Message {
        match self {
            Self::DiskFull => Message::new("store_write_disk_full"),
            Self::Locked => Message::new("store_write_locked"),
            Self::Corrupt => Message::new("store_write_corrupt"),
            Self::Unwritable(source) | Self::Other(source) => {
                Message::new("store_write_failed").with("cause", source.to_string())
            }
            Self::UnknownCall => Message::new("store_unknown_call"),
            Self::DuplicateCall => Message::new("store_duplicate_call"),
            Self::UnknownTenant => Message::new("store_unknown_tenant"),
            Self::BatchTooLarge => Message::new("store_batch_too_large"),
        }
    }

    /// Whether the same write may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::DiskFull | Self::Locked | Self::Unwritable(_) => true,
            Self::Corrupt
            | Self::UnknownCall
            | Self::DuplicateCall
            | Self::UnknownTenant
            | Self::BatchTooLarge
            | Self::Other(_) => false,
        }
    }
}

impl ReadError {
    /// The sentence for people.
    pub fn message(&self) -> Message {
        match self {
            Self::Locked => Message::new("store_write_locked"),
            Self::Corrupt => Message::new("store_write_corrupt"),
            Self::Other(source) => {
                Message::new("store_read_failed").with("cause", source.to_string())
            }
        }
    }
}
