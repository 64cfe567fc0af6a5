//! How many spans were lost on their way to the collector of traces, as that way counts them.

use courier::traces::Exporter;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;

use super::Metrics;

/// Reads a count that is kept elsewhere.
#[derive(Debug)]
struct LostSpans(Exporter);

impl Collector for LostSpans {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let lost = ConstCounter::new(self.0.lost());
        let metric = encoder.encode_descriptor(
            "traces_spans_lost",
            "Spans that did not reach the collector of traces",
            None,
            lost.metric_type(),
        )?;
        lost.encode(metric)
    }
}

impl Metrics {
    /// Shows the count of an exporter.
    pub(crate) fn count_lost_spans(&self, exporter: Exporter) {
        self.with_registry(|registry| registry.register_collector(Box::new(LostSpans(exporter))));
    }
}
