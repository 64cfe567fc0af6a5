//! Where the peer's media comes from: symmetric RTP (RFC 4961) guarded against strangers.
//!
//! Before the latch a source is believed the sooner the better it fits the signalling. After the latch only the latched address
//! is accepted and sent to. It changes in three cases only: the *signalled* address itself speaks up, a re-INVITE names another
//! one (or lets another port of a known host take over from a silent source), or the latched source fell silent and the *same* stream (same SSRC, sequence continued; with SRTP: authenticated)
//! goes on from another port of its host (SRTP: from any address), as after a NAT rebinding. While the peer is not expected to send (hold), it never changes.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::stream::LatchPolicy;

/// Sources on probation at a time.
pub(crate) const CANDIDATES_MAX: usize = 4;
/// Silence of the latched source after which its stream may go on from elsewhere, ms.
pub(crate) const RELATCH_SILENCE_MS: u64 = 500;
/// Packets of probation: from the signalled or the signalling host, another port.
const PROBATION_KNOWN_HOST: u32 = 2;
/// Packets of probation when nothing better is known (no or a private signalled address).
const PROBATION_NAT: u32 = 4;
/// Packets of probation of a stranger to a public signalled address.
const PROBATION_STRANGER: u32 = 10;
/// Packets of probation of a stream that goes on from a new address.
const PROBATION_REBOUND: u32 = 3;
/// Packets of probation of the signalled address when another source was latched.
const PROBATION_SIGNALLED: u32 = 5;
/// How long after a re-INVITE another port of a known host may take over from a silent source, ms.
const REOPENED_MS: u64 = 5_000;

/// What is known of a packet before it may teach anything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    /// Proved by SRTP.
    pub(crate) authenticated: bool,
}

/// What to do with a packet of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the peer.
    Accept,
    /// It is the peer, from a new address.
    Latched,
    /// Not believed yet.
    Probation,
    /// A stranger.
    Refuse,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    next: u16,
    count: u32,
}

#[derive(Debug, Clone, Copy)]
struct Latched {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    heard_at: Instant,
}

/// The latch of one stream.
#[derive(Debug)]
pub(crate) struct Latch {
    policy: LatchPolicy,
    signalled: Option<SocketAddr>,
    expecting: bool,
    latched: Option<Latched>,
    reopened_at: Option<Instant>,
    candidates: [Option<Candidate>; CANDIDATES_MAX],
}

/// Whether media may be sent to an address (CVE-2020-26262: unspecified, mapped loopback, groups).
pub(crate) fn is_usable(address: SocketAddr) -> bool {
    let mapped_loopback = match address.ip() {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip
            .to_ipv4_mapped()
            .is_some_and(|ip| ip.is_loopback() || ip.is_unspecified()),
    };
    let broadcast = matches!(address.ip().to_canonical(), IpAddr::V4(ip) if ip.is_broadcast());
    let ip = address.ip();
    address.port() != 0
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && !broadcast
        && !mapped_loopback
}

/// Whether a source of packets can be sent to at all; a forged one need not be.
fn can_be_answered(source: SocketAddr) -> bool {
    let ip = source.ip().to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    source.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && same_host(a.ip(), b.ip())
}

fn same_host(a: IpAddr, b: IpAddr) -> bool {
    a.to_canonical() == b.to_canonical()
}

fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.octets()[0] == 100 && ip.octets()[1] & 0xC0 == 64)
        }
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}

impl Latch {
    pub(crate) fn new(policy: LatchPolicy, signalled: Option<SocketAddr>, expecting: bool) -> Self {
        let signalled = signalled.filter(|address| is_usable(*address));
        Self {
            policy,
            signalled,
            expecting,
            latched: None,
            reopened_at: None,
            candidates: [None; CANDIDATES_MAX],
        }
    }

