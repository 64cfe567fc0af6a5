//! `allo test-incoming`: registers an account, takes every call that comes for it, and says what happens; with `--bridge` a
//! voice model speaks, without it the sound card, an echo, a tone or a file.

mod options;
mod sound;
mod tally;

use crate::one_off::OneOff;
use crate::shutdown::Signals;
use crate::terminal::{Terminal, error_line, json_line, line};
use call::{CallId, Speaker, TranscriptEntry};
use catalog::{Message, Numbers};
use engine::switchboard::{CallNews, FarEnd, IncomingCall, Switchboard};
use engine::{LiveEvent, LiveEventKind, LiveState, RegistrationState, RegistrationStatus};
pub(crate) use options::TestIncomingArguments;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tally::Tally;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

/// Exit status when the account could not be registered, or lost its registration for good.
const EXIT_NOT_REGISTERED: u8 = 1;
/// Exit status when a call went wrong.
const EXIT_CALL_FAILED: u8 = 3;
/// Exit status when fewer calls came than were asked for.
const EXIT_FEW_CALLS: u8 = 4;
/// Longest wait for the first registration.
const REGISTERED_WITHIN: Duration = Duration::from_secs(15);
/// How long calls in progress may take to say goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(4);
/// How often the registration is looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Runs the command.
pub(crate) async fn run(arguments: &TestIncomingArguments) -> ExitCode {
    let (terminal, wish) = match options::read(arguments) {
        Ok(read) => read,
        Err(status) => return status,
    };
    let filter = if wish.verbose { "info" } else { "off" };
    crate::telemetry::install_with(filter, false);
    let speaker = Speaking {
        terminal,
        quiet: wish.json,
    };
    let Ok(mut signals) = Signals::install() else {
        return ExitCode::FAILURE;
    };
    speaker.say("🚀", &wish.opening());
    let (mut config, sounds) = (wish.config, wish.sounds);
    let mut incoming = None;
    if let Some(sounds) = &sounds {
        let (switchboard, calls) = Switchboard::new();
        config.engine.switchboard = Some(switchboard);
        config.engine.agents.clear();
        incoming = Some(calls);
        speaker.say("🎵", &sounds.message());
    }
    let house = match OneOff::start(config).await {
        Ok(house) => house,
        Err(message) => {
            speaker.fail(&message);
            return ExitCode::FAILURE;
        }
    };
    let mut test = Test {
        events: house.engine.watch(),
        house,
        speaker,
        tally: Tally::default(),
        calls: JoinSet::new(),
        sounds,
        verbose: wish.verbose,
        calls_wanted: wish.calls,
        registered: false,
    };
    test.registered = test.wait_registered(&mut signals).await;
    if test.registered {
        test.take_calls(incoming, wish.duration, &mut signals).await;
    }
    test.finish().await
}

/// Lines of progress. With JSON they go to standard error.
#[derive(Clone, Copy)]
struct Speaking {
    terminal: Terminal,
    quiet: bool,
}

impl Speaking {
    fn say(self, mark: &str, message: &Message) {
        let rendered = catalog::render_with(message, self.terminal.language, Numbers::Shown);
        let text = format!("{mark} {}", rendered.text);
        if self.quiet {
            error_line(&text);
        } else {
            line(&text);
        }
    }

    /// An error with its remedy.
    fn fail(self, message: &Message) {
        let rendered = catalog::render_with(message, self.terminal.language, Numbers::Shown);
        error_line(&format!("❌ {}", rendered.text));
        if let Some(remedy) = rendered.remedy {
            error_line(&format!("   → {remedy}"));
        }
    }
}

struct Test {
    house: OneOff,
    speaker: Speaking,
    events: broadcast::Receiver<LiveEvent>,
    tally: Tally,
    /// Calls that are connected with sound of this process.
    calls: JoinSet<CallId>,
    sounds: Option<sound::Sounds>,
    verbose: bool,
    calls_wanted: u32,
    registered: bool,
}

