//! A call that proves that the line can call: INVITE, answer, two seconds of silence sent and sound counted, BYE.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use media::Codec;
use media::rtp::Header;
use sip::sdp::Direction;
use sip::sdp::offer_answer::{LocalMedia, accept_answer, offer};
use sip::{
    AccountId, EndCause, Event, Input, InviteId, Listener, ListenerId, OutgoingInvite, Output,
    Protocol, Target, UserAgent,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::LineTest;
use crate::config::{LimitsConfig, LineConfig, LineProvider, SrtpPolicy};
use crate::leg::media::route_to;
use crate::leg::negotiation::local_media;
use crate::leg::way::Announced;
use crate::limits::{SIP_MESSAGE_BYTES_MAX, STREAM_EVENTS_MAX};
use crate::sip_socket::{Connections, Opening, StreamEvent, TlsEnds};
use crate::{random, tls};

/// Longest wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);
/// How long an answered call is listened to.
const LISTEN: Duration = Duration::from_secs(2);
/// The last requests (BYE, CANCEL) may take so long.
const GOODBYE_WITHIN: Duration = Duration::from_secs(3);
/// Interval of the packets of silence.
const FRAME: Duration = Duration::from_millis(20);
/// Samples of one packet at 8 kHz.
const FRAME_SAMPLES: u32 = 160;
/// The account of the call's own user agent.
const ACCOUNT: AccountId = AccountId(1);

/// What came of the call.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Answered; how many packets of sound came in two seconds.
    Answered { after_ms: u32, packets: u32 },
    /// It rang until we gave up.
    Rang,
    /// A final refusal.
    Refused { status: u16, reason: String },
    /// No answer of any kind.
    Nothing,
    /// The number or the sockets cannot be used.
    Unusable,
}

/// The parts of the call.
struct Trial {
    user_agent: UserAgent,
    udp: UdpSocket,
    tls: TlsEnds,
    connections: Connections,
    streams: mpsc::Receiver<StreamEvent>,
    target: Target,
    rtp: UdpSocket,
    local: LocalMedia,
    rang: bool,
    answered: Option<Instant>,
    remote: Option<SocketAddr>,
    payload_type: u8,
    ended: Option<EndCause>,
}

/// Places the call and hangs up.
pub(super) async fn call(test: &LineTest, number: &str, target: Target) -> Outcome {
    let Some((mut trial, invite)) = begin(test, number, target).await else {
        return Outcome::Unusable;
    };
    let begun = Instant::now();
    trial
        .run_until(begun + ANSWER_WITHIN, Trial::is_decided)
        .await;
    let Some(answered) = trial.answered else {
        let cause = trial.ended.take();
        if cause.is_none() {
            trial.hang_up(invite).await;
        }
        return match cause {
            Some(EndCause::Refused { status, reason }) => Outcome::Refused { status, reason },
            Some(_) => Outcome::Nothing,
            None if trial.rang => Outcome::Rang,
            None => Outcome::Nothing,
        };
    };
    let packets = trial.listen().await;
    trial.hang_up(invite).await;
    Outcome::Answered {
        after_ms: u32::try_from(answered.duration_since(begun).as_millis()).unwrap_or(u32::MAX),
        packets,
    }
}

async fn begin(test: &LineTest, number: &str, target: Target) -> Option<(Trial, InviteId)> {
    let host = route_to(target.address).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let udp = UdpSocket::bind((host, 0)).await.ok()?;
    let rtp = UdpSocket::bind((host, 0)).await.ok()?;
    let listener = Listener {
        id: ListenerId(0),
        protocol: Protocol::Udp,
        bound: udp.local_addr().ok()?,
        advertised: None,
        is_guess: false,
    };
    let mut config = sip::Config::new(vec![listener], random::seed());
    config.user_agent.clone_from(&test.user_agent);
    let now = Instant::now();
    let mut user_agent = UserAgent::new(now, config);
    let mut account = test.account.clone();
    account.register = false;
    user_agent.set_account(now, ACCOUNT, account);
    let port = rtp.local_addr().ok()?.port();
    let announced = Announced {
        ice: None,
        address: host,
        port,
        rtcp_port: None,
    };
    let local = local_media(&plain_line(), announced);
    let to = if number.starts_with("sip:") || number.starts_with("sips:") {
        number.to_owned()
    } else {
        format!("sip:{number}@{}", test.account.aor.rsplit_once('@')?.1)
    };
    let wish = OutgoingInvite {
        account: Some(ACCOUNT),
        to,
        offer: Some(offer(&local, Direction::SendRecv)),
        destination: Some((target.protocol, target.address)),
        ..OutgoingInvite::default()
    };
    let invite = user_agent.invite(now, wish).ok()?;
    let (events, streams) = mpsc::channel(STREAM_EVENTS_MAX);
    let trial = Trial {
        user_agent,
        udp,
        tls: TlsEnds::new(None, tls::client(&test.extra_ca_pem).ok()?),
        connections: Connections::new(events, &LimitsConfig::default()),
        streams,
        target,
        rtp,
        local,
        rang: false,
        answered: None,
        remote: None,
        payload_type: 0,
        ended: None,
    };
    Some((trial, invite))
}

/// What the call offers: G.711 in the clear.
fn plain_line() -> LineConfig {
    LineConfig {
        name: String::new(),
        tenant: call::id::TenantId::from(""),
        agent: String::new(),
        account: None,
        domain: None,
        provider: LineProvider::Sip,
        numbers: Vec::new(),
        allow: Vec::new(),
        credentials: None,
        srtp: SrtpPolicy::Off,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        keypad: media::Keypad::default(),
        treatment: media::Treatment::default(),
        nat: crate::nat::NatConfig::default(),
        calls_max: 0,
        rates: crate::config::CallRates::default(),
        certificates: crate::config::ClientCertificates::default(),
        identity: crate::config::IdentityPolicy::Off,
        sip_account: None,
        device: None,
    }
}

