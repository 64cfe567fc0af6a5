//! Keys of one telephone by several ways at once: each press counts once.
//!
//! A phone may send a press as an RFC 4733 event, as a SIP INFO and as tones, and a gateway may add one of them. A press that came
//! by one way takes away the same key by each other way near it in time; the same way is never held against itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// By which way a press came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyWay {
    /// An event of RFC 4733.
    Event,
    /// A SIP INFO.
    Info,
    /// Tones in the audio.
    Tones,
}

impl KeyWay {
    const fn bit(self) -> u8 {
        match self {
            Self::Event => 1,
            Self::Info => 2,
            Self::Tones => 4,
        }
    }
}

/// How keys are sent and which ways are listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keypad {
    /// Events where they were agreed, else tones; tones are listened to where no events were agreed.
    #[default]
    Auto,
    /// Events only.
    Events,
    /// SIP INFO: the stream sends nothing, and asks for no events.
    Info,
    /// Tones, and no events.
    Tones,
}

impl Keypad {
    /// Its name in settings.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "rfc4733" => Some(Self::Events),
            "info" => Some(Self::Info),
            "inband" => Some(Self::Tones),
            _ => None,
        }
    }

    /// Whether events are offered and taken up.
    #[must_use]
    pub fn has_events(self) -> bool {
        matches!(self, Self::Auto | Self::Events)
    }

    /// Whether tones are looked for, given whether events were agreed.
    #[must_use]
    pub fn hears_tones(self, events: bool) -> bool {
        match self {
            Self::Auto => !events,
            Self::Events | Self::Info => false,
            Self::Tones => true,
        }
    }
}

/// How far apart the same press may be told by two ways.
const NEAR: Duration = Duration::from_millis(1_000);
/// Presses that are remembered.
const PRESSES_MAX: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Press {
    digit: char,
    from: Instant,
    until: Instant,
    ways: u8,
}

/// The presses of a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    presses: VecDeque<Press>,
}

impl Keys {
    /// Whether a press that ended now, and lasted so long, is news.
    pub(crate) fn is_news(
        &mut self,
        now: Instant,
        way: KeyWay,
        digit: char,
        duration_ms: u32,
    ) -> bool {
        let lasted = Duration::from_millis(u64::from(duration_ms));
        let from = now.checked_sub(lasted).unwrap_or(now);
        while self
            .presses
            .front()
            .is_some_and(|press| press.until + NEAR < from)
            || self.presses.len() >= PRESSES_MAX
        {
            self.presses.pop_front();
        }
        let told = self.presses.iter_mut().find(|press| {
            press.digit == digit
                && press.ways & way.bit() == 0
                && press.from <= now + NEAR
                && from <= press.until + NEAR
        });
        if let Some(press) = told {
            press.ways |= way.bit();
            return false;
        }
        self.presses.push_back(Press {
            digit,
            from,
            until: now,
            ways: way.bit(),
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
    fn epoch() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_press_by_three_ways_is_one_and_two_presses_are_two() {
        let (mut keys, start) = (Keys::default(), epoch());
        let at = |ms| start + Duration::from_millis(ms);
        let mut told =
            |ms: u64, way, digit, lasted| keys.is_news(at(10_000 + ms), way, digit, lasted);
        assert!(told(0, KeyWay::Info, '5', 100));
        assert!(!told(40, KeyWay::Event, '5', 120));
        assert!(!told(70, KeyWay::Tones, '5', 110));
        // Pressed again, quickly.
        assert!(told(240, KeyWay::Event, '5', 100));
        assert!(!told(250, KeyWay::Info, '5', 100));
        assert!(!told(310, KeyWay::Tones, '5', 100));
        assert!(told(500, KeyWay::Tones, '6', 100), "another key");
        // By one way only, as fast as can be.
        for press in 0..10 {
            assert!(told(2_000 + press * 90, KeyWay::Event, '1', 50));
        }
    }

    #[test]
    fn a_long_press_is_matched_by_when_it_began() {
        let (mut keys, start) = (Keys::default(), epoch());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(keys.is_news(at(10_000), KeyWay::Info, '#', 0));
        assert!(!keys.is_news(at(13_100), KeyWay::Event, '#', 3_050));
        assert!(keys.is_news(at(20_000), KeyWay::Event, '#', 100));
    }

    #[test]
    fn names_of_the_settings() {
        assert_eq!(Keypad::from_name("auto"), Some(Keypad::Auto));
        assert_eq!(Keypad::from_name("rfc4733"), Some(Keypad::Events));
        assert_eq!(Keypad::from_name("info"), Some(Keypad::Info));
        assert_eq!(Keypad::from_name("inband"), Some(Keypad::Tones));
        assert_eq!(Keypad::from_name("rfc2833"), None);
        assert!(Keypad::Auto.hears_tones(false) && !Keypad::Auto.hears_tones(true));
    }
}
