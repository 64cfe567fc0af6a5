//! The challenging side: who may call in.
//!
//! A nonce is the time of its issue, a running number and a keyed hash of both: nothing is stored for a challenge, so a
//! flood of unauthenticated requests costs no memory. Only a nonce that was used with the right password is
//! remembered, to refuse replays. Unknown user and wrong password take the same time and get the same answer.
//!
//! Deviation: the `uri` parameter is not compared with the Request-URI, because callers behind proxies and test tools
//! send another one; a captured answer is bound by nonce and `nc` instead.

use super::{Algorithm, Computation, Qop, hex};
use crate::message::{AuthField, AuthScheme};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq as _;

/// How long a nonce is good for.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// Nonces remembered to refuse replays; when full, the oldest one is called stale from then on.
pub const NONCES_MAX: usize = 4_096;
/// Characters of the keyed hash within a nonce.
const SEAL_CHARACTERS: usize = 32;

/// What credentials are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The password is right.
    Accepted { username: String },
    /// The password is right, the nonce is expired or used: challenge again with `stale`.
    Stale,
    /// Anything else, without saying which.
    Rejected,
}

/// One user that may sign in.
pub trait Account {
    /// The realm, user name and password.
    fn parts(&self) -> (&str, &str, &str);
}

impl Account for (&str, &str, &str) {
    fn parts(&self) -> (&str, &str, &str) {
        *self
    }
}

/// Issues challenges and verifies credentials.
pub struct DigestServer {
    start: Instant,
    key: [u8; 32],
    issued: u64,
    /// By running number of the nonce: the highest `nc` seen.
    used: BTreeMap<u64, u32>,
    /// Nonces numbered below were forgotten.
    forgotten_below: u64,
}

impl DigestServer {
    /// `key` must be unpredictable; it never leaves.
    pub fn new(now: Instant, key: [u8; 32]) -> Self {
        Self {
            start: now,
            key,
            issued: 0,
            used: BTreeMap::new(),
            forgotten_below: 0,
        }
    }

    /// One challenge for each algorithm, in the order given (RFC 8760 section 2.3: the preferred one first).
    pub fn challenge(
        &mut self,
        now: Instant,
        realm: &str,
        algorithms: &[Algorithm],
        is_stale: bool,
    ) -> Vec<AuthField> {
        let nonce = self.nonce(now, realm);
        algorithms
            .iter()
            .map(|algorithm| {
                let mut field = AuthField::digest();
                field.push_quoted("realm", realm);
                field.push_quoted("nonce", &nonce);
                field.push_token("algorithm", algorithm.token());
                field.push_quoted("qop", "auth");
                if is_stale {
                    field.push_token("stale", "true");
                }
                field
            })
            .collect()
    }

    /// Judges the credentials of one request for a realm. `algorithms` are those that were offered.
    pub fn verify(
        &mut self,
        now: Instant,
        realm: &str,
        fields: &[AuthField],
        request: (&str, &[u8]),
        accounts: &[impl Account],
        algorithms: &[Algorithm],
    ) -> Verification {
        let ours = |field: &&AuthField| {
            field.scheme == AuthScheme::Digest && field.value("realm") == Some(realm)
        };
        let Some(given) = fields.iter().find(ours).and_then(Given::read) else {
            return Verification::Rejected;
        };
        if !algorithms.contains(&given.algorithm) {
            return Verification::Rejected;
        }
        let account = accounts
            .iter()
            .map(Account::parts)
            .find(|(at, username, _)| *at == realm && *username == given.username);
        let password = account.map_or("", |(_, _, password)| password);
        let expected = given.computation(realm, password, request).response();
        let is_right: bool = expected
            .as_bytes()
            .ct_eq(given.response.to_ascii_lowercase().as_bytes())
            .into();
        let Some(nonce) = self.open_nonce(&given.nonce, realm) else {
            // A nonce of another process or a forged one: stale only for those who know the password.
            return if is_right && account.is_some() {
                Verification::Stale
            } else {
                Verification::Rejected
            };
        };
        if !is_right || account.is_none() {
            return Verification::Rejected;
        }
        if self.is_fresh(now, nonce, given.count()) {
            Verification::Accepted {
                username: given.username.clone(),
            }
        } else {
            Verification::Stale
        }
    }

    fn nonce(&mut self, now: Instant, realm: &str) -> String {
        self.issued += 1;
        let elapsed = now.saturating_duration_since(self.start).as_millis();
        let stamp = format!("{:012x}{:08x}", elapsed & 0xffff_ffff_ffff, self.issued);
        let seal = self.seal(&stamp, realm);
        format!("{stamp}{seal}")
    }

