//! The kinds of cases that OpenSSL's DANE vectors hold, on chains made anew: usage × selector × matching type × chain ×
//! name. What each is to come to follows from the RFCs, with the codes of the vectors.

use super::Case;
use crate::chains::{Cert, Family, ca, server};

/// The TLSA base domain of all of them.
pub(crate) const BASE: &str = "mx.example.com";

const OK: u32 = 0;
const NO_MATCH: u32 = 65;
const WRONG_NAME: u32 = 62;

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for part in [
        the_leaf_alone,
        digests_of_something_else,
        the_whole_chain,
        the_wrong_beside_the_right,
        anchors_not_presented,
        names,
        a_root_of_two_names,
        usages_of_pkix,
    ] {
        cases.extend(part());
    }
    cases
}

/// A certificate without any name, which only DANE-EE takes.
fn the_leaf_alone() -> Vec<Case> {
    let bare = Cert::self_signed(server(&[]));
    let kinds = [
        [3, 0, 0],
        [3, 1, 0],
        [3, 0, 1],
        [3, 1, 1],
        [3, 0, 2],
        [3, 1, 2],
    ];
    let case = |kind| case("a bare leaf", &[bare.rdata(kind)], &[&bare], OK, Some(0));
    kinds.map(case).into()
}

fn digests_of_something_else() -> Vec<Case> {
    let bare = Cert::self_signed(server(&[]));
    let other = Cert::self_signed(server(&[]));
    [[3, 0, 1], [3, 1, 1], [3, 0, 2], [3, 1, 2]]
        .map(|kind| {
            case(
                "another leaf",
                &[other.rdata(kind)],
                &[&bare],
                NO_MATCH,
                None,
            )
        })
        .into()
}

/// Digests of each certificate of a chain: the leaf by usage 3, its issuers by usage 2.
fn the_whole_chain() -> Vec<Case> {
    let family = Family::of(&[BASE]);
    let mut cases = Vec::new();
    for (depth, certificate) in family.chain().into_iter().enumerate() {
        let usage = if depth == 0 { 3 } else { 2 };
        for (selector, matching) in [(0, 1), (1, 1), (0, 2), (1, 2)] {
            let records = [certificate.rdata([usage, selector, matching])];
            let name = "a whole chain";
            cases.push(case(name, &records, &family.chain(), OK, Some(depth)));
        }
    }
    cases
}

/// Two records, of which the second is not counted by the header of the vectors.
fn the_wrong_beside_the_right() -> Vec<Case> {
    let family = Family::of(&[BASE]);
    let other = Cert::self_signed(ca("Other"));
    let [leaf, issuer, root] = family.chain();
    [
        (leaf.rdata([3, 1, 2]), other.rdata([3, 1, 2]), 0),
        (issuer.rdata([2, 1, 2]), other.rdata([2, 0, 1]), 1),
        (root.rdata([2, 0, 1]), other.rdata([3, 1, 1]), 2),
        (root.rdata([2, 0, 1]), other.rdata([2, 0, 1]), 2),
    ]
    .map(|(right, wrong, depth)| Case {
        surplus: vec![wrong],
        ..case("one of two", &[right], &family.chain(), OK, Some(depth))
    })
    .into()
}

/// A certificate or a key of which only the DNS knows.
fn anchors_not_presented() -> Vec<Case> {
    let family = Family::of(&[BASE]);
    let [leaf, issuer, root] = family.chain();
    [
        (root.rdata([2, 0, 0]), vec![leaf, issuer], 2),
        (issuer.rdata([2, 0, 0]), vec![leaf], 1),
        (issuer.rdata([2, 1, 0]), vec![leaf], 0),
        (root.rdata([2, 1, 0]), vec![leaf, issuer], 1),
    ]
    .map(|(record, chain, depth)| case("in the DNS only", &[record], &chain, OK, Some(depth)))
    .into()
}

/// A certificate of another name, which usage 2 refuses at any depth and usage 3 does not look at.
fn names() -> Vec<Case> {
    let family = Family::of(&["mx.example.org"]);
    let [leaf, issuer, root] = family.chain();
    let chain = family.chain();
    let records = [
        leaf.rdata([3, 1, 1]),
        issuer.rdata([2, 1, 1]),
        root.rdata([2, 1, 1]),
        leaf.rdata([3, 1, 1]),
    ];
    let [first, second, third, fourth] = records.map(|record| [record]);
    vec![
        case("another name", &first, &chain, OK, Some(0)),
        case("another name", &second, &chain, WRONG_NAME, Some(1)),
        case("another name", &third, &chain, WRONG_NAME, Some(2)),
        Case {
            names_always_checked: true,
            ..case("another name", &fourth, &chain, WRONG_NAME, Some(0))
        },
    ]
}

/// A root presented in the form that another root has signed.
fn a_root_of_two_names() -> Vec<Case> {
    let family = Family::of(&[BASE]);
    let above = Cert::self_signed(ca("Above"));
    let cross = above.issue_to(ca("Root"), family.root.key_again());
    let [leaf, issuer, root] = family.chain();
    let chain = [leaf, issuer, &cross, &above];
    [[2, 0, 0], [2, 1, 1]]
        .map(|kind| case("cross-signed", &[root.rdata(kind)], &chain, OK, Some(2)))
        .into()
}

/// Right, wrong and mixed: SMTP knows none of them (RFC 7672 §3.1.3).
fn usages_of_pkix() -> Vec<Case> {
    let family = Family::of(&[BASE]);
    let other = Family::of(&[BASE]);
    let [leaf, issuer, root] = family.chain();
    let chain = family.chain();
    let mut rrsets: Vec<Vec<Vec<u8>>> = Vec::new();
    for kind in [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)] {
        rrsets.push(vec![leaf.rdata([1, kind.0, kind.1])]);
        rrsets.push(vec![issuer.rdata([0, kind.0, kind.1])]);
    }
    for kind in [(0, 1), (1, 1), (0, 2), (1, 2)] {
        rrsets.push(vec![root.rdata([0, kind.0, kind.1])]);
    }
    rrsets.push(vec![leaf.rdata([1, 1, 1]), root.rdata([0, 0, 0])]);
    rrsets.push(vec![other.leaf.rdata([1, 0, 2])]);
    rrsets.push(vec![other.issuer.rdata([0, 0, 1])]);
    rrsets.push(vec![other.root.rdata([0, 0, 1])]);
    rrsets
        .iter()
        .map(|rrset| case("PKIX", rrset, &chain, NO_MATCH, None))
        .collect()
}

fn case(name: &str, rrset: &[Vec<u8>], chain: &[&Cert], want: u32, depth: Option<usize>) -> Case {
    let kinds: Vec<_> = rrset.iter().map(|rdata| &rdata[..3]).collect();
    Case {
        name: format!("{name}, {kinds:?}"),
        names_always_checked: false,
        want,
        depth,
        rrset: rrset.to_vec(),
        surplus: Vec::new(),
        chain: chain.iter().map(|one| one.der.clone()).collect(),
        pem: chain.iter().map(|one| &one.pem[..]).collect(),
    }
}
