//! Calls that a carrier brings by WebSocket.

use std::sync::Arc;

use call::id::CallId;
use wire::twilio::Dialect;

use super::{BeginStreamError, Engine, PlaceCall, PlaceCallError};
use crate::calls::placing::{Dialling, Promise};
use crate::dispatch::{Admitted, Gate, Line, OutgoingRefused};
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
    /// The id that it gets; `None`: a new one.
    pub id: Option<CallId>,
}

impl Engine {
    /// The line that takes a carrier's call: by its name when one is asked for, else by the called number, else the one line of
    /// the process that names no number and no other carrier. A call that came by a tenant's own account of a carrier reaches
    /// that tenant's lines only.
    pub fn stream_line(
        &self,
        dialect: Dialect,
        tenant: Option<&call::TenantId>,
        name: Option<&str>,
        called: &str,
    ) -> Option<StreamLine> {
        let dispatcher = self.inner.dispatcher();
        let line = dispatcher.stream_line((dialect, tenant), name, called)?;
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
        self.begin_admitted(admitted, socket, call).await
    }

    /// Begins the call of a stream with an agent of the directory, whatever its lines: somebody tries it.
    ///
    /// # Errors
    /// [`BeginStreamError`].
    pub async fn begin_with_agent(
        &self,
        agent: &str,
        socket: StreamSocket,
        call: StreamCall,
    ) -> Result<CallId, BeginStreamError> {
        let dialect = socket.stream.dialect();
        let admitted = self.inner.dispatcher().admit_agent(agent, dialect);
        self.begin_admitted(admitted, socket, call).await
    }

    /// Whether a stream could begin a call with an agent of the directory now.
    ///
    /// # Errors
    /// What [`Engine::begin_with_agent`] would answer.
    pub fn may_begin_with_agent(
        &self,
        agent: &str,
        dialect: Dialect,
    ) -> Result<(), BeginStreamError> {
        let admitted = self.inner.dispatcher().admit_agent(agent, dialect);
        admitted.map(drop).map_err(BeginStreamError::from)
    }

    async fn begin_admitted(
        &self,
        admitted: Result<(Arc<Line>, Admitted), OutgoingRefused>,
        socket: StreamSocket,
        call: StreamCall,
    ) -> Result<CallId, BeginStreamError> {
        match admitted {
            Ok((line, admitted)) => Ok(self.inner.calls.begin_stream(line, admitted, socket, call)),
            Err(refused) => {
                socket.refuse().await;
                Err(refused.into())
            }
        }
    }
}
