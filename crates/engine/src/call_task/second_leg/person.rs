//! A person of the house who comes into the call from a page: their connection is there before the session hears of them.

use std::time::Instant;

use call::{EndReason, Input, PersonInput, Seat, TransferTarget};

use super::announcing::Announcement;
use super::relay::Relay;
use super::{Offer, Origin, SecondLeg, SecondLegs, Stage};
use crate::call_task::CallTask;
use crate::calls::Dialled;
use crate::calls::placing::address;
use crate::engine::PlaceCallError;
use crate::house_codes::keys::CodeKeys;
use crate::leg::audio::LegAudio;
use crate::limits::{PEOPLE_MAX, PERSON_SILENT_MS_MAX, SECOND_LEGS_MAX};
use crate::person::{Arrival, HandBack, LivePerson, PersonCommand, PersonError, Reply, seat_of};
use crate::quality::Meter;

impl SecondLegs {
    /// Somebody is on the line, or is being called.
    fn is_taken(&self) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|one| one.stage < Stage::Leaving)
    }

    /// Whoever is there was called.
    pub(super) fn was_called(&self) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|one| one.origin == Origin::Called)
    }

    /// Where whoever talks is.
    pub(super) fn seat(&self) -> Option<Seat> {
        match self.current.as_ref()?.stage {
            Stage::Conferring => Some(Seat::Beside),
            Stage::Joined => Some(Seat::Instead),
            Stage::Calling | Stage::Answered | Stage::Leaving | Stage::Over => None,
        }
    }

    /// The connection of a page closes with its leg; nothing of it is still to come.
    pub(super) fn dismiss(&mut self, now: Instant) {
        let gone = self
            .current
            .take_if(|one| one.origin == Origin::Page && !one.is_open());
        if let Some(gone) = gone {
            self.told.push(gone.figures(now));
            tokio::spawn(gone.media.close());
        }
    }
}

impl SecondLeg {
    /// `silent_ms`: how long a telephone may send no sound.
    fn of_person(now: Instant, arrival: Arrival, silent_ms: u32) -> Self {
        let Arrival {
            person,
            leg,
            mut media,
            admitted,
            ..
        } = arrival;
        let origin = if leg.is_sip() {
            Origin::Telephone
        } else {
            Origin::Page
        };
        media.start(now);
        media.hold_back(false);
        media.set_media_timeout_ms(match media {
            LegAudio::Carrier(_) => PERSON_SILENT_MS_MAX,
            LegAudio::Rtp(_) => silent_ms,
            LegAudio::Page(_) => u32::MAX,
        });
        Self {
            target: person.name,
            leg,
            dialled: Dialled::default(),
            media,
            relay: Relay::new(),
            meter: Meter::default(),
            conference: None,
            stage: Stage::Answered,
            announcement: Announcement::none(),
            rang: None,
            answered: Some(now),
            joined: None,
            ended: None,
            end: None,
            offer: Offer::Never,
            origin,
            code: CodeKeys::default(),
            leaves_at: None,
            admitted,
            last_seen: origin == Origin::Page,
            is_spent: false,
        }
    }
}

impl CallTask {
    pub(in crate::call_task) fn person_command(&mut self, now: Instant, command: PersonCommand) {
        // Whoever asked may be gone.
        match command {
            PersonCommand::MayCome(seat, reply) => {
                let _ = reply.send(self.may_come(seat));
            }
            PersonCommand::MayRetrieve(reply) => {
                let _ = reply.send(self.may_retrieve());
            }
            PersonCommand::Parks(wish, reply) => {
                let parked = self.park(now, *wish);
                let _ = reply.send(parked);
            }
            PersonCommand::Comes(arrival) => self.person_comes(now, *arrival),
            PersonCommand::Moves(seat, reply) => {
                let may = self.may_move(seat);
                if may.is_ok() {
                    self.session
                        .handle(now, Input::Person(PersonInput::Moves { seat }));
                }
                let _ = reply.send(may);
            }
            PersonCommand::HandsBack(HandBack { note, stay }, reply) => {
                let may = if stay {
                    self.may_move(Seat::Beside)
                } else {
                    self.may_hand_back()
                };
                if may.is_ok() {
                    let input = PersonInput::HandsBack { note, stay };
                    self.session.handle(now, Input::Person(input));
                }
                let _ = reply.send(may);
            }
            PersonCommand::Invites(target, reply) => self.invites(now, *target, reply),
            PersonCommand::Retrieves(target, reply) if self.is_parked() => {
                self.invites(now, *target, reply);
            }
            PersonCommand::Retrieves(_, reply) => {
                let _ = reply.send(Err(PersonError::NotParked));
            }
            PersonCommand::CallsOff(reply) => {
                let may = self.session.may_call_off();
                if may {
                    let input = Input::Person(PersonInput::CalledOff);
                    self.session.handle(now, input);
                }
                let _ = reply.send(may.then_some(()).ok_or(PersonError::Nobody));
            }
        }
    }

