//! Lines at their registrars, the way back to us, and the engines of the settings.

use super::beside::Beside;
use super::{Area, Findings};
use crate::config::ProcessConfig;
use catalog::Message;
use engine::line_test::{self, LineReport, LineTest};
use std::net::IpAddr;

/// The line test of each line of the settings. Beside a running server nothing is bound: its registration is the proof.
pub(super) async fn test(
    config: &ProcessConfig,
    beside: &Beside,
    number: Option<&str>,
) -> Vec<(String, LineReport)> {
    let mut reports = Vec::new();
    for line in &config.engine.lines {
        let Some(account) = line.account.clone() else {
            continue;
        };
        let sip = &config.engine.sip;
        let test = LineTest {
            number: number.map(str::to_owned),
            bind: !beside.runs(),
            name_servers: sip.name_servers.clone(),
            extra_ca_pem: sip.extra_ca_pem.clone(),
            ..LineTest::new(account, &sip.user_agent)
        };
        reports.push((line.name.clone(), line_test::run(test).await));
    }
    reports
}

/// Each engine of the settings, with what it said.
pub(super) async fn engines(config: &ProcessConfig) -> Vec<(String, Message)> {
    let ca = &config.engine.sip.extra_ca_pem;
    let mut answers = Vec::new();
    for agent in &config.engine.agents {
        answers.push((
            agent.name.clone(),
            engine::engine_test::run(agent, ca).await,
        ));
        if let Some(second) = &agent.fallback {
            let mut other = agent.clone();
            other.engine = second.clone();
            let name = format!("{} (2)", agent.name);
            answers.push((name, engine::engine_test::run(&other, ca).await));
        }
    }
    answers
}

/// Asks the STUN server of the settings, where there is one: how it sees a socket of this machine.
pub(super) async fn seen_by_stun(
    config: &ProcessConfig,
    findings: &mut Findings,
) -> Option<IpAddr> {
    let server = config.engine.rtp.stun_server.as_ref()?;
    let name_servers = &config.engine.sip.name_servers;
    let seen = line_test::seen_by(server, config.engine.rtp.bind, name_servers).await;
    let message = match seen {
        Some(seen) => Message::new("doctor_stun").with("seen", seen.to_string()),
        None => Message::new("doctor_stun_silent"),
    };
    let message = message.with("server", server.to_string());
    findings.named(Area::Nat, None, message);
    seen.map(|seen| seen.ip())
}

/// Whether peers can reach the address that we announce.
pub(super) fn nat(
    config: &ProcessConfig,
    name: &str,
    report: &LineReport,
    by_stun: Option<IpAddr>,
    findings: &mut Findings,
) {
    let (Some(local), Some((seen, _))) = (report.local, report.seen) else {
        return;
    };
    let announced = config.engine.rtp.advertised;
    let shown = |address: IpAddr| address.to_string();
    let message = match announced {
        Some(announced) if announced == seen => {
            Message::new("doctor_nat_handled").with("announced", shown(announced))
        }
        Some(announced) => Message::new("doctor_nat_wrong")
            .with("announced", shown(announced))
            .with("seen", shown(seen)),
        None if seen == local.ip() => Message::new("doctor_nat_none").with("seen", shown(seen)),
        None if by_stun.is_some() => Message::new("doctor_nat_found")
            .with("local", shown(local.ip()))
            .with("seen", shown(seen)),
        None => Message::new("doctor_nat_behind")
            .with("local", shown(local.ip()))
            .with("seen", shown(seen)),
    };
    findings.named(Area::Nat, Some(name), message);
}
