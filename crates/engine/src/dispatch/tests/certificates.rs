use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;

use super::*;
use crate::client_certificate::{ClientCertificates, Fingerprint};

const LISTED: [u8; 4] = [192, 0, 2, 1];

fn certificate(until: i32) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec!["carrier.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().clone()
}

fn shown(der: &CertificateDer<'_>) -> Shown {
    Shown::of(Some(std::slice::from_ref(der)), true).expect("a certificate")
}

fn listing(certificates: &[&CertificateDer<'_>]) -> ClientCertificates {
    ClientCertificates {
        fingerprints: certificates
            .iter()
            .map(|der| Fingerprint::of(der))
            .collect(),
        ..ClientCertificates::default()
    }
}

/// A line without a password: of a tenant, with these networks, numbers and certificates.
fn trunk(
    (name, tenant): (&str, &str),
    allow: &[&str],
    numbers: &[&str],
    certificates: ClientCertificates,
) -> LineConfig {
    LineConfig {
        tenant: TenantId::from(tenant),
        allow: allow.iter().map(|net| net.parse().expect("net")).collect(),
        numbers: numbers.iter().map(|number| (*number).to_owned()).collect(),
        credentials: None,
        certificates,
        ..line(name, "", "")
    }
}

/// What becomes of a call to a number.
fn called(house: &mut Dispatcher, source: [u8; 4], number: &str, shown: Option<&Shown>) -> String {
    let invite = IncomingInvite {
        request_uri: format!("sip:{number}@allo.test"),
        ..invite(source, "sip:anybody@x.test", None)
    };
    word(&house.decide(Instant::now(), &invite, shown))
}

#[test]
fn a_certificate_goes_before_an_address_and_an_address_before_all() {
    let der = certificate(2100);
    let mut house = dispatcher(vec![
        trunk(("all", "a"), &["0.0.0.0/0"], &[], listing(&[])),
        trunk(("address", "a"), &["192.0.2.1/32"], &[], listing(&[])),
        trunk(("certified", "a"), &[], &[], listing(&[&der])),
    ]);
    let other = certificate(2100);
    let mut decide = |source, der: Option<&CertificateDer<'_>>| {
        called(&mut house, source, "1", der.map(shown).as_ref())
    };
    assert_eq!(decide(LISTED, Some(&der)), "accept certified");
    assert_eq!(decide(STRANGER, Some(&der)), "accept certified");
    // One that no line lists closes nothing.
    assert_eq!(decide(LISTED, Some(&other)), "accept address");
    assert_eq!(decide(LISTED, None), "accept address");
    assert_eq!(decide(STRANGER, None), "accept all");
}

#[test]
fn a_line_that_demands_a_certificate_refuses_its_own_address_without_one() {
    let (der, other, old) = (certificate(2100), certificate(2100), certificate(2001));
    let strict = ClientCertificates {
        required: true,
        ..listing(&[&der, &old])
    };
    let mut house = dispatcher(vec![
        trunk(("all", "a"), &["0.0.0.0/0"], &["2"], listing(&[])),
        trunk(("strict", "a"), &["192.0.2.1/32"], &["1"], strict),
    ]);
    let mut decide = |number, der: Option<&CertificateDer<'_>>| {
        called(&mut house, LISTED, number, der.map(shown).as_ref())
    };
    assert_eq!(decide("1", Some(&der)), "accept strict");
    assert_eq!(decide("1", None), "403 certificate");
    assert_eq!(decide("1", Some(&other)), "403 certificate");
    assert_eq!(decide("1", Some(&old)), "403 certificate");
    // Its neighbour at the same address demands nothing.
    assert_eq!(decide("2", None), "accept all");
    // Nor is one of its legs taken over by the address alone.
    let strict = Arc::clone(&house.lines[1]);
    let mut replace = |shown: Option<&Shown>| {
        let asked = invite(LISTED, "sip:anybody@x.test", None);
        house.may_replace(Instant::now(), &strict, (&asked, shown))
    };
    assert_eq!(replace(None), MayReplace::No);
    assert_eq!(replace(Some(&shown(&other))), MayReplace::No);
    assert_eq!(replace(Some(&shown(&der))), MayReplace::Yes);
}

