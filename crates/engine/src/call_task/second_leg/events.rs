//! What the session asks of a second leg, and what the leg tells.

use std::time::Instant;

use call::{EndReason, HUNG_UP, Input, TargetDrop, TransferEnd, TransferTarget};
use catalog::Message;
use media::StreamEvent;
use sip::EndCause;
use store::Event;

use super::parking::PARKED;
use super::{Offer, Origin, SecondLeg, SecondWake, Stage};
use crate::call_task::CallTask;
use crate::call_task::agreement::note_ways;
use crate::call_task::desk::phone;
use crate::call_task::failover::NextAccount;
use crate::call_task::second_leg::relay::Relay;
use crate::call_task::takeover::{noted, take_over};
use crate::calls::{Calls, Dialled};
use crate::house_codes::keys::CodeKeys;
use crate::journal::CallJournal;
use crate::leg::audio::LegAudio;
use crate::leg::{Leg, key_info, said, unreached};
use crate::limits::SECOND_LEGS_MAX;
use crate::person::{CalledState, seat_of};
use crate::quality::Meter;
use crate::sip_driver::LegEvent;

/// Why the leg of a person is over who gave the caller back, for the record.
const HANDED_BACK: &str = "handed the caller back";
/// Keys of a person who is asked that are taken at once.
const KEYS_AT_ONCE_MAX: usize = 8;

impl CallTask {
    /// Calls the person whom the caller is handed to.
    pub(in crate::call_task) fn call_target(&mut self, now: Instant, target: &TransferTarget) {
        self.show_calling(&target.name, seat_of(target.mode));
        let placed = if self.second.called < SECOND_LEGS_MAX {
            self.place_target(now, target)
        } else {
            Err("too many people were called in this call already")
        };
        match placed {
            Ok(mut second) => {
                let office = self.office.as_ref();
                let may_record = office.is_none_or(|office| office.brain.is_recordable());
                if let Some(tap) = second.media.tap().filter(|_| may_record) {
                    tap.allow_voices();
                }
                self.second.begin(now, second, &self.desk.journal);
            }
            Err(reason) => {
                let reason = reason.to_owned();
                self.session.handle(now, Input::TargetEnded { reason });
            }
        }
    }

