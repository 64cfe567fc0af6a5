//! An order's truth: what a model, or a client, asks for, priced from the menu.

mod options;
mod request;

use serde_json::{Value, json};

use super::facts::House;
use super::lang::{Lang, listed, plain};
use super::menu::{Entry, Menu, Moment};
use super::money::Cents;
pub use request::{AskedLine, AskedOption, AskedOrder, Mode};

/// Lines of an order.
pub const LINES_MAX: usize = 60;
/// Pieces of a line.
pub const QUANTITY_MAX: i64 = 50;
/// Characters of a note that are kept.
pub const NOTE_CHARS: usize = 1_000;
/// Alternatives that are named for something unavailable.
const ALTERNATIVES: usize = 3;

/// Why an order cannot be taken: words that the model can speak, and the same as data.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Stable code.
    pub code: &'static str,
    /// In the restaurant's language.
    pub text: String,
    /// What the model needs to ask again: the missing option with its choices, alternatives.
    pub details: Value,
}

impl Refusal {
    /// A refusal without data.
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            details: json!({}),
        }
    }

    fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

/// An order with its prices.
#[derive(Clone, Debug, PartialEq)]
pub struct Priced {
    /// Its lines.
    pub lines: Vec<Line>,
    /// Sum of the lines.
    pub subtotal: Cents,
    /// Zero unless it is delivered.
    pub delivery_fee: Cents,
    /// What the customer pays.
    pub total: Cents,
    /// What was told otherwise, in words; empty when all was right.
    pub corrections: Vec<String>,
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The item.
    pub item_id: String,
    /// Its name.
    pub name: String,
    /// Pieces.
    pub quantity: i64,
    /// Of one piece, options included.
    pub unit_price: Cents,
    /// Of the line.
    pub total: Cents,
    /// What was chosen.
    pub options: Vec<Picked>,
    /// Allergies and wishes, as they were said.
    pub notes: Option<String>,
}

/// A chosen option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picked {
    /// The option.
    pub name: String,
    /// The choice.
    pub choice: String,
    /// Added to one piece.
    pub extra: Cents,
    /// The item that it is, in a set menu.
    pub item_id: Option<String>,
}

impl Priced {
    /// Pieces in the order.
    pub fn pieces(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity).sum()
    }

    /// `2x Reine, 1x Tiramisu`.
    pub fn summary(&self) -> String {
        let parts: Vec<String> = self
            .lines
            .iter()
            .map(|line| format!("{}x {}", line.quantity, line.name))
            .collect();
        parts.join(", ")
    }
}

/// Prices an order that is wanted at a moment of the week.
///
/// # Errors
/// See [`Refusal`]; the first fault of the order is told.
pub fn price(
    house: &House,
    menu: &Menu,
    order: &AskedOrder,
    at: Moment,
) -> Result<Priced, Refusal> {
    let lang = house.lang();
    if order.items.is_empty() {
        return Err(Refusal::new(
            "order_empty",
            lang.pick(
                "La commande ne contient aucun article. Demande ce que la personne souhaite.",
                "The order has no item. Ask what the caller would like.",
            ),
        ));
    }
    if order.items.len() > LINES_MAX {
        return Err(Refusal::new(
            "too_many_lines",
            match lang {
                Lang::Fr => {
                    format!("La commande dépasse {LINES_MAX} lignes : prends-la en plusieurs fois.")
                }
                Lang::En => format!("The order has more than {LINES_MAX} lines: take it in parts."),
            },
        ));
    }
    let mut priced = Priced {
        lines: Vec::with_capacity(order.items.len()),
        subtotal: Cents::ZERO,
        delivery_fee: Cents::ZERO,
        total: Cents::ZERO,
        corrections: Vec::new(),
    };
    for asked in &order.items {
        let line = line(house, menu, order, asked, at)?;
        if asked.unit_price.is_some_and(|told| told != line.unit_price) {
            let was = asked.unit_price.unwrap_or_default();
            priced
                .corrections
                .push(corrected(house, &line.name, was, line.unit_price));
        }
        priced.subtotal = priced
            .subtotal
            .plus(line.total)
            .ok_or_else(|| too_much(lang))?;
        priced.lines.push(line);
    }
    if order.mode == Mode::Delivery {
        priced.delivery_fee = delivery_fee(house, priced.subtotal)?;
    }
    priced.total = priced
        .subtotal
        .plus(priced.delivery_fee)
        .ok_or_else(|| too_much(lang))?;
    if order.total.is_some_and(|told| told != priced.total) {
        let was = order.total.unwrap_or_default();
        priced.corrections.push(corrected(
            house,
            lang.pick("le total", "the total"),
            was,
            priced.total,
        ));
    }
    Ok(priced)
}

