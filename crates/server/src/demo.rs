//! `allo demo`: a call to itself, over the very path that a real call takes, then a server to call from a softphone.

mod live;
pub(crate) mod verify;

use crate::cli::{DemoArguments, own_origin};
use crate::config::{self, ProcessConfig};
use crate::serve::{self, House};
use crate::settings::Settings;
use crate::settings::read::{Sources, read};
use crate::shutdown::Signals;
use crate::standin_command;
use crate::telemetry;
use crate::terminal::{Terminal, line, message_of};
use crate::wiring::Demo;
use catalog::{Language, Message, Numbers};
use standin::caller::{self, Report};
use standin::realtime::Server as EngineStandin;
use standin::scenario::Prepared;
use standin::speech::Speech;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use store::{CallRecord, TenantScope};

/// Port that a softphone tries by itself.
const SIP_PORT: u16 = 5060;
/// The restaurant's number, as its pack has it.
const BELLA: &str = "+33353010042";
/// The journal is written behind the call; its end is there well within this time.
const RECORD_WITHIN: Duration = Duration::from_secs(5);

/// Runs the command.
pub(crate) async fn run(arguments: &DemoArguments) -> ExitCode {
    let language = if arguments.language == "en" {
        Language::En
    } else {
        Language::Fr
    };
    let terminal = Terminal::new(language);
    telemetry::install_with(
        &std::env::var("ALLO_SERVER_LOG_LEVEL").unwrap_or_else(|_| "warn".to_owned()),
        false,
    );
    match demo(arguments, terminal).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            terminal.complain(&message);
            ExitCode::FAILURE
        }
    }
}

async fn demo(arguments: &DemoArguments, terminal: Terminal) -> Result<bool, Message> {
    let mut signals = Signals::install()
        .map_err(|error| Message::new("start_failed").with("cause", error.to_string()))?;
    let settings = process_settings()?;
    let real_engine = settings.set("engine.api_key").is_some();
    terminal.say(&Message::new(if real_engine {
        "demo_real_engine"
    } else {
        "demo_standin_engine"
    }));
    let speech = Speech::new(None);
    let prepared = standin_command::prepare(
        standin_command::scenario(scenario(terminal.language))?,
        &speech,
    )
    .await?;
    let standin = if real_engine {
        None
    } else {
        Some(start_standin(&prepared, &speech).await?)
    };
    let house = start_house(arguments, settings, standin.as_ref(), terminal).await?;
    let outcome = tokio::select! {
        outcome = whole_call(&house, &prepared, terminal, real_engine) => outcome,
        () = signals.next() => Ok(false),
    };
    let right = match outcome {
        Ok(right) => right,
        Err(message) => {
            terminal.complain(&message);
            false
        }
    };
    if arguments.once || !right {
        house
            .stop(Duration::from_secs(1), std::future::pending())
            .await;
    } else {
        invite_to_call(&house, terminal, real_engine);
        signals.next().await;
        house
            .stop(Duration::from_secs(2), std::future::pending())
            .await;
    }
    if let Some(standin) = standin {
        standin.shutdown().await;
    }
    Ok(right)
}

fn process_settings() -> Result<Settings, Message> {
    let sources = Sources::of_process(None).map_err(|problem| message_of(&problem))?;
    read(&sources).map_err(|problems| {
        problems
            .first()
            .map_or_else(|| Message::new("start_failed"), message_of)
    })
}

async fn start_standin(
    prepared: &Arc<Prepared>,
    speech: &Speech,
) -> Result<EngineStandin, Message> {
    EngineStandin::start(standin::realtime::Config::new(
        prepared.clone(),
        speech.clone(),
    ))
    .await
    .map_err(|error| Message::new("start_failed").with("cause", serve::causes(&error)))
}

