//! The explanation of a call: who ended it and why, and everything that led there, from its record, journal and transcript.
//!
//! Pure: no clock, no database, no language until it is rendered ([`Explanation::text`], [`Explanation::json`]). A journal with
//! holes (an older version, a dead process) explains what it can.

mod json;
mod ladder;
mod sound;
mod text;
mod timeline;
mod timing;
mod verdict;

use catalog::{Language, Message, Numbers};

pub use ladder::LadderRow;
pub use sound::{OneWay, Sound};
pub use timeline::Line;
pub use timing::{Timings, Turn};

use crate::call_record::CallRecord;
use crate::journal::{Event, JournalEntry, PlayoutPhase, SdpDecision};
use crate::transcript::TranscriptLine;

/// Version of the JSON form; it grows when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// Why a call went as it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The record.
    pub call: CallRecord,
    /// One sentence on how it ended and who ended it.
    pub verdict: Message,
    /// Label of who ended it; `nobody` while the call runs.
    pub who: String,
    /// Facts behind the verdict.
    pub why: Vec<Message>,
    /// How long the steps of the set-up took.
    pub timings: Timings,
    /// The caller's turns with the time until the agent was heard.
    pub turns: Vec<Turn>,
    /// What each offer and answer led to.
    pub sdp: Vec<SdpFact>,
    /// What the packets say; `None` without any RTP figures.
    pub sound: Option<Sound>,
    /// Tools that the agent used.
    pub tools: Vec<ToolRun>,
    /// What the caller heard of each of the agent's utterances.
    pub playout: Vec<PlayedItem>,
    /// What happened, in the order of time, with what was said.
    pub timeline: Vec<Line>,
    /// The SIP messages.
    pub ladder: Vec<LadderRow>,
}

/// One decision on the audio of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdpFact {
    /// When, in milliseconds since the call began.
    pub at_ms: u64,
    /// What was decided.
    pub decision: SdpDecision,
}

/// One tool that the agent used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ToolRun {
    /// The tool call.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// When it was asked for, in milliseconds since the call began.
    pub at_ms: u64,
    /// How it ended: `ok`, `refused`, `failed`, `timed_out`, or why the ledger refused it; `None` when it never ended.
    pub outcome: Option<String>,
    /// How long it ran.
    pub took_ms: Option<u64>,
}

/// What the caller heard of one utterance.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlayedItem {
    /// The item.
    pub item: String,
    /// When its first audio left, in milliseconds since the call began; `None` when it was cut before.
    pub started_at_ms: Option<u64>,
    /// Milliseconds of it that left for the caller, as far as the journal knows.
    pub played_ms: u32,
    /// How it ended: `finished` or `cleared`; `started` when the journal does not say.
    pub phase: PlayoutPhase,
}

/// The caller's turns, without what was said.
pub fn turns(events: &[JournalEntry]) -> Vec<Turn> {
    timing::turns(events, &[])
}

/// Explains a call.
pub fn explain(
    record: &CallRecord,
    events: &[JournalEntry],
    transcript: &[TranscriptLine],
) -> Explanation {
    let sdp: Vec<SdpFact> = events
        .iter()
        .filter_map(|entry| {
            Some(SdpFact {
                at_ms: entry.at_ms,
                decision: entry.event.as_sdp_decision()?.clone(),
            })
        })
        .collect();
    let timings = timing::timings(record, events);
    let sound = sound::sound(events);
    let playout = playout(events);
    let facts = verdict::Facts {
        record,
        events,
        sdp: &sdp,
        sound: sound.as_ref(),
        timings: &timings,
        playout: &playout,
    };
    Explanation {
        verdict: verdict::verdict(&facts),
        who: record
            .end
            .as_ref()
            .map_or_else(|| "nobody".to_owned(), |end| end.ended_by.clone()),
        why: verdict::why(&facts),
        turns: timing::turns(events, transcript),
        tools: tools(events),
        timeline: timeline::timeline(record, events, transcript),
        ladder: ladder::ladder(events),
        call: record.clone(),
        timings,
        sdp,
        sound,
        playout,
    }
}

impl Explanation {
    /// As text for a terminal, about 100 columns wide.
    pub fn text(&self, language: Language, numbers: Numbers) -> String {
        text::text(self, language, numbers)
    }

    /// As JSON of version [`SCHEMA`], with sentences in that language beside their codes.
    pub fn json(&self, language: Language, numbers: Numbers) -> serde_json::Value {
        json::json(self, language, numbers)
    }
}

fn tools(events: &[JournalEntry]) -> Vec<ToolRun> {
    let mut runs: Vec<ToolRun> = Vec::new();
    for entry in events {
        let Event::ToolCall {
            id,
            name,
            phase,
            outcome,
            took_ms,
        } = &entry.event
        else {
            continue;
        };
        let known = runs.iter().position(|run| run.id == *id);
        let run = match known {
            Some(index) => &mut runs[index],
            None => {
                runs.push(ToolRun {
                    id: id.clone(),
                    name: name.clone(),
                    at_ms: entry.at_ms,
                    outcome: None,
                    took_ms: None,
                });
                runs.last_mut().expect("pushed just above")
            }
        };
        if run.name.is_empty() {
            run.name.clone_from(name);
        }
        if phase == "finished" || phase == "refused" {
            run.outcome = outcome.clone().or_else(|| Some(phase.clone()));
            run.took_ms = *took_ms;
        }
    }
    runs
}

fn playout(events: &[JournalEntry]) -> Vec<PlayedItem> {
    let mut items: Vec<PlayedItem> = Vec::new();
    for entry in events {
        let Event::Playout {
            item,
            phase,
            played_ms,
        } = &entry.event
        else {
            continue;
        };
        let started_at_ms = (*phase == PlayoutPhase::Started).then_some(entry.at_ms);
        match items.iter_mut().find(|known| known.item == *item) {
            Some(known) => {
                known.phase = *phase;
                known.played_ms = known.played_ms.max(*played_ms);
                known.started_at_ms = known.started_at_ms.or(started_at_ms);
            }
            None => items.push(PlayedItem {
                item: item.clone(),
                started_at_ms,
                played_ms: *played_ms,
                phase: *phase,
            }),
        }
    }
    items
}
