//! How what the agents say reaches whom it is for.

use std::net::SocketAddr;
use std::time::Duration;

use sip::{Input, ListenerId, Output, Protocol};

use super::{Net, Packet, Side};

impl Net {
    pub(super) fn output(&mut self, side: Side, output: Output) {
        let tick = Duration::from_millis(5);
        match output {
            Output::SendDatagram {
                destination, data, ..
            } => self.send_datagram(side, destination, data),
            Output::SendStream { connection, data } => {
                self.note(side, &data);
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
        self.note(side, &data);
        let lost = match (&mut self.lose, self.wire.last()) {
            (Some(lose), Some((_, text))) => lose(side, text),
            (_, _) => false,
        };
        let from = side.address(Protocol::Udp);
        let Some(to) = Side::of(destination) else {
            if self.parties.contains_key(&destination) {
                let packet = |data| Packet::Abroad {
                    to: destination,
                    from,
                    data,
                };
                return self.through_the_weather(lost, data, packet);
            }
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
        let lost = lost || self.is_cut(side, to);
        self.through_the_weather(lost, data, |data| Packet::Datagram { to, from, data });
    }

    /// Loss, duplication and delay of a datagram.
    fn through_the_weather(
        &mut self,
        lost: bool,
        mut data: Vec<u8>,
        packet: impl Fn(Vec<u8>) -> Packet,
    ) {
        let copies = 1 + u64::from(self.dice.chance(self.faults.duplication));
        for left in (0..copies).rev() {
            if lost || self.dice.chance(self.faults.loss) {
                continue;
            }
            let delay = Duration::from_millis(5 + self.dice.below(self.faults.delay_ms_max + 1));
            let copy = if left == 0 {
                std::mem::take(&mut data)
            } else {
                data.clone()
            };
            self.put(delay, packet(copy));
        }
    }

    /// A party takes a datagram; what it sends meets the same weather.
    fn abroad(&mut self, at: SocketAddr, from: SocketAddr, data: &[u8]) {
        let now = self.now;
        let Some(party) = self.parties.get_mut(&at) else {
            return;
        };
        for (destination, data) in party(now, from, data) {
            if let Some(to) = Side::of(destination) {
                self.through_the_weather(false, data, |data| Packet::Datagram {
                    to,
                    from: at,
                    data,
                });
            }
        }
    }

    fn is_cut(&self, from: Side, to: Side) -> bool {
        self.cut
            .is_some_and(|(one, other)| (from, to) == (one, other) || (to, from) == (one, other))
    }

    /// Both ends of every stream between the two learn that it is gone.
    pub(crate) fn break_streams(&mut self) {
        let ends: Vec<_> = self.streams.keys().copied().collect();
        self.streams.clear();
        for (to, connection) in ends {
            self.put(Duration::from_millis(1), Packet::Closed { to, connection });
        }
    }

    pub(super) fn deliver(&mut self, packet: Packet) {
        let Some(to) = packet.side() else {
            if let Packet::Abroad { to, from, data } = packet {
                self.abroad(to, from, &data);
            }
            return;
        };
        let now = self.local(to);
        match packet {
            Packet::Abroad { .. } => {}
            Packet::Datagram { from, data, .. } => {
                self.agent(to).handle(
                    now,
                    Input::Datagram {
                        listener: ListenerId(1),
                        source: from,
                        data: &data,
                    },
                );
            }
            Packet::Accepted {
                connection,
                protocol,
                remote,
                ..
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
            }
            Packet::Connected {
                connection, local, ..
            } => {
                self.agent(to)
                    .handle(now, Input::Connected { connection, local });
            }
            Packet::ConnectFailed { connection, .. } => {
                self.agent(to)
                    .handle(now, Input::ConnectFailed { connection });
            }
            Packet::Stream {
                connection, data, ..
            } => {
                self.agent(to).handle(
                    now,
                    Input::Received {
                        connection,
                        data: &data,
                    },
                );
            }
            Packet::Closed { connection, .. } => {
                self.agent(to).handle(now, Input::Closed { connection });
            }
            Packet::Resolved { query, targets, .. } => {
                self.agent(to)
                    .handle(now, Input::Resolved { query, targets });
            }
        }
        self.drain(to);
    }
}
