//! Domains whose policies a damaged store has lost.

use std::sync::Arc;

use super::node::{Node, Told, cached, domain, kept, live};
use super::world::{Host, NOW, Txt, WEEK, World, refused, unreachable};
use crate::clock::Timestamp;
use crate::mtasts::Mode;
use crate::policy::cache::Standing;
use crate::policy::cache::entry::Patience;
use crate::policy::cache::lost::marked;
use crate::store::broken::Broken;
use crate::store::{Batch, Kind, Query, Row, Store};

/// A node that starts with a store that has lost the policy of the domain.
fn bereft(world: &Arc<World>) -> Node {
    let store = Arc::new(Broken::default());
    let row = Row {
        kind: Kind::Lost,
        key: domain().to_string(),
        about: domain().to_string(),
        at: Timestamp::from_unix(NOW),
        body: Some("{}".to_owned()),
    };
    let batch = Batch {
        rows: vec![row],
        ..Batch::default()
    };
    store.write(&batch).unwrap();
    Node::over(world, store)
}

fn is_marked(node: &Node) -> bool {
    let found = node.store.find(Kind::Lost, Query::Latest, 9).unwrap();
    !found.is_empty()
}

impl Node {
    fn ask_lost(&self) {
        self.runtime.block_on(self.cache.ask_lost());
    }

    fn is_waited_for(&self) -> bool {
        matches!(self.told(), Told::Unknown(_))
    }
}

#[test]
fn sts_09_a_domain_whose_policy_is_lost_is_unknown_until_it_has_answered_over_restarts() {
    let quarter = Patience::Until(std::time::Duration::from_mins(15));
    let world = World::patient(Txt::Unreachable, Host::Fails(refused()), quarter);
    let mut node = bereft(&world);
    // Whoever keeps the policy from being heard does not win by it, however long.
    for says in [
        Txt::Unreachable,
        Txt::Bogus,
        Txt::id("v=STSv1; id=a"),
        Txt::Unreachable,
    ] {
        world.says(says.clone());
        for _ in 0..4 {
            node.ask_lost();
            assert!(node.is_waited_for(), "{says:?}: {:?}", node.told());
            world.pass(600);
        }
        node.restart();
    }
    assert!(is_marked(&node));
    assert_eq!(node.cache.told(&domain()).unwrap().standing, Standing::Lost);
    // It is asked for without any mail, and is in force at once.
    world.says(Txt::id("v=STSv1; id=a"));
    world.serves(Host::Serves(Mode::Enforce, WEEK));
    world.pass(600);
    node.ask_lost();
    assert_eq!(kept(&node).len(), 1);
    assert!(!is_marked(&node));
    world.says(Txt::Absent);
    world.pass(61);
    assert!(matches!(node.told(), Told::Cached(name, _) if name.starts_with("Enforce")));
}

#[test]
fn sts_09_a_lost_policy_is_fetched_where_no_record_announces_it_and_gone_where_none_is_served() {
    for says in [Txt::Absent, Txt::Unreachable] {
        let world = World::new(says.clone(), Host::Serves(Mode::Enforce, WEEK));
        let node = bereft(&world);
        let told = node.told();
        assert!(
            told == live("Enforce mx0.example") || told == cached("Enforce mx0.example", refused()),
            "{says:?}: {told:?}"
        );
        assert!(!is_marked(&node), "{says:?}");
    }
    let world = World::new(Txt::Absent, Host::Fails(refused()));
    let mut node = bereft(&world);
    assert_eq!(node.told(), Told::None, "DNS says no, and so does the host");
    assert_eq!(world.fetches(), 1);
    assert!(!is_marked(&node));
    node.restart();
    world.says(Txt::Unreachable);
    world.pass(61);
    assert_eq!(node.told(), Told::Unknown(unreachable()));
}

#[test]
fn sts_09_an_operator_may_end_the_wait_for_a_lost_policy_and_no_clock_does() {
    let world = World::new(Txt::id("v=STSv1; id=a"), Host::Fails(refused()));
    let node = bereft(&world);
    assert!(node.is_waited_for());
    let dropped = node.runtime.block_on(node.cache.forget(&domain())).unwrap();
    assert_eq!(dropped.unwrap().standing, Standing::Lost);
    assert!(!is_marked(&node));
    assert!(matches!(node.told(), Told::FetchFailed(_)));

    let mut node = bereft(&world);
    world.pass(31_557_600);
    node.restart();
    assert!(node.is_waited_for(), "{:?}", node.told());
}

#[test]
fn sts_09_a_command_beside_the_proxy_ends_the_wait_too_unless_the_loss_was_noticed_later() {
    for (age, deletes, ends) in [(1, false, false), (1, true, true), (0, false, true)] {
        let world = World::new(Txt::id("v=STSv1; id=a"), Host::Fails(refused()));
        let node = bereft(&world);
        let forgotten = Row {
            kind: Kind::Policy,
            key: domain().to_string(),
            about: domain().to_string(),
            at: Timestamp::from_unix(NOW - age),
            body: None,
        };
        if deletes {
            let batch = Batch {
                gone: vec![marked(&domain())],
                ..Batch::default()
            };
            node.store.write(&batch).unwrap();
        }
        node.cache.follows().heard(forgotten);
        let case = format!("{age} {deletes}");
        assert_eq!(!node.is_waited_for(), ends, "{case}: {:?}", node.told());
        assert_eq!(!is_marked(&node), ends, "{case}");
    }
}

#[test]
fn attack_sts_10_a_lost_policy_is_waited_for_however_full_memory_is() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = bereft(&world);
    for number in 0..1500 {
        let other = format!("d{number}.example").parse().unwrap();
        node.runtime.block_on(node.cache.state(&other));
    }
    assert!(node.cache.vitals().evicted_enforced > 0, "it is full");
    world.serves(Host::Fails(refused()));
    for _ in 0..2 {
        assert!(node.is_waited_for(), "{:?}", node.told());
        world.pass(600);
    }
    assert_eq!(node.cache.told(&domain()).unwrap().standing, Standing::Lost);
}
