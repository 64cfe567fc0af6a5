//! The pool of RTP ports: pairs of an even port (RTP) and the next one (RTCP), taken in random order.
//!
//! The ports of an ended call rest for a while before they are used again, so that a new call does not hear what is still
//! being sent to the old one. A port that another program holds is passed over.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use crate::config::RtpConfig;
use crate::leg::relay::{RELEASED_WITHIN, Relays};
use crate::leg::way::reachable;
use crate::random::Choice;
use crate::sip_socket::canonical;

/// Ports that are tried for one call before it is told that none is free.
pub(crate) const PORT_TRIES_MAX: usize = 64;
/// Datagrams taken for a relay before its timers have their turn.
const FED_AT_ONCE: usize = 32;
/// A relay with nothing to do for so long waits for no answer.
const SETTLED: Duration = Duration::from_millis(200);
/// Shortest wait for a relay's timers.
const TICK: Duration = Duration::from_millis(1);

/// Why no pair could be had. The caller answers 503, never 500.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PortsError {
    /// Every pair is in use or rests.
    Exhausted,
    /// The system refuses to bind (no file descriptors, no such address).
    Unusable(io::ErrorKind),
}

#[derive(Debug)]
struct Pool {
    /// Pairs never used or rested, named by their even port.
    free: Vec<u16>,
    /// Pairs that rest, the oldest first, with the end of their rest.
    resting: VecDeque<(Instant, u16)>,
    random: Choice,
}

impl Pool {
    fn take(&mut self, now: Instant) -> Option<u16> {
        while let Some(&(until, port)) = self.resting.front() {
            if until > now {
                break;
            }
            self.resting.pop_front();
            self.free.push(port);
        }
        if self.free.is_empty() {
            return None;
        }
        let count = u64::try_from(self.free.len()).expect("a list of ports is short");
        let index = usize::try_from(self.random.below(count)).expect("smaller than the list");
        Some(self.free.swap_remove(index))
    }
}

/// The pool, shared by all calls.
#[derive(Clone, Debug)]
pub(crate) struct RtpPorts {
    pool: Arc<Mutex<Pool>>,
    bind: IpAddr,
    /// Ports are chosen by the system instead (range 0-0).
    any: bool,
    rest: Duration,
}

impl RtpPorts {
    /// A pool over the configured range; `None` when the range holds no pair.
    pub(crate) fn new(config: &RtpConfig, seed: u64) -> Option<Self> {
        let any = config.port_min == 0 && config.port_max == 0;
        let first = config.port_min.checked_add(config.port_min % 2)?;
        let free: Vec<u16> = if any {
            Vec::new()
        } else {
            (first..config.port_max)
                .step_by(2)
                .filter(|port| *port != 0)
                .collect()
        };
        if free.is_empty() && !any {
            return None;
        }
        let pool = Pool {
            free,
            resting: VecDeque::new(),
            random: Choice::new(seed),
        };
        Some(Self {
            pool: Arc::new(Mutex::new(pool)),
            bind: config.bind,
            any,
            rest: config.rest,
        })
    }

