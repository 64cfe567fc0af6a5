//! Whether a process of this very machine is gone, where the system can tell (Linux).

use std::fs;

/// This machine since its start, this process's view of process numbers (a container has its own), and when this process began;
/// empty where the system does not say.
pub(super) fn identity() -> String {
    let began = began(i64::from(std::process::id()));
    match (place(), began) {
        (Some(place), Some(began)) => format!("{place}/{began}"),
        _ => String::new(),
    }
}

/// Whether the process of that identity and number is certainly gone: it ran here, and no process of that number and begin is
/// left.
pub(super) fn is_gone(identity: &str, pid: i64) -> bool {
    let Some((ran_at, its_begin)) = identity.rsplit_once('/') else {
        return false;
    };
    place().is_some_and(|here| here == ran_at) && began(pid).is_none_or(|now| now != its_begin)
}

fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), numbers.display()))
}

/// When the process of that number began, in ticks since the machine's start; `None` when there is none or it is a zombie.
fn began(pid: i64) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<&str> = status.rsplit_once(") ")?.1.split(' ').collect();
    match fields.as_slice() {
        ["Z" | "X", ..] => None,
        fields => fields.get(19).map(|&ticks| ticks.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_is_gone_when_its_number_is_free_or_another_has_it() {
        let own = i64::from(std::process::id());
        let identity = identity();
        assert!(!identity.is_empty() && !is_gone(&identity, own));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let number = i64::from(child.id());
        child.wait().unwrap();
        assert!(is_gone(&identity, number), "no such process");
        assert!(is_gone(&identity, 1), "another process has that number");
        assert!(
            !is_gone("elsewhere/pid:[1]/5", number),
            "not of this machine"
        );
        assert!(!is_gone("", number), "unknown");
    }
}
