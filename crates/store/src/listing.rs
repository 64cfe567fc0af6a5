//! Lists of calls: what to list, page by page.

use jiff::Timestamp;

use crate::call_record::{COLUMNS, CallRecord, CallState, record};
use crate::db::Store;
use crate::error::ReadError;
use crate::page::{Cursor, rows_of_page};
use crate::scope::Reach;
use crate::sql::Sql;

/// Which calls to list; the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Part of the caller's or the called number.
    pub party: Option<String>,
    /// Name of the line.
    pub line: Option<String>,
    /// Name of the agent.
    pub agent: Option<String>,
    /// Id of the agent.
    pub agent_id: Option<String>,
    /// Id of the final customer.
    pub final_customer_id: Option<String>,
    /// What came of it.
    pub outcome: Option<String>,
    /// Label of the end reason.
    pub reason: Option<String>,
    /// Running or finished only.
    pub state: Option<CallState>,
    /// Begun at this time or later.
    pub since: Option<Timestamp>,
    /// Begun before this time.
    pub until: Option<Timestamp>,
    /// Most calls of one page; 0 is [`limits::PAGE_DEFAULT`](crate::limits::PAGE_DEFAULT), and more than
    /// [`limits::PAGE_MAX`](crate::limits::PAGE_MAX) is that many.
    pub limit: u32,
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
    /// The calls of a tenant, or of all, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn list_calls(
        &self,
        reach: impl Into<Reach>,
        filter: &CallFilter,
        after: Option<&Cursor>,
    ) -> Result<Page, ReadError> {
        let limit = rows_of_page(filter.limit);
        let mut query = list_query(&reach.into(), filter, after);
        query
            .push(" ORDER BY started_at DESC, id DESC LIMIT ")
            .bind(i64::from(limit) + 1);
        let rows = query.rows(self.readers()).await?;
        let mut calls = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
        let more = calls.len() > limit as usize;
        calls.truncate(limit as usize);
        let next = calls.last().filter(|_| more).map(|last| Cursor {
            at: last.started_at.as_microsecond(),
            id: last.id.clone(),
        });
        Ok(Page { calls, next })
    }
}

fn list_query(reach: &Reach, filter: &CallFilter, after: Option<&Cursor>) -> Sql {
    let mut query = Sql::new(COLUMNS);
    reach.condition(&mut query);
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
            .bind(pattern.clone())
            .push(" ESCAPE '\\' OR to_party LIKE ");
        query.bind(pattern).push(" ESCAPE '\\')");
    }
    for (column, value) in [
        (" AND line = ", &filter.line),
        (" AND agent = ", &filter.agent),
        (" AND agent_id = ", &filter.agent_id),
        (" AND final_customer_id = ", &filter.final_customer_id),
        (" AND outcome = ", &filter.outcome),
        (" AND reason = ", &filter.reason),
    ] {
        if let Some(value) = value {
            query.push(column).bind(value.clone());
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
            .bind(since.as_microsecond());
    }
    if let Some(until) = filter.until {
        query
            .push(" AND started_at < ")
            .bind(until.as_microsecond());
    }
    if let Some(after) = after {
        query.push(" AND (started_at < ").bind(after.at);
        query.push(" OR (started_at = ").bind(after.at);
        query.push(" AND id < ").bind(after.id.clone()).push("))");
    }
    query
}
