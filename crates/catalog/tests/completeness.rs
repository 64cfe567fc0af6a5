//! The registry, the two text files, the documentation and the rest of the product agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use catalog::{
    Group, Language, Message, Numbers, ParamKind, entries, entry, errors_md, render, render_with,
};

fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .and_then(Path::parent);
    crates
        .expect("this crate is two folders below the root")
        .to_owned()
}

/// Message id → (variables of its texts, whether it has a remedy).
fn texts(language: Language) -> BTreeMap<String, (BTreeSet<String>, bool)> {
    let path = root().join(format!("crates/catalog/texts/{}.ftl", language.code()));
    let source = std::fs::read_to_string(path).expect("the text file is there");
    fluent_bundle::FluentResource::try_new(source.clone()).expect("the file is sound Fluent");
    let mut found: BTreeMap<String, (BTreeSet<String>, bool)> = BTreeMap::new();
    let mut current = String::new();
    for line in source.lines().filter(|line| !line.starts_with('#')) {
        if let Some((id, _)) = line
            .split_once(" = ")
            .filter(|_| line.starts_with(|c: char| c.is_ascii_lowercase()))
        {
            assert!(
                found.insert(id.to_owned(), Default::default()).is_none(),
                "{id} stands twice in {}",
                language.code()
            );
            id.clone_into(&mut current);
        }
        let Some((variables, remedy)) = found.get_mut(&current) else {
            continue;
        };
        *remedy |= line.trim_start().starts_with(".remedy = ");
        for part in line.split("{ $").skip(1) {
            variables.insert(part.split([' ', '}']).next().unwrap_or_default().to_owned());
        }
    }
    found
}

#[test]
fn every_code_has_both_languages_with_the_same_variables() {
    let french = texts(Language::Fr);
    let english = texts(Language::En);
    let codes: BTreeSet<&str> = entries().map(|entry| entry.code).collect();
    assert_eq!(
        codes.len(),
        entries().count(),
        "a code stands twice in the registry"
    );
    for (language, texts) in [("fr", &french), ("en", &english)] {
        let ids: BTreeSet<&str> = texts.keys().map(String::as_str).collect();
        assert_eq!(ids, codes, "{language}");
    }
    for entry in entries() {
        let known: BTreeSet<String> = entry
            .params
            .iter()
            .map(|spec| spec.name.to_owned())
            .collect();
        let (in_french, french_remedy) = &french[entry.code];
        let (in_english, english_remedy) = &english[entry.code];
        assert_eq!(in_french, in_english, "{}", entry.code);
        assert!(
            in_french.is_subset(&known),
            "{}: {in_french:?} of {known:?}",
            entry.code
        );
        assert_eq!(french_remedy, english_remedy, "{}", entry.code);
    }
}

#[test]
fn every_sentence_renders_with_and_without_its_parameters() {
    for entry in entries() {
        for language in Language::ALL {
            let bare = render(&Message::new(entry.code), language);
            let mut message = Message::new(entry.code);
            for (index, spec) in entry.params.iter().enumerate() {
                message = match spec.kind {
                    ParamKind::Text | ParamKind::Phone | ParamKind::Key => {
                        message.with(spec.name, "abc")
                    }
                    ParamKind::Count | ParamKind::Number | ParamKind::Duration => {
                        message.with(spec.name, index + 2)
                    }
                };
            }
            let full = render(&message, language);
            for rendered in [&bare, &full] {
                assert!(!rendered.text.trim().is_empty(), "{}", entry.code);
                for broken in ["{", "}", "$", "none"] {
                    assert!(
                        !rendered.text.contains(broken),
                        "{} {}: {}",
                        entry.code,
                        language.code(),
                        rendered.text
                    );
                }
            }
            assert!(
                !full.text.contains('?')
                    || full.text.contains("ouliez")
                    || full.text.contains("Did you")
                    || entry.group == Group::Label,
                "{}: {}",
                entry.code,
                full.text
            );
        }
    }
}

#[test]
fn the_page_of_codes_is_current_and_holds_every_anchor() {
    let page = errors_md();
    for entry in entries().filter(|entry| entry.group != Group::Label) {
        assert!(
            page.contains(&format!("\n### {}\n", entry.anchor)),
            "{}",
            entry.code
        );
    }
    let committed = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
    assert_eq!(
        committed, page,
        "run: cargo run -p catalog --example errors_md > docs/errors.md"
    );
}

