//! Whether the caller's number is vouched for, before the call is prepared: asked while it rings, or before it does where the line refuses calls for it.

use std::sync::Arc;
use std::time::Instant;

use call::EndReason;

use super::preparation::{Preparation, over};
use crate::limits::LEG_EVENTS_MAX;
use crate::metrics::Metrics;
use crate::stir::Asked;

impl Preparation {
    /// Asks, where the line does, and notes what was found.
    ///
    /// # Errors
    /// The call is to be refused, or its caller has left meanwhile.
    pub(super) async fn vouched(&mut self, asked: Option<&Asked>) -> Result<(), EndReason> {
        let Some(asked) = asked else {
            return Ok(());
        };
        let policy = self.desk.line.config.identity;
        if !policy.refuses() {
            self.ring();
        }
        let calls = Arc::clone(&self.desk.calls);
        let verdict = calls.judge.verdict(asked);
        tokio::pin!(verdict);
        let verdict = loop {
            let has_room = self.backlog.len() < LEG_EVENTS_MAX;
            tokio::select! {
                biased;
                Some(event) = self.desk.leg.next(), if has_room => {
                    let left = over(&event);
                    self.backlog.push(event);
                    if let Some(reason) = left {
                        self.note_backlog();
                        return Err(reason);
                    }
                }
                verdict = &mut verdict => break verdict,
            }
        };
        let metrics = &calls.metrics;
        Metrics::count(&metrics.caller_identity, verdict.label(), 1);
        self.desk.journal.note(Instant::now(), verdict.note());
        self.desk.verdict = Some(verdict);
        self.refusal = policy.refusal(verdict);
        match &self.refusal {
            Some(_) => Err(EndReason::CallerUnproven),
            None => Ok(()),
        }
    }
}
