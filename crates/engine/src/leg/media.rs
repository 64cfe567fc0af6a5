//! The audio of one leg: two UDP sockets around a `media::Stream`, and what was agreed about them.

mod keys;

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Instant;

use catalog::Message;
use media::{Codec, Keypad, OpusTerms, Stream, StreamConfig, Treatment};
use sip::sdp::offer_answer::{self, LocalMedia, Negotiated, OfferRejected};
use store::packet::PacketContents;

use self::keys::DtlsKeys;
pub(crate) use self::keys::Security;
use super::ice::{self, Ice};
use super::relay::Received;
use super::tap::Tap;
use super::way::reachable;
use super::{dtls, negotiation};
use crate::nat::is_public;
use crate::rtp_ports::RtpPair;
use crate::sip_socket::canonical;

/// Datagrams taken from one socket before the rest of the call has its turn.
const DATAGRAMS_AT_ONCE: usize = 32;
/// Largest datagram that is looked at, bytes; longer ones are cut and fail their checks.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// The audio of one leg.
pub(crate) struct MediaLeg {
    pair: RtpPair,
    pub(crate) stream: Stream,
    local: LocalMedia,
    /// The last agreement.
    agreed: Option<Negotiated>,
    dtls: DtlsKeys,
    ice: Option<Box<Ice>>,
    /// Our description is out: handshakes may begin.
    started: bool,
    codec: Codec,
    signalling: Option<IpAddr>,
    cname: String,
    keypad: Keypad,
    treatment: Treatment,
    held: bool,
    buffer: Box<[u8]>,
    sent: u64,
    /// Where its packets are kept, if they are.
    pub(crate) tap: Option<Box<Tap>>,
    /// How its address was found, for a journal that begins later.
    news: Option<Message>,
}

/// Who the leg is, for its sockets and descriptions.
pub(crate) struct LegIdentity<'a> {
    /// Where the peer's signalling comes from.
    pub(crate) signalling: Option<IpAddr>,
    /// RTCP canonical name.
    pub(crate) cname: &'a str,
    /// Seed of the stream.
    pub(crate) seed: u64,
    /// How keys are sent, and which ways are listened to.
    pub(crate) keypad: Keypad,
    /// What is done to the caller's audio.
    pub(crate) treatment: Treatment,
    /// What is kept of its packets.
    pub(crate) capture: PacketContents,
}

impl MediaLeg {
    /// Answers the peer's offer.
    pub(crate) fn answer(
        now: Instant,
        pair: RtpPair,
        local: LocalMedia,
        offer: &[u8],
        identity: &LegIdentity<'_>,
    ) -> Result<(Self, Vec<u8>, Negotiated), OfferRejected> {
        let (agreed, answer) = offer_answer::answer(offer, &local)?;
        let config = negotiation::stream_config(
            &agreed,
            identity.signalling,
            (identity.cname, identity.keypad, identity.treatment),
        );
        let config = config.ok_or(OfferRejected::NoCommonCodec {
            offered: Vec::new(),
        })?;
        let mut leg = Self::with_config(now, pair, local, config, identity);
        leg.apply(now, &agreed)?;
        Ok((leg, answer, agreed))
    }

    /// Makes our offer; the stream waits for the answer.
    pub(crate) fn offer(
        now: Instant,
        pair: RtpPair,
        local: LocalMedia,
        identity: &LegIdentity<'_>,
    ) -> (Self, Vec<u8>) {
        let offer = offer_answer::offer(&local, sip::sdp::Direction::SendRecv);
        let codec = local
            .codecs
            .first()
            .and_then(|codec| Codec::from_name(codec.name))
            .unwrap_or(Codec::Pcmu);
        let config = StreamConfig {
            codec,
            payload_type: codec.static_payload_type().unwrap_or_default(),
            keypad: identity.keypad,
            treatment: identity.treatment,
            opus: OpusTerms::default(),
            amr: media::AmrTerms::default(),
            telephone_event: None,
            event_clock_hz: codec.clock_hz(),
            comfort_noise: None,
            ptime_ms: local.ptime_ms,
            remote: None,
            remote_rtcp: None,
            rtcp_mux: false,
            direction: media::Direction::SendRecv,
            // Where plain audio is no call, none is heard before the answer either.
            srtp: local.srtp.is_required().then(media::SrtpConfig::awaited),
            latch: media::LatchPolicy {
                symmetric: true,
                signalling: identity.signalling,
            },
            cname: identity.cname.to_owned(),
        };
        let mut leg = Self::with_config(now, pair, local, config, identity);
        leg.prepare_ice();
        (leg, offer)
    }

