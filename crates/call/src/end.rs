//! Why a call ended: one exhaustive table. Everything that must be known of an end (the stored code, who ended it, the SIP
//! status of a refusal, the Q.850 cause, how bad it is, whether trying again can help) is one row here and nowhere else.

/// Who ended the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndedBy {
    /// The person on the telephone.
    Caller,
    /// The agent, of its own accord or by its settings.
    Agent,
    /// A person or program of the house.
    Operator,
    /// The network between.
    Network,
    /// The voice engine.
    Engine,
    /// This product.
    System,
}

impl EndedBy {
    /// The label that is stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
            Self::Operator => "operator",
            Self::Network => "network",
            Self::Engine => "engine",
            Self::System => "system",
        }
    }
}

/// How bad an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// Somebody may want to look at it.
    Notice,
    /// Something did not work.
    Warning,
    /// A person must act.
    Error,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndRow {
    /// The label that is stored.
    pub code: &'static str,
    /// Who ended the call.
    pub ended_by: EndedBy,
    /// SIP status when the call is refused before its answer (RFC 3261 section 21).
    pub sip_status: u16,
    /// Q.850 cause for the Reason header (RFC 3326).
    pub q850_cause: u8,
    /// How bad it is.
    pub severity: Severity,
    /// The same call may work a little later.
    pub retryable: bool,
}

