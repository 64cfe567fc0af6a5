//! A fresh database of each kind for each test: a file, and, where `ALLO_TEST_POSTGRES` names a server, a database of it.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, Executor};
use store::Store;
use tempfile::TempDir;

/// The server's URL; `scripts/test` sets it.
pub(crate) const SERVER: &str = "ALLO_TEST_POSTGRES";

pub(crate) struct Place {
    location: String,
    _directory: Option<TempDir>,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("data").join("allo.db");
        Self {
            location: path.to_str().expect("a UTF-8 path").to_owned(),
            _directory: Some(directory),
        }
    }

    /// `None`, and one line that says so, when no server is named.
    pub(crate) async fn postgres() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var(SERVER) else {
            let _ = writeln!(
                std::io::stderr(),
                "skipped: {SERVER} names no PostgreSQL (scripts/postgres start)"
            );
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let time = store::new_id().replace('-', "");
        let name = format!("allo_{}_{number}_{time}", std::process::id());
        let mut connection = sqlx::PgConnection::connect(&server)
            .await
            .expect("the server answers");
        connection
            .execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await
            .expect("a database is made");
        connection.close().await.expect("in order");
        let (base, _) = server.rsplit_once('/').expect("a URL with a database");
        Some(Self {
            location: format!("{base}/{name}"),
            _directory: None,
        })
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self._directory.is_none()
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.location).await.expect("the store opens")
    }

    /// A statement behind the store's back.
    pub(crate) async fn execute(&self, sql: &'static str) -> sqlx::Result<()> {
        if self.is_postgres() {
            self.server_connection().await.execute(sql).await.map(drop)
        } else {
            let url = format!("sqlite:{}", self.location);
            let mut connection = sqlx::SqliteConnection::connect(&url).await?;
            connection.execute(sql).await.map(drop)
        }
    }

    /// The judgement of the database itself: nothing is damaged.
    pub(crate) async fn assert_sound(&self) {
        if self.is_postgres() {
            let mut connection = self.server_connection().await;
            connection
                .execute("CREATE EXTENSION IF NOT EXISTS amcheck")
                .await
                .expect("Debian's PostgreSQL has it");
            sqlx::query(
                "SELECT bt_index_check(c.oid, true)::text FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid \
                 JOIN pg_am m ON m.oid = c.relam WHERE m.amname = 'btree' AND c.relnamespace = 'public'::regnamespace",
            )
            .fetch_all(&mut connection)
            .await
            .expect("every index agrees with its table");
            connection.close().await.expect("in order");
        } else {
            let url = format!("sqlite:{}", self.location);
            let mut connection = sqlx::SqliteConnection::connect(&url)
                .await
                .expect("it opens");
            let verdict: String = sqlx::query_scalar("PRAGMA integrity_check")
                .fetch_one(&mut connection)
                .await
                .expect("it answers");
            assert_eq!(verdict, "ok");
            let broken = sqlx::query("PRAGMA foreign_key_check")
                .fetch_all(&mut connection)
                .await
                .expect("it answers");
            assert!(broken.is_empty(), "references lead nowhere");
            connection.close().await.expect("in order");
        }
    }

    pub(crate) async fn server_connection(&self) -> sqlx::PgConnection {
        sqlx::PgConnection::connect(&self.location)
            .await
            .expect("the server answers")
    }
}

/// Each test runs on a fresh database of each kind.
#[allow(unused_macros, reason = "each test program uses a part of this file")]
macro_rules! on_both {
    ($($(#[doc = $doc:literal])* async fn $name:ident($place:ident) $body:block)+) => {$(
        $(#[doc = $doc])*
        #[allow(clippy::unwrap_used, reason = "the body of a test")]
        mod $name {
            #[allow(unused_imports, reason = "each test needs others")]
            use super::*;

            async fn run($place: &Place) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run(&Place::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(place) = Place::postgres().await {
                    run(&place).await;
                }
            }
        }
    )+};
}
