//! Pages of lists.

use sqlx::any::AnyRow;

use crate::db::Store;
use crate::error::ReadError;
use crate::limits;
use crate::sql::Sql;

/// Where a page ended: the next one begins after it. Its text form is opaque to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) at: i64,
    pub(crate) id: String,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.at, self.id)
    }
}

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct BadCursor;

impl std::str::FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (at, id) = text.split_once('_').ok_or(BadCursor)?;
        if id.contains('\0') {
            return Err(BadCursor);
        }
        Ok(Self {
            at: at.parse().map_err(|_| BadCursor)?,
            id: id.to_owned(),
        })
    }
}

/// Which page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Most entries of it; 0 is [`limits::PAGE_DEFAULT`], and more than [`limits::PAGE_MAX`] is that many.
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

/// One page of a list, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

pub(crate) fn rows_of_page(limit: u32) -> u32 {
    match limit {
        0 => limits::PAGE_DEFAULT,
        asked => asked.min(limits::PAGE_MAX),
    }
}

impl Store {
    /// Ends a statement that has its conditions with those of the page, reads it, and says where the next page begins. `time` is
    /// the column that orders the list, before `id`.
    pub(crate) async fn page<T>(
        &self,
        mut sql: Sql,
        time: &'static str,
        page: &PageRequest,
        read: fn(&AnyRow) -> sqlx::Result<T>,
    ) -> Result<List<T>, ReadError> {
        use sqlx::Row;
        if let Some(after) = &page.after {
            sql.push(" AND (").push(time).with(" < ", after.at);
            sql.push(" OR (").push(time).with(" = ", after.at);
            sql.with(" AND id < ", after.id.clone()).push("))");
        }
        let limit = rows_of_page(page.limit);
        sql.push(" ORDER BY ").push(time).push(" DESC, id DESC");
        sql.with(" LIMIT ", i64::from(limit) + 1);
        let mut rows = sql.rows(self.readers()).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = match rows.last().filter(|_| more) {
            None => None,
            Some(last) => Some(Cursor {
                at: last.try_get(time)?,
                id: last.try_get("id")?,
            }),
        };
        let items = rows.iter().map(read).collect::<sqlx::Result<Vec<T>>>()?;
        Ok(List { items, next })
    }
}

/// Adds "contains this text", whatever its case (of ASCII letters with SQLite). LIKE's wildcards in it are meant literally.
pub(crate) fn contains(sql: &mut Sql, column: &'static str, text: &str) {
    let pattern = text
        .to_lowercase()
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    sql.push(" AND LOWER(").push(column).push(") LIKE ");
    sql.bind(format!("%{pattern}%")).push(" ESCAPE '\\'");
}
