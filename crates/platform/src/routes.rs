//! Every route with what it needs, in one place.

#![allow(
    unused_qualifications,
    reason = "the macro of the document repeats the types of the handlers"
)]

mod accounts;
mod agents;
mod auth;
mod bans;
mod billing;
mod blocked;
pub(crate) mod browser;
mod calls;
mod chat;
mod control;
mod customers;
mod devices;
mod discovery;
mod faqs;
mod keys;
mod line_test;
mod lines;
mod listening;
pub(crate) mod live;
mod log;
mod owner;
pub(crate) mod parking;
pub(crate) mod people;
pub(crate) mod placing;
mod privacy;
pub(crate) mod quality;
mod routing;
mod servers;
mod shares;
mod sip_account_certificates;
mod sip_account_fields;
mod sip_accounts;
mod system;
mod tools;
mod trials;
mod users;
mod versions;
mod workflows;

use crate::need::{Area, Door, Need, Role};
use crate::table::Table;
use utoipa_axum::routes;

/// The table of the whole API.
pub(crate) fn table() -> Table {
    let table = system(Table::default());
    let table = accounts(table);
    let table = billing(table);
    let table = agents(table);
    let table = lines_and_faqs(table);
    let table = admin(table);
    let table = calls(table);
    let table = chat(table);
    let table = servers(table);
    people(table)
}

fn system(table: Table) -> Table {
    let read = Need::read(Area::System);
    table
        .add(read.door(Door::Open), routes!(system::health))
        .add(read.door(Door::Open), routes!(system::ready))
        .add(read.door(Door::Node), routes!(system::metrics))
        .add(read.door(Door::Node), routes!(live::registrations))
}

fn accounts(table: Table) -> Table {
    let read = Need::read(Area::Accounts);
    let change = Need::change(Area::Accounts);
    let customers = Need::read(Area::Customers);
    let change_customers = Need::change(Area::Customers);
    table
        .add(read, routes!(accounts::list))
        .add(change.door(Door::Node), routes!(accounts::create))
        .add(read, routes!(accounts::read))
        .add(change, routes!(accounts::replace))
        .add(change, routes!(accounts::update))
        .add(
            Need::read(Area::Privacy).role(Role::Admin),
            routes!(privacy::export),
        )
        .add(Need::change(Area::Privacy), routes!(privacy::erase))
        .add(read.role(Role::Admin), routes!(log::secrets))
        .add(change, routes!(log::set_secret))
        .add(change, routes!(log::remove_secret))
        .add(change, routes!(trials::test_engine))
        .add(customers, routes!(customers::list))
        .add(change_customers, routes!(customers::create))
        .add(customers, routes!(customers::read))
        .add(change_customers, routes!(customers::replace))
        .add(change_customers, routes!(customers::update))
        .add(change_customers, routes!(customers::remove))
}

fn billing(table: Table) -> Table {
    let read = Need::read(Area::Billing);
    let change = Need::change(Area::Billing);
    table
        .add(read, routes!(billing::customer_balance))
        .add(read, routes!(billing::customer_transactions))
        .add(change, routes!(billing::customer_top_up))
        .add(read, routes!(billing::account_transactions))
        // Its own balance is the one thing that an account cannot raise.
        .add(change.door(Door::Node), routes!(billing::account_top_up))
        .add(read, routes!(billing::plans))
        .add(change, routes!(billing::create_plan))
        .add(change, routes!(billing::update_plan))
        .add(change, routes!(billing::remove_plan))
        .add(read, routes!(billing::subscriptions))
        .add(change, routes!(billing::subscribe))
        .add(read, routes!(billing::usage))
        .add(read, routes!(billing::prices))
        .add(change.door(Door::Node), routes!(billing::set_prices))
}

