//! How many files and sockets this process may have open, and what of them strangers may hold.
//!
//! Many systems begin a process with 1,024. A call needs four; connections of strangers must not take them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files and sockets of a call: RTP, RTCP, the engine, the recording.
const FILES_OF_A_CALL: u64 = 4;
/// Files and sockets of everything else: listeners, the store, the API, webhooks.
const FILES_OF_THE_HOUSE: u64 = 256;
/// Stream connections of SIP that are possible however few files there are.
const CONNECTIONS_MIN: u64 = 64;

/// Asks for as many open files as the system lets this process have; how many it has now.
pub(crate) fn ask_for_all() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    let limit = match setrlimit(Resource::Nofile, all) {
        Ok(()) => now.maximum,
        Err(_) => now.current,
    };
    limit.unwrap_or(u64::MAX)
}

/// Stream connections that leave enough files for the calls.
pub(crate) fn connections(files: u64, calls_max: u32, wanted: u32) -> u32 {
    let others = FILES_OF_A_CALL * u64::from(calls_max) + FILES_OF_THE_HOUSE;
    let left = files.saturating_sub(others).max(CONNECTIONS_MIN);
    u32::try_from(left).map_or(wanted, |left| left.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_enough_files_for_the_calls() {
        assert_eq!(connections(1_048_576, 500, 10_000), 10_000);
        assert_eq!(connections(1_024, 10, 10_000), 728);
        assert_eq!(connections(1_024, 500, 10_000), 64);
        assert_eq!(connections(u64::MAX, 10, 10_000), 10_000);
    }

    #[test]
    fn asking_gives_what_the_system_allows() {
        let files = ask_for_all();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current.unwrap_or(u64::MAX), files);
    }
}
