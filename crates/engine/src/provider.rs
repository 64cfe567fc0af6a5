//! Provider profiles: what each operator or exchange wants, as data. Choosing one sets the form of From and of the caller's
//! number, the registrar, transport, lifetime, keep-alive, the form of numbers, codecs and SRTP; each value has its reason, which
//! the catalogue words. A field that an account sets itself comes before the profile's.

use std::time::Duration;

use sip::{CallerIdForm, KeepAlive, Protocol};

use crate::config::SrtpPolicy;

/// How numbers are written towards the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumberForm {
    /// As it was asked for.
    #[default]
    AsDialled,
    /// `+33123456789`.
    E164,
    /// `33123456789`.
    E164Digits,
    /// `0033123456789`.
    DoubleZero,
    /// `0123456789` inside of the account's country, `00…` beyond.
    National,
}

impl NumberForm {
    const ALL: [(Self, &'static str); 5] = [
        (Self::AsDialled, "as_dialled"),
        (Self::E164, "e164"),
        (Self::E164Digits, "e164_digits"),
        (Self::DoubleZero, "double_zero"),
        (Self::National, "national"),
    ];
    /// The names that the API takes.
    pub const NAMES: [&'static str; 5] = [
        "as_dialled",
        "e164",
        "e164_digits",
        "double_zero",
        "national",
    ];

    /// Its name on the API.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(form, _)| *form == self);
        found.map_or("", |(_, name)| name)
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(form, _)| *form)
    }

    /// A dialled number in this form. `country` is the calling code without plus (`33`). What is no number stays as it is, and so
    /// do short numbers and those with signs.
    pub fn write(self, country: &str, dialled: &str) -> String {
        let Some(full) = international(country, dialled) else {
            return dialled.to_owned();
        };
        match self {
            Self::AsDialled => dialled.to_owned(),
            Self::E164 => format!("+{full}"),
            Self::E164Digits => full,
            Self::DoubleZero => format!("00{full}"),
            Self::National => match full.strip_prefix(country) {
                Some(rest) if !country.is_empty() => format!("0{rest}"),
                Some(_) | None => format!("00{full}"),
            },
        }
    }
}

/// Shortest number that is taken for a subscriber's, in digits: emergency and service numbers are shorter.
const SUBSCRIBER_DIGITS_MIN: usize = 7;

/// The digits of a number with its country's code.
pub(crate) fn international(country: &str, dialled: &str) -> Option<String> {
    numeric(country, dialled, SUBSCRIBER_DIGITS_MIN)
}

/// The same, of at least so many digits as it is written.
pub(crate) fn numeric(country: &str, dialled: &str, digits_min: usize) -> Option<String> {
    let text: String = dialled
        .chars()
        .filter(|c| !matches!(c, ' ' | '.' | '-' | '(' | ')' | '/' | '\u{a0}'))
        .collect();
    let (plus, digits) = match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text.as_str()),
    };
    if digits.len() < digits_min || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if plus {
        return Some(digits.to_owned());
    }
    if let Some(rest) = digits.strip_prefix("00") {
        return Some(rest.to_owned());
    }
    match digits.strip_prefix('0') {
        Some(rest) if !country.is_empty() => Some(format!("{country}{rest}")),
        Some(_) => None,
        None => Some(digits.to_owned()),
    }
}

/// Calling code of a line that names none.
pub(crate) const HOME_COUNTRY: &str = "33";

/// A form of the caller's number, by its name on the API.
pub fn caller_id_form(name: &str) -> Option<CallerIdForm> {
    Some(match name {
        "account" => CallerIdForm::Account,
        "from_number" => CallerIdForm::FromNumber,
        "p_asserted_identity" => CallerIdForm::Asserted,
        "p_preferred_identity" => CallerIdForm::Preferred,
        "remote_party_id" => CallerIdForm::RemoteParty,
        _ => return None,
    })
}

/// The names that the API takes for the form of the caller's number.
pub const CALLER_ID_FORMS: [&str; 5] = [
    "account",
    "from_number",
    "p_asserted_identity",
    "p_preferred_identity",
    "remote_party_id",
];

