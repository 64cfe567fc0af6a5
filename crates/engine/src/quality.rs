//! How the network treats the legs of calls: what got lost of their packets and how unevenly they came, both ways, read every
//! [`crate::limits::STATISTICS_EVERY`].
//!
//! What comes is counted here. Of what we send the other side tells in its reports (RTCP), where it sends any.

use media::rtcp::VoipMetrics;
use media::{Spread, Statistics};
use serde_json::{Value, json};

/// Packets since the reading before from which on their loss is a figure: one second of audio.
const PACKETS_MIN: u64 = 50;

/// A figure of a leg so far: its latest reading, the mean of all, and the worst (largest).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figure {
    /// The latest; `None` before the first.
    pub last: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
    /// The worst.
    pub worst: Option<f64>,
}

impl From<Spread> for Figure {
    fn from(spread: Spread) -> Self {
        Self {
            last: spread.last(),
            mean: spread.mean(),
            worst: spread.worst(),
        }
    }
}

impl Figure {
    fn record(self) -> Value {
        json!({ "last": rounded(self.last), "mean": rounded(self.mean), "worst": rounded(self.worst) })
    }
}

/// Four digits behind the point: a tenth of a microsecond, a hundredth of a percent.
fn rounded(value: Option<f64>) -> Option<f64> {
    value.map(|value| (value * 10_000.0).round() / 10_000.0)
}

/// One direction of a leg.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WayQuality {
    /// Share of the packets that got lost between two readings, 0 to 1.
    pub loss: Figure,
    /// Interarrival jitter (RFC 3550 6.4.1), ms.
    pub jitter_ms: Figure,
}

impl WayQuality {
    fn record(self) -> Value {
        json!({ "loss": self.loss.record(), "jitter_ms": self.jitter_ms.record() })
    }
}

/// How the network treats a leg.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LegQuality {
    /// Whose leg it is: `caller` (the other party of the call) or `target` (the person whom the caller is handed to).
    pub leg: &'static str,
    /// What comes, as it is counted here.
    pub received: WayQuality,
    /// What we send, as the other side reports it.
    pub sent: WayQuality,
    /// Round trip, ms, by the other side's reports.
    pub round_trip_ms: Figure,
    /// Reports of the other side on what we send.
    pub reports: u32,
    /// Listening quality of what comes, by the E-model, 1 to 4.5; `None` before audio.
    pub mos: Option<f64>,
    /// What the other side says in its latest extended report (RFC 3611 4.7), where it sends any.
    pub voip: Option<VoipMetrics>,
}

impl LegQuality {
    /// For the record of the call.
    pub(crate) fn record(&self) -> Value {
        let share = |part: u8| rounded(Some(f64::from(part) / 256.0));
        json!({
            "received": self.received.record(),
            "sent": self.sent.record(),
            "round_trip_ms": self.round_trip_ms.record(),
            "reports": self.reports,
            "xr": self.voip.map(|voip| json!({
                "loss": share(voip.loss_rate),
                "discarded": share(voip.discard_rate),
                "round_trip_ms": voip.round_trip_ms,
                "end_system_delay_ms": voip.end_system_delay_ms,
                "mos": voip.mos_lq_10.map(|mos| f64::from(mos) / 10.0),
            })),
        })
    }
}

/// What is new since the reading before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Loss (0 to 1) and jitter (ms) of what came.
    pub(crate) received: Option<(f64, f64)>,
    /// The same of what we sent, by a report that came meanwhile.
    pub(crate) sent: Option<(f64, f64)>,
    pub(crate) round_trip_ms: Option<f64>,
}

/// Reads the figures of a leg's stream.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    packets_received: u64,
    packets_lost: u64,
    loss: Spread,
    jitter_ms: Spread,
    reports: u32,
    round_trips: u32,
}

