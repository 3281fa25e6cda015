//! What signed records prove absent, whichever of NSEC and NSEC3 a zone uses (RFC 4035 §5.4, RFC 5155 §8).
//!
//! [`Evidence`] holds the validated NSEC and NSEC3 records of *one* zone; records of another zone in the same message never
//! mix with them.

use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType, RecordTypeSet};

use super::keys::ZoneKeys;
use super::nsec::NsecChain;
use super::nsec3::Nsec3Chain;
use super::rrset::{RrSet, covering};
use super::{Flaw, Trust, signature};
use crate::clock::Timestamp;

/// What was proven about a name and a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dns) enum Denial {
    /// The name exists (or could only be made by a wildcard) without that type.
    NoData {
        /// The name is a zone cut: it has NS records that are not the zone's own.
        delegation: bool,
    },
    /// The name does not exist.
    NxDomain,
    /// No signed name is there, but an unsigned delegation may be (RFC 5155 §6).
    OptOut,
    /// The zone asks for more hashing than anyone should do: nothing is proven, on purpose (RFC 9276 §3.2).
    TooManyIterations,
}

impl Denial {
    /// The same at a wildcard, which is never a zone cut.
    pub(super) const fn at_a_wildcard(self) -> Self {
        match self {
            Self::NoData { .. } => Self::NoData { delegation: false },
            Self::NxDomain | Self::OptOut | Self::TooManyIterations => self,
        }
    }
}

/// The validated NSEC and NSEC3 records of one zone.
#[derive(Debug)]
pub(in crate::dns) struct Evidence {
    nsec: NsecChain,
    nsec3: Nsec3Chain,
    expires: Timestamp,
}

impl Evidence {
    /// Takes what the zone has signed out of an authority section.
    pub(in crate::dns) fn gather(authorities: &[Record], keys: &ZoneKeys, now: Timestamp) -> Self {
        let mut evidence = Self {
            nsec: NsecChain::new(keys.zone().clone()),
            nsec3: Nsec3Chain::new(keys.zone().clone()),
            expires: keys.expires(),
        };
        for (owner, record_type) in denials(authorities) {
            let Some(set) = RrSet::select(authorities, owner, record_type) else {
                continue;
            };
            if let Ok(expires) = signature::verify_unexpanded(&set, keys, now) {
                evidence.expires = evidence.expires.min(expires);
                evidence.take(&set);
            }
        }
        evidence
    }

    fn take(&mut self, set: &RrSet) {
        for data in set.data() {
            if let RData::DNSSEC(DNSSECRData::NSEC(nsec)) = data {
                self.nsec.add(set.owner().clone(), nsec.clone());
            } else if let RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) = data {
                self.nsec3.add(set.owner(), nsec3.clone());
            }
        }
    }

    /// What the zone denies at `name`.
    pub(in crate::dns) fn deny(
        &self,
        name: &Name,
        record_type: RecordType,
    ) -> Result<Denial, Flaw> {
        if self.nsec.is_empty() && !self.nsec3.is_empty() {
            self.nsec3.deny(name, record_type)
        } else {
            self.nsec.deny(name, record_type)
        }
    }

    /// Whether a wildcard may stand for a name below `next_closer` (RFC 4035 §5.3.4, RFC 5155 §8.8).
    pub(in crate::dns) fn allows_expansion(&self, next_closer: &Name) -> Result<Trust, Flaw> {
        if self.nsec.is_empty() && !self.nsec3.is_empty() {
            self.nsec3.allows_expansion(next_closer)
        } else {
            self.nsec.allows_expansion(next_closer)
        }
    }

    /// Until when all of it holds.
    pub(in crate::dns) const fn expires(&self) -> Timestamp {
        self.expires
    }
}

/// The zones that claim to deny something about `name`, deepest first, at most [`MOST_ZONES`].
pub(in crate::dns) fn zones(authorities: &[Record], name: &Name) -> Vec<Name> {
    let mut zones: Vec<Name> = Vec::new();
    for record in authorities {
        for denial in [RecordType::NSEC, RecordType::NSEC3] {
            if let Some(rrsig) = covering(record, denial) {
                let signer = signature::signer(rrsig);
                if signer.zone_of(name) && !zones.contains(signer) {
                    zones.push(signer.clone());
                }
            }
        }
    }
    zones.sort_by_key(|zone| std::cmp::Reverse(zone.iter().count()));
    zones.truncate(MOST_ZONES);
    zones
}

fn denials(authorities: &[Record]) -> Vec<(&Name, RecordType)> {
    let mut sets: Vec<(&Name, RecordType)> = Vec::new();
    for record in authorities {
        let set = (&record.name, record.record_type());
        if matches!(set.1, RecordType::NSEC | RecordType::NSEC3)
            && !sets.contains(&set)
            && sets.len() < MOST_SETS
        {
            sets.push(set);
        }
    }
    sets
}

/// NODATA by the bit map of the very name: neither the type nor a CNAME may be in it (RFC 6840 §4.3), and at a zone cut
/// only the parent speaks about DS, only the child about everything else (RFC 4035 §5.2, RFC 6840 §4.1).
pub(super) fn absent_at(
    types: &RecordTypeSet,
    name: &Name,
    record_type: RecordType,
) -> Result<Denial, Flaw> {
    if types.contains(record_type) || types.contains(RecordType::CNAME) {
        return Err(Flaw::Exists);
    }
    let delegation = is_delegation(types);
    let wrong_side = if record_type == RecordType::DS {
        types.contains(RecordType::SOA) && !name.is_root()
    } else {
        delegation
    };
    if wrong_side {
        return Err(Flaw::WrongSide);
    }
    Ok(Denial::NoData { delegation })
}

/// Names below this one are not this zone's business: a zone cut, or a DNAME (RFC 6840 §4.1, RFC 5155 §8.3).
pub(super) fn ends_the_zone(types: &RecordTypeSet) -> bool {
    types.contains(RecordType::DNAME) || is_delegation(types)
}

fn is_delegation(types: &RecordTypeSet) -> bool {
    types.contains(RecordType::NS) && !types.contains(RecordType::SOA)
}

/// `*.<encloser>`, when that fits into a name.
pub(super) fn wildcard_of(encloser: &Name) -> Option<Name> {
    encloser.prepend_label("*").ok()
}

/// An honest denial has at most three, and some recursors add those of the aliases before it.
const MOST_SETS: usize = 16;
const MOST_ZONES: usize = 3;
