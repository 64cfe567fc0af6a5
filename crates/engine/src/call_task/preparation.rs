//! A call before its conversation: media, the questions that are asked while it rings, and the plan that they lead to.
//!
//! The engine's connection is begun at the same time, so that the slower of the two decides when the caller is answered. The
//! caller may leave, and a person may end the call, at every moment of it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use agent::{CallBrain, PlacedEvent};
use call::{EndReason, Profile, Requester, Session, SessionStart};
use catalog::Message;
use store::Event;
use store::journal::Milestone;
use wire::realtime::Usage;

use super::answering::Answerers;
use super::clock::Clock;
use super::closing::{Spoken, assignment};
use super::consult::{self, Plan, Verdict, terms};
use super::desk::{Desk, History, UnfinishedWords};
use super::failover::NextAccount;
use super::listeners::Listeners;
use super::office::Office;
use super::opening::Opening;
use super::placed::{self, NoStream};
use super::privacy::Privacy;
use super::second_leg::{SecondLegs, Waiting};
use super::{Answer, CallTask, Start};
use crate::calls::placing::{Awaited, Placed};
use crate::calls::{CallCommand, Dialled};
use crate::config::{AgentConfig, OfficeConfig};
use crate::engine_link::{Connecting, EngineLink};
use crate::journal::Service;
use crate::leg::audio::LegAudio;
use crate::leg::media::{LegIdentity, MediaLeg};
use crate::leg::negotiation::{self, Towards};
use crate::leg::way::Servers;
use crate::leg::{exact_reason, leg_end};
use crate::limits::LEG_EVENTS_MAX;
use crate::quality::Meter;
use crate::realtime_client::connect;
use crate::sip_driver::LegEvent;
use crate::stir::Refusal;

/// A call before its media and session exist.
pub(crate) struct Preparation {
    pub(super) desk: Desk,
    pub(super) backlog: Vec<LegEvent>,
    placed: Option<Placed>,
    /// How the call is refused where nobody vouches for its caller.
    pub(super) refusal: Option<Refusal>,
}

/// The audio of a call, or what brings it.
enum Audio {
    Here(LegAudio),
    Awaited(Awaited),
}

/// How the preparation ended.
enum Prepared {
    Go(Box<(Plan, Office, LegAudio)>, Option<Connecting>),
    /// Refused by us.
    Refused(EndReason, Option<Service>),
    /// The leg is over.
    Left(EndReason, Option<Service>),
}

impl Preparation {
    pub(super) fn new(desk: Desk) -> Self {
        Self {
            desk,
            backlog: Vec::new(),
            placed: None,
            refusal: None,
        }
    }

    /// For a call of ours: whom it goes to, and by whom else it may.
    pub(crate) fn with_backups(mut self: Box<Self>, dialled: Dialled) -> Box<Self> {
        self.desk.dialled = dialled;
        self
    }

    /// The whole call. What only its preparation needs is given back before the conversation.
    pub(crate) async fn run(self: Box<Self>, start: Start) {
        if let Some(task) = Box::pin(self.begin(start)).await {
            task.run().await;
        }
    }

    /// Makes media and session. `None` when the call was refused or left: its record is written then.
    async fn begin(mut self: Box<Self>, start: Start) -> Option<Box<CallTask>> {
        let now = Instant::now();
        self.desk.milestone(now, Milestone::Invited);
        let prepared = self.audio_of(now, start).await;
        let (audio, answer) = match prepared {
            Ok(prepared) => prepared,
            Err(reason) => {
                self.refuse(reason, None).await;
                return None;
            }
        };
        let agent = Arc::clone(&self.desk.line.agent);
        let Some(office) = &agent.config.office else {
            let media = match audio {
                Audio::Here(media) => Ok(media),
                Audio::Awaited(awaited) => self.await_stream(awaited, None).await,
            };
            return match media {
                Ok(media) => {
                    let task = self.open(media, answer, agent.config.clone(), None);
                    Some(Box::new(task))
                }
                Err(NoStream::Refused(reason)) => {
                    self.refuse(reason, None).await;
                    None
                }
                Err(NoStream::Left(reason)) => {
                    self.desk.close(reason, None).await;
                    None
                }
            };
        };
        match self.prepare(office, audio).await {
            Prepared::Go(prepared, connecting) => {
                let mut task = self.open_with(*prepared, answer, &agent.config).await;
                if let Some(connecting) = connecting {
                    task.link.use_connection(connecting);
                }
                Some(Box::new(task))
            }
            Prepared::Refused(reason, service) => {
                self.refuse(reason, service).await;
                None
            }
            Prepared::Left(reason, service) => {
                self.desk.close(reason, service).await;
                None
            }
        }
    }

