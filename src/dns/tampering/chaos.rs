//! Whatever becomes of the messages, in whatever order, at whatever time: what is honestly secure comes out as it is or not at
//! all. *Unknown* never turns into *insecure*, and nothing else ever stands in for secure data.
//!
//! A case is a sequence of lookups in one resolver, whose memory lasts, with a [`Prank`] for every message. What comes out is
//! held against the honest answers, those after the pranks too.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use hickory_resolver::proto::op::MessageType;
use proptest::prelude::*;
use proptest::test_runner::Config;
use tokio::sync::OnceCell;

use super::honest::ANSWERS;
use super::*;

/// What happens to one message.
#[derive(Clone, Debug)]
enum Prank {
    None,
    Code(ResponseCode),
    CutShort,
    Empty(ResponseCode),
    Authentic,
    Strip,
    /// Only this type is left, or only this type goes.
    Keep(RecordType),
    Lose(RecordType),
    LoseOne(usize),
    Double(usize),
    Reverse,
    /// What was the answer is the authority, and the other way round.
    Exchange,
    Ttl(u32),
    Rename(usize, usize),
    /// A record of another kind in place of one.
    Forge(usize, usize),
    /// Signed anew, by the keys of a zone that need not be the right one.
    Resign(usize),
    /// The whole answer to another question.
    Replay(usize),
    /// Its authority section beside what is there.
    Graft(usize),
    /// A bit of the message as it is on the wire.
    Bit(usize),
}

/// A lookup at a time.
#[derive(Clone, Copy, Debug)]
struct Moment {
    question: usize,
    /// Seconds since the last one.
    jump: i64,
}

fn prank() -> impl Strategy<Value = Prank> {
    let code = || {
        prop::sample::select(vec![
            ResponseCode::NoError,
            ResponseCode::NXDomain,
            ResponseCode::ServFail,
            ResponseCode::Refused,
            ResponseCode::FormErr,
        ])
    };
    let record_type = || prop::sample::select(TYPES.to_vec());
    let number = || 0..64_usize;
    prop_oneof![
        12 => Just(Prank::None),
        2 => code().prop_map(Prank::Code),
        1 => Just(Prank::CutShort),
        2 => code().prop_map(Prank::Empty),
        1 => Just(Prank::Authentic),
        2 => Just(Prank::Strip),
        1 => record_type().prop_map(Prank::Keep),
        2 => record_type().prop_map(Prank::Lose),
        2 => number().prop_map(Prank::LoseOne),
        1 => number().prop_map(Prank::Double),
        1 => Just(Prank::Reverse),
        1 => Just(Prank::Exchange),
        2 => prop::sample::select(vec![0, 1, 60, u32::MAX]).prop_map(Prank::Ttl),
        2 => (number(), number()).prop_map(|(which, to)| Prank::Rename(which, to)),
        3 => (number(), number()).prop_map(|(which, kind)| Prank::Forge(which, kind)),
        3 => number().prop_map(Prank::Resign),
        4 => number().prop_map(Prank::Replay),
        4 => number().prop_map(Prank::Graft),
        4 => (0..4096_usize).prop_map(Prank::Bit),
    ]
}

fn moment() -> impl Strategy<Value = Moment> {
    let jump = prop_oneof![
        6 => Just(0),
        4 => 1..4000_i64,
        1 => -4000..0_i64,
        1 => prop::sample::select(vec![VALID as i64, -(VALID as i64)]),
    ];
    (0..ANSWERS.len(), jump).prop_map(|(question, jump)| Moment { question, jump })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn dns_03_04_05_07_dnssec_22_nothing_unknown_becomes_insecure_and_nothing_else_secure(
        moments in prop::collection::vec(moment(), 1..5),
        pranks in prop::collection::vec(prank(), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(run(&moments, pranks))?;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the number of cases is the runner's to choose"
)]
fn config() -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 64;
    }
    config
}

async fn run(moments: &[Moment], pranks: Vec<Prank>) -> Result<(), TestCaseError> {
    let left = Mutex::new(pranks.into_iter());
    let liar = Liar::new(Arc::clone(&HONEST_WORLD), move |world, query, message| {
        let prank = left.lock().unwrap().next().unwrap_or(Prank::None);
        play(&prank, world, query, message);
    });
    let clock = Hand::at(T0);
    let chase = chase(liar, clock.clone());
    let mut now = T0;
    for moment in moments {
        now = now.saturating_add_signed(moment.jump);
        clock.move_to(now);
        compare(&chase, moment.question).await?;
    }
    // What the pranks have left in the memory must not come out later, when the failures are forgotten.
    for seconds in [0, 10, 4000] {
        clock.move_to(T0 + seconds);
        for moment in moments {
            compare(&chase, moment.question).await?;
        }
    }
    Ok(())
}

