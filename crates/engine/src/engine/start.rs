//! The start of an engine: everything that can fail is done before anything runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use catalog::Message;
use courier::Courier;
use sip::{InboundCredential, UserAgent};
use store::Store;
use tokio::sync::{broadcast, mpsc};
use tokio_rustls::TlsConnector;

use super::error::StartError;
use super::listeners::Sockets;
use super::{Inner, Tasks};
use crate::admission::{Draining, SourceRates};
use crate::calls::{Calls, Shared};
use crate::chat::Chats;
use crate::config::Config;
use crate::dispatch::Dispatcher;
use crate::greetings::Greetings;
use crate::hep::Hep;
use crate::journal::Journal;
use crate::leg::dtls;
use crate::leg::way::Servers;
use crate::limits::{
    DRIVER_COMMANDS_MAX, REGISTRATION_CHANGES_MAX, RESOLUTIONS_MAX, STREAM_EVENTS_MAX,
};
use crate::live::LIVE_EVENTS_MAX;
use crate::load;
use crate::log::say;
use crate::metrics::Metrics;
use crate::random;
use crate::recorder::Recorder;
use crate::resolver::Resolver;
use crate::rtp_ports::RtpPorts;
use crate::sip_driver::{Parts, SipDriver};
use crate::sip_socket::{Connections, TlsEnds};
use crate::sip_websocket::Admission;
use crate::stir::Judge;
use crate::tls;

/// Starts the driver, the acceptors and the journal.
pub(super) async fn start(
    config: &Config,
    store: Store,
    courier: Courier,
) -> Result<Inner, StartError> {
    let now = Instant::now();
    let seed = config.seed.unwrap_or_else(random::seed);
    let draining = Draining::default();
    let dispatcher = Arc::new(Mutex::new(Dispatcher::new(now, config, draining.clone())?));
    let ports = RtpPorts::new(&config.rtp, seed).ok_or(StartError::RtpRange {
        min: config.rtp.port_min,
        max: config.rtp.port_max,
    })?;
    let client = tls::client(&config.sip.extra_ca_pem)?;
    let server = config.sip.tls.as_ref().map(tls::server).transpose()?;
    let mut sockets = Sockets::bind(&config.sip).await?;
    recover(&store).await?;
    let metrics = Arc::new(Metrics::new());
    let journal = Journal::start(store.clone(), Arc::clone(&metrics));
    let (events, _) = broadcast::channel(LIVE_EVENTS_MAX);
    let (commands, command_queue) = mpsc::channel(DRIVER_COMMANDS_MAX);
    let resolver = Resolver::new(&config.sip.name_servers);
    let calls = Arc::new(Calls::new(Shared {
        metrics,
        ports,
        rtp: config.rtp.clone(),
        servers: Servers::new(resolver.clone()),
        connector: TlsConnector::from(Arc::clone(&client)),
        journal,
        recorder: recorder(config)?,
        announces: config.recording.enabled && config.recording.announce,
        greetings: config.greetings.as_deref().map(Greetings::new),
        driver: commands.clone(),
        limits: config.limits.clone(),
        events,
        switchboard: config.switchboard.clone(),
        store,
        courier,
        judge: Judge::new(config)?,
        registrations: broadcast::channel(REGISTRATION_CHANGES_MAX).0,
    }));
    let (stream_events, stream_queue) = mpsc::channel(STREAM_EVENTS_MAX);
    let (answers, answer_queue) = mpsc::channel(RESOLUTIONS_MAX);
    let acceptors = sockets.accept(&stream_events);
    let parts = Parts {
        user_agent: UserAgent::new(now, user_agent_config(config, &sockets, seed)),
        listeners: protocols(&sockets.listeners),
        udp: sockets.udp,
        tls: TlsEnds::new(server, client),
        web: web_admission(config),
        connections: Connections::new(stream_events, &config.limits),
        resolver,
        dispatcher: Arc::clone(&dispatcher),
        rates: SourceRates::new(now, &config.limits),
        calls: Arc::clone(&calls),
        seed,
        hep: Hep::wanted(config.sip.hep.as_ref())?,
    };
    let driver = SipDriver::new(parts, answers).run(command_queue, stream_queue, answer_queue);
    let driver = tokio::spawn(driver);
    let pulse = start_pulse(&calls, &dispatcher, config);
    tell_listeners(&sockets.listeners);
    tokio::task::spawn_blocking(dtls::make_ready);
    Ok(Inner {
        chats: Chats::start(&calls, &dispatcher, &draining),
        calls,
        dispatcher,
        draining,
        driver: commands,
        addresses: sockets.addresses,
        sip: config.sip.clone(),
        tasks: Mutex::new(Some(Tasks::new(driver, acceptors, pulse))),
    })
}

