//! `allo bridge`: the generic bridge between SIP and an application that speaks Media Streams.
//!
//! It is one SIP account, an engine whose calls a switchboard takes, and an interface. Calls that come in are connected with the
//! application at `--ws-target`, as Twilio would bring them; calls are placed, ended and handed over by the interface.

mod book;
mod callback;
mod desk;
pub(crate) mod options;
mod rest;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use catalog::{Language, Message};
use courier::{Allow, Courier, CourierConfig};
use engine::config::{LimitsConfig, LineConfig, LineProvider, RtpConfig, SipConfig, SrtpPolicy};
use engine::nat::{NatConfig, NatMode};
use engine::switchboard::{IncomingCall, Switchboard};
use engine::{Config, Engine};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use sip::Protocol;
use store::{Artefact, Store, TenantScope};
use tokio::sync::mpsc;

use crate::apart::orders;
use crate::cli::EXIT_BAD_SETTINGS;
use crate::settings::read::Sources;
use crate::shutdown::Signals;
use crate::terminal::{Terminal, line};
use crate::{identity, telemetry};
use book::Book;
pub(crate) use options::BridgeArguments;
use options::Options;

/// Name of the bridge's one line.
const LINE: &str = "bridge";
/// How long calls, callbacks and the registration may take to end, each.
const STOP_WITHIN: Duration = Duration::from_secs(3);
/// Journals of a bridge that keeps no records are removed when their call ended this long ago.
const JOURNAL_KEPT: SignedDuration = SignedDuration::from_hours(1);
/// How often that is done.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);
/// Networks whose callbacks are let out beside the public Internet: whoever may command the bridge is its operator.
const NEIGHBOURS: [&str; 6] = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
];

/// What the parts of a running bridge share.
pub(crate) struct Bridge {
    pub(crate) options: Options,
    pub(crate) engine: Engine,
    pub(crate) courier: Courier,
    pub(crate) book: Book,
    /// `accountSid` of every stream.
    pub(crate) account_sid: String,
    /// Whoever still works for a call holds a clone.
    working: Mutex<Option<mpsc::Sender<()>>>,
}

