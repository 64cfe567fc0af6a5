//! Text chats with agents.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::billing::{Booking, book};
use crate::change::ChangeError;
use crate::db::Store;
use crate::entry::{Content, Entry, Value, time, time_if};
use crate::error::ReadError;
use crate::limits;
use crate::page::{List, PageRequest};
use crate::scope::TenantScope;
use crate::sql::Sql;

/// A chat.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatSession {
    /// With which agent.
    pub agent_id: String,
    /// The version of it that the chat keeps.
    pub agent_version: i64,
    /// Who writes, as JSON text.
    pub visitor: Option<String>,
    /// The conversation's state, as JSON text: enough to go on with it in another process.
    pub context: Option<String>,
    /// What came of it.
    pub outcome: Option<String>,
    /// The costs item by item, as JSON text.
    pub costs: Option<String>,
    /// The costs in micro-units.
    pub cost_micro: Option<i64>,
    /// ISO 4217 code of the costs.
    pub currency: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What somebody wrote in a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Its place, from 0.
    pub seq: i64,
    /// `user`, `assistant`, `tool` or `system`.
    pub role: String,
    /// The text.
    pub content: String,
    /// More (a tool call, its answer), as JSON text.
    pub detail: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Which chats to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatFilter {
    /// With this agent.
    pub agent_id: Option<String>,
    /// Only those that go on.
    pub is_open: bool,
}

impl Content for ChatSession {
    const TABLE: &'static str = "chat_sessions";
    const WHAT: &'static str = "chat_session";
    const UNIQUE: &'static str = "id";
    const COLUMNS: &'static [&'static str] = &[
        "agent_id",
        "agent_version",
        "visitor",
        "context",
        "outcome",
        "costs",
        "cost_micro",
        "currency",
        "ended_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.agent_id).into(),
            self.agent_version.into(),
            (&self.visitor).into(),
            (&self.context).into(),
            (&self.outcome).into(),
            (&self.costs).into(),
            self.cost_micro.into(),
            (&self.currency).into(),
            self.ended_at.into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            agent_id: row.try_get("agent_id")?,
            agent_version: row.try_get("agent_version")?,
            visitor: row.try_get("visitor")?,
            context: row.try_get("context")?,
            outcome: row.try_get("outcome")?,
            costs: row.try_get("costs")?,
            cost_micro: row.try_get("cost_micro")?,
            currency: row.try_get("currency")?,
            ended_at: time_if(row, "ended_at")?,
        })
    }
}

impl Store {
    /// Begins a chat.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_chat(
        &self,
        scope: &TenantScope,
        id: &str,
        chat: &ChatSession,
    ) -> Result<Entry<ChatSession>, ChangeError> {
        self.create(scope.into(), id, chat).await
    }

    /// One chat.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn chat(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Entry<ChatSession>>, ReadError> {
        self.entry(scope.into(), id).await
    }

    /// The chats, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn chats(
        &self,
        scope: &TenantScope,
        filter: &ChatFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<ChatSession>>, ReadError> {
        self.entries(scope.into(), page, |sql| {
            if let Some(agent) = &filter.agent_id {
                sql.with(" AND agent_id = ", agent.clone());
            }
            if filter.is_open {
                sql.push(" AND ended_at IS NULL");
            }
        })
        .await
    }

    /// Changes a chat. One that has ended stays as it is ([`ChangeError::Refused`]).
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_chat(
        &self,
        scope: &TenantScope,
        id: &str,
        chat: &ChatSession,
        expected: Option<i64>,
    ) -> Result<Entry<ChatSession>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            let before = write.locked::<ChatSession>(scope.into(), id).await?;
            if before.ended_at.is_some() {
                return Err(ChangeError::Refused { cause: "ended" });
            }
            let changed = write.update(scope.into(), id, chat, expected).await?;
            // Its end is booked once, as a call's is.
            if let (Some(at), Some(cost)) = (chat.ended_at, chat.cost_micro) {
                let booking = Booking {
                    final_customer_id: None,
                    kind: "chat".to_owned(),
                    reference: Some(id.to_owned()),
                    amount_micro: cost.saturating_neg(),
                    currency: chat.currency.clone().unwrap_or_default(),
                    note: String::new(),
                    at,
                };
                book(&mut write, scope, &booking).await?;
            }
            Ok(changed)
        }
        .await;
        write.settle(result).await
    }

    /// Adds messages to a chat, in order after those that are there; their `seq` is given here. At most
    /// [`limits::BATCH_MAX`]. All or none.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn append_chat_messages(
        &self,
        scope: &TenantScope,
        id: &str,
        messages: &[ChatMessage],
    ) -> Result<(), ChangeError> {
        if messages.len() > limits::BATCH_MAX {
            return Err(ChangeError::Refused { cause: "too_many" });
        }
        let clean = |text: &str| crate::call_record::bounded(text, limits::TOOL_TEXT_BYTES_MAX);
        let mut write = self.write().await?;
        let result = async {
            write.locked::<ChatSession>(scope.into(), id).await?;
            for message in messages {
                let mut sql = Sql::new(
                    "INSERT INTO chat_messages (session_id, seq, role, content, detail, at) SELECT ",
                );
                sql.bind(id.to_owned()).push(", COALESCE(MAX(seq) + 1, 0)");
                sql.with(", ", message.role.clone());
                sql.with(", ", clean(&message.content));
                sql.with(", ", message.detail.as_deref().map(clean));
                sql.with(", ", message.at.as_microsecond());
                sql.with(" FROM chat_messages WHERE session_id = ", id.to_owned());
                sql.run(&mut write).await?;
            }
            Ok(())
        }
        .await;
        write.settle(result).await
    }

    /// The messages of a chat from a place on, in order; at most [`limits::TRANSCRIPT_READ_MAX`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn chat_messages(
        &self,
        scope: &TenantScope,
        id: &str,
        from_seq: i64,
    ) -> Result<Vec<ChatMessage>, ReadError> {
        let mut sql = Sql::new(
            "SELECT m.* FROM chat_messages m JOIN chat_sessions s ON s.id = m.session_id WHERE s.tenant_id = ",
        );
        sql.bind(scope.id().to_owned());
        sql.with(" AND s.id = ", id.to_owned());
        sql.with(" AND m.seq >= ", from_seq);
        sql.with(
            " ORDER BY m.seq LIMIT ",
            i64::from(limits::TRANSCRIPT_READ_MAX),
        );
        let rows = sql.rows(self.readers()).await?;
        let read = |row: &AnyRow| {
            Ok(ChatMessage {
                seq: row.try_get("seq")?,
                role: row.try_get("role")?,
                content: row.try_get("content")?,
                detail: row.try_get("detail")?,
                at: time(row, "at")?,
            })
        };
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }
}
