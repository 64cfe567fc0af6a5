//! Questions to a registrar outside of any registration: OPTIONS, REGISTER that asks, binds and removes.
//!
//! One question at a time. The probe writes requests and reads responses; sending, repeating and waiting are the shell's.
//! Call-ID, tags and Contact are its own, so that a running registration of the same account is another one to the
//! registrar (RFC 3261 section 10.2). A wrong password is said at most as often as
//! [`ATTEMPTS_MAX`](crate::digest::client::ATTEMPTS_MAX) allows.

use std::net::{IpAddr, SocketAddr};

use crate::account::AccountConfig;
use crate::config::Protocol;
use crate::digest::{Credentials, DigestClient, Reaction};
use crate::message::{CSeq, Message, Method, NameAddr, Request, Response, Uri, Via, name, parse};
use crate::random::Random;
use crate::transport::host_text;

/// How the requests leave: what Via and Contact say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Transport of the requests.
    pub protocol: Protocol,
    /// Our address on it.
    pub local: SocketAddr,
}

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// OPTIONS to the registrar.
    Options,
    /// REGISTER without a Contact: which bindings are there? Proves the password and changes nothing.
    Bindings,
    /// REGISTER with our own Contact for this many seconds.
    Bind {
        /// Lifetime asked for, in seconds.
        expires_s: u32,
    },
    /// Our own binding is removed.
    Remove,
}

/// What a final answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// OPTIONS was answered, with whatever status: the peer speaks SIP.
    Speaks {
        /// Status of the response.
        status: u16,
        /// Server or User-Agent, as written.
        server: Option<String>,
    },
    /// REGISTER succeeded.
    Accepted {
        /// Bindings of others.
        others: usize,
        /// Lifetime of our own binding in seconds, where there is one.
        expires_s: Option<u32>,
        /// The registrar asked for the password.
        proved: bool,
    },
    /// The password was refused.
    WrongCredentials,
    /// No challenge that can be answered: unknown algorithm or scheme.
    UnknownChallenge,
    /// 423 again, or without a usable Min-Expires.
    TooBrief {
        /// What the registrar demands, in seconds.
        min_s: Option<u32>,
    },
    /// Another final response.
    Refused {
        /// Its status.
        status: u16,
        /// Its reason phrase.
        reason: String,
        /// The password had been proved or said before.
        after_password: bool,
    },
}

/// What to do after a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Not of this question, or provisional: wait on.
    Wait,
    /// Send this and wait for its response.
    Again(Vec<u8>),
    /// The question is answered.
    Done(Answer),
}

/// What a response tells beside its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Where our request came from, as the peer saw it (RFC 3581).
    pub address: Option<(IpAddr, Option<u16>)>,
    /// Value of the Date header.
    pub date: Option<String>,
}

/// Shortest and longest lifetime that a 423 can make us ask for, in seconds.
const EXPIRES_S_MAX: u32 = 86_400;
/// Length of the random user part of the Contact.
const TOKEN_LEN: usize = 16;

/// The prober of one account.
#[derive(Debug)]
pub struct Probe {
    account: AccountConfig,
    aor: Uri,
    registrar: Uri,
    proxy: Option<Uri>,
    user_agent: String,
    random: Random,
    token: String,
    call_id: String,
    tag: String,
    sequence: u32,
    digest: DigestClient,
    realm: Option<String>,
    is_proxy_realm: bool,
    question: Option<Question>,
    seen: Seen,
}

/// The question under way.
#[derive(Debug)]
struct Question {
    ask: Ask,
    way: Way,
    branch: String,
    sequence: u32,
    /// Challenges that it has answered.
    attempts: u8,
    /// It went with credentials.
    said: bool,
    /// The lifetime was raised once.
    adjusted: bool,
}

impl Probe {
    /// `None` where a URI of the account is not a `sip:` URI.
    #[must_use]
    pub fn new(account: AccountConfig, user_agent: &str, seed: u64) -> Option<Self> {
        let sip = |text: &str| {
            text.parse::<Uri>()
                .ok()
                .filter(|uri| uri.is_sip() && !uri.host.is_empty())
        };
        let aor = sip(&account.aor)?;
        let mut domain = Uri::sip(None, &aor.host, aor.port);
        domain.scheme = aor.scheme.clone();
        let registrar = match &account.registrar {
            Some(text) => sip(text)?,
            None => domain,
        };
        let proxy = match &account.outbound_proxy {
            Some(text) => Some(sip(text)?),
            None => None,
        };
        let mut random = Random::new(seed);
        Some(Self {
            token: random.token(TOKEN_LEN),
            call_id: random.token(32),
            tag: random.token(TOKEN_LEN),
            account,
            aor,
            registrar,
            proxy,
            user_agent: user_agent.to_owned(),
            random,
            sequence: 0,
            digest: DigestClient::new(),
            realm: None,
            is_proxy_realm: false,
            question: None,
            seen: Seen::default(),
        })
    }

