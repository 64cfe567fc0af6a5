//! Which account a call goes by, and which number a route means: pure decisions, no state but the wheel of a distribution.
//!
//! Four steps, the first that finds something decides: the account of the workflow, the default account, the first active one,
//! the account of the process's settings.

use std::collections::BTreeMap;

/// How the account of an outgoing call is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// By the four steps.
    #[default]
    Selected,
    /// Each active account in turn.
    RoundRobin,
    /// Each active account by its weight.
    Weighted,
}

impl Distribution {
    /// From its stored name; another name is `selected`.
    pub fn from_name(name: &str) -> Self {
        match name {
            "round_robin" => Self::RoundRobin,
            "weighted" => Self::Weighted,
            _ => Self::Selected,
        }
    }
}

/// A step of the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The account that the workflow names.
    WorkflowAccount,
    /// The default account.
    DefaultAccount,
    /// The first active account.
    FirstActive,
    /// The account of the process's settings.
    Settings,
}

impl Step {
    /// Its name on the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WorkflowAccount => "workflow_account",
            Self::DefaultAccount => "default_account",
            Self::FirstActive => "first_active",
            Self::Settings => "settings",
        }
    }
}

/// An account as the selection sees it; only active ones are shown to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Id of the account.
    pub id: &'a str,
    /// The default of its tenant.
    pub is_default: bool,
    /// Its share where calls are distributed by weight.
    pub weight: u32,
    /// Its registration, or its last health check, did not fail.
    pub is_healthy: bool,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepResult {
    /// Which step.
    pub step: Step,
    /// What it found, whether or not an earlier one decided.
    pub found: Option<String>,
    /// It decided.
    pub is_chosen: bool,
}

