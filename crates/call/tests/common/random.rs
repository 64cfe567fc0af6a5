//! Random calls: from a seed come a profile and inputs in any order at any time, then silence. A watcher holds the session to
//! its promises. A seed is a call for ever.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a watcher from outside looks at a few effects"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use call::{
    Answerer, Dictation, Effect, EndReason, EngineFailure, Greeting, Heard, Input, ItemId, LegEnd,
    MachineAction, Parking, PersonInput, Phase, Profile, Recorded, Refusal, Requester, ResponseId,
    ResponseStatus, Seat, SecureDigits, Session, SessionEvent, SessionStart, ToolCallId,
    ToolOutcome, ToolSpec, TransferEnd, TransferMode, TransferTarget,
};

/// Inputs of one call.
const INPUTS: u32 = 150;
/// Effects that one input may set off.
const EFFECTS_MAX: usize = 64;
/// Timers that a silent world may need to end a call.
const TIMERS_MAX: u32 = 20_000;

/// A promise that every call is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    /// A tool call of the model is answered, or runs.
    ToolAnswered,
    /// No tool call runs or is answered twice.
    ToolOnce,
    /// One input sets off a bounded number of effects.
    Bounded,
    /// Nothing comes after the end, and no timer.
    AfterEnd,
    /// A call ends exactly once, by itself where nothing happens any more.
    OneEnd,
    /// The next timer lies ahead.
    TimerAhead,
    /// Secure input is switched to what it is not, and off at the end.
    Secure,
    /// The caller's sound is kept and given back in turn.
    Hold,
    /// The disclosure is not cut.
    Disclosure,
    /// One second leg at a time, each ended once, joined only while it lives.
    Target,
    /// A caller who is parked is with nobody and costs no engine, and the place is given back once.
    Parking,
    /// The ringing is switched to what it is not, and off at the end.
    Ringback,
    /// Answered at most once.
    OneAnswer,
    /// Hung up or refused at most once.
    OneHangUp,
    /// The background sound is switched to what it is not, and off at the end; so is the level of the agent.
    Background,
    /// No response is asked of an engine that is not there.
    EngineThere,
    /// No response is asked for after the hang-up.
    SilentAfterHangUp,
}

impl Promise {
    /// How many there are.
    pub(crate) const ALL: usize = Self::SilentAfterHangUp as usize + 1;
}

/// A promise that a call broke, and how.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    pub(crate) what: String,
}

/// A small generator of our own (SplitMix64), so that a seed is a call for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Follows a session from outside and holds it to its promises.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts that a watcher remembers"
)]
struct Watch {
    broken: Vec<Violation>,
    session: Session,
    base: Instant,
    now_ms: u64,
    engine_ready: bool,
    running: BTreeMap<ToolCallId, String>,
    called: BTreeSet<ToolCallId>,
    answered: BTreeSet<ToolCallId>,
    submitted: Vec<ToolCallId>,
    ended: u32,
    seen: BTreeSet<String>,
    answers: u32,
    hang_ups: u32,
    background: bool,
    ducked: bool,
    secure: bool,
    held: bool,
    /// A second leg lives.
    target: bool,
    /// It is being told something.
    announcing: bool,
    /// It was joined with the caller.
    joined: bool,
    /// It was, and the agent is with the caller again.
    returned: bool,
    /// It was brought together with caller and agent.
    confers: bool,
    /// Its person is to say whether they take the caller, and did.
    asked: bool,
    accepted: bool,
    /// The caller waits in a parking place.
    parked: bool,
    ringback: bool,
    released: bool,
    message: bool,
}

impl Watch {
    fn new(seed: u64, base: Instant, profile: Profile, inbound: bool) -> Self {
        let session = Session::new(
            base,
            profile,
            SessionStart {
                inbound,
                ring_ms: seed.is_multiple_of(2).then_some(20_000),
            },
        );
        let mut watch = Self {
            broken: Vec::new(),
            session,
            base,
            now_ms: 0,
            engine_ready: false,
            running: BTreeMap::new(),
            called: BTreeSet::new(),
            answered: BTreeSet::new(),
            submitted: Vec::new(),
            ended: 0,
            seen: BTreeSet::new(),
            answers: 0,
            hang_ups: 0,
            background: false,
            ducked: false,
            secure: false,
            held: false,
            target: false,
            announcing: false,
            joined: false,
            returned: false,
            confers: false,
            asked: false,
            accepted: false,
            parked: false,
            ringback: false,
            released: false,
            message: false,
        };
        watch.drain();
        watch
    }