    /// Where the requests go first: the outbound proxy, else the registrar.
    #[must_use]
    pub fn next_hop(&self) -> &Uri {
        self.proxy.as_ref().unwrap_or(&self.registrar)
    }

    /// The registrar.
    #[must_use]
    pub const fn registrar(&self) -> &Uri {
        &self.registrar
    }

    /// What the responses told so far.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Begins a question; the bytes of its first request.
    pub fn ask(&mut self, ask: Ask, way: Way) -> Vec<u8> {
        self.question = Some(Question {
            ask,
            way,
            branch: String::new(),
            sequence: 0,
            attempts: 0,
            said: false,
            adjusted: false,
        });
        self.request()
    }

    /// Reads what came; bytes that are no message of ours are waited over.
    pub fn handle(&mut self, data: &[u8]) -> Reply {
        let Ok(Message::Response(response)) = parse(data) else {
            return Reply::Wait;
        };
        let is_ours = self.question.as_ref().is_some_and(|question| {
            response.headers.via_branch() == Some(question.branch.as_str())
                && response
                    .headers
                    .cseq()
                    .is_some_and(|cseq| cseq.sequence == question.sequence)
        });
        if !is_ours {
            return Reply::Wait;
        }
        self.note(&response);
        if response.is_provisional() {
            return Reply::Wait;
        }
        self.judge(&response)
    }

    fn note(&mut self, response: &Response) {
        if let Some(via) = response.headers.via_top()
            && let Some(received) = via.received()
        {
            self.seen.address = Some((received, via.rport()));
        }
        if let Some(date) = response.headers.get("Date") {
            self.seen.date = Some(date.to_owned());
        }
    }

    fn judge(&mut self, response: &Response) -> Reply {
        let Some(question) = &mut self.question else {
            return Reply::Wait;
        };
        if question.ask == Ask::Options {
            let server = response
                .headers
                .get(name::SERVER)
                .or_else(|| response.headers.get(name::USER_AGENT))
                .map(str::to_owned);
            return self.done(Answer::Speaks {
                status: response.status,
                server,
            });
        }
        match response.status {
            200..300 => {
                let answer = self.accepted(response);
                self.done(answer)
            }
            401 | 407 => self.challenged(response),
            423 => {
                let min_s = response.headers.min_expires();
                let usable = min_s.filter(|min| (1..=EXPIRES_S_MAX).contains(min));
                match (usable, question.ask) {
                    (Some(min), Ask::Bind { expires_s })
                        if !question.adjusted && min > expires_s =>
                    {
                        question.adjusted = true;
                        question.ask = Ask::Bind { expires_s: min };
                        question.attempts = 0;
                        Reply::Again(self.request())
                    }
                    _ => self.done(Answer::TooBrief { min_s }),
                }
            }
            status => {
                let after_password = question.said;
                self.done(Answer::Refused {
                    status,
                    reason: response.reason.clone(),
                    after_password,
                })
            }
        }
    }

    fn done(&mut self, answer: Answer) -> Reply {
        self.question = None;
        Reply::Done(answer)
    }

    fn accepted(&self, response: &Response) -> Answer {
        let contacts = response.headers.contacts();
        let is_own = |contact: &&NameAddr| contact.uri.user.as_deref() == Some(self.token.as_str());
        let own = contacts.iter().find(is_own);
        let question = self.question.as_ref();
        let asked_s = question.and_then(|question| match question.ask {
            Ask::Bind { expires_s } => Some(expires_s),
            Ask::Options | Ask::Bindings | Ask::Remove => None,
        });
        let granted_s = own
            .and_then(|contact| contact.params.value("expires")?.parse().ok())
            .or_else(|| response.headers.expires())
            .or(asked_s);
        Answer::Accepted {
            others: contacts.iter().filter(|contact| !is_own(contact)).count(),
            expires_s: asked_s.and(granted_s),
            proved: question.is_some_and(|question| question.said),
        }
    }

