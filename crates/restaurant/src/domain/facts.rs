//! What the domain knows of a restaurant. The names are those of the wire, so a row's JSON can be read as it is.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::hours::{BadHours, Hours};
use super::lang::Lang;
use super::money::Cents;

/// Reads facts from a row's JSON; members that are null count as missing.
///
/// # Errors
/// A member has another type.
pub fn read<T: DeserializeOwned>(mut value: Value) -> Result<T, serde_json::Error> {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    serde_json::from_value(value)
}

/// The restaurant itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has these switches")]
pub struct House {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Such as `fr-FR`: which language the operator speaks.
    pub locale: String,
    /// IANA name.
    pub timezone: String,
    /// ISO 4217.
    pub currency: String,
    /// Street.
    pub address: Option<String>,
    /// Town.
    pub city: Option<String>,
    /// Postcode.
    pub postal_code: Option<String>,
    /// Two letters, or its name.
    pub country: Option<String>,
    /// Telephone of the house.
    pub phone: Option<String>,
    /// What it is, for the prompt.
    pub description: Option<String>,
    /// Kind of cuisine.
    pub cuisine_type: Option<String>,
    /// Degrees.
    pub lat: Option<f64>,
    /// Degrees.
    pub lng: Option<f64>,
    /// Whether it delivers.
    pub delivery_enabled: bool,
    /// Road distance up to which it delivers.
    pub delivery_radius_km: f64,
    /// Of each delivery.
    pub delivery_fee: Cents,
    /// Subtotal from which a delivery is free.
    pub delivery_free_above: Option<Cents>,
    /// Least subtotal of a delivery.
    pub min_order_amount: Cents,
    /// Minutes from an order to its hand-over with an idle kitchen.
    pub avg_prep_time_min: i64,
    /// Size units (S 1, M 2, L 3) that the kitchen cooks at the same time.
    pub kitchen_capacity: u32,
    /// Whether tables are booked.
    pub reservation_enabled: bool,
    /// Seats, where no tables are listed.
    pub total_seats: i64,
    /// Length of a meal, where no service says it.
    pub avg_meal_duration_min: i64,
    /// Least time ahead of a booking.
    pub min_reservation_advance_min: i64,
    /// Most days ahead of a booking.
    pub max_reservation_advance_days: i64,
    /// See [`Hours`].
    pub opening_hours: Value,
    /// Whether callers may ask for orders and cancel them.
    pub order_status_enabled: bool,
    /// Whether calls are transferred.
    pub transfer_enabled: bool,
    /// To whom.
    pub transfer_phone_number: Option<String>,
    /// Without asking the model.
    pub transfer_automatic: bool,
    /// When, a line each.
    pub transfer_cases: Option<String>,
    /// The operator's voice.
    pub ai_voice: String,
    /// The restaurant's own words for the prompt.
    pub ai_instructions: Option<String>,
    /// The restaurant's own greeting.
    pub welcome_message: Option<String>,
    /// Percent over the engine's price; `None` is the house's default.
    pub ai_cost_margin_pct: Option<f64>,
    /// Units of its currency for one of the prices' currency.
    pub exchange_rate_to_local: f64,
    /// Until how many hours before a booking may be cancelled by its caller; 0 is until it begins.
    pub cancellation_delay_hours: i64,
    /// Whether cash, card and online payment are taken, where it says.
    pub payment_methods: Vec<String>,
}

impl Default for House {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            locale: "fr-FR".to_owned(),
            timezone: "Europe/Paris".to_owned(),
            currency: "EUR".to_owned(),
            address: None,
            city: None,
            postal_code: None,
            country: None,
            phone: None,
            description: None,
            cuisine_type: None,
            lat: None,
            lng: None,
            delivery_enabled: false,
            delivery_radius_km: 5.0,
            delivery_fee: Cents::ZERO,
            delivery_free_above: None,
            min_order_amount: Cents::ZERO,
            avg_prep_time_min: 30,
            kitchen_capacity: 10,
            reservation_enabled: false,
            total_seats: 0,
            avg_meal_duration_min: 90,
            min_reservation_advance_min: 30,
            max_reservation_advance_days: 30,
            opening_hours: Value::Null,
            order_status_enabled: true,
            transfer_enabled: false,
            transfer_phone_number: None,
            transfer_automatic: false,
            transfer_cases: None,
            ai_voice: "sage".to_owned(),
            ai_instructions: None,
            welcome_message: None,
            ai_cost_margin_pct: None,
            exchange_rate_to_local: 1.0,
            cancellation_delay_hours: 0,
            payment_methods: Vec::new(),
        }
    }
}

