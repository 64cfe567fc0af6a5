//! What was sent: the members of a body, the values of a query.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::store::rows::tag;

/// The body of a request, a JSON object.
#[derive(Clone, Debug, Default)]
pub struct Members(pub Map<String, Value>);

impl Members {
    /// A text of it, where it is one and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name)?.as_str()?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// A text that has to be there.
    ///
    /// # Errors
    /// 400.
    pub fn needed(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| Refusal::missing(name))
    }
}

impl<S: Send + Sync> FromRequest<S> for Members {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        // The guard has read it within its bounds.
        let bytes = axum::body::to_bytes(request.into_body(), usize::MAX).await;
        let bytes = bytes.map_err(|error| Refusal::bad_request(error.to_string()))?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(Refusal::bad_request("a JSON object is expected")),
            Err(error) => Err(Refusal::bad_request(error.to_string())),
        }
    }
}

/// A row as an answer, with the tag of its state.
pub(super) fn shown(status: StatusCode, row: Map<String, Value>) -> Response {
    let tag = tag(&row).and_then(|tag| HeaderValue::from_str(&tag).ok());
    let mut response = (status, Json(row)).into_response();
    if let Some(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The query of a request. Of a name that comes twice the first value counts.
#[derive(Clone, Debug, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// A value, where it is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name)?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// A value that has to be there.
    ///
    /// # Errors
    /// 400.
    pub fn needed(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| Refusal::missing(name))
    }

    /// Whether a switch is on.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.text(name), Some("true" | "1" | "yes"))
    }

    /// A telephone number. In a query a `+` that was not encoded arrives as a space: existing clients write it so.
    pub fn phone(&self, name: &str) -> Option<String> {
        let raw = self.0.get(name)?;
        let trimmed = raw.trim();
        if trimmed.is_empty() {
            return None;
        }
        let digits = trimmed.bytes().all(|byte| byte.is_ascii_digit());
        if raw.starts_with(' ') && digits {
            return Some(format!("+{trimmed}"));
        }
        Some(trimmed.to_owned())
    }

    /// A whole number between two.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn number(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|n| (least..=most).contains(n));
        let expected = || Refusal::field(name, format!("{least}-{most}"));
        number.map(Some).ok_or_else(expected)
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let mut values = BTreeMap::new();
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            values
                .entry(name.into_owned())
                .or_insert(value.into_owned());
        }
        Ok(Self(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_plus_that_was_not_encoded_is_a_plus() {
        for (query, expected) in [
            ("phone=%2B33612345678", Some("+33612345678")),
            ("phone=+33612345678", Some("+33612345678")),
            ("phone=0612345678", Some("0612345678")),
            ("phone=", None),
            ("other=1", None),
        ] {
            let request = http::Request::builder().uri(format!("/x?{query}"));
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let read = Query::from_request_parts(&mut parts, &()).await.unwrap();
            assert_eq!(read.phone("phone").as_deref(), expected, "{query}");
        }
    }
}
