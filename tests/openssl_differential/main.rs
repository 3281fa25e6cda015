//! `dane::verify` against OpenSSL, on chains and TLSA records made at random.
//!
//! Nothing may be accepted here that OpenSSL refuses, except for the reasons in [`LOOSER`], and nothing refused that it
//! accepts, except for those in [`STRICTER`]. A reason is not guessed at: the case is built once more without the
//! flaw in question, and then both have to agree. Where both accept, they accept at the same depth.
//!
//! `DANELAW_CASES` and `DANELAW_SEED` set how many cases there are and where they begin. Without a C compiler and
//! libssl's headers the test says so and is skipped, except under `CI`, where that is a failure.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test crate of its own: it starts a program, and a panic is how a test fails"
)]

mod case;
#[path = "../certificate/mod.rs"]
mod certificate;
mod generator;
mod matrix;
mod oracle;

use std::collections::BTreeMap;

use case::{Built, Case, Flaw};
use certificate::Key;
use danelaw::clock::Timestamp;
use danelaw::dane::{self, Presented, tlsa};
use danelaw::name::ReferenceId;
use generator::Random;
use oracle::{Opinion, Oracle};

/// 2026-01-01.
const NOW: Timestamp = Timestamp::from_unix(1_767_225_600);

#[test]
fn tlsa_6_tlsa_7_tlsa_11_tlsa_12_tlsa_14_tlsa_16_tlsa_17_tlsa_19_dane_26_dane_30_dane_31_random_chains_are_judged_as_openssl_judges_them()
 {
    let Some(oracle) = oracle() else {
        return;
    };
    let cases = setting("DANELAW_CASES", 6000);
    let seed = setting("DANELAW_SEED", 1);
    let mut bench = Bench {
        oracle,
        keys: case::keys(),
        tally: BTreeMap::new(),
        complaints: Vec::new(),
    };
    let mut random = Random(seed);
    for _ in 0..cases {
        let case = generator::case(&mut random);
        bench.compare(&case);
    }
    eprintln!("{cases} cases, seed {seed}:");
    for (kind, count) in &bench.tally {
        eprintln!("{count:8} {kind}");
    }
    let shown = bench.complaints.len().min(10);
    assert!(
        bench.complaints.is_empty(),
        "{} cases are judged otherwise, the first of them:\n{}",
        bench.complaints.len(),
        bench.complaints[..shown].join("\n")
    );
    // A generator that only makes refusals would compare nothing.
    for kind in [ACCEPTED, REFUSED, UNUSABLE] {
        let count = bench.tally.get(kind).copied().unwrap_or(0);
        assert!(count * 50 >= cases, "{count} of {cases}: {kind}");
    }
}

#[test]
fn tlsa_14_tlsa_15_tlsa_18_tlsa_19_dane_05_dane_27_dane_30_the_matrix_of_anchors_and_names() {
    let keys = case::keys();
    let mut oracle = oracle();
    let cases = matrix::cases();
    let matches = cases.iter().filter(|(_, _, depth)| depth.is_some()).count();
    assert_eq!((cases.len(), matches), (1512, 440));
    for (sentence, case, depth) in cases {
        let built = case.build(&keys);
        let outcome = ours(&case, &built);
        assert_eq!(outcome.clone().ok(), depth, "{sentence}: {outcome:?}");
        if let Some(oracle) = oracle.as_mut().filter(|_| case.records[0].usage > 1) {
            let theirs = oracle.ask(&built, &case.ids);
            assert_eq!(
                theirs.outcome.ok(),
                depth,
                "{sentence}, OpenSSL: {theirs:?}"
            );
        }
    }
}

const ACCEPTED: &str = "both accept, at the same depth";
const REFUSED: &str = "both refuse";
const UNUSABLE: &str = "no record is usable for either";

struct Bench {
    oracle: Oracle,
    keys: Vec<Key>,
    tally: BTreeMap<String, u64>,
    complaints: Vec<String>,
}

