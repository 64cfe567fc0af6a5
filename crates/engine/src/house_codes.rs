//! Codes of a telephone of the house: what it dials instead of a number, and what whoever has a caller presses.
//!
//! A telephone dials `*85` and a parking place, or one of three ways into a running call and the last digits of its caller's number:
//! `*86` beside the agent, `*87` in its place, `*88` to listen and be heard by nobody. Who is on the line presses `*85` to park the
//! caller, `*87` to take them over and `*86` to have the agent there again; who listens comes in by the last two. Where a telephone
//! finds one parked caller, or one call, it needs no digits.

pub(crate) mod keys;

use call::Seat;

/// Most digits behind a code.
const DIGITS_MAX: usize = 4;

/// What a telephone of the house dials that is no call of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dialled {
    /// The caller who waits in this parking place; without a number the only one who waits.
    Parked(Option<u16>),
    /// A running call whose caller's number ends like this; empty: the only one.
    Running {
        /// How it comes into the call.
        way: Way,
        /// The last digits of the caller's number.
        caller: String,
    },
}

/// How a telephone comes into a running call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It hears both sides, and nobody hears it.
    Listens,
    /// Its person is on the line.
    Talks(Seat),
}

impl Way {
    /// What the audit log calls it, as when it is asked for by the API.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Listens => "listen",
            Self::Talks(Seat::Beside) => "join",
            Self::Talks(Seat::Instead) => "take_over",
        }
    }
}

/// What a dialled number means; `None` where it is no code.
pub(crate) fn dialled(number: &str) -> Option<Dialled> {
    let escaped = number.strip_prefix("%2A");
    let escaped = escaped.or_else(|| number.strip_prefix("%2a"));
    let rest = escaped.or_else(|| number.strip_prefix('*'))?;
    let (code, digits) = rest.split_at_checked(2)?;
    if digits.len() > DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let running = |way| {
        Some(Dialled::Running {
            way,
            caller: digits.to_owned(),
        })
    };
    match code {
        "85" if digits.is_empty() => Some(Dialled::Parked(None)),
        "85" => digits
            .parse()
            .ok()
            .map(|place| Dialled::Parked(Some(place))),
        "86" => running(Way::Talks(Seat::Beside)),
        "87" => running(Way::Talks(Seat::Instead)),
        "88" => running(Way::Listens),
        _ => None,
    }
}

/// Whether a party's number, or the user part of its address, ends with these digits.
pub(crate) fn ends_with(party: &str, digits: &str) -> bool {
    let user = party.split_once('@').map_or(party, |(user, _)| user);
    let own: String = user.chars().filter(char::is_ascii_digit).collect();
    own.ends_with(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dialled() {
        let parked = |place| Some(Dialled::Parked(place));
        let running = |way, caller: &str| {
            Some(Dialled::Running {
                way,
                caller: caller.to_owned(),
            })
        };
        for (number, meant) in [
            ("*85", parked(None)),
            ("%2A85", parked(None)),
            ("%2a857", parked(Some(7))),
            ("*851", parked(Some(1))),
            ("*8599", parked(Some(99))),
            ("*85100", parked(Some(100))),
            ("*86", running(Way::Talks(Seat::Beside), "")),
            ("%2A8642", running(Way::Talks(Seat::Beside), "42")),
            ("*870142", running(Way::Talks(Seat::Instead), "0142")),
            ("*88", running(Way::Listens, "")),
            ("*8812", running(Way::Listens, "12")),
            ("*8812345", None),
            ("*8512345", None),
            ("*85x", None),
            ("*85+1", None),
            ("*84", None),
            ("*89", None),
            ("*8", None),
            ("*8é5", None),
            ("85", None),
            ("8512", None),
            ("+33140506072", None),
            ("", None),
        ] {
            assert_eq!(dialled(number), meant, "{number}");
        }
    }

    #[test]
    fn how_a_number_ends() {
        assert!(ends_with("+33 1 55 50 90 06", "9006"));
        assert!(ends_with("sip:0155509006@192.0.2.1:5060", "06") && ends_with("anonymous", ""));
        assert!(!ends_with("+33155509006", "907") && !ends_with("anonymous", "6"));
    }
}
