//! Agents that run as processes of their own: what is asked of whoever keeps these processes.
//!
//! The engine spawns nothing and reads no file. As with [`crate::switchboard`], somebody outside of it holds the other end of a
//! channel: errands come with all that must be known of the agent, and each is answered with what the reconciler understands.

use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};

use super::reconciler::{Part, Report};
use crate::config::{LineConfig, SrtpPolicy};
use crate::nat::NatConfig;

/// Errands that wait for the keeper of processes.
const ERRANDS_MAX: usize = 1_024;

/// A line of such an agent: the account that a bridge of its own registers.
#[derive(Clone, Debug)]
pub struct ApartLine {
    /// Name of the line.
    pub name: String,
    /// Its account.
    pub account: sip::AccountConfig,
    /// Addresses that may call it directly.
    pub allow: Vec<IpNet>,
    /// Calls at the same time; 0 is no limit of its own.
    pub calls_max: u32,
    /// SRTP by SDES.
    pub srtp: SrtpPolicy,
    /// Codecs in order of preference.
    pub codecs: Vec<media::Codec>,
    /// How the address of its audio is found.
    pub nat: NatConfig,
}

impl ApartLine {
    pub(super) fn of(line: &LineConfig) -> Option<Self> {
        Some(Self {
            name: line.name.clone(),
            account: line.account.clone()?,
            allow: line.allow.clone(),
            calls_max: line.calls_max,
            srtp: line.srtp,
            codecs: line.codecs.clone(),
            nat: line.nat.clone(),
        })
    }
}

/// An agent as its processes must know it.
#[derive(Clone, Debug, Default)]
pub struct ApartAgent {
    /// Its id.
    pub id: String,
    /// The id that the back office has for it, where it has one.
    pub other_id: Option<String>,
    /// Changes whenever anything of the agent or of its lines does.
    pub revision: u64,
    /// Its lines that have an account.
    pub lines: Vec<ApartLine>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Bring the part up: what runs already and is well is taken as it is. Answered with `Up` or `NotUp`.
    Raise(Part),
    /// Take the line down; the processes end once its calls have. Answered with `Lowered`.
    Lower,
    /// Look. Answered with `Checked`.
    Check,
    /// Answered with `Died` when one of its processes is gone, and not before.
    Watch,
}

/// One thing to do for one agent.
#[derive(Debug)]
pub struct Errand {
    /// The agent.
    pub agent: Arc<ApartAgent>,
    /// What.
    pub what: What,
    /// Where the outcome goes. Nobody waits for it any more where this is closed.
    pub answer: oneshot::Sender<Report>,
}

/// What the keeper of processes is told.
#[derive(Debug)]
pub enum Word {
    /// Do something for an agent.
    Errand(Errand),
    /// These agents are wanted: the processes of all others end.
    Keep(Vec<String>),
    /// The calls of an agent that is being stopped are not waited for.
    Hurry(String),
}

/// The way to whoever keeps the processes.
#[derive(Clone, Debug)]
pub struct Apart {
    words: mpsc::Sender<Word>,
}

impl Apart {
    /// Both ends.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Word>) {
        let (words, receiver) = mpsc::channel(ERRANDS_MAX);
        (Self { words }, receiver)
    }

    pub(super) async fn tell(&self, word: Word) {
        let _ = self.words.send(word).await;
    }

    /// The outcome; never, where the keeper is gone or the errand has none: its deadline says so.
    pub(super) async fn ask(&self, agent: Arc<ApartAgent>, what: What) -> Report {
        let (answer, outcome) = oneshot::channel();
        let errand = Errand {
            agent,
            what,
            answer,
        };
        self.tell(Word::Errand(errand)).await;
        match outcome.await {
            Ok(report) => report,
            Err(_) => std::future::pending().await,
        }
    }
}
