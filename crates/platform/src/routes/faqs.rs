//! FAQ entries: a question that nobody could answer becomes an entry, its answer enters the prompt of the next call.

use super::owner::{agent as find_agent, of, reach_of_list};
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::Caller;
use crate::limits::{FAQ_IMPORT_MAX, TEXT_CHARACTERS_MAX};
use crate::problem::Problem;
use crate::support::{Faults, page, repeat, tag};
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{Entry, Faq, FaqFilter, Owned, TenantScope};
use utoipa::{IntoParams, ToSchema};

/// Longest question and answer, in characters.
const QUESTION_CHARACTERS_MAX: usize = 500;
const ANSWER_CHARACTERS_MAX: usize = 4_000;
/// Category where none is named.
const OTHER: &str = "other";

/// A question that was asked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FaqCreate {
    /// Of which agent; absent: the agent of the token.
    agent_id: Option<String>,
    /// The question.
    question: String,
    /// Its answer, where there is one already.
    answer: Option<String>,
    /// `other` where absent.
    category: Option<String>,
    /// Who asked.
    caller_phone: Option<String>,
}

/// A change of an entry; an answer makes it `answered`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FaqUpdate {
    /// The question.
    question: Option<String>,
    /// The answer.
    answer: Option<String>,
    /// What it is about.
    category: Option<String>,
    /// `pending`, `answered` or `ignored`.
    status: Option<String>,
}

/// Many entries.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FaqImport {
    /// Of which agent; absent: the agent of the token.
    agent_id: Option<String>,
    /// The entries.
    items: Vec<FaqItem>,
}

/// An entry to import.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct FaqItem {
    /// The question.
    question: String,
    /// Its answer.
    answer: Option<String>,
    /// What it is about.
    category: Option<String>,
}

/// How many were imported.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Imported {
    /// Entries that were taken.
    imported: usize,
}

/// An answer.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct FaqAnswer {
    /// In words.
    answer: String,
}

/// An entry.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FaqView {
    /// Its id.
    id: String,
    /// Of which account.
    account_id: String,
    /// Of which agent.
    agent_id: String,
    /// The question.
    question: String,
    /// The answer.
    answer: Option<String>,
    /// What it is about.
    category: String,
    /// `pending`, `answered` or `ignored`.
    status: String,
    /// Who asked first.
    caller_phone: Option<String>,
    /// How often it was asked.
    ask_count: i64,
    /// Rises with each change; the entity tag.
    version: i64,
    /// ISO-8601.
    created_at: String,
    /// ISO-8601.
    updated_at: String,
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct FaqQuery {
    /// Of which account; the operator of the node who names none, and no agent, means all.
    account_id: Option<String>,
    /// Of this agent.
    agent_id: Option<String>,
    /// `pending`, `answered` or `ignored`.
    status: Option<String>,
    /// Of this category.
    category: Option<String>,
    /// With this in the question.
    search: Option<String>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn view(entry: &Entry<Faq>) -> FaqView {
    FaqView {
        id: entry.id.clone(),
        account_id: entry.tenant.clone().unwrap_or_default(),
        agent_id: entry.agent_id.clone(),
        question: entry.question.clone(),
        answer: entry.answer.clone(),
        category: entry.category.clone(),
        status: entry.status.clone(),
        caller_phone: entry.caller_phone.clone(),
        ask_count: entry.ask_count,
        version: entry.version,
        created_at: entry.created_at.to_string(),
        updated_at: entry.updated_at.to_string(),
    }
}

fn shown(faq: &Faq) -> Value {
    json!({ "question": faq.question, "answer": faq.answer, "category": faq.category, "status": faq.status })
}

fn faq(
    agent: &str,
    question: &str,
    answer: Option<String>,
    category: Option<String>,
    caller: Option<String>,
) -> Faq {
    let answer = answer.filter(|answer| !answer.trim().is_empty());
    Faq {
        agent_id: agent.to_owned(),
        question: question.trim().to_owned(),
        status: if answer.is_some() {
            "answered"
        } else {
            "pending"
        }
        .to_owned(),
        answer,
        category: category
            .filter(|category| !category.is_empty())
            .unwrap_or_else(|| OTHER.to_owned()),
        caller_phone: caller,
        ask_count: 1,
    }
}

fn check(faults: &mut Faults, at: &str, faq: &Faq) {
    let path = |name: &str| format!("{at}{name}");
    faults.text(&path("question"), &faq.question, QUESTION_CHARACTERS_MAX);
    faults.maybe(
        &path("answer"),
        faq.answer.as_deref(),
        ANSWER_CHARACTERS_MAX,
    );
    faults.text(&path("category"), &faq.category, 64);
    faults.maybe(
        &path("callerPhone"),
        faq.caller_phone.as_deref(),
        TEXT_CHARACTERS_MAX,
    );
    faults.choice(
        &path("status"),
        &faq.status,
        &["pending", "answered", "ignored"],
    );
}

/// The agent of a body, or of the credential.
async fn agent_of(
    api: &Api,
    caller: &Caller,
    named: Option<String>,
) -> Result<(TenantScope, String), Problem> {
    let agent = named
        .or_else(|| caller.agent.clone())
        .ok_or_else(|| Problem::field("agentId", "required", "agentId"))?;
    let (scope, _) = find_agent(api, caller, &agent).await?;
    Ok((scope, agent))
}

/// The entries of an agent or an account.
#[utoipa::path(get, path = "/api/faqs", tag = "faqs", params(FaqQuery), responses((status = 200, body = [FaqView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<FaqQuery>,
) -> Result<Answer, Problem> {
    let (reach, agent_id) = reach_of_list(
        &api,
        &caller,
        query.account_id.as_deref(),
        query.agent_id.as_deref(),
    )
    .await?;
    let filter = FaqFilter {
        agent_id,
        status: query.status,
        category: query.category,
        search: query.search,
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.faqs(&reach, &filter, &page).await?;
    let views: Vec<_> = list.items.iter().map(view).collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// Notes a question; the same question again is counted.
#[utoipa::path(post, path = "/api/faqs", tag = "faqs", request_body = FaqCreate,
    responses((status = 201, body = FaqView)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<FaqCreate>,
) -> Result<Answer, Problem> {
    let (scope, agent) = agent_of(&api, &caller, body.agent_id).await?;
    let faq = faq(
        &agent,
        &body.question,
        body.answer,
        body.category,
        body.caller_phone,
    );
    let mut faults = Faults::default();
    check(&mut faults, "", &faq);
    faults.done()?;
    let entry = caller
        .store(&api, None, Some(&shown(&faq)))
        .ask_faq(&scope, &faq)
        .await?;
    Ok(Answer::created(view(&entry))?.with_tag(tag(entry.version)))
}

/// Takes many entries at once, all or none.
#[utoipa::path(post, path = "/api/faqs/import", tag = "faqs", request_body = FaqImport,
    responses((status = 200, body = Imported)))]
