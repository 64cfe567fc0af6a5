//! What the engine is told at its start: plain values, no serde, no environment.
//!
//! `server` reads files and variables and builds these; the engine never looks anything up by itself. Each part is small
//! and holds one subject. Secrets are wrapped in [`Secret`], which never prints itself.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::CompiledAgent;
use call::Profile;
use call::id::TenantId;
use courier::CourierConfig;
use ipnet::IpNet;
use store::packet::PacketContents;
use wire::realtime::ToolDefinition;

pub use crate::client_certificate::ClientCertificates;
use crate::nat::{NatConfig, ServerAddress};
use crate::provider::NumberForm;
use crate::selection::Distribution;
pub use crate::stir::{Attestation, Authorities, IdentityPolicy, NoAuthorities};

pub use crate::engine_choice::{EngineAudio, EngineChoice, KeyPlacement, RealtimeConfig};

/// A value that must not appear in logs: its `Debug` prints `Secret(…)`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Everything that [`crate::Engine::start`] needs.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// SIP sockets and certificates.
    pub sip: SipConfig,
    /// RTP ports and addresses.
    pub rtp: RtpConfig,
    /// Phone lines. A call that matches none of them is refused.
    pub lines: Vec<LineConfig>,
    /// Agents, named by the lines.
    pub agents: Vec<AgentConfig>,
    /// Takes the calls of the lines in the place of agents, which lines then need not name; `None`: agents take them.
    pub switchboard: Option<crate::switchboard::Switchboard>,
    /// Limits of the whole process.
    pub limits: LimitsConfig,
    /// Recording of calls.
    pub recording: RecordingConfig,
    /// Where sounds of first words are kept; none are kept without it.
    pub greetings: Option<PathBuf>,
    /// Agents whose lines take no calls and register nothing until the directory has them.
    pub held: Vec<String>,
    /// Who is trusted to vouch for the signers of callers' numbers.
    pub authorities: Authorities,
    /// How the certificates of those signers are fetched.
    pub certificates: CourierConfig,
    /// Seed of every pseudo-random choice; `None` takes one from the system.
    pub seed: Option<u64>,
}

/// SIP sockets, names and certificates.
#[derive(Clone, Debug)]
pub struct SipConfig {
    /// UDP address to listen on; port 0 takes a free one.
    pub udp: Option<SocketAddr>,
    /// TCP address to listen on.
    pub tcp: Option<SocketAddr>,
    /// TLS address to listen on; needs `tls`.
    pub tls_bind: Option<SocketAddr>,
    /// Address to listen on for SIP over WebSocket in clear.
    pub ws: Option<SocketAddr>,
    /// The same in TLS; needs `tls`.
    pub wss: Option<SocketAddr>,
    /// Origins of pages that may connect by WebSocket, `*` for any; none: pages of the same host.
    pub ws_origins: Vec<String>,
    /// Proxies before the WebSockets, which are believed when they say for whom they ask.
    pub ws_proxies: Vec<IpNet>,
    /// Host name or address for Via and Contact; `None` is the bound or local address.
    pub advertised_host: Option<String>,
    /// Certificate and key of the TLS listeners.
    pub tls: Option<TlsIdentity>,
    /// Further certificate authorities in PEM, trusted beside those of the system (SIP over TLS and the engines).
    pub extra_ca_pem: Vec<u8>,
    /// Who vouches for the names in the certificates of trunks, where a line names nobody itself. Nobody at first: those of the system
    /// vouch for web sites.
    pub client_authorities: Authorities,
    /// Product token for User-Agent and Server.
    pub user_agent: String,
    /// Session-Expires asked for (RFC 4028), seconds; 0 switches session timers off.
    pub session_expires_s: u32,
    /// Name servers to ask instead of those of the system.
    pub name_servers: Vec<SocketAddr>,
    /// What a source gets that no line knows and that has no credentials to offer.
    pub unknown_source: UnknownSource,
    /// Where each SIP message is sent on; `None`: nowhere.
    pub hep: Option<HepConfig>,
}

impl SipConfig {
    /// Whether a listener in TLS has no certificate.
    pub fn needs_identity(&self) -> bool {
        self.tls.is_none() && (self.tls_bind.is_some() || self.wss.is_some())
    }
}

