//! As much STUN as a keep-alive needs: a binding request, and the address in its answer (RFC 5389, RFC 5626 section 3.5.2).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Magic cookie of RFC 5389 section 6.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];

/// The transaction id of the last binding request.
pub type StunTransaction = [u8; 12];

/// A datagram that is STUN and not SIP.
#[must_use]
pub fn is_stun(data: &[u8]) -> bool {
    data.len() >= 20 && data[0] < 2 && data[4..8] == COOKIE
}

/// A binding request without attributes.
#[must_use]
pub fn binding_request(transaction: &StunTransaction) -> Vec<u8> {
    let mut data = Vec::with_capacity(20);
    data.extend_from_slice(&BINDING_REQUEST);
    data.extend_from_slice(&[0, 0]);
    data.extend_from_slice(&COOKIE);
    data.extend_from_slice(transaction);
    data
}

/// The IPv4 address in a success response to our request; others are ignored, and so is one that nobody can have.
#[must_use]
pub fn mapped_address(data: &[u8], transaction: &StunTransaction) -> Option<SocketAddr> {
    if !is_stun(data) || data[..2] != BINDING_SUCCESS || data[8..20] != *transaction {
        return None;
    }
    let len = usize::from(u16::from_be_bytes([data[2], data[3]]));
    let mut rest = data.get(20..20 + len)?;
    while let [t0, t1, l0, l1, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = tail.get(..len)?;
        if [*t0, *t1] == XOR_MAPPED_ADDRESS
            && let [_, 1, p0, p1, a, b, c, d] = value
        {
            let port = u16::from_be_bytes([p0 ^ COOKIE[0], p1 ^ COOKIE[1]]);
            let ip = Ipv4Addr::new(a ^ COOKIE[0], b ^ COOKIE[1], c ^ COOKIE[2], d ^ COOKIE[3]);
            let usable =
                port != 0 && !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast();
            return usable.then(|| SocketAddr::new(IpAddr::V4(ip), port));
        }
        rest = tail.get(len.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_read_only_from_our_own_transaction() {
        let transaction = [7; 12];
        let mut data = vec![1, 1, 0, 12];
        data.extend_from_slice(&COOKIE);
        data.extend_from_slice(&transaction);
        data.extend_from_slice(&[0, 0x20, 0, 8, 0, 1, 0x13 ^ 0x21, 0xc4 ^ 0x12]);
        data.extend_from_slice(&[203 ^ 0x21, 0x12, 113 ^ 0xa4, 9 ^ 0x42]);
        assert_eq!(
            mapped_address(&data, &transaction),
            Some("203.0.113.9:5060".parse().unwrap())
        );
        assert_eq!(mapped_address(&data, &[8; 12]), None);
        assert_eq!(mapped_address(&data[..30], &transaction), None);
        assert_eq!(
            mapped_address(&[&data[..], &[0; 4]].concat(), &transaction),
            mapped_address(&data, &transaction)
        );
        data[3] = 16;
        assert_eq!(
            mapped_address(&data, &transaction),
            None,
            "longer than it is"
        );
        assert!(is_stun(&binding_request(&transaction)));
        assert!(!is_stun(b"OPTIONS sip:a@b SIP/2.0\r\n"));
    }
}
