//! The scripted telephone: calls a `sip:` address, talks as its scenario says, and measures what it hears.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::scenario::Prepared;

mod line;
mod listener;
mod media;
mod phone;
mod script;

/// How the telephone calls.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to call, for example `sip:demo@127.0.0.1:5060`.
    pub target: String,
    /// The caller's own address of record, shown to the other side.
    pub from: String,
    /// Where the telephone binds its SIP and RTP sockets; port 0 takes a free one. The media port is always a free one.
    pub bind: SocketAddr,
    /// Over TCP in place of UDP.
    pub tcp: bool,
    /// A stereo WAV (caller left, agent right) is written here at the end.
    pub recording: Option<PathBuf>,
    /// Keeps both voices in [`Report::recording`].
    pub keep_audio: bool,
    /// The longest whole call.
    pub call_ms_max: u32,
    /// Seed of identifiers.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            target: "sip:demo@127.0.0.1:5060".into(),
            from: "sip:caller@standin.invalid".into(),
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            tcp: false,
            recording: None,
            keep_audio: false,
            call_ms_max: 180_000,
            seed: 0,
        }
    }
}

/// How the call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every step was done, and the call ended.
    Completed,
    /// The other side refused or did not answer.
    NotAnswered {
        /// SIP status, 0 when there was none.
        status: u16,
        /// The reason in words.
        reason: String,
    },
    /// A step's moment did not come in time. Steps count from 1.
    StepTimedOut {
        /// The step.
        step: usize,
    },
    /// The call ended before every step was done.
    EndedEarly {
        /// The first step that was not done.
        step: usize,
    },
    /// The whole call took longer than [`Config::call_ms_max`].
    TimedOut,
    /// The offer and the answer had nothing in common.
    NoMedia,
}

/// Who hung up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The scripted caller.
    Caller,
    /// The other side.
    Agent,
}

/// One utterance of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its id in the scenario.
    pub utterance: String,
    /// When its first loud frame was sent, since the answer.
    pub started_ms: u32,
    /// When its last loud frame was sent.
    pub ended_ms: u32,
    /// From its end to the first loud frame of the agent after it.
    pub answered_after_ms: Option<u32>,
    /// When it began over the agent's voice: from its first loud frame to the agent's last one.
    pub agent_silent_after_ms: Option<u32>,
}

/// One stretch of the agent's voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// First loud frame, since the answer.
    pub started_ms: u32,
    /// Last loud frame.
    pub ended_ms: u32,
}

/// Both voices, 8 kHz, aligned, from the answer on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    /// What the caller sent.
    pub caller: Vec<i16>,
    /// What the caller heard.
    pub agent: Vec<i16>,
}

impl Recording {
    /// Writes a stereo WAV: caller left, agent right.
    pub fn write(&self, path: &Path) -> Result<(), hound::Error> {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec)?;
        for (caller, agent) in self.caller.iter().zip(&self.agent) {
            writer.write_sample(*caller)?;
            writer.write_sample(*agent)?;
        }
        writer.finalize()
    }
}

/// What the telephone saw and measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How the call went.
    pub outcome: Outcome,
    /// Who hung up, once it was answered.
    pub ended_by: Option<EndedBy>,
    /// Why, as the other side's Reason header tells.
    pub end_reason: Option<String>,
    /// INVITE to 180.
    pub invite_to_ringing_ms: Option<u32>,
    /// INVITE to 200.
    pub invite_to_answer_ms: Option<u32>,
    /// ACK to the first loud frame of the agent.
    pub answer_to_first_audio_ms: Option<u32>,
    /// From the answer to the end.
    pub call_ms: u32,
    /// What the caller said.
    pub said: Vec<Said>,
    /// When the agent spoke.
    pub heard: Vec<Heard>,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// RTP packets received.
    pub packets_received: u64,
    /// RTP packets lost.
    pub packets_lost: u64,
    /// Both voices, when [`Config::keep_audio`] is set.
    pub recording: Option<Recording>,
}

/// Why the telephone could not work at all.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// A socket could not be bound.
    #[error("cannot bind {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The target is no `sip:` address with a numeric host or a name that resolves.
    #[error("cannot call {target}")]
    Target {
        /// The target.
        target: String,
    },
    /// The recording cannot be written.
    #[error("cannot write the recording")]
    Recording(#[source] hound::Error),
}

/// Calls, follows the scenario's steps, hangs up and reports. One task serves one call; many can run at once and share the
/// prepared sound.
pub async fn call(config: Config, prepared: Arc<Prepared>) -> Result<Report, CallError> {
    let mut phone = phone::Phone::start(config, prepared).await?;
    phone.run().await;
    phone.report().await
}
