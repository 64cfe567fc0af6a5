//! Devices: telephones and gateways that register with us, with where they are registered now.

use super::owner::{of, text_in};
use super::placing::{RULES, check_rules};
use super::sip_account_fields::check_rate;
use super::sip_accounts::scope;
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::Caller;
use crate::limits::TEXT_CHARACTERS_MAX;
use crate::problem::Problem;
use crate::support::{Faults, found, merged, object, page, put, repeat, tag};
use axum::extract::State;
use axum::http::HeaderMap;
use engine::DeviceBinding;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Device, DeviceFilter, Entry, Owned, Sealed, TenantScope, new_id};
use utoipa::{IntoParams, ToSchema};

/// Longest label, user name and password, in characters.
const NAME_MAX: usize = 128;
const USERNAME_MAX: usize = 64;
const PASSWORD_MAX: usize = 256;
/// Algorithms of a challenge.
const DIGESTS: [&str; 3] = ["md5", "sha-256", "sha-512-256"];
/// A password that a scanner's list does not hold.
const PASSWORD_MIN: usize = 12;

/// What can be written of a device, besides its password.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = DeviceFields)]
pub(crate) struct DeviceFields {
    /// Its name.
    label: String,
    /// User part of its address and its name for the digest: letters, digits, `.`, `-`, `_`, `+`. New within its domain, on the
    /// whole node.
    username: String,
    /// The domain that it registers at; empty: the node's common one, whatever host the device is told.
    domain: String,
    /// The agent that answers its calls.
    agent_id: Option<String>,
    /// The workflow that takes its calls; it goes before the agent.
    workflow_id: Option<String>,
    /// The number that its calls show; null: what it says itself.
    caller_id: Option<String>,
    /// Places where it may be registered at once, 1 to 16: one more takes the place of the one heard of longest ago.
    bindings_max: i64,
    /// Calls at the same time; 0 is no limit of its own.
    calls_max: i64,
    /// New calls a second, 1 to 10000; a call beyond gets 503 with Retry-After. Null or 0 is no limit of its own.
    calls_per_s_max: Option<i64>,
    /// Whether it may register and call.
    is_active: bool,
    /// Seconds between two keep-alives towards it; 0 switches them off; null: 30.
    keep_alive_s: Option<i64>,
    /// `off`, `preferred`, `required`, `dtls_preferred` or `dtls_required`; null: as the settings say.
    srtp: Option<String>,
    /// Algorithms of its challenge in the order of preference: `md5`, `sha-256`, `sha-512-256`; null: `md5`. Several make several
    /// challenges, which telephones in use do not all take.
    digest: Option<Vec<String>>,
    /// Whether it may come into running calls of its account by dialling `*86` (beside the agent), `*87` (in its place) or `*88` (to
    /// listen, unheard) and the last digits of the caller's number.
    joins_calls: bool,
    /// What may be dialled through it (`POST /api/calls` with `device` and `to`): null or empty nothing.
    #[serde(rename = "outboundPrefixes")]
    outbound_prefixes: Option<Vec<String>>,
}

/// A device as it is made.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "the schema of the request; its values are merged")]
#[schema(as = DeviceCreate)]
pub(crate) struct DeviceCreate {
    /// Of which account of the platform.
    account_id: Option<String>,
    /// Its name.
    label: String,
    /// User part of its address and its name for the digest.
    username: String,
    /// Password, 12 characters or more: kept encrypted and never shown.
    password: String,
    /// The domain that it registers at.
    domain: Option<String>,
    /// The agent that answers its calls.
    agent_id: Option<String>,
    /// The workflow that takes its calls.
    workflow_id: Option<String>,
    /// The number that its calls show.
    caller_id: Option<String>,
    /// Places where it may be registered at once.
    bindings_max: Option<i64>,
    /// Calls at the same time.
    calls_max: Option<i64>,
    /// Whether it may come into running calls of its account by dialling.
    joins_calls: Option<bool>,
}

