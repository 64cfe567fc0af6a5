//! The back office's own tables, in the database of the product: through `store::Db`, by statements of this crate alone.

pub mod access;
pub mod column;
pub mod houses;
pub mod notices;
pub mod order;
pub mod record;
pub mod rows;
pub mod tables;

use store::{ChangeError, Db, OpenError, Step, Store, Tx};

pub use access::{Access, HouseScope};
pub use record::{Fault, Set};
pub use rows::Filter;

const STEPS: &[Step] = &[
    Step {
        version: 20_261_129_000_000,
        name: "first",
        sqlite: include_str!("../migrations/sqlite/20261129000000_first.sql"),
        postgres: include_str!("../migrations/postgres/20261129000000_first.sql"),
    },
    Step {
        version: 20_261_129_060_000,
        name: "notices",
        sqlite: include_str!("../migrations/sqlite/20261129060000_notices.sql"),
        postgres: include_str!("../migrations/postgres/20261129060000_notices.sql"),
    },
    Step {
        version: 20_261_129_120_000,
        name: "removals",
        sqlite: include_str!("../migrations/sqlite/20261129120000_removals.sql"),
        postgres: include_str!("../migrations/postgres/20261129120000_removals.sql"),
    },
];

/// Opens the tables, and makes them where they are missing.
///
/// # Errors
/// See [`OpenError`].
pub async fn open(store: &Store) -> Result<Db, OpenError> {
    let db = store.annex();
    db.migrate("restaurant", STEPS).await?;
    Ok(db)
}

/// Ends a write: what was refused is rolled back without losing the connection.
///
/// # Errors
/// The one that was given, or that of the commit.
pub async fn settle<T, E: From<ChangeError>>(tx: Tx, result: Result<T, E>) -> Result<T, E> {
    match result {
        Ok(value) => {
            tx.commit().await.map_err(ChangeError::from)?;
            Ok(value)
        }
        Err(refused) => {
            tx.rollback().await;
            Err(refused)
        }
    }
}
