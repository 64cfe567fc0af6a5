//! The call's dealings with its back office: tool runs, what they led to, and what the call cost.
//!
//! A run is written down before its request leaves and again when it is over. It is bounded, and it is the only part of a call
//! that outlives it: an order under way is finished and recorded when the caller has hung up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::{
    Builtin, CallBrain, FailureKind, Finished, HttpCall, McpCall, Method, Prepared, Round,
    ToolDone, ToolReply,
};
use call::{Input, ToolCallId, ToolOutcome, TypedDigits};
use catalog::Message;
use courier::traces::TraceContext;
use courier::{Caller, Courier};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::CallTask;
use super::consult::transfer;
use super::typed::Blank;
use crate::books::{Books, RunEnd};
use crate::calls::{Calls, Identity};
use crate::config::OfficeConfig;
use crate::limits::{RUNS_AFTER_END_WITHIN, TOOL_REPLIES_MAX};

/// A reply of a run's request.
pub(crate) struct ToolReplied {
    id: ToolCallId,
    reply: ToolReply,
}

/// A run under way.
struct Run {
    /// Nothing is lost when its request is given up: it changes nothing.
    safe: bool,
    blank: Option<Blank>,
    written: bool,
    task: AbortHandle,
}

/// See the module.
pub(crate) struct Office {
    pub(crate) brain: CallBrain,
    courier: Courier,
    caller: Caller,
    trace: Option<TraceContext>,
    pub(crate) books: Books,
    runs: BTreeMap<ToolCallId, Run>,
    sender: mpsc::Sender<ToolReplied>,
    replies: mpsc::Receiver<ToolReplied>,
    /// Since when minutes are counted.
    pub(crate) answered: Option<Instant>,
    /// The engine left the call then: its minutes are counted no further.
    pub(crate) engine_until: Option<Instant>,
    /// How long it was away before it came back.
    engine_away: Duration,
}

impl Office {
    pub(crate) fn new(
        brain: CallBrain,
        config: &OfficeConfig,
        (calls, identity): (&Arc<Calls>, &Identity),
        left_micro: Option<i64>,
    ) -> Self {
        let (sender, replies) = mpsc::channel(TOOL_REPLIES_MAX);
        let call = identity.id.as_str().to_owned();
        Self {
            brain,
            courier: calls.courier.clone(),
            caller: Caller {
                call: Some(call),
                ..config.caller.clone()
            },
            trace: identity.trace.clone(),
            books: Books::new(calls, identity, config, left_micro),
            runs: BTreeMap::new(),
            sender,
            replies,
            answered: None,
            engine_until: None,
            engine_away: Duration::ZERO,
        }
    }

    /// Minutes are counted from here on, and who wants to know that the call began is told.
    pub(crate) fn answered_at(&mut self, now: Instant) {
        if self.answered.is_none() {
            self.answered = Some(now);
            if let Some(body) = self.brain.call_start(Timestamp::now()) {
                self.books.deliver(body);
            }
        }
    }

    /// The engine left the call, and is there again.
    pub(crate) fn engine_is_back(&mut self, now: Instant) {
        if let Some(left) = self.engine_until.take() {
            self.engine_away += now.saturating_duration_since(left);
        }
    }

    /// Puts the time so far into the costs; gives that of the call, in milliseconds. `beside`: how long other sessions of the engine were
    /// at work for it.
    pub(super) fn count_minutes(&mut self, now: Instant, beside: Duration) -> u64 {
        let talked = |until: Instant, without: Duration| {
            let lasted = self.answered.map_or(0, |answered| {
                let lasted = until.saturating_duration_since(answered);
                lasted.saturating_sub(without).as_millis()
            });
            u64::try_from(lasted).unwrap_or(u64::MAX)
        };
        let whole_ms = talked(now, Duration::ZERO);
        let beside_ms = u64::try_from(beside.as_millis()).unwrap_or(u64::MAX);
        let engine_ms = talked(self.engine_until.unwrap_or(now), self.engine_away);
        let engine_ms = engine_ms.saturating_add(beside_ms);
        self.brain.set_telephony_time(whole_ms);
        // Counts only where the model's price is one by the minute.
        let model = self.brain.agent().settings().engine().model;
        let model = model.as_deref().unwrap_or_default();
        self.brain.set_engine_time(model, engine_ms);
        whole_ms
    }

    /// The next reply of a run; never ready without an office. Cancel safe.
    pub(crate) async fn reply(office: &mut Option<Self>) -> ToolReplied {
        if let Some(office) = office
            && let Some(reply) = office.replies.recv().await
        {
            return reply;
        }
        std::future::pending().await
    }