fn agents(table: Table) -> Table {
    let read = Need::read(Area::Agents).door(Door::Agents);
    let change = Need::change(Area::Agents);
    let own = change.door(Door::Agents);
    table
        .add(read, routes!(agents::list))
        .add(change, routes!(agents::create))
        .add(read, routes!(agents::read))
        .add(own, routes!(agents::replace))
        .add(own, routes!(agents::update))
        .add(change, routes!(agents::remove))
        .add(change, routes!(agents::duplicate))
        .add(
            Need::act(Area::Agents).door(Door::Agents),
            routes!(agents::pause),
        )
        .add(
            Need::act(Area::Agents).door(Door::Agents),
            routes!(agents::resume),
        )
        .add(change, routes!(agents::rotate))
        .add(
            Need::act(Area::Agents).door(Door::Agents),
            routes!(trials::preview),
        )
        .add(read, routes!(tools::list))
        .add(own, routes!(tools::create))
        .add(read, routes!(tools::read))
        .add(own, routes!(tools::update))
        .add(own, routes!(tools::remove))
        .add(own, routes!(trials::run_tool))
        .add(read, routes!(tools::brain))
        .add(own, routes!(tools::replace_brain))
        .add(read, routes!(versions::list))
        .add(read, routes!(versions::read))
        .add(read, routes!(versions::diff))
        .add(own, routes!(versions::roll_back))
}

fn lines_and_faqs(table: Table) -> Table {
    let lines = Need::read(Area::Lines).door(Door::Agents);
    let change_lines = Need::change(Area::Lines).door(Door::Agents);
    let faqs = Need::read(Area::Faqs).door(Door::Agents);
    let act_faqs = Need::act(Area::Faqs).door(Door::Agents);
    let blocked = Need::read(Area::Blocked).door(Door::Agents);
    let act_blocked = Need::act(Area::Blocked).door(Door::Agents);
    table
        .add(lines, routes!(lines::list))
        .add(lines, routes!(lines::of_agent))
        .add(change_lines, routes!(lines::upsert))
        .add(lines, routes!(lines::read))
        .add(change_lines, routes!(lines::update))
        .add(change_lines, routes!(lines::remove))
        .add(
            Need::read(Area::Lines).role(Role::Admin),
            routes!(discovery::agents),
        )
        .add(lines, routes!(lines::bridges))
        .add(lines, routes!(lines::workers))
        .add(Need::change(Area::Lines), routes!(line_test::test))
        .add(Need::read(Area::Lines), routes!(trials::twilio))
        .add(faqs, routes!(faqs::list))
        .add(act_faqs, routes!(faqs::create))
        .add(act_faqs, routes!(faqs::import))
        .add(faqs, routes!(faqs::read))
        .add(act_faqs, routes!(faqs::update))
        .add(act_faqs, routes!(faqs::answer))
        .add(act_faqs, routes!(faqs::remove))
        .add(blocked, routes!(blocked::list))
        .add(act_blocked, routes!(blocked::create))
        .add(act_blocked, routes!(blocked::remove))
}

fn admin(table: Table) -> Table {
    let read = Need::read(Area::Lines);
    let change = Need::change(Area::Lines);
    table
        .add(read, routes!(sip_accounts::list))
        .add(change, routes!(sip_accounts::create))
        .add(read, routes!(sip_accounts::read))
        .add(change, routes!(sip_accounts::update))
        .add(change, routes!(sip_accounts::remove))
        .add(change, routes!(sip_accounts::rotate))
        .add(read, routes!(devices::list))
        .add(change, routes!(devices::create))
        .add(read, routes!(devices::read))
        .add(change, routes!(devices::update))
        .add(change, routes!(devices::remove))
        .add(read.door(Door::Node), routes!(bans::list_bans))
        .add(change.door(Door::Node), routes!(bans::lift_ban))
        .add(read, routes!(routing::profiles))
        .add(read, routes!(workflows::list))
        .add(change, routes!(workflows::create))
        .add(read, routes!(workflows::read))
        .add(change, routes!(workflows::update))
        .add(change, routes!(workflows::remove))
        .add(read, routes!(workflows::versions))
        .add(change, routes!(workflows::publish))
        .add(change, routes!(workflows::roll_back))
        .add(read, routes!(routing::route))
}

