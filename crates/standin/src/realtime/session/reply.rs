//! Responses: asked for, cancelled, ended.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::realtime::brain::{Reply, Request};
use crate::realtime::conversation::Item;
use crate::realtime::faults::Armed;
use crate::realtime::response::{Content, Ending, Piece, Recipe, Response};
use crate::realtime::schema::Violation;
use crate::realtime::usage::{self, usage};
use crate::scenario::{FaultAction, FaultPoint, ToolUse};

use super::{OUT_OF_BAND_MAX, Session};

impl Session {
    pub(super) fn create_response(
        &mut self,
        now: Instant,
        asked: Option<&Value>,
    ) -> Result<(), Violation> {
        let nothing = json!({});
        let asked = asked.filter(|value| !value.is_null()).unwrap_or(&nothing);
        let out_of_band = asked["conversation"] == "none";
        if !out_of_band && let Some(active) = &self.active {
            return Err(Violation::new(
                "conversation_already_has_active_response",
                format!(
                    "Conversation already has an active response in progress: {}. Wait until the response is finished before creating a new one.",
                    active.recipe.id
                ),
            ));
        }
        if out_of_band && self.out_of_band.len() >= OUT_OF_BAND_MAX {
            return Err(Violation::new(
                "rate_limit_exceeded",
                "Too many responses at once.",
            ));
        }
        let reply = self.reply_to(asked)?;
        self.begin(now, asked, &reply, out_of_band);
        Ok(())
    }

    /// The answer to the caller's silence.
    pub(super) fn idle_response(&mut self, now: Instant) {
        let reply = Reply {
            say: Some(self.prepared.scenario.agent.reprompt.clone()),
            ..Reply::default()
        };
        self.begin(now, &json!({}), &reply, false);
    }

    fn reply_to(&mut self, asked: &Value) -> Result<Reply, Violation> {
        let mut input = Vec::new();
        if let Some(list) = asked["input"].as_array() {
            for given in list {
                input.push(self.item_of(given)?);
            }
        }
        let given = asked["input"].is_array();
        let items: &[Item] = if given {
            &input
        } else {
            self.conversation.items()
        };
        let instructions = asked["instructions"].as_str();
        let request = Request {
            items,
            instructions,
        };
        Ok(self.brain.reply(&self.prepared.scenario, &request))
    }

