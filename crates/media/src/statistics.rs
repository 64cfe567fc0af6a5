//! Figures of one stream.

use crate::rtcp::VoipMetrics;

/// A figure that is read again and again: the latest, the worst (largest) and the mean of its readings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spread {
    last: f64,
    worst: f64,
    sum: f64,
    count: u32,
}

impl Spread {
    /// Takes a reading.
    pub fn note(&mut self, value: f64) {
        self.last = value;
        self.worst = if self.count == 0 {
            value
        } else {
            self.worst.max(value)
        };
        self.sum += value;
        self.count = self.count.saturating_add(1);
    }

    fn known(&self, value: f64) -> Option<f64> {
        (self.count > 0).then_some(value)
    }

    /// The latest reading; `None` before the first.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        self.known(self.last)
    }

    /// The largest reading.
    #[must_use]
    pub fn worst(&self) -> Option<f64> {
        self.known(self.worst)
    }

    /// The mean of the readings.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        self.known(self.sum / f64::from(self.count.max(1)))
    }

    /// Number of readings.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// What the reports of the other side say of what we send, and the round trip that follows from them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RemoteReports {
    /// Loss since the report before, 0 to 1 (RFC 3550 6.4.1); its count is the number of reports.
    pub loss: Spread,
    /// Interarrival jitter, ms.
    pub jitter_ms: Spread,
    /// Round trip, ms.
    pub round_trip_ms: Spread,
    /// Packets lost since the beginning; negative with duplicates.
    pub packets_lost: Option<i32>,
    /// What it says in the latest extended report (RFC 3611 4.7), where it sends any.
    pub voip: Option<VoipMetrics>,
}
/// A reading of the figures of a stream. Counters run from the creation of the stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// RTP packets handed to the wire.
    pub packets_sent: u64,
    /// Payload bytes handed to the wire.
    pub bytes_sent: u64,
    /// RTP packets accepted from the peer.
    pub packets_received: u64,
    /// Payload bytes accepted from the peer.
    pub bytes_received: u64,
    /// Packets that the peer sent and that never arrived in time.
    pub packets_lost: u64,
    /// Packets that came after their place was concealed.
    pub packets_late: u64,
    /// Packets seen twice.
    pub packets_duplicate: u64,
    /// Packets that came after a later one, in time to be used.
    pub packets_reordered: u64,
    /// Audio made up for losses, ms.
    pub concealed_ms: u64,
    /// Silence handed to the engine in pauses of the peer's sending, ms.
    pub silence_ms: u64,
    /// Interarrival jitter (RFC 3550 6.4.1), ms.
    pub jitter_ms: f64,
    /// Largest jitter seen, ms.
    pub jitter_ms_max: f64,
    /// Round trip by RTCP, ms.
    pub round_trip_ms: Option<f64>,
    /// Loss that the peer reports of our packets, 0 to 1.
    pub remote_loss: Option<f64>,
    /// Jitter that the peer reports of our packets, ms.
    pub remote_jitter_ms: Option<f64>,
    /// All that the peer's reports said.
    pub remote: RemoteReports,
    /// Listening quality of what the caller says, by the E-model, 1 to 4.5; `None` before audio.
    pub mos: Option<f64>,
    /// By how much line echo cancellation makes our echo quieter (echo return loss enhancement), dB, in the latest minute of
    /// echo alone; `None` without it, or before a second of echo.
    pub erle_db: Option<f64>,
    /// Packets of strangers or of an unusable form, dropped.
    pub refused_packets: u64,
    /// SRTP or SRTCP packets whose authentication failed.
    pub srtp_failures: u64,
    /// SRTP packets seen before (replay).
    pub srtp_replays: u64,
    /// Changes of the peer's synchronisation source.
    pub ssrc_changes: u32,
    /// Times that playout of an unfinished item ran dry.
    pub underruns: u32,
    /// Pacing ticks skipped because the shell was too late to catch up.
    pub ticks_skipped: u64,
    /// Caller frames dropped because nobody took them.
    pub frames_dropped: u64,
}
