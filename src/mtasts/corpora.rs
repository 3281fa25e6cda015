//! Records, policies, media types and matches that others test their implementations with (mox, postfix-mta-sts-resolver,
//! go-mtasts, tlspol), and what those expect of them.
//!
//! They stay outside the repository (the folder `mta-sts` in `DANELAW_VECTORS`, format in tests/README.md), so that the test
//! is run by hand and by `.ci/nightly`; `policy` and `record` have tables of our own for every run. Each case on which we
//! differ is listed here with the reason, and has to differ.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: reads files from outside the repository"
)]

use std::path::PathBuf;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use super::{Policy, answer, record};
use crate::name::{DnsName, MxHost};

/// One case, of one file of one line each.
struct Case {
    origin: &'static str,
    number: u64,
    told: Value,
}

/// How many of each kind there are, so that none is skipped in silence.
const CORPORA: [(&str, usize); 4] = [
    ("go-mtasts", 36),
    ("mox", 50),
    ("postfix-mta-sts-resolver", 47),
    ("tlspol", 50),
];

/// Where we do not do what they do, and why.
const DEVIATIONS: &[(&str, u64, &str)] = &[
    ("go-mtasts", 31, U_LABELS),
    ("go-mtasts", 32, U_LABELS),
    ("go-mtasts", 33, U_LABELS),
    (
        "postfix-mta-sts-resolver",
        5,
        "white space at the end of a record is no part of a field, nor of a delimiter that does not come",
    ),
    (
        "postfix-mta-sts-resolver",
        9,
        "the grammar has a delimiter at the end, and no empty fields",
    ),
    (
        "postfix-mta-sts-resolver",
        43,
        "a max_age beyond the maximum is taken for the maximum: the domain has asked for protection",
    ),
    (
        "tlspol",
        49,
        "a policy is UTF-8 or US-ASCII; what another charset makes of its octets is not what its owner wrote",
    ),
];

const U_LABELS: &str =
    "RFC 8461 §4.1 wants A-labels in patterns, and a line that is none makes the policy invalid";

#[test]
#[ignore = "reads the data of others: DANELAW_VECTORS, tests/README.md"]
fn sts_3_to_9_sts_24_sts_40_to_49_sts_64_what_others_test_themselves_with_fares_as_they_say_but_for_a_list()
 {
    let mut unexpected = Vec::new();
    for (origin, count) in CORPORA {
        let cases = read(origin);
        assert_eq!(cases.len(), count, "{origin}");
        for case in cases {
            let differs = case.found() != case.told["want"];
            let listed = DEVIATIONS
                .iter()
                .any(|(of, number, _)| (*of, *number) == (case.origin, case.number));
            if differs != listed {
                let found = case.found();
                unexpected.push(format!("{origin} {}: {found}, {}", case.number, case.told));
            }
        }
    }
    assert!(unexpected.is_empty(), "\n{}\n", unexpected.join("\n"));
}

impl Case {
    /// What we say, in the words of the case.
    fn found(&self) -> Value {
        let wants = |field: &str| self.told["want"][field].is_null();
        match self.told["kind"].as_str() {
            Some("record") => {
                let records = self.told["records"].as_array().unwrap().iter();
                let records: Vec<Vec<u8>> = records.map(octets).collect();
                match (record::announced(&records), &self.told["want"]) {
                    (Ok(_), Value::Bool(_)) => true.into(),
                    (Ok(id), _) => id.as_str().into(),
                    (Err(_), _) => Value::Null,
                }
            }
            Some("policy") => match Policy::read(&octets(&self.told["body"])) {
                Ok(_) if wants("mode") => true.into(),
                Ok(policy) => serde_json::json!({
                    "mode": policy.mode.label(),
                    "max_age": policy.max_age.as_secs(),
                    "mx": policy.mx.iter().map(super::MxPattern::as_str).collect::<Vec<_>>(),
                }),
                Err(_) => Value::Null,
            },
            Some("match") => {
                let policy = Policy::parse(&octets(&self.told["body"]));
                let host = DnsName::parse_unicode(self.told["host"].as_str().unwrap());
                let listed = policy
                    .ok()
                    .zip(host.ok())
                    .is_some_and(|(policy, host)| policy.lists(&MxHost::new(host)));
                listed.into()
            }
            Some("media") => {
                let value = self.told["value"].as_str().unwrap();
                let headers =
                    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(value).unwrap())]);
                answer::check(StatusCode::OK, &headers).is_ok().into()
            }
            other => panic!("{} {}: {other:?} is no kind", self.origin, self.number),
        }
    }
}

/// `{"text": …}`, or `{"hex": …}` for what is no UTF-8.
fn octets(value: &Value) -> Vec<u8> {
    if let Some(text) = value["text"].as_str() {
        return text.as_bytes().to_vec();
    }
    let digits = value["hex"].as_str().unwrap();
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn read(origin: &'static str) -> Vec<Case> {
    let folder = std::env::var_os("DANELAW_VECTORS").expect("DANELAW_VECTORS names a folder");
    let path = PathBuf::from(folder)
        .join("mta-sts")
        .join(format!("{origin}.jsonl"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let case = |line: &str| {
        let told: Value = serde_json::from_str(line).unwrap();
        Case {
            origin,
            number: told["case"].as_u64().unwrap(),
            told,
        }
    };
    text.lines().map(case).collect()
}
