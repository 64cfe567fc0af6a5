//! What one call is told about itself: an immutable snapshot taken when the call begins. Later edits apply to the next call.

use crate::answering::MachineAction;
use crate::dictation::Dictation;
use crate::secure::SecureDigits;
use crate::transfer::TransferTarget;

/// The language of what the product itself says (the model follows its own instructions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Language {
    /// French.
    #[default]
    Fr,
    /// English.
    En,
}

/// How the call begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// The model speaks first, following these instructions.
    Model {
        /// Instructions of the greeting response.
        instructions: String,
    },
    /// The caller speaks first.
    None,
}

/// Words whose sound was made before the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The words.
    pub text: String,
    /// How long they sound, in milliseconds.
    pub audio_ms: u32,
}

/// First words that are heard at the answer, without asking the model for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedOpening {
    /// In the place of what [`Profile::disclosure`] asks for.
    pub disclosure: Option<Recorded>,
    /// In the place of what [`Profile::greeting`] asks for; only where no disclosure has to be said by the model before.
    pub greeting: Option<Recorded>,
}

/// What fills the silence while a tool is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Filler {
    /// The model says that it is looking.
    #[default]
    Phrase,
    /// The quiet deliberate sound alone.
    Sound,
}

/// A call that is answered only to be told why it is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: crate::end::EndReason,
    /// Instructions of the one response that the caller hears.
    pub instructions: String,
}

/// Who carries a tool out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolKind {
    /// Built in: say goodbye and hang up.
    EndCall,
    /// Built in: send keypad tones to the caller's side.
    SendDtmf,
    /// Run by the shell ([`crate::Effect::RunTool`]).
    External,
}

/// One tool that the model may call.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent flags, as the tool contract has them"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSpec {
    /// Name, as the model knows it.
    pub name: String,
    /// Who carries it out.
    pub kind: ToolKind,
    /// A tool that is known but switched off is refused with a sentence to the model.
    pub enabled: bool,
    /// What the tool does, for the model.
    pub description: String,
    /// JSON Schema of its arguments, for the model.
    pub parameters_json: String,
    /// How long an external tool may run, in milliseconds.
    pub deadline_ms: u32,
    /// The model is not asked to speak after this tool (its output is submitted all the same).
    pub skip_response: bool,
    /// The caller is not heard by the engine while this tool runs.
    pub mute_caller: bool,
    /// The call is ended, after a protected goodbye, once this tool has succeeded.
    pub hang_up_after: bool,
    /// The caller types digits for this tool in secrecy before it runs.
    pub secure: Option<SecureDigits>,
}

impl ToolSpec {
    /// An enabled external tool with the default deadline and no flags.
    pub fn external(name: &str, description: &str, parameters_json: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: ToolKind::External,
            enabled: true,
            description: description.to_owned(),
            parameters_json: parameters_json.to_owned(),
            deadline_ms: crate::limits::TOOL_DEADLINE_MS_DEFAULT,
            skip_response: false,
            mute_caller: false,
            hang_up_after: false,
            secure: None,
        }
    }

    /// The built-in `end_call`.
    pub fn end_call() -> Self {
        Self {
            kind: ToolKind::EndCall,
            ..Self::external(
                "end_call",
                "Ends the phone call. Say goodbye first, in the same turn, then call this.",
                r#"{"type":"object","properties":{"reason":{"type":"string","description":"Why the call ends, in a few words."}}}"#,
            )
        }
    }

    /// The built-in `send_dtmf`.
    pub fn send_dtmf() -> Self {
        Self {
            kind: ToolKind::SendDtmf,
            ..Self::external(
                "send_dtmf",
                "Sends keypad tones to the other side of the call.",
                r#"{"type":"object","properties":{"digits":{"type":"string","description":"1 to 32 of 0-9, *, #, A-D."}},"required":["digits"]}"#,
            )
        }
    }
}

/// Instructions to the model for what the session itself decides to have said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrases {
    /// The caller has been silent: ask whether they are still there.
    pub reprompt: String,
    /// The maximum duration is near.
    pub warning: String,
    /// Goodbye after too much silence.
    pub goodbye_idle: String,
    /// Goodbye at the maximum duration.
    pub goodbye_max_duration: String,
    /// Goodbye when `end_call` came with nothing said.
    pub goodbye_end_call: String,
    /// Goodbye when a person or the process ends the call.
    pub goodbye_requested: String,
    /// A false interruption: go on where you stopped.
    pub resume: String,
    /// A tool is slow: say that you are looking.
    pub tool_filler: String,
    /// The connection was lost and restored: go on.
    pub reconnected: String,
    /// Goodbye when the balance or the budget is spent.
    pub goodbye_budget: String,
    /// The caller could not be handed over: go on.
    pub transfer_failed: String,
    /// The person whom the caller was handed to has left: go on.
    pub returned: String,
    /// A person has joined caller and agent: say so, and let them talk.
    pub conferred: String,
}

