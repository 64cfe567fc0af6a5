//! The scripted telephone against a simple answering side: it speaks, falls silent when spoken over, answers after silence.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{Codec, ItemKey, Stream, StreamConfig};
use sip::sdp::offer_answer::{CodecOffer, LocalMedia, SrtpPolicy, answer};
use sip::{Config, Event, Input, InviteId, Listener, ListenerId, Output, Protocol, UserAgent};
use standin::caller::{self, EndedBy, Outcome};
use standin::recognise::Recogniser;
use standin::scenario::{Prepared, Scenario};
use standin::speech::{Encoding, Speech};
use tokio::net::UdpSocket;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An agent with no model: it says its lines one after the other, and hangs up after the last.
struct Answerer {
    agent: UserAgent,
    sip: UdpSocket,
    rtp: UdpSocket,
    stream: Option<Stream>,
    invite: Option<InviteId>,
    lines: Vec<Vec<u8>>,
    /// The caller is speaking, since the last pause.
    spoken: bool,
    quiet_frames: u32,
    hang_up: bool,
    heard: Vec<i16>,
    ended: bool,
}

impl Answerer {
    async fn new(prepared: &Prepared) -> Self {
        let sip = UdpSocket::bind((LOCALHOST, 0)).await.unwrap();
        let listener = Listener {
            id: ListenerId(1),
            protocol: Protocol::Udp,
            bound: sip.local_addr().unwrap(),
            advertised: None,
            is_guess: false,
        };
        let scenario = &prepared.scenario;
        let said = scenario.rules.iter().filter(|rule| rule.hears.is_some());
        let lines = std::iter::once(&scenario.agent.greeting)
            .chain(said.filter_map(|rule| rule.say.as_ref()))
            .map(|line| {
                prepared
                    .line(line.text())
                    .unwrap()
                    .encoded(Encoding::Ulaw)
                    .to_vec()
            })
            .rev()
            .collect();
        Self {
            agent: UserAgent::new(Instant::now(), Config::new(vec![listener], 7)),
            sip,
            rtp: UdpSocket::bind((LOCALHOST, 0)).await.unwrap(),
            stream: None,
            invite: None,
            lines,
            spoken: false,
            quiet_frames: 0,
            hang_up: false,
            heard: Vec::new(),
            ended: false,
        }
    }

    fn next_line(&mut self) {
        let line = self.lines.pop().unwrap();
        self.hang_up = self.lines.is_empty();
        let key: ItemKey = Arc::from(format!("line-{}", self.lines.len()));
        let playout = self.stream.as_mut().unwrap().playout();
        playout.push(&key, &line).unwrap();
        playout.finish(&key);
    }

