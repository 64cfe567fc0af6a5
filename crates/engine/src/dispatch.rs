//! From an INVITE to a line and its agent, or to a refusal that can be explained.

mod accounts;
mod admit;
mod certificates;
mod devices;
mod outgoing;
mod peers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use call::{EndReason, TenantId};
use catalog::Message;
use sip::{AccountId, DeviceId, IncomingInvite};

pub(crate) use accounts::AccountChanges;
use accounts::Accounts;
use admit::Rates;
pub(crate) use admit::{Limit, LimitKind};
pub(crate) use outgoing::OutgoingRefused;
pub(crate) use peers::allows;
use peers::best;

use crate::admission::{Bucket, Draining, Place, Places, WrongPasswords};
use crate::client_certificate::Shown;
use crate::config::{
    AgentConfig, Authorities, Config, LineConfig, RealtimeConfig, Shedding, UnknownSource,
    WorkflowConfig,
};
use crate::engine::StartError;
use crate::engine_choice::EngineChoice;
use crate::house_codes::Dialled;
use crate::journal::CallJournal;
use crate::load::Load;
use crate::log::say;
use crate::realtime_client::Target;
use crate::routes::{MayCall, Route, RouteAnswer, RouteNote, RouteTable, routed};
use crate::selection::same_number;

/// An agent made ready: the address of its engine is checked once.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) config: AgentConfig,
    pub(crate) target: Arc<Target>,
    /// Of the second engine.
    pub(crate) fallback: Option<Arc<Target>>,
}

impl Agent {
    /// Stands where a line has no agent of its own (an account without a phone line, or a process whose calls a switchboard takes): it
    /// is never asked anything.
    fn nobody() -> Result<Self, StartError> {
        Self::new(AgentConfig {
            name: String::new(),
            instructions: String::new(),
            profile: call::Profile::default(),
            tools: Vec::new(),
            engine: EngineChoice::new(RealtimeConfig::default()),
            fallback: None,
            office: None,
        })
    }

    /// # Errors
    /// The address of an engine cannot be used.
    pub(crate) fn new(config: AgentConfig) -> Result<Self, StartError> {
        let target = |engine: &EngineChoice| {
            Target::new(&engine.realtime).ok_or_else(|| StartError::EngineUrl {
                agent: config.name.clone(),
                url: engine.realtime.url.clone(),
            })
        };
        let first = Arc::new(target(&config.engine)?);
        let fallback = config.fallback.as_ref().map(target).transpose()?;
        Ok(Self {
            target: first,
            fallback: fallback.map(Arc::new),
            config,
        })
    }
}

/// A line made ready.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) config: LineConfig,
    pub(crate) agent: Arc<Agent>,
    /// False for an account without a phone line: a workflow says who answers its calls.
    pub(crate) has_agent: bool,
    /// The workflow of a call by it.
    pub(crate) route: Option<RouteNote>,
    pub(crate) account: Option<AccountId>,
    pub(crate) device: Option<DeviceId>,
    places: Places,
}

impl Line {
    /// A place for one more leg on the trunk; `None` when it is full.
    pub(crate) fn take_place(&self) -> Option<Place> {
        self.places.take()
    }
}

/// Permits of one admitted call.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// What the record says of how it was let in.
    pub(crate) note: Option<Message>,
    _process: Place,
    _line: Place,
}

impl Admitted {
    /// Says in its record how the call was let in, where that is worth a word.
    pub(crate) fn tell(&self, journal: &CallJournal) {
        if let Some(note) = &self.note {
            journal.note(Instant::now(), note.clone());
        }
    }
}

/// Whether an INVITE may take the place of a leg of some line (RFC 3891 section 3: the same rules as for whoever speaks in a dialog).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MayReplace {
    Yes,
    /// Once it has proven a password.
    Challenge {
        realm: String,
    },
    No,
}

