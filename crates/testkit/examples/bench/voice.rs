//! What the callers speak: one codec, plain or encrypted.

use crate::phone::MAGIC;
use crate::sip_text;
use media::srtp::SrtpContext;
use media::{
    Codec, Direction, ItemKey, LatchPolicy, OpusTerms, SrtpSuite, Stream, StreamConfig,
    TRANSMIT_BYTES_MAX,
};
use std::collections::BTreeMap;
use std::io::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SUITE: SrtpSuite = SrtpSuite::AesCm128HmacSha1_80;
/// Packets that are encoded once, and said again and again.
const PACKETS: usize = 250;
/// The dynamic payload type of Opus.
const OPUS: u8 = 96;

/// Of all callers of a run.
#[derive(Clone)]
pub(crate) struct Voice {
    payload_type: u8,
    rtpmap: &'static str,
    /// Timestamps of 20 ms.
    pub(crate) step: u32,
    payloads: Arc<Vec<Vec<u8>>>,
    /// Whether a packet comes back as it went, so that its way can be timed.
    pub(crate) returns: bool,
    /// Its silence is one byte again and again, so that the first sound can be told.
    pub(crate) has_silence: bool,
    secure: bool,
}

impl Voice {
    /// By `--codec pcmu|pcma|g722|opus|g729|amrwb` and `--security sdes`.
    pub(crate) fn new(options: &BTreeMap<String, String>) -> std::io::Result<Self> {
        let secure = match options.get("security").map(String::as_str) {
            None | Some("none") => false,
            Some("sdes") => true,
            Some(other) => return Err(Error::other(format!("--security {other}: none or sdes"))),
        };
        let name = options.get("codec").map_or("pcmu", String::as_str);
        let (codec, payload_type, rtpmap, step) = match name {
            "pcmu" => (Codec::Pcmu, 0, "PCMU/8000", 160),
            "pcma" => (Codec::Pcma, 8, "PCMA/8000", 160),
            "g722" => (Codec::G722, 9, "G722/8000", 160),
            "opus" => (Codec::Opus, OPUS, "opus/48000/2", 960),
            "g729" => (Codec::G729, 18, "G729/8000", 160),
            "amrwb" => (Codec::AmrWb, OPUS, "AMR-WB/16000", 320),
            other => {
                let text = format!("--codec {other}: pcmu, pcma, g722, opus, g729 or amrwb");
                return Err(Error::other(text));
            }
        };
        // Linear audio to the engine changes every sample on its way.
        let linear = options
            .get("set")
            .is_some_and(|set| set.contains("engine.audio=linear"));
        let has_silence = matches!(codec, Codec::Pcmu | Codec::Pcma);
        let returns = has_silence && !linear;
        Ok(Self {
            payload_type,
            rtpmap,
            step,
            payloads: Arc::new(encoded(codec, payload_type)),
            returns,
            has_silence,
            secure,
        })
    }

    /// A session description; with SRTP its key is `key`.
    pub(crate) fn sdp(&self, port: u16, key: &[u8]) -> String {
        let (profile, crypto) = if self.secure {
            let key = base64_simd::STANDARD.encode_to_string(key);
            let name = SUITE.name();
            ("RTP/SAVP", format!("a=crypto:1 {name} inline:{key}\r\n"))
        } else {
            ("RTP/AVP", String::new())
        };
        let (number, map) = (self.payload_type, self.rtpmap);
        format!(
            "v=0\r\no=bench 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} {profile} {number}\r\na=rtpmap:{number} {map}\r\na=ptime:20\r\na=sendrecv\r\n{crypto}"
        )
    }

    /// A key for one call: the same for each, nobody listens on loopback.
    pub(crate) fn key() -> Vec<u8> {
        (1..).take(SUITE.key_len()).collect()
    }

