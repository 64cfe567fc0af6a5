//! One session of whichever service, as a connection drives it.

use std::sync::Arc;
use std::time::Instant;

use crate::speech::{Rendered, SpeechError};

use super::outbox::Out;
use super::{SessionLog, gemini, session};

/// A session.
pub(super) enum Service {
    Realtime(Box<session::Session>),
    Gemini(Box<gemini::Session>),
}

macro_rules! either {
    ($self:expr, $session:ident => $call:expr) => {
        match $self {
            Service::Realtime($session) => $call,
            Service::Gemini($session) => $call,
        }
    };
}

impl Service {
    pub(super) fn poll_output(&mut self) -> Option<Out> {
        either!(self, session => session.poll_output())
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        either!(self, session => session.poll_timeout())
    }

    pub(super) fn poll_render(&self) -> Option<(String, String)> {
        either!(self, session => session.poll_render())
    }

    pub(super) fn handle_rendered(
        &mut self,
        now: Instant,
        id: &str,
        made: Result<Arc<Rendered>, SpeechError>,
    ) {
        match self {
            Self::Realtime(session) => session.handle_rendered(now, id, made),
            Self::Gemini(session) => session.handle_rendered(now, made),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        either!(self, session => session.handle_timeout(now));
    }

    pub(super) fn handle_text(&mut self, now: Instant, text: &str) {
        either!(self, session => session.handle_text(now, text));
    }

    /// Gemini takes its messages in binary frames too.
    pub(super) fn handle_binary(&mut self, now: Instant, bytes: &[u8]) {
        if let Self::Gemini(session) = self {
            session.handle_text(now, &String::from_utf8_lossy(bytes));
        }
    }

    pub(super) fn log(&self) -> &SessionLog {
        either!(self, session => session.log())
    }

    pub(super) fn log_changed(&mut self) -> bool {
        either!(self, session => session.log_changed())
    }

    pub(super) fn take_audio(&mut self) -> (Vec<i16>, u32) {
        either!(self, session => session.take_audio())
    }

    pub(super) fn events_sent(&self) -> u64 {
        either!(self, session => session.events_sent())
    }
}
