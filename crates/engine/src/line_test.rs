//! The test of a line before it is saved: name, port, TLS, OPTIONS, REGISTER and, where a number is given, a call.
//!
//! Nothing is stored and no running registration is touched: sockets, Call-ID, tags and Contact are the test's own, a
//! binding is made only where nobody has one, and it is removed. Each step is bounded, hence the whole.

mod path;
mod trial_call;
mod words;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use catalog::{Message, Severity};
use jiff::Timestamp;
use sip::probe::{Answer, Ask, Probe, Way};
use sip::{AccountConfig, Protocol, Target};

use crate::nat::ServerAddress;
use crate::random;
use crate::resolver::{Question, Resolver};
use crate::tls;
use path::{Exchanged, OpenError, Path};

/// Targets of a name that are tried one after the other.
const TARGETS_MAX: usize = 4;
/// Longest wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Longest wait for the answer to one request, its repetitions included.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// Lifetime of the binding that the test makes, seconds.
const BINDING_S: u32 = 60;

/// What is tested.
#[derive(Clone, Debug)]
pub struct LineTest {
    /// The account as the line would register it.
    pub account: AccountConfig,
    /// A number or `sip:` address to call; `None` makes no call.
    pub number: Option<String>,
    /// Make a binding where the registrar has none, and remove it. False only proves the password.
    pub bind: bool,
    /// May the test reach private and loopback addresses?
    pub inward: bool,
    /// Name servers to ask instead of those of the system.
    pub name_servers: Vec<SocketAddr>,
    /// Further certificate authorities in PEM.
    pub extra_ca_pem: Vec<u8>,
    /// Product token of the requests.
    pub user_agent: String,
}

impl LineTest {
    /// A test of an account with everything allowed and no call.
    pub fn new(account: AccountConfig, user_agent: &str) -> Self {
        Self {
            account,
            number: None,
            bind: true,
            inward: true,
            name_servers: Vec::new(),
            extra_ca_pem: Vec::new(),
            user_agent: user_agent.to_owned(),
        }
    }
}

/// A step of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStep {
    /// The name of the registrar or proxy.
    Dns,
    /// Its port.
    Port,
    /// Its certificate.
    Tls,
    /// Whether it speaks SIP.
    Options,
    /// Whether it takes the account.
    Register,
    /// Whether a call gets through.
    Call,
}

impl LineStep {
    /// Lower-case label, as in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Port => "port",
            Self::Tls => "tls",
            Self::Options => "options",
            Self::Register => "register",
            Self::Call => "call",
        }
    }
}

/// How a step came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineVerdict {
    /// Not tried.
    Skipped,
    /// As it should be.
    Passed,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work.
    Failed,
}

impl LineVerdict {
    /// Lower-case label, as in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    /// The verdict that a message's severity stands for.
    pub fn of(message: &Message) -> Self {
        let entry = catalog::entry(&message.code);
        match entry.map_or(Severity::Error, |entry| entry.severity) {
            Severity::Info => Self::Passed,
            Severity::Notice | Severity::Warning => Self::Warning,
            Severity::Error => Self::Failed,
        }
    }
}

/// One step with its result.
#[derive(Clone, Debug)]
pub struct LineResult {
    /// Which step.
    pub step: LineStep,
    /// How it came out.
    pub verdict: LineVerdict,
    /// The sentence, with its remedy where something is to be done.
    pub message: Message,
    /// How long it took, milliseconds.
    pub took_ms: u32,
}

/// The result of a test.
#[derive(Clone, Debug, Default)]
pub struct LineReport {
    /// The steps in their order.
    pub steps: Vec<LineResult>,
    /// Our address on the way to the registrar.
    pub local: Option<SocketAddr>,
    /// Our address as the registrar saw it (RFC 3581).
    pub seen: Option<(IpAddr, Option<u16>)>,
    /// How far our clock is ahead of the registrar's, seconds, where it told the time.
    pub clock_ahead_s: Option<i64>,
}

impl LineReport {
    /// No step failed.
    pub fn passed(&self) -> bool {
        self.steps
            .iter()
            .all(|result| result.verdict != LineVerdict::Failed)
    }

    fn add(&mut self, step: LineStep, since: Instant, message: Message) -> LineVerdict {
        let verdict = LineVerdict::of(&message);
        self.steps.push(LineResult {
            step,
            verdict,
            message,
            took_ms: u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX),
        });
        verdict
    }

    fn skip(&mut self, step: LineStep, message: Message) {
        self.steps.push(LineResult {
            step,
            verdict: LineVerdict::Skipped,
            message,
            took_ms: 0,
        });
    }
}