    fn place_target(
        &self,
        now: Instant,
        target: &TransferTarget,
    ) -> Result<SecondLeg, &'static str> {
        let line = &self.desk.line;
        let parties = &self.desk.identity.parties;
        let caller = phone(if self.desk.identity.inbound {
            &parties.from
        } else {
            &parties.to
        });
        let shows = target.shows_caller || line.device.is_some();
        let dialled = Dialled {
            to: target.address.reveal().clone(),
            backups: self.desk.calls.backups(line),
            caller: caller.filter(|_| shows),
            domain: self.calling_domain(),
        };
        let (media, leg) = self.desk.calls.place_second(now, line, &dialled)?;
        let mut media = LegAudio::Rtp(Box::new(media));
        media.set_media_timeout_ms(self.silent_ms());
        Ok(SecondLeg {
            target: target.name.clone(),
            leg: Leg::Sip(leg),
            dialled,
            media,
            meter: Meter::default(),
            relay: Relay::new(),
            conference: None,
            stage: Stage::Calling,
            announcement: self.prepare_announcement(target),
            rang: None,
            answered: None,
            joined: None,
            ended: None,
            end: None,
            offer: Offer::No,
            origin: Origin::Called,
            code: CodeKeys::default(),
            leaves_at: None,
            admitted: None,
            last_seen: false,
            is_spent: false,
        })
    }

    /// How long a telephone of a second leg may send no sound: as long as the caller's side is waited for.
    pub(super) fn silent_ms(&self) -> u32 {
        let lasts = self.session.no_media_ms();
        let noticed = self.desk.calls.rtp.media_timeout_ms;
        let bound = (lasts > 0).then(|| noticed.saturating_add(lasts));
        bound.unwrap_or(u32::MAX)
    }

    /// The session gives the second leg up, or the call is over.
    pub(in crate::call_task) fn drop_target(&mut self, now: Instant, cause: TargetDrop) {
        let caller_left = self.desk.leg.is_ended();
        let place = self.parking_place();
        let language = self.desk.line.agent.config.profile.language;
        let parks = cause == TargetDrop::Parked && !caller_left;
        if parks && self.second.told_place(now, place, language) {
            return;
        }
        if let Some(second) = self.second.open() {
            if cause == TargetDrop::HandedOver {
                return second.leave(now);
            }
            let joined = second.talks();
            let (reason, why) = match (cause, caller_left) {
                (TargetDrop::HandedOver, _) => (EndReason::Transferred, super::HANDED_OVER),
                (_, true) if joined => (EndReason::Transferred, "the caller hung up"),
                (_, true) => (EndReason::CallerHungUp, "the caller hung up"),
                (TargetDrop::CallEnds, false) if joined => (EndReason::Transferred, "we hung up"),
                (TargetDrop::CallEnds, false) => (EndReason::OperatorHungUp, "we hung up"),
                (TargetDrop::NoPlace, false) => (EndReason::Rejected, "no place"),
                (TargetDrop::CalledOff, false) => (EndReason::OperatorHungUp, "called off"),
                (TargetDrop::Parked, false) => (EndReason::OperatorHungUp, PARKED),
                (TargetDrop::HandedBack, false) => (EndReason::OperatorHungUp, HANDED_BACK),
                (TargetDrop::NoAnswer, false) => (EndReason::NoAnswer, "no answer"),
                (TargetDrop::Refused, false) => (EndReason::AgentHungUp, "refused by the person"),
                (TargetDrop::TimedOut, false) => (EndReason::AgentHungUp, "not accepted in time"),
            };
            second.end(now, reason, why);
        }
        self.second.dismiss(now);
    }

    /// The person has the word: the caller's side is asked to take our place towards them.
    pub(in crate::call_task) fn hand_over(&mut self, now: Instant) {
        let mut asked = false;
        if let Some(second) = self.second.open() {
            second.cut_announcement(now);
            asked = second.offer == Offer::No && self.desk.leg.hand_over(&second.leg);
            if asked {
                second.offer = Offer::Asked;
            }
        }
        if !asked {
            let reason = "this line cannot transfer calls".to_owned();
            self.transfer_over(now, TransferEnd::Declined { reason });
        }
    }

    /// The two hear each other from here on.
    pub(in crate::call_task) fn join(&mut self, now: Instant) {
        if let Some(second) = self.second.open() {
            second.cut_announcement(now);
            if second.conference.is_some() {
                // Its item has no end, and what follows it would wait for one.
                let _ = second.media.clear(now);
            }
            second.media.await_media(now);
            second.stage = Stage::Joined;
            second.joined.get_or_insert(now);
        }
        self.media.set_company(false);
        if let Some(office) = &mut self.office {
            office.engine_until = Some(now);
        }
        if self.second.was_called() {
            self.handed_over();
        }
    }

    pub(in crate::call_task) fn second_news(&mut self, now: Instant, news: SecondWake) {
        match news {
            SecondWake::Media => {
                if let Some(second) = self.second.open() {
                    second.media.receive(now);
                }
            }
            SecondWake::Leg(event) => self.second_event(now, event),
            SecondWake::Said(said) => self.announcement_made(now, said),
        }
    }

    /// Keys of the second leg, and those that it is to be sent by message; true when there was one.
    pub(in crate::call_task) fn drain_second(&mut self, now: Instant) -> bool {
        let codes = self.codes();
        let Some(second) = self.second.open() else {
            return false;
        };
        self.desk.journal.packets_if_crowded(second.media.tap());
        let (mut busy, mut gone) = (false, false);
        let (mut keys, mut heard, mut code) = (Vec::new(), None, None);
        while let Some(event) = second.media.poll_event() {
            busy = true;
            match event {
                StreamEvent::Dtmf { digit, .. } if second.talks() => {
                    let asked = second.key(now, digit, codes, &mut self.media);
                    code = code.or(asked);
                }
                StreamEvent::Dtmf { digit, .. } if keys.len() < KEYS_AT_ONCE_MAX => {
                    keys.push(digit)
                }
                StreamEvent::Playout(event) if second.knows_place(&event) => {
                    second.leave_parked(now);
                }
                StreamEvent::Playout(event) => heard = heard.or(second.announced(&event)),
                StreamEvent::KeyDue { digit, duration_ms } => {
                    second.leg.send_key(digit, duration_ms);
                }
                StreamEvent::SrtpFailure { count } => {
                    let message = Message::new("srtp_failures").with("count", count);
                    self.desk.journal.note(now, message);
                }
                // Nobody hears them yet, and somebody who holds us is silent as long as they like: it counts when they are heard.
                StreamEvent::MediaLost { .. } if !second.talks() || second.media.is_held() => {
                    second.media.await_media(now);
                }
                StreamEvent::MediaLost { .. } => gone = true,
                StreamEvent::Dtmf { .. }
                | StreamEvent::Latched { .. }
                | StreamEvent::SourceRefused { .. }
                | StreamEvent::MediaResumed
                | StreamEvent::Bye => {}
            }
        }
        if let Some(heard) = heard {
            self.announcement_over(now, heard);
        }
        if let Some(code) = code {
            self.by_keys(now, code);
        }
        for digit in keys {
            self.session.handle(now, Input::TargetPressed { digit });
        }
        if let Some(event) = self
            .second
            .open()
            .and_then(|second| second.media.poll_leg())
        {
            self.second_event(now, Some(event));
            busy = true;
        }
        let Some(second) = self.second.open() else {
            return busy;
        };
        if let Err(reason) = note_ways(&self.desk.journal, now, &mut second.media) {
            second.leg.hang_up(reason);
            self.target_over(now, "its sound could not be encrypted");
        } else if gone {
            second.leg.hang_up(EndReason::MediaLost);
            self.target_over(now, "its sound is gone");
        }
        busy
    }

    fn second_event(&mut self, now: Instant, event: Option<LegEvent>) {
        let Some(second) = self.second.current.as_deref_mut() else {
            return;
        };
        if !second.is_open() {
            second.last_message(event, &self.desk.journal);
            return;
        }
        match event {
            Some(LegEvent::Trace(trace)) => second.trace(&trace, &self.desk.journal),
            Some(LegEvent::Progress { status }) if status > 100 => {
                second.rang.get_or_insert(now);
                self.session.handle(now, Input::TargetRings);
            }
            Some(LegEvent::Accepted { sdp }) => self.target_answered(now, sdp.as_deref()),
            Some(LegEvent::Ended { cause }) => {
                if second.fail_over(now, &cause, (&self.desk.calls, &self.desk.journal)) {
                    return;
                }
                second.leg.set_ended();
                let why = if second.origin == Origin::Page {
                    left(&cause)
                } else {
                    why(&cause)
                };
                self.target_over(now, why);
            }
            // The driver gave this leg up: its events were not taken in time.
            None => {
                second.is_spent = true;
                self.target_lost(now);
            }
            Some(LegEvent::Replaced(replacement)) => {
                noted(&self.desk, now, &replacement);
                let (calls, line) = (&self.desk.calls, &self.desk.line);
                take_over(
                    now,
                    (calls, line),
                    (&mut second.leg, &mut second.media),
                    *replacement,
                );
            }
            Some(event) => {
                if !second.within(now, event) {
                    self.target_lost(now);
                }
            }
        }
    }

    /// The caller is back with the agent: what the two said last is not heard after it.
    pub(in crate::call_task) fn caller_returns(&mut self, now: Instant) {
        let _ = self.media.clear(now);
        if let Some(office) = &mut self.office {
            office.engine_is_back(now);
        }
    }

    fn target_answered(&mut self, now: Instant, sdp: Option<&[u8]>) {
        let Some(second) = self.second.open() else {
            return;
        };
        let agreed = second
            .media
            .sdp()
            .is_some_and(|media| media.accept(now, sdp.unwrap_or_default()).is_ok());
        if agreed {
            second.stage = Stage::Answered;
            second.answered = Some(now);
            second.media.start(now);
            second.media.hold_back(false);
            self.show_called(CalledState::Answered);
            self.session.handle(now, Input::TargetAnswered);
        } else {
            second.leg.hang_up(EndReason::NoCommonCodec);
            self.target_over(now, "no common codec");
        }
    }

    /// A driver that cannot take what is asked has lost this leg; it hangs up by itself where it still can.
    fn target_lost(&mut self, now: Instant) {
        if let Some(second) = self.second.open() {
            second.leg.hang_up(EndReason::Overload);
        }
        self.target_over(now, "failed");
    }

    fn target_over(&mut self, now: Instant, why: &str) {
        if let Some(second) = self.second.open() {
            second.over(now, why);
        }
        self.second.dismiss(now);
        let reason = why.to_owned();
        self.session.handle(now, Input::TargetEnded { reason });
    }
}

