//! Nodes that share a real database, which is taken away from them and given back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::memory::MemoryStore;
use super::super::postgres::server::Server;
use super::super::sqlite::SqliteStore;
use super::super::{StoredPolicy, policies};
use super::*;
use crate::clock::SystemClock;
use crate::mtasts::{Policy, PolicyId};

struct World {
    server: Server,
    folder: tempfile::TempDir,
    now: u64,
}

impl World {
    fn new() -> Option<Self> {
        Some(Self {
            server: Server::start()?,
            folder: tempfile::tempdir().unwrap(),
            now: SystemClock.wall().unix(),
        })
    }

    fn snapshot(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PostgresStore {
        PostgresStore::new(self.server.url().parse().unwrap()).unwrap()
    }

    fn open(&self, own: Box<dyn Store>) -> Result<Fleet, StoreError> {
        Fleet::open(self.database(), own, Box::new(SystemClock))
    }

    fn node(&self, name: &str) -> Fleet {
        self.open(file(&self.snapshot(name))).unwrap()
    }

    /// Fetched so many seconds ago.
    fn policy(&self, domain: &str, mode: &str, mx: &str, age: u64) -> StoredPolicy {
        let text = format!("version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 604800\n");
        StoredPolicy {
            domain: domain.parse().unwrap(),
            id: PolicyId::stored("a".to_owned()),
            policy: Arc::new(Policy::parse(text.as_bytes()).unwrap()),
            fetched: Timestamp::from_unix(self.now - age),
        }
    }
}

fn file(path: &Path) -> Box<dyn Store> {
    Box::new(SqliteStore::open(path).unwrap())
}

fn save(node: &Fleet, policy: &StoredPolicy) {
    node.write(&Batch::saving(policy)).unwrap();
}

/// What the node goes by for a domain.
fn known(node: &Fleet, domain: &str) -> Option<String> {
    let found = node.find(Kind::Policy, Query::Key(domain), 1).unwrap();
    let stored = StoredPolicy::read(found.first()?).unwrap()?;
    let policy = &stored.policy;
    Some(format!("{} {}", policy.mode.label(), policy.mx[0].as_str()))
}

fn count(number: u64) -> Batch {
    Batch {
        counts: vec![Count {
            day: 7,
            domain: "a.example".to_owned(),
            what: "w".to_owned(),
            reason: String::new(),
            number,
        }],
        ..Batch::default()
    }
}

impl Fleet {
    /// As if the pause were over.
    fn hurry(&self) {
        self.reach.hurry();
    }

    fn counted(&self) -> u64 {
        self.counts(0..=9)
            .unwrap()
            .iter()
            .map(|one| one.number)
            .sum()
    }
}

fn trace(key: &str) -> Batch {
    Batch {
        rows: vec![Row {
            kind: Kind::Trace,
            key: key.to_owned(),
            about: "a.example".to_owned(),
            at: Timestamp::from_unix(1),
            body: Some("{}".to_owned()),
        }],
        ..Batch::default()
    }
}

fn traces(node: &Fleet) -> usize {
    node.find(Kind::Trace, Query::Latest, 99).unwrap().len()
}

#[test]
fn sts_60_what_one_node_learns_the_others_know_and_none_is_loosened_by_it() {
    let Some(world) = World::new() else {
        return;
    };
    let (one, two) = (world.node("one"), world.node("two"));
    save(
        &one,
        &world.policy("a.example", "enforce", "mx.a.example", 100),
    );
    assert_eq!(
        known(&two, "a.example").as_deref(),
        Some("enforce mx.a.example")
    );
    let since = policies::load(&two, |_| Ok(())).unwrap();
    // A later fetch of the other node would loosen it: told to who follows, and not taken over.
    save(&one, &world.policy("a.example", "none", "mx.a.example", 50));
    let heard = two.changes(Kind::Policy, since, 9).unwrap();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].1.body.as_ref().unwrap().contains("none"));
    assert_eq!(two.changes(Kind::Policy, since, 9).unwrap(), [], "once");
    assert_eq!(
        known(&two, "a.example").as_deref(),
        Some("enforce mx.a.example")
    );
    drop(two);
    let two = world.node("two");
    assert_eq!(
        known(&two, "a.example").as_deref(),
        Some("enforce mx.a.example"),
        "after a restart"
    );
    // It fetches for itself.
    save(&two, &world.policy("a.example", "none", "mx.a.example", 10));
    assert_eq!(
        known(&two, "a.example").as_deref(),
        Some("none mx.a.example")
    );
    // A node that knows nothing takes what enforces, and looks for itself for all else.
    save(
        &one,
        &world.policy("b.example", "enforce", "mx.b.example", 10),
    );
    let three = world.node("three");
    assert_eq!(known(&three, "a.example"), None);
    assert_eq!(
        known(&three, "b.example").as_deref(),
        Some("enforce mx.b.example")
    );
}

