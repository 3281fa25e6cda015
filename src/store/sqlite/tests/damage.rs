//! Damaged files, and what is made of them.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

fn mending(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open_mending(path, NOW)
}

/// A store of so many policies, closed, and what it holds.
fn large(path: &Path, policies: usize) -> Vec<StoredPolicy> {
    let policies: Vec<StoredPolicy> = (0..policies)
        .map(|n| StoredPolicy {
            policy: text("x.example", &"y".repeat(300)),
            ..policy(&format!("d{n:04}.example"), 1_800_000_000 + n as u64)
        })
        .collect();
    let store = SqliteStore::open(path).unwrap();
    let rows = policies.iter().map(StoredPolicy::row).collect();
    let batch = Batch {
        rows,
        ..Batch::default()
    };
    store.write(&batch).unwrap();
    policies
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    names.sort();
    names
}

#[test]
fn sts_09_a_damaged_file_is_moved_aside_and_what_is_whole_is_kept() {
    let folder = folder();
    let path = folder.path().join("danelaw.db");
    let policies = large(&path, 300);
    let mut octets = std::fs::read(&path).unwrap();
    // A leaf of the table, to be sure.
    let bodies: Vec<usize> = (0..octets.len())
        .filter(|at| octets[*at..].starts_with(b"{\"id\":"))
        .collect();
    let at = bodies[bodies.len() / 2];
    let page = at / 4096 * 4096;
    octets[page..page + 4096].fill(0x5a);
    std::fs::write(&path, &octets).unwrap();
    let store = mending(&path).unwrap();
    let kept = kept(&store).unwrap();
    assert!(kept.len() < 300 && kept.len() > 270, "{}", kept.len());
    assert!(kept.iter().all(|one| policies.contains(one)));
    assert_eq!(
        files(folder.path()),
        ["danelaw.db", "danelaw.db.damaged-1800000000"]
    );
    let aside = folder.path().join("danelaw.db.damaged-1800000000");
    assert_eq!(std::fs::read(&aside).unwrap(), octets, "left as it was");
    let told = store.trouble().unwrap();
    assert!(told.contains("danelaw.db.damaged-1800000000"), "{told}");
    save(&store, &policy("new.example", 1_800_000_000)).unwrap();
    drop(store);
    let again = mending(&path).unwrap();
    assert!(again.trouble().is_some(), "also after a restart");
    std::fs::remove_file(&aside).unwrap();
    assert_eq!(again.trouble(), None, "an operator has seen to it");
}

#[test]
fn sts_09_one_row_that_is_not_what_was_written_is_lost_and_no_other() {
    let folder = folder();
    let path = folder.path().join("danelaw.db");
    let policies = filled(&path);
    raw(&path)
        .execute("UPDATE row SET at = 0 WHERE key = 'b.example'", [])
        .unwrap();
    // A second one at the same second gets a name of its own.
    std::fs::write(folder.path().join("danelaw.db.damaged-1800000000"), "x").unwrap();
    let store = mending(&path).unwrap();
    assert_eq!(
        kept(&store).unwrap(),
        [policies[0].clone(), policies[2].clone()]
    );
    // It is not one without a policy: it is to be asked anew, also after another damage.
    let lost = store.find(Kind::Lost, Query::Latest, 9).unwrap();
    let lost: Vec<_> = lost.iter().map(|row| (row.key.as_str(), row.at)).collect();
    assert_eq!(lost, [("b.example", NOW)]);
    let expected = [
        "danelaw.db",
        "danelaw.db.damaged-1800000000",
        "danelaw.db.damaged-1800000000-2",
    ];
    assert_eq!(files(folder.path()), expected);
}

#[test]
fn sts_09_a_lost_exception_stops_the_start_for_nobody_knows_what_it_has_required() {
    let folder = folder();
    let path = folder.path().join("danelaw.db");
    filled(&path);
    let exception = Row {
        kind: Kind::Exception,
        key: "k7".to_owned(),
        about: "strict.example".to_owned(),
        at: NOW,
        body: Some("{}".to_owned()),
    };
    let batch = Batch {
        rows: vec![exception],
        ..Batch::default()
    };
    SqliteStore::open(&path).unwrap().write(&batch).unwrap();
    raw(&path)
        .execute("UPDATE row SET at = 0 WHERE key = 'k7'", [])
        .unwrap();
    let error = mending(&path).unwrap_err();
    assert!(
        matches!(&error.fault, StoreFault::Row { kind: Kind::Exception, key, .. } if key == "k7"),
        "{error}"
    );
    assert_eq!(files(folder.path()), ["danelaw.db"], "nothing is moved");
}

#[test]
fn sts_09_where_nothing_is_proven_the_start_is_refused_and_the_file_left_alone() {
    let folder = folder();
    let path = folder.path().join("danelaw.db");
    filled(&path);
    let mut octets = std::fs::read(&path).unwrap();
    let length = octets.len();
    octets[4096..length].fill(0xff);
    std::fs::write(&path, &octets).unwrap();
    let error = mending(&path).unwrap_err();
    assert!(matches!(error.fault, StoreFault::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("restore a backup"), "{error}");
    assert_eq!(files(folder.path()), ["danelaw.db"]);
    assert_eq!(std::fs::read(&path).unwrap(), octets);
}

#[test]
fn sts_09_a_mending_that_was_killed_is_finished_by_the_next_start() {
    for killed_after in ["the new file", "the second name", "the log"] {
        let folder = folder();
        let path = folder.path().join("danelaw.db");
        let policies = filled(&path);
        std::fs::copy(&path, folder.path().join("danelaw.db.mended")).unwrap();
        std::fs::write(folder.path().join("danelaw.db-wal"), "old").unwrap();
        std::fs::write(&path, "damaged").unwrap();
        let aside = folder.path().join("danelaw.db.damaged-7");
        if killed_after != "the new file" {
            std::fs::hard_link(&path, &aside).unwrap();
        }
        if killed_after == "the log" {
            let log = folder.path().join("danelaw.db.damaged-7-wal");
            std::fs::rename(folder.path().join("danelaw.db-wal"), log).unwrap();
        }
        let store = mending(&path).unwrap();
        assert_eq!(kept(&store).unwrap(), policies, "{killed_after}");
        assert!(store.trouble().is_some());
    }
}

/// A store of sixty policies, made once.
fn whole() -> &'static (Vec<StoredPolicy>, Vec<u8>) {
    static WHOLE: OnceLock<(Vec<StoredPolicy>, Vec<u8>)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let folder = folder();
        let path = folder.path().join("danelaw.db");
        (large(&path, 60), std::fs::read(&path).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever has been flipped: what is read is what was written, and nothing goes missing unsaid.
    #[test]
    fn sts_09_flipped_bits_end_in_a_refusal_in_what_is_proven_or_in_nothing(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..12),
    ) {
        let folder = folder();
        let path = folder.path().join("danelaw.db");
        let (policies, before) = whole();
        let mut octets = before.clone();
        for (at, bit) in flips {
            let at = at.index(octets.len());
            octets[at] ^= 1 << bit;
        }
        std::fs::write(&path, &octets).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        match mending(&path).and_then(|store| Ok((kept(&store)?, store.trouble()))) {
            Ok((kept, trouble)) => {
                prop_assert!(kept.iter().all(|one| policies.contains(one)), "not what was written");
                prop_assert!(
                    kept.len() == policies.len() || trouble.is_some(),
                    "{} of {} and not a word", kept.len(), policies.len()
                );
            }
            Err(_) => prop_assert!(octets != *before, "a whole file is refused"),
        }
    }
}
