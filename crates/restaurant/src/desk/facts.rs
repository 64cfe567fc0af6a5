//! Rows as the domain takes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use store::{Db, ReadError, Statement};

use super::{Desk, DeskError};
use crate::domain::facts::{Category, Combination, House, Item, Offer, Service, Table, read};
use crate::domain::hours::Hours;
use crate::domain::menu::Menu;
use crate::domain::seating::Rooms;
use crate::store::column::Table as Rows;
use crate::store::rows::list;
use crate::store::{Filter, HouseScope, houses, tables};

/// Menus that are kept at most.
const MENUS_MAX: usize = 256;

/// What tells one state of a menu from another: how many rows each of its tables has, and when they were changed.
type MenuState = [(i64, i64); 3];

/// Menus as they were read last. Each use asks whether it is still so: another node may have changed it.
#[derive(Debug, Default)]
pub struct Menus(Mutex<HashMap<String, (MenuState, Arc<Menu>)>>);

impl Menus {
    fn known(&self, restaurant: &str, state: MenuState) -> Option<Arc<Menu>> {
        let menus = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, menu) = menus.get(restaurant)?;
        (*known == state).then(|| Arc::clone(menu))
    }

    fn keep(&self, restaurant: &str, state: MenuState, menu: &Arc<Menu>) {
        let mut menus = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if menus.len() >= MENUS_MAX && !menus.contains_key(restaurant) {
            menus.clear();
        }
        menus.insert(restaurant.to_owned(), (state, Arc::clone(menu)));
    }
}

/// A row a table instead of a menu. The sum changes with any row: times are microseconds, and its part below 2^40 does not overflow.
async fn menu_state(db: &Db, scope: &HouseScope) -> Result<MenuState, ReadError> {
    const TABLES: [(i64, &Rows); 3] = [
        (0, &tables::MENU_CATEGORIES),
        (1, &tables::MENU_ITEMS),
        (2, &tables::SET_MENUS),
    ];
    let mut asked = Statement::new("");
    for (place, table) in TABLES {
        let union = if place > 0 { " UNION ALL " } else { "" };
        asked.push(&format!(
            "{union}SELECT {place} AS place, COUNT(*) AS held, \
             CAST(COALESCE(SUM(updated_at % 1099511627776), 0) AS BIGINT) AS stamp FROM {} WHERE ",
            table.name
        ));
        scope.limit(&mut asked);
    }
    asked.push(" ORDER BY place");
    let mut state = MenuState::default();
    for (kept, row) in state.iter_mut().zip(db.rows(asked).await?) {
        let number = |name: &str| Ok::<_, ReadError>(row.int(name)?.unwrap_or_default());
        *kept = (number("held")?, number("stamp")?);
    }
    Ok(state)
}

/// Rooms of a restaurant.
#[derive(Debug)]
pub struct Dining {
    services: Vec<Service>,
    tables: Vec<Table>,
    combinations: Vec<Combination>,
    /// Offers that a booking may name.
    pub offers: Vec<Offer>,
}

impl Dining {
    /// As the domain takes them.
    pub fn rooms<'a>(&'a self, house: &'a House) -> Rooms<'a> {
        Rooms {
            house,
            services: &self.services,
            tables: &self.tables,
            combinations: &self.combinations,
        }
    }

    /// The services.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// None, for what needs no table.
    pub fn none() -> Self {
        Self {
            services: Vec::new(),
            tables: Vec::new(),
            combinations: Vec::new(),
            offers: Vec::new(),
        }
    }
}

impl Desk<'_> {
    /// The restaurant; `None` where it was removed meanwhile. Hours that cannot be read count as none: staff see the fault when
    /// they write them.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn house(&self, scope: &HouseScope) -> Result<Option<(House, Hours)>, DeskError> {
        let Some(row) = houses::one(self.db, scope).await? else {
            return Ok(None);
        };
        let mut house: House = read(Value::Object(row))?;
        scope.restaurant().clone_into(&mut house.id);
        let hours = house.hours().unwrap_or_default();
        Ok(Some((house, hours)))
    }

    /// The menu with its numbers.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn menu(&self, scope: &HouseScope) -> Result<Arc<Menu>, DeskError> {
        // Before the rows: what changes between is read again the next time.
        let state = menu_state(self.db, scope).await?;
        if let Some(menu) = self.menus.known(scope.restaurant(), state) {
            return Ok(menu);
        }
        let categories: Vec<Category> = self.every(scope, &tables::MENU_CATEGORIES).await?;
        let mut items: Vec<Item> = self.every(scope, &tables::MENU_ITEMS).await?;
        let sets: Vec<Item> = self.every(scope, &tables::SET_MENUS).await?;
        items.extend(sets.into_iter().map(|item| Item {
            is_set_menu: true,
            ..item
        }));
        let menu = Arc::new(Menu::new(categories, items));
        self.menus.keep(scope.restaurant(), state, &menu);
        Ok(menu)
    }

    /// Services, tables and offers.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn dining(&self, scope: &HouseScope) -> Result<Dining, DeskError> {
        Ok(Dining {
            services: self.every(scope, &tables::DINING_SERVICES).await?,
            tables: self.every(scope, &tables::TABLES).await?,
            combinations: self.every(scope, &tables::TABLE_COMBINATIONS).await?,
            offers: self.every(scope, &tables::OFFERS).await?,
        })
    }

    /// Every row of a table.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn every<T: serde::de::DeserializeOwned>(
        &self,
        scope: &HouseScope,
        table: &'static Rows,
    ) -> Result<Vec<T>, DeskError> {
        let rows = list(self.db, scope, table, Filter::default()).await?;
        let mut every = Vec::with_capacity(rows.len());
        for row in rows {
            let id = row["id"].clone();
            match read(row) {
                Ok(row) => every.push(row),
                // One dish that nobody can read must not close the restaurant.
                Err(error) => {
                    tracing::warn!(table = table.name, %id, %error, "a row is left out");
                }
            }
        }
        Ok(every)
    }
}
