//! What the engine tells.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use call::{
    EngineFailure, Input, ItemId, ResponseId, ResponseStatus as SessionStatus, ToolCallId, ToolKind,
};
use catalog::Message;
use media::{Heard, ItemKey, Reform};
use store::Event;
use store::journal::{EngineState, engine_failure};
use wire::realtime::{EngineEvent, ResponseStatus, Usage};

use super::CallTask;
use crate::engine_link::{EngineLink, LinkEvent, Which};
use crate::leg::audio::LegAudio;
use crate::live::LiveEventKind;
use crate::metrics::Metrics;
use crate::realtime_client::Target;

/// How long an engine that announces its end without a time is taken to stay.
const GOING_AWAY_MS: u64 = 10_000;

/// What is told of the loss of an engine; counted.
pub(crate) fn loss(
    metrics: &Metrics,
    target: &Target,
    failure: EngineFailure,
    detail: &str,
    status: Option<u16>,
) -> Message {
    let label = engine_failure(failure);
    Metrics::count(&metrics.engine_failures, label, 1);
    let mut message = Message::new(format!("engine_{label}")).with("detail", detail);
    if let Some(status) = status {
        message = message.with("status", status);
    }
    if let EngineFailure::Closed { code: Some(code) } = failure {
        message = message.with("close_code", code);
    }
    if let EngineFailure::Refused = failure {
        let key = target.key().expose();
        message = message.with("key", catalog::redact::key_tail(key));
    } else if let EngineFailure::Unreachable = failure {
        message = message.with("host", target.host());
    }
    message
}

/// How long the engine's session lives, as it said it.
pub(crate) fn expires_in_ms(link: &mut EngineLink) -> Option<u64> {
    let expires = link.conversation(Which::Current)?.expires_at_unix_s()?;
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|passed| passed.as_secs())
        .unwrap_or_default();
    Some(expires.saturating_sub(wall).saturating_mul(1_000))
}

impl CallTask {
    pub(super) fn link_event(&mut self, now: Instant, event: LinkEvent) {
        match event {
            // The conversation is drained with everything else.
            LinkEvent::News(_) => {}
            LinkEvent::Lost {
                which,
                failure,
                detail,
                status,
            } => self.engine_lost(now, which, failure, &detail, status),
        }
    }

    fn engine_lost(
        &mut self,
        now: Instant,
        which: Which,
        failure: EngineFailure,
        detail: &str,
        status: Option<u16>,
    ) {
        // What the engine said before it closed explains the loss; it was drained already.
        let message = loss(
            &self.desk.calls.metrics,
            self.link.target(),
            failure,
            detail,
            status,
        );
        crate::log::say(&message);
        let event = Event::EngineState {
            state: EngineState::Lost,
            attempt: 0,
            failure: Some(message),
        };
        self.desk.journal.event(now, event);
        self.link.close(which);
        if which == Which::Next && failure.is_retryable() && self.link.may_rotate_again() {
            let history = self.history.items();
            self.link.connect(now, Which::Next, &history);
            return;
        }
        // The session begins anew from here: a rotation that was under way is part of what is lost.
        self.link.close(Which::Next);
        self.keep_unfinished_words(now);
        let failure = self.link.after_loss(failure);
        self.session.handle(now, Input::EngineLost { failure });
    }

    /// No complete transcript will come of what the engine was saying: what was written of it so far is what the record keeps, and
    /// what a new session is told.
    pub(super) fn keep_unfinished_words(&mut self, now: Instant) {
        for (item, text) in self.unfinished_words.take() {
            let item = ItemId::from(item);
            self.history.agent(&item, &text);
            self.session
                .handle(now, Input::AgentTranscript { item, text });
        }
    }

    /// True when an event was handled.
    pub(super) fn drain_engine(&mut self, now: Instant) -> bool {
        let mut busy = false;
        for which in [Which::Current, Which::Next] {
            while let Some(event) = self
                .link
                .conversation(which)
                .and_then(wire::Dialogue::poll_event)
            {
                busy = true;
                match which {
                    Which::Current => self.engine_event(now, event),
                    Which::Next => self.next_engine_event(now, event),
                }
            }
        }
        busy
    }

    /// A session that takes over is only awaited: nothing is asked of it before it is ready.
    fn next_engine_event(&mut self, now: Instant, event: EngineEvent) {
        if let EngineEvent::Ready = event {
            self.link.set_ready(Which::Next);
            self.link.rotate();
            self.ready(now);
        } else if let EngineEvent::Refused {
            code,
            message,
            param,
        } = event
        {
            self.refused(now, Which::Next, &code, &message, param.as_deref());
        }
    }

