//! A scripted telephone, a scripted engine, and an allo engine between them, all on loopback.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the event it waits for"
)]

pub mod fake_engine;
pub mod phone;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use call::{CallId, Greeting, Profile, TenantId};
use engine::config::{
    AgentConfig, EngineChoice, LineConfig, RealtimeConfig, RecordingConfig, RtpConfig, SrtpPolicy,
};
use engine::{Config, Engine, LiveEvent, LiveEventKind};
use media::Codec;
use store::{CallFilter, CallRecord, Event, JournalEntry, Store, TenantScope};
use tempfile::TempDir;
use tokio::sync::broadcast;

/// Longest wait for anything in these tests.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

pub fn profile() -> Profile {
    Profile {
        greeting: Greeting::Model {
            instructions: "Say hello.".to_owned(),
        },
        ..Profile::default()
    }
}

pub fn config(directory: &TempDir, engine_url: &str, profile: Profile) -> Config {
    let mut config = Config::default();
    config.sip.udp = Some(loopback());
    config.sip.tcp = Some(loopback());
    config.rtp = RtpConfig {
        port_min: 0,
        port_max: 0,
        bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        ..RtpConfig::default()
    };
    config.recording = RecordingConfig {
        enabled: true,
        announce: false,
        directory: directory.path().join("recordings"),
    };
    config.lines.push(LineConfig {
        name: "test".to_owned(),
        tenant: TenantId::from(TenantScope::DEFAULT_TENANT),
        agent: "agent".to_owned(),
        account: None,
        domain: None,
        provider: engine::config::LineProvider::Sip,
        numbers: Vec::new(),
        allow: vec!["127.0.0.0/8".parse().expect("a network")],
        certificates: engine::config::ClientCertificates::default(),
        credentials: None,
        srtp: SrtpPolicy::Preferred,
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        keypad: media::Keypad::default(),
        treatment: media::Treatment::default(),
        nat: engine::nat::NatConfig::default(),
        calls_max: 0,
        rates: engine::config::CallRates::default(),
        identity: engine::config::IdentityPolicy::Off,
        sip_account: None,
        device: None,
    });
    config.agents.push(AgentConfig {
        name: "agent".to_owned(),
        instructions: "Be kind.".to_owned(),
        profile,
        tools: Vec::new(),
        engine: EngineChoice::new(RealtimeConfig {
            url: engine_url.to_owned(),
            ..RealtimeConfig::default()
        }),
        fallback: None,
        office: None,
    });
    config
}

/// An engine with its store.
pub struct House {
    pub engine: Engine,
    pub store: Store,
    pub directory: TempDir,
    events: broadcast::Receiver<LiveEvent>,
}

impl House {
    pub async fn open(
        engine_url: &str,
        profile: Profile,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path().join("allo.db").to_str().expect("a path"))
            .await
            .expect("a store");
        let mut config = config(&directory, engine_url, profile);
        change(&mut config);
        let courier = courier::Courier::new(courier::CourierConfig::default()).expect("a courier");
        let engine = Engine::start(config, store.clone(), courier)
            .await
            .expect("the engine starts");
        let events = engine.watch();
        Self {
            engine,
            store,
            directory,
            events,
        }
    }

    pub fn udp(&self) -> SocketAddr {
        self.engine.addresses().udp.expect("UDP is configured")
    }

    /// The next live event of some kind.
    pub async fn event<T>(&mut self, what: &str, pick: impl Fn(&LiveEvent) -> Option<T>) -> T {
        within(what, async {
            loop {
                let event = self.events.recv().await.expect("the engine lives");
                if let Some(found) = pick(&event) {
                    return found;
                }
            }
        })
        .await
    }

    pub async fn ended(&mut self) -> (CallId, &'static str) {
        self.event("the end of the call", |event| match &event.kind {
            LiveEventKind::Ended { reason, .. } => Some((event.call.clone(), reason.code())),
            _ => None,
        })
        .await
    }

    /// The only call of the store, once its record is finished, with its journal.
    pub async fn record(&self) -> (CallRecord, Vec<JournalEntry>) {
        let scope = TenantScope::default();
        within("a finished record", async {
            loop {
                let page = self
                    .store
                    .list_calls(&scope, &CallFilter::default(), None)
                    .await
                    .expect("a list");
                if let Some(record) = page.calls.first()
                    && record.end.is_some()
                {
                    let id = CallId::from(record.id.clone());
                    let events = self.store.events(&scope, &id).await.expect("a journal");
                    return (record.clone(), events);
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

pub fn reason(record: &CallRecord) -> &str {
    record.end.as_ref().map_or("", |end| end.reason.as_str())
}

/// First lines of the SIP messages of a journal, sent ones marked.
pub fn ladder(events: &[JournalEntry]) -> Vec<String> {
    events
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::SipMessage(message) => {
                let mark = if message.sent { ">" } else { "<" };
                let line = message.start_line.split(" sip:").next().unwrap_or_default();
                Some(format!("{mark} {line}"))
            }
            _ => None,
        })
        .collect()
}
