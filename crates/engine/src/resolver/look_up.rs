//! A resolution that tells what it found on its way, for people.

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{RData, RecordType};
use sip::Target;

use super::{Question, Resolver, absolute, direct, naptr, service_name};
use crate::limits::RESOLVE_WITHIN;

/// Records shown of one look-up.
const RECORDS_MAX: usize = 12;

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTarget {
    /// The name does not exist.
    Unknown,
    /// It exists and has no address.
    Empty,
    /// No name server answered.
    Silent,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LookUp {
    /// One text a record: `SRV _sip._udp.example.org → a.example.org:5060`.
    pub(crate) records: Vec<String>,
    /// Targets in order of preference.
    pub(crate) targets: Vec<Target>,
    /// Why there is no target.
    pub(crate) failure: Option<NoTarget>,
}

impl Resolver {
    /// As [`Resolver::resolve`], without its memory of earlier answers, and with what was found on the way.
    pub(crate) async fn look_up(&self, question: &Question, seed: u64) -> LookUp {
        if let Some(targets) = direct(question) {
            return LookUp {
                targets,
                ..LookUp::default()
            };
        }
        let failed = |failure| LookUp {
            failure: Some(failure),
            ..LookUp::default()
        };
        let Some(dns) = self.dns.as_deref() else {
            return failed(NoTarget::Silent);
        };
        let choice = crate::random::Choice::new(seed);
        let asked = tokio::time::timeout(RESOLVE_WITHIN, async {
            let targets = super::ask(dns, question, choice).await;
            let records = records(dns, question).await;
            let failure = if targets.is_empty() {
                Some(why(dns, question).await)
            } else {
                None
            };
            LookUp {
                records,
                targets,
                failure,
            }
        });
        asked.await.unwrap_or_else(|_| failed(NoTarget::Silent))
    }
}

/// The answers are in the resolver's cache by now.
async fn records(dns: &TokioResolver, question: &Question) -> Vec<String> {
    let mut found = Vec::new();
    if question.port.is_some() {
        return found;
    }
    let mut services = Vec::new();
    if question.protocol.is_none() {
        services = naptr(dns, question).await;
        let texts = services.iter();
        found.extend(texts.map(|(_, name)| format!("NAPTR {} → {name}", question.host)));
    }
    if services.is_empty() {
        let protocol = question.default_protocol();
        services.push((protocol, service_name(question, protocol)));
    }
    for (_, name) in services {
        let Ok(answer) = dns.lookup(absolute(&name), RecordType::SRV).await else {
            continue;
        };
        for record in answer.answers() {
            if let RData::SRV(srv) = &record.data {
                found.push(format!("SRV {name} → {}:{}", srv.target, srv.port));
            }
        }
    }
    found.truncate(RECORDS_MAX);
    found
}

async fn why(dns: &TokioResolver, question: &Question) -> NoTarget {
    match dns.lookup_ip(absolute(&question.host)).await {
        Ok(_) => NoTarget::Empty,
        Err(error) if error.is_nx_domain() => NoTarget::Unknown,
        Err(error) if error.is_no_records_found() => NoTarget::Empty,
        Err(_) => NoTarget::Silent,
    }
}