fn corrected(house: &House, what: &str, was: Cents, is: Cents) -> String {
    let lang = house.lang();
    let (was, is) = (
        was.spoken(lang, &house.currency),
        is.spoken(lang, &house.currency),
    );
    match lang {
        Lang::Fr => format!("{what} : {is} et non {was}"),
        Lang::En => format!("{what}: {is}, not {was}"),
    }
}

fn too_much(lang: Lang) -> Refusal {
    Refusal::new(
        "total_too_large",
        lang.pick("Ce montant est trop élevé.", "This amount is too large."),
    )
}

/// The fee of a delivery with that subtotal.
///
/// # Errors
/// The subtotal is below the minimum.
pub fn delivery_fee(house: &House, subtotal: Cents) -> Result<Cents, Refusal> {
    let lang = house.lang();
    if subtotal < house.min_order_amount {
        let spoken = |amount: Cents| amount.spoken(lang, &house.currency);
        let missing = Cents::new(house.min_order_amount.get() - subtotal.get());
        let text = match lang {
            Lang::Fr => format!(
                "Le minimum pour une livraison est de {} ; la commande fait {}, il manque {}. Propose un article de plus, ou le retrait.",
                spoken(house.min_order_amount),
                spoken(subtotal),
                spoken(missing)
            ),
            Lang::En => format!(
                "The minimum for a delivery is {}; the order comes to {}, {} short. Offer one more item, or pickup.",
                spoken(house.min_order_amount),
                spoken(subtotal),
                spoken(missing)
            ),
        };
        return Err(Refusal::new("below_minimum_order", text).with(json!({
            "minOrderAmount": house.min_order_amount, "subtotal": subtotal, "missing": missing,
        })));
    }
    let free = house
        .delivery_free_above
        .is_some_and(|above| above > Cents::ZERO && subtotal >= above);
    Ok(if free {
        Cents::ZERO
    } else {
        house.delivery_fee
    })
}

fn line(
    house: &House,
    menu: &Menu,
    order: &AskedOrder,
    asked: &AskedLine,
    at: Moment,
) -> Result<Line, Refusal> {
    let lang = house.lang();
    let entry = find(lang, menu, order, asked)?;
    let name = &entry.item.name;
    let quantity = asked.pieces().filter(|pieces| (1..=QUANTITY_MAX).contains(pieces)).ok_or_else(|| {
        Refusal::new(
            "bad_quantity",
            match lang {
                Lang::Fr => format!("La quantité de {name} doit être un nombre entier de 1 à {QUANTITY_MAX}. Fais-la confirmer."),
                Lang::En => format!("The quantity of {name} must be a whole number from 1 to {QUANTITY_MAX}. Have it confirmed."),
            },
        )
        .with(json!({"item": name}))
    })?;
    if !entry.is_served(at) {
        return Err(unavailable(house, menu, entry, at));
    }
    let options = options::pick(lang, menu, order, entry, &asked.selected_options, at)?;
    let unit_price = options
        .iter()
        .try_fold(entry.item.price, |sum, option| sum.plus(option.extra))
        .ok_or_else(|| too_much(lang))?;
    Ok(Line {
        item_id: entry.item.id.clone(),
        name: name.clone(),
        quantity,
        unit_price,
        total: unit_price.times(quantity).ok_or_else(|| too_much(lang))?,
        options,
        notes: note(asked.notes.as_deref()),
    })
}