impl Trial {
    const fn is_decided(&self) -> bool {
        self.answered.is_some() || self.ended.is_some()
    }

    const fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// Drives the user agent until `done` or the instant.
    async fn run_until(&mut self, until: Instant, done: impl Fn(&Self) -> bool) {
        let mut buffer = vec![0; SIP_MESSAGE_BYTES_MAX];
        loop {
            self.drain();
            if done(self) {
                return;
            }
            let timer = self
                .user_agent
                .poll_timeout()
                .map_or(until, |at| at.min(until));
            let now = tokio::select! {
                () = tokio::time::sleep_until(timer.into()) => Instant::now(),
                received = self.udp.recv_from(&mut buffer) => {
                    let now = Instant::now();
                    if let Ok((count, source)) = received {
                        let data = buffer.get(..count).unwrap_or_default();
                        let listener = ListenerId(0);
                        self.user_agent.handle(now, Input::Datagram { listener, source, data });
                    }
                    now
                }
                Some(event) = self.streams.recv() => {
                    let now = Instant::now();
                    self.stream(now, &event);
                    now
                }
            };
            if self.user_agent.poll_timeout().is_some_and(|at| at <= now) {
                self.user_agent.handle(now, Input::Timeout);
            }
            if now >= until {
                self.drain();
                return;
            }
        }
    }

    fn stream(&mut self, now: Instant, event: &StreamEvent) {
        let input = match event {
            StreamEvent::Connected {
                connection, local, ..
            } => Input::Connected {
                connection: *connection,
                local: *local,
            },
            StreamEvent::ConnectFailed { connection } => Input::ConnectFailed {
                connection: *connection,
            },
            StreamEvent::Received { connection, data } => Input::Received {
                connection: *connection,
                data,
            },
            StreamEvent::Closed { connection } => Input::Closed {
                connection: *connection,
            },
            // Nobody is listened for.
            StreamEvent::Incoming { .. }
            | StreamEvent::Ready { .. }
            | StreamEvent::Refused { .. } => return,
        };
        self.user_agent.handle(now, input);
    }

    fn drain(&mut self) {
        while let Some(output) = self.user_agent.poll_output() {
            match output {
                Output::SendDatagram {
                    destination, data, ..
                } => {
                    // A lost datagram is sent again by its transaction.
                    let _ = self.udp.try_send_to(&data, destination);
                }
                Output::SendStream { connection, data } => {
                    self.connections.send(connection, data);
                }
                Output::Connect {
                    connection,
                    protocol,
                    destination,
                    ..
                } => {
                    let opening = Opening::Outgoing {
                        destination,
                        server_name: self.target.server_name.clone(),
                        connector: self.tls.for_outgoing(protocol),
                    };
                    self.connections.open(Instant::now(), connection, opening);
                }
                Output::Close { connection } => self.connections.close(connection),
                Output::Resolve { query, .. } => {
                    let targets = vec![self.target.clone()];
                    self.user_agent
                        .handle(Instant::now(), Input::Resolved { query, targets });
                }
                Output::Event(event) => self.event(event),
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a call of two seconds: what happens besides is of no concern"
    )]
    fn event(&mut self, event: Event) {
        match event {
            Event::Progress { status, .. } => self.rang |= status >= 180,
            Event::Accepted { sdp, .. } => {
                self.answered = Some(Instant::now());
                let agreed = sdp.and_then(|sdp| accept_answer(&self.local, &sdp).ok());
                if let Some(agreed) = agreed {
                    self.remote = agreed.remote;
                    self.payload_type = agreed.codec.payload_type;
                }
            }
            Event::IncomingInvite(incoming) => {
                self.user_agent.drop_invite(Instant::now(), incoming.invite);
            }
            Event::Ended { cause, .. } => self.ended = Some(cause),
            _ => {}
        }
    }

    /// Sends silence and counts what comes, until the time is over or the peer hangs up.
    async fn listen(&mut self) -> u32 {
        let until = Instant::now() + LISTEN;
        let silence = if self.payload_type == 8 { 0xD5 } else { 0xFF };
        let mut header = Header {
            marker: true,
            payload_type: self.payload_type,
            sequence: 1,
            timestamp: 0,
            ssrc: u32::try_from(random::seed() >> 32).unwrap_or(1),
        };
        let mut packets = 0;
        let mut buffer = [0; 2_048];
        while Instant::now() < until && self.ended.is_none() {
            if let Some(remote) = self.remote {
                let mut packet = header.to_bytes().to_vec();
                packet.resize(packet.len() + 160, silence);
                let _ = self.rtp.try_send_to(&packet, remote);
            }
            header.marker = false;
            header.sequence = header.sequence.wrapping_add(1);
            header.timestamp = header.timestamp.wrapping_add(FRAME_SAMPLES);
            self.run_until(Instant::now() + FRAME, Self::is_over).await;
            while let Ok((count, _)) = self.rtp.try_recv_from(&mut buffer) {
                let data = buffer.get(..count).unwrap_or_default();
                packets += u32::from(media::rtp::parse_header(data).is_ok());
            }
        }
        packets
    }

    async fn hang_up(&mut self, invite: InviteId) {
        if self.ended.is_some() {
            return;
        }
        let now = Instant::now();
        if self.user_agent.hang_up(now, invite, None).is_err() {
            return;
        }
        // The end is told at once; what the peer answers to BYE or CANCEL is awaited by the tables.
        let until = now + GOODBYE_WITHIN;
        self.run_until(until, |trial| {
            trial.user_agent.table_sizes().client_transactions == 0
        })
        .await;
    }
}
