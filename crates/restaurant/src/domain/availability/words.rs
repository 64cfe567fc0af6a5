//! What is said with an answer.

use jiff::Timestamp;

use super::Answer;
use crate::domain::facts::House;
use crate::domain::hours::day_name;
use crate::domain::lang::Lang;
use crate::domain::when::Asked;

const MONTHS: [[&str; 2]; 12] = [
    ["janvier", "January"],
    ["février", "February"],
    ["mars", "March"],
    ["avril", "April"],
    ["mai", "May"],
    ["juin", "June"],
    ["juillet", "July"],
    ["août", "August"],
    ["septembre", "September"],
    ["octobre", "October"],
    ["novembre", "November"],
    ["décembre", "December"],
];

/// `à 20:30`, `demain à 20:30`, `samedi 5 décembre à 20:30`.
pub fn when_spoken(house: &House, at: Timestamp, now: Timestamp) -> String {
    let lang = house.lang();
    let zone = house.zone();
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone));
    let clock = at.strftime("%H:%M");
    let day = if at.date() == now.date() {
        String::new()
    } else if now.date().tomorrow().is_ok_and(|day| day == at.date()) {
        lang.pick("demain ", "tomorrow ").to_owned()
    } else {
        format!("{} ", date_spoken(lang, at.date()))
    };
    match lang {
        Lang::Fr => format!("{day}à {clock}"),
        Lang::En => format!("{day}at {clock}"),
    }
}

/// `samedi 5 décembre`.
pub fn date_spoken(lang: Lang, date: jiff::civil::Date) -> String {
    let day = day_name(
        lang,
        usize::from(date.weekday().to_monday_zero_offset().unsigned_abs()),
    );
    let month = MONTHS[usize::from(date.month().unsigned_abs().saturating_sub(1)) % 12];
    match lang {
        // The first of a month is read as an ordinal, the other days are not.
        Lang::Fr if date.day() == 1 => format!("{day} 1er {}", month[0]),
        Lang::Fr => format!("{day} {} {}", date.day(), month[0]),
        Lang::En => {
            let mut day = day.to_owned();
            day[..1].make_ascii_uppercase();
            format!("{day} {} {}", month[1], date.day())
        }
    }
}

/// Told to the model where a map service did not answer.
pub(super) fn estimated(house: &House) -> String {
    let lang = house.lang();
    lang.pick(
        "Distance et durée estimées d'après la commune : le service de cartes ne répond pas.",
        "Distance and time are estimated from the town: the map service does not answer.",
    )
    .to_owned()
}

/// Said with a time that is possible.
pub(super) fn possible(house: &House, mode: &str, at: Timestamp, now: Timestamp) -> String {
    let when = when_spoken(house, super::whole_minute(at), now);
    match (house.lang(), mode) {
        (Lang::Fr, "delivery") => format!("Livraison possible {when}."),
        (Lang::Fr, "reservation") => format!("Table disponible {when}."),
        (Lang::Fr, _) => format!("Commande prête {when}."),
        (Lang::En, "delivery") => format!("Delivery possible {when}."),
        (Lang::En, "reservation") => format!("A table is available {when}."),
        (Lang::En, _) => format!("The order can be ready {when}."),
    }
}

/// A refusal with its words; `next` is the next time that is possible.
pub fn refused(house: &House, mode: &str, code: &str, next: Option<Timestamp>) -> Answer {
    let lang = house.lang();
    let mut message = text(lang, code);
    let mut answer = Answer {
        mode: mode.to_owned(),
        reason: Some(code.to_owned()),
        ..Answer::default()
    };
    if let Some(next) = next {
        super::set_time(house, &mut answer, next);
        let at = super::whole_minute(next).to_zoned(house.zone());
        let day = date_spoken(lang, at.date());
        let clock = at.strftime("%H:%M");
        message.push_str(&match lang {
            Lang::Fr => format!(" Prochaine possibilité : {day} à {clock}."),
            Lang::En => format!(" Next possibility: {day} at {clock}."),
        });
    }
    answer.message = message;
    answer
}

