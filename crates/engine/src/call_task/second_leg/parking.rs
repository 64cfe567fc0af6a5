//! The caller waits in a parking place: the place that they have, what they hear, what the watchers and the record are told, and the
//! person at a telephone who is told the number of the place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use call::{EndReason, Input, Language, Parking, PersonInput, Phase, SessionEvent};
use media::{Background, ItemKey, PlayoutEvent};
use serde_json::{Value, json};

use super::{KEY_MS, Origin, SecondLeg, SecondLegs, Stage};
use crate::call_task::CallTask;
use crate::house_codes::keys::{Code, Codes, Pressed};
use crate::limits::PLACE_TOLD_WITHIN;
use crate::parking::ParkingPlace;
use crate::person::{LiveParked, ParkWish, PersonError};
use crate::sounds;

/// The playout item of the spoken place.
const ITEM: &str = "local:parking_place";
/// Why the leg of a person is over who parked the caller, for the record.
pub(super) const PARKED: &str = "parked the caller";

/// The parking of one call.
#[derive(Default)]
pub(in crate::call_task) struct Waiting {
    /// Free again as soon as it is dropped.
    place: Option<ParkingPlace>,
    live: Option<LiveParked>,
    since: Option<Instant>,
    /// What became of each, oldest first.
    told: Vec<Value>,
}

impl Waiting {
    /// Each time that the caller was parked; `None` for a call in which that never was.
    pub(in crate::call_task) fn figures(&self) -> Option<&[Value]> {
        (!self.told.is_empty()).then_some(&self.told)
    }

    fn note(&mut self, end: &'static str, by: Option<&str>) {
        if let Some(Value::Object(last)) = self.told.last_mut() {
            last.insert("end".to_owned(), json!(end));
            last.insert("retrieved_by".to_owned(), json!(by));
        }
    }
}

impl SecondLeg {
    /// The person is told the place, and leaves.
    fn tell_place(&mut self, now: Instant, place: u16, language: Language) {
        let audio = sounds::parked_in(place, language, self.media.form());
        let item: ItemKey = Arc::from(ITEM);
        let _ = self.media.clear(now);
        if self.media.push(&item, &audio).is_err() {
            return self.end(now, EndReason::OperatorHungUp, PARKED);
        }
        self.media.finish(&item);
        self.stage = Stage::Leaving;
        self.leaves_at = Some(now + PLACE_TOLD_WITHIN);
    }

    /// They have heard it.
    pub(super) fn knows_place(&self, event: &PlayoutEvent) -> bool {
        let is_it = |item: &ItemKey| **item == *ITEM;
        self.stage == Stage::Leaving
            && matches!(event, PlayoutEvent::Finished { item, .. } if is_it(item))
    }

    /// They are told no more.
    pub(super) fn leave_parked(&mut self, now: Instant) {
        if self.stage == Stage::Leaving {
            self.end(now, EndReason::OperatorHungUp, PARKED);
        }
    }

    /// What cannot be done at this moment sounds like it to a person who has the caller.
    fn tell_not_now(&mut self, now: Instant) {
        if self.stage != Stage::Joined {
            return;
        }
        let item: ItemKey = Arc::from(sounds::NOT_NOW);
        let _ = self.media.clear(now);
        if self
            .media
            .push(&item, &sounds::not_now(self.media.form()))
            .is_ok()
        {
            self.media.finish(&item);
        }
        self.relay.rest();
    }

    /// A key of a person who has the caller; the code that it completes, of those that can be done now. `caller`: what takes the other
    /// keys.
    pub(super) fn key(
        &mut self,
        now: Instant,
        digit: char,
        codes: Codes,
        caller: &mut crate::leg::audio::LegAudio,
    ) -> Option<Code> {
        match self.code.press(now, digit, codes) {
            Pressed::Code(code) => return Some(code),
            Pressed::Passed(keys) if self.stage == Stage::Joined => {
                // A caller whose side takes no keys has lost nothing that they could have had.
                let _ = caller.send_dtmf(&keys, KEY_MS);
            }
            Pressed::Passed(_) | Pressed::Kept => {}
        }
        None
    }
}

impl SecondLegs {
    /// A person who put the caller into a place: at a telephone they are told which. False where their leg ends at once.
    pub(super) fn told_place(
        &mut self,
        now: Instant,
        place: Option<u16>,
        language: Language,
    ) -> bool {
        let second = self.open().filter(|one| one.origin != Origin::Page);
        let Some((second, place)) = second.zip(place) else {
            return false;
        };
        second.tell_place(now, place, language);
        true
    }
}

