//! What is tried before it is trusted: an engine's key, what an agent would be told, one run of a tool.

use super::owner::agent as find;
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::{Json, Path};
use crate::caller::Caller;
use crate::limits::{CHAT_CONTEXT_BYTES_MAX, TEXT_CHARACTERS_MAX};
use crate::problem::{Problem, language_of};
use crate::support::{Faults, found, units};
use crate::trials::begin;
use axum::extract::State;
use axum::http::HeaderMap;
use catalog::Numbers;
use engine::config::Secret;
use engine::directory::{
    AgentTrial, CompileError, EngineTrial, SampleCall, ToolTrial, TrialEffect, TrialError,
    TrialRequest,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Instant;
use utoipa::ToSchema;

/// Longest key of an engine, in characters.
const KEY_CHARACTERS_MAX: usize = 8_192;
/// Longest address of an engine, in characters.
const URL_CHARACTERS_MAX: usize = 2_048;
/// Largest arguments of a run, in bytes of JSON.
const ARGUMENTS_BYTES_MAX: usize = 32 * 1024;
/// Longest instructions that are previewed, in bytes.
const PROMPT_BYTES_MAX: usize = 256 * 1024;
/// Where Twilio announces calls, behind the public address of the voice listener.
const TWILIO_PATH: &str = "/incoming-call";
/// What the catalogue says of an engine that took everything.
const TAKEN: &str = "engine_test_ok";

/// An engine as an agent would name it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EngineToTest {
    /// As `engine.provider` of an agent; absent: the engine that agents have who name none.
    provider: Option<String>,
    /// Its address, where the vendor has none of its own.
    url: Option<String>,
    /// Model; with Azure the deployment.
    model: Option<String>,
    /// A key to try; it is used for the test and kept nowhere. Absent: the account's kept one.
    key: Option<String>,
}

/// What the engine said.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EngineTestView {
    /// It took the key, the model and the settings.
    passed: bool,
    /// Code of the sentence.
    code: String,
    /// What was found, in the language of the reader.
    sentence: String,
    /// What to do about it.
    remedy: Option<String>,
    /// How long it took.
    took_ms: u64,
}

/// Where a carrier of calls by WebSocket is to announce them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CarrierAddress {
    /// The address for its console; null where `voice.public_url` is not set.
    webhook: Option<String>,
    /// The path that belongs behind the public address.
    path: &'static str,
}

/// A caller to try something with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SampleCaller {
    /// The caller's number; absent: a withheld one.
    caller_phone: Option<String>,
    /// The caller is proven to be who they say.
    #[serde(default)]
    caller_verified: bool,
    /// What the conversation knows already (`ctx.*`).
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
    /// Whether the agent's session address is asked, as a call does.
    #[serde(default)]
    session: bool,
    /// Instructions in the place of the stored ones; only where the prompt is previewed.
    base_prompt: Option<String>,
}

/// A tool as the model is offered it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OfferedToolView)]
pub(crate) struct OfferedView {
    /// Name.
    name: String,
    /// What it does.
    description: String,
    /// JSON Schema without the arguments that the server fills in.
    #[schema(value_type = Object)]
    parameters: Value,
}

/// What an agent would be told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreviewView {
    /// The instructions, every variable filled in.
    instructions: String,
    /// Said first, word for word.
    disclosure: String,
    /// Said after it, or what the model is told to begin with.
    greeting: String,
    /// The voice, where one is chosen.
    voice: Option<String>,
    /// The tools that are offered to this caller.
    tools: Vec<OfferedView>,
    /// The context at the beginning.
    #[schema(value_type = Object)]
    context: Map<String, Value>,
    /// Why the session's data are missing, where they were asked for.
    session_fault: Option<String>,
}

/// A run of a tool.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolRunWish {
    /// The arguments of the model.
    #[serde(default)]
    #[schema(value_type = Object)]
    arguments: Map<String, Value>,
    /// The caller.
    #[serde(flatten)]
    caller: SampleCaller,
    /// Nothing is sent: the first request is only shown.
    #[serde(default)]
    dry_run: bool,
}

/// A header that was sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SentHeader)]
pub(crate) struct HeaderView {
    /// Its name, in lower case.
    name: String,
    /// Its value; `***` for a secret.
    value: String,
}

/// One request of a run. Secrets are `***`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TriedRequest {
    /// HTTP method, or `MCP`.
    method: &'static str,
    /// Where to.
    url: String,
    /// Headers of the tool; those that say on whose behalf come besides.
    headers: Vec<HeaderView>,
    /// What is sent.
    body: Option<String>,
    /// Whether it left.
    sent: bool,
    /// Status of the reply.
    status: Option<u16>,
    /// The reply, its first 16 KiB.
    reply: Option<String>,
    /// Why there is none: `name`, `connect`, `tls`, `forbidden`, `too_large`, `protocol`, `busy`, `timed_out`.
    failure: Option<&'static str>,
    /// How long it took.
    took_ms: u64,
}

