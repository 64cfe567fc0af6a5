//! What the engine is given while the network does its worst, at simulated time. The example `worlds` prints the same figures.

#![allow(
    clippy::cast_precision_loss,
    reason = "counts of a test are far below 2^52"
)]

#[path = "common/world.rs"]
mod world;

use world::{EVERYTHING, Report, WEATHERS, Weather, run};

/// What a world may cost.
struct Bound {
    name: &'static str,
    /// Share of the packets brought by the network that is not heard.
    wasted: f64,
    /// Share of the call that is made up, beyond the share that was lost.
    made_up: f64,
    /// Median and 99th percentile of the delay that ordering adds, ms.
    added_ms: (f64, f64),
    /// 99th percentile of the time between two deliveries, ms.
    gap_ms: f64,
}

const fn bound(
    name: &'static str,
    wasted: f64,
    made_up: f64,
    added_ms: (f64, f64),
    gap_ms: f64,
) -> Bound {
    Bound {
        name,
        wasted,
        made_up,
        added_ms,
        gap_ms,
    }
}

const BOUNDS: &[Bound] = &[
    bound("calm", 0.0, 0.0, (0.0, 0.0), 20.0),
    bound("loss 1 %", 0.0, 0.0, (0.0, 20.0), 60.0),
    bound("loss 5 %", 0.0, 0.0, (0.0, 20.0), 60.0),
    bound("loss 5 % in bursts of 5", 0.0, 0.0, (0.0, 20.0), 200.0),
    bound("loss 20 %", 0.0, 0.0, (0.0, 20.0), 80.0),
    bound("loss 20 % in bursts of 5", 0.0, 0.0, (0.0, 20.0), 240.0),
    bound("loss 20 % in bursts of 25", 0.0, 0.0, (0.0, 20.0), 240.0),
    bound("jitter 20", 0.0, 0.0, (0.0, 0.0), 40.0),
    bound("jitter 60", 0.001, 0.001, (0.0, 40.0), 80.0),
    bound("jitter 120", 0.001, 0.001, (0.0, 100.0), 120.0),
    bound("jitter 200", 0.025, 0.025, (25.0, 170.0), 160.0),
    bound("jitter 200, in order", 0.0, 0.0, (0.0, 0.0), 160.0),
    bound("5 % swapped", 0.0, 0.0, (0.0, 5.0), 45.0),
    bound("20 % swapped", 0.0, 0.0, (0.0, 5.0), 45.0),
    bound("pauses", 0.0, 0.0, (0.0, 0.0), 20.0),
    bound("pauses, comfort noise", 0.0, 0.0, (0.0, 0.0), 20.0),
    bound("clock 1 % slow, pauses", 0.0, 0.0, (0.0, 0.0), 20.5),
    bound("clock 1 % fast, pauses", 0.0, 0.0, (0.0, 0.0), 20.5),
    bound("restarts every 10 s", 0.002, 0.003, (0.0, 0.0), 20.0),
    bound("moves every 10 s", 0.005, 0.003, (0.0, 0.0), 20.0),
    bound("strangers", 0.0, 0.0, (0.0, 0.0), 20.0),
    bound("strangers, loss, pauses", 0.0, 0.0, (0.0, 20.0), 200.0),
    bound("everything", 0.002, 0.01, (1.0, 130.0), 160.0),
    bound("everything, fast clock", 0.002, 0.01, (1.0, 130.0), 160.0),
];

fn lost(report: &Report) -> f64 {
    1.0 - report.arrived as f64 / report.sent as f64
}

/// What holds in every world.
fn always(name: &str, report: &Report) {
    assert_eq!(report.stolen, 0, "{name}: a stranger was heard or sent to");
    assert_eq!(report.disorder, 0, "{name}: a frame out of order or twice");
    assert_eq!(report.statistics.frames_dropped, 0, "{name}");
    let pace = report.pace_ms;
    assert!(
        (pace.p50, pace.max) == (20.0, 20.0),
        "{name}: the caller is sent a packet each 20 ms: {pace:?}"
    );
}

#[test]
fn every_world_keeps_its_bounds() {
    assert_eq!(WEATHERS.len(), BOUNDS.len(), "each world has its bounds");
    for (&(name, weather), bound) in WEATHERS.iter().zip(BOUNDS) {
        assert_eq!(name, bound.name);
        for seed in [1, 2] {
            let report = run(weather, 180_000, seed);
            always(name, &report);
            assert!(report.wasted() <= bound.wasted, "{name}: {report:?}");
            let made_up = report.concealed() - lost(&report);
            assert!(made_up <= bound.made_up + 0.002, "{name}: {report:?}");
            let added = report.added_ms;
            assert!(
                added.p50 <= bound.added_ms.0 && added.p99 <= bound.added_ms.1,
                "{name}: {report:?}"
            );
            assert!(report.gap_ms.p99 <= bound.gap_ms, "{name}: {report:?}");
        }
    }
}

/// An hour of loss, jitter, pauses and clocks one per cent apart: what the engine heard is as long as what the peer said, to the
/// fraction of a second, at the end as at the beginning; and everything still comes as promptly.
#[test]
fn nothing_drifts_in_an_hour() {
    for skew_per_mille in [10, 0, -10] {
        let weather = Weather {
            skew_per_mille,
            ..EVERYTHING
        };
        let report = run(weather, 3_600_000, 3);
        always("an hour", &report);
        let (early, late) = report.media_ahead_ms;
        assert!(
            early.abs() <= 300 && late.abs() <= 300,
            "{skew_per_mille}: {early} ms after 6 min, {late} ms after an hour"
        );
        assert!(
            report.added_ms.p99 <= 130.0 && report.wasted() < 0.002,
            "{skew_per_mille}: {report:?}"
        );
    }
}

/// A source that begins anew costs its first packet, which real time makes up for.
#[test]
fn restarts_of_the_peer_do_not_add_up() {
    let weather = Weather {
        restarts_every_ms: 10_000,
        jitter_ms: 15,
        ..Weather::default()
    };
    let report = run(weather, 1_200_000, 4);
    always("restarts", &report);
    assert_eq!(report.statistics.ssrc_changes, 119);
    assert_eq!(report.arrived - report.heard, 119);
    let (_, late) = report.media_ahead_ms;
    assert!(late.abs() <= 300, "{late} ms after 119 restarts");
}
