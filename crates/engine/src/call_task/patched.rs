//! The task of a call whose far end is an application or local audio: no conversation is held here, the two ends are joined.
//!
//! It is driven as every call is: one `select!`, then everything is drained. The leg, its negotiation, its journal and its record
//! are those of a call of an agent; who decides about the call tells it by orders, and is told its news.

mod application;
mod far;
mod leg;
mod local;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use call::{EndReason, Requester, TransferMode, TransferTarget};
use catalog::Message;
use media::{Form, Gain, Law, Reform, StreamEvent};
use serde_json::json;
use store::Event;
use tokio::sync::mpsc;

use super::desk::{Desk, Ending};
use super::{Answer, Preparation, agreement};
use crate::calls::CallCommand;
use crate::calls::placing::{PREMIUM_REFUSED, refer_address};
use crate::leg::audio::LegAudio;
use crate::leg::media::MediaLeg;
use crate::sip_driver::LegEvent;
use crate::switchboard::{
    CallEnding, CallNews, CallOrder, FarEnd, IncomingCall, PatchedCall, Switchboard,
};
use far::{Far, FarNews};

/// The far end talks in µ-law, as Media Streams does.
const FAR_FORM: Form = Form::G711(Law::Pcmu);
/// How long the telephone may be unheard (and not held) before it counts as gone, beside the bound at which that is noticed.
const UNHEARD_MAX: Duration = Duration::from_secs(30);
/// How long a call that was answered may wait for something to be connected with.
const FAR_END_WITHIN: Duration = Duration::from_secs(10);

/// How a patched call begins.
pub(crate) enum PatchStart {
    /// An INVITE came; it is offered to the switchboard.
    Incoming {
        offer: Option<Vec<u8>>,
        /// Where it came from, and by what.
        source: (SocketAddr, sip::Protocol),
        call: Box<IncomingCall>,
    },
    /// Our INVITE left.
    Outgoing {
        media: Box<MediaLeg>,
        ring_max: Duration,
    },
}

/// What the owner of a call holds the other end of.
pub(crate) struct Lines {
    pub(crate) orders: mpsc::Receiver<CallOrder>,
    pub(crate) news: mpsc::Sender<CallNews>,
}

/// Where the call is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Nobody has answered.
    Open,
    /// Answered; the ACK is still to come.
    Answered,
    /// Audio flows on the leg.
    Talking,
}

/// The task. See the module.
pub(crate) struct Patched {
    desk: Desk,
    media: LegAudio,
    answer: Option<Answer>,
    lines: Lines,
    /// Kept for the end, which must not be lost.
    last_news: mpsc::OwnedPermit<CallNews>,
    far: Far,
    /// What the call is to be connected with once the other side answers.
    chosen: Option<FarEnd>,
    phase: Phase,
    active: bool,
    /// The telephone on its way to the far end, which talks in µ-law.
    heard: Option<Reform>,
    rx_gain: Option<Gain>,
    tx_gain: Option<Gain>,
    call_max: Option<Duration>,
    ring_by: Option<Instant>,
    far_by: Option<Instant>,
    end_by: Option<Instant>,
    unheard_by: Option<Instant>,
    given_up: bool,
    status: Option<u16>,
    detail: Option<String>,
    ended: Option<EndReason>,
}

enum Wake {
    Timer,
    Media,
    Leg(Option<LegEvent>),
    Command(CallCommand),
    Order(Option<CallOrder>),
    Far(FarNews),
}

/// Runs a patched call to its end and closes its record.
pub(crate) async fn run(mut preparation: Box<Preparation>, start: PatchStart, lines: Lines) {
    let now = Instant::now();
    let Ok(last_news) = lines.news.clone().reserve_owned().await else {
        return;
    };
    preparation
        .desk
        .milestone(now, store::journal::Milestone::Invited);
    let Some(switchboard) = preparation.desk.calls.switchboard.clone() else {
        return;
    };
    let (media, answer, ring_by) = match start {
        PatchStart::Outgoing { media, ring_max } => {
            (LegAudio::Rtp(media), None, Some(now + ring_max))
        }
        PatchStart::Incoming {
            offer,
            source,
            call,
        } => match preparation.incoming(now, offer.as_deref(), source).await {
            Ok((media, answer)) if switchboard.incoming.try_send(*call).is_ok() => {
                (media, answer, None)
            }
            Ok(_) => {
                preparation.refuse(EndReason::Overload, None).await;
                return;
            }
            Err(reason) => {
                preparation.refuse(reason, None).await;
                return;
            }
        },
    };
    let task = Patched::new(
        preparation.desk,
        (media, answer),
        (lines, last_news),
        &switchboard,
        ring_by,
    );
    Box::new(task).run().await;
}

