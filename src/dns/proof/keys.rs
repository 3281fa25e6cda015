//! The keys of a zone: from the trust anchor for the root, from DS records below it (RFC 4035 §5.2).
//!
//! A DNSKEY RRset counts only when a key that the anchor or a DS record vouches for has signed the whole set; that one key
//! vouches for the others (RFC 4035 §5.3; RUSTSEC-2025-0006 was a validator that left this out).

use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS};
use hickory_resolver::proto::dnssec::{Algorithm, DigestType, PublicKey, TrustAnchors};
use hickory_resolver::proto::rr::{Name, RData};

use super::rrset::RrSet;
use super::signature::Effort;
use super::{Flaw, Terms, signature};
use crate::clock::Timestamp;

/// The keys that may sign in a zone.
#[derive(Clone, Debug)]
pub(in crate::dns) struct ZoneKeys {
    zone: Name,
    keys: Vec<Key>,
    expires: Timestamp,
}

#[derive(Clone, Debug)]
struct Key {
    tag: u16,
    dnskey: DNSKEY,
}

/// What vouches for the keys of the root: the keys themselves, or their digests.
pub(in crate::dns) struct RootTrust {
    /// Keys.
    pub(in crate::dns) keys: TrustAnchors,
    /// Digests.
    pub(in crate::dns) ds: Vec<DS>,
}

/// What a validated DS RRset says about the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dns) enum DsSet {
    /// The child is signed; one of these must match.
    Usable(Vec<DS>),
    /// Algorithms or digests that nobody here knows: to be treated as unsigned (RFC 4035 §5.2, RFC 6840 §5.2).
    Unsupported,
}

impl ZoneKeys {
    /// The keys of the root zone, when one that the anchor holds signed its DNSKEY RRset.
    pub(in crate::dns) fn of_root(
        dnskeys: &RrSet,
        anchor: &RootTrust,
        terms: Terms<'_>,
    ) -> Result<Self, Flaw> {
        let keys = zone_keys(dnskeys)?;
        let is_entry = |key: &&Key| {
            anchor.keys.contains(key.dnskey.public_key())
                || is_named(key, dnskeys.owner(), &anchor.ds)
        };
        let entry: Vec<Key> = keys.iter().filter(is_entry).cloned().collect();
        if entry.is_empty() {
            return Err(Flaw::AnchorUnmatched);
        }
        let entry = Self::new(dnskeys, entry, END_OF_TIME);
        entry.vouching_for(keys, dnskeys, terms)
    }

    /// The keys of a child zone, when one that its DS records name signed its DNSKEY RRset.
    pub(in crate::dns) fn of_child(
        dnskeys: &RrSet,
        ds: &[DS],
        terms: Terms<'_>,
        ds_expires: Timestamp,
    ) -> Result<Self, Flaw> {
        let keys = zone_keys(dnskeys)?;
        let is_entry = |key: &&Key| is_named(key, dnskeys.owner(), ds);
        let entry: Vec<Key> = keys.iter().filter(is_entry).cloned().collect();
        if entry.is_empty() {
            return Err(Flaw::DsUnmatched);
        }
        let entry = Self::new(dnskeys, entry, ds_expires);
        entry.vouching_for(keys, dnskeys, terms)
    }

    fn new(dnskeys: &RrSet, keys: Vec<Key>, expires: Timestamp) -> Self {
        Self {
            zone: dnskeys.owner().clone(),
            keys,
            expires,
        }
    }

    /// All keys of the zone, when one of these has signed the set.
    fn vouching_for(self, keys: Vec<Key>, dnskeys: &RrSet, terms: Terms<'_>) -> Result<Self, Flaw> {
        let expires = signature::verify_unexpanded(&mut Effort::one_set(terms), dnskeys, &self)?;
        Ok(Self {
            keys,
            expires,
            ..self
        })
    }

    /// The apex.
    pub(in crate::dns) const fn zone(&self) -> &Name {
        &self.zone
    }

    /// Until when these are the keys.
    pub(in crate::dns) const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The tags of the keys that may sign.
    pub(in crate::dns) fn tags(&self) -> Vec<u16> {
        self.keys.iter().map(|key| key.tag).collect()
    }

