//! The routes under `/api`, as the contract has them. Each stands in one table with what it needs ([`need::Need`]); what passes
//! the guard has a [`Who`], and works within the restaurants that follow from it.

pub mod app;
pub mod guard;
pub mod limits;
pub mod need;
pub mod refusal;
pub mod replay;
mod request;
pub mod routes;
pub mod signature;
pub mod who;

mod ai;
mod availability;
mod calls;
mod confirm_order;
mod desk;
mod events;
mod houses;
pub mod lines;
mod menu;
mod notices;
mod orders;
pub mod people;
mod pricing;
mod reservations;
mod rows;
mod stats;
mod transfer;

use std::sync::Arc;

use axum::Router;
use axum::middleware;

pub use app::{App, Config, Credential, Doors, Refused};
pub use need::{Need, RouteNeed};
pub use refusal::Refusal;
pub use request::{Members, Query};
pub use routes::Routes;
pub use who::{Role, Who};

/// The router of the back office.
pub fn router(app: &Arc<App>) -> Router {
    table()
        .router
        .fallback(|| async { Refusal::no_address() })
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard::edge))
        .with_state(Arc::clone(app))
}

/// Every route with what it needs.
pub fn needs() -> Vec<RouteNeed> {
    table().needs
}

fn table() -> Routes {
    let mut routes = Routes::default();
    houses::add(&mut routes);
    rows::add(&mut routes);
    lines::add(&mut routes);
    people::add(&mut routes);
    menu::add(&mut routes);
    calls::add(&mut routes);
    pricing::add(&mut routes);
    stats::add(&mut routes);
    transfer::add(&mut routes);
    events::add(&mut routes);
    ai::add(&mut routes);
    availability::add(&mut routes);
    orders::add(&mut routes);
    confirm_order::add(&mut routes);
    reservations::add(&mut routes);
    notices::add(&mut routes);
    routes
}
