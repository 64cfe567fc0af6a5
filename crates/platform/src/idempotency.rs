//! `Idempotency-Key` on POST: the answer of the first request is the answer of every repetition.
//!
//! Answers may hold a token that is shown once; what is kept of them is sealed with the vault's key.

use crate::api::Api;
use crate::caller::Caller;
use crate::limits::{
    IDEMPOTENCY_ANSWER_BYTES_MAX, IDEMPOTENCY_KEPT, IDEMPOTENCY_KEY_CHARACTERS_MAX,
};
use crate::problem::Problem;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use store::{Realm, Repetition, StoredAnswer, TenantScope};

/// Salt of the key that seals the answers.
const SALT: &str = "idempotency";
/// Headers of an answer that a repetition gets too.
const KEPT_HEADERS: &[&str] = &["content-type", "etag"];

/// A request that may be repeated.
pub(crate) enum Begun {
    /// The stored answer of an earlier request.
    Answered(Response),
    /// Nobody has run it yet.
    Run(Once),
}

/// What has to be written when the request has run.
pub(crate) struct Once(Option<Taken>);

struct Taken {
    scope: Option<TenantScope>,
    key: String,
}

impl Taken {
    fn realm(&self) -> Realm<'_> {
        self.scope.as_ref().map_or(Realm::Node, Realm::Tenant)
    }
}

impl Once {
    /// Looks for the key of a request.
    ///
    /// # Errors
    /// 400 for a key that is none, 422 for one of another request, 409 for one that is in progress.
    pub(crate) async fn begin(
        api: &Arc<Api>,
        caller: &Caller,
        parts: &Parts,
        body: &[u8],
    ) -> Result<Begun, Problem> {
        let Some(key) = parts.headers.get("idempotency-key") else {
            return Ok(Begun::Run(Self(None)));
        };
        if parts.method != Method::POST {
            return Ok(Begun::Run(Self(None)));
        }
        let key = key
            .to_str()
            .ok()
            .filter(|key| {
                (1..=IDEMPOTENCY_KEY_CHARACTERS_MAX).contains(&key.len())
                    && key.bytes().all(|byte| byte.is_ascii_graphic())
            })
            .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "api_idempotency_key"))?;
        // Each credential has its own keys: one does not see another's answers.
        let taken = Taken {
            scope: caller.tenant.clone().map(TenantScope::new),
            key: store::credential::hash_key(&format!("{}\n{key}", caller.bucket())),
        };
        let mut hash = Sha256::new();
        hash.update(parts.uri.to_string().as_bytes());
        hash.update([0]);
        hash.update(body);
        let hash = base64_simd::URL_SAFE_NO_PAD.encode_to_string(hash.finalize());
        let now = Timestamp::now();
        let kept = SignedDuration::try_from(IDEMPOTENCY_KEPT).unwrap_or(SignedDuration::ZERO);
        let until = now.checked_add(kept).map_err(Problem::internal)?;
        let found = api
            .store
            .take_idempotency_key(taken.realm(), &taken.key, &hash, now, until)
            .await?;
        match found {
            Repetition::First => Ok(Begun::Run(Self(Some(taken)))),
            Repetition::Done(answer) => Ok(Begun::Answered(again(api, answer).await?)),
            Repetition::InProgress => {
                Err(Problem::conflict("api_idempotency_in_progress").retry_after(1))
            }
            Repetition::OtherRequest => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "api_idempotency_mismatch",
            )),
        }
    }

    /// Keeps the answer. What may go otherwise next time (a fault of ours, a limit) gives the key back.
    pub(crate) async fn end(self, api: &Arc<Api>, response: Response) -> Result<Response, Problem> {
        let Some(taken) = self.0 else {
            return Ok(response);
        };
        if !response.status().is_success() {
            api.store
                .give_back_idempotency_key(taken.realm(), &taken.key)
                .await?;
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, IDEMPOTENCY_ANSWER_BYTES_MAX)
            .await
            .map_err(Problem::internal)?;
        let text = String::from_utf8_lossy(&bytes);
        let sealed = api
            .vault
            .seal(SALT, &text)
            .await
            .map_err(Problem::internal)?;
        let headers: Map<String, Value> = KEPT_HEADERS
            .iter()
            .filter_map(|name| {
                let value = parts.headers.get(*name)?.to_str().ok()?;
                Some(((*name).to_owned(), Value::String(value.to_owned())))
            })
            .collect();
        let answer = StoredAnswer {
            status: parts.status.as_u16(),
            headers: Some(Value::Object(headers).to_string()),
            body: sealed,
        };
        // The write is made: an answer that is not kept must not turn it into an error.
        if let Err(error) = api
            .store
            .answer_idempotency_key(taken.realm(), &taken.key, &answer)
            .await
        {
            tracing::warn!(%error, "the answer to a repeatable request was not kept");
        }
        Ok(Response::from_parts(parts, Body::from(bytes)))
    }
}

async fn again(api: &Api, answer: StoredAnswer) -> Result<Response, Problem> {
    let text = api
        .vault
        .open(SALT, &answer.body)
        .await
        .map_err(Problem::internal)?;
    let status = StatusCode::from_u16(answer.status).map_err(Problem::internal)?;
    let mut response = (status, text.expose().to_owned()).into_response();
    let kept = crate::support::object(answer.headers.as_deref().unwrap_or("{}"));
    for name in KEPT_HEADERS {
        if let Some(value) = kept.get(*name).and_then(Value::as_str)
            && let Ok(value) = HeaderValue::from_str(value)
        {
            response.headers_mut().insert(*name, value);
        }
    }
    if status == StatusCode::NO_CONTENT {
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    response
        .headers_mut()
        .insert("idempotent-replayed", HeaderValue::from_static("true"));
    Ok(response)
}
