//! The whole policy held against a second reading of it.
//!
//! [`Case`] names one situation of the decision table in symbols, [`every_case`] generates all of them, [`world`]
//! turns a case into real facts, certificates and handshakes, and [`table`] says what the design wants to become of
//! it, without a look at the production code. [`amended`] does the same for exceptions and modes. [`invariants`] holds what must be true beyond the enumerated cases.

mod amended;
mod invariants;
mod table;
mod world;

use std::collections::BTreeMap;
use std::fmt;

use self::table::Seen;
use crate::policy::{Combine, InsecureMx, Settings};

/// The MX step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mx {
    Secure,
    Insecure,
    /// No MX records, proven (`0s`) or claimed (`0i`): the domain is its own host.
    ImplicitSecure,
    ImplicitInsecure,
    NullSecure,
    NullInsecure,
    NxDomain,
    Bogus,
    Unreachable,
}

/// To whom the destination address belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Map {
    /// M1: to the first host alone. The other host's TLSA lookup fails, which must not matter.
    First,
    /// M2: to both hosts.
    Both,
    /// M0: to none.
    Nobody,
    /// ME: to the first host, and the other host's address lookup fails.
    FirstErrorElsewhere,
    /// ME: to none that is known, and the first host's address lookup fails.
    ErrorBogus,
    ErrorUnreachable,
}

/// The TLSA RRset of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Records {
    /// N: denied, insecure or skipped.
    None,
    /// U: `1 1 1` only.
    Unusable,
    /// D: `3 1 1` of the key that the server has.
    EeMatch,
    /// D: `3 1 1` of another key.
    EeMismatch,
    /// D: `2 0 1` of the CA that the server's certificate comes from, unless that is [`Cert::Untrusted`].
    Ta,
    /// X.
    Bogus,
    Unreachable,
}

/// The MTA-STS state of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sts {
    None,
    ModeNone,
    FetchFailed,
    Testing,
    TestingUnlisted,
    Enforce,
    /// `Ec`: cached, the refresh fails.
    EnforceStale,
    EnforceUnlisted,
    /// Of two MX hosts the policy lists the first.
    EnforceFirstOnly,
    /// Bogus TXT and nothing cached.
    Unknown,
}

/// What the server does when asked for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    /// t1
    NotOffered,
    /// t2
    Refused454,
    /// t3
    Broken,
    /// t3 earlier: the connection is in clear because a handshake failed before.
    ClearAfterBroken,
    /// t4 or ok
    Works(Cert),
}

/// The certificate that a finished handshake has shown; all of them hold the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cert {
    NamesFirst,
    NamesSecond,
    /// Names the recipient's domain and no host.
    NamesDomain,
    /// Names them all, and is past its end.
    Expired,
    /// Names them all, from a CA that nobody trusts.
    Untrusted,
}

/// The SNI of the handshake that the evidence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sni {
    /// The first host's name.
    Right,
    /// Another, for which the server has a stranger's certificate.
    OtherStranger,
    /// Another, at which the server breaks the handshake off.
    OtherAborts,
}

/// One situation of the decision table.
#[derive(Clone, Copy, Debug)]
struct Case {
    mx: Mx,
    map: Map,
    first: Records,
    second: Records,
    sts: Sts,
    tls: Tls,
    sni: Sni,
    settings: Settings,
}

/// What lies before TLS: MX, map and TLSA records.
#[derive(Clone, Copy, Debug)]
struct Situation {
    mx: Mx,
    map: Map,
    first: Records,
    second: Records,
}

const RECORDS: [Records; 7] = [
    Records::None,
    Records::Unusable,
    Records::EeMatch,
    Records::EeMismatch,
    Records::Ta,
    Records::Bogus,
    Records::Unreachable,
];

const STS: [Sts; 10] = [
    Sts::None,
    Sts::ModeNone,
    Sts::FetchFailed,
    Sts::Testing,
    Sts::TestingUnlisted,
    Sts::Enforce,
    Sts::EnforceStale,
    Sts::EnforceUnlisted,
    Sts::EnforceFirstOnly,
    Sts::Unknown,
];

const TLS: [Tls; 9] = [
    Tls::NotOffered,
    Tls::Refused454,
    Tls::Broken,
    Tls::ClearAfterBroken,
    Tls::Works(Cert::NamesFirst),
    Tls::Works(Cert::NamesSecond),
    Tls::Works(Cert::NamesDomain),
    Tls::Works(Cert::Expired),
    Tls::Works(Cert::Untrusted),
];

const SNI: [Sni; 3] = [Sni::Right, Sni::OtherStranger, Sni::OtherAborts];

const INSECURE_MX: [InsecureMx; 3] = [InsecureMx::Dane, InsecureMx::Encrypt, InsecureMx::Ignore];

const COMBINE: [Combine; 2] = [Combine::DaneFirst, Combine::Both];

