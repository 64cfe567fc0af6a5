//! Health, readiness, metrics of the process.

use crate::answer::Answer;
use crate::api::Api;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The process lives.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
    /// Version of the program.
    version: &'static str,
    /// Seconds since the start.
    uptime_seconds: u64,
    /// Calls that run now, of all accounts.
    active_calls: usize,
    /// New calls are refused because the process stops.
    draining: bool,
}

/// The process lives; what it does is told beside.
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = Health)))]
pub(crate) async fn health(State(api): State<Arc<Api>>) -> Result<Answer, Problem> {
    let readiness = api.engine.readiness();
    Answer::ok(Health {
        status: "ok",
        version: api.config.version,
        uptime_seconds: api.started.elapsed().as_secs(),
        active_calls: readiness.calls,
        draining: readiness.draining,
    })
}

/// Whether new calls are welcome.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// They are.
    ready: bool,
    /// They are not, because the process stops.
    draining: bool,
}

/// 200 when new calls are welcome, 503 when not.
#[utoipa::path(get, path = "/ready", tag = "system",
    responses((status = 200, body = Ready), (status = 503, body = Ready)))]
pub(crate) async fn ready(State(api): State<Arc<Api>>) -> Response {
    let readiness = api.engine.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        axum::Json(Ready {
            ready: readiness.ready,
            draining: readiness.draining,
        }),
    )
        .into_response()
}

/// OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "system",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub(crate) async fn metrics(State(api): State<Arc<Api>>) -> Response {
    (
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        api.engine.metrics_text(),
    )
        .into_response()
}
