//! Workflows: routes from phone numbers and a SIP account to an agent, in versions.

use super::owner::of;
use super::sip_accounts::scope;
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::Caller;
use crate::limits::TEXT_CHARACTERS_MAX;
use crate::problem::Problem;
use crate::support::{Faults, found, merged, page, repeat, tag};
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{
    Entry, Owned, TenantScope, Workflow, WorkflowDefinition, WorkflowFilter, WorkflowVersion,
};
use utoipa::{IntoParams, ToSchema};

/// Longest slug, in characters.
const SLUG_MAX: usize = 64;
/// Longest number, in characters.
const NUMBER_MAX: usize = 64;
/// Longest ring time, in seconds.
const RING_MAX: i64 = 120;

/// What a version says.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DefinitionFields {
    /// The SIP account that its calls go by; null: the default one, else the first active one, else that of the settings.
    sip_account_id: Option<String>,
    /// The agent that answers; null: the one of the phone line by which a call comes.
    agent_id: Option<String>,
    /// The dialled numbers that it takes; none: what comes by its account.
    phone_numbers: Vec<String>,
    /// How long the phone rings before the answer, 0 to 120 seconds; null: as the agent says.
    ring_timeout_s: Option<i64>,
    /// How outgoing calls choose their account: `selected`, `round_robin` or `weighted`.
    distribution: String,
}

/// A version of a workflow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkflowVersionView)]
pub(crate) struct VersionView {
    /// Its number.
    version: i64,
    /// Whether calls follow it.
    is_active: bool,
    /// By whom it was made.
    author: String,
    /// Why.
    note: String,
    /// ISO-8601.
    created_at: String,
    /// What it says.
    #[serde(flatten)]
    definition: DefinitionFields,
}

/// A workflow with the version that calls follow.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkflowView {
    /// Its id.
    id: String,
    /// Of which account of the platform.
    account_id: String,
    /// Its name in addresses and in the log; unique in the account.
    slug: String,
    /// Its name.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// Whether calls follow it.
    is_active: bool,
    /// The published version; null where none is.
    definition: Option<VersionView>,
    /// Number of the newest version, a draft perhaps.
    latest_version: i64,
    /// Rises with each change; the entity tag.
    version: i64,
    /// ISO-8601.
    created_at: String,
    /// ISO-8601.
    updated_at: String,
}

/// A workflow as it is written; it gets its first version, published.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "the schema of the request; its values are merged")]
pub(crate) struct WorkflowWrite {
    /// Of which account of the platform.
    account_id: Option<String>,
    /// `a-z`, `0-9` and `-`.
    slug: String,
    /// Its name; the slug where absent.
    name: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// Whether calls follow it.
    is_active: Option<bool>,
    /// The SIP account.
    sip_account_id: Option<String>,
    /// The agent that answers.
    agent_id: Option<String>,
    /// The dialled numbers.
    phone_numbers: Option<Vec<String>>,
    /// How long the phone rings before the answer, in seconds.
    ring_timeout_s: Option<i64>,
    /// `selected`, `round_robin` or `weighted`.
    distribution: Option<String>,
    /// For a change: whether the new version is published at once; true where absent.
    publish: Option<bool>,
    /// Why, for the list of versions.
    note: Option<String>,
}

/// Which workflows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WorkflowQuery {
    /// Of which account of the platform; the operator of the node who names none means the first one.
    account_id: Option<String>,
    /// Of exactly this slug.
    slug: Option<String>,
    /// With this in the slug or the name.
    search: Option<String>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// The workflow itself, as a body changes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Own {
    slug: String,
    name: String,
    description: Option<String>,
    is_active: bool,
}

fn fields(definition: &WorkflowDefinition) -> DefinitionFields {
    DefinitionFields {
        sip_account_id: definition.sip_account_id.clone(),
        agent_id: definition.agent_id.clone(),
        phone_numbers: definition.phone_numbers.clone(),
        ring_timeout_s: definition.ring_timeout_s,
        distribution: definition.distribution.clone(),
    }
}

