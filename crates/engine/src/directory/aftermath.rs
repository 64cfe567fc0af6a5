//! What a dead process left: tool runs without an answer are sent again with the key they had, and calls that it cut get their
//! outcome, their cost and their webhook.

use std::collections::HashMap;

use agent::{CallBrain, CallFacts, EndFacts, HttpCall, McpCall, Method, Speaker, ToolReply};
use call::{CallId, EndReason};
use catalog::Message;
use courier::Caller;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use store::{
    CallClose, CallEnd, CallRecord, Direction, TenantScope, ToolRun, ToolRunEnd, ToolRunState,
};

use super::{Parts, agent as agents};
use crate::call_task::closing::{kind, service};
use crate::log::say;

/// Rows of one reading.
const ROWS: u32 = 50;
/// Readings of one start; what is left is found by the next start.
const READINGS_MAX: u32 = 200;
/// Longest output kept of a run that was resumed, bytes.
const OUTPUT_BYTES_MAX: usize = 16 * 1_024;

/// The answers of resumed runs, by call.
type Answers = HashMap<String, Vec<(String, ToolReply)>>;

/// Resumes the runs, then closes the calls.
pub(super) async fn clear(parts: Arc<Parts>) {
    let answers = resume_runs(&parts).await;
    let mut closed = 0_usize;
    for _ in 0..READINGS_MAX {
        let open = match parts.store.node_calls_to_close(ROWS).await {
            Ok(open) => open,
            Err(error) => {
                say(&Message::new("log_directory_unread").with("cause", error.to_string()));
                break;
            }
        };
        let mut progress = false;
        for (scope, call) in &open {
            progress |= close(&parts, scope, call, &answers).await;
            closed += 1;
        }
        if open.is_empty() || !progress {
            break;
        }
    }
    if closed > 0 {
        say(&Message::new("log_calls_closed").with("count", closed));
        parts.engine.deliveries().notify_one();
    }
}

async fn resume_runs(parts: &Parts) -> Answers {
    let mut answers = Answers::new();
    let mut count = 0_usize;
    for _ in 0..READINGS_MAX {
        let runs = match parts.store.node_adopt_tool_runs(ROWS).await {
            Ok(runs) if runs.is_empty() => break,
            Ok(runs) => runs,
            Err(error) => {
                say(&error.message());
                break;
            }
        };
        for run in runs {
            let reply = resume(parts, &run).await;
            let (state, status, output) = outcome(&reply);
            let end = ToolRunEnd {
                state,
                status,
                output,
                cost_micro: 0,
                ended_at: Timestamp::now(),
            };
            let key = &run.run.idempotency_key;
            if let Err(error) = parts.store.finish_tool_run(&run.scope, key, &end).await {
                say(&error.message());
            }
            answers
                .entry(run.run.call.as_str().to_owned())
                .or_default()
                .push((run.run.tool_call_id.clone(), reply));
            count += 1;
        }
    }
    if count > 0 {
        say(&Message::new("log_tool_runs_resumed").with("count", count));
    }
    answers
}

/// Sends a request again, with the key that makes a repetition harmless.
async fn resume(parts: &Parts, run: &ToolRun) -> ToolReply {
    let request: Value = run
        .run
        .request
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let text = |name: &str| request.get(name).and_then(Value::as_str).map(str::to_owned);
    let headers = headers(parts, run, &request).await;
    let caller = caller(parts, run).await;
    let timeout_ms = request
        .get("timeoutMs")
        .and_then(Value::as_u64)
        .and_then(|ms| u32::try_from(ms).ok())
        .unwrap_or(10_000);
    let (Some(url), idempotency_key) = (text("url"), Some(run.run.idempotency_key.clone())) else {
        return ToolReply::TimedOut;
    };
    let courier = parts.engine.courier();
    if text("kind").as_deref() == Some("mcp") {
        let call = McpCall {
            url,
            headers,
            tool: text("tool").unwrap_or_default(),
            arguments: request.get("arguments").cloned().unwrap_or_default(),
            timeout_ms,
            idempotency_key,
        };
        return courier.run_mcp(&call, &caller).await;
    }
    let method = text("method")
        .and_then(|method| serde_json::from_value::<Method>(Value::String(method)).ok());
    let call = HttpCall {
        method: method.unwrap_or(Method::Get),
        url,
        headers,
        body: text("body"),
        timeout_ms,
        idempotency_key,
        safe_to_retry: true,
    };
    courier.run(&call, &caller).await
}