const fn caller_id_name(form: CallerIdForm) -> &'static str {
    match form {
        CallerIdForm::Account => CALLER_ID_FORMS[0],
        CallerIdForm::FromNumber => CALLER_ID_FORMS[1],
        CallerIdForm::Asserted => CALLER_ID_FORMS[2],
        CallerIdForm::Preferred => CALLER_ID_FORMS[3],
        CallerIdForm::RemoteParty => CALLER_ID_FORMS[4],
    }
}

/// A value with its reason: a code of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Because<T> {
    /// The value.
    pub value: T,
    /// Code of the sentence that says why.
    pub why: &'static str,
}

const fn because<T>(value: T, why: &'static str) -> Because<T> {
    Because { value, why }
}

/// What an operator or an exchange wants.
#[derive(Clone, Copy, Debug)]
pub struct ProviderProfile {
    /// Its id on the API.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Host of the registrar; empty: the domain of the account's address.
    pub registrar: Because<&'static str>,
    /// Whether the account registers.
    pub registers: Because<bool>,
    /// Transport.
    pub transport: Because<Protocol>,
    /// Port at the operator.
    pub port: Because<u16>,
    /// Lifetime asked for, in seconds.
    pub expires_s: Because<u32>,
    /// How the way through routers is kept open.
    pub keep_alive: Because<KeepAlive>,
    /// Where the caller's number goes.
    pub caller_id: Because<CallerIdForm>,
    /// The form of numbers.
    pub numbers: Because<NumberForm>,
    /// Codecs in order of preference.
    pub codecs: Because<&'static str>,
    /// SRTP.
    pub srtp: Because<SrtpPolicy>,
    /// Whether the echo of the line is taken out of what callers say; `None`: as the line says.
    pub echo_cancellation: Option<Because<bool>>,
}

const fn crlf(seconds: u64) -> KeepAlive {
    KeepAlive::Crlf {
        interval: Duration::from_secs(seconds),
    }
}

const fn options(seconds: u64) -> KeepAlive {
    KeepAlive::Options {
        interval: Duration::from_secs(seconds),
    }
}

