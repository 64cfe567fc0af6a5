//! Locks of the operating system on files beside the database.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use sqlx::AnyPool;

use crate::limits::HEARTBEAT_EVERY;

pub(super) struct LockFiles {
    directory: PathBuf,
    own: Mutex<Option<(PathBuf, File)>>,
}

impl LockFiles {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            own: Mutex::new(None),
        }
    }

    pub(super) fn take(&self, id: &str) -> std::io::Result<()> {
        let path = self.directory.join(id);
        let file = lock_file(&path)?;
        if let Ok(mut own) = self.own.lock() {
            *own = Some((path, file));
        }
        Ok(())
    }

    pub(super) fn is_free(&self, id: &str) -> bool {
        match File::options().write(true).open(self.directory.join(id)) {
            Ok(file) => file.try_lock().is_ok(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    pub(super) fn forget(&self, id: &str) {
        // A file that stays does no harm: it can be locked, so its process is dead.
        let _ = std::fs::remove_file(self.directory.join(id));
    }

    pub(super) fn release(&self) {
        let own = self.own.lock().map(|mut own| own.take());
        if let Ok(Some((path, lock))) = own {
            let _ = std::fs::remove_file(path);
            drop(lock);
        }
    }
}

fn lock_file(path: &Path) -> std::io::Result<File> {
    let file = File::options().write(true).create_new(true).open(path)?;
    file.try_lock().map_err(std::io::Error::from)?;
    Ok(file)
}

pub(super) async fn beat(writer: AnyPool, id: String) {
    let mut every = tokio::time::interval(HEARTBEAT_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while !writer.is_closed() {
        every.tick().await;
        let beaten = sqlx::query("UPDATE processes SET heartbeat_at = $2 WHERE id = $1")
            .bind(id.clone())
            .bind(Timestamp::now().as_microsecond())
            .execute(&writer)
            .await;
        if let Err(error) = beaten {
            tracing::debug!(%error, "heartbeat not written");
        }
    }
}
