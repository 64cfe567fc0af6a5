//! The second leg of a bridged transfer: the person whom the caller is handed to. It is called while the caller is still with the
//! agent; once it answers, the two hear each other through this task, and the end of one is the end of the other.
//!
//! What happens when is decided by `call::Session`. Here is the INVITE, its audio, and the promise that no such leg stays behind:
//! it is ended by `Effect::DropTarget`, by the close of the task, and where the task falls by the drop of its leg.

mod announcing;
mod called;
mod conference;
mod events;
mod parking;
mod person;
mod relay;
mod voice;

use std::future::poll_fn;
use std::time::{Duration, Instant};

use call::{EndReason, Seat};
use serde_json::{Value, json};

use crate::calls::Dialled;
use crate::dispatch::Admitted;
use crate::house_codes::keys::CodeKeys;
use crate::journal::CallJournal;
use crate::leg::Leg;
use crate::leg::audio::LegAudio;
use crate::metrics::Metrics;
use crate::person::LiveCalled;
use crate::quality::{LegQuality, Meter};
use crate::sip_driver::LegEvent;
use announcing::Announcement;
use conference::Conference;
pub(super) use parking::Waiting;
use relay::Relay;
use voice::Said;

/// How long the last messages of the leg are awaited for the journal, as those of the caller's are.
const LAST_MESSAGES_WITHIN: Duration = Duration::from_millis(500);
/// How long the person's side is given to end a leg that somebody else has taken over.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(2);
/// Why such a leg is over, for the record.
const HANDED_OVER: &str = "handed over";
/// What its leg is called beside the caller's.
const TARGET: &str = "target";
/// How long a relayed key is pressed, ms.
const KEY_MS: u32 = 120;

/// Where the leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nobody has answered.
    Calling,
    /// Answered; the session has the word.
    Answered,
    /// The caller, the agent and the second leg hear each other.
    Conferring,
    /// The caller and the second leg hear each other.
    Joined,
    /// The person has put the caller into a place, and is told which.
    Leaving,
    /// It ends, or has ended: only its last messages are still read.
    Over,
}

/// Whether the caller's side takes our place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    /// It is not asked to.
    No,
    /// It cannot: another account than the call's own has placed the leg, of which it knows nothing.
    Never,
    /// It was asked to.
    Asked,
    /// It does, and the leg's own side ends it.
    Taken,
}

/// How it came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// We called somebody.
    Called,
    /// A person came by themselves, from a page.
    Page,
    /// A person came by themselves, from a telephone that dialled a parking place or the call.
    Telephone,
}

/// One second leg.
struct SecondLeg {
    target: String,
    leg: Leg,
    /// Whom it calls, and by whom else it may.
    dialled: Dialled,
    media: LegAudio,
    meter: Meter,
    relay: Relay,
    conference: Option<Conference>,
    stage: Stage,
    announcement: Announcement,
    rang: Option<Instant>,
    answered: Option<Instant>,
    joined: Option<Instant>,
    ended: Option<Instant>,
    /// Why it is over, for the record.
    end: Option<String>,
    offer: Offer,
    origin: Origin,
    /// Keys that may be for us.
    code: CodeKeys,
    /// When a person who was told the place leaves at the latest.
    leaves_at: Option<Instant>,
    /// The room that a telephone which came by itself takes.
    admitted: Option<Admitted>,
    /// The message that closes its signalling was seen.
    last_seen: bool,
    /// Nothing more is to come.
    is_spent: bool,
}

/// What a second leg has to say.
pub(super) enum SecondWake {
    Media,
    Leg(Option<LegEvent>),
    Said(Said),
}

/// The second legs of a call: one at a time, and the figures of those before it.
#[derive(Default)]
pub(super) struct SecondLegs {
    current: Option<Box<SecondLeg>>,
    told: Vec<Value>,
    /// How many were called, and how many came by themselves.
    called: usize,
    came: usize,
    /// Who talks, as the watchers know it.
    shown: Option<Seat>,
    /// Who was called last, as the watchers know it.
    called_last: Option<LiveCalled>,
    /// How long engines were at work for the announcements of those before it.
    voiced: Duration,
}

impl SecondLeg {
    /// The person is heard by the caller.
    fn talks(&self) -> bool {
        matches!(self.stage, Stage::Conferring | Stage::Joined)
    }