/// What to do with an INVITE.
pub(crate) enum Decision {
    /// A call begins.
    Accept { line: Arc<Line>, admitted: Admitted },
    /// A telephone of the house comes into a running call.
    Come {
        line: Arc<Line>,
        admitted: Admitted,
        dialled: Dialled,
    },
    /// Refused for a reason that is stored.
    Refuse {
        line: Option<Arc<Line>>,
        reason: EndReason,
        status: u16,
        retry_after_s: Option<u32>,
        code: &'static str,
        /// The limit, where one refuses it.
        limit: Option<Limit>,
        /// What else the record says of it.
        note: Option<Message>,
    },
    /// Credentials are asked for.
    Challenge { realm: String },
    /// No answer.
    Drop,
}

impl Decision {
    /// With a reason for people.
    fn because(mut self, why: impl Into<Option<Message>>) -> Self {
        if let Self::Refuse { note, .. } = &mut self {
            *note = why.into();
        }
        self
    }
}

/// How far an agent's lines are open. The manager of agents moves it; lines without one are wide open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gate {
    /// No account is registered, and every call is refused.
    Closed,
    /// What comes is taken, but nothing is registered yet.
    Answers,
    /// Accounts are registered.
    Open,
}

/// The lines of the process, and what may pass.
pub(crate) struct Dispatcher {
    lines: Vec<Arc<Line>>,
    /// Agents of the directory by their id, those without a line as well: one chats with them.
    agents: BTreeMap<String, Arc<Agent>>,
    /// Lines of the settings: the first ones. The others come from the directory.
    fixed: usize,
    routes: RouteTable,
    /// Who vouches for the certificates of trunks, where a line does not say so itself.
    authorities: Authorities,
    accounts: Accounts,
    /// By agent.
    gates: BTreeMap<String, Gate>,
    /// Agents that are closed until the first reload.
    held: Vec<String>,
    rates: Rates,
    process: Places,
    load: Arc<Load>,
    shedding: Shedding,
    invites: Bucket,
    draining: Draining,
    retry_after_s: u32,
    unknown_source: UnknownSource,
    wrong_passwords: WrongPasswords,
}

impl Dispatcher {
    /// Joins lines and agents.
    pub(crate) fn new(
        now: Instant,
        config: &Config,
        draining: Draining,
    ) -> Result<Self, StartError> {
        let mut agents: BTreeMap<&str, Arc<Agent>> = BTreeMap::new();
        for agent in &config.agents {
            agents.insert(&agent.name, Arc::new(Agent::new(agent.clone())?));
        }
        let nobody = config.switchboard.as_ref().map(|_| Agent::nobody());
        let nobody = nobody.transpose()?.map(Arc::new);
        let mut lines = Vec::new();
        for (number, line) in (1_u64..).zip(&config.lines) {
            let agent = agents
                .get(line.agent.as_str())
                .or(nobody.as_ref())
                .ok_or_else(|| StartError::UnknownAgent {
                    line: line.name.clone(),
                    agent: line.agent.clone(),
                })?;
            lines.push(Arc::new(Line {
                config: line.clone(),
                agent: Arc::clone(agent),
                has_agent: true,
                route: None,
                account: line.account.as_ref().map(|_| AccountId(number)),
                device: None,
                places: Places::new(line.calls_max),
            }));
        }
        Ok(Self {
            agents: BTreeMap::new(),
            fixed: lines.len(),
            routes: RouteTable::default(),
            authorities: config.sip.client_authorities.clone(),
            accounts: Accounts {
                known: BTreeMap::new(),
                last: u64::try_from(lines.len()).unwrap_or_default(),
            },
            lines,
            gates: config
                .held
                .iter()
                .map(|agent| (agent.clone(), Gate::Closed))
                .collect(),
            held: config.held.clone(),
            rates: Rates::default(),
            process: Places::new(config.limits.calls_max),
            load: Arc::default(),
            shedding: config.limits.shedding,
            invites: Bucket::new(now, config.limits.invites_per_s_max),
            draining,
            retry_after_s: config.limits.retry_after_s,
            unknown_source: config.sip.unknown_source,
            wrong_passwords: WrongPasswords::default(),
        })
    }

