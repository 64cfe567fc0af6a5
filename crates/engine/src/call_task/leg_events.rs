//! What the leg tells: progress, answers, offers, the end.

use std::time::Instant;

use agent::PlacedEvent;
use call::{EndReason, Input};
use catalog::Message;
use sip::EndCause;
use store::Event;
use store::journal::Milestone;

use super::{CallTask, agreement};
use crate::leg::key_info;
use crate::leg::{exact_reason, leg_end};
use crate::limits::STATISTICS_EVERY;
use crate::sip_driver::LegEvent;

impl CallTask {
    pub(super) fn leg_event(&mut self, now: Instant, event: LegEvent) {
        match event {
            LegEvent::Trace(trace) => self.desk.trace(now, &trace),
            LegEvent::Progress { status } => self.progress(now, status),
            LegEvent::Accepted { sdp } => self.accepted(now, sdp.as_deref()),
            // Of a dialog that took the place of another: the call has begun long ago.
            LegEvent::Established { answer } if self.clock.established.is_some() => {
                if let Some(answer) = answer {
                    self.answered_again(now, &answer);
                }
            }
            LegEvent::Established { answer } => self.established(now, answer.as_deref()),
            LegEvent::Replaced(replacement) => self.caller_replaced(now, *replacement),
            LegEvent::Offer { sdp } => self.offered(now, &sdp),
            LegEvent::OfferRequested => {
                if let Some(media) = self.media.sdp() {
                    let offer = media.offer_again();
                    self.ask(now, |task| task.desk.leg.answer_offer(offer));
                }
            }
            LegEvent::Answer { sdp } => self.answered_again(now, &sdp),
            LegEvent::OfferFailed { status } => {
                self.desk
                    .journal
                    .note(now, Message::new("offer_failed").with("status", status));
            }
            LegEvent::Info { content_type, body } => self.info(now, &content_type, &body),
            LegEvent::TransferAccepted => self.session.handle(now, Input::TransferAccepted),
            LegEvent::CommandRefused { command } => {
                self.desk.journal.note(
                    now,
                    Message::new("sip_command_refused").with("command", command),
                );
            }
            LegEvent::TransferFinished { end } => self.transfer_over(now, end),
            LegEvent::Ended { cause } => {
                if !self.fail_over(now, &cause) {
                    self.leg_over(now, &cause);
                }
            }
        }
    }

    /// Asks something of the leg; a driver that cannot take it has lost this call.
    pub(super) fn ask(&mut self, now: Instant, command: impl FnOnce(&mut Self) -> bool) {
        if !command(self) {
            self.leg_over(now, &EndCause::Overload);
        }
    }

    pub(super) fn leg_over(&mut self, now: Instant, cause: &EndCause) {
        if matches!(cause, EndCause::Overload) {
            // The driver hangs up by itself where it still can.
            self.desk.leg.hang_up(EndReason::Overload);
        }
        if let EndCause::Refused { status, reason } = cause {
            let message = Message::new("sip_refused")
                .with("status", *status)
                .with("reason", reason.as_str());
            self.desk.journal.note(now, message);
        }
        self.desk.leg.set_ended();
        if self.desk.exact.is_none() {
            self.desk.exact = exact_reason(cause);
        }
        self.keep_unfinished_words(now);
        self.session.handle(
            now,
            Input::LegEnded {
                cause: leg_end(cause),
            },
        );
    }

    /// Outbound: it rings there.
    fn progress(&mut self, now: Instant, status: u16) {
        if status > 100 && self.desk.timings.ring_ms.is_none() {
            self.desk.timings.ring_ms = Some(self.desk.since_start_ms(now));
            self.desk.milestone(now, Milestone::Ringing);
            self.desk.changed();
            self.tell_placed(PlacedEvent::Ringing, "ringing");
        }
    }

    /// Outbound: they answered.
    fn accepted(&mut self, now: Instant, sdp: Option<&[u8]>) {
        self.desk.answered(now);
        self.record_from_the_answer();
        if self.take_answer(now, sdp.unwrap_or_default()) {
            self.media.start(now);
            self.audio_flows(now);
        }
    }

    /// Inbound: the ACK came.
    fn established(&mut self, now: Instant, answer: Option<&[u8]>) {
        if let Some(answer) = answer
            && !self.take_answer(now, answer)
        {
            return;
        }
        self.audio_flows(now);
    }

    fn audio_flows(&mut self, now: Instant) {
        if let Some(office) = &mut self.office {
            office.answered_at(now);
        }
        self.tell_placed(PlacedEvent::Answered, "answered");
        self.clock.established = Some(now);
        self.clock.statistics_due = Some(now + STATISTICS_EVERY);
        self.desk.milestone(now, Milestone::Established);
        self.listen_for_answerer(now);
        self.session.handle(now, Input::LegAnswered);
    }

    /// Takes the answer to our first offer; false ends the call.
    fn take_answer(&mut self, now: Instant, sdp: &[u8]) -> bool {
        let Err(reason) = agreement::take_answer(&self.desk, now, &mut self.media, sdp) else {
            return true;
        };
        self.desk.exact = Some(reason);
        self.ask(now, |task| task.desk.leg.hang_up(reason));
        false
    }

    /// A re-INVITE or UPDATE: hold, resume, another address or codec.
    fn offered(&mut self, now: Instant, sdp: &[u8]) {
        let was_held = self.media.is_held();
        if self.media.sdp().is_none() {
            return;
        }
        match agreement::answer_again(&self.desk, now, &mut self.media, sdp) {
            Some(answer) => {
                self.ask(now, |task| task.desk.leg.answer_offer(answer));
                self.hold_changed(now, was_held);
            }
            None => self.ask(now, |task| task.desk.leg.reject_offer(488)),
        }
    }

    /// The answer to an offer that a re-INVITE without one asked for.
    fn answered_again(&mut self, now: Instant, sdp: &[u8]) {
        let was_held = self.media.is_held();
        if agreement::take_answer(&self.desk, now, &mut self.media, sdp).is_ok() {
            self.hold_changed(now, was_held);
        }
    }

    pub(super) fn hold_changed(&mut self, now: Instant, was_held: bool) {
        let held = self.media.is_held();
        if held != was_held {
            self.session.handle(now, Input::HoldChanged { held });
        }
    }

    /// Keys by INFO.
    fn info(&mut self, now: Instant, content_type: &str, body: &[u8]) {
        if let Some((digit, duration_ms)) = key_info::key_of_info(content_type, body) {
            self.media.handle_key(now, digit, duration_ms);
        }
    }

    /// The caller pressed a key.
    pub(super) fn pressed(&mut self, now: Instant, digit: char) {
        // Between people a key is theirs, and written nowhere.
        if self.second.press(digit) {
            return;
        }
        if !self.privacy.is_secure() {
            self.desk
                .journal
                .event(now, Event::Dtmf { digit, sent: false });
        }
        self.session.handle(now, Input::Dtmf { digit });
    }
}
