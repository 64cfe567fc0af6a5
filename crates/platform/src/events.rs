//! Everything live as server-sent events: numbered, kept for a while, bounded for each watcher.

use crate::limits::{
    EVENTS_BEHIND_MAX, EVENTS_KEPT_MAX, HEARTBEAT_EVERY, WATCHERS_MAX, WATCHERS_PER_CALLER_MAX,
};
use crate::problem::Problem;
use crate::routes::parking::ParkedView;
use crate::routes::people::PersonView;
use crate::routes::placing::inviting::CalledView;
use crate::routes::{live, quality};
use crate::servers::Servers;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use call::TenantId;
use catalog::Language;
use engine::agents::AgentChange;
use engine::agents::reconciler::Cause;
use engine::{Engine, LiveEvent, LiveEventKind, RegistrationChange};
use futures_util::stream;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// What a watcher may see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interest {
    /// Only of this account.
    pub(crate) tenant: Option<TenantId>,
    /// Only of this agent.
    pub(crate) agent: Option<String>,
}

#[derive(Clone, Debug)]
struct Event {
    /// `None` for what the next of its kind replaces: it is not kept for who comes back.
    id: Option<u64>,
    tenant: TenantId,
    agent: String,
    text: Arc<str>,
}

impl Interest {
    fn includes(&self, event: &Event) -> bool {
        self.tenant
            .as_ref()
            .is_none_or(|tenant| *tenant == event.tenant)
            && self
                .agent
                .as_ref()
                .is_none_or(|agent| *agent == event.agent)
    }
}

struct State {
    next: u64,
    kept: VecDeque<Event>,
    /// Agents of running calls: later events do not name them.
    agents: HashMap<String, String>,
    watchers: HashMap<String, usize>,
}

/// The events of this process.
pub(crate) struct Events {
    state: Mutex<State>,
    sender: broadcast::Sender<Event>,
}

/// A place among the watchers, given back when the stream is dropped.
struct Seat {
    events: Arc<Events>,
    name: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.events.state();
        if let Some(count) = state.watchers.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                state.watchers.remove(&self.name);
            }
        }
    }
}

impl Events {
    /// Begins to collect; it ends with the last handle.
    pub(crate) fn start(engine: &Engine, servers: Option<&Servers>) -> Arc<Self> {
        let (sender, _) = broadcast::channel(EVENTS_BEHIND_MAX);
        let events = Arc::new(Self {
            state: Mutex::new(State {
                next: 1,
                kept: VecDeque::new(),
                agents: HashMap::new(),
                watchers: HashMap::new(),
            }),
            sender,
        });
        let weak = || Arc::downgrade(&events);
        tokio::spawn(collect(weak(), engine.watch(), Self::take));
        let registrations = engine.watch_registrations();
        tokio::spawn(collect(weak(), registrations, Self::take_registration));
        if let Some(servers) = servers {
            tokio::spawn(collect(weak(), servers.agents.watch(), Self::take_server));
        }
        events
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, live: LiveEvent) {
        let (kind, mut data) = words(&live);
        let mut state = self.state();
        let call = live.call.to_string();
        if let LiveEventKind::Started(started) = &live.kind {
            state.agents.insert(call.clone(), started.agent.clone());
        }
        let agent = state.agents.get(&call).cloned().unwrap_or_default();
        if matches!(live.kind, LiveEventKind::Ended { .. }) {
            state.agents.remove(&call);
        }
        data["callId"] = json!(call);
        data["atMs"] = json!(live.at_ms);
        let whose = (live.tenant, agent);
        if matches!(live.kind, LiveEventKind::Quality(_)) {
            drop(state);
            self.tell_in_passing(whose, kind, data);
        } else {
            self.tell(state, whose, kind, data);
        }
    }

    fn take_registration(&self, change: RegistrationChange) {
        let text = |language| catalog::render(&change.message, language).text;
        let data = json!({
            "line": change.line,
            "state": live::registration_label(&change.state),
            "code": change.message.code,
            "message": { "fr": text(Language::Fr), "en": text(Language::En) },
            "atMs": Timestamp::now().as_millisecond(),
        });
        let whose = (change.tenant, String::new());
        self.tell(self.state(), whose, "registration.changed", data);
    }

    fn take_server(&self, change: AgentChange) {
        let data = json!({
            "id": change.id,
            "state": change.state.label(),
            "cause": change.cause.map(Cause::label),
            "atMs": Timestamp::now().as_millisecond(),
        });
        let whose = (TenantId::from(change.tenant.as_str()), change.id);
        self.tell(self.state(), whose, "server.changed", data);
    }

    fn tell(
        &self,
        mut state: MutexGuard<'_, State>,
        (tenant, agent): (TenantId, String),
        kind: &str,
        mut data: Value,
    ) {
        data["accountId"] = json!(tenant.as_str());
        let id = state.next;
        state.next += 1;
        let event = Event {
            id: Some(id),
            tenant,
            agent,
            text: format!("id: {id}\nevent: {kind}\ndata: {data}\n\n").into(),
        };
        state.kept.push_back(event.clone());
        if state.kept.len() > EVENTS_KEPT_MAX {
            state.kept.pop_front();
        }
        // Sent under the lock, so that a watcher that comes misses none and sees none twice.
        let _ = self.sender.send(event);
    }

