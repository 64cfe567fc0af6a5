//! What the database knows of its key: a check value, and while keys are exchanged each of the two keys, encrypted with the
//! other.

use jiff::Timestamp;
use sqlx::Row as _;

use crate::db::{Store, Write};
use crate::error::WriteError;
use crate::process::ProcessRow;

/// Encrypted with the master key; opens only with it.
pub(super) const CHECK: &str = "check";
/// The next key, encrypted with the current one.
pub(super) const NEXT: &str = "rotation:next";
/// The current key, encrypted with the next one.
pub(super) const CURRENT: &str = "rotation:current";

/// What the check value says.
pub(super) const CHECK_TEXT: &str = "allo vault";

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) check: Option<String>,
    pub(super) next: Option<String>,
    pub(super) current: Option<String>,
}

/// Reads the state. The row of the check value is written, so that this waits for an exchange that is about to begin, and that
/// one for this: whoever comes second sees what the first did.
pub(super) async fn read(write: &mut Write) -> Result<State, WriteError> {
    sqlx::query("UPDATE vault SET updated_at = $1 WHERE id = $2")
        .bind(Timestamp::now().as_microsecond())
        .bind(CHECK.to_owned())
        .execute(&mut **write)
        .await?;
    let mut state = State::default();
    for row in sqlx::query("SELECT id, value FROM vault")
        .fetch_all(&mut **write)
        .await?
    {
        let (id, value): (String, String) = (row.try_get("id")?, row.try_get("value")?);
        match id.as_str() {
            CHECK => state.check = Some(value),
            NEXT => state.next = Some(value),
            CURRENT => state.current = Some(value),
            _ => {}
        }
    }
    Ok(state)
}

/// Writes a row that is not there yet; whether it was this one.
pub(super) async fn insert(write: &mut Write, id: &str, value: String) -> Result<bool, WriteError> {
    let done = sqlx::query(
        "INSERT INTO vault (id, value, updated_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
    )
    .bind(id.to_owned())
    .bind(value)
    .bind(Timestamp::now().as_microsecond())
    .execute(&mut **write)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The next key becomes the key, if nobody else made it so.
pub(super) async fn switch(store: &Store, seen: &State, check: String) -> Result<(), WriteError> {
    let mut write = store.write().await?;
    let done =
        sqlx::query("UPDATE vault SET value = $1, updated_at = $2 WHERE id = $3 AND value = $4")
            .bind(check)
            .bind(Timestamp::now().as_microsecond())
            .bind(CHECK.to_owned())
            .bind(seen.check.clone().unwrap_or_default())
            .execute(&mut *write)
            .await?;
    if done.rows_affected() == 1 {
        sqlx::query("DELETE FROM vault WHERE id IN ($1, $2)")
            .bind(NEXT.to_owned())
            .bind(CURRENT.to_owned())
            .execute(&mut *write)
            .await?;
    }
    write.commit().await
}

impl Store {
    /// Says that this process works on the database. A server does so before it opens the vault, so that keys are not exchanged
    /// under it.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn announce(&self) -> Result<(), WriteError> {
        self.inner.processes.own_id(self.writer()).await?;
        Ok(())
    }

    /// How many other processes work on the database.
    pub(super) async fn living_processes(&self, write: &mut Write) -> Result<usize, WriteError> {
        let rows = ProcessRow::read(write, "WHERE stopped_at IS NULL").await?;
        let mut living = 0;
        for process in rows {
            living += usize::from(!self.inner.processes.is_dead(write, &process).await?);
        }
        Ok(living)
    }
}
