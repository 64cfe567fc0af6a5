//! What can go wrong with encrypted values.

use std::path::PathBuf;

use catalog::Message;

use crate::error::{ReadError, WriteError};

/// Why the vault was not opened, or its key not exchanged. The program does not start then: to go on would lose what is
/// encrypted.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The setting is not 64 hexadecimal digits.
    #[error("the encryption key of the settings is not 64 hexadecimal digits")]
    BadSetting,
    /// The key file holds something else.
    #[error("the key file {path} does not hold 64 hexadecimal digits")]
    BadFile {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may read the key file.
    #[error("the key file {path} may be read by others (mode {mode:o})")]
    OpenFile {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file cannot be read or written.
    #[error("the key file {path} cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Values are encrypted and there is no key.
    #[error(
        "the database holds encrypted values and there is no key: neither a setting nor {path}"
    )]
    MissingKey {
        /// Where the key file would be.
        path: PathBuf,
    },
    /// The key is not the one of the database.
    #[error("the encryption key ({origin}) is not the one of this database")]
    WrongKey {
        /// Where the key came from.
        origin: String,
    },
    /// A value has the encrypted form and does not open.
    #[error("an encrypted value does not open: {table} {id}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
    },
    /// The key cannot be exchanged while a server works with it.
    #[error("{count} running processes use this database")]
    InUse {
        /// How many processes live.
        count: usize,
    },
    /// The database could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The database could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A value could not be encrypted.
    #[error(transparent)]
    Value(#[from] OpenValueError),
}

impl From<sqlx::Error> for VaultError {
    fn from(error: sqlx::Error) -> Self {
        Self::Read(ReadError::from(error))
    }
}

impl VaultError {
    /// The sentence for people.
    pub fn message(&self) -> Message {
        match self {
            Self::BadSetting => Message::new("secrets_bad_setting"),
            Self::BadFile { path } => {
                Message::new("secrets_bad_file").with("path", path.display().to_string())
            }
            Self::OpenFile { path, mode } => Message::new("secrets_open_file")
                .with("path", path.display().to_string())
                .with("mode", format!("{mode:o}")),
            Self::File { path, source } => Message::new("secrets_file")
                .with("path", path.display().to_string())
                .with("cause", source.to_string()),
            Self::MissingKey { path } => {
                Message::new("secrets_missing_key").with("path", path.display().to_string())
            }
            Self::WrongKey { origin } => {
                Message::new("secrets_wrong_key").with("origin", origin.as_str())
            }
            Self::Unreadable { table, id } => Message::new("secrets_unreadable")
                .with("table", *table)
                .with("id", id.as_str()),
            Self::InUse { count } => Message::new("secrets_in_use")
                .with("count", i64::try_from(*count).unwrap_or(i64::MAX)),
            Self::Read(error) => error.message(),
            Self::Write(error) => error.message(),
            Self::Value(error) => Message::new("secrets_failed").with("cause", error.to_string()),
        }
    }
}

/// Why a value was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenValueError {
    /// It has the encrypted form and does not open under the key: another key or row, or it was changed. It is not clear text.
    #[error("the encrypted value does not open under this key")]
    NotOpened,
    /// It opened, and holds no text.
    #[error("the encrypted value holds no text")]
    NotText,
    /// The value or the salt is longer than allowed.
    #[error("the value is too long to be encrypted")]
    TooLong,
    /// The system gave no randomness, or the task was given up.
    #[error("the value could not be encrypted")]
    Failed,
}
