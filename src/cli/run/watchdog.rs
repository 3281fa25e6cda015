//! Tells the service manager that the process is alive, for as long as it is: only when every accept loop has answered.
#![expect(clippy::disallowed_methods, reason = "IO: goes by time")]

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::proxy::Pulse;
use crate::supervisor::{Supervisor, Word};

/// Speaks twice in the time after which the service manager gives the process up. While an accept loop does not answer
/// nothing is said, and the process is ended from outside.
pub(super) async fn keep(supervisor: Arc<Supervisor>, pulse: Pulse) -> Infallible {
    let Some(limit) = supervisor.watchdog() else {
        return pending().await;
    };
    let patience = limit / 4;
    loop {
        if is_alive(&pulse, patience).await {
            supervisor.tell(&[Word::Alive]);
        }
        tokio::time::sleep(patience).await;
    }
}

async fn is_alive(pulse: &Pulse, patience: Duration) -> bool {
    match tokio::time::timeout(patience, pulse.feel()).await {
        Ok(Ok(())) => return true,
        Ok(Err(stopped)) => warn!(%stopped, "the watchdog is told nothing"),
        Err(_) => warn!("the watchdog is told nothing: an accept loop does not answer"),
    }
    false
}
