//! As much STUN as an address needs: a binding request, the address in its answer, and the question that is asked again until it is
//! answered (RFC 8489; as a keep-alive RFC 5626 section 3.5.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Magic cookie of RFC 8489 section 5.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const BINDING_ERROR: [u8; 2] = [0x01, 0x11];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];
const ERROR_CODE: [u8; 2] = [0x00, 0x09];

/// First wait for an answer before the request is sent again; each further one is twice as long (RFC 8489 section 6.2.1). It is
/// shorter than the 500 ms that are usual there: a telephone rings meanwhile, and the bound below would else allow one repetition.
pub const RETRY_AFTER: Duration = Duration::from_millis(100);
/// How long a question for an address is asked at most.
pub const DISCOVERED_WITHIN: Duration = Duration::from_millis(500);

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

/// The value of the first attribute of a kind, in a message that is whole.
fn attribute(data: &[u8], kind: [u8; 2]) -> Option<&[u8]> {
    let len = usize::from(u16::from_be_bytes([data[2], data[3]]));
    let mut rest = data.get(20..20 + len)?;
    while let [t0, t1, l0, l1, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = tail.get(..len)?;
        if [*t0, *t1] == kind {
            return Some(value);
        }
        rest = tail.get(len.next_multiple_of(4)..)?;
    }
    None
}

/// The address in a success response to our request; others are ignored, and so is one that nobody can have.
#[must_use]
pub fn mapped_address(data: &[u8], transaction: &StunTransaction) -> Option<SocketAddr> {
    if !is_stun(data) || data[..2] != BINDING_SUCCESS || data[8..20] != *transaction {
        return None;
    }
    let [_, family, p0, p1, masked @ ..] = attribute(data, XOR_MAPPED_ADDRESS)? else {
        return None;
    };
    let port = u16::from_be_bytes([p0 ^ COOKIE[0], p1 ^ COOKIE[1]]);
    let mut octets = [0; 16];
    let masks = COOKIE.iter().chain(transaction);
    for (octet, (byte, mask)) in octets.iter_mut().zip(masked.iter().zip(masks)) {
        *octet = byte ^ mask;
    }
    let ip = match (family, masked.len()) {
        (1, 4) => Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into(),
        (2, 16) => IpAddr::V6(Ipv6Addr::from(octets)),
        _ => return None,
    };
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    let usable = port != 0 && !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast;
    usable.then(|| SocketAddr::new(ip, port))
}

/// Why a server did not say our address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDiscovered {
    /// It did not answer in time.
    NoAnswer,
    /// It refused, with this code (RFC 8489 section 14.8); 0 where it gave none.
    Refused(u16),
}

/// One question to one server: how does it see our socket? Bytes and time in, bytes out; the caller owns the socket.
#[derive(Debug)]
pub struct Discovery {
    server: SocketAddr,
    transaction: StunTransaction,
    /// When the request is sent next.
    due: Instant,
    wait: Duration,
    until: Instant,
    outcome: Option<Result<SocketAddr, NotDiscovered>>,
}

impl Discovery {
    /// A question that is asked from `now` on. The transaction must be random: who cannot see it cannot answer.
    #[must_use]
    pub fn new(now: Instant, server: SocketAddr, transaction: StunTransaction) -> Self {
        Self {
            server,
            transaction,
            due: now,
            wait: RETRY_AFTER,
            until: now + DISCOVERED_WITHIN,
            outcome: None,
        }
    }