/// Who may connect by WebSocket.
fn web_admission(config: &Config) -> Arc<Admission> {
    Arc::new(Admission {
        origins: config.sip.ws_origins.clone(),
        proxies: config.sip.ws_proxies.clone(),
    })
}

/// The clock that tells whether there is time for more calls.
fn start_pulse(
    calls: &Calls,
    dispatcher: &Mutex<Dispatcher>,
    config: &Config,
) -> tokio::task::JoinHandle<()> {
    let load = Arc::clone(
        dispatcher
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .load(),
    );
    calls
        .metrics
        .with_registry(|registry| load::register(registry, &load));
    tokio::spawn(load::watch(load, config.limits.shedding))
}

fn protocols<T: FromIterator<(sip::ListenerId, sip::Protocol)>>(listeners: &[sip::Listener]) -> T {
    listeners
        .iter()
        .map(|known| (known.id, known.protocol))
        .collect()
}

fn tell_listeners(listeners: &[sip::Listener]) {
    for listener in listeners {
        let protocol = crate::trace::protocol(listener.protocol);
        let message = Message::new("log_listening").with("protocol", protocol);
        say(&message.with("address", listener.bound.to_string()));
    }
}

async fn recover(store: &Store) -> Result<(), StartError> {
    let recovered = store
        .recover_unfinished()
        .await
        .map_err(|error| StartError::Recovery {
            cause: error.to_string(),
        })?;
    if !recovered.is_empty() {
        say(&Message::new("log_calls_recovered").with("count", recovered.len()));
    }
    Ok(())
}

fn recorder(config: &Config) -> Result<Option<Recorder>, StartError> {
    if !config.recording.enabled {
        return Ok(None);
    }
    let directory = &config.recording.directory;
    match Recorder::start(directory) {
        Ok((recorder, _thread)) => Ok(Some(recorder)),
        Err(source) => Err(StartError::Recordings {
            directory: directory.clone(),
            source,
        }),
    }
}

fn user_agent_config(config: &Config, sockets: &Sockets, seed: u64) -> sip::Config {
    let mut built = sip::Config::new(sockets.listeners.clone(), seed);
    built.user_agent.clone_from(&config.sip.user_agent);
    built.session.enabled = config.sip.session_expires_s > 0;
    if built.session.enabled {
        built.session.expires_s = config.sip.session_expires_s;
    }
    built.inbound_credentials = config
        .lines
        .iter()
        .filter_map(|line| line.credentials.as_ref())
        .map(|known| InboundCredential {
            realm: known.realm.clone(),
            username: known.username.clone(),
            password: known.password.expose().to_owned(),
        })
        .collect();
    let limits = &config.limits;
    built.limits.connections_max = usize::try_from(limits.connections_max).unwrap_or(usize::MAX);
    built.limits.connections_per_ip_max =
        usize::try_from(limits.connections_per_ip_max).unwrap_or(usize::MAX);
    built.limits.retry_after_s = limits.retry_after_s;
    built.limits.first_message = limits.first_message_within;
    built.limits.idle_connection = limits.connection_idle;
    built
}
