//! The format: `base64(iv):base64(tag):base64(ciphertext)`, AES-256-GCM with an IV of 12 bytes and a tag of 16. The key of a row
//! is PBKDF2-HMAC-SHA256 of the 32 bytes of the master key, with the row's id as salt, 100 000 iterations, 32 bytes.
//!
//! The vectors in `tests/vectors/node-secrets.json` were made by Node's own crypto.

use std::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _, Nonce, Tag};
use base64_simd::STANDARD;
use zeroize::Zeroizing;

use super::error::OpenValueError;

/// Rounds of PBKDF2.
pub const ITERATIONS: u32 = 100_000;
const ROUNDS: pbkdf2::Params = match pbkdf2::Params::new(ITERATIONS) {
    Ok(rounds) => rounds,
    Err(_) => pbkdf2::Params::RECOMMENDED,
};
/// Bytes of the initialisation vector.
pub const IV_BYTES: usize = 12;
/// Bytes of the authentication tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of the master key and of derived keys.
pub const KEY_BYTES: usize = 32;

/// A text that must not be printed. Its memory is cleared when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(***)")
    }
}

/// The master key: 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

impl MasterKey {
    /// Makes a random key.
    ///
    /// # Panics
    /// When the operating system has no randomness.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).expect("the operating system gives randomness");
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits of either case, spaces around them allowed.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.trim().as_bytes();
        if digits.len() != KEY_BYTES * 2 {
            return None;
        }
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// The 64 digits.
    pub fn to_hex(&self) -> SecretText {
        SecretText::new(crate::credential::hex(self.0.as_slice()))
    }

    /// The key of one row. Takes some 20 ms of a core.
    pub(crate) fn derive(&self, salt: &str) -> DerivedKey {
        let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
        // Not the generic function: this one is compiled in its own crate, hence optimised in development too.
        pbkdf2::pbkdf2_hmac_with_params(
            self.0.as_slice(),
            salt.as_bytes(),
            pbkdf2::Algorithm::Pbkdf2Sha256,
            ROUNDS,
            key.as_mut_slice(),
        );
        DerivedKey(key)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

fn digit(character: u8) -> Option<u8> {
    char::from(character)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// The key of one row.
#[derive(Clone)]
pub(crate) struct DerivedKey(Zeroizing<[u8; KEY_BYTES]>);

impl DerivedKey {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    pub(crate) fn seal(&self, text: &str) -> Option<String> {
        let mut iv = [0_u8; IV_BYTES];
        getrandom::fill(&mut iv).ok()?;
        self.seal_with(&iv, text)
    }

    /// The IV is an argument for the vectors only: one that is used twice under the same key reveals both texts.
    fn seal_with(&self, iv: &[u8; IV_BYTES], text: &str) -> Option<String> {
        let cipher = Aes256Gcm::new((&*self.0).into());
        let mut bytes = Zeroizing::new(text.as_bytes().to_vec());
        let tag = cipher
            .encrypt_inout_detached(
                &Nonce::<Aes256Gcm>::from(*iv),
                b"",
                bytes.as_mut_slice().into(),
            )
            .ok()?;
        Some(format!(
            "{}:{}:{}",
            STANDARD.encode_to_string(iv),
            STANDARD.encode_to_string(tag.as_slice()),
            STANDARD.encode_to_string(bytes.as_slice())
        ))
    }

    pub(crate) fn open(&self, sealed: &Sealed) -> Result<SecretText, OpenValueError> {
        let cipher = Aes256Gcm::new((&*self.0).into());
        let mut bytes = Zeroizing::new(sealed.ciphertext.clone());
        cipher
            .decrypt_inout_detached(
                &Nonce::<Aes256Gcm>::from(sealed.iv),
                b"",
                bytes.as_mut_slice().into(),
                &Tag::<Aes256Gcm>::from(sealed.tag),
            )
            .map_err(|_| OpenValueError::NotOpened)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| OpenValueError::NotText)?;
        Ok(SecretText::new(text))
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(***)")
    }
}

/// A value in the encrypted form, taken apart.
pub(crate) struct Sealed {
    iv: [u8; IV_BYTES],
    tag: [u8; TAG_BYTES],
    ciphertext: Vec<u8>,
}

impl Sealed {
    /// Takes a stored value apart; `None` where it does not have the form: exactly three parts, each the one canonical base64
    /// of its bytes (standard alphabet, padded, unused bits zero), 12 bytes, 16 bytes, any number.
    pub(crate) fn parse(stored: &str) -> Option<Self> {
        let mut parts = stored.split(':');
        let (iv, tag, ciphertext) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            iv: canonical(iv)?.try_into().ok()?,
            tag: canonical(tag)?.try_into().ok()?,
            ciphertext: canonical(ciphertext)?,
        })
    }
}

fn canonical(part: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode_to_vec(part.as_bytes()).ok()?;
    // Decoders differ in what they forgive; writing it again settles it.
    (STANDARD.encode_to_string(&bytes) == part).then_some(bytes)
}

