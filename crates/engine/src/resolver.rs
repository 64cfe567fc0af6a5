//! Where to send a SIP request (RFC 3263): NAPTR, then SRV, then addresses, each query bounded, all of them together too.
//!
//! Addresses and `localhost` are answered at once. The last good answer of a name is kept for an hour and used while its
//! servers do not answer, so that a failing name server does not take the lines down with it.

mod look_up;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use catalog::Message;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use sip::{Protocol, Target};
use tokio::sync::Semaphore;

use crate::limits::{RESOLUTIONS_MAX, RESOLVE_WITHIN, RESOLVED_KEPT, RESOLVED_NAMES_MAX};
use crate::log::say;
use crate::random::Choice;
pub(crate) use look_up::{LookUp, NoTarget};

/// What is asked: a host of a SIP URI with what the URI fixes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) secure: bool,
}

impl Question {
    /// The protocol where nothing else decides it (RFC 3263 section 4.1).
    fn default_protocol(&self) -> Protocol {
        self.protocol.unwrap_or(if self.secure {
            Protocol::Tls
        } else {
            Protocol::Udp
        })
    }
}

type Kept = HashMap<Question, (Instant, Vec<Target>)>;

/// The resolver; clones share its cache.
#[derive(Clone)]
pub(crate) struct Resolver {
    dns: Option<Arc<TokioResolver>>,
    kept: Arc<Mutex<Kept>>,
    permits: Arc<Semaphore>,
}

impl Resolver {
    /// A resolver that asks `name_servers`, or those of the system when there are none.
    pub(crate) fn new(name_servers: &[SocketAddr]) -> Self {
        let builder = if name_servers.is_empty() {
            TokioResolver::builder_tokio().ok()
        } else {
            let servers = name_servers.iter().map(|address| {
                let connections =
                    [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                        connection.port = address.port();
                        connection
                    });
                NameServerConfig::new(address.ip(), true, connections.to_vec())
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            Some(TokioResolver::builder_with_config(
                config,
                TokioRuntimeProvider::default(),
            ))
        };
        let dns = builder.and_then(|mut builder| {
            builder.options_mut().timeout = RESOLVE_WITHIN / 3;
            builder.options_mut().attempts = 2;
            builder.build().ok().map(Arc::new)
        });
        if dns.is_none() {
            say(&Message::new("log_no_name_servers"));
        }
        Self {
            dns,
            kept: Arc::default(),
            permits: Arc::new(Semaphore::new(RESOLUTIONS_MAX)),
        }
    }

    /// Targets in order of preference; empty when nothing is known.
    pub(crate) async fn resolve(&self, question: Question, seed: u64) -> Vec<Target> {
        if let Some(targets) = direct(&question) {
            return targets;
        }
        let Some(dns) = self.dns.as_deref() else {
            return Vec::new();
        };
        let Ok(_permit) = self.permits.try_acquire() else {
            return self.last_good(&question);
        };
        let asked =
            tokio::time::timeout(RESOLVE_WITHIN, ask(dns, &question, Choice::new(seed))).await;
        match asked {
            Ok(targets) if !targets.is_empty() => {
                self.keep(question, &targets);
                targets
            }
            Ok(_) | Err(_) => self.last_good(&question),
        }
    }

    fn keep(&self, question: Question, targets: &[Target]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= RESOLVED_NAMES_MAX && !kept.contains_key(&question) {
            let now = Instant::now();
            kept.retain(|_, (at, _)| now.duration_since(*at) < RESOLVED_KEPT);
            if kept.len() >= RESOLVED_NAMES_MAX {
                kept.clear();
            }
        }
        kept.insert(question, (Instant::now(), targets.to_vec()));
    }

    fn last_good(&self, question: &Question) -> Vec<Target> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(question) {
            Some((at, targets)) if at.elapsed() < RESOLVED_KEPT => targets.clone(),
            Some(_) | None => Vec::new(),
        }
    }
}

/// The answer that needs no question: an address, or `localhost`.
fn direct(question: &Question) -> Option<Vec<Target>> {
    if !question.host.eq_ignore_ascii_case("localhost") {
        return numeric(question);
    }
    let both = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    Some(at_once(question, &both))
}

/// The answer where the host is an address.
pub(crate) fn numeric(question: &Question) -> Option<Vec<Target>> {
    let host = question.host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>().ok()?;
    Some(at_once(question, &[address]))
}

fn at_once(question: &Question, addresses: &[IpAddr]) -> Vec<Target> {
    targets(
        question,
        question.default_protocol(),
        question.port,
        addresses,
    )
}

fn targets(
    question: &Question,
    protocol: Protocol,
    port: Option<u16>,
    addresses: &[IpAddr],
) -> Vec<Target> {
    let port = port.unwrap_or_else(|| protocol.default_port());
    let server_name = (protocol == Protocol::Tls).then(|| question.host.clone());
    addresses
        .iter()
        .map(|address| Target {
            protocol,
            address: SocketAddr::new(*address, port),
            server_name: server_name.clone(),
        })
        .collect()
}

async fn ask(dns: &TokioResolver, question: &Question, mut choice: Choice) -> Vec<Target> {
    let protocol = question.default_protocol();
    if question.port.is_some() {
        return targets(
            question,
            protocol,
            question.port,
            &addresses(dns, &question.host).await,
        );
    }
    let mut services = match question.protocol {
        Some(protocol) => vec![(protocol, service_name(question, protocol))],
        None => naptr(dns, question).await,
    };
    if services.is_empty() {
        let candidates: &[Protocol] = if question.secure {
            &[Protocol::Tls]
        } else {
            &[Protocol::Udp, Protocol::Tcp]
        };
        services = candidates
            .iter()
            .map(|protocol| (*protocol, service_name(question, *protocol)))
            .collect();
    }
    let mut found = Vec::new();
    for (protocol, name) in services {
        for server in servers(dns, &name, &mut choice).await {
            found.extend(targets(
                question,
                protocol,
                Some(server.port),
                &addresses(dns, &server.host).await,
            ));
        }
    }
    if found.is_empty() {
        found = targets(
            question,
            protocol,
            None,
            &addresses(dns, &question.host).await,
        );
    }
    found
}

