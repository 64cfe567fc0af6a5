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
    /// The address of a database server cannot be read. It is not repeated here: it may hold a password.
    #[error("the address of the database server cannot be read")]
    BadAddress,
    /// The directory of the database cannot be made or written.
    #[error("the directory {path} cannot be used")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be opened or written, or the server cannot be reached or refuses us.
    #[error("the database {path} cannot be opened")]
    Unreadable {
        /// The file, or the server's address without its password; so in the other variants.
        path: PathBuf,
        /// What the database said.
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
    /// Another process kept the database or the row locked for too long, or two writes met in a way that one has to begin again.
    #[error("the database stayed locked")]
    Locked,
    /// The database server cannot be reached or is restarting, or too many statements wait for a connection.
    #[error("the database cannot be reached")]
    Unavailable,
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
    /// Anything else that the database refuses.
    #[error("the database refused the write")]
    Other(#[source] sqlx::Error),
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another process kept the database locked for too long.
    #[error("the database stayed locked")]
    Locked,
    /// The database server cannot be reached or is restarting, or too many statements wait for a connection.
    #[error("the database cannot be reached")]
    Unavailable,
    /// The file is damaged.
    #[error("the database is damaged")]
    Corrupt,
    /// Anything else.
    #[error("the database could not be read")]
    Other(#[source] sqlx::Error),
}

/// What an error of the database means to people, whichever database says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    DiskFull,
    Locked,
    Unavailable,
    Corrupt,
    Unwritable,
    Unique,
    ForeignKey,
    Other,
}

pub(crate) fn cause(error: &sqlx::Error) -> Cause {
    if let sqlx::Error::Database(database) = error {
        let code = database.code().unwrap_or_default();
        if database
            .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
            .is_some()
        {
            return cause_of_state(&code);
        }
        return code.parse().map_or(Cause::Other, cause_of_code);
    }
    if let sqlx::Error::Io(source) = error {
        return cause_of_io(source.kind());
    }
    if matches!(error, sqlx::Error::PoolTimedOut) {
        Cause::Unavailable
    } else {
        Cause::Other
    }
}

/// The connection to a server that is gone; a file has only the first.
fn cause_of_io(kind: std::io::ErrorKind) -> Cause {
    use std::io::ErrorKind as Kind;
    const LOST: &[Kind] = &[
        Kind::ConnectionRefused,
        Kind::ConnectionReset,
        Kind::ConnectionAborted,
        Kind::NotConnected,
        Kind::BrokenPipe,
        Kind::UnexpectedEof,
        Kind::TimedOut,
        Kind::HostUnreachable,
        Kind::NetworkUnreachable,
    ];
    if kind == Kind::StorageFull {
        Cause::DiskFull
    } else if LOST.contains(&kind) {
        Cause::Unavailable
    } else {
        Cause::Other
    }
}

/// SQLite's result codes (<https://www.sqlite.org/rescode.html>).
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

/// PostgreSQL's SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn cause_of_state(state: &str) -> Cause {
    match state {
        "23505" => Cause::Unique,
        "23503" => Cause::ForeignKey,
        "53100" => Cause::DiskFull,
        // Serialization failure, deadlock, lock not available, statement cancelled by its time limit.
        "40001" | "40P01" | "55P03" | "57014" => Cause::Locked,
        // A read-only server (a standby, for one) and an I/O error.
        "25006" | "58030" => Cause::Unwritable,
        "XX001" | "XX002" => Cause::Corrupt,
        // Out of memory, too many connections.
        "53200" | "53300" => Cause::Unavailable,
        // Connection exceptions; shutdown, crash, starting up, dropped, idle for too long.
        state if state.starts_with("08") || state.starts_with("57P") || state == "25P03" => {
            Cause::Unavailable
        }
        _ => Cause::Other,
    }
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        match cause(&error) {
            Cause::DiskFull => Self::DiskFull,
            Cause::Locked => Self::Locked,
            Cause::Unavailable => Self::Unavailable,
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
            Cause::Unavailable => Self::Unavailable,
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
            Self::BadAddress => Message::new("store_bad_address"),
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
            Self::Unavailable => Message::new("store_unavailable"),
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
            Self::DiskFull | Self::Locked | Self::Unavailable | Self::Unwritable(_) => true,
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
            Self::Unavailable => Message::new("store_unavailable"),
            Self::Corrupt => Message::new("store_write_corrupt"),
            Self::Other(source) => {
                Message::new("store_read_failed").with("cause", source.to_string())
            }
        }
    }
}
