//! Text to session descriptions. Unknown lines and attributes are ignored, as RFC 4566 section 5 wants it; known
//! attributes with hostile values are ignored too, so that one bad `a=` line does not cost a call.

use super::offer_answer::CryptoLine;
use super::{
    Connection, Direction, DtlsLines, Fingerprint, IceLines, Media, Origin, RtpMap,
    SessionDescription, Setup,
};
use crate::message::scan;
use std::fmt;
use std::net::IpAddr;

/// Bytes of a body.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// `m=` sections.
pub const MEDIA_MAX: usize = 8;
/// Formats of one `m=` line that are looked at.
pub const FORMATS_MAX: usize = 64;
/// Bytes of one `a=fmtp` value; longer ones are ignored.
pub const FMTP_BYTES_MAX: usize = 512;
/// `a=crypto` lines of one section that are looked at.
pub const CRYPTO_MAX: usize = 8;
/// `a=fingerprint` lines of one section, or of the session, that are looked at.
pub const FINGERPRINTS_MAX: usize = 4;
/// Bytes of one `a=mid`; longer ones are ignored.
const MID_BYTES_MAX: usize = 64;
/// Bytes of the longest hash of a certificate (SHA-512).
const FINGERPRINT_BYTES_MAX: usize = 64;
/// What `a=ptime` and `a=maxptime` may say, in milliseconds; other values are ignored.
const PTIME_MS: std::ops::RangeInclusive<u32> = 1..=1_000;

/// Why a body is not a session description; the line counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdpError {
    pub line: usize,
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad session description at line {}", self.line)
    }
}

impl std::error::Error for SdpError {}

impl SessionDescription {
    /// Reads a body.
    ///
    /// # Errors
    /// The first line that breaks the format: `v=`, `o=`, `c=`, `m=`, a line without `=`, or too much of something.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(SdpError { line: 0 });
        }
        let text = String::from_utf8_lossy(body);
        let mut reader = Reader::default();
        for (index, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.trim().is_empty() {
                continue;
            }
            reader.read_line(line).ok_or(SdpError { line: index + 1 })?;
        }
        reader.finish().ok_or(SdpError { line: 1 })
    }
}

#[derive(Default)]
struct Reader {
    has_version: bool,
    origin: Option<Origin>,
    connection: Option<Connection>,
    direction: Option<Direction>,
    dtls: DtlsLines,
    ice: IceLines,
    bundle: Vec<String>,
    timing: Option<String>,
    media: Vec<MediaReader>,
}

struct MediaReader {
    media: Media,
    maps: Vec<RtpMap>,
    parameters: Vec<(u8, String)>,
}

impl Reader {
    /// `None` refuses the body.
    fn read_line(&mut self, line: &str) -> Option<()> {
        let (kind, value) = line.split_once('=')?;
        let value = value.trim();
        if !self.has_version {
            // The version line comes first.
            self.has_version = kind == "v" && value == "0";
            return self.has_version.then_some(());
        }
        match kind {
            "o" if self.origin.is_none() => self.origin = Some(origin(value)?),
            "c" => {
                let connection = Some(connection(value)?);
                match self.media.last_mut() {
                    Some(last) => last.media.connection = connection,
                    None => self.connection = connection,
                }
            }
            "t" if self.timing.is_none() => self.timing = Some(timing(value)),
            "m" if self.media.len() < MEDIA_MAX => self.media.push(MediaReader::new(value)?),
            "m" => return None,
            "a" => self.attribute(value),
            _ if kind.len() != 1 => return None,
            _ => {}
        }
        Some(())
    }

    fn attribute(&mut self, text: &str) {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        match (self.media.last_mut(), Direction::from_attribute(name)) {
            (Some(last), Some(direction)) => last.media.direction = Some(direction),
            (None, Some(direction)) => self.direction = Some(direction),
            (Some(last), None) => last.attribute(name, value.trim()),
            (None, None) if name == "group" => self.bundle = bundle(value),
            (None, None) => {
                if !self.ice.attribute(name, value.trim()) {
                    self.dtls.attribute(name, value.trim());
                }
            }
        }
    }

    fn finish(self) -> Option<SessionDescription> {
        Some(SessionDescription {
            origin: self.origin?,
            connection: self.connection,
            direction: self.direction,
            dtls: self.dtls,
            ice: self.ice,
            bundle: self.bundle,
            timing: self.timing.unwrap_or_else(|| "0 0".to_owned()),
            media: self.media.into_iter().map(MediaReader::finish).collect(),
        })
    }
}