impl House {
    /// The language of its operator.
    pub fn lang(&self) -> Lang {
        Lang::of(&self.locale)
    }

    /// Two letters of its country: as it is written, else as its locale has them.
    pub fn country(&self) -> Option<&str> {
        let two = |text: &&str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic());
        let written = self.country.as_deref().map(str::trim).filter(two);
        written.or_else(|| self.locale.get(3..5).filter(two))
    }

    /// Its zone; Paris where the name is unknown.
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.timezone)
            .or_else(|_| TimeZone::get("Europe/Paris"))
            .unwrap_or(TimeZone::UTC)
    }

    /// Its hours.
    ///
    /// # Errors
    /// See [`Hours::parse`].
    pub fn hours(&self) -> Result<Hours, BadHours> {
        Hours::parse(&self.opening_hours)
    }

    /// Whether the model itself may transfer a call.
    pub fn model_transfers(&self) -> bool {
        let number = self.transfer_phone_number.as_deref().unwrap_or_default();
        self.transfer_enabled && !self.transfer_automatic && !number.trim().is_empty()
    }
}

/// A part of the menu.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Category {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Place in the menu.
    pub display_order: i64,
}

/// A dish, or a set menu.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// Its category; none for set menus.
    pub category_id: Option<String>,
    /// Its name.
    pub name: String,
    /// For the prompt.
    pub description: Option<String>,
    /// Without options.
    pub price: Cents,
    /// Its options; see [`super::menu`].
    pub options: Value,
    /// For the prompt.
    pub ingredients: Vec<String>,
    /// Named to callers who ask, and never dropped from a prompt.
    pub allergens: Vec<String>,
    /// Such as `populaire`.
    pub tags: Vec<String>,
    /// `HH:MM` from which it is served.
    pub available_from: Option<String>,
    /// `HH:MM` until which it is served.
    pub available_to: Option<String>,
    /// Days on which it is served; none is all. 1 is Monday.
    pub available_days: Vec<Value>,
    /// Switched off when it is sold out.
    pub is_available: bool,
    /// A composed menu, where the row says so.
    pub is_set_menu: bool,
    /// Place in its category.
    pub display_order: i64,
}

impl Default for Item {
    fn default() -> Self {
        Self {
            id: String::new(),
            category_id: None,
            name: String::new(),
            description: None,
            price: Cents::ZERO,
            options: Value::Null,
            ingredients: Vec::new(),
            allergens: Vec::new(),
            tags: Vec::new(),
            available_from: None,
            available_to: None,
            available_days: Vec::new(),
            is_available: true,
            is_set_menu: false,
            display_order: 0,
        }
    }
}

/// A time of the week at which guests are seated.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has these switches")]
pub struct Service {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// See [`super::hours::day_of`].
    pub day_of_week: Vec<Value>,
    /// `HH:MM`.
    pub start_time: String,
    /// `HH:MM`.
    pub end_time: String,
    /// `HH:MM`, the last arrival.
    pub last_seating_time: Option<String>,
    /// Guests at the same time.
    pub max_covers: i64,
    /// Least guests of a booking.
    pub min_party_size: i64,
    /// Most guests of a booking.
    pub max_party_size: Option<i64>,
    /// Length of a meal.
    pub default_duration_min: Option<i64>,
    /// Bookings are confirmed without staff.
    pub auto_confirm: bool,
    /// Whether a deposit is asked for.
    pub requires_prepayment: bool,
    /// Rooms; none is all.
    pub dining_room_ids: Option<Vec<String>>,
    /// Not offered to callers.
    pub is_private: bool,
    /// Offered at all.
    pub is_active: bool,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            day_of_week: Vec::new(),
            start_time: String::new(),
            end_time: String::new(),
            last_seating_time: None,
            max_covers: 0,
            min_party_size: 1,
            max_party_size: None,
            default_duration_min: None,
            auto_confirm: true,
            requires_prepayment: false,
            dining_room_ids: None,
            is_private: false,
            is_active: true,
        }
    }
}

