//! The vault: the master key, the keys derived from it, and how it is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::cache::Cache;
use super::cipher::{DerivedKey, MasterKey, Sealed, SecretText};
use super::column::COLUMNS;
use super::error::{OpenValueError, VaultError};
use super::key_file::{self, KeySource};
use super::rotation::{self, Rotated, Step};
use super::state::{self, State};
use super::{DERIVATIONS_AT_ONCE, DERIVED_KEYS_MAX, SALT_BYTES_MAX, VALUE_BYTES_MAX};
use crate::db::Store;

/// Encrypts and decrypts values; cloning it gives another handle.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    master: MasterKey,
    derived: Mutex<Cache>,
    gate: Semaphore,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

/// Where the key came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOrigin {
    /// The setting `server.encryption_key`.
    Setting,
    /// The key file.
    File(PathBuf),
    /// The file that an exchange of keys left.
    NextFile(PathBuf),
}

impl fmt::Display for KeyOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting => f.write_str("ENCRYPTION_KEY"),
            Self::File(path) | Self::NextFile(path) => path.display().fmt(f),
        }
    }
}

/// An opened vault and what happened on the way.
#[derive(Debug)]
pub struct Unlocked {
    /// The vault.
    pub vault: Vault,
    /// Where its key came from.
    pub origin: KeyOrigin,
    /// There was no key and nothing encrypted: this file was made.
    pub made: Option<PathBuf>,
    /// Clear values that were encrypted.
    pub migrated: u64,
    /// An exchange of keys that had been interrupted was finished.
    pub finished: Option<Rotated>,
    /// The setting still names the key of before the exchange; the new one is in this file.
    pub outdated_setting: Option<PathBuf>,
}

impl Vault {
    /// Opens the vault of a database: finds the key, makes a key file where there is none and nothing is encrypted yet,
    /// verifies the key, finishes an exchange of keys that was interrupted, encrypts clear values of before.
    ///
    /// # Errors
    /// See [`VaultError`]. Nothing that was readable is lost then.
    pub async fn unlock(store: &Store, source: &KeySource) -> Result<Unlocked, VaultError> {
        let mut write = store.write().await?;
        let state = state::read(&mut write).await?;
        write.commit().await?;
        let mut unlocked = match &state.check {
            Some(_) => Self::known(store, source, &state).await?,
            None => Self::fresh(store, source).await?,
        };
        unlocked.migrated = unlocked.vault.migrate(store).await?;
        unlocked.migrated += unlocked.vault.migrate_members(store).await?;
        if unlocked.migrated > 0 {
            store.forget_freed_pages().await?;
        }
        Ok(unlocked)
    }

    /// A vault on the key alone, for tools where there is no database.
    ///
    /// # Errors
    /// [`VaultError::MissingKey`] where there is none; the errors of the key file.
    pub fn without_database(source: &KeySource) -> Result<Self, VaultError> {
        candidates(source)?
            .into_iter()
            .next()
            .map(|(_, key)| Self::of(key))
            .ok_or_else(|| VaultError::MissingKey {
                path: source.file(),
            })
    }

    pub(super) fn of(master: MasterKey) -> Self {
        Self {
            inner: Arc::new(Inner {
                master,
                derived: Mutex::new(Cache::new(DERIVED_KEYS_MAX)),
                gate: Semaphore::new(DERIVATIONS_AT_ONCE),
            }),
        }
    }

    pub(super) fn master(&self) -> &MasterKey {
        &self.inner.master
    }

    /// Encrypts a value. `id` is the salt: the id of the row, or [`super::account_salt`].
    ///
    /// # Errors
    /// See [`OpenValueError`].
    pub async fn seal(&self, id: &str, text: &str) -> Result<String, OpenValueError> {
        if text.len() > VALUE_BYTES_MAX {
            return Err(OpenValueError::TooLong);
        }
        self.derived(id)
            .await?
            .seal(text)
            .ok_or(OpenValueError::Failed)
    }

