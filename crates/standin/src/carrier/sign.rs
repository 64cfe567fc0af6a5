//! Signatures and addresses as the carrier writes them, read from its documentation and not from ours.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;

/// How requests are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// With the account's token.
    Token(String),
    /// With a shared key: its id and secret.
    Shared(String, String),
    /// Not at all.
    Missing,
}

impl Signing {
    /// The headers of a request.
    pub(super) fn headers(
        &self,
        url: &str,
        form: &[(String, String)],
    ) -> Vec<(&'static str, String)> {
        let mut sorted = form.to_vec();
        sorted.sort();
        sorted.dedup();
        let mut text = url.to_owned();
        for (name, value) in &sorted {
            text += name;
            text += value;
        }
        let encode = |bytes: &[u8]| base64_simd::STANDARD.encode_to_string(bytes);
        match self {
            Self::Missing => Vec::new(),
            Self::Token(token) => {
                let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes())
                    .expect("a key of any length is taken");
                mac.update(text.as_bytes());
                vec![("X-Twilio-Signature", encode(&mac.finalize().into_bytes()))]
            }
            Self::Shared(id, secret) => {
                let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
                    .expect("a key of any length is taken");
                mac.update(text.as_bytes());
                vec![
                    ("X-Twilio-Signature", encode(&mac.finalize().into_bytes())),
                    (
                        "X-Twilio-Webhooks-Signature-Settings",
                        format!("key={id},algorithm=HMAC_SHA256"),
                    ),
                ]
            }
        }
    }
}

/// Form encoding.
pub(super) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
                char::from(byte).to_string()
            } else if byte == b' ' {
                "+".to_owned()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// Form decoding.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex: Vec<u8> = rest.by_ref().take(2).collect();
                std::str::from_utf8(&hex)
                    .ok()
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok())
                    .unwrap_or(b'%')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a document asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) stream: Option<String>,
    pub(super) parameters: Vec<(String, String)>,
}

impl Document {
    /// Reads the verbs that matter here.
    pub(super) fn read(text: &str) -> Self {
        let mut document = Self::default();
        for tag in text.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap_or_default();
            if tag.starts_with("Stream") {
                document.stream = attribute(tag, "url");
            } else if tag.starts_with("Parameter")
                && let (Some(name), Some(value)) = (attribute(tag, "name"), attribute(tag, "value"))
            {
                document.parameters.push((name, value));
            }
        }
        document
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let end = tag.get(start..)?.find('"')?;
    let text = tag.get(start..start + end)?;
    Some(
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#10;", "\n")
            .replace("&amp;", "&"),
    )
}
