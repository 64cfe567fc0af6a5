//! An Identity header (RFC 8224) and the PASSporT in it (RFC 8225, with `shaken` of RFC 8588): what it says, and whether it says it of this call.
//! Pure: no clock, no socket; the signature is judged beside (`certificate`).

use std::fmt;

use serde_json::{Map, Value};

use super::Fault;
use crate::provider::numeric;

/// Longest Identity header that is read, bytes: a token of some twenty destinations and a long address of its certificate.
const IDENTITY_BYTES_MAX: usize = 8_192;
/// Identity headers that are looked at.
const IDENTITIES_MAX: usize = 8;
/// How old or how far ahead a token may be, seconds (RFC 8224 section 6.2 step 4).
const FRESH_S: u64 = 60;
/// Shortest and longest telephone number, digits (E.164).
const DIGITS: std::ops::RangeInclusive<usize> = 3..=15;

/// What the signer says of the caller (RFC 8588 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attestation {
    /// The call came by it from elsewhere: gateway attestation.
    C,
    /// It knows its customer, not that the number is his: partial attestation.
    B,
    /// It knows its customer and that he may use the number: full attestation.
    A,
}

impl Attestation {
    /// Its letter.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }

    fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "A" => Some(Self::A),
            "B" => Some(Self::B),
            "C" => Some(Self::C),
            _ => None,
        }
    }
}

/// What a call itself says, against which its token is held.
#[derive(Clone)]
pub(crate) struct Asked {
    /// Values of its Identity headers.
    pub(crate) identities: Vec<String>,
    /// The caller's number as it is shown: that of From, else of P-Asserted-Identity.
    pub(crate) from: String,
    /// The number of To.
    pub(crate) to: String,
    /// The Date header, seconds since 1970: the time of a token in compact form.
    pub(crate) date_s: Option<u64>,
    /// Calling code of national numbers, without plus.
    pub(crate) country: String,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asked({} identities)", self.identities.len())
    }
}

/// A token that fits its call; whether its signature does is still to be seen.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Where the signer's certificate is.
    pub(crate) certificate_url: String,
    /// What was signed (RFC 7515 section 5.1).
    pub(crate) signed: String,
    /// R and S, 32 bytes each (RFC 7518 section 3.4).
    pub(crate) signature: Vec<u8>,
    /// None in a token that is no `shaken` one.
    pub(crate) attestation: Option<Attestation>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?}, {})", self.attestation, self.certificate_url)
    }
}

/// The token of a call, if it is one that says something of this call now. Of several the `shaken` one counts.
///
/// # Errors
/// What is wrong with it, or that there is none.
pub(crate) fn read(asked: &Asked, now_s: u64) -> Result<Token, Fault> {
    let values = asked.identities.iter().take(IDENTITIES_MAX);
    let mut headers: Vec<Header<'_>> = Vec::new();
    for value in values {
        // Other extensions (`div`, `rph`) say other things: they are passed over, as section 6.2 step 1 has it.
        let header = Header::parse(value)?;
        match header.ppt {
            None | Some("shaken") => headers.push(header),
            Some(_) => {}
        }
    }
    let shaken = headers.iter().find(|header| header.ppt.is_some());
    let header = shaken.or(headers.first()).ok_or(Fault::Missing)?;
    if header.alg.is_some_and(|alg| alg != "ES256") {
        return Err(Fault::Algorithm);
    }
    match header.parts {
        ["", "", signature] => compact(asked, header, signature, now_s),
        parts => full(asked, header, parts, now_s),
    }
}

/// An Identity header's value in its parts.
struct Header<'a> {
    /// Header, payload and signature of the token; the first two are empty in the compact form.
    parts: [&'a str; 3],
    info: &'a str,
    alg: Option<&'a str>,
    ppt: Option<&'a str>,
}

impl<'a> Header<'a> {
    fn parse(value: &'a str) -> Result<Self, Fault> {
        if value.len() > IDENTITY_BYTES_MAX {
            return Err(Fault::Malformed);
        }
        let mut fields = value.split(';').map(str::trim);
        let mut parts = fields.next().unwrap_or_default().split('.');
        let mut part = || parts.next().ok_or(Fault::Malformed);
        let parts_found = [part()?, part()?, part()?];
        if parts.next().is_some() {
            return Err(Fault::Malformed);
        }
        let (mut info, mut alg, mut ppt) = (None, None, None);
        for field in fields {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("info") {
                info = value
                    .strip_prefix('<')
                    .and_then(|url| url.strip_suffix('>'));
            } else if name.eq_ignore_ascii_case("alg") {
                alg = Some(value);
            } else if name.eq_ignore_ascii_case("ppt") {
                ppt = Some(value);
            }
        }
        Ok(Self {
            parts: parts_found,
            info: info.ok_or(Fault::Malformed)?,
            alg,
            ppt,
        })
    }
}

