//! A response while it is generated: its events one after the other, faster than real time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scenario::Timing;
use crate::speech::Rendered;

use super::conversation::{Conversation, Item};
use super::outbox::Outbox;
use super::settings::Format;

/// One output item of a response.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) item: String,
    pub(super) content: Content,
    started: bool,
    /// Bytes of audio sent.
    sent: usize,
    /// Bytes of the transcript sent.
    told: usize,
}

/// What an output item is.
#[derive(Debug)]
pub(super) enum Content {
    /// Spoken words; the sound may still be in the making.
    Speech {
        text: String,
        sound: Option<Arc<Rendered>>,
    },
    /// Written words.
    Text(String),
    /// A function call.
    Call {
        call_id: String,
        name: String,
        arguments: String,
    },
}

impl Piece {
    pub(super) fn new(item: String, content: Content) -> Self {
        Self {
            item,
            content,
            started: false,
            sent: 0,
            told: 0,
        }
    }

    fn role_content(&self, partial: bool) -> Value {
        match &self.content {
            Content::Speech { text, .. } => {
                let told = if partial { &text[..self.told] } else { text };
                json!([{"type": "output_audio", "transcript": told}])
            }
            Content::Text(text) => json!([{"type": "output_text", "text": text}]),
            Content::Call { .. } => Value::Null,
        }
    }

    /// The item as the events show it. A message in progress has no content yet.
    fn shown(&self, status: &str) -> Value {
        let base = |kind: &str| json!({"id": self.item, "object": "realtime.item", "type": kind, "status": status});
        match &self.content {
            Content::Call {
                call_id,
                name,
                arguments,
            } => {
                let mut item = base("function_call");
                item["call_id"] = call_id.as_str().into();
                item["name"] = name.as_str().into();
                let done = status == "completed";
                item["arguments"] = if done { arguments.as_str() } else { "" }.into();
                item
            }
            Content::Speech { .. } | Content::Text(_) => {
                let mut item = base("message");
                item["role"] = "assistant".into();
                item["content"] = match status {
                    "in_progress" => json!([]),
                    "incomplete" => self.role_content(true),
                    _ => self.role_content(false),
                };
                item
            }
        }
    }
}

/// How a response ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    Completed,
    /// `turn_detected` or `client_cancelled`.
    Cancelled(&'static str),
    /// The message of the error.
    Failed(String),
}

/// What a response is made with.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) id: String,
    /// The default conversation's id, none for an out-of-band response.
    pub(super) conversation: Option<String>,
    pub(super) audio: bool,
    pub(super) format: Format,
    pub(super) format_shown: Value,
    pub(super) voice: Value,
    pub(super) max_output_tokens: Value,
    pub(super) metadata: Value,
}

/// A response that is being generated.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) recipe: Recipe,
    pub(super) pieces: Vec<Piece>,
    current: usize,
    next_at: Instant,
    /// When the first audio was sent.
    pub(super) first_audio_at: Option<Instant>,
    /// Audio sent.
    pub(super) audio_ms: u64,
    output: Vec<Value>,
}

impl Response {
    /// Announces the response.
    pub(super) fn start(
        now: Instant,
        recipe: Recipe,
        pieces: Vec<Piece>,
        timing: &Timing,
        out: &mut Outbox,
    ) -> Self {
        let response = Self {
            recipe,
            pieces,
            current: 0,
            next_at: now + Duration::from_millis(timing.first_byte_ms),
            first_audio_at: None,
            audio_ms: 0,
            output: Vec::new(),
        };
        let shown = response.shown("in_progress", &Value::Null, &Value::Null);
        out.event("response.created", json!({"response": shown}));
        response
    }

    fn shown(&self, status: &str, details: &Value, usage: &Value) -> Value {
        let recipe = &self.recipe;
        let mut shown = json!({
            "object": "realtime.response", "id": recipe.id, "status": status,
            "status_details": details, "output": self.output,
            "conversation_id": recipe.conversation,
            "output_modalities": [if recipe.audio { "audio" } else { "text" }],
            "max_output_tokens": recipe.max_output_tokens,
            "usage": usage, "metadata": recipe.metadata,
        });
        if recipe.audio {
            shown["audio"] =
                json!({"output": {"format": recipe.format_shown, "voice": recipe.voice}});
        }
        shown
    }

