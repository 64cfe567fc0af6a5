//! Where our audio is told to come to: the rule of [`crate::nat`] with the sockets of a call.
//!
//! A server that is asked is asked from the call's own sockets, for it is their ports that a router maps. That takes
//! [`DISCOVERED_WITHIN`] at most; what cannot be found is replaced by what is known, with one line in the log.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use catalog::Message;
use sip::Protocol;
use sip::sdp::offer_answer::LocalIce;
use sip::stun::{DISCOVERED_WITHIN, Discovery, NotDiscovered};
use tokio::net::UdpSocket;

use super::ice::{Addresses, local_ice};
use super::media::local_address;
use super::relay::{ALLOCATED_WITHIN, Relay, Relays};
use crate::config::{LineConfig, RtpConfig};
use crate::log::say;
use crate::nat::{Facts, ServerAddress, TurnServer, Way, choose};
use crate::random;
use crate::resolver::{Question, Resolver};
use crate::rtp_ports::RtpPair;
use crate::sip_socket::canonical;

/// A server that did not answer is not asked again for so long: its callers would all wait for nothing.
const SILENT_FOR: Duration = Duration::from_secs(30);
/// Servers that are remembered as silent; beyond it all are forgotten.
const SILENT_MAX: usize = 256;
/// How long the address of the RTCP socket is waited for after that of RTP is known.
const REPORTS_WITHIN: Duration = Duration::from_millis(100);
/// See [`ask_both`].
type Seen = (SocketAddr, Option<Option<SocketAddr>>, SocketAddr);
/// Room for an answer of STUN, bytes (RFC 8489 section 6.1: it fits a packet that no network cuts).
const ANSWER_BYTES_MAX: usize = 1_500;

/// Who is asked, and who did not answer lately.
pub(crate) struct Servers {
    resolver: Resolver,
    silent: Mutex<BTreeMap<String, Instant>>,
}

/// Where our audio is told to come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// `None`: the port above.
    pub(crate) rtcp_port: Option<u16>,
    /// What is said of ICE; `None`: there is none.
    pub(crate) ice: Option<LocalIce>,
}

impl Announced {
    const fn own(address: IpAddr, pair: &RtpPair) -> Self {
        Self {
            address,
            port: pair.port,
            rtcp_port: None,
            ice: None,
        }
    }
}

/// What a line knows before anybody is asked.
fn way(line: &LineConfig, rtp: &RtpConfig, peer: SocketAddr) -> Way {
    let nat = &line.nat;
    let route = local_address(None, rtp.bind, peer);
    let facts = Facts {
        route,
        peer: peer.ip(),
        public: rtp.advertised,
        has_stun: nat.stun_server.is_some() || rtp.stun_server.is_some(),
        has_turn: nat.turn.is_some(),
    };
    choose(nat.mode, facts)
}

impl Servers {
    pub(crate) fn new(resolver: Resolver) -> Arc<Self> {
        Arc::new(Self {
            resolver,
            silent: Mutex::default(),
        })
    }

    /// Whether somebody is asked before an address of this line is known.
    pub(crate) fn must_ask(line: &LineConfig, rtp: &RtpConfig, peer: SocketAddr) -> bool {
        matches!(way(line, rtp, peer), Way::Stun | Way::Turn | Way::Ice)
    }

    /// The address that is known without asking.
    pub(crate) fn known(
        line: &LineConfig,
        rtp: &RtpConfig,
        pair: &RtpPair,
        peer: SocketAddr,
    ) -> Announced {
        let address = match way(line, rtp, peer) {
            Way::Known(address) | Way::Missing(address, _) => address,
            Way::Stun | Way::Turn | Way::Ice => local_address(rtp.advertised, rtp.bind, peer),
        };
        Announced::own(address, pair)
    }

    /// The same with candidates of ICE, as far as they are known without asking.
    pub(crate) fn known_with_ice(
        line: &LineConfig,
        rtp: &RtpConfig,
        pair: &RtpPair,
        peer: SocketAddr,
    ) -> Announced {
        let known = Self::known(line, rtp, pair, peer);
        let own = local_address(None, rtp.bind, peer);
        Announced {
            ice: Some(candidates(own, &known, pair, (None, None))),
            ..known
        }
    }

