//! Which of our addresses a peer reaches, for sockets that are bound to all of them. Only the machine knows it, so the shell tells.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Peers remembered at most; the one that was asked about longest ago makes room.
const ROUTES_MAX: usize = 4096;
/// How long an answer is believed: interfaces come and go (a VPN, another lease).
const FRESH: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Routes {
    by_peer: BTreeMap<IpAddr, Route>,
}

#[derive(Debug)]
struct Route {
    local: IpAddr,
    learnt: Instant,
}

impl Routes {
    /// Our address on the way to a peer, however long ago it was told.
    pub(super) fn local(&self, peer: IpAddr) -> Option<IpAddr> {
        self.by_peer.get(&peer).map(|route| route.local)
    }

    pub(super) fn is_fresh(&self, now: Instant, peer: IpAddr) -> bool {
        let route = self.by_peer.get(&peer);
        route.is_some_and(|route| now.saturating_duration_since(route.learnt) < FRESH)
    }

    pub(super) fn learn(&mut self, now: Instant, peer: IpAddr, local: IpAddr) {
        if self.by_peer.len() >= ROUTES_MAX && !self.by_peer.contains_key(&peer) {
            let oldest = self.by_peer.iter().min_by_key(|(_, route)| route.learnt);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.by_peer.remove(&oldest);
            }
        }
        let learnt = now;
        self.by_peer.insert(peer, Route { local, learnt });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an origin for a test")]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn an_answer_is_kept_but_asked_again_after_a_minute() {
        let (peer, local): (IpAddr, IpAddr) = ([10, 8, 0, 2].into(), [10, 8, 0, 1].into());
        let (start, mut routes) = (origin(), Routes::default());
        assert!(!routes.is_fresh(start, peer));
        routes.learn(start, peer, local);
        assert!(routes.is_fresh(start + Duration::from_secs(59), peer));
        assert!(!routes.is_fresh(start + Duration::from_secs(60), peer));
        assert_eq!(routes.local(peer), Some(local));
    }

    #[test]
    fn a_flood_of_peers_pushes_out_the_oldest() {
        let (start, mut routes) = (origin(), Routes::default());
        let peer = |number: u32| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number));
        let peers = u32::try_from(ROUTES_MAX).unwrap() + 10;
        for number in 0..peers {
            let at = start + Duration::from_millis(number.into());
            routes.learn(at, peer(number), [192, 0, 2, 1].into());
        }
        assert_eq!(routes.by_peer.len(), ROUTES_MAX);
        assert_eq!(routes.local(peer(9)), None);
        assert!(routes.local(peer(10)).is_some());
    }
}
