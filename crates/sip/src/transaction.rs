//! Transactions (RFC 3261 section 17, with the Accepted states of RFC 6026): the tables and their vocabulary.
//!
//! A client transaction here includes the search for a target: it may try several, each with a branch of its own
//! (RFC 3263 section 4.3). Its owner hears of every response that matters, of failure, and once of its end.

pub(crate) mod client;
pub(crate) mod client_invite;
pub(crate) mod key;
pub(crate) mod server;
pub(crate) mod timer;

use crate::endpoint::Link;
use crate::id::{AccountId, InviteId};
use crate::message::{Request, Response};
use crate::registrar::BindingId;
use crate::transport::Flow;
use crate::transport::target::NextHop;

pub(crate) use client::ClientTable;
pub(crate) use server::ServerTable;

/// One client transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(pub(crate) u64);

/// One server transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServerId(pub(crate) u64);

/// Who started a client transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Invite(InviteId),
    Registration(AccountId),
    KeepAlive(AccountId),
    /// Whether a device is there.
    Binding(BindingId),
    Nobody,
}

/// A request of ours on its way. Via and Contact are written when the flow is known.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) request: Request,
    /// User part (and parameters after `>`) of the Contact; `None` = the request carries none.
    pub(crate) contact: Option<LocalContact>,
    pub(crate) next_hop: NextHop,
    pub(crate) owner: Owner,
    pub(crate) link: Link,
    /// How often credentials have been added to this request.
    pub(crate) attempts: u8,
    /// The address that it was last sent to.
    pub(crate) reached: Option<std::net::IpAddr>,
}

/// Our Contact, but for the address that depends on the flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalContact {
    pub(crate) user: String,
    pub(crate) secure: bool,
    /// Operator's or learned host and port.
    pub(crate) address: Option<(String, u16)>,
    /// Header parameters, for example `;expires=300`.
    pub(crate) params: String,
}

/// Why a client transaction came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Timeout,
    Unreachable,
    Dns,
    TransportLost,
    /// Cancelled before anything was sent.
    Cancelled,
}

/// What an owner hears.
#[derive(Debug)]
pub(crate) enum ClientEvent {
    Response {
        client: ClientId,
        owner: Owner,
        response: Box<Response>,
        flow: Flow,
        /// The request, given back with a final response below 200 or above 299 and with every non-INVITE final.
        outgoing: Option<Box<Outgoing>>,
    },
    Failed {
        client: ClientId,
        owner: Owner,
        failure: Failure,
    },
    /// The last word about this transaction.
    Gone { owner: Owner },
}
