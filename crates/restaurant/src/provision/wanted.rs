//! What a restaurant wants of the voice server: pure, from its row, its lines and the process's settings.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::pack;

/// What the process says of itself.
#[derive(Clone, Debug)]
pub struct Site {
    /// How the voice server reaches this back office: `http://localhost:3000`, without a slash at the end.
    pub callback_url: String,
    /// Name of the account: one for the whole application.
    pub account_name: String,
    /// Address of the account's owner.
    pub account_email: String,
}

/// A telephone line of a restaurant, with its password in clear while it is sent.
#[derive(Clone, Default)]
pub struct Line {
    /// The body of the line's request, without the password.
    pub fields: Map<String, Value>,
    /// The password.
    pub password: Option<String>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("has_password", &self.password.is_some())
            .finish_non_exhaustive()
    }
}

/// What has to be there.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The restaurant; the agent's `config.restaurantId`.
    pub restaurant: String,
    /// Body of the account, should it have to be made.
    pub account: Value,
    /// Body of the final customer, without the account.
    pub customer: Value,
    /// The agent's fields that follow the restaurant: what a PUT sends.
    pub fields: Map<String, Value>,
    /// The agent's fields that are sent once, when it is made.
    pub constant: Map<String, Value>,
    /// The tools.
    pub tools: Vec<Value>,
    /// Mark of the tools.
    pub pack: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// Mark of the lines, passwords included.
    pub lines_mark: String,
}

impl Wanted {
    /// What the row of a restaurant (as its API shows it) asks for.
    pub fn of(row: &Value, lines: Vec<Line>, site: &Site) -> Self {
        let tools = pack::tools();
        let restaurant = text(row, "id").unwrap_or_default().to_owned();
        Self {
            account: json!({
                "name": site.account_name,
                "email": site.account_email,
                "isActive": true,
                "currency": "EUR",
            }),
            customer: customer(row, &restaurant),
            fields: fields(row, &restaurant, site),
            constant: constant(),
            pack: mark(&[&Value::Array(tools.clone()).to_string()]),
            tools,
            lines_mark: lines_mark(&lines),
            lines,
            restaurant,
        }
    }
}

fn text<'a>(row: &'a Value, name: &str) -> Option<&'a str> {
    row.get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn flag(row: &Value, name: &str, absent: bool) -> bool {
    row.get(name).and_then(Value::as_bool).unwrap_or(absent)
}

/// Its name carries no identity: the settings do.
fn customer(row: &Value, restaurant: &str) -> Value {
    let mut body = json!({
        "name": text(row, "name").unwrap_or("Restaurant"),
        "currency": text(row, "currency").unwrap_or("EUR"),
        "costMarginPct": row.get("aiCostMarginPct").and_then(Value::as_f64).unwrap_or(30.0),
        "isActive": true,
        "settings": { "restaurantId": restaurant },
    });
    for name in ["email", "phone"] {
        if let Some(value) = text(row, name) {
            body[name] = json!(value);
        }
    }
    body
}

/// Name, voice, zone, chat, the four switches, and where the back office is: it may move.
fn fields(row: &Value, restaurant: &str, site: &Site) -> Map<String, Value> {
    let base = site.callback_url.trim_end_matches('/');
    // A transfer that the line does by itself is none of the model's business.
    let transfer = flag(row, "transferEnabled", false)
        && text(row, "transferPhoneNumber").is_some()
        && !flag(row, "transferAutomatic", false);
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("name", json!(text(row, "name").unwrap_or("Restaurant")));
    put("aiVoice", json!(text(row, "aiVoice").unwrap_or("sage")));
    put(
        "timezone",
        json!(text(row, "timezone").unwrap_or("Europe/Paris")),
    );
    put("apiBaseUrl", json!(base));
    put(
        "externalSessionUrl",
        json!(format!(
            "={base}/api/ai?restaurantId={{{{config.restaurantId}}}}&callerPhone={{{{callerPhone}}}}"
        )),
    );
    for name in ["chatEnabled", "chatMode", "chatTitle", "chatOpenOnLoad"] {
        if let Some(value) = row.get(name).filter(|value| !value.is_null()) {
            put(name, value.clone());
        }
    }
    // The house's own words before a call is recorded; a sentence, never a template.
    if let Some(words) = text(row, "consentAnnouncement") {
        put("recordingNotice", json!(words.trim_start_matches('=')));
    }
    // Told in both cases: what is left out stays as it was.
    put(
        "recordingEnabled",
        json!(flag(row, "recordingEnabled", false)),
    );
    put(
        "config",
        json!({
            "restaurantId": restaurant,
            "deliveryEnabled": flag(row, "deliveryEnabled", false),
            "reservationEnabled": flag(row, "reservationEnabled", false),
            "orderStatusEnabled": flag(row, "orderStatusEnabled", true),
            "transferEnabled": transfer,
        }),
    );
    fields
}

fn constant() -> Map<String, Value> {
    let value = json!({
        "basePrompt": "={{data.systemPrompt}}",
        "aiModel": "gpt-realtime",
        "vadThreshold": 0.5,
        "vadSilenceMs": 500,
        "vadPrefixPaddingMs": 300,
        "temperature": 0.7,
        "transportType": "sip_bridge",
        "maxCallDurationSec": 600,
        "onCallEndWebhook": "={{BASE_URL}}/api/calls",
        "preCallChecks": [{
            "name": "blocked-phones",
            "url": "={{BASE_URL}}/api/blocked-phones/check",
            "params": { "restaurantId": "={{config.restaurantId}}", "phone": "={{callerPhone}}" },
            "blockIf": "={{$res.blocked}}",
            "onBlock": "hangup",
            "failOpen": true,
        }],
        "isActive": true,
    });
    value.as_object().cloned().unwrap_or_default()
}

fn lines_mark(lines: &[Line]) -> String {
    let texts: Vec<String> = lines
        .iter()
        .map(|line| {
            format!(
                "{}\u{0}{}",
                Value::Object(line.fields.clone()),
                line.password.as_deref().unwrap_or("")
            )
        })
        .collect();
    mark(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A mark that differs when one of the texts does.
fn mark(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
