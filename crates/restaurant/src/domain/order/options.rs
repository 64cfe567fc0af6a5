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

/// A dish that was chosen in a set menu: it has options of its own.
struct Dish<'a> {
    entry: &'a Entry,
    chosen: Vec<Vec<&'a Choice>>,
}

/// What an option says: itself, and one of the choices that it names.
type Said<'a> = (&'a AskedOption, Option<&'a str>);

pub(super) fn pick(
    lang: Lang,
    menu: &Menu,
    order: &AskedOrder,
    entry: &Entry,
    asked: &[AskedOption],
    at: Moment,
) -> Result<Vec<Picked>, Refusal> {
    let mut chosen: Vec<Vec<&Choice>> = vec![Vec::new(); entry.groups.len()];
    let mut of_dishes: Vec<Said<'_>> = Vec::new();
    for option in asked.iter().take(OPTIONS_MAX) {
        let dish = names_a_dish(menu, entry, option);
        for part in parts(menu, order, entry, option) {
            match find(menu, order, entry, option, part).filter(|_| !dish) {
                Some((group, choice)) => {
                    check_served(lang, menu, &entry.groups[group], choice, at)?;
                    chosen[group].push(choice);
                }
                None if entry.set_menu && !is_own(entry, option) => of_dishes.push((option, part)),
                None => return Err(unknown(lang, entry, option, part)),
            }
        }
    }
    let mut picked = Vec::new();
    let mut dishes = Vec::new();
    for (group, choices) in entry.groups.iter().zip(chosen) {
        check_count(lang, entry, group, choices.len())?;
        let items = choices
            .iter()
            .filter_map(|choice| choice.item_id.as_deref());
        dishes.extend(items.filter_map(|id| menu.by_id(id)).map(|entry| Dish {
            entry,
            chosen: vec![Vec::new(); entry.groups.len()],
        }));
        picked.extend(
            choices
                .into_iter()
                .map(|choice| picked_as(group.name.clone(), choice)),
        );
    }
    for (option, part) in of_dishes {
        let found = find_in(menu, order, &dishes, option, part);
        let (dish, group, choice) = found.ok_or_else(|| {
            let dish = dishes.iter().find(|dish| has_option(dish.entry, option));
            unknown(lang, dish.map_or(entry, |dish| dish.entry), option, part)
        })?;
        check_served(lang, menu, &dishes[dish].entry.groups[group], choice, at)?;
        dishes[dish].chosen[group].push(choice);
    }
    for Dish {
        entry: dish,
        chosen,
    } in dishes
    {
        for (group, choices) in dish.groups.iter().zip(chosen) {
            check_count(lang, dish, group, choices.len())?;
            let name = format!("{} : {}", dish.item.name, group.name);
            picked.extend(
                choices
                    .into_iter()
                    .map(|choice| picked_as(name.clone(), choice)),
            );
        }
    }
    Ok(picked)
}

fn picked_as(name: String, choice: &Choice) -> Picked {
    Picked {
        name,
        choice: choice.name.clone(),
        extra: choice.extra,
        item_id: choice.item_id.clone(),
    }
}

/// The choices that an option names: "olives, anchois" are two, unless a choice has that very name.
fn parts<'a>(
    menu: &Menu,
    order: &AskedOrder,
    entry: &Entry,
    option: &'a AskedOption,
) -> Vec<Option<&'a str>> {
    let words = option.choice.as_deref().map(str::trim);
    let words = words.filter(|words| !words.is_empty());
    match words {
        None if option.choice_id.is_null() => Vec::new(),
        Some(words)
            if words.contains(',') && find(menu, order, entry, option, Some(words)).is_none() =>
        {
            let parts = words.split(',').map(str::trim);
            parts.filter(|part| !part.is_empty()).map(Some).collect()
        }
        other => vec![other],
    }
}

/// Whether an option of a set menu is named as one of the dishes in it has it, and as none of the menu's own.
fn names_a_dish(menu: &Menu, entry: &Entry, option: &AskedOption) -> bool {
    let name = option.name.as_deref().map(plain).unwrap_or_default();
    if !entry.set_menu || name.is_empty() {
        return false;
    }
    if is_own(entry, option) {
        return false;
    }
    let mut choices = entry.groups.iter().flat_map(|group| &group.choices);
    choices.any(|choice| {
        let dish = choice.item_id.as_deref().and_then(|id| menu.by_id(id));
        dish.is_some_and(|dish| has_option(dish, option))
    })
}

/// Whether an item itself has an option of that name.
fn is_own(entry: &Entry, option: &AskedOption) -> bool {
    let name = option.name.as_deref().map(plain).unwrap_or_default();
    entry.groups.iter().any(|group| plain(&group.name) == name)
}

/// Whether a dish has an option of that name, with or without its own before it.
fn has_option(dish: &Entry, option: &AskedOption) -> bool {
    let name = option.name.as_deref().map(plain).unwrap_or_default();
    let own = own_name(dish, &name);
    dish.groups.iter().any(|group| plain(&group.name) == own)
}

/// An option's name without that of the dish before it: "Reine : Taille" is the size of the Reine.
fn own_name<'a>(dish: &Entry, name: &'a str) -> &'a str {
    let rest = name.strip_prefix(&plain(&dish.item.name));
    rest.map(str::trim)
        .filter(|rest| !rest.is_empty())
        .unwrap_or(name)
}

/// The dish, its option and its choice: of the dish that is named, else of the first that still lacks it.
fn find_in<'a>(
    menu: &Menu,
    order: &AskedOrder,
    dishes: &[Dish<'a>],
    option: &AskedOption,
    words: Option<&str>,
) -> Option<(usize, usize, &'a Choice)> {
    let name = option.name.as_deref().map(plain).unwrap_or_default();
    let mut found: Vec<(bool, usize, usize, &'a Choice)> = Vec::new();
    for (index, dish) in dishes.iter().enumerate() {
        let own = own_name(dish.entry, &name);
        let option = AskedOption {
            name: Some(own.to_owned()),
            ..option.clone()
        };
        if let Some((group, choice)) = find(menu, order, dish.entry, &option, words) {
            if own != name {
                return Some((index, group, choice));
            }
            let full = dish.chosen[group].len() >= dish.entry.groups[group].max;
            found.push((full, index, group, choice));
        }
    }
    let (_, dish, group, choice) = found
        .into_iter()
        .min_by_key(|(full, index, ..)| (*full, *index))?;
    Some((dish, group, choice))
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
