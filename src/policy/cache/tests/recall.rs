//! Enforced policies that memory has no room for: the store has them, and no domain counts as one without before it was
//! read.

use std::sync::Arc;

use super::node::{Node, Told, domain, kept, live};
use super::world::{Host, NOW, Txt, WEEK, World, policy, refused};
use crate::clock::Timestamp;
use crate::mtasts::{Mode, PolicyId};
use crate::name::Domain;
use crate::policy::StsState;
use crate::policy::cache::Offered;
use crate::policy::cache::entry::ANSWER_LIFE;
use crate::store::broken::Broken;
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Row, Store, StoredPolicy};

/// More than fit into the memory of a node.
const MANY: usize = 1500;

/// A node that knew the policy of the domain before those of too many others.
fn overflowing(world: &Arc<World>, store: Arc<dyn Store>) -> Node {
    let node = Node::over(world, store);
    assert_eq!(node.told(), live("Enforce mx0.example"));
    for number in 0..MANY {
        let other = format!("d{number}.example").parse().unwrap();
        let state = node.runtime.block_on(node.cache.state(&other));
        assert!(state.enforces(), "{other}");
    }
    assert!(node.cache.vitals().evicted_enforced > 0);
    assert_eq!(node.cache.told(&domain()), None, "crowded out");
    node
}

fn is_cached(told: &Told) -> bool {
    matches!(told, Told::Cached(name, _) if name == "Enforce mx0.example")
}

#[test]
fn attack_sts_10_an_enforced_policy_that_is_crowded_out_stays_in_the_store_and_is_found_again() {
    let world = World::of(Mode::Enforce, WEEK);
    let mut node = overflowing(&world, Arc::new(Broken::default()));
    assert_eq!(kept(&node).len(), MANY + 1);
    // Now whoever wants to loosen it hides it.
    world.serves(Host::Fails(refused()));
    for txt in [Txt::Absent, Txt::Bogus, Txt::Unreachable] {
        world.says(txt.clone());
        assert!(is_cached(&node.told()), "{txt:?}");
        node.restart();
        assert!(is_cached(&node.told()), "{txt:?}, after a start");
        node.restart();
    }
    world.pass(WEEK);
    world.says(Txt::Absent);
    assert_eq!(node.told(), Told::None, "to the end of its life");
}

#[test]
fn attack_sts_12_a_full_memory_and_a_clock_that_jumps_lose_no_enforced_policy_once_it_is_right_again()
 {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::over(&world, Arc::new(Broken::default()));
    assert_eq!(node.told(), live("Enforce mx0.example"));
    world.step_wall(400 * 86_400);
    node.clock_was_set();
    for number in 0..MANY {
        let other = format!("d{number}.example").parse().unwrap();
        node.runtime.block_on(node.cache.state(&other));
    }
    assert_eq!(node.cache.told(&domain()), None, "crowded out");
    assert!(kept(&node).iter().any(|kept| kept.domain == domain()));
    world.step_wall(-400 * 86_400);
    node.clock_was_set();
    world.says(Txt::Absent);
    world.serves(Host::Fails(refused()));
    assert!(is_cached(&node.told()), "{:?}", node.told());
}

#[test]
fn sts_09_what_a_full_disk_did_not_take_is_not_lost_when_it_is_crowded_out() {
    let world = World::of(Mode::Enforce, WEEK);
    let broken = Arc::new(Broken::default());
    broken.refuse_writes();
    let mut node = overflowing(&world, broken.clone());
    assert_eq!(kept(&node), []);
    world.says(Txt::Absent);
    world.serves(Host::Fails(refused()));
    assert!(is_cached(&node.told()), "while the disk is full");
    broken.mend();
    node.runtime.block_on(node.cache.write_again());
    assert_eq!(kept(&node).len(), MANY + 1);
    node.restart();
    assert!(is_cached(&node.told()), "after a start");
}

#[test]
fn attack_sts_12_what_a_full_disk_did_not_take_outlives_a_clock_that_jumps() {
    let world = World::of(Mode::Enforce, WEEK);
    let broken = Arc::new(Broken::default());
    broken.refuse_writes();
    let mut node = overflowing(&world, broken.clone());
    world.says(Txt::Absent);
    world.serves(Host::Fails(refused()));
    world.step_wall(400 * 86_400);
    node.clock_was_set();
    node.runtime.block_on(node.cache.write_again());
    assert_eq!(kept(&node), [], "the disk is full");
    broken.mend();
    node.runtime.block_on(node.cache.write_again());
    assert_eq!(kept(&node).len(), MANY + 1);
    world.step_wall(-400 * 86_400);
    node.restart();
    assert!(is_cached(&node.told()), "{:?}", node.told());
}

