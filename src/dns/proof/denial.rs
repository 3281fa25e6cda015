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
use super::signature::Effort;
use super::{Flaw, Terms, Trust, signature};
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
    /// For people.
    pub(in crate::dns) const fn words(self) -> &'static str {
        match self {
            Self::NoData { .. } => "the name exists without records of this type",
            Self::NxDomain => "the name does not exist",
            Self::OptOut => {
                "an opt-out span: no signed name is there, an unsigned delegation may be"
            }
            Self::TooManyIterations => "nothing: the zone asks for too many NSEC3 iterations",
        }
    }

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
    /// There is no SOA record of the zone beside them, or it is validly signed.
    soa_is_own: bool,
    expires: Timestamp,
}

impl Evidence {
    /// Takes what the zone has signed out of an authority section.
    pub(in crate::dns) fn gather(
        authorities: &[Record],
        keys: &ZoneKeys,
        terms: Terms<'_>,
    ) -> Self {
        let mut evidence = Self {
            nsec: NsecChain::new(keys.zone().clone()),
            nsec3: Nsec3Chain::new(keys.zone().clone(), terms.purses.clone()),
            soa_is_own: true,
            expires: keys.expires(),
        };
        let mut effort = Effort::all_denials(terms);
        for (owner, record_type) in denials(authorities) {
            let Some(set) = RrSet::select(authorities, owner, record_type) else {
                continue;
            };
            if let Ok(expires) = signature::verify_unexpanded(&mut effort, &set, keys) {
                evidence.expires = evidence.expires.min(expires);
                evidence.take(&set);
            }
        }
        // How long the denial may be kept is said by the SOA (RFC 2308 §5), so an SOA of the zone must be the zone's own word.
        if let Some(soa) = RrSet::select(authorities, keys.zone(), RecordType::SOA) {
            let verified = signature::verify_unexpanded(&mut effort, &soa, keys);
            evidence.soa_is_own = verified.is_ok();
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
        if !self.soa_is_own {
            return Err(Flaw::SoaUnsigned);
        }
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
pub(in crate::dns) fn wildcard_of(encloser: &Name) -> Option<Name> {
    encloser.prepend_label("*").ok()
}

/// An honest denial has at most three, and some recursors add those of the aliases before it.
const MOST_SETS: usize = 16;
const MOST_ZONES: usize = 3;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hickory_resolver::proto::rr::rdata::SOA;
    use proptest::prelude::*;

    use super::*;
    use crate::dns::purse::Purses;
    use crate::dns::sample::{Proofs, T0, Zone, ZoneKey, name, tlsa};

    const HASHED: Proofs = Proofs::Nsec3 {
        opt_out: false,
        iterations: 1,
        salt: &[],
    };

    /// Everything that the zone could ever say about itself, signatures taken for granted.
    fn all_evidence(zone: &Zone) -> Evidence {
        let mut evidence = Evidence {
            nsec: NsecChain::new(zone.origin.clone()),
            nsec3: Nsec3Chain::new(zone.origin.clone(), Purses::new(None)),
            soa_is_own: true,
            expires: Timestamp::from_unix(0),
        };
        let mut sets = BTreeSet::new();
        for owner in zone.names() {
            sets.extend(zone.proof(&owner));
        }
        for record in sets {
            let set = [record];
            for record_type in [RecordType::NSEC, RecordType::NSEC3] {
                if let Some(set) = RrSet::select(&set, &set[0].name, record_type) {
                    evidence.take(&set);
                }
            }
        }
        evidence
    }

    fn zone(proofs: Proofs, owners: &[(Name, u8)]) -> Zone {
        let mut zone = Zone::signed("z", proofs);
        for (owner, kinds) in owners {
            for (bit, data) in [(1, crate::dns::sample::address()), (2, tlsa(1))] {
                if kinds & bit != 0 {
                    zone = zone.with(&owner.to_ascii(), data);
                }
            }
        }
        zone
    }

    /// What RFC 1034 §4.3.2 says is at a name: `None` when there are records of the type.
    fn truth(zone: &Zone, name: &Name, record_type: RecordType) -> Option<Denial> {
        let at = |node: &Name| (!zone.has(node, record_type)).then_some(NO_DATA);
        if zone.exists(name) {
            return at(name);
        }
        let wildcard = wildcard_of(&zone.closest_encloser(name))?;
        if zone.exists(&wildcard) {
            return at(&wildcard);
        }
        Some(Denial::NxDomain)
    }

    const NO_DATA: Denial = Denial::NoData { delegation: false };

    /// Names of up to three labels below `z.`, few enough to meet each other.
    fn owner() -> impl Strategy<Value = Name> {
        let label = prop::sample::select(vec!["a", "b", "c", "*"]);
        prop::collection::vec(label, 1..4)
            .prop_map(|labels| name(&format!("{}.z", labels.join("."))))
    }

    fn question() -> impl Strategy<Value = Name> {
        let label = prop::sample::select(vec!["a", "b", "c", "aa", "d"]);
        prop::collection::vec(label, 1..5)
            .prop_map(|labels| name(&format!("{}.z", labels.join("."))))
    }

    proptest! {
        #[test]
        fn dnssec_11_13_a_zone_that_says_everything_about_itself_proves_the_truth_and_nothing_else(
            owners in prop::collection::vec((owner(), 1..4_u8), 0..7),
            question in question(),
            hashed: bool,
        ) {
            let zone = zone(if hashed { HASHED } else { Proofs::Nsec }, &owners);
            let evidence = all_evidence(&zone);
            for record_type in [RecordType::A, RecordType::TLSA, RecordType::MX] {
                for name in zone.names().iter().chain([&question]) {
                    prop_assert_eq!(
                        evidence.deny(name, record_type).ok(),
                        truth(&zone, name, record_type),
                        "{} {}", name, record_type
                    );
                }
            }
        }

        #[test]
        fn dnssec_13_a_wildcard_is_allowed_for_names_below_its_parent_that_do_not_exist(
            owners in prop::collection::vec((owner(), 1..4_u8), 0..7),
            question in question(),
            hashed: bool,
        ) {
            let zone = zone(if hashed { HASHED } else { Proofs::Nsec }, &owners);
            let evidence = all_evidence(&zone);
            let encloser = zone.closest_encloser(&question).iter().count();
            for depth in 2..=question.iter().count() {
                let next_closer = question.trim_to(depth);
                let allowed = evidence.allows_expansion(&next_closer);
                if zone.exists(&next_closer) {
                    prop_assert_eq!(allowed, Err(Flaw::ExpansionNotProven));
                } else if depth == encloser + 1 {
                    prop_assert_eq!(allowed, Ok(Trust::Secure));
                }
            }
        }
    }

    #[test]
    fn only_zones_that_hold_the_name_are_asked_for_denials_deepest_first() {
        let mut authorities = Vec::new();
        for origin in ["z", "b.z", "y", "a.z", "c.a.z", "."] {
            let zone = Zone::signed(origin, Proofs::Nsec);
            authorities.extend(zone.proof(&zone.origin));
        }
        let expected = ["c.a.z", "a.z", "z"].map(name);
        assert_eq!(zones(&authorities, &name("x.c.a.z")), expected);
        assert_eq!(zones(&authorities, &name("x")), [name(".")]);
    }

    #[test]
    fn dnssec_18_a_denial_beside_an_soa_record_that_is_not_the_zones_own_word_proves_nothing() {
        let zone = Zone::signed("z", Proofs::Nsec);
        let now = Timestamp::from_unix(T0);
        let keys = zone.key().keys(&zone.origin, now);
        let soa = SOA::new(name("m"), name("r"), 1, 1, 1, 1, 60);
        let soa = Record::from_rdata(zone.origin.clone(), 60, RData::SOA(soa));
        let signed_by = |key: &ZoneKey| key.sign(&zone.origin, std::slice::from_ref(&soa));
        for (says, beside, expected) in [
            ("there is none", vec![], Ok(NO_DATA)),
            (
                "it is signed",
                vec![soa.clone(), signed_by(zone.key())],
                Ok(NO_DATA),
            ),
            (
                "it is not signed",
                vec![soa.clone()],
                Err(Flaw::SoaUnsigned),
            ),
            (
                "somebody else has signed it",
                vec![soa.clone(), signed_by(&ZoneKey::generate())],
                Err(Flaw::SoaUnsigned),
            ),
        ] {
            let authorities: Vec<Record> =
                zone.proof(&zone.origin).into_iter().chain(beside).collect();
            let purses = Purses::new(None);
            let terms = Terms {
                now,
                purses: &purses,
            };
            let evidence = Evidence::gather(&authorities, &keys, terms);
            assert_eq!(
                evidence.deny(&zone.origin, RecordType::TLSA),
                expected,
                "{says}"
            );
        }
    }

    #[test]
    fn dnssec_9_10_12_a_zone_cut_is_spoken_of_by_the_right_side_only() {
        for proofs in [Proofs::Nsec, HASHED] {
            let unsigned = Zone::unsigned("cut.z");
            let signed = Zone::signed("safe.z", Proofs::Nsec);
            let parent = Zone::signed("z", proofs)
                .with("dn.z", crate::dns::sample::dname("elsewhere"))
                .delegating(&unsigned)
                .delegating(&signed);
            let child = Zone::signed("cut.z", proofs);
            let (above, below) = (all_evidence(&parent), all_evidence(&child));
            let deny = |evidence: &Evidence, owner: &str, record_type| {
                evidence.deny(&name(owner), record_type)
            };
            let cut = Ok(Denial::NoData { delegation: true });
            assert_eq!(deny(&above, "cut.z", RecordType::DS), cut);
            assert_eq!(deny(&above, "z", RecordType::DS), Err(Flaw::WrongSide));
            let wrong = Err(Flaw::WrongSide);
            assert_eq!(deny(&above, "cut.z", RecordType::TLSA), wrong);
            assert_eq!(deny(&above, "safe.z", RecordType::DS), Err(Flaw::Exists));
            assert_eq!(deny(&below, "cut.z", RecordType::DS), wrong);
            assert_eq!(deny(&below, "cut.z", RecordType::TLSA), Ok(NO_DATA));
            // A wildcard makes no zone cuts, whatever types it lists.
            let wild = Zone::signed("z", proofs).with("*.z", crate::dns::sample::ns("x"));
            assert_eq!(
                deny(&all_evidence(&wild), "a.z", RecordType::DS),
                Ok(NO_DATA)
            );
            for occluded in ["mx.cut.z", "a.b.cut.z", "mx.safe.z", "mx.dn.z"] {
                let denied = deny(&above, occluded, RecordType::TLSA);
                assert!(denied.is_err(), "{occluded}: {denied:?}");
            }
        }
    }
}
