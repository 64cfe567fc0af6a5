//! What is asked of a running call: hand over, tell the model, keypad tones, secure input.

use super::calls::find;
use super::live::done;
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::support::{Faults, object};
use agent::AgentSettings;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// Longest instruction, in characters.
const INSTRUCTION_CHARACTERS_MAX: usize = 2_000;
/// Most keypad tones of one request.
const DIGITS_MAX: usize = 32;

/// Where to.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Transfer {
    /// One of the agent's `transferTargets`, by its name.
    target: String,
}

/// Words for the model.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Instruct {
    /// What it is told in the name of the house.
    text: String,
}

/// Keypad tones.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Dtmf {
    /// 1 to 32 of 0-9, `*`, `#`, A-D.
    digits: String,
}

/// Secure input.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Secure {
    /// Whether what the caller says and types is hidden.
    on: bool,
}

/// Hands the caller over to a named target of the call's agent: no free number comes in by this door.
#[utoipa::path(post, path = "/api/calls/{id}/transfer", tag = "live", params(("id" = String, Path)),
    request_body = Transfer, responses((status = 202, body = Object)))]
pub(crate) async fn transfer(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Transfer>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let unknown = || Problem::field("target", "choice", "transferTargets");
    let agent_id = record.service.agent_id.clone().ok_or_else(unknown)?;
    let agent = api
        .store
        .agent(&scope, &agent_id)
        .await?
        .ok_or_else(unknown)?;
    let settings = AgentSettings::parse(&Value::Object(object(&agent.settings)))
        .map_err(crate::brain::problem)?;
    let target = settings
        .rules
        .transfer
        .transfer_targets
        .get(&body.target)
        .ok_or_else(unknown)?;
    let to = (body.target.as_str(), target.destination());
    let asked = api.engine.transfer(&id, to, target.manner());
    let detail = json!({ "target": body.target });
    done(
        asked,
        record.end.is_some(),
        &scope,
        &id,
        "transfer",
        Some(detail),
    )
}

/// Tells the model of a running call something, as the house; it does not say the words, it follows them.
#[utoipa::path(post, path = "/api/calls/{id}/instruct", tag = "live", params(("id" = String, Path)),
    request_body = Instruct, responses((status = 202, body = Object)))]
pub(crate) async fn instruct(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Instruct>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let mut faults = Faults::default();
    faults.text("text", &body.text, INSTRUCTION_CHARACTERS_MAX);
    faults.done()?;
    let asked = api.engine.instruct(&id, &body.text);
    let detail = json!({ "text": body.text });
    done(
        asked,
        record.end.is_some(),
        &scope,
        &id,
        "instruct",
        Some(detail),
    )
}

/// Sends keypad tones to the other side of a running call.
#[utoipa::path(post, path = "/api/calls/{id}/dtmf", tag = "live", params(("id" = String, Path)),
    request_body = Dtmf, responses((status = 202, body = Object)))]
pub(crate) async fn dtmf(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Dtmf>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let fine = (1..=DIGITS_MAX).contains(&body.digits.len())
        && body
            .digits
            .bytes()
            .all(|digit| b"0123456789*#ABCD".contains(&digit));
    let mut faults = Faults::default();
    faults.unless(fine, "digits", "characters", "0-9 * # A-D");
    faults.done()?;
    let asked = api.engine.send_dtmf(&id, &body.digits);
    // The digits may be a code: the log says that there were some.
    let detail = json!({ "digits": body.digits.len() });
    done(
        asked,
        record.end.is_some(),
        &scope,
        &id,
        "dtmf",
        Some(detail),
    )
}

/// Hides what the caller says and types from recording, transcript and model, or ends it.
#[utoipa::path(post, path = "/api/calls/{id}/secure-input", tag = "live", params(("id" = String, Path)),
    request_body = Secure, responses((status = 202, body = Object)))]
pub(crate) async fn secure_input(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Secure>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let asked = api.engine.secure_input(&id, body.on);
    let detail = json!({ "on": body.on });
    done(
        asked,
        record.end.is_some(),
        &scope,
        &id,
        "secure_input",
        Some(detail),
    )
}