fn calls(table: Table) -> Table {
    let read = Need::read(Area::Calls).door(Door::Agents);
    let watch = Need::read(Area::Live).door(Door::Agents);
    let act = Need::act(Area::Live).door(Door::Agents);
    let webhooks = Need::read(Area::Webhooks);
    table
        .add(read, routes!(calls::list))
        .add(read, routes!(calls::export))
        .add(watch, routes!(live::list))
        .add(read, routes!(calls::read))
        .add(read, routes!(calls::transcript))
        .add(read, routes!(calls::events))
        .add(read, routes!(calls::explanation))
        .add(read, routes!(calls::signalling))
        .add(read, routes!(calls::captured))
        .add(read, routes!(calls::costs))
        .add(read, routes!(calls::recording))
        .add(act, routes!(live::hang_up))
        .add(act, routes!(live::remove))
        .add(act, routes!(placing::place))
        .add(act, routes!(browser::prepare))
        .add(watch.door(Door::Open), routes!(browser::connect))
        .add(act, routes!(control::transfer))
        .add(act, routes!(control::instruct))
        .add(act, routes!(control::dtmf))
        .add(act, routes!(control::secure_input))
        .add(act, routes!(listening::listen))
        .add(act, routes!(people::join))
        .add(act, routes!(people::take_over))
        .add(act, routes!(people::hand_back))
        .add(act, routes!(parking::park))
        .add(act, routes!(parking::retrieve))
        .add(act, routes!(placing::inviting::invite))
        .add(act, routes!(placing::inviting::call_off))
        .add(
            Need::read(Area::Calls).role(Role::Operator),
            routes!(shares::list_shares),
        )
        .add(Need::act(Area::Calls), routes!(shares::share))
        .add(Need::act(Area::Calls), routes!(shares::unshare))
        .add(read.door(Door::Open), routes!(shares::shared))
        .add(read.door(Door::Open), routes!(shares::shared_recording))
        .add(watch, routes!(live::events))
        .add(webhooks, routes!(log::deliveries))
        .add(webhooks, routes!(log::delivery))
        .add(Need::act(Area::Webhooks), routes!(log::replay))
}

fn chat(table: Table) -> Table {
    let read = Need::read(Area::Chat).door(Door::Chat);
    let act = Need::act(Area::Chat).door(Door::Chat);
    table
        .add(read, routes!(chat::config))
        .add(
            Need::read(Area::Chat).door(Door::Agents),
            routes!(chat::list),
        )
        .add(act, routes!(chat::create))
        .add(read, routes!(chat::read))
        .add(act, routes!(chat::post_message))
        .add(act, routes!(chat::end))
}

fn servers(table: Table) -> Table {
    let read = Need::read(Area::Agents);
    let act = Need::act(Area::Agents);
    table
        .add(read, routes!(servers::list))
        .add(read, routes!(servers::read))
        .add(act, routes!(servers::start))
        .add(act, routes!(servers::stop))
        .add(act, routes!(servers::restart))
        .add(act, routes!(servers::refresh))
}

fn people(table: Table) -> Table {
    let keys = Need::read(Area::Keys).role(Role::Admin);
    let change_keys = Need::change(Area::Keys);
    let users = Need::read(Area::Users).role(Role::Admin);
    let change_users = Need::change(Area::Users);
    let own = Need::read(Area::System).door(Door::Any);
    table
        .add(
            Need::act(Area::Users).door(Door::Open),
            routes!(auth::login),
        )
        .add(
            Need::read(Area::Users).door(Door::Open),
            routes!(auth::first_run),
        )
        .add(
            Need::act(Area::Users).door(Door::Open),
            routes!(auth::set_up),
        )
        .add(own, routes!(auth::logout))
        .add(own, routes!(auth::change_password))
        .add(own, routes!(auth::me))
        .add(keys, routes!(keys::list))
        .add(change_keys, routes!(keys::create))
        .add(keys, routes!(keys::read))
        .add(change_keys, routes!(keys::revoke))
        .add(users, routes!(users::list))
        .add(change_users, routes!(users::create))
        .add(users, routes!(users::read))
        .add(change_users, routes!(users::update))
        .add(change_users, routes!(users::remove))
        .add(
            Need::read(Area::Audit).role(Role::Admin),
            routes!(log::audit),
        )
}