    fn is_open(&self) -> bool {
        self.stage < Stage::Over
    }

    /// Ends it, in whatever state it is.
    fn end(&mut self, now: Instant, reason: EndReason, why: &str) {
        if self.is_open() {
            self.leg.hang_up(reason);
            self.over(now, why);
        }
    }

    /// Somebody else takes it over: nothing of it is ours any more, and its own side ends it.
    fn leave(&mut self, now: Instant) {
        self.offer = Offer::Taken;
        self.over(now, HANDED_OVER);
    }

    /// It is over.
    fn over(&mut self, now: Instant, why: &str) {
        if self.is_open() {
            self.stage = Stage::Over;
            self.ended = Some(now);
            self.end = Some(why.to_owned());
            self.announcement.stop();
            self.meter.read(&self.media.statistics(now));
            self.media.stop(now);
            self.media.transmit(now);
            self.admitted = None;
        }
    }

    /// Reads what its side still says, until that is all or the time is up.
    async fn last_messages(
        &mut self,
        within: Duration,
        journal: &CallJournal,
        is_all: impl Fn(&Self) -> bool,
    ) {
        let deadline = tokio::time::Instant::now() + within;
        while !is_all(self) && !self.is_spent {
            match tokio::time::timeout_at(deadline, self.leg.next()).await {
                Ok(event) => self.last_message(event, journal),
                Err(_) => break,
            }
        }
    }

    fn figures(&self, now: Instant) -> Value {
        let ms = |from: Instant, to: Instant| {
            u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
        };
        let until = self.ended.unwrap_or(now);
        let figures = self.media.statistics(now);
        json!({
            "target": self.target,
            "ring_ms": self.rang.map(|rang| ms(rang, self.answered.unwrap_or(until))),
            "answered": self.answered.is_some(),
            "announced": self.announcement.heard(),
            "screening": self.announcement.screening(),
            "talked_ms": self.joined.map(|joined| ms(joined, until)),
            "end": self.end,
            "codec": self.joined.map(|_| self.media.codec().name()),
            "conference": self.conference.is_some(),
            "from_page": self.origin == Origin::Page,
            "from_telephone": self.origin == Origin::Telephone,
            "dropped_ms": self.relay.dropped_ms() + self.conference.as_ref().map_or(0, Conference::dropped_ms),
            "rtp": self.joined.map(|_| json!({
                "packets_sent": figures.packets_sent,
                "packets_received": figures.packets_received,
                "packets_lost": figures.packets_lost,
                "concealed_ms": figures.concealed_ms,
                "jitter_ms_max": figures.jitter_ms_max,
                "round_trip_ms": figures.round_trip_ms,
                "remote_loss": figures.remote_loss,
                "mos": figures.mos,
                "quality": self.meter.quality(TARGET, &figures).record(),
            })),
        })
    }
}

impl SecondLegs {
    /// Takes the place of the one before, which is over.
    fn begin(&mut self, now: Instant, second: SecondLeg, journal: &CallJournal) {
        let count = if second.origin == Origin::Called {
            &mut self.called
        } else {
            &mut self.came
        };
        *count += 1;
        if let Some(mut before) = self.current.replace(Box::new(second)) {
            before.leave_parked(now);
            journal.last_packets_of(before.media.tap());
            self.voiced += before.announcement.voiced();
            self.told.push(before.figures(now));
        }
    }

    /// Hands over what was kept of its packets so far.
    pub(super) fn keep_packets(&mut self, journal: &CallJournal) {
        if let Some(second) = self.open() {
            journal.packets_of(second.media.tap());
        }
    }

    /// Reads what the network does to the leg of who hears the caller.
    pub(super) fn measure(&mut self, now: Instant, metrics: &Metrics) -> Option<LegQuality> {
        let second = self.open().filter(|one| one.talks())?;
        let figures = second.media.statistics(now);
        metrics.observe(second.meter.read(&figures));
        Some(second.meter.quality(TARGET, &figures))
    }

    /// How long engines have been at work for announcements.
    pub(super) fn voiced(&self) -> Duration {
        let current = self.current.as_ref();
        self.voiced + current.map_or(Duration::ZERO, |one| one.announcement.voiced())
    }

