//! An exchange: a registrar with digest authentication and a proxy that forks to every binding of a name, over datagrams.
//!
//! It keeps no timers: it sends again what it is asked again. That is enough, as callers repeat an INVITE until something
//! comes, and everything else travels through it between two agents that repeat by themselves.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sip::digest::{Algorithm, DigestServer, Verification};
use sip::message::{CSeq, Message, Method, Request, Response, Uri, Via, name};

use super::Net;

pub(crate) const REALM: &str = "example.test";
/// The longest lifetime that it grants, in seconds.
const GRANTED_S: u32 = 300;

type Sends = Vec<(SocketAddr, Vec<u8>)>;

/// Where a name can be reached.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    name: String,
    contact: Uri,
    pub(crate) until: Instant,
}

/// One branch of a forked INVITE.
#[derive(Debug)]
struct Leg {
    to: SocketAddr,
    sent: Request,
    branch: String,
    has_rung: bool,
    is_done: bool,
    is_cancelled: bool,
    refusal: Option<Response>,
}

/// A forked INVITE.
#[derive(Debug)]
struct Fork {
    upstream: SocketAddr,
    legs: Vec<Leg>,
    /// The last answer that went up, for repetitions.
    last: Option<Vec<u8>>,
    is_answered: bool,
    is_cancelled: bool,
}

/// The exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    address: SocketAddr,
    digest: DigestServer,
    /// By the user part of the Contact, which is random.
    pub(crate) bindings: BTreeMap<String, Binding>,
    /// Bindings that ran out without being refreshed or removed.
    pub(crate) lapsed: usize,
    pub(crate) is_down: bool,
    /// Status and one header for the next REGISTERs.
    pub(crate) faults: VecDeque<(u16, Option<(&'static str, &'static str)>)>,
    /// Callers prove their password too (407).
    pub(crate) asks_callers: bool,
    forks: BTreeMap<String, Fork>,
    /// Answers of our own, for repetitions.
    answers: BTreeMap<String, Vec<u8>>,
    restarts: u8,
}

impl Exchange {
    pub(crate) fn install(net: &mut Net, address: &str) -> Rc<RefCell<Self>> {
        let address: SocketAddr = address.parse().unwrap();
        let exchange = Rc::new(RefCell::new(Self {
            address,
            digest: DigestServer::new(net.start, [1; 32]),
            bindings: BTreeMap::new(),
            lapsed: 0,
            is_down: false,
            faults: VecDeque::new(),
            asks_callers: false,
            forks: BTreeMap::new(),
            answers: BTreeMap::new(),
            restarts: 0,
        }));
        let handle = Rc::clone(&exchange);
        let party = move |now: Instant, from: SocketAddr, data: &[u8]| {
            handle.borrow_mut().receive(now, from, data)
        };
        net.parties.insert(address, Box::new(party));
        exchange
    }

    /// It comes back without its nonces, its calls and, where `forgets`, its bindings.
    pub(crate) fn restart(&mut self, now: Instant, forgets: bool) {
        self.restarts += 1;
        self.digest = DigestServer::new(now, [1 + self.restarts; 32]);
        self.forks.clear();
        self.answers.clear();
        self.is_down = false;
        if forgets {
            self.bindings.clear();
        }
    }