/// Name of the SRV record (RFC 3263 section 4.1).
fn service_name(question: &Question, protocol: Protocol) -> String {
    let service = match protocol {
        Protocol::Udp => "_sip._udp",
        Protocol::Tcp => "_sip._tcp",
        Protocol::Tls => "_sips._tcp",
        // Nobody is called by a WebSocket who has not come by it: this is not asked.
        Protocol::Ws => "_sip._ws",
        Protocol::Wss => "_sips._ws",
    };
    format!("{service}.{}", question.host)
}

/// Absolute form of a name; a single label is left to the search list of the system.
fn absolute(name: &str) -> String {
    if name.ends_with('.') || !name.contains('.') {
        name.to_owned()
    } else {
        format!("{name}.")
    }
}

async fn addresses(dns: &TokioResolver, host: &str) -> Vec<IpAddr> {
    dns.lookup_ip(absolute(host))
        .await
        .map(|found| found.iter().collect())
        .unwrap_or_default()
}

async fn naptr(dns: &TokioResolver, question: &Question) -> Vec<(Protocol, String)> {
    let Ok(found) = dns
        .lookup(absolute(&question.host), RecordType::NAPTR)
        .await
    else {
        return Vec::new();
    };
    let mut records: Vec<(u16, u16, Protocol, String)> = Vec::new();
    for record in found.answers() {
        if let RData::NAPTR(naptr) = &record.data {
            let protocol = match naptr.services.to_ascii_uppercase().as_slice() {
                b"SIP+D2U" if !question.secure => Protocol::Udp,
                b"SIP+D2T" if !question.secure => Protocol::Tcp,
                b"SIPS+D2T" => Protocol::Tls,
                _ => continue,
            };
            records.push((
                naptr.order,
                naptr.preference,
                protocol,
                naptr.replacement.to_string(),
            ));
        }
    }
    records.sort_by_key(|record| (record.0, record.1));
    records
        .into_iter()
        .map(|(_, _, protocol, name)| (protocol, name))
        .collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    priority: u16,
    weight: u16,
    port: u16,
    host: String,
}

async fn servers(dns: &TokioResolver, name: &str, choice: &mut Choice) -> Vec<Server> {
    let Ok(found) = dns.lookup(absolute(name), RecordType::SRV).await else {
        return Vec::new();
    };
    let mut records = Vec::new();
    for record in found.answers() {
        if let RData::SRV(srv) = &record.data {
            let host = srv.target.to_string();
            // RFC 2782: a lone dot means that the service does not exist.
            if host != "." {
                records.push(Server {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    host,
                });
            }
        }
    }
    order(records, choice)
}

/// RFC 2782: by priority, and by weighted chance within one.
fn order(mut records: Vec<Server>, choice: &mut Choice) -> Vec<Server> {
    records.sort_by_key(|record| record.priority);
    let mut out = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let group = records
            .iter()
            .take_while(|record| record.priority == priority)
            .count();
        // A weight of 0 keeps a small chance.
        let total: u64 = records
            .iter()
            .take(group)
            .map(|record| u64::from(record.weight) * 100 + 1)
            .sum();
        let mut mark = choice.below(total);
        let mut picked = 0;
        for (index, record) in records.iter().take(group).enumerate() {
            let share = u64::from(record.weight) * 100 + 1;
            picked = index;
            if mark < share {
                break;
            }
            mark -= share;
        }
        out.push(records.remove(picked));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(host: &str) -> Question {
        Question {
            host: host.to_owned(),
            port: None,
            protocol: None,
            secure: false,
        }
    }

    #[tokio::test]
    async fn addresses_and_localhost_need_no_name_server() {
        let resolver = Resolver {
            dns: None,
            kept: Arc::default(),
            permits: Arc::new(Semaphore::new(1)),
        };
        let found = resolver.resolve(question("192.0.2.7"), 1).await;
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].address,
            "192.0.2.7:5060".parse::<SocketAddr>().unwrap()
        );
        let secure = Question {
            secure: true,
            port: Some(7000),
            ..question("[2001:db8::1]")
        };
        let found = resolver.resolve(secure, 1).await;
        assert_eq!(found[0].protocol, Protocol::Tls);
        assert_eq!(
            found[0].address,
            "[2001:db8::1]:7000".parse::<SocketAddr>().unwrap()
        );
        assert_eq!(resolver.resolve(question("LocalHost"), 1).await.len(), 2);
        assert!(
            resolver
                .resolve(question("example.test"), 1)
                .await
                .is_empty()
        );
    }

    #[test]
    fn servers_are_ordered_by_priority_then_by_weighted_chance() {
        let record = |priority, weight, port| Server {
            priority,
            weight,
            port,
            host: "a".to_owned(),
        };
        let mut first_of_group = [0; 2];
        for seed in 0..1_000 {
            let ordered = order(
                vec![record(20, 0, 3), record(10, 90, 1), record(10, 10, 2)],
                &mut Choice::new(seed),
            );
            assert_eq!(ordered[2].port, 3);
            first_of_group[usize::from(ordered[0].port) - 1] += 1;
        }
        assert!(
            (820..980).contains(&first_of_group[0]),
            "{first_of_group:?}"
        );
    }
}