    /// The address of a call's audio, and what its journal is told of it.
    pub(crate) async fn announce(
        &self,
        line: &LineConfig,
        rtp: &RtpConfig,
        pair: &mut RtpPair,
        peer: SocketAddr,
    ) -> (Announced, Option<Message>) {
        let known = Self::known(line, rtp, pair, peer);
        match way(line, rtp, peer) {
            Way::Known(_) => (known, None),
            Way::Missing(address, setting) => {
                let message = Message::new("log_nat_not_set")
                    .with("line", line.name.as_str())
                    .with("way", line.nat.mode.name())
                    .with("setting", setting)
                    .with("address", address.to_string());
                if self.is_news(setting, &line.name) {
                    say(&message);
                }
                (known, Some(message))
            }
            Way::Stun => self.by_stun(line, rtp, pair, (peer, known)).await,
            Way::Turn => self.by_turn(line, pair, (peer, known)).await,
            Way::Ice => self.by_ice(line, rtp, pair, (peer, known)).await,
        }
    }

    /// Every address that can be had: our own, what the STUN server sees (or the one of the settings), what the TURN server relays. The last of these that
    /// there is is announced to peers without ICE.
    async fn by_ice(
        &self,
        line: &LineConfig,
        rtp: &RtpConfig,
        pair: &mut RtpPair,
        (peer, known): (SocketAddr, Announced),
    ) -> (Announced, Option<Message>) {
        let own = local_address(None, rtp.bind, peer);
        let (seen, told) = match rtp.advertised {
            Some(_) => (known.clone(), None),
            None => self.by_stun(line, rtp, pair, (peer, known)).await,
        };
        let is_named = line.nat.turn.is_some();
        let (mut announced, news) = if is_named {
            self.by_turn(line, pair, (peer, seen.clone())).await
        } else {
            (seen.clone(), told)
        };
        let relays = pair.relays.as_mut();
        let (relayed, relayed_rtcp) = relays.map_or((None, None), |relays| {
            let rtcp = relays.rtcp.as_ref().and_then(Relay::address);
            (relays.rtp.address(), rtcp)
        });
        announced.ice = Some(candidates(own, &seen, pair, (relayed, relayed_rtcp)));
        (announced, news)
    }

    async fn by_stun(
        &self,
        line: &LineConfig,
        rtp: &RtpConfig,
        pair: &RtpPair,
        (peer, known): (SocketAddr, Announced),
    ) -> (Announced, Option<Message>) {
        let server = line.nat.stun_server.as_ref().or(rtp.stun_server.as_ref());
        let Some(server) = server else {
            return (known, None);
        };
        let name = server.to_string();
        let asked = async {
            if self.is_silent("stun", &name) {
                return Err(NotDiscovered::NoAnswer);
            }
            let address = self.found(server, peer).await;
            let address = address.ok_or(NotDiscovered::NoAnswer)?;
            ask_both(pair, address).await
        };
        // Name and question together.
        let bound = DISCOVERED_WITHIN + DISCOVERED_WITHIN / 10;
        let asked = tokio::time::timeout(bound, asked).await;
        match asked.unwrap_or(Err(NotDiscovered::NoAnswer)) {
            Ok((seen, rtcp, address)) => {
                let rtcp = match rtcp {
                    Some(rtcp) => rtcp,
                    // Its own question was lost: reports are worth no more than this.
                    None => tokio::time::timeout(REPORTS_WITHIN, ask(&pair.rtcp, address))
                        .await
                        .ok()
                        .and_then(Result::ok),
                };
                let announced = Announced {
                    address: seen.ip(),
                    port: seen.port(),
                    // Another address has no place in the description.
                    rtcp_port: rtcp
                        .filter(|rtcp| rtcp.ip() == seen.ip())
                        .map(|rtcp| rtcp.port()),
                    ice: None,
                };
                let message = Message::new("media_address_seen")
                    .with("server", name.as_str())
                    .with("address", seen.to_string());
                (announced, Some(message))
            }
            Err(why) => {
                let message = match why {
                    NotDiscovered::NoAnswer => Message::new("log_stun_silent"),
                    NotDiscovered::Refused(code) => {
                        Message::new("log_stun_refused").with("code", code)
                    }
                };
                let message = message
                    .with("server", name.as_str())
                    .with("line", line.name.as_str())
                    .with("address", known.address.to_string());
                let is_news = match why {
                    NotDiscovered::NoAnswer => self.is_news("stun", &name),
                    // Who answers is asked again.
                    NotDiscovered::Refused(_) => {
                        self.is_news("stun refused", &format!("{name} {}", line.name))
                    }
                };
                if is_news {
                    say(&message);
                }
                (known, Some(message))
            }
        }
    }