/// Starts the server on the demo's defaults; where port 5060 is taken, on a free one.
async fn start_house(
    arguments: &DemoArguments,
    mut settings: Settings,
    standin: Option<&EngineStandin>,
    terminal: Terminal,
) -> Result<House, Message> {
    let data_dir = arguments
        .data_dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join("allo-demo"));
    let language = if terminal.language == Language::En {
        "en"
    } else {
        "fr"
    };
    let own = || own_origin("allo demo");
    settings.override_with("server.data_dir", data_dir.display().to_string(), own());
    settings.override_with("server.database", "", own());
    settings.override_with("server.language", language, own());
    settings.override_with("agent.language", language, own());
    settings.override_with("admin.port", "0", own());
    for key in ["platform.listen", "back_office.listen"] {
        let address = if crate::wiring::HAS_BACK_OFFICE {
            "127.0.0.1:0"
        } else {
            "off"
        };
        settings.override_with(key, address, own());
    }
    settings.override_with("tools.back_office", "", own());
    settings.override_with("back_office.unsigned", "false", own());
    settings.override_with("agents.discover", "false", own());
    settings.override_with("voice.listen", "off", own());
    for key in ["sip.tls", "sip.ws", "sip.wss"] {
        settings.override_with(key, "", own());
    }
    settings.override_with("line.username", "", own());
    settings.override_with("line.allow_loopback", "true", own());
    settings.override_with("recording.enabled", "true", own());
    // The caller is a machine of ours, and the first words are part of what is shown.
    settings.override_with("recording.announce", "false", own());
    settings.override_with("recording.dir", "", own());
    if let Some(standin) = standin {
        settings.override_with("engine.url", standin.url(), own());
        settings.override_with("engine.api_key", "", own());
        settings.override_with("engine.dialect", "ga", own());
    }
    let wanted = arguments
        .listen
        .unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), SIP_PORT));
    if !wanted.ip().is_loopback() {
        settings.override_with(
            "line.allow",
            "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,fc00::/7,fe80::/10",
            own(),
        );
    }
    match start_at(&mut settings, wanted).await {
        Err(message) if message.code == "port_in_use" && arguments.listen.is_none() => {
            start_at(&mut settings, SocketAddr::new(wanted.ip(), 0)).await
        }
        other => other,
    }
}

async fn start_at(settings: &mut Settings, address: SocketAddr) -> Result<House, Message> {
    for key in ["sip.udp", "sip.tcp"] {
        settings.override_with(key, address.to_string(), own_origin("allo demo"));
    }
    settings.override_with(
        "rtp.bind",
        address.ip().to_string(),
        own_origin("allo demo"),
    );
    let config: ProcessConfig = config::build(settings).map_err(|problems| {
        problems
            .first()
            .map_or_else(|| Message::new("start_failed"), message_of)
    })?;
    serve::start(config).await
}

/// The restaurant's conversation, or a plain one in a build without it.
fn scenario(language: Language) -> &'static str {
    match (crate::wiring::HAS_BACK_OFFICE, language) {
        (true, Language::Fr) => "bella-fr",
        (true, Language::En) => "bella-en",
        (false, Language::Fr) => "demo-fr",
        (false, Language::En) => "demo-en",
    }
}

/// Makes the restaurant and its agent, and calls it.
async fn whole_call(
    house: &House,
    prepared: &Arc<Prepared>,
    terminal: Terminal,
    real_engine: bool,
) -> Result<bool, Message> {
    let bella = match &house.back_office {
        Some(office) => {
            let bella = office.demo(terminal.language).await?;
            // An agent of an earlier run still has that run's addresses.
            house.settled().await?;
            known(house, bella.number()).await?;
            Some(bella)
        }
        None => None,
    };
    one_call(house, bella.as_ref(), prepared, terminal, real_engine).await
}

/// Waits until calls for the number have their agent.
async fn known(house: &House, number: &str) -> Result<(), Message> {
    let deadline = tokio::time::Instant::now() + RECORD_WITHIN;
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    while house.engine.find_line(number).is_none() {
        if tokio::time::Instant::now() > deadline {
            return Err(Message::new("demo_not_provisioned"));
        }
        looks.tick().await;
    }
    Ok(())
}