impl Default for Phrases {
    fn default() -> Self {
        Self {
            reprompt: "The caller has been silent for a while. Ask in one short sentence whether they are still there.".to_owned(),
            warning: "Tell the caller in one short sentence that the call will end in a moment.".to_owned(),
            goodbye_idle: "The caller does not answer. Say one short goodbye.".to_owned(),
            goodbye_max_duration: "The time for this call is over. Say one short goodbye.".to_owned(),
            goodbye_end_call: "Say one short goodbye.".to_owned(),
            goodbye_requested: "The call has to end now. Apologise and say one short goodbye.".to_owned(),
            resume: "You were interrupted by a noise, not by words. Go on from where you stopped, without repeating yourself.".to_owned(),
            tool_filler: "Say in a few words that you are looking and that it will take a moment. Say nothing else.".to_owned(),
            reconnected: "There was a short interruption on the line. Apologise in a few words and go on with the conversation.".to_owned(),
            goodbye_budget: "The call cannot go on. Apologise in one short sentence, invite the caller to call again later, and say goodbye.".to_owned(),
            transfer_failed: "The caller could not be put through. Say so in one short sentence and offer to take a message or to help otherwise.".to_owned(),
            returned: "The person whom the caller was put through to has hung up, and the caller is with you again. Ask in one short sentence whether you can help with anything else.".to_owned(),
            conferred: "A person of the house has joined the call: you, the caller and the person hear each other. Say in one short sentence that they are there. After that let the two talk, and speak only when you are asked something.".to_owned(),
        }
    }
}

/// The life of the engine's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineBounds {
    /// How long a lost connection may take to come back before the call ends with an apology.
    pub reconnect_ms_max: u32,
    /// Connection attempts in one outage, the first included.
    pub attempts_max: u8,
    /// A session is rotated this long before it expires.
    pub rotate_before_expiry_ms: u32,
}

/// The end of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoodbyeBounds {
    /// How long the goodbye may take to be spoken and played.
    pub drain_ms_max: u32,
    /// Silence between the last sound of the goodbye and the hang-up.
    pub hang_up_delay_ms: u32,
}

/// Settings of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Instructions of the response that says that a machine speaks; it comes before everything else and cannot be interrupted.
    pub disclosure: Option<String>,
    /// How the call begins.
    pub greeting: Greeting,
    /// What of the two was prepared.
    pub recorded: RecordedOpening,
    /// The call is answered only to hear why it is refused.
    pub refusal: Option<Refusal>,
    /// The caller is handed over as soon as the call is answered: no engine takes part.
    pub transfer_at_once: Option<TransferTarget>,
    /// A call of ours: what is done when an answering machine takes it. `None`: nobody looks.
    pub answering: Option<MachineAction>,
    /// Ring exactly this long before the answer (the engine connects meanwhile).
    pub ring_ms_fixed: Option<u32>,
    /// Without a fixed ring time: answer at the latest after this long, ready or not.
    pub answer_bound_ms: u32,
    /// Longest conversation; 0 switches the bound off.
    pub max_duration_ms: u32,
    /// The caller is warned this long before the end; 0 switches the warning off.
    pub max_duration_warning_ms: u32,
    /// Silence of both sides before the caller is asked whether they are there; 0 switches it off.
    pub idle_reprompt_ms: u32,
    /// After this many unanswered questions the call ends.
    pub idle_reprompts_max: u8,
    /// The engine owes speech and nothing plays: a deliberate sound starts after this long.
    pub dead_air_ms: u32,
    /// No packet from the caller for this long ends the call (not while held).
    pub no_media_ms: u32,
    /// How long a parked caller waits for a person before the agent has them again, where nobody says it.
    pub parking_ms: u32,
    /// How what is dictated is waited for.
    pub dictation: Dictation,
    /// A sound that is no voice interrupts the agent as a voice does.
    pub noise_interrupts: bool,
    /// Speech that may be our own echo interrupts after this long when nothing else is known by then, in milliseconds; 0: at
    /// once.
    pub echo_decision_ms: u32,
    /// A tool that runs longer than this has the model say that it is looking.
    pub tool_filler_ms: u32,
    /// How the wait is filled then.
    pub tool_filler: Filler,
    /// The life of the engine's connection.
    pub engine: EngineBounds,
    /// The end of the conversation.
    pub goodbye: GoodbyeBounds,
    /// Tools that the model may call.
    pub tools: Vec<ToolSpec>,
    /// Language of the sounds of ours.
    pub language: Language,
    /// Instructions for what the session itself decides to have said.
    pub phrases: Phrases,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            disclosure: None,
            recorded: RecordedOpening::default(),
            refusal: None,
            transfer_at_once: None,
            answering: None,
            tool_filler: Filler::Phrase,
            greeting: Greeting::Model {
                instructions: "Greet the caller in one short sentence.".to_owned(),
            },
            ring_ms_fixed: None,
            answer_bound_ms: 2_500,
            max_duration_ms: 600_000,
            max_duration_warning_ms: 30_000,
            idle_reprompt_ms: 10_000,
            idle_reprompts_max: 2,
            dead_air_ms: 1_500,
            no_media_ms: 20_000,
            parking_ms: crate::limits::PARKING_MS_DEFAULT,
            dictation: Dictation::default(),
            noise_interrupts: false,
            echo_decision_ms: 200,
            tool_filler_ms: 3_000,
            engine: EngineBounds {
                reconnect_ms_max: 6_000,
                attempts_max: 3,
                rotate_before_expiry_ms: 120_000,
            },
            goodbye: GoodbyeBounds {
                drain_ms_max: 20_000,
                hang_up_delay_ms: 500,
            },
            tools: vec![ToolSpec::end_call(), ToolSpec::send_dtmf()],
            language: Language::Fr,
            phrases: Phrases::default(),
        }
    }
}
