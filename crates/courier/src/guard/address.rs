//! What kind of address it is: the special-purpose registries of IANA as a table, and the IPv6 forms that hide an IPv4 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range that is not the public Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range {
    /// 0.0.0.0/8, `::`.
    Unspecified,
    /// 127.0.0.0/8, `::1`.
    Loopback,
    /// RFC 1918, fc00::/7, fec0::/10.
    Private,
    /// 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// The address at which a cloud gives out credentials.
    Metadata,
    /// 100.64.0.0/10: inside an operator's network.
    Shared,
    /// Addresses of examples in documents.
    Documentation,
    /// 198.18.0.0/15: measurements.
    Benchmark,
    /// 224.0.0.0/4, ff00::/8, broadcast.
    Multicast,
    /// IPv6 addresses that carry a packet to an IPv4 address through a relay: 6to4, Teredo, local NAT64, IPv4-compatible.
    Tunnel,
    /// Everything else that is not global unicast.
    Reserved,
}

impl Range {
    /// A stable label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unspecified => "address_unspecified",
            Self::Loopback => "address_loopback",
            Self::Private => "address_private",
            Self::LinkLocal => "address_link_local",
            Self::Metadata => "address_metadata",
            Self::Shared => "address_shared",
            Self::Documentation => "address_documentation",
            Self::Benchmark => "address_benchmark",
            Self::Multicast => "address_multicast",
            Self::Tunnel => "address_tunnel",
            Self::Reserved => "address_reserved",
        }
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

/// Where clouds give out credentials, outside or inside the ranges below: AWS, Azure, Google and most others; AWS's container
/// role and time service; Azure's agent; Alibaba; Oracle.
const METADATA_V4: &[Ipv4Addr] = &[
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(169, 254, 169, 123),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// AWS: metadata, container role, time; Google.
const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// (first address, prefix length, range). The first match counts.
const V4: &[([u8; 4], u32, Range)] = &[
    ([0, 0, 0, 0], 8, Range::Unspecified),
    ([10, 0, 0, 0], 8, Range::Private),
    ([100, 64, 0, 0], 10, Range::Shared),
    ([127, 0, 0, 0], 8, Range::Loopback),
    ([169, 254, 0, 0], 16, Range::LinkLocal),
    ([172, 16, 0, 0], 12, Range::Private),
    ([192, 0, 0, 0], 24, Range::Reserved),
    ([192, 0, 2, 0], 24, Range::Documentation),
    ([192, 31, 196, 0], 24, Range::Reserved),
    ([192, 52, 193, 0], 24, Range::Reserved),
    ([192, 88, 99, 0], 24, Range::Tunnel),
    ([192, 168, 0, 0], 16, Range::Private),
    ([192, 175, 48, 0], 24, Range::Reserved),
    ([198, 18, 0, 0], 15, Range::Benchmark),
    ([198, 51, 100, 0], 24, Range::Documentation),
    ([203, 0, 113, 0], 24, Range::Documentation),
    ([224, 0, 0, 0], 4, Range::Multicast),
    ([255, 255, 255, 255], 32, Range::Multicast),
    ([240, 0, 0, 0], 4, Range::Reserved),
];

/// As [`V4`], inside and outside of 2000::/3, the only global unicast space.
const V6: &[([u16; 8], u32, Range)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, Range::Unspecified),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Range::Loopback),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, Range::Tunnel),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Range::Tunnel),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Range::Tunnel),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Range::Documentation),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Range::Reserved),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Range::Tunnel),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Range::Documentation),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Range::Private),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Range::LinkLocal),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Range::Private),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Range::Multicast),
];

/// The range that keeps an address from being a public one; `None`: it is public.
pub fn classify(address: IpAddr) -> Option<Range> {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

/// The address that a packet would reach: the IPv4 one inside an IPv4-mapped one.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn classify_v4(address: Ipv4Addr) -> Option<Range> {
    if METADATA_V4.contains(&address) {
        return Some(Range::Metadata);
    }
    let bits = u32::from(address);
    V4.iter()
        .find(|(first, length, _)| {
            let mask = u32::MAX << (32 - length);
            bits & mask == u32::from(Ipv4Addr::from(*first))
        })
        .map(|(_, _, range)| *range)
}

fn classify_v6(address: Ipv6Addr) -> Option<Range> {
    if METADATA_V6.contains(&address) {
        return Some(Range::Metadata);
    }
    if let Some(v4) = address.to_ipv4_mapped() {
        return classify_v4(v4);
    }
    // The well-known prefix of NAT64, which networks without IPv4 use for every host of the other Internet.
    let segments = address.segments();
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [.., a, b, c, d] = address.octets();
        return classify_v4(Ipv4Addr::new(a, b, c, d));
    }
    let bits = u128::from(address);
    let found = V6.iter().find(|(first, length, _)| {
        let mask = u128::MAX << (128 - length);
        bits & mask == u128::from(Ipv6Addr::from(*first))
    });
    match found {
        Some((_, _, range)) => Some(*range),
        None if segments[0] & 0xe000 == 0x2000 => None,
        None => Some(Range::Reserved),
    }
}
