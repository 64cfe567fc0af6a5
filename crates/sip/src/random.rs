//! Seeded randomness for tags, branches, Call-IDs and jitter: unguessable without the seed, and replayable.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// Alphabet of tokens: safe in every header and URI position.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// SHA-256 of the seed and a counter.
#[derive(Debug)]
pub(crate) struct Random {
    seed: u64,
    counter: u64,
}

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }

    fn block(&mut self) -> [u8; 32] {
        self.counter += 1;
        let mut hash = Sha256::new();
        hash.update(b"allo-sip-random");
        hash.update(self.seed.to_be_bytes());
        hash.update(self.counter.to_be_bytes());
        hash.finalize().into()
    }

    /// A token of `len` characters, 5 bits each (`len` ≤ 32).
    pub(crate) fn token(&mut self, len: usize) -> String {
        token(&self.block(), len)
    }

    /// A token that depends on these texts and the seed alone (`len` ≤ 32).
    pub(crate) fn token_of(&self, texts: &[&str], len: usize) -> String {
        let mut hash = Sha256::new();
        hash.update(b"allo-sip-token");
        hash.update(self.seed.to_be_bytes());
        for text in texts {
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        token(&hash.finalize().into(), len)
    }

    /// 256 bits for a key.
    pub(crate) fn key(&mut self) -> [u8; 32] {
        self.block()
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        let block = self.block();
        u64::from_be_bytes([
            block[0], block[1], block[2], block[3], block[4], block[5], block[6], block[7],
        ])
    }

    /// A number in `0..bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// A duration in `low..=high`, to the millisecond.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = u64::try_from(high.saturating_sub(low).as_millis()).unwrap_or(u64::MAX - 1);
        low + Duration::from_millis(self.below(span + 1))
    }
}

fn token(block: &[u8; 32], len: usize) -> String {
    block
        .iter()
        .take(len)
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tokens() {
        let (mut a, mut b, mut c) = (Random::new(7), Random::new(7), Random::new(8));
        let token = a.token(16);
        assert_eq!(token.len(), 16);
        assert_eq!(token, b.token(16));
        assert_ne!(token, c.token(16));
        assert_ne!(token, a.token(16));
        assert_eq!(a.token_of(&["x", "y"], 16), b.token_of(&["x", "y"], 16));
        assert_ne!(a.token_of(&["x", "y"], 16), a.token_of(&["xy"], 16));
        assert_ne!(a.token_of(&["x"], 16), c.token_of(&["x"], 16));
        assert_eq!(a.below(0), 0);
        assert!(a.below(10) < 10);
    }
}