fn text(lang: Lang, code: &str) -> String {
    let number = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    let (french, english) = match code {
        "restaurant_closed" => (
            "Le restaurant est fermé à cette heure-là.",
            "The restaurant is closed at that time.",
        ),
        "delivery_not_enabled" => (
            "Le restaurant ne livre pas. Propose le retrait.",
            "The restaurant does not deliver. Offer pickup.",
        ),
        "customer_address_required" => (
            "Demande l'adresse de livraison : rue, code postal et ville.",
            "Ask for the delivery address: street, postcode and town.",
        ),
        "restaurant_coordinates_missing" => (
            "La livraison n'est pas encore réglée pour ce restaurant. Propose le retrait.",
            "Delivery is not set up yet. Offer pickup.",
        ),
        "address_not_found" => (
            "Cette adresse est introuvable. Fais répéter le code postal et la ville.",
            "This address cannot be found. Have the postcode and the town repeated.",
        ),
        "geocoder_unavailable" => (
            "L'adresse ne peut pas être vérifiée en ce moment. Propose le retrait, ou de rappeler.",
            "The address cannot be checked right now. Offer pickup, or to call again.",
        ),
        "not_deliverable" => (
            "Cette adresse est hors de la zone de livraison. Propose le retrait.",
            "This address is outside the delivery zone. Offer pickup.",
        ),
        "reservation_not_enabled" => (
            "Le restaurant ne prend pas de réservation par téléphone.",
            "The restaurant does not take bookings by telephone.",
        ),
        "party_size_required" => (
            "Demande combien de personnes viendront.",
            "Ask how many people will come.",
        ),
        "service_not_available" => (
            "Ce service n'existe pas à cette heure-là.",
            "This service does not exist at that time.",
        ),
        "requested_time_invalid" => (
            "L'heure n'est pas comprise : donne-la sous la forme HH:MM.",
            "The time is not understood: give it as HH:MM.",
        ),
        "requested_date_invalid" => (
            "La date n'est pas comprise : donne-la sous la forme AAAA-MM-JJ.",
            "The date is not understood: give it as YYYY-MM-DD.",
        ),
        "requested_time_past" => (
            "Ce moment est déjà passé. Demande un autre jour ou une autre heure.",
            "That time is over. Ask for another day or hour.",
        ),
        "restaurant_not_found" => ("Restaurant inconnu.", "Unknown restaurant."),
        _ => return parameter(lang, code, &number(code)),
    };
    lang.pick(french, english).to_owned()
}

/// Codes with a number in them.
fn parameter(lang: Lang, code: &str, number: &str) -> String {
    let french = lang == Lang::Fr;
    if code.starts_with("reservation_too_soon") {
        let (fr, en) = (
            "Une réservation se fait au moins",
            "A booking has to be made at least",
        );
        return if french {
            format!("{fr} {number} minutes à l'avance.")
        } else {
            format!("{en} {number} minutes ahead.")
        };
    }
    if code.starts_with("reservation_too_far") || code.starts_with("order_too_far") {
        return if french {
            format!("C'est trop loin : au plus {number} jours à l'avance.")
        } else {
            format!("That is too far ahead: at most {number} days.")
        };
    }
    if code.starts_with("party_too_large") {
        return if french {
            format!("Au plus {number} personnes par réservation. Propose de laisser un message.")
        } else {
            format!("At most {number} people a booking. Offer to leave a message.")
        };
    }
    if code.starts_with("party_too_small") {
        return if french {
            format!("Au moins {number} personnes pour ce service.")
        } else {
            format!("At least {number} people for this service.")
        };
    }
    if code.starts_with("not_enough_seats") {
        return lang
            .pick(
                "Il n'y a plus assez de places à cette heure-là.",
                "There are not enough seats left at that time.",
            )
            .to_owned();
    }
    code.to_owned()
}

/// Whether a wish names no hour.
pub(super) fn is_vague(wish: Asked) -> bool {
    matches!(wish, Asked::Soon | Asked::Day(_))
}
