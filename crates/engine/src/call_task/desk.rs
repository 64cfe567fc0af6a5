//! What a call has from its first moment to its last: its leg, its journal, its figures, and how it is closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::CallFacts;
use call::{CallId, EndReason, ItemId, Speaker, TranscriptEntry};
use catalog::Message;
use jiff::Timestamp;
use media::ItemKey;
use store::journal::Milestone;
use store::{CallEnd, Event};
use tokio::sync::mpsc;
use wire::realtime::{HistoryItem, Role};

use crate::calls::{CallCommand, Calls, Dialled, Identity, Parties};
use crate::dispatch::Line;
use crate::journal::{CallJournal, Service};
use crate::leg::Leg;
use crate::limits::REPLAY_ITEMS_MAX;
use crate::live::{LiveEventKind, LiveState, Timings};
use crate::log::say;
use crate::recorder::{Recording, RecordingState};
use crate::sip_driver::LegEvent;

/// How long the last SIP messages of a call are awaited for its journal.
const LAST_MESSAGES_WITHIN: Duration = Duration::from_millis(500);

/// How a call ended, for its record.
pub(super) struct Ending {
    pub(super) reason: EndReason,
    pub(super) ended_at: Timestamp,
    pub(super) statistics: Option<serde_json::Value>,
    pub(super) recording: Option<Recording>,
    pub(super) service: Option<Service>,
}

/// See the module.
pub(super) struct Desk {
    pub(super) calls: Arc<Calls>,
    pub(super) line: Arc<Line>,
    pub(super) identity: Identity,
    pub(super) journal: CallJournal,
    pub(super) leg: Leg,
    pub(super) commands: mpsc::Receiver<CallCommand>,
    pub(super) timings: Timings,
    state: LiveState,
    answered_at: Option<Timestamp>,
    /// The message that closes the leg's signalling was seen.
    last_seen: bool,
    /// The caller types in secrecy.
    pub(super) secure: bool,
    /// A reason that the session cannot know.
    pub(super) exact: Option<EndReason>,
    /// Whom a call of ours goes to, and by whom else it may.
    pub(super) dialled: Dialled,
    /// What was found of the caller's number, where the line asks.
    pub(super) verdict: Option<crate::stir::Verdict>,
}

impl Desk {
    pub(super) fn new(
        calls: Arc<Calls>,
        line: Arc<Line>,
        identity: Identity,
        journal: CallJournal,
        leg: Leg,
        commands: mpsc::Receiver<CallCommand>,
    ) -> Self {
        Self {
            calls,
            line,
            identity,
            journal,
            leg,
            commands,
            timings: Timings::default(),
            state: LiveState::Ringing,
            answered_at: None,
            last_seen: false,
            secure: false,
            verdict: None,
            exact: None,
            dialled: Dialled::default(),
        }
    }

    pub(super) fn id(&self) -> &CallId {
        &self.identity.id
    }

    /// Milliseconds since the INVITE.
    pub(super) fn since_start_ms(&self, now: Instant) -> u32 {
        ms(now.saturating_duration_since(self.identity.started))
    }

    pub(super) fn milestone(&self, now: Instant, milestone: Milestone) {
        self.journal.event(now, Event::Milestone { milestone });
    }

    pub(super) fn publish(&self, kind: LiveEventKind) {
        self.calls.publish(&self.identity, kind);
    }

    pub(super) fn set_state(&mut self, state: LiveState) {
        self.state = state;
        self.changed();
    }

    /// Tells the watchers that a figure changed.
    pub(super) fn changed(&self) {
        self.calls.changed(&self.identity, self.state, self.timings);
    }

    /// It rings.
    pub(super) fn rings(&mut self, now: Instant) {
        self.timings.ring_ms = Some(self.since_start_ms(now));
        self.milestone(now, Milestone::Ringing);
        self.changed();
    }

    /// What the brain is told of the call.
    pub(super) fn facts(&self) -> CallFacts {
        let Parties { from, to, .. } = &self.identity.parties;
        let (carrier, carrier_call) = self.leg.carrier();
        let (other, ours) = if self.identity.inbound {
            (from, to)
        } else {
            (to, from)
        };
        CallFacts {
            call_id: self.id().as_str().to_owned(),
            caller_phone: phone(other),
            called_number: phone(ours),
            direction: if self.identity.inbound {
                agent::Direction::Inbound
            } else {
                agent::Direction::Outbound
            },
            started_at: self.identity.started_at,
            caller_verified: false,
            carrier: carrier.to_owned(),
            carrier_call_id: carrier_call.map(str::to_owned),
            caller_name: None,
            caller_attestation: self
                .verdict
                .and_then(crate::stir::Verdict::letter)
                .map(str::to_owned),
        }
    }

