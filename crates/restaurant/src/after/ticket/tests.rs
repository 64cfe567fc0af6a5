use serde_json::json;

use super::*;

fn house() -> House {
    House {
        name: "Pizza Bella".to_owned(),
        ..House::default()
    }
}

fn order() -> Value {
    json!({
        "orderNumber": 42, "orderType": "delivery", "status": "confirmed", "customerName": "Léa <b>Martin</b>",
        "customerPhone": "+33612345678", "deliveryAddress": "12 rue de la Bûcherie, 75005 Paris",
        "estimatedReadyAt": "2026-11-29T18:30:00Z", "cookStartAt": "2026-11-29T17:50:00Z",
        "notes": "Allergie : noix. Sonner deux fois\u{1b}@.", "customerAllergies": ["arachide", "lait"], "deliveryFee": 2.5, "total": 27.0, "paymentMethod": "card",
        "items": [
            {"quantity": 2, "name": "Margherita au cœur d'artichaut et crème fraîche épaisse", "totalPrice": 22.0, "notes": "sans gluten !",
             "selectedOptions": [{"name": "Taille", "choice": "géante"}, {"name": "Suppléments", "choice": ["olives", "anchois"]}]},
            {"quantity": 1, "name": "Eau", "totalPrice": 2.5, "selectedOptions": []}
        ]
    })
}

fn ticket() -> Ticket {
    Ticket::of(&house(), &order(), "2026-11-29T17:00:00Z".parse().unwrap())
}

#[test]
fn the_text_fits_and_nothing_is_lost() {
    let expected = "\
Pizza Bella
Commande n° 42
LIVRAISON                    19:30
Début de préparation         18:50
Léa <b>Martin</b> +33612345678
12 rue de la Bûcherie, 75005 Paris
Allergie : noix. Sonner deux fois
@.
Allergies connues : arachide, lait
----------------------------------
2 x Margherita au cœur     22,00 €
d'artichaut et crème fraîche
épaisse
+ Taille : géante
+ Suppléments : olives, anchois
! sans gluten !
1 x Eau                     2,50 €
----------------------------------
Livraison                   2,50 €
TOTAL                      27,00 €
Paiement : carte
";
    assert_eq!(ticket().text(34), expected);
    for columns in [COLUMNS_MIN, 32, 42, 48, COLUMNS_MAX] {
        let text = ticket().text(columns);
        assert!(text.lines().all(|line| line.chars().count() <= columns));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "noix",
            "arachide, lait",
            "sans gluten",
            "anchois",
            "artichaut",
            "épaisse",
        ] {
            assert!(words.contains(part), "{columns}: {part}");
        }
    }
}

#[test]
fn a_word_longer_than_the_paper_is_broken() {
    assert_eq!(broken("abcdefghij kl", 4, 4), ["abcd", "efgh", "ij", "kl"]);
    assert_eq!(broken("", 4, 4), [""]);
    assert_eq!(broken("ab cd ef", 5, 8), ["ab cd", "ef"]);
}

#[test]
fn bytes_are_of_the_printers_code_page_and_nobody_elses_commands() {
    let bytes = ticket().escpos(42);
    assert!(bytes.starts_with(&[0x1b, b'@', 0x1b, b't', 19]));
    assert!(bytes.ends_with(&[0x1d, b'V', 66, 0]));
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    // é, €, œ as two letters.
    assert!(has(b"L\x82a") && has(b"27,00 \xd5") && has(b"au coeur"));
    // The caller's escape was cut out: the only reset is the first.
    let resets = bytes.windows(2).filter(|window| *window == [0x1b, b'@']);
    assert_eq!(resets.count(), 1);
    // Bold and white on black around what must not be missed, taken back after it.
    assert!(has(
        b"\x1bE\x01\x1dB\x01! sans gluten !\n\x1dB\x00\x1bE\x00"
    ));
}

#[test]
fn the_page_is_escaped() {
    let page = ticket().html();
    assert!(page.starts_with("<!doctype html>\n<html lang=\"fr\">"));
    assert!(page.contains("Léa &lt;b&gt;Martin&lt;/b&gt;") && !page.contains("<b>Martin"));
    assert!(page.contains("<p class=\"alert\"><strong>! sans gluten !</strong></p>"));
}

#[test]
fn an_english_house_has_an_english_ticket() {
    let house = House {
        locale: "en-GB".to_owned(),
        ..house()
    };
    let mut order = order();
    order["status"] = json!("cancelled");
    order["orderType"] = json!("pickup");
    let text = Ticket::of(&house, &order, "2026-11-28T17:00:00Z".parse().unwrap()).text(42);
    for part in [
        "Order no. 42",
        "PICKUP",
        "CANCELLED",
        "Sunday November 29 19:30",
        "€27.00",
        "Payment: card",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn an_order_without_anything_is_a_ticket() {
    let text = Ticket::of(&house(), &json!({}), Timestamp::UNIX_EPOCH).text(42);
    assert!(text.contains("Commande n° 0") && text.contains("0,00 €"));
}
