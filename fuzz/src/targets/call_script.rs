//! A call as a list of inputs and waits: whatever comes in, in whatever order, a session keeps its promises.
//!
//! Promises: one `Ended` and nothing after it, one answer, one hang-up, deadlines that lie ahead, a bounded number of
//! effects for each input, no tool answered twice, one second leg at a time and none that outlives the call, and an end that comes by
//! itself when the world falls silent.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::bytes::Bytes;
use call::{
    Answerer, Effect, EngineFailure, Greeting, Heard, Input, ItemId, LegEnd, MachineAction,
    Parking, PersonInput, Phase, Profile, Requester, ResponseId, ResponseStatus, Seat, Session,
    SessionStart, ToolCallId, ToolOutcome, ToolSpec, TransferMode, TransferTarget,
};

/// Inputs of one call.
const INPUTS_MAX: usize = 400;
/// Effects that one input may set off.
const EFFECTS_MAX: usize = 64;
/// Timers that a silent world may need to end a call.
const TIMERS_MAX: u32 = 20_000;

pub fn target(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let profile = profile(&mut bytes);
    let is_inbound = bytes.below(4) != 3;
    let mut watch = Watch::new(profile, is_inbound);
    for _ in 0..INPUTS_MAX {
        if bytes.is_empty() {
            break;
        }
        match bytes.below(8) {
            0 => watch.wait(u64::from(bytes.byte()) * 4),
            1 => watch.wait(u64::from(bytes.byte()) * 100),
            2 => watch.hand_in(leg_input(&mut bytes)),
            3 => watch.hand_in(playout_input(&mut bytes)),
            _ => watch.hand_in(engine_input(&mut bytes)),
        }
    }
    watch.close();
}

/// How long a call that we placed may ring, ms.
const RING_MS: u32 = 30_000;

struct Watch {
    session: Session,
    base: Instant,
    now_ms: u64,
    ended: u32,
    answers: u32,
    hang_ups: u32,
    runs: BTreeSet<ToolCallId>,
    submitted: BTreeSet<ToolCallId>,
    background: bool,
    ducked: bool,
    /// A second leg lives.
    target: bool,
    /// It is being told something.
    announcing: bool,
    /// The caller waits in a parking place.
    parked: bool,
}

impl Watch {
    fn new(profile: Profile, inbound: bool) -> Self {
        let base = Instant::now();
        let mut watch = Self {
            session: Session::new(
                base,
                profile,
                SessionStart {
                    inbound,
                    ring_ms: (!inbound).then_some(RING_MS),
                },
            ),
            base,
            now_ms: 0,
            ended: 0,
            answers: 0,
            hang_ups: 0,
            runs: BTreeSet::new(),
            submitted: BTreeSet::new(),
            background: false,
            ducked: false,
            target: false,
            announcing: false,
            parked: false,
        };
        watch.drain();
        watch
    }