impl MediaReader {
    fn new(value: &str) -> Option<Self> {
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        let (kind, port, protocol) = (words.next()?, words.next()?, words.next()?);
        // `port/number-of-ports` is for layered multicast; the first port is the stream's.
        let port = scan::number(port.split('/').next()?)?;
        let is_plain = |word: &str| word.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain(kind) || !is_plain(protocol) {
            return None;
        }
        let mut formats: Vec<String> = Vec::new();
        for format in words.take(FORMATS_MAX) {
            if is_plain(format) && !formats.iter().any(|known| known == format) {
                formats.push(format.to_owned());
            }
        }
        if formats.is_empty() {
            return None;
        }
        Some(Self {
            media: Media {
                kind: kind.to_ascii_lowercase(),
                port,
                protocol: protocol.to_owned(),
                mid: None,
                formats,
                connection: None,
                direction: None,
                codecs: Vec::new(),
                ptime_ms: None,
                maxptime_ms: None,
                rtcp: None,
                rtcp_mux: false,
                crypto: Vec::new(),
                dtls: DtlsLines::default(),
                ice: IceLines::default(),
            },
            maps: Vec::new(),
            parameters: Vec::new(),
        })
    }

    fn attribute(&mut self, name: &str, value: &str) {
        match name {
            "rtpmap" if self.maps.len() < FORMATS_MAX => {
                if let Some(map) = rtpmap(value)
                    && !self
                        .maps
                        .iter()
                        .any(|known| known.payload_type == map.payload_type)
                {
                    self.maps.push(map);
                }
            }
            "fmtp" if self.parameters.len() < FORMATS_MAX && value.len() <= FMTP_BYTES_MAX => {
                if let Some((format, parameters)) = value.split_once(' ')
                    && let Some(format) = payload_type(format)
                    && !parameters.contains(char::is_control)
                    && !self.parameters.iter().any(|(known, _)| *known == format)
                {
                    self.parameters.push((format, parameters.trim().to_owned()));
                }
            }
            "ptime" => self.media.ptime_ms = milliseconds(value),
            "maxptime" => self.media.maxptime_ms = milliseconds(value),
            "rtcp" => self.media.rtcp = rtcp(value),
            "rtcp-mux" => self.media.rtcp_mux = true,
            "mid" => self.media.mid = mid(value),
            "crypto" if self.media.crypto.len() < CRYPTO_MAX => {
                self.media.crypto.extend(crypto(value));
            }
            _ if self.media.ice.attribute(name, value) => {}
            _ => self.media.dtls.attribute(name, value),
        }
    }

    /// Joins formats, maps and parameters; formats without a known encoding are left out of `codecs`.
    fn finish(self) -> Media {
        let mut media = self.media;
        for format in &media.formats {
            let Some(payload_type) = payload_type(format) else {
                continue;
            };
            let mapped = self
                .maps
                .iter()
                .find(|map| map.payload_type == payload_type)
                .cloned();
            let Some(mut map) = mapped.or_else(|| static_map(payload_type)) else {
                continue;
            };
            map.parameters = self
                .parameters
                .iter()
                .find(|(known, _)| *known == payload_type)
                .map(|(_, parameters)| parameters.clone());
            media.codecs.push(map);
        }
        media
    }
}

impl DtlsLines {
    fn attribute(&mut self, name: &str, value: &str) {
        match name {
            "fingerprint" if self.fingerprints.len() < FINGERPRINTS_MAX => {
                self.fingerprints.extend(fingerprint(value));
            }
            "setup" => self.setup = Setup::from_attribute(value),
            _ => {}
        }
    }
}

/// A token (RFC 5888 section 4).
fn mid(value: &str) -> Option<String> {
    let is_mid = value.len() <= MID_BYTES_MAX && scan::is_token(value);
    is_mid.then(|| value.to_owned())
}

/// The members of the group, where it is one of BUNDLE.
fn bundle(value: &str) -> Vec<String> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    if words.next() != Some("BUNDLE") {
        return Vec::new();
    }
    words.filter_map(mid).take(MEDIA_MAX).collect()
}

/// `<hash> <hex>:<hex>…` (RFC 8122 section 5).
fn fingerprint(value: &str) -> Option<Fingerprint> {
    let (hash, digits) = value.split_once(' ')?;
    if !scan::is_token(hash) || hash.len() > 16 {
        return None;
    }
    let byte = |pair: &str| {
        let is_hex = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
    };
    let digits = digits.trim();
    if digits.len() > FINGERPRINT_BYTES_MAX * 3 {
        return None;
    }
    let bytes: Option<Vec<u8>> = digits.split(':').map(byte).collect();
    Some(Fingerprint {
        hash: hash.to_ascii_lowercase(),
        bytes: bytes?,
    })
}

