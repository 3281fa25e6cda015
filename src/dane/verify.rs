//! A presented chain against usable TLSA records.
//!
//! [`verify`] asks DANE-EE first: the leaf's key or certificate is the published one, and nothing else in it counts
//! (RFC 7671 §5.1). Then DANE-TA: a path to a published anchor holds and the leaf carries a reference identifier.
//! One record that holds is enough (RFC 6698 §4.1). Whether a record is usable was settled by
//! [`usable`](super::tlsa::usable); that the server has the leaf's key, by the handshake.

use rustls_pki_types::CertificateDer;

use super::{Tlsa, Usage, anchor};
use crate::clock::Timestamp;
use crate::name::ReferenceId;

/// What the server presented and who it may be.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// Leaf first.
    pub chain: &'a [CertificateDer<'static>],
    /// The TLSA base domain first (RFC 7672 §3.2.2); only DANE-TA looks at them.
    pub reference_ids: &'a [ReferenceId],
}

/// The record that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Which one.
    pub record: Tlsa,
    /// Where on the path its certificate stands, 0 for the leaf; for a bare key, where the certificate stands that it
    /// has signed.
    pub depth: usize,
}

/// Why no record authenticates the server, the farthest from a match first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// No record matches any certificate it could.
    #[error("no TLSA record matches the presented certificates")]
    NoMatch,
    /// DANE-TA: an anchor matches, but no valid path leads to it.
    #[error("no valid path to the matching trust anchor: {0}")]
    Path(String),
    /// DANE-TA: a certificate on the path is out of date.
    #[error("a certificate on the path is out of date: {0}")]
    Dates(String),
    /// DANE-TA: the path holds, but the leaf carries none of the reference identifiers.
    #[error("the certificate names {presented:?}")]
    Name {
        /// The DNS-IDs, or the CN where there are none.
        presented: Vec<String>,
    },
}

impl Mismatch {
    /// The stable word, the same as that of a refusal for it.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NoMatch => "dane-mismatch",
            Self::Path(_) => "dane-path",
            Self::Dates(_) => "dane-expired",
            Self::Name { .. } => "dane-name",
        }
    }
}

/// Decides whether any of `records` authenticates the server at `now`.
///
/// # Errors
/// The [`Mismatch`] that came closest to a match.
pub fn verify(
    records: &[Tlsa],
    presented: Presented<'_>,
    now: Timestamp,
) -> Result<Match, Mismatch> {
    let Some((leaf, others)) = presented.chain.split_first() else {
        return Err(Mismatch::NoMatch);
    };
    if let Some(record) = published(records, leaf) {
        return Ok(Match {
            record: record.clone(),
            depth: 0,
        });
    }
    let others = others.get(..MAX_OTHERS).unwrap_or(others);
    anchor::verify(
        records,
        &anchor::Chain { leaf, others },
        presented.reference_ids,
        now,
    )
}

/// The DANE-EE record that names this very leaf.
pub(crate) fn published<'a>(records: &'a [Tlsa], leaf: &CertificateDer<'_>) -> Option<&'a Tlsa> {
    records
        .iter()
        .find(|record| record.usage == Usage::DaneEe && record.matches(leaf))
}

/// How many certificates besides the leaf are looked at; what comes after them is as if it had not been sent.
const MAX_OTHERS: usize = 32;

#[cfg(test)]
mod tests {
    #![expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]

