//! DTLS-SRTP of one leg (RFC 5763, RFC 5764): the handshake on the RTP socket, and the keys that come of it. Bytes and times in, bytes and
//! news out; the socket and the clock are the leg's.
//!
//! The handshake is `rtc-dtls`'s. Who the peer is says the fingerprint of its description: a certificate that does not match it gives no
//! keys, whoever sends it. Each source has a handshake of its own, so that a stranger's datagrams spoil nobody's; the first that
//! proves the fingerprint has the keys, and one that proves it later from elsewhere has new ones.

mod identity;
mod repeats;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use media::{SrtpConfig, SrtpSuite};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;
use sip::sdp::Fingerprint;
use sip::sdp::offer_answer::DtlsTerms;

use self::identity::identity;
pub(crate) use self::identity::{fingerprint, make_ready};
use self::repeats::Seen;

/// A handshake that takes longer has failed: seven repetitions a second apart, and a little.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// What is left of that once the peer itself has failed; a repetition may still mend it.
const FAILED_WITHIN: Duration = Duration::from_secs(1);
/// Sources with a handshake of their own.
const SOURCES_MAX: usize = 4;
/// Datagrams that are kept until the description of who sends them comes.
const HELD_MAX: usize = 8;
/// Datagrams that are looked at in the life of an association: a handshake with losses takes a few dozen.
const DATAGRAMS_MAX: u32 = 512;
/// Largest datagram that we send, bytes.
const DATAGRAM_BYTES_MAX: usize = 1_200;
/// Label of the keys (RFC 5764 section 4.2).
const LABEL: &str = "EXTRACTOR-dtls_srtp";
/// Bytes of a master key and of a master salt (RFC 5764 section 4.1.2).
const KEY_BYTES: usize = 16;
const SALT_BYTES: usize = 14;

/// The protection profiles that we take (RFC 5764 section 4.1.2), the one preferred by most peers first.
const PROFILES: [(SrtpProtectionProfile, SrtpSuite); 2] = [
    (
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        SrtpSuite::AesCm128HmacSha1_80,
    ),
    (
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32,
        SrtpSuite::AesCm128HmacSha1_32,
    ),
];

/// Whether a datagram on an RTP socket is DTLS (RFC 7983 section 7).
pub(crate) fn is_dtls(data: &[u8]) -> bool {
    data.first().is_some_and(|first| (20..=63).contains(first))
}

/// An alert in clear (RFC 6347 section 4.3.1: kind 21, epoch 0).
fn is_bare_alert(data: &[u8]) -> bool {
    data.first() == Some(&21) && data.get(3..5) == Some(&[0, 0])
}

/// Whether an alert in clear says that the handshake is over (RFC 5246 section 7.2).
fn is_fatal(alert: &[u8]) -> bool {
    alert.get(13) == Some(&2)
}

/// Why there are no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A certificate that is not the one of the description.
    Fingerprint,
    /// The handshake went through without SRTP.
    NoSrtp,
    /// The peer gave the handshake up, or cannot do what we can.
    Refused,
    /// The handshake did not come to its end in time.
    Silence,
}

impl Failure {
    /// Its sentence in the catalogue.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Fingerprint => "dtls_wrong_fingerprint",
            Self::NoSrtp => "dtls_without_srtp",
            Self::Refused => "dtls_refused",
            Self::Silence => "dtls_silence",
        }
    }
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// There are keys.
    Agreed {
        /// They.
        srtp: SrtpConfig,
        /// Who proved the fingerprint.
        peer: SocketAddr,
        /// How long it took, ms.
        after_ms: u32,
    },
    /// There will be none. Told once.
    Failed(Failure),
}

/// One association and its handshakes.
pub(crate) struct Association {
    endpoint: Endpoint,
    terms: DtlsTerms,
    config: Arc<HandshakeConfig>,
    /// A certificate was refused.
    stranger: Arc<AtomicBool>,
    /// Where the peer receives, by its description.
    remote: Option<SocketAddr>,
    /// Where its signalling comes from.
    signalling: Option<IpAddr>,
    sources: Vec<(SocketAddr, Seen)>,
    begun: Option<Instant>,
    deadline: Option<Instant>,
    failure: Option<Failure>,
    agreed: bool,
    /// Its failure is told, or it is closed: nothing more comes of it.
    over: bool,
    held: Vec<(SocketAddr, BytesMut)>,
    datagrams: u32,
    news: VecDeque<News>,
}

impl Association {
    /// An association that waits for [`Association::begin`]. `None` where this process can make no certificate.
    pub(crate) fn new(
        terms: DtlsTerms,
        remote: Option<SocketAddr>,
        signalling: Option<IpAddr>,
    ) -> Option<Self> {
        let stranger = Arc::new(AtomicBool::new(false));
        let config = config(&terms, &stranger)?;
        let server = (!terms.active).then(|| Arc::clone(&config));
        let unnamed = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Some(Self {
            endpoint: Endpoint::new(unnamed, TransportProtocol::UDP, server),
            terms,
            config,
            stranger,
            remote,
            signalling,
            sources: Vec::new(),
            begun: None,
            deadline: None,
            failure: None,
            agreed: false,
            over: false,
            held: Vec::new(),
            datagrams: 0,
            news: VecDeque::new(),
        })
    }

