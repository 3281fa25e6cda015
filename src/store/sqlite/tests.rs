//! What is refused, what survives, and what an older schema becomes: on real files.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: the tests damage files on purpose"
)]

mod damage;

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use std::sync::Arc;

use rusqlite::params;

use super::*;
use crate::mtasts::{Policy, PolicyId};
use crate::store::{StoredPolicy, policies};

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
        save(&store, policy).unwrap();
    }
    policies
}

fn save(store: &SqliteStore, policy: &StoredPolicy) -> Result<(), StoreError> {
    store.write(&Batch::saving(policy))
}

fn remove(store: &SqliteStore, domain: &str) {
    let domain = domain.parse().unwrap();
    store.write(&Batch::removing([&domain])).unwrap();
}

/// In the order of their domains.
fn kept(store: &SqliteStore) -> Result<Vec<StoredPolicy>, StoreError> {
    let mut kept = Vec::new();
    policies::load(store, |policy| {
        kept.push(policy);
        Ok(())
    })?;
    kept.sort_by(|one, other| one.domain.as_str().cmp(other.domain.as_str()));
    Ok(kept)
}

fn fault(path: &Path) -> StoreFault {
    let opened = SqliteStore::open(path).and_then(|store| kept(&store));
    let error = opened.expect_err("the store must not open");
    assert_eq!(error.place, path.display().to_string());
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
    assert_eq!(kept(&store).unwrap(), policies);
    let newer = policy("b.example", 1_800_000_001);
    save(&store, &newer).unwrap();
    remove(&store, policies[0].domain.as_str());
    remove(&store, "unknown.example");
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(kept(&store).unwrap(), [newer, policies[2].clone()]);
}

#[test]
fn sts_09_the_file_and_its_log_are_private_and_synchronised() {
    let folder = folder();
    let path = folder.path().join("danelaw.db");
    let store = SqliteStore::open(&path).unwrap();
    save(&store, &policy("a.example", 1)).unwrap();
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
    assert_eq!(kept(&SqliteStore::open(&path).unwrap()).unwrap(), policies);
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
                    .execute("UPDATE row SET at = 0 WHERE key = 'b.example'", [])
                    .unwrap();
            },
            |fault| matches!(fault, StoreFault::Row { key, .. } if key == "b.example"),
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
    save(&writer, &policies[0]).unwrap();
    {
        // Pages of the open transaction spill into the log.
        let connection = writer.lock();
        connection
            .execute_batch("PRAGMA cache_size = 1; BEGIN; DELETE FROM row;")
            .unwrap();
        for n in 0..200 {
            let text = "x".repeat(5000);
            connection
                .execute(
                    "INSERT INTO row VALUES ('sts-policy', ?1, ?1, 1, ?2, ?3, x'00')",
                    params![format!("d{n}.example"), text, 100 + n],
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
    assert_eq!(kept(&store).unwrap(), policies);
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
    let error = save(&store, &large).unwrap_err();
    assert!(matches!(error.fault, StoreFault::Sqlite { .. }), "{error}");
    assert_eq!(kept(&store).unwrap(), policies);
}

#[test]
fn two_processes_may_share_one_file() {
    let folder = folder();
    let path = folder.path().join("danelaw.db");
    let first = SqliteStore::open(&path).unwrap();
    let second = SqliteStore::open(&path).unwrap();
    save(&first, &policy("a.example", 1)).unwrap();
    save(&second, &policy("b.example", 2)).unwrap();
    assert_eq!(kept(&first).unwrap(), kept(&second).unwrap());
    assert_eq!(kept(&first).unwrap().len(), 2);
}

#[test]
fn sts_60_policies_of_the_first_schema_are_brought_along_and_a_damaged_one_stops_the_start() {
    let folder = folder();
    for (case, digest, is_whole) in [
        (
            "whole",
            "33f0fa7523b292c9c24b0cd9f9213f7120ca50934fcac8ee8b989b5387d8c653",
            true,
        ),
        ("damaged", "00", false),
    ] {
        let path = folder.path().join(case);
        filled(&path);
        raw(&path)
            .execute_batch(&format!(
                "DROP TABLE row; DROP TABLE tally; DROP TABLE latest; PRAGMA user_version = 1;
                 CREATE TABLE sts_policy (domain TEXT PRIMARY KEY NOT NULL, id TEXT NOT NULL,
                   text TEXT NOT NULL, fetched INTEGER NOT NULL, digest BLOB NOT NULL) STRICT;
                 INSERT INTO sts_policy VALUES ('old.example', 'a1',
                   'version: STSv1' || char(10) || 'mode: enforce' || char(10) ||
                   'mx: mx.old.example' || char(10) || 'max_age: 86400' || char(10),
                   1800000000, x'{digest}')"
            ))
            .unwrap();
        let opened = SqliteStore::open(&path).and_then(|store| kept(&store));
        match (opened, is_whole) {
            (Ok(kept), true) => {
                assert_eq!(kept.len(), 1);
                assert_eq!(kept[0].domain.as_str(), "old.example");
                assert_eq!(kept[0].fetched, Timestamp::from_unix(1_800_000_000));
            }
            (Err(error), false) => {
                let text = error.to_string();
                assert!(text.contains("old.example"), "{text}");
                assert!(text.contains("digest"), "{text}");
            }
            (opened, _) => panic!("{case}: {opened:?}"),
        }
    }
}

#[test]
fn sts_09_a_file_that_is_deleted_or_replaced_in_use_is_told_of() {
    let folder = folder();
    let path = folder.path().join("danelaw.db");
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.trouble(), None);
    let aside = folder.path().join("aside.db");
    std::fs::rename(&path, &aside).unwrap();
    assert!(store.trouble().unwrap().contains("deleted or replaced"));
    std::fs::write(&path, "another").unwrap();
    assert!(store.trouble().unwrap().contains("deleted or replaced"));
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(store.trouble(), None);
}
