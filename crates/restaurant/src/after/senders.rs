//! The ways out: mail by SMTP, short messages by somebody's HTTP interface, webhooks, a printer on the network.

use std::time::Duration;

use courier::{Caller, Courier, HttpCall, Method, Reply, Secret, WebhookSecret};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use url::form_urlencoded::byte_serialize;

use crate::store::notices::Notice;

/// The whole of one attempt.
pub(super) const WITHIN: Duration = Duration::from_secs(20);
/// Connections to the mail server.
const MAIL_CONNECTIONS_MAX: u32 = 4;
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// How messages leave.
#[derive(Clone, Debug, Default)]
pub struct SenderConfig {
    /// `smtps://user:password@host` or `smtp://…?tls=required`; none: no mail is sent.
    pub mail_url: Option<Secret>,
    /// Whom mails are from: `Pizza Bella <contact@pizza.example>`.
    pub mail_from: Option<String>,
    /// Where short messages are posted; none: none are sent. May name `{to}`, `{text}`, `{id}`.
    pub sms_url: Option<Secret>,
    /// Headers of that request, one a line: `authorization: Bearer …`.
    pub sms_headers: Option<Secret>,
    /// Its body: JSON or a form, with `{to}`, `{text}`, `{id}`.
    pub sms_body: Option<String>,
    /// Printers that restaurants may name, as `host:port`: nothing else on the network is reached.
    pub printers: Vec<String>,
}

/// Why a setting cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {cause}")]
pub struct BadSender {
    /// The member of [`SenderConfig`].
    pub setting: &'static str,
    /// What is wrong.
    pub cause: String,
}

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The other side has it.
    Done,
    /// Worth another attempt, after the pause that the other side named.
    Later(String, Option<Duration>),
    /// It will never be taken.
    Never(String),
}

/// See the module.
pub(super) struct Senders {
    mail: Option<(AsyncSmtpTransport<Tokio1Executor>, Mailbox)>,
    sms: Option<Sms>,
    printers: Vec<String>,
    courier: Courier,
}

struct Sms {
    url: Secret,
    headers: Vec<(String, String)>,
    body: String,
}

impl Senders {
    /// # Errors
    /// Which setting cannot be used.
    pub(super) fn new(config: &SenderConfig, courier: Courier) -> Result<Self, BadSender> {
        Ok(Self {
            mail: mail(config)?,
            sms: sms(config)?,
            printers: config.printers.clone(),
            courier,
        })
    }

