//! When the kitchen can hand an order over: preparation by size, and what else it cooks at that time.

use jiff::{SignedDuration, Timestamp};

use super::facts::House;

/// Steps in which a later time is looked for.
const STEP: SignedDuration = SignedDuration::from_mins(5);
/// Steps that are tried: eight hours.
const STEPS_MAX: usize = 96;

/// How much work an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// At most two pieces.
    S,
    /// At most five pieces.
    M,
    /// More.
    L,
}

impl Size {
    /// Of an order with that many pieces.
    pub fn of(pieces: i64) -> Self {
        match pieces {
            ..=2 => Self::S,
            3..=5 => Self::M,
            _ => Self::L,
        }
    }

    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::M => "M",
            Self::L => "L",
        }
    }

    /// Of the wire's letter.
    pub fn read(letter: &str) -> Self {
        match letter {
            "L" => Self::L,
            "M" => Self::M,
            _ => Self::S,
        }
    }

    /// Its share of the kitchen.
    pub fn units(self) -> u32 {
        match self {
            Self::S => 1,
            Self::M => 2,
            Self::L => 3,
        }
    }

    /// Time over the stove: the average, a quarter more for M, half more for L.
    pub fn cooking(self, house: &House) -> SignedDuration {
        let minutes = house.avg_prep_time_min.clamp(0, 24 * 60);
        SignedDuration::from_mins(match self {
            Self::S => minutes,
            Self::M => minutes + minutes / 4,
            Self::L => minutes + minutes / 2,
        })
    }
}

/// An order that the kitchen has to cook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooking {
    /// Begun.
    pub from: Timestamp,
    /// Handed over.
    pub to: Timestamp,
    /// Size.
    pub size: Size,
}

/// When an order is cooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// `cookStartAt`.
    pub from: Timestamp,
    /// `handoffAt`: on the counter, or to the driver.
    pub to: Timestamp,
}

/// The first time from `wanted` on at which the kitchen can hand over an order of that size.
pub fn slot(
    house: &House,
    load: &[Cooking],
    size: Size,
    wanted: Timestamp,
    now: Timestamp,
) -> Slot {
    let cooking = size.cooking(house);
    let earliest = now + cooking;
    let mut to = wanted.max(earliest);
    for _ in 0..STEPS_MAX {
        let from = to - cooking;
        if peak(load, from, to) + size.units() <= house.kitchen_capacity.max(size.units()) {
            return Slot { from, to };
        }
        to += STEP;
    }
    Slot {
        from: to - cooking,
        to,
    }
}

/// The most units that are cooked at one time between two instants.
fn peak(load: &[Cooking], from: Timestamp, to: Timestamp) -> u32 {
    let mut turns: Vec<(Timestamp, bool, u32)> = load
        .iter()
        .filter(|other| other.from < to && from < other.to && other.from < other.to)
        .flat_map(|other| {
            let units = other.size.units();
            [
                (other.from.max(from), true, units),
                (other.to, false, units),
            ]
        })
        .collect();
    // At one instant what is handed over makes room for what begins.
    turns.sort_unstable_by_key(|(at, begins, _)| (*at, *begins));
    let mut units = 0;
    let mut most = 0;
    for (_, begins, count) in turns {
        if begins {
            units += count;
            most = most.max(units);
        } else {
            units -= count;
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    #[test]
    fn sizes_are_those_of_the_contract() {
        assert_eq!(
            [1, 2, 3, 5, 6].map(Size::of),
            [Size::S, Size::S, Size::M, Size::M, Size::L]
        );
    }

    #[test]
    fn a_full_kitchen_promises_later() {
        let house = House {
            avg_prep_time_min: 20,
            kitchen_capacity: 4,
            ..House::default()
        };
        let idle = slot(&house, &[], Size::M, minute(0), minute(0));
        assert_eq!(
            idle,
            Slot {
                from: minute(0),
                to: minute(25)
            }
        );
        let busy = [
            Cooking {
                from: minute(0),
                to: minute(30),
                size: Size::L,
            },
            Cooking {
                from: minute(0),
                to: minute(20),
                size: Size::S,
            },
        ];
        assert_eq!(
            slot(&house, &busy, Size::S, minute(0), minute(0)).to,
            minute(40)
        );
        assert_eq!(
            slot(&house, &busy, Size::S, minute(60), minute(0)).to,
            minute(60)
        );
        // An order that is bigger than the kitchen is cooked alone.
        let small = House {
            kitchen_capacity: 1,
            ..house
        };
        assert_eq!(
            slot(&small, &busy, Size::L, minute(0), minute(0)).from,
            minute(30)
        );
    }

    #[test]
    fn never_more_units_than_the_kitchen_has() {
        let house = House {
            avg_prep_time_min: 17,
            kitchen_capacity: 5,
            ..House::default()
        };
        let mut load: Vec<Cooking> = Vec::new();
        let mut seed = 7_u64;
        for _ in 0..60 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let size = [Size::S, Size::M, Size::L][usize::try_from(seed >> 62).unwrap_or(0) % 3];
            let wanted = minute(i64::try_from(seed >> 40).unwrap_or(0) % 240);
            let slot = slot(&house, &load, size, wanted, minute(0));
            assert!(slot.to >= wanted && slot.from >= minute(0));
            load.push(Cooking {
                from: slot.from,
                to: slot.to,
                size,
            });
        }
        for at in 0..600 {
            assert!(peak(&load, minute(at), minute(at + 1)) <= 5, "minute {at}");
        }
    }

    /// What the sweep finds is what looking at every beginning finds.
    #[test]
    fn the_peak_is_that_of_the_plain_definition() {
        let plain = |load: &[Cooking], from: Timestamp, to: Timestamp| {
            let during: Vec<&Cooking> = load
                .iter()
                .filter(|other| other.from < to && from < other.to)
                .collect();
            let starts = during.iter().map(|other| other.from.max(from));
            starts
                .map(|at| {
                    let cooked = during
                        .iter()
                        .filter(|other| other.from <= at && at < other.to);
                    cooked.map(|other| other.size.units()).sum::<u32>()
                })
                .max()
                .unwrap_or(0)
        };
        let mut state = 7_u64;
        let mut dice = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        let at = |minute: u64| {
            Timestamp::UNIX_EPOCH + SignedDuration::from_mins(i64::try_from(minute).unwrap())
        };
        for _ in 0..500 {
            let load: Vec<Cooking> = (0..dice(12))
                .map(|_| {
                    let from = dice(30);
                    Cooking {
                        from: at(from),
                        to: at(from + dice(10)),
                        size: [Size::S, Size::M, Size::L][usize::try_from(dice(3)).unwrap()],
                    }
                })
                .collect();
            let from = dice(30);
            let to = from + 1 + dice(10);
            assert_eq!(
                peak(&load, at(from), at(to)),
                plain(&load, at(from), at(to)),
                "{load:?}"
            );
        }
    }
}
