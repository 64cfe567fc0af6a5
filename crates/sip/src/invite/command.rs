//! What the shell asks of an invite, and why a command can be refused.

use std::fmt;
use std::net::SocketAddr;

use crate::config::Protocol;
use crate::id::{AccountId, DeviceId};

/// A call to place.
#[derive(Debug, Clone, Default)]
pub struct OutgoingInvite {
    pub account: Option<AccountId>,
    /// Rings this device where it is registered, in the place of what `to` would lead to. Another user in `to` than the
    /// device's is dialled through it, as through the gateway of an analog line.
    pub device: Option<DeviceId>,
    /// `sip:` or `sips:` URI.
    pub to: String,
    /// URI for From; default: the account's AoR, else an anonymous one.
    pub from: Option<String>,
    /// The number that the callee shall see in the place of the account's own, where the account's form has a place for one
    /// ([`CallerIdForm`](crate::CallerIdForm)); no more than `+` and digits.
    pub number: Option<String>,
    /// SDP; `None` = the peer's 200 must carry an offer.
    pub offer: Option<Vec<u8>>,
    /// Send here instead of asking the resolver.
    pub destination: Option<(Protocol, SocketAddr)>,
    /// Further headers, name and value; control characters are refused.
    pub headers: Vec<(String, String)>,
}

/// How an incoming INVITE is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// 400..=699.
    pub status: u16,
    /// Value of a Reason header (RFC 3326).
    pub reason: Option<String>,
    pub retry_after_s: Option<u32>,
}

/// Why an outgoing INVITE cannot start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteError {
    UnknownAccount,
    /// The device has no binding.
    NotRegistered,
    /// `to` or `from` is no `sip:` or `sips:` URI.
    BadUri,
    /// A header name or value holds a control character.
    BadHeader,
    /// No listener speaks the protocol.
    NoTransport,
    /// `Limits::invites_max` is reached.
    Overload,
    Draining,
}

impl fmt::Display for InviteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownAccount => "unknown account",
            Self::NotRegistered => "the device is not registered",
            Self::BadUri => "not a usable sip URI",
            Self::BadHeader => "a header holds a control character",
            Self::NoTransport => "no listener for the protocol",
            Self::Overload => "too many calls at once",
            Self::Draining => "draining",
        })
    }
}

impl std::error::Error for InviteError {}

/// Why a command on an invite was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    UnknownInvite,
    /// The invite is in a state where this makes no sense.
    WrongState,
    /// An offer of either side is still open (RFC 3261 section 14).
    OfferPending,
    BadStatus,
    /// A header value holds a control character.
    BadHeader,
    UnknownRealm,
    /// Not a `sip:` or `sips:` URI.
    BadUri,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownInvite => "unknown invite",
            Self::WrongState => "not possible in this state of the invite",
            Self::OfferPending => "an offer is still open",
            Self::BadStatus => "not a usable status",
            Self::BadHeader => "a header holds a control character",
            Self::BadUri => "not a usable sip URI",
            Self::UnknownRealm => "no inbound credentials for this realm",
        })
    }
}

impl std::error::Error for CommandError {}
