//! Policies in one SQLite file.
//!
//! Every row carries a digest of itself, so that a flipped bit is an error and not another policy; SQLite's own check
//! finds what is damaged around the rows. A write is one transaction in the write-ahead log: a process that is killed
//! at any moment leaves the state before it or after it, and the next start finds that one. The log is synchronised
//! at each commit (`synchronous = FULL`): a policy that power loss takes away would make the domain's next contact a
//! first one, while writes are as rare as fetches.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::digest::{Context, SHA256};
use rusqlite::{Connection, OpenFlags, Row, params};

use super::{Store, StoreError, StoreFault, StoredPolicy, file};
use crate::clock::Timestamp;
use crate::mtasts::{Policy, PolicyId};
use crate::name::Domain;

/// A store on disk.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
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
            path: path.to_owned(),
            fault,
        })?;
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
        })
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreFault>,
    ) -> Result<T, StoreError> {
        work(&self.lock()).map_err(|fault| StoreError {
            path: self.path.clone(),
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
    fn policies(&self) -> Result<Vec<StoredPolicy>, StoreError> {
        self.with(|connection| {
            let failed = sqlite("read its policies");
            let mut statement = connection
                .prepare("SELECT domain, id, text, fetched, digest FROM sts_policy ORDER BY domain")
                .map_err(&failed)?;
            let mut rows = statement.query([]).map_err(&failed)?;
            let mut policies = Vec::new();
            while let Some(row) = rows.next().map_err(&failed)? {
                policies.push(read(row)?);
            }
            Ok(policies)
        })
    }

    fn save(&self, policy: &StoredPolicy) -> Result<(), StoreError> {
        self.with(|connection| {
            let fetched = i64::try_from(policy.fetched.unix()).map_err(|_| StoreFault::Row {
                domain: policy.domain.to_string(),
                what: format!("fetched at {}", policy.fetched),
            })?;
            connection
                .execute(
                    "INSERT OR REPLACE INTO sts_policy (domain, id, text, fetched, digest)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        policy.domain.as_str(),
                        policy.id.as_str(),
                        policy.policy.text,
                        fetched,
                        digest(policy),
                    ],
                )
                .map_err(sqlite("save a policy"))?;
            Ok(())
        })
    }

    fn remove(&self, domain: &Domain) -> Result<(), StoreError> {
        self.with(|connection| {
            connection
                .execute(
                    "DELETE FROM sts_policy WHERE domain = ?1",
                    [domain.as_str()],
                )
                .map_err(sqlite("remove a policy"))?;
            Ok(())
        })
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

/// Each step and its version number are one transaction.
fn migrate(connection: &mut Connection, from: i64) -> Result<(), StoreFault> {
    let failed = sqlite("bring its schema up to date");
    for (version, step) in (1..).zip(MIGRATIONS) {
        if version <= from {
            continue;
        }
        let transaction = connection.transaction().map_err(&failed)?;
        transaction.execute_batch(step).map_err(&failed)?;
        pragma(&transaction, "user_version", version)?;
        transaction.commit().map_err(&failed)?;
    }
    Ok(())
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

fn read(row: &Row<'_>) -> Result<StoredPolicy, StoreFault> {
    let failed = sqlite("read a policy");
    let key: String = row.get("domain").map_err(&failed)?;
    let damaged = |what: String| StoreFault::Row {
        domain: key.clone(),
        what,
    };
    let text: String = row.get("text").map_err(&failed)?;
    let fetched: i64 = row.get("fetched").map_err(&failed)?;
    let written: Vec<u8> = row.get("digest").map_err(&failed)?;
    let policy = StoredPolicy {
        domain: key
            .parse()
            .map_err(|error| damaged(format!("its key is no domain: {error}")))?,
        id: PolicyId::stored(row.get("id").map_err(&failed)?),
        policy: Arc::new(
            Policy::parse(text.as_bytes())
                .map_err(|error| damaged(format!("its text is no policy: {error}")))?,
        ),
        fetched: Timestamp::from_unix(
            u64::try_from(fetched).map_err(|_| damaged(format!("fetched at {fetched}")))?,
        ),
    };
    if written == digest(&policy) {
        Ok(policy)
    } else {
        Err(damaged("its digest does not fit".to_owned()))
    }
}

/// SHA-256 over the fields, each preceded by its length.
fn digest(policy: &StoredPolicy) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    let fetched = policy.fetched.unix().to_be_bytes();
    for field in [
        policy.domain.as_str().as_bytes(),
        policy.id.as_str().as_bytes(),
        policy.policy.text.as_bytes(),
        &fetched,
    ] {
        context.update(&(field.len() as u64).to_be_bytes());
        context.update(field);
    }
    context.finish().as_ref().to_vec()
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

/// Step n brings version n - 1 to n. Steps that have been released are never changed.
const MIGRATIONS: [&str; 1] = ["CREATE TABLE sts_policy (
        domain TEXT PRIMARY KEY NOT NULL,
        id TEXT NOT NULL,
        text TEXT NOT NULL,
        fetched INTEGER NOT NULL,
        digest BLOB NOT NULL
    ) STRICT"];

const KNOWN: i64 = MIGRATIONS.len() as i64;

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "IO: the tests damage files on purpose"
)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn policy(domain: &str, fetched: u64) -> StoredPolicy {
        StoredPolicy {
            domain: domain.parse().unwrap(),
            id: PolicyId::stored("a1".to_owned()),
            policy: text(domain, &"ü".repeat(2000)),
            fetched: Timestamp::from_unix(fetched),
        }
    }

    fn text(domain: &str, note: &str) -> Arc<Policy> {
        let text =
            format!("version: STSv1\nmode: enforce\nmx: mx.{domain}\nmax_age: 604800\nx: {note}\n");
        Arc::new(Policy::parse(text.as_bytes()).unwrap())
    }

    /// A store of three policies, closed.
    fn filled(path: &Path) -> Vec<StoredPolicy> {
        let policies: Vec<StoredPolicy> = ["a.example", "b.example", "c.example"]
            .map(|domain| policy(domain, 1_800_000_000))
            .into();
        let store = SqliteStore::open(path).unwrap();
        for policy in &policies {
            store.save(policy).unwrap();
        }
        policies
    }

    fn fault(path: &Path) -> StoreFault {
        let opened = SqliteStore::open(path).and_then(|store| store.policies());
        let error = opened.expect_err("the store must not open");
        assert_eq!(error.path, path);
        error.fault
    }

    fn raw(path: &Path) -> Connection {
        Connection::open(path).unwrap()
    }

    #[test]
    fn sts_60_what_is_saved_survives_a_restart() {
        let folder = folder();
        let path = folder.path().join("danelaw.db");
        let policies = filled(&path);
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.policies().unwrap(), policies);
        let newer = policy("b.example", 1_800_000_001);
        store.save(&newer).unwrap();
        store.remove(&policies[0].domain).unwrap();
        store.remove(&"unknown.example".parse().unwrap()).unwrap();
        drop(store);
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.policies().unwrap(), [newer, policies[2].clone()]);
    }

    #[test]
    fn sts_09_the_file_and_its_log_are_private_and_synchronised() {
        let folder = folder();
        let path = folder.path().join("danelaw.db");
        let store = SqliteStore::open(&path).unwrap();
        store.save(&policy("a.example", 1)).unwrap();
        let files: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .collect();
        assert_eq!(
            files.len(),
            3,
            "the file, its log and the log's index: {files:?}"
        );
        for file in files {
            assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "{file:?}");
        }
        let synchronous: i64 = store
            .lock()
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .unwrap();
        assert_eq!(synchronous, 2, "FULL");
    }

    #[test]
    fn sts_09_a_readable_file_is_made_private_and_a_writable_one_refused() {
        let folder = folder();
        let path = folder.path().join("danelaw.db");
        let policies = filled(&path);
        let chmod = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        chmod(0o644);
        assert_eq!(
            SqliteStore::open(&path).unwrap().policies().unwrap(),
            policies
        );
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        for mode in [0o620, 0o602, 0o666] {
            chmod(mode);
            let seen = fault(&path);
            assert!(
                matches!(seen, StoreFault::Writable { mode: m } if m == mode),
                "{seen}"
            );
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn sts_09_what_is_no_whole_store_of_ours_is_refused_and_left_alone() {
        type Damage = fn(&Path);
        type Expected = fn(&StoreFault) -> bool;
        let rows: [(&str, Damage, Expected); 9] = [
            (
                "zero octets",
                |path| std::fs::write(path, b"").unwrap(),
                |fault| matches!(fault, StoreFault::Empty),
            ),
            (
                "text",
                |path| std::fs::write(path, "not a database ".repeat(1000)).unwrap(),
                |fault| matches!(fault, StoreFault::Foreign { .. }),
            ),
            (
                "cut to its first half",
                |path| {
                    let whole = std::fs::read(path).unwrap();
                    std::fs::write(path, &whole[..whole.len() / 2]).unwrap();
                },
                |fault| matches!(fault, StoreFault::Corrupt { .. }),
            ),
            (
                "a page overwritten with noise",
                |path| {
                    let mut whole = std::fs::read(path).unwrap();
                    whole[4096..8192].fill(0xa5);
                    std::fs::write(path, whole).unwrap();
                },
                |fault| matches!(fault, StoreFault::Corrupt { .. }),
            ),
            (
                "one bit of a policy's text flipped",
                |path| {
                    let mut whole = std::fs::read(path).unwrap();
                    let at = whole.windows(7).position(|octets| octets == b"enforce");
                    whole[at.unwrap()] ^= 1;
                    std::fs::write(path, whole).unwrap();
                },
                |fault| matches!(fault, StoreFault::Row { .. }),
            ),
            (
                "a row that another tool has changed",
                |path| {
                    raw(path)
                        .execute(
                            "UPDATE sts_policy SET fetched = 0 WHERE domain = 'b.example'",
                            [],
                        )
                        .unwrap();
                },
                |fault| matches!(fault, StoreFault::Row { domain, .. } if domain == "b.example"),
            ),
            (
                "a newer schema",
                |path| raw(path).pragma_update(None, "user_version", 99).unwrap(),
                |fault| {
                    matches!(
                        fault,
                        StoreFault::Newer {
                            seen: 99,
                            known: KNOWN
                        }
                    )
                },
            ),
            (
                "no schema version",
                |path| raw(path).pragma_update(None, "user_version", 0).unwrap(),
                |fault| matches!(fault, StoreFault::Corrupt { .. }),
            ),
            (
                "a database of something else",
                |path| raw(path).pragma_update(None, "application_id", 1).unwrap(),
                |fault| matches!(fault, StoreFault::Foreign { .. }),
            ),
        ];
        for (case, damage, expected) in rows {
            let folder = folder();
            let path = folder.path().join("danelaw.db");
            filled(&path);
            damage(&path);
            let before = std::fs::read(&path).unwrap();
            let seen = fault(&path);
            assert!(expected(&seen), "{case}: {seen:?}");
            assert_eq!(std::fs::read(&path).unwrap(), before, "{case}");
        }
    }

    #[test]
    fn sts_09_a_place_where_no_store_can_be_is_named() {
        let folder = folder();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let target = folder.path().join("target.db");
        filled(&target);
        let link = folder.path().join("link.db");
        symlink(&target, &link).unwrap();
        let orphan = folder.path().join("orphan.db");
        std::fs::write(folder.path().join("orphan.db-wal"), "x").unwrap();
        type Expected = fn(&StoreFault) -> bool;
        let rows: [(&str, PathBuf, Expected); 6] = [
            (
                "no folder",
                folder.path().join("none/danelaw.db"),
                |fault| matches!(fault, StoreFault::NoFolder { .. }),
            ),
            ("a file for a folder", file.join("danelaw.db"), |fault| {
                matches!(fault, StoreFault::File { .. } | StoreFault::NoFolder { .. })
            }),
            ("a folder", folder.path().to_owned(), |fault| {
                matches!(fault, StoreFault::NotAFile)
            }),
            ("a symbolic link", link, |fault| {
                matches!(fault, StoreFault::NotAFile)
            }),
            // Even root may make no file there.
            (
                "a folder that cannot be written",
                PathBuf::from("/proc/danelaw.db"),
                |fault| {
                    matches!(
                        fault,
                        StoreFault::File {
                            doing: "create it",
                            ..
                        }
                    )
                },
            ),
            ("a log without its file", orphan, |fault| {
                matches!(fault, StoreFault::OrphanedLog { .. })
            }),
        ];
        for (case, path, expected) in rows {
            let seen = fault(&path);
            assert!(expected(&seen), "{case}: {seen:?}");
        }
    }

    #[test]
    fn sts_09_killed_in_the_middle_of_a_write_the_older_state_is_found() {
        let folder = folder();
        let path = folder.path().join("danelaw.db");
        let policies = filled(&path);
        let writer = SqliteStore::open(&path).unwrap();
        writer.save(&policies[0]).unwrap();
        {
            // Pages of the open transaction spill into the log.
            let connection = writer.lock();
            connection
                .execute_batch("PRAGMA cache_size = 1; BEGIN; DELETE FROM sts_policy;")
                .unwrap();
            for n in 0..200 {
                let text = "x".repeat(5000);
                connection
                    .execute(
                        "INSERT INTO sts_policy VALUES (?1, 'b2', ?2, 1, x'00')",
                        params![format!("d{n}.example"), text],
                    )
                    .unwrap();
            }
        }
        let log = std::fs::read(folder.path().join("danelaw.db-wal")).unwrap();
        assert!(
            log.len() > 500_000,
            "nothing of the transaction is on disk yet: {}",
            log.len()
        );
        let copy = tempfile::tempdir().unwrap();
        for name in ["danelaw.db", "danelaw.db-wal"] {
            std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
        }
        let store = SqliteStore::open(&copy.path().join("danelaw.db")).unwrap();
        assert_eq!(store.policies().unwrap(), policies);
    }

    #[test]
    fn sts_09_a_full_disk_leaves_what_was_there() {
        let folder = folder();
        let path = folder.path().join("danelaw.db");
        let policies = filled(&path);
        let store = SqliteStore::open(&path).unwrap();
        let pages: i64 = store
            .lock()
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        pragma(&store.lock(), "max_page_count", pages).unwrap();
        let mut large = policy("a.example", 2);
        large.policy = text("a.example", &"x".repeat(60_000));
        let error = store.save(&large).unwrap_err();
        assert!(matches!(error.fault, StoreFault::Sqlite { .. }), "{error}");
        assert_eq!(store.policies().unwrap(), policies);
    }

    #[test]
    fn two_processes_may_share_one_file() {
        let folder = folder();
        let path = folder.path().join("danelaw.db");
        let first = SqliteStore::open(&path).unwrap();
        let second = SqliteStore::open(&path).unwrap();
        first.save(&policy("a.example", 1)).unwrap();
        second.save(&policy("b.example", 2)).unwrap();
        assert_eq!(first.policies().unwrap(), second.policies().unwrap());
        assert_eq!(first.policies().unwrap().len(), 2);
    }
}
