//! Which addresses may be reached: the guard against requests that are made to look inward (SSRF).
//!
//! Pure decisions, in two steps that both must agree. [`check_url`] looks at the URL: scheme, user information, port, host, and
//! the address where the host is one. [`check_addresses`] looks at what the name resolved to, and refuses the name when *one*
//! address is refused. The connection is then made to those very addresses (`resolve`), so that a name that answers differently
//! the second time gains nothing. Redirects come back here.
//!
//! The operator's [`Allow`] opens single origins and networks, and nothing beside them.

pub mod address;
mod allow;
mod port;

pub use allow::{Allow, BadAllow, Origin};

use std::net::IpAddr;

use url::{Host, Url};

use crate::limits::{ADDRESSES_MAX, URL_MAX};
use address::Range;

/// Why a request is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a URL, or a longer one than is requested.
    #[error("not a usable URL")]
    Malformed,
    /// Neither `http` nor `https`; or a redirect from `https` to `http`.
    #[error("only http and https are requested, and https does not lead to http")]
    Scheme,
    /// The URL carries a user name or a password.
    #[error("a URL with user information is not requested")]
    UserInformation,
    /// A port of another protocol.
    #[error("port {0} belongs to another protocol")]
    Port(u16),
    /// The agent's own list of hosts does not name it.
    #[error("the host is not in the agent's list")]
    Host,
    /// The address, or one of the addresses of the name, is not a public one.
    #[error("an address of the host is not public ({0})")]
    Address(Range),
    /// The name has no address, or far too many.
    #[error("the name has no usable address")]
    NoAddress,
}

impl Refusal {
    /// A stable label for logs, figures and records.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed_url",
            Self::Scheme => "scheme",
            Self::UserInformation => "user_information",
            Self::Port(_) => "port",
            Self::Host => "host_not_listed",
            Self::Address(range) => range.label(),
            Self::NoAddress => "no_address",
        }
    }
}

/// Where a permitted request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The URL as it is requested: host in its canonical spelling, no fragment.
    pub url: Url,
    /// The operator named this very origin: its name may resolve to any address but a metadata service's.
    pub trusted: bool,
}

/// Decides on a URL before anything is looked up. `hosts` are those that the agent names (empty: any); an entry `*.example.com`
/// stands for every host under it.
///
/// # Errors
/// The reason why nothing is requested.
pub fn check_url(text: &str, allow: &Allow, hosts: &[String]) -> Result<Target, Refusal> {
    if text.len() > URL_MAX {
        return Err(Refusal::Malformed);
    }
    let mut url = Url::parse(text).map_err(|_| Refusal::Malformed)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refusal::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::UserInformation);
    }
    url.set_fragment(None);
    let host = url.host().ok_or(Refusal::Malformed)?.to_owned();
    let port = url.port_or_known_default().ok_or(Refusal::Malformed)?;
    let trusted = allow.opens_origin(&url);
    if !trusted && !listed(&host, hosts) {
        return Err(Refusal::Host);
    }
    if !trusted && port::belongs_elsewhere(port) {
        return Err(Refusal::Port(port));
    }
    match &host {
        Host::Ipv4(v4) if !trusted => check_address(IpAddr::V4(*v4), allow)?,
        Host::Ipv6(v6) if !trusted => check_address(IpAddr::V6(*v6), allow)?,
        Host::Domain(name) if !trusted && is_local_name(name) && !allow.opens_loopback() => {
            return Err(Refusal::Address(Range::Loopback));
        }
        Host::Ipv4(_) | Host::Ipv6(_) | Host::Domain(_) => {}
    }
    Ok(Target { url, trusted })
}

/// Decides on every address that a name resolved to. `trusted` is [`Target::trusted`].
///
/// # Errors
/// The reason, when there is no address, too many of them, or a single one that is refused.
pub fn check_addresses(addresses: &[IpAddr], allow: &Allow, trusted: bool) -> Result<(), Refusal> {
    if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
        return Err(Refusal::NoAddress);
    }
    for &address in addresses {
        if trusted {
            // The operator vouches for the name, not for a name server that makes it the machine's own metadata service.
            if let Some(range @ (Range::Metadata | Range::Multicast)) = address::classify(address) {
                return Err(Refusal::Address(range));
            }
        } else {
            check_address(address, allow)?;
        }
    }
    Ok(())
}

/// Decides on a redirect from `from` to `to`, which is then checked like any URL.
///
/// # Errors
/// [`Refusal::Scheme`] when it leaves encryption.
pub fn check_redirect(from: &Url, to: &Url) -> Result<(), Refusal> {
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(Refusal::Scheme);
    }
    Ok(())
}

fn check_address(address: IpAddr, allow: &Allow) -> Result<(), Refusal> {
    match address::classify(address) {
        None => Ok(()),
        Some(range) if allow.opens_address(address, range) => Ok(()),
        Some(range) => Err(Refusal::Address(range)),
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

fn listed(host: &Host<String>, hosts: &[String]) -> bool {
    if hosts.is_empty() {
        return true;
    }
    let text = host.to_string();
    let text = text.strip_suffix('.').unwrap_or(&text);
    hosts.iter().any(|entry| {
        let entry = entry.trim().to_ascii_lowercase();
        match entry.strip_prefix("*.") {
            Some(parent) => text
                .strip_suffix(parent)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            None => text == entry,
        }
    })
}

#[cfg(test)]
mod tests;
