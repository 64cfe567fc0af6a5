//! The agent around its tools: words, session, checks, transfers, outcomes, hooks.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::{Check, Compiler, Hooks, Http, Target, Words};
use crate::destination;
use crate::fault::FaultCode;
use crate::hours::Hours;
use crate::json;
use crate::limits::{
    ANNOUNCE_CHARS_MAX, CACHED_GREETING_CHARS_MAX, DISCLOSURE_CHARS_MAX, ENGINES_MAX,
    OUTCOME_RULES_MAX, PRE_CALL_CHECKS_MAX, PRE_CALL_TIMEOUT_MS, SESSION_TIMEOUT_MS, TOOL_RUNS_MAX,
};
use crate::settings::{EngineChoice, OutcomeRule, PreCallCheck, TransferSetting};
use crate::template::{Place, Template, Tree};
use crate::tool::{HttpTemplate, Retry};

/// Everything of an agent but its tools and prices.
pub(crate) struct Parts {
    pub(crate) zone: TimeZone,
    pub(crate) words: Words,
    pub(crate) session: Option<Http>,
    pub(crate) initial_context: Tree,
    pub(crate) checks: Vec<Check>,
    pub(crate) hours: Option<Hours>,
    pub(crate) transfers: BTreeMap<String, Target>,
    pub(crate) rules: Vec<(OutcomeRule, Option<Template>)>,
    pub(crate) hooks: Hooks,
    pub(crate) code: Option<Template>,
}

/// Words of which a French or English disclosure holds one: without it nobody learns that a machine speaks.
const MACHINE_WORDS: &[&str] = &[
    "artificiel",
    "artificial",
    "virtuel",
    "virtual",
    "automat",
    "robot",
    "machine",
    "ordinateur",
    "computer",
    "synth",
    "numérique",
    "digital",
    "chatbot",
    "voicebot",
    "callbot",
];
const MACHINE_ABBREVIATIONS: &[&str] = &["ia", "ai", "bot"];

/// Whether a sentence says that a machine speaks.
pub(crate) fn discloses(text: &str) -> bool {
    let lower = text.to_lowercase();
    MACHINE_WORDS.iter().any(|word| lower.contains(word))
        || lower
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| MACHINE_ABBREVIATIONS.contains(&word))
        || lower.contains("i.a")
        || lower.contains("a.i")
}

