//! A person of the house who comes into the call from a page: their connection is there before the session hears of them.

use std::time::Instant;

use call::{Input, PersonInput, Seat, TransferTarget};

use super::announcing::Announcement;
use super::relay::Relay;
use super::{Offer, SecondLeg, SecondLegs, Stage};
use crate::call_task::CallTask;
use crate::calls::Dialled;
use crate::calls::placing::address;
use crate::engine::PlaceCallError;
use crate::leg::audio::LegAudio;
use crate::limits::{PEOPLE_MAX, PERSON_SILENT_MS_MAX, SECOND_LEGS_MAX};
use crate::person::{Arrival, HandBack, LivePerson, PersonCommand, PersonError, seat_of};
use crate::quality::Meter;

impl SecondLegs {
    /// Somebody is on the line, or is being called.
    fn is_taken(&self) -> bool {
        self.current.as_ref().is_some_and(|one| one.is_open())
    }

    /// Whoever is there was called.
    pub(super) fn was_called(&self) -> bool {
        self.current.as_ref().is_some_and(|one| !one.came)
    }

    /// Where whoever talks is.
    fn seat(&self) -> Option<Seat> {
        match self.current.as_ref()?.stage {
            Stage::Conferring => Some(Seat::Beside),
            Stage::Joined => Some(Seat::Instead),
            Stage::Calling | Stage::Answered | Stage::Over => None,
        }
    }

    /// The connection of a page closes with its leg; nothing of it is still to come.
    pub(super) fn dismiss(&mut self, now: Instant) {
        let gone = self.current.take_if(|one| one.came && !one.is_open());
        if let Some(gone) = gone {
            self.told.push(gone.figures(now));
            tokio::spawn(gone.media.close());
        }
    }
}

impl SecondLeg {
    fn of_person(now: Instant, arrival: Arrival) -> Self {
        let Arrival {
            person,
            leg,
            mut media,
        } = arrival;
        media.start(now);
        media.hold_back(false);
        media.set_media_timeout_ms(match media {
            LegAudio::Carrier(_) => PERSON_SILENT_MS_MAX,
            LegAudio::Rtp(_) | LegAudio::Page(_) => u32::MAX,
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
            came: true,
            last_seen: true,
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
                    self.on_the_line(self.session.may_hand_back())
                };
                if may.is_ok() {
                    let input = PersonInput::HandsBack { note, stay };
                    self.session.handle(now, Input::Person(input));
                }
                let _ = reply.send(may);
            }
            PersonCommand::Invites(target, reply) => {
                let may = self.may_invite(&target);
                if may.is_ok() {
                    self.show_calling(&target.name, seat_of(target.mode));
                    let target = *target;
                    self.session
                        .handle(now, Input::TransferRequested { target });
                }
                let _ = reply.send(may);
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

    fn has_seat(&self, seat: Seat) -> Result<(), PersonError> {
        if self.second.is_taken() {
            return Err(PersonError::Somebody);
        }
        self.session.has_place()?;
        self.may_sit(seat)
    }

    fn may_invite(&self, target: &TransferTarget) -> Result<(), PersonError> {
        self.has_seat(seat_of(target.mode))?;
        let (line, domain) = (&self.desk.line, self.transfer_domain());
        match address(line, target.address.reveal(), Some(&domain)) {
            Err(PlaceCallError::Premium) => Err(PersonError::Premium),
            Err(_) => Err(PersonError::BadAddress),
            Ok(_) if self.second.called >= SECOND_LEGS_MAX => Err(PersonError::TooMany),
            Ok(_) => Ok(()),
        }
    }

    fn may_come(&self, seat: Seat) -> Result<(), PersonError> {
        self.has_seat(seat)?;
        if self.second.came < PEOPLE_MAX {
            Ok(())
        } else {
            Err(PersonError::TooMany)
        }
    }

    fn may_sit(&self, seat: Seat) -> Result<(), PersonError> {
        if seat == Seat::Instead || self.media.takes_company() {
            Ok(())
        } else {
            Err(PersonError::NoConference)
        }
    }

    fn may_move(&self, seat: Seat) -> Result<(), PersonError> {
        self.on_the_line(self.session.may_move(seat))?;
        self.may_sit(seat)
    }

    fn on_the_line(&self, may: bool) -> Result<(), PersonError> {
        if self.second.seat().is_none() {
            Err(PersonError::Nobody)
        } else if may {
            Ok(())
        } else {
            Err(PersonError::NotNow)
        }
    }

    fn person_comes(&mut self, now: Instant, arrival: Arrival) {
        let Arrival { person, .. } = &arrival;
        let (name, seat) = (person.name.clone(), person.seat);
        if self.may_come(seat).is_err() {
            // It was asked before, and things have changed: the page sees that its connection is closed.
            tokio::spawn(arrival.media.close());
            return;
        }
        self.second
            .begin(now, SecondLeg::of_person(now, arrival), &self.desk.journal);
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
