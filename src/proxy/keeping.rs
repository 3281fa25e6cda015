//! Rows on their way to the store: many at a time, on a thread of their own, never in a session's way.
//!
//! A process that is killed loses the last second. While the store fails, rows wait within a bound; what is lost beyond
//! it is remembered in memory all the same, and written with the next change of the same row.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: a thread that writes, a task that asks from time to time"
)]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tracing::{error, warn};

use super::recall::Recall;
use crate::clock::Clock;
use crate::store::{Batch, Kind, Revision, Row, Store, StoreError};

/// Takes rows without waiting.
#[derive(Clone)]
pub struct Keeping {
    rows: SyncSender<Row>,
}

impl Keeping {
    /// Writes to this store, until the last copy is gone.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let (rows, taken) = sync_channel(MOST);
        std::thread::spawn(move || write(&*store, &taken));
        Self { rows }
    }

    /// A row to be written soon.
    pub fn keep(&self, row: Row) {
        if self.rows.try_send(row).is_err() {
            warn!(
                "the store does not keep up: what is remembered of a host or a session is not written"
            );
        }
    }
}

fn write(store: &dyn Store, taken: &Receiver<Row>) {
    while let Ok(first) = taken.recv() {
        let mut batch = Batch::default();
        batch.rows.push(first);
        let due = Instant::now() + GATHER;
        while batch.rows.len() < MOST {
            match taken.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(row) => batch.rows.push(row),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Err(error) = store.write(&batch) {
            error!(%error, rows = batch.rows.len(), "what sessions have left behind is not written");
        }
    }
}

/// Loads what was kept. Blocks. Up to which change all is known.
///
/// # Errors
/// When it cannot be read.
pub fn load(store: &dyn Store, recall: &Recall, clock: &dyn Clock) -> Result<Heard, StoreError> {
    let mut heard = Heard::default();
    heard.hear(store, recall, clock)?;
    Ok(heard)
}

/// Up to which change all is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    pins: Revision,
    continuity: Revision,
}

impl Heard {
    fn hear(
        &mut self,
        store: &dyn Store,
        recall: &Recall,
        clock: &dyn Clock,
    ) -> Result<(), StoreError> {
        for (kind, heard) in [
            (Kind::Pin, &mut self.pins),
            (Kind::Continuity, &mut self.continuity),
        ] {
            loop {
                let changes = store.changes(kind, *heard, PIECE)?;
                let is_last = changes.len() < PIECE;
                for (revision, row) in changes {
                    *heard = revision;
                    recall.heard(&row, clock.wall(), clock.instant());
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Hears of what commands and other processes write, without end.
    pub async fn follow(
        mut self,
        store: Arc<dyn Store>,
        recall: Arc<Recall>,
        clock: Arc<dyn Clock>,
    ) -> Infallible {
        loop {
            tokio::time::sleep(PAUSE).await;
            let (store, recall, clock) =
                (Arc::clone(&store), Arc::clone(&recall), Arc::clone(&clock));
            let asked = tokio::task::spawn_blocking(move || {
                let heard = self.hear(&*store, &recall, &*clock);
                (self, heard)
            });
            match asked.await {
                Ok((known, heard)) => {
                    self = known;
                    if let Err(error) = heard {
                        warn!(%error, "what commands have released or revoked is not heard of");
                    }
                }
                Err(broken) => error!(%broken, "a change in the store was not understood"),
            }
        }
    }
}

/// How long the first row waits for others.
const GATHER: Duration = Duration::from_secs(1);

/// Rows that may wait.
const MOST: usize = 8192;

/// Rows at a time.
const PIECE: usize = 1000;

/// Between questions.
const PAUSE: Duration = Duration::from_secs(2);
