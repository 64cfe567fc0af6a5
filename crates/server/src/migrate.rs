//! `allo migrate`: the one SIP account of the settings before becomes a stored account.

use crate::cli::{ConfigArguments, settings_or_report};
use crate::config;
use crate::secrets::key_source;
use crate::serve::open_store;
use crate::settings::Settings;
use crate::terminal::Terminal;
use catalog::Message;
use clap::Args;
use std::process::ExitCode;
use store::secret::Vault;
use store::{
    AppSettings, PageRequest, Sealed, SipAccount, SipAccountFilter, Store, TenantScope,
    app_settings,
};

/// Label of the account, as the recommended statement has it.
const LABEL: &str = "Compte Principal (migré)";

#[derive(Debug, Args)]
pub(crate) struct MigrateArguments {
    /// Database that has the table `app_settings`: a file or a postgres:// address. Without it the database of allo itself, then the
    /// settings of the process (SIP_USERNAME and the others).
    #[arg(long)]
    from: Option<String>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Carries the command out.
pub(crate) async fn run(arguments: &MigrateArguments) -> ExitCode {
    let settings = match settings_or_report(&arguments.config) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    let terminal = Terminal::new(config::language(&settings));
    match migrate(arguments, &settings, terminal).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            terminal.complain(&message);
            ExitCode::FAILURE
        }
    }
}

async fn migrate(
    arguments: &MigrateArguments,
    settings: &Settings,
    terminal: Terminal,
) -> Result<(), Message> {
    let database = config::database(settings);
    let store = open_store(&database).await?;
    let (found, origin) = match &arguments.from {
        Some(from) => {
            let read = app_settings(from).await;
            let read = read.map_err(|error| {
                Message::new("migrate_unreadable").with("cause", crate::serve::causes(&error))
            })?;
            (read, "app_settings")
        }
        None => match app_settings(&database).await {
            Ok(Some(found)) => (Some(found), "app_settings"),
            Ok(None) | Err(_) => (of_process(settings), "SIP_USERNAME"),
        },
    };
    let Some(found) = found else {
        terminal.say(&Message::new("migrate_nothing"));
        return Ok(());
    };
    let done = take_over(arguments, settings, (&store, terminal), found, origin).await;
    store.close().await;
    done
}

/// The account of the process's settings.
fn of_process(settings: &Settings) -> Option<AppSettings> {
    let username = settings.set("line.username")?;
    let port = settings.integer("line.port");
    let port = if port == 0 {
        String::new()
    } else {
        format!(":{port}")
    };
    Some(AppSettings {
        trunk_uri: format!("sip:{username}@{}{port}", settings.text("line.domain")),
        username: Some(
            settings
                .set("line.auth_username")
                .unwrap_or(username)
                .to_owned(),
        ),
        password: settings.set("line.password").map(str::to_owned),
        contact_host: None,
        contact_port: None,
        contact_transport: Some(settings.text("line.transport").to_owned()),
    })
}

async fn take_over(
    arguments: &MigrateArguments,
    settings: &Settings,
    (store, terminal): (&Store, Terminal),
    found: AppSettings,
    origin: &'static str,
) -> Result<(), Message> {
    let scope = TenantScope::default_tenant();
    let known = store
        .sip_accounts(
            &scope,
            &SipAccountFilter::default(),
            &PageRequest {
                limit: u32::MAX,
                ..PageRequest::default()
            },
        )
        .await
        .map_err(|error| error.message())?;
    let named = |code: &'static str, id: &str| {
        Message::new(code)
            .with("uri", found.trunk_uri.as_str())
            .with("origin", origin)
            .with("account", id)
    };
    if let Some(there) = known
        .items
        .iter()
        .find(|account| account.trunk_uri == found.trunk_uri)
    {
        terminal.say(&named("migrate_already", &there.id));
        return Ok(());
    }
    if arguments.dry_run {
        terminal.say(&named("migrate_would", ""));
        return Ok(());
    }
    let unlocked = Vault::unlock(store, &key_source(settings)).await;
    let vault = unlocked.map_err(|error| error.message())?.vault;
    let id = store.node_new_sip_account_id().await;
    let id = id.map_err(|error| error.message())?;
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let password = match filled(found.password.clone()) {
        Some(password) => {
            let sealed = vault.seal(&id, &password).await;
            Some(Sealed::new(sealed.map_err(|_| {
                Message::new("migrate_unreadable").with("cause", "password")
            })?))
        }
        None => None,
    };
    let transport = filled(found.contact_transport.clone()).map(|text| text.to_ascii_lowercase());
    let account = SipAccount {
        label: LABEL.to_owned(),
        trunk_uri: found.trunk_uri.clone(),
        username: filled(found.username.clone()),
        password,
        contact_host: filled(found.contact_host.clone()),
        contact_port: found
            .contact_port
            .filter(|port| (1..=65_535).contains(port)),
        contact_transport: transport.or_else(|| Some("udp".to_owned())),
        is_default: !known.items.iter().any(|account| account.is_default),
        is_active: true,
        weight: 1,
        settings: "{}".to_owned(),
        ..SipAccount::default()
    };
    let made = store.create_sip_account(&scope, &id, &account).await;
    made.map_err(|error| error.message())?;
    terminal.say(&named("migrate_done", &id));
    if origin == "SIP_USERNAME" {
        terminal.say(&Message::new("migrate_remove_setting"));
    }
    Ok(())
}