    /// The audio of a call, or what brings it, with what waits to be said in the answer.
    async fn audio_of(
        &mut self,
        now: Instant,
        start: Start,
    ) -> Result<(Audio, Option<Answer>), EndReason> {
        let stream_answer = || Answer::OF_A_STREAM;
        match start {
            Start::Outgoing { media, placed } => {
                self.placed = Some(placed);
                Ok((Audio::Here(LegAudio::Rtp(media)), None))
            }
            Start::Awaited { awaited, placed } => {
                self.placed = Some(placed);
                Ok((Audio::Awaited(awaited), Some(stream_answer())))
            }
            Start::Stream { media } => {
                let media = LegAudio::Carrier(media);
                Ok((Audio::Here(media), Some(stream_answer())))
            }
            Start::Page { media } => {
                Ok((Audio::Here(LegAudio::Page(media)), Some(stream_answer())))
            }
            Start::Incoming {
                offer,
                source,
                asked,
            } => match self.vouched(asked.as_deref()).await {
                Ok(()) => {
                    let media = self.incoming(now, offer.as_deref(), source).await;
                    media.map(|(media, answer)| (Audio::Here(media), answer))
                }
                Err(reason) => Err(reason),
            },
        }
    }

    /// The session of a plan, with the sounds of its first words where they were made before.
    async fn open_with(
        self,
        (plan, office, media): (Plan, Office, LegAudio),
        answer: Option<Answer>,
        agent: &AgentConfig,
    ) -> CallTask {
        let mut config = plan.apply(agent);
        let of_call = (&*self.desk.calls, &self.desk.identity);
        let opening = Opening::find(of_call, &plan, &mut config, media.form()).await;
        let answerers = office.brain.answering().map(terms).map(Answerers::new);
        let mut task = self.open(media, answer, config, Some(office));
        task.answerers = answerers;
        task.opening = opening.map(Box::new);
        task.opening_words = plan.opening_words;
        task
    }

    pub(super) async fn refuse(mut self, reason: EndReason, service: Option<Service>) {
        let retry = reason
            .row()
            .retryable
            .then_some(self.desk.calls.retry_after_s);
        if let Some(refusal) = self.refusal.take() {
            self.desk.leg.reject_saying(refusal.status, refusal.reason);
        } else if self.placed.is_some() {
            self.desk.leg.hang_up(reason);
        } else {
            self.desk.leg.reject(reason, retry);
        }
        self.desk.close(reason, service).await;
    }

