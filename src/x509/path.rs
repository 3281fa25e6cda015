//! Certification paths, reported rather than judged: is there one, do the dates hold, does the name fit.
//!
//! [`validate`] answers for MTA-STS, `search` for MTA-STS and DANE-TA alike; both run webpki (RFC 5280 §6) with
//! *ring*'s algorithms and add what `authority` knows. webpki stops at the first thing wrong, and looks at dates
//! first: where they are, the search is repeated at a time when they hold, so that an expired certificate of an
//! unknown CA is not merely expired. No path, or none that could be found within the limits, is `untrusted`.

use std::ptr;
use std::time::Duration;

use ring::digest;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath};
use x509_parser::time::ASN1Time;

use super::authority;
use super::names::Names;
use super::outline::Outline;
use crate::clock::Timestamp;
use crate::name::DnsName;

/// The CAs that MTA-STS trusts.
#[derive(Clone, Debug)]
pub struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    identity: [u8; 32],
}

impl Roots {
    /// These CAs.
    #[must_use]
    pub fn new(anchors: Vec<TrustAnchor<'static>>) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for anchor in &anchors {
            for part in [
                Some(anchor.subject.as_ref()),
                Some(anchor.subject_public_key_info.as_ref()),
                anchor.name_constraints.as_deref(),
            ] {
                context.update(
                    &part
                        .map_or(u64::MAX, |part| part.len() as u64)
                        .to_be_bytes(),
                );
                context.update(part.unwrap_or_default());
            }
        }
        let mut identity = [0; 32];
        identity.copy_from_slice(context.finish().as_ref());
        Self { anchors, identity }
    }

    /// The CAs.
    #[must_use]
    pub fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// A digest of all of them: the same for the same CAs in the same order, and for no others.
    #[must_use]
    pub const fn identity(&self) -> &[u8; 32] {
        &self.identity
    }
}

/// Three questions about one chain, each answered by itself (one verdict would hide the others).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// No path to a trusted CA, dates left aside: why.
    pub untrusted: Option<String>,
    /// The path's dates do not hold now: why.
    pub out_of_date: Option<String>,
    /// No DNS-ID of the leaf is the wanted name: what it presents instead.
    pub wrong_name: Option<Vec<String>>,
}

/// Validates `chain` (leaf first) to one of `roots` for the host name `name`, DNS-IDs only (RFC 8461 §4.2).
#[must_use]
pub fn validate(
    chain: &[CertificateDer<'_>],
    roots: &Roots,
    name: &DnsName,
    now: Timestamp,
) -> PathReport {
    let Some((leaf, others)) = chain.split_first() else {
        return PathReport {
            untrusted: Some("the server has presented no certificate".to_owned()),
            out_of_date: None,
            wrong_name: Some(Vec::new()),
        };
    };
    let path = search(&Search {
        leaf,
        others,
        anchors: roots.anchors(),
        check: &|_, _, _| Ok(()),
        now,
    });
    let names = Names::of(leaf);
    PathReport {
        untrusted: path.untrusted.as_ref().map(sentence),
        out_of_date: path.out_of_date.as_ref().map(sentence),
        wrong_name: (!names.has_dns_id(name)).then(|| names.shown()),
    }
}

/// A path to be found.
pub(crate) struct Search<'a> {
    /// The server's own certificate.
    pub(crate) leaf: &'a CertificateDer<'a>,
    /// What the server has sent with it, in any order.
    pub(crate) others: &'a [CertificateDer<'a>],
    /// Where a path may end.
    pub(crate) anchors: &'a [TrustAnchor<'a>],
    /// A last word on a path that holds otherwise: which anchor, how many intermediates, at what time.
    pub(crate) check: &'a dyn Fn(usize, usize, UnixTime) -> Result<(), Error>,
    /// When it must hold.
    pub(crate) now: Timestamp,
}

/// What a search has come to: a path now, or why there is none.
pub(crate) struct Outcome {
    /// The path that holds now.
    pub(crate) found: Option<Found>,
    /// Why there is no path even when the dates hold.
    pub(crate) untrusted: Option<Error>,
    /// Why the dates do not hold now.
    pub(crate) out_of_date: Option<Error>,
}

