//! Tickets that let one connection in: each good once, for what it was made for, for a short time. A browser cannot put a credential
//! into the handshake of a WebSocket; a ticket in the address is worth nothing once it was seen.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use store::credential::{NewKey, hash_key};

/// How long a ticket is good.
pub(crate) const GOOD_FOR: Duration = Duration::from_secs(30);
/// Tickets that wait; beyond it the oldest is forgotten.
const TICKETS_MAX: usize = 1_024;
/// First characters of a ticket.
const KIND: &str = "tic_";

/// Tickets by the hash of their text.
#[derive(Debug)]
pub(crate) struct Tickets<T>(Mutex<HashMap<String, (Instant, T)>>);

impl<T> Default for Tickets<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Tickets<T> {
    /// A new ticket for this.
    pub(crate) fn issue(&self, now: Instant, what: T) -> String {
        let ticket = NewKey::generate(KIND);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= TICKETS_MAX {
            waiting.retain(|_, (until, _)| *until > now);
        }
        if waiting.len() >= TICKETS_MAX
            && let Some(oldest) = waiting
                .iter()
                .min_by_key(|(_, (until, _))| *until)
                .map(|(hash, _)| hash.clone())
        {
            waiting.remove(&oldest);
        }
        waiting.insert(ticket.hash(), (now + GOOD_FOR, what));
        ticket.text().to_owned()
    }

    /// What a ticket is for. One that was shown is used up.
    pub(crate) fn take(&self, now: Instant, ticket: &str) -> Option<T> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, what) = waiting.remove(&hash_key(ticket))?;
        (until > now).then_some(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_and_for_its_time() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let ticket = tickets.issue(now, 1);
        assert_eq!(tickets.take(now, "tic_other"), None);
        assert_eq!(tickets.take(now, &ticket), Some(1));
        assert_eq!(tickets.take(now, &ticket), None);
        let late = tickets.issue(now, 2);
        assert_eq!(tickets.take(now + GOOD_FOR, &late), None);
        let first = tickets.issue(now, 3);
        for number in 0..TICKETS_MAX {
            tickets.issue(now + Duration::from_secs(1), number);
        }
        assert_eq!(tickets.take(now, &first), None, "the oldest made room");
        assert!(tickets.0.lock().unwrap().len() <= TICKETS_MAX);
    }
}
