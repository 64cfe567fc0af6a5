//! The explanation for programs.

use catalog::{Language, Message, Numbers, redact, render_with};
use serde_json::{Value, json};

use super::{Explanation, SCHEMA};

pub(super) fn json(explanation: &Explanation, language: Language, numbers: Numbers) -> Value {
    let sentence = |message: &Message| sentence(message, language, numbers);
    let call = &explanation.call;
    let mut record = call.clone();
    if numbers == Numbers::Masked {
        record.from = redact::phone(&record.from);
        record.to = redact::phone(&record.to);
        // What the agent knows of its caller is full of them.
        record.service.context = None;
        if let Some(end) = &mut record.end {
            end.verdict = catalog::redacted(&end.verdict);
        }
    }
    let who = Message::new(super::text::who_code(&explanation.who));
    let timeline: Vec<Value> = explanation
        .timeline
        .iter()
        .map(|line| {
            let mut value = sentence(&line.message);
            value["at_ms"] = line.at_ms.into();
            value["detail"] = line.detail.into();
            value
        })
        .collect();
    let sdp: Vec<Value> = explanation
        .sdp
        .iter()
        .map(|fact| json!({ "at_ms": fact.at_ms, "decision": fact.decision }))
        .collect();
    json!({
        "schema": SCHEMA,
        "language": language,
        "call": record,
        "duration_ms": call.duration_ms(),
        "talk_ms": call.talk_ms(),
        "verdict": sentence(&explanation.verdict),
        "who": { "label": explanation.who, "text": render_with(&who, language, numbers).text },
        "why": explanation.why.iter().map(sentence).collect::<Vec<_>>(),
        "timings": explanation.timings,
        "turns": explanation.turns,
        "sdp": sdp,
        "sound": explanation.sound,
        "tools": explanation.tools,
        "playout": explanation.playout,
        "timeline": timeline,
        "ladder": explanation.ladder,
    })
}

fn sentence(message: &Message, language: Language, numbers: Numbers) -> Value {
    let rendered = render_with(message, language, numbers);
    let shown = match numbers {
        Numbers::Masked => catalog::redacted(message),
        Numbers::Shown => message.clone(),
    };
    let severity = catalog::entry(&message.code).map(|entry| entry.severity);
    json!({
        "code": shown.code,
        "params": shown.params,
        "severity": severity,
        "text": rendered.text,
        "remedy": rendered.remedy,
    })
}
