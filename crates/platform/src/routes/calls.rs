//! Calls: list, one, transcript, events, explanation, recording, CSV.

use super::owner::{of, reach_of_list};
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Path, Query};
use crate::caller::Caller;
use crate::capture;
use crate::csv;
use crate::limits::{CSV_ROWS_MAX, PAGE_DEFAULT, PAGE_MAX, TEXT_CHARACTERS_MAX};
use crate::problem::{Problem, language_of};
use crate::support::units;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use call::CallId;
use catalog::{Language, Numbers};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use store::packet::PacketContents;
use store::{CallFilter, CallRecord, CallState, Cursor, Owned, TenantScope, ToolRun};
use utoipa::{IntoParams, ToSchema};

/// A tool that a call ran.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolCallView {
    /// Name of the tool.
    name: String,
    /// Arguments of the model.
    #[schema(value_type = Object)]
    arguments: Value,
    /// What the model was given.
    #[schema(value_type = Object)]
    output: Value,
    /// `begun`, `done` or `failed`.
    state: &'static str,
    /// Status of the answer.
    status: Option<i64>,
    /// ISO-8601.
    started_at: String,
    /// ISO-8601.
    ended_at: Option<String>,
}

/// How a call ended, in words.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verdict {
    /// Code in the catalogue.
    code: String,
    /// In the language of the reader.
    text: String,
}

/// A call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallView {
    /// Its id.
    id: String,
    /// Of which account.
    account_id: String,
    /// The agent.
    agent_id: Option<String>,
    /// Name of the agent.
    agent: String,
    /// Version of the agent that the call kept.
    agent_version: Option<i64>,
    /// The final customer.
    final_customer_id: Option<String>,
    /// `inbound` or `outbound`.
    direction: &'static str,
    /// The caller.
    from: String,
    /// The called.
    to: String,
    /// The caller, by the name of existing clients.
    caller_number: String,
    /// Name of the line.
    line: String,
    /// The carrier.
    carrier: Option<String>,
    /// The carrier's id of the call.
    carrier_call_id: Option<String>,
    /// ISO-8601.
    started_at: String,
    /// ISO-8601.
    answered_at: Option<String>,
    /// ISO-8601.
    ended_at: Option<String>,
    /// From the answer to the end.
    duration_sec: Option<i64>,
    /// From the beginning to the end.
    duration_ms: Option<i64>,
    /// Who answered a call that was placed, where that was asked: `human`, `machine`, `machine_beep` or `unknown`.
    answered_by: Option<String>,
    /// Whether the caller's number was vouched for (STIR/SHAKEN), where its line asks: `valid`, or what was wrong: `missing`, `malformed`,
    /// `algorithm`, `stale`, `caller`, `called`, `unfetched`, `certificate`, `expired`, `untrusted`, `signature`.
    caller_identity: Option<String>,
    /// What the caller's operator attests of the number, where that is valid: `A`, `B` or `C`.
    caller_attestation: Option<String>,
    /// What came of it.
    outcome: Option<String>,
    /// Why it ended.
    end_reason: Option<String>,
    /// Who ended it.
    ended_by: Option<String>,
    /// The end in words.
    verdict: Option<Verdict>,
    /// What it cost.
    cost: Option<f64>,
    /// ISO 4217 code.
    cost_currency: Option<String>,
    /// The costs item by item.
    #[schema(value_type = Option<Object>)]
    costs: Option<Value>,
    /// The model.
    ai_model: Option<String>,
    /// Tools that it ran.
    tool_calls: Vec<ToolCallView>,
    /// Whether a recording is kept.
    has_recording: bool,
}

/// One call with more.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallDetail {
    /// The call.
    #[serde(flatten)]
    call: CallView,
    /// What was said.
    transcript: Vec<LineView>,
    /// The context at its end.
    #[schema(value_type = Option<Object>)]
    final_context: Option<Value>,
    /// Counters of the call.
    #[schema(value_type = Option<Object>)]
    statistics: Option<Value>,
    /// What `capture.pcapng` holds: `signalling`, `headers` (of RTP, and RTCP), or `media` (the voices too).
    capture: &'static str,
}

