//! What happened, line by line, with what was said.

use std::collections::BTreeMap;

use catalog::{Message, Param};

use crate::call_record::{CallRecord, Direction};
use crate::journal::{EngineState, Event, JournalEntry, Milestone, PlayoutPhase};
use crate::transcript::TranscriptLine;

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, in milliseconds since the call began.
    pub at_ms: u64,
    /// What.
    pub message: Message,
    /// For those who look closely: the text form leaves it out.
    pub detail: bool,
}

pub(super) fn timeline(
    record: &CallRecord,
    events: &[JournalEntry],
    transcript: &[TranscriptLine],
) -> Vec<Line> {
    let mut tool_names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut lines: Vec<Line> = Vec::new();
    for entry in events {
        if let Event::ToolCall { id, name, .. } = &entry.event
            && !name.is_empty()
        {
            tool_names.insert(id, name);
        }
        if let Some((message, detail)) = line(record, &entry.event, &tool_names) {
            lines.push(Line {
                at_ms: entry.at_ms,
                message,
                detail,
            });
        }
    }
    lines.extend(transcript.iter().map(|spoken| Line {
        at_ms: spoken.at_ms,
        message: said(spoken),
        detail: false,
    }));
    // Stable: what happened in the same millisecond stays in the order of the journal, words after events.
    lines.sort_by_key(|line| line.at_ms);
    lines
}

fn said(spoken: &TranscriptLine) -> Message {
    let text = |code: &'static str| Message::new(code).with("text", &spoken.text);
    match (spoken.role.as_str(), spoken.interrupted_at_ms) {
        ("caller", _) => text("line_caller_said"),
        ("agent", Some(heard)) => text("line_agent_cut").with("heard", heard),
        ("agent", None) => text("line_agent_said"),
        _ => text("line_system_said"),
    }
}

fn line(
    record: &CallRecord,
    event: &Event,
    tool_names: &BTreeMap<&str, &str>,
) -> Option<(Message, bool)> {
    let plain = |code: &'static str| Some((Message::new(code), false));
    match event {
        // These have chapters of their own.
        Event::SipMessage(_) | Event::RtpStatistics(_) | Event::TraceParent { .. } => None,
        Event::SdpDecision(decision) => Some((
            if decision.accepted {
                Message::new("line_sdp_accepted")
                    .with("codec", decision.codec.clone().unwrap_or_default())
            } else {
                Message::new("line_sdp_refused")
                    .with("refusal", decision.refusal.clone().unwrap_or_default())
            },
            false,
        )),
        Event::Milestone { milestone } => plain(milestone_code(*milestone, record.direction)),
        Event::Latched { from } => Some((Message::new("line_latched").with("from", from), true)),
        Event::SourceRefused { from } => Some((
            Message::new("line_source_refused").with("from", from),
            false,
        )),
        Event::MediaLost { ms } => Some((Message::new("line_media_lost").with("ms", *ms), false)),
        Event::MediaResumed => plain("line_media_resumed"),
        Event::SpeechStarted { .. } => plain("line_speech_started"),
        Event::SpeechStopped { .. } => plain("line_speech_stopped"),
        Event::EngineState {
            state,
            attempt,
            failure,
        } => Some((
            failure
                .clone()
                .unwrap_or_else(|| engine_state(*state, *attempt)),
            false,
        )),
        Event::EngineEvent { name, detail, .. } => {
            let message = Message::new("line_engine_event").with("name", name);
            Some((
                message.with("detail", detail.clone().unwrap_or_default()),
                true,
            ))
        }
        Event::ToolCall {
            id,
            phase,
            outcome,
            took_ms,
            ..
        } => {
            let name = tool_names.get(id.as_str()).copied().unwrap_or(id);
            Some((tool(name, phase, outcome.as_deref(), *took_ms), false))
        }
        Event::Playout {
            item,
            phase,
            played_ms,
        } => Some((playout(item, *phase, *played_ms), false)),
        Event::Session { name, fields } => Some(session(name, fields)),
        Event::Registration { state, .. } => Some((state.clone(), false)),
        Event::Dtmf { digit, sent } => {
            let code = if *sent {
                "line_dtmf_sent"
            } else {
                "line_dtmf_received"
            };
            Some((Message::new(code).with("digit", digit.to_string()), false))
        }
        Event::Note { message } => Some((message.clone(), false)),
        Event::Ended { .. } => plain("line_ended"),
        Event::Unknown => Some((Message::new("line_unknown"), true)),
    }
}

fn milestone_code(milestone: Milestone, direction: Direction) -> &'static str {
    match (milestone, direction) {
        (Milestone::Invited, Direction::Inbound) => "line_invited",
        (Milestone::Invited, Direction::Outbound) => "line_placed",
        (Milestone::Ringing, _) => "line_ringing",
        (Milestone::Answered, _) => "line_answered",
        (Milestone::Established, _) => "line_established",
        (Milestone::FirstAudio, _) => "line_first_audio",
        (Milestone::FirstPacket, _) => "line_first_packet",
    }
}

