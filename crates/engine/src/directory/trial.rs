//! What is tried outside of a call: an engine with a key that is not kept yet, what an agent would be told of a sample caller, and what
//! one of its tools does. Nothing of it is a call: no record, no cost, no webhook.

use std::time::{Duration, Instant};

use ::agent::{
    Builtin, CallBrain, CallFacts, Direction, EngineChoice as Wish, Finished, OfferedTool,
    Prepared, Refusal, Round, ToolDone, ToolReply,
};
use catalog::Message;
use courier::{Caller, Courier};
use jiff::Timestamp;
use serde_json::{Map, Value};
use store::secret::members::{HIDDEN, Place, is_reference, secrets_mut};
use store::{DirectoryAgent, FaqFilter, PageRequest, Reach, ReadError, TenantScope};
use wire::provider::percent_encoded;

use super::DirectoryHandle;
use super::agent::{self, CompileError, Secrets, parse};
use crate::config::Secret;
use crate::engine_test;

/// Bytes of a body that a trial shows.
const SHOWN_BYTES_MAX: usize = 16 * 1024;
/// Requests of one run: its own and its pre-steps.
const REQUESTS_MAX: usize = 16;
/// A shorter text is no secret: taking it out of a reply would only blind the reader.
const SECRET_BYTES_MIN: usize = 4;
/// A literal part of a template that is a secret as a whole is taken for one from this length on.
const LITERAL_BYTES_MIN: usize = 8;
/// Our own bound comes after the courier's.
const GRACE: Duration = Duration::from_secs(1);

/// An engine to try.
#[derive(Clone, Debug, Default)]
pub struct EngineTrial {
    /// As `engine.provider` of an agent; `None` is the engine of this process.
    pub provider: Option<String>,
    /// Its address, where the vendor has none of its own.
    pub url: Option<String>,
    /// Model; with Azure the deployment.
    pub model: Option<String>,
    /// A key that is not kept yet; `None` is the kept one.
    pub key: Option<Secret>,
}

/// Why nothing can be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// No such agent of this tenant.
    #[error("there is no such agent")]
    Unknown,
    /// The agent cannot take calls.
    #[error(transparent)]
    Agent(#[from] CompileError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] ReadError),
}

/// The caller of a trial.
#[derive(Clone, Debug, Default)]
pub struct SampleCall {
    /// Its number; `None` is a withheld one.
    pub caller_phone: Option<String>,
    /// The caller is proven.
    pub caller_verified: bool,
    /// What the conversation knows already.
    pub context: Map<String, Value>,
    /// Instructions in the place of the stored ones.
    pub prompt: Option<String>,
}

/// What an agent would be told of a caller.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The instructions of the session.
    pub instructions: String,
    /// Said first, word for word.
    pub disclosure: String,
    /// Said after it without the model, or what the model is told to begin with.
    pub greeting: String,
    /// The voice, where one is chosen.
    pub voice: Option<String>,
    /// The tools that are offered.
    pub tools: Vec<OfferedTool>,
    /// The context store.
    pub context: Map<String, Value>,
    /// Why the session's data are missing, where they were asked for.
    pub session: Option<String>,
}

/// One request of a trial. It holds no secret.
#[derive(Clone, Debug)]
pub struct TrialRequest {
    /// HTTP method, or `MCP`.
    pub method: &'static str,
    /// Where to.
    pub url: String,
    /// Headers, in lower case.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Option<String>,
    /// It was not sent: a dry run.
    pub sent: bool,
    /// Status of the reply.
    pub status: Option<u16>,
    /// The reply, its first [`SHOWN_BYTES_MAX`] bytes.
    pub reply: Option<String>,
    /// Why there is none: `timed_out`, or a label of `agent::FailureKind`.
    pub failure: Option<&'static str>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What the run would do to the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialEffect {
    /// It ends.
    HangUp,
    /// It is handed over to this target.
    Transfer(String),
}

