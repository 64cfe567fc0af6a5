//! Requests that leave the house: the courier's settings, and the outbox's delivery.

use crate::config;
use crate::settings::{Problem, Settings};
use catalog::Message;
use courier::{Allow, Courier, CourierConfig, Outbox, OutboxHandle, WebhookSecrets};
use std::time::Duration;
use store::Store;
use store::secret::Vault;

/// Reads the settings of the courier.
pub(crate) fn settings(settings: &Settings, problems: &mut Vec<Problem>) -> CourierConfig {
    let mut allow = Allow::default();
    for entry in settings.list("tools.allow_private") {
        if let Err(bad) = allow.add(&entry) {
            problems.push(Problem::new("courier_allow_invalid").with("entry", bad.entry));
        }
    }
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
        name_servers: Vec::new(),
        deadline: Duration::from_secs(settings.integer("tools.deadline_s")),
    }
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
