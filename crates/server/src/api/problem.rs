//! Errors as problem+json (RFC 9457): what the caller may know, in words; the inside goes to the log.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::{Language, Message};

/// An error of the API.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    message: Message,
    language: Language,
}

impl Problem {
    pub(crate) fn new(status: u16, code: &'static str) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            message: Message::new(code),
            language: Language::Fr,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<catalog::Param>) -> Self {
        self.message = self.message.with(name, value);
        self
    }

    pub(crate) fn in_language_of(mut self, headers: &HeaderMap, default: Language) -> Self {
        self.language = language_of(headers, default);
        self
    }
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

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let rendered = catalog::render(&self.message, self.language);
        let body = serde_json::json!({
            "type": format!("docs/errors.md#{}", self.message.code),
            "title": rendered.text,
            "status": self.status.as_u16(),
            "code": self.message.code,
            "params": self.message.params,
            "remedy": rendered.remedy,
        });
        let mut response = (
            self.status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            body.to_string(),
        )
            .into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Bearer"),
            );
        }
        response
    }
}

/// Any path that no route knows.
pub(crate) async fn not_found(headers: HeaderMap) -> Problem {
    Problem::new(404, "api_not_found").in_language_of(&headers, Language::Fr)
}
