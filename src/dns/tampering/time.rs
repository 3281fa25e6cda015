//! Status flags, response codes, and the end of signatures and TTLs.

use RecordType::TLSA;

use super::*;

#[tokio::test]
async fn dns_05_06_07_dnssec_3_lies_about_status_and_time_change_nothing() {
    check(STATUS_AND_TIME).await;
}

const STATUS_AND_TIME: &[Row] = &[
    Row {
        says: "AD on an answer without signatures",
        ask: (TLSA_NAME, TLSA),
        lie: |_, _, message| {
            message.metadata.authentic_data = true;
            strip(message);
        },
        comes_out: "bogus",
    },
    Row {
        says: "AD on the answer of an unsigned zone",
        ask: ("_25._tcp.mx.free.test", TLSA),
        lie: |_, _, message| message.metadata.authentic_data = true,
        comes_out: "insecure records",
    },
    Row {
        says: "SERVFAIL for the records",
        ask: (TLSA_NAME, TLSA),
        lie: |_, query, message| {
            if asks_tlsa(query) {
                claim_nothing(message, ResponseCode::ServFail, Vec::new());
            }
        },
        comes_out: "no answer",
    },
    Row {
        says: "REFUSED for the DS",
        ask: (TLSA_NAME, TLSA),
        lie: |_, query, message| {
            if query.query_type() == RecordType::DS {
                claim_nothing(message, ResponseCode::Refused, Vec::new());
            }
        },
        comes_out: "no answer",
    },
    Row {
        says: "FORMERR for the keys, with records",
        ask: (TLSA_NAME, TLSA),
        lie: |_, query, message| {
            if query.query_type() == RecordType::DNSKEY {
                message.metadata.response_code = ResponseCode::FormErr;
            }
        },
        comes_out: "no answer",
    },
    Row {
        says: "SERVFAIL for the DS of an unsigned zone",
        ask: ("_25._tcp.mx.free.test", TLSA),
        lie: |_, query, message| {
            if query.query_type() == RecordType::DS {
                claim_nothing(message, ResponseCode::ServFail, Vec::new());
            }
        },
        comes_out: "no answer",
    },
    Row {
        says: "a signature that is over",
        ask: (TLSA_NAME, TLSA),
        lie: |world, query, message| resign(world, query, message, T0 - 9, T0 - 1),
        comes_out: "bogus",
    },
    Row {
        says: "a signature that has not begun",
        ask: (TLSA_NAME, TLSA),
        lie: |world, query, message| resign(world, query, message, T0 + 1, T0 + 9),
        comes_out: "bogus",
    },
    Row {
        says: "a signature in its last second",
        ask: (TLSA_NAME, TLSA),
        lie: |world, query, message| resign(world, query, message, T0 - 9, T0),
        comes_out: "secure records",
    },
];

#[tokio::test]
async fn dns_07_dns_23_dnssec_27_tlsa_26_a_signature_ends_while_we_run() {
    let liar = Liar::new(Arc::new(world()), HONEST);
    let clock = Hand::at(T0);
    let chase = chase(liar, clock.clone());
    for (seconds, expected) in [
        (0, "secure records"),
        (VALID - 10, "secure records"),
        (VALID, "secure records"),
        (VALID + 1, "bogus"),
    ] {
        clock.move_to(T0 + seconds);
        assert_eq!(ask(&chase, TLSA_NAME).await, expected, "after {seconds} s");
    }
}

#[tokio::test]
async fn dnssec_16_18_tlsa_22_attack_dane_08_answers_are_kept_as_long_as_they_hold_and_no_longer() {
    for (says, lie, (owner, record_type), lasts) in LIFETIMES {
        let liar = Liar::new(Arc::new(world()), lie);
        let clock = Hand::at(T0);
        let chase = chase(liar.clone(), clock.clone());
        let outcome = chase.look_up(&name(owner), *record_type, &errand()).await;
        let expires = outcome.end.unwrap().expires.unix();
        assert_eq!(expires, T0 + lasts, "{says}");
        let asked = liar.asked();
        clock.move_to(T0 + lasts - 1);
        chase.look_up(&name(owner), *record_type, &errand()).await;
        assert_eq!(liar.asked(), asked, "{says}: not asked again");
        clock.move_to(T0 + lasts);
        chase.look_up(&name(owner), *record_type, &errand()).await;
        assert!(liar.asked() > asked, "{says}: asked again");
    }
}

