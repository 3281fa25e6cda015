//! A store that forgets at exit.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Store, StoreError, StoredPolicy};
use crate::name::Domain;

/// Policies for as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    policies: Mutex<HashMap<Domain, StoredPolicy>>,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, HashMap<Domain, StoredPolicy>> {
        // Each change is one insert or remove, so a panic elsewhere leaves nothing half done.
        self.policies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn policies(&self) -> Result<Vec<StoredPolicy>, StoreError> {
        Ok(self.lock().values().cloned().collect())
    }

    fn save(&self, policy: &StoredPolicy) -> Result<(), StoreError> {
        self.lock().insert(policy.domain.clone(), policy.clone());
        Ok(())
    }

    fn remove(&self, domain: &Domain) -> Result<(), StoreError> {
        self.lock().remove(domain);
        Ok(())
    }
}