fn engine_state(state: EngineState, attempt: u8) -> Message {
    match state {
        EngineState::Connecting => {
            Message::new("line_engine_connecting").with("attempt", attempt.max(1))
        }
        EngineState::Ready => Message::new("line_engine_ready"),
        EngineState::Lost => Message::new("line_engine_lost"),
        EngineState::Rotating => Message::new("line_engine_rotating"),
        EngineState::Closed => Message::new("line_engine_closed"),
    }
}

fn playout(item: &str, phase: PlayoutPhase, played_ms: u32) -> Message {
    let message = match phase {
        PlayoutPhase::Started => Message::new("line_playout_started"),
        PlayoutPhase::Finished => Message::new("line_playout_finished").with("played", played_ms),
        PlayoutPhase::Cleared => Message::new("line_playout_cleared").with("played", played_ms),
    };
    message.with("item", item)
}

fn tool(name: &str, phase: &str, outcome: Option<&str>, took_ms: Option<u64>) -> Message {
    let code = match phase {
        "called" => "line_tool_called",
        "started" => "line_tool_started",
        "refused" => "line_tool_refused",
        _ => "line_tool_finished",
    };
    let message = Message::new(code)
        .with("name", name)
        .with("outcome", outcome.unwrap_or_default());
    match took_ms {
        Some(took) => message.with("took", took),
        None => message,
    }
}

/// The session's own words; the second value says that it is a detail.
fn session(name: &str, fields: &BTreeMap<String, Param>) -> (Message, bool) {
    let field = |name: &str| fields.get(name).cloned().unwrap_or(Param::Integer(0));
    let set = |name: &str| field(name) != Param::Integer(0);
    let told = |message: Message| (message, false);
    match name {
        "barge_in" => told(Message::new("line_barge_in").with("played", field("played_ms"))),
        "false_interruption" => told(Message::new("line_false_interruption")),
        "false_barge_in" => told(Message::new("line_false_barge_in")),
        "dictation" if set("on") => told(Message::new("line_dictation")),
        "dictation" => told(Message::new("line_dictation_over")),
        "goodbye_started" => told(Message::new("line_goodbye_started")),
        "goodbye_finished" if set("complete") => told(Message::new("line_goodbye_complete")),
        "goodbye_finished" => told(Message::new("line_goodbye_cut")),
        "reprompted" => told(Message::new("line_reprompted").with("count", field("count"))),
        "engine_stalled" => told(Message::new("line_engine_stalled")),
        "max_duration_warned" => told(Message::new("line_max_duration_warned")),
        "dead_air_covered" => {
            told(Message::new("line_dead_air").with("silent", field("silent_ms")))
        }
        "answered_by" => told(Message::new("line_answered_by").with("who", field("who"))),
        "hold" if set("held") => told(Message::new("line_hold")),
        "hold" => told(Message::new("line_unhold")),
        "transfer_started" => {
            told(Message::new("line_transfer_started").with("target", field("target")))
        }
        "transfer_declined" => {
            told(Message::new("line_transfer_declined").with("reason", field("reason")))
        }
        "target_called" => told(Message::new("line_target_called").with("target", field("target"))),
        "target_rings" => told(Message::new("line_target_rings")),
        "target_announced" if set("heard") => told(Message::new("line_target_announced")),
        "target_announced" => told(Message::new("line_target_not_announced")),
        "target_screened" => {
            told(Message::new("line_target_screened").with("outcome", field("outcome")))
        }
        "returned" => told(Message::new("line_returned")),
        "person_came" => told(Message::new("line_person_came").with("name", field("name"))),
        "conferred" => told(Message::new("line_conferred")),
        "agent_left" => told(Message::new("line_agent_left")),
        "parked" => told(
            Message::new("line_parked")
                .with("place", field("place"))
                .with("by", field("by")),
        ),
        "retrieved" => told(
            Message::new("line_retrieved")
                .with("place", field("place"))
                .with("by", field("by"))
                .with("waited", field("waited_ms")),
        ),
        "parking_ended" => told(
            Message::new(if set("timed_out") {
                "line_parking_timed_out"
            } else {
                "line_parking_given"
            })
            .with("place", field("place"))
            .with("waited", field("waited_ms")),
        ),
        "target_ended" => told(Message::new("line_target_ended").with("reason", field("reason"))),
        "transfer_finished" if set("done") => told(Message::new("line_transfer_done")),
        "transfer_finished" => {
            told(Message::new("line_transfer_failed").with("reason", field("reason")))
        }
        _ => (Message::new("line_session").with("name", name), true),
    }
}