/// Every combination that can be told apart before TLS: a domain with one host has nobody to share an address with,
/// a domain without hosts has no addresses and no TLSA records.
fn situations() -> Vec<Situation> {
    let mut all = Vec::new();
    for mx in [Mx::Secure, Mx::Insecure] {
        for first in RECORDS {
            for map in [
                Map::First,
                Map::FirstErrorElsewhere,
                Map::ErrorBogus,
                Map::ErrorUnreachable,
            ] {
                all.push(Situation::new(mx, map, first, Records::None));
            }
            for map in [Map::Both, Map::Nobody] {
                all.extend(RECORDS.map(|second| Situation::new(mx, map, first, second)));
            }
        }
    }
    for mx in [Mx::ImplicitSecure, Mx::ImplicitInsecure] {
        for map in [
            Map::First,
            Map::Nobody,
            Map::ErrorBogus,
            Map::ErrorUnreachable,
        ] {
            all.extend(RECORDS.map(|first| Situation::new(mx, map, first, Records::None)));
        }
    }
    for mx in [
        Mx::NullSecure,
        Mx::NullInsecure,
        Mx::NxDomain,
        Mx::Bogus,
        Mx::Unreachable,
    ] {
        all.push(Situation::new(
            mx,
            Map::Nobody,
            Records::None,
            Records::None,
        ));
    }
    all
}

impl Situation {
    const fn new(mx: Mx, map: Map, first: Records, second: Records) -> Self {
        Self {
            mx,
            map,
            first,
            second,
        }
    }
}

/// Every case, those together that differ only in what happens after the facts are known.
fn every_case() -> impl Iterator<Item = Vec<Case>> {
    situations().into_iter().flat_map(|situation| {
        STS.into_iter().flat_map(move |sts| {
            settings().map(move |settings| {
                TLS.into_iter()
                    .flat_map(|tls| {
                        SNI.map(|sni| Case {
                            mx: situation.mx,
                            map: situation.map,
                            first: situation.first,
                            second: situation.second,
                            sts,
                            tls,
                            sni,
                            settings,
                        })
                    })
                    .collect()
            })
        })
    })
}

fn settings() -> impl Iterator<Item = Settings> {
    INSECURE_MX.into_iter().flat_map(|insecure_mx| {
        COMBINE.map(|combine| Settings {
            insecure_mx,
            combine,
            ..Settings::default()
        })
    })
}

#[test]
fn a3_a4_a5_a6_a8_a9_m0_m2_row_me_dane_21_dane_39_sts_74_every_case_of_the_decision_table_ends_as_the_design_says()
 {
    let world = world::World::new();
    let mut cases = 0;
    let mut wrong = Differences::default();
    // The verdict sees the demand and the evidence, so what demands the same is put to it once.
    let mut judged: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for alike in every_case() {
        let demand = world.demand(&alike[0]);
        let seen = judged
            .entry(format!("{} {demand:?}", alike[0].first_host()))
            .or_insert_with(|| alike.iter().map(|case| world.run(case, &demand)).collect());
        for (case, seen) in alike.iter().zip(seen) {
            cases += 1;
            if let Err(expected) = table::expected(case).check(seen) {
                wrong.note(case, format!("seen {seen:?}\n  want {expected}"));
            }
        }
    }
    assert_eq!(cases, CASES);
    assert!(judged.len() > 100, "{} demands", judged.len());
    assert!(wrong.0.is_empty(), "{wrong}");
}

/// What a policy in testing would have refused for is what an enforced one refuses for, and mail passes. Where the
/// connection has asked for another name than the host's, enforcement dials again and testing does not: a policy that
/// is tried out delays nobody's mail.
#[test]
fn sts_62_l0_testing_is_evaluated_and_recorded_as_enforce_is() {
    let world = world::World::new();
    let mut refused = 0;
    for (testing, enforce) in [
        (Sts::Testing, Sts::Enforce),
        (Sts::TestingUnlisted, Sts::EnforceUnlisted),
    ] {
        for (mx, tls) in [Mx::Secure, Mx::Insecure, Mx::ImplicitSecure]
            .into_iter()
            .flat_map(|mx| TLS.map(|tls| (mx, tls)))
        {
            let seen = |sts| {
                let case = Case {
                    mx,
                    map: Map::First,
                    first: Records::None,
                    second: Records::None,
                    sts,
                    tls,
                    sni: Sni::Right,
                    settings: Settings::default(),
                };
                world.run(&case, &world.demand(&case))
            };
            let Seen::Pin {
                level, observed, ..
            } = seen(testing)
            else {
                panic!("{mx:?} {tls:?}: testing refuses");
            };
            assert_eq!(level, "L0", "{mx:?} {tls:?}");
            match seen(enforce) {
                Seen::Pin { .. } => assert_eq!(observed, None, "{mx:?} {tls:?}"),
                Seen::Refuse { label, .. } => {
                    assert_eq!(observed, Some(label), "{mx:?} {tls:?}");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!(refused, 3 * 9 + 3 * 8);
}

/// Each kind of difference, how often, and the first case that shows it.
#[derive(Default)]
struct Differences(BTreeMap<String, (usize, String)>);

impl Differences {
    fn note(&mut self, case: &Case, kind: String) {
        let first = || (0, format!("{case:?}"));
        self.0.entry(kind).or_insert_with(first).0 += 1;
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (count, first)) in &self.0 {
            writeln!(f, "{count} ×\n  {kind}\n  as in {first}")?;
        }
        Ok(())
    }
}

/// Two kinds of MX RRset × 7 RRsets × (4 maps + 2 maps × 7 RRsets of the other host), two implicit × 4 maps × 7,
/// five without hosts; each × 10 MTA-STS states × 9 TLS outcomes × 3 SNIs × 3 × 2 settings.
const CASES: usize = (2 * 7 * (4 + 2 * 7) + 2 * 4 * 7 + 5) * 10 * 9 * 3 * 3 * 2;
