//! Lines that are recognised by a certificate, and those that demand one.
//!
//! A certificate is of the lines of one tenant, or of none: what two of them list is nobody's. It opens its own lines first, and closes none
//! that another way opens, unless the line demands one of its own.

use std::sync::Arc;
use std::time::Instant;

use call::EndReason;
use catalog::Message;
use jiff::Timestamp;
use sip::IncomingInvite;

use super::{Decision, Dispatcher, Line, best};
use crate::client_certificate::{By, Fault, Shown};
use crate::refusal::STRANGER_AT_A_LINE;

/// Whose a certificate is.
#[derive(Default)]
pub(super) struct Recognised {
    /// Its lines, of one tenant, the one that says it most exactly first.
    pub(super) lines: Vec<(By, Arc<Line>)>,
    /// The line that it nearly opens, where it opens none.
    near: Option<(Fault, Arc<Line>)>,
}

impl Recognised {
    fn by(&self, line: &Line) -> Option<&By> {
        let mut lines = self.lines.iter();
        let found = lines.find(|(_, known)| known.config.name == line.config.name)?;
        Some(&found.0)
    }
}

impl Dispatcher {
    /// The lines whose certificate was shown.
    pub(super) fn recognise(&self, shown: Option<&Shown>) -> Recognised {
        if shown.is_none() {
            return Recognised::default();
        }
        let now_s = Timestamp::now().as_second();
        let mut found = Recognised::default();
        let knowing = self
            .lines
            .iter()
            .filter(|line| !line.config.certificates.is_empty());
        for line in knowing {
            let judged = &line.config.certificates;
            match judged.judge(shown, &self.authorities, now_s) {
                Ok(by) => found.lines.push((by, Arc::clone(line))),
                Err(Fault::Other) => {}
                Err(fault) => {
                    // What is said of the peer itself is worth more than what anybody could show.
                    let is_better =
                        |(known, _): &(Fault, _)| fault.is_of_peer() && !Fault::is_of_peer(*known);
                    if found.near.as_ref().is_none_or(is_better) {
                        found.near = Some((fault, Arc::clone(line)));
                    }
                }
            }
        }
        // Names in their order of the alphabet are no order: only what kind of proof it is.
        found.lines.sort_by_key(|(by, _)| *by != By::Fingerprint);
        found.of_one_tenant()
    }

    /// Whether a certificate could open any line.
    pub(crate) fn asks_for_certificates(&self) -> bool {
        let mut lines = self.lines.iter();
        lines.any(|line| !line.config.certificates.is_empty())
    }

    /// Whether some line takes calls with this certificate.
    pub(crate) fn recognises(&self, shown: &Shown) -> bool {
        !self.recognise(Some(shown)).lines.is_empty()
    }

    /// Rises whenever what [`Dispatcher::recognises`] says may have changed.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// The line of a call with a certificate, where one of those that it opens, or a workflow of theirs, has the number.
    pub(super) fn line_by_certificate(
        &self,
        recognised: &Recognised,
        called: &str,
    ) -> Option<Arc<Line>> {
        let lines: Vec<&Arc<Line>> = recognised.lines.iter().map(|(_, line)| line).collect();
        let by_workflow = || {
            lines.iter().find(|line| {
                let tenant = &line.config.tenant;
                self.routes.by_number(tenant, &[called]).is_some()
            })
        };
        best(&lines, called)
            .or_else(|| by_workflow().copied())
            .map(Arc::clone)
    }

    /// A call that came by a line, however that was found: where the line demands a certificate, this must be one of its own.
    pub(super) fn accept_with(
        &mut self,
        now: Instant,
        line: &Arc<Line>,
        invite: &IncomingInvite,
        (shown, recognised): (Option<&Shown>, &Recognised),
    ) -> Decision {
        let by = recognised.by(line);
        if by.is_none() && line.config.certificates.required {
            return self.without_certificate(line, shown);
        }
        let mut decision = self.accept(now, line, invite);
        if let (Decision::Accept { admitted, .. }, Some(by), Some(shown)) =
            (&mut decision, by, shown)
        {
            admitted.note = Some(by.note(shown));
        }
        decision
    }

    fn without_certificate(&self, line: &Arc<Line>, shown: Option<&Shown>) -> Decision {
        let now_s = Timestamp::now().as_second();
        let certificates = &line.config.certificates;
        let fault = match certificates.judge(shown, &self.authorities, now_s) {
            Err(fault) => fault,
            // It is the line's, and of somebody else's as well.
            Ok(_) => Fault::Ambiguous,
        };
        let refused = self.refuse(Some(line), EndReason::CertificateRefused, "certificate");
        refused.because(fault.note(shown))
    }

    /// What becomes of a stranger with a certificate that nearly opens a line: it is refused by that line, unless it may still prove a
    /// password. One whose certificate is out of date, or whose line demands it, is not asked for another proof.
    pub(super) fn refuse_nearly(
        &self,
        recognised: &Recognised,
        shown: Option<&Shown>,
        has_other_ways: bool,
    ) -> Option<Decision> {
        let (fault, line) = recognised.near.as_ref()?;
        let is_settled = fault.is_of_peer() || line.config.certificates.required;
        let code = if fault.is_of_peer() {
            "certificate"
        } else {
            STRANGER_AT_A_LINE
        };
        let refused = self.refuse(Some(line), EndReason::CertificateRefused, code);
        (is_settled || !has_other_ways).then(|| refused.because(fault.note(shown)))
    }

    /// What the record of a stranger's refusal says of the certificate that it showed.
    pub(super) fn note_of_stranger(shown: Option<&Shown>) -> Option<Message> {
        shown.map(|shown| Fault::Other.note(Some(shown)))
    }

    /// Whether a line may be spoken for by whoever showed this: by its certificate, and without one only where it demands none.
    pub(super) fn may_speak(&self, line: &Line, shown: Option<&Shown>) -> (bool, bool) {
        let is_own = self.recognise(shown).by(line).is_some();
        (is_own, is_own || !line.config.certificates.required)
    }
}

impl Recognised {
    /// Without the lines of other tenants: those that say it less exactly are not its, and where the most exact ones are of several
    /// tenants it is nobody's.
    fn of_one_tenant(mut self) -> Self {
        let Some((first, line)) = self.lines.first() else {
            return self;
        };
        let tenant = line.config.tenant.clone();
        let is_exact = *first == By::Fingerprint;
        let mut as_exact = self
            .lines
            .iter()
            .filter(|(by, _)| (*by == By::Fingerprint) == is_exact);
        if as_exact.any(|(_, line)| line.config.tenant != tenant) {
            self.near = self
                .lines
                .drain(..)
                .next()
                .map(|(_, line)| (Fault::Ambiguous, line));
            return self;
        }
        self.lines.retain(|(_, line)| line.config.tenant == tenant);
        self
    }
}
