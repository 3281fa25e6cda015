//! Tests: what an attacker between us and the recursive resolver, or the resolver itself, can and cannot achieve.
//!
//! Each row is one lie in an otherwise honest world; secure data must never become insecure, absent or something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, DS};
use hickory_resolver::proto::dnssec::{Algorithm, DigestType};
use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::AbsenceKind;
use super::chase::{Chase, Found, Outcome};
use super::proof::Trust;
use super::sample::{
    Liar, Proofs, T0, TTL, VALID, World, Zone, ZoneKey, address, dname, name, tlsa,
};
use super::trouble::Trouble;
use crate::clock::{Clock, Timestamp};

/// A clock that stands still until it is moved.
#[derive(Clone)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    fn move_to(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn wall(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::Relaxed))
    }
}

type Lie = fn(&World, &Query, &mut Message);

/// A question, what is done to the answers, and what must come out.
struct Row {
    says: &'static str,
    ask: (&'static str, RecordType),
    lie: Lie,
    comes_out: &'static str,
}

const HONEST: Lie = |_, _, _| {};

fn world() -> World {
    let lab = contents(Zone::signed("lab.test", Proofs::Nsec), "lab.test");
    let plain_hashes = Proofs::Nsec3 {
        opt_out: false,
        iterations: 0,
    };
    let hash = contents(Zone::signed("hash.test", plain_hashes), "hash.test");
    let many_rounds = Proofs::Nsec3 {
        opt_out: false,
        iterations: 101,
    };
    let rounds = contents(Zone::signed("rounds.test", many_rounds), "rounds.test");
    let free = contents(Zone::unsigned("free.test"), "free.test");
    let strange = Zone::signed("strange.test", Proofs::Nsec).with("strange.test", address());
    let mut test = Zone::signed("test", Proofs::Nsec);
    for child in [&lab, &hash, &rounds, &free] {
        test = test.delegating(child);
    }
    let unknown = DS::new(7, Algorithm::Unknown(200), DigestType::SHA256, vec![7; 32]);
    test = test
        .with("strange.test", ns("strange.test"))
        .with("strange.test", RData::DNSSEC(DNSSECRData::DS(unknown)));
    let opt_out = Proofs::Nsec3 {
        opt_out: true,
        iterations: 0,
    };
    let signed = contents(Zone::signed("s.oo", Proofs::Nsec), "s.oo");
    let unsigned = contents(Zone::unsigned("u.oo"), "u.oo");
    let oo = Zone::signed("oo", opt_out)
        .with("*.wild.oo", tlsa(9))
        .delegating(&signed)
        .delegating(&unsigned);
    let root = Zone::signed(".", Proofs::Nsec)
        .delegating(&test)
        .delegating(&oo);
    World {
        zones: vec![
            root, test, oo, lab, hash, rounds, free, strange, signed, unsigned,
        ],
    }
}

fn contents(zone: Zone, origin: &str) -> Zone {
    let below = |host: &str| format!("{host}.{origin}");
    let alias = |target: &str| RData::CNAME(CNAME(name(target)));
    let mut zone = zone
        .with(&below("mx"), address())
        .with(&below("_25._tcp.mx"), tlsa(1))
        .with(&below("_25._tcp.mx"), tlsa(2))
        .with(&below("no"), address())
        .with(&below("alias"), alias(&below("mx")))
        .with(&below("nowhere"), alias(&below("no")))
        .with(&below("out"), alias("mx.free.test"))
        .with(&below("*.wild"), tlsa(3))
        .with(&below("exact.wild"), address())
        .with(&below("dn"), dname("hash.test"))
        .with(&below("loop"), alias(&below("pool")))
        .with(&below("pool"), alias(&below("loop")));
    for i in 1..=12 {
        zone = zone.with(
            &below(&format!("c{i}")),
            alias(&below(&format!("c{}", i + 1))),
        );
    }
    zone.with(&below("c13"), address())
}

fn ns(host: &str) -> RData {
    RData::NS(hickory_resolver::proto::rr::rdata::NS(name(host)))
}

fn chase(liar: Liar, clock: Hand) -> Chase<Liar> {
    let anchor = liar.world().anchor();
    Chase::new(liar, anchor, Duration::from_secs(60), Arc::new(clock))
}

fn comes_out(outcome: &Outcome) -> &'static str {
    match &outcome.end {
        Ok(end) => match (&end.found, end.trust) {
            (Found::Records(_), Trust::Secure) => "secure records",
            (Found::Records(_), Trust::Insecure) => "insecure records",
            (Found::Absent(AbsenceKind::NoData), Trust::Secure) => "secure nodata",
            (Found::Absent(AbsenceKind::NoData), Trust::Insecure) => "insecure nodata",
            (Found::Absent(AbsenceKind::NxDomain), Trust::Secure) => "secure nxdomain",
            (Found::Absent(AbsenceKind::NxDomain), Trust::Insecure) => "insecure nxdomain",
        },
        Err(Trouble::Bogus { .. }) => "bogus",
        Err(_) => "no answer",
    }
}