/// How a STUN server sees a socket of this machine; `None` where it does not say.
pub async fn seen_by(
    server: &ServerAddress,
    bind: IpAddr,
    name_servers: &[SocketAddr],
) -> Option<SocketAddr> {
    crate::leg::way::seen_by(server, bind, name_servers).await
}

/// Runs the test. It never fails by itself: what is wrong is in its steps.
pub async fn run(test: LineTest) -> LineReport {
    let mut running = Running {
        resolver: Resolver::new(&test.name_servers),
        report: LineReport::default(),
        test,
    };
    running.run().await;
    running.report
}

struct Running {
    test: LineTest,
    resolver: Resolver,
    report: LineReport,
}

impl Running {
    async fn run(&mut self) {
        let account = self.test.account.clone();
        let begun = Instant::now();
        let Some(mut probe) = Probe::new(account, &self.test.user_agent, random::seed()) else {
            let message = Message::new("line_test_address_unusable")
                .with("address", self.test.account.aor.as_str());
            self.report.add(LineStep::Dns, begun, message);
            return self.skip_after(LineStep::Dns);
        };
        let Some(targets) = self.look_up(&probe).await else {
            return self.skip_after(LineStep::Dns);
        };
        let Some(mut path) = self.open(&targets).await else {
            return;
        };
        self.ask(&mut probe, &mut path).await;
        let target = path.target().clone();
        drop(path);
        self.notice(&probe);
        if self.test.number.is_some() {
            if self.report.passed() {
                self.call(target).await;
            } else {
                self.skip(LineStep::Call);
            }
        }
    }

    async fn look_up(&mut self, probe: &Probe) -> Option<Vec<Target>> {
        let begun = Instant::now();
        let hop = probe.next_hop();
        let named = match hop.transport().map(str::to_ascii_lowercase).as_deref() {
            Some("tcp") => Protocol::Tcp,
            Some("tls") => Protocol::Tls,
            Some("udp") => Protocol::Udp,
            Some(_) | None => self.test.account.protocol,
        };
        let protocol = if hop.is_secure() {
            Protocol::Tls
        } else {
            named
        };
        let question = Question {
            host: hop.host.clone(),
            port: hop.port,
            protocol: Some(protocol),
            secure: hop.is_secure(),
        };
        let found = self.resolver.look_up(&question, random::seed()).await;
        let inward =
            |target: &Target| courier::guard::address::classify(target.address.ip()).is_some();
        let message = if let Some(failure) = found.failure {
            words::no_target(failure, &hop.host)
        } else if !self.test.inward && found.targets.iter().any(inward) {
            Message::new("line_test_inward").with("host", hop.host.as_str())
        } else {
            words::found(&hop.host, &found)
        };
        let verdict = self.report.add(LineStep::Dns, begun, message);
        (verdict != LineVerdict::Failed).then_some(found.targets)
    }

    /// Opens a way to the first target that can be reached; says why not for the last one.
    async fn open(&mut self, targets: &[Target]) -> Option<Path> {
        let begun = Instant::now();
        let client = match tls::client(&self.test.extra_ca_pem) {
            Ok(client) => client,
            Err(error) => {
                let message = Message::new("line_test_tls_failed").with("cause", error.to_string());
                self.report.add(LineStep::Tls, begun, message);
                return None;
            }
        };
        let mut failed = None;
        for target in targets.iter().take(TARGETS_MAX) {
            match Path::open(target.clone(), &client, CONNECT_WITHIN).await {
                Ok(path) => {
                    self.report.local = Some(path.local());
                    if target.protocol != Protocol::Udp {
                        let message = words::reached(target);
                        self.report.add(LineStep::Port, begun, message);
                    }
                    if let Some(facts) = path.certificate() {
                        let message = words::certificate(target, facts, Timestamp::now());
                        self.report.add(LineStep::Tls, begun, message);
                    }
                    return Some(path);
                }
                Err(error) => failed = Some((target.clone(), error)),
            }
        }
        let (target, error) = failed?;
        if let OpenError::Tls(error) = &error {
            self.report
                .add(LineStep::Port, begun, words::reached(&target));
            self.report
                .add(LineStep::Tls, begun, words::tls_refused(&target, error));
            self.skip_after(LineStep::Tls);
        } else {
            let message = words::unreachable(&target, &error);
            self.report.add(LineStep::Port, begun, message);
            self.skip_after(LineStep::Port);
        }
        None
    }

