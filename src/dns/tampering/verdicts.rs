//! Whose validation counts: the resolver's alone, or ours and the resolver's together.

use RecordType::{A, AAAA, TLSA};

use super::*;
use crate::dns::sample::validating;

async fn find(chase: &Chase<Liar>, (owner, record_type): (&str, RecordType)) -> Outcome {
    chase.look_up(&name(owner), record_type, &errand()).await
}

fn by(validate: Validate, liar: &Liar) -> Chase<Liar> {
    let time = Duration::from_secs(60);
    chase_at(time, vec![liar.clone()], validate, Hand::at(T0))
}

/// The trust in each alias, and what came out.
fn links_and_end(outcome: &Outcome) -> (Vec<Trust>, &'static str) {
    let links = outcome.links.iter().map(|link| link.trust).collect();
    (links, comes_out(outcome))
}

fn counted(chase: &Chase<Liar>) -> u64 {
    chase.disagreements().load(Ordering::Relaxed)
}

#[tokio::test]
async fn dnssec_3_22_23_dane_1_the_trusted_resolvers_word_goes_for_each_link() {
    use Trust::{Insecure, Secure};
    let liar = Liar::new(Arc::new(world()), HONEST);
    for (question, links, end) in [
        ((TLSA_NAME, TLSA), vec![], "secure records"),
        (("no.lab.test", TLSA), vec![], "secure nodata"),
        (("_25._tcp.no.lab.test", TLSA), vec![], "secure nxdomain"),
        (("_25._tcp.mx.free.test", TLSA), vec![], "insecure records"),
        (("no.free.test", TLSA), vec![], "insecure nodata"),
        (("_25._tcp.no.free.test", TLSA), vec![], "insecure nxdomain"),
        (("alias.lab.test", A), vec![Secure], "secure records"),
        (("nowhere.lab.test", AAAA), vec![Secure], "secure nodata"),
        (("out.lab.test", A), vec![Secure], "insecure records"),
        (("out.lab.test", AAAA), vec![Secure], "insecure nodata"),
        (("alias.free.test", A), vec![Insecure], "insecure records"),
        (("mx.dn.lab.test", A), vec![Secure], "secure records"),
        (("mx.dn.free.test", A), vec![Insecure], "insecure records"),
        (("loop.lab.test", A), vec![Secure; 2], "no answer"),
        (("c1.lab.test", A), vec![Secure; 17], "no answer"),
    ] {
        let outcome = find(&by(Validate::TrustAd, &liar), question).await;
        assert_eq!(links_and_end(&outcome), (links, end), "{question:?}");
    }
}

/// What a resolver that is trusted can do wrong, and what becomes of it.
const VERDICTS: &[Row] = &[
    Row {
        says: "it does not vouch for a secure answer",
        ask: (TLSA_NAME, TLSA),
        lie: |_, _, message| message.metadata.authentic_data = false,
        comes_out: "insecure records",
    },
    Row {
        says: "the alias by itself leads somewhere else",
        ask: ("out.lab.test", A),
        lie: |world, query, message| {
            validating(world, query, message);
            if query.query_type() == RecordType::CNAME {
                message.answers[0].data = RData::CNAME(CNAME(name("elsewhere.test")));
            }
        },
        comes_out: "no answer",
    },
    Row {
        says: "the alias by itself is not there",
        ask: ("out.lab.test", A),
        lie: |world, query, message| {
            validating(world, query, message);
            if query.query_type() == RecordType::CNAME {
                message.answers.clear();
            }
        },
        comes_out: "no answer",
    },
    Row {
        says: "the alias by itself has several targets",
        ask: ("out.lab.test", A),
        lie: |world, query, message| {
            validating(world, query, message);
            if query.query_type() == RecordType::CNAME {
                let other = RData::CNAME(CNAME(name("elsewhere.test")));
                message.answers.push(record(query.name(), other));
            }
        },
        comes_out: "no answer",
    },
    Row {
        says: "SERVFAIL for the alias by itself",
        ask: ("out.lab.test", A),
        lie: |world, query, message| {
            validating(world, query, message);
            if query.query_type() == RecordType::CNAME {
                refuse(message, ResponseCode::ServFail);
            }
        },
        comes_out: "no answer",
    },
    Row {
        says: "SERVFAIL, with AD",
        ask: (TLSA_NAME, TLSA),
        lie: |_, _, message| {
            message.metadata.authentic_data = true;
            refuse(message, ResponseCode::ServFail);
        },
        comes_out: "no answer",
    },
    Row {
        says: "SERVFAIL for lack of servers",
        ask: (TLSA_NAME, TLSA),
        lie: |_, _, message| {
            refuse(message, ResponseCode::ServFail);
            explain(message, &[(22, ""), (5, "indeterminate"), (13, "")]);
        },
        comes_out: "no answer",
    },
    Row {
        says: "NOERROR with an extended error",
        ask: (TLSA_NAME, TLSA),
        lie: |world, query, message| {
            validating(world, query, message);
            explain(message, &[(3, "stale")]);
        },
        comes_out: "secure records",
    },
];