#[test]
fn no_line_is_reached_with_the_certificate_of_another_tenant() {
    let (ours, theirs) = (certificate(2100), certificate(2100));
    let mut house = dispatcher(vec![
        trunk(("ours", "a"), &[], &["1"], listing(&[&ours])),
        trunk(("theirs", "b"), &[], &["2"], listing(&[&theirs])),
    ]);
    let mut decide = |number, der| called(&mut house, STRANGER, number, Some(&shown(der)));
    assert_eq!(decide("1", &ours), "accept ours");
    assert_eq!(decide("2", &ours), "404 unknown_number");
    assert_eq!(decide("2", &theirs), "accept theirs");
    // Two that list the same one, by statements of hand: each has its own numbers, and what none names is nobody's, whoever takes any.
    let mut house = dispatcher(vec![
        trunk(("ours", "a"), &[], &["1"], listing(&[&ours])),
        trunk(("theirs", "b"), &[], &["2"], listing(&[&ours])),
        trunk(("any", "b"), &[], &[], listing(&[&ours])),
        trunk(("strict", "c"), &[], &["3"], listing(&[&theirs])),
    ]);
    for (number, decided) in [
        ("1", "accept ours"),
        ("2", "accept theirs"),
        ("3", "403 certificate"),
        ("4", "403 certificate"),
    ] {
        let found = called(&mut house, STRANGER, number, Some(&shown(&ours)));
        assert_eq!(found, decided, "{number}");
    }
}

#[test]
fn whoever_names_the_number_has_the_call_by_whatever_it_knows_the_peer() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let leaf = CertificateParams::new(vec!["carrier.test".to_owned()]).unwrap();
    let leaf_key = KeyPair::generate().unwrap();
    let signed = leaf.signed_by(&leaf_key, &issuer).unwrap();
    let named = ClientCertificates {
        names: vec!["carrier.test".to_owned()],
        authorities: ClientCertificates::authorities_of(&pem),
        ..ClientCertificates::default()
    };
    let certificates = listing(&[signed.der()]);
    let mut house = dispatcher(vec![
        trunk(("named", "b"), &[], &["2"], named),
        trunk(("listed", "a"), &[], &["1"], certificates),
    ]);
    let carrier = shown(signed.der());
    let mut decide = |number| called(&mut house, STRANGER, number, Some(&carrier));
    assert_eq!(decide("1"), "accept listed");
    // Anybody can fetch the certificate that a carrier shows: listing it takes nothing from who knows the carrier by its name.
    assert_eq!(decide("2"), "accept named");
    // Nor from who knows it by its address, even for lines that take any number.
    let own = certificate(2100);
    let mut house = dispatcher(vec![
        trunk(("address", "a"), &["192.0.2.1/32"], &["1"], listing(&[])),
        trunk(("greedy", "b"), &[], &[], listing(&[&own])),
    ]);
    let decided = called(&mut house, LISTED, "1", Some(&shown(&own)));
    assert_eq!(decided, "accept address");
}

#[test]
fn a_stranger_whose_certificate_nearly_opens_a_line() {
    let old = certificate(2001);
    let expired = trunk(("expired", "a"), &[], &["1"], listing(&[&old]));
    let untrusted = ClientCertificates {
        names: vec!["carrier.test".to_owned()],
        ..ClientCertificates::default()
    };
    let named = trunk(("named", "a"), &[], &["2"], untrusted);
    let forged = shown(&certificate(2100));
    // It is the trunk itself that comes too late: told so, whatever else there is. Anybody could write the name.
    let device = line("with-password", "alice", "a");
    let mut house = dispatcher(vec![expired, named.clone(), device]);
    let decided = called(&mut house, STRANGER, "1", Some(&shown(&old)));
    assert_eq!(decided, "403 certificate");
    assert_eq!(
        called(&mut house, STRANGER, "2", Some(&forged)),
        "challenge"
    );
    let mut house = dispatcher(vec![named]);
    let decided = called(&mut house, STRANGER, "2", Some(&forged));
    assert_eq!(
        decided,
        format!("403 {}", crate::refusal::STRANGER_AT_A_LINE)
    );
    assert!(!house.recognises(&forged) && !house.recognises(&shown(&old)));
}
