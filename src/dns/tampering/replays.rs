//! Genuine wildcards and opt-out records, used where they do not belong.

use RecordType::{DS, TLSA};

use super::*;

#[tokio::test]
async fn dnssec_13_a_wildcard_does_not_stand_for_what_exists() {
    check(REPLAYS).await;
}

const REPLAYS: &[Row] = &[
    Row {
        says: "a wildcard replayed for an existing name",
        ask: ("exact.wild.lab.test", TLSA),
        lie: |world, query, message| {
            if asks_tlsa(query) {
                replay_wildcard(world, query, message, "lab.test");
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "a wildcard replayed for an existing name, NSEC3",
        ask: ("exact.wild.hash.test", TLSA),
        lie: |world, query, message| {
            if asks_tlsa(query) {
                replay_wildcard(world, query, message, "hash.test");
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "the same with the NS of an unrelated unsigned zone for the only authority",
        ask: ("exact.wild.lab.test", TLSA),
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
        ask: ("exact.wild.hash.test", TLSA),
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
];

#[tokio::test]
async fn dnssec_10_15_opt_out_hides_no_signed_zone() {
    check(OPT_OUT).await;
}

const OPT_OUT: &[Row] = &[
    Row {
        says: "the DS of a signed zone denied with every opt-out record of its parent",
        ask: ("_25._tcp.mx.s.oo", TLSA),
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
        ask: ("_25._tcp.mx.s.oo", TLSA),
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
        ask: ("_25._tcp.mx.s.oo", TLSA),
        lie: |world, query, message| {
            if asks_tlsa(query) {
                claim_nothing(message, ResponseCode::NXDomain, all_of_oo(world));
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "TLSA records denied as NODATA by opt-out records of the parent",
        ask: ("_25._tcp.mx.s.oo", TLSA),
        lie: |world, query, message| {
            if asks_tlsa(query) {
                claim_nothing(message, ResponseCode::NoError, all_of_oo(world));
            }
        },
        comes_out: "bogus",
    },
];

/// The genuine records of `*.wild` under the name that was asked for, with the genuine denial of some name there.
fn replay_wildcard(world: &World, query: &Query, message: &mut Message, origin: &str) {
    let expanded = name(&format!("x.wild.{origin}"));
    let genuine = world.answer(&Query::query(expanded, TLSA));
    clear(message);
    message.answers = genuine.answers;
    for answer in &mut message.answers {
        answer.name = query.name().clone();
    }
    message.authorities = genuine.authorities;
}

fn all_of_oo(world: &World) -> Vec<Record> {
    let names = ["oo", "s.oo", "u.oo", "wild.oo", "*.wild.oo", "mx.s.oo"];
    proofs(world.zone("oo"), &names)
}
