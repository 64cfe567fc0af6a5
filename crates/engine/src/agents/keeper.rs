//! The run of an agent: one task that brings its parts up and looks at them when it is asked to.
//!
//! Calls do not pass through it. When it panics or hangs, the agent's calls and its registrations go on, and the reconciler
//! begins another run. That holds for an agent of processes too: the next run finds them as they are.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sip::RegistrationState;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{OnceCell, mpsc};

use super::apart::{Apart, ApartAgent, What};
use super::reconciler::{Cause, Health, Memory, Part, Report};
use crate::engine::Engine;

/// Requests that wait for one run.
pub(super) const ASKS_MAX: usize = 8;
/// Longest attempt to reach an engine.
const REACH_WITHIN: Duration = Duration::from_secs(5);
/// What was found out about an engine's address is true for so long: a thousand agents of one engine ask it once.
const REACHED_KEPT: Duration = Duration::from_secs(5);
/// Engine addresses whose answer is kept.
const REACHED_MAX: usize = 1_024;

/// What a run is asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// Say when the part is up.
    Raise(Part),
    /// Say when the line is down.
    Lower,
    /// Look.
    Check,
    /// Panic, or answer nothing ever again: for tests of what follows.
    Disturb(Disturbance),
}

/// What is done to a run to see what follows. For tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// It panics.
    Panic,
    /// It answers nothing ever again.
    Hang,
}

/// What must be known of an agent to look at it.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Host and port of its engine, and of its second one.
    pub(super) engines: Vec<(String, u16)>,
    /// Names of its lines that have an account.
    pub(super) accounts: Vec<String>,
    /// What its processes must know.
    pub(super) apart: Arc<ApartAgent>,
}

/// What a report says, and of which run.
pub(super) struct Said {
    pub(super) id: String,
    pub(super) run: u64,
    pub(super) report: Report,
}

/// Everything that a run works with.
pub(super) struct Keeper {
    pub(super) id: String,
    pub(super) run: u64,
    pub(super) engine: Engine,
    pub(super) facts: Arc<Mutex<BTreeMap<String, Facts>>>,
    pub(super) reach: Reach,
    /// Its parts are processes of their own.
    pub(super) apart: Option<Apart>,
    pub(super) said: mpsc::Sender<Said>,
}

impl Keeper {
    /// Runs until nobody can ask any more, or a process of the agent is gone.
    pub(super) async fn keep(self, mut asks: mpsc::Receiver<Ask>) {
        let mut is_watched = false;
        loop {
            let ask = tokio::select! {
                ask = asks.recv() => ask,
                () = self.lost(), if is_watched => return,
            };
            let Some(ask) = ask else { return };
            let report = match ask {
                Ask::Raise(part) => self.raise(part).await,
                Ask::Lower => self.lower().await,
                Ask::Check => self.check().await,
                Ask::Disturb(Disturbance::Panic) => panic!("the run of an agent was made to panic"),
                Ask::Disturb(Disturbance::Hang) => std::future::pending().await,
            };
            is_watched = self.apart.is_some() && !matches!(report, Report::Lowered);
            let said = Said {
                id: self.id.clone(),
                run: self.run,
                report,
            };
            if self.said.send(said).await.is_err() {
                return;
            }
        }
    }

    /// Ready once a process of the agent is gone.
    async fn lost(&self) {
        match &self.apart {
            Some(apart) => {
                apart.ask(self.facts().apart, What::Watch).await;
            }
            None => std::future::pending().await,
        }
    }

    fn facts(&self) -> Facts {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.get(&self.id).cloned().unwrap_or_default()
    }

    async fn raise(&self, part: Part) -> Report {
        if let Some(apart) = &self.apart {
            return apart.ask(self.facts().apart, What::Raise(part)).await;
        }
        match part {
            Part::Voice if self.speaks().await => Report::Up(part),
            Part::Voice => Report::NotUp(part, Cause::Engine),
            Part::Line => self.registered().await,
        }
    }

    /// Ready once each account is registered, or one of them failed. The reconciler bounds the wait.
    async fn registered(&self) -> Report {
        loop {
            let changed = self.engine.shared().registered.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let accounts = self.facts().accounts;
            let states = self.engine.registrations_of(&accounts).await;
            if states.iter().any(is_lost) {
                return Report::NotUp(Part::Line, Cause::Registration);
            }
            if states.iter().all(is_registered) {
                return Report::Up(Part::Line);
            }
            changed.await;
        }
    }

    async fn lower(&self) -> Report {
        if let Some(apart) = &self.apart {
            return apart.ask(self.facts().apart, What::Lower).await;
        }
        loop {
            let changed = self.engine.shared().registered.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let states = self.engine.registrations_of(&self.facts().accounts).await;
            if !states.iter().any(is_registered) {
                return Report::Lowered;
            }
            changed.await;
        }
    }

    async fn check(&self) -> Report {
        if let Some(apart) = &self.apart {
            return apart.ask(self.facts().apart, What::Check).await;
        }
        let accounts = self.facts().accounts;
        let states = self.engine.registrations_of(&accounts).await;
        let waiting = |state: &RegistrationState| {
            is_registered(state) || matches!(state, RegistrationState::Registering)
        };
        Report::Checked(Health {
            // A line that was taken out of the engine a moment ago is not lost.
            registered: (!states.is_empty()).then(|| states.iter().all(waiting)),
            engine: self.speaks().await,
            media: self.reach.media(self.engine.shared().rtp.bind).await,
            alive: true,
            memory: Memory::Within,
        })
    }

    /// One of its engines can be reached.
    async fn speaks(&self) -> bool {
        for (host, port) in self.facts().engines {
            if self.reach.engine(&host, port).await {
                return true;
            }
        }
        false
    }
}

const fn is_registered(state: &RegistrationState) -> bool {
    matches!(state, RegistrationState::Registered { .. })
}

const fn is_lost(state: &RegistrationState) -> bool {
    matches!(state, RegistrationState::Failed { .. })
}

type Answer = Arc<OnceCell<bool>>;
/// By host and port: since when, and the answer.
type Answers = BTreeMap<(String, u16), (Instant, Answer)>;

/// What can be reached, asked once for all agents that want to know at the same time.
#[derive(Clone, Default)]
pub(super) struct Reach {
    known: Arc<Mutex<Answers>>,
}

impl Reach {
    fn answer(&self, host: &str, port: u16) -> Answer {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| *at + REACHED_KEPT > now);
        let key = (host.to_owned(), port);
        if known.len() >= REACHED_MAX && !known.contains_key(&key) {
            return Answer::default();
        }
        Arc::clone(
            &known
                .entry(key)
                .or_insert_with(|| (now, Answer::default()))
                .1,
        )
    }

    /// A connection can be made. Nothing is sent: an engine counts what it hears.
    async fn engine(&self, host: &str, port: u16) -> bool {
        let answer = self.answer(host, port);
        let connect = async {
            let connected = tokio::time::timeout(REACH_WITHIN, TcpStream::connect((host, port)));
            connected.await.is_ok_and(|connected| connected.is_ok())
        };
        *answer.get_or_init(|| connect).await
    }

    /// A socket for a call's sound can be had.
    async fn media(&self, bind: IpAddr) -> bool {
        let answer = self.answer("", 0);
        let bound = async { UdpSocket::bind(SocketAddr::new(bind, 0)).await.is_ok() };
        *answer.get_or_init(|| bound).await
    }
}
