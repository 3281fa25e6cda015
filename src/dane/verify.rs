//! A presented chain against usable TLSA records.

use rustls_pki_types::CertificateDer;

use super::Tlsa;
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
    /// Where in the chain its certificate stands, 0 for the leaf.
    pub depth: usize,
}

/// Why no record authenticates the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// No record matches any certificate it could.
    #[error("no TLSA record matches the presented certificates")]
    NoMatch,
    /// DANE-TA: the path holds, but the leaf carries none of the reference identifiers.
    #[error("the certificate names {presented:?}")]
    Name {
        /// The DNS-IDs, or the CN where there are none.
        presented: Vec<String>,
    },
    /// DANE-TA: a certificate on the path is out of date.
    #[error("a certificate on the path is out of date: {0}")]
    Dates(String),
    /// DANE-TA: an anchor matches, but no valid path leads to it.
    #[error("no valid path to the matching trust anchor: {0}")]
    Path(String),
}

/// Decides whether any of `records` authenticates the server at `now`.
///
/// # Errors
/// The [`Mismatch`] that came closest to a match.
pub fn verify(
    _records: &[Tlsa],
    _presented: Presented<'_>,
    _now: Timestamp,
) -> Result<Match, Mismatch> {
    unimplemented!()
}
