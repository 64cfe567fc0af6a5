//! The HTTP request that a WebSocket for SIP begins with (RFC 6455 section 4.2, RFC 7118 section 4): who is let in, and what the others are told.
//! Bytes in, a verdict out.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Bytes of a request with all its header fields: browsers send cookies of the host along.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1_024;
/// Header fields of a request.
const FIELDS_MAX: usize = 64;
/// Addresses of `X-Forwarded-For` that are looked at, from the last one.
const HOPS_MAX: usize = 16;
/// Bytes of the key (RFC 6455 section 4.1).
const KEY_BYTES: usize = 16;
/// Of RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The subprotocol (RFC 7118 section 4.1).
const SUBPROTOCOL: &str = "sip";
/// Stands in the settings for pages of any origin.
const ANY: &str = "*";

/// Who is let in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    /// Origins of pages, as browsers write them (`https://www.example.test`), or `*`. None: pages of the host that is asked itself.
    pub(crate) origins: Vec<String>,
    /// Proxies in front, which are believed when they say for whom they ask.
    pub(crate) proxies: Vec<IpNet>,
}

impl Admission {
    /// Whether an address is one of the proxies.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.proxies
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Who is no browser sends no Origin: this protects people of pages, not us.
    fn admits(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        if self.origins.is_empty() {
            let of_page = origin
                .split_once("://")
                .map(|(_, authority)| name(authority));
            return of_page.is_some_and(|page| {
                host.is_some_and(|host| name(host).eq_ignore_ascii_case(page))
            });
        }
        let is_listed = |known: &String| known == ANY || known.eq_ignore_ascii_case(origin);
        self.origins.iter().any(is_listed)
    }
}

/// An authority without its port.
fn name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => authority,
    }
}

/// A request that is followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    accept: String,
    /// For whom a proxy asks.
    pub(super) client: Option<IpAddr>,
}

impl Agreed {
    pub(super) fn answer(&self) -> String {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n",
            self.accept
        )
    }
}

/// Why a request is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed,
    TooLarge,
    Method,
    /// No wish to change to WebSocket, or to another version of it.
    NoUpgrade,
    /// Not the subprotocol of SIP.
    Subprotocol,
    /// A page of an origin that is not let in.
    Origin,
}

impl Refusal {
    pub(super) fn answer(self) -> String {
        let (status, field, why) = match self {
            Self::Malformed => ("400 Bad Request", "", "This request cannot be read."),
            Self::TooLarge => (
                "431 Request Header Fields Too Large",
                "",
                "This request is too large.",
            ),
            Self::Method => (
                "405 Method Not Allowed",
                "Allow: GET\r\n",
                "A WebSocket begins with GET.",
            ),
            Self::NoUpgrade => (
                "426 Upgrade Required",
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
                "SIP over WebSocket (RFC 7118) is spoken here.",
            ),
            Self::Subprotocol => (
                "400 Bad Request",
                "",
                "The subprotocol sip is wanted (RFC 7118).",
            ),
            Self::Origin => (
                "403 Forbidden",
                "",
                "Pages of this origin are not let in (sip.ws_origins).",
            ),
        };
        format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\n{field}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{why}\n",
            why.len() + 1
        )
    }
}

/// The fields of a request that count.
struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
        let fields = self.0.iter();
        fields
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .filter_map(|field| std::str::from_utf8(field.value).ok())
            .map(str::trim)
    }

    /// The one value of a field; `None` where it is missing or comes twice.
    fn one(&self, name: &str) -> Option<&'a str> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    /// Whether a list of tokens has this one.
    fn has(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|known| known.trim().eq_ignore_ascii_case(token))
    }
}

/// Judges a whole request of this peer.
pub(crate) fn judge(head: &[u8], peer: IpAddr, admission: &Admission) -> Result<Agreed, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) if request.version == Some(1) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Ok(_) | Err(_) => return Err(Refusal::Malformed),
    }
    if request.method != Some("GET") {
        return Err(Refusal::Method);
    }
    let fields = Fields(request.headers);
    if !fields.has("Upgrade", "websocket")
        || !fields.has("Connection", "upgrade")
        || fields.one("Sec-WebSocket-Version") != Some("13")
    {
        return Err(Refusal::NoUpgrade);
    }
    let key = fields.one("Sec-WebSocket-Key").ok_or(Refusal::Malformed)?;
    let is_key = base64_simd::STANDARD
        .decode_to_vec(key)
        .is_ok_and(|key| key.len() == KEY_BYTES);
    if !is_key {
        return Err(Refusal::Malformed);
    }
    let origins = fields.all("Origin").count();
    if origins > 1 || !admission.admits(fields.one("Origin"), fields.one("Host")) {
        return Err(Refusal::Origin);
    }
    if !fields.has("Sec-WebSocket-Protocol", SUBPROTOCOL) {
        return Err(Refusal::Subprotocol);
    }
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    Ok(Agreed {
        accept: base64_simd::STANDARD.encode_to_string(hash.as_ref()),
        client: client(&fields, peer, admission),
    })
}

/// For whom a named proxy asks: the last address that is no proxy's, since what each of them adds comes last.
fn client(fields: &Fields<'_>, peer: IpAddr, admission: &Admission) -> Option<IpAddr> {
    if !admission.is_proxy(peer) {
        return None;
    }
    fields
        .all("X-Forwarded-For")
        .rev()
        .flat_map(|value| value.rsplit(','))
        .take(HOPS_MAX)
        .map_while(|text| address(text.trim()))
        .find(|address| !admission.is_proxy(*address))
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    address
        .or_else(|| text.parse::<SocketAddr>().ok().map(|whole| whole.ip()))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;
