//! Cases at random, the same ones for the same seed.
//!
//! A case begins as a sound chain of one to four certificates. Flaws come in at any depth, certificates are dropped,
//! shuffled, doubled, and joined by others of the same name; records of all usages, selectors and matching types are
//! published for any of them, whole or damaged. About every third case is one that authenticates.

use crate::case::{Case, Damage, Flaw, IMPOSTOR, P384, Plan, RSA, Record, Role};

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a small number");
        usize::try_from(self.next() % end).expect("a small number")
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn one_of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len())]
    }
}

pub(crate) fn case(random: &mut Random) -> Case {
    let plans = chain(random);
    let authorities = plans.len() - 1;
    let mut case = Case {
        presented: (0..plans.len()).collect(),
        plans,
        records: Vec::new(),
        ids: ids(random),
        keys_in_names: false,
    };
    case.add_flaws(random);
    if random.percent(25) {
        case.add_decoy(random, authorities);
    }
    case.disarrange(random);
    for _ in 0..random.one_of(&[1, 1, 1, 2, 2, 3, 4]) {
        let record = case.record(random, authorities);
        case.records.push(record);
    }
    case
}

/// The leaf and its issuers up to a root; without any, a leaf that has issued itself.
fn chain(random: &mut Random) -> Vec<Plan> {
    let authorities = random.one_of(&[0, 1, 1, 2, 2, 2, 3]);
    // One key of another kind at most: no two issuers have the same key.
    let mut keys: Vec<usize> = (0..=authorities).collect();
    if random.percent(40) {
        keys[random.below(authorities + 1)] = random.one_of(&[P384, P384 + 1, RSA]);
    }
    let name = |index: usize| NAMES[index];
    let leaf_name = random.one_of(&["mx.example.com", "mx.example.com", "A server"]);
    (0..=authorities)
        .map(|index| {
            let above = (index + 1).min(authorities);
            let subject = if index == 0 { leaf_name } else { name(index) };
            Plan {
                subject,
                issuer: if above == 0 { subject } else { name(above) },
                key: keys[index],
                signer: keys[above],
                role: if index == 0 {
                    Role::Server(dns_ids(random))
                } else {
                    Role::Authority
                },
                flaws: Vec::new(),
            }
        })
        .collect()
}

fn dns_ids(random: &mut Random) -> Vec<&'static [u8]> {
    match random.below(10) {
        0..=4 => vec![b"mx.example.com"],
        5 => Vec::new(),
        _ => (0..=random.below(2))
            .map(|_| random.one_of(DNS_IDS))
            .collect(),
    }
}

fn ids(random: &mut Random) -> Vec<&'static str> {
    let all = ["mx.example.com", "example.org", "next.example"];
    match random.below(10) {
        0..=6 => all[..1].to_vec(),
        7 => all[..2].to_vec(),
        8 => all.to_vec(),
        _ => vec!["other.example.net"],
    }
}

impl Case {
    fn add_flaws(&mut self, random: &mut Random) {
        for _ in 0..random.one_of(&[0, 0, 0, 0, 1, 1, 1, 1, 2, 3]) {
            let index = random.below(self.plans.len());
            let plan = &mut self.plans[index];
            let flaw = match plan.role {
                Role::Server(_) => random.one_of(LEAF_FLAWS),
                Role::Authority => random.one_of(AUTHORITY_FLAWS),
            };
            if !plan.flaws.iter().any(|present| excludes(*present, flaw)) {
                plan.flaws.push(flaw);
            }
        }
    }

    /// Another certificate with the name of one of the issuers, or with that of none.
    fn add_decoy(&mut self, random: &mut Random, authorities: usize) {
        if authorities == 0 {
            return;
        }
        let of = self.plans[1 + random.below(authorities)].clone();
        let decoy = match random.below(6) {
            // Renewed: the same key, other dates.
            0 => Plan {
                flaws: vec![random.one_of(&[Flaw::Expired, Flaw::NoKeyIds, Flaw::NoKeyUsage])],
                ..of
            },
            // Cross-signed: the same key, another issuer, dates that may be past.
            1 => Plan {
                issuer: "Another root",
                signer: IMPOSTOR,
                flaws: random.one_of(&[&[][..], &[Flaw::Expired]]).to_vec(),
                ..of
            },
            // Impostors: another key.
            2 => Plan {
                issuer: of.subject,
                key: IMPOSTOR,
                signer: IMPOSTOR,
                flaws: random.one_of(&[&[][..], &[Flaw::NoKeyIds]]).to_vec(),
                ..of
            },
            3 => Plan {
                key: IMPOSTOR,
                flaws: random.one_of(&[&[][..], &[Flaw::NoKeyIds]]).to_vec(),
                ..of
            },
            // The same certificate of a better or worse kind.
            4 => Plan {
                flaws: vec![random.one_of(AUTHORITY_FLAWS)],
                ..of
            },
            _ => Plan {
                subject: "Another root",
                issuer: "Another root",
                key: IMPOSTOR,
                signer: IMPOSTOR,
                flaws: Vec::new(),
                ..of
            },
        };
        self.plans.push(decoy);
        let at = 1 + random.below(self.presented.len());
        self.presented.insert(at, self.plans.len() - 1);
    }

