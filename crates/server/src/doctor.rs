//! `allo doctor`: what stands in the way of a call, each thing with a verdict and its remedy, and the one to do first.
//!
//! It needs the settings alone; beside a running server it asks that server instead of taking its ports and its database,
//! and makes no registration.

mod beside;
mod lines;
mod machine;
mod own_tls;
mod ports;

use crate::cli::{ConfigArguments, report};
use crate::config::{self, ProcessConfig};
use crate::settings::read::{Sources, read};
use crate::terminal::{Terminal, json_line, line, message_of};
use catalog::{Message, Numbers};
use clap::Args;
use engine::line_test::{LineReport, LineResult, LineVerdict};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

/// Exit status when something should be looked at.
const EXIT_WARNING: u8 = 1;
/// Exit status when something does not work.
const EXIT_FAILED: u8 = 2;

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// A number or sip: address to call by each line, to prove that calls get through.
    #[arg(long)]
    call: Option<String>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// What is looked at, in the order of the report and of what to do first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Area {
    Settings,
    Server,
    Data,
    Key,
    Database,
    Port,
    Rtp,
    Tls,
    Clock,
    Line,
    Nat,
    Engine,
    BackOffice,
}

impl Area {
    const fn label(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Server => "server",
            Self::Data => "data",
            Self::Key => "key",
            Self::Database => "database",
            Self::Port => "ports",
            Self::Rtp => "rtp",
            Self::Tls => "tls",
            Self::Clock => "clock",
            Self::Line => "line",
            Self::Nat => "nat",
            Self::Engine => "engine",
            Self::BackOffice => "back_office",
        }
    }
}

/// One thing that was looked at.
struct Check {
    area: Area,
    /// Step of a line test.
    step: Option<&'static str>,
    /// Which line, listener or engine, where there are several.
    name: Option<String>,
    verdict: LineVerdict,
    message: Message,
}

/// Everything that was looked at so far.
#[derive(Default)]
struct Findings {
    checks: Vec<Check>,
}

impl Findings {
    fn add(&mut self, area: Area, message: Message) {
        self.named(area, None, message);
    }

    fn named(&mut self, area: Area, name: Option<&str>, message: Message) {
        self.checks.push(Check {
            area,
            step: None,
            name: name.map(str::to_owned),
            verdict: LineVerdict::of(&message),
            message,
        });
    }

    fn line(&mut self, name: &str, report: &LineReport) {
        self.checks.extend(report.steps.iter().map(|result| {
            let LineResult {
                step,
                verdict,
                message,
                ..
            } = result;
            Check {
                area: Area::Line,
                step: Some(step.label()),
                name: Some(name.to_owned()),
                verdict: *verdict,
                message: message.clone(),
            }
        }));
    }

    fn worst(&self) -> LineVerdict {
        let verdicts = self.checks.iter().map(|check| check.verdict);
        verdicts.max().unwrap_or(LineVerdict::Passed)
    }

    /// The first failure, else the first warning: earlier areas are causes of later ones.
    fn first(&self) -> Option<&Check> {
        [LineVerdict::Failed, LineVerdict::Warning]
            .into_iter()
            .find_map(|verdict| self.checks.iter().find(|check| check.verdict == verdict))
    }
}

/// Runs the command: 0 when all is well, 1 when something should be looked at, 2 when something does not work.
pub(crate) async fn run(arguments: &DoctorArguments) -> ExitCode {
    let sources = match Sources::of_process(arguments.config.config.clone()) {
        Ok(sources) => sources,
        Err(problem) => return report(&[problem], None),
    };
    let settings = match read(&sources) {
        Ok(settings) => settings,
        Err(problems) => return report(&problems, Some(&sources)),
    };
    crate::telemetry::install_with("off", false);
    let terminal = Terminal::new(config::language(&settings));
    let mut findings = Findings::default();
    match config::build(&settings) {
        Ok(config) => {
            findings.add(Area::Settings, Message::new("config_ok"));
            for (variable, why) in &settings.without_effect {
                let message = Message::new("config_no_effect")
                    .with("variable", *variable)
                    .with("why", *why);
                findings.add(Area::Settings, message);
            }
            examine(&config, &settings, arguments, &mut findings).await;
        }
        Err(problems) => {
            for problem in &problems {
                findings.add(Area::Settings, message_of(problem));
            }
        }
    }
    findings.checks.sort_by_key(|check| check.area);
    if arguments.json {
        json_line(&as_json(terminal, &findings).to_string());
    } else {
        print(terminal, &findings);
    }
    match findings.worst() {
        LineVerdict::Failed => ExitCode::from(EXIT_FAILED),
        LineVerdict::Warning => ExitCode::from(EXIT_WARNING),
        LineVerdict::Passed | LineVerdict::Skipped => ExitCode::SUCCESS,
    }
}