    /// The tools that the reply calls and the session (or the response) offers.
    fn offered<'a>(&self, asked: &Value, reply: &'a Reply) -> Vec<&'a ToolUse> {
        let choice = asked
            .get("tool_choice")
            .unwrap_or(self.settings.tool_choice());
        let tools = asked.get("tools").unwrap_or(self.settings.tools());
        let offers = |name: &str| {
            let mut tools = tools.as_array().into_iter().flatten();
            tools.any(|tool| tool["name"] == name)
        };
        reply
            .call
            .iter()
            .filter(|tool| choice != "none" && offers(&tool.name))
            .collect()
    }

    fn begin(&mut self, now: Instant, asked: &Value, reply: &Reply, out_of_band: bool) {
        let audio = match asked.pointer("/output_modalities/0") {
            Some(modality) => modality == "audio",
            None => self.settings.audio_output(),
        };
        let mut pieces = Vec::new();
        let calls: Vec<ToolUse> = self.offered(asked, reply).into_iter().cloned().collect();
        let agent = &self.prepared.scenario.agent;
        let silent = reply.say.is_none() && calls.is_empty();
        let line = reply.say.as_ref().or(silent.then_some(&agent.tool_done));
        if let Some(line) = line {
            let text = line.text().to_owned();
            let content = if audio {
                let sound = self.prepared.line(&text).cloned();
                Content::Speech { text, sound }
            } else {
                Content::Text(text)
            };
            pieces.push(Piece::new(self.out.ids.next("item"), content));
        }
        for call in calls {
            let call_id = self.out.ids.next("call");
            self.brain.called(&call_id, reply.then.clone());
            let arguments = serde_json::to_string(&call.arguments);
            let content = Content::Call {
                call_id,
                name: call.name,
                arguments: arguments.unwrap_or_else(|_| "{}".into()),
            };
            pieces.push(Piece::new(self.out.ids.next("item"), content));
        }
        let recipe = self.recipe(asked, audio, out_of_band);
        let response = Response::start(now, recipe, pieces, &self.timing, &mut self.out);
        self.rate_limits();
        if out_of_band {
            self.out_of_band.push(response);
            return;
        }
        self.active = Some(response);
        self.deadlines.idle_at = None;
        for armed in self.faults.at(FaultPoint::Response) {
            self.arm(now, armed);
        }
    }

    fn recipe(&mut self, asked: &Value, audio: bool, out_of_band: bool) -> Recipe {
        let voice = asked
            .pointer("/audio/output/voice")
            .or(self.settings.voice());
        let tokens = asked.get("max_output_tokens").cloned();
        Recipe {
            voice: voice.cloned().unwrap_or_default(),
            id: self.out.ids.next("resp"),
            conversation: (!out_of_band).then(|| self.conversation_id.clone()),
            audio,
            format: self.settings.output_format(),
            format_shown: self.settings.output_format_shown(),
            max_output_tokens: tokens.unwrap_or_else(|| self.settings.max_output_tokens()),
            metadata: asked.get("metadata").cloned().unwrap_or_default(),
        }
    }

    fn rate_limits(&mut self) {
        let used = self.out.sent() % 1_000;
        self.out.event(
            "rate_limits.updated",
            json!({"rate_limits": [
                {"name": "requests", "limit": 1_000, "remaining": 999 - used % 10, "reset_seconds": 0.06},
                {"name": "tokens", "limit": 50_000, "remaining": 50_000 - used, "reset_seconds": 0.3},
            ]}),
        );
    }

    /// A fault that waits within the response; a delay only moves the beginning.
    fn arm(&mut self, now: Instant, armed: Armed) {
        let due = now + Duration::from_millis(armed.ms);
        if armed.action == FaultAction::Delay {
            if let Some(active) = &mut self.active {
                active.delay(Duration::from_millis(armed.ms));
            }
        } else {
            self.deadlines.fault = Some((due, armed));
        }
    }

    pub(super) fn cancel_response(
        &mut self,
        now: Instant,
        id: Option<&Value>,
    ) -> Result<(), Violation> {
        let id = id.and_then(Value::as_str);
        let fits = |response: &Response| id.is_none_or(|id| response.recipe.id == id);
        if self.active.as_ref().is_some_and(fits) {
            self.end_active(now, &Ending::Cancelled("client_cancelled"));
            return Ok(());
        }
        let of_band = self
            .out_of_band
            .iter()
            .position(|one| id == Some(&one.recipe.id));
        if let Some(at) = of_band {
            let response = self.out_of_band.remove(at);
            self.end(response, &Ending::Cancelled("client_cancelled"));
            return Ok(());
        }
        Err(Violation::new(
            "response_cancel_not_active",
            "Cancellation failed: no active response found",
        ))
    }

    /// Ends the response of the default conversation.
    pub(super) fn end_active(&mut self, now: Instant, ending: &Ending) {
        let Some(response) = self.active.take() else {
            return;
        };
        self.deadlines.fault = None;
        let played_until = response.first_audio_at.map_or(now, |first| {
            first + Duration::from_millis(response.audio_ms)
        });
        let idle = self
            .settings
            .turn_detection()
            .and_then(|vad| vad.idle_timeout_ms);
        if *ending == Ending::Completed
            && let Some(idle_ms) = idle
        {
            let due = played_until.max(now) + Duration::from_millis(idle_ms);
            self.deadlines.idle_at = Some(due);
        }
        self.end(response, ending);
    }

    fn end(&mut self, response: Response, ending: &Ending) {
        let input = usage::context(&self.settings, self.conversation.items());
        let counts = usage(input, self.cached, &response);
        self.cached = input;
        response.finish(ending, counts, &mut self.out, &mut self.conversation);
    }

    pub(super) fn advance_out_of_band(&mut self, now: Instant) {
        let mut going = Vec::new();
        for mut response in std::mem::take(&mut self.out_of_band) {
            if response.advance(now, &self.timing, &mut self.out, &mut self.conversation) {
                self.end(response, &Ending::Completed);
            } else {
                going.push(response);
            }
        }
        self.out_of_band = going;
    }
}
