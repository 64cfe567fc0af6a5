//! Where a number would go, and what operators want: the provider profiles.

use super::sip_accounts::scope;
use crate::answer::Answer;
use crate::api::Api;
use crate::body::Query;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::support::Faults;
use axum::extract::State;
use catalog::{Language, Message};
use engine::provider::PROFILES;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which number.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RouteQuery {
    /// Of which account of the platform; the operator of the node who names none means the first one.
    account_id: Option<String>,
    /// The dialled number.
    number: String,
    /// Id of the SIP account by which the call would come.
    account: Option<String>,
}

/// A step of the selection of an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepView {
    /// `workflow_account`, `default_account`, `first_active` or `settings`.
    step: &'static str,
    /// What it found, whether or not an earlier step decided.
    found: Option<String>,
    /// It decided.
    is_chosen: bool,
}

/// Where a call to a number would go.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RouteView {
    /// The number.
    number: String,
    /// Slug of the workflow that would take it.
    workflow: Option<String>,
    /// Slug of the workflow that lists the number.
    workflow_by_number: Option<String>,
    /// Slug of the workflow of the account by which it would come; used where none lists the number.
    workflow_by_account: Option<String>,
    /// The phone line that has the number; its agent answers where no workflow says otherwise.
    phone_line: Option<String>,
    /// The four steps towards an account.
    steps: Vec<StepView>,
    /// The chosen account.
    sip_account_id: Option<String>,
    /// The accounts that a call out would try, in their order.
    attempts: Vec<String>,
    /// The agent that would answer; null: the call would be refused.
    agent_id: Option<String>,
    /// How long it would ring, where the workflow says so.
    ring_timeout_s: Option<u32>,
}

/// A text in both languages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BothLanguages {
    /// French.
    fr: String,
    /// English.
    en: String,
}

/// A value of a profile.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileValue {
    /// The field.
    field: &'static str,
    /// Its value.
    value: String,
    /// Why.
    why: BothLanguages,
}

/// What an operator or an exchange wants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileView {
    /// Its id, for `provider_profile`.
    id: &'static str,
    /// Its name.
    name: &'static str,
    /// Each value with its reason.
    values: Vec<ProfileValue>,
}

/// Where a call to this number would go: each step of the decision with its result.
#[utoipa::path(get, path = "/api/admin/route", tag = "workflows", params(RouteQuery),
    responses((status = 200, body = RouteView)))]
pub(crate) async fn route(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<RouteQuery>,
) -> Result<Answer, Problem> {
    let scope = scope(&caller, query.account_id.as_deref())?;
    let mut faults = Faults::default();
    faults.text("number", &query.number, 64);
    faults.maybe("account", query.account.as_deref(), 64);
    faults.done()?;
    let number = query.number.trim();
    // A plus that was not escaped in the address is a space.
    let number = if query.number.starts_with(' ') {
        format!("+{number}")
    } else {
        number.to_owned()
    };
    let account = query.account.as_deref();
    let answer = api.engine.explain_route(scope.tenant(), &number, account);
    let chosen = answer.steps.iter().find(|step| step.is_chosen);
    let view = RouteView {
        workflow: answer
            .by_number
            .clone()
            .or_else(|| answer.by_account.clone()),
        workflow_by_number: answer.by_number.clone(),
        workflow_by_account: answer.by_account.clone(),
        phone_line: answer.line.clone(),
        sip_account_id: chosen.and_then(|step| step.found.clone()),
        steps: answer
            .steps
            .iter()
            .map(|step| StepView {
                step: step.step.name(),
                found: step.found.clone(),
                is_chosen: step.is_chosen,
            })
            .collect(),
        attempts: answer.attempts,
        agent_id: answer.agent,
        ring_timeout_s: answer.ring_ms.map(|ms| ms / 1_000),
        number,
    };
    Answer::ok(view)
}

/// The provider profiles: what each operator or exchange wants, each value with its reason.
#[utoipa::path(get, path = "/api/admin/sip-profiles", tag = "sip accounts", responses((status = 200, body = [ProfileView])))]
pub(crate) async fn profiles() -> Result<Answer, Problem> {
    let words = |code: &'static str, language| catalog::render(&Message::new(code), language).text;
    let views: Vec<ProfileView> = PROFILES
        .iter()
        .map(|profile| ProfileView {
            id: profile.id,
            name: profile.name,
            values: profile
                .shown()
                .into_iter()
                .map(|shown| ProfileValue {
                    field: shown.field,
                    value: shown.value,
                    why: BothLanguages {
                        fr: words(shown.why, Language::Fr),
                        en: words(shown.why, Language::En),
                    },
                })
                .collect(),
        })
        .collect();
    Answer::ok(views)
}
