//! One signature over one RRset, checked with the keys of a zone (RFC 4035 §5.3).
//!
//! Work is bounded against KeyTrap (CVE-2023-50387): an [`Effort`] is spent by every verification, whatever the number of keys
//! and signatures, and so are the [`Purses`](crate::dns::purse::Purses) of the lookup; an RRSIG that fits no key costs nothing.

use hickory_resolver::proto::dnssec::rdata::RRSIG;
use hickory_resolver::proto::dnssec::{Algorithm, Verifier};
use hickory_resolver::proto::rr::rdata::{MX, NS};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::keys::ZoneKeys;
use super::lifetime;
use super::rrset::{RrSet, Signature};
use super::{Flaw, Terms};
use crate::clock::Timestamp;

/// What a valid signature says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dns) struct Signed {
    /// The owner's labels below which the RRset was expanded from a wildcard, when it was (RFC 4035 §5.3.4).
    pub(in crate::dns) expanded_from: Option<u8>,
    /// Until when the RRset may be used (RFC 4035 §5.3.3).
    pub(in crate::dns) expires: Timestamp,
    /// The end of the signature's own validity period.
    pub(in crate::dns) signature_expires: Timestamp,
    /// The key that signed it.
    pub(in crate::dns) key_tag: u16,
    /// Its algorithm.
    pub(in crate::dns) algorithm: Algorithm,
}

/// How many verifications may still be tried.
#[derive(Debug)]
pub(in crate::dns) struct Effort<'a> {
    left: u32,
    terms: Terms<'a>,
}

impl<'a> Effort<'a> {
    /// For one RRset.
    pub(in crate::dns) const fn one_set(terms: Terms<'a>) -> Self {
        Self { left: 8, terms }
    }

    /// For all denials in one message: honest ones need one each.
    pub(in crate::dns) const fn all_denials(terms: Terms<'a>) -> Self {
        Self { left: 24, terms }
    }

    fn spend(&mut self, records: usize, algorithm: Algorithm) -> Result<(), Flaw> {
        self.left = self.left.checked_sub(1).ok_or(Flaw::TooMuchWork)?;
        let work = work(records, algorithm);
        self.terms
            .purses
            .proofs(work)
            .map_err(|_| Flaw::TooMuchWork)
    }
}

/// What a verification costs: the records are sorted and hashed each time, and one algorithm is much slower than the others.
fn work(records: usize, algorithm: Algorithm) -> u32 {
    let arithmetic = if algorithm == Algorithm::ECDSAP384SHA384 {
        WORK_OF_P384
    } else {
        1
    };
    let sorting = u32::try_from(records / RECORDS_PER_WORK).unwrap_or(u32::MAX);
    sorting.saturating_add(arithmetic)
}

/// Checks the RRset with the keys of a zone. One valid signature suffices (RFC 6840 §5.4).
pub(in crate::dns) fn verify(
    effort: &mut Effort<'_>,
    set: &RrSet,
    keys: &ZoneKeys,
) -> Result<Signed, Flaw> {
    let now = effort.terms.now;
    let mut flaw = Flaw::Unsigned;
    let mut records = None;
    for signature in set.signatures() {
        if let Err(found) = check(set, signature, keys, now) {
            flaw = found;
            continue;
        }
        flaw = Flaw::NoSuchKey;
        let input = signature.rrsig.input();
        for key in keys.fitting(input.key_tag, input.algorithm) {
            effort.spend(set.records().len(), input.algorithm)?;
            let records: &Vec<Record> = records.get_or_insert_with(|| canonical(set));
            let class = DNSClass::IN;
            if key
                .verify_rrsig(set.owner(), class, &signature.rrsig, records.iter())
                .is_ok()
            {
                return Ok(signed(set, signature, keys, now));
            }
            flaw = Flaw::BadSignature;
        }
    }
    Err(flaw)
}