    use proptest::prelude::*;
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
        KeyUsagePurpose, NameConstraints,
    };
    use ring::digest;

    use super::*;
    use crate::dane::tlsa::usable;
    use crate::dns::TlsaRdata;
    use crate::x509::sample::{
        Sample, T0, between, ca, server, server_by_cn, with_unknown_critical,
    };

    const MX: &str = "mx.example.com";

    /// The record of this usage, selector and matching type for a certificate.
    fn tlsa(kind: [u8; 3], of: &Sample) -> TlsaRdata {
        let selected = if kind[1] == 0 { &of.der[..] } else { of.spki() };
        let data = match kind[2] {
            0 => selected.to_vec(),
            1 => digest::digest(&digest::SHA256, selected).as_ref().to_vec(),
            _ => digest::digest(&digest::SHA512, selected).as_ref().to_vec(),
        };
        [&kind[..], &data].concat()
    }

    fn outcome(rrset: &[TlsaRdata], chain: &[&Sample], ids: &[&str]) -> Result<Match, Mismatch> {
        let chain: Vec<_> = chain.iter().map(|sample| sample.der.clone()).collect();
        let reference_ids: Vec<ReferenceId> = ids.iter().map(|id| id.parse().unwrap()).collect();
        let presented = Presented {
            chain: &chain,
            reference_ids: &reference_ids,
        };
        verify(&usable(rrset), presented, T0)
    }

    /// The outcome in a word: the depth of a match, or the kind of mismatch.
    fn word(outcome: &Result<Match, Mismatch>) -> &'static str {
        match outcome {
            Ok(found) => ["0", "1", "2", "3"][found.depth],
            Err(Mismatch::NoMatch) => "none",
            Err(Mismatch::Path(_)) => "path",
            Err(Mismatch::Dates(_)) => "dates",
            Err(Mismatch::Name { .. }) => "name",
        }
    }

    fn with(
        mut params: CertificateParams,
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificateParams {
        change(&mut params);
        params
    }

    /// Root, issuer and leaf, as a domain with a CA of its own has them.
    struct World {
        root: Sample,
        issuer: Sample,
        leaf: Sample,
    }

    fn world() -> World {
        let root = Sample::self_signed(ca("Root"));
        let issuer = root.issue(ca("Issuer"));
        let leaf = issuer.issue(server(&[MX]));
        World { root, issuer, leaf }
    }

    #[test]
    fn tlsa_13_dane_01_dane_ee_looks_at_the_leaf_alone() {
        let root = Sample::self_signed(ca("Root"));
        for (sentence, leaf) in [
            ("self-signed", Sample::self_signed(server(&[MX]))),
            ("expired", root.issue(between(server(&[MX]), 2020, 2021))),
            (
                "not yet valid",
                root.issue(between(server(&[MX]), 2030, 2031)),
            ),
            (
                "valid at no time",
                root.issue(between(server(&[MX]), 2031, 2030)),
            ),
            ("another name", root.issue(server(&["mx.example.org"]))),
            ("a common name only", root.issue(server_by_cn(MX))),
            ("no name at all", root.issue(server(&[]))),
            ("a CA", root.issue(ca("CA"))),
            (
                "an unknown critical extension",
                root.issue(with_unknown_critical(server(&[MX]))),
            ),
            (
                "for clients only",
                root.issue(with(server(&[MX]), |p| {
                    p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                })),
            ),
        ] {
            for kind in [
                [3, 0, 0],
                [3, 0, 1],
                [3, 0, 2],
                [3, 1, 0],
                [3, 1, 1],
                [3, 1, 2],
            ] {
                let outcome = outcome(&[tlsa(kind, &leaf)], &[&leaf], &[MX]);
                assert_eq!(word(&outcome), "0", "{sentence}, {kind:?}");
            }
        }
    }

    #[test]
    fn tlsa_13_dane_01_a_version_1_certificate_matches_dane_ee() {
        let der = CertificateDer::from_slice(include_bytes!("../../testdata/dane/v1.der"));
        let digest = digest::digest(&digest::SHA256, &der);
        let rrset = [[&[3, 0, 1], digest.as_ref()].concat()];
        let presented = Presented {
            chain: &[der],
            reference_ids: &[],
        };
        assert_eq!(word(&verify(&usable(&rrset), presented, T0)), "0");
    }

    #[test]
    fn dane_26_dane_02_nothing_but_tlsa_authenticates() {
        let World { root, issuer, leaf } = world();
        let other = root.issue(server(&[MX]));
        for (sentence, rrset, chain, expected) in [
            ("no records", vec![], vec![&leaf], "none"),
            (
                "no certificates",
                vec![tlsa([3, 1, 1], &leaf)],
                vec![],
                "none",
            ),
            (
                "a valid chain with the right name, another key published",
                vec![tlsa([3, 1, 1], &other)],
                vec![&leaf, &issuer, &root],
                "none",
            ),
            (
                "DANE-EE for an issuer in the chain",
                vec![tlsa([3, 1, 1], &issuer)],
                vec![&leaf, &issuer, &root],
                "none",
            ),
            (
                "the published certificate behind another leaf",
                vec![tlsa([3, 0, 1], &other)],
                vec![&leaf, &other],
                "none",
            ),
        ] {
            assert_eq!(
                word(&outcome(&rrset, &chain, &[MX])),
                expected,
                "{sentence}"
            );
        }
    }

    #[test]
    fn tlsa_11_tlsa_12_dane_04_one_record_is_enough_after_agility() {
        let leaf = Sample::self_signed(server(&[MX]));
        let other = Sample::self_signed(server(&[MX]));
        let cut = |mut rdata: TlsaRdata| {
            rdata.pop();
            rdata
        };
        for (sentence, rrset, expected) in [
            (
                "one of two keys",
                vec![tlsa([3, 1, 1], &other), tlsa([3, 1, 1], &leaf)],
                "0",
            ),
            (
                "the right SHA-256 beside a wrong SHA-512",
                vec![tlsa([3, 1, 1], &leaf), tlsa([3, 1, 2], &other)],
                "none",
            ),
            (
                "the right SHA-256 beside a malformed SHA-512",
                vec![tlsa([3, 1, 1], &leaf), cut(tlsa([3, 1, 2], &other))],
                "0",
            ),
            (
                "the right key in full beside a wrong SHA-512",
                vec![tlsa([3, 1, 0], &leaf), tlsa([3, 1, 2], &other)],
                "0",
            ),
            (
                "another selector's wrong SHA-512",
                vec![tlsa([3, 0, 2], &other), tlsa([3, 1, 1], &leaf)],
                "0",
            ),
        ] {
            assert_eq!(
                word(&outcome(&rrset, &[&leaf], &[MX])),
                expected,
                "{sentence}"
            );
        }
    }

    #[test]
    fn tlsa_14_tlsa_15_dane_05_where_the_anchor_may_come_from() {
        let World { root, issuer, leaf } = world();
        let full = [&leaf, &issuer, &root];
        let without_root = [&leaf, &issuer];
        for (sentence, record, chain, expected) in [
            (
                "the root, presented",
                tlsa([2, 0, 1], &root),
                &full[..],
                "2",
            ),
            (
                "the root's key, presented",
                tlsa([2, 1, 1], &root),
                &full,
                "2",
            ),
            ("the issuer", tlsa([2, 0, 2], &issuer), &full, "1"),
            (
                "the issuer's key",
                tlsa([2, 1, 2], &issuer),
                &without_root,
                "1",
            ),
            (
                "a digest of a root not presented",
                tlsa([2, 0, 1], &root),
                &without_root,
                "none",
            ),
            (
                "a root in the DNS only",
                tlsa([2, 0, 0], &root),
                &without_root,
                "2",
            ),
            (
                "an issuer in the DNS only",
                tlsa([2, 0, 0], &issuer),
                &[&leaf],
                "1",
            ),
            (
                "the key of an absent root",
                tlsa([2, 1, 0], &root),
                &without_root,
                "1",
            ),
            (
                "the key of an absent issuer",
                tlsa([2, 1, 0], &issuer),
                &[&leaf],
                "0",
            ),
            (
                "the key of a presented root",
                tlsa([2, 1, 0], &root),
                &full,
                "2",
            ),
            (
                "a root in the DNS, and a gap",
                tlsa([2, 0, 0], &root),
                &[&leaf],
                "none",
            ),
            (
                "the leaf's key, which has signed nothing here",
                tlsa([2, 1, 0], &leaf),
                &without_root,
                "path",
            ),
            (
                "a presented root, and a gap",
                tlsa([2, 0, 1], &root),
                &[&leaf, &root],
                "path",
            ),
        ] {
            assert_eq!(
                word(&outcome(&[record], chain, &[MX])),
                expected,
                "{sentence}"
            );
        }
    }

    #[test]
    fn tlsa_19_the_leaf_is_never_its_own_trust_anchor() {
        let own = Sample::self_signed(server(&[MX]));
        for (sentence, chain) in [("alone", vec![&own]), ("twice", vec![&own, &own])] {
            for kind in [[2, 0, 0], [2, 0, 1], [2, 0, 2], [2, 1, 1], [2, 1, 2]] {
                let outcome = outcome(&[tlsa(kind, &own)], &chain, &[MX]);
                assert_eq!(word(&outcome), "path", "{sentence}, {kind:?}");
            }
        }
        let mistaken = outcome(&[tlsa([2, 1, 1], &own)], &[&own], &[MX]);
        assert!(mistaken.unwrap_err().to_string().contains("only DANE-EE"));
        // A bare key is no certificate, and it has signed this one.
        let signed = outcome(&[tlsa([2, 1, 0], &own)], &[&own], &[MX]);
        assert_eq!(word(&signed), "0");
    }

    #[test]
    fn tlsa_16_the_trust_anchor_is_held_to_its_constraints() {
        let permitted = |p: &mut CertificateParams| {
            p.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
                excluded_subtrees: vec![],
            });
        };
        for (sentence, params, expected) in [
            ("a CA", ca("Root"), "2"),
            (
                "a path length of none",
                with(ca("Root"), |p| {
                    p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                }),
                "path",
            ),
            (
                "a path length of one",
                with(ca("Root"), |p| {
                    p.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
                }),
                "2",
            ),
            ("other names permitted", with(ca("Root"), permitted), "path"),
            (
                "no keyCertSign",
                with(ca("Root"), |p| {
                    p.key_usages = vec![KeyUsagePurpose::CrlSign]
                }),
                "path",
            ),
            (
                "explicitly no CA",
                with(ca("Root"), |p| p.is_ca = IsCa::ExplicitNoCa),
                "path",
            ),
            ("nothing about CAs", server_by_cn("Root"), "path"),
            (
                "for clients only",
                with(ca("Root"), |p| {
                    p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                }),
                "path",
            ),
            (
                "an unknown critical extension",
                with_unknown_critical(ca("Root")),
                "path",
            ),
        ] {
            let root = Sample::self_signed(params);
            let issuer = root.issue(ca("Issuer"));
            let leaf = issuer.issue(server(&[MX]));
            let chain = [&leaf, &issuer, &root];
            for kind in [[2, 0, 0], [2, 0, 1], [2, 1, 0], [2, 1, 1]] {
                let outcome = outcome(&[tlsa(kind, &root)], &chain, &[MX]);
                assert_eq!(
                    word(&outcome),
                    expected,
                    "{sentence}, {kind:?}: {outcome:?}"
                );
            }
        }
    }

    #[test]
    fn tlsa_17_the_path_below_the_anchor_is_validated() {
        let World { root, .. } = world();
        let bad_issuer = |params| {
            let issuer = root.issue(params);
            let leaf = issuer.issue(server(&[MX]));
            vec![leaf, issuer]
        };
        let bad_leaf = |params| {
            let issuer = root.issue(ca("Issuer"));
            let leaf = issuer.issue(params);
            vec![leaf, issuer]
        };
        let forged = {
            let issuer = root.issue(ca("Issuer"));
            let leaf = Sample::self_signed(ca("Issuer")).issue(server(&[MX]));
            vec![leaf, issuer]
        };
        for (sentence, below, expected) in [
            ("all is well", bad_leaf(server(&[MX])), "2"),
            (
                "an expired leaf",
                bad_leaf(between(server(&[MX]), 2020, 2021)),
                "dates",
            ),
            (
                "a leaf to come",
                bad_leaf(between(server(&[MX]), 2030, 2031)),
                "dates",
            ),
            (
                "an expired intermediate",
                bad_issuer(between(ca("Issuer"), 2020, 2021)),
                "dates",
            ),
            (
                "an intermediate that is no CA",
                bad_issuer(server_by_cn("Issuer")),
                "path",
            ),
            (
                "an intermediate without keyCertSign",
                bad_issuer(with(ca("Issuer"), |p| {
                    p.key_usages = vec![KeyUsagePurpose::CrlSign]
                })),
                "path",
            ),
            (
                "a leaf for clients",
                bad_leaf(with(server(&[MX]), |p| {
                    p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                })),
                "path",
            ),
            (
                "a leaf with a critical extension that nobody knows",
                bad_leaf(with_unknown_critical(server(&[MX]))),
                "path",
            ),
            ("a signature by another key", forged, "path"),
            (
                "an expired leaf with another name",
                bad_leaf(between(server(&["a.example"]), 2020, 2021)),
                "dates",
            ),
        ] {
            let mut chain: Vec<&Sample> = below.iter().collect();
            chain.push(&root);
            let outcome = outcome(&[tlsa([2, 0, 1], &root)], &chain, &[MX]);
            assert_eq!(word(&outcome), expected, "{sentence}: {outcome:?}");
        }
    }

    #[test]
    fn tlsa_17_the_anchor_s_own_dates_count_when_it_is_self_issued() {
        let old_root = Sample::self_signed(between(ca("Root"), 2020, 2021));
        let leaf = old_root.issue(server(&[MX]));
        assert_eq!(
            word(&outcome(
                &[tlsa([2, 1, 1], &old_root)],
                &[&leaf, &old_root],
                &[MX]
            )),
            "dates",
            "an expired root"
        );

        // The same key once as a valid root and once cross-signed by another CA, long ago.
        let root = Sample::self_signed(ca("Root"));
        let cross = Sample::self_signed(ca("Old"))
            .issue_to(between(ca("Root"), 2020, 2021), root.key_again());
        let leaf = root.issue(server(&[MX]));
        assert_eq!(
            word(&outcome(&[tlsa([2, 1, 1], &root)], &[&leaf, &cross], &[MX])),
            "1",
            "an expired cross-certificate of a published key"
        );
    }

    #[test]
    fn tlsa_15_a_bare_key_does_not_leave_a_presented_ca_s_constraints_behind() {
        let root = Sample::self_signed(ca("Root"));
        let issuer = root.issue(between(ca("Issuer"), 2020, 2021));
        let no_ca = root.issue(server_by_cn("Issuer"));
        for (sentence, issuer, present, expected) in [
            (
                "a certificate that is no CA's, presented",
                &no_ca,
                true,
                "path",
            ),
            ("the same, not presented", &no_ca, false, "0"),
            (
                "an expired CA's, which the record's match forgives",
                &issuer,
                true,
                "1",
            ),
        ] {
            let leaf = issuer.issue(server(&[MX]));
            let chain = if present {
                vec![&leaf, issuer]
            } else {
                vec![&leaf]
            };
            let outcome = outcome(&[tlsa([2, 1, 0], issuer)], &chain, &[MX]);
            assert_eq!(word(&outcome), expected, "{sentence}: {outcome:?}");
        }
    }

    #[test]
    fn tlsa_15_a_bare_key_does_not_leave_the_constraints_of_a_published_ca_behind() {
        let root = Sample::self_signed(with(ca("Root"), |p| {
            p.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
                excluded_subtrees: vec![],
            });
        }));
        let leaf = root.issue(server(&[MX]));
        let (whole, key) = (tlsa([2, 0, 0], &root), tlsa([2, 1, 0], &root));
        for (sentence, rrset, expected) in [
            ("the key alone", vec![key.clone()], "0"),
            (
                "the certificate first",
                vec![whole.clone(), key.clone()],
                "path",
            ),
            ("the key first", vec![key, whole], "path"),
        ] {
            let outcome = outcome(&rrset, &[&leaf], &[MX]);
            assert_eq!(word(&outcome), expected, "{sentence}: {outcome:?}");
        }
        // The leaf's own certificate is no CA's that the key could hide.
        let own = Sample::self_signed(server(&[MX]));
        let both = [tlsa([2, 0, 0], &own), tlsa([2, 1, 0], &own)];
        assert_eq!(word(&outcome(&both, &[&own], &[MX])), "0");
    }

    #[test]
    fn tlsa_18_dane_27_dane_28_dane_29_dane_31_a_reference_identifier_must_fit() {
        let root = Sample::self_signed(ca("Root"));
        let secure = [MX, "example.org", "expanded.example"];
        for (sentence, leaf, ids, expected) in [
            ("the TLSA base domain", server(&[MX]), &secure[..], "1"),
            (
                "the next-hop domain",
                server(&["example.org"]),
                &secure,
                "1",
            ),
            (
                "the expanded next-hop domain",
                server(&["expanded.example"]),
                &secure,
                "1",
            ),
            ("a wildcard", server(&["*.example.com"]), &secure, "1"),
            (
                "a wildcard over two labels",
                server(&["*.com"]),
                &secure,
                "name",
            ),
            ("none of them", server(&["a.example"]), &secure, "name"),
            (
                "dane_28: the next-hop domain under an insecure MX",
                server(&["example.org"]),
                &[MX],
                "name",
            ),
            (
                "dane_28: the host under an insecure MX",
                server(&[MX]),
                &[MX],
                "1",
            ),
            ("nothing to refer to", server(&[MX]), &[], "name"),
            (
                "dane_30: the common name without DNS-IDs",
                server_by_cn(MX),
                &secure,
                "1",
            ),
            (
                "dane_30: the common name beside another DNS-ID",
                with(server(&["a.example"]), |p| {
                    p.distinguished_name = server_by_cn(MX).distinguished_name;
                }),
                &secure,
                "name",
            ),
        ] {
            let leaf = root.issue(leaf);
            let outcome = outcome(&[tlsa([2, 0, 1], &root)], &[&leaf, &root], ids);
            assert_eq!(word(&outcome), expected, "{sentence}");
        }
    }

    #[test]
    fn id_4_dane_30_no_common_name_below_a_ca_that_constrains_names() {
        let constrained = |p: &mut CertificateParams| {
            p.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
                excluded_subtrees: vec![],
            });
        };
        let root = Sample::self_signed(ca("Root"));
        let issuer = root.issue(with(ca("Issuer"), constrained));
        let leaf = issuer.issue(server_by_cn(MX));
        for (sentence, anchor) in [("the anchor itself", &issuer), ("a CA below it", &root)] {
            let outcome = outcome(&[tlsa([2, 0, 1], anchor)], &[&leaf, &issuer, &root], &[MX]);
            assert_eq!(word(&outcome), "name", "{sentence}");
        }
    }

    #[test]
    fn the_mismatch_is_the_one_that_came_closest() {
        let World { root, issuer, leaf } = world();
        let other = Sample::self_signed(server(&[MX]));
        let chain = [&leaf, &issuer, &root];
        for (sentence, rrset, expected) in [
            (
                "a path with another name, beside DANE-EE for another key",
                vec![tlsa([3, 1, 1], &other), tlsa([2, 0, 1], &root)],
                "name",
            ),
            (
                "DANE-EE for the leaf settles it",
                vec![tlsa([2, 0, 1], &root), tlsa([3, 1, 1], &leaf)],
                "0",
            ),
        ] {
            assert_eq!(
                word(&outcome(&rrset, &chain, &["a.example"])),
                expected,
                "{sentence}"
            );
        }
        assert_eq!(
            outcome(&[tlsa([2, 0, 1], &root)], &chain, &["a.example"]),
            Err(Mismatch::Name {
                presented: vec![MX.to_owned()]
            })
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_bytes_make_it_panic(
            rrset in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4),
            chain in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..4),
        ) {
            let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
            let presented = Presented { chain: &chain, reference_ids: &[] };
            prop_assert!(verify(&usable(&rrset), presented, T0).is_err());
        }

        /// A leaf that is damaged anywhere is no longer below the anchor; damage elsewhere at least does not panic.
        #[test]
        fn no_damage_makes_it_panic_or_match(at in any::<prop::sample::Index>(), bit in 0..8) {
            let World { root, issuer, leaf } = world();
            let mut damaged = leaf.der.to_vec();
            *at.get_mut(&mut damaged) ^= 1_u8 << bit;
            let mut chain = [leaf.der.clone(), issuer.der.clone(), root.der.clone()];
            chain[0] = CertificateDer::from(damaged);
            let reference_ids = [MX.parse().unwrap()];
            let records = usable(&[tlsa([2, 0, 1], &root), tlsa([2, 1, 0], &issuer)]);
            let presented = Presented { chain: &chain, reference_ids: &reference_ids };
            prop_assert!(verify(&records, presented, T0).is_err());

            chain[0] = leaf.der.clone();
            let mut damaged = issuer.der.to_vec();
            *at.get_mut(&mut damaged) ^= 1_u8 << bit;
            chain[1] = CertificateDer::from(damaged);
            let presented = Presented { chain: &chain, reference_ids: &reference_ids };
            let _ = verify(&records, presented, T0);
        }
    }
}