    /// What is to be sent to the server now.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.outcome.is_some() || now < self.due {
            return None;
        }
        self.due = now + self.wait;
        self.wait *= 2;
        Some(binding_request(&self.transaction))
    }

    /// When there is something to do by itself; `None` once it is over.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outcome.is_none().then(|| self.due.min(self.until))
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.outcome.is_none() && now >= self.until {
            self.outcome = Some(Err(NotDiscovered::NoAnswer));
        }
    }

    /// A datagram; `true` where it was the answer. Nobody but the server that was asked can answer.
    pub fn handle(&mut self, source: SocketAddr, data: &[u8]) -> bool {
        let is_ours = source == self.server && is_stun(data) && data[8..20] == self.transaction;
        if !is_ours || self.outcome.is_some() {
            return false;
        }
        if let Some(address) = mapped_address(data, &self.transaction) {
            self.outcome = Some(Ok(address));
            return true;
        }
        if data[..2] == BINDING_ERROR {
            let code = match attribute(data, ERROR_CODE) {
                Some([_, _, class, number, ..]) => u16::from(class & 7) * 100 + u16::from(*number),
                Some(_) | None => 0,
            };
            self.outcome = Some(Err(NotDiscovered::Refused(code)));
            return true;
        }
        false
    }

    /// What came of it; `None` while it is asked.
    #[must_use]
    pub const fn outcome(&self) -> Option<Result<SocketAddr, NotDiscovered>> {
        self.outcome
    }
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

    fn answer(kind: [u8; 2], transaction: &StunTransaction, attribute: &[u8]) -> Vec<u8> {
        let len = u16::try_from(attribute.len()).unwrap();
        let parts: [&[u8]; 5] = [&kind, &len.to_be_bytes(), &COOKIE, transaction, attribute];
        parts.concat()
    }

    /// RFC 5769 sections 2.2 and 2.3: the mapped addresses of its vectors.
    #[test]
    fn addresses_of_both_families_are_read() {
        let transaction = *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";
        let four = b"\0\x20\0\x08\0\x01\xa1\x47\xe1\x12\xa6\x43";
        let six = b"\0\x20\0\x14\0\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";
        for (attribute, expected) in [
            (&four[..], "192.0.2.1:32853"),
            (&six[..], "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
        ] {
            let data = answer(BINDING_SUCCESS, &transaction, attribute);
            let found = mapped_address(&data, &transaction);
            assert_eq!(found, Some(expected.parse().unwrap()));
        }
        let short = b"\0\x20\0\x08\0\x02\xa1\x47\x01\x13\xa9\xfa";
        let data = answer(BINDING_SUCCESS, &transaction, short);
        assert_eq!(mapped_address(&data, &transaction), None, "IPv6 of 4 bytes");
    }

    const SERVER: &str = "192.0.2.3:3478";
    const MAPPED: &[u8] = &[0, 0x20, 0, 8, 0, 1, 0x33, 0xd6, 0xea, 0x12, 0xd5, 0x4b];

    #[allow(
        clippy::disallowed_methods,
        reason = "an instant can be had from the clock only; the test adds to it"
    )]
    fn some_instant() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_question_is_repeated_with_doubled_waits_until_its_bound() {
        let begin = some_instant();
        let server: SocketAddr = SERVER.parse().unwrap();
        let mut asked = Discovery::new(begin, server, [7; 12]);
        let mut sent = Vec::new();
        let mut now = begin;
        while let Some(at) = asked.poll_timeout() {
            now = at;
            asked.handle_timeout(now);
            while let Some(data) = asked.poll_transmit(now) {
                assert_eq!(data, binding_request(&[7; 12]));
                sent.push((now - begin).as_millis());
            }
        }
        assert_eq!(sent, [0, 100, 300]);
        assert_eq!(now - begin, DISCOVERED_WITHIN);
        assert_eq!(asked.outcome(), Some(Err(NotDiscovered::NoAnswer)));
        let late = answer(BINDING_SUCCESS, &[7; 12], MAPPED);
        assert!(!asked.handle(server, &late), "too late");
        assert_eq!(asked.outcome(), Some(Err(NotDiscovered::NoAnswer)));
    }

    #[test]
    fn only_the_server_that_was_asked_answers() {
        let now = some_instant();
        let server: SocketAddr = SERVER.parse().unwrap();
        let mut asked = Discovery::new(now, server, [7; 12]);
        let good = answer(BINDING_SUCCESS, &[7; 12], MAPPED);
        for other in ["192.0.2.4:3478", "192.0.2.3:3479"] {
            assert!(!asked.handle(other.parse().unwrap(), &good), "{other}");
        }
        let guessed = answer(BINDING_SUCCESS, &[8; 12], MAPPED);
        assert!(!asked.handle(server, &guessed));
        let request = answer(BINDING_REQUEST, &[7; 12], MAPPED);
        assert!(!asked.handle(server, &request));
        assert!(!asked.handle(server, b"\x80\x08 no STUN at all, but RTP"));
        assert!(asked.outcome().is_none());
        assert!(asked.handle(server, &good));
        assert_eq!(
            asked.outcome(),
            Some(Ok("203.0.113.9:4804".parse().unwrap()))
        );
        assert_eq!(asked.poll_timeout(), None);
        assert_eq!(asked.poll_transmit(now + DISCOVERED_WITHIN), None);
    }

    #[test]
    fn a_refusal_is_known_at_once() {
        let server: SocketAddr = SERVER.parse().unwrap();
        let mut asked = Discovery::new(some_instant(), server, [7; 12]);
        let refusal = answer(BINDING_ERROR, &[7; 12], &[0, 9, 0, 4, 0, 0, 4, 20]);
        assert!(asked.handle(server, &refusal));
        assert_eq!(asked.outcome(), Some(Err(NotDiscovered::Refused(420))));
    }
}