    /// Forgets bindings that ran out, and counts them.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let before = self.bindings.len();
        self.bindings.retain(|_, binding| binding.until > now);
        self.lapsed += before - self.bindings.len();
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, data: &[u8]) -> Sends {
        if self.is_down {
            return Vec::new();
        }
        self.sweep(now);
        match sip::message::parse(data) {
            Ok(Message::Request(mut request)) => {
                let mut via = request.headers.via_top().unwrap();
                via.note_source(from);
                request.headers.replace_first(name::VIA, via);
                self.request(now, from, request)
            }
            Ok(Message::Response(response)) => self.response(response),
            Err(_) => Vec::new(),
        }
    }

    fn request(&mut self, now: Instant, from: SocketAddr, request: Request) -> Sends {
        let is_inside = request.headers.to().is_some_and(|to| to.tag().is_some());
        let has_route = request.headers.has(name::ROUTE);
        let key = format!("{} {}", request.method.as_str(), key_of(&request));
        if let Some(known) = self.answers.get(&key) {
            return vec![(from, known.clone())];
        }
        match request.method {
            Method::Register => {
                let answer = self.register(now, &request).to_bytes();
                self.answers.insert(key, answer.clone());
                vec![(from, answer)]
            }
            Method::Cancel => self.cancel(from, &request),
            // The ACK of a refusal stays here.
            Method::Ack if !has_route => Vec::new(),
            Method::Invite if !is_inside => self.invite(now, from, &request),
            _ if is_inside => self.forward(request),
            _ => vec![(from, tagged(&request, 404).to_bytes())],
        }
    }

    fn register(&mut self, now: Instant, request: &Request) -> Response {
        if let Some((status, header)) = self.faults.pop_front() {
            let mut response = tagged(request, status);
            if let Some((name, value)) = header {
                response.headers.push(name, value);
            }
            return response;
        }
        if let Some(challenge) = self.challenge(now, request, false) {
            return challenge;
        }
        let name = request.headers.to().unwrap().uri.user_decoded();
        for contact in request.headers.contacts() {
            let key = contact.uri.user.clone().unwrap_or_default();
            let asked = contact
                .params
                .value("expires")
                .and_then(|text| text.parse().ok());
            let asked: u32 = asked.or(request.headers.expires()).unwrap_or(GRANTED_S);
            if asked == 0 {
                self.bindings.remove(&key);
                continue;
            }
            let until = now + Duration::from_secs(u64::from(asked.min(GRANTED_S)));
            let binding = Binding {
                name: name.clone(),
                contact: contact.uri.clone(),
                until,
            };
            self.bindings.insert(key, binding);
        }
        let mut response = tagged(request, 200);
        for binding in self
            .bindings
            .values()
            .filter(|binding| binding.name == name)
        {
            let left_s = (binding.until - now).as_secs();
            let contact = format!("<{}>;expires={left_s}", binding.contact);
            response.headers.push(name::CONTACT, contact);
        }
        response
    }

    /// A challenge, where the request proves nothing.
    fn challenge(&mut self, now: Instant, request: &Request, is_proxy: bool) -> Option<Response> {
        let (status, asks, proves) = if is_proxy {
            (407, name::PROXY_AUTHENTICATE, name::PROXY_AUTHORIZATION)
        } else {
            (401, name::WWW_AUTHENTICATE, name::AUTHORIZATION)
        };
        let fields = request.headers.auth_fields(proves);
        let users = [(REALM, "house", "secret")];
        let method = (request.method.as_str(), request.body.as_slice());
        let algorithms = [Algorithm::MD5];
        let verdict = self
            .digest
            .verify(now, REALM, &fields, method, &users, &algorithms);
        if matches!(verdict, Verification::Accepted { .. }) {
            return None;
        }
        let is_stale = verdict == Verification::Stale;
        let mut response = tagged(request, status);
        for challenge in self.digest.challenge(now, REALM, &algorithms, is_stale) {
            response.headers.push(asks, challenge);
        }
        Some(response)
    }

    fn invite(&mut self, now: Instant, from: SocketAddr, request: &Request) -> Sends {
        let key = key_of(request);
        if let Some(fork) = self.forks.get(&key) {
            let again = fork.legs.iter().filter(|leg| !leg.has_rung && !leg.is_done);
            let down = again.map(|leg| (leg.to, leg.sent.to_bytes()));
            let up = fork.last.iter().map(|last| (from, last.clone()));
            return down.chain(up).collect();
        }
        if self.asks_callers
            && let Some(challenge) = self.challenge(now, request, true)
        {
            let answer = challenge.to_bytes();
            self.answers.insert(format!("INVITE {key}"), answer.clone());
            return vec![(from, answer)];
        }
        let name = request.uri.user_decoded();
        let targets = self
            .bindings
            .values()
            .filter(|binding| binding.name == name);
        let legs: Vec<Leg> = targets
            .enumerate()
            .filter_map(|(nth, binding)| self.leg(request, nth, &binding.contact))
            .collect();
        if legs.is_empty() {
            return vec![(from, tagged(request, 480).to_bytes())];
        }
        let sends = legs
            .iter()
            .map(|leg| (leg.to, leg.sent.to_bytes()))
            .collect();
        let fork = Fork {
            upstream: from,
            legs,
            last: None,
            is_answered: false,
            is_cancelled: false,
        };
        self.forks.insert(key, fork);
        sends
    }

    fn leg(&self, request: &Request, nth: usize, contact: &Uri) -> Option<Leg> {
        let to = address_of(contact)?;
        let mut sent = request.clone();
        sent.uri = contact.clone();
        let branch = self.branch_of(&sent, nth);
        self.stamp(&mut sent, &branch);
        let route = format!("<sip:{};lr>", self.address);
        sent.headers.insert_front(name::RECORD_ROUTE, route);
        Some(Leg {
            to,
            sent,
            branch,
            has_rung: false,
            is_done: false,
            is_cancelled: false,
            refusal: None,
        })
    }

    /// The same for a repetition, another after a restart.
    fn branch_of(&self, request: &Request, nth: usize) -> String {
        let key = (key_of(request), request.method.as_str(), nth, self.restarts);
        format!("z9hG4bKx{:x}", hash(&key))
    }

    /// Our Via on top, one hop less.
    fn stamp(&self, request: &mut Request, branch: &str) {
        let host = self.address.ip().to_string();
        let via = Via::new("UDP", &host, Some(self.address.port()), branch);
        request.headers.insert_front(name::VIA, via);
        let hops = request.headers.max_forwards().unwrap_or(70);
        request.headers.replace(name::MAX_FORWARDS, hops - 1);
    }

    /// A request inside a dialog, along its route.
    fn forward(&self, mut request: Request) -> Sends {
        request.headers.remove_first(name::ROUTE);
        let Some(to) = address_of(&request.uri) else {
            return Vec::new();
        };
        let branch = self.branch_of(&request, 0);
        self.stamp(&mut request, &branch);
        vec![(to, request.to_bytes())]
    }

    fn cancel(&mut self, from: SocketAddr, request: &Request) -> Sends {
        let Some(fork) = self.forks.get_mut(&key_of(request)) else {
            return vec![(from, tagged(request, 481).to_bytes())];
        };
        fork.is_cancelled = true;
        let mut sends = vec![(from, tagged(request, 200).to_bytes())];
        fork.cancel_legs(&mut sends);
        sends
    }

    fn response(&mut self, mut response: Response) -> Sends {
        let Some(via) = response.headers.via_top() else {
            return Vec::new();
        };
        let branch = via.branch().unwrap_or_default().to_owned();
        let is_invite = response.headers.cseq().unwrap().method == Method::Invite;
        response.headers.remove_first(name::VIA);
        let fork = self
            .forks
            .values_mut()
            .find(|fork| fork.legs.iter().any(|leg| leg.branch == branch));
        if let (true, Some(fork)) = (is_invite, fork) {
            return fork.answered(&branch, response);
        }
        // What answers our own CANCEL has no other Via.
        let Some(next) = response.headers.via_top() else {
            return Vec::new();
        };
        upstream(&next).map_or_else(Vec::new, |to| vec![(to, response.to_bytes())])
    }
}

