//! From compiled requests to requests.

use serde_json::{Map, Value};

use crate::compile::is_header_value;
use crate::compile::{Http, Mcp};
use crate::exchange::{HttpCall, McpCall, Method};
use crate::template::{EvalError, Scope, Template, Tree, plain_text};
use crate::tool::Retry;

/// The request with all values in it.
pub(super) fn http_call(
    http: &Http,
    scope: &Scope<'_>,
    key: Option<String>,
) -> Result<HttpCall, EvalError> {
    let url = http.url.evaluate(scope, &query(&http.query, scope)?)?;
    let mut headers = headers(&http.headers, scope)?;
    let body = match &http.body {
        None => None,
        Some(tree) => tree.value(scope)?.map(|value| value.to_string()),
    };
    if body.is_some() && !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let safe_to_retry = match http.retry {
        Retry::Never => false,
        Retry::Always => true,
        Retry::Safe => matches!(http.method, Method::Get | Method::Put | Method::Delete),
    };
    Ok(HttpCall {
        method: http.method,
        url,
        headers,
        body,
        timeout_ms: http.timeout_ms,
        idempotency_key: key.filter(|_| http.method != Method::Get),
        safe_to_retry,
    })
}

/// The MCP call with all values in it.
pub(super) fn mcp_call(
    mcp: &Mcp,
    scope: &Scope<'_>,
    key: Option<String>,
) -> Result<McpCall, EvalError> {
    let arguments = match &mcp.arguments {
        None => scope.arguments.cloned(),
        Some(tree) => tree.value(scope)?,
    };
    Ok(McpCall {
        url: mcp.url.evaluate(scope, &[])?,
        headers: headers(&mcp.headers, scope)?,
        tool: mcp.tool.clone(),
        arguments: arguments
            .filter(Value::is_object)
            .unwrap_or_else(|| Value::Object(Map::new())),
        timeout_ms: mcp.timeout_ms,
        idempotency_key: key,
    })
}

/// Parameters beside those in the address; a list repeats its name.
fn query(
    parameters: &[(String, Tree)],
    scope: &Scope<'_>,
) -> Result<Vec<(String, String)>, EvalError> {
    let mut out = Vec::new();
    for (name, tree) in parameters {
        match tree.value(scope)? {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) => {
                out.extend(
                    items
                        .iter()
                        .filter(|item| !item.is_null())
                        .map(|item| (name.clone(), plain_text(item).into_owned())),
                );
            }
            Some(value) => out.push((name.clone(), plain_text(&value).into_owned())),
        }
    }
    Ok(out)
}

fn headers(
    templates: &[(String, Template)],
    scope: &Scope<'_>,
) -> Result<Vec<(String, String)>, EvalError> {
    let mut out = Vec::new();
    for (name, template) in templates {
        let Some(value) = template.value(scope)? else {
            continue;
        };
        let text = plain_text(&value).into_owned();
        if !is_header_value(&text) {
            return Err(EvalError::BadAddress);
        }
        out.push((name.clone(), text));
    }
    Ok(out)
}
