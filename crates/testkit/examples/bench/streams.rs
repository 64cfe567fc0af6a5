//! The bench of Media Streams: the same callers against a bare loop, the server and, where it is given, a plain Fastify bridge, in turn.

use std::collections::BTreeMap;
use std::io::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::orchestrate::{Running, drive, echo_engine, first_line, line};
use crate::{number, say};

/// Runs it.
pub(crate) async fn run(options: &BTreeMap<String, String>) -> std::io::Result<()> {
    let seconds = number(options, "seconds", 20);
    let rounds = number(options, "rounds", 3);
    let calls: Vec<u64> = options
        .get("calls")
        .map_or("100,300", String::as_str)
        .split(',')
        .filter_map(|text| text.parse().ok())
        .collect();
    let data = tempfile::tempdir()?;
    let secure = options.contains_key("tls");
    let own = std::env::current_exe()?;
    let (echo, engine) = echo_engine(secure, data.path())?;
    let authority = data.path().join("ca.pem").display().to_string();
    let mut command = Command::new(&own);
    command.args(["stream-floor", "--engine", &engine]);
    if secure {
        command.args(["--ca", &authority]);
    }
    let (floor, floor_webhook) = first_line(&mut command)?;
    let server = start_allo(options, &engine, data.path(), secure.then_some(&authority))?;
    let address = voice_address(data.path()).await?;
    let mut servers = vec![
        ("floor", floor_webhook, floor),
        ("allo", format!("http://{address}/incoming-call"), server),
    ];
    if let Some(bridge) = options.get("fastify") {
        let mut command = Command::new("node");
        command.arg(bridge).env("ENGINE_URL", &engine);
        if secure {
            command.env("NODE_EXTRA_CA_CERTS", &authority);
        }
        let (node, webhook) = first_line(&mut command)?;
        servers.push(("fastify", webhook, node));
    }
    say(&format!(
        "echo engine {engine} (pid {}), {seconds} s a run, {rounds} rounds, in turn",
        echo.0.id()
    ));
    say(
        "server  calls  ms/cs  RTT p50/p99 ms    gap p99  received  webhook p99 ms  →stream p99   RSS MB  generator ms/cs (core, late max ms)",
    );
    for calls in calls {
        for _ in 0..rounds {
            for (name, webhook, process) in &servers {
                let row = drive(options, webhook, process.0.id(), calls, seconds)?;
                say(&line(name, &row));
            }
        }
    }
    Ok(())
}

fn start_allo(
    options: &BTreeMap<String, String>,
    engine: &str,
    data: &Path,
    authority: Option<&String>,
) -> std::io::Result<Running> {
    let allo = options
        .get("allo")
        .cloned()
        .unwrap_or_else(|| "target/release/allo".to_owned());
    let mut command = Command::new(allo);
    command
        .arg("serve")
        .env("ALLO_SERVER_DATA_DIR", data)
        .env("ALLO_SERVER_LOG_LEVEL", "error")
        .env("ALLO_ADMIN_PORT", "0")
        .env("ALLO_PLATFORM_LISTEN", "127.0.0.1:0")
        .env("ALLO_SIP_UDP", "127.0.0.1:0")
        .env("ALLO_SIP_TCP", "off")
        .env("ALLO_SIP_TLS", "off")
        .env("ALLO_VOICE_LISTEN", "127.0.0.1:0")
        .env("ALLO_VOICE_UNSIGNED_LOOPBACK", "true")
        .env("ALLO_AGENT_GREETING", "none")
        .env("ALLO_ENGINE_URL", engine)
        .env("ALLO_LIMITS_CALLS", "2000");
    if let Some(authority) = authority {
        command.env("ALLO_ENGINE_CA", authority);
    }
    if options.contains_key("recording") {
        command.env("ALLO_RECORDING_ENABLED", "true");
    }
    Ok(Running(command.stdout(Stdio::null()).spawn()?))
}

async fn voice_address(data: &Path) -> std::io::Result<String> {
    for _ in 0..500 {
        if let Ok(text) = std::fs::read_to_string(data.join("addresses.json"))
            && let Ok(addresses) = serde_json::from_str::<BTreeMap<String, String>>(&text)
            && let Some(address) = addresses.get("voice")
        {
            return Ok(address.clone());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(Error::other("the server did not start within 10 s"))
}
