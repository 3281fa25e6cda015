//! A store in trouble, for tests of what others make of it: a disk that is full, a database that is gone.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::memory::MemoryStore;
use super::{Batch, Count, Kind, Query, Revision, Row, Store, StoreError, StoreFault};
use crate::clock::Timestamp;

/// A store in memory that fails on demand.
#[derive(Debug, Default)]
pub(crate) struct Broken {
    kept: MemoryStore,
    refuses_reads: AtomicBool,
    refuses_writes: AtomicBool,
    writes: AtomicUsize,
}

impl Broken {
    pub(crate) fn refuse_reads(&self) {
        self.refuses_reads.store(true, Ordering::SeqCst);
    }

    pub(crate) fn refuse_writes(&self) {
        self.refuses_writes.store(true, Ordering::SeqCst);
    }

    /// All is well again.
    pub(crate) fn mend(&self) {
        self.refuses_reads.store(false, Ordering::SeqCst);
        self.refuses_writes.store(false, Ordering::SeqCst);
    }

    /// How often it was written.
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    fn reading(&self) -> Result<&MemoryStore, StoreError> {
        self.unless(&self.refuses_reads)
    }

    fn writing(&self) -> Result<&MemoryStore, StoreError> {
        self.unless(&self.refuses_writes)
    }

    fn unless(&self, refuses: &AtomicBool) -> Result<&MemoryStore, StoreError> {
        if refuses.load(Ordering::SeqCst) {
            return Err(StoreError {
                place: self.place(),
                fault: StoreFault::Empty,
            });
        }
        Ok(&self.kept)
    }
}

impl Store for Broken {
    fn place(&self) -> String {
        "/full/danelaw.db".to_owned()
    }

    fn changes(
        &self,
        kind: Kind,
        since: Revision,
        limit: usize,
    ) -> Result<Vec<(Revision, Row)>, StoreError> {
        self.reading()?.changes(kind, since, limit)
    }

    fn find(&self, kind: Kind, query: Query<'_>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.reading()?.find(kind, query, limit)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let kept = self.writing()?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        kept.write(batch)
    }

    fn counts(&self, days: RangeInclusive<u32>) -> Result<Vec<Count>, StoreError> {
        self.reading()?.counts(days)
    }

    fn prune(&self, kind: Kind, keep: usize, newer_than: Timestamp) -> Result<usize, StoreError> {
        self.writing()?.prune(kind, keep, newer_than)
    }

    fn prune_counts(&self, before: u32) -> Result<usize, StoreError> {
        self.writing()?.prune_counts(before)
    }

    fn prune_forgotten(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.writing()?.prune_forgotten(before)
    }
}
