//! Notices that a store has gone and that it is back, whoever has asked: told once each time in the log, and at any time
//! to `/readyz` and the metrics.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{error, info};

use super::{Batch, Count, Kind, Query, Revision, Row, Store, StoreError, StoreFault};
use crate::clock::Timestamp;

/// A store with an eye on it.
pub struct Watched {
    store: Arc<dyn Store>,
    reading: Mutex<Option<String>>,
    writing: Mutex<Option<String>>,
}

impl Watched {
    /// Watches from now on.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            reading: Mutex::new(None),
            writing: Mutex::new(None),
        }
    }

    fn read<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.note(&self.reading, "read", result)
    }

    fn written<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.note(&self.writing, "written", result)
    }

    fn note<T>(
        &self,
        failing: &Mutex<Option<String>>,
        how: &'static str,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut failing = failing.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            Ok(_) => {
                if failing.take().is_some() {
                    info!(store = self.place(), "the store can be {how} again");
                }
            }
            // One row, which is told by whoever has asked for it.
            Err(error) if matches!(error.fault, StoreFault::Row { .. }) => {}
            Err(error) => {
                if failing.replace(error.to_string()).is_none() {
                    error!(%error, "the store cannot be {how}; decisions go on with what is in memory");
                }
            }
        }
        result
    }
}

impl Store for Watched {
    fn place(&self) -> String {
        self.store.place()
    }

    fn is_durable(&self) -> bool {
        self.store.is_durable()
    }

    fn trouble(&self) -> Option<String> {
        let failing = |what: &Mutex<Option<String>>| {
            what.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        failing(&self.writing)
            .or_else(|| failing(&self.reading))
            .or_else(|| self.store.trouble())
    }

    fn changes(
        &self,
        kind: Kind,
        since: Revision,
        limit: usize,
    ) -> Result<Vec<(Revision, Row)>, StoreError> {
        self.read(self.store.changes(kind, since, limit))
    }

    fn find(&self, kind: Kind, query: Query<'_>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.read(self.store.find(kind, query, limit))
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.written(self.store.write(batch))
    }

    fn counts(&self, days: RangeInclusive<u32>) -> Result<Vec<Count>, StoreError> {
        self.read(self.store.counts(days))
    }

    fn prune(&self, kind: Kind, keep: usize, newer_than: Timestamp) -> Result<usize, StoreError> {
        self.written(self.store.prune(kind, keep, newer_than))
    }

    fn prune_counts(&self, before: u32) -> Result<usize, StoreError> {
        self.written(self.store.prune_counts(before))
    }

    fn prune_forgotten(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.written(self.store.prune_forgotten(before))
    }
}

#[cfg(test)]
mod tests {
    use super::super::broken::Broken;
    use super::*;

    #[test]
    fn a_store_that_goes_and_comes_back_is_noticed_by_whoever_asks() {
        let broken = Arc::new(Broken::default());
        let store = Watched::new(broken.clone());
        let (read, write) = (
            || store.changes(Kind::Pin, Revision::START, 1).is_ok(),
            || store.write(&Batch::default()).is_ok(),
        );
        assert!(read() && write());
        assert_eq!(store.trouble(), None);
        broken.refuse_writes();
        assert!(read() && !write() && read());
        assert!(store.trouble().is_some(), "reading does not mend writing");
        broken.refuse_reads();
        assert!(!read() && !write());
        broken.mend();
        assert!(store.trouble().is_some(), "nobody has asked since");
        assert!(read() && store.trouble().is_some());
        assert!(write());
        assert_eq!(store.trouble(), None);
    }
}
