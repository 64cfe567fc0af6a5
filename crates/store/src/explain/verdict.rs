//! The sentence on how a call ended, and the facts behind it.

use call::{EndReason, EndedBy, Severity};
use catalog::{Message, Param};

use super::sound::Sound;
use super::timing::Timings;
use super::{PlayedItem, SdpFact};
use crate::call_record::{CallRecord, StoredEnd};
use crate::journal::{Event, JournalEntry, PlayoutPhase};

/// An agent that is heard later than this after the answer is worth a remark.
const SLOW_ANSWER_MS: u64 = 2_500;

pub(super) struct Facts<'a> {
    pub(super) record: &'a CallRecord,
    pub(super) events: &'a [JournalEntry],
    pub(super) sdp: &'a [SdpFact],
    pub(super) sound: Option<&'a Sound>,
    pub(super) timings: &'a Timings,
    pub(super) playout: &'a [PlayedItem],
}

pub(super) fn verdict(facts: &Facts<'_>) -> Message {
    let Some(end) = &facts.record.end else {
        return Message::new("end_running");
    };
    let plain = catalog::end_code(&end.reason);
    if end.verdict.code != plain {
        return end.verdict.clone();
    }
    refined(facts, end).unwrap_or_else(|| end.verdict.clone())
}

/// A better sentence than the plain one of the reason, when the journal knows more.
fn refined(facts: &Facts<'_>, end: &StoredEnd) -> Option<Message> {
    let reason = EndReason::from_code(&end.reason)?;
    match reason {
        EndReason::CallerHungUp => one_way(facts).or_else(|| caller_hung_up(facts)),
        EndReason::MediaLost | EndReason::SessionExpired | EndReason::IdleTimeout => one_way(facts),
        EndReason::AgentHungUp => Some(Message::new(
            match session_flag(facts.events, "goodbye_finished", "complete")? {
                true => "end_agent_hung_up_complete",
                false => "end_agent_hung_up_cut",
            },
        )),
        EndReason::NoCommonCodec => no_common_codec(facts.sdp),
        EndReason::RejectedOffer => facts
            .sdp
            .iter()
            .any(|fact| fact.decision.refusal.as_deref() == Some("srtp_required"))
            .then(|| Message::new("end_rejected_srtp_required")),
        EndReason::EncryptionFailed => {
            let is_stranger = |message: &Message| message.code == "dtls_wrong_fingerprint";
            let mut notes = facts.events.iter();
            notes
                .any(
                    |entry| matches!(&entry.event, Event::Note { message } if is_stranger(message)),
                )
                .then(|| Message::new("end_encryption_failed_fingerprint"))
        }
        EndReason::UnknownNumber => {
            Some(Message::new("end_unknown_number").with("to", &facts.record.to))
        }
        EndReason::AnsweringMachine
        | EndReason::MessageLeft
        | EndReason::CallerCancelled
        | EndReason::Busy
        | EndReason::NoAnswer
        | EndReason::MaxDuration
        | EndReason::EngineUnavailable
        | EndReason::EngineLost
        | EndReason::EngineRefused
        | EndReason::OperatorHungUp
        | EndReason::Draining
        | EndReason::Overload
        | EndReason::Rejected
        | EndReason::RejectedBlocked
        | EndReason::Transferred
        | EndReason::TransferFailed
        | EndReason::AgentStopped
        | EndReason::Closed
        | EndReason::NoBalance
        | EndReason::Concurrency
        | EndReason::RateLimited
        | EndReason::Unauthorized
        | EndReason::CallerUnproven
        | EndReason::CertificateRefused
        | EndReason::NotParked
        | EndReason::NoSuchCall
        | EndReason::TransportLost
        | EndReason::AckMissing
        | EndReason::MissingAnswer
        | EndReason::LegFailed
        | EndReason::ProcessLost
        | EndReason::Internal => None,
    }
}

