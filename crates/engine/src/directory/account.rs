//! From a stored SIP account to the account that registers, and to what the selection knows of it.

use media::{Codec, EchoTail, Keypad, Treatment};
use serde_json::Value;
use sip::{AccountConfig, KeepAlive, Protocol};
use std::time::Duration;
use store::{Entry, SipAccount, trunk_parts};

use super::DirectoryConfig;
use crate::config::{ClientCertificates, IdentityPolicy, SipAccountConfig, SrtpPolicy};
use crate::nat::{NatConfig, NatMode, ServerAddress};
use crate::provider::{HOME_COUNTRY, NumberForm, ProviderProfile, caller_id_form};

/// How often a trunk that does not register is asked whether it is there.
const HEALTH_EVERY: Duration = Duration::from_secs(60);

/// The profile of an account.
pub(super) fn profile(account: &SipAccount) -> Option<&'static ProviderProfile> {
    account
        .provider_profile
        .as_deref()
        .and_then(ProviderProfile::find)
}

fn settings(account: &SipAccount) -> Value {
    serde_json::from_str(&account.settings).unwrap_or_default()
}

/// New calls a second that may come by it; 0 is no limit of its own.
pub(super) fn rate(account: &SipAccount) -> u32 {
    super::line::rate(&settings(account)).unwrap_or_default()
}

/// What it asks of its callers' numbers.
pub(super) fn identity(entry: &Entry<SipAccount>) -> IdentityPolicy {
    let settings = settings(entry);
    let name = settings.get("caller_identity").and_then(Value::as_str);
    name.and_then(IdentityPolicy::from_name).unwrap_or_default()
}

/// The certificates that open it.
pub(super) fn certificates(entry: &Entry<SipAccount>) -> ClientCertificates {
    ClientCertificates::of_settings(&settings(entry))
}

/// What the selection and the numbers of its calls need.
pub(super) fn selectable(entry: &Entry<SipAccount>) -> SipAccountConfig {
    let settings = settings(entry);
    let text = |name: &str| settings.get(name).and_then(Value::as_str);
    let numbers = text("number_form")
        .and_then(NumberForm::from_name)
        .or_else(|| profile(entry).map(|profile| profile.numbers.value))
        .unwrap_or_default();
    SipAccountConfig {
        label: entry.label.clone(),
        uri: entry.trunk_uri.clone(),
        is_default: entry.is_default,
        weight: u32::try_from(entry.weight).unwrap_or_default(),
        backup: entry.backup_account_id.clone(),
        numbers,
        country: text("country_code").unwrap_or(HOME_COUNTRY).to_owned(),
    }
}

/// Whether the account registers: as it says itself, as its profile says, or because it has a name to register.
fn registers(entry: &Entry<SipAccount>, is_line: bool) -> bool {
    if let Some(own) = settings(entry).get("registers").and_then(Value::as_bool) {
        return own;
    }
    let has_password = entry.password.is_some();
    match profile(entry) {
        Some(profile) => profile.registers.value,
        None if is_line => entry.username.is_some() && has_password,
        None => entry.username.is_some(),
    }
}

/// Host of `host:port`, IPv6 addresses in their brackets.
fn host_of(domain: &str) -> &str {
    match domain.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => &domain[..end + 2],
        None => domain.split(':').next().unwrap_or_default(),
    }
}

fn sip_uri(text: &str) -> String {
    if text.starts_with("sip:") || text.starts_with("sips:") {
        text.to_owned()
    } else {
        format!("sip:{text}")
    }
}

fn transport(entry: &SipAccount) -> Protocol {
    let named = entry
        .contact_transport
        .as_deref()
        .map(str::to_ascii_lowercase);
    match (named.as_deref(), profile(entry)) {
        (Some("tcp"), _) => Protocol::Tcp,
        (Some("tls"), _) => Protocol::Tls,
        (None, Some(profile)) => profile.transport.value,
        _ => Protocol::Udp,
    }
}

/// Where REGISTER goes: as the account says, else the trunk's own address where it names a port, else the profile's host.
fn registrar(entry: &SipAccount, domain: &str) -> String {
    let own = entry.registrar.as_deref().filter(|own| !own.is_empty());
    let of_profile = profile(entry)
        .map(|profile| profile.registrar.value)
        .filter(|host| !host.is_empty() && host_of(domain) == domain);
    sip_uri(own.or(of_profile).unwrap_or(domain))
}

fn keep_alive(entry: &Entry<SipAccount>, registers: bool) -> KeepAlive {
    let seconds = settings(entry)
        .get("keep_alive_s")
        .and_then(Value::as_u64)
        .map(Duration::from_secs);
    let of_profile = profile(entry).map(|profile| profile.keep_alive.value);
    if seconds == Some(Duration::ZERO) {
        return KeepAlive::Off;
    }
    if !registers {
        return KeepAlive::Options {
            interval: seconds.unwrap_or(HEALTH_EVERY),
        };
    }
    match (of_profile, seconds) {
        (Some(KeepAlive::Options { .. }), Some(interval)) => KeepAlive::Options { interval },
        (Some(known), None) => known,
        (_, Some(interval)) => KeepAlive::Crlf { interval },
        (None, None) => KeepAlive::Crlf {
            interval: Duration::from_secs(25),
        },
    }
}

