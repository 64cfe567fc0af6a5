//! The manager of agents at the shell: agents made to panic, to hang, to lose their registrar, stopped and started, each with a
//! neighbour that must notice nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::common::fake_engine::{Behaviour, FakeEngine, VOICE_HZ};
use super::common::phone::Phone;
use super::common::{House, PATIENCE, config, loopback, profile, within};
use engine::agents::reconciler::{Cause, Order, State};
use engine::agents::{AgentStatus, Agents, Disturbance, Policy};
use engine::directory::{DirectoryConfig, DirectoryHandle};
use store::secret::{KeySource, Vault};
use store::{
    Agent, PhoneLine, Sealed, SipAccount, TenantScope, VersionNote, Workflow, WorkflowDefinition,
};
use tokio::net::UdpSocket;
use tokio::sync::Notify;

const PCMU: &str = "0 101\r\na=rtpmap:101 telephone-event/8000";

/// A registrar of a few lines: 200 to everybody, or nothing at all.
struct Registrar {
    address: SocketAddr,
    /// User and lifetime of what was asked, in order.
    seen: Arc<Mutex<Vec<(String, u32)>>>,
    refuses: Arc<Mutex<bool>>,
    news: Arc<Notify>,
}

impl Registrar {
    async fn start() -> Self {
        let socket = UdpSocket::bind(loopback()).await.expect("a port");
        let registrar = Self {
            address: socket.local_addr().expect("bound"),
            seen: Arc::default(),
            refuses: Arc::default(),
            news: Arc::default(),
        };
        let (seen, refuses) = (Arc::clone(&registrar.seen), Arc::clone(&registrar.refuses));
        let news = Arc::clone(&registrar.news);
        tokio::spawn(async move {
            let mut buffer = vec![0; 4_096];
            while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                if !text.starts_with("REGISTER") {
                    continue;
                }
                let line = |name: &str| {
                    text.lines()
                        .filter(|line| line.starts_with(name))
                        .map(|line| format!("{line}\r\n"))
                        .collect::<String>()
                };
                let user = line("To:")
                    .split("sip:")
                    .nth(1)
                    .and_then(|rest| rest.split('@').next().map(str::to_owned));
                let expires = line("Expires:")
                    .trim_start_matches("Expires:")
                    .trim()
                    .parse()
                    .unwrap_or(0);
                seen.lock()
                    .expect("sound")
                    .push((user.unwrap_or_default(), expires));
                let status = if *refuses.lock().expect("sound") {
                    "503 Service Unavailable"
                } else {
                    "200 OK"
                };
                let contact = if expires == 0 {
                    String::new()
                } else {
                    line("Contact:")
                };
                let answer = format!(
                    "SIP/2.0 {status}\r\n{}{}{}{}{}{contact}Expires: {expires}\r\nContent-Length: 0\r\n\r\n",
                    line("Via:"),
                    line("From:"),
                    line("To:").replace("\r\n", ";tag=r\r\n"),
                    line("Call-ID:"),
                    line("CSeq:"),
                );
                let _ = socket.send_to(answer.as_bytes(), from).await;
                news.notify_waiters();
            }
        });
        registrar
    }

    fn of(&self, user: &str) -> Vec<u32> {
        let seen = self.seen.lock().expect("sound");
        seen.iter()
            .filter(|(known, _)| known == user)
            .map(|(_, expires)| *expires)
            .collect()
    }

    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        within(what, async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if condition(self) {
                    return;
                }
                news.await;
            }
        })
        .await;
    }
}

/// Short times: what they are in the product is tested at simulated time.
fn quick() -> Policy {
    Policy {
        check_every: Duration::from_millis(100),
        check_within: Duration::from_millis(500),
        backoff_first: Duration::from_millis(50),
        backoff_max: Duration::from_millis(400),
        slow_retry: Duration::from_millis(600),
        ..Policy::default()
    }
}

struct Managed {
    house: House,
    directory: DirectoryHandle,
    agents: Agents,
    vault: Vault,
}

impl Managed {
    async fn open(engine_url: &str) -> Self {
        let house = House::open(engine_url, profile(), |config| config.lines.clear()).await;
        let vault = Vault::unlock(
            &house.store,
            &KeySource {
                setting: None,
                data_dir: house.directory.path().to_owned(),
            },
        )
        .await
        .expect("a vault")
        .vault;
        let directory = Self::directory(&house, &vault, engine_url).await;
        Self {
            agents: directory.agents(),
            house,
            directory,
            vault,
        }
    }

