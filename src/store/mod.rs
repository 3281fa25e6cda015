//! What survives a restart: MTA-STS policies, in one SQLite file.
//!
//! A file that cannot be read is an error and is kept for inspection; it never means "no policies".

use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::mtasts::PolicyId;
use crate::name::Domain;

/// A policy as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPolicy {
    /// Whose.
    pub domain: Domain,
    /// The announced id it was fetched under.
    pub id: PolicyId,
    /// The policy file as fetched.
    pub text: String,
    /// When the fetch succeeded: its life is counted from here.
    pub fetched: Timestamp,
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
#[error("the store at {path}: {what}", path = path.display())]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What was expected, what was seen, what to do.
    pub what: String,
}

/// Durable memory. Calls block; callers in async code move them off the runtime.
pub trait Store: Send + Sync {
    /// All policies.
    ///
    /// # Errors
    /// When they cannot be read.
    fn policies(&self) -> Result<Vec<StoredPolicy>, StoreError>;
    /// Inserts or replaces the policy of a domain.
    ///
    /// # Errors
    /// When it cannot be written; what was there stays.
    fn save(&self, policy: &StoredPolicy) -> Result<(), StoreError>;
    /// Forgets the policy of a domain.
    ///
    /// # Errors
    /// When it cannot be written; what was there stays.
    fn remove(&self, domain: &Domain) -> Result<(), StoreError>;
}
