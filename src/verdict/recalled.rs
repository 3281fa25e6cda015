//! What is recalled makes no difference: with the proofs of earlier verdicts a verdict is what it is without them,
//! whatever has become of demand, certificates, trust and time.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use rcgen::{BasicConstraints, CertificateParams, GeneralSubtree, IsCa, NameConstraints};
use ring::digest;
use rustls_pki_types::CertificateDer;

use super::bench::dane_ta;
use super::*;
use crate::dane::tlsa::usable;
use crate::policy::exceptions::Pin as KeyPin;
use crate::policy::{DaneDemand, Local, Requirement, StsDemand};
use crate::tls::Handshake;
use crate::x509::proof::Claim;
use crate::x509::sample::{Sample, between, ca, server, server_by_cn};

const MX: &str = "mx.example.com";

/// Two roots, an intermediate that both have signed, each for a time of its own, one of them under constraints, and
/// leaves that end in the middle, have their name in the wrong place, or belong to nobody.
struct World {
    anchors: Vec<Sample>,
    issuers: Vec<Sample>,
    leaves: Vec<Sample>,
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);

impl World {
    fn new() -> Self {
        let roots = [
            Sample::self_signed(between(ca("Root 1"), 2020, 2032)),
            Sample::self_signed(between(ca("Root 2"), 2020, 2029)),
        ];
        let constrained = |mut params: CertificateParams| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("example.com".to_owned())],
                excluded_subtrees: vec![],
            });
            params
        };
        let first = roots[0].issue(between(constrained(ca("Issuer")), 2021, 2025));
        let second = roots[1].issue_to(between(ca("Issuer"), 2023, 2027), first.key_again());
        let short = {
            let mut params = between(ca("Issuer"), 2022, 2028);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            roots[0].issue_to(params, first.key_again())
        };
        let leaves = vec![
            first.issue(between(server(&[MX]), 2021, 2026)),
            first.issue(between(server(&[MX]), 2024, 2031)),
            first.issue(between(server_by_cn(MX), 2021, 2031)),
            first.issue(between(server(&["other.example"]), 2021, 2031)),
            Sample::self_signed(between(server(&[MX]), 2021, 2026)),
        ];
        Self {
            anchors: roots.into(),
            issuers: vec![first, second, short],
            leaves,
        }
    }

    /// Whatever may be in a chain above the leaf.
    fn above(&self) -> Vec<&Sample> {
        self.issuers.iter().chain(&self.anchors).collect()
    }
}

/// One session: everything that a verdict depends on.
#[derive(Clone, Debug)]
struct Session {
    leaf: usize,
    above: Vec<usize>,
    records: Vec<(u8, u8, u8, usize)>,
    has_domain_name: bool,
    sts: Policy,
    local: Exception,
    roots: Vec<usize>,
    at: Timestamp,
}

/// What an exception requires beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exception {
    None,
    Webpki,
    /// The key of this leaf.
    Pin(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    None,
    Enforced,
    Observed,
}

impl Session {
    fn demand(&self) -> Demand {
        let above = WORLD.above();
        let of = |index: usize| {
            above
                .get(index)
                .copied()
                .unwrap_or(&WORLD.leaves[self.leaf])
        };
        let rrset: Vec<Vec<u8>> = self
            .records
            .iter()
            .map(|(usage, selector, matching, index)| {
                let sample = of(*index);
                let selected = if *selector == 0 {
                    &sample.der[..]
                } else {
                    sample.spki()
                };
                let data = match matching {
                    0 => selected.to_vec(),
                    _ => digest::digest(&digest::SHA256, selected).as_ref().to_vec(),
                };
                [&[*usage, *selector, *matching][..], &data].concat()
            })
            .collect();
        let records = usable(&rrset);
        let names = if self.has_domain_name {
            vec![MX, "other.example"]
        } else {
            vec![MX]
        };
        let dane = (!records.is_empty()).then(|| DaneDemand {
            base: MX.parse().unwrap(),
            records,
            reference_ids: names.iter().map(|name| name.parse().unwrap()).collect(),
            half: false,
        });
        let sts = |wanted| {
            (self.sts == wanted).then(|| StsDemand {
                listed: true,
                patterns: vec![MX.to_owned()],
            })
        };
        Demand {
            located: Located::ByAddress,
            candidates: vec![Candidate {
                host: MX.parse().unwrap(),
                requirement: Requirement {
                    dane,
                    sts: sts(Policy::Enforced),
                    local: self.local(),
                    ..Requirement::default()
                },
                observed: sts(Policy::Observed),
            }],
        }
    }