    async fn directory(house: &House, vault: &Vault, engine_url: &str) -> DirectoryHandle {
        let base = config(&house.directory, engine_url, profile());
        let config = DirectoryConfig {
            keypad: media::Keypad::default(),
            treatment: media::Treatment::default(),
            nat: engine::nat::NatConfig::default(),
            base: base.agents[0].clone(),
            allow: vec!["127.0.0.0/8".parse().expect("a network")],
            reach: Default::default(),
            codecs: vec![media::Codec::Pcmu, media::Codec::Pcma],
            srtp: Default::default(),
            base_url: None,
            domain: None,
            contact_host: None,
            fail_closed: false,
            policy: quick(),
            apart: None,
            only: None,
        };
        DirectoryHandle::start(
            house.engine.clone(),
            house.store.clone(),
            Some(vault.clone()),
            config,
        )
        .await
        .expect("a directory")
    }

    /// An agent with a line; `registrar`: it registers there.
    async fn agent(&self, id: &str, number: &str, registrar: Option<&Registrar>) {
        let scope = TenantScope::default();
        let agent = Agent {
            final_customer_id: None,
            name: format!("Agent {id}"),
            is_active: true,
            pause_reason: None,
            settings: format!(
                r#"{{"basePrompt": "Be kind.", "config": {{"restaurantId": "other-{id}"}}}}"#
            ),
            api_token_hash: None,
            api_token_prefix: None,
            public_token: None,
            deleted_at: None,
        };
        let why = VersionNote {
            author: "test".to_owned(),
            note: String::new(),
        };
        let store = &self.house.store;
        store
            .create_agent(&scope, id, &agent, &[], &why)
            .await
            .expect("an agent");
        let line = format!("line-{id}");
        let settings = registrar.map_or_else(
            || "{}".to_owned(),
            |registrar| {
                format!(
                    r#"{{"sipUsername": "{id}", "sipDomain": "{}"}}"#,
                    registrar.address
                )
            },
        );
        let password = self.vault.seal(&line, "secret").await.expect("sealed");
        let line_row = PhoneLine {
            agent_id: id.to_owned(),
            phone_number: number.to_owned(),
            provider: "sip".to_owned(),
            is_active: true,
            settings,
            sip_password: registrar.map(|_| Sealed::new(password)),
        };
        store
            .create_phone_line(&scope, &line, &line_row)
            .await
            .expect("a line");
        self.directory.refresh().await.expect("read");
    }

    async fn status(&self, id: &str) -> AgentStatus {
        self.agents.status(id, false).await.expect("it exists")
    }

    /// Waits for something to be true of an agent; it is looked at over and over, with the manager's own events between.
    async fn until(
        &self,
        id: &str,
        what: &str,
        condition: impl Fn(&AgentStatus) -> bool,
    ) -> AgentStatus {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            let status = self.status(id).await;
            if condition(&status) {
                return status;
            }
            assert!(tokio::time::Instant::now() < deadline, "{what}: {status:?}");
            tick.tick().await;
        }
    }

    async fn running(&self, id: &str) -> AgentStatus {
        self.until(id, "it runs", |status| status.known.state == State::Running)
            .await
    }

    async fn call(&self, number: &str) -> (Phone, u16) {
        let mut phone = Phone::new(self.house.udp()).await;
        phone.number = number.to_owned();
        let status = phone.call(PCMU).await.status();
        (phone, status)
    }
}

#[tokio::test]
async fn a_panic_restarts_one_agent_and_ends_no_call() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 5_000 }]).await;
    let managed = Managed::open(&engine.url()).await;
    managed.agent("a", "100", None).await;
    managed.agent("b", "200", None).await;
    managed.running("a").await;
    let neighbour = managed.running("b").await;
    let (mut phone, status) = managed.call("100").await;
    assert_eq!(status, 200);
    assert_eq!(
        managed.status("other-a").await.calls,
        1,
        "found by the other id"
    );
    assert!(managed.agents.disturb("a", Disturbance::Panic).await);
    let status = managed
        .until("a", "a restart", |status| status.known.restarts == 1)
        .await;
    assert_eq!(status.known.failures, 1);
    managed.running("a").await;
    phone.hear(VOICE_HZ).await;
    let (mut second, status) = managed.call("100").await;
    assert_eq!(status, 200);
    let after = managed.status("b").await;
    assert_eq!(
        (after.known.restarts, after.known.state),
        (0, State::Running)
    );
    assert_eq!(after.known.running_since, neighbour.known.running_since);
    phone.bye().await;
    second.bye().await;
}

