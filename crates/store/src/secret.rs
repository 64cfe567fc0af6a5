//! Encryption at rest of the few values that must be read back: SIP passwords, keys of the voice engines, signing secrets.
//!
//! The cipher is the one of the existing Node services ([`cipher`]), value by value compatible in both directions. The
//! [`Vault`] holds the master key, knows from a check value whether it is the right one, and derives and caches the key of each
//! row. Secrets inside of an agent's settings and tools are sealed one by one ([`members`]). [`rotation`] exchanges the master key; a crash at any moment leaves a state that the next start finishes.
//!
//! What must never happen: a value that cannot be read is never replaced, never taken for clear text, and never dropped.

mod account;
mod cache;
pub mod cipher;
mod column;
mod error;
mod key_file;
pub mod members;
mod rotation;
mod state;
#[cfg(test)]
mod tests;
mod vault;

pub use account::{WEBHOOK, account_salt};
pub use cipher::{MasterKey, SecretText, is_sealed};
pub use error::{OpenValueError, VaultError};
pub use key_file::{KEY_FILE, KeySource, NEXT_KEY_FILE};
pub use rotation::Rotated;
pub use vault::{KeyOrigin, Unlocked, Vault};

/// Longest salt (id of a row, or id and purpose), in bytes.
pub const SALT_BYTES_MAX: usize = 512;

/// Longest value that is sealed, in bytes.
pub const VALUE_BYTES_MAX: usize = 16 * 1024;

/// Derived keys that are kept in memory.
pub const DERIVED_KEYS_MAX: usize = 4_096;

/// Keys that are derived at the same time: each takes a core for some 20 ms, which the calls need more.
pub const DERIVATIONS_AT_ONCE: usize = 2;

/// Secrets inside of one agent, or one write of it, that are sealed.
pub const MEMBERS_MAX: usize = 512;

/// Rows of one batch (and transaction) when values are migrated or sealed anew.
pub const BATCH_ROWS: i64 = 32;
