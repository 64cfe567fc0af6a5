//! Calls that a program asks us to place.
//!
//! Nobody may call anywhere unless somebody said so: a line calls what its `outboundPrefixes` allow, or its account's where it has none
//! of its own, and premium and satellite numbers never.

mod answering;
mod by_device;
mod by_workflow;
mod guard;
pub(crate) mod inviting;

use super::owner::agent as find_agent;
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::Json;
use crate::caller::Caller;
use crate::limits::{
    CALLBACK_CHARACTERS_MAX, CUSTOM_PARAMS_BYTES_MAX, OUTBOUND_RULES_MAX, RING_SECONDS,
    RING_SECONDS_DEFAULT,
};
use crate::problem::Problem;
use crate::support::{Faults, object, page};
pub(super) use guard::check_ceilings;

use agent::Placement;
use answering::AnsweringMachine;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use call::CallId;
use engine::{PlaceCall, PlaceCallError, PlacedByWorkflow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::{Entry, Owned, PhoneLine, PhoneLineFilter, TenantScope};
use utoipa::ToSchema;

/// Member of a line's settings, and of an account's, that says whom it may call.
pub(super) const RULES: &str = "outboundPrefixes";

/// How long a line that was just written is waited for.
const LINE_KNOWN_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked for.
const LINE_KNOWN_EVERY: Duration = Duration::from_millis(20);

/// A call to place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    /// Number to call, or a `sip:` address. With `device` it may be absent: the device itself rings.
    #[serde(default)]
    to: String,
    /// The agent that speaks; one of its lines that may call the number is taken. This, `line`, `device` or `workflow`.
    agent_id: Option<String>,
    /// Id of the line, or the name of a line of the settings.
    line: Option<String>,
    /// Slug or id of a workflow: its agent speaks, by the account that it names or distributes to, and by that account's backups
    /// where nobody was reached. Of the first account of the platform where the operator of the node gives a slug.
    workflow: Option<String>,
    /// Id of a device: its agent speaks. A number in `to` is dialled through it, where its `outboundPrefixes` allow that.
    device: Option<String>,
    /// Number of ours that is shown: picks the line that has it.
    from: Option<String>,
    /// Values of `ctx.*` in the agent's templates.
    #[schema(value_type = Option<Object>)]
    custom_params: Option<Map<String, Value>>,
    /// Address that is told `initiated`, `ringing`, `answered` and `completed`, by signed POST.
    callback_url: Option<String>,
    /// How long it may ring, 5 to 120 seconds; 30 where absent.
    timeout_sec: Option<u32>,
    /// What is done where an answering machine may take the call; absent: nobody looks. Not for lines of the settings.
    #[serde(default)]
    answering_machine: AnsweringMachine,
    /// The trace of who asks, as the request's header says it.
    #[serde(skip)]
    trace_parent: Option<String>,
}

/// A call that was placed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlacedView {
    /// Its id.
    id: String,
    /// The same, by the name of existing clients.
    sid: String,
    /// `outbound`.
    direction: &'static str,
    /// The number that is shown.
    from: String,
    /// The called.
    to: String,
    /// `initiated`.
    status: &'static str,
    /// As they were given.
    #[schema(value_type = Object)]
    custom_params: Map<String, Value>,
    /// ISO-8601.
    created_at: String,
}

/// Where the call goes out.
struct Way {
    scope: TenantScope,
    /// Name of the line.
    line: String,
    from: String,
    /// As it is dialled.
    to: String,
    /// A carrier brings the audio.
    by_carrier: bool,
    /// Its agent is of the database.
    stored: bool,
}

/// The rules of these settings, where they have any.
fn own_rules(settings: &str) -> Option<Vec<String>> {
    let listed = object(settings).get(RULES)?.as_array()?.clone();
    let texts = listed.into_iter().take(OUTBOUND_RULES_MAX);
    Some(
        texts
            .filter_map(|rule| rule.as_str().map(str::to_owned))
            .collect(),
    )
}

/// Whom a line may call, in the words of `agent::outbound`.
fn rules(line: &str, account: &str) -> Vec<String> {
    own_rules(line)
        .or_else(|| own_rules(account))
        .unwrap_or_default()
}

/// Checks the member of a line that says whom it may call.
pub(super) fn check_rules(settings: &Map<String, Value>, faults: &mut Faults) {
    let fine = match settings.get(RULES) {
        None | Some(Value::Null) => true,
        Some(Value::Array(rules)) => {
            rules.len() <= OUTBOUND_RULES_MAX
                && rules.iter().all(|rule| rule.as_str().is_some_and(is_rule))
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => false,
    };
    faults.unless(
        fine,
        RULES,
        "choice",
        "[\"+33\", \"04\", \"sip:pbx.example\"]",
    );
}

fn is_rule(rule: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match rule.strip_prefix("sip:") {
        Some(host) => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()),
        None => digits(rule.strip_prefix('+').unwrap_or(rule)),
    }
}