    fn hand_in(&mut self, input: Input) {
        if matches!(input, Input::Person(PersonInput::Comes { .. })) {
            // Whoever comes while another second leg lives is sent away by the shell.
            if self.target || self.ended > 0 {
                return;
            }
            self.target = true;
            self.announcing = false;
        }
        if matches!(input, Input::TargetEnded { .. }) {
            self.target = false;
            self.announcing = false;
        } else if matches!(input, Input::AnnouncementEnded { .. }) {
            self.announcing = false;
        }
        self.session
            .handle(self.base + Duration::from_millis(self.now_ms), input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(effect) = self.session.poll_effect() {
            count += 1;
            assert!(count <= EFFECTS_MAX, "too many effects");
            assert_eq!(self.ended, 0, "after the end: {effect:?}");
            self.take(effect);
        }
        match self.session.poll_timeout() {
            Some(due) => {
                assert_eq!(self.ended, 0, "a deadline after the end");
                let due_ms = (due - self.base).as_millis();
                assert!(due_ms > u128::from(self.now_ms), "a deadline in the past");
            }
            // The signalling has its own bound on a call that is not answered or acknowledged.
            None => assert!(
                self.ended == 1
                    || matches!(self.session.phase(), Phase::Dialing | Phase::Answering),
                "nothing will end this call: {:?}",
                self.session
            ),
        }
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Ended { .. } => {
                self.ended += 1;
                assert!(!self.target, "a second leg outlives the call");
                assert!(!self.parked, "a parking place outlives the call");
            }
            Effect::CallTarget { .. }
            | Effect::DropTarget { .. }
            | Effect::Announce { .. }
            | Effect::Park { .. }
            | Effect::Unpark
            | Effect::Join
            | Effect::Confer
            | Effect::HandOver => self.take_of_others(&effect),
            Effect::Answer => {
                self.answers += 1;
                assert_eq!(self.answers, 1, "answered twice");
            }
            Effect::HangUp { .. } | Effect::RejectCall { .. } => {
                self.hang_ups += 1;
                assert_eq!(self.hang_ups, 1, "hung up twice");
            }
            Effect::RunTool { id, .. } => {
                assert!(self.runs.insert(id.clone()), "{id} runs twice");
                assert!(!self.submitted.contains(&id), "{id} runs after its answer");
            }
            Effect::SubmitToolOutput { id, .. } => {
                let is_first = self.submitted.insert(id.clone());
                // Calls over the limit are refused without being remembered.
                assert!(
                    is_first || self.submitted.len() > call::limits::TOOL_CALLS_MAX,
                    "{id} answered twice"
                );
            }
            Effect::Background { on } => {
                assert_ne!(self.background, on, "switched to what it is");
                self.background = on;
            }
            Effect::Duck { on } => {
                assert_ne!(self.ducked, on, "as quiet as it is");
                self.ducked = on;
            }
            Effect::CreateResponse { .. } => {
                assert_eq!(self.hang_ups, 0, "a response after the hang-up");
            }
            Effect::SendDtmf { digits } => {
                assert!((1..=call::limits::SEND_DTMF_DIGITS_MAX).contains(&digits.len()));
            }
            Effect::Ring
            | Effect::ConnectEngine { .. }
            | Effect::CloseEngine
            | Effect::RotateEngine
            | Effect::CancelResponse
            | Effect::Patience { .. }
            | Effect::TruncateItem { .. }
            | Effect::ClearPlayout
            | Effect::FinishItem { .. }
            | Effect::ReleasePlayout
            | Effect::MuteCaller { .. }
            | Effect::HoldCaller { .. }
            | Effect::SecureInput { .. }
            | Effect::Transfer { .. }
            | Effect::Ringback { .. }
            | Effect::PlayLocal { .. }
            | Effect::PlayRecorded { .. }
            | Effect::AddMessage { .. }
            | Effect::Record(_)
            | Effect::Journal(_) => {}
        }
    }

    /// Of the second leg, and of the place where a caller is parked.
    fn take_of_others(&mut self, effect: &Effect) {
        match effect {
            Effect::CallTarget { .. } => {
                assert!(!self.target, "two second legs");
                self.target = true;
                self.announcing = false;
            }
            Effect::DropTarget { .. } => {
                assert!(self.target, "no second leg to end");
                self.target = false;
                self.announcing = false;
            }
            Effect::Announce { .. } => {
                assert!(self.target && !self.announcing, "told to nobody, or twice");
                self.announcing = true;
            }
            Effect::Park { .. } => {
                assert!(!self.parked && !self.target, "parked with somebody");
                self.parked = true;
            }
            Effect::Unpark => {
                assert!(self.parked, "no place to leave");
                self.parked = false;
            }
            Effect::Join | Effect::Confer | Effect::HandOver => {
                assert!(!self.parked, "with somebody while parked");
                assert!(self.target, "joined with nobody");
                self.announcing = false;
            }
            other => unreachable!("{other:?}"),
        }
    }

    /// Lets time pass and nothing else happen.
    fn wait(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        for _ in 0..TIMERS_MAX {
            let due = self.session.poll_timeout();
            let due_ms = due.map(|due| u64::try_from((due - self.base).as_millis()));
            let Some(due_ms) = due_ms.map(|ms| ms.expect("a call is short")) else {
                break;
            };
            if due_ms > until {
                break;
            }
            self.now_ms = due_ms;
            self.hand_in(Input::Timeout);
        }
        self.now_ms = self.now_ms.max(until);
    }

    fn close(&mut self) {
        self.hand_in(Input::HoldChanged { held: false });
        self.wait(10_000);
        self.hand_in(Input::LegAnswered);
        self.wait(600_000);
        if self.session.phase() == Phase::Dialing {
            self.hand_in(Input::LegEnded {
                cause: LegEnd::Failed,
            });
        }
        assert_eq!(self.ended, 1, "does not end: {:?}", self.session);
        assert!(!self.background, "the background sound survives the call");
        self.hand_in(Input::LegEnded {
            cause: LegEnd::RemoteHangUp,
        });
        assert_eq!(self.ended, 1, "ended twice");
    }
}

