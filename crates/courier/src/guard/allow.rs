//! What the operator opens: origins and networks.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Url;

use super::address::{self, Range};

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of a URL; none where it has no host.
    pub fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: host.strip_suffix('.').unwrap_or(host).to_owned(),
            port: url.port_or_known_default()?,
        })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// An entry of the operator's list that is neither an origin nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{entry}` is neither an origin such as http://10.0.0.5:3000 nor a network such as 10.0.0.0/8"
)]
pub struct BadAllow {
    /// The entry as it stands.
    pub entry: String,
}

/// What the operator opens beside the public Internet. Empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    origins: Vec<Origin>,
    networks: Vec<IpNet>,
}

impl Allow {
    /// Reads a list. Each entry is an origin (`http://backoffice:3000`), an address or a network (`10.1.0.0/16`).
    ///
    /// # Errors
    /// The first entry that is neither.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, BadAllow> {
        let mut allow = Self::default();
        for entry in entries {
            allow.add(entry.as_ref())?;
        }
        Ok(allow)
    }

    /// Adds one entry.
    ///
    /// # Errors
    /// When it is neither an origin nor a network.
    pub fn add(&mut self, entry: &str) -> Result<(), BadAllow> {
        let entry = entry.trim();
        if let Ok(network) = entry.parse::<IpNet>() {
            self.networks.push(network.trunc());
        } else if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
            self.networks.push(IpNet::from(address::canonical(address)));
        } else {
            self.origins.push(origin(entry).ok_or_else(|| BadAllow {
                entry: entry.to_owned(),
            })?);
        }
        Ok(())
    }

    /// Adds the origin of a URL, whatever its path: the configured back office.
    ///
    /// # Errors
    /// When it is no `http` or `https` URL, or carries user information.
    pub fn add_origin_of(&mut self, url: &str) -> Result<(), BadAllow> {
        let bad = || BadAllow {
            entry: url.to_owned(),
        };
        let mut parsed = Url::parse(url.trim()).map_err(|_| bad())?;
        parsed.set_path("/");
        parsed.set_query(None);
        parsed.set_fragment(None);
        self.origins.push(origin(parsed.as_str()).ok_or_else(bad)?);
        Ok(())
    }

    /// Whether the operator named the origin of this URL.
    pub(super) fn opens_origin(&self, url: &Url) -> bool {
        Origin::of(url).is_some_and(|origin| self.origins.contains(&origin))
    }

    /// Whether one of the networks holds an address. A metadata service is opened by its own address only: a network that
    /// happens to contain it does not.
    pub(super) fn opens_address(&self, address: IpAddr, range: Range) -> bool {
        let address = address::canonical(address);
        self.networks.iter().any(|network| {
            network.contains(&address)
                && (range != Range::Metadata || network.prefix_len() == network.max_prefix_len())
        })
    }

    /// Whether any loopback address is opened, so that `localhost` is worth a look-up.
    pub(super) fn opens_loopback(&self) -> bool {
        self.networks.iter().any(|network| {
            address::classify(network.network()) == Some(Range::Loopback)
                || network.contains(&IpAddr::from([127, 0, 0, 1]))
        })
    }
}

fn origin(entry: &str) -> Option<Origin> {
    let url = Url::parse(entry).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.path() == "/";
    if plain { Origin::of(&url) } else { None }
}
