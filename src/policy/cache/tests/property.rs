//! Whatever happens, in any order.

use proptest::prelude::*;

use super::node::Node;
use super::world::{DAY, Host, Txt, WEEK, World, refused};
use crate::mtasts::fetch::FetchFailure;
use crate::mtasts::{Mode, Policy};
use crate::policy::StsState;
use crate::policy::cache::entry::BACK_OFF;

#[derive(Clone, Debug)]
pub(super) enum Event {
    Says(Txt),
    Serves(Host),
    Pass(u64),
    StepWall(i64),
    Contact,
    Recheck,
    Refresh,
    Restart,
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let txt = prop_oneof![
        4 => prop::sample::select(vec!["v=STSv1; id=a", "v=STSv1; id=b", "v=STSv1; id=c"]).prop_map(Txt::id),
        1 => Just(Txt::Absent),
        1 => Just(Txt::Records(vec!["v=STSv1; id=a", "v=STSv1; id=b"])),
        1 => Just(Txt::id("v=STSv1; nothing")),
        1 => Just(Txt::Bogus),
        1 => Just(Txt::Unreachable),
    ];
    let mode = prop::sample::select(vec![
        Mode::Enforce,
        Mode::Enforce,
        Mode::Testing,
        Mode::None,
    ]);
    let max_age = prop::sample::select(vec![0, 1, 59, 400, DAY, WEEK, 31_557_600]);
    let host = prop_oneof![
        3 => (mode, max_age).prop_map(|(mode, max_age)| Host::Serves(mode, max_age)),
        1 => Just(Host::Fails(refused())),
        1 => Just(Host::Fails(FetchFailure::WebPki("expired".to_owned()))),
        1 => Just(Host::Fails(FetchFailure::Invalid("line 1".to_owned()))),
    ];
    let seconds = prop::sample::select(vec![
        1,
        9,
        11,
        61,
        301,
        3601,
        DAY / 2,
        DAY,
        WEEK - 1,
        WEEK,
        40_000_000,
    ]);
    let step = prop::sample::select(vec![
        -70_000_000_i64,
        -100_000,
        -30,
        30,
        100_000,
        70_000_000,
    ]);
    prop_oneof![
        2 => txt.prop_map(Event::Says),
        2 => host.prop_map(Event::Serves),
        3 => seconds.prop_map(Event::Pass),
        1 => step.prop_map(Event::StepWall),
        5 => Just(Event::Contact),
        1 => Just(Event::Recheck),
        1 => Just(Event::Refresh),
        1 => Just(Event::Restart),
    ]
}

/// The policy that must be in force, told from nothing but what the host has served and when.
pub(super) fn must_hold(world: &World) -> Option<Policy> {
    let facts = world.facts();
    let last = facts
        .fetches
        .iter()
        .rfind(|fetched| fetched.served.is_some())?;
    let policy = last.served.clone()?;
    (facts.wall.saturating_sub(last.wall) < policy.max_age.as_secs()).then_some(policy)
}

fn check_contact(node: &Node) -> Result<(), TestCaseError> {
    let before = node.world.fetches();
    let state = node.state();
    let served_now = node
        .world
        .facts()
        .fetches
        .get(before)
        .and_then(|fetched| fetched.served.clone());
    match (&state, must_hold(&node.world)) {
        (StsState::Live { policy, .. }, Some(expected)) => prop_assert_eq!(&**policy, &expected),
        (_, Some(expected)) => prop_assert!(false, "{:?} loosens {:?}", state, expected),
        // Of a life of nothing: for the session that has fetched it, and for those that come too soon to fetch again.
        (StsState::Live { policy, .. }, None) => {
            let facts = node.world.facts();
            let last = facts
                .fetches
                .iter()
                .rfind(|fetched| fetched.served.is_some());
            let last = last.expect("only what was served is live");
            prop_assert_eq!(Some(&**policy), last.served.as_ref());
            prop_assert!(served_now.is_some() || facts.elapsed - last.elapsed < BACK_OFF);
        }
        (_, None) => {}
    }
    Ok(())
}

/// STS-26: sessions do not repeat a failed fetch within five minutes, unless the id has changed meanwhile.
fn check_pace(world: &World) -> Result<(), TestCaseError> {
    let facts = world.facts();
    for pair in facts.fetches.windows(2) {
        if let [first, second] = pair {
            let pause = second.elapsed - first.elapsed;
            prop_assert!(first.served.is_some() || pause >= BACK_OFF, "{:?}", pair);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn sts_28_sts_07_whatever_happens_only_a_fetched_policy_replaces_a_live_one(
        events in prop::collection::vec(event(), 1..60),
    ) {
        let world = World::of(Mode::Enforce, WEEK);
        let mut node = Node::new(&world);
        for event in events {
            match event {
                Event::Says(txt) => world.says(txt),
                Event::Serves(host) => world.serves(host),
                Event::Pass(seconds) => world.pass(seconds),
                Event::StepWall(seconds) => world.step_wall(seconds),
                Event::Contact => check_contact(&node)?,
                Event::Recheck => node.recheck(),
                Event::Refresh => node.refresh(),
                Event::Restart => node.restart(),
            }
        }
        check_contact(&node)?;
    }

    #[test]
    fn sts_26_whatever_happens_one_id_is_not_fetched_again_soon_after_a_failure(
        events in prop::collection::vec(event(), 1..60),
    ) {
        let world = World::of(Mode::Enforce, WEEK);
        let node = Node::new(&world);
        for event in events {
            match event {
                // One id all the time: another may be fetched at once.
                Event::Says(txt) => world.says(match txt {
                    Txt::Records(_) => Txt::id("v=STSv1; id=a"),
                    Txt::Restless | Txt::Absent | Txt::Bogus | Txt::Unreachable => txt,
                }),
                Event::Serves(host) => world.serves(host),
                Event::Pass(seconds) => world.pass(seconds),
                Event::StepWall(seconds) => world.step_wall(seconds),
                Event::Contact => drop(node.state()),
                Event::Recheck => node.recheck(),
                Event::Refresh => node.refresh(),
                // A new process has not seen the failure.
                Event::Restart => {}
            }
        }
        check_pace(&world)?;
    }
}