/// A line of what was said.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LineView {
    /// `user`, `assistant` or `system`.
    role: &'static str,
    /// The words.
    pub(super) content: String,
    /// ISO-8601.
    timestamp: String,
    /// Milliseconds since the beginning of the call.
    at_ms: u64,
    /// How much of it was heard before the caller interrupted.
    interrupted_at_ms: Option<u32>,
}

/// Which calls.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(crate) struct CallQuery {
    /// Of which account; the operator of the node who names none, and no agent, means all.
    account_id: Option<String>,
    /// With this agent.
    agent_id: Option<String>,
    /// For this final customer.
    final_customer_id: Option<String>,
    /// With this in the caller's or the called number.
    party: Option<String>,
    /// By this line.
    line: Option<String>,
    /// With this outcome.
    outcome: Option<String>,
    /// That ended for this reason.
    reason: Option<String>,
    /// `running` or `finished`.
    state: Option<String>,
    /// Begun at this time or later, ISO-8601.
    since: Option<String>,
    /// Begun before this time, ISO-8601.
    until: Option<String>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// In which language.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExplainQuery {
    /// `fr` or `en`; absent: that of `Accept-Language`.
    lang: Option<String>,
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn tool_view(run: &ToolRun) -> ToolCallView {
    ToolCallView {
        name: run.run.name.clone(),
        arguments: json_of(&run.run.arguments),
        output: run.output.as_deref().map_or(Value::Null, json_of),
        state: run.state.label(),
        status: run.status,
        started_at: run.run.started_at.to_string(),
        ended_at: run.ended_at.map(|at| at.to_string()),
    }
}

fn view(record: &CallRecord, language: Language, tools: Vec<ToolCallView>) -> CallView {
    let (end, service) = (record.end.as_ref(), &record.service);
    let duration_sec = record
        .answered_at
        .zip(end)
        .map(|(answered, end)| end.ended_at.duration_since(answered).as_secs().max(0));
    let vouched = |name: &str| {
        let found = end?.statistics.as_ref()?.get("caller_identity")?;
        Some(found.get(name)?.as_str()?.to_owned())
    };
    CallView {
        id: record.id.clone(),
        account_id: record.tenant.clone(),
        agent_id: service.agent_id.clone(),
        agent: record.agent.clone(),
        agent_version: service.agent_version,
        final_customer_id: service.final_customer_id.clone(),
        direction: record.direction.label(),
        from: record.from.clone(),
        to: record.to.clone(),
        caller_number: record.from.clone(),
        line: record.line.clone(),
        carrier: service.carrier.clone(),
        carrier_call_id: service.carrier_call_id.clone(),
        started_at: record.started_at.to_string(),
        answered_at: record.answered_at.map(|at| at.to_string()),
        ended_at: end.map(|end| end.ended_at.to_string()),
        duration_sec,
        duration_ms: record
            .duration_ms()
            .and_then(|duration| i64::try_from(duration).ok()),
        answered_by: end
            .and_then(|end| end.statistics.as_ref()?.get("answered_by")?.as_str())
            .map(str::to_owned),
        caller_identity: vouched("verdict"),
        caller_attestation: vouched("attestation"),
        outcome: service.outcome.clone(),
        end_reason: end.map(|end| end.reason.clone()),
        ended_by: end.map(|end| end.ended_by.clone()),
        verdict: end.map(|end| Verdict {
            code: end.verdict.code.to_string(),
            text: catalog::render_with(&end.verdict, language, Numbers::Shown).text,
        }),
        cost: service.cost_micro.map(units),
        cost_currency: service.currency.clone(),
        costs: service.costs.clone(),
        ai_model: service.model.clone(),
        tool_calls: tools,
        has_recording: record.recording_path.is_some(),
    }
}