impl Compiler<'_> {
    pub(crate) fn agent(&mut self, base_url: Option<&str>) -> Option<Parts> {
        self.base_url(base_url);
        self.ranges();
        let zone = self.zone();
        let words = self.words();
        let session = self.session();
        let initial_context = Value::Object(self.settings.session.initial_context.clone());
        let initial_context = self.tree(&initial_context, "initialContext", Place::Prompt);
        self.sizes();
        let settings = self.settings;
        let hours = settings
            .rules
            .opening_hours
            .as_ref()
            .map(|hours| Hours::compile(hours, &mut self.faults));
        self.closed_action();
        let code = settings
            .rules
            .policy
            .as_ref()
            .and_then(|policy| policy.confirmation_code.as_deref())
            .and_then(|text| self.template(text, "policy.confirmationCode", Place::Prompt));
        Some(Parts {
            checks: self.checks(),
            transfers: self.transfers(),
            rules: self.outcome_rules(),
            hooks: self.hooks(),
            hours,
            code,
            session,
            zone: zone?,
            words: words?,
            initial_context: initial_context?,
        })
    }

    fn base_url(&mut self, base_url: Option<&str>) {
        let Some(url) = base_url else { return };
        let host = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        let clean = host.is_some_and(|host| {
            !host.is_empty()
                && !host.starts_with('/')
                && !host.contains(['@', '?', '#', '\\'])
                && host.bytes().all(|byte| byte.is_ascii_graphic())
        });
        if !clean {
            self.fault("apiBaseUrl", FaultCode::BadUrl, "apiBaseUrl is an address such as https://back.example, without credentials or query.");
        }
    }

    fn zone(&mut self) -> Option<TimeZone> {
        let name = self.settings.timezone();
        match TimeZone::get(name) {
            Ok(zone) => Some(zone),
            Err(_) => {
                self.fault(
                    "timezone",
                    FaultCode::BadTime,
                    "There is no such time zone: use an IANA name such as Europe/Paris.",
                );
                None
            }
        }
    }

    fn ranges(&mut self) {
        let voice = &self.settings.voice;
        let within = |value: Option<f64>, low: f64, high: f64| {
            value.is_none_or(|value| (low..=high).contains(&value))
        };
        let mut wrong: Vec<(&str, &str)> = Vec::new();
        if !within(voice.vad_threshold, 0.0, 1.0) {
            wrong.push(("vadThreshold", "This is a number from 0 to 1."));
        }
        if !within(voice.temperature, 0.0, 2.0) {
            wrong.push(("temperature", "This is a number from 0 to 2."));
        }
        if voice.vad_silence_ms.is_some_and(|ms| ms > 10_000) {
            wrong.push(("vadSilenceMs", "This is at most 10,000 milliseconds."));
        }
        if voice.vad_prefix_padding_ms.is_some_and(|ms| ms > 5_000) {
            wrong.push(("vadPrefixPaddingMs", "This is at most 5,000 milliseconds."));
        }
        let rules = &self.settings.rules;
        if rules
            .max_call_duration_sec
            .is_some_and(|seconds| seconds > 24 * 3_600)
        {
            wrong.push(("maxCallDurationSec", "This is at most a day."));
        }
        let parking = rules.parking_timeout_sec;
        if parking.is_some_and(|seconds| !(10..=3_600).contains(&seconds)) {
            wrong.push(("parkingTimeoutSec", "This is from 10 seconds to an hour."));
        }
        let runs = rules
            .limits
            .as_ref()
            .and_then(|limits| limits.tool_calls_per_call);
        if runs.is_some_and(|runs| runs > TOOL_RUNS_MAX) {
            wrong.push(("limits.toolCallsPerCall", "This is at most 200."));
        }
        if let Some(costs) = &rules.costs {
            if !within(costs.margin_pct, 0.0, 1_000.0) {
                wrong.push(("costs.marginPct", "This is a percentage from 0 to 1,000."));
            }
            if !within(costs.exchange_rate, 0.000_001, 1_000_000.0) {
                wrong.push(("costs.exchangeRate", "This is a positive number."));
            }
            if !within(costs.telephony_per_min, 0.0, 1_000.0) {
                wrong.push(("costs.telephonyPerMin", "This is a price from 0 to 1,000."));
            }
        }
        for (path, message) in wrong {
            self.fault(path, FaultCode::OutOfRange, message);
        }
        if let Some(engine) = &self.settings.voice.engine {
            self.engine(engine);
        }
    }

    fn engine(&mut self, first: &EngineChoice) {
        let mut engine = Some(first);
        let mut path = "engine".to_owned();
        let mut count = 0;
        while let Some(choice) = engine {
            count += 1;
            if count > ENGINES_MAX {
                self.fault(
                    path,
                    FaultCode::TooLarge,
                    format!("A chain has at most {ENGINES_MAX} engines."),
                );
                return;
            }
            self.engine_choice(choice, &path);
            engine = choice.fallback.as_deref();
            path.push_str(".fallback");
        }
    }

    fn engine_choice(&mut self, choice: &EngineChoice, path: &str) {
        let one_of = |value: &Option<String>, known: &[&str]| {
            value.as_deref().is_none_or(|value| known.contains(&value))
        };
        if !one_of(
            &choice.provider,
            &["openai", "azure", "xai", "gemini", "compatible"],
        ) {
            self.fault(
                format!("{path}.provider"),
                FaultCode::OutOfRange,
                "The provider is openai, azure, xai, gemini or compatible.",
            );
        }
        if matches!(choice.provider.as_deref(), Some("azure" | "compatible"))
            && choice.url.is_none()
        {
            self.fault(
                format!("{path}.url"),
                FaultCode::Missing,
                "This provider needs an address.",
            );
        }
        if choice
            .speed
            .is_some_and(|speed| !(0.25..=1.5).contains(&speed))
        {
            self.fault(
                format!("{path}.speed"),
                FaultCode::OutOfRange,
                "The speed is 0.25 to 1.5.",
            );
        }
        if !one_of(
            &choice.noise_reduction,
            &["near_field", "far_field", "none"],
        ) {
            self.fault(
                format!("{path}.noiseReduction"),
                FaultCode::OutOfRange,
                "Noise reduction is near_field, far_field or none.",
            );
        }
        if !one_of(
            &choice.reasoning_effort,
            &["minimal", "low", "medium", "high", "xhigh"],
        ) {
            self.fault(
                format!("{path}.reasoningEffort"),
                FaultCode::OutOfRange,
                "The effort is minimal, low, medium, high or xhigh.",
            );
        }
        if let Some(turn) = &choice.turn_detection {
            if !one_of(&turn.kind, &["server_vad", "semantic_vad", "none"]) {
                self.fault(
                    format!("{path}.turnDetection.type"),
                    FaultCode::OutOfRange,
                    "The type is server_vad, semantic_vad or none.",
                );
            }
            if !one_of(&turn.eagerness, &["low", "medium", "high", "auto"]) {
                self.fault(
                    format!("{path}.turnDetection.eagerness"),
                    FaultCode::OutOfRange,
                    "Eagerness is low, medium, high or auto.",
                );
            }
        }
    }

    fn words(&mut self) -> Option<Words> {
        let settings = self.settings;
        let text = |this: &mut Self, text: &Option<String>, path: &str| {
            text.as_deref()
                .filter(|text| !text.trim().is_empty())
                .and_then(|text| this.template(text, path, Place::Prompt))
        };
        let prompt = text(self, &settings.prompt.base_prompt, "basePrompt");
        let disclosure = text(self, &settings.speech.disclosure, "disclosure");
        self.disclosure(disclosure.as_ref());
        let recording = text(self, &settings.speech.recording_notice, "recordingNotice");
        self.recording_notice();
        let greeting = settings.speech.greeting.clone().unwrap_or_default();
        if !matches!(greeting.mode.as_deref(), None | Some("model" | "none")) {
            self.fault(
                "greeting.mode",
                FaultCode::OutOfRange,
                "The mode is model or none.",
            );
        }
        let name = greeting.name.as_deref().unwrap_or("={{ctx.customer_name}}");
        Some(Words {
            prompt,
            disclosure,
            recording,
            known: text(self, &greeting.known, "greeting.known"),
            unknown: text(self, &greeting.unknown, "greeting.unknown"),
            cached: self.cached(&greeting.cached_text, "greeting.cachedText"),
            cached_known: self.cached(&greeting.cached_text_known, "greeting.cachedTextKnown"),
            name: self.template(name, "greeting.name", Place::Prompt)?,
        })
    }

    fn cached(&mut self, text: &Option<String>, path: &str) -> Option<Template> {
        let text = text.as_deref().filter(|text| !text.trim().is_empty())?;
        if text.chars().count() > CACHED_GREETING_CHARS_MAX {
            self.fault(
                path,
                FaultCode::TooLarge,
                format!(
                    "A greeting has at most {CACHED_GREETING_CHARS_MAX} characters: the caller waits for its end."
                ),
            );
        }
        self.template(text, path, Place::Prompt)
    }

    fn disclosure(&mut self, template: Option<&Template>) {
        let Some(written) = &self.settings.speech.disclosure else {
            return;
        };
        if written.trim().trim_start_matches('=').trim().is_empty() {
            self.fault("disclosure", FaultCode::Missing, "The disclosure may be worded anew, not removed (AI Act, article 50). Leave the field out for our sentence.");
        } else if written.chars().count() > DISCLOSURE_CHARS_MAX {
            self.fault("disclosure", FaultCode::TooLarge, format!("The disclosure has at most {DISCLOSURE_CHARS_MAX} characters: it is said before anything else."));
        } else if template.is_some_and(|template| template.literal().is_some())
            && !self.is_other_language()
            && !discloses(written)
        {
            self.fault("disclosure", FaultCode::DisclosureUnclear, "The sentence must say that a machine speaks, e.g. with \"assistant virtuel\" or \"AI assistant\".");
        }
    }

    fn recording_notice(&mut self) {
        let Some(written) = &self.settings.speech.recording_notice else {
            return;
        };
        if written.trim().trim_start_matches('=').trim().is_empty() {
            self.fault("recordingNotice", FaultCode::Missing, "The sentence may be worded anew, not removed: who is recorded is told so before. Leave the field out for our sentence.");
        } else if written.chars().count() > DISCLOSURE_CHARS_MAX {
            self.fault("recordingNotice", FaultCode::TooLarge, format!("The sentence has at most {DISCLOSURE_CHARS_MAX} characters: it is said before anything else."));
        }
    }

    /// We know the words of French and English only.
    fn is_other_language(&self) -> bool {
        self.settings.prompt.language.as_deref().is_some_and(|tag| {
            let tag = tag.to_ascii_lowercase();
            !tag.is_empty() && !tag.starts_with("fr") && !tag.starts_with("en")
        })
    }

    fn session(&mut self) -> Option<Http> {
        let session = &self.settings.session;
        if !matches!(
            session.session_mode.as_deref(),
            None | Some("config_url" | "inline")
        ) {
            self.fault(
                "sessionMode",
                FaultCode::OutOfRange,
                "The mode is config_url or inline.",
            );
        }
        if !matches!(
            session.session_failure.as_deref(),
            None | Some("apologize" | "continue")
        ) {
            self.fault(
                "sessionFailure",
                FaultCode::OutOfRange,
                "This is apologize or continue.",
            );
        }
        if !matches!(
            session.session_tools.as_deref(),
            None | Some("describe" | "ignore" | "offer")
        ) {
            self.fault(
                "sessionTools",
                FaultCode::OutOfRange,
                "This is describe, ignore or offer.",
            );
        }
        let text = session
            .external_session_url
            .as_deref()
            .filter(|text| !text.trim().is_empty())?;
        let url = self.url(text, "externalSessionUrl", Place::BeforeCall);
        let headers = self.headers(
            &session.external_session_headers,
            "externalSessionHeaders",
            Place::BeforeCall,
        );
        if session.session_mode.as_deref() == Some("inline") {
            return None;
        }
        Some(Http {
            method: crate::exchange::Method::Get,
            url: url?,
            query: Vec::new(),
            headers,
            body: None,
            mapping: None,
            timeout_ms: SESSION_TIMEOUT_MS,
            retry: Retry::Safe,
        })
    }

    fn sizes(&mut self) {
        let session = &self.settings.session;
        for (path, map) in [
            ("config", &self.settings.prompt.config),
            ("sessionData", &session.session_data),
            ("initialContext", &session.initial_context),
        ] {
            let value = Value::Object(map.clone());
            if json::size(&value) > crate::limits::CONTEXT_BYTES_MAX
                || !json::depth_within(&value, crate::limits::JSON_DEPTH_MAX)
            {
                self.fault(
                    path,
                    FaultCode::TooLarge,
                    "This is too large or nested too deeply.",
                );
            }
        }
    }

    fn closed_action(&mut self) {
        let hours = self.settings.rules.opening_hours.as_ref();
        if hours.is_some_and(|hours| {
            !matches!(
                hours.closed_action.as_deref(),
                None | Some("message" | "hangup" | "answer")
            )
        }) {
            self.fault(
                "openingHours.closedAction",
                FaultCode::OutOfRange,
                "This is message, hangup or answer.",
            );
        }
    }

    fn checks(&mut self) -> Vec<Check> {
        let settings = self.settings;
        if settings.rules.pre_call_checks.len() > PRE_CALL_CHECKS_MAX {
            self.fault(
                "preCallChecks",
                FaultCode::TooLarge,
                format!("An agent has at most {PRE_CALL_CHECKS_MAX} checks."),
            );
            return Vec::new();
        }
        let mut checks = Vec::new();
        for (index, check) in settings.rules.pre_call_checks.iter().enumerate() {
            let path = format!("preCallChecks[{index}]");
            let method = check.method.clone().unwrap_or_else(|| "GET".to_owned());
            let reads = method.trim().eq_ignore_ascii_case("get");
            let template = HttpTemplate {
                url: check.url.clone(),
                query: if reads {
                    check.params.clone()
                } else {
                    serde_json::Map::new()
                },
                body_template: if reads {
                    Value::Null
                } else {
                    Value::Object(check.params.clone())
                },
                headers: check.headers.clone(),
                timeout_ms: check.timeout_ms.or(Some(PRE_CALL_TIMEOUT_MS)),
                method,
                ..HttpTemplate::default()
            };
            let http = self.http(
                &template,
                &path,
                (Place::BeforeCall, Place::BeforeCallReply),
                None,
            );
            let (block_if, says) = self.check_verdict(check, &path);
            checks.extend(http.zip(block_if).map(|(http, block_if)| Check {
                name: check.name.clone(),
                http,
                block_if,
                message: check.message.clone(),
                says,
                fail_open: check.fail_open.unwrap_or(true),
            }));
        }
        checks
    }

    /// When a check blocks, and whether the caller is told.
    fn check_verdict(&mut self, check: &PreCallCheck, path: &str) -> (Option<Template>, bool) {
        let block_if = if check.block_if.trim().is_empty() {
            self.fault(
                format!("{path}.blockIf"),
                FaultCode::Missing,
                "Say when the call is blocked, e.g. ={{$res.blocked}}.",
            );
            None
        } else {
            self.template(
                &check.block_if,
                &format!("{path}.blockIf"),
                Place::BeforeCallReply,
            )
        };
        let says = match check.on_block.as_deref() {
            None | Some("hangup") => false,
            Some("message") => true,
            Some(_) => {
                self.fault(
                    format!("{path}.onBlock"),
                    FaultCode::OutOfRange,
                    "This is hangup or message.",
                );
                false
            }
        };
        if says
            && check
                .message
                .as_deref()
                .is_none_or(|text| text.trim().is_empty())
        {
            self.fault(
                format!("{path}.message"),
                FaultCode::Missing,
                "Say what the caller is told.",
            );
        }
        (block_if, says)
    }

    fn transfers(&mut self) -> BTreeMap<String, Target> {
        let settings = self.settings;
        let mut targets = BTreeMap::new();
        for (name, target) in &settings.rules.transfer.transfer_targets {
            let path = format!("transferTargets.{name}");
            if let Some((field, told)) = target.fault() {
                self.fault(format!("{path}.{field}"), FaultCode::OutOfRange, told);
            }
            let announcement = self.announcement(target, &format!("{path}.announce"));
            match destination::operators(target.destination()) {
                Some(destination) => {
                    targets.insert(
                        name.clone(),
                        Target {
                            destination,
                            description: target.description().map(str::to_owned),
                            manner: target.manner(),
                            announcement,
                        },
                    );
                }
                None => self.fault(path, FaultCode::BadDestination, "This is a telephone number or a sip: address; premium and satellite numbers are refused."),
            }
        }
        for (index, prefix) in settings
            .rules
            .transfer
            .transfer_allowed_prefixes
            .iter()
            .enumerate()
        {
            let digits = prefix.strip_prefix('+').unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                self.fault(
                    format!("transferAllowedPrefixes[{index}]"),
                    FaultCode::BadDestination,
                    "A prefix is written +33 or +33491.",
                );
            }
        }
        targets
    }

    fn announcement(&mut self, target: &TransferSetting, path: &str) -> Option<Template> {
        let text = target.announce()?;
        if text.chars().count() > ANNOUNCE_CHARS_MAX {
            self.fault(
                path,
                FaultCode::TooLarge,
                format!("An announcement has at most {ANNOUNCE_CHARS_MAX} characters."),
            );
            return None;
        }
        self.template(text, path, Place::Announcement)
    }

    fn outcome_rules(&mut self) -> Vec<(OutcomeRule, Option<Template>)> {
        let settings = self.settings;
        if settings.rules.outcome_rules.len() > OUTCOME_RULES_MAX {
            self.fault(
                "outcomeRules",
                FaultCode::TooLarge,
                format!("An agent has at most {OUTCOME_RULES_MAX} outcome rules."),
            );
            return Vec::new();
        }
        let mut rules = Vec::new();
        for (index, rule) in settings.rules.outcome_rules.iter().enumerate() {
            let path = format!("outcomeRules[{index}]");
            if rule.outcome.trim().is_empty() || rule.outcome.len() > 64 {
                self.fault(
                    format!("{path}.outcome"),
                    FaultCode::Missing,
                    "An outcome has a name of at most 64 characters.",
                );
            }
            let when = match rule.when.as_deref() {
                None => None,
                Some(text) => match self.template(text, &format!("{path}.when"), Place::End) {
                    Some(template) => Some(template),
                    None => continue,
                },
            };
            rules.push((rule.clone(), when));
        }
        // Stable: among equals the first that was written.
        rules.sort_by_key(|(rule, _)| std::cmp::Reverse(rule.priority));
        rules
    }

    fn hooks(&mut self) -> Hooks {
        let settings = self.settings;
        let hook = |this: &mut Self, template: &Option<HttpTemplate>, path: &str, place: Place| {
            let template = template.as_ref()?;
            let http = this.http(template, path, (place, place), None)?;
            if http.method != crate::exchange::Method::Post {
                this.fault(
                    format!("{path}.method"),
                    FaultCode::BadMethod,
                    "This is sent by POST.",
                );
                return None;
            }
            if !http.headers.is_empty() {
                this.fault(
                    format!("{path}.headers"),
                    FaultCode::BadHeader,
                    "This goes through the outbox, which signs it and sets its own headers.",
                );
            }
            Some(http)
        };
        let end = settings
            .rules
            .on_call_end_webhook
            .as_deref()
            .filter(|text| !text.trim().is_empty());
        Hooks {
            on_start: hook(self, &settings.rules.on_start, "onStart", Place::Prompt),
            on_no_action: hook(self, &settings.rules.on_no_action, "onNoAction", Place::End),
            call_end: end.and_then(|text| self.url(text, "onCallEndWebhook", Place::End)),
        }
    }
}
