//! Agents of the list as agents and lines of the database: made, changed, taken out of use, never deleted.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use store::secret::Vault;
use store::{
    Agent, Brain, ChangeError, Entry, PageRequest, PhoneLine, PhoneLineFilter, ReadError, Sealed,
    Store, TenantScope, VersionNote, WriteError, new_id,
};

use super::list::{Listed, Password};
use super::{SOURCE, agent_settings, agent_tools};

/// Why an agent that was paused here is paused; one that an operator paused has another reason, and stays so.
const NOT_LISTED: &str = "not_listed";

/// Why an agent of the list could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteAgentError {
    /// The database could not be read.
    #[error("the database could not be read: {0}")]
    Read(#[from] ReadError),
    /// The database refused it.
    #[error("{0}")]
    Change(#[from] ChangeError),
    /// The database could not be written.
    #[error("the database could not be written: {0}")]
    Write(#[from] WriteError),
    /// The password was encrypted with another key, or for another line.
    #[error("its password cannot be decrypted: is ENCRYPTION_KEY the same on both sides?")]
    Password,
}

/// Who writes, in the versions of agents.
fn author() -> VersionNote {
    VersionNote {
        author: SOURCE.to_owned(),
        note: String::new(),
    }
}

/// The database, as far as the list concerns it.
pub(crate) struct Written {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) scope: TenantScope,
    pub(crate) language: String,
}

impl Written {
    /// The agents that came from the list: the back office's id of each, and ours.
    pub(crate) async fn known(&self) -> Result<HashMap<String, String>, ReadError> {
        self.store.agents_of_source(&self.scope, SOURCE).await
    }

    /// Whether an agent that came from the list is in use.
    pub(crate) async fn is_in_use(&self, agent: &str) -> Result<bool, ReadError> {
        let agent = self.store.agent(&self.scope, agent).await?;
        Ok(agent.is_some_and(|agent| agent.is_active))
    }

    /// Takes an agent that is not on the list any more out of use; true where it was in use.
    pub(crate) async fn retire(&self, agent: &str) -> Result<bool, WriteAgentError> {
        let Some(entry) = self.store.agent(&self.scope, agent).await? else {
            return Ok(false);
        };
        if !entry.is_active {
            return Ok(false);
        }
        let mut content = entry.content.clone();
        content.is_active = false;
        content.pause_reason = Some(NOT_LISTED.to_owned());
        self.store
            .update_agent(&self.scope, agent, &content, None, &author())
            .await?;
        Ok(true)
    }

    /// Makes the agent and its line what the list says; true where something changed.
    pub(crate) async fn write(
        &self,
        listed: &Listed,
        known: Option<&String>,
    ) -> Result<bool, WriteAgentError> {
        let settings = agent_settings(&listed.id, Some(listed.calls_max), &self.language);
        let there = match known {
            Some(agent) => self.store.agent(&self.scope, agent).await?,
            None => None,
        };
        // Before anything is written: an agent without its line would be there for nothing.
        let password = self.password(listed).await?;
        let (agent, mut changed) = match there {
            Some(entry) => {
                let changed = self.change(&entry, &listed.name, settings).await?;
                (entry.id, changed)
            }
            None => (self.make(&listed.id, &listed.name, settings).await?, true),
        };
        changed |= self.line(&agent, listed, password).await?;
        Ok(changed)
    }

    /// Makes an agent of the contract without a line.
    pub(crate) async fn make(
        &self,
        source_id: &str,
        name: &str,
        settings: String,
    ) -> Result<String, WriteAgentError> {
        let agent = Agent {
            final_customer_id: None,
            name: name.to_owned(),
            is_active: true,
            pause_reason: None,
            settings,
            api_token_hash: None,
            api_token_prefix: None,
            public_token: None,
            deleted_at: None,
        };
        let id = new_id();
        self.store
            .create_agent(&self.scope, &id, &agent, &agent_tools(), &author())
            .await?;
        self.store
            .set_agent_source(&self.scope, &id, SOURCE, source_id)
            .await?;
        Ok(id)
    }

    /// Makes an agent what it should be; true where something changed.
    pub(crate) async fn change(
        &self,
        entry: &Entry<Agent>,
        name: &str,
        settings: String,
    ) -> Result<bool, WriteAgentError> {
        let tools = self.store.tools(&self.scope, &entry.id).await?;
        let wanted = agent_tools();
        let same = |text: &str, other: &str| {
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
            value(text) == value(other)
        };
        let same_tools = tools.len() == wanted.len()
            && tools.iter().zip(&wanted).all(|(tool, wanted)| {
                tool.name == wanted.name && same(&tool.config, &wanted.config)
            });
        let mut changed = false;
        if !same_tools || !same(&entry.settings, &settings) {
            let brain = Brain {
                settings,
                tools: wanted,
            };
            self.store
                .replace_brain(&self.scope, &entry.id, &brain, None, &author())
                .await?;
            changed = true;
        }
        let returns = !entry.is_active && entry.pause_reason.as_deref() == Some(NOT_LISTED);
        if entry.name != name || returns {
            let fresh = self.store.agent(&self.scope, &entry.id).await?;
            let mut content = fresh.map_or_else(|| entry.content.clone(), |fresh| fresh.content);
            name.clone_into(&mut content.name);
            if returns {
                content.is_active = true;
                content.pause_reason = None;
            }
            self.store
                .update_agent(&self.scope, &entry.id, &content, None, &author())
                .await?;
            changed = true;
        }
        Ok(changed)
    }

    async fn password(&self, listed: &Listed) -> Result<Option<String>, WriteAgentError> {
        Ok(match &listed.password {
            None => None,
            Some(Password::Clear(text)) => Some(text.clone()),
            Some(Password::Sealed { text, salt }) => {
                let opened = self.vault.open(salt, text).await;
                let opened = opened.map_err(|_| WriteAgentError::Password)?;
                Some(opened.expose().to_owned())
            }
        })
    }

    /// Makes the agent's line what the list says.
    async fn line(
        &self,
        agent: &str,
        listed: &Listed,
        password: Option<String>,
    ) -> Result<bool, WriteAgentError> {
        let filter = PhoneLineFilter {
            agent_id: Some(agent.to_owned()),
            ..PhoneLineFilter::default()
        };
        let lines = self
            .store
            .phone_lines(&self.scope, &filter, &PageRequest::default())
            .await?;
        let before = lines.items.into_iter().next();
        let id = before.as_ref().map_or_else(new_id, |line| line.id.clone());
        let mut settings = match &before {
            Some(line) => serde_json::from_str::<Map<String, Value>>(&line.settings),
            None => Ok(Map::new()),
        }
        .unwrap_or_default();
        for (name, value) in [
            ("sipDomain", json!(listed.domain)),
            ("sipUsername", json!(listed.username)),
            ("maxParallelCalls", json!(listed.calls_max)),
        ] {
            if value.is_null() {
                settings.remove(name);
            } else {
                settings.insert(name.to_owned(), value);
            }
        }
        let kept = before.as_ref().and_then(|line| line.sip_password.clone());
        let line = PhoneLine {
            agent_id: agent.to_owned(),
            phone_number: listed.number.clone(),
            provider: if listed.sip { "sip" } else { "twilio" }.to_owned(),
            is_active: true,
            settings: Value::Object(settings).to_string(),
            sip_password: self.sealed(&id, kept, password).await?,
        };
        match before {
            None => {
                self.store
                    .create_phone_line(&self.scope, &id, &line)
                    .await?;
            }
            Some(before) if before.content == line => return Ok(false),
            Some(before) => {
                self.store
                    .update_phone_line(&self.scope, &before.id, &line, None)
                    .await?;
            }
        }
        Ok(true)
    }

    /// The same password stays as it is: another encryption of it would look like a change.
    async fn sealed(
        &self,
        line: &str,
        kept: Option<Sealed>,
        password: Option<String>,
    ) -> Result<Option<Sealed>, WriteAgentError> {
        let Some(password) = password else {
            return Ok(None);
        };
        if let Some(kept) = kept {
            let opened = self.vault.open(line, kept.encrypted()).await;
            if opened.is_ok_and(|opened| opened.expose() == password) {
                return Ok(Some(kept));
            }
        }
        let sealed = self.vault.seal(line, &password).await;
        let sealed = sealed.map_err(|_| WriteAgentError::Password)?;
        Ok(Some(Sealed::new(sealed)))
    }
}