fn version_view(version: &WorkflowVersion) -> VersionView {
    VersionView {
        version: version.version,
        is_active: version.is_active,
        author: version.author.clone(),
        note: version.note.clone(),
        created_at: version.created_at.to_string(),
        definition: fields(&version.definition),
    }
}

async fn view(
    api: &Api,
    scope: &TenantScope,
    entry: &Entry<Workflow>,
) -> Result<WorkflowView, Problem> {
    let versions = api.store.workflow_versions(scope, &entry.id).await?;
    Ok(WorkflowView {
        id: entry.id.clone(),
        account_id: entry.tenant.clone().unwrap_or_default(),
        slug: entry.slug.clone(),
        name: entry.name.clone(),
        description: entry.description.clone(),
        is_active: entry.is_active,
        definition: versions
            .iter()
            .find(|version| version.is_active)
            .map(version_view),
        latest_version: versions.first().map_or(0, |version| version.version),
        version: entry.version,
        created_at: entry.created_at.to_string(),
        updated_at: entry.updated_at.to_string(),
    })
}

fn audited(workflow: &Workflow, definition: Option<&WorkflowDefinition>) -> Value {
    let mut value = json!({
        "slug": workflow.slug, "name": workflow.name, "description": workflow.description, "is_active": workflow.is_active,
    });
    if let Some(definition) = definition {
        value["definition"] = json!(fields(definition));
    }
    value
}

/// A body with its ids as texts and without what is absent; whether it names a member of the definition.
fn normal(body: &Value) -> (Value, bool) {
    let mut body = body.clone();
    let mut names_definition = false;
    if let Some(members) = body.as_object_mut() {
        for id in ["sip_account_id", "agent_id"] {
            // Ids are texts; the known clients send numbers.
            if let Some(Value::Number(number)) = members.get(id) {
                let text = Value::String(number.to_string());
                members.insert(id.to_owned(), text);
            }
        }
        for absent in ["phone_numbers", "distribution", "slug", "name", "is_active"] {
            if members.get(absent).is_some_and(Value::is_null) {
                members.remove(absent);
            }
        }
        names_definition = [
            "sip_account_id",
            "agent_id",
            "phone_numbers",
            "ring_timeout_s",
            "distribution",
        ]
        .iter()
        .any(|name| members.contains_key(*name));
    }
    (body, names_definition)
}

fn check(own: &Own, said: &DefinitionFields) -> Result<(), Problem> {
    let mut faults = Faults::default();
    faults.text("slug", &own.slug, SLUG_MAX);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    faults.unless(own.slug.chars().all(plain), "slug", "format", "a-z 0-9 - _");
    faults.maybe("name", Some(&own.name), TEXT_CHARACTERS_MAX);
    faults.maybe(
        "description",
        own.description.as_deref(),
        TEXT_CHARACTERS_MAX,
    );
    let ring = said
        .ring_timeout_s
        .is_none_or(|seconds| (0..=RING_MAX).contains(&seconds));
    faults.unless(ring, "ring_timeout_s", "range", "0–120");
    faults.choice(
        "distribution",
        &said.distribution,
        &["selected", "round_robin", "weighted"],
    );
    let count = said.phone_numbers.len() <= store::limits::WORKFLOW_NUMBERS_MAX;
    faults.unless(count, "phone_numbers", "length", "≤ 200");
    for (place, number) in said
        .phone_numbers
        .iter()
        .enumerate()
        .take(store::limits::WORKFLOW_NUMBERS_MAX)
    {
        faults.text(&format!("phone_numbers[{place}]"), number, NUMBER_MAX);
    }
    faults.done()
}

