//! Keeping the flow to the registrar open: CRLF, OPTIONS or STUN (RFC 5626 section 3.5).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::account::{Account, KeepAlive};
use crate::endpoint::{Endpoint, Link};
use crate::event::Output;
use crate::id::AccountId;
use crate::message::{CSeq, Method, NameAddr, Request, name};
use crate::registration::{RegistrationFailure, RegistrationState};
use crate::transaction::timer::AccountTimer;
use crate::transaction::{Outgoing, Owner};
use crate::transport::Flow;

/// Magic cookie of RFC 5389 section 6.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];
/// Shortest interval: a setting of zero must not spin.
const INTERVAL_MIN: Duration = Duration::from_secs(5);

/// The transaction id of the last binding request.
pub(crate) type StunTransaction = [u8; 12];

/// A datagram that is STUN and not SIP.
pub(crate) fn is_stun(data: &[u8]) -> bool {
    data.len() >= 20 && data[0] < 2 && data[4..8] == COOKIE
}

/// A binding request without attributes.
fn binding_request(transaction: &StunTransaction) -> Vec<u8> {
    let mut data = Vec::with_capacity(20);
    data.extend_from_slice(&BINDING_REQUEST);
    data.extend_from_slice(&[0, 0]);
    data.extend_from_slice(&COOKIE);
    data.extend_from_slice(transaction);
    data
}

/// The IPv4 address in a success response to our request; others are ignored.
pub(crate) fn mapped_address(data: &[u8], transaction: &StunTransaction) -> Option<SocketAddr> {
    if !is_stun(data) || data[..2] != BINDING_SUCCESS || data[8..20] != *transaction {
        return None;
    }
    let mut rest = &data[20..];
    while let [t0, t1, l0, l1, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = tail.get(..len)?;
        if [*t0, *t1] == XOR_MAPPED_ADDRESS
            && let [_, 1, p0, p1, a, b, c, d] = value
        {
            let port = u16::from_be_bytes([p0 ^ COOKIE[0], p1 ^ COOKIE[1]]);
            let ip = Ipv4Addr::new(a ^ COOKIE[0], b ^ COOKIE[1], c ^ COOKIE[2], d ^ COOKIE[3]);
            return Some(SocketAddr::new(IpAddr::V4(ip), port));
        }
        rest = tail.get(len.next_multiple_of(4)..)?;
    }
    None
}

impl Account {
    const fn keep_alive_interval(&self) -> Option<Duration> {
        match self.config.keep_alive {
            KeepAlive::Off => None,
            KeepAlive::Crlf { interval }
            | KeepAlive::Options { interval }
            | KeepAlive::Stun { interval } => Some(interval),
        }
    }

    /// An account that does not register and is asked by OPTIONS whether it is there.
    pub(crate) const fn is_watched(&self) -> bool {
        !self.config.register && matches!(self.config.keep_alive, KeepAlive::Options { .. })
    }

    /// What the last question to a watched account came to.
    pub(crate) fn health_changed(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: AccountId,
        health: Result<(), RegistrationFailure>,
    ) {
        let state = match health {
            Ok(()) => RegistrationState::Unregistered,
            Err(cause) => RegistrationState::Failed {
                cause,
                retry_at: self.keep_alive_interval().map(|interval| now + interval),
            },
        };
        self.set_state(endpoint, id, state);
    }

    pub(crate) fn arm_keep_alive(&self, now: Instant, endpoint: &mut Endpoint, id: AccountId) {
        if let Some(interval) = self.keep_alive_interval() {
            // RFC 5626 section 4.4: 80–100 % of the interval.
            let interval = interval.max(INTERVAL_MIN);
            let wait = endpoint.random.between(interval * 4 / 5, interval);
            endpoint.arm_account(id, AccountTimer::KeepAlive, now + wait);
        }
    }

    pub(crate) fn keep_alive(&mut self, now: Instant, endpoint: &mut Endpoint, id: AccountId) {
        let Some(flow) = self
            .registration
            .flow
            .filter(|flow| endpoint.transport.is_open(*flow))
        else {
            if self.is_watched() {
                let outgoing = self.options(endpoint, id, None);
                if endpoint.request(now, outgoing).is_none() {
                    let cause = RegistrationFailure::Unreachable;
                    self.health_changed(now, endpoint, id, Err(cause));
                }
                self.arm_keep_alive(now, endpoint, id);
            }
            return;
        };
        match (self.config.keep_alive, flow) {
            (KeepAlive::Off, _) => return,
            (KeepAlive::Crlf { .. }, _) | (KeepAlive::Stun { .. }, Flow::Stream { .. }) => {
                send_raw(endpoint, flow, b"\r\n\r\n".to_vec());
            }
            (KeepAlive::Stun { .. }, Flow::Datagram { .. }) => {
                let key = endpoint.random.key();
                let mut transaction = StunTransaction::default();
                transaction.copy_from_slice(&key[..12]);
                self.registration.stun = Some(transaction);
                send_raw(endpoint, flow, binding_request(&transaction));
            }
            (KeepAlive::Options { .. }, _) => {
                let outgoing = self.options(endpoint, id, Some(flow));
                let _ = endpoint.request(now, outgoing);
            }
        }
        self.arm_keep_alive(now, endpoint, id);
    }

    fn options(&self, endpoint: &mut Endpoint, id: AccountId, flow: Option<Flow>) -> Outgoing {
        let mut request = Request::new(Method::Options, self.registrar.clone());
        let (mut next_hop, routes) = self.registrar_route();
        next_hop.flow = flow;
        for route in routes {
            request.headers.push(name::ROUTE, route);
        }
        let tag = endpoint.token();
        request.headers.push(name::FROM, self.from().with_tag(&tag));
        request
            .headers
            .push(name::TO, NameAddr::new(self.registrar.clone()));
        request
            .headers
            .push(name::CALL_ID, endpoint.random.token(32));
        request.headers.push(
            name::CSEQ,
            CSeq {
                sequence: 1,
                method: Method::Options,
            },
        );
        let owner = Owner::KeepAlive(id);
        let link = Link {
            invite: None,
            account: Some(id),
        };
        Outgoing {
            request,
            contact: None,
            next_hop,
            owner,
            link,
            attempts: 0,
            reached: None,
        }
    }
}

fn send_raw(endpoint: &mut Endpoint, flow: Flow, data: Vec<u8>) {
    endpoint.output(match flow {
        Flow::Datagram { listener, remote } => Output::SendDatagram {
            listener,
            destination: remote,
            data,
        },
        Flow::Stream { connection } => Output::SendStream { connection, data },
    });
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
        assert!(is_stun(&binding_request(&transaction)));
        assert!(!is_stun(b"OPTIONS sip:a@b SIP/2.0\r\n"));
    }
}
