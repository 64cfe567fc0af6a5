//! RTCP of a stream: when reports are due, what they say, what the peer's reports teach.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::reception::Reception;
use crate::rtcp::{self, Compound, SenderInfo};
use crate::srtp::{SrtpConfig, SrtpContext};
use crate::statistics::RemoteReports;

/// Mean time between reports, ms (RFC 3550 6.2: 5 s, the first after half of it).
pub const REPORT_INTERVAL_MS: u64 = 5_000;

#[derive(Debug)]
pub(super) struct Reports {
    epoch: Instant,
    /// What our NTP time starts from: only differences mean something to a peer.
    ntp_base: u64,
    random: u64,
    pub(super) next_at: Option<Instant>,
    pub(super) due: bool,
    pub(super) bye_due: bool,
    sent_packets: u64,
    pub(super) source: Option<SocketAddr>,
    /// What the peer's reports said.
    pub(super) remote: RemoteReports,
    /// Where reports have other keys than packets.
    pub(super) keys: Option<Box<ReportKeys>>,
}

/// Keys of reports that have a port and keys of their own.
#[derive(Debug)]
pub(super) struct ReportKeys {
    pub(super) ours: Option<SrtpContext>,
    pub(super) theirs: Option<SrtpContext>,
}

/// What the peer's reports say of our audio, where another layer handles RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PathReport {
    /// Round trip; `None`: not known yet.
    pub round_trip: Option<Duration>,
    /// Share of our packets that was lost since the last report, 0 to 1.
    pub loss: Option<f64>,
    /// Interarrival jitter of our packets at the peer.
    pub jitter: Option<Duration>,
}

impl super::Stream {
    /// Keys of the reports on a port of their own (RFC 5764 section 4.1.2); `None`: those of the packets. What is set again begins anew, so
    /// the same keys are set once.
    pub fn set_report_keys(&mut self, keys: Option<&SrtpConfig>) {
        self.reports.keys = keys.map(|keys| {
            Box::new(ReportKeys {
                ours: SrtpContext::new(keys.suite, &keys.local_key),
                theirs: SrtpContext::new(keys.suite, &keys.remote_key),
            })
        });
    }

    /// What the peer's reports say, where another layer handles RTCP. What a report does not say stays as it was.
    pub fn note_path(&mut self, report: &PathReport) {
        let remote = &mut self.reports.remote;
        if let Some(round_trip) = report.round_trip {
            remote
                .round_trip_ms
                .note(round_trip.as_secs_f64() * 1_000.0);
        }
        if let Some(jitter) = report.jitter {
            remote.jitter_ms.note(jitter.as_secs_f64() * 1_000.0);
        }
        if let Some(loss) = report.loss {
            let loss = loss.clamp(0.0, 1.0);
            remote.loss.note(loss);
            self.outbound.encoder.expect_loss(loss);
        }
    }

    /// The peer's reports came, where another layer handles RTCP: one that is silent is alive while it reports.
    pub fn note_alive(&mut self, now: Instant) {
        self.now = now;
        if self.inbound.reception.is_some() {
            self.inbound.heard_at = Some(now);
            self.heard();
        }
    }
}