/// A path that holds.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// The index of the anchor at its end.
    pub(crate) anchor: usize,
    /// How many certificates lie between leaf and anchor.
    pub(crate) intermediates: usize,
    /// A CA on it constrains names, and only subjectAltNames are held against that.
    pub(crate) constrained: bool,
}

/// Looks for a path, first now and then, when only dates stand in the way, at a time when they do not.
pub(crate) fn search(search: &Search<'_>) -> Outcome {
    let pool = pool(search.leaf, search.others);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(search.now.unix()));
    let first = match attempt(search, &pool, now) {
        Ok(found) => {
            return Outcome {
                found: Some(found),
                untrusted: None,
                out_of_date: None,
            };
        }
        Err(error) => error,
    };
    let dates = is_about_dates(&first);
    Outcome {
        found: None,
        untrusted: if dates {
            probe(search, &pool, &first)
        } else {
            Some(first.clone())
        },
        out_of_date: dates.then_some(first),
    }
}

/// What besides the dates keeps a path from holding, found by moving to a date at which the last obstacle is none.
fn probe(search: &Search<'_>, pool: &[CertificateDer<'_>], first: &Error) -> Option<Error> {
    let mut time = better_time(first);
    for _ in 0..MAX_PROBES {
        match attempt(search, pool, time?) {
            Ok(_) => return None,
            Err(error) if is_about_dates(&error) => time = better_time(&error),
            Err(error) => return Some(error),
        }
    }
    None
}

fn attempt(
    search: &Search<'_>,
    pool: &[CertificateDer<'_>],
    time: UnixTime,
) -> Result<Found, Error> {
    let leaf = EndEntityCert::try_from(search.leaf)?;
    // Possession was proven of the key in the outline; both readings must be of the same key.
    let outline = Outline::parse(search.leaf).map_err(|_| Error::BadDer)?;
    if leaf.subject_public_key_info().as_ref() != outline.spki {
        return Err(Error::BadDer);
    }
    authority::is_strong(outline.spki)?;
    let check = |path: &VerifiedPath<'_>| {
        let mut intermediates = 0;
        for certificate in path.intermediate_certificates() {
            authority::may_issue(&certificate.der())?;
            intermediates += 1;
        }
        (search.check)(index(search.anchors, path)?, intermediates, time)
    };
    let path = leaf.verify_for_usage(
        ALGORITHMS,
        search.anchors,
        pool,
        time,
        KeyUsage::server_auth(),
        None,
        Some(&check),
    )?;
    Ok(Found {
        anchor: index(search.anchors, &path)?,
        intermediates: path.intermediate_certificates().count(),
        constrained: path.anchor().name_constraints.is_some()
            || path
                .intermediate_certificates()
                .any(|certificate| authority::constrains_names(&certificate.der())),
    })
}

/// Anchors may be equal to each other, so the very one is looked for.
fn index(anchors: &[TrustAnchor<'_>], path: &VerifiedPath<'_>) -> Result<usize, Error> {
    anchors
        .iter()
        .position(|anchor| ptr::eq(anchor, path.anchor()))
        .ok_or(Error::UnknownIssuer)
}

/// The certificates that can stand above the leaf, by name, nearest first; never the leaf itself, and not more than
/// webpki can be asked to search, which takes time exponential in their number.
fn pool<'a>(
    leaf: &CertificateDer<'_>,
    others: &'a [CertificateDer<'a>],
) -> Vec<CertificateDer<'a>> {
    let mut pool: Vec<CertificateDer<'a>> = Vec::new();
    let Ok(outline) = Outline::parse(leaf) else {
        return pool;
    };
    let mut issuers = vec![outline.issuer];
    let mut next = 0;
    while let Some(wanted) = issuers.get(next).copied() {
        next += 1;
        for certificate in others {
            let Ok(outline) = Outline::parse(certificate) else {
                continue;
            };
            if outline.subject != wanted || certificate == leaf || pool.contains(certificate) {
                continue;
            }
            if pool.len() == MAX_POOL {
                return pool;
            }
            pool.push(CertificateDer::from_slice(certificate));
            if !issuers.contains(&outline.issuer) {
                issuers.push(outline.issuer);
            }
        }
    }
    pool
}

