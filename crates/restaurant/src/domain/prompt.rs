//! What an operator is told at the beginning of a call: the prompt within its budget, the tools, the greeting, the context.

mod parts;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::facts::{Answered, Customer, House, Offer, Service};
use super::hours::Hours;
use super::lang::Lang;
use super::menu::Menu;
use super::money::Cents;
use parts::Detail;

/// Tokens that a prompt may have, by the estimate of [`tokens`]. The engine takes 16 000 and more for instructions and tools.
pub const TOKENS_MAX: usize = 12_000;
/// Past orders that are told.
pub const HISTORY_MAX: usize = 3;

/// An order of the past, for the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// When.
    pub at: Timestamp,
    /// `2x Reine`.
    pub summary: String,
    /// Paid.
    pub total: Cents,
}

/// What a prompt is made of.
#[derive(Clone, Copy, Debug)]
pub struct Story<'a> {
    /// The restaurant.
    pub house: &'a House,
    /// Its hours.
    pub hours: &'a Hours,
    /// Its menu.
    pub menu: &'a Menu,
    /// Its services.
    pub services: &'a [Service],
    /// Its offers.
    pub offers: &'a [Offer],
    /// Answered questions.
    pub answers: &'a [Answered],
    /// Who calls.
    pub customer: Option<&'a Customer>,
    /// The caller's last orders, newest first.
    pub history: &'a [Past],
    /// Number of the caller.
    pub caller: Option<&'a str>,
}

/// A prompt and what it left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The words.
    pub text: String,
    /// By [`tokens`].
    pub tokens: usize,
    /// What did not fit, as stable words.
    pub dropped: Vec<&'static str>,
}

/// An estimate on the safe side: French text has a little over three bytes a token.
pub fn tokens(text: &str) -> usize {
    text.len().div_ceil(3)
}

/// Writes the prompt: everything, or without what matters least until it fits. Numbers, names, prices, required options and
/// allergens of the menu are the last to go.
pub fn prompt(story: Story<'_>, now: Timestamp, budget: usize) -> Prompt {
    let levels = Detail::LEVELS;
    for (index, detail) in levels.iter().enumerate() {
        let text = parts::write(story, detail, now);
        let count = tokens(&text);
        if count <= budget || index + 1 == levels.len() {
            return fit(story, detail, now, budget, text);
        }
    }
    Prompt {
        text: String::new(),
        tokens: 0,
        dropped: Vec::new(),
    }
}

/// The last resort: as many items as fit, which the prompt admits.
fn fit(story: Story<'_>, detail: &Detail, now: Timestamp, budget: usize, text: String) -> Prompt {
    let mut dropped = detail.dropped(story);
    let mut text = text;
    let mut count = story.menu.entries().len();
    while tokens(&text) > budget && count > 0 {
        // A tenth at a time: a handful of rounds for any menu.
        count -= count.div_ceil(10);
        let cut = Detail {
            items_max: count,
            ..*detail
        };
        text = parts::write(story, &cut, now);
        dropped = cut.dropped(story);
    }
    Prompt {
        tokens: tokens(&text),
        text,
        dropped,
    }
}

/// The tools of a call, of the pack's twelve: those whose condition holds, in the shape of a session.
pub fn tools(house: &House, pack: &[Value]) -> Vec<Value> {
    let holds = |tool: &Value| {
        let key = tool.pointer("/condition/configKey").and_then(Value::as_str);
        match key {
            Some("reservationEnabled") => house.reservation_enabled,
            Some("orderStatusEnabled") => house.order_status_enabled,
            Some("deliveryEnabled") => house.delivery_enabled,
            _ if key == Some("transferEnabled") || tool["name"] == "transfer_call" => {
                house.model_transfers()
            }
            _ => true,
        }
    };
    pack.iter()
        .filter(|tool| tool.get("isEnabled") != Some(&Value::Bool(false)) && holds(tool))
        .map(|tool| {
            json!({
                "type": "function",
                "name": tool["name"],
                "description": tool["description"],
                "parameters": parameters(house, tool),
            })
        })
        .collect()
}

/// A tool's parameters without the modes that the house does not have.
fn parameters(house: &House, tool: &Value) -> Value {
    let mut parameters = tool["parameters"].clone();
    for name in ["mode", "order_type"] {
        let words = parameters
            .pointer_mut(&format!("/properties/{name}/enum"))
            .and_then(Value::as_array_mut);
        if let Some(words) = words {
            words.retain(|word| match word.as_str() {
                Some("delivery") => house.delivery_enabled,
                Some("reservation") => house.reservation_enabled,
                _ => true,
            });
        }
    }
    parameters
}