    /// The keys with this tag and algorithm; the tag is a checksum and may be shared (RFC 4034 §8).
    pub(in crate::dns) fn fitting(
        &self,
        tag: u16,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &DNSKEY> {
        self.keys
            .iter()
            .filter(move |key| key.tag == tag && key.dnskey.public_key().algorithm() == algorithm)
            .map(|key| &key.dnskey)
    }
}

impl DsSet {
    /// Leaves out what cannot be used, and SHA-1 where a SHA-2 digest stands beside it (RFC 4509 §3).
    pub(in crate::dns) fn read(set: &RrSet) -> Self {
        let mut usable: Vec<DS> = set
            .data()
            .filter_map(ds)
            .filter(|ds| ds.algorithm().is_supported() && ds.digest_type().is_supported())
            .cloned()
            .collect();
        if usable.iter().any(|ds| ds.digest_type() != DigestType::SHA1) {
            usable.retain(|ds| ds.digest_type() != DigestType::SHA1);
        }
        if usable.is_empty() {
            Self::Unsupported
        } else {
            Self::Usable(usable)
        }
    }
}

/// The keys of the RRset that may sign zone data: zone keys (RFC 4034 §2.1.1), not revoked (RFC 5011 §2.1), of an algorithm
/// that can be checked and of a size that it allows. Too many are refused before anything is computed with them.
fn zone_keys(dnskeys: &RrSet) -> Result<Vec<Key>, Flaw> {
    let usable = |dnskey: &&DNSKEY| {
        dnskey.zone_key()
            && !dnskey.revoke()
            && dnskey.public_key().algorithm().is_supported()
            && dnskey.public_key().public_bytes().len() <= LARGEST_KEY
    };
    let usable: Vec<&DNSKEY> = dnskeys.data().filter_map(dnskey).filter(usable).collect();
    if usable.len() > MOST_KEYS {
        return Err(Flaw::TooMuchWork);
    }
    let key = |dnskey: &DNSKEY| {
        let tag = dnskey.calculate_key_tag().ok()?;
        let dnskey = dnskey.clone();
        Some(Key { tag, dnskey })
    };
    Ok(usable.into_iter().filter_map(key).collect())
}

/// Does a DS record hold this key's digest? Each digest type is computed once, however many records share the tag.
fn is_named(key: &Key, zone: &Name, ds: &[DS]) -> bool {
    [DigestType::SHA256, DigestType::SHA384, DigestType::SHA1]
        .into_iter()
        .any(|digest_type| {
            let mut candidates = ds
                .iter()
                .filter(|ds| {
                    ds.key_tag() == key.tag
                        && ds.algorithm() == key.dnskey.public_key().algorithm()
                        && ds.digest_type() == digest_type
                })
                .peekable();
            if candidates.peek().is_none() {
                return false;
            }
            let Ok(digest) = key.dnskey.to_digest(zone, digest_type) else {
                return false;
            };
            candidates.any(|ds| ds.digest() == digest.as_ref())
        })
}

fn dnskey(data: &RData) -> Option<&DNSKEY> {
    if let RData::DNSSEC(DNSSECRData::DNSKEY(key)) = data {
        return Some(key);
    }
    None
}

fn ds(data: &RData) -> Option<&DS> {
    if let RData::DNSSEC(DNSSECRData::DS(ds)) = data {
        return Some(ds);
    }
    None
}

/// A zone in the middle of every roll at once has a handful.
const MOST_KEYS: usize = 24;

/// Octets: an RSA modulus has at most 4096 bits (RFC 3110 §2, RFC 5702 §2), and larger ones take milliseconds. Before it stand
/// an exponent of at most five octets, which is all that is computed with, and its length.
const LARGEST_KEY: usize = 3 + 5 + 512;

const END_OF_TIME: Timestamp = Timestamp::from_unix(u64::MAX);

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::{Record, RecordType};

    use super::*;
    use crate::dns::purse::Purses;
    use crate::dns::sample::{T0, TTL, ZoneKey, name};

    const NOW: Timestamp = Timestamp::from_unix(T0);

