//! Digest authentication, both sides (RFC 2617, RFC 7616, RFC 8760).
//!
//! [`client`] answers challenges and reuses a nonce with a growing `nc`; [`server`] challenges and verifies. Neither reads
//! a clock: time and the key of the nonces are arguments.

pub mod client;
pub mod server;

pub use client::{Credentials, DigestClient, Reaction};
pub use server::{DigestServer, Verification};

use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512_256};

/// Hash algorithms, weakest first: the order is that of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    Md5,
    Sha256,
    Sha512_256,
}

/// An algorithm of a challenge: a hash, and whether the session variant of A1 is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Algorithm {
    pub hash: Hash,
    pub session: bool,
}

impl Algorithm {
    pub const MD5: Self = Self::plain(Hash::Md5);
    pub const SHA_256: Self = Self::plain(Hash::Sha256);
    pub const SHA_512_256: Self = Self::plain(Hash::Sha512_256);

    const fn plain(hash: Hash) -> Self {
        Self {
            hash,
            session: false,
        }
    }

    /// The algorithm of a token; `None` for unknown ones. Absence of the parameter means MD5 and is the caller's case.
    pub fn from_token(token: &str) -> Option<Self> {
        let lower = token.to_ascii_lowercase();
        let (name, session) = match lower.strip_suffix("-sess") {
            Some(name) => (name, true),
            None => (lower.as_str(), false),
        };
        let hash = match name {
            "md5" => Hash::Md5,
            "sha-256" => Hash::Sha256,
            "sha-512-256" => Hash::Sha512_256,
            _ => return None,
        };
        Some(Self { hash, session })
    }

    /// The registered token.
    pub fn token(self) -> &'static str {
        match (self.hash, self.session) {
            (Hash::Md5, false) => "MD5",
            (Hash::Md5, true) => "MD5-sess",
            (Hash::Sha256, false) => "SHA-256",
            (Hash::Sha256, true) => "SHA-256-sess",
            (Hash::Sha512_256, false) => "SHA-512-256",
            (Hash::Sha512_256, true) => "SHA-512-256-sess",
        }
    }
}

impl Hash {
    /// Lower-case hexadecimal of the hash of the parts joined by colons.
    fn of(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 => hex(Md5::digest(parts.join(&b':')).as_slice()),
            Self::Sha256 => hex(Sha256::digest(parts.join(&b':')).as_slice()),
            Self::Sha512_256 => hex(Sha512_256::digest(parts.join(&b':')).as_slice()),
        }
    }
}

/// Quality of protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qop {
    Auth,
    AuthInt,
}

impl Qop {
    fn token(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

/// Everything that a response is computed from.
struct Computation<'a> {
    algorithm: Algorithm,
    username: &'a str,
    realm: &'a str,
    password: &'a str,
    nonce: &'a str,
    method: &'a str,
    uri: &'a str,
    body: &'a [u8],
    /// qop, cnonce and nc as written; `None` is the scheme of RFC 2069.
    protection: Option<(Qop, &'a str, &'a str)>,
    /// For `-sess` without qop.
    cnonce: &'a str,
}

impl Computation<'_> {
    /// RFC 7616 section 3.4.1.
    fn response(&self) -> String {
        let hash = self.algorithm.hash;
        let mut a1 = hash.of(&[
            self.username.as_bytes(),
            self.realm.as_bytes(),
            self.password.as_bytes(),
        ]);
        if self.algorithm.session {
            a1 = hash.of(&[a1.as_bytes(), self.nonce.as_bytes(), self.cnonce.as_bytes()]);
        }
        let method = self.method.as_bytes();
        let uri = self.uri.as_bytes();
        match self.protection {
            None => {
                let a2 = hash.of(&[method, uri]);
                hash.of(&[a1.as_bytes(), self.nonce.as_bytes(), a2.as_bytes()])
            }
            Some((qop, cnonce, nc)) => {
                let a2 = match qop {
                    Qop::Auth => hash.of(&[method, uri]),
                    Qop::AuthInt => {
                        let body = hash.of(&[self.body]);
                        hash.of(&[method, uri, body.as_bytes()])
                    }
                };
                hash.of(&[
                    a1.as_bytes(),
                    self.nonce.as_bytes(),
                    nc.as_bytes(),
                    cnonce.as_bytes(),
                    qop.token().as_bytes(),
                    a2.as_bytes(),
                ])
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mufasa(algorithm: Algorithm, qop: Option<Qop>) -> String {
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        Computation {
            algorithm,
            username: "Mufasa",
            realm: "http-auth@example.org",
            password: "Circle of Life",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            method: "GET",
            uri: "/dir/index.html",
            body: b"",
            protection: qop.map(|qop| (qop, cnonce, "00000001")),
            cnonce,
        }
        .response()
    }

    #[test]
    fn rfc7616_section_3_9_1_examples() {
        assert_eq!(
            mufasa(Algorithm::MD5, Some(Qop::Auth)),
            "8ca523f5e9506fed4657c9700eebdbec"
        );
        assert_eq!(
            mufasa(Algorithm::SHA_256, Some(Qop::Auth)),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    /// The user hash is that of RFC 7616 section 3.9.2 as corrected by its errata; the response to the same inputs was
    /// computed apart with OpenSSL's SHA-512/256.
    #[test]
    fn sha_512_256_is_the_truncated_variant_with_its_own_start_values() {
        let hashed = Hash::Sha512_256.of(&["J\u{e4}s\u{f8}n Doe".as_bytes(), b"api@example.org"]);
        assert_eq!(
            hashed,
            "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
        );
        let response = Computation {
            algorithm: Algorithm::SHA_512_256,
            username: "J\u{e4}s\u{f8}n Doe",
            realm: "api@example.org",
            password: "Secret, or not?",
            nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            method: "GET",
            uri: "/doe.json",
            body: b"",
            protection: Some((Qop::Auth, "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm", "00000001")),
            cnonce: "",
        }
        .response();
        assert_eq!(
            response,
            "7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c"
        );
    }

    #[test]
    fn rfc2617_section_3_5_example() {
        let response = Computation {
            algorithm: Algorithm::MD5,
            username: "Mufasa",
            realm: "testrealm@host.com",
            password: "Circle Of Life",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            method: "GET",
            uri: "/dir/index.html",
            body: b"",
            protection: Some((Qop::Auth, "0a4f113b", "00000001")),
            cnonce: "0a4f113b",
        }
        .response();
        assert_eq!(response, "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn algorithms_are_ordered_by_strength_and_read_in_any_case() {
        assert!(Algorithm::MD5 < Algorithm::SHA_256);
        assert!(Algorithm::SHA_256 < Algorithm::SHA_512_256);
        for algorithm in ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256"] {
            let read = Algorithm::from_token(&algorithm.to_lowercase()).unwrap();
            assert_eq!(read.token(), algorithm);
        }
        assert_eq!(Algorithm::from_token("AKAv1-MD5"), None);
    }
}
