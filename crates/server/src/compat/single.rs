//! One agent of the back office without a list (`RESTAURANT_ID`): the lines of the settings are its own.

use catalog::Message;
use engine::Config;

use super::agent_settings;
use super::written::{WriteAgentError, Written};

/// Writes the agent down, and gives it the lines of the settings. They stay closed until the agent can speak.
///
/// # Errors
/// The message says what the store said.
pub(crate) async fn prepare(
    written: &Written,
    id: &str,
    config: &mut Config,
) -> Result<(), Message> {
    let agent = ensure(written, id).await?;
    belong(config, &agent);
    Ok(())
}

/// Gives the lines of the settings to an agent of the database. They stay closed until it can speak.
pub(crate) fn belong(config: &mut Config, agent: &str) {
    for known in &mut config.agents {
        agent.clone_into(&mut known.name);
    }
    for line in &mut config.lines {
        agent.clone_into(&mut line.agent);
    }
    config.held = vec![agent.to_owned()];
}

async fn ensure(written: &Written, id: &str) -> Result<String, WriteAgentError> {
    let settings = agent_settings(id, None, &written.language);
    let known = written.known().await?;
    let entry = match known.get(id) {
        Some(agent) => written.store.agent(&written.scope, agent).await?,
        None => None,
    };
    match entry {
        Some(entry) => {
            let name = entry.name.clone();
            written.change(&entry, &name, settings).await?;
            Ok(entry.id)
        }
        None => written.make(id, id, settings).await,
    }
}