    /// What it says next; never ready without one. Cancel safe.
    pub(super) async fn next(&mut self) -> SecondWake {
        let live = self.current.as_deref_mut().filter(|one| !one.is_spent);
        let Some(SecondLeg {
            leg,
            media,
            stage,
            announcement,
            ..
        }) = live
        else {
            return std::future::pending().await;
        };
        let hears = *stage < Stage::Over;
        tokio::select! {
            biased;
            event = leg.next() => SecondWake::Leg(event),
            () = poll_fn(|cx| media.poll_readable(cx)), if hears => SecondWake::Media,
            said = announcement.said() => SecondWake::Said(said),
        }
    }

    /// The caller's side says that it has taken our place: a leg that ended meanwhile did so for that.
    pub(super) fn is_handed_over(&mut self) {
        if let Some(second) = self.current.as_deref_mut()
            && second.offer == Offer::Asked
            && second.stage == Stage::Over
        {
            second.end = Some(HANDED_OVER.to_owned());
        }
    }

    fn open(&mut self) -> Option<&mut SecondLeg> {
        self.current.as_deref_mut().filter(|one| one.is_open())
    }

    pub(super) fn is_joined(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|one| one.stage == Stage::Joined)
    }

    /// Carries the audio of both sides across; false where nobody is joined, and the caller's audio is the engine's.
    pub(super) fn relay(&mut self, caller: &mut LegAudio) -> bool {
        let Some(second) = self.open() else {
            return false;
        };
        let joined = second.stage == Stage::Joined;
        second.relay.carry(joined, caller, &mut second.media);
        joined
    }

    /// A key of the caller; false where it is not the second leg's.
    pub(super) fn press(&mut self, digit: char) -> bool {
        let second = self.open().filter(|one| one.stage == Stage::Joined);
        let Some(second) = second else {
            return false;
        };
        // A side that takes no keys has lost nothing that it could have had.
        let _ = second
            .media
            .send_dtmf(digit.encode_utf8(&mut [0; 4]), KEY_MS);
        true
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let open = self.current.as_ref().filter(|one| one.is_open())?;
        let conference = open.conference.as_ref();
        let conference = conference.filter(|_| open.stage == Stage::Conferring);
        let timeouts = [
            open.media.poll_timeout(),
            open.announcement.poll_timeout(),
            conference.map(Conference::poll_timeout),
            open.code.poll_timeout(),
            open.leaves_at,
        ];
        timeouts.into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(second) = self.open()
            && second.media.poll_timeout().is_some_and(|at| at <= now)
        {
            second.media.handle_timeout(now);
        }
    }

    pub(super) fn transmit(&mut self, now: Instant) {
        if let Some(second) = self.open() {
            second.media.transmit(now);
        }
    }

    /// What the owner of the agent is told of those that were told or asked first, oldest first.
    pub(super) fn told(&self) -> Vec<Value> {
        let known = self.told.iter().cloned();
        let current = self.current.as_ref().map(|one| one.figures(Instant::now()));
        let spoken_to = |leg: &Value| !leg["announced"].is_null() || !leg["screening"].is_null();
        let pick = |leg: Value| {
            json!({
                "target": leg["target"],
                "announced": leg["announced"],
                "screening": leg["screening"],
                "joined": !leg["talked_ms"].is_null(),
                "end": leg["end"],
            })
        };
        let legs = known.chain(current);
        legs.filter(spoken_to).map(pick).collect()
    }

    /// What each of them did, oldest first; `None` for a call that had none.
    pub(super) fn figures(&self, now: Instant) -> Option<Vec<Value>> {
        let current = self.current.as_ref().map(|one| one.figures(now));
        let all: Vec<Value> = self.told.iter().cloned().chain(current).collect();
        (!all.is_empty()).then_some(all)
    }

    /// Ends what is left at the end of the call, and awaits its last messages.
    pub(super) async fn close(&mut self, now: Instant, journal: &CallJournal) {
        let Some(second) = self.current.as_deref_mut() else {
            return;
        };
        second.end(now, EndReason::Internal, "the call ended");
        journal.last_packets_of(second.media.tap());
        if second.origin == Origin::Page {
            return self.dismiss(now);
        }
        if second.offer == Offer::Taken {
            second
                .last_messages(HANDED_OVER_WITHIN, journal, |second| second.leg.is_ended())
                .await;
            second.leg.hang_up(EndReason::Transferred);
        }
        second
            .last_messages(LAST_MESSAGES_WITHIN, journal, |second| second.last_seen)
            .await;
    }
}