    fn refused(
        &mut self,
        now: Instant,
        which: Which,
        code: &str,
        message: &str,
        param: Option<&str>,
    ) {
        let detail = format!("{code}: {message} {}", param.unwrap_or_default());
        self.engine_lost(now, which, EngineFailure::Rejected, detail.trim(), None);
    }

    fn ready(&mut self, now: Instant) {
        if self.desk.timings.engine_ready_ms.is_none() {
            self.desk.timings.engine_ready_ms = Some(self.desk.since_start_ms(now));
            let call = self.desk.id().as_str();
            crate::log::say(&Message::new("log_voice_bridge_started").with("call", call));
            self.desk.changed();
        }
        self.desk.journal.event(
            now,
            Event::EngineState {
                state: EngineState::Ready,
                attempt: 0,
                failure: None,
            },
        );
        let code = if self.link.on_fallback() {
            "engine_fallback_serves"
        } else {
            "engine_serves"
        };
        let served = Message::new(code).with("engine", self.link.describe());
        if self.link.on_fallback() {
            crate::log::say(&served);
        }
        self.desk.journal.note(now, served);
        let expires_in_ms = expires_in_ms(&mut self.link);
        self.session
            .handle(now, Input::EngineReady { expires_in_ms });
    }

    fn engine_event(&mut self, now: Instant, event: EngineEvent) {
        match event {
            EngineEvent::Ready => {
                self.link.set_ready(Which::Current);
                self.ready(now);
            }
            EngineEvent::Refused {
                code,
                message,
                param,
            } => {
                self.refused(now, Which::Current, &code, &message, param.as_deref());
            }
            EngineEvent::Expired => {
                self.engine_lost(now, Which::Current, EngineFailure::Expired, "", None);
            }
            EngineEvent::SpeechStarted { item, .. } => self.speech_started(now, item),
            EngineEvent::SpeechStopped { item, .. } => self.speech_stopped(now, item),
            EngineEvent::UserTranscript { item, text } => self.user_transcript(now, item, text),
            EngineEvent::Audio {
                response,
                item,
                audio,
            } => {
                self.agent_audio(now, response, &item, audio);
            }
            EngineEvent::AudioDone { item } => self.agent_audio_done(now, item),
            EngineEvent::AgentTranscriptDelta { item, delta } => {
                self.unfinished_words.add(&item, &delta);
                let item = item.to_string();
                self.desk.publish(LiveEventKind::AgentDelta { item, delta });
            }
            EngineEvent::AgentTranscript { item, text } => {
                self.agent_transcript(now, item, text);
            }
            EngineEvent::ToolCalled {
                call_id,
                name,
                arguments,
                ..
            } => {
                self.tool_called(now, call_id, name, arguments);
            }
            EngineEvent::ResponseStarted { response } => self.response_started(now, response),
            EngineEvent::ResponseDone {
                response,
                status,
                usage,
            } => {
                self.response_done(now, response, status, usage);
            }
            EngineEvent::UsageReported { usage } => self.add_usage(now, usage),
            EngineEvent::GoingAway { left_ms } => self.going_away(now, left_ms),
            EngineEvent::UserCommitted { ref item } => {
                let item = ItemId::from(item.as_str());
                self.user_committed(&item);
                self.noted_only(now, event);
            }
            EngineEvent::UserTranscriptFailed { item, message } => {
                self.user_transcript_failed(now, item, message);
            }
            EngineEvent::ToolCancelled { .. }
            | EngineEvent::IdleTimeout
            | EngineEvent::ItemTruncated { .. }
            | EngineEvent::Fault { .. }
            | EngineEvent::RateLimits { .. }
            | EngineEvent::Ignored { .. } => self.noted_only(now, event),
        }
    }

    fn user_transcript(&mut self, now: Instant, item: String, text: String) {
        let item = ItemId::from(item);
        // Our own words are no answer of the caller's.
        if let Some(office) = &mut self.office
            && !self.session.is_echo(&item)
        {
            office.brain.heard_caller(&text);
        }
        self.session
            .handle(now, Input::UserTranscript { item, text });
    }

    fn agent_transcript(&mut self, now: Instant, item: ItemKey, text: String) {
        self.unfinished_words.complete(&item);
        self.opening_said(&item, &text);
        let item = ItemId::from(item);
        self.session
            .handle(now, Input::AgentTranscript { item, text });
    }

    fn user_transcript_failed(&mut self, now: Instant, item: String, message: String) {
        let name = "input_audio_transcription.failed";
        self.note_engine(now, name, None, Some(&item), Some(message));
        let item = ItemId::from(item);
        self.session
            .handle(now, Input::UserTranscriptMissing { item });
    }

