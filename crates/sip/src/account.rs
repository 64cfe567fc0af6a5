//! An account: the identity that we register and place calls with.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::Protocol;
use crate::digest::{Credentials, DigestClient, Reaction};
use crate::endpoint::Endpoint;
use crate::id::AccountId;
use crate::message::{NameAddr, Request, Response, Uri, name};
use crate::registration::Registration;
use crate::transaction::{LocalContact, Outgoing};
use crate::transport::Flow;
use crate::transport::target::NextHop;

/// How the flow to the registrar is kept open (RFC 5626 section 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    Off,
    /// CRLF CRLF on streams and datagrams.
    Crlf {
        interval: Duration,
    },
    /// OPTIONS to the registrar.
    Options {
        interval: Duration,
    },
    /// STUN binding request on the SIP flow (RFC 5626 section 3.5.2).
    Stun {
        interval: Duration,
    },
}

/// Where the number that callees shall see is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallerIdForm {
    /// Nowhere: From is the account, and the operator shows the account's own number.
    #[default]
    Account,
    /// In From, in the place of the account's user.
    FromNumber,
    /// In P-Asserted-Identity (RFC 3325 section 9.1); From stays the account.
    Asserted,
    /// In P-Preferred-Identity (RFC 3325 section 9.2); From stays the account.
    Preferred,
    /// In Remote-Party-ID, which older exchanges read; From stays the account.
    RemoteParty,
}

/// What the shell knows of an account. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountConfig {
    /// `sip:user@domain`.
    pub aor: String,
    /// User name for digest authentication.
    pub username: String,
    pub password: String,
    pub display_name: Option<String>,
    /// `sip:` URI; default: the domain of the AoR.
    pub registrar: Option<String>,
    /// `sip:` URI that every request of the account goes through first.
    pub outbound_proxy: Option<String>,
    pub register: bool,
    /// Asked-for lifetime of the binding, in seconds.
    pub expires_s: u32,
    pub protocol: Protocol,
    pub contact_host: Option<String>,
    pub contact_port: Option<u16>,
    /// User part of Contact, 80 random bits or more; `None`: a fresh one. Whoever takes the place of a process that died gives the
    /// same one, so that its binding replaces the other's (RFC 3261 section 10.3) instead of standing beside it.
    pub contact_user: Option<String>,
    /// With [`KeepAlive::Options`] an account that does not register is asked whether it is there, too.
    pub keep_alive: KeepAlive,
    /// The only realm that the password is proven to; `None` takes that of the first challenge.
    pub realm: Option<String>,
    pub caller_id_form: CallerIdForm,
    /// The number that callees see, in the form that the operator wants.
    pub caller_id_number: Option<String>,
}

impl AccountConfig {
    /// An account with the usual defaults: UDP, registers for 300 s, CRLF each 25 s.
    #[must_use]
    pub fn new(aor: &str, username: &str, password: &str) -> Self {
        Self {
            aor: aor.to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
            display_name: None,
            registrar: None,
            outbound_proxy: None,
            register: true,
            expires_s: 300,
            protocol: Protocol::Udp,
            contact_host: None,
            contact_port: None,
            contact_user: None,
            keep_alive: KeepAlive::Crlf {
                interval: Duration::from_secs(25),
            },
            realm: None,
            caller_id_form: CallerIdForm::Account,
            caller_id_number: None,
        }
    }
}

impl fmt::Debug for AccountConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountConfig")
            .field("aor", &self.aor)
            .field("username", &self.username)
            .field("password", &"[redacted]")
            .field("registrar", &self.registrar)
            .field("outbound_proxy", &self.outbound_proxy)
            .field("register", &self.register)
            .field("expires_s", &self.expires_s)
            .field("protocol", &self.protocol)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

/// Length of the random user part of a Contact: 80 bits, so that it cannot be guessed.
const CONTACT_TOKEN_LEN: usize = 16;
/// Addresses of the trunk that an account remembers.
const ADDRESSES_MAX: usize = 16;

/// Distance of REGISTER starts over all accounts: 100 a second.
const START_INTERVAL: Duration = Duration::from_millis(10);

/// Bindings of ours that could not be removed and are remembered.
const ORPHANS_MAX: usize = 256;

/// One account at work.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) config: AccountConfig,
    pub(crate) aor: Uri,
    pub(crate) registrar: Uri,
    pub(crate) outbound_proxy: Option<Uri>,
    /// Random user part of our Contact: requests to it are this account's.
    pub(crate) token: String,
    pub(crate) registration: Registration,
    digest: DigestClient,
    /// The trunk's realm, learned from its first challenge; credentials go to no other.
    realm: Option<String>,
    /// The last challenge was a proxy's.
    is_proxy_realm: bool,
    /// Where the trunk answered from.
    addresses: Vec<IpAddr>,
    /// Out of use, kept until its binding is removed.
    pub(crate) is_retired: bool,
}