    fn local(&self) -> Option<Local> {
        match self.local {
            Exception::None => None,
            Exception::Webpki => Some(Local::Webpki),
            Exception::Pin(leaf) => {
                let key = digest::digest(&digest::SHA256, WORLD.leaves[leaf].spki());
                Some(Local::Pin(vec![KeyPin(key.as_ref().try_into().unwrap())]))
            }
        }
    }

    fn handshake(&self) -> Handshake {
        let above = WORLD.above();
        let chain: Vec<CertificateDer<'static>> = std::iter::once(&WORLD.leaves[self.leaf])
            .chain(self.above.iter().map(|index| above[*index]))
            .map(|sample| sample.der.clone())
            .collect();
        Handshake::asserted(Some(MX.parse().unwrap()), chain)
    }

    fn roots(&self) -> Roots {
        let anchors = self.roots.iter().map(|index| {
            let der = &WORLD.anchors[*index].der;
            webpki::anchor_from_trusted_cert(der).unwrap().to_owned()
        });
        Roots::new(anchors.collect())
    }

    /// The verdict, and what it has proven.
    fn judged(&self, recalled: Vec<Proof>) -> (String, Vec<Proof>) {
        let evidence = Evidence::Protected(self.handshake().recalling(recalled));
        let tried = [Some(MX.parse().unwrap())];
        match judge(&self.demand(), &evidence, &tried, &self.roots(), self.at) {
            Verdict::Pin(mut pin) => {
                let proofs = std::mem::take(&mut pin.grounds.proofs);
                (format!("{pin:?}"), proofs)
            }
            other @ (Verdict::Redial(_) | Verdict::Refuse(_)) => (format!("{other:?}"), Vec::new()),
        }
    }
}

/// The second before, at and after each date in the world, and the middle of each year.
fn time() -> impl Strategy<Value = Timestamp> {
    let days = |year: u64| (year - 1970) * 365 + (year - 1969) / 4;
    (2019..2034_u64, 0..4_u64).prop_map(move |(year, place)| {
        let begin = days(year) * 86_400;
        Timestamp::from_unix(match place {
            0 => begin - 1,
            1 => begin,
            2 => begin + 1,
            _ => begin + 180 * 86_400,
        })
    })
}

fn records() -> impl Strategy<Value = Vec<(u8, u8, u8, usize)>> {
    vec(
        (select(vec![2_u8, 2, 2, 3]), 0..2_u8, 0..2_u8, 0..6_usize),
        0..3,
    )
}

fn above() -> impl Strategy<Value = Vec<usize>> {
    subsequence(vec![0, 1, 2, 3, 4], 0..=5).prop_shuffle()
}

fn policy() -> impl Strategy<Value = Policy> {
    select(vec![Policy::None, Policy::Enforced, Policy::Observed])
}

fn exception() -> impl Strategy<Value = Exception> {
    prop_oneof![
        2 => Just(Exception::None),
        1 => Just(Exception::Webpki),
        1 => (0..5_usize).prop_map(Exception::Pin),
    ]
}

fn session() -> impl Strategy<Value = Session> {
    let roots = subsequence(vec![0, 1], 0..=2);
    let rest = (any::<bool>(), policy(), exception(), roots, time());
    (0..5_usize, above(), records(), rest).prop_map(
        |(leaf, above, records, (has_domain_name, sts, local, roots, at))| Session {
            leaf,
            above,
            records,
            has_domain_name,
            sts,
            local,
            roots,
            at,
        },
    )
}

