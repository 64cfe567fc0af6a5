//! How long things took: the steps of the set-up, and the answer to each of the caller's turns.

use serde::Serialize;

use crate::call_record::{CallRecord, Direction};
use crate::journal::{Event, JournalEntry, Milestone, PlayoutPhase, SipMessage};
use crate::transcript::TranscriptLine;

/// How long the steps of the set-up took, in milliseconds; `None` for a step that did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timings {
    /// From the INVITE to the ringing.
    pub invite_to_ring_ms: Option<u64>,
    /// From the INVITE to the 200.
    pub invite_to_answer_ms: Option<u64>,
    /// From the 200 to the first audio of the agent.
    pub answer_to_first_audio_ms: Option<u64>,
    /// From the 200 to the first packet of the caller.
    pub answer_to_first_packet_ms: Option<u64>,
}

/// One turn of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// When the engine heard the end of what the caller said, in milliseconds since the call began.
    pub stopped_at_ms: u64,
    /// From there to the first audio of the agent's answer; `None` when no answer came.
    pub latency_ms: Option<u64>,
    /// What the caller said, when it was transcribed.
    pub text: Option<String>,
}

pub(super) fn timings(record: &CallRecord, events: &[JournalEntry]) -> Timings {
    let milestone = |wanted: Milestone| {
        events
            .iter()
            .find(|entry| entry.event == Event::Milestone { milestone: wanted })
            .map(|entry| entry.at_ms)
    };
    let inbound = record.direction == Direction::Inbound;
    let response = |first: &str| {
        message(events, |sip| {
            sip.sent == inbound
                && sip.start_line.starts_with(first)
                && (sip.cseq.is_empty() || sip.cseq.ends_with("INVITE"))
        })
    };
    let invited = milestone(Milestone::Invited)
        .or_else(|| {
            message(events, |sip| {
                sip.sent != inbound && sip.start_line.starts_with("INVITE ")
            })
        })
        .unwrap_or(0);
    let rang = milestone(Milestone::Ringing).or_else(|| response("SIP/2.0 18"));
    let answered = milestone(Milestone::Answered).or_else(|| response("SIP/2.0 200"));
    let first_audio = milestone(Milestone::FirstAudio).or_else(|| {
        let started = |entry: &&JournalEntry| {
            matches!(
                &entry.event,
                Event::Playout {
                    phase: PlayoutPhase::Started,
                    ..
                }
            )
        };
        events.iter().find(started).map(|entry| entry.at_ms)
    });
    let since_answer = |at: Option<u64>| Some(at?.saturating_sub(answered?));
    Timings {
        invite_to_ring_ms: rang.map(|at| at.saturating_sub(invited)),
        invite_to_answer_ms: answered.map(|at| at.saturating_sub(invited)),
        answer_to_first_audio_ms: since_answer(first_audio),
        answer_to_first_packet_ms: since_answer(milestone(Milestone::FirstPacket)),
    }
}

fn message(events: &[JournalEntry], wanted: impl Fn(&SipMessage) -> bool) -> Option<u64> {
    events
        .iter()
        .find(|entry| matches!(&entry.event, Event::SipMessage(sip) if !sip.retransmission && wanted(sip)))
        .map(|entry| entry.at_ms)
}

pub(super) fn turns(events: &[JournalEntry], transcript: &[TranscriptLine]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    // The turn whose answer is awaited. More speech before the answer makes it the same turn.
    let mut open: Option<Turn> = None;
    for entry in events {
        if let Event::SpeechStopped { item } = &entry.event {
            let said = transcript
                .iter()
                .find(|line| line.role == "caller" && line.item.as_ref() == Some(item));
            let text = match (
                open.take().and_then(|turn| turn.text),
                said.map(|line| line.text.clone()),
            ) {
                (Some(before), Some(now)) => Some(format!("{before} {now}")),
                (before, now) => before.or(now),
            };
            open = Some(Turn {
                stopped_at_ms: entry.at_ms,
                latency_ms: None,
                text,
            });
        } else if agent_began(&entry.event)
            && let Some(mut turn) = open.take()
        {
            turn.latency_ms = Some(entry.at_ms.saturating_sub(turn.stopped_at_ms));
            turns.push(turn);
        }
    }
    turns.extend(open);
    turns
}

/// The agent itself begins to be heard; sounds of ours (`local:…`) are no answer.
fn agent_began(event: &Event) -> bool {
    matches!(event, Event::Playout { item, phase: PlayoutPhase::Started, .. } if !item.starts_with("local:"))
}
