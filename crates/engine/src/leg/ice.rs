//! ICE (RFC 8445) for the two sockets of a leg.
//!
//! The checks are those of the crate `is`, which has neither socket nor clock and knows one component: a leg without rtcp-mux has an agent for
//! each of its ports. Here are their candidates, what a datagram is of theirs, and which way the audio goes once a pair is chosen.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use catalog::Message;
use is::stun::{StunMessage, StunPacket};
use is::{
    Candidate, CandidateKind, IceAgent, IceAgentEvent, IceConnectionState, IceCreds, Protocol,
};
use sip::sdp::offer_answer::{IceTerms, LocalIce, Negotiated};
use sip::sdp::{IceCandidate, IceKind, IcePassword};
use sip::stun::is_stun;

use crate::random;

/// Pairs of candidates that are checked for a port; beyond it those of the lowest priority are left out.
const PAIRS_MAX: usize = 64;
/// Shortest time between two checks of a port (RFC 8445 section 14.2; the recommended 50 ms is for a whole session of several).
const PACE: Duration = Duration::from_millis(20);
/// Preference among candidates of a kind: there is one of each (RFC 8445 section 5.1.2.1).
const LOCAL_PREFERENCE: u16 = 65_535;
/// The components of RTP and RTCP (RFC 8839 section 5.1).
const RTP: u8 = 1;
const RTCP: u8 = 2;
/// News that wait to be told.
const NEWS_MAX: usize = 8;

/// What the sockets of a leg are reached by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    /// Their own address, and how others see it, and its relay's.
    pub(crate) host: SocketAddr,
    pub(crate) seen: Option<SocketAddr>,
    pub(crate) relayed: Option<SocketAddr>,
}

/// Our side of a description: the candidates of both ports, with credentials of their own.
pub(crate) fn local_ice(rtp: Addresses, rtcp: Option<Addresses>) -> LocalIce {
    let mut candidates = Vec::new();
    for (component, addresses) in [(RTP, Some(rtp)), (RTCP, rtcp)] {
        let Some(Addresses {
            host,
            seen,
            relayed,
        }) = addresses
        else {
            continue;
        };
        let mut add = |kind: IceKind, address: Option<SocketAddr>, related| {
            candidates.extend(address.map(|address| IceCandidate {
                foundation: kind.as_str().to_owned(),
                component: component.into(),
                priority: kind.priority(LOCAL_PREFERENCE, component),
                address,
                kind,
                related,
            }));
        };
        add(IceKind::Host, Some(host), None);
        // Who is seen as he is has nothing to add.
        add(
            IceKind::ServerReflexive,
            seen.filter(|seen| *seen != host),
            Some(host),
        );
        add(IceKind::Relayed, relayed, Some(host));
    }
    let (ufrag, password) = credentials();
    LocalIce {
        ufrag,
        password,
        candidates,
    }
}

/// Fresh ones, for a description and for each restart: whoever guesses them can send our audio elsewhere.
pub(crate) fn credentials() -> (String, IcePassword) {
    let (mut ufrag, mut password) = ([0; 6], [0; 18]);
    random::fill(&mut ufrag);
    random::fill(&mut password);
    let ufrag = base64_simd::STANDARD_NO_PAD.encode_to_string(ufrag);
    (ufrag, IcePassword::from_random(password))
}

/// A pair that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Path {
    local: SocketAddr,
    remote: SocketAddr,
}

/// The checks of one port.
struct Checks {
    agent: IceAgent,
    component: u8,
    host: SocketAddr,
    relayed: Option<SocketAddr>,
    path: Option<Path>,
    due: Option<Instant>,
}

/// A datagram of the checks.
pub(crate) struct Check {
    pub(crate) rtcp: bool,
    pub(crate) by_relay: bool,
    pub(crate) destination: SocketAddr,
    pub(crate) data: Vec<u8>,
}

