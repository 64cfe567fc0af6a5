//! The user agent is told by which address of the machine a peer reaches us, where the sockets are bound to all of them.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sip::{Input, QueryId, Target};

use super::{SipDriver, begins_call};
use crate::leg::media::route_to;
use crate::resolver::{Question, numeric};

impl SipDriver {
    /// Before a message is handled whose answer names an address of ours.
    pub(super) fn tell_way_back(&mut self, now: Instant, source: IpAddr, data: &[u8]) {
        let wants = self.user_agent.wants_route(now, source);
        if wants && (begins_call(data) || data.starts_with(b"REGISTER ")) {
            self.tell_way(now, source);
        }
    }

    pub(super) fn tell_ways(&mut self, now: Instant, targets: &[Target]) {
        for target in targets {
            let peer = target.address.ip();
            if self.user_agent.wants_route(now, peer) {
                self.tell_way(now, peer);
            }
        }
    }

    fn tell_way(&mut self, now: Instant, peer: IpAddr) {
        if let Some(local) = route_to(SocketAddr::new(peer, 9)) {
            self.user_agent.handle(now, Input::Route { peer, local });
        }
    }

    /// A question about an address is one about the way there: answered at once, and nobody becomes known by it.
    pub(super) fn answer_at_once(&mut self, query: QueryId, question: &Question) -> bool {
        let Some(targets) = numeric(question) else {
            return false;
        };
        let now = Instant::now();
        self.tell_ways(now, &targets);
        self.user_agent
            .handle(now, Input::Resolved { query, targets });
        true
    }
}
