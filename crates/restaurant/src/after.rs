//! After the call: whoever is to know of an order, a reservation or a message is told, each at least once.
//!
//! What happened is an event, written with it. The [`worker`](start) plans from it who is told by which way ([`plan`] decides, without
//! IO), writes that down in the write that marks the event as read, then sends: mail, short messages, webhooks, the ticket at the
//! kitchen's printer. A process that dies sends again what it had not noted, under the same id.

mod plan;
mod senders;
pub mod ticket;
mod wishes;
mod words;
mod worker;

pub(crate) use plan::life;
pub use senders::{BadSender, SenderConfig};
pub(crate) use wishes::{BadWishes, Wishes};
pub use worker::{Handle, start};
