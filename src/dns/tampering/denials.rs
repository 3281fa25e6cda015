//! Claims that something is not there.

use RecordType::{A, DS, TLSA};
use hickory_resolver::proto::dnssec::rdata::NSEC;

use super::*;

#[tokio::test]
async fn dns_04_what_is_there_cannot_be_denied() {
    check(DENIALS).await;
}

const DENIALS: &[Row] = &[
    Row {
        says: "NODATA with the SOA of an unrelated unsigned zone",
        ask: (TLSA_NAME, TLSA),
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
        ask: (TLSA_NAME, TLSA),
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
        ask: (TLSA_NAME, TLSA),
        lie: |_, query, message| {
            if asks_tlsa(query) {
                claim_nothing(message, ResponseCode::NoError, Vec::new());
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "NODATA with the genuine NSEC of another name",
        ask: (TLSA_NAME, TLSA),
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
        ask: (TLSA_NAME, TLSA),
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
        ask: (TLSA_NAME, TLSA),
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
        ask: (TLSA_NAME, TLSA),
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
        ask: (TLSA_NAME, TLSA),
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
        says: "NODATA with an NSEC that somebody else signed in the name of the zone",
        ask: (TLSA_NAME, TLSA),
        lie: |_, query, message| {
            if asks_tlsa(query) {
                let nsec = NSEC::new(name("no.lab.test"), [A]);
                let nsec = record(query.name(), RData::DNSSEC(DNSSECRData::NSEC(nsec)));
                let set = [nsec];
                let rrsig = ZoneKey::generate().sign(&name("lab.test"), &set);
                let [nsec] = set;
                claim_nothing(message, ResponseCode::NoError, vec![nsec, rrsig]);
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "NODATA with the genuine NSEC and its signature, one type taken out",
        ask: (TLSA_NAME, TLSA),
        lie: |world, query, message| {
            if asks_tlsa(query) {
                let mut proof = world.zone("lab.test").proof(query.name());
                let nsec = NSEC::new(name("no.lab.test"), [A]);
                proof[0].data = RData::DNSSEC(DNSSECRData::NSEC(nsec));
                claim_nothing(message, ResponseCode::NoError, proof);
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "NXDOMAIN with the last NSEC of a sibling zone, after which every name comes",
        ask: (TLSA_NAME, TLSA),
        lie: |world, query, message| {
            if asks_tlsa(query) {
                let zone = world.zone("s.oo");
                let proof = proofs(zone, &["s.oo", "zzz.s.oo"]);
                claim_nothing(message, ResponseCode::NXDomain, proof);
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "a signed zone denied by its parent, which asks for too many iterations",
        ask: ("_25._tcp.mx.deep.rounds.test", TLSA),
        lie: |world, query, message| {
            if asks_tlsa(query) {
                let proof = proofs(world.zone("rounds.test"), &["mx.rounds.test"]);
                claim_nothing(message, ResponseCode::NXDomain, proof);
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "NOERROR where the proof says NXDOMAIN",
        ask: ("_25._tcp.no.lab.test", TLSA),
        lie: |_, query, message| {
            if asks_tlsa(query) {
                message.metadata.response_code = ResponseCode::NoError;
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "NXDOMAIN without the denial of the wildcard, NSEC3",
        ask: ("x.wild.hash.test", TLSA),
        lie: |world, query, message| {
            if asks_tlsa(query) {
                let zone = world.zone("hash.test");
                let proof = proofs(zone, &["wild.hash.test", "x.wild.hash.test"]);
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
];

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