    /// Reads a stored value: decrypts one that has the encrypted form; another is a clear one of before, given as it is.
    ///
    /// # Errors
    /// See [`OpenValueError`]. A value that has the encrypted form and does not open is an error, never a clear text.
    pub async fn open(&self, id: &str, stored: &str) -> Result<SecretText, OpenValueError> {
        match Sealed::parse(stored) {
            Some(sealed) => self.derived(id).await?.open(&sealed),
            None => Ok(SecretText::new(stored)),
        }
    }

    pub(super) async fn derived(&self, salt: &str) -> Result<DerivedKey, OpenValueError> {
        if salt.len() > SALT_BYTES_MAX {
            return Err(OpenValueError::TooLong);
        }
        if let Some(key) = self.cached(salt) {
            return Ok(key);
        }
        let failed = |_| OpenValueError::Failed;
        // Never closed.
        let _permit = self
            .inner
            .gate
            .acquire()
            .await
            .map_err(|_| OpenValueError::Failed)?;
        // Somebody may have derived it while this one waited.
        if let Some(key) = self.cached(salt) {
            return Ok(key);
        }
        let (master, own_salt) = (self.inner.master.clone(), salt.to_owned());
        let key = tokio::task::spawn_blocking(move || master.derive(&own_salt))
            .await
            .map_err(failed)?;
        self.cache().put(salt.to_owned(), key.clone());
        Ok(key)
    }

    fn cached(&self, salt: &str) -> Option<DerivedKey> {
        self.cache().get(salt)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.inner
            .derived
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn check_value(&self) -> Result<String, VaultError> {
        Ok(self.seal(state::CHECK, state::CHECK_TEXT).await?)
    }

    async fn opens_check(&self, check: &str) -> bool {
        self.open(state::CHECK, check)
            .await
            .is_ok_and(|text| text.expose() == state::CHECK_TEXT)
            && super::is_sealed(check)
    }

    /// A database that has seen its key.
    async fn known(
        store: &Store,
        source: &KeySource,
        state: &State,
    ) -> Result<Unlocked, VaultError> {
        let check = state.check.as_deref().unwrap_or_default();
        let candidates = candidates(source)?;
        for (origin, key) in &candidates {
            let vault = Self::of(key.clone());
            if vault.opens_check(check).await {
                let next = vault.key_in(state::NEXT, state.next.as_deref()).await?;
                return Self::settled(store, source, state, (vault, origin.clone()), next).await;
            }
        }
        // The setting may name the next key already, while the exchange is not finished.
        for (origin, key) in &candidates {
            let next = Self::of(key.clone());
            let current = next.key_in(state::CURRENT, state.current.as_deref()).await;
            if let Ok(Some(current)) = current {
                let current = Self::of(current);
                if current.opens_check(check).await {
                    let next = Some(key.clone());
                    return Self::settled(store, source, state, (current, origin.clone()), next)
                        .await;
                }
            }
        }
        Err(match candidates.first() {
            Some((origin, _)) => VaultError::WrongKey {
                origin: origin.to_string(),
            },
            None => VaultError::MissingKey {
                path: source.file(),
            },
        })
    }

    async fn key_in(
        &self,
        salt: &str,
        stored: Option<&str>,
    ) -> Result<Option<MasterKey>, VaultError> {
        let Some(stored) = stored else {
            return Ok(None);
        };
        let text = self.open(salt, stored).await?;
        Ok(MasterKey::from_hex(text.expose()))
    }

    /// The key is known to be right: finishes an exchange that was interrupted, in the database or in the files.
    async fn settled(
        store: &Store,
        source: &KeySource,
        state: &State,
        (current, origin): (Self, KeyOrigin),
        next: Option<MasterKey>,
    ) -> Result<Unlocked, VaultError> {
        let (vault, finished) = match next {
            Some(next) => {
                let next = Self::of(next);
                let report =
                    rotation::finish(store, source, state, (&current, &next), &mut Step::ignore)
                        .await?;
                (next, Some(report))
            }
            None => (current, None),
        };
        let outdated_setting = key_file::settle(source, vault.master())?;
        Ok(Unlocked {
            vault,
            origin,
            made: None,
            migrated: 0,
            finished,
            outdated_setting,
        })
    }

    /// A database that has no check value: new, or its rows came from another program.
    async fn fresh(store: &Store, source: &KeySource) -> Result<Unlocked, VaultError> {
        let sample = sealed_sample(store).await?;
        let mut made = None;
        let (origin, key) = match (candidates(source)?.into_iter().next(), &sample) {
            (Some(found), _) => found,
            (None, Some(_)) => {
                return Err(VaultError::MissingKey {
                    path: source.file(),
                });
            }
            (None, None) => {
                let path = source.file();
                let key = key_file::make(&path, &MasterKey::generate())?;
                made = Some(path.clone());
                (KeyOrigin::File(path), key)
            }
        };
        let vault = Self::of(key);
        let wrong = || VaultError::WrongKey {
            origin: origin.to_string(),
        };
        if let Some((salt, stored)) = sample {
            vault.open(&salt, &stored).await.map_err(|_| wrong())?;
        }
        let check = vault.check_value().await?;
        let mut write = store.write().await?;
        let first = state::insert(&mut write, state::CHECK, check).await?;
        let now = state::read(&mut write).await?;
        write.commit().await?;
        // Another node may have been first, with another key.
        if !first
            && !vault
                .opens_check(now.check.as_deref().unwrap_or_default())
                .await
        {
            return Err(wrong());
        }
        Ok(Unlocked {
            vault,
            origin,
            made,
            migrated: 0,
            finished: None,
            outdated_setting: None,
        })
    }

    /// Encrypts clear values, of before or written by a statement of hand, batch by batch; how many there were.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn seal_clear(&self, store: &Store) -> Result<u64, VaultError> {
        self.migrate(store).await
    }

