//! Who holds a credential of this API, for routes of the server that are not of this table: users, keys, sessions and rates are
//! one store.

use std::time::Instant;

use axum::http::{HeaderMap, Method, StatusCode};
use store::Store;

use crate::api::AdminToken;
use crate::caller::Caller;
use crate::credential;
use crate::rate::{Limiter, Rate};

/// Why nobody was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRecognised {
    /// The credential is wrong, expired or taken back.
    Unknown,
    /// A cookie that no page of ours sent.
    Forged,
    /// The database does not answer.
    Unavailable,
}

/// Recognises credentials, and counts requests.
#[derive(Debug)]
pub struct Door {
    store: Store,
    admin_token: AdminToken,
    rate: Rate,
    limiter: Limiter,
}

impl Door {
    /// A door with a rate of its own.
    pub fn new(store: Store, admin_token: AdminToken, rate_per_s: u32) -> Self {
        Self {
            store,
            admin_token,
            rate: Rate::of(rate_per_s),
            limiter: Limiter::default(),
        }
    }

    /// Whose credential is in these headers of a request; `None` when there is none.
    ///
    /// # Errors
    /// See [`NotRecognised`].
    pub async fn recognise(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Option<Caller>, NotRecognised> {
        let found = credential::recognise(&self.store, &self.admin_token, (method, headers)).await;
        found.map_err(|problem| match problem.status() {
            StatusCode::UNAUTHORIZED => NotRecognised::Unknown,
            StatusCode::FORBIDDEN => NotRecognised::Forged,
            _ => NotRecognised::Unavailable,
        })
    }

    /// Takes one request of somebody's rate.
    ///
    /// # Errors
    /// The seconds until the next may come.
    pub fn take(&self, bucket: &str) -> Result<(), u64> {
        let verdict = self.limiter.take(bucket, self.rate, Instant::now());
        if verdict.allowed {
            Ok(())
        } else {
            Err(verdict.reset_s.max(1))
        }
    }
}
