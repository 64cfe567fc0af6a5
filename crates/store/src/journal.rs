//! The journal of a call: one causal log of everything that happened to it, written as it happens.
//!
//! Events are stored as JSON with a `type`. What an older version wrote stays readable: fields that came later have defaults,
//! and a type that this version does not know reads as [`Event::Unknown`].

mod convert;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::call_record::bounded;
use crate::limits::EVENT_JSON_BYTES_MAX;

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Position in the journal, from 0; unique for the call. Writing a position again changes nothing.
    pub seq: u64,
    /// Milliseconds since the call began (monotonic clock).
    pub at_ms: u64,
    /// Wall clock, for people.
    pub wall: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A SIP message of the call, secrets redacted by the SIP engine.
    SipMessage(SipMessage),
    /// What offer and answer led to.
    SdpDecision(SdpDecision),
    /// Who asked for the call brought a trace along (W3C Trace Context). First.
    TraceParent {
        /// As it was said.
        parent: String,
    },
    /// A step of the call's set-up.
    Milestone {
        /// Which.
        milestone: Milestone,
    },
    /// RTP counters since the call began; every 5 s, and once at the end.
    RtpStatistics(RtpStatistics),
    /// The first packet came from here; audio goes there from now on.
    Latched {
        /// Address of the source.
        from: String,
    },
    /// Packets of a second source are refused.
    SourceRefused {
        /// Address of the source.
        from: String,
    },
    /// No packet has come for a while.
    MediaLost {
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// Packets come again.
    MediaResumed,
    /// The engine heard the caller begin to speak.
    SpeechStarted {
        /// The engine's item.
        item: String,
    },
    /// The engine heard the caller stop.
    SpeechStopped {
        /// The engine's item.
        item: String,
    },
    /// The connection to the engine.
    EngineState {
        /// Its new state.
        state: EngineState,
        /// Attempt in this outage, from 1.
        #[serde(default)]
        attempt: u8,
        /// Why, when it was lost or refused: a message of the catalogue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<catalog::Message>,
    },
    /// An event of the engine that matters to the conversation.
    EngineEvent {
        /// Its name on the wire, for example `response.created`.
        name: String,
        /// The response it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        response: Option<String>,
        /// The item it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<String>,
        /// A short detail: status, error text, token counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// A tool.
    ToolCall {
        /// The tool call.
        id: String,
        /// The tool's name.
        name: String,
        /// `called`, `started`, `refused`, `finished`.
        phase: String,
        /// `ok`, `refused`, `failed`, `timed_out`, or why the ledger refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<String>,
        /// How long it ran, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        took_ms: Option<u64>,
    },
    /// What the caller hears of an item.
    Playout {
        /// The item.
        item: String,
        /// What happened to it.
        phase: PlayoutPhase,
        /// Milliseconds of it that were sent to the caller.
        played_ms: u32,
    },
    /// A decision of the session.
    Session {
        /// Its name, `snake_case`.
        name: String,
        /// Its fields.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        fields: BTreeMap<String, catalog::Param>,
    },
    /// The registration of the line changed during the call.
    Registration {
        /// Name of the line.
        line: String,
        /// The state: a message of the catalogue.
        state: catalog::Message,
    },
    /// A keypad tone.
    Dtmf {
        /// The key.
        digit: char,
        /// We sent it; otherwise the caller pressed it.
        sent: bool,
    },
    /// Anything else worth a sentence.
    Note {
        /// A message of the catalogue.
        message: catalog::Message,
    },
    /// The call is over. Last.
    Ended {
        /// Label of the end reason.
        reason: String,
        /// Who ended it.
        ended_by: String,
    },
    /// An event that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A SIP message of the call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipMessage {
    /// We sent it.
    pub sent: bool,
    /// `udp`, `tcp` or `tls`.
    pub protocol: String,
    /// Our address.
    #[serde(default)]
    pub local: String,
    /// The peer's address.
    pub remote: String,
    /// First line of the message.
    pub start_line: String,
    /// `CSeq` header, to tell which request a response answers.
    #[serde(default)]
    pub cseq: String,
    /// It was sent or received before.
    #[serde(default)]
    pub retransmission: bool,
    /// The whole message, secrets redacted.
    pub text: String,
}

/// What offer and answer led to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SdpDecision {
    /// We answered the peer's offer; otherwise the peer answered ours.
    pub we_answered: bool,
    /// It led to a stream.
    pub accepted: bool,
    /// Why not: `no_common_codec`, `no_audio`, `bad_sdp`, `srtp_required`, `srtp_refused`, `unusable_address`.
    pub refusal: Option<String>,
    /// Codecs that the peer offered, by name.
    pub offered: Vec<String>,
    /// The codec chosen.
    pub codec: Option<String>,
    /// Its payload type.
    pub payload_type: Option<u8>,
    /// Keypad tones as RFC 4733 events.
    pub telephone_event: bool,
    /// SRTP suite; none is plain RTP.
    pub srtp: Option<String>,
    /// As we act: `sendrecv`, `sendonly`, `recvonly`, `inactive`.
    pub direction: String,
    /// Where our address for audio is, as we said it.
    pub local: Option<String>,
    /// Where the peer wants its audio, as it said it.
    pub remote: Option<String>,
}

/// A step of the call's set-up, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// The INVITE came (or left).
    Invited,
    /// It rings.
    Ringing,
    /// 200 was sent (or came).
    Answered,
    /// The ACK came (or left): audio may flow.
    Established,
    /// The first audio of the agent left for the caller.
    FirstAudio,
    /// The first packet of the caller came.
    FirstPacket,
}

