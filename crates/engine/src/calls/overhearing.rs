//! A telephone of the house that listens to a call: it hears both sides, and is heard by nobody until its person comes in by a key.
//!
//! It takes what every listener takes ([`Listener`]): what it does not take in time is lost for it alone, and the call never waits for
//! it.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use call::{CallId, EndReason};
use media::{Form, ItemKey, Law, Reform, StreamEvent, g711};

use super::coming::Telephone;
use super::{CallCommand, Calls};
use crate::house_codes::Way;
use crate::house_codes::keys::{Code, CodeKeys, Codes, Pressed};
use crate::leg::key_info;
use crate::leg::media::{MediaLeg, Security};
use crate::limits::{COMING_MESSAGES_MAX, LEFT_WITHIN, OVERHEARD_MS_MAX};
use crate::listening::Listener;
use crate::person::{Arrival, PersonCommand};
use crate::sip_driver::LegEvent;
use crate::sounds;

/// Sound in front of the first frame, so that frames which come unevenly are heard evenly, ms.
const AHEAD_MS: usize = 60;
/// The playout item of the call's sound.
const ITEM: &str = "overheard";
/// What a listener gives, once both sides are one.
const OVERHEARD: Form = Form::G711(Law::Pcmu);
/// Bytes of one sample of both sides.
const PAIR_BYTES: usize = 4;

/// One that listens.
pub(super) struct Overhearing {
    calls: Arc<Calls>,
    call: CallId,
    telephone: Telephone,
    listener: Listener,
    arrival: Arrival,
    keys: CodeKeys,
    item: ItemKey,
    reform: Option<Reform>,
    has_begun: bool,
}

/// What happens next.
enum Wake {
    Heard(Option<Vec<u8>>),
    Leg(Option<LegEvent>),
    Readable,
    Due,
}

/// What it does next.
enum Next {
    Listens,
    /// Its person wants to come in.
    Asks(call::Seat),
    Over(EndReason),
}

impl Overhearing {
    pub(super) fn new(
        calls: Arc<Calls>,
        call: CallId,
        (telephone, listener): (Telephone, Listener),
        arrival: Arrival,
    ) -> Self {
        Self {
            calls,
            call,
            telephone,
            listener,
            arrival,
            keys: CodeKeys::default(),
            item: Arc::from(ITEM),
            reform: None,
            has_begun: false,
        }
    }

    /// Listens until the call or the telephone is over, or its person is on the line.
    pub(super) async fn run(mut self) {
        let media = &mut self.arrival.media;
        media.start(Instant::now());
        media.hold_back(false);
        // It has nothing to say: many telephones send nothing then. It ends with the call at the latest.
        media.set_media_timeout_ms(u32::MAX);
        loop {
            let wake = self.next().await;
            let now = Instant::now();
            let mut next = self.handle(now, wake);
            if matches!(next, Next::Listens) {
                next = self.drain(now);
            }
            match next {
                Next::Listens => {}
                Next::Asks(seat) if self.may_come(now, seat).await => return self.comes(seat),
                Next::Asks(_) => {}
                Next::Over(reason) => return self.leave(reason).await,
            }
            self.arrival.media.transmit(Instant::now());
        }
    }

