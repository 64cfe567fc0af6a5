//! Rows as the domain takes them.

use serde_json::Value;

use super::{Desk, DeskError};
use crate::domain::facts::{Category, Combination, House, Item, Offer, Service, Table, read};
use crate::domain::hours::Hours;
use crate::domain::menu::Menu;
use crate::domain::seating::Rooms;
use crate::store::column::Table as Rows;
use crate::store::rows::list;
use crate::store::{Filter, HouseScope, houses, tables};

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
    pub async fn menu(&self, scope: &HouseScope) -> Result<Menu, DeskError> {
        let categories: Vec<Category> = self.every(scope, &tables::MENU_CATEGORIES).await?;
        let mut items: Vec<Item> = self.every(scope, &tables::MENU_ITEMS).await?;
        let sets: Vec<Item> = self.every(scope, &tables::SET_MENUS).await?;
        items.extend(sets.into_iter().map(|item| Item {
            is_set_menu: true,
            ..item
        }));
        Ok(Menu::new(categories, items))
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