/// A server that takes SIP messages by HEP version 3 (Homer).
#[derive(Clone, Debug)]
pub struct HepConfig {
    /// Its UDP address.
    pub server: SocketAddr,
    /// Number by which it knows this node.
    pub agent: u32,
    /// What it asks for as a password.
    pub key: Option<Secret>,
}

impl Default for SipConfig {
    fn default() -> Self {
        Self {
            udp: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5060)),
            tcp: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5060)),
            tls_bind: None,
            ws: None,
            wss: None,
            ws_origins: Vec::new(),
            ws_proxies: Vec::new(),
            advertised_host: None,
            tls: None,
            extra_ca_pem: Vec::new(),
            client_authorities: Authorities::default(),
            user_agent: "allo".to_owned(),
            session_expires_s: 1_800,
            name_servers: Vec::new(),
            unknown_source: UnknownSource::Refuse,
            hep: None,
        }
    }
}

/// Treatment of an INVITE from a source that no line knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownSource {
    /// 403, and a record (at most [`crate::limits::REFUSALS_STORED_PER_MINUTE_MAX`] of them).
    Refuse,
    /// No answer at all.
    Drop,
}

/// A TLS server identity in PEM.
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    /// Certificate chain, leaf first.
    pub chain_pem: Vec<u8>,
    /// Private key (PKCS#8, PKCS#1 or SEC1).
    pub key_pem: Secret,
}

/// RTP ports and addresses.
#[derive(Clone, Debug)]
pub struct RtpConfig {
    /// First port of the range; the first even one is used. 0 with `port_max` 0 takes any free ports.
    pub port_min: u16,
    /// Last port of the range, inclusive.
    pub port_max: u16,
    /// Address to bind.
    pub bind: IpAddr,
    /// Address written in SDP; `None` is the local address that the peer reached.
    pub advertised: Option<IpAddr>,
    /// Says how our sockets are seen from outside, for lines that name no server of their own; `None`: nobody is asked.
    pub stun_server: Option<ServerAddress>,
    /// How long the ports of an ended call rest before they are used again.
    pub rest: Duration,
    /// A call without RTP for this long is told so, milliseconds.
    pub media_timeout_ms: u32,
    /// What is kept of the packets of calls, beside their signalling.
    pub capture: PacketContents,
}

impl Default for RtpConfig {
    fn default() -> Self {
        Self {
            port_min: 10_000,
            port_max: 20_000,
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            advertised: None,
            stun_server: None,
            rest: Duration::from_secs(10),
            media_timeout_ms: 5_000,
            capture: PacketContents::None,
        }
    }
}

/// A phone line: who may call in, and which agent answers.
#[derive(Clone, Debug)]
pub struct LineConfig {
    /// Name shown in records and logs.
    pub name: String,
    /// Owner of the line and of its calls.
    pub tenant: TenantId,
    /// Agent that answers, by name.
    pub agent: String,
    /// Account that the line registers; `None` for a line that is only called directly.
    pub account: Option<sip::AccountConfig>,
    /// Domain that numbers are called in where the line has no account.
    pub domain: Option<String>,
    /// How its calls come.
    pub provider: LineProvider,
    /// User parts of the Request-URI that belong to this line; empty takes any.
    pub numbers: Vec<String>,
    /// Addresses that may call without credentials. Loopback too must be listed to be allowed.
    pub allow: Vec<IpNet>,
    /// Certificates with which anybody else may call, by TLS.
    pub certificates: ClientCertificates,
    /// Credentials with which anybody else may call.
    pub credentials: Option<LineCredentials>,
    /// SRTP, by SDES or DTLS.
    pub srtp: SrtpPolicy,
    /// Codecs in order of preference; at least one.
    pub codecs: Vec<media::Codec>,
    /// How keys are sent, and which ways are listened to.
    pub keypad: media::Keypad,
    /// What is asked of the numbers of its callers (STIR/SHAKEN).
    pub identity: IdentityPolicy,
    /// What is done to the caller's audio.
    pub treatment: media::Treatment,
    /// How the address of its audio is found.
    pub nat: NatConfig,
    /// Calls at the same time on this line; beyond it 486. 0 is no limit of its own.
    pub calls_max: u32,
    /// New calls a second that may come by it.
    pub rates: CallRates,
    /// The stored account behind it, as the selection sees it; `None` for a line of the settings or of a carrier.
    pub sip_account: Option<SipAccountConfig>,
    /// The device that registers with us and whose calls these are; `None` for every other line.
    pub device: Option<DeviceLine>,
}

