//! Requests as compiled templates.

use serde_json::{Map, Value};

use super::Compiler;
use crate::exchange::Method;
use crate::fault::FaultCode;
use crate::limits::{HEADERS_MAX, TOOL_TIMEOUT_MS_DEFAULT, TOOL_TIMEOUT_MS_MAX};
use crate::template::{Place, Template, Tree, UrlTemplate};
use crate::tool::{HttpTemplate, Retry};

/// A compiled request with what is made of its reply.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) method: Method,
    pub(crate) url: UrlTemplate,
    pub(crate) query: Vec<(String, Tree)>,
    pub(crate) headers: Vec<(String, Template)>,
    pub(crate) body: Option<Tree>,
    pub(crate) mapping: Option<Tree>,
    pub(crate) timeout_ms: u32,
    pub(crate) retry: Retry,
}

/// Headers that belong to the connection or to our own signature.
const RESERVED_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "idempotency-key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

pub(crate) fn method(text: &str) -> Option<Method> {
    match text.trim().to_ascii_uppercase().as_str() {
        "GET" => Some(Method::Get),
        "POST" => Some(Method::Post),
        "PUT" => Some(Method::Put),
        "PATCH" => Some(Method::Patch),
        "DELETE" => Some(Method::Delete),
        _ => None,
    }
}

impl Compiler<'_> {
    /// `places` are those of the request and of its reply.
    pub(crate) fn http(
        &mut self,
        template: &HttpTemplate,
        path: &str,
        places: (Place, Place),
        default_timeout_ms: Option<u32>,
    ) -> Option<Http> {
        let method = method(&template.method);
        if method.is_none() {
            self.fault(
                format!("{path}.method"),
                FaultCode::BadMethod,
                "The method is GET, POST, PUT, PATCH or DELETE.",
            );
        }
        let url = self.url(&template.url, &format!("{path}.url"), places.0);
        let query = self.trees(&template.query, &format!("{path}.query"), places.0);
        let headers = self.headers(&template.headers, &format!("{path}.headers"), places.0);
        let body = self.body(template, method, path, places.0);
        let mapping = match &template.response_mapping {
            Value::Null => None,
            mapping @ (Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => self.tree(mapping, &format!("{path}.responseMapping"), places.1),
        };
        let timeout_ms = self.timeout(
            template.timeout_ms.or(default_timeout_ms),
            &format!("{path}.timeoutMs"),
        );
        Some(Http {
            method: method?,
            url: url?,
            query,
            headers,
            body,
            mapping,
            timeout_ms,
            retry: template.retry.unwrap_or(Retry::Safe),
        })
    }

    pub(crate) fn timeout(&mut self, wanted: Option<u32>, path: &str) -> u32 {
        let timeout = wanted.unwrap_or(TOOL_TIMEOUT_MS_DEFAULT);
        if !(1..=TOOL_TIMEOUT_MS_MAX).contains(&timeout) {
            self.fault(
                path,
                FaultCode::OutOfRange,
                format!("A time-out is 1 to {TOOL_TIMEOUT_MS_MAX} milliseconds."),
            );
        }
        timeout
    }

    pub(crate) fn trees(
        &mut self,
        members: &Map<String, Value>,
        path: &str,
        place: Place,
    ) -> Vec<(String, Tree)> {
        members
            .iter()
            .filter_map(|(name, value)| {
                let tree = self.tree(value, &format!("{path}.{name}"), place)?;
                Some((name.clone(), tree))
            })
            .collect()
    }

    pub(crate) fn headers(
        &mut self,
        headers: &Map<String, Value>,
        path: &str,
        place: Place,
    ) -> Vec<(String, Template)> {
        if headers.len() > HEADERS_MAX {
            self.fault(
                path,
                FaultCode::TooLarge,
                format!("A request has at most {HEADERS_MAX} headers."),
            );
            return Vec::new();
        }
        let mut compiled = Vec::new();
        for (name, value) in headers {
            let path = format!("{path}.{name}");
            let lower = name.to_ascii_lowercase();
            let is_token = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
            if !is_token || RESERVED_HEADERS.contains(&lower.as_str()) {
                self.fault(
                    path,
                    FaultCode::BadHeader,
                    "This header cannot be set by a tool.",
                );
                continue;
            }
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    self.fault(path, FaultCode::BadHeader, "A header is a text.");
                    continue;
                }
            };
            if let Some(template) = self.template(&text, &path, place) {
                if template
                    .literal()
                    .is_some_and(|text| !is_header_value(text))
                {
                    self.fault(
                        path,
                        FaultCode::BadHeader,
                        "A header holds visible ASCII characters only.",
                    );
                }
                compiled.push((lower, template));
            }
        }
        compiled
    }

    fn body(
        &mut self,
        template: &HttpTemplate,
        method: Option<Method>,
        path: &str,
        place: Place,
    ) -> Option<Tree> {
        let path = format!("{path}.bodyTemplate");
        let body = match &template.body_template {
            Value::Null => return None,
            Value::Object(members) if members.is_empty() && method == Some(Method::Get) => {
                return None;
            }
            // Older files hold the body as JSON text.
            Value::String(text) if !text.starts_with('=') => {
                match serde_json::from_str::<Value>(text) {
                    Ok(body @ (Value::Object(_) | Value::Array(_))) => body,
                    _ => {
                        self.fault(
                            path,
                            FaultCode::WrongType,
                            "The body is a JSON object, or one expression such as ={{$ai}}.",
                        );
                        return None;
                    }
                }
            }
            other @ (Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => other.clone(),
        };
        if method == Some(Method::Get) {
            self.fault(
                path,
                FaultCode::Conflict,
                "A GET has no body: put the values into the address.",
            );
            return None;
        }
        let tree = self.tree(&body, &path, place)?;
        if !tree.is_object() && !tree.is_single_value() && !body.is_array() {
            self.fault(
                path,
                FaultCode::WrongType,
                "The body is a JSON object, or one expression such as ={{$ai}}.",
            );
            return None;
        }
        Some(tree)
    }
}

/// What may stand in a header: no line break can begin another one.
pub(crate) fn is_header_value(text: &str) -> bool {
    text.len() <= crate::limits::HEADER_BYTES_MAX
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}
