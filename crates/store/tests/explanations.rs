//! Calls and what is said of them: one golden text each, French as people see it, and the JSON where programs read it.

use std::collections::BTreeMap;

use call::{EndReason, EngineFailure, ItemId, SessionEvent};
use catalog::{Language, Message, Numbers};
use expect_test::{ExpectFile, expect_file};
use jiff::Timestamp;
use store::journal::{
    EngineState, Event, Milestone, PlayoutPhase, RtpStatistics, SdpDecision, SipMessage,
    engine_failure,
};
use store::{CallRecord, CallService, Direction, JournalEntry, StoredEnd, TranscriptLine, explain};

const PEER: &str = "198.51.100.7:5060";

/// A call that is written down as the engine writes it.
struct Script {
    record: CallRecord,
    events: Vec<JournalEntry>,
    transcript: Vec<TranscriptLine>,
}

impl Script {
    fn new() -> Self {
        let record = CallRecord {
            id: "01996f00-call".to_owned(),
            tenant: "default".to_owned(),
            direction: Direction::Inbound,
            from: "sip:+33123456789@198.51.100.7".to_owned(),
            to: "0491234567".to_owned(),
            line: "salle".to_owned(),
            agent: "accueil".to_owned(),
            sip_call_id: Some("abc@198.51.100.7".to_owned()),
            started_at: Self::wall(0),
            answered_at: None,
            end: None,
            recording_path: None,
            service: CallService::default(),
        };
        Self {
            record,
            events: Vec::new(),
            transcript: Vec::new(),
        }
    }

    fn wall(at_ms: u64) -> Timestamp {
        Timestamp::from_millisecond(1_795_203_000_000 + i64::try_from(at_ms).unwrap_or(0))
            .expect("within range")
    }

    fn event(&mut self, at_ms: u64, event: Event) -> &mut Self {
        let seq = self.events.len() as u64;
        self.events.push(JournalEntry {
            seq,
            at_ms,
            wall: Self::wall(at_ms),
            event,
        });
        self
    }

    fn sip(
        &mut self,
        at_ms: u64,
        sent: bool,
        start_line: &str,
        cseq: &str,
        sdp: bool,
    ) -> &mut Self {
        let body = if sdp { "\r\n\r\nv=0\r\n" } else { "\r\n\r\n" };
        let message = SipMessage {
            sent,
            protocol: "udp".to_owned(),
            local: "203.0.113.5:5060".to_owned(),
            remote: PEER.to_owned(),
            start_line: start_line.to_owned(),
            cseq: cseq.to_owned(),
            retransmission: false,
            text: format!("{start_line}{body}"),
        };
        self.event(at_ms, Event::SipMessage(message))
    }

    fn milestone(&mut self, at_ms: u64, milestone: Milestone) -> &mut Self {
        self.event(at_ms, Event::Milestone { milestone })
    }

    fn session(&mut self, at_ms: u64, event: &SessionEvent) -> &mut Self {
        self.event(at_ms, Event::from(event))
    }

    fn playout(
        &mut self,
        at_ms: u64,
        item: &str,
        phase: PlayoutPhase,
        played_ms: u32,
    ) -> &mut Self {
        self.event(
            at_ms,
            Event::Playout {
                item: item.to_owned(),
                phase,
                played_ms,
            },
        )
    }

    fn tool(
        &mut self,
        at_ms: u64,
        name: &str,
        phase: &str,
        outcome: Option<&str>,
        took_ms: Option<u64>,
    ) -> &mut Self {
        self.event(
            at_ms,
            Event::ToolCall {
                id: "t1".to_owned(),
                name: name.to_owned(),
                phase: phase.to_owned(),
                outcome: outcome.map(str::to_owned),
                took_ms,
            },
        )
    }

    fn speech(&mut self, from: u64, to: u64, item: &str) -> &mut Self {
        self.event(
            from,
            Event::SpeechStarted {
                item: item.to_owned(),
            },
        );
        self.event(
            to,
            Event::SpeechStopped {
                item: item.to_owned(),
            },
        )
    }

    fn said(
        &mut self,
        at_ms: u64,
        role: &str,
        item: &str,
        text: &str,
        interrupted_at_ms: Option<u32>,
    ) -> &mut Self {
        self.transcript.push(TranscriptLine {
            role: role.to_owned(),
            text: text.to_owned(),
            at_ms,
            item: Some(item.to_owned()),
            interrupted_at_ms,
        });
        self
    }