    /// Notes a promise that is not `kept`.
    fn hold(&mut self, kept: bool, promise: Promise, what: impl FnOnce() -> String) {
        if !kept {
            let what = what();
            self.broken.push(Violation { promise, what });
        }
    }

    /// Only a second leg that lives says anything, and its end is the last that it says.
    fn can_happen(&mut self, input: &Input) -> bool {
        match input {
            Input::TargetRings | Input::TargetAnswered | Input::TargetPressed { .. } => self.target,
            Input::AnnouncementEnded { .. } => std::mem::take(&mut self.announcing),
            Input::TargetEnded { .. } => std::mem::take(&mut self.target),
            Input::Person(PersonInput::Comes { .. }) => {
                let comes = !self.target && self.ended == 0;
                if comes {
                    self.second_leg(false);
                }
                comes
            }
            _ => true,
        }
    }

    fn hand_in(&mut self, input: Input) {
        if !self.can_happen(&input) {
            return;
        }
        self.accepted |= self.target && matches!(input, Input::TargetPressed { digit: '1' });
        let called = if let Input::ToolCalled { id, name, .. } = &input {
            Some((id.clone(), name.clone()))
        } else {
            None
        };
        let takes_tools = match self.session.phase() {
            Phase::Ringing
            | Phase::Dialing
            | Phase::Answering
            | Phase::Talking
            | Phase::Transferring
            | Phase::Goodbye => self.engine_ready,
            Phase::Joined
            | Phase::Parked
            | Phase::Apologising
            | Phase::HangingUp
            | Phase::Ended => false,
        };
        self.session
            .handle(self.base + Duration::from_millis(self.now_ms), input);
        self.drain();
        if let Some((id, name)) = called.filter(|_| takes_tools) {
            let met = self.answered.contains(&id)
                || self.running.contains_key(&id)
                || self.called.contains(&id)
                // It waits for what the caller types, or for the same tool that runs already.
                || self.secure
                || self.running.values().any(|running| *running == name);
            self.hold(met || self.ended > 0, Promise::ToolAnswered, || {
                format!("tool call {id} is not answered")
            });
            self.called.insert(id);
        }
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(effect) = self.session.poll_effect() {
            count += 1;
            self.hold(count != EFFECTS_MAX + 1, Promise::Bounded, || {
                "too many effects".to_owned()
            });
            let promise = if matches!(effect, Effect::Ended { .. }) {
                Promise::OneEnd
            } else {
                Promise::AfterEnd
            };
            self.hold(self.ended == 0, promise, || {
                format!("after the end: {effect:?}")
            });
            self.take(effect);
        }
        if let Some(timeout) = self.session.poll_timeout() {
            let due_ms = (timeout - self.base).as_millis();
            let is_ahead = due_ms > u128::from(self.now_ms);
            self.hold(is_ahead, Promise::TimerAhead, || {
                "a timer in the past".to_owned()
            });
            self.hold(self.ended == 0, Promise::AfterEnd, || {
                "a timer after the end".to_owned()
            });
        }
    }

    /// What the caller says and types is hidden, or kept for later.
    fn take_privacy(&mut self, effect: &Effect) {
        match effect {
            Effect::SecureInput { on } => {
                self.hold(self.secure != *on, Promise::Secure, || {
                    "secure input is what it is".to_owned()
                });
                self.secure = *on;
            }
            Effect::HoldCaller { held, .. } => {
                self.hold(self.held != *held, Promise::Hold, || {
                    "the caller is held as it is".to_owned()
                });
                self.held = *held;
            }
            // What was never released was heard by nobody; and a message for a machine is no disclosure.
            _ => self.hold(
                !self.held || self.hang_ups > 0 || !self.released || self.message,
                Promise::Disclosure,
                || "the disclosure was cut".to_owned(),
            ),
        }
    }