/// New calls a second that may come in by SIP; beyond them 503 with Retry-After. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallRates {
    /// By this line.
    pub line_per_s_max: u32,
    /// By all lines of its tenant together.
    pub tenant_per_s_max: u32,
}

/// A telephone or gateway that registers with us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceLine {
    /// Its name, its password and the bounds of its bindings.
    pub sip: sip::DeviceConfig,
    /// The number that its calls show; `None`: what it says itself.
    pub caller_id: Option<String>,
    /// Whether it may come into running calls of its account: beside the agent, in its place, or to listen.
    pub joins_calls: bool,
}

/// What the selection of accounts, and the numbers of an account's calls, need of a stored one.
#[derive(Clone, Debug, Default)]
pub struct SipAccountConfig {
    /// Its name for people.
    pub label: String,
    /// Its address.
    pub uri: String,
    /// Chosen where a workflow names none.
    pub is_default: bool,
    /// Share of outgoing calls where they are distributed by weight.
    pub weight: u32,
    /// The line that a call tries when this one does not answer.
    pub backup: Option<String>,
    /// How numbers are written towards the operator.
    pub numbers: NumberForm,
    /// Calling code of its country, without plus.
    pub country: String,
}

/// A workflow: numbers and an account that lead to an agent.
#[derive(Clone, Debug)]
pub struct WorkflowConfig {
    /// Its id.
    pub id: String,
    /// Its name in addresses and in the log.
    pub slug: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// The agent that answers, by name; `None`: the line's own.
    pub agent: Option<String>,
    /// The account that it names.
    pub account: Option<String>,
    /// Devices whose calls it takes, by the name of their line.
    pub devices: Vec<String>,
    /// The dialled numbers that it takes.
    pub numbers: Vec<String>,
    /// How long the phone rings before the answer, milliseconds; `None`: as the agent says.
    pub ring_ms: Option<u32>,
    /// How outgoing calls choose their account.
    pub distribution: Distribution,
}

/// How the calls of a line come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineProvider {
    /// By SIP.
    #[default]
    Sip,
    /// By the stream of this carrier; `None` takes any carrier's.
    Stream(Option<wire::twilio::Dialect>),
}

/// Digest credentials that a caller of a line must prove.
#[derive(Clone, Debug)]
pub struct LineCredentials {
    /// Realm of the challenge.
    pub realm: String,
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// SRTP on a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SrtpPolicy {
    /// Plain RTP only.
    Off,
    /// SRTP when the peer offers it.
    #[default]
    Preferred,
    /// Plain RTP is refused with 488.
    Required,
    /// As preferred, but what we offer is DTLS in the place of SDES.
    DtlsPreferred,
    /// DTLS or no call: plain RTP and SDES are refused with 488.
    DtlsRequired,
}

impl SrtpPolicy {
    /// Every value of the setting.
    pub const NAMES: [&str; 5] = [
        "off",
        "preferred",
        "required",
        "dtls_preferred",
        "dtls_required",
    ];

    /// Its name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Preferred => "preferred",
            Self::Required => "required",
            Self::DtlsPreferred => "dtls_preferred",
            Self::DtlsRequired => "dtls_required",
        }
    }

    /// The policy of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "off" => Some(Self::Off),
            "preferred" => Some(Self::Preferred),
            "required" => Some(Self::Required),
            "dtls_preferred" => Some(Self::DtlsPreferred),
            "dtls_required" => Some(Self::DtlsRequired),
            _ => None,
        }
    }
}

/// An agent: what it says, how it behaves, which engine speaks for it.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Name by which lines refer to it.
    pub name: String,
    /// Instructions of the model.
    pub instructions: String,
    /// Greeting, limits, phrases and tools of the conversation.
    pub profile: Profile,
    /// Tools as the model sees them.
    pub tools: Vec<ToolDefinition>,
    /// The engine that speaks, and how.
    pub engine: EngineChoice,
    /// The engine that speaks when the first one cannot be had, at the beginning of a call or in its middle.
    pub fallback: Option<EngineChoice>,
    /// What an agent of the database brings beside: its tools, its data, its rules.
    pub office: Option<OfficeConfig>,
}