/// The instruction with which the model begins: a caller who is known is greeted by name.
pub fn greeting(house: &House, customer: Option<&Customer>) -> String {
    let lang = house.lang();
    let own = house
        .welcome_message
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let first = customer
        .and_then(|customer| customer.first_name.as_deref())
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let name = &house.name;
    let own = own.map_or_else(String::new, |words| match lang {
        Lang::Fr => format!(" Commence par ces mots : « {words} »."),
        Lang::En => format!(" Begin with these words: \"{words}\"."),
    });
    match (lang, first, customer) {
        (Lang::Fr, Some(first), Some(customer)) => format!(
            "L'appelant est un client connu : {first}, {} commande(s) passée(s). Salue {first} par son prénom au nom de {name} et demande ce qui lui ferait plaisir.{own}",
            customer.total_orders
        ),
        (Lang::En, Some(first), Some(customer)) => format!(
            "The caller is a known customer: {first}, {} past order(s). Greet {first} by name on behalf of {name} and ask what they would like.{own}",
            customer.total_orders
        ),
        (Lang::Fr, _, _) => format!(
            "Un client appelle. Souhaite-lui la bienvenue chez {name}, présente-toi en une phrase et demande ce qu'il souhaite commander ou réserver.{own}"
        ),
        (Lang::En, _, _) => format!(
            "A customer calls. Welcome them to {name}, introduce yourself in one sentence and ask what they would like to order or book.{own}"
        ),
    }
}

/// `initialContext`: what tools bring along. Nothing unknown is in it.
pub fn context(story: Story<'_>) -> Value {
    let house = story.house;
    let mut context = Map::new();
    context.insert("item_map".to_owned(), story.menu.item_map());
    context.insert(
        "avg_prep_time_min".to_owned(),
        house.avg_prep_time_min.into(),
    );
    context.insert("delivery_enabled".to_owned(), house.delivery_enabled.into());
    context.insert("restaurant_id".to_owned(), house.id.clone().into());
    if let Some(phone) = transfer_phone(house) {
        context.insert("transfer_phone".to_owned(), phone.into());
    }
    if let Some(customer) = story.customer {
        context.insert("customer_id".to_owned(), customer.id.clone().into());
        if let Some(name) = &customer.first_name {
            context.insert("customer_name".to_owned(), name.clone().into());
        }
        if let (Some(lat), Some(lng)) = (customer.delivery_lat, customer.delivery_lng) {
            context.insert("customer_delivery_lat".to_owned(), lat.into());
            context.insert("customer_delivery_lng".to_owned(), lng.into());
        }
    }
    Value::Object(context)
}

fn transfer_phone(house: &House) -> Option<&str> {
    let number = house.transfer_phone_number.as_deref()?.trim();
    (house.transfer_enabled && !number.is_empty()).then_some(number)
}

/// The whole answer of `GET /api/ai`. `margin_pct` is the default where the restaurant has none of its own.
pub fn session(story: Story<'_>, pack: &[Value], now: Timestamp, margin_pct: f64) -> Value {
    let house = story.house;
    let prompt = prompt(story, now, TOKENS_MAX);
    let customer = story.customer.map(|customer| {
        let mut value = json!({
            "id": customer.id, "firstName": customer.first_name, "phone": customer.phone,
            "deliveryAddress": customer.delivery_address, "deliveryCity": customer.delivery_city,
            "deliveryPostalCode": customer.delivery_postal_code, "deliveryNotes": customer.delivery_notes,
            "deliveryLat": customer.delivery_lat, "deliveryLng": customer.delivery_lng,
            "totalOrders": customer.total_orders, "totalSpent": customer.total_spent,
        });
        if let Some(members) = value.as_object_mut() {
            members.retain(|_, member| !member.is_null());
        }
        value
    });
    json!({
        "systemPrompt": prompt.text,
        "promptTokens": prompt.tokens,
        "promptDropped": prompt.dropped,
        "tools": tools(house, pack),
        "voice": if house.ai_voice.is_empty() { "sage" } else { house.ai_voice.as_str() },
        "avgPrepTimeMin": house.avg_prep_time_min,
        "deliveryEnabled": house.delivery_enabled,
        "reservationEnabled": house.reservation_enabled,
        "customerContext": customer,
        "itemMap": story.menu.item_map(),
        "transferEnabled": house.transfer_enabled,
        "transferPhoneNumber": house.transfer_phone_number,
        "transferAutomatic": house.transfer_automatic,
        "aiCostMarginPct": house.ai_cost_margin_pct.unwrap_or(margin_pct),
        "currency": house.currency,
        "exchangeRateToLocal": house.exchange_rate_to_local,
        "timezone": house.timezone,
        "greeting": greeting(house, story.customer),
        "initialContext": context(story),
    })
}
