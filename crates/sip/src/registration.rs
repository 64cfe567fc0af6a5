//! The REGISTER client of one account (RFC 3261 section 10): refresh, 423, backoff, removal of its own binding only.

use std::time::{Duration, Instant};

use crate::account::Account;
use crate::digest::Reaction;
use crate::endpoint::{Endpoint, Link};
use crate::event::Event;
use crate::id::AccountId;
use crate::message::{CSeq, Method, NameAddr, Request, Response, name};
use crate::planted::{self, Planted};
use crate::stun::StunTransaction;
use crate::transaction::timer::AccountTimer;
use crate::transaction::{ClientId, Failure, Outgoing, Owner};
use crate::transport::Flow;

/// Wait before the first new attempt, at random between these two.
const FIRST_RETRY_MIN: Duration = Duration::from_secs(1);
const FIRST_RETRY_MAX: Duration = Duration::from_secs(3);
/// Second and longest wait after failures in a row; each one is jittered to 50–100 %.
const BACKOFF_MIN: Duration = Duration::from_secs(30);
const BACKOFF_MAX: Duration = Duration::from_secs(600);
/// Longest Retry-After that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Shortest and longest lifetime of a binding that we count with, in seconds.
const EXPIRES_S_MIN: u32 = 10;
const EXPIRES_S_MAX: u32 = 86_400;
/// 423 answers, and changes of our learned address, before we wait.
const ADJUSTMENTS_MAX: u8 = 3;
/// Routes kept of a Service-Route.
const SERVICE_ROUTES_MAX: usize = 8;

/// Why an account is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationFailure {
    /// The registrar refused our password; nothing is tried again until the account changes.
    WrongCredentials,
    Refused(u16),
    Timeout,
    Unreachable,
    Dns,
}

/// Where an account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationState {
    Unregistered,
    Registering,
    Registered {
        expires_at: Instant,
    },
    Failed {
        cause: RegistrationFailure,
        /// `None` = stopped until the account is set with another configuration.
        retry_at: Option<Instant>,
    },
}

/// What the client is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing until the account is set again.
    Idle,
    /// The timer runs towards the next REGISTER.
    Waiting,
    /// A slot of the overall start rate is ours; the timer runs towards it.
    Slotted,
    Asking {
        client: ClientId,
    },
    /// Our binding is still there; the timer runs towards its removal.
    Leaving,
    /// Our binding is being removed.
    Removing {
        client: ClientId,
    },
}

/// The registration of one account.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) state: RegistrationState,
    pub(crate) stage: Stage,
    call_id: String,
    tag: String,
    sequence: u32,
    expires_s: u32,
    failures: u32,
    adjustments: u8,
    service_routes: Vec<NameAddr>,
    /// Our address as the registrar sees it (RFC 3581).
    learned: Option<(String, u16)>,
    /// Until when the registrar keeps our binding, as far as it told us.
    bound_until: Option<Instant>,
    /// The flow of the last success: keep-alives go over it.
    pub(crate) flow: Option<Flow>,
    pub(crate) stun: Option<StunTransaction>,
}

impl Registration {
    pub(crate) fn new(endpoint: &mut Endpoint, expires_s: u32) -> Self {
        Self {
            state: RegistrationState::Unregistered,
            stage: Stage::Idle,
            call_id: endpoint.random.token(32),
            tag: endpoint.token(),
            sequence: 0,
            expires_s: expires_s.clamp(EXPIRES_S_MIN, EXPIRES_S_MAX),
            failures: 0,
            adjustments: 0,
            service_routes: Vec::new(),
            learned: None,
            bound_until: None,
            flow: None,
            stun: None,
        }
    }

    pub(crate) fn service_routes(&self) -> &[NameAddr] {
        &self.service_routes
    }

    pub(crate) fn learned(&self) -> Option<(String, u16)> {
        self.learned.clone()
    }

    /// A new address seen by STUN; `true` where it differs.
    pub(crate) fn learn(&mut self, host: String, port: u16) -> bool {
        let learned = Some((host, port));
        let is_news = self.learned != learned;
        self.learned = learned;
        is_news
    }

