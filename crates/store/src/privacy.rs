//! What is kept of a person: everything of one telephone number, to be told or erased, also by parts that keep data of their own.

use std::pin::Pin;
use std::sync::Arc;

use call::CallId;
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;

use crate::chat::ChatFilter;
use crate::db::Store;
use crate::error::ReadError;
use crate::faq::FaqFilter;
use crate::outbox::DeliveryFilter;
use crate::packet::PacketContents;
use crate::page::PageRequest;
use crate::phone::{common_part, same_number};
use crate::scope::TenantScope;
use crate::sql::Sql;
use crate::{BlockedNumberFilter, limits};

/// The future of a [`Keeper`]'s function. An error is a sentence for the log and the operator.
pub type Kept<T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send>>;

type Tell = Arc<dyn Fn(Store, TenantScope, String) -> Kept<Value> + Send + Sync>;
type Erase = Arc<dyn Fn(Store, TenantScope, String) -> Kept<u64> + Send + Sync>;
type Expire = Arc<dyn Fn(Store, Timestamp) -> Kept<u64> + Send + Sync>;

/// A part of the product with data of people in tables of its own. Export, erasure and expiry ask each of them.
#[derive(Clone)]
pub struct Keeper {
    /// Its name, the member of an export.
    pub name: &'static str,
    /// Everything of a number, for one tenant.
    pub tell: Tell,
    /// Erases or anonymises everything of a number, for one tenant; how many entries.
    pub erase: Erase,
    /// Anonymises what is older than a time; how many entries.
    pub expire: Expire,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keeper").field(&self.name).finish()
    }
}

/// Most calls of a number that an export tells.
const CALLS_MAX: usize = 2_000;