    /// What the clock of this process tells of its time; whoever starts the clock shares it.
    pub(crate) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Puts other lines in the place of the directory's. Calls in progress keep what they began with; a line that stays keeps its
    /// account and its places. A line whose agent cannot be used is left out.
    pub(crate) fn reload(
        &mut self,
        lines: &[LineConfig],
        agents: &[AgentConfig],
        workflows: &[WorkflowConfig],
        gates: &[(String, Gate)],
    ) -> AccountChanges {
        self.keep_gates(agents, gates);
        let agents: BTreeMap<&str, Arc<Agent>> = agents
            .iter()
            .filter_map(|agent| {
                let ready = Agent::new(agent.clone()).ok()?;
                Some((agent.name.as_str(), Arc::new(ready)))
            })
            .collect();
        let nobody = Agent::nobody().ok().map(Arc::new);
        let before = self.lines.split_off(self.fixed);
        for line in &mut self.lines {
            // A line of the settings may belong to an agent of the directory.
            if let Some(agent) = agents.get(line.config.agent.as_str()) {
                *line = Arc::new(Line {
                    config: line.config.clone(),
                    agent: Arc::clone(agent),
                    has_agent: true,
                    route: None,
                    account: line.account,
                    device: line.device,
                    places: line.places.clone(),
                });
            }
        }
        let mut changes = AccountChanges::default();
        let mut kept = BTreeMap::new();
        for config in lines {
            let has_agent = !config.agent.is_empty();
            let agent = if has_agent {
                agents.get(config.agent.as_str())
            } else {
                nobody.as_ref()
            };
            let Some(agent) = agent else {
                let message = Message::new("log_line_left_out");
                say(&message.with("line", config.name.as_str()));
                continue;
            };
            let old = before.iter().find(|line| {
                line.config.name == config.name && line.config.calls_max == config.calls_max
            });
            let (account, device) = self.accounts.take(config, &mut kept, &mut changes);
            self.lines.push(Arc::new(Line {
                config: config.clone(),
                agent: Arc::clone(agent),
                has_agent,
                route: None,
                account,
                device,
                places: old.map_or_else(|| Places::new(config.calls_max), |old| old.places.clone()),
            }));
        }
        let known = std::mem::replace(&mut self.accounts.known, kept);
        let gone = known
            .into_iter()
            .filter(|(name, _)| !self.accounts.known.contains_key(name));
        changes.removed = gone.map(|(_, id)| id).collect();
        let (fixed, lines) = self.lines.split_at(self.fixed);
        self.routes.replace(workflows, &agents, fixed, lines);
        self.gate_changes(&mut changes);
        self.rates.keep(&self.lines);
        changes.lines.clone_from(&self.lines);
        self.agents = agents
            .into_iter()
            .map(|(name, agent)| (name.to_owned(), agent))
            .collect();
        changes
    }

    /// Agents that are gone lose their gates; those that come new begin behind these.
    fn keep_gates(&mut self, agents: &[AgentConfig], gates: &[(String, Gate)]) {
        for held in self.held.drain(..) {
            self.gates.remove(&held);
        }
        self.gates
            .retain(|name, _| agents.iter().any(|agent| agent.name == *name));
        for (agent, gate) in gates {
            self.gates.entry(agent.clone()).or_insert(*gate);
        }
    }

    /// How far the lines of an agent are open.
    pub(crate) fn gate(&self, agent: &str) -> Gate {
        self.gates.get(agent).copied().unwrap_or(Gate::Open)
    }

    /// The lines of the settings.
    pub(crate) fn fixed(&self) -> &[Arc<Line>] {
        self.lines.get(..self.fixed).unwrap_or_default()
    }

    /// The accounts of the settings as they are to be when the process begins.
    pub(crate) fn first_accounts(&self) -> Vec<(AccountId, sip::AccountConfig)> {
        let account = |line: &Arc<Line>| {
            let config = line.config.account.as_ref()?;
            Some((line.account?, self.gated(&line.config, config)))
        };
        self.lines.iter().filter_map(account).collect()
    }

    /// Moves the gate of an agent; the accounts of its lines as they are to be now.
    pub(crate) fn set_gate(
        &mut self,
        agent: &str,
        gate: Gate,
    ) -> Vec<(AccountId, sip::AccountConfig)> {
        self.gates.insert(agent.to_owned(), gate);
        let of_agent = self
            .lines
            .iter()
            .filter(|line| self.agents_of(&line.config).any(|known| known == agent));
        let account = |line: &Arc<Line>| {
            let account = self.gated(&line.config, line.config.account.as_ref()?);
            Some((line.account?, account))
        };
        of_agent.filter_map(account).collect()
    }

