//! What a process of an agent is told when it begins: who it is, and how far it may go.
//!
//! It comes in one variable of the environment, which only its own user can read; nothing of it is on a command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use engine::agents::apart::ApartLine;
use engine::config::{Secret, SrtpPolicy};
use engine::nat::{NatConfig, NatMode, TurnServer};
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};
use sip::{CallerIdForm, KeepAlive, Protocol};

use crate::cli::own_origin;
use crate::settings::Settings;

/// The variable that carries [`Orders`] as JSON.
pub(crate) const VARIABLE: &str = "ALLO_PROCESS";

static ORDERS: OnceLock<Orders> = OnceLock::new();

/// Everything that a process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Random; by it the process is found again, and no other is taken for it.
    pub(super) mark: String,
    pub(super) bounds: Bounds,
    pub(super) role: Role,
}

/// What the system keeps a process within.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bounds {
    /// Private memory in bytes, beyond which nothing more is given to it; 0: no bound.
    pub(crate) data_max: u64,
    /// Open files.
    pub(crate) files_max: u64,
    /// 0 to 19: how far it steps back where processors are short.
    pub(crate) nice: i32,
    /// Processors that it runs on; 0: all.
    pub(crate) cpus: usize,
    /// The first one of these, so that agents are spread over them.
    pub(crate) first_cpu: usize,
}

/// What a process is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// The agent itself.
    App(App),
    /// A bridge of one of its accounts.
    Bridge(Box<BridgeOrders>),
}

/// The agent's own process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct App {
    /// Its id.
    pub(crate) agent: String,
    /// Where its calls come.
    pub(super) listen: SocketAddr,
    /// Where it says what it listens on.
    pub(crate) addresses: PathBuf,
    /// What its bridges say to be let in.
    pub(super) bridge_token: String,
    pub(super) back_office: String,
    /// The one that the manager serves: it is reached, and not served again.
    pub(super) own_back_office: Option<String>,
    /// Its calls come from bridges of this machine, which speak without TLS.
    pub(super) bridged: bool,
}

/// A bridge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BridgeOrders {
    pub(super) account: Account,
    /// What requests to its interface must carry.
    pub(crate) api_token: String,
    /// What it says to the agent's process.
    pub(crate) stream_token: String,
    /// How long calls may go on once it is told to stop, seconds.
    pub(super) drain_s: u64,
    srtp: String,
    codecs: Vec<String>,
    nat: String,
    stun_server: Option<String>,
    /// Server, name and password.
    turn: Option<(String, String, String)>,
}

/// An account, in words that can be written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    aor: String,
    username: String,
    password: String,
    display_name: Option<String>,
    registrar: Option<String>,
    outbound_proxy: Option<String>,
    register: bool,
    expires_s: u32,
    protocol: String,
    contact_host: Option<String>,
    contact_port: Option<u16>,
    contact_user: Option<String>,
    keep_alive: (String, u64),
    realm: Option<String>,
    caller_id_form: String,
    caller_id_number: Option<String>,
}

const FORMS: [(CallerIdForm, &str); 5] = [
    (CallerIdForm::Account, "account"),
    (CallerIdForm::FromNumber, "from"),
    (CallerIdForm::Asserted, "p_asserted_identity"),
    (CallerIdForm::Preferred, "p_preferred_identity"),
    (CallerIdForm::RemoteParty, "remote_party_id"),
];

impl Account {
    fn of(account: &sip::AccountConfig) -> Self {
        let seconds = |interval: &Duration| interval.as_secs();
        let form = FORMS
            .iter()
            .find(|(form, _)| *form == account.caller_id_form);
        Self {
            aor: account.aor.clone(),
            username: account.username.clone(),
            password: account.password.clone(),
            display_name: account.display_name.clone(),
            registrar: account.registrar.clone(),
            outbound_proxy: account.outbound_proxy.clone(),
            register: account.register,
            expires_s: account.expires_s,
            protocol: account.protocol.name().to_owned(),
            contact_host: account.contact_host.clone(),
            contact_port: account.contact_port,
            contact_user: account.contact_user.clone(),
            keep_alive: match &account.keep_alive {
                KeepAlive::Off => ("off".to_owned(), 0),
                KeepAlive::Crlf { interval } => ("crlf".to_owned(), seconds(interval)),
                KeepAlive::Options { interval } => ("options".to_owned(), seconds(interval)),
                KeepAlive::Stun { interval } => ("stun".to_owned(), seconds(interval)),
            },
            realm: account.realm.clone(),
            caller_id_form: form.map_or("account", |(_, name)| name).to_owned(),
            caller_id_number: account.caller_id_number.clone(),
        }
    }

