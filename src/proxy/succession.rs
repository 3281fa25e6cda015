//! Another process takes the place of this one: it gets the listening sockets and the store's file first, and when it
//! accepts, this one does not any more.

use std::os::fd::OwnedFd;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::{Handed, Proxy, Stage, StartError};
use crate::dns::health::state::Health;
use crate::store::owned;

/// What decides does not work in a process that is to take the place of one that runs.
#[derive(Debug, thiserror::Error)]
#[error(
    "the process that runs is not taken over from: DNSSEC validation does not work in this one ({0}), expected that it does; \
     see docs/operations.md, \"When validation stops working\""
)]
pub struct Unfit(String);

impl Proxy {
    /// The listening sockets, for a successor; the store's file is let go of, this process writes on as a command does.
    #[must_use]
    pub fn offer(&self) -> Vec<(Handed, OwnedFd)> {
        if let Some(owned) = lock(&self.owned).as_mut() {
            owned.release();
        }
        let listening = lock(&self.listening);
        let copies = listening.iter().filter_map(|(what, socket)| {
            let copy = socket.try_clone().ok()?;
            Some((what.clone(), copy.into()))
        });
        copies.collect()
    }

    /// The successor has not started: the store's file is ours again. Blocks for a moment where that one is still ending.
    pub fn stay(&self) {
        let place = self.generations.borrow().config.store.place.clone();
        // One that was killed is gone before the kernel has closed all of its files.
        match owned::take_over(&place, ITS_END) {
            Ok(file) => *lock(&self.owned) = Some(file),
            // Commands write beside a proxy, and so does this one.
            Err(error) => warn!(%error, "another process owns the store now"),
        }
    }

    /// Accepts nothing any more, and lets sessions go on as if nothing had happened, for at most
    /// [`Config::drain_timeout`](crate::config::Config); then they are drained as at any end.
    pub async fn leave(self) {
        self.close();
        self.stage.send_replace(Stage::Leaving);
        let (shell, patience) = {
            let generation = self.generations.borrow();
            let shell = std::sync::Arc::clone(&generation.shell);
            (shell, generation.config.drain_timeout)
        };
        // Then they are told.
        let _ = tokio::time::timeout(patience, shell.room.emptied()).await;
        self.shutdown().await;
    }

    /// Nothing is kept open that nobody accepts from.
    pub(super) fn close(&self) {
        lock(&self.listening).clear();
    }
}

/// Can decisions be made? Asked before the first connection is accepted.
pub(super) async fn is_fit(engine: &super::engine::Engine) -> Result<(), StartError> {
    match engine.monitor.probe().await {
        Health::Working | Health::Off | Health::Unknown => Ok(()),
        Health::Broken(broken) => Err(Unfit(broken.why.to_string()).into()),
    }
}

/// From the end of its connection to that of the process.
const ITS_END: Duration = Duration::from_secs(2);

fn lock<T>(of: &std::sync::Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
