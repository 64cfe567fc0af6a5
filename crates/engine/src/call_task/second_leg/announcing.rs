//! The announcement to the person of a second leg: made while it rings there, played at the answer, given up within a bound.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::CallBrain;
use call::{Input, Language, ScreenOutcome, TransferTarget};
use catalog::Message;
use jiff::Timestamp;
use media::{Form, ItemKey, PlayoutEvent, reform};

use super::voice::{Said, Voice};
use super::{SecondLeg, SecondLegs};
use crate::call_task::CallTask;
use crate::call_task::consult::verbatim;
use crate::limits::ANNOUNCEMENT_WAIT;
use crate::sounds;

/// The playout item of the announcement.
const ITEM: &str = "local:announcement";

/// The sound of it.
enum Sound {
    /// The voice is at work.
    Making(Voice),
    Made(Vec<u8>),
    /// It cannot be said, or was never asked for.
    Missing,
}

/// Where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody has answered.
    Waiting,
    /// The person has answered, and hears it as soon as it is made.
    Due {
        asks: bool,
        give_up_at: Instant,
    },
    /// It is played.
    Playing {
        whole: bool,
    },
    Over,
}

/// The announcement of one second leg.
pub(super) struct Announcement {
    sound: Sound,
    /// How long voices that are done were at work.
    voiced: Duration,
    /// The form of what the voice makes.
    form: Form,
    state: State,
    /// The person heard it to its end; `None` where nothing of it was played.
    heard: Option<bool>,
    /// What they said to the caller.
    screening: Option<ScreenOutcome>,
}

impl Announcement {
    /// Of a person who came by themselves: there is none.
    pub(super) fn none() -> Self {
        Self {
            sound: Sound::Missing,
            voiced: Duration::ZERO,
            form: Form::Wide,
            state: State::Over,
            heard: None,
            screening: None,
        }
    }

    pub(super) fn heard(&self) -> Option<bool> {
        self.heard
    }

    pub(super) fn screening(&self) -> Option<&'static str> {
        self.screening.map(ScreenOutcome::label)
    }

    /// The voice has come to its end; never ready where none is at work. Cancel safe.
    pub(super) async fn said(&mut self) -> Said {
        match &mut self.sound {
            Sound::Making(voice) => voice.said().await,
            Sound::Made(_) | Sound::Missing => std::future::pending().await,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Due { give_up_at, .. } => Some(give_up_at),
            State::Waiting | State::Playing { .. } | State::Over => None,
        }
    }

    /// How long an engine has been at work for it.
    pub(super) fn voiced(&self) -> Duration {
        let now = match &self.sound {
            Sound::Making(voice) => voice.lasted(),
            Sound::Made(_) | Sound::Missing => Duration::ZERO,
        };
        self.voiced + now
    }

    /// The voice, if one is at work, is done.
    fn settle(&mut self, sound: Sound) {
        self.voiced = self.voiced();
        self.sound = sound;
    }

    /// Nothing of it is wanted any more.
    pub(super) fn stop(&mut self) {
        self.state = State::Over;
        self.settle(Sound::Missing);
    }

    fn is_playing(&self) -> bool {
        matches!(self.state, State::Playing { .. })
    }
}

impl SecondLeg {
    /// Plays it, where it is due and known whether it can be said. False where there is nothing to be heard.
    fn play_announcement(&mut self, language: Language) -> bool {
        let State::Due { asks, .. } = self.announcement.state else {
            return true;
        };
        let to = self.media.form();
        let (audio, whole) = match std::mem::replace(&mut self.announcement.sound, Sound::Missing) {
            making @ Sound::Making(_) => {
                self.announcement.sound = making;
                return true;
            }
            Sound::Made(audio) => (reform::whole(self.announcement.form, to, audio), true),
            // A person who is to press a key is told so without an engine as well.
            Sound::Missing if asks => (sounds::press_a_key(language, to), false),
            Sound::Missing => return false,
        };
        let item: ItemKey = Arc::from(ITEM);
        if self.media.push(&item, &audio).is_err() {
            return false;
        }
        self.media.finish(&item);
        self.announcement.state = State::Playing { whole };
        // Until it has come to its end.
        self.announcement.heard = Some(false);
        true
    }