/// Numbers and SIP addresses only: no header, no parameter comes in by a number.
fn is_plain(to: &str) -> bool {
    let mut bytes = to.bytes();
    (1..=128).contains(&to.len())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+:@.-_*#".contains(&byte))
}

fn check_ring(ring_s: Option<u32>, faults: &mut Faults) {
    let fine = ring_s.is_none_or(|ring_s| RING_SECONDS.contains(&ring_s));
    faults.unless(fine, "timeoutSec", "range", "5..120");
}

fn ring_ms(ring_s: Option<u32>) -> u32 {
    ring_s.unwrap_or(RING_SECONDS_DEFAULT).saturating_mul(1_000)
}

impl Place {
    fn check(&self) -> Result<(), Problem> {
        let mut faults = Faults::default();
        let device_alone = self.device.is_some() && self.to.is_empty();
        faults.unless(
            device_alone || is_plain(&self.to),
            "to",
            "characters",
            "+33123456789",
        );
        let named = [&self.agent_id, &self.line, &self.workflow, &self.device];
        let one = named.iter().filter(|name| name.is_some()).count() == 1;
        faults.unless(one, "agentId", "choice", "agentId, line, device, workflow");
        // The account that the workflow chooses says which number is shown.
        let from = self.from.is_none() || (self.workflow.is_none() && self.device.is_none());
        faults.unless(from, "from", "choice", "agentId, line");
        check_ring(self.timeout_sec, &mut faults);
        let size = self
            .custom_params
            .as_ref()
            .map_or(0, |params| json!(params).to_string().len());
        faults.unless(
            size <= CUSTOM_PARAMS_BYTES_MAX,
            "customParams",
            "length",
            "16384",
        );
        let callback = self.callback_url.as_deref().is_none_or(|url| {
            let web = url.starts_with("https://") || url.starts_with("http://");
            web && url.len() <= CALLBACK_CHARACTERS_MAX
        });
        faults.unless(callback, "callbackUrl", "choice", "https://…");
        self.answering_machine.check(&mut faults);
        faults.done()
    }

    /// The line, once everything allows the call.
    async fn way(&self, api: &Api, caller: &Caller) -> Result<Way, Problem> {
        let (scope, lines) = match (&self.agent_id, &self.line) {
            (Some(agent), _) => {
                let (scope, _) = find_agent(api, caller, agent).await?;
                let filter = PhoneLineFilter {
                    agent_id: Some(agent.clone()),
                    is_active: Some(true),
                    ..PhoneLineFilter::default()
                };
                let page = page(Some(u32::MAX), None)?;
                let lines = api.store.phone_lines(&scope, &filter, &page).await?;
                (scope, lines.items)
            }
            (None, line) => {
                let id = line.as_deref().unwrap_or_default();
                let scope = match &caller.tenant {
                    Some(_) => caller.scope(None)?,
                    None => api
                        .store
                        .node_owner_of(Owned::PhoneLine, id)
                        .await?
                        .unwrap_or_default(),
                };
                let found = api.store.phone_line(&scope, id).await?;
                let found = found.filter(|line| caller.may_touch_agent(&line.agent_id));
                match found {
                    Some(line) => (scope, vec![line]),
                    // A line of the settings is the operator's own.
                    None if caller.is_node() && self.answering_machine.wish().is_some() => {
                        return Err(Problem::field("answeringMachine", "reference", "agentId"));
                    }
                    None if caller.is_node() => return Ok(self.of_settings(scope, id)),
                    None => return Err(Problem::field("line", "reference", "line")),
                }
            }
        };
        let account = api.store.tenant(&scope).await?;
        let account = account.map(|account| account.settings.clone());
        self.choose(scope, &lines, account.as_deref().unwrap_or("{}"))
    }

    /// What the agent is to know, and who follows the call.
    fn placement(&self) -> Placement {
        Placement {
            custom_params: self.custom_params.clone().unwrap_or_default(),
            callback_url: self.callback_url.clone(),
            answering: self.answering_machine.wish(),
            trace_parent: self.trace_parent.clone(),
            ..Placement::default()
        }
    }

    /// Places the call by an agent's line, or by a line.
    async fn by_line(
        &self,
        api: &Api,
        caller: &Caller,
    ) -> Result<(PlacedByWorkflow, String, TenantScope), Problem> {
        let way = self.way(api, caller).await?;
        let _leave = guard::leave(api, caller, &way.scope, &way.to).await?;
        let request = PlaceCall {
            line: way.line.clone(),
            to: way.to.clone(),
            ring_ms: Some(ring_ms(self.timeout_sec)),
            placement: way.stored.then(|| self.placement()),
        };
        let call = dial(api, &way, request).await?;
        let placed = PlacedByWorkflow {
            call,
            line: way.line,
            from: way.from,
        };
        Ok((placed, way.to, way.scope))
    }