impl Store {
    /// Everything that is kept of a telephone number for one tenant: calls with transcript, journal, tools and deliveries; chats with
    /// their messages; questions; whether it is blocked. Recordings are named by their path, packets of the audio by the
    /// request that gives them.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn export_phone_number(
        &self,
        scope: &TenantScope,
        phone_number: &str,
    ) -> Result<Value, ReadError> {
        let mut calls = Vec::new();
        for id in self.calls_of_number(scope, phone_number).await? {
            let record = self.call(scope, &id).await?;
            let runs = self.tool_runs(scope, &id).await?;
            let of_call = DeliveryFilter {
                call_id: Some(id.as_str()),
                ..DeliveryFilter::default()
            };
            let deliveries = self
                .deliveries(scope, &of_call, &PageRequest::default())
                .await?;
            let tools: Vec<Value> = runs
                .iter()
                .map(|run| {
                    json!({"name": run.run.name, "arguments": parsed(&run.run.arguments),
                        "output": run.output.as_deref().map(parsed), "startedAt": run.run.started_at})
                })
                .collect();
            let told: Vec<Value> = deliveries
                .items
                .iter()
                .map(|row| {
                    json!({"kind": row.delivery.kind, "to": row.destination, "body": parsed(&row.delivery.body)})
                })
                .collect();
            calls.push(json!({
                "call": record,
                "transcript": self.transcript(scope, &id).await?,
                "journal": self.events(scope, &id).await?,
                "packets": self.packets_told(scope, &id).await?,
                "tools": tools,
                "deliveries": told,
            }));
        }
        Ok(json!({
            "calls": calls,
            "chats": self.chats_told(scope, phone_number).await?,
            "questions": self.questions_told(scope, phone_number).await?,
            "blocked": self.blocks_told(scope, phone_number).await?,
        }))
    }

    /// The calls from or to a number, newest first.
    async fn calls_of_number(
        &self,
        scope: &TenantScope,
        number: &str,
    ) -> Result<Vec<CallId>, ReadError> {
        let part = format!("%{}%", common_part(number).replace(['%', '_'], ""));
        let mut sql = Sql::new("SELECT id, from_party, to_party FROM calls WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        sql.with(" AND (from_party LIKE ", part.clone());
        sql.with(" OR to_party LIKE ", part);
        sql.push(") ORDER BY started_at DESC, id DESC");
        let mut found = Vec::new();
        for row in sql.rows(self.readers()).await? {
            let parties: [&str; 2] = [row.try_get("from_party")?, row.try_get("to_party")?];
            if parties.iter().any(|party| same_number(party, number)) && found.len() < CALLS_MAX {
                found.push(CallId::from(row.try_get::<String, _>("id")?));
            }
        }
        Ok(found)
    }

    /// Where the packets of a call's audio are had, if any are kept.
    async fn packets_told(
        &self,
        scope: &TenantScope,
        id: &CallId,
    ) -> Result<Option<String>, ReadError> {
        let contents = self.packet_contents(scope, id).await?;
        let path = format!("/api/calls/{}/capture.pcapng", id.as_str());
        Ok((contents != PacketContents::None).then_some(path))
    }

    async fn chats_told(&self, scope: &TenantScope, number: &str) -> Result<Vec<Value>, ReadError> {
        let mut told = Vec::new();
        let mut page = PageRequest {
            limit: limits::PAGE_MAX,
            after: None,
        };
        loop {
            let list = self.chats(scope, &ChatFilter::default(), &page).await?;
            for chat in &list.items {
                if !chat
                    .visitor
                    .as_deref()
                    .is_some_and(|text| visits(text, number))
                {
                    continue;
                }
                let messages: Vec<Value> = self
                    .chat_messages(scope, &chat.id, 0)
                    .await?
                    .iter()
                    .map(|message| {
                        json!({"role": message.role, "content": message.content, "at": message.at})
                    })
                    .collect();
                told.push(json!({"id": chat.id, "visitor": chat.visitor.as_deref().map(parsed), "messages": messages,
                    "startedAt": chat.created_at, "endedAt": chat.ended_at, "outcome": chat.outcome}));
            }
            match list.next {
                Some(next) => page.after = Some(next),
                None => return Ok(told),
            }
        }
    }

    async fn questions_told(
        &self,
        scope: &TenantScope,
        number: &str,
    ) -> Result<Vec<Value>, ReadError> {
        let mut told = Vec::new();
        let mut page = PageRequest {
            limit: limits::PAGE_MAX,
            after: None,
        };
        loop {
            let list = self.faqs(scope, &FaqFilter::default(), &page).await?;
            told.extend(list.items.iter().filter_map(|faq| {
                let phone = faq.caller_phone.as_deref()?;
                same_number(phone, number)
                    .then(|| json!({"question": faq.question, "category": faq.category, "at": faq.created_at}))
            }));
            match list.next {
                Some(next) => page.after = Some(next),
                None => return Ok(told),
            }
        }
    }

    async fn blocks_told(
        &self,
        scope: &TenantScope,
        number: &str,
    ) -> Result<Vec<Value>, ReadError> {
        let page = PageRequest {
            limit: limits::PAGE_MAX,
            after: None,
        };
        let list = self
            .blocked_numbers(scope, &BlockedNumberFilter::default(), &page)
            .await?;
        Ok(list
            .items
            .iter()
            .filter(|block| same_number(&block.phone_number, number))
            .map(|block| json!({"phoneNumber": block.phone_number, "reason": block.reason, "at": block.created_at}))
            .collect())
    }

    /// The recordings of calls that ended before a time; their records forget them. Their files are the caller's to remove: a file
    /// that cannot be removed is found by its name, which is the call's id.
    ///
    /// # Errors
    /// See [`crate::WriteError`].
    pub async fn node_expire_recordings(
        &self,
        before: Timestamp,
    ) -> Result<Vec<String>, crate::WriteError> {
        let mut write = self.write().await?;
        let mut sql = Sql::new(
            "SELECT id, recording_path FROM calls WHERE recording_path IS NOT NULL AND ended_at IS NOT NULL",
        );
        sql.with(" AND ended_at < ", before.as_microsecond());
        sql.with(" LIMIT ", i64::from(limits::PAGE_MAX));
        let mut paths = Vec::new();
        for row in sql.rows_in(&mut write).await? {
            paths.push(row.try_get::<String, _>("recording_path")?);
            let mut forget = Sql::new("UPDATE calls SET recording_path = NULL WHERE id = ");
            forget.bind(row.try_get::<String, _>("id")?);
            forget.run(&mut write).await?;
        }
        write.commit().await?;
        Ok(paths)
    }
}

/// Removes the files of recordings, and what stands beside them under the same name; the paths that could not be removed. A file
/// that is not there counts as removed.
pub fn remove_recordings(paths: &[String]) -> Vec<String> {
    let gone = |path: &std::path::Path| match std::fs::remove_file(path) {
        Ok(()) => true,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    let mut left = Vec::new();
    for path in paths {
        let file = std::path::Path::new(path);
        let beside = gone(&file.with_extension("txt"));
        if !gone(file) || !beside {
            tracing::warn!(path, "a recording could not be removed");
            left.push(path.clone());
        }
    }
    left
}

/// Whether the visitor of a chat gave this number.
pub(crate) fn visits(visitor: &str, number: &str) -> bool {
    parsed(visitor)
        .get("phone")
        .and_then(Value::as_str)
        .is_some_and(|phone| same_number(phone, number))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
