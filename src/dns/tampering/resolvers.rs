//! Several resolvers: one that fails is stepped over, one that lies is found out, and neither can turn secure into less.

use hickory_resolver::proto::op::MessageType;

use super::*;
use crate::dns::sample::Mishap;

/// What the first of the resolvers does.
type Lapse = (&'static str, fn(Arc<World>) -> Liar);

/// Not heard of at all, or talking nonsense: the next one is preferred from then on.
const SILENCES: &[Lapse] = &[
    ("silence", dead),
    ("nobody listens", |world| {
        Liar::new(world, HONEST).mishap(|_| Some(Mishap::NotListening))
    }),
    ("cut short, also by TCP", |world| {
        Liar::new(world, |_, _, message| message.metadata.truncation = true)
    }),
    ("a question for an answer", |world| {
        Liar::new(world, |_, _, message| {
            message.metadata.message_type = MessageType::Query
        })
    }),
    ("the answer to another name", |world| {
        Liar::new(world, |_, _, message| {
            message.queries[0].set_name(name("mx.free.test"));
        })
    }),
    ("the answer to another type", |world| {
        Liar::new(world, |_, _, message| {
            message.queries[0].set_query_type(RecordType::TXT);
        })
    }),
    ("the answer to no question", |world| {
        Liar::new(world, |_, _, message| message.queries.clear())
    }),
];

/// Refused: that may be for this question only.
const REFUSALS: &[ResponseCode] = &[
    ResponseCode::ServFail,
    ResponseCode::Refused,
    ResponseCode::NotImp,
    ResponseCode::FormErr,
    ResponseCode::BADVERS,
];

fn dead(world: Arc<World>) -> Liar {
    Liar::new(world, HONEST).mishap(|_| Some(Mishap::TimedOut))
}

fn refusing(world: Arc<World>, code: ResponseCode) -> Liar {
    Liar::new(world, move |_, _, message| refuse(message, code))
}

fn several(liars: Vec<Liar>) -> Chase<Liar> {
    chase_within(Duration::from_secs(60), liars)
}

/// How often the first of two resolvers is asked in each of two lookups that both need one more answer.
async fn asked_first(says: &str, first: Liar, world: Arc<World>) -> [usize; 2] {
    let second = Liar::new(world, HONEST);
    let chase = several(vec![first.clone(), second.clone()]);
    assert_eq!(ask(&chase, TLSA_NAME).await, "secure records", "{says}");
    assert_eq!(second.asked(), 6, "{says}");
    let asked = first.asked();
    assert_eq!(ask(&chase, "no.lab.test").await, "secure nodata", "{says}");
    assert_eq!(second.asked(), 7, "{says}");
    [asked, first.asked() - asked]
}

#[tokio::test]
async fn dns_05_18_dnssec_25_a_resolver_that_says_nothing_makes_way_for_the_next_one() {
    let world = Arc::new(world());
    for (says, first) in SILENCES {
        let asked = asked_first(says, first(Arc::clone(&world)), Arc::clone(&world)).await;
        assert_eq!(asked, [1, 0], "{says}");
    }
}

#[tokio::test]
async fn dns_05_18_dnssec_25_a_resolver_that_refuses_is_stepped_over_and_asked_again_next_time() {
    let world = Arc::new(world());
    for code in REFUSALS {
        let first = refusing(Arc::clone(&world), *code);
        let asked = asked_first(&code.to_string(), first, Arc::clone(&world)).await;
        assert_eq!(asked, [6, 1], "{code}");
    }
}

#[tokio::test]
async fn dns_18_after_a_silence_whoever_answers_is_preferred_also_behind_one_that_refuses() {
    let world = Arc::new(world());
    let (silent, refusing) = (
        dead(Arc::clone(&world)),
        refusing(Arc::clone(&world), ResponseCode::Refused),
    );
    let honest = Liar::new(world, HONEST);
    let chase = several(vec![silent.clone(), refusing.clone(), honest]);
    assert_eq!(ask(&chase, TLSA_NAME).await, "secure records");
    let (asked, refused) = (silent.asked(), refusing.asked());
    assert_eq!(ask(&chase, "no.lab.test").await, "secure nodata");
    assert_eq!((silent.asked(), refusing.asked()), (asked, refused));
}

#[tokio::test]
async fn dns_05_where_all_fail_nothing_is_known_and_the_best_reason_is_given() {
    let world = Arc::new(world());
    let silent = || dead(Arc::clone(&world));
    let servfail = || {
        Liar::new(Arc::clone(&world), |_, _, message| {
            refuse(message, ResponseCode::ServFail);
            explain(message, &[(22, "no reachable authority")]);
        })
    };
    let refused = || refusing(Arc::clone(&world), ResponseCode::Refused);
    for (liars, reason) in [
        (
            vec![silent(), servfail()],
            "extended error 22: no reachable authority",
        ),
        (
            vec![servfail(), silent()],
            "extended error 22: no reachable authority",
        ),
        (vec![silent(), silent(), refused()], "Query Refused"),
        (vec![refused(), silent(), servfail()], "Query Refused"),
        (vec![silent(), silent()], "did not answer in time"),
    ] {
        let outcome = several(liars)
            .look_up(&name(TLSA_NAME), RecordType::TLSA, &errand())
            .await;
        assert_eq!(comes_out(&outcome), "no answer");
        let text = outcome.end.unwrap_err().to_string();
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn dns_05_a_single_resolver_is_asked_again_after_silence_and_not_after_a_refusal() {
    let world = Arc::new(world());
    for (says, liar, asked) in [
        ("silence", dead(Arc::clone(&world)), 2),
        (
            "REFUSED",
            refusing(Arc::clone(&world), ResponseCode::Refused),
            1,
        ),
        // The other is the question for an alias.
        (
            "SERVFAIL",
            refusing(Arc::clone(&world), ResponseCode::ServFail),
            2,
        ),
    ] {
        let chase = several(vec![liar.clone()]);
        assert_eq!(ask(&chase, TLSA_NAME).await, "no answer", "{says}");
        assert_eq!(liar.asked(), asked, "{says}");
    }
}

#[tokio::test]
async fn dnssec_20_dns_15_the_budget_holds_over_all_resolvers_together() {
    let deep = Arc::new(limits::deep_world());
    let liars = [
        dead(Arc::clone(&deep)),
        refusing(Arc::clone(&deep), ResponseCode::Refused),
        Liar::new(Arc::clone(&deep), HONEST),
    ];
    let chase = several(liars.to_vec());
    let outcome = chase
        .look_up(&name(&limits::deepest_name()), RecordType::TLSA, &errand())
        .await;
    assert_eq!(comes_out(&outcome), "no answer", "{:?}", outcome.end);
    assert_eq!(liars.iter().map(Liar::asked).sum::<usize>(), 160);
}

#[tokio::test]
async fn dns_05_the_deadline_holds_over_all_resolvers_together() {
    let world = Arc::new(world());
    let silent = || Liar::silent(Arc::clone(&world));
    let liars = vec![silent(), silent(), Liar::new(Arc::clone(&world), HONEST)];
    let chase = chase_within(Duration::from_millis(10), liars);
    let outcome = chase
        .look_up(&name(TLSA_NAME), RecordType::TLSA, &errand())
        .await;
    assert!(
        matches!(outcome.end, Err(Trouble::Deadline(_))),
        "{:?}",
        outcome.end
    );
}

/// A part of what is needed for a judgement, and how it is lied about.
#[derive(Clone, Copy)]
struct Deceit {
    about: (&'static str, fn(&Query) -> bool),
    how: (&'static str, Lie),
}

type Part = (&'static str, fn(&Query) -> bool);

const PARTS: &[Part] = &[
    ("the answer", |query| {
        !matches!(query.query_type(), RecordType::DS | RecordType::DNSKEY)
    }),
    ("the DS", |query| is(query, "lab.test", RecordType::DS)),
    ("the DS above", |query| is(query, "test", RecordType::DS)),
    ("the keys", |query| {
        is(query, "lab.test", RecordType::DNSKEY)
    }),
    ("the root's keys", |query| {
        is(query, ".", RecordType::DNSKEY)
    }),
];

const LIES: &[(&str, Lie)] = &[
    ("stripped", |_, _, message| strip(message)),
    ("forged", |_, _, message| {
        let key = ZoneKey::generate();
        sign_anew(message, |signer, set| key.sign(signer, set));
    }),
    ("over", |world, _, message| {
        sign_anew(message, |signer, set| {
            let zone = world.zone(&signer.to_ascii());
            zone.key().sign_for(signer, set, T0 - 9, T0 - 1)
        });
    }),
    ("denied without proof", |_, _, message| {
        claim_nothing(message, ResponseCode::NoError, Vec::new());
    }),
    ("said not to exist", |_, _, message| {
        claim_nothing(message, ResponseCode::NXDomain, Vec::new());
    }),
    ("led astray", |_, query, message| {
        clear(message);
        let alias = RData::CNAME(CNAME(name("mx.free.test")));
        message.answers = vec![record(query.name(), alias)];
    }),
];

#[tokio::test]
async fn dns_03_13_18_an_alias_with_two_targets_is_asked_for_elsewhere() {
    let world = Arc::new(world());
    let lying = Liar::new(Arc::clone(&world), |_, query, message| {
        if asks_tlsa(query) {
            clear(message);
            let alias = |target| record(query.name(), RData::CNAME(CNAME(name(target))));
            message.answers = vec![alias("mx.free.test"), alias("no.free.test")];
        }
    });
    let chase = several(vec![lying.clone(), Liar::new(world, HONEST)]);
    assert_eq!(ask(&chase, TLSA_NAME).await, "secure records");
    assert_eq!(
        ask(&several(vec![lying.clone(), lying]), TLSA_NAME).await,
        "no answer"
    );
}

/// Each RRSIG made again.
fn sign_anew(message: &mut Message, sign: impl Fn(&Name, &[Record]) -> Record) {
    for section in [&mut message.answers, &mut message.authorities] {
        let before = section.clone();
        for rrsig in section.iter_mut() {
            let RData::DNSSEC(DNSSECRData::RRSIG(data)) = &rrsig.data else {
                continue;
            };
            let (signer, covered) = (&data.input().signer_name, data.input().type_covered);
            let is_covered =
                |other: &&Record| other.name == rrsig.name && other.record_type() == covered;
            let set: Vec<Record> = before.iter().filter(is_covered).cloned().collect();
            *rrsig = sign(signer, &set);
        }
    }
}

fn deceits() -> impl Iterator<Item = Deceit> {
    PARTS.iter().flat_map(|about| {
        LIES.iter().map(|how| Deceit {
            about: *about,
            how: *how,
        })
    })
}

fn deceiving(world: &Arc<World>, deceit: Deceit) -> Liar {
    Liar::new(Arc::clone(world), move |world, query, message| {
        if (deceit.about.1)(query) {
            (deceit.how.1)(world, query, message);
        }
    })
}

impl std::fmt::Display for Deceit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.about.0, self.how.0)
    }
}

/// Names in the zone that is lied about, with what an honest resolver says of them.
const TRUTHS: &[(&str, &str)] = &[
    (TLSA_NAME, "secure records"),
    ("no.lab.test", "secure nodata"),
    ("_25._tcp.no.lab.test", "secure nxdomain"),
    ("x.wild.lab.test", "secure records"),
];

#[tokio::test]
async fn dns_03_07_18_what_one_resolver_lies_about_another_puts_right() {
    let world = Arc::new(world());
    for deceit in deceits() {
        for (owner, truth) in TRUTHS {
            let honest = Liar::new(Arc::clone(&world), HONEST);
            let chase = several(vec![deceiving(&world, deceit), honest]);
            assert_eq!(ask(&chase, owner).await, *truth, "{deceit}: {owner}");
            // What was remembered on the way is proven too.
            assert_eq!(
                ask(&chase, "exact.wild.lab.test").await,
                "secure nodata",
                "{deceit}"
            );
        }
    }
}

#[tokio::test]
async fn dns_03_07_18_a_lie_is_no_silence_when_nobody_else_has_anything_to_say() {
    let world = Arc::new(world());
    for deceit in deceits() {
        let alone = several(vec![deceiving(&world, deceit)]);
        let alone = alone
            .look_up(&name(TLSA_NAME), RecordType::TLSA, &errand())
            .await;
        assert_eq!(comes_out(&alone), "bogus", "{deceit}");
        for other in [
            dead(Arc::clone(&world)),
            refusing(Arc::clone(&world), ResponseCode::ServFail),
            Liar::new(Arc::clone(&world), |_, _, message| strip(message)),
        ] {
            let chase = several(vec![deceiving(&world, deceit), other]);
            let outcome = chase
                .look_up(&name(TLSA_NAME), RecordType::TLSA, &errand())
                .await;
            assert_eq!(
                outcome.end.err(),
                alone.end.clone().err(),
                "{deceit}: the first one's"
            );
        }
    }
}

#[tokio::test]
async fn dns_18_a_lookup_that_goes_on_for_ever_at_the_second_resolver_stays_bogus() {
    let world = Arc::new(world());
    let lying = Liar::new(Arc::clone(&world), |_, _, message| strip(message));
    let chase = chase_within(Duration::from_millis(50), vec![lying, Liar::silent(world)]);
    assert_eq!(ask(&chase, TLSA_NAME).await, "bogus");
}

#[tokio::test]
async fn dns_03_04_07_18_two_lying_resolvers_in_every_mixture_make_nothing_insecure() {
    let world = Arc::new(world());
    for first in deceits() {
        for second in deceits() {
            let chase = several(vec![deceiving(&world, first), deceiving(&world, second)]);
            let seen = ask(&chase, TLSA_NAME).await;
            assert!(
                ["secure records", "bogus"].contains(&seen),
                "{first}; {second}: {seen}"
            );
            let seen = ask(&chase, "_25._tcp.no.lab.test").await;
            assert!(
                ["secure nxdomain", "bogus"].contains(&seen),
                "{first}; {second}: {seen}"
            );
        }
    }
}

#[tokio::test]
async fn dns_18_a_resolver_that_lies_and_falls_silent_by_turns_does_not_hide_the_honest_one() {
    let world = Arc::new(world());
    // It lies about the answer, and by its silence about the keys it makes the other one preferred in the middle of the lookup.
    let lying = Liar::new(Arc::clone(&world), |_, query, message| {
        strip_forged(query, message)
    })
    .mishap(|query| {
        let is_step = matches!(query.query_type(), RecordType::DS | RecordType::DNSKEY);
        is_step.then_some(Mishap::TimedOut)
    });
    let honest = Liar::new(world, HONEST);
    let chase = several(vec![lying, honest]);
    assert_eq!(ask(&chase, TLSA_NAME).await, "secure records");
}

fn strip_forged(query: &Query, message: &mut Message) {
    if asks_tlsa(query) {
        let key = ZoneKey::generate();
        sign_anew(message, |signer, set| key.sign(signer, set));
    }
}

#[tokio::test]
async fn dnssec_26_what_a_resolver_explains_is_escaped_and_short() {
    let explanation = format!("\u{1b}[31m\r\nfake: line \u{202e}{}", "x".repeat(4000));
    let liar = Liar::new(Arc::new(world()), move |_, _, message| {
        refuse(message, ResponseCode::ServFail);
        explain(message, &vec![(7, explanation.as_str()); 15]);
    });
    let chase = several(vec![liar]);
    let outcome = chase
        .look_up(&name(TLSA_NAME), RecordType::TLSA, &errand())
        .await;
    let text = outcome.end.unwrap_err().to_string();
    assert!(
        text.contains(r"(extended error 7: \u{1b}[31m\r\nfake"),
        "{text}"
    );
    assert!(
        !text.chars().any(|c| c.is_control() || c == '\u{202e}'),
        "{text}"
    );
    assert_eq!(text.matches("extended error").count(), 8);
    assert!(text.len() < 2000, "{}", text.len());
}
