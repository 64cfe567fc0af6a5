//! Requests that leave the house: the courier's settings, and the outbox's delivery.

use crate::config;
use crate::settings::{Problem, Settings};
use catalog::Message;
use courier::traces::{Collector, Exporter};
use courier::{Allow, Courier, CourierConfig, Outbox, OutboxHandle, Secret, WebhookSecrets};
use std::time::Duration;
use store::Store;
use store::secret::Vault;

/// Reads the settings of the courier.
pub(crate) fn settings(settings: &Settings, problems: &mut Vec<Problem>) -> CourierConfig {
    let mut allow = opened(settings, "tools.allow_private", problems);
    if let Some(url) = settings.set("tools.back_office")
        && allow.add_origin_of(url).is_err()
    {
        problems.push(config::bad_value(
            settings,
            "tools.back_office",
            "http://localhost:3000",
        ));
    }
    CourierConfig {
        allow,
        extra_ca_pem: settings
            .set("tools.ca")
            .and_then(|_| config::read_pem(settings, "tools.ca", problems))
            .unwrap_or_default(),
        collector: collector(settings, problems),
        name_servers: Vec::new(),
        deadline: Duration::from_secs(settings.integer("tools.deadline_s")),
    }
}

/// Origins and networks that a setting opens.
fn opened(settings: &Settings, key: &str, problems: &mut Vec<Problem>) -> Allow {
    let mut allow = Allow::default();
    for entry in settings.list(key) {
        if let Err(bad) = allow.add(&entry) {
            problems.push(Problem::new("courier_allow_invalid").with("entry", bad.entry));
        }
    }
    allow
}

/// How the certificates of those who sign callers' numbers are fetched: whoever calls names their addresses, so that nothing is open to them that is open
/// to tools.
pub(crate) fn certificates(
    settings: &Settings,
    extra_ca_pem: &[u8],
    problems: &mut Vec<Problem>,
) -> CourierConfig {
    CourierConfig {
        allow: opened(settings, "stir.allow_private", problems),
        extra_ca_pem: extra_ca_pem.to_vec(),
        ..CourierConfig::default()
    }
}

/// The path of traces below the address of a collector (OTLP/HTTP).
const TRACES_PATH: &str = "/v1/traces";

/// Where traces go, if anywhere.
fn collector(settings: &Settings, problems: &mut Vec<Problem>) -> Option<Collector> {
    let endpoint = settings.set("traces.endpoint")?.trim_end_matches('/');
    let url = if endpoint.ends_with(TRACES_PATH) {
        endpoint.to_owned()
    } else {
        format!("{endpoint}{TRACES_PATH}")
    };
    let mut bad = |key, example: &'static str| {
        problems.push(config::bad_value(settings, key, example));
    };
    if !Exporter::is_address(&url) {
        bad("traces.endpoint", "http://localhost:4318");
        return None;
    }
    let listed = settings.set("traces.headers").unwrap_or_default();
    let pairs = listed.split(',').filter(|pair| !pair.trim().is_empty());
    let mut headers = Vec::new();
    for pair in pairs {
        match pair.split_once('=') {
            Some((name, value)) if Exporter::is_header(name.trim(), &decoded(value.trim())) => {
                headers.push((name.trim().to_owned(), Secret::new(decoded(value.trim()))));
            }
            Some(_) | None => bad("traces.headers", "authorization=Bearer%20token,x-tenant=a"),
        }
    }
    Some(Collector {
        url,
        headers,
        service: settings.text("traces.service").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        numbers: settings.switch("traces.numbers"),
    })
}

/// A value as OTEL_EXPORTER_OTLP_HEADERS has it: bytes may stand there as %xx (W3C Baggage).
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let pair = after
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match byte.filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The courier and the delivery of what it owes.
pub(crate) struct Outgoing {
    pub(crate) courier: Courier,
    pub(crate) outbox: OutboxHandle,
}

impl Outgoing {
    /// Starts both. What an earlier process left in the outbox is delivered from here on.
    ///
    /// # Errors
    /// The message says what failed.
    pub(crate) fn start(
        config: CourierConfig,
        store: &Store,
        vault: Vault,
    ) -> Result<Self, Message> {
        let courier = Courier::new(config).map_err(|error| {
            Message::new("start_failed").with("cause", crate::serve::causes(&error))
        })?;
        let of = store.clone();
        // The same secret as for the tools of the account's agents.
        let secrets = WebhookSecrets::from_fn(move |scope| {
            let (store, vault) = (of.clone(), vault.clone());
            Box::pin(async move {
                let found = engine::directory::signing_secret(&store, &vault, &scope).await;
                found.map_err(|_| ())
            })
        });
        let outbox = Outbox::start(store.clone(), courier.clone(), secrets);
        Ok(Self { courier, outbox })
    }
}
