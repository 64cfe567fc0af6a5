//! The machine: data directory, disk, encryption key, database, clock, back office.

use super::beside::Beside;
use super::{Area, Findings};
use crate::config::{self, ProcessConfig};
use crate::serve::open_store;
use crate::settings::Settings;
use agent::{HttpCall, Method};
use catalog::Message;
use courier::{Caller, Courier, CourierConfig};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};
use store::secret::Vault;

/// Less free space than this is a failure, and than that a warning; bytes.
const FREE_BYTES_MIN: u64 = 100 * 1024 * 1024;
const FREE_BYTES_LOW: u64 = 1024 * 1024 * 1024;
/// A clock that is off by more seconds breaks TLS and signatures, and by that many should be set.
const CLOCK_WRONG_S: u64 = 300;
const CLOCK_OFF_S: u64 = 30;
/// Wall and monotonic clock may differ by so much while the doctor works, milliseconds.
const JUMP_MS: u128 = 500;
/// Longest wait for the back office, milliseconds.
const BACK_OFFICE_MS: u32 = 5_000;

pub(super) fn data(config: &ProcessConfig, findings: &mut Findings) {
    let directory = &config.data_dir;
    let shown = directory.display().to_string();
    if let Err(error) = writable(directory) {
        let message = Message::new("doctor_data_unwritable")
            .with("path", shown)
            .with("cause", error.to_string());
        return findings.add(Area::Data, message);
    }
    let free = rustix::fs::statvfs(existing(directory).as_path())
        .map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    let code = match free {
        0..FREE_BYTES_MIN => "doctor_disk_full",
        FREE_BYTES_MIN..FREE_BYTES_LOW => "doctor_disk_low",
        FREE_BYTES_LOW.. => "doctor_data_ok",
    };
    let message = Message::new(code)
        .with("path", shown)
        .with("free", free / (1024 * 1024));
    findings.add(Area::Data, message);
    for name in ["admin-token", "sip-key.pem"] {
        open_to_others(&directory.join(name), findings);
    }
}

fn open_to_others(path: &Path, findings: &mut Findings) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = std::fs::metadata(path) else {
        return;
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let message = Message::new("doctor_data_open")
            .with("path", path.display().to_string())
            .with("mode", format!("{mode:o}"));
        findings.add(Area::Data, message);
    }
}

/// The directory itself, or the nearest one above it that is there.
fn existing(directory: &Path) -> PathBuf {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let nearest = absolute.ancestors().find(|path| path.is_dir());
    nearest.unwrap_or(Path::new("/")).to_owned()
}

/// Writes a file and removes it. A directory that is not there yet is not made.
fn writable(directory: &Path) -> std::io::Result<()> {
    if directory.exists() && !directory.is_dir() {
        return Err(std::io::ErrorKind::NotADirectory.into());
    }
    let probe = existing(directory).join(format!(".allo-doctor-{}", std::process::id()));
    std::fs::write(&probe, b"x")?;
    std::fs::remove_file(&probe)
}

pub(super) fn key(config: &ProcessConfig, findings: &mut Findings) {
    let message = match config.keys.check() {
        Err(error) => error.message(),
        Ok(()) if config.keys.setting.is_some() || config.keys.file().exists() => {
            Message::new("doctor_key_ok")
        }
        Ok(()) => Message::new("doctor_key_new"),
    };
    findings.add(Area::Key, message);
}

pub(super) async fn database(config: &ProcessConfig, beside: &Beside, findings: &mut Findings) {
    let shown = config::without_password(&config.database);
    let of = |code: &'static str| Message::new(code).with("path", shown.as_str());
    if beside.runs() {
        let code = if beside.store_failing() {
            "doctor_database_failing"
        } else {
            "doctor_database_ok"
        };
        return findings.add(Area::Database, of(code));
    }
    let is_file = !config.database.contains("://");
    if is_file && !Path::new(config.database.trim_start_matches("sqlite:")).exists() {
        return findings.add(Area::Database, of("doctor_database_new"));
    }
    let store = match open_store(&config.database).await {
        Ok(store) => store,
        Err(message) => return findings.add(Area::Database, message),
    };
    findings.add(Area::Database, of("doctor_database_ok"));
    if let Err(error) = Vault::unlock(&store, &config.keys).await {
        findings.add(Area::Key, error.message());
    }
    store.close().await;
}

/// What the back office answered, and what time it told.
#[derive(Default)]
pub(super) struct Answered {
    pub(super) message: Option<Message>,
    /// Who told the time, and how far we are ahead, seconds.
    pub(super) ahead: Option<(String, i64)>,
}

pub(super) async fn back_office(config: &ProcessConfig, settings: &Settings) -> Answered {
    let Some(url) = settings.set("tools.back_office") else {
        return Answered::default();
    };
    let down = |cause: String| Answered {
        message: Some(
            Message::new("doctor_back_office_down")
                .with("url", url)
                .with("cause", cause),
        ),
        ahead: None,
    };
    let courier = match Courier::new(CourierConfig {
        collector: None,
        ..config.courier.clone()
    }) {
        Ok(courier) => courier,
        Err(error) => return down(error.to_string()),
    };
    let call = HttpCall {
        method: Method::Get,
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        timeout_ms: BACK_OFFICE_MS,
        idempotency_key: None,
        safe_to_retry: false,
    };
    let limit = courier::limits::REPLY_BODY_MAX;
    match courier.send(&call, &Caller::default(), limit).await {
        Ok(reply) => {
            let theirs = reply
                .date
                .as_deref()
                .and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
            let ahead = theirs
                .map(|date| Timestamp::now().as_second() - date.timestamp().as_second())
                .map(|seconds| (url.to_owned(), seconds));
            let code = if reply.status >= 500 {
                "doctor_back_office_ill"
            } else {
                "doctor_back_office_ok"
            };
            let message = Message::new(code)
                .with("url", url)
                .with("status", reply.status);
            Answered {
                message: Some(message),
                ahead,
            }
        }
        Err(error) => down(error.to_string()),
    }
}

pub(super) fn clock(
    told: Option<(String, i64)>,
    (begun, wall): (Instant, SystemTime),
    findings: &mut Findings,
) {
    let monotonic = begun.elapsed().as_millis();
    let walked = wall.elapsed().map_or(0, |passed| passed.as_millis());
    if walked.abs_diff(monotonic) > JUMP_MS {
        let message =
            Message::new("doctor_clock_jumps").with("ms", walked.abs_diff(monotonic).to_string());
        findings.add(Area::Clock, message);
    }
    let message = match told {
        None => Message::new("doctor_clock_unknown"),
        Some((source, ahead)) => {
            let code = match ahead.unsigned_abs() {
                off if off > CLOCK_WRONG_S => "doctor_clock_wrong",
                off if off > CLOCK_OFF_S => "doctor_clock_off",
                _ => "doctor_clock_ok",
            };
            Message::new(code)
                .with("seconds", ahead.unsigned_abs())
                .with("source", source)
        }
    };
    findings.add(Area::Clock, message);
}
