//! The platform API under `/api`: tenants, agents, tools, lines, calls, live events.
//!
//! Every route stands in one table with what it needs ([`need::Need`]); nothing is reachable that is not in it. A request
//! passes the edge (id, language, faults) and the guard of its route (credential, role and scope, rate, body, idempotency);
//! its handler sees a [`Caller`] and works within the `TenantScope` that follows from it. The OpenAPI document is made from
//! the same table ([`document_text`]).
//!
//! This room opens no socket: the server hands it a listener ([`serve()`]).

mod addressee;
mod answer;
mod api;
mod body;
mod brain;
mod caller;
mod capture;
mod carriers;
mod credential;
mod csv;
mod door;
mod events;
mod guard;
mod idempotency;
pub mod limits;
pub mod need;
mod openapi;
mod peer;
mod problem;
mod rate;
mod redact;
mod routes;
mod seats;
mod serve;
mod servers;
mod session;
mod support;
mod table;
mod tickets;
mod trials;
mod unread;
mod upgrade;
mod widget;

pub use answer::Change;
pub use api::{AdminToken, Api, Config, Nudge};
pub use caller::{Actor, Caller};
pub use carriers::{Carriers, NotPlaced};
pub use door::{Door, NotRecognised};
pub use openapi::{document, document_text};
pub use problem::{FieldFault, Problem};
pub use serve::serve;
pub use servers::{NotRefreshed, Refreshed, ServerPlace, ServerProcess, Servers};
pub use session::{CsrfToken, Transport};
pub use table::RouteNeed;
pub use trials::Trials;
pub use unread::tell_of_unread;
pub use upgrade::{is_websocket, websocket};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use std::net::SocketAddr;
use std::sync::Arc;

/// The router of the API.
pub fn router(api: &Arc<Api>) -> Router {
    let (router, _, _) = routes::table().finish();
    router
        .merge(openapi::pages())
        .merge(widget::pages())
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(api.clone(), guard::edge))
        .with_state(api.clone())
}

/// Every route with what it needs.
pub fn needs() -> Vec<RouteNeed> {
    routes::table().finish().2
}

/// Whether the API may be open without a credential at this address: on loopback only.
pub fn may_be_open(address: SocketAddr) -> bool {
    address.ip().is_loopback()
}