    fn handle(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::IncomingInvite(incoming) => {
                let local = LocalMedia {
                    address: LOCALHOST,
                    port: self.rtp.local_addr().unwrap().port(),
                    rtcp_port: None,
                    codecs: vec![CodecOffer {
                        name: "PCMU",
                        clock_rate: 8_000,
                        channels: 1,
                        parameters: None,
                        static_payload: Some(0),
                        last_resort: false,
                    }],
                    telephone_event: true,
                    comfort_noise: false,
                    srtp: SrtpPolicy::Off,
                    crypto: Vec::new(),
                    dtls: None,
                    ice: None,
                    for_browsers: false,
                    ptime_ms: 20,
                    session_id: 1,
                    session_version: 1,
                };
                let (agreed, sdp) = answer(&incoming.offer.unwrap(), &local).unwrap();
                self.agent.ring(now, incoming.invite, 180, None).unwrap();
                self.agent.answer(now, incoming.invite, sdp).unwrap();
                self.invite = Some(incoming.invite);
                let config = StreamConfig {
                    codec: Codec::Pcmu,
                    payload_type: 0,
                    keypad: media::Keypad::default(),
                    treatment: media::Treatment::default(),
                    opus: media::OpusTerms::default(),
                    amr: media::AmrTerms::default(),
                    telephone_event: agreed.telephone_event,
                    event_clock_hz: 8_000,
                    comfort_noise: None,
                    ptime_ms: 20,
                    remote: agreed.remote,
                    remote_rtcp: None,
                    rtcp_mux: false,
                    direction: media::Direction::SendRecv,
                    srtp: None,
                    latch: media::LatchPolicy::default(),
                    cname: "answerer".into(),
                };
                self.stream = Some(Stream::new(now, config, 3));
            }
            Event::Established { .. } => {
                self.stream.as_mut().unwrap().start(now);
                self.next_line();
            }
            Event::Ended { .. } => self.ended = true,
            _ => {}
        }
    }

    async fn signal(&mut self) {
        let now = Instant::now();
        if self.agent.poll_timeout().is_some_and(|due| due <= now) {
            self.agent.handle(now, Input::Timeout);
        }
        while let Some(output) = self.agent.poll_output() {
            match output {
                Output::SendDatagram {
                    destination, data, ..
                } => {
                    self.sip.send_to(&data, destination).await.unwrap();
                }
                Output::Event(event) => self.handle(event),
                _ => {}
            }
        }
    }

    async fn speak(&mut self) {
        let now = Instant::now();
        let Some(stream) = &mut self.stream else {
            return;
        };
        if stream.poll_timeout().is_some_and(|due| due <= now) {
            stream.handle_timeout(now);
        }
        let mut buffer = [0; 2_048];
        while let Some(transmit) = stream.poll_transmit(&mut buffer) {
            if !transmit.rtcp {
                let _ = self
                    .rtp
                    .send_to(&buffer[..transmit.len], transmit.destination)
                    .await;
            }
        }
        while stream.poll_event().is_some() {}
        let mut quiet_for = None;
        while let Some(frame) = stream.poll_frame() {
            self.heard.extend(
                frame
                    .audio
                    .iter()
                    .map(|byte| standin::law::ulaw_decode(*byte)),
            );
            if frame.level < 40 {
                self.spoken = true;
                self.quiet_frames = 0;
            } else {
                self.quiet_frames += 1;
                quiet_for = Some(self.quiet_frames * 20);
            }
        }
        if self.spoken && self.quiet_frames == 0 {
            stream.playout().clear();
        }
        if self.spoken && quiet_for.is_some_and(|ms| ms >= 500) {
            self.spoken = false;
            self.next_line();
        } else if self.hang_up && stream.playout().is_idle() {
            self.hang_up = false;
            let invite = self.invite.unwrap();
            self.agent
                .hang_up(now, invite, Some("Q.850;cause=16".into()))
                .unwrap();
        }
    }

    async fn run(mut self) -> Vec<i16> {
        let (mut sip, mut rtp) = ([0; 4_096], [0; 2_048]);
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while !self.ended {
            self.signal().await;
            self.speak().await;
            self.signal().await;
            tokio::select! {
                Ok((len, source)) = self.sip.recv_from(&mut sip) => {
                    let data = &sip[..len];
                    let input = Input::Datagram { listener: ListenerId(1), source, data };
                    self.agent.handle(Instant::now(), input);
                }
                Ok((len, source)) = self.rtp.recv_from(&mut rtp) => {
                    if let Some(stream) = &mut self.stream {
                        stream.handle_rtp(Instant::now(), source, &mut rtp[..len]);
                    }
                }
                _ = tick.tick() => {}
            }
        }
        self.heard
    }
}

fn telephone(address: SocketAddr) -> caller::Config {
    caller::Config {
        target: format!("sip:demo@{address}"),
        keep_audio: true,
        ..caller::Config::default()
    }
}

/// The part of the audio around one utterance, as the detection of speech would cut it.
fn around(heard: &[i16], said: &caller::Said) -> Vec<i16> {
    let from = usize::try_from(said.started_ms.saturating_sub(400)).unwrap() * 8;
    let to = (usize::try_from(said.ended_ms).unwrap() + 500) * 8;
    heard[from.min(heard.len())..to.min(heard.len())].to_vec()
}

