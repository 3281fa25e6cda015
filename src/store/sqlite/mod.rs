//! Everything in one SQLite file; `schema` has its tables, `rows` its statements.
//!
//! Every row carries a digest of itself, so that a flipped bit is an error and not another policy; SQLite's own check
//! finds what is damaged around the rows. A write is one transaction in the write-ahead log: a process that is killed
//! at any moment leaves the state before it or after it, and the next start finds that one. The log is synchronised
//! at each commit (`synchronous = FULL`): a policy that power loss takes away would make the domain's next contact a
//! first one, while writes are as rare as fetches. For the same reason policies and exceptions go on to the file itself
//! at once: SQLite takes a log that is damaged for one that ends earlier.

mod quarantine;
mod rows;
mod salvage;
mod schema;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::{Batch, Count, Kind, Query, Revision, Row, Store, StoreError, StoreFault, file};
use crate::clock::Timestamp;
use schema::{KNOWN, migrate};

/// A store on disk.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// Which file it was when it was opened.
    identity: Option<(u64, u64)>,
    connection: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens the store, or makes one where there is no file; brings an older schema up to date. Blocks.
    ///
    /// # Errors
    /// Whatever is not a whole, private danelaw store of a known version. The file is left as it is: the operator
    /// decides what is lost.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = open_whole(path).map_err(|fault| StoreError {
            place: path.display().to_string(),
            fault,
        })?;
        Ok(Self::over(path, connection))
    }

    /// The same for the one process that owns the file: a damaged one is moved aside (`quarantine`), and what it still
    /// proves is put in its place.
    ///
    /// # Errors
    /// As [`Self::open`]; also when a damaged file proves nothing any more.
    pub fn open_mending(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let mended = || {
            quarantine::resume(path, now)?;
            let whole = open_whole(path).and_then(|connection| {
                rows::verify(&connection)?;
                Ok(connection)
            });
            match whole {
                Err(fault @ (StoreFault::Corrupt { .. } | StoreFault::Row { .. })) => {
                    quarantine::mend(path, fault, now)?;
                    open_whole(path)
                }
                whole => whole,
            }
        };
        let connection = mended().map_err(|fault| StoreError {
            place: path.display().to_string(),
            fault,
        })?;
        Ok(Self::over(path, connection))
    }

    fn over(path: &Path, connection: Connection) -> Self {
        Self {
            path: path.to_owned(),
            identity: file::identity(path),
            connection: Mutex::new(connection),
        }
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreFault>,
    ) -> Result<T, StoreError> {
        work(&self.lock()).map_err(|fault| StoreError {
            place: self.place(),
            fault,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // Statements are atomic: a panic between them leaves no transaction open.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for SqliteStore {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn trouble(&self) -> Option<String> {
        if file::identity(&self.path) != self.identity {
            return Some(format!(
                "{} was deleted or replaced while it was in use: what is written is lost at the end; `danelaw policy export` \
                 keeps the policies, then restart",
                self.path.display()
            ));
        }
        let files = quarantine::damaged(&self.path);
        let last = files.last()?;
        Some(format!(
            "{} was damaged; what could be proven was kept, the log of that start tells what was lost: remove {} when you \
             have seen to it",
            self.path.display(),
            last.display()
        ))
    }

    fn changes(
        &self,
        kind: Kind,
        since: Revision,
        limit: usize,
    ) -> Result<Vec<(Revision, Row)>, StoreError> {
        self.with(|connection| rows::changes(connection, kind, since, limit))
    }

    fn find(&self, kind: Kind, query: Query<'_>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.with(|connection| rows::find(connection, kind, query, limit))
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.with(|connection| {
            let failed = sqlite("write");
            // Dropped without a commit it is rolled back.
            let transaction =
                Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
                    .map_err(&failed)?;
            for (kind, key) in &batch.gone {
                rows::delete(&transaction, *kind, key)?;
            }
            for row in &batch.rows {
                rows::put(&transaction, row)?;
            }
            for count in &batch.counts {
                rows::add(&transaction, count)?;
            }
            transaction.commit().map_err(failed)?;
            if batch.rows.iter().any(|row| row.kind.is_precious()) {
                rows::settle(connection);
            }
            Ok(())
        })
    }

    fn counts(&self, days: RangeInclusive<u32>) -> Result<Vec<Count>, StoreError> {
        self.with(|connection| rows::counts(connection, &days))
    }

    fn prune(&self, kind: Kind, keep: usize, newer_than: Timestamp) -> Result<usize, StoreError> {
        self.with(|connection| rows::prune(connection, kind, keep, newer_than))
    }

    fn prune_counts(&self, before: u32) -> Result<usize, StoreError> {
        self.with(|connection| rows::prune_counts(connection, before))
    }

    fn prune_forgotten(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.with(|connection| rows::prune_forgotten(connection, before))
    }
}

fn open_whole(path: &Path) -> Result<Connection, StoreFault> {
    file::prepare(path, |draft| {
        let mut connection = connect(draft)?;
        pragma(&connection, "application_id", APPLICATION_ID)?;
        migrate(&mut connection, 0)?;
        connection
            .close()
            .map_err(|(_, error)| sqlite("create it")(error))
    })?;
    let mut connection = connect(path)?;
    let version = version(&connection)?;
    check(&connection)?;
    migrate(&mut connection, version)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(sqlite("turn on its write-ahead log"))?;
    if mode != "wal" {
        return Err(StoreFault::NoLog { mode });
    }
    pragma(&connection, "synchronous", "FULL")?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, StoreFault> {
    // Never SQLITE_OPEN_CREATE: a file that vanishes between the check and here is an error.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite("open it"))?;
    connection
        .busy_timeout(BUSY_TIMEOUT)
        .map_err(sqlite("open it"))?;
    pragma(&connection, "trusted_schema", "OFF")?;
    pragma(&connection, "cell_size_check", "ON")?;
    // What is gone must not be found again by a pointer that has been damaged.
    pragma(&connection, "secure_delete", "ON")?;
    // The sandbox has no folder for temporary files.
    pragma(&connection, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// The schema version of a store that is ours.
fn version(connection: &Connection) -> Result<i64, StoreFault> {
    let number = |name| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(sqlite("read it"))
    };
    if number("application_id")? != i64::from(APPLICATION_ID) {
        return Err(StoreFault::Foreign {
            seen: "a SQLite database of something else",
        });
    }
    let seen = number("user_version")?;
    if seen > KNOWN {
        return Err(StoreFault::Newer { seen, known: KNOWN });
    }
    if seen < 1 {
        return Err(StoreFault::Corrupt {
            what: format!("its schema version is {seen}"),
        });
    }
    Ok(seen)
}

fn check(connection: &Connection) -> Result<(), StoreFault> {
    let what: String = connection
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .map_err(sqlite("check it"))?;
    if what == "ok" {
        Ok(())
    } else {
        Err(StoreFault::Corrupt { what })
    }
}

fn pragma(
    connection: &Connection,
    name: &str,
    value: impl rusqlite::ToSql,
) -> Result<(), StoreFault> {
    connection
        .pragma_update(None, name, value)
        .map_err(sqlite("set it up"))
}

fn sqlite(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreFault {
    move |error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StoreFault::Foreign {
            seen: "a file that is no SQLite database, or is one no more",
        },
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => StoreFault::Corrupt {
            what: error.to_string(),
        },
        Some(_) | None => StoreFault::Sqlite { doing, error },
    }
}

/// "DLAW": tells a store from other SQLite files.
const APPLICATION_ID: i32 = 0x444c_4157;

/// Another process that writes (a second danelaw, a backup) is waited for so long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
