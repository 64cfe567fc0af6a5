//! What a restaurant wants to be told, and what its guests are sent: its members `notifications` and `webhooks`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::ticket::{COLUMNS, COLUMNS_MAX, COLUMNS_MIN};
use super::words;

/// Addresses of one list.
const ADDRESSES_MAX: usize = 10;
/// Webhooks of a restaurant.
const WEBHOOKS_MAX: usize = 5;
/// Characters of a text of the restaurant's own.
const TEXT_CHARACTERS_MAX: usize = 1_000;

/// Everything that may happen.
pub(super) const EVENTS: &[&str] = &[
    "order.created",
    "order.updated",
    "order.ready",
    "order.cancelled",
    "reservation.created",
    "reservation.updated",
    "reservation.cancelled",
    "message.created",
];
/// What the house is told where it names nothing.
const FOR_STAFF: &[&str] = &[
    "order.created",
    "order.cancelled",
    "reservation.created",
    "reservation.updated",
    "reservation.cancelled",
    "message.created",
];
/// What a guest is told where the house names nothing.
const FOR_GUESTS: &[&str] = &[
    "order.created",
    "order.ready",
    "order.cancelled",
    "reservation.created",
    "reservation.updated",
    "reservation.cancelled",
];

/// Whom the house wants told.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Staff {
    pub(super) email: Vec<String>,
    pub(super) sms: Vec<String>,
    events: Option<Vec<String>>,
}

/// What guests are sent. Nothing, unless the house says so.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Guests {
    pub(super) sms: bool,
    pub(super) email: bool,
    events: Option<Vec<String>>,
    /// Texts of the house's own, by event.
    texts: BTreeMap<String, String>,
}

/// The kitchen's printer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Printer {
    /// `host:port`.
    pub(super) address: String,
    #[serde(default)]
    columns: Option<usize>,
}

/// One webhook.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Webhook {
    pub(super) url: String,
    #[serde(default)]
    events: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Notifications {
    staff: Staff,
    guests: Guests,
    printer: Option<Printer>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub(super) staff: Staff,
    pub(super) guests: Guests,
    pub(super) printer: Option<Printer>,
    pub(super) webhooks: Vec<Webhook>,
}

/// Why a member cannot be what it is: its name, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadWishes {
    /// `notifications` or `webhooks`.
    pub(crate) member: &'static str,
    /// What is wrong, for a person.
    pub(crate) cause: String,
}

fn wanted(named: Option<&[String]>, default: &[&str], event: &str) -> bool {
    named.map_or_else(
        || default.contains(&event),
        |named| named.iter().any(|known| known == event),
    )
}

impl Staff {
    pub(super) fn wants(&self, event: &str) -> bool {
        wanted(self.events.as_deref(), FOR_STAFF, event)
    }
}

impl Guests {
    pub(super) fn wants(&self, event: &str) -> bool {
        wanted(self.events.as_deref(), FOR_GUESTS, event)
    }

    /// The house's own text for an event.
    pub(super) fn text(&self, event: &str) -> Option<&str> {
        self.texts.get(event).map(String::as_str)
    }
}

impl Webhook {
    pub(super) fn wants(&self, event: &str) -> bool {
        wanted(self.events.as_deref(), EVENTS, event)
    }
}

impl Printer {
    pub(super) fn columns(&self) -> usize {
        self.columns.unwrap_or(COLUMNS)
    }
}

impl Wishes {
    /// Of a restaurant as the wire has it.
    ///
    /// # Errors
    /// What is wrong with which member.
    pub(crate) fn of(notifications: &Value, webhooks: &Value) -> Result<Self, BadWishes> {
        let bad = |member: &'static str, cause: String| BadWishes { member, cause };
        let told: Notifications = read(notifications)
            .map_err(|error| bad("notifications", error.to_string()))?
            .unwrap_or_default();
        let webhooks: Vec<Webhook> = read(webhooks)
            .map_err(|error| bad("webhooks", error.to_string()))?
            .unwrap_or_default();
        let wishes = Self {
            staff: told.staff,
            guests: told.guests,
            printer: told.printer,
            webhooks,
        };
        wishes
            .check_told()
            .map_err(|cause| bad("notifications", cause))?;
        wishes
            .check_webhooks()
            .map_err(|cause| bad("webhooks", cause))?;
        Ok(wishes)
    }

    /// # Errors
    /// The operator does not list the printer.
    pub(crate) fn check_printer(&self, listed: &[String]) -> Result<(), BadWishes> {
        let Some(printer) = &self.printer else {
            return Ok(());
        };
        if listed.contains(&printer.address) {
            return Ok(());
        }
        Err(BadWishes {
            member: "notifications",
            cause: format!(
                "printer.address: `{}` is not in back_office.printers",
                printer.address
            ),
        })
    }

