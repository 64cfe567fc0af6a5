//! A leg whose audio a carrier brings by WebSocket: the carrier has the call's signalling, and is asked for things over its own
//! interface.

mod handing;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use call::{EndReason, TransferEnd, TransferTarget};
use courier::Courier;
use courier::carrier::{CarrierAccount, CarrierError};
use media::{COMPANY_LEAD_MS, Feed, Law, Played, Position, g711};
use sip::EndCause;
use tokio::sync::mpsc;
use wire::twilio::{Encoding, StreamEvent};

use handing::Handing;

use crate::log::say;
use crate::sip_driver::LegEvent;
use crate::stream_socket::StreamSocket;

/// Answers of the carrier's interface that may wait.
const RESULTS_MAX: usize = 8;

/// How a carrier is asked to do something with a call of its own.
#[derive(Clone)]
pub struct CarrierControl {
    /// Makes the requests.
    pub courier: Courier,
    /// Whose interface, and its credentials.
    pub account: CarrierAccount,
    /// The carrier's name of the call.
    pub call: String,
}

/// What a carrier tells of a call that it rings for us.
#[derive(Clone)]
pub struct CarrierProgress(mpsc::Sender<LegEvent>);

impl CarrierProgress {
    /// It rings there.
    pub fn ringing(&self) {
        let _ = self.0.try_send(LegEvent::Progress { status: 180 });
    }

    /// It will not be answered: `status` is the SIP status that says the same (486 busy, 480 no answer, 500 anything else).
    pub fn failed(&self, status: u16) {
        let reason = String::new();
        let cause = EndCause::Refused { status, reason };
        let _ = self.0.try_send(LegEvent::Ended { cause });
    }
}

/// The signalling of the leg, as far as it is ours.
pub(crate) struct CarrierLeg {
    /// The carrier's name, and its name of the call.
    pub(super) carrier: &'static str,
    call: String,
    events: VecDeque<LegEvent>,
    results: mpsc::Receiver<LegEvent>,
    answers: mpsc::Sender<LegEvent>,
    control: Arc<OnceLock<CarrierControl>>,
    /// The carrier took the call over: hanging up would end what it does now.
    given_away: bool,
    ended: bool,
}

impl CarrierLeg {
    pub(crate) fn new(
        carrier: &'static str,
        call: String,
        control: Option<CarrierControl>,
    ) -> Self {
        let (answers, results) = mpsc::channel(RESULTS_MAX);
        Self {
            carrier,
            call,
            events: VecDeque::new(),
            results,
            answers,
            control: Arc::new(control.map_or_else(OnceLock::new, OnceLock::from)),
            given_away: false,
            ended: false,
        }
    }

    /// A call that the carrier rings for us; its name of the call is known once it took it.
    pub(crate) fn placed(
        carrier: &'static str,
        control: Arc<OnceLock<CarrierControl>>,
    ) -> (Self, CarrierProgress) {
        let mut leg = Self::new(carrier, String::new(), None);
        leg.control = control;
        let progress = CarrierProgress(leg.answers.clone());
        (leg, progress)
    }

    /// The carrier's name of the call, once it has one.
    pub(super) fn call(&self) -> Option<&str> {
        let named = self.control.get().map(|control| control.call.as_str());
        named.or(Some(&self.call)).filter(|call| !call.is_empty())
    }

    /// The next event. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<LegEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let event = self.results.recv().await;
        self.given_away |= matches!(
            event,
            Some(LegEvent::TransferFinished {
                end: TransferEnd::Done
            })
        );
        event
    }

    pub(super) fn try_next(&mut self) -> Option<LegEvent> {
        self.events.pop_front()
    }

    pub(super) fn set_ended(&mut self) {
        self.ended = true;
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// The carrier has answered already: this is when the conversation begins.
    pub(super) fn answer(&mut self) -> bool {
        self.events
            .push_back(LegEvent::Established { answer: None });
        true
    }

    /// The end of the stream ends the call. The carrier is told as well, where it would go on with something else.
    pub(super) fn hang_up(&mut self, _reason: EndReason) -> bool {
        if self.ended {
            return true;
        }
        if let Some(control) = self.control.get().cloned()
            && !self.given_away
        {
            tokio::spawn(async move {
                let asked = control.courier.hang_up(&control.account, &control.call);
                match asked.await {
                    Ok(()) | Err(CarrierError::Ended) => {}
                    Err(error) => say(&catalog::Message::new("log_carrier_refused")
                        .with("carrier", control.account.name())
                        .with("request", "hang-up")
                        .with("cause", error.to_string())),
                }
            });
        }
        self.events.push_back(LegEvent::Ended {
            cause: EndCause::LocalHangUp,
        });
        true
    }

    /// Asks the carrier to connect the caller with somebody else. False when it cannot be asked.
    pub(crate) fn transfer(&mut self, target: &TransferTarget) -> bool {
        let Some(control) = self.control.get().cloned() else {
            return false;
        };
        // A carrier closes the stream when it redirects the call, often before it answers the request: from here on that close
        // is the transfer, not the caller.
        self.events.push_back(LegEvent::TransferAccepted);
        let answers = self.answers.clone();
        let address = target.address.reveal().clone();
        tokio::spawn(async move {
            let asked = control
                .courier
                .transfer(&control.account, &control.call, &address);
            let end = match asked.await {
                Ok(()) => TransferEnd::Done,
                Err(error) => {
                    say(&catalog::Message::new("log_carrier_refused")
                        .with("carrier", control.account.name())
                        .with("request", "transfer")
                        .with("cause", error.to_string()));
                    TransferEnd::Failed {
                        reason: error.label().to_owned(),
                    }
                }
            };
            let _ = answers.send(LegEvent::TransferFinished { end }).await;
        });
        true
    }
}

