//! What survives a restart: MTA-STS policies, in one SQLite file.
//!
//! [`sqlite`] is that file; [`memory`] keeps nothing and serves where none is configured. A file that cannot be read is
//! an error ([`StoreError`]) and is left as it is for inspection; it never means "no policies".

mod file;
pub mod memory;
pub mod sqlite;

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::mtasts::{Policy, PolicyId};
use crate::name::Domain;

/// A policy as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPolicy {
    /// Whose.
    pub domain: Domain,
    /// The announced id it was fetched under.
    pub id: PolicyId,
    /// The policy; its text is what is written.
    pub policy: Arc<Policy>,
    /// When the fetch succeeded: its life is counted from here.
    pub fetched: Timestamp,
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
#[error("the store at {path}: {fault}", path = path.display())]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What was expected, what was seen, what to do.
    pub fault: StoreFault,
}

/// How a store can fail.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The folder is missing.
    #[error(
        "its folder {folder} must exist: create it and give it to the user that danelaw runs as",
        folder = folder.display()
    )]
    NoFolder {
        /// Where the file would stand.
        folder: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot {doing}: {error}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
    /// A folder, a symbolic link, a device.
    #[error("expected a regular file, seen something else (for a symbolic link name its target)")]
    NotAFile,
    /// The file is another user's.
    #[error("it belongs to uid {owner}, danelaw runs as uid {ours}: chown it, or run as its owner")]
    Owner {
        /// Of the file.
        owner: u32,
        /// Of the process.
        ours: u32,
    },
    /// Others could have written policies into it.
    #[error(
        "other users may write to it (mode {mode:04o}): chmod it to 0600 if you trust what it holds, {AFRESH}"
    )]
    Writable {
        /// Its permissions.
        mode: u32,
    },
    /// The file is gone, its write-ahead log is not: SQLite would replay the old log into a new file.
    #[error("it is missing, but its write-ahead log {log} stands there: restore both, or move that away too", log = log.display())]
    OrphanedLog {
        /// The log.
        log: PathBuf,
    },
    /// Zero octets: danelaw never leaves such a file.
    #[error("it is empty, so something has truncated it: restore a backup, {AFRESH}")]
    Empty,
    /// Not made by danelaw.
    #[error("expected a danelaw store, seen {seen}: name another path, {AFRESH}")]
    Foreign {
        /// What it is instead.
        seen: &'static str,
    },
    /// Made by a newer release.
    #[error(
        "its schema is version {seen}, this release knows up to {known}: run the newer release again, {AFRESH}"
    )]
    Newer {
        /// In the file.
        seen: i64,
        /// By this release.
        known: i64,
    },
    /// SQLite finds it damaged.
    #[error("it is damaged ({what}): restore a backup, {AFRESH}")]
    Corrupt {
        /// What SQLite says.
        what: String,
    },
    /// One row is not what was written.
    #[error(
        "the policy of {domain:?} is damaged ({what}): restore a backup, delete that row, {AFRESH}"
    )]
    Row {
        /// The key as it stands there.
        domain: String,
        /// What is wrong with it.
        what: String,
    },
    /// The file system cannot do what a write-ahead log needs.
    #[error("it gets no write-ahead log (journal mode {mode}): put it on a local file system")]
    NoLog {
        /// What SQLite uses instead.
        mode: String,
    },
    /// SQLite fails otherwise.
    #[error("cannot {doing}: {error}")]
    Sqlite {
        /// What was tried.
        doing: &'static str,
        /// What SQLite says.
        error: rusqlite::Error,
    },
}

const AFRESH: &str = "or move it away with its -wal file to start without policies, \
    which makes every domain's next contact a first one";

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