/// The scripted call: live transcript, timings, recording, explanation, what it left, and whether it was right.
async fn one_call(
    house: &House,
    bella: Option<&Demo>,
    prepared: &Arc<Prepared>,
    terminal: Terminal,
    real_engine: bool,
) -> Result<bool, Message> {
    let udp = house
        .engine
        .addresses()
        .udp
        .ok_or_else(|| Message::new("config_no_listener"))?;
    let mut events = house.engine.watch();
    let scope = bella.map_or_else(TenantScope::default, |bella| bella.scope().clone());
    let user = bella.map_or("demo", Demo::number);
    let telephone = caller::Config {
        target: format!("sip:{user}@{}", reachable(udp)),
        from: "sip:+33639981234@demo.invalid".to_owned(),
        bind: SocketAddr::new(reachable(udp).ip(), 0),
        keep_audio: true,
        ..caller::Config::default()
    };
    terminal.say(&Message::new("demo_calling").with("address", telephone.target.as_str()));
    let watching = live::show(&mut events, terminal);
    let (report, call) = tokio::join!(caller::call(telephone, prepared.clone()), watching);
    let report = report
        .map_err(|error| Message::new("start_failed").with("cause", serve::causes(&error)))?;
    let call = call.ok_or_else(|| refused(&report))?;
    let record = verify::finished_record(&house.store, &scope, &call, RECORD_WITHIN).await?;
    let explanation = crate::explain::of(&house.store, &record, &call)
        .await
        .map_err(|error| Message::new("start_failed").with("cause", serve::causes(&error)))?;
    let transcript = house
        .store
        .transcript(&scope, &call)
        .await
        .map_err(|error| Message::new("start_failed").with("cause", serve::causes(&error)))?;
    let recording = record.recording_path.clone().map(PathBuf::from);
    let explained = recording.as_deref().map(|path| path.with_extension("txt"));
    let text = explanation.text(terminal.language, Numbers::Masked);
    if let Some(path) = &explained {
        std::fs::write(path, &text)
            .map_err(|error| Message::new("start_failed").with("cause", error.to_string()))?;
    }
    live::timings(terminal, &report);
    line("");
    line(text.trim_end());
    line("");
    let left = match bella {
        Some(bella) => Some(bella.left_by(&call).await?),
        None => None,
    };
    for message in left.iter().flat_map(|left| &left.lines) {
        terminal.say(message);
    }
    say_cost(terminal, &record);
    say_path(terminal, "demo_recording", recording.as_deref());
    say_path(terminal, "demo_explanation", explained.as_deref());
    if real_engine {
        return Ok(report.heard.len() > 1);
    }
    let mut mistakes = verify::mistakes(prepared, &report, &record, &transcript);
    mistakes.extend(left.into_iter().flat_map(|left| left.mistakes));
    for mistake in &mistakes {
        terminal.complain(&Message::new("demo_failed").with("cause", mistake));
    }
    if mistakes.is_empty() {
        terminal.say(&Message::new("demo_passed"));
    }
    Ok(mistakes.is_empty())
}

fn refused(report: &Report) -> Message {
    Message::new("demo_not_answered").with("cause", format!("{:?}", report.outcome))
}

fn say_cost(terminal: Terminal, record: &CallRecord) {
    if let (Some(micro), Some(currency)) = (record.service.cost_micro, &record.service.currency) {
        let whole = format!("{}.{:06}", micro / 1_000_000, micro.rem_euclid(1_000_000));
        let cost = whole.get(..whole.len() - 2).unwrap_or(&whole);
        terminal.say(
            &Message::new("demo_cost")
                .with("cost", cost)
                .with("currency", currency.as_str()),
        );
    }
}

fn say_path(terminal: Terminal, code: &'static str, path: Option<&Path>) {
    if let Some(path) = path {
        terminal.say(&Message::new(code).with("path", path.display().to_string()));
    }
}

/// An address that this machine can call: the unspecified one is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

fn invite_to_call(house: &House, terminal: Terminal, real_engine: bool) {
    line("");
    if let Some(udp) = house.engine.addresses().udp {
        let user = if crate::wiring::HAS_BACK_OFFICE {
            BELLA
        } else {
            "allo"
        };
        terminal.say(
            &Message::new("demo_softphone").with("address", format!("{user}@{}", reachable(udp))),
        );
    }
    if !real_engine {
        terminal.say(&Message::new("demo_real_key"));
    }
    terminal.say(&Message::new("demo_stop"));
}
