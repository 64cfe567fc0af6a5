//! The write-behind of the journal: calls hand entries over and go on; one task writes them in batches.
//!
//! Nothing of a call is lost while the database is slow or its disk full: what finds no place in the queue is held by its call
//! and follows later. Only RTP statistics are dropped then, and counted. An entry waits at most
//! [`JOURNAL_BATCH_WITHIN`]; words and states wait a tenth of it.

mod packets;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use call::{CallId, TranscriptEntry};
use catalog::Message;
use jiff::{SignedDuration, Timestamp};
use store::{
    CallAssignment, CallClose, CallCost, CallEnd, ChangeError, Event, JournalEntry, NewCall,
    NewDelivery, Store, TenantScope, WriteError,
};
use tokio::sync::{mpsc, oneshot};

use crate::limits::{
    CAPTURED_BYTES_MAX, JOURNAL_BATCH_WITHIN, JOURNAL_HELD_MAX, JOURNAL_QUEUE_MAX, JOURNAL_RESERVE,
};
use crate::log::say;
use crate::metrics::Metrics;
use packets::Waiting;

/// Entries taken from the queue for one round of writing.
const ROUND_MAX: usize = store::limits::BATCH_MAX;
/// Pause before a failed write is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How long the end of a call waits for its record.
const DURABLE_WITHIN: Duration = Duration::from_secs(5);

/// What is written of a call beside how it went.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) outcome: String,
    pub(crate) context: String,
    pub(crate) model: Option<String>,
    pub(crate) cost: Option<CallCost>,
    pub(crate) deliveries: Vec<NewDelivery>,
}

/// What can be written of a call.
#[derive(Debug)]
enum Item {
    /// Answered once everything before it is written.
    Mark(oneshot::Sender<()>),
    Create(Box<NewCall>),
    Event(Box<JournalEntry>),
    Transcript(Box<TranscriptEntry>),
    /// A block of packets, with its number.
    Packets(u64, Waiting),
    Answered(Timestamp),
    Recording(String),
    /// The brain's state; a later one takes its place.
    Brain(String),
    Assign(Box<CallAssignment>),
    Deliver(Box<NewDelivery>),
    Finish(Box<(CallEnd, Option<Service>)>, Option<oneshot::Sender<()>>),
}

impl Item {
    /// Figures come again in five seconds; everything else is kept.
    fn may_be_dropped(&self) -> bool {
        match self {
            Self::Event(entry) => {
                matches!(&entry.event, Event::RtpStatistics(figures) if !figures.last)
            }
            // Its number is missing then, and whoever reads the others sees it.
            Self::Packets(..) => true,
            Self::Mark(_)
            | Self::Create(_)
            | Self::Transcript(_)
            | Self::Answered(_)
            | Self::Recording(_)
            | Self::Brain(_)
            | Self::Assign(_)
            | Self::Deliver(_)
            | Self::Finish(..) => false,
        }
    }

    /// How long it may wait for others.
    fn patience(&self) -> Duration {
        if matches!(self, Self::Mark(_)) {
            return Duration::ZERO;
        }
        let patient = matches!(
            self,
            Self::Event(entry) if matches!(entry.event, Event::RtpStatistics(_) | Event::SipMessage(_) | Event::EngineEvent { .. })
        ) || matches!(self, Self::Packets(..));
        if patient {
            JOURNAL_BATCH_WITHIN
        } else {
            JOURNAL_BATCH_WITHIN / 10
        }
    }
}

struct Envelope {
    /// `None` for what belongs to no call.
    call: Option<Arc<Inner>>,
    item: Item,
}

/// The way to the writer.
#[derive(Clone)]
pub(crate) struct Journal {
    queue: mpsc::Sender<Envelope>,
    failing: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    /// Bytes of packets that wait to be written, all calls together.
    captured: Arc<AtomicUsize>,
}