    /// SHA-256 with the key on both sides of a text of fixed framing.
    fn seal(&self, stamp: &str, realm: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(stamp.as_bytes());
        hash.update(realm.as_bytes());
        hash.update(self.key);
        let mut text = hex(hash.finalize().as_slice());
        text.truncate(SEAL_CHARACTERS);
        text
    }

    /// Time of issue and number of a nonce that is ours.
    fn open_nonce(&self, nonce: &str, realm: &str) -> Option<Nonce> {
        let at = nonce.len().checked_sub(SEAL_CHARACTERS)?;
        let stamp = nonce.get(..at)?;
        let seal: bool = self
            .seal(stamp, realm)
            .as_bytes()
            .ct_eq(nonce.get(at..)?.as_bytes())
            .into();
        if !seal {
            return None;
        }
        Some(Nonce {
            issued_ms: u64::from_str_radix(stamp.get(..12)?, 16).ok()?,
            number: u64::from_str_radix(stamp.get(12..)?, 16).ok()?,
        })
    }

    /// Notes the use; `false` when the nonce is expired, forgotten, or was used with this count already.
    fn is_fresh(&mut self, now: Instant, nonce: Nonce, count: u32) -> bool {
        let issued = self.start + Duration::from_millis(nonce.issued_ms);
        if now.saturating_duration_since(issued) > NONCE_LIFETIME
            || nonce.number < self.forgotten_below
        {
            return false;
        }
        if self
            .used
            .get(&nonce.number)
            .is_some_and(|seen| *seen >= count)
        {
            return false;
        }
        self.used.insert(nonce.number, count);
        if self.used.len() > NONCES_MAX
            && let Some((oldest, _)) = self.used.pop_first()
        {
            self.forgotten_below = oldest + 1;
        }
        true
    }
}

impl std::fmt::Debug for DigestServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DigestServer")
            .field("issued", &self.issued)
            .field("used", &self.used.len())
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct Nonce {
    issued_ms: u64,
    number: u64,
}

/// Credentials as they came.
struct Given {
    username: String,
    nonce: String,
    uri: String,
    response: String,
    algorithm: Algorithm,
    /// qop, cnonce, nc.
    protection: Option<(Qop, String, String)>,
}

impl Given {
    fn read(field: &AuthField) -> Option<Self> {
        let value = |name| field.value(name).map(str::to_owned);
        let protection = match field.value("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let nc = value("nc")?;
                let is_count = nc.len() == 8 && nc.bytes().all(|byte| byte.is_ascii_hexdigit());
                Some((Qop::Auth, value("cnonce")?, is_count.then_some(nc)?))
            }
            Some(_) => return None,
        };
        Some(Self {
            username: value("username")?,
            nonce: value("nonce")?,
            uri: value("uri")?,
            response: value("response")?,
            algorithm: match field.value("algorithm") {
                None => Algorithm::MD5,
                Some(token) => Algorithm::from_token(token)?,
            },
            protection,
        })
    }

    /// Answers without qop have no count: their nonce serves once.
    fn count(&self) -> u32 {
        match &self.protection {
            Some((_, _, nc)) => u32::from_str_radix(nc, 16).unwrap_or(0),
            None => u32::MAX,
        }
    }

    fn computation<'a>(
        &'a self,
        realm: &'a str,
        password: &'a str,
        (method, body): (&'a str, &'a [u8]),
    ) -> Computation<'a> {
        let protection = self
            .protection
            .as_ref()
            .map(|(qop, cnonce, nc)| (*qop, cnonce.as_str(), nc.as_str()));
        Computation {
            algorithm: self.algorithm,
            username: &self.username,
            realm,
            password,
            nonce: &self.nonce,
            method,
            uri: &self.uri,
            body,
            protection,
            cnonce: protection.map_or("", |(_, cnonce, _)| cnonce),
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests need one real instant to start from"
)]
mod tests {
    use super::super::client::{Credentials, DigestClient};
    use super::*;

    const REALM: &str = "allo";
    const ACCOUNTS: &[(&str, &str, &str)] = &[(REALM, "alice", "secret")];
    const OFFERED: &[Algorithm] = &[Algorithm::SHA_256, Algorithm::MD5];

    struct Fixture {
        now: Instant,
        server: DigestServer,
        client: DigestClient,
    }

    impl Fixture {
        fn new() -> Self {
            let now = Instant::now();
            let mut fixture = Self {
                now,
                server: DigestServer::new(now, [7; 32]),
                client: DigestClient::new(),
            };
            fixture.challenge();
            fixture
        }

