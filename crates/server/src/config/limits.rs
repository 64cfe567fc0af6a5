//! How much the process takes on, and what calls give up for each other.

use engine::config::{LimitsConfig, Packing};

use super::bad_value;
use crate::settings::{Problem, Settings};

pub(super) fn configured(settings: &Settings, problems: &mut Vec<Problem>) -> LimitsConfig {
    LimitsConfig {
        calls_max: u32::try_from(settings.integer("limits.calls")).unwrap_or(u32::MAX),
        packing: Packing {
            from_calls: u32::try_from(settings.integer("limits.busy_calls")).unwrap_or(u32::MAX),
            append_ms: append_ms(settings, "engine.busy_append_ms", problems),
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
