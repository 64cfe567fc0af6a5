//! A call before its conversation: media, the questions that are asked while it rings, and the plan that they lead to.
//!
//! The engine's connection is begun at the same time, so that the slower of the two decides when the caller is answered. The
//! caller may leave, and a person may end the call, at every moment of it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use agent::CallBrain;
use call::{EndReason, Profile, Requester, Session, SessionStart};
use catalog::Message;
use store::journal::Milestone;
use store::{CallAssignment, Event};
use wire::realtime::Usage;

use super::closing::Spoken;
use super::consult::{self, Plan, Verdict};
use super::desk::{Desk, History, UnfinishedWords};
use super::office::Office;
use super::privacy::Privacy;
use super::{Answer, CallTask, Clock, Start};
use crate::calls::CallCommand;
use crate::config::{AgentConfig, OfficeConfig};
use crate::engine_link::{Connecting, EngineLink};
use crate::leg::audio::LegAudio;
use crate::leg::media::{LegIdentity, MediaLeg, local_address};
use crate::leg::{Leg, exact_reason, leg_end, negotiation};
use crate::limits::LEG_EVENTS_MAX;
use crate::realtime_client::connect;
use crate::sip_driver::LegEvent;

/// A call before its media and session exist.
pub(crate) struct Preparation {
    pub(super) desk: Desk,
    backlog: Vec<LegEvent>,
}

/// How the preparation ended.
enum Prepared {
    Go(Box<(Plan, Office)>, Option<Connecting>),
    /// Refused by us.
    Refused(EndReason),
    /// The leg is over.
    Left(EndReason),
}

impl Preparation {
    pub(super) fn new(desk: Desk) -> Self {
        Self {
            desk,
            backlog: Vec::new(),
        }
    }

    /// Makes media and session. `None` when the call was refused or left: its record is written then.
    pub(crate) async fn begin(mut self, start: Start) -> Option<CallTask> {
        let now = Instant::now();
        self.desk.milestone(now, Milestone::Invited);
        let prepared = match start {
            Start::Outgoing { media } => Ok((LegAudio::Rtp(media), None)),
            Start::Stream { media } => {
                let answer = Answer {
                    sdp: Vec::new(),
                    is_offer: false,
                };
                Ok((LegAudio::Carrier(media), Some(answer)))
            }
            Start::Incoming { offer, source } => self.incoming(now, offer.as_deref(), source),
        };
        let (mut media, answer) = match prepared {
            Ok(prepared) => prepared,
            Err(reason) => {
                self.refuse(reason).await;
                return None;
            }
        };
        let agent = Arc::clone(&self.desk.line.agent);
        let Some(office) = &agent.config.office else {
            return Some(self.open(media, answer, agent.config.clone(), None));
        };
        match self.prepare(office, &mut media).await {
            Prepared::Go(prepared, connecting) => {
                let (plan, office) = *prepared;
                let config = plan.apply(&agent.config);
                let mut task = self.open(media, answer, config, Some(office));
                task.opening_words = plan.opening_words;
                if let Some(connecting) = connecting {
                    task.link.use_connection(connecting);
                }
                Some(task)
            }
            Prepared::Refused(reason) => {
                self.refuse(reason).await;
                None
            }
            Prepared::Left(reason) => {
                self.desk.close(reason).await;
                None
            }
        }
    }

    pub(super) async fn refuse(mut self, reason: EndReason) {
        let retry = reason
            .row()
            .retryable
            .then_some(self.desk.calls.retry_after_s);
        self.desk.leg.reject(reason, retry);
        self.desk.close(reason).await;
    }

