//! The ledger of tool calls: each call of the model is admitted once or refused with a reason, has a deadline, is answered exactly
//! once, and a turn with N tools makes the model speak once.

use std::collections::BTreeMap;

use super::{arguments, builtin};
use crate::id::ToolCallId;
use crate::input::ToolOutcome;
use crate::limits::{TOOL_CALLS_MAX, TOOL_GRACE_MS, TOOL_OUTPUT_BYTES_MAX, cut_text};
use crate::planted::{self, Planted};
use crate::profile::{ToolKind, ToolSpec};
use crate::transfer::TransferTarget;

/// What the ledger says of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An external tool runs.
    Run { arguments: String, deadline_ms: u32 },
    /// The same tool with the same arguments runs already: its answer is this call's answer too.
    Joined,
    /// The call ends after a goodbye.
    EndCall { output: &'static str },
    /// Tones go to the caller's side.
    SendDtmf {
        digits: String,
        output: &'static str,
    },
    /// Refused; the model is told why.
    Refused { why: Refusal, output: String },
    /// Admitted before: nothing happens.
    Duplicate,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    Disabled,
    BadArguments,
    TooMany,
    Interrupted,
    CallEnding,
    NotAnswered,
}

impl Refusal {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Disabled => "disabled",
            Self::BadArguments => "bad_arguments",
            Self::TooMany => "too_many",
            Self::Interrupted => "interrupted",
            Self::CallEnding => "call_ending",
            Self::NotAnswered => "not_answered",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Unknown => "there is no such tool",
            Self::Disabled => "this tool is not available",
            Self::BadArguments => "the arguments are not valid",
            Self::TooMany => "too many tool calls in this conversation; answer with what is known",
            Self::Interrupted => "the caller interrupted; nothing was done",
            Self::CallEnding => "the call is already ending",
            Self::NotAnswered => "the call is not answered yet",
        }
    }
}

/// A tool run that is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) name: String,
    pub(crate) label: &'static str,
    pub(crate) output: String,
    pub(crate) took_ms: u64,
    /// The engine session that asked is gone: the output must travel as a message.
    pub(crate) stale: bool,
    /// The call ends after this tool.
    pub(crate) hang_up: bool,
    /// The caller is handed over after this tool.
    pub(crate) transfer: Option<TransferTarget>,
    /// Calls with the same arguments, answered with it.
    pub(crate) joined: Vec<ToolCallId>,
}

#[derive(Debug)]
struct Run {
    name: String,
    arguments: String,
    joined: Vec<(ToolCallId, u32)>,
    group: u32,
    epoch: u32,
    started_at: u64,
    deadline_at: u64,
    spec: Flags,
}

#[derive(Clone, Copy, Debug)]
struct Flags {
    speaks: bool,
    mutes: bool,
    hangs_up: bool,
}

#[derive(Debug)]
enum Entry {
    Running(Run),
    Done,
}

/// The tool calls of one response.
#[derive(Debug, Default)]
struct Group {
    response_over: bool,
    speaks: bool,
    interrupted: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<ToolCallId, Entry>,
    groups: BTreeMap<u32, Group>,
    group: u32,
    epoch: u32,
    refused_over_limit: bool,
    filler_asked_for: Option<u32>,
}

impl Ledger {
    /// A response begins: its calls belong together.
    pub(crate) fn response_started(&mut self) {
        self.close_group();
        self.group = self.group.wrapping_add(1);
    }

    /// The response is over: its calls are all known.
    pub(crate) fn response_done(&mut self) {
        self.close_group();
    }

    fn close_group(&mut self) {
        if let Some(group) = self.groups.get_mut(&self.group) {
            group.response_over = true;
        }
    }

    /// The engine session was replaced: what it asked for cannot be answered in its own words any more.
    pub(crate) fn engine_replaced(&mut self) {
        self.close_group();
        self.epoch = self.epoch.wrapping_add(1);
        self.group = self.group.wrapping_add(1);
    }

    /// The caller spoke over the agent: what still runs is submitted, not spoken.
    pub(crate) fn interrupted(&mut self, interrupted: bool) {
        for group in self.groups.values_mut() {
            group.interrupted = interrupted;
        }
    }

