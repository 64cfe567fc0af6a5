//! Statements that are put together: the text with its numbered places, and the values that go there.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Arguments, AssertSqlSafe, Encode, Type};
use sqlx::{AnyConnection, AnyPool};

/// A statement under construction. Values never become part of its text.
#[derive(Default)]
pub(crate) struct Sql {
    text: String,
    values: AnyArguments,
    count: usize,
}

impl Sql {
    /// Begins with words of ours.
    pub(crate) fn new(words: &str) -> Self {
        let mut sql = Self::default();
        sql.push(words);
        sql
    }

    /// Adds words of ours.
    pub(crate) fn push(&mut self, words: &str) -> &mut Self {
        self.text.push_str(words);
        self
    }

    /// Adds a place and its value.
    pub(crate) fn bind<'t, T: Encode<'t, Any> + Type<Any>>(&mut self, value: T) -> &mut Self {
        // Encoding for `Any` stores the value and cannot fail; a lost one would be refused by the database for its count.
        if self.values.add(value).is_ok() {
            self.count += 1;
        }
        self.text.push('$');
        self.text.push_str(&self.count.to_string());
        self
    }

    /// Adds words and the value that follows them.
    pub(crate) fn with<'t, T: Encode<'t, Any> + Type<Any>>(
        &mut self,
        words: &str,
        value: T,
    ) -> &mut Self {
        self.push(words).bind(value)
    }

    fn query(self) -> Query<'static, Any, AnyArguments> {
        sqlx::query_with(AssertSqlSafe(self.text), self.values)
    }

    pub(crate) async fn rows(self, pool: &AnyPool) -> sqlx::Result<Vec<AnyRow>> {
        self.query().fetch_all(pool).await
    }

    pub(crate) async fn row(self, pool: &AnyPool) -> sqlx::Result<Option<AnyRow>> {
        self.query().fetch_optional(pool).await
    }

    pub(crate) async fn rows_in(self, connection: &mut AnyConnection) -> sqlx::Result<Vec<AnyRow>> {
        self.query().fetch_all(connection).await
    }

    pub(crate) async fn row_in(
        self,
        connection: &mut AnyConnection,
    ) -> sqlx::Result<Option<AnyRow>> {
        self.query().fetch_optional(connection).await
    }

    /// Runs it; the number of rows that it touched.
    pub(crate) async fn run(self, connection: &mut AnyConnection) -> sqlx::Result<u64> {
        Ok(self.query().execute(connection).await?.rows_affected())
    }
}
