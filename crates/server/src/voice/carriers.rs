//! What each carrier says of a call, and the document that it is answered with.

use serde_json::json;
use wire::twilio::{Dialect, twiml};

/// A call as a webhook announces it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) call: String,
    pub(super) from: String,
    pub(super) to: String,
    /// The carrier connects a call that it placed for us or for itself.
    pub(super) outbound: bool,
}

fn field<'a>(fields: &'a [(String, String)], names: &[&str]) -> &'a str {
    names
        .iter()
        .find_map(|name| fields.iter().find(|(known, _)| known == name))
        .map(|(_, value)| value.as_str())
        .unwrap_or_default()
}

/// Longest text of a webhook that is kept, bytes.
const TEXT_BYTES_MAX: usize = 256;

impl Announced {
    pub(super) fn read(dialect: Dialect, fields: &[(String, String)]) -> Self {
        let text = |names: &[&str]| -> String {
            field(fields, names).chars().take(TEXT_BYTES_MAX).collect()
        };
        match dialect {
            Dialect::Twilio | Dialect::Telnyx => Self {
                call: text(&["CallSid", "CallControlId"]),
                from: text(&["From", "Caller"]),
                to: text(&["To", "Called"]),
                outbound: field(fields, &["Direction"]).starts_with("outbound"),
            },
            Dialect::Plivo => Self {
                call: text(&["CallUUID"]),
                from: text(&["From"]),
                to: text(&["To"]),
                outbound: field(fields, &["Direction"]) == "outbound",
            },
            Dialect::Exotel => Self {
                call: text(&["CallSid"]),
                from: text(&["CallFrom", "From"]),
                to: text(&["CallTo", "To"]),
                outbound: field(fields, &["Direction"]).starts_with("outbound"),
            },
            Dialect::Vonage | Dialect::Browser => Self {
                call: text(&["uuid"]),
                from: text(&["from"]),
                to: text(&["to"]),
                outbound: false,
            },
        }
    }
}

/// Where the stream of a dialect is served.
pub(super) fn stream_path(dialect: Dialect) -> String {
    match dialect {
        Dialect::Twilio => "/media-stream".to_owned(),
        Dialect::Telnyx | Dialect::Plivo | Dialect::Exotel | Dialect::Vonage | Dialect::Browser => {
            format!("/media-stream/{}", dialect.name())
        }
    }
}

/// `https` becomes `wss`.
pub(super) fn to_websocket(url: &str) -> String {
    match url.split_once("://") {
        Some(("https", rest)) => format!("wss://{rest}"),
        Some(("http", rest)) => format!("ws://{rest}"),
        Some(_) | None => url.to_owned(),
    }
}

/// Content type and text of the answer that connects the call with our stream.
pub(super) fn connect(
    dialect: Dialect,
    (origin, path): (&str, &str),
    call: &Announced,
    token: &str,
) -> (&'static str, String) {
    let direction = if call.outbound { "outbound" } else { "inbound" };
    let parameters = [
        ("callerPhone", call.from.as_str()),
        ("to", call.to.as_str()),
        ("callSid", call.call.as_str()),
        ("direction", direction),
        ("token", token),
    ];
    let url = to_websocket(&format!("{origin}{path}"));
    let status = format!("{origin}/{}/status", dialect.name());
    match dialect {
        Dialect::Twilio => {
            let connect = twiml::connect_stream(&url, Some(&status), &parameters);
            ("text/xml", twiml::response([connect]).document())
        }
        Dialect::Telnyx => {
            let mut stream = twiml::Element::new("Stream")
                .with("url", url)
                .with("bidirectionalMode", "rtp")
                .with("bidirectionalCodec", "PCMU");
            for (name, value) in parameters {
                let parameter = twiml::Element::new("Parameter").with("name", name);
                stream = stream.child(parameter.with("value", value));
            }
            let connect = twiml::Element::new("Connect").child(stream);
            ("text/xml", twiml::response([connect]).document())
        }
        Dialect::Plivo => {
            let extra = format!("token={token},callSid={}", call.call);
            let stream = twiml::Element::new("Stream")
                .with("bidirectional", "true")
                .with("keepCallAlive", "true")
                .with("contentType", "audio/x-mulaw;rate=8000")
                .with("extraHeaders", extra)
                .with("statusCallbackUrl", status)
                .text(format!("{url}?token={token}"));
            ("text/xml", twiml::response([stream]).document())
        }
        Dialect::Exotel => {
            let url = format!("{url}?token={token}");
            ("application/json", json!({ "url": url }).to_string())
        }
        Dialect::Vonage | Dialect::Browser => {
            let headers: serde_json::Map<String, serde_json::Value> = parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).into()))
                .chain([("uuid".to_owned(), call.call.as_str().into())])
                .collect();
            let document = json!([{
                "action": "connect",
                "endpoint": [{
                    "type": "websocket",
                    "uri": url,
                    "content-type": "audio/l16;rate=8000",
                    "headers": headers,
                }],
            }]);
            ("application/json", document.to_string())
        }
    }
}

/// Content type and text of the answer that refuses a call.
pub(super) fn refuse(dialect: Dialect, busy: bool) -> (&'static str, String) {
    match dialect {
        Dialect::Twilio | Dialect::Telnyx => {
            let reject = twiml::Element::new("Reject");
            let reject = if busy {
                reject.with("reason", "busy")
            } else {
                reject
            };
            ("text/xml", twiml::response([reject]).document())
        }
        Dialect::Plivo => {
            let reason = if busy { "busy" } else { "rejected" };
            let hang_up = twiml::Element::new("Hangup").with("reason", reason);
            ("text/xml", twiml::response([hang_up]).document())
        }
        Dialect::Exotel => ("application/json", "{}".to_owned()),
        Dialect::Vonage | Dialect::Browser => ("application/json", "[]".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_carrier_announces_a_call_in_its_own_words() {
        let fields = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let twilio = fields(&[("CallSid", "CA1"), ("From", "+1"), ("To", "+2")]);
        let plivo = fields(&[("CallUUID", "CA1"), ("From", "+1"), ("To", "+2")]);
        let vonage = fields(&[("uuid", "CA1"), ("from", "+1"), ("to", "+2")]);
        let expected = Announced {
            call: "CA1".to_owned(),
            from: "+1".to_owned(),
            to: "+2".to_owned(),
            outbound: false,
        };
        assert_eq!(Announced::read(Dialect::Twilio, &twilio), expected);
        assert_eq!(Announced::read(Dialect::Plivo, &plivo), expected);
        assert_eq!(Announced::read(Dialect::Vonage, &vonage), expected);
        for dialect in Dialect::ALL {
            let (_, document) = connect(
                dialect,
                ("https://a.test", &stream_path(dialect)),
                &expected,
                "T0KEN",
            );
            assert!(document.contains("wss://a.test/media-stream"), "{document}");
            assert!(document.contains("T0KEN"), "{document}");
        }
    }
}