impl Meter {
    /// Takes a reading.
    pub(crate) fn read(&mut self, figures: &Statistics) -> Reading {
        let mut reading = Reading::default();
        let received = figures
            .packets_received
            .saturating_sub(self.packets_received);
        // A packet that is late is none that is lost: the count may go down.
        let lost = figures.packets_lost.saturating_sub(self.packets_lost);
        if received + lost >= PACKETS_MIN {
            (self.packets_received, self.packets_lost) =
                (figures.packets_received, figures.packets_lost);
            let loss = share(lost, received + lost);
            self.loss.note(loss);
            self.jitter_ms.note(figures.jitter_ms);
            reading.received = Some((loss, figures.jitter_ms));
        }
        let remote = &figures.remote;
        if remote.loss.count() > self.reports {
            self.reports = remote.loss.count();
            reading.sent = remote.loss.last().zip(remote.jitter_ms.last());
        }
        if remote.round_trip_ms.count() > self.round_trips {
            self.round_trips = remote.round_trip_ms.count();
            reading.round_trip_ms = remote.round_trip_ms.last();
        }
        reading
    }

    /// The figures so far.
    pub(crate) fn quality(&self, leg: &'static str, figures: &Statistics) -> LegQuality {
        let remote = &figures.remote;
        let jitter_ms = Figure::from(self.jitter_ms);
        LegQuality {
            leg,
            received: WayQuality {
                loss: self.loss.into(),
                jitter_ms: Figure {
                    // Between two readings it may have been larger.
                    worst: jitter_ms
                        .worst
                        .map(|worst| worst.max(figures.jitter_ms_max)),
                    ..jitter_ms
                },
            },
            sent: WayQuality {
                loss: remote.loss.into(),
                jitter_ms: remote.jitter_ms.into(),
            },
            round_trip_ms: remote.round_trip_ms.into(),
            reports: remote.loss.count(),
            mos: figures.mos,
            voip: remote.voip,
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    let count = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    count(part) / count(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(packets_received: u64, packets_lost: u64, jitter_ms: f64) -> Statistics {
        Statistics {
            packets_received,
            packets_lost,
            jitter_ms,
            jitter_ms_max: 9.0,
            ..Statistics::default()
        }
    }

    #[test]
    fn a_reading_is_of_what_came_since_the_one_before() {
        let mut meter = Meter::default();
        assert_eq!(
            meter.read(&figures(200, 50, 2.0)).received,
            Some((0.2, 2.0))
        );
        // Too few say nothing, and are counted with those that follow.
        assert_eq!(meter.read(&figures(230, 50, 7.0)).received, None);
        assert_eq!(
            meter.read(&figures(300, 50, 4.0)).received,
            Some((0.0, 4.0))
        );
        // A packet thought lost came after all.
        assert_eq!(
            meter.read(&figures(400, 49, 3.0)).received,
            Some((0.0, 3.0))
        );
        let quality = meter.quality("caller", &figures(400, 49, 3.0));
        let loss = quality.received.loss;
        assert_eq!((loss.last, loss.worst), (Some(0.0), Some(0.2)));
        assert!(
            loss.mean
                .is_some_and(|mean| (mean - 0.2 / 3.0).abs() < 1e-9)
        );
        let jitter = quality.received.jitter_ms;
        assert_eq!((jitter.mean, jitter.worst), (Some(3.0), Some(9.0)));
        assert_eq!(quality.sent, WayQuality::default());
    }

    #[test]
    fn a_report_is_read_once() {
        let mut meter = Meter::default();
        let mut figures = figures(0, 0, 0.0);
        figures.remote.loss.note(0.25);
        figures.remote.jitter_ms.note(3.0);
        figures.remote.round_trip_ms.note(80.0);
        let reading = meter.read(&figures);
        assert_eq!(
            (reading.sent, reading.round_trip_ms),
            (Some((0.25, 3.0)), Some(80.0))
        );
        assert_eq!(meter.read(&figures), Reading::default());
        figures.remote.loss.note(0.0);
        figures.remote.jitter_ms.note(1.0);
        assert_eq!(meter.read(&figures).sent, Some((0.0, 1.0)));
        let record = meter.quality("target", &figures).record();
        assert_eq!(
            record["sent"]["loss"],
            json!({ "last": 0.0, "mean": 0.125, "worst": 0.25 })
        );
        assert_eq!(record["received"]["loss"]["last"], Value::Null);
        assert_eq!(
            (&record["reports"], &record["xr"]),
            (&json!(2), &Value::Null)
        );
    }
}
