//! Details of digest that a peer trips over: counts, realms, session variants, algorithms that were not offered.

#![allow(
    clippy::disallowed_methods,
    reason = "a test needs an origin of its virtual time"
)]

use std::time::Instant;

use sip::digest::{Algorithm, Credentials, DigestClient, DigestServer, Reaction, Verification};
use sip::message::AuthField;

const REALM: &str = "allo";
const ACCOUNTS: &[(&str, &str, &str)] = &[(REALM, "alice", "secret")];

fn alice() -> Credentials {
    Credentials {
        username: "alice".to_owned(),
        password: "secret".to_owned(),
    }
}

fn sign(client: &mut DigestClient) -> AuthField {
    let field = client.authorization(&alice(), "INVITE", "sip:x@y", b"", "abc");
    field.expect("a challenge is known")
}

fn challenged(row: &str) -> DigestClient {
    let mut client = DigestClient::new();
    let fields = AuthField::parse_list(row);
    assert_eq!(
        client.handle_challenge(&fields, 0),
        Reaction::Retry,
        "{row}"
    );
    client
}

#[test]
fn the_count_begins_anew_with_each_new_nonce_and_only_then() {
    let mut client = challenged(r#"Digest realm="r", nonce="n1", qop="auth""#);
    assert_eq!(sign(&mut client).value("nc"), Some("00000001"));
    let again = AuthField::parse_list(r#"Digest realm="r", nonce="n1", qop="auth""#);
    client.handle_challenge(&again, 0);
    assert_eq!(sign(&mut client).value("nc"), Some("00000002"));
    client.note_authentication_info(r#"nextnonce="n1", qop=auth"#);
    assert_eq!(sign(&mut client).value("nc"), Some("00000003"));
    client.note_authentication_info(r#"nextnonce="n2", qop=auth"#);
    let field = sign(&mut client);
    assert_eq!(
        (field.value("nonce"), field.value("nc")),
        (Some("n2"), Some("00000001"))
    );
}

#[test]
fn credentials_name_the_realm_and_the_words_of_the_challenge() {
    let mut client = challenged(
        r#"Digest realm="The \"house\"", nonce="n", opaque="o", algorithm=md5, qop="auth-int""#,
    );
    let field = sign(&mut client);
    assert_eq!(field.value("username"), Some("alice"));
    assert_eq!(field.value("realm"), Some("The \"house\""));
    assert_eq!(field.value("uri"), Some("sip:x@y"));
    assert_eq!(field.value("opaque"), Some("o"));
    assert_eq!(field.value("algorithm"), Some("MD5"));
    assert_eq!(field.value("qop"), Some("auth-int"));
    assert_eq!(client.realm(), Some("The \"house\""));
}

#[test]
fn the_session_variant_tells_its_client_nonce_without_a_quality_as_well() {
    let mut client = challenged(r#"Digest realm="r", nonce="n", algorithm=MD5-sess"#);
    let field = sign(&mut client);
    assert_eq!(field.value("cnonce"), Some("abc"));
    assert_eq!((field.value("qop"), field.value("nc")), (None, None));
    assert_eq!(field.value("algorithm"), Some("MD5-sess"));
    let mut plain = challenged(r#"Digest realm="r", nonce="n", algorithm=MD5"#);
    assert_ne!(sign(&mut plain).value("response"), field.value("response"));
}

#[test]
fn only_what_was_offered_is_accepted() {
    let now = Instant::now();
    let all = [Algorithm::SHA_512_256, Algorithm::SHA_256, Algorithm::MD5];
    for (index, offered) in all.iter().enumerate() {
        for (other, accepted) in all.iter().enumerate() {
            let mut server = DigestServer::new(now, [7; 32]);
            let mut client = DigestClient::new();
            let fields = server.challenge(now, REALM, std::slice::from_ref(offered), false);
            client.handle_challenge(&fields, 0);
            let field = sign(&mut client);
            let verdict = server.verify(
                now,
                REALM,
                std::slice::from_ref(&field),
                ("INVITE", b""),
                ACCOUNTS,
                std::slice::from_ref(accepted),
            );
            let right = Verification::Accepted {
                username: "alice".to_owned(),
            };
            let expected = if index == other {
                right
            } else {
                Verification::Rejected
            };
            assert_eq!(verdict, expected, "{offered:?} against {accepted:?}");
        }
    }
}

#[test]
fn a_count_is_used_once_and_may_leave_gaps() {
    let now = Instant::now();
    let mut server = DigestServer::new(now, [7; 32]);
    let mut client = DigestClient::new();
    let fields = server.challenge(now, REALM, &[Algorithm::SHA_256], false);
    client.handle_challenge(&fields, 0);
    let signed: Vec<AuthField> = (0..4).map(|_| sign(&mut client)).collect();
    let mut verify = |index: usize| {
        server.verify(
            now,
            REALM,
            std::slice::from_ref(&signed[index]),
            ("INVITE", b""),
            ACCOUNTS,
            &[Algorithm::SHA_256],
        )
    };
    let accepted = Verification::Accepted {
        username: "alice".to_owned(),
    };
    assert_eq!(verify(0), accepted);
    assert_eq!(verify(2), accepted);
    assert_eq!(verify(2), Verification::Stale, "the same again");
    assert_eq!(verify(1), Verification::Stale, "one that was overtaken");
    assert_eq!(verify(3), accepted);
}
