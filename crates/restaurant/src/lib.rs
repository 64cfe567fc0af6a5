//! The back office of a restaurant, beside the product's core: menu, orders, reservations, customers, messages, calls.
//!
//! The voice side reaches it as it would a stranger's: by the HTTP requests of its tools, signed. No room of the core knows it;
//! `server/wiring` alone names it, behind a feature. Its tables have migrations of their own in the same database and are reached
//! through `store::Db` by statements of this crate.
//!
//! [`domain`] decides without IO, [`desk`] does what it decided, [`store`] are its rows, [`api`] its routes; [`after`] sends what happened to whoever asked
//! (mail, short messages, webhooks, a printer). [`router`] is served by the server.

pub mod after;
pub mod api;
pub mod demo;
pub mod desk;
pub mod domain;
mod log;
pub mod maps;
pub mod privacy;
pub mod provision;
pub mod store;

pub use api::{App, Config, Credential, Doors, Need, Refused, Role, needs, router};
pub use domain::phone;