/// What a body makes of a workflow and of its definition; the latter where a member of it is named.
fn changed(
    workflow: &Workflow,
    definition: &WorkflowDefinition,
    body: &Value,
) -> Result<(Workflow, Option<WorkflowDefinition>), Problem> {
    let own = Own {
        slug: workflow.slug.clone(),
        name: workflow.name.clone(),
        description: workflow.description.clone(),
        is_active: workflow.is_active,
    };
    let (body, names_definition) = normal(body);
    let mut own: Own = merged(&own, body.clone())?;
    let said: DefinitionFields = merged(&fields(definition), body)?;
    if own.name.trim().is_empty() {
        own.name.clone_from(&own.slug);
    }
    check(&own, &said)?;
    let definition = WorkflowDefinition {
        sip_account_id: said.sip_account_id.filter(|id| !id.is_empty()),
        agent_id: said.agent_id.filter(|id| !id.is_empty()),
        phone_numbers: said
            .phone_numbers
            .iter()
            .map(|number| number.trim().to_owned())
            .collect(),
        ring_timeout_s: said.ring_timeout_s,
        distribution: said.distribution,
    };
    let workflow = Workflow {
        slug: own.slug,
        name: own.name,
        description: own.description,
        is_active: own.is_active,
    };
    Ok((workflow, names_definition.then_some(definition)))
}

fn note_in(body: &Value) -> Result<String, Problem> {
    let note = super::owner::text_in(body, "note")?.unwrap_or_default();
    let mut faults = Faults::default();
    faults.maybe("note", Some(&note), TEXT_CHARACTERS_MAX);
    faults.done()?;
    Ok(note)
}

/// The workflows, each with the version that calls follow.
#[utoipa::path(get, path = "/api/admin/workflows", tag = "workflows", params(WorkflowQuery),
    responses((status = 200, body = [WorkflowView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<WorkflowQuery>,
) -> Result<Answer, Problem> {
    let scope = scope(&caller, query.account_id.as_deref())?;
    let filter = WorkflowFilter {
        slug: query.slug,
        search: query.search,
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.workflows(&scope, &filter, &page).await?;
    let mut views = Vec::new();
    for entry in &list.items {
        views.push(view(&api, &scope, entry).await?);
    }
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// Makes a workflow with its first version, published.
#[utoipa::path(post, path = "/api/admin/workflows", tag = "workflows", request_body = WorkflowWrite,
    responses((status = 201, body = WorkflowView)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let account = super::owner::text_in(&body, "account_id")?;
    let scope = scope(&caller, account.as_deref())?;
    let start = Workflow {
        is_active: true,
        ..Workflow::default()
    };
    let none = WorkflowDefinition::default();
    let (workflow, definition) = changed(&start, &none, &body)?;
    let definition = definition.unwrap_or(none);
    let why = caller.author(&note_in(&body)?);
    let id = api.store.node_new_workflow_id().await?;
    let (entry, _) = caller
        .store(&api, None, Some(&audited(&workflow, Some(&definition))))
        .create_workflow(&scope, &id, &workflow, &definition, &why)
        .await?;
    let made = view(&api, &scope, &entry).await?;
    Ok(Answer::created(made)?.with_tag(tag(entry.version)))
}

async fn find(
    api: &Api,
    caller: &Caller,
    id: &str,
) -> Result<(TenantScope, Entry<Workflow>), Problem> {
    let scope = of(api, caller, Owned::Workflow, id).await?;
    let entry = found(api.store.workflow(&scope, id).await?)?;
    Ok((scope, entry))
}

/// One workflow.
#[utoipa::path(get, path = "/api/admin/workflows/{id}", tag = "workflows", params(("id" = String, Path)),
    responses((status = 200, body = WorkflowView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, entry) = find(&api, &caller, &id).await?;
    let shown = view(&api, &scope, &entry).await?;
    Ok(Answer::ok(shown)?.with_tag(tag(entry.version)))
}

/// Changes a workflow. Members of its definition make a new version, published at once unless `publish` is false.
#[utoipa::path(patch, path = "/api/admin/workflows/{id}", tag = "workflows", params(("id" = String, Path)),
    request_body(content = Object, description = "Any fields of a workflow."),
    responses((status = 200, body = WorkflowView)))]
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let publish = match body.get("publish") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(publish)) => *publish,
        Some(_) => return Err(Problem::field("publish", "type", "boolean")),
    };
    let why = caller.author(&note_in(&body)?);
    repeat(&headers, || async {
        let (scope, before) = find(&api, &caller, &id).await?;
        let version = api.expected(&headers, &scope, before.version).await?;
        let versions = api.store.workflow_versions(&scope, &id).await?;
        let newest = versions.first().map(|version| version.definition.clone());
        let newest = newest.unwrap_or_default();
        let (workflow, definition) = changed(&before, &newest, &body)?;
        let definition = definition.as_ref();
        let entry = caller
            .store(
                &api,
                Some(&audited(&before, definition.map(|_| &newest))),
                Some(&audited(&workflow, definition)),
            )
            .update_workflow(
                &scope,
                &id,
                &workflow,
                definition.map(|definition| (definition, publish)),
                version,
                &why,
            )
            .await?;
        let shown = view(&api, &scope, &entry).await?;
        Ok(Answer::ok(shown)?.with_tag(tag(entry.version)))
    })
    .await
}