/// A token that carries its claims.
fn full(
    asked: &Asked,
    header: &Header<'_>,
    [head, payload, signature]: [&str; 3],
    now_s: u64,
) -> Result<Token, Fault> {
    let jose = object(head)?;
    let claims = object(payload)?;
    let text = |map: &Map<String, Value>, name: &str| {
        let text = map.get(name).and_then(Value::as_str);
        text.map(str::to_owned)
    };
    if text(&jose, "alg").as_deref() != Some("ES256") {
        return Err(Fault::Algorithm);
    }
    let is_passport = text(&jose, "typ").is_some_and(|kind| kind == "passport");
    let ppt = text(&jose, "ppt");
    // What stands outside of the signature may not say otherwise than what is signed (RFC 8224 section 4.1).
    let url = text(&jose, "x5u").ok_or(Fault::Malformed)?;
    if !is_passport || ppt.as_deref() != header.ppt || url != header.info {
        return Err(Fault::Malformed);
    }
    let attestation = match ppt {
        None => None,
        Some(_) => {
            let letter = text(&claims, "attest").unwrap_or_default();
            text(&claims, "origid").ok_or(Fault::Malformed)?;
            Some(Attestation::from_letter(&letter).ok_or(Fault::Malformed)?)
        }
    };
    let issued_s = claims.get("iat").and_then(Value::as_u64);
    fresh(issued_s.ok_or(Fault::Malformed)?, now_s)?;
    let number = |text: &str| canonical(text, &asked.country);
    let orig = claims.get("orig").and_then(|orig| orig.get("tn")?.as_str());
    let caller = number(&asked.from).ok_or(Fault::Caller)?;
    if orig.and_then(number) != Some(caller) {
        return Err(Fault::Caller);
    }
    let called = number(&asked.to).ok_or(Fault::Called)?;
    let dest = claims
        .get("dest")
        .and_then(|dest| dest.get("tn")?.as_array());
    let mut destinations = dest.into_iter().flatten().filter_map(Value::as_str);
    if !destinations.any(|one| number(one).as_ref() == Some(&called)) {
        return Err(Fault::Called);
    }
    Ok(Token {
        certificate_url: url,
        signed: format!("{head}.{payload}"),
        signature: signature_of(signature)?,
        attestation,
    })
}

/// A token without claims: they are what the message says (RFC 8224 section 4.1, RFC 8225 section 7). `shaken` says more than a message does,
/// so that it has no compact form (ATIS-1000074 section 5.2).
fn compact(
    asked: &Asked,
    header: &Header<'_>,
    signature: &str,
    now_s: u64,
) -> Result<Token, Fault> {
    if header.ppt.is_some() {
        return Err(Fault::Malformed);
    }
    let issued_s = asked.date_s.ok_or(Fault::Stale)?;
    fresh(issued_s, now_s)?;
    let orig = canonical(&asked.from, &asked.country).ok_or(Fault::Caller)?;
    let dest = canonical(&asked.to, &asked.country).ok_or(Fault::Called)?;
    // In the order of their names and without spaces (RFC 8225 section 9).
    let url = Value::from(header.info);
    let jose = format!(r#"{{"alg":"ES256","typ":"passport","x5u":{url}}}"#);
    let claims =
        format!(r#"{{"dest":{{"tn":["{dest}"]}},"iat":{issued_s},"orig":{{"tn":"{orig}"}}}}"#);
    let encoded = |text: &str| base64_simd::URL_SAFE_NO_PAD.encode_to_string(text);
    Ok(Token {
        certificate_url: header.info.to_owned(),
        signed: format!("{}.{}", encoded(&jose), encoded(&claims)),
        signature: signature_of(signature)?,
        attestation: None,
    })
}

fn fresh(issued_s: u64, now_s: u64) -> Result<(), Fault> {
    if issued_s.abs_diff(now_s) > FRESH_S {
        return Err(Fault::Stale);
    }
    Ok(())
}

fn decoded(part: &str) -> Result<Vec<u8>, Fault> {
    let decoded = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(part);
    decoded.map_err(|_| Fault::Malformed)
}

fn object(part: &str) -> Result<Map<String, Value>, Fault> {
    match serde_json::from_slice(&decoded(part)?) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) | Err(_) => Err(Fault::Malformed),
    }
}

fn signature_of(part: &str) -> Result<Vec<u8>, Fault> {
    let signature = decoded(part)?;
    match signature.len() {
        64 => Ok(signature),
        _ => Err(Fault::Signature),
    }
}

/// A telephone number in its canonical form: the digits of E.164 alone (RFC 8224 section 8.3). `None` for what is no number.
pub(crate) fn canonical(text: &str, country: &str) -> Option<String> {
    numeric(country, text, *DIGITS.start()).filter(|digits| DIGITS.contains(&digits.len()))
}
