//! Where an address is and how long the way there takes: of a map service where the settings name one, else embedded.
//!
//! A service that fails is left alone for a while; its part is estimated from the embedded places meanwhile, and the answer says so.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use courier::{Caller, Courier, HttpCall, Method, Secret};
use serde_json::Value;

use crate::domain::geo::services::{Found, Geocoder, NoAnswer, Router};
use crate::domain::geo::{Places, Point, Way};
use crate::domain::lang::Lang;

/// One question to a service. A tool has ten seconds, and there may be two questions.
const WITHIN: Duration = Duration::from_secs(3);
/// How long a service that failed is not asked.
const PAUSE: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Answers that are kept at most, by kind.
const KEPT_MAX: usize = 2_000;
/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A service, where it is and what a question costs.
#[derive(Clone, Debug)]
pub struct Service<K> {
    /// Which interface it has.
    pub kind: K,
    /// Base address.
    pub url: String,
    /// Its key, where it wants one.
    pub key: Option<Secret>,
    /// Of one question, in the restaurants' currency.
    pub price: f64,
}

/// What map services the settings name.
#[derive(Clone, Debug, Default)]
pub struct MapConfig {
    /// Says where an address is.
    pub geocoder: Option<Service<Geocoder>>,
    /// Says how long a way is.
    pub router: Option<Service<Router>>,
    /// Places that were imported, as `Places::pack` writes them; `None`: the embedded ones of France.
    pub places: Option<Arc<Places>>,
}

/// What was found out, and what that took.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked<T> {
    /// The answer; `None`: nothing was asked, or the service knows none.
    pub found: Option<T>,
    /// Questions that left the house.
    pub calls: u32,
    /// What they cost.
    pub cost: f64,
    /// A service was to answer and did not.
    pub failed: bool,
}

impl<T> Default for Asked<T> {
    fn default() -> Self {
        Self {
            found: None,
            calls: 0,
            cost: 0.0,
            failed: false,
        }
    }
}

/// Places, services, and what they said lately.
pub struct Maps {
    /// Places that were imported; `None`: the embedded ones.
    places: Option<Arc<Places>>,
    courier: Option<Courier>,
    geocoder: Option<Door<Geocoder, Option<Found>>>,
    router: Option<Door<Router, Option<Way>>>,
}

impl fmt::Debug for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Maps")
    }
}

/// A service with its memory.
struct Door<K, T> {
    service: Service<K>,
    kept: Mutex<Kept<T>>,
    shut_until: Mutex<Option<Instant>>,
}

/// The latest answers, oldest first.
struct Kept<T> {
    answers: HashMap<String, (Instant, T)>,
    order: VecDeque<String>,
}

impl<T: Clone> Kept<T> {
    fn get(&self, question: &str) -> Option<T> {
        let (at, answer) = self.answers.get(question)?;
        (at.elapsed() < KEPT_FOR).then(|| answer.clone())
    }

    fn put(&mut self, question: &str, answer: T) {
        let known = (Instant::now(), answer);
        if self.answers.insert(question.to_owned(), known).is_none() {
            self.order.push_back(question.to_owned());
        }
        while self.order.len() > KEPT_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.answers.remove(&oldest);
            }
        }
    }
}

impl<K, T: Clone> Door<K, T> {
    fn new(service: Service<K>) -> Self {
        Self {
            service,
            kept: Mutex::new(Kept {
                answers: HashMap::new(),
                order: VecDeque::new(),
            }),
            shut_until: Mutex::new(None),
        }
    }

    fn is_shut(&self) -> bool {
        let until = self.shut_until.lock();
        let until = *until.unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn shut(&self) {
        let mut until = self
            .shut_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + PAUSE);
    }

    /// Asks, unless the answer is known. `url` is the question.
    async fn ask(
        &self,
        courier: &Courier,
        url: Option<String>,
        read: impl Fn(&Value) -> Result<T, NoAnswer>,
    ) -> (Option<T>, Asked<()>) {
        let Some(url) = url else {
            return (
                None,
                Asked {
                    failed: true,
                    ..Asked::default()
                },
            );
        };
        let known = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&url);
        if let Some(known) = known {
            return (Some(known), Asked::default());
        }
        if self.is_shut() {
            return (
                None,
                Asked {
                    failed: true,
                    ..Asked::default()
                },
            );
        }
        let answer = fetch(courier, &url)
            .await
            .and_then(|body| read(&body).map_err(|error| error.0));
        let asked = Asked {
            found: None,
            calls: 1,
            cost: self.service.price,
            failed: answer.is_err(),
        };
        match answer {
            Ok(answer) => {
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.put(&url, answer.clone());
                (Some(answer), asked)
            }
            Err(cause) => {
                self.shut();
                tracing::warn!(service = %self.service.url, %cause, "a map service does not answer: the way is estimated");
                (None, asked)
            }
        }
    }
}

