//! What happens, as it happens, for staff (`GET /api/events?restaurantId`): server-sent events of orders, reservations, messages,
//! calls.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::broadcast::error::RecvError;

use super::app::App;
use super::need::Need;
use super::refusal::Refusal;
use super::request::Query;
use super::routes::Routes;
use super::who::Who;

/// Streams at the same time.
const WATCHERS_MAX: usize = 256;
/// How often a stream without events shows that it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

static WATCHERS: AtomicUsize = AtomicUsize::new(0);

/// A place among the watchers.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let before = WATCHERS.fetch_add(1, Ordering::AcqRel);
        let place = Self;
        (before < WATCHERS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        WATCHERS.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/events", Need::read(), events);
}

async fn events(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let place = Place::take();
    let full = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "api_too_many_watchers");
    let place = place.ok_or_else(full)?;
    let restaurant = scope.restaurant().to_owned();
    let watched = (app.happened.subscribe(), restaurant, place);
    let told = stream::unfold(watched, |(mut receiver, restaurant, place)| async move {
        loop {
            match receiver.recv().await {
                Ok(happened) if happened.restaurant == restaurant => {
                    let event = Event::default().event(happened.kind);
                    let event = event.data(happened.payload.to_string());
                    return Some((Ok::<_, Infallible>(event), (receiver, restaurant, place)));
                }
                Ok(_) => {}
                // What was missed is read anew by whoever watches.
                Err(RecvError::Lagged(_)) => {
                    let event = Event::default().event("missed").data("{}");
                    return Some((Ok(event), (receiver, restaurant, place)));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let alive = KeepAlive::new().interval(ALIVE_EVERY);
    Ok(Sse::new(told).keep_alive(alive).into_response())
}