impl Journal {
    /// Starts the writer. It ends, with everything written, when the last handle of the journal is dropped.
    pub(crate) fn start(store: Store, metrics: Arc<Metrics>) -> Self {
        let (queue, items) = mpsc::channel(JOURNAL_QUEUE_MAX);
        let failing = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            store,
            failing: Arc::clone(&failing),
        };
        tokio::spawn(writer.run(items));
        Self {
            queue,
            failing,
            metrics,
            captured: Arc::default(),
        }
    }

    /// True while writes fail.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Ready once everything handed over so far is written, or after `bound`.
    pub(crate) async fn flush(&self, bound: Duration) {
        let (done, written) = oneshot::channel();
        let flush = async {
            if self
                .queue
                .send(Envelope {
                    call: None,
                    item: Item::Mark(done),
                })
                .await
                .is_ok()
            {
                let _ = written.await;
            }
        };
        if tokio::time::timeout(bound, flush).await.is_err() {
            say(&Message::new("log_journal_late"));
        }
    }

    /// Begins the journal of a call.
    pub(crate) fn begin(&self, now: Instant, scope: TenantScope, call: NewCall) -> CallJournal {
        let inner = Inner {
            id: call.id.clone(),
            scope,
            started: now,
            started_at: call.started_at,
            seq: AtomicU64::new(0),
            held: Mutex::new(VecDeque::new()),
            blocks: AtomicU64::new(0),
            captured_left: AtomicUsize::new(CAPTURED_BYTES_MAX),
        };
        let journal = CallJournal {
            inner: Arc::new(inner),
            journal: self.clone(),
        };
        journal.push(Item::Create(Box::new(call)));
        journal
    }
}

struct Inner {
    id: CallId,
    scope: TenantScope,
    started: Instant,
    started_at: Timestamp,
    seq: AtomicU64,
    /// What found no place in the queue, in order.
    held: Mutex<VecDeque<Item>>,
    /// Number of the next block of packets.
    blocks: AtomicU64,
    /// Bytes of packets that it may still keep.
    captured_left: AtomicUsize,
}

/// The journal of one call. Clones write to the same one.
#[derive(Clone)]
pub(crate) struct CallJournal {
    inner: Arc<Inner>,
    journal: Journal,
}

impl CallJournal {
    /// The call.
    pub(crate) fn id(&self) -> &CallId {
        &self.inner.id
    }

    /// Milliseconds since the call began.
    pub(crate) fn at_ms(&self, now: Instant) -> u64 {
        u64::try_from(
            now.saturating_duration_since(self.inner.started)
                .as_millis(),
        )
        .unwrap_or(u64::MAX)
    }

    /// What the clock of the record showed: it and the times of the journal differ by nothing that a busy machine lost between two looks at
    /// the clocks.
    fn wall(&self, at: Instant) -> Timestamp {
        let Inner {
            started,
            started_at,
            ..
        } = *self.inner;
        let since = |from: Instant, to: Instant| {
            SignedDuration::try_from(to.saturating_duration_since(from)).unwrap_or_default()
        };
        let after = since(started, at) - since(at, started);
        started_at.checked_add(after).unwrap_or(started_at)
    }

    /// Writes an event.
    pub(crate) fn event(&self, now: Instant, event: Event) {
        let seq = self.inner.seq.fetch_add(1, Ordering::Relaxed);
        let entry = JournalEntry {
            seq,
            at_ms: self.at_ms(now),
            wall: Timestamp::now(),
            event,
        };
        self.push(Item::Event(Box::new(entry)));
    }

    /// Writes a sentence.
    pub(crate) fn note(&self, now: Instant, message: Message) {
        self.event(now, Event::Note { message });
    }

    /// Writes a line of the transcript, or replaces it. Card numbers do not come that far.
    pub(crate) fn transcript(&self, mut entry: TranscriptEntry) {
        if let Cow::Owned(masked) = agent::mask::mask_cards(&entry.text) {
            entry.text = masked;
        }
        self.push(Item::Transcript(Box::new(entry)));
    }

    /// Notes the answer.
    pub(crate) fn answered(&self, at: Timestamp) {
        self.push(Item::Answered(at));
    }

    /// Notes the recording.
    pub(crate) fn recording(&self, path: String) {
        self.push(Item::Recording(path));
    }

    /// Notes who serves the call.
    pub(crate) fn assign(&self, assignment: CallAssignment) {
        self.push(Item::Assign(Box::new(assignment)));
    }