/// The account of the user agent; `None` where there is no domain that it could be at.
pub(super) fn configured(
    entry: &Entry<SipAccount>,
    number: Option<&str>,
    password: Option<String>,
    config: &DirectoryConfig,
) -> Option<AccountConfig> {
    let (user, domain) = trunk_parts(&entry.trunk_uri);
    let user = user.or_else(|| entry.username.clone());
    let domain = domain.or_else(|| config.domain.clone())?;
    let at = user
        .as_deref()
        .map_or(String::new(), |user| format!("{user}@"));
    let username = entry.username.as_deref().or(user.as_deref());
    let mut account = AccountConfig::new(
        &format!("sip:{at}{}", host_of(&domain)),
        username.unwrap_or_default(),
        &password.unwrap_or_default(),
    );
    account.register = registers(entry, number.is_some());
    account.registrar = Some(registrar(entry, &domain));
    account.outbound_proxy = entry
        .outbound_proxy
        .as_deref()
        .filter(|proxy| !proxy.is_empty())
        .map(sip_uri);
    account.protocol = transport(entry);
    account.realm.clone_from(&entry.realm);
    account.expires_s = entry
        .expires_s
        .and_then(|seconds| u32::try_from(seconds).ok())
        .or_else(|| profile(entry).map(|profile| profile.expires_s.value))
        .unwrap_or(300);
    account.contact_host = entry
        .contact_host
        .clone()
        .or_else(|| config.contact_host.clone());
    account.contact_port = entry
        .contact_port
        .and_then(|port| u16::try_from(port).ok())
        .filter(|_| account.contact_host.is_some());
    account.keep_alive = keep_alive(entry, account.register);
    let selectable = selectable(entry);
    account.caller_id_form = entry
        .caller_id_form
        .as_deref()
        .and_then(caller_id_form)
        .or_else(|| profile(entry).map(|profile| profile.caller_id.value))
        .unwrap_or_default();
    account.caller_id_number = entry
        .caller_id_number
        .as_deref()
        .or(number)
        .map(|number| selectable.numbers.write(&selectable.country, number));
    Some(account)
}

/// Codecs of an account, in order of preference.
pub(super) fn codecs(entry: &SipAccount, config: &DirectoryConfig) -> Vec<Codec> {
    let named = entry
        .codecs
        .as_deref()
        .or_else(|| profile(entry).map(|profile| profile.codecs.value))
        .unwrap_or_default();
    let codecs: Vec<Codec> = named
        .split(',')
        .filter_map(|name| Codec::from_name(name.trim()))
        .collect();
    if codecs.is_empty() {
        config.codecs.clone()
    } else {
        codecs
    }
}

/// How an account sends keys and hears them.
pub(super) fn keypad(entry: &SipAccount, config: &DirectoryConfig) -> Keypad {
    let settings = settings(entry);
    let named = settings.get("dtmf").and_then(Value::as_str);
    named.and_then(Keypad::from_name).unwrap_or(config.keypad)
}

/// What an account does to its callers' audio.
pub(super) fn treatment(entry: &SipAccount, config: &DirectoryConfig) -> Treatment {
    let settings = settings(entry);
    let own = |name: &str| settings.get(name).and_then(Value::as_bool);
    Treatment {
        noise_suppression: own("noise_suppression").unwrap_or(config.treatment.noise_suppression),
        automatic_gain: own("automatic_gain").unwrap_or(config.treatment.automatic_gain),
        // Hardly any other line has a hybrid: a profile may know that its own has.
        echo_cancellation: own("echo_cancellation")
            .or_else(|| Some(profile(entry)?.echo_cancellation.as_ref()?.value))
            .unwrap_or(config.treatment.echo_cancellation),
        echo_tail: settings
            .get("echo_tail_ms")
            .and_then(Value::as_u64)
            .map_or(config.treatment.echo_tail, |ms| {
                EchoTail::of_ms(u16::try_from(ms).unwrap_or(u16::MAX))
            }),
    }
}

/// How an account finds the address of its audio.
pub(super) fn nat(entry: &SipAccount, config: &DirectoryConfig) -> NatConfig {
    let settings = settings(entry);
    let named = settings.get("nat").and_then(Value::as_str);
    NatConfig {
        mode: named
            .and_then(NatMode::from_name)
            .unwrap_or(config.nat.mode),
        ..config.nat.clone()
    }
}

/// The TURN server that an account names, and its name there.
pub(super) fn turn(entry: &SipAccount) -> Option<(ServerAddress, String)> {
    let settings = settings(entry);
    let text = |name: &str| settings.get(name).and_then(Value::as_str);
    let server = text("turn_server")?.parse().ok()?;
    Some((server, text("turn_username").unwrap_or_default().to_owned()))
}

/// SRTP of an account; `None` where neither it nor its profile says so.
pub(super) fn srtp(entry: &SipAccount) -> Option<SrtpPolicy> {
    let said = entry.srtp.as_deref().and_then(SrtpPolicy::from_name);
    said.or_else(|| profile(entry).map(|profile| profile.srtp.value))
}

/// Networks that may call by an account that does not register: those that it lists, and the trunk's own address.
pub(super) fn allowed(entry: &Entry<SipAccount>) -> Vec<ipnet::IpNet> {
    let settings = settings(entry);
    let listed = settings
        .get("allow")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|net| {
            let text = net.as_str()?;
            text.parse()
                .ok()
                .or_else(|| text.parse::<std::net::IpAddr>().ok().map(Into::into))
        });
    let (_, domain) = trunk_parts(&entry.trunk_uri);
    let own = domain
        .filter(|_| !registers(entry, false))
        .and_then(|domain| {
            let host = host_of(&domain).trim_matches(['[', ']']).to_owned();
            host.parse::<std::net::IpAddr>().ok().map(Into::into)
        });
    listed.chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_domains() {
        assert_eq!(host_of("sip.ovh.fr:5060"), "sip.ovh.fr");
        assert_eq!(host_of("[2001:db8::1]:5060"), "[2001:db8::1]");
        assert_eq!(host_of("127.0.0.1"), "127.0.0.1");
    }
}