    fn check_told(&self) -> Result<(), String> {
        let (staff, guests) = (&self.staff, &self.guests);
        if staff.email.len().max(staff.sms.len()) > ADDRESSES_MAX {
            return Err(format!("staff: at most {ADDRESSES_MAX} addresses"));
        }
        if let Some(bad) = staff.email.iter().find(|address| !is_mailbox(address)) {
            return Err(format!("staff.email: `{bad}` is no address"));
        }
        if let Some(bad) = staff
            .sms
            .iter()
            .find(|number| crate::phone::key(number).len() < 4)
        {
            return Err(format!("staff.sms: `{bad}` is no number"));
        }
        known(staff.events.as_deref())?;
        known(guests.events.as_deref())?;
        for (event, text) in &guests.texts {
            known(Some(std::slice::from_ref(event)))?;
            if text.chars().count() > TEXT_CHARACTERS_MAX {
                return Err(format!(
                    "guests.texts.{event}: at most {TEXT_CHARACTERS_MAX} characters"
                ));
            }
            words::check(text).map_err(|name| {
                format!(
                    "guests.texts.{event}: `{{{name}}}` is unknown; known are {}",
                    words::PLACES.join(", ")
                )
            })?;
        }
        if let Some(printer) = &self.printer {
            let port = printer.address.rsplit_once(':');
            if !port.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
                return Err("printer.address: host:port, such as 192.168.1.50:9100".to_owned());
            }
            if !(COLUMNS_MIN..=COLUMNS_MAX).contains(&printer.columns()) {
                return Err(format!("printer.columns: {COLUMNS_MIN} to {COLUMNS_MAX}"));
            }
        }
        Ok(())
    }

    fn check_webhooks(&self) -> Result<(), String> {
        if self.webhooks.len() > WEBHOOKS_MAX {
            return Err(format!("at most {WEBHOOKS_MAX}"));
        }
        for webhook in &self.webhooks {
            let url = url::Url::parse(&webhook.url);
            if !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
                return Err(format!("url: `{}` is no http(s) address", webhook.url));
            }
            known(webhook.events.as_deref())?;
        }
        Ok(())
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Result<Option<T>, serde_json::Error> {
    serde_json::from_value(value.clone())
}

fn known(events: Option<&[String]>) -> Result<(), String> {
    let unknown = events
        .into_iter()
        .flatten()
        .find(|event| !EVENTS.contains(&event.as_str()));
    unknown.map_or(Ok(()), |event| {
        Err(format!(
            "`{event}` is no event; known are {}",
            EVENTS.join(", ")
        ))
    })
}

/// Whether it looks like an address; whether it exists only its server knows.
pub(super) fn is_mailbox(address: &str) -> bool {
    let plain = address
        .chars()
        .all(|character| !character.is_control() && !character.is_whitespace());
    let parts = address.rsplit_once('@');
    plain && parts.is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_asked_by_default() {
        let wishes = Wishes::of(&Value::Null, &Value::Null).unwrap();
        assert!(wishes.webhooks.is_empty() && wishes.staff.email.is_empty());
        assert!(!wishes.guests.sms && !wishes.guests.email);
    }

    #[test]
    fn what_is_named_counts() {
        let wishes = Wishes::of(
            &json!({"staff": {"email": ["cuisine@example.fr"], "events": ["order.created"]}, "guests": {"sms": true}}),
            &json!([{"url": "https://a.example/hook", "events": ["reservation.created"]}]),
        )
        .unwrap();
        assert!(wishes.staff.wants("order.created") && !wishes.staff.wants("message.created"));
        assert!(wishes.guests.wants("order.ready") && !wishes.guests.wants("order.updated"));
        let hook = &wishes.webhooks[0];
        assert!(hook.wants("reservation.created") && !hook.wants("order.created"));
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (notifications, webhooks, member, word) in [
            (json!({"stuff": 1}), Value::Null, "notifications", "stuff"),
            (
                json!({"staff": {"email": ["nobody"]}}),
                Value::Null,
                "notifications",
                "nobody",
            ),
            (
                json!({"staff": {"events": ["order.eaten"]}}),
                Value::Null,
                "notifications",
                "order.eaten",
            ),
            (
                json!({"guests": {"texts": {"order.created": "Bonjour {prenom}"}}}),
                Value::Null,
                "notifications",
                "prenom",
            ),
            (
                json!({"printer": {"address": "imprimante"}}),
                Value::Null,
                "notifications",
                "host:port",
            ),
            (
                json!({"printer": {"address": "a:9100", "columns": 200}}),
                Value::Null,
                "notifications",
                "columns",
            ),
            (
                Value::Null,
                json!([{"url": "ftp://a.example"}]),
                "webhooks",
                "ftp",
            ),
        ] {
            let bad = Wishes::of(&notifications, &webhooks).unwrap_err();
            assert_eq!(bad.member, member);
            assert!(bad.cause.contains(word), "{}", bad.cause);
        }
    }
}
