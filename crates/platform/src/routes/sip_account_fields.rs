//! The fields of a SIP account on the API: how a body changes them, and what is wrong with them.

use crate::limits::TEXT_CHARACTERS_MAX;
use crate::problem::Problem;
use crate::support::{Faults, merged, object, put};
use engine::config::IdentityPolicy;
use engine::nat::{NatMode, ServerAddress};
use engine::provider::{CALLER_ID_FORMS, NumberForm, ProviderProfile};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::SipAccount;
use utoipa::ToSchema;

/// Longest label, user name and password, in characters.
const NAME_MAX: usize = 128;
const PASSWORD_MAX: usize = 256;
/// Most new calls a second that a limit may name.
const CALLS_PER_S_MAX: i64 = 10_000;

/// What can be written of an account, besides its password.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct AccountFields {
    /// Its name.
    pub(crate) label: String,
    /// `sip:user@domain[:port]`; without a user for a trunk that is only called and calls.
    pub(crate) trunk_uri: String,
    /// Name for the digest; null where the trunk asks for no password.
    pub(crate) username: Option<String>,
    /// Host that is written in Contact.
    pub(crate) contact_host: Option<String>,
    /// Port that is written in Contact, 1 to 65535.
    pub(crate) contact_port: Option<i64>,
    /// `udp`, `tcp` or `tls`.
    pub(crate) contact_transport: Option<String>,
    /// Chosen where a workflow names none; one at a time.
    pub(crate) is_default: bool,
    /// Whether it registers and takes calls.
    pub(crate) is_active: bool,
    /// Host and port of the registrar where it is not the trunk's.
    pub(crate) registrar: Option<String>,
    /// Proxy that every request goes through.
    pub(crate) outbound_proxy: Option<String>,
    /// The only realm that the password is proven to.
    pub(crate) realm: Option<String>,
    /// Lifetime of a binding, 10 to 86400 seconds; null: the profile's.
    pub(crate) expires_s: Option<i64>,
    /// `account`, `from_number`, `p_asserted_identity`, `p_preferred_identity` or `remote_party_id`; null: the profile's.
    pub(crate) caller_id_form: Option<String>,
    /// The number that callees see.
    pub(crate) caller_id_number: Option<String>,
    /// `pcma`, `pcmu`, `g722`, `opus`, `g729`, `amr-wb` in order of preference, with commas; null: the profile's. An answer follows the order of the
    /// caller's offer.
    pub(crate) codecs: Option<String>,
    /// `off`, `preferred`, `required`, `dtls_preferred` or `dtls_required`; null: the profile's.
    pub(crate) srtp: Option<String>,
    /// Share of outgoing calls where they are distributed by weight, 0 to 1000.
    pub(crate) weight: i64,
    /// The account that a call tries when nobody was reached by this one.
    pub(crate) backup_account_id: Option<String>,
    /// Calls at the same time; 0 is no limit of its own.
    pub(crate) calls_max: i64,
    /// New calls a second that may come by it, 1 to 10000; a call beyond gets 503 with Retry-After. Null or 0 is no limit of its own.
    pub(crate) calls_per_s_max: Option<i64>,
    /// Id of a provider profile: see `GET /api/admin/sip-profiles`.
    pub(crate) provider_profile: Option<String>,
    /// How keys are sent: `auto` (events where they are agreed, else tones), `rfc4733`, `info` (SIP INFO) or `inband`; null is `auto`.
    /// Keys are heard by events and by SIP INFO in every case, in the audio by `inband`, and by `auto` where no events are agreed.
    pub(crate) dtmf: Option<String>,
    /// Whether steady noise is taken out of callers' audio; null: as `line.noise_suppression` says.
    pub(crate) noise_suppression: Option<bool>,
    /// Whether quiet callers are made louder and loud ones quieter; null: as `line.automatic_gain` says.
    pub(crate) automatic_gain: Option<bool>,
    /// Whether the echo of what the agent says is taken out of callers' audio (analogue lines); null: the profile's, else as
    /// `line.echo_cancellation` says.
    pub(crate) echo_cancellation: Option<bool>,
    /// How long the echo of the line lasts at most, 16 to 256 ms; null: as `line.echo_tail_ms` says.
    pub(crate) echo_tail_ms: Option<i64>,
    /// How the address for audio is found: `auto`, `public` (`rtp.public_address`), `stun`, `turn` (audio goes by a relay), `ice` (checks find the way) or `none`
    /// (our own); null: as `line.nat` says.
    pub(crate) nat: Option<String>,
    /// TURN server, `host:port`; null: `nat.turn_server`.
    pub(crate) turn_server: Option<String>,
    /// Name at the TURN server. Its password is written as `turn_password` and never shown.
    pub(crate) turn_username: Option<String>,
    /// How numbers are written; null: the profile's.
    pub(crate) number_form: Option<String>,
    /// Calling code of the account's country, without plus; null: 33.
    pub(crate) country_code: Option<String>,
    /// Whether it registers at all; null: as the profile says, else where it has a user name.
    pub(crate) registers: Option<bool>,
    /// Seconds between two keep-alives or health checks; 0 switches them off; null: the profile's.
    pub(crate) keep_alive_s: Option<i64>,
    /// What is asked of callers' numbers (STIR/SHAKEN): `off`, `inform` (the verdict is in the record and told to the agent), `require` (a call
    /// without a valid Identity is refused), `require_b`, `require_a` (and one that is attested less); null is `off`.
    pub(crate) caller_identity: Option<String>,
    /// Addresses and networks that may call by a trunk that does not register.
    pub(crate) allow: Option<Vec<String>>,
    /// Certificates with which calls come by it, over TLS from any address: SHA-256 fingerprints as `openssl x509 -fingerprint -sha256` shows
    /// them (or the certificate in PEM, of which the fingerprint is kept). At most 16; valid dates are asked of these too.
    pub(crate) client_certificates: Option<Vec<String>>,
    /// Names (subject alternative names: a domain, an address, a `sip:` URI) of certificates with which calls come by it, which `client_ca` vouches
    /// for. At most 16; without wildcards.
    pub(crate) client_names: Option<Vec<String>>,
    /// The authorities that vouch for `client_names`, in PEM (at most 16, 64 KiB); null: those of `sip.client_ca`.
    pub(crate) client_ca: Option<String>,
    /// Whether calls without one of these certificates are refused (403), also from the addresses in `allow`.
    pub(crate) client_certificate_required: Option<bool>,
}

