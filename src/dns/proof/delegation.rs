//! One step of the way down from the root: what the answer to a DS question says (RFC 4035 §5.2, RFC 6840 §4.4).

use hickory_resolver::proto::dnssec::rdata::DS;
use hickory_resolver::proto::rr::{Name, Record, RecordType};

use super::denial::{Denial, Evidence};
use super::keys::{DsSet, ZoneKeys};
use super::rrset::RrSet;
use super::signature::Effort;
use super::{Flaw, Terms, signature};
use crate::clock::Timestamp;

/// What stands at a name, seen from the zone above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dns) enum Ruling {
    /// A signed zone begins; one of these must match its keys.
    Signed(Vec<DS>),
    /// A zone begins that is unsigned, or signed in a way that nobody here can check.
    Unsigned(Because),
    /// No zone begins here.
    Inside,
    /// Nothing of this tree is at or below the name.
    Nothing,
}

/// What shows that a zone is to be treated as unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dns) enum Because {
    /// Its parent denies that there are DS records (RFC 4035 §5.2).
    NoDs,
    /// It lies in an opt-out span (RFC 5155 §6).
    OptOut,
    /// Its DS records know only algorithms or digests that nobody here knows (RFC 6840 §5.2).
    UnknownAlgorithms,
    /// Its parent asks for too many NSEC3 iterations (RFC 9276 §3.2).
    TooManyIterations,
}

impl Because {
    /// For people.
    pub(in crate::dns) const fn words(self) -> &'static str {
        match self {
            Self::NoDs => "there are no DS records",
            Self::OptOut => "it lies in an opt-out span of NSEC3 records",
            Self::UnknownAlgorithms => {
                "its DS records use algorithms or digests that are not known here"
            }
            Self::TooManyIterations => "the NSEC3 records above it use too many iterations",
        }
    }
}

/// A ruling and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dns) struct Ruled {
    /// What.
    pub(in crate::dns) ruling: Ruling,
    /// Until when.
    pub(in crate::dns) expires: Timestamp,
}

/// Reads the answer to "`name` DS?", as far as `parent` has signed it.
pub(in crate::dns) fn rule(
    answers: &[Record],
    authorities: &[Record],
    name: &Name,
    parent: &ZoneKeys,
    terms: Terms<'_>,
) -> Result<Ruled, Flaw> {
    if let Some(set) = RrSet::select(answers, name, RecordType::DS) {
        let expires = signature::verify_unexpanded(&mut Effort::one_set(terms), &set, parent)?;
        let ruling = match DsSet::read(&set) {
            DsSet::Usable(ds) => Ruling::Signed(ds),
            DsSet::Unsupported => Ruling::Unsigned(Because::UnknownAlgorithms),
        };
        return Ok(Ruled { ruling, expires });
    }
    if let Some(ruled) = by_alias(answers, name, parent, terms) {
        return Ok(ruled);
    }
    let evidence = Evidence::gather(authorities, parent, terms);
    let ruling = match evidence.deny(name, RecordType::DS)? {
        Denial::NoData { delegation: true } => Ruling::Unsigned(Because::NoDs),
        Denial::OptOut => Ruling::Unsigned(Because::OptOut),
        Denial::TooManyIterations => Ruling::Unsigned(Because::TooManyIterations),
        Denial::NoData { delegation: false } => Ruling::Inside,
        Denial::NxDomain => Ruling::Nothing,
    };
    Ok(Ruled {
        ruling,
        expires: evidence.expires(),
    })
}

/// An alias is no zone cut, and below a DNAME there are no zones (RFC 6672 §2.3). A wildcard's alias needs no proof here: to
/// take a cut for an alias makes data unsigned where signatures are due, which fails.
fn by_alias(answers: &[Record], name: &Name, parent: &ZoneKeys, terms: Terms<'_>) -> Option<Ruled> {
    let above = answers
        .iter()
        .filter(|record| record.record_type() == RecordType::DNAME)
        .map(|record| &record.name)
        .find(|owner| owner.zone_of(name) && *owner != name);
    let candidates = [
        (Some(name), RecordType::CNAME, Ruling::Inside),
        (above, RecordType::DNAME, Ruling::Nothing),
    ];
    candidates.into_iter().find_map(|(owner, kind, ruling)| {
        let set = RrSet::select(answers, owner?, kind)?;
        let signed = signature::verify(&mut Effort::one_set(terms), &set, parent).ok()?;
        Some(Ruled {
            ruling,
            expires: signed.expires,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hickory_resolver::proto::rr::RData;
    use hickory_resolver::proto::rr::rdata::CNAME;

    use super::*;
    use crate::dns::purse::Purses;
    use crate::dns::sample::{Proofs, T0, TTL, Zone, dname, name};

    const NOW: Timestamp = Timestamp::from_unix(T0);

    fn ruling(zone: &Zone, answers: &[Record], authorities: &[Record]) -> Result<Ruling, Flaw> {
        let keys = zone.keys(NOW);
        let terms = Terms {
            now: NOW,
            purses: &Purses::new(None),
        };
        let ruled = rule(answers, authorities, &name("a.z"), &keys, terms);
        ruled.map(|ruled| ruled.ruling)
    }

    #[test]
    fn dnssec_10_an_alias_is_no_zone_cut_when_the_zone_signed_it() {
        let zone = Arc::new(Zone::signed("z", Proofs::Nsec));
        let alias = RData::CNAME(CNAME(name("b.z")));
        for (says, owner, data, expected) in [
            ("a CNAME", "a.z", alias, Ruling::Inside),
            ("a DNAME above", "z", dname("y"), Ruling::Nothing),
        ] {
            let record = Record::from_rdata(name(owner), TTL, data);
            let signed = [record.clone(), zone.key().sign(&zone.origin, &[record])];
            assert_eq!(ruling(&zone, &signed, &[]), Ok(expected), "{says}");
            let unsigned = ruling(&zone, &signed[..1], &[]);
            assert_eq!(unsigned, Err(Flaw::NotDenied), "{says}, unsigned");
        }
    }

    #[test]
    fn dnssec_8_9_an_unsigned_ds_is_neither_a_cut_nor_none() {
        let child = Zone::signed("a.z", Proofs::Nsec);
        let zone = Zone::signed("z", Proofs::Nsec).delegating(&child);
        let ds = child.key().ds(
            &name("a.z"),
            hickory_resolver::proto::dnssec::DigestType::SHA256,
        );
        let data = RData::DNSSEC(hickory_resolver::proto::dnssec::rdata::DNSSECRData::DS(ds));
        let ds = [Record::from_rdata(name("a.z"), TTL, data)];
        assert_eq!(ruling(&zone, &ds, &[]), Err(Flaw::Unsigned));
    }
}