/// Every profile.
pub const PROFILES: [ProviderProfile; 9] = [
    ProviderProfile {
        id: "ovh",
        name: "OVHcloud",
        registrar: because("", "profile_registrar_ovh"),
        registers: because(true, "profile_registers_line"),
        transport: because(Protocol::Udp, "profile_transport_udp"),
        port: because(5060, "profile_port_standard"),
        expires_s: because(1800, "profile_expires_long"),
        keep_alive: because(crlf(25), "profile_keep_alive_nat"),
        caller_id: because(CallerIdForm::Account, "profile_caller_id_own_number"),
        numbers: because(NumberForm::DoubleZero, "profile_numbers_double_zero"),
        codecs: because("pcma,pcmu", "profile_codecs_europe"),
        srtp: because(SrtpPolicy::Off, "profile_srtp_none"),
        echo_cancellation: None,
    },
    ProviderProfile {
        id: "sipgate",
        name: "sipgate",
        registrar: because("sipgate.de", "profile_registrar_host"),
        registers: because(true, "profile_registers_line"),
        transport: because(Protocol::Udp, "profile_transport_udp"),
        port: because(5060, "profile_port_standard"),
        expires_s: because(600, "profile_expires_medium"),
        keep_alive: because(crlf(25), "profile_keep_alive_nat"),
        caller_id: because(CallerIdForm::Preferred, "profile_caller_id_from_account"),
        numbers: because(NumberForm::E164Digits, "profile_numbers_digits"),
        codecs: because("pcma,pcmu", "profile_codecs_europe"),
        srtp: because(SrtpPolicy::Off, "profile_srtp_none"),
        echo_cancellation: None,
    },
    ProviderProfile {
        id: "free_pro",
        name: "Free Pro",
        registrar: because("", "profile_registrar_given"),
        registers: because(true, "profile_registers_line"),
        transport: because(Protocol::Udp, "profile_transport_udp"),
        port: because(5060, "profile_port_standard"),
        expires_s: because(1800, "profile_expires_long"),
        keep_alive: because(crlf(25), "profile_keep_alive_nat"),
        caller_id: because(CallerIdForm::Account, "profile_caller_id_own_number"),
        numbers: because(NumberForm::National, "profile_numbers_national"),
        codecs: because("pcma", "profile_codecs_europe"),
        srtp: because(SrtpPolicy::Off, "profile_srtp_none"),
        echo_cancellation: None,
    },
    ProviderProfile {
        id: "twilio",
        name: "Twilio Elastic SIP Trunking",
        registrar: because("", "profile_registrar_twilio"),
        registers: because(false, "profile_registers_trunk"),
        transport: because(Protocol::Tls, "profile_transport_tls"),
        port: because(5061, "profile_port_tls"),
        expires_s: because(3600, "profile_expires_unused"),
        keep_alive: because(options(60), "profile_keep_alive_health"),
        caller_id: because(CallerIdForm::FromNumber, "profile_caller_id_from_number"),
        numbers: because(NumberForm::E164, "profile_numbers_e164"),
        codecs: because("pcmu,pcma", "profile_codecs_america"),
        srtp: because(SrtpPolicy::Preferred, "profile_srtp_offered"),
        echo_cancellation: None,
    },
    ProviderProfile {
        id: "telnyx",
        name: "Telnyx",
        registrar: because("sip.telnyx.com", "profile_registrar_host"),
        registers: because(true, "profile_registers_credentials"),
        transport: because(Protocol::Tls, "profile_transport_tls"),
        port: because(5061, "profile_port_tls"),
        expires_s: because(600, "profile_expires_medium"),
        keep_alive: because(crlf(25), "profile_keep_alive_nat"),
        caller_id: because(CallerIdForm::FromNumber, "profile_caller_id_from_number"),
        numbers: because(NumberForm::E164, "profile_numbers_e164"),
        codecs: because("pcmu,pcma", "profile_codecs_america"),
        srtp: because(SrtpPolicy::Preferred, "profile_srtp_offered"),
        echo_cancellation: None,
    },
    ProviderProfile {
        id: "fritzbox",
        name: "FRITZ!Box",
        registrar: because("fritz.box", "profile_registrar_lan"),
        registers: because(true, "profile_registers_extension"),
        transport: because(Protocol::Udp, "profile_transport_udp_only"),
        port: because(5060, "profile_port_standard"),
        expires_s: because(300, "profile_expires_short"),
        keep_alive: because(KeepAlive::Off, "profile_keep_alive_lan"),
        caller_id: because(CallerIdForm::Account, "profile_caller_id_box"),
        numbers: because(NumberForm::AsDialled, "profile_numbers_box"),
        codecs: because("pcma,pcmu", "profile_codecs_europe"),
        srtp: because(SrtpPolicy::Off, "profile_srtp_lan"),
        echo_cancellation: None,
    },
    ProviderProfile {
        id: "3cx",
        name: "3CX",
        registrar: because("", "profile_registrar_exchange"),
        registers: because(true, "profile_registers_extension"),
        transport: because(Protocol::Udp, "profile_transport_udp"),
        port: because(5060, "profile_port_standard"),
        expires_s: because(120, "profile_expires_short"),
        keep_alive: because(options(30), "profile_keep_alive_exchange"),
        caller_id: because(CallerIdForm::Account, "profile_caller_id_extension"),
        numbers: because(NumberForm::AsDialled, "profile_numbers_exchange"),
        codecs: because("pcma,pcmu", "profile_codecs_exchange"),
        srtp: because(SrtpPolicy::Preferred, "profile_srtp_offered"),
        echo_cancellation: None,
    },
    ProviderProfile {
        id: "asterisk",
        name: "Asterisk / FreePBX",
        registrar: because("", "profile_registrar_exchange"),
        registers: because(true, "profile_registers_extension"),
        transport: because(Protocol::Udp, "profile_transport_udp"),
        port: because(5060, "profile_port_standard"),
        expires_s: because(300, "profile_expires_short"),
        keep_alive: because(options(30), "profile_keep_alive_exchange"),
        caller_id: because(CallerIdForm::Asserted, "profile_caller_id_asserted"),
        numbers: because(NumberForm::AsDialled, "profile_numbers_exchange"),
        codecs: because("pcma,pcmu", "profile_codecs_exchange"),
        srtp: because(SrtpPolicy::Preferred, "profile_srtp_offered"),
        echo_cancellation: None,
    },
    ProviderProfile {
        id: "ht841",
        name: "Grandstream HT841",
        registrar: because("", "profile_registrar_gateway"),
        registers: because(false, "profile_registers_gateway"),
        transport: because(Protocol::Udp, "profile_transport_udp"),
        port: because(5060, "profile_port_gateway"),
        expires_s: because(3600, "profile_expires_unused"),
        keep_alive: because(options(30), "profile_keep_alive_health"),
        caller_id: because(CallerIdForm::Account, "profile_caller_id_analogue"),
        numbers: because(NumberForm::National, "profile_numbers_analogue"),
        codecs: because("pcma,pcmu", "profile_codecs_europe"),
        srtp: because(SrtpPolicy::Off, "profile_srtp_lan"),
        echo_cancellation: Some(because(true, "profile_echo_analogue")),
    },
];