/// As [`verify`], for RRsets that never come from a wildcard: those that make up the chain and the denials.
pub(in crate::dns) fn verify_unexpanded(
    effort: &mut Effort<'_>,
    set: &RrSet,
    keys: &ZoneKeys,
) -> Result<Timestamp, Flaw> {
    let signed = verify(effort, set, keys)?;
    match signed.expanded_from {
        None => Ok(signed.expires),
        Some(_) => Err(Flaw::Labels),
    }
}

/// Everything about an RRSIG but the arithmetic (RFC 4035 §5.3.1).
fn check(set: &RrSet, signature: &Signature, keys: &ZoneKeys, now: Timestamp) -> Result<(), Flaw> {
    let input = signature.rrsig.input();
    if &input.signer_name != keys.zone() || !keys.zone().zone_of(set.owner()) {
        return Err(Flaw::SignerIsNoZone);
    }
    if input.num_labels > set.owner().num_labels() || input.num_labels < keys.zone().num_labels() {
        return Err(Flaw::Labels);
    }
    lifetime::validity(&signature.rrsig, now)
}

fn signed(set: &RrSet, signature: &Signature, keys: &ZoneKeys, now: Timestamp) -> Signed {
    let input = signature.rrsig.input();
    let labels = input.num_labels;
    Signed {
        expanded_from: (labels < set.owner().num_labels()).then_some(labels),
        expires: lifetime::of_signed(set, signature, now).min(keys.expires()),
        signature_expires: lifetime::of_signature(&signature.rrsig, now),
        key_tag: input.key_tag,
        algorithm: input.algorithm,
    }
}

/// The records with names in lower case and one TTL, so that sorting them yields the canonical order (RFC 4034 §6.2, §6.3).
fn canonical(set: &RrSet) -> Vec<Record> {
    let mut records = set.records().to_vec();
    for record in &mut records {
        record.ttl = 0;
        lower_case(record);
    }
    // In order once and for all: each verification sorts them again.
    records.sort();
    records
}

fn lower_case(record: &mut Record) {
    if let RData::MX(mx) = &record.data {
        record.data = RData::MX(MX::new(mx.preference, mx.exchange.to_lowercase()));
    } else if let RData::NS(ns) = &record.data {
        record.data = RData::NS(NS(ns.0.to_lowercase()));
    } else if record.record_type() == RecordType::DNAME
        && let RData::Unknown { code, rdata } = &record.data
    {
        // hickory does not know the type, so it keeps the wire form; the length octets are below the letters.
        let (code, mut rdata) = (*code, rdata.clone());
        rdata.anything.make_ascii_lowercase();
        record.data = RData::Unknown { code, rdata };
    }
}

/// The name that must not exist for a wildcard expansion to be right: one label more than the wildcard's parent has.
pub(in crate::dns) fn next_closer(owner: &Name, expanded_from: u8) -> Name {
    owner.trim_to(usize::from(expanded_from) + 1)
}

/// The zone that claims to have signed.
pub(in crate::dns) fn signer(rrsig: &RRSIG) -> &Name {
    &rrsig.input().signer_name
}

/// Nearly a millisecond.
const WORK_OF_P384: u32 = 4;

