//! The way to the carriers that ring for us: the server has it, the API only asks.

use call::CallId;
use engine::PlaceCall;
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;

/// Why a carrier's call was not placed.
#[derive(Clone, Debug)]
pub struct NotPlaced {
    /// HTTP status that says it best: 409 or 502.
    pub status: u16,
    /// In words.
    pub cause: String,
}

/// Asks: the number that is shown, and the call.
type Ask = dyn Fn(String, PlaceCall) -> BoxFuture<'static, Result<CallId, NotPlaced>> + Send + Sync;

/// Places calls by a line whose carrier brings the audio.
#[derive(Clone)]
pub struct Carriers(Arc<Ask>);

impl Carriers {
    /// Wraps what asks the carrier.
    pub fn new(
        ask: impl Fn(String, PlaceCall) -> BoxFuture<'static, Result<CallId, NotPlaced>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(ask))
    }

    pub(crate) async fn place(&self, from: String, call: PlaceCall) -> Result<CallId, NotPlaced> {
        (self.0)(from, call).await
    }
}

impl fmt::Debug for Carriers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carriers")
    }
}
