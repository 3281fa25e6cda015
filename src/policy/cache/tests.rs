//! The cache over a world of one domain whose DNS, policy host and clocks the test holds in its hand.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: the tests start tasks and need one real instant to count from"
)]

mod ahead;
mod clocks;
mod crowd;
mod lost;
mod node;
mod pace;
mod peers;
mod property;
mod recall;
mod refresh;
mod world;

use std::sync::Arc;

use self::node::{Node, Told, cached, domain, kept, live, open};
use self::world::{Host, NOW, Txt, WEEK, World, policy, refused, unreachable};
use super::entry::{ANSWER_LIFE, BACK_OFF};
use crate::clock::Timestamp;
use crate::dns::Failure;
use crate::mtasts::fetch::FetchFailure;
use crate::mtasts::{Mode, PolicyId};
use crate::store::broken::Broken;
use crate::store::{Batch, Store, StoredPolicy};

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn sts_3_sts_27_sts_70_first_contact_is_what_record_and_host_say() {
    let serves = Host::Serves(Mode::Enforce, WEEK);
    let valid = Txt::id("v=STSv1; id=a");
    let invalid = FetchFailure::Invalid("line 1".to_owned());
    let web_pki = FetchFailure::WebPki("expired".to_owned());
    for (case, txt, host, expected, fetches) in [
        (
            "announced and served",
            valid.clone(),
            serves.clone(),
            live("Enforce mx0.example"),
            1,
        ),
        (
            "announced and served for testing",
            valid.clone(),
            Host::Serves(Mode::Testing, WEEK),
            live("Testing mx0.example"),
            1,
        ),
        (
            "announced and withdrawn",
            valid.clone(),
            Host::Serves(Mode::None, WEEK),
            live("None mx0.example"),
            1,
        ),
        (
            "announced, not served",
            valid.clone(),
            Host::Fails(refused()),
            Told::FetchFailed(refused()),
            1,
        ),
        (
            "announced, a bad certificate",
            valid.clone(),
            Host::Fails(web_pki.clone()),
            Told::FetchFailed(web_pki),
            1,
        ),
        (
            "announced, no policy",
            valid,
            Host::Fails(invalid.clone()),
            Told::FetchFailed(invalid),
            1,
        ),
        ("not announced", Txt::Absent, serves.clone(), Told::None, 0),
        (
            "other records only",
            Txt::id("v=spf1 -all"),
            serves.clone(),
            Told::None,
            0,
        ),
        (
            "announced twice",
            Txt::Records(vec!["v=STSv1; id=a", "v=STSv1; id=b"]),
            serves.clone(),
            Told::None,
            0,
        ),
        (
            "announced badly",
            Txt::id("v=STSv1; id=-"),
            serves.clone(),
            Told::None,
            0,
        ),
        (
            "bogus",
            Txt::Bogus,
            serves.clone(),
            Told::Unknown(Failure::Bogus("no signature".to_owned())),
            0,
        ),
        (
            "unreachable",
            Txt::Unreachable,
            serves,
            Told::Unknown(unreachable()),
            0,
        ),
    ] {
        let world = World::new(txt, host);
        assert_eq!(Node::new(&world).told(), expected, "{case}");
        assert_eq!(world.fetches(), fetches, "{case}");
        // No parent domain is asked (STS-13 of the requirements).
        assert_eq!(world.facts().questions, ["_mta-sts.a.b.example"], "{case}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn sts_11_sts_28_sts_01_sts_50_no_failure_disables_a_live_policy() {
    let fetch = |what: &str| FetchFailure::Fetch(what.to_owned());
    let another = Txt::id("v=STSv1; id=b");
    for (case, txt, host, failure) in [
        (
            "the record is gone",
            Txt::Absent,
            None,
            fetch("no TXT record begins with v=STSv1;"),
        ),
        (
            "the record is doubled",
            Txt::Records(vec!["v=STSv1; id=a", "v=STSv1; id=b"]),
            None,
            fetch("2 TXT records begin with v=STSv1;"),
        ),
        (
            "the record is malformed",
            Txt::id("v=STSv1; id=-"),
            None,
            fetch(
                "the v=STSv1 record is malformed: the id in field 1 is not 1 to 32 letters and digits",
            ),
        ),
        (
            "the answer is bogus",
            Txt::Bogus,
            None,
            fetch("DNSSEC validation failed: no signature"),
        ),
        (
            "there is no answer",
            Txt::Unreachable,
            None,
            fetch("no usable DNS answer: SERVFAIL"),
        ),
        (
            "a new id, the host fails",
            another.clone(),
            Some(refused()),
            refused(),
        ),
        (
            "a new id, the certificate is bad",
            another.clone(),
            Some(FetchFailure::WebPki("expired".to_owned())),
            FetchFailure::WebPki("expired".to_owned()),
        ),
        (
            "a new id, the policy is invalid",
            another,
            Some(FetchFailure::Invalid("line 1".to_owned())),
            FetchFailure::Invalid("line 1".to_owned()),
        ),
    ] {
        let world = World::of(Mode::Enforce, WEEK);
        let mut node = Node::new(&world);
        assert_eq!(node.told(), live("Enforce mx0.example"), "{case}");
        world.says(txt);
        if let Some(failure) = host {
            world.serves(Host::Fails(failure));
        }
        let in_force = cached("Enforce mx0.example", failure);
        world.pass(ANSWER_LIFE.as_secs());
        assert_eq!(node.told(), in_force, "{case}");
        node.restart();
        assert_eq!(node.told(), in_force, "{case}: after a restart");
        world.pass(WEEK - 1 - ANSWER_LIFE.as_secs());
        assert_eq!(node.told(), in_force, "{case}: in its last second");
        world.serves(Host::Fails(refused()));
        world.pass(1);
        let after = node.told();
        assert!(
            !matches!(after, Told::Live(_) | Told::Cached(..)),
            "{case}: {after:?}"
        );
    }
}

#[test]
fn sts_12_sts_63_sts_07_a_new_id_brings_the_new_policy_at_once_and_back() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    for (record, mode, expected) in [
        ("v=STSv1; id=a", Mode::Enforce, "Enforce mx0.example"),
        ("v=STSv1; id=b", Mode::None, "None mx1.example"),
        ("v=STSv1; id=a", Mode::Testing, "Testing mx2.example"),
        ("v=STSv1; id=0", Mode::Enforce, "Enforce mx3.example"),
    ] {
        world.says(Txt::id(record));
        world.serves(Host::Serves(mode, WEEK));
        // Not more than three policies in five minutes.
        world.pass(BACK_OFF.as_secs() / 3);
        assert_eq!(node.told(), live(expected));
    }
    world.pass(ANSWER_LIFE.as_secs());
    assert_eq!(
        node.told(),
        live("Enforce mx3.example"),
        "the same id: no fetch"
    );
    assert_eq!(world.fetches(), 4);
}

#[test]
fn sts_67_sts_08_a_recheck_asks_at_once_and_fetches_a_newer_policy_once() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    node.recheck();
    assert_eq!((world.questions(), world.fetches()), (2, 1), "the same id");
    world.says(Txt::id("v=STSv1; id=b"));
    node.recheck();
    assert_eq!((world.questions(), world.fetches()), (3, 2), "another id");
    assert_eq!(node.told(), live("Enforce mx1.example"));
    assert_eq!(world.questions(), 3, "the next session needs no question");
    world.says(Txt::id("v=STSv1; id=c"));
    world.serves(Host::Fails(refused()));
    for _ in 0..3 {
        node.recheck();
    }
    assert_eq!(
        (world.questions(), world.fetches()),
        (6, 3),
        "backed off after the first failure"
    );
    assert_eq!(node.told(), cached("Enforce mx1.example", refused()));
}

