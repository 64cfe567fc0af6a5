//! The menu as callers order from it: numbered, its options with their rules.
//!
//! An item's options are a list of groups `{"name", "required", "min", "max", "choices": [{"id", "label", "price"}]}`. A group of a
//! set menu takes its choices from the menu itself: `{"source": "category", "categoryId": …, "maxPrice": …}` or
//! `{"source": "items", "itemIds": […]}`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::facts::{Category, Item};
use super::hours::{day_of, minute_of};
use super::lang::plain;
use super::money::Cents;

/// Items of one menu.
pub const ITEMS_MAX: usize = 2_000;
/// Groups of one item.
const GROUPS_MAX: usize = 20;
/// Choices of one group.
const CHOICES_MAX: usize = 200;

/// A wall clock's moment of a week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Monday is 0.
    pub day: usize,
    /// From midnight.
    pub minute: u16,
}

impl Moment {
    /// Of an instant in a zone.
    pub fn of(at: Timestamp, zone: &TimeZone) -> Self {
        let civil = zone.to_datetime(at);
        let minute = i16::from(civil.hour()) * 60 + i16::from(civil.minute());
        Self {
            day: usize::from(
                civil
                    .date()
                    .weekday()
                    .to_monday_zero_offset()
                    .unsigned_abs(),
            ),
            minute: minute.unsigned_abs(),
        }
    }
}

/// A menu, in the order of its numbers.
#[derive(Clone, Debug, Default)]
pub struct Menu {
    entries: Vec<Entry>,
    categories: Vec<Category>,
    by_id: BTreeMap<String, usize>,
}

/// A numbered item.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `#N`.
    pub number: usize,
    /// The item.
    pub item: Item,
    /// Its options.
    pub groups: Vec<Group>,
    /// Whether it is a set menu.
    pub set_menu: bool,
}

/// One option of an item.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Least choices; 0 is optional.
    pub min: usize,
    /// Most choices.
    pub max: usize,
    /// What may be chosen.
    pub choices: Vec<Choice>,
    /// Where the choices come from, for the prompt: a category's name.
    pub from_category: Option<String>,
}

/// One choice of an option.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its own id, where it has one.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Added to the price of one piece.
    pub extra: Cents,
    /// The item that it is, in a set menu.
    pub item_id: Option<String>,
    /// `false` when it is sold out.
    pub available: bool,
}

impl Menu {
    /// Numbers the items: by category and place, set menus last.
    pub fn new(mut categories: Vec<Category>, items: Vec<Item>) -> Self {
        categories.sort_by(|a, b| {
            (a.display_order, &a.name, &a.id).cmp(&(b.display_order, &b.name, &b.id))
        });
        let place: BTreeMap<&str, usize> = categories
            .iter()
            .enumerate()
            .map(|(index, category)| (category.id.as_str(), index))
            .collect();
        let mut rows: Vec<(bool, usize, Item)> = items
            .into_iter()
            .take(ITEMS_MAX)
            .map(|item| {
                let category = item
                    .category_id
                    .as_deref()
                    .and_then(|id| place.get(id).copied());
                (is_set_menu(&item), category.unwrap_or(usize::MAX), item)
            })
            .collect();
        rows.sort_by(|a, b| {
            (a.0, a.1, a.2.display_order, &a.2.name, &a.2.id).cmp(&(
                b.0,
                b.1,
                b.2.display_order,
                &b.2.name,
                &b.2.id,
            ))
        });
        let items: Vec<(bool, Item)> = rows
            .into_iter()
            .map(|(set_menu, _, item)| (set_menu, item))
            .collect();
        let entries: Vec<Entry> = items
            .iter()
            .enumerate()
            .map(|(index, (set_menu, item))| Entry {
                number: index + 1,
                item: item.clone(),
                groups: groups(item, &items, &categories),
                set_menu: *set_menu,
            })
            .collect();
        let by_id = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| (entry.item.id.clone(), index))
            .collect();
        Self {
            entries,
            categories,
            by_id,
        }
    }

    /// All items.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The categories, in order.
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// The item of an id.
    pub fn by_id(&self, id: &str) -> Option<&Entry> {
        self.by_id
            .get(id)
            .and_then(|index| self.entries.get(*index))
    }

    /// The item of a number.
    pub fn by_number(&self, number: usize) -> Option<&Entry> {
        self.entries.get(number.checked_sub(1)?)
    }

    /// `{"1": {"id": …, "name": …}, …}`, which a later order brings along: numbers keep their meaning during a call.
    pub fn item_map(&self) -> Value {
        let map: Map<String, Value> = self
            .entries
            .iter()
            .map(|entry| {
                (
                    entry.number.to_string(),
                    json!({"id": entry.item.id, "name": entry.item.name}),
                )
            })
            .collect();
        Value::Object(map)
    }
}

