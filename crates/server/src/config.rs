//! From settings to the plain configuration of each room, with every check that needs more than one value.

mod agent;
mod agents;
mod back_office;
mod database;
mod limits;
mod maps;
mod nat;
mod platform_api;
mod sound;

use agent::agent;
pub(crate) use agents::AgentsConfig;
pub(crate) use back_office::BackOfficeConfig;
pub(crate) use database::{database, is_postgres, without_password};
#[cfg(feature = "restaurant")]
pub(crate) use maps::MapService;
pub(crate) use maps::places_file;
pub(crate) use platform_api::PlatformConfig;

use crate::apart::ApartConfig;
use crate::office::OfficeConfig;
use crate::outgoing;
use crate::settings::{Problem, Settings, port_range};
use crate::voice::settings::VoiceConfig;
use call::id::TenantId;
use courier::CourierConfig;
use engine::config::{
    Authorities, Config, HepConfig, LineConfig, LineCredentials, NoAuthorities, RecordingConfig,
    RtpConfig, Secret, SipConfig, SrtpPolicy, TlsIdentity,
};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::packet::PacketContents;
use store::secret::KeySource;

/// Everything that the process needs, checked.
pub(crate) struct ProcessConfig {
    pub(crate) engine: Config,
    pub(crate) courier: CourierConfig,
    pub(crate) admin: AdminConfig,
    pub(crate) platform: Option<PlatformConfig>,
    pub(crate) back_office: Option<BackOfficeConfig>,
    pub(crate) office: OfficeConfig,
    pub(crate) agents: AgentsConfig,
    /// Agents are processes of their own.
    pub(crate) apart: Option<ApartConfig>,
    /// Where the bound addresses are written.
    pub(crate) addresses: PathBuf,
    pub(crate) voice: Option<VoiceConfig>,
    pub(crate) data_dir: PathBuf,
    pub(crate) database: String,
    pub(crate) keys: KeySource,
    pub(crate) drain: Duration,
    pub(crate) language: catalog::Language,
    pub(crate) retention: crate::privacy::Retention,
}

/// The administration API.
pub(crate) struct AdminConfig {
    pub(crate) listen: SocketAddr,
    /// `None`: one is made and kept in the data directory.
    pub(crate) token: Option<String>,
    pub(crate) tls: Option<TlsIdentity>,
    /// The manager's routes take requests without the token.
    pub(crate) agents_unauthenticated: bool,
}

/// Builds the configuration, or lists every problem at once.
pub(crate) fn build(settings: &Settings) -> Result<ProcessConfig, Vec<Problem>> {
    let mut problems = Vec::new();
    let data_dir = PathBuf::from(settings.text("server.data_dir"));
    if database(settings).contains("://") && !is_postgres(&database(settings)) {
        let expected = "allo.db, sqlite:…, postgres://…";
        problems.push(bad_value(settings, "server.database", expected));
    }
    let admin = admin(settings, &mut problems);
    let platform = PlatformConfig::read(settings, &mut problems);
    let back_office = BackOfficeConfig::read(settings, &mut problems);
    let voice = voice(settings, &mut problems);
    let courier = outgoing::settings(settings, &mut problems);
    let office = crate::office::configured(settings, &courier);
    let sip = sip(settings, &mut problems);
    let engine = Config {
        sip,
        rtp: rtp(settings, &mut problems),
        lines: lines(settings, &mut problems),
        agents: vec![agent(settings, &mut problems)],
        limits: limits::configured(settings, &mut problems),
        recording: RecordingConfig {
            enabled: settings.switch("recording.enabled"),
            announce: settings.switch("recording.announce"),
            directory: settings
                .set("recording.dir")
                .map_or_else(|| data_dir.join("recordings"), PathBuf::from),
        },
        greetings: Some(data_dir.join("greetings")),
        held: Vec::new(),
        authorities: authorities(settings, "stir.authorities", &mut problems),
        certificates: outgoing::certificates(settings, &courier.extra_ca_pem, &mut problems),
        seed: None,
        switchboard: None,
    };
    if problems.is_empty() {
        Ok(ProcessConfig {
            engine,
            courier,
            admin,
            platform,
            back_office,
            office,
            agents: AgentsConfig::read(settings),
            apart: ApartConfig::read(settings),
            addresses: data_dir.join("addresses.json"),
            voice,
            database: database(settings),
            keys: crate::secrets::key_source(settings),
            data_dir,
            drain: Duration::from_secs(settings.integer("server.drain_s")),
            language: language(settings),
            retention: crate::privacy::Retention::read(settings),
        })
    } else {
        Err(problems)
    }
}

