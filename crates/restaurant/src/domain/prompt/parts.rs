//! The parts of the prompt, in two languages.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{HISTORY_MAX, Story};
use crate::domain::availability::date_spoken;
use crate::domain::facts::Customer;
use crate::domain::hours::{DaySpan, Hours, day_name, day_of};
use crate::domain::lang::{Lang, listed};
use crate::domain::menu::{Entry, Group};
use crate::domain::money::Cents;

/// How much of the menu and the rest is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail {
    pub(super) descriptions: bool,
    pub(super) ingredients: bool,
    pub(super) answers_max: usize,
    pub(super) choices_max: usize,
    pub(super) optional_groups: bool,
    pub(super) items_max: usize,
}

impl Detail {
    const FULL: Self = Self {
        descriptions: true,
        ingredients: true,
        answers_max: 100,
        choices_max: 40,
        optional_groups: true,
        items_max: usize::MAX,
    };

    /// From everything to the least.
    pub(super) const LEVELS: [Self; 5] = [
        Self::FULL,
        Self {
            ingredients: false,
            ..Self::FULL
        },
        Self {
            ingredients: false,
            descriptions: false,
            answers_max: 30,
            ..Self::FULL
        },
        Self {
            ingredients: false,
            descriptions: false,
            answers_max: 15,
            choices_max: 12,
            ..Self::FULL
        },
        Self {
            ingredients: false,
            descriptions: false,
            answers_max: 8,
            choices_max: 12,
            optional_groups: false,
            ..Self::FULL
        },
    ];

