//! What each message of the service changes.

use std::sync::Arc;
use std::time::Instant;

use super::{Answer, Conversation, Phase, Utterance};
use crate::gemini::server_message::{Content, Part, Resumption, ServerMessage, ToolCall};
use crate::gemini::{HANDLE_BYTES_MAX, OUTPUT_RATE_HZ, TRANSCRIPT_BYTES_MAX, client_message};
use crate::realtime::{EngineEvent, ResponseStatus};

impl Conversation {
    pub(super) fn handle(&mut self, now: Instant, message: ServerMessage<'_>) {
        if message.setup_complete {
            self.on_setup_complete();
        }
        if let Some(activity) = message.activity {
            self.on_activity(now, activity);
        }
        if let Some(content) = message.content {
            self.on_content(now, content);
        }
        if let Some(calls) = message.tool_calls {
            self.on_tool_calls(calls);
        }
        for id in &message.cancelled_calls {
            if let Some(outputs) = self.tools.cancel(id) {
                self.outbox
                    .push_command(client_message::tool_response(&outputs));
            }
            self.emit(EngineEvent::ToolCancelled {
                call_id: id.clone(),
            });
        }
        if let Some(usage) = message.usage {
            self.emit(EngineEvent::UsageReported { usage });
        }
        if let Some(left_ms) = message.go_away {
            self.emit(EngineEvent::GoingAway { left_ms });
        }
        if let Some(resumption) = message.resumption {
            self.on_resumption(resumption);
        }
        if message.unknown {
            self.counters.ignored += 1;
            self.emit(EngineEvent::Ignored {
                event_type: "unknown".to_owned(),
            });
        }
    }

    fn on_setup_complete(&mut self) {
        if self.phase != Phase::Configuring {
            self.counters.unused += 1;
            return;
        }
        self.phase = Phase::Ready;
        let history = std::mem::take(&mut self.history);
        if !history.is_empty() && self.resume.is_none() {
            let seeds = client_message::takes_seed(&self.settings.model);
            let text = client_message::history(&history, seeds);
            self.outbox.push_command(text);
        }
        self.emit(EngineEvent::Ready);
        self.outbox.open();
        for request in std::mem::take(&mut self.wishes) {
            self.ask(&request);
        }
    }

    fn on_resumption(&mut self, resumption: Resumption) {
        if resumption.resumable && (1..=HANDLE_BYTES_MAX).contains(&resumption.handle.len()) {
            self.handle = Some(resumption.handle);
        }
    }

    fn on_activity(&mut self, now: Instant, started: bool) {
        if started {
            self.begin_utterance(now);
        } else {
            self.end_utterance();
        }
    }

    fn on_content(&mut self, now: Instant, content: Content<'_>) {
        if content.interrupted {
            self.on_interrupted(now);
        }
        if let Some(words) = content.heard {
            self.on_heard(now, words.as_str().unwrap_or_default());
        }
        let speaks = !content.parts.is_empty() || content.said.is_some();
        if speaks && self.turn.unwanted {
            self.counters.late_deltas += 1;
        } else {
            for part in content.parts {
                self.on_part(part);
            }
            if let Some(words) = content.said {
                self.on_said(words.as_str().unwrap_or_default());
            }
        }
        if content.generation_complete {
            self.turn.unwanted = false;
            self.finish_answer(ResponseStatus::Completed);
        }
        if content.turn_complete {
            self.on_turn_complete();
        }
    }

    fn on_interrupted(&mut self, now: Instant) {
        let own = std::mem::take(&mut self.turn.own_interruption);
        if !own {
            self.begin_utterance(now);
        }
        self.turn.unwanted = false;
        self.tools.interrupted();
        self.finish_answer(ResponseStatus::Cancelled {
            reason: "turn_detected".to_owned(),
        });
        self.flush_transcript();
    }

    fn on_turn_complete(&mut self) {
        self.turn.unwanted = false;
        self.turn.open = false;
        self.turn.own_interruption = false;
        self.finish_answer(ResponseStatus::Completed);
        self.flush_transcript();
        self.flush_late();
    }

    /// Words of the caller. While the model answers they belong to what it answers.
    fn on_heard(&mut self, now: Instant, words: &str) {
        if words.is_empty() {
            return;
        }
        if self.turn.utterance.is_none() && self.turn.answer.is_some() {
            if self.turn.late.len() + words.len() <= TRANSCRIPT_BYTES_MAX {
                self.turn.late.push_str(words);
            } else {
                self.counters.overflow += 1;
            }
            return;
        }
        self.begin_utterance(now);
        if let Some(utterance) = &mut self.turn.utterance {
            utterance.heard_at = now;
            if utterance.text.len() + words.len() <= TRANSCRIPT_BYTES_MAX {
                utterance.text.push_str(words);
            } else {
                self.counters.overflow += 1;
            }
        }
    }

    fn on_part(&mut self, part: Part<'_>) {
        match part {
            Part::Audio { data, rate_hz } => {
                let decoded = data
                    .as_str()
                    .and_then(decode)
                    .filter(|audio| rate_hz == OUTPUT_RATE_HZ && audio.len().is_multiple_of(2));
                match decoded {
                    Some(audio) if !audio.is_empty() => self.on_audio(audio),
                    Some(_) => self.counters.unused += 1,
                    None => self.counters.malformed += 1,
                }
            }
            // Beside audio, written words are no part of what is said.
            Part::Text(_) if !self.settings.text_only => self.counters.unused += 1,
            Part::Text(words) => self.on_said(words.as_str().unwrap_or_default()),
        }
    }

