//! Calls that come by a carrier's stream, by an agent's own name, or that we place: which line they are of, and a place for them.

use std::sync::Arc;

use call::TenantId;
use wire::twilio::Dialect;

use super::{Admitted, Dispatcher, Gate, Line};
use crate::admission::Places;
use crate::config::{LineConfig, LineProvider, SrtpPolicy};
use crate::routes::routed;
use crate::selection::same_number;

/// Why a call cannot be placed.
pub(crate) enum OutgoingRefused {
    UnknownLine,
    /// An account without a phone line and without a workflow.
    NoAgent,
    Busy,
}

impl Dispatcher {
    /// The line of a carrier's call.
    pub(crate) fn stream_line(
        &self,
        (dialect, tenant): (Dialect, Option<&TenantId>),
        name: Option<&str>,
        called: &str,
    ) -> Option<&Arc<Line>> {
        let takes = |line: &&Arc<Line>| match line.config.provider {
            LineProvider::Stream(only) => {
                only.is_none_or(|only| only == dialect)
                    && tenant.is_none_or(|tenant| *tenant == line.config.tenant)
            }
            LineProvider::Sip => false,
        };
        let numbered = |line: &&Arc<Line>, wanted: &str| {
            let numbers = &line.config.numbers;
            !wanted.is_empty() && numbers.iter().any(|number| same_number(number, wanted))
        };
        if let Some(name) = name {
            return self
                .lines
                .iter()
                .filter(takes)
                .find(|line| line.config.name == name || numbered(line, name));
        }
        let mut lines = self.lines.iter().filter(takes);
        lines
            .clone()
            .find(|line| numbered(line, called))
            .or_else(|| lines.find(|line| line.config.numbers.is_empty()))
    }

    /// A place for a call that we place.
    pub(crate) fn admit_outgoing(
        &self,
        name: &str,
    ) -> Result<(Arc<Line>, Admitted), OutgoingRefused> {
        let line = self
            .lines
            .iter()
            .find(|line| line.config.name == name)
            .ok_or(OutgoingRefused::UnknownLine)?;
        let line = match self.routes.by_account(&line.config.tenant, name) {
            Some(route) if !line.has_agent => routed(line, route),
            Some(_) | None => Arc::clone(line),
        };
        self.admit_line(&line)
    }

    /// A place for a call to an agent of the directory that comes by no line of its own.
    pub(crate) fn admit_agent(
        &self,
        agent: &str,
        dialect: Dialect,
    ) -> Result<(Arc<Line>, Admitted), OutgoingRefused> {
        let agent = self.agents.get(agent).ok_or(OutgoingRefused::UnknownLine)?;
        let office = agent.config.office.as_ref();
        let definition = office.map(|office| office.agent.definition());
        let tenant = definition.map(|known| known.tenant_id.as_str());
        let line = Line {
            config: LineConfig {
                name: dialect.name().to_owned(),
                tenant: TenantId::from(tenant.unwrap_or_default()),
                agent: agent.config.name.clone(),
                account: None,
                domain: None,
                provider: LineProvider::Stream(Some(dialect)),
                numbers: Vec::new(),
                allow: Vec::new(),
                credentials: None,
                srtp: SrtpPolicy::Off,
                codecs: vec![media::Codec::Pcmu],
                keypad: media::Keypad::default(),
                treatment: media::Treatment::default(),
                nat: crate::nat::NatConfig::default(),
                calls_max: 0,
                rates: crate::config::CallRates::default(),
                certificates: crate::config::ClientCertificates::default(),
                identity: crate::config::IdentityPolicy::Off,
                sip_account: None,
                device: None,
            },
            agent: Arc::clone(agent),
            has_agent: true,
            route: None,
            account: None,
            device: None,
            places: Places::new(0),
        };
        self.admit_line(&Arc::new(line))
    }

    /// Whether the settings have a line of this name.
    pub(crate) fn is_of_settings(&self, name: &str) -> bool {
        let mut fixed = self.lines.iter().take(self.fixed);
        fixed.any(|line| line.config.name == name)
    }

    /// A place for a call that we place by this line.
    pub(crate) fn admit_line(
        &self,
        line: &Arc<Line>,
    ) -> Result<(Arc<Line>, Admitted), OutgoingRefused> {
        if !line.has_agent {
            return Err(OutgoingRefused::NoAgent);
        }
        if self.draining.is_set() || self.gate(&line.agent.config.name) == Gate::Closed {
            return Err(OutgoingRefused::Busy);
        }
        self.has_time().map_err(|_| OutgoingRefused::Busy)?;
        let process = self.process.take().ok_or(OutgoingRefused::Busy)?;
        let place = line.places.take().ok_or(OutgoingRefused::Busy)?;
        Ok((
            Arc::clone(line),
            Admitted {
                note: None,
                _process: process,
                _line: place,
            },
        ))
    }
}