    /// Sends a request of a run, once its row is written.
    fn send(
        &mut self,
        id: &ToolCallId,
        name: &str,
        arguments: &str,
        round: Round,
        blank: Option<Blank>,
    ) {
        let safe = is_safe(&round);
        let written = self.runs.get(id).is_some_and(|run| run.written);
        let mut row = (!written).then(|| self.books.begin_run(id, name, arguments, &round));
        let courier = self.courier.clone();
        let trace = self.trace.as_ref();
        let caller = Caller {
            traceparent: trace.map(|trace| trace.traceparent("tool", id.as_str())),
            ..self.caller.clone()
        };
        let sender = self.sender.clone();
        let (reply_id, filled) = (id.clone(), blank.clone());
        let task = tokio::spawn(async move {
            let committed = match row.take() {
                Some(row) => row.await,
                None => true,
            };
            let reply = if committed {
                match round {
                    Round::Http(call) => {
                        let call = filled
                            .as_ref()
                            .map_or(call.clone(), |blank| blank.fill(call));
                        bounded(call.timeout_ms, courier.run(&call, &caller)).await
                    }
                    Round::Mcp(call) => {
                        let call = filled
                            .as_ref()
                            .map_or(call.clone(), |blank| blank.fill_mcp(call));
                        bounded(call.timeout_ms, courier.run_mcp(&call, &caller)).await
                    }
                }
            } else {
                // What is not written down is not done.
                ToolReply::Failed {
                    kind: FailureKind::Cancelled,
                }
            };
            let replied = ToolReplied {
                id: reply_id,
                reply,
            };
            let _ = sender.send(replied).await;
        });
        let run = Run {
            safe,
            blank,
            written: true,
            task: task.abort_handle(),
        };
        self.runs.insert(id.clone(), run);
    }

    /// A tool call: what it leads to at once, with what is to be noted of it; `None` where its request is on its way.
    pub(crate) fn run(
        &mut self,
        id: &ToolCallId,
        name: &str,
        arguments: &str,
        blank: Option<Blank>,
    ) -> Option<(ToolOutcome, Option<Message>)> {
        let wall = Timestamp::now();
        match self.brain.prepare(id.as_str(), name, arguments, wall) {
            Prepared::Http(call) => {
                self.send(id, name, arguments, Round::Http(call), blank);
                None
            }
            Prepared::Mcp(call) => {
                self.send(id, name, arguments, Round::Mcp(call), blank);
                None
            }
            Prepared::Builtin(builtin) => {
                self.books.note_builtin(id, name, arguments);
                Some((builtin_outcome(builtin), None))
            }
            Prepared::Refused { code, output } => {
                if code.is_suspicious() {
                    self.books.note_attempt(name, code.label());
                }
                let note = Message::new("tool_refused_by_policy");
                let note = note.with("tool", name).with("why", code.label());
                Some((ToolOutcome::Told { output }, Some(note)))
            }
        }
    }

    /// What the reply of a run's request leads to; `None` where the run goes on.
    pub(crate) fn taken(&mut self, replied: ToolReplied) -> Option<(ToolCallId, ToolOutcome)> {
        let done = self.replied(&replied)?;
        Some((replied.id, outcome(done)))
    }

    /// What a reply leads to: another round, or the end of the run.
    fn replied(&mut self, replied: &ToolReplied) -> Option<ToolDone> {
        let run = self.runs.remove(&replied.id)?;
        let now = Timestamp::now();
        match self.brain.finish(replied.id.as_str(), &replied.reply, now) {
            Finished::Next(round) => {
                let id = replied.id.clone();
                self.runs.insert(replied.id.clone(), Run { ..run });
                let blank = self.runs.get(&id).and_then(|run| run.blank.clone());
                self.send(&id, "", "", round, blank);
                None
            }
            Finished::Done(mut done) => {
                if let Some(blank) = &run.blank {
                    done.output = blank.hide(&done.output);
                }
                self.books.end_run(&RunEnd {
                    id: &replied.id,
                    ok: done.ok,
                    status: status(&replied.reply),
                    output: &done.output,
                    cost_micro: done.cost_micro,
                });
                Some(done)
            }
        }
    }

    /// Whether a run goes on that must not be given up.
    fn has_unsafe_runs(&self) -> bool {
        self.runs.values().any(|run| !run.safe)
    }

