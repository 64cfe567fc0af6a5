//! One task per call, with the only `select!` of the call path.
//!
//! It waits for the leg, the audio sockets, the engine's socket, an operator or the clock; hands what came to the pure rooms;
//! then drains them all until none has anything left to say. No policy is here: what to do is decided by `call::Session`,
//! what to send by `media::Stream` and `wire::realtime::Conversation`.

mod agreement;
mod answering;
mod clock;
pub(crate) mod closing;
pub(crate) mod consult;
pub(crate) mod desk;
mod effects;
pub(crate) mod engine_events;
mod failover;
mod leg_events;
mod listeners;
mod measuring;
mod media_events;
pub(crate) mod office;
mod opening;
pub(crate) mod patched;
pub(crate) mod placed;
mod preparation;
mod privacy;
mod second_leg;
mod takeover;
mod transfer;
pub(crate) mod typed;
mod vouching;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use call::{EndReason, Input, Session};
use media::{Form, ItemKey, Reform};
use tokio::sync::mpsc;
use wire::realtime::Usage;

use crate::calls::placing::{Awaited, Placed};
use crate::calls::{CallCommand, Calls, Identity};
use crate::dispatch::Line;
use crate::engine_link::{EngineLink, LinkEvent};
use crate::journal::CallJournal;
use crate::leg::Leg;
use crate::leg::audio::LegAudio;
use crate::leg::carrier::CarrierMedia;
use crate::leg::media::MediaLeg;
use crate::leg::page::PageMedia;
use crate::limits::STATISTICS_EVERY;
use crate::quality::Meter;
use crate::recorder::Recording;
use crate::sip_driver::LegEvent;
use crate::stir::Asked;
use answering::Answerers;
use clock::Clock;
use closing::Spoken;
use desk::{Desk, Ending, History, UnfinishedWords};
use listeners::Listeners;
use office::{Office, ToolReplied};
use opening::Opening;
pub(crate) use preparation::Preparation;
use privacy::Privacy;
use second_leg::{SecondLegs, SecondWake, Waiting};

/// Items whose late audio is dropped after they were cleared; older ones are forgotten.
const CLEARED_ITEMS_MAX: usize = 16;

/// How a call begins.
pub(crate) enum Start {
    /// An INVITE came.
    Incoming {
        offer: Option<Vec<u8>>,
        /// Where it came from, and by what.
        source: (SocketAddr, sip::Protocol),
        /// What is said of the caller's number, where the line asks.
        asked: Option<Box<Asked>>,
    },
    /// Our INVITE left, with the offer of this leg.
    Outgoing {
        media: Box<MediaLeg>,
        placed: Placed,
    },
    /// A carrier rings for us, and brings the audio when it is answered.
    Awaited { awaited: Awaited, placed: Placed },
    /// A carrier brings the call: it is answered there, and its audio flows.
    Stream { media: Box<CarrierMedia> },
    /// A page is connected: its audio flows.
    Page { media: Box<PageMedia> },
}

/// What waits to be said in the answer.
struct Answer {
    sdp: Vec<u8>,
    /// It is an offer of ours (the INVITE had none): the ACK brings the answer.
    is_offer: bool,
}

impl Answer {
    /// Where the answer is the stream's own.
    const OF_A_STREAM: Self = Self {
        sdp: Vec::new(),
        is_offer: false,
    };
}

/// The task of one call.
pub(crate) struct CallTask {
    desk: Desk,
    session: Session,
    media: LegAudio,
    /// The person whom the caller is handed to.
    second: SecondLegs,
    /// The caller's parking places.
    waiting: Waiting,
    link: EngineLink,
    /// Form of the audio that goes to the link and comes from it, fixed when the session was configured.
    engine_form: Form,
    /// Where a re-negotiation gave the leg another form than the engine was promised.
    upward: Option<Reform>,
    downward: Option<Reform>,
    answer: Option<Answer>,
    recording: Option<Recording>,
    history: History,
    clock: Clock,
    /// Reads what the network does to the caller's leg.
    meter: Meter,
    /// The item whose audio came last, to notice the first audio of the next.
    speaking: Option<ItemKey>,
    cleared: Vec<ItemKey>,
    unfinished_words: UnfinishedWords,
    usage: Usage,
    ended: Option<EndReason>,
    privacy: Privacy,
    listeners: Listeners,
    /// What the call asks of the back office; none for an agent of the settings.
    office: Option<Office>,
    /// A message put before the first response.
    opening_words: Option<String>,
    /// Who answers a call of ours, where that is asked.
    answerers: Option<Answerers>,
    /// Sounds of the first words: found, or to be kept.
    opening: Option<Box<Opening>>,
    /// What the leg told before there was a session.
    backlog: Vec<LegEvent>,
    spoken: Spoken,
}

enum Wake {
    Timer,
    Media,
    Leg(Option<LegEvent>),
    Command(CallCommand),
    Engine(LinkEvent),
    Tool(ToolReplied),
    Second(SecondWake),
}

impl CallTask {
    /// The parts of a call that exist from its first moment.
    pub(crate) fn prepare(
        calls: &Arc<Calls>,
        line: Arc<Line>,
        identity: Identity,
        journal: CallJournal,
        leg: Leg,
        commands: mpsc::Receiver<CallCommand>,
    ) -> Box<Preparation> {
        Box::new(Preparation::new(Desk::new(
            Arc::clone(calls),
            line,
            identity,
            journal,
            leg,
            commands,
        )))
    }

