//! Sources that are not answered for a while: the operator's list.

use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::Path;
use crate::problem::Problem;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;
use utoipa::ToSchema;

/// A source that is not answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BanView {
    /// Its address; of IPv6 the first one of its /64.
    source: String,
    /// Wrong passwords and messages of scanners that were counted.
    tries: u32,
    /// Until when. ISO-8601.
    until: String,
    /// Seconds that are left.
    seconds_left: u64,
}

/// The sources that are banned now, those that have longest to wait first. Never one that a line lists or from which a device is
/// registered: `line.allow` is the list of those that are always welcome.
#[utoipa::path(get, path = "/api/admin/bans", tag = "devices", responses((status = 200, body = [BanView])))]
pub(crate) async fn list_bans(State(api): State<Arc<Api>>) -> Result<Answer, Problem> {
    let now = Timestamp::now();
    let view = |ban: engine::Ban| {
        let left = SignedDuration::try_from(ban.left).unwrap_or(SignedDuration::ZERO);
        BanView {
            source: ban.source.to_string(),
            tries: ban.tries,
            until: now.checked_add(left).unwrap_or(now).to_string(),
            seconds_left: ban.left.as_secs(),
        }
    };
    let bans: Vec<_> = api.engine.bans().into_iter().map(view).collect();
    Answer::ok(bans)
}

/// Lifts a ban: the source is answered again at once, and what was counted is forgotten.
#[utoipa::path(delete, path = "/api/admin/bans/{source}", tag = "devices", params(("source" = String, Path)),
    responses((status = 204), (status = 404, description = "This source is not banned.")))]
pub(crate) async fn lift_ban(
    State(api): State<Arc<Api>>,
    Path(source): Path<String>,
) -> Result<Answer, Problem> {
    let address: IpAddr = source.parse().map_err(|_| Problem::unknown())?;
    if !api.engine.lift_ban(address) {
        return Err(Problem::unknown());
    }
    Ok(Answer::empty().changed(Change {
        action: "lift",
        entity: "ban",
        id: source,
        tenant: None,
        detail: None,
    }))
}