    fn terms(purses: &Purses) -> Terms<'_> {
        Terms { now: NOW, purses }
    }

    fn set(records: Vec<RData>, signed_by: &ZoneKey) -> RrSet {
        let zone = name("z");
        let mut records: Vec<Record> = records
            .into_iter()
            .map(|data| Record::from_rdata(zone.clone(), TTL, data))
            .collect();
        let record_type = records[0].record_type();
        records.push(signed_by.sign(&zone, &records));
        RrSet::select(&records, &zone, record_type).unwrap()
    }

    fn ds_set(ds: Vec<DS>) -> RrSet {
        let data = ds
            .into_iter()
            .map(|ds| RData::DNSSEC(DNSSECRData::DS(ds)))
            .collect();
        set(data, &ZoneKey::generate())
    }

    #[test]
    fn dnssec_8_ds_records_that_nobody_can_use_make_a_zone_unsigned_and_only_they() {
        let key = ZoneKey::generate();
        let ds = |digest_type| key.ds(&name("z"), digest_type);
        let strange = |algorithm, digest_type| DS::new(1, algorithm, digest_type, vec![0; 32]);
        let unknown_algorithm = strange(Algorithm::Unknown(200), DigestType::SHA256);
        let unknown_digest = strange(Algorithm::ED25519, DigestType::Unknown(3));
        let (sha1, sha256) = (ds(DigestType::SHA1), ds(DigestType::SHA256));
        let sha384 = ds(DigestType::SHA384);
        for (says, given, usable) in [
            ("one", vec![sha256.clone()], vec![sha256.clone()]),
            ("SHA-1 alone", vec![sha1.clone()], vec![sha1.clone()]),
            (
                "SHA-1 beside SHA-256 does not count",
                vec![sha1.clone(), sha256.clone()],
                vec![sha256.clone()],
            ),
            (
                "SHA-1 beside SHA-384 does not count",
                vec![sha384.clone(), sha1.clone()],
                vec![sha384.clone()],
            ),
            (
                "SHA-256 and SHA-384 both count",
                vec![sha256.clone(), sha384.clone()],
                vec![sha256.clone(), sha384],
            ),
            (
                "a SHA-256 of an unknown algorithm does not rule out SHA-1",
                vec![sha1.clone(), unknown_algorithm.clone()],
                vec![sha1],
            ),
            (
                "known beside unknown",
                vec![unknown_digest.clone(), sha256.clone()],
                vec![sha256],
            ),
            (
                "unknown only",
                vec![unknown_algorithm, unknown_digest],
                vec![],
            ),
        ] {
            let expected = if usable.is_empty() {
                DsSet::Unsupported
            } else {
                DsSet::Usable(usable)
            };
            assert_eq!(DsSet::read(&ds_set(given)), expected, "{says}");
        }
    }

    #[test]
    fn dnssec_7_the_key_that_the_ds_names_must_sign_the_set() {
        let (named, other) = (ZoneKey::generate(), ZoneKey::generate());
        let revoked = named.clone_with_flags(0b1_1000_0001);
        let ds = |key: &ZoneKey| vec![key.ds(&name("z"), DigestType::SHA256)];
        let both = || vec![named.dnskey(), other.dnskey()];
        for (says, set, ds, expected) in [
            ("it does", set(both(), &named), ds(&named), Ok(2)),
            (
                "another does",
                set(both(), &other),
                ds(&named),
                Err(Flaw::NoSuchKey),
            ),
            (
                "it is not there",
                set(vec![other.dnskey()], &other),
                ds(&named),
                Err(Flaw::DsUnmatched),
            ),
            (
                "the digest is that of another key with its tag",
                set(both(), &named),
                vec![DS::new(
                    ds(&named)[0].key_tag(),
                    Algorithm::ED25519,
                    DigestType::SHA256,
                    ds(&other)[0].digest().to_vec(),
                )],
                Err(Flaw::DsUnmatched),
            ),
            (
                "it is revoked",
                set(vec![revoked.dnskey()], &revoked),
                ds(&revoked),
                Err(Flaw::DsUnmatched),
            ),
            (
                "there are more keys than any zone has",
                set(
                    (0..25)
                        .map(|_| ZoneKey::generate().dnskey())
                        .chain([named.dnskey()])
                        .collect(),
                    &named,
                ),
                ds(&named),
                Err(Flaw::TooMuchWork),
            ),
        ] {
            let keys = ZoneKeys::of_child(&set, &ds, terms(&Purses::new(None)), END_OF_TIME);
            assert_eq!(keys.map(|keys| keys.keys.len()), expected, "{says}");
        }
    }

    #[test]
    fn dnssec_2_the_root_needs_a_key_of_the_anchor() {
        let (key, other) = (ZoneKey::generate(), ZoneKey::generate());
        let root = |key: &ZoneKey| {
            let mut records = vec![Record::from_rdata(Name::root(), TTL, key.dnskey())];
            records.push(key.sign(&Name::root(), &records));
            RrSet::select(&records, &Name::root(), RecordType::DNSKEY).unwrap()
        };
        let keys =
            ZoneKeys::of_root(&root(&key), &key.anchor(), terms(&Purses::new(None))).unwrap();
        assert_eq!(keys.expires().since(NOW).as_secs(), u64::from(TTL));
        let by_digest = RootTrust {
            keys: TrustAnchors::empty(),
            ds: vec![key.ds(&Name::root(), DigestType::SHA256)],
        };
        for (shown, expected) in [(&key, Ok(1)), (&other, Err(Flaw::AnchorUnmatched))] {
            let keys = ZoneKeys::of_root(&root(shown), &by_digest, terms(&Purses::new(None)));
            assert_eq!(keys.map(|keys| keys.keys.len()), expected, "by digest");
        }
        let keys = ZoneKeys::of_root(&root(&other), &key.anchor(), terms(&Purses::new(None)));
        assert_eq!(keys.map(drop), Err(Flaw::AnchorUnmatched));
    }
}