/// Removes a workflow with its versions.
#[utoipa::path(delete, path = "/api/admin/workflows/{id}", tag = "workflows", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, before) = find(&api, &caller, &id).await?;
    let version = api.expected(&headers, &scope, before.version).await?;
    caller
        .store(&api, Some(&audited(&before, None)), None)
        .delete_workflow(&scope, &id, version)
        .await?;
    Ok(Answer::empty())
}

/// The versions of a workflow, newest first.
#[utoipa::path(get, path = "/api/admin/workflows/{id}/versions", tag = "workflows", params(("id" = String, Path)),
    responses((status = 200, body = [VersionView])))]
pub(crate) async fn versions(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, _) = find(&api, &caller, &id).await?;
    let versions = api.store.workflow_versions(&scope, &id).await?;
    Answer::ok(versions.iter().map(version_view).collect::<Vec<_>>())
}

/// Publishes a version: calls that begin from now on follow it.
#[utoipa::path(post, path = "/api/admin/workflows/{id}/versions/{version}/publish", tag = "workflows",
    params(("id" = String, Path), ("version" = i64, Path)), responses((status = 200, body = WorkflowView)))]
pub(crate) async fn publish(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path((id, version)): Path<(String, i64)>,
) -> Result<Answer, Problem> {
    repeat(&headers, || async {
        let (scope, before) = find(&api, &caller, &id).await?;
        let known = api.expected(&headers, &scope, before.version).await?;
        let after = json!({ "published": version });
        caller
            .store(&api, None, Some(&after))
            .publish_workflow(&scope, &id, version, known)
            .await?;
        let entry = found(api.store.workflow(&scope, &id).await?)?;
        let shown = view(&api, &scope, &entry).await?;
        Ok(Answer::ok(shown)?.with_tag(tag(entry.version)))
    })
    .await
}

/// Publishes a new version that says what an earlier one said.
#[utoipa::path(post, path = "/api/admin/workflows/{id}/versions/{version}/roll-back", tag = "workflows",
    params(("id" = String, Path), ("version" = i64, Path)), responses((status = 200, body = WorkflowView)))]
pub(crate) async fn roll_back(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path((id, version)): Path<(String, i64)>,
) -> Result<Answer, Problem> {
    repeat(&headers, || async {
        let (scope, before) = find(&api, &caller, &id).await?;
        let known = api.expected(&headers, &scope, before.version).await?;
        let why = caller.author(&format!("← {version}"));
        let after = json!({ "rolled_back_to": version });
        caller
            .store(&api, None, Some(&after))
            .roll_back_workflow(&scope, &id, version, known, &why)
            .await?;
        let entry = found(api.store.workflow(&scope, &id).await?)?;
        let shown = view(&api, &scope, &entry).await?;
        Ok(Answer::ok(shown)?.with_tag(tag(entry.version)))
    })
    .await
}