    pub(crate) const fn is_registered(&self) -> bool {
        matches!(self.state, RegistrationState::Registered { .. })
    }

    /// Failed in a way that another account's success at the same registrar makes worth a new try: nobody was there. A registrar that
    /// refused this account was there all the time, and named its patience or is given ours.
    pub(crate) const fn hopes(&self) -> bool {
        matches!(
            self.state,
            RegistrationState::Failed {
                cause: RegistrationFailure::Timeout
                    | RegistrationFailure::Unreachable
                    | RegistrationFailure::Dns,
                retry_at: Some(_),
            }
        ) && matches!(self.stage, Stage::Waiting)
    }

    /// Whether the registrar still has our binding, as far as we know.
    pub(crate) fn is_bound(&self, now: Instant) -> bool {
        self.bound_until.is_some_and(|until| until > now)
    }

    /// False while the binding is being removed.
    pub(crate) const fn may_go_on(&self) -> bool {
        !matches!(self.stage, Stage::Removing { .. })
    }

    /// Whether a binding is held or asked for: nothing has given it up.
    pub(crate) const fn is_kept(&self) -> bool {
        matches!(
            self.stage,
            Stage::Waiting | Stage::Slotted | Stage::Asking { .. }
        )
    }

    /// Goes on with the binding of another configuration: the same Call-ID and counter, so that the registrar takes what follows
    /// for a refresh. A request under way is not waited for: its answer is of the configuration before.
    pub(crate) fn go_on_from(&mut self, before: Self) {
        let own = (self.expires_s, self.stage);
        *self = before;
        (self.expires_s, self.stage) = own;
        self.failures = 0;
        self.adjustments = 0;
        self.stun = None;
    }

    const fn client(&self) -> Option<ClientId> {
        match self.stage {
            Stage::Asking { client } | Stage::Removing { client } => Some(client),
            Stage::Idle | Stage::Waiting | Stage::Slotted | Stage::Leaving => None,
        }
    }
}

/// What the table of accounts must do after a registration moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Nothing,
    /// The registrar answers again: others that wait for it may try.
    Registered,
    /// The binding is gone: a retired account may be forgotten.
    Removed,
}

impl Account {
    /// Arms the next REGISTER.
    pub(crate) fn register_at(&mut self, endpoint: &mut Endpoint, id: AccountId, at: Instant) {
        self.registration.stage = Stage::Waiting;
        endpoint.arm_account(id, AccountTimer::Register, at);
    }

    /// Sends REGISTER.
    pub(crate) fn register(&mut self, now: Instant, endpoint: &mut Endpoint, id: AccountId) {
        let outgoing = self.register_request(endpoint, id, self.registration.expires_s);
        if !self.registration.is_registered() {
            self.set_state(endpoint, id, RegistrationState::Registering);
        }
        match endpoint.request(now, outgoing) {
            Some(client) => self.registration.stage = Stage::Asking { client },
            None => self.try_later(now, endpoint, id, RegistrationFailure::Unreachable, None),
        }
    }

    /// Removes our own binding, never `*`; `false` where there is none.
    pub(crate) fn unregister(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: AccountId,
    ) -> bool {
        endpoint.disarm_account(id, AccountTimer::Register);
        endpoint.disarm_account(id, AccountTimer::KeepAlive);
        let may_be_bound = (self.registration.is_registered()
            || self.registration.client().is_some())
            && !planted::has(Planted::BindingNotRemoved);
        if !may_be_bound || matches!(self.registration.stage, Stage::Removing { .. }) {
            self.registration.stage = Stage::Idle;
            self.set_state(endpoint, id, RegistrationState::Unregistered);
            return false;
        }
        let outgoing = self.register_request(endpoint, id, 0);
        let Some(client) = endpoint.request(now, outgoing) else {
            return false;
        };
        self.registration.stage = Stage::Removing { client };
        true
    }