    /// What it was made for.
    pub(crate) fn terms(&self) -> &DtlsTerms {
        &self.terms
    }

    /// Both sides know each other's descriptions: the handshake begins, or is waited for. Once.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.begun.is_some() {
            return;
        }
        self.begun = Some(now);
        // A peer that is nowhere (a hold) is waited for as long as it likes.
        self.deadline = self.remote.map(|_| now + HANDSHAKE_WITHIN);
        if let (true, Some(remote)) = (self.terms.active, self.remote) {
            self.sources.push((remote, Seen::default()));
            let begun = self
                .endpoint
                .connect(now, remote, Arc::clone(&self.config), None);
            if begun.is_err() {
                self.fail(now, Failure::Refused);
            }
        }
        for (source, data) in std::mem::take(&mut self.held) {
            self.handle(now, source, data);
        }
    }

    /// Keeps datagrams that came before their description.
    pub(crate) fn hold(&mut self, held: Vec<(SocketAddr, BytesMut)>) {
        self.held = held;
    }

    /// The peer receives elsewhere by its new description.
    pub(crate) fn set_remote(&mut self, now: Instant, remote: Option<SocketAddr>) {
        if self.begun.is_some() && !self.agreed && self.remote.is_none() && remote.is_some() {
            self.deadline = Some(now + HANDSHAKE_WITHIN);
        }
        self.remote = remote;
    }

    /// A datagram of the kind of [`is_dtls`].
    pub(crate) fn handle(&mut self, now: Instant, source: SocketAddr, data: BytesMut) {
        if self.begun.is_none() {
            hold(&mut self.held, source, data);
            return;
        }
        if self.over || self.datagrams >= DATAGRAMS_MAX {
            return;
        }
        let place = self.sources.iter().position(|(known, _)| *known == source);
        let place = place.unwrap_or(self.sources.len());
        if place == self.sources.len() {
            if self.terms.active || self.sources.len() >= SOURCES_MAX {
                return;
            }
            self.sources.push((source, Seen::default()));
        }
        self.datagrams += 1;
        if !self.agreed
            && let Some((_, seen)) = self.sources.get_mut(place)
            && seen.is_repeated(&data, !self.terms.active)
        {
            return;
        }
        if !self.agreed && is_bare_alert(&data) {
            // Anybody can write it: it is believed of the peer alone, answered never, and takes nothing back at once.
            if is_fatal(&data) && self.is_described(source) {
                self.fail(now, Failure::Refused);
            }
            return;
        }
        match self.endpoint.read(now, source, None, data) {
            Ok(events) => {
                let complete =
                    |event: &EndpointEvent| matches!(event, EndpointEvent::HandshakeComplete);
                if events.iter().any(complete) {
                    self.complete(now, source);
                }
            }
            Err(error) => self.failed(now, source, &error),
        }
    }

    /// A handshake went through: the certificate decides.
    fn complete(&mut self, now: Instant, source: SocketAddr) {
        let Some(state) = self.endpoint.get_connection_state(source) else {
            return;
        };
        let proved = state
            .peer_certificates
            .first()
            .is_some_and(|certificate| identity::matches(&self.terms.fingerprints, certificate));
        if !proved {
            self.refuse(now, source, Failure::Fingerprint);
            return;
        }
        let profile = state.srtp_protection_profile();
        let suite = PROFILES.iter().find(|(known, _)| *known == profile);
        let suite = suite.map(|(_, suite)| *suite);
        let length = 2 * (KEY_BYTES + SALT_BYTES);
        let material = state.export_keying_material(LABEL, &[], length);
        let (Some(suite), Ok(material)) = (suite, material) else {
            self.refuse(now, source, Failure::NoSrtp);
            return;
        };
        let srtp = keys(suite, material.as_ref(), self.terms.active);
        self.agreed = true;
        self.deadline = None;
        let begun = self.begun.unwrap_or(now);
        let after = now.saturating_duration_since(begun).as_millis();
        self.news.push_back(News::Agreed {
            srtp,
            peer: source,
            after_ms: u32::try_from(after).unwrap_or(u32::MAX),
        });
    }

    /// One source's handshake cannot be what the description promised.
    fn refuse(&mut self, now: Instant, source: SocketAddr, failure: Failure) {
        self.endpoint.stop(now, source);
        if self.is_described(source) {
            self.fail(now, failure);
        }
    }

    /// What the handshake's own checks found. Noise is passed over: it ends by the deadline at the latest.
    fn failed(&mut self, now: Instant, source: SocketAddr, error: &Error) {
        let stranger = self.stranger.swap(false, Ordering::Relaxed);
        if self.agreed || !self.is_described(source) {
            return;
        }
        if stranger {
            self.fail(now, Failure::Fingerprint);
        } else if matches!(
            error,
            Error::ErrServerNoMatchingSrtpProfile
                | Error::ErrClientNoMatchingSrtpProfile
                | Error::ErrCipherSuiteNoIntersection
                | Error::ErrUnsupportedProtocolVersion
        ) {
            self.fail(now, Failure::Refused);
        }
    }

    /// Whether the source is a host that signalling named. What a stranger does wrong is not the peer's fault.
    fn is_described(&self, source: SocketAddr) -> bool {
        let host = source.ip().to_canonical();
        let named = [self.remote.map(|remote| remote.ip()), self.signalling];
        named
            .into_iter()
            .flatten()
            .any(|ip| ip.to_canonical() == host)
    }

    fn fail(&mut self, now: Instant, failure: Failure) {
        if self.agreed {
            return;
        }
        self.failure.get_or_insert(failure);
        let soon = now + FAILED_WITHIN;
        self.deadline = Some(self.deadline.map_or(soon, |at| at.min(soon)));
    }

    /// When [`Association::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let repeat = self.sources.iter();
        let repeat = repeat.filter_map(|(source, _)| self.endpoint.poll_timeout(source));
        repeat.chain(self.deadline).min()
    }

    /// Repeats what was not answered; gives up what takes too long.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for (source, _) in &self.sources {
            // A source whose handshake was given up has none to repeat.
            let _ = self.endpoint.handle_timeout(*source, now);
        }
        if self.deadline.is_some_and(|at| at <= now) {
            self.deadline = None;
            self.over = true;
            self.sources.clear();
            let failure = self.failure.unwrap_or(Failure::Silence);
            self.news.push_back(News::Failed(failure));
        }
    }

    /// The next datagram to send, and where to.
    pub(crate) fn poll_transmit(&mut self) -> Option<(SocketAddr, BytesMut)> {
        let transmit = self.endpoint.poll_transmit()?;
        Some((transmit.transport.peer_addr, transmit.message))
    }

    /// What happened next.
    pub(crate) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Says goodbye (`close_notify`).
    pub(crate) fn close(&mut self, now: Instant) {
        self.deadline = None;
        self.over = true;
        // Nobody is told whom nothing was agreed with.
        let _ = self.endpoint.close(now);
        self.sources.clear();
    }
}

