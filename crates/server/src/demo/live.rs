//! The live transcript and the timings of the demo's call.

use crate::terminal::{Terminal, line};
use call::{CallId, ItemId, Speaker, TranscriptEntry};
use catalog::Message;
use engine::{LiveEvent, LiveEventKind, LiveState};
use standin::caller::Report;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// A call in which nothing happens for so long is stuck.
const NOTHING_HAPPENS: std::time::Duration = std::time::Duration::from_secs(60);

/// What was shown of the call so far.
#[derive(Default)]
struct Shown {
    call: Option<CallId>,
    answered: bool,
    /// Items whose words were shown: a later entry of one only adds its interruption.
    items: Vec<ItemId>,
}

/// Shows the first call that begins until it ends; its id, or `None` when the events ended before one came.
pub(crate) async fn show(events: &mut Receiver<LiveEvent>, terminal: Terminal) -> Option<CallId> {
    let mut shown = Shown::default();
    loop {
        let event = match tokio::time::timeout(NOTHING_HAPPENS, events.recv()).await {
            Ok(Ok(event)) => event,
            Ok(Err(RecvError::Lagged(_))) => continue,
            Ok(Err(RecvError::Closed)) | Err(_) => return shown.call,
        };
        if shown.call.as_ref().is_some_and(|call| *call != event.call) {
            continue;
        }
        shown.call.get_or_insert_with(|| event.call.clone());
        if shown.one(&event, terminal) {
            return shown.call;
        }
    }
}

impl Shown {
    /// Shows one event; true when it was the call's last.
    fn one(&mut self, event: &LiveEvent, terminal: Terminal) -> bool {
        let seconds = f64::from(u32::try_from(event.at_ms).unwrap_or(u32::MAX)) / 1000.0;
        let say =
            |message: Message| line(&format!("{seconds:>6.1} s  {}", terminal.text(&message)));
        match &event.kind {
            LiveEventKind::Started(_) => say(Message::new("demo_ringing")),
            LiveEventKind::Changed {
                state: LiveState::Answered,
                ..
            } if !self.answered => {
                self.answered = true;
                say(Message::new("demo_answered"));
            }
            LiveEventKind::Transcript(entry) => {
                if let Some(message) = self.entry(entry) {
                    say(message);
                }
            }
            LiveEventKind::Ended { .. } => {
                say(Message::new("demo_ended"));
                return true;
            }
            LiveEventKind::Changed { .. }
            | LiveEventKind::AgentDelta { .. }
            | LiveEventKind::CallerSpeaking
            | LiveEventKind::Person(_)
            | LiveEventKind::Called(_)
            | LiveEventKind::Parked(_)
            | LiveEventKind::AnsweredBy { .. }
            | LiveEventKind::Quality(_)
            | LiveEventKind::Interrupted { .. } => {}
        }
        false
    }

    fn entry(&mut self, entry: &TranscriptEntry) -> Option<Message> {
        let known = entry
            .item
            .as_ref()
            .is_some_and(|item| self.items.contains(item));
        if known {
            return entry
                .interrupted_at_ms
                .map(|ms| Message::new("demo_interrupted").with("played", i64::from(ms)));
        }
        self.items.extend(entry.item.clone());
        match entry.role {
            Speaker::Caller => {
                Some(Message::new("demo_caller_said").with("text", entry.text.as_str()))
            }
            Speaker::Agent => {
                Some(Message::new("demo_agent_said").with("text", entry.text.as_str()))
            }
            Speaker::System => None,
        }
    }
}

/// What the telephone measured.
pub(crate) fn timings(terminal: Terminal, report: &Report) {
    line("");
    let say = |code: &'static str, ms: Option<u32>| {
        if let Some(ms) = ms {
            terminal.say(&Message::new(code).with("ms", i64::from(ms)));
        }
    };
    say("demo_ringing_after", report.invite_to_ringing_ms);
    say("demo_answered_after", report.invite_to_answer_ms);
    say("demo_first_audio_after", report.answer_to_first_audio_ms);
    for said in &report.said {
        say("demo_turn_after", said.answered_after_ms);
        say("demo_silent_after", said.agent_silent_after_ms);
    }
}