/// Secure data is what it honestly is, or nothing; insecure data is anything but secure.
async fn compare(chase: &Chase<Liar>, question: usize) -> Result<(), TestCaseError> {
    let (says, owner, record_type, _) = ANSWERS[question];
    let outcome = chase.look_up(&name(owner), record_type, &errand()).await;
    let honest = &TRUTH.get_or_init(truth).await[question];
    let seen = Told::of(&outcome);
    let fits = match (&seen.end, &honest.end) {
        (None, _) => true,
        (Some((_, Trust::Secure)), honest) => seen.end == *honest,
        (Some((_, Trust::Insecure)), Some((_, Trust::Secure))) => is_weak(owner),
        (Some((_, Trust::Insecure)), _) => true,
    };
    prop_assert!(fits, "{}: {:?}, honestly {:?}", says, outcome, honest);
    for (from, (to, trust)) in &seen.links {
        let honestly = honest.links.get(from);
        let forged = *trust == Trust::Secure && honestly != Some(&(to.clone(), Trust::Secure));
        let lowered = *trust == Trust::Insecure
            && !is_weak(from)
            && honestly.is_some_and(|(_, honest)| *honest == Trust::Secure);
        prop_assert!(
            !forged && !lowered,
            "{}: alias {}: {:?}",
            says,
            from,
            outcome
        );
    }
    Ok(())
}

/// A zone whose denials we take for insecure gives up what it holds: anyone can say with one of them that a part of it is an
/// unsigned zone (RFC 9276 §3.2 allows that, and it is the price of more than a hundred iterations).
fn is_weak(owner: &str) -> bool {
    name("rounds.test").zone_of(&name(owner))
}

/// An outcome without its times.
#[derive(Debug)]
struct Told {
    /// The data or its absence, in words; nothing for a failure.
    end: Option<(Vec<String>, Trust)>,
    links: BTreeMap<String, (String, Trust)>,
}

impl Told {
    fn of(outcome: &Outcome) -> Self {
        let end = outcome.end.as_ref().ok().map(|end| {
            let mut words = match &end.found {
                Found::Records(data) => data.iter().map(ToString::to_string).collect(),
                Found::Absent(kind) => vec![format!("{kind:?}")],
            };
            words.sort();
            words.dedup();
            (words, end.trust)
        });
        let text = |name: &Name| name.to_lowercase().to_ascii();
        let links = outcome.links.iter();
        Self {
            end,
            links: links
                .map(|link| (text(&link.from), (text(&link.to), link.trust)))
                .collect(),
        }
    }
}

static HONEST_WORLD: LazyLock<Arc<World>> = LazyLock::new(|| Arc::new(world()));

/// The honest outcome of every question.
static TRUTH: OnceCell<Vec<Told>> = OnceCell::const_new();

async fn truth() -> Vec<Told> {
    let chase = chase(Liar::new(Arc::clone(&HONEST_WORLD), HONEST), Hand::at(T0));
    let mut truth = Vec::new();
    for (_, owner, record_type, _) in ANSWERS {
        let outcome = chase.look_up(&name(owner), *record_type, &errand()).await;
        truth.push(Told::of(&outcome));
    }
    truth
}

fn play(prank: &Prank, world: &World, query: &Query, message: &mut Message) {
    match prank {
        Prank::None => {}
        Prank::Code(code) => message.metadata.response_code = *code,
        Prank::CutShort => message.metadata.truncation = true,
        Prank::Empty(code) => claim_nothing(message, *code, Vec::new()),
        Prank::Authentic => message.metadata.authentic_data = true,
        Prank::Strip => strip(message),
        Prank::Keep(kept) => retain(message, |record| record.record_type() == *kept),
        Prank::Lose(lost) => retain(message, |record| record.record_type() != *lost),
        Prank::LoseOne(which) => {
            let at = index(*which, message.answers.len() + message.authorities.len());
            if at < message.answers.len() {
                message.answers.remove(at);
            } else if at < message.answers.len() + message.authorities.len() {
                message.authorities.remove(at - message.answers.len());
            }
        }
        Prank::Double(which) => {
            if let Some(record) = pick(message, *which).cloned() {
                message.answers.push(record);
            }
        }
        Prank::Reverse => {
            message.answers.reverse();
            message.authorities.reverse();
        }
        Prank::Exchange => std::mem::swap(&mut message.answers, &mut message.authorities),
        Prank::Ttl(ttl) => {
            let sections = [&mut message.answers, &mut message.authorities];
            sections.into_iter().flatten().for_each(|it| it.ttl = *ttl);
        }
        Prank::Rename(which, to) => {
            let to = name(ANSWERS[index(*to, ANSWERS.len())].1);
            if let Some(record) = pick(message, *which) {
                record.name = to;
            }
        }
        Prank::Forge(which, kind) => {
            let data = forgeries();
            let data = data[index(*kind, data.len())].clone();
            match pick(message, *which) {
                Some(record) => record.data = data,
                None => message.answers.push(record(query.name(), data)),
            }
        }
        Prank::Resign(zone) => resign_all(world, *zone, message),
        Prank::Replay(other) => {
            let other = answer_to(world, *other);
            message.answers = other.answers;
            message.authorities = other.authorities;
            message.metadata.response_code = other.metadata.response_code;
        }
        Prank::Graft(other) => {
            let other = answer_to(world, *other);
            message.authorities.extend(other.authorities);
            message.answers.extend(other.answers);
        }
        Prank::Bit(at) => flip(*at, message),
    }
}

