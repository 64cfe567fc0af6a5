//! One WebRTC connection: ICE, DTLS and SRTP (`str0m`) around one socket of the port pool.
//!
//! `str0m` has neither socket nor clock. Its rule is kept here: after each thing that it is given, everything that it has to say is
//! taken, until it names the time of its next deadline.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use media::rtp::Packet;
use media::{Codec, OpusTerms, PathReport};
use str0m::change::SdpOffer;
use str0m::format::{Codec as WebCodec, FormatParams};
use str0m::media::{Frequency, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, RtpPacket, RtpWrite};
use str0m::stats::MediaEgressStats;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcError};

use super::offer::{Audio, OfferError, our_addresses};
use crate::config::RtpConfig;
use crate::rtp_ports::RtpPair;
use crate::sip_socket::canonical;

/// Largest datagram that is looked at, bytes.
const DATAGRAM_BYTES_MAX: usize = 2_048;
/// What is taken from `str0m` at once; the rest follows with the next timeout, which is then at once.
const OUTPUTS_AT_ONCE: usize = 256;
/// News that wait: one datagram makes a handful.
const NEWS_MAX: usize = 64;
/// Sources whose local address is remembered.
const ROUTES_MAX: usize = 8;
/// How often the figures of the way to the page are taken.
const FIGURES_EVERY: Duration = Duration::from_secs(2);
/// Id of the header extension that names the section (RFC 8843); any free one.
const MID_EXTENSION: u8 = 4;

/// What happened on the connection.
pub(super) enum News {
    /// The way is open and the keys are agreed.
    Connected,
    /// Audio, or keys.
    Packet(Box<RtpPacket>),
    /// The page's own reports came.
    Alive,
    /// What they say of our audio.
    Path(PathReport),
    /// The page closed the connection, or it is broken for good.
    Closed,
}

/// See the module.
pub(super) struct Peer {
    rtc: Rtc,
    pair: RtpPair,
    /// What was agreed.
    pub(super) audio: Audio,
    mid: Mid,
    /// The addresses of ours in the answer.
    locals: Vec<SocketAddr>,
    /// By which of them a source comes.
    routes: VecDeque<(IpAddr, SocketAddr)>,
    /// The socket is bound to IPv6: IPv4 is reached by mapped addresses.
    mapped: bool,
    buffer: Box<[u8]>,
    news: VecDeque<News>,
    /// When `str0m` wants to be asked again.
    due: Instant,
    /// When something came of the page last.
    pub(super) heard_at: Instant,
    /// Where it came from.
    pub(super) remote: Option<SocketAddr>,
    closed: bool,
}

impl Peer {
    /// Answers an offer. `client` is where the request came from.
    pub(super) fn answer(
        now: Instant,
        (pair, rtp): (RtpPair, &RtpConfig),
        client: Option<IpAddr>,
        offer: &str,
    ) -> Result<(Self, String), OfferError> {
        let audio = Audio::read(offer)?;
        let parsed = SdpOffer::from_sdp_string(offer)
            .map_err(|error| OfferError::Unusable(error.to_string()))?;
        let locals = our_addresses(rtp, pair.port, client, &audio.candidates);
        let mut rtc = connection(now, &audio);
        for local in &locals {
            let candidate = Candidate::host(*local, "udp");
            let candidate = candidate.map_err(|error| OfferError::Unusable(error.to_string()))?;
            rtc.add_local_candidate(candidate);
        }
        let unusable = |error: RtcError| OfferError::Unusable(error.to_string());
        let answer = rtc.sdp_api().accept_offer(parsed).map_err(unusable)?;
        let mut peer = Self {
            rtc,
            mapped: pair.rtp.local_addr().is_ok_and(|local| local.is_ipv6()),
            pair,
            mid: Mid::from(audio.mid.as_str()),
            audio,
            locals,
            routes: VecDeque::new(),
            buffer: vec![0; DATAGRAM_BYTES_MAX].into_boxed_slice(),
            news: VecDeque::new(),
            due: now,
            heard_at: now,
            remote: None,
            closed: false,
        };
        peer.handle_timeout(now);
        peer.check_agreement()?;
        let answer = peer.audio.complete(&answer.to_sdp_string());
        Ok((peer, answer))
    }

