//! Certification paths, reported rather than judged: is there one, do the dates hold, does the name fit.

use rustls_pki_types::{CertificateDer, TrustAnchor};

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
    _chain: &[CertificateDer<'_>],
    _roots: &Roots,
    _name: &DnsName,
    _now: Timestamp,
) -> PathReport {
    unimplemented!()
}
