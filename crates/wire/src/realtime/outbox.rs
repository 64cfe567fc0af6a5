//! What waits to be sent: commands as text, caller audio as bytes until the moment of sending.
//!
//! Audio stays bytes so that frames which pile up (a slow socket, the wait for the engine) go out in
//! one longer message instead of many, and so that sending allocates nothing but the message.

use std::collections::VecDeque;

use super::{APPEND_MS_DEFAULT, APPEND_MS_MAX, PREBUFFER_MS_MAX, SENDS_MAX, UNSENT_AUDIO_MS_MAX};

/// Buffers kept for the next message.
const SPARE_MAX: usize = 4;

enum Outgoing {
    Command(String),
    Audio(Vec<u8>),
}

/// The queue towards the engine.
pub(crate) struct Outbox {
    bytes_per_ms: usize,
    /// Makes the message of a stretch of audio.
    write_audio: fn(&[u8]) -> String,
    append_ms: u32,
    open: bool,
    muted: bool,
    /// Caller audio of before the engine was ready.
    early: VecDeque<u8>,
    /// Caller audio that waits to fill a message.
    partial: Vec<u8>,
    queue: VecDeque<Outgoing>,
    queued_audio: usize,
    spare: Vec<Vec<u8>>,
    /// Milliseconds sent since the last commit.
    uncommitted_ms: u32,
    dropped_bytes: u64,
    pub(crate) overflow: u64,
}

impl Outbox {
    pub(crate) fn new(bytes_per_ms: usize, write_audio: fn(&[u8]) -> String) -> Self {
        Self {
            bytes_per_ms,
            write_audio,
            append_ms: APPEND_MS_DEFAULT,
            open: false,
            muted: false,
            early: VecDeque::new(),
            partial: Vec::new(),
            queue: VecDeque::new(),
            queued_audio: 0,
            spare: Vec::new(),
            uncommitted_ms: 0,
            dropped_bytes: 0,
            overflow: 0,
        }
    }

    fn bytes(&self, ms: u32) -> usize {
        usize::try_from(ms)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.bytes_per_ms)
    }

    /// Caller audio dropped because a queue was full, in milliseconds.
    pub(crate) fn dropped_ms(&self) -> u64 {
        self.dropped_bytes / u64::try_from(self.bytes_per_ms).unwrap_or(1).max(1)
    }

    pub(crate) fn set_append_ms(&mut self, ms: u32) {
        self.append_ms = ms.clamp(1, APPEND_MS_MAX);
    }

    pub(crate) fn push_command(&mut self, text: String) {
        if self.queue.len() >= SENDS_MAX {
            self.overflow += 1;
        } else {
            self.queue.push_back(Outgoing::Command(text));
        }
    }

    /// The engine is ready: what the caller said so far goes first.
    pub(crate) fn open(&mut self) {
        self.open = true;
        self.release_early();
    }

    /// Nothing is sent while muted: audio that waits to be sent is dropped too, but what was said
    /// before the engine was ready waits for the end of the muting.
    pub(crate) fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
        if muted {
            self.drop_unsent_audio();
        } else {
            self.release_early();
        }
    }

    pub(crate) fn drop_unsent_audio(&mut self) {
        self.partial.clear();
        self.queue
            .retain(|entry| matches!(entry, Outgoing::Command(_)));
        self.queued_audio = 0;
    }

    fn release_early(&mut self) {
        if !self.open || self.muted || self.early.is_empty() {
            return;
        }
        let early = std::mem::take(&mut self.early);
        let (first, second) = early.as_slices();
        for piece in [first, second] {
            self.push_audio(piece);
        }
    }

    pub(crate) fn append(&mut self, frame: &[u8]) {
        if self.muted || frame.is_empty() {
            return;
        }
        if !self.open {
            self.keep_early(frame);
            return;
        }
        let enough = self.bytes(self.append_ms);
        if self.partial.is_empty() && frame.len() >= enough {
            self.push_audio(frame);
            return;
        }
        self.partial.extend_from_slice(frame);
        if self.partial.len() >= enough {
            self.flush();
        }
    }

    pub(crate) fn flush(&mut self) {
        if self.partial.is_empty() {
            return;
        }
        let partial = std::mem::take(&mut self.partial);
        self.push_audio(&partial);
        self.partial = partial;
        self.partial.clear();
    }

    fn keep_early(&mut self, frame: &[u8]) {
        let room = self.bytes(PREBUFFER_MS_MAX);
        let frame = &frame[frame.len().saturating_sub(room)..];
        let excess = (self.early.len() + frame.len()).saturating_sub(room);
        if excess > 0 {
            // Whole milliseconds, so that 16-bit samples stay aligned.
            let whole = excess.div_ceil(self.bytes_per_ms) * self.bytes_per_ms;
            let dropped = whole.min(self.early.len());
            self.early.drain(..dropped);
            self.dropped_bytes += u64::try_from(dropped).unwrap_or(0);
        }
        self.early.extend(frame);
    }

    fn push_audio(&mut self, mut audio: &[u8]) {
        let longest = self.bytes(APPEND_MS_MAX);
        while !audio.is_empty() {
            let room = match self.queue.back() {
                Some(Outgoing::Audio(last)) => longest.saturating_sub(last.len()),
                Some(Outgoing::Command(_)) | None => 0,
            };
            if room == 0 {
                let mut next = self.spare.pop().unwrap_or_default();
                next.clear();
                self.queue.push_back(Outgoing::Audio(next));
                continue;
            }
            let (piece, rest) = audio.split_at(room.min(audio.len()));
            if let Some(Outgoing::Audio(last)) = self.queue.back_mut() {
                last.extend_from_slice(piece);
                self.queued_audio += piece.len();
            }
            audio = rest;
        }
        while self.queued_audio > self.bytes(UNSENT_AUDIO_MS_MAX) {
            self.drop_oldest_audio();
        }
    }

    fn drop_oldest_audio(&mut self) {
        let oldest = self
            .queue
            .iter()
            .position(|entry| matches!(entry, Outgoing::Audio(_)));
        if let Some(Outgoing::Audio(audio)) =
            oldest.and_then(|position| self.queue.remove(position))
        {
            self.queued_audio -= audio.len();
            self.dropped_bytes += u64::try_from(audio.len()).unwrap_or(0);
        } else {
            self.queued_audio = 0;
        }
    }

    /// Milliseconds of caller audio given to the engine since the last commit, queued audio included.
    pub(crate) fn uncommitted_ms(&self) -> u32 {
        let queued = u32::try_from(self.queued_audio / self.bytes_per_ms).unwrap_or(u32::MAX);
        self.uncommitted_ms.saturating_add(queued)
    }

    /// What is queued is committed by the command that follows it.
    pub(crate) fn mark_committed(&mut self) {
        self.uncommitted_ms = 0;
    }

    pub(crate) fn poll(&mut self) -> Option<String> {
        match self.queue.pop_front()? {
            Outgoing::Command(text) => Some(text),
            Outgoing::Audio(audio) => {
                let text = (self.write_audio)(&audio);
                self.queued_audio = self.queued_audio.saturating_sub(audio.len());
                let ms = u32::try_from(audio.len() / self.bytes_per_ms).unwrap_or(u32::MAX);
                self.uncommitted_ms = self.uncommitted_ms.saturating_add(ms);
                if self.spare.len() < SPARE_MAX {
                    self.spare.push(audio);
                }
                Some(text)
            }
        }
    }
}
