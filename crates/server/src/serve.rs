//! `allo serve`: settings, store, engine, administration API; then signals.

use crate::apart::{ApartConfig, Processes, orders};
use crate::cli::{ConfigArguments, EXIT_BAD_SETTINGS, own_origin, settings_or_report};
use crate::compat::discovery::Discovery;
use crate::config::{self, ProcessConfig};
use crate::housekeeping::{self, Housekeeping};
use crate::office::{Office, OfficeConfig};
use crate::outgoing::Outgoing;
use crate::settings::Settings;
use crate::shutdown::Signals;
use crate::terminal::{Terminal, line};
use crate::{
    admin_command, api, check, compat, files, identity, pages, platform_api, secrets, telemetry,
    voice, wiring,
};
use catalog::Message;
use engine::config::{AgentConfig, LineConfig, Secret};
use engine::directory::DirectoryHandle;
use engine::{Engine, StartError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::secret::Vault;

/// How long the last traces are given to leave.
const TRACES_LAST_WITHIN: Duration = Duration::from_secs(3);

/// A running house: everything that must be stopped in order.
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) outgoing: Outgoing,
    office: Option<Office>,
    discovery: Option<Discovery>,
    processes: Option<Processes>,
    pub(crate) admin: api::Running,
    pub(crate) platform: Option<platform_api::Running>,
    pub(crate) back_office: Option<wiring::Running>,
    pub(crate) voice: Option<voice::Running>,
    addresses_file: PathBuf,
    _housekeeping: Housekeeping,
}

/// Runs the command until a signal.
pub(crate) async fn run(arguments: &ConfigArguments, discover: bool) -> ExitCode {
    let mut settings = match settings_or_report(arguments) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    if discover {
        settings.override_with("agents.discover", "true", own_origin("allo manager"));
    }
    compat::complete(&mut settings);
    if let Some(app) = orders::app() {
        app.narrow(&mut settings);
    }
    telemetry::install(&settings);
    let terminal = Terminal::new(config::language(&settings));
    check::say_without_effect(terminal, &settings);
    let config = match config::build(&settings) {
        Ok(mut config) => {
            narrow(&mut config, arguments);
            config
        }
        Err(problems) => {
            problems
                .iter()
                .for_each(|problem| terminal.problem(problem));
            return ExitCode::from(EXIT_BAD_SETTINGS);
        }
    };
    let drain = config.drain;
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            return failed(
                terminal,
                &Message::new("start_failed").with("cause", error.to_string()),
            );
        }
    };
    let house = match start(config).await {
        Ok(house) => house,
        Err(message) => return failed(terminal, &message),
    };
    if orders::app().is_none() {
        warn_without_line(terminal, &settings);
    }
    for text in house.address_lines() {
        line(&text);
    }
    if orders::app().is_none() {
        house.say_first_run(terminal).await;
    }
    signals.next().await;
    terminal.say(&Message::new("log_drain_started").with(
        "seconds",
        i64::try_from(drain.as_secs()).unwrap_or(i64::MAX),
    ));
    house.stop(drain, signals.next()).await;
    ExitCode::SUCCESS
}

/// What this process is among those of its agents: the manager of them, or one of them.
fn narrow(config: &mut ProcessConfig, arguments: &ConfigArguments) {
    if let Some(apart) = &mut config.apart {
        apart.config_file.clone_from(&arguments.config);
    }
    let Some(app) = orders::app() else { return };
    config.addresses.clone_from(&app.addresses);
    config.office.only = Some(app.agent.clone());
    compat::belong(&mut config.engine, &app.agent);
}

fn failed(terminal: Terminal, message: &Message) -> ExitCode {
    terminal.complain(message);
    secrets::status_of(message)
}

fn warn_without_line(terminal: Terminal, settings: &Settings) {
    let reachable = ["line.username", "line.allow", "line.users"]
        .iter()
        .any(|key| settings.set(key).is_some())
        || settings.switch("line.allow_loopback")
        || settings.set("voice.twilio_auth_token").is_some()
        || settings.set("voice.bridge_token").is_some()
        || settings.switch("agents.discover");
    if !reachable {
        terminal.complain(&Message::new("config_no_line"));
    }
}

