//! What the engine tells a chat. Written words are handed over as they come: an item is "played" when its text is complete.

use std::time::Instant;

use call::{EngineFailure, Input, ItemId, ResponseId, ResponseStatus as SessionStatus, ToolCallId};
use catalog::Message;
use media::ItemKey;
use wire::Dialogue;
use wire::realtime::{EngineEvent, ResponseStatus, Usage};

use super::ChatEvent;
use super::task::ChatTask;
use crate::call_task::engine_events::{expires_in_ms, loss};
use crate::engine_link::{LinkEvent, Which};

impl ChatTask {
    pub(super) fn link_event(&mut self, now: Instant, event: LinkEvent) {
        match event {
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
        if which == Which::Current && self.leave_alone() {
            return;
        }
        let Some(talk) = &mut self.talk else { return };
        let metrics = &self.chats.calls.metrics;
        crate::log::say(&loss(metrics, talk.link.target(), failure, detail, status));
        talk.link.close(which);
        if which == Which::Next && failure.is_retryable() && talk.link.may_rotate_again() {
            let history = talk.history.clone();
            talk.link.connect(now, Which::Next, &history);
            return;
        }
        talk.link.close(Which::Next);
        self.finish_items(now);
        if let Some(talk) = &mut self.talk {
            let failure = talk.link.after_loss(failure);
            talk.session.handle(now, Input::EngineLost { failure });
        }
    }

    /// True when an event was handled.
    pub(super) fn drain_engine(&mut self, now: Instant) -> bool {
        let mut busy = false;
        for which in [Which::Current, Which::Next] {
            while let Some(event) = self
                .talk
                .as_mut()
                .and_then(|talk| talk.link.conversation(which))
                .and_then(Dialogue::poll_event)
            {
                busy = true;
                self.engine_event(now, which, event);
            }
        }
        busy
    }

    fn ready(&mut self, now: Instant, which: Which) {
        let Some(talk) = &mut self.talk else { return };
        talk.link.set_ready(which);
        if which == Which::Next {
            talk.link.rotate();
        }
        let expires_in_ms = expires_in_ms(&mut talk.link);
        talk.session
            .handle(now, Input::EngineReady { expires_in_ms });
    }

    fn engine_event(&mut self, now: Instant, which: Which, event: EngineEvent) {
        match event {
            EngineEvent::Ready => self.ready(now, which),
            EngineEvent::Refused {
                code,
                message,
                param,
            } => {
                let detail = format!("{code}: {message} {}", param.unwrap_or_default());
                self.engine_lost(now, which, EngineFailure::Rejected, detail.trim(), None);
            }
            // A session that takes over is only awaited.
            _ if which == Which::Next => {}
            EngineEvent::Expired => {
                self.engine_lost(now, which, EngineFailure::Expired, "", None);
            }
            EngineEvent::AgentTranscriptDelta { item, delta } => self.words(now, &item, delta),
            EngineEvent::AgentTranscript { item, text } => self.all_words(now, &item, text),
            EngineEvent::ToolCalled {
                call_id,
                name,
                arguments,
                ..
            } => self.tool_called(now, call_id, name, arguments),
            EngineEvent::ResponseStarted { response } => {
                if let Some(talk) = &mut self.talk {
                    talk.response.clone_from(&response);
                    let response = ResponseId::from(response);
                    talk.session
                        .handle(now, Input::ResponseStarted { response });
                }
            }
            EngineEvent::ResponseDone {
                response,
                status,
                usage,
            } => self.response_done(now, response, status, usage),
            EngineEvent::UsageReported { usage } => self.add_usage(now, &usage),
            EngineEvent::GoingAway { left_ms } => {
                if let Some(talk) = &mut self.talk {
                    let in_ms = left_ms.unwrap_or(10_000);
                    talk.session.handle(now, Input::EngineExpires { in_ms });
                }
            }
            EngineEvent::Fault {
                code,
                message,
                benign: false,
            } => {
                let detail = format!("{}: {message}", code.unwrap_or_default());
                crate::log::say(&Message::new("engine_fault").with("detail", detail.as_str()));
            }
            // The sound of an engine that can only speak: its words come beside it.
            EngineEvent::Audio { .. }
            | EngineEvent::AudioDone { .. }
            | EngineEvent::SpeechStarted { .. }
            | EngineEvent::SpeechStopped { .. }
            | EngineEvent::UserCommitted { .. }
            | EngineEvent::UserTranscript { .. }
            | EngineEvent::UserTranscriptFailed { .. }
            | EngineEvent::IdleTimeout
            | EngineEvent::ItemTruncated { .. }
            | EngineEvent::ToolCancelled { .. }
            | EngineEvent::RateLimits { .. }
            | EngineEvent::Ignored { .. }
            | EngineEvent::Fault { .. } => {}
        }
    }

    fn words(&mut self, now: Instant, item: &ItemKey, delta: String) {
        self.begin_item(now, item);
        if let Some(talk) = &mut self.talk {
            talk.unfinished.add(item, &delta);
        }
        self.emit(ChatEvent::Delta { text: delta });
    }

    fn begin_item(&mut self, now: Instant, item: &ItemKey) {
        let Some(talk) = &mut self.talk else { return };
        if !talk.items.insert(ItemKey::clone(item)) {
            return;
        }
        let response = ResponseId::from(talk.response.clone());
        let item = ItemId::from(ItemKey::clone(item));
        let started = Input::AgentAudioStarted {
            item: item.clone(),
            response,
        };
        talk.session.handle(now, started);
        talk.session.handle(now, Input::PlayoutStarted { item });
    }

    fn all_words(&mut self, now: Instant, item: &ItemKey, text: String) {
        self.begin_item(now, item);
        let Some(talk) = &mut self.talk else { return };
        talk.unfinished.complete(item);
        let item = ItemId::from(ItemKey::clone(item));
        let told = Input::AgentTranscript {
            item: item.clone(),
            text,
        };
        talk.session.handle(now, told);
        let item_done = Input::AgentAudioDone { item: item.clone() };
        talk.session.handle(now, item_done);
        let played_ms = 0;
        talk.session
            .handle(now, Input::PlayoutFinished { item, played_ms });
        talk.session.handle(now, Input::PlayoutDrained);
    }

    /// No more comes of what the engine was writing: what there is of it is what it said.
    pub(super) fn finish_items(&mut self, now: Instant) {
        let Some(talk) = &mut self.talk else { return };
        for (item, text) in talk.unfinished.take() {
            self.all_words(now, &item, text);
        }
    }

    fn tool_called(&mut self, now: Instant, call_id: String, name: String, arguments: String) {
        let Some(talk) = &mut self.talk else { return };
        let last = talk
            .tools
            .iter()
            .any(|tool| tool.name == name && tool.skip_response);
        if last && let Some(conversation) = talk.link.conversation(Which::Current) {
            conversation.silence_after(&call_id);
        }
        let id = ToolCallId::from(call_id);
        talk.session.handle(
            now,
            Input::ToolCalled {
                id,
                name,
                arguments,
            },
        );
    }

    fn add_usage(&mut self, now: Instant, usage: &Usage) {
        let (Some(talk), Some(office)) = (&mut self.talk, &mut self.office) else {
            return;
        };
        let tokens = ::agent::Usage {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            input_audio_tokens: usage.input_audio_tokens,
            output_audio_tokens: usage.output_audio_tokens,
            cached_text_tokens: usage.cached_text_tokens,
            cached_audio_tokens: usage.cached_audio_tokens,
        };
        office.brain.add_usage(talk.link.model(), tokens);
        self.changed = true;
        if office.books.is_spent(&office.brain) {
            talk.session.handle(now, Input::BudgetSpent);
        }
    }

    fn response_done(
        &mut self,
        now: Instant,
        response: String,
        status: ResponseStatus,
        usage: Option<Usage>,
    ) {
        self.finish_items(now);
        if let Some(usage) = usage {
            self.add_usage(now, &usage);
        }
        let status = match status {
            ResponseStatus::Completed => SessionStatus::Completed,
            ResponseStatus::Cancelled { .. } => SessionStatus::Cancelled,
            ResponseStatus::Incomplete { .. } => SessionStatus::Incomplete,
            ResponseStatus::Failed { code, .. } => SessionStatus::Failed { code },
        };
        if let Some(talk) = &mut self.talk {
            let response = ResponseId::from(response);
            talk.session
                .handle(now, Input::ResponseDone { response, status });
        }
    }
}
