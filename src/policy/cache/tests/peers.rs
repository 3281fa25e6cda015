//! Policies that others have written, beside what the domain itself says.

use std::sync::Arc;

use proptest::prelude::*;

use super::node::{Node, Told, domain, live};
use super::property::{Event, event, must_hold};
use super::world::{DAY, Host, Txt, WEEK, World, refused, unreachable};
use crate::clock::Timestamp;
use crate::mtasts::{Mode, Policy, PolicyId};
use crate::policy::StsState;
use crate::store::{Batch, Follower, Kind, Revision, Row, StoredPolicy};

/// A policy that a peer has fetched `age` seconds before now, with the hosts `mx…` of these numbers.
fn peers(world: &World, mode: Mode, max_age: u64, numbers: &[usize], age: u64) -> Row {
    let mx: String = numbers
        .iter()
        .map(|number| format!("mx: mx{number}.example\n"))
        .collect();
    let mode = mode.label();
    let text = format!("version: STSv1\nmode: {mode}\nmax_age: {max_age}\n{mx}");
    StoredPolicy {
        domain: domain(),
        id: PolicyId::stored("peer".to_owned()),
        policy: Arc::new(Policy::parse(text.as_bytes()).unwrap()),
        fetched: Timestamp::from_unix(world.facts().wall - age),
    }
    .row()
}

fn forgotten(world: &World, age: u64) -> Row {
    Row {
        body: None,
        ..peers(world, Mode::None, 1, &[0], age)
    }
}

impl Node {
    fn hear(&self, row: Row) {
        self.cache.follows().heard(row);
    }

    fn settle(&self) {
        self.runtime.block_on(self.cache.settle_doubts());
    }
}

#[test]
fn sts_60_a_peers_policy_serves_where_none_is_known() {
    let world = World::new(Txt::Unreachable, Host::Fails(refused()));
    let node = Node::new(&world);
    assert_eq!(node.told(), Told::Unknown(unreachable()));
    node.hear(peers(&world, Mode::Enforce, WEEK, &[7], 60));
    assert!(matches!(node.told(), Told::Cached(name, _) if name == "Enforce mx7.example"));
    world.pass(WEEK - 60);
    assert_eq!(node.told(), Told::Unknown(unreachable()), "from its fetch");
}

#[test]
fn sts_60_a_peers_policy_that_enforces_nothing_never_stands_in_for_the_nodes_own_look() {
    for mode in [Mode::None, Mode::Testing] {
        // What the peer knows has the id that is announced: only a look of this node's own tells them apart.
        let world = World::new(
            Txt::id("v=STSv1; id=peer"),
            Host::Serves(Mode::Enforce, WEEK),
        );
        let node = Node::new(&world);
        node.hear(peers(&world, mode, WEEK, &[7], 60));
        assert_eq!(node.told(), live("Enforce mx0.example"), "{mode:?}");
        assert_eq!(world.fetches(), 1);

        // Where that cannot be known, it stays unknown.
        let world = World::new(Txt::Unreachable, Host::Fails(refused()));
        let node = Node::new(&world);
        node.hear(peers(&world, mode, WEEK, &[7], 60));
        assert_eq!(node.told(), Told::Unknown(unreachable()), "{mode:?}");
    }
}

#[test]
fn sts_60_a_peers_other_policy_beside_one_that_enforces_nothing_makes_the_node_look_for_itself() {
    let world = World::of(Mode::Testing, WEEK);
    let node = Node::new(&world);
    node.state();
    world.pass(3600);
    node.hear(peers(&world, Mode::None, WEEK, &[7], 1));
    assert_eq!(node.told(), live("Testing mx0.example"));
    world.says(Txt::id("v=STSv1; id=b"));
    world.serves(Host::Serves(Mode::Enforce, WEEK));
    node.settle();
    assert_eq!(node.told(), live("Enforce mx1.example"), "its own");
}

#[test]
fn sts_60_a_peers_policy_that_would_loosen_makes_the_node_look_for_itself() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    world.pass(3600);
    node.hear(peers(&world, Mode::None, WEEK, &[7], 1));
    assert_eq!(node.told(), live("Enforce mx0.example"));
    let questions = world.questions();
    node.settle();
    assert_eq!(
        (world.questions(), world.fetches()),
        (questions + 1, 1),
        "nothing new is announced"
    );
    world.says(Txt::id("v=STSv1; id=b"));
    world.serves(Host::Serves(Mode::None, WEEK));
    node.hear(peers(&world, Mode::None, WEEK, &[7], 0));
    node.settle();
    assert_eq!(node.told(), live("None mx1.example"), "from its own fetch");
    node.settle();
    assert_eq!(world.fetches(), 2, "a doubt is settled once");
}