impl SecondLeg {
    /// True where nobody was reached, and another account of the line calls.
    fn fail_over(
        &mut self,
        now: Instant,
        cause: &EndCause,
        (calls, journal): (&Calls, &CallJournal),
    ) -> bool {
        if self.stage != Stage::Calling || self.rang.is_some() {
            return false;
        }
        let next = NextAccount::new(calls, &mut self.leg, &mut self.dialled, journal).try_after(
            now,
            cause,
            Some(&mut self.media),
        );
        if next {
            self.offer = Offer::Never;
        }
        next
    }

    /// A message of the leg, for the record of the call.
    fn trace(&mut self, trace: &sip::Trace, journal: &CallJournal) {
        let event = crate::trace::event(trace);
        if let Event::SipMessage(message) = &event {
            let answer = message.start_line.starts_with("SIP/2.0") && message.cseq.ends_with("BYE");
            let acknowledged = message.start_line.starts_with("ACK ") && self.stage == Stage::Over;
            self.last_seen |= self.leg.is_of(trace.invite) && (answer || acknowledged);
        }
        journal.event(Instant::now(), event);
    }

    /// What a telephone that came by itself said before it came to the call.
    pub(super) fn told_before(&mut self, event: LegEvent, journal: &CallJournal) {
        if let LegEvent::Trace(trace) = event {
            self.trace(&trace, journal);
        }
    }

