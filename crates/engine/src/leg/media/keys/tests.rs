//! What descriptions do to keys, against a telephone of our own making, at simulated time.

use std::time::Duration;

use sip::sdp::Fingerprint;
use sip::sdp::offer_answer::{CodecChoice, DtlsTerms};

use super::*;

const THEIRS: &str = "198.51.100.2:4000";

fn epoch() -> Instant {
    Instant::now()
}

fn ours() -> Fingerprint {
    dtls::fingerprint().unwrap()
}

fn another() -> Fingerprint {
    let mut another = ours();
    another.bytes[0] ^= 1;
    another
}

fn agreement(fingerprint: Fingerprint, mux: bool) -> Negotiated {
    let remote: SocketAddr = THEIRS.parse().unwrap();
    Negotiated {
        codec: CodecChoice {
            name: "PCMU".to_owned(),
            clock_rate: 8_000,
            channels: 1,
            payload_type: 0,
            parameters: None,
            our_parameters: None,
        },
        telephone_event: None,
        event_clock_rate: 8_000,
        comfort_noise: None,
        ptime_ms: 20,
        remote: Some(remote),
        remote_rtcp: Some(SocketAddr::new(
            remote.ip(),
            remote.port() + u16::from(!mux),
        )),
        rtcp_mux: mux,
        direction: sip::sdp::Direction::SendRecv,
        crypto: None,
        ice: None,
        is_found_by_checks: false,
        dtls: Some(DtlsTerms {
            fingerprints: vec![fingerprint],
            active: false,
        }),
    }
}

fn telephone() -> Association {
    let terms = DtlsTerms {
        fingerprints: vec![ours()],
        active: true,
    };
    let us: SocketAddr = "192.0.2.1:10000".parse().unwrap();
    Association::new(terms, Some(us), None).unwrap()
}

/// The telephone's handshake with one port of ours, from where it is.
fn shake(now: Instant, keys: &mut DtlsKeys, source: SocketAddr, rtcp: bool) -> SrtpConfig {
    let mut telephone = telephone();
    telephone.begin(now);
    for _ in 0..20 {
        while let Some((_, data)) = telephone.poll_transmit() {
            if rtcp {
                keys.handle_report(now, source, &data);
            } else {
                keys.handle(now, source, &data);
            }
        }
        while let Some((destination, data, from_rtcp)) = keys.poll_transmit() {
            assert_eq!((destination, from_rtcp), (source, rtcp));
            telephone.handle(now, "192.0.2.1:10000".parse().unwrap(), data);
        }
        if let Some(News::Agreed { srtp, .. }) = telephone.poll_news() {
            return srtp;
        }
    }
    panic!("no keys");
}

fn stream_keys(keys: &DtlsKeys, agreed: &Negotiated) -> (Option<SrtpConfig>, Option<SocketAddr>) {
    let ways = ("", media::Keypad::default(), media::Treatment::default());
    let mut config = crate::leg::negotiation::stream_config(agreed, None, ways).unwrap();
    keys.complete(&mut config);
    (config.srtp, config.remote)
}

#[test]
fn the_same_fingerprint_keeps_the_keys_and_another_one_has_to_be_proved() {
    let now = epoch();
    let mut keys = DtlsKeys::default();
    let agreed = agreement(ours(), true);
    assert!(keys.agree(now, &agreed, None, true) && keys.are_awaited());
    assert_eq!(stream_keys(&keys, &agreed).0, Some(SrtpConfig::awaited()));
    // Behind a router: not from where its description says.
    let router: SocketAddr = "203.0.113.9:61000".parse().unwrap();
    let theirs = shake(now, &mut keys, router, false);
    assert!(matches!(
        keys.poll_security(),
        Some(Security::Agreed {
            suite: "AES_CM_128_HMAC_SHA1_80",
            ..
        })
    ));
    let (srtp, remote) = stream_keys(&keys, &agreed);
    assert_eq!(srtp.as_ref().unwrap().local_key, theirs.remote_key);
    assert_eq!(remote, Some(router));

    // A hold and its end.
    let later = now + Duration::from_secs(60);
    assert!(keys.agree(later, &agreed, None, true) && !keys.are_awaited());
    assert_eq!(stream_keys(&keys, &agreed), (srtp, Some(router)));
    assert_eq!(keys.poll_timeout(), None);

    // Somebody else takes the call over: nothing until they have proved who they are.
    let moved = agreement(another(), true);
    assert!(keys.agree(later, &moved, None, true) && keys.are_awaited());
    let (srtp, remote) = stream_keys(&keys, &moved);
    assert_eq!((srtp, remote), (Some(SrtpConfig::awaited()), moved.remote));
    keys.handle_timeout(later + Duration::from_secs(11));
    assert_eq!(
        keys.poll_security(),
        Some(Security::Failed(Failure::Silence))
    );

    // And plain again, where the line lets it.
    let plain = Negotiated {
        dtls: None,
        ..agreement(ours(), true)
    };
    assert!(keys.agree(later, &plain, None, true));
    assert!(!keys.are_awaited() && !keys.withhold_reports());
    assert_eq!(stream_keys(&keys, &plain).0, None);
}

#[test]
fn reports_without_mux_have_a_handshake_of_their_own() {
    let now = epoch();
    let mut keys = DtlsKeys::default();
    let agreed = agreement(ours(), false);
    assert!(keys.agree(now, &agreed, None, true) && keys.withhold_reports());
    assert_eq!(keys.poll_report_keys(), Some(None));
    shake(now, &mut keys, agreed.remote.unwrap(), false);
    assert!(
        !keys.are_awaited() && keys.withhold_reports(),
        "audio has keys, reports have none"
    );
    assert_eq!(keys.poll_report_keys(), None);
    let theirs = shake(now, &mut keys, agreed.remote_rtcp.unwrap(), true);
    assert!(!keys.withhold_reports());
    let reports = keys
        .poll_report_keys()
        .flatten()
        .expect("keys of the reports");
    assert_eq!(reports.local_key, theirs.remote_key);
    assert_ne!(Some(reports), stream_keys(&keys, &agreed).0);
    assert_eq!(
        keys.poll_report_keys(),
        None,
        "told once: a context that is set again would repeat its key stream"
    );
    // A re-INVITE changes nothing.
    assert!(keys.agree(now, &agreed, None, true) && !keys.withhold_reports());
    assert_eq!(keys.poll_report_keys(), None);
}

#[test]
fn a_peer_without_a_handshake_for_its_reports_has_none_and_keeps_its_call() {
    let now = epoch();
    let mut keys = DtlsKeys::default();
    let agreed = agreement(ours(), false);
    keys.agree(now, &agreed, None, true);
    shake(now, &mut keys, agreed.remote.unwrap(), false);
    assert!(matches!(
        keys.poll_security(),
        Some(Security::Agreed { .. })
    ));
    let due = keys.poll_timeout().expect("the reports are waited for");
    keys.handle_timeout(due);
    assert_eq!((keys.poll_security(), keys.poll_timeout()), (None, None));
    assert!(keys.withhold_reports() && !keys.are_awaited());
}
