//! Errors in the contract's form, `{"error": sentence}`, in the language of the reader. The inside goes to the log.

use ::store::{ChangeError, ReadError, WriteError};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::{Language, Message};
use serde_json::json;

use crate::after::BadWishes;
use crate::store::Fault;

/// Why a request is refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: StatusCode,
    message: Message,
    retry_after_s: Option<u64>,
}

impl Refusal {
    /// A refusal by its status and its code in the catalogue.
    pub fn new(status: StatusCode, code: &'static str) -> Self {
        Self {
            status,
            message: Message::new(code),
            retry_after_s: None,
        }
    }

    /// The same with a parameter of the sentence.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<catalog::Param>) -> Self {
        self.message = self.message.with(name, value);
        self
    }

    /// 400: a member is not there.
    pub fn missing(field: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "office_missing").with("field", field)
    }

    /// 400: a member is not what it should be.
    pub fn field(field: &str, expected: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "office_field")
            .with("field", field)
            .with("expected", expected.into())
    }

    /// 400: the request cannot be read.
    pub fn bad_request(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "api_bad_request").with("cause", cause.into())
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "office_unauthorized")
    }

    /// 403.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "api_forbidden")
    }

    /// 404: there is no such thing, or it is another's: the answer does not tell which.
    pub fn unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "api_unknown")
    }

    /// 404: no route.
    pub fn no_address() -> Self {
        Self::new(StatusCode::NOT_FOUND, "api_not_found")
    }

    /// 429.
    pub fn too_many(seconds: u64) -> Self {
        let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "api_rate_limited")
            .with("seconds", i64::try_from(seconds).unwrap_or(i64::MAX));
        refusal.retry_after_s = Some(seconds);
        refusal
    }

    /// 500; the cause is logged, not told.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request to the back office failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "api_internal")
    }

    /// 503: the database does not answer.
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "the database failed the back office");
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "api_store_failed");
        refusal.retry_after_s = Some(1);
        refusal
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer in a language.
    pub(super) fn write(&self, language: Language) -> Response {
        let rendered = catalog::render(&self.message, language);
        let sentence = match &rendered.remedy {
            Some(remedy) => format!("{} {remedy}", rendered.text),
            None => rendered.text,
        };
        let body = Json(json!({ "error": sentence, "code": self.message.code }));
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // The edge knows the language of the reader.
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let refusal = Self::new(StatusCode::BAD_REQUEST, fault.code).with("field", fault.field);
        fault
            .params
            .into_iter()
            .fold(refusal, |refusal, (name, value)| refusal.with(name, value))
    }
}

impl From<BadWishes> for Refusal {
    fn from(bad: BadWishes) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "notice_settings")
            .with("member", bad.member)
            .with("cause", bad.cause)
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Self::unavailable(error)
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        Self::unavailable(error)
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound { .. } => Self::unknown(),
            ChangeError::Duplicate { .. } => Self::new(StatusCode::CONFLICT, "api_exists"),
            ChangeError::UnknownReference | ChangeError::InUse { .. } => {
                Self::new(StatusCode::CONFLICT, "office_reference")
            }
            ChangeError::VersionConflict { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "api_precondition_failed")
            }
            ChangeError::Refused { cause } => Self::bad_request(cause),
            ChangeError::Write(error) => error.into(),
        }
    }
}