    /// From the INVITE to the ACK, with PCMA.
    fn answered(&mut self, remote_audio: &str) -> &mut Self {
        self.sip(
            0,
            false,
            "INVITE sip:0491234567@203.0.113.5 SIP/2.0",
            "1 INVITE",
            true,
        )
        .milestone(0, Milestone::Invited);
        self.sip(2, true, "SIP/2.0 100 Trying", "1 INVITE", false);
        self.event(
            3,
            Event::SdpDecision(SdpDecision {
                we_answered: true,
                accepted: true,
                refusal: None,
                offered: ["PCMA", "PCMU", "telephone-event"]
                    .map(str::to_owned)
                    .to_vec(),
                codec: Some("PCMA".to_owned()),
                payload_type: Some(8),
                telephone_event: true,
                srtp: None,
                direction: "sendrecv".to_owned(),
                local: Some("203.0.113.5:10000".to_owned()),
                remote: Some(remote_audio.to_owned()),
            }),
        );
        self.sip(5, true, "SIP/2.0 180 Ringing", "1 INVITE", false)
            .milestone(5, Milestone::Ringing);
        self.event(
            6,
            Event::EngineState {
                state: EngineState::Connecting,
                attempt: 1,
                failure: None,
            },
        );
        self.event(
            640,
            Event::EngineState {
                state: EngineState::Ready,
                attempt: 1,
                failure: None,
            },
        );
        self.sip(645, true, "SIP/2.0 200 OK", "1 INVITE", true)
            .milestone(645, Milestone::Answered);
        self.sip(690, false, "ACK sip:203.0.113.5 SIP/2.0", "1 ACK", false)
            .milestone(690, Milestone::Established);
        self.record.answered_at = Some(Self::wall(645));
        self.playout(700, "item_greeting", PlayoutPhase::Started, 0)
            .milestone(700, Milestone::FirstAudio)
    }

    fn bye(&mut self, at_ms: u64, sent: bool) -> &mut Self {
        self.sip(at_ms, sent, "BYE sip:203.0.113.5 SIP/2.0", "2 BYE", false);
        self.sip(at_ms + 20, !sent, "SIP/2.0 200 OK", "2 BYE", false)
    }

    fn rtp(&mut self, at_ms: u64, sent: u64, received: u64) -> &mut Self {
        self.event(
            at_ms,
            Event::RtpStatistics(RtpStatistics {
                packets_sent: sent,
                packets_received: received,
                packets_lost: received / 400,
                jitter_ms: 1.84,
                round_trip_ms: Some(21.3),
                remote_loss: Some(0.0),
                mos: Some(4.32),
                last: true,
                ..RtpStatistics::default()
            }),
        )
    }

    fn end(&mut self, at_ms: u64, reason: EndReason) -> &mut Self {
        self.end_with(
            at_ms,
            reason,
            Message::new(catalog::end_code(reason.code())),
        )
    }

    fn end_with(&mut self, at_ms: u64, reason: EndReason, verdict: Message) -> &mut Self {
        let ended_by = reason.ended_by().label().to_owned();
        self.event(
            at_ms,
            Event::Ended {
                reason: reason.code().to_owned(),
                ended_by: ended_by.clone(),
            },
        );
        self.record.end = Some(StoredEnd {
            ended_at: Self::wall(at_ms),
            reason: reason.code().to_owned(),
            ended_by,
            verdict,
            statistics: None,
        });
        self
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "`expect!` values are made where they are used"
    )]
    fn check(&self, language: Language, expected: ExpectFile) {
        let explanation = explain(&self.record, &self.events, &self.transcript);
        let text = explanation.text(language, Numbers::Masked);
        assert!(
            !text.contains("123456789") && !text.contains("0491234567"),
            "a number shows: {text}"
        );
        expected.assert_eq(&text.replace(['\u{a0}', '\u{202f}'], " "));
    }

    fn verdict(&self, language: Language) -> String {
        let explanation = explain(&self.record, &self.events, &self.transcript);
        catalog::render(&explanation.verdict, language)
            .text
            .replace(['\u{a0}', '\u{202f}'], " ")
    }
}