    /// The text whose sound is missing.
    pub(super) fn missing_sound(&self) -> Option<&str> {
        match &self.pieces.get(self.current)?.content {
            Content::Speech { text, sound: None } => Some(text),
            Content::Speech { .. } | Content::Text(_) | Content::Call { .. } => None,
        }
    }

    /// The sound of the text that was missing.
    pub(super) fn give_sound(&mut self, now: Instant, made: Arc<Rendered>) {
        if let Some(piece) = self.pieces.get_mut(self.current)
            && let Content::Speech { sound, .. } = &mut piece.content
        {
            *sound = Some(made);
            self.next_at = self.next_at.max(now);
        }
    }

    /// Moves what is left by a time.
    pub(super) fn delay(&mut self, by: Duration) {
        self.next_at += by;
    }

    /// When the next event is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.missing_sound().is_none().then_some(self.next_at)
    }

    /// Sends what is due, and tells when everything was sent.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        timing: &Timing,
        out: &mut Outbox,
        conversation: &mut Conversation,
    ) -> bool {
        while self.next_at().is_some_and(|due| due <= now) {
            let Some(piece) = self.pieces.get(self.current) else {
                return true;
            };
            if !piece.started {
                self.begin_piece(out, conversation);
            }
            if self.step_piece(now, timing, out, conversation) {
                self.end_piece("completed", out, conversation);
                self.current += 1;
            }
        }
        false
    }

    /// Fields that every event of a piece has.
    fn address(&self) -> Value {
        let item = self.pieces.get(self.current).map(|piece| &piece.item);
        json!({"response_id": self.recipe.id, "item_id": item, "output_index": self.current})
    }

    fn piece_event(&self, kind: &str, more: Value, out: &mut Outbox) {
        let mut fields = self.address();
        if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
            fields.extend(more);
        }
        out.event(kind, fields);
    }

    fn begin_piece(&mut self, out: &mut Outbox, conversation: &mut Conversation) {
        let index = self.current;
        let default = self.recipe.conversation.is_some();
        let piece = &mut self.pieces[index];
        piece.started = true;
        let shown = piece.shown("in_progress");
        out.event(
            "response.output_item.added",
            json!({"response_id": self.recipe.id, "output_index": index, "item": shown}),
        );
        if default {
            let previous = conversation.push(Item {
                id: piece.item.clone(),
                shown: shown.clone(),
                audio_ms: 0,
                heard: None,
            });
            out.event(
                "conversation.item.added",
                json!({"previous_item_id": previous, "item": shown}),
            );
        }
        let part = match &self.pieces[index].content {
            Content::Speech { .. } => json!({"type": "audio", "transcript": ""}),
            Content::Text(_) => json!({"type": "text", "text": ""}),
            Content::Call { .. } => return,
        };
        self.piece_event(
            "response.content_part.added",
            json!({"content_index": 0, "part": part}),
            out,
        );
    }

    /// Sends the next delta; true when the piece is complete.
    fn step_piece(
        &mut self,
        now: Instant,
        timing: &Timing,
        out: &mut Outbox,
        conversation: &mut Conversation,
    ) -> bool {
        let format = self.recipe.format;
        let piece = &mut self.pieces[self.current];
        match &piece.content {
            Content::Text(text) => {
                let text = text.clone();
                for word in text.split_inclusive(' ') {
                    self.piece_event(
                        "response.output_text.delta",
                        json!({"content_index": 0, "delta": word}),
                        out,
                    );
                }
                true
            }
            Content::Call {
                call_id, arguments, ..
            } => {
                let (call_id, arguments) = (call_id.clone(), arguments.clone());
                let half = arguments.len() / 2;
                let half = (half..=arguments.len())
                    .find(|at| arguments.is_char_boundary(*at))
                    .unwrap_or(0);
                for delta in [&arguments[..half], &arguments[half..]] {
                    let fields = json!({"call_id": call_id, "delta": delta});
                    self.piece_event("response.function_call_arguments.delta", fields, out);
                }
                true
            }
            Content::Speech { text, sound } => {
                let Some(sound) = sound else { return false };
                let bytes = sound.encoded(format.into());
                let step =
                    usize::try_from(timing.delta_ms).expect("at most 1000") * format.bytes_per_ms();
                let end = (piece.sent + step).min(bytes.len());
                let audio = base64_simd::STANDARD.encode_to_string(&bytes[piece.sent..end]);
                let told = words_until(text, end, bytes.len());
                let words = text[piece.told..told].to_owned();
                let complete = end == bytes.len();
                let sent_ms = (end - piece.sent) / format.bytes_per_ms();
                piece.sent = end;
                piece.told = told;
                self.audio_ms += sent_ms as u64;
                out.log.note_sent(sent_ms as u64);
                if let Some(item) = conversation.find_mut(&piece.item) {
                    item.audio_ms = (end / format.bytes_per_ms()) as u64;
                }
                if !words.is_empty() {
                    let fields = json!({"content_index": 0, "delta": words});
                    self.piece_event("response.output_audio_transcript.delta", fields, out);
                }
                let fields = json!({"content_index": 0, "delta": audio});
                self.piece_event("response.output_audio.delta", fields, out);
                self.first_audio_at.get_or_insert(now);
                if timing.speed > 0.0 {
                    self.next_at += Duration::from_secs_f64(
                        f64::from(timing.delta_ms) / 1_000.0 / timing.speed,
                    );
                }
                complete
            }
        }
    }

    /// Ends a piece that was begun, whole or not.
    fn end_piece(&mut self, status: &str, out: &mut Outbox, conversation: &mut Conversation) {
        let index = self.current;
        let whole = status == "completed";
        let piece = &self.pieces[index];
        let shown = piece.shown(status);
        match &piece.content {
            Content::Speech { text, .. } => {
                let told = if whole {
                    text.as_str()
                } else {
                    &text[..piece.told]
                };
                let part = json!({"type": "audio", "transcript": told});
                out.log.note_said(told);
                self.piece_event(
                    "response.output_audio.done",
                    json!({"content_index": 0}),
                    out,
                );
                let fields = json!({"content_index": 0, "transcript": told});
                self.piece_event("response.output_audio_transcript.done", fields, out);
                let fields = json!({"content_index": 0, "part": part});
                self.piece_event("response.content_part.done", fields, out);
            }
            Content::Text(text) => {
                out.log.note_said(text);
                let part = json!({"type": "text", "text": text});
                let fields = json!({"content_index": 0, "text": text});
                self.piece_event("response.output_text.done", fields, out);
                let fields = json!({"content_index": 0, "part": part});
                self.piece_event("response.content_part.done", fields, out);
            }
            Content::Call {
                call_id,
                name,
                arguments,
            } => {
                let fields = json!({"call_id": call_id, "name": name, "arguments": arguments});
                self.piece_event("response.function_call_arguments.done", fields, out);
            }
        }
        out.event(
            "response.output_item.done",
            json!({"response_id": self.recipe.id, "output_index": index, "item": shown}),
        );
        if self.recipe.conversation.is_some() {
            let items = conversation.items();
            let at = items.iter().position(|item| item.id == piece.item);
            let previous = at
                .and_then(|at| at.checked_sub(1))
                .map(|at| items[at].id.clone());
            if let Some(item) = conversation.find_mut(&piece.item) {
                item.shown = shown.clone();
                out.event(
                    "conversation.item.done",
                    json!({"previous_item_id": previous, "item": shown}),
                );
            }
        }
        self.output.push(shown);
    }

    /// Ends the response; a piece in the middle of its way is left incomplete.
    pub(super) fn finish(
        mut self,
        ending: &Ending,
        usage: Value,
        out: &mut Outbox,
        conversation: &mut Conversation,
    ) {
        if self
            .pieces
            .get(self.current)
            .is_some_and(|piece| piece.started)
        {
            self.end_piece("incomplete", out, conversation);
        }
        let (status, details, usage) = match ending {
            Ending::Completed => ("completed", Value::Null, usage),
            Ending::Cancelled(reason) => {
                let details = json!({"type": "cancelled", "reason": reason});
                ("cancelled", details, usage)
            }
            Ending::Failed(message) => {
                let error =
                    json!({"type": "server_error", "code": "server_error", "message": message});
                (
                    "failed",
                    json!({"type": "failed", "error": error}),
                    Value::Null,
                )
            }
        };
        let shown = self.shown(status, &details, &usage);
        out.event("response.done", json!({"response": shown}));
    }
}

/// The end of the words that belong to a share of the audio, at a word boundary.
fn words_until(text: &str, sent: usize, whole: usize) -> usize {
    if sent >= whole {
        return text.len();
    }
    let upto = text.len() * sent / whole;
    let spaces = text.char_indices().rev();
    let mut before = spaces.filter(|(at, c)| *c == ' ' && *at < upto);
    before.next().map_or(0, |(at, _)| at)
}
