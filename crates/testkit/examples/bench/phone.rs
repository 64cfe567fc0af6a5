//! The generator: many plain callers in one thread, each with its own RTP socket, each packet stamped with the time it left.

use crate::voice::{Cipher, Voice};
use crate::{number, process, say, sip_text, stream_phone};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// The first bytes of a stamped payload.
pub(crate) const MAGIC: [u8; 4] = *b"ALLO";
/// Calls begin this far apart.
const STAGGER: Duration = Duration::from_millis(10);
/// The first seconds of a call are not counted.
const WARM_UP: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) rtt_us: Vec<u32>,
    pub(crate) gap_us: Vec<u32>,
    pub(crate) received: u64,
    pub(crate) late_us_max: u32,
    pub(crate) ring_us: Option<u32>,
    pub(crate) answer_us: Option<u32>,
    /// From the ACK to the first packet that is not silence.
    pub(crate) first_us: Option<u32>,
}

/// What became of a call.
pub(crate) enum Outcome {
    Talked(Figures),
    /// 503: there is no room.
    Refused,
    Failed,
}

/// Runs the calls, then prints one JSON line.
pub(crate) async fn generate(options: &BTreeMap<String, String>) -> std::io::Result<()> {
    let target = options.get("target").cloned().unwrap_or_default();
    let sip: Option<SocketAddr> = target.parse().ok();
    if sip.is_none() && !target.starts_with("http://") {
        let text = "--target ADDRESS:PORT or http://ADDRESS:PORT/WEBHOOK is needed";
        return Err(std::io::Error::other(text));
    }
    let voice = Voice::new(options)?;
    let calls = number(options, "calls", 1);
    let seconds = number(options, "seconds", 10);
    let epoch = Instant::now();
    // All calls count the same window, which begins when the last one has warmed up.
    let ramp = STAGGER * u32::try_from(calls).unwrap_or(u32::MAX);
    let begin = epoch + ramp + WARM_UP;
    let end = begin + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for index in 0..calls {
        let (target, voice) = (target.clone(), voice.clone());
        tasks.push(tokio::spawn(async move {
            tokio::time::sleep_until(epoch + STAGGER * u32::try_from(index).unwrap_or(0)).await;
            match sip {
                Some(target) => one(target, &voice, index, (epoch, begin, end)).await,
                None => stream_phone::one(&target, index, epoch, begin, end)
                    .await
                    .map_or(Outcome::Failed, Outcome::Talked),
            }
        }));
    }
    tokio::time::sleep_until(begin).await;
    let watched = number(options, "watch", 0);
    let pid = u32::try_from(watched).unwrap_or(0);
    let (server_before, own_before) = (process::cpu_ms(pid), process::cpu_ms(std::process::id()));
    tokio::time::sleep_until(end).await;
    let (server_after, own_after) = (process::cpu_ms(pid), process::cpu_ms(std::process::id()));
    let rss = process::rss_kb(pid);
    let mut all = Total::default();
    for task in tasks {
        all.add(task.await.unwrap_or(Outcome::Failed));
    }
    let spent = |before: Option<u64>, after: Option<u64>| {
        after.unwrap_or(0).saturating_sub(before.unwrap_or(0))
    };
    let run = Run {
        calls,
        seconds,
        server_ms: spent(server_before, server_after),
        own_ms: spent(own_before, own_after),
        rss_kb: rss.unwrap_or(0),
    };
    say(&all.row(&run).to_string());
    Ok(())
}

/// What a run was and what it cost.
struct Run {
    calls: u64,
    seconds: u64,
    server_ms: u64,
    own_ms: u64,
    rss_kb: u64,
}

/// The figures of all calls.
#[derive(Default)]
struct Total {
    figures: Figures,
    failed: u64,
    refused: u64,
    first_us: Vec<u32>,
    ring_us: Vec<u32>,
    answer_us: Vec<u32>,
}

impl Total {
    fn add(&mut self, call: Outcome) {
        let figures = match call {
            Outcome::Talked(figures) => figures,
            Outcome::Refused => {
                self.refused += 1;
                return;
            }
            Outcome::Failed => {
                self.failed += 1;
                return;
            }
        };
        self.first_us.extend(figures.first_us);
        let all = &mut self.figures;
        all.rtt_us.extend(figures.rtt_us);
        all.gap_us.extend(figures.gap_us);
        all.received += figures.received;
        all.late_us_max = all.late_us_max.max(figures.late_us_max);
        self.ring_us.extend(figures.ring_us);
        self.answer_us.extend(figures.answer_us);
    }

