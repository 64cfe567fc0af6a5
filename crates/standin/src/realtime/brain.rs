//! What the agent says next: the scenario's rules over the conversation.

use std::collections::BTreeMap;

use crate::scenario::{Line, Rule, Scenario, ToolUse};

use super::conversation::{Heard, Item};

/// Words in the instructions of a response that ask for a goodbye.
const GOODBYE_WORDS: &[&str] = &[
    "au revoir",
    "prends congé",
    "prenez congé",
    "goodbye",
    "good-bye",
];
/// Words that ask to say that the time is nearly over.
const WARNING_WORDS: &[&str] = &[
    "minute", "secondes", "seconds", "bientôt", "soon", "time is",
];
/// Words that ask to take up the conversation again.
const RESUME_WORDS: &[&str] = &[
    "coupure",
    "reprend",
    "reprise",
    "interrupted",
    "interruption",
    "resume",
    "reconnect",
];

/// What a response consists of.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Reply {
    pub(super) say: Option<Line>,
    pub(super) call: Vec<ToolUse>,
    /// Said after the outputs of the tools.
    pub(super) then: Option<Line>,
}

/// What a response is asked for with.
pub(super) struct Request<'a> {
    /// The conversation, or the input of an out-of-band response.
    pub(super) items: &'a [Item],
    /// The instructions of the response itself.
    pub(super) instructions: Option<&'a str>,
}

/// The agent.
#[derive(Debug, Default)]
pub(super) struct Brain {
    not_understood: u32,
    /// What to say when the output of a tool call has come, by call id.
    after_tool: BTreeMap<String, Option<Line>>,
}

/// Most tool calls whose continuation is remembered.
const AFTER_TOOL_MAX: usize = 1_000;

impl Brain {
    /// Remembers what follows a tool call.
    pub(super) fn called(&mut self, call_id: &str, then: Option<Line>) {
        if self.after_tool.len() < AFTER_TOOL_MAX {
            self.after_tool.insert(call_id.to_owned(), then);
        }
    }

    /// Decides what the agent says.
    pub(super) fn reply(&mut self, scenario: &Scenario, request: &Request<'_>) -> Reply {
        let agent = &scenario.agent;
        if let Some(told) = request
            .instructions
            .and_then(|text| instructed(scenario, text))
        {
            return told;
        }
        let last = request
            .items
            .iter()
            .rev()
            .find(|item| item.role() != "system");
        match last {
            Some(item) if item.kind() == "function_call_output" => {
                let then = self.after_tool.get(item.text("call_id")).cloned().flatten();
                say(&then.unwrap_or_else(|| agent.tool_done.clone()))
            }
            Some(item) if item.role() == "user" => self.answer(scenario, item),
            None if request
                .instructions
                .is_none_or(|text| told(text, GOODBYE_WORDS).is_none()) =>
            {
                say(&agent.greeting)
            }
            Some(_) | None => say(unprompted(scenario, request.instructions)),
        }
    }

    /// Decides what the agent says to a text for which no other place exists (Gemini): instructions, a note, written words.
    pub(super) fn reply_to_text(
        &mut self,
        scenario: &Scenario,
        items: &[Item],
        text: &str,
    ) -> Reply {
        if let Some(told) = instructed(scenario, text) {
            return told;
        }
        if let Some(rule) = rule_that_reads(scenario, text) {
            self.not_understood = 0;
            return reply_of(rule);
        }
        let spoke = items.iter().any(|item| item.role() == "assistant");
        if !spoke && told(text, GOODBYE_WORDS).is_none() {
            return say(&scenario.agent.greeting);
        }
        say(unprompted(scenario, Some(text)))
    }

    /// Answers what the caller said or wrote.
    fn answer(&mut self, scenario: &Scenario, item: &Item) -> Reply {
        let rule = match &item.heard {
            Some(Heard::Utterance { id, .. }) => rule_that_hears(scenario, id),
            Some(Heard::Nothing) => None,
            None => rule_that_reads(scenario, &item.words()),
        };
        if let Some(rule) = rule {
            self.not_understood = 0;
            return reply_of(rule);
        }
        let agent = &scenario.agent;
        let turn = self.not_understood;
        self.not_understood += 1;
        if turn >= agent.not_understood_max {
            return Reply {
                say: Some(agent.goodbye.clone()),
                call: vec![end_call()],
                then: None,
            };
        }
        let lines = &agent.not_understood;
        let index = usize::try_from(turn).unwrap_or(0) % lines.len();
        say(&lines[index])
    }
}

fn say(line: &Line) -> Reply {
    Reply {
        say: Some(line.clone()),
        ..Reply::default()
    }
}

fn end_call() -> ToolUse {
    let mut arguments = toml::Table::new();
    arguments.insert("reason".into(), "not understood".into());
    ToolUse {
        name: "end_call".into(),
        arguments,
    }
}

fn reply_of(rule: &Rule) -> Reply {
    Reply {
        say: rule.say.clone(),
        call: rule.call.clone(),
        then: rule.then.clone(),
    }
}