fn filter(query: &CallQuery, agent_id: Option<String>) -> Result<CallFilter, Problem> {
    let time = |name: &str, text: &Option<String>| {
        text.as_deref()
            .filter(|text| !text.is_empty())
            .map(|text| {
                text.parse::<Timestamp>()
                    .map_err(|_| Problem::bad_request(format!("{name}: ISO-8601")))
            })
            .transpose()
    };
    let state = match query.state.as_deref() {
        None | Some("") => None,
        Some("running") => Some(CallState::Running),
        Some("finished") => Some(CallState::Finished),
        Some(_) => return Err(Problem::bad_request("state: running, finished")),
    };
    Ok(CallFilter {
        agent_id,
        final_customer_id: query.final_customer_id.clone(),
        outcome: query.outcome.clone(),
        party: query.party.clone(),
        line: query.line.clone(),
        agent: None,
        reason: query.reason.clone(),
        state,
        since: time("since", &query.since)?,
        until: time("until", &query.until)?,
        limit: query
            .limit
            .filter(|limit| *limit > 0)
            .unwrap_or(PAGE_DEFAULT)
            .min(PAGE_MAX),
    })
}

fn cursor(text: Option<&str>) -> Result<Option<Cursor>, Problem> {
    text.filter(|text| !text.is_empty())
        .map(str::parse::<Cursor>)
        .transpose()
        .map_err(|error| Problem::bad_request(format!("cursor: {error}")))
}

/// The calls, newest first.
#[utoipa::path(get, path = "/api/calls", tag = "calls", params(CallQuery), responses((status = 200, body = [CallView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<CallQuery>,
) -> Result<Answer, Problem> {
    let language = language_of(&headers, api.config.language);
    let (reach, agent) = reach_of_list(
        &api,
        &caller,
        query.account_id.as_deref(),
        query.agent_id.as_deref(),
    )
    .await?;
    let filter = filter(&query, agent)?;
    let after = cursor(query.cursor.as_deref())?;
    let page = api
        .store
        .list_calls(&reach, &filter, after.as_ref())
        .await?;
    let mut views = Vec::with_capacity(page.calls.len());
    for record in &page.calls {
        let scope = TenantScope::new(record.tenant.as_str().into());
        let runs = api
            .store
            .tool_runs(&scope, &CallId::from(record.id.as_str()))
            .await?;
        views.push(view(record, language, runs.iter().map(tool_view).collect()));
    }
    Ok(Answer::ok(views)?.with_next(page.next.map(|next| next.to_string())))
}

/// A call that is over takes nobody.
pub(crate) fn running(record: &CallRecord, id: &CallId) -> Result<(), Problem> {
    if record.end.is_some() {
        return Err(Problem::conflict("api_call_ended").with("id", id.as_str()));
    }
    Ok(())
}

/// The call of an id that the caller may see.
pub(crate) async fn find(
    api: &Api,
    caller: &Caller,
    id: &str,
) -> Result<(TenantScope, CallRecord, CallId), Problem> {
    if id.len() > TEXT_CHARACTERS_MAX {
        return Err(Problem::unknown());
    }
    let scope = of(api, caller, Owned::Call, id).await?;
    let id = CallId::from(id);
    let record = api
        .store
        .call(&scope, &id)
        .await?
        .filter(|record| match (&caller.agent, &record.service.agent_id) {
            (None, _) => true,
            (Some(own), agent) => agent.as_ref() == Some(own),
        })
        .ok_or_else(Problem::unknown)?;
    Ok((scope, record, id))
}

pub(super) async fn lines(
    api: &Api,
    scope: &TenantScope,
    record: &CallRecord,
    id: &CallId,
) -> Result<Vec<LineView>, Problem> {
    let transcript = api.store.transcript(scope, id).await?;
    Ok(transcript
        .into_iter()
        .map(|line| {
            let at = i64::try_from(line.at_ms).unwrap_or(i64::MAX);
            let at = record
                .started_at
                .checked_add(jiff::SignedDuration::from_millis(at))
                .unwrap_or(record.started_at);
            LineView {
                role: match line.role.as_str() {
                    "caller" => "user",
                    "agent" => "assistant",
                    _ => "system",
                },
                content: line.text,
                timestamp: at.to_string(),
                at_ms: line.at_ms,
                interrupted_at_ms: line.interrupted_at_ms,
            }
        })
        .collect())
}

