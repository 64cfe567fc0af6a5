//! `allo secrets`, and how the server opens its vault.

use crate::cli::{ConfigArguments, settings_or_report};
use crate::config;
use crate::serve::open_store;
use crate::settings::Settings;
use crate::terminal::{Terminal, line};
use catalog::Message;
use clap::{Args, Subcommand};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use store::Store;
use store::secret::{
    KeySource, MasterKey, Rotated, SecretText, Unlocked, VALUE_BYTES_MAX, Vault, VaultError,
};

/// Exit status when the encryption key is missing, wrong or unusable.
pub(crate) const EXIT_SECRETS: u8 = 3;

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Print a new encryption key, for ENCRYPTION_KEY.
    Generate,
    /// Encrypt standard input (without its last line end) as the password of a line.
    Encrypt(LineArguments),
    /// Decrypt the stored password of a line from standard input.
    Decrypt(LineArguments),
    /// Exchange the encryption key and encrypt every stored value anew. The server must be stopped.
    Rotate(ConfigArguments),
}

#[derive(Debug, Args)]
pub(crate) struct LineArguments {
    /// Id of the phone line.
    #[arg(long)]
    line: String,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Carries a command out.
pub(crate) async fn run(command: &SecretsCommand) -> ExitCode {
    match command {
        SecretsCommand::Generate => {
            line(MasterKey::generate().to_hex().expose());
            ExitCode::SUCCESS
        }
        SecretsCommand::Encrypt(arguments) => match prepared(&arguments.config).await {
            Ok((terminal, vault)) => encrypt(terminal, &vault, &arguments.line).await,
            Err(status) => status,
        },
        SecretsCommand::Decrypt(arguments) => match prepared(&arguments.config).await {
            Ok((terminal, vault)) => decrypt(terminal, &vault, &arguments.line).await,
            Err(status) => status,
        },
        SecretsCommand::Rotate(arguments) => rotate(arguments).await,
    }
}

/// Where the settings say that the key is.
pub(crate) fn key_source(settings: &Settings) -> KeySource {
    KeySource {
        setting: settings.set("server.encryption_key").map(SecretText::new),
        data_dir: PathBuf::from(settings.text("server.data_dir")),
    }
}

/// Opens the vault of a server that starts.
///
/// # Errors
/// The message says what is wrong with the key; the server must not start then.
pub(crate) async fn unlock(
    terminal: Terminal,
    store: &Store,
    source: &KeySource,
) -> Result<Vault, Message> {
    store.announce().await.map_err(|error| error.message())?;
    let unlocked = Vault::unlock(store, source)
        .await
        .map_err(|error| error.message())?;
    tell(terminal, &unlocked);
    Ok(unlocked.vault)
}

fn tell(terminal: Terminal, unlocked: &Unlocked) {
    if let Some(path) = &unlocked.made {
        terminal.complain(&Message::new("secrets_made").with("path", path.display().to_string()));
    }
    if unlocked.migrated > 0 {
        terminal.complain(&counted("secrets_migrated", unlocked.migrated));
    }
    if let Some(rotated) = &unlocked.finished {
        tell_rotated(terminal, rotated);
    }
    if let Some(path) = &unlocked.outdated_setting {
        tell_outdated(terminal, path);
    }
}

fn tell_rotated(terminal: Terminal, rotated: &Rotated) {
    for value in &rotated.unreadable {
        terminal.complain(&Message::new("secrets_left").with("value", value.as_str()));
    }
    terminal.complain(&counted("secrets_rotated", rotated.values));
}

fn tell_outdated(terminal: Terminal, path: &std::path::Path) {
    terminal.complain(&Message::new("secrets_outdated").with("path", path.display().to_string()));
}

fn counted(code: &'static str, count: u64) -> Message {
    Message::new(code).with("count", i64::try_from(count).unwrap_or(i64::MAX))
}

/// The vault for a tool: verified against the database where there is one.
async fn prepared(arguments: &ConfigArguments) -> Result<(Terminal, Vault), ExitCode> {
    let settings = settings_or_report(arguments)?;
    let terminal = Terminal::new(config::language(&settings));
    let source = key_source(&settings);
    let database = config::database(&settings);
    let opened = if database.contains("://") || std::path::Path::new(&database).exists() {
        let store = open_store(&database)
            .await
            .map_err(|message| refused(terminal, &message))?;
        let opened = Vault::unlock(&store, &source).await;
        store.close().await;
        opened.map(|unlocked| {
            tell(terminal, &unlocked);
            unlocked.vault
        })
    } else {
        Vault::without_database(&source)
    };
    opened
        .map(|vault| (terminal, vault))
        .map_err(|error| vault_refused(terminal, &error))
}

fn vault_refused(terminal: Terminal, error: &VaultError) -> ExitCode {
    refused(terminal, &error.message())
}

fn refused(terminal: Terminal, message: &Message) -> ExitCode {
    terminal.complain(message);
    status_of(message)
}

/// The exit status of a start that failed.
pub(crate) fn status_of(message: &Message) -> ExitCode {
    if message.code.starts_with("secrets_") {
        ExitCode::from(EXIT_SECRETS)
    } else {
        ExitCode::FAILURE
    }
}

/// Standard input, bounded, without its last line end.
fn input() -> Result<SecretText, String> {
    let mut text = String::new();
    let bound = u64::try_from(VALUE_BYTES_MAX * 2).unwrap_or(u64::MAX);
    std::io::stdin()
        .take(bound)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(SecretText::new(line.strip_suffix('\r').unwrap_or(line)))
}

/// Standard output as it is: what was decrypted is for a program, or for eyes that asked for it.
fn output(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn encrypt(terminal: Terminal, vault: &Vault, line_id: &str) -> ExitCode {
    let text = match input() {
        Ok(text) => text,
        Err(cause) => {
            return refused(
                terminal,
                &Message::new("secrets_input").with("cause", cause),
            );
        }
    };
    match vault.seal(line_id, text.expose()).await {
        Ok(sealed) => output(&format!("{sealed}\n")),
        Err(error) => vault_refused(terminal, &VaultError::Value(error)),
    }
}

async fn decrypt(terminal: Terminal, vault: &Vault, line_id: &str) -> ExitCode {
    let stored = match input() {
        Ok(text) => text,
        Err(cause) => {
            return refused(
                terminal,
                &Message::new("secrets_input").with("cause", cause),
            );
        }
    };
    let opened = match store::secret::is_sealed(stored.expose()) {
        true => vault.open(line_id, stored.expose()).await.ok(),
        false => None,
    };
    match opened {
        Some(text) => output(text.expose()),
        None => refused(
            terminal,
            &Message::new("secrets_not_opened").with("id", line_id),
        ),
    }
}

async fn rotate(arguments: &ConfigArguments) -> ExitCode {
    let settings = match settings_or_report(arguments) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    let terminal = Terminal::new(config::language(&settings));
    let database = config::database(&settings);
    if !database.contains("://") && !std::path::Path::new(&database).exists() {
        return refused(
            terminal,
            &Message::new("store_missing").with("path", database),
        );
    }
    let store = match open_store(&database).await {
        Ok(store) => store,
        Err(message) => return refused(terminal, &message),
    };
    let rotated = Vault::rotate(&store, &key_source(&settings), MasterKey::generate()).await;
    store.close().await;
    match rotated {
        Ok(rotated) => {
            tell_rotated(terminal, &rotated);
            if let Some(path) = &rotated.next_file {
                tell_outdated(terminal, path);
            }
            ExitCode::SUCCESS
        }
        Err(error) => vault_refused(terminal, &error),
    }
}