impl Patched {
    fn new(
        desk: Desk,
        (mut media, answer): (LegAudio, Option<Answer>),
        (lines, last_news): (Lines, mpsc::OwnedPermit<CallNews>),
        switchboard: &Switchboard,
        ring_by: Option<Instant>,
    ) -> Self {
        media.set_media_timeout_ms(desk.calls.rtp.media_timeout_ms);
        Self {
            desk,
            media,
            answer,
            lines,
            last_news,
            far: Far::None,
            chosen: None,
            phase: Phase::Open,
            active: false,
            heard: None,
            rx_gain: Gain::new(Law::Pcmu, switchboard.rx_gain_db),
            tx_gain: Gain::new(Law::Pcmu, switchboard.tx_gain_db),
            call_max: switchboard.call_max,
            ring_by,
            far_by: None,
            end_by: None,
            unheard_by: None,
            given_up: false,
            status: None,
            detail: None,
            ended: None,
        }
    }

    async fn run(mut self: Box<Self>) {
        let timer = tokio::time::sleep_until(Instant::now().into());
        tokio::pin!(timer);
        let mut armed = None;
        loop {
            self.drain(Instant::now());
            if self.ended.is_some() {
                break;
            }
            let deadline = self.deadline();
            if let Some(at) = deadline
                && armed != Some(at)
            {
                timer.as_mut().reset(at.into());
                armed = Some(at);
            }
            let Self {
                desk,
                media,
                far,
                lines,
                ..
            } = &mut *self;
            let wake = tokio::select! {
                biased;
                () = timer.as_mut(), if deadline.is_some() => Wake::Timer,
                () = poll_fn(|cx| media.poll_readable(cx)) => Wake::Media,
                event = desk.leg.next(), if !desk.leg.is_ended() => Wake::Leg(event),
                Some(command) = desk.commands.recv() => Wake::Command(command),
                order = lines.orders.recv() => Wake::Order(order),
                news = poll_fn(|cx| far.poll(cx)) => Wake::Far(news),
            };
            if matches!(wake, Wake::Timer) {
                armed = None;
            }
            self.handle(Instant::now(), wake);
        }
        self.close().await;
    }