impl Bench {
    fn compare(&mut self, case: &Case) {
        let built = case.build(&self.keys);
        // Usages 0 and 1 are not for SMTP (RFC 7672 §3.1.3), and must not count beside the others.
        let theirs = self.ask(case, &built);
        let ours = ours(case, &built);
        let mut usable = false;
        for ((rdata, record), theirs) in
            std::iter::zip(&built.rrset, &case.records).zip(&theirs.usable)
        {
            usable |= is_usable(rdata);
            match (is_usable(rdata), *theirs) {
                (ours, theirs) if ours == theirs => {}
                (true, false) if record.is_no_point() => self.count(NO_POINT),
                (ours, theirs) => {
                    self.complain(
                        case,
                        &format!("usable {ours}, for OpenSSL {theirs}: {record:?}"),
                    );
                }
            }
        }
        if !theirs.usable.contains(&true) {
            assert!(ours.is_err(), "a match without a usable record:\n{case}");
            if !usable {
                self.count(UNUSABLE);
            }
            return;
        }
        match (ours, theirs.outcome) {
            (Ok(ours), Ok(theirs)) if ours == theirs => self.count(ACCEPTED),
            (Err(_), Err(_)) => self.count(REFUSED),
            (Ok(ours), theirs) => match self.looser(case, ours) {
                Some(reason) => self.count(&format!("looser: {reason}")),
                None => self.complain(case, &format!("depth {ours}, OpenSSL: {theirs:?}")),
            },
            (Err(why), Ok(theirs)) => match self.stricter(case) {
                Some(reason) => self.count(&format!("stricter: {reason}")),
                None => self.complain(case, &format!("{why}, OpenSSL: depth {theirs}")),
            },
        }
    }

    /// OpenSSL's opinion; for it a record of usage 0 or 1 is one of usage 255.
    fn ask(&mut self, case: &Case, built: &Built) -> Opinion {
        let mut built = Built {
            chain: built.chain.clone(),
            rrset: built.rrset.clone(),
        };
        for rdata in &mut built.rrset {
            if rdata[0] < 2 {
                rdata[0] = 255;
            }
        }
        self.oracle.ask(&built, &case.ids)
    }

    /// The reason for which this is accepted and OpenSSL refuses it, if it is one of the allowed ones: without what
    /// the reason names OpenSSL accepts it too, and at the same depth.
    fn looser(&mut self, case: &Case, depth: usize) -> Option<String> {
        let mut reasons = Vec::new();
        let mut better = case.clone();
        for reason in LOOSER {
            let one = case.without(|index, flaw| (reason.forgives)(index, flaw));
            if one.flaws() != case.flaws() {
                if self.is_accepted(&one, depth) {
                    return Some(reason.name.to_owned());
                }
                better = better.without(|index, flaw| (reason.forgives)(index, flaw));
                reasons.push(reason.name);
            }
        }
        if self.is_accepted_without_namesakes(case, depth) {
            return Some(NAMESAKE.to_owned());
        }
        let accepted =
            self.is_accepted(&better, depth) || self.is_accepted_without_namesakes(&better, depth);
        (!reasons.is_empty() && accepted).then(|| SEVERAL.to_owned())
    }

    fn is_accepted_without_namesakes(&mut self, case: &Case, depth: usize) -> bool {
        case.without_namesakes()
            .iter()
            .any(|fewer| self.is_accepted(fewer, depth))
    }

    fn is_accepted(&mut self, case: &Case, depth: usize) -> bool {
        let built = case.build(&self.keys);
        self.ask(case, &built).outcome == Ok(depth)
    }

    /// The reason for which this is refused and OpenSSL accepts it, if it is one of the allowed ones: without what the
    /// reason names there is no difference.
    fn stricter(&mut self, case: &Case) -> Option<String> {
        for reason in STRICTER {
            let one = case.without(|index, flaw| (reason.forgives)(index, flaw));
            if one.flaws() != case.flaws() && self.agree(&one) {
                return Some(reason.name.to_owned());
            }
        }
        let forgives = |index, flaw| STRICTER.iter().any(|reason| (reason.forgives)(index, flaw));
        let all = case.without(forgives);
        (all.flaws() != case.flaws() && self.agree(&all)).then(|| SEVERAL.to_owned())
    }

    fn agree(&mut self, case: &Case) -> bool {
        let built = case.build(&self.keys);
        let theirs = self.ask(case, &built);
        ours(case, &built).ok() == theirs.outcome.ok()
    }

    fn count(&mut self, kind: &str) {
        *self.tally.entry(kind.to_owned()).or_default() += 1;
    }

    fn complain(&mut self, case: &Case, what: &str) {
        self.count("COMPLAINTS");
        self.complaints.push(format!("{what}\n{case}"));
    }
}

