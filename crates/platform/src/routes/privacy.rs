//! What is kept of a person: told, and erased.

use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Query};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::support::Faults;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Longest spelling of a number, in characters.
const NUMBER_CHARACTERS_MAX: usize = 64;

/// Whose data.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct Person {
    /// Of which account; absent: of the credential's own.
    account_id: Option<String>,
    /// The telephone number, in any spelling.
    phone: String,
}

/// What an erasure did. Costs, transactions and the audit log stay; they name no number.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErasedView {
    /// Calls that were emptied.
    calls: usize,
    /// Recordings whose files were removed.
    recordings: usize,
    /// Recordings whose files could not be removed; their paths are in the log.
    recordings_left: usize,
    /// Chats that were removed.
    chats: usize,
    /// Questions whose asker is forgotten.
    questions: usize,
    /// Entries that other parts of the product erased, by part.
    #[schema(value_type = Object)]
    others: Map<String, Value>,
}

fn checked(person: &Person) -> Result<String, Problem> {
    let mut faults = Faults::default();
    faults.text("phone", &person.phone, NUMBER_CHARACTERS_MAX);
    faults.done()?;
    Ok(person.phone.trim().to_owned())
}

/// Everything that is kept of a telephone number.
#[utoipa::path(get, path = "/api/privacy/export", tag = "privacy", params(Person),
    responses((status = 200, body = Object)))]
pub(crate) async fn export(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(person): Query<Person>,
) -> Result<Answer, Problem> {
    let number = checked(&person)?;
    let scope = api
        .account_scope(&caller, person.account_id.as_deref())
        .await?;
    let mut told = api.store.export_phone_number(&scope, &number).await?;
    for keeper in &api.config.keepers {
        let part = (keeper.tell)(api.store.clone(), scope.clone(), number.clone());
        told[keeper.name] = part.await.map_err(Problem::internal)?;
    }
    Answer::ok(told)
}

/// Erases or anonymises everything of a telephone number. 409 while a call or chat of it goes on: then nothing was changed.
#[utoipa::path(post, path = "/api/privacy/erase", tag = "privacy", request_body = Person,
    responses((status = 200, body = ErasedView)))]
pub(crate) async fn erase(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(person): Json<Person>,
) -> Result<Answer, Problem> {
    let number = checked(&person)?;
    let scope = api
        .account_scope(&caller, person.account_id.as_deref())
        .await?;
    let store = caller.store(&api, None, None);
    let erased = store.erase_phone_number(&scope, &number).await?;
    let left = store::remove_recordings(&erased.recordings);
    let mut others = Map::new();
    for keeper in &api.config.keepers {
        let part = (keeper.erase)(store.clone(), scope.clone(), number.clone());
        let count = part.await.map_err(Problem::internal)?;
        others.insert(keeper.name.to_owned(), count.into());
    }
    if let Err(error) = api.store.node_settle_log().await {
        tracing::warn!(%error, "what was erased stays readable in the database's log until its place is used again");
    }
    Answer::ok(ErasedView {
        calls: erased.calls.len(),
        recordings: erased.recordings.len() - left.len(),
        recordings_left: left.len(),
        chats: erased.chats,
        questions: erased.questions,
        others,
    })
}
