//! What a session description says about ICE (RFC 8839): credentials and candidates, bounded. Connectivity checks are not done here.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::message::scan;

/// `a=candidate` lines of one section that are looked at.
pub const CANDIDATES_MAX: usize = 24;
/// Characters of `a=ice-ufrag` (RFC 8839 section 5.4).
const UFRAG: std::ops::RangeInclusive<usize> = 4..=256;
/// Characters of `a=ice-pwd`.
const PASSWORD: std::ops::RangeInclusive<usize> = 22..=256;
/// Characters of a foundation.
const FOUNDATION: std::ops::RangeInclusive<usize> = 1..=32;
/// Largest priority (RFC 8445 section 5.1.2).
const PRIORITY_MAX: u32 = (1 << 31) - 1;

/// What is said about ICE, for the session or for one section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceLines {
    /// `a=ice-ufrag`.
    pub ufrag: Option<String>,
    /// `a=ice-pwd`: the key of the checks that are sent to who says it.
    pub password: Option<IcePassword>,
    /// `a=ice-lite`: who says it answers checks and makes none.
    pub lite: bool,
    /// `ice2` of `a=ice-options`: who says it follows RFC 8445.
    pub ice2: bool,
    /// `a=ice-mismatch`: our addresses came changed, there will be no ICE.
    pub mismatch: bool,
    /// `a=candidate` over UDP with an address, at most [`CANDIDATES_MAX`].
    pub candidates: Vec<IceCandidate>,
}

/// A password of ICE, which no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct IcePassword(String);

impl IcePassword {
    /// As it is written; `None` for one that RFC 8839 section 5.4 does not allow.
    pub fn new(text: &str) -> Option<Self> {
        is_ice(text, &PASSWORD).then(|| Self(text.to_owned()))
    }

    /// A password of 144 random bits (RFC 8445 section 5.3 wants 128 that nobody can guess).
    pub fn from_random(bytes: [u8; 18]) -> Self {
        Self(base64_simd::STANDARD_NO_PAD.encode_to_string(bytes))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IcePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IcePassword(***)")
    }
}

/// An address at which a side may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceCandidate {
    /// The same for candidates that are likely to work or fail together.
    pub foundation: String,
    /// 1: RTP, 2: RTCP.
    pub component: u16,
    /// 1 to 2³¹ − 1; the largest is preferred.
    pub priority: u32,
    pub address: SocketAddr,
    pub kind: IceKind,
    /// The address behind it, for all but a host's.
    pub related: Option<SocketAddr>,
}

/// What kind of address it is (RFC 8445 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceKind {
    /// One of the machine's own.
    Host,
    /// What a STUN server sees.
    ServerReflexive,
    /// What the peer saw of a check.
    PeerReflexive,
    /// One of a relay.
    Relayed,
}

impl IceKind {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Host, "host"),
        (Self::ServerReflexive, "srflx"),
        (Self::PeerReflexive, "prflx"),
        (Self::Relayed, "relay"),
    ];

    /// How it is written.
    pub fn as_str(self) -> &'static str {
        let found = Self::ALL.iter().find(|(kind, _)| *kind == self);
        found.map_or("host", |(_, name)| name)
    }

    fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(kind, _)| *kind)
    }

    /// The type preference that RFC 8445 section 5.1.2.2 recommends.
    pub fn preference(self) -> u32 {
        match self {
            Self::Host => 126,
            Self::PeerReflexive => 110,
            Self::ServerReflexive => 100,
            Self::Relayed => 0,
        }
    }

    /// The priority of a candidate of this kind (RFC 8445 section 5.1.2.1).
    pub fn priority(self, local_preference: u16, component: u8) -> u32 {
        (self.preference() << 24)
            | (u32::from(local_preference) << 8)
            | (256 - u32::from(component.max(1)))
    }
}

/// `ALPHA / DIGIT / "+" / "/"` of a permitted length.
fn is_ice(text: &str, lengths: &std::ops::RangeInclusive<usize>) -> bool {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    lengths.contains(&text.len()) && text.bytes().all(is_char)
}

impl IceLines {
    /// Takes an attribute; true for one of ICE.
    pub(super) fn attribute(&mut self, name: &str, value: &str) -> bool {
        match name {
            "ice-ufrag" => {
                self.ufrag = is_ice(value, &UFRAG).then(|| value.to_owned());
            }
            "ice-pwd" => self.password = IcePassword::new(value),
            "ice-lite" => self.lite = true,
            "ice-options" => {
                self.ice2 = value.split(' ').any(|option| option == "ice2");
            }
            "ice-mismatch" => self.mismatch = true,
            "candidate" => {
                if self.candidates.len() < CANDIDATES_MAX {
                    self.candidates.extend(candidate(value));
                }
            }
            _ => return false,
        }
        true
    }
}

