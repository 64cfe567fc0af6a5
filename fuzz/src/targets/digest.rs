//! Digest authentication: challenges and credentials of a stranger; the right password is accepted, nothing else is.

use std::time::{Duration, Instant};

use crate::bytes::Bytes;
use sip::digest::server::Verification;
use sip::digest::{Algorithm, Credentials, DigestClient, DigestServer};
use sip::message::{AuthField, Headers, name};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::SHA_512_256, Algorithm::SHA_256, Algorithm::MD5];

pub fn target(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    match bytes.below(3) {
        0 => challenges(&mut bytes),
        1 => credentials(&mut bytes),
        _ => both_sides(&mut bytes),
    }
}

fn fields(value: &str) -> Vec<AuthField> {
    let mut headers = Headers::new();
    headers.push(name::WWW_AUTHENTICATE, value);
    headers.auth_fields(name::WWW_AUTHENTICATE)
}

/// A stranger challenges us.
fn challenges(bytes: &mut Bytes<'_>) {
    let mut client = DigestClient::new();
    let login = Credentials {
        username: "alice".to_owned(),
        password: "wonderland".to_owned(),
    };
    for attempts in 0..4 {
        let challenge = bytes.text();
        let _ = client.handle_challenge(&fields(&challenge), attempts);
        if let Some(field) = client.authorization(&login, "REGISTER", "sip:a", b"", "cnonce") {
            let shown = field.to_string();
            assert!(!shown.contains("wonderland"), "the password is sent");
            assert!(!shown.contains(['\r', '\n']), "a header of its own");
        }
        let mut headers = Headers::new();
        headers.push(name::AUTHENTICATION_INFO, bytes.text());
        let info = headers.get(name::AUTHENTICATION_INFO);
        client.note_authentication_info(info.unwrap_or_default());
    }
}

/// A stranger without a password signs in.
fn credentials(bytes: &mut Bytes<'_>) {
    let now = Instant::now();
    let mut server = DigestServer::new(now, [7; 32]);
    let issued = server.challenge(now, "realm", &ALGORITHMS, false);
    let nonce = issued[0].value("nonce").expect("a nonce").to_owned();
    let text = bytes.text().replace('\u{1}', &nonce);
    let accounts = [("realm", "alice", "wonderland")];
    let request = ("INVITE", bytes.chunk());
    let verdict = server.verify(
        now,
        "realm",
        &fields(&text),
        request,
        &accounts,
        &ALGORITHMS,
    );
    assert_eq!(verdict, Verification::Rejected, "{text}");
}

/// Our client against our server, with any names.
fn both_sides(bytes: &mut Bytes<'_>) {
    let now = Instant::now();
    let mut server = DigestServer::new(now, [9; 32]);
    let algorithms = &ALGORITHMS[bytes.below(3)..];
    let (realm, username, password) = (printable(bytes), printable(bytes), printable(bytes));
    let body = bytes.chunk();
    let late = Duration::from_secs(u64::from(bytes.u16()));
    let challenge: Vec<String> = server
        .challenge(now, &realm, algorithms, false)
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut read = Vec::new();
    for line in &challenge {
        read.append(&mut fields(line));
    }
    let mut client = DigestClient::new();
    let _ = client.handle_challenge(&read, 0);
    let login = Credentials {
        username: username.clone(),
        password: password.clone(),
    };
    let answer = client
        .authorization(&login, "INVITE", "sip:a@b", body, "c0ffee")
        .expect("our own challenge can be answered");
    let accounts = [(realm.as_str(), username.as_str(), password.as_str())];
    let again = fields(&answer.to_string());
    let mut judge = |at| server.verify(at, &realm, &again, ("INVITE", body), &accounts, algorithms);
    let verdict = judge(now + late);
    if late <= sip::digest::server::NONCE_LIFETIME {
        assert_eq!(
            verdict,
            Verification::Accepted {
                username: username.clone()
            }
        );
    } else {
        assert_eq!(verdict, Verification::Stale);
    }
    assert_eq!(
        judge(now + late),
        Verification::Stale,
        "a replay was accepted"
    );
}

/// Text that a quoted string can carry.
fn printable(bytes: &mut Bytes<'_>) -> String {
    bytes
        .text()
        .chars()
        .filter(|character| !character.is_control())
        .take(80)
        .collect()
}
