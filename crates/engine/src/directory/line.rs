//! From a stored phone line to a line of the engine.

use std::collections::HashMap;

use call::TenantId;
use ipnet::IpNet;
use serde_json::Value;
use store::{Entry, PhoneLine, SipAccount, Tenant, trunk_parts};
use wire::twilio::Dialect;

use super::{DirectoryConfig, account};
use crate::config::{CallRates, LineConfig, LineProvider, SrtpPolicy};
use crate::nat::NatConfig;

pub(super) fn configured(
    entry: &Entry<PhoneLine>,
    tenant: TenantId,
    own: Option<(&Entry<SipAccount>, Option<String>)>,
    config: &DirectoryConfig,
) -> LineConfig {
    let settings: Value = serde_json::from_str(&entry.settings).unwrap_or_default();
    let text = |name: &str| {
        let text = settings.get(name)?.as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let provider = match entry.provider.as_str() {
        "sip" => LineProvider::Sip,
        "twilio" => LineProvider::Stream(Some(Dialect::Twilio)),
        "telnyx" => LineProvider::Stream(Some(Dialect::Telnyx)),
        "plivo" => LineProvider::Stream(Some(Dialect::Plivo)),
        _ => LineProvider::Stream(None),
    };
    let own = own.filter(|_| provider == LineProvider::Sip);
    let sip_account = own.as_ref().map(|(found, _)| account::selectable(found));
    let stored = own.as_ref().map(|(found, _)| *found);
    let number = Some(entry.phone_number.as_str());
    let sip = own.and_then(|(found, password)| {
        // A line without a user name is only called directly; so is one whose password cannot be read.
        text("sipUsername")?;
        let unread = found.password.is_some() && password.is_none();
        let unset = found.password.is_none() && found.provider_profile.is_none();
        if unread || unset {
            return None;
        }
        account::configured(found, number, password, config)
    });
    let listed: Vec<IpNet> = settings
        .get("allow")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|net| net.as_str()?.parse().ok())
        .collect();
    LineConfig {
        name: entry.id.clone(),
        tenant,
        agent: entry.agent_id.clone(),
        account: sip,
        domain: text("sipDomain").or_else(|| config.domain.clone()),
        numbers: vec![entry.phone_number.clone()],
        allow: config.allow.iter().copied().chain(listed).collect(),
        credentials: None,
        srtp: text("srtp")
            .as_deref()
            .and_then(SrtpPolicy::from_name)
            .or_else(|| stored.and_then(|stored| account::srtp(stored)))
            .unwrap_or(config.srtp),
        codecs: stored.map_or_else(
            || config.codecs.clone(),
            |stored| account::codecs(stored, config),
        ),
        keypad: stored.map_or(config.keypad, |stored| account::keypad(stored, config)),
        treatment: stored.map_or(config.treatment, |stored| {
            account::treatment(stored, config)
        }),
        nat: nat(text("stunServer"), stored, config),
        calls_max: settings
            .get("maxParallelCalls")
            .and_then(Value::as_u64)
            .and_then(|calls| u32::try_from(calls).ok())
            .or_else(|| stored.and_then(|stored| u32::try_from(stored.calls_max).ok()))
            .unwrap_or_default(),
        certificates: stored.map(account::certificates).unwrap_or_default(),
        identity: stored.map(account::identity).unwrap_or_default(),
        rates: own_rate(rate(&settings).or_else(|| Some(account::rate(stored?)))),
        provider,
        sip_account,
        device: None,
    }
}

/// New calls a second, as the settings of a line, an account or a device say.
pub(super) fn rate(settings: &Value) -> Option<u32> {
    let calls = settings.get("calls_per_s_max")?.as_u64()?;
    u32::try_from(calls).ok()
}

/// The rates of a line before those of its tenant are known.
pub(super) fn own_rate(line: Option<u32>) -> CallRates {
    CallRates {
        line_per_s_max: line.unwrap_or_default(),
        ..CallRates::default()
    }
}

/// Gives each line the rate of its tenant.
pub(super) fn with_tenant_rates(
    lines: &mut [LineConfig],
    tenants: &HashMap<String, Entry<Tenant>>,
) {
    for line in lines {
        let tenant = tenants.get(line.tenant.as_str());
        line.rates.tenant_per_s_max = tenant.and_then(tenant_rate).unwrap_or_default();
    }
}

fn tenant_rate(tenant: &Entry<Tenant>) -> Option<u32> {
    let settings: Value = serde_json::from_str(&tenant.settings).ok()?;
    let calls = settings.get("inbound")?.get("callsPerS")?.as_u64()?;
    u32::try_from(calls).ok()
}

/// How a line finds the address of its audio; it may name a STUN server of its own.
fn nat(
    server: Option<String>,
    stored: Option<&Entry<SipAccount>>,
    config: &DirectoryConfig,
) -> NatConfig {
    let nat = stored.map_or_else(|| config.nat.clone(), |stored| account::nat(stored, config));
    NatConfig {
        stun_server: server.and_then(|server| server.parse().ok()),
        ..nat
    }
}

/// The line of an account that backs no phone line: a workflow says who answers.
pub(super) fn of_account(
    entry: &Entry<SipAccount>,
    tenant: TenantId,
    password: Option<String>,
    config: &DirectoryConfig,
) -> LineConfig {
    let (user, _) = trunk_parts(&entry.trunk_uri);
    // Never empty: a line without numbers would take every call of its networks.
    let number = user.unwrap_or_else(|| entry.id.clone());
    let own = account::allowed(entry);
    LineConfig {
        name: entry.id.clone(),
        tenant,
        agent: String::new(),
        account: account::configured(entry, None, password, config),
        domain: None,
        numbers: vec![number],
        allow: config.allow.iter().copied().chain(own).collect(),
        credentials: None,
        srtp: account::srtp(entry).unwrap_or(config.srtp),
        codecs: account::codecs(entry, config),
        keypad: account::keypad(entry, config),
        treatment: account::treatment(entry, config),
        nat: account::nat(entry, config),
        calls_max: u32::try_from(entry.calls_max).unwrap_or_default(),
        certificates: account::certificates(entry),
        identity: account::identity(entry),
        rates: own_rate(Some(account::rate(entry))),
        provider: LineProvider::Sip,
        sip_account: Some(account::selectable(entry)),
        device: None,
    }
}