    /// What encrypts and decrypts, once the answer is known; `None` where an encrypted call was answered with no key.
    pub(crate) fn cipher(&self, own: &[u8], answer: &str) -> Option<Cipher> {
        if !self.secure {
            return Some(Cipher(None));
        }
        let line = answer.lines().find(|line| line.starts_with("a=crypto:"))?;
        let text = line.split_once("inline:")?.1.split(['|', ' ']).next()?;
        let theirs = base64_simd::STANDARD.decode_to_vec(text).ok()?;
        let both = (
            SrtpContext::new(SUITE, own)?,
            SrtpContext::new(SUITE, &theirs)?,
        );
        Some(Cipher(Some(Box::new(both))))
    }

    /// One packet into `packet`, stamped with `since` where it comes back as it went; its length.
    pub(crate) fn packet(
        &self,
        number: u16,
        timestamp: u32,
        since: Duration,
        packet: &mut [u8],
    ) -> usize {
        packet[..12].copy_from_slice(&sip_text::rtp_header(number, timestamp, 99));
        packet[1] = self.payload_type;
        let payload = &self.payloads[usize::from(number) % self.payloads.len()];
        let end = 12 + payload.len();
        packet[12..end].copy_from_slice(payload);
        if self.returns {
            packet[12..16].copy_from_slice(&MAGIC);
            let micros = u64::try_from(since.as_micros()).unwrap_or(0);
            packet[16..24].copy_from_slice(&micros.to_be_bytes());
        }
        end
    }
}

/// SRTP of both directions, or nothing.
pub(crate) struct Cipher(Option<Box<(SrtpContext, SrtpContext)>>);

impl Cipher {
    pub(crate) fn protect(&mut self, packet: &mut [u8], length: usize) -> Option<usize> {
        match &mut self.0 {
            None => Some(length),
            Some(both) => both.0.protect_rtp(packet, length),
        }
    }

    pub(crate) fn unprotect(&mut self, packet: &mut [u8]) -> Option<usize> {
        match &mut self.0 {
            None => Some(packet.len()),
            Some(both) => both.1.unprotect_rtp(packet).ok(),
        }
    }
}

/// Some seconds of a voice of sorts, as the payloads of packets of 20 ms.
fn encoded(codec: Codec, payload_type: u8) -> Vec<Vec<u8>> {
    if matches!(codec, Codec::Pcmu | Codec::Pcma) {
        return vec![vec![0x55; 160]];
    }
    let peer: SocketAddr = ([127, 0, 0, 1], 4_000).into();
    let form = codec.form();
    let mut now = Instant::now();
    let config = StreamConfig {
        codec,
        payload_type,
        keypad: media::Keypad::default(),
        treatment: media::Treatment::default(),
        opus: OpusTerms::default(),
        amr: media::AmrTerms::default(),
        telephone_event: None,
        event_clock_hz: 8_000,
        comfort_noise: None,
        ptime_ms: 20,
        remote: Some(peer),
        remote_rtcp: None,
        rtcp_mux: false,
        direction: Direction::SendRecv,
        srtp: None,
        latch: LatchPolicy::default(),
        cname: "bench@example.com".to_owned(),
    };
    let mut stream = Stream::new(now, config, 7);
    stream.start(now);
    let mut samples = vec![0; form.frame_samples() * (PACKETS + 10)];
    for (place, sample) in samples.iter_mut().enumerate() {
        // A triangle whose pitch moves has harmonics everywhere.
        let part = i16::try_from(place % (90 + place / 400 % 60)).unwrap_or_default();
        *sample = part * 90 - 4_000;
    }
    let mut audio = Vec::new();
    form.append(&samples, &mut audio);
    let _ = stream.playout().push(&ItemKey::from("voice"), &audio);
    let mut buffer = [0; TRANSMIT_BYTES_MAX];
    let mut payloads = Vec::new();
    while payloads.len() < PACKETS {
        now += Duration::from_millis(20);
        stream.handle_timeout(now);
        while let Some(transmit) = stream.poll_transmit(&mut buffer) {
            if !transmit.rtcp {
                payloads.push(buffer[12..transmit.len].to_vec());
            }
        }
    }
    payloads
}
