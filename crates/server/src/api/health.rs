//! Health, readiness, metrics, registrations.

use super::Shared;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use engine::wait_in_seconds;
use serde_json::{Value, json};
use sip::{RegistrationFailure, RegistrationState};
use std::sync::Arc;

/// The process lives; what it does is told beside.
pub(crate) async fn health(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let readiness = shared.engine.readiness();
    let totals = match &shared.managed {
        Some(managed) => managed.agents.totals().await,
        None => engine::agents::Totals::default(),
    };
    let managed = shared.managed.as_ref();
    let apart = managed.map_or(0, |managed| managed.calls_apart());
    let calls = u64::try_from(readiness.calls).unwrap_or(u64::MAX);
    let calls = calls.saturating_add(apart);
    Json(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeSeconds": shared.started.elapsed().as_secs(),
        "activeAgents": totals.running,
        "totalAgents": totals.agents,
        "totalActiveCalls": calls,
        "activeCalls": calls,
        "draining": readiness.draining,
        "storeFailing": readiness.store_failing,
        "recordingFailing": readiness.recording_failing,
    }))
}

/// 200 when new calls are welcome, 503 when not.
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let readiness = shared.engine.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({ "ready": readiness.ready, "draining": readiness.draining })),
    )
}

/// OpenMetrics text.
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        shared.engine.metrics_text(),
    )
}

/// Each line with the state of its registration.
pub(crate) async fn registrations(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let now = std::time::Instant::now();
    let rows: Vec<Value> = shared
        .engine
        .registrations()
        .await
        .into_iter()
        .map(|status| {
            let seconds = |at: std::time::Instant| at.saturating_duration_since(now).as_secs();
            let wait = |at: std::time::Instant| wait_in_seconds(at.saturating_duration_since(now));
            let (state, detail) = match status.state {
                RegistrationState::Unregistered => ("unregistered", json!({})),
                RegistrationState::Registering => ("registering", json!({})),
                RegistrationState::Registered { expires_at } => (
                    "registered",
                    json!({ "expiresInSeconds": seconds(expires_at) }),
                ),
                RegistrationState::Failed { cause, retry_at } => (
                    "failed",
                    json!({ "cause": failure_label(&cause), "retryInSeconds": retry_at.map(wait) }),
                ),
            };
            json!({ "line": status.line, "aor": status.aor, "state": state, "detail": detail })
        })
        .collect();
    Json(json!({ "registrations": rows }))
}

fn failure_label(cause: &RegistrationFailure) -> String {
    match cause {
        RegistrationFailure::WrongCredentials => "wrong_credentials".to_owned(),
        RegistrationFailure::Refused(status) => format!("refused_{status}"),
        RegistrationFailure::Timeout => "timeout".to_owned(),
        RegistrationFailure::Unreachable => "unreachable".to_owned(),
        RegistrationFailure::Dns => "dns".to_owned(),
    }
}
