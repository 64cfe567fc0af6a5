//! One Via value (RFC 3261 section 20.42, RFC 3581).

use super::error::Malformed;
use super::params::{Params, each_header_param, header_param};
use super::scan;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A hop of the way that a response takes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Upper case for the known ones: `UDP`, `TCP`, `TLS`, `WS`…
    pub protocol: Cow<'static, str>,
    /// IPv6 with its brackets.
    pub host: String,
    pub port: Option<u16>,
    pub params: Params,
}

/// The start of every branch of RFC 3261 (section 8.1.1.7).
pub(crate) const BRANCH_COOKIE: &str = "z9hG4bK";

impl Via {
    /// A Via of our own, with branch and an empty `rport` (RFC 3581 section 3).
    pub fn new(protocol: &str, host: &str, port: Option<u16>, branch: &str) -> Self {
        let mut params = Params::new();
        params.set("branch", Some(branch));
        params.set("rport", None);
        Self {
            protocol: known_protocol(protocol),
            host: host.to_owned(),
            port,
            params,
        }
    }

    /// The branch, if any.
    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch")
    }

    /// Whether the branch identifies a transaction as RFC 3261 means it: the cookie and something behind it.
    pub fn has_rfc3261_branch(&self) -> bool {
        self.branch().is_some_and(|branch| {
            branch.len() > BRANCH_COOKIE.len()
                && branch
                    .get(..BRANCH_COOKIE.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(BRANCH_COOKIE))
        })
    }

    /// The `received` address.
    pub fn received(&self) -> Option<std::net::IpAddr> {
        self.params
            .value("received")?
            .trim_matches(['[', ']'])
            .parse()
            .ok()
    }

    /// Whether `rport` was asked for or filled in.
    pub fn has_rport(&self) -> bool {
        self.params.has("rport")
    }

    /// The filled-in `rport`.
    pub fn rport(&self) -> Option<u16> {
        scan::number(self.params.value("rport")?)
    }

    /// Notes where a request really came from (RFC 3261 section 18.2.1, RFC 3581 section 4).
    pub fn note_source(&mut self, source: std::net::SocketAddr) {
        let is_sent_by = self.host.trim_matches(['[', ']']).parse() == Ok(source.ip());
        if self.has_rport() {
            self.params.set("rport", Some(&source.port().to_string()));
        }
        // A `received` that came from the wire is never believed.
        self.params.remove("received");
        if self.has_rport() || !is_sent_by {
            self.params.set("received", Some(&source.ip().to_string()));
        }
    }
}

impl Via {
    /// Whether the text can be read, at no cost of memory.
    pub(crate) fn check(text: &str) -> Result<(), Malformed> {
        each_header_param(Parts::of(text)?.params, |_, _| {})
    }

    /// The value of a parameter, of a text that was checked.
    pub(crate) fn param_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
        header_param(Parts::of(text).ok()?.params, name)
    }
}

/// The pieces of a Via.
struct Parts<'a> {
    protocol: &'a str,
    host: &'a str,
    port: Option<u16>,
    params: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, Malformed> {
        let text = scan::trim(text);
        let (head, params) = text.split_at(scan::find(text, b';').unwrap_or(text.len()));
        let (name, rest) = scan::split_once(head, b'/').ok_or(Malformed)?;
        let (version, rest) = scan::split_once(rest, b'/').ok_or(Malformed)?;
        let (name, version, rest) = (scan::trim(name), scan::trim(version), scan::trim(rest));
        if !name.eq_ignore_ascii_case("SIP") || version != "2.0" {
            return Err(Malformed);
        }
        let is_blank = |byte: u8| matches!(byte, b' ' | b'\t');
        let end = rest.bytes().position(is_blank).ok_or(Malformed)?;
        let (protocol, sent_by) = (&rest[..end], scan::trim(&rest[end..]));
        if !scan::is_token(protocol) {
            return Err(Malformed);
        }
        let (host, port) = if sent_by.bytes().any(is_blank) {
            // Blanks may stand around the colon of the port only.
            let (host, port) = sent_by.rsplit_once(':').ok_or(Malformed)?;
            scan::host_and_port(scan::trim(host), Some(scan::trim(port)))?
        } else {
            scan::host_port(sent_by)?
        };
        Ok(Self {
            protocol,
            host,
            port,
            params,
        })
    }
}

/// The known spelling of a transport, or the text's own.
fn known_protocol(protocol: &str) -> Cow<'static, str> {
    let known = ["UDP", "TCP", "TLS", "SCTP", "WS", "WSS"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(protocol));
    known.map_or_else(|| Cow::Owned(protocol.to_owned()), Cow::Borrowed)
}

impl FromStr for Via {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let parts = Parts::of(text)?;
        Ok(Self {
            protocol: known_protocol(parts.protocol),
            host: parts.host.to_owned(),
            port: parts.port,
            params: Params::parse_header(parts.params)?,
        })
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SIP/2.0/")?;
        f.write_str(&self.protocol)?;
        f.write_str(" ")?;
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        fmt::Display::fmt(&self.params, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(via: &str, source: &str) -> String {
        let mut via: Via = via.parse().unwrap();
        via.note_source(source.parse().unwrap());
        via.to_string()
    }

    #[test]
    fn rfc3581_section_4_the_source_is_noted() {
        assert_eq!(
            noted(
                "SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff",
                "192.0.2.1:9988"
            ),
            "SIP/2.0/UDP 10.1.1.1:4540;rport=9988;branch=z9hG4bKkjshdyff;received=192.0.2.1"
        );
        assert_eq!(
            noted(
                "SIP/2.0/udp host.example.com;branch=z9hG4bK1",
                "[2001:db8::1]:5060"
            ),
            "SIP/2.0/UDP host.example.com;branch=z9hG4bK1;received=2001:db8::1"
        );
        assert_eq!(
            noted(
                "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;received=203.0.113.9",
                "192.0.2.1:5060"
            ),
            "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"
        );
    }

    #[test]
    fn branches_of_rfc_3261_are_recognised() {
        for (branch, expected) in [
            ("z9hG4bKx", true),
            ("Z9HG4BKx", true),
            ("z9hG4bK", false),
            ("1", false),
        ] {
            let via = Via::new("UDP", "h", None, branch);
            assert_eq!(via.has_rfc3261_branch(), expected, "{branch}");
        }
    }

    #[test]
    fn what_is_no_via() {
        for text in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 h",
            "SIP/3.0/UDP h",
            "SIP/2.0/UDP h:",
            "SIP/2.0/UDP h:0",
            "SIP/2.0/UDP a b",
            // A blank is no part of an address: read without it, it would name another host.
            "SIP/2.0/UDP [2001:db8::9: 1]",
            "SIP/2.0/UDP h;;",
            "SIP/2.0/UDP h;branch=\"x",
            "SIP/2.0/UDP [::1",
        ] {
            assert!(text.parse::<Via>().is_err(), "{text}");
        }
    }
}
