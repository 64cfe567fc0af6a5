//! Links that show one call to somebody without an account: read only, for some days, taken back at any time. Of numbers only their ends
//! are shown.
//!
//! A link is a row among the keys of the account whose scopes name the call: it opens nothing else (see [`crate::credential::kind`]).

use super::auth::Origin;
use super::calls::{LineView, find, lines, sound};
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::{Json, Path};
use crate::caller::Caller;
use crate::problem::{Problem, language_of};
use crate::support::Faults;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use call::{CallId, TenantId};
use catalog::redact;
use catalog::{Language, Numbers};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use store::credential::{NewKey, hash_key};
use store::{ApiKey, ApiKeyFilter, AuditNote, CallRecord, Entry, PageRequest, TenantScope};
use utoipa::ToSchema;

/// First characters of a link's token.
const SHARE_KIND: &str = "shr_";
/// The header that a link's page sends it in.
const SHARE_HEADER: &str = "x-share-token";
/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 128;
/// Days that a link is good where nobody says it.
const DAYS_DEFAULT: u32 = 7;
/// Most days.
const DAYS_MAX: u32 = 90;
/// Links of one call, those that are over included.
const SHARES_MAX: usize = 50;
/// Digits in a row that are taken for a telephone number.
const NUMBER_DIGITS_MIN: usize = 8;

/// What a link's row says that it opens.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Opens {
    share: String,
    sound: bool,
}

impl Opens {
    fn scopes(call: &CallId, sound: bool) -> String {
        json!({ "share": call.as_str(), "sound": sound }).to_string()
    }
}

/// A new link.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ShareWish {
    /// Days that it is good: 1 to 90; absent: 7.
    days: Option<u32>,
    /// Whether the recording is heard too.
    sound: bool,
}

/// A link, without its token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShareView {
    /// Its id.
    id: String,
    /// First characters of its token.
    prefix: String,
    /// Whether the recording is heard too.
    sound: bool,
    /// Who made it.
    created_by: String,
    /// ISO-8601.
    created_at: String,
    /// ISO-8601.
    expires_at: Option<String>,
    /// When it was opened last, to the minute; ISO-8601.
    last_used_at: Option<String>,
    /// When it was taken back, ISO-8601.
    revoked_at: Option<String>,
}

/// A link that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShareMade {
    /// Where its page is, below the address that the pages have; it is shown this once.
    path: String,
    /// The rest.
    #[serde(flatten)]
    view: ShareView,
}

/// A call as a link shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SharedCall {
    /// `inbound` or `outbound`.
    direction: &'static str,
    /// The caller, of a number its end.
    from: String,
    /// The called, of a number its end.
    to: String,
    /// Name of the agent.
    agent: String,
    /// ISO-8601.
    started_at: String,
    /// ISO-8601.
    ended_at: Option<String>,
    /// From the answer to the end.
    duration_sec: Option<i64>,
    /// What came of it.
    outcome: Option<String>,
    /// The explanation, as far as it names nobody.
    #[schema(value_type = Object)]
    explanation: Value,
    /// What was said; of numbers their ends.
    transcript: Vec<LineView>,
    /// Whether the recording is heard.
    has_sound: bool,
    /// Until when the link is good, ISO-8601.
    expires_at: Option<String>,
}

fn view(entry: &Entry<ApiKey>) -> ShareView {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let sound = serde_json::from_str::<Opens>(&entry.scopes).is_ok_and(|opens| opens.sound);
    ShareView {
        id: entry.id.clone(),
        prefix: entry.prefix.clone(),
        sound,
        created_by: entry.name.clone(),
        created_at: entry.created_at.to_string(),
        expires_at: time(entry.expires_at),
        last_used_at: time(entry.last_used_at),
        revoked_at: time(entry.revoked_at),
    }
}

/// The links of a call, newest first.
async fn of_call(
    api: &Api,
    scope: &TenantScope,
    call: &CallId,
) -> Result<Vec<Entry<ApiKey>>, Problem> {
    let mut all = Vec::new();
    for sound in [false, true] {
        let filter = ApiKeyFilter {
            scopes: Some(Opens::scopes(call, sound)),
            ..ApiKeyFilter::default()
        };
        let page = PageRequest::default();
        let list = api.store.api_keys(scope.into(), &filter, &page).await?;
        all.extend(list.items);
    }
    all.sort_by_key(|entry| std::cmp::Reverse(entry.created_at));
    Ok(all)
}

/// The links that show this call.
#[utoipa::path(get, path = "/api/calls/{id}/shares", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = [ShareView])))]
pub(crate) async fn list_shares(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, _, id) = find(&api, &caller, &id).await?;
    let views: Vec<_> = of_call(&api, &scope, &id).await?.iter().map(view).collect();
    Answer::ok(views)
}

/// Makes a link that shows this call, and nothing else, to whoever has it. Its address is shown this once.
#[utoipa::path(post, path = "/api/calls/{id}/shares", tag = "calls", params(("id" = String, Path)),
    request_body = ShareWish, responses((status = 201, body = ShareMade)))]
