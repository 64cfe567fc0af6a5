//! Traces of calls (OpenTelemetry): whose trace a request belongs to, in the header `traceparent` that goes with it, and the way of
//! finished spans to a collector.
//!
//! Nothing here is on the way of a packet or of a word: spans are made when what they tell of is over, wait in a bounded queue, and are
//! lost there where the collector does not take them.

mod context;
mod exporter;
mod otlp;
mod span;

pub use context::{HEADER as TRACEPARENT, TraceContext};
pub use exporter::{BadCollector, Collector, Exporter};
pub use span::{Attribute, Outcome, Role, Span, SpanEvent};