    fn invites(&mut self, now: Instant, target: TransferTarget, reply: Reply) {
        let may = self.may_invite(&target);
        if may.is_ok() {
            self.show_calling(&target.name, seat_of(target.mode));
            self.session
                .handle(now, Input::TransferRequested { target });
        }
        let _ = reply.send(may);
    }

    fn has_room(&self, seat: Seat) -> Result<(), PersonError> {
        if self.second.is_taken() {
            return Err(PersonError::Somebody);
        }
        self.session.has_place(seat).map_err(PersonError::from)
    }

    fn may_invite(&self, target: &TransferTarget) -> Result<(), PersonError> {
        self.has_room(seat_of(target.mode))?;
        let (line, domain) = (&self.desk.line, self.calling_domain());
        match address(line, target.address.reveal(), domain.as_deref()) {
            Err(PlaceCallError::Premium) => Err(PersonError::Premium),
            Err(_) => Err(PersonError::BadAddress),
            Ok(_) if self.second.called >= SECOND_LEGS_MAX => Err(PersonError::TooMany),
            Ok(_) => Ok(()),
        }
    }

    fn may_come(&self, seat: Seat) -> Result<(), PersonError> {
        self.has_room(seat)?;
        if self.second.came < PEOPLE_MAX {
            Ok(())
        } else {
            Err(PersonError::TooMany)
        }
    }

    /// Somebody takes the caller out of their place.
    fn may_retrieve(&self) -> Result<(), PersonError> {
        if self.is_parked() {
            self.may_come(Seat::Instead)
        } else {
            Err(PersonError::NotParked)
        }
    }

    fn may_hand_back(&self) -> Result<(), PersonError> {
        if self.is_parked() {
            return Ok(());
        }
        self.on_the_line(self.session.may_hand_back())
    }

    pub(super) fn may_move(&self, seat: Seat) -> Result<(), PersonError> {
        self.on_the_line(self.session.may_move(seat))
    }

    pub(super) fn on_the_line(&self, may: bool) -> Result<(), PersonError> {
        if self.second.seat().is_none() {
            Err(PersonError::Nobody)
        } else if may {
            Ok(())
        } else {
            Err(PersonError::NotNow)
        }
    }

    fn person_comes(&mut self, now: Instant, mut arrival: Arrival) {
        let Arrival { person, .. } = &arrival;
        let (name, seat) = (person.name.clone(), person.seat);
        let may = if person.from_parking {
            self.may_retrieve()
        } else {
            self.may_come(seat)
        };
        if may.is_err() {
            // It was asked before, and things have changed: they see that their connection is closed.
            let Arrival { mut leg, media, .. } = arrival;
            leg.hang_up(EndReason::Busy);
            tokio::spawn(media.close());
            return;
        }
        let told = std::mem::take(&mut arrival.told);
        let mut second = SecondLeg::of_person(now, arrival, self.silent_ms());
        for event in told {
            second.told_before(event, &self.desk.journal);
        }
        self.second.begin(now, second, &self.desk.journal);
        self.session
            .handle(now, Input::Person(PersonInput::Comes { name, seat }));
    }

    /// Tells the watchers who is on the line, where that changed.
    pub(in crate::call_task) fn tell_person(&mut self) {
        let seat = self.second.seat();
        if std::mem::replace(&mut self.second.shown, seat) == seat {
            return;
        }
        let name = self.second.current.as_ref().map(|one| one.target.clone());
        let person = seat.zip(name);
        let person = person.map(|(seat, name)| LivePerson { name, seat });
        self.desk.calls.person_changed(&self.desk.identity, person);
    }
}