#[tokio::test]
async fn a_hung_agent_is_killed_and_begun_anew_and_five_times_is_failed() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 300 }]).await;
    let managed = Managed::open(&engine.url()).await;
    managed.agent("a", "100", None).await;
    managed.running("a").await;
    assert!(managed.agents.disturb("a", Disturbance::Hang).await);
    let status = managed
        .until("a", "a restart", |status| status.known.restarts == 1)
        .await;
    assert_eq!(status.known.failures, 1);
    managed.running("a").await;
    for failures in 2..=5 {
        assert!(managed.agents.disturb("a", Disturbance::Panic).await);
        managed
            .until("a", "a failure", |status| status.known.failures == failures)
            .await;
        if failures < 5 {
            managed.running("a").await;
        }
    }
    // Failed is visible, and its calls are answered all the same.
    let failed = managed.status("a").await;
    assert_eq!(
        (failed.known.state, failed.known.cause),
        (State::Failed, Some(Cause::Died))
    );
    assert!(failed.retry_in.is_some());
    let (mut phone, status) = managed.call("100").await;
    assert_eq!(status, 200);
    phone.bye().await;
    // The slow retry brings it back.
    managed.running("a").await;
}

#[tokio::test]
async fn a_lost_registrar_is_seen_and_its_return_too() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 300 }]).await;
    let managed = Managed::open(&engine.url()).await;
    let (first, second) = (Registrar::start().await, Registrar::start().await);
    managed.agent("a", "100", Some(&first)).await;
    managed.agent("b", "200", Some(&second)).await;
    managed.running("a").await;
    let neighbour = managed.running("b").await;
    assert!(neighbour.registers);
    *first.refuses.lock().expect("sound") = true;
    // A restart that an operator ordered registers anew, and is refused.
    managed
        .agents
        .order("a", Order::Restart, false)
        .await
        .expect("obeyed");
    let lost = managed
        .until("a", "failed", |status| status.known.state == State::Failed)
        .await;
    assert_eq!(lost.known.cause, Some(Cause::Registration));
    let after = managed.status("b").await;
    assert_eq!(after.known.running_since, neighbour.known.running_since);
    *first.refuses.lock().expect("sound") = false;
    managed.running("a").await;
}

#[tokio::test]
async fn an_engine_that_cannot_be_reached_is_said_before_anything_registers() {
    let closed = UdpSocket::bind(loopback())
        .await
        .expect("a port")
        .local_addr()
        .expect("bound");
    let managed = Managed::open(&format!("ws://{closed}/v1")).await;
    let registrar = Registrar::start().await;
    managed.agent("a", "100", Some(&registrar)).await;
    let status = managed
        .until("a", "a fault", |status| {
            status.known.cause == Some(Cause::Engine)
        })
        .await;
    assert!(status.known.failures > 0);
    assert!(
        registrar.of("a").is_empty(),
        "no caller is brought to an agent that cannot speak"
    );
}

#[tokio::test]
async fn a_stopped_agent_unregisters_refuses_and_stays_stopped() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 5_000 }]).await;
    let managed = Managed::open(&engine.url()).await;
    let registrar = Registrar::start().await;
    managed.agent("a", "100", Some(&registrar)).await;
    managed.agent("b", "200", None).await;
    managed.running("a").await;
    managed.running("b").await;
    let (mut talking, status) = managed.call("100").await;
    assert_eq!(status, 200);
    let stopped = managed
        .agents
        .order("a", Order::Stop, false)
        .await
        .expect("obeyed");
    assert!(!stopped.known.wanted);
    managed
        .until("a", "stopped", |status| {
            status.known.state == State::Stopped
        })
        .await;
    registrar
        .until("the binding is removed", |registrar| {
            registrar.of("a").last() == Some(&0)
        })
        .await;
    let (_, status) = managed.call("100").await;
    assert_eq!(status, 480, "temporarily unavailable");
    let (mut other, status) = managed.call("200").await;
    assert_eq!(status, 200);
    other.bye().await;
    // The call that was there goes on.
    talking.hear(VOICE_HZ).await;
    talking.bye().await;
    // Another process of the same house finds it stopped.
    managed.directory.stop().await;
    let again = Managed::directory(&managed.house, &managed.vault, &engine.url()).await;
    let status = again.agents().status("a", false).await.expect("it exists");
    assert_eq!(status.known.state, State::Stopped);
    assert_eq!(managed.call("100").await.1, 480);
    again
        .agents()
        .order("a", Order::Start, false)
        .await
        .expect("obeyed");
    registrar
        .until("a new binding", |registrar| {
            registrar.of("a").last().is_some_and(|expires| *expires > 0)
        })
        .await;
    let (mut phone, status) = managed.call("100").await;
    assert_eq!(status, 200);
    phone.bye().await;
    let counts: BTreeMap<String, usize> = again
        .agents()
        .list()
        .await
        .into_iter()
        .map(|agent| (agent.id, agent.calls))
        .collect();
    assert_eq!(counts.len(), 2);
    assert!(
        again
            .agents()
            .order("nobody", Order::Stop, false)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_forced_stop_says_goodbye() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 300 }]).await;
    let mut managed = Managed::open(&engine.url()).await;
    managed.agent("a", "100", None).await;
    managed.running("a").await;
    let (mut phone, status) = managed.call("100").await;
    assert_eq!(status, 200);
    phone.listen(200).await;
    managed
        .agents
        .order("a", Order::Stop, true)
        .await
        .expect("obeyed");
    let (_, why) = managed.house.ended().await;
    assert_eq!(why, "draining");
}

