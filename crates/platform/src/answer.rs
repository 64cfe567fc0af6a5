//! What handlers answer: JSON with its entity tag, its page and the change that it made.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use crate::problem::Problem;

/// What a write did that is no change of an entry of the store, for the audit log.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Verb: `create`, `update`, `delete`, `pause`…
    pub action: &'static str,
    /// Kind of the thing: `agent`, `tool`…
    pub entity: &'static str,
    /// Its id.
    pub id: String,
    /// Account that it belongs to.
    pub tenant: Option<String>,
    /// More, without secrets.
    pub detail: Option<Value>,
}

/// A JSON answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Option<Value>,
    tag: Option<String>,
    next: Option<String>,
    changes: Vec<Change>,
    cookies: Vec<HeaderValue>,
}

/// What the handlers' answers leave for the guard.
#[derive(Clone, Debug)]
pub(crate) struct Changes(pub(crate) Vec<Change>);

impl Answer {
    /// 200 with a value.
    ///
    /// # Errors
    /// 500 when the value cannot be written as JSON.
    pub(crate) fn ok(value: impl Serialize) -> Result<Self, Problem> {
        Ok(Self {
            status: StatusCode::OK,
            body: Some(serde_json::to_value(value).map_err(Problem::internal)?),
            tag: None,
            next: None,
            changes: Vec::new(),
            cookies: Vec::new(),
        })
    }

    /// 201 with a value.
    ///
    /// # Errors
    /// 500 when the value cannot be written as JSON.
    pub(crate) fn created(value: impl Serialize) -> Result<Self, Problem> {
        let mut answer = Self::ok(value)?;
        answer.status = StatusCode::CREATED;
        Ok(answer)
    }

    /// 204.
    pub(crate) fn empty() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: None,
            tag: None,
            next: None,
            changes: Vec::new(),
            cookies: Vec::new(),
        }
    }

    /// 202 with a value.
    ///
    /// # Errors
    /// 500 when the value cannot be written as JSON.
    pub(crate) fn accepted(value: impl Serialize) -> Result<Self, Problem> {
        let mut answer = Self::ok(value)?;
        answer.status = StatusCode::ACCEPTED;
        Ok(answer)
    }

    /// With this entity tag.
    #[must_use]
    pub(crate) fn with_tag(mut self, tag: String) -> Self {
        self.tag = Some(tag);
        self
    }

    /// One page of a list; `next` is the cursor of the one after.
    #[must_use]
    pub(crate) fn with_next(mut self, next: Option<String>) -> Self {
        self.next = next;
        self
    }

    /// With these cookies.
    #[must_use]
    pub(crate) fn with_cookies(mut self, cookies: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    /// With the change that it made.
    #[must_use]
    pub(crate) fn changed(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}

/// Compares `If-Match` with the tag of what is stored.
///
/// # Errors
/// 412 when another has changed it; 428 when `required` and the client sent none.
pub(crate) fn check_match(
    headers: &HeaderMap,
    current: &str,
    required: bool,
) -> Result<(), Problem> {
    let Some(wanted) = headers.get(header::IF_MATCH) else {
        if required {
            return Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "api_precondition_required",
            ));
        }
        return Ok(());
    };
    let matches = wanted.to_str().is_ok_and(|wanted| {
        wanted
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag == current)
    });
    if matches {
        Ok(())
    } else {
        Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "api_precondition_failed",
        ))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = match &self.body {
            Some(body) => (
                self.status,
                [(header::CONTENT_TYPE, "application/json")],
                body.to_string(),
            )
                .into_response(),
            None => self.status.into_response(),
        };
        let headers = response.headers_mut();
        if let Some(tag) = self.tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
            headers.insert(header::ETAG, tag);
        }
        if let Some(cursor) = self.next.and_then(|next| HeaderValue::from_str(&next).ok()) {
            headers.insert("x-next-cursor", cursor);
        }
        for cookie in self.cookies {
            headers.append(header::SET_COOKIE, cookie);
        }
        if !self.changes.is_empty() {
            response.extensions_mut().insert(Changes(self.changes));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_kept() {
        let (one, other) = ("\"v1\"", "\"v2\"");
        let mut headers = HeaderMap::new();
        assert!(check_match(&headers, one, false).is_ok());
        assert_eq!(
            check_match(&headers, one, true).unwrap_err().status(),
            StatusCode::PRECONDITION_REQUIRED
        );
        headers.insert(header::IF_MATCH, format!("\"x\", {one}").parse().unwrap());
        assert!(check_match(&headers, one, true).is_ok());
        assert_eq!(
            check_match(&headers, other, false).unwrap_err().status(),
            StatusCode::PRECONDITION_FAILED
        );
    }
}
