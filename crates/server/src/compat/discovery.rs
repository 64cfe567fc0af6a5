//! The task that asks the back office for its agents, and follows what it says.
//!
//! A source that does not answer, answers with an error, late, or with something that is no list, changes nothing. An agent is
//! taken out of use only when two readings, [`CONFIRM_AFTER`] apart and both in order, do not name it: a database that is being
//! restored answers with an empty list as well.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agent::{HttpCall, Method};
use catalog::Message;
use courier::{Caller, Courier};
use engine::directory::DirectoryHandle;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::list::List;
use super::written::{WriteAgentError, Written};
use crate::terminal::log;

/// Between the reading that misses an agent and the one that confirms it.
const CONFIRM_AFTER: Duration = Duration::from_secs(3);
/// The back office has so long for its list.
const LIST_WITHIN_MS: u32 = 10_000;
/// After a failure the list is asked for again this soon, or at the next regular time where that is sooner.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What a reading changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Agents on the list.
    pub(crate) listed: usize,
    pub(crate) added: usize,
    pub(crate) changed: usize,
    pub(crate) removed: usize,
}

/// Why a reading changed nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoveryError {
    /// It could not be read.
    #[error("{0}")]
    Fetch(#[from] courier::FetchError),
    /// It is no list of agents.
    #[error("{0}")]
    Garbage(&'static str),
    /// The database could not be read.
    #[error("{0}")]
    Store(#[from] store::ReadError),
}

struct Parts {
    courier: Courier,
    base: String,
    written: Written,
    directory: DirectoryHandle,
    /// One reading at a time; whether the last one failed.
    failing: Mutex<bool>,
}

/// A running discovery. Clones lead to the same one.
#[derive(Clone)]
pub(crate) struct Discovery {
    parts: Arc<Parts>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Discovery {
    /// Begins to ask, at once and then regularly.
    pub(crate) fn start(
        courier: Courier,
        base: &str,
        every: Duration,
        written: Written,
        directory: DirectoryHandle,
    ) -> Self {
        let parts = Arc::new(Parts {
            courier,
            base: base.trim_end_matches('/').to_owned(),
            written,
            directory,
            failing: Mutex::new(false),
        });
        let own = Arc::clone(&parts);
        let task = tokio::spawn(async move {
            loop {
                let pause = match own.refresh().await {
                    Ok(_) => every,
                    Err(_) => every.min(AGAIN_AFTER),
                };
                tokio::time::sleep(pause).await;
            }
        });
        Self {
            parts,
            task: Arc::new(Mutex::new(Some(task))),
        }
    }

    /// Asks now; ready once what was found is in use.
    ///
    /// # Errors
    /// [`DiscoveryError`]; nothing changed then.
    pub(crate) async fn refresh(&self) -> Result<Found, DiscoveryError> {
        self.parts.refresh().await
    }

    /// The address that is asked.
    pub(crate) fn address(&self) -> String {
        self.parts.address()
    }

    /// Asks no more.
    pub(crate) async fn stop(&self) {
        if let Some(task) = self.task.lock().await.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Parts {
    fn address(&self) -> String {
        format!("{}/api/sip/agents", self.base)
    }

    /// Reads and follows; a failure is said once, and its end too.
    async fn refresh(&self) -> Result<Found, DiscoveryError> {
        let mut failing = self.failing.lock().await;
        let result = self.follow().await;
        match &result {
            Ok(_) if *failing => {
                log(&Message::new("log_discovery_back").with("address", self.address()));
            }
            Err(error) if !*failing => {
                log(&Message::new("log_discovery_failed")
                    .with("address", self.address())
                    .with("cause", error.to_string()));
            }
            Ok(_) | Err(_) => {}
        }
        *failing = result.is_err();
        result
    }

    async fn read(&self) -> Result<List, DiscoveryError> {
        let call = HttpCall {
            method: Method::Get,
            url: self.address(),
            headers: vec![("accept".to_owned(), "application/json".to_owned())],
            body: None,
            timeout_ms: LIST_WITHIN_MS,
            idempotency_key: None,
            safe_to_retry: true,
        };
        let answer = self.courier.fetch_json(&call, &Caller::default()).await?;
        List::read(&answer).map_err(DiscoveryError::Garbage)
    }

    async fn follow(&self) -> Result<Found, DiscoveryError> {
        let list = self.read().await?;
        let known = self.written.known().await?;
        let mut found = Found {
            listed: list.agents.len(),
            ..Found::default()
        };
        for (id, why) in &list.unusable {
            left_out(id, why);
        }
        for agent in &list.agents {
            let there = known.get(&agent.id);
            match self.written.write(agent, there).await {
                Ok(true) if there.is_none() => found.added += 1,
                Ok(true) => found.changed += 1,
                Ok(false) => {}
                Err(error) => left_out(&agent.id, &error.to_string()),
            }
        }
        if found.added + found.changed > 0 {
            // What is new need not wait for what may be gone.
            self.directory.refresh().await?;
        }
        found.removed = self.remove(&list, &known).await?;
        if found.removed > 0 {
            self.directory.refresh().await?;
        }
        if found.added + found.changed + found.removed > 0 {
            log(&Message::new("log_agents_discovered")
                .with("count", found.listed)
                .with("added", found.added)
                .with("changed", found.changed)
                .with("removed", found.removed)
                .with("address", self.address()));
        }
        Ok(found)
    }

    /// Agents that the list does not name and a second one does not either.
    async fn remove(
        &self,
        list: &List,
        known: &HashMap<String, String>,
    ) -> Result<usize, DiscoveryError> {
        let ids = list.ids();
        let mut missing = Vec::new();
        for (id, agent) in known {
            if !ids.contains(id.as_str()) && self.written.is_in_use(agent).await? {
                missing.push((id.as_str(), agent.as_str()));
            }
        }
        if missing.is_empty() {
            return Ok(0);
        }
        log(&Message::new("log_discovery_doubted")
            .with("address", self.address())
            .with("known", known.len())
            .with("listed", ids.len()));
        tokio::time::sleep(CONFIRM_AFTER).await;
        let second = self.read().await?;
        let confirmed = second.ids();
        let mut removed = 0;
        for (id, agent) in missing {
            if confirmed.contains(id) {
                continue;
            }
            match self.written.retire(agent).await {
                Ok(retired) => removed += usize::from(retired),
                Err(error) => left_out(id, &error.to_string()),
            }
        }
        Ok(removed)
    }
}

fn left_out(agent: &str, cause: &str) {
    log(&Message::new("log_discovered_left_out")
        .with("agent", agent)
        .with("cause", cause));
}

impl From<WriteAgentError> for Message {
    fn from(error: WriteAgentError) -> Self {
        Self::new("start_failed").with("cause", error.to_string())
    }
}
