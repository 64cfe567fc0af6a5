//! `allo admin`, and the link by which the first administrator is made.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use catalog::Message;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use store::Store;

use crate::cli::{ConfigArguments, settings_or_report};
use crate::serve::{causes, open_store};
use crate::settings::Settings;
use crate::terminal::{Terminal, line};
use crate::{config, pages, platform_api};

/// How long a link can be used.
const LINK_HOURS: i64 = 24;

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Print a link by which an administrator (an owner of the node) is made in the browser: once, within 24 hours. It also helps who
    /// lost the password.
    Link(LinkArguments),
}

#[derive(Debug, Args)]
pub(crate) struct LinkArguments {
    /// The link alone, for programs.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Carries the command out.
pub(crate) async fn run(command: &AdminCommand) -> ExitCode {
    let AdminCommand::Link(arguments) = command;
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
    let done = further_link(&store, &settings, terminal, arguments.quiet).await;
    store.close().await;
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            terminal.complain(&message);
            ExitCode::FAILURE
        }
    }
}

async fn further_link(
    store: &Store,
    settings: &Settings,
    terminal: Terminal,
    quiet: bool,
) -> Result<(), Message> {
    let is_there = store.node_has_administrator().await;
    let is_there = is_there.map_err(|error| failed(&error))?;
    let link = new_link(store, &address(settings), true).await?;
    if quiet {
        line(&link);
        return Ok(());
    }
    terminal.say(&said(&link));
    if is_there {
        terminal.say(&Message::new("first_run_unneeded"));
    }
    Ok(())
}

/// The address of the pages: of the server that runs on this data directory, else of the settings.
fn address(settings: &Settings) -> String {
    let is_tls = settings.set("platform.tls_certificate").is_some();
    let bound = bound(Path::new(settings.text("server.data_dir")));
    let set = || settings.set("platform.listen")?.parse().ok();
    bound
        .or_else(set)
        .map_or_else(String::new, |address| platform_api::url(address, is_tls))
}

fn bound(data_dir: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(data_dir.join("addresses.json")).ok()?;
    let addresses: Value = serde_json::from_str(&text).ok()?;
    addresses.get("platform")?.as_str()?.parse().ok()
}

/// What is printed where nobody is an administrator yet: a link that is worth nothing once somebody is.
///
/// # Errors
/// The message says what the database said.
pub(crate) async fn first_link(store: &Store, base: &str) -> Result<Option<Message>, Message> {
    let is_there = store.node_has_administrator().await;
    if is_there.map_err(|error| failed(&error))? {
        return Ok(None);
    }
    let link = new_link(store, base, false).await?;
    Ok(Some(said(&link)))
}

async fn new_link(store: &Store, base: &str, further: bool) -> Result<String, Message> {
    let until = Timestamp::now().checked_add(SignedDuration::from_hours(LINK_HOURS));
    let until = until.map_err(|error| failed(&error))?;
    let token = store.node_new_link(until, further).await;
    let token = token.map_err(|error| failed(&error))?;
    Ok(format!("{base}{}#{}", pages::SET_UP, token.text()))
}

fn said(link: &str) -> Message {
    Message::new("first_run_link")
        .with("link", link)
        .with("hours", LINK_HOURS)
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Message {
    Message::new("first_run_failed").with("cause", causes(error))
}
