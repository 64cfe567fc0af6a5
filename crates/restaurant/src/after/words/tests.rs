use serde_json::json;

use super::*;

fn house(locale: &str) -> House {
    House {
        name: "Pizza Bella".to_owned(),
        locale: locale.to_owned(),
        ..House::default()
    }
}

fn order(mode: &str) -> Value {
    json!({"orderNumber": 12, "orderType": mode, "total": 24.5, "estimatedReadyAt": "2026-11-29T18:30:00Z", "customerName": "Léa",
        "status": "confirmed", "items": [{"quantity": 2, "name": "Reine"}, {"quantity": 1, "name": "Tiramisù"}]})
}

fn booking() -> Value {
    json!({"partySize": 4, "reservationTime": "2026-12-05T19:30:00Z", "customerName": "Léa", "customerPhone": "+33612345678",
        "notes": "chaise haute"})
}

fn said(locale: &str, row: &Value, event: &str, own: Option<&str>) -> Option<String> {
    let house = house(locale);
    let now = "2026-11-29T17:00:00Z".parse().unwrap();
    let subject = Subject {
        house: &house,
        row,
        now,
    };
    subject.for_guest(event, own, house.lang())
}

#[test]
fn a_guest_reads_what_was_agreed() {
    for (locale, row, event, expected) in [
        (
            "fr-FR",
            order("pickup"),
            "order.created",
            "Pizza Bella : commande n° 12 confirmée, 24,50 €, prête vers 19:30. 2 x Reine, 1 x Tiramisù",
        ),
        (
            "fr-FR",
            order("delivery"),
            "order.created",
            "Pizza Bella : commande n° 12 confirmée, 24,50 €, livraison vers 19:30. 2 x Reine, 1 x Tiramisù",
        ),
        (
            "en-GB",
            order("pickup"),
            "order.created",
            "Pizza Bella: order no. 12 confirmed, €24.50, ready about 19:30. 2 x Reine, 1 x Tiramisù",
        ),
        (
            "fr-FR",
            order("pickup"),
            "order.ready",
            "Pizza Bella : votre commande n° 12 est prête.",
        ),
        (
            "fr-FR",
            order("delivery"),
            "order.ready",
            "Pizza Bella : votre commande n° 12 part en livraison.",
        ),
        (
            "fr-FR",
            order("pickup"),
            "order.cancelled",
            "Pizza Bella : votre commande n° 12 est annulée.",
        ),
        (
            "fr-FR",
            booking(),
            "reservation.created",
            "Pizza Bella : table réservée pour 4, samedi 5 décembre 20:30. Pour annuler, rappelez-nous.",
        ),
        (
            "en-GB",
            booking(),
            "reservation.cancelled",
            "Pizza Bella: your booking (Saturday December 5 20:30) is cancelled.",
        ),
    ] {
        assert_eq!(said(locale, &row, event, None).as_deref(), Some(expected));
    }
    assert_eq!(said("fr-FR", &order("pickup"), "order.updated", None), None);
}

/// The guest's language is not the house's: nothing of the sentence is left in the other.
#[test]
fn a_guest_reads_one_language() {
    let house = house("fr-FR");
    let row = booking();
    let subject = Subject {
        house: &house,
        row: &row,
        now: Timestamp::UNIX_EPOCH,
    };
    assert_eq!(
        subject
            .for_guest("reservation.created", None, Lang::En)
            .as_deref(),
        Some(
            "Pizza Bella: table booked for 4, Saturday December 5 20:30. To cancel, please call us."
        )
    );
}

#[test]
fn the_houses_own_text_has_its_places_filled() {
    let own = "Merci {name} ! N° {number} à {when} : {dishes}. {x";
    let text = said("fr-FR", &order("pickup"), "order.created", Some(own));
    assert_eq!(
        text.as_deref(),
        Some("Merci Léa ! N° 12 à 19:30 : 2 x Reine, 1 x Tiramisù. {x")
    );
    assert_eq!(check("{name} {number}"), Ok(()));
    assert_eq!(check("{prix}"), Err("prix".to_owned()));
}

#[test]
fn a_value_is_not_a_template() {
    let mut row = order("pickup");
    row["customerName"] = json!("{total}");
    let text = said("fr-FR", &row, "order.created", Some("{name}"));
    assert_eq!(text.as_deref(), Some("{total}"));
}

#[test]
fn many_dishes_are_counted() {
    let mut row = order("pickup");
    let dish = json!({"quantity": 1, "name": "Pizza aux quatre fromages et au miel"});
    row["items"] = vec![dish; 9].into();
    let text = said("fr-FR", &row, "order.created", Some("{dishes}")).unwrap();
    assert!(
        text.ends_with(", +6") && text.chars().count() < 200,
        "{text}"
    );
}

#[test]
fn staff_read_who_and_when() {
    let house = house("fr-FR");
    let row = booking();
    let subject = Subject {
        house: &house,
        row: &row,
        now: Timestamp::UNIX_EPOCH,
    };
    assert_eq!(
        subject.for_staff("reservation.created").as_deref(),
        Some("Réservation pour 4, samedi 5 décembre 20:30, Léa")
    );
    assert_eq!(subject.details(), "Léa\n+33612345678\nchaise haute");
    let row = json!({"callerPhone": "+33612345678", "content": "Rappelez-moi", "isUrgent": true});
    let subject = Subject {
        row: &row,
        ..subject
    };
    assert_eq!(
        subject.for_staff("message.created").as_deref(),
        Some("URGENT : message de +33612345678")
    );
}
