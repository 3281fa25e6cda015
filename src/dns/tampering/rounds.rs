//! How many messages a lookup takes, and how many times it waits for them: a round is all that is under way at once.

use std::pin::Pin;
use std::sync::Mutex;

use futures_util::future::join_all;
use futures_util::stream::{self, Stream};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::op::{DnsRequest, DnsResponse};
use tokio::sync::oneshot;

use super::*;
use crate::dns::purse::Purse;
use crate::dns::sample::Mishap;

/// A transport that keeps all answers back until nobody has anything more to ask.
#[derive(Clone)]
struct Gate {
    liar: Liar,
    waiting: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
}

impl DnsHandle for Gate {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let mut reply = self.liar.send(request);
        let (open, opened) = oneshot::channel();
        self.waiting.lock().unwrap().push(open);
        Box::pin(stream::once(async move {
            opened.await.unwrap();
            std::future::poll_fn(|task| reply.as_mut().poll_next(task))
                .await
                .unwrap()
        }))
    }
}

/// A resolver behind a gate.
struct Gated {
    gate: Gate,
    chase: Chase<Gate>,
}

/// What a lookup took.
#[derive(Debug, PartialEq, Eq)]
struct Took {
    messages: usize,
    rounds: usize,
}

impl Gated {
    fn new(world: World) -> Self {
        let liar = Liar::new(Arc::new(world), HONEST);
        Self::asking(vec![liar.clone()], liar)
    }

    /// The first of two resolvers says nothing about zones.
    fn behind_a_silent_one(world: World) -> Self {
        let liar = Liar::new(Arc::new(world), HONEST);
        let silent = liar.clone().mishap(|query| {
            let is_step = matches!(query.query_type(), RecordType::DS | RecordType::DNSKEY);
            is_step.then_some(Mishap::TimedOut)
        });
        Self::asking(vec![silent, liar.clone()], liar)
    }

    /// All their messages are counted together.
    fn asking(liars: Vec<Liar>, liar: Liar) -> Self {
        let gate = Gate {
            liar,
            waiting: Arc::default(),
        };
        let clock: Arc<dyn Clock> = Arc::new(Hand::at(T0));
        let servers = liars.into_iter().map(|liar| Server {
            label: "a resolver".to_owned(),
            handle: Gate {
                liar,
                ..gate.clone()
            },
        });
        let anchor = gate.liar.world().anchor();
        let validators = Validators::new(Validate::Local, servers.collect(), anchor, &clock);
        let chase = Chase::new(validators, Duration::from_secs(60), clock);
        Self { gate, chase }
    }

    async fn ask(&self, owners: &[&str]) -> (Vec<&'static str>, Took) {
        let questions = owners.iter().map(|owner| (*owner, errand()));
        let (outcomes, took) = self.ask_for(questions.collect()).await;
        (outcomes.iter().map(comes_out).collect(), took)
    }

    /// Lookups at the same time, each with what it may spend.
    async fn ask_for(&self, questions: Vec<(&str, Errand)>) -> (Vec<Outcome>, Took) {
        let asked = self.gate.liar.asked();
        let lookups = questions.iter().map(|(owner, errand)| async {
            let owner = name(owner);
            self.chase.look_up(&owner, RecordType::TLSA, errand).await
        });
        let mut lookups = Box::pin(join_all(lookups));
        let (mut rounds, mut wakes) = (0, 0);
        loop {
            if let std::task::Poll::Ready(ends) = futures_util::poll!(lookups.as_mut()) {
                let messages = self.gate.liar.asked() - asked;
                return (ends, Took { messages, rounds });
            }
            let waiting = std::mem::take(&mut *self.gate.waiting.lock().unwrap());
            if waiting.is_empty() {
                // One lookup has woken another, which has to be looked after before anything is answered.
                wakes += 1;
                assert!(wakes < 100, "it waits for nothing");
                tokio::task::yield_now().await;
                continue;
            }
            rounds += 1;
            for open in waiting {
                // Whoever does not want it any more has gone.
                let _ = open.send(());
            }
        }
    }

    async fn takes(&self, owner: &str) -> (&'static str, usize, usize) {
        let (ends, Took { messages, rounds }) = self.ask(&[owner]).await;
        (ends[0], messages, rounds)
    }
}

#[tokio::test]
async fn dns_15_a_cold_lookup_in_a_signed_zone_takes_six_messages_in_two_rounds() {
    for (owner, end) in [
        (TLSA_NAME, "secure records"),
        ("no.lab.test", "secure nodata"),
        ("_25._tcp.no.lab.test", "secure nxdomain"),
        ("_25._tcp.mx.hash.test", "secure records"),
        ("_25._tcp.no.hash.test", "secure nxdomain"),
    ] {
        assert_eq!(
            Gated::new(world()).takes(owner).await,
            (end, 6, 2),
            "{owner}"
        );
    }
}