pub(crate) async fn share(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ShareWish>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let days = body.days.unwrap_or(DAYS_DEFAULT);
    let mut faults = Faults::default();
    faults.unless((1..=DAYS_MAX).contains(&days), "days", "range", "1…90");
    faults.done()?;
    if record.end.is_none() {
        return Err(Problem::conflict("api_call_runs").with("id", id.as_str()));
    }
    if of_call(&api, &scope, &id).await?.len() >= SHARES_MAX {
        return Err(Problem::conflict("api_shares_full"));
    }
    let made = NewKey::generate(SHARE_KIND);
    let until = Timestamp::now()
        .checked_add(SignedDuration::from_hours(24 * i64::from(days)))
        .map_err(Problem::internal)?;
    let key = ApiKey {
        agent_id: None,
        name: caller.author("").author,
        prefix: made.prefix().to_owned(),
        hash: made.hash(),
        role: "viewer".to_owned(),
        scopes: Opens::scopes(&id, body.sound),
        expires_at: Some(until),
        revoked_at: None,
        last_used_at: None,
    };
    let shown = json!({ "call": id.as_str(), "days": days, "sound": body.sound });
    let entry = caller
        .store(&api, None, Some(&shown))
        .create_api_key((&scope).into(), &store::new_id(), &key)
        .await?;
    let answer = Answer::created(ShareMade {
        path: format!("/admin/shared#{}", made.text()),
        view: view(&entry),
    })?;
    Ok(answer.changed(noted("share", &scope, &id, shown)))
}

/// Takes a link back, at once and for good.
#[utoipa::path(delete, path = "/api/calls/{id}/shares/{shareId}", tag = "calls",
    params(("id" = String, Path), ("shareId" = String, Path)), responses((status = 204)))]
pub(crate) async fn unshare(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, share)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let (scope, _, id) = find(&api, &caller, &id).await?;
    let found = of_call(&api, &scope, &id).await?;
    let found = found.into_iter().find(|entry| entry.id == share);
    let entry = found.ok_or_else(Problem::unknown)?;
    caller
        .store(&api, None, None)
        .revoke_api_key((&scope).into(), &entry.id)
        .await?;
    let detail = json!({ "share": entry.id, "prefix": entry.prefix });
    Ok(Answer::empty().changed(noted("unshare", &scope, &id, detail)))
}

fn noted(action: &'static str, scope: &TenantScope, call: &CallId, detail: Value) -> Change {
    Change {
        action,
        entity: "call",
        id: call.to_string(),
        tenant: Some(scope.tenant().to_string()),
        detail: Some(detail),
    }
}

/// What a link opens.
struct Shared {
    scope: TenantScope,
    record: CallRecord,
    id: CallId,
    link: Entry<ApiKey>,
    sound: bool,
}

/// The call of a link; each opening is in the audit log.
async fn opened(
    api: &Api,
    headers: &HeaderMap,
    origin: &Origin,
    action: &str,
) -> Result<Shared, Problem> {
    let over = || Problem::new(StatusCode::NOT_FOUND, "api_share_over");
    let token = headers
        .get(SHARE_HEADER)
        .and_then(|token| token.to_str().ok())
        .filter(|token| token.starts_with(SHARE_KIND) && token.len() <= TOKEN_BYTES_MAX)
        .ok_or_else(over)?;
    let link = api
        .store
        .resolve_api_key(&hash_key(token), Timestamp::now())
        .await?
        .ok_or_else(over)?;
    let opens: Opens = serde_json::from_str(&link.scopes).map_err(|_| over())?;
    let tenant = link.tenant.as_deref().ok_or_else(over)?;
    let scope = TenantScope::new(TenantId::from(tenant));
    let id = CallId::from(opens.share.as_str());
    let record = api.store.call(&scope, &id).await?.ok_or_else(over)?;
    let note = AuditNote {
        action: action.to_owned(),
        entity: "call".to_owned(),
        entity_id: id.to_string(),
        detail: Some(json!({ "share": link.id }).to_string()),
    };
    let reader = api.store.acting_as(store::Actor {
        kind: "share_link",
        id: link.id.clone(),
        name: link.prefix.clone(),
        address: Some(origin.client.clone()).filter(|address| !address.is_empty()),
        request_id: origin.request_id.clone(),
        detail: None,
    });
    reader.audit((&scope).into(), &note).await?;
    Ok(Shared {
        scope,
        record,
        id,
        link,
        sound: opens.sound,
    })
}

/// The call of a link, by the token in `X-Share-Token`.
#[utoipa::path(get, path = "/api/shared", tag = "calls", params(("X-Share-Token" = String, Header, description = "What follows `#` in the link.")),
    responses((status = 200, body = SharedCall)))]