/// The headers of a request: values that were not kept with it are taken from the tool, where they are constant there.
async fn headers(parts: &Parts, run: &ToolRun, request: &Value) -> Vec<(String, String)> {
    let Some(kept) = request.get("headers").and_then(Value::as_object) else {
        return Vec::new();
    };
    let agent = run.run.agent_id.as_deref().unwrap_or_default();
    let tools = parts
        .store
        .tools(&run.scope, agent)
        .await
        .unwrap_or_default();
    let secrets = parts.secrets(&run.scope);
    let config = match tools.iter().find(|tool| tool.name == run.run.name) {
        Some(tool) => agents::opened_tool(&tool.content, &secrets).await,
        None => Ok(Value::Null),
    };
    let config = config.unwrap_or_default();
    let constant = |name: &str| {
        let headers = config.pointer("/http/headers")?.as_object()?;
        let (_, value) = headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        let value = value.as_str()?;
        (!value.starts_with('=')).then(|| value.to_owned())
    };
    kept.iter()
        .filter_map(|(name, value)| {
            let value = value.as_str().map(str::to_owned);
            Some((name.clone(), value.or_else(|| constant(name))?))
        })
        .collect()
}

async fn caller(parts: &Parts, run: &ToolRun) -> Caller {
    let signing_secret = match &parts.vault {
        Some(vault) => agents::signing_secret(&parts.store, vault, &run.scope)
            .await
            .ok()
            .flatten(),
        None => None,
    };
    Caller {
        tenant: run.scope.tenant().as_str().to_owned(),
        agent: run.run.agent_id.clone(),
        call: Some(run.run.call.as_str().to_owned()),
        signing_secret,
        hosts: Vec::new(),
        traceparent: None,
    }
}

fn outcome(reply: &ToolReply) -> (ToolRunState, Option<i64>, String) {
    match reply {
        ToolReply::Http { status, body } => {
            let done = (200..300).contains(status);
            let mut output = body.clone();
            let mut end = output.len().min(OUTPUT_BYTES_MAX);
            while !output.is_char_boundary(end) {
                end -= 1;
            }
            output.truncate(end);
            let state = if done {
                ToolRunState::Done
            } else {
                ToolRunState::Failed
            };
            (state, Some(i64::from(*status)), output)
        }
        ToolReply::Mcp { is_error, content } => {
            let state = if *is_error {
                ToolRunState::Failed
            } else {
                ToolRunState::Done
            };
            (state, None, content.to_string())
        }
        ToolReply::Failed { .. } | ToolReply::TimedOut => {
            (ToolRunState::Failed, None, format!("{reply:?}"))
        }
    }
}