    fn with_config(
        now: Instant,
        pair: RtpPair,
        local: LocalMedia,
        config: StreamConfig,
        identity: &LegIdentity<'_>,
    ) -> Self {
        let codec = config.codec;
        let mut stream = Stream::new(now, config, identity.seed);
        stream.playout().hold_back(true);
        let rtcp_port = local.rtcp_port.unwrap_or(local.port.wrapping_add(1));
        let address = SocketAddr::new(local.address, local.port);
        let tap = Tap::wanted(identity.capture, now, address, rtcp_port);
        Self {
            pair,
            stream,
            local,
            agreed: None,
            dtls: DtlsKeys::default(),
            ice: None,
            started: false,
            codec,
            signalling: identity.signalling,
            cname: identity.cname.to_owned(),
            keypad: identity.keypad,
            treatment: identity.treatment,
            held: false,
            buffer: vec![0; DATAGRAM_BYTES_MAX].into_boxed_slice(),
            sent: 0,
            tap,
            news: None,
        }
    }

    /// Keeps what the journal of the call is to be told once there is one.
    pub(crate) fn keep_news(&mut self, news: Option<Message>) {
        self.news = news;
    }

    /// What was kept.
    pub(crate) fn take_news(&mut self) -> Option<Message> {
        self.news.take()
    }