fn conversation() -> Script {
    let mut call = Script::new();
    call.answered("198.51.100.7:30000");
    let greeting = "Bonjour, je suis l'assistant vocal du restaurant. Que puis-je pour vous ?";
    call.said(700, "agent", "item_greeting", greeting, Some(1_480));
    call.event(
        2_050,
        Event::SpeechStarted {
            item: "item_u1".to_owned(),
        },
    );
    call.playout(2_180, "item_greeting", PlayoutPhase::Cleared, 1_480);
    let barge_in = SessionEvent::BargeIn {
        item: ItemId::from("item_greeting"),
        played_ms: 1_480,
    };
    call.session(2_181, &barge_in);
    call.event(
        4_100,
        Event::SpeechStopped {
            item: "item_u1".to_owned(),
        },
    );
    call.said(
        2_050,
        "caller",
        "item_u1",
        "Une table pour deux ce soir.",
        None,
    );
    let created = "response.created".to_owned();
    call.event(
        4_130,
        Event::EngineEvent {
            name: created,
            response: None,
            item: None,
            detail: None,
        },
    );
    call.playout(4_720, "item_a2", PlayoutPhase::Started, 0);
    call.said(
        4_720,
        "agent",
        "item_a2",
        "C'est noté. Bonne soirée, au revoir.",
        None,
    );
    call.tool(6_000, "end_call", "called", None, None);
    call.session(
        6_001,
        &SessionEvent::GoodbyeStarted {
            reason: EndReason::AgentHungUp,
        },
    );
    call.tool(6_002, "", "finished", Some("ok"), Some(2));
    call.playout(7_100, "item_a2", PlayoutPhase::Finished, 2_380);
    call.session(7_101, &SessionEvent::GoodbyeFinished { complete: true });
    call.bye(7_600, true)
        .rtp(7_630, 346, 344)
        .end(7_640, EndReason::AgentHungUp);
    call
}

#[test]
fn a_conversation_with_a_barge_in() {
    conversation().check(
        Language::Fr,
        expect_file!["explanations/conversation_fr.txt"],
    );
}

#[test]
fn a_conversation_with_a_barge_in_in_english() {
    conversation().check(
        Language::En,
        expect_file!["explanations/conversation_en.txt"],
    );
}

#[test]
fn the_json_form_keeps_its_schema() {
    let call = conversation();
    let explanation = explain(&call.record, &call.events, &call.transcript);
    let json = explanation.json(Language::En, Numbers::Masked);
    assert!(!json.to_string().contains("123456789"), "a number shows");
    let shown = explanation.json(Language::En, Numbers::Shown);
    assert_eq!(shown["call"]["from"], "sip:+33123456789@198.51.100.7");
    let mut brief = json.clone();
    brief["timeline"] = serde_json::json!([json["timeline"][0], "…"]);
    brief["ladder"] = serde_json::json!([json["ladder"][0], "…"]);
    expect_file!["explanations/conversation.json"]
        .assert_eq(&serde_json::to_string_pretty(&brief).unwrap());
}

#[test]
fn the_caller_hangs_up_while_the_agent_speaks() {
    let mut call = Script::new();
    call.answered("198.51.100.7:30000");
    call.said(
        700,
        "agent",
        "item_greeting",
        "Bonjour, je suis…",
        Some(900),
    );
    call.bye(1_600, false);
    call.playout(1_605, "item_greeting", PlayoutPhase::Cleared, 900);
    call.rtp(1_610, 45, 47).end(1_615, EndReason::CallerHungUp);
    call.check(
        Language::Fr,
        expect_file!["explanations/caller_hangs_up.txt"],
    );
}

#[test]
fn a_caller_who_hangs_up_after_the_agent_or_unheard() {
    let mut call = Script::new();
    call.answered("198.51.100.7:30000").playout(
        3_000,
        "item_greeting",
        PlayoutPhase::Finished,
        2_300,
    );
    call.speech(3_500, 4_000, "u")
        .bye(4_100, false)
        .end(4_120, EndReason::CallerHungUp);
    assert_eq!(call.verdict(Language::Fr), "L'appelant a raccroché.");

    let mut call = Script::new();
    call.answered("198.51.100.7:30000");
    call.events
        .retain(|entry| !matches!(entry.event, Event::Playout { .. }));
    call.bye(4_100, false).end(4_120, EndReason::CallerHungUp);
    assert_eq!(
        call.verdict(Language::Fr),
        "L'appelant a raccroché avant d'avoir entendu l'agent."
    );
}