/// All accounts.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    table: BTreeMap<AccountId, Account>,
    by_token: BTreeMap<String, AccountId>,
    retired: u64,
    /// Accounts out of use whose binding is still at the registrar: the password did not open it.
    orphans: Vec<Account>,
    /// When the next REGISTER may start.
    next_start: Option<Instant>,
}

impl Account {
    /// `None` where a URI of the configuration is not a `sip:` URI.
    pub(crate) fn new(endpoint: &mut Endpoint, config: AccountConfig) -> Option<Self> {
        let sip = |text: &str| {
            text.parse::<Uri>()
                .ok()
                .filter(|uri| uri.is_sip() && !uri.host.is_empty())
        };
        let aor = sip(&config.aor)?;
        let mut domain = Uri::sip(None, &aor.host, aor.port);
        domain.scheme = aor.scheme.clone();
        let registrar = match &config.registrar {
            Some(text) => sip(text)?,
            None => domain,
        };
        let outbound_proxy = match &config.outbound_proxy {
            Some(text) => Some(sip(text)?),
            None => None,
        };
        let token = match &config.contact_user {
            Some(user) => user.clone(),
            None => endpoint.random.token(CONTACT_TOKEN_LEN),
        };
        let registration = Registration::new(endpoint, config.expires_s);
        let realm = config.realm.clone();
        Some(Self {
            config,
            aor,
            registrar,
            outbound_proxy,
            token,
            registration,
            digest: DigestClient::new(),
            realm,
            is_proxy_realm: false,
            addresses: Vec::new(),
            is_retired: false,
        })
    }

    /// Whether a REGISTER by this configuration refreshes the binding that is there.
    pub(crate) fn keeps_binding(&self, config: &AccountConfig) -> bool {
        self.has_same_contact(config) && self.registration.may_go_on()
    }

    /// Same identity, registrar and Contact.
    fn has_same_contact(&self, config: &AccountConfig) -> bool {
        let known = &self.config;
        known.register
            && config.register
            && known.aor == config.aor
            && known.registrar == config.registrar
            && known.outbound_proxy == config.outbound_proxy
            && known.protocol == config.protocol
            && known.contact_host == config.contact_host
            && known.contact_port == config.contact_port
            && known.contact_user == config.contact_user
    }

    /// Takes over the Contact and the registration of the account that it replaces.
    pub(crate) fn go_on_from(&mut self, before: Self) {
        self.token = before.token;
        self.addresses = before.addresses;
        self.registration.go_on_from(before.registration);
    }

    /// Our Contact: the operator's address, else the one that the registrar saw, else the flow's.
    pub(crate) fn contact(&self) -> LocalContact {
        let learned = self.registration.learned();
        let address = match (&self.config.contact_host, self.config.contact_port) {
            (Some(host), port) => Some((
                host.clone(),
                port.unwrap_or_else(|| self.config.protocol.default_port()),
            )),
            (None, _) => {
                learned.map(|(host, port)| (host, self.config.contact_port.unwrap_or(port)))
            }
        };
        LocalContact {
            user: self.token.clone(),
            secure: self.aor.is_secure(),
            address,
            params: String::new(),
        }
    }

    /// From of the account's requests.
    pub(crate) fn from(&self) -> NameAddr {
        let mut address = NameAddr::new(self.aor.clone());
        address.display.clone_from(&self.config.display_name);
        address
    }