pub(crate) async fn shared(
    State(api): State<Arc<Api>>,
    origin: Origin,
    headers: HeaderMap,
) -> Result<Answer, Problem> {
    let shared = opened(&api, &headers, &origin, "shared_read").await?;
    let language = language_of(&headers, api.config.language);
    let (record, scope, id) = (&shared.record, &shared.scope, &shared.id);
    let agent = match &record.service.agent_id {
        Some(agent) => api
            .store
            .agent(scope, agent)
            .await?
            .map(|agent| agent.name.clone()),
        None => Some(record.agent.clone()),
    };
    let end = record.end.as_ref();
    let duration = record.answered_at.zip(end);
    let mut transcript = lines(&api, scope, record, id).await?;
    for line in &mut transcript {
        line.content = masked(&line.content);
    }
    Answer::ok(SharedCall {
        direction: record.direction.label(),
        from: redact::phone(&record.from),
        to: redact::phone(&record.to),
        agent: agent.unwrap_or_default(),
        started_at: record.started_at.to_string(),
        ended_at: end.map(|end| end.ended_at.to_string()),
        duration_sec: duration
            .map(|(answered, end)| end.ended_at.duration_since(answered).as_secs().max(0)),
        outcome: record.service.outcome.clone(),
        explanation: explained(&api, &shared, language).await?,
        transcript,
        has_sound: shared.sound && record.recording_path.is_some(),
        expires_at: shared.link.expires_at.map(|at| at.to_string()),
    })
}

/// The parts of the explanation that name nobody: no signalling, no context, no arguments.
async fn explained(api: &Api, shared: &Shared, language: Language) -> Result<Value, Problem> {
    let events = api.store.events(&shared.scope, &shared.id).await?;
    let transcript = api.store.transcript(&shared.scope, &shared.id).await?;
    let whole = store::explain(&shared.record, &events, &transcript);
    let whole = whole.json(language, Numbers::Masked);
    let sentences = |value: &Value| -> Value {
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(sentence).collect()
    };
    Ok(json!({
        "verdict": sentence(&whole["verdict"]),
        "who": whole["who"],
        "why": sentences(&whole["why"]),
        "timings": whole["timings"],
        "turns": whole["turns"].as_array().map(Vec::as_slice).unwrap_or_default().iter()
            .map(|turn| json!({ "stopped_at_ms": turn["stopped_at_ms"], "latency_ms": turn["latency_ms"] })).collect::<Value>(),
        "tools": whole["tools"].as_array().map(Vec::as_slice).unwrap_or_default().iter()
            .map(|tool| json!({ "id": tool["id"], "name": tool["name"], "at_ms": tool["at_ms"], "outcome": tool["outcome"], "took_ms": tool["took_ms"] }))
            .collect::<Value>(),
        "timeline": sentences(&whole["timeline"]),
    }))
}

fn sentence(value: &Value) -> Value {
    let text = |name: &str| value[name].as_str().map(masked);
    let mut out = json!({ "code": value["code"], "severity": value["severity"], "text": text("text"), "remedy": text("remedy") });
    for name in ["at_ms", "detail"] {
        if let Some(member) = value.get(name) {
            out[name] = member.clone();
        }
    }
    out
}

/// A text in which of each telephone number only the end is left.
fn masked(text: &str) -> String {
    let within = |c: char| c.is_ascii_digit() || " .-/()\u{a0}\u{202f}\u{2011}\u{2013}".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit() || c == '+') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let sign = usize::from(from.starts_with('+'));
        let length = sign
            + from[sign..]
                .find(|c| !within(c))
                .unwrap_or(from.len() - sign);
        let run = &from[..length];
        let number = run.trim_end_matches(|c: char| !c.is_ascii_digit());
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        if digits >= NUMBER_DIGITS_MIN {
            out.push_str(&redact::phone(number));
            out.push_str(&run[number.len()..]);
        } else {
            out.push_str(run);
        }
        rest = &from[length..];
    }
    out.push_str(rest);
    out
}

/// The recording of a link's call, where the link says that it is heard.
#[utoipa::path(get, path = "/api/shared/recording.wav", tag = "calls", params(("X-Share-Token" = String, Header, description = "What follows `#` in the link.")),
    responses((status = 200, body = Vec<u8>, content_type = "audio/wav")))]
pub(crate) async fn shared_recording(
    State(api): State<Arc<Api>>,
    origin: Origin,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let shared = opened(&api, &headers, &origin, "shared_heard").await?;
    let path = shared.record.recording_path.as_deref();
    sound(path.filter(|_| shared.sound), &shared.id).await
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn of_a_number_only_its_end_is_left() {
        for (text, shown) in [
            (
                "Mon numéro est le 06 12 34 56 78, merci.",
                "Mon numéro est le …78, merci.",
            ),
            ("+33612345678", "…78"),
            (
                "Au 06/12/34/56/78 ou au 06‑12‑34‑56‑79.",
                "Au …78 ou au …79.",
            ),
            ("06 12 – 34 56 78", "…78"),
            (
                "Rappelez le +33 6 12-34-56-78 avant 19 h 30.",
                "Rappelez le …78 avant 19 h 30.",
            ),
            ("2 pizzas à 12.50, table 4", "2 pizzas à 12.50, table 4"),
            ("à 20 h le 25, pour 4", "à 20 h le 25, pour 4"),
            ("+ 3", "+ 3"),
            ("", ""),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }
}