    /// What this detail leaves out of that story.
    pub(super) fn dropped(&self, story: Story<'_>) -> Vec<&'static str> {
        let entries = story.menu.entries();
        let any = |test: &dyn Fn(&Entry) -> bool| entries.iter().any(test);
        let mut dropped = Vec::new();
        let mut note = |is: bool, word| {
            if is {
                dropped.push(word);
            }
        };
        note(
            !self.ingredients && any(&|entry| !entry.item.ingredients.is_empty()),
            "ingredients",
        );
        note(
            !self.descriptions
                && any(&|entry| {
                    entry
                        .item
                        .description
                        .as_deref()
                        .is_some_and(|text| !text.trim().is_empty())
                }),
            "descriptions",
        );
        note(story.answers.len() > self.answers_max, "faq");
        note(
            any(&|entry| {
                entry.groups.iter().any(|group| {
                    group.from_category.is_none() && group.choices.len() > self.choices_max
                })
            }),
            "choices",
        );
        note(
            !self.optional_groups && any(&|entry| entry.groups.iter().any(|group| group.min == 0)),
            "optional_options",
        );
        note(entries.len() > self.items_max, "items");
        dropped
    }
}

pub(super) fn write(story: Story<'_>, detail: &Detail, now: Timestamp) -> String {
    let mut text = String::with_capacity(32_768);
    opening(&mut text, story, now);
    rules(&mut text, story);
    hours(&mut text, story, now);
    delivery(&mut text, story);
    services(&mut text, story);
    menu(&mut text, story, detail);
    offers(&mut text, story, now);
    answers(&mut text, story, detail);
    customer(&mut text, story);
    text
}

fn line(text: &mut String, words: &str) {
    text.push_str(words);
    text.push('\n');
}

fn heading(text: &mut String, lang: Lang, french: &str, english: &str) {
    let _ = writeln!(text, "\n## {}", lang.pick(french, english));
}

fn opening(text: &mut String, story: Story<'_>, now: Timestamp) {
    let house = story.house;
    let lang = house.lang();
    let zone = house.zone();
    let local = now.to_zoned(zone.clone());
    let date = date_spoken(lang, local.date());
    let (year, clock) = (local.year(), local.strftime("%H:%M"));
    let place: Vec<&str> = [&house.address, &house.postal_code, &house.city]
        .into_iter()
        .filter_map(|part| part.as_deref())
        .collect();
    let place = place.join(" ");
    let kind = house.cuisine_type.as_deref().unwrap_or_default();
    let open = story.hours.is_open(now, &zone);
    match lang {
        Lang::Fr => {
            let _ = writeln!(
                text,
                "Tu es l'assistant vocal du restaurant {} ({kind} {place}). Tu réponds au téléphone, en français, poliment, en phrases courtes ; si l'appelant parle une autre langue, réponds dans la sienne.",
                house.name
            );
            let _ = writeln!(
                text,
                "Nous sommes le {date} {year}, il est {clock} ({}). Le restaurant est {}.",
                house.timezone,
                if open { "ouvert" } else { "fermé" }
            );
        }
        Lang::En => {
            let _ = writeln!(
                text,
                "You are the voice assistant of the restaurant {} ({kind} {place}). You answer the telephone, in English, politely, in short sentences; if the caller speaks another language, answer in theirs.",
                house.name
            );
            let _ = writeln!(
                text,
                "Today is {date} {year}, it is {clock} ({}). The restaurant is {}.",
                house.timezone,
                if open { "open" } else { "closed" }
            );
        }
    }
    for own in [&house.description, &house.ai_instructions]
        .into_iter()
        .flatten()
    {
        line(text, own.trim());
    }
}

fn rules(text: &mut String, story: Story<'_>) {
    let house = story.house;
    let lang = house.lang();
    heading(text, lang, "Règles", "Rules");
    let mut rule = |french: &str, english: &str| {
        let _ = writeln!(text, "- {}", lang.pick(french, english));
    };
    rule(
        "Ne propose que ce qui est sur la carte ; désigne chaque article par son numéro #N dans les outils, jamais à voix haute.",
        "Offer only what is on the menu; name each item by its number #N in tools, never aloud.",
    );
    rule(
        "Demande les options obligatoires (marquées !) avant de confirmer. N'invente ni prix, ni heure, ni disponibilité : les outils font foi, et ce qu'ils corrigent doit être redit à l'appelant.",
        "Ask for required options (marked !) before confirming. Never invent a price, time or availability: the tools are right, and what they correct has to be told to the caller.",
    );
    rule(
        "Allergies et souhaits : note-les toujours dans notes de l'article ou de la commande. Pour les allergènes, ne réponds que d'après la carte ; en cas de doute, laisse un message.",
        "Allergies and wishes: always write them into the notes of the item or of the order. On allergens answer only from the menu; if in doubt leave a message.",
    );
    rule(
        "Avant de confirmer : appelle check_availability (avec requested_date pour un autre jour), relis la commande avec le total et l'heure, attends un oui, puis appelle confirm_order une seule fois.",
        "Before confirming: call check_availability (with requested_date for another day), read the order back with total and time, wait for a yes, then call confirm_order once.",
    );
    if house.reservation_enabled {
        rule(
            "Réservation : nom, nombre de personnes, jour et heure ; check_availability garde la table quelques minutes, puis confirm_reservation avec le service ou l'offre choisis.",
            "Booking: name, number of people, day and hour; check_availability keeps the table for a few minutes, then confirm_reservation with the chosen service or offer.",
        );
    }
    rule(
        "Une question sans réponse ici : log_new_faq. Une demande que tu ne peux pas traiter : leave_message. À la fin, dis au revoir puis appelle end_call.",
        "A question without an answer here: log_new_faq. A request that you cannot handle: leave_message. At the end say goodbye, then call end_call.",
    );
    if house.model_transfers() {
        let cases: Vec<String> = house
            .transfer_cases
            .as_deref()
            .unwrap_or_default()
            .lines()
            .map(str::trim)
            .filter(|case| !case.is_empty())
            .map(str::to_owned)
            .collect();
        let cases = cases.join(" ; ");
        let words = lang.pick(
            "Transfère l'appel (transfer_call) dans ces cas :",
            "Transfer the call (transfer_call) in these cases:",
        );
        let _ = writeln!(text, "- {words} {cases}");
    }
}

fn hours(text: &mut String, story: Story<'_>, now: Timestamp) {
    let lang = story.house.lang();
    if !story.hours.are_stated() {
        return;
    }
    heading(text, lang, "Horaires", "Opening hours");
    let today = now.to_zoned(story.house.zone()).date();
    // The coming week, each day with its true date: what differs from the usual is told as such.
    let mut date = today;
    for _ in 0..7 {
        let spans: Vec<DaySpan> = story.hours.day(date);
        let _ = writeln!(
            text,
            "- {} : {}",
            date_spoken(lang, date),
            Hours::spoken(lang, &spans)
        );
        let Ok(next) = date.tomorrow() else { return };
        date = next;
    }
    for (day, spans) in story.hours.exceptions_from(date).take(10) {
        let _ = writeln!(
            text,
            "- {} : {}",
            date_spoken(lang, day),
            Hours::spoken(lang, spans)
        );
    }
}

fn delivery(text: &mut String, story: Story<'_>) {
    let house = story.house;
    let lang = house.lang();
    heading(text, lang, "Commande", "Orders");
    let spoken = |amount: Cents| amount.spoken(lang, &house.currency);
    let minutes = house.avg_prep_time_min;
    let _ = match lang {
        Lang::Fr => writeln!(text, "- Préparation : environ {minutes} minutes."),
        Lang::En => writeln!(text, "- Preparation: about {minutes} minutes."),
    };
    if !house.payment_methods.is_empty() {
        let _ = writeln!(
            text,
            "- {} : {}",
            lang.pick("Paiement", "Payment"),
            house.payment_methods.join(", ")
        );
    }
    if !house.delivery_enabled {
        line(
            text,
            lang.pick(
                "- Pas de livraison : retrait seulement.",
                "- No delivery: pickup only.",
            ),
        );
        return;
    }
    let mut parts = vec![match lang {
        Lang::Fr => format!(
            "jusqu'à {} km, frais {}",
            house.delivery_radius_km,
            spoken(house.delivery_fee)
        ),
        Lang::En => format!(
            "up to {} km, fee {}",
            house.delivery_radius_km,
            spoken(house.delivery_fee)
        ),
    }];
    if let Some(above) = house
        .delivery_free_above
        .filter(|above| *above > Cents::ZERO)
    {
        parts.push(format!(
            "{} {}",
            lang.pick("gratuite dès", "free from"),
            spoken(above)
        ));
    }
    if house.min_order_amount > Cents::ZERO {
        parts.push(format!(
            "{} {}",
            lang.pick("minimum", "minimum"),
            spoken(house.min_order_amount)
        ));
    }
    let _ = writeln!(
        text,
        "- {} : {}. {}",
        lang.pick("Livraison", "Delivery"),
        parts.join(", "),
        lang.pick(
            "Demande rue, code postal et ville.",
            "Ask for street, postcode and town."
        )
    );
}

fn services(text: &mut String, story: Story<'_>) {
    let house = story.house;
    let lang = house.lang();
    if !house.reservation_enabled {
        return;
    }
    heading(text, lang, "Réservations", "Bookings");
    let _ = match lang {
        Lang::Fr => writeln!(
            text,
            "- Au moins {} minutes et au plus {} jours à l'avance.",
            house.min_reservation_advance_min, house.max_reservation_advance_days
        ),
        Lang::En => writeln!(
            text,
            "- At least {} minutes and at most {} days ahead.",
            house.min_reservation_advance_min, house.max_reservation_advance_days
        ),
    };
    for service in story
        .services
        .iter()
        .filter(|service| service.is_active && !service.is_private)
    {
        let days: Vec<String> = service
            .day_of_week
            .iter()
            .filter_map(day_of)
            .map(|day| day_name(lang, day).to_owned())
            .collect();
        let last = service
            .last_seating_time
            .as_deref()
            .unwrap_or(&service.end_time);
        let _ = write!(
            text,
            "- {} (service_id {}) : {}, {}-{last}",
            service.name,
            service.id,
            days.join(" "),
            service.start_time
        );
        if let Some(most) = service.max_party_size.filter(|most| *most > 0) {
            let _ = write!(
                text,
                ", {}-{most} {}",
                service.min_party_size,
                lang.pick("personnes", "people")
            );
        }
        if service.requires_prepayment {
            text.push_str(lang.pick(", acompte demandé", ", deposit required"));
        }
        text.push('\n');
    }
}

fn menu(text: &mut String, story: Story<'_>, detail: &Detail) {
    let lang = story.house.lang();
    heading(text, lang, "Carte", "Menu");
    let dropped = detail.dropped(story);
    if !dropped.is_empty() {
        let words = lang.pick("Carte abrégée, il manque :", "Shortened menu, left out:");
        let ask = lang.pick(
            "Ne devine pas ce qui manque : propose de laisser un message.",
            "Do not guess what is left out: offer to leave a message.",
        );
        let _ = writeln!(text, "({words} {}. {ask})", dropped.join(", "));
    }
    let mut category: Option<&str> = None;
    let mut sets = false;
    for entry in story.menu.entries().iter().take(detail.items_max) {
        if entry.set_menu && !sets {
            sets = true;
            let ask = lang.pick(
                "(les options ! du plat choisi se demandent aussi, par leur nom)",
                "(ask for the ! options of the chosen dish too, by their name)",
            );
            let _ = writeln!(text, "### {} {ask}", lang.pick("Formules", "Set menus"));
        } else if !entry.set_menu && entry.item.category_id.as_deref() != category {
            category = entry.item.category_id.as_deref();
            let found = story
                .menu
                .categories()
                .iter()
                .find(|other| Some(other.id.as_str()) == category);
            let _ = writeln!(
                text,
                "### {}",
                found.map_or(lang.pick("Autres", "Others"), |found| found.name.as_str())
            );
        }
        item(text, story, entry, detail);
    }
}

fn item(text: &mut String, story: Story<'_>, entry: &Entry, detail: &Detail) {
    let lang = story.house.lang();
    let item = &entry.item;
    let _ = write!(text, "#{} {} {}", entry.number, item.name, item.price);
    if !item.is_available {
        text.push_str(lang.pick(" ÉPUISÉ", " SOLD OUT"));
    }
    if let (Some(from), Some(to)) = (&item.available_from, &item.available_to) {
        let _ = write!(text, " ({from}-{to})");
    }
    if !item.allergens.is_empty() {
        let _ = write!(
            text,
            " [{}: {}]",
            lang.pick("allergènes", "allergens"),
            item.allergens.join(", ")
        );
    }
    if detail.descriptions
        && let Some(words) = item
            .description
            .as_deref()
            .map(str::trim)
            .filter(|words| !words.is_empty())
    {
        let _ = write!(text, " – {words}");
    }
    if detail.ingredients && !item.ingredients.is_empty() {
        let _ = write!(text, " ({})", item.ingredients.join(", "));
    }
    for group in &entry.groups {
        if group.min > 0 || detail.optional_groups {
            options(text, lang, story, group, detail);
        }
    }
    text.push('\n');
}

fn options(text: &mut String, lang: Lang, story: Story<'_>, group: &Group, detail: &Detail) {
    let mark = if group.min > 0 { "!" } else { "" };
    let _ = write!(text, " | {}{mark}", group.name);
    match (group.min, group.max) {
        (0 | 1, 1) => {}
        (min, max) if min == max => {
            let _ = write!(text, " ({min})");
        }
        (min, max) => {
            let _ = write!(text, " ({min}-{max})");
        }
    }
    if let Some(category) = &group.from_category {
        let _ = write!(
            text,
            ": {} {category}",
            lang.pick("un article de", "an item of")
        );
        let whole = story.menu.entries().iter().filter(|entry| {
            !entry.set_menu
                && story.menu.categories().iter().any(|other| {
                    other.name == *category && Some(&other.id) == entry.item.category_id.as_ref()
                })
        });
        if whole.count() == group.choices.len() {
            return;
        }
        text.push(' ');
    } else {
        text.push_str(": ");
    }
    let names: Vec<String> = group
        .choices
        .iter()
        .filter(|choice| choice.available)
        .take(detail.choices_max)
        .map(|choice| {
            let number = choice
                .item_id
                .as_deref()
                .and_then(|id| story.menu.by_id(id))
                .map(|entry| format!("#{}", entry.number));
            match number {
                Some(number) => number,
                None if choice.extra == Cents::ZERO => choice.name.clone(),
                None => format!("{} +{}", choice.name, choice.extra),
            }
        })
        .collect();
    text.push_str(&names.join(", "));
}

fn offers(text: &mut String, story: Story<'_>, now: Timestamp) {
    let lang = story.house.lang();
    let today = now.to_zoned(story.house.zone()).date();
    let mut offers = story
        .offers
        .iter()
        .filter(|offer| offer.is_active && ends_later(offer.end_date.as_deref(), today))
        .take(20)
        .peekable();
    if offers.peek().is_none() {
        return;
    }
    heading(text, lang, "Offres", "Offers");
    for offer in offers {
        let _ = write!(text, "- {} (offer_id {})", offer.name, offer.id);
        if let Some(percent) = offer.discount_percent {
            let _ = write!(text, " -{percent} %");
        }
        if let Some(words) = offer.description.as_deref() {
            let _ = write!(text, " : {}", words.trim());
        }
        if !offer.is_permanent {
            for (word, date) in [
                (lang.pick("du", "from"), &offer.start_date),
                (lang.pick("au", "to"), &offer.end_date),
            ] {
                if let Some(date) = date {
                    let _ = write!(text, " {word} {}", date.get(..10).unwrap_or(date));
                }
            }
        }
        text.push('\n');
    }
}

fn ends_later(end: Option<&str>, today: jiff::civil::Date) -> bool {
    let date = end.and_then(|end| {
        end.get(..10)
            .unwrap_or(end)
            .parse::<jiff::civil::Date>()
            .ok()
    });
    date.is_none_or(|date| date >= today)
}

fn answers(text: &mut String, story: Story<'_>, detail: &Detail) {
    let lang = story.house.lang();
    if story.answers.is_empty() {
        return;
    }
    heading(text, lang, "Questions fréquentes", "Frequent questions");
    for answer in story.answers.iter().take(detail.answers_max) {
        let _ = writeln!(
            text,
            "- {} → {}",
            answer.question.trim(),
            answer.answer.trim()
        );
    }
}

fn customer(text: &mut String, story: Story<'_>) {
    let house = story.house;
    let lang = house.lang();
    heading(text, lang, "Appelant", "Caller");
    if let Some(number) = story.caller.filter(|number| !number.is_empty()) {
        let _ = writeln!(text, "- {} : {number}", lang.pick("Numéro", "Number"));
    }
    let Some(customer) = story.customer else {
        line(text, lang.pick("- Nouveau client.", "- New customer."));
        return;
    };
    let names: Vec<String> = [&customer.first_name, &customer.last_name]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let spent = customer.total_spent.spoken(lang, &house.currency);
    let _ = match lang {
        Lang::Fr => writeln!(
            text,
            "- Client connu : {}, {} commande(s), {spent} en tout.",
            names.join(" "),
            customer.total_orders
        ),
        Lang::En => writeln!(
            text,
            "- Known customer: {}, {} order(s), {spent} in all.",
            names.join(" "),
            customer.total_orders
        ),
    };
    let address: Vec<String> = [
        &customer.delivery_address,
        &customer.delivery_postal_code,
        &customer.delivery_city,
    ]
    .into_iter()
    .flatten()
    .cloned()
    .collect();
    if !address.is_empty() {
        let words = lang.pick(
            "Adresse connue (à faire confirmer)",
            "Known address (have it confirmed)",
        );
        let _ = writeln!(
            text,
            "- {words} : {}. {}",
            address.join(" "),
            customer.delivery_notes.as_deref().unwrap_or_default()
        );
    }
    memories(text, story, customer);
}

fn memories(text: &mut String, story: Story<'_>, customer: &Customer) {
    let house = story.house;
    let lang = house.lang();
    let allergies = customer.allergies.iter();
    let remembered: Vec<String> = allergies.chain(&customer.notes).cloned().collect();
    if !remembered.is_empty() {
        let _ = writeln!(
            text,
            "- {} : {}",
            lang.pick("À ne pas oublier", "Not to be forgotten"),
            listed(lang, &remembered, ("et", "and"))
        );
    }
    for past in story.history.iter().take(HISTORY_MAX) {
        let date = past.at.to_zoned(house.zone()).date();
        let _ = writeln!(
            text,
            "- {} : {} ({})",
            date_spoken(lang, date),
            past.summary,
            past.total.spoken(lang, &house.currency)
        );
    }
}
