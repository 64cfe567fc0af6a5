//! Bounds, checks, transfers, policy, outcomes and costs of an agent's calls.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json::null_default;
use crate::tool::HttpTemplate;

/// Bounds, checks, transfers, outcomes, costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CallRules {
    /// Longest conversation in seconds; 0 switches the bound off. Default 600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_call_duration_sec: Option<u32>,
    /// How long a parked caller waits for a person before this agent has them again; 120 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parking_timeout_sec: Option<u32>,
    /// Other bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Questions to other services before the call is answered.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub pre_call_checks: Vec<PreCallCheck>,
    /// When the agent answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening_hours: Option<OpeningHours>,
    /// Where calls may be sent.
    #[serde(flatten)]
    pub transfer: TransferSettings,
    /// What the model may not decide alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicySettings>,
    /// Rules of the outcome, the highest priority first.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub outcome_rules: Vec<OutcomeRule>,
    /// A request when a conversation ended with nothing done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_no_action: Option<HttpTemplate>,
    /// A request when the call is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_start: Option<HttpTemplate>,
    /// Template of the address that receives the call-end body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_call_end_webhook: Option<String>,
    /// The receiver may answer the call-end body with 201 and the `id` of a record of its own, which is then completed by a PATCH of
    /// the same address (default no): back offices of the contract's first version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_record: Option<bool>,
    /// How the cost of a call is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<CostSettings>,
}

/// Bounds of one call and of the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Calls of this agent at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parallel_calls: Option<u32>,
    /// Tool runs of one call. Default 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls_per_call: Option<u32>,
    /// Milliseconds after which a slow tool is covered by a phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_filler_ms: Option<u32>,
    /// Seconds of silence before the caller is asked whether they are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_sec: Option<u32>,
    /// Seconds of ringing before the call is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_sec: Option<u32>,
    /// Money that one call may cost before it is ended, in the currency of the costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_max: Option<f64>,
}

/// A question to another service before the call is answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PreCallCheck {
    /// Name in the journal.
    pub name: String,
    /// Default GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Template of the address.
    pub url: String,
    /// Templates: the query of a GET, the body of any other.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub params: Map<String, Value>,
    /// Templates of headers.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub headers: Map<String, Value>,
    /// Template on `$res`: the call is blocked when it is true, e.g. `={{$res.blocked}}`.
    #[serde(alias = "block_if")]
    pub block_if: String,
    /// `hangup` (default) or `message`: answered, the message is said, and the call ends.
    #[serde(alias = "on_block", skip_serializing_if = "Option::is_none")]
    pub on_block: Option<String>,
    /// What is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether a check that gets no answer lets the call pass (default) or blocks it.
    #[serde(alias = "fail_open", skip_serializing_if = "Option::is_none")]
    pub fail_open: Option<bool>,
    /// Milliseconds. Default 3,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
}

/// When the agent answers, in the agent's time zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpeningHours {
    /// `monday` to `sunday` → `["09:00-12:00", "18:30-02:00"]`; a range may pass midnight. A day that is absent is closed.
    pub days: BTreeMap<String, Vec<String>>,
    /// `2026-12-25` → ranges of that day in place of its weekday's (none: closed).
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub exceptions: BTreeMap<String, Vec<String>>,
    /// When closed: `message` (default), `hangup` or `answer` (the model knows that it is closed).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_action: Option<String>,
    /// What is said when closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_message: Option<String>,
}

/// Where calls may be sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TransferSettings {
    /// Named targets.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub transfer_targets: BTreeMap<String, TransferSetting>,
    /// The call is transferred at once, without the model, to `default` or to `ctx.transfer_phone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_automatic: Option<bool>,
    /// Prefixes (`+33`) of numbers that the model may name itself. None (default): named targets only.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub transfer_allowed_prefixes: Vec<String>,
}

