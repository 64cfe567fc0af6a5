//! The table of accounts at work: commands, timers, the overall start rate.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::account::{Account, AccountConfig};
use crate::id::{AccountId, ConnectionId};
use crate::message::Response;
use crate::registration::{Outcome, RegistrationFailure, RegistrationState, Stage};
use crate::stun::{is_stun, mapped_address};
use crate::transaction::timer::AccountTimer;
use crate::transaction::{ClientId, Failure, Outgoing};
use crate::transport::{Flow, host_text};
use crate::user_agent::UserAgent;

/// Bindings that are removed at the same moment when all are.
const REMOVALS_AT_ONCE: u32 = 8;
/// How long until the next are.
const REMOVAL_INTERVAL: Duration = Duration::from_millis(20);

/// Commands on accounts.
impl UserAgent {
    /// Adds or replaces an account; its registration starts, or goes on where nothing changed. An account whose URIs
    /// are no `sip:` URIs, or one above the limit, is not taken (`registration` stays `None`).
    pub fn set_account(&mut self, now: Instant, account: AccountId, config: AccountConfig) {
        if self
            .accounts
            .find(account)
            .is_some_and(|known| known.config == config)
        {
            return;
        }
        let mut kept = self.take_same_binding(account, &config);
        if kept.is_none() {
            self.retire(now, account);
            kept = self.accounts.take_orphan(now, &config);
        }
        if self.accounts.len() >= self.endpoint.limits.accounts_max {
            return;
        }
        let wants_registration = config.register;
        let Some(mut fresh) = Account::new(&mut self.endpoint, config) else {
            return;
        };
        if let Some(kept) = kept {
            fresh.go_on_from(kept);
        }
        if wants_registration {
            fresh.register_at(&mut self.endpoint, account, now);
        } else if fresh.is_watched() {
            let slot = self.accounts.take_slot(now);
            self.endpoint
                .arm_account(account, AccountTimer::KeepAlive, slot);
        }
        self.accounts.insert(account, fresh);
        self.timers(now);
        self.settle(now);
    }

    /// Forgets an account; its own binding is removed from the registrar.
    pub fn remove_account(&mut self, now: Instant, account: AccountId) {
        self.retire(now, account);
        self.settle(now);
    }

    /// Where an account stands; `None` for an unknown one.
    #[must_use]
    pub fn registration(&self, account: AccountId) -> Option<RegistrationState> {
        let found = self
            .accounts
            .find(account)
            .filter(|found| !found.is_retired)?;
        Some(found.registration.state.clone())
    }

    /// Answers OPTIONS with 503 and Retry-After, and places no call. A new INVITE still reaches the shell, which refuses it with a
    /// record of the refusal.
    pub const fn set_draining(&mut self, draining: bool) {
        self.is_draining = draining;
    }

    /// Removes the bindings of all accounts, before the process ends; nothing registers again until it is set again. Four hundred a second:
    /// a registrar that is sent a thousand at once loses most of them.
    pub fn unregister_all(&mut self, now: Instant) {
        let mut at = now;
        for (count, id) in (1_u32..).zip(self.accounts.ids()) {
            if let Some(account) = self.accounts.find_mut(id) {
                account.unregister_at(now, &mut self.endpoint, id, at);
            }
            if count.is_multiple_of(REMOVALS_AT_ONCE) {
                at += REMOVAL_INTERVAL;
            }
        }
        self.settle(now);
    }

    /// Takes the account out whose binding the new configuration refreshes: another password, lifetime or shown number does not
    /// make another Contact. A registrar that allows one binding would refuse a second one beside it, and the old password may
    /// be worth nothing by now.
    fn take_same_binding(&mut self, id: AccountId, config: &AccountConfig) -> Option<Account> {
        let known = self.accounts.find(id)?;
        if !known.keeps_binding(config) {
            return None;
        }
        for timer in [AccountTimer::Register, AccountTimer::KeepAlive] {
            self.endpoint.disarm_account(id, timer);
        }
        self.accounts.remove(id)
    }

    /// Takes an account out of use; it stays under a hidden id until its binding is removed.
    fn retire(&mut self, now: Instant, id: AccountId) {
        for timer in [AccountTimer::Register, AccountTimer::KeepAlive] {
            self.endpoint.disarm_account(id, timer);
        }
        let Some((hidden, account)) = self.accounts.retire(id) else {
            return;
        };
        if !account.unregister(now, &mut self.endpoint, hidden)
            && let Some(account) = self.accounts.remove(hidden)
        {
            self.accounts.remember(now, account);
        }
    }
}

/// What happens to accounts.
impl UserAgent {
    pub(super) fn account_timer(&mut self, now: Instant, id: AccountId, timer: AccountTimer) {
        let stage = self
            .accounts
            .find(id)
            .map(|account| account.registration.stage);
        match (timer, stage) {
            (AccountTimer::Register, Some(Stage::Waiting)) => {
                let slot = self.accounts.take_slot(now);
                let Some(account) = self.accounts.find_mut(id) else {
                    return;
                };
                if slot <= now {
                    return account.register(now, &mut self.endpoint, id);
                }
                account.registration.stage = Stage::Slotted;
                self.endpoint.arm_account(id, AccountTimer::Register, slot);
            }
            (AccountTimer::Register, Some(Stage::Leaving)) => {
                if let Some(account) = self.accounts.find_mut(id) {
                    account.unregister(now, &mut self.endpoint, id);
                }
            }
            (AccountTimer::Register, Some(Stage::Slotted)) => {
                if let Some(account) = self.accounts.find_mut(id) {
                    account.register(now, &mut self.endpoint, id);
                }
            }
            (AccountTimer::KeepAlive, Some(_)) => {
                if let Some(account) = self.accounts.find_mut(id) {
                    account.keep_alive(now, &mut self.endpoint, id);
                }
            }
            (
                AccountTimer::Register,
                Some(Stage::Idle | Stage::Asking { .. } | Stage::Removing { .. }) | None,
            )
            | (AccountTimer::KeepAlive, None) => {}
        }
    }