        fn challenge(&mut self) {
            let fields = self.server.challenge(self.now, REALM, OFFERED, false);
            self.client.handle_challenge(&fields, 0);
        }

        fn sign(&mut self, username: &str, password: &str) -> AuthField {
            let credentials = Credentials {
                username: username.to_owned(),
                password: password.to_owned(),
            };
            self.client
                .authorization(&credentials, "INVITE", "sip:x@y", b"", "abc")
                .unwrap()
        }

        fn verify(&mut self, field: &AuthField) -> Verification {
            self.server.verify(
                self.now,
                REALM,
                std::slice::from_ref(field),
                ("INVITE", b""),
                ACCOUNTS,
                OFFERED,
            )
        }
    }

    fn accepted() -> Verification {
        Verification::Accepted {
            username: "alice".to_owned(),
        }
    }

    #[test]
    fn the_right_password_is_accepted_with_a_growing_count() {
        let mut fixture = Fixture::new();
        for _ in 0..3 {
            let field = fixture.sign("alice", "secret");
            assert_eq!(field.value("algorithm"), Some("SHA-256"));
            let reparsed = AuthField::parse_list(&field.to_string());
            assert_eq!(fixture.verify(&reparsed[0]), accepted());
        }
    }

    #[test]
    fn a_replay_is_stale() {
        let mut fixture = Fixture::new();
        let field = fixture.sign("alice", "secret");
        assert_eq!(fixture.verify(&field), accepted());
        assert_eq!(fixture.verify(&field), Verification::Stale);
    }

    #[test]
    fn pattern_29_unknown_user_and_wrong_password_get_the_same_answer() {
        let mut fixture = Fixture::new();
        let unknown = fixture.sign("bob", "secret");
        let wrong = fixture.sign("alice", "guess");
        let empty = fixture.sign("bob", "");
        assert_eq!(fixture.verify(&unknown), Verification::Rejected);
        assert_eq!(fixture.verify(&wrong), Verification::Rejected);
        assert_eq!(fixture.verify(&empty), Verification::Rejected);
    }

    #[test]
    fn an_old_or_foreign_nonce_is_stale_only_for_those_who_know_the_password() {
        let mut fixture = Fixture::new();
        let right = fixture.sign("alice", "secret");
        let wrong = fixture.sign("alice", "guess");
        fixture.now += NONCE_LIFETIME + Duration::from_secs(1);
        assert_eq!(fixture.verify(&right), Verification::Stale);
        assert_eq!(fixture.verify(&wrong), Verification::Rejected);
        fixture.server = DigestServer::new(fixture.now, [8; 32]);
        assert_eq!(fixture.verify(&right), Verification::Stale);
        assert_eq!(fixture.verify(&wrong), Verification::Rejected);
    }

    #[test]
    fn the_table_of_nonces_is_bounded_and_a_forgotten_one_is_stale() {
        let mut fixture = Fixture::new();
        let first = fixture.sign("alice", "secret");
        assert_eq!(fixture.verify(&first), accepted());
        for _ in 0..NONCES_MAX {
            fixture.challenge();
            let field = fixture.sign("alice", "secret");
            assert_eq!(fixture.verify(&field), accepted());
        }
        assert_eq!(fixture.server.used.len(), NONCES_MAX);
        assert_eq!(fixture.verify(&first), Verification::Stale);
    }

    #[test]
    fn credentials_for_another_request_or_realm_are_rejected() {
        let mut fixture = Fixture::new();
        let field = fixture.sign("alice", "secret");
        let mut verify = |realm, method| {
            fixture.server.verify(
                fixture.now,
                realm,
                std::slice::from_ref(&field),
                (method, b""),
                ACCOUNTS,
                OFFERED,
            )
        };
        assert_eq!(verify(REALM, "BYE"), Verification::Rejected);
        assert_eq!(verify("other", "INVITE"), Verification::Rejected);
        assert_eq!(verify(REALM, "INVITE"), accepted());
    }

    #[test]
    fn hostile_fields_are_rejected() {
        let mut fixture = Fixture::new();
        for row in [
            "Digest",
            r#"Digest username="alice", realm="allo""#,
            r#"Digest username="alice", realm="allo", nonce="", uri="", response="""#,
            r#"Digest username="alice", realm="allo", nonce="é", uri="x", response="é", qop=auth, nc=zz, cnonce="""#,
            r#"Digest username="alice", realm="allo", nonce="00", uri="x", response="", algorithm=AKA"#,
            "Bearer abc",
        ] {
            for field in AuthField::parse_list(row) {
                assert_eq!(fixture.verify(&field), Verification::Rejected, "{row}");
            }
        }
    }
}