    /// Rings, and asks what has to be asked, while the engine's connection is made.
    async fn prepare(&mut self, office: &OfficeConfig, mut audio: Audio) -> Prepared {
        if self.desk.identity.inbound {
            self.ring();
        }
        let assigned = assignment(office, self.desk.leg.carrier());
        self.desk.journal.assign(assigned);
        let mut brain = CallBrain::new(Arc::clone(&office.agent), self.desk.facts());
        self.begin_placed(&mut brain);
        let calls = Arc::clone(&self.desk.calls);
        let target = Arc::clone(&self.desk.line.agent.target);
        let mut connecting: Option<Connecting> =
            Some(Box::pin(connect(target, calls.connector.clone())));
        let asked = {
            let Desk {
                leg,
                commands,
                journal,
                identity,
                dialled,
                ..
            } = &mut self.desk;
            let question = consult::consult(&calls, identity, office, &mut brain, journal);
            tokio::pin!(question);
            loop {
                let wake = tokio::select! {
                    biased;
                    event = leg.next() => Wake::Leg(event),
                    Some(command) = commands.recv() => Wake::Command(command),
                    verdict = &mut question => Wake::Verdict(verdict),
                    () = poll_fn(|cx| audio.poll_readable(cx)) => Wake::Media,
                    () = poll_fn(|cx| poll_connection(&mut connecting, cx)) => continue,
                };
                let wake = if matches!(wake, Wake::Media) {
                    let Some(event) = audio.news() else {
                        continue;
                    };
                    Wake::Leg(Some(event))
                } else {
                    wake
                };
                let next = NextAccount::new(&calls, leg, dialled, journal);
                if !identity.inbound && took_over(next, &wake, &self.backlog, &mut audio) {
                    continue;
                }
                match wake {
                    Wake::Leg(Some(event)) if self.backlog.len() < LEG_EVENTS_MAX => {
                        let over = over(&event);
                        self.backlog.push(event);
                        if let Some(reason) = over {
                            break Err(NoStream::Left(reason));
                        }
                    }
                    Wake::Leg(_) => break Err(NoStream::Left(EndReason::Overload)),
                    Wake::Command(command) => {
                        if let Some(reason) = ends(&command) {
                            break Err(NoStream::Refused(reason));
                        }
                    }
                    Wake::Verdict(Verdict::Refuse(reason)) => break Err(NoStream::Refused(reason)),
                    Wake::Verdict(Verdict::Go(plan)) => break Ok(plan),
                    Wake::Media => {}
                }
            }
        };
        self.note_backlog();
        self.conclude(office, brain, asked.map(|plan| (*plan, connecting)), audio)
            .await
    }

    /// What the answers lead to, once there is audio.
    async fn conclude(
        &mut self,
        office: &OfficeConfig,
        mut brain: CallBrain,
        asked: Result<(Plan, Option<Connecting>), NoStream>,
        audio: Audio,
    ) -> Prepared {
        let ready = match (asked, audio) {
            (Err(over), _) => Err(over),
            (Ok(plan), Audio::Here(media)) => Ok((plan, media)),
            (Ok(plan), Audio::Awaited(awaited)) => {
                let media = self.await_stream(awaited, Some(&mut brain)).await;
                // The carrier's name of the call is known by now.
                let assigned = assignment(office, self.desk.leg.carrier());
                self.desk.journal.assign(assigned);
                media.map(|media| (plan, media))
            }
        };
        let call = self.desk.id().as_str();
        match ready {
            Ok(((plan, connecting), media)) => {
                let of_call = (&self.desk.calls, &self.desk.identity);
                let office = Office::new(brain, office, of_call, plan.left_micro);
                let connecting = connecting.filter(|_| !plan.without_engine());
                Prepared::Go(Box::new((plan, office, media)), connecting)
            }
            Err(NoStream::Refused(reason)) => {
                Prepared::Refused(reason, Some(placed::unserved(&brain, call, reason)))
            }
            Err(NoStream::Left(reason)) => {
                Prepared::Left(reason, placed::unanswered(&brain, call, reason))
            }
        }
    }

    /// What was asked for together with the call, as far as the agent is to know it.
    fn begin_placed(&mut self, brain: &mut CallBrain) {
        let placement = self
            .placed
            .as_mut()
            .and_then(|placed| placed.placement.take());
        if let Some(placement) = placement {
            brain.place(placement);
            let journal = &self.desk.journal;
            placed::tell(journal, brain, PlacedEvent::Initiated, "initiated");
        }
    }

    /// Writes what came of the leg meanwhile; what the session must know of it stays.
    pub(super) fn note_backlog(&mut self) {
        let traces = self.backlog.extract_if(.., |event| {
            matches!(event, LegEvent::Trace(_) | LegEvent::Ended { .. })
        });
        for event in traces.collect::<Vec<_>>() {
            if let LegEvent::Trace(trace) = event {
                self.desk.trace(Instant::now(), &trace);
            } else {
                self.desk.leg.set_ended();
            }
        }
    }

    /// Rings, unless it does already.
    pub(super) fn ring(&mut self) {
        if self.desk.timings.ring_ms.is_none() {
            self.desk.leg.ring();
            self.desk.rings(Instant::now());
        }
    }

