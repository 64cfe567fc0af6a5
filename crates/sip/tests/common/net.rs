//! The simulated network: datagrams and streams between numbered sides, clocks that differ, processes that sleep.

pub(crate) mod wait;
mod wire;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip::message::Message;
use sip::{
    Config, ConnectionId, Event, Input, Listener, ListenerId, Protocol, QueryId, Target, UserAgent,
};

/// Which agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    A,
    B,
    C,
}

pub(crate) const SIDES: [Side; 3] = [Side::A, Side::B, Side::C];

impl Side {
    pub(crate) fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
            Self::C => 2,
        }
    }

    pub(crate) fn address(self, protocol: Protocol) -> SocketAddr {
        let port = match protocol {
            Protocol::Udp | Protocol::Tcp => 5060,
            Protocol::Tls => 5061,
            Protocol::Ws => 80,
            Protocol::Wss => 443,
        };
        SocketAddr::from(([192, 0, 2, u8::try_from(self.index() + 1).unwrap()], port))
    }

    fn of(address: SocketAddr) -> Option<Self> {
        SIDES
            .into_iter()
            .find(|side| side.address(Protocol::Udp).ip() == address.ip())
    }
}

/// How bad the datagram network is; per mille.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) delay_ms_max: u64,
}

/// A small generator for the network's own dice.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }

    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// A clock that runs faster or slower than the world's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Parts per million; 10,000 gains 36 s an hour.
    pub(crate) ppm: i64,
}

impl Clock {
    fn elapsed(self, world: Duration) -> Duration {
        if self.ppm == 0 {
            return world;
        }
        let world = i128::try_from(world.as_nanos()).unwrap();
        let local = world + world * i128::from(self.ppm) / 1_000_000;
        Duration::from_nanos(u64::try_from(local).unwrap())
    }

    /// What this clock shows.
    fn local(self, start: Instant, world: Instant) -> Instant {
        start + self.elapsed(world - start)
    }

    /// The first moment at which it shows that.
    fn world(self, start: Instant, local: Instant) -> Instant {
        if self.ppm == 0 {
            return local;
        }
        let wanted = local - start;
        let nanos = i128::try_from(wanted.as_nanos()).unwrap() * 1_000_000
            / i128::from(1_000_000 + self.ppm);
        let mut world = Duration::from_nanos(u64::try_from(nanos).unwrap());
        while self.elapsed(world) < wanted {
            world += Duration::from_nanos(1);
        }
        start + world
    }
}

#[derive(Debug)]
enum Packet {
    Datagram {
        to: Side,
        from: SocketAddr,
        data: Vec<u8>,
    },
    /// For a party that is no agent.
    Abroad {
        to: SocketAddr,
        from: SocketAddr,
        data: Vec<u8>,
    },
    Accepted {
        to: Side,
        connection: ConnectionId,
        protocol: Protocol,
        remote: SocketAddr,
    },
    Connected {
        to: Side,
        connection: ConnectionId,
        local: SocketAddr,
    },
    ConnectFailed {
        to: Side,
        connection: ConnectionId,
    },
    Stream {
        to: Side,
        connection: ConnectionId,
        data: Vec<u8>,
    },
    Closed {
        to: Side,
        connection: ConnectionId,
    },
    Resolved {
        to: Side,
        query: QueryId,
        targets: Vec<Target>,
    },
}

impl Packet {
    /// The agent that it is for.
    const fn side(&self) -> Option<Side> {
        match self {
            Self::Abroad { .. } => None,
            Self::Datagram { to, .. }
            | Self::Accepted { to, .. }
            | Self::Connected { to, .. }
            | Self::ConnectFailed { to, .. }
            | Self::Stream { to, .. }
            | Self::Closed { to, .. }
            | Self::Resolved { to, .. } => Some(*to),
        }
    }
}

/// A party at an address of its own that speaks to several (a proxy): what it sends on, and where to.
pub(crate) type Party = Box<dyn FnMut(Instant, SocketAddr, &[u8]) -> Vec<(SocketAddr, Vec<u8>)>>;

/// A scripted party at an address of its own: what it answers to a message, from where.
pub(crate) type Script = Box<dyn FnMut(Instant, &Message) -> Vec<Vec<u8>>>;

type Filter = Box<dyn FnMut(Side, &str) -> bool>;

/// The world: agents, the packets between them, and what they said to their shells.
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    agents: Vec<UserAgent>,
    packets: BTreeMap<(Instant, u64), Packet>,
    sequence: u64,
    streams: BTreeMap<(Side, ConnectionId), (Side, ConnectionId)>,
    pub(crate) events: Vec<(Side, Event)>,
    /// Every message put on the wire, first line and all.
    pub(crate) wire: Vec<(Side, String)>,
    /// When each of them was.
    pub(crate) wire_at: Vec<Instant>,
    /// Bytes of other parties (addresses that are no side's).
    pub(crate) outside: Vec<(Side, SocketAddr, Vec<u8>)>,
    pub(crate) faults: Faults,
    /// No datagram passes between these two.
    pub(crate) cut: Option<(Side, Side)>,
    pub(crate) dice: Dice,
    /// `true` = this message of that side is lost.
    pub(crate) lose: Option<Filter>,
    /// What the resolver says; empty = failure.
    pub(crate) names: BTreeMap<String, Vec<Target>>,
    /// Addresses that refuse streams.
    pub(crate) refused: Vec<SocketAddr>,
    pub(crate) scripts: BTreeMap<SocketAddr, Script>,
    /// Parties that the faults of the network reach.
    pub(crate) parties: BTreeMap<SocketAddr, Party>,
    pub(crate) clocks: [Clock; 3],
    /// Until when a side's process does nothing.
    pub(crate) asleep: [Option<Instant>; 3],
    /// The last deadline of each side that was converted to the world's time, which costs divisions.
    converted: [Cell<Option<(Clock, Instant, Instant)>>; 3],
    read: [usize; 3],
}

