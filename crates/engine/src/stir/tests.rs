use serde_json::Value;

use super::*;
use crate::stir::token::canonical;

/// Made by PyJWT and cryptography (`e2e/lib/stir.py`).
const GOLDEN: &str = include_str!("../../tests/data/stir.json");

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("a text")
}

#[test]
fn every_token_of_the_golden_rows_has_its_verdict() {
    let golden: Value = serde_json::from_str(GOLDEN).expect("JSON");
    let now_s = golden["now_s"].as_u64().expect("seconds");
    let authorities = Authorities::from_pem(text(&golden, "authorities").as_bytes());
    let authorities = authorities.expect("an authority");
    let rows = golden["rows"].as_array().expect("rows");
    assert!(rows.len() > 30);
    for row in rows {
        let identities = row["identities"].as_array().expect("a list").iter();
        let asked = Asked {
            identities: identities
                .map(|one| one.as_str().expect("a text").to_owned())
                .collect(),
            from: text(&golden, "from").to_owned(),
            to: text(&golden, "to").to_owned(),
            date_s: row["date_s"].as_u64(),
            country: text(&golden, "country").to_owned(),
        };
        let chain = text(row, "chain").as_bytes();
        let judged = token::read(&asked, now_s).and_then(|token| {
            certificate::check(&token, chain, &authorities, now_s)?;
            Ok(token.attestation)
        });
        let found = match judged {
            Ok(None) => "valid",
            Ok(Some(attestation)) => attestation.letter(),
            Err(fault) => fault.label(),
        };
        assert_eq!(found, text(row, "verdict"), "{}", text(row, "name"));
        // Nobody is trusted who is not named.
        if judged.is_ok() {
            let token = token::read(&asked, now_s).expect("as before");
            let nobody = certificate::check(&token, chain, &Authorities::default(), now_s);
            assert_eq!(nobody, Err(Fault::Untrusted), "{}", text(row, "name"));
        }
    }
}

#[test]
fn each_policy_refuses_what_it_says_with_the_status_of_rfc_8224() {
    let judged = |policy: &str, verdict: Verdict| {
        let policy = IdentityPolicy::from_name(policy).expect("a policy");
        let refusal = policy.refusal(verdict)?;
        let reason = refusal.reason.split(';').take(2);
        Some(format!(
            "{} {}",
            refusal.status,
            reason.collect::<Vec<_>>().join(";")
        ))
    };
    let attested = |attestation| Verdict(Ok(Some(attestation)));
    for (fault, refusal) in [
        (Fault::Missing, "428 STIR;cause=428"),
        (Fault::Stale, "403 STIR;cause=403"),
        (Fault::Unfetched, "436 STIR;cause=436"),
        (Fault::Certificate, "437 STIR;cause=437"),
        (Fault::Expired, "437 STIR;cause=437"),
        (Fault::Untrusted, "437 STIR;cause=437"),
        (Fault::Malformed, "438 STIR;cause=438"),
        (Fault::Algorithm, "438 STIR;cause=438"),
        (Fault::Caller, "438 STIR;cause=438"),
        (Fault::Called, "438 STIR;cause=438"),
        (Fault::Signature, "438 STIR;cause=438"),
    ] {
        let verdict = Verdict(Err(fault));
        for policy in ["require", "require_b", "require_a"] {
            assert_eq!(
                judged(policy, verdict).as_deref(),
                Some(refusal),
                "{fault:?}"
            );
        }
        for policy in ["off", "inform"] {
            assert_eq!(judged(policy, verdict), None, "{fault:?}");
        }
    }
    let too_low = Some("603 Q.850;cause=21".to_owned());
    for (policy, c, b, a) in [
        ("require", true, true, true),
        ("require_b", false, true, true),
        ("require_a", false, false, true),
    ] {
        let passes = |verdict| match judged(policy, verdict) {
            None => true,
            refusal => {
                assert_eq!(refusal, too_low);
                false
            }
        };
        assert_eq!(passes(attested(Attestation::C)), c, "{policy}");
        assert_eq!(passes(attested(Attestation::B)), b, "{policy}");
        assert_eq!(passes(attested(Attestation::A)), a, "{policy}");
        // A token that attests nothing is valid, and no more.
        assert_eq!(passes(Verdict(Ok(None))), policy == "require", "{policy}");
    }
}

#[test]
fn the_number_that_is_shown_is_the_one_that_is_proven_however_it_is_spelled() {
    let party = |user: &str| Party {
        uri: format!("sip:{user}@carrier.test"),
        user: user.to_owned(),
        display: None,
    };
    let other = Some("<sip:+33199999999@carrier.test>");
    for (user, proof) in [
        ("+33140506070", "33140506070"),
        ("+33140506070;x=1", "33140506070"),
        ("+33140506070;verstat=TN-Validation-Passed", "33140506070"),
        ("+33/140506070", "33140506070"),
        ("0140506070", "33140506070"),
        ("anonymous", "33199999999"),
        ("", "33199999999"),
        ("marie", "33199999999"),
    ] {
        let proven = proven(&party(user), other);
        assert_eq!(canonical(&proven, "33").as_deref(), Some(proof), "{user}");
    }
    // Who shows something like a number that is none proves nothing by another one.
    for user in [
        "+331405060701234567",
        "33140506070x",
        "+33 14050607O",
        "٠١٤٠٥٠٦٠٧٠",
    ] {
        let proven = proven(&party(user), other);
        assert_eq!(canonical(&proven, "33"), None, "{user}");
    }
}

#[test]
fn a_number_has_one_form_and_a_name_has_none() {
    for spelling in [
        "+33123456789",
        "33123456789",
        "0033123456789",
        "0123456789",
        "+33 (1) 23.45-67 89",
        "+33/1/23456789",
    ] {
        assert_eq!(
            canonical(spelling, "33").as_deref(),
            Some("33123456789"),
            "{spelling}"
        );
    }
    for other in [
        "",
        "+",
        "anonymous",
        "12",
        "+33123;x=y",
        "+331234567890123456",
        "３３１２３",
    ] {
        assert_eq!(canonical(other, "33"), None, "{other}");
    }
}

#[test]
fn the_verdict_stands_beside_the_counters_of_the_call() {
    let with = |verdict: Verdict, counters| verdict.joined(counters).to_string();
    assert_eq!(
        with(
            Verdict(Ok(Some(Attestation::B))),
            Some(serde_json::json!({ "rtp": 1 }))
        ),
        r#"{"rtp":1,"caller_identity":{"verdict":"valid","attestation":"B"}}"#
    );
    assert_eq!(
        with(Verdict(Err(Fault::Stale)), None),
        r#"{"caller_identity":{"verdict":"stale","attestation":null}}"#
    );
}