#[test]
fn sts_60_with_the_database_gone_a_node_goes_on_starts_again_and_writes_what_it_has_learnt() {
    let Some(mut world) = World::new() else {
        return;
    };
    let one = world.node("one");
    save(
        &one,
        &world.policy("a.example", "enforce", "mx.a.example", 100),
    );
    one.write(&count(1)).unwrap();
    one.write(&trace("1")).unwrap();
    assert_eq!(one.trouble(), None);
    world.server.stop();
    save(
        &one,
        &world.policy("b.example", "enforce", "mx.b.example", 50),
    );
    one.write(&count(2)).unwrap();
    one.write(&trace("2")).unwrap();
    let told = one.trouble().unwrap();
    assert!(told.contains("does not answer since"), "{told}");
    assert_eq!(
        known(&one, "b.example").as_deref(),
        Some("enforce mx.b.example")
    );
    assert_eq!((one.counted(), traces(&one)), (3, 1), "what it has itself");
    drop(one);
    let one = world.node("one");
    assert!(one.trouble().is_some());
    for domain in ["a.example", "b.example"] {
        assert!(known(&one, domain).is_some(), "from the snapshot: {domain}");
    }
    one.write(&count(4)).unwrap();
    // Who has nothing to go by does not start with nothing.
    for own in [
        file(&world.snapshot("new")),
        Box::new(MemoryStore::default()) as Box<dyn Store>,
    ] {
        let error = world.open(own).map(drop).unwrap_err();
        assert!(
            matches!(error.fault, StoreFault::NoSnapshot { .. }),
            "{error}"
        );
    }
    world.server.go_on();
    one.hurry();
    assert!(one.changes(Kind::Policy, Revision::START, 9).is_ok());
    assert_eq!(one.trouble(), None);
    let two = world.open(Box::new(MemoryStore::default())).unwrap();
    assert_eq!(
        known(&two, "b.example").as_deref(),
        Some("enforce mx.b.example")
    );
    assert_eq!((two.counted(), traces(&two)), (7, 2));
    two.write(&count(10)).unwrap();
    assert_eq!(one.counted(), 17);
    drop(one);
    let one = world.node("one");
    assert_eq!((one.counted(), traces(&one)), (17, 2), "counted once");
}

#[test]
fn sts_60_a_database_that_has_lost_everything_gets_it_back() {
    let Some(mut world) = World::new() else {
        return;
    };
    let one = world.node("one");
    for domain in ["a.example", "b.example"] {
        save(&one, &world.policy(domain, "enforce", "mx.example", 100));
    }
    world.server = Server::start().unwrap();
    drop(one);
    let one = world.node("one");
    for domain in ["a.example", "b.example"] {
        assert!(known(&one, domain).is_some());
        assert!(known(&world.node("two"), domain).is_some());
    }
}

#[test]
fn a_policy_that_an_operator_has_had_forgotten_is_forgotten_by_all() {
    let Some(world) = World::new() else {
        return;
    };
    let (one, two) = (world.node("one"), world.node("two"));
    save(
        &one,
        &world.policy("a.example", "enforce", "mx.a.example", 100),
    );
    assert!(known(&two, "a.example").is_some());
    let forgotten = Row {
        body: None,
        at: Timestamp::from_unix(world.now),
        ..world.policy("a.example", "none", "mx.a.example", 0).row()
    };
    one.write(&Batch {
        rows: vec![forgotten],
        ..Batch::default()
    })
    .unwrap();
    assert_eq!(known(&two, "a.example"), None);
    let heard = two.changes(Kind::Policy, Revision::START, 9).unwrap();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].1.body, None);
}

#[test]
fn sts_60_a_node_whose_clock_is_ahead_makes_no_other_forget() {
    let Some(world) = World::new() else {
        return;
    };
    let (one, two) = (world.node("one"), world.node("two"));
    save(
        &one,
        &world.policy("a.example", "enforce", "mx.a.example", 100),
    );
    assert!(known(&two, "a.example").is_some());
    let forgotten = Row {
        body: None,
        at: Timestamp::from_unix(world.now + 3600),
        ..world.policy("a.example", "none", "mx.a.example", 0).row()
    };
    one.write(&Batch {
        rows: vec![forgotten],
        ..Batch::default()
    })
    .unwrap();
    two.changes(Kind::Policy, Revision::START, 9).unwrap();
    assert_eq!(
        known(&two, "a.example").as_deref(),
        Some("enforce mx.a.example")
    );
    drop(two);
    assert!(
        known(&world.node("two"), "a.example").is_some(),
        "read anew"
    );
}