    /// Another second leg lives from here on.
    fn second_leg(&mut self, asked: bool) {
        self.target = true;
        self.announcing = false;
        self.joined = false;
        self.confers = false;
        self.asked = asked;
        self.accepted = false;
    }

    /// One second leg at a time, and each ended once.
    fn take_target(&mut self, effect: &Effect) {
        let (is_on, joined, confers) = (self.target, self.joined, self.confers);
        let mut hold = |fine: bool, what: &str| {
            self.hold(fine, Promise::Target, || what.to_owned());
        };
        match effect {
            Effect::CallTarget { target } => {
                hold(!is_on, "two second legs");
                self.second_leg(target.screen_ms.is_some());
            }
            Effect::Announce { .. } => {
                hold(is_on, "told to nobody");
                hold(!joined, "the caller would hear what the other is told");
                self.announcing = true;
            }
            Effect::DropTarget { .. } => {
                hold(is_on, "no second leg to end");
                self.target = false;
                self.announcing = false;
            }
            Effect::Ringback { on } => {
                self.hold(self.ringback != *on, Promise::Ringback, || {
                    "it rings as it does".to_owned()
                });
                self.ringback = *on;
            }
            _ => {
                hold(is_on, "joined with nobody");
                hold(!joined, "joined twice");
                let again = confers && matches!(effect, Effect::Confer);
                hold(!again, "brought together twice");
                let screened = self.asked && !self.accepted;
                self.hold(!screened, Promise::Target, || {
                    "joined with somebody who was asked and did not accept".to_owned()
                });
                self.joined = matches!(effect, Effect::Join);
                if self.joined && self.confers {
                    self.seen.insert("joined after a conference".to_owned());
                }
                if self.returned && matches!(effect, Effect::Confer) {
                    self.seen.insert("a conference after a join".to_owned());
                }
                self.returned = false;
                self.confers = matches!(effect, Effect::Confer);
                self.announcing = false;
            }
        }
    }

    /// The place is taken while the caller is with nobody, and given back once.
    fn take_parking(&mut self, effect: &Effect) {
        let parks = matches!(effect, Effect::Park { .. });
        self.hold(self.parked != parks, Promise::Parking, || {
            "the place is taken or free as it was".to_owned()
        });
        self.hold(!(parks && self.target), Promise::Parking, || {
            "parked while somebody is there".to_owned()
        });
        self.hold(!(parks && self.engine_ready), Promise::Parking, || {
            "parked with the agent there".to_owned()
        });
        self.parked = parks;
        self.joined = false;
        self.confers = false;
    }

    fn take(&mut self, effect: Effect) {
        let with_somebody = matches!(
            effect,
            Effect::Join
                | Effect::Confer
                | Effect::ConnectEngine { .. }
                | Effect::CreateResponse { .. }
                | Effect::HangUp { .. }
        );
        self.hold(!(self.parked && with_somebody), Promise::Parking, || {
            format!("{effect:?} while the caller is parked")
        });
        let shown = format!("{effect:?}");
        let name = shown.split([' ', '(']).next().unwrap_or_default();
        self.seen.insert(name.to_owned());
        match effect {
            Effect::Ended { reason } => {
                self.ended += 1;
                self.seen.insert(reason.code().to_owned());
            }
            Effect::Answer => {
                self.answers += 1;
                self.hold(self.answers == 1, Promise::OneAnswer, || {
                    "answered twice".to_owned()
                });
            }
            Effect::HangUp { .. } | Effect::RejectCall { .. } => {
                self.hang_ups += 1;
                let once = self.hang_ups == 1;
                self.hold(once, Promise::OneHangUp, || "hung up twice".to_owned());
            }
            Effect::RunTool { .. } | Effect::SubmitToolOutput { .. } => self.take_tool(effect),
            Effect::SecureInput { .. } | Effect::HoldCaller { .. } | Effect::ClearPlayout => {
                self.take_privacy(&effect);
            }
            Effect::CallTarget { .. }
            | Effect::Announce { .. }
            | Effect::DropTarget { .. }
            | Effect::Ringback { .. }
            | Effect::HandOver
            | Effect::Confer
            | Effect::Join => self.take_target(&effect),
            Effect::Park { .. } | Effect::Unpark => self.take_parking(&effect),
            Effect::Background { on } => {
                self.hold(self.background != on, Promise::Background, || {
                    "the background is switched to what it is".to_owned()
                });
                self.background = on;
            }
            Effect::Duck { on } => {
                self.hold(self.ducked != on, Promise::Background, || {
                    "the agent is as quiet as it is".to_owned()
                });
                self.ducked = on;
            }
            Effect::Patience { .. } | Effect::CreateResponse { .. } => {
                self.hold(self.engine_ready, Promise::EngineThere, || {
                    "a wish to an engine that is not there".to_owned()
                });
                self.hold(self.hang_ups == 0, Promise::SilentAfterHangUp, || {
                    "a response after the hang-up".to_owned()
                });
            }
            Effect::ConnectEngine { .. } | Effect::CloseEngine | Effect::RotateEngine => {
                self.engine_ready = false
            }
            Effect::ReleasePlayout => self.released = true,
            Effect::Journal(event) => self.see(event),
            _ => {}
        }
    }

