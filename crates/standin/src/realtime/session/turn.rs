//! The caller's turns: audio, speech in it, commits, transcripts, and the silence that is answered.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::realtime::conversation::{Heard, Item};
use crate::realtime::input::Detected;
use crate::realtime::response::Ending;
use crate::realtime::schema::Violation;

use super::items::decode_base64;
use super::{Later, Session};

/// Longest audio of one append event, 15 MiB as the service documents.
const APPEND_BYTES_MAX: usize = 15 * 1024 * 1024;
/// Shortest audio that can be committed.
const COMMIT_MS_MIN: u64 = 100;
/// What a transcript says of speech that is no known utterance.
const INAUDIBLE: &str = "(inaudible)";

/// The turn that is going on.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// The id that its item will have.
    item: Option<String>,
    /// speech_started has not been sent yet.
    unannounced: bool,
}

impl Session {
    pub(super) fn append(&mut self, now: Instant, audio: &str) -> Result<(), Violation> {
        if audio.len() > APPEND_BYTES_MAX {
            return Err(Violation::new(
                "string_above_max_length",
                "Invalid 'audio': string too long. Expected a string with maximum length 15728640.",
            )
            .at("audio"));
        }
        let bytes = decode_base64(audio, "audio")?;
        let samples = self.input.append(&bytes);
        self.out.note_audio(samples, self.settings.input_format());
        let Some(vad) = self.settings.turn_detection() else {
            return Ok(());
        };
        let arrived_ms = self.input.now_ms();
        while let Some(found) = self.input.detect(&vad) {
            match found {
                Detected::Started { start_ms, loud_ms } => {
                    let item = self.out.ids.next("item");
                    self.turn = Turn {
                        item: Some(item.clone()),
                        unannounced: true,
                    };
                    self.deadlines.idle_at = None;
                    // Counted from the first loud frame, which came with the audio of some time ago.
                    let since = arrived_ms - loud_ms;
                    let wait = self.timing.speech_started_ms.saturating_sub(since);
                    if wait == 0 {
                        self.speech_started(now, &item, start_ms);
                    } else {
                        let due = now + Duration::from_millis(wait);
                        self.later(due, Later::SpeechStarted { item, start_ms });
                    }
                }
                Detected::Stopped { start_ms, end_ms } => {
                    self.speech_stopped(now, start_ms, end_ms, vad.create_response);
                }
            }
        }
        Ok(())
    }

    pub(super) fn speech_started(&mut self, now: Instant, item: &str, start_ms: u64) {
        if self.turn.item.as_deref() != Some(item) || !self.turn.unannounced {
            return;
        }
        self.turn.unannounced = false;
        self.out.event(
            "input_audio_buffer.speech_started",
            json!({"audio_start_ms": start_ms, "item_id": item}),
        );
        let interrupts = self
            .settings
            .turn_detection()
            .is_some_and(|vad| vad.interrupt_response);
        if interrupts && self.active.is_some() {
            self.end_active(now, &Ending::Cancelled("turn_detected"));
        }
    }

    fn speech_stopped(&mut self, now: Instant, start_ms: u64, end_ms: u64, create_response: bool) {
        let Some(item) = self.turn.item.clone() else {
            return;
        };
        // A late announcement never comes after the end.
        self.speech_started(now, &item, start_ms);
        self.turn = Turn::default();
        self.out.event(
            "input_audio_buffer.speech_stopped",
            json!({"audio_end_ms": end_ms, "item_id": item}),
        );
        let audio = self.input.between(start_ms, end_ms);
        self.input.consume(end_ms);
        self.commit_item(now, item, &audio);
        if create_response && let Err(violation) = self.create_response(now, None) {
            self.out.error(&violation, None);
        }
    }

