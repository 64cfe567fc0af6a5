//! Keeping the flow to the registrar open: CRLF, OPTIONS or STUN (RFC 5626 section 3.5).

use std::time::{Duration, Instant};

use crate::account::{Account, KeepAlive};
use crate::endpoint::{Endpoint, Link};
use crate::event::Output;
use crate::id::AccountId;
use crate::message::{CSeq, Method, NameAddr, Request, name};
use crate::registration::{RegistrationFailure, RegistrationState};
use crate::stun::{StunTransaction, binding_request};
use crate::transaction::timer::AccountTimer;
use crate::transaction::{Outgoing, Owner};
use crate::transport::Flow;

/// Shortest interval: a setting of zero must not spin.
const INTERVAL_MIN: Duration = Duration::from_secs(5);

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
