//! What a call writes down of its dealings: tool runs, money, and the questions that the store answers before the call.

use std::pin::Pin;
use std::sync::Arc;

use agent::{CallBrain, Round};
use call::{EndReason, ToolCallId};

use crate::calls::{Calls, Identity};
use crate::config::OfficeConfig;

/// A row on its way; true once it is committed.
pub(crate) type Row = Pin<Box<dyn Future<Output = bool> + Send>>;

/// How a run ended.
pub(crate) struct RunEnd<'a> {
    pub(crate) id: &'a ToolCallId,
    pub(crate) ok: bool,
    pub(crate) status: Option<u16>,
    pub(crate) output: &'a str,
    pub(crate) cost_micro: i64,
}

/// The books of one call.
pub(crate) struct Books {}

impl Books {
    pub(crate) fn new(_calls: &Arc<Calls>, _identity: &Identity, _config: &OfficeConfig) -> Self {
        Self {}
    }

    /// Writes that a run begins.
    pub(crate) fn begin_run(
        &mut self,
        _id: &ToolCallId,
        _name: &str,
        _arguments: &str,
        _round: &Round,
    ) -> Row {
        Box::pin(std::future::ready(true))
    }

    /// Writes how it ended.
    pub(crate) fn end_run(&mut self, _end: &RunEnd<'_>) {}

    /// Writes a tool without a request.
    pub(crate) fn note_builtin(&mut self, _id: &ToolCallId, _name: &str, _arguments: &str) {}

    /// Ready once everything handed over is written.
    pub(crate) async fn flush(&mut self) {}

    /// Whether the money of the call's owner is spent.
    pub(crate) fn is_spent(&self, _brain: &CallBrain) -> bool {
        false
    }
}

/// Why the store says that a call is not served.
pub(crate) async fn refusal(
    _calls: &Arc<Calls>,
    _identity: &Identity,
    _office: &OfficeConfig,
    _brain: &CallBrain,
) -> Option<EndReason> {
    None
}