    /// The account that the bridge registers.
    pub(crate) fn config(&self) -> sip::AccountConfig {
        let interval = Duration::from_secs(self.keep_alive.1.max(1));
        let form = FORMS.iter().find(|(_, name)| *name == self.caller_id_form);
        sip::AccountConfig {
            display_name: self.display_name.clone(),
            registrar: self.registrar.clone(),
            outbound_proxy: self.outbound_proxy.clone(),
            register: self.register,
            expires_s: self.expires_s,
            protocol: Protocol::from_name(&self.protocol).unwrap_or(Protocol::Udp),
            contact_host: self.contact_host.clone(),
            contact_port: self.contact_port,
            contact_user: self.contact_user.clone(),
            keep_alive: match self.keep_alive.0.as_str() {
                "off" => KeepAlive::Off,
                "options" => KeepAlive::Options { interval },
                "stun" => KeepAlive::Stun { interval },
                _ => KeepAlive::Crlf { interval },
            },
            realm: self.realm.clone(),
            caller_id_form: form.map_or(CallerIdForm::Account, |(form, _)| *form),
            caller_id_number: self.caller_id_number.clone(),
            ..sip::AccountConfig::new(&self.aor, &self.username, &self.password)
        }
    }
}

impl BridgeOrders {
    /// `contact_user`: the one that every bridge of this line registers with, so that the next one's binding takes the place of
    /// one that was killed.
    pub(super) fn of(
        line: &ApartLine,
        (api_token, stream_token): (&str, &str),
        contact_user: String,
        drain: Duration,
    ) -> Self {
        let mut account = line.account.clone();
        account.contact_user = Some(contact_user);
        if account.register {
            // It listens on a port of its own.
            account.contact_port = None;
        }
        Self {
            account: Account::of(&account),
            api_token: api_token.to_owned(),
            stream_token: stream_token.to_owned(),
            drain_s: drain.as_secs(),
            srtp: line.srtp.name().to_owned(),
            codecs: line
                .codecs
                .iter()
                .map(|codec| codec.name().to_ascii_lowercase())
                .collect(),
            nat: line.nat.mode.name().to_owned(),
            stun_server: line.nat.stun_server.as_ref().map(ToString::to_string),
            turn: line.nat.turn.as_ref().map(|turn| {
                let password = turn.password.expose().to_owned();
                (turn.address.to_string(), turn.username.clone(), password)
            }),
        }
    }

    /// The account that it registers.
    pub(crate) fn account(&self) -> sip::AccountConfig {
        self.account.config()
    }

    /// Where operators must be told an address, they are told this port of it.
    pub(super) fn listens_on(&mut self, port: u16) {
        if self.account.register && self.account.contact_host.is_some() && port > 0 {
            self.account.contact_port = Some(port);
        }
    }

    /// How long calls may go on once it is told to stop.
    pub(crate) const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_s)
    }

    pub(crate) fn srtp(&self) -> SrtpPolicy {
        SrtpPolicy::from_name(&self.srtp).unwrap_or_default()
    }

    /// How the address of its audio is found.
    pub(crate) fn nat(&self) -> NatConfig {
        NatConfig {
            mode: NatMode::from_name(&self.nat).unwrap_or_default(),
            stun_server: self.stun_server.as_ref().and_then(|text| text.parse().ok()),
            turn: self.turn.as_ref().and_then(|(server, username, password)| {
                Some(TurnServer {
                    address: server.parse().ok()?,
                    username: username.clone(),
                    password: Secret::new(password),
                })
            }),
        }
    }

    pub(crate) fn codecs(&self) -> Vec<media::Codec> {
        let codec = |name: &String| media::Codec::from_name(name);
        self.codecs.iter().filter_map(codec).collect()
    }
}

/// Reads the orders of this process, and takes on its bounds: before anything else, so that every thread is within them.
///
/// # Errors
/// Says what is wrong with the orders, or which bound the system refused.
pub(crate) fn take() -> Result<(), String> {
    let Ok(text) = std::env::var(VARIABLE) else {
        return Ok(());
    };
    let orders: Orders = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    orders.bounds.take().map_err(|error| error.to_string())?;
    let _ = ORDERS.set(orders);
    Ok(())
}

/// This process as the one of an agent; `None` where it is not one.
pub(crate) fn app() -> Option<&'static App> {
    match &ORDERS.get()?.role {
        Role::App(app) => Some(app),
        Role::Bridge(_) => None,
    }
}

