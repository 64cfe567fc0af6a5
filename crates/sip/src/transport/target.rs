//! Where a request goes (RFC 3263): numeric hosts at once, names through the shell's resolver.

use std::net::SocketAddr;

use crate::config::Protocol;
use crate::event::Target;
use crate::id::ListenerId;
use crate::message::Uri;
use crate::transport::Flow;

/// The next hop of a request, as the layer above sees it.
#[derive(Debug, Clone)]
pub(crate) struct NextHop {
    /// First Route, else the request URI, else the outbound proxy.
    pub(crate) uri: Uri,
    /// A flow to try before the URI: an open stream of the dialog, or a peer behind NAT.
    pub(crate) flow: Option<Flow>,
    /// Given by the operator: no lookup at all.
    pub(crate) destination: Option<Target>,
    /// Protocol where the URI does not fix one.
    pub(crate) protocol: Option<Protocol>,
    /// Listener that a datagram should leave by.
    pub(crate) listener: Option<ListenerId>,
}

impl NextHop {
    pub(crate) const fn to(uri: Uri) -> Self {
        Self {
            uri,
            flow: None,
            destination: None,
            protocol: None,
            listener: None,
        }
    }
}

/// What the shell's resolver is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) secure: bool,
}

impl Question {
    /// About an address: its answer is the target itself.
    pub(crate) fn about(target: &Target) -> Self {
        Self {
            host: target.address.ip().to_string(),
            port: Some(target.address.port()),
            protocol: Some(target.protocol),
            secure: false,
        }
    }
}

/// A target that needs no lookup, or the question to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Locate {
    At(Target),
    Ask(Question),
    /// A scheme or transport that we cannot send to.
    Nowhere,
}

/// RFC 3263 section 4.1 and 4.2 as far as no lookup is needed.
pub(crate) fn locate(uri: &Uri, default: Option<Protocol>) -> Locate {
    if !uri.is_sip() {
        return Locate::Nowhere;
    }
    let secure = uri.is_secure();
    let named = match uri.transport().map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("udp") => Some(Protocol::Udp),
        Some("tcp") if secure => Some(Protocol::Tls),
        Some("tcp") => Some(Protocol::Tcp),
        Some("tls") => Some(Protocol::Tls),
        Some(_) => return Locate::Nowhere,
    };
    let protocol = match (secure, named, default) {
        (true, _, _) => Some(Protocol::Tls),
        (false, Some(named), _) => Some(named),
        (false, None, default) => default,
    };
    if protocol.is_some_and(Protocol::is_websocket) {
        // Who came by a WebSocket is reached by that, and there is no other way (RFC 7118 section 5).
        return Locate::Nowhere;
    }
    match uri.host_address() {
        Some(ip) => {
            let protocol = protocol.unwrap_or(Protocol::Udp);
            let port = uri.port.unwrap_or_else(|| protocol.default_port());
            let server_name = (protocol == Protocol::Tls).then(|| ip.to_string());
            Locate::At(Target {
                protocol,
                address: SocketAddr::new(ip, port),
                server_name,
            })
        }
        None => Locate::Ask(Question {
            host: uri.host.clone(),
            port: uri.port,
            protocol,
            secure,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, default: Option<Protocol>, expected: &str) {
        let found = match locate(&uri.parse().unwrap(), default) {
            Locate::At(target) => {
                format!(
                    "{} {} {}",
                    target.protocol.uri_token(),
                    target.address,
                    target.server_name.unwrap_or_default()
                )
            }
            Locate::Ask(question) => format!(
                "{} {:?} {} {}",
                question.host,
                question.port,
                question.protocol.map_or("any", Protocol::uri_token),
                question.secure
            ),
            Locate::Nowhere => "nowhere".to_owned(),
        };
        assert_eq!(found.trim_end(), expected, "{uri}");
    }

    #[test]
    fn numeric_hosts_need_no_lookup() {
        check("sip:a@192.0.2.1", None, "udp 192.0.2.1:5060");
        check("sip:a@192.0.2.1:7;transport=TCP", None, "tcp 192.0.2.1:7");
        check(
            "sip:192.0.2.1",
            Some(Protocol::Tls),
            "tls 192.0.2.1:5061 192.0.2.1",
        );
        check(
            "sips:[2001:db8::1]",
            None,
            "tls [2001:db8::1]:5061 2001:db8::1",
        );
        check("sip:example.net", None, "example.net None any false");
        check(
            "sips:example.net:5071;transport=tcp",
            None,
            "example.net Some(5071) tls true",
        );
        check("sip:example.net;transport=sctp", None, "nowhere");
        check("sip:a@df7jal23ls0d.invalid;transport=ws", None, "nowhere");
        check("sip:a@df7jal23ls0d.invalid", Some(Protocol::Wss), "nowhere");
        check("sip:a@192.0.2.1", Some(Protocol::Ws), "nowhere");
        check("tel:+33140000000", None, "nowhere");
    }
}