fn profile(bytes: &mut Bytes<'_>) -> Profile {
    let choices = bytes.byte();
    let mut lookup = ToolSpec::external("lookup", "", "{}");
    lookup.skip_response = choices & 1 != 0;
    lookup.mute_caller = choices & 2 != 0;
    lookup.hang_up_after = choices & 4 != 0;
    let mut profile = Profile {
        max_duration_ms: 60_000,
        ..Profile::default()
    };
    profile.tools.push(lookup);
    if choices & 8 != 0 {
        profile.greeting = Greeting::None;
    }
    if choices & 16 != 0 {
        profile.ring_ms_fixed = Some(3_000);
    }
    if choices & 32 != 0 {
        profile.goodbye.hang_up_delay_ms = 0;
        profile.dead_air_ms = 0;
        profile.answer_bound_ms = 0;
    }
    if choices & 64 != 0 {
        profile.idle_reprompt_ms = 0;
        profile.engine.attempts_max = 0;
        profile.engine.reconnect_ms_max = 0;
    }
    if choices & 128 != 0 {
        profile.answering = Some(MachineAction::LeaveMessage {
            instructions: "leave word".to_owned(),
        });
    }
    profile
}

fn transfer_input(bytes: &mut Bytes<'_>) -> Input {
    match bytes.below(17) {
        11 => Input::Person(PersonInput::CalledOff),
        16 => Input::Person(PersonInput::Parks(Parking {
            place: bytes.u16(),
            by: bytes.text(),
            note: bytes.text(),
            within_ms: u32::from(bytes.u16()),
        })),
        12 | 13 => Input::Person(PersonInput::Comes {
            name: bytes.text(),
            seat: bytes.pick(&[Seat::Beside, Seat::Instead]),
        }),
        14 => Input::Person(PersonInput::Moves {
            seat: bytes.pick(&[Seat::Beside, Seat::Instead]),
        }),
        15 => Input::Person(PersonInput::HandsBack {
            note: bytes.text(),
            stay: bytes.flag(),
        }),
        0 | 1 => Input::TransferRequested {
            target: TransferTarget {
                mode: bytes.pick(&[TransferMode::Bridge, TransferMode::Auto]),
                ..TransferTarget::new("desk", "+33491000000")
            },
        },
        2 => Input::TargetRings,
        3 | 4 => Input::TargetAnswered,
        5 => Input::TargetEnded {
            reason: "busy".to_owned(),
        },
        6 => Input::AnsweredBy {
            who: bytes.pick(&[Answerer::Human, Answerer::Machine, Answerer::Unknown]),
        },
        7 => Input::MachineWaits,
        8 => Input::TransferRequested {
            target: TransferTarget {
                mode: bytes.pick(&[
                    TransferMode::Bridge,
                    TransferMode::Attended,
                    TransferMode::Conference,
                ]),
                announces: bytes.flag(),
                screen_ms: bytes.flag().then(|| u32::from(bytes.u16())),
                returns: bytes.flag(),
                ..TransferTarget::new("desk", "+33491000000")
            },
        },
        9 => Input::AnnouncementEnded {
            heard: bytes.flag(),
        },
        _ => Input::TargetPressed {
            digit: bytes.pick(&['1', '2', '5']),
        },
    }
}

fn leg_input(bytes: &mut Bytes<'_>) -> Input {
    let ends = [
        LegEnd::RemoteHangUp,
        LegEnd::Cancelled,
        LegEnd::Lost,
        LegEnd::SessionExpired,
        LegEnd::AckMissing,
        LegEnd::TransportLost,
        LegEnd::Failed,
    ];
    match bytes.below(16) {
        0 => Input::HangUpRequested {
            by: bytes.pick(&[Requester::Operator, Requester::Shutdown]),
        },
        1 => Input::LegEnded {
            cause: bytes.pick(&ends),
        },
        2..=4 => Input::Dtmf {
            digit: char::from(bytes.byte()),
        },
        5 => Input::MediaLost {
            ms: u64::from(bytes.u16()),
        },
        6 => Input::MediaResumed,
        7 | 8 => Input::HoldChanged { held: bytes.flag() },
        9 => Input::Instruct {
            text: "x".repeat(usize::from(bytes.u16())),
        },
        10..=13 => Input::LegAnswered,
        14 => transfer_input(bytes),
        _ => Input::Timeout,
    }
}