    pub(super) fn answered(&mut self, now: Instant) {
        let at = self.identity.wall(now);
        self.answered_at = Some(at);
        self.journal.answered(at);
        self.milestone(now, Milestone::Answered);
        self.timings.answer_ms = Some(self.since_start_ms(now));
        self.calls.metrics.setup.observe(
            now.saturating_duration_since(self.identity.started)
                .as_secs_f64(),
        );
        say(&Message::new("log_call_answered")
            .with("call", self.id().as_str())
            .with("after", self.since_start_ms(now)));
        self.set_state(LiveState::Answered);
    }

    /// What a clock that nobody steps during the call shows.
    pub(super) fn wall(&self, now: Instant) -> Timestamp {
        self.identity.wall(now)
    }

    /// Closes a call that had no media.
    pub(super) async fn close(self, reason: EndReason, service: Option<Service>) {
        let ended_at = self.wall(Instant::now());
        self.finish(Ending {
            reason,
            ended_at,
            statistics: None,
            recording: None,
            service,
        })
        .await;
    }

    /// Tells the end, awaits the leg's last messages, and makes the record durable.
    pub(super) async fn finish(mut self, ending: Ending) {
        let Ending {
            reason,
            ended_at,
            statistics,
            recording,
            service,
        } = ending;
        let reason = self.exact.unwrap_or(reason);
        self.calls.ended(&self.identity, reason, self.timings);
        if let Some(answered) = self.answered_at {
            let talked = ended_at.duration_since(answered).as_secs_f64();
            self.calls.metrics.duration.observe(talked);
        }
        self.state = LiveState::Ended;
        self.last_messages().await;
        let mut recording_path = None;
        if let Some(recording) = recording {
            recording_path = Some(recording.path().display().to_string());
            let state = recording.finish().await;
            if state != RecordingState::Running {
                self.journal.note(
                    Instant::now(),
                    Message::new("recording_incomplete").with("state", state.label()),
                );
            }
        }
        let statistics = match self.verdict {
            Some(verdict) => Some(verdict.joined(statistics)),
            None => statistics,
        };
        let row = reason.row();
        let ended = Event::Ended {
            reason: row.code.to_owned(),
            ended_by: row.ended_by.label().to_owned(),
        };
        self.journal.event(Instant::now(), ended);
        let end = CallEnd {
            ended_at,
            answered_at: self.answered_at,
            reason,
            ended_by: row.ended_by,
            verdict: Message::new(catalog::end_code(row.code)),
            statistics,
            recording_path,
        };
        let has_news = service
            .as_ref()
            .is_some_and(|service| !service.deliveries.is_empty());
        self.journal.finish(end, service).await;
        self.calls.tell_trace(&self.identity);
        if has_news {
            self.calls.deliveries.notify_one();
        }
    }

    /// A message of the leg, for the record.
    pub(super) fn trace(&mut self, now: Instant, trace: &sip::Trace) {
        let mut event = crate::trace::event(trace);
        if let Event::SipMessage(message) = &mut event {
            if self.secure && message.start_line.starts_with("INFO ") {
                // A key that the caller pressed in secrecy, sent as a message.
                message.text.clone_from(&message.start_line);
            }
            let established = self.timings.answer_ms.is_some();
            let answer = message.start_line.starts_with("SIP/2.0") && message.cseq.ends_with("BYE");
            let acknowledged = message.start_line.starts_with("ACK ") && !established;
            self.last_seen |= self.leg.is_of(trace.invite) && (answer || acknowledged);
        }
        self.journal.event(now, event);
    }

    /// The answer to our BYE and the ACK of our refusal belong to the record.
    async fn last_messages(&mut self) {
        let deadline = tokio::time::Instant::now() + LAST_MESSAGES_WITHIN;
        while !self.last_seen && self.leg.has_last_messages() {
            match tokio::time::timeout_at(deadline, self.leg.next()).await {
                Ok(Some(event)) => self.last_message(event),
                Ok(None) | Err(_) => break,
            }
        }
        while let Some(event) = self.leg.try_next() {
            self.last_message(event);
        }
    }

    fn last_message(&mut self, event: LegEvent) {
        if let LegEvent::Trace(trace) = event {
            self.trace(Instant::now(), &trace);
        } else if matches!(event, LegEvent::Ended { .. }) {
            self.leg.set_ended();
        }
    }
}