fn retain(message: &mut Message, keep: impl Fn(&Record) -> bool) {
    message.answers.retain(&keep);
    message.authorities.retain(&keep);
}

fn pick(message: &mut Message, which: usize) -> Option<&mut Record> {
    let count = message.answers.len() + message.authorities.len();
    let sections = [&mut message.answers, &mut message.authorities];
    sections.into_iter().flatten().nth(index(which, count))
}

fn index(which: usize, count: usize) -> usize {
    which % count.max(1)
}

fn answer_to(world: &World, which: usize) -> Message {
    // Of the questions that a resolver asks, those for keys and delegations too.
    let (_, owner, record_type, _) = ANSWERS[index(which, ANSWERS.len())];
    let zones = [
        "lab.test",
        "hash.test",
        "free.test",
        "rounds.test",
        "s.oo",
        "u.oo",
        "test",
        ".",
    ];
    let query = match which % 3 {
        0 => Query::query(name(owner), record_type),
        1 => Query::query(name(zones[which % zones.len()]), RecordType::DS),
        _ => Query::query(name(zones[which % zones.len()]), RecordType::DNSKEY),
    };
    world.answer(&query)
}

fn forgeries() -> Vec<RData> {
    let unknown = DS::new(7, Algorithm::Unknown(200), DigestType::SHA256, vec![7; 32]);
    vec![
        tlsa(66),
        address(),
        ns("ns.attacker.example"),
        RData::CNAME(CNAME(name("mx.free.test"))),
        dname("free.test"),
        RData::DNSSEC(DNSSECRData::DS(unknown)),
    ]
}

/// The records that are no signatures, each RRset of the answer signed by one zone's key in that zone's name. A zone above the
/// right one is none of them: who holds its key can delegate to himself. Nor is what a wildcard stands for signed as if it
/// stood there by itself: that would be another zone of the same owner.
fn resign_all(world: &World, zone: usize, message: &mut Message) {
    let signed = [
        "lab.test",
        "hash.test",
        "test",
        ".",
        "s.oo",
        "oo",
        "rounds.test",
    ];
    let zone = world.zone(signed[index(zone, signed.len())]);
    for section in [&mut message.answers, &mut message.authorities] {
        let expanded: Vec<Name> = section.iter().filter_map(expanded_from_wildcard).collect();
        section.retain(|record| record.record_type() != RecordType::RRSIG);
        let mut sets: Vec<Vec<Record>> = Vec::new();
        for record in section.iter() {
            let belongs = |set: &&mut Vec<Record>| {
                set[0].name == record.name && set[0].record_type() == record.record_type()
            };
            match sets.iter_mut().find(belongs) {
                Some(set) => set.push(record.clone()),
                None => sets.push(vec![record.clone()]),
            }
        }
        let is_above = |set: &&Vec<Record>| {
            let holder = world.holder(&set[0].name, set[0].record_type());
            zone.origin != holder.origin && zone.origin.zone_of(&set[0].name)
        };
        let others = sets
            .iter()
            .filter(|set| !is_above(set) && !expanded.contains(&set[0].name));
        let rrsigs = others.map(|set| zone.key().sign(&zone.origin, set));
        section.extend(rrsigs.collect::<Vec<_>>());
    }
}

/// The owner of what this signature says to come from a wildcard.
fn expanded_from_wildcard(record: &Record) -> Option<Name> {
    let RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) = &record.data else {
        return None;
    };
    let is_expanded = rrsig.input().num_labels < record.name.num_labels();
    is_expanded.then(|| record.name.clone())
}

/// A message that cannot be read any more is one that did not come.
fn flip(at: usize, message: &mut Message) {
    let mut wire = message.to_vec().unwrap();
    let octet = 12 + at / 8 % (wire.len() - 12);
    wire[octet] ^= 1 << (at % 8);
    match Message::from_vec(&wire) {
        Ok(flipped) if flipped.metadata.message_type == MessageType::Response => *message = flipped,
        Ok(_) | Err(_) => claim_nothing(message, ResponseCode::ServFail, Vec::new()),
    }
}

const TYPES: [RecordType; 9] = [
    RecordType::TLSA,
    RecordType::A,
    RecordType::DS,
    RecordType::DNSKEY,
    RecordType::NSEC,
    RecordType::NSEC3,
    RecordType::RRSIG,
    RecordType::CNAME,
    RecordType::SOA,
];
