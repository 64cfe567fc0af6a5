//! What carriers sign, checked: Twilio's two signatures, Plivo's V3, Telnyx' Ed25519.
//!
//! The address is always the public one that the carrier called, not the one that reached us behind a proxy. Comparisons take the
//! same time whatever is wrong.

use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Header of Twilio's signature, on webhooks and on the WebSocket handshake.
pub const TWILIO_HEADER: &str = "x-twilio-signature";
/// Header that names another key and algorithm than the account's token and SHA-1.
pub const TWILIO_SETTINGS_HEADER: &str = "x-twilio-webhooks-signature-settings";
/// Header of Plivo's signature, with the one-time number in `x-plivo-signature-v3-nonce`.
pub const PLIVO_HEADER: &str = "x-plivo-signature-v3";
/// See [`PLIVO_HEADER`].
pub const PLIVO_NONCE_HEADER: &str = "x-plivo-signature-v3-nonce";
/// Header of Telnyx' signature, over the time of `telnyx-timestamp` and the body.
pub const TELNYX_HEADER: &str = "telnyx-signature-ed25519";
/// See [`TELNYX_HEADER`].
pub const TELNYX_TIME_HEADER: &str = "telnyx-timestamp";
/// How far a signed time may be from ours, seconds.
pub const TELNYX_SKEW_S_MAX: u64 = 300;

/// How a Twilio request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// With the account's token.
    HmacSha1,
    /// With a shared key.
    HmacSha256,
}

/// What the settings header says. Without one: SHA-1 and the account's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureSettings {
    /// Id of the shared key.
    pub key: Option<String>,
    /// How it signs.
    pub algorithm: Algorithm,
}

impl SignatureSettings {
    /// Reads the header (`key=<id>,algorithm=HMAC_SHA256`); `None` for an algorithm that is not known.
    #[must_use]
    pub fn read(header: &str) -> Option<Self> {
        let mut settings = Self {
            key: None,
            algorithm: Algorithm::HmacSha1,
        };
        for part in header.split(',') {
            match part
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim()))
            {
                Some(("key", value)) if !value.is_empty() => settings.key = Some(value.to_owned()),
                Some(("algorithm", value)) if !value.is_empty() => {
                    settings.algorithm = if value.eq_ignore_ascii_case("HMAC_SHA1") {
                        Algorithm::HmacSha1
                    } else if value.eq_ignore_ascii_case("HMAC_SHA256") {
                        Algorithm::HmacSha256
                    } else {
                        return None;
                    };
                }
                Some(_) | None => {}
            }
        }
        Some(settings)
    }
}

/// What is signed beside the address.
#[derive(Clone, Copy, Debug)]
pub enum Signed<'a> {
    /// Nothing: a GET, or a WebSocket handshake.
    Address,
    /// The fields of a form, decoded, in any order.
    Form(&'a [(String, String)]),
    /// A body that is no form: the address has its hash as `bodySHA256`.
    Body(&'a [u8]),
}

/// Twilio's signature of an address exactly as written.
#[must_use]
pub fn twilio(key: &str, algorithm: Algorithm, url: &str, form: &[(String, String)]) -> String {
    // The same name with several values: each value once, in order.
    let mut fields: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in form {
        fields.entry(name).or_default().insert(value);
    }
    let mut text = url.to_owned();
    for (name, values) in fields {
        for value in values {
            text.push_str(name);
            text.push_str(value);
        }
    }
    match algorithm {
        Algorithm::HmacSha1 => base64(&sha1_of(key, text.as_bytes())),
        Algorithm::HmacSha256 => base64(&sha256_of(key, text.as_bytes())),
    }
}

/// Whether a Twilio signature is right for the address, with or without its default port (Twilio does both).
#[must_use]
pub fn twilio_is_valid(
    key: &str,
    algorithm: Algorithm,
    url: &str,
    signed: Signed<'_>,
    signature: &str,
) -> bool {
    if key.is_empty() {
        return false;
    }
    let (form, body_is_right) = match signed {
        Signed::Address => (&[][..], true),
        Signed::Form(form) => (form, true),
        Signed::Body(body) => {
            let hash = hex(&Sha256::digest(body));
            let named = query_value(url, "bodySHA256");
            let right = named.is_some_and(|named| equal(named.as_bytes(), hash.as_bytes()));
            (&[][..], right)
        }
    };
    let right = spellings(url).iter().fold(false, |right, spelling| {
        let expected = twilio(key, algorithm, spelling, form);
        right | equal(expected.as_bytes(), signature.as_bytes())
    });
    right & body_is_right
}

/// The address as written, without its port, and with the default one.
fn spellings(url: &str) -> Vec<String> {
    let mut all = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else {
        return all;
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let port_at = authority.rfind(':').filter(|at| {
        authority[at + 1..]
            .bytes()
            .all(|byte| byte.is_ascii_digit())
    });
    match port_at {
        Some(at) => all.push(format!("{scheme}://{}{path}", &authority[..at])),
        None => {
            let secure = matches!(scheme, "https" | "wss");
            let default = if secure { 443 } else { 80 };
            all.push(format!("{scheme}://{authority}:{default}{path}"));
            if scheme == "wss" {
                // The official packages take any scheme but https for 80.
                all.push(format!("{scheme}://{authority}:80{path}"));
            }
        }
    }
    all
}

fn query_value<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Plivo's signature V3 of a request: the address (with the fields of its query, and of a form, in order), then the one-time number.
#[must_use]
pub fn plivo_v3(
    token: &str,
    method: &str,
    url: &str,
    nonce: &str,
    form: &[(String, String)],
) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut fields: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.entry(name).or_default().insert(value);
    }
    let query: Vec<String> = fields
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}={value}")))
        .collect();
    let mut text = base.to_owned();
    let post = method.eq_ignore_ascii_case("POST");
    if !query.is_empty() || (post && !form.is_empty()) {
        text.push('?');
        text.push_str(&query.join("&"));
    }
    if post && !form.is_empty() {
        if !query.is_empty() {
            text.push('.');
        }
        let mut fields: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, value) in form {
            fields.entry(name).or_default().insert(value);
        }
        for (name, values) in fields {
            for value in values {
                text.push_str(name);
                text.push_str(value);
            }
        }
    }
    text.push('.');
    text.push_str(nonce);
    base64(&sha256_of(token, text.as_bytes()))
}

