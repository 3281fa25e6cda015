//! Certificates as evidence: read without judging more than is asked. Pure.
//!
//! [`outline`] walks the DER of a certificate just far enough to find its public key, for proof of possession and
//! DANE-EE, where nothing but the key counts (RFC 7672 §3.1.1). [`names`] compares names with what a certificate
//! presents, [`issuer`] says who issued it. [`path`] builds certification paths through webpki (RFC 5280 §6), for MTA-STS and DANE-TA alike, and
//! reports trust, dates and name separately; `authority` holds what webpki leaves unasked of the issuers on a path, and
//! [`proof`] how long a path that was found need not be looked for again.

mod authority;
pub mod issuer;
pub mod names;
pub mod outline;
pub mod path;
pub mod proof;
#[cfg(test)]
pub(crate) mod sample;

pub(crate) use authority::check_anchor;
