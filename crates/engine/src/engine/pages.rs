//! Calls of pages by WebRTC: an offer is answered at once, the call begins when the page is connected.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use call::CallId;
use tokio::sync::OwnedSemaphorePermit;
use wire::twilio::Dialect;

use super::{BeginStreamError, Engine};
use crate::calls::Calls;
use crate::leg::page::{ConnectedPage, OFFER_BYTES_MAX, OfferError, WaitingPage};
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

/// A page whose offer was answered, and its place among those who wait.
pub(super) struct Waiting {
    page: WaitingPage,
    place: OwnedSemaphorePermit,
}

impl Waiting {
    /// Waits until the page is connected; `None` when it is not in time.
    pub(super) async fn connected(self, call: &CallId) -> Option<ConnectedPage> {
        let connected = tokio::time::timeout(PAGE_CONNECTED_WITHIN, self.page.connected()).await;
        drop(self.place);
        let page = connected.ok().flatten();
        if page.is_none() {
            tracing::debug!(%call, "a page was not connected");
        }
        page
    }
}

/// Answers the offer of a page; the text is the answer.
pub(super) fn answer_offer(
    calls: &Calls,
    offer: &str,
    client: Option<IpAddr>,
) -> Result<(Waiting, String), PageError> {
    if offer.len() > OFFER_BYTES_MAX {
        let most = format!("longer than {OFFER_BYTES_MAX} bytes");
        return Err(OfferError::Unusable(most).into());
    }
    let place = Arc::clone(&calls.pages).try_acquire_owned();
    let place = place.map_err(|_| PageError::NoPort)?;
    let now = Instant::now();
    let pair = calls.ports.allocate(now).map_err(|error| {
        tracing::debug!(?error, "no port for a page");
        PageError::NoPort
    })?;
    let (page, answer) = WaitingPage::answer(now, (pair, &calls.rtp), client, offer)?;
    Ok((Waiting { page, place }, answer))
}

impl Engine {
    /// Answers the offer of a page that calls an agent of the directory. The call begins once the page is connected; one that is not
    /// in time leaves nothing behind.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn answer_page(&self, agent: &str, call: PageCall) -> Result<String, PageError> {
        self.may_begin_with_agent(agent, Dialect::Browser)?;
        let calls = Arc::clone(&self.inner.calls);
        let (waiting, answer) = answer_offer(&calls, &call.offer, call.client)?;
        let (dispatcher, agent) = (Arc::clone(&self.inner.dispatcher), agent.to_owned());
        tokio::spawn(async move {
            let Some(page) = Box::pin(waiting.connected(&call.id)).await else {
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
