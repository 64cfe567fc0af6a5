//! `allo call NUMBER`: places a call through a line and its agent, by the running server or, where none runs, by itself; shows
//! it ringing, answered, spoken and ended.

mod by_server;

use crate::cli::{ConfigArguments, EXIT_BAD_SETTINGS, own_origin, settings_or_report};
use crate::config::{self, ProcessConfig};
use crate::one_off::OneOff;
use crate::server_client::ServerClient;
use crate::shutdown::Signals;
use crate::terminal::{Terminal, error_line, json_line, line, message_of};
use call::{CallId, Speaker};
use catalog::{Message, Numbers};
use clap::Args;
use engine::{LiveEvent, LiveEventKind, LiveState, PlaceCall, RegistrationState};
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;

/// Exit status when the call could not be placed.
const EXIT_NOT_PLACED: u8 = 1;
/// Exit status when nobody answered.
const EXIT_NOT_ANSWERED: u8 = 3;
/// Exit status when the call was answered and went wrong.
const EXIT_WENT_WRONG: u8 = 4;
/// Longest wait for the registration of the line.
const REGISTERED_WITHIN: Duration = Duration::from_secs(15);
/// How long the call may take to say goodbye once it is told to.
const GOODBYE_WITHIN: Duration = Duration::from_secs(8);

#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 answered, 1 not placed, 2 wrong settings, 3 not answered, 4 answered and went wrong."
)]
pub(crate) struct PlaceArguments {
    /// Number or sip: address to call.
    #[arg(required = true)]
    number: Option<String>,
    #[command(flatten)]
    config: ConfigArguments,
    /// Line to call by; without it the line of the settings, or the server's only one.
    #[arg(long)]
    line: Option<String>,
    /// Agent that speaks: of the settings, or one whose line the server has.
    #[arg(long)]
    agent: Option<String>,
    /// Instructions for this call.
    #[arg(long)]
    instructions: Option<String>,
    /// Hang up after this many seconds; 0: the agent decides.
    #[arg(long, default_value_t = 0)]
    duration: u32,
    /// The explanation of the call as JSON at the end; the progress goes to standard error.
    #[arg(long)]
    json: bool,
}

/// How the call came out.
enum Outcome {
    NotPlaced(Message),
    Over {
        answered: bool,
        wrong: bool,
        verdict: String,
        explanation: Value,
    },
}

/// Runs the command.
pub(crate) async fn run(arguments: &PlaceArguments) -> ExitCode {
    let mut settings = match settings_or_report(&arguments.config) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    crate::telemetry::install_with("off", false);
    let terminal = Terminal::new(config::language(&settings));
    let showing = Showing {
        terminal,
        aside: arguments.json,
    };
    let Ok(mut signals) = Signals::install() else {
        return ExitCode::FAILURE;
    };
    let own = || own_origin("allo call");
    if let Some(instructions) = &arguments.instructions {
        settings.override_with("agent.instructions", instructions.as_str(), own());
    }
    let config = match config::build(&settings) {
        Ok(config) => config,
        Err(problems) => {
            let faults = problems.iter().map(message_of);
            faults.for_each(|fault| terminal.complain(&fault));
            return ExitCode::from(EXIT_BAD_SETTINGS);
        }
    };
    let number = arguments.number.as_deref().unwrap_or_default();
    showing.say("🚀", &Message::new("place_calling").with("number", number));
    let outcome = match ServerClient::find(&config).await {
        Some(client) => by_server::call(&client, arguments, showing, &mut signals).await,
        None => by_itself(config, arguments, number, showing, &mut signals).await,
    };
    let outcome = outcome.unwrap_or_else(Outcome::NotPlaced);
    match outcome {
        Outcome::NotPlaced(message) => {
            terminal.complain(&message);
            ExitCode::from(EXIT_NOT_PLACED)
        }
        Outcome::Over {
            answered,
            wrong,
            verdict,
            explanation,
        } => {
            let well = answered && !wrong;
            showing.text(if well { "✅" } else { "❌" }, &verdict);
            if arguments.json {
                json_line(&explanation.to_string());
            }
            ExitCode::from(match (answered, wrong) {
                (false, _) => EXIT_NOT_ANSWERED,
                (true, true) => EXIT_WENT_WRONG,
                (true, false) => 0,
            })
        }
    }
}

/// Where progress is shown.
#[derive(Clone, Copy)]
struct Showing {
    terminal: Terminal,
    aside: bool,
}

impl Showing {
    fn say(self, mark: &str, message: &Message) {
        let language = self.terminal.language;
        let rendered = catalog::render_with(message, language, Numbers::Shown);
        self.text(mark, &rendered.text);
    }

    fn text(self, mark: &str, text: &str) {
        let text = format!("{mark} {text}");
        if self.aside {
            error_line(&text);
        } else {
            line(&text);
        }
    }

    fn said(self, by_caller: bool, text: &str) {
        let code = if by_caller {
            "place_callee_said"
        } else {
            "demo_agent_said"
        };
        self.say("💬", &Message::new(code).with("text", text));
    }
}