    /// Removes our own binding at a later moment, where it is known to be there and nothing is under way; else at once.
    pub(crate) fn unregister_at(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: AccountId,
        at: Instant,
    ) {
        // Its turn comes.
        if matches!(self.registration.stage, Stage::Leaving) {
            return;
        }
        let rests = matches!(
            self.registration.stage,
            Stage::Idle | Stage::Waiting | Stage::Slotted
        );
        if at <= now || !rests || !self.registration.is_registered() {
            self.unregister(now, endpoint, id);
            return;
        }
        endpoint.disarm_account(id, AccountTimer::KeepAlive);
        self.registration.stage = Stage::Leaving;
        endpoint.arm_account(id, AccountTimer::Register, at);
    }

    fn register_request(
        &mut self,
        endpoint: &mut Endpoint,
        id: AccountId,
        expires_s: u32,
    ) -> Outgoing {
        self.registration.sequence += 1;
        let mut request = Request::new(Method::Register, self.registrar.clone());
        let (next_hop, routes) = self.registrar_route();
        for route in routes {
            request.headers.push(name::ROUTE, route);
        }
        request
            .headers
            .push(name::FROM, self.from().with_tag(&self.registration.tag));
        request
            .headers
            .push(name::TO, NameAddr::new(self.aor.clone()));
        request
            .headers
            .push(name::CALL_ID, &self.registration.call_id);
        let sequence = self.registration.sequence;
        request.headers.push(
            name::CSEQ,
            CSeq {
                sequence,
                method: Method::Register,
            },
        );
        request.headers.push(name::EXPIRES, expires_s);
        request.headers.push(name::SUPPORTED, "path");
        let mut contact = self.contact();
        contact.params = format!(";expires={expires_s}");
        let mut outgoing = Outgoing {
            request,
            contact: Some(contact),
            next_hop,
            owner: Owner::Registration(id),
            link: Link {
                invite: None,
                account: Some(id),
            },
            attempts: 0,
            reached: None,
        };
        self.preauthorize(endpoint, &mut outgoing);
        outgoing
    }

    /// A response to our REGISTER.
    pub(crate) fn register_response(
        &mut self,
        (now, endpoint, id): (Instant, &mut Endpoint, AccountId),
        client: ClientId,
        response: &Response,
        flow: Flow,
        outgoing: Option<Box<Outgoing>>,
    ) -> Outcome {
        if self.registration.client() != Some(client) || response.is_provisional() {
            return Outcome::Nothing;
        }
        let is_removal = matches!(self.registration.stage, Stage::Removing { .. });
        match response.status {
            200..300 if is_removal => {
                self.registration.bound_until = None;
                self.removed(endpoint, id)
            }
            200..300 => self.registered((now, endpoint, id), response, flow),
            401 | 407 => self.challenged((now, endpoint, id), response, flow, outgoing),
            _ if is_removal => self.removed(endpoint, id),
            423 => {
                self.interval_too_brief(now, endpoint, id, response);
                Outcome::Nothing
            }
            403 => {
                let was_password = outgoing.is_some_and(|outgoing| outgoing.attempts > 0);
                let refused = RegistrationFailure::Refused(403);
                self.stop(
                    endpoint,
                    id,
                    if was_password {
                        RegistrationFailure::WrongCredentials
                    } else {
                        refused
                    },
                );
                Outcome::Nothing
            }
            status => {
                let after = response
                    .headers
                    .retry_after()
                    .map(|seconds| Duration::from_secs(u64::from(seconds)));
                self.try_later(
                    now,
                    endpoint,
                    id,
                    RegistrationFailure::Refused(status),
                    after,
                );
                Outcome::Nothing
            }
        }
    }