/// Changes a row of a node's own store behind its back.
fn damage(world: &World, node: &str, key: &str) {
    let other = rusqlite::Connection::open(world.snapshot(node)).unwrap();
    let changed = other.execute("UPDATE row SET at = 7 WHERE key = ?1", [key]);
    assert_eq!(changed.unwrap(), 1, "{key}");
}

#[test]
fn sts_60_a_damaged_row_of_the_snapshot_is_told_and_keeps_no_peers_row_from_being_heard() {
    let Some(world) = World::new() else {
        return;
    };
    let (one, two) = (world.node("one"), world.node("two"));
    let enforce = |domain: &str, mx: &str, age| world.policy(domain, "enforce", mx, age);
    for domain in ["a.example", "b.example"] {
        save(&one, &enforce(domain, "mx.example", 100));
        assert!(known(&two, domain).is_some());
    }
    let since = two.changes(Kind::Policy, Revision::START, 9).unwrap();
    let since = since.last().unwrap().0;
    assert_eq!(two.trouble(), None);
    for domain in ["a.example", "b.example"] {
        damage(&world, "two", domain);
    }
    save(&one, &world.policy("a.example", "none", "mx.example", 50));
    save(&one, &enforce("b.example", "mx2.example", 50));
    save(&one, &enforce("c.example", "mx.example", 50));
    let heard = two.changes(Kind::Policy, since, 9).unwrap();
    let heard: Vec<&str> = heard.iter().map(|(_, row)| row.key.as_str()).collect();
    // The last one is what nobody here goes by before the domain has been asked.
    assert_eq!(heard, ["b.example", "c.example", "a.example"]);
    assert_eq!(
        known(&two, "b.example").as_deref(),
        Some("enforce mx2.example"),
        "what enforces is more than what cannot be read"
    );
    let unread = two.find(Kind::Policy, Query::Key("a.example"), 1);
    assert!(unread.unwrap_err().damaged().is_some(), "not loosened");
    let told = two.trouble().unwrap();
    assert!(told.contains("\"a.example\" of kind sts-policy"), "{told}");
    save(&two, &enforce("a.example", "mx.example", 10));
    assert_eq!(two.trouble(), None, "written anew");
}

#[test]
fn sts_09_what_a_damaged_snapshot_has_lost_is_read_again_from_the_database() {
    let Some(world) = World::new() else {
        return;
    };
    let one = world.node("one");
    for domain in ["a.example", "b.example"] {
        save(&one, &world.policy(domain, "enforce", "mx.example", 100));
    }
    drop(one);
    damage(&world, "one", "a.example");
    let mended = SqliteStore::open_mending(&world.snapshot("one"), SystemClock.wall()).unwrap();
    let one = world.open(Box::new(mended)).unwrap();
    for domain in ["a.example", "b.example"] {
        assert!(known(&one, domain).is_some(), "{domain}");
    }
    let lost = one.find(Kind::Lost, Query::Latest, 9).unwrap();
    assert_eq!(lost.len(), 1, "marks are the node's own");
}

#[test]
fn sts_60_a_damaged_row_of_the_snapshot_is_told_and_keeps_no_other_from_being_written() {
    let Some(mut world) = World::new() else {
        return;
    };
    let one = world.node("one");
    world.server.stop();
    for domain in ["a.example", "b.example", "c.example"] {
        save(&one, &world.policy(domain, "enforce", "mx.example", 50));
    }
    for key in ["1", "2", "3"] {
        one.write(&trace(key)).unwrap();
    }
    one.write(&count(3)).unwrap();
    for key in ["b.example", "2"] {
        damage(&world, "one", key);
    }
    world.server.go_on();
    one.hurry();
    assert!(one.changes(Kind::Pin, Revision::START, 9).is_ok());
    let told = one.trouble().unwrap();
    assert!(
        told.contains("\"b.example\" of kind sts-policy") && told.contains("1 more"),
        "{told}"
    );
    let two = world.open(Box::new(MemoryStore::default())).unwrap();
    for (domain, is_known) in [
        ("a.example", true),
        ("b.example", false),
        ("c.example", true),
    ] {
        assert_eq!(known(&two, domain).is_some(), is_known, "{domain}");
    }
    assert_eq!((two.counted(), traces(&two)), (3, 2));
}
