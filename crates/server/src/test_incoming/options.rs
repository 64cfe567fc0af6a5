//! The options of the command: read as text and checked here, so that what is wrong is said in the language of the house.

use super::sound::{Audio, Sounds};
use crate::cli::{EXIT_BAD_SETTINGS, own_origin, report};
use crate::config::{self, ProcessConfig};
use crate::settings::Settings;
use crate::settings::read::{Sources, read as read_settings};
use crate::terminal::{Terminal, message_of};
use catalog::Message;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Voices that the service of OpenAI has.
const VOICES: &[&str] = &[
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse",
];
/// Longest test, seconds.
const DURATION_S_MAX: u64 = 30 * 86_400;
/// Port of SIP over TLS where none is given.
const TLS_PORT: &str = "5061";
/// Port of SIP where none is given.
const SIP_PORT: &str = "5060";

#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 all is well, 1 not registered, 2 wrong options, 3 a call went wrong, 4 fewer calls than --calls.

Examples:
  allo test-incoming --sip-uri sip:test@sip.example.com --username test --password secret123
  allo test-incoming --bridge --sip-uri sip:test@sip.example.com --username test --password secret123 --voice shimmer"
)]
pub(crate) struct TestIncomingArguments {
    /// SIP address of the account, such as sip:test@sip.example.com (needed).
    #[arg(long)]
    sip_uri: Option<String>,
    /// Registrar; without it the domain of the address.
    #[arg(long)]
    registrar_uri: Option<String>,
    /// User name of the account (needed).
    #[arg(long)]
    username: Option<String>,
    /// Password of the account (needed).
    #[arg(long, env = "SIP_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// UDP, TCP or TLS [default: UDP].
    #[arg(long)]
    transport: Option<String>,
    /// Port to listen on [default: 5060, with TLS 5061]; 0 takes a free one.
    #[arg(long)]
    port: Option<String>,
    /// Seconds until the test ends by itself; 0: never [default: 0].
    #[arg(long)]
    duration: Option<String>,
    /// Say everything: log, messages, the explanation of each call.
    #[arg(long)]
    verbose: bool,
    /// A voice model speaks in each call.
    #[arg(long)]
    bridge: bool,
    /// Model [default: that of the settings].
    #[arg(long)]
    model: Option<String>,
    /// Voice: alloy, echo, shimmer, ash, ballad, coral, sage, verse, marin, cedar.
    #[arg(long)]
    voice: Option<String>,
    /// Instructions of the model.
    #[arg(long)]
    instructions: Option<String>,
    /// Key of the voice model's service; without it OPENAI_API_KEY.
    #[arg(long, hide_env_values = true)]
    api_key: Option<String>,
    /// What the caller hears and who hears the caller: auto (sound card, else echo), card, echo, tone, tone:HERTZ, silence, file:PATH.
    #[arg(long)]
    audio: Option<String>,
    /// Directory for what each caller says, as WAV files.
    #[arg(long)]
    record: Option<PathBuf>,
    /// End after so many calls.
    #[arg(long)]
    calls: Option<String>,
    /// Figures as one line of JSON on standard output; the progress goes to standard error.
    #[arg(long)]
    json: bool,
}

/// What is wanted, checked.
pub(super) struct Wish {
    pub(super) config: ProcessConfig,
    /// `None` with a voice model.
    pub(super) sounds: Option<Sounds>,
    pub(super) duration: Option<Duration>,
    pub(super) verbose: bool,
    pub(super) calls: u32,
    pub(super) json: bool,
    account: String,
    transport: String,
}

impl Wish {
    pub(super) fn opening(&self) -> Message {
        Message::new("incoming_starting")
            .with("account", self.account.as_str())
            .with("transport", self.transport.to_uppercase())
    }
}

/// Collects what is wrong.
struct Checking {
    faults: Vec<Message>,
}

impl Checking {
    fn needed<'a>(&mut self, option: &'static str, value: Option<&'a String>) -> &'a str {
        let given = value
            .map(String::as_str)
            .filter(|text| !text.trim().is_empty());
        if given.is_none() {
            let message = Message::new("incoming_option_missing").with("option", option);
            self.faults.push(message);
        }
        given.unwrap_or_default()
    }

    fn wrong(&mut self, option: &'static str, value: &str, expected: &str) {
        let message = Message::new("incoming_option_wrong")
            .with("option", option)
            .with("value", value)
            .with("expected", expected);
        self.faults.push(message);
    }

    fn number(&mut self, option: &'static str, text: &str, max: u64) -> u64 {
        match text.parse::<u64>() {
            Ok(number) if number <= max => number,
            Ok(_) | Err(_) => {
                self.wrong(option, text, &format!("0-{max}"));
                0
            }
        }
    }
}