    async fn by_turn(
        &self,
        line: &LineConfig,
        pair: &mut RtpPair,
        (peer, known): (SocketAddr, Announced),
    ) -> (Announced, Option<Message>) {
        let Some(turn) = &line.nat.turn else {
            return (known, None);
        };
        let name = turn.address.to_string();
        let server = if self.is_silent("turn", &name) {
            None
        } else {
            self.found(&turn.address, peer).await
        };
        if let Some(server) = server {
            allocate(pair, server, turn).await;
        }
        if let Some((announced, relayed)) = relayed(pair) {
            let message = Message::new("media_address_relayed")
                .with("server", name)
                .with("address", relayed.to_string());
            return (announced, Some(message));
        }
        let was_heard = give_up(pair);
        let code = if was_heard {
            "log_turn_refused"
        } else {
            "log_turn_silent"
        };
        let message = Message::new(code)
            .with("server", name.as_str())
            .with("line", line.name.as_str())
            .with("address", known.address.to_string());
        // A server that refuses one line may serve the others.
        let is_news = if was_heard {
            self.is_news("turn refused", &format!("{name} {}", line.name))
        } else {
            self.is_news("turn", &name)
        };
        if is_news {
            say(&message);
        }
        (known, Some(message))
    }

    /// The address of a server, of the peer's family.
    async fn found(&self, server: &ServerAddress, peer: SocketAddr) -> Option<SocketAddr> {
        let question = Question {
            host: server.host.clone(),
            port: Some(server.port),
            protocol: Some(Protocol::Udp),
            secure: false,
        };
        let family = canonical(peer).is_ipv4();
        let found = self.resolver.resolve(question, random::seed());
        let targets = tokio::time::timeout(DISCOVERED_WITHIN, found).await.ok()?;
        targets
            .iter()
            .map(|target| canonical(target.address))
            .find(|address| address.is_ipv4() == family)
    }

    /// The address of a peer that is known by name, for the rule; `None` where it is not found in time.
    pub(crate) async fn peer(&self, host: &str, port: Option<u16>) -> Option<IpAddr> {
        let question = Question {
            host: host.to_owned(),
            port,
            protocol: Some(Protocol::Udp),
            secure: false,
        };
        let found = self.resolver.resolve(question, random::seed());
        let targets = tokio::time::timeout(DISCOVERED_WITHIN, found).await.ok()?;
        targets.first().map(|target| canonical(target.address).ip())
    }

    fn is_silent(&self, what: &str, name: &str) -> bool {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent
            .get(&key(what, name))
            .is_some_and(|until| *until > Instant::now())
    }

    /// Whether a failure was not told lately; from now on it was.
    pub(super) fn is_news(&self, what: &str, name: &str) -> bool {
        let now = Instant::now();
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(what, name);
        if silent.get(&key).is_some_and(|until| *until > now) {
            return false;
        }
        if silent.len() >= SILENT_MAX {
            silent.clear();
        }
        silent.insert(key, now + SILENT_FOR);
        true
    }
}

/// What is said of ICE: our own address, how others see it, and the relays of both ports.
fn candidates(
    own: IpAddr,
    seen: &Announced,
    pair: &RtpPair,
    (relayed, relayed_rtcp): (Option<SocketAddr>, Option<SocketAddr>),
) -> LocalIce {
    let addresses = |port: u16, seen_port: Option<u16>, relayed| Addresses {
        host: SocketAddr::new(own.to_canonical(), port),
        seen: seen_port.map(|port| SocketAddr::new(seen.address.to_canonical(), port)),
        relayed,
    };
    let above = pair.port.checked_add(1);
    let is_same = seen.port == pair.port;
    let seen_rtcp = seen.rtcp_port.or(above.filter(|_| is_same));
    let rtp = addresses(pair.port, Some(seen.port), relayed);
    let rtcp = above.map(|port| addresses(port, seen_rtcp, relayed_rtcp));
    local_ice(rtp, rtcp)
}

fn key(what: &str, name: &str) -> String {
    format!("{what} {name}")
}

