//! Tool calls: what the ledger decides, carried out.

use super::Session;
use crate::effect::{Effect, Purpose, Role, SessionEvent};
use crate::end::EndReason;
use crate::id::ToolCallId;
use crate::input::ToolOutcome;
use crate::liveness::Floor;
use crate::phase::Phase;
use crate::planted::{self, Planted};
use crate::profile::Filler;
use crate::secure::Waiting;
use crate::tool::ledger::{Refusal, Verdict};

impl Session {
    pub(super) fn tool_called(&mut self, id: ToolCallId, name: &str, arguments: &str) {
        self.liveness.engine_heard(self.now);
        let bar = match self.phase {
            Phase::Talking if self.turn.caller_speaks() || self.turn.response_is_cancelled() => {
                Some(Refusal::Interrupted)
            }
            Phase::Talking => None,
            Phase::Ringing | Phase::Dialing | Phase::Answering => Some(Refusal::NotAnswered),
            Phase::Transferring | Phase::Goodbye => Some(Refusal::CallEnding),
            Phase::Joined
            | Phase::Parked
            | Phase::Apologising
            | Phase::HangingUp
            | Phase::Ended => return,
        };
        if !self.link.is_ready() {
            return;
        }
        let active = self.turn.response_under_way();
        let tools = &self.profile.tools;
        let verdict = self
            .ledger
            .admit(self.now, &id, (name, arguments), tools, bar, active);
        self.carry_out(id, name.to_owned(), verdict);
    }

    fn carry_out(&mut self, id: ToolCallId, name: String, verdict: Verdict) {
        match verdict {
            Verdict::Duplicate | Verdict::Joined => {}
            Verdict::Refused { .. } if planted::has(Planted::AnswerForgotten) => {}
            Verdict::Refused { why, output } => {
                self.effect(Effect::SubmitToolOutput {
                    id: id.clone(),
                    output,
                });
                self.journal(SessionEvent::ToolRefused {
                    id,
                    name,
                    why: why.label(),
                });
            }
            Verdict::Run {
                arguments,
                deadline_ms,
            } => {
                self.journal(SessionEvent::ToolStarted {
                    id: id.clone(),
                    name: name.clone(),
                });
                self.run_tool(id, name, arguments, deadline_ms);
            }
            Verdict::SendDtmf { digits, output } => {
                self.effect(Effect::SendDtmf { digits });
                self.built_in_done(id, name, output);
            }
            Verdict::EndCall { output } => {
                self.built_in_done(id, name, output);
                self.finish_speech_then_hang_up(EndReason::AgentHungUp);
            }
        }
    }

    fn run_tool(&mut self, id: ToolCallId, name: String, arguments: String, deadline_ms: u32) {
        let tool = self.profile.tools.iter().find(|tool| tool.name == name);
        if let Some(wanted) = tool.and_then(|tool| tool.secure) {
            let waiting = Waiting {
                id,
                name,
                arguments,
                deadline_ms,
            };
            self.type_for(waiting, wanted);
        } else {
            self.effect(Effect::RunTool {
                id,
                name,
                arguments,
                deadline_ms,
                typed: None,
            });
        }
    }

    fn built_in_done(&mut self, id: ToolCallId, name: String, output: &str) {
        self.journal(SessionEvent::ToolStarted {
            id: id.clone(),
            name,
        });
        self.effect(Effect::SubmitToolOutput {
            id: id.clone(),
            output: output.to_owned(),
        });
        self.journal(SessionEvent::ToolFinished {
            id,
            outcome: "ok",
            took_ms: 0,
        });
    }

    pub(super) fn tool_finished(&mut self, id: &ToolCallId, outcome: ToolOutcome) {
        let Some(finished) = self.ledger.finish(self.now, id, outcome) else {
            return;
        };
        self.journal(SessionEvent::ToolFinished {
            id: id.clone(),
            outcome: finished.label,
            took_ms: finished.took_ms,
        });
        match self.phase {
            Phase::Apologising | Phase::HangingUp | Phase::Ended => return,
            // The agent is away, and may come back: it must know of the order that was booked meanwhile.
            Phase::Joined
            | Phase::Parked
            | Phase::Ringing
            | Phase::Dialing
            | Phase::Answering
            | Phase::Talking
            | Phase::Transferring
            | Phase::Goodbye => {}
        }
        if finished.stale || !self.link.is_ready() {
            // The engine that asked is gone; the new one knows the conversation, not the call.
            self.note(
                Role::System,
                format!("[{}] {}", finished.name, finished.output),
            );
        } else {
            for call in std::iter::once(id).chain(&finished.joined) {
                self.effect(Effect::SubmitToolOutput {
                    id: call.clone(),
                    output: finished.output.clone(),
                });
            }
        }
        if self.phase != Phase::Talking {
            return;
        }
        if let Some(target) = finished.transfer {
            self.transfer_requested(target);
        } else if finished.hang_up {
            self.finish_speech_then_hang_up(EndReason::AgentHungUp);
        }
    }

    pub(super) fn settle_tools(&mut self) {
        for id in self.ledger.overdue(self.now) {
            self.tool_finished(&id, ToolOutcome::TimedOut);
        }
        if matches!(
            self.phase,
            Phase::Ringing | Phase::Dialing | Phase::Answering
        ) {
            // What was refused because nobody had answered waits for the answer.
            return;
        }
        let complete = self.ledger.take_speech();
        if self.phase != Phase::Talking {
            return;
        }
        if complete {
            self.turn.want(Purpose::ToolResult);
        }
        let filler_due = self
            .ledger
            .filler_at(self.profile.tool_filler_ms)
            .is_some_and(|at| self.now >= at);
        if filler_due
            && self.floor() == Floor::Owed
            && !self.turn.response_busy()
            && !self.turn.reply_owed()
        {
            self.ledger.filler_asked();
            match self.profile.tool_filler {
                Filler::Phrase => self.turn.want(Purpose::ToolFiller),
                Filler::Sound => {
                    if let Some(step) = self.liveness.cover_wait(self.now) {
                        self.take_liveness_step(step);
                    }
                }
            }
        }
    }
}
