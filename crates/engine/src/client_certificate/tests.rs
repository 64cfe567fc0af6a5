use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::{Secret, TlsIdentity};

const YEAR: i32 = 2026;
/// 1 July of that year.
const NOW_S: i64 = 1_782_864_000;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn trusted(&self) -> Authorities {
        ClientCertificates::authorities_of(&self.pem).expect("an authority")
    }

    fn signs(&self, params: &CertificateParams) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        signed.der().clone()
    }
}

fn params(names: &[&str], from: i32, until: i32) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params
}

fn shown(certificate: &CertificateDer<'_>) -> Shown {
    Shown::of(Some(std::slice::from_ref(certificate)), true).expect("a certificate")
}

fn of_names(names: &[&str], authorities: Option<Authorities>) -> ClientCertificates {
    ClientCertificates {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        authorities,
        ..ClientCertificates::default()
    }
}

#[test]
fn fingerprints_are_read_as_people_have_them() {
    let digits = "ab".repeat(32);
    let colons = ["AB"; 32].join(":");
    for text in [
        digits.clone(),
        format!(" SHA256:{digits} "),
        colons.clone(),
        format!("sha256 Fingerprint={colons}\n"),
    ] {
        let read: Fingerprint = text.parse().expect(&text);
        assert_eq!(read.to_string(), colons);
    }
    let key = KeyPair::generate().unwrap();
    let made = params(&["a.test"], YEAR, YEAR + 1)
        .self_signed(&key)
        .unwrap();
    assert_eq!(made.pem().parse(), Ok(Fingerprint::of(made.der())));
    let two = format!("{}{}", made.pem(), made.pem());
    for wrong in ["", "ab", &digits[1..], &format!("{digits}ab"), "zz", &two] {
        assert_eq!(wrong.parse::<Fingerprint>(), Err(NoFingerprint), "{wrong}");
    }
}

#[test]
fn a_name_counts_where_an_authority_of_the_line_vouches_for_it() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let nobody = Authorities::default();
    let good = shown(&authority.signs(&params(&["sip.carrier.test"], YEAR, YEAR + 1)));
    let own = of_names(&["sip.carrier.test"], Some(authority.trusted()));
    let by = Ok(By::Name("sip.carrier.test".to_owned()));
    assert_eq!(own.judge(Some(&good), &nobody, NOW_S), by);
    // The server's authorities stand where the line names none, and nowhere else.
    let plain = of_names(&["sip.carrier.test"], None);
    assert_eq!(plain.judge(Some(&good), &authority.trusted(), NOW_S), by);
    let untrusted = Err(Fault::Untrusted);
    assert_eq!(plain.judge(Some(&good), &nobody, NOW_S), untrusted);
    let others = of_names(&["sip.carrier.test"], Some(stranger.trusted()));
    assert_eq!(
        others.judge(Some(&good), &authority.trusted(), NOW_S),
        untrusted
    );
    // Nor those of others, nor a wildcard's.
    let wide = shown(&authority.signs(&params(&["*.carrier.test"], YEAR, YEAR + 1)));
    assert_eq!(own.judge(Some(&wide), &nobody, NOW_S), Err(Fault::Other));
    assert_eq!(own.judge(None, &nobody, NOW_S), Err(Fault::Missing));
    // The dates: of whom it is comes first.
    let judge = |made: &Shown| own.judge(Some(made), &nobody, NOW_S);
    let dated = |authority: &Authority, from, until| {
        shown(&authority.signs(&params(&["sip.carrier.test"], from, until)))
    };
    assert_eq!(judge(&dated(&authority, 2024, 2025)), Err(Fault::Expired));
    assert_eq!(judge(&dated(&authority, 2027, 2028)), Err(Fault::Early));
    assert_eq!(judge(&dated(&stranger, 2024, 2025)), untrusted);
}

#[test]
fn a_domain_may_stand_as_a_uri_and_the_purpose_must_be_tls() {
    let authority = Authority::new();
    let nobody = Authorities::default();
    let mut made = params(&[], YEAR, YEAR + 1);
    let uri = "sip:Carrier.test".try_into().unwrap();
    made.subject_alt_names.push(SanType::URI(uri));
    let own = of_names(&["carrier.test"], Some(authority.trusted()));
    let judge =
        |made: &CertificateParams| own.judge(Some(&shown(&authority.signs(made))), &nobody, NOW_S);
    assert!(judge(&made).is_ok());
    for (purpose, fine) in [
        (ExtendedKeyUsagePurpose::ServerAuth, true),
        (ExtendedKeyUsagePurpose::ClientAuth, true),
        // id-kp-sipDomain (RFC 5924).
        (
            ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 20]),
            true,
        ),
        (ExtendedKeyUsagePurpose::EmailProtection, false),
    ] {
        made.extended_key_usages = vec![purpose];
        assert_eq!(judge(&made).is_ok(), fine, "{:?}", made.extended_key_usages);
    }
}

