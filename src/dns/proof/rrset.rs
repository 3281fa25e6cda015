//! One RRset of a message section with the signatures over it.
//!
//! Class IN only; duplicates are dropped (RFC 4034 §6.3). Nothing is checked here.

use std::collections::HashSet;

use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// An RRset as it came.
#[derive(Clone, Debug)]
pub(in crate::dns) struct RrSet {
    owner: Name,
    record_type: RecordType,
    records: Vec<Record>,
    signatures: Vec<Signature>,
}

/// An RRSIG that covers the RRset, whoever made it.
#[derive(Clone, Debug)]
pub(in crate::dns) struct Signature {
    /// The record.
    pub(in crate::dns) rrsig: RRSIG,
    /// Its TTL in the message.
    pub(in crate::dns) ttl: u32,
}

impl RrSet {
    /// The RRset of this owner and type, when the section holds one.
    pub(in crate::dns) fn select(
        section: &[Record],
        owner: &Name,
        record_type: RecordType,
    ) -> Option<Self> {
        let mut set = Self {
            owner: owner.clone(),
            record_type,
            records: Vec::new(),
            signatures: Vec::new(),
        };
        // A message can hold thousands of records, so they are not compared each with each.
        let mut known: HashSet<&RData> = HashSet::new();
        for record in section {
            if record.dns_class != DNSClass::IN || &record.name != owner {
                continue;
            }
            if record.record_type() == record_type {
                if known.insert(&record.data) {
                    set.records.push(record.clone());
                }
            } else if let Some(rrsig) = covering(record, record_type) {
                set.signatures.push(Signature {
                    rrsig: rrsig.clone(),
                    ttl: record.ttl,
                });
            }
        }
        (!set.records.is_empty()).then_some(set)
    }

    /// The owner name.
    pub(in crate::dns) const fn owner(&self) -> &Name {
        &self.owner
    }

    /// The type.
    pub(in crate::dns) const fn record_type(&self) -> RecordType {
        self.record_type
    }

    /// The records, at least one.
    pub(in crate::dns) fn records(&self) -> &[Record] {
        &self.records
    }

    /// The data of the records.
    pub(in crate::dns) fn data(&self) -> impl Iterator<Item = &RData> {
        self.records.iter().map(|record| &record.data)
    }

    /// The signatures over it.
    pub(in crate::dns) fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The lowest TTL of the records.
    pub(in crate::dns) fn ttl(&self) -> u32 {
        self.records.iter().map(|r| r.ttl).min().unwrap_or(0)
    }

    /// The zones that the signatures claim for signers, as far as they may sign here: the owner lies in them, and a DS
    /// RRset belongs to the parent (RFC 4035 §5.3.1, §2.4). At most [`MOST_SIGNERS`]: an honest RRset has one.
    pub(in crate::dns) fn signers(&self) -> Vec<Name> {
        let mut signers: Vec<Name> = Vec::new();
        for signature in &self.signatures {
            let signer = &signature.rrsig.input().signer_name;
            let may_sign = signer.zone_of(&self.owner)
                && (self.record_type != RecordType::DS || signer != &self.owner);
            if may_sign && !signers.contains(signer) && signers.len() < MOST_SIGNERS {
                signers.push(signer.clone());
            }
        }
        signers
    }
}

/// The RRSIG in this record, when it covers that type.
pub(in crate::dns) fn covering(record: &Record, covered: RecordType) -> Option<&RRSIG> {
    if let RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) = &record.data
        && rrsig.input().type_covered == covered
    {
        return Some(rrsig);
    }
    None
}

/// How many claimed signers are looked into.
const MOST_SIGNERS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::sample::{ZoneKey, address, name};

    #[test]
    fn dnssec_5_9_only_zones_that_hold_the_owner_may_sign_and_for_ds_only_those_above() {
        let key = ZoneKey::generate();
        let ds = key.ds(
            &name("a.z"),
            hickory_resolver::proto::dnssec::DigestType::SHA256,
        );
        let ds = RData::DNSSEC(DNSSECRData::DS(ds));
        for (data, signers, expected) in [
            (address(), vec!["a.z", "z"], vec!["a.z", "z"]),
            (address(), vec!["y", "b.a.z", "z", "z"], vec!["z"]),
            (address(), vec!["a.z", "z", "."], vec!["a.z", "z"]),
            (ds, vec!["a.z", "z"], vec!["z"]),
        ] {
            let mut records = vec![Record::from_rdata(name("a.z"), 60, data)];
            for signer in signers {
                let rrsig = key.sign(&name(signer), &records[..1]);
                records.push(rrsig);
            }
            let set = RrSet::select(&records, &name("A.z"), records[0].record_type()).unwrap();
            let expected: Vec<Name> = expected.into_iter().map(name).collect();
            assert_eq!(set.signers(), expected);
        }
    }
}