    async fn ask(&mut self, probe: &mut Probe, path: &mut Path) {
        let begun = Instant::now();
        let target = path.target().clone();
        let options = path.exchange(probe, Ask::Options, ANSWER_WITHIN).await;
        let is_datagram = target.protocol == Protocol::Udp;
        if is_datagram && matches!(options, Exchanged::Refused) {
            let message = words::unreachable(&target, &OpenError::Refused);
            self.report.add(LineStep::Port, begun, message);
            return self.skip_after(LineStep::Port);
        }
        let heard = matches!(options, Exchanged::Answer(_));
        let options_took = Instant::now();
        let registers = self.test.account.register;
        let (message, answered) = if registers {
            self.register(probe, path).await
        } else {
            (Message::new("line_test_register_off"), false)
        };
        if is_datagram {
            let message = if heard || answered {
                words::reached(&target)
            } else {
                words::unreachable(&target, &OpenError::Silent)
            };
            let verdict = self.report.add(LineStep::Port, begun, message);
            if verdict == LineVerdict::Failed {
                return self.skip_after(LineStep::Port);
            }
        }
        self.report
            .add(LineStep::Options, begun, words::options(&options));
        if let Some(result) = self.report.steps.last_mut() {
            let took = options_took.duration_since(begun).as_millis();
            result.took_ms = u32::try_from(took).unwrap_or(u32::MAX);
        }
        if registers {
            self.report.add(LineStep::Register, options_took, message);
        } else {
            self.report.skip(LineStep::Register, message);
        }
    }

    /// Proves the password, then binds and removes where nobody is bound; whether the registrar answered at all.
    async fn register(&self, probe: &mut Probe, path: &mut Path) -> (Message, bool) {
        let host = probe.registrar().host.clone();
        let username = self.test.account.username.clone();
        let said = |exchanged: &Exchanged| {
            let heard = matches!(exchanged, Exchanged::Answer(_));
            (words::registered(exchanged, &host, &username), heard)
        };
        let proved = path.exchange(probe, Ask::Bindings, ANSWER_WITHIN).await;
        let may_bind = match &proved {
            Exchanged::Answer(Answer::Accepted { others, .. }) => *others == 0,
            // Registrars that know no question about bindings.
            Exchanged::Answer(Answer::Refused { status, .. }) => {
                matches!(status, 400 | 405 | 420 | 501)
            }
            Exchanged::Answer(_) | Exchanged::Silence | Exchanged::Refused | Exchanged::Closed => {
                false
            }
        };
        if !may_bind || !self.test.bind {
            return said(&proved);
        }
        let expires_s = self.test.account.expires_s.min(BINDING_S);
        let bound = path
            .exchange(probe, Ask::Bind { expires_s }, ANSWER_WITHIN)
            .await;
        // Also after silence: the binding may have been made.
        if matches!(
            bound,
            Exchanged::Answer(Answer::Accepted { .. }) | Exchanged::Silence
        ) {
            path.exchange(probe, Ask::Remove, ANSWER_WITHIN).await;
        }
        said(&bound)
    }

    fn notice(&mut self, probe: &Probe) {
        let seen = probe.seen();
        self.report.seen = seen.address;
        self.report.clock_ahead_s = seen.date.as_deref().and_then(|date| {
            let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
            Some(Timestamp::now().as_second() - theirs.as_second())
        });
    }

    async fn call(&mut self, target: Target) {
        let begun = Instant::now();
        let number = self.test.number.clone().unwrap_or_default();
        let outcome = trial_call::call(&self.test, &number, target).await;
        let message = words::called(&outcome, &number);
        self.report.add(LineStep::Call, begun, message);
    }

    fn skip(&mut self, step: LineStep) {
        self.report.skip(step, Message::new("line_test_skipped"));
    }

    /// The steps behind this one were not tried.
    fn skip_after(&mut self, step: LineStep) {
        let secure = self.test.account.protocol == Protocol::Tls;
        let all = [
            (LineStep::Dns, true),
            (LineStep::Port, true),
            (LineStep::Tls, secure),
            (LineStep::Options, true),
            (LineStep::Register, self.test.account.register),
            (LineStep::Call, self.test.number.is_some()),
        ];
        let behind = all.iter().skip_while(|(known, _)| *known != step).skip(1);
        for (step, _) in behind.filter(|(_, wanted)| *wanted) {
            self.skip(*step);
        }
    }
}

/// How a request leaves by this path.
pub(crate) fn way(protocol: Protocol, local: SocketAddr) -> Way {
    Way { protocol, local }
}
