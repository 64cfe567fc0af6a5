//! What only INVITE client transactions do: ACK, CANCEL, forks (RFC 3261 sections 17.1.1 and 9.1, RFC 6026).

use std::time::Instant;

use crate::endpoint::Endpoint;
use crate::message::{CSeq, Method, Request, Response, name};
use crate::planted::{self, Planted};
use crate::transaction::client::{Cancel, Client, ClientKind, ClientState, TRANSACTION_T1};
use crate::transaction::key::ClientKey;
use crate::transaction::timer::{ClientTimer, Timer};
use crate::transaction::{ClientId, Failure, Outgoing, Owner};
use crate::transport::{FlowUser, Origin};

/// Forks of one INVITE that are acknowledged one by one; further ones are left to their own timers.
pub(crate) const FORKS_MAX: usize = 8;

impl Endpoint {
    pub(super) fn final_invite_response(
        &mut self,
        now: Instant,
        id: ClientId,
        response: Response,
        origin: &Origin,
    ) {
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        if response.is_success() {
            client.state = ClientState::Accepted;
            self.deadlines
                .disarm(Timer::Client(id, ClientTimer::Retransmit));
            self.deadlines.arm(
                Timer::Client(id, ClientTimer::Timeout),
                now + self.timers.t1 * TRANSACTION_T1,
            );
            return self.report(id, response, origin.flow, None);
        }
        let flow = client.flow.unwrap_or(origin.flow);
        let ack = client
            .outgoing
            .as_ref()
            .map(|outgoing| refusal_ack(&outgoing.request, &response).to_bytes());
        client.sent = ack.unwrap_or_default();
        let (sent, link) = (client.sent.clone(), client.link);
        self.send(flow, sent, link, false);
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        let gives_up = client.cancel == Cancel::No;
        if gives_up && self.fails_over(id, &response) {
            return self.try_next_target(now, id);
        }
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        client.state = ClientState::Completed;
        let outgoing = client.outgoing.take();
        self.report(id, response, origin.flow, outgoing);
        self.arm_completed(now, id, flow);
    }

    /// The refusal came again: our ACK was lost.
    pub(super) fn repeat_ack(&mut self, id: ClientId, response: &Response) {
        if response.status < 300 {
            return;
        }
        let Some(client) = self.clients.table.get(&id) else {
            return;
        };
        let (flow, link, sent) = (client.flow, client.link, client.sent.clone());
        if let Some(flow) = flow {
            self.send(flow, sent, link, true);
        }
    }

    pub(super) fn is_known_fork(&self, id: ClientId, response: &Response) -> bool {
        let Some(tag) = response
            .headers
            .to()
            .and_then(|to| to.tag().map(str::to_owned))
        else {
            return false;
        };
        self.clients
            .table
            .get(&id)
            .is_some_and(|client| client.acks.iter().any(|(known, _)| *known == tag))
    }

    /// A 2xx after the first: a repetition gets its ACK again, a fork goes to the owner.
    pub(super) fn another_success(&mut self, id: ClientId, response: Response, origin: &Origin) {
        if !response.is_success() {
            return;
        }
        let tag = response
            .headers
            .to()
            .and_then(|to| to.tag().map(str::to_owned))
            .unwrap_or_default();
        let Some(client) = self.clients.table.get(&id) else {
            return;
        };
        match client.acks.iter().find(|(known, _)| *known == tag) {
            Some((_, ack)) => {
                let ack = *ack;
                self.resend(ack);
            }
            None if client.acks.len() >= FORKS_MAX => {}
            None => self.report(id, response, origin.flow, None),
        }
    }

    fn resend(&mut self, id: ClientId) {
        let Some(client) = self.clients.table.get(&id) else {
            return;
        };
        let (flow, link, sent) = (client.flow, client.link, client.sent.clone());
        if let Some(flow) = flow.filter(|_| client.state == ClientState::Accepted) {
            self.send(flow, sent, link, true);
        }
    }

