//! Text chats with agents.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::billing::{Booking, book};
use crate::call_service::{CallCost, Closed};
use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::entry::{Content, Entry, Value, entry, time, time_if};
use crate::error::ReadError;
use crate::limits;
use crate::outbox::{NewDelivery, enqueue};
use crate::page::{List, PageRequest};
use crate::scope::{Reach, TenantScope};
use crate::sql::Sql;

/// A chat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatSession {
    /// With which agent.
    pub agent_id: String,
    /// The version of it that the chat keeps.
    pub agent_version: i64,
    /// Who writes, as JSON text.
    pub visitor: Option<String>,
    /// Hash of the token by which a visitor of a public page goes on with it.
    pub token_hash: Option<String>,
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

/// Everything that is written with the end of a chat.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatClose {
    /// When it ended.
    pub ended_at: Timestamp,
    /// What came of it.
    pub outcome: String,
    /// The conversation's last state, as JSON text; `None` leaves the one that is there.
    pub context: Option<String>,
    /// What it cost; `None` books nothing.
    pub cost: Option<CallCost>,
    /// For which final customer.
    pub final_customer_id: Option<String>,
    /// What has to be told to others.
    pub deliveries: Vec<NewDelivery>,
}

impl Content for ChatSession {
    const TABLE: &'static str = "chat_sessions";
    const WHAT: &'static str = "chat_session";
    const UNIQUE: &'static str = "id";
    const COLUMNS: &'static [&'static str] = &[
        "agent_id",
        "agent_version",
        "visitor",
        "token_hash",
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
            (&self.token_hash).into(),
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
            token_hash: row.try_get("token_hash")?,
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
        reach: impl Into<Reach>,
        filter: &ChatFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<ChatSession>>, ReadError> {
        self.entries_within(&reach.into(), page, |sql| {
            if let Some(agent) = &filter.agent_id {
                sql.with(" AND agent_id = ", agent.clone());
            }
            if filter.is_open {
                sql.push(" AND ended_at IS NULL");
            }
        })
        .await
    }

    /// Keeps the state of a chat that goes on; false where it has ended.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn keep_chat_context(
        &self,
        scope: &TenantScope,
        id: &str,
        context: &str,
    ) -> Result<bool, ChangeError> {
        let mut write = self.write().await?;
        let result = keep(&mut write, scope, id, context).await;
        write.settle(result).await
    }

    /// Ends a chat: what came of it, what it cost and what has to be told of it are written together, once.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn finish_chat(
        &self,
        scope: &TenantScope,
        id: &str,
        close: &ChatClose,
    ) -> Result<Closed, ChangeError> {
        let mut write = self.write().await?;
        let result = finish(&mut write, scope, id, close).await;
        write.settle(result).await
    }

    /// How many chats with an agent go on.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn open_chats(&self, scope: &TenantScope, agent: &str) -> Result<i64, ReadError> {
        let mut sql = Sql::new("SELECT COUNT(*) AS n FROM chat_sessions WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        sql.with(" AND agent_id = ", agent.to_owned());
        sql.push(" AND ended_at IS NULL");
        let row = sql.row(self.readers()).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get("n"))?)
    }

    /// Open chats in which nothing has happened since a time, or that began before another, oldest first. For all tenants.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_stale_chats(
        &self,
        idle_since: Timestamp,
        begun_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(TenantScope, Entry<ChatSession>)>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM chat_sessions WHERE ended_at IS NULL AND (");
        sql.with("updated_at < ", idle_since.as_microsecond());
        sql.with(" OR created_at < ", begun_before.as_microsecond());
        sql.with(
            ") ORDER BY updated_at, id LIMIT ",
            i64::from(limit.min(limits::PAGE_MAX)),
        );
        let rows = sql.rows(self.readers()).await?;
        let read = |row: &AnyRow| {
            let tenant: String = row.try_get("tenant_id")?;
            let scope = TenantScope::new(call::TenantId::from(tenant));
            Ok((scope, entry(row)?))
        };
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    /// Adds messages to a chat, in order after those that are there; their `seq` is given here. At most
    /// [`limits::BATCH_MAX`]. The conversation's state after them, where one is given, is written with them. All or none.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn append_chat_messages(
        &self,
        scope: &TenantScope,
        id: &str,
        messages: &[ChatMessage],
        context: Option<&str>,
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
            if let Some(context) = context {
                keep(&mut write, scope, id, context).await?;
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

async fn finish(
    write: &mut Write,
    scope: &TenantScope,
    id: &str,
    close: &ChatClose,
) -> Result<Closed, ChangeError> {
    let mut chat = write.locked::<ChatSession>(scope.into(), id).await?.content;
    if chat.ended_at.is_some() {
        return Ok(Closed::Before);
    }
    chat.ended_at = Some(close.ended_at);
    chat.outcome = Some(close.outcome.clone());
    if let Some(context) = &close.context
        && context.len() <= limits::ENTRY_TEXT_BYTES_MAX
    {
        chat.context = Some(context.clone());
    }
    if let Some(cost) = &close.cost {
        chat.costs = Some(cost.costs.clone());
        chat.cost_micro = Some(cost.cost_micro);
        chat.currency = Some(cost.currency.clone());
    }
    write.update(scope.into(), id, &chat, None).await?;
    let mut balance_micro = None;
    if let Some(cost) = &close.cost {
        let booking = |account: Option<String>, amount: i64| Booking {
            final_customer_id: account,
            kind: "chat".to_owned(),
            reference: Some(id.to_owned()),
            amount_micro: amount.saturating_neg(),
            currency: cost.currency.clone(),
            note: String::new(),
            at: close.ended_at,
        };
        let booked = book(write, scope, &booking(None, cost.cost_micro)).await?;
        balance_micro = booked.and_then(|transaction| transaction.balance_micro);
        if let (Some(customer), Some(amount)) =
            (close.final_customer_id.clone(), cost.final_customer_micro)
        {
            book(write, scope, &booking(Some(customer), amount)).await?;
        }
    }
    let due = close.ended_at.max(Timestamp::now());
    for delivery in &close.deliveries {
        enqueue(write, scope, delivery, due).await?;
    }
    Ok(Closed::Now { balance_micro })
}

async fn keep(
    write: &mut Write,
    scope: &TenantScope,
    id: &str,
    context: &str,
) -> Result<bool, ChangeError> {
    if context.len() > limits::ENTRY_TEXT_BYTES_MAX {
        return Err(ChangeError::Refused { cause: "too_long" });
    }
    let mut sql = Sql::new("UPDATE chat_sessions SET version = version + 1, context = ");
    sql.bind(context.replace('\0', ""));
    sql.with(", updated_at = ", Timestamp::now().as_microsecond());
    sql.with(" WHERE tenant_id = ", scope.id().to_owned());
    sql.with(" AND id = ", id.to_owned());
    sql.push(" AND ended_at IS NULL");
    Ok(sql.run(write).await? == 1)
}