pub(crate) fn config(side: Side, seed: u64) -> Config {
    let listener = |id, protocol| Listener {
        id: ListenerId(id),
        protocol,
        bound: side.address(protocol),
        advertised: None,
        is_guess: false,
    };
    Config::new(
        vec![
            listener(1, Protocol::Udp),
            listener(2, Protocol::Tcp),
            listener(3, Protocol::Tls),
        ],
        seed.wrapping_mul(3).wrapping_add(side.index() as u64),
    )
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, |_, _| {})
    }

    pub(crate) fn with(seed: u64, mut change: impl FnMut(Side, &mut Config)) -> Self {
        let start = Instant::now();
        let agents = SIDES
            .into_iter()
            .map(|side| {
                let mut config = config(side, seed);
                change(side, &mut config);
                UserAgent::new(start, config)
            })
            .collect();
        Self {
            now: start,
            start,
            agents,
            packets: BTreeMap::new(),
            sequence: 0,
            streams: BTreeMap::new(),
            events: Vec::new(),
            wire: Vec::new(),
            wire_at: Vec::new(),
            outside: Vec::new(),
            faults: Faults::default(),
            cut: None,
            dice: Dice::new(seed + 1),
            lose: None,
            names: BTreeMap::new(),
            refused: Vec::new(),
            scripts: BTreeMap::new(),
            parties: BTreeMap::new(),
            clocks: [Clock::default(); 3],
            asleep: [None; 3],
            converted: [const { Cell::new(None) }; 3],
            read: [0; 3],
        }
    }

    /// What the side's clock shows.
    pub(crate) fn local(&self, side: Side) -> Instant {
        self.clocks[side.index()].local(self.start, self.now)
    }

    pub(crate) fn agent(&mut self, side: Side) -> &mut UserAgent {
        &mut self.agents[side.index()]
    }

    /// One command, then the drain.
    pub(crate) fn act<T>(
        &mut self,
        side: Side,
        command: impl FnOnce(&mut UserAgent, Instant) -> T,
    ) -> T {
        let now = self.local(side);
        let result = command(self.agent(side), now);
        self.drain(side);
        result
    }

    pub(crate) fn drain(&mut self, side: Side) {
        while let Some(output) = self.agents[side.index()].poll_output() {
            self.output(side, output);
        }
    }

    /// Notes what goes over the wire.
    fn note(&mut self, side: Side, data: &[u8]) {
        let text = String::from_utf8(data.to_vec())
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        self.wire.push((side, text));
        self.wire_at.push(self.now);
    }

    fn put(&mut self, delay: Duration, packet: Packet) {
        self.sequence += 1;
        self.packets
            .insert((self.now + delay, self.sequence), packet);
    }

    /// A datagram of a party that is no agent.
    pub(crate) fn inject(&mut self, to: Side, from: SocketAddr, data: &[u8]) {
        let now = self.local(to);
        self.agents[to.index()].handle(
            now,
            Input::Datagram {
                listener: ListenerId(1),
                source: from,
                data,
            },
        );
        self.drain(to);
    }

    /// When a side has to do something, in the world's time.
    fn side_timeout(&self, side: Side) -> Option<Instant> {
        let local = self.agents[side.index()].poll_timeout()?;
        let known = &self.converted[side.index()];
        let at = match known.get() {
            Some((clock, same, at)) if same == local && clock == self.clocks[side.index()] => at,
            Some(_) | None => {
                let clock = self.clocks[side.index()];
                let at = clock.world(self.start, local);
                known.set(Some((clock, local, at)));
                at
            }
        };
        Some(self.asleep[side.index()].map_or(at, |until| at.max(until)))
    }

    fn next_instant(&self) -> Option<Instant> {
        let packet = self.packets.keys().next().map(|(at, _)| *at);
        let timers = SIDES.into_iter().filter_map(|side| self.side_timeout(side));
        packet.into_iter().chain(timers).min()
    }

    /// One step of the world; `false` where nothing is left until `end`.
    fn step(&mut self, end: Instant) -> bool {
        let Some(next) = self.next_instant().filter(|next| *next <= end) else {
            return false;
        };
        self.now = self.now.max(next);
        if let Some((key, _)) = self.packets.first_key_value()
            && key.0 <= self.now
        {
            let ((_, order), packet) = self.packets.pop_first().unwrap();
            let asleep = packet.side().and_then(|side| self.asleep[side.index()]);
            match asleep.filter(|until| *until > self.now) {
                Some(until) => {
                    self.packets.insert((until, order), packet);
                }
                None => self.deliver(packet),
            }
            return true;
        }
        for side in SIDES {
            if self.side_timeout(side).is_some_and(|at| at <= self.now) {
                let now = self.local(side);
                self.agent(side).handle(now, Input::Timeout);
                self.drain(side);
            }
        }
        true
    }
}