fn recognised(recogniser: &Recogniser, audio: &[i16]) -> Option<String> {
    recogniser.recognise(audio).map(|heard| heard.id.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demonstration_call_is_made_measured_and_recorded() {
    let prepared = Scenario::demo_fr()
        .prepare(&Speech::new(None))
        .await
        .unwrap();
    let answerer = Answerer::new(&prepared).await;
    let address = answerer.sip.local_addr().unwrap();
    let answering = tokio::spawn(answerer.run());
    let call = caller::call(telephone(address), Arc::clone(&prepared));
    let report = tokio::time::timeout(Duration::from_secs(60), call)
        .await
        .unwrap()
        .unwrap();
    let shown = format!(
        "{:?}",
        caller::Report {
            recording: None,
            ..report.clone()
        }
    );

    assert_eq!(report.outcome, Outcome::Completed, "{shown}");
    assert_eq!(report.ended_by, Some(EndedBy::Agent), "{shown}");
    assert_eq!(report.end_reason.as_deref(), Some("Q.850;cause=16"));
    let ids: Vec<&str> = report
        .said
        .iter()
        .map(|said| said.utterance.as_str())
        .collect();
    assert_eq!(ids, ["hours", "menu", "enough", "goodbye"]);
    assert!(report.invite_to_ringing_ms.unwrap() <= report.invite_to_answer_ms.unwrap());
    assert!(report.answer_to_first_audio_ms.unwrap() < 500, "{shown}");
    assert!(report.heard.len() >= 5, "{shown}");

    let interrupting: Vec<Option<u32>> = report
        .said
        .iter()
        .map(|said| said.agent_silent_after_ms)
        .collect();
    assert_eq!(interrupting[..2], [None, None], "{shown}");
    assert!(interrupting[2].expect(&shown) < 200, "{shown}");
    for said in &report.said {
        let after = said.answered_after_ms.expect(&shown);
        assert!((400..1_500).contains(&after), "{shown}");
    }

    // The other side heard every utterance whole, and the recording holds both voices aligned.
    let heard = answering.await.unwrap();
    let recording = report.recording.unwrap();
    assert_eq!(recording.caller.len(), recording.agent.len());
    for said in &report.said {
        let id = Some(said.utterance.clone());
        assert_eq!(
            recognised(prepared.recogniser(), &around(&recording.caller, said)),
            id
        );
        assert_eq!(
            recognised(prepared.recogniser(), &around(&heard, said)),
            id,
            "on the wire"
        );
    }
}

#[tokio::test]
async fn a_call_that_nobody_answers_is_reported() {
    let prepared = Scenario::demo_en()
        .prepare(&Speech::new(None))
        .await
        .unwrap();
    let closed = UdpSocket::bind((LOCALHOST, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let config = caller::Config {
        call_ms_max: 500,
        ..telephone(closed)
    };
    let report = caller::call(config, prepared).await.unwrap();
    assert_ne!(report.outcome, Outcome::Completed);
    assert_eq!(report.ended_by, None);
    assert_eq!(report.invite_to_answer_ms, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_share_the_prepared_sound() {
    let speech = Speech::new(None);
    let mut scenario = Scenario::demo_en();
    // Each hangs up by itself as soon as the greeting was heard.
    scenario.steps.truncate(1);
    scenario.steps[0].say = None;
    scenario.steps[0].hang_up = true;
    let prepared = scenario.prepare(&speech).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for seed in 0..5 {
        let answerer = Answerer::new(&prepared).await;
        let config = caller::Config {
            seed,
            keep_audio: false,
            ..telephone(answerer.sip.local_addr().unwrap())
        };
        tokio::spawn(answerer.run());
        calls.spawn(caller::call(config, Arc::clone(&prepared)));
    }
    while let Some(report) = calls.join_next().await {
        let report = report.unwrap().unwrap();
        assert_eq!(report.outcome, Outcome::Completed, "{report:?}");
        assert_eq!(report.ended_by, Some(EndedBy::Caller));
        assert!(
            report.packets_received > 100 && report.packets_lost == 0,
            "{report:?}"
        );
    }
}
