//! Under a negative trust anchor: what is broken becomes insecure there, and nothing else anywhere.

use RecordType::{A, TLSA};

use super::*;
use crate::dns::negative::NegativeAnchors;
use crate::dns::sample::validating;

/// One over a name, for an hour; another revision lies nowhere.
#[derive(Debug)]
struct Over(&'static str, AtomicU64);

impl NegativeAnchors for Over {
    fn over(&self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let until = Timestamp::from_unix(T0 + 3600);
        let is_below = name == self.0 || name.ends_with(&format!(".{}", self.0));
        (is_below && now < until && self.revision() == 0).then_some(until)
    }

    fn revision(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }
}

fn over(name: &'static str) -> Arc<Over> {
    Arc::new(Over(name, AtomicU64::new(0)))
}

async fn look(chase: &Chase<Liar>, anchors: &Arc<Over>, question: (&str, RecordType)) -> Outcome {
    let negative: Arc<dyn NegativeAnchors> = anchors.clone();
    let errand = errand().exempting(Some(negative));
    chase.look_up(&name(question.0), question.1, &errand).await
}

/// Everything of `lab.test` is signed with a signature that has ended.
const BROKEN: Lie = |world, query, message| {
    if query.query_type() == TLSA || query.query_type() == A {
        let zone = world.zone("lab.test");
        let is_ours = |owner: &Name| zone.origin.zone_of(owner);
        if message.answers.iter().any(|answer| is_ours(&answer.name)) {
            message
                .answers
                .retain(|answer| answer.record_type() != RecordType::RRSIG);
        }
        if is_ours(query.name()) {
            message
                .authorities
                .retain(|record| record.record_type() != RecordType::RRSIG);
        }
    }
};

#[tokio::test]
async fn nta_what_is_bogus_below_the_name_is_insecure_and_nothing_beside_it_changes() {
    let world = Arc::new(world());
    for (question, anchor, expected) in [
        ((TLSA_NAME, TLSA), "nobody.test", "bogus"),
        ((TLSA_NAME, TLSA), "lab.test", "insecure records"),
        ((TLSA_NAME, TLSA), "mx.lab.test", "insecure records"),
        ((TLSA_NAME, TLSA), "no.lab.test", "bogus"),
        (("no.lab.test", TLSA), "lab.test", "insecure nodata"),
        (
            ("_25._tcp.no.lab.test", TLSA),
            "lab.test",
            "insecure nxdomain",
        ),
        (("_25._tcp.no.lab.test", TLSA), "hash.test", "bogus"),
        (
            ("_25._tcp.mx.hash.test", TLSA),
            "lab.test",
            "secure records",
        ),
        (("no.hash.test", TLSA), "lab.test", "secure nodata"),
        (("alias.lab.test", A), "lab.test", "insecure records"),
        // The alias stands outside, its target inside, and the other way round.
        (("alias.lab.test", A), "mx.lab.test", "bogus"),
        (("mx.free.test", A), "lab.test", "insecure records"),
    ] {
        let liar = Liar::new(Arc::clone(&world), BROKEN);
        let chase = chase(liar, Hand::at(T0));
        let outcome = look(&chase, &over(anchor), question).await;
        assert_eq!(comes_out(&outcome), expected, "{question:?} {anchor}");
    }
}

#[tokio::test]
async fn nta_what_is_whole_below_the_name_is_insecure_too() {
    let chase = chase(Liar::new(Arc::new(world()), HONEST), Hand::at(T0));
    let anchors = over("lab.test");
    let outcome = look(&chase, &anchors, (TLSA_NAME, TLSA)).await;
    assert_eq!(comes_out(&outcome), "insecure records");
    let outcome = look(&chase, &anchors, ("_25._tcp.mx.hash.test", TLSA)).await;
    assert_eq!(comes_out(&outcome), "secure records");
}

#[tokio::test]
async fn nta_when_it_ends_or_is_taken_away_nothing_is_left_of_it_in_memory() {
    let clock = Hand::at(T0 + 3599);
    let chase = chase(Liar::new(Arc::new(world()), HONEST), clock.clone());
    let anchors = over("lab.test");
    let seen = async |anchors: &Arc<Over>| {
        let outcome = look(&chase, anchors, (TLSA_NAME, TLSA)).await;
        comes_out(&outcome)
    };
    assert_eq!(seen(&anchors).await, "insecure records");
    clock.move_to(T0 + 3600);
    assert_eq!(seen(&anchors).await, "secure records");
    clock.move_to(T0);
    assert_eq!(seen(&anchors).await, "insecure records");
    anchors.1.store(1, Ordering::Relaxed);
    assert_eq!(seen(&anchors).await, "secure records");
}

#[tokio::test]
async fn nta_where_two_validations_must_agree_the_resolver_that_knows_nothing_of_it_is_not_asked() {
    let verdict: Lie = |world, query, message| {
        validating(world, query, message);
        if world.zone("lab.test").origin.zone_of(query.name()) {
            refuse(message, ResponseCode::ServFail);
        }
    };
    let liar = Liar::new(Arc::new(world()), BROKEN).verdict(verdict);
    let time = Duration::from_secs(60);
    for (anchor, expected) in [("lab.test", "insecure records"), ("nobody.test", "bogus")] {
        let chase = chase_at(time, vec![liar.clone()], Validate::Both, Hand::at(T0));
        let outcome = look(&chase, &over(anchor), (TLSA_NAME, TLSA)).await;
        assert_eq!(comes_out(&outcome), expected, "{anchor}");
    }
}
