//! What every store does alike.

use super::memory::MemoryStore;
use super::postgres::PostgresStore;
use super::postgres::server::Server;
use super::sqlite::SqliteStore;
use super::*;

fn row(kind: Kind, key: &str, about: &str, at: u64, body: Option<&str>) -> Row {
    Row {
        kind,
        key: key.to_owned(),
        about: about.to_owned(),
        at: Timestamp::from_unix(at),
        body: body.map(str::to_owned),
    }
}

fn rows(rows: &[Row]) -> Batch {
    Batch {
        rows: rows.to_vec(),
        ..Batch::default()
    }
}

/// Runs a test on each store, empty.
fn each(test: impl Fn(&dyn Store)) {
    let folder = tempfile::tempdir().unwrap();
    test(&MemoryStore::default());
    test(&SqliteStore::open(&folder.path().join("danelaw.db")).unwrap());
    let Some(server) = Server::start() else {
        return;
    };
    let database = || PostgresStore::new(server.url().parse().unwrap()).unwrap();
    test(&database());
}

fn keys(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.key.as_str()).collect()
}

#[test]
fn changes_come_in_their_order_once_and_in_pieces() {
    each(|store| {
        let (a, b) = (
            row(Kind::Pin, "a", "x", 3, Some("{}")),
            row(Kind::Pin, "b", "x", 2, Some("{}")),
        );
        let other = row(Kind::Seen, "a", "x", 1, Some("{}"));
        store.write(&rows(&[a.clone(), other, b])).unwrap();
        let forgotten = row(Kind::Pin, "b", "x", 4, None);
        store
            .write(&rows(std::slice::from_ref(&forgotten)))
            .unwrap();
        let mut heard = Vec::new();
        let mut last = Revision::START;
        loop {
            let changes = store.changes(Kind::Pin, last, 1).unwrap();
            let Some((revision, row)) = changes.into_iter().next() else {
                break;
            };
            assert!(revision > last);
            (last, heard) = (revision, [heard, vec![row]].concat());
        }
        assert_eq!(heard, [a.clone(), forgotten], "{}", store.place());
        store.write(&rows(std::slice::from_ref(&a))).unwrap();
        let again = store.changes(Kind::Pin, last, 9).unwrap();
        assert_eq!(again.len(), 1, "a row that is written again has changed");
    });
}

#[test]
fn rows_are_found_newest_first_and_not_when_they_are_to_be_forgotten() {
    each(|store| {
        store
            .write(&rows(&[
                row(Kind::Trace, "1", "a.example", 10, Some("{}")),
                row(Kind::Trace, "2", "b.example", 30, Some("{}")),
                row(Kind::Trace, "3", "a.example", 20, Some("{}")),
                row(Kind::Trace, "4", "a.example", 40, None),
            ]))
            .unwrap();
        for (query, limit, expected) in [
            (Query::Key("2"), 9, vec!["2"]),
            (Query::Key("4"), 9, vec![]),
            (Query::Key("9"), 9, vec![]),
            (Query::About("a.example"), 9, vec!["3", "1"]),
            (Query::About("a.example"), 1, vec!["3"]),
            (Query::Latest, 2, vec!["2", "3"]),
            (Query::Latest, 0, vec![]),
        ] {
            let found = store.find(Kind::Trace, query, limit).unwrap();
            assert_eq!(keys(&found), expected, "{query:?} in {}", store.place());
        }
        assert_eq!(store.find(Kind::Pin, Query::Latest, 9).unwrap(), []);
    });
}

#[test]
fn what_is_gone_leaves_no_trace_and_old_rows_are_pruned() {
    each(|store| {
        let all: Vec<Row> = (1..=5)
            .map(|n| row(Kind::Trace, &n.to_string(), "a", n * 10, Some("{}")))
            .collect();
        store.write(&rows(&all)).unwrap();
        let seen = row(Kind::Seen, "1", "a", 1, Some("{}"));
        store.write(&rows(&[seen])).unwrap();
        let gone = Batch {
            gone: vec![(Kind::Trace, "5".into()), (Kind::Trace, "9".into())],
            ..Batch::default()
        };
        store.write(&gone).unwrap();
        let pruned = |keep, at| {
            store
                .prune(Kind::Trace, keep, Timestamp::from_unix(at))
                .unwrap()
        };
        assert_eq!(pruned(9, 20), 1, "older than 20");
        assert_eq!(pruned(2, 0), 1, "more than two");
        let left = store.find(Kind::Trace, Query::Latest, 9).unwrap();
        assert_eq!(keys(&left), ["4", "3"], "{}", store.place());
        assert_eq!(pruned(0, 0), 2);
        assert_eq!(store.find(Kind::Seen, Query::Latest, 9).unwrap().len(), 1);
    });
}

#[test]
fn counts_are_added_up_by_day_and_forgotten_by_day() {
    let count = |day, domain: &str, number| Count {
        day,
        domain: domain.to_owned(),
        what: "would-refuse".to_owned(),
        reason: "dane-mismatch".to_owned(),
        number,
    };
    each(|store| {
        let batch = |counts: Vec<Count>| Batch {
            counts,
            ..Batch::default()
        };
        store
            .write(&batch(vec![count(1, "a", 1), count(2, "a", 2)]))
            .unwrap();
        store
            .write(&batch(vec![count(2, "a", 3), count(3, "b", 4)]))
            .unwrap();
        let seen = store.counts(2..=3).unwrap();
        assert_eq!(seen, [count(2, "a", 5), count(3, "b", 4)]);
        assert_eq!(store.prune_counts(3).unwrap(), 2);
        assert_eq!(store.counts(0..=9).unwrap(), [count(3, "b", 4)]);
    });
}

#[test]
fn a_digest_covers_every_field() {
    let whole = row(Kind::Pin, "ab", "c", 1, Some("d"));
    let mut digests = vec![whole.digest()];
    for change in [
        |row: &mut Row| row.kind = Kind::Seen,
        |row: &mut Row| (row.key, row.about) = ("a".into(), "bc".into()),
        |row: &mut Row| row.about = "x".into(),
        |row: &mut Row| row.at = Timestamp::from_unix(2),
        |row: &mut Row| row.body = Some(String::new()),
        |row: &mut Row| row.body = None,
    ] {
        let mut changed = whole.clone();
        change(&mut changed);
        digests.push(changed.digest());
    }
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 7);
}