fn one_way(facts: &Facts<'_>) -> Option<Message> {
    let sound = facts.sound?;
    let one_way = sound.one_way.as_ref()?;
    let message = match (&one_way.private_remote, &one_way.private_local) {
        (Some(address), _) => Message::new("end_one_way_audio_private").with("address", address),
        (None, Some(address)) => {
            Message::new("end_one_way_audio_ours_private").with("address", address)
        }
        (None, None) if one_way.seen_by_stun => Message::new("end_one_way_audio_stun"),
        (None, None) => Message::new("end_one_way_audio"),
    };
    Some(message.with("sent", sound.statistics.packets_sent))
}

fn caller_hung_up(facts: &Facts<'_>) -> Option<Message> {
    let Some(last) = facts.playout.last() else {
        let answered =
            facts.record.answered_at.is_some() || facts.timings.invite_to_answer_ms.is_some();
        return answered.then(|| Message::new("end_caller_hung_up_unheard"));
    };
    let barged_in = facts.events.iter().any(|entry| {
        entry.event.as_session().is_some_and(|(name, fields)| {
            name == "barge_in" && fields.get("item") == Some(&Param::from(&last.item))
        })
    });
    let speaking = match last.phase {
        PlayoutPhase::Started => true,
        PlayoutPhase::Cleared => !barged_in,
        PlayoutPhase::Finished => false,
    };
    speaking.then(|| Message::new("end_caller_hung_up_speaking"))
}

fn no_common_codec(sdp: &[SdpFact]) -> Option<Message> {
    let refused = sdp.iter().rev().find(|fact| !fact.decision.accepted)?;
    let codecs = speech_codecs(&refused.decision.offered);
    match codecs.as_slice() {
        [] => None,
        [one] => Some(Message::new("end_no_common_codec_one").with("offered", one)),
        many => Some(Message::new("end_no_common_codec_many").with("offered", many.join(", "))),
    }
}

