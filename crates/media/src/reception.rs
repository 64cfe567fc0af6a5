//! What is known of one received source: sequence, loss and jitter as RFC 3550 appendix A counts them.

use std::time::{Duration, Instant};

use crate::rtcp::ReportBlock;

/// Figures of one source.
#[derive(Debug, Clone)]
pub(crate) struct Reception {
    ssrc: u32,
    base: u32,
    highest: u32,
    received: u32,
    expected_prior: u32,
    received_prior: u32,
    transit: Option<u32>,
    /// Jitter in samples, times 16 (RFC 3550 A.8).
    jitter_16: u32,
    last_sr: Option<(u32, Instant)>,
}

impl Reception {
    pub(crate) fn new(ssrc: u32, sequence: u16) -> Self {
        let base = u32::from(sequence);
        Self {
            ssrc,
            base,
            highest: base.wrapping_sub(1),
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            transit: None,
            jitter_16: 0,
            last_sr: None,
        }
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Counts a packet. `since_epoch` is the arrival time; `timestamp` is given only for packets whose media time says when they were sent.
    pub(crate) fn count(&mut self, since_epoch: Duration, sequence: u16, timestamp: Option<u32>) {
        self.received = self.received.wrapping_add(1);
        let [_, _, h0, h1] = self.highest.to_be_bytes();
        let step = sequence.wrapping_sub(u16::from_be_bytes([h0, h1]));
        if step < 0x8000 {
            self.highest = self.highest.wrapping_add(u32::from(step));
        }
        let Some(timestamp) = timestamp else { return };
        let transit = samples(since_epoch).wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            // A jump of the peer's clock is no jitter.
            if difference < 8_000 {
                self.jitter_16 =
                    (self.jitter_16 + difference).saturating_sub((self.jitter_16 + 8) >> 4);
            }
        }
    }

    /// The peer restarted its sequence: loss is counted from here.
    pub(crate) fn restart(&mut self, sequence: u16) {
        let (last_sr, jitter_16) = (self.last_sr, self.jitter_16);
        *self = Self {
            last_sr,
            jitter_16,
            ..Self::new(self.ssrc, sequence)
        };
    }

    pub(crate) fn jitter_ms(&self) -> f64 {
        f64::from(self.jitter_16) / 16.0 / 8.0
    }

    pub(crate) fn sender_report(&mut self, now: Instant, ntp: u64) {
        let [_, _, n2, n3, n4, n5, _, _] = ntp.to_be_bytes();
        self.last_sr = Some((u32::from_be_bytes([n2, n3, n4, n5]), now));
    }

    /// The block of the next report (RFC 3550 A.3); starts the next interval.
    pub(crate) fn report(&mut self, now: Instant) -> ReportBlock {
        let expected = self.highest.wrapping_sub(self.base).wrapping_add(1);
        let lost = expected.wrapping_sub(self.received).cast_signed();
        let expected_interval = expected.wrapping_sub(self.expected_prior);
        let received_interval = self.received.wrapping_sub(self.received_prior);
        let lost_interval = expected_interval.saturating_sub(received_interval);
        (self.expected_prior, self.received_prior) = (expected, self.received);
        let fraction = if expected_interval == 0 {
            0
        } else {
            u64::from(lost_interval) * 256 / u64::from(expected_interval)
        };
        let (last_sr, delay_since_sr) = self.last_sr.map_or((0, 0), |(middle, at)| {
            let delay = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
            (middle, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            lost,
            highest_sequence: self.highest,
            jitter: self.jitter_16 >> 4,
            last_sr,
            delay_since_sr,
        }
    }
}

/// Arrival time in samples of an 8 kHz clock, modulo 2^32.
pub(crate) fn samples(since_epoch: Duration) -> u32 {
    let samples = since_epoch.as_micros() * 8 / 1_000;
    let [.., a, b, c, d] = samples.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_wrap_are_counted() {
        let mut reception = Reception::new(1, 65_530);
        for index in 0..20_u16 {
            if index % 5 != 3 {
                let at = Duration::from_millis(u64::from(index) * 20);
                reception.count(
                    at,
                    65_530_u16.wrapping_add(index),
                    Some(u32::from(index) * 160),
                );
            }
        }
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
        let block = reception.report(Instant::now());
        assert_eq!(
            (block.lost, block.fraction_lost, block.highest_sequence),
            (4, 51, 65_549)
        );
        assert!(reception.jitter_ms() < 0.01);
    }

    #[test]
    fn jitter_converges_to_the_mean_difference() {
        let mut reception = Reception::new(1, 0);
        for index in 0..500_u16 {
            let late = u64::from(index % 2) * 8;
            reception.count(
                Duration::from_millis(u64::from(index) * 20 + late),
                index,
                Some(u32::from(index) * 160),
            );
        }
        assert!(
            (reception.jitter_ms() - 8.0).abs() < 0.6,
            "{}",
            reception.jitter_ms()
        );
    }
}