/// Starts everything in order.
///
/// # Errors
/// The message says what failed and what to do.
pub(crate) async fn start(mut config: ProcessConfig) -> Result<House, Message> {
    let token = prepare(&mut config)?;
    let (platform, voice) = (config.platform.take(), config.voice.take());
    let bound = bind_back_office(&mut config).await?;
    let store = open_store(&config.database).await?;
    // Before anything listens: a server that could not read its passwords must not take a call.
    let vault = secrets::unlock(Terminal::new(config.language), &store, &config.keys).await?;
    prepare_single(&mut config, &store, &vault).await?;
    let outgoing = Outgoing::start(config.courier, &store, vault.clone())?;
    let late = pages::Late::default();
    let (hand, words) = ((token.as_str(), &late), config.language);
    let mut back_office =
        start_back_office(bound, (&store, &vault), &outgoing, hand, words).await?;
    let processes = start_processes(config.apart.take(), &mut config.office, &token).await?;
    let agent = config.engine.agents.first().cloned();
    let line = config.engine.lines.first().cloned();
    let engine = Engine::start(config.engine, store.clone(), outgoing.courier.clone())
        .await
        .map_err(|error| start_message(&error))?;
    let base = agent.map(|agent| (agent, line));
    let office = start_office(config.office, &outgoing, &engine, (&store, &vault), base).await?;
    let directory = office.as_ref().map(Office::directory);
    let discovery = directory.as_ref().and_then(|directory| {
        compat::discover(&config.agents, (&outgoing, &store, &vault), directory)
    });
    let voice = start_voice(voice, &engine, (&store, &vault)).await?;
    let carriers = voice.as_ref().map(|voice| Arc::clone(voice.voice()));
    let managed = directory.clone().map(|directory| {
        let found = (discovery.clone(), processes.clone());
        Arc::new(managed(&engine, directory, found, voice.as_ref()))
    });
    let servers = managed.as_ref().map(|managed| managed.servers());
    let admin = start_admin(
        &config.admin,
        token.clone(),
        (&engine, &store),
        (carriers, managed),
        config.language,
    )
    .await?;
    let parts = platform_api::Parts {
        engine: engine.clone(),
        store: store.clone(),
        vault,
        outbox: outgoing.outbox.nudger(),
        directory,
        servers,
        back_office: back_office.as_ref().map(wiring::Running::router),
        late,
        voice: voice.as_ref().map(|voice| Arc::clone(voice.voice())),
        language: config.language,
    };
    let platform = start_platform(platform, &token, parts).await?;
    provision(back_office.as_mut(), platform.as_ref()).await?;
    let house = House {
        _housekeeping: housekeeping::start(store.clone(), config.retention),
        engine,
        store,
        outgoing,
        office,
        discovery,
        processes,
        admin,
        platform,
        back_office,
        voice,
        addresses_file: config.addresses,
    };
    house.write_addresses();
    Ok(house)
}

/// One agent alone, by the settings.
async fn prepare_single(
    config: &mut ProcessConfig,
    store: &Store,
    vault: &Vault,
) -> Result<(), Message> {
    let Some(id) = &config.agents.only else {
        return Ok(());
    };
    let written = compat::written(store, vault, &config.agents);
    compat::prepare_single(&written, id, &mut config.engine).await
}

/// Takes the back office's address, so that whatever leaves the house may reach it.
async fn bind_back_office(config: &mut ProcessConfig) -> Result<Option<wiring::Bound>, Message> {
    let bound = wiring::bind(config.back_office.take(), config.language).await?;
    if let Some(bound) = &bound {
        let url = bound.url();
        config
            .courier
            .allow
            .add_origin_of(&url)
            .map_err(|error| Message::new("start_failed").with("cause", error.to_string()))?;
        config.office.has_own(&url);
        if let Some(apart) = &mut config.apart {
            apart.own_back_office = Some(url);
        }
    }
    Ok(bound)
}

/// The voice server of this process, where there is one, is known once it listens.
async fn provision(
    back_office: Option<&mut wiring::Running>,
    platform: Option<&platform_api::Running>,
) -> Result<(), Message> {
    match back_office {
        Some(back_office) => {
            let address = platform.map(platform_api::Running::address);
            back_office.provision(address).await
        }
        None => Ok(()),
    }
}

async fn start_back_office(
    bound: Option<wiring::Bound>,
    (store, vault): (&Store, &Vault),
    outgoing: &Outgoing,
    (token, platform): (&str, &pages::Late),
    language: catalog::Language,
) -> Result<Option<wiring::Running>, Message> {
    let parts = wiring::Parts {
        store,
        vault,
        courier: &outgoing.courier,
        token,
        language,
        platform: platform.clone(),
    };
    wiring::start(bound, parts).await
}

async fn start_office(
    config: OfficeConfig,
    outgoing: &Outgoing,
    engine: &Engine,
    (store, vault): (&Store, &Vault),
    base: Option<(AgentConfig, Option<LineConfig>)>,
) -> Result<Option<Office>, Message> {
    match base {
        Some(base) => Office::start(config, outgoing, engine, store, vault, base)
            .await
            .map(Some),
        None => Ok(None),
    }
}