    /// A re-INVITE. Only another usable signalled address undoes the latch.
    pub(crate) fn renegotiate(
        &mut self,
        now: Instant,
        policy: LatchPolicy,
        signalled: Option<SocketAddr>,
        expecting: bool,
    ) {
        let signalled = signalled.filter(|address| is_usable(*address));
        self.policy = policy;
        let moved = match (signalled, self.signalled) {
            (Some(new), Some(old)) => !same(new, old),
            (Some(new), None) => self
                .latched
                .is_none_or(|latched| !same(latched.source, new)),
            (None, _) => false,
        };
        if moved {
            self.latched = None;
            self.candidates = [None; CANDIDATES_MAX];
        }
        if signalled.is_some() {
            self.signalled = signalled;
        }
        if expecting {
            self.reopened_at = Some(now);
        }
        if expecting
            && !self.expecting
            && let Some(latched) = &mut self.latched
        {
            // The silence of a hold is no reason to look elsewhere.
            latched.heard_at = now;
        }
        self.expecting = expecting;
    }

    /// Where to send.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        self.latched
            .map(|latched| latched.source)
            .or(self.signalled)
    }

    pub(crate) fn latched(&self) -> Option<SocketAddr> {
        self.latched.map(|latched| latched.source)
    }

    /// Whether a packet of this host may be RTCP of the peer.
    pub(crate) fn knows_host(&self, host: IpAddr) -> bool {
        self.destination()
            .is_some_and(|peer| same_host(peer.ip(), host))
    }

    /// Cheap check before SRTP spends time on a packet: false for a source that cannot be believed now.
    pub(crate) fn may_accept(&self, now: Instant, source: SocketAddr) -> bool {
        if !can_be_answered(source) {
            return false;
        }
        let Some(latched) = self.latched else {
            return self.policy.symmetric || self.is_signalled(source);
        };
        same(latched.source, source) || self.is_signalled(source) || self.may_rebind(now, &latched)
    }

    /// Judges a well-formed packet (with SRTP: one that passed authentication).
    pub(crate) fn judge(&mut self, now: Instant, source: SocketAddr, claim: Claim) -> Verdict {
        if let Some(latched) = &mut self.latched
            && same(latched.source, source)
        {
            latched.heard_at = now;
            latched.ssrc = claim.ssrc;
            latched.sequence = claim.sequence;
            return Verdict::Accept;
        }
        let Some(needed) = self.probation(now, source, claim) else {
            return Verdict::Refuse;
        };
        if self.count(source, claim) < needed {
            return Verdict::Probation;
        }
        self.candidates = [None; CANDIDATES_MAX];
        self.latched = Some(Latched {
            source,
            ssrc: claim.ssrc,
            sequence: claim.sequence,
            heard_at: now,
        });
        Verdict::Latched
    }

    fn is_signalled(&self, source: SocketAddr) -> bool {
        self.signalled
            .is_some_and(|signalled| same(signalled, source))
    }

    fn may_rebind(&self, now: Instant, latched: &Latched) -> bool {
        let silence = now.saturating_duration_since(latched.heard_at);
        self.policy.symmetric
            && self.expecting
            && silence >= Duration::from_millis(RELATCH_SILENCE_MS)
    }

    /// Whether a packet goes on where the latched stream stopped.
    fn continues(&self, now: Instant, latched: &Latched, source: SocketAddr, claim: Claim) -> bool {
        if claim.authenticated {
            return true;
        }
        // An address translation keeps the outer address of a host (RFC 4787 REQ-2): another one knows too much.
        if !same_host(source.ip(), latched.source.ip()) {
            return false;
        }
        // Ten packets a 100 ms at most, some to spare.
        let silence = now.saturating_duration_since(latched.heard_at).as_millis();
        let most = u16::try_from(silence / 10 + 50).unwrap_or(3_000).min(3_000);
        let step = claim.sequence.wrapping_sub(latched.sequence);
        claim.ssrc == latched.ssrc && (1..=most).contains(&step)
    }

    /// Consecutive packets that a source other than the latched one must send; `None` when it cannot be believed now.
    fn probation(&self, now: Instant, source: SocketAddr, claim: Claim) -> Option<u32> {
        let proved = |packets| if claim.authenticated { 1 } else { packets };
        if self.is_signalled(source) {
            let silent = self
                .latched
                .is_none_or(|latched| self.may_rebind(now, &latched));
            return Some(if silent {
                1
            } else {
                proved(PROBATION_SIGNALLED)
            });
        }
        if !self.policy.symmetric {
            return None;
        }
        if let Some(latched) = self.latched {
            let reopened = self.reopened_at.is_some_and(|at| {
                now.saturating_duration_since(at) < Duration::from_millis(REOPENED_MS)
            });
            let believable = self.continues(now, &latched, source, claim)
                || (reopened && self.is_known_host(source.ip()));
            return (believable && self.may_rebind(now, &latched))
                .then(|| proved(PROBATION_REBOUND));
        }
        if self.is_known_host(source.ip()) {
            return Some(proved(PROBATION_KNOWN_HOST));
        }
        let nothing_better = !self
            .signalled
            .is_some_and(|signalled| is_public(signalled.ip()))
            && self.policy.signalling.is_none();
        Some(proved(if nothing_better {
            PROBATION_NAT
        } else {
            PROBATION_STRANGER
        }))
    }

    fn is_known_host(&self, host: IpAddr) -> bool {
        let signalled = self.signalled.map(|signalled| signalled.ip());
        signalled
            .into_iter()
            .chain(self.policy.signalling)
            .any(|ip| same_host(ip, host))
    }

    /// Counts consecutive packets of a source; the least advanced candidate makes room.
    fn count(&mut self, source: SocketAddr, claim: Claim) -> u32 {
        let next = claim.sequence.wrapping_add(1);
        let fresh = Candidate {
            source,
            ssrc: claim.ssrc,
            next,
            count: 1,
        };
        if let Some(known) = self
            .candidates
            .iter_mut()
            .flatten()
            .find(|candidate| same(candidate.source, source))
        {
            let step = claim.sequence.wrapping_sub(known.next);
            let follows = known.ssrc == claim.ssrc && step < 5;
            *known = Candidate {
                count: if follows { known.count + 1 } else { 1 },
                ..fresh
            };
            return known.count;
        }
        // A flood of strangers must not push out the host that signals.
        let first = usize::from(!self.is_known_host(source.ip()));
        let place = self
            .candidates
            .iter_mut()
            .skip(first)
            .min_by_key(|place| place.map_or(0, |known| known.count));
        if let Some(place) = place {
            *place = Some(fresh);
        }
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn pattern_41_unusable_addresses_are_never_a_destination() {
        for address in [
            "0.0.0.0:4000",
            "[::]:4000",
            "[::ffff:127.0.0.1]:4000",
            "[::ffff:0.0.0.0]:4000",
            "224.0.0.1:4000",
            "255.255.255.255:4000",
            "192.0.2.1:0",
        ] {
            assert!(!is_usable(at(address)), "{address}");
            assert_eq!(
                Latch::new(LatchPolicy::default(), Some(at(address)), true).destination(),
                None
            );
        }
        assert!(
            is_usable(at("127.0.0.1:4000"))
                && is_usable(at("192.0.2.1:4000"))
                && is_usable(at("[2001:db8::1]:4000"))
        );
    }

    #[test]
    fn a_forged_source_that_cannot_be_answered_is_not_believed() {
        #[expect(clippy::disallowed_methods, reason = "a test has a clock")]
        let now = Instant::now();
        let latch = Latch::new(LatchPolicy::default(), None, true);
        for address in ["0.0.0.0:4000", "192.0.2.1:0", "224.0.0.1:4000", "[::]:4000"] {
            assert!(!latch.may_accept(now, at(address)), "{address}");
        }
        assert!(latch.may_accept(now, at("[::ffff:127.0.0.1]:4000")));
    }

    #[test]
    fn a_mapped_source_is_the_same_host() {
        assert!(same(at("[::ffff:192.0.2.1]:4000"), at("192.0.2.1:4000")));
        assert!(
            !is_public(at("10.0.0.1:1").ip())
                && !is_public(at("100.64.0.1:1").ip())
                && is_public(at("203.0.113.1:1").ip())
        );
    }
}
