//! The certificates of signers: fetched through the guard, and kept for a while by their address.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use courier::{Caller, Courier, HttpCall, Method};
use tokio::sync::Semaphore;

use super::Fault;

/// Addresses whose certificate, or whose silence, is remembered.
const KEPT_MAX: usize = 256;
/// How long a certificate is kept. Its own end is looked at with each call.
const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// How long an address that gave none is not asked again.
const FAILED_FOR: Duration = Duration::from_secs(30);
/// A certificate that was fetched so lately is not fetched again for one signature that does not fit.
const SETTLED_AFTER: Duration = Duration::from_secs(300);
/// Largest chain that is read, bytes.
const CHAIN_BYTES_MAX: usize = 32 * 1_024;
/// How long one fetch may take.
const FETCH_MS: u32 = 1_500;
/// Fetches at the same time, all calls together.
const FETCHES_MAX: usize = 16;

struct Kept {
    until: Instant,
    /// `None`: there was none.
    chain: Option<Bytes>,
}

/// Certificates by their address.
pub(crate) struct Certificates {
    courier: Courier,
    kept: Mutex<BTreeMap<String, Kept>>,
    fetches: Semaphore,
}

impl Certificates {
    pub(super) fn new(courier: Courier) -> Self {
        Self {
            courier,
            kept: Mutex::new(BTreeMap::new()),
            fetches: Semaphore::new(FETCHES_MAX),
        }
    }

    /// What stands at an address.
    ///
    /// # Errors
    /// Nothing does, or it may not be asked.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, Fault> {
        if let Some(known) = self.known(url) {
            return known.ok_or(Fault::Unfetched);
        }
        let _permit = self.fetches.acquire().await;
        // Another call of the same signer may have fetched it meanwhile.
        if let Some(known) = self.known(url) {
            return known.ok_or(Fault::Unfetched);
        }
        let chain = self.fetch(url).await;
        self.keep(url, chain.clone());
        chain.ok_or(Fault::Unfetched)
    }

    fn known(&self, url: &str) -> Option<Option<Bytes>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(url)?;
        (Instant::now() < found.until).then(|| found.chain.clone())
    }

    /// What was fetched is of no use: it is not kept for longer than a failure. A signature that does not fit may be the caller's own, and anybody
    /// can make one: then only what was kept for a while is asked for again.
    pub(super) fn doubt(&self, url: &str, fault: Fault) {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.get_mut(url) {
            let left = found.until.saturating_duration_since(now);
            if fault != Fault::Signature || left + SETTLED_AFTER <= KEPT_FOR {
                found.until = found.until.min(now + FAILED_FOR);
            }
        }
    }

    async fn fetch(&self, url: &str) -> Option<Bytes> {
        let call = HttpCall {
            method: Method::Get,
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            timeout_ms: FETCH_MS,
            idempotency_key: None,
            safe_to_retry: false,
        };
        // On nobody's behalf: who fetches it is not the signer's to know.
        let nobody = Caller::default();
        let reply = self.courier.send(&call, &nobody, CHAIN_BYTES_MAX).await;
        let reply = reply.ok().filter(courier::Reply::is_success)?;
        Some(reply.body)
    }

    fn keep(&self, url: &str, chain: Option<Bytes>) {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, one| now < one.until);
        }
        if kept.len() >= KEPT_MAX {
            let first = kept.iter().min_by_key(|(_, one)| one.until);
            if let Some(first) = first.map(|(url, _)| url.clone()) {
                kept.remove(&first);
            }
        }
        let lasts = if chain.is_some() {
            KEPT_FOR
        } else {
            FAILED_FOR
        };
        let until = now + lasts;
        kept.insert(url.to_owned(), Kept { until, chain });
    }
}
