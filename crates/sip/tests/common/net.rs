//! The simulated network: datagrams and streams between numbered sides.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip::message::Message;
use sip::{
    Config, ConnectionId, EndCause, Event, Input, InviteId, Listener, ListenerId, Output, Protocol,
    QueryId, Target, UserAgent,
};

/// Which agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    A,
    B,
    C,
}

pub(crate) const SIDES: [Side; 3] = [Side::A, Side::B, Side::C];

impl Side {
    fn index(self) -> usize {
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

#[derive(Debug)]
enum Packet {
    Datagram {
        to: Side,
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
    /// Bytes of other parties (addresses that are no side's).
    pub(crate) outside: Vec<(Side, SocketAddr, Vec<u8>)>,
    pub(crate) faults: Faults,
    pub(crate) dice: Dice,
    /// `true` = this message of that side is lost.
    pub(crate) lose: Option<Filter>,
    /// What the resolver says; empty = failure.
    pub(crate) names: BTreeMap<String, Vec<Target>>,
    /// Addresses that refuse streams.
    pub(crate) refused: Vec<SocketAddr>,
    pub(crate) scripts: BTreeMap<SocketAddr, Script>,
    read: [usize; 3],
}

pub(crate) fn config(side: Side, seed: u64) -> Config {
    let listener = |id, protocol| Listener {
        id: ListenerId(id),
        protocol,
        bound: side.address(protocol),
        advertised: None,
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
            outside: Vec::new(),
            faults: Faults::default(),
            dice: Dice::new(seed + 1),
            lose: None,
            names: BTreeMap::new(),
            refused: Vec::new(),
            scripts: BTreeMap::new(),
            read: [0; 3],
        }
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
        let now = self.now;
        let result = command(self.agent(side), now);
        self.drain(side);
        result
    }

    pub(crate) fn drain(&mut self, side: Side) {
        while let Some(output) = self.agents[side.index()].poll_output() {
            self.output(side, output);
        }
    }

    fn put(&mut self, delay: Duration, packet: Packet) {
        self.sequence += 1;
        self.packets
            .insert((self.now + delay, self.sequence), packet);
    }

    fn output(&mut self, side: Side, output: Output) {
        let tick = Duration::from_millis(5);
        match output {
            Output::SendDatagram {
                destination, data, ..
            } => self.send_datagram(side, destination, data),
            Output::SendStream { connection, data } => {
                let text = String::from_utf8_lossy(&data).into_owned();
                self.wire.push((side, text));
                if let Some((to, theirs)) = self.streams.get(&(side, connection)).copied() {
                    self.put(
                        tick,
                        Packet::Stream {
                            to,
                            connection: theirs,
                            data,
                        },
                    );
                }
            }
            Output::Connect {
                connection,
                protocol,
                destination,
                ..
            } => {
                let local = SocketAddr::new(
                    side.address(protocol).ip(),
                    40_000 + u16::try_from(self.sequence % 20_000).unwrap(),
                );
                match Side::of(destination) {
                    Some(to)
                        if destination == to.address(protocol)
                            && !self.refused.contains(&destination) =>
                    {
                        let theirs = self.agents[to.index()].next_connection_id();
                        self.streams.insert((side, connection), (to, theirs));
                        self.streams.insert((to, theirs), (side, connection));
                        self.put(
                            tick,
                            Packet::Accepted {
                                to,
                                connection: theirs,
                                protocol,
                                remote: local,
                            },
                        );
                        self.put(
                            tick * 2,
                            Packet::Connected {
                                to: side,
                                connection,
                                local,
                            },
                        );
                    }
                    _ => self.put(
                        tick,
                        Packet::ConnectFailed {
                            to: side,
                            connection,
                        },
                    ),
                }
            }
            Output::Close { connection } => {
                if let Some((to, theirs)) = self.streams.remove(&(side, connection)) {
                    self.streams.remove(&(to, theirs));
                    self.put(
                        tick,
                        Packet::Closed {
                            to,
                            connection: theirs,
                        },
                    );
                }
            }
            Output::Resolve { query, host, .. } => {
                let targets = self.names.get(&host).cloned().unwrap_or_default();
                self.put(
                    tick,
                    Packet::Resolved {
                        to: side,
                        query,
                        targets,
                    },
                );
            }
            Output::Event(event) => self.events.push((side, event)),
        }
    }

    fn send_datagram(&mut self, side: Side, destination: SocketAddr, data: Vec<u8>) {
        let text = String::from_utf8_lossy(&data).into_owned();
        let lost = self.lose.as_mut().is_some_and(|lose| lose(side, &text));
        self.wire.push((side, text));
        let Some(to) = Side::of(destination) else {
            if let (Some(script), Ok(message)) = (
                self.scripts.get_mut(&destination),
                sip::message::parse(&data),
            ) && !lost
            {
                for answer in script(self.now, &message) {
                    let packet = Packet::Datagram {
                        to: side,
                        from: destination,
                        data: answer,
                    };
                    self.put(Duration::from_millis(10), packet);
                }
            }
            self.outside.push((side, destination, data));
            return;
        };
        let from = side.address(Protocol::Udp);
        let copies = 1 + u64::from(self.dice.chance(self.faults.duplication));
        for _ in 0..copies {
            if lost || self.dice.chance(self.faults.loss) {
                continue;
            }
            let delay = Duration::from_millis(5 + self.dice.below(self.faults.delay_ms_max + 1));
            self.put(
                delay,
                Packet::Datagram {
                    to,
                    from,
                    data: data.clone(),
                },
            );
        }
    }

    /// Both ends of every stream between the two learn that it is gone.
    pub(crate) fn break_streams(&mut self) {
        let ends: Vec<_> = self.streams.keys().copied().collect();
        self.streams.clear();
        for (to, connection) in ends {
            self.put(Duration::from_millis(1), Packet::Closed { to, connection });
        }
    }

    /// A datagram of a party that is no agent.
    pub(crate) fn inject(&mut self, to: Side, from: SocketAddr, data: &[u8]) {
        self.agents[to.index()].handle(
            self.now,
            Input::Datagram {
                listener: ListenerId(1),
                source: from,
                data,
            },
        );
        self.drain(to);
    }

    fn next_instant(&self) -> Option<Instant> {
        let packet = self.packets.keys().next().map(|(at, _)| *at);
        let timer = self.agents.iter().filter_map(UserAgent::poll_timeout).min();
        [packet, timer].into_iter().flatten().min()
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
            let (_, packet) = self.packets.pop_first().unwrap();
            self.deliver(packet);
            return true;
        }
        for side in SIDES {
            if self.agents[side.index()]
                .poll_timeout()
                .is_some_and(|at| at <= self.now)
            {
                let now = self.now;
                self.agent(side).handle(now, Input::Timeout);
                self.drain(side);
            }
        }
        true
    }

    fn deliver(&mut self, packet: Packet) {
        let now = self.now;
        let to = match packet {
            Packet::Datagram { to, from, data } => {
                self.agent(to).handle(
                    now,
                    Input::Datagram {
                        listener: ListenerId(1),
                        source: from,
                        data: &data,
                    },
                );
                to
            }
            Packet::Accepted {
                to,
                connection,
                protocol,
                remote,
            } => {
                let listener = ListenerId(if protocol == Protocol::Tls { 3 } else { 2 });
                let local = to.address(protocol);
                self.agent(to).handle(
                    now,
                    Input::Accepted {
                        connection,
                        listener,
                        local,
                        remote,
                    },
                );
                to
            }
            Packet::Connected {
                to,
                connection,
                local,
            } => {
                self.agent(to)
                    .handle(now, Input::Connected { connection, local });
                to
            }
            Packet::ConnectFailed { to, connection } => {
                self.agent(to)
                    .handle(now, Input::ConnectFailed { connection });
                to
            }
            Packet::Stream {
                to,
                connection,
                data,
            } => {
                self.agent(to).handle(
                    now,
                    Input::Received {
                        connection,
                        data: &data,
                    },
                );
                to
            }
            Packet::Closed { to, connection } => {
                self.agent(to).handle(now, Input::Closed { connection });
                to
            }
            Packet::Resolved { to, query, targets } => {
                self.agent(to)
                    .handle(now, Input::Resolved { query, targets });
                to
            }
        };
        self.drain(to);
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until the side reports something that `pick` takes; panics after a virtual minute (or the given bound).
    pub(crate) fn until<T>(
        &mut self,
        side: Side,
        what: &str,
        pick: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        self.until_within(side, what, Duration::from_secs(60), pick)
    }

    pub(crate) fn until_within<T>(
        &mut self,
        side: Side,
        what: &str,
        bound: Duration,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        let end = self.now + bound;
        loop {
            while self.read[side.index()] < self.events.len() {
                let at = self.read[side.index()];
                self.read[side.index()] += 1;
                let (who, event) = &self.events[at];
                if *who == side
                    && let Some(found) = pick(event)
                {
                    return found;
                }
            }
            assert!(
                self.step(end),
                "{side:?} never saw: {what}\n{}",
                self.story()
            );
        }
    }

    /// Forgets events that were not asked for.
    pub(crate) fn skip(&mut self) {
        self.read = [self.events.len(); 3];
    }

    pub(crate) fn incoming(&mut self, side: Side) -> sip::IncomingInvite {
        self.until(side, "IncomingInvite", |event| match event {
            Event::IncomingInvite(invite) => Some((**invite).clone()),
            _ => None,
        })
    }

    pub(crate) fn ended(&mut self, side: Side, wanted: InviteId) -> EndCause {
        self.until_within(
            side,
            "Ended",
            Duration::from_secs(7200),
            |event| match event {
                Event::Ended { invite, cause } if *invite == wanted => Some(cause.clone()),
                _ => None,
            },
        )
    }

    pub(crate) fn call(
        &mut self,
        from: Side,
        to: Side,
        protocol: Protocol,
        offer: Option<Vec<u8>>,
    ) -> InviteId {
        let address = to.address(protocol);
        self.act(from, |agent, now| {
            agent.invite(
                now,
                sip::OutgoingInvite {
                    to: format!("sip:callee@{address};transport={}", protocol.uri_token()),
                    offer,
                    ..sip::OutgoingInvite::default()
                },
            )
        })
        .unwrap()
    }

    /// A call from A to B that both sides have confirmed.
    pub(crate) fn establish(&mut self, protocol: Protocol) -> (InviteId, InviteId) {
        let ours = self.call(Side::A, Side::B, protocol, Some(super::sdp("offer")));
        let theirs = self.incoming(Side::B).invite;
        self.act(Side::B, |agent, now| {
            agent.answer(now, theirs, super::sdp("answer"))
        })
        .unwrap();
        self.until(Side::A, "Accepted", |event| {
            matches!(event, Event::Accepted { .. }).then_some(())
        });
        self.until(Side::B, "Established", |event| {
            matches!(event, Event::Established { .. }).then_some(())
        });
        (ours, theirs)
    }

    /// First lines on the wire, for messages.
    pub(crate) fn story(&self) -> String {
        let lines = self
            .wire
            .iter()
            .map(|(side, text)| format!("{side:?} {}", text.lines().next().unwrap_or_default()));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn count(&self, side: Side, start: &str) -> usize {
        self.wire
            .iter()
            .filter(|(who, text)| *who == side && text.starts_with(start))
            .count()
    }

    /// After everything ended and every timer ran out, nothing is kept.
    pub(crate) fn assert_empty(&mut self) {
        self.run_for(Duration::from_secs(1300));
        for side in SIDES {
            let sizes = self.agent(side).table_sizes();
            assert_eq!(sizes.invites, 0, "{side:?} {sizes:?}");
            assert_eq!(sizes.live_invites, 0, "{side:?} {sizes:?}");
            assert_eq!(sizes.dialogs, 0, "{side:?} {sizes:?}");
            assert_eq!(sizes.client_transactions, 0, "{side:?} {sizes:?}");
            assert_eq!(sizes.server_transactions, 0, "{side:?} {sizes:?}");
            assert_eq!(sizes.queries, 0, "{side:?} {sizes:?}");
        }
        self.assert_one_end_each();
    }

    /// Exactly one `Ended` for each invite, and nothing after it.
    pub(crate) fn assert_one_end_each(&self) {
        let mut ended = std::collections::BTreeSet::new();
        let mut seen = std::collections::BTreeSet::new();
        for (side, event) in &self.events {
            let Some(invite) = subject(event) else {
                continue;
            };
            let key = (*side, invite);
            assert!(!ended.contains(&key), "after the end of {key:?}: {event:?}");
            seen.insert(key);
            if matches!(event, Event::Ended { .. }) {
                ended.insert(key);
            }
        }
        for key in &seen {
            assert!(ended.contains(key), "{key:?} never ended\n{}", self.story());
        }
    }
}

fn subject(event: &Event) -> Option<InviteId> {
    match event {
        Event::IncomingInvite(incoming) => Some(incoming.invite),
        Event::Progress { invite, .. }
        | Event::Accepted { invite, .. }
        | Event::Established { invite, .. }
        | Event::Offer { invite, .. }
        | Event::OfferRequested { invite }
        | Event::Answer { invite, .. }
        | Event::OfferFailed { invite, .. }
        | Event::Refreshed { invite }
        | Event::Info { invite, .. }
        | Event::ReferAnswered { invite, .. }
        | Event::ReferNotified { invite, .. }
        | Event::Refer { invite, .. }
        | Event::Ended { invite, .. } => Some(*invite),
        Event::Registration { .. } | Event::Trace(_) | Event::Dropped { .. } => None,
    }
}