/// One target: a number or SIP address, alone or with a description for the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TransferSetting {
    /// `"+33491234567"` or `"sip:desk@pbx.example"`.
    Plain(String),
    /// With a description.
    Full {
        /// Number or SIP address.
        destination: String,
        /// When to choose it, for the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// `refer`, `bridge`, `attended`, `conference` or `auto` (default).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
        /// How long a second leg rings, seconds: 5 to 120 (default 25).
        #[serde(
            default,
            rename = "ringSeconds",
            skip_serializing_if = "Option::is_none"
        )]
        ring_seconds: Option<u32>,
        /// A second leg shows the caller's number (default no).
        #[serde(
            default,
            rename = "showCaller",
            skip_serializing_if = "Option::is_none"
        )]
        show_caller: Option<bool>,
        /// What a second leg is told before it is joined: a template, whose `$ai.summary` the model gives.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        announce: Option<String>,
        /// The person takes the caller by pressing 1, and refuses by 2 (default no).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        screen: Option<bool>,
        /// How long the key is awaited, seconds: 5 to 60 (default 15).
        #[serde(
            default,
            rename = "screenSeconds",
            skip_serializing_if = "Option::is_none"
        )]
        screen_seconds: Option<u32>,
        /// The caller is back with the agent when the person hangs up (default no: the call ends).
        #[serde(
            default,
            rename = "returnToAgent",
            skip_serializing_if = "Option::is_none"
        )]
        return_to_agent: Option<bool>,
    },
}

/// How a caller is handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferMode {
    /// The telephone side's own way alone (REFER, a carrier's redirect).
    Refer,
    /// A second leg, joined with the caller's.
    Bridge,
    /// A second leg, which the telephone side is then asked to connect the caller with (REFER with Replaces); joined where it does not.
    Attended,
    /// A second leg, which hears the caller and the agent and is heard by both.
    Conference,
    /// The telephone side's own way, and a second leg where it hands nobody over.
    #[default]
    Auto,
}

impl TransferMode {
    /// The names, as settings have them.
    pub const NAMES: [&str; 5] = ["refer", "bridge", "attended", "conference", "auto"];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "refer" => Some(Self::Refer),
            "bridge" => Some(Self::Bridge),
            "attended" => Some(Self::Attended),
            "conference" => Some(Self::Conference),
            "auto" => Some(Self::Auto),
            _ => None,
        }
    }
}

/// The way to a target. What is not said, or out of its range, is as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferManner {
    /// By what.
    pub mode: TransferMode,
    /// How long a second leg rings, seconds.
    pub ring_seconds: u32,
    /// A second leg shows the caller's number.
    pub shows_caller: bool,
    /// A second leg is told something before it is joined.
    pub announces: bool,
    /// How long its person is asked for a key, seconds; `None`: nobody is asked.
    pub screen_seconds: Option<u32>,
    /// The caller is back with the agent when the person hangs up.
    pub returns: bool,
}

impl TransferManner {
    /// Seconds in which the person may press the key.
    pub const SCREEN_SECONDS: std::ops::RangeInclusive<u32> = 5..=60;
    /// The same where nobody says it.
    pub const SCREEN_SECONDS_USUAL: u32 = 15;
    /// Seconds that a second leg may be asked to ring.
    pub const RING_SECONDS: std::ops::RangeInclusive<u32> = 5..=120;
}

impl Default for TransferManner {
    fn default() -> Self {
        Self {
            mode: TransferMode::default(),
            ring_seconds: 25,
            shows_caller: false,
            announces: false,
            screen_seconds: None,
            returns: false,
        }
    }
}

impl TransferSetting {
    /// The number or SIP address.
    pub fn destination(&self) -> &str {
        match self {
            Self::Plain(destination) | Self::Full { destination, .. } => destination,
        }
    }