    /// Whether the model may be offered tools in a response that we ask for.
    pub(crate) fn may_call_more(&self) -> bool {
        !self.refused_over_limit
    }

    pub(crate) fn is_running(&self) -> bool {
        self.runs().next().is_some()
    }

    /// A running tool keeps the caller from being heard.
    pub(crate) fn mutes_caller(&self) -> bool {
        self.runs().any(|run| run.spec.mutes)
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Running(run) => Some(run),
            Entry::Done => None,
        })
    }

    /// Judges a call. `bar` refuses it whatever it is; `response_active`: its response is still under way.
    pub(crate) fn admit(
        &mut self,
        now: u64,
        id: &ToolCallId,
        (name, text): (&str, &str),
        tools: &[ToolSpec],
        bar: Option<Refusal>,
        response_active: bool,
    ) -> Verdict {
        if self.entries.contains_key(id) && !planted::has(Planted::RunsTwice) {
            return Verdict::Duplicate;
        }
        if bar.is_none() && self.join(id, name, text) {
            return Verdict::Joined;
        }
        let verdict = self.judge((name, text), tools, bar);
        let spec = tools.iter().find(|tool| tool.name == name);
        let ends_call = matches!(verdict, Verdict::EndCall { .. });
        if self.entries.len() < TOOL_CALLS_MAX
            || ends_call
            || spec.is_some_and(|spec| spec.hang_up_after)
        {
            let entry = match (&verdict, spec) {
                (Verdict::Run { deadline_ms, .. }, Some(spec)) => Entry::Running(Run {
                    name: name.to_owned(),
                    arguments: text.trim().to_owned(),
                    joined: Vec::new(),
                    group: self.group,
                    epoch: self.epoch,
                    started_at: now,
                    deadline_at: now
                        + u64::from(*deadline_ms)
                        + spec.secure.map_or(0, |secure| u64::from(secure.wait_ms))
                        + TOOL_GRACE_MS,
                    spec: Flags {
                        speaks: !spec.skip_response,
                        mutes: spec.mute_caller,
                        hangs_up: spec.hang_up_after,
                    },
                }),
                _ => Entry::Done,
            };
            self.entries.insert(id.clone(), entry);
        }
        // The goodbye speaks for itself, and the caller's own turn speaks after an interruption. Who asked before the call was
        // answered has said nothing that the caller could hear: the model is asked again once somebody is there.
        let silent = ends_call
            || matches!(
                verdict,
                Verdict::Refused {
                    why: Refusal::Interrupted | Refusal::CallEnding,
                    ..
                }
            );
        let group = self.groups.entry(self.group).or_default();
        group.response_over |= !response_active;
        group.speaks |= !silent
            && !matches!(verdict, Verdict::Run { .. })
            && spec.is_none_or(|spec| !spec.skip_response);
        verdict
    }

    /// Joins a call to a run of the same engine session that does the same thing: a model that asks twice makes one order.
    fn join(&mut self, id: &ToolCallId, name: &str, text: &str) -> bool {
        if self.entries.len() >= TOOL_CALLS_MAX {
            return false;
        }
        let (group, epoch) = (self.group, self.epoch);
        let same = self.entries.values_mut().find_map(|entry| match entry {
            Entry::Running(run)
                if run.epoch == epoch && run.name == name && run.arguments == text.trim() =>
            {
                Some(run)
            }
            Entry::Running(_) | Entry::Done => None,
        });
        let Some(run) = same else { return false };
        run.joined.push((id.clone(), group));
        self.entries.insert(id.clone(), Entry::Done);
        self.groups.entry(group).or_default();
        true
    }

    /// The run begins only now: its caller has typed what it waited for. False where it is over already.
    pub(crate) fn restart(&mut self, now: u64, id: &ToolCallId, deadline_ms: u32) -> bool {
        let Some(Entry::Running(run)) = self.entries.get_mut(id) else {
            return false;
        };
        run.started_at = now;
        run.deadline_at = now + u64::from(deadline_ms) + TOOL_GRACE_MS;
        true
    }

    fn judge(
        &mut self,
        (name, text): (&str, &str),
        tools: &[ToolSpec],
        bar: Option<Refusal>,
    ) -> Verdict {
        if let Some(why) = bar {
            return refused(why);
        }
        let Some(spec) = tools.iter().find(|tool| tool.name == name) else {
            return refused(Refusal::Unknown);
        };
        if !spec.enabled {
            return refused(Refusal::Disabled);
        }
        if self.entries.len() >= TOOL_CALLS_MAX
            && spec.kind != ToolKind::EndCall
            && !spec.hang_up_after
        {
            self.refused_over_limit = true;
            return refused(Refusal::TooMany);
        }
        let checked = match arguments::check(text, &spec.parameters_json) {
            Ok(checked) => checked,
            // Whatever the model wrote beside it, it wants to end the call.
            Err(_) if spec.kind == ToolKind::EndCall => {
                return Verdict::EndCall {
                    output: builtin::END_CALL_OUTPUT,
                };
            }
            Err(sentence) => {
                return Verdict::Refused {
                    why: Refusal::BadArguments,
                    output: arguments::refusal_output(&sentence),
                };
            }
        };
        match spec.kind {
            ToolKind::EndCall => Verdict::EndCall {
                output: builtin::END_CALL_OUTPUT,
            },
            ToolKind::SendDtmf => match builtin::dtmf_digits(&checked) {
                Ok(digits) => Verdict::SendDtmf {
                    digits,
                    output: builtin::SEND_DTMF_OUTPUT,
                },
                Err(sentence) => Verdict::Refused {
                    why: Refusal::BadArguments,
                    output: arguments::refusal_output(sentence),
                },
            },
            ToolKind::External => {
                let arguments = if text.trim().is_empty() {
                    "{}".to_owned()
                } else {
                    text.to_owned()
                };
                Verdict::Run {
                    arguments,
                    deadline_ms: spec.deadline_ms,
                }
            }
        }
    }

    /// A tool run is over. `None` when it is not running (late, or never admitted).
    pub(crate) fn finish(
        &mut self,
        now: u64,
        id: &ToolCallId,
        outcome: ToolOutcome,
    ) -> Option<Finished> {
        let entry = self.entries.get_mut(id)?;
        let Entry::Running(run) = std::mem::replace(entry, Entry::Done) else {
            return None;
        };
        let succeeded = matches!(
            outcome,
            ToolOutcome::Ok { .. } | ToolOutcome::HangUp { .. } | ToolOutcome::Transfer { .. }
        );
        let asked_to_end = matches!(outcome, ToolOutcome::HangUp { .. });
        let mut transfer = None;
        let (label, output) = match outcome {
            ToolOutcome::Ok { output } | ToolOutcome::HangUp { output } => ("ok", output),
            ToolOutcome::Transfer { output, target } => {
                transfer = Some(target);
                ("ok", output)
            }
            ToolOutcome::Told { output } => ("failed", output),
            ToolOutcome::Refused { reason } => ("refused", arguments::refusal_output(&reason)),
            ToolOutcome::Failed { reason } => ("failed", arguments::refusal_output(&reason)),
            ToolOutcome::TimedOut => (
                "timed_out",
                arguments::refusal_output("the tool did not answer in time"),
            ),
        };
        if planted::has(Planted::AnsweredTwice) {
            let again = Run {
                name: run.name.clone(),
                arguments: run.arguments.clone(),
                joined: Vec::new(),
                ..run
            };
            self.entries.insert(id.clone(), Entry::Running(again));
        }
        let hang_up = (run.spec.hangs_up && succeeded) || asked_to_end;
        let speaks = (run.spec.speaks || !succeeded) && !hang_up && transfer.is_none();
        let mut joined = Vec::new();
        for (call, group) in run.joined {
            self.groups.entry(group).or_default().speaks |= speaks;
            joined.push(call);
        }
        self.groups.entry(run.group).or_default().speaks |= speaks;
        Some(Finished {
            name: run.name,
            label,
            output: cut_text(output, TOOL_OUTPUT_BYTES_MAX),
            took_ms: now.saturating_sub(run.started_at),
            stale: run.epoch != self.epoch,
            hang_up,
            transfer,
            joined,
        })
    }

    /// Runs whose deadline has passed without a word from the shell.
    pub(crate) fn overdue(&self, now: u64) -> Vec<ToolCallId> {
        let is_overdue =
            |entry: &Entry| matches!(entry, Entry::Running(run) if now >= run.deadline_at);
        self.entries
            .iter()
            .filter(|(_, entry)| is_overdue(entry))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Whether a group of calls is complete, so that the model must speak.
    pub(crate) fn take_speech(&mut self) -> bool {
        let running: Vec<u32> = self
            .runs()
            .flat_map(|run| {
                let joined = run.joined.iter().map(|(_, group)| *group);
                std::iter::once(run.group).chain(joined)
            })
            .collect();
        let mut speaks = false;
        self.groups.retain(|number, group| {
            let complete = group.response_over && !running.contains(number);
            speaks |= complete && group.speaks && !group.interrupted;
            !complete
        });
        speaks
    }

    /// When the model should say that it is looking.
    pub(crate) fn filler_at(&self, filler_ms: u32) -> Option<u64> {
        let oldest = self
            .runs()
            .min_by_key(|run| run.started_at)
            .filter(|_| filler_ms > 0)?;
        let asked = self.filler_asked_for == Some(oldest.group);
        (!asked).then(|| oldest.started_at + u64::from(filler_ms))
    }

    /// The filler is asked for; once for each group.
    pub(crate) fn filler_asked(&mut self) {
        self.filler_asked_for = self
            .runs()
            .min_by_key(|run| run.started_at)
            .map(|run| run.group);
    }

    pub(crate) fn timeout(&self) -> Option<u64> {
        self.runs().map(|run| run.deadline_at).min()
    }
}