/// What a run of a tool came to.
#[derive(Clone, Debug, Default)]
pub struct ToolTrial {
    /// Its requests in their order, pre-steps first.
    pub requests: Vec<TrialRequest>,
    /// What the model is told: JSON. `None` where nothing was sent.
    pub output: Option<String>,
    /// The request succeeded.
    pub ok: Option<bool>,
    /// Why it went no further, as the journal of a call has it.
    pub refusal: Option<&'static str>,
    /// In a call the caller is asked to agree first.
    pub confirms: bool,
    /// What it would do to the call.
    pub effect: Option<TrialEffect>,
    /// What it changed in the context store.
    pub context: Map<String, Value>,
    /// Cost that the reply named, in micro-units.
    pub cost_micro: i64,
}

/// Texts that must not be shown, longest first.
struct Hidden(Vec<String>);

impl Hidden {
    /// What was opened, and what was written in clear, of values before and after their opening.
    fn of(sealed: &[Value], opened: &mut [Value]) -> Self {
        let mut found = Vec::new();
        for (before, after) in sealed.iter().zip(opened.iter()) {
            opened_in(before, after, &mut found);
        }
        for value in opened {
            found.extend(secrets_mut(value).into_iter().map(|text| text.clone()));
        }
        let mut all: Vec<String> = found.iter().flat_map(|text| spellings(text)).collect();
        all.retain(|text| text.len() >= SECRET_BYTES_MIN);
        all.sort_by_key(|text| std::cmp::Reverse(text.len()));
        all.dedup();
        Self(all)
    }

    fn take_out(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }

    /// An address without secrets, in its query too.
    fn url(&self, url: &str) -> String {
        let Some((path, query)) = url.split_once('?') else {
            return self.take_out(url);
        };
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if Place::Headers.is_secret(name) => format!("{name}={HIDDEN}"),
            _ => pair.to_owned(),
        });
        self.take_out(&format!("{path}?{}", pairs.collect::<Vec<_>>().join("&")))
    }

    fn headers(&self, headers: &[(String, String)]) -> Vec<(String, String)> {
        let shown = headers.iter().map(|(name, value)| {
            let value = if Place::Headers.is_secret(name) {
                HIDDEN.to_owned()
            } else {
                self.take_out(value)
            };
            (name.clone(), value)
        });
        shown.collect()
    }

    /// A body, shortened, without what its members' names say is secret.
    fn body(&self, body: &str) -> String {
        let text = match serde_json::from_str::<Value>(body) {
            Ok(mut value) => {
                for text in secrets_mut(&mut value) {
                    HIDDEN.clone_into(text);
                }
                value.to_string()
            }
            Err(_) => body.to_owned(),
        };
        // Taken out before it is shortened: half a secret is not found.
        let text = self.take_out(&text);
        let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
        text[..end].to_owned()
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.take_out(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(members) => {
                members.values_mut().for_each(|member| self.value(member));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn members(&self, members: &Map<String, Value>) -> Map<String, Value> {
        let mut value = Value::Object(members.clone());
        for text in secrets_mut(&mut value) {
            HIDDEN.clone_into(text);
        }
        self.value(&mut value);
        let Value::Object(members) = value else {
            return Map::new();
        };
        members
    }
}

/// The texts in whose places references stood.
fn opened_in(before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::String(before), Value::String(after)) if is_reference(before) => {
            found.push(after.clone());
        }
        (Value::Array(before), Value::Array(after)) => {
            for (before, after) in before.iter().zip(after) {
                opened_in(before, after, found);
            }
        }
        (Value::Object(before), Value::Object(after)) => {
            for (name, member) in before {
                if let Some(after) = after.get(name) {
                    opened_in(member, after, found);
                }
            }
        }
        _ => {}
    }
}

/// How a secret may stand in what is shown: as it is, after its scheme, in an address, in JSON; and of a template its literal parts.
fn spellings(secret: &str) -> Vec<String> {
    let mut words = vec![secret.to_owned()];
    if let Some((_, rest)) = secret.split_once(' ') {
        words.push(rest.to_owned());
    }
    if let Some(template) = secret.strip_prefix('=') {
        let literal = template
            .split("{{")
            .map(|part| part.rsplit("}}").next().unwrap_or_default().trim())
            .filter(|part| part.len() >= LITERAL_BYTES_MIN);
        words.extend(literal.map(str::to_owned));
    }
    let encoded = words.iter().flat_map(|word| {
        let json = Value::String(word.clone()).to_string();
        [percent_encoded(word), json[1..json.len() - 1].to_owned()]
    });
    let encoded: Vec<String> = encoded.collect();
    words.extend(encoded);
    words
}

