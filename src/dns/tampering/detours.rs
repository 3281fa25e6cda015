//! Where a resolver fails at the records, the alias before them can be had by itself; nothing else is made of the failure.

use RecordType::{A, AAAA, TLSA};

use super::*;

/// The resolver fails at everything but aliases, DS and keys, unless the name has no alias before it.
fn fails_behind_aliases(world: &World, query: &Query, message: &mut Message) {
    let is_step = matches!(
        query.query_type(),
        RecordType::DS | RecordType::DNSKEY | RecordType::CNAME
    );
    let aliases = world.answer(&Query::query(query.name().clone(), RecordType::CNAME));
    if !is_step && !aliases.answers.is_empty() {
        refuse(message, ResponseCode::ServFail);
    }
}

const ALIASES: &[(&str, &str, RecordType, &str)] = &[
    (
        "secure, to secure records",
        "alias.lab.test",
        A,
        "secure records",
    ),
    (
        "secure, to unsigned records",
        "out.lab.test",
        A,
        "insecure records",
    ),
    (
        "secure, to nothing of the type",
        "nowhere.hash.test",
        TLSA,
        "secure nodata",
    ),
    (
        "secure, to nothing unsigned",
        "out.lab.test",
        AAAA,
        "insecure nodata",
    ),
    ("unsigned", "alias.free.test", A, "insecure records"),
    ("sixteen", "c2.lab.test", A, "secure records"),
    ("seventeen", "c1.lab.test", A, "no answer"),
    ("in a circle", "loop.lab.test", A, "no answer"),
    ("in a circle, unsigned", "loop.free.test", A, "no answer"),
    ("a DNAME", "_25._tcp.mx.dn.lab.test", TLSA, "secure records"),
];

#[tokio::test]
async fn dns_05_dnssec_22_behind_a_failure_an_alias_is_followed_by_itself() {
    let rows: Vec<Row> = ALIASES
        .iter()
        .map(|&(says, owner, record_type, comes_out)| Row {
            says,
            ask: (owner, record_type),
            lie: fails_behind_aliases,
            comes_out,
        })
        .collect();
    check(&rows).await;
}

fn fails(query: &Query, message: &mut Message) -> bool {
    let fails = matches!(query.query_type(), A | AAAA | TLSA);
    if fails {
        refuse(message, ResponseCode::ServFail);
    }
    fails
}

/// What comes of asking for the alias, where the question itself fails.
const NO_ALIAS: &[(&str, Lie)] = &[
    ("the alias is proven absent", |_, query, message| {
        fails(query, message);
    }),
    ("the alias is denied without proof", |_, query, message| {
        if !fails(query, message) && query.query_type() == RecordType::CNAME {
            claim_nothing(message, ResponseCode::NXDomain, Vec::new());
        }
    }),
    ("an alias that nobody signed", |_, query, message| {
        if !fails(query, message) && query.query_type() == RecordType::CNAME {
            let alias = RData::CNAME(CNAME(name("mx.free.test")));
            clear(message);
            message.answers = vec![record(query.name(), alias)];
        }
    }),
    ("an alias that somebody else signed", |_, query, message| {
        if !fails(query, message) && query.query_type() == RecordType::CNAME {
            let alias = [record(
                query.name(),
                RData::CNAME(CNAME(name("mx.free.test"))),
            )];
            let rrsig = ZoneKey::generate().sign(&name("lab.test"), &alias);
            clear(message);
            message.answers = alias.into_iter().chain([rrsig]).collect();
        }
    }),
    ("an alias with two targets", |_, query, message| {
        if !fails(query, message) && query.query_type() == RecordType::CNAME {
            let alias = |target| record(query.name(), RData::CNAME(CNAME(name(target))));
            clear(message);
            message.answers = vec![alias("mx.free.test"), alias("no.free.test")];
        }
    }),
    ("the alias fails too", |_, query, message| {
        if !fails(query, message) && query.query_type() == RecordType::CNAME {
            refuse(message, ResponseCode::ServFail);
        }
    }),
    (
        "the records come with the alias question only",
        |world, query, message| {
            if !fails(query, message) && query.query_type() == RecordType::CNAME {
                *message = world.answer(&Query::query(query.name().clone(), TLSA));
                message.queries = vec![query.clone()];
            }
        },
    ),
];

#[tokio::test]
async fn dns_05_13_without_an_alias_that_is_proven_a_failure_stays_one() {
    let world = Arc::new(world());
    for (says, lie) in NO_ALIAS {
        for owner in [TLSA_NAME, "no.lab.test", "_25._tcp.no.lab.test"] {
            let liar = Liar::new(Arc::clone(&world), *lie);
            let chase = chase(liar.clone(), Hand::at(T0));
            let outcome = chase.look_up(&name(owner), TLSA, &errand()).await;
            assert_eq!(comes_out(&outcome), "no answer", "{says}, {owner}");
            let text = outcome.end.unwrap_err().to_string();
            assert!(text.contains("Server Failure"), "{says}: {text}");
            assert!(outcome.links.is_empty(), "{says}");
            assert!(liar.asked() < 12, "{says}: {}", liar.asked());
        }
    }
}

#[tokio::test]
async fn dns_05_refusals_and_silence_are_not_worth_a_detour() {
    let world = Arc::new(world());
    for code in [
        ResponseCode::Refused,
        ResponseCode::FormErr,
        ResponseCode::BADVERS,
    ] {
        let liar = Liar::new(Arc::clone(&world), move |_, query, message| {
            if query.query_type() == A {
                refuse(message, code);
            }
        });
        let chase = chase(liar.clone(), Hand::at(T0));
        let outcome = chase.look_up(&name("alias.lab.test"), A, &errand()).await;
        assert_eq!(
            (comes_out(&outcome), liar.asked()),
            ("no answer", 1),
            "{code}"
        );
    }
}

#[tokio::test]
async fn dnssec_25_a_resolver_that_does_not_know_edns_is_never_asked_without_it() {
    // The transport in these tests refuses any question without DO and CD, so it is enough that there are no others.
    let world = Arc::new(world());
    for code in [
        ResponseCode::FormErr,
        ResponseCode::NotImp,
        ResponseCode::BADVERS,
    ] {
        for owner in [TLSA_NAME, "_25._tcp.mx.free.test"] {
            let liar = Liar::new(Arc::clone(&world), move |_, _, message| {
                refuse(message, code);
            });
            let chase = chase(liar.clone(), Hand::at(T0));
            let outcome = chase.look_up(&name(owner), TLSA, &errand()).await;
            assert_eq!(
                (comes_out(&outcome), liar.asked()),
                ("no answer", 1),
                "{code}"
            );
        }
    }
}
