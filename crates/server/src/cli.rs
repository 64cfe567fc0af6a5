//! The command line.

use crate::bridge::{self, BridgeArguments};
use crate::carrier_command;
use crate::settings::read::Sources;
use crate::settings::{Origin, Problem, Settings};
use crate::terminal::Terminal;
use crate::{
    admin_command, call_command, check, demo, doctor, explain, geo, migrate, openapi_command,
    privacy, probe, secrets, serve, standin_command, test_incoming,
};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// An AI telephone operator: it answers phone calls on SIP lines and holds the conversation through a realtime voice model.
#[derive(Debug, Parser)]
#[command(name = "allo", version, about, long_about = None, after_help = "Examples:
  allo demo                      a call with no account and no key
  allo serve --config allo.toml  run the server
  allo check                     what is wrong with the settings
  allo doctor                    what stands in the way of a call
  allo call +33123456789         place a call
  allo call explain ID           how a call went and who ended it
  allo test-incoming --help      test a line with incoming calls")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(ConfigArguments),
    /// Run the server with the agents that the back office lists (`NEXT_API_URL`): the service manager.
    Manager(ConfigArguments),
    /// Place a call to itself with a scripted caller, on embedded defaults; then stay up for a softphone.
    Demo(DemoArguments),
    /// Join a SIP account with an application that speaks Twilio's Media Streams.
    Bridge(Box<BridgeArguments>),
    /// Validate the settings and say what is wrong.
    Check(CheckArguments),
    /// Say what stands in the way of a call: DNS, ports, NAT, clock, TLS, registration, engine key; each with its remedy.
    Doctor(doctor::DoctorArguments),
    /// Register an account and take the calls that come for it, to test a line; with --bridge a voice model speaks.
    TestIncoming(test_incoming::TestIncomingArguments),
    /// List the calls.
    Calls(CallsArguments),
    /// Place a call through a line and let its agent speak; or look at one call.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Call {
        #[command(flatten)]
        place: call_command::PlaceArguments,
        #[command(subcommand)]
        command: Option<CallCommand>,
    },
    /// Print the OpenAPI document of the platform API, as docs/openapi.json holds it.
    Openapi,
    /// Keys of the encryption at rest.
    Secrets {
        #[command(subcommand)]
        command: secrets::SecretsCommand,
    },
    /// Administrators of the web pages.
    Admin {
        #[command(subcommand)]
        command: admin_command::AdminCommand,
    },
    /// What is kept of a telephone number: told, or erased.
    Privacy {
        #[command(subcommand)]
        command: privacy::PrivacyCommand,
    },
    /// Postal codes by which deliveries are weighed offline.
    Geo {
        #[command(subcommand)]
        command: geo::GeoCommand,
    },
    /// Make the SIP account of the settings before (SIP_USERNAME, or a table app_settings) a stored account.
    Migrate(migrate::MigrateArguments),
    /// Make one request as a tool, an MCP tool or a webhook would, and print what came of it.
    Probe {
        #[command(subcommand)]
        command: probe::ProbeCommand,
    },
    /// Serve the stand-in for a realtime voice service (OpenAI, Azure, xAI, Gemini Live).
    EngineStandin(StandinArguments),
    /// Bring calls as Twilio does, and print what became of each as a line of JSON.
    CarrierStandin(CarrierArguments),
}

#[derive(Debug, Subcommand)]
enum CallCommand {
    /// Explain a call: one sentence, a timeline, the SIP ladder.
    Explain(ExplainArguments),
}