impl Entry {
    /// Whether it is served then.
    pub fn is_served(&self, at: Moment) -> bool {
        self.item.is_available && on_day(&self.item, at.day) && within(&self.item, at.minute)
    }
}

fn on_day(item: &Item, day: usize) -> bool {
    let listed = |value: &Value| day_of(value) == Some(day);
    item.available_days.is_empty() || item.available_days.iter().any(listed)
}

fn within(item: &Item, minute: u16) -> bool {
    let bound = |text: &Option<String>| text.as_deref().and_then(minute_of);
    match (bound(&item.available_from), bound(&item.available_to)) {
        (Some(from), Some(to)) if from <= to => from <= minute && minute <= to,
        (Some(from), Some(to)) => minute >= from || minute <= to,
        (Some(from), None) => minute >= from,
        (None, Some(to)) => minute <= to,
        (None, None) => true,
    }
}

fn is_set_menu(item: &Item) -> bool {
    let sourced = |group: &Value| {
        group
            .get("source")
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    item.is_set_menu
        || item
            .options
            .as_array()
            .is_some_and(|groups| groups.iter().any(sourced))
}

fn groups(item: &Item, items: &[(bool, Item)], categories: &[Category]) -> Vec<Group> {
    let parsed = item
        .options
        .as_str()
        .map(|text| serde_json::from_str(text).unwrap_or(Value::Null));
    let options = parsed.as_ref().unwrap_or(&item.options);
    let rows = options.as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter()
        .take(GROUPS_MAX)
        .filter_map(|row| group(row, items, categories))
        .collect()
}

fn group(row: &Value, items: &[(bool, Item)], categories: &[Category]) -> Option<Group> {
    let name = text(row, &["name", "label"])?;
    let category = text(row, &["categoryId", "category_id"]);
    let source = row
        .get("source")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let choices = match source {
        "category" => of_category(row, category.as_deref()?, items),
        "items" => of_items(row, items),
        _ => row
            .get("choices")
            .and_then(Value::as_array)
            .map_or_else(Vec::new, |choices| {
                choices
                    .iter()
                    .filter_map(plain_choice)
                    .take(CHOICES_MAX)
                    .collect()
            }),
    };
    let number = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| row.get(*name).and_then(Value::as_u64))
            .and_then(|number| usize::try_from(number).ok())
    };
    let required = row
        .get("required")
        .and_then(Value::as_bool)
        .unwrap_or(!source.is_empty());
    let multiple = row
        .get("type")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.starts_with("mult"))
        || row.get("multiple") == Some(&Value::Bool(true));
    let min = number(&["min", "minChoices"]).unwrap_or(usize::from(required));
    let max = number(&["max", "maxChoices"]).filter(|max| *max > 0);
    let max = max
        .unwrap_or(if multiple { choices.len().max(1) } else { 1 })
        .max(min);
    let from_category = category
        .filter(|_| source == "category")
        .and_then(|id| categories.iter().find(|category| category.id == id))
        .map(|category| category.name.clone());
    Some(Group {
        name,
        min: if required { min.max(1) } else { min },
        max,
        choices,
        from_category,
    })
}