#[tokio::test]
async fn dns_05_dnssec_1_22_a_trusted_resolver_that_fails_or_contradicts_itself_is_not_believed() {
    let world = Arc::new(world());
    for row in VERDICTS {
        let liar = Liar::new(Arc::clone(&world), HONEST).verdict(row.lie);
        let outcome = find(&by(Validate::TrustAd, &liar), row.ask).await;
        assert_eq!(
            comes_out(&outcome),
            row.comes_out,
            "{}: {:?}",
            row.says,
            outcome.end
        );
    }
}

#[tokio::test]
async fn dnssec_26_extended_errors_tell_bogus_from_unreachable() {
    let world = Arc::new(world());
    for code in 0..=30 {
        let liar = Liar::new(Arc::clone(&world), HONEST).verdict(move |_, _, message| {
            refuse(message, ResponseCode::ServFail);
            explain(message, &[(22, "also"), (code, "")]);
        });
        let outcome = find(&by(Validate::TrustAd, &liar), (TLSA_NAME, TLSA)).await;
        let is_bogus = matches!(outcome.end, Err(Trouble::SaidToBeBogus { .. }));
        assert_eq!(is_bogus, (6..=12).contains(&code), "{code}");
    }
}

#[tokio::test]
async fn dns_18_what_one_trusted_resolver_finds_bogus_another_may_find_secure() {
    let world = Arc::new(world());
    let bogus = |_: &World, _: &Query, message: &mut Message| {
        refuse(message, ResponseCode::ServFail);
        explain(message, &[(7, "the clock is wrong")]);
    };
    let first = Liar::new(Arc::clone(&world), HONEST).verdict(bogus);
    let honest = Liar::new(Arc::clone(&world), HONEST);
    let time = Duration::from_secs(60);
    for (second, expected) in [
        (honest, true),
        (Liar::new(world, HONEST).verdict(bogus), false),
    ] {
        let liars = vec![first.clone(), second];
        let chase = chase_at(time, liars, Validate::TrustAd, Hand::at(T0));
        let outcome = find(&chase, (TLSA_NAME, TLSA)).await;
        assert_eq!(outcome.end.is_ok(), expected, "{:?}", outcome.end);
    }
}

