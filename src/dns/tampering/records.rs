//! Records and signatures that are stripped, altered, added or replaced.

use super::*;

#[tokio::test]
async fn dns_03_stripped_and_altered_records_are_bogus() {
    check(RECORDS).await;
}

const RECORDS: &[Row] = &[
    Row {
        says: "no RRSIG over the TLSA records",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |_, query, message| {
            if asks_tlsa(query) {
                strip(message);
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "no RRSIG anywhere",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |_, _, message| strip(message),
        comes_out: "bogus",
    },
    Row {
        says: "no RRSIG over the DS records",
        ask: (TLSA_NAME, RecordType::TLSA),
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
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |_, query, message| {
            if asks_tlsa(query) {
                message.answers[0].data = tlsa(66);
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "one TLSA record more",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |_, query, message| {
            if asks_tlsa(query) {
                message.answers.push(record(query.name(), tlsa(66)));
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "one TLSA record less",
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |_, query, message| {
            if asks_tlsa(query) {
                message.answers.remove(0);
            }
        },
        comes_out: "bogus",
    },
    Row {
        says: "an unsigned alias instead of the records",
        ask: (TLSA_NAME, RecordType::TLSA),
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
        ask: (TLSA_NAME, RecordType::TLSA),
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
        ask: (TLSA_NAME, RecordType::TLSA),
        lie: |_, query, message| {
            if asks_tlsa(query) {
                message.answers.reverse();
                message.answers[1].ttl = 5;
                message.answers.push(message.answers[1].clone());
            }
        },
        comes_out: "secure records",
    },
];
