//! From a request to the desk and back.

use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use courier::sign::{HEADER_CALL, HEADER_IDEMPOTENCY};

use super::app::App;
use super::refusal::Refusal;
use super::who::Who;
use crate::desk::{Asker, Desk, DeskError, Reply};
use crate::domain::geo::Places;

/// Longest id or key that is looked at, in bytes.
const HEADER_BYTES_MAX: usize = 200;

/// Towns and postcodes, inflated once.
fn places() -> Result<&'static Places, Refusal> {
    static PLACES: OnceLock<Option<Arc<Places>>> = OnceLock::new();
    let places = PLACES.get_or_init(|| Places::france().ok().map(Arc::new));
    places
        .as_deref()
        .ok_or_else(|| Refusal::internal("the embedded places cannot be read"))
}

pub(super) fn desk(app: &App) -> Result<Desk<'_>, Refusal> {
    Ok(Desk {
        db: &app.db,
        places: places()?,
    })
}

/// Who asks. The number is the one that the call's tool brings along; `bound`: the request names a call or a caller, and is
/// weighed as a call's even where nothing was signed.
pub(super) fn asker(
    who: &Who,
    headers: &HeaderMap,
    caller: Option<String>,
    call: Option<&str>,
    bound: bool,
) -> Asker {
    let header = |name: &str| {
        let text = headers.get(name)?.to_str().ok()?.trim();
        (!text.is_empty() && text.len() <= HEADER_BYTES_MAX).then(|| text.to_owned())
    };
    Asker {
        voice: who.is_voice() || bound,
        caller,
        call: header(HEADER_CALL).or_else(|| call.map(str::to_owned)),
        key: header(HEADER_IDEMPOTENCY),
    }
}

impl From<DeskError> for Refusal {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Read(error) => error.into(),
            DeskError::Change(error) => error.into(),
            DeskError::Row(error) => Self::internal(error),
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.body)).into_response()
    }
}
