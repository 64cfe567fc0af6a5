//! The questions of a call that rings: is the caller wanted, is anybody open, is there money, and what does the back office know.
//!
//! All of it is bounded. What cannot be asked lets the call pass, or refuses it where the agent's settings say so.

use std::sync::Arc;
use std::time::Instant;

use agent::{
    AnsweringAction, AnsweringWish, CallBrain, HttpCall, OpeningVerdict, PreCallVerdict, ToolReply,
    TransferManner,
};
use call::{
    EndReason, Greeting, MachineAction, OpeningWords, Profile, Redacted, Refusal, ToolSpec,
    TransferMode, TransferTarget,
};
use catalog::Message;
use courier::Caller;
use futures_util::future::{join, join_all};
use jiff::Timestamp;
use media::AnsweringTerms;
use wire::realtime::ToolDefinition;

use crate::calls::{Calls, Identity};
use crate::config::{AgentConfig, OfficeConfig};
use crate::dispatch::{Limit, LimitKind};
use crate::journal::CallJournal;
use crate::limits::SESSION_DATA_WITHIN;
use crate::metrics::Metrics;

/// What the questions led to.
pub(crate) enum Verdict {
    Go(Box<Plan>),
    Refuse(EndReason),
}

/// How this call goes: fixed from here on.
#[derive(Default)]
pub(crate) struct Plan {
    instructions: String,
    voice: Option<String>,
    greeting: Option<agent::Greeting>,
    tools: Vec<agent::OfferedTool>,
    refusal: Option<Refusal>,
    transfer_at_once: Option<TransferTarget>,
    /// What is done when an answering machine takes a call of ours.
    answering: Option<MachineAction>,
    /// A message put before the first response.
    pub(super) opening_words: Option<String>,
    /// What the call may cost, in micro-units.
    pub(crate) left_micro: Option<i64>,
}

/// Asks everything. The brain knows afterwards what the back office said.
pub(super) async fn consult(
    calls: &Arc<Calls>,
    identity: &Identity,
    office: &OfficeConfig,
    brain: &mut CallBrain,
    journal: &CallJournal,
) -> Verdict {
    let agent = &office.agent.definition().agent_id;
    let (of_tenant, of_agent) = calls.before(&identity.id, &identity.tenant, agent);
    let note = |message: Message| journal.note(Instant::now(), message);
    for (kind, running, max) in [
        (LimitKind::TenantCalls, of_tenant, office.tenant_calls_max),
        (LimitKind::AgentCalls, of_agent, office.calls_max),
    ] {
        if is_full(running, max) {
            Metrics::count(&calls.metrics.calls_limited, kind.label(), 1);
            note(
                Limit {
                    kind,
                    max,
                    of: None,
                }
                .note(),
            );
            return Verdict::Refuse(EndReason::Concurrency);
        }
    }
    let left_micro = match inquire(calls, identity, office, brain, &note).await {
        Ok(left) => left,
        Err(verdict) => return verdict,
    };
    let mut plan = Plan::of(brain, Timestamp::now());
    if calls.announces && brain.is_recordable() {
        plan.announce_recording();
    }
    plan.left_micro = left_micro;
    plan.transfer_at_once = brain.automatic_transfer().map(|target| transfer(&target));
    Verdict::Go(Box::new(plan))
}

/// The questions that a chat is asked as well: what the conversation may cost, or the verdict that there is none. The brain knows
/// afterwards what the back office said.
pub(crate) async fn inquire(
    calls: &Arc<Calls>,
    identity: &Identity,
    office: &OfficeConfig,
    brain: &mut CallBrain,
    note: &(impl Fn(Message) + Sync),
) -> Result<Option<i64>, Verdict> {
    let left_micro = crate::books::allowance(calls, identity, office, brain)
        .await
        .map_err(Verdict::Refuse)?;
    let closed = match brain.opening(Timestamp::now()) {
        OpeningVerdict::Open | OpeningVerdict::ClosedAnswer => None,
        OpeningVerdict::ClosedHangUp => return Err(Verdict::Refuse(EndReason::Closed)),
        OpeningVerdict::ClosedMessage(text) => Some(word(EndReason::Closed, &text)),
    };
    if let Some(refusal) = closed {
        return Err(Verdict::Go(Box::new(Plan::refusing(brain, refusal))));
    }
    match ask_others(calls, identity, office, brain, note).await {
        Some(refused) => Err(refused),
        None => Ok(left_micro),
    }
}

fn is_full(running: usize, max: u32) -> bool {
    max > 0 && running >= usize::try_from(max).unwrap_or(usize::MAX)
}

