//! The chat widget that an agent's customers put on their pages: one script, no dependency.

use crate::api::Api;
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;

/// The script's address.
pub(crate) fn pages() -> Router<Arc<Api>> {
    Router::new().route("/widget/chat.js", get(script))
}

async fn script() -> impl IntoResponse {
    std::future::ready((
        [
            (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
            (header::CACHE_CONTROL, "max-age=300"),
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        ],
        // Pages that isolate themselves load only what says that it may be loaded.
        [("cross-origin-resource-policy", "cross-origin")],
        include_str!("widget/chat.js"),
    ))
    .await
}
