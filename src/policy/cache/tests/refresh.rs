//! Refreshes ahead of any session, and what is told of policies that cannot be had.

use super::node::{Node, Told, cached};
use super::world::{DAY, Host, Txt, WEEK, World, refused};
use crate::mtasts::Mode;
use crate::mtasts::fetch::FetchFailure;
use crate::policy::cache::entry::BACK_OFF;

#[test]
fn sts_29_sts_73_policies_are_refreshed_daily_whatever_the_record_says() {
    for txt in [
        Txt::id("v=STSv1; id=a"),
        Txt::Absent,
        Txt::Bogus,
        Txt::Unreachable,
    ] {
        let world = World::of(Mode::Enforce, WEEK);
        let node = Node::new(&world);
        node.state();
        world.says(txt.clone());
        world.pass(DAY * 3 / 4 - 1);
        node.refresh();
        assert_eq!(world.fetches(), 1, "{txt:?}: not due");
        world.pass(DAY / 4 + 1);
        node.refresh();
        assert_eq!(world.fetches(), 2, "{txt:?}: due");
        world.pass(WEEK - 1);
        let told = node.told();
        assert!(
            matches!(&told, Told::Live(name) | Told::Cached(name, _) if name == "Enforce mx1.example"),
            "{txt:?}: it lives from its second fetch: {told:?}"
        );
    }
}

#[test]
fn sts_29_a_refresh_that_fails_is_repeated_hourly_and_told_to_sessions() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    world.serves(Host::Fails(refused()));
    world.pass(DAY);
    for _ in 0..3 {
        node.refresh();
    }
    assert_eq!(world.fetches(), 2);
    assert_eq!(node.told(), cached("Enforce mx0.example", refused()));
    world.pass(3600);
    node.refresh();
    assert_eq!(world.fetches(), 3);
    // A life shorter than two days is refreshed at its half.
    let world = World::of(Mode::Enforce, DAY);
    let node = Node::new(&world);
    node.state();
    world.pass(DAY / 2);
    node.refresh();
    assert_eq!(world.fetches(), 2);
}

#[test]
fn sts_30_an_enforced_policy_that_cannot_be_refreshed_is_told_of_well_before_it_ends() {
    for (mode, max_age, not_yet, soon) in [
        (Mode::Enforce, WEEK, WEEK * 3 / 4 - 1, WEEK * 3 / 4),
        (Mode::Enforce, DAY, DAY * 3 / 4 - 1, DAY * 3 / 4),
        (
            Mode::Enforce,
            31_557_600,
            31_557_600 - 3 * DAY - 1,
            31_557_600 - 3 * DAY,
        ),
        (Mode::Testing, WEEK, WEEK - 2, WEEK),
        (Mode::None, WEEK, WEEK - 2, WEEK),
    ] {
        let world = World::of(mode, max_age);
        let node = Node::new(&world);
        node.state();
        world.serves(Host::Fails(refused()));
        let expiring = || node.cache.vitals().expiring;
        world.pass(not_yet);
        assert_eq!(expiring(), 0, "{mode:?} {max_age}");
        world.pass(soon - not_yet);
        let told = usize::from(mode == Mode::Enforce);
        assert_eq!(expiring(), told, "{mode:?} {max_age}");
        world.pass(max_age - soon);
        assert_eq!(expiring(), 0, "{mode:?} {max_age}: over");
        world.serves(Host::Serves(mode, max_age));
        world.pass(BACK_OFF.as_secs());
        node.state();
        assert_eq!(expiring(), 0, "{mode:?} {max_age}: refreshed");
    }
}

#[test]
fn what_is_known_and_what_became_of_fetches_is_counted() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    world.serves(Host::Fails(FetchFailure::Invalid("line 1".to_owned())));
    world.says(Txt::id("v=STSv1; id=b"));
    node.recheck();
    let vitals = node.cache.vitals();
    assert_eq!(vitals.fetches, [1, 0, 0, 1]);
    let known: Vec<_> = vitals
        .domains
        .iter()
        .filter(|domains| domains.1 > 0)
        .collect();
    assert_eq!(known, [&("enforce", 1)]);
}