    async fn migrate(&self, store: &Store) -> Result<u64, VaultError> {
        let mut migrated = 0;
        for column in COLUMNS {
            let mut after = String::new();
            loop {
                let rows = column.rows_after(store, &after).await?;
                let Some(last) = rows.last() else { break };
                after.clone_from(&last.id);
                let mut sealed = Vec::new();
                for row in rows {
                    if !super::is_sealed(&row.value) {
                        let value = self.seal(&column.salt(&row), &row.value).await?;
                        sealed.push((row, value));
                    }
                }
                if sealed.is_empty() {
                    continue;
                }
                let mut write = store.write().await?;
                for (row, value) in sealed {
                    migrated += u64::from(column.exchange(&mut write, &row, value).await?);
                }
                write.commit().await?;
            }
        }
        Ok(migrated)
    }
}

/// The keys that may be the right one, in the order in which they are tried.
fn candidates(source: &KeySource) -> Result<Vec<(KeyOrigin, MasterKey)>, VaultError> {
    let mut found = Vec::new();
    match source.setting_key()? {
        Some(key) => found.push((KeyOrigin::Setting, key)),
        None => {
            let path = source.file();
            if let Some(key) = key_file::read(&path)? {
                found.push((KeyOrigin::File(path), key));
            }
        }
    }
    let path = source.next_file();
    if let Some(key) = key_file::read(&path)? {
        found.push((KeyOrigin::NextFile(path), key));
    }
    Ok(found)
}

/// Some encrypted value, with its salt.
async fn sealed_sample(store: &Store) -> Result<Option<(String, String)>, VaultError> {
    for column in COLUMNS {
        let mut after = String::new();
        loop {
            let rows = column.rows_after(store, &after).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.id);
            if let Some(row) = rows.into_iter().find(|row| super::is_sealed(&row.value)) {
                return Ok(Some((column.salt(&row), row.value)));
            }
        }
    }
    Ok(None)
}