#[tokio::test]
async fn dns_15_a_cold_lookup_in_an_unsigned_zone_takes_at_most_six_messages_in_three_rounds() {
    for (owner, end) in [
        ("_25._tcp.mx.free.test", "insecure records"),
        ("no.free.test", "insecure nodata"),
        ("_25._tcp.no.free.test", "insecure nxdomain"),
        ("_25._tcp.mx.u.oo", "insecure records"),
    ] {
        assert_eq!(
            Gated::new(world()).takes(owner).await,
            (end, 5, 2),
            "{owner}"
        );
    }
    let below_three = contents(Zone::unsigned("free.lab.test"), "free.lab.test");
    let mut world = world();
    let lab = world
        .zones
        .iter()
        .position(|zone| zone.origin == name("lab.test"))
        .unwrap();
    let lab = world.zones.remove(lab).delegating(&below_three);
    world.zones.extend([lab, below_three]);
    let took = Gated::new(world).takes("_25._tcp.mx.free.lab.test").await;
    assert_eq!(took.0, "insecure records");
    assert!(
        took.1 <= 7 && took.2 <= 4,
        "a cut one zone further down: {took:?}"
    );
}

#[tokio::test]
async fn dns_15_in_a_zone_that_is_known_each_lookup_takes_one_message() {
    for (zone, kind) in [
        ("lab.test", "secure"),
        ("hash.test", "secure"),
        ("free.test", "insecure"),
    ] {
        let gated = Gated::new(world());
        gated.takes(&format!("_25._tcp.mx.{zone}")).await;
        for (owner, end) in [
            ("*.wild", "records"),
            ("x.wild", "records"),
            ("no", "nodata"),
            ("nope", "nxdomain"),
        ] {
            let took = gated.takes(&format!("{owner}.{zone}")).await;
            let end = format!("{kind} {end}");
            assert_eq!(took, (end.as_str(), 1, 1), "{owner}.{zone}");
        }
    }
}

#[tokio::test]
async fn dns_15_a_new_zone_below_a_known_one_takes_three_messages_in_two_rounds() {
    let gated = Gated::new(world());
    gated.takes(TLSA_NAME).await;
    assert_eq!(
        gated.takes("_25._tcp.mx.hash.test").await,
        ("secure records", 3, 2)
    );
    assert_eq!(
        gated.takes("_25._tcp.mx.free.test").await,
        ("insecure records", 2, 2)
    );
}

#[tokio::test]
async fn dns_15_lookups_at_the_same_time_ask_nothing_twice() {
    let gated = Gated::new(world());
    let owners = [
        TLSA_NAME,
        TLSA_NAME,
        "_25._TCP.mx.lab.test",
        "no.lab.test",
        "_25._tcp.no.lab.test",
        "_25._tcp.mx.hash.test",
        "_25._tcp.mx.free.test",
    ];
    let (ends, took) = gated.ask(&owners).await;
    assert_eq!(ends[0], "secure records");
    assert_eq!(ends[6], "insecure records");
    let mut questions = gated.gate.liar.questions();
    questions.sort();
    let all = questions.len();
    questions.dedup();
    assert_eq!(questions.len(), all, "{questions:?}");
    // The root's keys; DS and keys of test, lab.test, hash.test; the DS of free.test; five names.
    assert_eq!(
        took,
        Took {
            messages: 13,
            rounds: 2
        }
    );
}

/// A recipient's domain that has so many messages left.
fn poor(messages: u32) -> Errand {
    let domain = Arc::new(Purse::for_domain());
    while domain.left().0 > messages {
        Purses::new(Some(Arc::clone(&domain))).messages(1).unwrap();
    }
    Errand::new(Purses::new(Some(domain)), None)
}

fn is_spent(outcome: &Outcome) -> bool {
    matches!(outcome.end, Err(Trouble::DomainSpent))
}

#[tokio::test]
async fn dns_15_whoever_shares_a_lookup_with_a_spent_domain_goes_on_with_means_of_its_own() {
    for left in 0..6 {
        let gated = Gated::new(world());
        let questions = vec![
            (TLSA_NAME, poor(left)),
            (TLSA_NAME, errand()),
            (TLSA_NAME, errand()),
            ("no.lab.test", errand()),
        ];
        let (outcomes, _) = gated.ask_for(questions).await;
        assert!(is_spent(&outcomes[0]), "{left}: {:?}", outcomes[0].end);
        let others: Vec<_> = outcomes[1..].iter().map(comes_out).collect();
        let expected = ["secure records", "secure records", "secure nodata"];
        assert_eq!(others, expected, "{left}: {:?}", outcomes[1].end);
    }
}

#[tokio::test]
async fn dns_15_whoever_shares_questions_with_a_spent_domain_goes_on_with_means_of_its_own() {
    // The question under way is the poor one's, and the next resolver would have to be paid for.
    for left in 2..11 {
        let gated = Gated::behind_a_silent_one(world());
        let questions = vec![("no.lab.test", poor(left)), (TLSA_NAME, errand())];
        let (outcomes, _) = gated.ask_for(questions).await;
        assert!(is_spent(&outcomes[0]), "{left}: {:?}", outcomes[0].end);
        assert_eq!(comes_out(&outcomes[1]), "secure records", "{left}");
    }
}

#[tokio::test]
async fn dns_15_what_a_domain_could_not_afford_is_not_held_against_the_name() {
    for left in 0..6 {
        let gated = Gated::new(world());
        let (outcomes, _) = gated.ask_for(vec![(TLSA_NAME, poor(left))]).await;
        assert!(is_spent(&outcomes[0]), "{left}: {:?}", outcomes[0].end);
        assert_eq!(gated.takes(TLSA_NAME).await.0, "secure records", "{left}");
    }
}