/// Whether a stored value has the encrypted form. A clear password with colons has not, unless somebody chose 12 and 16 bytes of
/// canonical base64 as its first two parts.
pub fn is_sealed(stored: &str) -> bool {
    Sealed::parse(stored).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Vector {
        key: String,
        salt: String,
        iv: String,
        text: String,
        sealed: String,
    }

    fn vectors() -> Vec<Vector> {
        let text = include_str!("../../tests/vectors/node-secrets.json");
        serde_json::from_str(text).unwrap()
    }

    /// Values that Node encrypted are read, and with Node's IV ours are byte for byte the same.
    #[test]
    fn node_vectors_both_ways() {
        let vectors = vectors();
        assert!(vectors.len() >= 12);
        for vector in vectors {
            let derived = MasterKey::from_hex(&vector.key)
                .unwrap()
                .derive(&vector.salt);
            let sealed = Sealed::parse(&vector.sealed).unwrap();
            assert_eq!(derived.open(&sealed).unwrap().expose(), vector.text);
            let iv: [u8; IV_BYTES] = canonical(&vector.iv).unwrap().try_into().unwrap();
            assert_eq!(derived.seal_with(&iv, &vector.text).unwrap(), vector.sealed);
        }
    }

    #[test]
    fn another_key_salt_or_a_changed_bit_is_an_error() {
        let key = MasterKey::generate();
        let derived = key.derive("line-1");
        let stored = derived.seal("pässword").unwrap();
        let open =
            |derived: &DerivedKey, stored: &str| derived.open(&Sealed::parse(stored).unwrap());
        assert_eq!(open(&derived, &stored).unwrap().expose(), "pässword");
        assert!(matches!(
            open(&key.derive("line-2"), &stored),
            Err(OpenValueError::NotOpened)
        ));
        assert!(matches!(
            open(&MasterKey::generate().derive("line-1"), &stored),
            Err(OpenValueError::NotOpened)
        ));
        let parts: Vec<Vec<u8>> = stored
            .split(':')
            .map(|part| canonical(part).unwrap())
            .collect();
        for part in 0..3 {
            for byte in 0..parts[part].len() {
                let mut changed = parts.clone();
                changed[part][byte] ^= 1;
                let changed: Vec<String> = changed
                    .iter()
                    .map(|part| STANDARD.encode_to_string(part))
                    .collect();
                assert!(
                    open(&derived, &changed.join(":")).is_err(),
                    "part {part} byte {byte}"
                );
            }
        }
    }

    #[test]
    fn clear_passwords_are_never_taken_for_encrypted_ones() {
        let sealed = MasterKey::generate().derive("l").seal("x").unwrap();
        assert!(is_sealed(&sealed));
        let (iv, tag, text) = {
            let mut parts = sealed.split(':');
            (
                parts.next().unwrap(),
                parts.next().unwrap(),
                parts.next().unwrap(),
            )
        };
        let unpadded = tag.trim_end_matches('=');
        // The last character before the padding of 16 bytes carries two bits that are used and four that must be zero.
        let loose = format!("{}B==", &tag[..21]);
        for clear in [
            String::new(),
            "secret".to_owned(),
            "::".to_owned(),
            "a:b:c".to_owned(),
            "user:pass:word".to_owned(),
            "AAAA:AAAA:AAAA".to_owned(),
            "c2VjcmV0:cGFzcw==:d29yZA==".to_owned(),
            format!("{iv}:{tag}"),
            format!("{iv}:{tag}:{text}:"),
            format!("{iv}:{tag}:{text}:{text}"),
            format!("{tag}:{iv}:{text}"),
            format!("{iv}:{unpadded}:{text}"),
            format!("{iv}:{loose}:{text}"),
            format!(" {sealed}"),
            format!("{sealed}\n"),
            format!("{iv}:{tag}:{}", text.replace('=', "")),
            format!("{iv}:{tag}:not base64"),
            format!(
                "{}:{tag}:{text}",
                iv.replace(|c: char| c.is_ascii_alphanumeric(), "-")
            ),
        ] {
            assert!(!is_sealed(&clear), "{clear:?}");
        }
    }

    #[test]
    fn keys_are_64_hexadecimal_digits() {
        let key = MasterKey::generate();
        let hex = key.to_hex();
        assert_eq!(MasterKey::from_hex(hex.expose()), Some(key.clone()));
        assert_eq!(
            MasterKey::from_hex(&format!(" {}\n", hex.expose().to_uppercase())),
            Some(key)
        );
        for wrong in [
            "",
            "00",
            &"0".repeat(63),
            &"0".repeat(65),
            &"g".repeat(64),
            &"+f".repeat(32),
            &"é".repeat(32),
        ] {
            assert_eq!(MasterKey::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_is_printed() {
        let key = MasterKey::from_hex(&"ab".repeat(32)).unwrap();
        let printed = format!(
            "{key:?} {:?} {:?}",
            key.derive("s"),
            SecretText::new("hunter2")
        );
        assert!(
            !printed.contains("abab") && !printed.contains("hunter2"),
            "{printed}"
        );
    }
}
