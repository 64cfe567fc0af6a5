//! What the bridge tells and asks others: the states of calls, and what to do with one that came in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agent::{HttpCall, Method};
use catalog::Message;
use courier::{Caller, Courier};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Bridge;
use super::book::CallView;
use super::options::{is_callback, is_target};

/// States of one call that may wait for a slow receiver; further ones are lost.
const WAITING_MAX: usize = 16;
/// Largest answer of a callback that is read, bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// Tells the states of one call, in order.
pub(crate) struct Notifier {
    events: mpsc::Sender<Value>,
    telling: JoinHandle<()>,
}

impl Notifier {
    /// `None` where nobody is told.
    pub(crate) fn start(bridge: &Arc<Bridge>, url: Option<String>) -> Option<Self> {
        let url = url.or_else(|| bridge.options.callbacks.status_url.clone())?;
        let (events, mut waiting) = mpsc::channel::<Value>(WAITING_MAX);
        let bridge = Arc::clone(bridge);
        let telling = tokio::spawn(async move {
            while let Some(event) = waiting.recv().await {
                tell(&bridge, &url, &event).await;
            }
        });
        Some(Self { events, telling })
    }

    /// Tells a state.
    pub(crate) fn tell(&self, event: &'static str, view: &CallView) {
        let mut body = serde_json::to_value(view).unwrap_or_default();
        body["event"] = event.into();
        body["timestamp"] = Timestamp::now().to_string().into();
        let _ = self.events.try_send(body);
    }

    /// Waits until everything was told.
    pub(crate) async fn finish(self) {
        drop(self.events);
        let _ = self.telling.await;
    }
}

async fn tell(bridge: &Bridge, url: &str, event: &Value) {
    let callbacks = &bridge.options.callbacks;
    let call = if callbacks.get {
        request(Method::Get, with_query(url, event), None, callbacks.within)
    } else {
        let body = Some(event.to_string());
        request(Method::Post, url.to_owned(), body, callbacks.within)
    };
    if let Err(cause) = exchange(&bridge.courier, &call).await {
        complain(url, event["event"].as_str().unwrap_or_default(), &cause);
    }
}

/// The members of an event as the query of an address; an object among them as JSON, what is null left out.
fn with_query(url: &str, event: &Value) -> String {
    let Ok(mut url) = url::Url::parse(url) else {
        return url.to_owned();
    };
    for (name, value) in event.as_object().into_iter().flatten() {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                value.to_string()
            }
        };
        url.query_pairs_mut().append_pair(name, &text);
    }
    url.to_string()
}

fn request(method: Method, url: String, body: Option<String>, within: Duration) -> HttpCall {
    let json = ("content-type".to_owned(), "application/json".to_owned());
    HttpCall {
        method,
        url,
        headers: body.is_some().then_some(json).into_iter().collect(),
        body,
        timeout_ms: u32::try_from(within.as_millis()).unwrap_or(u32::MAX),
        idempotency_key: None,
        safe_to_retry: false,
    }
}

async fn exchange(courier: &Courier, call: &HttpCall) -> Result<String, String> {
    let reply = courier
        .send(call, &Caller::default(), ANSWER_BYTES_MAX)
        .await;
    match reply {
        Ok(reply) if reply.is_success() => Ok(reply.text()),
        Ok(reply) => Err(format!("HTTP {}", reply.status)),
        Err(error) => Err(error.label().to_owned()),
    }
}

fn complain(url: &str, event: &str, cause: &str) {
    // The query may hold a secret of its receiver.
    let place = url.split('?').next().unwrap_or_default();
    let message = Message::new("log_bridge_callback_failed")
        .with("destination", place)
        .with("event", event)
        .with("cause", cause);
    crate::terminal::log(&message);
}

/// What is to be done with a call that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Accept(Overrides),
    Reject(u16),
    Ignore,
}

