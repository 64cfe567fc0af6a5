//! The options of a line: each choice found in the menu, each rule held.

use serde_json::{Value, json};

use super::request::number;
use super::{AskedOption, AskedOrder, Picked, Refusal};
use crate::domain::lang::{Lang, listed, plain};
use crate::domain::menu::{Choice, Entry, Group, Menu, Moment};

/// Options of one line.
const OPTIONS_MAX: usize = 40;
/// Choices that a refusal names.
const NAMES_MAX: usize = 12;

pub(super) fn pick(
    lang: Lang,
    menu: &Menu,
    order: &AskedOrder,
    entry: &Entry,
    asked: &[AskedOption],
    at: Moment,
) -> Result<Vec<Picked>, Refusal> {
    let mut chosen: Vec<Vec<&Choice>> = vec![Vec::new(); entry.groups.len()];
    for option in asked.iter().take(OPTIONS_MAX) {
        let words = option
            .choice
            .as_deref()
            .map(str::trim)
            .filter(|words| !words.is_empty());
        if words.is_none() && option.choice_id.is_null() {
            continue;
        }
        // "olives, anchois" in one option are two choices, unless a choice has that very name.
        let parts: Vec<Option<&str>> = match words {
            Some(words)
                if words.contains(',')
                    && find(menu, order, entry, option, Some(words)).is_none() =>
            {
                words
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(Some)
                    .collect()
            }
            other => vec![other],
        };
        for part in parts {
            let (group, choice) = find(menu, order, entry, option, part)
                .ok_or_else(|| unknown(lang, entry, option, part))?;
            check_served(lang, menu, &entry.groups[group], choice, at)?;
            chosen[group].push(choice);
        }
    }
    let mut picked = Vec::new();
    for (group, choices) in entry.groups.iter().zip(chosen) {
        check_count(lang, entry, group, choices.len())?;
        picked.extend(choices.into_iter().map(|choice| Picked {
            name: group.name.clone(),
            choice: choice.name.clone(),
            extra: choice.extra,
            item_id: choice.item_id.clone(),
        }));
    }
    Ok(picked)
}

