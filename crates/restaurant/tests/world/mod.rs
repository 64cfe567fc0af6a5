//! A restaurant in a real database.

use crate::place::Place;
use jiff::Timestamp;
use restaurant::desk::Desk;
use restaurant::domain::geo::Places;
use restaurant::maps::Maps;
use restaurant::store::column::Table;
use restaurant::store::rows::{delete, insert_as, list, update};
use restaurant::store::{Filter, HouseScope, houses, open, record, tables};
use serde_json::{Map, Value, json};
use std::sync::{Arc, OnceLock};
use store::{Db, Store};

/// A database of one test.
pub(crate) struct Database {
    pub(crate) store: Store,
    _place: Place,
}

/// A fresh SQLite file, and a fresh database of the PostgreSQL that `ALLO_TEST_POSTGRES` names.
pub(crate) async fn databases() -> Vec<Database> {
    let mut found = Vec::new();
    for place in [Some(Place::sqlite()), Place::postgres().await]
        .into_iter()
        .flatten()
    {
        found.push(Database {
            store: place.open().await,
            _place: place,
        });
    }
    found
}

/// A wall clock's instant in Paris.
pub(crate) fn at(text: &str) -> Timestamp {
    if let Ok(at) = text.parse() {
        return at;
    }
    format!("{text}[Europe/Paris]")
        .parse::<jiff::Zoned>()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .timestamp()
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// One restaurant.
pub(crate) struct World {
    pub(crate) db: Db,
    pub(crate) scope: HouseScope,
    maps: Arc<Maps>,
    menus: restaurant::desk::facts::Menus,
    counters: restaurant::desk::placing::Counters,
}

fn bella() -> Value {
    json!({
        "name": "Pizza Bella", "address": "3 rue de la Liberté", "postalCode": "21000", "city": "Dijon", "lat": 47.322, "lng": 5.0415,
        "avgPrepTimeMin": 20, "kitchenCapacity": 10, "deliveryEnabled": true, "deliveryRadiusKm": 8, "deliveryFee": 3,
        "deliveryFreeAbove": 40, "minOrderAmount": 15, "reservationEnabled": true, "totalSeats": 10,
        "minReservationAdvanceMin": 60, "maxReservationAdvanceDays": 30, "cancellationDelayHours": 2,
        "openingHours": {"tuesday": "19:00-23:00", "wednesday": "19:00-23:00", "thursday": "19:00-23:00", "friday": "19:00-23:00",
            "saturday": ["12:00-14:00", "19:00-00:30"], "sunday": "19:00-23:00",
            "exceptions": [{"date": "2026-12-24", "closed": true}]},
    })
}

fn rows() -> Vec<(&'static Table, Value)> {
    let pizza = |id: &str, order: i64, name: &str, price: f64| json!({"id": id, "categoryId": "pizzas", "displayOrder": order, "name": name, "price": price, "allergens": ["gluten", "lait"]});
    let mut reine = pizza("reine", 2, "Reine", 11.0);
    reine["options"] = json!([
        {"name": "Taille", "required": true, "choices": [{"id": 1, "label": "Normale"}, {"id": 2, "label": "Géante", "price": 4.5}]},
        {"name": "Suppléments", "type": "multi", "max": 2, "choices": ["Olives", {"label": "Anchois", "price": 1}, {"label": "Câpres", "available": false}]},
    ]);
    let mut quatre = pizza("quatre", 3, "Quatre fromages", 12.0);
    quatre["isAvailable"] = false.into();
    vec![
        (
            &tables::MENU_CATEGORIES,
            json!({"id": "pizzas", "name": "Pizzas", "displayOrder": 1}),
        ),
        (
            &tables::MENU_CATEGORIES,
            json!({"id": "desserts", "name": "Desserts", "displayOrder": 2}),
        ),
        (
            &tables::MENU_CATEGORIES,
            json!({"id": "boissons", "name": "Boissons", "displayOrder": 3}),
        ),
        (&tables::MENU_ITEMS, pizza("marg", 1, "Margherita", 9.9)),
        (&tables::MENU_ITEMS, reine),
        (&tables::MENU_ITEMS, quatre),
        (&tables::MENU_ITEMS, pizza("calzone", 4, "Calzone", 12.5)),
        (
            &tables::MENU_ITEMS,
            json!({"id": "tira", "categoryId": "desserts", "displayOrder": 1, "name": "Tiramisu", "price": 5, "availableFrom": "12:00", "availableTo": "14:00"}),
        ),
        (
            &tables::MENU_ITEMS,
            json!({"id": "glace", "categoryId": "desserts", "displayOrder": 2, "name": "Glace", "price": 4, "options": [
            {"name": "Parfum", "required": true, "min": 2, "max": 3, "choices": ["Vanille", "Fraise", "Chocolat"]}]}),
        ),
        (
            &tables::MENU_ITEMS,
            json!({"id": "eau", "categoryId": "boissons", "displayOrder": 1, "name": "Eau", "price": 2.5}),
        ),
        (
            &tables::SET_MENUS,
            json!({"id": "formule", "name": "Formule", "price": 15, "options": [
            {"name": "Pizza", "source": "category", "categoryId": "pizzas"}, {"name": "Dessert", "source": "items", "itemIds": ["tira", "glace"], "required": false}]}),
        ),
        (
            &tables::TABLES,
            json!({"id": "t1", "tableNumber": "1", "seats": 2, "seatingOptions": ["window"]}),
        ),
        (
            &tables::TABLES,
            json!({"id": "t2", "tableNumber": "2", "seats": 4}),
        ),
        (
            &tables::TABLES,
            json!({"id": "t3", "tableNumber": "3", "seats": 4, "seatingOptions": ["outdoor"]}),
        ),
        (
            &tables::OFFERS,
            json!({"id": "noel", "name": "Menu de Noël", "startDate": "2026-12-20", "endDate": "2026-12-31", "minPartySize": 2, "isBookable": true}),
        ),
    ]
}

impl World {
    /// Pizza Bella, a Saturday evening of 2026-11-28; `own` members of the restaurant win.
    pub(crate) async fn new(store: &Store, own: Option<&Value>) -> Self {
        static MAPS: OnceLock<Arc<Maps>> = OnceLock::new();
        let maps = MAPS.get_or_init(|| {
            let places = Places::france().expect("places");
            Arc::new(Maps::offline(Arc::new(places)))
        });
        let db = open(store).await.expect("tables");
        let mut house = members(&bella());
        house.extend(members(own.unwrap_or(&Value::Null)));
        let sets = record::read(&tables::RESTAURANTS, &house, true).expect("a restaurant");
        let mut tx = db.begin().await.expect("a write");
        let (scope, _) = houses::create(&mut tx, "default", sets)
            .await
            .expect("a restaurant");
        tx.commit().await.expect("a commit");
        let world = Self {
            db,
            scope,
            maps: Arc::clone(maps),
            menus: restaurant::desk::facts::Menus::default(),
            counters: restaurant::desk::placing::Counters::default(),
        };
        for (table, row) in rows() {
            world.add(table, &row).await;
        }
        world
    }

    pub(crate) fn desk(&self) -> Desk<'_> {
        Desk {
            db: &self.db,
            maps: &self.maps,
            menus: &self.menus,
            counters: &self.counters,
        }
    }

    /// Ids are of the whole database: each restaurant has its own.
    fn id(&self, id: &str) -> String {
        format!(
            "{}-{id}",
            &self.scope.restaurant()[self.scope.restaurant().len() - 12..]
        )
    }

    async fn add(&self, table: &'static Table, row: &Value) {
        let mut row = members(row);
        for name in ["categoryId", "diningRoomId"] {
            if let Some(Value::String(id)) = row.get(name) {
                let id = self.id(id);
                row.insert(name.to_owned(), id.into());
            }
        }
        if let Some(options) = row.get_mut("options") {
            for group in options.as_array_mut().into_iter().flatten() {
                if let Some(Value::String(id)) = group.get("categoryId") {
                    group["categoryId"] = self.id(id).into();
                }
                for id in group
                    .get_mut("itemIds")
                    .and_then(Value::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    *id = self.id(id.as_str().unwrap_or_default()).into();
                }
            }
        }
        let id = row
            .remove("id")
            .and_then(|id| id.as_str().map(|id| self.id(id)))
            .unwrap_or_else(store::new_id);
        let sets = record::read(table, &row, true)
            .unwrap_or_else(|fault| panic!("{}: {fault}", table.what));
        let mut tx = self.db.begin().await.expect("a write");
        insert_as(&mut tx, &self.scope, table, &id, sets)
            .await
            .expect("a row");
        tx.commit().await.expect("a commit");
    }

    /// What staff do meanwhile: `{"table", "id", "set"}`, `{"table", "add"}` or `{"table", "remove"}`.
    pub(crate) async fn change(&self, change: &Value) {
        let table = named(change["table"].as_str().expect("a table"));
        if let Some(row) = change.get("add") {
            return self.add(table, row).await;
        }
        let mut tx = self.db.begin().await.expect("a write");
        if let Some(set) = change.get("set") {
            let sets = record::read(table, &members(set), false).expect("members");
            if table.name == "restaurants" {
                houses::change(&mut tx, &self.scope, sets)
                    .await
                    .expect("a change");
            } else {
                let first = if change["first"] == true {
                    self.rows(change["table"].as_str().unwrap_or_default())
                        .await
                } else {
                    Vec::new()
                };
                let id = match first.first() {
                    Some(row) => row["id"].as_str().unwrap_or_default().to_owned(),
                    None => self.id(change["id"].as_str().expect("an id")),
                };
                update(&mut tx, &self.scope, table, &id, sets)
                    .await
                    .expect("a change")
                    .expect("a row");
            }
        } else {
            let id = self.id(change["remove"].as_str().expect("an id"));
            assert!(
                delete(&mut tx, &self.scope, table, &id)
                    .await
                    .expect("a removal")
            );
        }
        tx.commit().await.expect("a commit");
    }

    /// The rows of a table, oldest first.
    pub(crate) async fn rows(&self, table: &str) -> Vec<Value> {
        let oldest = Filter::default().by("created_at, id");
        list(&self.db, &self.scope, named(table), oldest)
            .await
            .expect("rows")
    }
}

fn named(name: &str) -> &'static Table {
    match name {
        "restaurant" => &tables::RESTAURANTS,
        "items" => &tables::MENU_ITEMS,
        "sets" => &tables::SET_MENUS,
        "services" => &tables::DINING_SERVICES,
        "tables" => &tables::TABLES,
        "combinations" => &tables::TABLE_COMBINATIONS,
        "offers" => &tables::OFFERS,
        "customers" => &tables::CUSTOMERS,
        "orders" => &tables::ORDERS,
        "lines" => &tables::ORDER_LINES,
        "reservations" => &tables::RESERVATIONS,
        "holds" => &tables::HOLDS,
        "events" => &tables::EVENTS,
        other => panic!("no table {other}"),
    }
}
