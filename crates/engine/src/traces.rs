//! The trace of a call (OpenTelemetry), made of its record and journal once it is over: nothing of it is on the way of a packet or a word.

mod spans;

use std::time::{Duration, Instant};

use agent::Placement;
use call::CallId;
use courier::traces::{Exporter, TraceContext};
use store::{Event, Store, TenantScope};
use tokio::sync::{mpsc, oneshot};

use crate::calls::{Calls, Identity};
use crate::journal::CallJournal;
use crate::limits::TRACES_WAITING_MAX;
use crate::metrics::Metrics;
use spans::{Told, spans};

enum Item {
    Over(Box<Over>),
    /// Everything before it is to be made now.
    Mark(oneshot::Sender<()>),
}

/// A call that is over.
struct Over {
    scope: TenantScope,
    call: CallId,
    context: TraceContext,
}

/// Takes calls that are over. Nothing waits for it.
pub(crate) struct Traces {
    queue: mpsc::Sender<Item>,
    exporter: Exporter,
}

impl Traces {
    /// Starts the task that makes the spans. It ends when this is dropped.
    pub(crate) fn start(store: Store, exporter: Exporter, metrics: &Metrics) -> Self {
        metrics.count_lost_spans(exporter.clone());
        let (queue, calls) = mpsc::channel(TRACES_WAITING_MAX);
        tokio::spawn(run(store, exporter.clone(), calls));
        Self { queue, exporter }
    }

    /// A call is over, and its record written. Where too many wait its trace is lost, and counted.
    pub(crate) fn over(&self, scope: TenantScope, call: CallId, context: TraceContext) {
        if !context.is_sampled() {
            return;
        }
        let over = Over {
            scope,
            call,
            context,
        };
        if self.queue.try_send(Item::Over(Box::new(over))).is_err() {
            self.exporter.lose(1);
        }
    }

    /// Ready once the calls so far are told, or after `bound`.
    pub(crate) async fn flush(&self, bound: Duration) {
        let (done, told) = oneshot::channel();
        let flush = async {
            if self.queue.send(Item::Mark(done)).await.is_ok() {
                let _ = told.await;
            }
        };
        let _ = tokio::time::timeout(bound, flush).await;
    }
}

impl Calls {
    /// The trace of a call, where traces are told.
    pub(crate) fn trace_of(&self, call: &CallId) -> Option<TraceContext> {
        self.traces.as_ref()?;
        Some(TraceContext::of_call(call.as_str(), None))
    }

    /// A call that we place is part of the trace of who asked for it, where they brought one.
    pub(crate) fn asked_within(
        &self,
        now: Instant,
        identity: &mut Identity,
        journal: &CallJournal,
        placement: Option<&Placement>,
    ) {
        let parent = placement.and_then(|placement| placement.trace_parent.as_ref());
        let parent = parent.filter(|parent| TraceContext::is_valid(parent));
        if let (Some(_), Some(parent)) = (&self.traces, parent) {
            let context = TraceContext::of_call(identity.id.as_str(), Some(parent));
            identity.trace = Some(context);
            let parent = parent.clone();
            journal.event(now, Event::TraceParent { parent });
        }
    }

    /// A call is over, and its record written.
    pub(crate) fn tell_trace(&self, identity: &Identity) {
        if let (Some(traces), Some(context)) = (&self.traces, &identity.trace) {
            let scope = TenantScope::new(identity.tenant.clone());
            traces.over(scope, identity.id.clone(), context.clone());
        }
    }
}

async fn run(store: Store, exporter: Exporter, mut calls: mpsc::Receiver<Item>) {
    while let Some(item) = calls.recv().await {
        let over = match item {
            Item::Over(over) => over,
            Item::Mark(done) => {
                let _ = done.send(());
                continue;
            }
        };
        match told(&store, &over).await {
            Some(told) => {
                for span in spans(&told, &over.context, exporter.shows_numbers()) {
                    exporter.tell(span);
                }
            }
            None => exporter.lose(1),
        }
    }
}

async fn told(store: &Store, over: &Over) -> Option<Told> {
    let (scope, call) = (&over.scope, &over.call);
    Some(Told {
        record: store.call(scope, call).await.ok()??,
        events: store.events(scope, call).await.ok()?,
        runs: store.tool_runs(scope, call).await.ok()?,
    })
}