/// The language of everything that people read.
pub(crate) fn language(settings: &Settings) -> catalog::Language {
    if settings.text("server.language") == "en" {
        catalog::Language::En
    } else {
        catalog::Language::Fr
    }
}

fn admin(settings: &Settings, problems: &mut Vec<Problem>) -> AdminConfig {
    let loopback = SocketAddr::new(
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        port(settings.integer("admin.port")),
    );
    let listen = settings
        .set("admin.listen")
        .and_then(|text| text.parse().ok())
        .unwrap_or(loopback);
    let token = settings.set("admin.token").map(str::to_owned);
    let tls = identity(settings, "admin.tls_certificate", "admin.tls_key", problems);
    if !listen.ip().is_loopback() && (tls.is_none() || token.is_none()) {
        problems.push(
            Problem::new("config_public_without_tls")
                .with("key", "admin.listen")
                .with("address", listen)
                .with("origin", settings.origin("admin.listen")),
        );
    }
    if let Some(token) = &token
        && token.len() < ADMIN_TOKEN_CHARACTERS_MIN
    {
        problems.push(
            Problem::new("config_bad_value")
                .with("key", "admin.token")
                .with("origin", settings.origin("admin.token"))
                .with("value", "***")
                .with("expected", format!("≥ {ADMIN_TOKEN_CHARACTERS_MIN}")),
        );
    }
    let agents_unauthenticated = settings.switch("admin.agents_unauthenticated");
    if agents_unauthenticated && !platform::may_be_open(listen) {
        problems.push(
            Problem::new("config_open_without_loopback")
                .with("key", "admin.listen")
                .with("address", listen)
                .with("origin", settings.origin("admin.listen"))
                .with("switch", "admin.agents_unauthenticated"),
        );
    }
    AdminConfig {
        listen,
        token,
        tls,
        agents_unauthenticated,
    }
}

fn voice(settings: &Settings, problems: &mut Vec<Problem>) -> Option<VoiceConfig> {
    let tls = identity(settings, "voice.tls_certificate", "voice.tls_key", problems);
    let extra_ca_pem = match settings.set("sip.tls_ca") {
        Some(_) => read_pem(settings, "sip.tls_ca", problems).unwrap_or_default(),
        None => Vec::new(),
    };
    let voice = VoiceConfig::read(settings, tls, extra_ca_pem, problems)?;
    let proxied = voice
        .public_url
        .as_ref()
        .is_some_and(|url| url.starts_with("https://"));
    if !voice.listen.ip().is_loopback() && voice.tls.is_none() && !proxied {
        problems.push(
            Problem::new("config_public_without_tls")
                .with("key", "voice.listen")
                .with("address", voice.listen)
                .with("origin", settings.origin("voice.listen")),
        );
    }
    Some(voice)
}

/// A shorter token can be guessed.
const ADMIN_TOKEN_CHARACTERS_MIN: usize = 16;

fn port(number: u64) -> u16 {
    u16::try_from(number).expect("the setting's kind bounds it to a port")
}

fn identity(
    settings: &Settings,
    certificate: &'static str,
    key: &'static str,
    problems: &mut Vec<Problem>,
) -> Option<TlsIdentity> {
    match (settings.set(certificate), settings.set(key)) {
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            problems.push(
                Problem::new("config_missing_pair")
                    .with("key", certificate)
                    .with("other", key),
            );
            None
        }
        (Some(_), Some(_)) => {
            let chain_pem = read_pem(settings, certificate, problems)?;
            let key_pem = String::from_utf8(read_pem(settings, key, problems)?).ok()?;
            Some(TlsIdentity {
                chain_pem,
                key_pem: Secret::new(key_pem),
            })
        }
    }
}

pub(crate) fn read_pem(
    settings: &Settings,
    key: &'static str,
    problems: &mut Vec<Problem>,
) -> Option<Vec<u8>> {
    let path = Path::new(settings.text(key));
    match std::fs::read(path) {
        Ok(bytes) if bytes.windows(11).any(|window| window == b"-----BEGIN ") => Some(bytes),
        Ok(_) => {
            problems.push(
                Problem::new("config_bad_value")
                    .with("key", key)
                    .with("origin", settings.origin(key))
                    .with("value", path.display())
                    .with("expected", "PEM"),
            );
            None
        }
        Err(error) => {
            problems.push(
                Problem::new("config_file_unreadable")
                    .with("path", path.display())
                    .with("cause", error),
            );
            None
        }
    }
}