    /// Takes the answer to our offer.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        answer: &[u8],
    ) -> Result<Negotiated, OfferRejected> {
        let agreed = offer_answer::accept_answer(&self.local, answer)?;
        self.apply(now, &agreed)?;
        self.begin_checks(now);
        Ok(agreed)
    }

    /// Answers a later offer of the peer.
    pub(crate) fn answer_again(
        &mut self,
        now: Instant,
        offer: &[u8],
    ) -> Result<(Vec<u8>, Negotiated), OfferRejected> {
        // An offer that is refused leaves everything as it was.
        let mut local = self.local.clone();
        local.session_version = local.session_version.wrapping_add(1);
        if let Some(local) = &mut local.dtls {
            local.active = self.dtls.is_active();
        }
        let ufrag = offer_answer::ice_ufrag(offer);
        let restarts = |ice: &Ice| ufrag.is_some_and(|ufrag| ice.is_restarted_by(&ufrag));
        let restarts = self.ice.as_deref().is_some_and(restarts);
        if restarts {
            renew_ice(&mut local);
        }
        let (agreed, answer) = offer_answer::answer(offer, &local)?;
        self.local = local;
        if restarts {
            self.ice = None;
        }
        self.apply(now, &agreed)?;
        if self.started {
            self.begin_checks(now);
        }
        Ok((answer, agreed))
    }

    /// Signalling comes from somebody else from the next description on, where it is known at all; whose it was.
    pub(crate) fn signalled_by(&mut self, peer: Option<IpAddr>) -> Option<IpAddr> {
        let before = self.signalling;
        self.signalling = before.and(peer);
        before
    }

    /// Our offer for a re-INVITE that came without one.
    pub(crate) fn offer_again(&mut self) -> Vec<u8> {
        self.local.session_version = self.local.session_version.wrapping_add(1);
        self.prepare_ice();
        offer_answer::offer(&self.local, sip::sdp::Direction::SendRecv)
    }

    fn apply(&mut self, now: Instant, agreed: &Negotiated) -> Result<(), OfferRejected> {
        let config = negotiation::stream_config(
            agreed,
            self.signalling,
            (&self.cname, self.keypad, self.treatment),
        );
        let config = config.ok_or(OfferRejected::NoCommonCodec {
            offered: Vec::new(),
        })?;
        let mut agreed = agreed.clone();
        let mut config = config;
        self.agree_ice(&mut agreed);
        (config.remote, config.remote_rtcp) = (agreed.remote, agreed.remote_rtcp);
        let made = self.dtls.agree(now, &agreed, self.signalling, self.started);
        if !made {
            return Err(OfferRejected::SrtpRefused);
        }
        self.codec = config.codec;
        negotiation::keep_offering(&mut self.local, &agreed);
        if let Some(tap) = &mut self.tap {
            tap.agreed(&config);
        }
        self.held = negotiation::is_held(&agreed);
        self.reconfigure(now, config);
        self.permit(now, agreed.remote);
        self.agreed = Some(agreed);
        Ok(())
    }

    /// We offer: the peer's checks may come before its answer, and who offers decides (RFC 8445 section 6.1.1).
    fn prepare_ice(&mut self) {
        if let (None, Some(local)) = (&self.ice, &self.local.ice) {
            self.ice = Ice::new(local, true).map(Box::new);
        }
    }

    /// Where both sides do ICE there are agents, and the audio goes to the pairs that they have chosen; else it goes where the description says.
    fn agree_ice(&mut self, agreed: &mut Negotiated) {
        let (Some(terms), Some(local)) = (agreed.ice.clone(), &self.local.ice) else {
            return self.forget_ice();
        };
        if self.ice.is_none() {
            self.ice = Ice::new(local, false).map(Box::new);
        }
        if let Some(ice) = &mut self.ice {
            ice.agree(&terms, agreed.rtcp_mux);
            ice.settle(agreed);
        }
    }

    /// What comes after it begins anew, with other credentials.
    fn forget_ice(&mut self) {
        if self.ice.take().is_some() {
            renew_ice(&mut self.local);
        }
    }

    /// The peer has our description, and we have theirs.
    fn begin_checks(&mut self, now: Instant) {
        if let Some(ice) = &mut self.ice {
            ice.begin(now);
        }
        self.follow_ice(now);
    }

    /// Goes the way that the checks have chosen.
    fn follow_ice(&mut self, now: Instant) {
        let (Some(ice), Some(agreed)) = (&mut self.ice, &mut self.agreed) else {
            return;
        };
        if ice.take_moved() {
            ice.settle(agreed);
            self.dtls.moved_to(now, agreed);
            self.rekey(now);
        }
    }

    /// What there is to tell about the way of the audio.
    pub(crate) fn poll_path(&mut self) -> Option<Message> {
        self.ice.as_mut()?.poll_news()
    }

    fn reconfigure(&mut self, now: Instant, mut config: StreamConfig) {
        self.dtls.complete(&mut config);
        self.stream.reconfigure(now, config);
        self.rekey_reports();
    }

    fn rekey_reports(&mut self) {
        if let Some(keys) = self.dtls.poll_report_keys() {
            self.stream.set_report_keys(keys.as_ref());
        }
    }

    /// DTLS has given keys: the stream goes on with them.
    fn rekey(&mut self, now: Instant) {
        let ways = (self.cname.as_str(), self.keypad, self.treatment);
        let agreed = self.agreed.as_ref();
        let config =
            agreed.and_then(|agreed| negotiation::stream_config(agreed, self.signalling, ways));
        if let Some(config) = config {
            self.reconfigure(now, config);
        }
    }

    /// Begins to send; a handshake goes first.
    pub(crate) fn start(&mut self, now: Instant) {
        self.started = true;
        self.begin_checks(now);
        self.stream.start(now);
        // What was kept may have been the whole of it.
        if self.dtls.begin(now) {
            self.rekey(now);
        }
    }

    /// Ends sending.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.stream.stop(now);
        self.transmit(now);
        self.dtls.close(now);
    }

    /// What there is to tell about the keys.
    pub(crate) fn poll_security(&mut self) -> Option<Security> {
        self.dtls.poll_security()
    }

    /// When [`MediaLeg::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let relays = self.pair.relays.as_ref();
        let relays = relays.and_then(|relays| relays.poll_timeout());
        let ice = self.ice.as_ref().and_then(|ice| ice.poll_timeout());
        let due = [
            self.stream.poll_timeout(),
            self.dtls.poll_timeout(),
            relays,
            ice,
        ];
        due.into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.dtls.handle_timeout(now);
        if self.stream.poll_timeout().is_some_and(|at| at <= now) {
            self.stream.handle_timeout(now);
        }
        if let Some(relays) = &mut self.pair.relays {
            relays.each().for_each(|relay| relay.handle_timeout(now));
        }
        if let Some(ice) = &mut self.ice {
            ice.handle_timeout(now);
        }
        self.follow_ice(now);
    }

    pub(crate) fn local(&self) -> &LocalMedia {
        &self.local
    }

    /// Codec of the leg.
    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    /// The peer holds us.
    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    /// RTP datagrams sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Ready when a datagram waits on one of the sockets.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let rtp = self.pair.rtp.poll_recv_ready(cx).is_ready();
        let rtcp = self.pair.rtcp.poll_recv_ready(cx).is_ready();
        if rtp || rtcp {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Takes what waits on the sockets into the stream.
    pub(crate) fn receive(&mut self, now: Instant) {
        self.receive_rtp(now);
        self.receive_rtcp(now);
        self.follow_ice(now);
    }

    fn receive_rtp(&mut self, now: Instant) {
        for _ in 0..DATAGRAMS_AT_ONCE {
            let (source, length) = match self.next(now, false) {
                Datagram::None => break,
                Datagram::Other => continue,
                Datagram::Peer(source, length) => (source, length),
            };
            let Some(data) = self.buffer.get_mut(..length) else {
                continue;
            };
            if self.local.dtls.is_some() && dtls::is_dtls(data) {
                if self.dtls.handle(now, source, data) {
                    self.rekey(now);
                }
            } else if !self.dtls.are_awaited() {
                if let Some(tap) = &mut self.tap {
                    tap.packet(now, (false, false), source, data);
                }
                self.stream.handle_rtp(now, source, data);
            }
        }
    }

    fn receive_rtcp(&mut self, now: Instant) {
        for _ in 0..DATAGRAMS_AT_ONCE {
            let (source, length) = match self.next(now, true) {
                Datagram::None => break,
                Datagram::Other => continue,
                Datagram::Peer(source, length) => (source, length),
            };
            let Some(data) = self.buffer.get_mut(..length) else {
                continue;
            };
            if self.local.dtls.is_some() && dtls::is_dtls(data) {
                self.dtls.handle_report(now, source, data);
                self.rekey_reports();
            } else if !self.dtls.withhold_reports() {
                if let Some(tap) = &mut self.tap {
                    tap.packet(now, (false, true), source, data);
                }
                self.stream.handle_rtcp(now, source, data);
            }
        }
    }

    /// Takes a datagram from a socket into the buffer, and what a relay and the checks of ICE want of it.
    fn next(&mut self, now: Instant, rtcp: bool) -> Datagram {
        let socket = if rtcp {
            &self.pair.rtcp
        } else {
            &self.pair.rtp
        };
        // An ICMP error of what we sent surfaces here; the absence of media is noticed by the stream.
        let Ok((count, source)) = socket.try_recv_from(&mut self.buffer) else {
            return Datagram::None;
        };
        let (mut source, mut length, mut by_relay) = (canonical(source), count, false);
        let mut past_relay = false;
        if let Some(relays) = &mut self.pair.relays {
            let relay = relays.of(rtcp);
            let is_known = relay.as_ref().is_some_and(|relay| source == relay.server());
            past_relay = !is_known;
            if is_known || self.ice.is_none() {
                let data = self.buffer.get(..count).unwrap_or_default();
                let received = relay.map(|relay| relay.receive(now, source, data));
                let Some(Received::Peer(peer, carried)) = received else {
                    return Datagram::Other;
                };
                (source, length, by_relay) = (peer, carried.len(), true);
                self.buffer.copy_within(carried, 0);
            }
        }
        if let (Some(ice), Some(data)) = (&mut self.ice, self.buffer.get(..length))
            && ice.receive(now, (source, rtcp, by_relay), data)
        {
            return Datagram::Other;
        }
        // A peer that does no ICE, as far as we know, was told the relay alone, and nobody else is heard.
        let does_ice = |agreed: &Negotiated| agreed.ice.is_some();
        if past_relay && !self.agreed.as_ref().is_none_or(does_ice) {
            return Datagram::Other;
        }
        Datagram::Peer(source, length)
    }

    /// A relay lets the peer through before it has heard of us.
    fn permit(&mut self, now: Instant, remote: Option<SocketAddr>) {
        let signalling = self.signalling;
        if let Some(relays) = &mut self.pair.relays {
            for relay in relays.each() {
                for peer in remote
                    .map(|remote| remote.ip())
                    .into_iter()
                    .chain(signalling)
                {
                    if is_public(peer) {
                        relay.permit(now, peer.to_canonical());
                    }
                }
            }
        }
    }

    /// Gives back what the leg had of others.
    pub(crate) async fn release(mut self) {
        self.pair.release_relays().await;
    }

    /// Sends what the stream has ready. What the kernel does not take is lost, as on the network.
    pub(crate) fn transmit(&mut self, now: Instant) {
        while let Some((destination, data, rtcp)) = self.dtls.poll_transmit() {
            let by_relay = goes_by_relay(self.ice.as_deref(), rtcp);
            send(&mut self.pair, now, (destination, rtcp, by_relay), &data);
        }
        while let Some(check) = self.ice.as_mut().and_then(|ice| ice.poll_transmit()) {
            let to = (check.destination, check.rtcp, check.by_relay);
            send(&mut self.pair, now, to, &check.data);
        }
        while let Some(transmit) = self.stream.poll_transmit(&mut self.buffer) {
            let Some(data) = self.buffer.get(..transmit.len) else {
                continue;
            };
            if transmit.rtcp && self.dtls.withhold_reports() {
                continue;
            }
            let by_relay = goes_by_relay(self.ice.as_deref(), transmit.rtcp);
            let to = (transmit.destination, transmit.rtcp, by_relay);
            if let Some(tap) = &mut self.tap {
                tap.packet(now, (true, transmit.rtcp), transmit.destination, data);
            }
            send(&mut self.pair, now, to, data);
            self.sent += u64::from(!transmit.rtcp);
        }
        self.pair.flush_relays(now);
    }
}

