//! Calls that a carrier brings by WebSocket.

use call::id::CallId;
use wire::twilio::Dialect;

use super::{BeginStreamError, Engine, PlaceCall, PlaceCallError};
use crate::calls::placing::{Dialling, Promise};
use crate::dispatch::{Gate, OutgoingRefused};
use crate::leg::carrier::{CarrierControl, CarrierProgress};
use crate::stream_socket::StreamSocket;

/// A line that takes a carrier's calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLine {
    /// Name of the line, for [`StreamCall::line`].
    pub name: String,
    /// Owner.
    pub tenant: call::TenantId,
    /// Agent that answers.
    pub agent: String,
    /// No operator stopped that agent.
    pub open: bool,
}

/// A call whose stream was accepted and checked.
pub struct StreamCall {
    /// Name of the line.
    pub line: String,
    /// Caller's number; of a call that we placed, the number shown.
    pub from: String,
    /// Called number.
    pub to: String,
    /// The call came to us.
    pub inbound: bool,
    /// How the carrier is asked for things; `None` where it cannot be.
    pub control: Option<CarrierControl>,
    /// A bridge brings it that hangs up when it is told `stop`.
    pub bridge: bool,
    /// The carrier's name of the call, for the record.
    pub carrier_call: String,
}

impl Engine {
    /// The line that takes a carrier's call: by its name when one is asked for, else by the called number, else the one line of
    /// the process that names no number and no other carrier.
    pub fn stream_line(
        &self,
        dialect: Dialect,
        name: Option<&str>,
        called: &str,
    ) -> Option<StreamLine> {
        let dispatcher = self.inner.dispatcher();
        let line = dispatcher.stream_line(dialect, name, called)?;
        Some(StreamLine {
            name: line.config.name.clone(),
            tenant: line.config.tenant.clone(),
            agent: line.config.agent.clone(),
            open: dispatcher.gate(&line.config.agent) != Gate::Closed,
        })
    }

    /// Begins a call that a carrier is asked to place by the line of this name: its record exists, its checks run, and it waits for
    /// the stream that the carrier opens when the other side answers.
    ///
    /// # Errors
    /// [`PlaceCallError`].
    pub async fn expect_stream(
        &self,
        dialect: Dialect,
        from: &str,
        request: PlaceCall,
    ) -> Result<(Promise, CarrierProgress), PlaceCallError> {
        let admitted = self.inner.dispatcher().admit_outgoing(&request.line);
        let (line, admitted) = admitted.map_err(PlaceCallError::from)?;
        let dialling = Dialling {
            to: String::new(),
            shown: request.to,
            ring_ms: request.ring_ms,
            placement: request.placement,
            backups: std::collections::VecDeque::new(),
        };
        let calls = &self.inner.calls;
        let from = from.to_owned();
        Ok(calls
            .expect_stream(line, admitted, dialect, from, dialling)
            .await)
    }

    /// Begins the call of a stream. The socket is closed when the call cannot be taken.
    ///
    /// # Errors
    /// [`BeginStreamError`].
    pub async fn begin_stream(
        &self,
        socket: StreamSocket,
        call: StreamCall,
    ) -> Result<CallId, BeginStreamError> {
        let admitted = self.inner.dispatcher().admit_outgoing(&call.line);
        match admitted {
            Ok((line, admitted)) => Ok(self.inner.calls.begin_stream(line, admitted, socket, call)),
            Err(refused) => {
                socket.refuse().await;
                Err(match refused {
                    OutgoingRefused::UnknownLine | OutgoingRefused::NoAgent => {
                        BeginStreamError::UnknownLine
                    }
                    OutgoingRefused::Busy => BeginStreamError::Busy,
                })
            }
        }
    }
}