/// Goes through the four steps. `accounts` are the active ones in the order of their making.
pub fn select(
    workflow_account: Option<&str>,
    accounts: &[Candidate<'_>],
    settings: Option<&str>,
) -> Vec<StepResult> {
    let known = |id: &str| accounts.iter().any(|account| account.id == id);
    let default = accounts.iter().find(|account| account.is_default);
    let found = [
        (
            Step::WorkflowAccount,
            workflow_account.filter(|account| known(account)),
        ),
        (Step::DefaultAccount, default.map(|account| account.id)),
        (
            Step::FirstActive,
            accounts.first().map(|account| account.id),
        ),
        (Step::Settings, settings),
    ];
    let mut is_decided = false;
    let result = |(step, found): (Step, Option<&str>)| {
        let is_chosen = found.is_some() && !is_decided;
        is_decided |= is_chosen;
        StepResult {
            step,
            found: found.map(str::to_owned),
            is_chosen,
        }
    };
    found.into_iter().map(result).collect()
}

/// The account that the four steps choose.
pub fn selected(
    workflow_account: Option<&str>,
    accounts: &[Candidate<'_>],
    settings: Option<&str>,
) -> Option<String> {
    let steps = select(workflow_account, accounts, settings);
    steps
        .into_iter()
        .find(|step| step.is_chosen)
        .and_then(|step| step.found)
}

/// The wheel of a distribution: smooth weighted round-robin, so that a heavy account's calls are spread between the others'.
#[derive(Clone, Debug, Default)]
pub struct Wheel {
    current: BTreeMap<String, i64>,
}

impl Wheel {
    /// The account of the next call. Accounts that fail are left out as long as another one does not.
    pub fn next(
        &mut self,
        distribution: Distribution,
        accounts: &[Candidate<'_>],
    ) -> Option<String> {
        let weight = |account: &Candidate<'_>| match distribution {
            Distribution::Weighted => i64::from(account.weight),
            Distribution::Selected | Distribution::RoundRobin => 1,
        };
        let any_healthy = accounts
            .iter()
            .any(|account| account.is_healthy && weight(account) > 0);
        let usable: Vec<&Candidate<'_>> = accounts
            .iter()
            .filter(|account| weight(account) > 0 && (account.is_healthy || !any_healthy))
            .collect();
        self.current
            .retain(|id, _| usable.iter().any(|account| account.id == id));
        let total: i64 = usable.iter().map(|account| weight(account)).sum();
        let mut best: Option<(&str, i64)> = None;
        for account in &usable {
            let current = self.current.entry(account.id.to_owned()).or_default();
            *current += weight(account);
            if best.is_none_or(|(_, most)| *current > most) {
                best = Some((account.id, *current));
            }
        }
        let (id, _) = best?;
        if let Some(current) = self.current.get_mut(id) {
            *current -= total;
        }
        Some(id.to_owned())
    }
}

/// Whether a call that ended like this may be tried by another account: nobody was reached. A callee who is busy or declines was,
/// and is not called twice.
pub const fn may_try_another(status: Option<u16>) -> bool {
    match status {
        // Neither an answer nor a way to ask.
        None => true,
        Some(status) => status == 408 || (status >= 500 && status < 600),
    }
}

/// Fewest digits of a national number that are compared with the end of an international one.
const NATIONAL_DIGITS_MIN: usize = 8;

/// Whether two spellings mean one number: `+33…`, `0033…`, `33…`, and the national `0…` of the same.
pub fn same_number(a: &str, b: &str) -> bool {
    let (a, b) = (bare(a), bare(b));
    if a.is_empty() || b.is_empty() {
        return false;
    }
    a == b || is_national_of(&a, &b) || is_national_of(&b, &a)
}

/// A number without its decoration: `+` and `00` before it, spaces and dots in it. A name stays as it is.
fn bare(text: &str) -> String {
    let is_number = text
        .chars()
        .all(|c| c.is_ascii_digit() || "+ .-()/".contains(c));
    if !is_number {
        return text.to_owned();
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    match digits.strip_prefix("00") {
        Some(rest) if !text.starts_with('+') => rest.to_owned(),
        Some(_) | None => digits,
    }
}

fn is_national_of(national: &str, international: &str) -> bool {
    national.strip_prefix('0').is_some_and(|rest| {
        rest.len() >= NATIONAL_DIGITS_MIN
            && international.len() > rest.len()
            && !international.starts_with('0')
            && international.ends_with(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str) -> Candidate<'_> {
        Candidate {
            id,
            is_default: false,
            weight: 1,
            is_healthy: true,
        }
    }

    fn decided(steps: &[StepResult]) -> Option<(Step, &str)> {
        let chosen: Vec<_> = steps.iter().filter(|step| step.is_chosen).collect();
        assert!(chosen.len() <= 1);
        let chosen = chosen.first()?;
        Some((chosen.step, chosen.found.as_deref()?))
    }

    #[test]
    fn the_four_steps_in_their_order() {
        let mut accounts = [account("1"), account("2"), account("3")];
        let steps = select(Some("2"), &accounts, Some("s"));
        assert_eq!(decided(&steps), Some((Step::WorkflowAccount, "2")));
        assert_eq!(
            steps[2].found.as_deref(),
            Some("1"),
            "the others are told too"
        );
        accounts[2].is_default = true;
        let steps = select(Some("gone"), &accounts, Some("s"));
        assert_eq!(decided(&steps), Some((Step::DefaultAccount, "3")));
        accounts[2].is_default = false;
        let steps = select(None, &accounts, Some("s"));
        assert_eq!(decided(&steps), Some((Step::FirstActive, "1")));
        let steps = select(Some("2"), &[], Some("s"));
        assert_eq!(decided(&steps), Some((Step::Settings, "s")));
        assert_eq!(decided(&select(Some("2"), &[], None)), None);
        assert_eq!(selected(None, &accounts, None).as_deref(), Some("1"));
    }

    #[test]
    fn calls_are_spread_in_turn_or_by_weight() {
        let mut accounts = [account("a"), account("b"), account("c")];
        let mut wheel = Wheel::default();
        let mut turn = |accounts: &[Candidate<'_>], how, number: usize| -> String {
            (0..number)
                .filter_map(|_| wheel.next(how, accounts))
                .collect()
        };
        assert_eq!(turn(&accounts, Distribution::RoundRobin, 6), "abcabc");
        accounts[0].weight = 5;
        accounts[2].weight = 0;
        let shares = turn(&accounts, Distribution::Weighted, 12);
        assert_eq!(shares.matches('a').count(), 10);
        assert_eq!(shares.matches('b').count(), 2);
        assert!(!shares.contains("bb"), "{shares}");
        accounts[0].is_healthy = false;
        assert_eq!(turn(&accounts, Distribution::Weighted, 3), "bbb");
        accounts[1].is_healthy = false;
        assert!(
            turn(&accounts, Distribution::Weighted, 4).contains('a'),
            "a failing one is better than none"
        );
        assert_eq!(turn(&[], Distribution::RoundRobin, 1), "");
    }

    #[test]
    fn who_was_reached_is_not_called_again() {
        for status in [None, Some(408), Some(500), Some(502), Some(503), Some(504)] {
            assert!(may_try_another(status), "{status:?}");
        }
        for status in [403, 404, 480, 486, 487, 488, 600, 603, 607, 200] {
            assert!(!may_try_another(Some(status)), "{status}");
        }
        // And no status beside these: what a trunk answers that knows the callee is an answer.
        for status in 100..700 {
            let nobody = status == 408 || (500..600).contains(&status);
            assert_eq!(may_try_another(Some(status)), nobody, "{status}");
        }
    }

    #[test]
    fn spellings_of_one_number() {
        for other in [
            "+33123456789",
            "33123456789",
            "0033123456789",
            "01 23 45 67 89",
        ] {
            assert!(same_number("+33123456789", other), "{other}");
        }
        for other in [
            "+33123456788",
            "123456789",
            "0123456788",
            "alice",
            "",
            "012",
        ] {
            assert!(!same_number("+33123456789", other), "{other}");
        }
        assert!(same_number("alice", "alice"));
        assert!(!same_number("", ""));
    }
}