    pub(super) async fn incoming(
        &mut self,
        now: Instant,
        offer: Option<&[u8]>,
        (source, protocol): (SocketAddr, sip::Protocol),
    ) -> Result<(LegAudio, Option<Answer>), EndReason> {
        let calls = Arc::clone(&self.desk.calls);
        let line = Arc::clone(&self.desk.line);
        let towards = Towards::peer(&line.config, protocol.is_websocket(), offer.is_none());
        if Servers::must_ask(towards.line(), &calls.rtp, source) {
            self.ring();
        }
        let mut pair = calls.ports.allocate(now).map_err(|error| {
            self.desk.journal.note(
                now,
                Message::new("no_rtp_port").with("cause", format!("{error:?}")),
            );
            EndReason::Overload
        })?;
        let asking = calls
            .servers
            .announce(towards.line(), &calls.rtp, &mut pair, source);
        let (announced, news) = asking.await;
        let now = Instant::now();
        if let Some(news) = news {
            self.desk.journal.note(now, news);
        }
        let local = towards.local_media(announced);
        let cname = self.desk.identity.id.as_str();
        let identity = LegIdentity {
            keypad: self.desk.line.config.keypad,
            treatment: self.desk.line.config.treatment,
            signalling: Some(source.ip()),
            cname,
            seed: crate::random::seed(),
            capture: calls.rtp.capture,
        };
        let Some(offer) = offer else {
            let (media, sdp) = MediaLeg::offer(now, pair, local, &identity);
            return Ok((
                LegAudio::Rtp(Box::new(media)),
                Some(Answer {
                    sdp,
                    is_offer: true,
                }),
            ));
        };
        match MediaLeg::answer(now, pair, local, offer, &identity) {
            Ok((media, sdp, agreed)) => {
                let decision = negotiation::accepted(&agreed, media.local(), true);
                self.desk.journal.event(now, Event::SdpDecision(decision));
                Ok((
                    LegAudio::Rtp(Box::new(media)),
                    Some(Answer {
                        sdp,
                        is_offer: false,
                    }),
                ))
            }
            Err(why) => {
                self.desk
                    .journal
                    .event(now, Event::SdpDecision(negotiation::refused(&why, true)));
                Err(negotiation::end_reason(&why))
            }
        }
    }

    fn open(
        self,
        mut media: LegAudio,
        answer: Option<Answer>,
        agent: AgentConfig,
        office: Option<Office>,
    ) -> CallTask {
        let now = Instant::now();
        let desk = self.desk;
        let form = media.form();
        media.set_media_timeout_ms(desk.calls.rtp.media_timeout_ms);
        let may_record = office
            .as_ref()
            .is_none_or(|office| office.brain.is_recordable());
        if let Some(tap) = media.tap().filter(|_| may_record) {
            tap.allow_voices();
        }
        let mut link = EngineLink::new(
            &agent,
            Arc::clone(&desk.line.agent.target),
            desk.line.agent.fallback.clone(),
            desk.calls.connector.clone(),
            form,
        );
        link.pack(desk.calls.packed_ms());
        let start = SessionStart {
            // A carrier connects the stream once the other side has answered: from there both directions are the same.
            inbound: desk.identity.inbound || matches!(media, LegAudio::Carrier(_)),
            ring_ms: ring_ms_left(self.placed.as_ref(), desk.since_start_ms(now)),
        };
        let profile: Profile = agent.profile;
        CallTask {
            session: Session::new(now, profile, start),
            media,
            second: SecondLegs::default(),
            waiting: Waiting::default(),
            link,
            engine_form: form,
            upward: None,
            downward: None,
            answer,
            recording: None,
            history: History::default(),
            clock: Clock::default(),
            meter: Meter::default(),
            speaking: None,
            cleared: Vec::new(),
            unfinished_words: UnfinishedWords::default(),
            usage: Usage::default(),
            ended: None,
            privacy: Privacy::default(),
            listeners: Listeners::default(),
            office,
            opening_words: None,
            answerers: None,
            opening: None,
            backlog: self.backlog,
            spoken: Spoken::default(),
            desk,
        }
    }
}