/// Closes one call; true when it is closed now.
async fn close(parts: &Parts, scope: &TenantScope, call: &CallId, answers: &Answers) -> bool {
    let Some((record, brain)) = restored(parts, scope, call).await else {
        return close_plainly(parts, scope, call).await;
    };
    let mut brain = brain;
    for (tool_call, reply) in answers.get(call.as_str()).into_iter().flatten() {
        brain.finish(tool_call, reply, Timestamp::now());
    }
    let lines = parts
        .store
        .transcript(scope, call)
        .await
        .unwrap_or_default();
    let transcript: Vec<agent::TranscriptLine> = lines
        .iter()
        .filter_map(|line| {
            let speaker = match line.role.as_str() {
                "caller" => Speaker::Caller,
                "agent" => Speaker::Agent,
                _ => return None,
            };
            let after = i64::try_from(line.at_ms).unwrap_or(i64::MAX);
            let after = jiff::SignedDuration::from_millis(after);
            Some(agent::TranscriptLine {
                speaker,
                text: line.text.clone(),
                at: record
                    .started_at
                    .saturating_add(after)
                    .unwrap_or(record.started_at),
            })
        })
        .collect();
    let spoke = transcript
        .iter()
        .any(|line| line.speaker == Speaker::Caller);
    let talked = record.talk_ms().unwrap_or_default();
    brain.set_telephony_time(talked);
    let facts = EndFacts {
        ended_at: record
            .end
            .as_ref()
            .map_or_else(Timestamp::now, |end| end.ended_at),
        duration_ms: talked,
        kind: kind(EndReason::ProcessLost, record.answered_at.is_some(), spoke),
        transcript,
        model: None,
        error: Some(EndReason::ProcessLost.code().to_owned()),
        second_legs: Vec::new(),
    };
    let service = service(&brain, call.as_str(), &facts, EndReason::ProcessLost);
    let close = CallClose {
        end: end_of(&record),
        outcome: Some(service.outcome),
        context: Some(service.context),
        model: service.model,
        cost: service.cost,
        deliveries: service.deliveries,
    };
    match parts.store.finish_call_with(scope, call, &close).await {
        Ok(_) => true,
        Err(error) => {
            say(&error.message());
            false
        }
    }
}

/// A call whose agent's version cannot be used any more: its outcome is noted, so that it is not looked at for ever.
async fn close_plainly(parts: &Parts, scope: &TenantScope, call: &CallId) -> bool {
    let Ok(Some(record)) = parts.store.call(scope, call).await else {
        return false;
    };
    let close = CallClose {
        end: end_of(&record),
        outcome: Some("error".to_owned()),
        context: None,
        model: None,
        cost: None,
        deliveries: Vec::new(),
    };
    let closed = parts.store.finish_call_with(scope, call, &close).await;
    closed.is_ok()
}

fn end_of(record: &CallRecord) -> CallEnd {
    let reason = EndReason::ProcessLost;
    CallEnd {
        ended_at: record
            .end
            .as_ref()
            .map_or_else(Timestamp::now, |end| end.ended_at),
        answered_at: record.answered_at,
        reason,
        ended_by: reason.ended_by(),
        verdict: Message::new(catalog::end_code(reason.code())),
        statistics: None,
        recording_path: None,
    }
}

/// The record of a call and its brain, in the version that the call began with.
async fn restored(
    parts: &Parts,
    scope: &TenantScope,
    call: &CallId,
) -> Option<(CallRecord, CallBrain)> {
    let record = parts.store.call(scope, call).await.ok()??;
    let agent_id = record.service.agent_id.clone()?;
    let version = record.service.agent_version?;
    let version = parts
        .store
        .agent_version(scope, &agent_id, version)
        .await
        .ok()??;
    let tenant = parts.store.tenant(scope).await.ok()??;
    let base_url = parts.config.base_url.as_deref();
    let secrets = parts.secrets(scope);
    let compiled = agents::compiled(&agent_id, &tenant, &version, &secrets, base_url).await;
    let compiled = compiled.ok()?;
    let compiled = Arc::new(compiled);
    let snapshot = record.service.context.clone().unwrap_or_default();
    let brain = CallBrain::restore(Arc::clone(&compiled), &snapshot).unwrap_or_else(|| {
        let inbound = record.direction == Direction::Inbound;
        let (other, ours) = if inbound {
            (&record.from, &record.to)
        } else {
            (&record.to, &record.from)
        };
        let known = |party: &String| (!party.is_empty()).then(|| party.clone());
        let facts = CallFacts {
            call_id: record.id.clone(),
            caller_phone: known(other),
            called_number: known(ours),
            direction: if inbound {
                agent::Direction::Inbound
            } else {
                agent::Direction::Outbound
            },
            started_at: record.started_at,
            caller_verified: false,
            carrier: record
                .service
                .carrier
                .clone()
                .unwrap_or_else(|| "sip".to_owned()),
            carrier_call_id: None,
            caller_name: None,
            caller_attestation: None,
        };
        CallBrain::new(compiled, facts)
    });
    Some((record, brain))
}
