//! What comes in and what goes out: the closed vocabularies of the crate.

use std::net::{IpAddr, SocketAddr};

use crate::config::Protocol;
use crate::id::{AccountId, ConnectionId, DeviceId, InviteId, ListenerId, QueryId};
use crate::registrar::{Binding, RegisterRefusal};
use crate::registration::RegistrationState;

/// Where to send, as the resolver found it (RFC 3263).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub protocol: Protocol,
    pub address: SocketAddr,
    /// Name that a TLS certificate must carry.
    pub server_name: Option<String>,
}

/// One thing that happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    Datagram {
        listener: ListenerId,
        source: SocketAddr,
        data: &'a [u8],
    },
    /// A peer opened a stream; the id comes from `UserAgent::next_connection_id`.
    Accepted {
        connection: ConnectionId,
        listener: ListenerId,
        local: SocketAddr,
        remote: SocketAddr,
    },
    /// The stream asked for by `Output::Connect` is open (TLS: verified).
    Connected {
        connection: ConnectionId,
        local: SocketAddr,
    },
    ConnectFailed {
        connection: ConnectionId,
    },
    Received {
        connection: ConnectionId,
        data: &'a [u8],
    },
    Closed {
        connection: ConnectionId,
    },
    /// Answer to `Output::Resolve`, in order of preference; empty = failed.
    Resolved {
        query: QueryId,
        targets: Vec<Target>,
    },
    /// Our address on the way to a peer, as the machine routes it: asked by `UserAgent::wants_route`.
    Route {
        peer: IpAddr,
        local: IpAddr,
    },
    /// The instant of `poll_timeout` has come.
    Timeout,
}

/// One thing that the shell must do.
#[derive(Debug)]
pub enum Output {
    SendDatagram {
        listener: ListenerId,
        destination: SocketAddr,
        data: Vec<u8>,
    },
    SendStream {
        connection: ConnectionId,
        data: Vec<u8>,
    },
    Connect {
        connection: ConnectionId,
        protocol: Protocol,
        destination: SocketAddr,
        server_name: Option<String>,
    },
    Close {
        connection: ConnectionId,
    },
    /// Look up a host (RFC 3263): `port` and `protocol` where the URI fixes them, `secure` for `sips`.
    Resolve {
        query: QueryId,
        host: String,
        port: Option<u16>,
        protocol: Option<Protocol>,
        secure: bool,
    },
    Event(Event),
}

/// A From or To header, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Party {
    pub uri: String,
    /// User part of the URI, unescaped; empty where there is none.
    pub user: String,
    pub display: Option<String>,
}

/// An INVITE that waits for `ring`, `answer`, `reject`, `challenge` or `drop_invite`.
#[derive(Debug, Clone)]
pub struct IncomingInvite {
    pub invite: InviteId,
    /// Matched by the user token of our Contact; `None` = not through a registration of ours.
    pub account: Option<AccountId>,
    /// The device that is registered over the very flow that this came by; it has proven nothing yet.
    pub device: Option<DeviceId>,
    pub protocol: Protocol,
    pub source: SocketAddr,
    pub listener: Option<ListenerId>,
    /// The stream that it came by; `None` for a datagram.
    pub connection: Option<ConnectionId>,
    /// Our address that the peer reached.
    pub local: SocketAddr,
    pub call_id: String,
    pub from: Party,
    pub to: Party,
    pub request_uri: String,
    /// First P-Asserted-Identity (RFC 3325); whether to believe it is the shell's policy.
    pub p_asserted_identity: Option<String>,
    /// Identity headers as they came (RFC 8224), which say who vouches for the caller's number.
    pub identities: Vec<String>,
    /// The Date header as it came.
    pub date: Option<String>,
    /// `None` = delayed offer: our 200 carries the offer.
    pub offer: Option<Vec<u8>>,
    /// User who proved a password after `challenge`.
    pub authenticated: Option<String>,
    /// Realm of that proof: the same user name in another realm is somebody else.
    pub realm: Option<String>,
    /// Credentials came and were wrong (an expired nonce is not wrong).
    pub proof_rejected: bool,
    pub user_agent: Option<String>,
    /// Came by TLS, a WebSocket's included.
    pub secure: bool,
    /// The INVITE wants to take the place of a dialog (RFC 3891). Whether it may is the shell's policy.
    pub replaces: Option<Replaced>,
}