enum Wake {
    Media,
    Leg(Option<LegEvent>),
    Command(CallCommand),
    Verdict(Verdict),
}

impl Audio {
    fn poll_readable(&mut self, cx: &mut std::task::Context<'_>) -> Poll<()> {
        match self {
            Self::Here(media) => media.poll_readable(cx),
            // It is not looked at before the questions are answered.
            Self::Awaited(_) => Poll::Pending,
        }
    }

    fn here(&mut self) -> Option<&mut LegAudio> {
        match self {
            Self::Here(media) => Some(media),
            Self::Awaited(_) => None,
        }
    }

    /// Takes what waits, and the end of a leg whose audio is its signalling.
    fn news(&mut self) -> Option<LegEvent> {
        match self {
            Self::Here(media) => {
                media.receive(Instant::now());
                media.poll_leg()
            }
            Self::Awaited(_) => None,
        }
    }
}

/// True where the leg ended without anybody reached, and the next account calls.
fn took_over(next: NextAccount<'_>, wake: &Wake, backlog: &[LegEvent], audio: &mut Audio) -> bool {
    let Wake::Leg(Some(LegEvent::Ended { cause })) = wake else {
        return false;
    };
    !rang(backlog) && next.try_after(Instant::now(), cause, audio.here())
}

/// Whether the other side rang, or spoke before it answered.
fn rang(backlog: &[LegEvent]) -> bool {
    backlog.iter().any(|event| {
        let is_progress = matches!(event, LegEvent::Progress { status } if *status > 100);
        let is_answer = matches!(
            event,
            LegEvent::Accepted { .. } | LegEvent::Established { .. }
        );
        is_progress || is_answer
    })
}

/// What is left of the time that a call may ring.
fn ring_ms_left(placed: Option<&Placed>, passed_ms: u32) -> Option<u32> {
    let ring_ms = placed?.ring_ms?;
    Some(ring_ms.saturating_sub(passed_ms).max(1))
}

/// Lets the connection come about; one that failed is made again by the session, which knows how often to try.
fn poll_connection(
    connecting: &mut Option<Connecting>,
    cx: &mut std::task::Context<'_>,
) -> Poll<()> {
    let Some(future) = connecting else {
        return Poll::Pending;
    };
    match future.as_mut().poll(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(socket)) => {
            *connecting = Some(Box::pin(std::future::ready(Ok(socket))));
            // What is made is kept as it is until the session takes it: nothing more is to be waited for.
            Poll::Pending
        }
        Poll::Ready(Err(_)) => {
            *connecting = None;
            Poll::Pending
        }
    }
}

/// The end of the leg, in the words of the record.
pub(super) fn over(event: &LegEvent) -> Option<EndReason> {
    let LegEvent::Ended { cause } = event else {
        return None;
    };
    Some(end_of_leg(cause))
}

/// How a leg ended that nothing of ours ended.
pub(super) fn end_of_leg(cause: &sip::EndCause) -> EndReason {
    let usual = match leg_end(cause) {
        call::LegEnd::Cancelled => EndReason::CallerCancelled,
        call::LegEnd::RemoteHangUp => EndReason::CallerHungUp,
        call::LegEnd::TransportLost => EndReason::TransportLost,
        call::LegEnd::Lost
        | call::LegEnd::SessionExpired
        | call::LegEnd::AckMissing
        | call::LegEnd::Failed => EndReason::LegFailed,
    };
    exact_reason(cause).unwrap_or(usual)
}

/// Whether a command ends a call that only rings.
pub(super) fn ends(command: &CallCommand) -> Option<EndReason> {
    match command {
        CallCommand::HangUp(Requester::Operator) => Some(EndReason::OperatorHungUp),
        CallCommand::HangUp(Requester::Shutdown) | CallCommand::Cut => Some(EndReason::Draining),
        CallCommand::Panic => panic!("asked for by a test"),
        // There is nothing to hear yet, and nobody to be told.
        CallCommand::Input(_) | CallCommand::Listen(_) | CallCommand::Person(_) => None,
    }
}
