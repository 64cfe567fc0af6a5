//! What the model may not decide alone. It lives outside of the model: whatever a text persuades the model of, these rules look only
//! at who said what, in which order (reliability.md 3).
//!
//! *Taint.* Text that the caller did not say (a tool's reply, FAQ, session data, a display name) reached the model. The conversation
//! is clean again once the agent has spoken after that text and the caller has spoken after the agent: whatever comes next, the
//! caller has heard something and answered. In an ordinary order (availability is looked up, the agent reads it back, the caller
//! says yes, the order is placed) nothing is ever refused; an order in the same breath as a tool's reply is.
//!
//! *Confirmation.* A refused tool is remembered with its arguments. The agent speaks, the caller answers and does not say no, and
//! the same call with the same arguments passes once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::compile::Confirm;
use crate::limits::{CODE_ATTEMPTS_MAX, CONFIRMATIONS_MAX, SEEN_IDS_MAX};

/// Longest identifier that is remembered.
const ID_CHARS_MAX: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Taint {
    #[default]
    Clean,
    /// Foreign text came; the agent has not spoken since.
    Fresh,
    /// The agent has spoken since.
    Spoken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Asked,
    ReadBack,
    Confirmed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Confirmation {
    fingerprint: String,
    stage: Stage,
}

/// The rules' memory of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Policy {
    taint: Taint,
    /// What caller turns without words yet have changed: taken back when they turn out to be noise.
    unheard: Vec<Taint>,
    confirmations: Vec<Confirmation>,
    seen: BTreeSet<String>,
    proven: bool,
    /// Whom the caller was proven to be, where the conversation knew a customer.
    proven_as: Option<String>,
    wrong_codes: u32,
}

/// The verdict on a confirmation code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Right,
    Wrong,
    Exhausted,
}

/// Turns of the caller whose words are not known yet.
const UNHEARD_MAX: usize = 16;

impl Policy {
    /// Foreign text reached the model.
    pub(crate) fn tainted(&mut self) {
        self.taint = Taint::Fresh;
    }

    pub(crate) fn agent_said(&mut self) {
        if self.taint == Taint::Fresh {
            self.taint = Taint::Spoken;
        }
        for confirmation in &mut self.confirmations {
            if confirmation.stage == Stage::Asked {
                confirmation.stage = Stage::ReadBack;
            }
        }
    }

    /// The engine heard a turn; its words may follow.
    pub(crate) fn caller_turn(&mut self) {
        if self.unheard.len() == UNHEARD_MAX {
            self.unheard.remove(0);
        }
        self.unheard.push(self.taint);
        self.caller_spoke();
    }

    /// The words of a turn, the oldest unheard one first.
    pub(crate) fn heard_caller(&mut self, text: &str) {
        let empty = text.trim().is_empty();
        if self.unheard.is_empty() {
            if !empty {
                self.caller_spoke();
            }
        } else {
            let before = self.unheard.remove(0);
            if empty && self.taint == Taint::Clean {
                self.taint = before;
            }
            if empty {
                self.unconfirm();
            }
        }
        if is_refusal(text) {
            self.confirmations
                .retain(|entry| entry.stage != Stage::Confirmed);
        }
    }

    fn caller_spoke(&mut self) {
        if self.taint == Taint::Spoken {
            self.taint = Taint::Clean;
        }
        for confirmation in &mut self.confirmations {
            if confirmation.stage == Stage::ReadBack {
                confirmation.stage = Stage::Confirmed;
            }
        }
    }

    /// It was a noise: nobody confirmed anything.
    fn unconfirm(&mut self) {
        for confirmation in &mut self.confirmations {
            if confirmation.stage == Stage::Confirmed {
                confirmation.stage = Stage::ReadBack;
            }
        }
    }

