//! What happens to one agent: orders, reports, deadlines.

use std::time::Instant;

use super::agent::{Agent, Cause, Health, Memory, Report, Stage, State};
use super::{Order, Part, Reconciler, Step};

impl Reconciler {
    pub(super) fn order(&mut self, now: Instant, id: &str, agent: &mut Agent, order: Order) {
        if !agent.usable {
            agent.wanted = order != Order::Stop;
            return self.unusable(id, agent);
        }
        match order {
            Order::Start => {
                agent.wanted = true;
                match agent.stage {
                    Stage::Lowering { by, .. } => agent.stage = Stage::Lowering { by, again: true },
                    Stage::Idle | Stage::Waiting { .. } => {
                        agent.forgive();
                        self.begin(id, agent);
                    }
                    Stage::Queued | Stage::Rising { .. } | Stage::Up => {}
                }
            }
            Order::Stop => {
                agent.wanted = false;
                match agent.stage {
                    Stage::Idle => {}
                    Stage::Lowering { by, .. } => {
                        agent.stage = Stage::Lowering { by, again: false }
                    }
                    Stage::Queued | Stage::Rising { .. } | Stage::Up | Stage::Waiting { .. } => {
                        self.lower(now, id, agent, false);
                    }
                }
            }
            Order::Restart => {
                agent.wanted = true;
                agent.forgive();
                match agent.stage {
                    Stage::Idle => self.begin(id, agent),
                    Stage::Lowering { by, .. } => agent.stage = Stage::Lowering { by, again: true },
                    Stage::Queued | Stage::Rising { .. } | Stage::Up | Stage::Waiting { .. } => {
                        agent.restarts += 1;
                        self.lower(now, id, agent, true);
                    }
                }
            }
        }
    }

    /// An agent that cannot be used as it is written: its lines are gone, its run ends, and it is tried when it is changed.
    pub(super) fn unusable(&mut self, id: &str, agent: &mut Agent) {
        self.queue.retain(|queued| queued != id);
        self.kill(id, agent);
        agent.usable = false;
        agent.stage = Stage::Idle;
        agent.health = None;
        agent.running_since = None;
        (agent.state, agent.cause) = match agent.wanted {
            true => (State::Failed, Some(Cause::Settings)),
            false => (State::Stopped, None),
        };
    }

    /// Puts the agent into the queue of those that come up.
    pub(super) fn begin(&mut self, id: &str, agent: &mut Agent) {
        agent.state = State::Starting;
        agent.stage = Stage::Queued;
        agent.next_check = None;
        agent.check_by = None;
        self.queue.push_back(id.to_owned());
    }

    pub(super) fn raise(&mut self, now: Instant, id: &str, agent: &mut Agent, part: Part) {
        if !agent.lives {
            self.runs += 1;
            agent.run = self.runs;
            agent.lives = true;
            agent.check_by = None;
            agent.next_check = None;
        }
        let bound = match part {
            Part::Voice => self.policy.voice_within,
            Part::Line => self.policy.line_within,
        };
        agent.stage = Stage::Rising {
            part,
            by: now + bound,
        };
        self.steps.push_back(Step::Raise {
            id: id.to_owned(),
            run: agent.run,
            part,
            afresh: part == Part::Line && std::mem::take(&mut agent.afresh),
        });
    }

    fn lower(&mut self, now: Instant, id: &str, agent: &mut Agent, again: bool) {
        self.queue.retain(|queued| queued != id);
        if !agent.lives {
            // The line may be up all the same: a run that died leaves it as it was.
            self.runs += 1;
            agent.run = self.runs;
            agent.lives = true;
        }
        agent.state = State::Stopping;
        agent.cause = None;
        agent.running_since = None;
        agent.next_check = None;
        agent.check_by = None;
        agent.stage = Stage::Lowering {
            by: now + self.policy.lower_within,
            again,
        };
        self.steps.push_back(Step::Lower {
            id: id.to_owned(),
            run: agent.run,
        });
    }

    fn lowered(&mut self, id: &str, agent: &mut Agent, again: bool) {
        self.kill(id, agent);
        agent.health = None;
        if again {
            return self.begin(id, agent);
        }
        agent.state = State::Stopped;
        agent.stage = Stage::Idle;
        agent.forgive();
    }

    fn kill(&mut self, id: &str, agent: &mut Agent) {
        if std::mem::take(&mut agent.lives) {
            self.steps.push_back(Step::Kill {
                id: id.to_owned(),
                run: agent.run,
            });
        }
        agent.next_check = None;
        agent.check_by = None;
    }

    pub(super) fn look(&mut self, now: Instant, id: &str, agent: &mut Agent) {
        if agent.check_by.is_none()
            && agent.lives
            && matches!(agent.stage, Stage::Up | Stage::Waiting { .. })
        {
            agent.next_check = None;
            agent.check_by = Some(now + self.policy.check_within);
            self.steps.push_back(Step::Check {
                id: id.to_owned(),
                run: agent.run,
            });
        }
    }

    /// A change of the agent was put in place a moment ago: it is looked at once that has had its effect.
    pub(super) fn look_soon(&mut self, now: Instant, agent: &mut Agent) {
        if agent.check_by.is_none() {
            let soon = now + self.policy.check_within.min(self.policy.check_every);
            agent.next_check = Some(agent.next_check.map_or(soon, |next| next.min(soon)));
        }
    }

