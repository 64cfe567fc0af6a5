//! The answering side: one [`DigestClient`] for each realm and set of credentials.

use super::{Algorithm, Computation, Qop};
use crate::message::{AuthField, AuthScheme};
use std::fmt;

/// What we sign in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What a challenge calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Send the request again (new branch, CSeq + 1) with [`DigestClient::authorization`].
    Retry,
    /// The credentials were refused: stop, do not loop.
    WrongCredentials,
    /// The credentials are right (RFC 7616 section 3.3, `stale`), and each nonce was too old already: do not loop, try later.
    Stale,
    /// No challenge that we can or should answer: unknown algorithm, or weaker than this server's earlier one.
    Unsupported,
}

/// Answers to challenges that one request may give; a server that calls every nonce stale ends here.
pub const ATTEMPTS_MAX: u8 = 2;

/// The state of our sign-in at one realm.
#[derive(Clone, Default)]
pub struct DigestClient {
    challenge: Option<Challenge>,
    /// Times the nonce was used.
    nonce_count: u32,
    /// The strongest hash seen here: nothing weaker is answered.
    strongest: Option<super::Hash>,
}

#[derive(Clone)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// Whether the algorithm was named: an answer repeats it only then, as RFC 2069 servers expect.
    is_algorithm_named: bool,
    qop: Option<Qop>,
    is_stale: bool,
}

impl DigestClient {
    /// No challenge seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the challenges of a 401 or 407. `attempts` counts the challenges that this same request has answered
    /// already: 0 for a request sent without credentials or with a reused nonce.
    pub fn handle_challenge(&mut self, challenges: &[AuthField], attempts: u8) -> Reaction {
        // Reversed, for `max_by_key` takes the last of equals and the server's first one is its preferred one.
        let best = challenges
            .iter()
            .rev()
            .filter_map(Challenge::read)
            .max_by_key(|challenge| challenge.algorithm.hash);
        let Some(best) = best else {
            return Reaction::Unsupported;
        };
        if self.strongest > Some(best.algorithm.hash) {
            return Reaction::Unsupported;
        }
        let repeats_nonce = self
            .challenge
            .as_ref()
            .is_some_and(|known| known.nonce == best.nonce);
        let is_right = best.is_stale && !repeats_nonce;
        if attempts > 0 && !is_right {
            self.challenge = None;
            return Reaction::WrongCredentials;
        }
        if attempts >= ATTEMPTS_MAX {
            self.challenge = None;
            return Reaction::Stale;
        }
        self.strongest = Some(best.algorithm.hash);
        if !repeats_nonce {
            self.nonce_count = 0;
        }
        self.challenge = Some(best);
        Reaction::Retry
    }

    /// The realm of the challenge in use.
    pub fn realm(&self) -> Option<&str> {
        self.challenge
            .as_ref()
            .map(|challenge| challenge.realm.as_str())
    }

    /// Whether a nonce is at hand, so that a request can carry credentials at once.
    pub fn is_ready(&self) -> bool {
        self.challenge.is_some()
    }

    /// Takes over the `nextnonce` of an Authentication-Info value (RFC 7616 section 3.5).
    pub fn note_authentication_info(&mut self, value: &str) {
        // The field has no scheme; it is read as if it had one.
        let fields = AuthField::parse_list(&format!("Digest {value}"));
        let next = fields.first().and_then(|field| field.value("nextnonce"));
        if let (Some(next), Some(challenge)) = (next, &mut self.challenge)
            && next != challenge.nonce
        {
            next.clone_into(&mut challenge.nonce);
            self.nonce_count = 0;
        }
    }

