//! From the record, the journal and the tool runs of a call to its spans.

use std::collections::BTreeMap;

use agent::mask::mask_digits;
use catalog::{Param, Severity, redact};
use courier::traces::{Attribute, Outcome, Role, Span, SpanEvent, TraceContext};
use jiff::{SignedDuration, Timestamp};
use store::journal::{EngineState, Milestone};
use store::{CallRecord, Direction, Event, JournalEntry, ToolRun, ToolRunState};

/// What is known of a call.
pub(super) struct Told {
    pub(super) record: CallRecord,
    pub(super) events: Vec<JournalEntry>,
    pub(super) runs: Vec<ToolRun>,
}

/// Its spans, the call's own first.
pub(super) fn spans(told: &Told, context: &TraceContext, numbers: bool) -> Vec<Span> {
    let maker = Maker {
        told,
        context,
        numbers,
    };
    let mut spans = vec![maker.call(), maker.setup()];
    maker.engine(&mut spans);
    maker.turns(&mut spans);
    maker.tools(&mut spans);
    maker.transfers(&mut spans);
    spans
}

struct Maker<'a> {
    told: &'a Told,
    context: &'a TraceContext,
    numbers: bool,
}

fn text(value: impl Into<String>) -> Attribute {
    Attribute::Text(value.into())
}

