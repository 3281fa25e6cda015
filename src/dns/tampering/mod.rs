//! Tests: what an attacker between us and the recursive resolver, or the resolver itself, can and cannot achieve.
//!
//! Each row is one lie in an otherwise honest world; secure data must never become insecure, absent or something else.

mod chaos;
mod corpus;
mod costs;
mod denials;
mod detours;
mod exempted;
mod honest;
mod keys;
mod limits;
mod records;
mod replays;
mod resolvers;
mod rounds;
mod strangers;
mod time;
mod verdicts;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, DS};
use hickory_resolver::proto::dnssec::{Algorithm, DigestType};
use hickory_resolver::proto::op::{Edns, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::clock::{Clock, Timestamp};
use crate::dns::AbsenceKind;
use crate::dns::chase::{Chase, Found, Outcome};
use crate::dns::errand::Errand;
use crate::dns::proof::Trust;
use crate::dns::purse::Purses;
use crate::dns::sample::{
    Liar, Proofs, T0, TTL, VALID, World, Zone, ZoneKey, address, dname, name, ns, tlsa,
};
use crate::dns::trouble::Trouble;
use crate::dns::upstream::Server;
use crate::dns::validator::{Validate, Validators};

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
        salt: &[],
    };
    let hash = contents(Zone::signed("hash.test", plain_hashes), "hash.test");
    let many_rounds = Proofs::Nsec3 {
        opt_out: false,
        iterations: 101,
        salt: &[],
    };
    let deep = contents(
        Zone::signed("deep.rounds.test", Proofs::Nsec),
        "deep.rounds.test",
    );
    let rounds = contents(Zone::signed("rounds.test", many_rounds), "rounds.test");
    let rounds = rounds.delegating(&deep);
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
        salt: &[],
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
            root, test, oo, lab, hash, rounds, deep, free, strange, signed, unsigned,
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
    for i in 1..=17 {
        zone = zone.with(
            &below(&format!("c{i}")),
            alias(&below(&format!("c{}", i + 1))),
        );
    }
    zone.with(&below("c18"), address())
}

fn chase(liar: Liar, clock: Hand) -> Chase<Liar> {
    chase_at(Duration::from_secs(60), vec![liar], Validate::Local, clock)
}

fn chase_within(time: Duration, liars: Vec<Liar>) -> Chase<Liar> {
    chase_at(time, liars, Validate::Local, Hand::at(T0))
}

/// With these resolvers, asked in this order.
fn chase_at(time: Duration, liars: Vec<Liar>, validate: Validate, clock: Hand) -> Chase<Liar> {
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let anchor = liars[0].world().anchor();
    let servers = liars.into_iter().enumerate().map(|(index, handle)| Server {
        label: format!("resolver {index}"),
        handle,
    });
    let validators = Validators::new(validate, servers.collect(), anchor, &clock);
    Chase::new(validators, time, clock)
}

fn errand() -> Errand {
    Errand::new(Purses::new(None), None)
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
            .look_up(&name(row.ask.0), row.ask.1, &errand())
            .await;
        let seen = comes_out(&outcome);
        if seen != row.comes_out {
            wrong.push(format!("{}: {seen} ({:?})", row.says, outcome.end));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
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

fn strip_tlsa(query: &Query, message: &mut Message) {
    if asks_tlsa(query) {
        strip(message);
    }
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

/// Instead of an answer.
fn refuse(message: &mut Message, code: ResponseCode) {
    claim_nothing(message, code, Vec::new());
    // The upper bits of the code are in the OPT record (RFC 6891 §6.1.3).
    let mut edns = Edns::new();
    edns.set_rcode_high(code.high());
    message.edns = Some(edns);
}

/// Extended DNS errors (RFC 8914 §2).
fn explain(message: &mut Message, errors: &[(u16, &str)]) {
    let mut edns = Edns::new();
    for (code, text) in errors {
        let mut data = code.to_be_bytes().to_vec();
        data.extend_from_slice(text.as_bytes());
        let option = EdnsOption::Unknown(15, data);
        edns.options_mut()
            .options
            .push((EdnsCode::Unknown(15), option));
    }
    message.edns = Some(edns);
}

/// All proofs that the zone has for these names, each once.
fn proofs(zone: &Zone, names: &[&str]) -> Vec<Record> {
    let mut unique: Vec<Record> = Vec::new();
    for proof in names.iter().flat_map(|owner| zone.proof(&name(owner))) {
        if !unique.contains(&proof) {
            unique.push(proof);
        }
    }
    unique
}

async fn ask(chase: &Chase<Liar>, owner: &str) -> &'static str {
    comes_out(
        &chase
            .look_up(&name(owner), RecordType::TLSA, &errand())
            .await,
    )
}