/// What a run came to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolRunView {
    /// The requests in their order, pre-steps first.
    requests: Vec<TriedRequest>,
    /// What the model is told.
    #[schema(value_type = Option<Object>)]
    output: Option<Value>,
    /// Whether it succeeded; null where nothing was sent.
    ok: Option<bool>,
    /// Why it went no further, as the journal of a call has it.
    refusal: Option<&'static str>,
    /// In a call the caller is asked to agree first.
    confirms: bool,
    /// `hang_up` or `transfer`.
    effect: Option<&'static str>,
    /// The target of a transfer.
    target: Option<String>,
    /// What it changed in the context.
    #[schema(value_type = Object)]
    context: Map<String, Value>,
    /// Cost that the reply named.
    cost: f64,
    /// How long it took in all.
    took_ms: u64,
}

/// Opens a session at an engine with a key, and closes it: nothing is said and nothing is kept.
#[utoipa::path(post, path = "/api/accounts/{id}/engine-test", tag = "accounts", params(("id" = String, Path)),
    request_body = EngineToTest, responses((status = 200, body = EngineTestView)))]
pub(crate) async fn test_engine(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<EngineToTest>,
) -> Result<Answer, Problem> {
    let scope = caller.scope(Some(&id))?;
    found(api.store.tenant(&scope).await?)?;
    let mut faults = Faults::default();
    faults.maybe("provider", body.provider.as_deref(), TEXT_CHARACTERS_MAX);
    faults.maybe("url", body.url.as_deref(), URL_CHARACTERS_MAX);
    faults.maybe("model", body.model.as_deref(), TEXT_CHARACTERS_MAX);
    faults.maybe("key", body.key.as_deref(), KEY_CHARACTERS_MAX);
    let key = given(body.key);
    let plain = key
        .as_deref()
        .is_none_or(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
    faults.unless(plain, "key", "characters", "ASCII");
    faults.done()?;
    let trial = EngineTrial {
        provider: given(body.provider),
        url: given(body.url),
        model: given(body.model),
        key: key.map(Secret::new),
    };
    let (directory, _permit) = begin(api.config.trials.as_ref())?;
    let begun = Instant::now();
    let message = directory
        .try_engine(&scope, trial)
        .await
        .map_err(unusable)?;
    let language = language_of(&headers, api.config.language);
    let rendered = catalog::render_with(&message, language, Numbers::Shown);
    Answer::ok(EngineTestView {
        passed: message.code == TAKEN,
        code: message.code.to_string(),
        sentence: rendered.text,
        remedy: rendered.remedy,
        took_ms: elapsed(begun),
    })
}

/// The address that the console of Twilio asks for, under "A call comes in".
#[utoipa::path(get, path = "/api/carriers/twilio", tag = "phone lines", responses((status = 200, body = CarrierAddress)))]
pub(crate) async fn twilio(State(api): State<Arc<Api>>) -> Result<Answer, Problem> {
    let base = api.config.voice_url.as_deref();
    std::future::ready(Answer::ok(CarrierAddress {
        webhook: base.map(|base| format!("{}{TWILIO_PATH}", base.trim_end_matches('/'))),
        path: TWILIO_PATH,
    }))
    .await
}

/// What the agent would be told of this caller: the instructions with every variable, the first words, the tools.
#[utoipa::path(post, path = "/api/agents/{id}/preview", tag = "agents", params(("id" = String, Path)),
    request_body = SampleCaller, responses((status = 200, body = PreviewView)))]
pub(crate) async fn preview(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<SampleCaller>,
) -> Result<Answer, Problem> {
    let session = body.session;
    let (mut trial, _permit) = trial(&api, &caller, (&id, None), body).await?;
    let session_fault = ask_session(&mut trial, session).await;
    let preview = trial.preview(session_fault);
    let tools = preview.tools.into_iter().map(|tool| OfferedView {
        name: tool.name,
        description: tool.description,
        parameters: tool.parameters,
    });
    Answer::ok(PreviewView {
        instructions: preview.instructions,
        disclosure: preview.disclosure,
        greeting: preview.greeting,
        voice: preview.voice,
        tools: tools.collect(),
        context: preview.context,
        session_fault: preview.session,
    })
}

/// Runs a tool once with a sample caller, as a call would: its requests really leave, unless `dryRun` says otherwise. The tool is run as it is
/// stored, also where it is switched off. No secret is shown.
#[utoipa::path(post, path = "/api/agents/{id}/tools/{toolId}/run", tag = "tools",
    params(("id" = String, Path), ("toolId" = String, Path)), request_body = ToolRunWish,
    responses((status = 200, body = ToolRunView)))]
