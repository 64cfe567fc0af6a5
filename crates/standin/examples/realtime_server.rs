//! The stand-in service alone, for clients in other languages: prints its address and serves until standard input ends.
//!
//! `realtime_server [--scenario NAME-OR-FILE] [--port PORT] [--key KEY] [--record DIR]`

use std::net::SocketAddr;
use std::path::PathBuf;

use standin::realtime::{Config, Server};
use standin::scenario::Scenario;
use standin::speech::Speech;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the address is its output")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut scenario, mut port, mut key, mut record) = (Scenario::demo_fr(), 0, None, None);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--scenario" => {
                scenario = match Scenario::embedded(&value) {
                    Some(scenario) => scenario,
                    None => Scenario::from_file(&PathBuf::from(value))?,
                };
            }
            "--port" => port = value.parse()?,
            "--key" => key = Some(value),
            "--record" => record = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    let speech = Speech::new(None);
    let prepared = scenario.prepare(&speech).await?;
    let mut config = Config::new(prepared, speech);
    config.listen = SocketAddr::from(([127, 0, 0, 1], port));
    config.api_key = key;
    config.record_dir = record;
    let server = Server::start(config).await?;
    println!("{}", server.url());
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await??;
    server.shutdown().await;
    Ok(())
}