    fn see(&mut self, event: SessionEvent) {
        let seen = match event {
            SessionEvent::GoodbyeStarted {
                reason: EndReason::MessageLeft,
            } => {
                self.message = true;
                return;
            }
            SessionEvent::EngineReady { .. } => {
                self.engine_ready = true;
                return;
            }
            SessionEvent::EngineLost { .. } => {
                self.engine_ready = false;
                return;
            }
            // The outcome of a tool that an older engine session asked for travels as a message.
            SessionEvent::ToolFinished { id, .. } => {
                self.running.remove(&id);
                self.answered.insert(id);
                return;
            }
            SessionEvent::Returned => {
                self.returned = self.joined;
                self.joined = false;
                "returned".to_owned()
            }
            SessionEvent::PersonCame { .. } => "person_came".to_owned(),
            SessionEvent::AgentLeft => "agent_left".to_owned(),
            SessionEvent::Retrieved { .. } => "retrieved".to_owned(),
            SessionEvent::ParkingEnded { timed_out, .. } => {
                format!("parking ended, {timed_out}")
            }
            SessionEvent::TargetScreened { outcome } => format!("screened {}", outcome.label()),
            _ => return,
        };
        self.seen.insert(seen);
    }

    fn take_tool(&mut self, effect: Effect) {
        match effect {
            Effect::RunTool { id, name, .. } => {
                let is_new = self.running.insert(id.clone(), name).is_none();
                self.hold(is_new, Promise::ToolOnce, || format!("{id} runs twice"));
                // Calls over the limit are refused without being remembered.
                let again =
                    self.answered.contains(&id) && self.called.len() < call::limits::TOOL_CALLS_MAX;
                self.hold(!again, Promise::ToolOnce, || {
                    format!("{id} runs after its answer")
                });
            }
            Effect::SubmitToolOutput { id, .. } => {
                self.running.remove(&id);
                let twice = self.submitted.contains(&id)
                    && self.answered.len() <= call::limits::TOOL_CALLS_MAX;
                self.hold(!twice, Promise::ToolOnce, || format!("{id} answered twice"));
                self.submitted.push(id.clone());
                self.answered.insert(id);
            }
            _ => {}
        }
    }

    /// Lets time pass and nothing else happen.
    fn wait(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        for _ in 0..TIMERS_MAX {
            if !self.broken.is_empty() {
                break;
            }
            let Some(timeout) = self.session.poll_timeout() else {
                break;
            };
            let due_ms = u64::try_from((timeout - self.base).as_millis()).expect("a call is short");
            if due_ms > until {
                break;
            }
            self.now_ms = due_ms;
            self.hand_in(Input::Timeout);
        }
        self.now_ms = self.now_ms.max(until);
    }
}

