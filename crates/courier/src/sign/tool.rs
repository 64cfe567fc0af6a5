//! `X-Allo-Signature`: a back office can tell that a request comes from this house, for this account, now, and unaltered.
//!
//! The signed text is `timestamp.METHOD.target.body`: seconds since 1970 in decimal, the method in capitals, the path with its
//! query exactly as in the request line, and the bytes of the body (nothing for an empty one). The key is the account's secret
//! as UTF-8 text. `docs/webhooks.md` has the verification in two languages; the tests run both.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use url::Url;

use crate::secret::Secret;

/// Seconds since 1970 at which the request was signed.
pub const HEADER_TIMESTAMP: &str = "x-allo-timestamp";
/// `v1=` and the signature in hexadecimal digits.
pub const HEADER_SIGNATURE: &str = "x-allo-signature";
/// Id of the tenant.
pub const HEADER_TENANT: &str = "x-allo-tenant";
/// Id of the agent.
pub const HEADER_AGENT: &str = "x-allo-agent";
/// Id of the call.
pub const HEADER_CALL: &str = "x-allo-call";
/// The same for each attempt of one tool call.
pub const HEADER_IDEMPOTENCY: &str = "idempotency-key";

/// The two headers of a signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSignature {
    /// Value of [`HEADER_TIMESTAMP`].
    pub timestamp: String,
    /// Value of [`HEADER_SIGNATURE`].
    pub signature: String,
}

/// Signs a request that leaves at `unix_s`.
pub fn tool_signature(
    secret: &Secret,
    unix_s: i64,
    method: &str,
    url: &Url,
    body: &[u8],
) -> ToolSignature {
    let timestamp = unix_s.to_string();
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mac = signed_text(secret, &timestamp, method, &target, body);
    let signature = format!("v1={}", hex(&mac.finalize().into_bytes()));
    ToolSignature {
        timestamp,
        signature,
    }
}

/// Whether a request that arrived at `now_s` was signed with this secret, at most `window_s` seconds away from now. `target` is
/// the path with its query, exactly as in the request line. What differs is compared in constant time.
pub fn is_tool_signature(
    secret: &Secret,
    (now_s, window_s): (i64, i64),
    presented: &ToolSignature,
    method: &str,
    target: &str,
    body: &[u8],
) -> bool {
    let Ok(signed_s) = presented.timestamp.parse::<i64>() else {
        return false;
    };
    let Some(digits) = presented.signature.strip_prefix("v1=").and_then(unhex) else {
        return false;
    };
    let mac = signed_text(secret, &presented.timestamp, method, target, body);
    now_s.abs_diff(signed_s) <= window_s.unsigned_abs() && mac.verify_slice(&digits).is_ok()
}

fn signed_text(
    secret: &Secret,
    timestamp: &str,
    method: &str,
    target: &str,
    body: &[u8],
) -> Hmac<Sha256> {
    let mut mac = keyed(secret.expose().as_bytes());
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(method.to_ascii_uppercase().as_bytes());
    mac.update(b".");
    mac.update(target.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let (high, low) = (digit(*pair.first()?)?, digit(*pair.get(1)?)?);
            u8::try_from(high * 16 + low).ok()
        })
        .collect()
}

pub(super) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// In lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_that_is_signed_is_the_documented_one() {
        // printf '1700000000.POST./api/x?a=1.{"k":2}' | openssl dgst -sha256 -hmac secret
        let url = Url::parse("https://back.example/api/x?a=1").unwrap();
        let secret = Secret::new("secret");
        let signed = tool_signature(&secret, 1_700_000_000, "post", &url, br#"{"k":2}"#);
        assert_eq!(signed.timestamp, "1700000000");
        assert_eq!(
            signed.signature,
            "v1=6d1020e5f8d50f2b1ed0f9bbf3be5b9f3950657a7c33c37e1a7ede8f0c4f7e63"
        );
        let (target, body) = ("/api/x?a=1", br#"{"k":2}"#);
        let is = |now, method: &str, target: &str, body: &[u8]| {
            is_tool_signature(&secret, (now, 300), &signed, method, target, body)
        };
        assert!(is(1_700_000_000, "POST", target, body));
        assert!(is(1_700_000_300, "POST", target, body));
        assert!(!is(1_700_000_301, "POST", target, body));
        assert!(!is(1_699_999_699, "POST", target, body));
        assert!(!is(1_700_000_000, "PUT", target, body));
        assert!(!is(1_700_000_000, "POST", "/api/x?a=2", body));
        assert!(!is(1_700_000_000, "POST", target, b"{}"));
        let other = tool_signature(&secret, 1_700_000_001, "POST", &url, br#"{"k":2}"#);
        assert_ne!(signed.signature, other.signature);
    }
}
