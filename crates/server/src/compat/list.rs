//! The list of agents that the back office gives (contracts.md 1.2): read with suspicion, item by item.

use std::collections::BTreeSet;

use serde_json::Value;

/// Agents that are taken from one list.
pub(crate) const AGENTS_MAX: usize = 10_000;
/// Longest text of a field, bytes.
const TEXT_BYTES_MAX: usize = 512;
/// Calls at the same time of an agent that does not say.
const CALLS_DEFAULT: u32 = 10;

/// A password as the list has it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Password {
    /// As it is.
    Clear(String),
    /// Encrypted, with the id that is its salt.
    Sealed { text: String, salt: String },
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clear(_) => "Clear(…)",
            Self::Sealed { .. } => "Sealed(…)",
        })
    }
}

/// One agent of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The back office's id of it.
    pub(crate) id: String,
    pub(crate) name: String,
    /// A SIP account is registered for it; otherwise a carrier brings its calls.
    pub(crate) sip: bool,
    pub(crate) domain: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Password>,
    /// The number that callers dial.
    pub(crate) number: String,
    pub(crate) calls_max: u32,
}

/// What a list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) agents: Vec<Listed>,
    /// Agents that are there, but cannot be used: their id and why. They are not gone.
    pub(crate) unusable: Vec<(String, &'static str)>,
}

impl List {
    /// Every id that the list names.
    pub(crate) fn ids(&self) -> BTreeSet<&str> {
        let usable = self.agents.iter().map(|agent| agent.id.as_str());
        let others = self.unusable.iter().map(|(id, _)| id.as_str());
        usable.chain(others).collect()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// It is no list of agents: then it says nothing, not even that an agent is gone.
    pub(crate) fn read(answer: &Value) -> Result<Self, &'static str> {
        let items = answer.as_array().ok_or("the answer is no list")?;
        if items.len() > AGENTS_MAX {
            return Err("the list is too long");
        }
        let mut list = Self::default();
        let mut seen = BTreeSet::new();
        for item in items {
            let id = text(item, "restaurantId").ok_or("an entry without restaurantId")?;
            if !seen.insert(id.clone()) {
                return Err("an entry is there twice");
            }
            match listed(item, &id) {
                Ok(agent) => list.agents.push(agent),
                Err(why) => list.unusable.push((id, why)),
            }
        }
        Ok(list)
    }
}

fn text(item: &Value, name: &str) -> Option<String> {
    let text = item.get(name)?.as_str()?.trim();
    let fine = !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains('\0');
    fine.then(|| text.to_owned())
}

fn listed(item: &Value, id: &str) -> Result<Listed, &'static str> {
    let sip = match item.get("sipBridge") {
        Some(Value::Bool(sip)) => *sip,
        None | Some(Value::Null) => false,
        Some(_) => return Err("sipBridge must be true or false"),
    };
    let username = text(item, "sipUsername").filter(|_| sip);
    let number = text(item, "phoneNumber").or_else(|| username.clone());
    let calls_max = match item.get("maxParallelCalls") {
        None | Some(Value::Null) => CALLS_DEFAULT,
        Some(value) => value
            .as_u64()
            .and_then(|calls| u32::try_from(calls).ok())
            .filter(|calls| *calls > 0)
            .ok_or("maxParallelCalls must be a number above 0")?,
    };
    if sip && username.is_none() {
        return Err("sipBridge without sipUsername");
    }
    Ok(Listed {
        id: id.to_owned(),
        name: text(item, "restaurantName").unwrap_or_else(|| id.to_owned()),
        sip,
        domain: text(item, "sipDomain").filter(|_| sip),
        username,
        password: password(item).filter(|_| sip),
        number: number.ok_or("neither phoneNumber nor sipUsername")?,
        calls_max,
    })
}

/// The encrypted form is believed only with the id that it was encrypted for: a clear password may hold two colons as well.
fn password(item: &Value) -> Option<Password> {
    let text = item.get("sipPassword")?.as_str()?;
    if text.is_empty() || text.len() > TEXT_BYTES_MAX * 4 {
        return None;
    }
    let salt = self::text(item, "phoneLineId");
    Some(match salt {
        Some(salt) if store::secret::is_sealed(text) => Password::Sealed {
            text: text.to_owned(),
            salt,
        },
        Some(_) | None => Password::Clear(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry() -> Value {
        json!({"restaurantId": "r1", "restaurantName": "Les Tilleuls", "sipBridge": true, "sipDomain": "sip.test",
            "sipUsername": "33491", "sipPassword": "a:b:c", "phoneNumber": "+33491", "provider": "sip", "maxParallelCalls": 3})
    }

    #[test]
    fn an_entry_of_the_contract_is_read_whole() {
        let list = List::read(&json!([entry()])).unwrap();
        let agent = &list.agents[0];
        assert_eq!(
            (agent.id.as_str(), agent.name.as_str()),
            ("r1", "Les Tilleuls")
        );
        assert_eq!(
            (agent.sip, agent.calls_max, agent.number.as_str()),
            (true, 3, "+33491")
        );
        assert_eq!(agent.username.as_deref(), Some("33491"));
        // Two colons do not make it encrypted.
        assert_eq!(agent.password, Some(Password::Clear("a:b:c".to_owned())));
    }

    #[test]
    fn without_a_bridge_there_is_no_account() {
        let mut item = entry();
        item["sipBridge"] = json!(false);
        let list = List::read(&json!([item])).unwrap();
        let agent = &list.agents[0];
        assert_eq!(
            (agent.sip, &agent.username, &agent.password),
            (false, &None, &None)
        );
        let twilio = json!([{"restaurantId": "r2", "sipBridge": false, "sipDomain": null, "sipUsername": null, "sipPassword": null, "phoneNumber": "+331"}]);
        assert_eq!(List::read(&twilio).unwrap().agents[0].calls_max, 10);
    }

    #[test]
    fn the_encrypted_form_needs_its_salt() {
        let mut item = entry();
        // 12 bytes of IV, 16 of tag.
        item["sipPassword"] = json!("AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAA==:c2VjcmV0");
        let clear = List::read(&json!([item.clone()])).unwrap();
        assert!(matches!(clear.agents[0].password, Some(Password::Clear(_))));
        item["phoneLineId"] = json!("line-1");
        let sealed = List::read(&json!([item])).unwrap();
        assert!(
            matches!(&sealed.agents[0].password, Some(Password::Sealed { salt, .. }) if salt == "line-1")
        );
    }

    #[test]
    fn garbage_says_nothing_and_a_bad_entry_is_not_gone() {
        for garbage in [
            json!({"error": "x"}),
            json!("oops"),
            json!(null),
            json!([{"name": "no id"}]),
            json!([entry(), entry()]),
            json!([entry(), 7]),
        ] {
            assert!(List::read(&garbage).is_err(), "{garbage}");
        }
        let mut bad = entry();
        bad["maxParallelCalls"] = json!("many");
        let list = List::read(&json!([bad])).unwrap();
        assert!(list.agents.is_empty());
        assert_eq!(list.ids().into_iter().collect::<Vec<_>>(), ["r1"]);
        assert_eq!(List::read(&json!([])).unwrap(), List::default());
    }
}