    /// Runs the call to its end and closes its record. The call stands in one place and its end has a place of its own: what a future
    /// holds is what a call costs in memory.
    async fn run(mut self: Box<Self>) {
        let timer = tokio::time::sleep_until(Instant::now().into());
        tokio::pin!(timer);
        let mut armed = None;
        for event in std::mem::take(&mut self.backlog) {
            self.leg_event(Instant::now(), event);
        }
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
                link,
                office,
                second,
                ..
            } = &mut *self;
            let wake = tokio::select! {
                biased;
                () = timer.as_mut(), if deadline.is_some() => Wake::Timer,
                () = poll_fn(|cx| media.poll_readable(cx)) => Wake::Media,
                event = desk.leg.next(), if !desk.leg.is_ended() => Wake::Leg(event),
                Some(command) = desk.commands.recv() => Wake::Command(command),
                event = poll_fn(|cx| link.poll(Instant::now(), cx)) => Wake::Engine(event),
                reply = Office::reply(office) => Wake::Tool(reply),
                news = second.next() => Wake::Second(news),
            };
            if matches!(wake, Wake::Timer) {
                armed = None;
            }
            self.handle(Instant::now(), wake);
        }
        Box::pin(self.close()).await;
    }

    fn deadline(&self) -> Option<Instant> {
        [
            self.session.poll_timeout(),
            self.media.poll_timeout(),
            self.second.poll_timeout(),
            self.link.poll_timeout(),
            self.clock.statistics_due,
            self.answerers.as_ref().and_then(Answerers::poll_timeout),
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
            Wake::Leg(None) => self.leg_over(now, &sip::EndCause::Overload),
            Wake::Command(CallCommand::HangUp(by)) => {
                self.session.handle(now, Input::HangUpRequested { by })
            }
            Wake::Command(CallCommand::Input(input)) => self.session.handle(now, input),
            Wake::Command(CallCommand::Listen(reply)) => self.listen(reply),
            Wake::Command(CallCommand::Person(command)) => self.person_command(now, command),
            Wake::Tool(reply) => self.tool_replied(now, reply),
            Wake::Command(CallCommand::Cut) => self.cut(now),
            Wake::Command(CallCommand::Panic) => panic!("asked for by a test"),
            Wake::Engine(event) => self.link_event(now, event),
            Wake::Second(news) => self.second_news(now, news),
        }
    }

    /// The process cannot wait any longer.
    fn cut(&mut self, now: Instant) {
        let reason = EndReason::Draining;
        self.ask(now, |task| task.desk.leg.hang_up(reason));
        self.ended.get_or_insert(reason);
    }

    fn timeout(&mut self, now: Instant) {
        if self.media.poll_timeout().is_some_and(|at| at <= now) {
            self.media.handle_timeout(now);
        }
        self.second.handle_timeout(now);
        self.announcement_timeout(now);
        self.parking_timeout(now);
        self.answerer_timeout(now);
        if self.session.poll_timeout().is_some_and(|at| at <= now) {
            self.session.handle(now, Input::Timeout);
        }
        if self.link.poll_timeout().is_some_and(|at| at <= now)
            && let Some(event) = self.link.check(now)
        {
            self.link_event(now, event);
        }
        if self.clock.statistics_due.is_some_and(|at| at <= now) {
            self.clock.statistics_due = Some(now + STATISTICS_EVERY);
            // Minutes cost too, also where no model speaks.
            self.watch_budget(now);
            self.statistics(now, false);
            self.measure(now);
            self.desk.journal.packets_of(self.media.tap());
            self.second.keep_packets(&self.desk.journal);
            self.link.pack(self.desk.calls.packed_ms());
        }
    }

    /// Drains the pure rooms until none has anything left: each may wake another.
    fn drain(&mut self, now: Instant) {
        loop {
            let mut busy = self.drain_media(now);
            busy |= self.drain_second(now);
            busy |= self.drain_answerer(now);
            busy |= self.drain_engine(now);
            while let Some(effect) = self.session.poll_effect() {
                self.effect(now, effect);
                busy = true;
            }
            if !busy {
                break;
            }
        }
        self.tell_person();
        self.media.transmit(now);
        self.second.transmit(now);
        self.link.flush();
    }

    /// Frees what the call held and writes its record.
    async fn close(mut self: Box<Self>) {
        let now = Instant::now();
        self.link.close(crate::engine_link::Which::Current);
        self.link.close(crate::engine_link::Which::Next);
        self.media.stop(now);
        self.media.transmit(now);
        self.listeners.close();
        self.statistics(now, true);
        self.measure(now);
        let reason = self.ended.unwrap_or(EndReason::Internal);
        self.second.close(now, &self.desk.journal).await;
        self.desk.journal.last_packets_of(self.media.tap());
        let statistics = self.summary(now);
        let recording = self.recording.take();
        // Ports go to rest before the record is written: a slow disk must not hold them.
        let wall = self.desk.wall(now);
        let service = self.service(reason, (now, wall)).await;
        self.media.close().await;
        let ending = Ending {
            reason,
            ended_at: wall,
            statistics: Some(statistics),
            recording,
            service,
        };
        self.desk.finish(ending).await;
    }
}
