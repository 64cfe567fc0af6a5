//! Exchange of the master key, such that a crash at any moment loses nothing:
//!
//! 1. the next key is written beside the current one, in a file of its own;
//! 2. one transaction writes both keys to the database, each encrypted with the other;
//! 3. the values are encrypted anew in batches, each a transaction; a value that is new already is left alone;
//! 4. one transaction makes the check value one of the next key and forgets the two of step 2;
//! 5. the file of the next key becomes the key file. Where the key is a setting, the operator is told to put the new one there.
//!
//! [`super::Vault::unlock`] goes on from wherever it stopped. Two processes may do so at the same time.

use std::path::PathBuf;

use super::column::{COLUMNS, Column, Row};
use super::error::VaultError;
use super::key_file::{self, KeySource};
use super::state::{self, State};
use super::{MasterKey, Vault};
use crate::db::Store;

/// What an exchange of keys did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Values that were encrypted anew by this process.
    pub values: u64,
    /// Values that opened with neither key and stay as they were (`table id`).
    pub unreadable: Vec<String>,
    /// The key is a setting: this file holds the new one, for the operator to put there.
    pub next_file: Option<PathBuf>,
}

/// Moments at which a test stops the exchange, as a crash would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    KeyWritten,
    Begun,
    BatchCommitted,
    Switched,
}

impl Step {
    /// The hook of real life.
    pub(super) fn ignore(self) -> Result<(), VaultError> {
        Ok(())
    }
}

pub(super) type Hook<'a> = &'a mut (dyn FnMut(Step) -> Result<(), VaultError> + Send);

impl Vault {
    /// Exchanges the master key. No server may run on the database.
    ///
    /// # Errors
    /// See [`VaultError`]: in use by a living process, a value that does not open (then nothing was changed), the database or
    /// the files failing (then the next start, or the next exchange, goes on).
    pub async fn rotate(
        store: &Store,
        source: &KeySource,
        next: MasterKey,
    ) -> Result<Rotated, VaultError> {
        rotate(store, source, next, &mut Step::ignore).await
    }
}

pub(super) async fn rotate(
    store: &Store,
    source: &KeySource,
    next: MasterKey,
    hook: Hook<'_>,
) -> Result<Rotated, VaultError> {
    let current = Vault::unlock(store, source).await?.vault;
    let next = Vault::of(next);
    everything_opens(store, &current).await?;
    key_file::replace(&source.next_file(), next.master())?;
    hook(Step::KeyWritten)?;
    let for_current = current
        .seal(state::NEXT, next.master().to_hex().expose())
        .await?;
    let for_next = next
        .seal(state::CURRENT, current.master().to_hex().expose())
        .await?;
    let mut write = store.write().await?;
    // First, so that a server that starts waits here or is seen below.
    let before = state::read(&mut write).await?;
    let living = store.living_processes(&mut write).await?;
    if living > 0 {
        return Err(VaultError::InUse { count: living });
    }
    state::insert(&mut write, state::NEXT, for_current).await?;
    state::insert(&mut write, state::CURRENT, for_next).await?;
    write.commit().await?;
    hook(Step::Begun)?;
    let mut report = finish(store, source, &before, (&current, &next), hook).await?;
    hook(Step::Switched)?;
    report.next_file = key_file::settle(source, next.master())?;
    Ok(report)
}

/// Steps 3 and 4.
pub(super) async fn finish(
    store: &Store,
    source: &KeySource,
    state: &State,
    (current, next): (&Vault, &Vault),
    hook: Hook<'_>,
) -> Result<Rotated, VaultError> {
    // On another machine than the one that began there may be no file; the key is about to be the only one.
    if key_file::read(&source.next_file())?.as_ref() != Some(next.master())
        && source.setting_key()?.as_ref() != Some(next.master())
    {
        key_file::replace(&source.next_file(), next.master())?;
    }
    let mut report = Rotated {
        values: 0,
        unreadable: Vec::new(),
        next_file: None,
    };
    for column in COLUMNS {
        let mut after = String::new();
        loop {
            let rows = column.rows_after(store, &after).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.id);
            let mut sealed = Vec::new();
            for row in rows {
                match sealed_anew(column, &row, current, next).await? {
                    Anew::Value(value) => sealed.push((row, value)),
                    Anew::Already => {}
                    Anew::Unreadable => report
                        .unreadable
                        .push(format!("{} {}", column.table, row.id)),
                }
            }
            let mut write = store.write().await?;
            for (row, value) in sealed {
                report.values += u64::from(column.exchange(&mut write, &row, value).await?);
            }
            write.commit().await?;
            hook(Step::BatchCommitted)?;
        }
    }
    state::switch(store, state, next.check_value().await?).await?;
    Ok(report)
}

enum Anew {
    Value(String),
    Already,
    Unreadable,
}

async fn sealed_anew(
    column: &Column,
    row: &Row,
    current: &Vault,
    next: &Vault,
) -> Result<Anew, VaultError> {
    let salt = column.salt(row);
    match current.open(&salt, &row.value).await {
        Ok(text) => Ok(Anew::Value(next.seal(&salt, text.expose()).await?)),
        Err(_) if next.open(&salt, &row.value).await.is_ok() => Ok(Anew::Already),
        Err(_) => Ok(Anew::Unreadable),
    }
}

/// Before anything changes: what does not open now would never open again.
async fn everything_opens(store: &Store, vault: &Vault) -> Result<(), VaultError> {
    for column in COLUMNS {
        let mut after = String::new();
        loop {
            let rows = column.rows_after(store, &after).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.id);
            for row in rows {
                if vault.open(&column.salt(&row), &row.value).await.is_err() {
                    return Err(VaultError::Unreadable {
                        table: column.table,
                        id: row.id,
                    });
                }
            }
        }
    }
    Ok(())
}