    /// Credentials for one request; `None` while there is no challenge. `cnonce` is fresh random text.
    ///
    /// `uri` is the Request-URI as it is printed.
    pub fn authorization(
        &mut self,
        credentials: &Credentials,
        method: &str,
        uri: &str,
        body: &[u8],
        cnonce: &str,
    ) -> Option<AuthField> {
        let challenge = self.challenge.as_ref()?;
        self.nonce_count = self.nonce_count.saturating_add(1);
        let nc = format!("{:08x}", self.nonce_count);
        let response = Computation {
            algorithm: challenge.algorithm,
            username: &credentials.username,
            realm: &challenge.realm,
            password: &credentials.password,
            nonce: &challenge.nonce,
            method,
            uri,
            body,
            protection: challenge.qop.map(|qop| (qop, cnonce, nc.as_str())),
            cnonce,
        }
        .response();
        let mut field = AuthField::digest();
        field.push_quoted("username", &credentials.username);
        field.push_quoted("realm", &challenge.realm);
        field.push_quoted("nonce", &challenge.nonce);
        field.push_quoted("uri", uri);
        field.push_quoted("response", &response);
        if challenge.is_algorithm_named {
            field.push_token("algorithm", challenge.algorithm.token());
        }
        if challenge.qop.is_some() || challenge.algorithm.session {
            field.push_quoted("cnonce", cnonce);
        }
        if let Some(qop) = challenge.qop {
            field.push_token("qop", qop.token());
            field.push_token("nc", &nc);
        }
        if let Some(opaque) = &challenge.opaque {
            field.push_quoted("opaque", opaque);
        }
        Some(field)
    }
}

