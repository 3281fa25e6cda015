//! Another process takes the place of this one: it gets the listening sockets and the store's file first, and when it
//! accepts, this one does not any more.

use std::io;
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
    ///
    /// # Errors
    /// When one of them cannot be copied: the clients of a socket that is left out would find nobody.
    pub fn offer(&self) -> io::Result<Vec<(Handed, OwnedFd)>> {
        let listening = lock(&self.listening);
        let copies = listening
            .iter()
            .map(|(what, socket)| Ok((what.clone(), socket.try_clone()?.into())));
        let copies = copies.collect::<io::Result<_>>()?;
        if let Some(owned) = lock(&self.owned).as_mut() {
            owned.release();
        }
        Ok(copies)
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::report::log::Log;
    use crate::store::{StoreFault, owned};

    /// It hangs up before it lets go of its locks: descriptors are closed one after the other.
    #[tokio::test]
    async fn a_successor_that_is_still_ending_does_not_keep_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let text = format!(
            "[dns]\nresolvers = [\"127.0.0.1:9\"]\nprobe_good = \"\"\nprobe_bogus = []\n[store]\npath = {path:?}\n\
             [[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:0\"\n"
        );
        let config = Config::parse(&text, Path::new("danelaw.toml"))
            .unwrap()
            .config;
        let proxy = Proxy::start(&config, Arc::new(Log)).await.unwrap();
        assert_eq!(proxy.offer().unwrap().len(), 1);
        let theirs = owned::take(&config.store.place).unwrap();
        let ending = std::thread::spawn(move || drop(theirs));
        proxy.stay();
        ending.join().unwrap();
        let third = owned::take(&config.store.place).unwrap_err();
        assert!(matches!(third.fault, StoreFault::Owned { .. }), "{third}");
    }
}
