//! Errors as problem+json (RFC 9457): what the caller may know, in words; the inside goes to the log.
//!
//! A handler returns a [`Problem`]; it travels as an extension of the response and is written out once, at the edge, where the
//! language of the reader is known.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::{Language, Message};
use serde::Serialize;

/// Most faults that one answer lists.
const FAULTS_MAX: usize = 100;

/// One thing that is wrong with what was sent.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct FieldFault {
    /// Where, as a JSON path: `tools[2].http.url`.
    pub path: String,
    /// Character in the text there, from 0; absent where the whole value is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// Stable name of the fault.
    pub code: String,
    /// What is wrong, in words.
    pub detail: String,
}

/// An error of the API.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    message: Message,
    errors: Vec<FieldFault>,
    retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem by its status and its code in the catalogue.
    pub fn new(status: StatusCode, code: &'static str) -> Self {
        Self {
            status,
            message: Message::new(code),
            errors: Vec::new(),
            retry_after_s: None,
        }
    }

    /// The same with a parameter of the sentence.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<catalog::Param>) -> Self {
        self.message = self.message.with(name, value);
        self
    }

    /// The same with `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "api_bad_request").with("cause", cause.into())
    }

    /// 422: understood, and not acceptable; each fault with its place.
    pub fn invalid(mut errors: Vec<FieldFault>) -> Self {
        let count = i64::try_from(errors.len()).unwrap_or(i64::MAX);
        errors.truncate(FAULTS_MAX);
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "api_invalid").with("count", count);
        problem.errors = errors;
        problem
    }

    /// The same with the places of its faults told without this beginning.
    #[must_use]
    pub(crate) fn within(mut self, beginning: &str) -> Self {
        for fault in &mut self.errors {
            if let Some(rest) = fault.path.strip_prefix(beginning) {
                fault.path = rest.to_owned();
            }
        }
        self
    }

    /// 422 with one fault.
    pub fn field(path: &str, code: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldFault {
            path: path.to_owned(),
            position: None,
            code: code.to_owned(),
            detail: detail.into(),
        }])
    }

    /// 404: there is no such thing, or it is another's: the answer does not tell which.
    pub fn unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "api_unknown")
    }

    /// 403.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "api_forbidden")
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "platform_unauthorized")
    }

    /// 409 with a code.
    pub fn conflict(code: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, code)
    }

    /// 500; the cause is logged, not told.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "api_internal")
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Code in the catalogue.
    pub fn code(&self) -> &str {
        &self.message.code
    }

    fn write(&self, language: Language, request_id: Option<&str>) -> Response {
        let rendered = catalog::render(&self.message, language);
        let mut body = serde_json::json!({
            "type": format!("docs/errors.md#{}", self.message.code),
            "title": rendered.text,
            "status": self.status.as_u16(),
            "code": self.message.code,
            "params": self.message.params,
            "remedy": rendered.remedy,
            // Clients of the provisioning contract read this one.
            "error": rendered.text,
        });
        if !self.errors.is_empty() {
            body["errors"] = serde_json::json!(self.errors);
        }
        if let Some(id) = request_id {
            body["requestId"] = id.into();
        }
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer, ApiKey header=\"X-API-Key\""),
            );
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<store::ReadError> for Problem {
    fn from(error: store::ReadError) -> Self {
        tracing::error!(error = %causes(&error), "the database did not answer a request");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "api_store_failed").retry_after(1)
    }
}

impl From<store::WriteError> for Problem {
    fn from(error: store::WriteError) -> Self {
        tracing::error!(error = %causes(&error), "the database refused a write");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "api_store_failed").retry_after(1)
    }
}

/// An error with everything under it, outermost first.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The reader's language: the first of `Accept-Language` that we speak, else the server's.
pub(crate) fn language_of(headers: &HeaderMap, default: Language) -> Language {
    headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            value
                .split(',')
                .find_map(|tag| Language::from_tag(tag.split(';').next()?.trim()))
        })
        .unwrap_or(default)
}

/// Writes out the problem that a response carries; a bare error of the router gets its words here.
pub(crate) fn render(response: Response, language: Language, request_id: &str) -> Response {
    let (parts, body) = response.into_parts();
    let problem = parts
        .extensions
        .get::<Problem>()
        .cloned()
        .or_else(|| bare(&parts));
    let Some(problem) = problem else {
        return Response::from_parts(parts, body);
    };
    let mut written = problem.write(language, Some(request_id));
    for (name, value) in &parts.headers {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            written.headers_mut().insert(name, value.clone());
        }
    }
    written
}

/// Errors that axum itself answers, as text or with an empty body.
fn bare(parts: &http::response::Parts) -> Option<Problem> {
    let json = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/"));
    if json {
        return None;
    }
    let code = match parts.status {
        StatusCode::NOT_FOUND => "api_not_found",
        StatusCode::METHOD_NOT_ALLOWED => "api_method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "api_body_too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "api_media_type",
        status if status.is_client_error() => {
            return Some(Problem::new(status, "api_bad_request").with("cause", status.to_string()));
        }
        status if status.is_server_error() => {
            return Some(Problem::new(status, "api_internal"));
        }
        _ => return None,
    };
    Some(Problem::new(parts.status, code))
}
