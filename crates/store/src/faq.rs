//! Questions and answers of an agent.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::entry::{Content, Entry, Value, new_id};
use crate::error::ReadError;
use crate::limits;
use crate::page::{List, PageRequest, contains};
use crate::scope::{Reach, TenantScope};
use crate::sql::Sql;

/// A question that callers ask, and its answer once somebody gave one.
#[derive(Clone, Debug, PartialEq)]
pub struct Faq {
    /// Of which agent.
    pub agent_id: String,
    /// The question, at most [`QUESTION_BYTES_MAX`](crate::limits::QUESTION_BYTES_MAX).
    pub question: String,
    /// The answer.
    pub answer: Option<String>,
    /// What it is about.
    pub category: String,
    /// `pending`, `answered` or `ignored`.
    pub status: String,
    /// Who asked first.
    pub caller_phone: Option<String>,
    /// How often it was asked.
    pub ask_count: i64,
}

/// Which faqs to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaqFilter {
    /// Of this agent.
    pub agent_id: Option<String>,
    /// Of this status.
    pub status: Option<String>,
    /// Of this category.
    pub category: Option<String>,
    /// With this in the question.
    pub search: Option<String>,
}

impl Content for Faq {
    const TABLE: &'static str = "faqs";
    const WHAT: &'static str = "faq";
    const UNIQUE: &'static str = "the question";
    const COLUMNS: &'static [&'static str] = &[
        "agent_id",
        "question",
        "answer",
        "category",
        "status",
        "caller_phone",
        "ask_count",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.agent_id).into(),
            (&self.question).into(),
            (&self.answer).into(),
            (&self.category).into(),
            (&self.status).into(),
            (&self.caller_phone).into(),
            self.ask_count.into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            agent_id: row.try_get("agent_id")?,
            question: row.try_get("question")?,
            answer: row.try_get("answer")?,
            category: row.try_get("category")?,
            status: row.try_get("status")?,
            caller_phone: row.try_get("caller_phone")?,
            ask_count: row.try_get("ask_count")?,
        })
    }
}

impl Store {
    /// Makes a faq.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_faq(
        &self,
        scope: &TenantScope,
        id: &str,
        faq: &Faq,
    ) -> Result<Entry<Faq>, ChangeError> {
        bounded(faq)?;
        self.create(scope.into(), id, faq).await
    }

    /// One faq; `None` when there is none of that id here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn faq(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Entry<Faq>>, ReadError> {
        self.entry(scope.into(), id).await
    }

    /// The faqs, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn faqs(
        &self,
        reach: impl Into<Reach>,
        filter: &FaqFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<Faq>>, ReadError> {
        self.entries_within(&reach.into(), page, |sql| {
            if let Some(text) = &filter.agent_id {
                sql.with(" AND agent_id = ", text.clone());
            }
            if let Some(text) = &filter.status {
                sql.with(" AND status = ", text.clone());
            }
            if let Some(text) = &filter.category {
                sql.with(" AND category = ", text.clone());
            }
            if let Some(search) = &filter.search {
                contains(sql, "question", search);
            }
        })
        .await
    }

    /// Changes a faq.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_faq(
        &self,
        scope: &TenantScope,
        id: &str,
        faq: &Faq,
        expected: Option<i64>,
    ) -> Result<Entry<Faq>, ChangeError> {
        bounded(faq)?;
        self.change(scope.into(), id, faq, expected).await
    }

    /// Removes a faq.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_faq(
        &self,
        scope: &TenantScope,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        self.erase::<Faq>(scope.into(), id, expected).await
    }

    /// Notes that a question was asked: a new one becomes an entry, the same question again is counted.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn ask_faq(&self, scope: &TenantScope, faq: &Faq) -> Result<Entry<Faq>, ChangeError> {
        let mut write = self.write().await?;
        let result = take(&mut write, scope, faq).await;
        write.settle(result).await
    }

    /// Takes many entries at once, as [`Store::ask_faq`] does each; all or none. At most
    /// [`BATCH_MAX`](crate::limits::BATCH_MAX).
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn import_faqs(
        &self,
        scope: &TenantScope,
        faqs: &[Faq],
    ) -> Result<usize, ChangeError> {
        if faqs.len() > limits::BATCH_MAX {
            return Err(ChangeError::Refused { cause: "too_many" });
        }
        let mut write = self.write().await?;
        let mut result = Ok(0);
        for faq in faqs {
            result = take(&mut write, scope, faq).await.map(|_| faqs.len());
            if result.is_err() {
                break;
            }
        }
        write.settle(result).await
    }
}

/// A question is part of an index.
fn bounded(faq: &Faq) -> Result<(), ChangeError> {
    if faq.question.len() > limits::QUESTION_BYTES_MAX {
        return Err(ChangeError::Refused { cause: "too_long" });
    }
    Ok(())
}

async fn take(
    write: &mut Write,
    scope: &TenantScope,
    faq: &Faq,
) -> Result<Entry<Faq>, ChangeError> {
    bounded(faq)?;
    let mut sql = Sql::new("SELECT id FROM faqs WHERE tenant_id = ");
    sql.bind(scope.id().to_owned());
    sql.with(" AND agent_id = ", faq.agent_id.clone());
    sql.with(" AND question = ", faq.question.replace('\0', ""));
    sql.push(write.lock());
    let Some(row) = sql.row_in(write).await? else {
        return write.insert(scope.into(), &new_id(), faq).await;
    };
    let id: String = row.try_get("id")?;
    let mut there = write.locked::<Faq>(scope.into(), &id).await?;
    there.content.ask_count += 1;
    if there.answer.is_none() && faq.answer.is_some() {
        there.content.answer.clone_from(&faq.answer);
        there.content.status.clone_from(&faq.status);
    }
    write.update(scope.into(), &id, &there.content, None).await
}