/// One call with its transcript.
#[utoipa::path(get, path = "/api/calls/{id}", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = CallDetail)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let runs = api.store.tool_runs(&scope, &id).await?;
    let language = language_of(&headers, api.config.language);
    let capture = match api.store.packet_contents(&scope, &id).await? {
        PacketContents::None => "signalling",
        PacketContents::Headers => "headers",
        PacketContents::Whole => "media",
    };
    Answer::ok(CallDetail {
        call: view(&record, language, runs.iter().map(tool_view).collect()),
        transcript: lines(&api, &scope, &record, &id).await?,
        final_context: record.service.context.clone(),
        statistics: record.end.as_ref().and_then(|end| end.statistics.clone()),
        capture,
    })
}

/// What was said.
#[utoipa::path(get, path = "/api/calls/{id}/transcript", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = [LineView])))]
pub(crate) async fn transcript(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    Answer::ok(lines(&api, &scope, &record, &id).await?)
}

/// The journal of a call: everything that happened, in its order.
#[utoipa::path(get, path = "/api/calls/{id}/events", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = [Object])))]
pub(crate) async fn events(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, _, id) = find(&api, &caller, &id).await?;
    Answer::ok(api.store.events(&scope, &id).await?)
}

/// Why a call went as it did.
#[utoipa::path(get, path = "/api/calls/{id}/explanation", tag = "calls", params(("id" = String, Path), ExplainQuery),
    responses((status = 200, body = Object)))]
pub(crate) async fn explanation(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<ExplainQuery>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let language = query
        .lang
        .as_deref()
        .and_then(Language::from_tag)
        .unwrap_or_else(|| language_of(&headers, api.config.language));
    let events = api.store.events(&scope, &id).await?;
    let transcript = api.store.transcript(&scope, &id).await?;
    let explanation = store::explain(&record, &events, &transcript);
    Answer::ok(explanation.json(language, Numbers::Shown))
}

/// The signalling of a call for Wireshark (pcapng): every SIP message that the journal keeps, with secrets redacted. No audio.
#[utoipa::path(get, path = "/api/calls/{id}/signalling.pcapng", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.tcpdump.pcap")))]
pub(crate) async fn signalling(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let events = api.store.events(&scope, &id).await?;
    let name = format!("attachment; filename=\"{}.pcapng\"", id.as_str());
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.tcpdump.pcap"),
        (header::CONTENT_DISPOSITION, name.as_str()),
    ];
    Ok((headers, capture::signalling(record.started_at, &events)).into_response())
}

/// A call for Wireshark (pcapng): its signalling, and of its audio what the setting `rtp.capture` keeps: nothing, the headers of RTP and RTCP, or
/// every packet whole. A comment of the file says what it holds and what is missing. Of a call that runs: up to about five seconds ago.
#[utoipa::path(get, path = "/api/calls/{id}/capture.pcapng", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.tcpdump.pcap")))]
pub(crate) async fn captured(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    // Whoever comes while others are made waits; a file that nobody waits for any more counts until it is made.
    let turn = Arc::clone(&api.captures).acquire_owned().await;
    let events = api.store.events(&scope, &id).await?;
    let blocks = api.store.packets(&scope, &id).await?;
    let name = format!("attachment; filename=\"{}.pcapng\"", id.as_str());
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.tcpdump.pcap"),
        (header::CONTENT_DISPOSITION, name.as_str()),
    ];
    let began = record.started_at;
    let make = move || {
        let _turn = turn;
        capture::whole(began, &events, &blocks)
    };
    let file = tokio::task::spawn_blocking(make).await;
    let file = file.map_err(Problem::internal)?;
    Ok((headers, file).into_response())
}

/// What a call cost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallCosts {
    /// In all.
    cost: Option<f64>,
    /// ISO 4217 code.
    currency: Option<String>,
    /// Item by item.
    #[schema(value_type = Option<Object>)]
    costs: Option<Value>,
}