    fn of_settings(&self, scope: TenantScope, line: &str) -> Way {
        Way {
            scope,
            line: line.to_owned(),
            from: self.from.clone().unwrap_or_default(),
            to: self.to.clone(),
            by_carrier: false,
            stored: false,
        }
    }

    fn choose(
        &self,
        scope: TenantScope,
        lines: &[Entry<PhoneLine>],
        account: &str,
    ) -> Result<Way, Problem> {
        let shown = |line: &&Entry<PhoneLine>| {
            let wanted = self.from.as_deref();
            line.is_active && wanted.is_none_or(|from| from == line.phone_number)
        };
        let mut shown = lines.iter().filter(shown).peekable();
        if shown.peek().is_none() {
            return Err(Problem::field("from", "reference", "phoneNumber"));
        }
        let allowed = shown.find_map(|line| {
            let by_carrier = line.provider != "sip";
            let to = agent::outbound(&self.to, &rules(&line.settings, account))?;
            (!by_carrier || !to.starts_with("sip")).then_some((line, to, by_carrier))
        });
        let Some((line, to, by_carrier)) = allowed else {
            return Err(Problem::new(StatusCode::FORBIDDEN, "api_call_not_allowed"));
        };
        Ok(Way {
            scope,
            line: line.id.clone(),
            from: line.phone_number.clone(),
            to,
            by_carrier,
            stored: true,
        })
    }
}

/// Places a call: its agent speaks when it is answered. Nobody is called whom the line's `outboundPrefixes` do not allow.
#[utoipa::path(post, path = "/api/calls", tag = "live", request_body = Place,
    params(("traceparent" = Option<String>, Header, description = "The trace that the call is to be part of (W3C Trace Context), where traces are told.")),
    responses((status = 201, body = PlacedView)))]
pub(crate) async fn place(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Json(mut body): Json<Place>,
) -> Result<Answer, Problem> {
    body.check()?;
    let parent = headers.get("traceparent");
    body.trace_parent = parent
        .and_then(|parent| parent.to_str().ok())
        .map(str::to_owned);
    let created_at = jiff::Timestamp::now();
    let placed = match (&body.workflow, &body.device) {
        (Some(workflow), _) => by_workflow::place(&api, &caller, &body, workflow).await,
        (None, Some(device)) => by_device::place(&api, &caller, &body, device).await,
        (None, None) => body.by_line(&api, &caller).await,
    };
    let (placed, to, scope) = match placed {
        Ok(placed) => placed,
        Err(problem) => {
            // What the account's own ceilings refuse was written down where they were read.
            if let Some(why) = guard::label(problem.code(), &body.to) {
                let scope = caller.scope(None).ok();
                guard::refused(&api, &caller, scope.as_ref(), &body.to, why).await;
            }
            return Err(problem);
        }
    };
    let id = placed.call;
    let view = PlacedView {
        id: id.to_string(),
        sid: id.to_string(),
        direction: "outbound",
        from: placed.from,
        to,
        status: "initiated",
        custom_params: body.custom_params.unwrap_or_default(),
        created_at: created_at.to_string(),
    };
    Ok(Answer::created(view)?.changed(Change {
        action: "place",
        entity: "call",
        id: id.to_string(),
        tenant: Some(scope.tenant().to_string()),
        detail: Some(json!({ "line": placed.line, "workflow": body.workflow })),
    }))
}

/// The telephone side reads a line a moment after it was written: a line that is not known there yet is waited for.
async fn known(api: &Api, way: &Way) {
    let known = async {
        while api.engine.find_line(&way.line).is_none() {
            tokio::time::sleep(LINE_KNOWN_EVERY).await;
        }
    };
    if way.stored {
        let _ = tokio::time::timeout(LINE_KNOWN_WITHIN, known).await;
    }
}

/// Why the telephone side did not place a call, as an error of the API.
fn not_placed(error: &PlaceCallError) -> Problem {
    if *error == PlaceCallError::Premium {
        return Problem::new(StatusCode::FORBIDDEN, "api_call_premium");
    }
    Problem::new(StatusCode::CONFLICT, "api_call_refused").with("cause", error.to_string())
}

async fn dial(api: &Api, way: &Way, request: PlaceCall) -> Result<CallId, Problem> {
    known(api, way).await;
    let refused = |status: StatusCode, cause: String| {
        Problem::new(status, "api_call_refused").with("cause", cause)
    };
    if !way.by_carrier {
        let placed = api.engine.place_call(request).await;
        return placed.map_err(|error| not_placed(&error));
    }
    let Some(carriers) = &api.config.carriers else {
        return Err(refused(
            StatusCode::CONFLICT,
            "voice.listen: off".to_owned(),
        ));
    };
    carriers
        .place(way.from.clone(), request)
        .await
        .map_err(|error| {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_GATEWAY);
            refused(status, error.cause)
        })
}