    fn disarrange(&mut self, random: &mut Random) {
        if self.presented.len() > 1 && random.percent(30) {
            self.presented.pop();
        }
        if self.presented.len() > 1 && random.percent(12) {
            let at = 1 + random.below(self.presented.len() - 1);
            self.presented.remove(at);
        }
        if random.percent(10) {
            let twice = random.one_of(&self.presented);
            let at = 1 + random.below(self.presented.len());
            self.presented.insert(at, twice);
        }
        if random.percent(20) {
            for last in (2..self.presented.len()).rev() {
                self.presented.swap(1 + random.below(last), last);
            }
        }
    }

    fn record(&self, random: &mut Random, authorities: usize) -> Record {
        let usage = match random.below(100) {
            0..=64 => 2,
            65..=89 => 3,
            _ => random.one_of(&[0, 1, 0, 1, 4, 255]),
        };
        let mostly_leaf = if usage == 3 { 70 } else { 12 };
        let of = match random.below(100) {
            0..=7 => None,
            _ if random.percent(mostly_leaf) => Some(0),
            _ if random.percent(70) && authorities > 0 => Some(1 + random.below(authorities)),
            _ => Some(random.below(self.plans.len())),
        };
        Record {
            usage,
            selector: if random.percent(2) {
                random.one_of(&[2, 255])
            } else {
                random.one_of(&[0, 1])
            },
            matching: if random.percent(2) {
                random.one_of(&[3, 255])
            } else {
                random.one_of(&[0, 0, 1, 1, 2])
            },
            of,
            damage: random.percent(7).then(|| {
                random.one_of(&[
                    Damage::Emptied,
                    Damage::CutShort,
                    Damage::Extended,
                    Damage::BitFlipped,
                ])
            }),
        }
    }
}

/// Whether two flaws would have the same thing be in two ways.
fn excludes(present: Flaw, other: Flaw) -> bool {
    let subject = |flaw| match flaw {
        Flaw::Expired | Flaw::NotYetValid | Flaw::DatesReversed => 1,
        Flaw::SignedByAnother | Flaw::SignatureDamaged => 2,
        Flaw::NotACa | Flaw::NoBasicConstraints | Flaw::PathLength(_) => 3,
        Flaw::NoCertSign | Flaw::NoKeyUsage => 4,
        Flaw::ForClients | Flaw::ForAnything | Flaw::ForServers | Flaw::ForNothing => 5,
        Flaw::PermitsOnly(_) | Flaw::Excludes(_) => 6,
        Flaw::UnknownCritical | Flaw::UnknownExtension => 7,
        Flaw::NoKeyIds | Flaw::WrongAuthorityKeyId => 8,
        Flaw::SanTwice | Flaw::AddressOnly => 9,
        _ => 0,
    };
    present == other || (subject(present) != 0 && subject(present) == subject(other))
}

/// Issuers, the leaf's first.
const NAMES: [&str; 4] = ["", "Issuing CA", "Middle CA", "Root CA"];

const DNS_IDS: &[&[u8]] = &[
    b"mx.example.com",
    b"MX.Example.COM",
    b"*.example.com",
    b"*.EXAMPLE.com",
    b"example.org",
    b"next.example",
    b"other.example",
    b"mx*.example.com",
    b"*x.example.com",
    b"*.com",
    b"*.*.com",
    b"*",
    b"mx.*.com",
    b"a.mx.example.com",
    b"mx.example.com.",
    b".example.com",
    b"mx.example.com\0",
    b"mx.example.com\0.example",
    b"\xff\xfe",
    b"",
];

const LEAF_FLAWS: &[Flaw] = &[
    Flaw::Expired,
    Flaw::NotYetValid,
    Flaw::DatesReversed,
    Flaw::NoSeconds,
    Flaw::SignedByAnother,
    Flaw::SignatureDamaged,
    Flaw::NoKeyUsage,
    Flaw::LeafIsCa,
    Flaw::ForClients,
    Flaw::ForAnything,
    Flaw::ForServers,
    Flaw::ForNothing,
    Flaw::UnknownCritical,
    Flaw::UnknownExtension,
    Flaw::CriticalPolicies,
    Flaw::Version1,
    Flaw::IssuerInOtherType,
    Flaw::AlgorithmsDiffer,
    Flaw::NoKeyIds,
    Flaw::WrongAuthorityKeyId,
    Flaw::SanTwice,
    Flaw::AddressOnly,
    Flaw::NegativeSerial,
    Flaw::LongLength,
];

const AUTHORITY_FLAWS: &[Flaw] = &[
    Flaw::Expired,
    Flaw::NotYetValid,
    Flaw::DatesReversed,
    Flaw::NoSeconds,
    Flaw::SignedByAnother,
    Flaw::SignatureDamaged,
    Flaw::NotACa,
    Flaw::NoBasicConstraints,
    Flaw::PathLength(0),
    Flaw::PathLength(0),
    Flaw::PathLength(1),
    Flaw::NoCertSign,
    Flaw::NoKeyUsage,
    Flaw::ForClients,
    Flaw::ForAnything,
    Flaw::ForServers,
    Flaw::PermitsOnly("example.com"),
    Flaw::PermitsOnly("example.org"),
    Flaw::Excludes("example.com"),
    Flaw::Excludes("example.org"),
    Flaw::UnknownCritical,
    Flaw::UnknownExtension,
    Flaw::CriticalPolicies,
    Flaw::Version1,
    Flaw::IssuerInOtherType,
    Flaw::AlgorithmsDiffer,
    Flaw::NoKeyIds,
    Flaw::WrongAuthorityKeyId,
    Flaw::NegativeSerial,
    Flaw::LongLength,
];
