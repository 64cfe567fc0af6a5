//! The template language of tools, whatever an operator writes and whatever a reply holds: it compiles or says where it does not,
//! it evaluates within its bounds, and no value leaves its place in an address.

use agent::limits::{OUTPUT_BYTES_MAX, URL_BYTES_MAX};
use agent::template::{Place, Rules, Scope, Template, Tree, UrlTemplate};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::bytes::Bytes;

const PLACES: [Place; 6] = [
    Place::BeforeCall,
    Place::BeforeCallReply,
    Place::Prompt,
    Place::ToolRequest,
    Place::ToolReply,
    Place::End,
];

pub fn target(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let rules = Rules {
        place: bytes.pick(&PLACES),
        compat: bytes.flag(),
    };
    let text = String::from_utf8_lossy(bytes.remainder()).into_owned();
    // What stands behind a line of its own is the world that the template sees.
    let (text, world) = text.split_once("\n---\n").unwrap_or((&text, "{}"));
    let world = serde_json::from_str(world).unwrap_or(Value::String(world.to_owned()));
    let members = match &world {
        Value::Object(members) => members.clone(),
        other => Map::from_iter([("v".to_owned(), other.clone())]),
    };
    let zone = TimeZone::UTC;
    let scope = Scope {
        base_url: Some("http://back:3000"),
        config: &members,
        context: &members,
        data: &members,
        agent: &members,
        variables: &members,
        pre: Some(&members),
        arguments: Some(&world),
        reply: Some(&world),
        zone: &zone,
    };
    one_text(text, rules, &scope);
    one_address(text, rules, &scope);
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && let Ok(tree) = Tree::compile(&value, "body", rules)
        && let Ok(Some(value)) = tree.value(&scope)
    {
        assert!(value.to_string().len() <= 8 * OUTPUT_BYTES_MAX);
    }
}

fn one_text(text: &str, rules: Rules, scope: &Scope<'_>) {
    match Template::compile(text, rules) {
        Ok(template) => {
            let _ = template.value(scope);
            if let Ok(prose) = template.prose(scope) {
                assert!(prose.len() <= OUTPUT_BYTES_MAX);
            }
            if !text.starts_with('=') && !text.contains("{{") {
                assert_eq!(template.literal(), Some(text));
            }
        }
        Err(fault) => {
            assert!(!fault.message.is_empty());
            assert!(
                fault
                    .position
                    .is_none_or(|position| position <= text.chars().count())
            );
        }
    }
}

fn one_address(text: &str, rules: Rules, scope: &Scope<'_>) {
    let behind = format!("={{{{BASE_URL}}}}/{text}");
    for text in [text, behind.as_str()] {
        let Ok(url) = UrlTemplate::compile(text, rules) else {
            continue;
        };
        let Ok(address) = url.evaluate(scope, &[("more".to_owned(), "&=#".to_owned())]) else {
            continue;
        };
        assert!(
            address.len() <= URL_BYTES_MAX && address.bytes().all(|byte| byte.is_ascii_graphic()),
            "{address}"
        );
        assert!(!address.contains(['#', '\\']), "{address}");
        if text == behind {
            assert!(address.starts_with("http://back:3000/"), "{address}");
        }
    }
}
