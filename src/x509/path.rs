//! Certification paths, reported rather than judged: is there one, do the dates hold, does the name fit.
//!
//! [`validate`] answers for MTA-STS, `search` for MTA-STS and DANE-TA alike; both run webpki (RFC 5280 §6) with
//! *ring*'s algorithms and add what `authority` knows. webpki stops at the first thing wrong, and looks at dates
//! first: where they are, the search is repeated at a time when they hold, so that an expired certificate of an
//! unknown CA is not merely expired. No path, or none that could be found within the limits, is `untrusted`.

use std::ptr;
use std::time::Duration;

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
pub struct Roots(pub Vec<TrustAnchor<'static>>);

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
        anchors: &roots.0,
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

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "webpki's errors are open-ended; all others are about trust"
)]
const fn is_about_dates(error: &Error) -> bool {
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } | Error::InvalidCertValidity => {
            true
        }
        _ => false,
    }
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
        Error::CertDistrusted => "a certificate on the path is distrusted".to_owned(),
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
