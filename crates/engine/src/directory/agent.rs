//! From what is stored of an agent to a configuration that calls can begin with.

use std::sync::Arc;

use ::agent::{
    AgentSettings, CompiledAgent, Definition, EngineChoice as Wish, FaqEntry, Fault, ToolConfig,
    compile,
};
use call::Language;
use courier::{Caller, Secret as SigningSecret};
use serde_json::{Value, json};
use store::secret::{Vault, WEBHOOK, account_salt};
use store::{DirectoryAgent, Entry, FinalCustomer, PriceTable, Store, Tenant, TenantScope, Tool};
use wire::Provider;
use wire::realtime::{Eagerness, NoiseReduction, ReasoningEffort, Transcription, TurnDetection};

use super::DirectoryConfig;
use crate::config::{AgentConfig, EngineChoice, OfficeConfig, RealtimeConfig, Secret};

/// Why an agent cannot take calls.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Its settings are not JSON.
    #[error("the settings cannot be read")]
    Unreadable,
    /// Something in it is wrong.
    #[error("{path}: {message}")]
    Fault {
        /// Where.
        path: String,
        /// What.
        message: String,
    },
    /// A key or a password in it cannot be read.
    #[error("a secret in it cannot be read: {cause}")]
    Secret {
        /// Why.
        cause: String,
    },
    /// The address of its engine is not one, or may not be reached.
    #[error("the engine cannot be used: {cause}")]
    Engine {
        /// Why.
        cause: &'static str,
    },
}

impl From<Vec<Fault>> for CompileError {
    fn from(faults: Vec<Fault>) -> Self {
        match faults.into_iter().next() {
            Some(fault) => Self::Fault {
                path: fault.path,
                message: fault.message,
            },
            None => Self::Unreadable,
        }
    }
}

/// What is kept for an account in secrecy.
pub(crate) struct Secrets<'a> {
    pub(crate) store: &'a Store,
    pub(crate) vault: Option<&'a Vault>,
    pub(crate) scope: &'a TenantScope,
    /// A key that is tried before it is kept: it stands for every kept key of an engine.
    pub(crate) tried: Option<&'a Secret>,
}

impl Secrets<'_> {
    pub(super) async fn open(&self, values: Vec<&mut Value>) -> Result<(), CompileError> {
        let Some(vault) = self.vault else {
            return Ok(());
        };
        let opened = vault.open_members(self.store, self.scope, values).await;
        opened.map_err(|error| CompileError::Secret {
            cause: error.to_string(),
        })
    }

    async fn engine_key(&self, provider: &str) -> Option<Secret> {
        if let Some(key) = self.tried {
            return Some(key.clone());
        }
        let purpose = format!("engine:{provider}");
        let found = self.vault?.get(self.store, self.scope, &purpose).await;
        found.ok().flatten().map(|key| Secret::new(key.expose()))
    }

    pub(super) async fn signing(&self) -> Option<SigningSecret> {
        let found = signing_secret(self.store, self.vault?, self.scope).await;
        found.ok().flatten()
    }
}

/// The secret that signs what is sent in an account's name: in the account's row, or among its other secrets.
///
/// # Errors
/// It is there and cannot be read now.
pub async fn signing_secret(
    store: &Store,
    vault: &Vault,
    scope: &TenantScope,
) -> Result<Option<SigningSecret>, CompileError> {
    let tenant = store.tenant(scope).await;
    let tenant = tenant.map_err(|_| CompileError::Unreadable)?;
    if let Some(sealed) = tenant.and_then(|tenant| tenant.content.webhook_secret) {
        let salt = account_salt(scope.tenant().as_str(), WEBHOOK);
        let opened = vault.open(&salt, sealed.encrypted()).await;
        let opened = opened.map_err(|_| CompileError::Unreadable)?;
        return Ok(Some(SigningSecret::new(opened.expose())));
    }
    let kept = vault.get(store, scope, courier::WEBHOOK_PURPOSE).await;
    let kept = kept.map_err(|_| CompileError::Unreadable)?;
    Ok(kept.map(|text| SigningSecret::new(text.expose())))
}

pub(super) fn parse(text: &str) -> Result<Value, CompileError> {
    serde_json::from_str(text).map_err(|_| CompileError::Unreadable)
}

