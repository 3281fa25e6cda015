//! Work and waiting have an end.

use super::*;

#[tokio::test]
async fn dnssec_20_hostile_keys_and_delegations_do_not_multiply_the_questions() {
    let liar = Liar::new(Arc::new(world()), |world, query, message| {
        // Every answer about keys comes with RRsets that claim to be signed by a zone further down, never twice the same.
        if matches!(query.query_type(), RecordType::DS | RecordType::DNSKEY) {
            let key = world.zone("lab.test").key();
            for label in ["a", "b", "c"] {
                let owner = query.name().prepend_label(label).unwrap();
                let bait = record(&owner, key.dnskey());
                let rrsig = key.sign(&owner, std::slice::from_ref(&bait));
                message.answers.extend([bait.clone(), rrsig.clone()]);
                message.authorities.extend([bait, rrsig]);
            }
        }
    });
    let chase = chase(liar.clone(), Hand::at(T0));
    assert_eq!(ask(&chase, TLSA_NAME).await, "secure records");
    assert_eq!(liar.asked(), 6, "leaf, and DS and DNSKEY of each zone");
}

pub(super) fn deepest_name() -> String {
    vec!["a"; 120].join(".")
}

/// A signed zone at each label of a name that has many.
pub(super) fn deep_world() -> World {
    let deepest = deepest_name();
    let mut child = Zone::signed(&deepest, Proofs::Nsec).with(&deepest, tlsa(1));
    let mut zones = Vec::new();
    for depth in (0..120).rev() {
        let origin = if depth == 0 {
            ".".to_owned()
        } else {
            vec!["a"; depth].join(".")
        };
        let parent = Zone::signed(&origin, Proofs::Nsec).delegating(&child);
        zones.push(std::mem::replace(&mut child, parent));
    }
    zones.push(child);
    World { zones }
}

#[tokio::test]
async fn dnssec_20_dns_15_a11_a_lookup_that_needs_too_many_messages_is_no_answer() {
    let liar = Liar::new(Arc::new(deep_world()), HONEST);
    let chase = chase(liar.clone(), Hand::at(T0));
    let outcome = chase
        .look_up(&name(&deepest_name()), RecordType::TLSA, &errand())
        .await;
    assert_eq!(comes_out(&outcome), "no answer", "{:?}", outcome.end);
    assert_eq!(liar.asked(), 160);
}

#[tokio::test]
async fn dns_05_a11_silence_ends_with_the_deadline() {
    let liar = Liar::silent(Arc::new(world()));
    let chase = chase_within(Duration::from_millis(10), vec![liar]);
    let outcome = chase
        .look_up(&name(TLSA_NAME), RecordType::TLSA, &errand())
        .await;
    assert!(matches!(outcome.end, Err(Trouble::Deadline(_))));
}