    fn registered(
        &mut self,
        (now, endpoint, id): (Instant, &mut Endpoint, AccountId),
        response: &Response,
        flow: Flow,
    ) -> Outcome {
        self.note_success(response);
        if let Some((_, remote)) = endpoint.transport.addresses(flow) {
            self.note_address(remote.ip());
        }
        let granted = self.granted_s(response);
        let registration = &mut self.registration;
        registration.failures = 0;
        registration.bound_until = Some(now + Duration::from_secs(u64::from(granted)));
        registration.flow = Some(flow);
        registration.service_routes = response
            .headers
            .addresses(name::SERVICE_ROUTE)
            .into_iter()
            .take(SERVICE_ROUTES_MAX)
            .collect();
        let lifetime = Duration::from_secs(u64::from(granted));
        if self.learn_address(endpoint, response, flow)
            && self.registration.adjustments < ADJUSTMENTS_MAX
        {
            self.registration.adjustments += 1;
            self.register(now, endpoint, id);
            return Outcome::Nothing;
        }
        self.registration.adjustments = 0;
        self.set_state(
            endpoint,
            id,
            RegistrationState::Registered {
                expires_at: now + lifetime,
            },
        );
        let margin = (lifetime / 10)
            .max(Duration::from_secs(30))
            .min(lifetime / 2);
        let jitter = endpoint.random.between(Duration::ZERO, lifetime / 20);
        let mut wait = (lifetime - margin).saturating_sub(jitter);
        if planted::has(Planted::BindingRefreshedLate) {
            wait = lifetime;
        }
        if !planted::has(Planted::BindingNotRefreshed) {
            self.register_at(endpoint, id, now + wait);
        }
        self.arm_keep_alive(now, endpoint, id);
        Outcome::Registered
    }

    /// The lifetime of our own binding: its Contact's `expires`, else Expires, else what we asked for.
    fn granted_s(&self, response: &Response) -> u32 {
        let own = response
            .headers
            .contacts()
            .into_iter()
            .find(|contact| contact.uri.user.as_deref() == Some(self.token.as_str()));
        own.and_then(|contact| {
            contact
                .params
                .value("expires")
                .and_then(|text| text.parse().ok())
        })
        .or_else(|| response.headers.expires())
        .unwrap_or(self.registration.expires_s)
        .clamp(EXPIRES_S_MIN, EXPIRES_S_MAX)
    }

    /// Takes our address from `received` and `rport`; `true` where the Contact must change for it. Streams keep the
    /// listener's address unless there is a NAT between.
    fn learn_address(&mut self, endpoint: &Endpoint, response: &Response, flow: Flow) -> bool {
        if self.config.contact_host.is_some() || endpoint.transport.is_advertised(flow) {
            return false;
        }
        let (Some(via), Some((local, _))) = (
            response.headers.via_top(),
            endpoint.transport.addresses(flow),
        ) else {
            return false;
        };
        let Some(ip) = via.received() else {
            return false;
        };
        let port = via.rport().or(via.port).unwrap_or(local.port());
        let is_datagram = matches!(flow, Flow::Datagram { .. });
        let is_behind_nat = ip != local.ip() || (is_datagram && port != local.port());
        if !is_behind_nat {
            return self.registration.learned.take().is_some();
        }
        self.registration
            .learn(crate::transport::host_text(ip), port)
    }

    fn challenged(
        &mut self,
        (now, endpoint, id): (Instant, &mut Endpoint, AccountId),
        response: &Response,
        flow: Flow,
        outgoing: Option<Box<Outgoing>>,
    ) -> Outcome {
        let is_removal = matches!(self.registration.stage, Stage::Removing { .. });
        let Some(mut outgoing) = outgoing else {
            return Outcome::Nothing;
        };
        match self.authorize(endpoint, &mut outgoing, response) {
            Reaction::Retry => {
                // The challenge tells already how we are seen: the first binding is the right one, and a registrar that keeps one
                // binding need not replace it.
                if !is_removal
                    && self.learn_address(endpoint, response, flow)
                    && let Some(contact) = &mut outgoing.contact
                {
                    contact.address = self.registration.learned();
                }
                self.registration.sequence += 1;
                crate::invite::uac::set_sequence(&mut outgoing.request, self.registration.sequence);
                match endpoint.request(now, *outgoing) {
                    Some(client) if is_removal => {
                        self.registration.stage = Stage::Removing { client }
                    }
                    Some(client) => self.registration.stage = Stage::Asking { client },
                    None => {
                        self.try_later(now, endpoint, id, RegistrationFailure::Unreachable, None)
                    }
                }
                Outcome::Nothing
            }
            Reaction::WrongCredentials | Reaction::Stale | Reaction::Unsupported if is_removal => {
                self.removed(endpoint, id)
            }
            // A registrar that restarts forgets its nonces, and may do so twice; the password is right.
            Reaction::Stale => {
                let refused = RegistrationFailure::Refused(response.status);
                self.try_later(now, endpoint, id, refused, None);
                Outcome::Nothing
            }
            Reaction::WrongCredentials => {
                self.stop(endpoint, id, RegistrationFailure::WrongCredentials);
                Outcome::Nothing
            }
            Reaction::Unsupported => {
                self.stop(endpoint, id, RegistrationFailure::Refused(response.status));
                Outcome::Nothing
            }
        }
    }