    /// Whether a tool may run now; if not, it is remembered and may after the caller has confirmed.
    pub(crate) fn confirmed(&mut self, confirm: Confirm, fingerprint: &str) -> bool {
        let needed = match confirm {
            Confirm::Never => false,
            Confirm::Tainted => self.taint != Taint::Clean,
            Confirm::Always => true,
        };
        if !needed {
            return true;
        }
        let found = self
            .confirmations
            .iter()
            .position(|entry| entry.fingerprint == fingerprint);
        match found {
            Some(position) if self.confirmations[position].stage == Stage::Confirmed => {
                self.confirmations.remove(position);
                true
            }
            // Asked again before the caller answered: what was read back stays read back.
            Some(_) => false,
            None => {
                if self.confirmations.len() == CONFIRMATIONS_MAX {
                    self.confirmations.remove(0);
                }
                self.confirmations.push(Confirmation {
                    fingerprint: fingerprint.to_owned(),
                    stage: Stage::Asked,
                });
                false
            }
        }
    }

    /// Whether the caller is proven to be the one whom the conversation is about now.
    pub(crate) fn is_proven(&self, customer: Option<&str>) -> bool {
        self.proven && self.proven_as.as_deref() == customer
    }

    /// Whether the caller may try to be recognised once more. Each attempt counts before its request leaves, so that attempts at the
    /// same time are counted too.
    pub(crate) fn take_attempt(&mut self) -> bool {
        let left = self.wrong_codes < CODE_ATTEMPTS_MAX;
        if left {
            self.wrong_codes += 1;
        }
        left
    }

    /// Nobody looked at the attempt, or it was a good one: it is given back.
    pub(crate) fn give_back_attempt(&mut self) {
        self.wrong_codes = self.wrong_codes.saturating_sub(1);
    }

    /// The caller was recognised.
    pub(crate) fn prove(&mut self, customer: Option<&str>) {
        self.proven = true;
        self.proven_as = customer.map(str::to_owned);
    }

    /// Somebody else is on the line: whoever was recognised is not there any more, and what they agreed to holds for nobody.
    pub(crate) fn forget_person(&mut self) {
        self.proven = false;
        self.proven_as = None;
        self.confirmations.clear();
    }

    pub(crate) fn check_code(
        &mut self,
        expected: &str,
        given: &str,
        customer: Option<&str>,
    ) -> Code {
        if self.wrong_codes >= CODE_ATTEMPTS_MAX {
            return Code::Exhausted;
        }
        let plain = |text: &str| -> String {
            text.chars()
                .filter(|c| c.is_alphanumeric())
                .flat_map(char::to_uppercase)
                .collect()
        };
        let (expected, given) = (plain(expected), plain(given));
        if !expected.is_empty() && expected == given {
            self.prove(customer);
            return Code::Right;
        }
        self.wrong_codes += 1;
        Code::Wrong
    }

    /// Remembers the identifiers of a reply: members whose name is `id` or ends in it.
    pub(crate) fn saw(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.saw(item)),
            Value::Object(members) => {
                for (name, member) in members {
                    let plain = crate::json::snake(name);
                    if plain == "id" || plain.ends_with("_id") {
                        self.saw_id(member);
                    } else {
                        self.saw(member);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn saw_id(&mut self, value: &Value) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Array(items) => return items.iter().for_each(|item| self.saw_id(item)),
            Value::Null | Value::Bool(_) | Value::Object(_) => return,
        };
        if text.len() <= ID_CHARS_MAX && self.seen.len() < SEEN_IDS_MAX {
            self.seen.insert(text);
        }
    }

    pub(crate) fn knows_id(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.seen.contains(text),
            Value::Number(number) => self.seen.contains(&number.to_string()),
            Value::Array(items) => items.iter().all(|item| self.knows_id(item)),
            Value::Null => true,
            Value::Bool(_) | Value::Object(_) => false,
        }
    }
}