    /// The client commits the buffer.
    pub(super) fn commit(&mut self, now: Instant) -> Result<(), Violation> {
        let buffered = self.input.buffered_ms();
        if buffered < COMMIT_MS_MIN {
            return Err(Violation::new(
                "input_audio_buffer_commit_empty",
                format!(
                    "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has {buffered}.00ms of audio."
                ),
            ));
        }
        let audio = self.input.all();
        self.input.clear();
        let item = self.turn.item.take();
        let item = item.unwrap_or_else(|| self.out.ids.next("item"));
        self.turn = Turn::default();
        self.commit_item(now, item, &audio);
        Ok(())
    }

    fn commit_item(&mut self, now: Instant, id: String, audio: &[i16]) {
        let heard = self.recognise(audio);
        let transcript = match &heard {
            Heard::Utterance { text, .. } => text.clone(),
            Heard::Nothing => INAUDIBLE.to_owned(),
        };
        self.out.log.note_heard(&transcript);
        let audio_ms = (audio.len() / 8) as u64;
        self.add_spoken_item(id.clone(), audio_ms, Some(heard));
        if let Some(model) = self.settings.transcriber() {
            let usage = if model == "whisper-1" {
                #[expect(clippy::cast_precision_loss, reason = "a turn is short")]
                let seconds = audio_ms as f64 / 1_000.0;
                json!({"type": "duration", "seconds": seconds})
            } else {
                let (input, output) = (audio_ms.div_ceil(100), transcript.len().div_ceil(4) as u64);
                json!({"type": "tokens", "input_tokens": input, "output_tokens": output,
                    "total_tokens": input + output,
                    "input_token_details": {"text_tokens": 0, "audio_tokens": input}})
            };
            let due = now + Duration::from_millis(self.timing.transcript_ms);
            for word in transcript.split_inclusive(' ') {
                let fields = json!({"item_id": id, "content_index": 0, "delta": word});
                let kind = "conversation.item.input_audio_transcription.delta";
                self.later(due, Later::Event(kind, fields));
            }
            let event = json!({"item_id": id, "content_index": 0, "transcript": transcript,
                "usage": usage});
            self.later(due, Later::Transcript { item: id, event });
        }
    }

    fn add_spoken_item(&mut self, id: String, audio_ms: u64, heard: Option<Heard>) {
        let shown = json!({"id": id, "object": "realtime.item", "type": "message", "role": "user",
            "status": "completed", "content": [{"type": "input_audio", "transcript": null}]});
        let last = self.conversation.items().last();
        let previous = last.map(|item| item.id.clone());
        self.out.event(
            "input_audio_buffer.committed",
            json!({"previous_item_id": previous, "item_id": id}),
        );
        self.conversation.push(Item {
            id,
            shown: shown.clone(),
            audio_ms,
            heard,
        });
        let fields = json!({"previous_item_id": previous, "item": shown});
        self.out.event("conversation.item.added", fields.clone());
        self.out.event("conversation.item.done", fields);
    }

    pub(super) fn transcribed(&mut self, id: &str, event: Value) {
        if let Some(item) = self.conversation.find_mut(id) {
            item.shown["content"][0]["transcript"] = event["transcript"].clone();
        }
        self.out.event(
            "conversation.item.input_audio_transcription.completed",
            event,
        );
    }

    /// Nobody has spoken for the idle timeout: the silence is committed and answered.
    pub(super) fn trigger_timeout(&mut self, now: Instant) {
        if self.input.speaking() || self.active.is_some() {
            return;
        }
        let end_ms = self.input.now_ms();
        let idle_ms = self
            .settings
            .turn_detection()
            .and_then(|vad| vad.idle_timeout_ms)
            .unwrap_or(0);
        let id = self.out.ids.next("item");
        self.out.event(
            "input_audio_buffer.timeout_triggered",
            json!({"audio_start_ms": end_ms.saturating_sub(idle_ms), "audio_end_ms": end_ms,
                "item_id": id}),
        );
        self.input.clear();
        self.add_spoken_item(id, 0, None);
        self.idle_response(now);
    }
}
