//! The telephone's audio: one RTP stream on its own sockets.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use media::{Codec, Statistics, Stream, StreamConfig, StreamEvent};
use sip::sdp::offer_answer::{CodecOffer, LocalMedia, Negotiated, SrtpPolicy};
use tokio::net::UdpSocket;

use crate::speech::Encoding;

use super::{CallError, Recording};

/// Attempts to find an even port with a free one above it.
const PORT_ATTEMPTS: u32 = 50;
/// Largest datagram that is read or written.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// The sockets and the stream once it was agreed.
pub(super) struct Audio {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    address: IpAddr,
    seed: u64,
    version: u64,
    pub(super) stream: Option<Stream>,
    pub(super) recording: Option<Recording>,
    codec: Codec,
}

impl Audio {
    pub(super) async fn bind(address: IpAddr, seed: u64, record: bool) -> Result<Self, CallError> {
        let bind = |port| async move {
            let address = SocketAddr::new(address, port);
            let bound = UdpSocket::bind(address).await;
            bound.map_err(|source| CallError::Bind { address, source })
        };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let rtp = bind(0).await?;
            let port = rtp.local_addr().map_or(0, |address| address.port());
            let pair = match port.checked_add(1) {
                Some(above) if port.is_multiple_of(2) => bind(above).await.ok(),
                Some(_) | None => None,
            };
            let rtcp = match pair {
                Some(rtcp) => rtcp,
                None if attempt < PORT_ATTEMPTS => continue,
                None => bind(0).await?,
            };
            return Ok(Self {
                rtp,
                rtcp,
                address,
                seed,
                version: 1,
                stream: None,
                recording: record.then(Recording::default),
                codec: Codec::Pcmu,
            });
        }
    }

    /// What is offered: both laws, keys, no encryption.
    pub(super) fn local(&mut self) -> LocalMedia {
        let port = |socket: &UdpSocket| socket.local_addr().map_or(0, |address| address.port());
        let codec = |name, payload| CodecOffer {
            name,
            clock_rate: 8_000,
            channels: 1,
            parameters: None,
            static_payload: Some(payload),
            last_resort: false,
        };
        self.version += 1;
        LocalMedia {
            address: self.address,
            port: port(&self.rtp),
            rtcp_port: Some(port(&self.rtcp)),
            codecs: vec![codec("PCMU", 0), codec("PCMA", 8)],
            telephone_event: true,
            comfort_noise: false,
            srtp: SrtpPolicy::Off,
            crypto: Vec::new(),
            dtls: None,
            ice: None,
            for_browsers: false,
            ptime_ms: 20,
            session_id: self.seed & 0xffff_ffff,
            session_version: self.version,
        }
    }

    /// Begins, or changes, what was agreed. False when the codec is unknown.
    pub(super) fn agree(&mut self, now: Instant, agreed: &Negotiated) -> bool {
        let Some(codec) =
            Codec::from_name(&agreed.codec.name).filter(|codec| codec.law().is_some())
        else {
            return false;
        };
        self.codec = codec;
        let config = StreamConfig {
            codec,
            payload_type: agreed.codec.payload_type,
            keypad: media::Keypad::default(),
            treatment: media::Treatment::default(),
            opus: media::OpusTerms::default(),
            amr: media::AmrTerms::default(),
            telephone_event: agreed.telephone_event,
            event_clock_hz: agreed.event_clock_rate,
            comfort_noise: agreed.comfort_noise,
            ptime_ms: agreed.ptime_ms,
            remote: agreed.remote,
            remote_rtcp: agreed.remote_rtcp,
            rtcp_mux: agreed.rtcp_mux,
            direction: match agreed.direction {
                sip::sdp::Direction::SendRecv => media::Direction::SendRecv,
                sip::sdp::Direction::SendOnly => media::Direction::SendOnly,
                sip::sdp::Direction::RecvOnly => media::Direction::RecvOnly,
                sip::sdp::Direction::Inactive => media::Direction::Inactive,
            },
            srtp: None,
            latch: media::LatchPolicy::default(),
            cname: format!("caller-{:x}", self.seed),
        };
        if let Some(stream) = &mut self.stream {
            stream.reconfigure(now, config);
        } else {
            let mut stream = Stream::new(now, config, self.seed);
            stream.set_recording(self.recording.is_some());
            stream.start(now);
            self.stream = Some(stream);
        }
        true
    }

    /// How the stream wants its audio.
    pub(super) fn encoding(&self) -> Encoding {
        match self.codec {
            Codec::Pcma => Encoding::Alaw,
            Codec::Pcmu | Codec::G722 | Codec::Opus | Codec::G729 | Codec::AmrWb => Encoding::Ulaw,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.stream.as_ref().and_then(Stream::poll_timeout)
    }

    /// Waits for a datagram and gives it to the stream.
    pub(super) async fn receive(&mut self) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let mut second = [0; DATAGRAM_BYTES_MAX];
        tokio::select! {
            received = self.rtp.recv_from(&mut buffer) => {
                if let (Ok((len, source)), Some(stream)) = (received, &mut self.stream) {
                    stream.handle_rtp(Instant::now(), source, &mut buffer[..len]);
                }
            }
            received = self.rtcp.recv_from(&mut second) => {
                if let (Ok((len, source)), Some(stream)) = (received, &mut self.stream) {
                    stream.handle_rtcp(Instant::now(), source, &mut second[..len]);
                }
            }
        }
    }

    /// Sends what is due, and gives the levels of the frames that came and what happened.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        levels: &mut Vec<u8>,
        events: &mut Vec<StreamEvent>,
    ) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        if stream.poll_timeout().is_some_and(|due| due <= now) {
            stream.handle_timeout(now);
        }
        while let Some(frame) = stream.poll_frame() {
            levels.push(frame.level);
        }
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(transmit) = stream.poll_transmit(&mut buffer) {
            let socket = if transmit.rtcp { &self.rtcp } else { &self.rtp };
            // A full socket buffer loses a packet, as a network does.
            let _ = socket.try_send_to(&buffer[..transmit.len], transmit.destination);
        }
        while let Some(event) = stream.poll_event() {
            events.push(event);
        }
        if let Some(recording) = &mut self.recording {
            // The stream names its lanes from the other side of the call: what comes in is its caller.
            while let Some(frame) = stream.poll_recording() {
                recording.caller.extend_from_slice(&frame.agent);
                recording.agent.extend_from_slice(&frame.caller);
            }
        }
    }

    pub(super) fn statistics(&self, now: Instant) -> Option<Statistics> {
        self.stream.as_ref().map(|stream| stream.statistics(now))
    }
}
