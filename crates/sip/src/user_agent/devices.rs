//! Devices at work: their REGISTER, their timers, the way to them.

use std::time::{Duration, Instant};

use crate::digest::Verification;
use crate::endpoint::Link;
use crate::event::{DropReason, Event, Output};
use crate::id::{ConnectionId, DeviceId};
use crate::message::{CSeq, Headers, Method, NameAddr, Request, Response, Uri, name};
use crate::registrar::{Binding, BindingId, DeviceConfig, RegisterRefusal};
use crate::transaction::server::Arrival;
use crate::transaction::timer::{BindingTimer, Timer};
use crate::transaction::{Outgoing, Owner};
use crate::transport::{Flow, Origin};
use crate::user_agent::UserAgent;
use crate::user_agent::command::CHALLENGE_ALGORITHMS;

/// Keep-alives of bindings that come at the same moment (after a restart) are spread over this much.
const SPREAD_MS: u64 = 5_000;

/// Commands on devices.
impl UserAgent {
    /// Adds a device or changes it. Another name or password ends its bindings.
    pub fn set_device(&mut self, device: DeviceId, config: DeviceConfig) {
        let lost = self.registrar.set(device, config);
        self.forget(device, &lost);
    }

    /// Forgets a device and its bindings.
    pub fn remove_device(&mut self, device: DeviceId) {
        let lost = self.registrar.remove(device);
        self.forget(device, &lost);
    }

    /// Puts back what an earlier process knew of a device. What has expired, or came by a stream through a NAT, is not taken.
    pub fn restore_binding(&mut self, now: Instant, device: DeviceId, binding: Binding) {
        let listener = self
            .endpoint
            .transport
            .datagram_listener(binding.source.ip());
        if let Some((id, expires_at)) = self.registrar.restore(now, device, binding, listener) {
            self.watch(now, id, expires_at);
            self.tell_bindings(device);
        }
    }

    /// Where a device is registered, the binding heard of last first.
    #[must_use]
    pub fn bindings(&self, device: DeviceId) -> Vec<Binding> {
        self.registrar.bindings(device)
    }

    fn tell_bindings(&mut self, device: DeviceId) {
        let bindings = self.registrar.bindings(device);
        self.endpoint.event(Event::Bindings { device, bindings });
    }

    fn forget(&mut self, device: DeviceId, lost: &[BindingId]) {
        for binding in lost {
            self.disarm(*binding);
        }
        if !lost.is_empty() {
            self.tell_bindings(device);
        }
    }

    fn disarm(&mut self, binding: BindingId) {
        for timer in [BindingTimer::Expire, BindingTimer::KeepAlive] {
            self.endpoint
                .deadlines
                .disarm(Timer::Binding(binding, timer));
        }
    }

    fn watch(&mut self, now: Instant, binding: BindingId, expires_at: Instant) {
        let expire = Timer::Binding(binding, BindingTimer::Expire);
        self.endpoint.deadlines.arm(expire, expires_at);
        if let Some((interval, _, _)) = self.registrar.keep_alive(binding) {
            let spread = Duration::from_millis(self.endpoint.random.below(SPREAD_MS));
            let first = interval.saturating_sub(spread).max(interval / 2);
            let keep = Timer::Binding(binding, BindingTimer::KeepAlive);
            self.endpoint.deadlines.arm(keep, now + first);
        }
    }
}

/// REGISTER.
impl UserAgent {
    /// The realm that somebody of this address is challenged with: the domain's own, else the common one.
    fn device_realm(&self, host: &str) -> String {
        let domain = host.to_ascii_lowercase();
        if self.registrar.has_realm(&domain) {
            domain
        } else {
            self.device_realm.clone()
        }
    }

    /// Whether credentials prove the password of a device, and which.
    pub(super) fn prove_device(
        &mut self,
        now: Instant,
        request: &Request,
    ) -> Option<(Verification, Option<DeviceId>)> {
        let fields = request.headers.auth_fields(name::AUTHORIZATION);
        let field = fields.first()?;
        let realm = field.value("realm")?;
        let found = self.registrar.find(realm, field.value("username")?);
        let (device, accounts, algorithms) = match &found {
            Some((device, config)) => (Some(*device), vec![*config], config.algorithms.as_slice()),
            None => (None, Vec::new(), CHALLENGE_ALGORITHMS.as_slice()),
        };
        let what = (request.method.as_str(), request.body.as_slice());
        let verdict = self
            .digest
            .verify(now, realm, &fields, what, &accounts, algorithms);
        Some((verdict, device))
    }

