//! The turn model: who speaks, which response is under way, what is in the playout queue, what an interruption cut and
//! whether it was one.

pub(crate) mod queue;

use std::collections::VecDeque;

use crate::effect::Purpose;
use crate::id::{ItemId, ResponseId};
use crate::limits::{
    CANCELLED_RESPONSES_MAX, FALSE_INTERRUPTION_MS, REPLY_OWED_MS_MAX, SPEECH_MS_MAX,
};
use queue::Queue;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Caller {
    Silent,
    Speaking {
        item: ItemId,
        since: u64,
    },
    /// The caller stopped; the engine's reply is awaited.
    AwaitsReply {
        item: ItemId,
        since: u64,
        words: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Response {
    None,
    Requested {
        purpose: Purpose,
    },
    Active {
        id: ResponseId,
        spoke: bool,
        cancelled: bool,
    },
}

/// What the caller's speech cut short; a noise is made good.
#[derive(Debug)]
struct Cut {
    speech: ItemId,
    stopped_at: Option<u64>,
}

/// What an interruption asks of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interruption {
    pub(crate) cancel: bool,
    pub(crate) clear: bool,
}

/// What a report of the first audio means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstAudio {
    Live,
    /// Of a response that was cancelled: `clear` when nothing else is in the queue.
    Late {
        clear: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Turn {
    caller: Caller,
    response: Response,
    response_spoke: bool,
    response_failures: u8,
    queue: Queue,
    cut: Option<Cut>,
    cancelled: VecDeque<ResponseId>,
    wanted: Vec<Purpose>,
}

/// Purposes in the order in which they are asked for.
const ORDER: [Purpose; 15] = [
    Purpose::Goodbye,
    Purpose::Disclosure,
    Purpose::Greeting,
    Purpose::Reconnected,
    Purpose::Reply,
    Purpose::Dtmf,
    Purpose::ToolResult,
    Purpose::Resume,
    Purpose::Warning,
    Purpose::TransferFailed,
    Purpose::Returned,
    Purpose::Conferred,
    Purpose::Instruct,
    Purpose::ToolFiller,
    Purpose::Reprompt,
];

/// Purposes that any response of the model serves: it sees the whole conversation.
const SERVED_BY_ANY: [Purpose; 8] = [
    Purpose::Reconnected,
    Purpose::Reply,
    Purpose::Dtmf,
    Purpose::ToolResult,
    Purpose::Resume,
    Purpose::Instruct,
    Purpose::ToolFiller,
    Purpose::Reprompt,
];

impl Turn {
    pub(crate) fn new() -> Self {
        Self {
            caller: Caller::Silent,
            response: Response::None,
            response_spoke: false,
            response_failures: 0,
            queue: Queue::default(),
            cut: None,
            cancelled: VecDeque::new(),
            wanted: Vec::new(),
        }
    }

    // Questions.

    pub(crate) fn caller_speaks(&self) -> bool {
        matches!(self.caller, Caller::Speaking { .. })
    }

    pub(crate) fn reply_owed(&self) -> bool {
        matches!(self.caller, Caller::AwaitsReply { .. })
    }

    /// A response is wanted, requested or under way.
    pub(crate) fn response_busy(&self) -> bool {
        self.response != Response::None || !self.wanted.is_empty()
    }

    /// A response is requested or under way.
    pub(crate) fn response_under_way(&self) -> bool {
        self.response != Response::None
    }

    /// The response under way was cancelled: what still comes of it is late.
    pub(crate) fn response_is_cancelled(&self) -> bool {
        matches!(
            self.response,
            Response::Active {
                cancelled: true,
                ..
            }
        )
    }

    /// The response under way, or else the last one, was heard.
    pub(crate) fn response_spoke(&self) -> bool {
        self.response_spoke
    }

    /// What is in the playout queue.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(crate) fn queue_mut(&mut self) -> &mut Queue {
        &mut self.queue
    }

    // Wishes.

    pub(crate) fn want(&mut self, purpose: Purpose) {
        if !self.wanted.contains(&purpose) {
            self.wanted.push(purpose);
        }
    }

    pub(crate) fn give_up_wants(&mut self) {
        self.wanted.clear();
    }

    pub(crate) fn unwant(&mut self, purpose: Purpose) {
        self.wanted.retain(|wanted| *wanted != purpose);
    }

    /// The next response to request, when the floor allows one. A goodbye waits for nobody.
    pub(crate) fn take_request(&mut self) -> Option<Purpose> {
        if self.response != Response::None {
            return None;
        }
        let purpose = ORDER
            .into_iter()
            .find(|purpose| self.wanted.contains(purpose))?;
        if purpose != Purpose::Goodbye && self.caller != Caller::Silent {
            return None;
        }
        self.unwant(purpose);
        if !matches!(
            purpose,
            Purpose::Goodbye | Purpose::Greeting | Purpose::Disclosure
        ) {
            self.served();
        }
        self.response = Response::Requested { purpose };
        self.response_spoke = false;
        Some(purpose)
    }

    fn served(&mut self) {
        self.wanted.retain(|wanted| !SERVED_BY_ANY.contains(wanted));
    }

    // The caller.

    /// The caller speaks. What that interrupts is remembered until it is known to be words or noise.
    pub(crate) fn speech_started(&mut self, now: u64, item: ItemId) -> Interruption {
        let interruption = self.interrupt();
        if interruption.cancel || interruption.clear {
            self.cut = Some(Cut {
                speech: item.clone(),
                stopped_at: None,
            });
        } else if let Some(cut) = &mut self.cut {
            cut.speech = item.clone();
            cut.stopped_at = None;
        }
        self.caller = Caller::Speaking { item, since: now };
        for purpose in [
            Purpose::Reprompt,
            Purpose::Resume,
            Purpose::ToolFiller,
            Purpose::Reconnected,
        ] {
            self.unwant(purpose);
        }
        interruption
    }

    pub(crate) fn speech_stopped(&mut self, now: u64, item: &ItemId) {
        if let Caller::Speaking { item: speaking, .. } = &self.caller
            && speaking == item
        {
            self.caller = Caller::AwaitsReply {
                item: item.clone(),
                since: now,
                words: false,
            };
            if let Some(cut) = &mut self.cut {
                cut.stopped_at = Some(now);
            }
        }
    }

    /// What the speech was: words, or a noise. True when it was a noise that had interrupted the agent.
    pub(crate) fn transcribed(&mut self, item: &ItemId, words: bool) -> bool {
        if words {
            if self.cut.as_ref().is_some_and(|cut| cut.speech == *item) {
                self.cut = None;
            }
            if let Caller::AwaitsReply {
                item: awaited,
                words,
                ..
            } = &mut self.caller
                && awaited == item
            {
                *words = true;
            }
            return false;
        }
        let awaited =
            matches!(&self.caller, Caller::AwaitsReply { item: awaited, .. } if awaited == item);
        if !awaited {
            return false;
        }
        self.caller = Caller::Silent;
        self.cut.take().is_some()
    }

    /// Waits that are over. True when an interruption turned out to be a noise.
    pub(crate) fn expire(&mut self, now: u64) -> bool {
        self.queue.expire(now);
        if self.reply_deadline().is_none_or(|at| now < at) {
            return false;
        }
        if matches!(self.caller, Caller::AwaitsReply { words: true, .. }) {
            self.want(Purpose::Reply);
        }
        self.caller = Caller::Silent;
        self.cut.take().is_some()
    }

    fn reply_deadline(&self) -> Option<u64> {
        match (&self.caller, &self.cut) {
            (
                Caller::AwaitsReply {
                    since,
                    words: false,
                    ..
                },
                Some(_),
            ) => Some(since + FALSE_INTERRUPTION_MS),
            (Caller::AwaitsReply { since, .. }, _) => Some(since + REPLY_OWED_MS_MAX),
            (Caller::Speaking { since, .. }, _) => Some(since + SPEECH_MS_MAX),
            (Caller::Silent, _) => None,
        }
    }

    /// The caller is not heard by the engine: no speech of theirs will be reported as over.
    pub(crate) fn caller_silenced(&mut self) {
        self.caller = Caller::Silent;
        self.cut = None;
    }

    /// Stops what the agent says: the response and the queue.
    pub(crate) fn interrupt(&mut self) -> Interruption {
        let mut interruption = Interruption {
            cancel: false,
            clear: false,
        };
        if let Response::Active { id, cancelled, .. } = &mut self.response
            && !*cancelled
        {
            *cancelled = true;
            interruption.cancel = true;
            let id = id.clone();
            self.remember_cancelled(id);
        }
        // More audio of a cut item is late, also when its response is over.
        interruption.clear = self.queue.cut_all();
        interruption
    }

    fn remember_cancelled(&mut self, id: ResponseId) {
        if self.cancelled.len() == CANCELLED_RESPONSES_MAX {
            self.cancelled.pop_front();
        }
        self.cancelled.push_back(id);
    }

    // The engine.

    /// A response begins. True when it must be cancelled: it would speak over the caller, or it is not wanted.
    pub(crate) fn response_started(&mut self, id: ResponseId, unwanted: bool) -> bool {
        if self.cancelled.contains(&id) {
            return false;
        }
        let is_refused = unwanted || self.caller_speaks();
        if is_refused {
            self.remember_cancelled(id.clone());
        } else {
            self.caller = Caller::Silent;
            self.cut = None;
        }
        if self.response == Response::None {
            self.served();
        }
        self.response_spoke = false;
        self.response = Response::Active {
            id,
            spoke: false,
            cancelled: is_refused,
        };
        is_refused
    }

    /// The first audio of an item reached the queue.
    pub(crate) fn audio_started(
        &mut self,
        now: u64,
        item: ItemId,
        response: ResponseId,
    ) -> FirstAudio {
        if self.cancelled.contains(&response) || self.queue.is_cut(&item) {
            self.queue.remember_cut(item);
            return FirstAudio::Late {
                clear: self.queue.is_empty(),
            };
        }
        if let Response::Active { id, spoke, .. } = &mut self.response
            && *id == response
        {
            *spoke = true;
        }
        self.response_spoke = true;
        self.response_failures = 0;
        self.queue.open(now, item, Some(response));
        FirstAudio::Live
    }

    /// A response is over. True when it was the one under way.
    pub(crate) fn response_done(&mut self, response: &ResponseId) -> bool {
        let under_way = matches!(&self.response, Response::Active { id, .. } if id == response);
        if under_way {
            self.response = Response::None;
        }
        under_way
    }

    /// A response failed with nothing said; how many did so one after the other.
    pub(crate) fn response_failed(&mut self) -> u8 {
        self.response_failures = self.response_failures.saturating_add(1);
        self.response_failures
    }

    /// The engine is gone. True when the agent's side owed something, so that the caller needs a word when it is back.
    pub(crate) fn engine_lost(&mut self) -> bool {
        let owed =
            self.response_busy() || self.caller != Caller::Silent || self.queue.expects_audio();
        self.response = Response::None;
        self.wanted.clear();
        self.caller = Caller::Silent;
        self.cut = None;
        owed
    }

    pub(crate) fn timeouts(&self) -> [Option<u64>; 2] {
        [self.reply_deadline(), self.queue.timeout()]
    }
}
