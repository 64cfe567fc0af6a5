//! Calls that are placed through a carrier: its stream connects them with an agent.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use engine::PlaceCall;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::problem::Problem;
use crate::voice::PlaceError;

/// Longest number that is called.
const NUMBER_CHARACTERS_MAX: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Number to call, `+` and digits.
    to: String,
    /// Number of ours that is shown.
    from: String,
    /// Line whose agent speaks; without it the one that has the number shown.
    line: Option<String>,
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (3..=NUMBER_CHARACTERS_MAX).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn problem(status: u16, cause: &str) -> Response {
    Problem::new(status, "carrier_call_refused")
        .with("cause", cause)
        .into_response()
}

pub(super) async fn place(
    State(shared): State<Arc<Shared>>,
    Json(wanted): Json<Wanted>,
) -> Response {
    if !is_number(&wanted.to) || !is_number(&wanted.from) {
        return problem(400, "from, to: +33123456789");
    }
    let Some(voice) = &shared.voice else {
        return problem(409, "voice.listen: off");
    };
    let request = PlaceCall {
        line: wanted.line.unwrap_or_default(),
        to: wanted.to,
        ..PlaceCall::default()
    };
    match voice.place(&wanted.from, request).await {
        Ok((id, sid)) => {
            let answer = json!({ "id": id.as_str(), "carrierCallId": sid });
            (StatusCode::CREATED, Json(answer)).into_response()
        }
        Err(error) => {
            let status = match error {
                PlaceError::NotConfigured | PlaceError::Unreadable | PlaceError::Engine(_) => 409,
                PlaceError::UnknownLine => 404,
                PlaceError::Carrier(_) => 502,
            };
            problem(status, &error.to_string())
        }
    }
}
