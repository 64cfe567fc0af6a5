//! One attempt of one delivery, and what it is written down as.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use call::CallId;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use store::secret::Vault;
use store::{Attempt, Delivery, NewDelivery, Store, TenantScope};

use super::{Work, schedule};
use crate::courier::Courier;
use crate::guard::Refusal;
use crate::http::{Order, Reply, SendError, exchange};
use crate::limits::{DELIVERY_WITHIN, REPLY_BODY_MAX};
use crate::secret::Secret;
use crate::sign::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, WebhookSecret,
};
use crate::traces::{Attribute, Outcome, Role, Span, TRACEPARENT, TraceContext};

/// What the spans of deliveries are called.
const SPAN: &str = "webhook";
/// Kind of a delivery that completes the record of a call by PATCH.
const RECORD_PATCH: &str = "record_patch";

/// What a tenant's webhook secret is called in the vault.
pub const WEBHOOK_PURPOSE: &str = "webhook";

/// The answer of [`WebhookSecrets`]: the tenant's secret; none where it has none. An error is a secret that cannot be read now.
pub type SecretSource = Pin<Box<dyn Future<Output = Result<Option<Secret>, ()>> + Send>>;

/// Where the webhook secret of a tenant comes from.
#[derive(Clone)]
pub struct WebhookSecrets(Arc<dyn Fn(TenantScope) -> SecretSource + Send + Sync>);

impl std::fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecrets(..)")
    }
}

impl WebhookSecrets {
    /// From a function.
    pub fn from_fn(source: impl Fn(TenantScope) -> SecretSource + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// From the vault: the tenant's value for [`WEBHOOK_PURPOSE`].
    pub fn from_vault(store: Store, vault: Vault) -> Self {
        Self::from_fn(move |scope| {
            let (store, vault) = (store.clone(), vault.clone());
            Box::pin(async move {
                let found = vault
                    .get(&store, &scope, WEBHOOK_PURPOSE)
                    .await
                    .map_err(|_| ())?;
                Ok(found.map(|text| Secret::new(text.expose())))
            })
        })
    }
}

/// How an attempt went.
enum Ended {
    Done(u16),
    /// It may work later.
    Later {
        status: Option<u16>,
        cause: &'static str,
        named: Option<Duration>,
    },
    /// It will never work.
    Never {
        status: Option<u16>,
        cause: &'static str,
    },
}

/// Makes the attempt and writes down what came of it.
pub(super) async fn deliver(work: &Work, delivery: &Delivery) {
    let ended = match secret(work, delivery).await {
        Ok(secret) => {
            let reply = send(work, delivery, secret.as_ref()).await;
            match &reply {
                Ok(reply) if !complete(work, delivery, reply).await => Ended::Later {
                    status: Some(reply.status),
                    cause: "not_written",
                    named: None,
                },
                Ok(_) | Err(_) => judge(reply),
            }
        }
        Err(cause) => Ended::Later {
            status: None,
            cause,
            named: None,
        },
    };
    let now = Timestamp::now();
    let attempts = u32::try_from(delivery.attempts).unwrap_or(u32::MAX);
    let (outcome, label) = match ended {
        Ended::Done(status) => {
            let status = status.into();
            (Attempt::Delivered { status }, "delivered")
        }
        Ended::Never { status, cause } => (dead(status, cause), "dead"),
        Ended::Later {
            status,
            cause,
            named,
        } => match schedule::pause_after(attempts, random_share(), named) {
            Some(pause) => (
                Attempt::Failed {
                    status: status.map(i64::from),
                    error: cause.to_owned(),
                    next_attempt_at: now + pause,
                },
                "failed",
            ),
            None => (dead(status, cause), "dead"),
        },
    };
    work.courier.inner.metrics.delivery(label);
    work.voice.heard(delivery, &outcome);
    // Where this cannot be written the lease ends, and the row is delivered again under the same id.
    if work
        .store
        .note_attempt(delivery, &outcome, now)
        .await
        .is_err()
    {
        work.voice.store_fails();
    }
}

/// Sends it, within the trace of its call where traces are told.
async fn send(
    work: &Work,
    delivery: &Delivery,
    secret: Option<&WebhookSecret>,
) -> Result<Reply, SendError> {
    let what = &delivery.delivery;
    let method = if what.kind == RECORD_PATCH {
        Method::PATCH
    } else {
        Method::POST
    };
    let trace = trace_of(work, delivery).await;
    let begun = Timestamp::now();
    let trace = trace.as_ref();
    let header = trace.map(|trace| trace.traceparent(SPAN, &attempt_of(delivery)));
    let (url, message) = (&what.url, (what.id.as_str(), what.body.as_str()));
    let reply = work
        .courier
        .deliver(method, url, message, secret, header)
        .await;
    if let Some(trace) = trace {
        tell(work, delivery, trace, begun, &reply);
    }
    reply
}

/// The trace of the call that a delivery is about, where traces are told.
async fn trace_of(work: &Work, delivery: &Delivery) -> Option<TraceContext> {
    work.courier.inner.traces.as_ref()?;
    let call = CallId::from(delivery.delivery.call_id.clone()?);
    let parent = work.store.trace_parent(&delivery.scope, &call).await;
    Some(TraceContext::of_call(
        call.as_str(),
        parent.ok().flatten().as_deref(),
    ))
}

/// Tells an attempt.
fn tell(
    work: &Work,
    delivery: &Delivery,
    trace: &TraceContext,
    begun: Timestamp,
    reply: &Result<Reply, SendError>,
) {
    let Some(exporter) = work
        .courier
        .inner
        .traces
        .as_ref()
        .filter(|_| trace.is_sampled())
    else {
        return;
    };
    let what = &delivery.delivery;
    let mut attributes = vec![
        ("allo.webhook.kind", Attribute::Text(what.kind.clone())),
        ("allo.webhook.id", Attribute::Text(what.id.clone())),
        ("allo.webhook.attempt", Attribute::Whole(delivery.attempts)),
    ];
    let outcome = match reply {
        Ok(reply) => {
            let status = Attribute::Whole(reply.status.into());
            attributes.push(("http.response.status_code", status));
            if reply.is_success() {
                Outcome::Ok
            } else {
                Outcome::Failed(format!("HTTP {}", reply.status))
            }
        }
        Err(error) => Outcome::Failed(error.label().to_owned()),
    };
    exporter.tell(Span {
        trace: trace.trace_id(),
        id: trace.span_id(SPAN, &attempt_of(delivery)),
        parent: Some(trace.root_id()),
        has_remote_parent: false,
        name: format!("webhook {}", what.kind),
        role: Role::Producer,
        began: begun,
        ended: Timestamp::now(),
        attributes,
        events: Vec::new(),
        outcome,
    });
}

/// Which attempt of which delivery.
fn attempt_of(delivery: &Delivery) -> String {
    format!("{} {}", delivery.delivery.id, delivery.attempts)
}

/// A receiver that made a record of the end of a call is owed its completion: it is written before the answer counts. False where
/// that failed.
async fn complete(work: &Work, delivery: &Delivery, reply: &Reply) -> bool {
    let what = &delivery.delivery;
    if what.kind != agent::CALL_END_COMPLETED || reply.status != 201 {
        return true;
    }
    let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let patch = answer["id"]
        .as_str()
        .and_then(|record| agent::record_patch(&what.body, record));
    let Some(body) = patch else {
        return true;
    };
    let follows = NewDelivery {
        id: format!("{}-record", what.id),
        agent_id: what.agent_id.clone(),
        call_id: what.call_id.clone(),
        kind: RECORD_PATCH.to_owned(),
        url: what.url.clone(),
        body,
    };
    let written = work
        .store
        .enqueue_delivery(&delivery.scope, &follows, Timestamp::now())
        .await;
    written.is_ok()
}

fn dead(status: Option<u16>, cause: &str) -> Attempt {
    Attempt::Dead {
        status: status.map(i64::from),
        error: cause.to_owned(),
    }
}

fn random_share() -> f64 {
    let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
    f64::from(u32::try_from(random & 0xffff).unwrap_or(0)) / 65_535.0
}

/// The tenant's secret; none where it has none.
async fn secret(work: &Work, delivery: &Delivery) -> Result<Option<WebhookSecret>, &'static str> {
    let secret = (work.secrets.0)(delivery.scope.clone())
        .await
        .map_err(|()| "secret_unreadable")?;
    secret
        .as_ref()
        .map(WebhookSecret::parse)
        .transpose()
        .map_err(|_| "secret_malformed")
}