/// The checks of the agent and its session's data, all at the same time.
async fn ask_others(
    calls: &Arc<Calls>,
    identity: &Identity,
    office: &OfficeConfig,
    brain: &mut CallBrain,
    tell: &(impl Fn(Message) + Sync),
) -> Option<Verdict> {
    let now = Timestamp::now();
    let trace = identity.trace.as_ref();
    let caller = Caller {
        call: Some(identity.id.as_str().to_owned()),
        traceparent: trace.map(|trace| trace.traceparent("setup", "")),
        ..office.caller.clone()
    };
    let session = brain.session_request(now);
    let checks = brain.pre_call_requests(now);
    let fetch = async {
        match &session {
            Some(request) => Some(within(calls.courier.fetch(request, &caller), request).await),
            None => None,
        }
    };
    let answers = join_all(checks.iter().map(|check| {
        let caller = &caller;
        async move {
            let reply = within(calls.courier.run(&check.call, caller), &check.call).await;
            (check.index, reply)
        }
    }));
    let (data, answers) = join(fetch, answers).await;
    for (index, reply) in answers {
        let (name, refusal) = match brain.judge_pre_call(index, &reply, now) {
            PreCallVerdict::Pass => continue,
            PreCallVerdict::PassUnanswered => {
                let note = Message::new("call_check_unanswered");
                tell(note.with("reply", format!("{reply:?}")));
                continue;
            }
            PreCallVerdict::HangUp { name } => (name, None),
            PreCallVerdict::Message { name, text } => {
                (name, Some(word(EndReason::RejectedBlocked, &text)))
            }
        };
        tell(Message::new("call_check_refused").with("check", name.as_str()));
        return Some(match refusal {
            None => Verdict::Refuse(EndReason::RejectedBlocked),
            Some(refusal) => Verdict::Go(Box::new(Plan::refusing(brain, refusal))),
        });
    }
    if let Some(reply) = data
        && let Err(fault) = brain.apply_session(&reply)
    {
        let message = Message::new("session_data_missing").with("cause", fault.to_string());
        crate::log::say(&message);
        tell(message);
    }
    None
}

/// A request while the phone rings: its own bound, and ours.
async fn within(reply: impl Future<Output = ToolReply>, request: &HttpCall) -> ToolReply {
    let own = std::time::Duration::from_millis(request.timeout_ms.into());
    tokio::time::timeout(own.min(SESSION_DATA_WITHIN), reply)
        .await
        .unwrap_or(ToolReply::TimedOut)
}

/// What the session does with a machine. A message says first that a machine speaks, as every call does.
fn machine(wish: &AnsweringWish, disclosure: &str) -> MachineAction {
    match wish.action {
        AnsweringAction::CarryOn => MachineAction::CarryOn,
        AnsweringAction::HangUp => MachineAction::HangUp,
        AnsweringAction::LeaveMessage => {
            let message = wish.message.as_deref().unwrap_or_default();
            MachineAction::LeaveMessage {
                instructions: verbatim(&format!("{disclosure} {message}")),
            }
        }
    }
}

/// The bounds by which a machine is known.
pub(super) fn terms(wish: &AnsweringWish) -> AnsweringTerms {
    let usual = AnsweringTerms::default();
    AnsweringTerms {
        greeting_ms_max: wish.greeting_ms_max.unwrap_or(usual.greeting_ms_max),
        pause_ms: wish.pause_ms.unwrap_or(usual.pause_ms),
        silence_ms: wish.silence_ms.unwrap_or(usual.silence_ms),
        verdict_ms: wish.verdict_ms.unwrap_or(usual.verdict_ms),
        beep_ms: wish.beep_ms.unwrap_or(usual.beep_ms),
    }
}

fn word(reason: EndReason, text: &str) -> Refusal {
    Refusal {
        reason,
        instructions: verbatim(text),
    }
}

/// Instructions of a response that says one text and nothing else.
pub(super) fn verbatim(text: &str) -> String {
    format!(
        "Say exactly the following text, word for word, in its own language, and nothing else:\n{text}"
    )
}

pub(super) fn transfer(target: &agent::TransferTarget) -> TransferTarget {
    let announcement = target.announcement.clone().map(Redacted::new);
    TransferTarget {
        announcement,
        ..transfer_target(&target.name, target.destination.as_str(), target.manner)
    }
}