    /// Acknowledges a 2xx of the INVITE `invite`; repetitions of the 2xx are acknowledged from here on.
    pub(crate) fn acknowledge(
        &mut self,
        now: Instant,
        invite: ClientId,
        remote_tag: &str,
        ack: Outgoing,
    ) -> Option<ClientId> {
        let id = self.request(now, ack)?;
        if let Some(client) = self.clients.table.get_mut(&invite) {
            client.acks.push((remote_tag.to_owned(), id));
        }
        Some(id)
    }

    /// Gives an INVITE up: at once where nothing was sent, else by CANCEL as soon as it is allowed.
    pub(crate) fn cancel(&mut self, now: Instant, id: ClientId, reason: Option<String>) {
        if planted::has(Planted::CancelForgotten) {
            return;
        }
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        match client.state {
            ClientState::Resolving(_) | ClientState::Connecting(_) => {
                self.fail_client(id, Failure::Cancelled)
            }
            ClientState::Calling => client.cancel = Cancel::Wanted(reason),
            ClientState::Proceeding => self.send_cancel(now, id, reason),
            ClientState::Completed | ClientState::Accepted => {}
        }
    }

    pub(super) fn send_cancel(&mut self, now: Instant, id: ClientId, reason: Option<String>) {
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        let (Some(outgoing), Some(flow), Some(key)) = (&client.outgoing, client.flow, &client.key)
        else {
            return;
        };
        if client.cancel == Cancel::Sent {
            return;
        }
        client.cancel = Cancel::Sent;
        let request = cancel_request(&outgoing.request, reason);
        let key = ClientKey {
            branch: key.branch.clone(),
            method: Method::Cancel,
        };
        let mut cancel = Client::new(ClientKind::NonInvite, Owner::Nobody, client.link);
        cancel.sent = request.to_bytes();
        cancel.key = Some(key);
        cancel.flow = Some(flow);
        let (sent, link) = (cancel.sent.clone(), cancel.link);
        cancel.start_interval(self.timers.t1);
        let cancel_id = self.clients.insert(cancel);
        self.transport.use_flow(flow, FlowUser::Client(cancel_id));
        self.send(flow, sent, link, false);
        let end = now + self.timers.t1 * TRANSACTION_T1;
        if !self.transport.protocol(flow).is_reliable() {
            self.deadlines.arm(
                Timer::Client(cancel_id, ClientTimer::Retransmit),
                now + self.timers.t1,
            );
        }
        self.deadlines
            .arm(Timer::Client(cancel_id, ClientTimer::Timeout), end);
        // RFC 3261 section 9.1: no final response within 64*T1 counts as cancelled.
        self.deadlines
            .arm(Timer::Client(id, ClientTimer::Timeout), end);
    }
}

/// RFC 3261 section 17.1.1.3.
fn refusal_ack(invite: &Request, response: &Response) -> Request {
    let mut ack = same_request(invite, Method::Ack);
    if let Some(to) = response.headers.get(name::TO) {
        ack.headers.replace(name::TO, to);
    }
    ack
}

/// RFC 3261 section 9.1.
fn cancel_request(invite: &Request, reason: Option<String>) -> Request {
    let mut cancel = same_request(invite, Method::Cancel);
    if let Some(reason) = reason {
        cancel.headers.push(name::REASON, reason);
    }
    cancel
}

/// The headers that ACK and CANCEL share with their INVITE.
fn same_request(invite: &Request, method: Method) -> Request {
    let mut request = Request::new(method.clone(), invite.uri.clone());
    if let Some(via) = invite.headers.get(name::VIA) {
        request.headers.push(name::VIA, via);
    }
    for copied in [
        name::ROUTE,
        name::FROM,
        name::TO,
        name::CALL_ID,
        name::MAX_FORWARDS,
    ] {
        for value in invite.headers.get_all(copied) {
            request.headers.push(copied, value);
        }
    }
    if let Some(cseq) = invite.headers.cseq() {
        request.headers.push(
            name::CSEQ,
            CSeq {
                sequence: cseq.sequence,
                method,
            },
        );
    }
    request
}