    pub(super) fn report(&mut self, now: Instant, id: &str, agent: &mut Agent, report: Report) {
        match (report, agent.stage) {
            (
                Report::Up(Part::Voice),
                Stage::Rising {
                    part: Part::Voice, ..
                },
            ) => {
                self.raise(now, id, agent, Part::Line);
            }
            (
                Report::Up(Part::Line),
                Stage::Rising {
                    part: Part::Line, ..
                },
            ) => {
                self.is_up(now, agent);
                agent.next_check = Some(self.first_look(now));
            }
            (Report::NotUp(part, cause), Stage::Rising { part: rising, .. }) if part == rising => {
                self.fail(now, agent, cause);
            }
            (Report::Lowered, Stage::Lowering { again, .. }) => {
                self.lowered(id, agent, again);
            }
            (Report::Checked(health), _) if agent.check_by.is_some() => {
                self.checked(now, id, agent, health);
            }
            (Report::Died, _) => self.died(now, id, agent),
            // Said of something that time has overtaken.
            (
                Report::Up(_) | Report::NotUp(..) | Report::Lowered | Report::Checked(_),
                Stage::Idle
                | Stage::Queued
                | Stage::Rising { .. }
                | Stage::Up
                | Stage::Waiting { .. }
                | Stage::Lowering { .. },
            ) => {}
        }
    }

    fn is_up(&mut self, now: Instant, agent: &mut Agent) {
        agent.state = State::Running;
        agent.stage = Stage::Up;
        agent.cause = None;
        agent.gave_up = false;
        agent.running_since = Some(now);
    }

    fn checked(&mut self, now: Instant, id: &str, agent: &mut Agent, health: Health) {
        agent.check_by = None;
        agent.next_check = Some(now + self.policy.check_every);
        agent.checked_at = Some(now);
        agent.health = Some(health);
        match (health.fault(), agent.stage) {
            (None, Stage::Waiting { .. }) => self.is_up(now, agent),
            (
                Some(Cause::Memory),
                Stage::Waiting {
                    until_idle: true, ..
                },
            ) if health.memory == (Memory::Over { busy: false }) => {
                agent.restarts += 1;
                self.begin(id, agent);
            }
            (Some(cause), Stage::Up) => self.fail(now, agent, cause),
            // It is tried again when its time comes; the look only says why it is not well now.
            (Some(cause), Stage::Waiting { .. }) => agent.cause = Some(cause),
            (None, Stage::Up)
            | (_, Stage::Idle | Stage::Queued | Stage::Rising { .. } | Stage::Lowering { .. }) => {}
        }
    }

    fn died(&mut self, now: Instant, id: &str, agent: &mut Agent) {
        agent.lives = false;
        agent.next_check = None;
        agent.check_by = None;
        match agent.stage {
            Stage::Rising { .. } | Stage::Up => self.fail(now, agent, Cause::Died),
            Stage::Lowering { again, .. } => self.lowered(id, agent, again),
            Stage::Waiting { .. } => agent.cause = Some(Cause::Died),
            Stage::Idle | Stage::Queued => {}
        }
    }

    /// Counts a failure, and says when the agent is tried again.
    fn fail(&mut self, now: Instant, agent: &mut Agent, cause: Cause) {
        agent.settle(now, &self.policy);
        agent.failures.push_back(now);
        agent.cause = Some(cause);
        agent.running_since = None;
        agent.afresh |= cause == Cause::Registration;
        let was_given_up = agent.state == State::Starting && agent.gave_up;
        let retry_at = if was_given_up || agent.failures.len() >= self.policy.failures_max {
            agent.gave_up = true;
            agent.state = State::Failed;
            now + self.policy.slow_retry
        } else {
            agent.state = State::Unhealthy;
            now + self.policy.pause(agent.attempt, &mut self.random)
        };
        agent.attempt = agent.attempt.saturating_add(1);
        let memory = agent.health.map(|health| health.memory);
        let until_idle =
            cause == Cause::Memory && matches!(memory, Some(Memory::Over { busy: true }));
        let retry_at = if until_idle {
            retry_at.max(now + self.policy.memory_grace)
        } else {
            retry_at
        };
        agent.stage = Stage::Waiting {
            retry_at,
            until_idle,
        };
        // A run that lives is looked at meanwhile: what comes back by itself is well again.
        if agent.lives && agent.next_check.is_none() && agent.check_by.is_none() {
            agent.next_check = Some(now + self.policy.check_every);
        }
    }

    /// A deadline of the agent passed.
    pub(super) fn late(&mut self, now: Instant, id: &str, agent: &mut Agent) {
        if agent.check_by.is_some_and(|by| by <= now) {
            self.kill(id, agent);
            agent.health = None;
            match agent.stage {
                Stage::Up | Stage::Rising { .. } => return self.fail(now, agent, Cause::Hung),
                Stage::Waiting { .. } => agent.cause = Some(Cause::Hung),
                Stage::Idle | Stage::Queued | Stage::Lowering { .. } => {}
            }
        }
        match agent.stage {
            Stage::Rising { part, by } if by <= now => {
                // What said nothing at all in its time is not asked again.
                self.kill(id, agent);
                let cause = match part {
                    Part::Voice => Cause::Engine,
                    Part::Line => Cause::Registration,
                };
                return self.fail(now, agent, cause);
            }
            Stage::Lowering { by, again } if by <= now => return self.lowered(id, agent, again),
            Stage::Waiting { retry_at, .. } if retry_at <= now => {
                agent.restarts += 1;
                return self.begin(id, agent);
            }
            Stage::Idle
            | Stage::Queued
            | Stage::Rising { .. }
            | Stage::Up
            | Stage::Waiting { .. }
            | Stage::Lowering { .. } => {}
        }
        if agent.next_check.is_some_and(|at| at <= now) {
            self.look(now, id, agent);
        }
    }
}
