//! Keys that look like the right one, records that nobody asked for, clocks and TTLs that are absurd, another trust anchor.

use hickory_resolver::proto::dnssec::rdata::DNSKEY;
use hickory_resolver::proto::dnssec::{PublicKey, PublicKeyBuf};
use hickory_resolver::proto::op::Edns;
use hickory_resolver::proto::rr::rdata::opt::EdnsOption;

use super::honest::ANSWERS;
use super::*;

#[tokio::test]
async fn dnssec_6_keys_of_one_tag_are_all_tried() {
    check(COLLISIONS).await;
}

const COLLISIONS: &[Row] = &[
    Row {
        says: "one decoy with the tag of the genuine key",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |world, query, message| decoys(world, query, message, 1),
        comes_out: "secure records",
    },
    Row {
        says: "three decoys",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |world, query, message| decoys(world, query, message, 3),
        comes_out: "secure records",
    },
    Row {
        says: "decoys, and no signature by the genuine key over the records",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |world, query, message| {
            decoys(world, query, message, 3);
            if asks_tlsa(query) {
                message.answers[0].data = tlsa(66);
            }
        },
        comes_out: "bogus",
    },
];

/// Adds keys to the zone's own set, which it signs: others by their octets, the same by their tag, which is a sum of octet
/// pairs (RFC 4034 §B).
fn decoys(world: &World, query: &Query, message: &mut Message, count: usize) {
    if !is(query, "lab.test", RecordType::DNSKEY) {
        return;
    }
    let key = world.zone("lab.test").key();
    let RData::DNSSEC(DNSSECRData::DNSKEY(genuine)) = key.dnskey() else {
        panic!("a key is a DNSKEY");
    };
    let octets = genuine.public_key().public_bytes();
    let mut keys = Vec::new();
    for pair in 1..=count {
        let mut swapped = octets.to_vec();
        swapped.swap(0, 2 * pair);
        swapped.swap(1, 2 * pair + 1);
        let decoy = PublicKeyBuf::new(swapped, Algorithm::ED25519);
        let decoy = DNSKEY::with_flags(genuine.flags(), decoy);
        assert_eq!(
            decoy.calculate_key_tag().unwrap(),
            genuine.calculate_key_tag().unwrap()
        );
        keys.push(record(
            query.name(),
            RData::DNSSEC(DNSSECRData::DNSKEY(decoy)),
        ));
    }
    keys.push(record(query.name(), key.dnskey()));
    let rrsig = key.sign(query.name(), &keys);
    message.answers = keys;
    message.answers.push(rrsig);
}

/// CVE-2023-50868: every ancestor of the name is hashed in search of the closest encloser, so a deep name is dear. Beyond a depth
/// that no honest name has nothing is concluded.
#[tokio::test]
async fn dns_11_a_name_too_deep_for_its_proof_to_be_checked_is_a_failure() {
    let chase = chase(Liar::new(Arc::new(world()), HONEST), Hand::at(T0));
    for (depth, expected) in [(10, "secure nxdomain"), (100, "bogus")] {
        let labels = vec!["a"; depth].join(".");
        let seen = ask(&chase, &format!("{labels}.hash.test")).await;
        assert_eq!(seen, expected, "{depth} labels");
    }
    // A zone that denies by NSEC costs nothing of the kind.
    let deep = format!("{}.lab.test", vec!["a"; 100].join("."));
    assert_eq!(ask(&chase, &deep).await, "secure nxdomain");
}

#[tokio::test]
async fn dns_17_records_that_nobody_asked_for_are_not_believed_now_or_later() {
    let forged = |owner: &str, data| record(&name(owner), data);
    let liar = Liar::new(Arc::new(world()), move |_, query, message| {
        if query.name() == &name("mx.free.test") {
            let extra = [
                forged("mx.lab.test", address()),
                forged("_25._tcp.mx.free.test", tlsa(66)),
                forged("_25._tcp.no.free.test", tlsa(66)),
                forged("free.test", ns("ns.attacker.example")),
            ];
            message.answers.extend(extra.clone());
            message.authorities.extend(extra.clone());
            message.additionals.extend(extra);
        }
    });
    let chase = chase(liar, Hand::at(T0));
    let first = chase
        .look_up(&name("mx.free.test"), RecordType::A, &errand())
        .await;
    assert_eq!(records(&first), [address()]);
    let later = chase
        .look_up(&name("_25._tcp.mx.free.test"), RecordType::TLSA, &errand())
        .await;
    assert_eq!(records(&later), [tlsa(1), tlsa(2)], "not the forged one");
    assert_eq!(
        ask(&chase, "_25._tcp.no.free.test").await,
        "insecure nxdomain"
    );
    assert_eq!(ask(&chase, TLSA_NAME).await, "secure records");
}