impl Checks {
    /// `None` where the port has no address of its own among the candidates.
    fn new(local: &LocalIce, component: u8, controlling: bool) -> Option<Self> {
        let of = |kind| {
            let mut candidates = local.candidates.iter();
            let found =
                candidates.find(|one| one.kind == kind && one.component == u16::from(component));
            found.map(|found| found.address)
        };
        let host = of(IceKind::Host)?;
        let relayed = of(IceKind::Relayed);
        let mut agent = IceAgent::new(IceCreds {
            ufrag: local.ufrag.clone(),
            pass: local.password.as_str().to_owned(),
        });
        agent.set_controlling(controlling);
        agent.set_max_candidate_pairs(PAIRS_MAX);
        agent.set_timing_advance(PACE);
        agent.set_local_preference(|_: &Candidate, _: usize| u32::from(LOCAL_PREFERENCE));
        let candidates = [
            Candidate::host(host, Protocol::Udp).ok(),
            of(IceKind::ServerReflexive)
                .and_then(|seen| Candidate::server_reflexive(seen, host, Protocol::Udp).ok()),
            relayed.and_then(|relayed| Candidate::relayed(relayed, host, Protocol::Udp).ok()),
        ];
        for candidate in candidates.into_iter().flatten() {
            agent.add_local_candidate(candidate);
        }
        Some(Self {
            agent,
            component,
            host,
            relayed,
            path: None,
            due: None,
        })
    }

    /// Takes what the peer said of itself.
    fn agree(&mut self, terms: &IceTerms) {
        self.agent.set_remote_credentials(IceCreds {
            ufrag: terms.ufrag.clone(),
            pass: terms.password.as_str().to_owned(),
        });
        if terms.lite {
            self.agent.set_controlling(true);
        }
        let candidates = terms.candidates.iter();
        for one in candidates.filter(|one| one.component == u16::from(self.component)) {
            let kind = match one.kind {
                IceKind::Host => CandidateKind::Host,
                IceKind::ServerReflexive => CandidateKind::ServerReflexive,
                IceKind::PeerReflexive => CandidateKind::PeerReflexive,
                IceKind::Relayed => CandidateKind::Relayed,
            };
            // To its agent every port is the first component.
            self.agent.add_remote_candidate(Candidate::from_parts(
                one.foundation.clone(),
                RTP.into(),
                Protocol::Udp,
                one.priority,
                one.address,
                kind,
                one.related,
                None,
                None,
            ));
        }
    }

    /// True: the way of this port is another one now.
    fn look(&mut self) -> bool {
        let before = self.path;
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend {
                source,
                destination,
                ..
            } = event
            {
                self.path = Some(Path {
                    local: source,
                    remote: destination,
                });
            }
        }
        self.due = self.agent.poll_timeout();
        before != self.path
    }

    fn handle_timeout(&mut self, now: Instant) -> bool {
        self.agent.handle_timeout(now);
        self.look()
    }

    fn is_relayed(&self) -> Option<bool> {
        let path = self.path?;
        Some(Some(path.local) == self.relayed)
    }
}

/// See the module. It lives as long as both sides do ICE, or ours has offered it.
pub(crate) struct Ice {
    rtp: Checks,
    /// Without one, or where RTCP comes with RTP, there are none for it.
    rtcp: Option<Checks>,
    /// The peer's user fragment, where both sides do ICE.
    agreed: Option<String>,
    /// The peer has our description: we make checks of our own, and not only answer its.
    begun: bool,
    moved: bool,
    /// The way that was told, and that there is none.
    told: Option<Path>,
    told_none: bool,
    news: VecDeque<Message>,
}

impl Ice {
    /// `None` where there is no candidate to begin with.
    pub(crate) fn new(local: &LocalIce, controlling: bool) -> Option<Self> {
        Some(Self {
            rtp: Checks::new(local, RTP, controlling)?,
            rtcp: Checks::new(local, RTCP, controlling),
            agreed: None,
            begun: false,
            moved: false,
            told: None,
            told_none: false,
            news: VecDeque::new(),
        })
    }

    fn each(&mut self) -> impl Iterator<Item = &mut Checks> {
        std::iter::once(&mut self.rtp).chain(self.rtcp.as_mut())
    }

    /// Whether a description of theirs begins ICE anew (RFC 8839 section 4.4.1.1.1).
    pub(crate) fn is_restarted_by(&self, ufrag: &str) -> bool {
        self.agreed.as_deref().is_some_and(|known| known != ufrag)
    }

    /// What was agreed about ICE in a description.
    pub(crate) fn agree(&mut self, terms: &IceTerms, rtcp_mux: bool) {
        if rtcp_mux {
            self.rtcp = None;
        }
        if self.agreed.as_ref() != Some(&terms.ufrag) {
            self.each().for_each(|checks| checks.agree(terms));
            self.agreed = Some(terms.ufrag.clone());
        }
    }

