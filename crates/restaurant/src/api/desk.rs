//! From a request to the desk and back.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use courier::sign::{HEADER_CALL, HEADER_IDEMPOTENCY};
use serde_json::Value;

use super::app::App;
use super::refusal::Refusal;
use super::request::{Members, Query, shown};
use super::who::Who;
use crate::desk::{Asker, Desk, DeskError, Reply};

/// Longest id or key that is looked at, in bytes.
const HEADER_BYTES_MAX: usize = 200;

pub(super) fn desk(app: &App) -> Desk<'_> {
    Desk {
        db: &app.db,
        maps: &app.maps,
        menus: &app.menus,
        counters: &app.counters,
    }
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
        expected: who.expected.clone(),
    }
}

/// Who asks with a body that names the call and, where it came of a call, its caller.
pub(super) fn asker_of(who: &Who, headers: &HeaderMap, body: &Members) -> Asker {
    let caller = body.text("callerPhone").map(str::to_owned);
    let bound = caller.is_some();
    asker(who, headers, caller, body.text("callId"), bound)
}

/// Who looks something up, and of which number. The pack puts the caller's own number there; a model never does.
pub(super) fn looking(
    who: &Who,
    headers: &HeaderMap,
    query: &Query,
) -> Result<(Asker, String), Refusal> {
    let number = query
        .phone("phone")
        .ok_or_else(|| Refusal::missing("phone"))?;
    let caller = query.phone("callerPhone");
    let bound = caller.is_some();
    let caller = caller.or_else(|| Some(number.clone()));
    Ok((asker(who, headers, caller, None, bound), number))
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
        if let Value::Object(row) = self.body {
            return shown(status, row);
        }
        (status, Json(self.body)).into_response()
    }
}