fn records(outcome: &Outcome) -> &[RData] {
    match &outcome.end {
        Ok(end) => match &end.found {
            Found::Records(data) => data,
            Found::Absent(kind) => panic!("absent: {kind:?}"),
        },
        Err(trouble) => panic!("{trouble}"),
    }
}

#[tokio::test]
async fn dns_19_absurd_ttls_keep_nothing_longer_than_a_day_and_never_break() {
    for (says, ttl, owner, lasts) in [
        ("nothing, unsigned", 0, "_25._tcp.mx.free.test", 0),
        ("nothing, signed", 0, TLSA_NAME, 0),
        ("a second", 1, TLSA_NAME, 1),
        (
            "the largest, unsigned",
            u32::MAX,
            "_25._tcp.mx.free.test",
            86_400,
        ),
        ("one more than a sign holds", 1 << 31, "no.free.test", 300),
        (
            "the largest, signed: the original TTL",
            u32::MAX,
            TLSA_NAME,
            3600,
        ),
    ] {
        let liar = Liar::new(Arc::new(world()), move |_, query, message| {
            if asks_tlsa(query) {
                let sections = [&mut message.answers, &mut message.authorities];
                sections.into_iter().flatten().for_each(|it| it.ttl = ttl);
            }
        });
        let clock = Hand::at(T0);
        let chase = chase(liar.clone(), clock.clone());
        let honest = ask(&chase, owner).await;
        assert!(
            !["bogus", "no answer"].contains(&honest),
            "{says}: {honest}"
        );
        let asked = liar.asked();
        for (seconds, again) in [(lasts.max(1) - 1, lasts == 0), (lasts, true)] {
            clock.move_to(T0 + seconds);
            assert_eq!(ask(&chase, owner).await, honest, "{says}");
            assert_eq!(liar.asked() > asked, again, "{says}, after {seconds} s");
        }
    }
}

#[tokio::test]
async fn dns_22_a_wrong_clock_makes_signed_zones_fail_and_never_insecure() {
    let years = 2 * 365 * 86_400;
    for (says, at) in [
        ("two years slow", T0 - years),
        ("two years fast", T0 + years),
    ] {
        let chase = chase(Liar::new(Arc::new(world()), HONEST), Hand::at(at));
        for (what, owner, record_type, _) in ANSWERS {
            let outcome = chase.look_up(&name(owner), *record_type, &errand()).await;
            let seen = comes_out(&outcome);
            assert!(
                ["bogus", "no answer"].contains(&seen),
                "{says}, {what}: {seen}"
            );
        }
    }
    let clock = Hand::at(T0);
    let chase = chase(Liar::new(Arc::new(world()), HONEST), clock.clone());
    for (at, expected) in [
        (T0, "secure records"),
        (T0 + years, "bogus"),
        (T0 - years, "bogus"),
        (T0, "secure records"),
    ] {
        clock.move_to(at);
        assert_eq!(ask(&chase, TLSA_NAME).await, expected, "a clock that jumps");
    }
}

#[tokio::test]
async fn dnssec_26_why_the_resolver_failed_is_told() {
    let liar = Liar::new(Arc::new(world()), |_, query, message| {
        if asks_tlsa(query) {
            claim_nothing(message, ResponseCode::ServFail, Vec::new());
            let said = EdnsOption::Unknown(15, b"\x00\x09no key\r\nfits".to_vec());
            let mut edns = Edns::new();
            edns.options_mut().insert(said);
            message.edns = Some(edns);
        }
    });
    let chase = chase(liar, Hand::at(T0));
    let outcome = chase
        .look_up(&name(TLSA_NAME), RecordType::TLSA, &errand())
        .await;
    let told = outcome.end.unwrap_err().to_string();
    assert!(
        told.contains(r"(extended error 9: no key\r\nfits)"),
        "{told}"
    );
}

/// There is no resolver without validation: under an anchor that is not this tree's nothing comes out, not even from zones
/// that are unsigned.
#[tokio::test]
async fn dane_1_under_another_anchor_there_are_no_answers_at_all() {
    let server = Server {
        label: "resolver".to_owned(),
        handle: Liar::new(Arc::new(world()), HONEST),
    };
    let clock: Arc<dyn Clock> = Arc::new(Hand::at(T0));
    let anchor = ZoneKey::generate().anchor();
    let validators = Validators::new(Validate::Local, vec![server], anchor, &clock);
    let chase = Chase::new(validators, Duration::from_secs(60), clock);
    for (what, owner, record_type, _) in ANSWERS {
        let outcome = chase.look_up(&name(owner), *record_type, &errand()).await;
        let seen = comes_out(&outcome);
        assert!(["bogus", "no answer"].contains(&seen), "{what}: {seen}");
    }
}
