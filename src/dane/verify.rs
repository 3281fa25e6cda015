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
    let own = records
        .iter()
        .find(|record| record.usage == Usage::DaneEe && record.matches(leaf));
    if let Some(record) = own {
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

/// How many certificates besides the leaf are looked at; what comes after them is as if it had not been sent.
const MAX_OTHERS: usize = 32;