impl Challenge {
    /// `None` when we cannot answer it.
    fn read(field: &AuthField) -> Option<Self> {
        if field.scheme != AuthScheme::Digest {
            return None;
        }
        let named = field.value("algorithm");
        let qop = match field.value("qop") {
            None => None,
            Some(list) => {
                let offers = |wanted: Qop| {
                    list.split(',')
                        .any(|token| token.trim().eq_ignore_ascii_case(wanted.token()))
                };
                let chosen = [Qop::Auth, Qop::AuthInt]
                    .into_iter()
                    .find(|qop| offers(*qop));
                Some(chosen?)
            }
        };
        Some(Self {
            realm: field.value("realm")?.to_owned(),
            nonce: field.value("nonce")?.to_owned(),
            opaque: field.value("opaque").map(str::to_owned),
            algorithm: match named {
                None => Algorithm::MD5,
                Some(token) => Algorithm::from_token(token)?,
            },
            is_algorithm_named: named.is_some(),
            qop,
            is_stale: field
                .value("stale")
                .is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }
}

impl fmt::Debug for DigestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestClient")
            .field("realm", &self.realm())
            .field("nonce_count", &self.nonce_count)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenges(rows: &[&str]) -> Vec<AuthField> {
        rows.iter()
            .flat_map(|row| AuthField::parse_list(row))
            .collect()
    }

    fn alice() -> Credentials {
        Credentials {
            username: "alice".to_owned(),
            password: "secret".to_owned(),
        }
    }

    fn authorize(client: &mut DigestClient) -> AuthField {
        client
            .authorization(&alice(), "REGISTER", "sip:example.org", b"", "c0ffee")
            .unwrap()
    }

    #[test]
    fn the_strongest_offered_algorithm_is_chosen() {
        let mut client = DigestClient::new();
        let offered = challenges(&[
            r#"Digest realm="r", nonce="n1", algorithm=MD5, qop="auth""#,
            r#"Digest realm="r", nonce="n2", algorithm=SHA-512-256, qop="auth""#,
            r#"Digest realm="r", nonce="n3", algorithm=SHA-256, qop="auth", Basic realm="r""#,
        ]);
        assert_eq!(client.handle_challenge(&offered, 0), Reaction::Retry);
        let field = authorize(&mut client);
        assert_eq!(field.value("algorithm"), Some("SHA-512-256"));
        assert_eq!(field.value("nonce"), Some("n2"));
        assert_eq!(field.value("response").unwrap().len(), 64);
    }

    #[test]
    fn pattern_31_an_algorithm_is_never_downgraded() {
        let mut client = DigestClient::new();
        let strong =
            challenges(&[r#"Digest realm="r", nonce="n1", algorithm=SHA-256, qop="auth""#]);
        let weak = challenges(&[r#"Digest realm="r", nonce="n2", algorithm=MD5, qop="auth""#]);
        assert_eq!(client.handle_challenge(&strong, 0), Reaction::Retry);
        assert_eq!(client.handle_challenge(&weak, 0), Reaction::Unsupported);
    }

    #[test]
    fn pattern_15_a_new_nonce_for_each_challenge_ends_after_two_attempts() {
        let mut client = DigestClient::new();
        let mut reactions = Vec::new();
        for attempt in 0..3 {
            let row = format!(r#"Digest realm="r", nonce="n{attempt}", qop="auth", stale=true"#);
            reactions.push(client.handle_challenge(&challenges(&[&row]), attempt));
        }
        assert_eq!(
            reactions,
            [Reaction::Retry, Reaction::Retry, Reaction::Stale]
        );
    }

    #[test]
    fn a_wrong_password_stops_at_once() {
        let mut client = DigestClient::new();
        let first = challenges(&[r#"Digest realm="r", nonce="n1", qop="auth""#]);
        let second = challenges(&[r#"Digest realm="r", nonce="n2", qop="auth""#]);
        assert_eq!(client.handle_challenge(&first, 0), Reaction::Retry);
        assert_eq!(
            client.handle_challenge(&second, 1),
            Reaction::WrongCredentials
        );
        assert!(!client.is_ready());
    }

    #[test]
    fn a_reused_nonce_counts_up_and_an_expired_one_is_renewed() {
        let mut client = DigestClient::new();
        let first =
            challenges(&[r#"Digest realm="r", nonce="n1", qop="auth,auth-int", opaque="o""#]);
        client.handle_challenge(&first, 0);
        assert_eq!(authorize(&mut client).value("nc"), Some("00000001"));
        let second = authorize(&mut client);
        assert_eq!(second.value("nc"), Some("00000002"));
        assert_eq!(second.value("opaque"), Some("o"));
        assert_eq!(second.value("qop"), Some("auth"));
        assert_eq!(second.value("algorithm"), None);
        // The refresh used the old nonce (attempts 0): the server's new one is taken, even without `stale`.
        let renewed = challenges(&[r#"Digest realm="r", nonce="n2", qop="auth""#]);
        assert_eq!(client.handle_challenge(&renewed, 0), Reaction::Retry);
        assert_eq!(authorize(&mut client).value("nc"), Some("00000001"));
        client.note_authentication_info(r#"nextnonce="n3", qop=auth"#);
        assert_eq!(authorize(&mut client).value("nonce"), Some("n3"));
    }

    #[test]
    fn a_challenge_of_rfc_2069_gets_an_answer_without_qop() {
        let mut client = DigestClient::new();
        client.handle_challenge(&challenges(&[r#"Digest realm="r", nonce="n1""#]), 0);
        let field = authorize(&mut client);
        assert_eq!(field.value("cnonce"), None);
        assert_eq!(field.value("nc"), None);
        assert_eq!(
            field.to_string().split(", ").count(),
            5,
            "username, realm, nonce, uri, response"
        );
    }

    #[test]
    fn what_cannot_be_answered_is_unsupported() {
        for row in [
            r#"Digest realm="r", nonce="n", algorithm=AKAv1-MD5"#,
            r#"Digest realm="r", nonce="n", qop="auth-conf""#,
            r#"Digest realm="r""#,
            r#"Digest realm="r", nonce="n", nonce="m""#,
            r#"Digest realm="r, nonce="n""#,
            "Basic realm=\"r\"",
            "Digest",
            "",
        ] {
            let reaction = DigestClient::new().handle_challenge(&challenges(&[row]), 0);
            assert_eq!(reaction, Reaction::Unsupported, "{row}");
        }
    }
}