/// Where a device is registered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BindingView {
    /// Its Contact.
    contact: String,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`.
    transport: &'static str,
    /// Address and port that it was seen from.
    source: String,
    /// Whether its Contact names another host than that.
    is_behind_nat: bool,
    /// False once it left several keep-alives unanswered.
    is_reachable: bool,
    /// Proxies on the way to it.
    path: Vec<String>,
    /// What it calls itself.
    user_agent: Option<String>,
    /// Seconds until it expires.
    expires_in_s: u64,
}

/// A device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeviceView)]
pub(crate) struct DeviceView {
    /// Its id; also the salt of its password.
    id: String,
    /// Of which account of the platform.
    account_id: String,
    /// Every field that can be written.
    #[serde(flatten)]
    fields: DeviceFields,
    /// Where it is registered now, the place heard of last first.
    bindings: Vec<BindingView>,
    /// Rises with each change; the entity tag.
    version: i64,
    /// ISO-8601.
    created_at: String,
    /// ISO-8601.
    updated_at: String,
}

/// Which devices.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeviceQuery {
    /// Of which account of the platform; the operator of the node who names none means the first one.
    account_id: Option<String>,
    /// With this in the label or the user name.
    search: Option<String>,
    /// Active or not.
    is_active: Option<bool>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn fields(device: &Device) -> DeviceFields {
    let settings = object(&device.settings);
    let texts = |list: &Value| serde_json::from_value::<Vec<String>>(list.clone()).ok();
    DeviceFields {
        label: device.label.clone(),
        username: device.username.clone(),
        domain: device.domain.clone(),
        agent_id: device.agent_id.clone(),
        workflow_id: device.workflow_id.clone(),
        caller_id: device.caller_id.clone(),
        bindings_max: device.bindings_max,
        calls_max: device.calls_max,
        calls_per_s_max: settings.get("calls_per_s_max").and_then(Value::as_i64),
        is_active: device.is_active,
        keep_alive_s: settings.get("keep_alive_s").and_then(Value::as_i64),
        srtp: settings
            .get("srtp")
            .and_then(Value::as_str)
            .map(str::to_owned),
        digest: settings.get("digest").and_then(texts),
        joins_calls: settings.get("joins_calls").and_then(Value::as_bool) == Some(true),
        outbound_prefixes: settings.get(RULES).and_then(texts),
    }
}

fn view(entry: &Entry<Device>, bindings: &mut BTreeMap<String, Vec<DeviceBinding>>) -> DeviceView {
    let shown = |binding: DeviceBinding| BindingView {
        contact: binding.contact,
        transport: binding.protocol,
        source: binding.source,
        is_behind_nat: binding.is_behind_nat,
        is_reachable: binding.is_reachable,
        path: binding.path,
        user_agent: binding.user_agent,
        expires_in_s: binding.expires_in_s,
    };
    let bindings = bindings.remove(&entry.id).unwrap_or_default();
    DeviceView {
        id: entry.id.clone(),
        account_id: entry.tenant.clone().unwrap_or_default(),
        fields: fields(entry),
        bindings: bindings.into_iter().map(shown).collect(),
        version: entry.version,
        created_at: entry.created_at.to_string(),
        updated_at: entry.updated_at.to_string(),
    }
}

fn audited(device: &Device) -> Value {
    serde_json::to_value(fields(device)).unwrap_or_default()
}

/// Applies a body: the device, and the password that it names.
fn changed(
    device: &Device,
    body: &Value,
    is_new: bool,
) -> Result<(Device, Option<String>), Problem> {
    let password = text_in(body, "password")?;
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.retain(|_, value| !is_new || !value.is_null());
    }
    let fields: DeviceFields = merged(&fields(device), body)?;
    let trimmed = |text: Option<String>| {
        let text = text.map(|text| text.trim().to_owned());
        text.filter(|text| !text.is_empty())
    };
    let mut settings = object(&device.settings);
    put(&mut settings, "keep_alive_s", json!(fields.keep_alive_s));
    let rate = json!(fields.calls_per_s_max);
    put(&mut settings, "calls_per_s_max", rate);
    put(&mut settings, "srtp", json!(trimmed(fields.srtp)));
    put(&mut settings, "digest", json!(fields.digest));
    let joins_calls = fields.joins_calls.then_some(true);
    put(&mut settings, "joins_calls", json!(joins_calls));
    put(&mut settings, RULES, json!(fields.outbound_prefixes));
    let device = Device {
        label: fields.label.trim().to_owned(),
        username: fields.username.trim().to_owned(),
        domain: fields.domain.trim().to_ascii_lowercase(),
        password: device.password.clone(),
        agent_id: trimmed(fields.agent_id),
        workflow_id: trimmed(fields.workflow_id),
        caller_id: trimmed(fields.caller_id),
        bindings_max: fields.bindings_max,
        calls_max: fields.calls_max,
        is_active: fields.is_active,
        settings: Value::Object(settings).to_string(),
    };
    Ok((device, password))
}

/// Everything that is wrong with a device, each with its field.
fn checked(device: &Device, password: Option<&str>) -> Result<(), Problem> {
    let mut faults = Faults::default();
    faults.text("label", &device.label, NAME_MAX);
    faults.text("username", &device.username, USERNAME_MAX);
    let plain = |text: &str, more: &[u8]| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    let username = plain(&device.username, b".-_+");
    faults.unless(username, "username", "characters", "101");
    let domain = device.domain.len() <= TEXT_CHARACTERS_MAX && plain(&device.domain, b".-");
    faults.unless(domain, "domain", "format", "pbx.example.org");
    let caller_id = device
        .caller_id
        .as_deref()
        .is_none_or(|number| number.len() <= USERNAME_MAX && plain(number, b"+*#._-"));
    faults.unless(caller_id, "caller_id", "characters", "+33123456789");
    if let Some(password) = password {
        let length = password.chars().count();
        let fine =
            (PASSWORD_MIN..=PASSWORD_MAX).contains(&length) && !password.contains(char::is_control);
        faults.unless(fine, "password", "length", "12–256");
    }
    let said = fields(device);
    for (path, value, low, high) in [
        ("bindings_max", Some(device.bindings_max), 1, 16),
        ("calls_max", Some(device.calls_max), 0, 100_000),
        ("keep_alive_s", said.keep_alive_s, 0, 3_600),
    ] {
        let fine = value.is_none_or(|value| (low..=high).contains(&value));
        faults.unless(fine, path, "range", &format!("{low}–{high}"));
    }
    check_rate("calls_per_s_max", said.calls_per_s_max, &mut faults);
    if let Some(srtp) = said.srtp.as_deref() {
        faults.choice("srtp", srtp, &engine::config::SrtpPolicy::NAMES);
    }
    for (number, algorithm) in said.digest.iter().flatten().enumerate() {
        let path = format!("digest[{number}]");
        faults.unless(number < DIGESTS.len(), &path, "range", "1–3");
        faults.choice(&path, algorithm, &DIGESTS);
    }
    check_rules(&object(&device.settings), &mut faults);
    faults.done()
}

async fn seal(api: &Api, id: &str, password: &str) -> Result<Sealed, Problem> {
    let sealed = api.vault.seal(id, password).await;
    Ok(Sealed::new(sealed.map_err(Problem::internal)?))
}

async fn find(
    api: &Api,
    caller: &Caller,
    id: &str,
) -> Result<(TenantScope, Entry<Device>), Problem> {
    let scope = of(api, caller, Owned::Device, id).await?;
    let entry = found(api.store.device(&scope, id).await?)?;
    Ok((scope, entry))
}

/// The devices, with where they are registered.
#[utoipa::path(get, path = "/api/admin/devices", tag = "devices", params(DeviceQuery),
    responses((status = 200, body = [DeviceView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<DeviceQuery>,
) -> Result<Answer, Problem> {
    let scope = scope(&caller, query.account_id.as_deref())?;
    let filter = DeviceFilter {
        search: query.search,
        is_active: query.is_active,
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.devices(&scope, &filter, &page).await?;
    let mut bindings = api.engine.device_bindings().await;
    let views: Vec<_> = list
        .items
        .iter()
        .map(|entry| view(entry, &mut bindings))
        .collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// Makes a device. It may register within a second.
#[utoipa::path(post, path = "/api/admin/devices", tag = "devices", request_body = DeviceCreate,
    responses((status = 201, body = DeviceView)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let account = text_in(&body, "account_id")?;
    let scope = scope(&caller, account.as_deref())?;
    let start = Device {
        bindings_max: 5,
        is_active: true,
        settings: "{}".to_owned(),
        ..Device::default()
    };
    let (mut device, password) = changed(&start, &body, true)?;
    let password = password.ok_or_else(|| Problem::field("password", "required", ""))?;
    checked(&device, Some(&password))?;
    let id = new_id();
    device.password = Some(seal(&api, &id, &password).await?);
    let entry = caller
        .store(&api, None, Some(&audited(&device)))
        .create_device(&scope, &id, &device)
        .await?;
    let view = view(&entry, &mut BTreeMap::new());
    Ok(Answer::created(view)?.with_tag(tag(entry.version)))
}

/// One device.
#[utoipa::path(get, path = "/api/admin/devices/{id}", tag = "devices", params(("id" = String, Path)),
    responses((status = 200, body = DeviceView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (_, entry) = find(&api, &caller, &id).await?;
    let mut bindings = api.engine.device_bindings().await;
    Ok(Answer::ok(view(&entry, &mut bindings))?.with_tag(tag(entry.version)))
}

/// Changes a device: fields that are not sent keep their values. Another password, user name or domain ends its registrations.
#[utoipa::path(patch, path = "/api/admin/devices/{id}", tag = "devices", params(("id" = String, Path)),
    request_body(content = Object, description = "Any fields of a device, and its password."),
    responses((status = 200, body = DeviceView)))]
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    repeat(&headers, || async {
        let (scope, before) = find(&api, &caller, &id).await?;
        let version = api.expected(&headers, &scope, before.version).await?;
        let (mut device, password) = changed(&before, &body, false)?;
        checked(&device, password.as_deref())?;
        let mut shown = audited(&device);
        if let Some(password) = &password {
            device.password = Some(seal(&api, &id, password).await?);
            shown["password"] = json!("changed");
        }
        let entry = caller
            .store(&api, Some(&audited(&before)), Some(&shown))
            .update_device(&scope, &id, &device, version)
            .await?;
        let mut bindings = api.engine.device_bindings().await;
        Ok(Answer::ok(view(&entry, &mut bindings))?.with_tag(tag(entry.version)))
    })
    .await
}

/// Removes a device. Its registrations end; a call in progress goes on.
#[utoipa::path(delete, path = "/api/admin/devices/{id}", tag = "devices", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, before) = find(&api, &caller, &id).await?;
    let version = api.expected(&headers, &scope, before.version).await?;
    caller
        .store(&api, Some(&audited(&before)), None)
        .delete_device(&scope, &id, version)
        .await?;
    Ok(Answer::empty())
}
