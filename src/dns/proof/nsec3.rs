//! Denial of existence by hashed names: NSEC3 (RFC 5155 §8), with the iteration limit of RFC 9276 §3.2.

use hickory_resolver::proto::dnssec::Nsec3HashAlgorithm;
use hickory_resolver::proto::dnssec::rdata::NSEC3;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::denial::{Denial, absent_at, ends_the_zone, wildcard_of};
use super::{Flaw, Trust};

/// The validated NSEC3 records of one zone that came in a message.
#[derive(Debug)]
pub(super) struct Nsec3Chain {
    zone: Name,
    records: Vec<Hashed>,
}

#[derive(Debug)]
struct Hashed {
    owner: Vec<u8>,
    nsec3: NSEC3,
}

/// RFC 5155 §8.3: the longest existing ancestor, and the name below it whose absence is shown.
struct ClosestEncloser {
    name: Name,
    opt_out: bool,
}

impl Nsec3Chain {
    pub(super) const fn new(zone: Name) -> Self {
        Self {
            zone,
            records: Vec::new(),
        }
    }

    /// Adds a record, when its owner is a hash right below the apex (RFC 5155 §3).
    pub(super) fn add(&mut self, owner: &Name, nsec3: NSEC3) {
        if owner.base_name() != self.zone {
            return;
        }
        if let Some(hash) = owner.iter().next().and_then(base32hex) {
            self.records.push(Hashed { owner: hash, nsec3 });
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What is absent at `name`.
    pub(super) fn deny(&self, name: &Name, record_type: RecordType) -> Result<Denial, Flaw> {
        if self.iterations()? > MOST_ITERATIONS {
            return Ok(Denial::TooManyIterations);
        }
        if let Some(nsec3) = self.at(name) {
            return absent_at(nsec3.type_set(), name, record_type);
        }
        let encloser = self.closest_encloser(name)?;
        if encloser.opt_out {
            return Ok(Denial::OptOut);
        }
        let wildcard = wildcard_of(&encloser.name).ok_or(Flaw::WildcardNotDenied)?;
        if let Some(nsec3) = self.at(&wildcard) {
            return absent_at(nsec3.type_set(), &wildcard, record_type).map(Denial::at_a_wildcard);
        }
        match self.covering(&wildcard) {
            Some(_) => Ok(Denial::NxDomain),
            None => Err(Flaw::WildcardNotDenied),
        }
    }

    /// May a wildcard have been expanded past `next_closer` (RFC 5155 §8.8)?
    pub(super) fn allows_expansion(&self, next_closer: &Name) -> Result<Trust, Flaw> {
        if self.iterations()? > MOST_ITERATIONS {
            return Ok(Trust::Insecure);
        }
        match self.covering(next_closer) {
            Some(nsec3) if nsec3.opt_out() => Ok(Trust::Insecure),
            Some(_) => Ok(Trust::Secure),
            None => Err(Flaw::ExpansionNotProven),
        }
    }

    fn closest_encloser(&self, name: &Name) -> Result<ClosestEncloser, Flaw> {
        let apex = self.zone.iter().count();
        let ancestors = (apex..name.iter().count()).rev().take(DEEPEST);
        for depth in ancestors {
            let encloser = name.trim_to(depth);
            let Some(nsec3) = self.at(&encloser) else {
                continue;
            };
            if ends_the_zone(nsec3.type_set()) {
                return Err(Flaw::WrongSide);
            }
            let next_closer = name.trim_to(depth + 1);
            let opt_out = self
                .covering(&next_closer)
                .ok_or(Flaw::NotDenied)?
                .opt_out();
            return Ok(ClosestEncloser {
                name: encloser,
                opt_out,
            });
        }
        Err(Flaw::NotDenied)
    }

    fn at(&self, name: &Name) -> Option<&NSEC3> {
        let hash = self.hash(name)?;
        self.records
            .iter()
            .find(|record| record.owner == hash)
            .map(|record| &record.nsec3)
    }

    fn covering(&self, name: &Name) -> Option<&NSEC3> {
        let hash = self.hash(name)?;
        self.records
            .iter()
            .find(|Hashed { owner, nsec3 }| {
                let next = nsec3.next_hashed_owner_name();
                if owner.as_slice() < next {
                    *owner < hash && hash.as_slice() < next
                } else {
                    // The last record of the ring.
                    *owner < hash || hash.as_slice() < next
                }
            })
            .map(|record| &record.nsec3)
    }

    /// The iterations that all records share; one parameter set only (RFC 5155 §8.2).
    fn iterations(&self) -> Result<u16, Flaw> {
        let first = &self.records.first().ok_or(Flaw::NotDenied)?.nsec3;
        let alike = self.records.iter().all(|Hashed { nsec3, .. }| {
            nsec3.salt() == first.salt() && nsec3.iterations() == first.iterations()
        });
        if alike {
            Ok(first.iterations())
        } else {
            Err(Flaw::MixedParameters)
        }
    }

    fn hash(&self, name: &Name) -> Option<Vec<u8>> {
        let parameters = &self.records.first()?.nsec3;
        Nsec3HashAlgorithm::SHA1
            .hash(parameters.salt(), name, parameters.iterations())
            .ok()
            .map(|digest| digest.as_ref().to_vec())
    }
}

/// RFC 4648 §7 without padding, as in owner names of NSEC3.
fn base32hex(label: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(label.len() * 5 / 8);
    let (mut buffer, mut bits) = (0_u32, 0);
    for digit in label {
        let value = char::from(*digit).to_digit(32)?;
        buffer = (buffer << 5 | value) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// Above this a zone is treated as unsigned where it denies (RFC 9276 §3.2); there is no second limit above it for an
/// attacker to choose.
const MOST_ITERATIONS: u16 = 100;

/// Ancestors that are hashed in search of the closest encloser (CVE-2023-50868).
const DEEPEST: usize = 48;