/// `<foundation> <component> UDP <priority> <address> <port> typ <kind> [raddr <address>] [rport <port>] …` (RFC 8839 section 5.1). `None` for
/// what we cannot use: another transport, a name instead of an address, a kind that is not known.
fn candidate(value: &str) -> Option<IceCandidate> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let mut next = || words.next();
    let (foundation, component, transport) = (next()?, next()?, next()?);
    let (priority, address, port) = (next()?, next()?, next()?);
    let (Some("typ"), kind) = (next(), next()?) else {
        return None;
    };
    let component: u16 = scan::number(component).filter(|number| (1..=256).contains(number))?;
    let priority: u32 = scan::number(priority)?;
    if !is_ice(foundation, &FOUNDATION)
        || !transport.eq_ignore_ascii_case("udp")
        || !(1..=PRIORITY_MAX).contains(&priority)
    {
        return None;
    }
    let socket = |address: &str, port: &str| {
        let ip: IpAddr = address.parse().ok()?;
        Some(SocketAddr::new(ip.to_canonical(), scan::number(port)?))
    };
    let mut related = (None, None);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        match name {
            "raddr" => related.0 = Some(value),
            "rport" => related.1 = Some(value),
            _ => {}
        }
    }
    let related = match related {
        (Some(address), Some(port)) => socket(address, port),
        _ => None,
    };
    Some(IceCandidate {
        foundation: foundation.to_owned(),
        component,
        priority,
        address: socket(address, port).filter(|address| address.port() != 0)?,
        kind: IceKind::from_name(kind)?,
        related,
    })
}

impl fmt::Display for IceCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} UDP {} {} {} typ {}",
            self.foundation,
            self.component,
            self.priority,
            self.address.ip(),
            self.address.port(),
            self.kind.as_str()
        )?;
        match self.related {
            Some(related) => write!(f, " raddr {} rport {}", related.ip(), related.port()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for IceLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lite {
            f.write_str("a=ice-lite\r\n")?;
        }
        if self.ice2 {
            f.write_str("a=ice-options:ice2\r\n")?;
        }
        if self.mismatch {
            f.write_str("a=ice-mismatch\r\n")?;
        }
        if let Some(ufrag) = &self.ufrag {
            write!(f, "a=ice-ufrag:{ufrag}\r\n")?;
        }
        if let Some(password) = &self.password {
            write!(f, "a=ice-pwd:{}\r\n", password.as_str())?;
        }
        for candidate in &self.candidates {
            write!(f, "a=candidate:{candidate}\r\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_read_and_written() {
        for (text, written) in [
            (
                "1 1 UDP 2130706431 192.0.2.1 4000 typ host",
                "1 1 UDP 2130706431 192.0.2.1 4000 typ host",
            ),
            (
                "H7f000001 2 udp 1694498814 198.51.100.7  40001 typ srflx raddr 192.168.1.7 rport 4001 generation 0",
                "H7f000001 2 UDP 1694498814 198.51.100.7 40001 typ srflx raddr 192.168.1.7 rport 4001",
            ),
            (
                "r+/ 1 UDP 1 2001:db8::1 9 typ RELAY rport 5 raddr 2001:db8::2",
                "r+/ 1 UDP 1 2001:db8::1 9 typ relay raddr 2001:db8::2 rport 5",
            ),
            (
                "1 1 UDP 5 ::ffff:192.0.2.1 4000 typ prflx raddr x rport 1",
                "1 1 UDP 5 192.0.2.1 4000 typ prflx",
            ),
        ] {
            assert_eq!(candidate(text).unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_cannot_be_used_is_left_out() {
        for text in [
            "",
            "1 1 TCP 5 192.0.2.1 9 typ host tcptype active",
            "1 0 UDP 5 192.0.2.1 4000 typ host",
            "1 257 UDP 5 192.0.2.1 4000 typ host",
            "1 1 UDP 0 192.0.2.1 4000 typ host",
            "1 1 UDP 2147483648 192.0.2.1 4000 typ host",
            "1 1 UDP 5 7c9a.local 4000 typ host",
            "1 1 UDP 5 192.0.2.1 0 typ host",
            "1 1 UDP 5 192.0.2.1 70000 typ host",
            "1 1 UDP 5 192.0.2.1 4000 typ other",
            "1 1 UDP 5 192.0.2.1 4000 host",
            "a:b 1 UDP 5 192.0.2.1 4000 typ host",
            "123456789012345678901234567890123 1 UDP 5 192.0.2.1 4000 typ host",
        ] {
            assert_eq!(candidate(text), None, "{text}");
        }
    }

    #[test]
    fn credentials_have_their_bounds() {
        let mut lines = IceLines::default();
        for (name, value) in [
            ("ice-ufrag", "abc"),
            ("ice-pwd", "2345678901234567890é+"),
            ("ice-pwd", "short"),
        ] {
            assert!(lines.attribute(name, value));
            assert_eq!((&lines.ufrag, &lines.password), (&None, &None));
        }
        assert!(lines.attribute("ice-ufrag", "a/b+"));
        assert!(lines.attribute("ice-pwd", "0123456789012345678901"));
        assert!(!lines.attribute("ice-pacing", "50"));
        assert_eq!(
            lines.to_string(),
            "a=ice-ufrag:a/b+\r\na=ice-pwd:0123456789012345678901\r\n"
        );
        assert!(!format!("{lines:?}").contains("0123456789"));
        for port in 0..100 {
            lines.attribute(
                "candidate",
                &format!("1 1 UDP 5 192.0.2.1 {} typ host", port + 1),
            );
        }
        assert_eq!(lines.candidates.len(), CANDIDATES_MAX);
    }

    #[test]
    fn every_random_password_is_one() {
        for byte in 0..=255 {
            let password = IcePassword::from_random([byte; 18]);
            assert_eq!(IcePassword::new(password.as_str()), Some(password));
        }
    }

    #[test]
    fn priorities_are_those_of_the_rfc() {
        assert_eq!(IceKind::Host.priority(65_535, 1), 2_130_706_431);
        assert_eq!(IceKind::Host.priority(65_535, 2), 2_130_706_430);
        assert_eq!(IceKind::ServerReflexive.priority(65_535, 1), 1_694_498_815);
        assert_eq!(IceKind::Relayed.priority(65_535, 1), 16_777_215);
    }
}