    /// Writes what somebody has to be told.
    pub(crate) fn deliver(&self, delivery: NewDelivery) {
        self.push(Item::Deliver(Box::new(delivery)));
    }

    /// Keeps the brain's state.
    pub(crate) fn brain(&self, snapshot: String) {
        self.push(Item::Brain(snapshot));
    }

    /// Writes the end without waiting for it.
    pub(crate) fn finish_later(&self, end: CallEnd, service: Option<Service>) {
        self.push(Item::Finish(Box::new((end, service)), None));
    }

    /// Writes the end; ready when it is durable, or after a bound.
    pub(crate) async fn finish(&self, end: CallEnd, service: Option<Service>) {
        let (done, finished) = oneshot::channel();
        let mut rest = std::mem::take(&mut *self.held());
        rest.push_back(Item::Finish(Box::new((end, service)), Some(done)));
        let write = async {
            for item in rest {
                let envelope = Envelope {
                    call: Some(Arc::clone(&self.inner)),
                    item,
                };
                if self.journal.queue.send(envelope).await.is_err() {
                    return;
                }
            }
            let _ = finished.await;
        };
        if tokio::time::timeout(DURABLE_WITHIN, write).await.is_err() {
            say(&Message::new("log_record_late").with("call", self.inner.id.as_str()));
        }
    }

    fn held(&self) -> MutexGuard<'_, VecDeque<Item>> {
        self.inner
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, item: Item) {
        let mut held = self.held();
        while let Some(first) = held.pop_front() {
            if let Err(item) = self.offer(first) {
                held.push_front(item);
                break;
            }
        }
        let item = if held.is_empty() {
            self.offer(item)
        } else {
            Err(item)
        };
        if let Err(item) = item {
            let crowded = held.len() >= JOURNAL_HELD_MAX
                && !matches!(
                    item,
                    Item::Transcript(_) | Item::Deliver(_) | Item::Finish(..)
                );
            if item.may_be_dropped() || crowded {
                self.journal.metrics.journal_dropped.inc();
            } else {
                held.push_back(item);
            }
        }
    }

    /// Gives the item back when there is no place for it.
    fn offer(&self, item: Item) -> Result<(), Item> {
        if item.may_be_dropped() && self.journal.queue.capacity() < JOURNAL_RESERVE {
            return Err(item);
        }
        let envelope = Envelope {
            call: Some(Arc::clone(&self.inner)),
            item,
        };
        match self.journal.queue.try_send(envelope) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(envelope)) => Err(envelope.item),
        }
    }
}

/// What a round holds of one call, in the order in which it is written.
#[derive(Default)]
struct Pending {
    call: Option<Arc<Inner>>,
    create: Option<Box<NewCall>>,
    answered: Option<Timestamp>,
    recording: Option<String>,
    brain: Option<String>,
    assign: Option<Box<CallAssignment>>,
    deliveries: Vec<NewDelivery>,
    events: Vec<JournalEntry>,
    transcript: Vec<TranscriptEntry>,
    packets: Vec<(u64, Waiting)>,
    finish: Option<Box<(CallEnd, Option<Service>)>>,
    done: Option<oneshot::Sender<()>>,
}

impl Pending {
    fn add(&mut self, item: Item) {
        match item {
            Item::Create(call) => self.create = Some(call),
            Item::Event(entry) => self.events.push(*entry),
            Item::Transcript(entry) => self.transcript.push(*entry),
            Item::Packets(seq, block) => self.packets.push((seq, block)),
            Item::Answered(at) => self.answered = Some(at),
            Item::Recording(path) => self.recording = Some(path),
            Item::Brain(snapshot) => self.brain = Some(snapshot),
            Item::Assign(assignment) => self.assign = Some(assignment),
            Item::Deliver(delivery) => self.deliveries.push(*delivery),
            Item::Finish(end, done) => {
                self.finish = Some(end);
                self.done = done;
            }
            Item::Mark(_) => {}
        }
    }