    /// Something of the playout towards the person; the end of the announcement, and whether it was heard, where that is what it tells.
    pub(super) fn announced(&self, event: &PlayoutEvent) -> Option<bool> {
        match (event, self.announcement.state) {
            (PlayoutEvent::Finished { item, .. }, State::Playing { whole }) => {
                (**item == *ITEM).then_some(whole)
            }
            (
                PlayoutEvent::Finished { .. }
                | PlayoutEvent::Started { .. }
                | PlayoutEvent::Starved { .. }
                | PlayoutEvent::Drained,
                _,
            ) => None,
        }
    }

    /// What is left of it is not heard: the two are joined.
    pub(super) fn cut_announcement(&mut self, now: Instant) {
        if self.announcement.is_playing() {
            let _ = self.media.clear(now);
        }
        self.announcement.stop();
    }
}

impl SecondLegs {
    /// What the session says of it, for the record.
    pub(in crate::call_task) fn note_announced(&mut self, heard: bool) {
        if let Some(second) = &mut self.current {
            second.announcement.heard = Some(heard);
        }
    }

    pub(in crate::call_task) fn note_screened(&mut self, outcome: ScreenOutcome) {
        if let Some(second) = &mut self.current {
            second.announcement.screening = Some(outcome);
        }
    }
}

impl CallTask {
    /// Begins to make the sound, so that it is there when somebody answers.
    pub(super) fn prepare_announcement(&self, target: &TransferTarget) -> Announcement {
        let given = target.announcement.as_ref();
        let known = || {
            let brain: &CallBrain = &self.office.as_ref()?.brain;
            brain.announcement(&target.name, Timestamp::now())
        };
        let text = given.map(|text| text.reveal().clone()).or_else(known);
        let sound = text
            .filter(|_| target.announces)
            .map_or(Sound::Missing, |text| {
                let instructions = verbatim(&text);
                let link = self.link.beside(&instructions);
                Sound::Making(Voice::begin(link, instructions))
            });
        Announcement {
            sound,
            voiced: Duration::ZERO,
            form: self.link.form(),
            state: State::Waiting,
            heard: None,
            screening: None,
        }
    }

    /// The person answered, and is told.
    pub(in crate::call_task) fn announce(&mut self, now: Instant, asks: bool) {
        if let Some(second) = self.second.open() {
            let give_up_at = now + ANNOUNCEMENT_WAIT;
            second.announcement.state = State::Due { asks, give_up_at };
        }
        self.play_announcement(now);
    }

    fn play_announcement(&mut self, now: Instant) {
        let language = self.desk.line.agent.config.profile.language;
        let plays = self
            .second
            .open()
            .is_none_or(|second| second.play_announcement(language));
        if !plays {
            self.announcement_over(now, false);
        }
    }

    /// The voice has come to its end, one way or the other.
    pub(super) fn announcement_made(&mut self, now: Instant, said: Said) {
        for (model, usage) in said.usage {
            self.add_usage_of(now, &model, usage);
        }
        if said.audio.is_none() {
            let message = Message::new("announcement_not_spoken");
            self.desk.journal.note(now, message);
        }
        if let Some(second) = self.second.open() {
            let sound = said.audio.map_or(Sound::Missing, Sound::Made);
            second.announcement.settle(sound);
        }
        self.play_announcement(now);
    }

    /// A voice that takes too long is not waited for.
    pub(in crate::call_task) fn announcement_timeout(&mut self, now: Instant) {
        let due = |second: &SecondLeg| {
            let at = second.announcement.poll_timeout();
            at.is_some_and(|at| at <= now)
        };
        let Some(second) = self.second.open().filter(|second| due(second)) else {
            return;
        };
        second.announcement.settle(Sound::Missing);
        let message = Message::new("announcement_not_spoken");
        self.desk.journal.note(now, message);
        self.play_announcement(now);
    }

    pub(super) fn announcement_over(&mut self, now: Instant, heard: bool) {
        if let Some(second) = self.second.open() {
            second.announcement.stop();
        }
        self.session.handle(now, Input::AnnouncementEnded { heard });
    }
}
