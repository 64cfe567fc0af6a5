//! Calls of pages by WebRTC: an offer is answered at once, the call begins when the page is connected.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use call::CallId;
use wire::twilio::Dialect;

use super::{BeginStreamError, Engine};
use crate::leg::page::{OFFER_BYTES_MAX, OfferError, WaitingPage};
use crate::limits::PAGE_CONNECTED_WITHIN;

/// A page's wish to call.
pub struct PageCall {
    /// The id that the call gets.
    pub id: CallId,
    /// Caller's number.
    pub from: String,
    /// What the browser offers (SDP).
    pub offer: String,
    /// Where the page is, as far as that is known.
    pub client: Option<IpAddr>,
}

/// Why an offer is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// No agent would take the call.
    #[error(transparent)]
    Refused(#[from] BeginStreamError),
    /// The offer cannot be answered.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// No port is free, or too many pages wait to be connected: another way of calling may be open.
    #[error("no port is free for the audio of a page")]
    NoPort,
}

impl Engine {
    /// Answers the offer of a page that calls an agent of the directory. The call begins once the page is connected; one that is not
    /// in time leaves nothing behind.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn answer_page(&self, agent: &str, call: PageCall) -> Result<String, PageError> {
        self.may_begin_with_agent(agent, Dialect::Browser)?;
        if call.offer.len() > OFFER_BYTES_MAX {
            let most = format!("longer than {OFFER_BYTES_MAX} bytes");
            return Err(OfferError::Unusable(most).into());
        }
        let calls = Arc::clone(&self.inner.calls);
        let place = Arc::clone(&calls.pages).try_acquire_owned();
        let place = place.map_err(|_| PageError::NoPort)?;
        let now = Instant::now();
        let pair = calls.ports.allocate(now).map_err(|error| {
            tracing::debug!(?error, "no port for a page");
            PageError::NoPort
        })?;
        let (page, answer) =
            WaitingPage::answer(now, (pair, &calls.rtp), call.client, &call.offer)?;
        let (dispatcher, agent) = (Arc::clone(&self.inner.dispatcher), agent.to_owned());
        tokio::spawn(async move {
            let connected = tokio::time::timeout(PAGE_CONNECTED_WITHIN, page.connected()).await;
            drop(place);
            let Ok(Some(page)) = connected else {
                tracing::debug!(call = %call.id, "a page was not connected");
                return;
            };
            let admitted = dispatcher
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .admit_agent(&agent, Dialect::Browser);
            match admitted {
                Ok(admitted) => calls.begin_page(admitted, page, call.id, call.from),
                Err(refused) => {
                    let error = BeginStreamError::from(refused);
                    tracing::info!(%error, agent, "a call from a page was not taken");
                }
            }
        });
        Ok(answer)
    }
}
