//! The items of the default conversation.

use serde_json::{Value, json};

use super::schema::Violation;

/// Most items of a conversation.
pub(super) const ITEMS_MAX: usize = 2_000;

/// One item with what the service knows besides.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: String,
    /// As the events show it.
    pub(super) shown: Value,
    /// Audio of a message, the caller's or the model's.
    pub(super) audio_ms: u64,
    /// For the caller's speech: the utterance that was recognised, or none.
    pub(super) heard: Option<Heard>,
}

/// What was recognised in the caller's speech.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// A known utterance.
    Utterance {
        /// Its id.
        id: String,
        /// Its words.
        text: String,
    },
    /// Nothing that is known.
    Nothing,
}

impl Item {
    pub(super) fn kind(&self) -> &str {
        self.text("type")
    }

    pub(super) fn role(&self) -> &str {
        self.text("role")
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.shown
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The words of a message.
    pub(super) fn words(&self) -> String {
        let parts = self.shown.get("content").and_then(Value::as_array);
        let word = |part: &Value| {
            let text = part.get("text").or_else(|| part.get("transcript"))?;
            text.as_str().map(str::to_owned)
        };
        let words: Vec<String> = parts.into_iter().flatten().filter_map(word).collect();
        words.join(" ")
    }
}

/// The items in order.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    items: Vec<Item>,
}

impl Conversation {
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    pub(super) fn find(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    pub(super) fn find_mut(&mut self, id: &str) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.id == id)
    }

    /// Adds at the end and gives the id of the item before.
    pub(super) fn push(&mut self, item: Item) -> Option<String> {
        let previous = self.items.last().map(|last| last.id.clone());
        self.items.push(item);
        previous
    }

    /// Adds after an item (`root` is the beginning) and gives the id of the item before.
    pub(super) fn insert(
        &mut self,
        item: Item,
        after: Option<&str>,
    ) -> Result<Option<String>, Violation> {
        if self.items.len() >= ITEMS_MAX {
            return Err(Violation::new(
                "invalid_value",
                format!("A conversation holds at most {ITEMS_MAX} items."),
            ));
        }
        if self.find(&item.id).is_some() {
            return Err(Violation::new(
                "item_create_duplicate_item_id",
                format!("Error adding item: an item with the ID '{}' already exists in the conversation.", item.id),
            )
            .at("item.id"));
        }
        match after {
            None => Ok(self.push(item)),
            Some("root") => {
                self.items.insert(0, item);
                Ok(None)
            }
            Some(previous) => {
                let at = self.items.iter().position(|one| one.id == previous);
                let at = at.ok_or_else(|| {
                    Violation::new(
                        "item_create_invalid_previous_item_id",
                        format!("Error adding item: the previous item with ID '{previous}' does not exist in the conversation."),
                    )
                    .at("previous_item_id")
                })?;
                self.items.insert(at + 1, item);
                Ok(Some(previous.to_owned()))
            }
        }
    }

    pub(super) fn delete(&mut self, id: &str) -> Result<(), Violation> {
        let at = self.items.iter().position(|item| item.id == id);
        let at = at.ok_or_else(|| {
            Violation::new(
                "item_delete_invalid_item_id",
                format!("Error deleting item: the item with id '{id}' does not exist."),
            )
            .at("item_id")
        })?;
        self.items.remove(at);
        Ok(())
    }

    pub(super) fn retrieve(&self, id: &str) -> Result<&Item, Violation> {
        self.find(id).ok_or_else(|| {
            Violation::new(
                "item_retrieve_invalid_item_id",
                format!("Error retrieving item: the item with id '{id}' does not exist."),
            )
            .at("item_id")
        })
    }

    /// Cuts the audio of a model message; its transcript is deleted.
    pub(super) fn truncate(&mut self, id: &str, audio_end_ms: u64) -> Result<(), Violation> {
        let item = self.find_mut(id).ok_or_else(|| {
            Violation::new(
                "item_truncate_invalid_item_id",
                format!("Error truncating item: the item with id '{id}' does not exist."),
            )
            .at("item_id")
        })?;
        let spoken = item.role() == "assistant"
            && item.shown.pointer("/content/0/type") == Some(&json!("output_audio"));
        let generated = item.audio_ms > 0 || item.text("status") == "in_progress";
        if item.role() != "assistant" || !(spoken || generated) {
            return Err(Violation {
                code: None,
                message: "Only model output audio messages can be truncated".into(),
                param: None,
            });
        }
        if audio_end_ms > item.audio_ms {
            return Err(Violation::new(
                "invalid_value",
                format!(
                    "Audio content of {}ms is already shorter than {audio_end_ms}ms",
                    item.audio_ms
                ),
            )
            .at("audio_end_ms"));
        }
        item.audio_ms = audio_end_ms;
        if let Some(part) = item.shown.pointer_mut("/content/0")
            && let Some(fields) = part.as_object_mut()
        {
            fields.remove("transcript");
        }
        Ok(())
    }

    /// Whether the model has spoken.
    pub(super) fn spoken(&self) -> bool {
        self.items
            .iter()
            .any(|item| item.role() == "assistant" && item.audio_ms > 0)
    }
}