fn refused(offered: &[&str]) -> Script {
    let mut call = Script::new();
    call.sip(
        0,
        false,
        "INVITE sip:0491234567@203.0.113.5 SIP/2.0",
        "1 INVITE",
        true,
    )
    .milestone(0, Milestone::Invited);
    call.event(
        1,
        Event::SdpDecision(SdpDecision {
            we_answered: true,
            refusal: Some("no_common_codec".to_owned()),
            offered: offered.iter().map(|name| (*name).to_owned()).collect(),
            ..SdpDecision::default()
        }),
    );
    call.sip(
        2,
        true,
        "SIP/2.0 488 Not Acceptable Here",
        "1 INVITE",
        false,
    );
    call.sip(
        20,
        false,
        "ACK sip:0491234567@203.0.113.5 SIP/2.0",
        "1 ACK",
        false,
    );
    call.end(21, EndReason::NoCommonCodec);
    call
}

#[test]
fn refused_for_want_of_a_codec() {
    refused(&["G729/8000", "telephone-event/8000"]).check(
        Language::Fr,
        expect_file!["explanations/no_common_codec.txt"],
    );
    assert_eq!(
        refused(&["G729", "opus", "CN"]).verdict(Language::En),
        "Call refused: no common codec, the operator offers G.729, opus."
    );
    assert_eq!(
        refused(&[]).verdict(Language::En),
        "Call refused: no common codec."
    );
}

#[test]
fn refused_for_a_number_that_nobody_has() {
    let mut call = Script::new();
    call.sip(
        0,
        false,
        "INVITE sip:0491234567@203.0.113.5 SIP/2.0",
        "1 INVITE",
        true,
    );
    call.sip(2, true, "SIP/2.0 404 Not Found", "1 INVITE", false)
        .end(3, EndReason::UnknownNumber);
    assert_eq!(
        call.verdict(Language::Fr),
        "Appel refusé : le …67 n'est relié à aucun agent."
    );
}

#[test]
fn the_engine_is_lost() {
    let mut call = Script::new();
    call.answered("198.51.100.7:30000").playout(
        3_000,
        "item_greeting",
        PlayoutPhase::Finished,
        2_300,
    );
    let failure = EngineFailure::RateLimited;
    let message = Message::new(format!("engine_{}", engine_failure(failure)));
    call.speech(3_500, 4_000, "u")
        .said(3_500, "caller", "u", "Bonjour ?", None);
    call.event(
        4_200,
        Event::EngineState {
            state: EngineState::Lost,
            attempt: 0,
            failure: Some(Message::new("engine_closed").with("close_code", 1006)),
        },
    );
    call.session(
        4_201,
        &SessionEvent::EngineLost {
            failure: EngineFailure::Closed { code: Some(1006) },
            attempt: 0,
        },
    );
    call.event(
        4_300,
        Event::EngineState {
            state: EngineState::Connecting,
            attempt: 1,
            failure: None,
        },
    );
    call.event(
        4_800,
        Event::EngineState {
            state: EngineState::Lost,
            attempt: 1,
            failure: Some(message),
        },
    );
    call.session(5_700, &SessionEvent::DeadAirCovered { silent_ms: 1_500 });
    call.playout(10_000, "local:apology", PlayoutPhase::Started, 0)
        .playout(13_000, "local:apology", PlayoutPhase::Finished, 3_000);
    call.bye(13_500, true)
        .rtp(13_510, 640, 650)
        .end(13_520, EndReason::EngineLost);
    call.check(Language::Fr, expect_file!["explanations/engine_lost.txt"]);
}

#[test]
fn audio_that_goes_one_way_only() {
    let mut call = Script::new();
    call.answered("192.168.1.20:30000").playout(
        3_000,
        "item_greeting",
        PlayoutPhase::Finished,
        2_300,
    );
    call.event(10_700, Event::MediaLost { ms: 10_000 });
    call.rtp(30_700, 1_500, 0)
        .bye(30_710, true)
        .end(30_720, EndReason::MediaLost);
    call.check(Language::Fr, expect_file!["explanations/one_way_audio.txt"]);

    let mut by_the_caller = Script::new();
    by_the_caller
        .answered("198.51.100.7:30000")
        .playout(3_000, "i", PlayoutPhase::Finished, 2_300);
    by_the_caller
        .rtp(8_000, 370, 0)
        .bye(8_010, false)
        .end(8_020, EndReason::CallerHungUp);
    assert_eq!(
        by_the_caller.verdict(Language::En),
        "The caller could hear us, we could not hear the caller: 370 packets sent, 0 received."
    );

    // On a local network private addresses are how it should be.
    let mut local = Script::new();
    local
        .answered("192.168.1.20:30000")
        .rtp(8_000, 370, 0)
        .end(8_020, EndReason::MediaLost);
    for entry in &mut local.events {
        if let Event::SipMessage(message) = &mut entry.event {
            message.remote = "192.168.1.1:5060".to_owned();
        }
    }
    assert!(!local.verdict(Language::En).contains("private"));
}