/// Where the settings come from.
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// Settings file; without it the environment and `.env` alone.
    #[arg(long, env = "ALLO_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Print each setting with its value and where it comes from (secrets masked).
    #[arg(long)]
    pub(crate) print: bool,
    /// Print every setting as the Markdown of docs/settings.md.
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Leave after the call; the exit status is 0 only if the conversation was right.
    #[arg(long)]
    pub(crate) once: bool,
    /// Language of the conversation.
    #[arg(long, default_value = "fr", value_parser = ["fr", "en"])]
    pub(crate) language: String,
    /// Where the demo keeps its database and recordings; without it a folder `allo-demo` beside the system's temporary files.
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
    /// SIP address (UDP and TCP); without it port 5060 of this machine's addresses, or a free one.
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
    /// Print the outcome as JSON at the end.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CallsArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// How many, newest first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// JSON, one call a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// Id of the call, or `last`.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show the whole text of each SIP message.
    #[arg(long)]
    pub(crate) messages: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StandinArguments {
    /// Address to serve on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9800")]
    pub(crate) listen: SocketAddr,
    /// Scenario file (TOML), or the name of an embedded one: demo-fr, demo-en.
    #[arg(long, default_value = "demo-fr")]
    pub(crate) scenario: String,
    /// Whose service to stand in for.
    #[arg(long, default_value = "openai", value_parser = ["openai", "azure", "xai", "gemini"])]
    pub(crate) dialect: String,
    /// Demand this key.
    #[arg(long, env = "ALLO_STANDIN_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CarrierArguments {
    /// Address to announce the calls to, such as http://127.0.0.1:5050/incoming-call; without it only the interface is served.
    #[arg(long)]
    pub(crate) webhook: Option<String>,
    /// Address of the interface; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Origin that is signed, where it is not the webhook's own.
    #[arg(long)]
    pub(crate) public_url: Option<String>,
    /// Id of the account.
    #[arg(long, default_value = "AC00000000000000000000000000000001")]
    pub(crate) account: String,
    /// Its token.
    #[arg(
        long,
        default_value = "stand-in-token",
        env = "ALLO_STANDIN_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: String,
    /// How webhooks are signed.
    #[arg(long, default_value = "right", value_parser = ["right", "wrong", "missing", "shared"])]
    pub(crate) sign: String,
    /// How handshakes of streams are signed.
    #[arg(long, default_value = "right", value_parser = ["right", "wrong", "missing", "shared"])]
    pub(crate) sign_stream: String,
    /// Id of the shared key.
    #[arg(long, default_value = "webhooks_sharedkey_1")]
    pub(crate) shared_key_id: String,
    /// Its secret.
    #[arg(long, default_value = "stand-in-shared-secret")]
    pub(crate) shared_key_secret: String,
    /// Called number.
    #[arg(long, default_value = "+33900000001")]
    pub(crate) to: String,
    /// Calls at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) calls: u32,
    /// How long each lasts at most.
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u32,
    /// The caller speaks into the agent's words so often, then hangs up.
    #[arg(long, default_value_t = 0)]
    pub(crate) interruptions: u32,
    /// The caller speaks when the agent has been silent for this long; 0: never.
    #[arg(long, default_value_t = 0)]
    pub(crate) speaks_after_ms: u32,
    /// Keys pressed after the agent's first words.
    #[arg(long, default_value = "")]
    pub(crate) digits: String,
}

/// Carries a command out.
pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments, false).await,
        Command::Manager(arguments) => serve::run(&arguments, true).await,
        Command::Demo(arguments) => demo::run(&arguments).await,
        Command::Bridge(arguments) => bridge::run(&arguments).await,
        Command::Check(arguments) => check::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments).await,
        Command::TestIncoming(arguments) => test_incoming::run(&arguments).await,
        Command::Calls(arguments) => explain::calls(&arguments).await,
        Command::Call {
            command: Some(CallCommand::Explain(arguments)),
            ..
        } => explain::explain(&arguments).await,
        Command::Call {
            place,
            command: None,
        } => call_command::run(&place).await,
        Command::Openapi => openapi_command::run(),
        Command::Secrets { command } => secrets::run(&command).await,
        Command::Admin { command } => admin_command::run(&command).await,
        Command::Privacy { command } => privacy::run(&command).await,
        Command::Geo { command } => geo::run(&command),
        Command::Migrate(arguments) => migrate::run(&arguments).await,
        Command::Probe { command } => probe::run(&command).await,
        Command::EngineStandin(arguments) => standin_command::run(&arguments).await,
        Command::CarrierStandin(arguments) => carrier_command::run(&arguments).await,
    }
}

/// Reads the settings, or prints every problem.
pub(crate) fn settings_or_report(arguments: &ConfigArguments) -> Result<Settings, ExitCode> {
    let sources = Sources::of_process(arguments.config.clone())
        .map_err(|problem| report(&[problem], None))?;
    crate::settings::read::read(&sources).map_err(|problems| report(&problems, Some(&sources)))
}

/// Prints problems in the language that could be found out.
pub(crate) fn report(problems: &[Problem], sources: Option<&Sources>) -> ExitCode {
    let english = sources.is_some_and(|sources| {
        let asked = |layer: &std::collections::BTreeMap<String, String>| {
            layer.get("ALLO_SERVER_LANGUAGE").cloned()
        };
        asked(&sources.environment)
            .or_else(|| asked(&sources.dot_env))
            .is_some_and(|language| language == "en")
    });
    let terminal = Terminal::new(if english {
        catalog::Language::En
    } else {
        catalog::Language::Fr
    });
    for problem in problems {
        terminal.problem(problem);
    }
    ExitCode::from(EXIT_BAD_SETTINGS)
}

/// Exit status when the settings are wrong.
pub(crate) const EXIT_BAD_SETTINGS: u8 = 2;

/// An origin for values that the program itself sets.
pub(crate) fn own_origin(what: &str) -> Origin {
    Origin::Environment {
        variable: what.to_owned(),
    }
}
