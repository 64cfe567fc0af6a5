//! What `allo bridge` was told: flags, then the environment, then `.env`, then the defaults of the bridge that came before.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use catalog::Message;
use clap::Args;
use engine::config::Secret;
use engine::nat::{ServerAddress, TurnServer};
use ipnet::IpNet;
use sip::Protocol;

use crate::settings::read::Sources;

/// Names and values that streams are given, and their length.
const PARAMETERS_MAX: usize = 32;
/// See [`PARAMETERS_MAX`].
const PARAMETER_BYTES_MAX: usize = 500;

/// Flags of the bridge. What is not given comes from the variable that is named, then from `.env`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of a command line, each by itself"
)]
pub(crate) struct BridgeArguments {
    /// Domain of the SIP account (SIP_DOMAIN; sip.twilio.com).
    #[arg(long)]
    pub(crate) sip_domain: Option<String>,
    /// User name of the SIP account (SIP_USERNAME); the one thing that must be given.
    #[arg(long)]
    pub(crate) sip_username: Option<String>,
    /// Its password (SIP_PASSWORD).
    #[arg(long, hide_env_values = true)]
    pub(crate) sip_password: Option<String>,
    /// Port that SIP listens on (SIP_PORT; 0: a free one).
    #[arg(long)]
    pub(crate) sip_port: Option<u16>,
    /// udp, tcp or tls (SIP_TRANSPORT; udp).
    #[arg(long)]
    pub(crate) sip_transport: Option<String>,
    /// Lifetime of the registration, seconds.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(30..=86_400))]
    pub(crate) sip_reg_timeout: u32,
    /// Registrar, where it is not the domain (sip:host:port).
    #[arg(long)]
    pub(crate) sip_registrar: Option<String>,
    /// Take calls without a registration: the account is only used to place them.
    #[arg(long)]
    pub(crate) no_register: bool,
    /// Addresses or networks that may call the bridge directly, such as 192.168.1.0/24; repeatable.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) allow: Vec<IpNet>,
    /// STUN server that says how our audio is seen from outside (STUN_SERVER; host:port), where no public address is given.
    #[arg(long)]
    pub(crate) stun_server: Option<String>,
    /// TURN server that relays the audio (TURN_SERVER; host:port).
    #[arg(long)]
    pub(crate) turn_server: Option<String>,
    /// Its user (TURN_USERNAME).
    #[arg(long)]
    pub(crate) turn_username: Option<String>,
    /// Its password (TURN_PASSWORD).
    #[arg(long)]
    pub(crate) turn_password: Option<String>,
    /// No ICE: what this version does anyway.
    #[arg(long)]
    pub(crate) no_ice: bool,
    /// No echo cancellation, whatever --ec-tail-ms says.
    #[arg(long)]
    pub(crate) no_ec: bool,
    /// Line echo cancellation with this tail, 16 to 256 ms; without it there is none.
    #[arg(long)]
    pub(crate) ec_tail_ms: Option<u16>,
    /// Voice activity detection. Not part of this version: silence is sent as it is.
    #[arg(long)]
    pub(crate) vad: bool,
    /// Loudness of what the telephone says, dB.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) rx_gain: f32,
    /// Loudness of what the telephone hears, dB.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) tx_gain: f32,
    /// Address of the application (WS_TARGET; ws://localhost:5050/media-stream).
    #[arg(long)]
    pub(crate) ws_target: Option<String>,
    /// Port of the interface (BRIDGE_API_PORT; 5060, TCP; 0: a free one).
    #[arg(long)]
    pub(crate) api_port: Option<u16>,
    /// Address of the interface; anything but this machine needs a token.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) api_host: IpAddr,
    /// What requests must carry as `Authorization: Bearer` (BRIDGE_API_TOKEN).
    #[arg(long)]
    pub(crate) api_token: Option<String>,
    /// Calls ring until the incoming callback or the interface answers them.
    #[arg(long)]
    pub(crate) no_auto_answer: bool,
    /// Longest call, seconds (MAX_CALL_DURATION; 600; 0: no bound).
    #[arg(long)]
    pub(crate) max_call_duration: Option<u32>,
    /// Calls at once (MAX_CONCURRENT_CALLS; 10); the next one hears that the line is busy.
    #[arg(long)]
    pub(crate) max_concurrent_calls: Option<u32>,
    /// `key=value` that the application is told as a custom parameter; repeatable (RESTAURANT_ID gives restaurantId).
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub(crate) params: Vec<String>,
    /// Where the states of calls are told (STATUS_CALLBACK_URL).
    #[arg(long)]
    pub(crate) status_callback_url: Option<String>,
    /// Who is asked before a call is answered (INCOMING_CALLBACK_URL).
    #[arg(long)]
    pub(crate) incoming_callback_url: Option<String>,
    /// POST or GET, for the states.
    #[arg(long, default_value = "POST", value_parser = ["POST", "GET"], ignore_case = true)]
    pub(crate) callback_method: String,
    /// How long a callback may take, seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(crate) callback_timeout: u32,
    /// Directory that keeps the records of calls, for `allo call explain`; without it they go when the bridge stops.
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Ports of the audio sockets.
    #[arg(long, default_value = "10000-20000", value_name = "FIRST-LAST")]
    pub(crate) rtp_ports: String,
    /// Address written into the session descriptions, where it is not the one that reaches the peer (PUBLIC_IP).
    #[arg(long)]
    pub(crate) public_address: Option<IpAddr>,
    /// PEM file of further authorities to trust for SIP over TLS and wss.
    #[arg(long)]
    pub(crate) ca: Option<PathBuf>,
}