/// This process as a bridge of an agent.
pub(crate) fn bridge() -> Option<&'static BridgeOrders> {
    match &ORDERS.get()?.role {
        Role::App(_) => None,
        Role::Bridge(bridge) => Some(bridge),
    }
}

impl Bounds {
    fn take(self) -> rustix::io::Result<()> {
        let limit = |most: u64| Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        if self.data_max > 0 {
            setrlimit(Resource::Data, limit(self.data_max))?;
        }
        if self.files_max > 0 {
            // No more than the system lets this process have.
            let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
            setrlimit(Resource::Nofile, limit(self.files_max.min(hard)))?;
        }
        if self.nice > 0 {
            setpriority_process(None, self.nice)?;
        }
        let there = std::thread::available_parallelism().map_or(1, usize::from);
        if self.cpus > 0 && self.cpus < there {
            let mut set = CpuSet::new();
            for number in 0..self.cpus {
                set.set((self.first_cpu + number) % there);
            }
            sched_setaffinity(None, &set)?;
        }
        Ok(())
    }
}

impl App {
    /// The settings of the manager, as far as they are those of one agent: it listens for its calls and for its manager.
    pub(crate) fn narrow(&self, settings: &mut Settings) {
        let mut reach = settings.text("tools.allow_private").to_owned();
        let own = self.own_back_office.as_deref().unwrap_or_default();
        let back_office = match self.back_office.as_str() {
            "" => own,
            elsewhere => elsewhere,
        };
        if !own.is_empty() {
            reach.push(',');
            reach.push_str(own);
        }
        let mut set = |key: &'static str, text: &str| {
            settings.override_with(key, text, own_origin(VARIABLE));
        };
        set("voice.listen", &self.listen.to_string());
        if self.bridged {
            set("voice.tls_certificate", "");
            set("voice.tls_key", "");
        }
        set("voice.bridge_token", &self.bridge_token);
        set("admin.listen", "127.0.0.1:0");
        for key in ["sip.tcp", "sip.tls", "sip.ws", "sip.wss", "platform.listen"] {
            set(key, "");
        }
        for key in [
            "admin.tls_certificate",
            "admin.tls_key",
            "line.username",
            "line.allow",
            "line.users",
        ] {
            set(key, "");
        }
        set("admin.agents_unauthenticated", "false");
        set("sip.udp", "127.0.0.1:0");
        set("sip.port", "0");
        set("line.allow_loopback", "false");
        set("agents.discover", "false");
        set("agents.only_id", "");
        set("agents.isolation", "none");
        set("tools.back_office", back_office);
        set("tools.allow_private", &reach);
        set("back_office.listen", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_the_same_after_the_way_to_its_bridge() {
        let mut account = sip::AccountConfig::new("sip:a@b.example", "a-auth", "geheim");
        account.registrar = Some("sip:r.example:5070".to_owned());
        account.outbound_proxy = Some("sip:p.example".to_owned());
        account.protocol = Protocol::Tls;
        account.realm = Some("b".to_owned());
        account.keep_alive = KeepAlive::Options {
            interval: Duration::from_secs(30),
        };
        account.caller_id_form = CallerIdForm::Asserted;
        account.caller_id_number = Some("+33100000000".to_owned());
        account.contact_port = Some(5066);
        account.register = false;
        let line = ApartLine {
            nat: NatConfig {
                mode: NatMode::Turn,
                stun_server: "stun.example.test".parse().ok(),
                turn: Some(TurnServer {
                    address: "192.0.2.1:3479".parse().unwrap(),
                    username: "u".to_owned(),
                    password: Secret::new("p"),
                }),
            },
            name: "l".to_owned(),
            account: account.clone(),
            allow: Vec::new(),
            calls_max: 2,
            srtp: SrtpPolicy::Required,
            codecs: vec![media::Codec::Pcma],
        };
        let orders = BridgeOrders::of(&line, ("t", "s"), "c".repeat(16), Duration::from_secs(7));
        let text = serde_json::to_string(&orders).unwrap();
        let orders: BridgeOrders = serde_json::from_str(&text).unwrap();
        account.contact_user = Some("c".repeat(16));
        assert_eq!(orders.account(), account);
        assert_eq!((orders.srtp(), orders.codecs()), (line.srtp, line.codecs));
        assert_eq!(orders.nat(), line.nat);
        assert_eq!(orders.drain(), Duration::from_secs(7));
    }
}