    /// When to choose it.
    pub fn description(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Full { description, .. } => description.as_deref(),
        }
    }

    /// What a second leg is told before it is joined.
    pub fn announce(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Full { announce, .. } => {
                announce.as_deref().filter(|text| !text.trim().is_empty())
            }
        }
    }

    /// How it is reached. What only a second leg can have is had by a second leg.
    pub fn manner(&self) -> TransferManner {
        let usual = TransferManner::default();
        let Self::Full {
            mode,
            ring_seconds,
            show_caller,
            screen,
            screen_seconds,
            return_to_agent,
            ..
        } = self
        else {
            return usual;
        };
        let screens = screen.unwrap_or_default();
        let asked = screen_seconds.filter(|known| TransferManner::SCREEN_SECONDS.contains(known));
        let announces = screens || self.announce().is_some();
        let returns = return_to_agent.unwrap_or_default();
        let known = ring_seconds.filter(|known| TransferManner::RING_SECONDS.contains(known));
        TransferManner {
            mode: match mode.as_deref().and_then(TransferMode::named) {
                Some(TransferMode::Attended) if !returns => TransferMode::Attended,
                Some(TransferMode::Conference) => TransferMode::Conference,
                _ if announces || returns => TransferMode::Bridge,
                named => named.unwrap_or_default(),
            },
            ring_seconds: known.unwrap_or(usual.ring_seconds),
            shows_caller: show_caller.unwrap_or(usual.shows_caller),
            announces,
            screen_seconds: screens.then(|| asked.unwrap_or(TransferManner::SCREEN_SECONDS_USUAL)),
            returns,
        }
    }

    /// What of it says nothing that is known: the field, and what may stand there.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let Self::Full {
            mode,
            ring_seconds,
            screen_seconds,
            ..
        } = self
        else {
            return None;
        };
        if mode
            .as_deref()
            .is_some_and(|mode| TransferMode::named(mode).is_none())
        {
            let names = TransferMode::NAMES.join(", ");
            return Some(("mode", format!("The mode is one of {names}.")));
        }
        let range = TransferManner::RING_SECONDS;
        if ring_seconds.is_some_and(|seconds| !range.contains(&seconds)) {
            let (least, most) = (range.start(), range.end());
            let text = format!("A second leg rings for {least} to {most} seconds.");
            return Some(("ringSeconds", text));
        }
        let range = TransferManner::SCREEN_SECONDS;
        if screen_seconds.is_some_and(|seconds| !range.contains(&seconds)) {
            let (least, most) = (range.start(), range.end());
            let text = format!("The key is awaited for {least} to {most} seconds.");
            return Some(("screenSeconds", text));
        }
        self.second_leg_fault(mode.as_deref())
    }

    /// A REFER hands the caller over without a second leg of ours.
    fn second_leg_fault(&self, mode: Option<&str>) -> Option<(&'static str, String)> {
        let manner = self.manner();
        let second_leg = manner.announces || manner.returns;
        if second_leg && mode == Some("refer") {
            let text = "An announcement, a question and a return need a second leg: the mode is bridge, attended or conference, or is left out.";
            return Some(("mode", text.to_owned()));
        }
        // Nobody of ours is there any more when the person hangs up.
        (manner.returns && mode == Some("attended")).then(|| {
            let text = "A caller who is to come back stays with the agent's line: the mode is bridge or conference, or is left out.";
            ("mode", text.to_owned())
        })
    }
}

/// What the model may not decide alone. Every default is the careful one that leaves an ordinary conversation as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicySettings {
    /// Template of the code that proves the caller, e.g. `={{ctx.confirmation_code}}`. The model never sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmation_code: Option<String>,
    /// Every tool that reads or changes the caller's records needs proof of the caller (default no).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_proof: Option<bool>,
    /// Identifiers in changes must come from an earlier reply of this call (default yes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_ids_only: Option<bool>,
    /// Confirmation after text that the caller did not say (default yes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_when_tainted: Option<bool>,
}

/// One rule of the outcome: all the conditions that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutcomeRule {
    /// The outcome that it gives.
    pub outcome: String,
    /// The highest wins; among equals the first.
    #[serde(deserialize_with = "null_default")]
    pub priority: i64,
    /// A tool of this name succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// A flag of a tool's `onSuccessFlags` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// The call was (or was not) transferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transferred: Option<bool>,
    /// The caller said (or did not say) something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_spoke: Option<bool>,
    /// The call lasted at least this long, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_duration_sec: Option<u64>,
    /// Template that must be true, over `ctx`, `config` and `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// How the cost of a call is counted. Numbers are read as decimals, never as binary fractions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CostSettings {
    /// Percent added to the engine's cost. Default: the session's `aiCostMarginPct`, else the final customer's, else 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_pct: Option<f64>,
    /// Units of `currency` for one unit of the price table's currency. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange_rate: Option<f64>,
    /// ISO 4217. Default EUR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Price of one minute of a carrier that charges us (Twilio…), in the price table's currency. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telephony_per_min: Option<f64>,
}
