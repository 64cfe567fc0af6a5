//! Letting the world run, waiting for what must come, and looking at what is left.

use std::time::Duration;

use sip::{EndCause, Event, InviteId, Protocol};

use super::{Net, SIDES, Side};

impl Net {
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until the side reports something that `pick` takes; panics after a virtual minute (or the given bound).
    pub(crate) fn until<T>(
        &mut self,
        side: Side,
        what: &str,
        pick: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        self.until_within(side, what, Duration::from_secs(60), pick)
    }

    pub(crate) fn until_within<T>(
        &mut self,
        side: Side,
        what: &str,
        bound: Duration,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        let end = self.now + bound;
        loop {
            while self.read[side.index()] < self.events.len() {
                let at = self.read[side.index()];
                self.read[side.index()] += 1;
                let (who, event) = &self.events[at];
                if *who == side
                    && let Some(found) = pick(event)
                {
                    return found;
                }
            }
            assert!(
                self.step(end),
                "{side:?} never saw: {what}\n{}",
                self.story()
            );
        }
    }

    /// Forgets what was sent and told.
    pub(crate) fn forget(&mut self) {
        self.events.clear();
        self.wire.clear();
        self.wire_at.clear();
        self.read = [0; 3];
    }

    /// Forgets events that were not asked for.
    pub(crate) fn skip(&mut self) {
        self.read = [self.events.len(); 3];
    }

    pub(crate) fn incoming(&mut self, side: Side) -> sip::IncomingInvite {
        self.until(side, "IncomingInvite", |event| match event {
            Event::IncomingInvite(invite) => Some((**invite).clone()),
            _ => None,
        })
    }

    pub(crate) fn ended(&mut self, side: Side, wanted: InviteId) -> EndCause {
        self.until_within(
            side,
            "Ended",
            Duration::from_secs(7200),
            |event| match event {
                Event::Ended { invite, cause } if *invite == wanted => Some(cause.clone()),
                _ => None,
            },
        )
    }

    pub(crate) fn call(
        &mut self,
        from: Side,
        to: Side,
        protocol: Protocol,
        offer: Option<Vec<u8>>,
    ) -> InviteId {
        let address = to.address(protocol);
        self.act(from, |agent, now| {
            agent.invite(
                now,
                sip::OutgoingInvite {
                    to: format!("sip:callee@{address};transport={}", protocol.uri_token()),
                    offer,
                    ..sip::OutgoingInvite::default()
                },
            )
        })
        .unwrap()
    }

    /// A call from A to B that both sides have confirmed.
    pub(crate) fn establish(&mut self, protocol: Protocol) -> (InviteId, InviteId) {
        let ours = self.call(Side::A, Side::B, protocol, Some(super::super::sdp("offer")));
        let theirs = self.incoming(Side::B).invite;
        self.act(Side::B, |agent, now| {
            agent.answer(now, theirs, super::super::sdp("answer"))
        })
        .unwrap();
        self.until(Side::A, "Accepted", |event| {
            matches!(event, Event::Accepted { .. }).then_some(())
        });
        self.until(Side::B, "Established", |event| {
            matches!(event, Event::Established { .. }).then_some(())
        });
        (ours, theirs)
    }

    /// First lines on the wire, for messages.
    pub(crate) fn story(&self) -> String {
        let lines = self
            .wire
            .iter()
            .map(|(side, text)| format!("{side:?} {}", text.lines().next().unwrap_or_default()));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn count(&self, side: Side, start: &str) -> usize {
        self.wire
            .iter()
            .filter(|(who, text)| *who == side && text.starts_with(start))
            .count()
    }

    /// After everything ended and every timer ran out, nothing is kept.
    pub(crate) fn assert_empty(&mut self) {
        self.run_for(Duration::from_secs(1300));
        for side in SIDES {
            let sizes = self.agent(side).table_sizes();
            assert_eq!(sizes.invites, 0, "{side:?} {sizes:?}");
            assert_eq!(sizes.live_invites, 0, "{side:?} {sizes:?}");
            assert_eq!(sizes.dialogs, 0, "{side:?} {sizes:?}");
            assert_eq!(sizes.client_transactions, 0, "{side:?} {sizes:?}");
            assert_eq!(sizes.server_transactions, 0, "{side:?} {sizes:?}");
            assert_eq!(sizes.queries, 0, "{side:?} {sizes:?}");
        }
        self.assert_one_end_each();
    }

    /// Exactly one `Ended` for each invite, and nothing after it.
    pub(crate) fn assert_one_end_each(&self) {
        let mut ended = std::collections::BTreeSet::new();
        let mut seen = std::collections::BTreeSet::new();
        for (side, event) in &self.events {
            let Some(invite) = subject(event) else {
                continue;
            };
            let key = (*side, invite);
            assert!(!ended.contains(&key), "after the end of {key:?}: {event:?}");
            seen.insert(key);
            if matches!(event, Event::Ended { .. }) {
                ended.insert(key);
            }
        }
        for key in &seen {
            assert!(ended.contains(key), "{key:?} never ended\n{}", self.story());
        }
    }
}

/// The invite that an event is about.
pub(crate) fn subject(event: &Event) -> Option<InviteId> {
    match event {
        Event::IncomingInvite(incoming) => Some(incoming.invite),
        Event::Progress { invite, .. }
        | Event::Accepted { invite, .. }
        | Event::Established { invite, .. }
        | Event::Offer { invite, .. }
        | Event::OfferRequested { invite }
        | Event::Answer { invite, .. }
        | Event::OfferFailed { invite, .. }
        | Event::Refreshed { invite }
        | Event::Info { invite, .. }
        | Event::ReferAnswered { invite, .. }
        | Event::ReferNotified { invite, .. }
        | Event::Refer { invite, .. }
        | Event::Ended { invite, .. } => Some(*invite),
        Event::Registration { .. }
        | Event::Bindings { .. }
        | Event::RegisterRefused { .. }
        | Event::Trace(_)
        | Event::Dropped { .. } => None,
    }
}
