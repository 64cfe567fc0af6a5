//! Which notices an event leads to. Pure.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::ticket::Ticket;
use super::wishes::Wishes;
use super::words::Subject;
use crate::domain::facts::House;
use crate::domain::lang::Lang;
use crate::store::notices::NewNotice;

/// A mail or a webhook is wanted a day later.
const LIFE: SignedDuration = SignedDuration::from_hours(24);
/// A short message is not.
const LIFE_SMS: SignedDuration = SignedDuration::from_hours(6);
/// A ticket that comes out after the dish was eaten would have it cooked twice.
const LIFE_PRINTER: SignedDuration = SignedDuration::from_hours(2);
/// Bytes of a webhook's body.
const BODY_BYTES_MAX: usize = 200_000;

/// How long a notice of a channel is worth sending.
pub(crate) fn life(channel: &str) -> SignedDuration {
    match channel {
        "sms" => LIFE_SMS,
        "printer" => LIFE_PRINTER,
        _ => LIFE,
    }
}

/// What happened, and to what.
pub(super) struct Happening<'a> {
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
    pub(super) at: Timestamp,
    pub(super) house: &'a House,
    /// The row as it is now; an order with its `items`.
    pub(super) row: &'a Value,
    /// What an order's status was before it changed.
    pub(super) was: Option<&'a str>,
    /// Its dishes changed.
    pub(super) dishes: bool,
    /// The guest's own language and address, where the house knows the guest.
    pub(super) guest_lang: Option<Lang>,
    pub(super) guest_email: Option<&'a str>,
}

impl Happening<'_> {
    /// What it is to those who are told: an order that becomes ready is more than one that changed.
    fn event(&self) -> &str {
        let ready = self.row["status"] == "ready" && self.was != Some("ready");
        if self.kind == "order.updated" && ready {
            "order.ready"
        } else {
            self.kind
        }
    }

    /// A booking that comes to its table, or to nothing, is no news to those who see it.
    fn is_news(&self) -> bool {
        let status = self.row["status"].as_str().unwrap_or_default();
        self.kind != "reservation.updated" || matches!(status, "pending" | "confirmed")
    }

    fn notice(
        &self,
        channel: &'static str,
        target: &str,
        subject: Option<String>,
        body: String,
    ) -> NewNotice {
        NewNotice {
            kind: self.event().to_owned(),
            channel,
            target: target.to_owned(),
            subject,
            body,
            gives_up_at: self
                .at
                .saturating_add(life(channel))
                .unwrap_or(Timestamp::MAX),
        }
    }
}

/// Everybody who is to be told. `now` is when it is planned: times of the same day are said without the day.
pub(super) fn plan(happening: &Happening<'_>, wishes: &Wishes, now: Timestamp) -> Vec<NewNotice> {
    let mut notices = Vec::new();
    for_webhooks(happening, wishes, &mut notices);
    let subject = Subject {
        house: happening.house,
        row: happening.row,
        now,
    };
    for_printer(happening, wishes, now, &mut notices);
    for_staff(happening, wishes, &subject, now, &mut notices);
    for_guest(happening, wishes, &subject, &mut notices);
    notices
}

fn for_webhooks(happening: &Happening<'_>, wishes: &Wishes, notices: &mut Vec<NewNotice>) {
    let event = happening.event();
    for webhook in wishes.webhooks.iter().filter(|hook| hook.wants(event)) {
        let mut body = json!({
            "type": event, "timestamp": happening.at.to_string(),
            "data": {"eventId": happening.id, "restaurantId": happening.house.id, "subject": happening.row},
        })
        .to_string();
        if body.len() > BODY_BYTES_MAX {
            body = json!({
                "type": event, "timestamp": happening.at.to_string(),
                "data": {"eventId": happening.id, "restaurantId": happening.house.id, "subject": {"id": happening.row["id"]}},
            })
            .to_string();
        }
        notices.push(happening.notice("webhook", &webhook.url, None, body));
    }
}

fn for_printer(
    happening: &Happening<'_>,
    wishes: &Wishes,
    now: Timestamp,
    notices: &mut Vec<NewNotice>,
) {
    let changed = happening.kind == "order.updated" && happening.dishes;
    if !changed && !matches!(happening.kind, "order.created" | "order.cancelled") {
        return;
    }
    if let Some(printer) = &wishes.printer {
        let ticket = if changed {
            Ticket::changed(happening.house, happening.row, now)
        } else {
            Ticket::of(happening.house, happening.row, now)
        };
        let body = ticket.escpos_base64(printer.columns());
        notices.push(happening.notice("printer", &printer.address, None, body));
    }
}

fn for_staff(
    happening: &Happening<'_>,
    wishes: &Wishes,
    subject: &Subject<'_>,
    now: Timestamp,
    notices: &mut Vec<NewNotice>,
) {
    let event = happening.event();
    let staff = &wishes.staff;
    if !staff.wants(event) || !happening.is_news() {
        return;
    }
    let Some(line) = subject.for_staff(event) else {
        return;
    };
    for address in &staff.email {
        let rest = if event.starts_with("order.") {
            Ticket::of(happening.house, happening.row, now).text(super::ticket::COLUMNS)
        } else {
            subject.details()
        };
        let body = format!("{line}\n\n{rest}\n");
        notices.push(happening.notice("email", address, Some(line.clone()), body));
    }
    for number in &staff.sms {
        notices.push(happening.notice("sms", number, None, line.clone()));
    }
}

fn for_guest(
    happening: &Happening<'_>,
    wishes: &Wishes,
    subject: &Subject<'_>,
    notices: &mut Vec<NewNotice>,
) {
    let event = happening.event();
    let guests = &wishes.guests;
    if !guests.wants(event) || !happening.is_news() {
        return;
    }
    let lang = happening
        .guest_lang
        .unwrap_or_else(|| happening.house.lang());
    let Some(words) = subject.for_guest(event, guests.text(event), lang) else {
        return;
    };
    let number = happening.row["customerPhone"].as_str().unwrap_or_default();
    if guests.sms && takes_sms(number) {
        notices.push(happening.notice("sms", number, None, words.clone()));
    }
    if guests.email
        && let Some(address) = happening.guest_email
        && super::wishes::is_mailbox(address)
    {
        let title = happening.house.name.clone();
        notices.push(happening.notice("email", address, Some(title), format!("{words}\n")));
    }
}

/// Whether a number may take short messages: a French one must be a mobile's; of others only their carrier knows.
fn takes_sms(number: &str) -> bool {
    let key = crate::phone::key(number);
    match key.strip_prefix("33").filter(|rest| rest.len() == 9) {
        Some(rest) => rest.starts_with(['6', '7']),
        None => key.len() >= 8,
    }
}

#[cfg(test)]
mod tests;