fn playout_input(bytes: &mut Bytes<'_>) -> Input {
    let item = item(bytes);
    match bytes.below(8) {
        0 | 1 => Input::PlayoutStarted { item },
        2 => Input::PlayoutStarved { item },
        3 | 4 => Input::PlayoutFinished {
            item,
            played_ms: u32::from(bytes.u16()),
        },
        5 => Input::PlayoutCleared {
            item: bytes.flag().then_some(item),
            played_ms: u32::from(bytes.u16()),
            finished: bytes.flag(),
        },
        _ => Input::PlayoutDrained,
    }
}

fn engine_input(bytes: &mut Bytes<'_>) -> Input {
    match bytes.below(20) {
        0 => Input::EngineLost {
            failure: failure(bytes),
        },
        1 | 2 => Input::EngineReady {
            expires_in_ms: bytes.flag().then(|| u64::from(bytes.u16()) * 8),
        },
        3 => Input::UserSpeechStarted { item: item(bytes) },
        4 => Input::UserSpeechDoubted { item: item(bytes) },
        5 | 6 => Input::UserSpeechStopped { item: item(bytes) },
        7 if bytes.below(8) == 0 => Input::UserTranscriptMissing { item: item(bytes) },
        7 => Input::UserTranscript {
            item: item(bytes),
            text: bytes.text(),
        },
        8 | 9 => Input::ResponseStarted {
            response: response(bytes),
        },
        10 | 11 => Input::AgentAudioStarted {
            item: item(bytes),
            response: response(bytes),
        },
        12 => Input::AgentAudioDone { item: item(bytes) },
        13 => Input::AgentTranscript {
            item: item(bytes),
            text: bytes.text(),
        },
        14 | 15 => Input::ToolCalled {
            id: tool_call(bytes),
            name: bytes
                .pick(&["lookup", "lookup", "send_dtmf", "nonsense", "end_call"])
                .to_owned(),
            arguments: if bytes.flag() {
                bytes.text()
            } else {
                "{}".to_owned()
            },
        },
        16 | 17 => Input::ResponseDone {
            response: response(bytes),
            status: status(bytes),
        },
        18 => Input::HeardJudged {
            heard: bytes.pick(&[Heard::Echo, Heard::Speech, Heard::Noise, Heard::Unclear]),
        },
        _ => Input::ToolFinished {
            id: tool_call(bytes),
            outcome: outcome(bytes),
        },
    }
}

fn item(bytes: &mut Bytes<'_>) -> ItemId {
    let choice = bytes.below(13);
    if choice == 12 {
        return call::LocalSound::Apology.item();
    }
    ItemId::from(format!("i{choice}"))
}

fn response(bytes: &mut Bytes<'_>) -> ResponseId {
    ResponseId::from(format!("r{}", bytes.below(8)))
}

fn tool_call(bytes: &mut Bytes<'_>) -> ToolCallId {
    ToolCallId::from(format!("c{}", bytes.below(30)))
}

fn failure(bytes: &mut Bytes<'_>) -> EngineFailure {
    bytes.pick(&[
        EngineFailure::Refused,
        EngineFailure::RateLimited,
        EngineFailure::Unavailable,
        EngineFailure::Unreachable,
        EngineFailure::Timeout,
        EngineFailure::Closed { code: None },
        EngineFailure::Closed { code: Some(1011) },
        EngineFailure::Rejected,
        EngineFailure::Expired,
    ])
}

fn status(bytes: &mut Bytes<'_>) -> ResponseStatus {
    match bytes.below(5) {
        0 => ResponseStatus::Cancelled,
        1 => ResponseStatus::Failed {
            code: "server_error".to_owned(),
        },
        2 => ResponseStatus::Incomplete,
        _ => ResponseStatus::Completed,
    }
}

fn outcome(bytes: &mut Bytes<'_>) -> ToolOutcome {
    match bytes.below(5) {
        0 => ToolOutcome::TimedOut,
        1 => ToolOutcome::Failed {
            reason: bytes.text(),
        },
        2 => ToolOutcome::Refused {
            reason: bytes.text(),
        },
        _ => ToolOutcome::Ok {
            output: bytes.text(),
        },
    }
}