/// What a report says of our sending.
pub(super) struct Sending {
    pub(super) ssrc: u32,
    pub(super) timestamp: u32,
    /// Steps of the RTP clock in one tick of 8 kHz, in which jitter is counted here.
    pub(super) clock_per_tick: u32,
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl Reports {
    pub(super) fn new(epoch: Instant, random: u64) -> Self {
        Self {
            epoch,
            ntp_base: random & 0xFFFF_FFFF_0000_0000,
            random,
            next_at: None,
            due: false,
            bye_due: false,
            sent_packets: 0,
            source: None,
            remote: RemoteReports::default(),
            keys: None,
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        if self.next_at.is_none() {
            let after = self.interval() / 2;
            self.next_at = Some(now + after);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.next_at.is_some_and(|at| at <= now) {
            self.due = true;
            let after = self.interval();
            self.next_at = Some(now + after);
        }
    }

    /// RFC 3550 6.3.1: between half and one and a half of the interval.
    fn interval(&mut self) -> Duration {
        self.random = super::splitmix(self.random);
        Duration::from_millis(REPORT_INTERVAL_MS / 2 + self.random % REPORT_INTERVAL_MS)
    }

    fn ntp(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.epoch);
        let fraction = (u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000;
        self.ntp_base
            .wrapping_add(elapsed.as_secs() << 32)
            .wrapping_add(fraction)
    }

    /// Writes the report that is due; its length.
    pub(super) fn write(
        &mut self,
        now: Instant,
        sending: &Sending,
        reception: Option<&mut Reception>,
        cname: &str,
        buffer: &mut [u8],
    ) -> Option<usize> {
        let bye = std::mem::take(&mut self.bye_due);
        self.due = false;
        let sent = sending.packets > self.sent_packets;
        self.sent_packets = sending.packets;
        let sender = sent.then(|| SenderInfo {
            ntp: self.ntp(now),
            rtp_timestamp: sending.timestamp,
            packets: low_32(sending.packets),
            bytes: low_32(sending.bytes),
        });
        let block = reception.map(|reception| {
            let mut block = reception.report(now);
            block.jitter = block.jitter.saturating_mul(sending.clock_per_tick);
            block
        });
        rtcp::write(
            &Compound {
                ssrc: sending.ssrc,
                sender,
                block,
                cname,
                bye,
            },
            buffer,
        )
    }

    /// A datagram of the peer, proved already; whether it said goodbye, or `None` when it held nothing readable. `ours` is what we send:
    /// its source, and the clock of its codec in Hz.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        ours: (u32, u32),
        data: &[u8],
        mut reception: Option<&mut Reception>,
    ) -> Option<bool> {
        let mut bye = None;
        for packet in rtcp::packets(data) {
            match packet {
                Ok(rtcp::Packet::Report {
                    ssrc,
                    sender,
                    blocks,
                }) => {
                    bye = bye.or(Some(false));
                    let heard = reception
                        .as_deref_mut()
                        .filter(|reception| reception.ssrc() == ssrc);
                    if let (Some(sender), Some(reception)) = (sender, heard) {
                        reception.sender_report(now, sender.ntp);
                    }
                    for block in blocks.filter(|block| block.ssrc == ours.0) {
                        self.learn(now, ours.1, block);
                    }
                }
                Ok(rtcp::Packet::Goodbye { ssrc }) => {
                    let known = reception.as_ref().map(|reception| reception.ssrc());
                    bye = Some(bye.unwrap_or(false) || (ssrc.is_some() && ssrc == known));
                }
                Ok(rtcp::Packet::Extended { voip }) => {
                    bye = bye.or(Some(false));
                    let voip = voip.filter(|voip| voip.ssrc == ours.0);
                    self.remote.voip = voip.or(self.remote.voip);
                }
                Ok(rtcp::Packet::Other(_)) => bye = bye.or(Some(false)),
                Err(_) => break,
            }
        }
        bye
    }

    fn learn(&mut self, now: Instant, clock_hz: u32, block: rtcp::ReportBlock) {
        let remote = &mut self.remote;
        remote.loss.note(f64::from(block.fraction_lost) / 256.0);
        remote.packets_lost = Some(block.lost);
        let jitter = f64::from(block.jitter) * 1_000.0 / f64::from(clock_hz.max(1));
        remote.jitter_ms.note(jitter);
        if block.last_sr == 0 {
            return;
        }
        let round_trip = low_32(self.ntp(now) >> 16)
            .wrapping_sub(block.last_sr)
            .wrapping_sub(block.delay_since_sr);
        // A peer whose clock lies makes this negative or absurd.
        if round_trip < 65_536 * 30 {
            let round_trip = f64::from(round_trip) * 1_000.0 / 65_536.0;
            self.remote.round_trip_ms.note(round_trip);
        }
    }
}

fn low_32(value: u64) -> u32 {
    let [.., a, b, c, d] = value.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