/// The caller said no, and nothing that sounds like a yes: "non merci, c'est tout bon" is a yes to the order as it stands.
fn is_refusal(text: &str) -> bool {
    const NO: &[&str] = &[
        "non", "no", "nope", "pas", "not", "don't", "stop", "annule", "annulez", "annuler",
        "cancel", "attends", "attendez", "wait", "jamais", "never",
    ];
    const YES: &[&str] = &[
        "oui",
        "ouais",
        "yes",
        "yep",
        "ok",
        "okay",
        "accord",
        "confirme",
        "confirmez",
        "confirm",
        "parfait",
        "bon",
        "good",
        "exact",
        "vas",
        "allez",
        "sure",
        "right",
        "correct",
        "go",
    ];
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|word| !word.is_empty())
        .collect();
    let holds = |list: &[&str]| words.iter().any(|word| list.contains(word));
    holds(NO) && !holds(YES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirmed(policy: &mut Policy) -> bool {
        policy.confirmed(Confirm::Tainted, "order(1)")
    }

    #[test]
    fn an_ordinary_conversation_is_never_stopped() {
        let mut policy = Policy::default();
        policy.tainted();
        policy.agent_said();
        policy.heard_caller("Une pizza, s'il vous plaît.");
        policy.tainted();
        policy.agent_said();
        policy.heard_caller("Oui.");
        assert!(confirmed(&mut policy));
    }

    #[test]
    fn a_reply_cannot_start_anything_in_its_own_breath() {
        let mut policy = Policy::default();
        policy.heard_caller("Vous livrez ?");
        policy.tainted();
        assert!(!confirmed(&mut policy));
        // Neither by insisting, nor because the caller speaks over the agent before it has said anything.
        assert!(!confirmed(&mut policy));
        policy.heard_caller("Allô ?");
        assert!(!confirmed(&mut policy));
        policy.agent_said();
        assert!(!confirmed(&mut policy));
        policy.heard_caller("Oui, allez-y.");
        assert!(confirmed(&mut policy));
    }

    #[test]
    fn always_needs_its_own_confirmation_once_for_each_run() {
        let mut policy = Policy::default();
        let always = |policy: &mut Policy, what: &str| policy.confirmed(Confirm::Always, what);
        assert!(!always(&mut policy, "a"));
        policy.agent_said();
        policy.heard_caller("oui");
        assert!(!always(&mut policy, "b"), "other arguments");
        assert!(always(&mut policy, "a"));
        assert!(!always(&mut policy, "a"), "used up");
    }

    #[test]
    fn no_is_no() {
        let mut policy = Policy::default();
        policy.tainted();
        assert!(!confirmed(&mut policy));
        policy.agent_said();
        policy.tainted();
        policy.heard_caller("Non, surtout pas.");
        assert!(!confirmed(&mut policy));
        assert!(!is_refusal("Non merci, c'est tout bon"));
        assert!(is_refusal("Non."));
        assert!(!is_refusal("Oui, sans oignons"));
    }

    #[test]
    fn a_turn_without_words_counts_until_it_was_a_noise() {
        let mut policy = Policy::default();
        policy.tainted();
        policy.agent_said();
        policy.caller_turn();
        assert!(confirmed(&mut policy.clone()));
        policy.heard_caller("");
        assert!(!confirmed(&mut policy));
        policy.agent_said();
        policy.caller_turn();
        // The words come late, after the tool's reply: they do not clean what came since.
        policy.tainted();
        policy.heard_caller("oui");
        assert!(!policy.confirmed(Confirm::Tainted, "other"));
    }

    #[test]
    fn codes_are_few() {
        let mut policy = Policy::default();
        assert_eq!(policy.check_code("AB-12", "0000", None), Code::Wrong);
        assert_eq!(policy.check_code("AB-12", "ab 12", None), Code::Right);
        assert!(policy.is_proven(None));
        let mut policy = Policy::default();
        assert_eq!(policy.check_code("", "", None), Code::Wrong);
        for _ in 0..2 {
            policy.check_code("1", "2", None);
        }
        assert_eq!(policy.check_code("1", "1", None), Code::Exhausted);
    }
}
