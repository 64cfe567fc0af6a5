//! Who a request comes from: the peer of the connection, or whom a proxy names that the settings name.

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

use crate::session::Transport;

/// What a proxy says of whom it speaks for.
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// What it says of the scheme.
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The standard's one (RFC 7239): it is not read, but it says that somebody stands between.
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
/// Addresses of `X-Forwarded-For` that are looked at, from the last one.
const HOPS_MAX: usize = 16;

/// Puts the client's address and the transport in their places. Nothing that a request says counts unless the peer is a named
/// proxy: what it adds comes last.
pub(crate) fn settle(proxies: &[IpNet], extensions: &mut Extensions, headers: &HeaderMap) {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().copied();
    let is_named = |address: IpAddr| {
        let address = address.to_canonical();
        proxies.iter().any(|network| network.contains(&address))
    };
    let mut transport = extensions.get::<Transport>().copied().unwrap_or_default();
    let is_relayed = [FOR, PROTO, FORWARDED]
        .iter()
        .any(|name| headers.contains_key(name));
    match peer {
        Some(ConnectInfo(peer)) if is_named(peer.ip()) => {
            if let Some(scheme) = last(headers, &PROTO).next() {
                transport.tls = scheme.eq_ignore_ascii_case("https");
            }
            let client = last(headers, &FOR)
                .take(HOPS_MAX)
                .map_while(address)
                .find(|address| !is_named(*address));
            if let Some(client) = client {
                extensions.insert(ConnectInfo(SocketAddr::new(client, 0)));
            }
        }
        _ => transport.relayed |= is_relayed,
    }
    extensions.insert(transport);
}

/// The values of a header that may come several times, the last first.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    lines
        .into_iter()
        .rev()
        .flat_map(|line| line.rsplit(',').map(str::trim))
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|whole| whole.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(
        peer: &str,
        proxies: &[&str],
        pairs: &[(&'static str, &str)],
    ) -> (String, bool, bool) {
        let proxies: Vec<IpNet> = proxies.iter().map(|text| text.parse().unwrap()).collect();
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 9)));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        settle(&proxies, &mut extensions, &headers);
        let ConnectInfo(client) = extensions.get::<ConnectInfo<SocketAddr>>().unwrap();
        let transport = extensions.get::<Transport>().unwrap();
        (client.ip().to_string(), transport.tls, transport.relayed)
    }

    #[test]
    fn only_a_named_proxy_is_believed() {
        let said = [
            ("x-forwarded-for", "203.0.113.7, 198.51.100.2"),
            ("x-forwarded-proto", "https"),
        ];
        let named = ["127.0.0.1/32"];
        for (peer, proxies, pairs, expected) in [
            (
                "127.0.0.1",
                &named[..],
                &said[..],
                ("198.51.100.2", true, false),
            ),
            // An address that the client itself wrote stands before the one that the proxy added.
            (
                "127.0.0.1",
                &["127.0.0.1/32", "198.51.100.0/24"][..],
                &said[..],
                ("203.0.113.7", true, false),
            ),
            ("127.0.0.1", &[][..], &said[..], ("127.0.0.1", false, true)),
            (
                "192.0.2.1",
                &named[..],
                &said[..],
                ("192.0.2.1", false, true),
            ),
            (
                "::ffff:127.0.0.1",
                &named[..],
                &said[..],
                ("198.51.100.2", true, false),
            ),
            (
                "127.0.0.1",
                &named[..],
                &[][..],
                ("127.0.0.1", false, false),
            ),
            (
                "127.0.0.1",
                &named[..],
                &[("x-forwarded-proto", "https, http")][..],
                ("127.0.0.1", false, false),
            ),
            (
                "127.0.0.1",
                &named[..],
                &[("x-forwarded-for", "nonsense")][..],
                ("127.0.0.1", false, false),
            ),
            (
                "127.0.0.1",
                &named[..],
                &[("x-forwarded-for", "[2001:db8::1]:443")][..],
                ("2001:db8::1", false, false),
            ),
            (
                "127.0.0.1",
                &[][..],
                &[("forwarded", "for=x")][..],
                ("127.0.0.1", false, true),
            ),
        ] {
            let (client, tls, relayed) = settled(peer, proxies, pairs);
            assert_eq!(
                (client.as_str(), tls, relayed),
                expected,
                "{peer} {proxies:?} {pairs:?}"
            );
        }
    }
}
