//! TLSA records: what is well-formed, what is usable for SMTP, and which digests count (RFC 7671 §9).
//!
//! [`sift`] makes the only [`Tlsa`] values there are from RDATA and says of each record what becomes of it; [`usable`] is
//! what a delivery keeps of them. They know usages 2 and 3 (RFC 7672 §3.1.3), both selectors and three matching types; a
//! record with anything else, with a digest of the wrong length or with a certificate or key that is none, is left out,
//! as if it did not exist (RFC 6698 §4.1). No record left is an answer, not an error.

use std::borrow::Cow;
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

/// What becomes of one record of an RRset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It counts.
    Usable(Tlsa),
    /// A stronger digest of the same usage and selector counts in its place.
    Outdone(Tlsa),
    /// The same record stands before it.
    Repeated(Tlsa),
    /// It is as if it did not exist.
    Unusable(Unusable),
}

/// Why a record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// RDATA without any data (RFC 6698 §2.1).
    #[error(
        "its RDATA has {0} octets; usage, selector, matching type and at least one octet of data are needed"
    )]
    Short(usize),
    /// RFC 7672 §3.1.3 leaves the usages of PKIX undefined for SMTP.
    #[error("usage {0} is none that SMTP supports; those are 2 (DANE-TA) and 3 (DANE-EE)")]
    Usage(u8),
    /// RFC 6698 §2.1.2.
    #[error("selector {0} is not known; those are 0 (certificate) and 1 (public key)")]
    Selector(u8),
    /// RFC 6698 §2.1.3.
    #[error("matching type {0} is not known; those are 0 (in full), 1 (SHA-256) and 2 (SHA-512)")]
    MatchingType(u8),
    /// A digest is always as long as its function makes it.
    #[error("its digest has {seen} octets, not {expected}")]
    DigestLength {
        /// By its matching type.
        expected: usize,
        /// In the record.
        seen: usize,
    },
    /// `x 0 0`.
    #[error("its data is not one certificate")]
    NotACertificate,
    /// `x 1 0`.
    #[error("its data is not one public key")]
    NotAKey,
}

/// The usable records of an RRset, strongest digests only; empty when none is usable (then TLS is mandatory all the
/// same, RFC 7672 §2.2).
#[must_use]
pub fn usable(rrset: &[TlsaRdata]) -> Vec<Tlsa> {
    sift(rrset)
        .into_iter()
        .filter_map(|fate| match fate {
            Fate::Usable(record) => Some(record),
            Fate::Outdone(_) | Fate::Repeated(_) | Fate::Unusable(_) => None,
        })
        .collect()
}

/// What becomes of each record of an RRset, in its order.
#[must_use]
pub fn sift(rrset: &[TlsaRdata]) -> Vec<Fate> {
    // What is malformed goes first, so that it cannot drive out a weaker digest that is not.
    let parsed: Vec<Result<Tlsa, Unusable>> = rrset.iter().map(|rdata| parse(rdata)).collect();
    let mut fates: Vec<Fate> = Vec::with_capacity(parsed.len());
    for record in &parsed {
        let fate = match record {
            Err(why) => Fate::Unusable(*why),
            Ok(record) if outdone(record, &parsed) => Fate::Outdone(record.clone()),
            Ok(record) => {
                let usable = Fate::Usable(record.clone());
                if fates.contains(&usable) {
                    Fate::Repeated(record.clone())
                } else {
                    usable
                }
            }
        };
        fates.push(fate);
    }
    fates
}

/// RFC 7671 §9: a digest does not count beside a stronger one of the same usage and selector; whole data always does.
fn outdone(record: &Tlsa, parsed: &[Result<Tlsa, Unusable>]) -> bool {
    record.matching != Matching::Full
        && parsed.iter().flatten().any(|other| {
            (other.usage, other.selector) == (record.usage, record.selector)
                && other.matching > record.matching
        })
}

/// The RDATA that publishes what a selector selects: a certificate or a SubjectPublicKeyInfo.
#[must_use]
pub fn rdata(usage: Usage, selector: Selector, matching: Matching, selected: &[u8]) -> TlsaRdata {
    let head = [usage.number(), selector.number(), matching.number()];
    [&head[..], &matching.of(selected)].concat()
}

fn parse(rdata: &[u8]) -> Result<Tlsa, Unusable> {
    let [usage, selector, matching, data @ ..] = rdata else {
        return Err(Unusable::Short(rdata.len()));
    };
    if data.is_empty() {
        return Err(Unusable::Short(rdata.len()));
    }
    let record = Tlsa {
        usage: match usage {
            2 => Usage::DaneTa,
            3 => Usage::DaneEe,
            other => return Err(Unusable::Usage(*other)),
        },
        selector: match selector {
            0 => Selector::Cert,
            1 => Selector::Spki,
            other => return Err(Unusable::Selector(*other)),
        },
        matching: match matching {
            0 => Matching::Full,
            1 => Matching::Sha256,
            2 => Matching::Sha512,
            other => return Err(Unusable::MatchingType(*other)),
        },
        data: data.to_vec(),
    };
    record.check().map(|()| record)
}

