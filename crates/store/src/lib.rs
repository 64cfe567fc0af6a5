//! All SQL of the product: calls, their journals and transcripts.
//!
//! SQLite is embedded; the statements keep to what PostgreSQL understands too. Every function takes a [`TenantScope`]: there is
//! no way to read or write a row without saying whose it is. One connection writes, several read; a write is one transaction.
//! What was committed survives the death of the process, and [`Store::recover_unfinished`] turns the calls that it cut into
//! honest finished records.
//!
//! [`mod@explain`] is the pure part: it makes a readable explanation from a call's record and journal.

mod call_record;
pub mod credential;
mod db;
mod error;
mod event_log;
pub mod explain;
pub mod journal;
pub mod limits;
mod listing;
mod process;
mod recovery;
mod scope;
pub mod secret;
mod transcript;

pub use call_record::{CallEnd, CallRecord, CallState, Direction, NewCall, StoredEnd};
pub use db::Store;
pub use error::{OpenError, ReadError, WriteError};
pub use explain::{Explanation, explain};
pub use journal::{Event, JournalEntry};
pub use listing::{BadCursor, CallFilter, Cursor, Page};
pub use scope::TenantScope;
pub use transcript::{TranscriptLine, speaker_label};
