//! Telephone events (RFC 4733): digits in and out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Digits that may wait to be sent.
pub const DIGITS_MAX: usize = 64;
/// Digits received that may wait to be taken.
const RECEIVED_MAX: usize = 16;
/// Silence after which an event without an end packet has ended, ms.
pub const EVENT_TIMEOUT_MS: u64 = 150;
/// Shortest and longest digit that is sent, ms.
pub const DIGIT_MS_MIN: u32 = 40;
/// See [`DIGIT_MS_MIN`].
pub const DIGIT_MS_MAX: u32 = 5_000;
/// Silence between digits that are sent, ms.
pub const GAP_MS: u32 = 60;
/// Times that the end packet of an event is sent (RFC 4733 2.5.1.4).
pub const END_PACKETS: u8 = 3;
/// Level of the events that are sent, -dBm0.
const VOLUME: u8 = 10;
const DIGITS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
];
/// Longest duration of one segment in the clock of the events (RFC 4733 2.5.1.3).
const SEGMENT_MAX: u32 = 0xFFFF;

/// The payload of one event packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPayload {
    /// Event code; 0 to 15 are digits.
    pub event: u8,
    /// Last packets of the event.
    pub end: bool,
    /// Level, -dBm0, 0 to 63.
    pub volume: u8,
    /// Length so far, in the clock of the events.
    pub duration: u16,
}

impl EventPayload {
    /// Reads the first event of a payload; `None` when it is too short.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[event, second, d0, d1] = payload.first_chunk::<4>()?;
        Some(Self {
            event,
            end: second & 0x80 != 0,
            volume: second & 0x3F,
            duration: u16::from_be_bytes([d0, d1]),
        })
    }

    /// The four bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 4] {
        let [d0, d1] = self.duration.to_be_bytes();
        [
            self.event,
            (u8::from(self.end) << 7) | (self.volume & 0x3F),
            d0,
            d1,
        ]
    }
}

/// Event code of a digit, any case.
#[must_use]
pub fn event_of(digit: char) -> Option<u8> {
    let digit = digit.to_ascii_uppercase();
    DIGITS
        .iter()
        .position(|known| *known == digit)
        .and_then(|code| u8::try_from(code).ok())
}

/// Digit of an event code.
#[must_use]
pub fn digit_of(event: u8) -> Option<char> {
    DIGITS.get(usize::from(event)).copied()
}

#[derive(Debug, Clone, Copy)]
struct Pressed {
    event: u8,
    timestamp: u32,
    /// Samples of the segments before this one.
    before: u32,
    duration: u16,
    heard_at: Instant,
}

/// Reads events: each digit once, whatever is lost, doubled or out of order.
///
/// Time is counted in ticks of 8 kHz here, whatever the clock of the events is.
#[derive(Debug)]
pub(crate) struct DtmfReceiver {
    /// Steps of the events' clock in a tick.
    clock_per_tick: u16,
    pressed: Option<Pressed>,
    /// Event, time and length of the last digit that was reported.
    reported: Option<(u8, u32, u16)>,
    out: VecDeque<(char, u32)>,
}

impl DtmfReceiver {
    pub(crate) fn new(clock_hz: u32) -> Self {
        Self {
            clock_per_tick: u16::try_from(clock_hz / 8_000).unwrap_or(1).max(1),
            pressed: None,
            reported: None,
            out: VecDeque::new(),
        }
    }

    pub(crate) fn set_clock(&mut self, clock_hz: u32) {
        self.clock_per_tick = u16::try_from(clock_hz / 8_000).unwrap_or(1).max(1);
    }

    /// A packet of the event payload type; its time in ticks.
    pub(crate) fn handle(&mut self, now: Instant, marker: bool, timestamp: u32, payload: &[u8]) {
        let Some(mut packet) = EventPayload::parse(payload) else {
            return;
        };
        packet.duration /= self.clock_per_tick;
        let segment_max = SEGMENT_MAX / u32::from(self.clock_per_tick);
        if digit_of(packet.event).is_none() {
            return;
        }
        // Only forward in time; a repetition of what was reported is silent.
        if let Some((event, reported, duration)) = self.reported {
            let step = timestamp.wrapping_sub(reported).cast_signed();
            // Within the time of that press there can be no other of the same digit.
            let same = event == packet.event && (0..i32::from(duration.max(1))).contains(&step);
            let older = step < 0 && step > -80_000;
            if same || older {
                return;
            }
        }
        match &mut self.pressed {
            Some(pressed) if pressed.timestamp == timestamp && pressed.event == packet.event => {
                pressed.duration = pressed.duration.max(packet.duration);
                pressed.heard_at = now;
            }
            Some(pressed) if timestamp.wrapping_sub(pressed.timestamp).cast_signed() < 0 => return,
            Some(pressed) if continues(pressed, segment_max, (marker, timestamp), packet) => {
                if u32::from(pressed.duration) >= segment_max - 1_600 {
                    pressed.before += timestamp.wrapping_sub(pressed.timestamp);
                }
                pressed.timestamp = timestamp;
                pressed.duration = packet.duration;
                pressed.heard_at = now;
            }
            Some(_) | None => {
                self.release();
                let (event, duration) = (packet.event, packet.duration);
                self.pressed = Some(Pressed {
                    event,
                    timestamp,
                    before: 0,
                    duration,
                    heard_at: now,
                });
            }
        }
        if packet.end {
            self.release();
        }
    }