    /// The setting that a channel lacks.
    pub(super) fn lacks(&self, channel: &str) -> Option<&'static str> {
        match channel {
            "email" if self.mail.is_none() => Some("back_office.mail_url"),
            "sms" if self.sms.is_none() => Some("back_office.sms_url"),
            "printer" if self.printers.is_empty() => Some("back_office.printers"),
            _ => None,
        }
    }

    /// One attempt. `secret` signs a webhook.
    pub(super) async fn send(&self, notice: &Notice, secret: Option<&WebhookSecret>) -> Sent {
        if let Some(setting) = self.lacks(&notice.channel) {
            return Sent::Never(format!("no sender: {setting}"));
        }
        let attempt = async {
            match notice.channel.as_str() {
                "email" => self.mail(notice).await,
                "sms" => self.sms(notice).await,
                "webhook" => self.webhook(notice, secret).await,
                "printer" => self.print(notice).await,
                other => Sent::Never(format!("unknown channel {other}")),
            }
        };
        tokio::time::timeout(WITHIN, attempt)
            .await
            .unwrap_or_else(|_| Sent::Later("timed out".to_owned(), None))
    }

    async fn mail(&self, notice: &Notice) -> Sent {
        let Some((transport, from)) = &self.mail else {
            return Sent::Never("no sender".to_owned());
        };
        let Ok(to) = notice.target.parse::<Mailbox>() else {
            return Sent::Never("no mail address".to_owned());
        };
        let host = from.email.domain();
        let message = Message::builder()
            .from(from.clone())
            .to(to)
            .subject(notice.subject.as_deref().unwrap_or_default())
            // The same at every attempt: who got it twice sees one.
            .message_id(Some(format!("<{}@{host}>", notice.id)))
            .header(ContentType::TEXT_PLAIN)
            .body(notice.body.clone());
        let message = match message {
            Ok(message) => message,
            Err(error) => return Sent::Never(error.to_string()),
        };
        match transport.send(message).await {
            Ok(_) => Sent::Done,
            Err(error) => {
                // A server's own words repeat the address, and this goes into the log.
                let cause = match error.status() {
                    Some(code) => format!("status {code}"),
                    None => error.to_string(),
                };
                if error.is_permanent() {
                    Sent::Never(cause)
                } else {
                    Sent::Later(cause, None)
                }
            }
        }
    }

    async fn sms(&self, notice: &Notice) -> Sent {
        let Some(sms) = &self.sms else {
            return Sent::Never("no sender".to_owned());
        };
        let call = sms.call(notice);
        let nobody = Caller::default();
        let sent = self.courier.send(&call, &nobody, ANSWER_BYTES_MAX);
        match sent.await {
            Ok(reply) => judged(&reply),
            Err(error) => Sent::Later(error.label().to_owned(), None),
        }
    }

    async fn webhook(&self, notice: &Notice, secret: Option<&WebhookSecret>) -> Sent {
        let sent = self
            .courier
            .webhook(&notice.target, &notice.id, &notice.body, secret);
        match sent.await {
            Ok(reply) => judged(&reply),
            Err(error) => Sent::Later(error.label().to_owned(), None),
        }
    }

    async fn print(&self, notice: &Notice) -> Sent {
        if !self.printers.contains(&notice.target) {
            return Sent::Never("the printer is not in back_office.printers".to_owned());
        }
        let Ok(bytes) = base64_simd::STANDARD.decode_to_vec(notice.body.as_bytes()) else {
            return Sent::Never("no ticket".to_owned());
        };
        let written = async {
            let mut printer = TcpStream::connect(&notice.target).await?;
            printer.write_all(&bytes).await?;
            printer.shutdown().await
        };
        match written.await {
            Ok(()) => Sent::Done,
            Err(error) => Sent::Later(error.to_string(), None),
        }
    }
}

/// What an HTTP status means for a message. Most refusals are a setting that somebody will mend; gone is gone.
fn judged(reply: &Reply) -> Sent {
    let status = reply.status;
    match status {
        _ if reply.is_success() => Sent::Done,
        410 => Sent::Never(format!("status {status}")),
        _ => Sent::Later(format!("status {status}"), reply.retry_after),
    }
}

fn mail(
    config: &SenderConfig,
) -> Result<Option<(AsyncSmtpTransport<Tokio1Executor>, Mailbox)>, BadSender> {
    let Some(url) = &config.mail_url else {
        return Ok(None);
    };
    let bad = |setting: &'static str, cause: String| BadSender { setting, cause };
    // The address holds the password: what the library says of it is not repeated.
    let form = || {
        bad(
            "mail_url",
            "smtps://user:password@host or smtp://user:password@host:587?tls=required".to_owned(),
        )
    };
    if !keeps_secrets(url.expose()) {
        return Err(form());
    }
    let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose());
    let builder = builder.map_err(|_| form())?;
    let from = config.mail_from.as_deref().unwrap_or_default();
    let from = from
        .parse::<Mailbox>()
        .map_err(|error| bad("mail_from", error.to_string()))?;
    let transport = builder
        .timeout(Some(WITHIN))
        .pool_config(PoolConfig::new().max_size(MAIL_CONNECTIONS_MAX))
        .build();
    Ok(Some((transport, from)))
}

