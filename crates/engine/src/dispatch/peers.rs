//! Which lines take calls from a peer, by its certificate and its address, and which of them a number belongs to.

use std::net::IpAddr;
use std::sync::Arc;

use super::certificates::Recognised;
use super::{Dispatcher, Line};
use crate::selection::same_number;

impl Dispatcher {
    /// True when some line lists this address.
    pub(super) fn knows(&self, address: IpAddr) -> bool {
        self.lines.iter().any(|line| allows(line, address))
    }

    /// The lines that list a source, the one with the narrowest network first: a trunk's own address says more than a carrier's whole range.
    /// A line that names the dialled number still comes before one that takes any: nobody takes another's numbers by a narrower list.
    pub(super) fn lines_of_source(&self, source: IpAddr) -> Vec<&Arc<Line>> {
        let mut found: Vec<(u8, &Arc<Line>)> = self
            .lines
            .iter()
            .filter_map(|line| Some((narrowest(line, source)?, line)))
            .collect();
        found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        found.into_iter().map(|(_, line)| line).collect()
    }

    /// The line that a number belongs to, of those that take calls from this peer: by its certificate, then by its address. Whoever names the
    /// number comes first, whatever it knows the peer by: no list of another tenant takes it away.
    pub(super) fn line_of_peer<'a>(
        &'a self,
        recognised: &'a Recognised,
        by_source: &[&'a Arc<Line>],
        called: &str,
    ) -> Option<&'a Arc<Line>> {
        let mut known = recognised.lines().chain(by_source.iter().copied());
        known
            .find(|line| names(line, called))
            .or_else(|| self.line_by_certificate(recognised, called))
            .or_else(|| by_source.iter().copied().find(|line| takes_any(line)))
            .or_else(|| {
                let mut lines = by_source.iter().copied();
                lines.find(|line| self.has_workflow(line, called))
            })
    }

    /// The tenant of a line has a workflow with this number.
    pub(super) fn has_workflow(&self, line: &Line, called: &str) -> bool {
        self.routes
            .by_number(&line.config.tenant, &[called])
            .is_some()
    }
}

/// Whether a line lists this address.
pub(crate) fn allows(line: &Line, address: IpAddr) -> bool {
    narrowest(line, address).is_some()
}

/// Prefix length, in bits, of the narrowest network of a line that holds this address.
fn narrowest(line: &Line, address: IpAddr) -> Option<u8> {
    let address = address.to_canonical();
    let networks = line.config.allow.iter();
    networks
        .filter(|net| net.contains(&address))
        .map(ipnet::IpNet::prefix_len)
        .max()
}

/// The line that names the number; else the first that takes any.
pub(super) fn best<'a>(lines: &[&'a Arc<Line>], called: &str) -> Option<&'a Arc<Line>> {
    let named = lines.iter().find(|line| names(line, called));
    named
        .or_else(|| lines.iter().find(|line| takes_any(line)))
        .copied()
}

fn names(line: &Line, called: &str) -> bool {
    let mut numbers = line.config.numbers.iter();
    numbers.any(|number| same_number(number, called))
}

/// The line names no number of its own.
pub(super) fn takes_any(line: &Line) -> bool {
    line.config.numbers.is_empty()
}