    /// Binds a pair.
    pub(crate) fn allocate(&self, now: Instant) -> Result<RtpPair, PortsError> {
        let mut failure = None;
        for _ in 0..PORT_TRIES_MAX {
            let taken = if self.any {
                Some(0)
            } else {
                self.lock().take(now)
            };
            let Some(port) = taken else { break };
            let bound = if self.any {
                self.bind_any()
            } else {
                self.bind_pair(port)
            };
            match bound {
                Ok((rtp, rtcp, port)) => {
                    let lease = Lease {
                        ports: self.clone(),
                        port,
                    };
                    return Ok(RtpPair {
                        mapped: self.bind.is_ipv6(),
                        rtp,
                        rtcp,
                        port,
                        relays: None,
                        _lease: lease,
                    });
                }
                Err(error) => {
                    self.put_to_rest(now, port);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        failure = Some(error.kind());
                        break;
                    }
                }
            }
        }
        Err(failure.map_or(PortsError::Exhausted, PortsError::Unusable))
    }

    fn bind_pair(&self, port: u16) -> io::Result<(UdpSocket, UdpSocket, u16)> {
        let rtcp_port = port.checked_add(1).ok_or(io::ErrorKind::AddrInUse)?;
        Ok((bind(self.bind, port)?, bind(self.bind, rtcp_port)?, port))
    }

    /// A free even port of the system's choice; the odd ones it offers are passed over.
    fn bind_any(&self) -> io::Result<(UdpSocket, UdpSocket, u16)> {
        let rtp = bind(self.bind, 0)?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 1 {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let rtcp_port = port.checked_add(1).ok_or(io::ErrorKind::AddrInUse)?;
        let rtcp = bind(self.bind, rtcp_port)?;
        Ok((rtp, rtcp, port))
    }

    fn put_to_rest(&self, now: Instant, port: u16) {
        if !self.any {
            self.lock().resting.push_back((now + self.rest, port));
        }
    }

    /// A panic cannot leave the pool half changed: every change is one push or one removal.
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bind(address: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(SocketAddr::new(address, port))?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Two bound sockets. The ports go to rest when this is dropped.
#[derive(Debug)]
pub(crate) struct RtpPair {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
    /// Port of RTP; that of RTCP is the next one.
    pub(crate) port: u16,
    /// The sockets are bound to IPv6: IPv4 is reached by mapped addresses.
    pub(crate) mapped: bool,
    /// The server that relays what goes over the two.
    pub(crate) relays: Option<Box<Relays>>,
    _lease: Lease,
}

impl RtpPair {
    /// Sends what the relays have to say to their server. What the system does not take is sent again.
    pub(crate) fn flush_relays(&mut self, now: Instant) -> bool {
        let mut has_sent = false;
        if let Some(relays) = &mut self.relays {
            let sockets = [&self.rtp, &self.rtcp];
            for (relay, socket) in relays.each().zip(sockets) {
                while let Some(data) = relay.poll_transmit(now) {
                    let _ = socket.try_send_to(&data, reachable(self.mapped, relay.server()));
                    has_sent = true;
                }
            }
        }
        has_sent
    }

    /// Takes what waits on the sockets, for the relays only.
    fn feed_relays(&mut self, now: Instant) -> bool {
        let mut buffer = [0; 2_048];
        let mut has_received = false;
        if let Some(relays) = &mut self.relays {
            let sockets = [&self.rtp, &self.rtcp];
            for (relay, socket) in relays.each().zip(sockets) {
                for _ in 0..FED_AT_ONCE {
                    let Ok((count, source)) = socket.try_recv_from(&mut buffer) else {
                        break;
                    };
                    if let Some(data) = buffer.get(..count) {
                        let source = canonical(source);
                        has_received |= source == relay.server();
                        relay.receive(now, source, data);
                    }
                }
            }
        }
        has_received
    }

    /// Drives the relays for a while; until what was asked of them is decided, as `done` says.
    pub(crate) async fn drive_relays(
        &mut self,
        within: Duration,
        done: impl Fn(&Relays, bool) -> bool,
    ) {
        let until = Instant::now() + within;
        let mut is_answered = false;
        loop {
            let now = Instant::now();
            if let Some(relays) = &mut self.relays {
                relays.each().for_each(|relay| relay.handle_timeout(now));
            }
            let has_sent = self.flush_relays(now);
            let Some(relays) = &self.relays else { return };
            if done(relays, is_answered && !has_sent) || now >= until {
                return;
            }
            let due = relays.poll_timeout().map_or(until, |due| due.min(until));
            let readable = poll_fn(|cx| {
                let rtp = self.rtp.poll_recv_ready(cx).is_ready();
                let rtcp = self.rtcp.poll_recv_ready(cx).is_ready();
                if rtp || rtcp {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            });
            let due = due.max(now + TICK);
            if tokio::time::timeout_at(due.into(), readable).await.is_ok() {
                is_answered |= self.feed_relays(Instant::now());
            }
        }
    }

    /// Gives the allocations back, and waits a moment for the server to say that it knows.
    pub(crate) async fn release_relays(&mut self) {
        let now = Instant::now();
        let Some(relays) = &mut self.relays else {
            return;
        };
        relays.each().for_each(|relay| relay.release(now));
        // A nonce that has changed meanwhile makes two exchanges of it.
        self.drive_relays(RELEASED_WITHIN, |relays, is_answered| {
            let due = relays.poll_timeout();
            is_answered && due.is_none_or(|due| due > Instant::now() + SETTLED)
        })
        .await;
        self.relays = None;
    }
}

impl Drop for RtpPair {
    /// Where nobody waits for the answer, the release is sent at least; else the server notices the end by itself.
    fn drop(&mut self) {
        let now = Instant::now();
        if let Some(relays) = &mut self.relays {
            relays.each().for_each(|relay| relay.release(now));
        }
        self.flush_relays(now);
    }
}

#[derive(Debug)]
struct Lease {
    ports: RtpPorts,
    port: u16,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ports.put_to_rest(Instant::now(), self.port);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A range that nothing else uses: taken from the system, then narrowed to one pair.
    fn one_pair() -> RtpConfig {
        let probe = RtpPorts::new(
            &RtpConfig {
                port_min: 0,
                port_max: 0,
                ..config()
            },
            1,
        )
        .expect("any port");
        let port = probe.allocate(Instant::now()).expect("a free pair").port;
        RtpConfig {
            port_min: port,
            port_max: port + 1,
            ..config()
        }
    }

    fn config() -> RtpConfig {
        RtpConfig {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            rest: Duration::from_secs(10),
            ..RtpConfig::default()
        }
    }

    #[tokio::test]
    async fn pattern_40_ports_of_an_ended_call_rest_before_they_are_used_again() {
        let ports = RtpPorts::new(&one_pair(), 7).expect("one pair");
        let now = Instant::now();
        let pair = ports.allocate(now).expect("the pair is free");
        assert_eq!(pair.port % 2, 0);
        assert_eq!(ports.allocate(now).unwrap_err(), PortsError::Exhausted);
        drop(pair);
        assert_eq!(
            ports.allocate(now + Duration::from_secs(9)).unwrap_err(),
            PortsError::Exhausted
        );
        assert!(ports.allocate(now + Duration::from_secs(11)).is_ok());
    }

    #[tokio::test]
    async fn ports_of_the_system_come_in_pairs() {
        let ports = RtpPorts::new(
            &RtpConfig {
                port_min: 0,
                port_max: 0,
                ..config()
            },
            3,
        )
        .expect("any port");
        let pairs: Vec<_> = (0..8)
            .map(|_| ports.allocate(Instant::now()).expect("a pair"))
            .collect();
        for pair in &pairs {
            assert_eq!(pair.rtcp.local_addr().expect("bound").port(), pair.port + 1);
        }
    }

    #[test]
    fn a_range_without_a_pair_is_refused() {
        assert!(
            RtpPorts::new(
                &RtpConfig {
                    port_min: 10_001,
                    port_max: 10_002,
                    ..config()
                },
                1
            )
            .is_none()
        );
        assert!(
            RtpPorts::new(
                &RtpConfig {
                    port_min: 10_000,
                    port_max: 10_001,
                    ..config()
                },
                1
            )
            .is_some()
        );
    }
}
