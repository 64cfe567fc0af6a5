//! `allo calls` and `allo call explain`: read from the database, also while the server runs.

use crate::cli::{CallsArguments, ConfigArguments, ExplainArguments, settings_or_report};
use crate::config;
use crate::serve::{causes, open_store};
use crate::terminal::{Terminal, json_line, line, one_line};
use call::{CallId, TenantId};
use catalog::{Message, Numbers};
use std::process::ExitCode;
use store::explain::Explanation;
use store::{CallFilter, CallRecord, PageRequest, ReadError, Store, TenantFilter, TenantScope};

/// Explains a stored call.
///
/// # Errors
/// When the database cannot be read.
pub(crate) async fn of(
    store: &Store,
    record: &CallRecord,
    id: &CallId,
) -> Result<Explanation, ReadError> {
    let scope = TenantScope::new(TenantId::from(record.tenant.as_str()));
    let events = store.events(&scope, id).await?;
    let transcript = store.transcript(&scope, id).await?;
    Ok(store::explain::explain(record, &events, &transcript))
}

/// Opens the store of the settings for reading.
async fn opened(arguments: &ConfigArguments) -> Result<(Store, Terminal), ExitCode> {
    let settings = settings_or_report(arguments)?;
    let terminal = Terminal::new(config::language(&settings));
    let database = config::database(&settings);
    if !config::is_postgres(&database) && !std::path::Path::new(&database).exists() {
        terminal.complain(&Message::new("store_missing").with("path", database));
        return Err(ExitCode::FAILURE);
    }
    match open_store(&database).await {
        Ok(store) => Ok((store, terminal)),
        Err(message) => {
            terminal.complain(&message);
            Err(ExitCode::FAILURE)
        }
    }
}

fn read_failed(terminal: Terminal, error: &ReadError) -> ExitCode {
    terminal.complain(&Message::new("start_failed").with("cause", causes(error)));
    ExitCode::FAILURE
}

/// `allo calls`.
pub(crate) async fn calls(arguments: &CallsArguments) -> ExitCode {
    let (store, terminal) = match opened(&arguments.config).await {
        Ok(opened) => opened,
        Err(status) => return status,
    };
    let calls = match newest(&store, arguments.limit).await {
        Ok(calls) => calls,
        Err(error) => return read_failed(terminal, &error),
    };
    if arguments.json {
        for record in &calls {
            json_line(&serde_json::to_string(record).unwrap_or_default());
        }
        return ExitCode::SUCCESS;
    }
    if calls.is_empty() {
        terminal.say(&Message::new("calls_none"));
    }
    for record in &calls {
        line(&row(terminal, record));
    }
    ExitCode::SUCCESS
}

/// One call as a line: id, time, who, how long, and the sentence on its end.
fn row(terminal: Terminal, record: &CallRecord) -> String {
    let zone = jiff::tz::TimeZone::system();
    let when = record
        .started_at
        .to_zoned(zone)
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string();
    let talk = record.talk_ms().map_or_else(
        || "-".to_owned(),
        |ms| format!("{}:{:02}", ms / 60_000, ms / 1_000 % 60),
    );
    let verdict = record.end.as_ref().map_or_else(
        || terminal.text(&Message::new("calls_running")),
        |end| terminal.text(&end.verdict),
    );
    format!(
        "{}  {when}  {:>16} → {:<16} {talk:>6}  {verdict}",
        record.id,
        catalog::redact::phone(&one_line(&record.from)),
        one_line(&record.to)
    )
}

/// `allo call explain`.
pub(crate) async fn explain(arguments: &ExplainArguments) -> ExitCode {
    let (store, terminal) = match opened(&arguments.config).await {
        Ok(opened) => opened,
        Err(status) => return status,
    };
    match found(&store, &arguments.id).await {
        Ok(Some(record)) => match of(&store, &record, &CallId::from(record.id.as_str())).await {
            Ok(explanation) => {
                print(terminal, arguments, &explanation);
                ExitCode::SUCCESS
            }
            Err(error) => read_failed(terminal, &error),
        },
        Ok(None) => {
            terminal.complain(&Message::new("call_not_found").with("id", arguments.id.as_str()));
            ExitCode::FAILURE
        }
        Err(error) => read_failed(terminal, &error),
    }
}

async fn found(store: &Store, id: &str) -> Result<Option<CallRecord>, ReadError> {
    if id == "last" {
        return Ok(newest(store, 1).await?.into_iter().next());
    }
    for scope in scopes(store).await? {
        let found = store.call(&scope, &CallId::from(id)).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Every account: the command line is the operator's.
async fn scopes(store: &Store) -> Result<Vec<TenantScope>, ReadError> {
    let mut scopes = Vec::new();
    let mut page = PageRequest::default();
    loop {
        let list = store.node_tenants(&TenantFilter::default(), &page).await?;
        let ids = list.items.iter().map(|tenant| tenant.id.as_str());
        scopes.extend(ids.map(|id| TenantScope::new(TenantId::from(id))));
        match list.next {
            Some(next) => page.after = Some(next),
            None => return Ok(scopes),
        }
    }
}

/// The newest calls of all accounts.
async fn newest(store: &Store, limit: u32) -> Result<Vec<CallRecord>, ReadError> {
    let mut calls = Vec::new();
    for scope in scopes(store).await? {
        let filter = CallFilter {
            limit,
            ..CallFilter::default()
        };
        calls.extend(store.list_calls(&scope, &filter, None).await?.calls);
    }
    calls.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
    calls.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(calls)
}

fn print(terminal: Terminal, arguments: &ExplainArguments, explanation: &Explanation) {
    if arguments.json {
        json_line(
            &explanation
                .json(terminal.language, Numbers::Masked)
                .to_string(),
        );
    } else {
        line(
            explanation
                .text(terminal.language, Numbers::Masked)
                .trim_end(),
        );
    }
}