/// Keeps a datagram until the association begins; the oldest stay, as a handshake needs them in order.
pub(crate) fn hold(held: &mut Vec<(SocketAddr, BytesMut)>, source: SocketAddr, data: BytesMut) {
    if held.len() < HELD_MAX {
        held.push((source, data));
    }
}

/// The keys of both directions (RFC 5764 section 4.2): the client's key, the server's, then the salts in the same order.
fn keys(suite: SrtpSuite, material: &[u8], client: bool) -> SrtpConfig {
    let part = |from: usize, len: usize| material.get(from..from + len).unwrap_or_default();
    let joined = |place: usize| {
        let key = part(place * KEY_BYTES, KEY_BYTES);
        let salt = part(2 * KEY_BYTES + place * SALT_BYTES, SALT_BYTES);
        [key, salt].concat()
    };
    let (ours, theirs) = if client { (0, 1) } else { (1, 0) };
    SrtpConfig {
        suite,
        local_key: joined(ours),
        remote_key: joined(theirs),
    }
}

fn config(terms: &DtlsTerms, stranger: &Arc<AtomicBool>) -> Option<Arc<HandshakeConfig>> {
    let identity = identity()?;
    let fingerprints: Vec<Fingerprint> = terms.fingerprints.clone();
    let stranger = Arc::clone(stranger);
    let verify = move |certificates: &[Vec<u8>],
                       _: &[rustls::pki_types::CertificateDer<'static>]| {
        let first = certificates.first();
        if first.is_some_and(|first| identity::matches(&fingerprints, first)) {
            return Ok(());
        }
        stranger.store(true, Ordering::Relaxed);
        Err(Error::ErrInvalidCertificate)
    };
    let built = ConfigBuilder::default()
        .with_crypto_provider(Arc::clone(&identity.provider))
        .with_certificates(vec![identity.certificate.clone()])
        .with_srtp_protection_profiles(PROFILES.map(|(profile, _)| profile).to_vec())
        .with_client_auth(ClientAuthType::RequireAnyClientCert)
        // Certificates of telephones are nobody's but their own: the fingerprint proves them.
        .with_insecure_skip_verify(true)
        .with_verify_peer_certificate(Some(Arc::new(verify)))
        .with_mtu(DATAGRAM_BYTES_MAX)
        .with_server_name("allo.invalid".to_owned())
        .build(terms.active, None);
    built.ok().map(Arc::new)
}

#[cfg(test)]
mod tests;