/// A rule for these instructions, or the words in quotation marks that are to be said.
fn instructed(scenario: &Scenario, text: &str) -> Option<Reply> {
    let lower = text.to_lowercase();
    let rule = scenario.rules.iter().find(|rule| {
        let words = rule.instructed.as_ref();
        words.is_some_and(|words| lower.contains(&words.to_lowercase()))
    });
    if let Some(rule) = rule {
        return Some(reply_of(rule));
    }
    let words = quoted(text)?;
    Some(say(&Line::Text(words.to_owned())))
}

/// The first words in quotation marks, when they are more than one.
fn quoted(text: &str) -> Option<&str> {
    [('«', '»'), ('“', '”'), ('"', '"')]
        .into_iter()
        .find_map(|(open, close)| {
            let (_, rest) = text.split_once(open)?;
            let (words, _) = rest.split_once(close)?;
            let words = words.trim();
            (words.split_whitespace().count() > 1).then_some(words)
        })
}

/// What to say when nobody has said anything since the agent spoke.
fn unprompted<'a>(scenario: &'a Scenario, instructions: Option<&str>) -> &'a Line {
    let agent = &scenario.agent;
    let text = instructions.unwrap_or_default();
    let choices = [
        (GOODBYE_WORDS, &agent.goodbye),
        (RESUME_WORDS, &agent.resume),
        (WARNING_WORDS, &agent.warning),
    ];
    choices
        .into_iter()
        .find_map(|(words, line)| told(text, words).map(|()| line))
        .unwrap_or(&agent.reprompt)
}

fn told(text: &str, words: &[&str]) -> Option<()> {
    let lower = text.to_lowercase();
    words.iter().any(|word| lower.contains(word)).then_some(())
}

fn rule_that_hears<'a>(scenario: &'a Scenario, id: &str) -> Option<&'a Rule> {
    scenario
        .rules
        .iter()
        .find(|rule| rule.hears.as_deref() == Some(id))
}

/// A text message is answered as speech when it has the words of an utterance, else by a rule that reads.
fn rule_that_reads<'a>(scenario: &'a Scenario, words: &str) -> Option<&'a Rule> {
    let plain = |text: &str| -> String {
        text.to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric())
            .collect()
    };
    let spoken = scenario
        .utterances
        .iter()
        .find(|utterance| plain(&utterance.text) == plain(words))
        .and_then(|utterance| rule_that_hears(scenario, &utterance.id));
    spoken.or_else(|| {
        let lower = words.to_lowercase();
        scenario.rules.iter().find(|rule| {
            let reads = rule.reads.as_ref();
            reads.is_some_and(|reads| lower.contains(&reads.to_lowercase()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(shown: serde_json::Value, heard: Option<Heard>) -> Item {
        Item {
            id: "item_1".into(),
            shown,
            audio_ms: 0,
            heard,
        }
    }

    fn user(heard: Heard) -> Item {
        item(
            json!({"type": "message", "role": "user", "content": []}),
            Some(heard),
        )
    }

    fn said(brain: &mut Brain, items: &[Item], instructions: Option<&str>) -> String {
        let scenario = Scenario::demo_fr();
        let reply = brain.reply(
            &scenario,
            &Request {
                items,
                instructions,
            },
        );
        reply.say.unwrap().text().to_owned()
    }

    #[test]
    fn the_greeting_comes_first_and_quoted_words_are_said() {
        let mut brain = Brain::default();
        assert!(said(&mut brain, &[], None).starts_with("Restaurant Les Tilleuls"));
        assert!(
            said(&mut brain, &[], Some("Accueille la personne qui appelle."))
                .starts_with("Restaurant")
        );
        assert_eq!(
            said(
                &mut brain,
                &[],
                Some("Dis exactement : « Bonsoir à tous ! »")
            ),
            "Bonsoir à tous !"
        );
    }

    #[test]
    fn what_is_never_understood_ends_in_a_goodbye() {
        let scenario = Scenario::demo_fr();
        let mut brain = Brain::default();
        let items = [user(Heard::Nothing)];
        let request = Request {
            items: &items,
            instructions: None,
        };
        for _ in 0..3 {
            assert!(brain.reply(&scenario, &request).call.is_empty());
        }
        let last = brain.reply(&scenario, &request);
        assert_eq!(last.call[0].name, "end_call");
        assert_eq!(last.say, Some(scenario.agent.goodbye.clone()));
    }

    #[test]
    fn a_key_press_and_written_words_are_read() {
        let mut brain = Brain::default();
        let written = |text: &str| {
            [item(
                json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}),
                None,
            )]
        };
        assert!(said(&mut brain, &written("[DTMF] 1"), None).contains("touche"));
        assert!(
            said(
                &mut brain,
                &written("bonjour à quelle heure ouvrez-vous ce soir"),
                None
            )
            .contains("dix-neuf heures")
        );
    }

    #[test]
    fn unprompted_speech_follows_the_instructions() {
        let mut brain = Brain::default();
        let assistant = [item(
            json!({"type": "message", "role": "assistant", "content": []}),
            None,
        )];
        assert!(said(&mut brain, &assistant, None).contains("Vous êtes toujours là"));
        assert!(
            said(&mut brain, &assistant, Some("Dis au revoir poliment.")).contains("Au revoir")
        );
    }
}
