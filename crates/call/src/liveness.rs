//! What the passing of time does to a conversation: silence, dead air, the maximum duration, a caller whose sound is gone.

use crate::limits::{DEAD_AIR_MS_MAX, ENGINE_STALL_MS_MAX};
use crate::planted::{self, Planted};
use crate::profile::Profile;

/// Who is expected to be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    /// Nobody: not answered, on hold, or over.
    Suspended,
    /// The caller speaks.
    Caller,
    /// The agent is heard.
    Agent,
    /// Nobody is heard, and it is for our side to speak.
    Owed,
    /// Nobody is heard, and it is for the caller to speak.
    Free,
}

/// What has become due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LivenessStep {
    BackgroundOn { silent_ms: u64 },
    BackgroundOff,
    Reprompt { count: u8 },
    SilentForTooLong,
    Warn,
    DurationReached,
    CallerGone,
    EngineStalled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum DurationStage {
    Fresh,
    Warned,
    Reached,
}

#[derive(Debug)]
pub(crate) struct Liveness {
    answered_at: Option<u64>,
    free_since: Option<u64>,
    owed_since: Option<u64>,
    engine_heard_at: u64,
    background: bool,
    held: bool,
    reprompts: u8,
    duration: DurationStage,
    media_lost_at: Option<u64>,
}

impl Liveness {
    pub(crate) fn new() -> Self {
        Self {
            answered_at: None,
            free_since: None,
            owed_since: None,
            engine_heard_at: 0,
            background: false,
            held: false,
            reprompts: 0,
            duration: DurationStage::Fresh,
            media_lost_at: None,
        }
    }

    pub(crate) fn answered(&mut self, now: u64) {
        self.answered_at = Some(now);
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    /// False when that is no news.
    pub(crate) fn set_held(&mut self, now: u64, held: bool) -> bool {
        let changed = self.held != held;
        self.held = held;
        // A held side may send nothing: the loss counts from its return.
        if changed && !held && self.media_lost_at.is_some() {
            self.media_lost_at = Some(now);
        }
        changed
    }

    /// The caller said something real.
    pub(crate) fn caller_answered(&mut self) {
        self.reprompts = 0;
    }

    /// The engine gave a sign of life.
    pub(crate) fn engine_heard(&mut self, now: u64) {
        self.engine_heard_at = now;
    }

    /// A transfer failed: what became due meanwhile is due again.
    pub(crate) fn resume(&mut self) {
        if self.duration == DurationStage::Reached {
            self.duration = DurationStage::Warned;
        }
    }

    pub(crate) fn media_lost(&mut self, now: u64, for_ms: u64) {
        self.media_lost_at.get_or_insert(now.saturating_sub(for_ms));
    }

    pub(crate) fn media_resumed(&mut self) {
        self.media_lost_at = None;
    }

    /// The deliberate sound stops with the call; tells whether it was on.
    pub(crate) fn silence_background(&mut self) -> bool {
        std::mem::take(&mut self.background) && !planted::has(Planted::BackgroundStays)
    }

    /// The deliberate sound begins, where it is not on yet; it ends with the wait.
    pub(crate) fn cover_wait(&mut self, now: u64) -> Option<LivenessStep> {
        (!std::mem::replace(&mut self.background, true)).then(|| LivenessStep::BackgroundOn {
            silent_ms: now.saturating_sub(self.owed_since.unwrap_or(now)),
        })
    }

    /// The next thing that is due; call until `None`. `stallable`: the engine itself owes a response.
    pub(crate) fn advance(
        &mut self,
        now: u64,
        floor: Floor,
        stallable: bool,
        profile: &Profile,
    ) -> Option<LivenessStep> {
        self.follow(now, floor);
        let dead_air_at = self.dead_air_at(profile);
        if self.background && floor != Floor::Owed {
            self.background = false;
            return Some(LivenessStep::BackgroundOff);
        }
        if dead_air_at.is_some_and(|at| now >= at)
            && let Some(step) = self.cover_wait(now)
        {
            return Some(step);
        }
        if stallable && self.stall_at().is_some_and(|at| now >= at) {
            self.engine_heard_at = now;
            return Some(LivenessStep::EngineStalled);
        }
        if self.media_at(profile).is_some_and(|at| now >= at) {
            self.media_lost_at = None;
            return Some(LivenessStep::CallerGone);
        }
        if self.end_at(profile).is_some_and(|at| now >= at)
            && self.duration != DurationStage::Reached
        {
            self.duration = DurationStage::Reached;
            return Some(LivenessStep::DurationReached);
        }
        if self.warning_at(profile).is_some_and(|at| now >= at)
            && self.duration == DurationStage::Fresh
        {
            self.duration = DurationStage::Warned;
            return Some(LivenessStep::Warn);
        }
        if self.reprompt_at(profile).is_some_and(|at| now >= at) {
            self.free_since = Some(now);
            if self.reprompts >= profile.idle_reprompts_max {
                return Some(LivenessStep::SilentForTooLong);
            }
            self.reprompts += 1;
            return Some(LivenessStep::Reprompt {
                count: self.reprompts,
            });
        }
        None
    }

    fn follow(&mut self, now: u64, floor: Floor) {
        if floor == Floor::Free {
            self.free_since.get_or_insert(now);
        } else {
            self.free_since = None;
        }
        if floor == Floor::Owed {
            self.owed_since.get_or_insert(now);
        } else {
            self.owed_since = None;
        }
    }

    fn dead_air_at(&self, profile: &Profile) -> Option<u64> {
        self.owed_since
            .map(|since| since + u64::from(profile.dead_air_ms).min(DEAD_AIR_MS_MAX))
    }

    fn stall_at(&self) -> Option<u64> {
        self.owed_since
            .map(|since| since.max(self.engine_heard_at) + ENGINE_STALL_MS_MAX)
    }

    fn media_at(&self, profile: &Profile) -> Option<u64> {
        let lost_at = self
            .media_lost_at
            .filter(|_| !self.held && profile.no_media_ms > 0)?;
        Some(lost_at + u64::from(profile.no_media_ms))
    }

    fn end_at(&self, profile: &Profile) -> Option<u64> {
        let answered_at = self.answered_at.filter(|_| profile.max_duration_ms > 0)?;
        Some(answered_at + u64::from(profile.max_duration_ms))
    }

    fn warning_at(&self, profile: &Profile) -> Option<u64> {
        // A warning as long as the call itself would be the first thing said.
        let fits = profile.max_duration_warning_ms > 0
            && profile.max_duration_warning_ms < profile.max_duration_ms;
        let end_at = self.end_at(profile).filter(|_| fits)?;
        Some(end_at - u64::from(profile.max_duration_warning_ms))
    }

    fn reprompt_at(&self, profile: &Profile) -> Option<u64> {
        let since = self.free_since.filter(|_| profile.idle_reprompt_ms > 0)?;
        Some(since + u64::from(profile.idle_reprompt_ms))
    }

    pub(crate) fn timeouts(&self, profile: &Profile) -> [Option<u64>; 6] {
        [
            self.dead_air_at(profile).filter(|_| !self.background),
            self.stall_at(),
            self.media_at(profile),
            self.end_at(profile)
                .filter(|_| self.duration != DurationStage::Reached),
            self.warning_at(profile)
                .filter(|_| self.duration == DurationStage::Fresh),
            self.reprompt_at(profile),
        ]
    }
}