    /// What follows the end.
    pub(super) fn last_message(&mut self, event: Option<LegEvent>, journal: &CallJournal) {
        match event {
            Some(LegEvent::Trace(trace)) => self.trace(&trace, journal),
            Some(LegEvent::Ended { .. }) => self.leg.set_ended(),
            Some(_) => {}
            None => self.is_spent = true,
        }
    }

    /// Something inside of the leg: hold, another codec, a key. False where the driver did not take our part of it.
    fn within(&mut self, now: Instant, event: LegEvent) -> bool {
        match event {
            LegEvent::Offer { sdp } => {
                let answer = self
                    .media
                    .sdp()
                    .and_then(|media| media.answer_again(now, &sdp).ok());
                match answer {
                    Some((answer, _)) => self.leg.answer_offer(answer),
                    None => self.leg.reject_offer(488),
                }
            }
            LegEvent::OfferRequested => {
                let offer = self.media.sdp().map(|media| media.offer_again());
                offer.is_none_or(|offer| self.leg.answer_offer(offer))
            }
            LegEvent::Answer { sdp } => {
                if let Some(media) = self.media.sdp() {
                    // An answer that does not fit leaves the audio as it was agreed.
                    let _ = media.accept(now, &sdp);
                }
                true
            }
            LegEvent::Info { content_type, body } => {
                if let Some((digit, duration_ms)) = key_info::key_of_info(&content_type, &body) {
                    self.media.handle_key(now, digit, duration_ms);
                }
                true
            }
            // The ACK of whoever took this leg over and left the offer to us.
            LegEvent::Established { answer: Some(sdp) } => {
                if let Some(media) = self.media.sdp() {
                    let _ = media.accept(now, &sdp);
                }
                true
            }
            LegEvent::Progress { .. }
            | LegEvent::Accepted { .. }
            | LegEvent::Established { answer: None }
            | LegEvent::Replaced(_)
            | LegEvent::OfferFailed { .. }
            | LegEvent::TransferAccepted
            | LegEvent::TransferFinished { .. }
            | LegEvent::CommandRefused { .. }
            | LegEvent::Trace(_)
            | LegEvent::Ended { .. } => true,
        }
    }
}

/// Why the leg of a person is over who came from a page.
fn left(cause: &EndCause) -> &'static str {
    if matches!(cause, EndCause::RemoteBye { .. }) {
        HUNG_UP
    } else {
        "the connection was lost"
    }
}

/// Why the leg is over, in a few words for the model and the record.
fn why(cause: &EndCause) -> &'static str {
    if matches!(cause, EndCause::RemoteBye { .. }) {
        HUNG_UP
    } else if matches!(cause, EndCause::Unreachable | EndCause::TransportLost) {
        "unreachable"
    } else {
        said(cause).map_or("failed", unreached)
    }
}
