//! Effects as a script writes them.

use call::{
    Effect, LocalSound, OpeningWords, Purpose, Role, SessionEvent, Speaker, TranscriptEntry,
};

/// Effects that a script need not expect: they tell, they do not act.
pub(crate) fn is_aside(effect: &Effect) -> bool {
    matches!(effect, Effect::Record(_) | Effect::Journal(_))
}

/// One effect as one line.
pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Ring => "ring".to_owned(),
        Effect::Answer => "answer".to_owned(),
        Effect::RejectCall { reason } => format!("reject_call {}", reason.code()),
        Effect::ConnectEngine { attempt, replay } => {
            format!("connect_engine attempt={attempt} replay={}", yes(*replay))
        }
        Effect::CloseEngine => "close_engine".to_owned(),
        Effect::RotateEngine => "rotate_engine".to_owned(),
        Effect::CreateResponse {
            purpose: why,
            tools_allowed,
            ..
        } => {
            format!(
                "create_response {} tools={}",
                purpose(*why),
                yes(*tools_allowed)
            )
        }
        Effect::CancelResponse => "cancel_response".to_owned(),
        Effect::TruncateItem { item, played_ms } => format!("truncate_item {item} {played_ms}"),
        Effect::ClearPlayout => "clear_playout".to_owned(),
        Effect::Patience {
            patience_ms: Some(ms),
        } => format!("patience {ms}"),
        Effect::Patience { patience_ms: None } => "patience as_set_up".to_owned(),
        Effect::Duck { on: quieter } => format!("duck {}", on(*quieter)),
        Effect::FinishItem { item } => format!("finish_item {item}"),
        Effect::ReleasePlayout => "release_playout".to_owned(),
        Effect::MuteCaller { muted } => format!("mute {}", on(*muted)),
        Effect::RunTool {
            id,
            name,
            arguments,
            deadline_ms,
            typed,
        } => {
            let typed = typed
                .as_ref()
                .map(|digits| format!(" typed={}", digits.reveal()))
                .unwrap_or_default();
            format!("run_tool {id} {name} deadline={deadline_ms}{typed} {arguments}")
        }
        Effect::HoldCaller { .. }
        | Effect::SecureInput { .. }
        | Effect::Transfer { .. }
        | Effect::CallTarget { .. }
        | Effect::Ringback { .. }
        | Effect::Join
        | Effect::Confer
        | Effect::HandOver
        | Effect::Announce { .. }
        | Effect::Park { .. }
        | Effect::Unpark
        | Effect::DropTarget { .. } => caller(effect),
        Effect::SubmitToolOutput { id, output } => format!("submit_tool_output {id} {output}"),
        Effect::SendDtmf { digits } => format!("send_dtmf {digits}"),
        Effect::PlayLocal { .. } | Effect::PlayRecorded { .. } => sound(effect),
        Effect::Background { on: playing } => format!("background {}", on(*playing)),
        Effect::HangUp { reason } => format!("hang_up {}", reason.code()),
        Effect::AddMessage { role, text } => match role {
            Role::User => format!("add_message user {text}"),
            Role::System => format!("add_message system {text}"),
            Role::Agent => format!("add_message agent {text}"),
        },
        Effect::Record(entry) => line(entry),
        Effect::Journal(event) => format!("journal {}", journal(event)),
        Effect::Ended { reason } => format!("ended {}", reason.code()),
    }
}

fn line(entry: &TranscriptEntry) -> String {
    let role = match entry.role {
        Speaker::Caller => "caller",
        Speaker::Agent => "agent",
        Speaker::System => "system",
    };
    let cut = entry
        .interrupted_at_ms
        .map(|ms| format!(" cut={ms}"))
        .unwrap_or_default();
    format!("record {role} at={}{cut} {}", entry.at_ms, entry.text)
}

fn sound(effect: &Effect) -> String {
    if let Effect::PlayLocal { sound } = effect {
        match sound {
            LocalSound::Apology => "play_local apology".to_owned(),
            LocalSound::OneMoment => "play_local one_moment".to_owned(),
        }
    } else if let Effect::PlayRecorded { words } = effect {
        match words {
            OpeningWords::Disclosure => "play_recorded disclosure".to_owned(),
            OpeningWords::Greeting => "play_recorded greeting".to_owned(),
        }
    } else {
        String::new()
    }
}