    /// An agent of the directory.
    pub(crate) fn agent(&self, id: &str) -> Option<Arc<Agent>> {
        self.agents.get(id).map(Arc::clone)
    }

    /// The line of a name or of a number.
    pub(crate) fn find_line(&self, key: &str) -> Option<&Arc<Line>> {
        let named = self.lines.iter().find(|line| line.config.name == key);
        named.or_else(|| {
            self.lines.iter().find(|line| {
                let mut numbers = line.config.numbers.iter();
                numbers.any(|number| same_number(number, key))
            })
        })
    }

    /// All lines.
    pub(crate) fn lines(&self) -> &[Arc<Line>] {
        &self.lines
    }

    /// Calls that hold a place.
    pub(crate) fn process(&self) -> &Places {
        &self.process
    }

    /// Decides about an INVITE; `shown` is what its connection showed.
    pub(crate) fn decide(
        &mut self,
        now: Instant,
        invite: &IncomingInvite,
        shown: Option<&Shown>,
    ) -> Decision {
        let recognised = self.recognise(shown);
        let proof = (shown, &recognised);
        if let Some(account) = invite.account
            && let Some(line) = self.lines.iter().find(|line| line.account == Some(account))
        {
            let line = Arc::clone(line);
            return self.accept_with(now, &line, invite, proof);
        }
        if let Some(decision) = self.decide_of_device(now, invite) {
            return decision;
        }
        let called = called_number(&invite.request_uri);
        let by_source = self.lines_of_source(invite.source.ip());
        if let Some(line) = self.line_of_peer(&recognised, &by_source, called) {
            let line = Arc::clone(line);
            return self.accept_with(now, &line, invite, proof);
        }
        if let Some(line) = recognised.only().or(by_source.first().copied()) {
            let line = Arc::clone(line);
            if invite.authenticated.is_none() {
                return self.refuse(Some(&line), EndReason::UnknownNumber, "unknown_number");
            }
        } else if let Some(dropped) = self.ban(now, invite) {
            return dropped;
        }
        if let Some(user) = &invite.authenticated {
            return self.decide_by_password(now, invite, user);
        }
        let realm = self.realm_for(invite);
        if let Some(refused) = self.refuse_nearly(&recognised, shown, realm.is_some()) {
            return refused;
        }
        // An unknown source learns nothing about which numbers exist: the same challenge or refusal for all of them.
        if let Some(realm) = realm {
            return Decision::Challenge { realm };
        }
        match self.unknown_source {
            UnknownSource::Refuse => self
                .refuse(None, EndReason::Unauthorized, "source_not_allowed")
                .because(Self::note_of_stranger(shown)),
            UnknownSource::Drop => Decision::Drop,
        }
    }

    /// Sources whose wrong passwords are remembered.
    pub(crate) fn wrong_passwords(&self) -> usize {
        self.wrong_passwords.len()
    }

    /// A source that no line lists is nobody until it proves a password, and may be wrong a few times.
    fn ban(&mut self, now: Instant, invite: &IncomingInvite) -> Option<Decision> {
        let source = invite.source.ip();
        if self.wrong_passwords.is_banned(now, source) {
            return Some(Decision::Drop);
        }
        if invite.proof_rejected {
            self.note_wrong_password(now, source);
        }
        None
    }

    fn decide_by_password(
        &mut self,
        now: Instant,
        invite: &IncomingInvite,
        user: &str,
    ) -> Decision {
        let proven: Vec<Arc<Line>> = self
            .lines
            .iter()
            .filter(|line| proves(line, user, invite.realm.as_deref()))
            .map(Arc::clone)
            .collect();
        if self.names_another(invite, user) {
            return self.refuse(proven.first(), EndReason::Unauthorized, "other_identity");
        }
        let called = called_number(&invite.request_uri);
        match best(&proven.iter().collect::<Vec<_>>(), called) {
            Some(line) => {
                let line = Arc::clone(line);
                self.accept(now, &line, invite)
            }
            None => self.refuse(proven.first(), EndReason::UnknownNumber, "unknown_number"),
        }
    }