    fn interval_too_brief(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: AccountId,
        response: &Response,
    ) {
        let wanted = response
            .headers
            .min_expires()
            .filter(|wanted| *wanted > self.registration.expires_s);
        match wanted {
            Some(wanted)
                if self.registration.adjustments < ADJUSTMENTS_MAX && wanted <= EXPIRES_S_MAX =>
            {
                self.registration.adjustments += 1;
                self.registration.expires_s = wanted;
                self.register(now, endpoint, id);
            }
            Some(_) | None => {
                self.try_later(now, endpoint, id, RegistrationFailure::Refused(423), None)
            }
        }
    }

    /// No response came to our REGISTER.
    pub(crate) fn register_failed(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: AccountId,
        client: ClientId,
        failure: Failure,
    ) -> Outcome {
        if self.registration.client() != Some(client) {
            return Outcome::Nothing;
        }
        if matches!(self.registration.stage, Stage::Removing { .. }) {
            return self.removed(endpoint, id);
        }
        let cause = match failure {
            Failure::Timeout => RegistrationFailure::Timeout,
            Failure::Dns => RegistrationFailure::Dns,
            Failure::Unreachable | Failure::TransportLost | Failure::Cancelled => {
                RegistrationFailure::Unreachable
            }
        };
        self.try_later(now, endpoint, id, cause, None);
        Outcome::Nothing
    }

    fn removed(&mut self, endpoint: &mut Endpoint, id: AccountId) -> Outcome {
        self.registration.stage = Stage::Idle;
        self.set_state(endpoint, id, RegistrationState::Unregistered);
        Outcome::Removed
    }

    /// Nothing is tried again until the account is set again.
    fn stop(&mut self, endpoint: &mut Endpoint, id: AccountId, cause: RegistrationFailure) {
        self.registration.stage = Stage::Idle;
        endpoint.disarm_account(id, AccountTimer::KeepAlive);
        self.set_state(
            endpoint,
            id,
            RegistrationState::Failed {
                cause,
                retry_at: None,
            },
        );
    }

    fn try_later(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: AccountId,
        cause: RegistrationFailure,
        after: Option<Duration>,
    ) {
        let registration = &mut self.registration;
        registration.adjustments = 0;
        let doublings = registration.failures.min(8);
        registration.failures = registration.failures.saturating_add(1);
        let backoff = (BACKOFF_MIN * 2u32.pow(doublings.saturating_sub(1))).min(BACKOFF_MAX);
        let wait = match after {
            Some(after) => {
                let after = after.clamp(Duration::from_secs(1), RETRY_AFTER_MAX);
                after + endpoint.random.between(Duration::ZERO, after / 10)
            }
            // A registrar that restarts is back in seconds, and the line cannot be called meanwhile.
            None if doublings == 0 => endpoint.random.between(FIRST_RETRY_MIN, FIRST_RETRY_MAX),
            None => endpoint.random.between(backoff / 2, backoff),
        };
        let retry_at = now + wait;
        endpoint.disarm_account(id, AccountTimer::KeepAlive);
        self.register_at(endpoint, id, retry_at);
        self.set_state(
            endpoint,
            id,
            RegistrationState::Failed {
                cause,
                retry_at: Some(retry_at),
            },
        );
    }

    pub(crate) fn set_state(
        &mut self,
        endpoint: &mut Endpoint,
        id: AccountId,
        state: RegistrationState,
    ) {
        if self.registration.state == state {
            return;
        }
        self.registration.state = state.clone();
        if !self.is_retired {
            endpoint.event(Event::Registration { account: id, state });
        }
    }
}