/// The id that the back office has for an agent, from settings that may be wrong otherwise.
pub(super) fn other_id(settings: &str) -> Option<String> {
    let settings = parse(settings).ok()?;
    let id = settings
        .get("config")?
        .get(crate::agents::OTHER_ID)?
        .as_str()?;
    (!id.is_empty()).then(|| id.to_owned())
}

/// Settings and tools of an agent, with the values that are sealed in them.
async fn opened(
    settings: &str,
    stored: &[&Tool],
    secrets: &Secrets<'_>,
) -> Result<(AgentSettings, Vec<ToolConfig>), CompileError> {
    let mut values = vec![parse(settings)?];
    for tool in stored {
        values.push(parse(&tool.config)?);
    }
    secrets.open(values.iter_mut().collect()).await?;
    let mut tools = Vec::new();
    for (tool, value) in stored.iter().zip(&values[1..]) {
        let mut config = ToolConfig::parse(value)?;
        config.flags.is_enabled = tool.is_enabled;
        tools.push(config);
    }
    Ok((AgentSettings::parse(&values[0])?, tools))
}

/// A tool's configuration as it was written, with its secrets.
pub(super) async fn opened_tool(tool: &Tool, secrets: &Secrets<'_>) -> Result<Value, CompileError> {
    let mut value = parse(&tool.config)?;
    secrets.open(vec![&mut value]).await?;
    Ok(value)
}

