//! `allo privacy`: what is kept of a telephone number, told or erased across all accounts; and how long what is kept.

use std::process::ExitCode;
use std::time::Duration;

use call::TenantId;
use catalog::Message;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};
use store::{Artefact, Keeper, PageRequest, Store, TenantFilter, TenantScope};

use crate::cli::{ConfigArguments, settings_or_report};
use crate::config;
use crate::serve::{causes, open_store};
use crate::settings::Settings;
use crate::terminal::{Terminal, json_line};

#[derive(Debug, Subcommand)]
pub(crate) enum PrivacyCommand {
    /// Print everything that is kept of a telephone number, as JSON.
    Export(NumberArguments),
    /// Erase or anonymise everything that is kept of a telephone number. Costs stay; calls in progress refuse it.
    Erase(NumberArguments),
}

#[derive(Debug, Args)]
pub(crate) struct NumberArguments {
    /// The number, in any spelling: +33612345678, 06 12 34 56 78.
    number: String,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Carries the command out.
pub(crate) async fn run(command: &PrivacyCommand) -> ExitCode {
    let (PrivacyCommand::Export(arguments) | PrivacyCommand::Erase(arguments)) = command;
    let settings = match settings_or_report(&arguments.config) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    let terminal = Terminal::new(config::language(&settings));
    let store = match open_store(&config::database(&settings)).await {
        Ok(store) => store,
        Err(message) => {
            terminal.complain(&message);
            return ExitCode::FAILURE;
        }
    };
    let number = arguments.number.trim();
    let done = match command {
        PrivacyCommand::Export(_) => export(&store, number).await,
        PrivacyCommand::Erase(_) => erase(&store, number, terminal).await,
    };
    store.close().await;
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            terminal.complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Message {
    Message::new("privacy_failed").with("cause", causes(error))
}

/// Parts of the product that keep data of people beside the store's own.
pub(crate) fn keepers() -> Vec<Keeper> {
    crate::wiring::keepers()
}

async fn tenants(store: &Store) -> Result<Vec<TenantScope>, Message> {
    let mut scopes = Vec::new();
    let mut page = PageRequest::default();
    loop {
        let list = store.node_tenants(&TenantFilter::default(), &page).await;
        let list = list.map_err(|error| failed(&error))?;
        let ids = list.items.iter().map(|tenant| tenant.id.as_str());
        scopes.extend(ids.map(|id| TenantScope::new(TenantId::from(id))));
        match list.next {
            Some(next) => page.after = Some(next),
            None => return Ok(scopes),
        }
    }
}

async fn export(store: &Store, number: &str) -> Result<(), Message> {
    let mut told = Map::new();
    for scope in tenants(store).await? {
        let mut of_tenant = store
            .export_phone_number(&scope, number)
            .await
            .map_err(|error| failed(&error))?;
        for keeper in keepers() {
            let part = (keeper.tell)(store.clone(), scope.clone(), number.to_owned()).await;
            of_tenant[keeper.name] =
                part.map_err(|cause| Message::new("privacy_failed").with("cause", cause))?;
        }
        told.insert(scope.tenant().as_str().to_owned(), of_tenant);
    }
    let all = json!({ "phone": number, "at": Timestamp::now(), "accounts": told });
    json_line(&serde_json::to_string_pretty(&all).unwrap_or_default());
    Ok(())
}

async fn erase(store: &Store, number: &str, terminal: Terminal) -> Result<(), Message> {
    let (mut calls, mut chats, mut others) = (0, 0, 0);
    let (mut recordings, mut left) = (0, 0);
    for scope in tenants(store).await? {
        let erased = store
            .erase_phone_number(&scope, number)
            .await
            .map_err(|error| {
                if matches!(error, store::ChangeError::InUse { .. }) {
                    Message::new("privacy_in_use")
                } else {
                    failed(&error)
                }
            })?;
        calls += erased.calls.len();
        chats += erased.chats;
        others += erased.questions;
        recordings += erased.recordings.len();
        left += store::remove_recordings(&erased.recordings).len();
        for keeper in keepers() {
            let part = (keeper.erase)(store.clone(), scope.clone(), number.to_owned()).await;
            let count =
                part.map_err(|cause| Message::new("privacy_failed").with("cause", cause))?;
            others += usize::try_from(count).unwrap_or(usize::MAX);
        }
    }
    // Pages that were freed still hold the words; a server at work may keep us from it.
    if let Err(error) = store.node_scrub().await {
        tracing::warn!(
            error = causes(&error),
            "freed pages of the database were not overwritten"
        );
    }
    terminal.say(
        &Message::new("privacy_erased")
            .with("calls", calls)
            .with("chats", chats)
            .with("recordings", recordings - left)
            .with("entries", others),
    );
    if left > 0 {
        return Err(Message::new("privacy_recordings_left").with("count", left));
    }
    Ok(())
}

/// How long each kind of data is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retention {
    artefacts: Vec<(Artefact, Duration)>,
    recordings: Option<Duration>,
    others: Option<Duration>,
}

/// The settings and what they are about.
const KINDS: &[(&str, &[Artefact])] = &[
    (
        "retention.transcripts_days",
        &[Artefact::Transcripts, Artefact::Contexts],
    ),
    ("retention.journals_days", &[Artefact::Journals]),
    ("retention.tool_runs_days", &[Artefact::ToolRuns]),
    ("retention.deliveries_days", &[Artefact::Deliveries]),
    ("retention.chats_days", &[Artefact::Chats]),
];

impl Retention {
    /// What the settings say; 0 keeps for ever.
    pub(crate) fn read(settings: &Settings) -> Self {
        let days = |key: &str| match settings.integer(key) {
            0 => None,
            days => Some(Duration::from_secs(days * 86_400)),
        };
        let artefacts = KINDS
            .iter()
            .filter_map(|(key, kinds)| Some((days(key)?, kinds)))
            .flat_map(|(kept, kinds)| kinds.iter().map(move |kind| (*kind, kept)))
            .collect();
        Self {
            artefacts,
            recordings: days("retention.recordings_days"),
            others: days("retention.persons_days"),
        }
    }

    /// Removes what is older than it is to be.
    pub(crate) async fn sweep(&self, store: &Store, keepers: &[Keeper], now: Timestamp) {
        let before = |kept: Duration| {
            SignedDuration::try_from(kept)
                .ok()
                .and_then(|kept| now.checked_sub(kept).ok())
                .unwrap_or(Timestamp::MIN)
        };
        let mut removed = 0;
        for (artefact, kept) in &self.artefacts {
            match store.node_expire(None, *artefact, before(*kept)).await {
                Ok(count) => removed += count,
                Err(error) => tracing::debug!(%error, ?artefact, "what is old was not removed"),
            }
        }
        if let Some(kept) = self.recordings {
            // A page at a time, until none is left.
            loop {
                match store.node_expire_recordings(before(kept)).await {
                    Ok(paths) if paths.is_empty() => break,
                    Ok(paths) => {
                        removed += u64::try_from(paths.len()).unwrap_or(0);
                        store::remove_recordings(&paths);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "old recordings were not removed");
                        break;
                    }
                }
            }
        }
        if let Some(kept) = self.others {
            for keeper in keepers {
                match (keeper.expire)(store.clone(), before(kept)).await {
                    Ok(count) => removed += count,
                    Err(cause) => {
                        tracing::debug!(cause, keeper.name, "what is old was not removed")
                    }
                }
            }
        }
        if removed > 0 {
            let count = i64::try_from(removed).unwrap_or(i64::MAX);
            crate::terminal::log(&Message::new("log_retention_swept").with("count", count));
        }
    }
}