async fn check(rows: &[Row]) {
    let world = Arc::new(world());
    let mut wrong = Vec::new();
    for row in rows {
        let liar = Liar::new(Arc::clone(&world), row.lie);
        let outcome = chase(liar, Hand::at(T0))
            .look_up(&name(row.ask.0), row.ask.1)
            .await;
        let seen = comes_out(&outcome);
        if seen != row.comes_out {
            wrong.push(format!("{}: {seen} ({:?})", row.says, outcome.end));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn dnssec_1_13_15_19_22_an_honest_resolver_is_believed_as_far_as_its_data_goes() {
    use RecordType::{A, AAAA, DNAME, DS, TLSA};
    let rows = [
        (
            "signed records",
            "_25._tcp.mx.lab.test",
            TLSA,
            "secure records",
        ),
        (
            "signed records, NSEC3",
            "_25._tcp.mx.hash.test",
            TLSA,
            "secure records",
        ),
        ("upper case", "_25._TCP.MX.LAB.TEST", TLSA, "secure records"),
        ("no such type", "no.lab.test", TLSA, "secure nodata"),
        ("no such type, NSEC3", "no.hash.test", TLSA, "secure nodata"),
        (
            "an empty non-terminal",
            "_tcp.mx.lab.test",
            TLSA,
            "secure nodata",
        ),
        (
            "an empty non-terminal, NSEC3",
            "_tcp.mx.hash.test",
            TLSA,
            "secure nodata",
        ),
        (
            "no such name",
            "_25._tcp.no.lab.test",
            TLSA,
            "secure nxdomain",
        ),
        (
            "no such name, NSEC3",
            "_25._tcp.no.hash.test",
            TLSA,
            "secure nxdomain",
        ),
        (
            "a wildcard, one label",
            "x.wild.lab.test",
            TLSA,
            "secure records",
        ),
        (
            "a wildcard, three labels",
            "x.y.z.wild.lab.test",
            TLSA,
            "secure records",
        ),
        (
            "a wildcard, NSEC3",
            "x.y.wild.hash.test",
            TLSA,
            "secure records",
        ),
        (
            "the wildcard itself",
            "*.wild.lab.test",
            TLSA,
            "secure records",
        ),
        (
            "a wildcard without the type",
            "x.wild.lab.test",
            AAAA,
            "secure nodata",
        ),
        (
            "a wildcard without the type, NSEC3",
            "x.wild.hash.test",
            AAAA,
            "secure nodata",
        ),
        (
            "blocked by a closer name",
            "x.exact.wild.lab.test",
            TLSA,
            "secure nxdomain",
        ),
        ("an alias", "alias.lab.test", A, "secure records"),
        (
            "an alias to nothing of the type",
            "nowhere.hash.test",
            TLSA,
            "secure nodata",
        ),
        (
            "an alias into an unsigned zone",
            "out.lab.test",
            A,
            "insecure records",
        ),
        (
            "an alias into an unsigned zone, absent",
            "out.lab.test",
            AAAA,
            "insecure nodata",
        ),
        ("a DNAME", "_25._tcp.mx.dn.lab.test", TLSA, "secure records"),
        ("the DNAME itself", "dn.lab.test", DNAME, "secure records"),
        (
            "a DNAME from an unsigned zone",
            "_25._tcp.mx.dn.free.test",
            TLSA,
            "insecure records",
        ),
        (
            "an unsigned zone",
            "_25._tcp.mx.free.test",
            TLSA,
            "insecure records",
        ),
        (
            "an unsigned zone, absent",
            "_25._tcp.no.free.test",
            TLSA,
            "insecure nxdomain",
        ),
        ("the DS of a signed child", "lab.test", DS, "secure records"),
        (
            "the DS of an unsigned child",
            "free.test",
            DS,
            "secure nodata",
        ),
        ("the DS of no zone", "mx.lab.test", DS, "secure nodata"),
        (
            "a zone of an unknown algorithm",
            "strange.test",
            A,
            "insecure records",
        ),
        (
            "a signed zone under opt-out",
            "_25._tcp.mx.s.oo",
            TLSA,
            "secure records",
        ),
        (
            "an unsigned zone under opt-out",
            "_25._tcp.mx.u.oo",
            TLSA,
            "insecure records",
        ),
        (
            "no such name, under opt-out",
            "nope.oo",
            A,
            "insecure nxdomain",
        ),
        (
            "a wildcard under opt-out",
            "x.wild.oo",
            TLSA,
            "insecure records",
        ),
        (
            "records, 101 iterations",
            "_25._tcp.mx.rounds.test",
            TLSA,
            "secure records",
        ),
        (
            "no such name, 101 iterations",
            "_25._tcp.no.rounds.test",
            TLSA,
            "insecure nxdomain",
        ),
        (
            "a wildcard, 101 iterations",
            "x.wild.rounds.test",
            TLSA,
            "insecure records",
        ),
        (
            "a top-level domain that is none",
            "nope",
            A,
            "secure nxdomain",
        ),
        ("eleven aliases", "c2.lab.test", A, "secure records"),
        ("twelve aliases", "c1.lab.test", A, "no answer"),
        ("aliases in a circle", "loop.lab.test", A, "no answer"),
        (
            "aliases in a circle, unsigned",
            "loop.free.test",
            A,
            "no answer",
        ),
    ];
    let rows = rows.map(|(says, owner, record_type, comes_out)| Row {
        says,
        ask: (owner, record_type),
        lie: HONEST,
        comes_out,
    });
    check(&rows).await;
}

const TLSA_NAME: &str = "_25._tcp.mx.lab.test";

fn is(query: &Query, owner: &str, record_type: RecordType) -> bool {
    query.name() == &name(owner) && query.query_type() == record_type
}

fn asks_tlsa(query: &Query) -> bool {
    query.query_type() == RecordType::TLSA
}

fn clear(message: &mut Message) {
    message.answers.clear();
    message.authorities.clear();
}

fn strip(message: &mut Message) {
    message
        .answers
        .retain(|record| record.record_type() != RecordType::RRSIG);
    message
        .authorities
        .retain(|record| record.record_type() != RecordType::RRSIG);
}

/// The answer is a claim that nothing is there.
fn claim_nothing(message: &mut Message, code: ResponseCode, authorities: Vec<Record>) {
    clear(message);
    message.metadata.response_code = code;
    message.authorities = authorities;
}

fn record(owner: &Name, data: RData) -> Record {
    Record::from_rdata(owner.clone(), TTL, data)
}

#[tokio::test]
async fn dns_03_stripped_and_altered_records_are_bogus() {
    let tlsa_question = (TLSA_NAME, RecordType::TLSA);
    check(&[
        Row {
            says: "no RRSIG over the TLSA records",
            ask: tlsa_question,
            lie: |_, query, message| {
                if asks_tlsa(query) {
                    strip(message);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "no RRSIG anywhere",
            ask: tlsa_question,
            lie: |_, _, message| strip(message),
            comes_out: "bogus",
        },
        Row {
            says: "no RRSIG over the DS records",
            ask: tlsa_question,
            lie: |_, query, message| {
                if is(query, "lab.test", RecordType::DS) {
                    strip(message);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "no RRSIG over the NSEC",
            ask: ("no.lab.test", RecordType::TLSA),
            lie: |_, query, message| {
                if asks_tlsa(query) {
                    strip(message);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "another digest in the TLSA record",
            ask: tlsa_question,
            lie: |_, query, message| {
                if asks_tlsa(query) {
                    message.answers[0].data = tlsa(66);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "one TLSA record more",
            ask: tlsa_question,
            lie: |_, query, message| {
                if asks_tlsa(query) {
                    message.answers.push(record(query.name(), tlsa(66)));
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "one TLSA record less",
            ask: tlsa_question,
            lie: |_, query, message| {
                if asks_tlsa(query) {
                    message.answers.remove(0);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "an unsigned alias instead of the records",
            ask: tlsa_question,
            lie: |_, query, message| {
                if is(query, TLSA_NAME, RecordType::TLSA) {
                    clear(message);
                    let target = RData::CNAME(CNAME(name("_25._tcp.mx.free.test")));
                    message.answers.push(record(query.name(), target));
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "an unsigned DNAME above the records",
            ask: tlsa_question,
            lie: |_, query, message| {
                if is(query, TLSA_NAME, RecordType::TLSA) {
                    let target = dname("free.test");
                    message.answers.insert(0, record(&name("lab.test"), target));
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "another target in the CNAME that a DNAME makes",
            ask: ("_25._tcp.mx.dn.lab.test", RecordType::TLSA),
            lie: |_, _, message| {
                for answer in &mut message.answers {
                    if answer.record_type() == RecordType::CNAME {
                        answer.data = RData::CNAME(CNAME(name("_25._tcp.mx.free.test")));
                    }
                }
            },
            comes_out: "secure records",
        },
        Row {
            says: "the same records twice, in another order, with other TTLs",
            ask: tlsa_question,
            lie: |_, query, message| {
                if asks_tlsa(query) {
                    message.answers.reverse();
                    message.answers[1].ttl = 5;
                    message.answers.push(message.answers[1].clone());
                }
            },
            comes_out: "secure records",
        },
    ])
    .await;
}

#[tokio::test]
async fn dns_04_what_is_there_cannot_be_denied() {
    use RecordType::{A, DS, TLSA};
    let tlsa_question = (TLSA_NAME, TLSA);
    check(&[
        Row {
            says: "NODATA with the SOA of an unrelated unsigned zone",
            ask: tlsa_question,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    let soa = world.zone("free.test").soa();
                    claim_nothing(message, ResponseCode::NoError, soa);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "NXDOMAIN with the NS of an unrelated unsigned zone",
            ask: tlsa_question,
            lie: |_, query, message| {
                if asks_tlsa(query) {
                    let owner = name("free.test");
                    let records = vec![record(&owner, ns("free.test"))];
                    claim_nothing(message, ResponseCode::NXDomain, records);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "NODATA with nothing at all",
            ask: tlsa_question,
            lie: |_, query, message| {
                if asks_tlsa(query) {
                    claim_nothing(message, ResponseCode::NoError, Vec::new());
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "NODATA with the genuine NSEC of another name",
            ask: tlsa_question,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    let proof = world.zone("lab.test").proof(&name("no.lab.test"));
                    claim_nothing(message, ResponseCode::NoError, proof);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "NODATA with the genuine NSEC of the very name",
            ask: tlsa_question,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    let proof = world.zone("lab.test").proof(query.name());
                    claim_nothing(message, ResponseCode::NoError, proof);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "an alias stripped, with its own genuine NSEC",
            ask: ("alias.lab.test", A),
            lie: |world, query, message| {
                if query.name() == &name("alias.lab.test") {
                    let proof = world.zone("lab.test").proof(query.name());
                    claim_nothing(message, ResponseCode::NoError, proof);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "an alias stripped, with its own genuine NSEC3",
            ask: ("alias.hash.test", A),
            lie: |world, query, message| {
                if query.name() == &name("alias.hash.test") {
                    let proof = world.zone("hash.test").proof(query.name());
                    claim_nothing(message, ResponseCode::NoError, proof);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "a genuine alias, then the target denied by an unrelated unsigned zone",
            ask: ("alias.lab.test", A),
            lie: |world, query, message| {
                message.authorities = world.zone("free.test").soa();
                if query.name() == &name("mx.lab.test") && query.query_type() == A {
                    message.answers.clear();
                } else if query.query_type() != A {
                    *message = world.answer(query);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "NXDOMAIN with the parent's NSEC at the zone cut",
            ask: tlsa_question,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    let proof = world.zone("test").proof(&name("lab.test"));
                    claim_nothing(message, ResponseCode::NXDomain, proof);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "NODATA at the apex with the parent's NSEC",
            ask: ("lab.test", TLSA),
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    let proof = world.zone("test").proof(&name("lab.test"));
                    claim_nothing(message, ResponseCode::NoError, proof);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "the DS denied with the child's own NSEC",
            ask: tlsa_question,
            lie: |world, query, message| {
                if is(query, "lab.test", DS) {
                    let proof = world.zone("lab.test").proof(query.name());
                    claim_nothing(message, ResponseCode::NoError, proof);
                }
                strip_tlsa(query, message);
            },
            comes_out: "bogus",
        },
        Row {
            says: "the DS denied with the NSEC of an unsigned sibling",
            ask: tlsa_question,
            lie: |world, query, message| {
                if is(query, "lab.test", DS) {
                    let proof = world.zone("test").proof(&name("free.test"));
                    claim_nothing(message, ResponseCode::NoError, proof);
                }
                strip_tlsa(query, message);
            },
            comes_out: "bogus",
        },
        Row {
            says: "NXDOMAIN where the proof says NODATA",
            ask: ("no.lab.test", TLSA),
            lie: |_, query, message| {
                if asks_tlsa(query) {
                    message.metadata.response_code = ResponseCode::NXDomain;
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "NXDOMAIN without the denial of the wildcard",
            ask: ("x.nope.lab.test", TLSA),
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    let proof = world.zone("lab.test").proof(&name("nope.lab.test"));
                    claim_nothing(message, ResponseCode::NXDomain, proof);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "the wildcard withheld, NSEC3",
            ask: ("x.wild.hash.test", TLSA),
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    let zone = world.zone("hash.test");
                    let mut proof = zone.proof(&name("wild.hash.test"));
                    proof.extend(zone.proof(&name("x.wild.hash.test")));
                    proof.extend(zone.proof(&name("*.wild.hash.test")));
                    claim_nothing(message, ResponseCode::NXDomain, proof);
                }
            },
            comes_out: "bogus",
        },
    ])
    .await;
}

fn strip_tlsa(query: &Query, message: &mut Message) {
    if asks_tlsa(query) {
        strip(message);
    }
}

/// The genuine records of `*.wild` under the name that was asked for, with the genuine denial of some name there.
fn replay_wildcard(world: &World, query: &Query, message: &mut Message, origin: &str) {
    let expanded = name(&format!("x.wild.{origin}"));
    let genuine = world.answer(&Query::query(expanded, RecordType::TLSA));
    clear(message);
    message.answers = genuine.answers;
    for answer in &mut message.answers {
        answer.name = query.name().clone();
    }
    message.authorities = genuine.authorities;
}

#[tokio::test]
async fn dnssec_13_a_wildcard_does_not_stand_for_what_exists() {
    use RecordType::TLSA;
    let existing = ("exact.wild.lab.test", TLSA);
    let existing_hashed = ("exact.wild.hash.test", TLSA);
    check(&[
        Row {
            says: "a wildcard replayed for an existing name",
            ask: existing,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    replay_wildcard(world, query, message, "lab.test");
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "a wildcard replayed for an existing name, NSEC3",
            ask: existing_hashed,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    replay_wildcard(world, query, message, "hash.test");
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "the same with the NS of an unrelated unsigned zone for the only authority",
            ask: existing,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    replay_wildcard(world, query, message, "lab.test");
                    message.authorities = vec![record(&name("free.test"), ns("free.test"))];
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "the same with a made-up RRSIG of another label count first",
            ask: existing_hashed,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    replay_wildcard(world, query, message, "hash.test");
                    let zone = world.zone("hash.test");
                    let fake = ZoneKey::generate();
                    let below = record(&name("*.exact.wild.hash.test"), tlsa(9));
                    let mut rrsig = fake.sign(&zone.origin, &[below]);
                    rrsig.name = query.name().clone();
                    message.answers.insert(0, rrsig);
                    let proof = zone.proof(&name("x.exact.wild.hash.test"));
                    message.authorities.extend(proof);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "a wildcard without any proof",
            ask: ("x.wild.lab.test", TLSA),
            lie: |_, query, message| {
                if asks_tlsa(query) {
                    message.authorities.clear();
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "a wildcard with the proof of another zone",
            ask: ("x.wild.lab.test", TLSA),
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    message.authorities = world.zone("test").proof(&name("lab.test"));
                }
            },
            comes_out: "bogus",
        },
    ])
    .await;
}

#[tokio::test]
async fn dnssec_10_15_opt_out_hides_no_signed_zone() {
    use RecordType::{DS, TLSA};
    let signed = ("_25._tcp.mx.s.oo", TLSA);
    check(&[
        Row {
            says: "the DS of a signed zone denied with every opt-out record of its parent",
            ask: signed,
            lie: |world, query, message| {
                if query.query_type() == DS && query.name().iter().count() >= 2 {
                    let proof = all_of_oo(world);
                    claim_nothing(message, ResponseCode::NoError, proof);
                }
                strip_tlsa(query, message);
            },
            comes_out: "bogus",
        },
        Row {
            says: "a zone cut made up below a signed zone, denied by opt-out records of the parent",
            ask: signed,
            lie: |world, query, message| {
                if query.query_type() == DS && query.name().iter().count() >= 3 {
                    let proof = all_of_oo(world);
                    claim_nothing(message, ResponseCode::NoError, proof);
                }
                strip_tlsa(query, message);
            },
            comes_out: "bogus",
        },
        Row {
            says: "TLSA records denied by opt-out records of the parent",
            ask: signed,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    claim_nothing(message, ResponseCode::NXDomain, all_of_oo(world));
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "TLSA records denied as NODATA by opt-out records of the parent",
            ask: signed,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    claim_nothing(message, ResponseCode::NoError, all_of_oo(world));
                }
            },
            comes_out: "bogus",
        },
    ])
    .await;
}

fn all_of_oo(world: &World) -> Vec<Record> {
    let zone = world.zone("oo");
    let names = ["oo", "s.oo", "u.oo", "wild.oo", "*.wild.oo", "mx.s.oo"];
    let proofs = names.into_iter().flat_map(|owner| zone.proof(&name(owner)));
    let mut unique: Vec<Record> = Vec::new();
    for proof in proofs {
        if !unique.contains(&proof) {
            unique.push(proof);
        }
    }
    unique
}

#[tokio::test]
async fn dns_08_dnssec_7_keys_count_only_when_a_vouched_one_signed_them() {
    let question = (TLSA_NAME, RecordType::TLSA);
    check(&[
        Row {
            says: "the DNSKEY RRset without a signature",
            ask: question,
            lie: |_, query, message| {
                if is(query, "lab.test", RecordType::DNSKEY) {
                    strip(message);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "the root's DNSKEY RRset without a signature",
            ask: question,
            lie: |_, query, message| {
                if is(query, ".", RecordType::DNSKEY) {
                    strip(message);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "a foreign key beside the genuine one, signed by the foreign one",
            ask: question,
            lie: |world, query, message| foreign_key(world, query, message, true),
            comes_out: "bogus",
        },
        Row {
            says: "a foreign key in place of the genuine one",
            ask: question,
            lie: |world, query, message| foreign_key(world, query, message, false),
            comes_out: "bogus",
        },
        Row {
            says: "a foreign DS, signed by the child itself",
            ask: question,
            lie: |world, query, message| {
                foreign_key(world, query, message, false);
                if is(query, "lab.test", RecordType::DS) {
                    let zone = query.name();
                    let ds = ZoneKey::generate().ds(zone, DigestType::SHA256);
                    let ds = record(zone, RData::DNSSEC(DNSSECRData::DS(ds)));
                    let rrsig = world.zone("lab.test").key().sign(zone, &[ds.clone()]);
                    message.answers = vec![ds, rrsig];
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "a DS of an algorithm that nobody knows, unsigned",
            ask: question,
            lie: |_, query, message| {
                if is(query, "lab.test", RecordType::DS) {
                    let ds = DS::new(1, Algorithm::Unknown(200), DigestType::SHA256, vec![1; 32]);
                    message.answers[0].data = RData::DNSSEC(DNSSECRData::DS(ds));
                }
                strip_tlsa(query, message);
            },
            comes_out: "bogus",
        },
        Row {
            says: "no DNSKEY where a DS is",
            ask: question,
            lie: |_, query, message| {
                if is(query, "lab.test", RecordType::DNSKEY) {
                    clear(message);
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "records signed by the key of another signed zone",
            ask: question,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    let other = world.zone("hash.test");
                    let forged = record(query.name(), tlsa(66));
                    let rrsig = other.key().sign(&other.origin, &[forged.clone()]);
                    message.answers = vec![forged, rrsig];
                }
            },
            comes_out: "bogus",
        },
        Row {
            says: "records signed by the key of another signed zone in the name of the right one",
            ask: question,
            lie: |world, query, message| {
                if asks_tlsa(query) {
                    let other = world.zone("hash.test");
                    let forged = record(query.name(), tlsa(66));
                    let rrsig = other.key().sign(&name("lab.test"), &[forged.clone()]);
                    message.answers = vec![forged, rrsig];
                }
            },
            comes_out: "bogus",
        },
    ])
    .await;
}

/// RUSTSEC-2025-0006: the set is signed, but not by the key that the DS record names.
fn foreign_key(_: &World, query: &Query, message: &mut Message, beside: bool) {
    thread_local! {
        static FOREIGN: ZoneKey = ZoneKey::generate();
    }
    FOREIGN.with(|foreign| {
        let zone = name("lab.test");
        let forged = if is(query, "lab.test", RecordType::DNSKEY) {
            let mut keys: Vec<Record> = message.answers.drain(..).collect();
            keys.retain(|answer| beside && answer.record_type() == RecordType::DNSKEY);
            keys.push(record(&zone, foreign.dnskey()));
            keys
        } else if asks_tlsa(query) {
            vec![record(query.name(), tlsa(66))]
        } else {
            return;
        };
        message.answers.clone_from(&forged);
        message.answers.push(foreign.sign(&zone, &forged));
    });
}

#[tokio::test]
async fn dns_05_06_07_lies_about_status_and_time_change_nothing() {
    let question = (TLSA_NAME, RecordType::TLSA);
    check(&[
        Row {
            says: "AD on an answer without signatures",
            ask: question,
            lie: |_, _, message| {
                message.metadata.authentic_data = true;
                strip(message);
            },
            comes_out: "bogus",
        },
        Row {
            says: "AD on the answer of an unsigned zone",
            ask: ("_25._tcp.mx.free.test", RecordType::TLSA),
            lie: |_, _, message| message.metadata.authentic_data = true,
            comes_out: "insecure records",
        },
        Row {
            says: "SERVFAIL for the records",
            ask: question,
            lie: |_, query, message| {
                if asks_tlsa(query) {
                    claim_nothing(message, ResponseCode::ServFail, Vec::new());
                }
            },
            comes_out: "no answer",
        },
        Row {
            says: "REFUSED for the DS",
            ask: question,
            lie: |_, query, message| {
                if query.query_type() == RecordType::DS {
                    claim_nothing(message, ResponseCode::Refused, Vec::new());
                }
            },
            comes_out: "no answer",
        },
        Row {
            says: "FORMERR for the keys, with records",
            ask: question,
            lie: |_, query, message| {
                if query.query_type() == RecordType::DNSKEY {
                    message.metadata.response_code = ResponseCode::FormErr;
                }
            },
            comes_out: "no answer",
        },
        Row {
            says: "SERVFAIL for the DS of an unsigned zone",
            ask: ("_25._tcp.mx.free.test", RecordType::TLSA),
            lie: |_, query, message| {
                if query.query_type() == RecordType::DS {
                    claim_nothing(message, ResponseCode::ServFail, Vec::new());
                }
            },
            comes_out: "no answer",
        },
        Row {
            says: "a signature that is over",
            ask: question,
            lie: |world, query, message| resign(world, query, message, T0 - 9, T0 - 1),
            comes_out: "bogus",
        },
        Row {
            says: "a signature that has not begun",
            ask: question,
            lie: |world, query, message| resign(world, query, message, T0 + 1, T0 + 9),
            comes_out: "bogus",
        },
        Row {
            says: "a signature in its last second",
            ask: question,
            lie: |world, query, message| resign(world, query, message, T0 - 9, T0),
            comes_out: "secure records",
        },
    ])
    .await;
}

fn resign(world: &World, query: &Query, message: &mut Message, from: u64, to: u64) {
    if asks_tlsa(query) {
        let zone = world.zone("lab.test");
        let is_rrsig = |answer: &Record| answer.record_type() == RecordType::RRSIG;
        message.answers.retain(|answer| !is_rrsig(answer));
        let rrsig = zone
            .key()
            .sign_for(&zone.origin, &message.answers, from, to);
        message.answers.push(rrsig);
    }
}

async fn ask(chase: &Chase<Liar>, owner: &str) -> &'static str {
    comes_out(&chase.look_up(&name(owner), RecordType::TLSA).await)
}

#[tokio::test]
async fn dns_07_a_signature_ends_while_we_run() {
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
async fn dnssec_16_18_answers_are_kept_as_long_as_they_hold_and_no_longer() {
    let expiry = |outcome: Outcome| outcome.end.unwrap().expires.unix() - T0;
    for (says, lie, owner, lasts) in [
        ("the TTL", HONEST, TLSA_NAME, 3600),
        ("the original TTL", enlarge_ttls, TLSA_NAME, 3600),
        (
            "what is left of the signature",
            short_signature,
            TLSA_NAME,
            7,
        ),
        ("the SOA minimum", HONEST, "_25._tcp.no.lab.test", 300),
        (
            "the minimum, unsigned zone",
            HONEST,
            "_25._tcp.no.free.test",
            300,
        ),
    ] {
        let liar = Liar::new(Arc::new(world()), lie);
        let clock = Hand::at(T0);
        let chase = chase(liar.clone(), clock.clone());
        let first = chase.look_up(&name(owner), RecordType::TLSA).await;
        assert_eq!(expiry(first), lasts, "{says}");
        let asked = liar.asked();
        clock.move_to(T0 + lasts - 1);
        ask(&chase, owner).await;
        assert_eq!(liar.asked(), asked, "{says}: not asked again");
        clock.move_to(T0 + lasts);
        ask(&chase, owner).await;
        assert!(liar.asked() > asked, "{says}: asked again");
    }
}

fn enlarge_ttls(_: &World, _: &Query, message: &mut Message) {
    for answer in &mut message.answers {
        answer.ttl = 1_000_000;
    }
}

fn short_signature(world: &World, query: &Query, message: &mut Message) {
    resign(world, query, message, T0 - 9, T0 + 7);
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

#[tokio::test]
async fn dnssec_20_a_lookup_that_needs_too_many_messages_is_no_answer() {
    let mut child = Zone::signed(&vec!["a"; 120].join("."), Proofs::Nsec);
    let deepest = child.origin.to_ascii();
    child = child.with(&deepest, tlsa(1));
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
    let liar = Liar::new(Arc::new(World { zones }), HONEST);
    let chase = chase(liar.clone(), Hand::at(T0));
    let outcome = chase.look_up(&name(&deepest), RecordType::TLSA).await;
    assert_eq!(comes_out(&outcome), "no answer", "{:?}", outcome.end);
    assert_eq!(liar.asked(), 160);
}

#[tokio::test]
async fn dns_12_a_denial_by_a_zone_that_does_not_hold_the_name_ends() {
    let liar = Liar::new(Arc::new(world()), |world, query, message| {
        if asks_tlsa(query) {
            let mut proof = world.zone("hash.test").proof(&name("mx.hash.test"));
            proof.extend(world.zone("hash.test").soa());
            claim_nothing(message, ResponseCode::NXDomain, proof);
        }
    });
    let chase = chase(liar, Hand::at(T0));
    assert_eq!(ask(&chase, TLSA_NAME).await, "bogus");
}

#[tokio::test]
async fn dnssec_22_23_each_alias_keeps_its_own_trust() {
    let liar = Liar::new(Arc::new(world()), HONEST);
    let chase = chase(liar, Hand::at(T0));
    let outcome = chase.look_up(&name("out.lab.test"), RecordType::A).await;
    let links: Vec<_> = outcome.links.iter().map(|link| link.trust).collect();
    assert_eq!(links, [Trust::Secure]);
    assert_eq!(comes_out(&outcome), "insecure records");
    let back = chase.look_up(&name("mx.dn.free.test"), RecordType::A).await;
    let links: Vec<_> = back.links.iter().map(|link| link.trust).collect();
    assert_eq!(links, [Trust::Insecure]);
    assert_eq!(comes_out(&back), "insecure records");
}

#[tokio::test]
async fn dns_05_silence_ends_with_the_deadline() {
    let liar = Liar::silent(Arc::new(world()));
    let anchor = liar.world().anchor();
    let timeout = Duration::from_millis(10);
    let chase = Chase::new(liar, anchor, timeout, Arc::new(Hand::at(T0)));
    let outcome = chase.look_up(&name(TLSA_NAME), RecordType::TLSA).await;
    assert!(matches!(outcome.end, Err(Trouble::Deadline(_))));
}