/// What the bridge is, checked.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) domain: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) port: u16,
    pub(crate) transport: Protocol,
    pub(crate) expires_s: u32,
    pub(crate) registrar: Option<String>,
    pub(crate) register: bool,
    pub(crate) allow: Vec<IpNet>,
    pub(crate) echo_tail: Option<media::EchoTail>,
    pub(crate) rx_gain_db: f32,
    pub(crate) tx_gain_db: f32,
    pub(crate) ws_target: String,
    pub(crate) api: SocketAddr,
    pub(crate) api_token: Option<String>,
    pub(crate) auto_answer: bool,
    pub(crate) call_max: Option<Duration>,
    pub(crate) calls_max: u32,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) callbacks: Callbacks,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) rtp_ports: (u16, u16),
    pub(crate) public_address: Option<IpAddr>,
    pub(crate) stun_server: Option<ServerAddress>,
    pub(crate) turn: Option<TurnServer>,
    pub(crate) ca: Option<PathBuf>,
}

/// Who is told of calls, and how.
#[derive(Clone, Debug)]
pub(crate) struct Callbacks {
    pub(crate) status_url: Option<String>,
    pub(crate) incoming_url: Option<String>,
    pub(crate) get: bool,
    pub(crate) within: Duration,
}

/// A value by its flag, else by its variable.
struct Layers<'a>(&'a Sources);

impl Layers<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        let layers = [&self.0.environment, &self.0.dot_env];
        layers
            .into_iter()
            .filter_map(|layer| layer.get(name))
            .map(|value| value.trim().to_owned())
            .find(|value| !value.is_empty())
    }

    fn text(&self, flag: Option<&String>, name: &str) -> Option<String> {
        let given = flag.map(|value| value.trim().to_owned());
        given
            .filter(|value| !value.is_empty())
            .or_else(|| self.variable(name))
    }

    fn number<T: std::str::FromStr>(
        &self,
        flag: Option<T>,
        name: &'static str,
        otherwise: T,
        problems: &mut Vec<Message>,
    ) -> T {
        if let Some(value) = flag {
            return value;
        }
        match self.variable(name).map(|text| (text.parse(), text)) {
            None => otherwise,
            Some((Ok(value), _)) => value,
            Some((Err(_), text)) => {
                problems.push(invalid(name, &text, "10"));
                otherwise
            }
        }
    }
}

fn invalid(option: &str, value: &str, example: &str) -> Message {
    Message::new("bridge_option_invalid")
        .with("option", option)
        .with("value", value)
        .with("example", example)
}

