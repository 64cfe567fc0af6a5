//! `GET /api/ai`: what a call's session is made of. SIP credentials are not part of it: the voice side has its own.

use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;

use super::app::App;
use super::desk::desk;
use super::need::Need;
use super::refusal::Refusal;
use super::request::Query;
use super::routes::Routes;
use super::who::Who;

/// Percent over the engine's price where a restaurant has none of its own.
const MARGIN_PCT: f64 = 30.0;

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/ai", Need::read().or_voice(), session);
}

/// The twelve tools of the pack.
fn pack() -> &'static [Value] {
    static PACK: OnceLock<Vec<Value>> = OnceLock::new();
    PACK.get_or_init(|| {
        serde_json::from_str(include_str!("../../pack/tools.json"))
            .expect("the pack is read by a test")
    })
}

async fn session(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let caller = query.phone("callerPhone");
    let session = desk(&app)
        .session(
            &scope,
            caller.as_deref(),
            pack(),
            MARGIN_PCT,
            Timestamp::now(),
        )
        .await?;
    Ok(Json(session.ok_or_else(Refusal::unknown)?).into_response())
}
