//! Orders as clients write them: the tool's names and the older route's.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::money::Cents;

/// How an order reaches its customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Fetched.
    #[default]
    Pickup,
    /// Brought.
    Delivery,
    /// Eaten in the house.
    DineIn,
}

impl Mode {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pickup => "pickup",
            Self::Delivery => "delivery",
            Self::DineIn => "dine_in",
        }
    }

    /// Of the wire's word.
    pub fn read(word: &str) -> Option<Self> {
        match word {
            "pickup" => Some(Self::Pickup),
            "delivery" => Some(Self::Delivery),
            "dine_in" => Some(Self::DineIn),
            _ => None,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AskedOrder {
    /// How.
    #[serde(rename = "order_type", alias = "orderType")]
    pub mode: Mode,
    /// The lines.
    pub items: Vec<AskedLine>,
    /// As told to the caller.
    pub total: Option<Cents>,
    /// The numbers of the call: `{"1": {"id", "name"}}`.
    #[serde(alias = "itemMap")]
    pub item_map: Value,
    /// Of the whole order.
    pub notes: Option<String>,
}

/// One line as asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AskedLine {
    /// `#N`; models write it as a number or a text.
    pub id: Value,
    /// The item's id.
    #[serde(rename = "menuItemId", alias = "menu_item_id")]
    pub menu_item_id: Option<String>,
    /// The item's name.
    pub name: Option<String>,
    /// Pieces.
    pub quantity: Value,
    /// As told to the caller.
    #[serde(alias = "unitPrice")]
    pub unit_price: Option<Cents>,
    /// What was chosen.
    #[serde(alias = "selectedOptions", deserialize_with = "list")]
    pub selected_options: Vec<AskedOption>,
    /// Allergies and wishes.
    pub notes: Option<String>,
}

/// A chosen option as asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AskedOption {
    /// The option.
    pub name: Option<String>,
    /// The number of a choice: an item's in a set menu, else the choice's own.
    #[serde(alias = "choiceId")]
    pub choice_id: Value,
    /// The choice's name.
    pub choice: Option<String>,
}

/// A list that may be null.
fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<AskedOption>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl AskedOrder {
    /// Whether the call's own numbering came along.
    pub fn has_map(&self) -> bool {
        self.item_map.as_object().is_some_and(|map| !map.is_empty())
    }

    /// The id behind a number in the call's numbering.
    pub fn mapped(&self, number: i64) -> Option<String> {
        let entry = self.item_map.get(number.to_string())?;
        let id = entry.get("id").unwrap_or(entry);
        id.as_str().map(str::to_owned)
    }
}

impl AskedLine {
    /// `#N`.
    pub fn number(&self) -> Option<i64> {
        number(&self.id)
    }

    /// Pieces, where they are whole; one where nothing is said.
    pub fn pieces(&self) -> Option<i64> {
        if self.quantity.is_null() {
            return Some(1);
        }
        number(&self.quantity)
    }
}

/// A whole number, also written as `2.0`, `"2"` or `"#2"`.
pub(super) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            text.strip_suffix(".0").unwrap_or(&text).parse().ok()
        }
        Value::String(text) => text.trim().trim_start_matches('#').parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
