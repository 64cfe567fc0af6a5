//! Which address our audio is told to come to, where a router stands between.
//!
//! The rule is [`choose`], a function of what is known; the sockets are in `leg/way`. One address is written, and the rest is symmetric RTP, but for
//! lines that do ICE (`leg/ice`).

use std::net::IpAddr;
use std::str::FromStr;

use crate::config::Secret;

/// The port of STUN and TURN where none is named (RFC 8489 section 8.6, RFC 8656 section 3).
const PORT: u16 = 3_478;
/// Longest name of a host, RFC 1035 section 2.3.4.
const HOST_CHARACTERS_MAX: usize = 253;

/// How a line finds the address that it announces for its audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NatMode {
    /// By the rule of [`choose`].
    #[default]
    Auto,
    /// `rtp.public_address`.
    Public,
    /// The address that a STUN server sees.
    Stun,
    /// An address of a TURN server, which relays the audio.
    Turn,
    /// ICE (RFC 8445): every address that can be had is offered, and checks find the one to use.
    Ice,
    /// Our own on the way to the peer, whatever it is.
    None,
}

impl NatMode {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Auto, "auto"),
        (Self::Public, "public"),
        (Self::Stun, "stun"),
        (Self::Turn, "turn"),
        (Self::Ice, "ice"),
        (Self::None, "none"),
    ];
    /// The names that the API and the settings take.
    pub const NAMES: [&'static str; 6] = ["auto", "public", "stun", "turn", "ice", "none"];

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(mode, _)| *mode == self);
        found.map_or("", |(_, name)| name)
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(mode, _)| *mode)
    }
}

/// Host and port of a STUN or TURN server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// A name, or an address without brackets.
    pub host: String,
    /// Its port, UDP.
    pub port: u16,
}

/// A text that is no `host:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoServerAddress;

impl FromStr for ServerAddress {
    type Err = NoServerAddress;

    /// `host`, `host:port`, `[address]:port`, with or without `stun:` or `turn:` before.
    fn from_str(text: &str) -> Result<Self, NoServerAddress> {
        let text = text.trim();
        let text = ["stun:", "turn:"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or(text);
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(NoServerAddress)?;
                let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
                if !is_address || !(port.is_empty() || port.starts_with(':')) {
                    return Err(NoServerAddress);
                }
                (host, port.strip_prefix(':'))
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let is_host = (1..=HOST_CHARACTERS_MAX).contains(&host.len())
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
        let port = port.map_or(Ok(PORT), str::parse);
        match port {
            Ok(port) if is_host && port > 0 => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            Ok(_) | Err(_) => Err(NoServerAddress),
        }
    }
}

impl std::fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A TURN server, and as whom it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnServer {
    /// Where it is.
    pub address: ServerAddress,
    /// Name for its long-term credential (RFC 8489 section 9.2).
    pub username: String,
    /// The password of it.
    pub password: Secret,
}

/// How a line finds its address, with the servers that it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatConfig {
    /// The way.
    pub mode: NatMode,
    /// The STUN server of this line; `None`: that of the settings.
    pub stun_server: Option<ServerAddress>,
    /// The TURN server of this line.
    pub turn: Option<TurnServer>,
}

/// What is known when an address is chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Our address on the way to the peer.
    pub(crate) route: IpAddr,
    /// Where the peer's signalling is.
    pub(crate) peer: IpAddr,
    /// `rtp.public_address`.
    pub(crate) public: Option<IpAddr>,
    /// A STUN server is named.
    pub(crate) has_stun: bool,
    /// A TURN server is named.
    pub(crate) has_turn: bool,
}

/// What is done to know the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is this one.
    Known(IpAddr),
    /// A STUN server is asked.
    Stun,
    /// A TURN server is asked for one.
    Turn,
    /// Whoever is named is asked, and checks decide.
    Ice,
    /// What the line asks for is not set up: the address that is left, and what is missing.
    Missing(IpAddr, &'static str),
}

/// An address that can be reached from everywhere, as far as its number says.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xC0 == 64;
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local())
        }
    }
}

