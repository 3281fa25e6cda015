//! TLSA records: what is well-formed, what is usable for SMTP, and which digests count (RFC 7671 §9).

use std::fmt;

use crate::dns::TlsaRdata;

/// A usable record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// DANE-TA or DANE-EE.
    pub usage: Usage,
    /// What is compared.
    pub selector: Selector,
    /// How it is compared.
    pub matching: Matching,
    /// A digest of 32 or 64 octets, or a whole certificate or key.
    pub data: Vec<u8>,
}

/// The certificate usages that SMTP supports (RFC 7672 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Usage {
    /// 2: a trust anchor of the domain's own.
    DaneTa,
    /// 3: the server's own certificate or key.
    DaneEe,
}

/// RFC 6698 §2.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// 0: the whole certificate.
    Cert,
    /// 1: its SubjectPublicKeyInfo.
    Spki,
}

/// RFC 6698 §2.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Matching {
    /// 0: the data itself.
    Full,
    /// 1: SHA-256.
    Sha256,
    /// 2: SHA-512.
    Sha512,
}

/// The usable records of an RRset, strongest digests only; empty when none is usable (then TLS is mandatory all the
/// same, RFC 7672 §2.2).
#[must_use]
pub fn usable(_rrset: &[TlsaRdata]) -> Vec<Tlsa> {
    unimplemented!()
}

impl fmt::Display for Tlsa {
    /// `3 1 1 ab12…`, as in a zone file.
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}