fn sip(settings: &Settings, problems: &mut Vec<Problem>) -> SipConfig {
    let listen = |key: &str| {
        settings
            .set(key)
            .and_then(|text| text.parse::<SocketAddr>().ok())
    };
    let one_port = port(settings.integer("sip.port"));
    let listen_at_port = |key: &str| {
        listen(key).map(|address| match one_port {
            0 => address,
            chosen => SocketAddr::new(address.ip(), chosen),
        })
    };
    let extra_ca_pem = ["sip.tls_ca", "engine.ca"]
        .into_iter()
        .filter(|key| settings.set(key).is_some())
        .filter_map(|key| read_pem(settings, key, problems))
        .flat_map(|pem| [pem, b"\n".to_vec()].concat())
        .collect();
    let client_authorities = authorities(settings, "sip.client_ca", problems);
    // A fault of it is told by the platform's part, where there is one.
    let mut told = Vec::new();
    let has_platform = settings.set("platform.listen").is_some();
    let faults = if has_platform {
        &mut told
    } else {
        &mut *problems
    };
    let ws_proxies = platform_api::proxies(settings, faults);
    let config = SipConfig {
        udp: listen_at_port("sip.udp"),
        tcp: listen_at_port("sip.tcp"),
        tls_bind: listen("sip.tls"),
        ws: listen("sip.ws"),
        wss: listen("sip.wss"),
        ws_origins: origins(settings, problems),
        ws_proxies,
        advertised_host: settings.set("sip.public_host").map(str::to_owned),
        tls: identity(settings, "sip.tls_certificate", "sip.tls_key", problems),
        extra_ca_pem,
        client_authorities,
        user_agent: format!("allo/{}", env!("CARGO_PKG_VERSION")),
        session_expires_s: u32::try_from(settings.integer("sip.session_expires_s"))
            .unwrap_or(u32::MAX),
        hep: listen("sip.hep_server").map(|server| HepConfig {
            server,
            agent: u32::try_from(settings.integer("sip.hep_agent")).unwrap_or(u32::MAX),
            key: settings.set("sip.hep_key").map(Secret::new),
        }),
        ..SipConfig::default()
    };
    let listeners = [
        config.udp,
        config.tcp,
        config.tls_bind,
        config.ws,
        config.wss,
    ];
    if listeners.iter().all(Option::is_none) {
        problems.push(Problem::new("config_no_listener"));
    }
    config
}

/// Origins of pages: scheme and authority, as browsers write them, or `*`.
fn origins(settings: &Settings, problems: &mut Vec<Problem>) -> Vec<String> {
    let key = "sip.ws_origins";
    let is_origin = |text: &String| {
        text == "*"
            || url::Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == *text)
    };
    let (right, wrong): (Vec<String>, Vec<String>) =
        settings.list(key).into_iter().partition(is_origin);
    for text in wrong {
        problems.push(
            Problem::new("config_bad_value")
                .with("key", key)
                .with("origin", settings.origin(key))
                .with("value", &text)
                .with("expected", "https://www.example.com, *"),
        );
    }
    right
}

fn rtp(settings: &Settings, problems: &mut Vec<Problem>) -> RtpConfig {
    let (port_min, port_max) = port_range(settings.text("rtp.ports")).unwrap_or((10_000, 20_000));
    let mut address = |key: &'static str| -> Option<IpAddr> {
        let text = settings.set(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            problems.push(bad_value(settings, key, "192.0.2.1, 2001:db8::1"));
        }
        parsed
    };
    RtpConfig {
        port_min,
        port_max,
        bind: address("rtp.bind").unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        advertised: address("rtp.public_address"),
        stun_server: nat::server(settings, "nat.stun_server", problems),
        capture: match settings.text("rtp.capture") {
            "headers" => PacketContents::Headers,
            "media" => PacketContents::Whole,
            _ => PacketContents::None,
        },
        ..RtpConfig::default()
    }
}

pub(crate) fn bad_value(settings: &Settings, key: &'static str, expected: &str) -> Problem {
    let text = settings.text(key);
    let shown = match key {
        "server.database" | "traces.endpoint" => without_password(text),
        "traces.headers" => crate::settings::masked(text),
        _ => text.to_owned(),
    };
    Problem::new("config_bad_value")
        .with("key", key)
        .with("origin", settings.origin(key))
        .with("value", shown)
        .with("expected", expected)
}

/// Who is trusted to vouch for others' certificates; nobody where no file is named.
fn authorities(settings: &Settings, key: &'static str, problems: &mut Vec<Problem>) -> Authorities {
    let pem = settings
        .set(key)
        .and_then(|_| read_pem(settings, key, problems));
    let read = pem.map(|pem| Authorities::from_pem(&pem)).transpose();
    read.unwrap_or_else(|NoAuthorities| {
        problems.push(bad_value(settings, key, "PEM"));
        None
    })
    .unwrap_or_default()
}

/// Name of the line that takes the calls of carriers for which no other is configured.
const STREAM_LINE: &str = "voice";

