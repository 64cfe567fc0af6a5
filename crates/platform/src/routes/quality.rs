//! How the network treats the legs of a running call.

use engine::{Figure, LegQuality, VoipMetrics, WayQuality};
use serde::Serialize;
use utoipa::ToSchema;

/// A figure so far; null before the first reading.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FigureView {
    /// The latest.
    last: Option<f64>,
    /// The mean.
    mean: Option<f64>,
    /// The worst (largest).
    worst: Option<f64>,
}

/// One direction of a leg.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WayView {
    /// Share of the packets that got lost between two readings, 0 to 1.
    loss: FigureView,
    /// Interarrival jitter, in ms.
    jitter_ms: FigureView,
}

/// What the other side says in its latest extended report (RFC 3611).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExtendedView {
    /// Share of our packets that it lost since the beginning, 0 to 1.
    loss: f64,
    /// Share that came too late for it, 0 to 1.
    discarded: f64,
    /// Round trip, in ms.
    round_trip_ms: Option<u16>,
    /// Delay within its device, in ms.
    end_system_delay_ms: u16,
    /// Listening quality there, 1 to 5.
    mos: Option<f64>,
}

/// How the network treats a leg, as of the latest reading (every five seconds).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LegQualityView {
    /// `caller`: the other party of the call; `target`: the person whom the caller is handed to.
    leg: &'static str,
    /// What comes, as it is counted here.
    received: WayView,
    /// What is sent, as the other side reports it (RTCP).
    sent: WayView,
    /// Round trip by the other side's reports, in ms.
    round_trip_ms: FigureView,
    /// Reports of the other side so far.
    reports: u32,
    /// Listening quality of what comes, 1 to 4.5 (E-model).
    mos: Option<f64>,
    /// The other side's extended report, where it sends any.
    xr: Option<ExtendedView>,
}

fn figure(figure: Figure) -> FigureView {
    FigureView {
        last: figure.last,
        mean: figure.mean,
        worst: figure.worst,
    }
}

fn way(way: WayQuality) -> WayView {
    WayView {
        loss: figure(way.loss),
        jitter_ms: figure(way.jitter_ms),
    }
}

fn extended(voip: VoipMetrics) -> ExtendedView {
    ExtendedView {
        loss: f64::from(voip.loss_rate) / 256.0,
        discarded: f64::from(voip.discard_rate) / 256.0,
        round_trip_ms: voip.round_trip_ms,
        end_system_delay_ms: voip.end_system_delay_ms,
        mos: voip.mos_lq_10.map(|mos| f64::from(mos) / 10.0),
    }
}

/// The legs in the words of the API.
pub(crate) fn legs(legs: &[LegQuality]) -> Vec<LegQualityView> {
    let view = |leg: &LegQuality| LegQualityView {
        leg: leg.leg,
        received: way(leg.received),
        sent: way(leg.sent),
        round_trip_ms: figure(leg.round_trip_ms),
        reports: leg.reports,
        mos: leg.mos,
        xr: leg.voip.map(extended),
    };
    legs.iter().map(view).collect()
}