#[test]
fn sts_44_sts_06_a_life_of_nothing_serves_once_and_is_not_kept() {
    let world = World::of(Mode::Enforce, 0);
    let mut node = Node::new(&world);
    assert_eq!(node.told(), live("Enforce mx0.example"));
    assert_eq!(node.told(), live("Enforce mx1.example"), "fetched again");
    assert_eq!(kept(&node), []);
    world.serves(Host::Fails(refused()));
    assert_eq!(node.told(), Told::FetchFailed(refused()));
    // It replaces what was kept before.
    let world = World::of(Mode::Enforce, WEEK);
    node = Node::new(&world);
    node.state();
    assert_eq!(kept(&node).len(), 1);
    world.says(Txt::id("v=STSv1; id=b"));
    world.serves(Host::Serves(Mode::None, 0));
    node.recheck();
    assert_eq!(kept(&node), []);
}

#[test]
fn sts_60_r8_a_policy_lives_from_its_last_fetch_over_restarts() {
    let world = World::of(Mode::Enforce, WEEK);
    let mut node = Node::new(&world);
    node.state();
    world.says(Txt::Absent);
    world.pass(WEEK - 1);
    node.restart();
    assert!(matches!(node.told(), Told::Cached(..)));
    world.serves(Host::Fails(refused()));
    world.pass(1);
    node.restart();
    assert_eq!(node.told(), Told::None);
}

#[test]
fn sts_09_net_11_a_store_that_cannot_be_read_stops_the_start_one_that_cannot_be_written_does_not_stop_mail()
 {
    let world = World::of(Mode::Enforce, WEEK);
    let broken = Arc::new(Broken::default());
    let old = StoredPolicy {
        domain: domain(),
        id: PolicyId::stored("old".to_owned()),
        policy: Arc::new(policy(Mode::Enforce, WEEK, 99)),
        fetched: Timestamp::from_unix(NOW),
    };
    broken.write(&Batch::saving(&old)).unwrap();
    let store: Arc<dyn Store> = broken.clone();
    broken.refuse_reads();
    assert!(open(&world, &store).is_err());
    broken.mend();
    broken.refuse_writes();
    let node = Node::over(&world, store);
    assert_eq!(
        node.told(),
        live("Enforce mx0.example"),
        "a new id, in force though not saved"
    );
}

#[test]
fn sts_09_what_a_store_did_not_take_is_written_once_it_takes_it_as_long_as_it_is_in_force() {
    let world = World::of(Mode::Enforce, WEEK);
    let broken = Arc::new(Broken::default());
    let mut node = Node::over(&world, broken.clone());
    let write_again = |node: &Node| node.runtime.block_on(node.cache.write_again());
    broken.refuse_writes();
    assert_eq!(node.told(), live("Enforce mx0.example"));
    write_again(&node);
    assert_eq!(kept(&node), []);
    broken.mend();
    write_again(&node);
    assert_eq!(kept(&node).len(), 1);
    world.serves(Host::Fails(refused()));
    node.restart();
    assert!(matches!(node.told(), Told::Live(_)), "found at a start");

    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::over(&world, broken.clone());
    broken.write(&Batch::removing([&domain()])).unwrap();
    broken.refuse_writes();
    node.told();
    world.pass(WEEK);
    broken.mend();
    write_again(&node);
    assert_eq!(kept(&node), [], "it has expired");
}
