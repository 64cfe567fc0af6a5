//! What proves who somebody is: passwords of people, and keys of programs.
//!
//! A password is guessable, so it is hashed with Argon2id (RFC 9106) and costs memory and time. A key has 256 random bits, so
//! nobody guesses it and one SHA-256 is enough: it is verified on every request. Neither can be read back.

use std::fmt;
use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use base64_simd::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Longest password, in bytes. Longer ones are refused: hashing them would only cost time.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// Shortest password of a new user, in characters (NIST SP 800-63B asks for at least 8).
pub const PASSWORD_CHARACTERS_MIN: usize = 10;

/// Passwords that are hashed at the same time. Each takes 19 MiB and some 20 ms of a core; the others wait, so that a flood of
/// logins takes neither the memory nor the cores of the calls.
pub const PASSWORDS_AT_ONCE: usize = 2;

/// Random bytes of a key.
pub const KEY_RANDOM_BYTES: usize = 32;

/// Characters of a key that are shown in listings, its kind included (`acc_` and eight of the 43 random ones).
pub const KEY_PREFIX_CHARACTERS: usize = 12;

/// Longest text that is looked at as a key, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

static HASHING: Semaphore = Semaphore::const_new(PASSWORDS_AT_ONCE);

/// A hash of a password that nobody has: an unknown user is checked against it, so that the answer takes as long as for a
/// known one.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hash_now(NewKey::generate("").text()).unwrap_or_default());

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than [`PASSWORD_CHARACTERS_MIN`] characters.
    #[error("the password has fewer than {PASSWORD_CHARACTERS_MIN} characters")]
    TooShort,
    /// More than [`PASSWORD_BYTES_MAX`] bytes.
    #[error("the password has more than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// The system gave no randomness or no memory.
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

/// Hashes the password of a user: a PHC string (`$argon2id$v=19$m=19456,t=2,p=1$…`).
///
/// # Errors
/// See [`PasswordError`].
pub async fn hash_password(password: &str) -> Result<String, PasswordError> {
    if password.chars().count() < PASSWORD_CHARACTERS_MIN {
        return Err(PasswordError::TooShort);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    let password = Zeroizing::new(password.to_owned());
    aside(move || hash_now(&password))
        .await
        .unwrap_or_else(|| Err(PasswordError::Failed("the task was given up".to_owned())))
}

/// Whether the password is the one that was hashed. Ask also where there is no such user, with `None`: the answer is then
/// `false`, after the same work.
pub async fn verify_password(password: &str, stored: Option<&str>) -> bool {
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    let password = Zeroizing::new(password.to_owned());
    let known = stored.is_some();
    let stored = stored.map(str::to_owned);
    let right = aside(move || verify_now(&password, stored.as_ref().unwrap_or(&NOBODY))).await;
    right == Some(true) && known
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    // The semaphore is never closed.
    let _permit = HASHING.acquire().await.ok()?;
    tokio::task::spawn_blocking(work).await.ok()
}

fn hash_now(password: &str) -> Result<String, PasswordError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Failed(error.to_string()))
}

fn verify_now(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// A key that was just made. Its text is shown once; the database keeps the hash and the prefix.
pub struct NewKey {
    text: Zeroizing<String>,
}

impl NewKey {
    /// Makes a key of 256 random bits. `kind` comes first, with its underscore: `acc_` (account), `agt_` (agent), `pub_`
    /// (public token of an agent).
    ///
    /// # Panics
    /// When the operating system has no randomness: a program that went on would make guessable keys.
    pub fn generate(kind: &str) -> Self {
        let mut random = Zeroizing::new([0_u8; KEY_RANDOM_BYTES]);
        getrandom::fill(random.as_mut_slice()).expect("the operating system gives randomness");
        let random = Zeroizing::new(URL_SAFE_NO_PAD.encode_to_string(random.as_slice()));
        Self {
            text: Zeroizing::new(format!("{kind}{}", *random)),
        }
    }

    /// The key itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its first characters, to tell keys apart in listings.
    pub fn prefix(&self) -> &str {
        key_prefix(&self.text)
    }

    /// What the database keeps: see [`hash_key`].
    pub fn hash(&self) -> String {
        hash_key(&self.text)
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({}…)", self.prefix())
    }
}

/// The part of a key that may be shown: at most [`KEY_PREFIX_CHARACTERS`] characters.
pub fn key_prefix(key: &str) -> &str {
    key.char_indices()
        .nth(KEY_PREFIX_CHARACTERS)
        .map_or(key, |(end, _)| &key[..end])
}

/// SHA-256 of a key, as 64 hexadecimal digits. The database looks keys up by it: what an attacker can time is the comparison of
/// hashes, of which he cannot choose the digits.
pub fn hash_key(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}

/// Whether the key has this hash, in a time that does not depend on where they differ.
pub fn key_matches(key: &str, hash: &str) -> bool {
    key.len() <= KEY_BYTES_MAX && bool::from(hash_key(key).as_bytes().ct_eq(hash.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[tokio::test]
    async fn a_password_is_hashed_with_argon2id_and_verified() {
        let stored = hash_password("correct horse battery").await.unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert_ne!(
            stored,
            hash_password("correct horse battery").await.unwrap(),
            "each has its own salt"
        );
        assert!(verify_password("correct horse battery", Some(&stored)).await);
        assert!(!verify_password("correct horse batterz", Some(&stored)).await);
        assert!(!verify_password("correct horse battery", None).await);
        assert!(!verify_password("correct horse battery", Some("")).await);
        assert!(!verify_password(&NOBODY, None).await);
    }

    /// A hash that the reference implementation made: `argon2 somesalt -id -t 2 -m 16 -p 1` of "password" (RFC 9106 version 19).
    #[tokio::test]
    async fn a_hash_of_the_reference_implementation_is_understood() {
        let stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(verify_password("password", Some(stored)).await);
        assert!(!verify_password("passwore", Some(stored)).await);
    }

    #[tokio::test]
    async fn lengths_are_bounded() {
        assert!(matches!(
            hash_password("too short").await,
            Err(PasswordError::TooShort)
        ));
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        assert!(matches!(
            hash_password(&long).await,
            Err(PasswordError::TooLong)
        ));
        assert!(!verify_password(&long, None).await);
    }

    #[test]
    fn keys_are_random_hashed_and_hidden() {
        let keys: Vec<NewKey> = (0..1_000).map(|_| NewKey::generate("acc_")).collect();
        let texts: HashSet<&str> = keys.iter().map(NewKey::text).collect();
        assert_eq!(texts.len(), 1_000);
        let key = &keys[0];
        assert_eq!(key.text().len(), 4 + 43);
        assert!(key.text().starts_with("acc_"));
        assert_eq!(key.prefix(), &key.text()[..12]);
        assert!(key_matches(key.text(), &key.hash()));
        assert!(!key_matches(keys[1].text(), &key.hash()));
        assert!(!key_matches("", &key.hash()) && !key_matches(key.text(), ""));
        assert!(!format!("{key:?}").contains(&key.text()[12..]));
    }

    #[test]
    fn a_key_is_hashed_with_sha_256() {
        // FIPS 180-4, appendix B.1.
        assert_eq!(
            hash_key("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_prefix_never_cuts_a_character() {
        assert_eq!(key_prefix("ééééééééééééé"), "éééééééééééé");
        assert_eq!(key_prefix("short"), "short");
    }
}
