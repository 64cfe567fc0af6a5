//! A leg to a page: WebRTC by `str0m`, its audio through the same `media::Stream` as a telephone's.
//!
//! The page is reached before a call begins ([`connected`]); from then on the call's task drives the connection.

mod offer;
mod peer;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use call::EndReason;
use media::rtp::{self, HEADER_BYTES, Header};
use media::{Codec, Keypad, LatchPolicy, Stream, StreamConfig, TRANSMIT_BYTES_MAX, Treatment};
use sip::EndCause;
use store::journal::SdpDecision;

pub(crate) use self::offer::OFFER_BYTES_MAX;
pub use self::offer::OfferError;
use self::peer::{News, Peer};
use super::negotiation::DTLS_SRTP;
use crate::config::RtpConfig;
use crate::rtp_ports::RtpPair;
use crate::sip_driver::LegEvent;

/// Datagrams taken before the rest of the call has its turn.
const DATAGRAMS_AT_ONCE: usize = 32;
/// A page that says nothing at all for this long, not even that its way is still open (RFC 7675: every few seconds), is gone.
const GONE_AFTER: Duration = Duration::from_secs(10);
/// Audio per packet that we send, ms.
const PTIME_MS: u32 = 20;

/// The signalling of the leg: what is not said by HTTP is said by the connection itself.
pub(crate) struct PageLeg {
    events: VecDeque<LegEvent>,
    ended: bool,
}

impl PageLeg {
    pub(crate) fn new() -> Self {
        Self {
            events: VecDeque::new(),
            ended: false,
        }
    }

    /// The next event. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<LegEvent> {
        match self.events.pop_front() {
            Some(event) => Some(event),
            None => std::future::pending().await,
        }
    }

    pub(super) fn try_next(&mut self) -> Option<LegEvent> {
        self.events.pop_front()
    }

    pub(super) fn set_ended(&mut self) {
        self.ended = true;
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// The page is connected: this is when the conversation begins.
    pub(super) fn answer(&mut self) -> bool {
        self.events
            .push_back(LegEvent::Established { answer: None });
        true
    }

    /// The connection is closed with the call.
    pub(super) fn hang_up(&mut self, _reason: EndReason) -> bool {
        if !self.ended {
            self.events.push_back(LegEvent::Ended {
                cause: EndCause::LocalHangUp,
            });
        }
        true
    }
}

/// A page whose offer was answered and that is not connected yet.
pub(crate) struct WaitingPage(Peer);

impl WaitingPage {
    /// Answers an offer; the text is the answer.
    pub(crate) fn answer(
        now: Instant,
        socket: (RtpPair, &RtpConfig),
        client: Option<IpAddr>,
        offer: &str,
    ) -> Result<(Self, String), OfferError> {
        let (peer, answer) = Peer::answer(now, socket, client, offer)?;
        Ok((Self(peer), answer))
    }

    /// Waits until the page is connected; `None` when it left instead.
    pub(crate) async fn connected(mut self) -> Option<ConnectedPage> {
        loop {
            while let Some(news) = self.0.take() {
                match news {
                    News::Connected => return Some(ConnectedPage(self.0)),
                    News::Closed => return None,
                    News::Packet(_) | News::Alive | News::Path(_) => {}
                }
            }
            let due = self.0.poll_timeout()?;
            tokio::select! {
                () = poll_fn(|cx| self.0.poll_readable(cx)) => {
                    self.0.receive(Instant::now());
                }
                () = tokio::time::sleep_until(due.into()) => self.0.handle_timeout(Instant::now()),
            }
        }
    }
}

/// A page that is connected and has no call yet.
pub(crate) struct ConnectedPage(Peer);

impl ConnectedPage {
    /// The audio of its call.
    pub(crate) fn audio(self, now: Instant, cname: &str, seed: u64) -> PageMedia {
        PageMedia::new(now, self.0, cname, seed)
    }
}

/// The audio of the leg.
pub(crate) struct PageMedia {
    peer: Peer,
    pub(super) stream: Stream,
    /// Stands for the page in the stream, wherever its packets come from: who it is was proved by its keys.
    source: SocketAddr,
    /// Sequence number of the last packet that was sent, with its rollovers.
    sequence: Option<u64>,
    buffer: Box<[u8]>,
    sent: u64,
    /// What is said before the call is answered is said to nobody.
    started: bool,
    /// How the connection ended, until it is told.
    ending: Option<EndCause>,
    /// The end was told.
    over: bool,
}

