//! The voice that tells the person of a second leg who waits: a short session of its own with the call's engine, begun while it
//! rings there. The call's session goes on beside it and hears none of it; nobody is heard by this one, and it calls no tool.
//!
//! The sound is made whole before it is played, so that an engine which fails half way leaves nobody with half a sentence.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use media::ItemKey;
use tokio::task::JoinHandle;
use wire::realtime::{EngineEvent, ResponseRequest, ResponseStatus, Usage};

use crate::engine_link::{EngineLink, LinkEvent, Which};
use crate::limits::{ANNOUNCEMENT_AUDIO_MS_MAX, ANNOUNCEMENT_MADE_WITHIN};

/// Engines tried for one announcement.
const TRIES_MAX: u8 = 2;

/// What became of it.
pub(in crate::call_task) struct Said {
    /// In the form of the call's link; `None` where it could not be said.
    pub(super) audio: Option<Vec<u8>>,
    /// What it cost, either way, with the model that it is of.
    pub(super) usage: Vec<(String, Usage)>,
}

/// A voice at work; dropped, it stops.
pub(super) struct Voice {
    task: JoinHandle<Said>,
    begun: Instant,
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Voice {
    /// Begins to make the sound of some words, with a link of its own.
    pub(super) fn begin(link: EngineLink, instructions: String) -> Self {
        Self {
            task: tokio::spawn(make(link, instructions)),
            begun: Instant::now(),
        }
    }

    /// How long it has been at work: some engines cost by the minute.
    pub(super) fn lasted(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Cancel safe, until it was ready once.
    pub(super) async fn said(&mut self) -> Said {
        (&mut self.task).await.unwrap_or(Said {
            audio: None,
            usage: Vec::new(),
        })
    }
}

async fn make(link: EngineLink, instructions: String) -> Said {
    let mut maker = Maker {
        audio_bytes_max: link.bytes_of_ms(ANNOUNCEMENT_AUDIO_MS_MAX),
        link,
        instructions,
        audio: Vec::new(),
        item: None,
        usage: Vec::new(),
    };
    let bound = tokio::time::timeout(ANNOUNCEMENT_MADE_WITHIN, maker.run());
    let whole = bound.await.unwrap_or(false);
    maker.link.close(Which::Current);
    Said {
        audio: (whole && !maker.audio.is_empty()).then_some(maker.audio),
        usage: maker.usage,
    }
}

/// What one event means.
enum Step {
    GoOn,
    /// It was said whole.
    Done,
    /// This engine does not say it.
    Failed(call::EngineFailure),
}

struct Maker {
    link: EngineLink,
    instructions: String,
    audio: Vec<u8>,
    audio_bytes_max: usize,
    item: Option<ItemKey>,
    usage: Vec<(String, Usage)>,
}

impl Maker {
    /// True where it was said whole.
    async fn run(&mut self) -> bool {
        for _ in 0..TRIES_MAX {
            self.audio.clear();
            self.item = None;
            self.link.connect(Instant::now(), Which::Current, &[]);
            match self.session().await {
                Step::Done => return true,
                Step::GoOn => return false,
                Step::Failed(failure) => {
                    self.link.close(Which::Current);
                    self.link.after_loss(failure);
                }
            }
        }
        false
    }

    async fn session(&mut self) -> Step {
        loop {
            match self.news() {
                Step::GoOn => {}
                end @ (Step::Done | Step::Failed(_)) => return end,
            }
            self.link.flush();
            let due = self.link.poll_timeout().unwrap_or_else(Instant::now);
            let link = &mut self.link;
            let event = tokio::select! {
                event = poll_fn(|cx| link.poll(Instant::now(), cx)) => Some(event),
                () = tokio::time::sleep_until(due.into()) => None,
            };
            let event = event.or_else(|| self.link.check(Instant::now()));
            if let Some(LinkEvent::Lost { failure, .. }) = event {
                return Step::Failed(failure);
            }
        }
    }

    fn news(&mut self) -> Step {
        while let Some(event) = self
            .link
            .conversation(Which::Current)
            .and_then(wire::Dialogue::poll_event)
        {
            match self.event(event) {
                Step::GoOn => {}
                end @ (Step::Done | Step::Failed(_)) => return end,
            }
        }
        Step::GoOn
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of a conversation that nobody takes part in only its sound and its end matter"
    )]
    fn event(&mut self, event: EngineEvent) -> Step {
        match event {
            EngineEvent::Ready => {
                self.link.set_ready(Which::Current);
                let request = ResponseRequest {
                    instructions: Some(self.instructions.clone()),
                    tool_choice_none: true,
                    audio: true,
                    optional: false,
                };
                if let Some(conversation) = self.link.conversation(Which::Current) {
                    conversation.create_response(request);
                }
                Step::GoOn
            }
            EngineEvent::Audio { item, audio, .. } => {
                let converted = self.link.agent_audio(&item, audio);
                let (_, rest) = converted.before.unzip();
                self.take(&rest.unwrap_or_default());
                self.item = Some(item);
                self.take(&converted.audio)
            }
            EngineEvent::AudioDone { item } => {
                let rest = self.link.agent_audio_rest(&item).unwrap_or_default();
                self.take(&rest)
            }
            EngineEvent::ResponseDone { status, usage, .. } => {
                self.usage.extend(usage.map(|usage| self.priced(usage)));
                let rest = self.item.take();
                let rest = rest.and_then(|item| self.link.agent_audio_rest(&item));
                self.take(&rest.unwrap_or_default());
                match status {
                    ResponseStatus::Completed => Step::Done,
                    _ => Step::Failed(call::EngineFailure::Unavailable),
                }
            }
            EngineEvent::UsageReported { usage } => {
                let priced = self.priced(usage);
                self.usage.push(priced);
                Step::GoOn
            }
            EngineEvent::Refused { .. } => Step::Failed(call::EngineFailure::Rejected),
            EngineEvent::Expired => Step::Failed(call::EngineFailure::Expired),
            _ => Step::GoOn,
        }
    }

    fn priced(&self, usage: Usage) -> (String, Usage) {
        (self.link.model().to_owned(), usage)
    }

    /// A voice that does not come to its end says something else than it was asked for.
    fn take(&mut self, audio: &[u8]) -> Step {
        if self.audio.len() + audio.len() > self.audio_bytes_max {
            return Step::Failed(call::EngineFailure::Rejected);
        }
        self.audio.extend_from_slice(audio);
        Step::GoOn
    }
}
