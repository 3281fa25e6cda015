//! How often DNS and the policy host are asked, and how long a domain that cannot be looked up is waited for.

use std::time::Duration;

use super::node::{Node, Told, live};
use super::world::{DAY, Host, Txt, WEEK, World, refused, unreachable};
use crate::dns::Failure;
use crate::mtasts::Mode;
use crate::mtasts::fetch::FetchFailure;
use crate::policy::StsState;
use crate::policy::cache::Patience;
use crate::policy::cache::entry::{ANSWER_LIFE, BACK_OFF, FAILURE_LIFE};

#[test]
fn sts_26_net_18_a_failed_fetch_is_repeated_after_five_minutes_or_for_another_id() {
    let world = World::new(Txt::id("v=STSv1; id=a"), Host::Fails(refused()));
    let node = Node::new(&world);
    for _ in 0..100 {
        assert_eq!(node.told(), Told::FetchFailed(refused()));
    }
    assert_eq!((world.questions(), world.fetches()), (1, 1));
    world.pass(BACK_OFF.as_secs() - 1);
    node.state();
    assert_eq!(world.fetches(), 1, "a second too early");
    world.pass(1);
    node.state();
    assert_eq!(world.fetches(), 2, "after five minutes");
    world.says(Txt::id("v=STSv1; id=b"));
    world.pass(ANSWER_LIFE.as_secs());
    node.state();
    assert_eq!(world.fetches(), 3, "another id");
    world.serves(Host::Serves(Mode::Enforce, WEEK));
    world.pass(BACK_OFF.as_secs());
    assert_eq!(node.told(), live("Enforce mx3.example"));
}

#[test]
fn net_18_answers_serve_for_a_minute_and_failed_lookups_for_ten_seconds() {
    for (txt, life) in [
        (Txt::id("v=STSv1; id=a"), ANSWER_LIFE),
        (Txt::Absent, ANSWER_LIFE),
        (Txt::Bogus, FAILURE_LIFE),
        (Txt::Unreachable, FAILURE_LIFE),
    ] {
        let world = World::new(txt.clone(), Host::Serves(Mode::Enforce, WEEK));
        let node = Node::new(&world);
        node.state();
        world.pass(life.as_secs() - 1);
        node.state();
        assert_eq!(world.questions(), 1, "{txt:?}");
        world.pass(1);
        node.state();
        assert_eq!(world.questions(), 2, "{txt:?}");
    }
}

#[test]
fn sts_26_a_domain_that_announces_another_policy_each_time_is_fetched_from_a_few_times_at_most() {
    for host in [
        Host::Serves(Mode::Enforce, WEEK),
        Host::Serves(Mode::Enforce, 0),
        Host::Fails(refused()),
    ] {
        let world = World::new(Txt::Restless, host.clone());
        let node = Node::new(&world);
        let mut most = 0;
        for second in 0..3600_u64 {
            // A session each second, and a refusal with its second look.
            node.state();
            node.recheck();
            most = most.max(world.fetches_since(second.saturating_sub(BACK_OFF.as_secs() - 1)));
            world.pass(1);
        }
        assert_eq!(most, 3, "{host:?}: within five minutes");
        assert!(world.fetches() <= 36, "{host:?}: {}", world.fetches());
        match host {
            Host::Serves(..) => assert!(matches!(
                node.state(),
                StsState::Live { policy, .. } if policy.mode == Mode::Enforce
            )),
            Host::Fails(_) | Host::Panics => {
                assert_eq!(node.told(), Told::FetchFailed(refused()));
            }
        }
    }
}

#[test]
fn sts_26_the_pause_is_kept_for_each_id_though_others_come_between() {
    let world = World::new(Txt::id("v=STSv1; id=a"), Host::Fails(refused()));
    let node = Node::new(&world);
    for (record, fetches) in [
        ("v=STSv1; id=a", 1),
        ("v=STSv1; id=b", 2),
        ("v=STSv1; id=a", 2),
        ("v=STSv1; id=b", 2),
    ] {
        world.says(Txt::id(record));
        node.recheck();
        assert_eq!(world.fetches(), fetches, "{record}");
        world.pass(ANSWER_LIFE.as_secs());
    }
}

/// Hard case: the record cannot be looked up and nothing is cached.
#[test]
fn an_unknown_policy_defers_mail_for_as_long_as_the_operator_says_and_a_forged_answer_for_ever() {
    let minutes = |minutes| Patience::Until(Duration::from_mins(minutes));
    let bogus = Told::Unknown(Failure::Bogus("no signature".to_owned()));
    let passed = Told::FetchFailed(FetchFailure::Fetch(
        "its record: no usable DNS answer: SERVFAIL".to_owned(),
    ));
    let unknown = Told::Unknown(unreachable());
    for (case, patience, txt, expected) in [
        (
            "endless",
            Patience::Endless,
            Txt::Unreachable,
            [&unknown, &unknown, &unknown],
        ),
        (
            "15 minutes",
            minutes(15),
            Txt::Unreachable,
            [&unknown, &unknown, &passed],
        ),
        (
            "15 minutes of bogus answers",
            minutes(15),
            Txt::Bogus,
            [&bogus, &bogus, &bogus],
        ),
    ] {
        let world = World::patient(txt, Host::Serves(Mode::Enforce, WEEK), patience);
        let node = Node::new(&world);
        for (elapsed, expected) in [0, 899, 900].into_iter().zip(expected) {
            let passed = world.facts().elapsed.as_secs();
            world.pass(elapsed - passed);
            node.recheck();
            assert_eq!(&node.told(), expected, "{case}: after {elapsed} s");
        }
        assert_eq!(world.fetches(), 0, "{case}");
    }
    // An answer in between begins a new wait, and a live policy is none of it.
    let world = World::patient(
        Txt::Unreachable,
        Host::Serves(Mode::Enforce, WEEK),
        minutes(15),
    );
    let node = Node::new(&world);
    node.state();
    world.pass(600);
    world.says(Txt::Absent);
    assert_eq!(node.told(), Told::None);
    world.says(Txt::Unreachable);
    world.pass(600);
    assert_eq!(node.told(), unknown);
    world.says(Txt::id("v=STSv1; id=a"));
    world.pass(60);
    assert_eq!(node.told(), live("Enforce mx0.example"));
    world.says(Txt::Unreachable);
    world.pass(DAY);
    assert!(matches!(node.told(), Told::Cached(..)));
}