/// The group and the choice that an option means. The group's name leads; a choice that only one group has needs none.
fn find<'a>(
    menu: &Menu,
    order: &AskedOrder,
    entry: &'a Entry,
    option: &AskedOption,
    words: Option<&str>,
) -> Option<(usize, &'a Choice)> {
    let name = option.name.as_deref().map(plain).unwrap_or_default();
    let named = entry
        .groups
        .iter()
        .position(|group| plain(&group.name) == name);
    let groups: Vec<usize> = match named {
        Some(index) => vec![index],
        None => (0..entry.groups.len()).collect(),
    };
    let mut found = groups.into_iter().filter_map(|index| {
        let group = &entry.groups[index];
        let choice = by_number(menu, order, group, &option.choice_id)
            .or_else(|| words.and_then(|words| group.choice(words)))
            // Some models write the choice into the option's name.
            .or_else(|| {
                if named.is_none() {
                    group.choice(&name)
                } else {
                    None
                }
            })?;
        Some((index, choice))
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn by_number<'a>(
    menu: &Menu,
    order: &AskedOrder,
    group: &'a Group,
    id: &Value,
) -> Option<&'a Choice> {
    let asked = number(id);
    if group.choices.iter().any(|choice| choice.item_id.is_some()) {
        let asked = asked?;
        let item = order.mapped(asked).or_else(|| {
            let entry = menu.by_number(usize::try_from(asked).ok()?)?;
            (!order.has_map()).then(|| entry.item.id.clone())
        })?;
        return group
            .choices
            .iter()
            .find(|choice| choice.item_id.as_deref() == Some(item.as_str()));
    }
    let text = asked.map_or_else(
        || id.as_str().map(str::to_owned),
        |number| Some(number.to_string()),
    )?;
    group
        .choices
        .iter()
        .find(|choice| choice.id.as_deref() == Some(text.as_str()))
}

fn check_served(
    lang: Lang,
    menu: &Menu,
    group: &Group,
    choice: &Choice,
    at: Moment,
) -> Result<(), Refusal> {
    let item = choice.item_id.as_deref().and_then(|id| menu.by_id(id));
    if choice.available && item.is_none_or(|entry| entry.is_served(at)) {
        return Ok(());
    }
    let names: Vec<String> = group
        .names()
        .into_iter()
        .filter(|name| *name != choice.name)
        .take(NAMES_MAX)
        .collect();
    let list = listed(lang, &names, ("ou", "or"));
    let text = match lang {
        Lang::Fr => format!(
            "{} n'est pas disponible pour {}. Propose plutôt {list}.",
            choice.name, group.name
        ),
        Lang::En => format!(
            "{} is not available for {}. Offer {list} instead.",
            choice.name, group.name
        ),
    };
    Err(Refusal::new("option_unavailable", text).with(json!({
        "option": group.name, "choice": choice.name, "choices": names,
    })))
}

fn unknown(lang: Lang, entry: &Entry, option: &AskedOption, words: Option<&str>) -> Refusal {
    let name = option.name.as_deref().map(plain).unwrap_or_default();
    let group = entry.groups.iter().find(|group| plain(&group.name) == name);
    let told = words.map_or_else(|| option.choice_id.to_string(), str::to_owned);
    let item = &entry.item.name;
    let names: Vec<String> = match group {
        Some(group) => group.names().into_iter().take(NAMES_MAX).collect(),
        None => entry
            .groups
            .iter()
            .flat_map(Group::names)
            .take(NAMES_MAX)
            .collect(),
    };
    let text = if names.is_empty() {
        match lang {
            Lang::Fr => {
                format!("{item} n'a pas d'option. Note « {told} » dans les remarques de l'article.")
            }
            Lang::En => format!("{item} has no options. Write \"{told}\" into the item's notes."),
        }
    } else {
        let list = listed(lang, &names, ("ou", "or"));
        match lang {
            Lang::Fr => {
                format!("« {told} » n'est pas un choix de {item}. Choix possibles : {list}.")
            }
            Lang::En => format!("\"{told}\" is not a choice of {item}. Possible choices: {list}."),
        }
    };
    Refusal::new("unknown_option", text).with(json!({
        "item": item, "option": group.map(|group| &group.name), "choice": told, "choices": names,
    }))
}

fn check_count(lang: Lang, entry: &Entry, group: &Group, count: usize) -> Result<(), Refusal> {
    let (item, option) = (&entry.item.name, &group.name);
    let names: Vec<String> = group.names().into_iter().take(NAMES_MAX).collect();
    let list = listed(lang, &names, ("ou", "or"));
    let (min, max) = (group.min, group.max);
    let (code, text) = if count < min {
        let text = match (lang, min) {
            (Lang::Fr, 1) => {
                format!("Il manque l'option « {option} » pour {item}. Demande : {list} ?")
            }
            (Lang::Fr, _) => format!(
                "Il faut {min} choix de « {option} » pour {item}, il y en a {count}. Demande : {list} ?"
            ),
            (Lang::En, 1) => format!("The option \"{option}\" is missing for {item}. Ask: {list}?"),
            (Lang::En, _) => format!(
                "{item} needs {min} choices of \"{option}\", there are {count}. Ask: {list}?"
            ),
        };
        ("option_required", text)
    } else if count > max {
        let text = match lang {
            Lang::Fr => format!(
                "{item} accepte au plus {max} choix de « {option} », il y en a {count}. Demande lequel garder."
            ),
            Lang::En => format!(
                "{item} takes at most {max} choices of \"{option}\", there are {count}. Ask which to keep."
            ),
        };
        ("too_many_choices", text)
    } else {
        return Ok(());
    };
    Err(Refusal::new(code, text).with(json!({
        "item": item, "option": option, "min": min, "max": max, "choices": names,
    })))
}
