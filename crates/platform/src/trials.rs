//! The way to what is tried outside of calls: the server has the directory, the API only asks.

use crate::problem::Problem;
use axum::http::StatusCode;
use engine::directory::DirectoryHandle;
use std::fmt;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Trials at the same time, all callers together.
const TRIALS_MAX: usize = 8;
static RUNNING: Semaphore = Semaphore::const_new(TRIALS_MAX);

/// Agents and engines that can be tried.
#[derive(Clone)]
pub struct Trials(DirectoryHandle);

impl Trials {
    /// Wraps the directory.
    pub fn new(directory: DirectoryHandle) -> Self {
        Self(directory)
    }
}

impl fmt::Debug for Trials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trials")
    }
}

/// The directory and the right to try something now.
///
/// # Errors
/// 409 where this process has no directory; 429 where too many trials run.
pub(crate) fn begin(
    trials: Option<&Trials>,
) -> Result<(&DirectoryHandle, SemaphorePermit<'static>), Problem> {
    let trials = trials.ok_or_else(|| {
        Problem::conflict("api_trial_failed").with("cause", "this process has no agents")
    })?;
    let permit = RUNNING.try_acquire().map_err(|_| {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "api_trials_busy").retry_after(2)
    })?;
    Ok((&trials.0, permit))
}