    /// A REGISTER that has no transaction: what proves nothing is answered without memory.
    pub(super) fn register(
        &mut self,
        now: Instant,
        request: &Request,
        origin: &Origin,
        data: &[u8],
    ) {
        let Some(to) = request.headers.to() else {
            return self.endpoint.dropped(origin.remote, DropReason::Malformed);
        };
        let user = to.uri.user_decoded();
        let (status, is_stale, refusal) = match self.prove_device(now, request) {
            None => (401, false, None),
            Some((Verification::Stale, _)) => (401, true, None),
            Some((Verification::Accepted { username }, Some(device))) if username == user => {
                return self.registered(now, device, request, origin, data);
            }
            Some((Verification::Accepted { .. }, _)) => {
                (403, false, Some(RegisterRefusal::OtherIdentity))
            }
            Some((Verification::Rejected, _)) => (403, false, Some(RegisterRefusal::Unproven)),
        };
        let mut response = Response::to(request, status);
        if status == 401 {
            let realm = self.device_realm(&to.uri.host);
            let algorithms = self.registrar.algorithms(&realm, &user);
            let fields = self.digest.challenge(now, &realm, &algorithms, is_stale);
            for field in fields {
                response.headers.push(name::WWW_AUTHENTICATE, field);
            }
        }
        self.reply_without_memory(request, response, origin, data);
        if let Some(refusal) = refusal {
            self.endpoint.event(Event::RegisterRefused {
                source: origin.remote,
                user,
                refusal,
            });
        }
    }

    fn registered(
        &mut self,
        now: Instant,
        device: DeviceId,
        request: &Request,
        origin: &Origin,
        data: &[u8],
    ) {
        self.endpoint
            .trace_received(origin, data, Link::default(), false);
        let server = match self.endpoint.receive_request(now, request, (origin, false)) {
            Arrival::New(server) => server,
            Arrival::Repetition(_) => return,
            Arrival::Merged(_) => return self.reply_stateless(request, 482, origin),
            Arrival::Overload => {
                self.endpoint.dropped(origin.remote, DropReason::Overload);
                return self.reply_stateless(request, 503, origin);
            }
            Arrival::Unusable => {
                return self.endpoint.dropped(origin.remote, DropReason::Malformed);
            }
        };
        let mut done = self.registrar.register(now, device, request, origin);
        self.tag_response(&mut done.response);
        self.endpoint.respond(now, server, &done.response);
        let status = done.response.status;
        if !done.response.is_success() {
            let to = request.headers.to();
            return self.endpoint.event(Event::RegisterRefused {
                source: origin.remote,
                user: to.map(|to| to.uri.user_decoded()).unwrap_or_default(),
                refusal: RegisterRefusal::Refused(status),
            });
        }
        for binding in &done.removed {
            self.disarm(*binding);
        }
        for (binding, expires_at) in &done.kept {
            self.watch(now, *binding, *expires_at);
        }
        if !(done.kept.is_empty() && done.removed.is_empty()) {
            self.tell_bindings(device);
        }
    }
}

/// What happens to bindings.
impl UserAgent {
    pub(super) fn binding_timer(&mut self, now: Instant, binding: BindingId, timer: BindingTimer) {
        match timer {
            BindingTimer::Expire => {
                self.disarm(binding);
                if let Some(device) = self.registrar.expire(binding) {
                    self.tell_bindings(device);
                }
            }
            BindingTimer::KeepAlive => self.keep_binding_alive(now, binding),
        }
    }

    fn keep_binding_alive(&mut self, now: Instant, binding: BindingId) {
        let Some((interval, flow, way)) = self.registrar.keep_alive(binding) else {
            return;
        };
        let timer = Timer::Binding(binding, BindingTimer::KeepAlive);
        self.endpoint.deadlines.arm(timer, now + interval);
        if let Some(Flow::Stream { connection }) = flow {
            if self
                .endpoint
                .transport
                .protocol(Flow::Stream { connection })
                .is_websocket()
            {
                // The shell's pings look after it (RFC 7118 section 6).
                return;
            }
            // RFC 5626 section 4.4.1, sent by the side that has the public address.
            return self.endpoint.output(Output::SendStream {
                connection,
                data: b"\r\n\r\n".to_vec(),
            });
        }
        let Some(way) = way else { return };
        let domain = self.device_realm.clone();
        let from = NameAddr::new(Uri::sip(Some("allo"), &host_of(&domain), None));
        let mut request = Request::new(Method::Options, way.target.clone());
        for route in way.routes {
            request.headers.push(name::ROUTE, route);
        }
        let headers: &mut Headers = &mut request.headers;
        headers.push(name::FROM, from.with_tag(&self.endpoint.token()));
        headers.push(name::TO, NameAddr::new(way.target));
        headers.push(name::CALL_ID, self.endpoint.random.token(32));
        headers.push(
            name::CSEQ,
            CSeq {
                sequence: 1,
                method: Method::Options,
            },
        );
        let outgoing = Outgoing {
            request,
            contact: None,
            next_hop: way.next_hop,
            owner: Owner::Binding(binding),
            link: Link::default(),
            attempts: 0,
            reached: None,
        };
        // A full table is no fault of the device.
        let _ = self.endpoint.request(now, outgoing);
    }

    pub(super) fn binding_answered(&mut self, binding: BindingId, answered: bool) {
        if let Some(device) = self.registrar.note_answer(binding, answered) {
            self.tell_bindings(device);
        }
    }

    pub(super) fn device_stream_lost(&mut self, connection: ConnectionId) {
        for (device, lost) in self.registrar.stream_lost(connection) {
            self.forget(device, &lost);
        }
    }
}

/// A realm as the host of a URI; one that is none is left out.
fn host_of(realm: &str) -> String {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    if !realm.is_empty() && realm.bytes().all(is_host) {
        realm.to_owned()
    } else {
        "anonymous.invalid".to_owned()
    }
}