/// Finds the processes of the agents and keeps them from then on, where they have any.
async fn start_processes(
    apart: Option<ApartConfig>,
    office: &mut OfficeConfig,
    token: &str,
) -> Result<Option<Processes>, Message> {
    let Some(apart) = apart else {
        return Ok(None);
    };
    let (processes, way) = Processes::start(apart, Secret::new(token)).await?;
    office.apart = Some(way);
    Ok(Some(processes))
}

fn managed(
    engine: &Engine,
    directory: DirectoryHandle,
    (discovery, processes): (Option<Discovery>, Option<Processes>),
    voice: Option<&voice::Running>,
) -> api::agents::Managed {
    let sip = engine.addresses();
    api::agents::Managed {
        agents: directory.agents(),
        directory,
        discovery,
        voice: voice.map(voice::Running::address),
        sip: sip.udp.or(sip.tcp).or(sip.tls),
        processes,
    }
}

/// The log's language, directories, the TLS identity and the administrator's token.
fn prepare(config: &mut ProcessConfig) -> Result<String, Message> {
    engine::set_log_language(config.language);
    let start_failed = |cause: String| Message::new("start_failed").with("cause", cause);
    let limits = &mut config.engine.limits;
    let files = files::ask_for_all();
    limits.connections_max = files::connections(files, limits.calls_max, limits.connections_max);
    // A killed process leaves its own behind; nobody may take it for ours.
    remove(&config.addresses);
    std::fs::create_dir_all(&config.data_dir)
        .and_then(|()| std::fs::create_dir_all(&config.engine.recording.directory))
        .map_err(|error| {
            Message::new("store_unusable")
                .with("path", config.data_dir.display().to_string())
                .with("cause", error.to_string())
        })?;
    if config.engine.sip.needs_identity() {
        let identity = identity::self_signed(
            &config.data_dir,
            config.engine.sip.advertised_host.as_deref(),
        )
        .map_err(|error| start_failed(error.to_string()))?;
        config.engine.sip.tls = Some(identity);
    }
    match config.admin.token.take() {
        Some(token) => Ok(token),
        None => {
            identity::admin_token(&config.data_dir).map_err(|error| start_failed(error.to_string()))
        }
    }
}

async fn start_platform(
    config: Option<config::PlatformConfig>,
    token: &str,
    parts: platform_api::Parts,
) -> Result<Option<platform_api::Running>, Message> {
    let Some(config) = config else {
        return Ok(None);
    };
    let (listen, engine) = (config.listen, parts.engine.clone());
    match platform_api::start(config, token, parts).await {
        Ok(running) => Ok(Some(running)),
        Err(error) => {
            engine.drain(Duration::ZERO).await;
            Err(Message::new("port_in_use")
                .with("protocol", "HTTP")
                .with("address", listen.to_string())
                .with("cause", error.to_string()))
        }
    }
}

async fn start_admin(
    config: &config::AdminConfig,
    token: String,
    (engine, store): (&Engine, &Store),
    parts: (Option<Arc<voice::Voice>>, Option<Arc<api::agents::Managed>>),
    language: catalog::Language,
) -> Result<api::Running, Message> {
    let started = api::start(
        config,
        token,
        engine.clone(),
        store.clone(),
        parts,
        language,
    );
    match started.await {
        Ok(admin) => Ok(admin),
        Err(error) => {
            engine.drain(Duration::ZERO).await;
            Err(Message::new("port_in_use")
                .with("protocol", "HTTP")
                .with("address", config.listen.to_string())
                .with("cause", error.to_string()))
        }
    }
}

async fn start_voice(
    config: Option<voice::settings::VoiceConfig>,
    engine: &Engine,
    (store, vault): (&Store, &Vault),
) -> Result<Option<voice::Running>, Message> {
    let Some(config) = config else {
        return Ok(None);
    };
    let listen = config.listen;
    let tenants = voice::Tenants {
        store: store.clone(),
        vault: vault.clone(),
    };
    match voice::start(config, engine.clone(), tenants).await {
        Ok(running) => Ok(Some(running)),
        Err(error) => {
            engine.drain(Duration::ZERO).await;
            Err(Message::new("port_in_use")
                .with("protocol", "HTTP")
                .with("address", listen.to_string())
                .with("cause", error.to_string()))
        }
    }
}

/// Opens the database of the settings.
///
/// # Errors
/// The message says what is wrong with it.
pub(crate) async fn open_store(database: &str) -> Result<Store, Message> {
    Store::open(database).await.map_err(|error| {
        Message::new("store_unusable")
            .with("path", config::without_password(database))
            .with("cause", causes(&error))
    })
}

/// An error with everything under it, outermost first.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