impl PageMedia {
    fn new(now: Instant, peer: Peer, cname: &str, seed: u64) -> Self {
        let source = peer
            .remote
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9)));
        let config = StreamConfig {
            codec: peer.audio.codec,
            payload_type: peer.audio.payload_type,
            opus: peer.opus_terms(),
            amr: media::AmrTerms::default(),
            telephone_event: peer.audio.telephone_event,
            keypad: Keypad::default(),
            treatment: Treatment::default(),
            event_clock_hz: peer.audio.clock_hz(),
            comfort_noise: None,
            ptime_ms: PTIME_MS,
            remote: Some(source),
            remote_rtcp: None,
            rtcp_mux: false,
            direction: peer.direction(),
            srtp: None,
            latch: LatchPolicy::default(),
            cname: cname.to_owned(),
        };
        let mut stream = Stream::new(now, config, seed);
        stream.playout().hold_back(true);
        Self {
            peer,
            stream,
            source,
            sequence: None,
            buffer: vec![0; TRANSMIT_BYTES_MAX].into_boxed_slice(),
            sent: 0,
            started: false,
            ending: None,
            over: false,
        }
    }

    /// Codec of the leg.
    pub(super) fn codec(&self) -> Codec {
        self.peer.audio.codec
    }

    /// RTP datagrams sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// What was agreed, for the journal.
    pub(crate) fn agreed(&self) -> SdpDecision {
        SdpDecision {
            we_answered: true,
            accepted: true,
            codec: Some(self.codec().name().to_owned()),
            payload_type: Some(self.peer.audio.payload_type),
            telephone_event: self.peer.audio.telephone_event.is_some(),
            srtp: Some(DTLS_SRTP.to_owned()),
            direction: direction_name(self.peer.direction()).to_owned(),
            local: self.peer.local().map(|local| local.to_string()),
            remote: Some(self.source.to_string()),
            ..SdpDecision::default()
        }
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.peer.poll_readable(cx)
    }

    pub(super) fn receive(&mut self, now: Instant) {
        for _ in 0..DATAGRAMS_AT_ONCE {
            if !self.peer.receive(now) {
                break;
            }
            self.take_news(now);
        }
    }

    fn take_news(&mut self, now: Instant) {
        while let Some(news) = self.peer.take() {
            match news {
                News::Packet(packet) if self.started => {
                    let header = Header {
                        marker: packet.header.marker,
                        payload_type: *packet.header.payload_type,
                        sequence: packet.header.sequence_number,
                        timestamp: packet.header.timestamp,
                        ssrc: *packet.header.ssrc,
                    };
                    let len = HEADER_BYTES + packet.payload.len();
                    if let Some(data) = self.buffer.get_mut(..len) {
                        data[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
                        data[HEADER_BYTES..].copy_from_slice(&packet.payload);
                        self.stream.handle_rtp(now, self.source, data);
                    }
                }
                News::Alive => self.stream.note_alive(now),
                News::Path(report) => self.stream.note_path(&report),
                News::Closed => {
                    let cause = EndCause::RemoteBye { reason: None };
                    self.ending.get_or_insert(cause);
                }
                News::Packet(_) | News::Connected => {}
            }
        }
    }

    /// Sends what is ready.
    pub(super) fn transmit(&mut self, now: Instant) {
        while let Some(transmit) = self.stream.poll_transmit(&mut self.buffer) {
            // Its reports are `str0m`'s: those of the stream would be of another source.
            if transmit.rtcp {
                continue;
            }
            let data = self.buffer.get(..transmit.len).unwrap_or_default();
            if let Ok(packet) = rtp::parse(data) {
                let sequence = next_sequence(self.sequence, packet.header.sequence);
                self.sequence = Some(sequence);
                self.peer.send(now, sequence, &packet);
                self.sent += 1;
            }
        }
        self.take_news(now);
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.started = true;
        self.stream.start(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let gone_at = (!self.over && self.ending.is_none()).then(|| self.gone_at());
        [
            self.stream.poll_timeout(),
            self.peer.poll_timeout(),
            gone_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn gone_at(&self) -> Instant {
        self.peer.heard_at + GONE_AFTER
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.stream.poll_timeout().is_some_and(|at| at <= now) {
            self.stream.handle_timeout(now);
        }
        if self.peer.poll_timeout().is_some_and(|at| at <= now) {
            self.peer.handle_timeout(now);
            self.take_news(now);
        }
        if self.gone_at() <= now {
            self.ending.get_or_insert(EndCause::TransportLost);
        }
    }

    /// The end of the connection, once.
    pub(super) fn poll_leg(&mut self) -> Option<LegEvent> {
        if self.over {
            return None;
        }
        let cause = self.ending.take()?;
        self.over = true;
        Some(LegEvent::Ended { cause })
    }
}

/// As SDP writes it.
const fn direction_name(direction: media::Direction) -> &'static str {
    match direction {
        media::Direction::SendRecv => "sendrecv",
        media::Direction::SendOnly => "sendonly",
        media::Direction::RecvOnly => "recvonly",
        media::Direction::Inactive => "inactive",
    }
}

/// A sequence number with its rollovers, one after another.
fn next_sequence(last: Option<u64>, sequence: u16) -> u64 {
    let Some(last) = last else {
        return u64::from(sequence);
    };
    let [.., high, low] = last.to_be_bytes();
    let step = sequence.wrapping_sub(u16::from_be_bytes([high, low]));
    last + u64::from(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_go_on_over_their_end() {
        assert_eq!(next_sequence(None, 7), 7);
        assert_eq!(next_sequence(Some(7), 8), 8);
        assert_eq!(next_sequence(Some(65_535), 0), 65_536);
        assert_eq!(next_sequence(Some(131_071), 2), 131_074);
    }
}
