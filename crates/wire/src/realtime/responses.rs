//! Which response is active, which ones are cancelled, and which wait for their turn.
//!
//! The default conversation has one active response at a time; the engine starts some by itself (turn
//! detection) and refuses a second one. So requests wait here for `response.done`, and one that lost
//! the race against turn detection is sent again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{
    CANCEL_GRACE_MS, RESPONSE_BLOCKED_MS_MAX, RESPONSE_CREATED_MS_MAX, RESPONSE_REQUESTS_MAX,
    RESPONSE_RETRIES_MAX, RESPONSES_MAX, ResponseRequest,
};

struct Active {
    id: String,
    /// Its audio is not wanted any more.
    cancelled: bool,
    /// The engine was told, or need not be.
    cancel_sent: bool,
    /// When to tell the engine, should it not cancel by itself.
    cancel_due: Option<Instant>,
}

struct Wish {
    request: ResponseRequest,
    retries: u8,
}

struct Sent {
    event: u64,
    wish: Wish,
    at: Instant,
    /// The response that came after it; perhaps one that the engine started by itself.
    response: Option<String>,
    cancel_when_created: bool,
}

/// What to do after an already-active error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Race {
    /// Not an answer to a request of ours.
    Unrelated,
    /// The request is sent again after the active response.
    Again,
    /// It was sent often enough.
    GivenUp,
}

/// The book of responses.
#[derive(Default)]
pub(super) struct Responses {
    active: Option<Active>,
    sent: Option<Sent>,
    waiting: VecDeque<Wish>,
    /// Since when a request waits for the end of a response that is not known here.
    blocked_at: Option<Instant>,
    cancelled: VecDeque<String>,
}

impl Responses {
    /// `false` when too many wait already.
    pub(super) fn want(&mut self, request: ResponseRequest) -> bool {
        if self.waiting.len() >= RESPONSE_REQUESTS_MAX {
            return false;
        }
        self.waiting.push_back(Wish {
            request,
            retries: 0,
        });
        true
    }

    /// The next request to send, if this is the moment; [`Responses::sent`] then follows.
    pub(super) fn next(&mut self, event: u64, now: Instant) -> Option<&ResponseRequest> {
        let under_way = self
            .sent
            .as_ref()
            .is_some_and(|sent| sent.response.is_none());
        if self.active.is_some() || under_way || self.blocked_at.is_some() {
            return None;
        }
        let wish = self.waiting.pop_front()?;
        let sent = Sent {
            event,
            wish,
            at: now,
            response: None,
            cancel_when_created: false,
        };
        Some(&self.sent.insert(sent).wish.request)
    }

    /// A response began. `true` when it is to be cancelled at once.
    pub(super) fn created(&mut self, id: &str) -> bool {
        let mut cancel = false;
        if let Some(sent) = self.sent.as_mut().filter(|sent| sent.response.is_none()) {
            sent.response = Some(id.to_owned());
            cancel = sent.cancel_when_created;
        }
        self.active = Some(Active {
            id: id.to_owned(),
            cancelled: false,
            cancel_sent: false,
            cancel_due: None,
        });
        cancel
    }

