//! Where other validators say something else than we do, and why. A disagreement that is not listed here fails the test, and so
//! does an entry that no judge bears out any more.

use super::judges::{Judge, NOTHING, Words};
use Judge::{Bind, Delv, Domain, Unbound};
use std::collections::BTreeMap;

/// Questions on which some judges differ from us, with the words of those judges; several where a judge wavers.
pub(crate) struct Disagreement {
    cases: &'static [&'static str],
    words: &'static [(Judge, &'static str)],
    /// Who is right, or why both may be.
    reason: &'static str,
}

/// Every disagreement that is not listed, and every entry that is no disagreement.
pub(crate) fn unexplained(ours: &Words, theirs: &BTreeMap<Judge, Words>) -> Vec<String> {
    let mut found = Vec::new();
    for (judge, words) in theirs {
        for (case, word) in words {
            if differs(&ours[case], word) && !listed(case, *judge, word) {
                let ours = &ours[case];
                found.push(format!("{case}: {judge:?} says {word}, we say {ours}"));
            }
        }
    }
    for entry in DISAGREEMENTS {
        for case in entry.cases {
            for (judge, _) in entry.words {
                let now = theirs[judge][*case].as_str();
                if !entry.words.contains(&(*judge, now)) {
                    found.push(format!(
                        "{case}: {judge:?} says {now}, another word is listed"
                    ));
                }
            }
            let differ = |(_, word): &(Judge, &str)| differs(&ours[*case], word);
            if !entry.words.iter().any(differ) {
                let reason = entry.reason;
                found.push(format!(
                    "{case}: listed for `{reason}`, but all agree with us"
                ));
            }
        }
    }
    found
}

/// Bogus and unanswered look alike from outside.
pub(crate) fn differs(ours: &str, word: &str) -> bool {
    let nothing = ours.starts_with(['B', 'F']);
    if nothing {
        word != NOTHING
    } else {
        word != ours
    }
}

fn listed(case: &str, judge: Judge, word: &str) -> bool {
    DISAGREEMENTS
        .iter()
        .any(|entry| entry.cases.contains(&case) && entry.words.contains(&(judge, word)))
}

const DISAGREEMENTS: &[Disagreement] = &[
    Disagreement {
        cases: &["alg14", "alg15"],
        words: &[(Domain, "I/pos")],
        reason: "this validator lacks P-384 and Ed25519 and takes such zones for unsigned; RFC 8624 asks for both",
    },
    Disagreement {
        cases: &["alg14-nx", "alg15-nx"],
        words: &[(Domain, "I/nx")],
        reason: "the same",
    },
    Disagreement {
        cases: &["alg16"],
        words: &[(Unbound, "S/pos"), (Bind, "S/pos"), (Delv, "S/pos")],
        reason: "ring has no Ed448: a zone with no other algorithm is unsigned to us (RFC 4035 §5.2)",
    },
    Disagreement {
        cases: &["alg16-nx"],
        words: &[(Unbound, "S/nx"), (Bind, "S/nx"), (Delv, "S/nx")],
        reason: "the same",
    },
    Disagreement {
        cases: &["ds1good2bad"],
        words: &[(Unbound, "S/pos"), (Domain, "S/pos")],
        reason: "where a SHA-256 DS record stands, a SHA-1 one does not count (RFC 4509 §3); they let it count",
    },
    Disagreement {
        cases: &["revokedonly"],
        words: &[
            (Unbound, "S/pos"),
            (Bind, "S/pos"),
            (Delv, "S/pos"),
            (Domain, "S/pos"),
        ],
        reason: "a key that revokes itself vouches for nothing (RFC 5011 §2.1); they keep that to trust anchors",
    },
    Disagreement {
        cases: &["onebadsig", "collide1", "collide3"],
        words: &[
            (Bind, NOTHING),
            (Bind, "S/pos"),
            (Delv, NOTHING),
            (Delv, "S/pos"),
            (Domain, NOTHING),
            (Domain, "S/pos"),
        ],
        reason: "one signature that verifies is enough (RFC 4035 §5.3.3); they may stop at one that does not, as signatures and keys happen to come",
    },
    Disagreement {
        cases: &["n3i101-nodata", "n3i150-nodata"],
        words: &[
            (Unbound, "S/nodata"),
            (Bind, "S/nodata"),
            (Delv, "S/nodata"),
        ],
        reason: "we take denials of more than 100 iterations for insecure, they of more than 150 (RFC 9276 §3.2)",
    },
    Disagreement {
        cases: &["n3i101-nx", "n3i150-nx"],
        words: &[(Unbound, "S/nx"), (Bind, "S/nx"), (Delv, "S/nx")],
        reason: "the same",
    },
    Disagreement {
        cases: &["n3i101-wild", "n3i150-wild"],
        words: &[(Unbound, "S/pos"), (Bind, "S/pos"), (Delv, "S/pos")],
        reason: "the same, for the proof beside a wildcard",
    },
    Disagreement {
        cases: &[
            "n3i501-nodata",
            "n3i501-nx",
            "n3i501-wild",
            "n3i501-child",
            "n3i2500-nodata",
            "n3i2500-nx",
            "n3i2500-wild",
            "n3i2500-child",
        ],
        words: &[(Domain, NOTHING)],
        reason: "above 500 iterations this validator says bogus; insecure is allowed (RFC 9276 §3.2) and loses no mail",
    },
    Disagreement {
        cases: &["optout-nx"],
        words: &[(Delv, "S/nx")],
        reason: "an opt-out span proves no absence (RFC 5155 §9.2); `delv` says \"fully validated\" of the records",
    },
    Disagreement {
        cases: &["optout-ds"],
        words: &[(Delv, "S/nodata")],
        reason: "the same, for the DS of an unsigned delegation",
    },
    Disagreement {
        cases: &["badsoasig-nodata"],
        words: &[
            (Unbound, NOTHING),
            (Bind, "I/nodata"),
            (Delv, NOTHING),
            (Domain, NOTHING),
        ],
        reason: "the SOA is unsigned, the proof beside it is sound (RFC 4035 §5.4): no two judges agree on what follows",
    },
    Disagreement {
        cases: &["nsec-chain12", "nsec3-chain12"],
        words: &[
            (Unbound, "S/pos"),
            (Bind, NOTHING),
            (Delv, "S/pos"),
            (Domain, NOTHING),
        ],
        reason: "twelve aliases: everyone has a limit of their own (RFC 1034 §3.6.2)",
    },
    Disagreement {
        cases: &["dstrap"],
        words: &[(Bind, NOTHING), (Domain, NOTHING), (Domain, "S/pos")],
        reason: "two hundred DS records before the one that fits: how many are tried is everyone's own",
    },
    Disagreement {
        cases: &["localhost"],
        words: &[(Unbound, "I/pos"), (Delv, NOTHING), (Domain, NOTHING)],
        reason: "the name is not asked for (RFC 6761 §6.3); unbound has an answer of its own, which is not signed",
    },
    Disagreement {
        cases: &["localhost-tlsa"],
        words: &[(Unbound, "I/nodata"), (Delv, NOTHING), (Domain, NOTHING)],
        reason: "the same",
    },
    Disagreement {
        cases: &["onion"],
        words: &[(Unbound, "I/nx"), (Delv, NOTHING), (Domain, NOTHING)],
        reason: "the name is not asked for (RFC 7686 §2); unbound has an answer of its own, which is not signed",
    },
];
