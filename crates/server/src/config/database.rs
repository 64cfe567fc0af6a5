//! Where the database is, and how it may be shown.

use crate::settings::Settings;
use std::path::Path;

/// Where the database is.
pub(crate) fn database(settings: &Settings) -> String {
    settings.set("server.database").map_or_else(
        || {
            Path::new(settings.text("server.data_dir"))
                .join("allo.db")
                .display()
                .to_string()
        },
        |database| {
            database
                .trim_start_matches("sqlite://")
                .trim_start_matches("sqlite:")
                .to_owned()
        },
    )
}

/// Whether that database is a PostgreSQL server.
pub(crate) fn is_postgres(database: &str) -> bool {
    database.starts_with("postgres://") || database.starts_with("postgresql://")
}

/// The address of a database as it may be shown: a server's has no password.
pub(crate) fn without_password(database: &str) -> String {
    let Some((scheme, rest)) = database.split_once("://") else {
        return database.to_owned();
    };
    // What follows the name of the database may hold a password as well.
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    let Some((user, place)) = rest.rsplit_once('@') else {
        return format!("{scheme}://{rest}");
    };
    let name = user.split_once(':').map_or(user, |(name, _)| name);
    format!("{scheme}://{name}@{place}")
}