/// The password for the TURN server that a body names.
pub(crate) fn turn_password(body: &Value) -> Result<Option<String>, Problem> {
    let password = super::owner::text_in(body, "turn_password")?;
    let mut faults = Faults::default();
    faults.maybe("turn_password", password.as_deref(), PASSWORD_MAX);
    faults.done()?;
    Ok(password)
}

/// A SIP account as it is made.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "the schema of the request; its values are merged")]
#[schema(as = SipAccountCreate)]
pub(crate) struct AccountCreate {
    /// Of which account of the platform.
    account_id: Option<String>,
    /// Its name.
    label: String,
    /// `sip:user@domain[:port]`.
    trunk_uri: String,
    /// Name for the digest.
    username: Option<String>,
    /// Password: kept encrypted and never shown.
    password: Option<String>,
    /// Password at the TURN server: kept encrypted and never shown.
    turn_password: Option<String>,
    /// Host that is written in Contact.
    contact_host: Option<String>,
    /// 1 to 65535.
    contact_port: Option<i64>,
    /// `udp`, `tcp` or `tls`.
    contact_transport: Option<String>,
    /// Chosen where a workflow names none.
    is_default: Option<bool>,
    /// Whether it registers and takes calls.
    is_active: Option<bool>,
    /// Id of a provider profile.
    provider_profile: Option<String>,
}

/// Fields without a column of their own.
const EXTRA: [&str; 19] = [
    "client_certificates",
    "client_names",
    "client_ca",
    "client_certificate_required",
    "caller_identity",
    "calls_per_s_max",
    "number_form",
    "country_code",
    "registers",
    "keep_alive_s",
    "allow",
    "dtmf",
    "noise_suppression",
    "automatic_gain",
    "echo_cancellation",
    "echo_tail_ms",
    "nat",
    "turn_server",
    "turn_username",
];