/// A target in the session's words.
pub(crate) fn transfer_target(name: &str, address: &str, manner: TransferManner) -> TransferTarget {
    TransferTarget {
        mode: match manner.mode {
            agent::TransferMode::Refer => TransferMode::Refer,
            agent::TransferMode::Bridge => TransferMode::Bridge,
            agent::TransferMode::Attended => TransferMode::Attended,
            agent::TransferMode::Conference => TransferMode::Conference,
            agent::TransferMode::Auto => TransferMode::Auto,
        },
        ring_ms: manner.ring_seconds.saturating_mul(1_000),
        shows_caller: manner.shows_caller,
        announces: manner.announces,
        screen_ms: manner
            .screen_seconds
            .map(|seconds| seconds.saturating_mul(1_000)),
        returns: manner.returns,
        ..TransferTarget::new(name, address)
    }
}

impl Plan {
    pub(crate) fn of(brain: &CallBrain, now: Timestamp) -> Self {
        let greeting = brain.greeting(now);
        Self {
            answering: brain
                .answering()
                .map(|wish| machine(wish, &greeting.disclosure)),
            instructions: brain.instructions(now),
            voice: brain.voice(),
            opening_words: greeting.user_message.clone(),
            greeting: Some(greeting),
            tools: brain.offered_tools(),
            refusal: None,
            transfer_at_once: None,
            left_micro: None,
        }
    }

    /// The caller is told of the recording with the first words.
    fn announce_recording(&mut self) {
        if let Some(greeting) = &mut self.greeting {
            let words = format!("{} {}", greeting.disclosure, greeting.recording);
            greeting.disclosure = words;
        }
    }

    /// The call is answered only to be told why it is not served.
    fn refusing(brain: &CallBrain, refusal: Refusal) -> Self {
        Self {
            instructions: refusal.instructions.clone(),
            voice: brain.voice(),
            refusal: Some(refusal),
            ..Self::default()
        }
    }

    /// No engine takes part in this call.
    pub(super) fn without_engine(&self) -> bool {
        self.transfer_at_once.is_some()
    }

    /// The agent's configuration, made this call's own.
    pub(crate) fn apply(&self, agent: &AgentConfig) -> AgentConfig {
        let mut config = agent.clone();
        config.instructions.clone_from(&self.instructions);
        if self.voice.is_some() {
            config.engine.voice.clone_from(&self.voice);
        }
        config.tools = self.tools.iter().map(offered).collect();
        let profile = &mut config.profile;
        let definition = agent
            .office
            .as_ref()
            .map(|office| office.agent.definition());
        profile.tools = self
            .tools
            .iter()
            .map(|tool| {
                let secure = definition.and_then(|known| super::typed::wanted(known, &tool.name));
                ToolSpec {
                    secure,
                    ..spec(tool)
                }
            })
            .collect();
        profile.answering.clone_from(&self.answering);
        profile.refusal.clone_from(&self.refusal);
        profile.transfer_at_once.clone_from(&self.transfer_at_once);
        self.greet(profile);
        config
    }

    /// The words of a call that begins with fixed ones, in their order.
    pub(super) fn fixed_words(&self) -> Option<Vec<(OpeningWords, &str)>> {
        let greeting = self.greeting.as_ref()?;
        let text = greeting.cached_text.as_deref()?;
        let served = self.refusal.is_none() && self.transfer_at_once.is_none();
        (served && !greeting.disclosure_only).then(|| {
            vec![
                (OpeningWords::Disclosure, greeting.disclosure.as_str()),
                (OpeningWords::Greeting, text),
            ]
        })
    }

    fn greet(&self, profile: &mut Profile) {
        let Some(greeting) = &self.greeting else {
            profile.greeting = Greeting::None;
            return;
        };
        profile.disclosure = Some(verbatim(&greeting.disclosure));
        profile.greeting = if greeting.disclosure_only {
            Greeting::None
        } else {
            Greeting::Model {
                instructions: match &greeting.cached_text {
                    Some(text) => verbatim(text),
                    None => greeting.instructions.clone(),
                },
            }
        };
    }
}

fn offered(tool: &agent::OfferedTool) -> ToolDefinition {
    ToolDefinition {
        name: tool.name.clone(),
        description: tool.description.clone(),
        parameters_json: tool.parameters.to_string(),
    }
}

fn spec(tool: &agent::OfferedTool) -> ToolSpec {
    ToolSpec {
        deadline_ms: tool.timeout_ms,
        skip_response: tool.flags.skip_response_create,
        mute_caller: tool.flags.mutes_client_audio,
        hang_up_after: tool.flags.triggers_hangup,
        ..ToolSpec::external(&tool.name, &tool.description, &tool.parameters.to_string())
    }
}