/// The audio of the leg.
pub(crate) struct CarrierMedia {
    socket: StreamSocket,
    pub(super) feed: Feed,
    handing: Handing,
    /// When everything was last looked at.
    now: Instant,
    /// The other side is a bridge of ours, which hangs up when it is told so.
    bridge: bool,
    /// The end of the stream was told.
    over: bool,
    stopped: bool,
}

impl CarrierMedia {
    pub(crate) fn new(now: Instant, socket: StreamSocket, bridge: bool) -> Self {
        let law = match socket.stream.encoding() {
            Encoding::Pcma => Law::Pcma,
            Encoding::Pcmu | Encoding::L16 => Law::Pcmu,
        };
        Self {
            socket,
            feed: Feed::new(now, law),
            handing: Handing::default(),
            now,
            bridge,
            over: false,
            stopped: false,
        }
    }

    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_receive(cx)
    }

    pub(super) fn receive(&mut self, now: Instant) {
        self.socket.receive(now);
        while let Some(event) = self.socket.stream.poll_event() {
            match event {
                StreamEvent::Audio { number, audio } => {
                    self.heard(now, number, &audio);
                    self.socket.stream.take_back(audio);
                }
                StreamEvent::Dtmf(digit) => self.feed.handle_dtmf(digit, 0),
                StreamEvent::Stopped => self.stopped = true,
                StreamEvent::Fault(text) => tracing::debug!(text, "the carrier complains"),
                StreamEvent::Started(_) => {}
            }
        }
    }

    fn heard(&mut self, now: Instant, number: Option<u64>, audio: &[u8]) {
        match self.socket.stream.encoding() {
            Encoding::Pcmu | Encoding::Pcma => self.feed.handle_audio(now, number, audio),
            Encoding::L16 => {
                let encoded: Vec<u8> = audio
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|sample| g711::encode(Law::Pcmu, i16::from_le_bytes(*sample)))
                    .collect();
                self.feed.handle_audio(now, number, &encoded);
            }
        }
    }

    fn position(&self, now: Instant) -> Position {
        Position {
            heard: self.socket.stream.heard(now),
            proven: self.socket.stream.proven(now),
        }
    }

    /// Hands over what is due, and lets time pass.
    pub(super) fn transmit(&mut self, now: Instant) {
        self.now = now;
        self.feed.handle(now, self.position(now));
        // What a blocked connection would only queue stays here, where a clear reaches it.
        while !self.socket.is_blocked()
            && self
                .handing
                .hand_over(now, &mut self.feed, &mut self.socket.stream)
        {}
        self.socket.send();
    }

    /// Others are there beside the agent, or are not.
    pub(super) fn set_company(&mut self, on: bool) {
        let lead_ms = COMPANY_LEAD_MS + handing::gathered_ms(&self.socket.stream);
        self.feed.set_company(on.then_some(lead_ms));
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let stream = &self.socket.stream;
        let (waiting, ahead) = (self.feed.is_waiting(), !self.feed.has_company());
        [
            self.feed.poll_timeout(),
            stream.due_at().filter(|_| ahead && self.feed.has_audio()),
            stream.ends_at().filter(|_| waiting),
            stream.gives_up_at().filter(|_| waiting),
        ]
        .into_iter()
        .flatten()
        .filter(|at| *at > self.now)
        .min()
    }

    pub(super) fn clear(&mut self, now: Instant) -> Vec<Played> {
        let position = if self.feed.is_mixed() {
            self.position(now)
        } else {
            self.handing.forget();
            let heard = self.socket.stream.clear(now);
            Position {
                heard,
                proven: heard,
            }
        };
        let played = self.feed.clear(position);
        self.socket.send();
        played
    }

    /// The end of the stream, once. A connection that is lost is a hang-up like any other: a carrier that loses it says no more.
    pub(super) fn poll_leg(&mut self) -> Option<LegEvent> {
        if self.over || !(self.stopped || self.socket.is_over(self.now)) {
            return None;
        }
        self.over = true;
        let cause = EndCause::RemoteBye { reason: None };
        Some(LegEvent::Ended { cause })
    }

    pub(super) async fn close(mut self) {
        if self.bridge {
            self.socket.stream.ask_stop();
            self.socket.send();
        }
        self.socket.close().await;
    }
}