/// The rule. `auto` is: the address of the settings, where one is set; else our own, where it is public or the peer is in a private
/// network as we are; else what the STUN server sees, where one is set; else our own.
pub(crate) fn choose(mode: NatMode, facts: Facts) -> Way {
    let left = facts.public.unwrap_or(facts.route);
    match mode {
        NatMode::None => Way::Known(facts.route),
        NatMode::Public => match facts.public {
            Some(public) => Way::Known(public),
            None => Way::Missing(left, "rtp.public_address"),
        },
        NatMode::Stun if facts.has_stun => Way::Stun,
        NatMode::Stun => Way::Missing(left, "nat.stun_server"),
        NatMode::Ice => Way::Ice,
        NatMode::Turn if facts.has_turn => Way::Turn,
        NatMode::Turn => Way::Missing(left, "turn_server"),
        NatMode::Auto => match facts.public {
            Some(public) => Way::Known(public),
            None if is_public(facts.route) || !is_public(facts.peer) => Way::Known(facts.route),
            None if facts.has_stun => Way::Stun,
            None => Way::Known(facts.route),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(route: &str, peer: &str, public: Option<&str>, has_stun: bool) -> Facts {
        let address = |text: &str| text.parse().unwrap();
        Facts {
            route: address(route),
            peer: address(peer),
            public: public.map(address),
            has_stun,
            has_turn: false,
        }
    }

    #[test]
    fn the_rule_of_auto() {
        let known = |text: &str| Way::Known(text.parse().unwrap());
        let (own, seen) = ("192.168.1.7", "198.51.100.7");
        for (facts, way) in [
            (facts(own, "203.0.113.5", Some(seen), true), known(seen)),
            (facts(own, "192.168.1.9", Some(seen), true), known(seen)),
            (facts(own, "192.168.1.9", None, true), known(own)),
            (facts(own, "100.64.3.4", None, true), known(own)),
            (facts(seen, "203.0.113.5", None, true), known(seen)),
            (facts(own, "203.0.113.5", None, true), Way::Stun),
            (facts("100.64.3.4", "203.0.113.5", None, true), Way::Stun),
            (facts("fd00::7", "2001:db8::5", None, true), Way::Stun),
            (
                facts("2001:db8::7", "2001:db8::5", None, true),
                known("2001:db8::7"),
            ),
            (facts(own, "203.0.113.5", None, false), known(own)),
            (
                facts("127.0.0.1", "127.0.0.1", None, true),
                known("127.0.0.1"),
            ),
        ] {
            assert_eq!(choose(NatMode::Auto, facts), way, "{facts:?}");
        }
    }

    #[test]
    fn what_a_line_asks_for_is_done_or_missed() {
        let own = "192.168.1.7".parse().unwrap();
        let public: IpAddr = "198.51.100.7".parse().unwrap();
        let bare = facts("192.168.1.7", "203.0.113.5", None, false);
        let full = Facts {
            has_turn: true,
            ..facts("192.168.1.7", "203.0.113.5", Some("198.51.100.7"), true)
        };
        for (mode, without, with) in [
            (NatMode::None, Way::Known(own), Way::Known(own)),
            (
                NatMode::Public,
                Way::Missing(own, "rtp.public_address"),
                Way::Known(public),
            ),
            (
                NatMode::Stun,
                Way::Missing(own, "nat.stun_server"),
                Way::Stun,
            ),
            (NatMode::Turn, Way::Missing(own, "turn_server"), Way::Turn),
            (NatMode::Ice, Way::Ice, Way::Ice),
        ] {
            assert_eq!(choose(mode, bare), without);
            assert_eq!(choose(mode, full), with);
        }
    }

    #[test]
    fn servers_are_hosts_with_ports() {
        for (text, shown) in [
            ("stun.example.test", "stun.example.test:3478"),
            (" 192.0.2.1:19302 ", "192.0.2.1:19302"),
            ("stun:stun.example.test:5349", "stun.example.test:5349"),
            ("[2001:db8::1]", "[2001:db8::1]:3478"),
            ("turn:[2001:db8::1]:40", "[2001:db8::1]:40"),
        ] {
            let server: ServerAddress = text.parse().unwrap();
            assert_eq!(server.to_string(), shown);
        }
        for wrong in [
            "",
            ":3478",
            "a b",
            "host:0",
            "host:x",
            "[::1",
            "[host]:1",
            "[::1]x",
            "2001:db8::1",
        ] {
            assert_eq!(
                wrong.parse::<ServerAddress>(),
                Err(NoServerAddress),
                "{wrong}"
            );
        }
    }

    #[test]
    fn modes_have_names() {
        for name in NatMode::NAMES {
            assert_eq!(NatMode::from_name(name).map(NatMode::name), Some(name));
        }
        assert_eq!(NatMode::from_name("upnp"), None);
    }
}
