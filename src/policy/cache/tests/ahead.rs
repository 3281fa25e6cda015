//! Domains that are asked before any mail goes to them.

use std::time::Duration;

use super::node::{Node, Told, domain, live};
use super::world::{DAY, Host, Txt, WEEK, World, unreachable};
use crate::mtasts::Mode;
use crate::policy::cache::entry::Patience;

#[test]
fn sts_70_what_is_asked_ahead_is_known_to_the_first_session_without_another_question() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.runtime.block_on(node.cache.ask_ahead(&domain()));
    assert_eq!((world.questions(), world.fetches()), (1, 1));
    assert_eq!(node.told(), live("Enforce mx0.example"));
    assert_eq!((world.questions(), world.fetches()), (1, 1));
}

/// Whoever keeps the question unanswered that was asked ahead has not waited for the mail's one.
#[test]
fn an_unknown_policy_that_was_asked_for_ahead_shortens_no_wait() {
    let quarter = Patience::Until(Duration::from_mins(15));
    let world = World::patient(Txt::Unreachable, Host::Serves(Mode::Enforce, WEEK), quarter);
    let node = Node::new(&world);
    node.runtime.block_on(node.cache.ask_ahead(&domain()));
    world.pass(DAY);
    let unknown = Told::Unknown(unreachable());
    assert_eq!(node.told(), unknown, "mail waits from now on");
    world.pass(899);
    assert_eq!(node.told(), unknown);
    world.pass(1);
    node.recheck();
    assert!(matches!(node.told(), Told::FetchFailed(_)));
}
