use serde_json::json;

use super::*;
use crate::domain::facts::{Category, Item, read};

fn at(text: &str) -> Timestamp {
    format!("{text}[Europe/Paris]")
        .parse::<jiff::Zoned>()
        .unwrap()
        .timestamp()
}

fn menu(count: usize) -> Menu {
    let categories: Vec<Category> =
        (0..10).map(|index| read(json!({"id": format!("c{index}"), "name": format!("Rayon {index}"), "displayOrder": index})).unwrap()).collect();
    let items: Vec<Item> = (0..count)
        .map(|index| {
            read(json!({
                "id": format!("i{index}"), "categoryId": format!("c{}", index % 10), "name": format!("Plat maison numéro {index}"),
                "price": 7.5, "description": "Un plat généreux de saison, servi avec sa garniture et une sauce du chef",
                "ingredients": ["tomate", "mozzarella", "basilic"], "allergens": ["gluten", "lait"],
                "options": [{"name": "Taille", "required": true, "choices": ["Petite", {"label": "Grande", "price": 2}]}],
            }))
            .unwrap()
        })
        .collect();
    Menu::new(categories, items)
}

fn story<'a>(house: &'a House, hours: &'a Hours, menu: &'a Menu) -> Story<'a> {
    Story {
        house,
        hours,
        menu,
        services: &[],
        offers: &[],
        answers: &[],
        customer: None,
        history: &[],
        caller: Some("+33611223344"),
    }
}

#[test]
fn three_hundred_items_fit_the_budget() {
    let house: House = read(
        json!({"id": "r", "name": "Bella", "reservationEnabled": true, "deliveryEnabled": true}),
    )
    .unwrap();
    let hours = Hours::default();
    for (count, dropped) in [(20, &[][..]), (300, &["ingredients", "descriptions"][..])] {
        let menu = menu(count);
        let prompt = prompt(
            story(&house, &hours, &menu),
            at("2026-11-28T20:00"),
            TOKENS_MAX,
        );
        assert!(prompt.tokens <= TOKENS_MAX, "{}", prompt.tokens);
        assert_eq!(prompt.dropped, dropped, "{count}: {}", prompt.tokens);
        assert!(
            prompt.text.contains("allergènes: gluten, lait")
                && prompt.text.contains("Taille!: Petite, Grande +2.00")
        );
        assert!(prompt.text.contains(&format!("#{count} Plat")));
    }
    let menu = menu(2_000);
    let short = prompt(
        story(&house, &hours, &menu),
        at("2026-11-28T20:00"),
        TOKENS_MAX,
    );
    assert!(short.tokens <= TOKENS_MAX && short.dropped.contains(&"items"));
    assert!(short.text.contains("Carte abrégée"));
}

#[test]
fn the_prompt_knows_the_day_and_the_caller() {
    let house: House = read(json!({
        "id": "r", "name": "Bella", "locale": "en-GB", "openingHours": {"sat": "19:00-23:00", "exceptions": {"2026-12-25": null}},
        "deliveryEnabled": true, "deliveryFee": 2.5, "deliveryFreeAbove": 30, "transferEnabled": true, "transferPhoneNumber": "+331", "transferCases": "Complaint\nGroup",
    }))
    .unwrap();
    let hours = house.hours().unwrap();
    let menu = menu(1);
    let customer: Customer = read(json!({"id": "c", "firstName": "Ada", "phone": "+33611223344", "totalOrders": 2, "totalSpent": 31.5, "allergies": ["nuts"]})).unwrap();
    let history = [Past {
        at: at("2026-11-20T20:00"),
        summary: "2x Reine".to_owned(),
        total: Cents::new(2200),
    }];
    let story = Story {
        customer: Some(&customer),
        history: &history,
        ..story(&house, &hours, &menu)
    };
    let text = prompt(story, at("2026-11-28T20:00"), TOKENS_MAX).text;
    for words in [
        "Today is Saturday November 28 2026, it is 20:00 (Europe/Paris). The restaurant is open.",
        "- Saturday November 28 : 19:00-23:00",
        "- Friday December 25 : closed",
        "up to 5 km, fee €2.50, free from €30.00",
        "Known customer: Ada, 2 order(s), €31.50 in all.",
        "Not to be forgotten : nuts",
        "Friday November 20 : 2x Reine (€22.00)",
        "in these cases: Complaint ; Group",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(greeting(&house, Some(&customer)).contains("Greet Ada by name"));
    let session = session(story, &[], at("2026-11-28T20:00"), 30.0);
    assert_eq!(session["initialContext"]["customer_name"], "Ada");
    assert_eq!(session["initialContext"]["transfer_phone"], "+331");
    assert_eq!(session["customerContext"]["totalSpent"], 31.5);
    assert_eq!(session["aiCostMarginPct"], 30.0);
    assert!(session.get("sipCredentials").is_none());
}

#[test]
fn tools_follow_the_switches() {
    let pack = [
        json!({"name": "check_availability", "description": "", "parameters": {"properties": {"mode": {"enum": ["pickup", "delivery", "reservation"]}}}}),
        json!({"name": "confirm_reservation", "condition": {"configKey": "reservationEnabled", "operator": "truthy"}, "parameters": {}}),
        json!({"name": "cancel_order", "condition": {"configKey": "orderStatusEnabled", "operator": "truthy"}, "parameters": {}}),
        json!({"name": "transfer_call", "parameters": {}}),
    ];
    let names = |house: Value| -> Vec<String> {
        let tools = tools(&read(house).unwrap(), &pack);
        tools
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(json!({"orderStatusEnabled": false})),
        ["check_availability"]
    );
    assert_eq!(
        names(json!({"reservationEnabled": true})),
        ["check_availability", "confirm_reservation", "cancel_order"]
    );
    let number = json!({"transferEnabled": true, "transferPhoneNumber": "+33"});
    assert_eq!(
        names(number),
        ["check_availability", "cancel_order", "transfer_call"]
    );
    let automatic =
        json!({"transferEnabled": true, "transferPhoneNumber": "+33", "transferAutomatic": true});
    assert_eq!(names(automatic), ["check_availability", "cancel_order"]);
    let modes = tools(&read(json!({})).unwrap(), &pack);
    assert_eq!(
        modes[0]["parameters"]["properties"]["mode"]["enum"],
        json!(["pickup"])
    );
}