    /// A call that came by a line: its workflow is the one of the dialled number, else the one of the line's account; without
    /// either the line's own agent answers.
    fn accept(&mut self, now: Instant, line: &Arc<Line>, invite: &IncomingInvite) -> Decision {
        let tenant = &line.config.tenant;
        let dialled = [
            called_number(&invite.request_uri),
            called_number(&invite.to.uri),
        ];
        let route = self
            .routes
            .by_number(tenant, &dialled)
            .or_else(|| self.route_of_account(line));
        let line = route.map_or_else(|| Arc::clone(line), |route| routed(line, route));
        if !line.has_agent {
            return self.refuse(Some(&line), EndReason::UnknownNumber, "no_workflow");
        }
        self.admit(now, &line)
    }

    /// The workflow of the account by which a call comes. A phone line has an agent of its own: only a workflow that names its
    /// account takes its calls, not one that got it because it names none.
    fn route_of_account(&self, line: &Line) -> Option<&Route> {
        let name = &line.config.name;
        let route = self.routes.by_account(&line.config.tenant, name)?;
        let is_phone_line = line.has_agent && line.config.sip_account.is_some();
        let is_named = route.config.account.as_ref() == Some(name);
        (is_named || !is_phone_line).then_some(route)
    }

    /// The lines that a call of a workflow tries, the first one first; `None` where there is no such workflow.
    pub(crate) fn attempts(
        &mut self,
        tenant: &TenantId,
        workflow: &str,
        may_call: &MayCall,
    ) -> Option<Vec<Arc<Line>>> {
        let (fixed, lines) = self.lines.split_at(self.fixed);
        let wanted = (workflow, may_call);
        self.routes.attempts(tenant, wanted, fixed, lines)
    }

    /// The lines that a call by this one tries when it does not answer.
    pub(crate) fn backups(&self, line: &Arc<Line>) -> Vec<Arc<Line>> {
        RouteTable::backups(line, &self.lines)
    }

    /// Where a call to this number would go.
    pub(crate) fn explain(
        &self,
        tenant: &TenantId,
        number: &str,
        account: Option<&str>,
    ) -> RouteAnswer {
        let (fixed, lines) = self.lines.split_at(self.fixed);
        self.routes.explain(tenant, (number, account), fixed, lines)
    }

    /// Whether the account of a line can be used.
    pub(crate) fn note_health(&mut self, line: &str, is_healthy: bool) {
        self.routes.note_health(line, is_healthy);
    }

    /// Whether the caller calls itself by the name of a user of ours other than the one whose password it proved. Any other
    /// name is a caller's number, which nobody takes for an identity: an exchange shows the numbers of its callers there.
    fn names_another(&self, invite: &IncomingInvite, user: &str) -> bool {
        let from = &invite.from;
        let named = if from.user.is_empty() {
            called_number(&from.uri)
        } else {
            from.user.as_str()
        };
        !same_number(named, user)
            && self.lines.iter().any(|line| {
                let credentials = line.config.credentials.as_ref();
                let account = line.config.account.as_ref();
                credentials.is_some_and(|known| same_number(&known.username, named))
                    || account.is_some_and(|known| same_number(called_number(&known.aor), named))
            })
    }

    fn refuse(&self, line: Option<&Arc<Line>>, reason: EndReason, code: &'static str) -> Decision {
        Decision::Refuse {
            line: line.map(Arc::clone),
            reason,
            status: reason.row().sip_status,
            retry_after_s: None,
            code,
            limit: None,
            note: None,
        }
    }
}

fn proves(line: &Line, user: &str, realm: Option<&str>) -> bool {
    line.config
        .credentials
        .as_ref()
        .is_some_and(|known| known.username == user && Some(known.realm.as_str()) == realm)
}

/// User part of a Request-URI; of a `tel:` URI the number.
pub(crate) fn called_number(uri: &str) -> &str {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let user = match rest.split_once('@') {
        Some((user, _)) => user,
        None if scheme.eq_ignore_ascii_case("tel") => rest,
        None => "",
    };
    user.split([';', ':']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
