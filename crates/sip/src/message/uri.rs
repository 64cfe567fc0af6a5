//! URIs: `sip:` and `sips:` taken apart (RFC 3261 section 19.1), others kept whole.

use super::error::Malformed;
use super::params::{Params, each_uri_param};
use super::scan;
use std::fmt;
use std::str::FromStr;

/// The scheme of a URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    /// Lower case.
    Other(String),
}

/// A URI. For `tel:` the number is in `user`; for other schemes the rest of the text is in `user` and nothing else is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    pub scheme: Scheme,
    /// As written, escapes included.
    pub user: Option<String>,
    pub password: Option<String>,
    /// As written; IPv6 with its brackets. Empty unless the scheme is sip or sips.
    pub host: String,
    pub port: Option<u16>,
    pub params: Params,
    /// What stands behind `?`, as written.
    pub headers: Option<String>,
}

impl Uri {
    /// `sip:user@host:port`.
    pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Self {
        Self {
            scheme: Scheme::Sip,
            user: user.map(str::to_owned),
            password: None,
            host: host.to_owned(),
            port,
            params: Params::new(),
            headers: None,
        }
    }

    /// Whether the scheme is sip or sips.
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// Whether the scheme asks for TLS on each hop.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::Sips
    }

    /// The user part with its escapes resolved; empty when there is none.
    pub fn user_decoded(&self) -> String {
        self.user.as_deref().map(unescape).unwrap_or_default()
    }

    /// The host as an address, brackets removed; `None` for a name.
    pub fn host_address(&self) -> Option<std::net::IpAddr> {
        self.host.trim_matches(['[', ']']).parse().ok()
    }

    /// The `transport` parameter.
    pub fn transport(&self) -> Option<&str> {
        self.params.value("transport")
    }

    /// The `lr` parameter: a loose router (RFC 3261 section 16.12).
    pub fn is_loose_router(&self) -> bool {
        self.params.has("lr")
    }

    /// Equivalence of RFC 3261 section 19.1.4 (escapes resolved, order of parameters without meaning).
    pub fn is_equivalent(&self, other: &Self) -> bool {
        if self == other {
            // Also where a parameter appears twice, which the pairwise comparison below cannot judge.
            return true;
        }
        if self.scheme != other.scheme {
            return false;
        }
        if !self.is_sip() {
            return self.to_string().eq_ignore_ascii_case(&other.to_string());
        }
        let text = |value: &Option<String>| value.as_deref().map(unescape);
        text(&self.user) == text(&other.user)
            && text(&self.password) == text(&other.password)
            && self.host.eq_ignore_ascii_case(&other.host)
            && self.port == other.port
            && params_match(&self.params, &other.params)
            && params_match(&other.params, &self.params)
            && header_set(self.headers.as_deref()) == header_set(other.headers.as_deref())
    }

    fn parse_sip(scheme: Scheme, rest: &str) -> Result<Self, Malformed> {
        let parts = SipParts::of(rest)?;
        Ok(Self {
            scheme,
            user: parts.user.map(str::to_owned),
            password: parts.password.map(str::to_owned),
            host: parts.host.to_owned(),
            port: parts.port,
            params: Params::parse_uri(parts.params)?,
            headers: parts.headers.map(str::to_owned),
        })
    }

    /// Whether the text can be read, at no cost of memory.
    pub(crate) fn check(text: &str) -> Result<(), Malformed> {
        let (scheme, rest) = split_scheme(text)?;
        let is = |known: &str| scheme.eq_ignore_ascii_case(known);
        if is("sip") || is("sips") {
            return each_uri_param(SipParts::of(rest)?.params, |_, _| {});
        }
        match rest.find(';') {
            Some(at) if is("tel") => each_uri_param(&rest[at..], |_, _| {}),
            Some(_) | None => Ok(()),
        }
    }
}

/// What stands behind the scheme of a sip or sips URI.
struct SipParts<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: &'a str,
    port: Option<u16>,
    params: &'a str,
    headers: Option<&'a str>,
}

impl<'a> SipParts<'a> {
    fn of(rest: &'a str) -> Result<Self, Malformed> {
        let (userinfo, rest) = match scan::split_once(rest, b'@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        let (user, password) = match userinfo {
            None => (None, None),
            Some("") => return Err(Malformed),
            Some(text) => match scan::split_once(text, b':') {
                Some((user, password)) => (Some(user), Some(password)),
                None => (Some(text), None),
            },
        };
        let (rest, headers) = match scan::split_once(rest, b'?') {
            Some((rest, headers)) => (rest, Some(headers)),
            None => (rest, None),
        };
        let (authority, params) = rest.split_at(scan::find(rest, b';').unwrap_or(rest.len()));
        let (host, port) = scan::host_port(authority)?;
        Ok(Self {
            user,
            password,
            host,
            port,
            params,
            headers,
        })
    }
}