/// What a Replaces header names (RFC 3891 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// A confirmed dialog of ours: the shell answers the new INVITE in its place and hangs up the old one, or rejects.
    Dialog(InviteId),
    /// Nothing that can be replaced: the INVITE is to be rejected with this status.
    Refused { status: u16 },
}

/// A message that went over the wire, secrets redacted.
#[derive(Debug, Clone)]
pub struct Trace {
    pub invite: Option<InviteId>,
    pub account: Option<AccountId>,
    pub sent: bool,
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub retransmission: bool,
    pub message: Vec<u8>,
}

/// Why something received was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Not a SIP message, or one whose sender cannot be answered.
    Malformed,
    /// A request so broken that it was answered 400.
    BadRequest,
    /// A response that belongs to no transaction of ours.
    StrayResponse,
    /// An ACK or CANCEL that belongs to nothing.
    StrayRequest,
    /// A table was full.
    Overload,
    /// A stream that broke the framing; it is closed.
    Framing,
    /// The shell asked for silence (`drop_invite`) and this is a repetition.
    Silenced,
    /// A message that no transport could carry.
    Unsendable,
}

/// Why an invite ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndCause {
    RemoteBye {
        reason: Option<String>,
    },
    RemoteCancel,
    LocalHangUp,
    /// We refused it (`reject`, `challenge`, `drop_invite` = status 0).
    Rejected {
        status: u16,
    },
    /// The peer refused our INVITE.
    Refused {
        status: u16,
        reason: String,
    },
    /// No ACK to our 200 within 64*T1; we sent BYE.
    AckMissing,
    /// The ACK of a delayed offer carried no answer; we sent BYE.
    MissingAnswer,
    /// RFC 4028: no refresh came; we sent BYE.
    SessionExpired,
    /// Our INVITE got no answer.
    Timeout,
    TransportLost,
    /// No target could be found or reached.
    Unreachable,
    /// The peer answered 481 or 408 inside the dialog.
    DialogLost,
    Overload,
}

/// Something that the shell should know.
#[derive(Debug)]
pub enum Event {
    IncomingInvite(Box<IncomingInvite>),
    /// Outbound 18x.
    Progress {
        invite: InviteId,
        status: u16,
        sdp: Option<Vec<u8>>,
    },
    /// Outbound 2xx; acknowledged unless its SDP is an offer (then `answer_offer` gives the ACK's answer).
    Accepted {
        invite: InviteId,
        sdp: Option<Vec<u8>>,
    },
    /// Inbound: the ACK came; `answer` = SDP of the ACK (delayed offer).
    Established {
        invite: InviteId,
        answer: Option<Vec<u8>>,
    },
    /// The peer offers (re-INVITE, UPDATE): reply with `answer_offer` or `reject_offer`.
    Offer {
        invite: InviteId,
        sdp: Vec<u8>,
    },
    /// A re-INVITE without SDP: give our offer with `answer_offer`.
    OfferRequested {
        invite: InviteId,
    },
    /// The peer's answer to our offer (`reinvite`, or the ACK after `OfferRequested`).
    Answer {
        invite: InviteId,
        sdp: Vec<u8>,
    },
    /// Our offer failed with this status; the session goes on as it was.
    OfferFailed {
        invite: InviteId,
        status: u16,
    },
    /// The session timer was refreshed, by either side.
    Refreshed {
        invite: InviteId,
    },
    Info {
        invite: InviteId,
        content_type: String,
        body: Vec<u8>,
    },
    /// The final answer to our REFER: 2xx says that the peer will try.
    ReferAnswered {
        invite: InviteId,
        status: u16,
    },
    /// What the peer says of the call that our REFER asked for (RFC 3515 section 2.4.5): its status, and whether that is all.
    ReferNotified {
        invite: InviteId,
        status: u16,
        last: bool,
    },
    /// Answered 603.
    Refer {
        invite: InviteId,
        refer_to: String,
    },
    /// Exactly once per invite, and nothing after it.
    Ended {
        invite: InviteId,
        cause: EndCause,
    },
    Registration {
        account: AccountId,
        state: RegistrationState,
    },
    /// The bindings of a device after a change or a refresh, the one heard of last first.
    Bindings {
        device: DeviceId,
        bindings: Vec<Binding>,
    },
    /// A REGISTER proved nothing, or asked for what cannot be.
    RegisterRefused {
        source: SocketAddr,
        /// User part of the address of record, as it was claimed.
        user: String,
        refusal: RegisterRefusal,
    },
    Trace(Box<Trace>),
    Dropped {
        source: SocketAddr,
        reason: DropReason,
    },
}
