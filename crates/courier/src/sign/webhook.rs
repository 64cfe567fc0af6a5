//! Standard Webhooks 1.0 (standardwebhooks.com): `webhook-id`, `webhook-timestamp` and `webhook-signature`, symmetric (`v1`).

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::tool::keyed;
use crate::secret::Secret;

/// The delivery's id: the same on every attempt.
pub const HEADER_WEBHOOK_ID: &str = "webhook-id";
/// Seconds since 1970 of this attempt.
pub const HEADER_WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// One signature for each valid secret, separated by spaces.
pub const HEADER_WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// Signatures of one delivery that are looked at: one for each secret of a rotation.
const SIGNATURES_MAX: usize = 8;

const PREFIX: &str = "whsec_";
/// Bounds of the standard for a symmetric key, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A text that is no `whsec_` secret. It says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is `whsec_` and the base64 of 24 to 64 bytes")]
pub struct BadWebhookSecret;

/// A webhook secret.
#[derive(Clone)]
pub struct WebhookSecret {
    key: Vec<u8>,
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

impl WebhookSecret {
    /// Reads `whsec_…`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(secret: &Secret) -> Result<Self, BadWebhookSecret> {
        let encoded = secret
            .expose()
            .trim()
            .strip_prefix(PREFIX)
            .ok_or(BadWebhookSecret)?;
        let key = base64_simd::STANDARD
            .decode_to_vec(encoded)
            .map_err(|_| BadWebhookSecret)?;
        if KEY_BYTES.contains(&key.len()) {
            Ok(Self { key })
        } else {
            Err(BadWebhookSecret)
        }
    }

    /// A new secret in its text form, from 32 random bytes.
    pub fn text_from(random: &[u8; 32]) -> Secret {
        Secret::new(format!(
            "{PREFIX}{}",
            base64_simd::STANDARD.encode_to_string(random)
        ))
    }

    /// Value of [`HEADER_WEBHOOK_SIGNATURE`] for a delivery that leaves at `unix_s`.
    pub fn sign(&self, id: &str, unix_s: i64, body: &[u8]) -> String {
        let signature = self.signed_text(id, unix_s, body).finalize().into_bytes();
        format!(
            "v1,{}",
            base64_simd::STANDARD.encode_to_string(signature.as_slice())
        )
    }

    /// Whether one of the signatures of a delivery (the value of [`HEADER_WEBHOOK_SIGNATURE`]) is of this secret.
    pub fn is_signature(&self, id: &str, unix_s: i64, body: &[u8], signatures: &str) -> bool {
        let presented = signatures
            .split_whitespace()
            .filter_map(|text| text.strip_prefix("v1,"))
            .filter_map(|text| base64_simd::STANDARD.decode_to_vec(text).ok());
        let mac = self.signed_text(id, unix_s, body);
        presented
            .take(SIGNATURES_MAX)
            .any(|bytes| mac.clone().verify_slice(&bytes).is_ok())
    }

    fn signed_text(&self, id: &str, unix_s: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = keyed(&self.key);
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(unix_s.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard() {
        // Secret, id, time, payload and signature of the standard's own libraries' test suites.
        let secret = WebhookSecret::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        let secret = secret.unwrap();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        let signature = secret.sign(id, 1_614_265_330, body);
        let two = format!("v1,AAAA {signature}");
        assert!(secret.is_signature(id, 1_614_265_330, body, &two));
        assert!(!secret.is_signature(id, 1_614_265_331, body, &two));
        assert!(!secret.is_signature("msg_x", 1_614_265_330, body, &two));
        assert!(!secret.is_signature(id, 1_614_265_330, body, "v1,AAAA"));
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn other_texts_are_no_secrets() {
        for bad in [
            "",
            "whsec_",
            "whsec_short",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_???",
            "whsec_AAAA",
        ] {
            assert!(WebhookSecret::parse(&Secret::new(bad)).is_err(), "{bad}");
        }
        assert!(WebhookSecret::parse(&WebhookSecret::text_from(&[7; 32])).is_ok());
    }
}
