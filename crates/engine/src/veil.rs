//! Secrecy of what a caller types, and how long it lasts behind its end.

use std::time::{Duration, Instant};

/// The longest way of the caller's sound through the recording's buffer, and of the last packets of a key, with some to spare.
const LASTS: Duration = Duration::from_millis(600);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Veil {
    on: bool,
    /// What is on its way still belongs to the secrecy that is over.
    until: Option<Instant>,
}

impl Veil {
    /// The caller types in secrecy, or has done so.
    pub(crate) fn set(&mut self, now: Instant, on: bool) {
        if self.on && !on {
            self.until = Some(now + LASTS);
        }
        self.on = on;
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.on
    }

    /// Whether what comes now belongs to it.
    pub(crate) fn covers(&self, now: Instant) -> bool {
        self.on || self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_a_little_longer_than_the_secrecy() {
        let now = Instant::now();
        let mut veil = Veil::default();
        veil.set(now, false);
        assert!(!veil.covers(now), "what was never on has no end");
        veil.set(now, true);
        assert!(veil.is_on() && veil.covers(now + Duration::from_secs(60)));
        veil.set(now, false);
        assert!(!veil.is_on() && veil.covers(now + LASTS - Duration::from_millis(1)));
        assert!(!veil.covers(now + LASTS));
    }
}
