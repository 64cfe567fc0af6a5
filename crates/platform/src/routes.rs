//! Every route with what it needs, in one place.

mod system;

use crate::need::{Area, Door, Need};
use crate::table::Table;
use utoipa_axum::routes;

/// The table of the whole API.
pub(crate) fn table() -> Table {
    system(Table::default())
}

fn system(table: Table) -> Table {
    table
        .add(
            Need::read(Area::System).door(Door::Open),
            routes!(system::health),
        )
        .add(
            Need::read(Area::System).door(Door::Open),
            routes!(system::ready),
        )
        .add(
            Need::read(Area::System).door(Door::Node),
            routes!(system::metrics),
        )
}