impl Tlsa {
    fn check(&self) -> Result<(), Unusable> {
        let digest_of = |expected| {
            let seen = self.data.len();
            if seen == expected {
                Ok(())
            } else {
                Err(Unusable::DigestLength { expected, seen })
            }
        };
        match (self.matching, self.selector) {
            (Matching::Full, Selector::Cert) => Outline::parse(&self.data)
                .map(drop)
                .map_err(|_| Unusable::NotACertificate),
            (Matching::Full, Selector::Spki) => split_spki(&self.data)
                .map(drop)
                .map_err(|_| Unusable::NotAKey),
            (Matching::Sha256, _) => digest_of(digest::SHA256_OUTPUT_LEN),
            (Matching::Sha512, _) => digest_of(digest::SHA512_OUTPUT_LEN),
        }
    }

    /// Whether the record is about this certificate; its usage is left aside.
    #[must_use]
    pub fn matches(&self, certificate: &[u8]) -> bool {
        match self.selector {
            Selector::Cert => self.matching.of(certificate) == self.data,
            Selector::Spki => {
                Outline::parse(certificate).is_ok_and(|outline| self.matches_key(outline.spki))
            }
        }
    }

    /// Whether the record is about this SubjectPublicKeyInfo, whatever certificate carries it.
    #[must_use]
    pub fn matches_key(&self, spki: &[u8]) -> bool {
        self.selector == Selector::Spki && self.matching.of(spki) == self.data
    }
}

impl Usage {
    /// As in the record.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::DaneTa => 2,
            Self::DaneEe => 3,
        }
    }
}

impl Selector {
    /// As in the record.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Cert => 0,
            Self::Spki => 1,
        }
    }
}

impl Matching {
    /// As in the record.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Full => 0,
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// What a record has as data for what its selector selects.
    #[must_use]
    pub fn of(self, selected: &[u8]) -> Cow<'_, [u8]> {
        let algorithm = match self {
            Self::Full => return Cow::Borrowed(selected),
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        };
        Cow::Owned(digest::digest(algorithm, selected).as_ref().to_vec())
    }
}

