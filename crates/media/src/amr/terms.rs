//! What was agreed about AMR-WB (`a=fmtp`, RFC 4867 section 8.1).

/// Rates that there are, 6.6 to 23.85 kbit/s.
const MODES: u8 = 9;
/// The rate that we send unless asked otherwise, as mobile networks do: 12.65 kbit/s.
const MODE: u8 = 2;

/// What a packet looks like, and which rates it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmrTerms {
    /// Each part begins with an octet; else bits follow bits (bandwidth-efficient).
    pub octet_aligned: bool,
    /// Rates that may be used: bit n stands for mode n.
    pub modes: u16,
    /// The rate is changed at each so manieth frame at most: 1 or 2.
    pub change_period: u8,
    /// The rate is changed to the next one of those that there are.
    pub neighbour: bool,
}

impl Default for AmrTerms {
    fn default() -> Self {
        Self {
            octet_aligned: false,
            modes: (1 << MODES) - 1,
            change_period: 1,
            neighbour: false,
        }
    }
}

impl AmrTerms {
    /// Our own parameters: we change the rate when we are asked to, and want no frame twice.
    pub const OURS: &'static str = "mode-change-capability=2; max-red=0";
    /// The same with packets of octets.
    pub const OURS_BY_OCTETS: &'static str = "octet-align=1; mode-change-capability=2; max-red=0";

    /// Reads the peer's parameters; what is not understood is as if it were not there.
    #[must_use]
    pub fn from_parameters(text: &str) -> Self {
        let mut terms = Self::default();
        for (name, value) in text.split(';').filter_map(|part| part.split_once('=')) {
            let (name, value) = (name.trim(), value.trim());
            if name.eq_ignore_ascii_case("octet-align") {
                terms.octet_aligned = value == "1";
            } else if name.eq_ignore_ascii_case("mode-change-period") {
                terms.change_period = if value == "2" { 2 } else { 1 };
            } else if name.eq_ignore_ascii_case("mode-change-neighbor") {
                terms.neighbour = value == "1";
            } else if name.eq_ignore_ascii_case("mode-set") {
                let named = value.split(',').filter_map(|mode| mode.trim().parse().ok());
                let modes = named
                    .filter(|mode: &u8| *mode < MODES)
                    .fold(0, |modes, mode| modes | 1 << mode);
                if modes != 0 {
                    terms.modes = modes;
                }
            }
        }
        terms
    }

    /// Whether this rate was agreed.
    pub(super) fn permits(self, mode: u8) -> bool {
        mode < MODES && self.modes & 1 << mode != 0
    }

    /// The rate that we begin with.
    pub(super) fn first_mode(self) -> u8 {
        let mut below = (0..=MODE).rev().chain(MODE + 1..MODES);
        below.find(|mode| self.permits(*mode)).unwrap_or(MODE)
    }

    /// The rate that comes after `mode` on the way to `wanted`.
    pub(super) fn towards(self, mode: u8, wanted: u8) -> u8 {
        if !self.neighbour || mode == wanted {
            return wanted;
        }
        let next = if wanted > mode {
            (mode + 1..=wanted).find(|mode| self.permits(*mode))
        } else {
            (wanted..mode).rev().find(|mode| self.permits(*mode))
        };
        next.unwrap_or(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_understood() {
        let asked = |text| AmrTerms::from_parameters(text);
        assert_eq!(asked(""), AmrTerms::default());
        let volte = asked("mode-set=0,1,2; octet-align=1; mode-change-capability=2;max-red=0");
        assert!(volte.octet_aligned);
        assert_eq!((volte.modes, volte.first_mode()), (0b111, 2));
        assert_eq!(asked("mode-set=8").first_mode(), 8);
        assert_eq!(asked("mode-set=0,1").first_mode(), 1);
        assert_eq!(asked("mode-set=x,12"), AmrTerms::default());
        assert_eq!(asked("mode-change-period=2").change_period, 2);
    }

    #[test]
    fn a_rate_is_approached_by_its_neighbours_where_that_was_agreed() {
        let terms = AmrTerms::from_parameters("mode-set=0,2,5,8;mode-change-neighbor=1");
        assert_eq!(terms.towards(2, 8), 5);
        assert_eq!(terms.towards(8, 0), 5);
        assert_eq!(terms.towards(2, 0), 0);
        assert_eq!(AmrTerms::default().towards(2, 8), 8);
        assert!(!terms.permits(3) && !terms.permits(15));
    }
}