impl Courier {
    /// Posts a webhook once: JSON under an id, signed where there is a secret. Redirects are not followed.
    ///
    /// # Errors
    /// Why there is no reply. A reply with an error status is a reply.
    pub async fn webhook(
        &self,
        url: &str,
        id: &str,
        body: &str,
        secret: Option<&WebhookSecret>,
    ) -> Result<Reply, SendError> {
        self.deliver(Method::POST, url, (id, body), secret, None)
            .await
    }

    async fn deliver(
        &self,
        method: Method,
        url: &str,
        (id, body): (&str, &str),
        secret: Option<&WebhookSecret>,
        traceparent: Option<String>,
    ) -> Result<Reply, SendError> {
        let now = Timestamp::now().as_second();
        let mut values = vec![
            (HEADER_WEBHOOK_ID, id.to_owned()),
            (HEADER_WEBHOOK_TIMESTAMP, now.to_string()),
        ];
        if let Some(secret) = secret {
            values.push((
                HEADER_WEBHOOK_SIGNATURE,
                secret.sign(id, now, body.as_bytes()),
            ));
        }
        values.extend(traceparent.map(|of| (TRACEPARENT, of)));
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        for (name, value) in values {
            let value = HeaderValue::try_from(value).map_err(|_| SendError::Invalid("an id"))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        let order = Order {
            method,
            url,
            headers,
            body: Bytes::from(body.to_owned()),
            hosts: &[],
            signing_secret: None,
            // The schedule repeats, with a record of each attempt.
            repeatable: false,
            within: DELIVERY_WITHIN,
            reply_max: REPLY_BODY_MAX,
        };
        exchange(&self.inner, &order).await
    }
}

fn judge(result: Result<Reply, SendError>) -> Ended {
    match result {
        Ok(reply) if reply.is_success() => Ended::Done(reply.status),
        Ok(reply) if reply.status == 410 => Ended::Never {
            status: Some(410),
            cause: "gone",
        },
        Ok(reply) => Ended::Later {
            status: Some(reply.status),
            cause: "status",
            named: reply.retry_after,
        },
        // The receiver took it and answered at length: the status is lost, so it is asked again.
        Err(
            error @ (SendError::Invalid(_)
            | SendError::Refused(
                Refusal::Malformed | Refusal::Scheme | Refusal::UserInformation,
            )),
        ) => Ended::Never {
            status: None,
            cause: error.label(),
        },
        Err(error) => Ended::Later {
            status: None,
            cause: error.label(),
            named: None,
        },
    }
}