impl fmt::Display for Tlsa {
    /// `3 1 1 ab12…`, as in a zone file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [usage, selector, matching] = [
            self.usage.number(),
            self.selector.number(),
            self.matching.number(),
        ];
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
    fn digest_of(usage: u8, selector: u8, matching: u8, length: usize) -> TlsaRdata {
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
    fn tlsa_7_dns_16_what_fills_64_kib_and_is_not_what_it_should_be_is_unusable() {
        for kind in [[3, 1, 1], [3, 0, 0], [2, 1, 0]] {
            let rdata = digest_of(kind[0], kind[1], kind[2], 65_532);
            assert!(usable(&[rdata]).is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn tlsa_1_tlsa_6_tlsa_7_tlsa_10_dane_03_what_is_usable() {
        let sample = Sample::self_signed(server(&[]));
        let cert = [&[3, 0, 0], &sample.der[..]].concat();
        let spki = [&[2, 1, 0], sample.spki()].concat();
        for (sentence, rdata, is_usable) in [
            ("3 1 1", digest_of(3, 1, 1, 32), true),
            ("3 0 2", digest_of(3, 0, 2, 64), true),
            ("2 1 2", digest_of(2, 1, 2, 64), true),
            ("2 0 1", digest_of(2, 0, 1, 32), true),
            ("a whole certificate", cert.clone(), true),
            ("a whole key", spki.clone(), true),
            ("nothing at all", vec![], false),
            ("one octet", vec![3], false),
            ("two octets", vec![3, 1], false),
            ("no data", vec![3, 1, 1], false),
            ("no data to be matched in full", vec![3, 1, 0], false),
            ("a short SHA-256", digest_of(3, 1, 1, 31), false),
            ("a long SHA-256", digest_of(3, 1, 1, 33), false),
            ("a short SHA-512", digest_of(3, 1, 2, 63), false),
            (
                "a SHA-512 where SHA-256 is said",
                digest_of(3, 1, 1, 64),
                false,
            ),
            ("usage 0", digest_of(0, 0, 1, 32), false),
            ("usage 1", digest_of(1, 1, 1, 32), false),
            ("usage 4", digest_of(4, 1, 1, 32), false),
            ("usage 255", digest_of(255, 1, 1, 32), false),
            ("selector 2", digest_of(3, 2, 1, 32), false),
            ("selector 255", digest_of(3, 255, 1, 32), false),
            ("matching type 3", digest_of(3, 1, 3, 32), false),
            ("matching type 255", digest_of(3, 1, 255, 32), false),
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
                vec![
                    digest_of(3, 1, 1, 32),
                    digest_of(3, 1, 2, 64),
                    digest_of(3, 1, 1, 32),
                ],
                vec!["3 1 2 aba"],
            ),
            (
                "a malformed SHA-512 drives nothing out",
                vec![digest_of(3, 1, 1, 32), digest_of(3, 1, 2, 63)],
                vec!["3 1 1 aba"],
            ),
            (
                "an unknown matching type drives nothing out",
                vec![digest_of(3, 1, 1, 32), digest_of(3, 1, 9, 64)],
                vec!["3 1 1 aba"],
            ),
            (
                "a key in full stays beside a digest",
                vec![full(3), digest_of(3, 1, 1, 32), digest_of(3, 1, 2, 64)],
                vec!["3 1 0 305", "3 1 2 aba"],
            ),
            (
                "a key in full drives nothing out",
                vec![digest_of(3, 1, 1, 32), full(3)],
                vec!["3 1 1 aba", "3 1 0 305"],
            ),
            (
                "selectors are apart",
                vec![digest_of(3, 0, 2, 64), digest_of(3, 1, 1, 32)],
                vec!["3 0 2 aba", "3 1 1 aba"],
            ),
            (
                "usages are apart",
                vec![digest_of(2, 1, 2, 64), digest_of(3, 1, 1, 32)],
                vec!["2 1 2 aba", "3 1 1 aba"],
            ),
            (
                "an unusable usage drives nothing out",
                vec![digest_of(1, 1, 2, 64), digest_of(3, 1, 1, 32)],
                vec!["3 1 1 aba"],
            ),
            (
                "the same record twice is one",
                vec![digest_of(3, 1, 1, 32), digest_of(3, 1, 1, 32)],
                vec!["3 1 1 aba"],
            ),
        ] {
            assert_eq!(shown(&rrset), kept, "{sentence}");
        }
    }

    #[test]
    fn tlsa_6_tlsa_7_tlsa_11_each_record_is_told_what_becomes_of_it() {
        let fates = sift(&[
            vec![3, 1],
            vec![3, 1, 1],
            digest_of(1, 1, 1, 32),
            digest_of(3, 7, 1, 32),
            digest_of(3, 1, 9, 32),
            digest_of(3, 1, 1, 31),
            digest_of(3, 1, 2, 65),
            digest_of(3, 0, 0, 9),
            digest_of(2, 1, 0, 9),
            digest_of(3, 1, 1, 32),
            digest_of(3, 1, 2, 64),
            digest_of(3, 1, 2, 64),
        ]);
        let told: Vec<Result<&str, Unusable>> = fates
            .iter()
            .map(|fate| match fate {
                Fate::Usable(_) => Ok("usable"),
                Fate::Outdone(_) => Ok("outdone"),
                Fate::Repeated(_) => Ok("repeated"),
                Fate::Unusable(why) => Err(*why),
            })
            .collect();
        let length = |expected, seen| Err(Unusable::DigestLength { expected, seen });
        assert_eq!(
            told,
            [
                Err(Unusable::Short(2)),
                Err(Unusable::Short(3)),
                Err(Unusable::Usage(1)),
                Err(Unusable::Selector(7)),
                Err(Unusable::MatchingType(9)),
                length(32, 31),
                length(64, 65),
                Err(Unusable::NotACertificate),
                Err(Unusable::NotAKey),
                Ok("outdone"),
                Ok("usable"),
                Ok("repeated"),
            ]
        );
    }

    #[test]
    fn what_is_published_for_a_certificate_matches_it() {
        let sample = Sample::self_signed(server(&[]));
        for usage in [Usage::DaneTa, Usage::DaneEe] {
            for (selector, selected) in [
                (Selector::Cert, &sample.der[..]),
                (Selector::Spki, sample.spki()),
            ] {
                for matching in [Matching::Full, Matching::Sha256, Matching::Sha512] {
                    let records = usable(&[rdata(usage, selector, matching, selected)]);
                    let record = &records[0];
                    assert_eq!(
                        (record.usage, record.selector, record.matching),
                        (usage, selector, matching)
                    );
                    assert!(record.matches(&sample.der), "{record}");
                    assert_eq!(
                        record.matches_key(sample.spki()),
                        selector == Selector::Spki,
                        "a key alone says nothing of a certificate: {record}"
                    );
                }
            }
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
        let record = &usable(&[digest_of(3, 1, 1, 32)])[0];
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
                    digest_of(usage, selector, matching, 32 * usize::from(matching))
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
