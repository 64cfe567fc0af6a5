//! The settings of agents that are processes of their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use catalog::Language;
use engine::config::Secret;

use crate::settings::Settings;

/// How agents are run as processes.
#[derive(Clone, Debug)]
pub(crate) struct ApartConfig {
    /// Where what is known of the processes is written, and their logs.
    pub(super) place: PathBuf,
    /// Settings file of the manager, for the agents' own processes.
    pub(crate) config_file: Option<PathBuf>,
    pub(super) app_host: IpAddr,
    pub(super) app_base_port: u16,
    pub(super) bridge_base_port: u16,
    /// Resident bytes of one process, beyond which it is restarted.
    pub(super) memory_max: Option<u64>,
    pub(super) files_max: u64,
    pub(super) nice: i32,
    pub(super) cpus: usize,
    /// How long calls may go on when something of the agent is to end.
    pub(super) drain: Duration,
    /// The processes are left to the next manager when this one is told to stop.
    pub(super) outlive: bool,
    /// The operator's own, where there is one.
    pub(super) bridge_token: BridgeToken,
    pub(super) rtp_ports: String,
    pub(super) public_address: Option<IpAddr>,
    pub(super) stun_server: Option<String>,
    pub(super) ca: Option<PathBuf>,
    pub(super) back_office: String,
    /// The one that this manager serves itself.
    pub(crate) own_back_office: Option<String>,
    pub(super) language: Language,
    pub(super) log_level: String,
}

/// A token that is not shown.
#[derive(Clone)]
pub(super) struct BridgeToken(Secret);

impl BridgeToken {
    pub(super) fn as_str(&self) -> &str {
        self.0.expose()
    }
}

impl std::fmt::Debug for BridgeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BridgeToken(…)")
    }
}

impl ApartConfig {
    /// Reads the settings; `None` where agents share the process.
    pub(crate) fn read(settings: &Settings) -> Option<Self> {
        if settings.text("agents.isolation") != "process" {
            return None;
        }
        let data = std::path::absolute(settings.text("server.data_dir")).ok()?;
        let voice: Option<std::net::SocketAddr> = settings
            .set("voice.listen")
            .and_then(|text| text.parse().ok());
        let port = |key| u16::try_from(settings.integer(key)).unwrap_or(u16::MAX);
        let small = |key| i32::try_from(settings.integer(key)).unwrap_or_default();
        let memory = settings.integer("agents.memory_mb");
        Some(Self {
            place: data.join("agents"),
            config_file: None,
            app_host: voice.map_or(Ipv4Addr::LOCALHOST.into(), |voice| voice.ip()),
            app_base_port: port("agents.app_base_port"),
            bridge_base_port: port("agents.bridge_base_port"),
            memory_max: (memory > 0).then(|| memory.saturating_mul(1 << 20)),
            files_max: settings.integer("agents.files_max"),
            nice: small("agents.nice"),
            cpus: usize::try_from(settings.integer("agents.cpus")).unwrap_or_default(),
            drain: Duration::from_secs(settings.integer("server.drain_s")),
            outlive: settings.switch("agents.outlive_manager"),
            bridge_token: BridgeToken(Secret::new(settings.text("voice.bridge_token"))),
            rtp_ports: settings.text("rtp.ports").to_owned(),
            public_address: settings
                .set("rtp.public_address")
                .and_then(|text| text.parse().ok()),
            stun_server: settings.set("nat.stun_server").map(str::to_owned),
            ca: settings
                .set("sip.tls_ca")
                .and_then(|path| std::path::absolute(Path::new(path)).ok()),
            back_office: settings.text("tools.back_office").to_owned(),
            own_back_office: None,
            language: crate::config::language(settings),
            log_level: settings.text("server.log_level").to_owned(),
        })
    }

    /// Where bridges reach an agent's own process.
    pub(super) const fn app_host_for_bridges(&self) -> IpAddr {
        match self.app_host {
            IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            address @ (IpAddr::V4(_) | IpAddr::V6(_)) => address,
        }
    }
}