/// The definition of an agent as it is stored now.
pub(super) async fn definition(
    found: &DirectoryAgent,
    tenant: &Entry<Tenant>,
    customer: Option<&Entry<FinalCustomer>>,
    prices: &[PriceTable],
    (secrets, config): (&Secrets<'_>, &DirectoryConfig),
) -> Result<Definition, CompileError> {
    let agent = &found.agent;
    let stored: Vec<&Tool> = found.tools.iter().map(|tool| &tool.content).collect();
    let (settings, tools) = opened(&agent.settings, &stored, secrets).await?;
    let faqs = found.faqs.iter().filter_map(|faq| {
        Some(FaqEntry {
            question: faq.question.clone(),
            answer: faq.answer.clone()?,
            category: faq.category.clone(),
        })
    });
    Ok(Definition {
        agent_id: agent.id.clone(),
        tenant_id: tenant.id.clone(),
        version: agent.version,
        name: agent.name.clone(),
        final_customer_id: agent.final_customer_id.clone(),
        cost_margin_pct: customer.map(|customer| customer.cost_margin_pct),
        currency: Some(customer.map_or_else(
            || tenant.currency.clone(),
            |customer| customer.currency.clone(),
        )),
        default_base_url: config.base_url.clone(),
        settings,
        tools,
        faqs: faqs.collect(),
        price_tables: prices.iter().filter_map(price_table).collect(),
        compat: true,
    })
}

fn price_table(table: &PriceTable) -> Option<Value> {
    let mut prices: Value = serde_json::from_str(&table.prices).ok()?;
    let members = prices.as_object_mut()?;
    members.insert("model".to_owned(), json!(table.model_prefix));
    members.insert("validFrom".to_owned(), json!(table.valid_from.to_string()));
    members.insert("currency".to_owned(), json!(table.currency));
    Some(prices)
}

pub(super) fn compile_definition(definition: Definition) -> Result<CompiledAgent, CompileError> {
    Ok(compile(definition)?)
}

/// An agent in one of its versions, for a call that began with it.
///
/// # Errors
/// When the version cannot be used any more.
pub(super) async fn compiled(
    agent_id: &str,
    tenant: &Entry<Tenant>,
    version: &store::AgentVersion,
    secrets: &Secrets<'_>,
    base_url: Option<&str>,
) -> Result<CompiledAgent, CompileError> {
    let base = Definition {
        agent_id: agent_id.to_owned(),
        tenant_id: tenant.id.clone(),
        currency: Some(tenant.currency.clone()),
        default_base_url: base_url.map(str::to_owned),
        compat: true,
        ..Definition::default()
    };
    compiled_as(base, version, secrets).await
}

/// The same, with what is no part of a version (questions, prices, the customer's terms) from `base`.
///
/// # Errors
/// When the version cannot be used any more, or a secret in it not be read.
pub(crate) async fn compiled_as(
    base: Definition,
    version: &store::AgentVersion,
    secrets: &Secrets<'_>,
) -> Result<CompiledAgent, CompileError> {
    let stored: Vec<&Tool> = version.tools.iter().collect();
    let (settings, tools) = opened(&version.settings, &stored, secrets).await?;
    compile_definition(Definition {
        version: version.summary.version,
        name: version.summary.name.clone(),
        settings,
        tools,
        ..base
    })
}

/// The configuration of an agent that compiled.
pub(super) async fn configured(
    compiled: Arc<CompiledAgent>,
    tenant: &Entry<Tenant>,
    secrets: &Secrets<'_>,
    config: &DirectoryConfig,
) -> Result<AgentConfig, CompileError> {
    let definition = compiled.definition();
    let settings = &definition.settings;
    let wish = settings.engine();
    let mut agent = config.base.clone();
    agent.name.clone_from(&definition.agent_id);
    agent.engine = engine(&wish, secrets, config).await?;
    agent.fallback = match &wish.fallback {
        Some(wish) => Some(engine(wish, secrets, config).await?),
        None => None,
    };
    let limits = settings.rules.limits.clone().unwrap_or_default();
    let profile = &mut agent.profile;
    if let Some(seconds) = settings.rules.max_call_duration_sec {
        profile.max_duration_ms = seconds.saturating_mul(1_000);
    }
    if let Some(seconds) = settings.rules.parking_timeout_sec {
        profile.parking_ms = seconds.saturating_mul(1_000);
    }
    if let Some(filler_ms) = limits.tool_filler_ms {
        profile.tool_filler_ms = filler_ms;
    }
    if let Some(seconds) = limits.idle_timeout_sec {
        profile.idle_reprompt_ms = seconds.saturating_mul(1_000);
    }
    if let Some(seconds) = limits.ring_sec {
        profile.ring_ms_fixed = (seconds > 0).then(|| seconds.saturating_mul(1_000));
    }
    if settings.extra.get("toolFiller").and_then(Value::as_str) == Some("sound") {
        profile.tool_filler = call::Filler::Sound;
    }
    profile.language = if settings.speaks_english() {
        Language::En
    } else {
        Language::Fr
    };
    agent.office = Some(OfficeConfig {
        caller: Caller {
            tenant: definition.tenant_id.clone(),
            agent: Some(definition.agent_id.clone()),
            call: None,
            signing_secret: secrets.signing().await,
            hosts: Vec::new(),
            traceparent: None,
        },
        calls_max: limits.max_parallel_calls.unwrap_or_default(),
        tenant_calls_max: tenant
            .calls_max
            .and_then(|calls| u32::try_from(calls).ok())
            .unwrap_or_default(),
        fail_closed: config.fail_closed,
        vault: secrets.vault.cloned(),
        agent: Arc::clone(&compiled),
    });
    Ok(agent)
}

/// One engine: the process's own where the agent names none.
pub(super) async fn engine(
    wish: &Wish,
    secrets: &Secrets<'_>,
    config: &DirectoryConfig,
) -> Result<EngineChoice, CompileError> {
    let base = &config.base.engine;
    let mut engine = base.clone();
    engine.realtime = realtime(wish, secrets, config).await?;
    if wish.voice.is_some() {
        engine.voice.clone_from(&wish.voice);
    }
    if let Some(speed) = wish.speed {
        engine.speed = Some(single(speed));
    }
    turn_detection(wish, &mut engine.turn_detection);
    match wish.noise_reduction.as_deref() {
        Some("near_field") => engine.noise_reduction = Some(NoiseReduction::NEAR_FIELD),
        Some("far_field") => engine.noise_reduction = Some(NoiseReduction::FAR_FIELD),
        Some(_) => engine.noise_reduction = None,
        None => {}
    }
    if let Some(transcription) = &wish.transcription {
        engine.transcription = (!transcription.disabled).then(|| {
            let known = base.transcription.clone().unwrap_or_default();
            Transcription {
                model: transcription.model.clone().unwrap_or(known.model),
                language: transcription.language.clone().or(known.language),
                prompt: transcription.prompt.clone().or(known.prompt),
                ..Transcription::default()
            }
        });
    }
    if let Some(effort) = wish.reasoning_effort.as_deref() {
        engine.generation.reasoning_effort = reasoning_effort(effort);
    }
    engine.take_options(wish);
    Ok(engine)
}

/// Where the engine is. The process's key goes only to the process's own engine: an address that a tenant wrote gets the key that
/// the tenant keeps for it, and is reached only where tenants may reach.
async fn realtime(
    wish: &Wish,
    secrets: &Secrets<'_>,
    config: &DirectoryConfig,
) -> Result<RealtimeConfig, CompileError> {
    let base = &config.base.engine.realtime;
    let refused = |cause| CompileError::Engine { cause };
    let name = wish.provider.as_deref().unwrap_or_default();
    let url = wish.url.as_deref().unwrap_or_default();
    if name.is_empty() && url.is_empty() {
        let mut own = base.clone();
        if let Some(model) = &wish.model {
            own.model.clone_from(model);
        }
        if let Some(key) = secrets.engine_key("openai").await
            && !key.is_empty()
        {
            own.key = key;
        }
        return Ok(own);
    }
    let provider = match name {
        "" | "compatible" => Provider::Custom,
        name => Provider::from_name(name).ok_or_else(|| refused("no such provider"))?,
    };
    if !url.is_empty() {
        let as_http = url.replacen("ws", "http", 1);
        courier::guard::check_url(&as_http, &config.reach, &[])
            .map_err(|_| refused("its address may not be reached"))?;
    }
    let key = secrets.engine_key(provider.name()).await;
    let of_process =
        url.is_empty() && provider.protocol() == base.protocol && provider == Provider::OpenAi;
    let key = match key {
        Some(key) => key,
        None if of_process => base.key.clone(),
        None => Secret::default(),
    };
    let model = wish.model.as_deref().unwrap_or_default();
    let mut realtime = RealtimeConfig::preset(provider, url, model, key)
        .ok_or_else(|| refused("it needs an address and a model"))?;
    realtime.append_ms = base.append_ms;
    realtime.connect_timeout = base.connect_timeout;
    Ok(realtime)
}

fn turn_detection(wish: &Wish, turns: &mut TurnDetection) {
    let Some(wished) = &wish.turn_detection else {
        return;
    };
    match wished.kind.as_deref() {
        Some("none") => *turns = TurnDetection::Manual,
        Some("semantic_vad") => {
            *turns = TurnDetection::Semantic {
                eagerness: match wished.eagerness.as_deref() {
                    Some("low") => Eagerness::Low,
                    Some("medium") => Eagerness::Medium,
                    Some("high") => Eagerness::High,
                    _ => Eagerness::Auto,
                },
                create_response: wished.create_response.unwrap_or(true),
                interrupt_response: wished.interrupt_response.unwrap_or(true),
            };
        }
        _ => {
            let mut server = match turns {
                TurnDetection::Server(server) => server.clone(),
                TurnDetection::Semantic { .. } | TurnDetection::Manual => Default::default(),
            };
            if let Some(threshold) = wished.threshold {
                server.threshold = single(threshold);
            }
            if let Some(ms) = wished.prefix_padding_ms {
                server.prefix_padding_ms = ms;
            }
            if let Some(ms) = wished.silence_duration_ms {
                server.silence_duration_ms = ms;
            }
            server.idle_timeout_ms = wished.idle_timeout_ms.or(server.idle_timeout_ms);
            server.create_response = wished.create_response.unwrap_or(server.create_response);
            server.interrupt_response = wished
                .interrupt_response
                .unwrap_or(server.interrupt_response);
            *turns = TurnDetection::Server(server);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "settings between 0 and 2, checked when they were saved"
)]
fn single(number: f64) -> f32 {
    number as f32
}

fn reasoning_effort(name: &str) -> Option<ReasoningEffort> {
    match name {
        "minimal" => Some(ReasoningEffort::Minimal),
        "low" => Some(ReasoningEffort::Low),
        "medium" => Some(ReasoningEffort::Medium),
        "high" => Some(ReasoningEffort::High),
        "xhigh" => Some(ReasoningEffort::XHigh),
        _ => None,
    }
}
