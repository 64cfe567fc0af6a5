//! Names to addresses, each answer judged by the guard before a connection is made to it.
//!
//! The HTTP client connects to what [`GuardedResolver`] returns and asks nobody else, so the addresses that were checked are the
//! addresses that are used. There are two of them: the open one, and one for the origins that the operator named.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::guard::{self, Allow, Refusal};
use crate::limits::RESOLVE_WITHIN;

/// Asks name servers; clones share the cache of answers, which lives as long as the answers say.
#[derive(Clone)]
pub(crate) struct Lookup {
    dns: Option<Arc<TokioResolver>>,
}

impl Lookup {
    /// Asks `name_servers`, or those of the system when there are none. Where the system names none either, its own resolver
    /// (`getaddrinfo`) is asked.
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
            builder.options_mut().timeout = RESOLVE_WITHIN / 2;
            builder.options_mut().attempts = 2;
            builder.build().ok().map(Arc::new)
        });
        Self { dns }
    }

    async fn addresses(&self, name: &str) -> Vec<IpAddr> {
        match &self.dns {
            Some(dns) => dns
                .lookup_ip(absolute(name))
                .await
                .map(|found| found.iter().collect())
                .unwrap_or_default(),
            None => tokio::net::lookup_host((name, 0))
                .await
                .map(|found| found.map(|address| address.ip()).collect())
                .unwrap_or_default(),
        }
    }
}

/// Absolute form of a name; a single label is left to the search list of the system.
fn absolute(name: &str) -> String {
    if name.ends_with('.') || !name.contains('.') {
        name.to_owned()
    } else {
        format!("{name}.")
    }
}

/// Resolves, judges, and returns what was judged.
pub(crate) struct GuardedResolver {
    pub(crate) lookup: Lookup,
    pub(crate) allow: Arc<Allow>,
    /// Only origins that the operator named are asked for here.
    pub(crate) trusted: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.lookup.clone();
        let allow = Arc::clone(&self.allow);
        let trusted = self.trusted;
        Box::pin(async move {
            let asked = lookup.addresses(name.as_str());
            let addresses = tokio::time::timeout(RESOLVE_WITHIN, asked)
                .await
                .unwrap_or_default();
            guard::check_addresses(&addresses, &allow, trusted)?;
            let checked: Addrs = Box::new(
                addresses
                    .into_iter()
                    .map(|address| SocketAddr::new(address, 0)),
            );
            Ok(checked)
        })
    }
}

/// The guard's reason inside an error of the HTTP client.
pub(crate) fn refusal_within(error: &reqwest::Error) -> Option<Refusal> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(refusal) = inner.downcast_ref::<Refusal>() {
            return Some(refusal.clone());
        }
        source = inner.source();
    }
    None
}
