//! An order is placed: `POST /api/ai/tools/confirm-order` and `POST /api/orders`.

mod queue;
mod together;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::Tx;

pub use self::queue::Counters;
use super::{Asker, Desk, DeskError, Reply, fingerprint};
use crate::domain::availability::{Facts, promised, ready, refused, when_spoken, whole_minute};
use crate::domain::facts::{House, read};
use crate::domain::geo::{Point, way};
use crate::domain::hours::Hours;
use crate::domain::kitchen::{Size, Slot, slot};
use crate::domain::lang::Lang;
use crate::domain::menu::Menu;
use crate::domain::order::{AskedOrder, Mode, Refusal};
use crate::domain::phone;
use crate::domain::when::Asked;
use crate::store::{Filter, HouseScope, rows, tables};

/// Without an earlier answer an order is promised after this long.
const WITHOUT_ANSWER: SignedDuration = SignedDuration::from_mins(30);

/// What comes with an order, in both spellings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Extras {
    #[serde(alias = "callId")]
    call_id: Option<String>,
    #[serde(alias = "customerId")]
    customer_id: Option<String>,
    #[serde(alias = "customerName")]
    customer_name: Option<String>,
    #[serde(alias = "customerPhone")]
    caller_phone: Option<String>,
    #[serde(alias = "paymentMethod")]
    payment_method: Option<String>,
    last_availability_check: Value,
    #[serde(rename = "estimatedReadyAt")]
    estimated_ready_at: Option<String>,
    #[serde(rename = "deliveryAddress")]
    delivery_address: Option<String>,
    #[serde(rename = "deliveryDistanceKm")]
    delivery_distance_km: Option<f64>,
    #[serde(rename = "deliveryLat")]
    delivery_lat: Option<f64>,
    #[serde(rename = "deliveryLng")]
    delivery_lng: Option<f64>,
}

/// An order as it is asked for.
struct Draft {
    asked: AskedOrder,
    extras: Extras,
    /// As it was promised before.
    promised: Option<Timestamp>,
    address: Option<String>,
    distance_km: Option<f64>,
    point: Option<Point>,
    minutes: i64,
    key: Option<String>,
}

/// A confirmation with everything that it is weighed by, but for what is counted under the restaurant's lock.
struct Job {
    asker: Asker,
    house: House,
    hours: Hours,
    menu: Arc<Menu>,
    draft: Draft,
    now: Timestamp,
}

/// An order in the database.
struct Placed {
    row: Map<String, Value>,
    lines: Vec<Value>,
    corrections: Vec<String>,
    repeated: bool,
}

/// Why a write ended without an order.
enum Failed {
    Refused(Refusal),
    Desk(DeskError),
}

impl<E: Into<DeskError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Desk(error.into())
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Extras {
    fn payment(&self) -> Option<&str> {
        let word = self.payment_method.as_deref()?;
        matches!(word, "cash" | "card" | "online").then_some(word)
    }

    fn phone<'a>(&'a self, asker: &'a Asker) -> Option<&'a str> {
        let number = asker.caller.as_deref().or(self.caller_phone.as_deref());
        number
            .map(str::trim)
            .filter(|number| !phone::key(number).is_empty())
    }
}

impl Job {
    /// The call that it came of.
    fn call(&self) -> Option<&str> {
        self.asker
            .call
            .as_deref()
            .or(self.draft.extras.call_id.as_deref())
    }

    /// Number of whom it is for.
    fn phone(&self) -> Option<&str> {
        self.draft.extras.phone(&self.asker)
    }
}

impl Draft {
    fn read(house: &House, asker: &Asker, body: &Value) -> Result<Self, Refusal> {
        let bad = |error: serde_json::Error| {
            let text = house
                .lang()
                .pick("Commande illisible :", "The order cannot be read:");
            Refusal::new("bad_order", format!("{text} {error}"))
        };
        let asked: AskedOrder = read(body.clone()).map_err(bad)?;
        let extras: Extras = read(body.clone()).map_err(bad)?;
        let check = &extras.last_availability_check;
        // An answer about something else says nothing about this order.
        let about = check.get("mode").and_then(Value::as_str);
        let fits =
            about.is_none_or(|mode| mode == asked.mode.as_str() || asked.mode == Mode::DineIn);
        let of_check = |name: &str| if fits { check.get(name) } else { None };
        let number =
            |name: &str, own: Option<f64>| own.or_else(|| of_check(name).and_then(Value::as_f64));
        let own = extras
            .estimated_ready_at
            .as_deref()
            .and_then(|at| at.parse().ok());
        let before = own.or_else(|| promised(check).filter(|_| fits));
        let address = extras.delivery_address.clone().or_else(|| {
            of_check("customerAddressFormatted")
                .and_then(Value::as_str)
                .map(str::to_owned)
        });
        let point = match (
            number("customerLat", extras.delivery_lat),
            number("customerLng", extras.delivery_lng),
        ) {
            (Some(lat), Some(lng)) => Some(Point { lat, lng }),
            _ => None,
        };
        let home = match (house.lat, house.lng) {
            (Some(lat), Some(lng)) => Some(Point { lat, lng }),
            _ => None,
        };
        let estimated = match (home, point) {
            (Some(home), Some(point)) => Some(way(home, point)),
            _ => None,
        };
        let distance_km = number("deliveryDistanceKm", extras.delivery_distance_km)
            .or(estimated.map(|way| way.km));
        let told = of_check("deliveryDurationMin").and_then(Value::as_i64);
        let minutes = told
            .or(estimated.map(|way| way.minutes))
            .unwrap_or(0)
            .clamp(0, 600);
        let key = key(asker, &asked, &extras);
        Ok(Self {
            minutes: if asked.mode == Mode::Delivery {
                minutes
            } else {
                0
            },
            promised: before,
            address: address.map(|text| text.chars().take(400).collect()),
            distance_km,
            point,
            key,
            asked,
            extras,
        })
    }