/// What a call cost, item by item.
#[utoipa::path(get, path = "/api/calls/{id}/costs", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = CallCosts)))]
pub(crate) async fn costs(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (_, record, _) = find(&api, &caller, &id).await?;
    Answer::ok(CallCosts {
        cost: record.service.cost_micro.map(units),
        currency: record.service.currency.clone(),
        costs: record.service.costs.clone(),
    })
}

/// The recording: stereo, caller left. The path comes from the record, never from the request.
#[utoipa::path(get, path = "/api/calls/{id}/recording.wav", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "audio/wav")))]
pub(crate) async fn recording(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (_, record, id) = find(&api, &caller, &id).await?;
    let sound = sound(record.recording_path.as_deref(), &id).await?;
    let name = format!("attachment; filename=\"{}.wav\"", id.as_str());
    Ok(([(header::CONTENT_DISPOSITION, name)], sound).into_response())
}

/// A recording as an answer.
pub(super) async fn sound(path: Option<&str>, id: &CallId) -> Result<Response, Problem> {
    let absent = || Problem::new(StatusCode::NOT_FOUND, "api_no_recording").with("id", id.as_str());
    let path = path.ok_or_else(absent)?;
    let file = tokio::fs::File::open(path).await.map_err(|_| absent())?;
    let length = file.metadata().await.map_err(|_| absent())?.len();
    let headers = [
        (header::CONTENT_TYPE, "audio/wav".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    let body = Body::from_stream(tokio_util::io::ReaderStream::new(file));
    Ok((headers, body).into_response())
}

const CSV_HEADER: &[&str] = &[
    "id",
    "startedAt",
    "answeredAt",
    "endedAt",
    "durationSec",
    "direction",
    "from",
    "to",
    "line",
    "agent",
    "agentId",
    "outcome",
    "endReason",
    "endedBy",
    "cost",
    "currency",
    "model",
];

fn csv_row(call: &CallView) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![
        call.id.clone(),
        call.started_at.clone(),
        text(&call.answered_at),
        text(&call.ended_at),
        call.duration_sec
            .map(|seconds| seconds.to_string())
            .unwrap_or_default(),
        call.direction.to_owned(),
        call.from.clone(),
        call.to.clone(),
        call.line.clone(),
        call.agent.clone(),
        text(&call.agent_id),
        text(&call.outcome),
        text(&call.end_reason),
        text(&call.ended_by),
        call.cost.map(|cost| cost.to_string()).unwrap_or_default(),
        text(&call.cost_currency),
        text(&call.ai_model),
    ]
}

/// The calls as CSV (RFC 4180). A cell that a spreadsheet would run as a formula is prefixed with an apostrophe.
#[utoipa::path(get, path = "/api/calls.csv", tag = "calls", params(CallQuery),
    responses((status = 200, body = String, content_type = "text/csv")))]
pub(crate) async fn export(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<CallQuery>,
) -> Result<Response, Problem> {
    let (reach, agent) = reach_of_list(
        &api,
        &caller,
        query.account_id.as_deref(),
        query.agent_id.as_deref(),
    )
    .await?;
    let mut filter = filter(&query, agent)?;
    let wanted = query.limit.unwrap_or(CSV_ROWS_MAX).min(CSV_ROWS_MAX) as usize;
    filter.limit = PAGE_MAX;
    let mut text = csv::line(CSV_HEADER.iter().copied());
    let (mut after, mut rows) = (cursor(query.cursor.as_deref())?, 0);
    loop {
        let page = api
            .store
            .list_calls(&reach, &filter, after.as_ref())
            .await?;
        for record in page.calls.iter().take(wanted - rows) {
            let call = view(record, api.config.language, Vec::new());
            text.push_str(&csv::line(csv_row(&call).iter().map(String::as_str)));
            rows += 1;
        }
        after = page.next;
        if after.is_none() || rows >= wanted {
            break;
        }
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"calls.csv\"",
        ),
    ];
    Ok((headers, text).into_response())
}
