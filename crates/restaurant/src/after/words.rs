//! What guests and staff are sent, in words.

use catalog::{Language, Message, Numbers};
use jiff::Timestamp;
use serde_json::Value;

use super::ticket::{clock, instant};
use crate::domain::facts::House;
use crate::domain::lang::Lang;
use crate::domain::money::Cents;

/// Characters of the dishes in a short message; the rest is counted.
const DISHES_CHARACTERS_MAX: usize = 160;

/// What a text of the house's own may name, in braces.
pub(super) const PLACES: &[&str] = &[
    "house", "name", "number", "total", "when", "dishes", "address", "party", "phone",
];

/// Whether a text of the house's own names only what there is.
///
/// # Errors
/// The unknown name.
pub(super) fn check(text: &str) -> Result<(), String> {
    fill(text, &|name| {
        PLACES.contains(&name).then(String::new).ok_or(())
    })
    .map(|_| ())
}

/// Puts values for `{name}`. A brace that is never closed is text.
fn fill(text: &str, value: &dyn Fn(&str) -> Result<String, ()>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        out.push_str(&value(name.trim()).map_err(|()| name.trim().to_owned())?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// What is said about one order, reservation or message.
pub(super) struct Subject<'a> {
    pub(super) house: &'a House,
    /// The row as the wire has it; an order with its `items`.
    pub(super) row: &'a Value,
    pub(super) now: Timestamp,
}

fn language(lang: Lang) -> Language {
    match lang {
        Lang::Fr => Language::Fr,
        Lang::En => Language::En,
    }
}

/// A sentence of the catalogue. The numbers are the house's own guests': they are shown.
fn sentence(lang: Lang, message: &Message) -> String {
    catalog::render_with(message, language(lang), Numbers::Shown).text
}

impl Subject<'_> {
    fn text(&self, name: &str) -> &str {
        self.row[name].as_str().unwrap_or_default().trim()
    }

    fn number(&self) -> i64 {
        self.row["orderNumber"].as_i64().unwrap_or_default()
    }

    fn party(&self) -> i64 {
        self.row["partySize"].as_i64().unwrap_or_default()
    }

    fn total(&self, lang: Lang) -> String {
        let total = Cents::from_json(&self.row["total"]).unwrap_or(Cents::ZERO);
        total.spoken(lang, &self.house.currency)
    }

    fn when(&self, lang: Lang) -> String {
        let at = ["estimatedReadyAt", "reservationTime"]
            .iter()
            .find_map(|name| instant(self.row, name));
        at.map(|at| clock(self.house, lang, at, self.now))
            .unwrap_or_default()
    }

    fn dishes(&self) -> String {
        let lines = self.row["items"].as_array().into_iter().flatten();
        let mut said = String::new();
        let mut left = 0;
        for line in lines {
            let dish = format!(
                "{} x {}",
                line["quantity"].as_i64().unwrap_or(1),
                line["name"].as_str().unwrap_or_default()
            );
            if left > 0 || said.chars().count() + dish.chars().count() > DISHES_CHARACTERS_MAX {
                left += 1;
                continue;
            }
            if !said.is_empty() {
                said.push_str(", ");
            }
            said.push_str(&dish);
        }
        if left > 0 {
            use std::fmt::Write as _;
            let _ = write!(said, ", +{left}");
        }
        said
    }

    /// The person's name, else the number.
    fn name(&self) -> String {
        let named = ["customerName", "callerName", "customerPhone", "callerPhone"]
            .iter()
            .map(|name| self.text(name))
            .find(|text| !text.is_empty());
        named.unwrap_or("?").to_owned()
    }

    fn value(&self, lang: Lang, place: &str) -> Result<String, ()> {
        Ok(match place {
            "house" => self.house.name.clone(),
            "name" => self.name(),
            "number" => self.number().to_string(),
            "total" => self.total(lang),
            "when" => self.when(lang),
            "dishes" => self.dishes(),
            "address" => self.text("deliveryAddress").to_owned(),
            "party" => self.party().to_string(),
            "phone" => self.house.phone.clone().unwrap_or_default(),
            _ => return Err(()),
        })
    }

    /// What the guest is sent: the house's own text, else the catalogue's. `None`: there is nothing to say about that.
    pub(super) fn for_guest(&self, event: &str, own: Option<&str>, lang: Lang) -> Option<String> {
        if let Some(own) = own {
            return fill(own, &|place| self.value(lang, place)).ok();
        }
        let house = self.house.name.as_str();
        let message = match event {
            "order.created" => Message::new("notice_order_created")
                .with("house", house)
                .with("number", self.number())
                .with("total", self.total(lang))
                .with("mode", self.text("orderType"))
                .with("when", self.when(lang))
                .with("dishes", self.dishes()),
            "order.ready" => Message::new("notice_order_ready")
                .with("house", house)
                .with("number", self.number())
                .with("mode", self.text("orderType")),
            "order.cancelled" => Message::new("notice_order_cancelled")
                .with("house", house)
                .with("number", self.number()),
            "reservation.created" => self.booking("notice_reservation_created", lang),
            "reservation.updated" => self.booking("notice_reservation_updated", lang),
            "reservation.cancelled" => Message::new("notice_reservation_cancelled")
                .with("house", house)
                .with("when", self.when(lang)),
            _ => return None,
        };
        Some(sentence(lang, &message))
    }

    fn booking(&self, code: &'static str, lang: Lang) -> Message {
        Message::new(code)
            .with("house", self.house.name.as_str())
            .with("party", self.party())
            .with("when", self.when(lang))
    }

    /// What the house is told in one line.
    pub(super) fn for_staff(&self, event: &str) -> Option<String> {
        let lang = self.house.lang();
        let booked = |code: &'static str| {
            Message::new(code)
                .with("party", self.party())
                .with("when", self.when(lang))
                .with("name", self.name())
        };
        let message = match event {
            "order.created" => Message::new("notice_staff_order")
                .with("number", self.number())
                .with("total", self.total(lang))
                .with("mode", self.text("orderType"))
                .with("when", self.when(lang)),
            "order.cancelled" => Message::new("notice_staff_order_cancelled")
                .with("number", self.number())
                .with("total", self.total(lang)),
            "order.ready" | "order.updated" => Message::new("notice_staff_order_updated")
                .with("number", self.number())
                .with("status", self.text("status")),
            "reservation.created" => booked("notice_staff_reservation"),
            "reservation.updated" => booked("notice_staff_reservation_updated"),
            "reservation.cancelled" => booked("notice_staff_reservation_cancelled"),
            "message.created" => Message::new("notice_staff_message")
                .with("name", self.name())
                .with(
                    "urgent",
                    if self.row["isUrgent"] == true {
                        "yes"
                    } else {
                        "no"
                    },
                ),
            _ => return None,
        };
        Some(sentence(lang, &message))
    }

    /// The rest of a mail about a reservation or a message: one fact a line, none shortened.
    pub(super) fn details(&self) -> String {
        let facts = [
            "customerName",
            "callerName",
            "customerPhone",
            "callerPhone",
            "content",
            "notes",
            "seatingPreference",
        ];
        let lines: Vec<&str> = facts
            .iter()
            .map(|name| self.text(name))
            .filter(|text| !text.is_empty())
            .collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