/// Takes one thing from another session, or only its time.
fn changed(session: &Session, other: &Session, what: u8) -> Session {
    let mut next = session.clone();
    match what {
        0 => next.leaf = other.leaf,
        1 => next.above.clone_from(&other.above),
        2 => next.records.clone_from(&other.records),
        3 => next.has_domain_name = other.has_domain_name,
        4 => next.sts = other.sts,
        5 => next.roots.clone_from(&other.roots),
        6 => next.local = other.local,
        _ => next.at = other.at,
    }
    next
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn tls_12_with_a_pin_the_verdict_is_what_it_is_without_whatever_has_changed(
        first in session(),
        others in vec((session(), 0..11_u8), 1..8),
    ) {
        let mut session = first;
        let (mut recalled, mut last) = (Vec::new(), None);
        for (other, what) in &others {
            let (plain, fresh) = session.judged(Vec::new());
            let (told, _) = session.judged(recalled.clone());
            prop_assert_eq!(&told, &plain, "{:?} after {:?}", session, last);
            recalled.extend(fresh);
            last = Some(session.clone());
            session = changed(&session, other, *what);
        }
    }
}

/// The property would hold if nothing were ever recalled.
#[test]
fn a_proof_is_recalled_where_nothing_has_changed_and_not_where_something_has() {
    let path = |records: Vec<(u8, u8, u8, usize)>, sts| Session {
        leaf: 1,
        above: vec![1, 4],
        records,
        has_domain_name: false,
        sts,
        local: Exception::None,
        roots: vec![1],
        at: Timestamp::from_unix(1_767_225_600),
    };
    let by = |local, sts| Session {
        local,
        ..path(vec![], sts)
    };
    for (row, session, count) in [
        ("MTA-STS", path(vec![], Policy::Enforced), 1),
        ("MTA-STS, observed", path(vec![], Policy::Observed), 1),
        ("DANE-TA", path(vec![(2, 0, 1, 4)], Policy::None), 1),
        ("both", path(vec![(2, 1, 1, 1)], Policy::Enforced), 2),
        ("DANE-EE", path(vec![(3, 1, 1, 9)], Policy::None), 0),
        ("an exception", by(Exception::Webpki, Policy::None), 1),
        ("and a policy", by(Exception::Webpki, Policy::Enforced), 1),
        ("both observed", by(Exception::Webpki, Policy::Observed), 1),
        ("a pinned key", by(Exception::Pin(1), Policy::None), 0),
    ] {
        let (_, proofs) = session.judged(Vec::new());
        assert_eq!(proofs.len(), count, "{row}");
        let (_, again) = session.judged(proofs.clone());
        assert_eq!(again, proofs, "{row}");
        if count == 0 {
            continue;
        }
        let stranger = Session {
            above: vec![],
            ..session.clone()
        };
        let (told, _) = stranger.judged(proofs);
        assert_eq!(told, stranger.judged(Vec::new()).0, "{row}");
    }
}

/// No search bears these out, so it is the proof alone that decides.
#[test]
fn where_a_proof_holds_no_path_is_looked_for() {
    let at = Timestamp::from_unix(1_767_225_600);
    let own = Session {
        leaf: 4,
        above: vec![],
        records: vec![(2, 0, 1, 4)],
        has_domain_name: false,
        sts: Policy::None,
        local: Exception::None,
        roots: vec![1],
        at,
    };
    let trusted = Session {
        records: vec![],
        sts: Policy::Enforced,
        ..own.clone()
    };
    let excepted = Session {
        records: vec![],
        local: Exception::Webpki,
        ..own.clone()
    };
    let (handshake, roots) = (own.handshake(), own.roots());
    let pkix = [
        &handshake.chain_sha256()[..],
        roots.identity(),
        MX.as_bytes(),
    ];
    let dane = own.demand().candidates.remove(0).requirement.dane.unwrap();
    for (row, session, claim) in [
        (
            "DANE-TA",
            &own,
            dane_ta(dane.records.iter(), &dane.reference_ids, &handshake),
        ),
        ("MTA-STS", &trusted, Claim::of("pkix", pkix)),
        ("an exception", &excepted, Claim::of("pkix", pkix)),
    ] {
        assert!(session.judged(vec![]).0.starts_with("Refuse"), "{row}");
        let forged = Proof::of(claim, [], at).unwrap();
        let (told, proofs) = session.judged(vec![forged]);
        assert!(told.starts_with("Pin"), "{row}: {told}");
        assert_eq!(proofs, [forged], "{row}");
    }
}