/// The scheme and what stands behind its colon.
fn split_scheme(text: &str) -> Result<(&str, &str), Malformed> {
    let (scheme, rest) = scan::split_once(text, b':').ok_or(Malformed)?;
    let first_is_letter = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    let scheme_is_plain = scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !first_is_letter || !scheme_is_plain || rest.is_empty() || !has_uri_characters(rest) {
        return Err(Malformed);
    }
    Ok((scheme, rest))
}

/// What section 19.1.4 asks of the parameters of one URI against the other's.
fn params_match(one: &Params, other: &Params) -> bool {
    one.iter().all(|(name, value)| {
        let decisive = ["user", "ttl", "method", "maddr", "transport"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name));
        if !other.has(name) {
            return !decisive;
        }
        match (value, other.value(name)) {
            (Some(one), Some(other)) => unescape(one).eq_ignore_ascii_case(&unescape(other)),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    })
}

fn header_set(headers: Option<&str>) -> Vec<(String, String)> {
    let mut list: Vec<_> = headers
        .unwrap_or_default()
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (unescape(name).to_ascii_lowercase(), unescape(value))
        })
        .collect();
    list.sort();
    list
}

/// Resolves `%XX`; bytes that are not UTF-8 afterwards become U+FFFD.
fn unescape(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Visible characters that no enclosing grammar uses, and whole escapes.
fn has_uri_characters(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes
            .get(at + 1..at + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        b'<' | b'>' | b'"' | b'\\' | 0x7f => false,
        _ => *byte > b' ' && byte.is_ascii(),
    })
}

impl FromStr for Uri {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (scheme, rest) = split_scheme(text)?;
        if scheme.eq_ignore_ascii_case("sip") {
            return Self::parse_sip(Scheme::Sip, rest);
        }
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "sips" => return Self::parse_sip(Scheme::Sips, rest),
            "tel" => Scheme::Tel,
            other => Scheme::Other(other.to_owned()),
        };
        let (user, params) = match (&scheme, rest.find(';')) {
            (Scheme::Tel, Some(at)) => (&rest[..at], Params::parse_uri(&rest[at..])?),
            _ => (rest, Params::new()),
        };
        Ok(Self {
            scheme,
            user: Some(user.to_owned()),
            password: None,
            host: String::new(),
            port: None,
            params,
            headers: None,
        })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match &self.scheme {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
            Scheme::Tel => "tel",
            Scheme::Other(text) => text,
        };
        f.write_str(scheme)?;
        f.write_str(":")?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                f.write_str(":")?;
                f.write_str(password)?;
            }
            if self.is_sip() {
                f.write_str("@")?;
            }
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        fmt::Display::fmt(&self.params, f)?;
        if let Some(headers) = &self.headers {
            f.write_str("?")?;
            f.write_str(headers)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn parts_of_a_sip_uri() {
        let parsed =
            uri("sips:al%69ce:pw;x@[2001:db8::1]:5061;transport=TLS;lr?subject=a&priority=b");
        assert!(parsed.is_secure() && parsed.is_loose_router());
        assert_eq!(parsed.user_decoded(), "alice");
        assert_eq!(parsed.password.as_deref(), Some("pw;x"));
        assert_eq!(parsed.host_address(), "2001:db8::1".parse().ok());
        assert_eq!(parsed.port, Some(5061));
        assert_eq!(parsed.transport(), Some("TLS"));
        assert_eq!(parsed.headers.as_deref(), Some("subject=a&priority=b"));
        assert_eq!(uri(&parsed.to_string()), parsed);
    }

    #[test]
    fn rfc3261_section_19_1_4_equivalent() {
        for (one, other) in [
            (
                "sip:%61lice@atlanta.com;transport=TCP",
                "sip:alice@AtLanTa.CoM;Transport=tcp",
            ),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
        ] {
            assert!(uri(one).is_equivalent(&uri(other)), "{one} {other}");
            assert!(uri(other).is_equivalent(&uri(one)), "{other} {one}");
        }
    }

    #[test]
    fn rfc3261_section_19_1_4_different() {
        for (one, other) in [
            (
                "SIP:ALICE@AtLanTa.CoM;Transport=udp",
                "sip:alice@AtLanTa.CoM;Transport=UDP",
            ),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            (
                "sip:bob@biloxi.com",
                "sip:bob@biloxi.com:6000;transport=tcp",
            ),
            (
                "sip:carol@chicago.com",
                "sip:carol@chicago.com?Subject=next%20meeting",
            ),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
            ("sip:c@d;security=on", "sip:c@d;security=off"),
        ] {
            assert!(!uri(one).is_equivalent(&uri(other)), "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_uri() {
        for text in [
            "",
            ":",
            "sip:",
            "sip:@",
            "sip:a@",
            "1sip:a",
            "sip:a b",
            "sip:a@b:0",
            "sip:a@b:65536",
            "sip:[::1",
            "sip:[::x]",
            "sip:a@b%",
            "sip:a@b%4",
            "sip:\u{e9}@b",
            "sip:a<b>",
            "sip:a@b;=c",
            "noscheme",
        ] {
            assert!(text.parse::<Uri>().is_err(), "{text}");
        }
    }
}
