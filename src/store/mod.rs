//! What survives a restart: MTA-STS policies, exceptions, pins, what hosts have been seen to do, traces and counts.
//!
//! A [`Store`] keeps [`Row`]s and [`Count`]s and knows nothing of what they mean; `policies` and the owners of the other
//! kinds do. [`sqlite`] is one file; [`memory`] keeps nothing and serves where none is configured. Whoever holds rows in
//! memory loads them with [`Store::changes`] and hears of what a command or another process has written by the same call.
//! A store that cannot be read is an error ([`StoreError`]) and is left as it is for inspection; it never means "no
//! policies".

#[cfg(test)]
pub(crate) mod broken;
mod damage;
mod file;
pub mod fleet;
pub mod follower;
pub mod memory;
pub mod owned;
pub mod peers;
pub mod pen;
pub mod policies;
pub mod postgres;
mod row;
pub mod sqlite;
#[cfg(test)]
mod tests;
pub mod upkeep;
mod waiting;
pub mod watched;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use follower::{Follower, Follows};
pub use pen::Pen;
pub use policies::StoredPolicy;
pub use row::{Batch, Count, Kind, Query, Revision, Row};
pub use waiting::Dropped;

use crate::clock::{SystemClock, Timestamp};
use crate::config::{StoreConfig, StorePlace};
use fleet::Fleet;
use memory::MemoryStore;
use postgres::PostgresStore;
use sqlite::SqliteStore;

/// The store failed.
#[derive(Debug, thiserror::Error)]
#[error("the store at {place}: {fault}")]
pub struct StoreError {
    /// The file, or the database without its password.
    pub place: String,
    /// What was expected, what was seen, what to do.
    pub fault: StoreFault,
}

impl StoreError {
    /// Where the damaged row stands among the changes, if it is one row that is damaged.
    #[must_use]
    pub const fn damaged(&self) -> Option<Revision> {
        if let StoreFault::Row { revision, .. } = &self.fault {
            *revision
        } else {
            None
        }
    }
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
    /// Another proxy works with it.
    #[error(
        "another danelaw{} works with it (it holds {lock}): stop that one; several proxies share a PostgreSQL database \
         (store.url), or have a store.path each",
        named(*owner),
        lock = lock.display()
    )]
    Owned {
        /// Its process, where that is known.
        owner: Option<u32>,
        /// What it holds.
        lock: PathBuf,
    },
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
        "its row {key:?} of kind {kind} is damaged ({what}): restore a backup, delete that row, {AFRESH}"
    )]
    Row {
        /// What it is about.
        kind: Kind,
        /// The key as it stands there.
        key: String,
        /// Its place among the changes, as it stands there.
        revision: Option<Revision>,
        /// What is wrong with it.
        what: String,
    },
    /// The file system cannot do what a write-ahead log needs.
    #[error("it gets no write-ahead log (journal mode {mode}): put it on a local file system")]
    NoLog {
        /// What SQLite uses instead.
        mode: String,
    },
    /// The database does not answer, or says no.
    #[error("the database cannot be used: {what}")]
    Database {
        /// What it says, or what happened instead.
        what: String,
    },
    /// The same, and there is nothing else to go by.
    #[error(
        "{what}; there is no snapshot of it to go by either: start the database once with store.snapshot set, \
         then danelaw can start without it"
    )]
    NoSnapshot {
        /// What it says, or what happened instead.
        what: String,
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

fn named(owner: Option<u32>) -> String {
    owner.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

const AFRESH: &str = "or move it away with its -wal file to start without policies, \
    which makes every domain's next contact a first one";

/// Durable memory. Calls block; callers in async code move them off the runtime.
pub trait Store: Send + Sync {
    /// Where it is, to be shown.
    fn place(&self) -> String;

    /// Rows of a kind that have changed after `since`, oldest change first, at most `limit`; also those that are to be
    /// forgotten.
    ///
    /// # Errors
    /// When they cannot be read, or one of them is not what was written.
    fn changes(
        &self,
        kind: Kind,
        since: Revision,
        limit: usize,
    ) -> Result<Vec<(Revision, Row)>, StoreError>;

    /// The rows of a kind that are meant, newest first, at most `limit`; without those that are to be forgotten.
    ///
    /// # Errors
    /// When they cannot be read, or one of them is not what was written.
    fn find(&self, kind: Kind, query: Query<'_>, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// Writes all of it or nothing: first what is gone, then the rows in their order, then the counts.
    ///
    /// # Errors
    /// When it cannot be written; what was there stays.
    fn write(&self, batch: &Batch) -> Result<(), StoreError>;

    /// What was counted on these days.
    ///
    /// # Errors
    /// When it cannot be read.
    fn counts(&self, days: RangeInclusive<u32>) -> Result<Vec<Count>, StoreError>;

    /// Deletes the rows of a kind that are older than `newer_than`, and all but the newest `keep`. Tells how many.
    ///
    /// # Errors
    /// When it cannot be written; what was there stays.
    fn prune(&self, kind: Kind, keep: usize, newer_than: Timestamp) -> Result<usize, StoreError>;

    /// Deletes the counts of the days before this one. Tells how many.
    ///
    /// # Errors
    /// When it cannot be written; what was there stays.
    fn prune_counts(&self, before: u32) -> Result<usize, StoreError>;

    /// Deletes the rows of all kinds that operators have had forgotten before this time. Tells how many.
    ///
    /// # Errors
    /// When it cannot be written; what was there stays.
    fn prune_forgotten(&self, before: Timestamp) -> Result<usize, StoreError>;

    /// Does what it holds outlive the process, and take none of its memory?
    fn is_durable(&self) -> bool {
        true
    }

    /// What an operator has to know of it although it works.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// The error for a row whose owner cannot read it.
    fn unreadable(&self, row: &Row, error: &dyn std::error::Error) -> StoreError {
        StoreError {
            place: self.place(),
            fault: StoreFault::Row {
                kind: row.kind,
                key: row.key.clone(),
                revision: None,
                what: error.to_string(),
            },
        }
    }
}

/// The store that a configuration names, watched; one in memory where it names none. Blocks.
///
/// # Errors
/// When it cannot be had; it is never replaced by an empty one.
pub fn open(config: &StoreConfig) -> Result<Arc<dyn Store>, StoreError> {
    opened(config, SqliteStore::open)
}

/// The same for the process that owns it: a damaged file is mended.
///
/// # Errors
/// When it cannot be had; it is never replaced by an empty one.
pub fn open_mending(config: &StoreConfig, now: Timestamp) -> Result<Arc<dyn Store>, StoreError> {
    opened(config, |path| SqliteStore::open_mending(path, now))
}

fn opened(
    config: &StoreConfig,
    file: impl FnOnce(&Path) -> Result<SqliteStore, StoreError>,
) -> Result<Arc<dyn Store>, StoreError> {
    let store: Arc<dyn Store> = match &config.place {
        StorePlace::Memory => Arc::new(MemoryStore::default()),
        StorePlace::File(path) => Arc::new(file(path)?),
        StorePlace::Database { address, snapshot } => {
            let own: Box<dyn Store> = match snapshot {
                Some(path) => Box::new(file(path)?),
                None => Box::new(MemoryStore::default()),
            };
            let database = PostgresStore::new(address.clone())?;
            Arc::new(Fleet::open(database, own, Box::new(SystemClock))?)
        }
    };
    Ok(Arc::new(watched::Watched::new(store)))
}