fn text(row: &Value, names: &[&str]) -> Option<String> {
    names
        .iter()
        .find_map(|name| row.get(*name).and_then(Value::as_str))
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn plain_choice(row: &Value) -> Option<Choice> {
    if let Value::String(name) = row {
        return Some(Choice {
            id: None,
            name: name.clone(),
            extra: Cents::ZERO,
            item_id: None,
            available: true,
        });
    }
    let price = [
        "price",
        "extraPrice",
        "extra_price",
        "priceModifier",
        "price_modifier",
        "extra",
    ]
    .iter()
    .find_map(|name| row.get(*name));
    let id = row
        .get("id")
        .map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    Some(Choice {
        id,
        name: text(row, &["label", "name", "choice"])?,
        extra: price
            .and_then(|price| Cents::from_json(price).ok())
            .unwrap_or_default(),
        item_id: None,
        available: ["available", "isAvailable"]
            .iter()
            .all(|name| row.get(*name) != Some(&Value::Bool(false))),
    })
}

fn of_item(item: &Item) -> Choice {
    Choice {
        id: None,
        name: item.name.clone(),
        extra: Cents::ZERO,
        item_id: Some(item.id.clone()),
        available: item.is_available,
    }
}

fn of_category(row: &Value, category: &str, items: &[(bool, Item)]) -> Vec<Choice> {
    let most = row
        .get("maxPrice")
        .or_else(|| row.get("max_price"))
        .and_then(|price| Cents::from_json(price).ok());
    items
        .iter()
        .filter(|(set_menu, item)| {
            !set_menu
                && item.category_id.as_deref() == Some(category)
                && most.is_none_or(|most| item.price <= most)
        })
        .map(|(_, item)| of_item(item))
        .take(CHOICES_MAX)
        .collect()
}

fn of_items(row: &Value, items: &[(bool, Item)]) -> Vec<Choice> {
    let ids = ["itemIds", "item_ids", "items"]
        .iter()
        .find_map(|name| row.get(*name).and_then(Value::as_array));
    let one = ["itemId", "item_id"].iter().find_map(|name| row.get(*name));
    ids.map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .chain(one)
        .filter_map(|id| id.as_str().or_else(|| id.get("id").and_then(Value::as_str)))
        .filter_map(|id| items.iter().find(|(_, item)| item.id == id))
        .map(|(_, item)| of_item(item))
        .take(CHOICES_MAX)
        .collect()
}

impl Group {
    /// The choice that words mean: its name, or the only one whose name holds them.
    pub fn choice(&self, words: &str) -> Option<&Choice> {
        let words = plain(words);
        if words.is_empty() {
            return None;
        }
        let named = self
            .choices
            .iter()
            .find(|choice| plain(&choice.name) == words);
        named.or_else(|| {
            let mut like = self.choices.iter().filter(|choice| {
                let name = plain(&choice.name);
                name.contains(&words) || words.contains(&name)
            });
            like.next().filter(|_| like.next().is_none())
        })
    }

    /// The names of what may be chosen now.
    pub fn names(&self) -> Vec<String> {
        self.choices
            .iter()
            .filter(|choice| choice.available)
            .map(|choice| choice.name.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::read;

    fn menu() -> Menu {
        let categories = vec![
            read(json!({"id": "d", "name": "Desserts", "displayOrder": 2})).unwrap(),
            read(json!({"id": "p", "name": "Pizzas", "displayOrder": 1})).unwrap(),
        ];
        let items = [
            json!({"id": "m", "name": "Menu midi", "price": 15, "options": [
                {"name": "Pizza", "source": "category", "categoryId": "p", "maxPrice": 11},
                {"name": "Dessert", "source": "items", "itemIds": ["t"], "required": false}]}),
            json!({"id": "t", "name": "Tiramisu", "categoryId": "d", "price": 5, "availableFrom": "12:00", "availableTo": "14:00"}),
            json!({"id": "r", "name": "Reine", "categoryId": "p", "price": 11, "displayOrder": 2, "options": [
                {"name": "Taille", "required": true, "choices": [{"id": 1, "label": "Normale"}, {"id": 2, "label": "Géante", "price": 4.5}]},
                {"name": "Suppléments", "type": "multi", "choices": ["Olives", {"label": "Anchois", "price_modifier": 1}]}]}),
            json!({"id": "c", "name": "Calzone", "categoryId": "p", "price": "12,50", "displayOrder": 1}),
        ];
        Menu::new(
            categories,
            items.into_iter().map(|item| read(item).unwrap()).collect(),
        )
    }

    #[test]
    fn items_come_first_and_set_menus_last() {
        let menu = menu();
        let names: Vec<&str> = menu
            .entries()
            .iter()
            .map(|entry| entry.item.name.as_str())
            .collect();
        assert_eq!(names, ["Calzone", "Reine", "Tiramisu", "Menu midi"]);
        assert_eq!(
            menu.item_map()["4"],
            json!({"id": "m", "name": "Menu midi"})
        );
        assert!(menu.by_number(0).is_none() && menu.by_number(5).is_none());
    }

    #[test]
    fn options_have_their_rules() {
        let menu = menu();
        let reine = &menu.by_id("r").unwrap().groups;
        assert_eq!((reine[0].min, reine[0].max), (1, 1));
        assert_eq!((reine[1].min, reine[1].max), (0, 2));
        assert_eq!(reine[0].choice("geante").unwrap().extra, Cents::new(450));
        assert_eq!(
            reine[1].choice("aux anchois").unwrap().extra,
            Cents::new(100)
        );
        let set = &menu.by_id("m").unwrap().groups;
        assert_eq!(set[0].names(), ["Reine"]);
        assert_eq!((set[0].min, set[1].min), (1, 0));
        assert_eq!(set[1].choices[0].item_id.as_deref(), Some("t"));
    }

    #[test]
    fn items_are_served_at_their_hours() {
        let menu = menu();
        let tiramisu = menu.by_id("t").unwrap();
        let at = |minute: u16| Moment { day: 6, minute };
        assert!(tiramisu.is_served(at(13 * 60)) && !tiramisu.is_served(at(20 * 60)));
        let mut night = tiramisu.clone();
        night.item.available_from = Some("22:00".to_owned());
        night.item.available_to = Some("02:00".to_owned());
        assert!(
            night.is_served(at(60))
                && night.is_served(at(23 * 60))
                && !night.is_served(at(12 * 60))
        );
        night.item.available_days = vec![json!(7)];
        assert!(night.is_served(at(60)));
        night.item.available_days = vec![json!("lundi"), json!(6)];
        assert!(!night.is_served(at(60)));
    }
}
