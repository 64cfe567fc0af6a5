//! The first words of a call say that a machine speaks. They are a response of their own, so that the end of the protected part
//! is known exactly: until it was played, the caller's sound is kept for the engine instead of being given to it, so that nothing
//! can cut it and nothing that the caller says meanwhile is lost.

use crate::id::ItemId;
use crate::limits::DISCLOSURE_MS_MAX;
use crate::opening::OpeningWords;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// To be said as soon as there is an engine.
    Owed,
    /// Asked of the model.
    Asked,
    /// Prepared, and heard as soon as the call is answered.
    Prepared,
    /// Being played.
    Playing { item: ItemId },
    /// Said, or nothing to say.
    Done,
}

#[derive(Debug)]
pub(crate) struct Disclosure {
    stage: Stage,
    /// Protected at most for this long, counted from the answer.
    until: Option<u64>,
    /// It was played, not given up.
    said: bool,
}

impl Disclosure {
    pub(crate) fn new(owed: bool) -> Self {
        Self {
            stage: if owed { Stage::Owed } else { Stage::Done },
            until: None,
            said: false,
        }
    }

    /// Its sound is there already.
    pub(crate) fn prepared() -> Self {
        Self {
            stage: Stage::Prepared,
            until: None,
            said: false,
        }
    }

    /// The prepared sound is in the queue.
    pub(crate) fn begin(&mut self, item: ItemId) {
        if self.stage == Stage::Prepared {
            self.stage = Stage::Playing { item };
        }
    }

    pub(crate) fn is_owed(&self) -> bool {
        self.stage == Stage::Owed
    }

    /// The caller cannot interrupt.
    pub(crate) fn protects(&self) -> bool {
        self.stage != Stage::Done
    }

    pub(crate) fn answered(&mut self, now: u64) {
        self.until.get_or_insert(now + DISCLOSURE_MS_MAX);
    }

    pub(crate) fn asked(&mut self) {
        self.stage = Stage::Asked;
    }

    /// The first audio of an item: that of the disclosure when it was asked for.
    pub(crate) fn audio_started(&mut self, item: &ItemId) {
        if self.stage == Stage::Asked {
            self.stage = Stage::Playing { item: item.clone() };
        }
    }

    /// Its response is over. Without a sound it is owed again after a failure, and given up otherwise.
    pub(crate) fn response_over(&mut self, failed: bool) {
        if self.stage == Stage::Asked {
            self.stage = if failed { Stage::Owed } else { Stage::Done };
        }
    }

    /// The engine is gone: what was not said in full is owed again.
    pub(crate) fn engine_lost(&mut self) {
        let lost = match &self.stage {
            Stage::Asked => true,
            // A prepared one is all there.
            Stage::Playing { item } => *item != OpeningWords::Disclosure.item(),
            Stage::Owed | Stage::Prepared | Stage::Done => false,
        };
        if lost {
            self.stage = Stage::Owed;
        }
    }

    /// An item left the playout queue, however.
    pub(crate) fn played(&mut self, item: &ItemId) {
        if matches!(&self.stage, Stage::Playing { item: playing } if playing == item) {
            self.stage = Stage::Done;
            self.said = true;
        }
    }

    /// Whether the caller has heard it.
    pub(crate) fn was_said(&self) -> bool {
        self.said
    }

    /// The call is ending: nothing is protected any more but its last words.
    pub(crate) fn give_up(&mut self) {
        self.stage = Stage::Done;
    }

    pub(crate) fn expire(&mut self, now: u64) {
        if self.until.is_some_and(|until| now >= until) {
            self.stage = Stage::Done;
        }
    }

    pub(crate) fn timeout(&self) -> Option<u64> {
        self.until.filter(|_| self.protects())
    }
}