    /// What the next of its kind replaces: it has no number, and nobody is told of it later.
    fn tell_in_passing(&self, (tenant, agent): (TenantId, String), kind: &str, mut data: Value) {
        data["accountId"] = json!(tenant.as_str());
        let event = Event {
            id: None,
            tenant,
            agent,
            text: format!("event: {kind}\ndata: {data}\n\n").into(),
        };
        let _ = self.sender.send(event);
    }

    /// A stream for one watcher.
    ///
    /// # Errors
    /// 429 when the credential, or the process, has too many.
    pub(crate) fn stream(
        self: &Arc<Self>,
        name: &str,
        interest: Interest,
        since: Option<u64>,
    ) -> Result<Response, Problem> {
        let mut state = self.state();
        let all: usize = state.watchers.values().sum();
        let own = state.watchers.entry(name.to_owned()).or_insert(0);
        if all >= WATCHERS_MAX || *own >= WATCHERS_PER_CALLER_MAX {
            return Err(
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "api_too_many_watchers")
                    .retry_after(HEARTBEAT_EVERY.as_secs()),
            );
        }
        *own += 1;
        let seat = Seat {
            events: self.clone(),
            name: name.to_owned(),
        };
        let mut begin = VecDeque::from([Bytes::from_static(b": allo\nretry: 2000\n\n")]);
        if let Some(since) = since {
            // A number of another process, or of long ago: the watcher reads the state anew.
            let oldest = state.kept.front().and_then(|event| event.id);
            let oldest = oldest.unwrap_or(state.next);
            if since >= state.next || since + 1 < oldest {
                begin.push_back(Bytes::from_static(b"event: reset\ndata: {}\n\n"));
            }
            begin.extend(
                state
                    .kept
                    .iter()
                    .filter(|event| event.id.is_some_and(|id| id > since) && since < state.next)
                    .filter(|event| interest.includes(event))
                    .map(|event| Bytes::from(event.text.as_bytes().to_vec())),
            );
        }
        let receiver = self.sender.subscribe();
        drop(state);
        let watcher = Watcher {
            begin,
            receiver,
            interest,
            _seat: seat,
        };
        let body = Body::from_stream(stream::unfold(watcher, |mut watcher| async {
            let bytes = watcher.next().await?;
            Some((Ok::<_, Infallible>(bytes), watcher))
        }));
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        Ok((headers, [("x-accel-buffering", "no")], body).into_response())
    }
}

struct Watcher {
    begin: VecDeque<Bytes>,
    receiver: broadcast::Receiver<Event>,
    interest: Interest,
    _seat: Seat,
}

impl Watcher {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(bytes) = self.begin.pop_front() {
            return Some(bytes);
        }
        loop {
            match tokio::time::timeout(HEARTBEAT_EVERY, self.receiver.recv()).await {
                Err(_) => return Some(Bytes::from_static(b": alive\n\n")),
                Ok(Ok(event)) if self.interest.includes(&event) => {
                    return Some(Bytes::from(event.text.as_bytes().to_vec()));
                }
                Ok(Ok(_)) => {}
                Ok(Err(RecvError::Lagged(lost))) => {
                    let text = format!("event: lost\ndata: {{\"events\":{lost}}}\n\n");
                    return Some(Bytes::from(text));
                }
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }
}

async fn collect<T: Clone>(
    events: Weak<Events>,
    mut live: broadcast::Receiver<T>,
    take: fn(&Events, T),
) {
    loop {
        match live.recv().await {
            Ok(event) => match events.upgrade() {
                Some(events) => take(&events, event),
                None => return,
            },
            Err(RecvError::Lagged(lost)) => {
                tracing::warn!(lost, "live events were lost on their way to the API");
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Name and content of an event.
fn words(event: &LiveEvent) -> (&'static str, Value) {
    match &event.kind {
        LiveEventKind::Started(call) => ("call.started", json!({ "call": live::view(call) })),
        LiveEventKind::Changed { state, timings } => (
            "call.changed",
            json!({
                "state": live::state_label(*state),
                "answerToFirstAudioMs": timings.answer_to_first_audio_ms,
                "lastTurnMs": timings.last_turn_ms,
                "interruptions": timings.interruptions,
                "answeredBy": timings.answered_by.map(call::Answerer::label),
            }),
        ),
        LiveEventKind::Person(person) => (
            "call.person",
            json!({ "person": person.as_ref().map(PersonView::from) }),
        ),
        LiveEventKind::Called(called) => (
            "call.called",
            json!({ "called": called.as_ref().map(CalledView::from) }),
        ),
        LiveEventKind::Parked(parked) => (
            "call.parked",
            json!({ "parked": parked.as_ref().map(ParkedView::from) }),
        ),
        LiveEventKind::Transcript(entry) => (
            "call.transcript",
            json!({
                "role": match store::speaker_label(entry.role) {
                    "caller" => "user",
                    "agent" => "assistant",
                    _ => "system",
                },
                "content": entry.text,
            }),
        ),
        LiveEventKind::AgentDelta { item, delta } => {
            ("call.agent_delta", json!({ "item": item, "delta": delta }))
        }
        LiveEventKind::AnsweredBy { who } => {
            ("call.answered_by", json!({ "answeredBy": who.label() }))
        }
        LiveEventKind::Quality(legs) => ("call.quality", json!({ "legs": quality::legs(legs) })),
        LiveEventKind::CallerSpeaking => ("call.caller_speaking", json!({})),
        LiveEventKind::Interrupted { item, played_ms } => (
            "call.interrupted",
            json!({ "item": item, "playedMs": played_ms }),
        ),
        LiveEventKind::Ended { reason, .. } => ("call.ended", json!({ "reason": reason.code() })),
    }
}