pub(crate) async fn import(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<FaqImport>,
) -> Result<Answer, Problem> {
    let (scope, agent) = agent_of(&api, &caller, body.agent_id).await?;
    let mut faults = Faults::default();
    let fine = body.items.len() <= FAQ_IMPORT_MAX;
    faults.unless(fine, "items", "length", &format!("≤ {FAQ_IMPORT_MAX}"));
    let faqs: Vec<Faq> = body
        .items
        .into_iter()
        .take(FAQ_IMPORT_MAX)
        .map(|item| faq(&agent, &item.question, item.answer, item.category, None))
        .collect();
    for (place, faq) in faqs.iter().enumerate() {
        check(&mut faults, &format!("items[{place}]."), faq);
    }
    faults.done()?;
    let imported = caller
        .store(&api, None, Some(&json!({ "imported": faqs.len() })))
        .import_faqs(&scope, &faqs)
        .await?;
    Answer::ok(Imported { imported })
}

async fn find(api: &Api, caller: &Caller, id: &str) -> Result<(TenantScope, Entry<Faq>), Problem> {
    let scope = of(api, caller, Owned::Faq, id).await?;
    let entry = api
        .store
        .faq(&scope, id)
        .await?
        .filter(|faq| caller.may_touch_agent(&faq.agent_id))
        .ok_or_else(Problem::unknown)?;
    Ok((scope, entry))
}

/// One entry.
#[utoipa::path(get, path = "/api/faqs/{id}", tag = "faqs", params(("id" = String, Path)),
    responses((status = 200, body = FaqView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (_, entry) = find(&api, &caller, &id).await?;
    Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
}

async fn change(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    id: &str,
    update: &FaqUpdate,
) -> Result<Answer, Problem> {
    repeat(headers, || async {
        let (scope, before) = find(api, caller, id).await?;
        let version = api.expected(headers, &scope, before.version).await?;
        let mut faq = before.content.clone();
        if let Some(question) = &update.question {
            question.trim().clone_into(&mut faq.question);
        }
        if let Some(category) = &update.category {
            faq.category.clone_from(category);
        }
        if let Some(answer) = &update.answer {
            let answered = !answer.trim().is_empty();
            faq.answer = answered.then(|| answer.clone());
            faq.status = if answered { "answered" } else { "pending" }.to_owned();
        }
        if let Some(status) = &update.status {
            faq.status.clone_from(status);
        }
        let mut faults = Faults::default();
        check(&mut faults, "", &faq);
        faults.done()?;
        let entry = caller
            .store(api, Some(&shown(&before)), Some(&shown(&faq)))
            .update_faq(&scope, id, &faq, version)
            .await?;
        Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}

/// Changes an entry; an answer makes it `answered`.
#[utoipa::path(put, path = "/api/faqs/{id}", tag = "faqs", params(("id" = String, Path)), request_body = FaqUpdate,
    responses((status = 200, body = FaqView)))]
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<FaqUpdate>,
) -> Result<Answer, Problem> {
    change(&api, &caller, &headers, &id, &body).await
}

/// Answers a question; calls that begin from now on know it.
#[utoipa::path(post, path = "/api/faqs/{id}/answer", tag = "faqs", params(("id" = String, Path)),
    request_body = FaqAnswer, responses((status = 200, body = FaqView)))]
pub(crate) async fn answer(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<FaqAnswer>,
) -> Result<Answer, Problem> {
    let update = FaqUpdate {
        answer: Some(body.answer),
        ..FaqUpdate::default()
    };
    change(&api, &caller, &headers, &id, &update).await
}

/// Removes an entry.
#[utoipa::path(delete, path = "/api/faqs/{id}", tag = "faqs", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, before) = find(&api, &caller, &id).await?;
    caller
        .store(&api, Some(&shown(&before)), None)
        .delete_faq(&scope, &id, None)
        .await?;
    Ok(Answer::empty())
}