#[test]
fn sts_09_what_an_operator_has_had_forgotten_is_not_written_over_that_later() {
    let world = World::of(Mode::Enforce, WEEK);
    let broken = Arc::new(Broken::default());
    broken.refuse_writes();
    let node = overflowing(&world, broken.clone());
    broken.mend();
    // Another process writes to the same store.
    let learnt = StoredPolicy {
        domain: domain(),
        id: PolicyId::stored("a".to_owned()),
        policy: Arc::new(policy(Mode::Enforce, WEEK, 0)),
        fetched: Timestamp::from_unix(NOW),
    };
    let forgotten = Row {
        body: None,
        ..learnt.row()
    };
    let batch = Batch {
        rows: vec![forgotten.clone()],
        ..Batch::default()
    };
    node.store.write(&batch).unwrap();
    node.cache.follows().heard(forgotten);
    node.runtime.block_on(node.cache.write_again());
    assert_eq!(kept(&node).len(), MANY, "all but the one");
    world.says(Txt::Absent);
    world.serves(Host::Fails(refused()));
    assert_eq!(node.told(), Told::None);
}

#[test]
fn attack_sts_10_what_is_learnt_anew_is_not_undone_by_a_write_that_was_begun_before() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::over(&world, Arc::new(Broken::default()));
    assert_eq!(node.told(), live("Enforce mx0.example"));
    let learnt = kept(&node);
    let crowded_out = Batch::removing([&domain()]);
    let earlier = Batch::saving(&StoredPolicy {
        domain: domain(),
        id: PolicyId::stored("earlier".to_owned()),
        policy: Arc::new(policy(Mode::Testing, WEEK, 7)),
        fetched: Timestamp::from_unix(NOW - 30),
    });
    for late in [crowded_out, earlier] {
        let writing = node.cache.shared.write(late);
        node.runtime.block_on(writing).unwrap();
        assert_eq!(kept(&node), learnt);
    }
}

#[test]
fn attack_sts_10_with_a_store_that_cannot_be_read_what_was_crowded_out_is_unknown_and_not_none() {
    let world = World::of(Mode::Enforce, WEEK);
    let broken = Arc::new(Broken::default());
    let node = overflowing(&world, broken.clone());
    world.says(Txt::Absent);
    world.serves(Host::Fails(refused()));
    broken.refuse_reads();
    for _ in 0..2 {
        assert!(matches!(node.told(), Told::Unknown(_)));
    }
    let last = format!("d{}.example", MANY - 1).parse().unwrap();
    let state = node.runtime.block_on(node.cache.state(&last));
    assert!(state.enforces(), "what is in memory needs no store");
    broken.mend();
    assert!(is_cached(&node.told()));
    // What is served now is not unknown, whatever was before.
    broken.refuse_reads();
    world.says(Txt::id("v=STSv1; id=b"));
    world.serves(Host::Serves(Mode::Testing, WEEK));
    let new = "new.example".parse().unwrap();
    let state = node.runtime.block_on(node.cache.state(&new));
    assert!(matches!(state, StsState::Live { .. }));
}

#[test]
fn sts_60_a_peer_does_not_loosen_what_was_crowded_out() {
    let world = World::of(Mode::Enforce, WEEK);
    let broken = Arc::new(Broken::default());
    let node = overflowing(&world, broken.clone());
    world.says(Txt::Absent);
    world.serves(Host::Fails(refused()));
    let offered = StoredPolicy {
        domain: domain(),
        id: PolicyId::stored("peer".to_owned()),
        policy: Arc::new(policy(Mode::Testing, WEEK, 7)),
        fetched: Timestamp::from_unix(NOW + 30),
    };
    world.pass(60);
    broken.refuse_reads();
    node.cache.follows().heard(offered.row());
    assert_eq!(
        node.cache.told(&domain()),
        None,
        "unread, it is not adopted"
    );
    broken.mend();
    node.cache.follows().heard(offered.row());
    assert!(is_cached(&node.told()));
    let weighed = node.runtime.block_on(node.cache.weigh(&offered)).unwrap();
    assert!(matches!(weighed, Offered::Refused(_)), "{weighed:?}");
}

#[test]
fn attack_sts_10_where_the_store_is_memory_too_it_is_bounded_as_well() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = overflowing(&world, Arc::new(MemoryStore::default()));
    let held: usize = node.cache.vitals().domains.iter().map(|one| one.1).sum();
    assert_eq!(kept(&node).len(), held);
}

#[test]
fn a_domain_without_a_policy_costs_the_store_one_question() {
    let world = World::of(Mode::Enforce, WEEK);
    let broken = Arc::new(Broken::default());
    let node = overflowing(&world, broken.clone());
    world.says(Txt::Absent);
    // Room for what is known of it.
    let last = format!("d{}.example", MANY - 1).parse().unwrap();
    node.runtime.block_on(node.cache.forget(&last)).unwrap();
    let new: Domain = "new.example".parse().unwrap();
    let state = || node.runtime.block_on(node.cache.state(&new));
    assert!(matches!(state(), StsState::None));
    world.pass(ANSWER_LIFE.as_secs());
    broken.refuse_reads();
    assert!(
        matches!(state(), StsState::None),
        "it is known to hold nothing"
    );
}