/// `<username> <sess-id> <sess-version> IN IP4 <address>`. Ids beyond 64 bits occur; they count as the largest.
fn origin(value: &str) -> Option<Origin> {
    let words: Vec<&str> = value
        .split(' ')
        .filter(|word| !word.is_empty())
        .take(7)
        .collect();
    let [username, session_id, session_version, "IN", _, address] = words[..] else {
        return None;
    };
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().unwrap_or(u64::MAX))
    };
    let is_plain = |word: &str| word.chars().all(|character| !character.is_control());
    if !is_plain(username) || !is_plain(address) {
        return None;
    }
    Some(Origin {
        username: username.to_owned(),
        session_id: number(session_id)?,
        session_version: number(session_version)?,
        address: address.to_owned(),
    })
}

/// `IN IP4 <address>[/ttl][/count]`.
fn connection(value: &str) -> Option<Connection> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let (Some("IN"), Some("IP4" | "IP6"), Some(address), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return None;
    };
    let host = address.split('/').next()?;
    match host.parse::<IpAddr>() {
        Ok(address) => Some(Connection::Address(address)),
        Err(_) if scan::is_host(host) => Some(Connection::Name(host.to_owned())),
        Err(_) => None,
    }
}

fn timing(value: &str) -> String {
    let is_plain = value.len() <= 64
        && value
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b' ');
    if is_plain && !value.is_empty() {
        value.to_owned()
    } else {
        "0 0".to_owned()
    }
}

fn payload_type(text: &str) -> Option<u8> {
    scan::number::<u8>(text).filter(|number| *number < 128)
}

/// `<payload type> <name>/<rate>[/<channels>]`. A rate of 0 or beyond what audio and video use is no codec.
fn rtpmap(value: &str) -> Option<RtpMap> {
    let (format, encoding) = value.split_once(' ')?;
    let mut parts = encoding.trim().split('/');
    let (name, rate) = (parts.next()?, parts.next()?);
    if !scan::is_token(name) || name.len() > 64 {
        return None;
    }
    Some(RtpMap {
        payload_type: payload_type(format)?,
        name: name.to_owned(),
        clock_rate: scan::number(rate).filter(|rate| (1_000..=1_000_000).contains(rate))?,
        channels: match parts.next() {
            None => 1,
            Some(channels) => scan::number(channels).filter(|channels| *channels > 0)?,
        },
        parameters: None,
    })
}

/// RFC 3551 section 6, the audio formats that occur without `a=rtpmap`.
fn static_map(payload_type: u8) -> Option<RtpMap> {
    let name = match payload_type {
        0 => "PCMU",
        3 => "GSM",
        4 => "G723",
        8 => "PCMA",
        9 => "G722",
        13 => "CN",
        15 => "G728",
        18 => "G729",
        _ => return None,
    };
    Some(RtpMap {
        payload_type,
        name: name.to_owned(),
        clock_rate: 8_000,
        channels: 1,
        parameters: None,
    })
}

fn milliseconds(value: &str) -> Option<u32> {
    scan::number(value).filter(|ms| PTIME_MS.contains(ms))
}

/// `<port> [IN IP4 <address>]` (RFC 3605).
fn rtcp(value: &str) -> Option<(u16, Option<IpAddr>)> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let port = scan::number(words.next()?).filter(|port| *port != 0)?;
    let address = words.nth(2).and_then(|address| address.parse().ok());
    Some((port, address))
}

/// `<tag> <suite> inline:<key>[|lifetime] [session parameters]` (RFC 4568 section 9.1). `None` for what we cannot do: an
/// unknown suite, a key of the wrong size, a master key identifier, a parameter that changes the protection.
fn crypto(value: &str) -> Option<CryptoLine> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let (tag, suite, key) = (words.next()?, words.next()?, words.next()?);
    let key_bytes = super::offer_answer::key_bytes(suite)?;
    if !words.all(|word| word.starts_with('-') || word.starts_with("WSH=")) {
        return None;
    }
    let key = key
        .get(..7)
        .filter(|start| start.eq_ignore_ascii_case("inline:"))
        .map(|_| &key[7..])?;
    let mut parts = key.split('|');
    let encoded = parts.next()?.trim_end_matches('=');
    if parts.any(|part| part.contains(':')) || encoded.contains(';') {
        return None;
    }
    let key = base64_simd::STANDARD_NO_PAD
        .decode_to_vec(encoded.as_bytes())
        .ok()
        .filter(|key| key.len() == key_bytes)?;
    Some(CryptoLine {
        tag: scan::number(tag).filter(|tag| *tag < 1_000_000_000)?,
        suite: suite.to_owned(),
        key,
    })
}