/// RTP counters since the call began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RtpStatistics {
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received and used.
    pub packets_received: u64,
    /// Packets that never came.
    pub packets_lost: u64,
    /// Packets that came too late.
    pub packets_late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets out of order.
    pub reordered: u64,
    /// Packets of other sources or that could not be decrypted.
    pub refused: u64,
    /// Audio invented for lost packets, in milliseconds.
    pub concealed_ms: u64,
    /// Interarrival jitter (RFC 3550), in milliseconds.
    pub jitter_ms: f64,
    /// Round trip, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// What the peer says it lost of ours, 0 to 1.
    pub remote_loss: Option<f64>,
    /// Interarrival jitter of ours that the peer reports, in milliseconds.
    pub remote_jitter_ms: Option<f64>,
    /// Estimated quality, 1 to 4.5 (E-model).
    pub mos: Option<f64>,
    /// By how much line echo cancellation made our echo quieter, in dB; `None` without it, or without an echo.
    pub erle_db: Option<f64>,
    /// Times that the playout had nothing to play in the middle of an item.
    pub underruns: u64,
    /// Where our audio goes.
    pub remote: Option<String>,
    /// The last counters of the call.
    pub last: bool,
}

/// State of the connection to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// A connection is being made.
    Connecting,
    /// The session is configured.
    Ready,
    /// It did not come, or it is gone.
    Lost,
    /// It is being replaced before it expires.
    Rotating,
    /// We closed it.
    Closed,
}

/// What happened to an item in the playout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlayoutPhase {
    /// Its first audio left.
    Started,
    /// All of it was sent.
    Finished,
    /// It was cut.
    Cleared,
}

impl Event {
    /// The label in the `type` field.
    pub fn type_label(&self) -> &'static str {
        match self {
            Self::SipMessage(_) => "sip_message",
            Self::SdpDecision(_) => "sdp_decision",
            Self::Milestone { .. } => "milestone",
            Self::RtpStatistics(_) => "rtp_statistics",
            Self::TraceParent { .. } => "trace_parent",
            Self::Latched { .. } => "latched",
            Self::SourceRefused { .. } => "source_refused",
            Self::MediaLost { .. } => "media_lost",
            Self::MediaResumed => "media_resumed",
            Self::SpeechStarted { .. } => "speech_started",
            Self::SpeechStopped { .. } => "speech_stopped",
            Self::EngineState { .. } => "engine_state",
            Self::EngineEvent { .. } => "engine_event",
            Self::ToolCall { .. } => "tool_call",
            Self::Playout { .. } => "playout",
            Self::Session { .. } => "session",
            Self::Registration { .. } => "registration",
            Self::Dtmf { .. } => "dtmf",
            Self::Note { .. } => "note",
            Self::Ended { .. } => "ended",
            Self::Unknown => "unknown",
        }
    }

    /// The SIP message, when it is one.
    pub fn as_sip_message(&self) -> Option<&SipMessage> {
        if let Self::SipMessage(message) = self {
            Some(message)
        } else {
            None
        }
    }

    /// The decision on the audio, when it is one.
    pub fn as_sdp_decision(&self) -> Option<&SdpDecision> {
        if let Self::SdpDecision(decision) = self {
            Some(decision)
        } else {
            None
        }
    }

    /// The RTP figures, when it is these.
    pub fn as_rtp_statistics(&self) -> Option<&RtpStatistics> {
        if let Self::RtpStatistics(statistics) = self {
            Some(statistics)
        } else {
            None
        }
    }

    /// The name and fields of a decision of the session, when it is one.
    pub fn as_session(&self) -> Option<(&str, &BTreeMap<String, catalog::Param>)> {
        if let Self::Session { name, fields } = self {
            Some((name, fields))
        } else {
            None
        }
    }

    /// The JSON text, at most [`crate::limits::EVENT_JSON_BYTES_MAX`] long: the text of a long SIP message is cut first; an
    /// event that is too long all the same keeps its type alone.
    pub(crate) fn to_bounded_json(&self) -> String {
        let whole = json(self);
        if whole.len() <= EVENT_JSON_BYTES_MAX {
            return whole;
        }
        if let Self::SipMessage(message) = self {
            // JSON escapes make a text at most six times longer.
            let text = bounded(&message.text, EVENT_JSON_BYTES_MAX / 8);
            let start_line = bounded(&message.start_line, 1_024);
            let cut = json(&Self::SipMessage(SipMessage {
                text,
                start_line,
                ..message.clone()
            }));
            if cut.len() <= EVENT_JSON_BYTES_MAX {
                return cut;
            }
        }
        format!(
            r#"{{"type":"note","message":{{"code":"journal_too_long","params":{{"type":"{}"}}}}}}"#,
            self.type_label()
        )
    }
}

fn json(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_else(|_| r#"{"type":"unknown"}"#.to_owned())
}

/// Label of an engine failure, the suffix of its catalogue code `engine_…`.
pub fn engine_failure(failure: call::EngineFailure) -> &'static str {
    use call::EngineFailure as Failure;
    match failure {
        Failure::Refused => "refused",
        Failure::RateLimited => "rate_limited",
        Failure::Unavailable => "unavailable",
        Failure::Unreachable => "unreachable",
        Failure::Timeout => "timeout",
        Failure::Closed { .. } => "closed",
        Failure::Rejected => "rejected",
        Failure::Expired => "expired",
    }
}