/// Words that stand in the place of a number that is withheld; Twilio spells some of them on the keypad.
const WITHHELD: [&str; 13] = [
    "anonymous",
    "unknown",
    "private",
    "restricted",
    "unavailable",
    "blocked",
    "withheld",
    "+266696687",
    "+7378742833",
    "+8656696",
    "+2562533",
    "+86282452253",
    "+7748283",
];

/// The number of a party; `None` when it is withheld.
pub(crate) fn phone(party: &str) -> Option<String> {
    let user = party
        .trim_start_matches("sips:")
        .trim_start_matches("sip:")
        .split(['@', ';'])
        .next()
        .unwrap_or_default();
    let withheld = user.is_empty() || WITHHELD.iter().any(|word| user.eq_ignore_ascii_case(word));
    (!withheld).then(|| user.to_owned())
}

/// Whole milliseconds, as far as 32 bits go.
pub(super) fn ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// The words so far, for a session that takes over.
#[derive(Default)]
pub(super) struct History {
    lines: Vec<(Option<ItemId>, Speaker, String)>,
}

impl History {
    /// Takes a line, in place of the one with the same item and speaker.
    pub(super) fn record(&mut self, entry: &TranscriptEntry) {
        let known = self.lines.iter_mut().find(|(item, speaker, _)| {
            item.is_some() && *item == entry.item && *speaker == entry.role
        });
        match known {
            Some((_, _, text)) => text.clone_from(&entry.text),
            None => self
                .lines
                .push((entry.item.clone(), entry.role, entry.text.clone())),
        }
        if self.lines.len() > REPLAY_ITEMS_MAX {
            self.lines.remove(0);
        }
    }

    /// Takes words of the agent that no record has yet.
    pub(super) fn agent(&mut self, item: &ItemId, text: &str) {
        self.record(&TranscriptEntry {
            role: Speaker::Agent,
            text: text.to_owned(),
            at_ms: 0,
            item: Some(item.clone()),
            interrupted_at_ms: None,
        });
    }

    /// What a new session is told.
    pub(super) fn items(&self) -> Vec<HistoryItem> {
        let role = |speaker: Speaker| match speaker {
            Speaker::Caller => Role::User,
            Speaker::Agent => Role::Assistant,
            Speaker::System => Role::System,
        };
        let spoken = self.lines.iter().filter(|(_, _, text)| !text.is_empty());
        spoken
            .map(|(_, speaker, text)| HistoryItem {
                role: role(*speaker),
                text: text.clone(),
            })
            .collect()
    }
}

/// Items whose words come in parts at the same time.
const UNFINISHED_ITEMS_MAX: usize = 8;
/// Words kept of such an item, bytes.
const UNFINISHED_BYTES_MAX: usize = 16 * 1_024;

/// What the engine has written so far of items whose transcript is not complete.
#[derive(Debug, Default)]
pub(crate) struct UnfinishedWords {
    items: BTreeMap<ItemKey, String>,
}

impl UnfinishedWords {
    pub(crate) fn add(&mut self, item: &ItemKey, delta: &str) {
        if self.items.len() >= UNFINISHED_ITEMS_MAX && !self.items.contains_key(item) {
            return;
        }
        let words = self.items.entry(ItemKey::clone(item)).or_default();
        if words.len() + delta.len() <= UNFINISHED_BYTES_MAX {
            words.push_str(delta);
        }
    }

    pub(crate) fn complete(&mut self, item: &ItemKey) {
        self.items.remove(item);
    }

    pub(crate) fn take(&mut self) -> BTreeMap<ItemKey, String> {
        std::mem::take(&mut self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_until_their_transcript_is_complete_and_within_bounds() {
        let mut words = UnfinishedWords::default();
        let (first, second) = (ItemKey::from("a"), ItemKey::from("b"));
        words.add(&first, "Bonjour");
        words.add(&first, ", je");
        words.add(&second, "Nous");
        words.complete(&second);
        words.add(&first, &"x".repeat(UNFINISHED_BYTES_MAX));
        for other in 0..2 * UNFINISHED_ITEMS_MAX {
            words.add(&ItemKey::from(other.to_string()), "x");
        }
        let kept = words.take();
        assert_eq!(kept.len(), UNFINISHED_ITEMS_MAX);
        assert_eq!(kept[&first], "Bonjour, je");
        assert!(words.take().is_empty());
    }
}