/// Checks everything; every mistake is told.
pub(crate) fn read(
    arguments: &BridgeArguments,
    sources: &Sources,
) -> Result<Options, Vec<Message>> {
    let layers = Layers(sources);
    let mut problems = unsupported(arguments);
    let username = layers.text(arguments.sip_username.as_ref(), "SIP_USERNAME");
    if username.is_none() {
        problems.push(Message::new("bridge_username_missing"));
    }
    let domain = layers
        .text(arguments.sip_domain.as_ref(), "SIP_DOMAIN")
        .unwrap_or_else(|| "sip.twilio.com".to_owned());
    let transport = transport(arguments, &layers, &mut problems);
    let ws_target = layers
        .text(arguments.ws_target.as_ref(), "WS_TARGET")
        .unwrap_or_else(|| "ws://localhost:5050/media-stream".to_owned());
    if !is_websocket(&ws_target) {
        let example = "ws://localhost:5050/media-stream";
        problems.push(invalid("--ws-target", &ws_target, example));
    }
    let port = layers.number(arguments.sip_port, "SIP_PORT", 0, &mut problems);
    let api_port = layers.number(arguments.api_port, "BRIDGE_API_PORT", 5060, &mut problems);
    let api = SocketAddr::new(arguments.api_host, api_port);
    let api_token = layers.text(arguments.api_token.as_ref(), "BRIDGE_API_TOKEN");
    if !api.ip().is_loopback() && api_token.as_ref().is_none_or(|token| token.len() < 16) {
        problems.push(Message::new("bridge_token_missing").with("address", api.to_string()));
    }
    let (call_max, calls_max) = bounds(arguments, &layers, &mut problems);
    let options = Options {
        domain,
        username: username.unwrap_or_default(),
        password: layers
            .text(arguments.sip_password.as_ref(), "SIP_PASSWORD")
            .unwrap_or_default(),
        port,
        transport,
        expires_s: arguments.sip_reg_timeout,
        registrar: arguments.sip_registrar.clone(),
        register: !arguments.no_register,
        allow: arguments.allow.clone(),
        echo_tail: echo_tail(arguments, &mut problems),
        rx_gain_db: gain("--rx-gain", arguments.rx_gain, &mut problems),
        tx_gain_db: gain("--tx-gain", arguments.tx_gain, &mut problems),
        ws_target,
        api,
        api_token,
        auto_answer: !arguments.no_auto_answer,
        call_max,
        calls_max,
        parameters: parameters(arguments, &layers, &mut problems),
        callbacks: callbacks(arguments, &layers, &mut problems),
        data_dir: arguments.data_dir.clone(),
        rtp_ports: ports(&arguments.rtp_ports, &mut problems),
        public_address: public_address(arguments, &layers, &mut problems),
        stun_server: nat_server(
            layers.text(arguments.stun_server.as_ref(), "STUN_SERVER"),
            "--stun-server",
            &mut problems,
        ),
        turn: turn(arguments, &layers, &mut problems),
        ca: arguments.ca.clone(),
    };
    if problems.is_empty() {
        Ok(options)
    } else {
        Err(problems)
    }
}

/// Line echo cancellation, where it is asked for.
fn echo_tail(arguments: &BridgeArguments, problems: &mut Vec<Message>) -> Option<media::EchoTail> {
    let asked = arguments.ec_tail_ms.filter(|_| !arguments.no_ec)?;
    if !(media::echo::TAIL_MS_MIN..=media::echo::TAIL_MS_MAX).contains(&asked) {
        problems.push(invalid(
            "--ec-tail-ms",
            &asked.to_string(),
            "--ec-tail-ms 64",
        ));
    }
    Some(media::EchoTail::of_ms(asked))
}

/// The longest call, and calls at once.
fn bounds(
    arguments: &BridgeArguments,
    layers: &Layers<'_>,
    problems: &mut Vec<Message>,
) -> (Option<Duration>, u32) {
    let longest = layers.number(
        arguments.max_call_duration,
        "MAX_CALL_DURATION",
        600,
        problems,
    );
    let calls_max = layers.number(
        arguments.max_concurrent_calls,
        "MAX_CONCURRENT_CALLS",
        10,
        problems,
    );
    if !(1..=10_000).contains(&calls_max) {
        problems.push(invalid(
            "--max-concurrent-calls",
            &calls_max.to_string(),
            "10",
        ));
    }
    let call_max = (longest > 0).then(|| Duration::from_secs(longest.into()));
    (call_max, calls_max)
}

/// What this version has no machinery for: said, and never ignored.
fn unsupported(arguments: &BridgeArguments) -> Vec<Message> {
    let mut problems = Vec::new();
    if arguments.vad {
        problems.push(Message::new("bridge_sound_unsupported").with("option", "--vad"));
    }
    problems
}

fn transport(
    arguments: &BridgeArguments,
    layers: &Layers<'_>,
    problems: &mut Vec<Message>,
) -> Protocol {
    let named = layers.text(arguments.sip_transport.as_ref(), "SIP_TRANSPORT");
    match named.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("udp") => Protocol::Udp,
        Some("tcp") => Protocol::Tcp,
        Some("tls") => Protocol::Tls,
        Some(other) => {
            problems.push(invalid("--sip-transport", other, "udp, tcp, tls"));
            Protocol::Udp
        }
    }
}

