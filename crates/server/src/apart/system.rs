//! Processes as the system shows them: whether one lives, how much memory it uses, and a hold on it that no other process of
//! the same number can slip into.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How often a process is looked at where the system gives no better way to wait for its end.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Processes that a search looks at.
const SEARCHED_MAX: usize = 65_536;

/// When the process of that number began, in ticks since the machine's start; `None` when there is none, or only its remains.
pub(super) fn began(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<&str> = status.rsplit_once(") ")?.1.split(' ').collect();
    match fields.as_slice() {
        ["Z" | "X", ..] => None,
        fields => fields.get(19)?.parse().ok(),
    }
}

/// Resident memory, bytes.
pub(super) fn memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let row = status.lines().find(|row| row.starts_with("VmRSS:"))?;
    let kilobytes: u64 = row.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes.saturating_mul(1_024))
}

/// Whether the process of that number was begun with this mark in its environment.
pub(super) fn carries(pid: u32, mark: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    contains(&environment, mark)
}

fn contains(environment: &[u8], mark: &str) -> bool {
    !mark.is_empty()
        && environment
            .windows(mark.len())
            .any(|part| part == mark.as_bytes())
}

/// The processes that were begun with one of these marks: number and begin, by mark.
pub(super) fn find(marks: &[String]) -> BTreeMap<String, (u32, u64)> {
    let mut found = BTreeMap::new();
    if marks.is_empty() {
        return found;
    }
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries.take(SEARCHED_MAX) {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if !contains(&environment, super::orders::VARIABLE) {
            continue;
        }
        let known = marks.iter().find(|mark| contains(&environment, mark));
        if let (Some(mark), Some(began)) = (known, began(pid)) {
            found.insert(mark.clone(), (pid, began));
        }
    }
    found
}

/// A hold on one process. It stays a hold on that one when its number is given to another.
pub(super) struct Hold {
    pub(super) pid: u32,
    began: u64,
    fd: Option<AsyncFd<OwnedFd>>,
}

impl Hold {
    /// Takes hold of the process of that number and begin; `None` where it is gone.
    pub(super) fn take(pid: u32, began_at: u64) -> Option<Self> {
        let number = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let fd = pidfd_open(number, PidfdFlags::empty()).ok();
        // After the hold: were it another process by now, it would have begun at another time.
        if began(pid) != Some(began_at) {
            return None;
        }
        #[expect(
            deprecated,
            reason = "its descriptor is owned, and closed after its registration: what the warning is about cannot happen"
        )]
        let fd = fd.and_then(|fd| AsyncFd::with_interest(fd, Interest::READABLE).ok());
        Some(Self {
            pid,
            began: began_at,
            fd,
        })
    }

    pub(super) fn lives(&self) -> bool {
        began(self.pid) == Some(self.began)
    }

    pub(super) fn signal(&self, signal: Signal) {
        let sent = match &self.fd {
            Some(fd) => pidfd_send_signal(fd.get_ref(), signal),
            None if self.lives() => match i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
                Some(pid) => rustix::process::kill_process(pid, signal),
                None => Ok(()),
            },
            None => Ok(()),
        };
        if let Err(error) = sent {
            tracing::debug!(pid = self.pid, %error, "not signalled");
        }
    }

    /// Ready once the process is gone.
    pub(super) async fn gone(&self) {
        if let Some(fd) = &self.fd {
            let _ = fd.readable().await;
        }
        while self.lives() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hold_is_on_one_process_and_not_on_its_number() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env(super::super::orders::VARIABLE, "mark-7f")
            .spawn()
            .unwrap();
        let pid = child.id();
        let at = began(pid).unwrap();
        assert!(
            Hold::take(pid, at + 1).is_none(),
            "another process of that number"
        );
        let hold = Hold::take(pid, at).unwrap();
        assert!(hold.lives() && memory(pid).unwrap() > 0);
        // The program is in place once its environment can be read.
        while !carries(pid, "mark-7f") {
            tokio::task::yield_now().await;
        }
        assert!(!carries(pid, "mark-8f"));
        let found = find(&["mark-8f".to_owned(), "mark-7f".to_owned()]);
        assert_eq!(found, BTreeMap::from([("mark-7f".to_owned(), (pid, at))]));
        hold.signal(Signal::KILL);
        // Its remains are no process: nobody has waited for it yet.
        tokio::time::timeout(Duration::from_secs(10), hold.gone())
            .await
            .unwrap();
        assert!(!hold.lives() && Hold::take(pid, at).is_none());
        child.wait().unwrap();
        hold.signal(Signal::KILL);
    }
}
