//! OpenSSL's DANE vectors through `dane::verify` and through `danelaw dane verify`.
//!
//! The vectors stay outside the repository (`../shared/vectors/openssl-dane`, format in the README beside them). Where
//! they are absent the test says so and passes, except under `CI`, where it fails; `openssl_cases` holds the same kinds
//! of cases on chains of our own, and runs always. Usages 0 and 1 are unusable for SMTP (RFC 7672 §3.1.3), which is then
//! what is asserted; every case is counted, and of every case the core and the command line must say the same.
#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may read files and fail loudly"
)]

mod chains;
mod openssl_cases;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use danelaw::clock::Timestamp;
use danelaw::dane::presentation::shown;
use danelaw::dane::{self, Match, Mismatch, Presented, tlsa};
use danelaw::name::ReferenceId;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn tlsa_12_to_18_danetest_holds() {
    let Some(text) = vectors("danetest.in") else {
        return;
    };
    let tally = run(&parse(&text), "example.com");
    assert_eq!(
        tally,
        Tally {
            dane: 34,
            unusable: 20,
            surplus_records: 4,
        }
    );
}

#[test]
fn tlsa_17_dane_cross_holds() {
    let Some(text) = vectors("dane-cross.in") else {
        return;
    };
    let tally = run(&parse(&text), "server.example");
    assert_eq!(
        tally,
        Tally {
            dane: 1,
            ..Tally::default()
        }
    );
}

#[test]
fn tlsa_12_to_18_the_same_kinds_of_cases_hold_on_chains_of_our_own() {
    let tally = run(&openssl_cases::all(), openssl_cases::BASE);
    assert_eq!(
        tally,
        Tally {
            dane: 36,
            unusable: 20,
            surplus_records: 4,
        }
    );
}

/// How many cases went which way, so that none is skipped in silence.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    dane: usize,
    unusable: usize,
    surplus_records: usize,
}

struct Case {
    /// Where it stands, or what it is about.
    name: String,
    names_always_checked: bool,
    want: u32,
    depth: Option<usize>,
    rrset: Vec<Vec<u8>>,
    /// Records after the announced ones, which OpenSSL's harness reads over.
    surplus: Vec<Vec<u8>>,
    chain: Vec<CertificateDer<'static>>,
    /// The same as text.
    pem: String,
}

fn run(cases: &[Case], base: &str) -> Tally {
    let mut tally = Tally::default();
    for case in cases {
        if tlsa::usable(&case.rrset).is_empty() {
            assert!(
                case.rrset.iter().all(|rdata| rdata[0] < 2),
                "{}: a DANE record is not usable",
                case.name
            );
            case.ask_the_program(&case.rrset, base);
            tally.unusable += 1;
            continue;
        }
        assert!(
            case.rrset.iter().any(|rdata| rdata[0] >= 2),
            "{}: usage 0 or 1 is taken for usable",
            case.name
        );
        tally.dane += 1;
        case.check(&case.rrset, base);
        if !case.surplus.is_empty() {
            tally.surplus_records += 1;
            let all: Vec<_> = case.rrset.iter().chain(&case.surplus).cloned().collect();
            case.check(&all, base);
        }
    }
    tally
}

impl Case {
    fn check(&self, rrset: &[Vec<u8>], base: &str) {
        let name = &self.name;
        self.ask_the_program(rrset, base);
        let outcome = self.verify(rrset, base);
        match self.want {
            0 => assert_eq!(outcome.unwrap().depth, self.depth.unwrap(), "{name}"),
            62 if self.names_always_checked && rrset[0][0] == 3 => {
                // RFC 7671 §5.1: DANE-EE looks at no name, whatever the harness was told.
                assert_eq!(outcome.unwrap().depth, self.depth.unwrap(), "{name}");
            }
            62 => {
                let Err(Mismatch::Name { presented }) = outcome else {
                    panic!("{name}: {outcome:?}");
                };
                // The path holds at the given depth for the name that is there.
                let other = self.verify(rrset, &presented[0]).unwrap();
                assert_eq!(other.depth, self.depth.unwrap(), "{name}");
            }
            65 => {
                assert_eq!(self.depth, None, "{name}");
                assert!(
                    matches!(outcome, Err(Mismatch::NoMatch | Mismatch::Path(_))),
                    "{name}: {outcome:?}"
                );
            }
            want => panic!("{name}: {want} is not known for DANE"),
        }
    }