impl Test {
    async fn wait_registered(&self, signals: &mut Signals) -> bool {
        let status = tokio::select! {
            status = self.house.registered(REGISTERED_WITHIN) => status,
            () = signals.next() => return false,
        };
        let Some(status) = status else {
            return false;
        };
        if let RegistrationState::Registered { .. } = status.state {
            let message = Message::new("incoming_registered").with("line", status.aor);
            self.speaker.say("✅", &message);
            self.speaker.say("📞", &Message::new("incoming_waiting"));
            return true;
        }
        self.speaker.fail(&not_registered(&status));
        false
    }

    async fn take_calls(
        &mut self,
        mut incoming: Option<mpsc::Receiver<IncomingCall>>,
        duration: Option<Duration>,
        signals: &mut Signals,
    ) {
        let until = duration.map(|duration| Instant::now() + duration);
        let over = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            if self.calls_wanted > 0 && self.tally.ended() >= self.calls_wanted {
                return;
            }
            tokio::select! {
                () = &mut over => {
                    return self.speaker.say("⏱️ ", &Message::new("incoming_time_over"));
                }
                () = signals.next() => {
                    return self.speaker.say("🧹", &Message::new("incoming_interrupted"));
                }
                _ = look.tick() => self.look().await,
                Some(call) = next(&mut incoming) => self.connect(call),
                Some(Ok(id)) = self.calls.join_next(), if !self.calls.is_empty() => {
                    self.ended(&id).await;
                }
                event = self.events.recv() => {
                    if let Ok(event) = event {
                        self.event(event).await;
                    }
                }
            }
        }
    }

    /// Says once when the registration is lost, and when it is back.
    async fn look(&mut self) {
        let Some(status) = self.house.engine.registrations().await.into_iter().next() else {
            return;
        };
        match status.state {
            RegistrationState::Registered { .. } if !self.registered => {
                let message = Message::new("incoming_registered").with("line", status.aor);
                self.speaker.say("✅", &message);
                self.registered = true;
            }
            RegistrationState::Failed { .. } if self.registered => {
                self.speaker.say("⚠️ ", &not_registered(&status));
                self.registered = false;
            }
            RegistrationState::Registered { .. }
            | RegistrationState::Failed { .. }
            | RegistrationState::Unregistered
            | RegistrationState::Registering => {}
        }
    }

    /// Answers with the sound of this process.
    fn connect(&mut self, incoming: IncomingCall) {
        let Some(sounds) = &self.sounds else {
            return;
        };
        let message = Message::new("incoming_call")
            .with("from", incoming.from.as_str())
            .with("to", incoming.to.as_str());
        self.speaker.say("📞", &message);
        self.tally.received += 1;
        let end = sounds.end(incoming.call.id().as_str());
        let speaker = self.speaker;
        self.calls.spawn(async move {
            let mut call = incoming.call;
            call.orders().answer(FarEnd::Local(end));
            while let Some(news) = call.next().await {
                match news {
                    CallNews::Answered => speaker.say("✅", &Message::new("incoming_answered")),
                    CallNews::Active => speaker.say("🎵", &Message::new("incoming_sound")),
                    CallNews::Ringing
                    | CallNews::TransferAccepted
                    | CallNews::TransferFailed(_)
                    | CallNews::Ended(_) => {}
                }
            }
            call.id().clone()
        });
    }

    /// What happens in a call that a voice model speaks in.
    async fn event(&mut self, event: LiveEvent) {
        if self.sounds.is_some() {
            return;
        }
        match event.kind {
            LiveEventKind::Started(call) => {
                let message = Message::new("incoming_call")
                    .with("from", call.from)
                    .with("to", call.to);
                self.speaker.say("📞", &message);
                self.tally.received += 1;
                self.tally.answered_now = false;
            }
            LiveEventKind::Changed {
                state: LiveState::Answered,
                timings,
            } => {
                if !std::mem::replace(&mut self.tally.answered_now, true) {
                    self.speaker.say("✅", &Message::new("incoming_answered"));
                } else if let Some(ms) = timings.answer_to_first_audio_ms
                    && self.tally.first_audio_of.replace(event.call.clone()) != Some(event.call)
                {
                    let message = Message::new("incoming_first_audio").with("after", ms);
                    self.speaker.say("🎵", &message);
                }
            }
            LiveEventKind::Transcript(entry) => self.transcript(&entry),
            LiveEventKind::Interrupted { played_ms, .. } if self.verbose => {
                let message = Message::new("demo_interrupted").with("played", played_ms);
                self.speaker.say("🎵", &message);
            }
            LiveEventKind::Ended { .. } => self.ended(&event.call).await,
            LiveEventKind::Changed { .. }
            | LiveEventKind::Interrupted { .. }
            | LiveEventKind::AgentDelta { .. }
            | LiveEventKind::AnsweredBy { .. }
            | LiveEventKind::Person(_)
            | LiveEventKind::Called(_)
            | LiveEventKind::Parked(_)
            | LiveEventKind::Quality(_)
            | LiveEventKind::CallerSpeaking => {}
        }
    }

    fn transcript(&mut self, entry: &TranscriptEntry) {
        let code = match entry.role {
            Speaker::Caller => "demo_caller_said",
            Speaker::Agent => "demo_agent_said",
            Speaker::System => return,
        };
        if self.tally.is_new(entry.item.as_ref()) {
            let message = Message::new(code).with("text", entry.text.as_str());
            self.speaker.say("💬", &message);
            self.tally.transcripts += 1;
        }
    }

    async fn ended(&mut self, call: &CallId) {
        match self.house.explanation(call).await {
            Ok(explanation) => {
                let failed = self.tally.count(&explanation);
                let mark = if failed { "❌" } else { "📞" };
                for message in tally::end_of(&explanation) {
                    self.speaker.say(mark, &message);
                }
                if self.verbose {
                    let text = explanation.text(self.speaker.terminal.language, Numbers::Shown);
                    error_line(text.trim_end());
                }
            }
            Err(message) => {
                self.tally.failed += 1;
                self.speaker.fail(&message);
            }
        }
    }

    /// Removes the registration, ends what runs, says the figures.
    async fn finish(mut self) -> ExitCode {
        self.speaker.say("🧹", &Message::new("incoming_cleaning"));
        self.house.engine.drain(GOODBYE_WITHIN).await;
        while let Some(Ok(id)) = self.calls.join_next().await {
            self.ended(&id).await;
        }
        while let Ok(event) = self.events.try_recv() {
            self.event(event).await;
        }
        self.speaker
            .say("✅", &Message::new("incoming_unregistered"));
        let few = self.tally.ended() < self.calls_wanted;
        let status = if !self.registered {
            EXIT_NOT_REGISTERED
        } else if self.tally.failed > 0 {
            EXIT_CALL_FAILED
        } else if few {
            EXIT_FEW_CALLS
        } else {
            0
        };
        if self.speaker.quiet {
            json_line(&self.tally.json(self.registered).to_string());
        } else {
            for message in self.tally.messages() {
                self.speaker.say("📊", &message);
            }
        }
        self.house.stop(Duration::ZERO).await;
        ExitCode::from(status)
    }
}

fn not_registered(status: &RegistrationStatus) -> Message {
    use engine::RegistrationFailure as Failure;
    let RegistrationState::Failed { cause, .. } = &status.state else {
        return Message::new("registration_timeout").with("line", status.aor.as_str());
    };
    let message = match cause {
        Failure::WrongCredentials => Message::new("registration_wrong_credentials"),
        Failure::Refused(code) => Message::new("registration_refused").with("status", *code),
        Failure::Timeout => Message::new("registration_timeout"),
        Failure::Unreachable => Message::new("registration_unreachable"),
        Failure::Dns => Message::new("registration_dns"),
    };
    message.with("line", status.aor.as_str())
}

async fn next(incoming: &mut Option<mpsc::Receiver<IncomingCall>>) -> Option<IncomingCall> {
    match incoming {
        Some(calls) => calls.recv().await,
        None => std::future::pending().await,
    }
}
