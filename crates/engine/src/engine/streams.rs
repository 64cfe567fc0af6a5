//! Calls that a carrier brings by WebSocket.

use call::id::CallId;
use wire::twilio::Dialect;

use super::{BeginStreamError, Engine};
use crate::dispatch::OutgoingRefused;
use crate::leg::carrier::CarrierControl;
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
        })
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
                    OutgoingRefused::UnknownLine => BeginStreamError::UnknownLine,
                    OutgoingRefused::Busy => BeginStreamError::Busy,
                })
            }
        }
    }
}