#[tokio::test]
async fn an_account_that_leads_to_an_agent_by_a_workflow_is_kept_with_it() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 300 }]).await;
    let managed = Managed::open(&engine.url()).await;
    let registrar = Registrar::start().await;
    managed.agent("a", "100", None).await;
    managed.running("a").await;
    let (scope, store) = (TenantScope::default(), &managed.house.store);
    let account = SipAccount {
        label: "trunk".to_owned(),
        trunk_uri: format!("sip:trunk@{}", registrar.address),
        username: Some("trunk".to_owned()),
        is_default: true,
        is_active: true,
        weight: 1,
        settings: "{}".to_owned(),
        ..SipAccount::default()
    };
    store
        .create_sip_account(&scope, "1", &account)
        .await
        .expect("an account");
    let workflow = Workflow {
        slug: "w".to_owned(),
        name: "w".to_owned(),
        description: None,
        is_active: true,
    };
    let definition = WorkflowDefinition {
        agent_id: Some("a".to_owned()),
        ..WorkflowDefinition::default()
    };
    let why = VersionNote {
        author: "test".to_owned(),
        note: String::new(),
    };
    store
        .create_workflow(&scope, "w", &workflow, &definition, &why)
        .await
        .expect("a workflow");
    managed.directory.refresh().await.expect("read");
    let bound = |registrar: &Registrar| registrar.of("trunk").last().is_some_and(|at| *at > 0);
    registrar.until("a binding", bound).await;
    let known = managed
        .until("a", "its account", |status| status.registers)
        .await;
    assert_eq!(known.known.state, State::Running);
    managed
        .agents
        .order("a", Order::Stop, false)
        .await
        .expect("obeyed");
    let gone = |registrar: &Registrar| registrar.of("trunk").last() == Some(&0);
    registrar.until("the binding is removed", gone).await;
    managed
        .agents
        .order("a", Order::Start, false)
        .await
        .expect("obeyed");
    registrar.until("a new binding", bound).await;
    managed.running("a").await;
}

#[tokio::test]
async fn an_agent_that_cannot_be_used_is_listed_as_failed_with_the_reason() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 300 }]).await;
    let managed = Managed::open(&engine.url()).await;
    managed.agent("a", "100", None).await;
    managed.running("a").await;
    let (scope, store) = (TenantScope::default(), &managed.house.store);
    let entry = store.agent(&scope, "a").await.expect("read");
    let good = entry.expect("it exists").content.settings;
    let change = async |settings: &str| {
        let brain = store::Brain {
            settings: settings.to_owned(),
            tools: Vec::new(),
        };
        let why = VersionNote {
            author: "test".to_owned(),
            note: String::new(),
        };
        store
            .replace_brain(&scope, "a", &brain, None, &why)
            .await
            .expect("written");
        managed.directory.refresh().await.expect("read");
    };
    change(r#"{"basePrompt": 7, "config": {"restaurantId": "other-a"}}"#).await;
    let failed = managed
        .until("a", "failed", |status| status.known.state == State::Failed)
        .await;
    assert_eq!(failed.known.cause, Some(Cause::Settings));
    assert!(failed.fault.is_some_and(|why| why.contains("basePrompt")));
    assert_eq!(
        managed.agents.list().await.len(),
        1,
        "it is there, and can be found by both of its names"
    );
    assert!(managed.agents.status("other-a", false).await.is_some());
    assert!(managed.call("100").await.1 >= 400);
    change(&good).await;
    managed.running("a").await;
    let (mut phone, status) = managed.call("100").await;
    assert_eq!(status, 200);
    phone.bye().await;
}