    /// From of the account's calls, and the header that carries the number that callees shall see: `shown`, else the account's own.
    pub(crate) fn identity(&self, shown: Option<&str>) -> (NameAddr, Option<(String, String)>) {
        let mut from = self.from();
        let is_number = |text: &&str| {
            let digits = text.strip_prefix('+').unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        let own = self.config.caller_id_number.as_deref();
        let Some(number) = shown.filter(is_number).or(own) else {
            return (from, None);
        };
        let mut shown = Uri::sip(Some(number), &self.aor.host, None);
        shown.scheme.clone_from(&self.aor.scheme);
        let header = match self.config.caller_id_form {
            CallerIdForm::Account => return (from, None),
            CallerIdForm::FromNumber => {
                from.uri = shown;
                return (from, None);
            }
            CallerIdForm::Asserted => ("P-Asserted-Identity", ""),
            CallerIdForm::Preferred => ("P-Preferred-Identity", ""),
            CallerIdForm::RemoteParty => {
                ("Remote-Party-ID", ";party=calling;screen=yes;privacy=off")
            }
        };
        let value = format!("{}{}", NameAddr::new(shown), header.1);
        (from, Some((header.0.to_owned(), value)))
    }

    /// Next hop and Route rows towards the registrar.
    pub(crate) fn registrar_route(&self) -> (NextHop, Vec<String>) {
        let proxy = self.proxy_route();
        let first = proxy.as_ref().unwrap_or(&self.registrar).clone();
        let rows = proxy
            .into_iter()
            .map(|uri| NameAddr::new(uri).to_string())
            .collect();
        (
            NextHop {
                protocol: Some(self.config.protocol),
                ..NextHop::to(first)
            },
            rows,
        )
    }

    fn proxy_route(&self) -> Option<Uri> {
        let mut proxy = self.outbound_proxy.clone()?;
        proxy.params.set("lr", None);
        Some(proxy)
    }

    /// Next hop and Route rows of a call: outbound proxy, then the registrar's Service-Route (RFC 3608).
    pub(crate) fn route(&self, target: &Uri) -> (NextHop, Vec<String>) {
        let mut routes: Vec<Uri> = self.proxy_route().into_iter().collect();
        for route in self.registration.service_routes() {
            if !routes.iter().any(|known| known.is_equivalent(&route.uri)) {
                routes.push(route.uri.clone());
            }
        }
        let first = routes.first().unwrap_or(target).clone();
        let rows = routes
            .into_iter()
            .map(|uri| NameAddr::new(uri).to_string())
            .collect();
        (
            NextHop {
                protocol: Some(self.config.protocol),
                ..NextHop::to(first)
            },
            rows,
        )
    }

    /// Remembers an address that the trunk answered from.
    pub(crate) fn note_address(&mut self, address: IpAddr) {
        if !self.addresses.contains(&address) {
            if self.addresses.len() >= ADDRESSES_MAX {
                self.addresses.remove(0);
            }
            self.addresses.push(address);
        }
    }

    pub(crate) fn is_peer(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// The trunk itself: its names, what the operator gave, or an address that it answered from.
    fn is_trunk(&self, outgoing: &Outgoing) -> bool {
        let hop = &outgoing.next_hop;
        let names = [
            Some(&self.aor),
            Some(&self.registrar),
            self.outbound_proxy.as_ref(),
        ];
        hop.destination.is_some()
            || names
                .into_iter()
                .flatten()
                .any(|uri| uri.host.eq_ignore_ascii_case(&hop.uri.host))
            || hop
                .uri
                .host_address()
                .is_some_and(|address| self.is_peer(address))
            || outgoing
                .reached
                .is_some_and(|address| self.is_peer(address))
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            username: self.config.username.clone(),
            password: self.config.password.clone(),
        }
    }

    fn add_credentials(&mut self, request: &mut Request, cnonce: &str) -> bool {
        let header = if self.is_proxy_realm {
            name::PROXY_AUTHORIZATION
        } else {
            name::AUTHORIZATION
        };
        let uri = request.uri.to_string();
        let credentials = self.credentials();
        let method = request.method.as_str().to_owned();
        let Some(field) =
            self.digest
                .authorization(&credentials, &method, &uri, &request.body, cnonce)
        else {
            return false;
        };
        request.headers.remove(name::AUTHORIZATION);
        request.headers.remove(name::PROXY_AUTHORIZATION);
        request.headers.push(header, field);
        true
    }

    /// Uses the nonce of an earlier challenge, where the request goes to the trunk.
    pub(crate) fn preauthorize(&mut self, endpoint: &mut Endpoint, outgoing: &mut Outgoing) {
        if self.digest.is_ready() && self.is_trunk(outgoing) {
            let cnonce = endpoint.token();
            self.add_credentials(&mut outgoing.request, &cnonce);
        }
    }

    /// Answers a challenge; credentials never leave the trunk's addresses and realm (CVE-2021-41158).
    pub(crate) fn authorize(
        &mut self,
        endpoint: &mut Endpoint,
        outgoing: &mut Outgoing,
        response: &Response,
    ) -> Reaction {
        let is_proxy = response.status == 407;
        let header = if is_proxy {
            name::PROXY_AUTHENTICATE
        } else {
            name::WWW_AUTHENTICATE
        };
        let mut challenges = response.headers.auth_fields(header);
        if let Some(realm) = &self.realm {
            challenges.retain(|challenge| challenge.value("realm") == Some(realm));
        }
        if !self.is_trunk(outgoing) || challenges.is_empty() {
            return Reaction::Unsupported;
        }
        if let Some(address) = outgoing.reached {
            self.note_address(address);
        }
        let reaction = self.digest.handle_challenge(&challenges, outgoing.attempts);
        if reaction != Reaction::Retry {
            return reaction;
        }
        self.realm = self.digest.realm().map(str::to_owned);
        self.is_proxy_realm = is_proxy;
        outgoing.attempts = outgoing.attempts.saturating_add(1);
        let cnonce = endpoint.token();
        if self.add_credentials(&mut outgoing.request, &cnonce) {
            reaction
        } else {
            Reaction::Unsupported
        }
    }

    /// A success may carry the next nonce (RFC 7616 section 3.5).
    pub(crate) fn note_success(&mut self, response: &Response) {
        if let Some(info) = response.headers.get(name::AUTHENTICATION_INFO) {
            self.digest.note_authentication_info(info);
        }
    }
}

impl Accounts {
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn find(&self, id: AccountId) -> Option<&Account> {
        self.table.get(&id)
    }