    /// One row of the table, as JSON.
    fn row(&mut self, run: &Run) -> serde_json::Value {
        let talked = run.calls - self.failed - self.refused;
        let call_seconds = as_f64((talked * run.seconds).max(1));
        let expected = as_f64((talked * run.seconds * 50).max(1));
        let figures = &mut self.figures;
        let mut values = vec![
            ("calls".to_owned(), as_f64(run.calls)),
            ("failed".to_owned(), as_f64(self.failed)),
            ("refused".to_owned(), as_f64(self.refused)),
            (
                "server_ms_per_cs".to_owned(),
                as_f64(run.server_ms) / call_seconds,
            ),
            (
                "generator_ms_per_cs".to_owned(),
                as_f64(run.own_ms) / call_seconds,
            ),
            (
                "generator_core_share".to_owned(),
                as_f64(run.own_ms) / as_f64(run.seconds * 1000),
            ),
            (
                "generator_late_ms_max".to_owned(),
                f64::from(figures.late_us_max) / 1000.0,
            ),
            (
                "received_share".to_owned(),
                as_f64(figures.received) / expected,
            ),
            ("rss_mb".to_owned(), as_f64(run.rss_kb) / 1024.0),
            // Of the caller's own packets, those that came back by way of the engine.
            (
                "echoed_share".to_owned(),
                as_f64(figures.rtt_us.len() as u64) / expected,
            ),
        ];
        for (name, times) in [
            ("rtt", &mut figures.rtt_us),
            ("gap", &mut figures.gap_us),
            ("ring", &mut self.ring_us),
            ("answer", &mut self.answer_us),
            ("first", &mut self.first_us),
        ] {
            values.push((format!("{name}_p50_ms"), percentile_ms(times, 50)));
            values.push((format!("{name}_p99_ms"), percentile_ms(times, 99)));
        }
        let rounded = |value: f64| serde_json::json!((value * 1000.0).round() / 1000.0);
        serde_json::Value::Object(
            values
                .into_iter()
                .map(|(name, value)| (name, rounded(value)))
                .collect(),
        )
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a bench are far below 2^52"
)]
fn as_f64(value: u64) -> f64 {
    value as f64
}

fn percentile_ms(values: &mut [u32], percent: usize) -> f64 {
    values.sort_unstable();
    let index = (values.len().saturating_sub(1)) * percent / 100;
    values
        .get(index)
        .map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
}

pub(crate) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// One call.
async fn one(
    target: SocketAddr,
    voice: &Voice,
    index: u64,
    window: (Instant, Instant, Instant),
) -> Outcome {
    let mut refused = false;
    match answered(target, voice, index, window, &mut refused).await {
        Some(figures) => Outcome::Talked(figures),
        None if refused => Outcome::Refused,
        None => Outcome::Failed,
    }
}

/// `None` when it was not answered.
async fn answered(
    target: SocketAddr,
    voice: &Voice,
    index: u64,
    window: (Instant, Instant, Instant),
    refused: &mut bool,
) -> Option<Figures> {
    let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let sip = UdpSocket::bind(local).await.ok()?;
    let (rtp, _rtcp) = media_sockets().await?;
    let sip_port = sip.local_addr().ok()?.port();
    let key = Voice::key();
    let body = voice.sdp(rtp.local_addr().ok()?.port(), &key);
    let request = |method: &str, sequence: u32, to_tag: &str, uri: &str, body: &str| {
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{sip_port};rport;branch=z9hG4bK{index}x{sequence}{method}\r\nFrom: <sip:bench{index}@127.0.0.1:{sip_port}>;tag=b{index}\r\nTo: <sip:allo@{target}>{to_tag}\r\nCall-ID: bench-{index}-{sip_port}@127.0.0.1\r\nCSeq: {sequence} {method}\r\nContact: <sip:bench{index}@127.0.0.1:{sip_port}>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut figures = Figures::default();
    let own = format!("sip:allo@{target}");
    let invited = Instant::now();
    let invite = request("INVITE", 1, "", &own, &body);
    sip.send_to(invite.as_bytes(), target).await.ok()?;
    let mut buffer = vec![0_u8; 8192];
    let ok = loop {
        let (length, _) = timeout(Duration::from_secs(8), sip.recv_from(&mut buffer))
            .await
            .ok()?
            .ok()?;
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        match sip_text::status(&text)? {
            180..=199 => figures.ring_us = figures.ring_us.or(Some(micros(invited.elapsed()))),
            100..=179 => {}
            200 => break text,
            status => {
                *refused = status == 503;
                // Acknowledged with the branch of its INVITE (RFC 3261 section 17.1.1.3).
                let ack = request("ACK", 1, &to_tag(&text)?, &own, "");
                let ack = ack.replace("1ACK\r\n", "1INVITE\r\n");
                let _ = sip.send_to(ack.as_bytes(), target).await;
                return None;
            }
        }
    };
    figures.answer_us = Some(micros(invited.elapsed()));
    let tag = to_tag(&ok)?;
    let contact = sip_text::header(&ok, "Contact")?;
    let uri = contact
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or(contact, |(uri, _)| uri)
        .to_owned();
    let ack = request("ACK", 1, &tag, &uri, "");
    sip.send_to(ack.as_bytes(), target).await.ok()?;
    let remote = SocketAddr::new(target.ip(), sip_text::audio_port(&ok)?);
    let cipher = voice.cipher(&key, &ok)?;
    let dialog = Dialog {
        sip: &sip,
        description: &body,
    };
    talk(
        &rtp,
        remote,
        (voice, cipher),
        (window, &dialog),
        &mut figures,
    )
    .await?;
    let bye = request("BYE", 2, &tag, &uri, "");
    sip.send_to(bye.as_bytes(), target).await.ok()?;
    let _ = timeout(Duration::from_secs(2), sip.recv_from(&mut buffer)).await;
    Some(figures)
}

/// Two sockets on neighbouring ports: the reports that come to the second are no other caller's sound, and no other caller's message.
async fn media_sockets() -> Option<(UdpSocket, UdpSocket)> {
    for _ in 0..64 {
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let rtp = UdpSocket::bind(local).await.ok()?;
        let mut next = rtp.local_addr().ok()?;
        next.set_port(next.port().checked_add(1)?);
        if let Ok(rtcp) = UdpSocket::bind(next).await {
            return Some((rtp, rtcp));
        }
    }
    None
}

/// What a caller answers while it talks.
struct Dialog<'a> {
    sip: &'a UdpSocket,
    description: &'a str,
}

