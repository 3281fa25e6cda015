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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::x509::sample::{Sample, server};

    /// RDATA with a digest of this many octets.
    fn rdata(usage: u8, selector: u8, matching: u8, length: usize) -> TlsaRdata {
        let mut rdata = vec![usage, selector, matching];
        rdata.resize(3 + length, 0xab);
        rdata
    }

    fn shown(rrset: &[TlsaRdata]) -> Vec<String> {
        usable(rrset)
            .iter()
            .map(|record| record.to_string().chars().take(9).collect())
            .collect()
    }

    #[test]
    fn tlsa_1_tlsa_6_tlsa_7_tlsa_10_dane_03_what_is_usable() {
        let sample = Sample::self_signed(server(&[]));
        let cert = [&[3, 0, 0], &sample.der[..]].concat();
        let spki = [&[2, 1, 0], sample.spki()].concat();
        for (sentence, rdata, is_usable) in [
            ("3 1 1", rdata(3, 1, 1, 32), true),
            ("3 0 2", rdata(3, 0, 2, 64), true),
            ("2 1 2", rdata(2, 1, 2, 64), true),
            ("2 0 1", rdata(2, 0, 1, 32), true),
            ("a whole certificate", cert.clone(), true),
            ("a whole key", spki.clone(), true),
            ("nothing at all", vec![], false),
            ("one octet", vec![3], false),
            ("two octets", vec![3, 1], false),
            ("no data", vec![3, 1, 1], false),
            ("no data to be matched in full", vec![3, 1, 0], false),
            ("a short SHA-256", rdata(3, 1, 1, 31), false),
            ("a long SHA-256", rdata(3, 1, 1, 33), false),
            ("a short SHA-512", rdata(3, 1, 2, 63), false),
            ("a SHA-512 where SHA-256 is said", rdata(3, 1, 1, 64), false),
            (
                "64 KiB where a digest is said",
                rdata(3, 1, 1, 65_532),
                false,
            ),
            (
                "64 KiB that are no certificate",
                rdata(3, 0, 0, 65_532),
                false,
            ),
            ("64 KiB that are no key", rdata(2, 1, 0, 65_532), false),
            ("usage 0", rdata(0, 0, 1, 32), false),
            ("usage 1", rdata(1, 1, 1, 32), false),
            ("usage 4", rdata(4, 1, 1, 32), false),
            ("usage 255", rdata(255, 1, 1, 32), false),
            ("selector 2", rdata(3, 2, 1, 32), false),
            ("selector 255", rdata(3, 255, 1, 32), false),
            ("matching type 3", rdata(3, 1, 3, 32), false),
            ("matching type 255", rdata(3, 1, 255, 32), false),
            (
                "no certificate where one is said",
                [&[3, 0, 0], sample.spki()].concat(),
                false,
            ),
            (
                "no key where one is said",
                [&[3, 1, 0], &sample.der[..]].concat(),
                false,
            ),
            (
                "a certificate with an octet more",
                [&cert[..], &[0]].concat(),
                false,
            ),
            (
                "a key with an octet less",
                spki[..spki.len() - 1].to_vec(),
                false,
            ),
        ] {
            assert_eq!(usable(&[rdata]).len() == 1, is_usable, "{sentence}");
        }
        assert_eq!(usable(&[]), [], "an empty RRset");
    }

    #[test]
    fn tlsa_11_dane_04_the_strongest_digest_counts_per_usage_and_selector() {
        let sample = Sample::self_signed(server(&[]));
        let full = |usage| [&[usage, 1, 0], sample.spki()].concat();
        for (sentence, rrset, kept) in [
            (
                "SHA-512 drives SHA-256 out, wherever it stands",
                vec![rdata(3, 1, 1, 32), rdata(3, 1, 2, 64), rdata(3, 1, 1, 32)],
                vec!["3 1 2 aba"],
            ),
            (
                "a malformed SHA-512 drives nothing out",
                vec![rdata(3, 1, 1, 32), rdata(3, 1, 2, 63)],
                vec!["3 1 1 aba"],
            ),
            (
                "an unknown matching type drives nothing out",
                vec![rdata(3, 1, 1, 32), rdata(3, 1, 9, 64)],
                vec!["3 1 1 aba"],
            ),
            (
                "a key in full stays beside a digest",
                vec![full(3), rdata(3, 1, 1, 32), rdata(3, 1, 2, 64)],
                vec!["3 1 0 305", "3 1 2 aba"],
            ),
            (
                "a key in full drives nothing out",
                vec![rdata(3, 1, 1, 32), full(3)],
                vec!["3 1 1 aba", "3 1 0 305"],
            ),
            (
                "selectors are apart",
                vec![rdata(3, 0, 2, 64), rdata(3, 1, 1, 32)],
                vec!["3 0 2 aba", "3 1 1 aba"],
            ),
            (
                "usages are apart",
                vec![rdata(2, 1, 2, 64), rdata(3, 1, 1, 32)],
                vec!["2 1 2 aba", "3 1 1 aba"],
            ),
            (
                "an unusable usage drives nothing out",
                vec![rdata(1, 1, 2, 64), rdata(3, 1, 1, 32)],
                vec!["3 1 1 aba"],
            ),
            (
                "the same record twice is one",
                vec![rdata(3, 1, 1, 32), rdata(3, 1, 1, 32)],
                vec!["3 1 1 aba"],
            ),
        ] {
            assert_eq!(shown(&rrset), kept, "{sentence}");
        }
    }

    #[test]
    fn tlsa_9_records_match_by_selector_and_matching_type() {
        let sample = Sample::self_signed(server(&[]));
        let other = Sample::self_signed(server(&[]));
        for (selector, selected) in [(0, &sample.der[..]), (1, sample.spki())] {
            for (matching, data) in [
                (0, selected.to_vec()),
                (
                    1,
                    digest::digest(&digest::SHA256, selected).as_ref().to_vec(),
                ),
                (
                    2,
                    digest::digest(&digest::SHA512, selected).as_ref().to_vec(),
                ),
            ] {
                let record = &usable(&[[&[3, selector, matching], &data[..]].concat()])[0];
                assert!(record.matches(&sample.der), "{record}");
                assert!(!record.matches(&other.der), "{record}");
                assert!(!record.matches(b"no certificate"), "{record}");
            }
        }
    }

    #[test]
    fn a_record_is_shown_as_in_a_zone_file() {
        let record = &usable(&[rdata(3, 1, 1, 32)])[0];
        assert_eq!(record.to_string(), format!("3 1 1 {}", "ab".repeat(32)));
    }

    proptest! {
        #[test]
        fn no_rdata_makes_it_panic(
            rrset in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..5),
        ) {
            for record in usable(&rrset) {
                let _ = record.matches(&rrset[0]);
            }
        }

        /// Agility leaves something of every usage and selector that had something.
        #[test]
        fn tlsa_11_agility_never_empties_a_set(
            kinds in prop::collection::vec((2_u8..4, 0_u8..2, 1_u8..3), 1..8),
        ) {
            let rrset: Vec<_> = kinds
                .iter()
                .map(|&(usage, selector, matching)| {
                    rdata(usage, selector, matching, 32 * usize::from(matching))
                })
                .collect();
            let kept = shown(&rrset);
            for (usage, selector, _) in kinds {
                let prefix = format!("{usage} {selector} ");
                prop_assert_eq!(kept.iter().filter(|record| record.starts_with(&prefix)).count(), 1);
            }
        }
    }
}