/// What is done with the caller beside the conversation.
fn caller(effect: &Effect) -> String {
    if let Effect::HoldCaller { held, .. } = effect {
        format!("hold_caller {}", on(*held))
    } else if let Effect::SecureInput { on: hidden } = effect {
        format!("secure_input {}", on(*hidden))
    } else if let Effect::Transfer { target } = effect {
        format!("transfer {} {}", target.name, target.address.reveal())
    } else if let Effect::CallTarget { target } = effect {
        format!("call_target {} {}", target.name, target.address.reveal())
    } else if let Effect::Ringback { on: ringing } = effect {
        format!("ringback {}", on(*ringing))
    } else if matches!(effect, Effect::Join) {
        "join".to_owned()
    } else if matches!(effect, Effect::Confer) {
        "confer".to_owned()
    } else if matches!(effect, Effect::HandOver) {
        "hand_over".to_owned()
    } else if let Effect::Announce { asks } = effect {
        format!("announce asks={}", yes(*asks))
    } else if let Effect::DropTarget { why } = effect {
        format!("drop_target {why:?}")
    } else if let Effect::Park { place } = effect {
        format!("park {place}")
    } else if matches!(effect, Effect::Unpark) {
        "unpark".to_owned()
    } else {
        String::new()
    }
}

fn journal(event: &SessionEvent) -> String {
    match event {
        SessionEvent::PhaseChanged { from, to } => format!("phase {from} {to}"),
        SessionEvent::BargeIn { item, played_ms } => format!("barge_in {item} {played_ms}"),
        SessionEvent::FalseInterruption => "false_interruption".to_owned(),
        SessionEvent::Dictation { on } => format!("dictation {}", if *on { "on" } else { "off" }),
        SessionEvent::FalseBargeIn { item } => format!("false_barge_in {item}"),
        SessionEvent::GoodbyeStarted { reason } => format!("goodbye_started {}", reason.code()),
        SessionEvent::GoodbyeFinished { complete } => {
            format!("goodbye_finished complete={}", yes(*complete))
        }
        SessionEvent::Reprompted { count } => format!("reprompted {count}"),
        SessionEvent::MaxDurationWarned => "max_duration_warned".to_owned(),
        SessionEvent::EngineLost { failure, attempt } => {
            format!("engine_lost attempt={attempt} {failure:?}")
        }
        SessionEvent::EngineReady { again } => format!("engine_ready again={}", yes(*again)),
        SessionEvent::EngineStalled => "engine_stalled".to_owned(),
        SessionEvent::Rotating => "rotating".to_owned(),
        SessionEvent::ToolRefused { id, name, why } => format!("tool_refused {id} {name} {why}"),
        SessionEvent::ToolStarted { id, name } => format!("tool_started {id} {name}"),
        SessionEvent::ToolFinished {
            id,
            outcome,
            took_ms,
        } => format!("tool_finished {id} {outcome} took={took_ms}"),
        SessionEvent::DeadAirCovered { silent_ms } => format!("dead_air_covered {silent_ms}"),
        SessionEvent::AnsweredBy { who } => format!("answered_by {}", who.label()),
        SessionEvent::Disclosed => "disclosed".to_owned(),
        SessionEvent::TransferStarted { target } => format!("transfer_started {target}"),
        SessionEvent::TransferDeclined { reason } => format!("transfer_declined {reason}"),
        SessionEvent::TargetCalled { target } => format!("target_called {target}"),
        SessionEvent::TargetRings => "target_rings".to_owned(),
        SessionEvent::TargetAnnounced { heard } => {
            format!("target_announced heard={}", yes(*heard))
        }
        SessionEvent::TargetScreened { outcome } => format!("target_screened {}", outcome.label()),
        SessionEvent::Returned => "returned".to_owned(),
        SessionEvent::PersonCame { name } => format!("person_came {name}"),
        SessionEvent::Conferred => "conferred".to_owned(),
        SessionEvent::AgentLeft => "agent_left".to_owned(),
        SessionEvent::Parked { place, by } => format!("parked {place} {by}"),
        SessionEvent::Retrieved {
            place,
            by,
            waited_ms,
        } => format!("retrieved {place} after={waited_ms} {by}"),
        SessionEvent::ParkingEnded {
            place,
            waited_ms,
            timed_out,
        } => format!(
            "parking_ended {place} after={waited_ms} timed_out={}",
            yes(*timed_out)
        ),
        SessionEvent::TargetEnded { reason } => format!("target_ended {reason}"),
        SessionEvent::TransferFinished { done, reason } => {
            format!("transfer_finished done={} {reason}", yes(*done))
        }
        SessionEvent::SecureInput { on: hidden } => format!("secure_input {}", on(*hidden)),
        SessionEvent::BudgetSpent => "budget_spent".to_owned(),
        SessionEvent::Hold { held } => format!("hold {}", on(*held)),
    }
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Disclosure => "disclosure",
        Purpose::TransferFailed => "transfer_failed",
        Purpose::Returned => "returned",
        Purpose::Conferred => "conferred",
        Purpose::Greeting => "greeting",
        Purpose::Reprompt => "reprompt",
        Purpose::Warning => "warning",
        Purpose::Goodbye => "goodbye",
        Purpose::ToolResult => "tool_result",
        Purpose::ToolFiller => "tool_filler",
        Purpose::Resume => "resume",
        Purpose::Reconnected => "reconnected",
        Purpose::Reply => "reply",
        Purpose::Dtmf => "dtmf",
        Purpose::Instruct => "instruct",
    }
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn on(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}
