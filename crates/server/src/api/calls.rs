//! Calls: list, one, events, transcript, explanation, recording, hang-up.

use super::Shared;
use super::problem::{Problem, language_of};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use call::CallId;
use catalog::{Language, Numbers};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use store::{CallFilter, CallRecord, Cursor, ReadError, TenantScope};

/// Longest text of an id or a filter.
const TEXT_CHARACTERS_MAX: usize = 200;

/// Query of the list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
    party: Option<String>,
    line: Option<String>,
    agent: Option<String>,
    reason: Option<String>,
}

/// Query of the explanation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainQuery {
    lang: Option<String>,
}

/// The calls, newest first, by pages.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let language = language_of(&headers, shared.language);
    let bad = |cause: String| {
        Problem::new(400, "api_bad_request")
            .with("cause", cause)
            .in_language_of(&headers, shared.language)
    };
    let Query(query) = query.map_err(|rejection| bad(rejection.body_text()))?;
    let after = match query.cursor.as_deref() {
        Some(cursor) => Some(
            cursor
                .parse::<Cursor>()
                .map_err(|error| bad(error.to_string()))?,
        ),
        None => None,
    };
    let short =
        |text: Option<String>| text.filter(|text| text.chars().count() <= TEXT_CHARACTERS_MAX);
    let filter = CallFilter {
        party: short(query.party),
        line: short(query.line),
        agent: short(query.agent),
        reason: short(query.reason),
        limit: query.limit.unwrap_or(0),
        ..CallFilter::default()
    };
    let page = shared
        .store
        .list_calls(&TenantScope::default(), &filter, after.as_ref())
        .await
        .map_err(|error| store_failed(&error, &headers, &shared))?;
    let calls: Vec<Value> = page
        .calls
        .iter()
        .map(|record| summary(record, language))
        .collect();
    Ok(Json(
        json!({ "calls": calls, "next": page.next.map(|cursor| cursor.to_string()) }),
    ))
}

/// The calls that run now.
pub(crate) async fn live(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let calls: Vec<Value> = shared
        .engine
        .calls()
        .into_iter()
        .map(|call| {
            json!({
                "id": call.id.as_str(), "line": call.line, "agent": call.agent,
                "direction": if call.inbound { "inbound" } else { "outbound" },
                "from": call.from, "to": call.to, "startedAt": call.started_at.to_string(),
                "state": format!("{:?}", call.state).to_lowercase(),
                "answerToFirstAudioMs": call.timings.answer_to_first_audio_ms,
                "lastTurnMs": call.timings.last_turn_ms,
                "interruptions": call.timings.interruptions,
            })
        })
        .collect();
    Json(json!({ "calls": calls }))
}

/// One call with its verdict and transcript.
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (record, id) = find(&shared, &headers, &id).await?;
    let lines = shared
        .store
        .transcript(&TenantScope::default(), &id)
        .await
        .map_err(|error| store_failed(&error, &headers, &shared))?;
    let mut body = summary(&record, language_of(&headers, shared.language));
    body["transcript"] = json!(lines);
    body["statistics"] = json!(record.end.as_ref().and_then(|end| end.statistics.clone()));
    Ok(Json(body))
}

/// The journal of a call.
pub(crate) async fn events(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (_, id) = find(&shared, &headers, &id).await?;
    let events = shared
        .store
        .events(&TenantScope::default(), &id)
        .await
        .map_err(|error| store_failed(&error, &headers, &shared))?;
    Ok(Json(json!({ "events": events })))
}

/// What was said.
pub(crate) async fn transcript(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (_, id) = find(&shared, &headers, &id).await?;
    let lines = shared
        .store
        .transcript(&TenantScope::default(), &id)
        .await
        .map_err(|error| store_failed(&error, &headers, &shared))?;
    Ok(Json(json!({ "transcript": lines })))
}

/// The explanation of a call, as JSON.
pub(crate) async fn explanation(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Value>, Problem> {
    let (record, id) = find(&shared, &headers, &id).await?;
    let language = query
        .lang
        .as_deref()
        .and_then(Language::from_tag)
        .unwrap_or_else(|| language_of(&headers, shared.language));
    let explanation = crate::explain::of(&shared.store, &record, &id)
        .await
        .map_err(|error| store_failed(&error, &headers, &shared))?;
    Ok(Json(explanation.json(language, Numbers::Shown)))
}

/// The recording, streamed from disk. The path comes from the record, never from the request.
pub(crate) async fn recording(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (record, id) = find(&shared, &headers, &id).await?;
    let absent = || {
        Problem::new(404, "api_no_recording")
            .with("id", id.as_str())
            .in_language_of(&headers, shared.language)
    };
    let path = record.recording_path.as_deref().ok_or_else(absent)?;
    let file = tokio::fs::File::open(path).await.map_err(|_| absent())?;
    let length = file.metadata().await.map_err(|_| absent())?.len();
    let body = Body::from_stream(tokio_util::io::ReaderStream::new(file));
    let headers = [
        (header::CONTENT_TYPE, "audio/wav".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}.wav\"", id.as_str()),
        ),
    ];
    Ok((headers, body).into_response())
}

/// Ends a call at once.
pub(crate) async fn hang_up(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let (record, id) = find(&shared, &headers, &id).await?;
    if shared.engine.hang_up(&id) {
        return Ok(StatusCode::ACCEPTED);
    }
    let code = if record.end.is_some() {
        "api_call_ended"
    } else {
        "api_call_elsewhere"
    };
    Err(Problem::new(409, code)
        .with("id", id.as_str())
        .in_language_of(&headers, shared.language))
}

async fn find(
    shared: &Shared,
    headers: &HeaderMap,
    id: &str,
) -> Result<(CallRecord, CallId), Problem> {
    let unknown = || {
        Problem::new(404, "call_not_found")
            .with("id", id)
            .in_language_of(headers, shared.language)
    };
    if id.len() > TEXT_CHARACTERS_MAX {
        return Err(unknown());
    }
    let id = CallId::from(id);
    let record = shared
        .store
        .call(&TenantScope::default(), &id)
        .await
        .map_err(|error| store_failed(&error, headers, shared))?;
    Ok((record.ok_or_else(unknown)?, id))
}

fn store_failed(error: &ReadError, headers: &HeaderMap, shared: &Shared) -> Problem {
    tracing::error!(error = %crate::serve::causes(error), "the database did not answer a request");
    Problem::new(503, "api_store_failed").in_language_of(headers, shared.language)
}

/// The record as the API shows it.
fn summary(record: &CallRecord, language: Language) -> Value {
    let end = record.end.as_ref();
    json!({
        "id": record.id,
        "direction": record.direction.label(),
        "from": record.from,
        "to": record.to,
        "line": record.line,
        "agent": record.agent,
        "startedAt": record.started_at.to_string(),
        "answeredAt": record.answered_at.map(|at| at.to_string()),
        "endedAt": end.map(|end| end.ended_at.to_string()),
        "durationMs": record.duration_ms(),
        "talkMs": record.talk_ms(),
        "endReason": end.map(|end| end.reason.clone()),
        "endedBy": end.map(|end| end.ended_by.clone()),
        "verdict": end.map(|end| json!({
            "code": end.verdict.code,
            "params": end.verdict.params,
            "text": catalog::render_with(&end.verdict, language, Numbers::Shown).text,
        })),
        "hasRecording": record.recording_path.is_some(),
    })
}
