//! What the watchers are told of somebody who is called for the caller: from the request to the join, or why it came to none.

use call::{Seat, SessionEvent};

use crate::call_task::CallTask;
use crate::person::{CalledState, LiveCalled};

impl CallTask {
    /// Somebody is called.
    pub(super) fn show_calling(&mut self, name: &str, seat: Seat) {
        self.called_is(Some(LiveCalled {
            name: name.to_owned(),
            seat,
            state: CalledState::Calling,
        }));
    }

    /// It has come so far with whoever is called.
    pub(super) fn show_called(&mut self, state: CalledState) {
        if let Some(called) = &self.second.called_last {
            let called = LiveCalled {
                state,
                ..called.clone()
            };
            self.called_is(Some(called));
        }
    }

    /// What the session says of it.
    pub(in crate::call_task) fn called_news(&mut self, event: &SessionEvent) {
        let Some(called) = &self.second.called_last else {
            return;
        };
        if let SessionEvent::PersonCame { .. } = event {
            // Another person's affair from here on.
            return self.called_is(None);
        }
        if let Some(state) = next(&called.state, event) {
            self.show_called(state);
        }
    }

    fn called_is(&mut self, called: Option<LiveCalled>) {
        if self.second.called_last != called {
            self.second.called_last.clone_from(&called);
            self.desk.calls.called_changed(&self.desk.identity, called);
        }
    }
}

/// How far it has come by this event; `None`: as far as before.
fn next(state: &CalledState, event: &SessionEvent) -> Option<CalledState> {
    if let CalledState::Over { .. } = state {
        return None;
    }
    let over = |reason: &String| CalledState::Over {
        reason: reason.clone(),
    };
    let joined = *state == CalledState::Joined;
    if let SessionEvent::TransferFinished { done, reason } = event {
        // While they are there, that is said of somebody else.
        return (!joined).then(|| {
            if *done {
                CalledState::Joined
            } else {
                over(reason)
            }
        });
    }
    if let SessionEvent::TargetEnded { reason } = event {
        return Some(over(reason));
    }
    let rings = matches!(event, SessionEvent::TargetRings);
    let talks = matches!(event, SessionEvent::Conferred);
    rings
        .then_some(CalledState::Ringing)
        .or(talks.then_some(CalledState::Joined))
}