    pub(super) fn register_response(
        &mut self,
        now: Instant,
        id: AccountId,
        (client, response, flow): (ClientId, &Response, Flow),
        outgoing: Option<Box<Outgoing>>,
    ) {
        let Some(account) = self.accounts.find_mut(id) else {
            return;
        };
        let outcome = account.register_response(
            (now, &mut self.endpoint, id),
            client,
            response,
            flow,
            outgoing,
        );
        self.registration_moved(now, id, outcome);
    }

    pub(super) fn register_failed(
        &mut self,
        now: Instant,
        id: AccountId,
        client: ClientId,
        failure: Failure,
    ) {
        let Some(account) = self.accounts.find_mut(id) else {
            return;
        };
        let outcome = account.register_failed(now, &mut self.endpoint, id, client, failure);
        self.registration_moved(now, id, outcome);
    }

    fn registration_moved(&mut self, now: Instant, id: AccountId, outcome: Outcome) {
        match outcome {
            Outcome::Nothing => {}
            Outcome::Registered => self.wake_neighbours(now, id),
            Outcome::Removed => {
                if self
                    .accounts
                    .find(id)
                    .is_some_and(|account| account.is_retired)
                    && let Some(account) = self.accounts.remove(id)
                {
                    self.accounts.remember(now, account);
                }
            }
        }
    }

    /// One account got through: those that wait for the same registrar need not wait for their backoff.
    fn wake_neighbours(&mut self, now: Instant, id: AccountId) {
        let Some(host) = self
            .accounts
            .find(id)
            .map(|account| account.registrar.host.clone())
        else {
            return;
        };
        for other in self.accounts.ids() {
            if let Some(account) = self.accounts.find_mut(other)
                && account.registration.hopes()
                && account.registrar.host == host
            {
                account.register_at(&mut self.endpoint, other, now);
            }
        }
    }

    /// An OPTIONS keep-alive got no answer: the flow may be dead, so the binding is renewed.
    pub(super) fn keep_alive_failed(&mut self, now: Instant, id: AccountId, failure: Failure) {
        if let Some(account) = self.accounts.find_mut(id)
            && account.is_watched()
        {
            let cause = match failure {
                Failure::Timeout => RegistrationFailure::Timeout,
                Failure::Dns => RegistrationFailure::Dns,
                Failure::Unreachable | Failure::TransportLost | Failure::Cancelled => {
                    RegistrationFailure::Unreachable
                }
            };
            return account.health_changed(now, &mut self.endpoint, id, Err(cause));
        }
        if let Some(account) = self.accounts.find_mut(id)
            && account.registration.stage == Stage::Waiting
            && account.registration.is_registered()
        {
            account.register_at(&mut self.endpoint, id, now);
        }
    }

    /// A watched account answered: any answer but "not now" says that it is there.
    pub(super) fn keep_alive_answered(&mut self, now: Instant, id: AccountId, status: u16) {
        if let Some(account) = self.accounts.find_mut(id)
            && account.is_watched()
            && status >= 200
        {
            let health = match status {
                408 | 503 => Err(RegistrationFailure::Refused(status)),
                _ => Ok(()),
            };
            account.health_changed(now, &mut self.endpoint, id, health);
        }
    }

    /// The stream of a registration is gone: calls could not reach us any more.
    pub(super) fn registration_stream_lost(&mut self, now: Instant, connection: ConnectionId) {
        let lost = Some(Flow::Stream { connection });
        for id in self.accounts.ids() {
            if let Some(account) = self.accounts.find_mut(id)
                && account.registration.flow == lost
            {
                account.registration.flow = None;
                if account.registration.stage == Stage::Waiting
                    && account.registration.is_registered()
                {
                    account.register_at(&mut self.endpoint, id, now);
                }
            }
        }
    }

    /// Takes STUN off a datagram flow; `true` where it was STUN.
    pub(super) fn stun(&mut self, now: Instant, source: SocketAddr, data: &[u8]) -> bool {
        if !is_stun(data) {
            return false;
        }
        for id in self.accounts.ids() {
            let Some(account) = self.accounts.find_mut(id) else {
                continue;
            };
            let Some(mapped) = account
                .registration
                .stun
                .and_then(|stun| mapped_address(data, &stun))
            else {
                continue;
            };
            let is_from_flow = matches!(account.registration.flow, Some(Flow::Datagram { remote, .. }) if remote == source);
            account.registration.stun = None;
            let is_known = account.config.contact_host.is_some();
            let contact = account.contact().address;
            let seen = (host_text(mapped.ip()), mapped.port());
            let is_kept = account.registration.is_kept();
            if is_from_flow
                && is_kept
                && !is_known
                && contact.as_ref().is_some_and(|known| *known != seen)
            {
                account.registration.learn(seen.0, seen.1);
                account.register_at(&mut self.endpoint, id, now);
            }
        }
        true
    }

    pub(super) fn is_registration_flow(&self, flow: Flow) -> bool {
        self.accounts.ids().into_iter().any(|id| {
            self.accounts
                .find(id)
                .is_some_and(|account| account.registration.flow == Some(flow))
        })
    }
}
