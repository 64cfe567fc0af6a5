//! Requests of the voice side: each tool call carries `X-Allo-Signature` (`courier::sign`), each webhook the signature of Standard
//! Webhooks. Both prove the account, the text and the moment; what is older than the window is a repetition.

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use courier::sign::{
    HEADER_AGENT, HEADER_CALL, HEADER_SIGNATURE, HEADER_TENANT, HEADER_TIMESTAMP,
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, ToolSignature,
    is_tool_signature,
};
use courier::{Secret, WebhookSecret};
use jiff::Timestamp;
use serde_json::Value;

use super::app::{App, Refused};
use super::limits::SIGNATURE_WINDOW_S;
use super::refusal::Refusal;
use super::who::{Role, Who};
use crate::store::Access;
use crate::store::rows::Expected;

/// Longest value of a header that is looked at, in bytes.
const HEADER_BYTES_MAX: usize = 512;

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty() && text.len() <= HEADER_BYTES_MAX).then_some(text)
}

/// Whether a signature was sent, good or bad.
pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    headers.contains_key(HEADER_SIGNATURE) || headers.contains_key(HEADER_WEBHOOK_SIGNATURE)
}

/// Who signed.
///
/// # Errors
/// 401 for anything that does not prove it.
pub(super) async fn verify(app: &App, parts: &Parts, body: &[u8]) -> Result<Who, Refusal> {
    let headers = &parts.headers;
    let found = if headers.contains_key(HEADER_SIGNATURE) {
        tool(app, parts, body).await?
    } else {
        webhook(app, headers, body).await?
    };
    let (account, here) = found.ok_or_else(Refusal::unauthorized)?;
    let bucket = format!("voice:{account}");
    let agent = header(headers, HEADER_AGENT).map(str::to_owned);
    Ok(Who {
        access: Access::Voice {
            account,
            agent,
            here,
        },
        role: Role::Operator,
        bucket,
        call: None,
        key: None,
        expected: Expected::default(),
    })
}

async fn secret(app: &App, account: &str) -> Result<Option<Secret>, Refusal> {
    let found = (app.doors.secret)(account.to_owned()).await;
    match found {
        Ok(found) => Ok(found.map(Secret::new)),
        Err(Refused::Unknown | Refused::Forged) => Ok(None),
        Err(Refused::Unavailable) => Err(Refusal::unavailable("the secret of an account")),
    }
}

/// The account that signed a tool's request, and whether it is one of this node.
async fn tool(app: &App, parts: &Parts, body: &[u8]) -> Result<Option<(String, bool)>, Refusal> {
    let headers = &parts.headers;
    let (Some(account), Some(timestamp), Some(signature)) = (
        header(headers, HEADER_TENANT),
        header(headers, HEADER_TIMESTAMP),
        header(headers, HEADER_SIGNATURE),
    ) else {
        return Ok(None);
    };
    let presented = ToolSignature {
        timestamp: timestamp.to_owned(),
        signature: signature.to_owned(),
    };
    let target = parts.uri.path_and_query().map_or("/", |uri| uri.as_str());
    let now = (Timestamp::now().as_second(), SIGNATURE_WINDOW_S);
    let is = |secret: &Secret| {
        is_tool_signature(secret, now, &presented, parts.method.as_str(), target, body)
    };
    let here = secret(app, account).await?.as_ref().is_some_and(is);
    let elsewhere = !here && app.config.voice_secret.as_ref().is_some_and(is);
    let proven = (here || elsewhere) && is_first(app, parts, &presented, now);
    Ok(proven.then(|| (account.to_owned(), here)))
}

/// Whether the request is no other call's, sent again under this one's name. What only reads depends on no call.
fn is_first(app: &App, parts: &Parts, presented: &ToolSignature, now: (i64, i64)) -> bool {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return true;
    }
    let signed_s = presented.timestamp.parse().unwrap_or(now.0);
    let call = header(&parts.headers, HEADER_CALL);
    let signature = presented.signature.to_ascii_lowercase();
    app.replays.admits(&signature, signed_s, call, now)
}

/// A webhook names its restaurant, and that one's accounts may have signed it.
async fn webhook(
    app: &App,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<(String, bool)>, Refusal> {
    let (Some(id), Some(timestamp), Some(signatures)) = (
        header(headers, HEADER_WEBHOOK_ID),
        header(headers, HEADER_WEBHOOK_TIMESTAMP),
        header(headers, HEADER_WEBHOOK_SIGNATURE),
    ) else {
        return Ok(None);
    };
    let signed_s = timestamp.parse::<i64>().ok();
    let now = Timestamp::now().as_second();
    let Some(signed_s) =
        signed_s.filter(|at| now.abs_diff(*at) <= SIGNATURE_WINDOW_S.unsigned_abs())
    else {
        return Ok(None);
    };
    let body_value: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(restaurant) = restaurant_of(&body_value) else {
        return Ok(None);
    };
    let is = |secret: &Secret| {
        WebhookSecret::parse(secret)
            .is_ok_and(|secret| secret.is_signature(id, signed_s, body, signatures))
    };
    let signers = Access::signers(&app.db, restaurant).await?;
    for account in &signers {
        if secret(app, account).await?.as_ref().is_some_and(is) {
            return Ok(Some((account.clone(), true)));
        }
    }
    let elsewhere = app.config.voice_secret.as_ref().is_some_and(is);
    // The last one is where its agent is.
    Ok(signers
        .into_iter()
        .next_back()
        .filter(|_| elsewhere)
        .map(|account| (account, false)))
}

/// The restaurant that a webhook of the end of a call names.
pub(super) fn restaurant_of(body: &Value) -> Option<&str> {
    let direct = body.get("restaurantId").and_then(Value::as_str);
    direct.or_else(|| {
        let context = body.get("finalContext")?;
        let id = context.get("restaurant_id");
        id.or_else(|| context.get("restaurantId"))?.as_str()
    })
}
