//! Lines that are recognised by a certificate, and those that demand one.
//!
//! Who lists a certificate has proven nothing of it: anybody can fetch the one that a carrier shows, and a carrier serves many tenants. So where
//! several tenants know it, only a number says whose call it is, and what none of them names is nobody's. Within a tenant it opens its own lines
//! first, and it closes none that another way opens, unless the line demands one of its own.

use std::sync::Arc;
use std::time::Instant;

use call::EndReason;
use catalog::Message;
use jiff::Timestamp;
use sip::IncomingInvite;

use super::peers::takes_any;
use super::{Decision, Dispatcher, Line};
use crate::client_certificate::{By, Fault, Shown};
use crate::refusal::STRANGER_AT_A_LINE;

/// Whose a certificate is.
#[derive(Default)]
pub(super) struct Recognised {
    /// Its lines, the one that says it most exactly first.
    lines: Vec<(By, Arc<Line>)>,
    /// The line that it nearly opens, where it opens none.
    near: Option<(Fault, Arc<Line>)>,
}

impl Recognised {
    fn by(&self, line: &Line) -> Option<&By> {
        let mut lines = self.lines.iter();
        let found = lines.find(|(_, known)| known.config.name == line.config.name)?;
        Some(&found.0)
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &Arc<Line>> {
        self.lines.iter().map(|(_, line)| line)
    }

    /// Its first line, where all are of one tenant.
    pub(super) fn only(&self) -> Option<&Arc<Line>> {
        of_one_tenant(self.lines())
    }
}

/// The first of these lines, where all are of one tenant.
fn of_one_tenant<'a>(mut lines: impl Iterator<Item = &'a Arc<Line>>) -> Option<&'a Arc<Line>> {
    let first = lines.next()?;
    let tenant = &first.config.tenant;
    lines
        .all(|line| line.config.tenant == *tenant)
        .then_some(first)
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
        found
    }

    /// Whether some line takes calls with this certificate.
    pub(crate) fn recognises(&self, shown: &Shown) -> bool {
        self.recognise(Some(shown)).lines().next().is_some()
    }

    /// The line of a call with a certificate that names the number nowhere itself: one that takes any, or has a workflow with the number. What
    /// several tenants know opens none that takes any.
    pub(super) fn line_by_certificate<'a>(
        &self,
        recognised: &'a Recognised,
        called: &str,
    ) -> Option<&'a Arc<Line>> {
        let any = recognised.only().and_then(|_| {
            let mut lines = recognised.lines();
            lines.find(|line| takes_any(line))
        });
        any.or_else(|| {
            let lines = recognised.lines();
            of_one_tenant(lines.filter(|line| self.has_workflow(line, called)))
        })
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
        let judged = certificates.judge(shown, &self.authorities, now_s);
        let refused = self.refuse(Some(line), EndReason::CertificateRefused, "certificate");
        refused.because(judged.err().map(|fault| fault.note(shown)))
    }

    /// What becomes of a stranger with a certificate that nearly opens a line: it is refused by that line, unless it may still prove a
    /// password. One whose certificate is out of date, or whose line demands it, is not asked for another proof.
    pub(super) fn refuse_nearly(
        &self,
        recognised: &Recognised,
        shown: Option<&Shown>,
        has_other_ways: bool,
    ) -> Option<Decision> {
        if recognised.lines().next().is_some() && recognised.only().is_none() {
            // Nobody's: it is told to none of them.
            let refused = self.refuse(None, EndReason::CertificateRefused, "certificate");
            return (!has_other_ways).then(|| refused.because(Fault::Ambiguous.note(shown)));
        }
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
