//! A caller who waits in a parking place until a person takes them. Which places there are, and which is free, the shell knows; here
//! is how long one may be waited in.

use crate::limits::{PARKING_MS_MAX, PERSON_NAME_BYTES_MAX, TEXT_BYTES_MAX, cut_text};

/// A wish to park the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parking {
    /// The place, which is free.
    pub place: u16,
    /// Who parks, for the model and the record.
    pub by: String,
    /// What the agent is to know when it has the caller again; may be empty.
    pub note: String,
    /// How long the caller waits there at most, milliseconds; at most [`PARKING_MS_MAX`].
    pub within_ms: u32,
}

/// A caller who waits.
#[derive(Debug)]
pub(crate) struct Parked {
    parking: Parking,
    since: u64,
}

impl Parked {
    pub(crate) fn new(now: u64, parking: Parking) -> Self {
        let parking = Parking {
            by: cut_text(parking.by, PERSON_NAME_BYTES_MAX),
            note: cut_text(parking.note, TEXT_BYTES_MAX),
            within_ms: parking.within_ms.min(PARKING_MS_MAX),
            ..parking
        };
        Self {
            parking,
            since: now,
        }
    }

    pub(crate) fn parking(&self) -> &Parking {
        &self.parking
    }

    /// When the time is over.
    pub(crate) fn until(&self) -> u64 {
        self.since + u64::from(self.parking.within_ms)
    }

    pub(crate) fn waited_ms(&self, now: u64) -> u64 {
        now.saturating_sub(self.since)
    }
}

/// Time that was waited, for the model and the transcript.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{} s", ms / 1_000)
}
