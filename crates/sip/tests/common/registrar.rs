//! A scripted registrar with digest authentication.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use sip::digest::{Algorithm, DigestServer, Verification};
use sip::message::{Message, Method, Request, Response, name};

use super::{Net, Side};

pub(crate) const REALM: &str = "example.test";

/// What the registrar saw and how it behaves.
#[derive(Debug)]
pub(crate) struct Registrar {
    pub(crate) requests: Vec<Request>,
    pub(crate) password: String,
    pub(crate) algorithms: Vec<Algorithm>,
    /// Statuses to answer with before anything else; 0 = silence.
    pub(crate) faults: VecDeque<Response>,
    pub(crate) silent: bool,
    pub(crate) granted_s: Option<u32>,
    /// What `received` and `rport` say, for a NAT.
    pub(crate) seen_as: Option<SocketAddr>,
    digest: DigestServer,
}

impl Registrar {
    /// Puts a registrar at an address of no side.
    pub(crate) fn install(net: &mut Net, address: &str, password: &str) -> Rc<RefCell<Self>> {
        let registrar = Rc::new(RefCell::new(Self {
            requests: Vec::new(),
            password: password.to_owned(),
            algorithms: vec![Algorithm::MD5],
            faults: VecDeque::new(),
            silent: false,
            granted_s: None,
            seen_as: None,
            digest: DigestServer::new(net.start, [1; 32]),
        }));
        let handle = Rc::clone(&registrar);
        let script = move |now: Instant, message: &Message| match message {
            Message::Request(request) => handle.borrow_mut().answer(now, request),
            Message::Response(_) => Vec::new(),
        };
        net.scripts
            .insert(address.parse().unwrap(), Box::new(script));
        registrar
    }

    /// Forgets every nonce, as a restart does.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.digest = DigestServer::new(now, [2; 32]);
        self.silent = false;
    }

    pub(crate) fn registers(&self) -> usize {
        self.requests
            .iter()
            .filter(|request| request.method == Method::Register)
            .count()
    }

    fn answer(&mut self, now: Instant, request: &Request) -> Vec<Vec<u8>> {
        self.requests.push(request.clone());
        if self.silent {
            return Vec::new();
        }
        let mut response = match self.faults.pop_front() {
            Some(fault) => {
                let mut response = Response::to(request, fault.status);
                for row in fault.headers.rows() {
                    response.headers.push(row.name(), row.value());
                }
                response
            }
            None => self.authenticate(now, request),
        };
        if let (Some(seen), Some(mut via)) = (self.seen_as, response.headers.via_top()) {
            via.note_source(seen);
            response.headers.replace_first(name::VIA, via);
        }
        vec![response.to_bytes()]
    }

    fn authenticate(&mut self, now: Instant, request: &Request) -> Response {
        let fields = request.headers.auth_fields(name::AUTHORIZATION);
        let users = [(REALM, "alice", self.password.as_str())];
        let method = (request.method.as_str(), request.body.as_slice());
        let verdict = self
            .digest
            .verify(now, REALM, &fields, method, &users, &self.algorithms);
        match verdict {
            Verification::Accepted { .. } => {
                let mut response = Response::to(request, 200);
                for contact in request.headers.get_all(name::CONTACT) {
                    let contact = match self.granted_s {
                        Some(granted) => format!(
                            "{};expires={granted}",
                            contact.split(";expires").next().unwrap()
                        ),
                        None => contact.to_owned(),
                    };
                    response.headers.push(name::CONTACT, contact);
                }
                response
            }
            Verification::Stale | Verification::Rejected => {
                let is_stale = verdict == Verification::Stale;
                let mut response = Response::to(request, 401);
                for challenge in self
                    .digest
                    .challenge(now, REALM, &self.algorithms, is_stale)
                {
                    response.headers.push(name::WWW_AUTHENTICATE, challenge);
                }
                response
            }
        }
    }
}

/// An account of side A at the registrar 198.51.100.1.
pub(crate) fn account() -> sip::AccountConfig {
    let mut config = sip::AccountConfig::new("sip:alice@198.51.100.1", "alice", "secret");
    config.keep_alive = sip::KeepAlive::Off;
    config
}

/// The states that a side's account went through.
pub(crate) fn states(net: &Net, side: Side) -> Vec<sip::RegistrationState> {
    net.events
        .iter()
        .filter_map(|(who, event)| match event {
            sip::Event::Registration { state, .. } if *who == side => Some(state.clone()),
            _ => None,
        })
        .collect()
}
