//! Keys that nobody vouches for.

use super::*;

#[tokio::test]
async fn dns_08_dns_09_dnssec_7_keys_count_only_when_a_vouched_one_signed_them() {
    check(KEYS).await;
}

const KEYS: &[Row] = &[
    Row {
        says: "the DNSKEY RRset without a signature",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |_, query, message| {
            if is(query, "lab.test", RecordType::DNSKEY) {
                strip(message);
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "the root's DNSKEY RRset without a signature",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |_, query, message| {
            if is(query, ".", RecordType::DNSKEY) {
                strip(message);
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "a foreign key beside the genuine one, signed by the foreign one",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |_world, query, message| foreign_key(query, message, Place::Beside),
        comes_out: "bogus",
    },
    Row {
        says: "a foreign key in place of the genuine one",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |_world, query, message| foreign_key(query, message, Place::Instead),
        comes_out: "bogus",
    },
    Row {
        says: "a foreign DS, signed by the child itself",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |world, query, message| {
            foreign_key(query, message, Place::Instead);
            if is(query, "lab.test", RecordType::DS) {
                let zone = query.name();
                let ds = ZoneKey::generate().ds(zone, DigestType::SHA256);
                let ds = record(zone, RData::DNSSEC(DNSSECRData::DS(ds)));
                let rrsig = world
                    .zone("lab.test")
                    .key()
                    .sign(zone, std::slice::from_ref(&ds));
                message.answers = vec![ds, rrsig];
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "a question for the DS, answered and signed by the child itself",
        ask: ("lab.test", RecordType::DS),
        lie: |world, query, message| {
            if is(query, "lab.test", RecordType::DS) {
                let rrsig = world
                    .zone("lab.test")
                    .key()
                    .sign(query.name(), &message.answers[..1]);
                message.answers[1] = rrsig;
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "a DS of an algorithm that nobody knows, unsigned",
        ask: (TLSA_NAME, RecordType::TLSA),
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
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |_, query, message| {
            if is(query, "lab.test", RecordType::DNSKEY) {
                clear(message);
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "records signed by the key of another signed zone",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |world, query, message| {
            if asks_tlsa(query) {
                let other = world.zone("hash.test");
                let forged = record(query.name(), tlsa(66));
                let rrsig = other
                    .key()
                    .sign(&other.origin, std::slice::from_ref(&forged));
                message.answers = vec![forged, rrsig];
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "records signed by the key of another signed zone in the name of the right one",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |world, query, message| {
            if asks_tlsa(query) {
                let other = world.zone("hash.test");
                let forged = record(query.name(), tlsa(66));
                let rrsig = other
                    .key()
                    .sign(&name("lab.test"), std::slice::from_ref(&forged));
                message.answers = vec![forged, rrsig];
            }
        },
        comes_out: "bogus",
    },
];

/// Where the foreign key stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Beside,
    Instead,
}

/// RUSTSEC-2025-0006: the set is signed, but not by the key that the DS record names.
fn foreign_key(query: &Query, message: &mut Message, place: Place) {
    thread_local! {
        static FOREIGN: ZoneKey = ZoneKey::generate();
    }
    FOREIGN.with(|foreign| {
        let zone = name("lab.test");
        let forged = if is(query, "lab.test", RecordType::DNSKEY) {
            let mut keys: Vec<Record> = message.answers.drain(..).collect();
            keys.retain(|answer| {
                place == Place::Beside && answer.record_type() == RecordType::DNSKEY
            });
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
