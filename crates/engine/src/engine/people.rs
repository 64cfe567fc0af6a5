//! People of the house who come into running calls, from pages.

use std::net::IpAddr;
use std::time::Instant;

use call::{CallId, Seat};
use tokio::sync::oneshot;

use super::pages::{PageError, answer_offer};
use super::{CallCommand, Engine};
use crate::leg::Leg;
use crate::leg::audio::LegAudio;
use crate::leg::carrier::{CarrierLeg, CarrierMedia};
use crate::leg::page::PageLeg;
use crate::person::{
    Arrival, HandBack, Invitation, ParkWish, Person, PersonCommand, PersonError, Reply,
};
use crate::random;
use crate::stream_socket::StreamSocket;

impl Engine {
    /// Whether a person could come into a call now.
    ///
    /// # Errors
    /// [`PersonError`].
    pub async fn may_come(&self, call: &CallId, seat: Seat) -> Result<(), PersonError> {
        self.of_person(call, |reply| PersonCommand::MayCome(seat, reply))
            .await
    }

    /// The person who is on the line changes their place: they take the call over, or the agent is beside them again.
    ///
    /// # Errors
    /// [`PersonError`].
    pub async fn move_person(&self, call: &CallId, seat: Seat) -> Result<(), PersonError> {
        self.of_person(call, |reply| PersonCommand::Moves(seat, reply))
            .await
    }

    /// The agent has the caller again, with what the person who is on the line wants it to know; they leave or stay.
    ///
    /// # Errors
    /// [`PersonError`].
    pub async fn hand_back(&self, call: &CallId, how: HandBack) -> Result<(), PersonError> {
        self.of_person(call, |reply| PersonCommand::HandsBack(how, reply))
            .await
    }

    /// Calls somebody into a running call, as a transfer does: one at a time, by the line of the call. Whatever becomes of it, the
    /// caller stays with the agent until they are there, and is back with it when they leave.
    ///
    /// # Errors
    /// [`PersonError`]; what happens once they are called is [`crate::LiveCalled`] and the record.
    pub async fn invite(&self, call: &CallId, whom: Invitation) -> Result<(), PersonError> {
        let target = Box::new(whom.into());
        self.of_person(call, |reply| PersonCommand::Invites(target, reply))
            .await
    }

    /// Whoever is being called for the caller, by whom ever, is not wanted any more.
    ///
    /// # Errors
    /// [`PersonError`].
    pub async fn call_off(&self, call: &CallId) -> Result<(), PersonError> {
        self.of_person(call, PersonCommand::CallsOff).await
    }

    /// Whoever has the caller puts them into the lowest free parking place of the account, and leaves. They hear music until a person
    /// takes them, or the agent has them again.
    ///
    /// # Errors
    /// [`PersonError`].
    pub async fn park(&self, call: &CallId, wish: ParkWish) -> Result<u16, PersonError> {
        let (reply, answered) = oneshot::channel();
        let command = PersonCommand::Parks(Box::new(wish), reply);
        let calls = &self.inner.calls;
        calls.answer_of_person(call, command, answered).await
    }

    /// Whether somebody could take the caller out of their parking place now.
    ///
    /// # Errors
    /// [`PersonError`].
    pub async fn may_retrieve(&self, call: &CallId) -> Result<(), PersonError> {
        self.of_person(call, PersonCommand::MayRetrieve).await
    }

    /// Calls somebody who shall take the caller out of their parking place; the caller waits there until they have.
    ///
    /// # Errors
    /// [`PersonError`]; what happens once they are called is [`crate::LiveCalled`] and the record.
    pub async fn retrieve(&self, call: &CallId, whom: Invitation) -> Result<(), PersonError> {
        let target = Box::new(whom.into());
        self.of_person(call, |reply| PersonCommand::Retrieves(target, reply))
            .await
    }

    async fn of_person(
        &self,
        call: &CallId,
        command: impl FnOnce(Reply) -> PersonCommand,
    ) -> Result<(), PersonError> {
        self.inner.calls.of_person(call, command).await
    }

    /// Answers the offer of a page whose person comes into a call once it is connected. Where there is no place for them then, the
    /// connection is closed.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn person_by_page(
        &self,
        call: CallId,
        person: Person,
        (offer, client): (&str, Option<IpAddr>),
    ) -> Result<String, PageError> {
        let (waiting, answer) = answer_offer(&self.inner.calls, offer, client)?;
        let calls = std::sync::Arc::clone(&self.inner.calls);
        tokio::spawn(async move {
            let Some(page) = Box::pin(waiting.connected(&call)).await else {
                return;
            };
            let audio = page.audio(Instant::now(), call.as_str(), random::seed());
            let arrival = Arrival {
                person,
                leg: Leg::Page(PageLeg::new()),
                media: LegAudio::Page(Box::new(audio)),
                admitted: None,
                told: Vec::new(),
            };
            // A call that is over takes nobody: the connection closes when it is dropped.
            calls.tell(&call, comes(arrival));
        });
        Ok(answer)
    }

    /// The same by WebSocket. The socket is closed where no such call runs.
    pub fn person_by_stream(&self, call: &CallId, person: Person, socket: StreamSocket) {
        let carrier = socket.stream.dialect().name();
        let media = CarrierMedia::new(Instant::now(), socket, false);
        let arrival = Arrival {
            person,
            leg: Leg::Carrier(CarrierLeg::new(carrier, String::new(), None)),
            media: LegAudio::Carrier(Box::new(media)),
            admitted: None,
            told: Vec::new(),
        };
        // A call that is over takes nobody: the socket closes when it is dropped.
        self.inner.calls.tell(call, comes(arrival));
    }
}

fn comes(arrival: Arrival) -> CallCommand {
    CallCommand::Person(PersonCommand::Comes(Box::new(arrival)))
}
