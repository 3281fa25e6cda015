//! Clocks that are set.

use super::node::{Node, Told, cached, live};
use super::world::{DAY, Host, Txt, WEEK, World, refused, unreachable};
use crate::mtasts::Mode;
use crate::mtasts::fetch::FetchFailure;
use crate::policy::cache::entry::BACK_OFF;

#[test]
fn attack_sts_12_clock_steps_neither_end_a_policy_for_good_nor_loosen_it() {
    let year = i64::try_from(365 * DAY).unwrap();
    let world = World::of(Mode::Enforce, WEEK);
    let mut node = Node::new(&world);
    node.state();
    world.step_wall(-2 * year);
    node.restart();
    assert_eq!(
        node.told(),
        live("Enforce mx0.example"),
        "back: fetched now"
    );
    world.step_wall(2 * year);
    assert_eq!(node.told(), live("Enforce mx0.example"), "and right again");
    // Forward past the expiry, while neither record nor host can be had: unknown, and not lost.
    world.says(Txt::Unreachable);
    world.serves(Host::Fails(refused()));
    world.step_wall(2 * year);
    node.restart();
    assert_eq!(node.told(), Told::Unknown(unreachable()));
    world.step_wall(-2 * year);
    assert!(matches!(node.told(), Told::Cached(..)));
    // Forward past the expiry, while all works: fetched anew before anything is concluded.
    world.says(Txt::id("v=STSv1; id=a"));
    world.serves(Host::Serves(Mode::Enforce, WEEK));
    world.step_wall(2 * year);
    world.pass(BACK_OFF.as_secs());
    assert_eq!(node.told(), live("Enforce mx2.example"));
    // Forward past the expiry, while the record is gone: asked for once more, and had.
    world.says(Txt::Absent);
    world.step_wall(2 * year);
    world.pass(BACK_OFF.as_secs());
    assert_eq!(node.told(), live("Enforce mx3.example"));
    // The same, and not had: over, but only as long as the clock says so, and asked for no more.
    world.serves(Host::Fails(refused()));
    world.step_wall(2 * year);
    world.pass(BACK_OFF.as_secs());
    for _ in 0..3 {
        assert_eq!(node.told(), Told::None);
        world.pass(BACK_OFF.as_secs());
    }
    assert_eq!(world.fetches(), 5);
    world.step_wall(-2 * year);
    node.restart();
    assert!(matches!(node.told(), Told::Cached(..)));
    world.says(Txt::id("v=STSv1; id=a"));
    world.serves(Host::Serves(Mode::Enforce, WEEK));
    // Fetched under that clock, which then goes back: due for a fetch that fits.
    world.step_wall(-2 * year);
    node.clock_was_set();
    node.refresh();
    assert_eq!(node.told(), live("Enforce mx5.example"));
}

#[test]
fn attack_sts_12_after_a_jump_of_the_clock_what_has_expired_is_asked_for_before_any_session_needs_it()
 {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    world.says(Txt::Absent);
    world.step_wall(i64::try_from(2 * WEEK).unwrap());
    node.refresh();
    assert_eq!(world.fetches(), 1, "nobody has noticed");
    node.clock_was_set();
    node.refresh();
    assert_eq!(world.fetches(), 2);
    let failure = FetchFailure::Fetch("no TXT record begins with v=STSv1;".to_owned());
    assert_eq!(node.told(), cached("Enforce mx1.example", failure));
}