    /// What `str0m` agreed to is what was read from the offer.
    fn check_agreement(&mut self) -> Result<(), OfferError> {
        let media = self.rtc.media(self.mid).ok_or(OfferError::NoAudio)?;
        let agreed = |number: u8| media.remote_pts().iter().any(|known| **known == number);
        if !agreed(self.audio.payload_type) {
            return Err(OfferError::NoCommonCodec(
                self.audio.codec.name().to_owned(),
            ));
        }
        let direction = media.direction();
        if !direction.is_sending() && !direction.is_receiving() {
            return Err(OfferError::NoAudio);
        }
        self.audio.telephone_event = self.audio.telephone_event.filter(|known| agreed(*known));
        Ok(())
    }

    /// Whether the page listens, and whether it speaks.
    pub(super) fn direction(&self) -> media::Direction {
        let agreed = self.rtc.media(self.mid).map(str0m::media::Media::direction);
        let agreed = agreed.unwrap_or(str0m::media::Direction::Inactive);
        match (agreed.is_sending(), agreed.is_receiving()) {
            (true, true) => media::Direction::SendRecv,
            (true, false) => media::Direction::SendOnly,
            (false, true) => media::Direction::RecvOnly,
            (false, false) => media::Direction::Inactive,
        }
    }

    /// What the page asked of our Opus.
    pub(super) fn opus_terms(&self) -> OpusTerms {
        OpusTerms::from_parameters(&self.audio.parameters)
    }