/// The fields of a stored account.
pub(crate) fn fields(account: &SipAccount) -> AccountFields {
    let mut extra = object(&account.settings);
    extra.retain(|name, _| EXTRA.contains(&name.as_str()));
    let mut fields = AccountFields {
        label: account.label.clone(),
        trunk_uri: account.trunk_uri.clone(),
        username: account.username.clone(),
        contact_host: account.contact_host.clone(),
        contact_port: account.contact_port,
        contact_transport: account.contact_transport.clone(),
        is_default: account.is_default,
        is_active: account.is_active,
        registrar: account.registrar.clone(),
        outbound_proxy: account.outbound_proxy.clone(),
        realm: account.realm.clone(),
        expires_s: account.expires_s,
        caller_id_form: account.caller_id_form.clone(),
        caller_id_number: account.caller_id_number.clone(),
        codecs: account.codecs.clone(),
        srtp: account.srtp.clone(),
        weight: account.weight,
        backup_account_id: account.backup_account_id.clone(),
        calls_max: account.calls_max,
        provider_profile: account.provider_profile.clone(),
        ..AccountFields::default()
    };
    let text = |name: &str| extra.get(name)?.as_str().map(str::to_owned);
    fields.dtmf = text("dtmf");
    fields.caller_identity = text("caller_identity");
    fields.nat = text("nat");
    fields.turn_server = text("turn_server");
    fields.turn_username = text("turn_username");
    fields.number_form = text("number_form");
    fields.country_code = text("country_code");
    fields.noise_suppression = extra.get("noise_suppression").and_then(Value::as_bool);
    fields.automatic_gain = extra.get("automatic_gain").and_then(Value::as_bool);
    fields.echo_cancellation = extra.get("echo_cancellation").and_then(Value::as_bool);
    fields.echo_tail_ms = extra.get("echo_tail_ms").and_then(Value::as_i64);
    fields.registers = extra.get("registers").and_then(Value::as_bool);
    fields.keep_alive_s = extra.get("keep_alive_s").and_then(Value::as_i64);
    fields.calls_per_s_max = extra.get("calls_per_s_max").and_then(Value::as_i64);
    let list = |name: &str| serde_json::from_value(extra.get(name)?.clone()).ok();
    fields.allow = list("allow");
    fields.client_certificates = list("client_certificates");
    fields.client_names = list("client_names");
    fields.client_ca = text("client_ca");
    let required = extra.get("client_certificate_required");
    fields.client_certificate_required = required.and_then(Value::as_bool);
    fields
}

/// Takes spaces around texts away; an empty one is none.
fn trim(fields: &mut AccountFields) {
    for text in [
        &mut fields.username,
        &mut fields.contact_host,
        &mut fields.contact_transport,
        &mut fields.registrar,
        &mut fields.outbound_proxy,
        &mut fields.realm,
        &mut fields.caller_id_form,
        &mut fields.caller_id_number,
        &mut fields.codecs,
        &mut fields.srtp,
        &mut fields.backup_account_id,
        &mut fields.provider_profile,
        &mut fields.dtmf,
        &mut fields.caller_identity,
        &mut fields.nat,
        &mut fields.turn_server,
        &mut fields.turn_username,
        &mut fields.number_form,
        &mut fields.country_code,
    ] {
        *text = text
            .take()
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty());
    }
}

/// The settings with the fields that have no column of their own.
fn extra_settings(before: &str, fields: &AccountFields) -> String {
    let mut settings = object(before);
    for (name, value) in [
        ("dtmf", json!(fields.dtmf)),
        ("caller_identity", json!(fields.caller_identity)),
        ("nat", json!(fields.nat)),
        ("turn_server", json!(fields.turn_server)),
        ("turn_username", json!(fields.turn_username)),
        ("noise_suppression", json!(fields.noise_suppression)),
        ("automatic_gain", json!(fields.automatic_gain)),
        ("echo_cancellation", json!(fields.echo_cancellation)),
        ("echo_tail_ms", json!(fields.echo_tail_ms)),
        ("number_form", json!(fields.number_form)),
        ("country_code", json!(fields.country_code)),
        ("registers", json!(fields.registers)),
        ("keep_alive_s", json!(fields.keep_alive_s)),
        ("calls_per_s_max", json!(fields.calls_per_s_max)),
        ("allow", json!(fields.allow)),
        ("client_certificates", json!(fields.client_certificates)),
        ("client_names", json!(fields.client_names)),
        ("client_ca", json!(fields.client_ca)),
        (
            "client_certificate_required",
            json!(fields.client_certificate_required),
        ),
    ] {
        put(&mut settings, name, value);
    }
    Value::Object(settings).to_string()
}

