//! Many policies and many sessions at once.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::node::{Node, Told, cached, domain, live};
use super::world::{DAY, Host, NOW, Txt, WEEK, World, policy};
use crate::clock::Timestamp;
use crate::dns::Failure;
use crate::mtasts::fetch::FetchFailure;
use crate::mtasts::{Mode, PolicyId};
use crate::policy::cache::entry::ANSWER_LIFE;
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Kind, Query, Store, StoredPolicy};

/// A store that holds a policy of each of so many domains, all fetched two days ago.
fn crowded(domains: usize) -> Arc<dyn Store> {
    let store = MemoryStore::default();
    for number in 0..domains {
        let stored = StoredPolicy {
            domain: format!("d{number}.example").parse().unwrap(),
            id: PolicyId::stored("a".to_owned()),
            policy: Arc::new(policy(Mode::Enforce, WEEK, number)),
            fetched: Timestamp::from_unix(NOW - 2 * DAY),
        };
        store.write(&Batch::saving(&stored)).unwrap();
    }
    Arc::new(store)
}

#[test]
fn sts_29_policies_that_are_due_all_at_once_are_fetched_a_few_at_a_time_and_spread_afterwards() {
    const DOMAINS: usize = 800;
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::over(&world, crowded(DOMAINS));
    world.gate.forget_permits(Semaphore::MAX_PERMITS);
    node.runtime.block_on(async {
        let refreshing = node.cache.refresh_due();
        tokio::pin!(refreshing);
        for _ in 0..200 {
            tokio::select! {
                biased;
                () = &mut refreshing => panic!("nothing was served"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(world.facts().waiting, 32, "at a time");
        world.gate.add_permits(Semaphore::MAX_PERMITS / 2);
        refreshing.await;
    });
    assert_eq!(world.fetches(), DOMAINS, "each once");
    node.refresh();
    assert_eq!(world.fetches(), DOMAINS, "and not again");
    // From three quarters of a day on, a twenty-fourth of them each quarter of an hour.
    world.pass(DAY * 3 / 4);
    let mut before = world.fetches();
    for _ in 0..24 {
        world.pass(900);
        node.refresh();
        let now = world.fetches() - before;
        assert!(
            (1..=DOMAINS / 8).contains(&now),
            "{now} in a quarter of an hour"
        );
        before = world.fetches();
    }
    assert_eq!(before, 2 * DOMAINS, "within the day");
}

#[test]
fn attack_sts_10_memory_is_bounded_and_a_start_with_less_of_it_loses_nothing_from_the_store() {
    let world = World::of(Mode::Enforce, WEEK);
    let store = crowded(5000);
    let node = Node::over(&world, Arc::clone(&store));
    let vitals = node.cache.vitals();
    let held: usize = vitals.domains.iter().map(|domains| domains.1).sum();
    assert!((500..2000).contains(&held), "{held} in a mebibyte");
    let kept = store.find(Kind::Policy, Query::Latest, 9999).unwrap();
    assert_eq!(kept.len(), 5000);
    assert_eq!(vitals.evicted_enforced, (5000 - held) as u64);
}

#[test]
fn attack_sts_11_a_thousand_sessions_make_one_discovery() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    let domain = domain();
    let states = node
        .runtime
        .block_on(join_all((0..1000).map(|_| node.cache.state(&domain))));
    assert!(
        states
            .iter()
            .all(|state| Told::from(state) == live("Enforce mx0.example"))
    );
    assert_eq!((world.questions(), world.fetches()), (1, 1));
}

#[test]
fn attack_sts_11_a_session_that_goes_away_leaves_the_others_their_answer() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    world.gate.forget_permits(Semaphore::MAX_PERMITS);
    let domain = domain();
    let state = node.runtime.block_on(async {
        let leader = node.cache.state(&domain);
        let leaves_soon = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            state = leader => panic!("nothing was served: {state:?}"),
            () = leaves_soon => {}
        }
        let (state, ()) = tokio::join!(node.cache.state(&domain), async {
            tokio::task::yield_now().await;
            world.gate.add_permits(1);
        });
        state
    });
    assert_eq!(Told::from(&state), live("Enforce mx0.example"));
    assert_eq!((world.questions(), world.fetches()), (1, 1));
}

#[test]
fn attack_sts_11_a_discovery_that_breaks_off_is_unknown_and_the_next_one_works() {
    let world = World::new(Txt::id("v=STSv1; id=a"), Host::Panics);
    let node = Node::new(&world);
    let broken = Failure::Unreachable("the discovery was broken off".to_owned());
    assert_eq!(node.told(), Told::Unknown(broken.clone()));
    world.serves(Host::Serves(Mode::Enforce, WEEK));
    assert_eq!(node.told(), live("Enforce mx0.example"));
    world.says(Txt::id("v=STSv1; id=b"));
    world.serves(Host::Panics);
    world.pass(ANSWER_LIFE.as_secs());
    let failure = FetchFailure::Fetch(broken.to_string());
    assert_eq!(
        node.told(),
        cached("Enforce mx0.example", failure),
        "what is live stays"
    );
}