    /// The command line says of it what the core does.
    fn ask_the_program(&self, rrset: &[Vec<u8>], base: &str) {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("chain.pem");
        fs::write(&path, &self.pem).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args([
                "dane",
                "verify",
                "--json",
                "--time",
                NOW_IN_WORDS,
                "--name",
                base,
            ])
            .args(
                rrset
                    .iter()
                    .flat_map(|rdata| ["--tlsa".into(), shown(rdata)]),
            )
            .arg("--chain")
            .arg(path)
            .output()
            .unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr))
        });
        let (result, exit, matched) = if tlsa::usable(rrset).is_empty() {
            ("unusable", 3, None)
        } else {
            match self.verify(rrset, base) {
                Ok(matched) => ("match", 0, Some(matched)),
                Err(mismatch) => {
                    let reason = said["reason"].as_str().unwrap();
                    assert!(
                        reason.starts_with(mismatch.label()),
                        "{}: {said}",
                        self.name
                    );
                    ("mismatch", 1, None)
                }
            }
        };
        let number = |of: fn(&Match) -> usize| matched.as_ref().map(of);
        let expected = json!([
            result,
            number(|one| one.record.usage.number().into()),
            number(|one| one.record.selector.number().into()),
            number(|one| one.record.matching.number().into()),
            number(|one| one.depth),
        ]);
        let told = ["result", "usage", "selector", "matching_type", "depth"];
        let told: Value = told.iter().map(|key| said[*key].clone()).collect();
        assert_eq!(told, expected, "{}: {said}", self.name);
        assert_eq!(output.status.code(), Some(exit), "{}", self.name);
        assert_eq!(said["reason"].is_null(), exit == 0, "{}: {said}", self.name);
    }

    fn verify(&self, rrset: &[Vec<u8>], name: &str) -> Result<Match, Mismatch> {
        let reference_ids: [ReferenceId; 1] = [name.parse().unwrap()];
        dane::verify(
            &tlsa::usable(rrset),
            Presented {
                chain: &self.chain,
                reference_ids: &reference_ids,
            },
            NOW,
        )
    }
}

fn parse(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut lines = text.lines().map(str::trim_end).enumerate();
    while let Some((index, line)) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let header: Vec<i32> = line
            .split(' ')
            .map(|field| field.parse().expect("a header of integers"))
            .collect();
        let [records, certificates, no_name_checks, want, depth] = header[..] else {
            panic!("line {}: a header has five fields", index + 1);
        };
        let rrset = (0..records)
            .map(|_| record(lines.next().unwrap().1).expect("a TLSA line"))
            .collect();
        let mut surplus = Vec::new();
        let mut chain = Vec::new();
        let (mut pem, mut pems) = (String::new(), String::new());
        while chain.len() < usize::try_from(certificates).unwrap() {
            let (_, line) = lines.next().expect("a certificate");
            if pem.is_empty() && !line.starts_with("-----BEGIN") {
                surplus.extend(record(line));
                continue;
            }
            pem.push_str(line);
            pem.push('\n');
            if line.starts_with("-----END") {
                chain.push(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
                pems.push_str(&pem);
                pem.clear();
            }
        }
        cases.push(Case {
            name: format!("line {}", index + 1),
            names_always_checked: no_name_checks == 0,
            want: u32::try_from(want).unwrap(),
            depth: usize::try_from(depth).ok(),
            rrset,
            surplus,
            chain,
            pem: pems,
        });
    }
    cases
}

/// `usage selector matching-type hex`, the hex with blanks in it or without.
fn record(line: &str) -> Option<Vec<u8>> {
    let mut fields = line.split_whitespace();
    let mut rdata = Vec::new();
    for _ in 0..3 {
        rdata.push(fields.next()?.parse().ok()?);
    }
    let hex: String = fields.collect();
    for pair in hex.as_bytes().chunks(2) {
        rdata.push(u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?);
    }
    Some(rdata)
}

fn vectors(file: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/vectors/openssl-dane")
        .join(file);
    match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "{}: {error}",
                path.display()
            );
            eprintln!(
                "skipped, {} is not there: {error}; the same kinds of cases run on chains of our own",
                path.display()
            );
            None
        }
    }
}

/// 2026-01-01.
const NOW: Timestamp = Timestamp::from_unix(1_767_225_600);
const NOW_IN_WORDS: &str = "2026-01-01T00:00:00Z";