impl Bridge {
    /// Held while a call is worked for.
    fn working(&self) -> Option<mpsc::Sender<()>> {
        self.working
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// From here on only those who work already are waited for.
    fn close(&self) {
        self.working
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// Runs the command until a signal.
pub(crate) async fn run(arguments: &BridgeArguments) -> ExitCode {
    let sources = match Sources::of_process(None) {
        Ok(sources) => sources,
        Err(problem) => return crate::cli::report(&[problem], None),
    };
    let variable = |name: &str| {
        let found = sources.environment.get(name);
        found.or_else(|| sources.dot_env.get(name)).cloned()
    };
    let language = variable("ALLO_SERVER_LANGUAGE")
        .and_then(|tag| Language::from_tag(&tag))
        .unwrap_or_default();
    let level = variable("ALLO_SERVER_LOG_LEVEL").unwrap_or_else(|| "info".to_owned());
    telemetry::install_with(&level, false);
    let terminal = Terminal::new(language);
    let options = match options::read(arguments, &sources) {
        Ok(mut options) => {
            if let Some(orders) = orders::bridge() {
                options.api_token = Some(orders.api_token.clone());
                let token = ("token".to_owned(), orders.stream_token.clone());
                options.parameters.extend([token]);
            }
            options
        }
        Err(problems) => {
            problems
                .iter()
                .for_each(|message| terminal.complain(message));
            return ExitCode::from(EXIT_BAD_SETTINGS);
        }
    };
    match serve(options, language).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            terminal.complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn failed(cause: &dyn std::fmt::Display) -> Message {
    Message::new("start_failed").with("cause", cause.to_string())
}

async fn serve(options: Options, language: Language) -> Result<(), Message> {
    let mut signals = Signals::install().map_err(|error| failed(&error))?;
    let place = Place::make(options.data_dir.as_deref()).map_err(|error| failed(&error))?;
    let database = place.0.join("allo.db");
    let store = Store::open(&database.to_string_lossy())
        .await
        .map_err(|error| failed(&error))?;
    let courier = courier(&options)?;
    let (mut switchboard, incoming) = Switchboard::new();
    switchboard.rx_gain_db = options.rx_gain_db;
    switchboard.tx_gain_db = options.tx_gain_db;
    switchboard.call_max = options.call_max;
    let config = config(&options, &place.0, switchboard)?;
    let engine = Engine::start(config, store.clone(), courier.clone())
        .await
        .map_err(|error| crate::serve::start_message(&error))?;
    let digest = Sha256::digest(format!("{}@{}", options.username, options.domain));
    let account: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let (working, mut idle) = mpsc::channel(1);
    let bridge = Arc::new(Bridge {
        options,
        engine,
        courier,
        book: Book::default(),
        account_sid: format!("AC{account}"),
        working: Mutex::new(Some(working)),
    });
    let api = rest::start(Arc::clone(&bridge), language).await?;
    for (name, address) in addresses(&bridge) {
        line(&format!("{name} {address}"));
    }
    line(&format!("api {}", api.address()));
    let expiring = expire(&bridge, &store);
    tokio::select! {
        () = take_calls(&bridge, incoming) => {}
        () = signals.next() => {}
    }
    bridge.engine.set_draining(true).await;
    bridge.close();
    if let Some(orders) = orders::bridge() {
        // New calls find another bridge of the account, those that run go on.
        bridge.engine.unregister().await;
        tokio::select! {
            _ = tokio::time::timeout(orders.drain(), idle.recv()) => {}
            () = signals.next() => {}
        }
    }
    for orders in bridge.book.all_orders() {
        orders.hang_up();
    }
    let said = async {
        let within = STOP_WITHIN.max(bridge.options.callbacks.within);
        let _ = tokio::time::timeout(within, idle.recv()).await;
        bridge.engine.drain(STOP_WITHIN).await;
    };
    tokio::select! {
        () = said => {}
        // A second signal does not wait.
        () = signals.next() => {}
    }
    api.stop().await;
    expiring.abort();
    store.close().await;
    Ok(())
}

fn addresses(bridge: &Bridge) -> impl Iterator<Item = (&'static str, SocketAddr)> {
    let sip = bridge.engine.addresses();
    [
        ("sip/udp", sip.udp),
        ("sip/tcp", sip.tcp),
        ("sip/tls", sip.tls),
    ]
    .into_iter()
    .filter_map(|(name, address)| Some((name, address?)))
}

async fn take_calls(bridge: &Arc<Bridge>, mut incoming: mpsc::Receiver<IncomingCall>) {
    while let Some(call) = incoming.recv().await {
        let (bridge, working) = (Arc::clone(bridge), bridge.working());
        tokio::spawn(async move {
            let _working = working;
            desk::incoming(&bridge, call).await;
        });
    }
}

/// A bridge without a data directory forgets what happened an hour ago.
fn expire(bridge: &Bridge, store: &Store) -> tokio::task::JoinHandle<()> {
    let forgets = bridge.options.data_dir.is_none();
    let store = store.clone();
    tokio::spawn(async move {
        if !forgets {
            return;
        }
        let mut ticks = tokio::time::interval(EXPIRE_EVERY);
        loop {
            ticks.tick().await;
            let before = Timestamp::now().saturating_sub(JOURNAL_KEPT);
            let Ok(before) = before else { continue };
            if let Err(error) = store.node_expire(None, Artefact::Journals, before).await {
                tracing::debug!(%error, "old journals not removed");
            }
        }
    })
}

fn courier(options: &Options) -> Result<Courier, Message> {
    let mut allow = Allow::parse(&NEIGHBOURS).map_err(|error| failed(&error))?;
    let named = [
        &options.callbacks.status_url,
        &options.callbacks.incoming_url,
    ];
    for url in named.into_iter().flatten() {
        allow.add_origin_of(url).map_err(|error| failed(&error))?;
    }
    let config = CourierConfig {
        allow,
        extra_ca_pem: authorities(options)?,
        ..CourierConfig::default()
    };
    Courier::new(config).map_err(|error| failed(&error))
}

fn authorities(options: &Options) -> Result<Vec<u8>, Message> {
    let Some(path) = &options.ca else {
        return Ok(Vec::new());
    };
    std::fs::read(path).map_err(|error| failed(&format!("{}: {error}", path.display())))
}

/// The one line of a bridge.
fn bridged_line(
    options: &Options,
    account: sip::AccountConfig,
    (srtp, codecs): (SrtpPolicy, Vec<media::Codec>),
    nat: NatConfig,
) -> LineConfig {
    LineConfig {
        name: LINE.to_owned(),
        tenant: call::TenantId::from(TenantScope::DEFAULT_TENANT),
        agent: String::new(),
        account: Some(account),
        domain: None,
        provider: LineProvider::Sip,
        numbers: Vec::new(),
        allow: options.allow.clone(),
        credentials: None,
        srtp,
        codecs,
        keypad: media::Keypad::default(),
        treatment: media::Treatment {
            echo_cancellation: options.echo_tail.is_some(),
            echo_tail: options.echo_tail.unwrap_or_default(),
            ..media::Treatment::default()
        },
        nat,
        calls_max: options.calls_max,
        rates: engine::config::CallRates::default(),
        certificates: engine::config::ClientCertificates::default(),
        identity: engine::config::IdentityPolicy::Off,
        sip_account: None,
        device: None,
    }
}

/// How its address is found where nobody else says it.
fn nat_of(options: &Options) -> NatConfig {
    NatConfig {
        turn: options.turn.clone(),
        mode: match &options.turn {
            Some(_) => NatMode::Turn,
            None => NatMode::Auto,
        },
        ..NatConfig::default()
    }
}

fn config(options: &Options, place: &Path, switchboard: Switchboard) -> Result<Config, Message> {
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), options.port);
    let listens = |protocol: Protocol| (options.transport == protocol).then_some(any);
    let tls = match options.transport {
        Protocol::Tls | Protocol::Wss => {
            let made = identity::self_signed(place, None);
            Some(made.map_err(|error| failed(&error))?)
        }
        Protocol::Udp | Protocol::Tcp | Protocol::Ws => None,
    };
    let aor = format!("sip:{}@{}", options.username, options.domain);
    let mut account = sip::AccountConfig::new(&aor, &options.username, &options.password);
    account.registrar.clone_from(&options.registrar);
    account.register = options.register;
    account.expires_s = options.expires_s;
    account.protocol = options.transport;
    let mut srtp = SrtpPolicy::Preferred;
    let mut codecs = vec![media::Codec::Pcmu, media::Codec::Pcma];
    let mut nat = nat_of(options);
    if let Some(orders) = orders::bridge() {
        (account, srtp, codecs) = (orders.account(), orders.srtp(), orders.codecs());
        nat = orders.nat();
        // The application hears µ-law: a wideband leg would only be transcoded.
        let is_narrow = |codec: &media::Codec| codec.form() != media::Form::Wide;
        if codecs.iter().any(is_narrow) {
            codecs.retain(is_narrow);
        }
    }
    Ok(Config {
        sip: SipConfig {
            udp: listens(Protocol::Udp),
            tcp: listens(Protocol::Tcp),
            tls_bind: listens(Protocol::Tls),
            tls,
            advertised_host: options.public_address.map(|address| address.to_string()),
            extra_ca_pem: authorities(options)?,
            ..SipConfig::default()
        },
        rtp: RtpConfig {
            port_min: options.rtp_ports.0,
            port_max: options.rtp_ports.1,
            advertised: options.public_address,
            stun_server: options.stun_server.clone(),
            ..RtpConfig::default()
        },
        lines: vec![bridged_line(options, account, (srtp, codecs), nat)],
        limits: LimitsConfig {
            // The line's own bound answers first: busy, rather than unavailable.
            calls_max: options.calls_max.saturating_add(64),
            ..LimitsConfig::default()
        },
        switchboard: Some(switchboard),
        ..Config::default()
    })
}

/// Where records are: the directory that was named, or one of its own that goes with it.
struct Place(PathBuf, bool);

impl Place {
    fn make(named: Option<&Path>) -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let (path, temporary) = match named {
            Some(path) => (path.to_owned(), false),
            None => {
                let name = format!("allo-bridge-{}", uuid::Uuid::new_v4().simple());
                (std::env::temp_dir().join(name), true)
            }
        };
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path);
        made.map(|()| Self(path, temporary))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.1 {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