    /// Whether it may be brought there.
    fn check_delivery(&self, house: &House) -> Result<(), Refusal> {
        if self.asked.mode != Mode::Delivery {
            return Ok(());
        }
        let code = if !house.delivery_enabled {
            "delivery_not_enabled"
        } else if self
            .address
            .as_deref()
            .is_none_or(|text| text.trim().is_empty())
        {
            "customer_address_required"
        } else if self
            .distance_km
            .is_some_and(|km| km > house.delivery_radius_km)
        {
            "not_deliverable"
        } else {
            return Ok(());
        };
        Err(Refusal::new(
            code,
            refused(house, "delivery", code, None).message,
        ))
    }

    /// When it is wanted.
    fn wanted(&self, now: Timestamp) -> Timestamp {
        self.promised.unwrap_or(now + WITHOUT_ANSWER).max(now)
    }

    /// When it is cooked: what an earlier answer promised is kept, as far as the kitchen can.
    fn slot(&self, facts: &Facts<'_>, size: Size, now: Timestamp) -> Result<Slot, Refusal> {
        let house = facts.rooms.house;
        let wanted = self.promised.unwrap_or(now + WITHOUT_ANSWER);
        let way = SignedDuration::from_mins(self.minutes);
        match ready(facts, Asked::At(wanted), way, size, now) {
            Ok(slot) => Ok(slot),
            Err((code, next)) => {
                let zone = house.zone();
                let kept = self.promised.is_some()
                    && facts.hours.is_open(now, &zone)
                    && facts
                        .hours
                        .is_open(wanted - way - SignedDuration::from_secs(1), &zone);
                if code == "restaurant_closed" && kept {
                    return Ok(slot(house, facts.load, size, wanted - way, now));
                }
                Err(Refusal::new(
                    "restaurant_closed",
                    refused(house, self.asked.mode.as_str(), &code, next).message,
                ))
            }
        }
    }
}

/// One order for one confirmation: the call with what it asks for, else the key that came along.
fn key(asker: &Asker, asked: &AskedOrder, extras: &Extras) -> Option<String> {
    let call = asker
        .call
        .as_deref()
        .or(extras.call_id.as_deref())
        .map(str::trim)
        .filter(|call| !call.is_empty());
    if let Some(call) = call {
        let mut parts = vec![call.to_owned(), asked.mode.as_str().to_owned()];
        for line in &asked.items {
            parts.push(
                json!([
                    line.number(),
                    line.menu_item_id,
                    line.name.as_ref().filter(|_| line.number().is_none()),
                    line.pieces(),
                    line.notes
                ])
                .to_string(),
            );
            for option in &line.selected_options {
                parts.push(json!([option.name, option.choice_id, option.choice]).to_string());
            }
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        return Some(format!("call:{}", fingerprint(&parts)));
    }
    asker
        .key
        .as_deref()
        .map(|key| format!("key:{}", fingerprint(&[key])))
}

impl Desk<'_> {
    /// `POST /api/ai/tools/confirm-order`: a refusal is words for the model, with status 200.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn confirm_order(
        &self,
        scope: &HouseScope,
        asker: &Asker,
        body: Value,
        now: Timestamp,
    ) -> Result<Reply, DeskError> {
        let Some((house, hours)) = self.house(scope).await? else {
            return Ok(Reply::error(404, "unknown restaurant"));
        };
        match self
            .place(scope, asker, house.clone(), hours, &body, now)
            .await
        {
            Ok(placed) => Ok(Reply::ok(confirmed(&house, &placed, now))),
            Err(Failed::Refused(refusal)) => Ok(Reply::refusal(&refusal)),
            Err(Failed::Desk(error)) => Err(error),
        }
    }

    /// `POST /api/orders`: the row with its lines.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn create_order(
        &self,
        scope: &HouseScope,
        asker: &Asker,
        body: Value,
        now: Timestamp,
    ) -> Result<Reply, DeskError> {
        let Some((house, hours)) = self.house(scope).await? else {
            return Ok(Reply::error(404, "unknown restaurant"));
        };
        match self.place(scope, asker, house, hours, &body, now).await {
            Ok(placed) => {
                let mut order = placed.row;
                order.insert("items".to_owned(), placed.lines.into());
                if !placed.corrections.is_empty() {
                    order.insert("corrections".to_owned(), placed.corrections.into());
                }
                Ok(Reply {
                    status: if placed.repeated { 200 } else { 201 },
                    body: Value::Object(order),
                })
            }
            Err(Failed::Refused(refusal)) => Ok(Reply::refused(400, &refusal)),
            Err(Failed::Desk(error)) => Err(error),
        }
    }

    async fn place(
        &self,
        scope: &HouseScope,
        asker: &Asker,
        house: House,
        hours: Hours,
        body: &Value,
        now: Timestamp,
    ) -> Result<Placed, Failed> {
        let draft = Draft::read(&house, asker, body)?;
        let menu = self.menu(scope).await?;
        let asker = asker.clone();
        let job = Job {
            asker,
            house,
            hours,
            menu,
            draft,
            now,
        };
        self.counters.place(self.db, scope, job).await
    }
}