    fn deadline(&self) -> Option<Instant> {
        [
            self.media.poll_timeout(),
            self.far.poll_timeout(),
            self.ring_by,
            self.far_by,
            self.end_by,
            self.unheard_by,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn handle(&mut self, now: Instant, wake: Wake) {
        match wake {
            Wake::Timer => self.timeout(now),
            Wake::Media => self.media.receive(now),
            Wake::Leg(Some(event)) => self.leg_event(now, event),
            // The driver gave this call up: its events were not taken in time.
            Wake::Leg(None) => self.leg_over(&sip::EndCause::Overload),
            Wake::Command(command) => self.command(&command),
            Wake::Order(Some(order)) => self.order(now, order),
            // Nobody holds the call any more.
            Wake::Order(None) => self.give_up(EndReason::OperatorHungUp),
            Wake::Far(news) => self.far_news(now, news),
        }
    }

    fn command(&mut self, command: &CallCommand) {
        match command {
            CallCommand::HangUp(Requester::Operator) => self.give_up(EndReason::OperatorHungUp),
            CallCommand::HangUp(Requester::Shutdown) | CallCommand::Cut => {
                self.give_up(EndReason::Draining);
            }
            CallCommand::Panic => panic!("asked for by a test"),
            // There is no conversation here, and its audio is its holder's.
            CallCommand::Input(_) | CallCommand::Listen(_) | CallCommand::Person(_) => {}
        }
    }

    fn order(&mut self, now: Instant, order: CallOrder) {
        match order {
            CallOrder::Ring => {
                let rings = self.desk.timings.ring_ms.is_some();
                if self.answer.is_some() && !rings && self.desk.leg.ring() {
                    self.desk.rings(now);
                }
            }
            CallOrder::Answer(far) => {
                if self.desk.identity.inbound || self.phase > Phase::Open {
                    self.connect(now, far);
                } else {
                    self.chosen = Some(far);
                }
            }
            CallOrder::Reject(status) => {
                if self.answer.is_some() {
                    self.status = Some(status);
                    self.desk.leg.reject_with(status, EndReason::Rejected);
                    self.ended.get_or_insert(EndReason::Rejected);
                }
            }
            CallOrder::HangUp => self.give_up(EndReason::OperatorHungUp),
            CallOrder::Transfer(address) => self.transfer(address),
        }
    }

    fn transfer(&mut self, address: String) {
        if self.phase < Phase::Talking {
            self.tell(CallNews::TransferFailed("not answered".to_owned()));
            return;
        }
        let target = TransferTarget {
            mode: TransferMode::Refer,
            ..TransferTarget::new(String::new(), address)
        };
        let account = self.desk.line.config.account.as_ref();
        let domain = account.and_then(|account| account.aor.rsplit_once('@'));
        let domain = domain.map_or_else(
            || self.desk.identity.parties.peer.clone(),
            |(_, domain)| domain.to_owned(),
        );
        let to = refer_address(&self.desk.line, target.address.reveal(), &domain);
        let Some(to) = to else {
            self.tell(CallNews::TransferFailed(PREMIUM_REFUSED.to_owned()));
            return;
        };
        if !self.desk.leg.transfer(&target, &to) {
            self.leg_over(&sip::EndCause::Overload);
        }
    }

    /// Connects the far end; a call that came in is answered when it is there.
    fn connect(&mut self, now: Instant, far: FarEnd) {
        self.far = match far {
            FarEnd::Application(end) => Far::connecting(end, self.desk.calls.connector.clone()),
            FarEnd::Local(end) => Far::local(end),
        };
        if !matches!(self.far, Far::Connecting(_)) {
            self.far_is_there(now);
        }
    }

    fn far_is_there(&mut self, now: Instant) {
        self.far_by = None;
        if let Some(answer) = self.answer.take() {
            if answer.is_offer {
                self.desk.journal.note(now, Message::new("delayed_offer"));
            }
            if !self.desk.leg.answer(answer.sdp) {
                self.leg_over(&sip::EndCause::Overload);
                return;
            }
            self.answered(now);
            self.media.start(now);
        }
        self.is_active(now);
    }

    fn answered(&mut self, now: Instant) {
        self.phase = self.phase.max(Phase::Answered);
        self.ring_by = None;
        self.end_by = self.call_max.map(|max| now + max);
        self.desk.answered(now);
        self.tell(CallNews::Answered);
    }

    /// Audio flows between both ends, once both are there.
    fn is_active(&mut self, now: Instant) {
        if self.phase == Phase::Talking && self.far.is_there() && !self.active {
            self.active = true;
            self.media.hold_back(false);
            self.far.begin(now);
            self.tell(CallNews::Active);
        }
    }

    fn tell(&self, news: CallNews) {
        // An owner that takes nothing misses what is not the end.
        let _ = self.lines.news.try_send(news);
    }

    fn far_news(&mut self, now: Instant, news: FarNews) {
        match news {
            FarNews::Connected(application) => {
                self.far = Far::Application(application);
                self.far_is_there(now);
            }
            FarNews::Unreachable(detail) => {
                let message = Message::new("log_application_unreachable")
                    .with("call", self.desk.id().as_str())
                    .with("cause", detail.as_str());
                crate::log::say(&message);
                self.detail = Some(detail);
                self.end(EndReason::EngineUnavailable);
            }
            FarNews::Came => self.far.receive(now),
        }
    }

    fn timeout(&mut self, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.media.poll_timeout()) {
            self.media.handle_timeout(now);
        }
        self.far.handle_timeout(now);
        if is_due(self.end_by) {
            self.end(EndReason::MaxDuration);
        } else if is_due(self.unheard_by) {
            self.end(EndReason::MediaLost);
        } else if is_due(self.ring_by) {
            self.given_up = true;
            self.status = Some(408);
            self.end(EndReason::CallerCancelled);
        } else if is_due(self.far_by) {
            self.detail = Some("nothing to be connected with".to_owned());
            self.end(EndReason::EngineUnavailable);
        }
    }

    /// We end it, in whatever state it is.
    fn give_up(&mut self, reason: EndReason) {
        self.given_up = true;
        self.end(reason);
    }

    fn end(&mut self, reason: EndReason) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(reason);
        if self.answer.is_some() {
            let retry = reason
                .row()
                .retryable
                .then_some(self.desk.calls.retry_after_s);
            self.status = Some(reason.row().sip_status);
            self.desk.leg.reject(reason, retry);
        } else {
            self.desk.leg.hang_up(reason);
        }
    }