    /// An event whose end was lost ends after [`EVENT_TIMEOUT_MS`].
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let timeout = Duration::from_millis(EVENT_TIMEOUT_MS);
        if self
            .pressed
            .is_some_and(|pressed| now.saturating_duration_since(pressed.heard_at) >= timeout)
        {
            self.release();
        }
    }

    /// A new source counts its time anew.
    pub(crate) fn restart(&mut self) {
        self.release();
        self.reported = None;
    }

    pub(crate) fn poll(&mut self) -> Option<(char, u32)> {
        self.out.pop_front()
    }

    fn release(&mut self) {
        let Some(pressed) = self.pressed.take() else {
            return;
        };
        self.reported = Some((pressed.event, pressed.timestamp, pressed.duration));
        let samples = pressed.before + u32::from(pressed.duration);
        if let Some(digit) = digit_of(pressed.event)
            && self.out.len() < RECEIVED_MAX
        {
            self.out.push_back((digit, samples / 8));
        }
    }
}

/// Whether a packet with another timestamp is still the same press: the next segment of a long one, or a sender that wrongly
/// moves the timestamp of every packet while the duration grows.
fn continues(
    pressed: &Pressed,
    segment_max: u32,
    (marker, timestamp): (bool, u32),
    packet: EventPayload,
) -> bool {
    if marker || pressed.event != packet.event {
        return false;
    }
    let step = timestamp.wrapping_sub(pressed.timestamp);
    let segment =
        u32::from(pressed.duration) >= segment_max - 1_600 && step.abs_diff(segment_max) <= 1_600;
    let growth = u32::from(packet.duration.saturating_sub(pressed.duration));
    let moving = growth > 0 && step <= growth.max(480);
    segment || moving
}

/// One event packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventPacket {
    pub(crate) marker: bool,
    /// How long ago the event (or its segment) began, ticks: its timestamp is that much before now.
    pub(crate) began: u32,
    /// The length in ticks.
    pub(crate) payload: EventPayload,
}

impl EventPacket {
    /// The length in another clock. One segment holds 1,365 ms at 48 kHz: a longer press stays at its end, and the packets go on.
    pub(crate) fn duration_at(&self, clock_hz: u32) -> u16 {
        let steps = u32::from(self.payload.duration).saturating_mul(clock_hz / 8_000);
        u16::try_from(steps).unwrap_or(u16::MAX)
    }
}

/// What the sender does on a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DtmfTick {
    /// Nothing to send: audio goes on.
    Idle,
    /// Between digits: silence.
    Gap,
    /// An event packet.
    Event(EventPacket),
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Idle,
    Pressing {
        event: u8,
        duration: u32,
        elapsed: u32,
    },
    Ending {
        event: u8,
        duration: u32,
        elapsed: u32,
        left: u8,
    },
    Gap {
        left: u32,
    },
}

/// Sends digits, one packet per pacing tick.
#[derive(Debug)]
pub(crate) struct DtmfSender {
    queue: VecDeque<(u8, u32)>,
    phase: Phase,
}

impl DtmfSender {
    pub(crate) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            phase: Phase::Idle,
        }
    }

    pub(crate) fn room(&self) -> usize {
        DIGITS_MAX - self.queue.len()
    }

    pub(crate) fn push(&mut self, event: u8, duration_ms: u32) {
        if self.queue.len() < DIGITS_MAX {
            self.queue
                .push_back((event, duration_ms.clamp(DIGIT_MS_MIN, DIGIT_MS_MAX) * 8));
        }
    }

    /// The tick of the next `samples` of media time.
    pub(crate) fn tick(&mut self, samples: u32) -> DtmfTick {
        match self.phase {
            Phase::Idle => {
                let Some((event, duration)) = self.queue.pop_front() else {
                    return DtmfTick::Idle;
                };
                self.press(event, duration, 0, samples)
            }
            Phase::Pressing {
                event,
                duration,
                elapsed,
            } => self.press(event, duration, elapsed, samples),
            Phase::Ending {
                event,
                duration,
                elapsed,
                left,
            } => {
                let elapsed = elapsed + samples;
                self.phase = if left > 1 {
                    Phase::Ending {
                        event,
                        duration,
                        elapsed,
                        left: left - 1,
                    }
                } else {
                    Phase::Gap { left: GAP_MS * 8 }
                };
                DtmfTick::Event(packet(event, duration, elapsed, true, false))
            }
            Phase::Gap { left } => {
                let left = left.saturating_sub(samples);
                self.phase = if left == 0 {
                    Phase::Idle
                } else {
                    Phase::Gap { left }
                };
                DtmfTick::Gap
            }
        }
    }

    fn press(&mut self, event: u8, duration: u32, elapsed: u32, samples: u32) -> DtmfTick {
        let so_far = (elapsed + samples).min(duration);
        let end = so_far >= duration;
        self.phase = if end {
            Phase::Ending {
                event,
                duration,
                elapsed,
                left: END_PACKETS - 1,
            }
        } else {
            Phase::Pressing {
                event,
                duration,
                elapsed: elapsed + samples,
            }
        };
        DtmfTick::Event(packet(event, so_far, elapsed, end, elapsed == 0))
    }
}

fn packet(event: u8, duration: u32, began: u32, end: bool, marker: bool) -> EventPacket {
    // DIGIT_MS_MAX keeps a digit within one segment.
    let duration = u16::try_from(duration).unwrap_or(u16::MAX);
    EventPacket {
        marker,
        began,
        payload: EventPayload {
            event,
            end,
            volume: VOLUME,
            duration,
        },
    }
}
