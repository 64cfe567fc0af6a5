//! The language of call scripts: one line, one input or one expectation.

use call::{
    Answerer, EndReason, EngineFailure, Filler, Greeting, Input, ItemId, LegEnd, MachineAction,
    Parking, PersonInput, Profile, Recorded, Refusal, Requester, ResponseId, ResponseStatus, Seat,
    SecureDigits, ToolCallId, ToolOutcome, ToolSpec, TransferEnd, TransferMode, TransferTarget,
};

/// One line of a script.
#[derive(Debug)]
pub(crate) enum Line {
    /// `profile key=value …`
    Profile(String),
    /// `start inbound|outbound`, or `start outbound ring_ms=20000`
    Start { inbound: bool, ring_ms: Option<u32> },
    /// `t=120ms` or `+120ms`, with or without an input.
    At { at: At, input: Option<Input> },
    /// `expect …`
    Expect(String),
    /// `expect nothing`
    ExpectNothing,
    /// `include name`
    Include(String),
}

/// A point in time: since the start, or since the line before.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Since(u64),
    After(u64),
}

/// Parses one line; `None` for an empty line or a comment.
pub(crate) fn line(text: &str) -> Result<Option<Line>, String> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let (word, rest) = split(text);
    Ok(Some(match word {
        "profile" => Line::Profile(rest.to_owned()),
        "start" => Line::Start {
            inbound: rest == "inbound",
            ring_ms: rest
                .split_once("ring_ms=")
                .map(|(_, ms)| ms.parse().map_err(|_| format!("ring_ms: {rest}")))
                .transpose()?,
        },
        "include" => Line::Include(rest.to_owned()),
        "expect" if rest == "nothing" => Line::ExpectNothing,
        "expect" => Line::Expect(rest.to_owned()),
        _ => {
            let at = if let Some(since) = word.strip_prefix("t=") {
                At::Since(ms(since)?)
            } else if let Some(after) = word.strip_prefix('+') {
                At::After(ms(after)?)
            } else {
                return Err(format!("unknown line: {text}"));
            };
            let input = if rest.is_empty() {
                None
            } else {
                Some(input(rest)?)
            };
            Line::At { at, input }
        }
    }))
}

fn split(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (text, ""),
    }
}

fn ms(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("ms").unwrap_or(text);
    let (number, factor) = match number.strip_suffix('s') {
        Some(seconds) => (seconds, 1_000),
        None => (number, 1),
    };
    number
        .parse::<u64>()
        .map(|value| value * factor)
        .map_err(|_| format!("not a time: {text}"))
}

fn input(text: &str) -> Result<Input, String> {
    let (source, rest) = split(text);
    let (verb, rest) = split(rest);
    let (first, second) = split(rest);
    match source {
        "leg" => leg(verb, rest),
        "heard" => Ok(Input::HeardJudged {
            heard: match verb {
                "speech" => call::Heard::Speech,
                "echo" => call::Heard::Echo,
                "noise" => call::Heard::Noise,
                "unclear" => call::Heard::Unclear,
                _ => return Err(format!("whose voice: {verb}")),
            },
        }),
        "engine" => engine(verb, first, second),
        "playout" => playout(verb, first, second),
        "tool" => Ok(Input::ToolFinished {
            id: ToolCallId::from(first),
            outcome: outcome(second)?,
        }),
        "operator" => Ok(Input::HangUpRequested {
            by: Requester::Operator,
        }),
        "shutdown" => Ok(Input::HangUpRequested {
            by: Requester::Shutdown,
        }),
        "send_dtmf" => Ok(Input::SendDtmf {
            digits: verb.to_owned(),
        }),
        "secure" => Ok(Input::SecureInput { on: verb == "on" }),
        "budget_spent" => Ok(Input::BudgetSpent),
        "transfer" => transfer(verb, rest),
        "target" => second_leg(verb, rest),
        "person" => person(verb, rest),
        "write" => Ok(Input::UserText {
            text: split(text).1.to_owned(),
        }),
        "instruct" => Ok(Input::Instruct {
            text: split(text).1.to_owned(),
        }),
        _ => Err(format!("unknown input: {text}")),
    }
}