pub(crate) fn start_message(error: &StartError) -> Message {
    match error {
        StartError::Bind {
            protocol,
            address,
            source,
        } => Message::new("port_in_use")
            .with("protocol", protocol.to_uppercase())
            .with("address", address.to_string())
            .with("cause", source.to_string()),
        StartError::NoListener => Message::new("config_no_listener"),
        StartError::Tls { .. }
        | StartError::UnknownAgent { .. }
        | StartError::EngineUrl { .. }
        | StartError::RtpRange { .. }
        | StartError::Certificates(_)
        | StartError::Recordings { .. }
        | StartError::Hep { .. }
        | StartError::Recovery { .. } => Message::new("start_failed").with("cause", causes(error)),
    }
}

impl House {
    /// Ready once what was written before is in use on the telephone side.
    ///
    /// # Errors
    /// The message says what the store said.
    pub(crate) async fn settled(&self) -> Result<(), Message> {
        match &self.office {
            Some(office) => office.settled().await,
            None => Ok(()),
        }
    }

    /// What is listened on, one line each: `sip/udp 0.0.0.0:5060`.
    pub(crate) fn address_lines(&self) -> Vec<String> {
        self.addresses()
            .into_iter()
            .map(|(name, address)| format!("{name} {address}"))
            .collect()
    }

    /// Prints the link by which the first administrator is made, where there is none.
    async fn say_first_run(&self, terminal: Terminal) {
        let Some(platform) = &self.platform else {
            return;
        };
        match admin_command::first_link(&self.store, &platform.url()).await {
            Ok(Some(message)) => terminal.say(&message),
            Ok(None) => {}
            Err(message) => terminal.complain(&message),
        }
    }

    fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let sip = self.engine.addresses();
        [
            ("sip/udp", sip.udp),
            ("sip/tcp", sip.tcp),
            ("sip/tls", sip.tls),
            ("sip/ws", sip.ws),
            ("sip/wss", sip.wss),
            ("admin", Some(self.admin.address())),
            (
                "platform",
                self.platform.as_ref().map(platform_api::Running::address),
            ),
            (
                "back_office",
                self.back_office.as_ref().map(wiring::Running::address),
            ),
            ("voice", self.voice.as_ref().map(voice::Running::address)),
        ]
        .into_iter()
        .filter_map(|(name, address)| Some((name, address?)))
        .collect()
    }

    /// Programs beside this one (tests, scripts) read the bound addresses here; the file goes when the server stops.
    fn write_addresses(&self) {
        let addresses: serde_json::Map<String, serde_json::Value> = self
            .addresses()
            .into_iter()
            .map(|(name, address)| (name.to_owned(), address.to_string().into()))
            .collect();
        let text = serde_json::Value::Object(addresses).to_string();
        let partial = self.addresses_file.with_extension("json.new");
        // Written aside and renamed, so that a reader never sees half of it. Without it only scripts lose a convenience.
        if let Err(error) = std::fs::write(&partial, text)
            .and_then(|()| std::fs::rename(&partial, &self.addresses_file))
        {
            tracing::warn!(%error, path = %self.addresses_file.display(), "addresses not written");
        }
    }

    /// Drains the calls, removes the registrations, closes everything. Once `hurried` is there the calls are cut: each caller
    /// gets a BYE and each call its record all the same.
    pub(crate) async fn stop(mut self, bound: Duration, hurried: impl Future<Output = ()>) {
        // Before the address that it asks is gone.
        if let Some(back_office) = &mut self.back_office {
            back_office.stop_provisioning().await;
        }
        // What follows the desired set would register again what is taken down.
        if let Some(discovery) = self.discovery {
            discovery.stop().await;
        }
        if let Some(office) = &self.office {
            office.stop_following().await;
        }
        let end = async |bound: Duration| {
            let processes = async {
                if let Some(processes) = &self.processes {
                    processes.stop(bound).await;
                }
            };
            tokio::join!(self.engine.drain(bound), processes).0
        };
        let report = tokio::select! {
            report = end(bound) => report,
            () = hurried => end(Duration::ZERO).await,
        };
        tracing::info!(finished = report.finished, cut = report.cut, "drained");
        self.admin.stop().await;
        if let Some(office) = self.office {
            office.stop().await;
        }
        if let Some(voice) = self.voice {
            voice.stop().await;
        }
        if let Some(platform) = self.platform {
            platform.stop().await;
        }
        // Calls that ended while draining have left their webhooks: what is under way is finished, the rest stays in its table.
        self.outgoing.outbox.stop().await;
        if let Some(traces) = self.outgoing.courier.traces() {
            traces.flush(TRACES_LAST_WITHIN).await;
        }
        if let Some(back_office) = self.back_office {
            back_office.stop().await;
        }
        self.store.close().await;
        remove(&self.addresses_file);
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, path = %path.display(), "not removed");
    }
}