type Named = (&'static str, Lie);

/// What our own validation may get to see.
const DATA: &[Named] = &[
    ("honest", HONEST),
    ("without signatures", |_, _, message| strip(message)),
    ("refused", |_, _, message| {
        refuse(message, ResponseCode::Refused)
    }),
    ("nothing there", |_, _, message| {
        claim_nothing(message, ResponseCode::NoError, Vec::new());
    }),
    (
        "led to a name that is not there",
        |world, query, message| {
            if query.query_type() == A && !name("lab.test").zone_of(query.name()) {
                let nowhere = Query::query(name("nope.free.test"), A);
                *message = world.answer(&nowhere);
                message.queries = vec![query.clone()];
            }
        },
    ),
];

/// What the resolver may say of it.
const SAYINGS: &[Named] = &[
    ("honest", validating),
    ("AD on everything", |world, query, message| {
        validating(world, query, message);
        message.metadata.authentic_data = true;
    }),
    ("AD on nothing", |world, query, message| {
        validating(world, query, message);
        message.metadata.authentic_data = false;
    }),
    ("refused", |_, _, message| {
        refuse(message, ResponseCode::Refused)
    }),
    ("bogus", |_, _, message| {
        refuse(message, ResponseCode::ServFail);
        explain(message, &[(6, "")]);
    }),
    ("nothing there", |world, query, message| {
        validating(world, query, message);
        message.answers.clear();
    }),
    ("no such name", |world, query, message| {
        validating(world, query, message);
        message.answers.clear();
        message.metadata.response_code = ResponseCode::NXDomain;
    }),
    ("AD on aliases only", |world, query, message| {
        validating(world, query, message);
        message.metadata.authentic_data = query.query_type() == RecordType::CNAME;
    }),
    ("AD on all but aliases", |world, query, message| {
        validating(world, query, message);
        message.metadata.authentic_data &= query.query_type() != RecordType::CNAME;
    }),
];

const QUESTIONS: &[(&str, RecordType)] = &[
    (TLSA_NAME, TLSA),
    ("no.lab.test", TLSA),
    ("_25._tcp.no.lab.test", TLSA),
    ("_25._tcp.mx.free.test", TLSA),
    ("_25._tcp.no.free.test", TLSA),
    ("alias.lab.test", A),
    ("out.lab.test", A),
    ("out.lab.test", AAAA),
    ("alias.free.test", A),
    ("loop.lab.test", A),
];

/// All that a policy makes of an outcome: what there is, how far it is trusted, and whether TLSA records may stand at an alias.
fn read(outcome: &Outcome) -> (&'static str, bool) {
    let first = outcome.links.first();
    let is_secure_alias = first.is_some_and(|link| link.trust == Trust::Secure);
    (comes_out(outcome), outcome.end.is_ok() && is_secure_alias)
}

#[tokio::test]
async fn dnssec_1_3_dns_06_18_two_validations_together_are_never_looser_than_either_alone() {
    let world = Arc::new(world());
    let (mut agreed, mut disagreed) = (0, 0);
    for (data, lie) in DATA {
        for (saying, verdict) in SAYINGS {
            let liar = Liar::new(Arc::clone(&world), *lie).verdict(*verdict);
            for question in QUESTIONS {
                let says = format!("{data}; {saying}; {question:?}");
                let ours = find(&by(Validate::Local, &liar), *question).await;
                let theirs = find(&by(Validate::TrustAd, &liar), *question).await;
                let both = by(Validate::Both, &liar);
                let together = find(&both, *question).await;
                let reached = |outcome: &Outcome| {
                    outcome.end.is_ok() || outcome.end.as_ref().is_err_and(Trouble::is_bogus)
                };
                let ends = (read(&ours), read(&theirs));
                let is_bogus =
                    |outcome: &Outcome| outcome.end.as_ref().is_err_and(Trouble::is_bogus);
                if ends.0 == ends.1 || (is_bogus(&ours) && is_bogus(&theirs)) {
                    assert_eq!(read(&together), read(&ours), "{says}");
                    assert_eq!(counted(&both), 0, "{says}");
                    agreed += 1;
                    continue;
                }
                assert!(together.end.is_err(), "{says}: {:?}", together.end);
                let counts = reached(&ours) && reached(&theirs);
                let is_disagreement = matches!(together.end, Err(Trouble::Disagreement { .. }));
                assert_eq!(is_disagreement, counts, "{says}: {:?}", together.end);
                assert_eq!(counted(&both), u64::from(counts), "{says}");
                disagreed += u32::from(counts);
                // From memory; nobody disagrees anew.
                find(&both, *question).await;
                assert_eq!(counted(&both), u64::from(counts), "{says}");
            }
        }
    }
    assert!(agreed > 50 && disagreed > 100, "{agreed} {disagreed}");
}

#[tokio::test]
async fn dnssec_1_each_kind_of_disagreement_is_told_in_both_words() {
    let world = Arc::new(world());
    let by_name =
        |list: &[Named], wanted: &str| list.iter().find(|(says, _)| *says == wanted).unwrap().1;
    for (data, saying, question, words) in [
        (
            "honest",
            "AD on nothing",
            (TLSA_NAME, TLSA),
            ["secure records", "insecure records"],
        ),
        (
            "honest",
            "nothing there",
            (TLSA_NAME, TLSA),
            ["secure records", "proven NODATA"],
        ),
        (
            "honest",
            "no such name",
            ("no.lab.test", TLSA),
            ["proven NODATA", "proven NXDOMAIN"],
        ),
        (
            "without signatures",
            "honest",
            (TLSA_NAME, TLSA),
            ["bogus", "secure records"],
        ),
        (
            "without signatures",
            "AD on nothing",
            (TLSA_NAME, TLSA),
            ["bogus", "insecure records"],
        ),
        (
            "honest",
            "bogus",
            (TLSA_NAME, TLSA),
            ["secure records", "bogus"],
        ),
        (
            "honest",
            "AD on all but aliases",
            ("out.lab.test", A),
            ["insecure records behind a secure alias", "insecure records"],
        ),
    ] {
        let lie = by_name(DATA, data);
        let liar = Liar::new(Arc::clone(&world), lie).verdict(by_name(SAYINGS, saying));
        let outcome = find(&by(Validate::Both, &liar), question).await;
        let [ours, theirs] = words.map(str::to_owned);
        let Err(trouble) = outcome.end else {
            panic!("{data}, {saying}: {:?}", outcome.end);
        };
        assert_eq!(trouble, Trouble::Disagreement { ours, theirs });
    }
}
