//! The platform API.

use std::net::{IpAddr, SocketAddr};

use engine::config::TlsIdentity;
use ipnet::IpNet;

use super::identity;
use crate::settings::{Problem, Settings};

/// The platform API.
pub(crate) struct PlatformConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<TlsIdentity>,
    pub(crate) unauthenticated: bool,
    pub(crate) clear_passwords: bool,
    pub(crate) rate_per_s: u32,
    pub(crate) proxies: Vec<IpNet>,
}

impl PlatformConfig {
    pub(super) fn read(settings: &Settings, problems: &mut Vec<Problem>) -> Option<Self> {
        let tls = identity(
            settings,
            "platform.tls_certificate",
            "platform.tls_key",
            problems,
        );
        let listen: SocketAddr = settings.set("platform.listen")?.parse().ok()?;
        let unauthenticated = settings.switch("platform.unauthenticated");
        let clear_passwords = settings.switch("platform.clear_passwords");
        let mut refuse = |code: &'static str, switch: Option<&str>| {
            let problem = Problem::new(code)
                .with("key", "platform.listen")
                .with("address", listen)
                .with("origin", settings.origin("platform.listen"));
            problems.push(match switch {
                Some(switch) => problem.with("switch", switch),
                None => problem,
            });
        };
        if unauthenticated && !platform::may_be_open(listen) {
            refuse(
                "config_open_without_loopback",
                Some("platform.unauthenticated"),
            );
        } else if clear_passwords && !platform::may_be_open(listen) {
            refuse(
                "config_open_without_loopback",
                Some("platform.clear_passwords"),
            );
        } else if !listen.ip().is_loopback() && tls.is_none() {
            refuse("config_public_without_tls", None);
        }
        let proxies = proxies(settings, problems);
        Some(Self {
            listen,
            tls,
            unauthenticated,
            clear_passwords,
            rate_per_s: u32::try_from(settings.integer("platform.rate_per_s")).unwrap_or(u32::MAX),
            proxies,
        })
    }
}

/// Addresses or networks of proxies.
pub(super) fn proxies(settings: &Settings, problems: &mut Vec<Problem>) -> Vec<IpNet> {
    let key = "platform.proxies";
    let mut networks = Vec::new();
    for text in settings.list(key) {
        let alone = || text.parse::<IpAddr>().map(IpNet::from);
        match text.parse::<IpNet>().or_else(|_| alone()) {
            Ok(network) => networks.push(network),
            Err(_) => problems.push(
                Problem::new("config_bad_value")
                    .with("key", key)
                    .with("origin", settings.origin(key))
                    .with("value", &text)
                    .with("expected", "127.0.0.1, 10.0.0.0/8"),
            ),
        }
    }
    networks
}