type Lifetime = (&'static str, Lie, (&'static str, RecordType), u64);

const LIFETIMES: &[Lifetime] = &[
    ("the TTL", HONEST, (TLSA_NAME, TLSA), 3600),
    ("the original TTL", enlarge_ttls, (TLSA_NAME, TLSA), 3600),
    (
        "what is left of the signature",
        |world, query, message| resign(world, query, message, T0 - 9, T0 + 7),
        (TLSA_NAME, TLSA),
        7,
    ),
    (
        "the TTL of an alias on the way",
        |_, query, message| {
            if query.name() == &name("alias.lab.test") {
                shorten(&mut message.answers, RecordType::CNAME);
            }
        },
        ("alias.lab.test", RecordType::A),
        40,
    ),
    (
        "the TTL of the DS of the zone",
        |_, _, message| shorten(&mut message.answers, RecordType::DS),
        (TLSA_NAME, TLSA),
        40,
    ),
    (
        "the TTL of the keys of the root",
        |_, query, message| {
            if query.name().is_root() {
                shorten(&mut message.answers, RecordType::DNSKEY);
            }
        },
        (TLSA_NAME, TLSA),
        40,
    ),
    (
        "the TTL of what proves a wildcard",
        |_, _, message| shorten(&mut message.authorities, RecordType::NSEC),
        ("x.wild.lab.test", TLSA),
        40,
    ),
    (
        "the TTL of what denies",
        |_, _, message| shorten(&mut message.authorities, RecordType::NSEC),
        ("no.lab.test", TLSA),
        40,
    ),
    ("the SOA minimum", HONEST, ("no.lab.test", TLSA), 300),
    (
        "the SOA minimum, unsigned zone",
        HONEST,
        ("no.free.test", TLSA),
        300,
    ),
    (
        "the TTL, unsigned zone",
        HONEST,
        ("_25._tcp.mx.free.test", TLSA),
        3600,
    ),
];

fn shorten(records: &mut [Record], record_type: RecordType) {
    for record in records {
        if record.record_type() == record_type {
            record.ttl = 40;
        }
    }
}

#[tokio::test]
async fn dnssec_16_a_step_of_the_chain_is_proven_anew_when_its_time_is_over() {
    let liar = Liar::new(Arc::new(world()), |_, query, message| {
        if query.name() == &name("lab.test") {
            shorten(&mut message.answers, RecordType::DS);
        }
    });
    let clock = Hand::at(T0);
    let chase = chase(liar.clone(), clock.clone());
    for (seconds, owner, expected) in [
        (0, TLSA_NAME, 6),
        (39, "no.lab.test", 7),
        (40, "_25._tcp.no.lab.test", 10),
        (300, "x.wild.lab.test", 16),
    ] {
        clock.move_to(T0 + seconds);
        ask(&chase, owner).await;
        assert_eq!(liar.asked(), expected, "after {seconds} s");
    }
}

fn enlarge_ttls(_: &World, _: &Query, message: &mut Message) {
    for answer in &mut message.answers {
        answer.ttl = 1_000_000;
    }
}

#[tokio::test]
async fn dnssec_17_a_failure_is_forgotten_soon() {
    let world = Arc::new(world());
    let clock = Hand::at(T0);
    let seen = clock.clone();
    let liar = Liar::new(world, move |_, _, message| {
        if seen.wall() == Timestamp::from_unix(T0) {
            strip(message);
        }
    });
    let chase = chase(liar, clock.clone());
    assert_eq!(ask(&chase, TLSA_NAME).await, "bogus");
    clock.move_to(T0 + 1);
    assert_eq!(ask(&chase, TLSA_NAME).await, "bogus");
    clock.move_to(T0 + 5);
    assert_eq!(ask(&chase, TLSA_NAME).await, "secure records");
}

