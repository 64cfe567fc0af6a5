//! Why the engine cannot start, and why it cannot place a call.

use std::io;
use std::net::SocketAddr;

use crate::dispatch::OutgoingRefused;

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A SIP address could not be bound.
    #[error("cannot listen on {protocol} {address}")]
    Bind {
        /// `udp`, `tcp` or `tls`.
        protocol: &'static str,
        /// The address of the configuration.
        address: SocketAddr,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Neither UDP, TCP nor TLS is configured.
    #[error("no SIP address is configured")]
    NoListener,
    /// The TLS listener has no usable identity, or a certificate authority cannot be read.
    #[error("TLS cannot be set up: {cause}")]
    Tls {
        /// What is wrong.
        cause: String,
    },
    /// A line names an agent that does not exist.
    #[error("line {line} names the agent {agent}, which does not exist")]
    UnknownAgent {
        /// Name of the line.
        line: String,
        /// Name of the agent.
        agent: String,
    },
    /// The address of an engine cannot be used.
    #[error("the engine address of agent {agent} cannot be used: {url}")]
    EngineUrl {
        /// Name of the agent.
        agent: String,
        /// The address.
        url: String,
    },
    /// The way to the certificates of signers cannot be made.
    #[error("certificates cannot be fetched")]
    Certificates(#[from] courier::StartError),
    /// The RTP range holds no pair of ports.
    #[error("the RTP port range {min}-{max} holds no pair of ports")]
    RtpRange {
        /// First port.
        min: u16,
        /// Last port.
        max: u16,
    },
    /// The directory of recordings cannot be used.
    #[error("recordings cannot be written to {directory}")]
    Recordings {
        /// The directory.
        directory: std::path::PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// SIP messages cannot be sent on.
    #[error("no SIP message can be sent on to {server}")]
    Hep {
        /// The server of the configuration.
        server: SocketAddr,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The store could not be asked for the calls of a dead process.
    #[error("unfinished calls could not be recovered: {cause}")]
    Recovery {
        /// What the store said.
        cause: String,
    },
}

/// Why a call could not be placed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlaceCallError {
    /// No line has this name.
    #[error("no line has this name")]
    UnknownLine,
    /// No active workflow has this slug or id.
    #[error("no active workflow has this slug or id")]
    UnknownWorkflow,
    /// None of the four steps finds an account that may call this number.
    #[error(
        "the workflow has no account that may call this number: name one in it, or make one the default"
    )]
    NoAccount,
    /// The account has neither a phone line nor a workflow: nobody would speak.
    #[error("no agent speaks on this account: give it a workflow")]
    NoAgent,
    /// The address is not one.
    #[error("the address cannot be called")]
    BadAddress,
    /// A premium, satellite or personal number.
    #[error("premium, satellite and personal numbers are never called")]
    Premium,
    /// The device is nowhere.
    #[error("the device is not registered")]
    NotRegistered,
    /// Too many calls, or draining.
    #[error("no call can be placed now")]
    Busy,
    /// No RTP port is free.
    #[error("no RTP port is free")]
    NoPort,
}

/// Why a carrier's stream does not become a call.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum BeginStreamError {
    /// No line has this name, and no agent that runs this id.
    #[error("no line has this name, and no running agent this id")]
    UnknownLine,
    /// Too many calls, or draining.
    #[error("no call can be taken now")]
    Busy,
}

impl From<OutgoingRefused> for BeginStreamError {
    fn from(refused: OutgoingRefused) -> Self {
        match refused {
            OutgoingRefused::UnknownLine | OutgoingRefused::NoAgent => Self::UnknownLine,
            OutgoingRefused::Busy => Self::Busy,
        }
    }
}

impl From<OutgoingRefused> for PlaceCallError {
    fn from(refused: OutgoingRefused) -> Self {
        match refused {
            OutgoingRefused::UnknownLine => Self::UnknownLine,
            OutgoingRefused::NoAgent => Self::NoAgent,
            OutgoingRefused::Busy => Self::Busy,
        }
    }
}