impl Fork {
    fn cancel_legs(&mut self, sends: &mut Sends) {
        for leg in &mut self.legs {
            if leg.has_rung && !leg.is_done {
                leg.is_cancelled = true;
                sends.push((leg.to, same_hop(&leg.sent, Method::Cancel, None).to_bytes()));
            }
        }
    }

    fn answered(&mut self, branch: &str, response: Response) -> Sends {
        let mut sends = Vec::new();
        let wants_none = self.is_cancelled || self.is_answered;
        let Some(leg) = self.legs.iter_mut().find(|leg| leg.branch == branch) else {
            return sends;
        };
        if response.is_provisional() {
            leg.has_rung = true;
            if wants_none && !leg.is_done {
                leg.is_cancelled = true;
                sends.push((leg.to, same_hop(&leg.sent, Method::Cancel, None).to_bytes()));
            }
            if !self.is_answered {
                self.up(&response, &mut sends);
            }
            return sends;
        }
        leg.is_done = true;
        if response.is_success() {
            self.is_answered = true;
            self.up(&response, &mut sends);
            self.cancel_legs(&mut sends);
            return sends;
        }
        let to = response.headers.get(name::TO);
        sends.push((leg.to, same_hop(&leg.sent, Method::Ack, to).to_bytes()));
        leg.refusal = Some(response);
        if !self.is_answered && self.legs.iter().all(|leg| leg.is_done) {
            let refusals = self.legs.iter().filter_map(|leg| leg.refusal.as_ref());
            let best = refusals.min_by_key(|refusal| refusal.status).cloned();
            if let Some(best) = best {
                self.up(&best, &mut sends);
            }
        }
        sends
    }

    fn up(&mut self, response: &Response, sends: &mut Sends) {
        let bytes = response.to_bytes();
        self.last = Some(bytes.clone());
        sends.push((self.upstream, bytes));
    }
}

/// An answer with a tag that its request decides.
fn tagged(request: &Request, status: u16) -> Response {
    let mut response = Response::to(request, status);
    if let Some(to) = request.headers.to().filter(|to| to.tag().is_none()) {
        let tag = format!("x{:x}", hash(&key_of(request)));
        response.headers.replace(name::TO, to.with_tag(&tag));
    }
    response
}

/// What an INVITE, its repetitions and its CANCEL have in common.
fn key_of(request: &Request) -> String {
    let via = request.headers.via_top().unwrap();
    format!("{};{}", via.host, via.branch().unwrap_or_default())
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn address_of(uri: &Uri) -> Option<SocketAddr> {
    Some(SocketAddr::new(
        uri.host_address()?,
        uri.port.unwrap_or(5060),
    ))
}

fn upstream(via: &Via) -> Option<SocketAddr> {
    let host = via.host.trim_matches(['[', ']']).parse().ok();
    let ip = via.received().or(host)?;
    Some(SocketAddr::new(
        ip,
        via.rport().or(via.port).unwrap_or(5060),
    ))
}

/// ACK or CANCEL of an INVITE that we sent, for the same hop (RFC 3261 sections 9.1 and 17.1.1.3).
fn same_hop(invite: &Request, method: Method, to: Option<&str>) -> Request {
    let mut request = Request::new(method.clone(), invite.uri.clone());
    for field in [name::VIA, name::FROM, name::CALL_ID, name::MAX_FORWARDS] {
        request
            .headers
            .push(field, invite.headers.get(field).unwrap());
    }
    let to = to.unwrap_or_else(|| invite.headers.get(name::TO).unwrap());
    request.headers.push(name::TO, to);
    let sequence = invite.headers.cseq().unwrap().sequence;
    request.headers.push(name::CSEQ, CSeq { sequence, method });
    request
}