/// Whether a mail server's address has no password travel in clear: TLS that cannot be declined, or this machine.
fn keeps_secrets(address: &str) -> bool {
    let Ok(url) = url::Url::parse(address) else {
        return false;
    };
    let required = url
        .query_pairs()
        .any(|(name, value)| name == "tls" && value == "required");
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let number = host.parse::<std::net::IpAddr>();
    let here = host.eq_ignore_ascii_case("localhost") || number.is_ok_and(|at| at.is_loopback());
    url.scheme() == "smtps" || required || here
}

fn sms(config: &SenderConfig) -> Result<Option<Sms>, BadSender> {
    let Some(url) = config.sms_url.clone() else {
        return Ok(None);
    };
    let bad = |setting: &'static str, cause: &str| BadSender {
        setting,
        cause: cause.to_owned(),
    };
    let plain = filled(url.expose(), "1", "a", "b", Form::Url);
    if !url::Url::parse(&plain).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
        return Err(bad("sms_url", "an http(s) address"));
    }
    let mut headers = Vec::new();
    let lines = config.sms_headers.as_ref().map(Secret::expose);
    for line in lines
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim().is_empty())
    {
        let Some((name, value)) = line.split_once(':') else {
            return Err(bad("sms_headers", "one `name: value` a line"));
        };
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let body = config.sms_body.clone();
    let body = body.unwrap_or_else(|| r#"{"to": "{to}", "text": "{text}"}"#.to_owned());
    let names_to = body.contains("{to}") || url.expose().contains("{to}");
    if !names_to || !body.contains("{text}") {
        return Err(bad("sms_body", "names {to} and {text}"));
    }
    Ok(Some(Sms { url, headers, body }))
}

/// How a value is written where it stands.
#[derive(Clone, Copy)]
enum Form {
    Url,
    Plain,
}

/// Puts the values for their names.
fn filled(template: &str, to: &str, text: &str, id: &str, form: Form) -> String {
    let written = |value: &str| match form {
        Form::Url => byte_serialize(value.as_bytes()).collect(),
        Form::Plain => value.to_owned(),
    };
    let mut out = String::new();
    let mut rest = template;
    // In one pass: a text that names `{to}` itself is a text.
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let found = [("{to}", to), ("{text}", text), ("{id}", id)]
            .into_iter()
            .find(|(name, _)| after.starts_with(name));
        if let Some((name, value)) = found {
            out.push_str(&written(value));
            rest = &after[name.len()..];
        } else {
            out.push('{');
            rest = &after[1..];
        }
    }
    out.push_str(rest);
    out
}

fn filled_json(value: &mut Value, to: &str, text: &str, id: &str) {
    match value {
        Value::String(template) => *template = filled(template, to, text, id, Form::Plain),
        Value::Array(items) => {
            for item in items {
                filled_json(item, to, text, id);
            }
        }
        Value::Object(members) => {
            for (_, member) in members.iter_mut() {
                filled_json(member, to, text, id);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Sms {
    /// The request for one message.
    fn call(&self, notice: &Notice) -> HttpCall {
        let key = crate::phone::key(&notice.target);
        let to = format!("+{key}");
        let (text, id) = (notice.body.as_str(), notice.id.as_str());
        let mut headers = self.headers.clone();
        let body = if let Ok(mut json) = serde_json::from_str::<Value>(&self.body) {
            filled_json(&mut json, &to, text, id);
            json.to_string()
        } else {
            if !headers.iter().any(|(name, _)| name == "content-type") {
                let form = "application/x-www-form-urlencoded".to_owned();
                headers.push(("content-type".to_owned(), form));
            }
            filled(&self.body, &to, text, id, Form::Url)
        };
        HttpCall {
            method: Method::Post,
            url: filled(self.url.expose(), &to, text, id, Form::Url),
            headers,
            body: Some(body),
            timeout_ms: u32::try_from(WITHIN.as_millis()).unwrap_or(u32::MAX),
            idempotency_key: Some(notice.id.clone()),
            safe_to_retry: false,
        }
    }
}

#[cfg(test)]
mod tests;
