//! The figures of the process, for Prometheus.

mod lines;
mod spans;

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::quality::Reading;
pub(crate) use lines::{ActiveCall, LineMetrics};

/// Bounds of the histograms of times, seconds.
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0,
];
/// Bounds of the histogram of call durations, seconds.
const DURATIONS: [f64; 9] = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0];

/// Bounds of the histograms of jitter, seconds.
const JITTER: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2];
/// Bounds of the histograms of loss, 0 to 1.
const LOSS: [f64; 9] = [0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// Histograms that are split by a label.
type Histograms = Family<Kind, Histogram, fn() -> Histogram>;

/// One label: the reason, direction or kind that a figure is split by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Kind {
    pub(crate) kind: &'static str,
}

/// Labels of ended calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CallLabels {
    pub(crate) direction: &'static str,
    pub(crate) reason: &'static str,
}

/// All figures; clones share them.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    pub(crate) calls_ended: Family<CallLabels, Counter<u64, AtomicU64>>,
    pub(crate) calls_active: Gauge<i64, AtomicI64>,
    pub(crate) lines: Arc<LineMetrics>,
    pub(crate) caller_identity: Family<Kind, Counter<u64, AtomicU64>>,
    pub(crate) calls_limited: Family<Kind, Counter<u64, AtomicU64>>,
    pub(crate) setup: Histogram,
    pub(crate) answer_to_first_audio: Histogram,
    pub(crate) turn: Histogram,
    pub(crate) duration: Histogram,
    pub(crate) engine_failures: Family<Kind, Counter<u64, AtomicU64>>,
    pub(crate) rtp_packets: Family<Kind, Counter<u64, AtomicU64>>,
    rtp_loss: Histograms,
    rtp_jitter: Histograms,
    rtp_round_trip: Histogram,
    pub(crate) sip_dropped: Family<Kind, Counter<u64, AtomicU64>>,
    pub(crate) tasks: Gauge<i64, AtomicI64>,
    pub(crate) sip_table: Family<Kind, Gauge<i64, AtomicI64>>,
    pub(crate) journal_dropped: Counter<u64, AtomicU64>,
    pub(crate) audio_dropped_ms: Family<Kind, Counter<u64, AtomicU64>>,
    pub(crate) interruptions: Counter<u64, AtomicU64>,
    pub(crate) false_barge_ins: Counter<u64, AtomicU64>,
    pub(crate) hep_lost: Counter<u64, AtomicU64>,
    pub(crate) calls_refused: Family<Kind, Counter<u64, AtomicU64>>,
    pub(crate) answerers: Family<Kind, Counter<u64, AtomicU64>>,
    pub(crate) registrations: Family<Kind, Counter<u64, AtomicU64>>,
    pub(crate) agent_changes: Family<Kind, Counter<u64, AtomicU64>>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("allo")),
            calls_ended: Family::default(),
            calls_active: Gauge::default(),
            lines: Arc::default(),
            caller_identity: Family::default(),
            calls_limited: Family::default(),
            setup: Histogram::new(SECONDS),
            answer_to_first_audio: Histogram::new(SECONDS),
            turn: Histogram::new(SECONDS),
            duration: Histogram::new(DURATIONS),
            engine_failures: Family::default(),
            rtp_packets: Family::default(),
            rtp_loss: Family::new_with_constructor(|| Histogram::new(LOSS)),
            rtp_jitter: Family::new_with_constructor(|| Histogram::new(JITTER)),
            rtp_round_trip: Histogram::new(SECONDS),
            sip_dropped: Family::default(),
            tasks: Gauge::default(),
            sip_table: Family::default(),
            journal_dropped: Counter::default(),
            audio_dropped_ms: Family::default(),
            interruptions: Counter::default(),
            false_barge_ins: Counter::default(),
            hep_lost: Counter::default(),
            calls_refused: Family::default(),
            answerers: Family::default(),
            registrations: Family::default(),
            agent_changes: Family::default(),
        };
        metrics.register();
        metrics.register_sip();
        metrics.register_placed();
        metrics.register_quality();
        metrics
    }

    fn register(&self) {
        self.with_registry(|registry| {
            registry.register(
                "calls_ended",
                "Calls by direction and end reason",
                self.calls_ended.clone(),
            );
            registry.register("calls_active", "Calls now", self.calls_active.clone());
            registry.register(
                "call_setup_seconds",
                "From the INVITE to the 200",
                self.setup.clone(),
            );
            registry.register(
                "call_answer_to_first_audio_seconds",
                "From the ACK to the agent's first packet",
                self.answer_to_first_audio.clone(),
            );
            registry.register(
                "call_turn_seconds",
                "From the end of the caller's turn to the agent's first packet",
                self.turn.clone(),
            );
            registry.register(
                "call_duration_seconds",
                "From the answer to the end",
                self.duration.clone(),
            );
            registry.register(
                "engine_failures",
                "Engine connections lost or refused",
                self.engine_failures.clone(),
            );
            registry.register(
                "rtp_packets",
                "RTP packets of ended calls, by fate",
                self.rtp_packets.clone(),
            );
            registry.register(
                "journal_entries_dropped",
                "RTP statistics that the journal had no place for",
                self.journal_dropped.clone(),
            );
            registry.register(
                "audio_dropped_milliseconds",
                "Audio that was dropped, by reason",
                self.audio_dropped_ms.clone(),
            );
            registry.register(
                "interruptions",
                "Times that a caller interrupted an agent",
                self.interruptions.clone(),
            );
            registry.register(
                "false_barge_ins",
                "Times that an engine took an agent's own echo or a noise for the caller, and nothing was cut",
                self.false_barge_ins.clone(),
            );
            registry.register(
                "registration_changes",
                "Changes of registration state, by new state",
                self.registrations.clone(),
            );
            registry.register(
                "agent_state_changes",
                "Changes of the state of agents, by new state",
                self.agent_changes.clone(),
            );
        });
    }

    /// Of calls that we place.
    fn register_placed(&self) {
        self.with_registry(|registry| {
            registry.register(
                "outbound_refused",
                "Calls that were asked for and not placed, by the rule",
                self.calls_refused.clone(),
            );
            registry.register(
                "answerers",
                "Who answered calls of ours, where that was asked",
                self.answerers.clone(),
            );
        });
    }

    fn register_sip(&self) {
        self.with_registry(|registry| {
            registry.register(
                "sip_dropped",
                "SIP messages dropped, by reason",
                self.sip_dropped.clone(),
            );
            registry.register_collector(Box::new(Arc::clone(&self.lines)));
            registry.register(
                "caller_identity",
                "Verdicts on callers' numbers (STIR/SHAKEN), where lines ask",
                self.caller_identity.clone(),
            );
            registry.register(
                "calls_limited",
                "Calls that were refused by a limit, by the limit",
                self.calls_limited.clone(),
            );
            registry.register(
                "hep_lost",
                "SIP messages that could not be sent on to the HEP server",
                self.hep_lost.clone(),
            );
            registry.register(
                "tasks",
                "Tasks of the whole process that have not ended",
                self.tasks.clone(),
            );
            registry.register(
                "sip_table_entries",
                "Entries of the tables of the SIP side, by table",
                self.sip_table.clone(),
            );
        });
    }

    fn register_quality(&self) {
        self.with_registry(|registry| {
            registry.register(
                "rtp_loss_ratio",
                "Packets of a leg that got lost in five seconds, 0 to 1: received here, or sent, as the other side reports it",
                self.rtp_loss.clone(),
            );
            registry.register(
                "rtp_jitter_seconds",
                "Interarrival jitter of a leg, every five seconds: received here, or sent, as the other side reports it",
                self.rtp_jitter.clone(),
            );
            registry.register(
                "rtp_round_trip_seconds",
                "Round trip of a leg by the other side's reports",
                self.rtp_round_trip.clone(),
            );
        });
    }

    /// Takes a reading of a leg.
    pub(crate) fn observe(&self, reading: Reading) {
        for (kind, way) in [("received", reading.received), ("sent", reading.sent)] {
            if let Some((loss, jitter_ms)) = way {
                let kind = Kind { kind };
                self.rtp_loss.get_or_create(&kind).observe(loss);
                let jitter = jitter_ms / 1_000.0;
                self.rtp_jitter.get_or_create(&kind).observe(jitter);
            }
        }
        if let Some(round_trip_ms) = reading.round_trip_ms {
            self.rtp_round_trip.observe(round_trip_ms / 1_000.0);
        }
    }

    /// Counts one of a kind.
    pub(crate) fn count(
        family: &Family<Kind, Counter<u64, AtomicU64>>,
        kind: &'static str,
        by: u64,
    ) {
        if by > 0 {
            family.get_or_create(&Kind { kind }).inc_by(by);
        }
    }

    /// Gives the registry to someone who adds figures.
    pub(crate) fn with_registry<R>(&self, change: impl FnOnce(&mut Registry) -> R) -> R {
        change(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All figures in OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).expect("writing to a string does not fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_holds_what_was_counted() {
        let metrics = Metrics::new();
        Metrics::count(&metrics.engine_failures, "timeout", 2);
        metrics.answer_to_first_audio.observe(0.12);
        let text = metrics.text();
        assert!(
            text.contains("allo_engine_failures_total{kind=\"timeout\"} 2"),
            "{text}"
        );
        assert!(
            text.contains("allo_call_answer_to_first_audio_seconds_count 1"),
            "{text}"
        );
    }
}
