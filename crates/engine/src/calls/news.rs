//! What the watchers of a live call are told, and what the list of live calls says of it.

use super::{Calls, Identity};
use crate::live::{LiveEvent, LiveEventKind, LiveState, Timings};
use crate::person::{LiveCalled, LiveParked, LivePerson};
use crate::quality::LegQuality;

impl Calls {
    /// Tells the watchers.
    pub(crate) fn publish(&self, identity: &Identity, kind: LiveEventKind) {
        // Nobody watching is no failure.
        if self.events.receiver_count() > 0 {
            let at_ms = u64::try_from(identity.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let event = LiveEvent {
                call: identity.id.clone(),
                tenant: identity.tenant.clone(),
                at_ms,
                kind,
            };
            let _ = self.events.send(event);
        }
    }

    /// Changes what is known of a live call.
    pub(crate) fn changed(&self, identity: &Identity, state: LiveState, timings: Timings) {
        if let Some(entry) = self.live().get_mut(&identity.id) {
            entry.call.state = state;
            entry.call.timings = timings;
        }
        self.publish(identity, LiveEventKind::Changed { state, timings });
    }

    /// Changes who is on the line of a live call besides its caller and its agent.
    pub(crate) fn person_changed(&self, identity: &Identity, person: Option<LivePerson>) {
        if let Some(entry) = self.live().get_mut(&identity.id) {
            entry.call.person.clone_from(&person);
        }
        self.publish(identity, LiveEventKind::Person(person));
    }

    /// How far it is with who was called for the caller of a live call.
    pub(crate) fn called_changed(&self, identity: &Identity, called: Option<LiveCalled>) {
        if let Some(entry) = self.live().get_mut(&identity.id) {
            entry.call.called.clone_from(&called);
        }
        self.publish(identity, LiveEventKind::Called(called));
    }

    /// The caller of a live call waits in a parking place, or does not any more.
    pub(crate) fn parked_changed(&self, identity: &Identity, parked: Option<LiveParked>) {
        if let Some(entry) = self.live().get_mut(&identity.id) {
            entry.call.parked.clone_from(&parked);
        }
        self.publish(identity, LiveEventKind::Parked(parked));
    }

    /// The legs of a live call were read.
    pub(crate) fn measured(&self, identity: &Identity, legs: Vec<LegQuality>) {
        if let Some(entry) = self.live().get_mut(&identity.id) {
            entry.call.quality.clone_from(&legs);
        }
        self.publish(identity, LiveEventKind::Quality(legs));
    }
}