    pub(super) fn done(&mut self, id: &str, cancelled: bool) {
        if cancelled {
            self.remember_cancelled(id);
        }
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.id == id || id.is_empty())
        {
            self.active = None;
        }
        if self
            .sent
            .as_ref()
            .is_some_and(|sent| sent.response.as_deref() == Some(id))
        {
            self.sent = None;
        }
        self.blocked_at = None;
    }

    fn remember_cancelled(&mut self, id: &str) {
        if id.is_empty() || self.cancelled.iter().any(|known| known == id) {
            return;
        }
        if self.cancelled.len() >= RESPONSES_MAX {
            self.cancelled.pop_front();
        }
        self.cancelled.push_back(id.to_owned());
    }

    pub(super) fn active_id(&self) -> Option<&str> {
        self.active.as_ref().map(|active| active.id.as_str())
    }

    /// Whether audio of this response is unwanted. Without an id it belongs to the active one.
    pub(super) fn is_cancelled(&self, id: &str) -> bool {
        match &self.active {
            Some(active) if active.id == id || id.is_empty() => active.cancelled,
            Some(_) | None => self.cancelled.iter().any(|known| known == id),
        }
    }

    /// The caller speaks, and the engine cancels the active response by itself.
    pub(super) fn interrupted(&mut self, now: Instant) {
        if let Some(active) = self.active.as_mut().filter(|active| !active.cancelled) {
            active.cancelled = true;
            active.cancel_due = Some(now + Duration::from_millis(CANCEL_GRACE_MS));
        }
    }

    /// Stops the active response and forgets the requests that wait. Returns the id to cancel now.
    pub(super) fn cancel(&mut self) -> Option<String> {
        self.waiting.clear();
        self.blocked_at = None;
        if let Some(active) = &mut self.active {
            if active.cancel_sent || active.cancel_due.is_some() {
                return None;
            }
            active.cancelled = true;
            active.cancel_sent = true;
            return Some(active.id.clone());
        }
        if let Some(sent) = self.sent.as_mut().filter(|sent| sent.response.is_none()) {
            sent.cancel_when_created = true;
        }
        None
    }

    /// Our request met an active response.
    pub(super) fn lost_race(&mut self, event: Option<u64>, now: Instant) -> Race {
        let ours = self
            .sent
            .take_if(|sent| event.is_none_or(|event| event == sent.event));
        let Some(mut sent) = ours else {
            return Race::Unrelated;
        };
        if sent.cancel_when_created {
            return Race::Again;
        }
        if sent.wish.retries >= RESPONSE_RETRIES_MAX {
            return Race::GivenUp;
        }
        sent.wish.retries += 1;
        self.waiting.push_front(sent.wish);
        if self.active.is_none() {
            self.blocked_at = Some(now);
        }
        Race::Again
    }

    /// Our request was refused for another reason.
    pub(super) fn refused(&mut self, event: u64) {
        self.sent
            .take_if(|sent| sent.event == event && sent.response.is_none());
    }

    /// The engine says that nothing is active.
    pub(super) fn none_active(&mut self) {
        if let Some(active) = self.active.take_if(|active| active.cancel_sent) {
            self.remember_cancelled(&active.id);
        }
        self.blocked_at = None;
    }

    /// When [`Responses::elapse`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let after = |since: Instant, ms: u64| since + Duration::from_millis(ms);
        let unanswered = self.sent.as_ref().filter(|sent| sent.response.is_none());
        [
            self.blocked_at
                .map(|since| after(since, RESPONSE_BLOCKED_MS_MAX)),
            unanswered.map(|sent| after(sent.at, RESPONSE_CREATED_MS_MAX)),
            self.active.as_ref().and_then(|active| active.cancel_due),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What time brings: returns the id of a response that the engine has to be told to cancel.
    pub(super) fn elapse(&mut self, now: Instant) -> Option<String> {
        let passed = |since: Instant, ms: u64| {
            now.saturating_duration_since(since) >= Duration::from_millis(ms)
        };
        if self
            .blocked_at
            .is_some_and(|since| passed(since, RESPONSE_BLOCKED_MS_MAX))
        {
            self.blocked_at = None;
        }
        self.sent
            .take_if(|sent| sent.response.is_none() && passed(sent.at, RESPONSE_CREATED_MS_MAX));
        let active = self.active.as_mut()?;
        active.cancel_due.take_if(|due| *due <= now)?;
        active.cancel_sent = true;
        Some(active.id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "a test has a clock")]
        let now = Instant::now();
        now
    }

    #[test]
    fn cancelled_responses_are_forgotten_oldest_first() {
        let mut responses = Responses::default();
        for number in 0..=RESPONSES_MAX {
            responses.created(&format!("r{number}"));
            responses.done(&format!("r{number}"), true);
        }
        assert!(!responses.is_cancelled("r0"));
        assert!(responses.is_cancelled("r1"));
    }

    #[test]
    fn the_deadline_is_that_of_the_cancellation() {
        let now = clock();
        let mut responses = Responses::default();
        responses.created("r");
        assert_eq!(responses.deadline(), None);
        responses.interrupted(now);
        let due = now + Duration::from_millis(CANCEL_GRACE_MS);
        assert_eq!(responses.deadline(), Some(due));
        assert_eq!(responses.elapse(now), None);
        assert_eq!(responses.elapse(due).as_deref(), Some("r"));
        assert_eq!(responses.elapse(due), None);
    }

    #[test]
    fn a_response_that_the_engine_does_not_know_frees_the_way() {
        let now = clock();
        let mut responses = Responses::default();
        responses.created("lost");
        assert_eq!(responses.cancel().as_deref(), Some("lost"));
        assert!(responses.want(ResponseRequest::default()));
        assert_eq!(responses.next(1, now), None);
        responses.none_active();
        assert!(responses.next(1, now).is_some());
        assert!(responses.is_cancelled("lost"));
    }
}