macro_rules! end_reasons {
    ($($(#[$doc:meta])* $name:ident: $code:literal, $by:ident, $sip:literal, $q850:literal, $severity:ident, $retryable:literal;)+) => {
        /// Why a call ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EndReason {
            $($(#[$doc])* $name,)+
        }

        impl EndReason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The reason's row.
            pub const fn row(self) -> EndRow {
                match self {
                    $(Self::$name => EndRow {
                        code: $code,
                        ended_by: EndedBy::$by,
                        sip_status: $sip,
                        q850_cause: $q850,
                        severity: Severity::$severity,
                        retryable: $retryable,
                    },)+
                }
            }
        }
    };
}

end_reasons! {
    /// The caller hung up.
    CallerHungUp: "caller_hung_up", Caller, 487, 16, Normal, true;
    /// The caller was handed over to somebody else.
    Transferred: "transferred", Agent, 480, 16, Normal, true;
    /// The caller could not be handed over, and there was nobody else to speak.
    TransferFailed: "transfer_failed", Network, 480, 41, Warning, true;
    /// The agent said goodbye and hung up.
    AgentHungUp: "agent_hung_up", Agent, 480, 16, Normal, true;
    /// An answering machine took our call, and was left without a word.
    AnsweringMachine: "answering_machine", Agent, 480, 16, Normal, true;
    /// An answering machine took our call, and a message was left on it.
    MessageLeft: "message_left", Agent, 480, 16, Normal, true;
    /// The caller gave up before the answer.
    CallerCancelled: "caller_cancelled", Caller, 487, 16, Normal, true;
    /// The called party is busy.
    Busy: "busy", Caller, 486, 17, Normal, true;
    /// The called party did not answer.
    NoAnswer: "no_answer", Caller, 480, 19, Normal, true;
    /// The caller stayed silent.
    IdleTimeout: "idle_timeout", Agent, 480, 16, Normal, true;
    /// The call reached its longest duration.
    MaxDuration: "max_duration", Agent, 480, 16, Notice, true;
    /// The engine could not be reached when the call began.
    EngineUnavailable: "engine_unavailable", Engine, 503, 41, Error, true;
    /// The engine was lost during the call and did not come back.
    EngineLost: "engine_lost", Engine, 503, 41, Error, true;
    /// The engine refused the key or the settings.
    EngineRefused: "engine_refused", Engine, 500, 38, Error, false;
    /// No audio came from the caller.
    MediaLost: "media_lost", Network, 480, 102, Warning, true;
    /// The session timer ran out: the other side vanished.
    SessionExpired: "session_expired", Network, 408, 102, Warning, true;
    /// A person or program ended the call.
    OperatorHungUp: "operator_hung_up", Operator, 480, 16, Normal, true;
    /// The process is going down.
    Draining: "draining", System, 503, 41, Notice, true;
    /// Too much work: the call could not be served.
    Overload: "overload", System, 503, 42, Error, true;
    /// A rule refuses this call.
    Rejected: "rejected", System, 603, 21, Notice, false;
    /// The caller is on the refusal list.
    RejectedBlocked: "rejected_blocked", System, 603, 21, Notice, false;
    /// An operator stopped the agent.
    AgentStopped: "agent_stopped", Operator, 480, 20, Notice, true;
    /// The call came outside the opening hours.
    Closed: "closed", System, 480, 16, Notice, true;
    /// The balance or the budget of the owner is spent.
    NoBalance: "no_balance", System, 480, 21, Warning, false;
    /// The tenant, the agent or the line has as many calls as it may have.
    Concurrency: "concurrency", System, 486, 17, Notice, true;
    /// The line or the tenant had as many new calls this second as it may have.
    RateLimited: "rate_limited", System, 503, 42, Notice, true;
    /// The offer is malformed or cannot be used.
    RejectedOffer: "rejected_offer", Network, 488, 88, Warning, false;
    /// The media was to be encrypted, and the two sides came to no keys.
    EncryptionFailed: "encryption_failed", Network, 488, 88, Warning, false;
    /// No common codec.
    NoCommonCodec: "no_common_codec", Network, 488, 88, Warning, false;
    /// The caller's system did not prove who it is.
    Unauthorized: "unauthorized", System, 403, 21, Notice, false;
    /// Its TLS certificate does not open the line.
    CertificateRefused: "certificate_refused", System, 403, 21, Notice, false;
    /// Nobody vouches for the caller's number, and the line asks for it.
    CallerUnproven: "caller_unproven", System, 438, 21, Notice, false;
    /// The number called belongs to nobody.
    UnknownNumber: "unknown_number", System, 404, 1, Warning, false;
    /// A person wanted a parked caller, and there is nobody in that place.
    NotParked: "not_parked", System, 404, 1, Notice, true;
    /// A person wanted to come into a running call, and there is none, or not one alone, that is meant.
    NoSuchCall: "no_such_call", System, 404, 1, Notice, true;
    /// The connection that carries the signalling is gone.
    TransportLost: "transport_lost", Network, 503, 38, Warning, true;
    /// The answer was never acknowledged.
    AckMissing: "ack_missing", Network, 408, 102, Warning, true;
    /// The other side gave no answer to our offer.
    MissingAnswer: "missing_answer", Network, 488, 88, Warning, false;
    /// The leg failed in another way.
    LegFailed: "leg_failed", Network, 500, 41, Warning, true;
    /// The process died during the call; found when it started again.
    ProcessLost: "process_lost", System, 500, 41, Error, true;
    /// A fault of this product.
    Internal: "internal", System, 500, 41, Error, true;
}

impl EndReason {
    /// The label that is stored.
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// Who ended the call.
    pub const fn ended_by(self) -> EndedBy {
        self.row().ended_by
    }

    /// The reason of a stored label.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_labels_that_lead_back() {
        for reason in EndReason::ALL {
            assert!(
                reason
                    .code()
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '_')
            );
            assert_eq!(EndReason::from_code(reason.code()), Some(*reason));
        }
        assert_eq!(EndReason::from_code("nonsense"), None);
    }

    #[test]
    fn a_refusal_is_always_a_final_error_status() {
        for reason in EndReason::ALL {
            let row = reason.row();
            assert!((400..700).contains(&row.sip_status), "{reason:?}");
            assert!((1..=127).contains(&row.q850_cause), "{reason:?}");
        }
    }

    #[test]
    fn capacity_is_never_a_500() {
        assert_eq!(EndReason::Overload.row().sip_status, 503);
        assert_eq!(EndReason::Draining.row().sip_status, 503);
    }
}
