//! How much the process takes on, and what calls give up for each other.

use std::time::Duration;

use engine::config::{LimitsConfig, Packing, Shedding};

use super::bad_value;
use crate::settings::{Problem, Settings};

pub(super) fn configured(settings: &Settings, problems: &mut Vec<Problem>) -> LimitsConfig {
    let number = |name| u32::try_from(settings.integer(name)).unwrap_or(u32::MAX);
    LimitsConfig {
        calls_max: number("limits.calls"),
        packing: Packing {
            from_calls: number("limits.busy_calls"),
            append_ms: append_ms(settings, "engine.busy_append_ms", problems),
        },
        shedding: Shedding {
            from_calls: number("limits.strained_calls"),
            late_max: Duration::from_millis(number("limits.late_ms").into()),
            cpu_percent_max: number("limits.cpu_percent"),
        },
        ..LimitsConfig::default()
    }
}

/// Whole frames of 20 ms.
pub(super) fn append_ms(
    settings: &Settings,
    name: &'static str,
    problems: &mut Vec<Problem>,
) -> u32 {
    let ms = settings.integer(name);
    if !ms.is_multiple_of(20) {
        problems.push(bad_value(settings, name, "20, 40, 60, 80, 100 … 200"));
    }
    u32::try_from(ms).unwrap_or(20)
}
