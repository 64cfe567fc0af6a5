//! What a `UserAgent` is told once, at its start.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::id::ListenerId;

/// Transport protocol of a message (RFC 3261 section 18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Udp,
    Tcp,
    Tls,
    /// WebSocket in clear (RFC 7118).
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Protocol {
    /// True where the transport itself retransmits, so that transactions must not.
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls | Self::Ws | Self::Wss => true,
        }
    }

    /// True where each message of a WebSocket is one SIP message, and a peer is reached by the connection that it opened and by nothing else
    /// (RFC 7118 section 5): its Via and Contact name a host that does not exist.
    #[must_use]
    pub const fn is_websocket(self) -> bool {
        match self {
            Self::Udp | Self::Tcp | Self::Tls => false,
            Self::Ws | Self::Wss => true,
        }
    }

    /// True where TLS protects it.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        match self {
            Self::Udp | Self::Tcp | Self::Ws => false,
            Self::Tls | Self::Wss => true,
        }
    }

    /// Port used where none is given (RFC 3261 section 19.1.2).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// Token in a Via header.
    #[must_use]
    pub const fn via_token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// Value of a `transport` URI parameter. A WebSocket has one, whether in TLS or not (RFC 7118 section 5.2.4).
    #[must_use]
    pub const fn uri_token(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws | Self::Wss => "ws",
        }
    }

    /// Its name in records, lists and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss]
            .into_iter()
            .find(|known| known.name() == name)
    }
}

/// A socket on which the shell listens.
#[derive(Debug, Clone)]
pub struct Listener {
    pub id: ListenerId,
    pub protocol: Protocol,
    pub bound: SocketAddr,
    /// Host and port for Via and Contact; `None` = the bound address.
    pub advertised: Option<(String, u16)>,
    /// `advertised` is only what we believe of ourselves: a registrar that sees us elsewhere knows better, and so do a stream's own
    /// address and `Input::Route`.
    pub is_guess: bool,
}

/// Base timers of RFC 3261 section 17.1.1.1.
#[derive(Debug, Clone, Copy)]
pub struct TimerConfig {
    pub t1: Duration,
    pub t2: Duration,
    pub t4: Duration,
}

impl Default for TimerConfig {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        }
    }
}

/// Session timers of RFC 4028.
#[derive(Debug, Clone, Copy)]
pub struct SessionTimerConfig {
    pub enabled: bool,
    /// Session-Expires that we ask for or set, in seconds.
    pub expires_s: u32,
    /// Smallest interval that we accept, in seconds (RFC 4028 section 5: at least 90).
    pub min_se_s: u32,
}

impl Default for SessionTimerConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            expires_s: 1800,
            min_se_s: 90,
        }
    }
}

/// Bounds of every table; what passes them is answered 503 or dropped and counted.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// INVITE sessions at once, both directions.
    pub invites_max: usize,
    /// Server transactions at once.
    pub server_transactions_max: usize,
    /// Client transactions at once.
    pub client_transactions_max: usize,
    /// Streams at once, accepted and opened.
    pub connections_max: usize,
    /// Accepted streams at once from one IP address.
    pub connections_per_ip_max: usize,
    /// Accounts.
    pub accounts_max: usize,
    /// Retry-After of our 503 answers, in seconds.
    pub retry_after_s: u32,
    /// An accepted stream that brought no message is closed after this.
    pub first_message: Duration,
    /// A stream without traffic that no account or invite needs is closed after this.
    pub idle_connection: Duration,
    /// An incoming INVITE that we do not answer finally is refused with 480 after this.
    pub ringing: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            invites_max: 4_000,
            server_transactions_max: 20_000,
            client_transactions_max: 20_000,
            connections_max: 10_000,
            connections_per_ip_max: 64,
            accounts_max: 2_000,
            retry_after_s: 5,
            first_message: Duration::from_secs(30),
            idle_connection: Duration::from_secs(600),
            ringing: Duration::from_secs(180),
        }
    }
}

/// Who may call in when an INVITE is challenged (RFC 3261 section 22).
#[derive(Clone, PartialEq, Eq)]
pub struct InboundCredential {
    pub realm: String,
    pub username: String,
    pub password: String,
}

impl crate::digest::server::Account for InboundCredential {
    fn parts(&self) -> (&str, &str, &str) {
        (&self.realm, &self.username, &self.password)
    }
}

impl fmt::Debug for InboundCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundCredential")
            .field("realm", &self.realm)
            .field("username", &self.username)
            .field("password", &"[redacted]")
            .finish()
    }
}

/// Everything that a `UserAgent` needs to know at its start.
#[derive(Debug, Clone)]
pub struct Config {
    pub listeners: Vec<Listener>,
    /// Value of User-Agent and Server.
    pub user_agent: String,
    pub timers: TimerConfig,
    pub session: SessionTimerConfig,
    pub limits: Limits,
    pub inbound_credentials: Vec<InboundCredential>,
    /// Realm that devices are challenged with where the domain that they register at is not the realm of one of them.
    pub device_realm: String,
    /// Source of every tag, branch, nonce and jitter.
    pub seed: u64,
}

impl Config {
    /// The defaults for a set of listeners.
    #[must_use]
    pub fn new(listeners: Vec<Listener>, seed: u64) -> Self {
        Self {
            listeners,
            user_agent: "allo".to_owned(),
            timers: TimerConfig::default(),
            session: SessionTimerConfig::default(),
            limits: Limits::default(),
            inbound_credentials: Vec::new(),
            device_realm: "allo".to_owned(),
            seed,
        }
    }
}
