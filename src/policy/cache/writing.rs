//! What is learnt is written down, one batch at a time and as it stands when its turn has come: two that were begun at once
//! may come in either order, and the later word must not be undone by the earlier one.
#![expect(clippy::disallowed_methods, reason = "IO: the store blocks")]

use std::sync::{Arc, PoisonError};

use super::discovery::{Cache, Memory};
use crate::clock::Timestamp;
use crate::name::Domain;
use crate::store::{Batch, Kind, Row, StoreError, StoreFault};

impl Cache {
    /// Writes what still holds of a batch. Does not block.
    pub(super) async fn write(self: &Arc<Self>, batch: Batch) -> Result<(), StoreError> {
        self.aside(move |cache| cache.write_now(batch)).await
    }

    /// Writes what memory does not know yet. Does not block.
    pub(super) async fn write_first(self: &Arc<Self>, batch: Batch) -> Result<(), StoreError> {
        self.aside(move |cache| cache.in_turn(&batch)).await
    }

    /// As [`Self::write`], and blocks.
    pub(super) fn write_now(&self, batch: Batch) -> Result<(), StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = self.as_it_stands(batch);
        if batch == Batch::default() {
            return Ok(());
        }
        self.put(&batch)
    }

    fn in_turn(&self, batch: &Batch) -> Result<(), StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(batch)
    }

    fn put(&self, batch: &Batch) -> Result<(), StoreError> {
        self.store.write(batch)?;
        let mut memory = self.lock();
        if memory.unwritten.is_empty() {
            return Ok(());
        }
        let written = batch.rows.iter().map(|row| (row.kind, &row.key));
        let gone = batch.gone.iter().map(|(kind, key)| (*kind, key));
        for (kind, key) in written.chain(gone) {
            if let Some(domain) = policy_of(kind, key) {
                memory.unwritten.remove(&domain);
            }
        }
        Ok(())
    }

    /// A policy that has come meanwhile takes the place of what was to be written, and what is held is not deleted:
    /// another discovery may have learnt it after it was crowded out, and written it before this.
    fn as_it_stands(&self, batch: Batch) -> Batch {
        let memory = self.lock();
        let held = |kind: Kind, key: &String| {
            let domain = policy_of(kind, key)?;
            memory.shelf.peek(&domain).to_keep(&domain)
        };
        let latest = |row: Row| held(row.kind, &row.key).map_or(row, |held| held.row());
        let is_gone = |(kind, key): &(Kind, String)| held(*kind, key).is_none();
        Batch {
            rows: batch.rows.into_iter().map(latest).collect(),
            gone: batch.gone.into_iter().filter(is_gone).collect(),
            counts: batch.counts,
        }
    }

    async fn aside(
        self: &Arc<Self>,
        write: impl FnOnce(&Self) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let (cache, place) = (Arc::clone(self), self.store.place());
        let written = tokio::task::spawn_blocking(move || write(&cache)).await;
        written.unwrap_or_else(|broken| {
            let fault = StoreFault::File {
                doing: "write to it",
                error: std::io::Error::other(broken),
            };
            Err(StoreError { place, fault })
        })
    }
}

impl Memory {
    /// Somebody else's later word is in the store: what was to be written is not to be written over it.
    pub(super) fn overtake(&mut self, domain: &Domain, at: Timestamp) {
        if let Some(policy) = self.unwritten.get(domain)
            && policy.fetched <= at
        {
            self.unwritten.remove(domain);
        }
    }
}

/// The domain of a row that is a policy's.
fn policy_of(kind: Kind, key: &str) -> Option<Domain> {
    (kind == Kind::Policy).then(|| key.parse().ok()).flatten()
}
