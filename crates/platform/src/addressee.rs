//! To whom a hidden secret goes. Whoever may write a tool may not read its keys, so a change of the address may not take them along:
//! the secret has to be sent again with it.

use crate::problem::{FieldFault, Problem};
use crate::support::object;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use store::Tool;
use store::secret::members::is_reference;

/// What is stored of an agent, as far as secrets stand in it.
#[derive(Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) settings: &'a Map<String, Value>,
    pub(crate) tools: &'a [Tool],
}

/// A sealed secret with its place and its addressee.
struct Addressed {
    reference: String,
    path: String,
    to: String,
}

/// Refuses a change by which a secret that nobody sent again would go to another host, engine or server.
///
/// # Errors
/// 422 with the place of each such secret.
pub(crate) fn stay(before: Held<'_>, after: Held<'_>) -> Result<(), Problem> {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for addressed in before.addressed() {
        known
            .entry(addressed.reference)
            .or_default()
            .insert(addressed.to);
    }
    let faults: Vec<FieldFault> = after
        .addressed()
        .into_iter()
        .filter(|addressed| {
            known
                .get(&addressed.reference)
                .is_some_and(|to| !to.contains(&addressed.to))
        })
        .map(|addressed| FieldFault {
            path: addressed.path,
            position: None,
            code: "secret_again".to_owned(),
            detail: "The address that this secret goes to is another one: send the secret again with it."
                .to_owned(),
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(faults))
    }
}

