//! A call that a program asked us to place: what it wants the agent to know, and the address that follows the call.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::scope::iso;
use super::{CallBrain, WebhookBody};

/// What came with the request.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Placement {
    /// Values of `ctx.*` in the agent's templates. They hold against what the session's address says.
    pub custom_params: Map<String, Value>,
    /// Address that is told of each status.
    pub callback_url: Option<String>,
    /// What is done where an answering machine may take the call; `None`: nobody looks.
    pub answering: Option<AnsweringWish>,
    /// The trace of who asked for the call (W3C `traceparent`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
    /// When the other side answered.
    pub answered_at: Option<Timestamp>,
    /// Who did, where that was looked for: `human`, `machine`, `machine_beep` or `unknown`.
    pub answered_by: Option<String>,
}

/// What is done when a machine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AnsweringAction {
    /// The agent speaks at once, whoever answered; the verdict is written down.
    CarryOn,
    /// The call is ended without a word.
    HangUp,
    /// A message is left after the beep, or after the greeting where none comes.
    LeaveMessage,
}

/// How a machine is known, and what is done with it. Times are milliseconds; absent ones are those of `media::AnsweringTerms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnsweringWish {
    /// What is done.
    pub action: AnsweringAction,
    /// The message to leave, without the words that say that a machine speaks: those come before it.
    #[serde(default)]
    pub message: Option<String>,
    /// A longer greeting is a machine's.
    #[serde(default)]
    pub greeting_ms_max: Option<u32>,
    /// Silence after a short greeting by which a person is known.
    #[serde(default)]
    pub pause_ms: Option<u32>,
    /// Silence from the answer on after which nobody can be told.
    #[serde(default)]
    pub silence_ms: Option<u32>,
    /// Longest time to a verdict.
    #[serde(default)]
    pub verdict_ms: Option<u32>,
    /// How long the beep of a machine is waited for.
    #[serde(default)]
    pub beep_ms: Option<u32>,
}

impl std::fmt::Debug for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placement")
            .field("custom_params", &self.custom_params.len())
            .field("callback_url", &self.callback_url.is_some())
            .field("answering", &self.answering.is_some())
            .finish_non_exhaustive()
    }
}

/// The moments that the address is told of (contracts.md 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlacedEvent {
    /// The call left.
    Initiated,
    /// It rings there.
    Ringing,
    /// Somebody answered.
    Answered,
    /// It is over, however it ended.
    Completed,
}

impl PlacedEvent {
    fn label(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Completed => "completed",
        }
    }

    /// A call has one delivery of each kind.
    fn kind(self) -> &'static str {
        match self {
            Self::Initiated => "call_status.initiated",
            Self::Ringing => "call_status.ringing",
            Self::Answered => "call_status.answered",
            Self::Completed => "call_status.completed",
        }
    }
}

impl CallBrain {
    /// The call was asked for with this.
    pub fn place(&mut self, placement: Placement) {
        self.placement = Some(placement);
        self.context_of_placement();
    }

    pub(super) fn context_of_placement(&mut self) {
        if let Some(placement) = &self.placement {
            let members = placement.custom_params.clone();
            self.context_set(members);
        }
    }

    /// Whether a program asked for this call.
    pub fn is_placed(&self) -> bool {
        self.placement.is_some()
    }

    /// Whether the other side of a call that we placed has answered.
    pub fn is_answered(&self) -> bool {
        let placement = self.placement.as_ref();
        placement.is_some_and(|placement| placement.answered_at.is_some())
    }

    /// What is done where an answering machine may take this call.
    pub fn answering(&self) -> Option<&AnsweringWish> {
        self.placement.as_ref()?.answering.as_ref()
    }

    /// Who answered the call, by the label that is stored.
    pub fn answered_by(&mut self, who: &str) {
        if let Some(placement) = &mut self.placement {
            placement.answered_by = Some(who.to_owned());
        }
    }

    /// Who answered, where that was looked for and found.
    pub(super) fn answerer(&self) -> Option<&str> {
        self.placement.as_ref()?.answered_by.as_deref()
    }

    /// What the address that follows the call is told. `status` is one of contracts.md 4: `initiated`, `ringing`, `answered`,
    /// `completed`, `failed`, `busy`, `no-answer`, `cancelled`.
    pub fn placed_status(
        &mut self,
        event: PlacedEvent,
        status: &str,
        now: Timestamp,
    ) -> Option<WebhookBody> {
        let placement = self.placement.as_mut()?;
        if event == PlacedEvent::Answered {
            placement.answered_at.get_or_insert(now);
        }
        self.placed_body(event, status, now)
    }

    /// The last of them.
    pub fn placed_end(&self, status: &str, ended_at: Timestamp) -> Option<WebhookBody> {
        self.placed_body(PlacedEvent::Completed, status, ended_at)
    }

    fn placed_body(&self, event: PlacedEvent, status: &str, at: Timestamp) -> Option<WebhookBody> {
        let placement = self.placement.as_ref()?;
        let url = placement.callback_url.clone()?;
        let ended = event == PlacedEvent::Completed;
        let answered = placement.answered_at;
        let talked = answered
            .filter(|_| ended)
            .map(|answered| at.duration_since(answered).as_secs().max(0));
        let facts = &self.facts;
        let mut body = json!({
            "sid": facts.call_id,
            "direction": facts.direction.as_str(),
            "from": facts.called_number,
            "to": facts.caller_phone,
            "status": status,
            "customParams": placement.custom_params,
            "createdAt": iso(facts.started_at),
            "answeredAt": answered.map(iso),
            "endedAt": ended.then(|| iso(at)),
            "durationSec": talked,
            "event": event.label(),
            "timestamp": iso(at),
        });
        if let Some(who) = self.answerer() {
            body["answeredBy"] = json!(who);
        }
        Some(WebhookBody {
            kind: event.kind(),
            url,
            body: body.to_string(),
        })
    }
}