/// A difference that is allowed.
struct Allowed {
    name: &'static str,
    /// Which flaws make for it, of the certificate that stands here in the plan (0 is the leaf).
    forgives: fn(usize, Flaw) -> bool,
}

/// What is accepted here and not by OpenSSL, or at another depth, besides what is passed over as a namesake.
const LOOSER: &[Allowed] = &[
    // RFC 5280 §4.1.2.5.1 wants seconds; leaving them out moves a date by less than a minute.
    Allowed {
        name: "UTCTime without seconds",
        forgives: |_, flaw| flaw == Flaw::NoSeconds,
    },
    // RFC 5280 §4.2.1.1 has it for building paths; here a signature that holds is enough.
    Allowed {
        name: "an authorityKeyIdentifier that names another key than the one that has signed",
        forgives: |_, flaw| flaw == Flaw::WrongAuthorityKeyId,
    },
    // OpenSSL compares what it would have encoded; RFC 6698 §2.1 speaks of what the certificate holds.
    Allowed {
        name: "a certificate with a length longer than DER wants",
        forgives: |_, flaw| flaw == Flaw::LongLength,
    },
];

/// What is refused here and accepted by OpenSSL, all of it on paths of DANE-TA.
const STRICTER: &[Allowed] = &[
    Allowed {
        name: "a leaf that is a CA",
        forgives: |_, flaw| flaw == Flaw::LeafIsCa,
    },
    Allowed {
        name: "a certificate of version 1",
        forgives: |_, flaw| flaw == Flaw::Version1,
    },
    Allowed {
        name: "an issuer's name in another string type than its own",
        forgives: |_, flaw| flaw == Flaw::IssuerInOtherType,
    },
    Allowed {
        name: "critical certificatePolicies",
        forgives: |_, flaw| flaw == Flaw::CriticalPolicies,
    },
    Allowed {
        name: "another signature algorithm inside than outside",
        forgives: |_, flaw| flaw == Flaw::AlgorithmsDiffer,
    },
    Allowed {
        name: "an issuer without basicConstraints",
        forgives: |index, flaw| index > 0 && flaw == Flaw::NoBasicConstraints,
    },
    Allowed {
        name: "name constraints, and a common name or a wildcard below them",
        forgives: |index, flaw| {
            index > 0 && matches!(flaw, Flaw::PermitsOnly(_) | Flaw::Excludes(_))
        },
    },
    Allowed {
        name: "a length longer than DER wants",
        forgives: |_, flaw| flaw == Flaw::LongLength,
    },
    // RFC 5280 §4.2: there is one of each extension at most.
    Allowed {
        name: "two subjectAltNames",
        forgives: |_, flaw| flaw == Flaw::SanTwice,
    },
    // OpenSSL then passes over a certificate and its constraints, or takes a root for none and leaves out its dates.
    Allowed {
        name: "an authorityKeyIdentifier that names another key",
        forgives: |_, flaw| flaw == Flaw::WrongAuthorityKeyId,
    },
    // Here a root is what is issued by its own name, and its dates count.
    Allowed {
        name: "an out-of-date root that another kind of key has signed",
        forgives: |index, flaw| index > 0 && flaw == Flaw::SignedByAnother,
    },
];

/// webpki tries every certificate of a name, OpenSSL the first one only.
const NAMESAKE: &str = "a certificate of the same name stands before the right one";
const SEVERAL: &str = "several of these";
/// A record of a whole key that no certificate can have stays a record here, and refuses whatever is presented.
const NO_POINT: &str = "stricter: a whole key that is no point of its curve is usable";

fn is_usable(rdata: &Vec<u8>) -> bool {
    !tlsa::usable(std::slice::from_ref(rdata)).is_empty()
}

/// The depth of the match, or why there is none.
fn ours(case: &Case, built: &Built) -> Result<usize, String> {
    let reference_ids: Vec<ReferenceId> = case.ids.iter().map(|id| id.parse().unwrap()).collect();
    let presented = Presented {
        chain: &built.chain,
        reference_ids: &reference_ids,
    };
    dane::verify(&tlsa::usable(&built.rrset), presented, NOW)
        .map(|found| found.depth)
        .map_err(|mismatch| mismatch.to_string())
}

fn oracle() -> Option<Oracle> {
    match Oracle::start() {
        Ok(oracle) => Some(oracle),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{why}");
            eprintln!("SKIPPED: {why}");
            None
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}
