//! The figures of a test.

use call::{CallId, ItemId};
use catalog::Message;
use serde_json::{Value, json};
use store::explain::Explanation;

/// Items of the conversation that are remembered as shown.
const ITEMS_MAX: usize = 1_000;

/// What was counted.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) received: u32,
    pub(super) answered: u32,
    pub(super) failed: u32,
    pub(super) transcripts: u32,
    /// The call at hand was said to be answered.
    pub(super) answered_now: bool,
    /// The call whose first sound was said.
    pub(super) first_audio_of: Option<CallId>,
    ended: u32,
    talk_s: u64,
    packets_received: u64,
    packets_sent: u64,
    packets_lost: u64,
    items: Vec<ItemId>,
}

impl Tally {
    pub(super) const fn ended(&self) -> u32 {
        self.ended
    }

    /// True for an item that was not shown yet; an entry of a known one only adds its interruption.
    pub(super) fn is_new(&mut self, item: Option<&ItemId>) -> bool {
        let Some(item) = item else {
            return true;
        };
        if self.items.contains(item) {
            return false;
        }
        if self.items.len() >= ITEMS_MAX {
            self.items.remove(0);
        }
        self.items.push(item.clone());
        true
    }

    /// Counts a call that is over; true when it went wrong.
    pub(super) fn count(&mut self, explanation: &Explanation) -> bool {
        self.ended += 1;
        let call = &explanation.call;
        self.answered += u32::from(call.answered_at.is_some());
        self.talk_s += talk_s(explanation);
        let figures = call.end.as_ref().and_then(|end| end.statistics.as_ref());
        let packets = |name: &str| {
            let figure = figures.and_then(|figures| figures["rtp"][name].as_u64());
            figure.unwrap_or_default()
        };
        self.packets_received += packets("packets_received");
        self.packets_sent += packets("packets_sent");
        self.packets_lost += packets("packets_lost");
        let severity = call
            .end
            .as_ref()
            .and_then(|end| catalog::entry(&end.verdict.code));
        let failed = severity.is_none_or(|entry| entry.severity >= catalog::Severity::Warning);
        self.failed += u32::from(failed);
        failed
    }

    pub(super) fn messages(&self) -> [Message; 2] {
        [
            Message::new("incoming_figures")
                .with("received", self.received)
                .with("answered", self.answered)
                .with("failed", self.failed)
                .with("seconds", self.talk_s)
                .with("transcripts", self.transcripts),
            Message::new("incoming_packets")
                .with("received", self.packets_received)
                .with("sent", self.packets_sent)
                .with("lost", self.packets_lost),
        ]
    }

    pub(super) fn json(&self, registered: bool) -> Value {
        json!({
            "registered": registered,
            "callsReceived": self.received,
            "callsAnswered": self.answered,
            "callsFailed": self.failed,
            "talkSeconds": self.talk_s,
            "transcripts": self.transcripts,
            "packetsReceived": self.packets_received,
            "packetsSent": self.packets_sent,
            "packetsLost": self.packets_lost,
        })
    }
}

fn talk_s(explanation: &Explanation) -> u64 {
    let call = &explanation.call;
    let (Some(answered), Some(end)) = (call.answered_at, &call.end) else {
        return 0;
    };
    u64::try_from((end.ended_at.as_millisecond() - answered.as_millisecond() + 500) / 1_000)
        .unwrap_or(0)
}

/// How long the conversation was, and why it ended.
pub(super) fn end_of(explanation: &Explanation) -> [Message; 2] {
    [
        Message::new("incoming_call_ended").with("seconds", talk_s(explanation)),
        explanation.verdict.clone(),
    ]
}