    pub(crate) fn find_mut(&mut self, id: AccountId) -> Option<&mut Account> {
        self.table.get_mut(&id)
    }

    pub(crate) fn ids(&self) -> Vec<AccountId> {
        self.table.keys().copied().collect()
    }

    pub(crate) fn insert(&mut self, id: AccountId, account: Account) {
        self.remove(id);
        self.by_token.insert(account.token.clone(), id);
        self.table.insert(id, account);
    }

    pub(crate) fn remove(&mut self, id: AccountId) -> Option<Account> {
        let account = self.table.remove(&id)?;
        self.by_token.remove(&account.token);
        Some(account)
    }

    /// Remembers what cannot be removed, so that an account of the same identity goes on with it: a registrar that allows one
    /// binding would refuse another Contact until this one expires.
    pub(crate) fn remember(&mut self, now: Instant, account: Account) {
        self.orphans
            .retain(|orphan| orphan.registration.is_bound(now));
        if account.registration.is_bound(now) {
            if self.orphans.len() >= ORPHANS_MAX {
                self.orphans.remove(0);
            }
            self.orphans.push(account);
        }
    }

    /// Takes the remembered account whose binding this configuration refreshes.
    pub(crate) fn take_orphan(&mut self, now: Instant, config: &AccountConfig) -> Option<Account> {
        let is_it =
            |orphan: &Account| orphan.registration.is_bound(now) && orphan.has_same_contact(config);
        let place = self.orphans.iter().position(is_it)?;
        Some(self.orphans.remove(place))
    }

    /// Moves an account under a hidden id, where no request finds it.
    pub(crate) fn retire(&mut self, id: AccountId) -> Option<(AccountId, &mut Account)> {
        let mut account = self.remove(id)?;
        self.retired += 1;
        let hidden = AccountId(u64::MAX - self.retired);
        account.is_retired = true;
        Some((hidden, self.table.entry(hidden).or_insert(account)))
    }

    /// A slot of the overall start rate.
    pub(crate) fn take_slot(&mut self, now: Instant) -> Instant {
        let slot = self.next_start.map_or(now, |next| next.max(now));
        self.next_start = Some(slot + START_INTERVAL);
        slot
    }

    /// The account that an INVITE is for: by the random token of our Contact; else by the very flow that the account
    /// registered over, where a trunk puts the called number into the request URI. Our own address never identifies
    /// anyone, nor does a peer's IP address alone.
    pub(crate) fn match_incoming(&self, request: &Request, flow: Flow) -> Option<AccountId> {
        if let Some(user) = &request.uri.user
            && let Some(id) = self.by_token.get(user)
        {
            return Some(*id);
        }
        let over_flow: Vec<_> = self
            .table
            .iter()
            .filter(|(_, account)| !account.is_retired && account.registration.flow == Some(flow))
            .collect();
        if let [(id, _)] = over_flow.as_slice() {
            return Some(**id);
        }
        let named = request.uri.user_decoded();
        let called = request.headers.to().map(|to| to.uri.user_decoded());
        let mut matching = over_flow.into_iter().filter(|(_, account)| {
            let user = account.aor.user_decoded();
            !user.is_empty() && (user == named || Some(user) == called)
        });
        match (matching.next(), matching.next()) {
            (Some((id, _)), None) => Some(*id),
            (Some(_), Some(_)) | (None, _) => None,
        }
    }

    pub(crate) fn contact(&self, id: AccountId) -> Option<LocalContact> {
        Some(self.find(id)?.contact())
    }

    pub(crate) fn preauthorize(
        &mut self,
        endpoint: &mut Endpoint,
        id: AccountId,
        outgoing: &mut Outgoing,
    ) {
        if let Some(account) = self.find_mut(id) {
            account.preauthorize(endpoint, outgoing);
        }
    }

    /// `true` where the request may be sent again with the credentials now in it.
    pub(crate) fn authorize(
        &mut self,
        endpoint: &mut Endpoint,
        id: AccountId,
        outgoing: &mut Outgoing,
        response: &Response,
    ) -> bool {
        self.find_mut(id).is_some_and(|account| {
            account.authorize(endpoint, outgoing, response) == Reaction::Retry
        })
    }
}
