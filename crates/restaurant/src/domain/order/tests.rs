use serde_json::json;

use super::*;
use crate::domain::facts::read;

fn house() -> House {
    read(json!({"name": "Bella", "deliveryEnabled": true, "deliveryFee": 3, "deliveryFreeAbove": 40, "minOrderAmount": 15})).unwrap()
}

fn menu() -> Menu {
    let items = [
        json!({"id": "reine", "name": "Reine", "categoryId": "p", "price": 11, "displayOrder": 1, "options": [
            {"name": "Taille", "required": true, "choices": [{"id": 1, "label": "Normale"}, {"id": 2, "label": "Géante", "price": 4.5}]},
            {"name": "Suppléments", "type": "multi", "max": 2, "choices": ["Olives", {"label": "Anchois", "price": 1}, {"label": "Câpres", "available": false}]}]}),
        json!({"id": "marg", "name": "Margherita", "categoryId": "p", "price": 9.9, "displayOrder": 2}),
        json!({"id": "quatre", "name": "Quatre fromages", "categoryId": "p", "price": 12, "displayOrder": 3, "isAvailable": false}),
        json!({"id": "menu", "name": "Menu", "price": 16, "options": [{"name": "Pizza", "source": "category", "categoryId": "p"}]}),
    ];
    let categories = vec![read(json!({"id": "p", "name": "Pizzas"})).unwrap()];
    Menu::new(
        categories,
        items.into_iter().map(|item| read(item).unwrap()).collect(),
    )
}

fn order(value: Value) -> Result<Priced, Refusal> {
    let asked: AskedOrder = serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"));
    let at = Moment {
        day: 5,
        minute: 20 * 60,
    };
    price(&house(), &menu(), &asked, at)
}

fn refused(items: &Value) -> Refusal {
    order(json!({"order_type": "pickup", "items": items})).unwrap_err()
}

#[test]
fn prices_come_from_the_menu() {
    let priced = order(json!({
        "order_type": "delivery", "total": 10, "items": [
            {"id": 1, "quantity": 2, "unit_price": 11, "selected_options": [{"name": "Taille", "choice": "géante", "extra_price": 0}, {"name": "Suppléments", "choice": "olives, anchois"}], "notes": "allergie aux noix"},
            {"id": "#2", "quantity": 1.0, "unit_price": 9.9},
        ]}))
    .unwrap();
    assert_eq!(priced.lines[0].unit_price, Cents::new(1650));
    assert_eq!(priced.lines[0].options.len(), 3);
    assert_eq!(priced.lines[0].notes.as_deref(), Some("allergie aux noix"));
    assert_eq!(priced.subtotal, Cents::new(4290));
    assert_eq!(priced.delivery_fee, Cents::ZERO);
    assert_eq!(priced.total, Cents::new(4290));
    assert_eq!(
        priced.corrections,
        [
            "Reine : 16,50 € et non 11,00 €",
            "le total : 42,90 € et non 10,00 €"
        ]
    );
    assert_eq!(priced.summary(), "2x Reine, 1x Margherita");
}

#[test]
fn required_options_are_asked_for() {
    let refusal = refused(&json!([{"id": 1, "quantity": 1}]));
    assert_eq!(refusal.code, "option_required");
    assert_eq!(
        refusal.text,
        "Il manque l'option « Taille » pour Reine. Demande : Normale ou Géante ?"
    );
    assert_eq!(refusal.details["choices"], json!(["Normale", "Géante"]));
    let set = refused(&json!([{"id": 4, "quantity": 1}]));
    assert_eq!(set.code, "option_required");
    assert_eq!(set.details["choices"], json!(["Reine", "Margherita"]));
}

#[test]
fn what_is_wrong_is_refused() {
    let size = json!({"name": "Taille", "choice_id": 2});
    for (code, items) in [
        ("order_empty", json!([])),
        ("unknown_item", json!([{"id": 9}])),
        ("unknown_item", json!([{"id": -1}])),
        ("unknown_item", json!([{"menuItemId": "other"}])),
        ("unknown_item", json!([{"name": "Sushi"}])),
        ("bad_quantity", json!([{"id": 2, "quantity": 0}])),
        ("bad_quantity", json!([{"id": 2, "quantity": 51}])),
        ("bad_quantity", json!([{"id": 2, "quantity": 1.5}])),
        ("bad_quantity", json!([{"id": 2, "quantity": "many"}])),
        ("item_unavailable", json!([{"id": 3}])),
        (
            "unknown_option",
            json!([{"id": 1, "selected_options": [size, {"name": "Suppléments", "choice": "ananas"}]}]),
        ),
        (
            "unknown_option",
            json!([{"id": 2, "selected_options": [{"name": "Taille", "choice": "grande"}]}]),
        ),
        (
            "too_many_choices",
            json!([{"id": 1, "selected_options": [size, size]}]),
        ),
        (
            "option_unavailable",
            json!([{"id": 1, "selected_options": [size, {"choice": "câpres"}]}]),
        ),
        (
            "option_unavailable",
            json!([{"id": 4, "selected_options": [{"name": "Pizza", "choice_id": 3}]}]),
        ),
    ] {
        assert_eq!(refused(&items).code, code, "{items}");
    }
    let refusal = refused(&json!([{"id": 3}]));
    assert_eq!(
        refusal.text,
        "Quatre fromages n'est pas disponible. Propose plutôt Reine ou Margherita."
    );
    assert_eq!(refusal.details["alternatives"][0]["id"], 1);
    let small = order(json!({"order_type": "delivery", "items": [{"id": 2}]})).unwrap_err();
    assert_eq!(small.code, "below_minimum_order");
    assert_eq!(small.details["missing"], 5.1);
}

#[test]
fn numbers_keep_the_meaning_they_had_when_the_call_began() {
    let map = json!({"1": {"id": "marg", "name": "Margherita"}, "7": {"id": "reine"}});
    let priced = order(json!({"items": [{"id": 1}], "item_map": map})).unwrap();
    assert_eq!(priced.lines[0].item_id, "marg");
    assert_eq!(
        order(json!({"items": [{"id": 2}], "item_map": map}))
            .unwrap_err()
            .code,
        "unknown_item"
    );
    let foreign = json!({"1": {"id": "of-another-restaurant"}});
    assert_eq!(
        order(json!({"items": [{"id": 1}], "item_map": foreign}))
            .unwrap_err()
            .code,
        "unknown_item"
    );
    let chosen = |more: &[Value]| {
        let mut options = vec![json!({"name": "Pizza", "choice_id": 1})];
        options.extend_from_slice(more);
        order(json!({"items": [{"id": 4, "selected_options": options}]}))
    };
    let without = chosen(&[]).unwrap_err();
    assert_eq!(
        (without.code, &without.details["item"]),
        ("option_required", &json!("Reine")),
        "the dish of a set menu has options of its own"
    );
    let set = chosen(&[json!({"name": "Taille", "choice_id": 1})]);
    assert_eq!(set.unwrap().lines[0].options[0].choice, "Reine");
}