fn profile(dice: &mut Dice) -> Profile {
    let mut profile = Profile {
        max_duration_ms: 60_000,
        ..Profile::default()
    };
    let mut lookup = ToolSpec::external("lookup", "", "{}");
    lookup.skip_response = dice.below(4) == 0;
    lookup.mute_caller = dice.below(4) == 0;
    lookup.hang_up_after = dice.below(6) == 0;
    if dice.below(4) == 0 {
        lookup.secure = Some(SecureDigits {
            digits_max: 4,
            wait_ms: 5_000,
        });
    }
    profile.tools.push(lookup);
    if dice.below(3) == 0 {
        profile.dictation = Dictation {
            patience_ms: 1_200,
            cues: vec!["bonjour".to_owned()],
            keypad_hint: "Keys serve as well.".to_owned(),
        };
    }
    if dice.below(3) == 0 {
        profile.disclosure = Some("Say that you are a machine.".to_owned());
    }
    if dice.below(3) == 0 {
        let recorded = |text: &str| {
            Some(Recorded {
                text: text.to_owned(),
                audio_ms: 1_500,
            })
        };
        profile.recorded.disclosure = recorded("I am a machine.").filter(|_| dice.below(3) > 0);
        profile.recorded.greeting = recorded("Welcome to the house.").filter(|_| dice.below(3) > 0);
    }
    if dice.below(20) == 0 {
        profile.transfer_at_once = Some(desk());
    } else if dice.below(20) == 0 {
        profile.refusal = Some(Refusal {
            reason: EndReason::Closed,
            instructions: "closed".to_owned(),
        });
    }
    profile.answering = match dice.below(6) {
        0 => Some(MachineAction::HangUp),
        1 => Some(MachineAction::LeaveMessage {
            instructions: "leave word".to_owned(),
        }),
        2 => Some(MachineAction::CarryOn),
        _ => None,
    };
    if dice.below(4) == 0 {
        profile.greeting = Greeting::None;
    }
    if dice.below(4) == 0 {
        profile.ring_ms_fixed = Some(3_000);
    }
    if dice.below(8) == 0 {
        profile.goodbye.hang_up_delay_ms = 0;
        profile.dead_air_ms = 0;
        profile.answer_bound_ms = 0;
    }
    profile
}

fn input(dice: &mut Dice) -> Input {
    match dice.below(6) {
        0 => leg_input(dice),
        1 => playout_input(dice),
        _ => engine_input(dice),
    }
}

fn leg_input(dice: &mut Dice) -> Input {
    let yes = dice.below(2) == 0;
    match dice.below(84) {
        0 => Input::HangUpRequested {
            by: if yes {
                Requester::Operator
            } else {
                Requester::Shutdown
            },
        },
        1 => Input::LegEnded {
            cause: if yes {
                LegEnd::RemoteHangUp
            } else {
                LegEnd::Cancelled
            },
        },
        2..=6 => Input::Dtmf {
            digit: if yes { '5' } else { '#' },
        },
        52..=53 => Input::UserText {
            text: "oui".to_owned(),
        },
        7..=8 => Input::MediaLost {
            ms: dice.below(15_000),
        },
        9..=11 => Input::MediaResumed,
        12..=16 => Input::HoldChanged { held: yes },
        17..=19 => {
            let length = usize::try_from(dice.below(20_000)).expect("small");
            Input::Instruct {
                text: "x".repeat(length),
            }
        }
        20..=29 => Input::LegAnswered,
        30..=35 => Input::AnsweredBy {
            who: [
                Answerer::Human,
                Answerer::Machine,
                Answerer::MachineBeep,
                Answerer::Unknown,
            ][usize::try_from(dice.below(4)).expect("small")],
        },
        36..=37 => Input::MachineWaits,
        roll @ (40..=44 | 54..=73) => transfer_input(dice, roll, yes),
        74..=75 => Input::Person(PersonInput::Comes {
            name: "Marie".to_owned(),
            seat: seat(yes),
        }),
        76..=77 => Input::Person(PersonInput::Moves { seat: seat(yes) }),
        79 => Input::Person(PersonInput::CalledOff),
        80..=83 => Input::Person(PersonInput::Parks(Parking {
            place: 7,
            by: "Marie".to_owned(),
            note: "x".repeat(usize::from(yes) * 20_000),
            within_ms: u32::try_from(dice.below(30_000)).expect("small"),
        })),
        78 => Input::Person(PersonInput::HandsBack {
            note: "x".repeat(usize::from(yes) * 20_000),
            stay: dice.below(2) == 0,
        }),
        45 => Input::SendDtmf {
            digits: "12#".to_owned(),
        },
        46..=48 => Input::SecureInput { on: yes },
        49 if yes => Input::BudgetSpent,
        _ => Input::Timeout,
    }
}