/// Reads the options over the process settings.
pub(super) fn read(arguments: &TestIncomingArguments) -> Result<(Terminal, Wish), ExitCode> {
    let sources = Sources::of_process(None).map_err(|problem| report(&[problem], None))?;
    let mut settings =
        read_settings(&sources).map_err(|problems| report(&problems, Some(&sources)))?;
    let terminal = Terminal::new(config::language(&settings));
    let complain = |faults: &[Message]| {
        faults.iter().for_each(|fault| terminal.complain(fault));
        ExitCode::from(EXIT_BAD_SETTINGS)
    };
    let mut checking = Checking { faults: Vec::new() };
    let transport = account(arguments, &mut settings, &mut checking);
    let sounds = if arguments.bridge {
        model(arguments, &mut settings, &mut checking);
        None
    } else {
        // Nothing of it is used: no model speaks.
        set(&mut settings, "engine.api_key", "unused");
        Some(sounds(arguments, &mut checking))
    };
    let duration = arguments.duration.as_deref().unwrap_or("0");
    let duration = checking.number("--duration", duration, DURATION_S_MAX);
    let calls = arguments.calls.as_deref().unwrap_or("0");
    let calls = checking.number("--calls", calls, 1_000_000);
    if !checking.faults.is_empty() {
        return Err(complain(&checking.faults));
    }
    let config = config::build(&settings).map_err(|problems| {
        let faults: Vec<Message> = problems.iter().map(message_of).collect();
        complain(&faults)
    })?;
    let wish = Wish {
        config,
        sounds: sounds.flatten(),
        duration: (duration > 0).then(|| Duration::from_secs(duration)),
        verbose: arguments.verbose,
        calls: u32::try_from(calls).unwrap_or(u32::MAX),
        json: arguments.json,
        account: arguments.sip_uri.clone().unwrap_or_default(),
        transport,
    };
    Ok((terminal, wish))
}

fn set(settings: &mut Settings, key: &'static str, text: impl Into<String>) {
    settings.override_with(key, text, own_origin("allo test-incoming"));
}

fn account(
    arguments: &TestIncomingArguments,
    settings: &mut Settings,
    checking: &mut Checking,
) -> String {
    let uri = checking.needed("--sip-uri", arguments.sip_uri.as_ref());
    let username = checking.needed("--username", arguments.username.as_ref());
    let password = checking.needed("--password", arguments.password.as_ref());
    let address = uri
        .strip_prefix("sips:")
        .or_else(|| uri.strip_prefix("sip:"));
    let parts = address.unwrap_or(uri).split_once('@');
    let usable = parts.filter(|(user, host)| !user.is_empty() && !host.is_empty());
    if usable.is_none() && !uri.is_empty() {
        checking.wrong("--sip-uri", uri, "sip:utilisateur@domaine.com");
    }
    let transport = arguments.transport.as_deref().unwrap_or("UDP");
    let transport = transport.to_ascii_lowercase();
    if !["udp", "tcp", "tls"].contains(&transport.as_str()) {
        checking.wrong("--transport", &transport, "UDP, TCP, TLS");
    }
    let secure = transport == "tls";
    let port = arguments.port.as_deref();
    let port = port.unwrap_or(if secure { TLS_PORT } else { SIP_PORT });
    let port = checking.number("--port", port, u64::from(u16::MAX));
    let (user, host) = usable.unwrap_or_default();
    set(settings, "line.username", user);
    set(settings, "line.domain", host.trim_end_matches('>'));
    set(settings, "line.auth_username", username);
    set(settings, "line.password", password);
    set(settings, "line.transport", transport.as_str());
    set(settings, "line.port", "0");
    set(settings, "line.register", "true");
    set(
        settings,
        "line.registrar",
        arguments.registrar_uri.clone().unwrap_or_default(),
    );
    set(settings, "line.outbound_proxy", "");
    set(settings, "sip.port", "0");
    for key in ["sip.ws", "sip.wss"] {
        set(settings, key, String::new());
    }
    for (key, wanted) in [("sip.udp", "udp"), ("sip.tcp", "tcp"), ("sip.tls", "tls")] {
        let listen = if transport == wanted {
            format!("0.0.0.0:{port}")
        } else {
            String::new()
        };
        set(settings, key, listen);
    }
    transport
}

fn model(arguments: &TestIncomingArguments, settings: &mut Settings, checking: &mut Checking) {
    if arguments.audio.is_some() {
        let option = "--audio";
        checking
            .faults
            .push(Message::new("incoming_option_apart").with("option", option));
    }
    if let Some(key) = &arguments.api_key {
        set(settings, "engine.api_key", key.as_str());
    }
    if settings.set("engine.api_key").is_none() && settings.set("engine.url").is_none() {
        checking.faults.push(Message::new("incoming_no_key"));
    }
    if let Some(model) = &arguments.model {
        set(settings, "engine.model", model.as_str());
    }
    if let Some(voice) = &arguments.voice {
        let known = settings.text("engine.provider") != "openai";
        if !known && !VOICES.contains(&voice.as_str()) {
            checking.wrong("--voice", voice, &VOICES.join(", "));
        }
        set(settings, "agent.voice", voice.as_str());
    }
    if let Some(instructions) = &arguments.instructions {
        set(settings, "agent.instructions", instructions.as_str());
    }
}

fn sounds(arguments: &TestIncomingArguments, checking: &mut Checking) -> Option<Sounds> {
    for (option, given) in [
        ("--model", arguments.model.is_some()),
        ("--voice", arguments.voice.is_some()),
        ("--instructions", arguments.instructions.is_some()),
        ("--api-key", arguments.api_key.is_some()),
    ] {
        if given {
            let message = Message::new("incoming_option_bridge").with("option", option);
            checking.faults.push(message);
        }
    }
    let asked = arguments.audio.as_deref().unwrap_or("auto");
    let audio = match Audio::read(asked) {
        Ok(audio) => audio,
        Err(expected) => {
            checking.wrong("--audio", asked, &expected);
            return None;
        }
    };
    Some(Sounds::new(audio, arguments.record.clone()))
}