/// `transfer to desk +33123`, `transfer bridge desk +33123` (or another mode), `transfer accepted`, `transfer done`, `transfer failed busy`,
/// `transfer declined refused`; behind the address `announce`, `screen=15000` and `returns`
fn transfer(verb: &str, rest: &str) -> Result<Input, String> {
    Ok(match verb {
        "to" => Input::TransferRequested {
            target: target(rest),
        },
        "refer" | "bridge" | "attended" | "conference" => Input::TransferRequested {
            target: TransferTarget {
                mode: match verb {
                    "bridge" => TransferMode::Bridge,
                    "attended" => TransferMode::Attended,
                    "conference" => TransferMode::Conference,
                    _ => TransferMode::Refer,
                },
                ..target(rest)
            },
        },
        "declined" => Input::TransferFinished {
            end: TransferEnd::Declined {
                reason: rest.to_owned(),
            },
        },
        "accepted" => Input::TransferAccepted,
        "done" => Input::TransferFinished {
            end: TransferEnd::Done,
        },
        "failed" => Input::TransferFinished {
            end: TransferEnd::Failed {
                reason: rest.to_owned(),
            },
        },
        _ => return Err(format!("unknown transfer input: {verb}")),
    })
}

fn target(text: &str) -> TransferTarget {
    let (name, rest) = split(text);
    let (address, flags) = split(rest);
    let mut target = TransferTarget::new(name, address);
    for flag in flags.split_whitespace() {
        if let Some(ms) = flag.strip_prefix("screen=") {
            target.screen_ms = Some(ms.parse().expect("milliseconds"));
        }
        target.announces |= flag == "announce";
        target.returns |= flag == "returns";
    }
    target
}

/// `target rings`, `target answered`, `target announced heard`, `target announced not`, `target pressed 1`, `target ended busy`
fn second_leg(verb: &str, rest: &str) -> Result<Input, String> {
    Ok(match verb {
        "rings" => Input::TargetRings,
        "answered" => Input::TargetAnswered,
        "announced" => Input::AnnouncementEnded {
            heard: rest == "heard",
        },
        "pressed" => Input::TargetPressed {
            digit: rest.chars().next().ok_or("no key")?,
        },
        "ended" => Input::TargetEnded {
            reason: rest.to_owned(),
        },
        _ => return Err(format!("unknown input of the target: {verb}")),
    })
}

/// `person comes beside Marie`, `person comes instead Marie`, `person moves beside`, `person moves instead`, `person hands_back what for`,
/// `person has_agent_back what for`, `person called_off`, `person parks 3 120000 Marie | what for`
fn person(verb: &str, rest: &str) -> Result<Input, String> {
    let (first, second) = split(rest);
    let seat = || match first {
        "beside" => Ok(Seat::Beside),
        "instead" => Ok(Seat::Instead),
        _ => Err(format!("unknown place of a person: {first}")),
    };
    Ok(match verb {
        "comes" => Input::Person(PersonInput::Comes {
            name: second.to_owned(),
            seat: seat()?,
        }),
        "moves" => Input::Person(PersonInput::Moves { seat: seat()? }),
        "parks" => Input::Person(PersonInput::Parks(parking(first, second)?)),
        "called_off" => Input::Person(PersonInput::CalledOff),
        "hands_back" | "has_agent_back" => Input::Person(PersonInput::HandsBack {
            note: rest.to_owned(),
            stay: verb == "has_agent_back",
        }),
        _ => return Err(format!("unknown input of a person: {verb}")),
    })
}

/// The place, and behind it how long the caller waits there, who parks, and what the agent is to know.
fn parking(place: &str, rest: &str) -> Result<Parking, String> {
    let (within, rest) = split(rest);
    let (by, note) = rest.split_once(" | ").unwrap_or((rest, ""));
    Ok(Parking {
        place: place.parse().map_err(|_| "not a place".to_owned())?,
        by: by.to_owned(),
        note: note.to_owned(),
        within_ms: within.parse().map_err(|_| "not a time".to_owned())?,
    })
}

fn leg(verb: &str, rest: &str) -> Result<Input, String> {
    Ok(match verb {
        "answered" => Input::LegAnswered,
        "answered_by" => Input::AnsweredBy {
            who: match rest {
                "human" => Answerer::Human,
                "machine" => Answerer::Machine,
                "machine_beep" => Answerer::MachineBeep,
                "unknown" => Answerer::Unknown,
                _ => return Err(format!("unknown answerer: {rest}")),
            },
        },
        "machine_waits" => Input::MachineWaits,
        "ended" => Input::LegEnded {
            cause: match rest {
                "remote_hang_up" => LegEnd::RemoteHangUp,
                "cancelled" => LegEnd::Cancelled,
                "lost" => LegEnd::Lost,
                "session_expired" => LegEnd::SessionExpired,
                "ack_missing" => LegEnd::AckMissing,
                "transport_lost" => LegEnd::TransportLost,
                "failed" => LegEnd::Failed,
                _ => return Err(format!("unknown leg end: {rest}")),
            },
        },
        "dtmf" => Input::Dtmf {
            digit: rest.chars().next().ok_or("no digit")?,
        },
        "hold" => Input::HoldChanged { held: rest == "on" },
        "media_lost" => Input::MediaLost { ms: ms(rest)? },
        "media_resumed" => Input::MediaResumed,
        _ => return Err(format!("unknown leg input: {verb}")),
    })
}