#[test]
fn the_process_is_lost() {
    let mut call = Script::new();
    call.answered("198.51.100.7:30000").playout(
        3_000,
        "item_greeting",
        PlayoutPhase::Finished,
        2_300,
    );
    call.said(
        700,
        "agent",
        "item_greeting",
        "Bonjour, que puis-je pour vous ?",
        None,
    );
    call.speech(3_500, 4_000, "u")
        .said(3_500, "caller", "u", "Je voudrais réserver.", None);
    call.playout(4_600, "item_a2", PlayoutPhase::Started, 0);
    let verdict = Message::new("end_process_lost").with("after", 5_200);
    call.end_with(5_200, EndReason::ProcessLost, verdict);
    call.check(Language::Fr, expect_file!["explanations/process_lost.txt"]);
}

#[test]
fn a_running_call_and_an_empty_journal_are_explained_too() {
    let mut running = Script::new();
    running.answered("198.51.100.7:30000");
    assert_eq!(running.verdict(Language::Fr), "L'appel est en cours.");
    for reason in EndReason::ALL {
        let mut call = Script::new();
        call.end(1, *reason);
        call.events.clear();
        for language in Language::ALL {
            let text = explain(&call.record, &call.events, &call.transcript)
                .text(language, Numbers::Masked);
            assert!(
                !text.contains("(end_unknown)") && text.lines().count() > 3,
                "{reason:?}: {text}"
            );
        }
    }
}

/// Every end reason and engine failure has its sentence; every engine failure that is stored has its label.
#[test]
fn every_end_reason_and_engine_failure_is_in_the_registry() {
    for reason in EndReason::ALL {
        let code = catalog::end_code(reason.code());
        assert_eq!(code.strip_prefix("end_"), Some(reason.code()), "{reason:?}");
        let severity = catalog::entry(code).map(|entry| entry.severity);
        let expected = match reason.row().severity {
            call::Severity::Normal => catalog::Severity::Info,
            call::Severity::Notice => catalog::Severity::Notice,
            call::Severity::Warning => catalog::Severity::Warning,
            call::Severity::Error => catalog::Severity::Error,
        };
        assert_eq!(severity, Some(expected), "{code}");
    }
    for failure in [
        EngineFailure::Refused,
        EngineFailure::RateLimited,
        EngineFailure::Unavailable,
        EngineFailure::Unreachable,
        EngineFailure::Timeout,
        EngineFailure::Closed { code: None },
        EngineFailure::Rejected,
        EngineFailure::Expired,
    ] {
        assert!(
            catalog::entry(&format!("engine_{}", engine_failure(failure))).is_some(),
            "{failure:?}"
        );
    }
}

/// What a stranger put into the journal neither breaks the explanation nor forges a line of it.
#[test]
fn hostile_journals_are_explained_without_a_forged_line() {
    let mut call = Script::new();
    call.sip(
        0,
        false,
        "INVITE\r\nL'agent a raccroché. SIP/2.0",
        "\u{1b}[2J",
        true,
    );
    call.sip(
        u64::MAX,
        true,
        &format!("SIP/2.0 {}", "é".repeat(10_000)),
        "",
        false,
    );
    call.playout(u64::MAX, "x\r\nforged", PlayoutPhase::Cleared, u32::MAX);
    call.said(u64::MAX, "?", "i", "ligne\nforgée", Some(u32::MAX));
    call.event(
        0,
        Event::Session {
            name: "goodbye_finished".to_owned(),
            fields: BTreeMap::new(),
        },
    );
    call.event(0, Event::Unknown);
    call.end(3, EndReason::AgentHungUp);
    let text =
        explain(&call.record, &call.events, &call.transcript).text(Language::Fr, Numbers::Masked);
    assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text}");
    assert!(
        !text
            .lines()
            .any(|line| line.trim_start().starts_with("forg")
                || line.starts_with("L'agent a raccroché. SIP")),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() < 260),
        "{text}"
    );
}