/// Whether one of the signatures in Plivo's header (commas between) is right.
#[must_use]
pub fn plivo_v3_is_valid(
    token: &str,
    method: &str,
    url: &str,
    nonce: &str,
    form: &[(String, String)],
    header: &str,
) -> bool {
    if token.is_empty() || nonce.is_empty() {
        return false;
    }
    let expected = plivo_v3(token, method, url, nonce, form);
    header.split(',').fold(false, |right, signature| {
        right | equal(expected.as_bytes(), signature.trim().as_bytes())
    })
}

/// Whether Telnyx' signature is right: Ed25519 over `<time>|<body>`, both as received, by the account's public key (base64), not
/// older than [`TELNYX_SKEW_S_MAX`].
#[must_use]
pub fn telnyx_is_valid(
    public_key: &str,
    time: &str,
    now_unix_s: u64,
    body: &[u8],
    signature: &str,
) -> bool {
    let decode = |text: &str| {
        base64_simd::STANDARD
            .decode_to_vec(text.trim().as_bytes())
            .ok()
    };
    let (Some(key), Some(signature)) = (decode(public_key), decode(signature)) else {
        return false;
    };
    let fresh = time
        .parse::<u64>()
        .is_ok_and(|time| time.abs_diff(now_unix_s) <= TELNYX_SKEW_S_MAX);
    let message = [time.as_bytes(), b"|", body].concat();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key);
    fresh && key.verify(&message, &signature).is_ok()
}

fn sha1_of(key: &str, text: &[u8]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key.as_bytes()) else {
        return Vec::new();
    };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn sha256_of(key: &str, text: &[u8]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        return Vec::new();
    };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && bool::from(a.ct_eq(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// The example of Twilio's documentation of request validation.
    #[test]
    fn twilios_own_example() {
        let fields = form(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ]);
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        let valid = |url: &str, fields: &[(String, String)]| {
            twilio_is_valid(
                "12345",
                Algorithm::HmacSha1,
                url,
                Signed::Form(fields),
                signature,
            )
        };
        assert!(valid(url, &fields));
        assert!(valid(
            "https://mycompany.com:443/myapp.php?foo=1&bar=2",
            &fields
        ));
        assert!(!valid(
            "https://mycompany.com/myapp.php?foo=1&bar=3",
            &fields
        ));
        assert!(!valid(url, &fields[1..]));
        let empty = twilio("", Algorithm::HmacSha1, url, &fields);
        let signed = Signed::Form(&fields);
        assert!(!twilio_is_valid(
            "",
            Algorithm::HmacSha1,
            url,
            signed,
            &empty
        ));
    }

    #[test]
    fn the_port_may_be_there_or_not() {
        let sign = |url: &str| twilio("key", Algorithm::HmacSha256, url, &[]);
        let valid = |url: &str, signature: &str| {
            twilio_is_valid(
                "key",
                Algorithm::HmacSha256,
                url,
                Signed::Address,
                signature,
            )
        };
        assert!(valid("wss://a.test/x", &sign("wss://a.test:443/x")));
        assert!(valid("wss://a.test:443/x", &sign("wss://a.test/x")));
        assert!(valid("wss://a.test:8443/x", &sign("wss://a.test:8443/x")));
        assert!(!valid("wss://a.test/x", &sign("wss://a.test:8443/x")));
        assert!(!valid("wss://a.test/x", &sign("https://a.test/x")));
        assert!(!valid("wss://a.test/x", &sign("wss://a.test/x/")));
    }

    #[test]
    fn a_body_is_signed_by_its_hash() {
        let body = br#"{"a":1}"#;
        let url = format!("https://a.test/x?bodySHA256={}", hex(&Sha256::digest(body)));
        let signature = twilio("key", Algorithm::HmacSha1, &url, &[]);
        let valid = |body: &[u8]| {
            twilio_is_valid(
                "key",
                Algorithm::HmacSha1,
                &url,
                Signed::Body(body),
                &signature,
            )
        };
        assert!(valid(body));
        assert!(!valid(br#"{"a":2}"#));
    }

    #[test]
    fn duplicate_fields_count_once_each_value() {
        let once = form(&[("a", "2"), ("a", "1")]);
        let twice = form(&[("a", "1"), ("a", "2"), ("a", "1")]);
        let sign = |fields: &[(String, String)]| twilio("k", Algorithm::HmacSha1, "u", fields);
        assert_eq!(sign(&once), sign(&twice));
    }

    #[test]
    fn the_settings_header_is_read() {
        let read = |text| SignatureSettings::read(text);
        let shared = read("key=webhooks_sharedkey_1, algorithm=HMAC_SHA256").unwrap();
        assert_eq!(shared.key.as_deref(), Some("webhooks_sharedkey_1"));
        assert_eq!(shared.algorithm, Algorithm::HmacSha256);
        assert_eq!(read("").unwrap().algorithm, Algorithm::HmacSha1);
        assert_eq!(read("algorithm=").unwrap().algorithm, Algorithm::HmacSha1);
        assert!(read("algorithm=NONE").is_none());
    }
}