#[test]
fn a_listed_certificate_needs_nobody_who_vouches_but_its_dates_and_its_key() {
    let nobody = Authorities::default();
    let certificate = |from, until| {
        let key = KeyPair::generate().unwrap();
        let made = params(&["a.test"], from, until).self_signed(&key).unwrap();
        made.der().clone()
    };
    let judged = |der: &CertificateDer<'_>, is_proven| {
        let own = ClientCertificates {
            fingerprints: vec![Fingerprint::of(der)],
            ..ClientCertificates::default()
        };
        let shown = Shown::of(Some(std::slice::from_ref(der)), is_proven);
        own.judge(shown.as_ref(), &nobody, NOW_S)
    };
    let good = certificate(YEAR, YEAR + 1);
    assert_eq!(judged(&good, true), Ok(By::Fingerprint));
    assert_eq!(judged(&good, false), Err(Fault::Unproven));
    assert_eq!(judged(&certificate(2024, 2025), true), Err(Fault::Expired));
    assert_eq!(judged(&certificate(2027, 2028), true), Err(Fault::Early));
    // What is no certificate opens nothing, even where a line lists it.
    let nonsense = CertificateDer::from(b"nonsense".to_vec());
    assert_eq!(judged(&nonsense, true), Err(Fault::Unproven));
}

#[test]
fn what_two_lines_have_in_common() {
    let (one, other) = (Authority::new(), Authority::new());
    let nobody = Authorities::default();
    let names = |names: &[&str], authority: &Authority| of_names(names, Some(authority.trusted()));
    let shared = |a: &ClientCertificates, b: &ClientCertificates| a.shared_with(b, &nobody);
    let carrier = names(&["sip.carrier.test", "b.test"], &one);
    let same = Some(Shared::Name("sip.carrier.test".to_owned()));
    assert_eq!(shared(&carrier, &names(&["sip.carrier.test"], &one)), same);
    let as_uri = names(&["sip:sip.carrier.test"], &one);
    assert_eq!(shared(&carrier, &as_uri), same);
    assert_eq!(shared(&carrier, &names(&["c.test"], &one)), None);
    assert_eq!(
        shared(&carrier, &names(&["sip.carrier.test"], &other)),
        None
    );
    let fingerprint = Fingerprint::of(b"x");
    let listed = ClientCertificates {
        fingerprints: vec![fingerprint],
        ..ClientCertificates::default()
    };
    assert_eq!(
        shared(&listed, &listed),
        Some(Shared::Fingerprint(fingerprint))
    );
    assert_eq!(shared(&listed, &carrier), None);
}

#[test]
fn stored_settings_that_cannot_be_read_open_nothing() {
    let pem = Authority::new().pem;
    let many = pem.repeat(AUTHORITIES_PER_LINE_MAX + 1);
    assert!(ClientCertificates::authorities_of(&many).is_none());
    let read = ClientCertificates::of_settings(&serde_json::json!({
        "client_certificates": ["nonsense", 7, "ab".repeat(32)],
        "client_names": ["SIP.carrier.test", "a b"],
        "client_ca": "nonsense",
        "client_certificate_required": true,
    }));
    assert_eq!(read.fingerprints.len(), 1);
    assert_eq!(read.names, ["sip.carrier.test"]);
    // Not the server's authorities in the place of those that cannot be read.
    assert!(read.authorities.is_some_and(|found| found.is_empty()) && read.required);
}

/// Shows a certificate and signs with a key, whether or not that is the certificate's.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What the listener makes of a client that shows this certificate and has this key.
async fn shaken(certificate: &CertificateDer<'static>, key: &KeyPair, asks: bool) -> Option<Shown> {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let identity = TlsIdentity {
        chain_pem: own.cert.pem().into_bytes(),
        key_pem: Secret::new(own.signing_key.serialize_pem()),
    };
    let server = TlsServer::new(&identity).expect("an identity");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let secret = provider.key_provider.load_private_key(secret).unwrap();
    let shows = Shows(Arc::new(CertifiedKey::new(
        vec![certificate.clone()],
        secret,
    )));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(shows));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let connecting = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        connector.connect(name, stream).await.expect("a connection")
    };
    let accepting = async {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = server.acceptor(asks).expect("an acceptor");
        acceptor.accept(stream).await.expect("a connection")
    };
    let (_client, (_server, shown)) = tokio::join!(connecting, accepting);
    shown
}

#[tokio::test]
async fn a_certificate_without_its_key_is_a_connection_that_proves_nothing() {
    let (own, stolen) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = params(&["a.test"], YEAR, YEAR + 1)
        .self_signed(&own)
        .unwrap();
    let certificate = certificate.der();
    let right = shaken(certificate, &own, true)
        .await
        .expect("a certificate");
    let wrong = shaken(certificate, &stolen, true)
        .await
        .expect("a certificate");
    assert_eq!(right.fingerprint(), wrong.fingerprint());
    assert!(right.is_proven && !wrong.is_proven);
    let unasked = shaken(certificate, &own, false).await;
    assert!(
        unasked.is_none(),
        "nobody is asked where no line could be opened"
    );
}