/// What of the bridge's settings is another for one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) target: Option<String>,
    pub(crate) callback: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    action: String,
    status_code: Option<u16>,
    custom_params: Option<BTreeMap<String, Value>>,
    ws_target: Option<String>,
    callback_url: Option<String>,
}

/// Custom parameters as streams carry them: texts.
pub(crate) fn texts(parameters: Option<BTreeMap<String, Value>>) -> BTreeMap<String, String> {
    let texts = parameters.unwrap_or_default().into_iter();
    texts
        .map(|(name, value)| {
            let text = value.as_str().map(str::to_owned);
            (name, text.unwrap_or_else(|| value.to_string()))
        })
        .collect()
}

/// Reads the answer of an incoming callback.
fn decision(text: &str) -> Result<Decision, String> {
    let answer: Answer = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match answer.action.as_str() {
        "accept" => {
            if let Some(target) = answer.ws_target.as_deref().filter(|url| !is_target(url)) {
                return Err(format!("wsTarget {target}"));
            }
            if let Some(url) = answer
                .callback_url
                .as_deref()
                .filter(|url| !is_callback(url))
            {
                return Err(format!("callbackUrl {url}"));
            }
            Ok(Decision::Accept(Overrides {
                parameters: texts(answer.custom_params),
                target: answer.ws_target,
                callback: answer.callback_url,
            }))
        }
        "reject" => match answer.status_code.unwrap_or(486) {
            status @ 400..=699 => Ok(Decision::Reject(status)),
            status => Err(format!("statusCode {status}")),
        },
        "ignore" => Ok(Decision::Ignore),
        other => Err(format!("action {other}")),
    }
}

/// Asks what to do with a call. Without an answer that can be read it is taken as the settings say: a callback that is down must
/// not close the line.
pub(crate) async fn ask(bridge: &Bridge, url: &str, from: &str, to: &str) -> Decision {
    let timestamp = Timestamp::now().to_string();
    let body = json!({ "from": from, "to": to, "timestamp": timestamp });
    let within = bridge.options.callbacks.within;
    let call = request(Method::Post, url.to_owned(), Some(body.to_string()), within);
    let answer = exchange(&bridge.courier, &call).await;
    answer
        .and_then(|text| decision(&text))
        .unwrap_or_else(|cause| {
            complain(url, "incoming", &cause);
            Decision::Accept(Overrides::default())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_an_incoming_callback_is_read_or_explained() {
        assert_eq!(
            decision(r#"{"action":"reject"}"#),
            Ok(Decision::Reject(486))
        );
        let reject = decision(r#"{"action":"reject","statusCode":603}"#);
        assert_eq!(reject, Ok(Decision::Reject(603)));
        assert_eq!(
            decision(r#"{"action":"ignore","more":1}"#),
            Ok(Decision::Ignore)
        );
        let accept = r#"{"action":"accept","customParams":{"a":"b","n":1},"wsTarget":"ws://h/x","callbackUrl":"http://h/y"}"#;
        let Ok(Decision::Accept(overrides)) = decision(accept) else {
            panic!("accepted");
        };
        assert_eq!(overrides.parameters["n"], "1");
        assert_eq!(overrides.target.as_deref(), Some("ws://h/x"));
        for wrong in [
            "",
            "{}",
            r#"{"action":"dance"}"#,
            r#"{"action":"reject","statusCode":200}"#,
            r#"{"action":"accept","wsTarget":"http://h"}"#,
            r#"{"action":"accept","callbackUrl":"ftp://h"}"#,
        ] {
            assert!(decision(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_state_by_get_is_in_the_query() {
        let event = json!({"sid": "CA1", "event": "ringing", "answeredAt": null, "customParams": {"a": "b c"}});
        let url = url::Url::parse(&with_query("http://h/x?k=1", &event)).expect("an address");
        let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        pairs.sort();
        let expected = [
            ("customParams", r#"{"a":"b c"}"#),
            ("event", "ringing"),
            ("k", "1"),
            ("sid", "CA1"),
        ];
        assert_eq!(
            pairs,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
