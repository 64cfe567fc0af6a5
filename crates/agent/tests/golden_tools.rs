//! The 12 tools of the contract: each request byte for byte, in one conversation. Each file of `data/requests` is listed here.
#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "tests fail by panicking, and read as tables"
)]

mod common;

use common::{exchange, finished_text, now, ok, prepared_text, restaurant};
use expect_test::{ExpectFile, expect_file};

/// (file, tool, arguments, reply of the back office)
const STEPS: &[(&str, &str, &str, &str)] = &[
    (
        "01_check_availability",
        "check_availability",
        r#"{"mode":"delivery","requested_time":"19:30","customer_address":"3 rue de la République","customer_city":null}"#,
        r#"{"available":true,"mode":"delivery","estimatedTime":"19:30","estimatedTimeISO":"2026-11-21T18:30:00.000Z","deliveryDistanceKm":2.4,"deliveryDurationMin":9,"deliveryFee":2.5,"customerAddressFormatted":"3 Rue de la République, 13001 Marseille","customerLat":43.2969,"customerLng":5.3733,"apiCosts":0.01}"#,
    ),
    (
        "02_confirm_order",
        "confirm_order",
        r#"{"order_type":"delivery","items":[{"id":1,"quantity":2,"unit_price":9.5,"selected_options":[{"name":"Pâte","choice_id":2,"extra_price":1}],"notes":null},{"id":2,"quantity":1,"unit_price":12}],"subtotal":32,"delivery_fee":2.5,"total":34.5,"payment_method":"card"}"#,
        r#"{"success":true,"order_id":"o-9","order_number":42,"message":"ok","heure_estimee":"19:30","mode":"livree"}"#,
    ),
    (
        "03_confirm_reservation",
        "confirm_reservation",
        r#"{"customer_name":"Marie Dupont","customer_phone":"06 98 76 54 32","party_size":4,"reservation_time":"20:00","seating_preference":"window"}"#,
        r#"{"id":"r-5","status":"confirmed"}"#,
    ),
    (
        "04_save_customer_info",
        "save_customer_info",
        r#"{"first_name":"Marie-Anne","delivery_notes":"2e étage & sonner \"Dupont\""}"#,
        r#"{"id":"c-18","firstName":"Marie-Anne","totalOrders":5}"#,
    ),
    (
        "05_log_new_faq",
        "log_new_faq",
        r#"{"question":"Avez-vous des pizzas sans gluten ?","category":"allergens"}"#,
        r#"{"id":"f-1"}"#,
    ),
    (
        "06_leave_message",
        "leave_message",
        r#"{"content":"Rappeler demain","category":"callback_request","is_urgent":false}"#,
        r#"{"id":"m-1"}"#,
    ),
    (
        "07_check_order_status",
        "check_order_status",
        r#"{"customer_phone":"0612345678"}"#,
        r#"{"found":true,"orders":[{"id":"o-9","orderNumber":42,"status":"pending"}]}"#,
    ),
    (
        "08_cancel_order",
        "cancel_order",
        r#"{"order_number":42}"#,
        r#"{"success":true,"message":"Commande annulee"}"#,
    ),
    (
        "09_lookup_reservation",
        "lookup_reservation",
        "{}",
        r#"{"found":true,"reservations":[{"id":"r-5","customerName":"Marie Dupont","partySize":4}]}"#,
    ),
    (
        "10_cancel_reservation",
        "cancel_reservation",
        r#"{"reservation_id":"r-5"}"#,
        r#"{"id":"r-5","status":"cancelled"}"#,
    ),
    (
        "11_transfer_call",
        "transfer_call",
        r#"{"reason":"allergie"}"#,
        "",
    ),
    ("12_end_call", "end_call", "", ""),
];

fn file(name: &str) -> ExpectFile {
    expect_file![format!(
        "{}/tests/data/requests/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    )]
}

#[test]
fn every_request_is_exact() {
    let mut brain = restaurant();
    for (name, tool, arguments, reply) in STEPS {
        let id = format!("item-{name}");
        let prepared = brain.prepare(&id, tool, arguments, now());
        let mut text = prepared_text(&prepared);
        if matches!(prepared, agent::Prepared::Http(_)) {
            text.push_str(&format!(
                "\n{}",
                finished_text(&brain.finish(&id, &ok(reply), now()))
            ));
        }
        file(name).assert_eq(&text);
        exchange(&mut brain);
    }
    let context = serde_json::to_string_pretty(brain.context()).unwrap();
    file("context_at_the_end").assert_eq(&format!("{context}\n"));
}

#[test]
fn each_file_is_listed() {
    let folder = format!("{}/tests/data/requests", env!("CARGO_MANIFEST_DIR"));
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut listed: Vec<String> = STEPS
        .iter()
        .map(|(name, ..)| format!("{name}.txt"))
        .collect();
    listed.push("context_at_the_end.txt".to_owned());
    assert_eq!(found, listed);
}
