//! The SIP sockets: bound once, all of them or none.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sip::{Listener, ListenerId, Protocol};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Addresses;
use super::error::StartError;
use crate::config::SipConfig;
use crate::leg::media::route_to;
use crate::limits::SIP_UDP_BUFFER_BYTES;
use crate::sip_socket::{StreamEvent, UdpListener, accept};

/// The bound sockets.
pub(super) struct Sockets {
    pub(super) udp: Vec<UdpListener>,
    streams: Vec<(ListenerId, TcpListener)>,
    pub(super) listeners: Vec<Listener>,
    pub(super) addresses: Addresses,
}

impl Sockets {
    pub(super) async fn bind(config: &SipConfig) -> Result<Self, StartError> {
        let mut sockets = Self {
            udp: Vec::new(),
            streams: Vec::new(),
            listeners: Vec::new(),
            addresses: Addresses::default(),
        };
        if let Some(address) = config.udp {
            let socket = UdpSocket::bind(address)
                .await
                .map_err(|source| bind_error("udp", address, source))?;
            let bound = socket
                .local_addr()
                .map_err(|source| bind_error("udp", address, source))?;
            // The kernel may grant less; what it grants is enough to begin with.
            let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(SIP_UDP_BUFFER_BYTES);
            let id = sockets.listener(config, Protocol::Udp, bound);
            sockets.udp.push(UdpListener { id, socket });
            sockets.addresses.udp = Some(bound);
        }
        if let Some(address) = config.tcp {
            sockets.addresses.tcp =
                Some(sockets.bind_stream(config, Protocol::Tcp, address).await?);
        }
        if config.needs_identity() {
            return Err(StartError::Tls {
                cause: "the TLS listener has no certificate".to_owned(),
            });
        }
        if let Some(address) = config.tls_bind {
            sockets.addresses.tls =
                Some(sockets.bind_stream(config, Protocol::Tls, address).await?);
        }
        if let Some(address) = config.ws {
            sockets.addresses.ws = Some(sockets.bind_stream(config, Protocol::Ws, address).await?);
        }
        if let Some(address) = config.wss {
            sockets.addresses.wss =
                Some(sockets.bind_stream(config, Protocol::Wss, address).await?);
        }
        if sockets.listeners.is_empty() {
            return Err(StartError::NoListener);
        }
        Ok(sockets)
    }

    async fn bind_stream(
        &mut self,
        config: &SipConfig,
        protocol: Protocol,
        address: SocketAddr,
    ) -> Result<SocketAddr, StartError> {
        let name = crate::trace::protocol(protocol);
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| bind_error(name, address, source))?;
        let bound = listener
            .local_addr()
            .map_err(|source| bind_error(name, address, source))?;
        let id = self.listener(config, protocol, bound);
        self.streams.push((id, listener));
        Ok(bound)
    }

    fn listener(
        &mut self,
        config: &SipConfig,
        protocol: Protocol,
        bound: SocketAddr,
    ) -> ListenerId {
        let id = ListenerId(u32::try_from(self.listeners.len()).expect("five listeners at most"));
        let advertised = match &config.advertised_host {
            Some(host) => Some((host.clone(), bound.port())),
            None if bound.ip().is_unspecified() => {
                Some((own_address(bound).to_string(), bound.port()))
            }
            None => None,
        };
        self.listeners.push(Listener {
            id,
            protocol,
            bound,
            advertised,
            is_guess: config.advertised_host.is_none(),
        });
        id
    }

    /// Starts the acceptors of the stream listeners.
    pub(super) fn accept(&mut self, events: &mpsc::Sender<StreamEvent>) -> Vec<JoinHandle<()>> {
        let streams = std::mem::take(&mut self.streams);
        streams
            .into_iter()
            .map(|(id, listener)| tokio::spawn(accept(listener, id, events.clone())))
            .collect()
    }
}

/// Our address towards the world, for a socket that is bound to all of them: the way to a documentation address, which is
/// the way of the default route. Nothing is sent.
fn own_address(bound: SocketAddr) -> IpAddr {
    let far: SocketAddr = if bound.is_ipv4() {
        SocketAddr::from(([192, 0, 2, 1], 9))
    } else {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9))
    };
    route_to(far).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn bind_error(protocol: &'static str, address: SocketAddr, source: io::Error) -> StartError {
    StartError::Bind {
        protocol,
        address,
        source,
    }
}