    /// Nothing but entries of the journal.
    fn is_events_alone(&self) -> bool {
        !self.events.is_empty()
            && self.create.is_none()
            && self.answered.is_none()
            && self.recording.is_none()
            && self.brain.is_none()
            && self.assign.is_none()
            && self.deliveries.is_empty()
            && self.transcript.is_empty()
            && self.packets.is_empty()
            && self.finish.is_none()
            && self.done.is_none()
    }

    /// Writes what is there; each part is forgotten once it is written, so that a second try writes the rest.
    async fn write(&mut self, store: &Store) -> Result<(), WriteError> {
        let Some(call) = self.call.clone() else {
            return Ok(());
        };
        if let Some(new) = &self.create {
            match store.create_call(&call.scope, new).await {
                Ok(()) | Err(WriteError::DuplicateCall) => self.create = None,
                Err(error) => return Err(error),
            }
        }
        if let Some(at) = self.answered {
            store.call_answered(&call.scope, &call.id, at).await?;
            self.answered = None;
        }
        if let Some(path) = &self.recording {
            store.recording_started(&call.scope, &call.id, path).await?;
            self.recording = None;
        }
        if let Some(assignment) = &self.assign {
            written(store.assign_call(&call.scope, &call.id, assignment).await)?;
            self.assign = None;
        }
        while let Some(delivery) = self.deliveries.first() {
            let now = Timestamp::now();
            written(store.enqueue_delivery(&call.scope, delivery, now).await)?;
            self.deliveries.remove(0);
        }
        if let Some(snapshot) = &self.brain {
            store.keep_context(&call.scope, &call.id, snapshot).await?;
            self.brain = None;
        }
        if !self.events.is_empty() {
            store
                .append_events(&call.scope, &call.id, &self.events)
                .await?;
            self.events.clear();
        }
        if !self.transcript.is_empty() {
            store
                .append_transcript(&call.scope, &call.id, &self.transcript)
                .await?;
            self.transcript.clear();
        }
        while let Some((seq, block)) = self.packets.first() {
            store
                .append_packet_block(&call.scope, &call.id, *seq, &block.bytes)
                .await?;
            self.packets.remove(0);
        }
        if let Some(finish) = &self.finish {
            let (end, service) = &**finish;
            match service {
                Some(service) => close(store, &call, end, service).await?,
                None => store.finish_call(&call.scope, &call.id, end).await?,
            }
            self.finish = None;
        }
        if let Some(done) = self.done.take() {
            let _ = done.send(());
        }
        Ok(())
    }
}

/// Writes the end with everything that belongs to it, all or nothing; where a rule of the store refuses that, the end alone.
async fn close(
    store: &Store,
    call: &Inner,
    end: &CallEnd,
    service: &Service,
) -> Result<(), WriteError> {
    let close = CallClose {
        end: end.clone(),
        outcome: Some(service.outcome.clone()),
        context: Some(service.context.clone()),
        model: service.model.clone(),
        cost: service.cost.clone(),
        deliveries: service.deliveries.clone(),
    };
    match store.finish_call_with(&call.scope, &call.id, &close).await {
        Ok(_) => Ok(()),
        Err(ChangeError::Write(error)) => Err(error),
        Err(refused) => {
            say(&refused.message());
            store.finish_call(&call.scope, &call.id, end).await
        }
    }
}

/// What a rule of the store refuses is told and left: trying again cannot help.
fn written(result: Result<(), ChangeError>) -> Result<(), WriteError> {
    match result {
        Ok(()) => Ok(()),
        Err(ChangeError::Write(error)) => Err(error),
        Err(refused) => {
            say(&refused.message());
            Ok(())
        }
    }
}

struct Writer {
    store: Store,
    failing: Arc<AtomicBool>,
}

impl Writer {
    /// The calls of a round that have entries and nothing else are written in one transaction: with many calls a transaction for
    /// each would cost more than their audio. Where that fails they are written one by one.
    async fn write_events(&self, round: &mut BTreeMap<CallId, Pending>) {
        let alone: Vec<(&TenantScope, &CallId, &[JournalEntry])> = round
            .values()
            .filter(|pending| pending.is_events_alone())
            .filter_map(|pending| {
                let call = pending.call.as_ref()?;
                Some((&call.scope, &call.id, pending.events.as_slice()))
            })
            .collect();
        if alone.len() > 1 && self.store.append_events_of(&alone).await.is_ok() {
            round.retain(|_, pending| !pending.is_events_alone());
            self.recovered();
        }
    }