const fn is_about_dates(error: &Error) -> bool {
    matches!(
        error,
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } | Error::InvalidCertValidity
    )
}

/// The nearest time at which the certificate in the way is valid, if it ever is.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "webpki's errors are open-ended; no others have a time"
)]
const fn better_time(error: &Error) -> Option<UnixTime> {
    match error {
        Error::CertExpired { not_after, .. } => Some(*not_after),
        Error::CertNotValidYet { not_before, .. } => Some(*not_before),
        _ => None,
    }
}

/// An error in words.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "webpki's errors are open-ended; its own words serve for the rest"
)]
pub(crate) fn sentence(error: &Error) -> String {
    match error {
        Error::CertExpired { not_after, .. } => format!("expired on {}", date(*not_after)),
        Error::CertNotValidYet { not_before, .. } => {
            format!("not valid before {}", date(*not_before))
        }
        Error::InvalidCertValidity => "valid at no time: it ends before it begins".to_owned(),
        Error::UnknownIssuer => "no presented certificate leads to a trusted CA".to_owned(),
        Error::InvalidSignatureForPublicKey => "a signature does not verify".to_owned(),
        Error::CaUsedAsEndEntity => "the server's certificate is that of a CA".to_owned(),
        Error::EndEntityUsedAsCa => "an issuer is not allowed to issue".to_owned(),
        Error::PathLenConstraintViolated => "the path is longer than a CA on it allows".to_owned(),
        Error::NameConstraintViolation => "a name is outside a CA's constraints".to_owned(),
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            "a certificate on the path is not for TLS servers".to_owned()
        }
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "a signature is of a kind that is not accepted".to_owned()
        }
        Error::UnsupportedCriticalExtension => "a critical extension is not known".to_owned(),
        Error::UnsupportedCertVersion => "a certificate is not of version 3".to_owned(),
        // webpki itself distrusts what it is told to: nothing.
        Error::CertDistrusted => "the server's RSA key is shorter than 2048 bits".to_owned(),
        other => format!("a certificate does not conform ({other:?})"),
    }
}

/// `2026-11-23`.
fn date(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| ASN1Time::from_timestamp(seconds).ok())
        .map_or_else(
            || "no date".to_owned(),
            |time| time.to_datetime().date().to_string(),
        )
}

/// How often a search is repeated at another time.
const MAX_PROBES: usize = 4;

/// webpki itself builds paths of at most six intermediates.
const MAX_POOL: usize = 8;

/// Those of the *ring* provider, listed: webpki's own list of all grows with the features of other crates.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    webpki::ring::ED25519,
    webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512,
    webpki::ring::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
];

