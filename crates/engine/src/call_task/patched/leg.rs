//! What the leg of a patched call tells.

use std::time::Instant;

use call::{EndReason, TransferEnd};
use sip::EndCause;
use store::journal::Milestone;

use super::{Patched, Phase};
use crate::call_task::agreement;
use crate::call_task::preparation::end_of_leg;
use crate::call_task::takeover::{noted, take_over};
use crate::leg::{key_info, said};
use crate::sip_driver::LegEvent;
use crate::switchboard::CallNews;

impl Patched {
    pub(super) fn leg_event(&mut self, now: Instant, event: LegEvent) {
        match event {
            LegEvent::Trace(trace) => self.desk.trace(now, &trace),
            LegEvent::Progress { status } => self.progress(now, status),
            LegEvent::Accepted { sdp } => self.accepted(now, sdp.as_deref().unwrap_or_default()),
            LegEvent::Established { answer } if self.phase == Phase::Talking => {
                if let Some(answer) = answer {
                    let _ = agreement::take_answer(&self.desk, now, &mut self.media, &answer);
                    self.hold_changed();
                }
            }
            LegEvent::Established { answer } => self.established(now, answer.as_deref()),
            LegEvent::Replaced(replacement) => {
                let Self { desk, media, .. } = self;
                noted(desk, now, &replacement);
                let (calls, line) = (&desk.calls, &desk.line);
                take_over(now, (calls, line), (&mut desk.leg, media), *replacement);
                self.hold_changed();
            }
            LegEvent::Offer { sdp } => {
                let done = match agreement::answer_again(&self.desk, now, &mut self.media, &sdp) {
                    Some(answer) => self.desk.leg.answer_offer(answer),
                    None => self.desk.leg.reject_offer(488),
                };
                self.asked(done);
                self.hold_changed();
            }
            LegEvent::OfferRequested => {
                if let Some(media) = self.media.sdp() {
                    let offer = media.offer_again();
                    let done = self.desk.leg.answer_offer(offer);
                    self.asked(done);
                }
            }
            LegEvent::Answer { sdp } => {
                let agreed = agreement::take_answer(&self.desk, now, &mut self.media, &sdp);
                if agreed.is_ok() {
                    self.hold_changed();
                }
            }
            LegEvent::OfferFailed { .. } | LegEvent::CommandRefused { .. } => {}
            LegEvent::Info { content_type, body } => {
                if let Some((digit, duration_ms)) = key_info::key_of_info(&content_type, &body) {
                    self.media.handle_key(now, digit, duration_ms);
                }
            }
            LegEvent::TransferAccepted => self.tell(CallNews::TransferAccepted),
            LegEvent::TransferFinished { end } => match end {
                TransferEnd::Done => self.end(EndReason::Transferred),
                TransferEnd::Declined { reason } | TransferEnd::Failed { reason } => {
                    self.tell(CallNews::TransferFailed(reason));
                }
            },
            LegEvent::Ended { cause } => self.leg_over(&cause),
        }
    }

    /// A driver that cannot take a command has lost this call.
    fn asked(&mut self, done: bool) {
        if !done {
            self.leg_over(&EndCause::Overload);
        }
    }

    fn hold_changed(&mut self) {
        // Somebody who holds us need not be heard.
        if self.media.is_held() {
            self.unheard_by = None;
        }
    }

    fn progress(&mut self, now: Instant, status: u16) {
        if status > 100 && self.desk.timings.ring_ms.is_none() {
            self.desk.rings(now);
            self.tell(CallNews::Ringing);
        }
    }

    /// Outbound: they answered.
    fn accepted(&mut self, now: Instant, sdp: &[u8]) {
        self.answered(now);
        match agreement::take_answer(&self.desk, now, &mut self.media, sdp) {
            Ok(()) => {
                self.media.start(now);
                self.talks(now);
                self.far_by = super::far_end_due(now);
                if let Some(far) = self.chosen.take() {
                    self.connect(now, far);
                }
            }
            Err(reason) => self.end(reason),
        }
    }

    /// Inbound: the ACK came.
    fn established(&mut self, now: Instant, answer: Option<&[u8]>) {
        if let Some(answer) = answer
            && let Err(reason) = agreement::take_answer(&self.desk, now, &mut self.media, answer)
        {
            self.end(reason);
            return;
        }
        self.talks(now);
        self.is_active(now);
    }

    fn talks(&mut self, now: Instant) {
        self.phase = Phase::Talking;
        self.desk.milestone(now, Milestone::Established);
    }

    pub(super) fn leg_over(&mut self, cause: &EndCause) {
        if matches!(cause, EndCause::Overload) {
            // The driver hangs up by itself where it still can.
            self.desk.leg.hang_up(EndReason::Overload);
        }
        self.desk.leg.set_ended();
        self.status = said(cause).or(self.status);
        self.ended.get_or_insert(end_of_leg(cause));
    }
}
