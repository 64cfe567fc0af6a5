use serde_json::json;

use super::*;

const NOW: &str = "2026-11-29T17:00:00Z";

fn house() -> House {
    House {
        id: "r1".to_owned(),
        name: "Pizza Bella".to_owned(),
        ..House::default()
    }
}

fn happening<'a>(kind: &'a str, row: &'a Value, house: &'a House) -> Happening<'a> {
    Happening {
        kind,
        id: "e1",
        at: NOW.parse().unwrap(),
        house,
        row,
        was: None,
        dishes: false,
        guest_lang: None,
        guest_email: None,
    }
}

fn planned(
    kind: &str,
    row: &Value,
    notifications: &Value,
    webhooks: &Value,
    email: Option<&str>,
) -> Vec<NewNotice> {
    let house = house();
    let wishes = Wishes::of(notifications, webhooks).unwrap();
    let happening = Happening {
        guest_email: email,
        ..happening(kind, row, &house)
    };
    plan(&happening, &wishes, NOW.parse().unwrap())
}

fn order() -> Value {
    json!({"id": "o1", "orderNumber": 7, "orderType": "pickup", "status": "confirmed", "total": 12, "customerPhone": "06 12 34 56 78",
        "estimatedReadyAt": "2026-11-29T18:00:00Z", "items": [{"quantity": 1, "name": "Reine", "totalPrice": 12}]})
}

fn everything() -> Value {
    json!({"staff": {"email": ["cuisine@example.fr"], "sms": ["+33600000001"]}, "guests": {"sms": true, "email": true},
        "printer": {"address": "192.168.1.50:9100", "columns": 32}})
}

fn ways(notices: &[NewNotice]) -> Vec<(&str, &str)> {
    notices
        .iter()
        .map(|notice| (notice.channel, notice.target.as_str()))
        .collect()
}

#[test]
fn everybody_who_asked_is_told_once() {
    let hooks = json!([{"url": "https://a.example/hook"}, {"url": "https://b.example/", "events": ["message.created"]}]);
    let notices = planned(
        "order.created",
        &order(),
        &everything(),
        &hooks,
        Some("lea@example.fr"),
    );
    assert_eq!(
        ways(&notices),
        [
            ("webhook", "https://a.example/hook"),
            ("printer", "192.168.1.50:9100"),
            ("email", "cuisine@example.fr"),
            ("sms", "+33600000001"),
            ("sms", "06 12 34 56 78"),
            ("email", "lea@example.fr"),
        ]
    );
    let body: Value = serde_json::from_str(&notices[0].body).unwrap();
    assert_eq!(body["type"], "order.created");
    assert_eq!(body["data"]["subject"]["items"][0]["name"], "Reine");
    assert!(notices[2].body.contains("1 x Reine"));
}

#[test]
fn nobody_is_told_who_did_not_ask() {
    let notices = planned(
        "order.created",
        &order(),
        &Value::Null,
        &Value::Null,
        Some("lea@example.fr"),
    );
    assert!(notices.is_empty());
}

#[test]
fn an_order_that_is_ready_is_told_to_the_guest_alone() {
    let mut row = order();
    row["status"] = json!("ready");
    let notices = planned("order.updated", &row, &everything(), &Value::Null, None);
    assert_eq!(ways(&notices), [("sms", "06 12 34 56 78")]);
    row["status"] = json!("preparing");
    let notices = planned("order.updated", &row, &everything(), &Value::Null, None);
    assert!(notices.is_empty());
}

fn changed(row: &Value, kind: &str, was: &str, dishes: bool) -> Vec<NewNotice> {
    let house = house();
    let wishes = Wishes::of(&everything(), &Value::Null).unwrap();
    let happening = Happening {
        was: Some(was),
        dishes,
        ..happening(kind, row, &house)
    };
    plan(&happening, &wishes, NOW.parse().unwrap())
}

#[test]
fn a_guest_hears_once_that_the_order_is_ready() {
    let mut row = order();
    row["status"] = json!("ready");
    let told = changed(&row, "order.updated", "preparing", false);
    assert_eq!(ways(&told), [("sms", "06 12 34 56 78")]);
    assert!(changed(&row, "order.updated", "ready", false).is_empty());
}

#[test]
fn the_kitchen_gets_a_new_ticket_when_dishes_change() {
    let told = changed(&order(), "order.updated", "confirmed", true);
    assert_eq!(ways(&told), [("printer", "192.168.1.50:9100")]);
    let bytes = base64_simd::STANDARD.decode_to_vec(&told[0].body).unwrap();
    let printed = String::from_utf8_lossy(&bytes).into_owned();
    assert!(
        printed.contains("MODIFI") && printed.contains("1 x Reine"),
        "{printed}"
    );
}

#[test]
fn a_booking_that_is_seated_or_missed_is_no_news() {
    let mut row = json!({"id": "b", "partySize": 2, "reservationTime": "2026-12-05T19:30:00Z", "customerPhone": "0612345678", "status": "confirmed"});
    let told = changed(&row, "reservation.updated", "", false);
    assert_eq!(
        ways(&told),
        [
            ("email", "cuisine@example.fr"),
            ("sms", "+33600000001"),
            ("sms", "0612345678")
        ]
    );
    for status in ["seated", "completed", "no_show"] {
        row["status"] = json!(status);
        assert!(
            changed(&row, "reservation.updated", "", false).is_empty(),
            "{status}"
        );
    }
}

#[test]
fn a_land_line_gets_no_short_message() {
    let mut row = order();
    row["customerPhone"] = json!("01 42 00 00 00");
    let notices = planned("order.created", &row, &everything(), &Value::Null, None);
    assert!(!ways(&notices).contains(&("sms", "01 42 00 00 00")));
    assert!(takes_sms("+447700900123") && takes_sms("0712345678") && !takes_sms("anonymous"));
}

#[test]
fn a_ticket_is_not_printed_hours_later() {
    let notices = planned("order.created", &order(), &everything(), &Value::Null, None);
    let until = |channel: &str| {
        let notice = notices.iter().find(|notice| notice.channel == channel);
        notice.unwrap().gives_up_at.to_string()
    };
    assert_eq!(until("printer"), "2026-11-29T19:00:00Z");
    assert_eq!(until("sms"), "2026-11-29T23:00:00Z");
    assert_eq!(until("email"), "2026-11-30T17:00:00Z");
}