/// Applies a body: the account, and the password that it names.
pub(crate) fn changed(
    account: &SipAccount,
    body: &Value,
    is_new: bool,
) -> Result<(SipAccount, Option<String>), Problem> {
    let password = super::owner::text_in(body, "password")?;
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        // Ids are texts; the known clients send numbers.
        if let Some(Value::Number(id)) = members.get("backup_account_id") {
            let id = id.to_string();
            members.insert("backup_account_id".to_owned(), Value::String(id));
        }
        members.retain(|_, value| !is_new || !value.is_null());
    }
    let mut fields: AccountFields = merged(&fields(account), body)?;
    trim(&mut fields);
    super::sip_account_certificates::tidy(&mut fields);
    let profile = fields
        .provider_profile
        .as_deref()
        .and_then(ProviderProfile::find);
    fields.contact_transport = fields
        .contact_transport
        .map(|transport| transport.to_ascii_lowercase())
        .or_else(|| profile.map(|profile| profile.transport.value.uri_token().to_owned()))
        .or_else(|| is_new.then(|| "udp".to_owned()));
    let extra = fields.clone();
    let account = SipAccount {
        label: fields.label.trim().to_owned(),
        trunk_uri: fields.trunk_uri.trim().to_owned(),
        username: fields.username,
        password: account.password.clone(),
        contact_host: fields.contact_host,
        contact_port: fields.contact_port,
        contact_transport: fields.contact_transport,
        is_default: fields.is_default,
        is_active: fields.is_active,
        registrar: fields.registrar,
        outbound_proxy: fields.outbound_proxy,
        realm: fields.realm,
        expires_s: fields.expires_s,
        caller_id_form: fields.caller_id_form,
        caller_id_number: fields.caller_id_number,
        codecs: fields.codecs,
        srtp: fields.srtp,
        weight: fields.weight,
        backup_account_id: fields.backup_account_id,
        calls_max: fields.calls_max,
        provider_profile: fields.provider_profile,
        settings: extra_settings(&account.settings, &extra),
        turn_password: account.turn_password.clone(),
    };
    Ok((account, password))
}

fn is_sip_address(text: &str) -> bool {
    let rest = text
        .strip_prefix("sip:")
        .or_else(|| text.strip_prefix("sips:"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('@')
            && rest.matches('@').count() <= 1
            && !rest.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"".contains(c))
    })
}

/// Without characters that would end a header or a URI.
fn is_plain(text: Option<&str>) -> bool {
    text.is_none_or(|text| {
        text.chars().count() <= TEXT_CHARACTERS_MAX
            && !text.contains(|c: char| c.is_control() || c.is_whitespace() || "<>\"".contains(c))
    })
}

/// Everything that is wrong with an account, each with its field.
pub(crate) fn checked(account: &SipAccount, password: Option<&str>) -> Result<(), Problem> {
    let mut faults = Faults::default();
    faults.text("label", &account.label, NAME_MAX);
    faults.text("trunk_uri", &account.trunk_uri, TEXT_CHARACTERS_MAX);
    let address = is_sip_address(&account.trunk_uri) || account.trunk_uri.is_empty();
    faults.unless(address, "trunk_uri", "format", "sip:user@provider.com:5060");
    faults.maybe("username", account.username.as_deref(), NAME_MAX);
    faults.maybe("password", password, PASSWORD_MAX);
    for (path, text) in [
        ("username", &account.username),
        ("contact_host", &account.contact_host),
        ("registrar", &account.registrar),
        ("outbound_proxy", &account.outbound_proxy),
        ("caller_id_number", &account.caller_id_number),
    ] {
        faults.unless(is_plain(text.as_deref()), path, "format", "");
    }
    faults.maybe("realm", account.realm.as_deref(), TEXT_CHARACTERS_MAX);
    for (path, value, low, high) in [
        ("contact_port", account.contact_port, 1, 65_535),
        ("expires_s", account.expires_s, 10, 86_400),
        ("weight", Some(account.weight), 0, 1_000),
        ("calls_max", Some(account.calls_max), 0, 100_000),
    ] {
        let fine = value.is_none_or(|value| (low..=high).contains(&value));
        faults.unless(fine, path, "range", &format!("{low}–{high}"));
    }
    check_choices(account, &mut faults);
    check_extra(&fields(account), &mut faults);
    faults.done()
}

