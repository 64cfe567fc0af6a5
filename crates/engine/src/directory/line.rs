//! From a stored phone line to a line of the engine.

use call::TenantId;
use ipnet::IpNet;
use serde_json::Value;
use sip::{AccountConfig, Protocol};
use store::{Entry, PhoneLine};
use wire::twilio::Dialect;

use super::DirectoryConfig;
use crate::config::{LineConfig, LineProvider, SrtpPolicy};

pub(super) fn configured(
    entry: &Entry<PhoneLine>,
    tenant: TenantId,
    password: Option<String>,
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
    let account = match provider {
        LineProvider::Sip => account(&text, password, config),
        LineProvider::Stream(_) => None,
    };
    let own: Vec<IpNet> = settings
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
        account,
        domain: text("sipDomain").or_else(|| config.domain.clone()),
        numbers: vec![entry.phone_number.clone()],
        allow: config.allow.iter().copied().chain(own).collect(),
        credentials: None,
        srtp: match text("srtp").as_deref() {
            Some("off") => SrtpPolicy::Off,
            Some("required") => SrtpPolicy::Required,
            Some("preferred") => SrtpPolicy::Preferred,
            _ => config.srtp,
        },
        codecs: config.codecs.clone(),
        calls_max: settings
            .get("maxParallelCalls")
            .and_then(Value::as_u64)
            .and_then(|calls| u32::try_from(calls).ok())
            .unwrap_or_default(),
        provider,
    }
}

/// The account that the line registers; a line without a user name is only called directly.
fn account(
    text: &impl Fn(&str) -> Option<String>,
    password: Option<String>,
    config: &DirectoryConfig,
) -> Option<AccountConfig> {
    let username = text("sipUsername")?;
    let domain = text("sipDomain").or_else(|| config.domain.clone())?;
    let host = domain.split(':').next().unwrap_or_default();
    let mut account = AccountConfig::new(
        &format!("sip:{username}@{host}"),
        text("sipAuthUsername").as_deref().unwrap_or(&username),
        &password?,
    );
    account.registrar = Some(format!("sip:{domain}"));
    account.protocol = match text("sipTransport").as_deref() {
        Some("tcp") => Protocol::Tcp,
        Some("tls") => Protocol::Tls,
        _ => Protocol::Udp,
    };
    account.contact_host.clone_from(&config.contact_host);
    Some(account)
}