/// The address as a socket can reach it: one that is bound to IPv6 reaches IPv4 by mapped addresses.
pub(crate) fn reachable(is_ipv6: bool, address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if is_ipv6 => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

/// How a STUN server sees a socket of this machine; `None` where it does not say.
pub(crate) async fn seen_by(
    server: &ServerAddress,
    bind: IpAddr,
    name_servers: &[SocketAddr],
) -> Option<SocketAddr> {
    let socket = UdpSocket::bind((bind, 0)).await.ok()?;
    let servers = Servers::new(Resolver::new(name_servers));
    let found = servers.found(server, socket.local_addr().ok()?).await?;
    ask(&socket, found).await.ok()
}

/// Asks a TURN server for an address for each socket.
async fn allocate(pair: &mut RtpPair, server: SocketAddr, turn: &TurnServer) {
    let now = Instant::now();
    let relay = |socket: &UdpSocket| {
        let local = socket.local_addr().map(canonical);
        local.map(|local| Relay::new(now, local, server, turn)).ok()
    };
    pair.relays = relay(&pair.rtp).map(|rtp| {
        let rtcp = relay(&pair.rtcp);
        Box::new(Relays { rtp, rtcp })
    });
    let decided = |relay: &Relay| relay.address().is_some() || relay.has_failed();
    let done = |relays: &Relays, _: bool| {
        let reports = relays.rtcp.as_ref().is_none_or(decided);
        relays.rtp.has_failed() || decided(&relays.rtp) && reports
    };
    pair.drive_relays(ALLOCATED_WITHIN, done).await;
}

/// Gives back what was allocated of a relay that is not used; whether its server said anything.
fn give_up(pair: &mut RtpPair) -> bool {
    let now = Instant::now();
    if let Some(relays) = &mut pair.relays {
        relays.each().for_each(|relay| relay.release(now));
    }
    pair.flush_relays(now);
    let relays = pair.relays.take();
    relays.is_some_and(|relays| relays.rtp.was_heard())
}

/// The relayed address of a pair, where there is one.
fn relayed(pair: &mut RtpPair) -> Option<(Announced, SocketAddr)> {
    let relays = pair.relays.as_mut()?;
    let relayed = relays.rtp.address()?;
    // Another address has no place in the description.
    let rtcp = relays.rtcp.as_ref().and_then(Relay::address);
    let rtcp = rtcp.filter(|rtcp| rtcp.ip() == relayed.ip());
    let announced = Announced {
        address: relayed.ip(),
        port: relayed.port(),
        rtcp_port: rtcp.map(|rtcp| rtcp.port()),
        ice: None,
    };
    Some((announced, relayed))
}

/// How a server sees the RTP socket of a pair, and its RTCP socket where that was answered by then, with its outcome; and the server.
async fn ask_both(pair: &RtpPair, server: SocketAddr) -> Result<Seen, NotDiscovered> {
    let (mut media, mut reports) = (pin!(ask(&pair.rtp, server)), pin!(ask(&pair.rtcp, server)));
    let mut rtcp = None;
    loop {
        tokio::select! {
            biased;
            found = &mut reports, if rtcp.is_none() => rtcp = Some(found.ok()),
            seen = &mut media => return Ok((seen?, rtcp, server)),
        }
    }
}

/// Asks a STUN server how it sees a socket. What else comes meanwhile is nobody's: the peer does not know the socket yet.
async fn ask(socket: &UdpSocket, server: SocketAddr) -> Result<SocketAddr, NotDiscovered> {
    let mut transaction = [0; 12];
    random::fill(&mut transaction);
    let mut discovery = Discovery::new(Instant::now(), server, transaction);
    let is_ipv6 = socket.local_addr().is_ok_and(|local| local.is_ipv6());
    let mut buffer = [0; ANSWER_BYTES_MAX];
    loop {
        let now = Instant::now();
        discovery.handle_timeout(now);
        while let Some(request) = discovery.poll_transmit(now) {
            // What the system does not take is lost, as on the network, and sent again.
            let _ = socket.send_to(&request, reachable(is_ipv6, server)).await;
        }
        let Some(due) = discovery.poll_timeout() else {
            return discovery.outcome().unwrap_or(Err(NotDiscovered::NoAnswer));
        };
        let received = tokio::time::timeout_at(due.into(), socket.recv_from(&mut buffer)).await;
        if let Ok(Ok((count, source))) = received
            && let Some(data) = buffer.get(..count)
        {
            discovery.handle(canonical(source), data);
        }
    }
}