fn whole(value: u64) -> Attribute {
    Attribute::Whole(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A leg that was called for a transfer, while it is not known how it ended.
struct Leg {
    began: u64,
    target: String,
    events: Vec<(u64, &'static str)>,
    /// We called it; else the other side was asked to.
    called: bool,
    joined: bool,
}

impl Maker<'_> {
    fn at(&self, at_ms: u64) -> Timestamp {
        let began = self.told.record.started_at;
        let after = SignedDuration::from_millis(i64::try_from(at_ms).unwrap_or(i64::MAX));
        began.checked_add(after).unwrap_or(began)
    }

    fn ended_ms(&self) -> u64 {
        let last = self.told.events.last().map_or(0, |entry| entry.at_ms);
        let began = self.told.record.started_at;
        self.told.record.end.as_ref().map_or(last, |end| {
            u64::try_from(end.ended_at.duration_since(began).as_millis()).unwrap_or(0)
        })
    }

    fn milestone(&self, wanted: Milestone) -> Option<u64> {
        let is_it = |entry: &&JournalEntry| entry.event == Event::Milestone { milestone: wanted };
        self.told.events.iter().find(is_it).map(|entry| entry.at_ms)
    }

    fn event(&self, at_ms: u64, name: &'static str) -> SpanEvent {
        SpanEvent {
            at: self.at(at_ms),
            name,
        }
    }

    /// A part of the call.
    fn part(&self, (kind, which): (&str, &str), (began, ended): (u64, u64)) -> Span {
        Span {
            trace: self.context.trace_id(),
            id: self.context.span_id(kind, which),
            parent: Some(self.context.root_id()),
            has_remote_parent: false,
            name: kind.to_owned(),
            role: Role::Internal,
            began: self.at(began),
            ended: self.at(ended),
            attributes: Vec::new(),
            events: Vec::new(),
            outcome: Outcome::Unset,
        }
    }

    fn number(&self, number: &str) -> Attribute {
        if self.numbers {
            text(number)
        } else {
            text(redact::phone(number))
        }
    }

    /// The name of somebody: a number may be in it.
    fn name(&self, name: &str) -> Attribute {
        if self.numbers {
            text(name)
        } else {
            text(mask_digits(name))
        }
    }

    /// The name of the line; of one of the settings it is its address, with a number before the @ more often than not.
    fn line(&self) -> Attribute {
        let line = self.told.record.line.as_str();
        if line.contains('@') {
            self.number(line)
        } else {
            text(line)
        }
    }

    fn call(&self) -> Span {
        let record = &self.told.record;
        let inbound = record.direction == Direction::Inbound;
        let mut attributes = vec![
            ("allo.call.id", text(record.id.as_str())),
            (
                "allo.call.direction",
                text(if inbound { "inbound" } else { "outbound" }),
            ),
            ("allo.account.id", text(record.tenant.as_str())),
            ("allo.agent.id", text(record.agent.as_str())),
            ("allo.line", self.line()),
            ("allo.call.from", self.number(&record.from)),
            ("allo.call.to", self.number(&record.to)),
        ];
        let mut outcome = Outcome::Unset;
        if let Some(end) = &record.end {
            attributes.push(("allo.call.end_reason", text(end.reason.as_str())));
            attributes.push(("allo.call.ended_by", text(end.ended_by.as_str())));
            let severity = catalog::entry(&end.verdict.code).map(|entry| entry.severity);
            outcome = match severity {
                Some(Severity::Error) => Outcome::Failed(end.reason.clone()),
                Some(Severity::Info | Severity::Notice | Severity::Warning) | None => Outcome::Ok,
            };
            let rtp = end.statistics.as_ref().map(|all| &all["rtp"]);
            let figure = |name: &str| rtp.and_then(|rtp| rtp[name].as_f64());
            for (key, name) in [
                ("allo.rtp.mos", "mos"),
                ("allo.rtp.round_trip_ms", "round_trip_ms"),
                ("allo.rtp.jitter_ms_max", "jitter_ms_max"),
                ("allo.rtp.packets_lost", "packets_lost"),
                ("allo.rtp.remote_loss", "remote_loss"),
            ] {
                attributes.extend(figure(name).map(|value| (key, Attribute::Number(value))));
            }
        }
        let steps = [
            (Milestone::Ringing, "ringing"),
            (Milestone::Answered, "answered"),
            (Milestone::Established, "established"),
            (Milestone::FirstPacket, "first packet"),
            (Milestone::FirstAudio, "first audio"),
        ];
        let happened = |(step, name)| self.milestone(step).map(|at| self.event(at, name));
        Span {
            id: self.context.root_id(),
            parent: self.context.parent_id(),
            has_remote_parent: self.context.parent_id().is_some(),
            name: "call".to_owned(),
            role: if inbound { Role::Server } else { Role::Client },
            attributes,
            events: steps.into_iter().filter_map(happened).collect(),
            outcome,
            ..self.part(("call", ""), (0, self.ended_ms()))
        }
    }

    /// From the INVITE to the 200, or to the end of a call that nobody answered.
    fn setup(&self) -> Span {
        let answered = self.milestone(Milestone::Answered);
        let rang = self.milestone(Milestone::Ringing);
        Span {
            events: rang
                .map(|at| self.event(at, "ringing"))
                .into_iter()
                .collect(),
            attributes: vec![("allo.call.answered", Attribute::Flag(answered.is_some()))],
            ..self.part(
                ("setup", ""),
                (0, answered.unwrap_or_else(|| self.ended_ms())),
            )
        }
    }

    /// Each connection to the engine, until it is ready.
    fn engine(&self, spans: &mut Vec<Span>) {
        let mut open: Option<(u64, u8)> = None;
        let mut count = 0_u32;
        for entry in &self.told.events {
            let Event::EngineState { state, attempt, .. } = &entry.event else {
                continue;
            };
            let outcome = match state {
                EngineState::Connecting | EngineState::Rotating => {
                    open = Some((entry.at_ms, *attempt));
                    continue;
                }
                EngineState::Ready => Outcome::Ok,
                EngineState::Lost => Outcome::Failed("lost".to_owned()),
                EngineState::Closed => continue,
            };
            let Some((began, attempt)) = open.take() else {
                continue;
            };
            count += 1;
            spans.push(Span {
                name: "engine connect".to_owned(),
                role: Role::Client,
                attributes: vec![("allo.engine.attempt", whole(u64::from(attempt.max(1))))],
                outcome,
                ..self.part(("engine", &count.to_string()), (began, entry.at_ms))
            });
        }
    }

    /// From the end of what the caller said to the agent's first audio.
    fn turns(&self, spans: &mut Vec<Span>) {
        let turns = store::turns(&self.told.events);
        for (index, turn) in turns.iter().enumerate() {
            let number = index + 1;
            let heard = turn.latency_ms.map(|waited| turn.stopped_at_ms + waited);
            let mut attributes = vec![(
                "allo.turn.number",
                whole(u64::try_from(number).unwrap_or(u64::MAX)),
            )];
            attributes.extend(
                turn.latency_ms
                    .map(|ms| ("allo.turn.latency_ms", whole(ms))),
            );
            let until = heard.unwrap_or(turn.stopped_at_ms);
            spans.push(Span {
                attributes,
                events: heard
                    .map(|at| self.event(at, "first audio"))
                    .into_iter()
                    .collect(),
                ..self.part(("turn", &number.to_string()), (turn.stopped_at_ms, until))
            });
        }
    }

    fn tools(&self, spans: &mut Vec<Span>) {
        for run in &self.told.runs {
            let mut attributes = vec![("allo.tool.name", text(run.run.name.as_str()))];
            let status = run.status.map(Attribute::Whole);
            attributes.extend(status.map(|status| ("http.response.status_code", status)));
            spans.push(Span {
                name: format!("tool {}", run.run.name),
                role: Role::Client,
                began: run.run.started_at,
                ended: run.ended_at.unwrap_or_else(|| self.at(self.ended_ms())),
                attributes,
                outcome: match (run.state, run.status) {
                    (ToolRunState::Done, _) => Outcome::Ok,
                    (ToolRunState::Failed, Some(status)) => {
                        Outcome::Failed(format!("HTTP {status}"))
                    }
                    (ToolRunState::Failed, None) => Outcome::Failed("failed".to_owned()),
                    (ToolRunState::Begun, _) => Outcome::Failed("unanswered".to_owned()),
                },
                ..self.part(("tool", &run.run.tool_call_id), (0, 0))
            });
        }
    }

    /// Each leg that was called for a transfer, and each transfer by the other side.
    fn transfers(&self, spans: &mut Vec<Span>) {
        let mut open: Option<Leg> = None;
        let mut count = 0_u32;
        let mut close = |leg: Leg, at_ms: u64, outcome: Outcome| {
            count += 1;
            spans.push(Span {
                name: "transfer".to_owned(),
                role: Role::Client,
                attributes: vec![
                    ("allo.transfer.target", self.name(&leg.target)),
                    ("allo.transfer.joined", Attribute::Flag(leg.joined)),
                ],
                events: leg
                    .events
                    .iter()
                    .map(|(at, name)| self.event(*at, name))
                    .collect(),
                outcome,
                ..self.part(("transfer", &count.to_string()), (leg.began, at_ms))
            });
        };
        for entry in &self.told.events {
            let Event::Session { name, fields } = &entry.event else {
                continue;
            };
            let at_ms = entry.at_ms;
            match name.as_str() {
                "transfer_started" | "target_called" => {
                    let leg = open.get_or_insert_with(|| Leg {
                        began: at_ms,
                        target: field(fields, "target"),
                        events: Vec::new(),
                        called: false,
                        joined: false,
                    });
                    leg.called |= name == "target_called";
                }
                "target_rings" => note(&mut open, at_ms, "ringing"),
                "target_announced" => note(&mut open, at_ms, "announced"),
                "target_screened" => note(&mut open, at_ms, "screened"),
                "conferred" => join(&mut open, at_ms),
                "transfer_finished" | "target_ended" | "returned" => {
                    if is_done(fields) {
                        join(&mut open, at_ms);
                    }
                    let goes_on = |leg: &mut Leg| leg.called && is_done(fields);
                    if let Some(leg) = open.take_if(|leg| !goes_on(leg)) {
                        let outcome = if leg.joined {
                            Outcome::Ok
                        } else {
                            Outcome::Failed(field(fields, "reason"))
                        };
                        close(leg, at_ms, outcome);
                    }
                }
                _ => {}
            }
        }
        if let Some(leg) = open {
            let outcome = if leg.joined {
                Outcome::Ok
            } else {
                Outcome::Unset
            };
            close(leg, self.ended_ms(), outcome);
        }
    }
}

fn note(leg: &mut Option<Leg>, at_ms: u64, name: &'static str) {
    if let Some(leg) = leg {
        leg.events.push((at_ms, name));
    }
}

fn join(leg: &mut Option<Leg>, at_ms: u64) {
    note(leg, at_ms, "joined");
    if let Some(leg) = leg {
        leg.joined = true;
    }
}

fn field(fields: &BTreeMap<String, Param>, name: &str) -> String {
    fields
        .get(name)
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn is_done(fields: &BTreeMap<String, Param>) -> bool {
    fields
        .get("done")
        .is_some_and(|done| *done != Param::Integer(0))
}

#[cfg(test)]
mod tests {
    use store::CallService;

    use super::*;

    type Decision<'a> = (u64, &'a str, &'a [(&'a str, Param)]);

    /// A call of ten seconds with these decisions of its session.
    fn told(decisions: &[Decision<'_>]) -> Told {
        let events = decisions
            .iter()
            .zip(0..)
            .map(|((at_ms, name, fields), seq)| {
                let fields = fields.iter().cloned();
                JournalEntry {
                    seq,
                    at_ms: *at_ms,
                    wall: Timestamp::UNIX_EPOCH,
                    event: Event::Session {
                        name: (*name).to_owned(),
                        fields: fields
                            .map(|(name, value)| (name.to_owned(), value))
                            .collect(),
                    },
                }
            });
        Told {
            record: CallRecord {
                id: "0192f5a0-7b1c-7def-8abc-0123456789ab".to_owned(),
                tenant: "tenant".to_owned(),
                direction: Direction::Inbound,
                from: "+33611223344".to_owned(),
                to: "+33140506070".to_owned(),
                line: String::new(),
                agent: String::new(),
                sip_call_id: None,
                started_at: Timestamp::UNIX_EPOCH,
                answered_at: None,
                end: None,
                recording_path: None,
                service: CallService::default(),
            },
            events: events
                .chain([JournalEntry {
                    seq: 99,
                    at_ms: 10_000,
                    wall: Timestamp::UNIX_EPOCH,
                    event: Event::Ended {
                        reason: String::new(),
                        ended_by: String::new(),
                    },
                }])
                .collect(),
            runs: Vec::new(),
        }
    }

    /// From, to, whether they were joined, and how it went, of each transfer.
    fn transfers(told: &Told) -> Vec<(i64, i64, bool, Outcome)> {
        let context = TraceContext::of_call(&told.record.id, None);
        let spans = spans(told, &context, false);
        let transfers = spans.into_iter().filter(|span| span.name == "transfer");
        transfers
            .map(|span| {
                let joined = ("allo.transfer.joined", Attribute::Flag(true));
                let (began, ended) = (span.began.as_millisecond(), span.ended.as_millisecond());
                assert_eq!(span.parent, Some(context.root_id()));
                (
                    began,
                    ended,
                    span.attributes.contains(&joined),
                    span.outcome,
                )
            })
            .collect()
    }

    #[test]
    fn each_leg_of_a_transfer_is_a_span_until_it_is_over() {
        let target = ("target", Param::from("desk"));
        let (done, not_done) = (("done", Param::Integer(1)), ("done", Param::Integer(0)));
        let busy = ("reason", Param::from("busy"));
        let called = (1_000, "target_called", &[target.clone()][..]);
        let bridged = [
            called,
            (2_000, "target_rings", &[][..]),
            (3_000, "transfer_finished", &[done.clone()][..]),
            (7_000, "target_ended", &[busy.clone()][..]),
        ];
        let ok = |began, ended| vec![(began, ended, true, Outcome::Ok)];
        assert_eq!(transfers(&told(&bridged)), ok(1_000, 7_000));
        // The caller hangs up first.
        assert_eq!(transfers(&told(&bridged[..3])), ok(1_000, 10_000));
        let refused = [called, (2_500, "transfer_finished", &[not_done, busy][..])];
        let failed = vec![(1_000, 2_500, false, Outcome::Failed("busy".to_owned()))];
        assert_eq!(transfers(&told(&refused)), failed);
        let referred = [
            (1_000, "transfer_started", &[target][..]),
            (2_000, "transfer_finished", &[done][..]),
        ];
        assert_eq!(transfers(&told(&referred)), ok(1_000, 2_000));
        let conferred = [
            called,
            (4_000, "conferred", &[][..]),
            (5_000, "returned", &[][..]),
        ];
        assert_eq!(transfers(&told(&conferred)), ok(1_000, 5_000));
    }

    #[test]
    fn numbers_are_masked_unless_the_settings_want_them() {
        let told = told(&[(
            1_000,
            "target_called",
            &[("target", Param::from("desk 5512"))],
        )]);
        let context = TraceContext::of_call(&told.record.id, None);
        let text = |numbers| format!("{:?}", spans(&told, &context, numbers));
        assert!(!text(false).contains("611223344") && !text(false).contains("5512"));
        assert!(text(true).contains("+33611223344") && text(true).contains("desk 5512"));
    }
}