/// One value of a profile in the words of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// Code of the sentence that says why.
    pub why: &'static str,
}

impl ProviderProfile {
    /// By its id.
    pub fn find(id: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.id == id)
    }

    /// Each value with its reason.
    pub fn shown(&self) -> Vec<Shown> {
        let keep_alive = match self.keep_alive.value {
            KeepAlive::Off => "off".to_owned(),
            KeepAlive::Crlf { interval } => format!("crlf {} s", interval.as_secs()),
            KeepAlive::Options { interval } => format!("options {} s", interval.as_secs()),
            KeepAlive::Stun { interval } => format!("stun {} s", interval.as_secs()),
        };
        let rows: [(&'static str, String, &'static str); 10] = [
            (
                "registrar",
                self.registrar.value.to_owned(),
                self.registrar.why,
            ),
            (
                "registers",
                self.registers.value.to_string(),
                self.registers.why,
            ),
            (
                "contact_transport",
                self.transport.value.uri_token().to_owned(),
                self.transport.why,
            ),
            ("port", self.port.value.to_string(), self.port.why),
            (
                "expires_s",
                self.expires_s.value.to_string(),
                self.expires_s.why,
            ),
            ("keep_alive", keep_alive, self.keep_alive.why),
            (
                "caller_id_form",
                caller_id_name(self.caller_id.value).to_owned(),
                self.caller_id.why,
            ),
            (
                "number_form",
                self.numbers.value.name().to_owned(),
                self.numbers.why,
            ),
            ("codecs", self.codecs.value.to_owned(), self.codecs.why),
            ("srtp", self.srtp.value.name().to_owned(), self.srtp.why),
        ];
        let echo = self
            .echo_cancellation
            .as_ref()
            .map(|one| ("echo_cancellation", one.value.to_string(), one.why));
        rows.into_iter()
            .chain(echo)
            .map(|(field, value, why)| Shown { field, value, why })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_the_form_that_the_operator_wants() {
        let forms = |country: &str, dialled: &str| {
            NumberForm::ALL
                .map(|(form, _)| form.write(country, dialled))
                .join(" ")
        };
        let all = "+33612345678 33612345678 0033612345678 0612345678";
        assert_eq!(forms("33", "+33612345678"), format!("+33612345678 {all}"));
        assert_eq!(forms("33", "0612345678"), format!("0612345678 {all}"));
        assert_eq!(forms("33", "0033612345678"), format!("0033612345678 {all}"));
        assert_eq!(
            forms("33", "+4930123456"),
            "+4930123456 +4930123456 4930123456 004930123456 004930123456"
        );
        for kept in ["112", "3633", "alice", "*21#", "0612345678;x"] {
            assert_eq!(NumberForm::E164.write("33", kept), kept);
        }
        assert_eq!(NumberForm::E164.write("", "0612345678"), "0612345678");
    }

    #[test]
    fn every_value_has_its_reason_in_both_languages() {
        assert_eq!(PROFILES.len(), 9);
        for profile in &PROFILES {
            for shown in profile.shown() {
                let entry = catalog::entry(shown.why);
                assert!(entry.is_some(), "{} {}", profile.id, shown.why);
            }
            assert!(ProviderProfile::find(profile.id).is_some());
        }
        for name in CALLER_ID_FORMS {
            assert_eq!(caller_id_form(name).map(caller_id_name), Some(name));
        }
        for name in NumberForm::NAMES {
            assert_eq!(
                NumberForm::from_name(name).map(NumberForm::name),
                Some(name)
            );
        }
    }
}