#[tokio::test]
async fn dns_19_a_ttl_of_zero_is_for_one_use_and_a_huge_one_for_a_day() {
    let tampered: &[(&str, &str, Lie, u64, u64)] = &[
        (
            "zero",
            TLSA_NAME,
            |_, _, message| set_ttls(message, 0),
            0,
            1,
        ),
        // RFC 8767 §4: a large number, and no negative one.
        (
            "2^31",
            TLSA_NAME,
            |_, _, message| set_ttls(message, 1 << 31),
            3599,
            3600,
        ),
        (
            "2^32 - 1",
            TLSA_NAME,
            |_, _, message| set_ttls(message, u32::MAX),
            3599,
            3600,
        ),
        (
            "2^31, unsigned",
            "_25._tcp.mx.free.test",
            |_, _, message| set_ttls(message, 1 << 31),
            86_399,
            86_400,
        ),
        (
            "2^32 - 1, unsigned",
            "_25._tcp.mx.free.test",
            |_, _, message| set_ttls(message, u32::MAX),
            86_399,
            86_400,
        ),
        (
            "2^31, unsigned, absent",
            "no.free.test",
            |_, _, message| set_ttls(message, 1 << 31),
            299,
            300,
        ),
    ];
    for (says, owner, lie, known, forgotten) in tampered {
        let liar = Liar::new(Arc::new(world()), *lie);
        let clock = Hand::at(T0);
        let chase = chase(liar.clone(), clock.clone());
        let first = ask(&chase, owner).await;
        let asked = liar.asked();
        clock.move_to(T0 + known);
        assert_eq!(ask(&chase, owner).await, first, "{says}");
        assert_eq!(liar.asked() > asked, *known == 0, "{says}: at {known}");
        let asked = liar.asked();
        clock.move_to(T0 + forgotten);
        assert_eq!(ask(&chase, owner).await, first, "{says}");
        assert!(liar.asked() > asked, "{says}: at {forgotten}");
    }
}

fn set_ttls(message: &mut Message, ttl: u32) {
    for record in message.answers.iter_mut().chain(&mut message.authorities) {
        record.ttl = ttl;
    }
}

#[tokio::test]
async fn dns_22_a_clock_set_back_or_far_ahead_ends_what_is_remembered() {
    let liar = Liar::new(Arc::new(world()), HONEST);
    let clock = Hand::at(T0);
    let chase = chase(liar.clone(), clock.clone());
    for (says, time, expected, messages) in [
        ("at first", T0, "secure records", 6),
        ("a second earlier", T0 - 1, "secure records", 6),
        ("two years earlier", T0 - 2 * YEAR, "bogus", 0),
        ("two years later", T0 + 2 * YEAR, "bogus", 0),
        // The steps of a second earlier hold again, the answer has made room for a failure.
        ("back again", T0 + 2, "secure records", 1),
    ] {
        let asked = liar.asked();
        clock.move_to(time);
        assert_eq!(ask(&chase, TLSA_NAME).await, expected, "{says}");
        let asked = liar.asked() - asked;
        assert!(
            if messages == 0 {
                asked > 0
            } else {
                asked == messages
            },
            "{says}: {asked}"
        );
    }
}

#[tokio::test]
async fn dnssec_16_17_dns_23_what_is_remembered_ends_with_its_signature_and_is_bogus_then() {
    // The TTL would last for an hour, and the resolver serves the same data for ever.
    let liar = Liar::new(Arc::new(world()), |world, query, message| {
        resign(world, query, message, T0 - 9, T0 + 7);
    });
    let clock = Hand::at(T0);
    let chase = chase(liar.clone(), clock.clone());
    for (seconds, expected, asked) in [
        (0, "secure records", 6),
        (6, "secure records", 6),
        // The last second of a signature is in its period, but nothing is left to remember.
        (7, "secure records", 7),
        (8, "bogus", 11),
        (9, "bogus", 11),
        (10, "bogus", 11),
        (11, "bogus", 12),
    ] {
        clock.move_to(T0 + seconds);
        assert_eq!(ask(&chase, TLSA_NAME).await, expected, "after {seconds} s");
        assert_eq!(liar.asked(), asked, "after {seconds} s");
    }
}

#[tokio::test]
async fn dnssec_17_net_18_a_failure_is_kept_for_three_seconds_whatever_it_is() {
    let world = Arc::new(world());
    for code in [ResponseCode::ServFail, ResponseCode::Refused] {
        let liar = Liar::new(Arc::clone(&world), move |_, _, message| {
            refuse(message, code)
        });
        let clock = Hand::at(T0);
        let chase = chase(liar.clone(), clock.clone());
        ask(&chase, TLSA_NAME).await;
        let asked = liar.asked();
        for (seconds, again) in [(0, false), (2, false), (3, true)] {
            clock.move_to(T0 + seconds);
            assert_eq!(ask(&chase, TLSA_NAME).await, "no answer", "{code}");
            assert_eq!(liar.asked() > asked, again, "{code}: after {seconds} s");
        }
    }
}

const YEAR: u64 = 365 * 86_400;