    fn user_committed(&mut self, item: &ItemId) {
        if let Some(office) = &mut self.office
            && !self.session.is_nobodys(item)
        {
            office.brain.caller_turn();
        }
    }

    fn going_away(&mut self, now: Instant, left_ms: Option<u64>) {
        let detail = left_ms.map(|left_ms| format!("{left_ms} ms left"));
        self.note_engine(now, "goAway", None, None, detail);
        let in_ms = left_ms.unwrap_or(GOING_AWAY_MS);
        self.session.handle(now, Input::EngineExpires { in_ms });
    }

    /// Events that the conversation goes on without.
    fn noted_only(&self, now: Instant, event: EngineEvent) {
        if let EngineEvent::UserCommitted { item } = event {
            self.note_engine(now, "input_audio_buffer.committed", None, Some(&item), None);
        } else if let EngineEvent::IdleTimeout = event {
            self.note_engine(
                now,
                "input_audio_buffer.timeout_triggered",
                None,
                None,
                None,
            );
        } else if let EngineEvent::ItemTruncated { item, audio_end_ms } = event {
            let detail = Some(audio_end_ms.to_string());
            self.note_engine(
                now,
                "conversation.item.truncated",
                None,
                Some(&item),
                detail,
            );
        } else if let EngineEvent::Fault {
            code,
            message,
            benign,
        } = event
        {
            let detail = format!("{}: {message}", code.unwrap_or_default());
            if !benign {
                crate::log::say(&Message::new("engine_fault").with("detail", detail.as_str()));
            }
            self.note_engine(now, "error", None, None, Some(detail));
        } else if let EngineEvent::ToolCancelled { call_id } = event {
            self.note_engine(now, "toolCallCancellation", None, None, Some(call_id));
        } else if let EngineEvent::Ignored { event_type } = event {
            tracing::debug!(code = "log_engine_event_ignored", event_type);
        }
    }

    fn note_engine(
        &self,
        now: Instant,
        name: &str,
        response: Option<&str>,
        item: Option<&str>,
        detail: Option<String>,
    ) {
        let event = Event::EngineEvent {
            name: name.to_owned(),
            response: response.map(str::to_owned),
            item: item.map(str::to_owned),
            detail,
        };
        self.desk.journal.event(now, event);
    }

    fn speech_started(&mut self, now: Instant, item: String) {
        self.desk
            .journal
            .event(now, Event::SpeechStarted { item: item.clone() });
        self.desk.publish(LiveEventKind::CallerSpeaking);
        let item = ItemId::from(item);
        let confirm = self.confirms_voices();
        let mut heard = self.judge_all(|leg| leg.judge_heard(confirm));
        if heard == Heard::Quiet && confirm {
            // It is over already, whatever it was.
            heard = self.judge_all(LegAudio::judge_voice);
        }
        if !matches!(heard, Heard::Echo | Heard::Noise) {
            self.clock.speech_stopped = None;
        }
        let known = match heard {
            Heard::Speech | Heard::Quiet => {
                self.session.handle(now, Input::UserSpeechStarted { item });
                return;
            }
            Heard::Undecided => call::Heard::Unclear,
            Heard::Echo => call::Heard::Echo,
            Heard::Noise => call::Heard::Noise,
        };
        self.session.handle(now, Input::UserSpeechDoubted { item });
        self.session
            .handle(now, Input::HeardJudged { heard: known });
    }

    /// Whether what is no voice interrupts nobody. Only where the engine writes what it hears: a voice that was not known for one
    /// is known by its words.
    pub(super) fn confirms_voices(&self) -> bool {
        !self.desk.line.agent.config.profile.noise_interrupts && self.link.writes_the_caller()
    }

    fn speech_stopped(&mut self, now: Instant, item: String) {
        self.desk
            .journal
            .event(now, Event::SpeechStopped { item: item.clone() });
        let item = ItemId::from(item);
        self.session
            .handle(now, Input::UserSpeechStopped { item: item.clone() });
        // Nobody waits for an answer to our own echo, or to a noise.
        if !self.session.is_nobodys(&item) {
            self.clock.speech_stopped = Some(now);
        }
    }

    fn agent_audio(&mut self, now: Instant, response: String, item: &ItemKey, audio: Vec<u8>) {
        if self.cleared.contains(item) {
            return;
        }
        let converted = self.link.agent_audio(item, audio);
        if let Some((before, rest)) = converted.before
            && !self.cleared.contains(&before)
        {
            self.opening_audio(&before, &rest);
            self.queue_audio(&before, &rest);
        }
        self.opening_audio(item, &converted.audio);
        if !self.queue_audio(item, &converted.audio) {
            return;
        }
        if self.speaking.as_ref() != Some(item) {
            self.speaking = Some(Arc::clone(item));
            let item = ItemId::from(Arc::clone(item));
            self.session.handle(
                now,
                Input::AgentAudioStarted {
                    item,
                    response: ResponseId::from(response),
                },
            );
        }
    }

