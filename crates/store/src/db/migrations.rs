//! The migrations, embedded by a list of ours: sqlx's macro would build all of sqlx, and SQLite, once more for the compiler alone.

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Name without its ending, and text.
type File = (&'static str, &'static str);

macro_rules! of {
    ($folder:literal) => {
        of!($folder:
            "20261121000000_first",
            "20261121000001_platform",
            "20261121000500_vault",
            "20261121000700_outbox_destination",
            "20261128000100_lines",
            "20261128000300_agent_orders",
            "20261128001000_chat_token",
            "20261128001100_agent_secrets",
            "20261129003000_calls_of_the_node",
            "20261129004000_devices",
            "20261130002000_turn",
            "20261130003000_call_packets",
        )
    };
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../migrations/", $folder, "/", $name, ".sql")))),*]
    };
}

const SQLITE: &[File] = of!("sqlite");
const POSTGRES: &[File] = of!("postgres");

/// Those of SQLite.
pub(super) fn sqlite() -> Migrator {
    migrator(SQLITE)
}

/// Those of PostgreSQL.
pub(super) fn postgres() -> Migrator {
    migrator(POSTGRES)
}

/// `20261121000000_first` is version and description, as sqlx reads the names of files.
fn migrator(files: &[File]) -> Migrator {
    let read = files.iter().filter_map(|(name, text)| {
        let (version, description) = name.split_once('_')?;
        Some(Migration::new(
            version.parse().ok()?,
            description.replace('_', " ").into(),
            MigrationType::Simple,
            SqlStr::from_static(text),
            false,
        ))
    });
    Migrator::with_migrations(read.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_there_and_none_asks_for_more_than_is_read() {
        for (folder, files) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
            let path = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
            let mut there: Vec<String> = std::fs::read_dir(path)
                .expect("a folder")
                .map(|entry| {
                    entry
                        .expect("an entry")
                        .file_name()
                        .into_string()
                        .expect("a name")
                })
                .collect();
            there.sort();
            let listed: Vec<String> = files
                .iter()
                .map(|(name, _)| format!("{name}.sql"))
                .collect();
            assert_eq!(there, listed);
            assert_eq!(migrator(files).iter().count(), files.len());
            assert!(
                files
                    .iter()
                    .all(|(_, text)| !text.starts_with("-- no-transaction"))
            );
        }
    }
}