    /// The call is over: reads are given up, what may change something is awaited and recorded.
    pub(crate) async fn finish_runs(&mut self) {
        let safe: Vec<ToolCallId> = self
            .runs
            .iter()
            .filter(|(_, run)| run.safe)
            .map(|(id, _)| id.clone())
            .collect();
        for id in safe {
            if let Some(run) = self.runs.remove(&id) {
                run.task.abort();
                self.books.end_run(&RunEnd {
                    id: &id,
                    ok: false,
                    status: None,
                    output: "",
                    cost_micro: 0,
                });
            }
        }
        let rest = async {
            while self.has_unsafe_runs() {
                let Some(replied) = self.replies.recv().await else {
                    return;
                };
                self.replied(&replied);
            }
        };
        if tokio::time::timeout(RUNS_AFTER_END_WITHIN, rest)
            .await
            .is_err()
        {
            crate::log::say(&Message::new("log_tool_run_left").with("count", self.runs.len()));
        }
        self.books.flush().await;
    }
}

impl CallTask {
    /// The model calls a tool: what it leads to is prepared, written down, and sent.
    pub(super) fn run_tool(
        &mut self,
        now: Instant,
        id: ToolCallId,
        name: &str,
        arguments: String,
        typed: Option<TypedDigits>,
    ) {
        let Some(office) = &mut self.office else {
            let reason = "This tool cannot be run here.".to_owned();
            let outcome = ToolOutcome::Failed { reason };
            return self
                .session
                .handle(now, Input::ToolFinished { id, outcome });
        };
        let blank = typed.and_then(|digits| {
            let argument = super::typed::argument(office.brain.agent().definition(), name)?;
            Some(Blank::new(argument, digits))
        });
        let arguments = match &blank {
            Some(blank) => blank.put_into(&arguments),
            None => arguments,
        };
        if let Some((outcome, note)) = office.run(&id, name, &arguments, blank) {
            if let Some(note) = note {
                self.desk.journal.note(now, note);
            }
            self.session
                .handle(now, Input::ToolFinished { id, outcome });
        }
        self.remember_brain();
    }

    /// A request of a run was answered.
    pub(super) fn tool_replied(&mut self, now: Instant, replied: ToolReplied) {
        let Some(office) = &mut self.office else {
            return;
        };
        let Some((id, outcome)) = office.taken(replied) else {
            return;
        };
        self.session
            .handle(now, Input::ToolFinished { id, outcome });
        self.remember_brain();
        self.watch_budget(now);
    }

    /// The caller is with somebody else: after the death of the process the outcome is known from here.
    pub(super) fn handed_over(&mut self) {
        if let Some(office) = &mut self.office {
            office.brain.transferred();
        }
        self.remember_brain();
    }

    /// Keeps the brain's state, so that a call whose process dies can be closed as it was.
    pub(super) fn remember_brain(&mut self) {
        if let Some(office) = &mut self.office {
            let snapshot = office.brain.snapshot();
            self.desk.journal.brain(snapshot.to_string());
        }
    }

    /// Ends the call once its money is spent.
    pub(super) fn watch_budget(&mut self, now: Instant) {
        let Some(office) = &mut self.office else {
            return;
        };
        office.count_minutes(now, self.second.voiced());
        if office.books.is_spent(&office.brain) {
            self.session.handle(now, Input::BudgetSpent);
        }
    }
}

fn builtin_outcome(builtin: Builtin) -> ToolOutcome {
    match builtin {
        Builtin::HangUp { output } => ToolOutcome::HangUp { output },
        Builtin::Transfer { target, output } => ToolOutcome::Transfer {
            output,
            target: transfer(&target),
        },
        Builtin::Done { output } => ToolOutcome::Ok { output },
    }
}

fn outcome(done: ToolDone) -> ToolOutcome {
    let output = done.output;
    if let Some(target) = &done.transfer {
        ToolOutcome::Transfer {
            output,
            target: transfer(target),
        }
    } else if done.hang_up {
        ToolOutcome::HangUp { output }
    } else if done.ok {
        ToolOutcome::Ok { output }
    } else {
        ToolOutcome::Told { output }
    }
}

/// A request that changes nothing may be given up when the call ends.
fn is_safe(round: &Round) -> bool {
    match round {
        Round::Http(HttpCall { method, .. }) => *method == Method::Get,
        Round::Mcp(McpCall { .. }) => false,
    }
}

fn status(reply: &ToolReply) -> Option<u16> {
    match reply {
        ToolReply::Http { status, .. } => Some(*status),
        ToolReply::Mcp { .. } | ToolReply::Failed { .. } | ToolReply::TimedOut => None,
    }
}

/// The courier keeps the deadline; a little later this one does, whatever happens there.
async fn bounded(timeout_ms: u32, reply: impl Future<Output = ToolReply>) -> ToolReply {
    let bound = Duration::from_millis(u64::from(timeout_ms) + 1_000);
    tokio::time::timeout(bound, reply)
        .await
        .unwrap_or(ToolReply::TimedOut)
}