impl CallTask {
    /// Whoever has the caller puts them into the lowest free place of the account; its number.
    pub(super) fn park(&mut self, now: Instant, wish: ParkWish) -> Result<u16, PersonError> {
        self.on_the_line(self.session.may_park())?;
        let identity = &self.desk.identity;
        let place = self.desk.calls.parking.take(&identity.tenant, &identity.id);
        let place = place.ok_or(PersonError::ParkingFull)?;
        let number = place.number();
        let within = wish.within.unwrap_or_else(|| {
            let usual = self.session.parking_ms();
            Duration::from_millis(usual.into())
        });
        let since = self.desk.wall(now);
        self.waiting.live = Some(LiveParked {
            place: number,
            by: wish.by.clone(),
            since,
            until: since.checked_add(within).unwrap_or(since),
        });
        self.waiting.place = Some(place);
        let parking = Parking {
            place: number,
            by: wish.by,
            note: wish.note,
            within_ms: u32::try_from(within.as_millis()).unwrap_or(u32::MAX),
        };
        let input = Input::Person(PersonInput::Parks(parking));
        self.session.handle(now, input);
        Ok(number)
    }

    /// What whoever is on the line can ask for by keys now.
    pub(super) fn codes(&self) -> Codes {
        if self.second.seat().is_none() {
            return Codes::default();
        }
        Codes::those(|code| match code {
            Code::Parks => self.session.may_park(),
            Code::Moves(seat) => self.may_move(seat).is_ok(),
        })
    }

    /// The person who is on the line pressed a code.
    pub(super) fn by_keys(&mut self, now: Instant, code: Code) {
        match code {
            Code::Parks => self.park_by_keys(now),
            Code::Moves(seat) => {
                let input = Input::Person(PersonInput::Moves { seat });
                self.session.handle(now, input);
            }
        }
    }

    /// The person who has the caller parks them. Where every place is taken they go on, and hear that it was not done.
    fn park_by_keys(&mut self, now: Instant) {
        let by = self.second.current.as_ref().map(|one| one.target.clone());
        let wish = ParkWish {
            by: by.unwrap_or_default(),
            ..ParkWish::default()
        };
        if let Err(error) = self.park(now, wish) {
            let message = catalog::Message::new("not_parked");
            let message = message.with("cause", error.to_string());
            self.desk.journal.note(now, message);
            if let Some(second) = self.second.open() {
                second.tell_not_now(now);
            }
        }
    }

    /// The caller waits, and hears it.
    pub(in crate::call_task) fn parked(&mut self, now: Instant) {
        // What the person said last has no end, and the music would wait for one.
        let _ = self.media.clear(now);
        self.media.set_company(false);
        self.media.set_background(Some(Background::Hold));
        self.waiting.since = Some(now);
        if let Some(live) = &self.waiting.live {
            self.waiting.told.push(json!({
                "place": live.place,
                "by": live.by,
                "waited_ms": null,
                "end": null,
                "retrieved_by": null,
            }));
        }
        self.tell_parked();
    }

    /// The caller waits no more, whatever becomes of them.
    pub(in crate::call_task) fn unparked(&mut self, now: Instant) {
        self.media.set_background(None);
        self.waiting.place = None;
        self.waiting.live = None;
        let since = self.waiting.since.take().unwrap_or(now);
        let waited = now.saturating_duration_since(since).as_millis();
        if let Some(Value::Object(last)) = self.waiting.told.last_mut() {
            let waited = u64::try_from(waited).unwrap_or(u64::MAX);
            last.insert("waited_ms".to_owned(), json!(waited));
        }
        // Where nobody took them, and the agent did not, the call has ended.
        self.waiting.note("call_ended", None);
        self.tell_parked();
    }

    /// What the session says of it, for the record.
    pub(in crate::call_task) fn parking_news(&mut self, event: &SessionEvent) {
        if let SessionEvent::Retrieved { by, .. } = event {
            self.waiting.note("retrieved", Some(by.as_str()));
        } else if let SessionEvent::ParkingEnded { timed_out, .. } = event {
            let end = if *timed_out {
                "timed_out"
            } else {
                "handed_back"
            };
            self.waiting.note(end, None);
        }
    }

    fn tell_parked(&self) {
        let parked = self.waiting.live.clone();
        self.desk.calls.parked_changed(&self.desk.identity, parked);
    }

    pub(super) fn is_parked(&self) -> bool {
        self.session.phase() == Phase::Parked
    }

    pub(super) fn parking_place(&self) -> Option<u16> {
        self.waiting.place.as_ref().map(ParkingPlace::number)
    }

    /// Keys that are no code after all, and a person who was told the place long enough.
    pub(in crate::call_task) fn parking_timeout(&mut self, now: Instant) {
        let Some(second) = self.second.open() else {
            return;
        };
        if let Some(keys) = second.code.expired(now)
            && second.stage == Stage::Joined
        {
            let _ = self.media.send_dtmf(&keys, KEY_MS);
        }
        if second.leaves_at.is_some_and(|at| at <= now) {
            second.leave_parked(now);
        }
    }
}