/// An agent as it is stored, ready to be tried.
pub struct AgentTrial {
    brain: CallBrain,
    courier: Courier,
    caller: Caller,
    hidden: Hidden,
}

impl std::fmt::Debug for AgentTrial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AgentTrial").field(&self.brain).finish()
    }
}

impl DirectoryHandle {
    /// Opens a session at an engine as an agent of this tenant would, and closes it: what it said, in words.
    ///
    /// # Errors
    /// The engine cannot be used at all: no such provider, or an address that may not be reached.
    pub async fn try_engine(
        &self,
        scope: &TenantScope,
        trial: EngineTrial,
    ) -> Result<Message, CompileError> {
        let parts = &self.parts;
        let secrets = Secrets {
            tried: trial.key.as_ref(),
            ..parts.secrets(scope)
        };
        let wish = Wish {
            provider: trial.provider,
            url: trial.url,
            model: trial.model,
            ..Wish::default()
        };
        let mut agent = parts.config.base.clone();
        agent.engine = agent::engine(&wish, &secrets, &parts.config).await?;
        Ok(engine_test::run(&agent, parts.engine.authorities()).await)
    }

    /// An agent of this tenant as it is stored now, with a sample caller. `tool` is offered even where it is switched off.
    ///
    /// # Errors
    /// [`TrialError`].
    pub async fn try_agent(
        &self,
        scope: &TenantScope,
        agent_id: &str,
        (tool, sample): (Option<&str>, SampleCall),
    ) -> Result<AgentTrial, TrialError> {
        let (parts, store) = (&self.parts, &self.parts.store);
        let agent = store.agent(scope, agent_id).await?;
        let agent = agent.ok_or(TrialError::Unknown)?;
        let tenant = store.tenant(scope).await?.ok_or(TrialError::Unknown)?;
        let customer = match &agent.final_customer_id {
            Some(id) => store.final_customer(scope, id).await?,
            None => None,
        };
        let answered = FaqFilter {
            agent_id: Some(agent.id.clone()),
            status: Some("answered".to_owned()),
            ..FaqFilter::default()
        };
        let page = PageRequest {
            limit: store::limits::PAGE_MAX,
            after: None,
        };
        let reach = Reach::Tenant(scope.clone());
        let found = DirectoryAgent {
            tools: store.tools(scope, agent_id).await?,
            lines: Vec::new(),
            faqs: store.faqs(reach, &answered, &page).await?.items,
            agent,
        };
        let secrets = parts.secrets(scope);
        let mut sealed = vec![parse(&found.agent.settings)?];
        for one in &found.tools {
            sealed.push(parse(&one.config)?);
        }
        let mut opened = sealed.clone();
        secrets.open(opened.iter_mut().collect()).await?;
        let hidden = Hidden::of(&sealed, &mut opened);
        let prices = store.node_prices().await?;
        let with = (&secrets, &parts.config);
        let mut definition =
            agent::definition(&found, &tenant, customer.as_ref(), &prices, with).await?;
        if sample.prompt.is_some() {
            definition
                .settings
                .prompt
                .base_prompt
                .clone_from(&sample.prompt);
        }
        for one in &mut definition.tools {
            one.flags.is_enabled |= tool == Some(one.name.as_str());
        }
        let caller = Caller {
            tenant: definition.tenant_id.clone(),
            agent: Some(definition.agent_id.clone()),
            call: Some(format!("trial-{}", store::new_id())),
            signing_secret: secrets.signing().await,
            hosts: Vec::new(),
            traceparent: None,
        };
        let compiled = agent::compile_definition(definition)?;
        let facts = facts(&caller, &sample);
        let mut brain = CallBrain::new(compiled.into(), facts);
        brain.give_context(sample.context);
        Ok(AgentTrial {
            brain,
            courier: parts.engine.courier(),
            caller,
            hidden,
        })
    }
}

/// What is known of a call that is none.
fn facts(caller: &Caller, sample: &SampleCall) -> CallFacts {
    CallFacts {
        call_id: caller.call.clone().unwrap_or_default(),
        caller_phone: sample.caller_phone.clone(),
        called_number: None,
        direction: Direction::Inbound,
        started_at: Timestamp::now(),
        caller_verified: sample.caller_verified,
        carrier: "trial".to_owned(),
        carrier_call_id: None,
        caller_name: None,
        caller_attestation: None,
    }
}

