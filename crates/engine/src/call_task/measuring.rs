//! The reading of the legs' quality, for the record, for who watches, and for the figures of the process.

use std::time::Instant;

use super::CallTask;

impl CallTask {
    /// Reads what the network does to the legs, and tells who watches.
    pub(super) fn measure(&mut self, now: Instant) {
        let figures = self.media.statistics(now);
        let calls = &self.desk.calls;
        calls.metrics.observe(self.meter.read(&figures));
        let caller = self.meter.quality("caller", &figures);
        let target = self.second.measure(now, &calls.metrics);
        let legs = std::iter::once(caller).chain(target).collect();
        calls.measured(&self.desk.identity, legs);
    }
}
