//! From the session's decisions to journal events.

use call::SessionEvent;
use catalog::Param;

use super::Event;

impl From<&SessionEvent> for Event {
    fn from(event: &SessionEvent) -> Self {
        match event {
            SessionEvent::PhaseChanged { from, to } => phase_changed(from, to),
            SessionEvent::BargeIn { item, played_ms } => barge_in(item.as_str(), *played_ms),
            SessionEvent::FalseInterruption => session("false_interruption", vec![]),
            SessionEvent::Dictation { on } => session("dictation", vec![("on", flag(*on))]),
            SessionEvent::FalseBargeIn { item } => named("false_barge_in", "item", item.as_str()),
            SessionEvent::GoodbyeStarted { reason } => {
                session("goodbye_started", vec![("reason", reason.code().into())])
            }
            SessionEvent::GoodbyeFinished { complete } => {
                session("goodbye_finished", vec![("complete", flag(*complete))])
            }
            SessionEvent::Reprompted { count } => {
                session("reprompted", vec![("count", (*count).into())])
            }
            SessionEvent::MaxDurationWarned => session("max_duration_warned", vec![]),
            SessionEvent::EngineLost { failure, attempt } => engine_lost(*failure, *attempt),
            SessionEvent::EngineReady { again } => {
                session("engine_ready", vec![("again", flag(*again))])
            }
            SessionEvent::EngineStalled => session("engine_stalled", vec![]),
            SessionEvent::Rotating => session("rotating", vec![]),
            SessionEvent::ToolRefused { id, name, why } => {
                tool(id, name, "refused", Some(why), None)
            }
            SessionEvent::ToolStarted { id, name } => tool(id, name, "started", None, None),
            SessionEvent::ToolFinished {
                id,
                outcome,
                took_ms,
            } => tool(id, "", "finished", Some(outcome), Some(*took_ms)),
            SessionEvent::DeadAirCovered { silent_ms } => {
                session("dead_air_covered", vec![("silent_ms", (*silent_ms).into())])
            }
            SessionEvent::AnsweredBy { who } => {
                session("answered_by", vec![("who", who.label().into())])
            }
            SessionEvent::Disclosed => session("disclosed", vec![]),
            SessionEvent::TransferStarted { target } => named("transfer_started", "target", target),
            SessionEvent::TransferDeclined { reason } => {
                named("transfer_declined", "reason", reason)
            }
            SessionEvent::TargetCalled { target } => named("target_called", "target", target),
            SessionEvent::TargetRings => session("target_rings", vec![]),
            SessionEvent::TargetAnnounced { heard } => announced(*heard),
            SessionEvent::TargetScreened { outcome } => {
                named("target_screened", "outcome", outcome.label())
            }
            SessionEvent::Returned => session("returned", vec![]),
            SessionEvent::PersonCame { name } => named("person_came", "name", name),
            SessionEvent::Conferred => session("conferred", vec![]),
            SessionEvent::AgentLeft => session("agent_left", vec![]),
            SessionEvent::Parked { place, by } => parking("parked", *place, by, None),
            SessionEvent::Retrieved {
                place,
                by,
                waited_ms,
            } => parking("retrieved", *place, by, Some(*waited_ms)),
            SessionEvent::ParkingEnded {
                place,
                waited_ms,
                timed_out,
            } => parking_ended(*place, *waited_ms, *timed_out),
            SessionEvent::TargetEnded { reason } => named("target_ended", "reason", reason),
            SessionEvent::TransferFinished { done, reason } => transferred(*done, reason),
            SessionEvent::SecureInput { on } => session("secure_input", vec![("on", flag(*on))]),
            SessionEvent::BudgetSpent => session("budget_spent", vec![]),
            SessionEvent::Hold { held } => session("hold", vec![("held", flag(*held))]),
        }
    }
}

fn session(name: &str, fields: Vec<(&str, Param)>) -> Event {
    Event::Session {
        name: name.to_owned(),
        fields: fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

fn barge_in(item: &str, played_ms: u32) -> Event {
    let fields = vec![("item", item.into()), ("played_ms", played_ms.into())];
    session("barge_in", fields)
}

fn engine_lost(failure: call::EngineFailure, attempt: u8) -> Event {
    let failure = super::engine_failure(failure);
    let fields = vec![("failure", failure.into()), ("attempt", attempt.into())];
    session("engine_lost", fields)
}

fn parking(name: &str, place: u16, by: &str, waited_ms: Option<u64>) -> Event {
    let mut fields = vec![("place", place.into()), ("by", by.into())];
    fields.extend(waited_ms.map(|ms| ("waited_ms", ms.into())));
    session(name, fields)
}

fn parking_ended(place: u16, waited_ms: u64, timed_out: bool) -> Event {
    let (place, waited) = (place.into(), waited_ms.into());
    let fields = vec![
        ("place", place),
        ("waited_ms", waited),
        ("timed_out", flag(timed_out)),
    ];
    session("parking_ended", fields)
}

fn flag(value: bool) -> Param {
    Param::from(u8::from(value))
}

fn announced(heard: bool) -> Event {
    session("target_announced", vec![("heard", flag(heard))])
}

fn transferred(done: bool, reason: &str) -> Event {
    let fields = vec![("done", flag(done)), ("reason", reason.into())];
    session("transfer_finished", fields)
}

fn phase_changed(from: &str, to: &str) -> Event {
    session(
        "phase_changed",
        vec![("from", from.into()), ("to", to.into())],
    )
}

/// A decision with one text.
fn named(name: &str, field: &str, value: &str) -> Event {
    session(name, vec![(field, value.into())])
}

fn tool(
    id: &call::ToolCallId,
    name: &str,
    phase: &str,
    outcome: Option<&str>,
    took_ms: Option<u64>,
) -> Event {
    Event::ToolCall {
        id: id.as_str().to_owned(),
        name: name.to_owned(),
        phase: phase.to_owned(),
        outcome: outcome.map(str::to_owned),
        took_ms,
    }
}