    /// Rings, and asks what has to be asked, while the engine's connection is made.
    async fn prepare(&mut self, office: &OfficeConfig, media: &mut LegAudio) -> Prepared {
        if self.desk.identity.inbound {
            self.desk.leg.ring();
            self.desk.rings(Instant::now());
        }
        let assigned = assignment(office, &self.desk.leg);
        self.desk.journal.assign(assigned);
        let mut brain = CallBrain::new(Arc::clone(&office.agent), self.desk.facts());
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
                    () = poll_fn(|cx| media.poll_readable(cx)) => Wake::Media,
                    () = poll_fn(|cx| poll_connection(&mut connecting, cx)) => continue,
                };
                let wake = if matches!(wake, Wake::Media) {
                    let Some(event) = media_news(media) else {
                        continue;
                    };
                    Wake::Leg(Some(event))
                } else {
                    wake
                };
                match wake {
                    Wake::Leg(Some(event)) if self.backlog.len() < LEG_EVENTS_MAX => {
                        let over = over(&event);
                        self.backlog.push(event);
                        if let Some(reason) = over {
                            break Err(Prepared::Left(reason));
                        }
                    }
                    Wake::Leg(_) => break Err(Prepared::Left(EndReason::Overload)),
                    Wake::Command(command) => {
                        if let Some(reason) = ends(&command) {
                            break Err(Prepared::Refused(reason));
                        }
                    }
                    Wake::Verdict(verdict) => break Ok(verdict),
                    Wake::Media => {}
                }
            }
        };
        self.note_backlog();
        match asked {
            Ok(Verdict::Refuse(reason)) => Prepared::Refused(reason),
            Ok(Verdict::Go(plan)) => {
                let office = Office::new(brain, office, &self.desk, plan.left_micro);
                let connecting = connecting.filter(|_| !plan.without_engine());
                Prepared::Go(Box::new((*plan, office)), connecting)
            }
            Err(over) => over,
        }
    }

    /// Writes what came of the leg meanwhile; what the session must know of it stays.
    fn note_backlog(&mut self) {
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

    pub(super) fn incoming(
        &self,
        now: Instant,
        offer: Option<&[u8]>,
        source: SocketAddr,
    ) -> Result<(LegAudio, Option<Answer>), EndReason> {
        let calls = &self.desk.calls;
        let pair = calls.ports.allocate(now).map_err(|error| {
            self.desk.journal.note(
                now,
                Message::new("no_rtp_port").with("cause", format!("{error:?}")),
            );
            EndReason::Overload
        })?;
        let address = local_address(calls.rtp.advertised, calls.rtp.bind, source);
        let local = negotiation::local_media(&self.desk.line.config, address, pair.port);
        let cname = self.desk.identity.id.as_str();
        let identity = LegIdentity {
            signalling: Some(source.ip()),
            cname,
            seed: crate::random::seed(),
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
        let codec = media.codec();
        media.set_media_timeout_ms(desk.calls.rtp.media_timeout_ms);
        let link = EngineLink::new(
            &agent,
            Arc::clone(&desk.line.agent.target),
            desk.line.agent.fallback.clone(),
            desk.calls.connector.clone(),
            codec,
        );
        let start = SessionStart {
            // A carrier connects the stream once the other side has answered: from there both directions are the same.
            inbound: desk.identity.inbound || matches!(media, LegAudio::Carrier(_)),
        };
        let profile: Profile = agent.profile;
        CallTask {
            session: Session::new(now, profile, start),
            media,
            link,
            engine_codec: codec,
            answer,
            recording: None,
            history: History::default(),
            clock: Clock::default(),
            speaking: None,
            cleared: Vec::new(),
            unfinished_words: UnfinishedWords::default(),
            usage: Usage::default(),
            ended: None,
            privacy: Privacy::default(),
            office,
            opening_words: None,
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

/// Takes what waits, and the end of a leg whose audio is its signalling.
fn media_news(media: &mut LegAudio) -> Option<LegEvent> {
    media.receive(Instant::now());
    media.poll_leg()
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
fn over(event: &LegEvent) -> Option<EndReason> {
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

/// Who serves the call, in the version that it keeps to its end.
fn assignment(office: &OfficeConfig, leg: &Leg) -> CallAssignment {
    let (carrier, call) = leg.carrier();
    let definition = office.agent.definition();
    CallAssignment {
        agent_id: Some(definition.agent_id.clone()),
        agent_version: Some(definition.version),
        final_customer_id: definition.final_customer_id.clone(),
        carrier: Some(carrier.to_owned()),
        carrier_call_id: call.map(str::to_owned),
        ..CallAssignment::default()
    }
}

/// Whether a command ends a call that only rings.
fn ends(command: &CallCommand) -> Option<EndReason> {
    match command {
        CallCommand::HangUp(Requester::Operator) => Some(EndReason::OperatorHungUp),
        CallCommand::HangUp(Requester::Shutdown) | CallCommand::Cut => Some(EndReason::Draining),
        CallCommand::Panic => panic!("asked for by a test"),
        CallCommand::Input(_) => None,
    }
}