/// A table.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Table {
    /// Its id.
    pub id: String,
    /// Its room.
    pub dining_room_id: Option<String>,
    /// Guests.
    pub seats: i64,
    /// Of `window outdoor large_table quiet bar`.
    #[serde(
        alias = "seatingOptions",
        alias = "seatingPreferences",
        alias = "seatingTypes",
        alias = "tags"
    )]
    pub features: Vec<String>,
    /// In use.
    pub is_active: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            id: String::new(),
            dining_room_id: None,
            seats: 0,
            features: Vec::new(),
            is_active: true,
        }
    }
}

/// Tables that are put together.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Combination {
    /// The tables.
    pub table_ids: Vec<String>,
    /// Guests; 0 is the sum of its tables.
    pub seats: i64,
    /// Switched off.
    pub is_active: Option<bool>,
}

/// Something that is offered to callers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Offer {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// Percent off.
    pub discount_percent: Option<u32>,
    /// `YYYY-MM-DD`.
    pub start_date: Option<String>,
    /// `YYYY-MM-DD`, included.
    pub end_date: Option<String>,
    /// Without dates.
    pub is_permanent: bool,
    /// Least guests.
    pub min_party_size: Option<i64>,
    /// Most guests.
    pub max_party_size: Option<i64>,
    /// A booking may name it.
    pub is_bookable: bool,
    /// Offered at all.
    pub is_active: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            description: None,
            discount_percent: None,
            start_date: None,
            end_date: None,
            is_permanent: false,
            min_party_size: None,
            max_party_size: None,
            is_bookable: true,
            is_active: true,
        }
    }
}

impl Offer {
    /// Whether it holds on a day.
    pub fn holds_on(&self, date: jiff::civil::Date) -> bool {
        let day = |text: &Option<String>| {
            text.as_deref().and_then(|text| {
                text.get(..10)
                    .unwrap_or(text)
                    .parse::<jiff::civil::Date>()
                    .ok()
            })
        };
        self.is_active
            && (self.is_permanent
                || (day(&self.start_date).is_none_or(|from| from <= date)
                    && day(&self.end_date).is_none_or(|to| date <= to)))
    }
}

/// A question with its answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answered {
    /// The question.
    pub question: String,
    /// The answer.
    pub answer: String,
}

/// A customer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Customer {
    /// Its id.
    pub id: String,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Number.
    pub phone: String,
    /// Street.
    pub delivery_address: Option<String>,
    /// Town.
    pub delivery_city: Option<String>,
    /// Postcode.
    pub delivery_postal_code: Option<String>,
    /// Floor, code.
    pub delivery_notes: Option<String>,
    /// Degrees.
    pub delivery_lat: Option<f64>,
    /// Degrees.
    pub delivery_lng: Option<f64>,
    /// Orders so far.
    pub total_orders: i64,
    /// Spent so far.
    pub total_spent: Cents,
    /// Remarks of the house.
    pub notes: Option<String>,
    /// What must not be forgotten.
    pub allergies: Vec<String>,
}

/// A table that is taken for a time: a booking or a hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Beginning.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
    /// Guests.
    pub party_size: i64,
    /// Tables, where some were given.
    pub table_ids: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_read_as_they_are() {
        let house: House = read(json!({
            "id": "r", "name": "Bella", "deliveryFee": 2.5, "deliveryFreeAbove": null, "avgPrepTimeMin": null,
            "timezone": "Nowhere/At_All", "unknown": 1,
        }))
        .unwrap();
        assert_eq!(house.delivery_fee, Cents::new(250));
        assert_eq!(house.avg_prep_time_min, 30);
        assert_eq!(house.zone().iana_name(), Some("Europe/Paris"));
    }
}