/// Networks whose calls are taken without registration.
fn allowed(settings: &Settings, problems: &mut Vec<Problem>) -> Vec<IpNet> {
    let mut allow: Vec<IpNet> = Vec::new();
    for entry in settings.list("line.allow") {
        match entry
            .parse::<IpNet>()
            .or_else(|_| entry.parse::<IpAddr>().map(IpNet::from))
        {
            Ok(network) => allow.push(network),
            Err(_) => problems.push(bad_value(
                settings,
                "line.allow",
                "192.168.1.0/24, 203.0.113.7",
            )),
        }
    }
    if settings.switch("line.allow_loopback") {
        allow.extend(
            ["127.0.0.0/8", "::1/128"]
                .map(|text| text.parse::<IpNet>().expect("a literal network")),
        );
    }
    allow
}

fn lines(settings: &Settings, problems: &mut Vec<Problem>) -> Vec<LineConfig> {
    let allow = allowed(settings, problems);
    let users = settings.list("line.users");
    if users.len() > 1 {
        problems.push(bad_value(settings, "line.users", "user:password"));
    }
    let credentials = users.first().and_then(|pair| match pair.split_once(':') {
        Some((username, password)) if !username.is_empty() && !password.is_empty() => {
            Some(LineCredentials {
                realm: "allo".to_owned(),
                username: username.to_owned(),
                password: Secret::new(password),
            })
        }
        _ => {
            problems.push(
                Problem::new("config_bad_value")
                    .with("key", "line.users")
                    .with("origin", settings.origin("line.users"))
                    .with("value", "***")
                    .with("expected", "user:password"),
            );
            None
        }
    });
    let account = account(settings);
    let name = account.as_ref().map_or_else(
        || "local".to_owned(),
        |account| account.aor.trim_start_matches("sip:").to_owned(),
    );
    let registered = LineConfig {
        name,
        tenant: TenantId::from(store::TenantScope::DEFAULT_TENANT),
        agent: settings.text("agent.name").to_owned(),
        account,
        domain: settings.set("line.domain").map(str::to_owned),
        provider: engine::config::LineProvider::Sip,
        numbers: Vec::new(),
        allow,
        credentials,
        srtp: SrtpPolicy::from_name(settings.text("line.srtp")).unwrap_or_default(),
        codecs: media::Codec::list(&settings.list("line.codecs")).unwrap_or_else(|| {
            problems.push(bad_value(
                settings,
                "line.codecs",
                "pcmu,pcma,g722,opus,g729,amr-wb",
            ));
            media::Codec::OFFERED.to_vec()
        }),
        keypad: media::Keypad::from_name(settings.text("line.dtmf")).unwrap_or_default(),
        treatment: sound::treatment(settings),
        nat: nat::configured(settings, problems),
        calls_max: 0,
        rates: engine::config::CallRates::default(),
        certificates: engine::config::ClientCertificates::default(),
        identity: engine::config::IdentityPolicy::Off,
        sip_account: None,
        device: None,
    };
    let streamed = LineConfig {
        name: STREAM_LINE.to_owned(),
        provider: engine::config::LineProvider::Stream(None),
        account: None,
        allow: Vec::new(),
        credentials: None,
        ..registered.clone()
    };
    vec![registered, streamed]
}

fn account(settings: &Settings) -> Option<sip::AccountConfig> {
    let username = settings.set("line.username")?;
    let domain = settings.text("line.domain");
    let mut account = sip::AccountConfig::new(
        &format!("sip:{username}@{domain}"),
        settings.set("line.auth_username").unwrap_or(username),
        settings.text("line.password"),
    );
    account.protocol = match settings.text("line.transport") {
        "tcp" => sip::Protocol::Tcp,
        "tls" => sip::Protocol::Tls,
        _ => sip::Protocol::Udp,
    };
    let registrar_port = settings.integer("line.port");
    account.registrar = match (settings.set("line.registrar"), registrar_port) {
        (Some(registrar), _) => Some(with_scheme(registrar)),
        (None, 0) => None,
        (None, port) => Some(format!("sip:{domain}:{port}")),
    };
    account.outbound_proxy = settings.set("line.outbound_proxy").map(with_scheme);
    account.display_name = settings.set("line.display_name").map(str::to_owned);
    account.register = settings.switch("line.register");
    account.expires_s = u32::try_from(settings.integer("line.expires_s")).unwrap_or(u32::MAX);
    account.contact_host = settings.set("sip.public_host").map(str::to_owned);
    Some(account)
}

fn with_scheme(uri: &str) -> String {
    if uri.starts_with("sip:") || uri.starts_with("sips:") {
        uri.to_owned()
    } else {
        format!("sip:{uri}")
    }
}

#[cfg(test)]
mod tests;