fn gain(option: &str, db: f32, problems: &mut Vec<Message>) -> f32 {
    if !db.is_finite() || db.abs() > media::gain::GAIN_DB_MAX {
        problems.push(invalid(option, &db.to_string(), "-6"));
    }
    db
}

fn is_websocket(address: &str) -> bool {
    url::Url::parse(address)
        .is_ok_and(|url| matches!(url.scheme(), "ws" | "wss") && url.host_str().is_some())
}

/// Whether an address can be the application's.
pub(crate) fn is_target(address: &str) -> bool {
    address.len() <= 2_048 && is_websocket(address)
}

/// Whether an address can be called back.
pub(crate) fn is_callback(address: &str) -> bool {
    address.len() <= 2_048
        && url::Url::parse(address)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
}

fn parameters(
    arguments: &BridgeArguments,
    layers: &Layers<'_>,
    problems: &mut Vec<Message>,
) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    if let Some(id) = layers.variable("RESTAURANT_ID") {
        parameters.insert("restaurantId".to_owned(), id);
    }
    for given in &arguments.params {
        match given.split_once('=') {
            Some((name, value))
                if !name.is_empty() && name.len() + value.len() <= PARAMETER_BYTES_MAX =>
            {
                parameters.insert(name.to_owned(), value.to_owned());
            }
            Some(_) | None => problems.push(invalid("--param", given, "restaurantId=uuid")),
        }
    }
    if parameters.len() > PARAMETERS_MAX {
        let count = parameters.len().to_string();
        problems.push(invalid("--param", &count, "restaurantId=uuid"));
    }
    parameters
}

fn callbacks(
    arguments: &BridgeArguments,
    layers: &Layers<'_>,
    problems: &mut Vec<Message>,
) -> Callbacks {
    let mut address = |flag: &Option<String>, option: &str, variable: &str| {
        let url = layers.text(flag.as_ref(), variable)?;
        if !is_callback(&url) {
            problems.push(invalid(option, &url, "http://localhost:3000/callback"));
        }
        Some(url)
    };
    Callbacks {
        status_url: address(
            &arguments.status_callback_url,
            "--status-callback-url",
            "STATUS_CALLBACK_URL",
        ),
        incoming_url: address(
            &arguments.incoming_callback_url,
            "--incoming-callback-url",
            "INCOMING_CALLBACK_URL",
        ),
        get: arguments.callback_method.eq_ignore_ascii_case("GET"),
        within: Duration::from_secs(arguments.callback_timeout.into()),
    }
}

