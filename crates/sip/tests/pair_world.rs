//! Random worlds: three user agents, a bad network, shells that do anything at any time. Whatever happens, every invite
//! ends exactly once, nothing follows its end, and all tables are empty afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::print_stderr,
    reason = "a test may fail loudly, pick events, and needs an origin of its virtual time"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::net::{Dice, Faults, SIDES};
use common::{Net, Side, sdp};
use sip::{EndCause, Event, InviteId, Protocol, Rejection};

/// Seeds of the ordinary run; `ALLO_SEEDS` asks for another number (see `scripts/prove`).
const SEEDS: u64 = 200;

struct World {
    net: Net,
    dice: Dice,
    live: BTreeSet<(Side, InviteId)>,
    read: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut net = Net::with(seed, |side, config| {
            if side == Side::C {
                config.session.expires_s = 120;
            }
        });
        net.faults = Faults {
            loss: dice.below(4) * 80,
            duplication: dice.below(3) * 100,
            delay_ms_max: dice.below(4) * 150,
        };
        Self {
            net,
            dice,
            live: BTreeSet::new(),
            read: 0,
        }
    }

    fn call(&mut self) {
        let from = SIDES[usize::try_from(self.dice.below(3)).unwrap()];
        let to = SIDES[usize::try_from(self.dice.below(3)).unwrap()];
        if from == to {
            return;
        }
        let protocol = [Protocol::Udp, Protocol::Udp, Protocol::Tcp]
            [usize::try_from(self.dice.below(3)).unwrap()];
        let offer = (!self.dice.chance(250)).then(|| sdp("offer"));
        let invite = self.net.call(from, to, protocol, offer);
        self.live.insert((from, invite));
    }

    /// The shells answer what they were told, or do not.
    fn react(&mut self) {
        while self.read < self.net.events.len() {
            let (side, event) = &self.net.events[self.read];
            let side = *side;
            self.read += 1;
            match event {
                Event::IncomingInvite(incoming) => {
                    let invite = incoming.invite;
                    self.live.insert((side, invite));
                    self.decide(side, invite);
                }
                Event::Offer { invite, .. } | Event::OfferRequested { invite } => {
                    let invite = *invite;
                    if self.dice.chance(800) {
                        let _ = self.net.act(side, |agent, now| {
                            agent.answer_offer(now, invite, sdp("answer"))
                        });
                    } else if self.dice.chance(500) {
                        let _ = self
                            .net
                            .act(side, |agent, now| agent.reject_offer(now, invite, 488));
                    }
                }
                Event::Accepted { invite, .. } => {
                    let invite = *invite;
                    if self.dice.chance(900) {
                        let _ = self.net.act(side, |agent, now| {
                            agent.answer_offer(now, invite, sdp("answer"))
                        });
                    }
                }
                Event::Ended { invite, .. } => {
                    self.live.remove(&(side, *invite));
                }
                _ => {}
            }
        }
    }

    fn decide(&mut self, side: Side, invite: InviteId) {
        match self.dice.below(10) {
            0 => {
                let rejection = Rejection {
                    status: 486,
                    reason: None,
                    retry_after_s: None,
                };
                let _ = self
                    .net
                    .act(side, |agent, now| agent.reject(now, invite, rejection));
            }
            1 => self
                .net
                .act(side, |agent, now| agent.drop_invite(now, invite)),
            2 => {}
            3..6 => {
                let early = self.dice.chance(500).then(|| sdp("early"));
                let status = if early.is_some() { 183 } else { 180 };
                let _ = self
                    .net
                    .act(side, |agent, now| agent.ring(now, invite, status, early));
            }
            _ => {
                let _ = self
                    .net
                    .act(side, |agent, now| agent.answer(now, invite, sdp("answer")));
            }
        }
    }

    /// One shell does something to one of its invites.
    fn meddle(&mut self) {
        if self.dice.chance(20) {
            return self.net.break_streams();
        }
        let count = u64::try_from(self.live.len()).unwrap();
        let nth = usize::try_from(self.dice.below(count)).unwrap();
        let Some((side, invite)) = self.live.iter().nth(nth).copied() else {
            return;
        };
        match self.dice.below(8) {
            0 | 1 => {
                let _ = self
                    .net
                    .act(side, |agent, now| agent.hang_up(now, invite, None));
            }
            2 | 3 => {
                let _ = self
                    .net
                    .act(side, |agent, now| agent.answer(now, invite, sdp("answer")));
            }
            4 | 5 => {
                let _ = self.net.act(side, |agent, now| {
                    agent.reinvite(now, invite, sdp("change"))
                });
            }
            6 => {
                let _ = self.net.act(side, |agent, now| {
                    agent.send_info(now, invite, "text/plain", b"hello".to_vec())
                });
            }
            _ => {
                let _ = self
                    .net
                    .act(side, |agent, now| agent.ring(now, invite, 180, None));
            }
        }
    }

    /// The kinds of ends that were seen.
    fn run(mut self) -> Vec<String> {
        for _ in 0..120 {
            if self.dice.chance(300) {
                self.call();
            }
            self.meddle();
            let pause = Duration::from_millis(self.dice.below(900));
            self.net.run_for(pause);
            self.react();
        }
        // An hour of sessions that nobody touches, refreshed or expired.
        for _ in 0..36 {
            self.net.run_for(Duration::from_secs(100));
            self.react();
        }
        for (side, invite) in self.live.clone() {
            let _ = self
                .net
                .act(side, |agent, now| agent.hang_up(now, invite, None));
        }
        self.net.assert_empty();
        self.net
            .events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Ended { cause, .. } => Some(kind(cause)),
                _ => None,
            })
            .collect()
    }
}

/// The variant of a cause without its details.
fn kind(cause: &EndCause) -> String {
    let text = format!("{cause:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

#[test]
fn random_worlds_end_every_invite_once_and_leave_nothing() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let wished = std::env::var("ALLO_SEEDS").ok();
    for seed in 0..wished.map_or(SEEDS, |text| text.parse().unwrap()) {
        match std::panic::catch_unwind(|| World::new(seed).run()) {
            Ok(seen) => seen
                .into_iter()
                .for_each(|kind| *kinds.entry(kind).or_default() += 1),
            Err(panic) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    // The worlds are worth something only if every kind of end comes up.
    for expected in [
        "RemoteBye",
        "RemoteCancel",
        "LocalHangUp",
        "Rejected",
        "Refused",
        "AckMissing",
        "MissingAnswer",
        "Timeout",
        "DialogLost",
    ] {
        assert!(
            kinds.contains_key(expected),
            "no world had {expected}: {kinds:?}"
        );
    }
}