fn check_choices(account: &SipAccount, faults: &mut Faults) {
    let mut choice = |path: &str, value: Option<&str>, choices: &[&str]| {
        if let Some(value) = value {
            faults.choice(path, value, choices);
        }
    };
    choice(
        "contact_transport",
        account.contact_transport.as_deref(),
        &["udp", "tcp", "tls"],
    );
    choice(
        "caller_id_form",
        account.caller_id_form.as_deref(),
        &CALLER_ID_FORMS,
    );
    choice(
        "srtp",
        account.srtp.as_deref(),
        &engine::config::SrtpPolicy::NAMES,
    );
    for codec in account.codecs.as_deref().unwrap_or_default().split(',') {
        let codec = codec.trim().to_ascii_lowercase();
        if !codec.is_empty() {
            choice(
                "codecs",
                Some(&codec),
                &["pcma", "pcmu", "g722", "opus", "g729", "amr-wb"],
            );
        }
    }
    let profiles: Vec<&str> = engine::provider::PROFILES
        .iter()
        .map(|profile| profile.id)
        .collect();
    choice(
        "provider_profile",
        account.provider_profile.as_deref(),
        &profiles,
    );
}

/// New calls a second of a line, a device or an account of the platform.
pub(super) fn check_rate(path: &str, calls: Option<i64>, faults: &mut Faults) {
    let fine = calls.is_none_or(|calls| (0..=CALLS_PER_S_MAX).contains(&calls));
    faults.unless(fine, path, "range", &format!("0–{CALLS_PER_S_MAX}"));
}

fn check_extra(fields: &AccountFields, faults: &mut Faults) {
    if let Some(form) = fields.number_form.as_deref() {
        faults.choice("number_form", form, &NumberForm::NAMES);
    }
    if let Some(way) = fields.dtmf.as_deref() {
        faults.choice("dtmf", way, &["auto", "rfc4733", "info", "inband"]);
    }
    if let Some(mode) = fields.nat.as_deref() {
        faults.choice("nat", mode, &NatMode::NAMES);
    }
    if let Some(policy) = fields.caller_identity.as_deref() {
        faults.choice("caller_identity", policy, &IdentityPolicy::NAMES);
    }
    let server = fields.turn_server.as_deref();
    let is_server = server.is_none_or(|server| server.parse::<ServerAddress>().is_ok());
    faults.unless(is_server, "turn_server", "format", "turn.example.com:3478");
    faults.maybe("turn_username", fields.turn_username.as_deref(), NAME_MAX);
    let country = fields.country_code.as_deref().is_none_or(|code| {
        (1..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit())
    });
    faults.unless(country, "country_code", "format", "33");
    let interval = fields
        .keep_alive_s
        .is_none_or(|seconds| (0..=3_600).contains(&seconds));
    faults.unless(interval, "keep_alive_s", "range", "0–3600");
    super::sip_account_certificates::check(fields, faults);
    check_rate("calls_per_s_max", fields.calls_per_s_max, faults);
    let tail = fields
        .echo_tail_ms
        .is_none_or(|ms| (16..=256).contains(&ms));
    faults.unless(tail, "echo_tail_ms", "range", "16–256");
    for (number, net) in fields.allow.iter().flatten().enumerate() {
        let is_net = net.parse::<std::net::IpAddr>().is_ok()
            || net.split_once('/').is_some_and(|(address, bits)| {
                address.parse::<std::net::IpAddr>().is_ok()
                    && bits.parse::<u8>().is_ok_and(|bits| bits <= 128)
            });
        faults.unless(
            is_net && number < 64,
            &format!("allow[{number}]"),
            "format",
            "192.0.2.0/24",
        );
    }
}