    /// Our first address in the answer, for the record.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.locals.first().copied()
    }

    /// Ready when a datagram waits.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.pair.rtp.poll_recv_ready(cx).map(|_| ())
    }

    /// Takes one datagram; false when none waits.
    pub(super) fn receive(&mut self, now: Instant) -> bool {
        // An ICMP error of what we sent surfaces here; a page that is gone is noticed by its silence.
        let Ok((count, source)) = self.pair.rtp.try_recv_from(&mut self.buffer) else {
            return false;
        };
        let source = canonical(source);
        let destination = self.local_for(source.ip());
        let Some(data) = self.buffer.get(..count) else {
            return true;
        };
        let Ok(received) = Receive::new(Protocol::Udp, source, destination, data) else {
            return true;
        };
        let input = Input::Receive(now, received);
        // A stranger's datagrams are neither the page's nor a sign of its life.
        if !self.rtc.accepts(&input) {
            return true;
        }
        self.heard_at = now;
        self.remote = Some(source);
        // One that cannot be read is dropped; what breaks the connection for good is said when it is polled.
        if let Err(error) = self.rtc.handle_input(input) {
            tracing::debug!(%error, "a datagram of a page was not understood");
        }
        self.drain(now);
        true
    }

    /// Which of our addresses a source has written to: the kernel does not say, but answers from there.
    fn local_for(&mut self, source: IpAddr) -> SocketAddr {
        let first = self.locals.first().copied();
        let first = first.unwrap_or_else(|| SocketAddr::new(source, self.pair.port));
        if self.locals.len() < 2 {
            return first;
        }
        if let Some((_, local)) = self.routes.iter().find(|(known, _)| *known == source) {
            return *local;
        }
        let route = super::super::media::route_to(SocketAddr::new(source, 9));
        let local = self.locals.iter().find(|local| Some(local.ip()) == route);
        let local = local.copied().unwrap_or(first);
        if self.routes.len() >= ROUTES_MAX {
            self.routes.pop_front();
        }
        self.routes.push_back((source, local));
        local
    }

    /// When [`Peer::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        (!self.closed).then_some(self.due)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
            tracing::debug!(%error, "the connection of a page failed");
        }
        self.drain(now);
    }

    /// Sends audio, or a key.
    pub(super) fn send(&mut self, now: Instant, sequence: u64, packet: &Packet<'_>) {
        let header = packet.header;
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.mid, None) else {
            return;
        };
        let write = RtpWrite::new(
            header.payload_type.into(),
            sequence.into(),
            header.timestamp,
            now,
            packet.payload,
        );
        stream.write_rtp(write.marker(header.marker));
        self.drain(now);
        // It leaves with the next step of time, which is now.
        self.handle_timeout(now);
    }

    /// The next news.
    pub(super) fn take(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Takes all that `str0m` has to say.
    fn drain(&mut self, now: Instant) {
        for _ in 0..OUTPUTS_AT_ONCE {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.due = at;
                    if !self.rtc.is_alive() {
                        self.over();
                    }
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    let destination = self.reachable(transmit.destination);
                    // What the kernel does not take is lost, as on the network.
                    let _ = self.pair.rtp.try_send_to(&transmit.contents, destination);
                }
                Ok(Output::Event(event)) => self.event(event),
                Err(error) => {
                    tracing::debug!(%error, "the connection of a page is broken");
                    self.rtc.disconnect();
                    self.over();
                    return;
                }
            }
        }
        self.due = now;
    }

    fn over(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.news.push_back(News::Closed);
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the events of data channels, video and bandwidth never come"
    )]
    fn event(&mut self, event: Event) {
        let news = match event {
            Event::Connected => News::Connected,
            Event::RtpPacket(packet) => News::Packet(Box::new(packet)),
            Event::SenderFeedback(_) => News::Alive,
            Event::MediaEgressStats(figures) => News::Path(self.path(&figures)),
            Event::Closed => {
                self.over();
                return;
            }
            _ => return,
        };
        if self.news.len() < NEWS_MAX {
            self.news.push_back(news);
        }
    }

    fn path(&self, figures: &MediaEgressStats) -> PathReport {
        let jitter = figures.remote.as_ref().map(|remote| remote.jitter);
        PathReport {
            round_trip: figures.rtt,
            loss: figures.loss.map(f64::from),
            jitter: jitter.map(|steps| {
                Duration::from_secs_f64(f64::from(steps) / f64::from(self.audio.clock_hz()))
            }),
        }
    }

    /// The address as our socket can reach it.
    fn reachable(&self, destination: SocketAddr) -> SocketAddr {
        match destination.ip() {
            IpAddr::V4(address) if self.mapped => {
                SocketAddr::new(IpAddr::V6(address.to_ipv6_mapped()), destination.port())
            }
            IpAddr::V4(_) | IpAddr::V6(_) => destination,
        }
    }
}

impl Drop for Peer {
    /// Says goodbye, however the call ends: RTCP BYE and the closure of DTLS.
    fn drop(&mut self) {
        if !self.closed && self.rtc.close().is_ok() {
            let now = Instant::now();
            self.drain(now);
            self.handle_timeout(now);
        }
    }
}

/// A connection that knows this codec alone, so that the answer names no other.
fn connection(now: Instant, audio: &Audio) -> Rtc {
    let crypto = Arc::new(str0m::crypto::from_feature_flags());
    let config = Rtc::builder()
        .set_crypto_provider(crypto)
        .set_rtp_mode(true)
        .set_stats_interval(Some(FIGURES_EVERY))
        .clear_extension_map()
        .set_extension(MID_EXTENSION, Extension::RtpMid)
        .clear_codecs();
    let mut config = match audio.codec {
        Codec::Opus => config.enable_opus(true, false),
        Codec::Pcma => config.enable_pcma(true, false),
        Codec::Pcmu | Codec::G722 | Codec::G729 | Codec::AmrWb => config.enable_pcmu(true, false),
    };
    if let (Some(number), Some(clock)) = (audio.telephone_event, Frequency::new(audio.clock_hz())) {
        config.codec_config().add_config(
            number.into(),
            None,
            WebCodec::Tele,
            clock,
            None,
            FormatParams::default(),
        );
    }
    config.build(now)
}
