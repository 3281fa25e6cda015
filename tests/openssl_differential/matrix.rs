//! What an MX host may present and its domain publish, as a matrix with the expected depth of every combination.
//!
//! Issuers with key identifiers and without × what is presented × what is published × selector × matching type × the
//! leaf's names. The expectations hold without OpenSSL; where it is there, it has to agree with every one.

use crate::case::{Case, Flaw, IMPOSTOR, Plan, Record, Role};

/// What is presented and published, and at which depth that matches.
struct Setting {
    sentence: &'static str,
    /// 0 is the leaf, 1 its issuer, 2 the root, 3 a CA that has nothing to do with them.
    presented: &'static [usize],
    usage: u8,
    of: &'static [usize],
    /// For a whole certificate, a whole key, and digests.
    depths: [Option<usize>; 3],
}

const fn setting(
    sentence: &'static str,
    presented: &'static [usize],
    published: (u8, &'static [usize]),
    depths: [Option<usize>; 3],
) -> Setting {
    let (usage, of) = published;
    Setting {
        sentence,
        presented,
        usage,
        of,
        depths,
    }
}

const NEVER: [Option<usize>; 3] = [None; 3];

const SETTINGS: &[Setting] = &[
    setting("the root, presented", &[0, 1, 2], (2, &[2]), [Some(2); 3]),
    setting("the issuer, presented", &[0, 1], (2, &[1]), [Some(1); 3]),
    setting(
        "the issuer, with the root",
        &[0, 1, 2],
        (2, &[1]),
        [Some(1); 3],
    ),
    setting(
        "a root that is not presented",
        &[0, 1],
        (2, &[2]),
        [Some(2), Some(1), None],
    ),
    setting(
        "an issuer that is not presented",
        &[0],
        (2, &[1]),
        [Some(1), Some(0), None],
    ),
    setting("a root, and a gap below it", &[0, 2], (2, &[2]), NEVER),
    setting("a root alone, and a gap", &[0], (2, &[2]), NEVER),
    setting("a CA of another chain", &[0, 1, 2, 3], (2, &[3]), NEVER),
    setting("a CA that is nowhere", &[0, 1, 2], (2, &[3]), NEVER),
    setting("root and issuer", &[0, 1, 2], (2, &[2, 1]), [Some(1); 3]),
    setting("issuer and another CA", &[0, 1], (2, &[3, 1]), [Some(1); 3]),
    setting("tlsa_19: the leaf as anchor", &[0, 1, 2], (2, &[0]), NEVER),
    setting("the leaf by DANE-EE", &[0, 1, 2], (3, &[0]), [Some(0); 3]),
    setting("the leaf by DANE-EE, alone", &[0], (3, &[0]), [Some(0); 3]),
    setting("the issuer by DANE-EE", &[0, 1, 2], (3, &[1]), NEVER),
    setting("the root by DANE-EE", &[0, 1, 2], (3, &[2]), NEVER),
    setting("the root by usage 0", &[0, 1, 2], (0, &[2]), NEVER),
    setting("the leaf by usage 1", &[0, 1, 2], (1, &[0]), NEVER),
];

/// The leaf's common name and DNS-IDs, and whether one of them is a reference identifier.
const NAMES: &[(&str, &[&[u8]], bool)] = &[
    ("A server", &[b"mx.example.com"], true),
    ("A server", &[b"example.org"], true),
    ("A server", &[b"*.example.com"], true),
    ("A server", &[b"other.example"], false),
    ("mx.example.com", &[], true),
    ("mx.example.com", &[b"other.example"], false),
    ("A server", &[], false),
];

/// Every combination: a sentence, the case, and the depth at which it matches.
pub(crate) fn cases() -> Vec<(String, Case, Option<usize>)> {
    let mut cases = Vec::new();
    for key_ids in [&[][..], &[Flaw::NoKeyIds]] {
        for setting in SETTINGS {
            for kind in [[0, 0], [1, 0], [0, 1], [0, 2], [1, 1], [1, 2]] {
                for (common_name, dns_ids, fits) in NAMES {
                    let mut case = chain(common_name, dns_ids, key_ids);
                    case.presented = setting.presented.to_vec();
                    case.records = setting.records(kind);
                    let depth = match kind {
                        [0, 0] => setting.depths[0],
                        [_, 0] => setting.depths[1],
                        _ => setting.depths[2],
                    };
                    let sentence = setting.sentence;
                    cases.push((
                        format!("{sentence}, {kind:?}, {common_name}, {key_ids:?}"),
                        case,
                        depth.filter(|_| *fits || setting.usage == 3),
                    ));
                }
            }
        }
    }
    cases
}

impl Setting {
    fn records(&self, [selector, matching]: [u8; 2]) -> Vec<Record> {
        let record = |of: &usize| Record {
            usage: self.usage,
            selector,
            matching,
            of: Some(*of),
            damage: None,
        };
        self.of.iter().map(record).collect()
    }
}

/// For the TLSA base domain and the next-hop domain.
fn chain(common_name: &'static str, dns_ids: &[&'static [u8]], flaws: &[Flaw]) -> Case {
    let plan = |subject, issuer, [key, signer]: [usize; 2], role| Plan {
        subject,
        issuer,
        key,
        signer,
        role,
        flaws: flaws.to_vec(),
    };
    let server = Role::Server(dns_ids.to_vec());
    Case {
        plans: vec![
            plan(common_name, "Issuing CA", [0, 1], server),
            plan("Issuing CA", "Root CA", [1, 2], Role::Authority),
            plan("Root CA", "Root CA", [2, 2], Role::Authority),
            plan("Another", "Another", [IMPOSTOR; 2], Role::Authority),
        ],
        presented: Vec::new(),
        records: Vec::new(),
        ids: vec!["mx.example.com", "example.org"],
        keys_in_names: false,
    }
}
