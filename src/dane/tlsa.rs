//! TLSA records: what is well-formed, what is usable for SMTP, and which digests count (RFC 7671 §9).
//!
//! [`usable`] makes the only [`Tlsa`] values there are from RDATA. It knows usages 2 and 3 (RFC 7672 §3.1.3), both
//! selectors and three matching types; a record with anything else, with a digest of the wrong length or with a
//! certificate or key that is none, is left out, as if it did not exist (RFC 6698 §4.1). No record left is an answer,
//! not an error.

use std::fmt;

use ring::digest;

use crate::dns::TlsaRdata;
use crate::x509::outline::{Outline, split_spki};

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

/// RFC 6698 §2.1.3, weakest digest first.
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
pub fn usable(rrset: &[TlsaRdata]) -> Vec<Tlsa> {
    // What is malformed goes first, so that it cannot drive out a weaker digest that is not.
    let records: Vec<Tlsa> = rrset.iter().filter_map(|rdata| parse(rdata)).collect();
    let mut kept: Vec<Tlsa> = Vec::with_capacity(records.len());
    for record in &records {
        if !outdone(record, &records) && !kept.contains(record) {
            kept.push(record.clone());
        }
    }
    kept
}

/// RFC 7671 §9: a digest does not count beside a stronger one of the same usage and selector; whole data always does.
fn outdone(record: &Tlsa, records: &[Tlsa]) -> bool {
    record.matching != Matching::Full
        && records.iter().any(|other| {
            (other.usage, other.selector) == (record.usage, record.selector)
                && other.matching > record.matching
        })
}

fn parse(rdata: &[u8]) -> Option<Tlsa> {
    let [usage, selector, matching, data @ ..] = rdata else {
        return None;
    };
    let record = Tlsa {
        usage: match usage {
            2 => Usage::DaneTa,
            3 => Usage::DaneEe,
            _ => return None,
        },
        selector: match selector {
            0 => Selector::Cert,
            1 => Selector::Spki,
            _ => return None,
        },
        matching: match matching {
            0 => Matching::Full,
            1 => Matching::Sha256,
            2 => Matching::Sha512,
            _ => return None,
        },
        data: data.to_vec(),
    };
    record.is_well_formed().then_some(record)
}

impl Tlsa {
    fn is_well_formed(&self) -> bool {
        match (self.matching, self.selector) {
            (Matching::Full, Selector::Cert) => Outline::parse(&self.data).is_ok(),
            (Matching::Full, Selector::Spki) => split_spki(&self.data).is_ok(),
            (Matching::Sha256, _) => self.data.len() == digest::SHA256_OUTPUT_LEN,
            (Matching::Sha512, _) => self.data.len() == digest::SHA512_OUTPUT_LEN,
        }
    }

    /// Whether the record is about this certificate; its usage is left aside.
    #[must_use]
    pub fn matches(&self, certificate: &[u8]) -> bool {
        let selected = match self.selector {
            Selector::Cert => certificate,
            Selector::Spki => match Outline::parse(certificate) {
                Ok(outline) => outline.spki,
                Err(_) => return false,
            },
        };
        match self.matching {
            Matching::Full => selected == self.data,
            Matching::Sha256 => digest::digest(&digest::SHA256, selected).as_ref() == self.data,
            Matching::Sha512 => digest::digest(&digest::SHA512, selected).as_ref() == self.data,
        }
    }
}

impl fmt::Display for Tlsa {
    /// `3 1 1 ab12…`, as in a zone file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usage = match self.usage {
            Usage::DaneTa => 2,
            Usage::DaneEe => 3,
        };
        let selector = match self.selector {
            Selector::Cert => 0,
            Selector::Spki => 1,
        };
        let matching = match self.matching {
            Matching::Full => 0,
            Matching::Sha256 => 1,
            Matching::Sha512 => 2,
        };
        write!(f, "{usage} {selector} {matching} ")?;
        self.data
            .iter()
            .try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