fn seat(beside: bool) -> Seat {
    if beside { Seat::Beside } else { Seat::Instead }
}

fn transfer_input(dice: &mut Dice, roll: u64, yes: bool) -> Input {
    match roll {
        40 => Input::TransferRequested { target: desk() },
        54 => Input::TransferRequested {
            target: TransferTarget {
                mode: TransferMode::Bridge,
                ..desk()
            },
        },
        61..=63 => Input::TransferRequested {
            target: TransferTarget {
                mode: match dice.below(3) {
                    0 => TransferMode::Bridge,
                    1 => TransferMode::Conference,
                    _ => TransferMode::Attended,
                },
                announces: yes,
                screen_ms: (dice.below(3) > 0).then_some(15_000),
                returns: dice.below(2) == 0,
                ..desk()
            },
        },
        64..=65 => Input::AnnouncementEnded { heard: yes },
        66..=68 => Input::TargetPressed {
            digit: if yes { '1' } else { '2' },
        },
        69..=73 => Input::TargetEnded {
            reason: "hung up".to_owned(),
        },
        55 | 58..=59 => Input::TargetRings,
        56 | 60 => Input::TargetAnswered,
        57 if yes => Input::TargetEnded {
            reason: "busy".to_owned(),
        },
        41 => Input::TransferAccepted,
        42..=44 => Input::TransferFinished {
            end: if yes {
                TransferEnd::Done
            } else if dice.below(2) == 0 {
                TransferEnd::Declined {
                    reason: "refused".to_owned(),
                }
            } else {
                TransferEnd::Failed {
                    reason: "busy".to_owned(),
                }
            },
        },
        _ => Input::Timeout,
    }
}

fn desk() -> TransferTarget {
    TransferTarget::new("desk", "+33491000000")
}

fn playout_input(dice: &mut Dice) -> Input {
    let item = ItemId::from(format!("i{}", dice.below(12)));
    let played_ms = u32::try_from(dice.below(5_000)).expect("small");
    let yes = dice.below(2) == 0;
    match dice.below(7) {
        0 => Input::PlayoutStarted { item },
        6 => Input::PlayoutStarved { item },
        1 | 2 => Input::PlayoutFinished { item, played_ms },
        3 => Input::PlayoutCleared {
            item: yes.then_some(item),
            played_ms,
            finished: dice.below(2) == 0,
        },
        _ => Input::PlayoutDrained,
    }
}

fn engine_input(dice: &mut Dice) -> Input {
    let item = ItemId::from(format!("i{}", dice.below(12)));
    let response = ResponseId::from(format!("r{}", dice.below(8)));
    let id = ToolCallId::from(format!("c{}", dice.below(30)));
    let yes = dice.below(2) == 0;
    match dice.below(40) {
        0 => Input::EngineLost {
            failure: failure(dice),
        },
        1..=5 => Input::EngineReady {
            expires_in_ms: yes.then(|| dice.below(300_000)),
        },
        6..=8 => Input::UserSpeechStarted { item },
        9 => Input::UserSpeechDoubted { item },
        10..=13 => Input::UserSpeechStopped { item },
        14 if yes => Input::UserTranscriptMissing { item },
        14..=15 => Input::UserTranscript {
            item,
            text: if yes { String::new() } else { "oui".to_owned() },
        },
        16..=20 => Input::ResponseStarted { response },
        21..=25 => Input::AgentAudioStarted { item, response },
        26..=28 => Input::AgentAudioDone { item },
        29 => Input::AgentTranscript {
            item,
            text: if yes { "bonjour" } else { "voilà" }.to_owned(),
        },
        30..=32 => Input::ToolCalled {
            id,
            name: tool(dice).to_owned(),
            arguments: arguments(dice).to_owned(),
        },
        33..=36 => Input::ResponseDone {
            response,
            status: status(dice),
        },
        39 => Input::HeardJudged {
            heard: match dice.below(4) {
                0 => Heard::Echo,
                1 => Heard::Noise,
                2 => Heard::Unclear,
                _ => Heard::Speech,
            },
        },
        _ => Input::ToolFinished {
            id,
            outcome: outcome(dice),
        },
    }
}

