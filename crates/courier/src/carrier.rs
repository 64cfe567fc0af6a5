//! What carriers are asked about calls that they bring by WebSocket: hang up, hand over, place. Each is one request to the
//! carrier's own interface, whose base address is a setting (a test's stand-in, another region).

use agent::{HttpCall, Method};
use serde_json::Value;

use crate::courier::{Caller, Courier};
use crate::http::{Reply, SendError};
use crate::limits::REPLY_BODY_MAX;
use crate::secret::Secret;

/// How long such a request may take, ms.
const WITHIN_MS: u32 = 10_000;
/// Twilio's number of the error that a call is over already.
const TWILIO_NOT_IN_PROGRESS: u64 = 21_220;

/// Whose interface, and its credentials.
#[derive(Clone, Debug)]
pub enum CarrierAccount {
    /// Twilio, or what has the same interface.
    Twilio {
        /// `https://api.twilio.com`, or another with the same paths.
        base_url: String,
        /// `AC…`
        account_sid: String,
        /// Token of the account.
        auth_token: Secret,
    },
    /// Telnyx.
    Telnyx {
        /// `https://api.telnyx.com`
        base_url: String,
        /// Key of its version 2 interface.
        api_key: Secret,
    },
    /// Plivo.
    Plivo {
        /// `https://api.plivo.com`
        base_url: String,
        /// Its id of the account.
        auth_id: String,
        /// Token of the account.
        auth_token: Secret,
    },
}

/// A call to place.
#[derive(Clone, Debug)]
pub struct CarrierCall<'a> {
    /// Number to call.
    pub to: &'a str,
    /// Number that is shown.
    pub from: &'a str,
    /// The document that connects the call with our stream.
    pub document: &'a str,
    /// Where the carrier tells what becomes of the call.
    pub status_callback: Option<&'a str>,
    /// How long it may ring, seconds.
    pub ring_s: u32,
}

/// Why a carrier did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarrierError {
    /// The call is over.
    #[error("the call is over")]
    Ended,
    /// The carrier refused.
    #[error("the carrier answered {status} ({code})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The carrier's own number, 0 where it gave none.
        code: u64,
    },
    /// The carrier has no such interface, or we do not speak it.
    #[error("this carrier cannot be asked for that")]
    Unsupported,
    /// No reply.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl CarrierError {
    /// A stable label for logs, and a word for the model.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Ended => "call is over",
            Self::Refused { .. } => "refused by the carrier",
            Self::Unsupported => "not possible with this carrier",
            Self::Send(error) => error.label(),
        }
    }
}

