//! STUN: an answer of anything is read within its bounds; the address in an answer to our request is found among other attributes,
//! and in no answer to another request.

use crate::bytes::Bytes;
use sip::stun::{StunTransaction, binding_request, is_stun, mapped_address};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

pub fn target(data: &[u8]) {
    let mut transaction = StunTransaction::default();
    if let Some(found) = data.get(8..20) {
        transaction.copy_from_slice(found);
    }
    if let Some(address) = mapped_address(data, &transaction) {
        assert!(is_stun(data));
        assert!(address.port() != 0 && !address.ip().is_unspecified());
        let mut other = transaction;
        other[0] ^= 1;
        assert_eq!(mapped_address(data, &other), None);
    }
    found_among_others(&mut Bytes::new(data));
}

fn found_among_others(bytes: &mut Bytes<'_>) {
    let mut transaction = StunTransaction::default();
    for byte in &mut transaction {
        *byte = bytes.byte();
    }
    let request = binding_request(&transaction);
    assert!(is_stun(&request) && mapped_address(&request, &transaction).is_none());
    let ip = Ipv4Addr::from(bytes.u32());
    let port = bytes.u16();
    let mut attributes = Vec::new();
    for _ in 0..bytes.below(8) {
        let kind = bytes.u16();
        // The one that we look for comes once, at the end.
        if kind != 0x0020 {
            attribute(&mut attributes, kind, bytes.chunk());
        }
    }
    let masked = port ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
    let mut value = vec![0, 1];
    value.extend_from_slice(&masked.to_be_bytes());
    value.extend(
        ip.octets()
            .iter()
            .zip(COOKIE)
            .map(|(byte, mask)| byte ^ mask),
    );
    attribute(&mut attributes, 0x0020, &value);
    let Ok(len) = u16::try_from(attributes.len()) else {
        return;
    };
    let mut answer = vec![1, 1];
    answer.extend_from_slice(&len.to_be_bytes());
    answer.extend_from_slice(&COOKIE);
    answer.extend_from_slice(&transaction);
    answer.extend_from_slice(&attributes);
    let usable = port != 0 && !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast();
    let expected = usable.then(|| SocketAddr::new(IpAddr::V4(ip), port));
    assert_eq!(mapped_address(&answer, &transaction), expected);
    for cut in 0..answer.len() {
        assert_eq!(
            mapped_address(&answer[..cut], &transaction),
            None,
            "cut at {cut}"
        );
    }
}

fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    to.extend_from_slice(&kind.to_be_bytes());
    to.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_be_bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
}
