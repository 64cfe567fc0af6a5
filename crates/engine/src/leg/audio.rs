//! The audio of one leg, whatever carries it: the surface that a call uses.

use std::task::{Context, Poll};
use std::time::Instant;

use media::resample::Rate;
use media::{
    Background, CallerFrame, Codec, DtmfError, Form, Heard, ItemKey, Played, PlayoutFull,
    RecordingFrame, Statistics, StreamEvent,
};

use super::carrier::CarrierMedia;
use super::media::{MediaLeg, Security};
use super::page::PageMedia;
use super::tap::Tap;
use crate::sip_driver::LegEvent;

/// See the module.
pub(crate) enum LegAudio {
    /// RTP on sockets of ours, agreed by SDP.
    Rtp(Box<MediaLeg>),
    /// A carrier's WebSocket.
    Carrier(Box<CarrierMedia>),
    /// A page's WebRTC connection.
    Page(Box<PageMedia>),
}

impl LegAudio {
    /// What is agreed by SDP, for a leg that has it.
    pub(crate) fn sdp(&mut self) -> Option<&mut MediaLeg> {
        match self {
            Self::Rtp(rtp) => Some(rtp),
            Self::Carrier(_) | Self::Page(_) => None,
        }
    }

    /// Where its packets are kept: those of RTP on sockets of ours, where that is wanted.
    pub(crate) fn tap(&mut self) -> Option<&mut Tap> {
        match self {
            Self::Rtp(rtp) => rtp.tap.as_deref_mut(),
            Self::Carrier(_) | Self::Page(_) => None,
        }
    }

    /// Codec of the leg.
    pub(crate) fn codec(&self) -> Codec {
        match self {
            Self::Rtp(rtp) => rtp.codec(),
            Self::Carrier(carrier) => carrier.feed.law().into(),
            Self::Page(page) => page.codec(),
        }
    }

    /// How the audio of the leg is carried.
    pub(crate) fn form(&self) -> Form {
        self.codec().form()
    }

    /// Sample rate of what [`LegAudio::poll_recording`] gives.
    pub(crate) fn recording_rate(&self) -> Rate {
        match self {
            Self::Rtp(rtp) => rtp.stream.recording_rate(),
            Self::Carrier(_) => Rate::Hz8000,
            Self::Page(page) => page.stream.recording_rate(),
        }
    }

    /// The peer holds us.
    pub(crate) fn is_held(&self) -> bool {
        match self {
            Self::Rtp(rtp) => rtp.is_held(),
            Self::Carrier(_) | Self::Page(_) => false,
        }
    }

    /// Datagrams or messages with audio sent so far.
    pub(crate) fn sent(&self) -> u64 {
        match self {
            Self::Rtp(rtp) => rtp.sent(),
            Self::Carrier(carrier) => carrier.feed.sent(),
            Self::Page(page) => page.sent(),
        }
    }