    /// Carries audio both ways until nothing is left to carry.
    fn drain(&mut self, now: Instant) {
        let form = self.media.form();
        while let Some(frame) = self.media.poll_frame() {
            if !self.active {
                continue;
            }
            let heard = Reform::between(&mut self.heard, form, FAR_FORM).convert(frame.audio);
            if let Ok(mut audio) = <[u8; media::frame::FRAME_SAMPLES]>::try_from(heard) {
                if let Some(gain) = &self.rx_gain {
                    gain.apply(&mut audio);
                }
                self.far.hear(now, &audio);
            }
        }
        while let Some(event) = self.media.poll_event() {
            self.stream_event(now, &event);
        }
        if let Err(reason) = agreement::note_ways(&self.desk.journal, now, &mut self.media) {
            self.end(reason);
        }
        if let Some(ended) = self
            .far
            .speak(now, &mut self.media, self.tx_gain.as_ref())
            .or_else(|| self.far.over(now))
        {
            self.end(ended);
        }
        self.media.transmit(now);
        self.far.played(&mut self.media);
        self.far.send();
    }

    fn stream_event(&mut self, now: Instant, event: &StreamEvent) {
        let journal = &self.desk.journal;
        match event {
            StreamEvent::Latched { from } => {
                let from = from.to_string();
                journal.event(now, Event::Latched { from });
            }
            StreamEvent::SourceRefused { from } => {
                let from = from.to_string();
                journal.event(now, Event::SourceRefused { from });
            }
            StreamEvent::Dtmf { digit, .. } => self.pressed(now, *digit),
            StreamEvent::KeyDue { digit, duration_ms } => {
                self.desk.leg.send_key(*digit, *duration_ms);
            }
            StreamEvent::MediaLost { since_ms } => {
                journal.event(
                    now,
                    Event::MediaLost {
                        ms: (*since_ms).into(),
                    },
                );
                if !self.media.is_held() {
                    self.unheard_by = Some(now + UNHEARD_MAX);
                }
            }
            StreamEvent::MediaResumed => {
                journal.event(now, Event::MediaResumed);
                self.unheard_by = None;
            }
            StreamEvent::SrtpFailure { count } => {
                journal.note(now, Message::new("srtp_failures").with("count", *count));
            }
            StreamEvent::Playout(_) | StreamEvent::Bye => {}
        }
    }

    fn pressed(&mut self, now: Instant, digit: char) {
        let sent = false;
        self.desk.journal.event(now, Event::Dtmf { digit, sent });
        self.far.press(digit);
    }

    /// Tells the end, frees what the call held, and writes its record.
    async fn close(mut self: Box<Self>) {
        let now = Instant::now();
        let reason = self.ended.unwrap_or(EndReason::Internal);
        self.last_news.send(CallNews::Ended(CallEnding {
            reason,
            answered: self.phase > Phase::Open,
            status: self.status,
            given_up: self.given_up,
            detail: self.detail.take(),
        }));
        self.media.stop(now);
        self.media.transmit(now);
        let figures = self.media.statistics(now);
        let mut statistics = json!({
            "codec": self.media.codec().name(),
            "rtp": {
                "packets_sent": figures.packets_sent,
                "packets_received": figures.packets_received,
                "packets_lost": figures.packets_lost,
                "packets_late": figures.packets_late,
                "concealed_ms": figures.concealed_ms,
                "jitter_ms_max": figures.jitter_ms_max,
                "round_trip_ms": figures.round_trip_ms,
                "mos": figures.mos,
                "erle_db": figures.erle_db,
            },
        });
        statistics["far_end"] = self.far.figures();
        self.far.close().await;
        self.media.close().await;
        let ending = Ending {
            reason,
            ended_at: self.desk.wall(Instant::now()),
            statistics: Some(statistics),
            recording: None,
            service: None,
        };
        self.desk.finish(ending).await;
    }
}

/// A call and the other end of its lines.
pub(crate) fn lines(id: &call::CallId) -> (PatchedCall, Lines) {
    let (orders, order_queue) = mpsc::channel(crate::switchboard::ORDERS_MAX);
    let (news, news_queue) = mpsc::channel(crate::switchboard::NEWS_MAX);
    let call = PatchedCall {
        id: id.clone(),
        orders: crate::switchboard::CallOrders(orders),
        news: news_queue,
    };
    let lines = Lines {
        orders: order_queue,
        news,
    };
    (call, lines)
}

/// The time for something to be connected with begins.
fn far_end_due(now: Instant) -> Option<Instant> {
    Some(now + FAR_END_WITHIN)
}

/// An [`Arc`] of the item's name.
fn item(segment: u64) -> media::ItemKey {
    Arc::from(format!("far:{segment}"))
}
