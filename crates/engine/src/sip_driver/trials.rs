//! Accounts that are tried beside those in use: registered, judged, removed again.

use std::collections::BTreeMap;
use std::time::Instant;

use sip::{AccountConfig, AccountId, RegistrationFailure, RegistrationState};
use tokio::sync::oneshot;

use super::SipDriver;
use crate::limits::TRIALS_MAX;

/// Ids of trials begin here: far above those of lines, far below those of retired accounts.
const FIRST: u64 = u64::MAX / 2;

/// The trials that go on.
#[derive(Default)]
pub(super) struct Trials {
    running: BTreeMap<AccountId, oneshot::Sender<Result<(), RegistrationFailure>>>,
    begun: u64,
}

impl SipDriver {
    /// Begins a trial. Those whose asker has gone end here.
    pub(super) fn begin_trial(
        &mut self,
        now: Instant,
        config: AccountConfig,
        done: oneshot::Sender<Result<(), RegistrationFailure>>,
    ) {
        let left: Vec<AccountId> = self
            .trials
            .running
            .iter()
            .filter(|(_, done)| done.is_closed())
            .map(|(id, _)| *id)
            .collect();
        for id in left {
            self.trials.running.remove(&id);
            self.user_agent.remove_account(now, id);
        }
        if self.trials.running.len() >= TRIALS_MAX {
            let _ = done.send(Err(RegistrationFailure::Refused(503)));
            return;
        }
        self.trials.begun += 1;
        let id = AccountId(FIRST + self.trials.begun);
        self.trials.running.insert(id, done);
        self.user_agent.set_account(now, id, config);
        if self.user_agent.registration(id).is_none()
            && let Some(done) = self.trials.running.remove(&id)
        {
            let _ = done.send(Err(RegistrationFailure::Unreachable));
        }
    }

    /// A registration moved; true where it was a trial's.
    pub(super) fn trial_moved(&mut self, id: AccountId, state: &RegistrationState) -> bool {
        if !self.trials.running.contains_key(&id) {
            return id.0 > FIRST && id.0 <= FIRST + self.trials.begun;
        }
        let result = match state {
            RegistrationState::Registered { .. } => Ok(()),
            RegistrationState::Failed { cause, .. } => Err(*cause),
            RegistrationState::Registering | RegistrationState::Unregistered => return true,
        };
        if let Some(done) = self.trials.running.remove(&id) {
            let _ = done.send(result);
        }
        self.user_agent.remove_account(Instant::now(), id);
        true
    }
}
