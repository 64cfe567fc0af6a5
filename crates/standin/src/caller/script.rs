//! What the scripted caller does, and when: pure, so that it can be tested at simulated time.

use std::time::Instant;

use crate::scenario::{Moment, Step};

use super::listener::Listener;

/// Where the script stands.
#[derive(Debug)]
pub(super) struct Script {
    steps: Vec<Step>,
    next: usize,
    /// The end of the step before, since the answer.
    since_ms: u32,
    /// The caller is saying something.
    pub(super) talking: bool,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Say(String),
    Dtmf(String),
    HangUp,
    /// Every step is done.
    Finished,
    /// The moment did not come in time.
    TimedOut,
}

impl Script {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        Self {
            steps,
            next: 0,
            since_ms: 0,
            talking: false,
        }
    }

    /// The step that is waited for, counted from 1.
    pub(super) fn step(&self) -> usize {
        self.next + 1
    }

    /// Whether nothing is left but to be hung up on.
    pub(super) fn may_end(&self) -> bool {
        let rest = &self.steps[self.next.min(self.steps.len())..];
        !self.talking && rest.iter().all(|step| step.after == Moment::HangUp)
    }

    /// The caller has said what it had to say.
    pub(super) fn said(&mut self, now_ms: u32) {
        self.talking = false;
        self.since_ms = now_ms;
    }

    /// What is due.
    pub(super) fn poll(&mut self, now: Instant, listener: &Listener) -> Option<Action> {
        if self.talking {
            return None;
        }
        let now_ms = listener.ms(now);
        let Some(step) = self.steps.get(self.next) else {
            return Some(Action::Finished);
        };
        let since = self.since_ms;
        let waited = now_ms.saturating_sub(since);
        let come = match step.after {
            Moment::Answered => now_ms >= step.ms,
            Moment::Pause => waited >= step.ms,
            Moment::AgentSilence => listener.last().is_some_and(|heard| {
                heard.ended_ms > since && now_ms.saturating_sub(heard.ended_ms) >= step.ms
            }),
            Moment::AgentSpeech => listener.speaking().is_some_and(|heard| {
                heard.started_ms > since
                    && heard.ended_ms.saturating_sub(heard.started_ms) >= step.ms
            }),
            Moment::HangUp => false,
        };
        if !come {
            return (waited > step.timeout_ms).then_some(Action::TimedOut);
        }
        let action = match (&step.say, &step.dtmf, step.hang_up) {
            (Some(id), _, _) => {
                self.talking = true;
                Some(Action::Say(id.clone()))
            }
            (None, Some(digits), _) => Some(Action::Dtmf(digits.clone())),
            (None, None, true) => Some(Action::HangUp),
            (None, None, false) => None,
        };
        self.next += 1;
        self.since_ms = now_ms;
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use std::time::Duration;

    #[test]
    fn the_demonstration_talks_after_silence_and_interrupts() {
        let start = Instant::now();
        let mut listener = Listener::new(start);
        let mut script = Script::new(Scenario::demo_fr().steps);
        let mut log = Vec::new();
        // The agent speaks from 1 s to 4 s, from 6 s to 9 s and from 11 s on.
        for tick in 0..1_000_u32 {
            let ms = tick * 20;
            let now = start + Duration::from_millis(u64::from(ms));
            let loud = matches!(ms, 1_000..4_000 | 6_000..9_000 | 11_000..);
            listener.frame(now, if loud { 20 } else { 127 });
            if let Some(action) = script.poll(now, &listener) {
                log.push((ms, action));
                script.said(ms + 500);
            }
        }
        let say = |id: &str| Action::Say(id.into());
        assert_eq!(
            log,
            [
                (4_680, say("hours")),
                (9_680, say("menu")),
                (13_500, say("enough"))
            ]
        );
    }
}
