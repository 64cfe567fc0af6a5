//! The sound of a line.

use crate::settings::Settings;

/// What is done to the audio of callers on lines that do not say it.
pub(super) fn treatment(settings: &Settings) -> media::Treatment {
    media::Treatment {
        noise_suppression: settings.switch("line.noise_suppression"),
        automatic_gain: settings.switch("line.automatic_gain"),
        echo_cancellation: settings.switch("line.echo_cancellation"),
        echo_tail: media::EchoTail::of_ms(
            u16::try_from(settings.integer("line.echo_tail_ms"))
                .unwrap_or(media::echo::TAIL_MS_MAX),
        ),
    }
}
