//! The keys of every deadline of the user agent.

use crate::id::{AccountId, ConnectionId, InviteId};
use crate::registrar::BindingId;
use crate::transaction::{ClientId, ServerId};

/// Timers of a client transaction: A/E, and B/D/F/K/M by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ClientTimer {
    Retransmit,
    Timeout,
}

/// Timers of a server transaction: G, H/I/J/L by state, and the 200 ms before a 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ServerTimer {
    Trying,
    Retransmit,
    Timeout,
}

/// Timers of an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum InviteTimer {
    /// Nobody answered, or the shell did not: gives up.
    Ringing,
    /// The next 200 to an INVITE that has no ACK yet.
    Answer,
    /// No ACK within 64*T1.
    Ack,
    /// The next reliable provisional response.
    Provisional,
    /// No PRACK within 64*T1.
    Prack,
    /// Our turn to refresh the session (RFC 4028).
    Refresh,
    /// The session has expired.
    Expire,
    /// A re-INVITE or UPDATE after 491.
    Retry,
    /// The shell did not answer the peer's offer.
    Modify,
}

/// Timers of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AccountTimer {
    Register,
    KeepAlive,
}

/// Timers of a binding of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BindingTimer {
    Expire,
    KeepAlive,
}

/// Every deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Client(ClientId, ClientTimer),
    Server(ServerId, ServerTimer),
    Invite(InviteId, InviteTimer),
    Account(AccountId, AccountTimer),
    Binding(BindingId, BindingTimer),
    Connection(ConnectionId),
}