    fn challenged(&mut self, response: &Response) -> Reply {
        let Some(question) = &mut self.question else {
            return Reply::Wait;
        };
        let is_proxy = response.status == 407;
        let header = if is_proxy {
            name::PROXY_AUTHENTICATE
        } else {
            name::WWW_AUTHENTICATE
        };
        let mut challenges = response.headers.auth_fields(header);
        // The password goes to the realm that asked first, and to no other.
        if let Some(realm) = &self.realm {
            challenges.retain(|field| field.value("realm") == Some(realm.as_str()));
        }
        let reaction = self.digest.handle_challenge(&challenges, question.attempts);
        match reaction {
            Reaction::Retry => {
                question.attempts += 1;
                self.is_proxy_realm = is_proxy;
                if self.realm.is_none() {
                    self.realm = self.digest.realm().map(str::to_owned);
                }
                Reply::Again(self.request())
            }
            // A registrar that calls every nonce stale takes no password, whatever it says.
            Reaction::WrongCredentials | Reaction::Stale => self.done(Answer::WrongCredentials),
            Reaction::Unsupported => self.done(Answer::UnknownChallenge),
        }
    }

    /// The next request of the question, with credentials once a challenge is known.
    fn request(&mut self) -> Vec<u8> {
        let Some(question) = &mut self.question else {
            return Vec::new();
        };
        self.sequence += 1;
        question.sequence = self.sequence;
        question.branch = format!("z9hG4bK{}", self.random.token(24));
        let (ask, way) = (question.ask, question.way);
        let via = Via::new(
            way.protocol.via_token(),
            &host_text(way.local.ip()),
            Some(way.local.port()),
            &question.branch,
        );
        let method = match ask {
            Ask::Options => Method::Options,
            Ask::Bindings | Ask::Bind { .. } | Ask::Remove => Method::Register,
        };
        let mut request = Request::new(method.clone(), self.registrar.clone());
        let headers = &mut request.headers;
        headers.push(name::VIA, via);
        headers.push(name::MAX_FORWARDS, 70);
        if let Some(proxy) = &self.proxy {
            let mut proxy = proxy.clone();
            proxy.params.set("lr", None);
            headers.push(name::ROUTE, NameAddr::new(proxy));
        }
        let mut from = NameAddr::new(self.aor.clone());
        from.display.clone_from(&self.account.display_name);
        headers.push(name::FROM, from.with_tag(&self.tag));
        let to = match ask {
            Ask::Options => self.registrar.clone(),
            Ask::Bindings | Ask::Bind { .. } | Ask::Remove => self.aor.clone(),
        };
        headers.push(name::TO, NameAddr::new(to));
        let call_id = match ask {
            Ask::Options => format!("{}o", self.call_id),
            Ask::Bindings | Ask::Bind { .. } | Ask::Remove => self.call_id.clone(),
        };
        headers.push(name::CALL_ID, call_id);
        headers.push(
            name::CSEQ,
            CSeq {
                sequence: self.sequence,
                method,
            },
        );
        headers.push(name::USER_AGENT, &self.user_agent);
        if ask == Ask::Options {
            headers.push(name::ACCEPT, "application/sdp");
        }
        self.binding(&mut request, ask, way);
        self.authorize(&mut request);
        request.to_bytes()
    }

    fn binding(&self, request: &mut Request, ask: Ask, way: Way) {
        let expires_s = match ask {
            Ask::Options | Ask::Bindings => return,
            Ask::Bind { expires_s } => expires_s,
            Ask::Remove => 0,
        };
        let host = match &self.account.contact_host {
            Some(host) => host.clone(),
            None => host_text(way.local.ip()),
        };
        let mut uri = Uri::sip(Some(&self.token), &host, Some(way.local.port()));
        if way.protocol != Protocol::Udp {
            uri.params.set("transport", Some(way.protocol.uri_token()));
        }
        let mut contact = NameAddr::new(uri);
        contact.params.set("expires", Some(&expires_s.to_string()));
        request.headers.push(name::CONTACT, contact);
        request.headers.push(name::EXPIRES, expires_s);
    }

    fn authorize(&mut self, request: &mut Request) {
        if request.method != Method::Register || !self.digest.is_ready() {
            return;
        }
        let credentials = Credentials {
            username: self.account.username.clone(),
            password: self.account.password.clone(),
        };
        let cnonce = self.random.token(TOKEN_LEN);
        let uri = request.uri.to_string();
        let field = self
            .digest
            .authorization(&credentials, "REGISTER", &uri, b"", &cnonce);
        let Some(field) = field else {
            return;
        };
        let header = if self.is_proxy_realm {
            name::PROXY_AUTHORIZATION
        } else {
            name::AUTHORIZATION
        };
        request.headers.push(header, field);
        if let Some(question) = &mut self.question {
            question.said = true;
        }
    }
}

#[cfg(test)]
mod tests;
