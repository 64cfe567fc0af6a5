//! What happened in the sessions, for tests and for `allo demo`.

use std::sync::{Mutex, MutexGuard};

/// Most entries of each list of a log.
const LOG_ENTRIES_MAX: usize = 5_000;

/// Counts over all sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Connections, those refused included.
    pub connections: u64,
    /// Handshakes that were refused.
    pub refused: u64,
    /// Sessions open now.
    pub open: u64,
    /// Client events.
    pub client_events: u64,
    /// Server events.
    pub server_events: u64,
    /// `error` events.
    pub errors: u64,
    /// Caller audio received.
    pub audio_received_ms: u64,
    /// Model audio generated.
    pub audio_sent_ms: u64,
}

impl Statistics {
    /// Adds the counts of a session.
    pub(super) fn add(&mut self, log: &SessionLog) {
        self.client_events += log.audio_events + log.client_events.len() as u64;
        self.server_events += log.server_events;
        self.errors += log.errors.len() as u64;
        self.audio_received_ms += log.audio_received_ms;
        self.audio_sent_ms += log.audio_sent_ms;
    }
}

/// What happened in one session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionLog {
    /// `sess_…`.
    pub session: String,
    /// Client events by type, in order of arrival; appended audio is only counted.
    pub client_events: Vec<String>,
    /// `input_audio_buffer.append` events.
    pub audio_events: u64,
    /// Server events.
    pub server_events: u64,
    /// Audio received.
    pub audio_received_ms: u64,
    /// Model audio generated.
    pub audio_sent_ms: u64,
    /// What was recognised: the transcripts of the caller's turns.
    pub heard: Vec<String>,
    /// What the agent said, as far as it was generated.
    pub said: Vec<String>,
    /// Truncations: item and milliseconds.
    pub truncated: Vec<(String, u64)>,
    /// Codes (or messages) of the `error` events.
    pub errors: Vec<String>,
    /// The session has ended.
    pub ended: bool,
}

impl SessionLog {
    pub(super) fn note_event(&mut self, kind: &str) {
        push(&mut self.client_events, kind.to_owned());
    }

    pub(super) fn note_heard(&mut self, transcript: &str) {
        push(&mut self.heard, transcript.to_owned());
    }

    pub(super) fn note_sent(&mut self, ms: u64) {
        self.audio_sent_ms += ms;
    }

    pub(super) fn note_said(&mut self, text: &str) {
        push(&mut self.said, text.to_owned());
    }

    pub(super) fn note_truncated(&mut self, item: &str, audio_end_ms: u64) {
        push(&mut self.truncated, (item.to_owned(), audio_end_ms));
    }

    pub(super) fn note_error(&mut self, label: &str) {
        push(&mut self.errors, label.to_owned());
    }
}

fn push<T>(list: &mut Vec<T>, entry: T) {
    if list.len() < LOG_ENTRIES_MAX {
        list.push(entry);
    }
}

/// Locks a log.
pub(super) fn lock(log: &Mutex<SessionLog>) -> MutexGuard<'_, SessionLog> {
    log.lock().expect("nothing panics while it holds a log")
}