pub(crate) async fn run_tool(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, tool_id)): Path<(String, String)>,
    Json(body): Json<ToolRunWish>,
) -> Result<Answer, Problem> {
    let (scope, _) = find(&api, &caller, &id).await?;
    let tools = api.store.tools(&scope, &id).await?;
    let tool = tools.into_iter().find(|tool| tool.id == tool_id);
    let tool = tool.ok_or_else(Problem::unknown)?;
    let arguments = Value::Object(body.arguments);
    let mut faults = Faults::default();
    let small = arguments.to_string().len() <= ARGUMENTS_BYTES_MAX;
    faults.unless(small, "arguments", "length", "≤ 32 KiB");
    faults.unless(
        body.caller.base_prompt.is_none(),
        "basePrompt",
        "choice",
        "absent",
    );
    faults.done()?;
    let session = body.caller.session;
    let with = (id.as_str(), Some(tool.name.as_str()));
    let (mut trial, _permit) = trial(&api, &caller, with, body.caller).await?;
    let begun = Instant::now();
    ask_session(&mut trial, session).await;
    let run = trial.run(&tool.name, &arguments, !body.dry_run).await;
    let answer = Answer::ok(view(run, elapsed(begun)))?;
    Ok(answer.changed(Change {
        action: "tool_tried",
        entity: "tool",
        id: tool_id,
        tenant: Some(scope.tenant().to_string()),
        detail: Some(json!({ "agentId": id, "name": tool.name, "dryRun": body.dry_run })),
    }))
}

async fn ask_session(trial: &mut AgentTrial, wanted: bool) -> Option<String> {
    if !wanted {
        return None;
    }
    trial.ask_session().await.err()
}

/// The agent with its sample caller, and the right to try it now.
async fn trial(
    api: &Api,
    caller: &Caller,
    (id, tool): (&str, Option<&str>),
    sample: SampleCaller,
) -> Result<(AgentTrial, tokio::sync::SemaphorePermit<'static>), Problem> {
    let (scope, _) = find(api, caller, id).await?;
    let mut faults = Faults::default();
    faults.maybe(
        "callerPhone",
        sample.caller_phone.as_deref(),
        TEXT_CHARACTERS_MAX,
    );
    let context = Value::Object(sample.context.clone()).to_string();
    let small = context.len() <= CHAT_CONTEXT_BYTES_MAX;
    faults.unless(small, "context", "length", "≤ 32 KiB");
    let short = sample
        .base_prompt
        .as_ref()
        .is_none_or(|prompt| prompt.len() <= PROMPT_BYTES_MAX);
    faults.unless(short, "basePrompt", "length", "≤ 256 KiB");
    faults.done()?;
    let (directory, permit) = begin(api.config.trials.as_ref())?;
    let call = SampleCall {
        caller_phone: given(sample.caller_phone),
        caller_verified: sample.caller_verified,
        context: sample.context,
        prompt: sample.base_prompt,
    };
    let made = directory.try_agent(&scope, id, (tool, call)).await;
    let trial = made.map_err(|error| match error {
        TrialError::Unknown => Problem::unknown(),
        TrialError::Agent(error) => unusable(error),
        TrialError::Store(error) => error.into(),
    })?;
    Ok((trial, permit))
}

fn unusable(error: CompileError) -> Problem {
    match error {
        CompileError::Fault { path, message } => Problem::field(&path, "fault", message),
        CompileError::Engine { cause } => Problem::field("url", "reach", cause),
        CompileError::Unreadable | CompileError::Secret { .. } => {
            Problem::conflict("api_trial_failed").with("cause", error.to_string())
        }
    }
}

fn view(run: ToolTrial, took_ms: u64) -> ToolRunView {
    let (effect, target) = match run.effect {
        None => (None, None),
        Some(TrialEffect::HangUp) => (Some("hang_up"), None),
        Some(TrialEffect::Transfer(name)) => (Some("transfer"), Some(name)),
    };
    ToolRunView {
        requests: run.requests.into_iter().map(request).collect(),
        output: run
            .output
            .map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))),
        ok: run.ok,
        refusal: run.refusal,
        confirms: run.confirms,
        effect,
        target,
        context: run.context,
        cost: units(run.cost_micro),
        took_ms,
    }
}

fn request(request: TrialRequest) -> TriedRequest {
    let headers = request.headers.into_iter();
    TriedRequest {
        method: request.method,
        url: request.url,
        headers: headers
            .map(|(name, value)| HeaderView { name, value })
            .collect(),
        body: request.body,
        sent: request.sent,
        status: request.status,
        reply: request.reply,
        failure: request.failure,
        took_ms: request.took_ms,
    }
}

fn given(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

fn elapsed(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