/// A delivery that was confirmed for one address does not go to another by being confirmed again.
fn elsewhere(house: &House, draft: &Draft, row: &Map<String, Value>) -> Result<(), Refusal> {
    let known = row.get("deliveryAddress").and_then(Value::as_str);
    let same = draft.asked.mode != Mode::Delivery
        || draft.address.is_none()
        || draft.address.as_deref() == known;
    if same {
        return Ok(());
    }
    Err(Refusal::new(
        "order_exists",
        house.lang().pick(
            "Cette commande existe déjà pour une autre adresse. Annule-la, puis confirme de nouveau.",
            "This order exists already for another address. Cancel it, then confirm again.",
        ),
    ))
}

async fn repeated(
    tx: &mut Tx,
    scope: &HouseScope,
    row: Map<String, Value>,
) -> Result<Placed, DeskError> {
    let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
    let lines = Filter::default().with("order_id = ", id);
    Ok(Placed {
        lines: rows::list_in(tx, scope, &tables::ORDER_LINES, lines).await?,
        row,
        corrections: Vec::new(),
        repeated: true,
    })
}

/// What is told when the kitchen needs longer than was promised.
fn later(house: &House, draft: &Draft, done: Timestamp, now: Timestamp) -> Option<String> {
    let before = draft
        .promised
        .filter(|before| done > whole_minute(*before))?;
    let (is, was) = (
        when_spoken(house, done, now),
        when_spoken(house, before, now),
    );
    Some(match house.lang() {
        Lang::Fr => format!("l'heure : {is} et non {was}"),
        Lang::En => format!("the time: {is}, not {was}"),
    })
}

/// The tool's answer.
fn confirmed(house: &House, placed: &Placed, now: Timestamp) -> Value {
    let lang = house.lang();
    let row = &placed.row;
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    let at: Timestamp = text("estimatedReadyAt").parse().unwrap_or(now);
    let number = row.get("orderNumber").cloned().unwrap_or_default();
    let total = row.get("total").cloned().unwrap_or_default();
    let spoken = crate::domain::money::Cents::from_json(&total)
        .unwrap_or_default()
        .spoken(lang, &house.currency);
    let summary = super::orders::summary(&placed.lines);
    let when = when_spoken(house, at, now);
    let delivered = text("orderType") == "delivery";
    let mut message = match lang {
        Lang::Fr => {
            let verb = if placed.repeated {
                "déjà enregistrée"
            } else {
                "enregistrée"
            };
            let done = if delivered { "livrée" } else { "prête" };
            format!("Commande n°{number} {verb} : {summary}. Total {spoken}, {done} {when}.")
        }
        Lang::En => {
            let verb = if placed.repeated {
                "was already placed"
            } else {
                "is placed"
            };
            let done = if delivered { "delivered" } else { "ready" };
            format!("Order no. {number} {verb}: {summary}. Total {spoken}, {done} {when}.")
        }
    };
    if !placed.corrections.is_empty() {
        let tell = lang.pick(
            " Corrigé, dis-le à l'appelant : ",
            " Corrected, tell the caller: ",
        );
        message.push_str(&format!("{tell}{}.", placed.corrections.join(" ; ")));
    }
    json!({
        "success": true, "order_id": row.get("id"), "order_number": number, "message": message,
        "heure_estimee": at.to_zoned(house.zone()).strftime("%H:%M").to_string(),
        "mode": if delivered { "livree" } else { "prete" },
        "subtotal": row.get("subtotal"), "delivery_fee": row.get("deliveryFee"), "total": total,
        "estimatedReadyAt": row.get("estimatedReadyAt"), "corrections": placed.corrections, "repeated": placed.repeated,
    })
}