async fn fetch(courier: &Courier, url: &str) -> Result<Value, String> {
    let call = HttpCall {
        method: Method::Get,
        url: url.to_owned(),
        headers: vec![("accept".to_owned(), "application/json".to_owned())],
        body: None,
        timeout_ms: u32::try_from(WITHIN.as_millis()).unwrap_or(u32::MAX),
        idempotency_key: None,
        safe_to_retry: false,
    };
    let nobody = Caller::default();
    let reply = courier.send(&call, &nobody, ANSWER_BYTES_MAX);
    let reply = tokio::time::timeout(WITHIN, reply).await;
    let reply = reply.map_err(|_| "timed_out".to_owned())?;
    let reply = reply.map_err(|error| error.label().to_owned())?;
    // OSRM says with 400 that there is no way: the body knows more than the status.
    let body = serde_json::from_slice(&reply.body).ok();
    match body {
        Some(body) if reply.is_success() || reply.status == 400 => Ok(body),
        Some(_) | None => Err(format!("status {}", reply.status)),
    }
}

impl Maps {
    /// As the settings have them.
    pub fn new(config: &MapConfig, courier: Courier) -> Self {
        Self {
            places: config.places.clone(),
            courier: Some(courier),
            geocoder: config.geocoder.clone().map(Door::new),
            router: config.router.clone().map(Door::new),
        }
    }

    /// Without any service.
    pub fn offline(places: Arc<Places>) -> Self {
        Self {
            places: Some(places),
            courier: None,
            geocoder: None,
            router: None,
        }
    }

    /// The gazetteer. The embedded one is read when the first address is asked for, away from the threads that pace calls: most houses never
    /// deliver, and none is to wait for it when it begins.
    pub async fn places(&self) -> Arc<Places> {
        if let Some(places) = self.places.as_ref().or_else(|| EMBEDDED.get()) {
            return Arc::clone(places);
        }
        let read = tokio::task::spawn_blocking(embedded);
        read.await.unwrap_or_else(|_| embedded())
    }

    /// Where a service says that an address is.
    pub async fn find(&self, address: &str, lang: Lang, country: Option<&str>) -> Asked<Found> {
        let (Some(door), Some(courier)) = (&self.geocoder, &self.courier) else {
            return Asked::default();
        };
        let service = &door.service;
        let key = service.key.as_ref().map(Secret::expose);
        let url = service.kind.url(&service.url, key, address, lang, country);
        let (found, asked) = door.ask(courier, url, |body| service.kind.read(body)).await;
        told(found, &asked)
    }

    /// How long a service says that a way is.
    pub async fn way(&self, from: Point, to: Point, lang: Lang) -> Asked<Way> {
        let (Some(door), Some(courier)) = (&self.router, &self.courier) else {
            return Asked::default();
        };
        let service = &door.service;
        let key = service.key.as_ref().map(Secret::expose);
        let url = service.kind.url(&service.url, key, from, to, lang);
        let (found, asked) = door.ask(courier, url, |body| service.kind.read(body)).await;
        told(found, &asked)
    }
}

static EMBEDDED: OnceLock<Arc<Places>> = OnceLock::new();

/// Towns and postcodes of France, inflated once.
fn embedded() -> Arc<Places> {
    let places = EMBEDDED.get_or_init(|| {
        // They are part of the program; a test reads them.
        Arc::new(Places::france().unwrap_or_else(|error| {
            tracing::error!(%error, "the embedded places cannot be read");
            Places::default()
        }))
    });
    Arc::clone(places)
}

fn told<T>(found: Option<Option<T>>, asked: &Asked<()>) -> Asked<T> {
    Asked {
        found: found.flatten(),
        calls: asked.calls,
        cost: asked.cost,
        failed: asked.failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_is_kept_within_bounds() {
        let mut kept = Kept {
            answers: HashMap::new(),
            order: VecDeque::new(),
        };
        for index in 0..KEPT_MAX + 10 {
            kept.put(&index.to_string(), index);
        }
        kept.put("20", 7);
        assert_eq!((kept.answers.len(), kept.order.len()), (KEPT_MAX, KEPT_MAX));
        assert_eq!(
            (kept.get("9"), kept.get("20"), kept.get("2009")),
            (None, Some(7), Some(2009))
        );
    }
}