impl Held<'_> {
    fn addressed(self) -> Vec<Addressed> {
        let mut found = Vec::new();
        let settings = Value::Object(self.settings.clone());
        self.walk(&settings, "", "", &mut found);
        for (place, tool) in self.tools.iter().enumerate() {
            let config = Value::Object(object(&tool.config));
            self.walk(&config, &format!("tools[{place}]"), "", &mut found);
        }
        found
    }

    fn walk(self, value: &Value, path: &str, to: &str, found: &mut Vec<Addressed>) {
        match value {
            Value::Object(members) => {
                let own = self.own(members, to);
                for (name, member) in members {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    // `externalSessionHeaders` go to `externalSessionUrl`.
                    let beside = name
                        .strip_suffix("Headers")
                        .and_then(|stem| members.get(&format!("{stem}Url")))
                        .and_then(Value::as_str)
                        .map(|url| self.host(url));
                    self.walk(member, &path, beside.as_deref().unwrap_or(&own), found);
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    self.walk(item, &format!("{path}[{place}]"), to, found);
                }
            }
            Value::String(text) if is_reference(text) => found.push(Addressed {
                reference: text.clone(),
                path: path.to_owned(),
                to: to.to_owned(),
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The addressee of an object that names one, else that of what it stands in.
    fn own(self, members: &Map<String, Value>, outer: &str) -> String {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        match (text("url"), text("provider")) {
            (None, None) => outer.to_owned(),
            (url, provider) => format!(
                "{} {}",
                provider.unwrap_or_default(),
                url.map(|url| self.host(url)).unwrap_or_default()
            ),
        }
    }

    /// Scheme, host and port of an address, with what the operator's own names in it mean. Where that is not plain to see, the whole
    /// configuration is part of the answer.
    fn host(self, url: &str) -> String {
        let url = url.trim().trim_start_matches('=').trim();
        let begin = url.find("://").map_or(0, |at| at + 3);
        let (mut end, mut depth) = (begin, 0_usize);
        for (at, character) in url.char_indices().skip_while(|(at, _)| *at < begin) {
            match character {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                '/' | '?' | '#' | '\\' if depth == 0 => break,
                _ => {}
            }
            end = at + character.len_utf8();
        }
        let own = url.get(..end).unwrap_or(url);
        if !own.contains("{{") {
            return own.to_ascii_lowercase();
        }
        let base = self.settings.get("apiBaseUrl").unwrap_or(&Value::Null);
        let bare = own.trim_start_matches("{{").trim_end_matches("}}").trim();
        match base.as_str() {
            Some(base) if bare == "BASE_URL" && !base.contains("{{") => self.host(base),
            _ => format!(
                "{own} {base} {}",
                self.settings.get("config").unwrap_or(&Value::Null)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "sealed:0123456789abcdef0123456789abcdef";

    fn tool(config: &Value) -> Tool {
        Tool {
            name: "t".to_owned(),
            sort_order: 0,
            is_enabled: true,
            config: config.to_string(),
        }
    }

    fn called(url: &str) -> Value {
        json!({ "http": { "url": url, "headers": { "X-Api-Key": KEY } } })
    }

    fn moves(before: (&Value, &Value), after: (&Value, &Value)) -> bool {
        let (old, new) = (object(&before.0.to_string()), object(&after.0.to_string()));
        let (was, is) = ([tool(before.1)], [tool(after.1)]);
        let held = |settings, tools| Held { settings, tools };
        stay(held(&old, &was), held(&new, &is)).is_err()
    }

    #[test]
    fn a_key_goes_to_no_other_host() {
        let none = json!({});
        let home = called("https://crm.example/a");
        for (url, moved) in [
            ("https://crm.example/b?x={{$ai.x}}", false),
            ("https://CRM.example/a", false),
            ("https://crm.example:444/a", true),
            ("http://crm.example/a", true),
            ("https://crm.example.evil.example/a", true),
            ("https://crm.example@evil.example/a", true),
            ("https://evil.example/crm.example/a", true),
            ("={{config.host}}/a", true),
            ("={{BASE_URL}}/a", true),
        ] {
            assert_eq!(moves((&none, &home), (&none, &called(url))), moved, "{url}");
        }
        // Not sent again, in another form or another place.
        let mcp = json!({ "mcp": { "url": "https://evil.example", "headers": { "X": KEY } } });
        assert!(moves((&none, &home), (&none, &mcp)));
        let step = json!({ "preSteps": [{ "http": home["http"], "url": "https://evil.example" }] });
        assert!(!moves((&none, &home), (&none, &step)), "the same addressee");
        let sent_again =
            json!({ "http": { "url": "https://new.example", "headers": { "X-Api-Key": "new" } } });
        assert!(!moves((&none, &home), (&none, &sent_again)));
    }

    #[test]
    fn nor_by_what_its_address_is_made_of() {
        let based = called("={{BASE_URL}}/a");
        let base = |url: &str| json!({ "apiBaseUrl": url });
        let home = base("https://crm.example");
        assert!(!moves(
            (&home, &based),
            (&base("https://crm.example/v2"), &based)
        ));
        assert!(moves(
            (&home, &based),
            (&base("https://evil.example"), &based)
        ));
        let named = called("=https://{{config.host}}/a");
        let config = |host: &str| json!({ "config": { "host": host } });
        let is = |after: &Value| moves((&config("a"), &named), (after, &named));
        assert!(is(&config("evil.example")) && !is(&config("a")));
        let engine = |engine: Value| json!({ "engine": engine });
        let key = engine(json!({ "apiKey": KEY, "model": "m" }));
        let plain = json!({});
        for (after, moved) in [
            (json!({ "apiKey": KEY, "model": "n" }), false),
            (json!({ "apiKey": KEY, "url": "wss://evil.example" }), true),
            (json!({ "apiKey": KEY, "provider": "xai" }), true),
        ] {
            assert_eq!(moves((&key, &plain), (&engine(after), &plain)), moved);
        }
        let session = |url: &str| json!({ "externalSessionUrl": url, "externalSessionHeaders": { "X-Key": KEY } });
        let home = session("https://crm.example/s");
        assert!(moves(
            (&home, &plain),
            (&session("https://evil.example/s"), &plain)
        ));
        assert!(!moves(
            (&home, &plain),
            (&session("https://crm.example/t"), &plain)
        ));
    }
}