/// Codes that the sources of the other rooms name in literals exist, so that nobody ever reads a bare code.
#[test]
fn codes_named_in_the_sources_exist() {
    let mut unknown = Vec::new();
    let mut files = Vec::new();
    for room in std::fs::read_dir(root().join("crates")).unwrap() {
        collect(&room.unwrap().path().join("src"), &mut files);
    }
    let catalog = root().join("crates/catalog");
    files.retain(|file| !file.starts_with(&catalog));
    assert!(files.len() > 50, "the sources were not found");
    for file in files {
        let source = std::fs::read_to_string(&file).unwrap();
        let production = source.split("#[cfg(test)]").next().unwrap_or_default();
        for literal in codes_in(production) {
            if entry(literal).is_none() && !NO_CODES.contains(&literal) {
                unknown.push(format!("{}: {literal}", file.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// Words of the wire that only look like codes.
const NO_CODES: &[&str] = &["config_url"];

/// Literals that are codes by where they stand, or by how they begin.
fn codes_in(source: &str) -> impl Iterator<Item = &str> {
    const OPENINGS: [&str; 4] = ["Message::new(", "Problem::new(", "code = ", "words("];
    const BEGINNINGS: [&str; 3] = ["log_", "demo_", "config_"];
    source.match_indices('"').filter_map(|(at, _)| {
        let before = source[..at].trim_end();
        let code = source[at + 1..].split('"').next()?;
        let shaped = code.contains('_') && code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let placed = OPENINGS
            .iter()
            .any(|opening| source[..at].ends_with(opening) || before.ends_with(opening));
        let begins = BEGINNINGS
            .iter()
            .any(|beginning| code.starts_with(beginning));
        (shaped && (placed || begins)).then_some(code)
    })
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn check(message: &Message, french: &str, english: &str) {
    assert_eq!(
        render(message, Language::Fr)
            .text
            .replace(['\u{a0}', '\u{202f}'], " "),
        french
    );
    assert_eq!(
        render(message, Language::En).text.replace('\u{a0}', " "),
        english
    );
}

#[test]
fn the_tone_is_fact_cause_action() {
    check(
        &Message::new("registration_wrong_credentials")
            .with("registrar", "OVH")
            .with("line", "Salle"),
        "OVH refuse la ligne « Salle » : identifiant ou mot de passe incorrect. Les essais sont arrêtés pour ne pas bloquer votre compte.",
        "OVH refuses the line \"Salle\": wrong user name or password. No further attempt is made, so that your account is not locked.",
    );
    check(
        &Message::new("registration_timeout")
            .with("registrar", "sip.ovh.fr")
            .with("protocol", "UDP")
            .with("after", 8_000),
        "Aucune réponse de sip.ovh.fr en UDP après 8,0 s pour la ligne. Un pare-feu bloque sans doute.",
        "No answer from sip.ovh.fr over UDP after 8.0 s for the line. A firewall probably blocks it.",
    );
    check(
        &Message::new("end_one_way_audio_private")
            .with("sent", 1_500)
            .with("address", "192.168.1.20"),
        "Son à sens unique : nous avons envoyé 1 500 paquets à 192.168.1.20, une adresse privée, et n'en avons reçu aucun.",
        "One-way audio: we sent 1,500 packets to 192.168.1.20, a private address, and nothing came back.",
    );
    check(
        &Message::new("end_no_common_codec_one").with("offered", "G.729"),
        "Appel refusé : aucun codec commun, l'opérateur propose G.729 seul.",
        "Call refused: no common codec, the operator offers G.729 alone.",
    );
    check(
        &Message::new("engine_refused")
            .with("key", "sk-proj-0123456789abcdef4f2a")
            .with("status", 401),
        "Le moteur vocal refuse la clé finissant par …4f2a (réponse 401). Elle est révoquée ou d'un autre projet.",
        "The voice engine refuses the key ending in …4f2a (answer 401). It is revoked or belongs to another project.",
    );
}

#[test]
fn absent_parameters_plurals_and_durations_read_well() {
    check(
        &Message::new("config_unknown_key")
            .with("path", "allo.toml")
            .with("line", 1_204)
            .with("key", "sip.upd")
            .with("nearest", "sip.udp"),
        "allo.toml ligne 1204 : le réglage « sip.upd » n'existe pas. Vouliez-vous « sip.udp » ?",
        "allo.toml line 1204: there is no setting \"sip.upd\". Did you mean \"sip.udp\"?",
    );
    check(
        &Message::new("config_unknown_key")
            .with("path", "allo.toml")
            .with("line", 3)
            .with("key", "x")
            .with("nearest", ""),
        "allo.toml ligne 3 : le réglage « x » n'existe pas.",
        "allo.toml line 3: there is no setting \"x\".",
    );
    check(
        &Message::new("log_registration_succeeded").with("registrar", "provider.com:5060"),
        "Enregistrement SIP réussi auprès de provider.com:5060.",
        "SIP registration succeeded with provider.com:5060.",
    );
    for (count, french, english) in [
        (0, "Aucun compte SIP actif.", "No active SIP account."),
        (
            1,
            "Trouvé 1 compte(s) SIP actif(s).",
            "Found 1 active SIP account.",
        ),
        (
            3,
            "Trouvé 3 compte(s) SIP actif(s).",
            "Found 3 active SIP accounts.",
        ),
    ] {
        check(
            &Message::new("log_accounts_loaded").with("count", count),
            french,
            english,
        );
    }
    check(
        &Message::new("end_process_lost").with("after", 83_400),
        "Le processus est mort pendant l'appel (dernier signe de vie après 1 min 23 s) ; sa fiche a été complétée au redémarrage.",
        "The process died during the call (last sign of life after 1 min 23 s); the call's record was completed at the next start.",
    );
}

#[test]
fn numbers_are_masked_unless_the_reader_may_see_them() {
    let message = Message::new("end_unknown_number").with("to", "+33491234567");
    check(
        &message,
        "Appel refusé : le …67 n'est relié à aucun agent.",
        "Call refused: …67 is not connected to any agent.",
    );
    let shown = render_with(&message, Language::En, Numbers::Shown).text;
    assert_eq!(
        shown,
        "Call refused: +33491234567 is not connected to any agent."
    );
    check(
        &Message::new("log_call_started")
            .with("to", "sip:0491234567@h")
            .with("from", "+33123456789")
            .with("call", "c1"),
        "Appel SIP entrant pour sip:…67@h de …89 (c1).",
        "Incoming SIP call for sip:…67@h from …89 (c1).",
    );
}

#[test]
fn an_unknown_code_shows_itself() {
    check(
        &Message::new("of_the_future").with("x", "+33123456789"),
        "of_the_future x=…89",
        "of_the_future x=…89",
    );
}

#[test]
fn a_stranger_cannot_forge_a_line_or_a_placeable() {
    let message = Message::new("api_bad_request").with("cause", "x }\r\n{ $line } INFO forged");
    let text = render(&message, Language::En).text;
    assert_eq!(
        text,
        "The request cannot be understood: x }  { $line } INFO forged."
    );
}