    fn on_audio(&mut self, audio: Vec<u8>) {
        let answer = self.begin_answer();
        answer.audio_open = true;
        let (response, item) = (answer.id.clone(), Arc::clone(&answer.item));
        self.emit(EngineEvent::Audio {
            response,
            item,
            audio,
        });
    }

    /// What the model says, in words. They may come after the last audio.
    fn on_said(&mut self, words: &str) {
        if words.is_empty() {
            return;
        }
        if self.turn.answer.is_none()
            && let Some((item, text)) = &mut self.turn.finished
        {
            if text.len() + words.len() <= TRANSCRIPT_BYTES_MAX {
                text.push_str(words);
            }
            let item = Arc::clone(item);
            self.emit(EngineEvent::AgentTranscriptDelta {
                item,
                delta: words.to_owned(),
            });
            return;
        }
        let answer = self.begin_answer();
        if answer.text.len() + words.len() <= TRANSCRIPT_BYTES_MAX {
            answer.text.push_str(words);
        }
        let item = Arc::clone(&answer.item);
        self.emit(EngineEvent::AgentTranscriptDelta {
            item,
            delta: words.to_owned(),
        });
    }

    fn on_tool_calls(&mut self, calls: Vec<ToolCall<'_>>) {
        // Its results could not be sent: nothing may be before the setup is complete.
        if calls.is_empty() || self.phase != Phase::Ready {
            self.counters.unused += 1;
            return;
        }
        self.turn.unwanted = false;
        self.begin_answer();
        let item = self
            .turn
            .answer
            .as_ref()
            .map(|answer| answer.item.to_string())
            .unwrap_or_default();
        for call in calls {
            let name = call.name.as_str().unwrap_or_default();
            let Some(call_id) = self.tools.open(call.id.as_str(), name) else {
                self.counters.unused += 1;
                continue;
            };
            let arguments = call.arguments.map_or("{}", |raw| raw.get());
            self.emit(EngineEvent::ToolCalled {
                call_id,
                name: name.to_owned(),
                arguments: arguments.to_owned(),
                item: item.clone(),
            });
        }
        // The model waits now: what it says after the results is another answer.
        self.finish_answer(ResponseStatus::Completed);
    }

    fn begin_utterance(&mut self, now: Instant) {
        if self.turn.utterance.is_some() {
            return;
        }
        self.turn.utterances += 1;
        let id = format!("gem_u{}", self.turn.utterances);
        self.turn.utterance = Some(Utterance {
            id: id.clone(),
            text: String::new(),
            heard_at: now,
        });
        self.emit(EngineEvent::SpeechStarted {
            item: id,
            audio_start_ms: 0,
        });
    }

    pub(super) fn end_utterance(&mut self) {
        let Some(utterance) = self.turn.utterance.take() else {
            return;
        };
        self.emit(EngineEvent::SpeechStopped {
            item: utterance.id.clone(),
            audio_end_ms: 0,
        });
        self.emit(EngineEvent::UserCommitted {
            item: utterance.id.clone(),
        });
        // Without transcription no word is known of any utterance: that is no silence.
        if self.settings.transcription.is_some() {
            self.emit(EngineEvent::UserTranscript {
                item: utterance.id,
                text: utterance.text.trim().to_owned(),
            });
        }
    }

    /// The answer under way, begun where none is: the caller's turn is over then.
    fn begin_answer(&mut self) -> &mut Answer {
        if self.turn.answer.is_none() {
            self.end_utterance();
            self.flush_transcript();
            self.tools.spoke();
            self.turn.open = true;
            self.turn.answers += 1;
            let id = format!("gem_r{}", self.turn.answers);
            self.emit(EngineEvent::ResponseStarted {
                response: id.clone(),
            });
            let item = Arc::from(format!("gem_i{}", self.turn.answers));
            self.turn.answer = Some(Answer {
                id,
                item,
                text: String::new(),
                audio_open: false,
            });
        }
        self.turn
            .answer
            .as_mut()
            .expect("it was made where it was absent")
    }

    /// All of the answer is generated, or it was cut.
    fn finish_answer(&mut self, status: ResponseStatus) {
        if let Some(answer) = self.turn.answer.take() {
            self.end_answer(answer, status);
        }
    }

    pub(super) fn end_answer(&mut self, answer: Answer, status: ResponseStatus) {
        if answer.audio_open && status == ResponseStatus::Completed {
            let item = Arc::clone(&answer.item);
            self.emit(EngineEvent::AudioDone { item });
        }
        if !answer.text.is_empty() || answer.audio_open {
            self.turn.finished = Some((answer.item, answer.text));
        }
        self.emit(EngineEvent::ResponseDone {
            response: answer.id,
            status,
            usage: None,
        });
    }

    /// No further word of the last answer comes.
    fn flush_transcript(&mut self) {
        if let Some((item, text)) = self.turn.finished.take()
            && !text.trim().is_empty()
        {
            let text = text.trim().to_owned();
            self.emit(EngineEvent::AgentTranscript { item, text });
        }
    }

    /// Words of the caller that came behind the answer to them.
    fn flush_late(&mut self) {
        let late = std::mem::take(&mut self.turn.late);
        if late.trim().is_empty() {
            return;
        }
        self.turn.utterances += 1;
        self.emit(EngineEvent::UserTranscript {
            item: format!("gem_u{}", self.turn.utterances),
            text: late.trim().to_owned(),
        });
    }
}

/// Base64 in either alphabet, as protocol buffers have it in JSON.
fn decode(data: &str) -> Option<Vec<u8>> {
    base64_simd::STANDARD
        .decode_to_vec(data.as_bytes())
        .or_else(|_| base64_simd::URL_SAFE.decode_to_vec(data.as_bytes()))
        .ok()
}