fn ports(text: &str, problems: &mut Vec<Message>) -> (u16, u16) {
    let range = text.split_once('-').and_then(|(first, last)| {
        let range: (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (range.0 < range.1 || range == (0, 0)).then_some(range)
    });
    range.unwrap_or_else(|| {
        problems.push(invalid("--rtp-ports", text, "10000-20000"));
        (0, 0)
    })
}

fn public_address(
    arguments: &BridgeArguments,
    layers: &Layers<'_>,
    problems: &mut Vec<Message>,
) -> Option<IpAddr> {
    if arguments.public_address.is_some() {
        return arguments.public_address;
    }
    let text = layers.variable("PUBLIC_IP")?;
    let address = text.parse().ok();
    if address.is_none() {
        problems.push(invalid("PUBLIC_IP", &text, "203.0.113.7"));
    }
    address
}

/// A server that is asked for an address.
fn nat_server(
    text: Option<String>,
    option: &str,
    problems: &mut Vec<Message>,
) -> Option<ServerAddress> {
    let text = text?;
    let server = text.parse().ok();
    if server.is_none() {
        problems.push(invalid(option, &text, "stun.example.com:3478"));
    }
    server
}

/// The server that relays the audio.
fn turn(
    arguments: &BridgeArguments,
    layers: &Layers<'_>,
    problems: &mut Vec<Message>,
) -> Option<TurnServer> {
    let server = layers.text(arguments.turn_server.as_ref(), "TURN_SERVER");
    let address = nat_server(server, "--turn-server", problems)?;
    let text = |flag: &Option<String>, name| layers.text(flag.as_ref(), name).unwrap_or_default();
    Some(TurnServer {
        address,
        username: text(&arguments.turn_username, "TURN_USERNAME"),
        password: Secret::new(text(&arguments.turn_password, "TURN_PASSWORD")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: BridgeArguments,
    }

    fn arguments(line: &str) -> BridgeArguments {
        let words = std::iter::once("bridge").chain(line.split_whitespace());
        Line::try_parse_from(words).expect("a line").arguments
    }

    fn parsed(line: &str, environment: &[(&str, &str)]) -> Result<Options, Vec<String>> {
        let arguments = arguments(line);
        let layer = |pairs: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect()
        };
        let sources = Sources {
            file: None,
            environment: layer(environment),
            dot_env: layer(&[("SIP_DOMAIN", "from.env"), ("WS_TARGET", "")]),
        };
        read(&arguments, &sources).map_err(|problems| {
            let codes = problems.iter().map(|problem| problem.code.to_string());
            codes.collect()
        })
    }

    #[test]
    fn the_command_line_of_the_requirements_runs_as_written() {
        let line = "--sip-username 33491234567 --sip-password s3cr3t --sip-domain sip.trunk.com --param restaurantId=uuid";
        let options = parsed(line, &[]).expect("options");
        assert_eq!(options.domain, "sip.trunk.com");
        assert_eq!(options.ws_target, "ws://localhost:5050/media-stream");
        assert_eq!(options.api.to_string(), "127.0.0.1:5060");
        assert_eq!((options.port, options.expires_s), (0, 300));
        assert_eq!(options.call_max, Some(Duration::from_secs(600)));
        assert_eq!(options.calls_max, 10);
        assert_eq!(options.parameters["restaurantId"], "uuid");
        assert!(options.auto_answer && options.register);
        assert_eq!(options.callbacks.within, Duration::from_secs(5));
    }

    #[test]
    fn the_variables_of_the_launcher_stand_behind_the_flags() {
        let environment = [
            ("SIP_USERNAME", "alice"),
            ("RESTAURANT_ID", "r-1"),
            ("SIP_TRANSPORT", "TCP"),
            ("BRIDGE_API_PORT", "6060"),
            ("MAX_CALL_DURATION", "0"),
            ("MAX_CONCURRENT_CALLS", "3"),
            ("STATUS_CALLBACK_URL", "http://localhost:1/s"),
        ];
        let options = parsed("--max-concurrent-calls 4 --no-ice --no-ec", &environment);
        let options = options.expect("options");
        assert_eq!(
            (options.username.as_str(), options.domain.as_str()),
            ("alice", "from.env")
        );
        assert_eq!(options.transport, Protocol::Tcp);
        assert_eq!(options.api.port(), 6060);
        assert_eq!((options.call_max, options.calls_max), (None, 4));
        assert_eq!(options.parameters["restaurantId"], "r-1");
        assert_eq!(
            options.callbacks.status_url.as_deref(),
            Some("http://localhost:1/s")
        );
    }

    #[test]
    fn what_this_version_cannot_do_is_refused_and_mistakes_are_told_together() {
        let codes = |line: &str, environment: &[(&str, &str)]| {
            parsed(line, environment).expect_err("refused")
        };
        assert_eq!(codes("", &[]), ["bridge_username_missing"]);
        let sound = "bridge_sound_unsupported";
        let stun = "--sip-username a --stun-server stun.example.test";
        let server = parsed(stun, &[]).expect("taken").stun_server;
        assert_eq!(server.expect("a server").port, 3478);
        let turn = parsed(
            "--sip-username a --turn-username u",
            &[("TURN_SERVER", "turn.example.test"), ("TURN_PASSWORD", "p")],
        );
        let turn = turn.expect("taken").turn.expect("a relay");
        assert_eq!((turn.username.as_str(), turn.password.expose()), ("u", "p"));
        assert_eq!(
            codes("--sip-username a --stun-server :1", &[]),
            ["bridge_option_invalid"]
        );
        assert_eq!(
            codes("--sip-username a --vad --ec-tail-ms 200", &[]),
            [sound]
        );
        let tail = |line: &str| {
            let options = parsed(line, &[]).expect("taken");
            options.echo_tail.map(media::EchoTail::ms)
        };
        assert_eq!(tail("--sip-username a"), None);
        assert_eq!(tail("--sip-username a --ec-tail-ms 200"), Some(200));
        assert_eq!(tail("--sip-username a --no-ec --ec-tail-ms 200"), None);
        let mistakes = "--sip-username a --sip-transport ws --ws-target http://x --param x --rx-gain 90 --rtp-ports 7";
        assert_eq!(
            codes(mistakes, &[("SIP_PORT", "x")]),
            ["bridge_option_invalid"; 6]
        );
        let open = "--sip-username a --api-host 0.0.0.0";
        assert_eq!(codes(open, &[]), ["bridge_token_missing"]);
        assert!(parsed(open, &[("BRIDGE_API_TOKEN", "0123456789abcdef")]).is_ok());
    }
}
