//! Denial of existence by hashed names: NSEC3 (RFC 5155 §8), with the iteration limit of RFC 9276 §3.2.

use hickory_resolver::proto::dnssec::Nsec3HashAlgorithm;
use hickory_resolver::proto::dnssec::rdata::NSEC3;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::denial::{Denial, absent_at, ends_the_zone, wildcard_of};
use super::{Flaw, Trust};
use crate::dns::purse::Purses;

/// The validated NSEC3 records of one zone that came in a message.
#[derive(Debug)]
pub(super) struct Nsec3Chain {
    zone: Name,
    records: Vec<Hashed>,
    purses: Purses,
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
    /// Without records; every name that is hashed is paid for.
    pub(super) const fn new(zone: Name, purses: Purses) -> Self {
        Self {
            zone,
            records: Vec::new(),
            purses,
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
        self.purses.proofs(1).ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::sample::name;

    /// RFC 5155 §A: `example` with salt AABBCCDD, 12 iterations, opt-out; owner, next and types of some records.
    fn rfc_5155(owners: &[&str]) -> Nsec3Chain {
        use RecordType::{A, AAAA, DNSKEY, DS, MX, NS, NSEC3PARAM, RRSIG, SOA};
        const RING: [(&str, &str, &[RecordType]); 6] = [
            (
                "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom",
                "2t7b4g4vsa5smi47k61mv5bv1a22bojr",
                &[NS, SOA, MX, RRSIG, DNSKEY, NSEC3PARAM],
            ),
            (
                "2t7b4g4vsa5smi47k61mv5bv1a22bojr",
                "2vptu5timamqttgl4luu9kg21e0aor3s",
                &[A, RRSIG],
            ),
            (
                "2vptu5timamqttgl4luu9kg21e0aor3s",
                "35mthgpgcu1qg68fab165klnsnk3dpvl",
                &[MX, RRSIG],
            ),
            (
                "35mthgpgcu1qg68fab165klnsnk3dpvl",
                "b4um86eghhds6nea196smvmlo4ors995",
                &[NS, DS, RRSIG],
            ),
            (
                "b4um86eghhds6nea196smvmlo4ors995",
                "gjeqe526plbf1g8mklp59enfd789njgi",
                &[MX, RRSIG],
            ),
            (
                "r53bq7cc2uvmubfu5ocmm6pers9tk9en",
                "t644ebqk9bibcna874givr6joj62mlhv",
                &[A, AAAA, RRSIG],
            ),
        ];
        let mut chain = Nsec3Chain::new(name("example"), Purses::new(None));
        for (owner, next, types) in RING {
            if owners.contains(&owner) {
                let next = base32hex(next.as_bytes()).unwrap();
                let types = types.iter().copied();
                chain.add(&name(&format!("{owner}.example")), nsec3(12, next, types));
            }
        }
        assert_eq!(chain.records.len(), owners.len());
        chain
    }

    fn nsec3(iterations: u16, next: Vec<u8>, types: impl IntoIterator<Item = RecordType>) -> NSEC3 {
        let salt = vec![0xaa, 0xbb, 0xcc, 0xdd];
        NSEC3::new(
            Nsec3HashAlgorithm::SHA1,
            true,
            iterations,
            salt,
            next,
            types,
        )
    }

    const APEX: &str = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom";

    #[test]
    fn the_examples_of_rfc_5155_are_read_as_it_says() {
        let nodata = Denial::NoData { delegation: false };
        for (says, owners, asked, record_type, expected) in [
            (
                "B.1 name error, under opt-out",
                vec![
                    APEX,
                    "b4um86eghhds6nea196smvmlo4ors995",
                    "35mthgpgcu1qg68fab165klnsnk3dpvl",
                ],
                "a.c.x.w.example",
                RecordType::A,
                Ok(Denial::OptOut),
            ),
            (
                "B.2 no data",
                vec!["2t7b4g4vsa5smi47k61mv5bv1a22bojr"],
                "ns1.example",
                RecordType::MX,
                Ok(nodata),
            ),
            (
                "B.3 an opt-out delegation",
                vec![APEX, "35mthgpgcu1qg68fab165klnsnk3dpvl"],
                "c.example",
                RecordType::DS,
                Ok(Denial::OptOut),
            ),
            (
                "B.6 the DS at the apex, asked of the child",
                vec![APEX],
                "example",
                RecordType::DS,
                Err(Flaw::WrongSide),
            ),
            (
                "the same record does not deny what it lists",
                vec!["2t7b4g4vsa5smi47k61mv5bv1a22bojr"],
                "ns1.example",
                RecordType::A,
                Err(Flaw::Exists),
            ),
            (
                "a closest encloser without the next closer name",
                vec![APEX],
                "c.example",
                RecordType::DS,
                Err(Flaw::NotDenied),
            ),
            (
                "a next closer name without its closest encloser",
                vec!["35mthgpgcu1qg68fab165klnsnk3dpvl"],
                "c.example",
                RecordType::DS,
                Err(Flaw::NotDenied),
            ),
        ] {
            let denied = rfc_5155(&owners).deny(&name(asked), record_type);
            assert_eq!(denied, expected, "{says}");
        }
    }

    #[test]
    fn dnssec_19_dns_11_more_than_a_hundred_iterations_prove_nothing_on_purpose() {
        for (iterations, expected) in [
            (100, Err(Flaw::NotDenied)),
            (101, Ok(Denial::TooManyIterations)),
            (u16::MAX, Ok(Denial::TooManyIterations)),
        ] {
            let mut chain = Nsec3Chain::new(name("example"), Purses::new(None));
            let record = nsec3(iterations, vec![0; 20], [RecordType::A]);
            chain.add(&name(&format!("{APEX}.example")), record);
            assert_eq!(chain.deny(&name("x.example"), RecordType::A), expected);
        }
    }

    #[test]
    fn dnssec_14_records_with_different_parameters_are_no_proof() {
        let mut chain = rfc_5155(&[APEX]);
        let other = nsec3(13, vec![0; 20], [RecordType::A]);
        chain.add(&name("2t7b4g4vsa5smi47k61mv5bv1a22bojr.example"), other);
        let denied = chain.deny(&name("c.example"), RecordType::DS);
        assert_eq!(denied, Err(Flaw::MixedParameters));
    }

    #[test]
    fn dnssec_14_an_owner_that_is_no_hash_below_the_apex_is_left_out() {
        let mut chain = Nsec3Chain::new(name("example"), Purses::new(None));
        for owner in [APEX, "x.y.example", "not-a-hash.example"] {
            chain.add(&name(owner), nsec3(12, vec![0; 20], [RecordType::A]));
        }
        assert!(chain.is_empty());
    }
}