    /// Ready when something waits to be received.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Rtp(rtp) => rtp.poll_readable(cx),
            Self::Carrier(carrier) => carrier.poll_readable(cx),
            Self::Page(page) => page.poll_readable(cx),
        }
    }

    /// Takes what waits.
    pub(crate) fn receive(&mut self, now: Instant) {
        match self {
            Self::Rtp(rtp) => rtp.receive(now),
            Self::Carrier(carrier) => carrier.receive(now),
            Self::Page(page) => page.receive(now),
        }
    }

    /// Sends what is ready. What the kernel does not take is lost, as on the network.
    pub(crate) fn transmit(&mut self, now: Instant) {
        match self {
            Self::Rtp(rtp) => rtp.transmit(now),
            Self::Carrier(carrier) => carrier.transmit(now),
            Self::Page(page) => page.transmit(now),
        }
    }

    /// Begins to send.
    pub(crate) fn start(&mut self, now: Instant) {
        match self {
            Self::Rtp(rtp) => rtp.start(now),
            Self::Carrier(carrier) => carrier.feed.start(now),
            Self::Page(page) => page.start(now),
        }
    }

    /// Ends sending.
    pub(crate) fn stop(&mut self, now: Instant) {
        match self {
            Self::Rtp(rtp) => rtp.stop(now),
            Self::Carrier(_) => {}
            Self::Page(page) => page.stream.stop(now),
        }
    }

    /// What the audio's own connection says about the leg.
    pub(crate) fn poll_leg(&mut self) -> Option<LegEvent> {
        match self {
            Self::Rtp(_) => None,
            Self::Carrier(carrier) => carrier.poll_leg(),
            Self::Page(page) => page.poll_leg(),
        }
    }

    /// What there is to tell about the encryption of the audio, where DTLS gives its keys.
    pub(crate) fn poll_security(&mut self) -> Option<Security> {
        match self {
            Self::Rtp(rtp) => rtp.poll_security(),
            Self::Carrier(_) | Self::Page(_) => None,
        }
    }

    /// Frees what the audio held, at the end of the call.
    pub(crate) async fn close(self) {
        match self {
            Self::Rtp(rtp) => rtp.release().await,
            Self::Carrier(carrier) => carrier.close().await,
            // It says goodbye when it goes.
            Self::Page(page) => drop(page),
        }
    }

    /// When [`LegAudio::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Rtp(rtp) => rtp.poll_timeout(),
            Self::Carrier(carrier) => carrier.poll_timeout(),
            Self::Page(page) => page.poll_timeout(),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Rtp(rtp) => rtp.handle_timeout(now),
            // Whatever is due happens when everything is drained.
            Self::Carrier(_) => {}
            Self::Page(page) => page.handle_timeout(now),
        }
    }

    /// Silence of the peer after which it counts as lost, ms.
    pub(crate) fn set_media_timeout_ms(&mut self, timeout_ms: u32) {
        match self {
            Self::Rtp(rtp) => rtp.stream.set_media_timeout_ms(timeout_ms),
            Self::Carrier(carrier) => carrier.feed.set_media_timeout_ms(timeout_ms),
            Self::Page(page) => page.stream.set_media_timeout_ms(timeout_ms),
        }
    }

    /// The peer's silence counts from now; a carrier's stream has none that is not its end.
    pub(crate) fn await_media(&mut self, now: Instant) {
        match self {
            Self::Rtp(rtp) => rtp.stream.await_media(now),
            Self::Carrier(_) => {}
            Self::Page(page) => page.stream.await_media(now),
        }
    }

    /// Whether [`LegAudio::poll_recording`] has something to give.
    pub(crate) fn set_recording(&mut self, on: bool) {
        match self {
            Self::Rtp(rtp) => rtp.stream.set_recording(on),
            Self::Carrier(carrier) => carrier.feed.set_recording(on),
            Self::Page(page) => page.stream.set_recording(on),
        }
    }

    /// The next 20 ms of the caller.
    pub(crate) fn poll_frame(&mut self) -> Option<CallerFrame<'_>> {
        match self {
            Self::Rtp(rtp) => rtp.stream.poll_frame(),
            Self::Carrier(carrier) => carrier.feed.poll_frame(),
            Self::Page(page) => page.stream.poll_frame(),
        }
    }

    /// The next 20 ms of the recording.
    pub(crate) fn poll_recording(&mut self) -> Option<RecordingFrame> {
        match self {
            Self::Rtp(rtp) => rtp.stream.poll_recording(),
            Self::Carrier(carrier) => carrier.feed.poll_recording(),
            Self::Page(page) => page.stream.poll_recording(),
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<StreamEvent> {
        match self {
            Self::Rtp(rtp) => rtp.stream.poll_event(),
            Self::Carrier(carrier) => carrier.feed.poll_event(),
            Self::Page(page) => page.stream.poll_event(),
        }
    }

    /// The figures so far.
    pub(crate) fn statistics(&self, now: Instant) -> Statistics {
        match self {
            Self::Rtp(rtp) => rtp.stream.statistics(now),
            Self::Carrier(carrier) => carrier.feed.statistics(),
            Self::Page(page) => page.stream.statistics(now),
        }
    }

    /// Queues audio for the caller at the end of `item`.
    pub(crate) fn push(&mut self, item: &ItemKey, audio: &[u8]) -> Result<(), PlayoutFull> {
        match self {
            Self::Rtp(rtp) => rtp.stream.playout().push(item, audio),
            Self::Carrier(carrier) => carrier.feed.push(item, audio),
            Self::Page(page) => page.stream.playout().push(item, audio),
        }
    }

    /// Sound that waits to be handed to the other side, ms.
    pub(crate) fn queued_ms(&mut self) -> u32 {
        match self {
            Self::Rtp(rtp) => rtp.stream.playout().queued_ms(),
            Self::Carrier(carrier) => carrier.feed.queued_ms(),
            Self::Page(page) => page.stream.playout().queued_ms(),
        }
    }

    /// Others are there beside the agent, or are not.
    pub(crate) fn set_company(&mut self, on: bool) {
        match self {
            Self::Rtp(rtp) => rtp.stream.set_company(on),
            Self::Carrier(carrier) => carrier.set_company(on),
            Self::Page(page) => page.stream.set_company(on),
        }
    }

    /// Whole frames of what the others say.
    pub(crate) fn push_company(&mut self, audio: &[u8]) {
        match self {
            Self::Rtp(rtp) => rtp.stream.push_company(audio),
            Self::Carrier(carrier) => carrier.feed.push_company(audio),
            Self::Page(page) => page.stream.push_company(audio),
        }
    }

    /// Adds what the agent said since the last time to `into`.
    pub(crate) fn take_said(&mut self, into: &mut Vec<u8>) {
        match self {
            Self::Rtp(rtp) => rtp.stream.take_said(into),
            Self::Carrier(carrier) => carrier.feed.take_said(into),
            Self::Page(page) => page.stream.take_said(into),
        }
    }

    /// No more audio of `item` will come.
    pub(crate) fn finish(&mut self, item: &ItemKey) {
        match self {
            Self::Rtp(rtp) => rtp.stream.playout().finish(item),
            Self::Carrier(carrier) => carrier.feed.finish(item),
            Self::Page(page) => page.stream.playout().finish(item),
        }
    }

    /// Stops the agent's audio at once: what the caller has heard of each item that was not yet reported finished, in order. Others
    /// beside it go on.
    pub(crate) fn clear(&mut self, now: Instant) -> Vec<Played> {
        match self {
            Self::Rtp(rtp) => rtp.stream.playout().clear(),
            Self::Carrier(carrier) => carrier.clear(now),
            Self::Page(page) => page.stream.playout().clear(),
        }
    }

    /// True: queue but do not play (before the answer).
    pub(crate) fn hold_back(&mut self, held: bool) {
        match self {
            Self::Rtp(rtp) => rtp.stream.playout().hold_back(held),
            Self::Carrier(carrier) => carrier.feed.hold_back(held),
            Self::Page(page) => page.stream.playout().hold_back(held),
        }
    }

    /// Whose voice is heard; with `confirm` also whether it is one. A carrier and a page take our echo out themselves, or have none.
    pub(crate) fn judge_heard(&mut self, confirm: bool) -> Heard {
        let whose = match self {
            Self::Rtp(rtp) => rtp.stream.judge_echo(),
            Self::Carrier(_) | Self::Page(_) => Heard::Speech,
        };
        if confirm && whose == Heard::Speech {
            self.judge_voice()
        } else {
            whose
        }
    }

    /// Whether it is a voice that is heard.
    pub(crate) fn judge_voice(&mut self) -> Heard {
        match self {
            Self::Rtp(rtp) => rtp.stream.judge_voice(),
            Self::Carrier(carrier) => carrier.feed.judge_voice(),
            Self::Page(page) => page.stream.judge_voice(),
        }
    }

    /// What is played is quieter, or as loud as it is.
    pub(crate) fn duck(&mut self, on: bool) {
        match self {
            Self::Rtp(rtp) => rtp.stream.duck(on),
            Self::Page(page) => page.stream.duck(on),
            // What was handed over is as loud as it is.
            Self::Carrier(_) => {}
        }
    }

    /// The sound while nothing is queued; `None` is silence.
    pub(crate) fn set_background(&mut self, background: Option<Background>) {
        match self {
            Self::Rtp(rtp) => rtp.stream.playout().set_background(background),
            Self::Carrier(carrier) => carrier.feed.set_background(background),
            Self::Page(page) => page.stream.playout().set_background(background),
        }
    }

    /// A key that came by SIP INFO; it is told like any other, once.
    pub(crate) fn handle_key(&mut self, now: Instant, digit: char, duration_ms: u32) {
        match self {
            Self::Rtp(rtp) => rtp.stream.handle_key(now, digit, duration_ms),
            Self::Carrier(carrier) => carrier.feed.handle_dtmf(digit, duration_ms),
            Self::Page(page) => page.stream.handle_key(now, digit, duration_ms),
        }
    }

    /// Queues keypad digits for the peer.
    pub(crate) fn send_dtmf(&mut self, digits: &str, duration_ms: u32) -> Result<(), DtmfError> {
        match self {
            Self::Rtp(rtp) => rtp.stream.send_dtmf(digits, duration_ms),
            // No dialect has a message for it.
            Self::Carrier(_) => Err(DtmfError::NotNegotiated),
            Self::Page(page) => page.stream.send_dtmf(digits, duration_ms),
        }
    }
}