impl CarrierAccount {
    /// The carrier's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Twilio { .. } => "twilio",
            Self::Telnyx { .. } => "telnyx",
            Self::Plivo { .. } => "plivo",
        }
    }

    fn base_url(&self) -> &str {
        let (Self::Twilio { base_url, .. }
        | Self::Telnyx { base_url, .. }
        | Self::Plivo { base_url, .. }) = self;
        base_url.trim_end_matches('/')
    }

    fn authorization(&self) -> String {
        let basic = |user: &str, password: &Secret| {
            let pair = format!("{user}:{}", password.expose());
            let encoded = base64_simd::STANDARD.encode_to_string(pair.as_bytes());
            format!("Basic {encoded}")
        };
        match self {
            Self::Twilio {
                account_sid,
                auth_token,
                ..
            } => basic(account_sid, auth_token),
            Self::Telnyx { api_key, .. } => format!("Bearer {}", api_key.expose()),
            Self::Plivo {
                auth_id,
                auth_token,
                ..
            } => basic(auth_id, auth_token),
        }
    }

    /// Path of a call, or of the calls.
    fn calls_path(&self, call: Option<&str>) -> String {
        let call = call.map(encoded);
        match self {
            Self::Twilio { account_sid, .. } => {
                let account = encoded(account_sid);
                match call {
                    Some(call) => format!("/2010-04-01/Accounts/{account}/Calls/{call}.json"),
                    None => format!("/2010-04-01/Accounts/{account}/Calls.json"),
                }
            }
            Self::Telnyx { .. } => format!("/v2/calls/{}", call.unwrap_or_default()),
            Self::Plivo { auth_id, .. } => {
                let account = encoded(auth_id);
                match call {
                    Some(call) => format!("/v1/Account/{account}/Call/{call}/"),
                    None => format!("/v1/Account/{account}/Call/"),
                }
            }
        }
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn form(fields: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish()
}

/// The document that connects a caller with a number or a SIP address.
fn dial(target: &str) -> String {
    let escaped = target
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    if target.starts_with("sip:") || target.starts_with("sips:") {
        format!("<Response><Dial><Sip>{escaped}</Sip></Dial></Response>")
    } else {
        format!("<Response><Dial>{escaped}</Dial></Response>")
    }
}

impl Courier {
    /// Ends a call.
    ///
    /// # Errors
    /// [`CarrierError`]; that the call is over already is [`CarrierError::Ended`].
    pub async fn hang_up(&self, account: &CarrierAccount, call: &str) -> Result<(), CarrierError> {
        let path = account.calls_path(Some(call));
        match account {
            CarrierAccount::Twilio { .. } => {
                let body = form(&[("Status", "completed")]);
                self.ask(account, Method::Post, &path, FORM, body).await?;
            }
            CarrierAccount::Telnyx { .. } => {
                let path = format!("{path}/actions/hangup");
                self.ask(account, Method::Post, &path, JSON, "{}".to_owned())
                    .await?;
            }
            CarrierAccount::Plivo { .. } => {
                self.ask(account, Method::Delete, &path, FORM, String::new())
                    .await?;
            }
        }
        Ok(())
    }

    /// Connects the caller with somebody else; the stream ends by that.
    ///
    /// # Errors
    /// [`CarrierError`].
    pub async fn transfer(
        &self,
        account: &CarrierAccount,
        call: &str,
        target: &str,
    ) -> Result<(), CarrierError> {
        let path = account.calls_path(Some(call));
        match account {
            CarrierAccount::Twilio { .. } => {
                let body = form(&[("Twiml", &dial(target))]);
                self.ask(account, Method::Post, &path, FORM, body).await?;
            }
            CarrierAccount::Telnyx { .. } => {
                let path = format!("{path}/actions/transfer");
                let body = serde_json::json!({ "to": target }).to_string();
                self.ask(account, Method::Post, &path, JSON, body).await?;
            }
            // Plivo fetches the document from an address; there is no way to send it along.
            CarrierAccount::Plivo { .. } => return Err(CarrierError::Unsupported),
        }
        Ok(())
    }

    /// Places a call; its stream arrives when it is answered. The carrier's name of the call.
    ///
    /// # Errors
    /// [`CarrierError`].
    pub async fn place_carrier_call(
        &self,
        account: &CarrierAccount,
        call: &CarrierCall<'_>,
    ) -> Result<String, CarrierError> {
        let CarrierAccount::Twilio { .. } = account else {
            return Err(CarrierError::Unsupported);
        };
        let ring = call.ring_s.to_string();
        let mut fields = vec![
            ("To", call.to),
            ("From", call.from),
            ("Twiml", call.document),
            ("Timeout", ring.as_str()),
        ];
        if let Some(callback) = call.status_callback {
            fields.push(("StatusCallback", callback));
            for event in ["initiated", "ringing", "answered", "completed"] {
                fields.push(("StatusCallbackEvent", event));
            }
        }
        let path = account.calls_path(None);
        let reply = self
            .ask(account, Method::Post, &path, FORM, form(&fields))
            .await?;
        let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        match value.get("sid").and_then(Value::as_str) {
            Some(sid) => Ok(sid.to_owned()),
            None => Err(CarrierError::Refused {
                status: reply.status,
                code: 0,
            }),
        }
    }

    async fn ask(
        &self,
        account: &CarrierAccount,
        method: Method,
        path: &str,
        content_type: &str,
        body: String,
    ) -> Result<Reply, CarrierError> {
        let request = HttpCall {
            method,
            url: format!("{}{path}", account.base_url()),
            headers: vec![
                ("content-type".to_owned(), content_type.to_owned()),
                ("authorization".to_owned(), account.authorization()),
            ],
            body: Some(body),
            timeout_ms: WITHIN_MS,
            idempotency_key: None,
            safe_to_retry: false,
        };
        let reply = self
            .send(&request, &Caller::default(), REPLY_BODY_MAX)
            .await?;
        if reply.is_success() {
            return Ok(reply);
        }
        let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let code = value
            .get("code")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let over = code == TWILIO_NOT_IN_PROGRESS || reply.status == 404;
        Err(if over {
            CarrierError::Ended
        } else {
            CarrierError::Refused {
                status: reply.status,
                code,
            }
        })
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
