//! Conversation items that the client creates and truncates.

use serde_json::{Value, json};

use crate::realtime::conversation::{Heard, Item};
use crate::realtime::input::decode;
use crate::realtime::schema::Violation;
use crate::realtime::settings::Format;
use crate::resample::resample;

use super::Session;

impl Session {
    pub(super) fn create_item(&mut self, event: &Value) -> Result<(), Violation> {
        let previous = event.get("previous_item_id").and_then(Value::as_str);
        let item = self.item_of(&event["item"])?;
        let shown = item.shown.clone();
        let previous = self.conversation.insert(item, previous)?;
        let fields = json!({"previous_item_id": previous, "item": shown});
        self.out.event("conversation.item.added", fields.clone());
        self.out.event("conversation.item.done", fields);
        Ok(())
    }

    /// The item that a client gave, completed as the service shows it. The shape was checked.
    pub(super) fn item_of(&mut self, given: &Value) -> Result<Item, Violation> {
        let mut shown = given.clone();
        let text = |name: &str| given.get(name).and_then(Value::as_str);
        if text("type") == Some("item_reference") {
            let id = text("id").unwrap_or_default();
            return self.conversation.retrieve(id).cloned();
        }
        let id = text("id").map_or_else(|| self.out.ids.next("item"), str::to_owned);
        if id.len() > 64 {
            return Err(Violation::new(
                "string_above_max_length",
                "Invalid 'item.id': string too long.",
            )
            .at("item.id"));
        }
        shown["id"] = id.as_str().into();
        shown["object"] = "realtime.item".into();
        shown["status"] = "completed".into();
        let mut item = Item {
            id,
            shown,
            audio_ms: 0,
            heard: None,
        };
        match text("type") {
            Some("function_call_output") => {
                let call = text("call_id").unwrap_or_default();
                let mut items = self.conversation.items().iter();
                let known =
                    items.any(|one| one.kind() == "function_call" && one.text("call_id") == call);
                if !known {
                    return Err(Violation::new(
                        "invalid_tool_call_id",
                        format!("Tool call ID '{call}' not found in conversation."),
                    )
                    .at("item.call_id"));
                }
            }
            Some("message") => self.check_content(&mut item)?,
            Some(_) | None => {}
        }
        Ok(item)
    }

    /// The content types of each role, and the audio of the caller's messages.
    fn check_content(&self, item: &mut Item) -> Result<(), Violation> {
        let known: &[&str] = match item.role() {
            "user" => &["input_text", "input_audio", "input_image"],
            "system" => &["input_text"],
            _ => &["output_text", "output_audio"],
        };
        let parts = item.shown["content"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for (n, part) in parts.iter().enumerate() {
            let kind = part["type"].as_str().unwrap_or_default();
            if !known.contains(&kind) {
                let names: Vec<String> = known.iter().map(|one| format!("'{one}'")).collect();
                return Err(Violation::new(
                    "invalid_value",
                    format!(
                        "Invalid value: '{kind}'. Supported values are: {}.",
                        names.join(" and ")
                    ),
                )
                .at(format!("item.content[{n}].type")));
            }
            if kind == "input_audio" {
                let path = format!("item.content[{n}].audio");
                let bytes = decode_base64(part["audio"].as_str().unwrap_or_default(), &path)?;
                let format = self.settings.input_format();
                let mut samples = Vec::new();
                decode(&bytes, format, &mut samples);
                item.audio_ms = (samples.len() / format.samples_per_ms()) as u64;
                if format == Format::Pcm24k {
                    samples = resample(&samples, 24_000, 8_000);
                }
                item.heard = Some(self.recognise(&samples));
                item.shown["content"][n] = json!({"type": "input_audio", "transcript": null});
            }
        }
        Ok(())
    }

    /// What is recognised in audio at 8 kHz.
    pub(super) fn recognise(&self, samples: &[i16]) -> Heard {
        let heard = beside_other_tasks(|| self.prepared.recogniser().recognise(samples));
        match heard {
            Some(heard) => Heard::Utterance {
                id: heard.id.to_owned(),
                text: heard.text.to_owned(),
            },
            None => Heard::Nothing,
        }
    }

    pub(super) fn truncate_item(&mut self, event: &Value) -> Result<(), Violation> {
        let item = event["item_id"].as_str().unwrap_or_default();
        let audio_end_ms = event["audio_end_ms"].as_u64().unwrap_or_default();
        self.conversation.truncate(item, audio_end_ms)?;
        self.out.log.note_truncated(item, audio_end_ms);
        self.out.event(
            "conversation.item.truncated",
            json!({"item_id": item, "content_index": 0, "audio_end_ms": audio_end_ms}),
        );
        Ok(())
    }
}

/// Decodes base64, or says what the service says.
pub(super) fn decode_base64(text: &str, path: &str) -> Result<Vec<u8>, Violation> {
    base64_simd::STANDARD
        .decode_to_vec(text.as_bytes())
        .map_err(|_| {
            Violation::new(
                "invalid_value",
                format!(
                    "Invalid '{path}'. Expected base64-encoded audio bytes (mono) but got an invalid string."
                ),
            )
            .at(path)
        })
}

/// Runs a long computation so that the tasks queued behind it on this thread (a telephone that paces its packets, say) go on.
fn beside_other_tasks<T>(compute: impl FnOnce() -> T) -> T {
    let threads = tokio::runtime::Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    if threads {
        tokio::task::block_in_place(compute)
    } else {
        compute()
    }
}