    async fn next(&mut self) -> Wake {
        let Arrival { leg, media, .. } = &mut self.arrival;
        let due = media.poll_timeout().into_iter();
        let due = due.chain(self.keys.poll_timeout()).min();
        let due = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = leg.next() => Wake::Leg(event),
            () = poll_fn(|cx| media.poll_readable(cx)) => Wake::Readable,
            () = due => Wake::Due,
            audio = self.listener.next() => Wake::Heard(audio),
        }
    }

    fn handle(&mut self, now: Instant, wake: Wake) -> Next {
        match wake {
            Wake::Heard(Some(audio)) => self.play(&audio),
            // The call is over.
            Wake::Heard(None) => return Next::Over(EndReason::OperatorHungUp),
            Wake::Leg(event) => return self.leg_event(now, event),
            Wake::Readable => self.arrival.media.receive(now),
            Wake::Due => {
                self.arrival.media.handle_timeout(now);
                // Nobody is there whose keys they could be.
                let _ = self.keys.expired(now);
            }
        }
        Next::Listens
    }

    /// Queues what both sides said.
    fn play(&mut self, audio: &[u8]) {
        let media = &mut self.arrival.media;
        let form = media.form();
        if !std::mem::replace(&mut self.has_begun, true) {
            let silence = vec![form.silence(); AHEAD_MS * form.bytes_per_ms()];
            let _ = media.push(&self.item, &silence);
        }
        if media.queued_ms() <= OVERHEARD_MS_MAX {
            let both = both_sides(audio);
            let reform = Reform::between(&mut self.reform, OVERHEARD, form);
            // What does not fit is lost for this telephone.
            let _ = media.push(&self.item, reform.convert(&both));
        }
    }

    fn leg_event(&mut self, now: Instant, event: Option<LegEvent>) -> Next {
        let Arrival {
            leg, media, told, ..
        } = &mut self.arrival;
        let is_done = match event {
            Some(LegEvent::Ended { .. }) => {
                leg.set_ended();
                return Next::Over(EndReason::CallerHungUp);
            }
            Some(LegEvent::Offer { sdp }) => {
                let again = |media: &mut MediaLeg| media.answer_again(now, &sdp).ok();
                match media.sdp().and_then(again) {
                    Some((answer, _)) => leg.answer_offer(answer),
                    None => leg.reject_offer(488),
                }
            }
            Some(LegEvent::OfferRequested) => {
                let offer = media.sdp().map(|media| media.offer_again());
                offer.is_none_or(|offer| leg.answer_offer(offer))
            }
            Some(LegEvent::Answer { sdp } | LegEvent::Established { answer: Some(sdp) }) => {
                // An answer that does not fit leaves the audio as it was agreed.
                let _ = media.sdp().map(|media| media.accept(now, &sdp));
                true
            }
            Some(LegEvent::Info { content_type, body }) => {
                if let Some((digit, ms)) = key_info::key_of_info(&content_type, &body) {
                    media.handle_key(now, digit, ms);
                }
                true
            }
            Some(event @ LegEvent::Trace(_)) => {
                if told.len() < COMING_MESSAGES_MAX {
                    told.push(event);
                }
                true
            }
            Some(
                LegEvent::Progress { .. }
                | LegEvent::Accepted { .. }
                | LegEvent::Established { answer: None }
                | LegEvent::OfferFailed { .. }
                | LegEvent::TransferAccepted
                | LegEvent::TransferFinished { .. }
                | LegEvent::CommandRefused { .. }
                // Dropped, whoever wants to listen in its place is refused.
                | LegEvent::Replaced(_),
            ) => true,
            // The driver gave this leg up.
            None => false,
        };
        if is_done {
            Next::Listens
        } else {
            Next::Over(EndReason::Overload)
        }
    }

    /// What came of its audio: keys, and whether that could be encrypted.
    fn drain(&mut self, now: Instant) -> Next {
        let Self { arrival, keys, .. } = self;
        let media = &mut arrival.media;
        let codes = Codes::those(|code| code != Code::Parks);
        let mut next = Next::Listens;
        // What it says is heard by nobody.
        while media.poll_frame().is_some() {}
        while let Some(event) = media.poll_event() {
            if let StreamEvent::Dtmf { digit, .. } = event
                && let Pressed::Code(Code::Moves(seat)) = keys.press(now, digit, codes)
            {
                next = Next::Asks(seat);
            }
        }
        while media.sdp().and_then(MediaLeg::poll_path).is_some() {}
        while let Some(news) = media.poll_security() {
            if matches!(news, Security::Failed(_)) {
                next = Next::Over(EndReason::EncryptionFailed);
            }
        }
        next
    }

    /// Whether its person may come in now; they hear it where not.
    async fn may_come(&mut self, now: Instant, seat: call::Seat) -> bool {
        let may = |reply| PersonCommand::MayCome(seat, reply);
        let asked = self.calls.of_person(&self.call, may).await;
        let written = match asked {
            Ok(()) => {
                let audited = self
                    .telephone
                    .audited(&self.calls, &self.call, Way::Talks(seat));
                audited.await.is_ok()
            }
            Err(_) => false,
        };
        if !written {
            let media = &mut self.arrival.media;
            let item: ItemKey = Arc::from(sounds::NOT_NOW);
            let _ = media.clear(now);
            let _ = media.push(&item, &sounds::not_now(media.form()));
            media.finish(&item);
            self.has_begun = false;
        }
        written
    }

    /// Its person is on the line from here on.
    fn comes(self, seat: call::Seat) {
        let mut arrival = self.arrival;
        let _ = arrival.media.clear(Instant::now());
        arrival.person = self.telephone.person(seat, false);
        // A call that is over takes nobody: the leg ends when it is dropped.
        let comes = PersonCommand::Comes(Box::new(arrival));
        self.calls.tell(&self.call, CallCommand::Person(comes));
    }

    /// Hangs up, and waits a moment for what its side says to it.
    async fn leave(self, reason: EndReason) {
        let Arrival {
            mut leg, mut media, ..
        } = self.arrival;
        let now = Instant::now();
        media.stop(now);
        media.transmit(now);
        leg.hang_up(reason);
        let last = async {
            while !leg.is_ended() {
                match leg.next().await {
                    Some(LegEvent::Ended { .. }) => leg.set_ended(),
                    Some(_) => {}
                    None => break,
                }
            }
        };
        let _ = tokio::time::timeout(LEFT_WITHIN, last).await;
        media.close().await;
    }
}

/// Both sides in one, µ-law: 16 bit, little endian, the caller and the agent in turn.
fn both_sides(audio: &[u8]) -> Vec<u8> {
    let pairs = audio.chunks_exact(PAIR_BYTES);
    pairs
        .map(|pair| {
            let sample = |at: usize| {
                let low = pair.get(at).copied().unwrap_or_default();
                let high = pair.get(at + 1).copied().unwrap_or_default();
                i16::from_le_bytes([low, high])
            };
            g711::encode(Law::Pcmu, sample(0).saturating_add(sample(2)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_heard_and_loud_ones_are_cut() {
        let of = |pairs: &[[i16; 2]]| -> Vec<u8> {
            let samples = pairs.iter().flatten();
            samples.flat_map(|sample| sample.to_le_bytes()).collect()
        };
        let heard = both_sides(&of(&[[1_000, 0], [0, 1_000], [500, 500], [30_000, 30_000]]));
        let one = g711::encode(Law::Pcmu, 1_000);
        assert_eq!(heard[..3], [one; 3]);
        assert_eq!(heard[3], g711::encode(Law::Pcmu, i16::MAX));
        assert_eq!(both_sides(&of(&[[0, 0]])[..3]), [] as [u8; 0]);
    }
}
