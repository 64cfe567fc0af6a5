//! The OpenAPI document, and the page that shows it without asking anybody else.

use crate::api::Api;
use crate::problem::FieldFault;
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Serialize;
use serde_json::Value;
use std::sync::{Arc, LazyLock};
use utoipa::openapi::OpenApi;
use utoipa::openapi::info::{Info, License};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{PartialSchema as _, ToSchema};

/// The shape of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
#[allow(dead_code, reason = "it is the schema of what `Problem` writes")]
struct ProblemShape {
    /// Where the error is explained.
    r#type: String,
    /// What is wrong, in the language of the reader.
    title: String,
    /// HTTP status.
    status: u16,
    /// Stable code.
    code: String,
    /// Values of the sentence.
    params: Value,
    /// What can be done.
    remedy: Option<String>,
    /// The title again, by the name that clients of the provisioning contract read.
    error: String,
    /// Each fault with its place, where the request was understood and is not acceptable.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<FieldFault>>,
    /// Id of the request, also in `X-Request-Id`.
    request_id: Option<String>,
}

static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(make);

/// The document of this version.
pub fn document() -> &'static OpenApi {
    &DOCUMENT
}

/// The document as it is committed: pretty JSON with a line end.
pub fn document_text() -> String {
    let whole = serde_json::to_value(document()).unwrap_or_default();
    let mut text = serde_json::to_string_pretty(&steady(whole)).unwrap_or_default();
    text.push('\n');
    text
}

/// The library keeps extensions in a map whose order changes with each process: here they come last, by name.
fn steady(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let (mut extensions, plain): (Vec<_>, Vec<_>) = members
                .into_iter()
                .partition(|(name, _)| name.starts_with("x-"));
            extensions.sort_by(|a, b| a.0.cmp(&b.0));
            plain
                .into_iter()
                .chain(extensions)
                .map(|(name, member)| (name, steady(member)))
                .collect()
        }
        Value::Array(items) => items.into_iter().map(steady).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn make() -> OpenApi {
    let (_, mut document, _) = crate::routes::table().finish();
    let mut info = Info::new("allo platform API", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Accounts, agents, tools, lines, calls and live events of an AI telephone operator. See docs/api.md.".to_owned(),
    );
    info.license = Some(License::new("AGPL-3.0-or-later"));
    document.info = info;
    let components = document.components.get_or_insert_default();
    components
        .schemas
        .insert("Problem".to_owned(), ProblemShape::schema());
    components
        .schemas
        .insert("FieldFault".to_owned(), FieldFault::schema());
    let bearer = |about: &str| {
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(about))
                .build(),
        )
    };
    let header = |name: &str, about: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, about)))
    };
    for (name, scheme) in [
        (
            "apiKey",
            header("X-API-Key", "A key of an account, or of the node."),
        ),
        (
            "session",
            bearer("The session of a user, from POST /api/auth/login."),
        ),
        (
            "agentToken",
            bearer("The token of an agent, from its creation."),
        ),
        ("adminToken", bearer("The admin token of the process.")),
        (
            "publicToken",
            header(
                "X-Public-Token",
                "The public token of an agent's chat widget.",
            ),
        ),
    ] {
        components
            .security_schemes
            .insert(name.to_owned(), scheme.into());
    }
    document
}

/// The document and its page.
pub(crate) fn pages() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/openapi.json", get(json))
        .route("/api/docs", get(page))
        .route("/api/docs.js", get(script))
}

async fn json() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(document_text);
    std::future::ready((
        [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "max-age=60"),
        ],
        TEXT.as_str(),
    ))
    .await
}

async fn page() -> impl IntoResponse {
    std::future::ready((
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "max-age=60"),
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
        ],
        include_str!("openapi/page.html"),
    ))
    .await
}

async fn script() -> impl IntoResponse {
    std::future::ready((
        [
            (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
            (header::CACHE_CONTROL, "max-age=60"),
        ],
        include_str!("openapi/page.js"),
    ))
    .await
}
