//! What the names of templates mean in this call.

use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value};

use super::CallBrain;
use crate::template::Scope;

const WEEKDAYS_FR: [&str; 7] = [
    "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche",
];
const WEEKDAYS_EN: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// ISO 8601 in UTC with milliseconds, as JavaScript writes it.
pub(super) fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The name of the day in one of our two languages.
pub(super) fn weekday(at: &Zoned, english: bool) -> &'static str {
    let names = if english { WEEKDAYS_EN } else { WEEKDAYS_FR };
    let position = usize::try_from(at.weekday().to_monday_zero_offset()).unwrap_or_default();
    names.get(position).copied().unwrap_or_default()
}

impl CallBrain {
    /// Call variables by their canonical names.
    pub(super) fn variables(&self, now: Timestamp) -> Map<String, Value> {
        let facts = &self.facts;
        let settings = self.agent.settings();
        let local = now.to_zoned(self.agent.zone.clone());
        let mut variables = Map::new();
        let mut text = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                variables.insert(name.to_owned(), Value::String(value));
            }
        };
        text("callId", Some(facts.call_id.clone()));
        text("callerPhone", facts.caller_phone.clone());
        text("calledNumber", facts.called_number.clone());
        text("direction", Some(facts.direction.as_str().to_owned()));
        text("carrier", Some(facts.carrier.clone()));
        text("carrierCallId", facts.carrier_call_id.clone());
        text("callerName", facts.caller_name.clone());
        text("callerAttestation", facts.caller_attestation.clone());
        text("startedAt", Some(iso(facts.started_at)));
        text("now_iso", Some(iso(now)));
        text("local_date", Some(local.strftime("%Y-%m-%d").to_string()));
        text("local_time", Some(local.strftime("%H:%M").to_string()));
        text(
            "weekday",
            Some(weekday(&local, settings.speaks_english()).to_owned()),
        );
        text("timezone", Some(settings.timezone().to_owned()));
        text(
            "language",
            Some(
                settings
                    .prompt
                    .language
                    .clone()
                    .unwrap_or_else(|| "fr".to_owned()),
            ),
        );
        variables.insert(
            "callerVerified".to_owned(),
            Value::Bool(self.caller_is_proven()),
        );
        let seconds = now.duration_since(facts.started_at).as_secs().max(0);
        variables.insert(
            "call_duration_sec".to_owned(),
            Value::Number(seconds.into()),
        );
        variables
    }

    /// The scope with no argument, reply or pre-step.
    pub(super) fn scope<'a>(&'a self, variables: &'a Map<String, Value>) -> Scope<'a> {
        Scope {
            base_url: self.agent.base_url.as_deref(),
            config: &self.agent.definition.settings.prompt.config,
            context: &self.context,
            data: &self.data,
            agent: &self.agent.fields,
            variables,
            pre: None,
            arguments: None,
            reply: None,
            zone: &self.agent.zone,
        }
    }
}