fn engine(verb: &str, first: &str, second: &str) -> Result<Input, String> {
    let item = || ItemId::from(first);
    let response = || ResponseId::from(first);
    Ok(match verb {
        "ready" => Input::EngineReady {
            expires_in_ms: first.strip_prefix("expires=").map(ms).transpose()?,
        },
        "lost" => Input::EngineLost {
            failure: failure(first)?,
        },
        "speech_started" => Input::UserSpeechStarted { item: item() },
        "speech_doubted" => Input::UserSpeechDoubted { item: item() },
        "speech_stopped" => Input::UserSpeechStopped { item: item() },
        "user_transcript_missing" => Input::UserTranscriptMissing { item: item() },
        "user_transcript" => Input::UserTranscript {
            item: item(),
            text: second.to_owned(),
        },
        "response_started" => Input::ResponseStarted {
            response: response(),
        },
        "audio_started" => Input::AgentAudioStarted {
            item: item(),
            response: ResponseId::from(second),
        },
        "audio_done" => Input::AgentAudioDone { item: item() },
        "agent_transcript" => Input::AgentTranscript {
            item: item(),
            text: second.to_owned(),
        },
        "tool_called" => {
            let (name, arguments) = split(second);
            Input::ToolCalled {
                id: ToolCallId::from(first),
                name: name.to_owned(),
                arguments: arguments.to_owned(),
            }
        }
        "response_done" => Input::ResponseDone {
            response: response(),
            status: match second {
                "" | "completed" => ResponseStatus::Completed,
                "cancelled" => ResponseStatus::Cancelled,
                "incomplete" => ResponseStatus::Incomplete,
                code => ResponseStatus::Failed {
                    code: code.to_owned(),
                },
            },
        },
        _ => return Err(format!("unknown engine input: {verb}")),
    })
}

fn failure(text: &str) -> Result<EngineFailure, String> {
    Ok(match text {
        "refused" => EngineFailure::Refused,
        "rate_limited" => EngineFailure::RateLimited,
        "unavailable" => EngineFailure::Unavailable,
        "unreachable" => EngineFailure::Unreachable,
        "timeout" => EngineFailure::Timeout,
        "closed" => EngineFailure::Closed { code: Some(1006) },
        "rejected" => EngineFailure::Rejected,
        "expired" => EngineFailure::Expired,
        _ => return Err(format!("unknown failure: {text}")),
    })
}

fn playout(verb: &str, first: &str, second: &str) -> Result<Input, String> {
    let number = |text: &str| {
        text.parse::<u32>()
            .map_err(|_| format!("not a number: {text}"))
    };
    Ok(match verb {
        "started" => Input::PlayoutStarted {
            item: ItemId::from(first),
        },
        "starved" => Input::PlayoutStarved {
            item: ItemId::from(first),
        },
        "finished" => Input::PlayoutFinished {
            item: ItemId::from(first),
            played_ms: number(second)?,
        },
        "cleared" if first == "none" => Input::PlayoutCleared {
            item: None,
            played_ms: 0,
            finished: false,
        },
        "cleared" => {
            let (played, rest) = split(second);
            Input::PlayoutCleared {
                item: Some(ItemId::from(first)),
                played_ms: number(played)?,
                finished: rest == "finished",
            }
        }
        "drained" => Input::PlayoutDrained,
        _ => return Err(format!("unknown playout input: {verb}")),
    })
}

fn outcome(text: &str) -> Result<ToolOutcome, String> {
    let (label, rest) = split(text);
    Ok(match label {
        "ok" => ToolOutcome::Ok {
            output: rest.to_owned(),
        },
        "hang_up" => ToolOutcome::HangUp {
            output: rest.to_owned(),
        },
        "transfer" => ToolOutcome::Transfer {
            output: "{}".to_owned(),
            target: target(rest),
        },
        "refused" => ToolOutcome::Refused {
            reason: rest.to_owned(),
        },
        "failed" => ToolOutcome::Failed {
            reason: rest.to_owned(),
        },
        "timed_out" => ToolOutcome::TimedOut,
        _ => return Err(format!("unknown outcome: {text}")),
    })
}