impl Dialog<'_> {
    /// Answers a request within the call: a session that is refreshed (RFC 4028) goes on as it is. `None`: the call was hung up there.
    async fn answer(&self, request: &str, source: SocketAddr) -> Option<()> {
        let (method, _) = request.split_once(' ')?;
        if method == "ACK" || method.starts_with("SIP/") {
            return Some(());
        }
        let local = self.sip.local_addr().ok()?;
        let body = if method == "INVITE" {
            self.description
        } else {
            ""
        };
        let reply = sip_text::answer(request, "200 OK", &format!("<sip:bench@{local}>"), body);
        let _ = self.sip.send_to(reply.as_bytes(), source).await;
        (method != "BYE").then_some(())
    }
}

/// The tag of the To of a response, as a parameter.
fn to_tag(response: &str) -> Option<String> {
    let tag = sip_text::header(response, "To")?.split_once(";tag=");
    Some(tag.map_or_else(String::new, |(_, tag)| format!(";tag={tag}")))
}

async fn talk(
    rtp: &UdpSocket,
    remote: SocketAddr,
    (voice, mut cipher): (&Voice, Cipher),
    ((epoch, begin, end), dialog): ((Instant, Instant, Instant), &Dialog<'_>),
    figures: &mut Figures,
) -> Option<()> {
    let acked = Instant::now();
    let mut tick = interval_at(acked, Duration::from_millis(20));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sequence, mut timestamp) = (0_u16, 0_u32);
    let mut packet = [0_u8; 2048];
    let mut buffer = [0_u8; 2048];
    let mut request = [0_u8; 4096];
    let mut last_arrival: Option<Instant> = None;
    loop {
        tokio::select! {
            due = tick.tick() => {
                let now = Instant::now();
                if now >= end { return Some(()) }
                if now >= begin {
                    figures.late_us_max = figures.late_us_max.max(micros(now.saturating_duration_since(due)));
                }
                let length = voice.packet(sequence, timestamp, now - epoch, &mut packet);
                (sequence, timestamp) = (sequence.wrapping_add(1), timestamp.wrapping_add(voice.step));
                let length = cipher.protect(&mut packet, length)?;
                rtp.send_to(&packet[..length], remote).await.ok()?;
            }
            told = dialog.sip.recv_from(&mut request) => {
                let (length, source) = told.ok()?;
                dialog.answer(&String::from_utf8_lossy(&request[..length]), source).await?;
            }
            received = rtp.recv_from(&mut buffer) => {
                let (length, _) = received.ok()?;
                let now = Instant::now();
                let Some(length) = cipher.unprotect(&mut buffer[..length]) else { continue };
                let Some(payload) = buffer[..length].get(12..).filter(|payload| !payload.is_empty()) else { continue };
                if voice.has_silence && figures.first_us.is_none() && !silent(payload) {
                    figures.first_us = Some(micros(now - acked));
                }
                if now < begin || now >= end { last_arrival = Some(now); continue }
                figures.received += 1;
                if let Some(last) = last_arrival.replace(now) {
                    figures.gap_us.push(micros(now - last));
                }
                if voice.returns && payload.len() >= 12 && payload[..4] == MAGIC {
                    let sent = payload[4..12].try_into().map(u64::from_be_bytes).unwrap_or(0);
                    let elapsed = u64::try_from((now - epoch).as_micros()).unwrap_or(0).saturating_sub(sent);
                    figures.rtt_us.push(u32::try_from(elapsed).unwrap_or(u32::MAX));
                }
            }
        }
    }
}

/// Nothing but the silence of G.711 (`0xFF` of µ-law, `0xD5` of A-law).
fn silent(payload: &[u8]) -> bool {
    payload.iter().all(|byte| matches!(byte, 0xFF | 0xD5))
}
