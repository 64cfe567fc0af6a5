//! Calls that a carrier rings for us, until their stream comes or the carrier says that it will not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use call::TenantId;
use engine::{CarrierControl, CarrierProgress, Promise};

/// Calls that ring at the same time.
const RINGING_MAX: usize = 1_024;

struct Ringing {
    token: String,
    /// The tenant whose own account rings it.
    tenant: Option<TenantId>,
    promise: Promise,
    progress: CarrierProgress,
}

/// See the module.
#[derive(Default)]
pub(super) struct Placing {
    ringing: Mutex<Vec<Ringing>>,
}

impl Placing {
    fn ringing(&self) -> MutexGuard<'_, Vec<Ringing>> {
        self.ringing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a call under the token of its stream. False when too many ring already.
    pub(super) fn begin(
        &self,
        token: &str,
        tenant: Option<TenantId>,
        (promise, progress): (Promise, CarrierProgress),
    ) -> bool {
        let mut ringing = self.ringing();
        ringing.retain(|known| !known.promise.is_given_up());
        if ringing.len() >= RINGING_MAX {
            return false;
        }
        ringing.push(Ringing {
            token: token.to_owned(),
            tenant,
            promise,
            progress,
        });
        true
    }

    /// The carrier took the call. False when nobody wants it any more.
    pub(super) fn rings_as(&self, token: &str, control: CarrierControl) -> bool {
        let ringing = self.ringing();
        let known = ringing.iter().find(|known| known.token == token);
        known.is_none_or(|known| {
            known.promise.rings_as(control);
            !known.promise.is_given_up()
        })
    }

    /// The call of a stream that came.
    pub(super) fn answered(&self, token: &str) -> Option<Promise> {
        let mut ringing = self.ringing();
        let at = ringing.iter().position(|known| known.token == token)?;
        Some(ringing.swap_remove(at).promise)
    }

    /// The carrier did not take the call.
    pub(super) fn refused(&self, token: &str) {
        let mut ringing = self.ringing();
        if let Some(at) = ringing.iter().position(|known| known.token == token) {
            ringing.swap_remove(at).progress.failed(500);
        }
    }

    /// What the carrier tells of one of our calls, by our id of it. A tenant's account tells of that tenant's calls.
    pub(super) fn status(&self, tenant: Option<&TenantId>, call: &str, status: &str) {
        let mut ringing = self.ringing();
        let found = ringing
            .iter()
            .position(|known| known.promise.call.as_str() == call)
            .filter(|at| {
                let known = ringing.get(*at).and_then(|known| known.tenant.as_ref());
                tenant.is_none() || known == tenant
            });
        let Some(at) = found else { return };
        let failed = match status {
            "ringing" => {
                if let Some(known) = ringing.get(at) {
                    known.progress.ringing();
                }
                return;
            }
            "busy" => 486,
            "no-answer" => 480,
            // Completed without a stream: it was never ours.
            "failed" | "canceled" | "completed" => 500,
            _ => return,
        };
        ringing.swap_remove(at).progress.failed(failed);
    }
}