fn dictation(patience_ms: u32) -> call::Dictation {
    call::Dictation {
        patience_ms,
        cues: vec!["votre numéro".to_owned(), "code postal".to_owned()],
        keypad_hint: "keypad".to_owned(),
    }
}

/// Changes a profile as `key=value …` says. A tool is `tool=name[:flag…]`.
pub(crate) fn configure(profile: &mut Profile, text: &str) -> Result<(), String> {
    for pair in text.split_whitespace() {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("not key=value: {pair}"))?;
        let number = || {
            value
                .parse::<u32>()
                .map_err(|_| format!("not a number: {pair}"))
        };
        let small = || {
            value
                .parse::<u8>()
                .map_err(|_| format!("not a number: {pair}"))
        };
        match key {
            "greeting" if value == "none" => profile.greeting = Greeting::None,
            "ring_fixed" => profile.ring_ms_fixed = Some(number()?),
            "answer_bound" => profile.answer_bound_ms = number()?,
            "max_duration" => profile.max_duration_ms = number()?,
            "warning" => profile.max_duration_warning_ms = number()?,
            "idle_reprompt" => profile.idle_reprompt_ms = number()?,
            "idle_reprompts_max" => profile.idle_reprompts_max = small()?,
            "dead_air" => profile.dead_air_ms = number()?,
            "no_media" => profile.no_media_ms = number()?,
            "dictation" => profile.dictation = dictation(number()?),
            "echo_decision" => profile.echo_decision_ms = number()?,
            "tool_filler" => profile.tool_filler_ms = number()?,
            "reconnect" => profile.engine.reconnect_ms_max = number()?,
            "attempts" => profile.engine.attempts_max = small()?,
            "rotate_before" => profile.engine.rotate_before_expiry_ms = number()?,
            "drain" => profile.goodbye.drain_ms_max = number()?,
            "hang_up_delay" => profile.goodbye.hang_up_delay_ms = number()?,
            "filler" if value == "sound" => profile.tool_filler = Filler::Sound,
            "disclosure" => profile.disclosure = Some(value.to_owned()),
            // Prepared words: four of them in as many seconds of sound.
            "recorded" => {
                let recorded = Some(Recorded {
                    text: format!("{value} deux trois quatre"),
                    audio_ms: 4_000,
                });
                if profile.disclosure.is_some() && profile.recorded.disclosure.is_none() {
                    profile.recorded.disclosure = recorded;
                } else {
                    profile.recorded.greeting = recorded;
                }
            }
            "refusal" => {
                profile.refusal = Some(Refusal {
                    reason: EndReason::from_code(value)
                        .ok_or_else(|| format!("no such end reason: {value}"))?,
                    instructions: "say why".to_owned(),
                });
            }
            "answering" => {
                profile.answering = Some(match value {
                    "carry_on" => MachineAction::CarryOn,
                    "hang_up" => MachineAction::HangUp,
                    message => MachineAction::LeaveMessage {
                        instructions: message.to_owned(),
                    },
                });
            }
            "transfer_at_once" => profile.transfer_at_once = Some(target(&format!("desk {value}"))),
            "tool" => profile.tools.push(tool(value)?),
            _ => return Err(format!("unknown setting: {pair}")),
        }
    }
    Ok(())
}

fn tool(text: &str) -> Result<ToolSpec, String> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let schema = r#"{"type":"object","properties":{"size":{"type":"integer"}}}"#;
    let mut spec = ToolSpec::external(name, "a tool", schema);
    for flag in parts {
        match flag {
            "disabled" => spec.enabled = false,
            "skip_response" => spec.skip_response = true,
            "mute" => spec.mute_caller = true,
            "hang_up" => spec.hang_up_after = true,
            "secure" => {
                spec.secure = Some(SecureDigits {
                    digits_max: 16,
                    wait_ms: 30_000,
                });
            }
            _ => {
                let deadline = flag
                    .strip_prefix("deadline")
                    .ok_or_else(|| format!("unknown flag: {flag}"))?;
                spec.deadline_ms = deadline
                    .parse()
                    .map_err(|_| format!("not a number: {flag}"))?;
            }
        }
    }
    Ok(spec)
}

/// The code of an end reason, checked: a script must not expect one that does not exist.
pub(crate) fn known_code(code: &str) -> bool {
    EndReason::from_code(code).is_some()
}