/// The codecs that carry speech, by the names that people use.
pub(super) fn speech_codecs(offered: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for offered in offered {
        let bare = offered.split('/').next().unwrap_or_default();
        let name = match bare.to_ascii_uppercase().as_str() {
            "TELEPHONE-EVENT" | "CN" | "RED" => continue,
            "G729" => "G.729".to_owned(),
            "G722" => "G.722".to_owned(),
            "G723" => "G.723".to_owned(),
            "G728" => "G.728".to_owned(),
            _ => bare.to_owned(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

pub(super) fn why(facts: &Facts<'_>) -> Vec<Message> {
    let mut why = Vec::new();
    why.extend(engine_failure(facts.events));
    why.extend(sound_facts(facts));
    why.extend(refusal_facts(facts));
    let reason = facts
        .record
        .end
        .as_ref()
        .and_then(|end| EndReason::from_code(&end.reason));
    let heard = facts
        .events
        .iter()
        .any(|entry| matches!(entry.event, Event::SpeechStarted { .. }));
    if reason == Some(EndReason::IdleTimeout) && !heard {
        why.push(Message::new("fact_silent_caller"));
    }
    why.extend(apology(facts, reason));
    if let Some(value) = facts
        .timings
        .answer_to_first_audio_ms
        .filter(|ms| *ms > SLOW_ANSWER_MS)
    {
        why.push(Message::new("fact_slow_answer").with("value", value));
    }
    if reason
        .is_some_and(|reason| reason.row().retryable && reason.row().severity >= Severity::Warning)
    {
        why.push(Message::new("fact_retry"));
    }
    why
}

/// The last failure of the engine that was not made good.
fn engine_failure(events: &[JournalEntry]) -> Option<Message> {
    let mut failure = None;
    for entry in events {
        if let Event::EngineState {
            state,
            failure: cause,
            ..
        } = &entry.event
        {
            match state {
                crate::journal::EngineState::Lost => failure = cause.clone().or(failure),
                crate::journal::EngineState::Ready => failure = None,
                crate::journal::EngineState::Connecting
                | crate::journal::EngineState::Rotating
                | crate::journal::EngineState::Closed => {}
            }
        }
    }
    failure
}

/// Whether the caller of a call without its engine was told so.
fn apology(facts: &Facts<'_>, reason: Option<EndReason>) -> Option<Message> {
    let by_engine = reason.is_some_and(|reason| reason.ended_by() == EndedBy::Engine);
    if !by_engine || facts.timings.invite_to_answer_ms.is_none() {
        return None;
    }
    let heard = facts
        .playout
        .iter()
        .any(|item| item.item == "local:apology" && item.phase == PlayoutPhase::Finished);
    Some(Message::new(if heard {
        "fact_apology_heard"
    } else {
        "fact_apology_unheard"
    }))
}

fn sound_facts(facts: &Facts<'_>) -> Vec<Message> {
    let Some(sound) = facts.sound else {
        return Vec::new();
    };
    let answered = facts.timings.invite_to_answer_ms.is_some();
    if answered && sound.statistics.packets_sent == 0 && sound.statistics.packets_received == 0 {
        return vec![Message::new("rtp_none")];
    }
    let Some(one_way) = &sound.one_way else {
        return Vec::new();
    };
    let mut went = Message::new("rtp_one_way").with("sent", sound.statistics.packets_sent);
    if let Some(address) = &one_way.sent_to {
        went = went.with("address", address);
    }
    let mut found = vec![went];
    if one_way.seen_by_stun {
        found.push(Message::new("rtp_stun_unreached"));
    }
    if let Some(address) = &one_way.private_remote {
        found.push(Message::new("rtp_private_remote").with("address", address));
    }
    if let Some(address) = &one_way.private_local {
        found.push(Message::new("rtp_private_local").with("address", address));
    }
    found
}

/// The notes of a record that say why its call was refused, where it ended for this reason.
fn refusing(reason: &str) -> &'static [&'static str] {
    match EndReason::from_code(reason) {
        Some(EndReason::CallerUnproven) => {
            &["caller_unsigned", "caller_not_vouched", "caller_vouched"]
        }
        Some(EndReason::CertificateRefused | EndReason::Unauthorized) => &["certificate_refused"],
        Some(EndReason::Concurrency | EndReason::RateLimited | EndReason::Overload) => {
            &["call_limited"]
        }
        Some(_) | None => &[],
    }
}

/// For a call that was never answered: the final SIP answer, and what was wrong with the offer.
fn refusal_facts(facts: &Facts<'_>) -> Vec<Message> {
    let Some(end) = facts.record.end.as_ref() else {
        return Vec::new();
    };
    if facts.record.answered_at.is_some() {
        return Vec::new();
    }
    let mut found: Vec<Message> = facts
        .sdp
        .iter()
        .filter_map(|fact| {
            let refusal = fact.decision.refusal.as_ref()?;
            let message = Message::new("sdp_refused").with("refusal", refusal);
            Some(message.with("offered", speech_codecs(&fact.decision.offered).join(", ")))
        })
        .collect();
    // What refused it: the limit with where that is set, or what is wrong with the proof of the caller's number.
    found.extend(facts.events.iter().find_map(|entry| {
        let Event::Note { message } = &entry.event else {
            return None;
        };
        let is_cause = refusing(&end.reason).contains(&&*message.code);
        is_cause.then(|| message.clone())
    }));
    let status = facts
        .events
        .iter()
        .rev()
        .find_map(|entry| final_refusal(&entry.event.as_sip_message()?.start_line));
    found.extend(status.map(|status| Message::new("fact_sip_status").with("status", status)));
    found
}

/// `488 Not Acceptable Here` of a status line that refuses.
fn final_refusal(start_line: &str) -> Option<&str> {
    let status = start_line.strip_prefix("SIP/2.0 ")?;
    // 401 and 407 ask for credentials, which is a step and not a refusal.
    let refuses = matches!(status.as_bytes().first(), Some(b'3'..=b'6'))
        && !status.starts_with("401")
        && !status.starts_with("407");
    refuses.then_some(status)
}

fn session_flag(events: &[JournalEntry], name: &str, field: &str) -> Option<bool> {
    events.iter().rev().find_map(|entry| {
        let (found, fields) = entry.event.as_session()?;
        let value = fields.get(field).filter(|_| found == name)?;
        Some(*value != Param::Integer(0))
    })
}
