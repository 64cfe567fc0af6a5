//! The demonstration's restaurant: made, awaited, and what a call left there, judged and told.

use std::sync::Arc;
use std::time::Duration;

use call::{CallId, TenantId};
use catalog::{Language, Message};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use restaurant::App;
use restaurant::demo::{self, House};
use serde_json::Value;
use store::TenantScope;

use super::back_office::Running;

/// The restaurant has its agent well within this time.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// Where its clock stands.
const ZONE: &str = "Europe/Paris";
/// What the scripted caller orders: pieces, name, price of the line in cents.
const ORDERED: &[(i64, &str, i64)] = &[(1, "Margherita", 1100), (1, "Reine", 1450)];
/// Everything together, with the way, in cents.
const TOTAL_CENTS: i64 = 2850;
/// Guests of the table.
const GUESTS: i64 = 4;

/// The restaurant, able to take calls.
pub(crate) struct Demo {
    app: Arc<App>,
    house: House,
    scope: TenantScope,
}

/// What a call left.
pub(crate) struct Left {
    /// For people.
    pub(crate) lines: Vec<Message>,
    /// What is not as the scripted caller wanted it.
    pub(crate) mistakes: Vec<String>,
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Message {
    Message::new("start_failed").with("cause", crate::serve::causes(error))
}

impl Running {
    /// Makes the restaurant where it is missing, and waits for its agent.
    ///
    /// # Errors
    /// The message says why there is none.
    pub(crate) async fn demo(&self, language: Language) -> Result<Demo, Message> {
        let locale = if language == Language::En {
            "en-GB"
        } else {
            "fr-FR"
        };
        let house = demo::ensure(&self.app, TenantScope::DEFAULT_TENANT, locale)
            .await
            .map_err(|error| failed(&error))?;
        let deadline = tokio::time::Instant::now() + READY_WITHIN;
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        loop {
            let account = house.account(&self.app).await;
            if let Some(account) = account.map_err(|error| failed(&error))? {
                let scope = TenantScope::new(TenantId::from(account.as_str()));
                let app = Arc::clone(&self.app);
                return Ok(Demo { app, house, scope });
            }
            if tokio::time::Instant::now() > deadline {
                return Err(Message::new("demo_not_provisioned"));
            }
            looks.tick().await;
        }
    }
}

impl Demo {
    /// Its telephone number.
    pub(crate) fn number(&self) -> &str {
        &self.house.number
    }

    /// The account whose calls its calls are.
    pub(crate) fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// What a call left.
    ///
    /// # Errors
    /// The message says what the database said.
    pub(crate) async fn left_by(&self, call: &CallId) -> Result<Left, Message> {
        let left = self.house.left_by(&self.app, call.as_str()).await;
        let left = left.map_err(|error| failed(&error))?;
        let mut lines = Vec::new();
        let mut mistakes = Vec::new();
        match left.orders.as_slice() {
            [order] => {
                order_lines(order, &mut lines);
                mistakes.extend(order_mistake(order));
            }
            orders => mistakes.push(format!("orders: {}", orders.len())),
        }
        match left.reservations.as_slice() {
            [reservation] => {
                lines.push(reservation_line(reservation));
                mistakes.extend(reservation_mistake(reservation));
            }
            found => mistakes.push(format!("reservations: {}", found.len())),
        }
        Ok(Left { lines, mistakes })
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// An amount of the wire in cents.
fn cents(value: &Value) -> i64 {
    let text = format!("{:.2}", value.as_f64().unwrap_or(-1.0));
    text.replace('.', "").parse().unwrap_or(-1)
}

fn money(value: &Value) -> String {
    format!("{:.2}", value.as_f64().unwrap_or(0.0))
}

/// An instant on the restaurant's clock.
fn local(value: &Value) -> Option<jiff::Zoned> {
    let at: Timestamp = value.as_str()?.parse().ok()?;
    Some(at.to_zoned(TimeZone::get(ZONE).ok()?))
}

fn when(value: &Value) -> String {
    local(value).map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

fn order_lines(order: &Value, lines: &mut Vec<Message>) {
    lines.push(
        Message::new("demo_order")
            .with("number", order["orderNumber"].as_i64().unwrap_or(0))
            .with("total", money(&order["total"]))
            .with("fee", money(&order["deliveryFee"]))
            .with("address", text(order, "deliveryAddress"))
            .with("time", when(&order["estimatedReadyAt"])),
    );
    for item in order["items"].as_array().into_iter().flatten() {
        let chosen: Vec<&str> = item["selectedOptions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|option| text(option, "choice"))
            .collect();
        lines.push(
            Message::new("demo_order_line")
                .with("quantity", item["quantity"].as_i64().unwrap_or(0))
                .with("name", text(item, "name"))
                .with("options", chosen.join(", "))
                .with("price", money(&item["totalPrice"])),
        );
    }
}

fn order_mistake(order: &Value) -> Option<String> {
    let mut found: Vec<(i64, &str, i64)> = order["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| {
            let pieces = item["quantity"].as_i64().unwrap_or(0);
            (pieces, text(item, "name"), cents(&item["totalPrice"]))
        })
        .collect();
    found.sort_by_key(|(_, name, _)| *name);
    let total = cents(&order["total"]);
    if found != ORDERED || total != TOTAL_CENTS || text(order, "orderType") != "delivery" {
        return Some(format!("order: {found:?}, {total}"));
    }
    None
}

fn reservation_line(reservation: &Value) -> Message {
    Message::new("demo_reservation")
        .with("guests", reservation["partySize"].as_i64().unwrap_or(0))
        .with("name", text(reservation, "customerName"))
        .with("time", when(&reservation["reservationTime"]))
}

fn reservation_mistake(reservation: &Value) -> Option<String> {
    let at = local(&reservation["reservationTime"]);
    let right = at.as_ref().is_some_and(|at| {
        at.weekday() == jiff::civil::Weekday::Saturday && (at.hour(), at.minute()) == (20, 0)
    });
    let guests = reservation["partySize"].as_i64();
    (!right || guests != Some(GUESTS)).then(|| format!("reservation: {guests:?}, {at:?}"))
}
