//! What memory had no room for is found again in the store, or among what the store has not taken yet, before its domain
//! counts as one without a policy.
#![expect(clippy::disallowed_methods, reason = "IO: the store blocks")]

use std::sync::Arc;

use super::discovery::Cache;
use crate::dns::Failure;
use crate::name::Domain;
use crate::store::{Kind, Query, StoreError, StoredPolicy};

impl Cache {
    /// Reads what the store holds of a domain, if it may hold more than memory does. Does not block.
    pub(super) async fn recall_aside(self: &Arc<Self>, domain: &Domain) -> Result<(), Failure> {
        if !self.lock().shelf.must_recall(domain) {
            return Ok(());
        }
        let (cache, name) = (Arc::clone(self), domain.clone());
        let recalled = tokio::task::spawn_blocking(move || cache.recall(&name)).await;
        match recalled {
            Ok(recalled) => recalled.map_err(|error| Failure::Unreachable(error.to_string())),
            Err(broken) => Err(Failure::Unreachable(format!("the store: {broken}"))),
        }
    }

    /// The same. Blocks.
    pub(super) fn recall(&self, domain: &Domain) -> Result<(), StoreError> {
        if !self.lock().shelf.must_recall(domain) {
            return Ok(());
        }
        let unwritten = self.lock().unwritten.get(domain).cloned();
        let stored = match unwritten {
            Some(policy) => Some(policy),
            None => self.read(domain)?,
        };
        let is_lost = super::lost::noticed(&*self.store, domain)?.is_some();
        let now = self.now();
        let ((), batch) = self.change(&mut self.lock(), domain, now, |entry| {
            entry.recall(stored, now);
            if is_lost {
                entry.lose(now);
            }
        });
        self.let_go(batch);
        Ok(())
    }

    fn read(&self, domain: &Domain) -> Result<Option<StoredPolicy>, StoreError> {
        let found = self
            .store
            .find(Kind::Policy, Query::Key(&domain.to_string()), 1)?;
        let Some(row) = found.first() else {
            return Ok(None);
        };
        StoredPolicy::read(row).map_err(|error| self.store.unreadable(row, &error))
    }
}