async fn by_itself(
    mut config: ProcessConfig,
    arguments: &PlaceArguments,
    number: &str,
    showing: Showing,
    signals: &mut Signals,
) -> Result<Outcome, Message> {
    let unknown = |what: &'static str, name: &str| Err(Message::new(what).with("name", name));
    config.engine.lines.retain(|line| line.account.is_some());
    let Some(line) = config.engine.lines.first() else {
        return Err(Message::new("config_no_line"));
    };
    let (name, registers) = (
        line.name.clone(),
        line.account
            .as_ref()
            .is_some_and(|account| account.register),
    );
    if let Some(asked) = arguments.line.as_ref().filter(|asked| **asked != name) {
        return unknown("place_no_line", asked);
    }
    if let Some(asked) = &arguments.agent
        && config
            .engine
            .agents
            .iter()
            .all(|agent| agent.name != *asked)
    {
        return unknown("place_no_agent", asked);
    }
    let house = OneOff::start(config).await?;
    let mut events = house.engine.watch();
    let placed = async {
        if registers {
            let status = house.registered(REGISTERED_WITHIN).await;
            let state = status.as_ref().map(|status| &status.state);
            if !matches!(state, Some(RegistrationState::Registered { .. })) {
                return Err(Message::new("place_not_registered").with("line", name.as_str()));
            }
        }
        let request = PlaceCall {
            line: name.clone(),
            to: number.to_owned(),
            ring_ms: None,
            placement: None,
        };
        let placed = house.engine.place_call(request).await;
        placed.map_err(|error| Message::new("api_call_refused").with("cause", error.to_string()))
    };
    let placed = tokio::select! {
        placed = placed => placed,
        () = signals.next() => Err(Message::new("place_given_up")),
    };
    let outcome = match placed {
        Ok(call) => {
            let end = Ending {
                house: &house,
                call: &call,
                duration: arguments.duration,
            };
            follow(&end, &mut events, showing, signals).await;
            over(&house, &call, showing).await
        }
        Err(message) => Err(message),
    };
    house.stop(GOODBYE_WITHIN).await;
    outcome
}

struct Ending<'a> {
    house: &'a OneOff,
    call: &'a CallId,
    duration: u32,
}

/// Shows the call until it is over; a signal or the time ends it.
async fn follow(
    ending: &Ending<'_>,
    events: &mut Receiver<LiveEvent>,
    showing: Showing,
    signals: &mut Signals,
) {
    let time_over = async {
        match ending.duration {
            0 => std::future::pending().await,
            seconds => tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await,
        }
    };
    tokio::pin!(time_over);
    let mut told = false;
    let mut answered = false;
    let mut shown = Vec::new();
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = &mut time_over, if !told => {
                told = true;
                showing.say("⏱️ ", &Message::new("place_time_over"));
                ending.house.engine.hang_up(ending.call);
                continue;
            }
            () = signals.next() => {
                showing.say("🧹", &Message::new("place_hanging_up"));
                // A second signal does not wait for the goodbye.
                if std::mem::replace(&mut told, true) || !ending.house.engine.hang_up(ending.call) {
                    return;
                }
                continue;
            }
        };
        let Ok(event) = event else {
            return;
        };
        if event.call != *ending.call {
            continue;
        }
        match event.kind {
            LiveEventKind::Started(_) => {}
            LiveEventKind::Changed { state, timings } => {
                if state == LiveState::Ringing && timings.ring_ms.is_some() {
                    showing.say("📞", &Message::new("place_ringing"));
                } else if state == LiveState::Answered && !std::mem::replace(&mut answered, true) {
                    showing.say("✅", &Message::new("place_answered"));
                }
            }
            LiveEventKind::Transcript(entry) => {
                let known = entry.item.as_ref().is_some_and(|item| shown.contains(item));
                if !known && entry.role != Speaker::System {
                    showing.said(entry.role == Speaker::Caller, &entry.text);
                }
                shown.extend(entry.item);
            }
            LiveEventKind::Ended { .. } => return,
            LiveEventKind::AgentDelta { .. }
            | LiveEventKind::CallerSpeaking
            | LiveEventKind::Person(_)
            | LiveEventKind::Called(_)
            | LiveEventKind::Parked(_)
            | LiveEventKind::AnsweredBy { .. }
            | LiveEventKind::Quality(_)
            | LiveEventKind::Interrupted { .. } => {}
        }
    }
}

async fn over(house: &OneOff, call: &CallId, showing: Showing) -> Result<Outcome, Message> {
    let explanation = house.explanation(call).await?;
    let language = showing.terminal.language;
    let severity = catalog::entry(&explanation.verdict.code).map(|entry| entry.severity);
    Ok(Outcome::Over {
        answered: explanation.call.answered_at.is_some(),
        wrong: severity.is_none_or(|severity| severity >= catalog::Severity::Warning),
        verdict: catalog::render_with(&explanation.verdict, language, Numbers::Shown).text,
        explanation: explanation.json(language, Numbers::Shown),
    })
}