fn refused(why: Refusal) -> Verdict {
    Verdict::Refused {
        why,
        output: arguments::refusal_output(why.sentence()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(ledger: &mut Ledger, id: &str, name: &str) -> Verdict {
        let mut order = ToolSpec::external("order", "", "{}");
        order.hang_up_after = true;
        let lookup = ToolSpec::external("lookup", "", "{}");
        let tools = [lookup, order, ToolSpec::end_call()];
        let id = ToolCallId::from(id.to_owned());
        ledger.admit(0, &id, (name, "{}"), &tools, None, true)
    }

    fn finish(ledger: &mut Ledger, id: &str) {
        let outcome = ToolOutcome::Ok {
            output: "{}".to_owned(),
        };
        let id = ToolCallId::from(id.to_owned());
        assert!(ledger.finish(1, &id, outcome).is_some(), "{id} ran");
    }

    #[test]
    fn the_next_response_completes_the_calls_of_the_one_before() {
        let mut ledger = Ledger::default();
        ledger.response_started();
        assert!(matches!(
            admit(&mut ledger, "c1", "lookup"),
            Verdict::Run { .. }
        ));
        // Its end was never told.
        ledger.response_started();
        assert!(!ledger.take_speech(), "it runs");
        finish(&mut ledger, "c1");
        assert!(ledger.take_speech(), "the model speaks");
        assert!(!ledger.take_speech(), "once");
    }

    #[test]
    fn after_too_many_calls_the_model_is_offered_no_more_tools() {
        let mut ledger = Ledger::default();
        for nth in 0..TOOL_CALLS_MAX {
            admit(&mut ledger, &format!("c{nth}"), "nonsense");
            assert!(ledger.may_call_more(), "after {nth}");
        }
        let verdict = admit(&mut ledger, "late", "lookup");
        assert!(matches!(
            verdict,
            Verdict::Refused {
                why: Refusal::TooMany,
                ..
            }
        ));
        assert!(!ledger.may_call_more());
        assert_eq!(ledger.entries.len(), TOOL_CALLS_MAX, "it is not remembered");
    }

    #[test]
    fn what_ends_the_call_is_admitted_over_the_limit_and_once() {
        let mut ledger = Ledger::default();
        for nth in 0..TOOL_CALLS_MAX {
            admit(&mut ledger, &format!("c{nth}"), "nonsense");
        }
        let order = admit(&mut ledger, "order", "order");
        assert!(matches!(order, Verdict::Run { .. }));
        finish(&mut ledger, "order");
        let end = admit(&mut ledger, "end", "end_call");
        assert!(matches!(end, Verdict::EndCall { .. }));
        for again in ["order", "end"] {
            assert_eq!(admit(&mut ledger, again, "end_call"), Verdict::Duplicate);
        }
    }
}