    /// Queues audio in the form promised to the engine for the caller. False where the queue is full.
    fn queue_audio(&mut self, item: &ItemKey, audio: &[u8]) -> bool {
        let (from, form) = (self.engine_form, self.media.form());
        let audio = if form == from {
            audio
        } else {
            Reform::between(&mut self.downward, from, form).convert(audio)
        };
        if self.media.push(item, audio).is_err() {
            let dropped = u64::try_from(audio.len() / form.bytes_per_ms()).unwrap_or(0);
            Metrics::count(
                &self.desk.calls.metrics.audio_dropped_ms,
                "playout_full",
                dropped,
            );
            return false;
        }
        true
    }

    fn agent_audio_done(&mut self, now: Instant, item: ItemKey) {
        if let Some(rest) = self.link.agent_audio_rest(&item)
            && !self.cleared.contains(&item)
        {
            self.opening_audio(&item, &rest);
            self.queue_audio(&item, &rest);
        }
        self.media.finish(&item);
        let item = ItemId::from(item);
        self.session.handle(now, Input::AgentAudioDone { item });
    }

    fn add_usage(&mut self, now: Instant, usage: Usage) {
        let model = self.link.model().to_owned();
        self.add_usage_of(now, &model, usage);
    }

    /// What an engine of this model says that it used.
    pub(super) fn add_usage_of(&mut self, now: Instant, model: &str, usage: Usage) {
        self.count_usage(now, model, &usage);
        self.usage.input_tokens += usage.input_tokens;
        self.usage.output_tokens += usage.output_tokens;
        self.usage.cached_tokens += usage.cached_tokens;
        self.usage.input_audio_tokens += usage.input_audio_tokens;
        self.usage.output_audio_tokens += usage.output_audio_tokens;
    }

    fn response_started(&mut self, now: Instant, response: String) {
        self.note_engine(now, "response.created", Some(&response), None, None);
        self.opening_started(&response);
        let response = ResponseId::from(response);
        self.session
            .handle(now, Input::ResponseStarted { response });
    }

    fn tool_called(&mut self, now: Instant, call_id: String, name: String, arguments: String) {
        let event = Event::ToolCall {
            id: call_id.clone(),
            name: name.clone(),
            phase: "called".to_owned(),
            outcome: None,
            took_ms: None,
        };
        self.desk.journal.event(now, event);
        let tools = &self.desk.line.agent.config.profile.tools;
        let last = tools.iter().any(|tool| {
            tool.name == name && (tool.skip_response || tool.kind == ToolKind::EndCall)
        });
        if last && let Some(conversation) = self.link.conversation(Which::Current) {
            conversation.silence_after(&call_id);
        }
        let id = ToolCallId::from(call_id);
        self.session.handle(
            now,
            Input::ToolCalled {
                id,
                name,
                arguments,
            },
        );
    }

    /// What a response cost.
    fn count_usage(&mut self, now: Instant, model: &str, usage: &Usage) {
        let Some(office) = &mut self.office else {
            return;
        };
        office.brain.add_usage(
            model,
            agent::Usage {
                input_tokens: usage.input_tokens,
                output_tokens: usage.output_tokens,
                input_audio_tokens: usage.input_audio_tokens,
                output_audio_tokens: usage.output_audio_tokens,
                cached_text_tokens: usage.cached_text_tokens,
                cached_audio_tokens: usage.cached_audio_tokens,
            },
        );
        self.remember_brain();
        self.watch_budget(now);
    }

    fn response_done(
        &mut self,
        now: Instant,
        response: String,
        status: ResponseStatus,
        usage: Option<Usage>,
    ) {
        let (status, label) = match status {
            ResponseStatus::Completed => (SessionStatus::Completed, "completed".to_owned()),
            ResponseStatus::Cancelled { reason } => {
                (SessionStatus::Cancelled, format!("cancelled: {reason}"))
            }
            ResponseStatus::Incomplete { reason } => {
                (SessionStatus::Incomplete, format!("incomplete: {reason}"))
            }
            ResponseStatus::Failed { code, message } => {
                let label = format!("failed: {code}: {message}");
                (SessionStatus::Failed { code }, label)
            }
        };
        if let Some(usage) = usage {
            self.add_usage(now, usage);
        }
        let completed = status == SessionStatus::Completed;
        self.opening_done(&response, completed);
        self.note_engine(now, "response.done", Some(&response), None, Some(label));
        self.session.handle(
            now,
            Input::ResponseDone {
                response: ResponseId::from(response),
                status,
            },
        );
    }
}