/// An agent of the database as its calls use it.
#[derive(Clone)]
pub struct OfficeConfig {
    /// Settings and tools of one version, checked.
    pub agent: Arc<CompiledAgent>,
    /// On whose behalf its requests are made; the call is added.
    pub caller: courier::Caller,
    /// Calls of this agent at the same time; 0 is no limit of its own.
    pub calls_max: u32,
    /// Calls of its tenant at the same time; 0 is no limit of its own.
    pub tenant_calls_max: u32,
    /// A check before the answer that cannot be made refuses the call.
    pub fail_closed: bool,
    /// Opens what is sealed in other versions of the agent.
    pub vault: Option<store::secret::Vault>,
}

impl fmt::Debug for OfficeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let definition = self.agent.definition();
        write!(
            f,
            "OfficeConfig({} v{})",
            definition.agent_id, definition.version
        )
    }
}

/// Limits of the whole process.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    /// Calls at the same time; beyond it 503 with Retry-After.
    pub calls_max: u32,
    /// New INVITEs a second, all sources together; beyond it 503 with Retry-After.
    pub invites_per_s_max: u32,
    /// Messages a second from one unknown source.
    pub unknown_messages_per_s_max: u32,
    /// INVITEs a second from one unknown source.
    pub unknown_invites_per_s_max: u32,
    /// Stream connections from one address.
    pub connections_per_ip_max: u32,
    /// Stream connections in all.
    pub connections_max: u32,
    /// A new stream connection must send its first message within this time.
    pub first_message_within: Duration,
    /// A stream connection without traffic for this long is closed.
    pub connection_idle: Duration,
    /// Retry-After of refusals for want of capacity, seconds.
    pub retry_after_s: u32,
    /// What the calls of a busy process give up for each other.
    pub packing: Packing,
    /// When a process has no time for another call.
    pub shedding: Shedding,
}

/// When new calls are refused with 503 because those that there are would suffer. What a call costs depends on codecs, tools and the
/// machine, so that a number of calls alone does not say it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shedding {
    /// Calls in progress from which on a call may be refused for this; fewer are always taken.
    pub from_calls: u32,
    /// The process is strained when it wakes later than this again and again; zero: that is not looked at.
    pub late_max: Duration,
    /// It is strained when it uses so many percent of the cores that it may use; 0: that is not looked at.
    pub cpu_percent_max: u32,
}

/// Longer messages to the engines while many calls go on: each message costs a system call, a TLS record and a wake-up at both ends,
/// so fewer of them carry more calls, for a caller who is heard a little later.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    /// Calls in progress from which on calls pack their audio.
    pub from_calls: u32,
    /// Milliseconds of caller audio in one message then, at least; 20 packs nothing.
    pub append_ms: u32,
}

impl Default for Packing {
    fn default() -> Self {
        Self {
            from_calls: 200,
            append_ms: 40,
        }
    }
}

impl Packing {
    /// The milliseconds of one message while `calls` go on, at least.
    pub(crate) fn append_ms(self, calls: usize) -> u32 {
        if calls >= self.from_calls as usize {
            self.append_ms
        } else {
            0
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            calls_max: 500,
            invites_per_s_max: 200,
            unknown_messages_per_s_max: 200,
            unknown_invites_per_s_max: 10,
            connections_per_ip_max: 64,
            connections_max: 10_000,
            first_message_within: Duration::from_secs(30),
            connection_idle: Duration::from_secs(900),
            retry_after_s: 10,
            packing: Packing::default(),
            shedding: Shedding::default(),
        }
    }
}

/// Recording of calls.
#[derive(Clone, Debug, Default)]
pub struct RecordingConfig {
    /// Off by default.
    pub enabled: bool,
    /// Callers are told of it with the first words, and nothing is recorded before these were said to their end.
    pub announce: bool,
    /// Directory of the recordings; one file a call, named by the call's id.
    pub directory: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::Packing;

    #[test]
    fn calls_pack_their_audio_only_while_there_are_many() {
        let packing = Packing {
            from_calls: 200,
            append_ms: 40,
        };
        assert_eq!(packing.append_ms(0), 0);
        assert_eq!(packing.append_ms(199), 0);
        assert_eq!(packing.append_ms(200), 40);
        assert_eq!(packing.append_ms(5_000), 40);
    }
}