#[cfg(test)]
mod tests {
    #![expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]

    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
        KeyUsagePurpose, NameConstraints,
    };

    use super::*;
    use crate::x509::outline::split_spki;
    use crate::x509::sample::{
        Sample, T0, between, ca, server, server_by_cn, with_unknown_critical,
    };

    const MX: &str = "mx.example.com";

    fn roots(of: &[&Sample]) -> Roots {
        Roots::new(
            of.iter()
                .map(|root| {
                    webpki::anchor_from_trusted_cert(&root.der)
                        .unwrap()
                        .to_owned()
                })
                .collect(),
        )
    }

    fn report(chain: &[&Sample], roots: &Roots) -> PathReport {
        let chain: Vec<_> = chain.iter().map(|sample| sample.der.clone()).collect();
        validate(&chain, roots, &MX.parse().unwrap(), T0)
    }

    /// Which of the three hold: `TDN` for all, a dot for each that does not.
    fn held(report: &PathReport) -> String {
        [
            ('T', report.untrusted.is_none()),
            ('D', report.out_of_date.is_none()),
            ('N', report.wrong_name.is_none()),
        ]
        .map(|(letter, holds)| if holds { letter } else { '.' })
        .iter()
        .collect()
    }

    fn with(
        mut params: CertificateParams,
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificateParams {
        change(&mut params);
        params
    }

    #[test]
    fn tls_18_three_questions_are_answered_by_themselves() {
        let root = Sample::self_signed(ca("Root"));
        let stranger = Sample::self_signed(ca("Root"));
        let trusted = roots(&[&root]);
        for (sentence, leaf, holds) in [
            ("all is well", root.issue(server(&[MX])), "TDN"),
            ("a wildcard", root.issue(server(&["*.example.com"])), "TDN"),
            (
                "expired",
                root.issue(between(server(&[MX]), 2020, 2021)),
                "T.N",
            ),
            (
                "not yet valid",
                root.issue(between(server(&[MX]), 2030, 2031)),
                "T.N",
            ),
            (
                "valid at no time",
                root.issue(between(server(&[MX]), 2031, 2030)),
                "T.N",
            ),
            (
                "another name",
                root.issue(server(&["mx.example.org"])),
                "TD.",
            ),
            (
                "id_4: a common name only",
                root.issue(server_by_cn(MX)),
                "TD.",
            ),
            (
                "expired, and another name",
                root.issue(between(server(&["a.example"]), 2020, 2021)),
                "T..",
            ),
            (
                "of an unknown CA of the same name",
                stranger.issue(server(&[MX])),
                ".DN",
            ),
            ("self-signed", Sample::self_signed(server(&[MX])), ".DN"),
            (
                "self-signed and expired",
                Sample::self_signed(between(server(&[MX]), 2020, 2021)),
                "..N",
            ),
            (
                "of an unknown CA, not yet valid, and another name",
                stranger.issue(between(server(&["a.example"]), 2030, 2031)),
                "...",
            ),
            (
                "itself a CA",
                root.issue(with(ca("CA"), |p| {
                    p.subject_alt_names = server(&[MX]).subject_alt_names;
                })),
                ".DN",
            ),
            (
                "with a critical extension that nobody knows",
                root.issue(with_unknown_critical(server(&[MX]))),
                ".DN",
            ),
            (
                "for clients only",
                root.issue(with(server(&[MX]), |p| {
                    p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                })),
                ".DN",
            ),
            (
                "for any purpose is not for servers",
                root.issue(with(server(&[MX]), |p| {
                    p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
                })),
                ".DN",
            ),
        ] {
            let report = report(&[&leaf], &trusted);
            assert_eq!(held(&report), holds, "{sentence}: {report:?}");
        }
    }

    #[test]
    fn tls_18_the_issuers_are_held_to_their_constraints() {
        let root = Sample::self_signed(ca("Root"));
        let trusted = roots(&[&root]);
        let path_len = |length| {
            move |p: &mut CertificateParams| {
                p.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
            }
        };
        let permitted = |name: &str| NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(name.to_owned())],
            excluded_subtrees: vec![],
        };
        for (sentence, issuer, holds) in [
            ("a CA", ca("Issuer"), "TDN"),
            ("expired", between(ca("Issuer"), 2020, 2021), "T.N"),
            ("no CA", server_by_cn("Issuer"), ".DN"),
            (
                "a path length that is kept",
                with(ca("Issuer"), path_len(0)),
                "TDN",
            ),
            (
                "a KeyUsage without keyCertSign",
                with(ca("Issuer"), |p| {
                    p.key_usages = vec![KeyUsagePurpose::CrlSign]
                }),
                ".DN",
            ),
            (
                "names permitted",
                with(ca("Issuer"), |p| {
                    p.name_constraints = Some(permitted("example.com"))
                }),
                "TDN",
            ),
            (
                "other names permitted",
                with(ca("Issuer"), |p| {
                    p.name_constraints = Some(permitted("example.org"))
                }),
                ".DN",
            ),
        ] {
            let issuer = root.issue(issuer);
            let leaf = issuer.issue(server(&[MX]));
            let report = report(&[&leaf, &issuer], &trusted);
            assert_eq!(held(&report), holds, "{sentence}: {report:?}");
        }

        let outer = root.issue(with(ca("Outer"), path_len(0)));
        let inner = outer.issue(ca("Inner"));
        let leaf = inner.issue(server(&[MX]));
        assert_eq!(
            held(&report(&[&leaf, &inner, &outer], &trusted)),
            ".DN",
            "a path length that is not kept"
        );
    }

    #[test]
    fn a_chain_may_come_in_any_order_with_anything_in_it() {
        let root = Sample::self_signed(ca("Root"));
        let trusted = roots(&[&root]);
        let outer = root.issue(ca("Outer"));
        let inner = outer.issue(ca("Inner"));
        let leaf = inner.issue(server(&[MX]));
        let decoy = Sample::self_signed(ca("Inner"));
        let unrelated: Vec<Sample> = (0..100)
            .map(|number| Sample::self_signed(ca(&format!("CA {number}"))))
            .collect();
        let mut crowd = vec![&leaf];
        crowd.extend(&unrelated);
        crowd.extend([&outer, &inner]);
        for (sentence, chain, holds) in [
            (
                "in order, with the root",
                vec![&leaf, &inner, &outer, &root],
                "TDN",
            ),
            ("out of order", vec![&leaf, &outer, &inner], "TDN"),
            (
                "twice over",
                vec![&leaf, &inner, &leaf, &inner, &outer],
                "TDN",
            ),
            (
                "after a CA of the same name",
                vec![&leaf, &decoy, &inner, &outer],
                "TDN",
            ),
            (
                "after a hundred that have nothing to do with it",
                crowd,
                "TDN",
            ),
            ("with a gap", vec![&leaf, &outer], ".DN"),
        ] {
            assert_eq!(held(&report(&chain, &trusted)), holds, "{sentence}");
        }
        assert_eq!(
            held(&validate(&[], &trusted, &MX.parse().unwrap(), T0)),
            ".D.",
            "no certificate"
        );
        assert_eq!(
            held(&report(&[&leaf, &inner, &outer], &Roots::new(Vec::new()))),
            ".DN",
            "no roots"
        );
        assert_eq!(
            held(&validate(
                &[CertificateDer::from_slice(b"0")],
                &trusted,
                &MX.parse().unwrap(),
                T0
            )),
            ".D.",
            "no X.509"
        );
    }

    /// A public key without its other half.
    struct Rsa(Vec<u8>);

    impl rcgen::PublicKeyData for Rsa {
        fn der_bytes(&self) -> &[u8] {
            &self.0
        }

        fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
            &rcgen::PKCS_RSA_SHA256
        }
    }

    #[test]
    fn attack_tls_14_a_short_rsa_key_has_no_path_whoever_has_certified_it() {
        let root = Sample::self_signed(ca("Root"));
        let trusted = roots(&[&root]);
        for (certificate, holds) in [
            (
                &include_bytes!("../../testdata/dane/rsa1024.der")[..],
                false,
            ),
            (include_bytes!("../../testdata/dane/rsa2048.der"), true),
        ] {
            let spki = Outline::parse(certificate).unwrap().spki;
            let key = Rsa(split_spki(spki).unwrap().key.to_vec());
            let leaf = root.certify(server(&[MX]), &key);
            let report = validate(&[leaf], &trusted, &MX.parse().unwrap(), T0);
            let wrong = (!holds).then_some("the server's RSA key is shorter than 2048 bits");
            assert_eq!(report.untrusted.as_deref(), wrong);
            assert_eq!(report.wrong_name, None);
        }
    }

    #[test]
    fn attack_tls_13_a_crowd_of_cas_of_one_name_is_not_searched_to_the_end() {
        let cas: Vec<Sample> = (0..20).map(|_| Sample::self_signed(ca("CA"))).collect();
        let leaf = cas[0].issue(server(&[MX]));
        let others: Vec<_> = cas.iter().map(|ca| ca.der.clone()).collect();
        assert_eq!(pool(&leaf.der, &others).len(), MAX_POOL);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_date() {
        let root = Sample::self_signed(ca("Root"));
        let trusted = roots(&[&root]);
        for (from, to, sentence) in [
            (2020, 2024, "expired on 2024-01-01"),
            (2096, 2097, "not valid before 2096-01-01"),
            (2031, 2030, "valid at no time: it ends before it begins"),
        ] {
            let leaf = root.issue(between(server(&[MX]), from, to));
            assert_eq!(
                report(&[&leaf], &trusted).out_of_date.as_deref(),
                Some(sentence)
            );
        }
    }
}