    /// Checks begin.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.agreed.is_some() && !self.begun {
            self.begun = true;
            for checks in std::iter::once(&mut self.rtp).chain(self.rtcp.as_mut()) {
                self.moved |= checks.handle_timeout(now);
            }
        }
    }

    /// A datagram; true for one of the checks.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        (source, rtcp, by_relay): (SocketAddr, bool, bool),
        data: &[u8],
    ) -> bool {
        if !is_stun(data) {
            return false;
        }
        let checks = if rtcp {
            self.rtcp.as_mut()
        } else {
            Some(&mut self.rtp)
        };
        let Some(checks) = checks else { return true };
        let destination = if by_relay {
            checks.relayed.unwrap_or(checks.host)
        } else {
            checks.host
        };
        if let Ok(message) = StunMessage::parse(data) {
            let packet = StunPacket {
                proto: Protocol::Udp,
                source,
                destination,
                message,
            };
            checks.agent.handle_packet(now, packet);
            self.moved |= checks.look();
            self.tell();
        }
        true
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for checks in std::iter::once(&mut self.rtp).chain(self.rtcp.as_mut()) {
            if self.begun && checks.due.is_some_and(|due| due <= now) {
                self.moved |= checks.handle_timeout(now);
            }
        }
        self.tell();
    }

    /// When [`Ice::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let rtcp = self.rtcp.as_ref().and_then(|checks| checks.due);
        let due = [self.rtp.due, rtcp].into_iter().flatten().min();
        due.filter(|_| self.begun)
    }

    /// What is to be sent for the checks.
    pub(crate) fn poll_transmit(&mut self) -> Option<Check> {
        for checks in self.each() {
            if let Some(transmit) = checks.agent.poll_transmit() {
                let by_relay = Some(transmit.source) == checks.relayed;
                return Some(Check {
                    rtcp: checks.component == RTCP,
                    by_relay,
                    destination: transmit.destination,
                    data: Vec::from(transmit.contents),
                });
            }
        }
        None
    }

    /// Whether what goes to the peer goes by the relay; `None` where no pair is chosen.
    pub(crate) fn is_relayed(&self, rtcp: bool) -> Option<bool> {
        if rtcp {
            self.rtcp.as_ref()?.is_relayed()
        } else {
            self.rtp.is_relayed()
        }
    }

    /// True once after the way has changed.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// The addresses of an agreement become those of the pairs that were chosen.
    pub(crate) fn settle(&self, agreed: &mut Negotiated) {
        // Who holds with no address is sent nothing; who had none to tell is where the checks found it.
        let is_somewhere = agreed.remote.is_some() || agreed.is_found_by_checks;
        if let Some(path) = self.rtp.path.filter(|_| is_somewhere) {
            agreed.remote = Some(path.remote);
            if agreed.rtcp_mux {
                agreed.remote_rtcp = Some(path.remote);
            }
        }
        let rtcp = self.rtcp.as_ref().and_then(|checks| checks.path);
        if let (Some(path), Some(remote), false) = (rtcp, &mut agreed.remote_rtcp, agreed.rtcp_mux)
        {
            *remote = path.remote;
        }
    }

    /// What the journal is told: the first way of the audio, each other one, and that there is none.
    fn tell(&mut self) {
        if let Some(path) = self.rtp.path.filter(|path| self.told != Some(*path)) {
            self.told = Some(path);
            let message = if Some(path.local) == self.rtp.relayed {
                Message::new("media_path_relayed").with("relay", path.local.to_string())
            } else {
                Message::new("media_path_direct")
            };
            let message = message.with("address", path.remote.to_string());
            if self.news.len() < NEWS_MAX {
                self.news.push_back(message);
            }
        }
        let is_lost = self.rtp.agent.state() == IceConnectionState::Disconnected;
        if is_lost && self.rtp.path.is_none() && !self.told_none {
            self.told_none = true;
            self.news.push_back(Message::new("media_path_none"));
        }
    }

    /// What there is to tell about the way of the audio.
    pub(crate) fn poll_news(&mut self) -> Option<Message> {
        self.news.pop_front()
    }
}

#[cfg(test)]
mod tests;