    fn recovered(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            say(&Message::new("log_journal_recovered"));
        }
    }

    async fn run(self, mut items: mpsc::Receiver<Envelope>) {
        while let Some(first) = items.recv().await {
            let mut deadline = Instant::now() + first.item.patience();
            let mut round: BTreeMap<CallId, Pending> = BTreeMap::new();
            let mut marks = Vec::new();
            add(&mut round, &mut marks, first);
            let mut count = 1;
            let mut open = true;
            while count < ROUND_MAX && open {
                match tokio::time::timeout_at(deadline.into(), items.recv()).await {
                    Ok(Some(envelope)) => {
                        deadline = deadline.min(Instant::now() + envelope.item.patience());
                        add(&mut round, &mut marks, envelope);
                        count += 1;
                    }
                    Ok(None) => open = false,
                    Err(_) => break,
                }
            }
            self.write(round, open).await;
            for mark in marks {
                let _ = mark.send(());
            }
        }
    }

    /// Writes a round. While the database can recover, it is tried again; the queue holds what comes meanwhile.
    async fn write(&self, mut round: BTreeMap<CallId, Pending>, open: bool) {
        self.write_events(&mut round).await;
        let mut tries = 0_u32;
        while let Some(mut entry) = round.first_entry() {
            match entry.get_mut().write(&self.store).await {
                Ok(()) => {
                    entry.remove();
                    self.recovered();
                }
                Err(error) if error.is_retryable() && (open || tries < 6) => {
                    tries += 1;
                    if !self.failing.swap(true, Ordering::Relaxed) {
                        say(&error.message());
                    }
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => {
                    say(&error.message());
                    entry.remove();
                }
            }
        }
    }
}

fn add(
    round: &mut BTreeMap<CallId, Pending>,
    marks: &mut Vec<oneshot::Sender<()>>,
    envelope: Envelope,
) {
    match (envelope.call, envelope.item) {
        (_, Item::Mark(mark)) => marks.push(mark),
        (Some(call), item) => {
            let pending = round.entry(call.id.clone()).or_default();
            pending.add(item);
            pending.call.get_or_insert(call);
        }
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use call::Speaker;
    use store::journal::RtpStatistics;

    use super::*;

    fn statistics() -> Event {
        Event::RtpStatistics(RtpStatistics::default())
    }

    fn words(number: u64) -> TranscriptEntry {
        TranscriptEntry {
            role: Speaker::Caller,
            text: number.to_string(),
            at_ms: number,
            item: None,
            interrupted_at_ms: None,
        }
    }

    fn new_call() -> NewCall {
        NewCall {
            id: CallId::from("call"),
            direction: store::Direction::Inbound,
            from: String::new(),
            to: String::new(),
            line: String::new(),
            agent: String::new(),
            sip_call_id: None,
            started_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_full_queue_drops_figures_and_holds_words_in_their_order() {
        let now = Instant::now();
        let (queue, mut items) = mpsc::channel(2);
        let metrics = Arc::new(Metrics::new());
        let journal = Journal {
            queue,
            failing: Arc::default(),
            metrics: Arc::clone(&metrics),
            captured: Arc::default(),
        };
        let call = journal.begin(now, TenantScope::default(), new_call());
        for number in 0..5 {
            call.transcript(words(number));
            call.event(now, statistics());
        }
        assert_eq!(metrics.journal_dropped.get(), 5, "figures find no place");
        let mut written = Vec::new();
        for number in 5..40 {
            while let Ok(envelope) = items.try_recv() {
                if let Item::Transcript(entry) = envelope.item {
                    written.push(entry.at_ms);
                }
            }
            call.transcript(words(number));
        }
        assert!(written.len() >= 20);
        let numbers = 0..u64::try_from(written.len()).unwrap();
        assert_eq!(
            written,
            numbers.collect::<Vec<u64>>(),
            "every word, in order"
        );
    }
}