/// So many records take as long as an ordinary signature.
const RECORDS_PER_WORK: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::purse::Purses;
    use crate::dns::sample::{T0, TTL, ZoneKey, address, dname, name, tlsa};

    const NOW: Timestamp = Timestamp::from_unix(T0);

    fn terms(purses: &Purses) -> Terms<'_> {
        Terms { now: NOW, purses }
    }

    fn judge(records: &[Record], keys: &ZoneKeys) -> Result<Signed, Flaw> {
        let first = &records[0];
        let set = RrSet::select(records, &first.name, first.record_type()).unwrap();
        verify(&mut Effort::one_set(terms(&Purses::new(None))), &set, keys)
    }

    fn mx(preference: u16, host: &str) -> RData {
        RData::MX(MX::new(preference, name(host)))
    }

    #[test]
    fn dnssec_5_names_in_the_data_are_compared_in_lower_case_and_canonical_order() {
        let key = ZoneKey::generate();
        let keys = key.keys(&name("z"), NOW);
        let sets = [
            vec![mx(10, "a.z"), mx(10, "b.z"), mx(10, "c.z")],
            vec![dname("target.z")],
        ];
        let mixed_case = [
            vec![mx(10, "C.z"), mx(10, "a.Z"), mx(10, "B.z")],
            vec![dname("TarGet.Z")],
        ];
        for (signed, received) in sets.into_iter().zip(mixed_case) {
            let records = |data: Vec<RData>| -> Vec<Record> {
                let record = |data| Record::from_rdata(name("o.z"), TTL, data);
                data.into_iter().map(record).collect()
            };
            let rrsig = key.sign(&name("z"), &records(signed));
            let mut message = records(received);
            message[0].ttl = 7;
            message.push(rrsig);
            let signed = judge(&message, &keys).unwrap();
            assert_eq!(signed.expires.since(NOW).as_secs(), 7);
            assert_eq!(signed.expanded_from, None);
        }
    }

    #[test]
    fn dnssec_13_an_expansion_is_seen_in_the_label_count() {
        let key = ZoneKey::generate();
        let keys = key.keys(&name("z"), NOW);
        let mut records = vec![Record::from_rdata(name("*.w.z"), TTL, address())];
        records.push(key.sign(&name("z"), &records));
        assert_eq!(judge(&records, &keys).unwrap().expanded_from, None);
        for record in &mut records {
            record.name = name("a.b.w.z");
        }
        assert_eq!(judge(&records, &keys).unwrap().expanded_from, Some(2));
        assert_eq!(next_closer(&name("a.b.w.z"), 2), name("b.w.z"));
        let set = RrSet::select(&records, &name("a.b.w.z"), RecordType::A).unwrap();
        let unexpanded =
            verify_unexpanded(&mut Effort::one_set(terms(&Purses::new(None))), &set, &keys);
        assert_eq!(unexpanded, Err(Flaw::Labels));
    }

    #[test]
    fn dnssec_5_a_zone_signs_for_itself_only() {
        let key = ZoneKey::generate();
        let mut records = vec![Record::from_rdata(name("a.y"), TTL, address())];
        records.push(key.sign(&name("z"), &records));
        let verdict = judge(&records, &key.keys(&name("z"), NOW));
        assert_eq!(verdict, Err(Flaw::SignerIsNoZone));
        let verdict = judge(&records, &key.keys(&name("y"), NOW));
        assert_eq!(verdict, Err(Flaw::SignerIsNoZone));
    }

    #[test]
    fn dnssec_20_dns_10_work_is_bounded_and_strange_tags_cost_nothing() {
        let key = ZoneKey::generate();
        let keys = key.keys(&name("z"), NOW);
        let records = vec![Record::from_rdata(name("a.z"), TTL, tlsa(1))];
        let other = [Record::from_rdata(name("a.z"), TTL, tlsa(2))];
        let genuine = key.sign(&name("z"), &records);
        let with = |bad: usize, good: Record, make: &dyn Fn() -> Record| {
            let mut records = records.clone();
            records.extend(std::iter::repeat_with(make).take(bad));
            records.push(good);
            records
        };
        // Other keys with other tags (or, once in 65 536 runs, the same: then it is one attempt).
        let foreign = || ZoneKey::generate().sign(&name("z"), &records);
        assert!(judge(&with(40, genuine.clone(), &foreign), &keys).is_ok());
        // The right tag over other data.
        let broken = || key.sign(&name("z"), &other);
        assert!(judge(&with(7, genuine.clone(), &broken), &keys).is_ok());
        let verdict = judge(&with(8, genuine, &broken), &keys);
        assert_eq!(verdict, Err(Flaw::TooMuchWork));
    }
}