/// What waited at a socket.
enum Datagram {
    None,
    /// The affair of a relay or of the checks, or of nobody who is heard.
    Other,
    /// Whose it is; so many bytes of the buffer.
    Peer(SocketAddr, usize),
}

/// Whether what goes to the peer goes by the relay, where there is one: always without ICE, and until a pair is chosen.
fn goes_by_relay(ice: Option<&Ice>, rtcp: bool) -> bool {
    ice.and_then(|ice| ice.is_relayed(rtcp)).unwrap_or(true)
}

/// Sends a datagram, through the relay where there is one. What the kernel does not take is lost, as on the network.
fn send(
    pair: &mut RtpPair,
    now: Instant,
    (destination, rtcp, by_relay): (SocketAddr, bool, bool),
    data: &[u8],
) {
    let socket = if rtcp { &pair.rtcp } else { &pair.rtp };
    let Some(relays) = pair.relays.as_mut().filter(|_| by_relay) else {
        let _ = socket.try_send_to(data, reachable(pair.mapped, destination));
        return;
    };
    let wrapped = relays.of(rtcp).and_then(|relay| {
        let data = relay.wrap(now, destination, data)?;
        Some((data, relay.server()))
    });
    if let Some((data, server)) = wrapped {
        let _ = socket.try_send_to(&data, reachable(pair.mapped, server));
    }
}

/// Other credentials (RFC 8839 section 4.4.1.1.1).
fn renew_ice(local: &mut LocalMedia) {
    if let Some(local) = &mut local.ice {
        (local.ufrag, local.password) = ice::credentials();
    }
}

/// The address for SDP: the configured one, else the bound one, else the local end of the way to the peer.
pub(crate) fn local_address(advertised: Option<IpAddr>, bind: IpAddr, peer: SocketAddr) -> IpAddr {
    if let Some(address) = advertised {
        return address;
    }
    if !bind.is_unspecified() {
        return bind;
    }
    route_to(peer).unwrap_or(bind)
}

/// Our address on the way to a peer, as the kernel would choose it. Nothing is sent.
pub(crate) fn route_to(peer: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if peer.is_ipv4() {
        "0.0.0.0:0".parse().ok()?
    } else {
        "[::]:0".parse().ok()?
    };
    let probe = std::net::UdpSocket::bind(any).ok()?;
    probe.connect(peer).ok()?;
    Some(probe.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests;
