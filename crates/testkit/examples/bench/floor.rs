//! The floor: the least that a SIP ↔ Realtime bridge can do. No jitter buffer, no journal, no state machines: a packet becomes a
//! message, a message becomes packets on a 20 ms tick.

use crate::echo::field;
use crate::{say, sip_text, tls};
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_rustls::TlsConnector;
use tokio_websockets::{ClientBuilder, Message};

/// Its address, and the client where it is reached by TLS.
type Engine = Arc<(String, Option<TlsConnector>)>;

fn loopback() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

/// Serves until it is killed; prints its SIP address first.
pub(crate) async fn serve(options: &BTreeMap<String, String>) -> std::io::Result<()> {
    let url = options.get("engine").cloned().unwrap_or_default();
    let connector = options
        .get("ca")
        .map(|path| tls::connector(path))
        .transpose()?;
    let engine: Engine = Arc::new((url, connector));
    let socket = Arc::new(UdpSocket::bind(loopback()).await?);
    say(&socket.local_addr()?.to_string());
    let mut calls: BTreeMap<String, JoinHandle<()>> = BTreeMap::new();
    let mut buffer = vec![0_u8; 65_536];
    loop {
        let (length, source) = socket.recv_from(&mut buffer).await?;
        let Ok(text) = std::str::from_utf8(&buffer[..length]) else {
            continue;
        };
        let Some(id) = sip_text::header(text, "Call-ID").map(str::to_owned) else {
            continue;
        };
        if text.starts_with("INVITE ") && !calls.contains_key(&id) {
            let rtp = UdpSocket::bind(loopback()).await?;
            let port = rtp.local_addr()?.port();
            let remote = SocketAddr::new(source.ip(), sip_text::audio_port(text).unwrap_or(9));
            socket
                .send_to(answer(text, "180 Ringing", None).as_bytes(), source)
                .await?;
            let (reply, socket, engine) = (
                answer(text, "200 OK", Some(port)),
                socket.clone(),
                Arc::clone(&engine),
            );
            calls.insert(
                id,
                tokio::spawn(
                    async move { call(rtp, remote, &engine, &socket, source, &reply).await },
                ),
            );
        } else if text.starts_with("BYE ") {
            socket
                .send_to(answer(text, "200 OK", None).as_bytes(), source)
                .await?;
            if let Some(call) = calls.remove(&id) {
                call.abort();
            }
        }
    }
}

fn answer(request: &str, status: &str, port: Option<u16>) -> String {
    let body = port.map(sip_text::sdp).unwrap_or_default();
    sip_text::answer(request, status, "<sip:floor@127.0.0.1>", &body)
}

const UPDATE: &str = r#"{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":{"type":"audio/pcmu"}},"output":{"format":{"type":"audio/pcmu"}}}}}"#;

async fn call(
    rtp: UdpSocket,
    remote: SocketAddr,
    engine: &Engine,
    sip: &UdpSocket,
    peer: SocketAddr,
    reply: &str,
) {
    let (url, connector) = (&engine.0, &engine.1);
    let Ok(uri) = url.parse() else { return };
    let Ok(tcp) = tls::connect(url, connector.as_ref()).await else {
        return;
    };
    let Ok((mut socket, _)) = ClientBuilder::from_uri(uri).connect_on(tcp).await else {
        return;
    };
    if socket.send(Message::text(UPDATE)).await.is_err()
        || sip.send_to(reply.as_bytes(), peer).await.is_err()
    {
        return;
    }
    let mut queue: VecDeque<u8> = VecDeque::new();
    let mut tick = interval_at(
        Instant::now() + Duration::from_millis(20),
        Duration::from_millis(20),
    );
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sequence, mut timestamp, mut buffer) = (0_u16, 0_u32, [0_u8; 2048]);
    let mut packet = [0_u8; 172];
    loop {
        tokio::select! {
            received = rtp.recv_from(&mut buffer) => {
                let Ok((length, _)) = received else { return };
                let audio = base64_simd::STANDARD.encode_to_string(&buffer[12.min(length)..length]);
                let text = format!(r#"{{"type":"input_audio_buffer.append","audio":"{audio}"}}"#);
                if socket.send(Message::text(text)).await.is_err() { return }
            }
            message = socket.next() => {
                let Some(Ok(message)) = message else { return };
                if let Some(delta) = message.as_text().and_then(|text| field(text, "\"delta\":\""))
                    && let Ok(audio) = base64_simd::STANDARD.decode_to_vec(delta) {
                    queue.extend(audio);
                }
            }
            _ = tick.tick() => {
                packet[..12].copy_from_slice(&sip_text::rtp_header(sequence, timestamp, 7));
                for byte in &mut packet[12..] {
                    *byte = queue.pop_front().unwrap_or(0xFF);
                }
                (sequence, timestamp) = (sequence.wrapping_add(1), timestamp.wrapping_add(160));
                if rtp.send_to(&packet, remote).await.is_err() { return }
            }
        }
    }
}