async fn examine(
    config: &ProcessConfig,
    settings: &crate::settings::Settings,
    arguments: &DoctorArguments,
    findings: &mut Findings,
) {
    let (begun, wall) = (Instant::now(), SystemTime::now());
    let beside = beside::find(config).await;
    findings.add(Area::Server, beside.message());
    machine::data(config, findings);
    machine::key(config, findings);
    machine::database(config, &beside, findings).await;
    ports::listeners(config, &beside, findings);
    ports::rtp(config, &beside, findings);
    own_tls::certificates(config, settings, findings);
    let (reports, engines, office) = tokio::join!(
        lines::test(config, &beside, arguments.call.as_deref()),
        lines::engines(config),
        machine::back_office(config, settings),
    );
    for (name, report) in &reports {
        findings.line(name, report);
    }
    beside.registrations(findings);
    if reports.is_empty() && beside.lines().is_empty() {
        findings.add(Area::Line, Message::new("config_no_line"));
    }
    for (name, message) in engines {
        findings.named(Area::Engine, Some(&name), message);
    }
    if let Some(message) = office.message {
        findings.add(Area::BackOffice, message);
    }
    let by_sip = reports
        .iter()
        .find_map(|(name, report)| Some((name.clone(), report.clock_ahead_s?)));
    machine::clock(by_sip.or(office.ahead), (begun, wall), findings);
    let seen = lines::seen_by_stun(config, findings).await;
    for (name, report) in &reports {
        lines::nat(config, name, report, seen, findings);
    }
    beside.one_way_calls(findings);
}

fn mark(verdict: LineVerdict) -> &'static str {
    match verdict {
        LineVerdict::Passed => "✅",
        LineVerdict::Warning => "⚠️ ",
        LineVerdict::Failed => "❌",
        LineVerdict::Skipped => "·",
    }
}

fn print(terminal: Terminal, findings: &Findings) {
    let mut heading = (None, None);
    for check in &findings.checks {
        let here = (Some(check.area), check.name.clone());
        if heading != here && (heading.0 != here.0 || check.area == Area::Line) {
            let area = check.area.label();
            let name = check.name.as_deref().filter(|_| check.area == Area::Line);
            line(&match name {
                Some(name) => format!("[{area}] {name}"),
                None => format!("[{area}]"),
            });
        }
        heading = here;
        let rendered = catalog::render(&check.message, terminal.language);
        line(&format!("  {} {}", mark(check.verdict), rendered.text));
        if let Some(remedy) = rendered
            .remedy
            .filter(|_| check.verdict != LineVerdict::Passed)
        {
            line(&format!("     → {remedy}"));
        }
    }
    line("");
    match findings.first() {
        None => terminal.say(&Message::new("doctor_well")),
        Some(check) => {
            let rendered = catalog::render(&check.message, terminal.language);
            let todo = rendered.remedy.unwrap_or(rendered.text);
            terminal.say(&Message::new("doctor_first").with("remedy", todo));
        }
    }
}

fn check_json(terminal: Terminal, check: &Check) -> Value {
    let rendered = catalog::render_with(&check.message, terminal.language, Numbers::Masked);
    json!({
        "area": check.area.label(),
        "name": check.name,
        "step": check.step,
        "verdict": check.verdict.label(),
        "code": check.message.code,
        "sentence": rendered.text,
        "remedy": rendered.remedy,
    })
}

fn as_json(terminal: Terminal, findings: &Findings) -> Value {
    let checks: Vec<Value> = findings
        .checks
        .iter()
        .map(|check| check_json(terminal, check))
        .collect();
    json!({
        "verdict": findings.worst().label(),
        "first": findings.first().map(|check| check_json(terminal, check)),
        "checks": checks,
    })
}