#[test]
fn sts_60_what_an_operator_has_had_forgotten_is_dropped_unless_fetched_later() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    node.hear(forgotten(&world, 1));
    assert_eq!(node.told(), live("Enforce mx0.example"), "before its fetch");
    world.says(Txt::Absent);
    node.hear(forgotten(&world, 0));
    assert_eq!(node.told(), Told::None);
}

#[test]
fn sts_60_what_is_forgotten_at_a_time_that_has_not_come_stays_in_force() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    world.says(Txt::Absent);
    let now = world.facts().wall;
    let ahead = |seconds: u64| Row {
        at: Timestamp::from_unix(now + seconds),
        ..forgotten(&world, 0)
    };
    node.hear(ahead(301));
    assert_eq!(node.told(), live("Enforce mx0.example"));
    node.hear(ahead(300));
    assert_eq!(node.told(), Told::None, "within what clocks may differ");
}

#[test]
fn a_row_that_cannot_be_read_changes_nothing_and_keeps_no_other_from_being_heard() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    for body in ["", "{}", "{\"id\":\"a\",\"text\":\"version: STSv2\"}"] {
        node.hear(Row {
            body: Some(body.to_owned()),
            ..peers(&world, Mode::None, WEEK, &[7], 0)
        });
    }
    assert_eq!(node.told(), live("Enforce mx0.example"));
}

#[test]
fn a_follower_passes_on_what_has_been_written_since_the_cache_was_opened() {
    let world = World::new(Txt::Unreachable, Host::Fails(refused()));
    let node = Node::new(&world);
    let mut follower =
        Follower::new(Arc::clone(&node.store)).with(node.cache.follows(), node.cache.loaded());
    assert_eq!(node.cache.loaded(), Revision::START);
    assert_eq!(node.cache.follows().kind(), Kind::Policy);
    for number in [3, 4] {
        node.store
            .write(&Batch {
                rows: vec![peers(
                    &world,
                    Mode::Enforce,
                    WEEK,
                    &[number],
                    5 - number as u64,
                )],
                ..Batch::default()
            })
            .unwrap();
        follower.hear().unwrap();
        let told = node.told();
        // The second lists another host than the first: the node would have to see for itself.
        assert!(
            matches!(&told, Told::Cached(name, _) if name == "Enforce mx3.example"),
            "{told:?}"
        );
    }
}

#[derive(Clone, Debug)]
enum Happens {
    Here(Event),
    /// A peer's policy: mode, life, hosts, age.
    There(Mode, u64, Vec<usize>, u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let mode = prop::sample::select(vec![Mode::Enforce, Mode::Testing, Mode::None]);
    let life = prop::sample::select(vec![1, 400, DAY, WEEK, 31_557_600]);
    let hosts = prop::sample::subsequence(vec![0, 1, 2, 3, 4], 1..4);
    let there = (mode, life, hosts, prop::sample::select(vec![0, 1, 60, DAY]));
    let here = event().prop_filter("the clock does not step, the process goes on", |event| {
        !matches!(event, Event::StepWall(_) | Event::Restart)
    });
    prop_oneof![
        3 => here.prop_map(Happens::Here),
        1 => there.prop_map(|(mode, life, hosts, age)| Happens::There(mode, life, hosts, age)),
    ]
}

proptest! {
    #[test]
    fn sts_60_no_peer_and_no_failure_loosens_what_the_domain_itself_has_asked_for(
        all in prop::collection::vec(happens(), 1..80),
    ) {
        let world = World::of(Mode::Enforce, WEEK);
        let node = Node::new(&world);
        for one in all {
            match one {
                Happens::Here(Event::Says(txt)) => world.says(txt),
                Happens::Here(Event::Serves(host)) => world.serves(host),
                Happens::Here(Event::Pass(seconds)) => world.pass(seconds),
                Happens::Here(Event::Recheck) => node.recheck(),
                Happens::Here(Event::Refresh) => node.refresh(),
                Happens::Here(Event::Contact | Event::StepWall(_) | Event::Restart) => {}
                Happens::There(mode, life, hosts, age) => {
                    node.hear(peers(&world, mode, life, &hosts, age));
                    node.settle();
                }
            }
            let state = node.state();
            let Some(asked) = must_hold(&world).filter(|asked| asked.mode == Mode::Enforce) else {
                continue;
            };
            match state {
                StsState::Live { policy, .. } => {
                    prop_assert_eq!(policy.mode, Mode::Enforce);
                    prop_assert!(policy.mx.iter().all(|mx| asked.mx.contains(mx)), "{:?} of {:?}", policy, asked);
                }
                other @ (StsState::None | StsState::FetchFailed(_) | StsState::Unknown(_)) => prop_assert!(false, "{:?} loosens {:?}", other, asked),
            }
        }
    }
}