/// A note, cut at [`NOTE_CHARS`]; blank ones are none.
pub fn note(text: Option<&str>) -> Option<String> {
    let text: String = text?.trim().chars().take(NOTE_CHARS).collect();
    (!text.is_empty()).then_some(text)
}

/// The item that a line means: its id, else its number by the call's own numbering, else by the menu's.
fn find<'a>(
    lang: Lang,
    menu: &'a Menu,
    order: &AskedOrder,
    asked: &AskedLine,
) -> Result<&'a Entry, Refusal> {
    let id = match (&asked.menu_item_id, asked.number()) {
        (Some(id), _) => Some(id.clone()),
        (None, Some(number)) => order.mapped(number).or_else(|| {
            let entry = menu.by_number(usize::try_from(number).ok()?)?;
            (!order.has_map()).then(|| entry.item.id.clone())
        }),
        (None, None) => None,
    };
    if let Some(entry) = id.as_deref().and_then(|id| menu.by_id(id)) {
        return Ok(entry);
    }
    let told = asked.name.clone().filter(|name| !name.trim().is_empty());
    // A client without numbers may name an item by its exact name.
    if asked.menu_item_id.is_none() && asked.number().is_none() {
        let words = told.as_deref().map(plain).unwrap_or_default();
        if let Some(entry) = menu
            .entries()
            .iter()
            .find(|entry| !words.is_empty() && plain(&entry.item.name) == words)
        {
            return Ok(entry);
        }
    }
    let what = asked
        .number()
        .map(|number| format!("#{number}"))
        .or(told)
        .unwrap_or_else(|| "?".to_owned());
    Err(Refusal::new(
        "unknown_item",
        match lang {
            Lang::Fr => format!("L'article {what} n'est pas sur la carte. Relis la carte et reprends le numéro de l'article."),
            Lang::En => format!("Item {what} is not on the menu. Read the menu again and take the item's number from it."),
        },
    )
    .with(json!({"item": what})))
}

fn unavailable(house: &House, menu: &Menu, entry: &Entry, at: Moment) -> Refusal {
    let lang = house.lang();
    let mut others: Vec<&Entry> = menu
        .entries()
        .iter()
        .filter(|other| {
            other.item.id != entry.item.id
                && other.set_menu == entry.set_menu
                && other.item.category_id == entry.item.category_id
                && other.is_served(at)
        })
        .collect();
    others.sort_by_key(|other| {
        (
            (other.item.price.get() - entry.item.price.get()).abs(),
            other.number,
        )
    });
    others.truncate(ALTERNATIVES);
    let names: Vec<String> = others.iter().map(|other| other.item.name.clone()).collect();
    let name = &entry.item.name;
    let mut text = match (lang, &entry.item.available_from, &entry.item.available_to) {
        (Lang::Fr, Some(from), Some(to)) if entry.item.is_available => {
            format!("{name} n'est servi que de {from} à {to}.")
        }
        (Lang::En, Some(from), Some(to)) if entry.item.is_available => {
            format!("{name} is only served from {from} to {to}.")
        }
        (Lang::Fr, _, _) => format!("{name} n'est pas disponible."),
        (Lang::En, _, _) => format!("{name} is not available."),
    };
    if !names.is_empty() {
        let list = listed(lang, &names, ("ou", "or"));
        text.push_str(&match lang {
            Lang::Fr => format!(" Propose plutôt {list}."),
            Lang::En => format!(" Offer {list} instead."),
        });
    }
    let alternatives: Vec<Value> = others
        .iter()
        .map(
            |other| json!({"id": other.number, "name": other.item.name, "price": other.item.price}),
        )
        .collect();
    Refusal::new("item_unavailable", text).with(json!({"item": name, "alternatives": alternatives}))
}

#[cfg(test)]
mod tests;
