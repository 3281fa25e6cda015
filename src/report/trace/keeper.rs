//! Which traces are kept, and how they come into the store: some at a time, never waited for by a session.
//!
//! A process that is killed loses the traces of the last second. When the store fails or is slower than sessions are,
//! traces are dropped and that is said: mail does not wait for them.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: the store blocks, and is written to from time to time"
)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::warn;

use super::Trace;
use crate::clock::Clock;
use crate::store::{Batch, Kind, Row, Store};

/// What is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceConfig {
    /// Which.
    pub keep: Keep,
    /// So many at most.
    pub rows: usize,
    /// So many days at most.
    pub days: u32,
}

/// Which traces are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Those of refusals.
    #[default]
    Refusals,
    /// All.
    All,
    /// None.
    Off,
}

/// Keeps traces.
pub struct Keeper {
    config: TraceConfig,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    pending: Mutex<Pending>,
    wake: Notify,
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Pending {
    rows: Vec<Row>,
    dropped: usize,
}

impl Keeper {
    /// Over a store.
    #[must_use]
    pub fn new(config: TraceConfig, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            config,
            store,
            clock,
            pending: Mutex::default(),
            wake: Notify::new(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Is anything kept at all? If not, nothing has to be noted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.config.keep != Keep::Off
    }

    /// Which are kept.
    #[must_use]
    pub const fn config(&self) -> TraceConfig {
        self.config
    }

    /// Is a decision with this verdict kept?
    #[must_use]
    pub fn keeps(&self, verdict: &str) -> bool {
        match self.config.keep {
            Keep::All => true,
            Keep::Refusals => verdict == "refuse",
            Keep::Off => false,
        }
    }

    /// Takes a trace. It is in the store within about a second.
    pub fn take(&self, mut trace: Trace) {
        trace.fit();
        let row = match trace.row() {
            Ok(row) => row,
            Err(error) => {
                warn!(%error, "a trace cannot be written down");
                return;
            }
        };
        let mut pending = self.lock();
        if pending.rows.len() < MOST_PENDING {
            pending.rows.push(row);
        } else {
            pending.dropped += 1;
        }
        drop(pending);
        self.wake.notify_one();
    }

    /// Writes what is there from time to time, and deletes what is old, without end.
    pub async fn keep_writing(&self) {
        let mut until_pruned = 0;
        loop {
            if until_pruned == 0 {
                self.prune().await;
                until_pruned = WRITES_BETWEEN_PRUNINGS;
            }
            self.wake.notified().await;
            tokio::time::sleep(GATHERED_FOR).await;
            self.flush().await;
            until_pruned -= 1;
        }
    }

    /// Writes what is there now.
    pub async fn flush(&self) {
        // Whoever flushes also waits for what another is writing.
        let _writing = self.writing.lock().await;
        let Pending { rows, dropped } = std::mem::take(&mut *self.lock());
        if dropped > 0 {
            warn!(
                dropped,
                "there are more decisions than can be written down: their traces are lost"
            );
        }
        if rows.is_empty() {
            return;
        }
        let (store, count) = (Arc::clone(&self.store), rows.len());
        let batch = Batch {
            rows,
            ..Batch::default()
        };
        let written = tokio::task::spawn_blocking(move || store.write(&batch)).await;
        if let Ok(Err(error)) = written {
            warn!(%error, traces = count, "traces cannot be written down and are lost");
        }
    }

    async fn prune(&self) {
        let store = Arc::clone(&self.store);
        let life = Duration::from_secs(u64::from(self.config.days) * 24 * 3600);
        let oldest = crate::clock::Timestamp::from_unix(
            self.clock.wall().unix().saturating_sub(life.as_secs()),
        );
        let rows = self.config.rows;
        let pruned =
            tokio::task::spawn_blocking(move || store.prune(Kind::Trace, rows, oldest)).await;
        if let Ok(Err(error)) = pruned {
            warn!(%error, "old traces cannot be deleted");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        // A push that panicked has pushed nothing.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two writes.
const GATHERED_FOR: Duration = Duration::from_secs(1);

/// How many traces may wait for them.
const MOST_PENDING: usize = 1024;

const WRITES_BETWEEN_PRUNINGS: u32 = 60;
