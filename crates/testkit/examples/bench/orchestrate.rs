//! Starts the processes, drives each server in turn, prints the table.

use crate::{number, say};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Error};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that is killed when the bench ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A generator that was later than this measures itself, ms.
const LATE_MS_MAX: f64 = 20.0;

/// Runs the whole bench.
pub(crate) async fn run(options: &BTreeMap<String, String>) -> std::io::Result<()> {
    let allo = options
        .get("allo")
        .cloned()
        .unwrap_or_else(|| "target/release/allo".to_owned());
    let seconds = number(options, "seconds", 20);
    let rounds = number(options, "rounds", 3);
    let counts: Vec<u64> = options
        .get("calls")
        .map_or("1,50,200", String::as_str)
        .split(',')
        .filter_map(|text| text.parse().ok())
        .collect();
    let data = tempfile::tempdir()?;
    let secure = options.contains_key("tls");
    let (echo, engine) = echo_engine(secure, data.path())?;
    let authority = secure.then(|| data.path().join("ca.pem").display().to_string());
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["floor", "--engine", &engine]);
    if let Some(authority) = &authority {
        command.args(["--ca", authority]);
    }
    let (floor, floor_address) = first_line(&mut command)?;
    let server = start_allo(options, &allo, &engine, data.path(), authority.as_deref())?;
    let server_address = wait_for_address(data.path()).await?;
    say(&format!(
        "echo engine {engine} (pid {}), {seconds} s a run, {rounds} rounds, floor and allo in turn",
        echo.0.id()
    ));
    say(
        "server  calls  ms/cs  RTT p50/p99 ms    gap p99  received   INVITE→180 p99  →200 p99  ACK→sound   RSS MB  generator ms/cs (core, late max ms)",
    );
    for calls in counts {
        for _ in 0..rounds {
            // The floor knows one codec, and no encryption.
            let both = !options.contains_key("codec") && !options.contains_key("security");
            let floor = both.then_some(("floor", floor_address.as_str(), floor.0.id()));
            let server = ("allo", server_address.as_str(), server.0.id());
            for (name, address, pid) in floor.into_iter().chain([server]) {
                let row = drive(options, address, pid, calls, seconds)?;
                say(&line(name, &row));
            }
        }
    }
    Ok(())
}

pub(crate) fn line(name: &str, row: &serde_json::Value) -> String {
    let value = |key: &str| {
        row.get(key)
            .and_then(serde_json::Value::as_f64)
            .unwrap_or(f64::NAN)
    };
    format!(
        "{name:6} {:6} {:6.2}  {:7.1} /{:7.1}  {:7.1}  {:8.4}  {:13.1}  {:9.1}  {:9.1}  {:7.1}  {:.2} ({:.2}, {:.1}){}{}",
        value("calls"),
        value("server_ms_per_cs"),
        value("rtt_p50_ms"),
        value("rtt_p99_ms"),
        value("gap_p99_ms"),
        value("received_share"),
        value("ring_p99_ms"),
        value("answer_p99_ms"),
        value("first_p99_ms"),
        value("rss_mb"),
        value("generator_ms_per_cs"),
        value("generator_core_share"),
        value("generator_late_ms_max"),
        if value("refused") > 0.0 {
            format!("  refused (503) {}", value("refused"))
        } else {
            String::new()
        },
        if value("failed") > 0.0 {
            format!("  FAILED {}", value("failed"))
        } else if value("generator_late_ms_max") > LATE_MS_MAX {
            "  generator late: delays do not count".to_owned()
        } else {
            String::new()
        },
    )
}

pub(crate) fn first_line(command: &mut Command) -> std::io::Result<(Running, String)> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let output = child
        .stdout
        .take()
        .ok_or_else(|| Error::other("no standard output"))?;
    let running = Running(child);
    let mut text = String::new();
    BufReader::new(output).read_line(&mut text)?;
    Ok((running, text.trim().to_owned()))
}

/// The echo engine and its address; its certificate goes to `data`.
pub(crate) fn echo_engine(secure: bool, data: &Path) -> std::io::Result<(Running, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("echo-engine");
    if secure {
        command.arg("--tls").arg(data);
    }
    first_line(&mut command)
}

/// `--core N` holds it to one core, `--recording` and `--greeting` say what they say, and `--set name=value,…` is any setting.
fn start_allo(
    options: &BTreeMap<String, String>,
    path: &str,
    engine: &str,
    data: &Path,
    authority: Option<&str>,
) -> std::io::Result<Running> {
    let mut command = match options.get("core") {
        None => Command::new(path),
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", core, path]);
            command
        }
    };
    if let Some(authority) = authority {
        command.env("ALLO_ENGINE_CA", authority);
    }
    let switch = |name| {
        if options.contains_key(name) {
            "true"
        } else {
            "false"
        }
    };
    command
        .arg("serve")
        .env("ALLO_SERVER_DATA_DIR", data)
        .env("ALLO_SERVER_LOG_LEVEL", "error")
        .env("ALLO_ADMIN_PORT", "0")
        .env("ALLO_SIP_UDP", "127.0.0.1:0")
        .env("ALLO_SIP_TCP", "off")
        .env("ALLO_SIP_TLS", "off")
        .env("ALLO_RTP_BIND", "127.0.0.1")
        .env("ALLO_LINE_ALLOW_LOOPBACK", "true")
        .env("ALLO_ENGINE_URL", engine)
        .env("ALLO_LIMITS_CALLS", "2000")
        .env("ALLO_RECORDING_ENABLED", switch("recording"))
        // What is announced first holds the caller's sound back, which an echo never catches up.
        .env("ALLO_RECORDING_ANNOUNCE", "false");
    if !options.contains_key("greeting") {
        command.env("ALLO_AGENT_GREETING", "none");
    }
    for (name, value) in options
        .get("set")
        .into_iter()
        .flat_map(|text| text.split(','))
        .filter_map(|one| one.split_once('='))
    {
        let name = name.replace('.', "_").to_uppercase();
        command.env(format!("ALLO_{name}"), value);
    }
    Ok(Running(command.stdout(Stdio::null()).spawn()?))
}

async fn wait_for_address(data: &Path) -> std::io::Result<String> {
    for _ in 0..500 {
        if let Ok(text) = std::fs::read_to_string(data.join("addresses.json"))
            && let Ok(addresses) = serde_json::from_str::<BTreeMap<String, String>>(&text)
            && let Some(address) = addresses.get("sip/udp")
        {
            return Ok(address.clone());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(Error::other("the server did not start within 10 s"))
}

pub(crate) fn drive(
    options: &BTreeMap<String, String>,
    address: &str,
    pid: u32,
    calls: u64,
    seconds: u64,
) -> std::io::Result<serde_json::Value> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("generate");
    for name in ["codec", "security", "set"] {
        if let Some(value) = options.get(name) {
            command.args([&format!("--{name}"), value]);
        }
    }
    let output = command
        .args(["--target", address, "--calls", &calls.to_string()])
        .args([
            "--seconds",
            &seconds.to_string(),
            "--watch",
            &pid.to_string(),
        ])
        .output()?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        Error::other(format!(
            "generator: {error}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    })
}
