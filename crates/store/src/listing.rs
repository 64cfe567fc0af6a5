//! Lists of calls: what to list, page by page.

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use crate::call_record::{COLUMNS, CallRecord, CallState, record};
use crate::db::Store;
use crate::error::ReadError;
use crate::limits;
use crate::scope::TenantScope;

/// Which calls to list; the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Part of the caller's or the called number.
    pub party: Option<String>,
    /// Name of the line.
    pub line: Option<String>,
    /// Name of the agent.
    pub agent: Option<String>,
    /// Label of the end reason.
    pub reason: Option<String>,
    /// Running or finished only.
    pub state: Option<CallState>,
    /// Begun at this time or later.
    pub since: Option<Timestamp>,
    /// Begun before this time.
    pub until: Option<Timestamp>,
    /// Most calls of one page; 0 is 50, and more than [`limits::PAGE_MAX`] is that many.
    pub limit: u32,
}

/// Where a page ended: the next one begins after it. Its text form is opaque to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    started_at: i64,
    id: String,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.started_at, self.id)
    }
}

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct BadCursor;

impl std::str::FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (started_at, id) = text.split_once('_').ok_or(BadCursor)?;
        Ok(Self {
            started_at: started_at.parse().map_err(|_| BadCursor)?,
            id: id.to_owned(),
        })
    }
}

/// One page of a list, newest call first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The calls.
    pub calls: Vec<CallRecord>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

impl Store {
    /// The calls of a tenant, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn list_calls(
        &self,
        scope: &TenantScope,
        filter: &CallFilter,
        after: Option<&Cursor>,
    ) -> Result<Page, ReadError> {
        let limit = match filter.limit {
            0 => 50,
            asked => asked.min(limits::PAGE_MAX),
        };
        let mut query = list_query(scope, filter, after);
        query
            .push(" ORDER BY started_at DESC, id DESC LIMIT ")
            .push_bind(i64::from(limit) + 1);
        let rows = query.build().fetch_all(self.readers()).await?;
        let mut calls = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
        let more = calls.len() > limit as usize;
        calls.truncate(limit as usize);
        let next = calls.last().filter(|_| more).map(|last| Cursor {
            started_at: last.started_at.as_microsecond(),
            id: last.id.clone(),
        });
        Ok(Page { calls, next })
    }
}

fn list_query(
    scope: &TenantScope,
    filter: &CallFilter,
    after: Option<&Cursor>,
) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query.push_bind(scope.id().to_owned());
    if let Some(party) = &filter.party {
        // LIKE's wildcards in what was typed are meant literally.
        let pattern = format!(
            "%{}%",
            party
                .replace('\\', "\\\\")
                .replace('%', "\\%")
                .replace('_', "\\_")
        );
        query
            .push(" AND (from_party LIKE ")
            .push_bind(pattern.clone())
            .push(" ESCAPE '\\' OR to_party LIKE ");
        query.push_bind(pattern).push(" ESCAPE '\\')");
    }
    for (column, value) in [
        (" AND line = ", &filter.line),
        (" AND agent = ", &filter.agent),
        (" AND reason = ", &filter.reason),
    ] {
        if let Some(value) = value {
            query.push(column).push_bind(value.clone());
        }
    }
    match filter.state {
        Some(CallState::Running) => drop(query.push(" AND ended_at IS NULL")),
        Some(CallState::Finished) => drop(query.push(" AND ended_at IS NOT NULL")),
        None => {}
    }
    if let Some(since) = filter.since {
        query
            .push(" AND started_at >= ")
            .push_bind(since.as_microsecond());
    }
    if let Some(until) = filter.until {
        query
            .push(" AND started_at < ")
            .push_bind(until.as_microsecond());
    }
    if let Some(after) = after {
        query
            .push(" AND (started_at < ")
            .push_bind(after.started_at);
        query.push(" OR (started_at = ").push_bind(after.started_at);
        query
            .push(" AND id < ")
            .push_bind(after.id.clone())
            .push("))");
    }
    query
}