impl AgentTrial {
    /// Asks the session's address, where the agent has one, as a call would.
    ///
    /// # Errors
    /// Why its data are missing, in words.
    pub async fn ask_session(&mut self) -> Result<(), String> {
        let Some(request) = self.brain.session_request(Timestamp::now()) else {
            return Ok(());
        };
        let asked = self.courier.fetch(&request, &self.caller);
        let reply = bounded(request.timeout_ms, asked).await;
        let taken = self.brain.apply_session(&reply);
        taken.map_err(|fault| fault.to_string())
    }

    /// What the model would be told now.
    pub fn preview(&self, session: Option<String>) -> Preview {
        let now = Timestamp::now();
        let greeting = self.brain.greeting(now);
        Preview {
            instructions: self.hidden.take_out(&self.brain.instructions(now)),
            disclosure: self.hidden.take_out(&greeting.disclosure),
            greeting: self
                .hidden
                .take_out(&greeting.cached_text.unwrap_or(greeting.instructions)),
            voice: self.brain.voice(),
            tools: self.brain.offered_tools(),
            context: self.hidden.members(self.brain.context()),
            session,
        }
    }

    /// Runs a tool with these arguments, as a call would: every rule of the policy is judged. `send`: its requests leave; otherwise the
    /// first one is only shown.
    pub async fn run(&mut self, tool: &str, arguments: &Value, send: bool) -> ToolTrial {
        let before = self.brain.context().clone();
        let mut trial = ToolTrial::default();
        // An ordinary conversation: the agent has spoken, and the caller has.
        self.brain.agent_said("…");
        self.brain.heard_caller("…");
        let arguments = arguments.to_string();
        let mut prepared = self.prepare(tool, &arguments);
        if is_unconfirmed(&prepared) {
            trial.confirms = true;
            self.brain.agent_said("…");
            self.brain.heard_caller("oui");
            prepared = self.prepare(tool, &arguments);
        }
        match prepared {
            Prepared::Http(call) => self.rounds(Round::Http(call), send, &mut trial).await,
            Prepared::Mcp(call) => self.rounds(Round::Mcp(call), send, &mut trial).await,
            Prepared::Builtin(builtin) => {
                trial.ok = Some(true);
                let (output, effect) = match builtin {
                    Builtin::HangUp { output } => (output, Some(TrialEffect::HangUp)),
                    Builtin::Transfer { target, output } => {
                        (output, Some(TrialEffect::Transfer(target.name)))
                    }
                    Builtin::Done { output } => (output, None),
                };
                (trial.output, trial.effect) = (Some(output), effect);
            }
            Prepared::Refused { code, output } => {
                trial.refusal = Some(code.label());
                trial.output = Some(self.hidden.take_out(&output));
            }
        }
        let changed: Map<String, Value> = self
            .brain
            .context()
            .iter()
            .filter(|(name, value)| before.get(*name) != Some(*value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        trial.context = self.hidden.members(&changed);
        trial
    }

    fn prepare(&mut self, tool: &str, arguments: &str) -> Prepared {
        self.brain
            .prepare("trial", tool, arguments, Timestamp::now())
    }

    async fn rounds(&mut self, first: Round, send: bool, trial: &mut ToolTrial) {
        let mut round = first;
        while trial.requests.len() < REQUESTS_MAX {
            let (shown, reply) = self.exchange(&round, send).await;
            trial.requests.push(shown);
            let Some(reply) = reply else {
                return;
            };
            match self.brain.finish("trial", &reply, Timestamp::now()) {
                Finished::Next(next) => round = next,
                Finished::Done(done) => return self.done(done, trial),
            }
        }
    }

    fn done(&self, done: ToolDone, trial: &mut ToolTrial) {
        trial.output = Some(self.hidden.take_out(&done.output));
        trial.ok = Some(done.ok);
        trial.refusal = done.refusal.map(Refusal::label);
        trial.effect = done
            .transfer
            .map(|target| TrialEffect::Transfer(target.name))
            .or_else(|| done.hang_up.then_some(TrialEffect::HangUp));
        trial.cost_micro = done.cost_micro;
    }

    async fn exchange(&self, round: &Round, send: bool) -> (TrialRequest, Option<ToolReply>) {
        let mut shown = match round {
            Round::Http(call) => TrialRequest {
                body: call.body.as_deref().map(|body| self.hidden.body(body)),
                ..self.shown(call.method.as_str(), &call.url, &call.headers)
            },
            Round::Mcp(call) => TrialRequest {
                body: Some(self.hidden.body(&call.arguments.to_string())),
                ..self.shown("MCP", &call.url, &call.headers)
            },
        };
        if !send {
            return (shown, None);
        }
        let begun = Instant::now();
        let reply = match round {
            Round::Http(call) => {
                bounded(call.timeout_ms, self.courier.run(call, &self.caller)).await
            }
            Round::Mcp(call) => {
                bounded(call.timeout_ms, self.courier.run_mcp(call, &self.caller)).await
            }
        };
        shown.sent = true;
        shown.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &reply {
            ToolReply::Http { status, body } => {
                shown.status = Some(*status);
                shown.reply = Some(self.hidden.body(body));
            }
            ToolReply::Mcp { is_error, content } => {
                shown.failure = is_error.then_some("tool_error");
                shown.reply = Some(self.hidden.body(&content.to_string()));
            }
            ToolReply::Failed { kind } => shown.failure = Some(kind.label()),
            ToolReply::TimedOut => shown.failure = Some("timed_out"),
        }
        (shown, Some(reply))
    }

    fn shown(&self, method: &'static str, url: &str, headers: &[(String, String)]) -> TrialRequest {
        TrialRequest {
            method,
            url: self.hidden.url(url),
            headers: self.hidden.headers(headers),
            body: None,
            sent: false,
            status: None,
            reply: None,
            failure: None,
            took_ms: 0,
        }
    }
}

fn is_unconfirmed(prepared: &Prepared) -> bool {
    matches!(
        prepared,
        Prepared::Refused {
            code: Refusal::ConfirmationNeeded,
            ..
        }
    )
}

/// The courier keeps the deadline; a little later this one does, whatever happens there.
async fn bounded(timeout_ms: u32, reply: impl Future<Output = ToolReply>) -> ToolReply {
    let bound = Duration::from_millis(u64::from(timeout_ms)) + GRACE;
    tokio::time::timeout(bound, reply)
        .await
        .unwrap_or(ToolReply::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hidden() -> Hidden {
        let sealed = vec![json!({"config": {"crm": "sealed:0123456789abcdef0123456789abcdef"}})];
        let mut opened = vec![json!({
            "config": {"crm": "s3cret/of the house"}, "engine": {"apiKey": "sk-12345"},
            "http": {"headers": {"X-Api-Key": "=k-987654321 {{ctx.x}}"}},
        })];
        Hidden::of(&sealed, &mut opened)
    }

    #[test]
    fn no_secret_is_shown_wherever_it_comes_back() {
        let hidden = hidden();
        for text in [
            "s3cret/of the house",
            "a=s3cret%2Fof%20the%20house",
            "{\"x\":\"sk-12345\"}",
            "k-987654321 7",
        ] {
            let shown = hidden.take_out(text);
            for secret in ["s3cret", "sk-12345", "k-98765"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
        let url = hidden.url("https://a.example/x?api_key=zzzz&day=monday");
        assert_eq!(url, "https://a.example/x?api_key=***&day=monday");
        let headers = [
            ("authorization".to_owned(), "Bearer zzzz".to_owned()),
            ("accept".to_owned(), "*/*".to_owned()),
        ];
        let shown = hidden.headers(&headers);
        assert_eq!((shown[0].1.as_str(), shown[1].1.as_str()), ("***", "*/*"));
        let body = hidden.body(r#"{"password":"zzzz","name":"sk-12345","n":1}"#);
        assert_eq!(body, r#"{"password":"***","name":"***","n":1}"#);
    }

    #[test]
    fn a_long_reply_is_cut_at_a_character() {
        let long = "é".repeat(SHOWN_BYTES_MAX);
        let shown = hidden().body(&long);
        assert!(shown.len() <= SHOWN_BYTES_MAX && long.starts_with(&shown));
    }
}
