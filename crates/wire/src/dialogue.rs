//! One conversation with an engine, whichever protocol it speaks.
//!
//! The shell asks [`Dialogue::capabilities`], never the name of the protocol.

use std::time::Instant;

use crate::provider::Protocol;
use crate::realtime::{
    Capabilities, Counters, EngineEvent, HistoryItem, ResponseRequest, Role, SessionSettings,
};
use crate::{gemini, realtime};

/// The client's side of one session, in either protocol.
pub enum Dialogue {
    /// OpenAI Realtime in one of its spellings.
    Realtime(Box<realtime::Conversation>),
    /// Gemini Live.
    Gemini(Box<gemini::Conversation>),
}

/// Calls the same method of either.
macro_rules! either {
    ($self:expr, $conversation:ident => $call:expr) => {
        match $self {
            Dialogue::Realtime($conversation) => $call,
            Dialogue::Gemini($conversation) => $call,
        }
    };
}

impl Dialogue {
    /// A session to set up. The formats of the settings have to be ones of the protocol.
    #[must_use]
    pub fn new(settings: SessionSettings, protocol: Protocol) -> Self {
        match protocol {
            Protocol::Realtime(spelling) => {
                Self::Realtime(Box::new(realtime::Conversation::new(settings, spelling)))
            }
            Protocol::Gemini => Self::Gemini(Box::new(gemini::Conversation::new(settings))),
        }
    }

    /// Resumes an earlier session by its handle, where the protocol can; before anything is sent.
    pub fn resume_with(&mut self, handle: &str) {
        if let Self::Gemini(conversation) = self {
            conversation.resume_with(handle);
        }
    }

    /// The handle by which this session can be resumed on another connection.
    #[must_use]
    pub fn resumption_handle(&self) -> Option<&str> {
        match self {
            Self::Realtime(_) => None,
            Self::Gemini(conversation) => conversation.resumption_handle(),
        }
    }

    /// The next event, to be drained to `None` after every call.
    pub fn poll_event(&mut self) -> Option<EngineEvent> {
        either!(self, conversation => conversation.poll_event())
    }

    /// The next text message to send.
    pub fn poll_send(&mut self) -> Option<String> {
        either!(self, conversation => conversation.poll_send())
    }

    /// When [`Dialogue::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        either!(self, conversation => conversation.poll_timeout())
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        either!(self, conversation => conversation.handle_timeout(now));
    }

    /// When the session ends at the latest, in Unix seconds, as the engine said it.
    #[must_use]
    pub fn expires_at_unix_s(&self) -> Option<u64> {
        either!(self, conversation => conversation.expires_at_unix_s())
    }

    /// What was dropped or ignored so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        either!(self, conversation => conversation.counters())
    }

    /// What this engine can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        either!(self, conversation => conversation.capabilities())
    }

    /// The settings of the session.
    #[must_use]
    pub fn settings(&self) -> &SessionSettings {
        either!(self, conversation => conversation.settings())
    }

    /// Caller audio in the input format, as it arrives.
    pub fn append_audio(&mut self, now: Instant, frame: &[u8]) {
        either!(self, conversation => conversation.append_audio(now, frame));
    }

    /// Length of one audio message from here on.
    pub fn set_append_ms(&mut self, ms: u32) {
        either!(self, conversation => conversation.set_append_ms(ms));
    }

    /// Sends audio that waits to fill a message.
    pub fn flush_audio(&mut self) {
        either!(self, conversation => conversation.flush_audio());
    }

    /// While muted, caller audio is not sent, nor is what waits to be sent.
    pub fn set_input_muted(&mut self, muted: bool) {
        either!(self, conversation => conversation.set_input_muted(muted));
    }

    /// Ends the caller's turn by hand.
    pub fn commit_audio(&mut self) {
        either!(self, conversation => conversation.commit_audio());
    }

    /// Forgets the caller's audio that is not committed yet.
    pub fn clear_audio(&mut self) {
        either!(self, conversation => conversation.clear_audio());
    }

    /// Has the model speak.
    pub fn create_response(&mut self, request: ResponseRequest) {
        either!(self, conversation => conversation.create_response(request));
    }

    /// Stops the response under way and forgets the requests that wait. Its late audio is dropped.
    pub fn cancel_response(&mut self) {
        either!(self, conversation => conversation.cancel_response());
    }

    /// Cuts an item to what was heard, where the protocol can.
    pub fn truncate(&mut self, item: &str, audio_end_ms: u32) {
        either!(self, conversation => conversation.truncate(item, audio_end_ms));
    }

    /// Gives the output of a tool.
    pub fn submit_tool_output(&mut self, call_id: &str, output: &str) {
        either!(self, conversation => conversation.submit_tool_output(call_id, output));
    }

    /// The model is not to speak after the result of this call. Where it speaks only when asked, there is nothing to do.
    pub fn silence_after(&mut self, call_id: &str) {
        if let Self::Gemini(conversation) = self {
            conversation.silence_after(call_id);
        }
    }

    /// Adds a message to the conversation; blank ones are left out.
    pub fn add_message(&mut self, role: Role, text: &str) {
        either!(self, conversation => conversation.add_message(role, text));
    }

    /// Replaces the instructions.
    pub fn update_instructions(&mut self, instructions: &str) {
        either!(self, conversation => conversation.update_instructions(instructions));
    }

    /// How long the caller may pause before the turn is over; `None`: as in the settings. A Gemini session cannot be changed.
    pub fn set_patience(&mut self, patience_ms: Option<u32>) {
        match self {
            Self::Realtime(conversation) => conversation.set_patience(patience_ms),
            Self::Gemini(_) => {}
        }
    }

    /// The conversation so far, for a session that takes over from another one.
    pub fn replay(&mut self, items: &[HistoryItem]) {
        either!(self, conversation => conversation.replay(items));
    }

    /// One WebSocket text message of the engine.
    pub fn handle_text(&mut self, now: Instant, text: &str) {
        either!(self, conversation => conversation.handle_text(now, text));
    }

    /// One WebSocket binary message of the engine. The Realtime protocol has none.
    pub fn handle_binary(&mut self, now: Instant, bytes: &[u8]) {
        match self {
            // Not text in any case: counted as malformed.
            Self::Realtime(conversation) => conversation.handle_text(now, ""),
            Self::Gemini(conversation) => conversation.handle_binary(now, bytes),
        }
    }
}