fn tool(dice: &mut Dice) -> &'static str {
    [
        "lookup",
        "lookup",
        "lookup",
        "send_dtmf",
        "nonsense",
        "end_call",
    ][usize::try_from(dice.below(6)).expect("small")]
}

fn arguments(dice: &mut Dice) -> &'static str {
    ["{}", r#"{"digits":"1"}"#, "{", ""][usize::try_from(dice.below(4)).expect("small")]
}

fn failure(dice: &mut Dice) -> EngineFailure {
    match dice.below(8) {
        0 => EngineFailure::Refused,
        1 => EngineFailure::Expired,
        2 => EngineFailure::Timeout,
        _ => EngineFailure::Closed { code: None },
    }
}

fn status(dice: &mut Dice) -> ResponseStatus {
    match dice.below(6) {
        0 => ResponseStatus::Cancelled,
        1 => ResponseStatus::Failed {
            code: "server_error".to_owned(),
        },
        2 => ResponseStatus::Incomplete,
        _ => ResponseStatus::Completed,
    }
}

fn outcome(dice: &mut Dice) -> ToolOutcome {
    match dice.below(6) {
        0 => ToolOutcome::TimedOut,
        2 if dice.below(3) == 0 => ToolOutcome::HangUp {
            output: "{}".to_owned(),
        },
        3 if dice.below(3) == 0 => ToolOutcome::Transfer {
            output: "{}".to_owned(),
            target: desk(),
        },
        1 => ToolOutcome::Failed {
            reason: "\"no\"".to_owned(),
        },
        _ => ToolOutcome::Ok {
            output: "{}".to_owned(),
        },
    }
}

/// One call: random inputs, then silence, in which the call must end by itself. What it reached, or what it broke.
pub(crate) fn one_call(seed: u64, base: Instant) -> Result<BTreeSet<String>, Vec<Violation>> {
    let mut dice = Dice(seed);
    let profile = profile(&mut dice);
    let mut watch = Watch::new(seed, base, profile, dice.below(5) != 0);
    watch.lead(&mut dice);
    watch.check_end();
    if watch.broken.is_empty() {
        Ok(watch.seen)
    } else {
        Err(watch.broken)
    }
}

impl Watch {
    /// Everything that happens in the call, up to the first promise that is broken.
    fn lead(&mut self, dice: &mut Dice) {
        if dice.below(4) != 0 {
            // Most calls get as far as a conversation.
            self.hand_in(Input::EngineReady {
                expires_in_ms: None,
            });
            self.wait(3_000);
            self.hand_in(Input::LegAnswered);
        }
        for _ in 0..INPUTS {
            let ms = if dice.below(8) == 0 {
                dice.below(8_000)
            } else {
                dice.below(300)
            };
            self.wait(ms);
            let input = input(dice);
            self.hand_in(input);
            if !self.broken.is_empty() {
                return;
            }
        }
        self.hand_in(Input::HoldChanged { held: false });
        self.wait(10_000);
        self.hand_in(Input::LegAnswered);
        self.wait(600_000);
        if self.session.phase() == Phase::Dialing {
            self.hand_in(Input::LegEnded {
                cause: LegEnd::Failed,
            });
        }
    }

    /// The call is over, and nothing goes on.
    fn check_end(&mut self) {
        if !self.broken.is_empty() {
            return;
        }
        if self.ended != 1 {
            let what = format!("the call does not end: {:?}", self.session);
            self.hold(false, Promise::OneEnd, || what);
        }
        let left = [
            (self.background, Promise::Background, "the background sound"),
            (self.secure, Promise::Secure, "secure input"),
            (self.target, Promise::Target, "a second leg"),
            (self.parked, Promise::Parking, "a parking place"),
            (self.ringback, Promise::Ringback, "the ringing"),
        ];
        for (is_on, promise, what) in left {
            self.hold(!is_on, promise, || format!("{what} survives the call"));
        }
        let is_idle = self.session.poll_timeout().is_none();
        self.hold(is_idle, Promise::AfterEnd, || {
            "a timer after the end".to_owned()
        });
        self.hand_in(Input::LegEnded {
            cause: LegEnd::RemoteHangUp,
        });
        self.hold(self.ended == 1, Promise::OneEnd, || {
            "ended twice".to_owned()
        });
    }
}
