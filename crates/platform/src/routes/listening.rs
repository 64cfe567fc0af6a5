//! Listening to a running call.

use super::calls::{find, running};
use crate::api::Api;
use crate::body::Path;
use crate::caller::Caller;
use crate::limits::{LISTENERS_ALL_MAX, LISTENERS_PER_CALLER_MAX};
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use engine::{ListenError, Listener};
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;

/// Both sides of a running call while they speak, as a WAV stream that ends with the call: stereo, caller left, agent right, 16 bit, 8 kHz.
/// Nobody hears the listener. During secure input the caller is silent. What is not read in time is replaced by silence.
#[utoipa::path(get, path = "/api/calls/{id}/listen.wav", tag = "live", params(("id" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "audio/wav")))]
pub(crate) async fn listen(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let too_many = || Problem::new(StatusCode::TOO_MANY_REQUESTS, "api_too_many_listeners");
    running(&record, &id)?;
    let seat = api
        .listeners
        .take(
            &caller.bucket(),
            LISTENERS_PER_CALLER_MAX,
            LISTENERS_ALL_MAX,
        )
        .ok_or_else(too_many)?;
    let listener = api.engine.listen(&id).await.map_err(|error| match error {
        ListenError::Unknown => Problem::conflict("api_call_elsewhere").with("id", id.as_str()),
        ListenError::NotNow => Problem::conflict("api_call_not_heard").with("id", id.as_str()),
        ListenError::TooMany => too_many(),
    })?;
    // Who listened to whom is written before anything is heard.
    let note = store::AuditNote {
        action: "listen".to_owned(),
        entity: "call".to_owned(),
        entity_id: id.to_string(),
        detail: None,
    };
    let store = caller.store(&api, None, None);
    store.audit((&scope).into(), &note).await?;
    let begin = (Some(Bytes::from(Listener::header())), listener, seat);
    let body = Body::from_stream(stream::unfold(
        begin,
        |(header, mut listener, seat)| async {
            let bytes = match header {
                Some(header) => header,
                None => Bytes::from(listener.next().await?),
            };
            Some((Ok::<_, Infallible>(bytes), (None, listener, seat)))
        },
    ));
    let headers = [
        (header::CONTENT_TYPE, "audio/wav"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, [("x-accel-buffering", "no")], body).into_response())
}
